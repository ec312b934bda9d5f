/* SPDX-License-Identifier: MIT
 *
 * cli_engines_test.c: `kiln engines`, with official Node binaries. Adding them for the first time
 * is tests/engines/add.sh's; here are copies of what it made, so that nothing is compiled.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/cli/cli_support.h"

#define NODES KILN_TEST_NODES
static const char *const official[] = {"node-18.20.4", "node-20.20.0", "node-20.20.2",
                                       "node-22.23.3", "node-24.21.0", "node-26.10.0"};
#define OFFICIAL (sizeof(official) / sizeof(official[0]))

/* Node is found where it is installed, not beside the test's own home. */
static const char *const settings[] = {"PATH=/usr/bin:/bin", NULL};
#define ENGINES(...) kiln_with(settings, (const char *const[]){"engines", __VA_ARGS__, NULL})

static void copy_registry(void) {
  char command[2048];
  const char *from = getenv("KILN_TEST_ENGINES");
  ck_assert_msg(from != NULL, "KILN_TEST_ENGINES is not set: run this through ctest");
  snprintf(command, sizeof(command),
           "mkdir -p -m 700 %s/r/objects && cp -r %s/objects/*-* %s/r/objects/", home, from, home);
  ck_assert_int_eq(system(command), 0);
}

static json_t *list(void) {
  outcome result = ENGINES("ls", "--json", "--engines-dir", "r");
  expect_status(&result, 0);
  json_t *engines = parse(result.out);
  outcome_free(&result);
  return engines;
}

START_TEST(lists_libv8s_alone_without_a_registry) {
  outcome result = kiln_with(settings, (const char *const[]){"engines", "--json", NULL});
  expect_status(&result, 0);
  json_t *engines = parse(result.out);
  ck_assert_uint_eq(json_array_size(engines), 1);
  ck_assert_str_eq(string_of(json_array_get(engines, 0), "name"), "node-18");
  ck_assert_str_eq(string_of(json_array_get(engines, 0), "node"), "");
  ck_assert_uint_eq(strlen(string_of(json_array_get(engines, 0), "fingerprint")), 64);
  json_decref(engines);
  outcome_free(&result);
}
END_TEST

START_TEST(adds_lists_checks_and_removes) {
  static const char *const nodes[] = {"18", "20-0", "20", "22", "24", "26"};
  copy_registry();
  for (size_t i = 0; i < OFFICIAL; i++) {
    char path[2 * TEMPORARY_PATH];
    snprintf(path, sizeof(path), NODES "/node-%s%s", nodes[i], i % 2 ? "/bin/node" : "");
    outcome result = ENGINES("add", path, "--engines-dir", "r");
    expect_status(&result, 0);
    ck_assert(says(result.out, official[i]));
    ck_assert_msg(!says(result.out, "built"), "what was built before was not found: %s",
                  result.out);
    outcome_free(&result);
  }
  json_t *engines = list();
  ck_assert_uint_eq(json_array_size(engines), OFFICIAL + 1);
  long long tag_20_0 = 0, tag_20_2 = 0;
  for (size_t i = 0; i < OFFICIAL; i++) {
    json_t *engine = json_array_get(engines, i + 1);
    ck_assert_str_eq(string_of(engine, "name"), official[i]);
    ck_assert_str_eq(string_of(engine, "state"), "ok");
    if (i == 1) tag_20_0 = number_of(engine, "cachedDataTag");
    if (i == 2) tag_20_2 = number_of(engine, "cachedDataTag");
  }
  /* Equal tags, and yet engines of their own. */
  ck_assert_int_eq(tag_20_0, tag_20_2);
  ck_assert_str_ne(string_of(json_array_get(engines, 2), "fingerprint"),
                   string_of(json_array_get(engines, 3), "fingerprint"));
  json_decref(engines);

  outcome result = ENGINES("check", "node-24", "--engines-dir", "r");
  expect_status(&result, 0);
  ck_assert(says(result.out, "node-24.21.0") && says(result.out, "ok"));
  ck_assert(!says(result.out, "node-22"));
  outcome_free(&result);
  result = ENGINES("rm", "node-20.20.0", "--engines-dir", "r");
  expect_status(&result, 0);
  outcome_free(&result);
  result = ENGINES("rm", "node-20.20.0", "--engines-dir", "r");
  expect_status(&result, 1);
  ck_assert(says(result.err, "unknown"));
  outcome_free(&result);
  engines = list();
  ck_assert_uint_eq(json_array_size(engines), OFFICIAL);
  json_decref(engines);
  result = ENGINES("check", "--engines-dir", "r"); /* the others' objects are there still */
  expect_status(&result, 0);
  outcome_free(&result);
}
END_TEST

