/* SPDX-License-Identifier: MIT
 *
 * trouble_test.c: a sound store in a world that is not: what cannot be written, full disks, locks
 * of others. Each has its own status, and the store works again when the trouble is over.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cache/store.h"
#include "tests/cache/place.h"
#include "tests/cache/support.h"

static void make_database(const char *sql) {
  sqlite3 *db;
  ck_assert_int_eq(sqlite3_open(file, &db), SQLITE_OK);
  run_sql(db, sql);
  sqlite3_close(db);
  ck_assert_int_eq(chmod(file, 0600), 0);
}

/* Runs `body` in a child that is no longer root; passes on what it returns. */
static int as_nobody(int (*body)(void)) {
  pid_t pid = fork();
  ck_assert_int_ge(pid, 0);
  if (pid == 0) {
    if (setgid(NOBODY) != 0 || setuid(NOBODY) != 0) _exit(120);
    _exit(body());
  }
  int status;
  ck_assert_int_eq(waitpid(pid, &status, 0), pid);
  ck_assert(WIFEXITED(status));
  return WEXITSTATUS(status);
}

/* False, with a word about it, where the test cannot become another user. */
static bool is_root(void) {
  if (geteuid() == 0) return true;
  fprintf(stderr, "skipped: needs root to become another user\n");
  return false;
}

/* ---- what cannot be written --------------------------------------------------------------------
 */

START_TEST(read_only_option) {
  must(open_it());
  put_numbered(store, 1, 1);
  kcc_store_close(store);
  must(open_read_only());
  kcc_digest key = key_of_number(1);
  kcc_entry entry;
  kcc_stats s;
  must(kcc_store_get(store, &key, &test_engine, &entry, &err));
  ck_assert(is_numbered(&entry, 1));
  kcc_entry_free(&entry);
  ck_assert_int_eq(try_put_numbered(store, 2, 1, &err), KCC_EREADONLY);
  ck_assert_ptr_nonnull(strstr(err.message, "opened read-only"));
  ck_assert_int_eq(kcc_store_remove(store, &key, &err), KCC_EREADONLY);
  must(kcc_store_flush(store, &err));
  must(kcc_store_stats(store, &s, &err));
  ck_assert_uint_eq(s.entries, 1);
  ck_assert_uint_eq(s.errors, 2);
  /* Beside a writer it sees what is written. */
  kcc_store *writer;
  must(kcc_store_open(directory, NULL, &writer, &err));
  put_numbered(writer, 3, 1);
  key = key_of_number(3);
  must(kcc_store_get(store, &key, NULL, &entry, &err));
  kcc_entry_free(&entry);
  kcc_store_close(writer);
}
END_TEST

static int open_and_get(void) {
  kcc_digest key = key_of_number(1);
  kcc_entry entry;
  if (open_it() != KCC_EREADONLY) return 1;
  if (!strstr(err.message, "cannot be written")) return 2;
  if (open_read_only() != KCC_OK) return 3;
  if (kcc_store_get(store, &key, &test_engine, &entry, &err) != KCC_OK) return 4;
  if (!is_numbered(&entry, 1)) return 5;
  kcc_entry_free(&entry);
  kcc_verify_result result;
  if (kcc_store_verify(store, NULL, NULL, &result, &err) != KCC_OK || result.damaged) return 6;
  kcc_store_close(store);
  return 0;
}

static void give_to(uid_t owner, mode_t directory_mode, mode_t file_mode) {
  ck_assert_int_eq(chown(directory, owner, owner), 0);
  ck_assert_int_eq(chown(file, owner, owner), 0);
  ck_assert_int_eq(chmod(directory, directory_mode), 0);
  ck_assert_int_eq(chmod(file, file_mode), 0);
}

START_TEST(directory_or_file_that_cannot_be_written) {
  if (!is_root()) return;
  must(open_it());
  put_numbered(store, 1, 1);
  kcc_store_close(store);
  store = NULL;
  give_to(NOBODY, 0500, 0600);
  ck_assert_int_eq(as_nobody(open_and_get), 0);
  give_to(NOBODY, 0700, 0400);
  ck_assert_int_eq(as_nobody(open_and_get), 0);
  give_to(NOBODY, 0500, 0400);
  ck_assert_int_eq(as_nobody(open_and_get), 0);
}
END_TEST

