/* SPDX-License-Identifier: MIT
 *
 * pool_hostile_test.c: whatever a script, a worker or a zygote does, it costs its own job at most:
 * each case is followed by an honest job. Nothing stays: no process, no zombie, no descriptor.
 */
#include <check.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/temporary.h"
#include "tests/toolkit/pool_support.h"

static kiln_pool *pool;
static size_t descriptors_before;

static void open_pool(void) {
  kiln_pool_options options = default_options();
  descriptors_before = count_descriptors();
  pool = new_pool(&options);
}

static void assert_nothing_left(void) {
  child children[8];
  ck_assert_uint_eq(list_children(children, 8), 0);
  ck_assert_uint_eq(count_descriptors(), descriptors_before);
}

static void close_pool(void) {
  kiln_pool_free(pool, 1000);
  assert_nothing_left();
}

/* Runs a script that is up to no good, then an honest one. */
static void do_hostile(const char *source, unsigned timeout_ms, answer *a) {
  kiln_job job = script_job(source);
  job.timeout_ms = timeout_ms;
  do_job(pool, &job, a);
  kiln_bytes_unref(job.source);
  ck_assert_msg(a->status == KILN_OK, "%s", a->message_of_ours);
  assert_result(pool, "6 * 7", "42");
}

/* Native loops would go on for years. */
#define LATE_MS 10000

static void assert_time_limit(const char *source) {
  answer a;
  do_hostile(source, 100, &a);
  ck_assert_msg(a.outcome == KILN_OUTCOME_TIME_LIMIT, "%d %s %s", a.outcome, a.code, a.message);
  ck_assert_str_eq(a.code, "ERR_SCRIPT_EXECUTION_TIMEOUT");
  ck_assert_str_eq(a.message, "Script execution timed out after 100ms");
  uint64_t took = (a.times.total_ns - a.times.queued_ns) / 1000000;
  ck_assert_msg(took >= 99 && took < LATE_MS, "%lu ms", (unsigned long)took);
  answer_release(&a);
}

START_TEST(loop_ends_at_its_time_limit) {
  assert_time_limit("while(1);");
  assert_time_limit("try { while(1); } finally { while(1); }");
  assert_time_limit("(function f() { Promise.resolve().then(f) })()");
  assert_time_limit("/^(a+)+$/.test('a'.repeat(40) + 'b')");
  assert_time_limit("({toJSON() { while(1); }})"); /* while it is written down */
  kiln_stats stats = stats_of(pool);
  ck_assert_uint_eq(stats.jobs_time_limit, 5);
}
END_TEST

START_TEST(loop_keeps_its_console) {
  kiln_pool_options options = default_options();
  options.kill_grace_ms = 30000; /* the worker itself is to answer, however busy this machine is */
  descriptors_before = count_descriptors();
  pool = new_pool(&options);
  kiln_job job = script_job("console.log('first'); while(1);");
  job.timeout_ms = 50;
  answer a;
  do_job(pool, &job, &a);
  ck_assert_int_eq(a.outcome, KILN_OUTCOME_TIME_LIMIT);
  assert_contains(a.console_json, "first");
  kiln_bytes_unref(job.source);
  answer_release(&a);
  close_pool();
}
END_TEST

START_TEST(native_loop_is_killed) {
  assert_time_limit("[].indexOf.call({length: 2**53-1})");
  assert_time_limit("[].reverse.call({length: 2**53-1})");
  ck_assert_uint_eq(stats_of(pool).kills, 2);
}
END_TEST

START_TEST(waiting_in_the_queue_costs_no_time) {
  enum { COUNT = 24, LIMIT_MS = 1000 };
  answer answers[COUNT];
  kiln_job job = script_job("const until = Date.now() + 100; while (Date.now() < until); 1");
  job.timeout_ms = LIMIT_MS;
  kiln_error err;
  for (int i = 0; i < COUNT; i++) {
    answer_init(&answers[i]);
    ck_assert_int_eq(kiln_pool_submit(pool, &job, answer_done, &answers[i], &err), KILN_OK);
  }
  uint64_t longest = 0;
  for (int i = 0; i < COUNT; i++) {
    answer_wait(&answers[i]);
    ck_assert_msg(answers[i].outcome == KILN_OUTCOME_OK, "%s", answers[i].message);
    if (answers[i].times.queued_ns > longest) longest = answers[i].times.queued_ns;
    answer_release(&answers[i]);
  }
  ck_assert_uint_gt(longest, LIMIT_MS * 1000000u); /* two at a time: the last for eleven rounds */
  kiln_bytes_unref(job.source);
}
END_TEST

