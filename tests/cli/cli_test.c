/* SPDX-License-Identifier: MIT
 *
 * cli_test.c: the `kiln` command from outside: help, usage, and the commands that look at things.
 */
#include <check.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cache/kcc.h"
#include "tests/cli/cli_support.h"
#include "tests/official_node.h"

/* ---- help ---------------------------------------------------------------------------- */

static const char *const commands[] = {"precompile", "verify-manifest", "rebake",
                                       "run",        "measure",         "cache",
                                       "engines",    "explain",         "doctor"};
#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void expect_golden(const outcome *result, const char *name) {
  char path[256];
  size_t length;
  (void)snprintf(path, sizeof(path), KILN_TEST_GOLDEN "/%s.txt", name);
  char *golden = read_file(path, &length);
  ck_assert_str_eq(result->out, golden);
  free(golden);
}

START_TEST(help_is_as_agreed) {
  outcome result = KILN("--help");
  expect_status(&result, 0);
  expect_golden(&result, "kiln");
  outcome_free(&result);
  for (size_t i = 0; i < COMMANDS; i++) {
    result = KILN(commands[i], "--help");
    expect_status(&result, 0);
    expect_golden(&result, commands[i]);
    ck_assert_str_eq(result.err, "");
    outcome_free(&result);
    result = KILN(commands[i], "--version");
    expect_status(&result, 0);
    ck_assert_str_eq(result.out, "kiln " KILN_VERSION_TEXT "\n");
    outcome_free(&result);
  }
  result = KILN("--version");
  ck_assert_str_eq(result.out, "kiln " KILN_VERSION_TEXT "\n");
  outcome_free(&result);
}
END_TEST

/* Every option that a help names is in the manual page, and the other way round. */
START_TEST(manual_page_knows_every_option) {
  size_t length;
  char *manual = read_file(KILN_TEST_MANUAL, &length);
  char *helps = calloc(1, 65536);
  ck_assert_ptr_nonnull(helps);
  for (size_t i = 0; i < COMMANDS; i++) {
    outcome result = KILN(commands[i], "--help");
    ck_assert_uint_lt(strlen(helps) + result.out_length, 65535);
    memcpy(helps + strlen(helps), result.out, result.out_length + 1);
    outcome_free(&result);
  }
  unsigned count = 0;
  char word[64], wanted[80];
  for (const char *at = strstr(helps, "--"); at != NULL; at = strstr(at + 2, "--")) {
    size_t size = strspn(at + 2, "abcdefghijklmnopqrstuvwxyz-");
    if (size == 0) continue;
    ck_assert_uint_lt(size, sizeof(word));
    memcpy(word, at + 2, size);
    word[size] = '\0';
    (void)snprintf(wanted, sizeof(wanted), "Fl Fl %s", word);
    ck_assert_msg(says(manual, wanted), "--%s is not in the manual page", word);
    count++;
  }
  ck_assert_uint_gt(count, 25);
  for (const char *at = strstr(manual, "Fl Fl "); at != NULL; at = strstr(at + 6, "Fl Fl ")) {
    size_t size = strspn(at + 6, "abcdefghijklmnopqrstuvwxyz-");
    ck_assert_uint_lt(size, sizeof(word));
    memcpy(word, at + 6, size);
    word[size] = '\0';
    (void)snprintf(wanted, sizeof(wanted), "--%s", word);
    ck_assert_msg(says(helps, wanted), "--%s is in the manual page only", word);
  }
  free(helps);
  free(manual);
}
END_TEST

