/* SPDX-License-Identifier: MIT
 *
 * session_request.c: the fields of commands. Those that operations have, too, are taken by
 * request.c's functions and copied.
 */
#include <stdlib.h>
#include <string.h>

#include "server/fields.h"
#include "server/route.h"
#include "server/session.h"
#include "server/value.h"

/* A field's place: the whole that its srv_parsed begins. */
static srv_command *command_of(srv_parsed *parsed) {
  return (srv_command *)parsed;
}

static void field_session(srv_parsed *parsed, const char *name, json_t *value) {
  srv_take_text(parsed, name, value, &command_of(parsed)->kiln.session);
}

static void field_context(srv_parsed *parsed, const char *name, json_t *value) {
  srv_take_text(parsed, name, value, &command_of(parsed)->kiln.context);
}

static void field_contextified(srv_parsed *parsed, const char *name, json_t *value) {
  if (json_is_boolean(value))
    command_of(parsed)->kiln.contextified = json_is_true(value);
  else
    srv_fault_type(parsed, name, "a boolean", value);
}

static void field_extensions(srv_parsed *parsed, const char *name, json_t *value) {
  srv_command *command = command_of(parsed);
  if (!srv_take_list(parsed, name, value, KILN_PARAMS_MAX)) return;
  for (size_t i = 0; i < json_array_size(value); i++) {
    char path[SRV_FIELD_NAME_MAX];
    const json_t *entry = json_array_get(value, i);
    snprintf(path, sizeof(path), "%s[%zu]", name, i);
    if (!json_is_object(entry)) srv_fault_type(parsed, path, "an object", entry);
  }
  if (parsed->failed) return;
  srv_take_json(parsed, name, value, SRV_ARRAY, &command->extensions,
                &command->kiln.extensions_json);
}

static void field_this(srv_parsed *parsed, const char *name, json_t *value) {
  srv_command *command = command_of(parsed);
  srv_take_json(parsed, name, value, SRV_ANY, &command->this_value, &command->kiln.this_json);
}

static void field_meta(srv_parsed *parsed, const char *name, json_t *value) {
  srv_command *command = command_of(parsed);
  srv_take_json(parsed, name, value, SRV_OBJECT, &command->meta,
                &command->kiln.initialize_meta_json);
}

/* Names with values, or names alone. */
static void field_exports(srv_parsed *parsed, const char *name, json_t *value) {
  srv_command *command = command_of(parsed);
  if (!json_is_array(value) && !json_is_object(value)) {
    srv_fault_type(parsed, name, "an object or an array", value);
    return;
  }
  for (size_t i = 0; json_is_array(value) && i < json_array_size(value); i++) {
    char path[SRV_FIELD_NAME_MAX];
    const json_t *entry = json_array_get(value, i);
    snprintf(path, sizeof(path), "%s[%zu]", name, i);
    if (!json_is_string(entry)) srv_fault_type(parsed, path, "a string", entry);
  }
  if (!parsed->failed)
    srv_take_json(parsed, name, value, SRV_ANY, &command->exports, &command->kiln.exports_json);
}

static void field_name(srv_parsed *parsed, const char *name, json_t *value) {
  srv_take_text(parsed, name, value, &command_of(parsed)->kiln.name);
}

static void field_value(srv_parsed *parsed, const char *name, json_t *value) {
  srv_command *command = command_of(parsed);
  srv_take_json(parsed, name, value, SRV_ANY, &command->value, &command->kiln.value_json);
}

static void field_display_errors(srv_parsed *parsed, const char *name, json_t *value) {
  if (json_is_boolean(value))
    command_of(parsed)->hide_source_line = json_is_false(value);
  else
    srv_fault_type(parsed, name, "a boolean", value);
}

/* Node's default is what there is; a request has no SIGINT. */
static void field_break_on_sigint(srv_parsed *parsed, const char *name, json_t *value) {
  if (!json_is_boolean(value))
    srv_fault_type(parsed, name, "a boolean", value);
  else if (json_is_true(value))
    srv_fault(parsed, MHD_HTTP_BAD_REQUEST, "ERR_INVALID_ARG_VALUE",
              "'%s': a request has no SIGINT; 'timeout' or DELETE of the session ends it", name);
}

