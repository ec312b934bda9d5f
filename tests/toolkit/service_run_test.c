/* SPDX-License-Identifier: MIT
 *
 * service_run_test.c: run and measureMemory with a real engine and a real store, a full queue, and
 * closing.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "tests/toolkit/service_support.h"

static char folder[TEMPORARY_PATH];
static kiln *k;

static void setup(void) {
  make_folder(folder);
  kiln_options options = test_options(folder);
  k = open_kiln(&options);
}

static void teardown(void) {
  kiln_close(k, 5000);
  remove_folder(folder);
}

static kiln_request run_of(kiln_bytes *source) {
  return (kiln_request){.op = KILN_RUN, .source = source, .filename = kiln_span_from("a.js")};
}

START_TEST(run_uses_a_baked_blob) {
  kiln_bytes *source = big_source(9);
  kiln_request request = run_of(source);
  answer one;
  ask(k, &request, &one);
  ck_assert_str_eq(one.result_json, "9");
  ck_assert_int_eq(one.cached_data_rejected, -1);
  answer_release(&one);
  for (int mode = KILN_LAZY; mode <= KILN_WARM; mode++) {
    kiln_request bake = bake_of(source);
    bake.mode = (kiln_mode)mode;
    ask(k, &bake, &one);
    ck_assert_int_eq(one.outcome, KILN_OUTCOME_OK);
    answer_release(&one);
    ask(k, &request, &one);
    ck_assert_str_eq(one.result_json, "9");
    ck_assert_int_eq(one.cached_data_rejected, 0);
    answer_release(&one);
  }
  /* A name or an offset of its own makes it another compile. */
  request.line_offset = 1;
  ask(k, &request, &one);
  ck_assert_int_eq(one.cached_data_rejected, -1);
  answer_release(&one);
  kiln_stats stats = get_stats(k);
  ck_assert_uint_eq(stats.store_entries, 3); /* runs have added none */
  ck_assert_uint_eq(stats.rejected, 0);
  kiln_bytes_unref(source);
}
END_TEST

/* The store vouches for the bytes, but V8 does not want them. */
START_TEST(a_rejected_blob_is_removed) {
  kiln_bytes *source = big_source(11);
  kiln_span text = kiln_bytes_get(source);
  kiln_engine_info info;
  ck_assert_int_eq(kiln_get_engine(k, 0, &info, NULL), KILN_OK);
  kcc_key_parts parts = {.fingerprint = {info.name, info.v8_version, info.cached_data_tag,
                                         info.flags, info.build_id, info.arch},
                         .source_length = text.length,
                         .filename = {"a.js", 4}};
  ck_assert_int_eq(kcc_digest_of((kcc_span){text.data, text.length}, &parts.source, NULL), KCC_OK);
  static const char rubbish[256] = "not V8's";
  kcc_put put = {.parts = parts, .blob = {rubbish, sizeof(rubbish)}};
  kcc_store_options options = KCC_STORE_OPTIONS_INIT;
  kcc_store *store;
  ck_assert_int_eq(kcc_store_open(folder, &options, &store, NULL), KCC_OK);
  ck_assert_int_eq(kcc_store_put(store, &put, /* ret_key= */ NULL, /* err= */ NULL), KCC_OK);
  kcc_store_close(store);
  kiln_request request = run_of(source);
  answer one;
  ask(k, &request, &one);
  ck_assert_int_eq(one.outcome, KILN_OUTCOME_OK);
  ck_assert_str_eq(one.result_json, "11");
  ck_assert_int_eq(one.cached_data_rejected, 1);
  answer_release(&one);
  /* The removal is behind the answer in time, but before whatever is written next. */
  kiln_bytes *other = bytes_from("12");
  kiln_request bake = bake_of(other);
  ask(k, &bake, &one);
  answer_release(&one);
  kiln_stats stats = get_stats(k);
  ck_assert_uint_eq(stats.rejected, 1);
  ck_assert_uint_eq(stats.store_entries, 1);
  ask(k, &request, &one);
  ck_assert_int_eq(one.cached_data_rejected, -1);
  answer_release(&one);
  kiln_bytes_unref(source);
  kiln_bytes_unref(other);
}
END_TEST

