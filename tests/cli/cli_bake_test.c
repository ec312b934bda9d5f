/* SPDX-License-Identifier: MIT
 *
 * cli_bake_test.c: `kiln precompile` from outside: what they print, what they leave
 * behind, what official Node makes of it.
 */
#include <check.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cache/kcc.h"
#include "tests/cli/cli_support.h"

/* ---- precompile ---------------------------------------------------------------------- */

START_TEST(precompile_a_folder) {
  static const char *const kinds[][2] = {{"src/plain.js", "script"},
                                         {"src/a.cjs", "commonjs"},
                                         {"src/b.mjs", "module"},
                                         {"src/esm-by-syntax.js", "module"},
                                         {"src/cjs-by-syntax.js", "commonjs"},
                                         {"src/deep/er/c.js", "module"},
                                         {"src/strict/d.js", "commonjs"}};
  make_tree();
  outcome result = KILN("precompile", "--json", "--store", "store", "--jobs", "2", "src/");
  expect_status(&result, 0);
  ck_assert_str_eq(result.err, "");
  json_t *report = parse(result.out), *files = json_object_get(report, "files");
  ck_assert_uint_eq(json_array_size(files), 7);
  for (size_t i = 0; i < 7; i++) {
    json_t *file = entry_of(files, "file", kinds[i][0]);
    ck_assert_str_eq(string_of(file, "kind"), kinds[i][1]);
    ck_assert_str_eq(string_of(file, "cache"), "miss");
    ck_assert_str_eq(string_of(file, "mode"), "lazy");
    ck_assert_uint_eq(strlen(string_of(file, "key")), 64);
    ck_assert_int_gt(number_of(file, "blobBytes"), 0);
    ck_assert(json_real_value(json_object_get(json_object_get(file, "times"), "compileMs")) > 0);
  }
  json_t *summary = json_object_get(report, "summary");
  ck_assert_int_eq(number_of(summary, "files"), 7);
  ck_assert_int_eq(number_of(summary, "baked"), 7);
  ck_assert_int_eq(number_of(summary, "failed"), 0);
  ck_assert_str_eq(string_of(json_object_get(report, "engine"), "name"), "node-18");
  json_decref(report);
  outcome_free(&result);

  result = KILN("precompile", "--json", "--store", "store", "src");
  expect_status(&result, 0);
  report = parse(result.out);
  ck_assert_int_eq(number_of(json_object_get(report, "summary"), "hits"), 7);
  json_decref(report);
  outcome_free(&result);

  result = KILN("precompile", "--store", "store", "src");
  expect_status(&result, 0);
  ck_assert(strncmp(result.out, "hit ", 4) == 0);
  ck_assert(says(result.err, "7 files, 7 hits, 0 failed"));
  outcome_free(&result);
}
END_TEST

START_TEST(precompile_tells_failures) {
  write_file("good.js", "1");
  write_file("bad.js", "\n  var = 1;");
  outcome result = KILN("precompile", "--json", "--store", "store", "good.js", "bad.js");
  expect_status(&result, 1);
  ck_assert(says(result.err, "kiln precompile: bad.js:2:7: SyntaxError: "));
  json_t *report = parse(result.out), *files = json_object_get(report, "files");
  ck_assert_str_eq(string_of(entry_of(files, "file", "good.js"), "cache"), "miss");
  json_t *error = json_object_get(entry_of(files, "file", "bad.js"), "error");
  ck_assert_str_eq(string_of(error, "name"), "SyntaxError");
  ck_assert_int_eq(number_of(error, "line"), 2);
  ck_assert_int_eq(number_of(error, "column"), 7);
  ck_assert_int_eq(number_of(json_object_get(report, "summary"), "failed"), 1);
  json_decref(report);
  outcome_free(&result);

  result = KILN("precompile", "--quiet", "--store", "store", "good.js", "missing.js");
  expect_status(&result, 1);
  ck_assert_str_eq(result.out, "");
  ck_assert_str_eq(result.err, "kiln precompile: 'missing.js': No such file or directory\n");
  outcome_free(&result);

  result = KILN("precompile", "--store", "store", "/dev/null");
  expect_status(&result, 1);
  ck_assert(says(result.err, "not a regular file"));
  outcome_free(&result);

  write_file("loop.js", "while (true);");
  result = KILN("precompile", "--store", "store", "--mode", "warm", "--timeout", "100", "loop.js");
  expect_status(&result, 1);
  ck_assert(says(result.err, "loop.js"));
  ck_assert(says(result.out, "failed"));
  outcome_free(&result);

  result = KILN("precompile", "--store", "/dev/null/x", "good.js");
  expect_status(&result, 1);
  ck_assert(says(result.err, "/dev/null/x"));
  outcome_free(&result);
}
END_TEST

