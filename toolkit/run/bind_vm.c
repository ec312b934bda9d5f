/* SPDX-License-Identifier: MIT
 *
 * bind_vm.c: internalBinding("vm"): contexts, hooks, and how failures are thrown. Arguments have
 * been checked in js/vm.js.
 */
#include "toolkit/run/bind_vm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "toolkit/run/bindings.h"

/* ---- hooks ------------------------------------------------------------------------------------
 */

/* The exception of a call that just failed, for the one who is to reject with it. */
static kv8_value *take_exception(kiln__run *run, const kv8_error *err) {
  kv8_value *exception = run->exception;
  run->exception = NULL;
  if (exception == NULL) {
    (void)kv8_error_object(run->context, KV8_ERROR, kv8_span_from(err->code),
                           kv8_span_from(err->message), &exception, /* err= */ NULL);
  }
  return exception;
}

static void on_import(void *user, kv8_import *import) {
  kiln__run *run = user;
  kv8_error error;
  kv8_module_request request;
  kv8_value *specifier = NULL, *attributes = NULL, *phase = NULL, *promise = NULL;
  kv8_import_get_request(import, &request);
  kv8_status status = kv8_string(run->isolate, request.specifier, &specifier, &error);
  if (status == KV8_OK) status = kiln__run_attributes(run, &request, &attributes, &error);
  if (status == KV8_OK) {
    const char *name = request.phase == KV8_PHASE_SOURCE ? "source" : "evaluation";
    status = kv8_string(run->isolate, kv8_span_from(name), &phase, &error);
  }
  if (status == KV8_OK) {
    const kv8_value *arguments[] = {kv8_import_get_referrer(import), specifier, attributes, phase};
    status = kv8_value_call(run->context, run->vm->import_dynamically, /* receiver= */ NULL,
                            arguments, 4, /* options= */ NULL, &promise, &error);
  }
  if (status == KV8_OK) {
    kv8_import_answer_value(import, promise);
  } else {
    kv8_value *exception = take_exception(run, &error);
    kv8_import_reject(import, exception);
    kv8_value_free(exception);
  }
  kv8_value_free(promise);
  kv8_value_free(phase);
  kv8_value_free(attributes);
  kv8_value_free(specifier);
}

static void on_import_meta(void *user, kv8_module *module, const kv8_value *meta,
                           kv8_value **ret_exception) {
  kiln__run *run = user;
  kv8_error error;
  kv8_value *owner = NULL;
  kv8_status status = kv8_module_copy_owner(module, &owner, &error);
  if (status == KV8_OK && owner != NULL) {
    const kv8_value *arguments[] = {owner, meta};
    status = kv8_value_call(run->context, run->vm->initialize_import_meta, /* receiver= */ NULL,
                            arguments, 2, /* options= */ NULL, /* ret_value= */ NULL, &error);
  }
  if (status != KV8_OK) *ret_exception = take_exception(run, &error);
  kv8_value_free(owner);
}

kv8_status kiln__run_vm_evaluate_synthetic(void *user, kv8_module *module,
                                           kv8_value **ret_exception, kv8_error *err) {
  kiln__run *run = user;
  kv8_value *owner = NULL;
  kv8_status status = kv8_module_copy_owner(module, &owner, err);
  if (status == KV8_OK && owner != NULL) {
    const kv8_value *arguments[] = {owner};
    status = kv8_value_call(run->context, run->vm->evaluate_synthetic, /* receiver= */ NULL,
                            arguments, 1, /* options= */ NULL, /* ret_value= */ NULL, err);
  }
  if (status != KV8_OK) {
    *ret_exception = run->exception;
    run->exception = NULL;
  }
  kv8_value_free(owner);
  return status;
}

void kiln__run_vm_hooks_init(kiln__run *run, kv8_hooks *hooks, const kv8_value *referrer) {
  *hooks = (kv8_hooks)KV8_HOOKS_INIT;
  hooks->on_import = on_import;
  hooks->on_import_meta = on_import_meta;
  hooks->user = run;
  hooks->referrer = referrer;
}

