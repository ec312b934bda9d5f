/* SPDX-License-Identifier: MIT
 *
 * cli_exercise_test.c: `kiln precompile` for several engines from outside, and with programs that
 * are run for what they use. Official Nodes load what it writes with Kiln's loader.
 */
#include <check.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/cli/cli_engines.h"
#include "tests/cli/cli_support.h"

/* An application: of its two functions only one is called by default. */
static void make_app(void) {
  write_file("app/package.json", "{\"name\": \"app\"}");
  write_file("app/app.js",
             "#!/usr/bin/env node\n"
             "const lib = require('./lib/lib.js');\n"
             "console.log(process.argv[2] === 'b' ? lib.b(4) : lib.a(4));\n");
  write_file(
      "app/lib/lib.js",
      "function helper(x) { let sum = 0; for (let i = 0; i < x; i++) sum += i * x; return sum; }\n"
      "exports.a = function (x) { return helper(x) + [1, 2, 3].map((y) => y * x).length; };\n"
      "exports.b = function (x) { return helper(x) * { x, y: { x } }.y.x; };\n"
      "exports.c = function (x) { return helper(x) + 'never called ' + `${x}`; };\n");
  write_file("app/unused.js", "module.exports = 'nobody requires this';\n");
}

static json_t *manifest_of(const char *folder) {
  char path[128];
  size_t length;
  (void)snprintf(path, sizeof(path), "%s/manifest.json", folder);
  char *text = read_file(path, &length);
  json_t *manifest = parse(text);
  free(text);
  return manifest;
}

/* The blob of a file for an engine; NULL: there is none. */
static json_t *find_blob(json_t *manifest, const char *file, const char *engine) {
  size_t i, j;
  json_t *entry, *blob;
  json_array_foreach(json_object_get(manifest, "entries"), i, entry) {
    if (strcmp(string_of(entry, "file"), file) != 0) continue;
    json_array_foreach(json_object_get(entry, "blobs"), j, blob) {
      if (strcmp(string_of(blob, "engine"), engine) == 0) return blob;
    }
  }
  return NULL;
}

/* Runs the application with the loader, which must take the library's blob, and reject none. */
static void expect_loaded(const test_engine *e, const char *argument, const char *wanted) {
  char setting[TEMPORARY_PATH + 32], said[TEMPORARY_PATH + 64];
  (void)snprintf(setting, sizeof(setting), "KILN_BAKED=%s/out", home);
  outcome result = run_program(
      e->node, (const char *const[]){"--require", KILN_TEST_LOADER, "app/app.js", argument, NULL},
      (const char *const[]){setting, "KILN_DEBUG=1", NULL});
  expect_status(&result, 0);
  ck_assert_str_eq(result.out, wanted);
  (void)snprintf(said, sizeof(said), "used '%s/app/lib/lib.js': ", home);
  ck_assert_msg(says(result.err, said), "%s is not in:\n%s", said, result.err);
  ck_assert_msg(says(result.err, " 0 rejected"), "%s", result.err);
  outcome_free(&result);
}

/* ---- several engines ----------------------------------------------------------------- */

#define ENGINE(major) "--engine", "node-" #major
#define ALL_ENGINES ENGINE(18.20.4), ENGINE(20), ENGINE(22), ENGINE(24), ENGINE(26)
static const unsigned majors[] = {18, 20, 22, 24, 26};
#define MAJORS (sizeof(majors) / sizeof(majors[0]))

