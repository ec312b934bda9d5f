/* SPDX-License-Identifier: MIT
 *
 * request.c: see request.h. The operations' fields; how a body and a query are read is fields.c.
 */
#include "server/request.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "server/fields.h"
#include "server/value.h"

/* ---- fields */

void srv_field_source(srv_parsed *parsed, const char *name, json_t *value) {
  srv_take_source(parsed, name, value, &parsed->source);
  parsed->kiln.source = parsed->source;
}

void srv_field_key(srv_parsed *parsed, const char *name, json_t *value) {
  if (!srv_take_text(parsed, name, value, &parsed->kiln.key)) return;
  if (parsed->kiln.key.length != KILN_KEY_HEX)
    srv_fault(parsed, MHD_HTTP_BAD_REQUEST, "ERR_INVALID_ARG_VALUE",
              "'%s': must be %d hex digits, is %zu bytes", name, KILN_KEY_HEX,
              parsed->kiln.key.length);
}

void srv_field_filename(srv_parsed *parsed, const char *name, json_t *value) {
  srv_take_text(parsed, name, value, &parsed->kiln.filename);
}

void srv_field_engine(srv_parsed *parsed, const char *name, json_t *value) {
  srv_take_text(parsed, name, value, &parsed->kiln.engine);
}

void srv_field_context_name(srv_parsed *parsed, const char *name, json_t *value) {
  srv_take_text(parsed, name, value, &parsed->kiln.context_name);
}

void srv_field_context_origin(srv_parsed *parsed, const char *name, json_t *value) {
  srv_take_text(parsed, name, value, &parsed->kiln.context_origin);
}

void srv_field_line_offset(srv_parsed *parsed, const char *name, json_t *value) {
  srv_take_offset(parsed, name, value, &parsed->kiln.line_offset);
}

void srv_field_column_offset(srv_parsed *parsed, const char *name, json_t *value) {
  srv_take_offset(parsed, name, value, &parsed->kiln.column_offset);
}

static void field_kind(srv_parsed *parsed, const char *name, json_t *value) {
  unsigned index = 0;
  if (srv_take_word(parsed, name, value, srv_kind_words, &index))
    parsed->kiln.kind = (kiln_kind)index;
}

static void field_bake_mode(srv_parsed *parsed, const char *name, json_t *value) {
  unsigned index = 0;
  if (srv_take_word(parsed, name, value, srv_mode_words, &index))
    parsed->kiln.mode = (kiln_mode)index;
}

void srv_field_measure_mode(srv_parsed *parsed, const char *name, json_t *value) {
  static const char *const words[] = {"summary", "detailed", NULL};
  unsigned index = 0;
  if (srv_take_word(parsed, name, value, words, &index)) parsed->kiln.detailed = index == 1;
}

void srv_field_execution(srv_parsed *parsed, const char *name, json_t *value) {
  static const char *const words[] = {"default", "eager", NULL};
  unsigned index = 0;
  if (srv_take_word(parsed, name, value, words, &index)) parsed->kiln.eager = index == 1;
}

void srv_field_microtask_mode(srv_parsed *parsed, const char *name, json_t *value) {
  static const char *const words[] = {"afterEvaluate", NULL};
  unsigned index = 0;
  if (srv_take_word(parsed, name, value, words, &index))
    parsed->kiln.microtasks_after_evaluate = true;
}

void srv_field_timeout(srv_parsed *parsed, const char *name, json_t *value) {
  double number = 0;
  if (srv_take_integer(parsed, name, value, 1, UINT32_MAX, &number))
    parsed->kiln.timeout_ms = (unsigned)number;
}

static void field_workload(srv_parsed *parsed, const char *name, json_t *value) {
  srv_take_source(parsed, name, value, &parsed->workload);
  parsed->kiln.workload = parsed->workload;
}

void srv_field_globals(srv_parsed *parsed, const char *name, json_t *value) {
  srv_take_json(parsed, name, value, SRV_OBJECT, &parsed->globals, &parsed->kiln.globals_json);
}

void srv_field_args(srv_parsed *parsed, const char *name, json_t *value) {
  srv_take_json(parsed, name, value, SRV_ARRAY, &parsed->args, &parsed->kiln.args_json);
}