/* ---- failures ---------------------------------------------------------------------------------
 */

static char decorated; /* its address marks exceptions whose stack has the line already */

bool kiln__run_is_decorated(const kv8_value *exception) {
  return kv8_object_get_attached(exception, &decorated) != NULL;
}

#define ARROW_MAX 4096

/* "file:line", the line, and ^ under columns [start, end) of it, counted from 0 in UTF-16 units. */
static size_t arrow(const kv8_error *err, int start, int end, char *text) {
  const char *line = err->source_line;
  bool is_eval = *err->resource == '\0' && err->status == KV8_EEXCEPTION;
  const char *name = is_eval ? "<anonymous_script>" : err->resource;
  int length = snprintf(text, ARROW_MAX, "%s:%d\n%s\n", name, err->line, line);
  if (length < 0 || length >= ARROW_MAX) return 0;
  size_t used = (size_t)length, columns = strlen(line);
  if (start < 0 || end < start || used + (size_t)end + 2 > ARROW_MAX) return used;
  for (int i = 0; i < end; i++) {
    char mark = (size_t)i < columns && line[i] == '\t' ? '\t' : ' ';
    text[used++] = i < start ? mark : '^';
  }
  text[used++] = '\n';
  return used;
}

static int shift_of(kiln__run *run, const kv8_error *err, const kiln__run_vm_place *place) {
  kv8_blob filename = {NULL, 0};
  (void)run;
  if (place->column_offset == 0 || err->line != place->line_offset + 1) return 0;
  if (kv8_value_copy_text(kv8_call_get_argument(place->call, place->filename), &filename,
                          /* err= */ NULL) != KV8_OK) {
    return 0;
  }
  size_t length = strlen(err->resource);
  bool same = length == filename.length && memcmp(err->resource, filename.data, length) == 0;
  kv8_blob_free(&filename);
  return same ? place->column_offset : 0;
}

/* exception.stack = the arrow, an empty line, and the stack, where there is one. */
static void decorate(kiln__run *run, kv8_value *exception, const kv8_error *err,
                     const kiln__run_vm_place *place) {
  char text[ARROW_MAX];
  kv8_span name = kv8_span_from("stack");
  kv8_value *old = NULL, *made = NULL;
  kv8_blob stack = {NULL, 0};
  if (kv8_value_get_type(exception) != KV8_TYPE_OBJECT || err->line == 0 ||
      kiln__run_is_decorated(exception)) {
    return;
  }
  int start = err->column - 1;
  int end = err->end_column > 0 ? err->end_column - 1 : start + 1;
  int shift = shift_of(run, err, place);
  if (start >= shift) {
    start -= shift;
    end -= shift;
  }
  size_t used = arrow(err, start, end, text);
  if (used == 0) return;
  if (kv8_object_get_named(run->context, exception, name, &old, /* err= */ NULL) == KV8_OK &&
      kv8_value_copy_text(old, &stack, /* err= */ NULL) == KV8_OK) {
    char *joined = malloc(used + 1 + stack.length);
    if (joined != NULL) {
      memcpy(joined, text, used);
      joined[used] = '\n';
      if (stack.length > 0) memcpy(joined + used + 1, stack.data, stack.length);
      kv8_span all = {joined, used + 1 + stack.length};
      if (kv8_string(run->isolate, all, &made, /* err= */ NULL) == KV8_OK &&
          kv8_object_set_named(run->context, exception, name, made, /* err= */ NULL) == KV8_OK) {
        (void)kv8_object_attach(run->context, exception, &decorated, &decorated,
                                /* release= */ NULL, /* err= */ NULL);
      }
    }
    free(joined);
  }
  kv8_blob_free(&stack);
  kv8_value_free(made);
  kv8_value_free(old);
}

static char arrow_tag;