START_TEST(one_run_bakes_for_all) {
  make_app();
  outcome result =
      KILN_ENGINES("precompile", "--json", "--store", "store", "--out", "out", ALL_ENGINES, "app");
  expect_status(&result, 0);
  json_t *report = parse(result.out), *summary = json_object_get(report, "summary");
  ck_assert_uint_eq(json_array_size(json_object_get(report, "files")), 3 * MAJORS);
  ck_assert_uint_eq(json_array_size(json_object_get(report, "engines")), MAJORS);
  ck_assert_int_eq(number_of(summary, "files"), 3);
  ck_assert_int_eq(number_of(summary, "engines"), MAJORS);
  ck_assert_int_eq(number_of(summary, "baked"), 3 * MAJORS);
  ck_assert_int_eq(number_of(summary, "failed"), 0);
  json_decref(report);
  outcome_free(&result);
  json_t *manifest = manifest_of("out");
  ck_assert_uint_eq(json_array_size(json_object_get(manifest, "entries")), 3);
  for (size_t i = 0; i < MAJORS; i++) {
    const test_engine *e = engine_of(majors[i]);
    json_t *engine = entry_of(json_object_get(manifest, "engines"), "name", e->name);
    ck_assert_str_eq(string_of(engine, "nodeVersion"), e->name + strlen("node-"));
    for (size_t j = 0; j < i; j++) { /* every engine's key is its own */
      ck_assert_str_ne(string_of(find_blob(manifest, "app.js", e->name), "key"),
                       string_of(find_blob(manifest, "app.js", engine_of(majors[j])->name), "key"));
    }
    expect_loaded(e, "a", "27\n");
  }
  json_decref(manifest);
  result = KILN("verify-manifest", "--sources", "app", "out");
  expect_status(&result, 0);
  ck_assert_str_eq(result.out, "ok: 5 engines, 15 caches, 3 sources\n");
  outcome_free(&result);

  result = KILN_ENGINES("precompile", "--store", "store", "--kind", "wrapper", "--jobs", "1",
                        ALL_ENGINES, "app");
  expect_status(&result, 0);
  ck_assert(says(result.err, "3 files for 5 engines, 15 hits, 0 failed: "));
  ck_assert(says(result.out, "hit     node-22"));
  outcome_free(&result);
}
END_TEST

START_TEST(other_engines_are_kept) {
  const test_engine *old = engine_of(20), *new = engine_of(24);
  make_app();
  outcome result = KILN_ENGINES("precompile", "--quiet", "--store", "store", "--out", "out",
                                ENGINE(20), ENGINE(24), "app");
  expect_status(&result, 0);
  outcome_free(&result);
  /* One file changes, one goes, and only one engine gets to know. */
  ck_assert_int_eq(unlink("app/unused.js"), 0);
  write_file("app/lib/lib.js", "exports.a = (x) => x + 1;");
  result =
      KILN_ENGINES("precompile", "--quiet", "--store", "store", "--out", "out", ENGINE(24), "app");
  expect_status(&result, 0);
  outcome_free(&result);
  json_t *manifest = manifest_of("out");
  ck_assert_uint_eq(json_array_size(json_object_get(manifest, "engines")), 2);
  ck_assert_uint_eq(json_array_size(json_object_get(manifest, "entries")), 4);
  ck_assert_ptr_nonnull(find_blob(manifest, "unused.js", old->name));
  ck_assert_ptr_null(find_blob(manifest, "unused.js", new->name));
  ck_assert_ptr_nonnull(find_blob(manifest, "app.js", old->name));
  json_decref(manifest);
  expect_loaded(new, "a", "5\n");
  result = KILN("verify-manifest", "out");
  expect_status(&result, 0);
  ck_assert_str_eq(result.out, "ok: 2 engines, 5 caches\n");
  outcome_free(&result);
  result = KILN("verify-manifest", "--json", "--engine", "node-24", "out");
  expect_status(&result, 0);
  ck_assert(says(result.out, "\"engines\": 1"));
  outcome_free(&result);

  /* Names below another root would not be the same files. */
  result = KILN_ENGINES("precompile", "--store", "store", "--out", "out", ENGINE(24), "app/lib");
  expect_status(&result, 1);
  ck_assert(says(result.err, "'out': has files of root '../app' for node-20"));
  outcome_free(&result);
  result = KILN_ENGINES("precompile", "--quiet", "--store", "store", "--out", "out", "--root",
                        "app", ENGINE(24), "app/lib");
  expect_status(&result, 0);
  outcome_free(&result);
}
END_TEST

