/* SPDX-License-Identifier: MIT
 *
 * http.c: a request's head through libmicrohttpd, over a socket pair, and the guard behind it. What
 * the guard lets pass is held against a reading of the raw bytes that knows nothing of either.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/guard.h"
#include "server/request.h"
#include "tests/fuzz/fuzz.h"

static srv_server server;
static srv_request request;
static bool accepted;
static struct MHD_Response *empty;

static void *see_target(void *cls, const char *uri, struct MHD_Connection *mhd) {
  (void)cls;
  (void)mhd;
  request.target_begin = uri;
  request.target_end = uri + strlen(uri);
  request.target_fault = srv_guard_target(uri);
  return NULL;
}

static enum MHD_Result handle(void *cls, struct MHD_Connection *mhd, const char *url,
                              const char *method, const char *version, const char *data,
                              size_t *length, void **context) {
  char authority[SRV_AUTHORITY_SIZE];
  srv_reply refusal = {0};
  srv_body_form form;
  (void)cls;
  (void)data;
  if (*context != NULL) {
    *length = 0;
    return MHD_YES;
  }
  *context = &request;
  request.mhd = mhd;
  request.url = url;
  request.method = method;
  request.server = &server;
  request.headers = (srv_headers){0};
  accepted = srv_guard_head(&request, version, &refusal);
  if (!accepted) {
    if (refusal.status != MHD_HTTP_BAD_REQUEST) abort();
    srv_reply_release(&refusal);
  } else {
    srv_guard_host(&server, request.headers.host);
    srv_guard_absolute(url, authority);
    if (request.headers.content_type != NULL)
      srv_parse_content_type(request.headers.content_type, &form);
  }
  return MHD_queue_response(mhd, MHD_HTTP_OK, empty);
}

static bool is_name(const char *line, size_t length, const char *name) {
  size_t size = strlen(name);
  return length > size && line[size] == ':' && strncasecmp(line, name, size) == 0;
}

/* What was accepted must be a head that can be read in one way only. */
static void check(const char *text, size_t size) {
  unsigned lengths = 0;
  unsigned encodings = 0;
  unsigned hosts = 0;
  const char *end = text + size;
  /* To MHD a NUL beside a line end is part of a line's end, as is a line that begins with a colon,
   * and it leaves nothing by which to tell. No proxy sends one. */
  static const char *const hidden[] = {"\0\n", "\0\r", "\n\0", "\n:"};
  if (*text == '\0' || *text == ':') return;
  for (size_t i = 0; i < sizeof(hidden) / sizeof(hidden[0]); i++)
    if (memmem(text, size, hidden[i], 2) != NULL) return;
  while (text < end && (*text == '\r' || *text == '\n')) text++; /* before the request line */
  for (bool first = true;; first = false) {
    const char *feed = memchr(text, '\n', (size_t)(end - text));
    if (feed == NULL || feed == text || feed[-1] != '\r') abort();
    size_t length = (size_t)(feed - text) - 1;
    if (memchr(text, '\0', length) != NULL || memchr(text, '\r', length) != NULL) abort();
    if (length == 0) break;
    if (!first) {
      if (*text == ' ' || *text == '\t' || *text == ':') abort();
      const char *colon = memchr(text, ':', length);
      if (colon == NULL || colon[-1] == ' ' || colon[-1] == '\t') abort();
      if (is_name(text, length, "content-length")) lengths++;
      if (is_name(text, length, "transfer-encoding")) encodings++;
      if (is_name(text, length, "host")) hosts++;
    }
    text = feed + 1;
  }
  if (lengths + encodings > 1 || hosts > 1) abort();
}

static void start(void) {
  static srv_options options = {.listen = "127.0.0.1:8888"};
  server.options = &options;
  server.loopback = true;
  empty = MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
  server.daemon =
      MHD_start_daemon(MHD_USE_NO_LISTEN_SOCKET | MHD_USE_EPOLL, 0, NULL, NULL, handle, NULL,
                       MHD_OPTION_URI_LOG_CALLBACK, see_target, NULL,
                       MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)16384, MHD_OPTION_END);
  if (empty == NULL || server.daemon == NULL) abort();
}

static unsigned count_connections(void) {
  return MHD_get_daemon_info(server.daemon, MHD_DAEMON_INFO_CURRENT_CONNECTIONS)->num_connections;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  int pair[2];
  struct sockaddr_storage address = {.ss_family = AF_UNIX};
  if (server.daemon == NULL) start();
  if (size > 12000) return 0;
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) != 0) abort();
  if (size > 0 && write(pair[0], data, size) != (ssize_t)size) abort();
  shutdown(pair[0], SHUT_WR);
  accepted = false;
  bool once = false;
  /* One request is looked at: the handler sees the first head before MHD goes on to the next. */
  if (MHD_add_connection(server.daemon, pair[1], (struct sockaddr *)&address,
                         sizeof(sa_family_t)) == MHD_YES) {
    for (int i = 0; i < 6; i++) {
      MHD_run(server.daemon);
      if (accepted && !once) {
        once = true;
        check((const char *)data, size);
      }
      if (accepted) break;
    }
    close(pair[0]);
    for (int i = 0; i < 50 && count_connections() > 0; i++) MHD_run(server.daemon);
    if (count_connections() > 0) abort();
  } else {
    close(pair[0]);
  }
  return 0;
}
