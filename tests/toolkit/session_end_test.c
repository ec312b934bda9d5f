/* SPDX-License-Identifier: MIT
 *
 * session_end_test.c: how sessions end, what becomes of their commands then, and that nothing is
 * left of them; turns and order.
 */
#include <check.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/toolkit/service_support.h"
#include "tests/toolkit/session_support.h"

#ifdef KILN_ADDRESS_SANITIZER
#define SLOW 10
#else
#define SLOW 1
#endif

static kiln *k;
static char context[KILN_OBJECT_ID_MAX];

static void open_with(unsigned sessions_max, unsigned session_idle_ms, unsigned workers_max) {
  kiln_options options = session_options(/* store= */ NULL);
  options.sessions_max = sessions_max;
  options.session_idle_ms = session_idle_ms;
  options.workers_max = workers_max;
  options.heap_max_bytes = 64 << 20;
  options.memory_max_bytes = 192 << 20;
  k = open_kiln(&options);
}

static void setup(void) {
  open_with(0, 0, 2);
  make_context(k, NULL, context);
}

static void teardown(void) {
  kiln_close(k, 5000);
}

static void submit_compute(const char *in, unsigned milliseconds, reply *ret_reply) {
  char source[96];
  (void)snprintf(source, sizeof(source),
                 "{ const end = Date.now() + %u; while (Date.now() < end); } 0", milliseconds);
  submit_run(k, in, source, /* timeout_ms= */ 0, ret_reply);
}

/* Every call on the session says how it ended. */
static void assert_all_gone(const char *object, const char *word) {
  kiln_error error;
  kiln_session_info info;
  kiln_command globals = {.op = KILN_CONTEXT_GLOBALS, .object = kiln_span_from(object)};
  char expected[64];
  (void)snprintf(expected, sizeof(expected), "has ended (%s)", word);
  ck_assert_int_eq(kiln_session_submit(k, &globals, NULL, NULL, &error), KILN_GONE);
  ck_assert_str_eq(error.code, "ERR_SESSION_GONE");
  ck_assert_msg(strstr(error.message, expected) != NULL, "%s", error.message);
  ck_assert_int_eq(kiln_session_get(k, session_of(object), &info, &error), KILN_GONE);
  ck_assert_int_eq(kiln_session_close(k, session_of(object), &error), KILN_GONE);
  ck_assert_msg(strstr(error.message, expected) != NULL, "%s", error.message);
}

/* ---- ends ------------------------------------------------------------------------------------ */

START_TEST(a_time_limit_ends_the_command_alone) {
  reply one;
  for (int i = 0; i < 3; i++) {
    run_in(k, context, "globalThis.n = (globalThis.n || 0) + 1; for (;;);", 50 * SLOW, &one);
    ck_assert_int_eq(one.status, KILN_OK);
    ck_assert_int_eq(one.outcome, KILN_OUTCOME_TIME_LIMIT);
    ck_assert_str_eq(one.code, "ERR_SCRIPT_EXECUTION_TIMEOUT");
    reply_release(&one);
  }
  assert_runs(k, context, "n", "3");
  ck_assert_uint_eq(get_stats(k).kills, 0);
}
END_TEST

START_TEST(what_v8_cannot_terminate_ends_the_session) {
  reply one, two;
  submit_run(k, context, "[].indexOf.call({length: 2 ** 53 - 1})", 100, &one);
  submit_run(k, context, "1", 0, &two);
  command_wait(&one);
  assert_gone(&one, "time_limit");
  ck_assert_ptr_nonnull(strstr(one.error.message, "100ms"));
  command_wait(&two);
  assert_gone(&two, "time_limit");
  assert_all_gone(context, "time_limit");
  kiln_stats stats = get_stats(k);
  ck_assert_uint_eq(stats.kills, 1);
  ck_assert_uint_eq(stats.sessions_ended_time_limit, 1);
  ck_assert_uint_eq(stats.sessions_open, 0);
  reply_release(&one);
  reply_release(&two);
}
END_TEST

