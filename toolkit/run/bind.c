/* SPDX-License-Identifier: MIT
 *
 * bind.c: what every binding needs: functions and values on an object, arguments, answers, errors.
 */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "toolkit/run/run.h"

kv8_status kiln__run_function(kiln__run *run, kv8_value *object, const char *name, unsigned arity,
                              kv8_call_fn fn, kv8_error *err) {
  kv8_callback callback = KV8_CALLBACK_INIT;
  kv8_value *function = NULL;
  callback.fn = fn;
  callback.user = run;
  callback.name = kv8_span_from(name);
  callback.arity = arity;
  kv8_status status = kv8_function_from_callback(run->context, &callback, &function, err);
  if (status == KV8_OK) {
    status = kv8_object_set_named(run->context, object, callback.name, function, err);
  }
  kv8_value_free(function);
  return status;
}

kv8_status kiln__run_functions(kiln__run *run, kv8_value *object, const kiln__run_entry *entries,
                               kv8_error *err) {
  kv8_status status = KV8_OK;
  for (; status == KV8_OK && entries->name != NULL; entries++) {
    status = kiln__run_function(run, object, entries->name, entries->arity, entries->fn, err);
  }
  return status;
}

/* Sets and frees the value, if making it went well. */
static kv8_status set(kiln__run *run, kv8_value *object, const char *name, kv8_status status,
                      kv8_value *value, kv8_error *err) {
  if (status == KV8_OK) {
    status = kv8_object_set_named(run->context, object, kv8_span_from(name), value, err);
  }
  kv8_value_free(value);
  return status;
}

kv8_status kiln__run_set_text(kiln__run *run, kv8_value *object, const char *name, const char *text,
                              kv8_error *err) {
  kv8_value *value = NULL;
  kv8_status status = kv8_string(run->isolate, kv8_span_from(text), &value, err);
  return set(run, object, name, status, value, err);
}

kv8_status kiln__run_set_number(kiln__run *run, kv8_value *object, const char *name, double number,
                                kv8_error *err) {
  kv8_value *value = NULL;
  kv8_status status = kv8_number(run->isolate, number, &value, err);
  return set(run, object, name, status, value, err);
}

kv8_status kiln__run_set_bool(kiln__run *run, kv8_value *object, const char *name, bool value,
                              kv8_error *err) {
  kv8_value *boolean = NULL;
  kv8_status status = kv8_boolean(run->isolate, value, &boolean, err);
  return set(run, object, name, status, boolean, err);
}

/* ---- arguments ------------------------------------------------------------------------ */

kv8_span kiln__run_span(const kv8_blob *blob) {
  return (kv8_span){(const char *)blob->data, blob->length};
}

bool kiln__run_arg_text(kv8_call *call, size_t index, kv8_blob *ret_text) {
  kv8_error error;
  kv8_blob text = {NULL, 0};
  kv8_status status = kv8_value_copy_text(kv8_call_get_argument(call, index), &text, &error);
  if (kiln__run_throws(call, status, &error)) return false;
  uint8_t *ended = realloc(text.data, text.length + 1);
  if (ended == NULL) {
    kv8_blob_free(&text);
    kiln__run_throw(call, KV8_ERROR, "", "out of memory");
    return false;
  }
  ended[text.length] = '\0';
  *ret_text = (kv8_blob){ended, text.length};
  return true;
}

bool kiln__run_arg_number(kv8_call *call, size_t index, double *ret_number) {
  kv8_error error;
  kv8_status status = kv8_value_get_number(kv8_call_get_argument(call, index), ret_number, &error);
  return !kiln__run_throws(call, status, &error);
}

static bool arg_in_range(kv8_call *call, size_t index, double low, double high,
                         double *ret_number) {
  if (!kiln__run_arg_number(call, index, ret_number)) return false;
  if (*ret_number >= low && *ret_number <= high && trunc(*ret_number) == *ret_number) return true;
  kiln__run_throw(call, KV8_RANGE_ERROR, "ERR_OUT_OF_RANGE",
                  "argument %zu is %g: not an integer from %g to %g", index, *ret_number, low,
                  high);
  return false;
}

bool kiln__run_arg_int32(kv8_call *call, size_t index, int32_t *ret_number) {
  double number;
  if (!arg_in_range(call, index, INT32_MIN, INT32_MAX, &number)) return false;
  *ret_number = (int32_t)number;
  return true;
}

