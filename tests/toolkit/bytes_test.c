/* SPDX-License-Identifier: MIT
 *
 * bytes_test.c: kiln_bytes: where they live, what a memfd from outside must be.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/temporary.h"
#include "toolkit/bytes.h"

#define ALL_SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

static char pattern[200000];

static void fill_pattern(void) {
  for (size_t i = 0; i < sizeof(pattern); i++) pattern[i] = (char)(i * 31 + i / 251);
}

static void assert_is(const kiln_bytes *bytes, size_t length) {
  kiln_span span = kiln_bytes_get(bytes);
  ck_assert_uint_eq(span.length, length);
  ck_assert(length == 0 || memcmp(span.data, pattern, length) == 0);
  ck_assert_uint_eq((uintptr_t)span.data % 8, 0);
}

START_TEST(bytes_live_where_their_size_says) {
  const size_t sizes[] = {0, 1, KILN_MEMFD_MIN - 1, KILN_MEMFD_MIN, sizeof(pattern)};
  for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
    kiln_bytes *bytes = kiln_bytes_new(pattern, sizes[i]);
    ck_assert_ptr_nonnull(bytes);
    assert_is(bytes, sizes[i]);
    int fd = kiln__bytes_fd(bytes);
    ck_assert((fd >= 0) == (sizes[i] >= KILN_MEMFD_MIN));
    if (fd >= 0) {
      ck_assert_int_eq(fcntl(fd, F_GET_SEALS) & ALL_SEALS, ALL_SEALS);
      ck_assert_int_eq(write(fd, "x", 1), -1);
      ck_assert_int_eq(ftruncate(fd, 0), -1);
      ck_assert_int_eq(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    }
    kiln_bytes_unref(kiln_bytes_ref(bytes));
    assert_is(bytes, sizes[i]);
    kiln_bytes_unref(bytes);
    ck_assert(fd < 0 || fcntl(fd, F_GETFD) == -1); /* closed with the last reference */
  }
  kiln_bytes_unref(NULL);
}
END_TEST

START_TEST(bytes_of_a_file_are_a_copy) {
  const size_t sizes[] = {1, KILN_MEMFD_MIN - 1, KILN_MEMFD_MIN, sizeof(pattern) - 1};
  char folder[TEMPORARY_PATH], name[TEMPORARY_PATH + 8];
  ck_assert(temporary_make("kiln-bytes", folder, sizeof(folder)));
  snprintf(name, sizeof(name), "%s/file", folder);
  int file = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  ck_assert_int_ge(file, 0);
  ck_assert(temporary_remove(folder)); /* the file lives until it is closed */
  for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
    size_t length = sizes[i];
    ck_assert_int_eq(pwrite(file, pattern, length + 1, 0), (ssize_t)length + 1);
    lseek(file, 0, SEEK_SET);
    kiln_bytes *bytes = kiln__bytes_new_from_file(file, length);
    ck_assert_ptr_nonnull(bytes);
    ck_assert_int_eq(fcntl(kiln__bytes_fd(bytes), F_GET_SEALS) & ALL_SEALS, ALL_SEALS);
    ck_assert_int_eq(pwrite(file, "changed", 7, 0), 7);
    assert_is(bytes, length);
    kiln_bytes_unref(bytes);
    ck_assert_int_eq(ftruncate(file, (off_t)length), 0);
    lseek(file, 0, SEEK_SET);
    ck_assert_ptr_null(kiln__bytes_new_from_file(file, length + 1));
    ck_assert_int_eq(errno, ENODATA);
  }
  close(file);
  ck_assert_ptr_null(kiln__bytes_new_from_file(-1, KILN_MEMFD_MIN));
  ck_assert_int_eq(errno, EBADF);
}
END_TEST

START_TEST(bytes_writer_puts_pieces_together) {
  const struct {
    size_t expected, total, piece;
  } cases[] = {{0, 0, 1},
               {0, 100, 7},
               {100, 100, 100},
               {0, sizeof(pattern), 1000},
               {sizeof(pattern), sizeof(pattern), 65536},
               {sizeof(pattern), 10, 3},
               {sizeof(pattern), 0, 1},
               {10, sizeof(pattern), 4096},
               {0, KILN_MEMFD_MIN, KILN_MEMFD_MIN},
               {0, KILN_MEMFD_MIN - 1, 100}};
  for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
    kiln_bytes_writer *writer = kiln_bytes_writer_new(cases[i].expected, sizeof(pattern));
    ck_assert_ptr_nonnull(writer);
    for (size_t at = 0; at < cases[i].total;) {
      size_t left = cases[i].total - at;
      size_t piece = left < cases[i].piece ? left : cases[i].piece;
      ck_assert_int_eq(kiln_bytes_writer_append(writer, pattern + at, piece), KILN_OK);
      at += piece;
      ck_assert_uint_eq(kiln_bytes_writer_length(writer), at);
    }
    kiln_bytes *bytes = kiln_bytes_writer_finish(writer);
    ck_assert_ptr_nonnull(bytes);
    assert_is(bytes, cases[i].total);
    if (cases[i].total >= KILN_MEMFD_MIN) ck_assert_int_ge(kiln__bytes_fd(bytes), 0);
    kiln_bytes_unref(bytes);
  }
}
END_TEST

