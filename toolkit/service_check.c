/* SPDX-License-Identifier: MIT
 *
 * service_check.c: what a request may be. Everything that arrives here may come from a stranger;
 * after it, the rest of the service relies on it. It does not look into JavaScript: what V8 refuses
 * is an outcome, not an invalid request.
 */
#include <string.h>

#include "toolkit/image.h"
#include "toolkit/json_check.h"
#include "toolkit/service.h"
#include "toolkit/status.h"

static kiln_status check_name(kiln_span name, const char *what, kiln_error *err) {
  if (name.length <= KILN_NAME_MAX) return KILN_OK;
  return kiln__fail(err, KILN_ETOOBIG, NULL, "%s is %zu bytes, limit %d", what, name.length,
                    KILN_NAME_MAX);
}

static kiln_status check_count(size_t count, size_t max, const char *what, kiln_error *err) {
  if (count <= max) return KILN_OK;
  return kiln__fail(err, KILN_ETOOBIG, NULL, "%zu %s, limit %zu", count, what, max);
}

/* Adds to the bytes of one request, all its texts together being held to the limit of a source. */
static kiln_status add_bytes(const kiln *k, size_t length, const char *what, uint64_t *total,
                             kiln_error *err) {
  *total += length;
  if (*total <= k->options.source_max_bytes) return KILN_OK;
  return kiln__fail(err, KILN_ETOOBIG, NULL, "%s is %llu bytes, limit %llu", what,
                    (unsigned long long)*total, (unsigned long long)k->options.source_max_bytes);
}

static kiln_status check_json(const kiln *k, kiln_span json, char open, const char *what,
                              uint64_t *total, kiln_error *err) {
  if (json.length == 0) return KILN_OK;
  kiln_status status = add_bytes(k, json.length, what, total, err);
  if (status != KILN_OK) return status;
  if (kiln_json_check_kind(json, KILN__JSON_DEPTH_MAX, open)) return KILN_OK;
  return kiln__fail(err, KILN_EINVAL, NULL, "%s: not a JSON %s in UTF-8 of depth %d or less", what,
                    open == '{' ? "object" : "array", KILN__JSON_DEPTH_MAX);
}

static kiln_status check_timeout(const kiln *k, unsigned timeout_ms, kiln_error *err) {
  if (timeout_ms <= k->options.timeout_max_ms) return KILN_OK;
  return kiln__fail(err, KILN_EINVAL, "ERR_OUT_OF_RANGE",
                    "timeout is %u ms, it must be >= 1 and <= %u", timeout_ms,
                    k->options.timeout_max_ms);
}

/* What compile, createCachedData and run have in common: a source and what names it. */
static kiln_status check_source(const kiln *k, const kiln_request *request, uint64_t *total,
                                kiln_error *err) {
  if ((unsigned)request->kind > KILN_FUNCTION) {
    return kiln__fail(err, KILN_EINVAL, NULL, "kind %u: unknown", (unsigned)request->kind);
  }
  if (request->source != NULL && request->key.length > 0) {
    return kiln__fail(err, KILN_EINVAL, NULL, "source and key: only one of them can be given");
  }
  if (request->source == NULL && (request->op != KILN_RUN || request->key.length == 0)) {
    return kiln__fail(err, KILN_EINVAL, "ERR_MISSING_ARGS", "source: missing");
  }
  kiln_status status = check_name(request->filename, "filename", err);
  if (status == KILN_OK && request->source != NULL) {
    status = add_bytes(k, kiln_bytes_get(request->source).length, "source", total, err);
  }
  if (status == KILN_OK) {
    status = check_count(request->params_count, KILN_PARAMS_MAX, "parameters", err);
  }
  /* A run by key does not know the entry's kind yet. */
  if (status == KILN_OK && request->params_count > 0 && request->kind != KILN_FUNCTION &&
      request->key.length == 0) {
    status = kiln__fail(err, KILN_EINVAL, NULL, "params: only a function has them");
  }
  for (size_t i = 0; status == KILN_OK && i < request->params_count; i++) {
    status = check_name(request->params[i], "a parameter", err);
  }
  return status;
}

static kiln_status check_bake(const kiln *k, const kiln_request *request, kiln_error *err) {
  uint64_t total = 0;
  kiln_status status = check_source(k, request, &total, err);
  if (status != KILN_OK) return status;
  if ((unsigned)request->mode > KILN_WORKLOAD) {
    return kiln__fail(err, KILN_EINVAL, NULL, "mode %u: unknown", (unsigned)request->mode);
  }
  if ((request->mode == KILN_WORKLOAD) != (request->workload != NULL)) {
    return kiln__fail(err, KILN_EINVAL, NULL,
                      request->workload == NULL ? "mode 'workload': the workload is missing"
                                                : "workload: only mode 'workload' uses one");
  }
  if (request->workload == NULL) return KILN_OK;
  total = 0;
  return add_bytes(k, kiln_bytes_get(request->workload).length, "workload", &total, err);
}

