/* SPDX-License-Identifier: MIT
 *
 * pool_fork_test.c: calls that a fork needs fail, and nothing else happens that would make the pool
 * look again: the jobs that wait get their worker all the same.
 */
#include <check.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/toolkit/pool_support.h"

#define WORKERS 8 /* as many forks may fail before the pool waits a while */

static struct {
  pthread_mutex_t lock;
  pthread_cond_t changed;
  unsigned spared;   /* calls that succeed before */
  unsigned failures; /* that are still to come */
  bool holds;        /* they do not return before they are told to */
  bool held;         /* one does not */
} fault = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static bool strikes(void) {
  pthread_mutex_lock(&fault.lock);
  bool strikes = fault.failures > 0 && fault.spared == 0;
  if (strikes) fault.failures--;
  if (fault.spared > 0) fault.spared--;
  if (strikes && fault.holds) {
    fault.held = true;
    pthread_cond_broadcast(&fault.changed);
    while (fault.held) pthread_cond_wait(&fault.changed, &fault.lock);
  }
  pthread_mutex_unlock(&fault.lock);
  return strikes;
}

/* In libc's place for libkiln, which is linked into this program. */
int socketpair(int domain, int type, int protocol, int fds[2]) {
  if (strikes()) {
    errno = EMFILE;
    return -1;
  }
  return (int)syscall(SYS_socketpair, domain, type, protocol, fds);
}

static size_t list_workers(child *workers, size_t max) {
  child children[64];
  size_t found = list_children(children, 64), count = 0;
  for (size_t i = 0; i < found; i++)
    if (children[i].nice == 10 && children[i].state != 'Z' && count < max)
      workers[count++] = children[i];
  return count;
}

/* The pool's thread stands still where it asks for a fork. */
static void wait_for_hold(void) {
  pthread_mutex_lock(&fault.lock);
  while (!fault.held) pthread_cond_wait(&fault.changed, &fault.lock);
  pthread_mutex_unlock(&fault.lock);
}

/* It goes on, to the next hold after `spared` calls, or without one. */
static void release_hold(bool holds, unsigned spared) {
  pthread_mutex_lock(&fault.lock);
  fault.spared = spared;
  fault.holds = holds;
  fault.held = false;
  pthread_cond_broadcast(&fault.changed);
  pthread_mutex_unlock(&fault.lock);
}

static void kill_workers(void) {
  child workers[64];
  size_t count;
  while ((count = list_workers(workers, 64)) > 0) { /* one may just have been being forked */
    for (size_t i = 0; i < count; i++) kill(workers[i].pid, SIGKILL);
    sched_yield();
  }
}

/* All is at hand, so that nothing more happens by itself. */
static kiln_pool *new_pool_at_rest(void) {
  child workers[64];
  kiln_pool_options options = default_options();
  options.workers_max = WORKERS;
  kiln_pool *pool = new_pool(&options);
  do assert_result(pool, "1", "1");
  while (list_workers(workers, 64) < WORKERS || stats_of(pool).zygotes_started < 2);
  return pool;
}

static void assert_42(answer *a) {
  answer_wait(a);
  ck_assert_msg(a->status == KILN_OK, "%s", a->message_of_ours);
  ck_assert_int_eq(a->outcome, KILN_OUTCOME_OK);
  assert_json(a->result_json, "42");
  answer_release(a);
}

START_TEST(forks_that_fail_are_asked_for_again) {
  child workers[64];
  kiln_pool *pool = new_pool_at_rest();
  kiln_stats before = stats_of(pool);

  /* A job takes a worker, another is to be forked for it: now the pool's thread stands still. */
  kiln_job job = script_job("6 * 7");
  kiln_error err;
  answer answers[2];
  fault.failures = WORKERS;
  fault.holds = true;
  for (int i = 0; i < 2; i++) answer_init(&answers[i]);
  ck_assert_int_eq(kiln_pool_submit(pool, &job, answer_done, &answers[0], &err), KILN_OK);
  wait_for_hold();

  /* Meanwhile all workers end, and somebody else wants one. */
  kill_workers();
  ck_assert_int_eq(kiln_pool_submit(pool, &job, answer_done, &answers[1], &err), KILN_OK);
  release_hold(/* holds= */ false, 0);

  answer_wait(&answers[0]); /* whose worker may have been killed in the middle */
  answer_release(&answers[0]);
  assert_42(&answers[1]);
  ck_assert_uint_eq(fault.failures, 0);
  ck_assert_uint_eq(stats_of(pool).zygotes_lost, before.zygotes_lost);
  kiln_bytes_unref(job.source);
  kiln_pool_free(pool, 1000);
  ck_assert_uint_eq(list_children(workers, 64), 0);
}
END_TEST

/* Their word that they are ready is heard after their death: each of them is given the job, in
 * vain. */
START_TEST(workers_that_die_ready_cost_no_job) {
  child workers[64];
  kiln_pool *pool = new_pool_at_rest();
  kiln_job job = script_job("6 * 7");
  kiln_error err;
  answer answers[2];
  for (int i = 0; i < 2; i++) answer_init(&answers[i]);
  fault.failures = 2;
  fault.holds = true;
  ck_assert_int_eq(kiln_pool_submit(pool, &job, answer_done, &answers[0], &err), KILN_OK);
  wait_for_hold();
  kill_workers();
  /* All but one of the next ones are forked. */
  release_hold(/* holds= */ true, WORKERS - 1);
  wait_for_hold();
  ck_assert_int_eq(kiln_pool_submit(pool, &job, answer_done, &answers[1], &err), KILN_OK);
  size_t ready; /* those that sleep have said so */
  do {
    sched_yield();
    ready = 0;
    for (size_t i = list_workers(workers, 64); i-- > 0;) ready += workers[i].state == 'S';
  } while (ready < WORKERS - 1);
  kill_workers();
  release_hold(/* holds= */ false, 0);
  answer_wait(&answers[0]);
  answer_release(&answers[0]);
  assert_42(&answers[1]);
  kiln_bytes_unref(job.source);
  kiln_pool_free(pool, 1000);
  ck_assert_uint_eq(list_children(workers, 64), 0);
}
END_TEST

int main(void) {
  Suite *suite = suite_create("pool, forks");
  TCase *forks = tcase_create("forks");
  tcase_set_timeout(forks, 60);
  tcase_add_test(forks, forks_that_fail_are_asked_for_again);
  tcase_add_test(forks, workers_that_die_ready_cost_no_job);
  suite_add_tcase(suite, forks);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
