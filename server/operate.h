/* SPDX-License-Identifier: MIT
 *
 * operate.h: the operations' requests while the kiln works on them.
 */
#ifndef KILN_SERVER_OPERATE_H
#define KILN_SERVER_OPERATE_H

#include "server/request.h"
#include "server/server.h"

/* Parses the body and the query of a request for the route's operation. *ret_body is to be
 * unref'ed, after the parsed request was released. False: ret_parsed->refusal is to be sent. */
bool srv_parse_request(srv_request *request, kiln_bytes **ret_body, srv_body_form *ret_form,
                       srv_parsed *ret_parsed);

/* Gives up the request's share of its job; NULL does nothing. */
void srv_job_unref(srv_job *job);

#endif