bool kiln__run_arg_uint32(kv8_call *call, size_t index, uint32_t *ret_number) {
  double number;
  if (!arg_in_range(call, index, 0, UINT32_MAX, &number)) return false;
  *ret_number = (uint32_t)number;
  return true;
}

bool kiln__run_arg_bytes(kv8_call *call, size_t index, kv8_span *ret_bytes) {
  kv8_error error;
  uint8_t *data = NULL;
  size_t length = 0;
  kv8_status status =
      kv8_buffer_get_bytes(kv8_call_get_argument(call, index), &data, &length, &error);
  *ret_bytes = (kv8_span){(const char *)data, length};
  return !kiln__run_throws(call, status, &error);
}

bool kiln__run_arg_given(kv8_call *call, size_t index) {
  return kv8_value_get_type(kv8_call_get_argument(call, index)) != KV8_TYPE_UNDEFINED;
}

bool kiln__run_arg_bool(kv8_call *call, size_t index) {
  return kv8_value_is_true(kv8_call_get_argument(call, index));
}

/* ---- answers -------------------------------------------------------------------------- */

void kiln__run_return(kv8_call *call, kv8_value *value) {
  if (value != NULL) kv8_call_return(call, value);
  kv8_value_free(value);
}

static void answer(kv8_call *call, kv8_status status, kv8_value *value, const kv8_error *err) {
  if (!kiln__run_throws(call, status, err)) kv8_call_return(call, value);
  kv8_value_free(value);
}

void kiln__run_return_bool(kv8_call *call, bool value) {
  kv8_error error;
  kv8_value *answered = NULL;
  kv8_status status = kv8_boolean(kv8_call_get_isolate(call), value, &answered, &error);
  answer(call, status, answered, &error);
}

void kiln__run_return_number(kv8_call *call, double number) {
  kv8_error error;
  kv8_value *answered = NULL;
  kv8_status status = kv8_number(kv8_call_get_isolate(call), number, &answered, &error);
  answer(call, status, answered, &error);
}

void kiln__run_return_text(kv8_call *call, kv8_span text) {
  kv8_error error;
  kv8_value *answered = NULL;
  kv8_status status = kv8_string(kv8_call_get_isolate(call), text, &answered, &error);
  answer(call, status, answered, &error);
}

void kiln__run_return_bytes(kv8_call *call, kv8_span bytes) {
  kv8_error error;
  kv8_context *context = kv8_call_get_context(call);
  kv8_value *buffer = NULL, *array = NULL;
  kv8_status status = kv8_array_buffer(context, bytes, &buffer, &error);
  if (status == KV8_OK) {
    status = kv8_uint8_array(context, buffer, /* offset= */ 0, bytes.length, &array, &error);
  }
  kv8_value_free(buffer);
  answer(call, status, array, &error);
}

/* ---- errors --------------------------------------------------------------------------- */

void kiln__run_throw(kv8_call *call, kv8_error_class class_, const char *code, const char *format,
                     ...) {
  char message[1024];
  kv8_error error;
  kv8_value *exception = NULL;
  va_list arguments;
  va_start(arguments, format);
  (void)vsnprintf(message, sizeof(message), format, arguments);
  va_end(arguments);
  kv8_status status = kv8_error_object(kv8_call_get_context(call), class_, kv8_span_from(code),
                                       kv8_span_from(message), &exception, &error);
  if (kiln__run_throws(call, status, &error)) return;
  kv8_call_throw(call, exception);
  kv8_value_free(exception);
}

bool kiln__run_throws(kv8_call *call, kv8_status status, const kv8_error *err) {
  if (status == KV8_OK) return false;
  kv8_call_throw_failure(call, err);
  return true;
}

kv8_status kiln__run_attributes(kiln__run *run, const kv8_module_request *request,
                                kv8_value **ret_object, kv8_error *err) {
  kv8_value *null = NULL, *object = NULL;
  kv8_status status = kv8_null(run->isolate, &null, err);
  if (status == KV8_OK) status = kv8_object(run->context, null, &object, err);
  for (size_t i = 0; status == KV8_OK && i < request->attributes_count; i++) {
    kv8_value *value = NULL;
    status = kv8_string(run->isolate, request->attributes[i].value, &value, err);
    if (status == KV8_OK) {
      status = kv8_object_set_named(run->context, object, request->attributes[i].key, value, err);
    }
    kv8_value_free(value);
  }
  kv8_value_free(null);
  if (status == KV8_OK) {
    *ret_object = object;
  } else {
    kv8_value_free(object);
  }
  return status;
}
