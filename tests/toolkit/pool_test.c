/* SPDX-License-Identifier: MIT
 *
 * pool_test.c: what jobs do and answer, on the real kiln-engine. What happens when they do not
 * behave is pool_hostile_test.c.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/official_node.h"
#include "tests/toolkit/pool_support.h"

static kiln_pool *pool;

static void open_pool(void) {
  kiln_pool_options options = default_options();
  pool = new_pool(&options);
}

static void close_pool(void) {
  kiln_pool_free(pool, 1000);
  child children[8];
  ck_assert_uint_eq(list_children(children, 8), 0); /* neither a process nor a zombie stays */
}

START_TEST(engine_introduces_itself) {
  kiln_engine_info info;
  kiln_pool_get_engine(pool, &info);
  ck_assert_str_eq(info.name, "node-18");
  ck_assert_int_eq(strncmp(info.v8_version, "10.2.", 5), 0);
  ck_assert_uint_eq(info.cached_data_tag, official_node_tag(KILN_TEST_NODE18));
  ck_assert_uint_gt(strlen(info.build_id), 16);
  ck_assert_uint_gt(strlen(info.arch), 0);
  ck_assert_uint_eq(info.protocol, KILN_WIRE_PROTOCOL);
}
END_TEST

/* ---- run ---------------------------------------------------------------------------------------
 */

START_TEST(run_answers_all_there_is) {
  kiln_job job = script_job("console.log('hello', {a: 1}); var made = base + 1; made * 2");
  job.globals_json = span_of("{\"base\":20}");
  answer a;
  do_job(pool, &job, &a);
  ck_assert_int_eq(a.status, KILN_OK);
  ck_assert_msg(a.outcome == KILN_OUTCOME_OK, "%s", a.message);
  assert_json(a.result_json, "42");
  assert_json(a.globals_json, "{\"base\":20,\"made\":21}");
  assert_contains(a.console_json, "\"level\":\"log\"");
  assert_contains(a.console_json, "hello");
  assert_contains(a.memory_json, "\"used_heap_size\":");
  ck_assert(!a.console_truncated);
  ck_assert_int_eq(a.cached_data_rejected, -1);
  ck_assert(a.times.compile_ns > 0 && a.times.run_ns > 0 && a.times.total_ns > a.times.run_ns);
  kiln_bytes_unref(job.source);
  answer_release(&a);
}
END_TEST

START_TEST(run_describes_what_json_cannot_hold) {
  assert_result(pool, "undefined", "{\"type\":\"undefined\"}");
  assert_result(pool, "'\\u20ac\\n'", "\"\xe2\x82\xac\\n\"");
}
END_TEST

START_TEST(run_large_source_and_result) {
  size_t size = 300000;
  char *source = malloc(size + 64);
  ck_assert_ptr_nonnull(source);
  memset(source, 'a', size);
  memcpy(source, "const s = '", 11);
  memcpy(source + size, "'; s + s", 9);
  kiln_job job = script_job(source);
  answer a;
  do_job(pool, &job, &a);
  ck_assert_msg(a.outcome == KILN_OUTCOME_OK, "%s", a.message);
  ck_assert_uint_eq(kiln_bytes_get(a.result_json).length, 2 * (size - 11) + 2);
  answer_release(&a);
  job.result_max_bytes = 1000;
  do_job(pool, &job, &a);
  ck_assert_int_eq(a.outcome, KILN_OUTCOME_EXCEPTION);
  ck_assert_msg(strstr(a.code, "TOO_LARGE") != NULL, "%s: %s", a.code, a.message);
  ck_assert_ptr_null(a.result_json);
  answer_release(&a);
  kiln_bytes_unref(job.source);
  free(source);
}
END_TEST

START_TEST(run_exception_says_what_and_where) {
  kiln_job job = script_job(
      "console.error('before');\nfunction f() {\n  throw new TypeError('oops');\n}\nf()");
  answer a;
  do_job(pool, &job, &a);
  ck_assert_int_eq(a.outcome, KILN_OUTCOME_EXCEPTION);
  ck_assert_str_eq(a.name, "TypeError");
  ck_assert_str_eq(a.message, "oops");
  ck_assert_str_eq(a.resource, "test.js");
  ck_assert(a.line == 3 && a.column > 0);
  ck_assert_ptr_nonnull(strstr(a.stack, "at f (test.js:3"));
  ck_assert_ptr_nonnull(strstr(a.source_line, "throw new TypeError"));
  assert_contains(a.console_json, "before");
  ck_assert_ptr_null(a.result_json);
  kiln_bytes_unref(job.source);
  answer_release(&a);
}
END_TEST