static uint64_t now_ms(void) {
  struct timespec now;
  (void)clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* With the grace that kilnd gives, not the long one of other tests. */
static void open_with_short_grace(void) {
  kiln_options options = session_options(/* store= */ NULL);
  options.kill_grace_ms = 150;
  kiln_close(k, 5000);
  k = open_kiln(&options);
  make_context(k, NULL, context);
}

/* Of a machine so busy that it has no time for the session until long after the deadline. */
START_TEST(who_gets_no_processor_has_time_to_end_the_command) {
  reply one;
  open_with_short_grace();
  pid_t worker = worker_of(k, context);
  assert_runs(k, context, "var n = 5; n", "5");
  ck_assert_int_eq(kill(worker, SIGSTOP), 0);
  uint64_t begun = now_ms();
  submit_run(k, context, "for (;;);", 50, &one);
  while (now_ms() - begun < 600) poll(NULL, 0, 10);
  ck_assert_int_eq(kill(worker, SIGCONT), 0);
  command_wait(&one);
  ck_assert_int_eq(one.status, KILN_OK);
  ck_assert_int_eq(one.outcome, KILN_OUTCOME_TIME_LIMIT);
  reply_release(&one);
  assert_runs(k, context, "n", "5");
}
END_TEST

START_TEST(who_gets_no_processor_has_two_seconds) {
  reply one;
  open_with_short_grace();
  pid_t worker = worker_of(k, context);
  ck_assert_int_eq(kill(worker, SIGSTOP), 0);
  uint64_t begun = now_ms();
  run_in(k, context, "1", 50, &one);
  assert_gone(&one, "time_limit");
  ck_assert_uint_ge(now_ms() - begun, 2050);
  reply_release(&one);
}
END_TEST

/* Nothing but the processor's time makes the grace longer: who has it is ended as a job is. */
START_TEST(who_has_the_processor_is_ended_soon) {
  reply one;
  open_with_short_grace();
  uint64_t begun = now_ms();
  run_in(k, context, "[].indexOf.call({length: 2 ** 53 - 1})", 50, &one);
  assert_gone(&one, "time_limit");
  ck_assert_uint_ge(now_ms() - begun, 200);
  ck_assert_uint_lt(now_ms() - begun, 2050);
  reply_release(&one);
}
END_TEST

static const char *const bombs[] = {
    "var a = []; for (;;) a.push(new Array(100000).fill(1))",
    "var s = 'x'; for (;;) s = s + s + [s.length, {}]",
    "var m = new Map(); for (let i = 0;; i++) m.set(i, {i})",
};

START_TEST(a_memory_bomb_ends_the_session) {
  reply one;
  run_in(k, context, bombs[_i], 30000, &one);
  if (one.status == KILN_OK && _i == 1) {
    assert_threw(&one, "RangeError"); /* a string may be too long first */
  } else {
    assert_gone(&one, "memory_limit");
    assert_all_gone(context, "memory_limit");
    ck_assert_uint_eq(get_stats(k).sessions_ended_memory_limit, 1);
  }
  reply_release(&one);
}
END_TEST

START_TEST(too_many_buffers_are_an_exception) {
  reply one;
  run_in(k, context, "var b = []; for (;;) b.push(new ArrayBuffer(1 << 24))", 20000, &one);
  assert_threw(&one, "RangeError");
  reply_release(&one);
  assert_runs(k, context, "b = null; 1", "1");
}
END_TEST

START_TEST(a_killed_process_is_gone) {
  reply one;
  pid_t pid = worker_of(k, context);
  submit_compute(context, 10000, &one);
  ck_assert_int_eq(kill(pid, SIGKILL), 0);
  command_wait(&one);
  assert_gone(&one, "crashed");
  ck_assert_ptr_nonnull(strstr(one.error.message, "SIGKILL"));
  assert_all_gone(context, "crashed");
  ck_assert_uint_eq(get_stats(k).sessions_ended_crashed, 1);
  reply_release(&one);
  make_context(k, NULL, context); /* and others go on */
  assert_runs(k, context, "1", "1");
}
END_TEST

static bool is_gone(void *user) {
  kiln_session_info info;
  return kiln_session_get(k, session_of(user), &info, /* err= */ NULL) == KILN_GONE;
}

START_TEST(a_source_that_crashes_sessions_is_refused) {
  reply one;
  kiln_close(k, 5000);
  kiln_options options = session_options(/* store= */ NULL);
  options.crashes_max = 2;
  k = open_kiln(&options);
  /* A process that dies before it has got the command accuses nobody: so there may be more deaths
   * than two. */
  int deaths = 0;
  bool refused = false;
  while (!refused && deaths < 20) {
    make_context(k, NULL, context);
    pid_t pid = worker_of(k, context);
    submit_run(k, context, "for (let i = 0;; i++) globalThis.i = i;", 5000, &one);
    refused = one.count > 0;
    if (!refused) ck_assert_int_eq(kill(pid, SIGILL), 0);
    command_wait(&one);
    if (refused) {
      ck_assert_int_eq(one.status, KILN_OK);
      ck_assert_int_eq(one.outcome, KILN_OUTCOME_CRASHED);
      ck_assert_msg(strstr(one.message, "refused") != NULL, "%s", one.message);
      assert_runs(k, context, "1", "1"); /* the session lives */
    } else {
      assert_gone(&one, "crashed");
      deaths++;
    }
    reply_release(&one);
  }
  ck_assert(refused && deaths >= 2);
  ck_assert_uint_eq(get_stats(k).refused, 1);
}
END_TEST

START_TEST(an_idle_process_that_dies_is_gone_too) {
  ck_assert_int_eq(kill(worker_of(k, context), SIGTERM), 0);
  wait_until(is_gone, context);
  assert_all_gone(context, "crashed");
}
END_TEST

START_TEST(closing_answers_what_runs) {
  reply one, two;
  submit_compute(context, 30000, &one);
  submit_compute(context, 1, &two);
  ck_assert_int_eq(kiln_session_close(k, session_of(context), NULL), KILN_OK);
  command_wait(&one);
  assert_gone(&one, "closed");
  command_wait(&two);
  assert_gone(&two, "closed");
  assert_all_gone(context, "closed");
  ck_assert_uint_eq(get_stats(k).sessions_ended_closed, 1);
  reply_release(&one);
  reply_release(&two);
}
END_TEST

START_TEST(idle_sessions_end) {
  reply one;
  kiln_close(k, 5000);
  open_with(0, 60, 2);
  make_context(k, NULL, context);
  submit_compute(context, 300, &one); /* one that works is not idle */
  command_wait(&one);
  assert_good(&one);
  reply_release(&one);
  wait_until(is_gone, context);
  assert_all_gone(context, "idle");
  ck_assert_uint_eq(get_stats(k).sessions_ended_idle, 1);
  make_context(k, NULL, context);
  wait_until(is_gone, context);
}
END_TEST

START_TEST(the_longest_idle_is_evicted) {
  char second[KILN_OBJECT_ID_MAX], third[KILN_OBJECT_ID_MAX];
  reply one;
  kiln_error error;
  kiln_close(k, 5000);
  open_with(2, 0, 2);
  make_context(k, NULL, context);
  make_context(k, NULL, second);
  assert_runs(k, context, "1", "1");
  make_context(k, NULL, third);
  assert_all_gone(second, "evicted");
  assert_runs(k, context, "2", "2");
  /* All are busy. */
  submit_compute(third, 30000, &one);
  reply two;
  submit_compute(context, 30000, &two);
  kiln_command create = {.op = KILN_CONTEXT_CREATE};
  ck_assert_int_eq(kiln_session_submit(k, &create, NULL, NULL, &error), KILN_EBUSY);
  ck_assert_msg(strstr(error.message, "limit 2") != NULL, "%s", error.message);
  kiln_stats stats = get_stats(k);
  ck_assert_uint_eq(stats.sessions_ended_evicted, 1);
  ck_assert_uint_eq(stats.sessions_open, 2);
  ck_assert_int_eq(kiln_session_close(k, session_of(context), NULL), KILN_OK);
  ck_assert_int_eq(kiln_session_close(k, session_of(third), NULL), KILN_OK);
  command_wait(&one);
  command_wait(&two);
  reply_release(&one);
  reply_release(&two);
}
END_TEST

START_TEST(only_so_many_ends_are_remembered) {
  char first[KILN_OBJECT_ID_MAX];
  memcpy(first, context, sizeof(first));
  kiln_error error;
  kiln_close(k, 5000);
  open_with(1, 0, 2);
  make_context(k, NULL, first);
  for (int i = 0; i <= KILN_SESSIONS_REMEMBERED / (SLOW * SLOW); i++)
    make_context(k, NULL, context);
  kiln_status status = kiln_session_close(k, session_of(first), &error);
  ck_assert_int_eq(status, SLOW > 1 ? KILN_GONE : KILN_NOT_FOUND);
}
END_TEST

/* ---- nothing is left --------------------------------------------------------------------------
 */

/* Two zygotes and two idle workers, and `user` sessions. */
static bool is_calm(void *user) {
  child all[16];
  size_t count = list_children(all, 16), expected = 4 + *(size_t *)user;
  for (size_t i = 0; i < count && i < 16; i++) {
    if (all[i].state == 'Z') return false;
  }
  return count == expected;
}

static void open_and_close(unsigned count) {
  for (unsigned i = 0; i < count; i++) {
    char one[KILN_OBJECT_ID_MAX];
    make_context(k, NULL, one);
    assert_runs(k, one, "1", "1");
    ck_assert_int_eq(kiln_session_close(k, session_of(one), NULL), KILN_OK);
  }
}

START_TEST(a_hundred_sessions_leave_nothing) {
  size_t sessions = 1;
  wait_until(is_calm, &sessions);
  open_and_close(100); /* meanwhile the spare zygote has introduced itself */
  wait_until(is_calm, &sessions);
  unsigned before = count_descriptors();
  open_and_close(100);
  wait_until(is_calm, &sessions);
  /* A worker that is just being forked has one more or less. */
  ck_assert_uint_lt(count_descriptors(), before + 10);
  ck_assert_uint_eq(get_stats(k).sessions_open, 1);
  assert_runs(k, context, "1", "1");
}
END_TEST

START_TEST(closing_the_kiln_ends_all) {
  reply one, two;
  child all[1];
  submit_compute(context, 30000, &one);
  submit_compute(context, 30000, &two);
  kiln_close(k, 0);
  command_wait(&one);
  command_wait(&two);
  ck_assert_int_eq(one.status, KILN_ECLOSING);
  ck_assert_int_eq(two.status, KILN_ECLOSING);
  ck_assert_uint_eq(list_children(all, 1), 0);
  ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1); /* nor any other */
  reply_release(&one);
  reply_release(&two);
  open_with(0, 0, 2);
}
END_TEST

