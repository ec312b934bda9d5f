/* SPDX-License-Identifier: MIT
 *
 * core_test_fork.c: a zygote. V8 starts without a thread, an isolate and a context are made, and
 * children forked from it run code with background threads of their own, as kiln-engine's workers
 * do.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shim/kv8_fork.h"
#include "tests/shim/core_test.h"

/* V8 marks its heap MADV_DONTFORK; without this a child crashes at its first touch of it. */
__attribute__((visibility("default"))) int madvise(void *start, size_t length, int advice) {
  return advice == MADV_DONTFORK ? 0 : (int)syscall(SYS_madvise, start, length, advice);
}

static unsigned count_threads(void) {
  DIR *tasks = opendir("/proc/self/task");
  ck_assert_ptr_nonnull(tasks);
  unsigned count = 0;
  for (struct dirent *entry; (entry = readdir(tasks)) != NULL;) {
    count += entry->d_name[0] != '.';
  }
  closedir(tasks);
  return count;
}

static void zygote_setup(void) {
  kv8_engine_options options = KV8_ENGINE_OPTIONS_INIT;
  options.defer_threads = true;
  options.threads = 2;
  unsigned before = count_threads();
  core_ok(kv8_engine_start(&options, &core_error));
  core_ok(kv8_isolate_new(NULL, &core_isolate, &core_error));
  core_ok(kv8_context_new(core_isolate, NULL, &core_context, &core_error));
  ck_assert_uint_eq(count_threads(), before);
}

/* Hot enough for V8's optimising compiler and rich enough in garbage for its parallel collector:
 * both want background threads. */
static const char *const lodash_like =
    "var _ = (function() {\n"
    "  function baseEach(c, f) { for (var k in c) if (f(c[k], k, c) === false) break; return c }\n"
    "  var _ = {};\n"
    "  'map filter reduce groupBy'.split(' ').forEach(function(name) {\n"
    "    _[name] = new Function('c', 'f', 'each',\n"
    "      'var r = ' + (name == 'groupBy' ? '{}' : '[]') + ';' +\n"
    "      'each(c, function(v, k) {' +\n"
    "      (name == 'groupBy' ? '(r[f(v)] = r[f(v)] || []).push(v)' : 'r.push(f(v))') +\n"
    "      '}); return r')\n"
    "  });\n"
    "  _.each = baseEach; return _ })();\n"
    "var total = 0;\n"
    "for (var round = 0; round < 10; round++) {\n"
    "  var list = Array.from({length: 3000}, (x, i) => ({id: i, name: 'n' + i % 7, t: [i, i + "
    "1]}));\n"
    "  var groups = _.groupBy(list, x => x.name, _.each);\n"
    "  total += _.map(groups.n3, x => x.id, _.each).length;\n"
    "  total += JSON.parse(JSON.stringify(list)).length;\n"
    "}\n"
    "total";

static void expect_total(kv8_context *context, const char *expected) {
  kv8_script *script = NULL;
  kv8_source source = core_source(lodash_like);
  kv8_value *value = NULL;
  kv8_blob text = {NULL, 0};
  kv8_run_options options = KV8_RUN_OPTIONS_INIT;
  options.timeout_ms = 60000;
  if (kv8_script_compile(core_isolate, &source, &script, NULL, &core_error) != KV8_OK ||
      kv8_script_run(script, context, &options, &value, &core_error) != KV8_OK ||
      kv8_value_to_string(context, value, &text, &core_error) != KV8_OK ||
      text.length != strlen(expected) || memcmp(text.data, expected, text.length) != 0) {
    fprintf(stderr, "child: %s, %.*s\n", core_error.message, (int)text.length,
            (const char *)text.data);
    _exit(3);
  }
  kv8_blob_free(&text);
  kv8_value_free(value);
  kv8_script_free(script);
}

/* Runs a script in a child, which must give this text. */
static void expect_text(const char *text, const char *expected) {
  kv8_script *script = NULL;
  kv8_value *value = NULL;
  kv8_blob got = {NULL, 0};
  kv8_source source = core_source(text);
  kv8_run_options options = KV8_RUN_OPTIONS_INIT;
  options.timeout_ms = 10000;
  if (kv8_script_compile(core_isolate, &source, &script, NULL, &core_error) != KV8_OK ||
      kv8_script_run(script, core_context, &options, &value, &core_error) != KV8_OK ||
      kv8_value_to_string(core_context, value, &got, &core_error) != KV8_OK ||
      got.length != strlen(expected) || memcmp(got.data, expected, got.length) != 0) {
    fprintf(stderr, "child: %s, %.*s\n", core_error.message, (int)got.length,
            (const char *)got.data);
    _exit(3);
  }
  kv8_blob_free(&got);
  kv8_value_free(value);
  kv8_script_free(script);
}

