/* SPDX-License-Identifier: MIT
 *
 * operate.h: the operations' requests while the kiln works on them.
 */
#ifndef KILN_SERVER_OPERATE_H
#define KILN_SERVER_OPERATE_H

#include "server/request.h"
#include "server/server.h"

/* Reads a request's fields into *ret_parsed, which its maker releases in any case. */
typedef bool (*srv_parse_fn)(const struct srv_route *route, srv_body_form form, kiln_bytes *body,
                             const srv_query_pair *query, size_t query_count,
                             srv_parsed *ret_parsed);

/* Parses the body and the query of a request. *ret_body is to be given to srv_drop_body(), after
 * the parsed request was released. False: ret_parsed->refusal is to be sent. */
bool srv_parse_request(srv_request *request, srv_parse_fn reader, kiln_bytes **ret_body,
                       srv_body_form *ret_form, srv_parsed *ret_parsed);
void srv_drop_body(kiln_bytes *body, srv_body_form form);

/* The reader of operations, for the route's. */
bool srv_parse_operation(const struct srv_route *route, srv_body_form form, kiln_bytes *body,
                         const srv_query_pair *query, size_t query_count, srv_parsed *ret_parsed);

/* How a response becomes an answer. */
typedef struct srv_answer {
  srv_reply (*make)(const kiln_response *response, const struct srv_answer *answer);
  kiln_kind kind; /* of operations */
  kiln_mode mode;
  unsigned view; /* of commands: srv_view */
  const char *noun;
  bool hide_source_line;
} srv_answer;

/* Has the kiln take `wanted` (kiln_submit() or its like). True: the answer comes, and
 * srv_send_or_suspend() is next, then and whenever the request's handler is called again. */
typedef kiln_status (*srv_start_fn)(kiln *k, const void *wanted, kiln_done_fn then, void *user,
                                    kiln_error *err);
bool srv_start(srv_request *request, srv_start_fn start, const void *wanted,
               const srv_answer *answer, srv_reply *ret_refusal);
enum MHD_Result srv_send_or_suspend(srv_request *request);

/* Gives up the request's share of its job; NULL does nothing. */
void srv_job_unref(srv_job *job);

#endif