START_TEST(wrong_usage_is_status_2) {
  static const struct {
    const char *arguments[6];
    const char *message;
  } cases[] = {
      {{"bogus"}, "kiln: command 'bogus': unknown"},
      {{"precompile"}, "kiln precompile: no files"},
      {{"precompile", "--bogus"}, "option '--bogus': unknown"},
      {{"precompile", "--store"}, "option '--store': needs an argument"},
      {{"precompile", "--mode", "hot", "a.js"}, "mode 'hot': unknown"},
      {{"precompile", "--mode", "workload", "a.js"}, "need each other"},
      {{"precompile", "--workload", "w.js", "a.js"}, "need each other"},
      {{"precompile", "--kind", "wasm", "a.js"}, "kind 'wasm': unknown"},
      {{"precompile", "--params", "a", "a.js"}, "--params needs --kind function"},
      {{"precompile", "--jobs", "0", "a.js"}, "jobs '0': not a number from 1 to 256"},
      {{"precompile", "--jobs", "257", "a.js"}, "jobs '257'"},
      {{"precompile", "--jobs", "2x", "a.js"}, "jobs '2x'"},
      {{"precompile", "--jobs", "-1", "a.js"}, "jobs '-1'"},
      {{"precompile", "--timeout", "99999999999999999999", "a.js"}, "timeout '9"},
      {{"precompile", "--files", "a.js"}, "--files needs --out"},
      {{"precompile", "--root", ".", "a.js"}, "--root needs --out"},
      {{"precompile", "--exercise", "a.js", "a.js"}, "--exercise needs --out"},
      {{"precompile", "--exercise-timeout", "0", "a.js"}, "exercise-timeout '0': not a number"},
      {{"verify-manifest"}, "kiln verify-manifest: no folder"},
      {{"verify-manifest", "a", "b"}, "takes one folder"},
      {{"rebake"}, "kiln rebake: for which --engine?"},
      {{"rebake", "--engine", "node-22", "x"}, "takes no arguments"},
      {{"rebake", "--engine", "node-22", "--days", "0"}, "days '0': not a number from 1 to 36500"},
      {{"run"}, "kiln run: no file"},
      {{"run", "--timeout", "0", "a.js"}, "timeout '0'"},
      {{"run", "--kind", "function", "a.js"}, "kind 'function'"},
      {{"measure"}, "kiln measure: no files"},
      {{"measure", "--mode", "all", "a.js"}, "neither summary nor detailed"},
      {{"measure", "--execution", "later", "a.js"}, "neither default nor eager"},
      {{"cache"}, "which of"},
      {{"cache", "prune"}, "'prune': unknown"},
      {{"cache", "get"}, "get: no key"},
      {{"cache", "get", "a", "b"}, "too many"},
      {{"cache", "rm", "--json", "a"}, "has no --json"},
      {{"cache", "ls", "-o", "x"}, "has no --output"},
      {{"engines", "ls", "x"}, "takes no arguments"},
  };
  for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
    outcome result = kiln_with((const char *const[]){NULL}, cases[i].arguments);
    expect_status(&result, 2);
    ck_assert_msg(says(result.err, cases[i].message), "'%s' is not in: %s", cases[i].message,
                  result.err);
    ck_assert_str_eq(result.out, "");
    outcome_free(&result);
  }
  outcome result = kiln_with((const char *const[]){NULL}, (const char *const[]){NULL});
  expect_status(&result, 2);
  ck_assert(says(result.err, "Usage: kiln"));
  outcome_free(&result);
}
END_TEST

/* ---- measure, engines, cache --------------------------------------------------------- */

START_TEST(MM06_measure_has_nodes_shape) {
  write_file("one.js", "globalThis.a = Array.from({length: 20000}, (_, i) => ({i}));");
  write_file("two.js", "globalThis.b = 1;");
  outcome result = KILN("measure", "--json", "one.js", "two.js");
  expect_status(&result, 0);
  json_t *memory = parse(result.out);
  json_t *current = json_object_get(memory, "current");
  json_t *two = entry_of(json_object_get(memory, "other"), "name", "two.js");
  ck_assert_str_eq(string_of(current, "name"), "one.js");
  ck_assert_int_gt(number_of(current, "jsMemoryEstimate"), 600000);
  ck_assert_int_lt(number_of(two, "jsMemoryEstimate"), 600000);
  ck_assert_uint_eq(json_array_size(json_object_get(two, "jsMemoryRange")), 2);
  ck_assert_int_gt(number_of(json_object_get(memory, "total"), "jsMemoryEstimate"), 600000);
  json_decref(memory);
  outcome_free(&result);

  result = KILN("measure", "one.js", "two.js");
  expect_status(&result, 0);
  ck_assert(says(result.out, "  one.js\n"));
  ck_assert(says(result.out, "  two.js\n"));
  ck_assert(says(result.out, "  total\n"));
  outcome_free(&result);

  result = KILN("measure", "--mode", "summary", "--json", "one.js");
  expect_status(&result, 0);
  memory = parse(result.out);
  ck_assert_ptr_null(json_object_get(memory, "other"));
  json_decref(memory);
  outcome_free(&result);

  write_file("bad.js", "throw new Error('no');");
  result = KILN("measure", "bad.js");
  expect_status(&result, 1);
  ck_assert(says(result.err, "Error: no"));
  outcome_free(&result);
}
END_TEST

START_TEST(engines_are_told) {
  outcome result = KILN("engines", "--json");
  expect_status(&result, 0);
  json_t *list = parse(result.out);
  ck_assert_uint_eq(json_array_size(list), 1);
  ck_assert_str_eq(string_of(json_array_get(list, 0), "name"), "node-18");
  ck_assert_int_eq(number_of(json_array_get(list, 0), "cachedDataTag"),
                   official_node_tag(KILN_TEST_NODE18));
  json_decref(list);
  outcome_free(&result);
  result = KILN("engines");
  expect_status(&result, 0);
  ck_assert(strncmp(result.out, "node-18 ", 8) == 0 && says(result.out, "V8 10.2."));
  outcome_free(&result);
}
END_TEST