/* Sanitizers need address space without limit, so there V8's own limit alone acts, and how V8 ends
 * differs. */
static void assert_memory_limit(const char *source) {
  answer a;
  do_hostile(source, HONEST_MS, &a);
#ifdef KILN_ADDRESS_SANITIZER
  ck_assert_msg(a.outcome == KILN_OUTCOME_MEMORY_LIMIT || a.outcome == KILN_OUTCOME_CRASHED ||
                    a.outcome == KILN_OUTCOME_EXCEPTION,
                "%s: %d %s %s", source, a.outcome, a.code, a.message);
#else
  ck_assert_msg(a.outcome == KILN_OUTCOME_MEMORY_LIMIT, "%s: %d %s %s", source, a.outcome, a.code,
                a.message);
  ck_assert_str_eq(a.code, "ERR_MEMORY_LIMIT");
#endif
  answer_release(&a);
}

START_TEST(heap_bomb_ends_at_its_memory_limit) {
  assert_memory_limit("const a = []; for (;;) a.push({x: a.length})");
  assert_memory_limit("let s = 'x'; const a = []; for (;;) { a.push(new Array(1e6).fill(s)) }");
  assert_memory_limit(
      "JSON.parse('['.repeat(5e6) + ']'.repeat(5e6)); const a = [];"
      "for (;;) a.push(JSON.parse('[' + '1,'.repeat(1e6) + '1]'))");
}
END_TEST

#ifndef KILN_ADDRESS_SANITIZER
START_TEST(memory_outside_the_heap_is_bounded_too) {
  assert_memory_limit("const a = []; for (;;) a.push(new Intl.DateTimeFormat('de'))");
  answer a;
  do_hostile("const a = []; for (;;) a.push(new ArrayBuffer(1 << 20))", HONEST_MS, &a);
  ck_assert_int_eq(a.outcome, KILN_OUTCOME_EXCEPTION);
  ck_assert_str_eq(a.name, "RangeError");
  answer_release(&a);
  do_hostile("const a = []; for (;;) a.push(new WebAssembly.Memory({initial: 100}))", HONEST_MS,
             &a);
  ck_assert_msg(a.outcome == KILN_OUTCOME_EXCEPTION || a.outcome == KILN_OUTCOME_MEMORY_LIMIT,
                "%d %s %s", a.outcome, a.code, a.message);
  answer_release(&a);
}
END_TEST
#endif

START_TEST(string_doubling_is_an_exception) {
  answer a;
  do_hostile("let s = 'ab'; for (;;) s += s", HONEST_MS, &a);
  ck_assert_msg(a.outcome == KILN_OUTCOME_EXCEPTION, "%s %s", a.code, a.message);
  ck_assert_str_eq(a.name, "RangeError");
  answer_release(&a);
}
END_TEST

START_TEST(trap_in_v8_is_a_crash) {
  answer a;
  do_hostile("'ab'.repeat(2**27).split('')", HONEST_MS, &a);
  ck_assert_msg(a.outcome == KILN_OUTCOME_CRASHED || a.outcome == KILN_OUTCOME_MEMORY_LIMIT,
                "%d %s %s", a.outcome, a.code, a.message);
  if (a.outcome == KILN_OUTCOME_CRASHED) ck_assert_str_eq(a.code, "ERR_ENGINE_CRASHED");
  answer_release(&a);
}
END_TEST