START_TEST(bytes_writer_keeps_its_limit) {
  kiln_bytes_writer *writer = kiln_bytes_writer_new(0, 10);
  ck_assert_int_eq(kiln_bytes_writer_append(writer, pattern, 8), KILN_OK);
  ck_assert_int_eq(kiln_bytes_writer_append(writer, pattern, 3), KILN_ETOOBIG);
  ck_assert_int_eq(kiln_bytes_writer_append(writer, pattern, SIZE_MAX), KILN_ETOOBIG);
  ck_assert_int_eq(kiln_bytes_writer_append(writer, pattern + 8, 2), KILN_OK);
  ck_assert_int_eq(kiln_bytes_writer_append(writer, pattern, 0), KILN_OK);
  kiln_bytes *bytes = kiln_bytes_writer_finish(writer);
  assert_is(bytes, 10);
  kiln_bytes_unref(bytes);
  kiln_bytes_writer_free(kiln_bytes_writer_new(1 << 20, 1 << 20));
  kiln_bytes_writer_free(kiln_bytes_writer_new(0, 10));
  kiln_bytes_writer_free(NULL);
}
END_TEST

static int memfd_of(size_t length, unsigned flags, int seals) {
  int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING | flags);
  if (fd < 0) return -1;
  ck_assert_int_eq(write(fd, pattern, length), (ssize_t)length);
  if (seals) ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, seals), 0);
  return fd;
}

START_TEST(bytes_adopt_what_cannot_change) {
  kiln_bytes *bytes = kiln__bytes_adopt(memfd_of(100000, 0, ALL_SEALS), 100000, 100000);
  ck_assert_ptr_nonnull(bytes);
  assert_is(bytes, 100000);
  kiln_bytes_unref(bytes);
}
END_TEST

START_TEST(bytes_refuse_what_could_change) {
  const struct {
    int seals;
    uint64_t length, max;
  } cases[] = {
      {0, 5000, 9999},
      {ALL_SEALS & ~F_SEAL_WRITE, 5000, 9999},
      {ALL_SEALS & ~F_SEAL_SHRINK, 5000, 9999},
      {ALL_SEALS & ~F_SEAL_GROW, 5000, 9999},
      {ALL_SEALS & ~F_SEAL_SEAL, 5000, 9999},
      {ALL_SEALS, 4999, 9999},
      {ALL_SEALS, 5001, 9999},
      {ALL_SEALS, 5000, 4999},
      {ALL_SEALS, 0, 9999},
      {ALL_SEALS, UINT64_MAX, UINT64_MAX},
  };
  for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
    int fd = memfd_of(5000, 0, cases[i].seals);
    errno = 0;
    ck_assert_msg(kiln__bytes_adopt(fd, cases[i].length, cases[i].max) == NULL, "case %zu", i);
    ck_assert_int_eq(errno, EBADMSG);
    ck_assert_int_eq(fcntl(fd, F_GETFD), -1); /* taken all the same */
  }
}
END_TEST

START_TEST(bytes_refuse_what_is_no_memfd) {
  int pipes[2];
  ck_assert_int_eq(pipe(pipes), 0);
  const int fds[] = {open("/dev/zero", O_RDONLY),
                     open("/proc/self/exe", O_RDONLY),
                     pipes[0],
                     open("/", O_RDONLY),
                     pipes[1],
                     9999};
  for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
    ck_assert_ptr_null(kiln__bytes_adopt(fds[i], 4096, 1 << 30));
  int huge = memfd_create("huge", MFD_ALLOW_SEALING | MFD_HUGETLB);
  if (huge >= 0) { /* touching its pages may fail with SIGBUS */
    ck_assert_int_eq(ftruncate(huge, 2 << 20), 0);
    ck_assert_int_eq(fcntl(huge, F_ADD_SEALS, ALL_SEALS), 0);
    ck_assert_ptr_null(kiln__bytes_adopt(huge, 2 << 20, 1 << 30));
  }
}
END_TEST

int main(void) {
  fill_pattern();
  Suite *suite = suite_create("bytes");
  TCase *all = tcase_create("bytes");
  tcase_add_test(all, bytes_live_where_their_size_says);
  tcase_add_test(all, bytes_of_a_file_are_a_copy);
  tcase_add_test(all, bytes_writer_puts_pieces_together);
  tcase_add_test(all, bytes_writer_keeps_its_limit);
  tcase_add_test(all, bytes_adopt_what_cannot_change);
  tcase_add_test(all, bytes_refuse_what_could_change);
  tcase_add_test(all, bytes_refuse_what_is_no_memfd);
  suite_add_tcase(suite, all);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