START_TEST(closing_the_kiln_drains) {
  reply one;
  submit_compute(context, 300, &one);
  kiln_close(k, 20000);
  command_wait(&one);
  assert_good(&one);
  reply_release(&one);
  open_with(0, 0, 2);
}
END_TEST

/* Whether the process has gone, or waits for whoever adopted it. */
static bool is_dead(void *user) {
  char path[64], state = 'Z';
  (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)*(pid_t *)user);
  FILE *file = fopen(path, "re");
  if (file == NULL) return true;
  if (fscanf(file, "%*d (%*[^)]) %c", &state) != 1) state = 'Z';
  (void)fclose(file);
  return state == 'Z';
}

START_TEST(sessions_die_with_their_kiln) {
  int ends[2];
  pid_t worker = 0;
  ck_assert_int_eq(pipe(ends), 0);
  pid_t parent = fork();
  if (parent == 0) {
    open_with(0, 0, 2);
    make_context(k, NULL, context);
    worker = worker_of(k, context);
    if (write(ends[1], &worker, sizeof(worker)) != sizeof(worker)) _exit(1);
    for (;;) pause();
  }
  ck_assert_int_eq(read(ends[0], &worker, sizeof(worker)), sizeof(worker));
  ck_assert(!is_dead(&worker));
  ck_assert_int_eq(kill(parent, SIGKILL), 0);
  ck_assert_int_eq(waitpid(parent, NULL, 0), parent);
  wait_until(is_dead, &worker);
  close(ends[0]);
  close(ends[1]);
}
END_TEST