START_TEST(blown_stack_is_an_exception) {
  answer a;
  do_hostile("(function f() { f() })()", HONEST_MS, &a);
  ck_assert_int_eq(a.outcome, KILN_OUTCOME_EXCEPTION);
  ck_assert_str_eq(a.name, "RangeError");
  answer_release(&a);
  do_hostile("eval('('.repeat(1e6))", HONEST_MS, &a);
  ck_assert_int_eq(a.outcome, KILN_OUTCOME_EXCEPTION);
  answer_release(&a);
  do_hostile("throw null", HONEST_MS, &a);
  ck_assert_int_eq(a.outcome, KILN_OUTCOME_EXCEPTION);
  answer_release(&a);
}
END_TEST

/* ---- processes killed --------------------------------------------------------------------------
 */

/* Waits until a worker computes, and gives its pid. */
static pid_t busy_worker(void) {
  for (;;) {
    child children[32];
    size_t count = list_children(children, 32);
    for (size_t i = 0; i < count; i++)
      if (children[i].nice == 10 && children[i].ticks >= 5) return children[i].pid;
    poll(/* fds= */ NULL, 0, 1); /* who spins takes the worker's time, which is nice */
  }
}

START_TEST(killed_worker_costs_its_job) {
  kiln_job job = script_job("while(1);");
  job.timeout_ms = HONEST_MS;
  kiln_error err;
  answer a;
  answer_init(&a);
  ck_assert_int_eq(kiln_pool_submit(pool, &job, answer_done, &a, &err), KILN_OK);
  pid_t worker = busy_worker();
  assert_result(pool, "'meanwhile'", "\"meanwhile\"");
  kill(worker, SIGKILL);
  answer_wait(&a);
  ck_assert_int_eq(a.outcome, KILN_OUTCOME_CRASHED);
  ck_assert_str_eq(a.code, "ERR_ENGINE_CRASHED");
  ck_assert_int_eq(a.signal, SIGKILL);
  ck_assert_ptr_nonnull(strstr(a.message, "SIGKILL"));
  assert_result(pool, "1", "1");
  ck_assert_uint_eq(stats_of(pool).jobs_crashed, 1);
  kiln_bytes_unref(job.source);
  answer_release(&a);
}
END_TEST

START_TEST(killed_zygotes_cost_nothing) {
  kiln_job job = script_job("while(1);");
  job.timeout_ms = HONEST_MS;
  kiln_error err;
  answer a;
  answer_init(&a);
  ck_assert_int_eq(kiln_pool_submit(pool, &job, answer_done, &a, &err), KILN_OK);
  pid_t worker = busy_worker();
  for (int round = 0; round < 10; round++) {
    kill_zygotes();
    for (int i = 0; i < 4; i++) assert_result(pool, "1 + 1", "2");
  }
  kill(worker, SIGKILL); /* it has outlived its zygote and nine more */
  answer_wait(&a);
  ck_assert_int_eq(a.outcome, KILN_OUTCOME_CRASHED);
  ck_assert_int_eq(a.signal, SIGKILL);
  kiln_stats stats = stats_of(pool);
  ck_assert_uint_gt(stats.zygotes_lost, 9);
  ck_assert_uint_eq(stats.jobs_ok, 40);
  ck_assert_uint_eq(stats.jobs_crashed, 1);
  kiln_bytes_unref(job.source);
  answer_release(&a);
}
END_TEST

START_TEST(hanging_zygotes_are_replaced) {
  child children[32];
  for (int i = 0; i < 3; i++) assert_result(pool, "1", "1");
  size_t count = list_children(children, 32);
  for (size_t i = 0; i < count; i++)
    if (children[i].nice != 10) kill(children[i].pid, SIGSTOP); /* perhaps a new worker too */
  /* One that had just become ready may have got a job, which then ends at its time limit: not what
   * this is about. */
  for (int i = 0; i < 8; i++) {
    kiln_job job = script_job("1 + 1");
    job.timeout_ms = 5000;
    answer a;
    do_job(pool, &job, &a);
    ck_assert_int_eq(a.status, KILN_OK);
    kiln_bytes_unref(job.source);
    answer_release(&a);
  }
  for (int i = 0; i < 3; i++) assert_result(pool, "1 + 1", "2");
  ck_assert_uint_gt(stats_of(pool).zygotes_lost, 0);
}
END_TEST

