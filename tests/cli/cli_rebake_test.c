/* SPDX-License-Identifier: MIT
 *
 * cli_rebake_test.c: `kiln rebake` from outside: what one engine has becomes there for another,
 * once, whatever ends the run.
 */
#include <check.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/cli/cli_engines.h"
#include "tests/cli/cli_support.h"

#define ENTRIES 500
/* Entries of the killed run that are awaited before it is killed. */
#define BEFORE_KILL 120

static void make_sources(unsigned count) {
  for (unsigned i = 0; i < count; i++) {
    char name[32], text[160];
    (void)snprintf(name, sizeof(name), "src/%03u.js", i);
    (void)snprintf(text, sizeof(text),
                   "var v%u = %u; function f%u(x) { return x + v%u; } globalThis.g = f%u(1);", i, i,
                   i, i, i);
    write_file(name, text);
  }
}

/* The store's entries of an engine, by key: when each was made. */
static json_t *made(const char *engine) {
  outcome result = KILN("cache", "ls", "--store", "store", "--json");
  expect_status(&result, 0);
  json_t *list = parse(result.out), *times = json_object(), *entry;
  size_t i;
  json_array_foreach(list, i, entry) {
    if (strcmp(string_of(entry, "engine"), engine) != 0) continue;
    ck_assert_int_eq(
        json_object_set(times, string_of(entry, "key"), json_object_get(entry, "createdMs")), 0);
  }
  json_decref(list);
  outcome_free(&result);
  return times;
}

static json_t *rebake(const test_engine *to, int status, const char *option, const char *value) {
  outcome result =
      KILN_ENGINES("rebake", "--json", "--store", "store", "--engine", to->name, option, value);
  expect_status(&result, status);
  json_t *report = parse(result.out);
  outcome_free(&result);
  return report;
}

/* Starts a rebake, reads its lines until so many entries are told of, and kills it. */
static void rebake_and_kill(const test_engine *to) {
  int ends[2];
  pid_t pid;
  char home_setting[TEMPORARY_PATH + 8];
  (void)snprintf(home_setting, sizeof(home_setting), "HOME=%s", home);
  char *argv[] = {strdup("kiln"),
                  strdup("rebake"),
                  strdup("--engine"),
                  strdup(to->name),
                  strdup("--store"),
                  strdup("store"),
                  NULL};
  char *envp[] = {home_setting, strdup(engines_settings()[0]), NULL};
  posix_spawn_file_actions_t actions;
  ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
  ck_assert_int_eq(posix_spawn_file_actions_init(&actions), 0);
  ck_assert_int_eq(posix_spawn_file_actions_adddup2(&actions, ends[1], 1), 0);
  ck_assert_int_eq(posix_spawn(&pid, KILN_TEST_CLI, &actions, NULL, argv, envp), 0);
  ck_assert_int_eq(posix_spawn_file_actions_destroy(&actions), 0);
  (void)close(ends[1]);
  FILE *lines = fdopen(ends[0], "r");
  char line[512];
  for (unsigned i = 0; i < BEFORE_KILL; i++) {
    ck_assert_msg(fgets(line, sizeof(line), lines) != NULL, "it ended after %u lines", i);
    ck_assert_msg(strncmp(line, "baked  ", 7) == 0, "%s", line);
  }
  ck_assert_int_eq(kill(pid, SIGKILL), 0);
  (void)fclose(lines);
  int status;
  ck_assert_int_eq(waitpid(pid, &status, 0), pid);
  ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "it had ended before");
  for (size_t i = 0; argv[i] != NULL; i++) free(argv[i]);
  free(envp[1]);
}

START_TEST(killed_and_resumed_it_is_complete) {
  const test_engine *from = engine_at(0), *to = newest_engine();
  make_sources(ENTRIES);
  outcome result =
      KILN_ENGINES("precompile", "--quiet", "--store", "store", "--engine", from->name, "src");
  expect_status(&result, 0);
  outcome_free(&result);

  json_t *report = rebake(to, 0, "--dry-run", NULL);
  json_t *summary = json_object_get(report, "summary");
  ck_assert_int_eq(number_of(summary, "selected"), ENTRIES);
  ck_assert_int_eq(number_of(summary, "missing"), ENTRIES);
  ck_assert_int_eq(number_of(summary, "storePuts"), 0);
  json_decref(report);

  rebake_and_kill(to);
  json_t *before = made(to->name);
  size_t first = json_object_size(before);
  ck_assert_uint_ge(first, BEFORE_KILL);
  ck_assert_uint_lt(first, ENTRIES);

  report = rebake(to, 0, "--from", from->name);
  summary = json_object_get(report, "summary");
  printf("killed with %zu of %d there, then %lld baked with %lld puts\n", first, ENTRIES,
         number_of(summary, "baked"), number_of(summary, "storePuts"));
  ck_assert_int_eq(number_of(summary, "selected"), ENTRIES);
  ck_assert_int_eq(number_of(summary, "present"), (long long)first);
  ck_assert_int_eq(number_of(summary, "baked"), (long long)(ENTRIES - first));
  ck_assert_int_eq(number_of(summary, "storePuts"), (long long)(ENTRIES - first));
  json_decref(report);

  /* What was there has not been made again. */
  json_t *after = made(to->name), *time;
  const char *key;
  ck_assert_uint_eq(json_object_size(after), ENTRIES);
  json_object_foreach(before, key, time) {
    ck_assert_msg(json_equal(json_object_get(after, key), time) == 1, "%s: made again", key);
  }
  json_decref(before);
  json_decref(after);

  /* And now there is nothing to do. */
  report = rebake(to, 0, "--from", from->name);
  summary = json_object_get(report, "summary");
  ck_assert_int_eq(number_of(summary, "present"), ENTRIES);
  ck_assert_int_eq(number_of(summary, "baked"), 0);
  ck_assert_int_eq(number_of(summary, "storePuts"), 0);
  json_decref(report);

  /* The keys are those that baking from the files gives. */
  result = KILN_ENGINES("precompile", "--json", "--store", "store", "--engine", to->name, "src");
  expect_status(&result, 0);
  report = parse(result.out);
  ck_assert_int_eq(number_of(json_object_get(report, "summary"), "hits"), ENTRIES);
  json_decref(report);
  outcome_free(&result);
}
END_TEST

