/* SPDX-License-Identifier: MIT
 *
 * http_request.c: what MHD calls while a request comes in. The access handler is called for the
 * head, for each piece of the body, and at the end. A response queued for the head closes the
 * connection: right for a head that is malformed, wrong for everything else.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "toolkit/run/http_private.h"

/* A body that is too big is read to its end, so that its sender gets to read the answer; but not
 * for ever. */
#define DROPPED_MAX ((uint64_t)1 << 30)

/* ---- bytes */

bool http_bytes_append(http_bytes *bytes, const void *data, size_t length) {
  if (length == 0) return true;
  if (bytes->size - bytes->end < length && bytes->begin > 0) {
    memmove(bytes->data, bytes->data + bytes->begin, bytes->end - bytes->begin);
    bytes->end -= bytes->begin;
    bytes->begin = 0;
  }
  if (bytes->size - bytes->end < length) {
    size_t size = bytes->size < 1024 ? 1024 : bytes->size * 2;
    if (size < bytes->end + length) size = bytes->end + length;
    char *grown = realloc(bytes->data, size);
    if (grown == NULL) return false;
    bytes->data = grown;
    bytes->size = size;
  }
  memcpy(bytes->data + bytes->end, data, length);
  bytes->end += length;
  return true;
}

void http_bytes_release(http_bytes *bytes) {
  free(bytes->data);
  *bytes = (http_bytes){0};
}

/* ---- the head */

/* MHD 0.9.75 takes heads that leave open where the body ends. What is behind them would be taken
 * for the next request. */
typedef struct head_check {
  unsigned lengths, encodings;
  uint64_t length;
  bool expect;
  const char *fault;
} head_check;

static bool is(const char *name, size_t length, const char *wanted) {
  return strlen(wanted) == length && strncasecmp(name, wanted, length) == 0;
}