START_TEST(flags_make_another_engine) {
  copy_registry();
  outcome result = ENGINES("add", NODES "/node-22", "--engines-dir", "r");
  expect_status(&result, 0);
  outcome_free(&result);
  result = ENGINES("add", NODES "/node-22", "--flags", "--max-old-space-size=200", "--name",
                   "small", "--engines-dir", "r");
  expect_status(&result, 0);
  outcome_free(&result);
  json_t *engines = list();
  ck_assert_uint_eq(json_array_size(engines), 3);
  json_t *plain = entry_of(engines, "name", "node-22.23.3"),
         *small = entry_of(engines, "name", "small");
  ck_assert_int_ne(number_of(plain, "cachedDataTag"), number_of(small, "cachedDataTag"));
  ck_assert_str_eq(string_of(small, "flags"), "--max-old-space-size=200");
  json_decref(engines);
  result = ENGINES("rm", "small", "--engines-dir", "r");
  expect_status(&result, 0);
  outcome_free(&result);
  result = ENGINES("check", "--engines-dir", "r"); /* it had the same object */
  expect_status(&result, 0);
  outcome_free(&result);
  result = ENGINES("add", NODES "/node-22", "--flags", "--no-such-flag", "--engines-dir", "r");
  expect_status(&result, 1);
  ck_assert(says(result.err, "no-such-flag"));
  outcome_free(&result);
}
END_TEST

START_TEST(refuses_what_is_no_node) {
  static const struct {
    const char *path, *said;
  } rows[] = {
      {"nothing", "there is no node"},
      {"text", "no 64-bit ELF program"},
      {"shim", "a script; give the node binary"},
      {"/bin/true", "does not answer as a node does"},
      {"node@abc", "not a version"},
      {"node@", "not a version"},
      {"node@1;rm", "not a version"},
      {"folder", "there is no node"},
  };
  write_file("text", "not a program");
  write_file("shim", "#!/bin/sh\nexec node \"$@\"\n");
  write_file("folder/readme", "");
  for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
    outcome result = ENGINES("add", rows[i].path, "--engines-dir", "r");
    expect_status(&result, 1);
    ck_assert_msg(says(result.err, rows[i].said), "%s: %s", rows[i].path, result.err);
    outcome_free(&result);
  }
  outcome result =
      ENGINES("add", NODES "/node-24", "--headers", NODES "/node-22", "--engines-dir", "r");
  expect_status(&result, 1);
  ck_assert_msg(says(result.err, "of Node 22.23.3, not 24.21.0"), "%s", result.err);
  outcome_free(&result);
  result = ENGINES("add", "--engines-dir", "r");
  expect_status(&result, 2);
  outcome_free(&result);
  result = ENGINES("make", "--engines-dir", "r");
  expect_status(&result, 2);
  outcome_free(&result);
  result = ENGINES("add", NODES "/node-24", "--name", "Not A Name", "--engines-dir", "r");
  expect_status(&result, 1);
  ck_assert(says(result.err, "Not A Name"));
  outcome_free(&result);
}
END_TEST

