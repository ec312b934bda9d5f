/* SPDX-License-Identifier: MIT
 *
 * fields.h: how a body and a query become fields. A table says who knows which field, in JSON and
 * in the query, and what takes its value.
 */
#ifndef KILN_SERVER_FIELDS_H
#define KILN_SERVER_FIELDS_H

#include "server/request.h"

typedef enum srv_in_query {
  SRV_NOT_IN_QUERY,
  SRV_QUERY_TEXT,
  SRV_QUERY_NUMBER,
  SRV_QUERY_LIST
} srv_in_query;

typedef void (*srv_field_fn)(srv_parsed *parsed, const char *name, json_t *value);

typedef struct srv_field {
  const char *name;
  unsigned takers; /* bits by kiln_op or kiln_command_op */
  srv_in_query query;
  srv_field_fn take;
} srv_field;

typedef struct srv_fields {
  const srv_field *rows;
  size_t count;
  unsigned taker; /* whose request this is */
} srv_fields;

/* Takes all fields of a request. False: parsed->refusal says what is wrong. */
bool srv_fields_read(srv_parsed *parsed, const srv_fields *known, srv_body_form form,
                     kiln_bytes *body, const srv_query_pair *query, size_t query_count);

/* Fields that operations and commands share; each goes to its place in parsed->kiln (request.c). */
void srv_field_source(srv_parsed *parsed, const char *name, json_t *value);
void srv_field_key(srv_parsed *parsed, const char *name, json_t *value);
void srv_field_filename(srv_parsed *parsed, const char *name, json_t *value);
void srv_field_engine(srv_parsed *parsed, const char *name, json_t *value);
void srv_field_context_name(srv_parsed *parsed, const char *name, json_t *value);
void srv_field_context_origin(srv_parsed *parsed, const char *name, json_t *value);
void srv_field_line_offset(srv_parsed *parsed, const char *name, json_t *value);
void srv_field_column_offset(srv_parsed *parsed, const char *name, json_t *value);
void srv_field_measure_mode(srv_parsed *parsed, const char *name, json_t *value);
void srv_field_execution(srv_parsed *parsed, const char *name, json_t *value);
void srv_field_microtask_mode(srv_parsed *parsed, const char *name, json_t *value);
void srv_field_timeout(srv_parsed *parsed, const char *name, json_t *value);
void srv_field_globals(srv_parsed *parsed, const char *name, json_t *value);
void srv_field_args(srv_parsed *parsed, const char *name, json_t *value);
void srv_field_code_generation(srv_parsed *parsed, const char *name, json_t *value);
void srv_field_params(srv_parsed *parsed, const char *name, json_t *value);

#endif
