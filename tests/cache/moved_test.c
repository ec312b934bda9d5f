/* SPDX-License-Identifier: MIT
 *
 * moved_test.c: a store whose files are removed, or replaced, while it is open: what is
 * acknowledged from then on is found by whoever opens the place again.
 */
#include <stdio.h>
#include <unistd.h>

#include "tests/cache/place.h"
#include "tests/cache/support.h"

static void remove_files(void) {
  static const char *const names[] = {"kiln.db", "kiln.db-wal", "kiln.db-shm"};
  for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
    char *path = path_in(directory, names[i]);
    unlink(path);
    free(path);
  }
}

static kcc_status find(kcc_store *in, uint64_t number) {
  kcc_entry entry;
  kcc_digest key = key_of_number(number);
  kcc_status status = kcc_store_get(in, &key, &test_engine, &entry, &err);
  if (status != KCC_OK) return status;
  ck_assert(is_numbered(&entry, number));
  kcc_entry_free(&entry);
  return KCC_OK;
}

/* As another process would see it. */
static void expect_others_find(uint64_t number) {
  kcc_store *other;
  must(kcc_store_open(directory, NULL, &other, &err));
  must(find(other, number));
  kcc_store_close(other);
}

START_TEST(removed_files) {
  must(open_it());
  put_numbered(store, 1, 1);
  must(find(store, 1));
  remove_files();
  must(find(store, 1)); /* what is open still has it */
  put_numbered(store, 2, 1);
  must(find(store, 2));
  ck_assert_int_eq(find(store, 1), KCC_MISS);
  expect_others_find(2);
  kcc_store_close(store);
  store = NULL;
  expect_others_find(2);
}
END_TEST

START_TEST(removed_directory) {
  must(open_it());
  put_numbered(store, 1, 1);
  remove_files();
  ck_assert_int_eq(rmdir(directory), 0);
  put_numbered(store, 2, 1);
  expect_others_find(2);
  kcc_store_close(store);
  store = NULL;
  expect_others_find(2);
}
END_TEST

/* Another process made a new store in the place: its log is not ours to remove. */
START_TEST(replaced_files) {
  kcc_store *other;
  must(open_it());
  put_numbered(store, 1, 1);
  remove_files();
  must(kcc_store_open(directory, NULL, &other, &err));
  put_numbered(other, 2, 1);
  kcc_store_close(store);
  store = NULL;
  must(find(other, 2));
  expect_others_find(2);
  put_numbered(other, 3, 1);
  kcc_store_close(other);
  expect_others_find(3);
}
END_TEST

/* Where it cannot begin anew a put says so, and works once it can. */
START_TEST(place_that_is_taken) {
  must(open_it());
  put_numbered(store, 1, 1);
  remove_files();
  ck_assert_int_eq(rmdir(directory), 0);
  FILE *in_the_way = fopen(directory, "w");
  ck_assert_ptr_nonnull(in_the_way);
  fclose(in_the_way);
  ck_assert_int_ne(try_put_numbered(store, 2, 1, &err), KCC_OK);
  ck_assert_int_ne(try_put_numbered(store, 2, 1, &err), KCC_OK);
  ck_assert_int_eq(unlink(directory), 0);
  put_numbered(store, 3, 1);
  must(find(store, 3));
  expect_others_find(3);
  kcc_store_close(store);
  store = NULL;
}
END_TEST

int main(void) {
  Suite *suite = suite_create("cache moved");
  TCase *all = tcase_create("moved");
  tcase_add_checked_fixture(all, make_place, remove_place);
  tcase_set_timeout(all, 60);
  tcase_add_test(all, removed_files);
  tcase_add_test(all, removed_directory);
  tcase_add_test(all, replaced_files);
  tcase_add_test(all, place_that_is_taken);
  suite_add_tcase(suite, all);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