void srv_field_code_generation(srv_parsed *parsed, const char *name, json_t *value) {
  const char *key;
  json_t *member;
  char path[SRV_FIELD_NAME_MAX];
  if (!json_is_object(value)) {
    srv_fault_type(parsed, name, "an object", value);
    return;
  }
  json_object_foreach(value, key, member) {
    snprintf(path, sizeof(path), "%s.%.80s", name, key);
    bool strings = strcmp(key, "strings") == 0;
    if (!strings && strcmp(key, "wasm") != 0)
      srv_fault_unknown(parsed, "field", path);
    else if (!json_is_boolean(member))
      srv_fault_type(parsed, path, "a boolean", member);
    else if (strings)
      parsed->kiln.deny_strings = json_is_false(member);
    else
      parsed->kiln.deny_wasm = json_is_false(member);
  }
}

void srv_field_params(srv_parsed *parsed, const char *name, json_t *value) {
  if (!srv_take_list(parsed, name, value, KILN_PARAMS_MAX) || json_array_size(value) == 0) return;
  size_t count = json_array_size(value);
  parsed->params = calloc(count, sizeof(*parsed->params));
  if (parsed->params == NULL) {
    srv_fault_memory(parsed);
    return;
  }
  for (size_t i = 0; i < count; i++) {
    char path[SRV_FIELD_NAME_MAX];
    snprintf(path, sizeof(path), "%s[%zu]", name, i);
    srv_take_text(parsed, path, json_array_get(value, i), &parsed->params[i]);
  }
  parsed->kiln.params = parsed->params;
  parsed->kiln.params_count = count;
}

static void field_modules(srv_parsed *parsed, const char *name, json_t *value) {
  const char *specifier;
  json_t *source;
  if (!json_is_object(value)) {
    srv_fault_type(parsed, name, "an object", value);
    return;
  }
  size_t count = json_object_size(value);
  if (count > KILN_MODULES_MAX) {
    srv_fault_count(parsed, name, KILN_MODULES_MAX, count);
    return;
  }
  if (count == 0) return;
  parsed->modules = calloc(count, sizeof(*parsed->modules));
  if (parsed->modules == NULL) {
    srv_fault_memory(parsed);
    return;
  }
  parsed->kiln.modules = parsed->modules;
  json_object_foreach(value, specifier, source) {
    char path[SRV_FIELD_NAME_MAX];
    kiln_named_source *module = &parsed->modules[parsed->kiln.modules_count++];
    snprintf(path, sizeof(path), "%s['%.80s']", name, specifier);
    module->name = kiln_span_from(specifier);
    srv_take_source(parsed, path, source, &module->source);
  }
}

/* ---- measureMemory's contexts */

static void take_measured_script(srv_parsed *parsed, const char *path, json_t *value,
                                 kiln_named_source *script) {
  const char *key;
  json_t *member;
  char name[SRV_FIELD_NAME_MAX];
  if (!json_is_object(value)) {
    srv_fault_type(parsed, path, "an object", value);
    return;
  }
  json_object_foreach(value, key, member) {
    snprintf(name, sizeof(name), "%.70s.%.80s", path, key);
    if (strcmp(key, "source") == 0)
      srv_take_source(parsed, name, member, &script->source);
    else if (strcmp(key, "filename") == 0)
      srv_take_text(parsed, name, member, &script->name);
    else
      srv_fault_unknown(parsed, "field", name);
  }
  if (script->source == NULL)
    srv_fault(parsed, MHD_HTTP_BAD_REQUEST, "ERR_MISSING_OPTION", "'%s.source': missing", path);
}

static void take_measured_scripts(srv_parsed *parsed, const char *name, json_t *value,
                                  kiln_measure_context *context, kiln_named_source **ret_scripts) {
  if (!srv_take_list(parsed, name, value, KILN_SCRIPTS_MAX) || json_array_size(value) == 0) return;
  size_t count = json_array_size(value);
  kiln_named_source *scripts = calloc(count, sizeof(*scripts));
  if (scripts == NULL) {
    srv_fault_memory(parsed);
    return;
  }
  *ret_scripts = scripts;
  context->scripts = scripts;
  context->scripts_count = count;
  for (size_t i = 0; i < count && !parsed->failed; i++) {
    char path[SRV_FIELD_NAME_MAX];
    snprintf(path, sizeof(path), "%.100s[%zu]", name, i);
    take_measured_script(parsed, path, json_array_get(value, i), &scripts[i]);
  }
}

