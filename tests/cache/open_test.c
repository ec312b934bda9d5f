/* SPDX-License-Identifier: MIT
 *
 * open_test.c: what a store refuses to open, each with its own status: places that are not safe,
 * files that are no store, newer schemas. And how schemas migrate.
 */
#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cache/schema.h"
#include "cache/store.h"
#include "tests/cache/place.h"
#include "tests/cache/support.h"

static void write_file(const void *bytes, size_t length) {
  int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  ck_assert_int_ge(fd, 0);
  ck_assert_int_eq(write(fd, bytes, length), (ssize_t)length);
  close(fd);
}

static void make_database(const char *sql) {
  sqlite3 *db;
  ck_assert_int_eq(sqlite3_open(file, &db), SQLITE_OK);
  run_sql(db, sql);
  sqlite3_close(db);
  ck_assert_int_eq(chmod(file, 0600), 0);
}

static mode_t mode_of(const char *path) {
  struct stat info;
  ck_assert_int_eq(stat(path, &info), 0);
  return info.st_mode & 07777;
}

/* False, with a word about it, where the test cannot become another user. */
static bool is_root(void) {
  if (geteuid() == 0) return true;
  fprintf(stderr, "skipped: needs root to become another user\n");
  return false;
}

/* ---- places ------------------------------------------------------------------------------------
 */

START_TEST(directories_are_made_0700_and_the_file_0600) {
  char *deep = path_in(directory, "a/b/c");
  mode_t before = umask(0);
  must(kcc_store_open(deep, NULL, &store, &err));
  umask(before);
  char *part = path_in(directory, "a");
  ck_assert_uint_eq(mode_of(part), 0700);
  ck_assert_uint_eq(mode_of(deep), 0700);
  char *made = path_in(deep, "kiln.db");
  ck_assert_uint_eq(mode_of(made), 0600);
  put_numbered(store, 1, 1);
  char *log = path_in(deep, "kiln.db-wal");
  ck_assert_uint_eq(mode_of(log), 0600);
  free(log);
  free(made);
  free(part);
  free(deep);
}
END_TEST

START_TEST(file_is_0600_under_any_umask) {
  mode_t before = umask(0777);
  ck_assert_int_eq(rmdir(directory), 0);
  kcc_status status = kcc_store_open(directory, NULL, &store, &err);
  umask(before);
  if (geteuid() != 0) return; /* a directory without any permission is of no use to others */
  must(status);
  ck_assert_uint_eq(mode_of(file), 0600);
}
END_TEST

START_TEST(directory_others_may_write_to_is_refused) {
  static const mode_t modes[] = {0770, 0720, 0707, 0702, 01777};
  for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
    ck_assert_int_eq(chmod(directory, modes[i]), 0);
    expect_refusal(open_it(), KCC_EPERM, "others may write to it");
    expect_refusal(open_read_only(), KCC_EPERM, "others may write to it");
  }
  ck_assert_int_eq(access(file, F_OK), -1);
  ck_assert_int_eq(chmod(directory, 0755), 0);
  must(open_it());
}
END_TEST

START_TEST(file_others_may_write_to_is_refused) {
  must(open_it());
  kcc_store_close(store);
  store = NULL;
  ck_assert_int_eq(chmod(file, 0660), 0);
  expect_refusal(open_it(), KCC_EPERM, "others may write to it (mode 0660)");
}
END_TEST

START_TEST(directory_of_another_owner_is_refused) {
  if (!is_root()) return;
  ck_assert_int_eq(chown(directory, NOBODY, NOBODY), 0);
  expect_refusal(open_it(), KCC_EPERM, "belongs to user 65534, not to 0");
  expect_refusal(open_read_only(), KCC_EPERM, "belongs to user 65534, not to 0");
}
END_TEST

START_TEST(file_of_another_owner_is_refused) {
  if (!is_root()) return;
  write_file("", 0);
  ck_assert_int_eq(chown(file, NOBODY, NOBODY), 0);
  expect_refusal(open_it(), KCC_EPERM, "kiln.db': belongs to user 65534");
}
END_TEST