START_TEST(run_syntax_error) {
  kiln_job job = script_job("\n\nvar 5;");
  job.line_offset = 10;
  answer a;
  do_job(pool, &job, &a);
  ck_assert_int_eq(a.outcome, KILN_OUTCOME_EXCEPTION);
  ck_assert_str_eq(a.name, "SyntaxError");
  ck_assert_int_eq(a.line, 13);
  kiln_bytes_unref(job.source);
  answer_release(&a);
}
END_TEST

START_TEST(run_console_is_bounded) {
  kiln_job job = script_job("for (let i = 0; i < 1e4; i++) console.log('\\u20ac'.repeat(100)); 1");
  job.console_max_bytes = 1000;
  answer a;
  do_job(pool, &job, &a);
  ck_assert_msg(a.outcome == KILN_OUTCOME_OK, "%s", a.message);
  ck_assert(a.console_truncated);
  ck_assert_uint_le(kiln_bytes_get(a.console_json).length, 1500);
  kiln_bytes_unref(job.source);
  answer_release(&a);
}
END_TEST

START_TEST(run_context_options_take_effect) {
  kiln_job job = script_job("eval('1')");
  job.deny_strings = true;
  answer a;
  do_job(pool, &job, &a);
  ck_assert_int_eq(a.outcome, KILN_OUTCOME_EXCEPTION);
  ck_assert_str_eq(a.name, "EvalError");
  kiln_bytes_unref(job.source);
  answer_release(&a);
  job = script_job("globalThis.later = 0; Promise.resolve().then(() => { later = 1; }); 5");
  job.microtasks_after_evaluate = true;
  do_job(pool, &job, &a);
  ck_assert_msg(a.outcome == KILN_OUTCOME_OK, "%s", a.message);
  assert_json(a.globals_json, "{\"later\":1}");
  kiln_bytes_unref(job.source);
  answer_release(&a);
}
END_TEST

START_TEST(run_function_with_arguments) {
  static const kiln_span params[] = {{"a", 1}, {"b", 1}};
  kiln_job job = script_job("return a.x.concat(b, arguments.length)");
  job.kind = KILN_FUNCTION;
  job.params = params;
  job.params_count = 2;
  static const struct {
    const char *args, *result;
  } good[] = {{" [ {\"x\": [1, \"],[\\\"\"]} , 7 ] ", "[1,\"],[\\\"\",7,2]"},
              {"[{\"x\":[]},[8,[9]],true]", "[8,[9],3]"}};
  answer a;
  for (size_t i = 0; i < 2; i++) {
    job.args_json = span_of(good[i].args);
    do_job(pool, &job, &a);
    ck_assert_msg(a.outcome == KILN_OUTCOME_OK, "%s", a.message);
    assert_json(a.result_json, good[i].result);
    answer_release(&a);
  }
  static const char *const bad[] = {"{}", "[1", "[1,]", "[,1]", "[1] 2", "[1}", "nope", "["};
  for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
    job.args_json = span_of(bad[i]);
    do_job(pool, &job, &a);
    ck_assert_msg(a.outcome == KILN_OUTCOME_EXCEPTION, "%s", bad[i]);
    answer_release(&a);
  }
  kiln_bytes_unref(job.source);
}
END_TEST

