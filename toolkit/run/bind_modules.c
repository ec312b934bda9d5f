/* SPDX-License-Identifier: MIT
 *
 * bind_modules.c: internalBinding("modules"): compiles files with the store's caches, and gives
 * js/internal/loader.js the module records it links. A record is tied to an object of the loader's.
 */
#include <stdlib.h>
#include <string.h>

#include "toolkit/cli.h"
#include "toolkit/run/bindings.h"
#include "toolkit/run/event_loop.h"
#include "toolkit/run/files.h"
#include "toolkit/run/report.h"

/* ---- import() and import.meta --------------------------------------------------------- */

void kiln__run_import(kiln__run *run, kv8_import *import) {
  kv8_error error;
  kv8_module_request request;
  kv8_value *specifier = NULL, *referrer = NULL, *attributes = NULL, *promise = NULL;
  kv8_run_options options = KV8_RUN_OPTIONS_INIT;
  kv8_import_get_request(import, &request);
  kv8_status status = kv8_string(run->isolate, request.specifier, &specifier, &error);
  if (status == KV8_OK) {
    status = kv8_string(run->isolate, kv8_import_get_filename(import), &referrer, &error);
  }
  if (status == KV8_OK) status = kiln__run_attributes(run, &request, &attributes, &error);
  if (status == KV8_OK) {
    const kv8_value *args[] = {specifier, referrer, attributes};
    status = kv8_value_call(run->context, run->hooks.importFrom, /* receiver= */ NULL, args, 3,
                            &options, &promise, &error);
  }
  if (status == KV8_OK) {
    kv8_import_answer_value(import, promise);
  } else if (status == KV8_EEXCEPTION && run->exception != NULL) {
    kv8_import_reject(import, run->exception);
  }
  kv8_value_free(promise);
  kv8_value_free(attributes);
  kv8_value_free(referrer);
  kv8_value_free(specifier);
}

static void on_import_meta(void *user, kv8_module *module, const kv8_value *meta,
                           kv8_value **ret_exception) {
  kiln__run *run = user;
  kv8_error error;
  kv8_value *name = NULL;
  kv8_run_options options = KV8_RUN_OPTIONS_INIT;
  kv8_status status = kv8_string(run->isolate, kv8_module_get_identifier(module), &name, &error);
  if (status == KV8_OK) {
    const kv8_value *args[] = {meta, name};
    status = kv8_value_call(run->context, run->hooks.importMeta, /* receiver= */ NULL, args, 2,
                            &options, /* ret_value= */ NULL, &error);
  }
  if (status == KV8_EEXCEPTION && run->exception != NULL) {
    (void)kv8_value_copy(run->exception, ret_exception, /* err= */ NULL);
  }
  kv8_value_free(name);
}

/* ---- compiling ------------------------------------------------------------------------ */

/* One source on its way to V8: a file's, or a text that JavaScript has. */
typedef struct compile {
  kiln__run *run;
  kv8_call *call;
  kv8_blob filename;
  kv8_source source;
  kv8_hooks hooks;
  kiln__run_cached *cached;
  kv8_cache_outcome outcome;
  kv8_error error;
} compile;

/* Reads (filename, text): without text, the file. False: it threw. */
static bool compile_begin(compile *c, kiln__run *run, kv8_call *call, int kind) {
  *c = (compile){.run = run, .call = call, .source = KV8_SOURCE_INIT, .hooks = KV8_HOOKS_INIT};
  if (!kiln__run_arg_text(call, 0, &c->filename)) return false;
  char *text;
  size_t length;
  if (kiln__run_arg_given(call, 1)) {
    kv8_blob blob = {NULL, 0};
    if (!kiln__run_arg_text(call, 1, &blob)) {
      kv8_blob_free(&c->filename);
      return false;
    }
    text = malloc(blob.length + 1);
    length = blob.length;
    if (text != NULL) memcpy(text, blob.data, length);
    kv8_blob_free(&blob);
  } else if (!kiln__run_read_file(call, (const char *)c->filename.data, &text, &length)) {
    kv8_blob_free(&c->filename);
    return false;
  }
  c->source.text = (kv8_span){text, length};
  c->source.release = free;
  c->source.release_user = text;
  c->source.filename = kiln__run_span(&c->filename);
  /* import() is answered by the context's hooks: code from a cache has no others. */
  if (kind == KILN__CLI_MODULE) {
    c->hooks.on_import_meta = on_import_meta;
    c->hooks.user = run;
    c->source.hooks = &c->hooks;
  }
  if (!kiln__run_arg_given(call, 1)) {
    c->cached = kiln__run_store_find(run, kind, c->source.text, (const char *)c->filename.data);
    c->source.cached_data = kiln__run_cached_data(c->cached);
  }
  return true;
}