START_TEST(failures_are_told_by_engine) {
  make_app();
  write_file("app/new.js", "module.exports = /[\\p{L}--[a-z]]/v;");
  outcome result = KILN_ENGINES("precompile", "--store", "store", "--out", "out", ENGINE(18.20.4),
                                ENGINE(24), "app");
  expect_status(&result, 1);
  char said[128];
  (void)snprintf(said, sizeof(said), "kiln precompile: %s: app/new.js:", engine_of(18)->name);
  ck_assert_msg(says(result.err, said), "%s", result.err);
  (void)snprintf(said, sizeof(said),
                 "4 files for 2 engines, 0 hits, 1 failed (%s: 1): ", engine_of(18)->name);
  ck_assert_msg(says(result.err, said), "%s", result.err);
  outcome_free(&result);
  json_t *manifest = manifest_of("out");
  ck_assert_ptr_null(find_blob(manifest, "new.js", engine_of(18)->name));
  ck_assert_ptr_nonnull(find_blob(manifest, "new.js", engine_of(24)->name));
  json_decref(manifest);
  result = KILN_ENGINES("precompile", "--store", "store", ENGINE(18.20.4), ENGINE(99), "app");
  expect_status(&result, 1);
  ck_assert(says(result.err, "engine 'node-99': unknown; registered: 'node-18"));
  outcome_free(&result);
}
END_TEST

/* ---- programs ------------------------------------------------------------------------ */

START_TEST(exercised_files_have_what_the_program_used) {
  make_app();
  outcome result = KILN_ENGINES("precompile", "--quiet", "--store", "store", "--out", "plain",
                                ALL_ENGINES, "app");
  expect_status(&result, 0);
  outcome_free(&result);
  result = KILN_ENGINES("precompile", "--json", "--store", "store", "--out", "out", ALL_ENGINES,
                        "--exercise", "app/app.js 'b'", "app");
  expect_status(&result, 0);
  ck_assert_str_eq(result.err, "");
  json_t *report = parse(result.out), *summary = json_object_get(report, "summary");
  ck_assert_int_eq(number_of(summary, "exercised"), 2 * MAJORS);
  ck_assert_int_eq(number_of(summary, "failed"), 0);
  ck_assert_int_eq(number_of(summary, "hits"), MAJORS); /* the file that nobody requires */
  json_decref(report);
  outcome_free(&result);
  json_t *plain = manifest_of("plain"), *manifest = manifest_of("out");
  for (size_t i = 0; i < MAJORS; i++) {
    const test_engine *e = engine_of(majors[i]);
    json_t *before = find_blob(plain, "lib/lib.js", e->name);
    json_t *after = find_blob(manifest, "lib/lib.js", e->name);
    ck_assert_str_eq(string_of(before, "mode"), "lazy");
    ck_assert_str_eq(string_of(after, "mode"), "workload");
    ck_assert_str_eq(string_of(after, "exercise"), "app/app.js 'b'");
    ck_assert_int_gt(number_of(after, "blobBytes"), number_of(before, "blobBytes"));
    ck_assert_str_eq(string_of(find_blob(manifest, "unused.js", e->name), "mode"), "lazy");
    expect_loaded(e, "b", "96\n");
    expect_loaded(e, "a", "27\n");
  }
  json_decref(plain);
  json_decref(manifest);
  result = KILN("verify-manifest", "--sources", "app", "out");
  expect_status(&result, 0);
  outcome_free(&result);
  result = KILN("cache", "verify", "--store", "store");
  expect_status(&result, 0);
  outcome_free(&result);
}
END_TEST

/* Of two runs the one that used more of a file decides. */
START_TEST(several_programs_are_exercised) {
  make_app();
  write_file("app/all.js", "const lib = require('./lib/lib.js'); lib.a(1); lib.b(2); lib.c(3);");
  outcome result =
      KILN_ENGINES("precompile", "--json", "--store", "store", "--out", "out", ENGINE(22),
                   "--exercise", "app/app.js", "--exercise", "app/all.js", "app");
  expect_status(&result, 0);
  outcome_free(&result);
  json_t *manifest = manifest_of("out");
  const char *name = engine_of(22)->name;
  ck_assert_str_eq(string_of(find_blob(manifest, "lib/lib.js", name), "exercise"), "app/all.js");
  ck_assert_str_eq(string_of(find_blob(manifest, "app.js", name), "exercise"), "app/app.js");
  ck_assert_str_eq(string_of(find_blob(manifest, "all.js", name), "exercise"), "app/all.js");
  json_decref(manifest);
}
END_TEST