START_TEST(idle_workers_killed_cost_nothing) {
  for (int round = 0; round < 20; round++) {
    child children[32];
    size_t count = list_children(children, 32);
    for (size_t i = 0; i < count; i++)
      if (children[i].nice == 10 && children[i].state != 'Z') kill(children[i].pid, SIGKILL);
    /* A job may have reached a worker in the moment it was killed: then that job is lost, but one
     * for each at most. */
    for (size_t i = 0; i < count; i++) {
      kiln_job job = script_job("2");
      answer a;
      do_job(pool, &job, &a);
      ck_assert_int_eq(a.status, KILN_OK);
      ck_assert(a.outcome == KILN_OUTCOME_OK || a.outcome == KILN_OUTCOME_CRASHED);
      kiln_bytes_unref(job.source);
      answer_release(&a);
    }
    assert_result(pool, "1 + 1", "2");
  }
}
END_TEST

START_TEST(zygotes_are_renewed) {
  kiln_pool_options options = default_options();
  options.forks_per_zygote = 3;
  descriptors_before = count_descriptors();
  pool = new_pool(&options);
  for (int i = 0; i < 60; i++) assert_result(pool, "1 + 1", "2");
  kiln_stats stats = stats_of(pool);
  ck_assert_uint_gt(stats.zygotes_started, 3);
  ck_assert_uint_eq(stats.zygotes_lost, 0);
  close_pool();
}
END_TEST

/* ---- the end of the pool -----------------------------------------------------------------------
 */

START_TEST(full_queue_is_busy) {
  kiln_pool_options options = default_options();
  options.workers_max = 1;
  options.queue_max = 2;
  descriptors_before = count_descriptors();
  pool = new_pool(&options);
  kiln_job job = script_job("while(1);");
  job.timeout_ms = HONEST_MS;
  answer answers[3];
  kiln_error err;
  for (int i = 0; i < 3; i++) {
    answer_init(&answers[i]);
    ck_assert_int_eq(kiln_pool_submit(pool, &job, answer_done, &answers[i], &err), KILN_OK);
  }
  answer none;
  answer_init(&none);
  ck_assert_int_eq(kiln_pool_submit(pool, &job, answer_done, &none, &err), KILN_EBUSY);
  ck_assert_str_eq(err.code, "ERR_BUSY");
  busy_worker();
  kiln_pool_settle(pool, 0); /* with one job running and two in the queue */
  for (int i = 0; i < 3; i++) {
    ck_assert_uint_eq(answers[i].calls, 1);
    ck_assert_int_eq(answers[i].status, KILN_ECLOSING);
    answer_release(&answers[i]);
  }
  ck_assert_uint_eq(none.calls, 0);
  ck_assert_int_eq(kiln_pool_submit(pool, &job, answer_done, &none, &err), KILN_ECLOSING);
  ck_assert_uint_eq(none.calls, 0);
  answer_release(&none);
  kiln_bytes_unref(job.source);
  kiln_pool_free(pool, 0);
  assert_nothing_left();
}
END_TEST

START_TEST(closing_waits_for_jobs) {
  kiln_job job = script_job("const until = Date.now() + 100; while (Date.now() < until); 7");
  answer answers[3];
  kiln_error err;
  for (int i = 0; i < 3; i++) {
    answer_init(&answers[i]);
    ck_assert_int_eq(kiln_pool_submit(pool, &job, answer_done, &answers[i], &err), KILN_OK);
  }
  kiln_pool_free(pool, 10000 * SLOW);
  for (int i = 0; i < 3; i++) {
    ck_assert_msg(answers[i].outcome == KILN_OUTCOME_OK, "%s", answers[i].message);
    assert_json(answers[i].result_json, "7");
    answer_release(&answers[i]);
  }
  kiln_bytes_unref(job.source);
  kiln_pool_options options = default_options(); /* for the fixture */
  pool = new_pool(&options);
}
END_TEST

