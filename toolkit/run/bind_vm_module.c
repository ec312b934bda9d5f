/* SPDX-License-Identifier: MIT
 *
 * bind_vm_module.c: internalBinding("vm"), the part about modules. The first argument is the
 * JavaScript object that the module is tied to.
 */
#include "toolkit/run/bind_vm.h"

#include <stdlib.h>

static kv8_module *module_of(kv8_call *call) {
  kv8_module *module = kv8_module_of(kv8_call_get_argument(call, 0));
  if (module == NULL) kiln__run_throw(call, KV8_TYPE_ERROR, "", "Illegal invocation");
  return module;
}

static bool throws(kiln__run *run, kv8_call *call, kv8_status status, const kv8_error *err) {
  return kiln__run_vm_throws(run, call, status, err, /* place= */ NULL);
}

/* ---- making -----------------------------------------------------------------------------------
 */

static kv8_status tie(kv8_module *module, kv8_call *call, kv8_error *err) {
  kv8_status status = kv8_module_tie(module, kv8_call_get_argument(call, 0), err);
  if (status != KV8_OK) kv8_module_free(module);
  return status;
}

/* compileModule(module, context, code, identifier, lineOffset, columnOffset, cachedData, hooks,
 * result): writes result.rejected -> the seal of its cached data. */
static void compile_module(void *user, kv8_call *call) {
  kiln__run *run = user;
  kv8_error error;
  kiln__run_vm_source source;
  kv8_module *module = NULL;
  kv8_cache_outcome outcome = KV8_CACHE_NOT_OFFERED;
  kv8_context *context = kiln__run_vm_context(run, call, 1);
  kcc_digest seal;
  if (context == NULL || !kiln__run_vm_source_read(run, call, 2, &source)) return;
  if (!kiln__run_vm_seal_of(call, KILN__RUN_VM_MODULE, source.source.text, /* params= */ NULL,
                            /* params_count= */ 0, &seal)) {
    kiln__run_vm_source_release(&source);
    return;
  }
  source.source.cached_data = kiln__run_vm_unseal(source.source.cached_data, &seal);
  kv8_status status = kv8_module_compile(context, &source.source, &module, &outcome, &error);
  if (status == KV8_OK) status = tie(module, call, &error);
  if (status == KV8_OK) status = kiln__run_vm_report(run, call, 8, outcome, &error);
  if (!throws(run, call, status, &error)) kiln__run_vm_return_seal(call, &seal);
  kiln__run_vm_source_release(&source);
}

/* makeSyntheticModule(module, context, exportNames, identifier) */
static void make_synthetic(void *user, kv8_call *call) {
  kiln__run *run = user;
  kv8_error error;
  kv8_synthetic_options options = KV8_SYNTHETIC_OPTIONS_INIT;
  kv8_value **names = NULL;
  size_t count = 0, read = 0;
  kv8_blob identifier = {NULL, 0};
  kv8_module *module = NULL;
  kv8_context *context = kiln__run_vm_context(run, call, 1);
  if (context == NULL || !kiln__run_vm_items(run, call, 2, &names, &count)) return;
  kv8_blob *texts = calloc(count + 1, sizeof(*texts));
  kv8_span *spans = calloc(count + 1, sizeof(*spans));
  kv8_status status = KV8_OK;
  if (texts == NULL || spans == NULL) {
    status = KV8_ENOMEM;
    error = (kv8_error){.status = KV8_ENOMEM, .message = "out of memory"};
  }
  for (; status == KV8_OK && read < count; read++) {
    status = kv8_value_copy_text(names[read], &texts[read], &error);
    if (status == KV8_OK) spans[read] = kiln__run_span(&texts[read]);
  }
  if (status == KV8_OK) {
    status = kv8_value_copy_text(kv8_call_get_argument(call, 3), &identifier, &error);
  }
  if (status == KV8_OK) {
    options.identifier = kiln__run_span(&identifier);
    options.export_names = spans;
    options.export_names_count = count;
    options.evaluate = kiln__run_vm_evaluate_synthetic;
    options.user = run;
    status = kv8_module_synthetic(context, &options, &module, &error);
  }
  if (status == KV8_OK) status = tie(module, call, &error);
  (void)throws(run, call, status, &error);
  kv8_blob_free(&identifier);
  for (size_t i = 0; texts != NULL && i < read; i++) kv8_blob_free(&texts[i]);
  free(spans);
  free(texts);
  kiln__run_vm_items_free(names, count);
}

static void set_export(void *user, kv8_call *call) {
  kiln__run *run = user;
  kv8_error error;
  kv8_blob name = {NULL, 0};
  kv8_module *module = module_of(call);
  if (module == NULL || !kiln__run_arg_text(call, 1, &name)) return;
  kv8_status status =
      kv8_module_set_export(module, kiln__run_span(&name), kv8_call_get_argument(call, 2), &error);
  kv8_blob_free(&name);
  (void)throws(run, call, status, &error);
}

/* ---- asking -----------------------------------------------------------------------------------
 */

static void module_status(void *user, kv8_call *call) {
  (void)user;
  kv8_module *module = module_of(call);
  if (module != NULL) kiln__run_return_number(call, (double)kv8_module_get_status(module));
}

