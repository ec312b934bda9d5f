/* SPDX-License-Identifier: MIT
 *
 * memory_test.c: memory measurement (MM01-MM10) against the running V8: shapes, sums, names, and
 * what happens to a measurement nobody waits for any more.
 */
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#include "tests/shim/core_test.h"
#include "tests/shim/versions.h"

static kv8_measure_options eager(kv8_measure_mode mode) {
  kv8_measure_options options = KV8_MEASURE_OPTIONS_INIT;
  options.mode = mode;
  options.execution = KV8_MEASURE_EAGER;
  return options;
}

static kv8_context *named(const char *name) {
  kv8_context_options options = KV8_CONTEXT_OPTIONS_INIT;
  options.name = kv8_span_from(name);
  kv8_context *context = NULL;
  core_ok(kv8_context_new(core_isolate, &options, &context, &core_error));
  return context;
}

static const kv8_context_memory *other(const kv8_memory *memory, const char *name) {
  for (size_t i = 0; i < memory->other_count; i++) {
    if (strcmp(memory->other[i].name, name) == 0) return &memory->other[i];
  }
  return NULL;
}

static void check_estimate(const kv8_memory_estimate *estimate) {
  ck_assert_uint_gt(estimate->js_memory_estimate, 0);
  ck_assert_uint_eq(estimate->js_memory_range[0], estimate->js_memory_estimate);
  ck_assert_uint_ge(estimate->js_memory_range[1], estimate->js_memory_range[0]);
}

static double seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

START_TEST(summary_is_about_the_context_MM02_MM06) {
  kv8_measure_options options = eager(KV8_MEASURE_SUMMARY);
  kv8_memory memory;
  kv8_context *big = named("big");
  core_is(core_try(big, "var a = Array.from({length: 200000}, (_, i) => ({ i }))", 0), KV8_OK);
  core_ok(kv8_measure_memory(core_context, &options, &memory, &core_error));
  check_estimate(&memory.total);
  ck_assert(!memory.has_detail);
  ck_assert_uint_eq(memory.other_count, 0);
  ck_assert_str_eq(memory.current.name, "");
  ck_assert_uint_eq(memory.current.memory.js_memory_estimate, 0);
  size_t small = memory.total.js_memory_estimate;
  ck_assert_uint_lt(small, 4u << 20);
  kv8_memory_free(&memory);
  core_ok(kv8_measure_memory(big, &options, &memory, &core_error));
  ck_assert_uint_gt(memory.total.js_memory_estimate, small + (4u << 20));
  ck_assert(memory.has_wasm == v8_is()->reports_wasm);
  kv8_memory_free(&memory);
  kv8_memory_free(&memory);
  kv8_memory_free(NULL);
  kv8_context_free(big);
}
END_TEST

START_TEST(detail_names_every_context_MM03) {
  kv8_measure_options options = eager(KV8_MEASURE_DETAILED);
  kv8_memory memory;
  kv8_context *big = named("big one");
  kv8_context *small = named("small one");
  core_is(core_try(big, "var a = Array.from({length: 100000}, (_, i) => ({ i }))", 0), KV8_OK);
  core_ok(kv8_measure_memory(small, &options, &memory, &core_error));
  ck_assert(memory.has_detail);
  check_estimate(&memory.total);
  check_estimate(&memory.current.memory);
  ck_assert_str_eq(memory.current.name, "small one");
  ck_assert_uint_ge(memory.other_count, 2); /* D22: at least those alive */
  const kv8_context_memory *found = other(&memory, "big one");
  ck_assert_ptr_nonnull(found);
  check_estimate(&found->memory);
  ck_assert_uint_gt(found->memory.js_memory_estimate,
                    memory.current.memory.js_memory_estimate + (2u << 20));
  ck_assert_ptr_nonnull(other(&memory, "VM Context 1"));
  ck_assert_ptr_null(other(&memory, "small one"));
  /* The total is the sum; what belongs to nobody widens every range alike. */
  size_t sum = memory.current.memory.js_memory_estimate;
  for (size_t i = 0; i < memory.other_count; i++) {
    sum += memory.other[i].memory.js_memory_estimate;
  }
  ck_assert_uint_eq(memory.total.js_memory_estimate, sum);
  ck_assert_uint_eq(memory.total.js_memory_range[1] - memory.total.js_memory_range[0],
                    found->memory.js_memory_range[1] - found->memory.js_memory_range[0]);
  kv8_memory_free(&memory);
  kv8_context_free(big);
  kv8_context_free(small);
}
END_TEST

START_TEST(long_names_are_cut) {
  char name[400];
  memset(name, 'n', sizeof(name) - 1);
  name[sizeof(name) - 1] = '\0';
  kv8_context *context = named(name);
  kv8_measure_options options = eager(KV8_MEASURE_DETAILED);
  kv8_memory memory;
  core_ok(kv8_measure_memory(context, &options, &memory, &core_error));
  ck_assert_uint_eq(strlen(memory.current.name), sizeof(memory.current.name) - 1);
  ck_assert_ptr_nonnull(strstr(memory.current.name, "n..."));
  kv8_memory_free(&memory);
  kv8_context_free(context);
}
END_TEST