START_TEST(failed_programs_are_told) {
  static const struct {
    const char *command;
    const char *said;
  } cases[] = {
      {"-e 'console.log(`said so`); process.exit(3)'", "': exit status 3; it printed:\nsaid so\n"},
      {"-e 'process.kill(process.pid, 9)'", "': ended by signal 9\n"},
      {"-e 'process.stdout.write(`x`.repeat(1e6)); throw 1'", "[...]\n"},
      {"'app/app.js", "a quote is not closed"},
      {"app/app.js \\", "the end is a '\\'"},
      {"-e 1", "it recorded nothing"},
      {"no/such/file.js", "exit status 1; it printed:"},
  };
  make_app();
  for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
    outcome result = KILN_ENGINES("precompile", "--store", "store", "--out", "out", ENGINE(22),
                                  "--exercise", cases[i].command, "app");
    expect_status(&result, 1);
    ck_assert_msg(says(result.err, cases[i].said), "%s: '%s' is not in:\n%s", cases[i].command,
                  cases[i].said, result.err);
    ck_assert(says(result.err, ", 0 exercised, 0 failed"));
    ck_assert_uint_lt(strlen(result.err), 70000);
    outcome_free(&result);
    /* The files are baked all the same. */
    result = KILN("verify-manifest", "--sources", "app", "out");
    expect_status(&result, 0);
    outcome_free(&result);
  }
  outcome result = KILN_ENGINES("precompile", "--store", "store", "--out", "out", "--engine",
                                "default", "--exercise", "app/app.js", "app");
  expect_status(&result, 1);
  ck_assert(says(result.err, "engine 'node-18' has no node to run it on"));
  outcome_free(&result);
  result = KILN_ENGINES("precompile", "--verbose", "--store", "store", "--out", "out", ENGINE(22),
                        "--exercise", "app/app.js", "app");
  expect_status(&result, 0);
  ck_assert(says(result.err, "27\n"));
  outcome_free(&result);
}
END_TEST

/* Dead or not there; what was killed may wait for somebody to ask for its status. */
static bool is_gone(const char *pid) {
  char path[64], state = 'Z';
  (void)snprintf(path, sizeof(path), "/proc/%s/stat", pid);
  FILE *file = fopen(path, "r");
  if (file == NULL) return true;
  if (fscanf(file, "%*d (%*[^)]) %c", &state) != 1) state = 'Z';
  (void)fclose(file);
  return state == 'Z' || state == 'X';
}

/* The program and what it started in its group, but nothing else. */
START_TEST(late_programs_are_killed_with_their_children) {
  make_app();
  write_file("app/late.js",
             "const { spawn } = require('child_process');\n"
             "const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)']);\n"
             "require('fs').writeFileSync('pids', process.pid + ' ' + child.pid);\n"
             "setInterval(() => {}, 1000);\n");
  outcome result = KILN_ENGINES("precompile", "--store", "store", "--out", "out", ENGINE(24),
                                "--exercise", "app/late.js", "--exercise-timeout", "2000", "app");
  expect_status(&result, 1);
  ck_assert(says(result.err, "exercise 'app/late.js': did not end within 2000 ms\n"));
  outcome_free(&result);
  size_t length;
  char *pids = read_file("pids", &length), *child = strchr(pids, ' ');
  *child++ = '\0';
  ck_assert(is_gone(pids));
  for (unsigned i = 0; i < 1000 && !is_gone(child); i++) (void)usleep(1000);
  ck_assert(is_gone(child));
  free(pids);
}
END_TEST

