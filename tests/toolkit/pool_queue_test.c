/* SPDX-License-Identifier: MIT
 *
 * pool_queue_test.c: clients take turns, and who has the most loses first.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "toolkit/pool_private.h"

static kiln_queue queue;
static kiln_task tasks[4096];
static size_t used;

static void reset(void) {
  memset(&queue, 0, sizeof(queue));
  memset(tasks, 0, sizeof(tasks));
  used = 0;
}

static kiln_task *put(uint64_t client) {
  kiln_task *task = &tasks[used++];
  ck_assert(kiln__queue_put(&queue, task, client));
  task->submitted_ns = client;
  return task;
}

/* Takes all; whose turn it was, as letters. */
static char *take_all(void) {
  static char order[sizeof(tasks) / sizeof(tasks[0]) + 1];
  size_t length = 0;
  kiln_task *task;
  while ((task = kiln__queue_take(&queue)) != NULL) {
    order[length++] = (char)('a' + task->submitted_ns);
    kiln__queue_ended(&queue, task);
  }
  order[length] = '\0';
  return order;
}

static void expect_empty(void) {
  ck_assert_ptr_null(kiln__queue_take(&queue));
  ck_assert_ptr_null(queue.turn);
  for (size_t i = 0; i < KILN_LANE_BUCKETS; i++) ck_assert_ptr_null(queue.buckets[i]);
}

START_TEST(turns) {
  reset();
  for (int i = 0; i < 5; i++) put(0);
  put(1);
  put(2);
  put(1);
  ck_assert_str_eq(take_all(), "abcabaaa");
  expect_empty();
}
END_TEST

START_TEST(one_client_in_order) {
  reset();
  kiln_task *all[10];
  for (int i = 0; i < 10; i++) all[i] = put(7);
  ck_assert_uint_eq(kiln__queue_count(&queue, 7), 10);
  for (int i = 0; i < 10; i++) {
    ck_assert_ptr_eq(kiln__queue_take(&queue), all[i]);
    ck_assert_uint_eq(kiln__queue_count(&queue, 7), 10); /* it runs */
  }
  for (int i = 0; i < 10; i++) kiln__queue_ended(&queue, all[i]);
  ck_assert_uint_eq(kiln__queue_count(&queue, 7), 0);
  expect_empty();
}
END_TEST

START_TEST(urgent_first) {
  reset();
  kiln_task follows = {.submitted_ns = 4};
  put(0);
  kiln_task *back = put(1);
  ck_assert_ptr_nonnull(kiln__queue_take(&queue));
  ck_assert_ptr_eq(kiln__queue_take(&queue), back);
  put(2);
  kiln__queue_put_first(&queue, &follows);
  kiln__queue_put_first(&queue, back); /* could not be given to a worker */
  ck_assert_ptr_eq(kiln__queue_take(&queue), back);
  ck_assert_ptr_eq(kiln__queue_take(&queue), &follows);
  kiln__queue_ended(&queue, back);
  kiln__queue_ended(&queue, &follows);
  kiln__queue_ended(&queue, &tasks[0]);
  ck_assert_str_eq(take_all(), "c");
  expect_empty();
}
END_TEST

START_TEST(evicted) {
  reset();
  ck_assert_ptr_null(kiln__queue_evict(&queue, 0));
  for (int i = 0; i < 4; i++) put(0);
  put(1);
  ck_assert_ptr_null(kiln__queue_evict(&queue, 0)); /* not for itself */
  ck_assert_ptr_eq(kiln__queue_evict(&queue, 2), &tasks[3]);
  put(2);
  ck_assert_ptr_eq(kiln__queue_evict(&queue, 2), &tasks[2]);
  put(2);
  ck_assert_ptr_null(kiln__queue_evict(&queue, 2)); /* all have two now, but for b */
  ck_assert_ptr_null(kiln__queue_evict(&queue, 1)); /* two and one: nothing would be fairer */
  ck_assert_str_eq(take_all(), "abcac");
  expect_empty();
}
END_TEST

/* What runs counts, but cannot be taken back. */
START_TEST(running_counts) {
  reset();
  for (int i = 0; i < 3; i++) put(0);
  kiln_task *running[2] = {kiln__queue_take(&queue), kiln__queue_take(&queue)};
  ck_assert_ptr_eq(kiln__queue_evict(&queue, 1), &tasks[2]);
  ck_assert_ptr_null(kiln__queue_evict(&queue, 1));
  ck_assert_uint_eq(kiln__queue_count(&queue, 0), 2);
  kiln__queue_ended(&queue, running[0]);
  kiln__queue_ended(&queue, running[1]);
  expect_empty();
}
END_TEST

