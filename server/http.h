/* SPDX-License-Identifier: MIT
 *
 * http.h: the daemon: listens, takes requests apart into head, body and end, and stops. Knows no
 * route's meaning.
 */
#ifndef KILN_SERVER_HTTP_H
#define KILN_SERVER_HTTP_H

#include "server/server.h"

/* Opens the socket that `listen` names. Returns the descriptor, or -1 with one line in `message`.
 * *ret_loopback tells whether only this machine can reach it. */
int srv_listen(const char *listen, bool *ret_loopback, unsigned *ret_port, char *message,
               size_t message_size);

/* Starts serving on `listen_fd`, which the daemon then owns. False: message says why. */
bool srv_http_start(srv_server *server, int listen_fd, char *message, size_t message_size);

/* Takes no more connections or requests; those in flight go on. */
void srv_http_quiesce(srv_server *server);

/* Ends all connections and the daemon. No request may be suspended any more. */
void srv_http_stop(srv_server *server);

#endif
