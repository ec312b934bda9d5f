/* SPDX-License-Identifier: MIT
 *
 * signal_test.c: break_on_sigint. Signals come from within the run, by a console callback, or from
 * another thread that such a callback has let go: nothing waits for a clock.
 */
#include <dirent.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <unistd.h>

#include "tests/shim/core_test.h"

static volatile sig_atomic_t handled;

static void on_signal(int number) {
  (void)number;
  handled = handled + 1;
}

/* Something a careless save and restore would lose. */
static void install_handler(void) {
  struct sigaction mine;
  memset(&mine, 0, sizeof mine);
  mine.sa_handler = on_signal;
  mine.sa_flags = SA_NODEFER;
  sigemptyset(&mine.sa_mask);
  sigaddset(&mine.sa_mask, SIGUSR2);
  ck_assert_int_eq(sigaction(SIGINT, &mine, NULL), 0);
}

static void expect_handler(void) {
  struct sigaction now;
  ck_assert_int_eq(sigaction(SIGINT, NULL, &now), 0);
  ck_assert(now.sa_handler == on_signal);
  ck_assert((now.sa_flags & SA_NODEFER) != 0);
  ck_assert((now.sa_flags & SA_RESTART) == 0);
  ck_assert_int_eq(sigismember(&now.sa_mask, SIGUSR2), 1);
  ck_assert_int_eq(sigismember(&now.sa_mask, SIGUSR1), 0);
  handled = 0;
  ck_assert_int_eq(raise(SIGINT), 0);
  ck_assert_int_eq(handled, 1);
}

static size_t entries_of(const char *path) {
  DIR *directory = opendir(path);
  ck_assert_ptr_nonnull(directory);
  size_t count = 0;
  while (readdir(directory) != NULL) ++count;
  closedir(directory);
  return count;
}

static kv8_context *console_context(kv8_isolate *isolate, kv8_console_fn on_console, void *user) {
  kv8_context_options options = KV8_CONTEXT_OPTIONS_INIT;
  options.on_console = on_console;
  options.on_console_user = user;
  kv8_context *context = NULL;
  core_ok(kv8_context_new(isolate, &options, &context, &core_error));
  return context;
}

static void interrupt_self(void *user, const char *level, kv8_span text) {
  (void)user;
  (void)level;
  (void)text;
  ck_assert_int_eq(kill(getpid(), SIGINT), 0);
}

static kv8_status run_breaking(kv8_context *context, const char *text, unsigned timeout_ms) {
  kv8_script *script = core_compile(text);
  kv8_run_options options = KV8_RUN_OPTIONS_INIT;
  options.break_on_sigint = true;
  options.timeout_ms = timeout_ms;
  kv8_status status = kv8_script_run(script, context, &options, NULL, &core_error);
  kv8_script_free(script);
  return status;
}

static void expect_interrupted(kv8_status status) {
  core_is(status, KV8_EINTERRUPTED);
  ck_assert_str_eq(core_error.code, "ERR_SCRIPT_EXECUTION_INTERRUPTED");
  ck_assert_str_eq(core_error.message, "Script execution was interrupted");
}

START_TEST(RC07_sigint_ends_the_run) {
  install_handler();
  kv8_context *context = console_context(core_isolate, interrupt_self, NULL);
  expect_interrupted(run_breaking(context, "console.log(1); for (;;);", 0));
  ck_assert_int_eq(handled, 0); /* RC08: set aside meanwhile */
  /* It cannot be caught, and the context stays usable. */
  expect_interrupted(
      run_breaking(context, "try { console.log(1); for (;;); } catch (e) {} finally { n = 1 }", 0));
  core_expect(context, "typeof n", "undefined");
  kv8_context_free(context);
}
END_TEST

START_TEST(RC07_one_that_comes_last_counts) {
  install_handler();
  kv8_context *context = console_context(core_isolate, interrupt_self, NULL);
  for (int i = 0; i < 200; ++i) {
    expect_interrupted(run_breaking(context, "console.log(1)", 0));
    core_ok(run_breaking(context, "1", 0)); /* and is not the next run's */
    core_ok(core_try(context, "for (let i = 0; i < 1000; ++i);", 0));
  }
  ck_assert_int_eq(handled, 0);
  kv8_context_free(context);
}
END_TEST

START_TEST(RC08_the_handler_is_put_back_exactly) {
  install_handler();
  core_ok(run_breaking(core_context, "1", 0));
  expect_handler();
  core_is(run_breaking(core_context, "throw 1", 0), KV8_EEXCEPTION);
  expect_handler();
  core_is(run_breaking(core_context, "for (;;);", 20), KV8_ETIMEOUT);
  expect_handler();
  ck_assert(signal(SIGINT, SIG_IGN) != SIG_ERR);
  kv8_context *context = console_context(core_isolate, interrupt_self, NULL);
  expect_interrupted(run_breaking(context, "console.log(1); for (;;);", 0));
  struct sigaction now;
  ck_assert_int_eq(sigaction(SIGINT, NULL, &now), 0);
  ck_assert(now.sa_handler == SIG_IGN);
  kv8_context_free(context);
}
END_TEST

