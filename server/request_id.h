/* SPDX-License-Identifier: MIT
 *
 * request_id.h: the name of a request, in the answer's header X-Request-Id and in the access log:
 * the client's own where it sent one that is safe to repeat, else one of ours. Answers that
 * libmicrohttpd gives by itself have none.
 */
#ifndef KILN_SERVER_REQUEST_ID_H
#define KILN_SERVER_REQUEST_ID_H

#include "server/server.h"

#define SRV_REQUEST_ID_HEADER "X-Request-Id"

/* Sets request->id, from request->headers. */
void srv_request_id_choose(srv_request *request);

/* A new one: unique in this process, not to be guessed from others. */
void srv_request_id_make(char ret_id[SRV_REQUEST_ID_MAX + 1]);

/* Whether a client may name a request so: 1 to 64 of [A-Za-z0-9._-]. */
bool srv_request_id_check(const char *id);

#endif