START_TEST(what_is_no_regular_file_is_refused) {
  ck_assert_int_eq(symlink("/etc/passwd", file), 0);
  expect_refusal(open_it(), KCC_EPERM, "not a regular file");
  ck_assert_int_eq(unlink(file), 0);
  ck_assert_int_eq(mkfifo(file, 0600), 0);
  expect_refusal(open_it(), KCC_EPERM, "not a regular file");
  ck_assert_int_eq(unlink(file), 0);
  ck_assert_int_eq(mkdir(file, 0700), 0);
  expect_refusal(open_it(), KCC_EPERM, "not a regular file");
}
END_TEST

START_TEST(path_through_a_symbolic_link_is_the_same_store) {
  char *target = path_in(directory, "target");
  char *link_path = path_in(directory, "link");
  ck_assert_int_eq(symlink("target", link_path), 0);
  ck_assert_int_eq(mkdir(target, 0700), 0);
  must(kcc_store_open(link_path, NULL, &store, &err));
  put_numbered(store, 1, 1);
  kcc_store_close(store);
  must(kcc_store_open(target, NULL, &store, &err));
  kcc_digest key = key_of_number(1);
  kcc_entry entry;
  must(kcc_store_get(store, &key, NULL, &entry, &err));
  kcc_entry_free(&entry);
  free(target);
  free(link_path);
}
END_TEST

START_TEST(bad_paths_are_refused) {
  char long_path[5000];
  memset(long_path, 'x', sizeof(long_path) - 1);
  long_path[sizeof(long_path) - 1] = '\0';
  ck_assert_int_eq(kcc_store_open(NULL, NULL, &store, &err), KCC_EINVAL);
  ck_assert_int_eq(kcc_store_open(directory, NULL, NULL, &err), KCC_EINVAL);
  expect_refusal(kcc_store_open("", NULL, &store, &err), KCC_EINVAL, "empty path");
  expect_refusal(kcc_store_open(long_path, NULL, &store, &err), KCC_EINVAL, "too long");
  write_file("x", 1);
  expect_refusal(kcc_store_open(file, NULL, &store, &err), KCC_ENOTSTORE, "Not a directory");
  char *below = path_in(file, "below");
  expect_refusal(kcc_store_open(below, NULL, &store, &err), KCC_ENOTSTORE, "Not a directory");
  free(below);
  ck_assert_int_eq(unlink(file), 0);
}
END_TEST

START_TEST(path_is_escaped_and_cut_in_messages) {
  char odd[200];
  snprintf(odd, sizeof(odd), "%s/new\nline'%090d", directory, 1);
  kcc_store_options options = KCC_STORE_OPTIONS_INIT;
  options.read_only = true;
  expect_refusal(kcc_store_open(odd, &options, &store, &err), KCC_ENOTSTORE, "...");
  snprintf(odd, sizeof(odd), "%s/a\nb'c", directory);
  expect_refusal(kcc_store_open(odd, &options, &store, &err), KCC_ENOTSTORE, "a?b?c");
}
END_TEST

START_TEST(unknown_options_are_refused) {
  kcc_store_options options = KCC_STORE_OPTIONS_INIT;
  options.struct_size = sizeof(options) + 1;
  expect_refusal(kcc_store_open(directory, &options, &store, &err), KCC_EINVAL, "options of");
  options.struct_size = 0;
  expect_refusal(kcc_store_open(directory, &options, &store, &err), KCC_EINVAL, "options of");
  options.struct_size = sizeof(options);
  options.entry_max_bytes = (uint64_t)KCC_ENTRY_MAX_BYTES + 1;
  expect_refusal(kcc_store_open(directory, &options, &store, &err), KCC_EINVAL, "entry_max_bytes");
  options.entry_max_bytes = 0;
  options.busy_ms = 3600001;
  expect_refusal(kcc_store_open(directory, &options, &store, &err), KCC_EINVAL, "busy_ms");
  options.busy_ms = 0;
  options.touch_every_ms = 86400001;
  expect_refusal(kcc_store_open(directory, &options, &store, &err), KCC_EINVAL, "touch_every_ms");
  options.touch_every_ms = 0;
  options.touch_max = KCC_TOUCH_MAX + 1;
  expect_refusal(kcc_store_open(directory, &options, &store, &err), KCC_EINVAL, "touch_max");
  options.touch_max = KCC_TOUCH_MAX;
  options.source_max_bytes = (uint64_t)KCC_ENTRY_MAX_BYTES + 1;
  expect_refusal(kcc_store_open(directory, &options, &store, &err), KCC_EINVAL, "source_max_bytes");
  options.source_max_bytes = 0;
  options.sources_max_bytes = UINT64_MAX;
  expect_refusal(kcc_store_open(directory, &options, &store, &err), KCC_EINVAL,
                 "sources_max_bytes");
  options.struct_size = offsetof(kcc_store_options, touch_max); /* an older caller's */
  must(kcc_store_open(directory, &options, &store, &err));
}
END_TEST