START_TEST(run_by_key) {
  kiln_bytes *source = big_source(13);
  kiln_request bake = bake_of(source);
  answer baked, one;
  ask(k, &bake, &baked);
  kiln_request request = {.op = KILN_RUN, .key = kiln_span_from(baked.key)};
  ask(k, &request, &one);
  ck_assert_int_eq(one.status, KILN_OK);
  ck_assert_str_eq(one.result_json, "13");
  ck_assert_int_eq(one.cached_data_rejected, 0);
  ck_assert_str_eq(one.key, baked.key);
  answer_release(&one);
  kiln_error error;
  request.kind = KILN_MODULE;
  ck_assert_int_eq(kiln_submit(k, &request, take_answer, &one, &error), KILN_EINVAL);
  request.kind = KILN_SCRIPT;
  request.args_json = kiln_span_from("[1]");
  ck_assert_int_eq(kiln_submit(k, &request, take_answer, &one, &error), KILN_EINVAL);
  request.args_json = kiln_span_from("");
  request.key = kiln_span_from("12");
  ck_assert_int_eq(kiln_submit(k, &request, take_answer, &one, &error), KILN_EINVAL);
  char unknown[] = "0000000000000000000000000000000000000000000000000000000000000000";
  request.key = kiln_span_from(unknown);
  ck_assert_int_eq(kiln_submit(k, &request, take_answer, &one, &error), KILN_NOT_FOUND);
  answer_release(&baked);
  kiln_bytes_unref(source);
}
END_TEST

START_TEST(run_an_empty_source_by_key) {
  kiln_bytes *source = bytes_from("");
  kiln_request bake = bake_of(source);
  answer baked, one;
  ask(k, &bake, &baked);
  ck_assert_int_eq(baked.outcome, KILN_OUTCOME_OK);
  kiln_request request = {.op = KILN_RUN, .key = kiln_span_from(baked.key)};
  ask(k, &request, &one);
  ck_assert_int_eq(one.status, KILN_OK);
  ck_assert_int_eq(one.outcome, KILN_OUTCOME_OK);
  answer_release(&one);
  answer_release(&baked);
  kiln_bytes_unref(source);
}
END_TEST

START_TEST(run_a_function_by_key) {
  kiln_bytes *source = bytes_from("return a * 2;");
  kiln_span params[] = {kiln_span_from("a")};
  kiln_request bake = bake_of(source);
  bake.kind = KILN_FUNCTION;
  bake.params = params;
  bake.params_count = 1;
  answer baked, one;
  ask(k, &bake, &baked);
  ck_assert_int_eq(baked.outcome, KILN_OUTCOME_OK);
  kiln_request request = {.op = KILN_RUN,
                          .key = kiln_span_from(baked.key),
                          .params = params,
                          .params_count = 1,
                          .args_json = kiln_span_from("[21]")};
  ask(k, &request, &one);
  ck_assert_str_eq(one.result_json, "42");
  ck_assert_int_eq(one.cached_data_rejected, 0);
  answer_release(&one);
  kiln_error error;
  params[0] = kiln_span_from("b");
  ck_assert_int_eq(kiln_submit(k, &request, take_answer, &one, &error), KILN_EINVAL);
  ck_assert_ptr_nonnull(strstr(error.message, "other parameters or offsets"));
  request.params_count = 0;
  ck_assert_int_eq(kiln_submit(k, &request, take_answer, &one, &error), KILN_EINVAL);
  answer_release(&baked);
  kiln_bytes_unref(source);
}
END_TEST

START_TEST(run_by_key_needs_the_source) {
  kiln_close(k, 0);
  kiln_options options = test_options(folder);
  options.forget_sources = true;
  k = open_kiln(&options);
  kiln_bytes *source = bytes_from("14");
  kiln_request bake = bake_of(source);
  answer baked, one;
  ask(k, &bake, &baked);
  kiln_request request = {.op = KILN_RUN, .key = kiln_span_from(baked.key)};
  kiln_error error;
  ck_assert_int_eq(kiln_submit(k, &request, take_answer, &one, &error), KILN_NOT_FOUND);
  ck_assert_ptr_nonnull(strstr(error.message, "source"));
  answer_release(&baked);
  kiln_bytes_unref(source);
}
END_TEST