START_TEST(sessions_survive_their_zygote) {
  child all[16];
  assert_runs(k, context, "var n = 5; n", "5");
  size_t sessions = 1;
  wait_until(is_calm, &sessions);
  size_t count = list_children(all, 16);
  for (size_t i = 0; i < count; i++) {
    if (all[i].nice == 0) ck_assert_int_eq(kill(all[i].pid, SIGKILL), 0);
  }
  assert_runs(k, context, "n", "5");
  make_context(k, NULL, context);
  assert_runs(k, context, "typeof n", "\"undefined\"");
}
END_TEST

/* ---- turns and order --------------------------------------------------------------------------
 */

START_TEST(sessions_do_not_wait_for_each_other) {
  char other[KILN_OBJECT_ID_MAX];
  reply slow;
  make_context(k, NULL, other);
  submit_compute(context, 20000, &slow);
  for (int i = 0; i < 20; i++) assert_runs(k, other, "1", "1");
  ck_assert_uint_eq(slow.count, 0);
  ck_assert_int_eq(kiln_session_close(k, session_of(context), NULL), KILN_OK);
  command_wait(&slow);
  reply_release(&slow);
}
END_TEST

START_TEST(commands_of_one_keep_their_order) {
  enum { COUNT = 200 };
  static reply all[COUNT];
  char source[64];
  assert_runs(k, context, "var log = []; 0", "0");
  for (int i = 0; i < COUNT; i++) {
    (void)snprintf(source, sizeof(source), "log.push(%d); log.length", i);
    submit_run(k, context, source, 0, &all[i]);
  }
  command_wait(&all[COUNT - 1]);
  for (int i = 0; i < COUNT; i++) {
    ck_assert_uint_eq(all[i].count, 1);
    assert_good(&all[i]);
    ck_assert_int_eq(strtol(all[i].result, NULL, 10), i + 1);
    reply_release(&all[i]);
  }
  assert_runs(k, context, "log.every((x, i) => x === i)", "true");
}
END_TEST