START_TEST(tells_what_has_changed) {
  char command[2048];
  copy_registry();
  snprintf(command, sizeof(command),
           "mkdir -p %s/n/bin %s/n/include && cp " NODES
           "/node-22/bin/node %s/n/bin/node && ln -s " NODES
           "/node-22/include/node %s/n/include/node",
           home, home, home, home);
  ck_assert_int_eq(system(command), 0);
  outcome result = ENGINES("add", "n", "--engines-dir", "r");
  expect_status(&result, 0);
  outcome_free(&result);
  snprintf(command, sizeof(command),
           "cp " NODES "/node-24/bin/node %s/n/bin/node.new && mv %s/n/bin/node.new %s/n/bin/node",
           home, home, home);
  ck_assert_int_eq(system(command), 0);
  result = ENGINES("ls", "--engines-dir", "r");
  expect_status(&result, 0);
  ck_assert_msg(says(result.out, "node changed"), "%s", result.out);
  outcome_free(&result);
  result = ENGINES("check", "--engines-dir", "r");
  expect_status(&result, 1);
  ck_assert(says(result.out, "node changed"));
  outcome_free(&result);
  write_file("a.js", "1");
  result = KILN("measure", "--engine", "node-22", "--engines-dir", "r", "a.js");
  expect_status(&result, 1);
  ck_assert_msg(says(result.err, "has changed since it was added"), "%s", result.err);
  outcome_free(&result);
  snprintf(command, sizeof(command),
           "rm %s/n/bin/node && echo '{}' > %s/r/node-22.23.3/engine.json", home, home);
  ck_assert_int_eq(system(command), 0);
  result = ENGINES("ls", "--engines-dir", "r");
  expect_status(&result, 0);
  ck_assert_msg(says(result.out, "damaged"), "%s", result.out);
  outcome_free(&result);
}
END_TEST

START_TEST(discovers_what_is_there) {
  char command[2048];
  snprintf(command, sizeof(command),
           "mkdir -p %s/.nvm/versions/node/v22/bin && ln -s " NODES
           "/node-22/bin/node %s/.nvm/versions/node/v22/bin/node",
           home, home);
  ck_assert_int_eq(system(command), 0);
  outcome result = ENGINES("discover", "--json", "--engines-dir", "r");
  expect_status(&result, 0);
  json_t *nodes = parse(result.out);
  json_t *node = entry_of(nodes, "node", "node-22/bin/node");
  ck_assert_str_eq(string_of(node, "nodeVersion"), "22.23.3");
  ck_assert(json_is_true(json_object_get(node, "headers")));
  ck_assert(json_is_false(json_object_get(node, "registered")));
  json_decref(nodes);
  outcome_free(&result);
}
END_TEST

/* The same script, measured by each V8. */
START_TEST(every_engine_measures) {
  write_file("a.js", "var a = Array(1000).fill(1);");
  const char *dir = getenv("KILN_TEST_ENGINES");
  ck_assert_ptr_nonnull(dir);
  for (size_t i = 0; i < OFFICIAL; i++) {
    outcome result =
        KILN("measure", "--json", "--engine", official[i], "--engines-dir", dir, "a.js");
    expect_status(&result, 0);
    json_t *memory = parse(result.out);
    ck_assert_int_gt(number_of(json_object_get(memory, "total"), "jsMemoryEstimate"), 8000);
    json_decref(memory);
    outcome_free(&result);
  }
}
END_TEST

int main(void) {
  TCase *cases = tcase_create("engines");
  tcase_add_checked_fixture(cases, set_up, tear_down);
  tcase_set_timeout(cases, 300);
  tcase_add_test(cases, lists_libv8s_alone_without_a_registry);
  tcase_add_test(cases, adds_lists_checks_and_removes);
  tcase_add_test(cases, flags_make_another_engine);
  tcase_add_test(cases, refuses_what_is_no_node);
  tcase_add_test(cases, tells_what_has_changed);
  tcase_add_test(cases, discovers_what_is_there);
  tcase_add_test(cases, every_engine_measures);
  Suite *suite = suite_create("cli_engines");
  suite_add_tcase(suite, cases);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_ENV);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
