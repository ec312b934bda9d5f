/* SPDX-License-Identifier: MIT
 *
 * http_answer.c: answers. One that is whole is handed to MHD as a copy; one that is written piece
 * by piece is asked for by MHD, and its connection is suspended while there is nothing to send.
 */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "toolkit/run/http_private.h"

/* ---- the reason phrase
 *
 * MHD has no way to set it. It asks these two functions for it, by their exported names, right
 * after a response was queued; and as this module is before libmicrohttpd in the order of symbols,
 * it finds ours. Where it does not, the status line has the standard phrase.
 */

static const http_request *status_line_of;

static const char *reason_of(unsigned status) {
  return status_line_of != NULL && status_line_of->status == status ? status_line_of->reason : NULL;
}

__attribute__((visibility("default"))) size_t MHD_get_reason_phrase_len_for(unsigned status) {
  typedef size_t standard_fn(unsigned);
  static standard_fn *standard;
  const char *reason = reason_of(status);
  if (reason != NULL) return strlen(reason);
  if (standard == NULL) {
    *(void **)&standard = dlsym(RTLD_NEXT, "MHD_get_reason_phrase_len_for");
  }
  return standard == NULL ? 0 : standard(status);
}

__attribute__((visibility("default"))) const char *MHD_get_reason_phrase_for(unsigned status) {
  typedef const char *standard_fn(unsigned);
  static standard_fn *standard;
  const char *reason = reason_of(status);
  status_line_of = NULL; /* the length was asked for before */
  if (reason != NULL) return reason;
  if (standard == NULL) *(void **)&standard = dlsym(RTLD_NEXT, "MHD_get_reason_phrase_for");
  return standard == NULL ? "" : standard(status);
}

/* ---- queueing */

enum MHD_Result http_queue(http_request *request) {
  struct MHD_Response *response = request->response;
  request->response = NULL;
  request->phase = HTTP_ANSWERING;
  status_line_of = request;
  enum MHD_Result result = MHD_queue_response(request->mhd, request->status, response);
  if (result != MHD_YES) status_line_of = NULL;
  MHD_destroy_response(response);
  return result;
}

enum MHD_Result http_refuse(http_request *request, unsigned status, const char *text) {
  struct MHD_Response *response = MHD_create_response_from_buffer(
      strlen(text), (void *)(uintptr_t)text, MHD_RESPMEM_PERSISTENT);
  if (response == NULL) return MHD_NO;
  (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, "text/plain");
  (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
  request->phase = HTTP_ANSWERING;
  enum MHD_Result result = MHD_queue_response(request->mhd, status, response);
  MHD_destroy_response(response);
  return result;
}

void http_request_free(http_request *request) {
  if (status_line_of == request) status_line_of = NULL;
  if (request->response != NULL) MHD_destroy_response(request->response);
  http_bytes_release(&request->body);
  http_bytes_release(&request->out);
  free(request->target);
  free(request->reason);
  free(request);
}

/* ---- what is written piece by piece */

static ssize_t read_out(void *cls, uint64_t position, char *to, size_t size) {
  http_request *request = cls;
  http_bytes *out = &request->out;
  size_t length = out->end - out->begin;
  (void)position;
  if (request->destroyed) return MHD_CONTENT_READER_END_WITH_ERROR;
  if (length == 0) {
    if (request->out_ended) return MHD_CONTENT_READER_END_OF_STREAM;
    if (request->connection->gone) return MHD_CONTENT_READER_END_WITH_ERROR;
    http_suspend(request);
    return 0;
  }
  if (length > size) length = size;
  memcpy(to, out->data + out->begin, length);
  out->begin += length;
  if (out->begin == out->end) {
    http_bytes_release(out);
    if (request->tells_drained) http_tell(request, HTTP_EVENT_DRAINED);
    request->tells_drained = false;
  }
  return (ssize_t)length;
}

int64_t http_write(http_request *request, kv8_span bytes) {
  if (request->phase != HTTP_ANSWERED && request->phase != HTTP_ANSWERING) return -1;
  if (request->destroyed || request->out_ended) return -1;
  if (!http_bytes_append(&request->out, bytes.data, bytes.length)) {
    http_destroy(request);
    return -1;
  }
  size_t waiting = request->out.end - request->out.begin;
  if (waiting >= KILN__HTTP_HIGH_WATER) request->tells_drained = true;
  if (request->phase == HTTP_ANSWERING) http_resume(request);
  return (int64_t)waiting;
}

void http_end(http_request *request) {
  if (request->phase != HTTP_ANSWERED && request->phase != HTTP_ANSWERING) return;
  request->out_ended = true;
  if (request->phase == HTTP_ANSWERING) http_resume(request);
}

void http_destroy(http_request *request) {
  if (request->phase == HTTP_ENDED || request->destroyed) return;
  request->destroyed = true;
  if (request->suspended) {
    http_resume(request); /* then it is called, and says no */
  } else if (request->connection != NULL) {
    (void)shutdown(request->connection->fd, SHUT_RDWR);
  }
}

/* ---- answering */

/* UTF-8 of what is to be Latin-1; ends with two NULs. */
static char *copy_latin1(kv8_span text) {
  char *copy = malloc(text.length + 2);
  size_t length = 0;
  if (copy == NULL) return NULL;
  for (size_t i = 0; i < text.length; i++) {
    unsigned char c = (unsigned char)text.data[i];
    if ((c == 0xc2 || c == 0xc3) && i + 1 < text.length) {
      c = (unsigned char)(c << 6 | ((unsigned char)text.data[++i] & 0x3f));
    }
    copy[length++] = (char)c;
  }
  memset(copy + length, 0, text.length + 2 - length);
  return copy;
}

static bool add_headers(struct MHD_Response *response, kv8_span headers) {
  char *text = copy_latin1(headers);
  if (text == NULL) return false;
  for (const char *name = text; *name != '\0';) {
    const char *value = name + strlen(name) + 1;
    /* MHD takes no empty value; and of "Connection: keep-alive", which it refuses, it sends its
     * own. */
    (void)MHD_add_response_header(response, name, *value == '\0' ? " " : value);
    name = value + strlen(value) + 1;
  }
  free(text);
  return true;
}

static struct MHD_Response *make_response(http_request *request, const kiln__http_answer *answer) {
  if (answer->whole && (answer->length < 0 || (uint64_t)answer->length == answer->body.length)) {
    return MHD_create_response_from_buffer(
        answer->body.length, (void *)(uintptr_t)answer->body.data, MHD_RESPMEM_MUST_COPY);
  }
  if (!http_bytes_append(&request->out, answer->body.data, answer->body.length)) return NULL;
  request->out_ended = answer->whole;
  return MHD_create_response_from_callback(
      answer->length < 0 ? MHD_SIZE_UNKNOWN : (uint64_t)answer->length, /* block_size= */ 16384,
      read_out, request, /* crfc= */ NULL);
}

bool http_answer(http_request *request, const kiln__http_answer *answer) {
  if (request->phase != HTTP_WAITING || request->destroyed) return false;
  struct MHD_Response *response = make_response(request, answer);
  request->reason = copy_latin1(answer->reason);
  if (response == NULL || request->reason == NULL || !add_headers(response, answer->headers)) {
    if (response != NULL) MHD_destroy_response(response);
    http_destroy(request);
    return false;
  }
  if (request->server->closing) {
    (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
  }
  (void)MHD_set_response_options(response, MHD_RF_SEND_KEEP_ALIVE_HEADER, MHD_RO_END);
  request->response = response;
  request->status = answer->status;
  request->phase = HTTP_ANSWERED;
  http_resume(request);
  return true;
}
