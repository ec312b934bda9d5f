/* SPDX-License-Identifier: MIT
 *
 * hosted_pool_test.c: the pool on an engine that a node binary hosts: jobs, their limits, and what
 * that Node, run as itself, says of the engine and makes of its blobs.
 *
 * hosted_pool_test NODE ENGINE_OBJECT NODE_SCRIPT
 */
#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/temporary.h"
#include "tests/toolkit/pool_support.h"

enum { kForks = 1000 };

static const char *node;
static const char *object;
static const char *node_script;
static kiln_pool *pool;

static void open_pool(void) {
  kiln_pool_options options = default_options();
  options.engine_path = node;
  options.engine_name = "node-x";
  options.preload = object;
  pool = new_pool(&options);
}

static void close_pool(void) {
  kiln_pool_free(pool, 1000);
  child children[8];
  ck_assert_uint_eq(list_children(children, 8), 0);
}

/* What hosted_node.js prints when the Node runs it with these arguments. */
static void ask_node(const char *arguments, char *ret_text, size_t size) {
  char command[9000];
  snprintf(command, sizeof(command), "'%s' --experimental-vm-modules --no-warnings '%s' %s", node,
           node_script, arguments);
  FILE *output = popen(command, "r");
  ck_assert_ptr_nonnull(output);
  size_t length = fread(ret_text, 1, size - 1, output);
  ret_text[length] = '\0';
  ck_assert_msg(pclose(output) == 0, "%s", ret_text);
}

static void write_file(const char *path, kiln_span content) {
  FILE *file = fopen(path, "w");
  ck_assert_ptr_nonnull(file);
  ck_assert_uint_eq(fwrite(content.data, 1, content.length, file), content.length);
  ck_assert_int_eq(fclose(file), 0);
}

START_TEST(engine_is_that_node) {
  char said[1024];
  char expected[1024];
  kiln_engine_info info;
  kiln_pool_get_engine(pool, &info);
  ask_node("info", said, sizeof(said));
  snprintf(expected, sizeof(expected), "%s %u %s", info.v8_version, info.cached_data_tag,
           info.arch);
  ck_assert_str_eq(said, expected);
  ck_assert_str_eq(info.flags, "");
  ck_assert_uint_ge(strlen(info.build_id), 16);
}
END_TEST

/* ---- run ------------------------------------------------------------------------------------- */

START_TEST(globals_are_the_languages) {
  assert_result(pool,
                "['process', 'require', 'module', 'Buffer', 'global', 'setTimeout', 'URL',"
                " 'fetch', 'primordials', 'internalBinding'].filter(x => x in globalThis)",
                "[]");
  assert_result(pool, "Object.keys(globalThis).length + ' ' + typeof WebAssembly.compileStreaming",
                "\"0 undefined\"");
  assert_result(pool, "Object.getOwnPropertySymbols(globalThis).map(String)", "[]");
  assert_result(pool, "typeof console.log + typeof console.table", "\"functionfunction\"");
}
END_TEST

START_TEST(errors_have_stacks) {
  assert_result(pool,
                "function inner() { return new Error('x').stack }\n"
                "function outer() { return inner() }\nouter()",
                "\"Error: x\\n    at inner (test.js:1:27)\\n    at outer (test.js:2:27)"
                "\\n    at test.js:3:1\"");
  assert_result(pool,
                "Error.prepareStackTrace = (e, sites) => sites.map(s => s.getFunctionName());\n"
                "(function f() { return new Error().stack })()",
                "[\"f\",null]");
}
END_TEST

START_TEST(code_from_strings_and_bytes) {
  assert_result(pool, "eval('20 + 1') + new Function('x', 'return x')(21)", "42");
  assert_result(pool,
                "const bytes = new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0, 1, 7, 1, 96, 2, 127,"
                " 127, 1, 127, 3, 2, 1, 0, 7, 7, 1, 3, 97, 100, 100, 0, 0, 10, 9, 1, 7, 0, 32, 0,"
                " 32, 1, 106, 11]);\n"
                "const add = new WebAssembly.Instance(new WebAssembly.Module(bytes)).exports.add;\n"
                "let sum = 0; for (let i = 0; i < 200000; i++) sum = add(sum, 1); sum",
                "200000");
  assert_result(pool, "/(\\p{Lu}+)-(?<y>\\d+)$/u.exec('abc ÄB-12').groups.y", "\"12\"");
  assert_result(pool, "new Intl.NumberFormat('en').format(1234567.5)", "\"1,234,567.5\"");
  kiln_job job = script_job("eval('1')");
  answer a;
  job.deny_strings = true;
  do_job(pool, &job, &a);
  ck_assert_int_eq(a.outcome, KILN_OUTCOME_EXCEPTION);
  ck_assert_str_eq(a.name, "EvalError");
  kiln_bytes_unref(job.source);
  answer_release(&a);
}
END_TEST