START_TEST(run_module_graph) {
  kiln_job job = script_job(
      "import {b, twice} from './b.mjs'; import d from 'd'; export const sum = twice(b) + d;"
      "export default 'x'");
  kiln_job_source modules[] = {
      {span_of("./b.mjs"), bytes_of("import './a.mjs'; export const b = 20;"
                                    "export function twice(x) { return 2 * x }")},
      {span_of("d"), bytes_of("export default 2")},
      {span_of("./a.mjs"), bytes_of("import {b} from './b.mjs'; export let cycle = () => b")},
      {span_of("unused"), bytes_of("this is no JavaScript")}};
  job.kind = KILN_MODULE;
  job.filename = span_of("main.mjs");
  job.modules = modules;
  job.modules_count = 4;
  answer a;
  do_job(pool, &job, &a);
  ck_assert_msg(a.outcome == KILN_OUTCOME_OK, "%s %s", a.code, a.message);
  assert_contains(a.result_json, "\"sum\":42");
  assert_contains(a.result_json, "\"default\":\"x\"");
  answer_release(&a);
  job.modules_count = 2; /* './a.mjs' is missing */
  do_job(pool, &job, &a);
  ck_assert_int_eq(a.outcome, KILN_OUTCOME_EXCEPTION);
  ck_assert_str_eq(a.code, "ERR_VM_MODULE_LINK_FAILURE");
  ck_assert_ptr_nonnull(strstr(a.message, "'./a.mjs'"));
  ck_assert_ptr_nonnull(strstr(a.message, "'./b.mjs'"));
  answer_release(&a);
  kiln_bytes_unref(job.source);
  for (size_t i = 0; i < 4; i++) kiln_bytes_unref(modules[i].source);

  job = script_job("await new Promise(() => {})");
  job.kind = KILN_MODULE;
  do_job(pool, &job, &a);
  ck_assert_int_eq(a.outcome, KILN_OUTCOME_EXCEPTION);
  ck_assert_str_eq(a.code, "ERR_UNSETTLED_TOP_LEVEL_AWAIT");
  answer_release(&a);
  kiln_bytes_unref(job.source);
}
END_TEST

START_TEST(runs_know_nothing_of_each_other) {
  assert_result(pool, "globalThis.left = 1; Array.prototype.left = 2; 1", "1");
  assert_result(pool, "typeof left + [].left", "\"undefinedundefined\"");
  answer a, b;
  kiln_job job = script_job("Math.random()");
  do_job(pool, &job, &a);
  do_job(pool, &job, &b);
  kiln_span x = kiln_bytes_get(a.result_json), y = kiln_bytes_get(b.result_json);
  ck_assert(x.length != y.length || memcmp(x.data, y.data, x.length) != 0);
  answer_release(&a);
  answer_release(&b);
  kiln_bytes_unref(job.source);
}
END_TEST

/* ---- bake --------------------------------------------------------------------------------------
 */

static const char bundle[] =
    "function used() { return inner(3) } function inner(n) { return n * 14 }"
    "function unused(a) { return a.map(x => x + 1).filter(x => x > 2).join('-') }";

/* Bakes, then runs with the blob; gives the blob's length. */
static size_t bake_and_run(kiln_kind kind, kiln_mode mode, const char *tail, const char *workload) {
  static const kiln_span params[] = {
      {"exports", 7}, {"require", 7}, {"module", 6}, {"__filename", 10}, {"other", 5}};
  char source[1000];
  snprintf(source, sizeof(source), "%s %s", bundle, tail);
  kiln_job job = script_job(source);
  job.op = KILN_JOB_BAKE;
  job.kind = kind;
  job.mode = mode;
  job.filename = span_of("/dir/bundle.js");
  if (kind == KILN_FUNCTION) {
    job.params = params;
    job.params_count = 5;
  }
  if (mode == KILN_WORKLOAD) job.workload = bytes_of(workload);
  answer a;
  do_job(pool, &job, &a);
  ck_assert_msg(a.status == KILN_OK && a.outcome == KILN_OUTCOME_OK, "%d/%d: %s: %s", kind, mode,
                a.code, a.message);
  ck_assert_ptr_nonnull(a.blob);
  size_t length = kiln_bytes_get(a.blob).length;
  ck_assert_uint_gt(length, 64);
  kiln_bytes_unref(job.workload);

  job.workload = NULL;
  job.op = KILN_JOB_RUN;
  job.mode = KILN_LAZY;
  job.cached_data = a.blob;
  if (kind == KILN_FUNCTION) job.args_json = span_of("[{}, null, {\"exports\": {}}, \"f\", 1]");
  answer b;
  do_job(pool, &job, &b);
  ck_assert_msg(b.outcome == KILN_OUTCOME_OK, "%d/%d: %s: %s", kind, mode, b.code, b.message);
  ck_assert_int_eq(b.cached_data_rejected, 0);
  answer_release(&b);

  kiln_bytes *other = bytes_of("'another source than it is of'");
  kiln_bytes *source_bytes = job.source;
  job.source = other;
  if (kind == KILN_SCRIPT) {
    do_job(pool, &job, &b);
    ck_assert_int_eq(b.cached_data_rejected, 1); /* and not an error by itself */
    answer_release(&b);
  }
  kiln_bytes_unref(other);
  kiln_bytes_unref(source_bytes);
  answer_release(&a);
  return length;
}