START_TEST(too_many_commands_wait) {
  static reply all[KILN_SESSION_QUEUE_MAX + 1];
  kiln_error error;
  submit_compute(context, 30000, &all[0]);
  for (int i = 1; i <= KILN_SESSION_QUEUE_MAX; i++) submit_run(k, context, "1", 0, &all[i]);
  kiln_command globals = {.op = KILN_CONTEXT_GLOBALS, .object = kiln_span_from(context)};
  ck_assert_int_eq(kiln_session_submit(k, &globals, NULL, NULL, &error), KILN_EBUSY);
  ck_assert_msg(strstr(error.message, "limit 256") != NULL, "%s", error.message);
  ck_assert_int_eq(kiln_session_close(k, session_of(context), NULL), KILN_OK);
  for (int i = 0; i <= KILN_SESSION_QUEUE_MAX; i++) {
    command_wait(&all[i]);
    assert_gone(&all[i], "closed");
    reply_release(&all[i]);
  }
  ck_assert_uint_eq(get_stats(k).jobs_queued, 0);
  ck_assert_uint_eq(get_stats(k).jobs_running, 0);
}
END_TEST

START_TEST(a_busy_session_starves_nobody) {
  enum { COUNT = 100 };
  static reply all[COUNT];
  answer job;
  kiln_close(k, 5000);
  open_with(0, 0, 1);
  make_context(k, NULL, context);
  for (int i = 0; i < COUNT; i++) submit_compute(context, 20, &all[i]);
  kiln_request run = {.op = KILN_RUN, .source = bytes_from("1 + 1")};
  ask(k, &run, &job);
  ck_assert_str_eq(job.result_json, "2");
  ck_assert_uint_eq(all[COUNT - 1].count, 0); /* it did not wait for them all */
  for (int i = 0; i < COUNT; i++) {
    command_wait(&all[i]);
    assert_good(&all[i]);
    reply_release(&all[i]);
  }
  answer_release(&job);
  kiln_bytes_unref(run.source);
}
END_TEST

