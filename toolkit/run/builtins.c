/* SPDX-License-Identifier: MIT
 *
 * builtins.c: built-in modules: finds, compiles and runs them when they are first required, with
 * the code caches embedded beside them if this is the engine that made those.
 */
#include "toolkit/run/builtins.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "toolkit/run/bindings.h"

static const struct {
  const char *name;
  kiln__run_bind_fn bind;
} bindings[] = {{"builtins", kiln__run_bind_builtins},
                {"files", kiln__run_bind_files},
                {"http", kiln__run_bind_http},
                {"loop", kiln__run_bind_loop},
                {"modules", kiln__run_bind_modules},
                {"process", kiln__run_bind_process},
                {"text", kiln__run_bind_text},
                {"util", kiln__run_bind_util},
                {"v8", kiln__run_bind_v8},
                {"vm", kiln__run_bind_vm}};

/* What npm packages require by names that are not files of their own. */
static const struct {
  const char *request;
  const char *name;
} aliases[] = {{"base64-js", "npm/base64-js/index"},
               {"ieee754", "npm/ieee754/index"},
               {"util/", "util"},
               {"object.assign/polyfill", "internal/npm/assign"},
               {"object-is/polyfill", "internal/npm/is"},
               {"call-bind/callBound", "internal/npm/call_bound"}};

static const char *const params[] = {"exports", "require", "module", "internalBinding"};
#define PARAMS (sizeof(params) / sizeof(params[0]))
#define NAME_MAX_BYTES 128

static bool keeps;
static kv8_function **kept; /* by index, if `keeps` */

/* ---- the embedded caches -------------------------------------------------------------- */

static bool copy_text(char *to, size_t size, const char *from) {
  size_t length = strlen(from);
  if (length >= size) return false;
  memset(to, 0, size);
  memcpy(to, from, length);
  return true;
}

bool kiln__run_cache_head_fill(kiln__run_cache_head *ret_head) {
  kv8_engine_info engine;
  if (kv8_engine_get_info(&engine, /* err= */ NULL) != KV8_OK) return false;
  *ret_head = (kiln__run_cache_head){.magic = KILN__RUN_CACHE_MAGIC,
                                     .count = (uint32_t)kiln__run_builtin_count,
                                     .cached_data_tag = engine.cached_data_tag,
                                     .source_digest = kiln__run_builtin_digest};
  return copy_text(ret_head->v8_version, sizeof(ret_head->v8_version), engine.v8_version) &&
         copy_text(ret_head->build_id, sizeof(ret_head->build_id), engine.build_id) &&
         copy_text(ret_head->flags, sizeof(ret_head->flags), engine.flags);
}

/* The cache of a built-in; empty if there is none for this engine. */
static kv8_span cache_of(size_t index) {
  static enum { UNKNOWN, FITS, UNFIT } state;
  kiln__run_cache_head head;
  const uint8_t *at = kiln__run_cache_begin;
  if (state == UNKNOWN) {
    state = (size_t)(kiln__run_cache_end - at) > sizeof(head) && kiln__run_cache_head_fill(&head) &&
                    memcmp(&head, at, sizeof(head)) == 0
                ? FITS
                : UNFIT;
  }
  if (state == UNFIT) return (kv8_span){NULL, 0};
  at += sizeof(head);
  for (size_t i = 0;; i++) {
    uint64_t length;
    memcpy(&length, at, sizeof(length));
    at += sizeof(length);
    if (i == index) return (kv8_span){length > 0 ? (const char *)at : NULL, (size_t)length};
    at += (length + 7) & ~(uint64_t)7;
  }
}

void kiln__run_builtins_keep(bool keep) {
  keeps = keep;
}

kv8_function *kiln__run_builtin_function(size_t index) {
  return kept == NULL ? NULL : kept[index];
}

/* ---- finding -------------------------------------------------------------------------- */

