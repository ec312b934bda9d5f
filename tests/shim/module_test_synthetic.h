/* SPDX-License-Identifier: MIT
 *
 * module_test_synthetic.h: synthetic modules and functions from C, for the tests of module records.
 */
#ifndef KILN_TESTS_SHIM_MODULE_TEST_SYNTHETIC_H
#define KILN_TESTS_SHIM_MODULE_TEST_SYNTHETIC_H

#include "tests/shim/module_test.h"

static int releases;

static inline void count_release(void *user) {
  (void)user;
  releases++;
}

static inline kv8_module *synthetic(kv8_status (*on_evaluate)(void *, kv8_module *, kv8_value **,
                                                              kv8_error *)) {
  const kv8_span names[] = {kv8_span_from("default"), kv8_span_from("x")};
  kv8_synthetic_options options = KV8_SYNTHETIC_OPTIONS_INIT;
  options.export_names = names;
  options.export_names_count = 2;
  options.evaluate = on_evaluate;
  options.release = count_release;
  kv8_module *module = NULL;
  core_ok(kv8_module_synthetic(core_context, &options, &module, &core_error));
  ck_assert(kv8_module_is_synthetic(module));
  return module;
}

/* An evaluate callback that throws. */
static inline kv8_status fail_with_value(void *user, kv8_module *module, kv8_value **ret_exception,
                                         kv8_error *err) {
  (void)user;
  (void)module;
  (void)err;
  *ret_exception = core_value(core_context, "new RangeError('of the callback')");
  return KV8_EEXCEPTION;
}

/* Puts a function on the global. */
static inline void give_function(const char *name, kv8_call_fn fn) {
  kv8_callback callback = KV8_CALLBACK_INIT;
  callback.fn = fn;
  callback.name = kv8_span_from(name);
  kv8_value *function = NULL;
  core_ok(kv8_function_from_callback(core_context, &callback, &function, &core_error));
  core_ok(kv8_context_set_global(core_context, kv8_span_from(name), function, &core_error));
  kv8_value_free(function);
}

#endif
