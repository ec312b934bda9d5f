/* SPDX-License-Identifier: MIT
 *
 * place.h: the fixture of the tests about what a store refuses: a directory, the store's file in
 * it, a store that may or may not open. No test is in it.
 */
#ifndef KILN_TESTS_CACHE_PLACE_H
#define KILN_TESTS_CACHE_PLACE_H

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "cache/kcc.h"
#include "tests/cache/support.h"

#define NOBODY 65534

static char *directory;
static char *file;
static kcc_store *store;
static kcc_error err;

static inline void make_place(void) {
  directory = make_directory();
  file = path_in(directory, "kiln.db");
  store = NULL;
}

static inline void remove_place(void) {
  kcc_store_close(store);
  free(file);
  remove_directory(directory);
}

static inline kcc_status open_it(void) {
  memset(&err, 0, sizeof(err));
  return kcc_store_open(directory, NULL, &store, &err);
}

static inline kcc_status open_read_only(void) {
  kcc_store_options options = KCC_STORE_OPTIONS_INIT;
  options.read_only = true;
  memset(&err, 0, sizeof(err));
  return kcc_store_open(directory, &options, &store, &err);
}

/* The status, a message with the file's name, and no store. */
static inline void expect_refusal(kcc_status status, kcc_status expected, const char *part) {
  ck_assert_int_eq(status, expected);
  ck_assert_int_eq(err.status, expected);
  ck_assert_ptr_null(store);
  ck_assert_msg(strstr(err.message, part) != NULL, "'%s' is not in '%s'", part, err.message);
  ck_assert_ptr_null(strchr(err.message, '\n'));
}

#endif
