/* SPDX-License-Identifier: MIT
 *
 * image_test.c: images, on the real kiln-engine: what runs in them see, and what is no image. What
 * becomes of them is image_end_test.c.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/toolkit/image_support.h"

static kiln_bytes *typescript;

/* ---- what runs see ------------------------------------------------------------------------------
 */

START_TEST(runs_begin_where_the_image_ended) {
  kiln_options options = test_options(NULL);
  kiln *k = open_kiln(&options);
  kiln_bytes *first = bytes_from("console.log('loading'); var base = given + 1; let hidden = 5;");
  kiln_bytes *second = bytes_from("function twice(x) { return 2 * x }\nclass Box {}");
  kiln_image_script scripts[] = {{.source = first}, {.source = second}};
  kiln_image_request request = {.name = kiln_span_from("pair"),
                                .globals_json = kiln_span_from("{\"given\": 20}"),
                                .scripts = scripts,
                                .scripts_count = 2};
  image_made m;
  image_make(k, &request, &m);
  ck_assert_msg(m.a.outcome == KILN_OUTCOME_OK, "%s", m.a.message);
  ck_assert_int_eq(m.a.op, KILN_IMAGE);
  ck_assert_ptr_nonnull(strstr(m.a.console_json, "loading"));
  ck_assert_uint_gt(m.a.times.run_ns, 0);
  answer_release(&m.a);

  assert_image_run(k, m.id, "twice(base) + hidden + (typeof Box).length", "55");
  answer a;
  image_run(k, m.id, "console.log('mine'); var added = base; base = 7; globalThis.given = 8; added",
            &a);
  ck_assert_str_eq(a.result_json, "21");
  ck_assert_ptr_nonnull(strstr(a.console_json, "mine"));
  ck_assert_ptr_null(strstr(a.console_json, "loading"));
  answer_release(&a);

  kiln_span params[] = {{"a", 1}};
  kiln_bytes *body = bytes_from("return twice(a)");
  kiln_request call = {.op = KILN_RUN,
                       .kind = KILN_FUNCTION,
                       .source = body,
                       .params = params,
                       .params_count = 1,
                       .args_json = kiln_span_from("[4]"),
                       .globals_json = kiln_span_from("{\"unused\":1}"),
                       .image = kiln_span_from(m.id)};
  ask(k, &call, &a);
  ck_assert_msg(a.outcome == KILN_OUTCOME_OK, "%s", a.message);
  ck_assert_str_eq(a.result_json, "8");
  answer_release(&a);

  kiln_image_info info = image_info(k, m.id);
  ck_assert_str_eq(info.name, "pair");
  ck_assert_str_eq(info.engine, "node-18");
  ck_assert_int_eq(info.state, KILN_IMAGE_READY);
  ck_assert_uint_eq(info.runs, 3);
  ck_assert_uint_eq(info.loads, 1);
  ck_assert_uint_gt(info.load_ns, 0);
  ck_assert_uint_gt(info.source_bytes, 100);
  ck_assert_uint_eq(kiln_image_list(k, &info, 1), 1);
  kiln_stats stats = get_stats(k);
  ck_assert_uint_eq(stats.images, 1);
  ck_assert_uint_eq(stats.image_runs, 3);
  kiln_bytes_unref(body);
  kiln_bytes_unref(first);
  kiln_bytes_unref(second);
  kiln_close(k, 1000);
}
END_TEST

static char *globals_text;

static void take_globals(void *user, const kiln_response *response) {
  kiln_span text =
      response->globals_json ? kiln_bytes_get(response->globals_json) : kiln_span_from("");
  globals_text = strndup(text.data, text.length);
  take_answer(user, response);
}