/* ---- links: whom the requests of a module mean, and whom import() does */

static bool make_links(srv_parsed *parsed, const char *name, size_t count) {
  srv_command *command = command_of(parsed);
  if (count > KILN_MODULES_MAX) {
    srv_fault_count(parsed, name, KILN_MODULES_MAX, count);
    return false;
  }
  if (count == 0) return false;
  command->links = calloc(count, sizeof(*command->links));
  command->attributes = calloc(count, sizeof(*command->attributes));
  if (command->links == NULL || command->attributes == NULL) {
    srv_fault_memory(parsed);
    return false;
  }
  command->kiln.links = command->links;
  command->kiln.links_count = count;
  return true;
}

/* {specifier: module} */
static void take_link_map(srv_parsed *parsed, const char *name, json_t *value) {
  srv_command *command = command_of(parsed);
  const char *specifier;
  json_t *module;
  size_t i = 0;
  if (!make_links(parsed, name, json_object_size(value))) return;
  json_object_foreach(value, specifier, module) {
    char path[SRV_FIELD_NAME_MAX];
    snprintf(path, sizeof(path), "%s['%.80s']", name, specifier);
    command->links[i].specifier = kiln_span_from(specifier);
    srv_take_text(parsed, path, module, &command->links[i++].module);
  }
}

/* The values of import attributes are strings. */
static void take_attributes(srv_parsed *parsed, const char *path, json_t *value, size_t index) {
  srv_command *command = command_of(parsed);
  const char *key;
  json_t *member;
  json_object_foreach(value, key, member) {
    char name[SRV_FIELD_NAME_MAX];
    snprintf(name, sizeof(name), "%.70s.%.80s", path, key);
    if (!json_is_string(member)) srv_fault_type(parsed, name, "a string", member);
  }
  if (!parsed->failed)
    srv_take_json(parsed, path, value, SRV_OBJECT, &command->attributes[index],
                  &command->links[index].attributes_json);
}

/* {"specifier", "attributes"?, "module"} */
static void take_link(srv_parsed *parsed, const char *path, json_t *value, size_t index) {
  kiln_link *link = &command_of(parsed)->links[index];
  const char *key;
  json_t *member;
  if (!json_is_object(value)) {
    srv_fault_type(parsed, path, "an object", value);
    return;
  }
  json_object_foreach(value, key, member) {
    char name[SRV_FIELD_NAME_MAX];
    snprintf(name, sizeof(name), "%.70s.%.80s", path, key);
    if (strcmp(key, "specifier") == 0)
      srv_take_text(parsed, name, member, &link->specifier);
    else if (strcmp(key, "module") == 0)
      srv_take_text(parsed, name, member, &link->module);
    else if (strcmp(key, "attributes") == 0)
      take_attributes(parsed, name, member, index);
    else
      srv_fault_unknown(parsed, "field", name);
  }
  const char *missing = link->specifier.data == NULL ? "specifier" : "module";
  if (link->specifier.data == NULL || link->module.data == NULL)
    srv_fault(parsed, MHD_HTTP_BAD_REQUEST, "ERR_MISSING_OPTION", "'%s.%s': missing", path,
              missing);
}

static void field_links(srv_parsed *parsed, const char *name, json_t *value) {
  if (json_is_object(value)) {
    take_link_map(parsed, name, value);
  } else if (!json_is_array(value)) {
    srv_fault_type(parsed, name, "an object or an array", value);
  } else if (make_links(parsed, name, json_array_size(value))) {
    for (size_t i = 0; i < json_array_size(value) && !parsed->failed; i++) {
      char path[SRV_FIELD_NAME_MAX];
      snprintf(path, sizeof(path), "%s[%zu]", name, i);
      take_link(parsed, path, json_array_get(value, i), i);
    }
  }
}

/* ---- the table */