static kiln_status check_import(const kiln *k, const kiln_request *request, kiln_error *err) {
  if (request->blob == NULL) {
    return kiln__fail(err, KILN_EINVAL, "ERR_MISSING_ARGS", "blob: missing");
  }
  size_t length = kiln_bytes_get(request->blob).length;
  if (length > KILN_BLOB_MAX) {
    return kiln__fail(err, KILN_ETOOBIG, NULL, "blob is %zu bytes, limit %llu", length,
                      (unsigned long long)KILN_BLOB_MAX);
  }
  if (request->mode != KILN_WORKLOAD) {
    return kiln__fail(err, KILN_EINVAL, NULL, "mode: an imported blob's is 'workload'");
  }
  return check_bake(k, request, err);
}

static kiln_status check_named(const kiln *k, const kiln_named_source *source, const char *what,
                               uint64_t *total, kiln_error *err) {
  kiln_status status = check_name(source->name, "a name", err);
  if (status == KILN_OK && source->source == NULL) {
    char quoted[KILN__QUOTE_BYTES];
    status = kiln__fail(err, KILN_EINVAL, "ERR_MISSING_ARGS", "source of %s: missing",
                        kiln__quote(source->name, quoted));
  }
  if (status == KILN_OK) {
    status = add_bytes(k, kiln_bytes_get(source->source).length, what, total, err);
  }
  return status;
}

/* A run in an image has that one's context. */
static kiln_status check_in_image(const kiln_request *request, kiln_error *err) {
  const char *excess = NULL;
  if (request->kind == KILN_MODULE || request->modules_count > 0) {
    return kiln__fail(err, KILN_EINVAL, NULL,
                      "kind 'module': with an image only scripts and functions run");
  }
  if (request->context_name.length > 0) excess = "context name";
  if (request->context_origin.length > 0) excess = "context origin";
  if (request->microtasks_after_evaluate) excess = "microtask mode";
  if (request->deny_strings || request->deny_wasm) excess = "code generation";
  if (excess == NULL) return KILN_OK;
  return kiln__fail(err, KILN_EINVAL, NULL, "%s: the image's own is used", excess);
}

static kiln_status check_run(const kiln *k, const kiln_request *request, kiln_error *err) {
  uint64_t total = 0;
  kiln_status status = check_source(k, request, &total, err);
  if (status == KILN_OK) {
    status = check_json(k, request->globals_json, '{', "globals", &total, err);
  }
  if (status == KILN_OK) status = check_json(k, request->args_json, '[', "args", &total, err);
  if (status == KILN_OK && request->args_json.length > 0 && request->kind != KILN_FUNCTION &&
      request->key.length == 0) {
    status = kiln__fail(err, KILN_EINVAL, NULL, "args: only a function takes them");
  }
  if (status == KILN_OK) status = check_name(request->context_name, "context name", err);
  if (status == KILN_OK) status = check_name(request->context_origin, "context origin", err);
  if (status == KILN_OK) {
    status = check_count(request->modules_count, KILN_MODULES_MAX, "modules", err);
  }
  for (size_t i = 0; status == KILN_OK && i < request->modules_count; i++) {
    status = check_named(k, &request->modules[i], "source with its modules", &total, err);
  }
  if (status == KILN_OK && request->image.length > 0) status = check_in_image(request, err);
  return status;
}

static kiln_status check_image_script(const kiln *k, const kiln_image_script *script,
                                      uint64_t *total, kiln_error *err) {
  if ((script->source == NULL) == (script->key.length == 0)) {
    return kiln__fail(err, KILN_EINVAL, script->source == NULL ? "ERR_MISSING_ARGS" : NULL,
                      "a script of an image: needs either a source or a key");
  }
  kiln_status status = check_name(script->filename, "filename", err);
  if (status == KILN_OK && script->source != NULL)
    status = add_bytes(k, kiln_bytes_get(script->source).length, "source of the image", total, err);
  return status;
}

static bool names_a_module(const kiln_image_request *request, kiln_span name) {
  for (size_t i = 0; i < request->modules_count; i++) {
    const kiln_span *other = &request->modules[i].name;
    if (other->length == name.length && memcmp(other->data, name.data, name.length) == 0)
      return true;
  }
  return false;
}