static void write_random(int out) {
  kv8_script *script = NULL;
  kv8_value *value = NULL;
  kv8_blob text = {NULL, 0};
  kv8_source source = core_source("String(Math.random()).padEnd(32, '.').slice(0, 32)");
  if (kv8_script_compile(core_isolate, &source, &script, NULL, &core_error) != KV8_OK ||
      kv8_script_run(script, core_context, NULL, &value, &core_error) != KV8_OK ||
      kv8_value_to_string(core_context, value, &text, &core_error) != KV8_OK || text.length != 32 ||
      write(out, text.data, 32) != 32) {
    _exit(2);
  }
  kv8_blob_free(&text);
  kv8_value_free(value);
  kv8_script_free(script);
}

/* Runs in the child, writes 64 bytes of Math.random() and leaves by _exit(). */
static void child_main(int round, int out) {
  if (kv8_engine_after_fork(round % 2 == 1, &core_error) != KV8_OK ||
      (round % 2 == 1) != (count_threads() > 1)) {
    _exit(1);
  }
  kv8_script *script = NULL;
  kv8_source source;
  write_random(out);
  expect_total(core_context, "34290");
  if (count_threads() != 4) { /* this one, the watchdog, and V8's two, which it has asked for */
    _exit(5);
  }
  source = core_source("for (;;);");
  kv8_run_options options = KV8_RUN_OPTIONS_INIT;
  options.timeout_ms = 10;
  if (kv8_script_compile(core_isolate, &source, &script, NULL, &core_error) != KV8_OK ||
      kv8_script_run(script, core_context, &options, NULL, &core_error) != KV8_ETIMEOUT) {
    _exit(4);
  }
  kv8_script_free(script);
  if (round % 10 == 0) { /* an orderly end works in a child, too */
    kv8_context_free(core_context);
    kv8_isolate_free(core_isolate);
    kv8_engine_stop();
  }
  _exit(0);
}

START_TEST(zygote_children_run_code) {
  enum { kChildren = 50, kParallel = 2 };
  static char numbers[kChildren][33];
  zygote_setup();
  for (int first = 0; first < kChildren; first += kParallel) {
    pid_t children[kParallel];
    int pipes[kParallel][2];
    for (int i = 0; i < kParallel; ++i) {
      ck_assert_int_eq(pipe(pipes[i]), 0);
      children[i] = fork();
      ck_assert_int_ge(children[i], 0);
      if (children[i] == 0) {
        child_main(first + i, pipes[i][1]);
      }
      close(pipes[i][1]);
    }
    for (int i = 0; i < kParallel; ++i) {
      int status = 0;
      ck_assert_int_eq(waitpid(children[i], &status, 0), children[i]);
      ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "child %d: wait status %#x",
                    first + i, (unsigned)status);
      ck_assert_int_eq(read(pipes[i][0], numbers[first + i], 32), 32);
      close(pipes[i][0]);
    }
  }
  for (int i = 0; i < kChildren; ++i) {
    for (int j = 0; j < i; ++j) {
      ck_assert_str_ne(numbers[i], numbers[j]);
    }
  }
  ck_assert_uint_eq(count_threads(), 1);
  core_teardown();
}
END_TEST

START_TEST(zygote_refuses_deadlines) {
  zygote_setup();
  core_is(core_try(core_context, "1", 10), KV8_ESTATE);
  /* But runs code that makes V8 post background work, and gives it up in order. */
  kv8_script *script = core_compile(lodash_like);
  core_expect_script(script, core_context, "34290");
  kv8_script_free(script);
  ck_assert_uint_eq(count_threads(), 1);
  core_teardown();
}
END_TEST

START_TEST(zygote_work_is_not_lost) {
  zygote_setup();
  core_expect(core_context, lodash_like, "34290");
  pid_t child = fork();
  ck_assert_int_ge(child, 0);
  if (child == 0) {
    if (kv8_engine_after_fork(false, &core_error) != KV8_OK) {
      _exit(1);
    }
    expect_total(core_context, "34290");
    kv8_context_free(core_context);
    kv8_isolate_free(core_isolate);
    kv8_engine_stop();
    _exit(0);
  }
  int status = 0;
  ck_assert_int_eq(waitpid(child, &status, 0), child);
  ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "wait status %#x", (unsigned)status);
  core_teardown();
}
END_TEST