START_TEST(run_tells_outcomes) {
  static const struct {
    const char *source;
    kiln_outcome outcome;
    const char *code;
    unsigned timeout_ms;
  } cases[] = {{"1", KILN_OUTCOME_OK, "", 0},
               {"throw new TypeError('x')", KILN_OUTCOME_EXCEPTION, "", 0},
               {"while (true);", KILN_OUTCOME_TIME_LIMIT, "ERR_SCRIPT_EXECUTION_TIMEOUT", 100}};
  for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
    kiln_bytes *source = bytes_from(cases[i].source);
    kiln_request request = run_of(source);
    answer one;
    request.timeout_ms = cases[i].timeout_ms;
    ask(k, &request, &one);
    ck_assert_int_eq(one.status, KILN_OK);
    ck_assert_int_eq(one.outcome, cases[i].outcome);
    ck_assert_str_eq(one.code, cases[i].code);
    ck_assert_int_eq(one.cache, KILN_CACHE_NONE);
    answer_release(&one);
    kiln_bytes_unref(source);
  }
}
END_TEST

START_TEST(run_has_globals_modules_and_console) {
  kiln_bytes *source =
      bytes_from("import {two} from './two.mjs'; console.log(two + three); export default two;");
  kiln_bytes *two = bytes_from("export const two = 2;");
  kiln_named_source modules[] = {{kiln_span_from("./two.mjs"), two}};
  kiln_request request = run_of(source);
  request.kind = KILN_MODULE;
  request.modules = modules;
  request.modules_count = 1;
  request.globals_json = kiln_span_from("{\"three\": 3}");
  answer one;
  ask(k, &request, &one);
  ck_assert_msg(one.outcome == KILN_OUTCOME_OK, "%s", one.message);
  ck_assert_ptr_nonnull(one.console_json);
  ck_assert_ptr_nonnull(strstr(one.console_json, "\"5\""));
  answer_release(&one);
  kiln_bytes_unref(source);
  kiln_bytes_unref(two);
}
END_TEST

START_TEST(MM03_measure_tells_each_context) {
  kiln_bytes *source = bytes_from("globalThis.held = new Array(100000).fill(1.5)");
  kiln_named_source script = {kiln_span_from("a.js"), source};
  kiln_measure_context contexts[] = {{.name = kiln_span_from("one"), .scripts_count = 0},
                                     {.name = kiln_span_from("two"),
                                      .globals_json = kiln_span_from("{\"a\":1}"),
                                      .scripts = &script,
                                      .scripts_count = 1}};
  kiln_request request = {.op = KILN_MEASURE_MEMORY,
                          .detailed = true,
                          .eager = true,
                          .contexts = contexts,
                          .contexts_count = 2};
  answer one;
  ask(k, &request, &one);
  ck_assert_msg(one.outcome == KILN_OUTCOME_OK, "%s", one.message);
  ck_assert_ptr_nonnull(one.memory_json);
  ck_assert_ptr_nonnull(strstr(one.memory_json, "\"jsMemoryEstimate\""));
  ck_assert_ptr_nonnull(strstr(one.memory_json, "\"two\""));
  answer_release(&one);
  kiln_bytes_unref(source);
}
END_TEST

/* ---- limits and closing -------------------------------------------------------------- */

