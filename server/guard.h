/* SPDX-License-Identifier: MIT
 *
 * guard.h: the checks on a request's head that libmicrohttpd 0.9.75 does not make. Two parties that
 * read one head differently are how requests are smuggled, so what RFC 9112 tells a server to
 * refuse is refused, and the connection with it.
 */
#ifndef KILN_SERVER_GUARD_H
#define KILN_SERVER_GUARD_H

#include "server/server.h"

/* What is wrong with a request's target as it was sent; NULL: nothing. */
const char *srv_guard_target(const char *uri);

/* The path of a target in absolute form (RFC 9112, 3.2.2), behind its authority, which is written
 * to ret_authority; NULL: it is not in that form. The authority is cut if it is too long for a
 * name. */
#define SRV_AUTHORITY_SIZE 300
const char *srv_guard_absolute(const char *url, char ret_authority[SRV_AUTHORITY_SIZE]);

/* Reads the headers into request->headers. False: *ret_refusal says why, and the connection must be
 * closed after it. */
bool srv_guard_head(srv_request *request, const char *version, srv_reply *ret_refusal);

/* Whether a request for this Host is for us. On a loopback address only names of this machine are
 * answered, so that no web page can reach the service through a name it controls. */
bool srv_guard_host(const srv_server *server, const char *host);

#endif
