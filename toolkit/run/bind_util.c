/* SPDX-License-Identifier: MIT
 *
 * bind_util.c: internalBinding("util"): what util and assert ask V8 about values.
 */
#include <stdlib.h>
#include <string.h>

#include "toolkit/run/bindings.h"

/* inspect(...values): one line of the console's. */
static void inspect(void *user, kv8_call *call) {
  kiln__run *run = user;
  kv8_error error;
  const kv8_value *few[8];
  size_t count = kv8_call_get_count(call);
  const kv8_value **values = count <= 8 ? few : calloc(count, sizeof(*values));
  kv8_blob text = {NULL, 0};
  if (values == NULL) return;
  for (size_t i = 0; i < count; i++) values[i] = kv8_call_get_argument(call, i);
  kv8_status status = kv8_value_inspect(run->context, values, count, &text, &error);
  if (!kiln__run_throws(call, status, &error)) {
    kiln__run_return_text(call, kiln__run_span(&text));
  }
  kv8_blob_free(&text);
  if (values != few) free(values);
}

/* is(value, class): KV8_CLASS_...; the names are properties of `classes`. */
static void is(void *user, kv8_call *call) {
  uint32_t class_;
  (void)user;
  if (!kiln__run_arg_uint32(call, 1, &class_)) return;
  kiln__run_return_bool(call, kv8_value_is(kv8_call_get_argument(call, 0), (kv8_class)class_));
}

/* constructorName(object) */
static void constructor_name(void *user, kv8_call *call) {
  kv8_error error;
  kv8_blob name = {NULL, 0};
  (void)user;
  kv8_status status =
      kv8_object_copy_constructor_name(kv8_call_get_argument(call, 0), &name, &error);
  if (!kiln__run_throws(call, status, &error)) {
    kiln__run_return_text(call, kiln__run_span(&name));
  }
  kv8_blob_free(&name);
}

/* promiseState(promise): 0 pending, 1 fulfilled, 2 rejected */
static void promise_state(void *user, kv8_call *call) {
  kv8_error error;
  kv8_promise_state state = KV8_PROMISE_PENDING;
  (void)user;
  kv8_status status = kv8_promise_get(kv8_call_get_argument(call, 0), &state,
                                      /* ret_result= */ NULL, &error);
  if (!kiln__run_throws(call, status, &error)) kiln__run_return_number(call, state);
}

/* promiseResult(promise): its value or reason, undefined while it is pending */
static void promise_result(void *user, kv8_call *call) {
  kv8_error error;
  kv8_value *result = NULL;
  kv8_promise_state state;
  (void)user;
  kv8_status status = kv8_promise_get(kv8_call_get_argument(call, 0), &state, &result, &error);
  if (!kiln__run_throws(call, status, &error)) kiln__run_return(call, result);
}

/* markHandled(promise) */
static void mark_handled(void *user, kv8_call *call) {
  kv8_error error;
  (void)user;
  (void)kiln__run_throws(call, kv8_promise_mark_handled(kv8_call_get_argument(call, 0), &error),
                         &error);
}

/* previewEntries(object): of Maps, Sets and their iterators */
static void preview_entries(void *user, kv8_call *call) {
  kiln__run *run = user;
  kv8_error error;
  kv8_value *entries = NULL;
  kv8_status status = kv8_object_preview_entries(run->context, kv8_call_get_argument(call, 0),
                                                 &entries, /* ret_pairs= */ NULL, &error);
  if (!kiln__run_throws(call, status, &error)) kiln__run_return(call, entries);
}

kv8_status kiln__run_bind_util(kiln__run *run, kv8_value *object, kv8_error *err) {
  static const kiln__run_entry entries[] = {{"inspect", 1, inspect},
                                            {"is", 2, is},
                                            {"constructorName", 1, constructor_name},
                                            {"promiseState", 1, promise_state},
                                            {"promiseResult", 1, promise_result},
                                            {"markHandled", 1, mark_handled},
                                            {"previewEntries", 1, preview_entries},
                                            {NULL, 0, NULL}};
  kv8_value *classes = NULL;
  kv8_status status = kiln__run_functions(run, object, entries, err);
  if (status == KV8_OK) status = kv8_object(run->context, /* prototype= */ NULL, &classes, err);
#define SET_CLASS(name, number) \
  if (status == KV8_OK) status = kiln__run_set_number(run, classes, #name, number, err);
  KV8_CLASS_MAP(SET_CLASS)
#undef SET_CLASS
  if (status == KV8_OK) {
    status = kv8_object_set_named(run->context, object, kv8_span_from("classes"), classes, err);
  }
  kv8_value_free(classes);
  return status;
}