static void module_identifier(void *user, kv8_call *call) {
  (void)user;
  kv8_module *module = module_of(call);
  if (module != NULL) kiln__run_return_text(call, kv8_module_get_identifier(module));
}

static void module_namespace(void *user, kv8_call *call) {
  kiln__run *run = user;
  kv8_error error;
  kv8_value *value = NULL;
  kv8_module *module = module_of(call);
  if (module == NULL) return;
  kv8_status status = kv8_module_copy_namespace(module, &value, &error);
  if (!throws(run, call, status, &error)) kiln__run_return(call, value);
}

/* Sets and frees. */
static kv8_status put(kiln__run *run, kv8_value *object, const char *name, kv8_value *value,
                      kv8_error *err) {
  kv8_status status = kv8_object_set_named(run->context, object, kv8_span_from(name), value, err);
  kv8_value_free(value);
  return status;
}

/* moduleError(module) -> { has: true, value }, or { has: false, code, message } where no exception
 * is why it is errored. */
static void module_error(void *user, kv8_call *call) {
  kiln__run *run = user;
  kv8_error error, why;
  kv8_value *value = NULL, *object = NULL;
  kv8_module *module = module_of(call);
  if (module == NULL) return;
  kv8_status status = kv8_module_copy_exception(module, &value, &error);
  if (status == KV8_OK) status = kv8_object(run->context, /* prototype= */ NULL, &object, &error);
  if (status == KV8_OK) status = kiln__run_set_bool(run, object, "has", value != NULL, &error);
  if (status == KV8_OK && value != NULL) {
    status = put(run, object, "value", value, &error);
    value = NULL;
  } else if (status == KV8_OK) {
    status = kv8_module_get_error(module, &why, &error);
    if (status == KV8_OK) status = kiln__run_set_text(run, object, "code", why.code, &error);
    if (status == KV8_OK) status = kiln__run_set_text(run, object, "message", why.message, &error);
  }
  kv8_value_free(value);
  if (throws(run, call, status, &error)) {
    kv8_value_free(object);
  } else {
    kiln__run_return(call, object);
  }
}

static kv8_status attributes_of(kiln__run *run, const kv8_module_request *request,
                                const kv8_value *null, kv8_value **ret_object, kv8_error *err) {
  kv8_value *object = NULL, *value = NULL;
  kv8_status status = kv8_object(run->context, null, &object, err);
  for (size_t i = 0; status == KV8_OK && i < request->attributes_count; i++) {
    status = kv8_string(run->isolate, request->attributes[i].value, &value, err);
    if (status == KV8_OK) {
      status = kv8_object_set_named(run->context, object, request->attributes[i].key, value, err);
      kv8_value_free(value);
    }
  }
  if (status != KV8_OK) {
    kv8_value_free(object);
    return status;
  }
  *ret_object = object;
  return KV8_OK;
}

static kv8_status request_object(kiln__run *run, const kv8_module_request *request,
                                 const kv8_value *null, kv8_value **ret_object, kv8_error *err) {
  kv8_value *object = NULL, *value = NULL;
  const char *phase = request->phase == KV8_PHASE_SOURCE ? "source" : "evaluation";
  kv8_status status = kv8_object(run->context, null, &object, err);
  if (status == KV8_OK) status = kv8_string(run->isolate, request->specifier, &value, err);
  if (status == KV8_OK) status = put(run, object, "specifier", value, err);
  if (status == KV8_OK) status = attributes_of(run, request, null, &value, err);
  if (status == KV8_OK) {
    status = kv8_object_freeze(run->context, value, err);
    if (status == KV8_OK) {
      status = put(run, object, "attributes", value, err);
    } else {
      kv8_value_free(value);
    }
  }
  if (status == KV8_OK) status = kiln__run_set_text(run, object, "phase", phase, err);
  if (status != KV8_OK) {
    kv8_value_free(object);
    return status;
  }
  *ret_object = object;
  return KV8_OK;
}

/* moduleRequests(module) -> [{ specifier, attributes, phase }] */
static void module_requests(void *user, kv8_call *call) {
  kiln__run *run = user;
  kv8_error error;
  kv8_value *null = NULL, *array = NULL;
  kv8_module *module = module_of(call);
  if (module == NULL) return;
  size_t count = kv8_module_get_request_count(module);
  kv8_status status = kv8_null(run->isolate, &null, &error);
  if (status == KV8_OK) {
    status = kv8_array(run->context, /* elements= */ NULL, /* elements_count= */ 0, &array, &error);
  }
  for (size_t i = 0; status == KV8_OK && i < count; i++) {
    kv8_module_request request;
    kv8_value *object = NULL;
    status = kv8_module_get_request(module, i, &request, &error);
    if (status == KV8_OK) status = request_object(run, &request, null, &object, &error);
    if (status == KV8_OK) {
      status = kv8_object_set_index(run->context, array, (uint32_t)i, object, &error);
    }
    kv8_value_free(object);
  }
  kv8_value_free(null);
  if (throws(run, call, status, &error)) {
    kv8_value_free(array);
  } else {
    kiln__run_return(call, array);
  }
}