static void take_measured_context(srv_parsed *parsed, const char *path, json_t *value,
                                  size_t index) {
  kiln_measure_context *context = &parsed->contexts[index];
  const char *key;
  json_t *member;
  char name[SRV_FIELD_NAME_MAX];
  if (!json_is_object(value)) {
    srv_fault_type(parsed, path, "an object", value);
    return;
  }
  json_object_foreach(value, key, member) {
    snprintf(name, sizeof(name), "%.70s.%.80s", path, key);
    if (strcmp(key, "name") == 0)
      srv_take_text(parsed, name, member, &context->name);
    else if (strcmp(key, "globals") == 0)
      srv_take_json(parsed, name, member, SRV_OBJECT, &parsed->contexts_globals[index],
                    &context->globals_json);
    else if (strcmp(key, "scripts") == 0)
      take_measured_scripts(parsed, name, member, context, &parsed->contexts_scripts[index]);
    else
      srv_fault_unknown(parsed, "field", name);
  }
}

static bool make_contexts(srv_parsed *parsed, size_t count) {
  parsed->contexts = calloc(count, sizeof(*parsed->contexts));
  parsed->contexts_globals = calloc(count, sizeof(*parsed->contexts_globals));
  parsed->contexts_scripts = calloc(count, sizeof(*parsed->contexts_scripts));
  if (parsed->contexts == NULL || parsed->contexts_globals == NULL ||
      parsed->contexts_scripts == NULL) {
    srv_fault_memory(parsed);
    return false;
  }
  parsed->kiln.contexts = parsed->contexts;
  parsed->kiln.contexts_count = count;
  return true;
}

static void field_contexts(srv_parsed *parsed, const char *name, json_t *value) {
  if (!srv_take_list(parsed, name, value, KILN_CONTEXTS_MAX)) return;
  size_t count = json_array_size(value);
  if (count == 0) {
    srv_fault(parsed, MHD_HTTP_BAD_REQUEST, "ERR_INVALID_ARG_VALUE",
              "'%s': must have at least one entry", name);
    return;
  }
  if (!make_contexts(parsed, count)) return;
  for (size_t i = 0; i < count && !parsed->failed; i++) {
    char path[SRV_FIELD_NAME_MAX];
    snprintf(path, sizeof(path), "%s[%zu]", name, i);
    take_measured_context(parsed, path, json_array_get(value, i), i);
  }
}

/* ---- the table */

enum {
  COMPILES = 1 << KILN_COMPILE | 1 << KILN_CREATE_CACHED_DATA,
  RUNS = 1 << KILN_RUN,
  MEASURES = 1 << KILN_MEASURE_MEMORY,
};

static const srv_field fields[] = {
    {"source", COMPILES | RUNS, SRV_NOT_IN_QUERY, srv_field_source},
    {"key", RUNS, SRV_NOT_IN_QUERY, srv_field_key},
    {"kind", COMPILES | RUNS, SRV_QUERY_TEXT, field_kind},
    {"params", COMPILES | RUNS, SRV_QUERY_LIST, srv_field_params},
    {"filename", COMPILES | RUNS, SRV_QUERY_TEXT, srv_field_filename},
    {"lineOffset", COMPILES | RUNS, SRV_QUERY_NUMBER, srv_field_line_offset},
    {"columnOffset", COMPILES | RUNS, SRV_QUERY_NUMBER, srv_field_column_offset},
    {"engine", COMPILES | RUNS | MEASURES, SRV_QUERY_TEXT, srv_field_engine},
    {"timeout", COMPILES | RUNS | MEASURES, SRV_QUERY_NUMBER, srv_field_timeout},
    {"mode", COMPILES, SRV_QUERY_TEXT, field_bake_mode},
    {"workload", COMPILES, SRV_NOT_IN_QUERY, field_workload},
    {"globals", RUNS, SRV_NOT_IN_QUERY, srv_field_globals},
    {"args", RUNS, SRV_NOT_IN_QUERY, srv_field_args},
    {"microtaskMode", RUNS, SRV_QUERY_TEXT, srv_field_microtask_mode},
    {"contextName", RUNS, SRV_QUERY_TEXT, srv_field_context_name},
    {"contextOrigin", RUNS, SRV_QUERY_TEXT, srv_field_context_origin},
    {"contextCodeGeneration", RUNS, SRV_NOT_IN_QUERY, srv_field_code_generation},
    {"modules", RUNS, SRV_NOT_IN_QUERY, field_modules},
    {"mode", MEASURES, SRV_NOT_IN_QUERY, srv_field_measure_mode},
    {"execution", MEASURES, SRV_NOT_IN_QUERY, srv_field_execution},
    {"contexts", MEASURES, SRV_NOT_IN_QUERY, field_contexts},
};