START_TEST(bake_script_in_all_modes) {
  size_t lazy = bake_and_run(KILN_SCRIPT, KILN_LAZY, "1", NULL);
  size_t eager = bake_and_run(KILN_SCRIPT, KILN_EAGER, "1", NULL);
  size_t warm = bake_and_run(KILN_SCRIPT, KILN_WARM, "used()", NULL);
  size_t workload =
      bake_and_run(KILN_SCRIPT, KILN_WORKLOAD, "used()", "if (unused([1,2,3]) !== '3-4') throw 1");
  ck_assert_uint_gt(eager, lazy);
  ck_assert_uint_gt(warm, lazy);
  ck_assert_uint_gt(workload, warm);
}
END_TEST

START_TEST(bake_function_in_all_modes) {
  const char *tail =
      "module.exports.f = unused; if (typeof other !== 'undefined' && other !== 1) throw other;"
      "if (require) try { require('fs') } catch (e) { if (e.code !== 'MODULE_NOT_FOUND') throw e }"
      "used()";
  size_t lazy = bake_and_run(KILN_FUNCTION, KILN_LAZY, tail, NULL);
  size_t eager = bake_and_run(KILN_FUNCTION, KILN_EAGER, tail, NULL);
  size_t warm = bake_and_run(KILN_FUNCTION, KILN_WARM, tail, NULL);
  size_t workload = bake_and_run(KILN_FUNCTION, KILN_WORKLOAD, tail,
                                 "if (module.exports !== exports) throw 1; exports.f([1])");
  ck_assert_uint_gt(eager, lazy);
  ck_assert_uint_gt(warm, lazy);
  ck_assert_uint_gt(workload, warm);
}
END_TEST

START_TEST(bake_module_in_all_modes) {
  const char *tail = "used(); globalThis.f = unused; export {unused}";
  size_t lazy = bake_and_run(KILN_MODULE, KILN_LAZY, tail, NULL);
  bake_and_run(KILN_MODULE, KILN_EAGER, tail, NULL);
  size_t warm = bake_and_run(KILN_MODULE, KILN_WARM, tail, NULL);
  size_t workload = bake_and_run(KILN_MODULE, KILN_WORKLOAD, tail, "f([1, 2])");
  ck_assert_uint_gt(warm, lazy);
  ck_assert_uint_gt(workload, warm);
}
END_TEST

START_TEST(bake_that_throws_makes_nothing) {
  kiln_job job = script_job("throw new RangeError('no')");
  job.op = KILN_JOB_BAKE;
  job.mode = KILN_WARM;
  answer a;
  do_job(pool, &job, &a);
  ck_assert_int_eq(a.outcome, KILN_OUTCOME_EXCEPTION);
  ck_assert_str_eq(a.name, "RangeError");
  ck_assert_ptr_null(a.blob);
  answer_release(&a);
  kiln_bytes_unref(job.source);
  job = script_job("import 'x'");
  job.op = KILN_JOB_BAKE;
  job.kind = KILN_MODULE;
  job.mode = KILN_WARM;
  do_job(pool, &job, &a);
  ck_assert_str_eq(a.code, "ERR_VM_MODULE_LINK_FAILURE");
  answer_release(&a);
  kiln_bytes_unref(job.source);
}
END_TEST

/* ---- measure -----------------------------------------------------------------------------------
 */