/* Kind, mode, name, parameters, workload: the key has all of them, so equal keys prove it. */
START_TEST(everything_about_an_entry_is_kept) {
  static const char *const sets[][8] = {
      {"--kind", "script", "--mode", "eager", NULL},
      {"--kind", "script", "--mode", "warm", NULL},
      {"--kind", "script", "--mode", "workload", "--workload", "w.js", NULL},
      {"--kind", "commonjs", NULL},
      {"--kind", "function", "--params", "a,b", NULL},
      {"--kind", "module", NULL},
      {"--kind", "wrapper", "--out", "out", NULL},
  };
  const test_engine *engines[] = {engine_at(0), newest_engine()};
  write_file("src/a.js", "globalThis.go = function () { return 1; };");
  write_file("w.js", "go();");
  for (size_t e = 0; e < 2; e++) {
    for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++) {
      const char *arguments[24] = {"precompile", "--json",         "--store", "store",
                                   "--engine",   engines[e]->name, "src"};
      for (size_t j = 0; sets[i][j] != NULL; j++) arguments[7 + j] = sets[i][j];
      outcome result = kiln_with(engines_settings(), arguments);
      expect_status(&result, 0);
      json_t *report = parse(result.out), *summary = json_object_get(report, "summary");
      ck_assert_int_eq(number_of(summary, "hits"), e); /* the second's are all there */
      json_decref(report);
      outcome_free(&result);
    }
    if (e == 1) break;
    json_t *report = rebake(engines[1], 0, NULL, NULL);
    ck_assert_int_eq(number_of(json_object_get(report, "summary"), "baked"), 7);
    json_decref(report);
  }
}
END_TEST

START_TEST(what_cannot_be_rebaked_is_told) {
  const test_engine *from = engine_at(0), *to = newest_engine();
  write_file("kept.js", "1");
  write_file("forgotten.js", "2");
  outcome result = KILN_ENGINES("rebake", "--store", "store", "--engine", to->name);
  expect_status(&result, 1);
  ck_assert_str_eq(result.err, "kiln rebake: store 'store': there is none\n");
  outcome_free(&result);
  result =
      KILN_ENGINES("precompile", "--quiet", "--store", "store", "--engine", from->name, "kept.js");
  expect_status(&result, 0);
  outcome_free(&result);
  result = KILN_ENGINES("precompile", "--quiet", "--store", "store", "--engine", from->name,
                        "--no-keep-sources", "forgotten.js");
  expect_status(&result, 0);
  outcome_free(&result);

  result = KILN_ENGINES("rebake", "--store", "store", "--engine", to->name);
  expect_status(&result, 1);
  ck_assert(says(result.err, "/forgotten.js ("));
  ck_assert(says(result.err, "): its source was not kept\n"));
  ck_assert(says(result.err, "2 entries: 1 baked for "));
  ck_assert(says(result.err, ", 1 not kept"));
  ck_assert(says(result.out, "/kept.js\n"));
  outcome_free(&result);
  json_t *report = rebake(to, 1, NULL, NULL);
  json_t *entries = json_object_get(report, "entries");
  ck_assert_uint_eq(json_array_size(entries), 1);
  ck_assert_str_eq(string_of(json_array_get(entries, 0), "state"), "notKept");
  json_decref(report);

  result = KILN_ENGINES("rebake", "--store", "store", "--engine", to->name, "--from", "node-7");
  expect_status(&result, 1);
  ck_assert(says(result.err, "from 'node-7': the store has no entry of such an engine"));
  outcome_free(&result);
  result = KILN_ENGINES("rebake", "--store", "store", "--engine", "node-7");
  expect_status(&result, 1);
  ck_assert(says(result.err, "engine 'node-7': unknown"));
  outcome_free(&result);
  /* What the new engine does not take is a failure. */
  write_file("old.mjs", "import x from 'y' assert {type: 'json'};");
  result =
      KILN_ENGINES("precompile", "--quiet", "--store", "store", "--engine", from->name, "old.mjs");
  expect_status(&result, 0);
  outcome_free(&result);
  result = KILN_ENGINES("rebake", "--store", "store", "--engine", to->name);
  expect_status(&result, 1);
  ck_assert_msg(says(result.err, "/old.mjs ("), "%s", result.err);
  ck_assert(says(result.err, ", 1 not kept, 1 failed: "));
  outcome_free(&result);
}
END_TEST

int main(void) {
  Suite *suite = suite_create("cli_rebake");
  TCase *tcase = tcase_create("cli_rebake");
  tcase_add_checked_fixture(tcase, set_up, tear_down);
  tcase_set_timeout(tcase, 300);
  tcase_add_test(tcase, killed_and_resumed_it_is_complete);
  tcase_add_test(tcase, everything_about_an_entry_is_kept);
  tcase_add_test(tcase, what_cannot_be_rebaked_is_told);
  suite_add_tcase(suite, tcase);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_ENV);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
