/* SPDX-License-Identifier: MIT
 *
 * cli_run_test.c: `kiln run` from outside: what it prints, its exit status, its options, the caches
 * it keeps and uses. What the programs find inside is compared with Node in tests/run.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/cli/cli_support.h"

/* More than the 4096 bytes from which on a run is cached. */
static char big_script[6000];

static void write_big(const char *name, const char *last_line) {
  size_t used = 0;
  for (int i = 0; used < 4500; i++) {
    used += (size_t)snprintf(big_script + used, sizeof(big_script) - used,
                             "function f%d(a, b) { return a * %d + b; }\n", i, i);
  }
  (void)snprintf(big_script + used, sizeof(big_script) - used, "%s\n", last_line);
  write_file(name, big_script);
}

START_TEST(run_prints_and_fails_as_a_program_does) {
  write_file("hello.js", "console.log('hello', scriptArgs); console.error('oops');");
  outcome result = KILN("run", "hello.js", "--one", "zwei \xC3\xA4");
  expect_status(&result, 0);
  ck_assert_str_eq(result.out, "hello [ '--one', 'zwei \xC3\xA4' ]\n");
  ck_assert_str_eq(result.err, "oops\n");
  outcome_free(&result);

  write_file("throw.js", "console.log(1);\nfunction f() { throw new TypeError('bad'); }\nf();");
  result = KILN("run", "throw.js");
  expect_status(&result, 1);
  ck_assert_str_eq(result.out, "1\n");
  ck_assert(says(result.err,
                 "throw.js:2\nfunction f() { throw new TypeError('bad'); }\n"
                 "               ^\n\nTypeError: bad\n    at f ("));
  ck_assert(says(result.err, "\nKiln v" KILN_VERSION_TEXT "\n"));
  outcome_free(&result);

  write_file("syntax.js", "var = 1;");
  result = KILN("run", "syntax.js");
  expect_status(&result, 1);
  ck_assert(says(result.err, "SyntaxError"));
  outcome_free(&result);

  write_file("loop.js", "while (true);");
  result = KILN("run", "--timeout", "50", "loop.js");
  expect_status(&result, 1);
  ck_assert(says(result.err, "Script execution timed out after 50ms"));
  outcome_free(&result);

  result = KILN("run", "none.js");
  expect_status(&result, 1);
  ck_assert_str_eq(result.err, "kiln run: 'none.js': No such file or directory\n");
  outcome_free(&result);
}
END_TEST

/* V8 cannot stop its own loops. */
START_TEST(run_in_an_image) {
  write_file("image.js", "console.log('once'); var base = 20; globalThis.n = 0;");
  write_file("second.js", "function twice(x) { return 2 * x }");
  write_file("main.js", "console.log(twice(base) + ++n); console.error(typeof require);");
  outcome result = KILN("run", "--image", "image.js", "--image=second.js", "main.js", "main.js");
  expect_status(&result, 0);
  ck_assert_str_eq(result.out, "once\n41\n41\n");
  ck_assert_str_eq(result.err, "undefined\nundefined\n");
  outcome_free(&result);

  result = KILN("run", "--timeout", "5000", "--image", "second.js", "-p", "[twice(4), 'a']");
  expect_status(&result, 0);
  ck_assert_str_eq(result.out, "[8,\"a\"]\n");
  outcome_free(&result);
  result = KILN("run", "--image", "second.js", "--print", "'text'.repeat(twice(1))");
  ck_assert_str_eq(result.out, "texttext\n");
  outcome_free(&result);

  write_file("throw.js", "\nfunction f() { throw new TypeError('bad'); }\nf();");
  result = KILN("run", "--image", "second.js", "throw.js", "main.js");
  expect_status(&result, 1);
  ck_assert_str_eq(result.out, "");
  ck_assert(says(result.err, "Uncaught TypeError: bad\n    at f (throw.js:2:"));
  outcome_free(&result);
  result = KILN("run", "--image", "throw.js", "main.js");
  expect_status(&result, 1);
  ck_assert(says(result.err, "Uncaught TypeError: bad\n    at f (throw.js:2:"));
  outcome_free(&result);
  result = KILN("run", "--image", "second.js", "--timeout", "50", "-e", "for (;;);");
  expect_status(&result, 1);
  ck_assert(says(result.err, "Script execution timed out after 50ms"));
  outcome_free(&result);

  result = KILN("run", "--image", "second.js");
  expect_status(&result, 2);
  outcome_free(&result);
  result = KILN("run", "--image", "none.js", "main.js");
  expect_status(&result, 1);
  ck_assert_str_eq(result.err, "kiln run: 'none.js': No such file or directory\n");
  outcome_free(&result);
  result = KILN("run", "--image", "second.js", "--kind", "module", "main.js");
  expect_status(&result, 2);
  outcome_free(&result);
}
END_TEST