/* ---- files that are no store -------------------------------------------------------------------
 */

START_TEST(file_that_is_no_database) {
  static const char prose[] =
      "This is a text file, and a long one at that; nobody should mistake "
      "it for a database, and nobody may overwrite it by mistake either.";
  write_file(prose, sizeof(prose));
  expect_refusal(open_it(), KCC_ENOTSTORE, "file is not a database");
  expect_refusal(open_read_only(), KCC_ENOTSTORE, "file is not a database");
  char bytes[sizeof(prose) + 1];
  int fd = open(file, O_RDONLY);
  ck_assert_int_eq(read(fd, bytes, sizeof(bytes)), (ssize_t)sizeof(prose));
  close(fd);
  ck_assert_mem_eq(bytes, prose, sizeof(prose));
}
END_TEST

START_TEST(database_of_another_program) {
  make_database("CREATE TABLE theirs(x); INSERT INTO theirs VALUES(1)");
  expect_refusal(open_it(), KCC_ENOTSTORE, "a database of another program");
  expect_refusal(open_read_only(), KCC_ENOTSTORE, "a database of another program");
  sqlite3 *db = open_database(directory);
  ck_assert_int_eq(sql_integer(db, "SELECT count(*) FROM theirs"), 1);
  ck_assert_int_eq(sql_integer(db, "SELECT journal_mode='delete' FROM pragma_journal_mode"), 1);
  sqlite3_close(db);
  ck_assert_int_eq(unlink(file), 0);
  make_database("PRAGMA application_id=1234; PRAGMA user_version=1");
  expect_refusal(open_it(), KCC_ENOTSTORE, "a database of another program");
  ck_assert_int_eq(unlink(file), 0);
  make_database("PRAGMA user_version=1");
  expect_refusal(open_it(), KCC_ENOTSTORE, "a database of another program");
}
END_TEST

START_TEST(schema_that_is_newer) {
  must(open_it());
  put_numbered(store, 1, 1);
  kcc_store_close(store);
  store = NULL;
  sqlite3 *db = open_database(directory);
  run_sql(db, "PRAGMA user_version=7");
  sqlite3_close(db);
  expect_refusal(open_it(), KCC_ENEWER, "schema 7 is newer than 2");
  expect_refusal(open_read_only(), KCC_ENEWER, "schema 7 is newer than 2");
  db = open_database(directory);
  run_sql(db, "PRAGMA user_version=-1");
  sqlite3_close(db);
  expect_refusal(open_it(), KCC_ENOTSTORE, "schema -1 is no version");
}
END_TEST

START_TEST(truncated_database_is_corrupt_or_no_store) {
  must(open_it());
  for (uint64_t i = 0; i < 50; i++) put_numbered(store, i, 1);
  kcc_store_close(store);
  store = NULL;
  ck_assert_int_eq(truncate(file, 10000), 0);
  kcc_status status = open_it();
  if (status == KCC_OK) { /* the header says enough to open; reading does not work */
    kcc_stats s;
    status = kcc_store_stats(store, &s, &err);
  }
  ck_assert_int_eq(status, KCC_ECORRUPT);
  ck_assert_ptr_nonnull(strstr(err.message, "malformed"));
}
END_TEST

/* ---- migrations --------------------------------------------------------------------------------
 */