static void has_top_level_await(void *user, kv8_call *call) {
  kiln__run *run = user;
  kv8_error error;
  bool has = false;
  kv8_module *module = module_of(call);
  if (module == NULL) return;
  kv8_status status = kv8_module_has_top_level_await(module, &has, &error);
  if (!throws(run, call, status, &error)) kiln__run_return_bool(call, has);
}

static void has_async_graph(void *user, kv8_call *call) {
  kiln__run *run = user;
  kv8_error error;
  bool has = false;
  kv8_module *module = module_of(call);
  if (module == NULL) return;
  kv8_status status = kv8_module_has_async_graph(module, &has, &error);
  if (!throws(run, call, status, &error)) kiln__run_return_bool(call, has);
}

/* moduleCachedData(module, seal) */
static void cached_data(void *user, kv8_call *call) {
  kiln__run *run = user;
  kv8_error error;
  kcc_digest seal;
  kv8_blob data = {NULL, 0};
  kv8_module *module = module_of(call);
  if (module == NULL || !kiln__run_vm_arg_seal(call, 1, &seal)) return;
  kv8_status status = kv8_module_create_cached_data(module, &data, &error);
  if (!throws(run, call, status, &error)) kiln__run_vm_return_sealed(call, &data, &seal);
  kv8_blob_free(&data);
}

/* ---- linking and evaluating -------------------------------------------------------------------
 */

/* linkRequests(module, modules) */
static void link_requests(void *user, kv8_call *call) {
  kiln__run *run = user;
  kv8_error error;
  kv8_value **objects = NULL;
  size_t count = 0;
  kv8_module *module = module_of(call);
  if (module == NULL || !kiln__run_vm_items(run, call, 1, &objects, &count)) return;
  kv8_module **modules = calloc(count + 1, sizeof(*modules));
  kv8_status status = KV8_ENOMEM;
  error = (kv8_error){.status = KV8_ENOMEM, .message = "out of memory"};
  if (modules != NULL) {
    for (size_t i = 0; i < count; i++) modules[i] = kv8_module_of(objects[i]);
    status = kv8_module_link_requests(module, modules, count, &error);
  }
  free(modules);
  kiln__run_vm_items_free(objects, count);
  (void)throws(run, call, status, &error);
}

static void instantiate(void *user, kv8_call *call) {
  kiln__run *run = user;
  kv8_error error;
  kv8_module *module = module_of(call);
  if (module == NULL) return;
  (void)throws(run, call, kv8_module_instantiate(module, &error), &error);
}

/* evaluateModule(module, timeout or 0, breakOnSigint) -> undefined if it is done, else V8's promise
 */
static void evaluate(void *user, kv8_call *call) {
  kiln__run *run = user;
  kv8_error error;
  kv8_run_options options = KV8_RUN_OPTIONS_INIT;
  kv8_promise_state state = KV8_PROMISE_PENDING;
  kv8_value *promise = NULL;
  uint32_t timeout = 0;
  kv8_module *module = module_of(call);
  if (module == NULL || !kiln__run_arg_uint32(call, 1, &timeout)) return;
  options.timeout_ms = timeout;
  options.break_on_sigint = kiln__run_arg_bool(call, 2);
  kv8_status status = kv8_module_evaluate(module, &options, &state, &error);
  if (status == KV8_OK && state == KV8_PROMISE_PENDING) {
    status = kv8_module_copy_promise(module, &promise, &error);
  }
  if (!throws(run, call, status, &error)) kiln__run_return(call, promise);
}

/* promiseThen(promise, onFulfilled, onRejected), which no patched prototype can see. */
static void promise_then(void *user, kv8_call *call) {
  kiln__run *run = user;
  kv8_error error;
  kv8_status status =
      kv8_promise_then(run->context, kv8_call_get_argument(call, 0), kv8_call_get_argument(call, 1),
                       kv8_call_get_argument(call, 2), /* ret_promise= */ NULL, &error);
  (void)throws(run, call, status, &error);
}

kv8_status kiln__run_bind_vm_module(kiln__run *run, kv8_value *object, kv8_error *err) {
  static const kiln__run_entry entries[] = {{"compileModule", 8, compile_module},
                                            {"makeSyntheticModule", 4, make_synthetic},
                                            {"setExport", 3, set_export},
                                            {"moduleStatus", 1, module_status},
                                            {"moduleIdentifier", 1, module_identifier},
                                            {"moduleNamespace", 1, module_namespace},
                                            {"moduleError", 1, module_error},
                                            {"moduleRequests", 1, module_requests},
                                            {"moduleHasTopLevelAwait", 1, has_top_level_await},
                                            {"moduleHasAsyncGraph", 1, has_async_graph},
                                            {"moduleCachedData", 1, cached_data},
                                            {"linkRequests", 2, link_requests},
                                            {"instantiateModule", 1, instantiate},
                                            {"evaluateModule", 3, evaluate},
                                            {"promiseThen", 3, promise_then},
                                            {NULL, 0, NULL}};
  return kiln__run_functions(run, object, entries, err);
}
