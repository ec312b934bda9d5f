/* SPDX-License-Identifier: MIT
 *
 * checkpoint_test.c: kcc_store_checkpoint(): what it moves, whom it does not wait for, who may call
 * it. A copy of the database file without its log tells what has been moved.
 */
#include <stdio.h>
#include <unistd.h>

#include "tests/cache/place.h"

#define ENTRIES 20

static void put_some(void) {
  for (uint64_t i = 0; i < ENTRIES; i++) put_numbered(store, i, 1);
}

static void copy_file(const char *from, const char *to) {
  char buffer[1 << 16];
  size_t got;
  FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");
  ck_assert(in != NULL && out != NULL);
  while ((got = fread(buffer, 1, sizeof(buffer), in)) > 0)
    ck_assert_uint_eq(fwrite(buffer, 1, got, out), got);
  ck_assert_int_eq(ferror(in), 0);
  fclose(in);
  ck_assert_int_eq(fclose(out), 0);
}

/* How many of the entries a copy of the file alone has. */
static unsigned count_in_copy(void) {
  unsigned count = 0;
  char *other = make_directory();
  char *copy = path_in(other, "kiln.db");
  copy_file(file, copy);
  kcc_store *second;
  must(kcc_store_open(other, NULL, &second, &err));
  for (uint64_t i = 0; i < ENTRIES; i++) {
    kcc_digest key = key_of_number(i);
    kcc_entry entry;
    kcc_status status = kcc_store_get(second, &key, &test_engine, &entry, &err);
    if (status == KCC_MISS) continue;
    must(status);
    ck_assert(is_numbered(&entry, i));
    kcc_entry_free(&entry);
    count++;
  }
  kcc_store_close(second);
  free(copy);
  remove_directory(other);
  return count;
}

START_TEST(what_is_in_the_log_goes_into_the_file) {
  must(open_it());
  put_some();
  ck_assert_uint_eq(count_in_copy(), 0);
  must(kcc_store_checkpoint(store, &err));
  ck_assert_uint_eq(count_in_copy(), ENTRIES);
  must(kcc_store_checkpoint(store, &err)); /* nothing is left to do */
}
END_TEST

START_TEST(nobody_is_waited_for) {
  must(open_it());
  sqlite3 *reader = open_database(directory), *writer = open_database(directory);
  run_sql(reader, "BEGIN; SELECT count(*) FROM entries");
  put_some();
  run_sql(writer, "BEGIN IMMEDIATE");
  must(kcc_store_checkpoint(store, &err)); /* only what the reader does not need */
  ck_assert_uint_eq(count_in_copy(), 0);
  run_sql(reader, "COMMIT");
  must(kcc_store_checkpoint(store, &err));
  ck_assert_uint_eq(count_in_copy(), ENTRIES);
  run_sql(writer, "COMMIT");
  sqlite3_close(reader);
  sqlite3_close(writer);
}
END_TEST

START_TEST(read_only_stores_have_none) {
  must(open_it());
  put_some();
  kcc_store_close(store);
  must(open_read_only());
  ck_assert_int_eq(kcc_store_checkpoint(store, &err), KCC_EREADONLY);
  ck_assert_ptr_nonnull(strstr(err.message, "opened read-only"));
  ck_assert_int_eq(kcc_store_checkpoint(NULL, &err), KCC_EINVAL);
}
END_TEST

int main(void) {
  Suite *suite = suite_create("cache checkpoint");
  TCase *all = tcase_create("checkpoint");
  tcase_add_checked_fixture(all, make_place, remove_place);
  tcase_set_timeout(all, 60);
  tcase_add_test(all, what_is_in_the_log_goes_into_the_file);
  tcase_add_test(all, nobody_is_waited_for);
  tcase_add_test(all, read_only_stores_have_none);
  suite_add_tcase(suite, all);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