START_TEST(globals_are_those_the_run_added) {
  kiln_options options = test_options(NULL);
  kiln *k = open_kiln(&options);
  char id[KILN_IMAGE_ID_HEX + 1];
  image_of_text(k, "var big = {a: 1}; var other = () => 1", id);
  kiln_bytes *source = bytes_from("var toJSON = () => 5; var added = [1]; big = 3; added");
  kiln_request request = {.op = KILN_RUN, .source = source, .image = kiln_span_from(id)};
  answer a = {0};
  kiln_error error;
  ck_assert_int_eq(kiln_submit(k, &request, take_globals, &a, &error), KILN_OK);
  await_answer(&a);
  ck_assert_str_eq(a.result_json, "[1]");
  ck_assert_ptr_nonnull(strstr(globals_text, "\"added\":[1]"));
  ck_assert_ptr_nonnull(strstr(globals_text, "\"toJSON\":"));
  ck_assert_ptr_null(strstr(globals_text, "big"));
  ck_assert_ptr_null(strstr(globals_text, "other"));
  free(globals_text);
  answer_release(&a);
  kiln_bytes_unref(source);
  kiln_close(k, 1000);
}
END_TEST

START_TEST(nothing_of_a_run_is_seen_by_the_next) {
  kiln_options options = test_options(NULL);
  kiln *k = open_kiln(&options);
  char id[KILN_IMAGE_ID_HEX + 1], last[64] = "";
  /* The image has used Math.random() itself. */
  image_of_text(k, "var seen = []; var first = Math.random(); var keep = {n: 0};", id);
  for (int i = 0; i < 200 / SLOW; i++) {
    assert_image_run(k, id,
                     "var before = [typeof leaked, Array.prototype.evil, keep.n, seen.length, "
                     "typeof String.prototype.trim, Object.prototype.x];"
                     "globalThis.leaked = 1; Array.prototype.evil = 1; keep.n++; seen.push(1);"
                     "String.prototype.trim = 0; Object.prototype.x = 9; Object.freeze(Math);"
                     "String(before)",
                     "\"undefined,,0,0,function,\"");
    answer a;
    image_run(k, id, "Math.random() + ' ' + Math.random()", &a);
    ck_assert_str_ne(a.result_json, last);
    snprintf(last, sizeof(last), "%s", a.result_json);
    answer_release(&a);
  }
  assert_image_run(
      k, id,
      "let low = 1, high = 0, sum = 0; for (let i = 0; i < 1e5; i++) { const r = "
      "Math.random(); if (r < low) low = r; if (r > high) high = r; sum += r }"
      "low >= 0 && low < 0.001 && high < 1 && high > 0.999 && Math.abs(sum / 1e5 - 0.5) < "
      "0.01 && first >= 0 && first < 1",
      "true");
  assert_image_run(k, id, "Math.random.name + Math.random.length + String(Math.random)",
                   "\"random0function random() { [native code] }\"");
  assert_image_run(k, id, "try { new Math.random() } catch (e) { e.name }", "\"TypeError\"");
  kiln_close(k, 1000);
}
END_TEST

START_TEST(modules_are_evaluated_from_the_entry) {
  kiln_options options = test_options(NULL);
  kiln *k = open_kiln(&options);
  kiln_bytes *entry = bytes_from(
      "import {n} from './n.js'; export let me = 'entry'; globalThis.total = n + (await 1);"
      "globalThis.made = (globalThis.made ?? 0) + 1;");
  /* It imports the entry back: that is the same module, not another. */
  kiln_bytes *dependency =
      bytes_from("import * as back from 'main \"x\"'; export const n = 41; globalThis.back = back");
  kiln_named_source modules[] = {{kiln_span_from("main \"x\""), entry},
                                 {kiln_span_from("./n.js"), dependency}};
  kiln_image_request request = {
      .modules = modules, .modules_count = 2, .entry = kiln_span_from("main \"x\"")};
  image_made m;
  image_make(k, &request, &m);
  ck_assert_msg(m.a.outcome == KILN_OUTCOME_OK, "%s", m.a.message);
  assert_image_run(k, m.id, "[total, made, back.me]", "[42,1,\"entry\"]");
  answer_release(&m.a);

  kiln_error error;
  request.entry = kiln_span_from("");
  ck_assert_int_eq(kiln_image_create(k, &request, take_image, &m, &error), KILN_EINVAL);
  ck_assert_str_eq(error.code, "ERR_MISSING_ARGS");
  request.entry = kiln_span_from("./none.js");
  ck_assert_int_eq(kiln_image_create(k, &request, take_image, &m, &error), KILN_EINVAL);
  ck_assert_ptr_nonnull(strstr(error.message, "'./none.js'"));
  kiln_bytes_unref(entry);
  kiln_bytes_unref(dependency);
  kiln_close(k, 1000);
}
END_TEST