/* What a program may claim is one thing, what is kept another. */
START_TEST(false_claims_are_not_believed) {
  make_app();
  write_file("app/liar.js",
             "const fs = require('fs'), crypto = require('crypto'), path = require('path');\n"
             "const sha = (b) => crypto.createHash('sha256').update(b).digest('hex');\n"
             "const dir = process.env.KILN_RECORD, file = path.resolve('app/unused.js');\n"
             "const source = fs.readFileSync(file);\n"
             "process.on('exit', () => {\n"
             "  const own = JSON.parse(fs.readFileSync(dir + '/' + fs.readdirSync(dir)\n"
             "    .find((n) => n.endsWith('.json')), 'utf8').split('\\n')[0]);\n"
             "  const claim = (name, blob, more) => {\n"
             "    fs.writeFileSync(dir + '/' + name, blob);\n"
             "    fs.appendFileSync(dir + '/lies.json', JSON.stringify({...own, file,\n"
             "      sourceSha256: sha(source), sourceBytes: source.length, blob: name,\n"
             "      blobSha256: sha(blob), blobBytes: blob.length, ...more}) + '\\n');\n"
             "  };\n"
             "  const good = fs.readFileSync(dir + '/' + own.blob);\n"
             "  const what = process.argv[2];\n"
             "  if (what === 'garbage') claim('g', crypto.randomBytes(4096));\n"
             "  if (what === 'other') claim('o', good);\n"
             "  if (what === 'digest') claim('d', good, {blobSha256: sha('')});\n"
             "  if (what === 'size') claim('s', good, {blobBytes: good.length + 8});\n"
             "  if (what === 'source') claim('x', good, {sourceSha256: sha('')});\n"
             "  if (what === 'missing') claim('m', good, {blob: 'nowhere'});\n"
             "  if (what === 'path') claim('p', good, {blob: '../p'});\n"
             "  if (what === 'build') claim('b', good, {buildId: '00'});\n"
             "  if (what === 'kind') claim('k', good, {kind: 'function'});\n"
             "  if (what === 'type') claim('t', good, {file: 7, blobBytes: 'x'});\n"
             "  if (what === 'text') fs.writeFileSync(dir + '/lies.json', '{\\n\\0\\xff[');\n"
             "  if (what === 'link') fs.symlinkSync('/dev/zero', dir + '/lies.json');\n"
             "});\n");
  static const struct {
    const char *what;
    const char *said; /* NULL: it is passed over in silence */
  } cases[] = {
      {"garbage", "not taken: "},
      {"other", "not taken: "},
      {"digest", "not taken: its SHA-256 is wrong"},
      {"size", "not taken: its size is wrong"},
      {"source", "not taken: the file has changed since"},
      {"missing", "not taken: No such file"},
      {"path", NULL},
      {"build", NULL},
      {"kind", NULL},
      {"type", NULL},
      {"text", NULL},
      {"link", NULL},
  };
  for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
    char command[64];
    (void)snprintf(command, sizeof(command), "app/liar.js %s", cases[i].what);
    outcome result = KILN_ENGINES("precompile", "--store", "store", "--out", "out", ENGINE(24),
                                  "--exercise", command, "app");
    expect_status(&result, 0);
    if (cases[i].said != NULL) {
      ck_assert_msg(says(result.err, cases[i].said), "%s: '%s' is not in:\n%s", cases[i].what,
                    cases[i].said, result.err);
    }
    outcome_free(&result);
    json_t *manifest = manifest_of("out");
    json_t *blob = find_blob(manifest, "unused.js", engine_of(24)->name);
    ck_assert_str_eq(string_of(blob, "mode"), "lazy");
    json_decref(manifest);
  }
}
END_TEST

int main(void) {
  Suite *suite = suite_create("cli_exercise");
  TCase *tcase = tcase_create("cli_exercise");
  tcase_add_checked_fixture(tcase, set_up, tear_down);
  tcase_set_timeout(tcase, 300);
  tcase_add_test(tcase, one_run_bakes_for_all);
  tcase_add_test(tcase, other_engines_are_kept);
  tcase_add_test(tcase, failures_are_told_by_engine);
  tcase_add_test(tcase, exercised_files_have_what_the_program_used);
  tcase_add_test(tcase, several_programs_are_exercised);
  tcase_add_test(tcase, failed_programs_are_told);
  tcase_add_test(tcase, late_programs_are_killed_with_their_children);
  tcase_add_test(tcase, false_claims_are_not_believed);
  suite_add_tcase(suite, tcase);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_ENV);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