const char *kiln__run_get_arrow(const kv8_value *exception) {
  return kv8_object_get_attached(exception, &arrow_tag);
}

/* Keeps the arrow for kiln__run_report(), and leaves the stack alone: as for a module in Node. */
static void keep_arrow(kiln__run *run, const kv8_value *exception, const kv8_error *err) {
  char text[ARROW_MAX];
  if (kv8_value_get_type(exception) != KV8_TYPE_OBJECT || err->line == 0) return;
  int start = err->column - 1;
  size_t used = arrow(err, start, err->end_column > 0 ? err->end_column - 1 : start + 1, text);
  char *kept = used == 0 ? NULL : strndup(text, used);
  if (kept != NULL && kv8_object_attach(run->context, exception, &arrow_tag, kept, free,
                                        /* err= */ NULL) != KV8_OK) {
    free(kept);
  }
}

bool kiln__run_vm_throws(kiln__run *run, kv8_call *call, kv8_status status, const kv8_error *err,
                         const kiln__run_vm_place *place) {
  if (status == KV8_OK) return false;
  bool thrown = status == KV8_EEXCEPTION || status == KV8_ESYNTAX;
  kv8_value *exception = thrown ? run->exception : NULL;
  if (exception != NULL) {
    run->exception = NULL;
    if (place != NULL) {
      decorate(run, exception, err, place);
    } else if (status == KV8_ESYNTAX) {
      keep_arrow(run, exception, err);
    }
    kv8_call_throw(call, exception);
    kv8_value_free(run->exception);
    run->exception = exception;
  } else if (status == KV8_ESYNTAX) {
    kiln__run_throw(call, KV8_SYNTAX_ERROR, err->code, "%s", err->message);
  } else if (strcmp(err->code, "ERR_MODULE_LINK_MISMATCH") == 0) {
    kiln__run_throw(call, KV8_TYPE_ERROR, err->code, "%s", err->message);
  } else {
    kv8_call_throw_failure(call, err);
  }
  return true;
}

/* ---- arguments --------------------------------------------------------------------------------
 */

bool kiln__run_vm_source_read(kiln__run *run, kv8_call *call, size_t first,
                              kiln__run_vm_source *ret_source) {
  kiln__run_vm_source *to = ret_source;
  *to = (kiln__run_vm_source){.source = KV8_SOURCE_INIT};
  bool read = kiln__run_arg_text(call, first, &to->text) &&
              kiln__run_arg_text(call, first + 1, &to->filename) &&
              kiln__run_arg_int32(call, first + 2, &to->source.line_offset) &&
              kiln__run_arg_int32(call, first + 3, &to->source.column_offset) &&
              (!kiln__run_arg_given(call, first + 4) ||
               kiln__run_arg_bytes(call, first + 4, &to->source.cached_data));
  if (!read) {
    kiln__run_vm_source_release(to);
    return false;
  }
  if (kiln__run_arg_given(call, first + 4) && to->source.cached_data.data == NULL) {
    to->source.cached_data.data = ""; /* offered, and nothing */
  }
  to->source.text = kiln__run_span(&to->text);
  to->source.string = kv8_call_get_argument(call, first);
  to->source.filename = kiln__run_span(&to->filename);
  if (kiln__run_arg_given(call, first + 5)) {
    kiln__run_vm_hooks_init(run, &to->hooks, kv8_call_get_argument(call, first + 5));
    to->source.hooks = &to->hooks;
  }
  return true;
}

kv8_status kiln__run_vm_report(kiln__run *run, kv8_call *call, size_t index,
                               kv8_cache_outcome outcome, kv8_error *err) {
  kv8_value *rejected = NULL;
  if (!kiln__run_arg_given(call, index)) return KV8_OK;
  kv8_status status = kv8_boolean(run->isolate, outcome == KV8_CACHE_REJECTED, &rejected, err);
  if (status == KV8_OK) {
    status = kv8_object_set_named(run->context, kv8_call_get_argument(call, index),
                                  kv8_span_from("rejected"), rejected, err);
  }
  kv8_value_free(rejected);
  return status;
}