/* Against a model: whatever happens, nothing is lost and counts are right. */
START_TEST(random_walk) {
  unsigned seed = 5;
  reset();
  unsigned waiting[300] = {0};
  unsigned total = 0;
  kiln_task *running[64];
  unsigned runs = 0;
  kiln_task *spare = NULL;
  for (int step = 0; step < 200000; step++) {
    unsigned what = (unsigned)rand_r(&seed) % 8;
    uint64_t client = (uint64_t)rand_r(&seed) % (what == 7 ? 300 : 5);
    if (what < 3 && (spare != NULL || used < 4096)) {
      kiln_task *task = spare != NULL ? spare : &tasks[used++];
      if (spare != NULL) spare = spare->next;
      ck_assert(kiln__queue_put(&queue, task, client));
      task->submitted_ns = client;
      waiting[client]++;
      total++;
    } else if (what < 6) {
      kiln_task *task = kiln__queue_take(&queue);
      ck_assert((task != NULL) == (total > 0));
      if (task == NULL) continue;
      waiting[task->submitted_ns]--;
      total--;
      if (runs == 64) {
        kiln__queue_ended(&queue, running[--runs]);
        running[runs]->next = spare;
        spare = running[runs];
      }
      running[runs++] = task;
    } else if (runs > 0) {
      kiln_task *task = kiln__queue_evict(&queue, client);
      if (task != NULL) {
        waiting[task->submitted_ns]--;
        total--;
        task->next = spare;
        spare = task;
      }
    }
    unsigned runs_of_client = 0;
    for (unsigned i = 0; i < runs; i++) runs_of_client += running[i]->submitted_ns == client;
    ck_assert_uint_eq(kiln__queue_count(&queue, client), waiting[client] + runs_of_client);
  }
  while (runs > 0) kiln__queue_ended(&queue, running[--runs]);
  ck_assert_uint_eq(strlen(take_all()), total);
  expect_empty();
}
END_TEST

/* What has no idle worker to go to: only sessions that have their own. */
START_TEST(sessions_with_workers) {
  reset();
  static kiln_worker worker;
  kiln_pool_session with = {.worker = &worker}, without = {.worker = NULL};
  put(0);
  kiln_task *first = put(0), *second = put(1), *other = put(1);
  put(2);
  first->session = second->session = &with;
  other->session = &without;
  ck_assert_ptr_eq(kiln__queue_take_of_session(&queue), first);
  ck_assert_ptr_eq(kiln__queue_take_of_session(&queue), second);
  ck_assert_ptr_null(kiln__queue_take_of_session(&queue));
  ck_assert_ptr_null(kiln__queue_take_session(&queue, &with));
  kiln__queue_put_first(&queue, first);
  ck_assert_ptr_eq(kiln__queue_take_of_session(&queue), first);
  ck_assert_uint_eq(kiln__queue_count(&queue, 0), 2);
  ck_assert_uint_eq(kiln__queue_count(&queue, 1), 2);
  ck_assert_ptr_eq(kiln__queue_take_session(&queue, &without), other);
  kiln__queue_ended(&queue, first);
  kiln__queue_ended(&queue, second);
  kiln__queue_ended(&queue, other);
  ck_assert_str_eq(take_all(), "ca"); /* client 0 has just had a turn */
  expect_empty();
}
END_TEST

START_TEST(what_waits_elsewhere_counts) {
  reset();
  kiln_task *held = &tasks[used++], *dropped = &tasks[used++];
  held->submitted_ns = dropped->submitted_ns = 3;
  ck_assert(kiln__queue_hold(&queue, held, 3) && kiln__queue_hold(&queue, dropped, 3));
  ck_assert_uint_eq(kiln__queue_count(&queue, 3), 2);
  ck_assert_ptr_null(kiln__queue_take(&queue));
  put(1);
  kiln__queue_put_held(&queue, held);
  kiln__queue_ended(&queue, dropped);
  ck_assert_uint_eq(kiln__queue_count(&queue, 3), 1);
  ck_assert_str_eq(take_all(), "bd");
  expect_empty();
}
END_TEST

int main(void) {
  Suite *suite = suite_create("pool_queue");
  TCase *all = tcase_create("queue");
  tcase_add_test(all, turns);
  tcase_add_test(all, one_client_in_order);
  tcase_add_test(all, urgent_first);
  tcase_add_test(all, evicted);
  tcase_add_test(all, running_counts);
  tcase_add_test(all, sessions_with_workers);
  tcase_add_test(all, what_waits_elsewhere_counts);
  tcase_add_test(all, random_walk);
  suite_add_tcase(suite, all);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? 0 : 1;
}
