/* SPDX-License-Identifier: MIT
 *
 * threads_test.c: many threads on one store, threads that outlive stores and stores that outlive
 * threads, and forks. Run it under the thread sanitizer too.
 */
#include <check.h>
#include <dirent.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/cache/support.h"

#define THREADS 8
#define NUMBERS 40

static char *directory;
static kcc_store *store;

static void open_store(void) {
  directory = make_directory();
  must(kcc_store_open(directory, NULL, &store, NULL));
}

static void close_store(void) {
  kcc_store_close(store);
  remove_directory(directory);
}

/* How many descriptors this process has open. */
static size_t count_descriptors(void) {
  size_t count = 0;
  DIR *entries = opendir("/proc/self/fd");
  ck_assert_ptr_nonnull(entries);
  while (readdir(entries)) count++;
  closedir(entries);
  return count;
}

static void get_and_check(kcc_store *from, uint64_t number, bool must_exist) {
  kcc_digest key = key_of_number(number);
  kcc_entry entry;
  kcc_status status = kcc_store_get(from, &key, &test_engine, &entry, NULL);
  if (status == KCC_MISS && !must_exist) return;
  must(status);
  if (!is_numbered(&entry, number)) abort();
  kcc_entry_free(&entry);
}

static void run_threads(void *(*body)(void *), void *user, size_t count) {
  pthread_t threads[THREADS];
  for (size_t i = 0; i < count; i++)
    ck_assert_int_eq(pthread_create(&threads[i], NULL, body, user), 0);
  for (size_t i = 0; i < count; i++) ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
}

static bool look_at(void *user, const kcc_entry_info *info) {
  (void)user;
  if (strcmp(info->engine, test_engine.engine) != 0) abort();
  return true;
}

static _Atomic uint64_t seeds;

static void *do_everything(void *unused) {
  (void)unused;
  uint64_t state = atomic_fetch_add(&seeds, 1) * 977 + 1;
  for (uint32_t i = 0; i < 150; i++) {
    state = state * UINT64_C(6364136223846793005) + 1442695040888963407u;
    uint64_t number = (state >> 40) % NUMBERS;
    kcc_digest key = key_of_number(number);
    kcc_status status = KCC_OK;
    kcc_stats s;
    kcc_verify_result result;
    switch ((state >> 33) % 16) {
      case 0:
      case 1:
      case 2:
        put_numbered(store, number, i);
        break;
      case 3:
        status = kcc_store_remove(store, &key, NULL);
        break;
      case 4:
        status = kcc_store_list(store, look_at, NULL, NULL);
        break;
      case 5:
        status = kcc_store_stats(store, &s, NULL);
        break;
      case 6:
        status = kcc_store_flush(store, NULL);
        break;
      case 7:
        if (i % 10) break;
        status = kcc_store_verify(store, NULL, NULL, &result, NULL);
        if (status == KCC_OK && (result.damaged || !result.database_ok)) abort();
        break;
      default:
        get_and_check(store, number, /* must_exist= */ false);
    }
    if (status != KCC_MISS) must(status);
  }
  return NULL;
}

START_TEST(threads_do_everything_at_once) {
  kcc_store_close(store);
  kcc_store_options options = KCC_STORE_OPTIONS_INIT;
  options.touch_every_ms = 1;
  options.touch_max = 4;
  must(kcc_store_open(directory, &options, &store, NULL));
  run_threads(do_everything, NULL, THREADS);
  kcc_stats s;
  must(kcc_store_stats(store, &s, NULL));
  ck_assert_uint_eq(s.corrupt, 0);
  ck_assert_uint_eq(s.errors, 0);
  ck_assert_uint_gt(s.hits, 0);
}
END_TEST

static void *get_all(void *unused) {
  (void)unused;
  for (uint64_t i = 0; i < NUMBERS; i++) get_and_check(store, i, /* must_exist= */ true);
  return NULL;
}

START_TEST(ended_threads_leave_no_connection_behind) {
  for (uint64_t i = 0; i < NUMBERS; i++) put_numbered(store, i, 1);
  get_all(NULL);
  run_threads(get_all, NULL, 1);
  size_t before = count_descriptors();
  for (int i = 0; i < 30; i++) run_threads(get_all, NULL, THREADS);
  /* SQLite keeps a closed connection's descriptor, for the locks' sake, and hands it to the next.
   */
  ck_assert_uint_le(count_descriptors(), before + THREADS);
  must(kcc_store_flush(store, NULL));
  kcc_stats s;
  must(kcc_store_stats(store, &s, NULL));
  ck_assert_uint_eq(s.hits, NUMBERS * (2 + 30 * THREADS));
}
END_TEST

/* A thread's touches are not lost with the thread. */
START_TEST(touches_outlive_their_thread) {
  for (uint64_t i = 0; i < NUMBERS; i++) put_numbered(store, i, 1);
  sqlite3 *db = open_database(directory);
  run_sql(db, "UPDATE uses SET used=1");
  run_threads(get_all, NULL, 1);
  ck_assert_int_eq(sql_integer(db, "SELECT count(*) FROM uses WHERE used>1"), 0);
  must(kcc_store_flush(store, NULL));
  ck_assert_int_eq(sql_integer(db, "SELECT count(*) FROM uses WHERE used>1"), NUMBERS);
  sqlite3_close(db);
}
END_TEST

typedef struct relay {
  pthread_barrier_t barrier;
  char *directories[4];
  kcc_store *stores[4];
} relay;

/* Reads from four stores, waits until they are closed, and reads from new ones. */
static void *outlive(void *user) {
  relay *r = user;
  for (int round = 0; round < 3; round++) {
    pthread_barrier_wait(&r->barrier);
    for (size_t i = 0; i < 4; i++) get_and_check(r->stores[i], i, /* must_exist= */ true);
    pthread_barrier_wait(&r->barrier);
  }
  return NULL;
}