static int read_roots_store(void) {
  if (open_it() != KCC_EPERM) return 1;
  if (open_read_only() != KCC_OK) return 2;
  kcc_digest key = key_of_number(1);
  kcc_entry entry;
  if (kcc_store_get(store, &key, &test_engine, &entry, &err) != KCC_OK) return 3;
  kcc_entry_free(&entry);
  kcc_store_close(store);
  return 0;
}

/* A store that came with an image: root's, readable by all. */
START_TEST(roots_store_may_be_read_by_others) {
  if (!is_root()) return;
  must(open_it());
  put_numbered(store, 1, 1);
  kcc_store_close(store);
  store = NULL;
  give_to(0, 0755, 0644);
  ck_assert_int_eq(as_nobody(read_roots_store), 0);
}
END_TEST

static int read_unreadable(void) {
  return open_read_only() == KCC_EPERM && err.status == KCC_EPERM ? 0 : 1;
}

START_TEST(store_that_cannot_be_read) {
  if (!is_root()) return;
  must(open_it());
  kcc_store_close(store);
  store = NULL;
  give_to(0, 0755, 0600);
  ck_assert_int_eq(as_nobody(read_unreadable), 0);
  ck_assert_int_eq(chmod(directory, 0700), 0);
  ck_assert_int_eq(as_nobody(read_unreadable), 0);
}
END_TEST

static char *parent_of_new;
static int make_new(void) {
  return kcc_store_open(parent_of_new, NULL, &store, &err) == KCC_EREADONLY ? 0 : 1;
}

START_TEST(directory_that_cannot_be_made) {
  if (!is_root()) return;
  ck_assert_int_eq(chmod(directory, 0755), 0);
  parent_of_new = path_in(directory, "new/store");
  ck_assert_int_eq(as_nobody(make_new), 0);
  free(parent_of_new);
}
END_TEST

/* ---- full disks --------------------------------------------------------------------------------
 */

static void expect_usable(uint64_t entries) {
  kcc_verify_result result;
  must(kcc_store_verify(store, NULL, NULL, &result, &err));
  ck_assert(result.database_ok);
  ck_assert_uint_eq(result.damaged, 0);
  for (uint64_t i = 0; i < entries; i++) {
    kcc_digest key = key_of_number(i);
    kcc_entry entry;
    must(kcc_store_get(store, &key, &test_engine, &entry, &err));
    ck_assert(is_numbered(&entry, i));
    kcc_entry_free(&entry);
  }
}

/* Puts until the store says it is full; returns how many went in. */
static uint64_t fill(void) {
  for (uint64_t i = 0; i < 100000; i++) {
    kcc_status status = try_put_numbered(store, i, 1, &err);
    if (status == KCC_OK) continue;
    ck_assert_msg(status == KCC_EFULL, "%s", err.message);
    ck_assert_int_ne(err.os_code, 0);
    return i;
  }
  ck_abort_msg("it never became full");
}

START_TEST(database_that_may_not_grow_is_full) {
  must(open_it());
  char sql[64];
  int64_t pages;
  must(kcc__conn_integer(&store->writer, "PRAGMA page_count", &pages, &err));
  snprintf(sql, sizeof(sql), "PRAGMA max_page_count=%lld", (long long)pages + 40);
  must(kcc__conn_exec(&store->writer, sql, &err));
  uint64_t entries = fill();
  ck_assert_uint_gt(entries, 5);
  expect_usable(entries);
  kcc_digest key = key_of_number(entries - 1);
  for (uint64_t i = 0; i < 8; i++) {
    key = key_of_number(entries - 1 - i);
    must(kcc_store_remove(store, &key, &err));
  }
  put_numbered(store, entries - 1, 1); /* room again: an entry of the same size */
  kcc_stats s;
  must(kcc_store_stats(store, &s, &err));
  ck_assert_uint_eq(s.errors, 1);
}
END_TEST

START_TEST(file_size_limit_is_a_full_disk) {
  must(open_it());
  struct rlimit limit = {600000, RLIM_INFINITY};
  ck_assert_ptr_ne(signal(SIGXFSZ, SIG_IGN), SIG_ERR);
  ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
  uint64_t entries = fill();
  ck_assert_uint_gt(entries, 5);
  limit.rlim_cur = RLIM_INFINITY;
  ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
  expect_usable(entries);
  put_numbered(store, entries, 1);
}
END_TEST