/* Everything must go when the pool's process is killed, and it cannot do anything for it itself. */
START_TEST(nobody_outlives_the_pool) {
  ck_assert_int_eq(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
  int ready[2];
  ck_assert_int_eq(pipe(ready), 0);
  pid_t owner = fork();
  ck_assert_int_ge(owner, 0);
  if (owner == 0) {
    kiln_pool_options options = default_options();
    kiln_pool *own = NULL;
    if (kiln_pool_new(&options, &own, NULL) != KILN_OK) _exit(1);
    kiln_job job = script_job("while(1);");
    job.timeout_ms = HONEST_MS;
    answer a;
    answer_init(&a);
    kiln_pool_submit(own, &job, answer_done, &a, NULL);
    busy_worker();
    if (write(ready[1], "x", 1) != 1) _exit(1);
    for (;;) pause();
  }
  char byte;
  ck_assert_int_eq(read(ready[0], &byte, 1), 1);
  kill(owner, SIGKILL);
  int reaped = 0;
  while (waitpid(-1, NULL, 0) > 0) reaped++; /* returns only when the last one has gone */
  ck_assert_int_ge(reaped, 4);               /* itself, zygote, busy worker, idle one */
}
END_TEST

/* ---- engines that are none ---------------------------------------------------------------------
 */

static void assert_no_pool(const char *path, const char *why) {
  kiln_pool_options options = default_options();
  kiln_error err = {0};
  options.engine_path = path;
  descriptors_before = count_descriptors();
  ck_assert_int_eq(kiln_pool_new(&options, &pool, &err), KILN_EENGINE);
  ck_assert_str_eq(err.code, "ERR_ENGINE");
  ck_assert_msg(strstr(err.message, why) != NULL, "%s", err.message);
  assert_nothing_left();
}

static char fake_directory[TEMPORARY_PATH];

static const char *fake(const char *behaviour) {
  static char path[PATH_MAX];
  if (fake_directory[0] == '\0')
    ck_assert(temporary_make("kiln-fake", fake_directory, sizeof(fake_directory)));
  snprintf(path, sizeof(path), "%s/%s", fake_directory, behaviour);
  ck_assert_int_eq(symlink(KILN_FAKE_ENGINE_PATH, path), 0);
  return path;
}

static void remove_fake(const char *path) {
  unlink(path);
  rmdir(fake_directory);
}

START_TEST(engines_that_are_none_are_refused) {
  assert_no_pool("/nonexistent/kiln-engine", "No such file");
  assert_no_pool("/dev/null", "Permission denied");
  assert_no_pool("/bin/true", "ended");
  const char *const cases[][2] = {{"hello-version", "it speaks protocol 77, this library "},
                                  {"hello-short", "did not introduce itself"},
                                  {"hello-noise", "did not introduce itself"},
                                  {"hello-never", "ended"}};
  for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
    const char *path = fake(cases[i][0]);
    assert_no_pool(path, cases[i][1]);
    unlink(path);
  }
  rmdir(fake_directory);
}
END_TEST

static const struct {
  const char *behaviour, *code;
  kiln_outcome outcome;
} lies[] = {
    {"noise", "ERR_ENGINE_PROTOCOL", KILN_OUTCOME_CRASHED},
    {"no-json", "ERR_ENGINE_PROTOCOL", KILN_OUTCOME_CRASHED},
    {"not-utf8", "ERR_ENGINE_PROTOCOL", KILN_OUTCOME_CRASHED},
    {"too-much", "ERR_ENGINE_PROTOCOL", KILN_OUTCOME_CRASHED},
    {"unsealed", "ERR_ENGINE_PROTOCOL", KILN_OUTCOME_CRASHED},
    {"wrong-type", "ERR_ENGINE_PROTOCOL", KILN_OUTCOME_CRASHED},
    {"empty", "ERR_ENGINE_CRASHED", KILN_OUTCOME_CRASHED},
    {"closes", "ERR_ENGINE_CRASHED", KILN_OUTCOME_CRASHED},
    {"exits", "ERR_ENGINE_CRASHED", KILN_OUTCOME_CRASHED},
    {"silent", "ERR_SCRIPT_EXECUTION_TIMEOUT", KILN_OUTCOME_TIME_LIMIT},
    {"twice", "", KILN_OUTCOME_OK},
};