/* A child of the zygote runs code and becomes a zygote itself. */
static void image_main(int out) {
  if (kv8_engine_before_fork(&core_error) != KV8_ESTATE ||
      kv8_engine_after_fork(false, &core_error) != KV8_OK ||
      kv8_context_own_random(core_context, &core_error) != KV8_OK) {
    _exit(20);
  }
  expect_total(core_context, "34290"); /* with background threads and a deadline's */
  expect_text("var kept = {n: 1}; Math.random(); Math.random.name + Math.random.length", "random0");
  if (count_threads() < 3 || kv8_context_hide_globals(core_context, &core_error) != KV8_OK ||
      kv8_engine_before_fork(&core_error) != KV8_OK || count_threads() != 1) {
    _exit(21);
  }
  for (int round = 0; round < 20; round++) {
    pid_t child = fork();
    if (child == 0) {
      kv8_blob globals;
      if (kv8_engine_after_fork(false, &core_error) != KV8_OK) _exit(22);
      expect_text("kept.n++ + ' ' + total", "1 34290");
      expect_total(core_context, "34290");
      expect_text("var mine = 5; kept = 0; globalThis.toJSON = 1; mine", "5");
      if (kv8_context_globals_to_json(core_context, NULL, &globals, &core_error) != KV8_OK ||
          globals.length != 21 || memcmp(globals.data, "{\"mine\":5,\"toJSON\":1}", 21) != 0) {
        _exit(23);
      }
      write_random(out);
      _exit(0);
    }
    int status = 0;
    if (waitpid(child, &status, 0) != child || status != 0) {
      fprintf(stderr, "round %d: %#x\n", round, (unsigned)status);
      _exit(24);
    }
  }
  _exit(0);
}

START_TEST(a_child_that_ran_code_may_be_a_zygote) {
  char numbers[20][33] = {{0}};
  int pipes[2];
  zygote_setup();
  core_is(kv8_engine_before_fork(&core_error), KV8_ESTATE);
  ck_assert_int_eq(pipe(pipes), 0);
  pid_t child = fork();
  ck_assert_int_ge(child, 0);
  if (child == 0) {
    image_main(pipes[1]);
  }
  close(pipes[1]);
  int status = 0;
  ck_assert_int_eq(waitpid(child, &status, 0), child);
  ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "wait status %#x", (unsigned)status);
  for (int i = 0; i < 20; ++i) {
    ck_assert_int_eq(read(pipes[0], numbers[i], 32), 32);
    for (int j = 0; j < i; ++j) {
      ck_assert_str_ne(numbers[i], numbers[j]);
    }
  }
  close(pipes[0]);
  core_is(kv8_context_own_random(NULL, &core_error), KV8_EINVAL);
  core_is(kv8_context_hide_globals(NULL, &core_error), KV8_EINVAL);
  core_teardown();
}
END_TEST

/* Runs a script in a child with a deadline, which it may meet or not; what comes after it is well.
 */
static void try_with_deadline(const char *text, unsigned timeout_ms, kv8_status expected) {
  kv8_script *script = NULL;
  kv8_source source = core_source(text);
  kv8_run_options options = KV8_RUN_OPTIONS_INIT;
  options.timeout_ms = timeout_ms;
  kv8_status status = kv8_script_compile(core_isolate, &source, &script, NULL, &core_error);
  if (status == KV8_OK) {
    status = kv8_script_run(script, core_context, &options, NULL, &core_error);
  }
  if (status != expected && !(expected == KV8_OK && status == KV8_ETIMEOUT)) {
    fprintf(stderr, "%s: %d %s\n", text, (int)status, core_error.message);
    _exit(31);
  }
  kv8_script_free(script);
  expect_text("String(6 * 7)", "42");
}

/* Each is interrupted somewhere else: while it compiles, sleeps, matches, has locks of V8's or of
 * malloc()'s. */
static const char *const endless[] = {
    "for (;;);",
    "Atomics.wait(new Int32Array(new SharedArrayBuffer(8)), 0, 0)",
    "/(a+)+b/.test('a'.repeat(60))",
    "for (var shared = new Int32Array(new SharedArrayBuffer(8)); ;) Atomics.notify(shared, 0, 1)",
    "for (var kept = []; ; kept = kept.length > 99 ? [] : kept) {"
    "  kept.push(new ArrayBuffer(100), 'x'.repeat(99), () => kept); }",
    "for (var i = 0; ; i++) new Function('for (var n = 0; n < 9999; n++) if (n < ' + i +"
    "  ' - 1e9) return;')()",
};

