/* SPDX-License-Identifier: MIT
 *
 * reply.c: see reply.h. JSON that a worker made goes into the answer as it is: the toolkit has
 * checked that it is JSON, and parsing it again would cost more than the script.
 */
#include "server/reply.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "server/json.h"
#include "server/server.h"

const char *const srv_kind_words[] = {"script", "module", "function", NULL};
const char *const srv_mode_words[] = {"lazy", "eager", "warm", "workload", NULL};

void srv_reply_release(srv_reply *reply) {
  if (reply->response != NULL) MHD_destroy_response(reply->response);
  *reply = (srv_reply){0};
}

void srv_reply_header(srv_reply *reply, const char *name, const char *value) {
  if (reply->response == NULL) return;
  if (MHD_add_response_header(reply->response, name, value) == MHD_YES) return;
  MHD_destroy_response(reply->response);
  reply->response = NULL;
}

void srv_reply_type(srv_reply *reply, const char *type) {
  if (reply->response == NULL) return;
  MHD_del_response_header(reply->response, MHD_HTTP_HEADER_CONTENT_TYPE, "application/json");
  srv_reply_header(reply, MHD_HTTP_HEADER_CONTENT_TYPE, type);
}

srv_reply srv_reply_json(unsigned status, char *text, size_t length) {
  srv_reply reply = {.status = status, .length = length};
  reply.response = MHD_create_response_from_buffer(length, text, MHD_RESPMEM_MUST_FREE);
  if (reply.response == NULL) free(text);
  srv_reply_header(&reply, MHD_HTTP_HEADER_CONTENT_TYPE, "application/json");
  srv_reply_header(&reply, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
  if (status == MHD_HTTP_SERVICE_UNAVAILABLE)
    srv_reply_header(&reply, MHD_HTTP_HEADER_RETRY_AFTER, "1");
  return reply;
}

srv_reply srv_reply_stream(unsigned status, FILE *out, char **text, size_t *length) {
  int failed = ferror(out);
  if (fclose(out) != 0 || failed) {
    free(*text);
    return (srv_reply){.status = status};
  }
  return srv_reply_json(status, *text, *length);
}

srv_reply srv_reply_error(unsigned status, const char *code, const char *format, ...) {
  char message[1024];
  va_list args;
  va_start(args, format);
  vsnprintf(message, sizeof(message), format, args);
  va_end(args);

  char *text = NULL;
  size_t length = 0;
  FILE *out = open_memstream(&text, &length);
  if (out == NULL) return (srv_reply){.status = status};
  fputs("{\"error\":{\"code\":", out);
  srv_json_text(out, code);
  fputs(",\"message\":", out);
  srv_json_text(out, message);
  fputs("}}\n", out);
  return srv_reply_stream(status, out, &text, &length);
}

unsigned srv_status_http(kiln_status status) {
  switch (status) {
    case KILN_OK:
      return MHD_HTTP_OK;
    case KILN_NOT_FOUND:
      return MHD_HTTP_NOT_FOUND;
    case KILN_GONE:
      return MHD_HTTP_GONE;
    case KILN_EINVAL:
      return MHD_HTTP_BAD_REQUEST;
    case KILN_ETOOBIG:
      return MHD_HTTP_CONTENT_TOO_LARGE;
    case KILN_EBUSY:
    case KILN_ECLOSING:
      return MHD_HTTP_SERVICE_UNAVAILABLE;
    case KILN_ESTORE:
    case KILN_EENGINE:
    case KILN_ENOMEM:
    case KILN_EINTERNAL:
      break;
  }
  return MHD_HTTP_INTERNAL_SERVER_ERROR;
}

srv_reply srv_reply_kiln_error(const kiln_error *error) {
  const char *code = error->code[0] != '\0' ? error->code : kiln_status_code(error->status);
  const char *message =
      error->message[0] != '\0' ? error->message : kiln_status_text(error->status);
  if (error->status == KILN_ESTORE) {
    /* It names files and what the system says of them: that is for whoever runs us. */
    srv_log("error", "store", "code=%s message=\"%s\"", code, message);
    message = kiln_status_text(error->status);
  }
  return srv_reply_error(srv_status_http(error->status), code, "%s", message);
}

static void drop_bytes(void *bytes) {
  kiln_bytes_unref(bytes);
}

static void drop_blob(void *blob) {
  srv_blob_unref(blob);
}

/* A reply of `data`, kept by what `owner` refers to until `drop`. */
static srv_reply reply_octets(unsigned status, kiln_span data, MHD_ContentReaderFreeCallback drop,
                              void *owner) {
  srv_reply reply = {.status = status, .length = data.length};
  /* MHD only reads from the buffer; its signature has not learnt to say so. */
  union {
    const char *in;
    void *out;
  } buffer = {.in = data.data};
  reply.response =
      MHD_create_response_from_buffer_with_free_callback_cls(data.length, buffer.out, drop, owner);
  if (reply.response == NULL) drop(owner);
  srv_reply_header(&reply, MHD_HTTP_HEADER_CONTENT_TYPE, "application/octet-stream");
  return reply;
}

srv_reply srv_reply_bytes(unsigned status, kiln_bytes *bytes) {
  return reply_octets(status, kiln_bytes_get(bytes), drop_bytes, kiln_bytes_ref(bytes));
}

srv_reply srv_reply_blob(unsigned status, srv_blob *blob, size_t offset, size_t length) {
  kiln_span part = {srv_blob_get(blob).data + offset, length};
  return reply_octets(status, part, drop_blob, srv_blob_ref(blob));
}

void srv_etag(const char *key, kiln_span bytes, char ret_etag[SRV_ETAG_SIZE]) {
  XXH128_hash_t digest = XXH3_128bits(bytes.data, bytes.length);
  snprintf(ret_etag, SRV_ETAG_SIZE, "\"%.16s-%016llx%016llx\"", key,
           (unsigned long long)digest.high64, (unsigned long long)digest.low64);
}

/* ---- an operation's answer */

void srv_write_times(FILE *out, const kiln_times *times) {
  static const double ns_per_ms = 1e6;
  fprintf(out,
          "\"times\":{\"queuedMs\":%.3f,\"compileMs\":%.3f,\"runMs\":%.3f,\"serializeMs\":%.3f,"
          "\"totalMs\":%.3f}",
          (double)times->queued_ns / ns_per_ms, (double)times->compile_ns / ns_per_ms,
          (double)times->run_ns / ns_per_ms, (double)times->serialize_ns / ns_per_ms,
          (double)times->total_ns / ns_per_ms);
}

/* A member that is JSON already; nothing where it was not produced. */
static void write_json_member(FILE *out, const char *name, kiln_bytes *json) {
  if (json == NULL) return;
  kiln_span text = kiln_bytes_get(json);
  if (text.length == 0) return;
  fprintf(out, ",\"%s\":", name);
  fwrite(text.data, 1, text.length, out);
}

void srv_write_console(FILE *out, const kiln_response *response) {
  write_json_member(out, "console", response->console_json);
  if (response->console_truncated) fputs(",\"consoleTruncated\":true", out);
}

/* Whether a code that came with an exception may be shown as one: scripts choose theirs freely. */
static bool is_exceptions_code(const char *code) {
  static const char *const others[] = {"ERR_SCRIPT_EXECUTION_TIMEOUT", "ERR_MEMORY_LIMIT",
                                       "ERR_ENGINE_CRASHED", "ERR_ENGINE_PROTOCOL"};
  static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";
  if (strncmp(code, "ERR_", 4) != 0 || strspn(code, letters) != strlen(code)) return false;
  for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
    if (strcmp(code, others[i]) == 0) return false;
  return true;
}

static const char *fate_code(const kiln_response *response) {
  bool has_code = response->code != NULL && response->code[0] != '\0';
  if (has_code &&
      (response->outcome != KILN_OUTCOME_EXCEPTION || is_exceptions_code(response->code)))
    return response->code;
  switch (response->outcome) {
    case KILN_OUTCOME_TIME_LIMIT:
      return "ERR_SCRIPT_EXECUTION_TIMEOUT";
    case KILN_OUTCOME_MEMORY_LIMIT:
      return "ERR_WORKER_OUT_OF_MEMORY";
    case KILN_OUTCOME_CRASHED:
      return "ERR_WORKER_CRASHED";
    case KILN_OUTCOME_EXCEPTION:
    case KILN_OUTCOME_OK:
      break;
  }
  return "ERR_SCRIPT_EXCEPTION";
}

static void write_text_member(FILE *out, const char *name, const char *text) {
  if (text == NULL || text[0] == '\0') return;
  fprintf(out, ",\"%s\":", name);
  srv_json_text(out, text);
}

static void write_fate(FILE *out, const kiln_response *response, bool with_source_line) {
  fputs("{\"error\":{\"code\":", out);
  srv_json_text(out, fate_code(response));
  write_text_member(out, "name", response->name);
  fputs(",\"message\":", out);
  srv_json_text(out, response->message != NULL ? response->message : "");
  write_text_member(out, "stack", response->stack);
  if (response->line > 0)
    fprintf(out, ",\"line\":%d,\"column\":%d", response->line, response->column);
  write_text_member(out, "resource", response->resource);
  if (with_source_line) write_text_member(out, "sourceLine", response->source_line);
  fprintf(out, "},\"outcome\":\"%s\"", kiln_outcome_word(response->outcome));
  srv_write_console(out, response);
  fputc(',', out);
  srv_write_times(out, &response->times);
  fputs("}\n", out);
}

void srv_write_run(FILE *out, const kiln_response *response) {
  fputs("{\"outcome\":\"ok\"", out);
  write_json_member(out, "result", response->result_json);
  write_json_member(out, "globals", response->globals_json);
  srv_write_console(out, response);
  if (response->cached_data_rejected >= 0)
    fprintf(out, ",\"cachedDataRejected\":%s",
            response->cached_data_rejected != 0 ? "true" : "false");
  if (response->cache != KILN_CACHE_NONE)
    fprintf(out, ",\"cache\":\"%s\"", kiln_cache_word(response->cache));
  fputc(',', out);
  srv_write_times(out, &response->times);
  write_json_member(out, "memory", response->memory_json);
  fputs("}\n", out);
}

static void write_compile(FILE *out, const kiln_response *response, kiln_kind kind,
                          kiln_mode mode) {
  fputs("{\"key\":", out);
  srv_json_text(out, response->key);
  fputs(",\"engine\":", out);
  srv_json_text(out, response->engine);
  fprintf(out,
          ",\"cache\":\"%s\",\"kind\":\"%s\",\"mode\":\"%s\",\"sourceLength\":%llu,"
          "\"blobLength\":%llu,",
          kiln_cache_word(response->cache), srv_kind_words[kind], srv_mode_words[mode],
          (unsigned long long)response->source_length, (unsigned long long)response->blob_length);
  srv_write_times(out, &response->times);
  fputs("}\n", out);
}

static srv_reply reply_blob(const kiln_response *response) {
  char etag[SRV_ETAG_SIZE];
  kiln_span bytes = kiln_bytes_get(response->blob);
  srv_reply reply = srv_reply_bytes(MHD_HTTP_OK, response->blob);
  srv_etag(response->key, bytes, etag);
  srv_reply_header(&reply, MHD_HTTP_HEADER_ETAG, etag);
  srv_reply_header(&reply, "Kiln-Key", response->key);
  srv_reply_header(&reply, "Kiln-Engine", response->engine != NULL ? response->engine : "");
  srv_reply_header(&reply, "Kiln-Cache", kiln_cache_word(response->cache));
  char sha256[KILN_KEY_HEX + 1];
  if (kiln_bytes_get_sha256(response->blob, sha256))
    srv_reply_header(&reply, "Kiln-Sha256", sha256);
  if (response->reason != NULL) srv_reply_header(&reply, "Kiln-Reason", response->reason);
  return reply;
}

srv_reply srv_reply_nothing(void) {
  srv_reply reply = {.status = MHD_HTTP_NO_CONTENT};
  reply.response = MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
  return reply;
}

srv_reply srv_reply_fate(const kiln_response *response, bool with_source_line) {
  if (response->status != KILN_OK) {
    kiln_error error = response->error;
    error.status = response->status;
    return srv_reply_kiln_error(&error);
  }
  char *text = NULL;
  size_t length = 0;
  FILE *out = open_memstream(&text, &length);
  if (out == NULL) return (srv_reply){.status = MHD_HTTP_UNPROCESSABLE_CONTENT};
  write_fate(out, response, with_source_line);
  srv_reply reply = srv_reply_stream(MHD_HTTP_UNPROCESSABLE_CONTENT, out, &text, &length);
  if (response->reason != NULL) srv_reply_header(&reply, "Kiln-Reason", response->reason);
  return reply;
}

srv_reply srv_reply_response(const kiln_response *response, kiln_kind kind, kiln_mode mode) {
  if (response->status != KILN_OK || response->outcome != KILN_OUTCOME_OK)
    return srv_reply_fate(response, true);
  if (response->op == KILN_CREATE_CACHED_DATA && response->blob != NULL)
    return reply_blob(response);
  char *text = NULL;
  size_t length = 0;
  FILE *out = open_memstream(&text, &length);
  if (out == NULL) return (srv_reply){.status = MHD_HTTP_OK};
  if (response->op == KILN_RUN) {
    srv_write_run(out, response);
  } else if (response->op == KILN_MEASURE_MEMORY && response->memory_json != NULL) {
    kiln_span json = kiln_bytes_get(response->memory_json);
    fwrite(json.data, 1, json.length, out);
    fputc('\n', out);
  } else {
    write_compile(out, response, kind, mode);
  }
  srv_reply reply = srv_reply_stream(MHD_HTTP_OK, out, &text, &length);
  if (response->reason != NULL) srv_reply_header(&reply, "Kiln-Reason", response->reason);
  return reply;
}
