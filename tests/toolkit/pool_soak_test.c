/* SPDX-License-Identifier: MIT
 *
 * pool_soak_test.c: ten thousand jobs, good and bad, while workers and zygotes are killed: every
 * one is answered, the honest ones rightly, and nothing stays.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/toolkit/pool_support.h"

#ifdef KILN_ADDRESS_SANITIZER
#define JOBS 2000 /* of the same code; a fork takes ten times as long */
#else
#define JOBS 10000
#endif
#define AT_ONCE 64

static const struct {
  const char *source;
  kiln_outcome outcome;
} kinds[] = {
    {"1 + 1", KILN_OUTCOME_OK},
    {"({a: [1, 2, 3].map(x => x * 2)})", KILN_OUTCOME_OK},
    {"'x'.repeat(100000)", KILN_OUTCOME_OK},
    {"throw new Error('e')", KILN_OUTCOME_EXCEPTION},
    {"console.log('c'.repeat(70000))", KILN_OUTCOME_OK},
    {"var 5", KILN_OUTCOME_EXCEPTION},
};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

START_TEST(ten_thousand_jobs_leave_nothing) {
  static answer answers[AT_ONCE];
  size_t before = count_descriptors();
  kiln_pool_options options = default_options();
  options.forks_per_zygote = 700;
  kiln_pool *pool = new_pool(&options);
  kiln_job jobs[KINDS];
  for (size_t i = 0; i < KINDS; i++) jobs[i] = script_job(kinds[i].source);
  for (size_t done = 0; done < JOBS; done += AT_ONCE) {
    for (size_t i = 0; i < AT_ONCE; i++) {
      kiln_error err;
      answer_init(&answers[i]);
      ck_assert_int_eq(
          kiln_pool_submit(pool, &jobs[(done + i) % KINDS], answer_done, &answers[i], &err),
          KILN_OK);
    }
    if (done / AT_ONCE % 20 == 7) kill_zygotes(); /* now and then, all at once */
    for (size_t i = 0; i < AT_ONCE; i++) {
      answer_wait(&answers[i]);
      ck_assert_msg(answers[i].status == KILN_OK, "%s", answers[i].message_of_ours);
      ck_assert_msg(answers[i].outcome == kinds[(done + i) % KINDS].outcome, "%s %s",
                    answers[i].code, answers[i].message);
      answer_release(&answers[i]);
    }
    child children[64];
    ck_assert_uint_le(list_children(children, 64), 40); /* dying ones included */
  }
  kiln_stats stats = stats_of(pool);
  ck_assert_uint_ge(stats.jobs, JOBS);
  ck_assert_uint_eq(stats.jobs_crashed + stats.jobs_time_limit + stats.jobs_memory_limit, 0);
  ck_assert_uint_eq(stats.protocol_errors, 0);
  ck_assert_uint_gt(stats.zygotes_lost, 0);
  ck_assert_uint_gt(stats.zygotes_started, JOBS / 700);
  kiln_pool_free(pool, 1000);
  for (size_t i = 0; i < KINDS; i++) kiln_bytes_unref(jobs[i].source);
  child children[64];
  ck_assert_uint_eq(list_children(children, 64), 0);
  ck_assert_uint_eq(count_descriptors(), before);
}
END_TEST

int main(void) {
  Suite *suite = suite_create("pool, soak");
  TCase *all = tcase_create("soak");
  tcase_set_timeout(all, 380);
  tcase_add_test(all, ten_thousand_jobs_leave_nothing);
  suite_add_tcase(suite, all);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