/* A put is refused while there is room yet for what makes room again. */
START_TEST(nearly_full_disk_is_full_and_can_be_tidied) {
  char *disk = path_in(directory, "disk");
  ck_assert_int_eq(mkdir(disk, 0700), 0);
  if (unshare(CLONE_NEWNS) != 0 ||
      mount("none", "/", NULL, MS_REC | MS_PRIVATE, /* data= */ NULL) != 0 ||
      mount("none", disk, "tmpfs", 0, "size=24m,mode=0700") != 0) {
    printf(
        "nearly_full_disk_is_full_and_can_be_tidied: skipped: no file system can be mounted: "
        "%s\n",
        strerror(errno));
    free(disk);
    return;
  }
  must(kcc_store_open(disk, NULL, &store, &err));
  uint64_t entries = fill();
  ck_assert_uint_gt(entries, 5);
  ck_assert_int_eq(err.os_code, ENOSPC);
  ck_assert_ptr_nonnull(strstr(err.message, "disk full: "));
  ck_assert_ptr_nonnull(strstr(err.message, " bytes free, "));
  ck_assert_ptr_nonnull(strstr(err.message, " needed"));
  for (int i = 0; i < 1000; i++) {
    ck_assert_int_eq(try_put_numbered(store, entries + 1, 1, &err), KCC_EFULL);
  }
  expect_usable(entries);
  kcc_store_close(store);
  must(kcc_store_open(disk, NULL, &store, &err));
  expect_usable(entries);
  for (uint64_t i = 0; i < entries; i++) {
    kcc_digest key = key_of_number(i);
    must(kcc_store_remove(store, &key, &err));
  }
  kcc_store_close(store);
  store = NULL;
  ck_assert_int_eq(umount2(disk, MNT_DETACH), 0);
  free(disk);
}
END_TEST

START_TEST(new_store_on_a_full_disk) {
  struct rlimit limit = {6000, RLIM_INFINITY};
  ck_assert_ptr_ne(signal(SIGXFSZ, SIG_IGN), SIG_ERR);
  ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
  kcc_status status = open_it();
  limit.rlim_cur = RLIM_INFINITY;
  ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
  expect_refusal(status, KCC_EFULL, "kiln.db");
  must(open_it());
  put_numbered(store, 1, 1);
}
END_TEST

/* ---- locks -------------------------------------------------------------------------------------
 */

START_TEST(lock_of_another_is_waited_for_and_then_busy) {
  kcc_store_options options = KCC_STORE_OPTIONS_INIT;
  options.busy_ms = 60;
  must(kcc_store_open(directory, &options, &store, &err));
  put_numbered(store, 1, 1);
  sqlite3 *db = open_database(directory);
  run_sql(db, "BEGIN IMMEDIATE");
  uint64_t start = kcc__now_ns();
  ck_assert_int_eq(try_put_numbered(store, 2, 1, &err), KCC_EBUSY);
  ck_assert_uint_ge(kcc__now_ns() - start, 60000000);
  ck_assert_ptr_nonnull(strstr(err.message, "locked for 60 ms"));
  ck_assert_int_eq(err.os_code & 0xff, SQLITE_BUSY);
  kcc_digest key = key_of_number(1);
  kcc_entry entry;
  must(kcc_store_get(store, &key, NULL, &entry, &err)); /* readers do not wait for a writer */
  kcc_entry_free(&entry);
  ck_assert_int_eq(kcc_store_remove(store, &key, &err), KCC_EBUSY);
  ck_assert_int_eq(kcc_store_flush(store, &err), KCC_EBUSY); /* the touch of that get */
  kcc_stats s;
  must(kcc_store_stats(store, &s, &err));
  ck_assert_uint_ge(s.busy_waits, 3);
  ck_assert_uint_eq(s.errors, 3);
  ck_assert_uint_eq(s.entries, 1); /* nothing was deleted */
  run_sql(db, "COMMIT");
  put_numbered(store, 2, 1);
  must(kcc_store_flush(store, &err));
  sqlite3_close(db);
}
END_TEST