/* What fields ask of each other. */
static void check_together(srv_parsed *parsed, kiln_op op) {
  const kiln_request *request = &parsed->kiln;
  const char *missing = NULL;
  if (op == KILN_MEASURE_MEMORY) {
    /* Node measures the context of the caller; here that is an empty one. */
    if (request->contexts_count == 0 && !parsed->failed) make_contexts(parsed, 1);
    return;
  }
  if (request->source == NULL && request->key.length == 0)
    missing = op == KILN_RUN ? "'source' or 'key': missing" : "'source': missing";
  else if (request->mode == KILN_WORKLOAD && request->workload == NULL)
    missing = "'workload': missing, mode 'workload' needs it";
  if (missing != NULL) {
    srv_fault(parsed, MHD_HTTP_BAD_REQUEST, "ERR_MISSING_OPTION", "%s", missing);
    return;
  }
  const char *excess = NULL;
  if (request->source != NULL && request->key.length != 0)
    excess = "'key': a source was given as well";
  else if (request->mode != KILN_WORKLOAD && request->workload != NULL)
    excess = "'workload': only with mode 'workload'";
  else if (request->params_count > 0 && request->kind != KILN_FUNCTION)
    excess = "'params': only with kind 'function'";
  else if (request->args_json.length > 0 && request->kind != KILN_FUNCTION)
    excess = "'args': only with kind 'function'";
  else if (request->modules_count > 0 && request->kind != KILN_MODULE)
    excess = "'modules': only with kind 'module'";
  if (excess != NULL)
    srv_fault(parsed, MHD_HTTP_BAD_REQUEST, "ERR_INVALID_ARG_VALUE", "%s", excess);
}

bool srv_parse(kiln_op op, srv_body_form form, kiln_bytes *body, const srv_query_pair *query,
               size_t query_count, srv_parsed *ret_parsed) {
  srv_parsed *parsed = ret_parsed;
  *parsed = (srv_parsed){0};
  parsed->kiln.op = op;
  const srv_fields known = {fields, sizeof(fields) / sizeof(fields[0]), op};
  srv_fields_read(parsed, &known, form, body, query, query_count);
  if (!parsed->failed) check_together(parsed, op);
  return !parsed->failed;
}

void srv_parsed_release(srv_parsed *parsed) {
  for (size_t i = 0; i < parsed->kiln.modules_count; i++)
    kiln_bytes_unref(parsed->modules[i].source);
  for (size_t i = 0; i < parsed->kiln.contexts_count; i++) {
    for (size_t k = 0; k < parsed->contexts[i].scripts_count; k++)
      kiln_bytes_unref(parsed->contexts[i].scripts[k].source);
    free(parsed->contexts_scripts[i]);
    free(parsed->contexts_globals[i]);
  }
  free(parsed->contexts);
  free(parsed->contexts_globals);
  free(parsed->contexts_scripts);
  free(parsed->modules);
  free(parsed->params);
  free(parsed->globals);
  free(parsed->args);
  kiln_bytes_unref(parsed->workload);
  kiln_bytes_unref(parsed->source);
  json_decref(parsed->root);
}

/* ---- Content-Type */

/* Whether the parameters are well-formed and a charset among them is UTF-8. Others mean nothing
 * here and are passed over (RFC 2045, 5.1), and so is nothing between two semicolons (RFC
 * 9110, 5.6.6). */
static bool parameters_fit(const char *at) {
  while (true) {
    at += strspn(at, " \t");
    if (*at == '\0') return true;
    if (*at++ != ';') return false;
    at += strspn(at, " \t");
    const char *name = at;
    size_t name_length = strcspn(name, "=;\" \t");
    at += name_length;
    if (name_length == 0 && *at != '=') continue;
    if (name_length == 0 || *at++ != '=') return false;
    bool quoted = *at == '"';
    if (quoted) at++;
    const char *value = at;
    while (*at != '\0' && strchr(quoted ? "\"" : ";\" \t", *at) == NULL)
      at += quoted && at[0] == '\\' && at[1] != '\0' ? 2 : 1;
    size_t length = (size_t)(at - value);
    if (quoted && *at++ != '"') return false;
    bool charset = name_length == 7 && strncasecmp(name, "charset", 7) == 0;
    if (charset && (length != 5 || strncasecmp(value, "utf-8", 5) != 0)) return false;
  }
}

bool srv_parse_content_type(const char *value, srv_body_form *ret_form) {
  static const struct {
    const char *type;
    srv_body_form form;
  } types[] = {{"text/javascript", SRV_FORM_SOURCE},
               {"application/javascript", SRV_FORM_SOURCE},
               {"application/json", SRV_FORM_JSON}};
  for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
    size_t length = strlen(types[i].type);
    if (strncasecmp(value, types[i].type, length) != 0 || !parameters_fit(value + length)) continue;
    *ret_form = types[i].form;
    return true;
  }
  return false;
}