void kiln__run_vm_source_release(kiln__run_vm_source *source) {
  kv8_blob_free(&source->text);
  kv8_blob_free(&source->filename);
}

kv8_context *kiln__run_vm_context(kiln__run *run, kv8_call *call, size_t index) {
  const kv8_value *value = kv8_call_get_argument(call, index);
  kv8_type type = kv8_value_get_type(value);
  if (type == KV8_TYPE_UNDEFINED || type == KV8_TYPE_NULL) return run->context;
  kv8_context *context = kv8_context_of(value);
  if (context == NULL) {
    kiln__run_throw(call, KV8_TYPE_ERROR, "ERR_INVALID_ARG_TYPE",
                    "The \"contextifiedObject\" argument must be an vm.Context");
  }
  return context;
}

bool kiln__run_vm_items(kiln__run *run, kv8_call *call, size_t index, kv8_value ***ret_items,
                        size_t *ret_count) {
  const kv8_value *array = kv8_call_get_argument(call, index);
  kv8_error error;
  uint32_t count = 0;
  kv8_status status = kv8_array_get_length(array, &count, &error);
  if (kiln__run_throws(call, status, &error)) return false;
  kv8_value **items = calloc(count + 1u, sizeof(*items));
  if (items == NULL) {
    kiln__run_throw(call, KV8_ERROR, "", "out of memory");
    return false;
  }
  for (uint32_t i = 0; status == KV8_OK && i < count; i++) {
    status = kv8_object_get_index(run->context, array, i, &items[i], &error);
  }
  if (kiln__run_throws(call, status, &error)) {
    kiln__run_vm_items_free(items, count);
    return false;
  }
  *ret_items = items;
  *ret_count = count;
  return true;
}

void kiln__run_vm_items_free(kv8_value **items, size_t count) {
  for (size_t i = 0; items != NULL && i < count; i++) kv8_value_free(items[i]);
  free(items);
}

/* ---- contexts ---------------------------------------------------------------------------------
 */

/* makeContext(object or undefined, name, origin, strings, wasm, afterEvaluate, hooks) -> the
 * object, or without one the global. */
static void make_context(void *user, kv8_call *call) {
  kiln__run *run = user;
  kv8_error error;
  kv8_context_options options = KV8_CONTEXT_OPTIONS_INIT;
  kv8_hooks hooks;
  kv8_blob name = {NULL, 0}, origin = {NULL, 0};
  kv8_context *context = NULL;
  kv8_value *object = NULL;
  if (!kiln__run_arg_text(call, 1, &name) || !kiln__run_arg_text(call, 2, &origin)) {
    kv8_blob_free(&name);
    return;
  }
  options.name = kiln__run_span(&name);
  options.origin = kiln__run_span(&origin);
  options.strings = kiln__run_arg_bool(call, 3) ? KV8_ALLOW : KV8_DENY;
  options.wasm = kiln__run_arg_bool(call, 4) ? KV8_ALLOW : KV8_DENY;
  options.microtask_mode =
      kiln__run_arg_bool(call, 5) ? KV8_MICROTASKS_AFTER_EVALUATE : KV8_MICROTASKS_SHARED;
  if (kiln__run_arg_given(call, 0)) options.contextify = kv8_call_get_argument(call, 0);
  if (kiln__run_arg_given(call, 6)) {
    kiln__run_vm_hooks_init(run, &hooks, kv8_call_get_argument(call, 6));
    options.hooks = &hooks;
  }
  kv8_status status = kv8_context_new(run->isolate, &options, &context, &error);
  if (status == KV8_OK) {
    status = options.contextify != NULL ? kv8_value_copy(options.contextify, &object, &error)
                                        : kv8_context_copy_global(context, &object, &error);
  }
  if (status == KV8_OK) status = kv8_context_tie(context, object, &error);
  if (kiln__run_vm_throws(run, call, status, &error, /* place= */ NULL)) {
    kv8_context_free(context);
    kv8_value_free(object);
  } else {
    kiln__run_return(call, object);
  }
  kv8_blob_free(&origin);
  kv8_blob_free(&name);
}