START_TEST(hot_code_and_background_work_survive_the_fork) {
  kiln_options options = test_options(NULL);
  kiln *k = open_kiln(&options);
  char id[KILN_IMAGE_ID_HEX + 1];
  image_of_text(
      k,
      "function hot(n) { let s = 0; for (let i = 0; i < n; i++) s = (s * 31 + i) | 0; return s }"
      "var warm = 0; for (let i = 0; i < 3000; i++) warm += hot(1000);"
      "var garbage = []; for (let i = 0; i < 2e5; i++) garbage.push({i, s: 'x' + i});"
      "var bytes = new Uint8Array([0,97,115,109,1,0,0,0,1,7,1,96,2,127,127,1,127,3,2,1,0,7,7,"
      "1,3,97,100,100,0,0,10,9,1,7,0,32,0,32,1,106,11]);"
      "var sync = new WebAssembly.Instance(new WebAssembly.Module(bytes)).exports.add;"
      "var later; WebAssembly.instantiate(bytes).then(x => { later = x.instance.exports.add });"
      "Promise.resolve().then(() => { var settled = 1; globalThis.settled = 1 });"
      "setTimeout_ = typeof setTimeout;",
      id);
  for (int i = 0; i < 20; i++) {
    assert_image_run(k, id, "hot(100000) === hot(100000) && sync(2, 3) === 5 && settled", "1");
    assert_image_run(
        k, id, "var l = []; for (let i = 0; i < 3e5; i++) l.push([i]); l.length + garbage.length",
        "500000");
  }
  kiln_close(k, 1000);
}
END_TEST

START_TEST(typescript_transpiles_in_a_thousand_runs) {
  kiln_options options = test_options(NULL);
  kiln *k = open_kiln(&options);
  char id[KILN_IMAGE_ID_HEX + 1];
  kiln_bytes *warm = bytes_from("ts.transpile('let warm: string')");
  image_of(k, typescript, warm, id);
  kiln_bytes_unref(warm);
  uint64_t worst = 0, total = 0;
  int runs = 1000 / SLOW;
  for (int i = 0; i < runs; i++) {
    answer a;
    image_run(k, id, "ts.transpile('let x: number = 1')", &a);
    ck_assert_msg(a.outcome == KILN_OUTCOME_OK, "%s %s", a.code, a.message);
    ck_assert_str_eq(a.result_json, "\"var x = 1;\\n\"");
    total += a.times.total_ns;
    if (a.times.total_ns > worst) worst = a.times.total_ns;
    answer_release(&a);
  }
  kiln_image_info info = image_info(k, id);
  ck_assert_uint_eq(info.loads, 1);
  ck_assert_uint_eq(info.runs, (uint64_t)runs);
  printf("typescript: loaded in %.0f ms, %.1f MiB; a run takes %.2f ms on average, %.2f at worst\n",
         (double)info.load_ns / 1e6, (double)info.memory_bytes / 1048576.0,
         (double)total / runs / 1e6, (double)worst / 1e6);
  kiln_close(k, 1000);
}
END_TEST

