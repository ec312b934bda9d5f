/* SPDX-License-Identifier: MIT
 *
 * malloc_ahead_test.c: kiln__malloc_ahead(): the heap has grown, allocations come from it, and the
 * kernel has been asked for large pages there.
 */
#include <check.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "toolkit/malloc_ahead.h"

#define MIB ((size_t)1 << 20)

/* Whether the heap's mapping with `address` has the flag of madvise(MADV_HUGEPAGE); also false
 * where the kernel has no large pages. */
static bool is_advised(const char *address) {
  bool found = false, advised = false;
  char line[1024];
  FILE *maps = fopen("/proc/self/smaps", "re");
  ck_assert_ptr_nonnull(maps);
  while (fgets(line, sizeof(line), maps) != NULL) {
    size_t from, to;
    if (sscanf(line, "%zx-%zx ", &from, &to) == 2)
      found = (size_t)address >= from && (size_t)address < to;
    if (found && strncmp(line, "VmFlags:", 8) == 0 && strstr(line, " hg") != NULL) advised = true;
  }
  fclose(maps);
  return advised;
}

START_TEST(allocations_come_from_the_heap) {
  char *before = sbrk(0);
  kiln__malloc_ahead(16 * MIB);
  char *after = sbrk(0);
  ck_assert_uint_ge((size_t)(after - before), 15 * MIB); /* it may have had some */
  char *blocks[15];
  for (size_t i = 0; i < 15; i++) {
    blocks[i] = malloc(MIB - 64);
    ck_assert_ptr_nonnull(blocks[i]);
    memset(blocks[i], 1, MIB - 64);
    ck_assert(blocks[i] < after);
  }
  ck_assert_ptr_eq(sbrk(0), after);
  if (access("/sys/kernel/mm/transparent_hugepage", F_OK) == 0) ck_assert(is_advised(blocks[8]));
  for (size_t i = 0; i < 15; i++) free(blocks[i]);
  ck_assert_ptr_eq(sbrk(0), after); /* nothing is given back */
}
END_TEST

START_TEST(what_cannot_be_had_changes_nothing) {
  struct rlimit limit = {64 * MIB, 64 * MIB};
  ck_assert_int_eq(setrlimit(RLIMIT_DATA, &limit), 0);
  char *before = sbrk(0);
  kiln__malloc_ahead(512 * MIB);
  kiln__malloc_ahead(SIZE_MAX);
  ck_assert_ptr_eq(sbrk(0), before);
  char *block = malloc(MIB);
  ck_assert_ptr_nonnull(block);
  free(block);
}
END_TEST

int main(void) {
  Suite *suite = suite_create("malloc ahead");
  TCase *all = tcase_create("malloc ahead");
  tcase_add_test(all, allocations_come_from_the_heap);
  tcase_add_test(all, what_cannot_be_had_changes_nothing);
  suite_add_tcase(suite, all);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