/* Hot code is optimised by threads that start after the fork. */
static const char *const hot =
    "function f(list) { let s = 0; for (const x of list) s += x.v * 2 | 0; return s }\n"
    "let total = 0; const list = Array.from({length: 100}, (_, i) => ({v: i}));\n"
    "for (let i = 0; i < 3000; i++) total = f(list);\n"
    "total + 'a1b2'.repeat(50).replace(/[a-z](\\d)/g, '$1').length";

START_TEST(forks_by_the_thousand) {
  for (int i = 0; i < kForks; i++) assert_result(pool, hot, "10000");
  kiln_stats stats = stats_of(pool);
  ck_assert_uint_eq(stats.zygotes_started, 2); /* one in use, one to spare */
}
END_TEST

START_TEST(siblings_do_not_share_random_numbers) {
  enum { kSiblings = 20 };
  char numbers[kSiblings][64];
  kiln_job job = script_job("[Math.random(), Math.random()].join()");
  for (int i = 0; i < kSiblings; i++) {
    answer a;
    do_job(pool, &job, &a);
    ck_assert_msg(a.outcome == KILN_OUTCOME_OK, "%s", a.message);
    kiln_span text = kiln_bytes_get(a.result_json);
    snprintf(numbers[i], sizeof(numbers[i]), "%.*s", (int)text.length, text.data);
    for (int j = 0; j < i; j++) ck_assert_str_ne(numbers[i], numbers[j]);
    answer_release(&a);
  }
  kiln_bytes_unref(job.source);
}
END_TEST

START_TEST(zygotes_have_one_thread) {
  child children[8];
  assert_result(pool, "1", "1");
  size_t count = list_children(children, 8);
  unsigned zygotes = 0;
  for (size_t i = 0; i < count; i++) {
    char path[64];
    char line[256];
    unsigned threads = 0;
    snprintf(path, sizeof(path), "/proc/%d/status", (int)children[i].pid);
    FILE *status = fopen(path, "r");
    while (status && fgets(line, sizeof(line), status)) sscanf(line, "Threads: %u", &threads);
    if (status) fclose(status);
    if (children[i].nice == 10 || threads == 0) continue;
    ck_assert_uint_eq(threads, 1);
    zygotes++;
  }
  ck_assert_uint_ge(zygotes, 1);
}
END_TEST

/* ---- limits ---------------------------------------------------------------------------------- */

static void expect_end(kiln_job *job, kiln_outcome outcome, const char *code) {
  answer a;
  do_job(pool, job, &a);
  ck_assert_int_eq(a.status, KILN_OK);
  ck_assert_msg(a.outcome == outcome && strcmp(a.code, code) == 0, "%d %s %s: %s", a.outcome,
                a.code, a.name, a.message);
  kiln_bytes_unref(job->source);
  answer_release(&a);
}

START_TEST(time_ends_scripts) {
  kiln_job job = script_job("for (;;);");
  job.timeout_ms = 50;
  expect_end(&job, KILN_OUTCOME_TIME_LIMIT, KILN_CODE_TIME_LIMIT);
  job = script_job("[].indexOf.call({length: 2 ** 53 - 1}, 0)"); /* V8 cannot end it: we kill */
  job.timeout_ms = 50;
  expect_end(&job, KILN_OUTCOME_TIME_LIMIT, KILN_CODE_TIME_LIMIT);
}
END_TEST

START_TEST(memory_ends_scripts) {
  kiln_job job = script_job("const a = []; for (;;) a.push(new Array(1000).fill(a.length))");
  expect_end(&job, KILN_OUTCOME_MEMORY_LIMIT, KILN_CODE_MEMORY_LIMIT);
  job = script_job("const a = []; for (;;) a.push(new Uint8Array(1 << 20).fill(1))");
  answer a;
  do_job(pool, &job, &a); /* a RangeError, or no memory: either is an end */
  ck_assert_int_eq(a.status, KILN_OK);
  ck_assert_msg(a.outcome == KILN_OUTCOME_MEMORY_LIMIT || strcmp(a.name, "RangeError") == 0,
                "%d %s: %s", a.outcome, a.name, a.message);
  kiln_bytes_unref(job.source);
  answer_release(&a);
  job = script_job("(function f() { f() })()");
  expect_end(&job, KILN_OUTCOME_EXCEPTION, "");
}
END_TEST

START_TEST(a_small_heap_is_kept_to) {
  /* 40 MB of strings in a heap of 24: the default heap takes them, this one does not. */
  const char *source =
      "const a = []; for (let i = 0; i < 40; i++) a.push(new Array(131072).fill(i));"
      "a.length";
  kiln_job job = script_job(source);
  job.heap_max_bytes = (uint64_t)24 << 20;
  expect_end(&job, KILN_OUTCOME_MEMORY_LIMIT, KILN_CODE_MEMORY_LIMIT);
  job = script_job(source);
  job.heap_max_bytes = (uint64_t)128 << 20;
  expect_end(&job, KILN_OUTCOME_OK, "");
}
END_TEST

