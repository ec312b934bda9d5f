/* SPDX-License-Identifier: MIT
 *
 * core_test_limits.c: deadlines, terminations and heap limits, and to which of several nested
 * calls an ending belongs. Never asserts that something is fast, only that it ends.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/shim/core_test.h"

static uint64_t now_us(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000U + (uint64_t)now.tv_nsec / 1000U;
}

/* ---- deadlines ------------------------------------------------------------------------------ */

START_TEST(RC05_RC10_deadline_ends_a_run) {
  uint64_t start = now_us();
  core_is(core_try(core_context, "while (1);", 100), KV8_ETIMEOUT);
  uint64_t took = now_us() - start;
  ck_assert_uint_ge(took, 100000);
  ck_assert_uint_lt(took, 5000000);
  ck_assert_str_eq(core_error.code, "ERR_SCRIPT_EXECUTION_TIMEOUT");
  ck_assert_str_eq(core_error.message, "Script execution timed out after 100ms");
  ck_assert_str_eq(core_error.name, "Error");
  core_expect(core_context, "1 + 1", "2");
  core_ok(core_try(core_context, "1", 60000));
}
END_TEST

START_TEST(RC11_deadline_cannot_be_caught) {
  core_ok(core_try(core_context, "var caught = 0", 0));
  core_is(
      core_try(core_context, "try { while (1); } catch (e) { caught++ } finally { caught++ }", 20),
      KV8_ETIMEOUT);
  core_expect(core_context, "caught", "0");
}
END_TEST

static const char *const endless[] = {
    "function f() { Promise.resolve().then(f) } f()",
    "(async () => { for (;;) await 0 })()",
    "Promise.resolve().then(() => { for (;;); })",
    "/(a*)*b/.test('a'.repeat(64))",
    "new Proxy({}, {get() { for (;;); }}).x",
    "Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)",
};

/* Microtasks drained by a run count (P13), in both kinds of queue. */
START_TEST(P13_deadline_covers_microtasks) {
  for (int own = 0; own < 2; ++own) {
    kv8_context_options options = KV8_CONTEXT_OPTIONS_INIT;
    options.microtask_mode = own ? KV8_MICROTASKS_AFTER_EVALUATE : KV8_MICROTASKS_SHARED;
    kv8_context *context = NULL;
    core_ok(kv8_context_new(core_isolate, &options, &context, &core_error));
    core_is(core_try(context, endless[_i], 50), KV8_ETIMEOUT);
    core_ok(core_try(context, "var after = 1", 0));
    kv8_context_free(context);
  }
}
END_TEST

START_TEST(deadline_covers_functions_and_draining) {
  kv8_source source = core_source("for (;;);");
  kv8_function *function = NULL;
  core_ok(kv8_function_compile(core_context, &source, NULL, &function, NULL, &core_error));
  kv8_run_options options = KV8_RUN_OPTIONS_INIT;
  options.timeout_ms = 20;
  core_is(kv8_function_call(function, NULL, NULL, 0, &options, NULL, &core_error), KV8_ETIMEOUT);
  kv8_function_free(function);
  core_ok(kv8_isolate_drain_microtasks(core_isolate, 1000, &core_error));
}
END_TEST

/* ---- nesting: a console callback runs another script ---------------------------------------- */

typedef struct nested {
  const char *text;
  unsigned timeout_ms;
  kv8_status status;
  kv8_error error;
  int calls;
} nested;

static void run_nested(void *user, const char *level, kv8_span text) {
  nested *inner = user;
  (void)level;
  (void)text;
  inner->calls++;
  kv8_source source = core_source(inner->text);
  kv8_script *script = NULL;
  core_ok(kv8_script_compile(core_isolate, &source, &script, NULL, &core_error));
  kv8_run_options options = KV8_RUN_OPTIONS_INIT;
  options.timeout_ms = inner->timeout_ms;
  inner->status = kv8_script_run(script, core_context, &options, NULL, &inner->error);
  kv8_script_free(script);
}

static void listen_with(nested *inner) {
  kv8_context_options options = KV8_CONTEXT_OPTIONS_INIT;
  options.on_console = run_nested;
  options.on_console_user = inner;
  core_ok(kv8_context_configure(core_context, &options, &core_error));
}

START_TEST(P18_inner_deadline_ends_only_the_inner_run) {
  nested inner = {"for (;;);", 20, KV8_OK, {0}, 0};
  listen_with(&inner);
  core_ok(core_try(core_context, "console.log(1); var outer = 'went on'", 60000));
  ck_assert_int_eq(inner.calls, 1);
  ck_assert_int_eq(inner.status, KV8_ETIMEOUT);
  ck_assert_str_eq(inner.error.message, "Script execution timed out after 20ms");
  core_expect(core_context, "outer", "went on");
}
END_TEST

