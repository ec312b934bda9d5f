/* SPDX-License-Identifier: MIT
 *
 * session_reply.c: the answers to commands. A module's state, a context's globals and a namespace
 * go out as the engine process wrote them: the toolkit has checked that they are JSON.
 */
#include <string.h>

#include "server/json.h"
#include "server/session.h"

/* The members of a JSON object's text, each after a comma. */
static void write_members(FILE *out, kiln_bytes *json) {
  if (json == NULL) return;
  kiln_span text = kiln_bytes_get(json);
  const char *end = text.data + text.length;
  const char *at = memchr(text.data, '{', text.length);
  while (end > text.data && end[-1] != '}') end--;
  if (at == NULL || end - at < 2) return;
  at++;
  end--;
  while (at < end && strchr(" \t\r\n", *at) != NULL) at++;
  if (at == end) return;
  fputc(',', out);
  fwrite(at, 1, (size_t)(end - at), out);
}

static void write_made(FILE *out, const kiln_response *response) {
  fputs("{\"id\":", out);
  srv_json_text(out, response->object_id);
  fputs(",\"session\":", out);
  srv_json_text(out, response->session_id);
  if (response->cached_data_rejected >= 0)
    fprintf(out, ",\"cachedDataRejected\":%s",
            response->cached_data_rejected != 0 ? "true" : "false");
  write_members(out, response->module_json);
  fputc(',', out);
  srv_write_times(out, &response->times);
  fputs("}\n", out);
}

static void write_state(FILE *out, const kiln_response *response) {
  fputs("{\"outcome\":\"ok\"", out);
  write_members(out, response->module_json);
  fputc(',', out);
  srv_write_times(out, &response->times);
  fputs("}\n", out);
}

/* What evaluate() promises is undefined. */
static void write_evaluated(FILE *out, const kiln_response *response) {
  fputs("{\"outcome\":\"ok\",\"result\":{\"type\":\"undefined\"}", out);
  write_members(out, response->module_json);
  srv_write_console(out, response);
  fputc(',', out);
  srv_write_times(out, &response->times);
  fputs("}\n", out);
}

static srv_reply reply_made(const kiln_response *response, const char *noun) {
  char location[KILN_OBJECT_ID_MAX + 32];
  char *text = NULL;
  size_t length = 0;
  FILE *out = open_memstream(&text, &length);
  if (out == NULL) return (srv_reply){.status = MHD_HTTP_CREATED};
  write_made(out, response);
  srv_reply reply = srv_reply_stream(MHD_HTTP_CREATED, out, &text, &length);
  snprintf(location, sizeof(location), "/v1/%ss/%s", noun, response->object_id);
  srv_reply_header(&reply, MHD_HTTP_HEADER_LOCATION, location);
  return reply;
}

static srv_reply reply_text(kiln_span json) {
  char *text = NULL;
  size_t length = 0;
  FILE *out = open_memstream(&text, &length);
  if (out == NULL) return (srv_reply){.status = MHD_HTTP_OK};
  fwrite(json.data, 1, json.length, out);
  fputc('\n', out);
  return srv_reply_stream(MHD_HTTP_OK, out, &text, &length);
}

static srv_reply reply_json(kiln_bytes *json) {
  return reply_text(json != NULL ? kiln_bytes_get(json) : kiln_span_from("{}"));
}

static srv_reply reply_thrown(const kiln_response *response, const char *code, const char *name,
                              const char *message) {
  kiln_response fate = {.outcome = KILN_OUTCOME_EXCEPTION,
                        .op = KILN_SESSION,
                        .code = code,
                        .name = name,
                        .message = message,
                        .cached_data_rejected = -1,
                        .times = response->times};
  return srv_reply_fate(&fate, true);
}

static bool has_member(const kiln_response *response, const char *name, kiln_span *ret_value) {
  return response->module_json != NULL &&
         srv_json_member(kiln_bytes_get(response->module_json), name, ret_value);
}

static bool is_word(kiln_span value, const char *word) {
  return value.length == strlen(word) && memcmp(value.data, word, value.length) == 0;
}

/* What a module has in some states only; Node throws in the others. */
static srv_reply reply_namespace(const kiln_response *response) {
  kiln_span value;
  if (has_member(response, "namespace", &value)) return reply_text(value);
  if (has_member(response, "status", &value) && !is_word(value, "\"unlinked\"") &&
      !is_word(value, "\"linking\""))
    return reply_thrown(response, NULL, "ReferenceError",
                        "Cannot access exports before initialization: evaluate the module first");
  return reply_thrown(response, "ERR_VM_MODULE_STATUS", "Error",
                      "Module status must not be unlinked or linking");
}

static srv_reply reply_error(const kiln_response *response) {
  kiln_span value;
  if (has_member(response, "error", &value)) return reply_text(value);
  return reply_thrown(response, "ERR_VM_MODULE_STATUS", "Error", "Module status must be errored");
}

static srv_reply reply_blob(const kiln_response *response) {
  srv_reply reply = srv_reply_bytes(MHD_HTTP_OK, response->blob);
  srv_reply_header(&reply, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
  if (response->engine != NULL) srv_reply_header(&reply, "Kiln-Engine", response->engine);
  return reply;
}

static srv_reply reply_written(void (*write)(FILE *, const kiln_response *),
                               const kiln_response *response) {
  char *text = NULL;
  size_t length = 0;
  FILE *out = open_memstream(&text, &length);
  if (out == NULL) return (srv_reply){.status = MHD_HTTP_OK};
  write(out, response);
  return srv_reply_stream(MHD_HTTP_OK, out, &text, &length);
}

srv_reply srv_reply_command(const kiln_response *response, const srv_answer *answer) {
  if (response->status != KILN_OK || response->outcome != KILN_OUTCOME_OK)
    return srv_reply_fate(response, !answer->hide_source_line);
  switch ((srv_view)answer->view) {
    case SRV_VIEW_MADE:
      return reply_made(response, answer->noun);
    case SRV_VIEW_RUN:
      return reply_written(srv_write_run, response);
    case SRV_VIEW_STATE:
      return reply_written(write_state, response);
    case SRV_VIEW_EVALUATED:
      return reply_written(write_evaluated, response);
    case SRV_VIEW_GLOBALS:
      return reply_json(response->globals_json);
    case SRV_VIEW_MEMORY:
      return reply_json(response->memory_json);
    case SRV_VIEW_BLOB:
      return reply_blob(response);
    case SRV_VIEW_NAMESPACE:
      return reply_namespace(response);
    case SRV_VIEW_ERROR:
      return reply_error(response);
    case SRV_VIEW_NOTHING:
      break;
  }
  return srv_reply_nothing();
}