START_TEST(MM03_measure_contexts_by_name) {
  kiln_job_source fat[] = {
      {span_of("fat.js"), bytes_of("var a = Array.from({length: 50000}, () => ({}))")}};
  kiln_job_source thin[] = {{span_of("thin.js"), bytes_of("var b = given")}};
  kiln_job_context contexts[] = {{span_of("first \"one\""), {NULL, 0}, fat, 1},
                                 {span_of("second"), span_of("{\"given\":1}"), thin, 1},
                                 {span_of("third"), {NULL, 0}, NULL, 0}};
  kiln_job job = script_job("");
  kiln_bytes_unref(job.source);
  job.source = NULL;
  job.op = KILN_JOB_MEASURE;
  job.detailed = true;
  job.eager = true;
  job.contexts = contexts;
  job.contexts_count = 3;
  answer a;
  do_job(pool, &job, &a);
  ck_assert_msg(a.outcome == KILN_OUTCOME_OK, "%s: %s", a.code, a.message);
  assert_contains(a.memory_json, "{\"total\":{\"jsMemoryEstimate\":");
  const char *current = "\"current\":{\"name\":\"first \\\"one\\\"\",\"jsMemoryEstimate\":";
  assert_contains(a.memory_json, current);
  kiln_span json = kiln_bytes_get(a.memory_json);
  const char *estimate = memmem(json.data, json.length, current, strlen(current));
  ck_assert_int_gt(strtol(estimate + strlen(current), NULL, 10), 1000000);
  assert_contains(a.memory_json, "{\"name\":\"second\",");
  assert_contains(a.memory_json, "{\"name\":\"third\",");
  assert_contains(a.memory_json, "\"heap\":{\"total_heap_size\":");
  assert_contains(a.memory_json, "\"v8Version\":\"10.2.");
  /* exactly these three: the zygote's own context is one of them */
  int names = 0;
  for (size_t i = 0; i + 8 < json.length; i++) names += memcmp(json.data + i, "\"name\":", 7) == 0;
  ck_assert_int_eq(names, 3);
  answer_release(&a);

  job.detailed = false;
  do_job(pool, &job, &a);
  ck_assert_msg(a.outcome == KILN_OUTCOME_OK, "%s", a.message);
  json = kiln_bytes_get(a.memory_json);
  ck_assert_ptr_null(memmem(json.data, json.length, "current", 7));
  answer_release(&a);

  kiln_bytes_unref(thin[0].source);
  thin[0].source = bytes_of("\nmissing()");
  do_job(pool, &job, &a);
  ck_assert_int_eq(a.outcome, KILN_OUTCOME_EXCEPTION);
  ck_assert_str_eq(a.resource, "thin.js");
  ck_assert_int_eq(a.line, 2);
  answer_release(&a);
  kiln_bytes_unref(fat[0].source);
  kiln_bytes_unref(thin[0].source);
}
END_TEST

/* ---- many --------------------------------------------------------------------------------------
 */

START_TEST(two_hundred_at_once) {
  enum { COUNT = 200 };
  static answer answers[COUNT];
  for (int i = 0; i < COUNT; i++) {
    char source[40];
    snprintf(source, sizeof(source), "%d + 1", i);
    kiln_job job = script_job(source);
    kiln_error err;
    answer_init(&answers[i]);
    ck_assert_int_eq(kiln_pool_submit(pool, &job, answer_done, &answers[i], &err), KILN_OK);
    kiln_bytes_unref(job.source);
  }
  for (int i = 0; i < COUNT; i++) {
    char expected[40];
    answer_wait(&answers[i]);
    ck_assert_msg(answers[i].outcome == KILN_OUTCOME_OK, "%s", answers[i].message);
    snprintf(expected, sizeof(expected), "%d", i + 1);
    assert_json(answers[i].result_json, expected);
    answer_release(&answers[i]);
  }
  kiln_stats stats = stats_of(pool);
  ck_assert_uint_eq(stats.jobs, COUNT);
  ck_assert_uint_eq(stats.jobs_ok, COUNT);
  ck_assert(stats.jobs_running == 0 && stats.jobs_queued == 0);
  ck_assert(stats.protocol_errors == 0 && stats.zygotes_lost == 0 && stats.kills == 0);
}
END_TEST

int main(void) {
  Suite *suite = suite_create("pool");
  TCase *all = tcase_create("jobs");
  tcase_set_timeout(all, 60);
  tcase_add_checked_fixture(all, open_pool, close_pool);
  tcase_add_test(all, engine_introduces_itself);
  tcase_add_test(all, run_answers_all_there_is);
  tcase_add_test(all, run_describes_what_json_cannot_hold);
  tcase_add_test(all, run_large_source_and_result);
  tcase_add_test(all, run_exception_says_what_and_where);
  tcase_add_test(all, run_syntax_error);
  tcase_add_test(all, run_console_is_bounded);
  tcase_add_test(all, run_context_options_take_effect);
  tcase_add_test(all, run_function_with_arguments);
  tcase_add_test(all, run_module_graph);
  tcase_add_test(all, runs_know_nothing_of_each_other);
  tcase_add_test(all, bake_script_in_all_modes);
  tcase_add_test(all, bake_function_in_all_modes);
  tcase_add_test(all, bake_module_in_all_modes);
  tcase_add_test(all, bake_that_throws_makes_nothing);
  tcase_add_test(all, MM03_measure_contexts_by_name);
  tcase_add_test(all, two_hundred_at_once);
  suite_add_tcase(suite, all);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
