/* SPDX-License-Identifier: MIT
 *
 * http.h: the daemon: listens, takes requests apart into head, body and end, and stops. Knows no
 * route's meaning.
 */
#ifndef KILN_SERVER_HTTP_H
#define KILN_SERVER_HTTP_H

#include "server/server.h"

/* A listening socket. */
typedef struct srv_listening {
  int fd;
  bool loopback; /* only this machine can reach it */
  unsigned port;
  char host[80]; /* of a URL: IPv6 in brackets */
} srv_listening;

typedef enum srv_listen_result {
  SRV_LISTENING,
  SRV_LISTEN_FAILED,
  SRV_LISTEN_OPEN, /* strangers could reach it, and need no token */
} srv_listen_result;

/* Opens the socket that options->listen names, or takes `inherited` (-1: none). Otherwise there is
 * one line in `message`. */
srv_listen_result srv_listen(const srv_options *options, int inherited,
                             srv_listening *ret_listening, char *message, size_t message_size);

/* Whether options->listen names an address, and one that may be listened on. */
bool srv_listen_check(const srv_options *options, char *message, size_t message_size);

/* Starts serving on `listen_fd`, which the daemon then owns. False: message says why. */
bool srv_http_start(srv_server *server, int listen_fd, char *message, size_t message_size);

/* Takes no more connections or requests; those in flight go on. */
void srv_http_quiesce(srv_server *server);

/* Ends all connections and the daemon. No request may be suspended any more. */
void srv_http_stop(srv_server *server);

#endif
