/* SPDX-License-Identifier: MIT
 *
 * module_test.h: short forms shared by the tests of module records.
 */
#ifndef KILN_TESTS_SHIM_MODULE_TEST_H
#define KILN_TESTS_SHIM_MODULE_TEST_H

#include <stdint.h>
#include <stdio.h>

#include "tests/shim/core_test.h"
#include "tests/shim/versions.h"

static inline kv8_module *compile_as(const char *text, const char *identifier) {
  kv8_source source = core_source(text);
  source.filename = kv8_span_from(identifier);
  kv8_module *module = NULL;
  core_ok(kv8_module_compile(core_context, &source, &module, NULL, &core_error));
  ck_assert_ptr_nonnull(module);
  return module;
}

static inline kv8_module *compile(const char *text) {
  return compile_as(text, NULL);
}

static inline kv8_status link_to(kv8_module *module, kv8_module *target) {
  return kv8_module_link_requests(module, &target, 1, &core_error);
}

static inline kv8_status evaluate(kv8_module *module, unsigned timeout_ms,
                                  kv8_promise_state *state) {
  kv8_run_options options = KV8_RUN_OPTIONS_INIT;
  options.timeout_ms = timeout_ms;
  return kv8_module_evaluate(module, &options, state, &core_error);
}

static inline void evaluated(kv8_module *module) {
  kv8_promise_state state = KV8_PROMISE_PENDING;
  core_ok(kv8_module_instantiate(module, &core_error));
  core_ok(evaluate(module, 0, &state));
  ck_assert_int_eq(state, KV8_PROMISE_FULFILLED);
}

static inline void expect_status(const kv8_module *module, kv8_module_status status) {
  ck_assert_str_eq(kv8_module_status_name(kv8_module_get_status(module)),
                   kv8_module_status_name(status));
}

static inline void expect_namespace(kv8_module *module, const char *expected) {
  kv8_value *value = NULL;
  kv8_blob json = {NULL, 0};
  core_ok(kv8_module_copy_namespace(module, &value, &core_error));
  core_ok(kv8_value_to_json(core_context, value, NULL, &json, &core_error));
  ck_assert_msg(json.length == strlen(expected) && memcmp(json.data, expected, json.length) == 0,
                "%.*s, not %s", (int)json.length, (const char *)json.data, expected);
  kv8_blob_free(&json);
  kv8_value_free(value);
}

static inline void expect_text(kv8_span span, const char *expected) {
  ck_assert_uint_eq(span.length, strlen(expected));
  ck_assert_mem_eq(span.data, expected, span.length);
}

#endif