START_TEST(memory_is_measured) {
  const kiln_job_context contexts[] = {{.name = span_of("main")}, {.name = span_of("other")}};
  kiln_job job = {.op = KILN_JOB_MEASURE,
                  .contexts = contexts,
                  .contexts_count = 2,
                  .detailed = true,
                  .eager = true,
                  .timeout_ms = 5000 * SLOW,
                  .result_max_bytes = 1 << 20};
  answer a;
  do_job(pool, &job, &a);
  ck_assert_msg(a.outcome == KILN_OUTCOME_OK, "%s: %s", a.code, a.message);
  assert_contains(a.memory_json, "\"jsMemoryEstimate\":");
  assert_contains(a.memory_json, "\"other\":[{");
  answer_release(&a);
}
END_TEST

/* ---- bake ------------------------------------------------------------------------------------ */

static const char *const functions =
    "function twice(x) { return x * 2 }\nfunction never(y) { return y.map(z => z + 1) }\n";

static void accept_blob(const char *kind, kiln_job *job, const char *text) {
  char folder[TEMPORARY_PATH];
  char source[TEMPORARY_PATH + 16];
  char blob[TEMPORARY_PATH + 16];
  char arguments[3 * TEMPORARY_PATH];
  char said[1024];
  job->op = KILN_JOB_BAKE;
  answer a;
  do_job(pool, job, &a);
  ck_assert_msg(a.status == KILN_OK && a.outcome == KILN_OUTCOME_OK, "%s %s", a.message_of_ours,
                a.message);
  ck_assert(temporary_make("kiln-hosted", folder, sizeof(folder)));
  snprintf(source, sizeof(source), "%s/source.js", folder);
  snprintf(blob, sizeof(blob), "%s/blob", folder);
  write_file(source, span_of(text));
  write_file(blob, kiln_bytes_get(a.blob));
  snprintf(arguments, sizeof(arguments), "%s '%s' '%s'", kind, source, blob);
  ask_node(arguments, said, sizeof(said));
  ck_assert_msg(strcmp(said, "accepted 42; damaged: rejected") == 0, "%s: %s", kind, said);
  ck_assert(temporary_remove(folder));
  kiln_bytes_unref(job->source);
  answer_release(&a);
}

static const kiln_mode modes[] = {KILN_LAZY, KILN_EAGER, KILN_WARM, KILN_WORKLOAD};

START_TEST(node_accepts_scripts) {
  char text[256];
  snprintf(text, sizeof(text), "%stwice(21)", functions);
  kiln_job job = script_job(text);
  job.mode = modes[_i];
  if (job.mode == KILN_WORKLOAD) job.workload = bytes_of("never([1])");
  accept_blob("script", &job, text);
  kiln_bytes_unref(job.workload);
}
END_TEST

START_TEST(node_accepts_functions) {
  char text[256];
  snprintf(text, sizeof(text), "%sreturn twice(a) + b", functions);
  const kiln_span params[] = {span_of("a"), span_of("b")};
  kiln_job job = script_job(text);
  job.kind = KILN_FUNCTION;
  job.params = params;
  job.params_count = 2;
  job.mode = modes[_i];
  accept_blob("function", &job, text);
}
END_TEST

START_TEST(node_accepts_modules) {
  char text[256];
  snprintf(text, sizeof(text), "%sexport default twice(21);", functions);
  kiln_job job = script_job(text);
  job.kind = KILN_MODULE;
  job.mode = modes[_i];
  accept_blob("module", &job, text);
}
END_TEST

int main(int argc, char **argv) {
  if (argc != 4) {
    fputs("usage: hosted_pool_test NODE ENGINE_OBJECT NODE_SCRIPT\n", stderr);
    return 2;
  }
  node = argv[1];
  object = argv[2];
  node_script = argv[3];
  TCase *all = tcase_create("hosted pool");
  tcase_set_timeout(all, 300);
  tcase_add_checked_fixture(all, open_pool, close_pool);
  tcase_add_test(all, engine_is_that_node);
  tcase_add_test(all, globals_are_the_languages);
  tcase_add_test(all, errors_have_stacks);
  tcase_add_test(all, code_from_strings_and_bytes);
  tcase_add_test(all, forks_by_the_thousand);
  tcase_add_test(all, siblings_do_not_share_random_numbers);
  tcase_add_test(all, zygotes_have_one_thread);
  tcase_add_test(all, time_ends_scripts);
  tcase_add_test(all, memory_ends_scripts);
  tcase_add_test(all, a_small_heap_is_kept_to);
  tcase_add_test(all, memory_is_measured);
  tcase_add_loop_test(all, node_accepts_scripts, 0, 4);
  tcase_add_loop_test(all, node_accepts_functions, 0, 2);
  tcase_add_loop_test(all, node_accepts_modules, 0, 3);
  Suite *suite = suite_create("hosted pool");
  suite_add_tcase(suite, all);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_ENV);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
