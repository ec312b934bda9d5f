/* SPDX-License-Identifier: MIT
 *
 * openapi.h: the description of the service, in OpenAPI 3.1. Its parts are server/openapi/...json,
 * embedded by the build; each has what the others have not: paths, and what these refer to.
 * tests/server/unit.c holds it against the table of routes, tests/server/openapi.js against a
 * kilnd.
 */
#ifndef KILN_SERVER_OPENAPI_H
#define KILN_SERVER_OPENAPI_H

#include <stddef.h>

#include "server/server.h"

typedef struct srv_openapi_part {
  const char *text;
  const char *end;
} srv_openapi_part;
extern const srv_openapi_part srv_openapi_parts[];
extern const size_t srv_openapi_parts_count;

/* The whole as JSON text, to be freed. NULL with one line in `message`: a part is no JSON, or two
 * parts say different things of one member. */
char *srv_openapi_make(char *message, size_t message_size);

/* GET /v1/openapi.json */
enum MHD_Result srv_handle_openapi(srv_request *request);

#endif