kiln_status kiln__check_image(const kiln *k, const kiln_image_request *request, kiln_error *err) {
  uint64_t total = 0;
  char quoted[KILN__QUOTE_BYTES];
  kiln_status status = check_timeout(k, request->timeout_ms, err);
  if (status == KILN_OK && request->name.length >= sizeof(((kiln_image_info *)NULL)->name))
    status = kiln__fail(err, KILN_ETOOBIG, NULL, "name is %zu bytes, limit %zu",
                        request->name.length, sizeof(((kiln_image_info *)NULL)->name) - 1);
  if (status == KILN_OK) status = check_json(k, request->globals_json, '{', "globals", &total, err);
  if (status == KILN_OK) status = check_name(request->context_name, "context name", err);
  if (status == KILN_OK) status = check_name(request->context_origin, "context origin", err);
  if (status == KILN_OK) status = check_name(request->entry, "entry", err);
  if (status == KILN_OK)
    status = check_count(request->scripts_count, KILN_SCRIPTS_MAX, "scripts", err);
  for (size_t i = 0; status == KILN_OK && i < request->scripts_count; i++)
    status = check_image_script(k, &request->scripts[i], &total, err);
  if (status == KILN_OK)
    status = check_count(request->modules_count, KILN_MODULES_MAX, "modules", err);
  for (size_t i = 0; status == KILN_OK && i < request->modules_count; i++)
    status = check_named(k, &request->modules[i], "source of the image", &total, err);
  if (status != KILN_OK) return status;
  if (request->modules_count > 0 && request->entry.length == 0)
    return kiln__fail(err, KILN_EINVAL, "ERR_MISSING_ARGS",
                      "entry: missing, one of the modules is to be evaluated");
  if (request->entry.length > 0 && !names_a_module(request, request->entry))
    return kiln__fail(err, KILN_EINVAL, NULL, "entry %s: is none of the modules",
                      kiln__quote(request->entry, quoted));
  return KILN_OK;
}

static kiln_status check_measure(const kiln *k, const kiln_request *request, kiln_error *err) {
  uint64_t total = 0;
  if (request->contexts_count == 0) {
    return kiln__fail(err, KILN_EINVAL, "ERR_MISSING_ARGS", "contexts: at least one is needed");
  }
  kiln_status status = check_count(request->contexts_count, KILN_CONTEXTS_MAX, "contexts", err);
  for (size_t i = 0; status == KILN_OK && i < request->contexts_count; i++) {
    const kiln_measure_context *context = &request->contexts[i];
    status = check_name(context->name, "context name", err);
    if (status == KILN_OK) {
      status = check_json(k, context->globals_json, '{', "globals", &total, err);
    }
    if (status == KILN_OK) {
      status = check_count(context->scripts_count, KILN_SCRIPTS_MAX, "scripts", err);
    }
    for (size_t j = 0; status == KILN_OK && j < context->scripts_count; j++) {
      status = check_named(k, &context->scripts[j], "source of all scripts", &total, err);
    }
  }
  return status;
}

kiln_status kiln__check_request(const kiln *k, const kiln_request *request, kiln_error *err) {
  kiln_status status = check_timeout(k, request->timeout_ms, err);
  if (status != KILN_OK) return status;
  switch (request->op) {
    case KILN_COMPILE:
    case KILN_CREATE_CACHED_DATA:
      return check_bake(k, request, err);
    case KILN_IMPORT:
      return check_import(k, request, err);
    case KILN_RUN:
      return check_run(k, request, err);
    case KILN_MEASURE_MEMORY:
      return check_measure(k, request, err);
    case KILN_IMAGE:
    case KILN_SESSION: /* submitted by kiln_session_submit() */
      break;
  }
  return kiln__fail(err, KILN_EINVAL, NULL, "operation %u: unknown", (unsigned)request->op);
}

/* ---- commands of sessions --------------------------------------------------------------------
 */

static kiln_status check_value(const kiln *k, kiln_span json, const char *what, uint64_t *total,
                               kiln_error *err) {
  if (json.length == 0) return KILN_OK;
  kiln_status status = add_bytes(k, json.length, what, total, err);
  if (status != KILN_OK) return status;
  if (kiln_json_check(json, KILN__JSON_DEPTH_MAX)) return KILN_OK;
  return kiln__fail(err, KILN_EINVAL, NULL, "%s: not JSON in UTF-8 of depth %d or less", what,
                    KILN__JSON_DEPTH_MAX);
}

static bool begins_list(kiln_span json) {
  size_t at = 0;
  while (at < json.length && json.data[at] != '\0' && strchr(" \t\r\n", json.data[at]) != NULL)
    at++;
  return at < json.length && json.data[at] == '[';
}

