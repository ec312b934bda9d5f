/* SPDX-License-Identifier: MIT
 *
 * route.c: see route.h. Paths are compared as MHD unescaped them, byte for byte: no trailing
 * slashes, no dots.
 */
#include "server/route.h"

#include <string.h>

#include "server/session.h"

#define COMMAND(path, method, bodies, command) \
  { (path), (method), (bodies), (command), srv_handle_command, SRV_ROLE_RUN }

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
    {"/v1/sessions/*", SRV_GET, SRV_NO_BODY, 0, srv_handle_session, SRV_ROLE_RUN},
    {"/v1/sessions/*", SRV_DELETE, SRV_NO_BODY, 0, srv_handle_session, SRV_ROLE_RUN},
    COMMAND("/v1/contexts", SRV_POST, SRV_OPTIONAL_JSON, SRV_CONTEXT_CREATE),
    COMMAND("/v1/contexts/*/run", SRV_POST, SRV_SOURCE_OR_JSON, SRV_CONTEXT_RUN),
    COMMAND("/v1/contexts/*/measureMemory", SRV_POST, SRV_OPTIONAL_JSON, SRV_CONTEXT_MEASURE),
    COMMAND("/v1/contexts/*/globals", SRV_GET, SRV_NO_BODY, SRV_CONTEXT_GLOBALS),
    COMMAND("/v1/contexts/*", SRV_GET, SRV_NO_BODY, SRV_CONTEXT_GET),
    COMMAND("/v1/contexts/*", SRV_DELETE, SRV_NO_BODY, SRV_CONTEXT_DELETE),
    COMMAND("/v1/scripts", SRV_POST, SRV_SOURCE_OR_JSON, SRV_SCRIPT_CREATE),
    COMMAND("/v1/scripts/*/run", SRV_POST, SRV_OPTIONAL_JSON, SRV_SCRIPT_RUN),
    COMMAND("/v1/scripts/*/createCachedData", SRV_GET, SRV_NO_BODY, SRV_SCRIPT_CACHED_DATA),
    COMMAND("/v1/scripts/*/createCachedData", SRV_POST, SRV_OPTIONAL_JSON, SRV_SCRIPT_CACHED_DATA),
    COMMAND("/v1/scripts/*", SRV_DELETE, SRV_NO_BODY, SRV_SCRIPT_DELETE),
    COMMAND("/v1/functions", SRV_POST, SRV_SOURCE_OR_JSON, SRV_FUNCTION_CREATE),
    COMMAND("/v1/functions/*/call", SRV_POST, SRV_OPTIONAL_JSON, SRV_FUNCTION_CALL),
    COMMAND("/v1/functions/*/createCachedData", SRV_GET, SRV_NO_BODY, SRV_FUNCTION_CACHED_DATA),
    COMMAND("/v1/functions/*/createCachedData", SRV_POST, SRV_OPTIONAL_JSON,
            SRV_FUNCTION_CACHED_DATA),
    COMMAND("/v1/functions/*", SRV_DELETE, SRV_NO_BODY, SRV_FUNCTION_DELETE),
    COMMAND("/v1/modules", SRV_POST, SRV_SOURCE_OR_JSON, SRV_MODULE_CREATE),
    COMMAND("/v1/modules/*/link", SRV_POST, SRV_OPTIONAL_JSON, SRV_MODULE_LINK),
    COMMAND("/v1/modules/*/evaluate", SRV_POST, SRV_OPTIONAL_JSON, SRV_MODULE_EVALUATE),
    COMMAND("/v1/modules/*/setExport", SRV_POST, SRV_JSON_ONLY, SRV_MODULE_SET_EXPORT),
    COMMAND("/v1/modules/*", SRV_GET, SRV_NO_BODY, SRV_MODULE_GET),
    COMMAND("/v1/modules/*/namespace", SRV_GET, SRV_NO_BODY, SRV_MODULE_NAMESPACE),
    COMMAND("/v1/modules/*/error", SRV_GET, SRV_NO_BODY, SRV_MODULE_ERROR),
    COMMAND("/v1/modules/*/createCachedData", SRV_GET, SRV_NO_BODY, SRV_MODULE_CACHED_DATA),
    COMMAND("/v1/modules/*/createCachedData", SRV_POST, SRV_OPTIONAL_JSON, SRV_MODULE_CACHED_DATA),
    COMMAND("/v1/modules/*", SRV_DELETE, SRV_NO_BODY, SRV_MODULE_DELETE),
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
  switch (route->method) {
    case SRV_POST:
      return MHD_HTTP_METHOD_POST;
    case SRV_DELETE:
      return MHD_HTTP_METHOD_DELETE;
    case SRV_GET:
      break;
  }
  return MHD_HTTP_METHOD_GET;
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

/* `url` from where `path` has a segment of its own choosing; NULL: they differ before. */
static const char *find_segment(const char *path, const char *url) {
  while (*path != '\0' && *path != '*' && *path == *url) {
    path++;
    url++;
  }
  return *path == '*' || (*path == '\0' && path[-1] == '/') ? url : NULL;
}

static bool matches(const srv_route *route, const char *url) {
  const char *path = route->path;
  const char *segment = find_segment(path, url);
  if (segment == NULL) return strcmp(path, url) == 0;
  const char *star = strchr(path, '*');
  if (star == NULL) return strchr(segment, '/') == NULL;
  size_t length = strcspn(segment, "/");
  return length > 0 && strcmp(star + 1, segment + length) == 0;
}

kiln_span srv_route_id(const srv_route *route, const char *url) {
  const char *star = strchr(route->path, '*');
  if (star == NULL) return (kiln_span){NULL, 0};
  const char *segment = url + (star - route->path);
  return (kiln_span){segment, strcspn(segment, "/")};
}

const srv_route *srv_route_find(const char *url, const char *method, srv_reply *ret_refusal) {
  bool get = strcmp(method, MHD_HTTP_METHOD_GET) == 0 || strcmp(method, MHD_HTTP_METHOD_HEAD) == 0;
  unsigned asked = get                                           ? SRV_GET
                   : strcmp(method, MHD_HTTP_METHOD_POST) == 0   ? SRV_POST
                   : strcmp(method, MHD_HTTP_METHOD_DELETE) == 0 ? SRV_DELETE
                                                                 : 0;
  unsigned methods = 0; /* that the path takes */
  for (size_t i = 0; i < ROUTES; i++) {
    if (!matches(&routes[i], url)) continue;
    if (routes[i].method == asked) return &routes[i];
    methods |= routes[i].method;
  }
  if (methods != 0) {
    static const char *const allowed[] = {
        "",       "GET, HEAD",         "POST",         "GET, HEAD, POST",
        "DELETE", "GET, HEAD, DELETE", "POST, DELETE", "GET, HEAD, POST, DELETE"};
    const char *allow = allowed[methods];
    *ret_refusal = srv_reply_error(MHD_HTTP_METHOD_NOT_ALLOWED, "ERR_METHOD_NOT_ALLOWED",
                                   "method '%.80s': this path takes %s", method, allow);
    srv_reply_header(ret_refusal, MHD_HTTP_HEADER_ALLOW, allow);
    return NULL;
  }
  *ret_refusal =
      srv_reply_error(MHD_HTTP_NOT_FOUND, "ERR_NOT_FOUND", "path '%.80s': not found", url);
  return NULL;
}