START_TEST(P18_outer_deadline_ends_both) {
  nested inner = {"for (;;);", 0, KV8_OK, {0}, 0};
  listen_with(&inner);
  core_is(core_try(core_context, "var reached = 0; console.log(1); reached = 1", 50), KV8_ETIMEOUT);
  ck_assert_str_eq(core_error.message, "Script execution timed out after 50ms");
  ck_assert_int_eq(inner.status, KV8_EINTERRUPTED);
  ck_assert_str_eq(inner.error.code, "ERR_SCRIPT_EXECUTION_INTERRUPTED");
  core_expect(core_context, "reached", "0");
  /* The same with an inner deadline that is still far. */
  inner.timeout_ms = 60000;
  core_is(core_try(core_context, "console.log(1); reached = 2", 50), KV8_ETIMEOUT);
  ck_assert_int_eq(inner.status, KV8_EINTERRUPTED);
  core_expect(core_context, "reached", "0");
}
END_TEST

START_TEST(P18_both_deadlines_fire) {
  nested inner = {"for (;;);", 30, KV8_OK, {0}, 0};
  listen_with(&inner);
  for (int round = 0; round < 10; ++round) {
    core_is(core_try(core_context, "for (;;) console.log(1)", 30 + (unsigned)round % 3),
            KV8_ETIMEOUT);
    ck_assert(inner.status == KV8_ETIMEOUT || inner.status == KV8_EINTERRUPTED);
    core_expect(core_context, "1 + 1", "2");
  }
}
END_TEST

/* ---- terminate from another thread ---------------------------------------------------------- */

static atomic_int terminator_state;

static void *terminator(void *user) {
  (void)user;
  while (atomic_load(&terminator_state) == 0) {
    sched_yield();
  }
  /* Also while nothing runs: that must do nothing. */
  while (atomic_load(&terminator_state) == 1) {
    kv8_isolate_terminate(core_isolate);
    sched_yield();
  }
  return NULL;
}

static void start_terminating(void *user, const char *level, kv8_span text) {
  (void)user;
  (void)level;
  (void)text;
  atomic_store(&terminator_state, 1);
}

START_TEST(RC07_terminate_interrupts) {
  kv8_isolate_terminate(core_isolate);
  core_expect(core_context, "1 + 1", "2");
  kv8_context_options options = KV8_CONTEXT_OPTIONS_INIT;
  options.on_console = start_terminating;
  core_ok(kv8_context_configure(core_context, &options, &core_error));
  pthread_t thread;
  ck_assert_int_eq(pthread_create(&thread, NULL, terminator, NULL), 0);
  core_is(core_try(core_context, "console.log(1); for (;;);", 0), KV8_EINTERRUPTED);
  ck_assert_str_eq(core_error.code, "ERR_SCRIPT_EXECUTION_INTERRUPTED");
  atomic_store(&terminator_state, 2);
  pthread_join(thread, NULL);
  core_expect(core_context, "1 + 1", "2");
}
END_TEST

/* ---- heap ----------------------------------------------------------------------------------- */

/* Its loop calls a function: from 13 on V8's optimised loops that call built-ins only, such as
 * new Array(100).fill(1.5), never look for an interrupt. */
static const char *const heap_bomb =
    "var keep = []; for (;;) keep.push(Array.from({length: 100}, (_, i) => i / 2))";

START_TEST(heap_limit_ends_a_run) {
  kv8_isolate_options options = KV8_ISOLATE_OPTIONS_INIT;
  options.heap_max_bytes = (size_t)32 << 20;
  kv8_isolate *isolate = NULL;
  kv8_context *context = NULL;
  core_ok(kv8_isolate_new(&options, &isolate, &core_error));
  core_ok(kv8_context_new(isolate, NULL, &context, &core_error));
  kv8_source source = core_source(heap_bomb);
  kv8_script *script = NULL;
  core_ok(kv8_script_compile(isolate, &source, &script, NULL, &core_error));
  core_is(kv8_script_run(script, context, NULL, NULL, &core_error), KV8_EHEAP);
  ck_assert_str_eq(core_error.code, "ERR_HEAP_LIMIT");
  kv8_script_free(script);
  core_is(kv8_isolate_set_heap_max(isolate, (size_t)64 << 20, &core_error), KV8_ESTATE);
  kv8_heap_statistics heap;
  core_ok(kv8_isolate_get_heap_statistics(isolate, &heap, &core_error));
  ck_assert_uint_lt(heap.total_heap_size, (size_t)80 << 20);
  kv8_context_free(context);
  kv8_isolate_free(isolate);
}
END_TEST

