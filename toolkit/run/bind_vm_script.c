/* SPDX-License-Identifier: MIT
 *
 * bind_vm_script.c: internalBinding("vm"), the part about scripts and functions.
 */
#include "toolkit/run/bind_vm.h"

#include <stdlib.h>

static kv8_script *script_of(kv8_call *call) {
  kv8_script *script = kv8_script_of(kv8_call_get_argument(call, 0));
  if (script == NULL) kiln__run_throw(call, KV8_TYPE_ERROR, "", "Illegal invocation");
  return script;
}

/* compileScript(script, code, filename, lineOffset, columnOffset, cachedData, hooks, result,
 * parsingContext): ties what it compiled to `script`, writes result.rejected -> the seal of its
 * cached data. */
static void compile_script(void *user, kv8_call *call) {
  kiln__run *run = user;
  kv8_error error;
  kiln__run_vm_source source;
  kv8_script *script = NULL;
  kv8_cache_outcome outcome = KV8_CACHE_NOT_OFFERED;
  kcc_digest seal;
  if (!kiln__run_vm_source_read(run, call, 1, &source)) return;
  if (!kiln__run_vm_seal_of(call, KILN__RUN_VM_SCRIPT, source.source.text, /* params= */ NULL,
                            /* params_count= */ 0, &seal)) {
    kiln__run_vm_source_release(&source);
    return;
  }
  source.source.cached_data = kiln__run_vm_unseal(source.source.cached_data, &seal);
  source.source.context = kv8_context_of(kv8_call_get_argument(call, 8));
  kv8_status status = kv8_script_compile(run->isolate, &source.source, &script, &outcome, &error);
  if (status == KV8_OK) {
    status = kv8_script_tie(script, kv8_call_get_argument(call, 0), &error);
    if (status != KV8_OK) kv8_script_free(script);
  }
  if (status == KV8_OK) status = kiln__run_vm_report(run, call, 7, outcome, &error);
  kiln__run_vm_place place = {call, 2, source.source.line_offset, source.source.column_offset};
  if (!kiln__run_vm_throws(run, call, status, &error, &place)) {
    kiln__run_vm_return_seal(call, &seal);
  }
  kiln__run_vm_source_release(&source);
}

/* runScript(script, context or null, timeout or 0, displayErrors, breakOnSigint, filename,
 * lineOffset, columnOffset) -> the last statement's value. */
static void run_script(void *user, kv8_call *call) {
  kiln__run *run = user;
  kv8_error error;
  kv8_run_options options = KV8_RUN_OPTIONS_INIT;
  kiln__run_vm_place place = {.call = call, .filename = 5};
  kv8_value *value = NULL;
  kv8_script *script = script_of(call);
  if (script == NULL) return;
  kv8_context *context = kiln__run_vm_context(run, call, 1);
  uint32_t timeout = 0;
  if (context == NULL || !kiln__run_arg_uint32(call, 2, &timeout) ||
      !kiln__run_arg_int32(call, 6, &place.line_offset) ||
      !kiln__run_arg_int32(call, 7, &place.column_offset)) {
    return;
  }
  options.timeout_ms = timeout;
  options.break_on_sigint = kiln__run_arg_bool(call, 4);
  kv8_status status = kv8_script_run(script, context, &options, &value, &error);
  bool display = kiln__run_arg_bool(call, 3);
  if (kiln__run_vm_throws(run, call, status, &error, display ? &place : NULL)) return;
  kiln__run_return(call, value);
}

/* scriptCachedData(script, seal) */
static void script_cached_data(void *user, kv8_call *call) {
  kiln__run *run = user;
  kv8_error error;
  kcc_digest seal;
  kv8_blob data = {NULL, 0};
  kv8_script *script = script_of(call);
  if (script == NULL || !kiln__run_vm_arg_seal(call, 1, &seal)) return;
  kv8_status status = kv8_script_create_cached_data(script, &data, &error);
  if (!kiln__run_vm_throws(run, call, status, &error, /* place= */ NULL)) {
    kiln__run_vm_return_sealed(call, &data, &seal);
  }
  kv8_blob_free(&data);
}

/* undefined where there is none. */
static void script_source_map_url(void *user, kv8_call *call) {
  kiln__run *run = user;
  kv8_error error;
  kv8_blob url = {NULL, 0};
  kv8_script *script = script_of(call);
  if (script == NULL) return;
  kv8_status status = kv8_script_copy_source_map_url(script, &url, &error);
  if (!kiln__run_vm_throws(run, call, status, &error, /* place= */ NULL) && url.length > 0) {
    kiln__run_return_text(call, kiln__run_span(&url));
  }
  kv8_blob_free(&url);
}

/* ---- functions --------------------------------------------------------------------------------
 */