START_TEST(empty_file_and_version_0_migrate) {
  write_file("", 0);
  must(open_it());
  put_numbered(store, 1, 1);
  kcc_store_close(store);
  ck_assert_int_eq(unlink(file), 0);
  char sql[100];
  snprintf(sql, sizeof(sql), "PRAGMA application_id=%d", KCC__APPLICATION_ID);
  make_database(sql); /* ours, and of the version before the first */
  must(open_it());
  put_numbered(store, 1, 1);
  sqlite3 *db = open_database(directory);
  ck_assert_int_eq(sql_integer(db, "PRAGMA user_version"), 2);
  ck_assert_int_eq(sql_integer(db, "PRAGMA application_id"), KCC__APPLICATION_ID);
  ck_assert_int_eq(sql_integer(db, "SELECT journal_mode='wal' FROM pragma_journal_mode"), 1);
  sqlite3_close(db);
}
END_TEST

START_TEST(read_only_store_does_not_migrate) {
  char sql[100];
  snprintf(sql, sizeof(sql), "PRAGMA application_id=%d", KCC__APPLICATION_ID);
  make_database(sql);
  expect_refusal(open_read_only(), KCC_EREADONLY, "schema 0 is older than 2");
  write_file("", 0);
  expect_refusal(open_read_only(), KCC_ENOTSTORE, "an empty database");
  ck_assert_int_eq(unlink(file), 0);
  expect_refusal(open_read_only(), KCC_ENOTSTORE, "No such file or directory");
}
END_TEST

/* The next version is one more row: tried with one that does not exist yet. */
START_TEST(next_version_is_one_row_more) {
  static const kcc__migration bad = {3, "ALTER TABLE entries ADD COLUMN weight INTEGER; SELECT x;"};
  static const kcc__migration good = {
      3, "ALTER TABLE uses ADD COLUMN weight INTEGER NOT NULL DEFAULT 5;"};
  must(open_it());
  put_numbered(store, 1, 1);
  kcc__conn *conn = &store->writer;
  kcc__migration steps[] = {kcc__migrations[0], kcc__migrations[1], bad};
  sqlite3 *db = open_database(directory);
  ck_assert_int_ne(kcc__schema_prepare(conn, steps, 3, &err), KCC_OK);
  ck_assert_int_eq(sql_integer(db, "PRAGMA user_version"), 2); /* all of it, or nothing */
  put_numbered(store, 2, 1);
  steps[2] = good;
  must(kcc__schema_prepare(conn, steps, 3, &err));
  must(kcc__schema_prepare(conn, steps, 3, &err));
  ck_assert_int_eq(sql_integer(db, "PRAGMA user_version"), 3);
  ck_assert_int_eq(sql_integer(db, "SELECT sum(weight) FROM uses"), 10);
  sqlite3_close(db);
  ck_assert_int_eq(kcc__migrations_count, 2);
}
END_TEST

int main(void) {
  Suite *suite = suite_create("cache open");
  TCase *all = tcase_create("open");
  tcase_add_checked_fixture(all, make_place, remove_place);
  tcase_set_timeout(all, 60);
  tcase_add_test(all, directories_are_made_0700_and_the_file_0600);
  tcase_add_test(all, file_is_0600_under_any_umask);
  tcase_add_test(all, directory_others_may_write_to_is_refused);
  tcase_add_test(all, file_others_may_write_to_is_refused);
  tcase_add_test(all, directory_of_another_owner_is_refused);
  tcase_add_test(all, file_of_another_owner_is_refused);
  tcase_add_test(all, what_is_no_regular_file_is_refused);
  tcase_add_test(all, path_through_a_symbolic_link_is_the_same_store);
  tcase_add_test(all, bad_paths_are_refused);
  tcase_add_test(all, path_is_escaped_and_cut_in_messages);
  tcase_add_test(all, unknown_options_are_refused);
  tcase_add_test(all, file_that_is_no_database);
  tcase_add_test(all, database_of_another_program);
  tcase_add_test(all, schema_that_is_newer);
  tcase_add_test(all, truncated_database_is_corrupt_or_no_store);
  tcase_add_test(all, empty_file_and_version_0_migrate);
  tcase_add_test(all, read_only_store_does_not_migrate);
  tcase_add_test(all, next_version_is_one_row_more);
  suite_add_tcase(suite, all);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
