/* SPDX-License-Identifier: MIT
 *
 * writer_test.c: the thread that writes to the store: all work is done, in its order, and after it
 * there is one rest.
 */
#include <check.h>
#include <semaphore.h>
#include <stdlib.h>

#include "toolkit/service.h"

typedef struct piece {
  kiln__work work; /* first: a work is its piece */
  unsigned number;
} piece;

static kiln__writer writer;
static unsigned done[8], done_count, rests;
static sem_t rested;

static void perform(kiln__work *work) {
  done[done_count++] = ((piece *)(void *)work)->number;
}

static void rest(void *user) {
  ck_assert_ptr_eq(user, &writer);
  rests++;
  sem_post(&rested);
}

static piece late = {.work = {.perform = perform}, .number = 7};

static void rest_and_find_work(void *user) {
  rest(user);
  if (rests == 1) ck_assert(kiln__writer_add(&writer, &late.work));
}

static void start(void (*resting)(void *user)) {
  writer = (kiln__writer){0};
  done_count = rests = 0;
  ck_assert_int_eq(sem_init(&rested, 0, 0), 0);
  ck_assert_int_eq(kiln__writer_start(&writer, resting, &writer, /* err= */ NULL), KILN_OK);
}

START_TEST(work_is_done_in_order_then_there_is_one_rest) {
  piece pieces[3];
  start(rest);
  for (unsigned i = 0; i < 3; i++) {
    pieces[i] = (piece){.work = {.perform = perform, .bytes = 10}, .number = i};
    ck_assert(kiln__writer_add(&writer, &pieces[i].work));
  }
  while (sem_wait(&rested) != 0) continue;
  ck_assert_uint_eq(done_count, 3);
  for (unsigned i = 0; i < 3; i++) ck_assert_uint_eq(done[i], i);
  kiln__writer_stop(&writer);
  ck_assert_uint_eq(rests, 1);
  ck_assert(!kiln__writer_add(&writer, &pieces[0].work)); /* it has stopped */
}
END_TEST

START_TEST(without_work_there_is_no_rest) {
  start(rest);
  kiln__writer_stop(&writer);
  ck_assert_uint_eq(rests, 0);
}
END_TEST

START_TEST(work_that_comes_during_a_rest_is_done) {
  piece one = {.work = {.perform = perform}, .number = 1};
  start(rest_and_find_work);
  ck_assert(kiln__writer_add(&writer, &one.work));
  while (sem_wait(&rested) != 0) continue;
  while (sem_wait(&rested) != 0) continue;
  kiln__writer_stop(&writer);
  ck_assert_uint_eq(done_count, 2);
  ck_assert_uint_eq(done[1], 7);
  ck_assert_uint_eq(rests, 2);
}
END_TEST

START_TEST(stopping_does_what_waits) {
  piece pieces[8];
  start(rest);
  for (unsigned i = 0; i < 8; i++) {
    pieces[i] = (piece){.work = {.perform = perform}, .number = i};
    ck_assert(kiln__writer_add(&writer, &pieces[i].work));
  }
  kiln__writer_stop(&writer);
  ck_assert_uint_eq(done_count, 8);
}
END_TEST

int main(void) {
  Suite *suite = suite_create("writer");
  TCase *all = tcase_create("writer");
  tcase_set_timeout(all, 60);
  tcase_add_test(all, work_is_done_in_order_then_there_is_one_rest);
  tcase_add_test(all, without_work_there_is_no_rest);
  tcase_add_test(all, work_that_comes_during_a_rest_is_done);
  tcase_add_test(all, stopping_does_what_waits);
  suite_add_tcase(suite, all);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