/* Writes result.function and result.rejected. */
static kv8_status put_function(kiln__run *run, kv8_call *call, kv8_function *function,
                               kv8_cache_outcome outcome, kv8_error *err) {
  kv8_value *value = NULL;
  kv8_status status = kv8_function_copy_value(function, &value, err);
  if (status == KV8_OK) {
    status = kv8_object_set_named(run->context, kv8_call_get_argument(call, 0),
                                  kv8_span_from("function"), value, err);
  }
  kv8_value_free(value);
  if (status == KV8_OK) status = kiln__run_vm_report(run, call, 0, outcome, err);
  return status;
}

/* The params argument as texts. False: it threw. */
static bool read_params(kiln__run *run, kv8_call *call, size_t index, kv8_blob **ret_texts,
                        kv8_span **ret_params, size_t *ret_count) {
  kv8_value **items = NULL;
  size_t count = 0;
  kv8_error error;
  if (!kiln__run_vm_items(run, call, index, &items, &count)) return false;
  kv8_blob *texts = calloc(count + 1, sizeof(*texts));
  kv8_span *params = calloc(count + 1, sizeof(*params));
  kv8_status status = KV8_OK;
  if (texts == NULL || params == NULL) {
    status = KV8_ENOMEM;
    error = (kv8_error){.status = KV8_ENOMEM, .message = "out of memory"};
  }
  for (size_t i = 0; status == KV8_OK && i < count; i++) {
    status = kv8_value_copy_text(items[i], &texts[i], &error);
    if (status == KV8_OK) params[i] = kiln__run_span(&texts[i]);
  }
  kiln__run_vm_items_free(items, count);
  *ret_texts = texts;
  *ret_params = params;
  *ret_count = count;
  return !kiln__run_throws(call, status, &error);
}

/* Compiles, and answers. */
static void compile_sealed(kiln__run *run, kv8_call *call, kv8_context *context,
                           kiln__run_vm_source *source, const kv8_function_options *options,
                           const kcc_digest *seal) {
  kv8_error error;
  kv8_function *function = NULL;
  kv8_cache_outcome outcome = KV8_CACHE_NOT_OFFERED;
  kv8_blob data = {NULL, 0};
  kiln__run_vm_place place = {call, 2, source->source.line_offset, source->source.column_offset};
  source->source.cached_data = kiln__run_vm_unseal(source->source.cached_data, seal);
  kv8_status status =
      kv8_function_compile(context, &source->source, options, &function, &outcome, &error);
  if (status == KV8_OK) status = put_function(run, call, function, outcome, &error);
  if (!kiln__run_vm_throws(run, call, status, &error, &place) && kiln__run_arg_bool(call, 7) &&
      kv8_function_create_cached_data(function, &data, /* err= */ NULL) == KV8_OK) {
    kiln__run_vm_return_sealed(call, &data, seal);
  }
  kv8_blob_free(&data);
  kv8_function_free(function);
}

/* compileFunction(result, code, filename, lineOffset, columnOffset, cachedData, hooks, produce,
 * context, extensions, params): writes result.function and result.rejected -> if `produce`, cached
 * data, or undefined where V8 gives none. */
static void compile_function(void *user, kv8_call *call) {
  kiln__run *run = user;
  kiln__run_vm_source source;
  kv8_function_options options = KV8_FUNCTION_OPTIONS_INIT;
  kv8_value **extensions = NULL;
  kv8_blob *texts = NULL;
  kv8_span *params = NULL;
  kcc_digest seal;
  kv8_context *context = kiln__run_vm_context(run, call, 8);
  if (context == NULL || !kiln__run_vm_source_read(run, call, 1, &source)) return;
  if (kiln__run_vm_items(run, call, 9, &extensions, &options.context_extensions_count) &&
      read_params(run, call, 10, &texts, &params, &options.params_count) &&
      kiln__run_vm_seal_of(call, KILN__RUN_VM_FUNCTION, source.source.text, params,
                           options.params_count, &seal)) {
    options.params = params;
    options.context_extensions = (const kv8_value *const *)extensions;
    compile_sealed(run, call, context, &source, &options, &seal);
  }
  for (size_t i = 0; texts != NULL && i < options.params_count; i++) kv8_blob_free(&texts[i]);
  free(texts);
  free(params);
  kiln__run_vm_items_free(extensions, options.context_extensions_count);
  kiln__run_vm_source_release(&source);
}

kv8_status kiln__run_bind_vm_script(kiln__run *run, kv8_value *object, kv8_error *err) {
  static const kiln__run_entry entries[] = {
      {"compileScript", 9, compile_script},        {"runScript", 8, run_script},
      {"scriptCachedData", 1, script_cached_data}, {"scriptSourceMapURL", 1, script_source_map_url},
      {"compileFunction", 11, compile_function},   {NULL, 0, NULL}};
  return kiln__run_functions(run, object, entries, err);
}