START_TEST(a_full_queue_is_busy) {
  kiln_options options = test_options(/* store= */ NULL);
  options.workers_max = 1;
  options.queue_max = 1;
  kiln *small = open_kiln(&options);
  kiln_bytes *source = bytes_from("while (true);");
  kiln_request request = run_of(source);
  request.timeout_ms = 300;
  static answer answers[20];
  unsigned busy = 0;
  for (int i = 0; i < 20; i++) {
    kiln_error error;
    kiln_status status = kiln_submit(small, &request, take_answer, &answers[i], &error);
    if (status == KILN_EBUSY) {
      ck_assert_str_eq(error.code, "ERR_BUSY");
      answers[i].count = 1;
      busy++;
    } else {
      ck_assert_int_eq(status, KILN_OK);
    }
  }
  ck_assert_uint_ge(busy, 10);
  /* A bake that is refused leaves no flight behind that would swallow the next one. */
  kiln_bytes *bundle = bytes_from("15");
  kiln_request bake = bake_of(bundle);
  answer one;
  kiln_status status = kiln_submit(small, &bake, take_answer, &one, NULL);
  ck_assert_int_eq(status, KILN_EBUSY);
  ck_assert_uint_eq(get_stats(small).busy, busy + 1);
  for (int i = 0; i < 20; i++) await_answer(&answers[i]);
  ask(small, &bake, &one);
  ck_assert_int_eq(one.outcome, KILN_OUTCOME_OK);
  answer_release(&one);
  for (int i = 0; i < 20; i++) answer_release(&answers[i]);
  kiln_close(small, 5000);
  kiln_bytes_unref(source);
  kiln_bytes_unref(bundle);
}
END_TEST

START_TEST(closing_drains) {
  kiln_options options = test_options(folder);
  kiln *other = open_kiln(&options);
  static answer answers[20];
  for (int i = 0; i < 20; i++) {
    kiln_bytes *source = big_source(i);
    kiln_request request = bake_of(source);
    ck_assert_int_eq(kiln_submit(other, &request, take_answer, &answers[i], NULL), KILN_OK);
    kiln_bytes_unref(source);
  }
  kiln_close(other, 60000);
  for (int i = 0; i < 20; i++) { /* no waiting: close has seen to it */
    ck_assert_uint_eq(answers[i].count, 1);
    ck_assert_int_eq(answers[i].status, KILN_OK);
    ck_assert_int_eq(answers[i].outcome, KILN_OUTCOME_OK);
    answer_release(&answers[i]);
  }
  ck_assert_uint_eq(get_stats(k).store_entries, 20);
}
END_TEST

START_TEST(closing_at_once_answers_all) {
  kiln_options options = test_options(/* store= */ NULL);
  kiln *other = open_kiln(&options);
  kiln_bytes *source = bytes_from("while (true);");
  kiln_request request = run_of(source);
  request.timeout_ms = 60000;
  static answer answers[10];
  for (int i = 0; i < 10; i++) {
    ck_assert_int_eq(kiln_submit(other, &request, take_answer, &answers[i], NULL), KILN_OK);
  }
  kiln_close(other, 0);
  for (int i = 0; i < 10; i++) {
    ck_assert_uint_eq(answers[i].count, 1);
    ck_assert_int_eq(answers[i].status, KILN_ECLOSING);
    answer_release(&answers[i]);
  }
  kiln_bytes_unref(source);
}
END_TEST

int main(void) {
  Suite *suite = suite_create("service_run");
  TCase *tcase = tcase_create("service_run");
  tcase_add_checked_fixture(tcase, setup, teardown);
  tcase_set_timeout(tcase, 60);
  tcase_add_test(tcase, run_uses_a_baked_blob);
  tcase_add_test(tcase, a_rejected_blob_is_removed);
  tcase_add_test(tcase, run_by_key);
  tcase_add_test(tcase, run_an_empty_source_by_key);
  tcase_add_test(tcase, run_a_function_by_key);
  tcase_add_test(tcase, run_by_key_needs_the_source);
  tcase_add_test(tcase, run_tells_outcomes);
  tcase_add_test(tcase, run_has_globals_modules_and_console);
  tcase_add_test(tcase, MM03_measure_tells_each_context);
  tcase_add_test(tcase, a_full_queue_is_busy);
  tcase_add_test(tcase, closing_drains);
  tcase_add_test(tcase, closing_at_once_answers_all);
  suite_add_tcase(suite, tcase);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_ENV);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
