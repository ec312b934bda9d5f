/* SPDX-License-Identifier: MIT
 *
 * context_test.h: what the tests of contexts share: objects and contexts for them.
 */
#ifndef KILN_TESTS_SHIM_CONTEXT_TEST_H
#define KILN_TESTS_SHIM_CONTEXT_TEST_H

#include "tests/shim/core_test.h"

static inline kv8_context *contextified(const kv8_value *object, kv8_microtask_mode mode) {
  kv8_context_options options = KV8_CONTEXT_OPTIONS_INIT;
  options.contextify = object;
  options.microtask_mode = mode;
  kv8_context *context = NULL;
  core_ok(kv8_context_new(core_isolate, &options, &context, &core_error));
  return context;
}

/* An object of the outer context and the context it is contextified in. */
typedef struct box {
  kv8_value *object;
  kv8_context *context;
} box;

static inline box new_box(const char *text) {
  box made = {core_value(core_context, text), NULL};
  made.context = contextified(made.object, KV8_MICROTASKS_SHARED);
  return made;
}

static inline void free_box(box *it) {
  kv8_context_free(it->context);
  kv8_value_free(it->object);
}

static inline void set_global(kv8_context *context, const char *name, const kv8_value *value) {
  core_ok(kv8_context_set_global(context, kv8_span_from(name), value, &core_error));
}

static inline bool same(const kv8_value *a, const kv8_value *b) {
  bool equal = false;
  core_ok(kv8_value_equals(core_context, a, b, KV8_EQUAL_STRICT, &equal, &core_error));
  return equal;
}

static inline size_t native_contexts(void) {
  kv8_heap_statistics statistics;
  kv8_isolate_collect_garbage(core_isolate);
  kv8_isolate_collect_garbage(core_isolate);
  core_ok(kv8_isolate_get_heap_statistics(core_isolate, &statistics, &core_error));
  return statistics.number_of_native_contexts;
}

#endif