START_TEST(scripts_come_from_the_store_too) {
  char folder[TEMPORARY_PATH], store[TEMPORARY_PATH + 32];
  make_folder(folder);
  snprintf(store, sizeof(store), "%s/store", folder);
  kiln_options options = test_options(store);
  kiln *k = open_kiln(&options);
  kiln_bytes *source = bytes_from("var stored = 11;");
  kiln_request bake = bake_of(source);
  answer a;
  ask(k, &bake, &a);
  kiln_image_script script = {.key = kiln_span_from(a.key)};
  kiln_image_request request = {.scripts = &script, .scripts_count = 1};
  image_made m;
  image_make(k, &request, &m);
  ck_assert_msg(m.a.outcome == KILN_OUTCOME_OK, "%s", m.a.message);
  assert_image_run(k, m.id, "stored", "11");
  answer_release(&m.a);
  answer_release(&a);
  kiln_error error;
  script.key = kiln_span_from("0000000000000000000000000000000000000000000000000000000000000000");
  ck_assert_int_eq(kiln_image_create(k, &request, take_image, &m, &error), KILN_NOT_FOUND);
  script.key = kiln_span_from("zz");
  ck_assert_int_eq(kiln_image_create(k, &request, take_image, &m, &error), KILN_EINVAL);
  kiln_bytes_unref(source);
  kiln_close(k, 1000);
  remove_folder(folder);
}
END_TEST

/* ---- what cannot be -----------------------------------------------------------------------------
 */

static const struct bad_load {
  const char *source;
  unsigned timeout_ms;
  kiln_outcome outcome;
  const char *code, *name, *says;
} bad_loads[] = {
    {"\n\nthrow new RangeError('not today')", 5000, KILN_OUTCOME_EXCEPTION, "", "RangeError",
     "not today"},
    {"var 5", 5000, KILN_OUTCOME_EXCEPTION, "", "SyntaxError", ""},
    {"for (;;);", 200, KILN_OUTCOME_TIME_LIMIT, "ERR_SCRIPT_EXECUTION_TIMEOUT", "Error", "200ms"},
    {"(function f() { Promise.resolve().then(f) })()", 200, KILN_OUTCOME_TIME_LIMIT,
     "ERR_SCRIPT_EXECUTION_TIMEOUT", "Error", ""},
    {"[].indexOf.call({length: 2**53 - 1})", 200, KILN_OUTCOME_TIME_LIMIT,
     "ERR_SCRIPT_EXECUTION_TIMEOUT", "Error", ""},
    {"var a = []; for (;;) a.push(new Array(1e5).fill(1.5))", 20000, KILN_OUTCOME_MEMORY_LIMIT,
     "ERR_MEMORY_LIMIT", "Error", ""},
};

START_TEST(a_bad_load_is_the_scripts_fate) {
  const struct bad_load *bad = &bad_loads[_i];
  kiln_options options = test_options(NULL);
  options.heap_max_bytes = 64 << 20;
  kiln *k = open_kiln(&options);
  kiln_bytes *good = bytes_from("var fine = 1");
  kiln_bytes *source = bytes_from(bad->source);
  kiln_image_script scripts[] = {{.source = good}, {.source = source}};
  kiln_image_request request = {
      .scripts = scripts, .scripts_count = 2, .timeout_ms = bad->timeout_ms};
  image_made m;
  image_make(k, &request, &m);
  ck_assert_int_eq(m.a.status, KILN_OK);
  ck_assert_msg(m.a.outcome == bad->outcome, "%s: %s %s", bad->source, m.a.code, m.a.message);
  ck_assert_str_eq(m.a.code, bad->code);
  ck_assert_str_eq(m.a.name, bad->name);
  ck_assert_ptr_nonnull(strstr(m.a.message, bad->says));
  if (bad->outcome == KILN_OUTCOME_EXCEPTION) ck_assert_str_eq(m.resource, "scripts[1]");
  ck_assert_str_eq(m.id, "");
  ck_assert_uint_eq(kiln_image_list(k, NULL, 0), 0);
  ck_assert_uint_eq(get_stats(k).image_failures, 1);
  answer_release(&m.a);
  kiln_bytes_unref(good);
  kiln_bytes_unref(source);
  kiln_close(k, 1000);
}
END_TEST