START_TEST(threads_outlive_stores) {
  relay r;
  pthread_t threads[THREADS];
  ck_assert_int_eq(pthread_barrier_init(&r.barrier, NULL, THREADS + 1), 0);
  for (size_t i = 0; i < 4; i++) r.directories[i] = make_directory();
  for (size_t i = 0; i < THREADS; i++)
    ck_assert_int_eq(pthread_create(&threads[i], NULL, outlive, &r), 0);
  size_t descriptors = count_descriptors();
  for (int round = 0; round < 3; round++) {
    for (size_t i = 0; i < 4; i++) {
      must(kcc_store_open(r.directories[i], NULL, &r.stores[i], NULL));
      put_numbered(r.stores[i], i, 1);
      get_and_check(r.stores[i], i, true);
    }
    pthread_barrier_wait(&r.barrier);
    pthread_barrier_wait(&r.barrier);
    for (size_t i = 0; i < 4; i++) kcc_store_close(r.stores[i]);
    ck_assert_uint_eq(count_descriptors(), descriptors);
  }
  for (size_t i = 0; i < THREADS; i++) ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
  for (size_t i = 0; i < 4; i++) remove_directory(r.directories[i]);
  pthread_barrier_destroy(&r.barrier);
}
END_TEST

static void *get_one_and_exit(void *user) {
  relay *r = user;
  get_and_check(r->stores[0], 0, /* must_exist= */ true);
  pthread_barrier_wait(&r->barrier); /* from here on: exits while the store is being closed */
  return NULL;
}

START_TEST(threads_exit_while_their_store_closes) {
  for (int round = 0; round < 60; round++) {
    relay r;
    pthread_t threads[THREADS];
    ck_assert_int_eq(pthread_barrier_init(&r.barrier, NULL, THREADS + 1), 0);
    must(kcc_store_open(directory, NULL, &r.stores[0], NULL));
    put_numbered(r.stores[0], 0, 1);
    for (size_t i = 0; i < THREADS; i++)
      ck_assert_int_eq(pthread_create(&threads[i], NULL, get_one_and_exit, &r), 0);
    pthread_barrier_wait(&r.barrier);
    kcc_store_close(r.stores[0]);
    for (size_t i = 0; i < THREADS; i++) ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    pthread_barrier_destroy(&r.barrier);
  }
}
END_TEST

static void *open_and_close(void *user) {
  for (int i = 0; i < 10; i++) {
    kcc_store *s;
    must(kcc_store_open(user, NULL, &s, NULL));
    put_numbered(s, 1, 1);
    get_and_check(s, 1, true);
    kcc_store_close(s);
  }
  return NULL;
}

START_TEST(threads_open_one_fresh_store) {
  char *fresh = make_directory();
  run_threads(open_and_close, fresh, THREADS);
  remove_directory(fresh);
}
END_TEST

/* Runs in the child of a fork. */
static int use_after_fork(void) {
  kcc_error err;
  kcc_entry entry;
  kcc_stats s;
  kcc_store *second;
  kcc_digest key = key_of_number(1);
  if (kcc_store_get(store, &key, NULL, &entry, &err) != KCC_EINVAL) return 1;
  if (!strstr(err.message, "before a fork")) return 2;
  if (try_put_numbered(store, 2, 1, &err) != KCC_EINVAL) return 3;
  if (kcc_store_stats(store, &s, &err) != KCC_EINVAL) return 4;
  if (kcc_store_flush(store, &err) != KCC_EINVAL) return 5;
  if (kcc_store_open(directory, NULL, &second, &err) != KCC_EINVAL) return 6;
  if (!strstr(err.message, "forked while a store was open")) return 7;
  kcc_store_close(store);
  return 0;
}

START_TEST(store_is_refused_after_a_fork) {
  put_numbered(store, 1, 1);
  get_and_check(store, 1, true);
  pid_t pid = fork();
  ck_assert_int_ge(pid, 0);
  if (pid == 0) _exit(use_after_fork());
  int status;
  ck_assert_int_eq(waitpid(pid, &status, 0), pid);
  ck_assert_int_eq(status, 0);
  get_and_check(store, 1, true);
  put_numbered(store, 2, 1);
}
END_TEST

START_TEST(fork_after_all_stores_are_closed_is_allowed) {
  put_numbered(store, 1, 1);
  get_and_check(store, 1, true);
  kcc_store_close(store);
  pid_t pid = fork();
  ck_assert_int_ge(pid, 0);
  if (pid == 0) {
    kcc_store *mine;
    must(kcc_store_open(directory, NULL, &mine, NULL));
    get_and_check(mine, 1, true);
    kcc_store_close(mine);
    _exit(0);
  }
  int status;
  ck_assert_int_eq(waitpid(pid, &status, 0), pid);
  ck_assert_int_eq(status, 0);
  must(kcc_store_open(directory, NULL, &store, NULL));
}
END_TEST

int main(void) {
  Suite *suite = suite_create("cache threads");
  TCase *all = tcase_create("threads");
  tcase_add_checked_fixture(all, open_store, close_store);
  tcase_set_timeout(all, 120);
  tcase_add_test(all, threads_do_everything_at_once);
  tcase_add_test(all, ended_threads_leave_no_connection_behind);
  tcase_add_test(all, touches_outlive_their_thread);
  tcase_add_test(all, threads_outlive_stores);
  tcase_add_test(all, threads_exit_while_their_store_closes);
  tcase_add_test(all, threads_open_one_fresh_store);
  tcase_add_test(all, store_is_refused_after_a_fork);
  tcase_add_test(all, fork_after_all_stores_are_closed_is_allowed);
  suite_add_tcase(suite, all);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