START_TEST(run_ends_native_loops) {
  static const char *const names[] = {"native.js", "native.mjs", "native.cjs"};
  for (size_t i = 0; i < 3; i++) {
    struct timespec begin, end;
    write_file(names[i], "console.log('on'); [].indexOf.call({length: 2 ** 53 - 1}, 1);");
    (void)clock_gettime(CLOCK_MONOTONIC, &begin);
    outcome result = KILN("run", "--timeout", "200", names[i]);
    (void)clock_gettime(CLOCK_MONOTONIC, &end);
    expect_status(&result, 1);
    ck_assert_str_eq(result.out, "on\n");
    ck_assert(says(result.err, "Script execution timed out after 200ms"));
    ck_assert_int_lt(end.tv_sec - begin.tv_sec, 3);
    outcome_free(&result);
  }
  write_file("quick.js", "console.log('done')");
  outcome result = KILN("run", "--timeout", "4294967295", "quick.js");
  expect_status(&result, 0);
  ck_assert_str_eq(result.out, "done\n");
  outcome_free(&result);
}
END_TEST

START_TEST(run_knows_the_kinds) {
  write_file("a.mjs", "export const a = await 1; console.log('module', this, a);");
  outcome result = KILN("run", "a.mjs");
  expect_status(&result, 0);
  ck_assert_str_eq(result.out, "module undefined 1\n");
  outcome_free(&result);

  write_file("a.cjs",
             "console.log(this === exports, exports === module.exports, typeof require,\n"
             "  __filename.slice(__dirname.length), process.argv.length);");
  result = KILN("run", "a.cjs");
  expect_status(&result, 0);
  ck_assert_str_eq(result.out, "true true function /a.cjs 2\n");
  outcome_free(&result);

  write_file("b.cjs", "module.exports = require('fs').existsSync(__filename);");
  write_file("import.mjs", "import b from './b.cjs'; console.log(b, await import('./a.mjs'));");
  result = KILN("run", "import.mjs");
  expect_status(&result, 0);
  ck_assert_str_eq(result.out, "module undefined 1\ntrue [Module: null prototype] { a: 1 }\n");
  outcome_free(&result);

  write_file("none.cjs", "require('./none')");
  result = KILN("run", "none.cjs");
  expect_status(&result, 1);
  ck_assert(says(result.err, "Error: Cannot find module './none'\nRequire stack:\n- "));
  ck_assert(says(result.err, "code: 'MODULE_NOT_FOUND'"));
  outcome_free(&result);

  write_file("esm.js", "export {}; console.log('by syntax');");
  result = KILN("run", "esm.js");
  expect_status(&result, 0);
  ck_assert_str_eq(result.out, "by syntax\n");
  outcome_free(&result);

  write_file("await.mjs", "await new Promise(() => {});");
  result = KILN("run", "await.mjs");
  expect_status(&result, 13);
  ck_assert(says(result.err, "unsettled top-level await"));
  outcome_free(&result);

  result = KILN("run", "--kind", "script", "esm.js");
  expect_status(&result, 1);
  outcome_free(&result);
  write_file("script.js", "var x = 5; console.log(globalThis.x, this === globalThis);");
  result = KILN("run", "--kind", "script", "script.js");
  expect_status(&result, 0);
  ck_assert_str_eq(result.out, "5 true\n");
  outcome_free(&result);
}
END_TEST

START_TEST(run_takes_nodes_and_v8s_options) {
  outcome result = KILN("run", "-p", "[1, 2].map((x) => x * 2)");
  expect_status(&result, 0);
  ck_assert_str_eq(result.out, "[ 2, 4 ]\n");
  outcome_free(&result);
  result = KILN("run", "--expose-gc", "--eval=console.log(typeof gc, process.argv.slice(1))", "x");
  expect_status(&result, 0);
  ck_assert_str_eq(result.out, "function [ 'x' ]\n");
  outcome_free(&result);
  result = KILN("run", "--no-such-flag", "-p", "1");
  expect_status(&result, 2);
  ck_assert(says(result.err, "--no-such-flag"));
  ck_assert_str_eq(result.out, "");
  outcome_free(&result);
  result = KILN("run", "-e");
  expect_status(&result, 2);
  outcome_free(&result);
  result = KILN("run", "-e", "process.exitCode = 7");
  expect_status(&result, 7);
  outcome_free(&result);
  /* A reader that goes away. */
  result = run_program("/bin/sh",
                       (const char *const[]){"-c",
                                             "\"$0\" run -e \"setTimeout(() => "
                                             "console.log(1), 1)\" >/dev/full",
                                             KILN_TEST_CLI, NULL},
                       (const char *const[]){NULL});
  expect_status(&result, 1);
  ck_assert(says(result.err, "standard output: "));
  outcome_free(&result);
}
END_TEST