/* Workers are nicer than other programs, but never less nice than who started them. */
START_TEST(precompile_as_nice_as_can_be) {
  write_file("good.js", "1");
  outcome result = run_program("/usr/bin/nice",
                               (const char *const[]){"-n", "19", KILN_TEST_CLI, "precompile",
                                                     "--store", "store", "good.js", NULL},
                               (const char *const[]){NULL});
  expect_status(&result, 0);
  ck_assert_msg(says(result.out, "miss "), "%s%s", result.out, result.err);
  outcome_free(&result);
}
END_TEST

START_TEST(precompile_modes_and_functions) {
  static const char *const modes[] = {"lazy", "eager", "warm", "workload"};
  write_file("a.js", "globalThis.go = function () { return [1, 2].map((x) => x * 2); };");
  write_file("w.js", "go();");
  char keys[4][65];
  for (size_t i = 0; i < 4; i++) {
    const char *const arguments[] = {
        "precompile", "--json", "--store", "store",
        "a.js",       "--mode", modes[i],  i == 3 ? "--workload" : NULL,
        "w.js",       NULL};
    outcome result = kiln_with((const char *const[]){NULL}, arguments);
    expect_status(&result, 0);
    json_t *report = parse(result.out);
    json_t *file = json_array_get(json_object_get(report, "files"), 0);
    ck_assert_str_eq(string_of(file, "cache"), "miss");
    ck_assert_str_eq(string_of(file, "mode"), modes[i]);
    (void)snprintf(keys[i], sizeof(keys[i]), "%s", string_of(file, "key"));
    json_decref(report);
    outcome_free(&result);
  }
  write_file("f.js", "return x + y;");
  outcome result = KILN("precompile", "--store", "store", "--kind", "function", "--params", "x,y",
                        "--keep-sources", "f.js");
  expect_status(&result, 0);
  outcome_free(&result);
  result = KILN("precompile", "--store", "store", "--kind", "function", "--params", "x,1", "f.js");
  expect_status(&result, 1);
  ck_assert(says(result.err, "SyntaxError"));
  outcome_free(&result);

  result = KILN("cache", "ls", "--store", "store", "--json");
  expect_status(&result, 0);
  json_t *list = parse(result.out);
  ck_assert_uint_eq(json_array_size(list), 5);
  for (size_t i = 0; i < 4; i++) {
    ck_assert_str_eq(string_of(entry_of(list, "key", keys[i]), "mode"), modes[i]);
  }
  json_decref(list);
  outcome_free(&result);
}
END_TEST

/* ---- a store in trouble --------------------------------------------------------------- */

/* No file may grow beyond 40,000 bytes, SQLite's log among them: to the store that is a full disk.
 */
START_TEST(precompile_into_a_full_store_fails) {
  write_file("first.js", "1");
  outcome result = KILN("precompile", "--store", "store", "first.js");
  expect_status(&result, 0);
  ck_assert(!says(result.err, "not stored"));
  outcome_free(&result);
  char name[32], text[32];
  for (int i = 0; i < 20; i++) {
    (void)snprintf(name, sizeof(name), "src/%d.js", i);
    (void)snprintf(text, sizeof(text), "var a = %d;", i);
    write_file(name, text);
  }
  struct rlimit limit, small = {40000, RLIM_INFINITY};
  ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
  small.rlim_max = limit.rlim_max;
  ck_assert_ptr_ne(signal(SIGXFSZ, SIG_IGN), SIG_ERR);
  ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
  result = KILN("precompile", "--json", "--store", "store", "--out", "out", "src");
  outcome plain = KILN("precompile", "--store", "store", "src");
  ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
  expect_status(&result, 1);
  json_t *report = parse(result.out), *summary = json_object_get(report, "summary");
  long long not_stored = number_of(summary, "notStored");
  ck_assert_int_gt(not_stored, 0);
  ck_assert_int_eq(number_of(summary, "failed"), 0);
  json_decref(report);
  char said[64];
  (void)snprintf(said, sizeof(said), "the store did not take %lld of 20 files", not_stored);
  ck_assert(says(result.err, said));
  const char *reason = strstr(result.err, "kiln.db': ");
  ck_assert_ptr_nonnull(reason);
  ck_assert_ptr_null(strstr(reason + 1, "kiln.db': ")); /* once */
  outcome_free(&result);
  ck_assert_int_eq(access("out/node-18/index", F_OK), 0);
  ck_assert_int_eq(access("out/manifest.json", F_OK), 0);
  expect_status(&plain, 1);
  ck_assert(says(plain.err, " not stored: "));
  outcome_free(&plain);
  result = KILN("precompile", "--store", "store", "src");
  expect_status(&result, 0);
  outcome_free(&result);
}
END_TEST

