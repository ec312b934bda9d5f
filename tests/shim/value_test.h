/* SPDX-License-Identifier: MIT
 *
 * value_test.h: what the tests of values, objects, callbacks and promises share beyond core_test.h.
 */
#ifndef KILN_TESTS_SHIM_VALUE_TEST_H
#define KILN_TESTS_SHIM_VALUE_TEST_H

#include "tests/shim/core_test.h"

static inline kv8_value *value_text(const char *text) {
  kv8_value *value = NULL;
  core_ok(kv8_string(core_isolate, kv8_span_from(text), &value, &core_error));
  return value;
}

static inline kv8_value *value_number(double number) {
  kv8_value *value = NULL;
  core_ok(kv8_number(core_isolate, number, &value, &core_error));
  return value;
}

static inline double value_to_double(const kv8_value *value) {
  double number = 0;
  core_ok(kv8_value_get_number(value, &number, &core_error));
  return number;
}

/* Puts a value, which it frees, on the global. */
static inline void value_global(const char *name, kv8_value *value) {
  core_ok(kv8_context_set_global(core_context, kv8_span_from(name), value, &core_error));
  kv8_value_free(value);
}

/* Compares ToString() of a value, which it frees. */
static inline void value_expect(kv8_value *value, const char *expected) {
  char *text = core_text(core_context, value);
  ck_assert_str_eq(text, expected);
  free(text);
}

/* console.log's text of a value, which it frees. */
static inline void value_expect_inspected(kv8_value *value, const char *expected) {
  kv8_blob blob = {NULL, 0};
  const kv8_value *list[] = {value};
  core_ok(kv8_value_inspect(core_context, list, 1, &blob, &core_error));
  ck_assert_msg(blob.length == strlen(expected) && memcmp(blob.data, expected, blob.length) == 0,
                "%.*s and not %s", (int)blob.length, (const char *)blob.data, expected);
  kv8_blob_free(&blob);
  kv8_value_free(value);
}

/* The exception described in core_error. */
#define value_threw(expression, error_name, text)  \
  do {                                             \
    core_is(expression, KV8_EEXCEPTION);           \
    ck_assert_str_eq(core_error.name, error_name); \
    ck_assert_str_eq(core_error.message, text);    \
  } while (0)

/* KV8_EINVAL with Node's code for a value of the wrong type. */
#define value_wrong_type(expression)                           \
  do {                                                         \
    core_is(expression, KV8_EINVAL);                           \
    ck_assert_str_eq(core_error.code, "ERR_INVALID_ARG_TYPE"); \
  } while (0)

#endif