START_TEST(doctor_shows_a_sandbox_that_is_off) {
  outcome result = KILN("doctor", "--sandbox=off", "--store", "store");
  expect_status(&result, 1);
  ck_assert_msg(says(result.out, "required  node-18      seccomp "), "%s", result.out);
  ck_assert_msg(says(result.out, "-> switched off by --sandbox=off\n"), "%s", result.out);
  ck_assert(says(result.out, "ok        node-18      runs "));
  ck_assert(says(result.out, "ok        node-18      limits "));
  outcome_free(&result);
  result = KILN("doctor", "--sandbox", "maybe");
  expect_status(&result, 2);
  ck_assert(says(result.err, "--sandbox 'maybe': must be on or off"));
  outcome_free(&result);
}
END_TEST

START_TEST(cache_looks_and_tidies) {
  outcome result = KILN("cache", "ls", "--store", "store");
  expect_status(&result, 1);
  ck_assert_str_eq(result.err, "kiln cache: store 'store': No such file or directory\n");
  outcome_free(&result);

  write_file("a.js", "1");
  write_file("b.js", "2");
  result = KILN("precompile", "--quiet", "--store", "store", "a.js", "b.js");
  expect_status(&result, 0);
  outcome_free(&result);
  result = KILN("cache", "stats", "--store", "store", "--json");
  expect_status(&result, 0);
  json_t *stats = parse(result.out);
  ck_assert_int_eq(number_of(stats, "entries"), 2);
  ck_assert_int_gt(number_of(stats, "blobBytes"), 0);
  json_decref(stats);
  outcome_free(&result);
  result = KILN("cache", "stats", "--store", "store");
  ck_assert(says(result.out, "entries      2\n"));
  outcome_free(&result);

  result = KILN("cache", "ls", "--store", "store", "--json");
  json_t *list = parse(result.out);
  char key[65];
  (void)snprintf(key, sizeof(key), "%s", string_of(entry_of(list, "filename", "/a.js"), "key"));
  json_decref(list);
  outcome_free(&result);
  result = KILN("cache", "ls", "--store", "store");
  ck_assert(says(result.out, key));
  outcome_free(&result);

  result = KILN("cache", "get", "--store", "store", key, "-o", "a.cache");
  expect_status(&result, 0);
  outcome_free(&result);
  struct stat file;
  ck_assert_int_eq(stat("a.cache", &file), 0);
  ck_assert_int_gt(file.st_size, 0);
  result = KILN("cache", "get", "--store", "store", key, "--output", "/nonexistent/x");
  expect_status(&result, 1);
  outcome_free(&result);

  result = KILN("cache", "verify", "--store", "store");
  expect_status(&result, 0);
  /* Two entries and their sources. */
  ck_assert_str_eq(result.out, "4 checked, 0 damaged, database ok\n");
  outcome_free(&result);
  result = KILN("cache", "rm", "--store", "store", key);
  expect_status(&result, 0);
  outcome_free(&result);
  result = KILN("cache", "rm", "--store", "store", key);
  expect_status(&result, 1);
  ck_assert(says(result.err, "not in the store"));
  outcome_free(&result);
  result = KILN("cache", "get", "--store", "store", key);
  expect_status(&result, 1);
  ck_assert_str_eq(result.out, "");
  outcome_free(&result);
  result = KILN("cache", "get", "--store", "store", "abc");
  expect_status(&result, 2);
  ck_assert(says(result.err, "key 'abc': not 64 hex digits"));
  outcome_free(&result);
  result = KILN("cache", "verify", "--store", "store", "--json");
  expect_status(&result, 0);
  stats = parse(result.out);
  ck_assert_int_eq(number_of(stats, "checked"), 2);
  ck_assert(json_is_true(json_object_get(stats, "databaseOk")));
  json_decref(stats);
  outcome_free(&result);
}
END_TEST