static bool find(const char *name, size_t *ret_index) {
  for (size_t i = 0; i < kiln__run_builtin_count; i++) {
    if (strcmp(kiln__run_builtin_list[i].name, name) == 0) {
      *ret_index = i;
      return true;
    }
  }
  return false;
}

/* Resolves "./x" and "../x" as asked for by the built-in `from`: exactly one of the list. */
static bool find_relative(const char *from, const char *request, size_t *ret_index) {
  char path[NAME_MAX_BYTES];
  const char *slash = strrchr(from, '/');
  int length = snprintf(path, sizeof(path), "%.*s", slash == NULL ? 0 : (int)(slash - from), from);
  while (*request == '.') {
    if (strncmp(request, "./", 2) == 0) {
      request += 2;
    } else if (strncmp(request, "../", 3) == 0) {
      char *last = strrchr(path, '/');
      if (last == NULL) return false;
      *last = '\0';
      length = (int)(last - path);
      request += 3;
    } else {
      return false;
    }
  }
  size_t room = sizeof(path) - (size_t)length;
  int added = snprintf(path + length, room, "/%s", request);
  return added > 0 && (size_t)added < room && find(path, ret_index);
}

static bool resolve(const char *from, const char *request, size_t *ret_index) {
  if (strncmp(request, "node:", 5) == 0) request += 5;
  if (*request == '.') return find_relative(from, request, ret_index);
  if (strncmp(from, "npm/", 4) == 0) {
    for (size_t i = 0; i < sizeof(aliases) / sizeof(aliases[0]); i++) {
      if (strcmp(aliases[i].request, request) == 0) return find(aliases[i].name, ret_index);
    }
  }
  return find(request, ret_index);
}

/* ---- loading -------------------------------------------------------------------------- */

static void never_released(void *user) {
  (void)user;
}

static kv8_status compile(kiln__run *run, size_t index, kv8_function **ret_function,
                          kv8_error *err) {
  const kiln__run_builtin *builtin = &kiln__run_builtin_list[index];
  kv8_source source = KV8_SOURCE_INIT;
  kv8_function_options options = KV8_FUNCTION_OPTIONS_INIT;
  kv8_span names[PARAMS];
  char filename[NAME_MAX_BYTES];
  (void)snprintf(filename, sizeof(filename), "node:%s", builtin->name);
  for (size_t i = 0; i < PARAMS; i++) names[i] = kv8_span_from(params[i]);
  source.text = (kv8_span){builtin->text, (size_t)(builtin->text_end - builtin->text)};
  source.release = never_released;
  source.filename = kv8_span_from(filename);
  source.cached_data = cache_of(index);
  options.params = names;
  options.params_count = PARAMS;
  return kv8_function_compile(run->context, &source, &options, ret_function,
                              /* ret_outcome= */ NULL, err);
}

typedef struct requirer {
  kiln__run *run;
  const char *from;
} requirer;

static void require_call(void *user, kv8_call *call);

/* A require() that resolves relative requests from `from`. */
static kv8_status make_require(kiln__run *run, const char *from, kv8_value **ret_require,
                               kv8_error *err) {
  kv8_callback callback = KV8_CALLBACK_INIT;
  requirer *state = malloc(sizeof(*state));
  if (state == NULL) {
    if (err != NULL) *err = (kv8_error){.status = KV8_ENOMEM, .message = "out of memory"};
    return KV8_ENOMEM;
  }
  *state = (requirer){run, from};
  callback.fn = require_call;
  callback.user = state;
  callback.release = free;
  callback.name = kv8_span_from("require");
  callback.arity = 1;
  return kv8_function_from_callback(run->context, &callback, ret_require, err);
}