#define BIT(id) (1u << (id))
enum {
  CONTEXTS = BIT(SRV_CONTEXT_CREATE),
  RUNS = BIT(SRV_CONTEXT_RUN),
  SCRIPTS = BIT(SRV_SCRIPT_CREATE),
  SCRIPT_RUNS = BIT(SRV_SCRIPT_RUN),
  FUNCTIONS = BIT(SRV_FUNCTION_CREATE),
  CALLS = BIT(SRV_FUNCTION_CALL),
  MODULES = BIT(SRV_MODULE_CREATE),
  LINKS = BIT(SRV_MODULE_LINK),
  EVALUATES = BIT(SRV_MODULE_EVALUATE),
  SETS = BIT(SRV_MODULE_SET_EXPORT),
  MEASURES = BIT(SRV_CONTEXT_MEASURE),
  COMPILES = RUNS | SCRIPTS | FUNCTIONS | MODULES,
};

static const srv_field fields[] = {
    {"source", COMPILES, SRV_NOT_IN_QUERY, srv_field_source},
    {"key", SCRIPTS | FUNCTIONS | MODULES, SRV_NOT_IN_QUERY, srv_field_key},
    {"filename", RUNS | SCRIPTS | FUNCTIONS, SRV_QUERY_TEXT, srv_field_filename},
    {"identifier", MODULES, SRV_QUERY_TEXT, srv_field_filename},
    {"lineOffset", COMPILES, SRV_QUERY_NUMBER, srv_field_line_offset},
    {"columnOffset", COMPILES, SRV_QUERY_NUMBER, srv_field_column_offset},
    {"timeout", CONTEXTS | COMPILES | SCRIPT_RUNS | CALLS | EVALUATES | MEASURES, SRV_QUERY_NUMBER,
     srv_field_timeout},
    {"session", CONTEXTS | SCRIPTS, SRV_QUERY_TEXT, field_session},
    {"engine", CONTEXTS | SCRIPTS, SRV_QUERY_TEXT, srv_field_engine},
    {"context", SCRIPT_RUNS | FUNCTIONS | MODULES, SRV_QUERY_TEXT, field_context},
    {"globals", CONTEXTS, SRV_NOT_IN_QUERY, srv_field_globals},
    {"contextified", CONTEXTS, SRV_NOT_IN_QUERY, field_contextified},
    {"name", CONTEXTS, SRV_NOT_IN_QUERY, srv_field_context_name},
    {"origin", CONTEXTS, SRV_NOT_IN_QUERY, srv_field_context_origin},
    {"codeGeneration", CONTEXTS, SRV_NOT_IN_QUERY, srv_field_code_generation},
    {"microtaskMode", CONTEXTS, SRV_NOT_IN_QUERY, srv_field_microtask_mode},
    {"params", FUNCTIONS, SRV_QUERY_LIST, srv_field_params},
    {"contextExtensions", FUNCTIONS, SRV_NOT_IN_QUERY, field_extensions},
    {"args", CALLS, SRV_NOT_IN_QUERY, srv_field_args},
    {"this", CALLS, SRV_NOT_IN_QUERY, field_this},
    {"exports", MODULES, SRV_NOT_IN_QUERY, field_exports},
    {"initializeImportMeta", MODULES, SRV_NOT_IN_QUERY, field_meta},
    {"links", LINKS, SRV_NOT_IN_QUERY, field_links},
    {"importModuleDynamically", COMPILES, SRV_NOT_IN_QUERY, field_links},
    {"name", SETS, SRV_NOT_IN_QUERY, field_name},
    {"value", SETS, SRV_NOT_IN_QUERY, field_value},
    {"mode", MEASURES, SRV_QUERY_TEXT, srv_field_measure_mode},
    {"execution", MEASURES, SRV_QUERY_TEXT, srv_field_execution},
    {"displayErrors", RUNS | SCRIPT_RUNS, SRV_NOT_IN_QUERY, field_display_errors},
    {"breakOnSigint", RUNS | SCRIPT_RUNS | EVALUATES, SRV_NOT_IN_QUERY, field_break_on_sigint},
};

/* ---- the whole */

