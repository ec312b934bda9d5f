/* SPDX-License-Identifier: MIT
 *
 * leak_test.c: what is run and dropped a hundred thousand times leaves nothing: the process's
 * resident memory stays where it was after the first tenth.
 */
#include <stdio.h>
#include <unistd.h>

#include "tests/shim/core_test.h"

#define RUNS 100000
#define WARM_UP (RUNS / 10)
#define GROWTH_MAX ((size_t)8 << 20)

static size_t resident_bytes(void) {
  FILE *file = fopen("/proc/self/statm", "re");
  size_t total = 0, resident = 0;
  ck_assert_ptr_nonnull(file);
  ck_assert_int_eq(fscanf(file, "%zu %zu", &total, &resident), 2);
  fclose(file);
  return resident * (size_t)sysconf(_SC_PAGESIZE);
}

/* Compiles and runs in `context`; each text is another, or V8 would compile only once. */
static void run_plain(kv8_context *context, unsigned i) {
  char text[96];
  snprintf(text, sizeof(text), "var o = {n: %u}; function f(a) { return a + o.n } f(1)", i);
  kv8_script *script = core_compile(text);
  kv8_value *value = NULL;
  core_ok(kv8_script_run(script, context, NULL, &value, &core_error));
  kv8_value_free(value);
  kv8_script_free(script);
}

static void run_function(kv8_context *context, unsigned i) {
  char text[96];
  snprintf(text, sizeof(text), "return {n: %u, get: () => a}", i);
  kv8_source source = core_source(text);
  kv8_function_options options = KV8_FUNCTION_OPTIONS_INIT;
  kv8_span params[] = {kv8_span_from("a")};
  kv8_function *function = NULL;
  kv8_value *value = NULL;
  options.params = params;
  options.params_count = 1;
  core_ok(kv8_function_compile(context, &source, &options, &function, NULL, &core_error));
  core_ok(kv8_function_call(function, NULL, NULL, 0, NULL, &value, &core_error));
  kv8_value_free(value);
  kv8_function_free(function);
}

static void run_failing(kv8_context *context, unsigned i) {
  char text[96];
  snprintf(text, sizeof(text), "throw new TypeError('number %u')", i);
  core_is(core_try(context, text, 0), KV8_EEXCEPTION);
}

static void (*const subjects[])(kv8_context *context, unsigned i) = {run_plain, run_function,
                                                                     run_failing};
#define SUBJECTS (sizeof(subjects) / sizeof(subjects[0]))

START_TEST(plain_runs_leave_nothing) {
  size_t before = 0;
  for (unsigned i = 0; i < RUNS; i++) {
    subjects[_i](core_context, i);
    if (i + 1 == WARM_UP) {
      kv8_isolate_collect_garbage(core_isolate);
      before = resident_bytes();
    }
  }
  kv8_isolate_collect_garbage(core_isolate);
  size_t after = resident_bytes();
  ck_assert_msg(after <= before + GROWTH_MAX, "%zu bytes after %d runs, %zu after %d", before,
                WARM_UP, after, RUNS);
}
END_TEST

int main(void) {
  TCase *ready = tcase_create("ready");
  tcase_set_timeout(ready, 240);
  tcase_add_checked_fixture(ready, core_setup, core_teardown);
  tcase_add_loop_test(ready, plain_runs_leave_nothing, 0, (int)SUBJECTS);
  TCase *cases[] = {ready};
  return core_main(cases, 1, "shim leaks");
}