/* A zygote's isolate learns its limit later; it can be lowered and raised again. */
START_TEST(heap_limit_is_set_later) {
  core_is(kv8_isolate_set_heap_max(core_isolate, 0, &core_error), KV8_EINVAL);
  core_ok(kv8_isolate_set_heap_max(core_isolate, (size_t)64 << 20, &core_error));
  core_ok(kv8_isolate_set_heap_max(core_isolate, (size_t)160 << 20, &core_error));
  kv8_heap_statistics heap;
  core_is(core_try(core_context, heap_bomb, 0), KV8_EHEAP);
  core_ok(kv8_isolate_get_heap_statistics(core_isolate, &heap, &core_error));
  ck_assert_uint_gt(heap.used_heap_size, (size_t)80 << 20);
  ck_assert_uint_lt(heap.used_heap_size, (size_t)220 << 20);
  core_ok(core_try(core_context, "keep = null", 0));
  core_expect(core_context, "1 + 1", "2");
}
END_TEST

static void exit_77(void *user, kv8_fatal_kind kind, const char *location, const char *message) {
  (void)location;
  (void)message;
  _exit(kind == KV8_FATAL_OOM && user == &core_error ? 77 : 78);
}

/* One allocation over the limit leaves no room for a termination: V8 asks on_fatal. */
START_TEST(heap_over_the_limit_at_once_is_fatal) {
  pid_t child = fork();
  ck_assert_int_ge(child, 0);
  if (child == 0) {
    core_engine();
    kv8_isolate_options options = KV8_ISOLATE_OPTIONS_INIT;
    options.heap_max_bytes = (size_t)32 << 20;
    options.on_fatal = exit_77;
    options.on_fatal_user = &core_error;
    core_ok(kv8_isolate_new(&options, &core_isolate, &core_error));
    core_ok(kv8_context_new(core_isolate, NULL, &core_context, &core_error));
    close(STDERR_FILENO); /* V8 tells its last collections */
    core_try(core_context, "Object.keys(new Uint8Array(2 ** 23))", 0);
    _exit(1);
  }
  int status = 0;
  ck_assert_int_eq(waitpid(child, &status, 0), child);
  ck_assert(WIFEXITED(status));
  ck_assert_int_eq(WEXITSTATUS(status), 77);
}
END_TEST

/* ---- threads --------------------------------------------------------------------------------- */

static void *isolate_thread(void *user) {
  kv8_error error;
  kv8_isolate *isolate = NULL;
  kv8_context *context = NULL;
  kv8_script *script = NULL;
  kv8_source source = core_source("for (;;);");
  kv8_run_options options = KV8_RUN_OPTIONS_INIT;
  options.timeout_ms = 5 + *(unsigned *)user % 7;
  bool ok = kv8_isolate_new(NULL, &isolate, &error) == KV8_OK &&
            kv8_context_new(isolate, NULL, &context, &error) == KV8_OK &&
            kv8_script_compile(isolate, &source, &script, NULL, &error) == KV8_OK;
  for (int round = 0; ok && round < 10; ++round) {
    ok = kv8_script_run(script, context, &options, NULL, &error) == KV8_ETIMEOUT;
  }
  kv8_script_free(script);
  kv8_context_free(context);
  kv8_isolate_free(isolate);
  return ok ? user : NULL;
}

START_TEST(isolates_on_threads_have_their_own_deadlines) {
  pthread_t threads[4];
  unsigned numbers[4] = {0, 2, 4, 6};
  for (size_t i = 0; i < 4; ++i) {
    ck_assert_int_eq(pthread_create(&threads[i], NULL, isolate_thread, &numbers[i]), 0);
  }
  for (size_t i = 0; i < 4; ++i) {
    void *result = NULL;
    pthread_join(threads[i], &result);
    ck_assert_ptr_eq(result, &numbers[i]);
  }
}
END_TEST

int main(void) {
  TCase *ready = tcase_create("ready");
  tcase_set_timeout(ready, 60);
  tcase_add_checked_fixture(ready, core_setup, core_teardown);
  tcase_add_test(ready, RC05_RC10_deadline_ends_a_run);
  tcase_add_test(ready, RC11_deadline_cannot_be_caught);
  tcase_add_loop_test(ready, P13_deadline_covers_microtasks, 0,
                      (int)(sizeof endless / sizeof endless[0]));
  tcase_add_test(ready, deadline_covers_functions_and_draining);
  tcase_add_test(ready, P18_inner_deadline_ends_only_the_inner_run);
  tcase_add_test(ready, P18_outer_deadline_ends_both);
  tcase_add_test(ready, P18_both_deadlines_fire);
  tcase_add_test(ready, RC07_terminate_interrupts);
  tcase_add_test(ready, heap_limit_ends_a_run);
  tcase_add_test(ready, heap_limit_is_set_later);
  tcase_add_test(ready, isolates_on_threads_have_their_own_deadlines);
  TCase *bare = tcase_create("bare");
  tcase_set_timeout(bare, 60);
  tcase_add_test(bare, heap_over_the_limit_at_once_is_fatal);
  TCase *cases[] = {ready, bare};
  return core_main(cases, 2, "shim limits");
}
