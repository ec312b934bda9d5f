/* SPDX-License-Identifier: MIT
 *
 * route.c: see route.h. Paths are compared as MHD unescaped them, byte for byte: no trailing
 * slashes, no dots.
 */
#include "server/route.h"

#include <string.h>

static const srv_route routes[] = {
    {"/v1/cachedData/", SRV_GET, SRV_NO_BODY, 0, srv_handle_cached_data, SRV_ROLE_READ},
    {"/v1/compile", SRV_POST, SRV_SOURCE_OR_JSON, KILN_COMPILE, srv_handle_op, SRV_ROLE_BAKE},
    {"/v1/createCachedData", SRV_POST, SRV_SOURCE_OR_JSON, KILN_CREATE_CACHED_DATA, srv_handle_op,
     SRV_ROLE_BAKE},
    {"/v1/run", SRV_POST, SRV_SOURCE_OR_JSON, KILN_RUN, srv_handle_op, SRV_ROLE_RUN},
    {"/v1/measureMemory", SRV_POST, SRV_JSON_ONLY, KILN_MEASURE_MEMORY, srv_handle_op,
     SRV_ROLE_RUN},
    {"/v1/explain", SRV_GET, SRV_NO_BODY, 0, srv_handle_explain_key, SRV_ROLE_READ},
    {"/v1/explain", SRV_POST, SRV_SOURCE_OR_JSON, KILN_CREATE_CACHED_DATA, srv_handle_explain,
     SRV_ROLE_READ | SRV_ROLE_BAKE},
    {"/v1/stats", SRV_GET, SRV_NO_BODY, 0, srv_handle_stats, SRV_ROLE_READ},
    {"/v1/engines", SRV_GET, SRV_NO_BODY, 0, srv_handle_engines,
     SRV_ROLE_BAKE | SRV_ROLE_RUN | SRV_ROLE_READ},
    {"/v1/openapi.json", SRV_GET, SRV_NO_BODY, 0, srv_handle_openapi, SRV_FREE},
    {"/metrics", SRV_GET, SRV_NO_BODY, 0, srv_handle_metrics, SRV_ROLE_READ},
    {"/readyz", SRV_GET, SRV_NO_BODY, 0, srv_handle_ready, SRV_FREE},
    {"/healthz", SRV_GET, SRV_NO_BODY, 0, srv_handle_health, SRV_FREE},
};
#define ROUTES (sizeof(routes) / sizeof(routes[0]))

size_t srv_route_count(void) {
  return ROUTES;
}

const srv_route *srv_route_at(size_t index) {
  return &routes[index];
}

size_t srv_route_index(const srv_route *route) {
  return (size_t)(route - routes);
}

const char *srv_route_method(const srv_route *route) {
  return route->method == SRV_GET ? MHD_HTTP_METHOD_GET : MHD_HTTP_METHOD_POST;
}

void srv_route_template(const srv_route *route, char ret_template[SRV_TEMPLATE_SIZE]) {
  const char *path = route->path;
  const char *star = strchr(path, '*');
  bool open = path[strlen(path) - 1] == '/';
  if (star != NULL)
    snprintf(ret_template, SRV_TEMPLATE_SIZE, "%.*s{id}%s", (int)(star - path), path, star + 1);
  else
    snprintf(ret_template, SRV_TEMPLATE_SIZE, "%s%s", path, open ? "{key}" : "");
}

static bool matches(const srv_route *route, const char *url) {
  size_t length = strlen(route->path);
  if (route->path[length - 1] != '/') return strcmp(route->path, url) == 0;
  return strncmp(route->path, url, length) == 0 && strchr(url + length, '/') == NULL;
}

const srv_route *srv_route_find(const char *url, const char *method, srv_reply *ret_refusal) {
  bool get = strcmp(method, MHD_HTTP_METHOD_GET) == 0 || strcmp(method, MHD_HTTP_METHOD_HEAD) == 0;
  bool post = strcmp(method, MHD_HTTP_METHOD_POST) == 0;
  unsigned methods = 0; /* that the path takes */
  for (size_t i = 0; i < ROUTES; i++) {
    if (!matches(&routes[i], url)) continue;
    if (routes[i].method == SRV_GET ? get : post) return &routes[i];
    methods |= routes[i].method;
  }
  if (methods != 0) {
    const char *allow = methods == SRV_GET    ? "GET, HEAD"
                        : methods == SRV_POST ? "POST"
                                              : "GET, HEAD, POST";
    *ret_refusal = srv_reply_error(MHD_HTTP_METHOD_NOT_ALLOWED, "ERR_METHOD_NOT_ALLOWED",
                                   "method '%.80s': this path takes %s", method, allow);
    srv_reply_header(ret_refusal, MHD_HTTP_HEADER_ALLOW, allow);
    return NULL;
  }
  *ret_refusal =
      srv_reply_error(MHD_HTTP_NOT_FOUND, "ERR_NOT_FOUND", "path '%.80s': not found", url);
  return NULL;
}
