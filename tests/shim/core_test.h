/* SPDX-License-Identifier: MIT
 *
 * core_test.h: what the shim's core tests share: an engine, an isolate and a context per test, and
 * short forms for compiling and running. Every test runs in a process of its own (CK_FORK), and V8
 * starts in it, because V8's threads do not survive a fork.
 */
#ifndef KILN_TESTS_SHIM_CORE_TEST_H
#define KILN_TESTS_SHIM_CORE_TEST_H

#include <check.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shim/kv8.h"

static kv8_isolate *core_isolate;
static kv8_context *core_context;
static kv8_error core_error;

/* The status of `expression`, with the error's text if it is not the one expected. */
#define core_is(expression, expected)                                                            \
  do {                                                                                           \
    kv8_status core_status_ = (expression);                                                      \
    ck_assert_msg(core_status_ == (expected), "%s is %s, not %s: %s", #expression,               \
                  kv8_status_name(core_status_), kv8_status_name(expected), core_error.message); \
  } while (0)
#define core_ok(expression) core_is(expression, KV8_OK)

static inline void core_engine(void) {
  core_ok(kv8_engine_start(NULL, &core_error));
}

static inline void core_setup(void) {
  core_engine();
  core_ok(kv8_isolate_new(NULL, &core_isolate, &core_error));
  core_ok(kv8_context_new(core_isolate, NULL, &core_context, &core_error));
}

static inline void core_teardown(void) {
  kv8_context_free(core_context);
  kv8_isolate_free(core_isolate);
  kv8_engine_stop();
}

static inline kv8_source core_source(const char *text) {
  kv8_source source = KV8_SOURCE_INIT;
  source.text = kv8_span_from(text);
  return source;
}

static inline kv8_script *core_compile(const char *text) {
  kv8_source source = core_source(text);
  kv8_script *script = NULL;
  core_ok(kv8_script_compile(core_isolate, &source, &script, NULL, &core_error));
  return script;
}

/* Compiles and runs; the status of the run. */
static inline kv8_status core_try(kv8_context *context, const char *text, unsigned timeout_ms) {
  kv8_script *script = core_compile(text);
  kv8_run_options options = KV8_RUN_OPTIONS_INIT;
  options.timeout_ms = timeout_ms;
  kv8_status status = kv8_script_run(script, context, &options, NULL, &core_error);
  kv8_script_free(script);
  return status;
}

/* ToString() of a value, which it frees; the caller frees the text. */
static inline char *core_text(kv8_context *context, kv8_value *value) {
  kv8_blob blob = {NULL, 0};
  core_ok(kv8_value_to_string(context, value, &blob, &core_error));
  kv8_value_free(value);
  char *text = calloc(1, blob.length + 1);
  ck_assert_ptr_nonnull(text);
  if (blob.length != 0) memcpy(text, blob.data, blob.length);
  kv8_blob_free(&blob);
  return text;
}

static inline void core_expect_script(kv8_script *script, kv8_context *context,
                                      const char *expected) {
  kv8_value *value = NULL;
  core_ok(kv8_script_run(script, context, NULL, &value, &core_error));
  char *text = core_text(context, value);
  ck_assert_str_eq(text, expected);
  free(text);
}

/* The value of a script's last statement; yours to free. */
static inline kv8_value *core_value(kv8_context *context, const char *text) {
  kv8_script *script = core_compile(text);
  kv8_value *value = NULL;
  core_ok(kv8_script_run(script, context, NULL, &value, &core_error));
  kv8_script_free(script);
  ck_assert_ptr_nonnull(value);
  return value;
}

/* Collects all that can be collected, and lets finalizers' microtasks run. */
static inline void core_collect(void) {
  for (int i = 0; i < 4; i++) kv8_isolate_collect_garbage(core_isolate);
  core_ok(kv8_isolate_drain_microtasks(core_isolate, 0, &core_error));
}

/* Runs `body`, which frees an isolate before what was made from it, in a process of its own: builds
 * that check lifetimes abort there, in others it is to come to its end. */
static inline void core_free_too_early(void (*body)(void)) {
  pid_t child = fork();
  ck_assert_int_ge(child, 0);
  if (child == 0) {
#if defined(KV8_CHECK_LIFETIMES)
    close(STDERR_FILENO);
#endif
    body();
    exit(EXIT_SUCCESS);
  }
  int status = 0;
  ck_assert_int_eq(waitpid(child, &status, 0), child);
#if defined(KV8_CHECK_LIFETIMES)
  ck_assert(WIFSIGNALED(status));
  ck_assert_int_eq(WTERMSIG(status), SIGABRT);
#else
  ck_assert(WIFEXITED(status));
  ck_assert_int_eq(WEXITSTATUS(status), 0);
#endif
}

/* Runs `text` in `context` and compares ToString() of its value. */
static inline void core_expect(kv8_context *context, const char *text, const char *expected) {
  kv8_script *script = core_compile(text);
  core_expect_script(script, context, expected);
  kv8_script_free(script);
}

static inline int core_main(TCase *const *cases, size_t count, const char *name) {
  Suite *suite = suite_create(name);
  for (size_t i = 0; i < count; ++i) {
    suite_add_tcase(suite, cases[i]);
  }
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

#endif