START_TEST(RC08_a_run_that_did_not_ask_goes_on) {
  install_handler();
  kv8_context *context = console_context(core_isolate, interrupt_self, NULL);
  core_ok(core_try(context, "console.log(1); for (let i = 0; i < 100000; ++i); n = 1", 0));
  ck_assert_int_eq(handled, 1);
  core_expect(context, "n", "1");
  kv8_context_free(context);
}
END_TEST

START_TEST(RC09_threads_and_descriptors_are_gone_after_it) {
  install_handler();
  kv8_context *context = console_context(core_isolate, interrupt_self, NULL);
  expect_interrupted(run_breaking(context, "console.log(1); for (;;);", 0));
  size_t threads = entries_of("/proc/self/task");
  size_t files = entries_of("/proc/self/fd");
  for (int i = 0; i < 50; ++i) {
    expect_interrupted(run_breaking(context, "console.log(1); for (;;);", 0));
    ck_assert_uint_le(entries_of("/proc/self/task"), threads + 1); /* V8's own may start late */
    ck_assert_uint_eq(entries_of("/proc/self/fd"), files);
  }
  expect_handler();
  kv8_context_free(context);
}
END_TEST

/* ---- nesting -------------------------------------------------------------------------------- */

typedef struct nested {
  kv8_context *inner;
  bool inner_asks;
  kv8_status status;
} nested;

static void run_nested(void *user, const char *level, kv8_span text) {
  (void)level;
  (void)text;
  nested *it = user;
  it->status = it->inner_asks ? run_breaking(it->inner, "console.log(1); for (;;);", 0)
                              : core_try(it->inner, "console.log(1); for (;;);", 0);
}

START_TEST(RC07_nested_runs_all_end) {
  install_handler();
  nested it = {console_context(core_isolate, interrupt_self, NULL), true, KV8_OK};
  kv8_context *outer = console_context(core_isolate, run_nested, &it);
  expect_interrupted(run_breaking(outer, "console.log(1); for (;;);", 0));
  core_is(it.status, KV8_EINTERRUPTED);
  expect_handler();
  /* Of two, only those that asked. */
  core_ok(core_try(outer, "console.log(1); n = 1", 0));
  core_is(it.status, KV8_EINTERRUPTED);
  core_expect(outer, "n", "1");
  it.inner_asks = false;
  expect_interrupted(run_breaking(outer, "console.log(1); n = 2; for (;;);", 0));
  core_is(it.status, KV8_EINTERRUPTED);
  core_expect(outer, "n", "1");
  expect_handler();
  kv8_context_free(outer);
  kv8_context_free(it.inner);
}
END_TEST

START_TEST(RN06_microtasks_count) {
  install_handler();
  kv8_context_options options = KV8_CONTEXT_OPTIONS_INIT;
  options.microtask_mode = KV8_MICROTASKS_AFTER_EVALUATE;
  options.on_console = interrupt_self;
  kv8_context *context = NULL;
  core_ok(kv8_context_new(core_isolate, &options, &context, &core_error));
  expect_interrupted(
      run_breaking(context, "Promise.resolve().then(() => { console.log(1); for (;;); })", 0));
  expect_handler();
  kv8_context_free(context);
}
END_TEST

START_TEST(functions_and_modules_too) {
  install_handler();
  kv8_context *context = console_context(core_isolate, interrupt_self, NULL);
  kv8_run_options options = KV8_RUN_OPTIONS_INIT;
  options.break_on_sigint = true;
  kv8_source source = core_source("console.log(1); for (;;);");
  kv8_function *function = NULL;
  core_ok(kv8_function_compile(context, &source, NULL, &function, NULL, &core_error));
  expect_interrupted(kv8_function_call(function, NULL, NULL, 0, &options, NULL, &core_error));
  kv8_value *value = NULL;
  core_ok(kv8_function_copy_value(function, &value, &core_error));
  expect_interrupted(kv8_value_call(context, value, NULL, NULL, 0, &options, NULL, &core_error));
  kv8_value_free(value);
  kv8_function_free(function);
  kv8_module *module = NULL;
  core_ok(kv8_module_compile(context, &source, &module, NULL, &core_error));
  core_ok(kv8_module_link_requests(module, NULL, 0, &core_error));
  core_ok(kv8_module_instantiate(module, &core_error));
  expect_interrupted(kv8_module_evaluate(module, &options, NULL, &core_error));
  kv8_module_free(module);
  expect_handler();
  kv8_context_free(context);
}
END_TEST

/* ---- threads -------------------------------------------------------------------------------- */

static void post(void *user, const char *level, kv8_span text) {
  (void)level;
  (void)text;
  sem_post(user);
}

static void *kill_when_told(void *argument) {
  sem_wait(argument);
  kill(getpid(), SIGINT);
  return NULL;
}

START_TEST(P16_from_another_thread) {
  install_handler();
  sem_t running;
  sem_init(&running, 0, 0);
  kv8_context *context = console_context(core_isolate, post, &running);
  for (int i = 0; i < 50; ++i) {
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, kill_when_told, &running), 0);
    expect_interrupted(run_breaking(context, "console.log(1); for (;;);", 0));
    pthread_join(thread, NULL);
  }
  expect_handler();
  sem_destroy(&running);
  kv8_context_free(context);
}
END_TEST