START_TEST(a_passed_deadline_is_an_answer_MM04_P33) {
  kv8_measure_options options = KV8_MEASURE_OPTIONS_INIT; /* waits for V8's next collection */
  options.timeout_ms = 50;
  kv8_memory memory;
  memset(&memory, 0x5a, sizeof(memory));
  kv8_memory untouched = memory;
  double start = seconds();
  core_is(kv8_measure_memory(core_context, &options, &memory, &core_error), KV8_ETIMEOUT);
  ck_assert(seconds() - start < 2);
  ck_assert_str_eq(core_error.message, "memory measurement timed out after 50ms");
  ck_assert_mem_eq(&memory, &untouched, sizeof(memory));
  /* The late answer finds nobody: V8 completes it together with the next ones. */
  options = eager(KV8_MEASURE_DETAILED);
  for (int i = 0; i < 3; i++) {
    core_ok(kv8_measure_memory(core_context, &options, &memory, &core_error));
    kv8_memory_free(&memory);
  }
  kv8_isolate_collect_garbage(core_isolate);
  bool ran = true;
  while (ran) core_ok(kv8_isolate_pump(core_isolate, 0, &ran, &core_error));
}
END_TEST

START_TEST(pending_measurements_die_with_the_isolate_P33_N33) {
  kv8_isolate *isolate = NULL;
  kv8_context *context = NULL;
  kv8_memory memory;
  core_ok(kv8_isolate_new(NULL, &isolate, &core_error));
  core_ok(kv8_context_new(isolate, NULL, &context, &core_error));
  kv8_measure_options options = KV8_MEASURE_OPTIONS_INIT;
  options.timeout_ms = 5;
  for (int i = 0; i < 3; i++) {
    core_is(kv8_measure_memory(context, &options, &memory, &core_error), KV8_ETIMEOUT);
  }
  kv8_context_free(context); /* a context a measurement asked for may go, too */
  kv8_isolate_collect_garbage(isolate);
  kv8_isolate_free(isolate);
}
END_TEST

START_TEST(freed_contexts_do_not_count_for_ever) {
  kv8_measure_options options = eager(KV8_MEASURE_DETAILED);
  kv8_memory memory;
  for (int i = 0; i < 5; i++) kv8_context_free(named("gone"));
  kv8_isolate_collect_garbage(core_isolate);
  core_ok(kv8_measure_memory(core_context, &options, &memory, &core_error));
  ck_assert_ptr_null(other(&memory, "gone"));
  kv8_memory_free(&memory);
}
END_TEST

START_TEST(bad_options_are_refused_MM10) {
  kv8_memory memory;
  kv8_measure_options options = KV8_MEASURE_OPTIONS_INIT;
  options.mode = (kv8_measure_mode)7;
  core_is(kv8_measure_memory(core_context, &options, &memory, &core_error), KV8_EINVAL);
  options = eager(KV8_MEASURE_SUMMARY);
  options.execution = (kv8_measure_execution)7;
  core_is(kv8_measure_memory(core_context, &options, &memory, &core_error), KV8_EINVAL);
  options = eager(KV8_MEASURE_SUMMARY);
  options.struct_size = sizeof(options) + 1;
  core_is(kv8_measure_memory(core_context, &options, &memory, &core_error), KV8_EINVAL);
  core_is(kv8_measure_memory(NULL, NULL, &memory, &core_error), KV8_EINVAL);
  core_is(kv8_measure_memory(core_context, NULL, NULL, &core_error), KV8_EINVAL);
}
END_TEST

/* Default execution ends by itself when V8 collects; slow by nature. */
START_TEST(default_execution_completes_MM04) {
  kv8_measure_options options = KV8_MEASURE_OPTIONS_INIT;
  options.timeout_ms = 60000;
  kv8_memory memory;
  core_ok(kv8_measure_memory(core_context, &options, &memory, &core_error));
  check_estimate(&memory.total);
  kv8_memory_free(&memory);
}
END_TEST

/* An argument asks for the slow part, which has a ctest entry of its own. */
int main(int argc, char **argv) {
  (void)argv;
  TCase *tests = tcase_create("measure");
  tcase_add_checked_fixture(tests, core_setup, core_teardown);
  tcase_set_timeout(tests, 90);
  if (argc > 1) {
    tcase_add_test(tests, default_execution_completes_MM04);
  } else {
    tcase_add_test(tests, summary_is_about_the_context_MM02_MM06);
    tcase_add_test(tests, detail_names_every_context_MM03);
    tcase_add_test(tests, long_names_are_cut);
    tcase_add_test(tests, a_passed_deadline_is_an_answer_MM04_P33);
    tcase_add_test(tests, pending_measurements_die_with_the_isolate_P33_N33);
    tcase_add_test(tests, freed_contexts_do_not_count_for_ever);
    tcase_add_test(tests, bad_options_are_refused_MM10);
  }
  return core_main(&tests, 1, "shim memory");
}