START_TEST(cache_tells_what_is_in_quarantine) {
  kcc_store *store;
  kcc_digest key, kept;
  kcc_put put = {.parts = {.fingerprint = {.engine = "node-22.23.3", .build_id = "0badcafe"},
                           .source_length = 4,
                           .filename = {"bad\033.js", 7},
                           .line_offset = -2},
                 .blob = {"blob", 4},
                 .source_text = {"text", 4}};
  ck_assert_int_eq(kcc_digest_of(put.source_text, &put.parts.source, NULL), KCC_OK);
  ck_assert_int_eq(kcc_store_open("store", NULL, &store, NULL), KCC_OK);
  ck_assert_int_eq(kcc_store_put(store, &put, &key, NULL), KCC_OK);
  put.parts.line_offset = 3;
  ck_assert_int_eq(kcc_store_put(store, &put, &kept, NULL), KCC_OK);
  ck_assert_int_eq(kcc_store_quarantine(store, &key, "engine died (SIGSEGV)", NULL), KCC_OK);
  kcc_store_close(store);
  char hex[KCC_HEX_BYTES], line[160];
  kcc_digest_format(&key, hex);

  outcome result = KILN("cache", "quarantine", "--store", "store");
  expect_status(&result, 0);
  (void)snprintf(line, sizeof(line),
                 "  entry        %s        116  engine died (SIGSEGV)  bad?.js\n", hex);
  ck_assert(says(result.out, line));
  outcome_free(&result);
  result = KILN("cache", "quarantine", "--store", "store", "--json");
  expect_status(&result, 0);
  json_t *list = parse(result.out);
  ck_assert_uint_eq(json_array_size(list), 1);
  json_t *item = json_array_get(list, 0);
  ck_assert_str_eq(string_of(item, "what"), "entry");
  ck_assert_str_eq(string_of(item, "key"), hex);
  ck_assert_str_eq(string_of(item, "reason"), "engine died (SIGSEGV)");
  ck_assert_str_eq(string_of(item, "name"), "bad\033.js");
  ck_assert_int_eq(number_of(item, "bytes"), 116);
  ck_assert_int_gt(number_of(item, "movedMs"), 1500000000000);
  json_decref(list);
  outcome_free(&result);

  result = KILN("cache", "ls", "--store", "store", "--json");
  list = parse(result.out);
  ck_assert_uint_eq(json_array_size(list), 1);
  item = json_array_get(list, 0);
  ck_assert_str_eq(string_of(item, "engine"), "node-22.23.3");
  ck_assert_str_eq(string_of(item, "buildId"), "0badcafe");
  ck_assert_int_eq(number_of(item, "lineOffset"), 3);
  ck_assert(json_is_true(json_object_get(item, "sourceKept")));
  ck_assert_uint_eq(strlen(string_of(item, "fingerprint")), 64);
  json_decref(list);
  outcome_free(&result);
  result = KILN("cache", "ls", "--store", "store");
  ck_assert(says(result.out, "  node-22.23.3  script    lazy              4+          4  "));
  outcome_free(&result);
  result = KILN("cache", "stats", "--store", "store");
  ck_assert(says(result.out, "quarantined  1\nsources      1\nsource bytes 1"));
  outcome_free(&result);
}
END_TEST

START_TEST(store_has_a_default_place) {
  struct stat status;
  write_file("a.js", "1");
  outcome result = KILN("precompile", "--quiet", "a.js");
  expect_status(&result, 0);
  outcome_free(&result);
  ck_assert_int_eq(stat(".cache/kiln", &status), 0);
  ck_assert_uint_eq(status.st_mode & 0777, 0700);

  char setting[TEMPORARY_PATH + 32];
  (void)snprintf(setting, sizeof(setting), "XDG_CACHE_HOME=%s/xdg", home);
  result = kiln_with((const char *const[]){setting, NULL},
                     (const char *const[]){"precompile", "--quiet", "a.js", NULL});
  expect_status(&result, 0);
  outcome_free(&result);
  ck_assert_int_eq(stat("xdg/kiln", &status), 0);

  result = kiln_with((const char *const[]){setting, "KILN_STORE=mine", NULL},
                     (const char *const[]){"precompile", "--quiet", "a.js", NULL});
  expect_status(&result, 0);
  outcome_free(&result);
  ck_assert_int_eq(stat("mine", &status), 0);

  result = kiln_with((const char *const[]){"KILN_STORE=mine", NULL},
                     (const char *const[]){"cache", "ls", NULL});
  expect_status(&result, 0);
  ck_assert(says(result.out, "/a.js\n"));
  outcome_free(&result);
}
END_TEST

int main(void) {
  Suite *suite = suite_create("cli");
  TCase *tcase = tcase_create("cli");
  tcase_add_checked_fixture(tcase, set_up, tear_down);
  tcase_set_timeout(tcase, 120);
  tcase_add_test(tcase, help_is_as_agreed);
  tcase_add_test(tcase, manual_page_knows_every_option);
  tcase_add_test(tcase, wrong_usage_is_status_2);
  tcase_add_test(tcase, MM06_measure_has_nodes_shape);
  tcase_add_test(tcase, engines_are_told);
  tcase_add_test(tcase, doctor_shows_a_sandbox_that_is_off);
  tcase_add_test(tcase, cache_looks_and_tidies);
  tcase_add_test(tcase, cache_tells_what_is_in_quarantine);
  tcase_add_test(tcase, store_has_a_default_place);
  suite_add_tcase(suite, tcase);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_ENV);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