/* After the compile. True: it went well, and a handle may be kept for the store if *ret_keep. */
static bool compile_end(compile *c, kv8_status status, bool *ret_keep) {
  if (status == KV8_OK && c->outcome == KV8_CACHE_REJECTED && c->cached != NULL) {
    kiln__run_cached_rejected(c->run, c->cached);
  }
  *ret_keep = c->cached != NULL && c->outcome != KV8_CACHE_ACCEPTED;
  kv8_blob_free(&c->filename);
  if (status == KV8_OK) return true;
  kiln__run_throw_placed(c->run, c->call, &c->error);
  return false;
}

/* compileFunction(filename[, text]): the CommonJS wrapper. */
static void compile_function(void *user, kv8_call *call) {
  compile c;
  kv8_span params[KILN__CLI_COMMONJS_PARAMS];
  kv8_function_options options = KV8_FUNCTION_OPTIONS_INIT;
  kv8_function *function = NULL;
  kv8_value *value = NULL;
  bool keep;
  if (!compile_begin(&c, user, call, KILN__CLI_COMMONJS)) return;
  for (size_t i = 0; i < KILN__CLI_COMMONJS_PARAMS; i++) {
    params[i] = kv8_span_from(kiln__cli_commonjs_params[i]);
  }
  options.params = params;
  options.params_count = KILN__CLI_COMMONJS_PARAMS;
  kv8_status status =
      kv8_function_compile(c.run->context, &c.source, &options, &function, &c.outcome, &c.error);
  if (status == KV8_OK) status = kv8_function_copy_value(function, &value, &c.error);
  if (compile_end(&c, status, &keep)) {
    kiln__run_return(call, value);
    if (keep) {
      kiln__run_cached_function(c.cached, function);
      return;
    }
  }
  kv8_function_free(function);
}

/* runScript(filename[, text]): runs it as a script; its value. */
static void run_script(void *user, kv8_call *call) {
  compile c;
  kv8_script *script = NULL;
  kv8_value *value = NULL;
  bool keep;
  if (!compile_begin(&c, user, call, KILN__CLI_SCRIPT)) return;
  kv8_status status = kv8_script_compile(c.run->isolate, &c.source, &script, &c.outcome, &c.error);
  if (!compile_end(&c, status, &keep)) return;
  kv8_run_options options = KV8_RUN_OPTIONS_INIT;
  status = kv8_script_run(script, c.run->context, &options, &value, &c.error);
  if (!kiln__run_throws(call, status, &c.error)) kiln__run_return(call, value);
  if (keep) {
    kiln__run_cached_script(c.cached, script);
  } else {
    kv8_script_free(script);
  }
}

/* compileModule(filename, text, record): ties a module record to `record`. */
static void compile_module(void *user, kv8_call *call) {
  compile c;
  kv8_module *module = NULL;
  bool keep;
  if (!compile_begin(&c, user, call, KILN__CLI_MODULE)) return;
  kv8_status status = kv8_module_compile(c.run->context, &c.source, &module, &c.outcome, &c.error);
  if (status == KV8_OK) {
    status = kv8_module_tie(module, kv8_call_get_argument(call, 2), &c.error);
    if (status != KV8_OK) kv8_module_free(module);
  }
  if (compile_end(&c, status, &keep) && keep) kiln__run_cached_module(c.cached, module);
}

/* ---- synthetic modules ---------------------------------------------------------------- */

typedef struct synthetic {
  kiln__run *run;
  kv8_value *evaluate;
} synthetic;

static void release_synthetic(void *user) {
  synthetic *it = user;
  kv8_value_free(it->evaluate);
  free(it);
}

static kv8_status evaluate_synthetic(void *user, kv8_module *module, kv8_value **ret_exception,
                                     kv8_error *err) {
  const synthetic *it = user;
  kv8_run_options options = KV8_RUN_OPTIONS_INIT;
  (void)module;
  kv8_status status = kv8_value_call(it->run->context, it->evaluate, /* receiver= */ NULL,
                                     /* args= */ NULL, 0, &options, /* ret_value= */ NULL, err);
  if (status == KV8_EEXCEPTION && it->run->exception != NULL) {
    (void)kv8_value_copy(it->run->exception, ret_exception, /* err= */ NULL);
  }
  return status;
}