/* ---- engines that misbehave -------------------------------------------------------------------
 */

static const struct {
  const char *behaviour;
  bool garbage;
} fakes[] = {{"noise", true},      {"empty", false},   {"closes", false},
             {"no-json", true},    {"not-utf8", true}, {"exits", false},
             {"wrong-type", true}, {"too-much", true}, {"unsealed", true}};

START_TEST(a_session_that_talks_nonsense_is_gone) {
  char folder[TEMPORARY_PATH], path[TEMPORARY_PATH + 64];
  reply one;
  kiln_close(k, 5000);
  make_folder(folder);
  (void)snprintf(path, sizeof(path), "%s/%s", folder, fakes[_i].behaviour);
  ck_assert_int_eq(symlink(KILN_FAKE_ENGINE_PATH, path), 0);
  kiln_options options = session_options(/* store= */ NULL);
  options.engine_path = path;
  options.result_max_bytes = 1 << 20;
  k = open_kiln(&options);
  kiln_command create = {.op = KILN_CONTEXT_CREATE};
  command_do(k, &create, &one);
  assert_gone(&one, "crashed");
  reply_release(&one);
  kiln_stats stats = get_stats(k);
  ck_assert_uint_eq(stats.protocol_errors, fakes[_i].garbage ? 1 : 0);
  ck_assert_uint_eq(stats.sessions_ended_crashed, 1);
  ck_assert_uint_eq(stats.sessions_open, 0);
  remove_folder(folder);
}
END_TEST

int main(void) {
  Suite *suite = suite_create("session_end");
  TCase *tcase = tcase_create("ends");
  tcase_set_timeout(tcase, 120);
  tcase_add_checked_fixture(tcase, setup, teardown);
  tcase_add_test(tcase, a_time_limit_ends_the_command_alone);
  tcase_add_test(tcase, what_v8_cannot_terminate_ends_the_session);
  tcase_add_test(tcase, who_gets_no_processor_has_time_to_end_the_command);
  tcase_add_test(tcase, who_gets_no_processor_has_two_seconds);
  tcase_add_test(tcase, who_has_the_processor_is_ended_soon);
  tcase_add_loop_test(tcase, a_memory_bomb_ends_the_session, 0,
                      (int)(sizeof(bombs) / sizeof(bombs[0])));
  tcase_add_test(tcase, too_many_buffers_are_an_exception);
  tcase_add_test(tcase, a_killed_process_is_gone);
  tcase_add_test(tcase, a_source_that_crashes_sessions_is_refused);
  tcase_add_test(tcase, an_idle_process_that_dies_is_gone_too);
  tcase_add_test(tcase, closing_answers_what_runs);
  tcase_add_test(tcase, idle_sessions_end);
  tcase_add_test(tcase, the_longest_idle_is_evicted);
  tcase_add_test(tcase, only_so_many_ends_are_remembered);
  tcase_add_test(tcase, a_hundred_sessions_leave_nothing);
  tcase_add_test(tcase, closing_the_kiln_ends_all);
  tcase_add_test(tcase, closing_the_kiln_drains);
  tcase_add_test(tcase, sessions_die_with_their_kiln);
  tcase_add_test(tcase, sessions_survive_their_zygote);
  tcase_add_test(tcase, sessions_do_not_wait_for_each_other);
  tcase_add_test(tcase, commands_of_one_keep_their_order);
  tcase_add_test(tcase, too_many_commands_wait);
  tcase_add_test(tcase, a_busy_session_starves_nobody);
  tcase_add_loop_test(tcase, a_session_that_talks_nonsense_is_gone, 0,
                      (int)(sizeof(fakes) / sizeof(fakes[0])));
  suite_add_tcase(suite, tcase);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_ENV);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