static void copy_shared(srv_command *command) {
  const kiln_request *from = &command->parsed.kiln;
  kiln_command *to = &command->kiln;
  to->source = from->source;
  to->key = from->key;
  to->filename = from->filename;
  to->line_offset = from->line_offset;
  to->column_offset = from->column_offset;
  to->timeout_ms = from->timeout_ms;
  to->engine = from->engine;
  to->params = from->params;
  to->params_count = from->params_count;
  to->globals_json = from->globals_json;
  to->args_json = from->args_json;
  to->context_name = from->context_name;
  to->context_origin = from->context_origin;
  to->microtasks_after_evaluate = from->microtasks_after_evaluate;
  to->deny_strings = from->deny_strings;
  to->deny_wasm = from->deny_wasm;
  to->detailed = from->detailed;
  to->eager = from->eager;
}

static void check_synthetic(srv_parsed *parsed, kiln_command *wanted) {
  const char *excess = NULL;
  wanted->op = KILN_MODULE_CREATE_SYNTHETIC;
  if (wanted->source != NULL || wanted->key.length > 0)
    excess = "'exports': a source was given as well";
  else if (wanted->line_offset != 0 || wanted->column_offset != 0)
    excess = "'lineOffset', 'columnOffset': not with 'exports'";
  else if (wanted->initialize_meta_json.length > 0)
    excess = "'initializeImportMeta': not with 'exports'";
  else if (wanted->links_count > 0)
    excess = "'importModuleDynamically': not with 'exports'";
  if (excess != NULL)
    srv_fault(parsed, MHD_HTTP_BAD_REQUEST, "ERR_INVALID_ARG_VALUE", "%s", excess);
}

/* What fields ask of each other. */
static void check_together(srv_command *command, unsigned taker) {
  kiln_command *wanted = &command->kiln;
  const char *missing = NULL;
  bool code = (BIT(taker) & COMPILES) != 0;
  bool synthetic = wanted->exports_json.length > 0;
  if (wanted->context.data == NULL && (BIT(taker) & (SCRIPT_RUNS | FUNCTIONS | MODULES)) != 0)
    missing = "'context': missing";
  else if (code && !synthetic && wanted->source == NULL && wanted->key.length == 0)
    missing = taker == SRV_MODULE_CREATE ? "'source', 'key' or 'exports': missing"
              : taker == SRV_CONTEXT_RUN ? "'source': missing"
                                         : "'source' or 'key': missing";
  else if (taker == SRV_MODULE_SET_EXPORT && wanted->name.data == NULL)
    missing = "'name': missing";
  else if (taker == SRV_MODULE_SET_EXPORT && wanted->value_json.length == 0)
    missing = "'value': missing";
  if (missing != NULL)
    srv_fault(&command->parsed, MHD_HTTP_BAD_REQUEST, "ERR_MISSING_OPTION", "%s", missing);
  else if (synthetic)
    check_synthetic(&command->parsed, wanted);
  else if (wanted->source != NULL && wanted->key.length > 0)
    srv_fault(&command->parsed, MHD_HTTP_BAD_REQUEST, "ERR_INVALID_ARG_VALUE",
              "'key': a source was given as well");
}

bool srv_parse_command(const srv_route *route, srv_body_form form, kiln_bytes *body,
                       const srv_query_pair *query, size_t query_count, srv_parsed *ret_parsed) {
  static const kiln_command_op ops[] = {
#define OP_OF(id, op, noun, view) op,
      SRV_COMMAND_MAP(OP_OF)
#undef OP_OF
  };
  srv_command *command = command_of(ret_parsed);
  const srv_fields known = {fields, sizeof(fields) / sizeof(fields[0]), route->op};
  *command = (srv_command){.kiln.op = ops[route->op]};
  srv_fields_read(&command->parsed, &known, form, body, query, query_count);
  copy_shared(command);
  if (!command->parsed.failed) check_together(command, route->op);
  return !command->parsed.failed;
}

void srv_command_release(srv_command *command) {
  srv_parsed_release(&command->parsed);
  for (size_t i = 0; command->attributes != NULL && i < command->kiln.links_count; i++)
    free(command->attributes[i]);
  free(command->attributes);
  free(command->links);
  free(command->extensions);
  free(command->this_value);
  free(command->meta);
  free(command->exports);
  free(command->value);
}