#define PAGE_BYTES 8192

/* Spoils all pages but the first, which has the schema. */
static void spoil_database(const char *path) {
  struct stat status;
  int fd = open(path, O_WRONLY);
  ck_assert_int_ge(fd, 0);
  ck_assert_int_eq(fstat(fd, &status), 0);
  for (off_t at = PAGE_BYTES; at < status.st_size; at += 512) {
    char bytes[512];
    memset(bytes, 0xff, sizeof(bytes));
    ck_assert_int_eq(pwrite(fd, bytes, sizeof(bytes), at), (ssize_t)sizeof(bytes));
  }
  ck_assert_int_eq(close(fd), 0);
}

START_TEST(damaged_database_is_to_be_moved_away) {
  write_file("a.js", "1");
  outcome result = KILN("precompile", "--quiet", "--store", "store", "a.js");
  expect_status(&result, 0);
  outcome_free(&result);
  spoil_database("store/kiln.db");
  result = KILN("cache", "verify", "--store", "store");
  expect_status(&result, 1);
  ck_assert(says(result.out, "database damaged\n"));
  ck_assert(says(result.err, "database 'store/kiln.db': damaged; move it"));
  ck_assert(!says(result.err, "source '0000"));
  outcome_free(&result);
  result = KILN("precompile", "--store", "store", "a.js");
  expect_status(&result, 1);
  ck_assert(says(result.err, "1 not stored"));
  ck_assert(says(result.err, "move the file and its -wal and -shm away"));
  outcome_free(&result);
  ck_assert_int_eq(rename("store/kiln.db", "broken.db"), 0);
  (void)unlink("store/kiln.db-wal");
  (void)unlink("store/kiln.db-shm");
  result = KILN("precompile", "--store", "store", "a.js");
  expect_status(&result, 0);
  outcome_free(&result);
  result = KILN("cache", "verify", "--store", "store");
  expect_status(&result, 0);
  outcome_free(&result);
}
END_TEST

/* Sizes of 0 that are none, and sources without a name. */
START_TEST(odd_files_are_read_or_refused) {
  outcome result = KILN("precompile", "--store", "store", "/proc/self/mem");
  expect_status(&result, 1);
  ck_assert(says(result.err, "/proc/self/mem: "));
  outcome_free(&result);
  /* It has text, though its size is 0: were that believed, nothing would be compiled. */
  result = KILN("precompile", "--store", "store", "--kind", "script", "/proc/version");
  expect_status(&result, 1);
  ck_assert(says(result.err, "SyntaxError"));
  outcome_free(&result);
  write_file("empty.js", "");
  result = KILN("precompile", "--store", "store", "empty.js");
  expect_status(&result, 0);
  outcome_free(&result);
  result =
      run_program("/bin/sh",
                  (const char *const[]){"-c", "echo 'console.log(1 + 6)' | \"$0\" run /dev/stdin",
                                        KILN_TEST_CLI, NULL},
                  (const char *const[]){NULL});
  expect_status(&result, 0);
  ck_assert_str_eq(result.out, "7\n");
  outcome_free(&result);
  ck_assert_int_eq(mkfifo("fifo.js", 0600), 0);
  result = KILN("run", "fifo.js");
  expect_status(&result, 1);
  ck_assert_str_eq(result.err, "kiln run: 'fifo.js': not a regular file\n");
  outcome_free(&result);
}
END_TEST

int main(void) {
  Suite *suite = suite_create("cli_bake");
  TCase *tcase = tcase_create("cli_bake");
  tcase_add_checked_fixture(tcase, set_up, tear_down);
  tcase_set_timeout(tcase, 120);
  tcase_add_test(tcase, precompile_a_folder);
  tcase_add_test(tcase, precompile_tells_failures);
  tcase_add_test(tcase, precompile_as_nice_as_can_be);
  tcase_add_test(tcase, precompile_modes_and_functions);
  tcase_add_test(tcase, precompile_into_a_full_store_fails);
  tcase_add_test(tcase, damaged_database_is_to_be_moved_away);
  tcase_add_test(tcase, odd_files_are_read_or_refused);
  suite_add_tcase(suite, tcase);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_ENV);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