START_TEST(what_a_run_in_an_image_may_not_say) {
  kiln_options options = test_options(NULL);
  kiln *k = open_kiln(&options);
  char id[KILN_IMAGE_ID_HEX + 1];
  image_of_text(k, "1", id);
  kiln_bytes *source = bytes_from("1");
  kiln_error error;
  answer a = {0};
  kiln_request base = {.op = KILN_RUN, .source = source, .image = kiln_span_from(id)};
  kiln_request bad[6] = {base, base, base, base, base, base};
  bad[0].context_name = kiln_span_from("x");
  bad[1].context_origin = kiln_span_from("x");
  bad[2].deny_wasm = true;
  bad[3].microtasks_after_evaluate = true;
  bad[4].kind = KILN_MODULE;
  bad[5].engine = kiln_span_from("node-99");
  for (size_t i = 0; i < 6; i++)
    ck_assert_msg(kiln_submit(k, &bad[i], take_answer, &a, &error) == KILN_EINVAL, "%zu", i);
  base.image = kiln_span_from("0123456789abcdef0123456789abcdef");
  ck_assert_int_eq(kiln_submit(k, &base, take_answer, &a, &error), KILN_NOT_FOUND);
  ck_assert_str_eq(error.code, "ERR_NOT_FOUND");
  base.image = kiln_span_from("../x");
  ck_assert_int_eq(kiln_submit(k, &base, take_answer, &a, &error), KILN_NOT_FOUND);
  kiln_bytes_unref(source);
  kiln_close(k, 1000);
}
END_TEST

START_TEST(a_run_has_the_images_context) {
  kiln_options options = test_options(NULL);
  kiln *k = open_kiln(&options);
  kiln_bytes *source = bytes_from("var x = 1");
  kiln_image_script script = {.source = source};
  kiln_image_request request = {.scripts = &script, .scripts_count = 1, .deny_strings = true};
  image_made m;
  image_make(k, &request, &m);
  answer a;
  image_run(k, m.id, "eval('1')", &a);
  ck_assert_int_eq(a.outcome, KILN_OUTCOME_EXCEPTION);
  ck_assert_str_eq(a.name, "EvalError");
  answer_release(&a);
  answer_release(&m.a);
  kiln_bytes_unref(source);
  kiln_close(k, 1000);
}
END_TEST

static kiln_bytes *read_file(const char *path) {
  FILE *file = fopen(path, "re");
  if (file == NULL) return NULL;
  fseek(file, 0, SEEK_END);
  long size = ftell(file);
  rewind(file);
  char *text = malloc((size_t)size);
  size_t got = text != NULL ? fread(text, 1, (size_t)size, file) : 0;
  fclose(file);
  kiln_bytes *bytes = got == (size_t)size ? kiln_bytes_new(text, got) : NULL;
  free(text);
  return bytes;
}

int main(void) {
  typescript = read_file(KILN_TEST_MODULES "/typescript/lib/typescript.js");
  if (typescript == NULL) {
    fprintf(stderr, "no " KILN_TEST_MODULES "/typescript: run ./run build\n");
    return EXIT_FAILURE;
  }
  Suite *suite = suite_create("image");
  TCase *cases = tcase_create("all");
  tcase_set_timeout(cases, 300);
  tcase_add_test(cases, runs_begin_where_the_image_ended);
  tcase_add_test(cases, globals_are_those_the_run_added);
  tcase_add_test(cases, nothing_of_a_run_is_seen_by_the_next);
  tcase_add_test(cases, modules_are_evaluated_from_the_entry);
  tcase_add_test(cases, hot_code_and_background_work_survive_the_fork);
  tcase_add_test(cases, typescript_transpiles_in_a_thousand_runs);
  tcase_add_test(cases, scripts_come_from_the_store_too);
  tcase_add_loop_test(cases, a_bad_load_is_the_scripts_fate, 0,
                      (int)(sizeof(bad_loads) / sizeof(bad_loads[0])));
  tcase_add_test(cases, what_a_run_in_an_image_may_not_say);
  tcase_add_test(cases, a_run_has_the_images_context);
  suite_add_tcase(suite, cases);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  kiln_bytes_unref(typescript);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
