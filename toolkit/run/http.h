/* SPDX-License-Identifier: MIT
 *
 * http.h: HTTP servers inside the event loop, on libmicrohttpd. A module of its own
 * (kiln-run-http.so), loaded by the first server: most scripts need none, and libmicrohttpd takes
 * longer to load than they may take to run. Knows nothing of JavaScript.
 *
 * All of it happens on the loop's thread. MHD has no threads: its epoll descriptor is watched by
 * the loop, and a request's connection is suspended from the time its body is here until it is
 * answered. Events are told after MHD_run() has returned, so their receivers may call anything.
 */
#ifndef KILN_TOOLKIT_RUN_HTTP_H
#define KILN_TOOLKIT_RUN_HTTP_H

#include <uv.h>

#include "shim/kv8.h"

#define KILN__HTTP_MODULE "kiln-run-http.so"
/* A request's body is taken whole; over this it is answered with 413. */
#define KILN__HTTP_BODY_MAX (16u << 20)

/* From so many bytes on that wait to be sent, `drained` is told. */
#define KILN__HTTP_HIGH_WATER 16384

typedef struct kiln__http kiln__http;

typedef struct kiln__http_events {
  /* A request is here. `head`: method, target, version, the client's address and port, then names
   * and values of headers, each ending with NUL; as UTF-8 of what is Latin-1 on the wire. Both are
   * lent for the call. */
  void (*asked)(void *user, uint64_t server, uint64_t request, kv8_span head, kv8_span body);
  /* All that was written has been taken, after a write() that gave KILN__HTTP_HIGH_WATER or more.
   */
  void (*drained)(void *user, uint64_t server, uint64_t request);
  /* The request has ended and its number means nothing any more. `sent`: all of the answer was. */
  void (*ended)(void *user, uint64_t server, uint64_t request, bool sent);
  /* After kiln__http_api.close(): nothing is in flight any more. */
  void (*closed)(void *user, uint64_t server);
} kiln__http_events;

typedef struct kiln__http_answer {
  unsigned status;
  kv8_span reason;  /* phrase of the status line */
  kv8_span headers; /* names and values, each ending with NUL; without Content-Length */
  int64_t length;   /* of the body; -1: unknown */
  kv8_span body;    /* its beginning, or if `whole` all of it */
  bool whole;
} kiln__http_answer;

typedef struct kiln__http_api {
  /* NULL: out of memory. `events` and `user` must outlive it. */
  kiln__http *(*start)(uv_loop_t *loop, const kiln__http_events *events, void *user);
  /* Ends all servers at once, and frees all when the loop has run once more; tells no events. */
  void (*stop)(kiln__http *http);

  /* Listens; `host` "" is any address, of IPv6 and IPv4 where both exist. Gives the server's
   * number, or libuv's error, which is negative. */
  int64_t (*listen)(kiln__http *http, const char *host, unsigned port, int backlog);
  /* "ADDRESS PORT FAMILY" of what it listens on; false if it does not. */
  bool (*name)(kiln__http *http, uint64_t server, char *ret_text, size_t size);
  /* Takes no more connections, ends those that wait for a request, and tells when the rest are
   * done. */
  void (*close)(kiln__http *http, uint64_t server);
  /* Ends connections: those that wait for a request, or all. */
  void (*close_connections)(kiln__http *http, uint64_t server, bool idle_only);
  unsigned (*count_connections)(kiln__http *http, uint64_t server);
  /* Whether the server keeps the loop alive. */
  void (*keep_alive)(kiln__http *http, uint64_t server, bool on);

  /* Answers a request, once; more of the body follows by write() and end() if it is not whole.
   * False: the request has ended, or has been answered. */
  bool (*answer)(kiln__http *http, uint64_t request, const kiln__http_answer *answer);
  /* Gives how many bytes wait to be taken, this one's included; -1: the request has ended. */
  int64_t (*write)(kiln__http *http, uint64_t request, kv8_span bytes);
  void (*end)(kiln__http *http, uint64_t request);
  /* Ends its connection. */
  void (*destroy)(kiln__http *http, uint64_t request);
} kiln__http_api;

/* The one symbol of the module. */
#define KILN__HTTP_API "kiln__http_api_get"
__attribute__((visibility("default"))) const kiln__http_api *kiln__http_api_get(void);

#endif
