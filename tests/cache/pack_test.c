/* SPDX-License-Identifier: MIT
 *
 * pack_test.c: sources that are compressed before they are put.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "tests/cache/support.h"

static char *directory;
static kcc_store *store;
static kcc_error err;
static kcc_put put;

static void open_store(void) {
  directory = make_directory();
  must(kcc_store_open(directory, NULL, &store, NULL));
  put = (kcc_put){.parts = {.source = digest_of_text("packed before"), .source_length = 13},
                  .blob = {"b", 1},
                  .source_text = {"packed before", 13}};
}

static void close_store(void) {
  kcc_store_close(store);
  remove_directory(directory);
}

START_TEST(packed_is_put_and_read_as_any) {
  kcc_text *packed = NULL, *again = NULL;
  kcc_entry entry;
  must(kcc_store_pack(store, put.source_text, &put.parts.source, &packed, &err));
  put.source_packed = packed;
  must(kcc_store_put(store, &put, NULL, &err));
  must(kcc_store_get_source(store, &put.parts.source, &entry, &err));
  ck_assert_uint_eq(entry.blob.length, 13);
  ck_assert_mem_eq(entry.blob.data, "packed before", 13);
  kcc_entry_free(&entry);
  /* Now it is there: no need to pack it again, nor to put it. */
  ck_assert_int_eq(kcc_store_pack(store, put.source_text, &put.parts.source, &again, &err),
                   KCC_MISS);
  ck_assert_ptr_null(again);
  must(kcc_store_put(store, &put, NULL, &err));
  kcc_text_free(packed);
  kcc_text_free(NULL);
}
END_TEST

START_TEST(another_text_is_refused) {
  kcc_text *packed = NULL;
  kcc_digest other = digest_of_text("another");
  ck_assert_int_eq(kcc_store_pack(store, put.source_text, &other, &packed, &err), KCC_EINVAL);
  ck_assert_str_eq(err.message, "source text: its digest is not the one given");
  must(kcc_store_pack(store, put.source_text, &put.parts.source, &packed, &err));
  put.source_packed = packed;
  put.parts.source = other;
  ck_assert_int_eq(kcc_store_put(store, &put, NULL, &err), KCC_EINVAL);
  ck_assert_str_eq(err.message, "source text: another was packed");
  kcc_text_free(packed);
}
END_TEST

int main(void) {
  Suite *suite = suite_create("cache pack");
  TCase *tcase = tcase_create("pack");
  tcase_add_checked_fixture(tcase, open_store, close_store);
  tcase_add_test(tcase, packed_is_put_and_read_as_any);
  tcase_add_test(tcase, another_text_is_refused);
  suite_add_tcase(suite, tcase);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
