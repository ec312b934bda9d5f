/* SPDX-License-Identifier: MIT
 *
 * auth.h: who asks, and whether they may: bearer tokens (tokens.h) against a route's roles, and how
 * often they may (clients.h).
 */
#ifndef KILN_SERVER_AUTH_H
#define KILN_SERVER_AUTH_H

#include "server/faults.h"
#include "server/server.h"

/* With options->tokens reads that file. NULL: faults say why. */
srv_auth *srv_auth_new(const srv_options *options, srv_faults *faults);
void srv_auth_free(srv_auth *auth);

/* Reads the file again; requests that are looked at meanwhile have the old tokens or the new. On a
 * fault the old ones stay. */
bool srv_auth_reload(srv_auth *auth, srv_faults *faults);

/* What a connection's client is called in the tables, where it has no token: by its address. */
uint64_t srv_auth_client(const srv_auth *auth, const struct sockaddr *address);

/* Finds out who asks (request->principal, request->client) and whether that client may now ask for
 * request->route. False: *ret_refusal is 401, 403 or 429. */
bool srv_auth_check(srv_request *request, srv_reply *ret_refusal);

#endif
