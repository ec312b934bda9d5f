/* SPDX-License-Identifier: MIT
 *
 * request.h: from a body and a query to a kiln_request. Field names, types and error codes are
 * Node's. What is not known is refused by name: an option that is silently ignored is a wrong
 * answer.
 */
#ifndef KILN_SERVER_REQUEST_H
#define KILN_SERVER_REQUEST_H

#include <jansson.h>

#include "server/reply.h"

/* A parsed request. `kiln` points into the rest, which lives until srv_parsed_release(). */
typedef struct srv_parsed {
  kiln_request kiln;
  json_t *root;
  kiln_bytes *source;
  kiln_bytes *workload;
  char *globals;
  char *args;
  kiln_span *params;
  kiln_named_source *modules;
  kiln_measure_context *contexts;
  char **contexts_globals;              /* per context */
  kiln_named_source **contexts_scripts; /* per context */
  /* the first fault found */
  bool failed;
  srv_reply refusal;
} srv_parsed;

/* A parsed value costs up to two hundred times its text, so a body's limit in bytes does not hold
 * the memory down. What begins or separates values counts: [ { , and : outside of strings. */
#define SRV_JSON_VALUES_MAX 1000000

/* SRV_FORM_NONE: there is no body, the query is all. */
typedef enum srv_body_form { SRV_FORM_SOURCE, SRV_FORM_JSON, SRV_FORM_NONE } srv_body_form;

/* One pair of the query; value NULL where there was no '='. */
typedef struct srv_query_pair {
  kiln_span name;
  kiln_span value;
  bool has_value;
} srv_query_pair;
#define SRV_QUERY_MAX (KILN_PARAMS_MAX + 64)

/* Fills *ret_parsed, to be released in any case. False: ret_parsed->refusal says what is wrong and
 * is the caller's to send. */
bool srv_parse(kiln_op op, srv_body_form form, kiln_bytes *body, const srv_query_pair *query,
               size_t query_count, srv_parsed *ret_parsed);
void srv_parsed_release(srv_parsed *parsed);

/* What a Content-Type says. False: none that is taken. */
bool srv_parse_content_type(const char *value, srv_body_form *ret_form);

#endif
