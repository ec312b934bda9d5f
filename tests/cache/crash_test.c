/* SPDX-License-Identifier: MIT
 *
 * crash_test.c: writers that are killed with SIGKILL at random moments. Each tells through a pipe
 * what was acknowledged to it; all of that must be there afterwards, and nothing be damaged.
 */
#include <check.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/cache/support.h"

#define KILLS 50
#define WRITERS 2     /* at once */
#define NUMBERS 10000 /* of each writer, at most */

static char *directory;
static uint64_t random_state = 4711;

static uint64_t next_random(uint64_t below) {
  random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
  return (random_state >> 33) % below;
}

static uint64_t number_of(unsigned writer, uint64_t i) {
  return (uint64_t)(writer + 1) * 1000000 + i;
}

/* Puts until it is killed. Some are replaced at once, which is acknowledged anew. */
static void write_for_ever(unsigned writer, int acknowledge) {
  kcc_store *store;
  must(kcc_store_open(directory, NULL, &store, NULL));
  for (uint64_t i = 0; i < NUMBERS; i++) {
    put_numbered(store, number_of(writer, i), 1);
    if (write(acknowledge, &i, sizeof(i)) != (ssize_t)sizeof(i)) _exit(1);
    if (i % 5 == 0) put_numbered(store, number_of(writer, i), 2);
    if (i % 50 == 49) {
      kcc_store_close(store); /* the last one to close takes up the log: be killed there too */
      must(kcc_store_open(directory, NULL, &store, NULL));
    }
  }
  _exit(0);
}

typedef struct victim {
  pid_t pid;
  int acknowledged;
} victim;

static victim start_writer(unsigned writer) {
  int ends[2];
  ck_assert_int_eq(pipe(ends), 0);
  victim v = {fork(), ends[0]};
  ck_assert_int_ge(v.pid, 0);
  if (v.pid == 0) {
    close(ends[0]);
    write_for_ever(writer, ends[1]);
  }
  close(ends[1]);
  return v;
}

/* Kills after a random number of acknowledgements and a random bit of time. Returns how many
 * entries were acknowledged in all. */
static uint64_t kill_writer(const victim *v) {
  uint64_t wait_for = 1 + next_random(40);
  uint64_t count = 0;
  uint64_t number;
  struct timespec bit = {0, (long)next_random(3000000)};
  while (count < wait_for && read(v->acknowledged, &number, sizeof(number)) == 8) count++;
  nanosleep(&bit, NULL);
  ck_assert_int_eq(kill(v->pid, SIGKILL), 0);
  while (read(v->acknowledged, &number, sizeof(number)) == (ssize_t)sizeof(number)) count++;
  close(v->acknowledged);
  int status;
  ck_assert_int_eq(waitpid(v->pid, &status, 0), v->pid);
  ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
  return count;
}

static void expect_entries(kcc_store *store, unsigned writer, uint64_t count) {
  for (uint64_t i = 0; i < count; i++) {
    kcc_digest key = key_of_number(number_of(writer, i));
    kcc_entry entry;
    kcc_error err;
    kcc_status status = kcc_store_get(store, &key, &test_engine, &entry, &err);
    ck_assert_msg(status == KCC_OK, "writer %u: entry %llu of %llu is not there", writer,
                  (unsigned long long)i, (unsigned long long)count);
    ck_assert(is_numbered(&entry, number_of(writer, i)));
    kcc_entry_free(&entry);
  }
}

START_TEST(every_acknowledged_entry_survives_sigkill) {
  uint64_t counts[KILLS];
  kcc_verify_result result;
  kcc_store *store;
  directory = make_directory();
  for (unsigned kills = 0; kills < KILLS; kills += WRITERS) {
    victim victims[WRITERS];
    for (unsigned i = 0; i < WRITERS; i++) victims[i] = start_writer(kills + i);
    for (unsigned i = 0; i < WRITERS; i++) counts[kills + i] = kill_writer(&victims[i]);
    must(kcc_store_open(directory, NULL, &store, NULL));
    for (unsigned i = 0; i < WRITERS; i++) expect_entries(store, kills + i, counts[kills + i]);
    kcc_store_close(store);
  }
  must(kcc_store_open(directory, NULL, &store, NULL));
  for (unsigned i = 0; i < KILLS; i++) expect_entries(store, i, counts[i]);
  must(kcc_store_verify(store, NULL, NULL, &result, NULL));
  ck_assert_uint_eq(result.damaged, 0);
  ck_assert(result.database_ok);
  uint64_t acknowledged = 0;
  for (unsigned i = 0; i < KILLS; i++) acknowledged += counts[i];
  printf("%d kills, %llu acknowledged entries, all there\n", KILLS,
         (unsigned long long)acknowledged);
  ck_assert_uint_ge(result.checked, acknowledged);
  kcc_store_close(store);
  remove_directory(directory);
}
END_TEST

int main(void) {
  Suite *suite = suite_create("cache crash");
  TCase *all = tcase_create("crash");
  tcase_set_timeout(all, 280);
  tcase_add_test(all, every_acknowledged_entry_survives_sigkill);
  suite_add_tcase(suite, all);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
