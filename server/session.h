/* SPDX-License-Identifier: MIT
 *
 * session.h: the commands of sessions as HTTP has them, and what a request of one is read into.
 */
#ifndef KILN_SERVER_SESSION_H
#define KILN_SERVER_SESSION_H

#include "server/operate.h"

/* What an answer shows of a response. */
typedef enum srv_view {
  SRV_VIEW_MADE,      /* 201: the new object's id */
  SRV_VIEW_RUN,       /* as /v1/run */
  SRV_VIEW_STATE,     /* a module's or context's state */
  SRV_VIEW_EVALUATED, /* ... with what the module printed */
  SRV_VIEW_GLOBALS,   /* the context's globals, nothing around them */
  SRV_VIEW_MEMORY,    /* as /v1/measureMemory */
  SRV_VIEW_BLOB,      /* bytes */
  SRV_VIEW_NAMESPACE, /* a member of the state */
  SRV_VIEW_ERROR,     /* another */
  SRV_VIEW_NOTHING    /* 204 */
} srv_view;

/* X(id, op, noun, view). A route's command; the id is also the bit of those who take a field. */
#define SRV_COMMAND_MAP(X)                                                               \
  X(SRV_CONTEXT_CREATE, KILN_CONTEXT_CREATE, "context", SRV_VIEW_MADE)                   \
  X(SRV_CONTEXT_RUN, KILN_CONTEXT_RUN, "context", SRV_VIEW_RUN)                          \
  X(SRV_CONTEXT_MEASURE, KILN_CONTEXT_MEASURE, "context", SRV_VIEW_MEMORY)               \
  X(SRV_CONTEXT_GLOBALS, KILN_CONTEXT_GLOBALS, "context", SRV_VIEW_GLOBALS)              \
  X(SRV_CONTEXT_GET, KILN_MODULE_GET, "context", SRV_VIEW_STATE)                         \
  X(SRV_CONTEXT_DELETE, KILN_OBJECT_DELETE, "context", SRV_VIEW_NOTHING)                 \
  X(SRV_SCRIPT_CREATE, KILN_SCRIPT_CREATE, "script", SRV_VIEW_MADE)                      \
  X(SRV_SCRIPT_RUN, KILN_SCRIPT_RUN, "script", SRV_VIEW_RUN)                             \
  X(SRV_SCRIPT_CACHED_DATA, KILN_OBJECT_CREATE_CACHED_DATA, "script", SRV_VIEW_BLOB)     \
  X(SRV_SCRIPT_DELETE, KILN_OBJECT_DELETE, "script", SRV_VIEW_NOTHING)                   \
  X(SRV_FUNCTION_CREATE, KILN_FUNCTION_CREATE, "function", SRV_VIEW_MADE)                \
  X(SRV_FUNCTION_CALL, KILN_FUNCTION_CALL, "function", SRV_VIEW_RUN)                     \
  X(SRV_FUNCTION_CACHED_DATA, KILN_OBJECT_CREATE_CACHED_DATA, "function", SRV_VIEW_BLOB) \
  X(SRV_FUNCTION_DELETE, KILN_OBJECT_DELETE, "function", SRV_VIEW_NOTHING)               \
  X(SRV_MODULE_CREATE, KILN_MODULE_CREATE, "module", SRV_VIEW_MADE)                      \
  X(SRV_MODULE_LINK, KILN_MODULE_LINK, "module", SRV_VIEW_STATE)                         \
  X(SRV_MODULE_EVALUATE, KILN_MODULE_EVALUATE, "module", SRV_VIEW_EVALUATED)             \
  X(SRV_MODULE_SET_EXPORT, KILN_MODULE_SET_EXPORT, "module", SRV_VIEW_STATE)             \
  X(SRV_MODULE_GET, KILN_MODULE_GET, "module", SRV_VIEW_STATE)                           \
  X(SRV_MODULE_NAMESPACE, KILN_MODULE_GET, "module", SRV_VIEW_NAMESPACE)                 \
  X(SRV_MODULE_ERROR, KILN_MODULE_GET, "module", SRV_VIEW_ERROR)                         \
  X(SRV_MODULE_CACHED_DATA, KILN_OBJECT_CREATE_CACHED_DATA, "module", SRV_VIEW_BLOB)     \
  X(SRV_MODULE_DELETE, KILN_OBJECT_DELETE, "module", SRV_VIEW_NOTHING)
typedef enum srv_command_id {
#define SRV_COMMAND_ENUM(id, op, noun, view) id,
  SRV_COMMAND_MAP(SRV_COMMAND_ENUM)
#undef SRV_COMMAND_ENUM
      SRV_COMMAND_IDS
} srv_command_id;

/* A parsed command. `kiln` points into the rest, which lives until srv_command_release(). All-zero
 * before it is read. */
typedef struct srv_command {
  srv_parsed parsed; /* first: fields that operations have, too, are taken into its kiln_request */
  kiln_command kiln;
  bool hide_source_line;
  char *extensions;
  char *this_value;
  char *meta;
  char *exports;
  char *value;
  kiln_link *links;
  char **attributes; /* per link */
} srv_command;

/* An srv_parse_fn for the route's command: `ret_parsed` is the first member of an srv_command. */
bool srv_parse_command(const struct srv_route *route, srv_body_form form, kiln_bytes *body,
                       const srv_query_pair *query, size_t query_count, srv_parsed *ret_parsed);
void srv_command_release(srv_command *command);

/* The answer to a command: srv_answer's `make`. */
srv_reply srv_reply_command(const kiln_response *response, const srv_answer *answer);

#endif