/* A child that holds the lock until it is told through a pipe to let go. */
START_TEST(lock_that_is_let_go_in_time_is_no_error) {
  must(open_it());
  kcc_store_close(store);
  int ready[2];
  ck_assert_int_eq(pipe(ready), 0);
  pid_t pid = fork();
  if (pid == 0) {
    sqlite3 *db = open_database(directory);
    run_sql(db, "BEGIN IMMEDIATE");
    if (write(ready[1], "x", 1) != 1) _exit(1);
    usleep(150000); /* what is tested is waiting: how long the lock lasts */
    run_sql(db, "COMMIT");
    sqlite3_close(db);
    _exit(0);
  }
  char byte;
  ck_assert_int_eq(read(ready[0], &byte, 1), 1);
  must(open_it());
  put_numbered(store, 1, 1);
  kcc_stats s;
  must(kcc_store_stats(store, &s, &err));
  ck_assert_uint_ge(s.busy_waits, 1);
  ck_assert_uint_eq(s.errors, 0);
  int status;
  ck_assert_int_eq(waitpid(pid, &status, 0), pid);
  ck_assert_int_eq(status, 0);
  close(ready[0]);
  close(ready[1]);
}
END_TEST

START_TEST(exclusive_lock_while_opening_is_busy) {
  make_database("PRAGMA journal_mode=DELETE");
  kcc_store_options options = KCC_STORE_OPTIONS_INIT;
  options.busy_ms = 50;
  sqlite3 *db = open_database(directory);
  run_sql(db, "BEGIN EXCLUSIVE; CREATE TABLE t(x)");
  memset(&err, 0, sizeof(err));
  expect_refusal(kcc_store_open(directory, &options, &store, &err), KCC_EBUSY, "locked for 50 ms");
  run_sql(db, "ROLLBACK");
  sqlite3_close(db);
  must(open_it());
}
END_TEST

/* Whether a store could be written, asked without a wait. */
START_TEST(writable_or_not) {
  char *away = path_in(directory, "away");
  must(open_it());
  put_numbered(store, 1, 1);
  must(kcc_store_check_writable(store, &err));
  sqlite3 *db = open_database(directory);
  run_sql(db, "BEGIN IMMEDIATE"); /* who writes shows that one can */
  must(kcc_store_check_writable(store, &err));
  run_sql(db, "ROLLBACK");
  sqlite3_close(db);
  ck_assert_int_eq(rename(file, away), 0);
  ck_assert_int_eq(kcc_store_check_writable(store, &err), KCC_EIO);
  int fd = open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  close(fd);
  ck_assert_int_eq(kcc_store_check_writable(store, &err), KCC_EIO);
  ck_assert_ptr_nonnull(strstr(err.message, "another file"));
  ck_assert_int_eq(rename(away, file), 0);
  must(kcc_store_check_writable(store, &err));
  put_numbered(store, 2, 1);
  free(away);
  kcc_store_close(store);
  store = NULL;
  must(open_read_only());
  ck_assert_int_eq(kcc_store_check_writable(store, &err), KCC_EREADONLY);
  ck_assert_int_eq(kcc_store_check_writable(NULL, &err), KCC_EINVAL);
}
END_TEST

int main(void) {
  Suite *suite = suite_create("cache trouble");
  TCase *all = tcase_create("trouble");
  tcase_add_checked_fixture(all, make_place, remove_place);
  tcase_set_timeout(all, 60);
  tcase_add_test(all, read_only_option);
  tcase_add_test(all, directory_or_file_that_cannot_be_written);
  tcase_add_test(all, roots_store_may_be_read_by_others);
  tcase_add_test(all, store_that_cannot_be_read);
  tcase_add_test(all, directory_that_cannot_be_made);
  tcase_add_test(all, database_that_may_not_grow_is_full);
  tcase_add_test(all, file_size_limit_is_a_full_disk);
  tcase_add_test(all, nearly_full_disk_is_full_and_can_be_tidied);
  tcase_add_test(all, new_store_on_a_full_disk);
  tcase_add_test(all, lock_of_another_is_waited_for_and_then_busy);
  tcase_add_test(all, lock_that_is_let_go_in_time_is_no_error);
  tcase_add_test(all, exclusive_lock_while_opening_is_busy);
  tcase_add_test(all, writable_or_not);
  suite_add_tcase(suite, all);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