static void is_context(void *user, kv8_call *call) {
  (void)user;
  kiln__run_return_bool(call, kv8_context_of(kv8_call_get_argument(call, 0)) != NULL);
}

static void is_namespace(void *user, kv8_call *call) {
  (void)user;
  const kv8_value *value = kv8_call_get_argument(call, 0);
  kiln__run_return_bool(call, kv8_value_is(value, KV8_CLASS_MODULE_NAMESPACE));
}

/* importByDefault(specifier, referrer's name, attributes): the loader of kiln run. */
static void import_by_default(void *user, kv8_call *call) {
  kiln__run *run = user;
  kv8_error error;
  kv8_value *promise = NULL;
  const kv8_value *arguments[] = {kv8_call_get_argument(call, 0), kv8_call_get_argument(call, 1),
                                  kv8_call_get_argument(call, 2)};
  kv8_status status = kv8_value_call(run->context, run->hooks.importFrom, /* receiver= */ NULL,
                                     arguments, 3, /* options= */ NULL, &promise, &error);
  if (!kiln__run_vm_throws(run, call, status, &error, /* place= */ NULL)) {
    kiln__run_return(call, promise);
  }
}

/* setHandlers(importDynamically, initializeImportMeta, evaluateSynthetic) */
static void set_handlers(void *user, kv8_call *call) {
  kiln__run *run = user;
  kv8_error error;
  kv8_value **slots[] = {&run->vm->import_dynamically, &run->vm->initialize_import_meta,
                         &run->vm->evaluate_synthetic};
  for (size_t i = 0; i < sizeof(slots) / sizeof(slots[0]); i++) {
    if (*slots[i] != NULL) continue;
    kv8_status status = kv8_value_copy(kv8_call_get_argument(call, i), slots[i], &error);
    if (kiln__run_throws(call, status, &error)) return;
  }
}

/* ---- the binding ------------------------------------------------------------------------------
 */

static void release(void *data) {
  kiln__run_vm *vm = data;
  kv8_value_free(vm->import_dynamically);
  kv8_value_free(vm->initialize_import_meta);
  kv8_value_free(vm->evaluate_synthetic);
  free(vm);
}

kv8_status kiln__run_bind_vm(kiln__run *run, kv8_value *object, kv8_error *err) {
  static const kiln__run_entry entries[] = {
      {"makeContext", 7, make_context}, {"isContext", 1, is_context},
      {"isNamespace", 1, is_namespace}, {"importByDefault", 3, import_by_default},
      {"setHandlers", 3, set_handlers}, {NULL, 0, NULL}};
  static char tag;
  kiln__run_vm *vm = calloc(1, sizeof(*vm));
  if (vm == NULL) {
    if (err != NULL) *err = (kv8_error){.status = KV8_ENOMEM, .message = "out of memory"};
    return KV8_ENOMEM;
  }
  vm->run = run;
  kv8_status status = kv8_object_attach(run->context, object, &tag, vm, release, err);
  if (status != KV8_OK) {
    free(vm);
    return status;
  }
  run->vm = vm;
  status = kiln__run_functions(run, object, entries, err);
  if (status == KV8_OK) {
    status = kiln__run_set_bool(run, object, "modulesEnabled", run->options.vm_modules, err);
  }
  if (status == KV8_OK) status = kiln__run_bind_vm_script(run, object, err);
  if (status == KV8_OK) status = kiln__run_bind_vm_module(run, object, err);
  if (status == KV8_OK) status = kiln__run_bind_vm_memory(run, object, err);
  return status;
}
