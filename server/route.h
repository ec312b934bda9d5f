/* SPDX-License-Identifier: MIT
 *
 * route.h: which path and method is whose. The handlers themselves live in operate.c, cached.c,
 * session.c and about.c.
 */
#ifndef KILN_SERVER_ROUTE_H
#define KILN_SERVER_ROUTE_H

#include "server/server.h"

/* GET means HEAD as well. */
typedef enum srv_methods { SRV_GET = 1, SRV_POST = 2, SRV_DELETE = 4 } srv_methods;

/* What bodies a route takes. */
typedef enum srv_bodies {
  SRV_NO_BODY,
  SRV_SOURCE_OR_JSON,
  SRV_JSON_ONLY,
  SRV_OPTIONAL_JSON /* all its fields may be absent, and so may the body */
} srv_bodies;

/* Called when the request is complete, and again when a suspended one goes on. Sends a reply or
 * suspends. */
typedef enum MHD_Result (*srv_handler_fn)(srv_request *request);

/* No token is needed. A route whose roles are 0 is for admin. */
#define SRV_FREE 0x100u

typedef struct srv_route {
  const char *path; /* one that ends in '/' takes any single segment below it; so does a '*' */
  srv_methods method;
  srv_bodies bodies;
  unsigned op; /* kiln_op; of srv_handle_command srv_command_id */
  srv_handler_fn handler;
  unsigned roles; /* any of these may (srv_role), besides admin; or SRV_FREE */
} srv_route;

/* The table, for who counts or describes it. */
size_t srv_route_count(void);
const srv_route *srv_route_at(size_t index);
size_t srv_route_index(const srv_route *route);
const char *srv_route_method(const srv_route *route); /* "GET" */

/* The path as a template: "/v1/cachedData/{key}". */
#define SRV_TEMPLATE_SIZE 96
void srv_route_template(const srv_route *route, char ret_template[SRV_TEMPLATE_SIZE]);

/* Finds the route; NULL with *ret_refusal 404, or 405 with Allow. */
const srv_route *srv_route_find(const char *url, const char *method, srv_reply *ret_refusal);

/* The segment of `url` where the path has its '*'; empty: there is none. */
kiln_span srv_route_id(const srv_route *route, const char *url);

enum MHD_Result srv_handle_op(srv_request *request);          /* operate.c */
enum MHD_Result srv_handle_cached_data(srv_request *request); /* cached.c */
enum MHD_Result srv_handle_stats(srv_request *request);       /* about.c */
enum MHD_Result srv_handle_engines(srv_request *request);
enum MHD_Result srv_handle_health(srv_request *request);
enum MHD_Result srv_handle_metrics(srv_request *request); /* metrics.c */
enum MHD_Result srv_handle_openapi(srv_request *request); /* openapi.c */
enum MHD_Result srv_handle_ready(srv_request *request);   /* ready.c */
enum MHD_Result srv_handle_explain(srv_request *request); /* explain.c */
enum MHD_Result srv_handle_explain_key(srv_request *request);
enum MHD_Result srv_handle_command(srv_request *request); /* session.c */
enum MHD_Result srv_handle_session(srv_request *request);

#endif