static bool is_token(const char *text, size_t length) {
  static const char marks[] = "!#$%&'*+-.^_`|~";
  for (size_t i = 0; i < length; i++) {
    unsigned char c = (unsigned char)text[i];
    bool alphanumeric = (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
    if (!alphanumeric && (c == '\0' || strchr(marks, c) == NULL)) return false;
  }
  return length > 0;
}

static bool parse_length(const char *value, uint64_t *ret_length) {
  uint64_t length = 0;
  if (*value == '\0') return false;
  for (; *value != '\0'; value++) {
    if (*value < '0' || *value > '9' || length > UINT64_MAX / 10 - 1) return false;
    length = length * 10 + (uint64_t)(*value - '0');
  }
  *ret_length = length;
  return true;
}

static enum MHD_Result check_header(void *cls, enum MHD_ValueKind kind, const char *name,
                                    size_t name_length, const char *value, size_t value_length) {
  head_check *check = cls;
  (void)kind;
  if (value == NULL) value = "";
  if (!is_token(name, name_length)) {
    check->fault = "a header's name is no token";
  } else if (strlen(value) != value_length) {
    check->fault = "a header's value has a NUL byte";
  } else if (is(name, name_length, "content-length")) {
    if (++check->lengths > 1) check->fault = "more than one Content-Length";
    if (!parse_length(value, &check->length)) check->fault = "Content-Length is no number";
  } else if (is(name, name_length, "transfer-encoding")) {
    if (++check->encodings > 1) check->fault = "more than one Transfer-Encoding";
    if (strcasecmp(value, "chunked") != 0) check->fault = "Transfer-Encoding other than chunked";
  } else if (is(name, name_length, "expect")) {
    check->expect = true;
  }
  return check->fault == NULL ? MHD_YES : MHD_NO;
}

static void refuse_later(http_request *request, unsigned status, const char *text) {
  request->phase = HTTP_REFUSED;
  request->refusal_status = status;
  request->refusal_text = text;
  http_bytes_release(&request->body);
}

static void refuse_body(http_request *request) {
  /* 16777216 is KILN__HTTP_BODY_MAX. */
  refuse_later(request, MHD_HTTP_CONTENT_TOO_LARGE,
               "The request's body is over 16777216 bytes, which is the limit of kiln run.\n");
}
_Static_assert(KILN__HTTP_BODY_MAX == 16777216, "the text says so");

static enum MHD_Result take_head(http_request *request, const char *method, const char *version) {
  head_check check = {0};
  bool http_1_0 = strcmp(version, MHD_HTTP_VERSION_1_0) == 0;
  MHD_get_connection_values_n(request->mhd, MHD_HEADER_KIND, check_header, &check);
  if (check.fault == NULL && check.encodings > 0 && (check.lengths > 0 || http_1_0)) {
    check.fault = "Transfer-Encoding beside Content-Length or in HTTP/1.0";
  }
  if (check.fault == NULL && !is_token(method, strlen(method))) check.fault = "method is no token";
  if (check.fault != NULL) {
    return http_refuse(request, MHD_HTTP_BAD_REQUEST, check.fault);
  }
  request->method = method;
  request->version = version;
  request->phase = HTTP_BODY;
  if (check.length <= KILN__HTTP_BODY_MAX) return MHD_YES;
  refuse_body(request);
  /* Who asks first has sent nothing yet. */
  if (check.expect) return http_refuse(request, request->refusal_status, request->refusal_text);
  return MHD_YES;
}

/* ---- the body */

static enum MHD_Result take_piece(http_request *request, const char *data, size_t length) {
  request->received += length;
  if (request->phase == HTTP_REFUSED) {
    return request->received <= DROPPED_MAX ? MHD_YES : MHD_NO;
  }
  if (request->received > KILN__HTTP_BODY_MAX) {
    refuse_body(request);
  } else if (!http_bytes_append(&request->body, data, length)) {
    refuse_later(request, MHD_HTTP_SERVICE_UNAVAILABLE, "Out of memory.\n");
  }
  return MHD_YES;
}

/* The end of the request, and again when it is resumed. */
static enum MHD_Result take_end(http_request *request) {
  switch (request->phase) {
    case HTTP_REFUSED:
      return http_refuse(request, request->refusal_status, request->refusal_text);
    case HTTP_BODY:
      request->phase = HTTP_WAITING;
      http_tell(request, HTTP_EVENT_ASKED);
      http_suspend(request);
      return MHD_YES;
    case HTTP_WAITING:
      http_suspend(request);
      return MHD_YES;
    case HTTP_ANSWERED:
      return http_queue(request);
    default:
      return MHD_NO;
  }
}

enum MHD_Result http_handle(void *cls, struct MHD_Connection *mhd, const char *url,
                            const char *method, const char *version, const char *data,
                            size_t *length, void **context) {
  http_server *server = cls;
  http_request *request = *context;
  (void)mhd;
  (void)url;
  if (request == NULL || request->destroyed || server->ending) return MHD_NO;
  if (request->phase == HTTP_HEAD) return take_head(request, method, version);
  if (*length == 0) return take_end(request);
  enum MHD_Result result = take_piece(request, data, *length);
  *length = 0;
  return result;
}

/* ---- begin and end */

/* The one place where the target is seen as it was sent. What it returns is the handler's context.
 */
void *http_see_target(void *cls, const char *uri, struct MHD_Connection *mhd) {
  http_connection *connection =
      MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
  if (connection == NULL) return NULL;
  http_request *request = calloc(1, sizeof(*request));
  if (request == NULL) return NULL;
  request->target = strdup(uri);
  if (request->target == NULL) {
    free(request);
    return NULL;
  }
  request->server = cls;
  request->mhd = mhd;
  request->connection = connection;
  connection->request = request;
  return request;
}

void http_complete(void *cls, struct MHD_Connection *mhd, void **context,
                   enum MHD_RequestTerminationCode code) {
  http_server *server = cls;
  http_request *request = *context;
  (void)mhd;
  *context = NULL;
  if (request == NULL) return;
  request->connection->request = NULL;
  if (server->closing) (void)shutdown(request->connection->fd, SHUT_RD);
  request->connection = NULL;
  request->mhd = NULL;
  request->sent = request->phase == HTTP_ANSWERING && code == MHD_REQUEST_TERMINATED_COMPLETED_OK;
  request->phase = HTTP_ENDED;
  if (request->number != 0 || request->queued) {
    http_tell(request, HTTP_EVENT_ENDED);
  } else {
    http_request_free(request);
  }
}

/* ---- telling */

/* Appends Latin-1 as UTF-8, and a NUL. */
static void append_text(http_bytes *text, const char *from, size_t length) {
  for (size_t i = 0; i < length; i++) {
    unsigned char c = (unsigned char)from[i];
    char utf8[2] = {(char)(c < 0x80 ? c : 0xc0 | c >> 6), (char)(0x80 | (c & 0x3f))};
    (void)http_bytes_append(text, utf8, c < 0x80 ? 1 : 2);
  }
  (void)http_bytes_append(text, "", 1);
}

static enum MHD_Result append_header(void *cls, enum MHD_ValueKind kind, const char *name,
                                     size_t name_length, const char *value, size_t value_length) {
  (void)kind;
  append_text(cls, name, name_length);
  append_text(cls, value == NULL ? "" : value, value_length);
  return MHD_YES;
}

static void append_client(http_bytes *text, struct MHD_Connection *mhd) {
  char host[INET6_ADDRSTRLEN] = "", port[8];
  const struct sockaddr *address =
      MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS)->client_addr;
  in_port_t number = 0;
  if (address->sa_family == AF_INET) {
    struct sockaddr_in in;
    memcpy(&in, address, sizeof(in));
    (void)inet_ntop(AF_INET, &in.sin_addr, host, sizeof(host));
    number = ntohs(in.sin_port);
  } else if (address->sa_family == AF_INET6) {
    struct sockaddr_in6 in6;
    memcpy(&in6, address, sizeof(in6));
    (void)inet_ntop(AF_INET6, &in6.sin6_addr, host, sizeof(host));
    number = ntohs(in6.sin6_port);
  }
  (void)snprintf(port, sizeof(port), "%u", number);
  append_text(text, host, strlen(host));
  append_text(text, port, strlen(port));
}

void http_tell_asked(http_request *request) {
  http_server *server = request->server;
  http_bytes head = {0};
  if (request->mhd == NULL) return; /* it has ended already */
  append_text(&head, request->method, strlen(request->method));
  append_text(&head, request->target, strlen(request->target));
  append_text(&head, request->version, strlen(request->version));
  append_client(&head, request->mhd);
  MHD_get_connection_values_n(request->mhd, MHD_HEADER_KIND, append_header, &head);
  kv8_span body = {request->body.data, request->body.end};
  server->http->events->asked(server->http->user, server->number, request->number,
                              (kv8_span){head.data, head.end}, body);
  http_bytes_release(&head);
  http_bytes_release(&request->body);
}