/* The texts of a command, all of them together held to the limit of a source. */
static kiln_status check_texts(const kiln *k, const kiln_command *command, kiln_error *err) {
  uint64_t total = 0;
  bool is_module = /* whose identifier is where others have a file's name */
      command->op == KILN_MODULE_CREATE || command->op == KILN_MODULE_CREATE_SYNTHETIC;
  kiln_span exports = command->exports_json, names_only = {NULL, 0};
  if (begins_list(exports)) {
    names_only = exports;
    exports.length = 0;
  }
  const struct {
    kiln_span json;
    char open;
    const char *what;
  } jsons[] = {{command->globals_json, '{', "globals"},
               {command->extensions_json, '[', "contextExtensions"},
               {command->args_json, '[', "args"},
               {command->initialize_meta_json, '{', "initializeImportMeta"},
               {exports, '{', "exports"},
               {names_only, '[', "exports"}};
  const struct {
    kiln_span name;
    const char *what;
  } names[] = {{command->filename, is_module ? "identifier" : "filename"},
               {command->context_name, "context name"},
               {command->context_origin, "context origin"},
               {command->name, "name"}};
  kiln_status status = KILN_OK;
  if (command->source != NULL) {
    status = add_bytes(k, kiln_bytes_get(command->source).length, "source", &total, err);
  }
  for (size_t i = 0; status == KILN_OK && i < sizeof(jsons) / sizeof(jsons[0]); i++) {
    status = check_json(k, jsons[i].json, jsons[i].open, jsons[i].what, &total, err);
  }
  if (status == KILN_OK) status = check_value(k, command->this_json, "this", &total, err);
  if (status == KILN_OK) status = check_value(k, command->value_json, "value", &total, err);
  for (size_t i = 0; status == KILN_OK && i < sizeof(names) / sizeof(names[0]); i++) {
    status = check_name(names[i].name, names[i].what, err);
  }
  for (size_t i = 0; status == KILN_OK && i < command->params_count; i++) {
    status = check_name(command->params[i], "a parameter", err);
  }
  for (size_t i = 0; status == KILN_OK && i < command->links_count; i++) {
    const kiln_link *link = &command->links[i];
    status = add_bytes(k, link->specifier.length, "links", &total, err);
    if (status == KILN_OK) {
      status = check_json(k, link->attributes_json, '{', "link: attributes", &total, err);
    }
  }
  return status;
}

static kiln_status check_needed(bool there, const char *what, kiln_error *err) {
  return there ? KILN_OK : kiln__fail(err, KILN_EINVAL, "ERR_MISSING_ARGS", "%s: missing", what);
}

/* What a command that makes something needs: a source or a key, a context, or neither. */
static kiln_status check_creation(const kiln_command *command, bool has_source, bool has_context,
                                  kiln_error *err) {
  if (has_source && command->source != NULL && command->key.length > 0) {
    return kiln__fail(err, KILN_EINVAL, NULL, "source and key: only one of them can be given");
  }
  kiln_status status = KILN_OK;
  if (has_source) {
    status = check_needed(command->source != NULL || command->key.length > 0, "source", err);
  }
  if (status == KILN_OK && has_context) {
    status = check_needed(command->context.length > 0, "context", err);
  }
  return status;
}

kiln_status kiln__check_command(const kiln *k, const kiln_command *command, kiln_error *err) {
  kiln_status status = check_timeout(k, command->timeout_ms, err);
  if (status == KILN_OK) {
    status = check_count(command->params_count, KILN_PARAMS_MAX, "parameters", err);
  }
  if (status == KILN_OK) status = check_count(command->links_count, KILN_LINKS_MAX, "links", err);
  if (status == KILN_OK) status = check_texts(k, command, err);
  if (status != KILN_OK) return status;
  switch (command->op) {
    case KILN_CONTEXT_CREATE:
      return check_creation(command, /* has_source= */ false, /* has_context= */ false, err);
    case KILN_SCRIPT_CREATE:
      return check_creation(command, /* has_source= */ true, /* has_context= */ false, err);
    case KILN_FUNCTION_CREATE:
    case KILN_MODULE_CREATE:
      return check_creation(command, /* has_source= */ true, /* has_context= */ true, err);
    case KILN_MODULE_CREATE_SYNTHETIC:
      return check_creation(command, /* has_source= */ false, /* has_context= */ true, err);
    default:
      break;
  }
  if ((unsigned)command->op >= KILN_COMMAND_OPS) {
    return kiln__fail(err, KILN_EINVAL, NULL, "command %u: unknown", (unsigned)command->op);
  }
  status = check_needed(command->object.length > 0, "object", err);
  if (status == KILN_OK && command->op == KILN_CONTEXT_RUN) {
    status = check_needed(command->source != NULL, "source", err);
  }
  if (status == KILN_OK && command->op == KILN_SCRIPT_RUN) {
    status = check_needed(command->context.length > 0, "context", err);
  }
  return status;
}