/* Where the program's own threads all block it, it still arrives. */
START_TEST(P16_blocked_elsewhere) {
  install_handler();
  sigset_t only, before;
  sigemptyset(&only);
  sigaddset(&only, SIGINT);
  ck_assert_int_eq(pthread_sigmask(SIG_BLOCK, &only, &before), 0);
  kv8_context *context = console_context(core_isolate, interrupt_self, NULL);
  expect_interrupted(run_breaking(context, "console.log(1); for (;;);", 0));
  ck_assert_int_eq(pthread_sigmask(SIG_SETMASK, &before, NULL), 0);
  expect_handler();
  kv8_context_free(context);
}
END_TEST

enum { kThreads = 4, kRounds = 25 };

typedef struct racer {
  sem_t *running;
  sem_t *go;
  unsigned interrupted;
} racer;

/* Each round all threads are in a run when the one signal comes. */
static void *race(void *argument) {
  racer *it = argument;
  kv8_error err;
  kv8_isolate *isolate = NULL;
  if (kv8_isolate_new(NULL, &isolate, &err) != KV8_OK) return NULL;
  kv8_context_options options = KV8_CONTEXT_OPTIONS_INIT;
  options.on_console = post;
  options.on_console_user = it->running;
  kv8_context *context = NULL;
  kv8_source source = core_source("console.log(1); for (;;);");
  kv8_script *script = NULL;
  kv8_run_options run = KV8_RUN_OPTIONS_INIT;
  run.break_on_sigint = true;
  if (kv8_context_new(isolate, &options, &context, &err) == KV8_OK &&
      kv8_script_compile(isolate, &source, &script, NULL, &err) == KV8_OK) {
    for (int i = 0; i < kRounds; ++i) {
      sem_wait(it->go);
      it->interrupted += kv8_script_run(script, context, &run, NULL, &err) == KV8_EINTERRUPTED;
    }
  }
  kv8_script_free(script);
  kv8_context_free(context);
  kv8_isolate_free(isolate);
  return NULL;
}

START_TEST(P16_many_isolates_at_once) {
  install_handler();
  sem_t running, go;
  sem_init(&running, 0, 0);
  sem_init(&go, 0, 0);
  pthread_t threads[kThreads];
  racer racers[kThreads];
  for (int i = 0; i < kThreads; ++i) {
    racers[i] = (racer){&running, &go, 0};
    ck_assert_int_eq(pthread_create(&threads[i], NULL, race, &racers[i]), 0);
  }
  for (int round = 0; round < kRounds; ++round) {
    for (int i = 0; i < kThreads; ++i) sem_post(&go);
    for (int i = 0; i < kThreads; ++i) sem_wait(&running);
    ck_assert_int_eq(kill(getpid(), SIGINT), 0);
  }
  for (int i = 0; i < kThreads; ++i) {
    pthread_join(threads[i], NULL);
    ck_assert_uint_eq(racers[i].interrupted, kRounds);
  }
  expect_handler();
  sem_destroy(&running);
  sem_destroy(&go);
}
END_TEST

START_TEST(a_zygote_has_no_thread_for_it) {
  kv8_engine_options options = KV8_ENGINE_OPTIONS_INIT;
  options.defer_threads = true;
  core_ok(kv8_engine_start(&options, &core_error));
  core_ok(kv8_isolate_new(NULL, &core_isolate, &core_error));
  core_ok(kv8_context_new(core_isolate, NULL, &core_context, &core_error));
  install_handler();
  core_is(run_breaking(core_context, "1", 0), KV8_ESTATE);
  expect_handler();
  core_ok(core_try(core_context, "1", 0));
  core_teardown();
}
END_TEST

int main(void) {
  TCase *runs = tcase_create("runs");
  tcase_add_checked_fixture(runs, core_setup, core_teardown);
  tcase_set_timeout(runs, 60);
  tcase_add_test(runs, RC07_sigint_ends_the_run);
  tcase_add_test(runs, RC07_one_that_comes_last_counts);
  tcase_add_test(runs, RC08_the_handler_is_put_back_exactly);
  tcase_add_test(runs, RC08_a_run_that_did_not_ask_goes_on);
  tcase_add_test(runs, RC09_threads_and_descriptors_are_gone_after_it);
  tcase_add_test(runs, RC07_nested_runs_all_end);
  tcase_add_test(runs, RN06_microtasks_count);
  tcase_add_test(runs, functions_and_modules_too);
  tcase_add_test(runs, P16_from_another_thread);
  tcase_add_test(runs, P16_blocked_elsewhere);
  tcase_add_test(runs, P16_many_isolates_at_once);
  TCase *zygote = tcase_create("zygote");
  tcase_add_test(zygote, a_zygote_has_no_thread_for_it);
  TCase *cases[] = {runs, zygote};
  return core_main(cases, sizeof cases / sizeof cases[0], "signal");
}