/* The texts of an array of strings, one after the other; NULL: it threw. */
static kv8_blob *texts_of(kiln__run *run, kv8_call *call, size_t index, uint32_t *ret_count) {
  kv8_error error;
  const kv8_value *array = kv8_call_get_argument(call, index);
  kv8_status status = kv8_array_get_length(array, ret_count, &error);
  if (kiln__run_throws(call, status, &error)) return NULL;
  kv8_blob *texts = calloc((size_t)*ret_count + 1, sizeof(*texts));
  for (uint32_t i = 0; texts != NULL && i < *ret_count; i++) {
    kv8_value *text = NULL;
    status = kv8_object_get_index(run->context, array, i, &text, &error);
    if (status == KV8_OK) status = kv8_value_copy_text(text, &texts[i], &error);
    kv8_value_free(text);
    if (kiln__run_throws(call, status, &error)) {
      for (uint32_t j = 0; j < i; j++) kv8_blob_free(&texts[j]);
      free(texts);
      return NULL;
    }
  }
  return texts;
}

/* syntheticModule(identifier, names, evaluate, record) */
static void synthetic_module(void *user, kv8_call *call) {
  kiln__run *run = user;
  kv8_error error;
  kv8_synthetic_options options = KV8_SYNTHETIC_OPTIONS_INIT;
  kv8_blob identifier = {NULL, 0};
  kv8_module *module = NULL;
  uint32_t count;
  if (!kiln__run_arg_text(call, 0, &identifier)) return;
  kv8_blob *texts = texts_of(run, call, 1, &count);
  synthetic *it = texts == NULL ? NULL : calloc(1, sizeof(*it));
  kv8_span *names = it == NULL ? NULL : calloc((size_t)count + 1, sizeof(*names));
  if (names != NULL) {
    for (uint32_t i = 0; i < count; i++) names[i] = kiln__run_span(&texts[i]);
    it->run = run;
    (void)kv8_value_copy(kv8_call_get_argument(call, 2), &it->evaluate, /* err= */ NULL);
    options.identifier = kiln__run_span(&identifier);
    options.export_names = names;
    options.export_names_count = count;
    options.evaluate = evaluate_synthetic;
    options.user = it;
    options.release = release_synthetic;
    kv8_status status = kv8_module_synthetic(run->context, &options, &module, &error);
    if (status == KV8_OK) {
      status = kv8_module_tie(module, kv8_call_get_argument(call, 3), &error);
      if (status != KV8_OK) kv8_module_free(module);
    }
    (void)kiln__run_throws(call, status, &error);
  } else {
    free(it);
  }
  free(names);
  if (texts != NULL) {
    for (uint32_t i = 0; i < count; i++) kv8_blob_free(&texts[i]);
    free(texts);
  }
  kv8_blob_free(&identifier);
}

/* ---- records -------------------------------------------------------------------------- */

/* The record's module; NULL: it threw. */
static kv8_module *module_of(kv8_call *call, size_t index) {
  kv8_module *module = kv8_module_of(kv8_call_get_argument(call, index));
  if (module == NULL) kiln__run_throw(call, KV8_TYPE_ERROR, "ERR_INVALID_ARG_TYPE", "no module");
  return module;
}

/* setExport(record, name, value) */
static void set_export(void *user, kv8_call *call) {
  kv8_error error;
  kv8_blob name = {NULL, 0};
  kv8_module *module = module_of(call, 0);
  (void)user;
  if (module == NULL || !kiln__run_arg_text(call, 1, &name)) return;
  kv8_status status =
      kv8_module_set_export(module, kiln__run_span(&name), kv8_call_get_argument(call, 2), &error);
  kv8_blob_free(&name);
  (void)kiln__run_throws(call, status, &error);
}