START_TEST(worker_that_lies_is_not_believed) {
  const char *path = fake(lies[_i].behaviour);
  kiln_pool_options options = default_options();
  options.engine_path = path;
  descriptors_before = count_descriptors();
  pool = new_pool(&options);
  for (int i = 0; i < 10; i++) {
    kiln_job job = script_job("1");
    job.timeout_ms = lies[_i].outcome == KILN_OUTCOME_TIME_LIMIT ? 20 : HONEST_MS;
    answer a;
    do_job(pool, &job, &a);
    ck_assert_int_eq(a.status, KILN_OK);
    ck_assert_msg(a.outcome == lies[_i].outcome && strcmp(a.code, lies[_i].code) == 0,
                  "%s: %d %s %s", lies[_i].behaviour, a.outcome, a.code, a.message);
    ck_assert(a.outcome == KILN_OUTCOME_OK || !a.result_json);
    kiln_bytes_unref(job.source);
    answer_release(&a);
  }
  bool is_protocol = strcmp(lies[_i].code, "ERR_ENGINE_PROTOCOL") == 0;
  ck_assert_uint_eq(stats_of(pool).protocol_errors, is_protocol ? 10 : 0);
  close_pool();
  remove_fake(path);
}
END_TEST

/* No worker ever becomes ready: those who wait are told, not kept. */
START_TEST(zygote_that_cannot_fork_is_an_error_of_ours) {
  static const char *const behaviours[] = {"fork-never", "ready-lies", "idle-talks"};
  const char *path = fake(behaviours[_i]);
  kiln_pool_options options = default_options();
  options.engine_path = path;
  descriptors_before = count_descriptors();
  pool = new_pool(&options);
  kiln_job job = script_job("1");
  job.timeout_ms = 100;
  answer a;
  do_job(pool, &job, &a);
  if (_i < 2) {
    ck_assert_int_eq(a.status, KILN_EENGINE);
    ck_assert_ptr_nonnull(strstr(a.message_of_ours, "fork"));
  }
  kiln_bytes_unref(job.source);
  answer_release(&a);
  close_pool();
  remove_fake(path);
}
END_TEST

int main(void) {
  Suite *suite = suite_create("pool, hostile");
  TCase *scripts = tcase_create("scripts");
  tcase_set_timeout(scripts, 300);
  tcase_add_checked_fixture(scripts, open_pool, close_pool);
  tcase_add_test(scripts, loop_ends_at_its_time_limit);
  tcase_add_test(scripts, native_loop_is_killed);
  tcase_add_test(scripts, waiting_in_the_queue_costs_no_time);
  tcase_add_test(scripts, heap_bomb_ends_at_its_memory_limit);
#ifndef KILN_ADDRESS_SANITIZER
  tcase_add_test(scripts, memory_outside_the_heap_is_bounded_too);
#endif
  tcase_add_test(scripts, string_doubling_is_an_exception);
  tcase_add_test(scripts, trap_in_v8_is_a_crash);
  tcase_add_test(scripts, blown_stack_is_an_exception);
  tcase_add_test(scripts, killed_worker_costs_its_job);
  tcase_add_test(scripts, killed_zygotes_cost_nothing);
  tcase_add_test(scripts, hanging_zygotes_are_replaced);
  tcase_add_test(scripts, idle_workers_killed_cost_nothing);
  tcase_add_test(scripts, closing_waits_for_jobs);
  TCase *pools = tcase_create("pools");
  tcase_set_timeout(pools, 300);
  tcase_add_test(pools, loop_keeps_its_console);
  tcase_add_test(pools, zygotes_are_renewed);
  tcase_add_test(pools, full_queue_is_busy);
  tcase_add_test(pools, nobody_outlives_the_pool);
  tcase_add_test(pools, engines_that_are_none_are_refused);
  tcase_add_loop_test(pools, worker_that_lies_is_not_believed, 0,
                      (int)(sizeof(lies) / sizeof(lies[0])));
  tcase_add_loop_test(pools, zygote_that_cannot_fork_is_an_error_of_ours, 0, 3);
  suite_add_tcase(suite, scripts);
  suite_add_tcase(suite, pools);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