/* Runs the built-in; `module` is in run->builtins already, for circular requests. */
static kv8_status run_builtin(kiln__run *run, size_t index, kv8_value *module, kv8_error *err) {
  const char *name = kiln__run_builtin_list[index].name;
  kv8_function *function = NULL;
  kv8_value *exports = NULL, *own_require = NULL;
  kv8_value *require = run->require;
  kv8_status status = kv8_object(run->context, /* prototype= */ NULL, &exports, err);
  if (status == KV8_OK) {
    status = kv8_object_set_named(run->context, module, kv8_span_from("exports"), exports, err);
  }
  if (status == KV8_OK && strncmp(name, "npm/", 4) == 0) {
    status = make_require(run, name, &own_require, err);
    require = own_require;
  }
  if (status == KV8_OK) status = compile(run, index, &function, err);
  if (status == KV8_OK) {
    const kv8_value *arguments[PARAMS] = {exports, require, module, run->internal_binding};
    kv8_run_options options = KV8_RUN_OPTIONS_INIT;
    status = kv8_function_call(function, exports, arguments, PARAMS, &options,
                               /* ret_value= */ NULL, err);
  }
  kv8_value_free(own_require);
  kv8_value_free(exports);
  if (status == KV8_OK && keeps) {
    if (kept == NULL) kept = calloc(kiln__run_builtin_count, sizeof(kv8_function *));
    if (kept != NULL) {
      kept[index] = function;
      return KV8_OK;
    }
  }
  kv8_function_free(function);
  return status;
}

static kv8_status load(kiln__run *run, size_t index, kv8_value **ret_exports, kv8_error *err) {
  kv8_span name = kv8_span_from(kiln__run_builtin_list[index].name);
  kv8_value *module = NULL;
  kv8_status status = kv8_object_get_named(run->context, run->builtins, name, &module, err);
  if (status != KV8_OK) return status;
  if (kv8_value_get_type(module) == KV8_TYPE_UNDEFINED) {
    kv8_value_free(module);
    module = NULL;
    status = kv8_object(run->context, /* prototype= */ NULL, &module, err);
    if (status == KV8_OK) {
      status = kv8_object_set_named(run->context, run->builtins, name, module, err);
    }
    if (status == KV8_OK) status = run_builtin(run, index, module, err);
  }
  if (status == KV8_OK) {
    status = kv8_object_get_named(run->context, module, kv8_span_from("exports"), ret_exports, err);
  }
  kv8_value_free(module);
  return status;
}

static void require_call(void *user, kv8_call *call) {
  requirer *state = user;
  kv8_error error;
  kv8_blob request = {NULL, 0};
  size_t index;
  if (!kiln__run_arg_text(call, 0, &request)) return;
  if (resolve(state->from, (const char *)request.data, &index)) {
    kv8_value *exports = NULL;
    kv8_status status = load(state->run, index, &exports, &error);
    if (!kiln__run_throws(call, status, &error)) kiln__run_return(call, exports);
  } else {
    kiln__run_throw(call, KV8_ERROR, "ERR_UNKNOWN_BUILTIN_MODULE", "No such built-in module: %s",
                    (const char *)request.data);
  }
  kv8_blob_free(&request);
}

kv8_status kiln__run_require(kiln__run *run, const char *name, kv8_value **ret_exports,
                             kv8_error *err) {
  size_t index;
  if (!resolve("", name, &index)) {
    if (err != NULL) {
      *err = (kv8_error){.status = KV8_EINVAL};
      (void)snprintf(err->message, sizeof(err->message), "no built-in module '%s'", name);
    }
    return KV8_EINVAL;
  }
  return load(run, index, ret_exports, err);
}