/* requests(record): [specifier, attributes, specifier, attributes, ...] */
static void requests(void *user, kv8_call *call) {
  kiln__run *run = user;
  kv8_error error;
  kv8_value *array = NULL;
  kv8_module *module = module_of(call, 0);
  if (module == NULL) return;
  size_t count = kv8_module_get_request_count(module);
  kv8_status status = kv8_array(run->context, /* elements= */ NULL, 0, &array, &error);
  for (size_t i = 0; status == KV8_OK && i < count; i++) {
    kv8_module_request request;
    kv8_value *specifier = NULL, *attributes = NULL;
    status = kv8_module_get_request(module, i, &request, &error);
    if (status == KV8_OK) status = kv8_string(run->isolate, request.specifier, &specifier, &error);
    if (status == KV8_OK) status = kiln__run_attributes(run, &request, &attributes, &error);
    if (status == KV8_OK) {
      status = kv8_object_set_index(run->context, array, (uint32_t)(2 * i), specifier, &error);
    }
    if (status == KV8_OK) {
      status = kv8_object_set_index(run->context, array, (uint32_t)(2 * i + 1), attributes, &error);
    }
    kv8_value_free(attributes);
    kv8_value_free(specifier);
  }
  if (!kiln__run_throws(call, status, &error)) kv8_call_return(call, array);
  kv8_value_free(array);
}

/* link(record, records) */
static void link_requests(void *user, kv8_call *call) {
  kiln__run *run = user;
  kv8_error error;
  uint32_t count = 0;
  kv8_module *module = module_of(call, 0);
  if (module == NULL) return;
  const kv8_value *array = kv8_call_get_argument(call, 1);
  kv8_status status = kv8_array_get_length(array, &count, &error);
  kv8_module **modules = calloc((size_t)count + 1, sizeof(kv8_module *));
  for (uint32_t i = 0; status == KV8_OK && modules != NULL && i < count; i++) {
    kv8_value *record = NULL;
    status = kv8_object_get_index(run->context, array, i, &record, &error);
    if (status == KV8_OK) modules[i] = kv8_module_of(record);
    kv8_value_free(record);
  }
  if (status == KV8_OK) status = kv8_module_link_requests(module, modules, count, &error);
  free(modules);
  (void)kiln__run_throws(call, status, &error);
}

/* instantiate(record) */
static void instantiate(void *user, kv8_call *call) {
  kv8_error error;
  kv8_module *module = module_of(call, 0);
  if (module == NULL) return;
  if (kv8_module_instantiate(module, &error) != KV8_OK) {
    kiln__run_throw_placed(user, call, &error);
  }
}

/* evaluate(record): V8's promise of it. */
static void evaluate(void *user, kv8_call *call) {
  kiln__run *run = user;
  kv8_error error;
  kv8_value *promise = NULL;
  kv8_run_options options = KV8_RUN_OPTIONS_INIT;
  kv8_promise_state state;
  kv8_module *module = module_of(call, 0);
  if (module == NULL) return;
  kv8_status status = kv8_module_evaluate(module, &options, &state, &error);
  if (status == KV8_EEXCEPTION) kiln__run_place(run, &error);
  if (status == KV8_OK || status == KV8_EEXCEPTION) {
    kv8_status copied = kv8_module_copy_promise(module, &promise, /* err= */ NULL);
    if (copied == KV8_OK) {
      /* The loader sees to it; the shim has marked it as handled, which V8 does not tell. */
      (void)kiln__run_forget_rejection(run, promise);
      status = KV8_OK;
    }
  }
  if (!kiln__run_throws(call, status, &error)) kv8_call_return(call, promise);
  kv8_value_free(promise);
}

/* namespaceOf(record) */
static void namespace_of(void *user, kv8_call *call) {
  kv8_error error;
  kv8_value *value = NULL;
  kv8_module *module = module_of(call, 0);
  (void)user;
  if (module == NULL) return;
  kv8_status status = kv8_module_copy_namespace(module, &value, &error);
  if (!kiln__run_throws(call, status, &error)) kiln__run_return(call, value);
}

/* status(record): Node's word for it. */
static void status_of(void *user, kv8_call *call) {
  kv8_module *module = module_of(call, 0);
  (void)user;
  if (module == NULL) return;
  kiln__run_return_text(call, kv8_span_from(kv8_module_status_name(kv8_module_get_status(module))));
}

kv8_status kiln__run_bind_modules(kiln__run *run, kv8_value *object, kv8_error *err) {
  static const kiln__run_entry entries[] = {{"compileFunction", 2, compile_function},
                                            {"runScript", 2, run_script},
                                            {"compileModule", 3, compile_module},
                                            {"syntheticModule", 4, synthetic_module},
                                            {"setExport", 3, set_export},
                                            {"requests", 1, requests},
                                            {"link", 2, link_requests},
                                            {"instantiate", 1, instantiate},
                                            {"evaluate", 1, evaluate},
                                            {"namespaceOf", 1, namespace_of},
                                            {"status", 1, status_of},
                                            {NULL, 0, NULL}};
  return kiln__run_functions(run, object, entries, err);
}