/* In a child. */
static void alarms_main(unsigned round) {
  if (kv8_engine_after_fork(false, &core_error) != KV8_OK) {
    _exit(30);
  }
  /* An alarm far away, which one nearer must not wait for. */
  try_with_deadline("1", 60000, KV8_OK);
  /* Ends by itself about when its deadline comes (P17). */
  try_with_deadline("for (var end = Date.now() + 1; Date.now() < end;);", 1, KV8_OK);
  if (count_threads() > 4) { /* this one, V8's two, and the watchdog if the deadline came */
    _exit(32);
  }
  try_with_deadline(endless[round % (sizeof(endless) / sizeof(endless[0]))], 1 + round % 4,
                    KV8_ETIMEOUT);
  for (unsigned again = 0; again < 2; again++) { /* the watchdog keeps these */
    try_with_deadline("for (;;);", 1 + again, KV8_ETIMEOUT);
  }
  if (count_threads() < 2 || count_threads() > 4) {
    _exit(33);
  }
  if (kv8_engine_deadlines_by_alarm(round % 2 == 0, &core_error) != KV8_OK) {
    _exit(34);
  }
  try_with_deadline("for (;;);", 1, KV8_ETIMEOUT);
  if (count_threads() > 4) { /* it is the one there was */
    _exit(35);
  }
  kv8_context_free(core_context);
  kv8_isolate_free(core_isolate);
  kv8_engine_stop();
  _exit(0);
}

/* In a child. */
static void no_watchdog_main(void) {
  if (kv8_engine_after_fork(false, &core_error) != KV8_OK) {
    _exit(30);
  }
  try_with_deadline("1", 60000, KV8_OK);
  unsigned before = count_threads(); /* this one, and those that newer V8s have asked for */
  if (before > 3) {
    _exit(31);
  }
  if (kv8_engine_deadlines_by_alarm(false, &core_error) != KV8_OK) {
    _exit(32);
  }
  try_with_deadline("1", 60000, KV8_OK);
  _exit(count_threads() > before ? 0 : 33);
}

static kv8_status asked_within;

static void on_console(void *user, const char *level, kv8_span text) {
  (void)user;
  (void)level;
  (void)text;
  asked_within = kv8_engine_deadlines_by_alarm(false, &core_error);
}

START_TEST(a_childs_deadlines_may_be_alarms) {
  zygote_setup();
  core_ok(kv8_engine_deadlines_by_alarm(true, &core_error));
  core_is(core_try(core_context, "1", 10), KV8_ESTATE); /* they are for the children */
  for (unsigned round = 0; round <= 120; ++round) {
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
      round == 0 ? no_watchdog_main() : alarms_main(round);
    }
    int status = 0;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "child %u: wait status %#x", round,
                  (unsigned)status);
  }
  core_teardown();
}
END_TEST

START_TEST(how_deadlines_are_kept_does_not_change_under_one) {
  kv8_context_options options = KV8_CONTEXT_OPTIONS_INIT;
  kv8_context *context = NULL;
  options.on_console = on_console;
  core_setup();
  core_ok(kv8_context_new(core_isolate, &options, &context, &core_error));
  asked_within = KV8_OK;
  core_ok(core_try(context, "console.log(1)", 10000));
  core_is(asked_within, KV8_ESTATE);
  core_ok(core_try(context, "console.log(1)", 0));
  core_ok(asked_within);
  kv8_context_free(context);
  core_teardown();
}
END_TEST

START_TEST(after_fork_needs_a_zygote) {
  core_engine();
  core_is(kv8_engine_after_fork(false, &core_error), KV8_ESTATE);
  kv8_engine_stop();
  core_is(kv8_engine_after_fork(false, &core_error), KV8_ESTATE);
}
END_TEST

int main(void) {
  TCase *all = tcase_create("zygote");
  tcase_set_timeout(all, 300);
  tcase_add_test(all, zygote_children_run_code);
  tcase_add_test(all, zygote_refuses_deadlines);
  tcase_add_test(all, zygote_work_is_not_lost);
  tcase_add_test(all, a_child_that_ran_code_may_be_a_zygote);
  tcase_add_test(all, a_childs_deadlines_may_be_alarms);
  tcase_add_test(all, how_deadlines_are_kept_does_not_change_under_one);
  tcase_add_test(all, after_fork_needs_a_zygote);
  TCase *cases[] = {all};
  return core_main(cases, 1, "shim zygote");
}
