/* SPDX-License-Identifier: MIT
 *
 * image_request.c: the fields of POST /v1/images. Those that a run has, too, are taken by
 * request.c's functions and copied.
 */
#include <stdlib.h>
#include <string.h>

#include "server/fields.h"
#include "server/image.h"
#include "server/value.h"

static srv_image *image_of(srv_parsed *parsed) {
  return (srv_image *)parsed;
}

static void field_name(srv_parsed *parsed, const char *name, json_t *value) {
  srv_take_text(parsed, name, value, &image_of(parsed)->kiln.name);
}

static void field_entry(srv_parsed *parsed, const char *name, json_t *value) {
  srv_take_text(parsed, name, value, &image_of(parsed)->kiln.entry);
}

/* {"source" | "key", "filename"?} */
static void take_script(srv_parsed *parsed, const char *path, json_t *value,
                        kiln_image_script *script) {
  const char *key;
  json_t *member;
  if (!json_is_object(value)) {
    srv_fault_type(parsed, path, "an object", value);
    return;
  }
  json_object_foreach(value, key, member) {
    char name[SRV_FIELD_NAME_MAX];
    snprintf(name, sizeof(name), "%.70s.%.80s", path, key);
    if (strcmp(key, "source") == 0)
      srv_take_source(parsed, name, member, &script->source);
    else if (strcmp(key, "key") == 0)
      srv_take_text(parsed, name, member, &script->key);
    else if (strcmp(key, "filename") == 0)
      srv_take_text(parsed, name, member, &script->filename);
    else
      srv_fault_unknown(parsed, "field", name);
  }
  if (script->source == NULL && script->key.data == NULL)
    srv_fault(parsed, MHD_HTTP_BAD_REQUEST, "ERR_MISSING_OPTION",
              "'%s.source' or '%s.key': missing", path, path);
  else if (script->source != NULL && script->key.data != NULL)
    srv_fault(parsed, MHD_HTTP_BAD_REQUEST, "ERR_INVALID_ARG_VALUE",
              "'%s.key': a source was given as well", path);
  else if (script->key.data != NULL && script->key.length != KILN_KEY_HEX)
    srv_fault(parsed, MHD_HTTP_BAD_REQUEST, "ERR_INVALID_ARG_VALUE",
              "'%s.key': must be %d hex digits, is %zu bytes", path, KILN_KEY_HEX,
              script->key.length);
}

static void field_scripts(srv_parsed *parsed, const char *name, json_t *value) {
  srv_image *image = image_of(parsed);
  if (!srv_take_list(parsed, name, value, KILN_SCRIPTS_MAX) || json_array_size(value) == 0) return;
  size_t count = json_array_size(value);
  image->scripts = calloc(count, sizeof(*image->scripts));
  if (image->scripts == NULL) {
    srv_fault_memory(parsed);
    return;
  }
  image->kiln.scripts = image->scripts;
  image->kiln.scripts_count = count;
  for (size_t i = 0; i < count && !parsed->failed; i++) {
    char path[SRV_FIELD_NAME_MAX];
    snprintf(path, sizeof(path), "%.100s[%zu]", name, i);
    take_script(parsed, path, json_array_get(value, i), &image->scripts[i]);
  }
}

static const srv_field fields[] = {
    {"name", 1, SRV_NOT_IN_QUERY, field_name},
    {"engine", 1, SRV_NOT_IN_QUERY, srv_field_engine},
    {"scripts", 1, SRV_NOT_IN_QUERY, field_scripts},
    {"modules", 1, SRV_NOT_IN_QUERY, srv_field_modules},
    {"entry", 1, SRV_NOT_IN_QUERY, field_entry},
    {"globals", 1, SRV_NOT_IN_QUERY, srv_field_globals},
    {"timeout", 1, SRV_NOT_IN_QUERY, srv_field_timeout},
    {"microtaskMode", 1, SRV_NOT_IN_QUERY, srv_field_microtask_mode},
    {"contextName", 1, SRV_NOT_IN_QUERY, srv_field_context_name},
    {"contextOrigin", 1, SRV_NOT_IN_QUERY, srv_field_context_origin},
    {"contextCodeGeneration", 1, SRV_NOT_IN_QUERY, srv_field_code_generation},
};

static void check_together(srv_image *image) {
  const kiln_image_request *wanted = &image->kiln;
  if (wanted->scripts_count == 0 && wanted->modules_count == 0)
    srv_fault(&image->parsed, MHD_HTTP_BAD_REQUEST, "ERR_MISSING_OPTION",
              "'scripts' or 'modules': missing");
  else if (wanted->modules_count > 0 && wanted->entry.length == 0)
    srv_fault(&image->parsed, MHD_HTTP_BAD_REQUEST, "ERR_MISSING_OPTION",
              "'entry': missing, one of the modules is to be evaluated");
}

bool srv_parse_image(const struct srv_route *route, srv_body_form form, kiln_bytes *body,
                     const srv_query_pair *query, size_t query_count, srv_parsed *ret_parsed) {
  const srv_fields known = {fields, sizeof(fields) / sizeof(fields[0]), 0};
  srv_image *image = image_of(ret_parsed);
  (void)route;
  *image = (srv_image){0};
  srv_fields_read(&image->parsed, &known, form, body, query, query_count);
  const kiln_request *from = &image->parsed.kiln;
  kiln_image_request *to = &image->kiln;
  to->engine = from->engine;
  to->globals_json = from->globals_json;
  to->modules = from->modules;
  to->modules_count = from->modules_count;
  to->timeout_ms = from->timeout_ms;
  to->context_name = from->context_name;
  to->context_origin = from->context_origin;
  to->microtasks_after_evaluate = from->microtasks_after_evaluate;
  to->deny_strings = from->deny_strings;
  to->deny_wasm = from->deny_wasm;
  if (!image->parsed.failed) check_together(image);
  return !image->parsed.failed;
}

void srv_image_release(srv_image *image) {
  for (size_t i = 0; i < image->kiln.scripts_count; i++) kiln_bytes_unref(image->scripts[i].source);
  free(image->scripts);
  srv_parsed_release(&image->parsed);
}