static void binding_call(void *user, kv8_call *call) {
  kiln__run *run = user;
  kv8_error error;
  kv8_blob name = {NULL, 0};
  kv8_value *object = NULL;
  if (!kiln__run_arg_text(call, 0, &name)) return;
  kv8_status status =
      kv8_object_get_named(run->context, run->bindings, kiln__run_span(&name), &object, &error);
  size_t i = 0;
  if (status == KV8_OK && kv8_value_get_type(object) == KV8_TYPE_UNDEFINED) {
    kv8_value_free(object);
    object = NULL;
    while (i < sizeof(bindings) / sizeof(bindings[0]) &&
           strcmp(bindings[i].name, (const char *)name.data) != 0) {
      i++;
    }
    if (i == sizeof(bindings) / sizeof(bindings[0])) {
      kiln__run_throw(call, KV8_ERROR, "ERR_INVALID_MODULE", "No such binding: %s",
                      (const char *)name.data);
      kv8_blob_free(&name);
      return;
    }
    status = kv8_object(run->context, /* prototype= */ NULL, &object, &error);
    if (status == KV8_OK) status = bindings[i].bind(run, object, &error);
    if (status == KV8_OK) {
      status =
          kv8_object_set_named(run->context, run->bindings, kiln__run_span(&name), object, &error);
    }
  }
  if (!kiln__run_throws(call, status, &error)) kv8_call_return(call, object);
  kv8_value_free(object);
  kv8_blob_free(&name);
}

/* ---- the binding about built-ins ------------------------------------------------------ */

static bool is_public(const char *name) {
  return strncmp(name, "internal/", 9) != 0 && strncmp(name, "npm/", 4) != 0;
}

/* has(name): is it a module that a script may require, the name being without "node:"? */
static void has(void *user, kv8_call *call) {
  kv8_blob name = {NULL, 0};
  size_t index;
  (void)user;
  if (!kiln__run_arg_text(call, 0, &name)) return;
  const char *text = (const char *)name.data;
  kiln__run_return_bool(call, is_public(text) && find(text, &index));
  kv8_blob_free(&name);
}

/* names(): of all those, as one text with a blank between. */
static void names(void *user, kv8_call *call) {
  char text[2048];
  size_t used = 0;
  (void)user;
  for (size_t i = 0; i < kiln__run_builtin_count; i++) {
    const char *name = kiln__run_builtin_list[i].name;
    if (!is_public(name)) continue;
    int added = snprintf(text + used, sizeof(text) - used, "%s%s", used > 0 ? " " : "", name);
    if (added < 0 || (size_t)added >= sizeof(text) - used) break;
    used += (size_t)added;
  }
  kiln__run_return_text(call, (kv8_span){text, used});
}

kv8_status kiln__run_bind_builtins(kiln__run *run, kv8_value *object, kv8_error *err) {
  static const kiln__run_entry entries[] = {{"has", 1, has}, {"names", 0, names}, {NULL, 0, NULL}};
  return kiln__run_functions(run, object, entries, err);
}

/* ---- start and end -------------------------------------------------------------------- */

kv8_status kiln__run_builtins_start(kiln__run *run, kv8_error *err) {
  kv8_value *null = NULL;
  kv8_callback callback = KV8_CALLBACK_INIT;
  callback.fn = binding_call;
  callback.user = run;
  callback.name = kv8_span_from("internalBinding");
  callback.arity = 1;
  kv8_status status = kv8_null(run->isolate, &null, err);
  if (status == KV8_OK) status = kv8_object(run->context, null, &run->builtins, err);
  if (status == KV8_OK) status = kv8_object(run->context, null, &run->bindings, err);
  if (status == KV8_OK) status = make_require(run, "", &run->require, err);
  if (status == KV8_OK) {
    status = kv8_function_from_callback(run->context, &callback, &run->internal_binding, err);
  }
  kv8_value_free(null);
  return status;
}

void kiln__run_builtins_end(kiln__run *run) {
  kv8_value_free(run->internal_binding);
  kv8_value_free(run->require);
  kv8_value_free(run->bindings);
  kv8_value_free(run->builtins);
  for (size_t i = 0; kept != NULL && i < kiln__run_builtin_count; i++) kv8_function_free(kept[i]);
  free(kept);
  kept = NULL;
}