/* Every file that a program loads is cached, not the first alone. */
START_TEST(run_caches_each_file) {
  write_big("lib.js", "module.exports = f2(3, 4);");
  write_big("lib.mjs", "export default f2(3, 5);");
  write_file("main.mjs", "import a from './lib.js'; import b from './lib.mjs'; console.log(a, b);");
  outcome result = KILN("run", "--verbose", "--store", "store", "main.mjs");
  expect_status(&result, 0);
  ck_assert_str_eq(result.out, "10 11\n");
  outcome_free(&result);
  result = KILN("run", "--verbose", "--store", "store", "main.mjs");
  expect_status(&result, 0);
  ck_assert_str_eq(result.out, "10 11\n");
  const char *hit = strstr(result.err, "cache hit (warm, ");
  ck_assert_ptr_nonnull(hit);
  ck_assert_ptr_nonnull(strstr(hit + 1, "cache hit (warm, "));
  ck_assert(!says(result.err, "miss"));
  outcome_free(&result);
  /* Another source of the same length is another file. */
  write_big("lib.js", "module.exports = f2(3, 9);");
  result = KILN("run", "--store", "store", "main.mjs");
  ck_assert_str_eq(result.out, "15 11\n");
  outcome_free(&result);
  /* import() in cached code asks from where its file is. */
  write_file("sub/x.mjs", "export default 'of sub';");
  write_big("sub/big.cjs", "exports.load = () => import('./x.mjs');");
  write_big("sub/big.mjs", "export const load = () => import('./x.mjs');");
  write_file("imports.mjs",
             "import a from './sub/big.cjs'; import { load } from './sub/big.mjs';\n"
             "console.log((await a.load()).default, (await load()).default);");
  for (int i = 0; i < 2; i++) {
    result = KILN("run", "--verbose", "--store", "store", "imports.mjs");
    expect_status(&result, 0);
    ck_assert_str_eq(result.out, "of sub of sub\n");
    ck_assert(says(result.err, i == 0 ? "cache stored" : "cache hit"));
    outcome_free(&result);
  }
  /* A program that ends itself keeps its caches, too. */
  write_big("exit.js", "process.exit(3);");
  result = KILN("run", "--verbose", "--store", "store", "exit.js");
  expect_status(&result, 3);
  ck_assert(says(result.err, "cache stored (warm, "));
  outcome_free(&result);
}
END_TEST

START_TEST(run_keeps_and_uses_caches) {
  static const char *const names[] = {"big.js", "big.mjs", "big.cjs"};
  for (size_t i = 0; i < 3; i++) {
    write_big(names[i], "console.log(f2(3, 4));");
    outcome result = KILN("run", "--verbose", "--store", "store", names[i]);
    expect_status(&result, 0);
    ck_assert_str_eq(result.out, "10\n");
    ck_assert(says(result.err, "cache miss\n"));
    ck_assert(says(result.err, "cache stored (warm, "));
    outcome_free(&result);
    result = KILN("run", "--verbose", "--store", "store", names[i]);
    expect_status(&result, 0);
    ck_assert_str_eq(result.out, "10\n");
    ck_assert(says(result.err, "cache hit (warm, "));
    ck_assert(!says(result.err, "stored"));
    outcome_free(&result);
    /* What precompile bakes, run finds: the two make the same keys. */
    result = KILN("precompile", "--quiet", "--store", "other", "--kind",
                  i == 1 ? "module" : "commonjs", names[i]);
    expect_status(&result, 0);
    outcome_free(&result);
    result = KILN("run", "--verbose", "--store", "other", names[i]);
    expect_status(&result, 0);
    ck_assert_str_eq(result.out, "10\n");
    ck_assert(says(result.err, "cache hit (lazy, "));
    outcome_free(&result);
  }
  outcome result = KILN("run", "--verbose", "--no-store", "big.js");
  expect_status(&result, 0);
  ck_assert_str_eq(result.err, "");
  outcome_free(&result);
  /* A store that cannot be used costs a line, not the run. */
  result = KILN("run", "--store", "/dev/null/x", "big.js");
  expect_status(&result, 0);
  ck_assert_str_eq(result.out, "10\n");
  ck_assert(says(result.err, "running without cache"));
  outcome_free(&result);
}
END_TEST

int main(void) {
  Suite *suite = suite_create("cli_run");
  TCase *tcase = tcase_create("cli_run");
  tcase_add_checked_fixture(tcase, set_up, tear_down);
  tcase_set_timeout(tcase, 120);
  tcase_add_test(tcase, run_prints_and_fails_as_a_program_does);
  tcase_add_test(tcase, run_in_an_image);
  tcase_add_test(tcase, run_ends_native_loops);
  tcase_add_test(tcase, run_knows_the_kinds);
  tcase_add_test(tcase, run_takes_nodes_and_v8s_options);
  tcase_add_test(tcase, run_caches_each_file);
  tcase_add_test(tcase, run_keeps_and_uses_caches);
  suite_add_tcase(suite, tcase);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_ENV);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
