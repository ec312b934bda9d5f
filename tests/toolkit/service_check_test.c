/* SPDX-License-Identifier: MIT
 *
 * service_check_test.c: every limit of a request, and that what is just within it is taken. What is
 * refused never reaches an engine: the number of jobs stays what it was.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "tests/toolkit/service_support.h"

#define SOURCE_MAX 10000

static kiln *k;
static kiln_bytes *source;
static char long_name[KILN_NAME_MAX + 2];

static void setup(void) {
  kiln_options options = test_options(/* store= */ NULL);
  options.source_max_bytes = SOURCE_MAX;
  options.timeout_max_ms = 1000;
  options.timeout_default_ms = 500;
  k = open_kiln(&options);
  source = bytes_from("1");
  memset(long_name, 'n', sizeof(long_name) - 1);
}

static void teardown(void) {
  kiln_bytes_unref(source);
  kiln_close(k, 0);
}

static kiln_request bake(void) {
  return (kiln_request){.op = KILN_COMPILE, .source = source};
}

static kiln_request run(void) {
  return (kiln_request){.op = KILN_RUN, .source = source};
}

static void refused(const kiln_request *request, kiln_status status, const char *code,
                    const char *part) {
  kiln_error error;
  answer one = {0};
  uint64_t jobs = get_stats(k).jobs;
  ck_assert_int_eq(kiln_submit(k, request, take_answer, &one, &error), status);
  ck_assert_int_eq(error.status, status);
  ck_assert_str_eq(error.code, code);
  ck_assert_msg(strstr(error.message, part) != NULL, "'%s' is not in '%s'", part, error.message);
  ck_assert_uint_eq(one.count, 0);
  ck_assert_uint_eq(get_stats(k).jobs, jobs);
  ck_assert_int_eq(kiln_submit(k, request, take_answer, &one, NULL), status);
}

static void taken(const kiln_request *request) {
  answer one;
  ask(k, request, &one);
  answer_release(&one);
}

START_TEST(RC06_timeout) {
  kiln_request request = run();
  request.timeout_ms = 1000;
  taken(&request);
  request.timeout_ms = 1001;
  refused(&request, KILN_EINVAL, "ERR_OUT_OF_RANGE", "1001");
  request.timeout_ms = UINT32_MAX;
  refused(&request, KILN_EINVAL, "ERR_OUT_OF_RANGE", "1000");
}
END_TEST

START_TEST(engine) {
  kiln_engine_info info;
  ck_assert_int_eq(kiln_get_engine(k, 0, &info, NULL), KILN_OK);
  kiln_request request = bake();
  request.engine = kiln_span_from(info.name);
  taken(&request);
  request.engine = kiln_span_from("node-99");
  refused(&request, KILN_EINVAL, "ERR_INVALID_ARG_VALUE", "'node-99'");
  request.engine = (kiln_span){info.name, strlen(info.name) - 1};
  refused(&request, KILN_EINVAL, "ERR_INVALID_ARG_VALUE", "unknown");
}
END_TEST

START_TEST(source_and_key) {
  kiln_request request = bake();
  request.source = NULL;
  refused(&request, KILN_EINVAL, "ERR_MISSING_ARGS", "source");
  request.op = KILN_RUN;
  refused(&request, KILN_EINVAL, "ERR_MISSING_ARGS", "source");
  request = run();
  request.key = kiln_span_from("00");
  refused(&request, KILN_EINVAL, "ERR_INVALID_ARG_VALUE", "only one");
  request = bake();
  request.source = NULL;
  request.key = kiln_span_from("00");
  refused(&request, KILN_EINVAL, "ERR_MISSING_ARGS", "source");
}
END_TEST

START_TEST(sizes) {
  char *text = malloc(SOURCE_MAX + 1);
  ck_assert_ptr_nonnull(text);
  memset(text, ' ', SOURCE_MAX + 1);
  kiln_bytes *most = kiln_bytes_new(text, SOURCE_MAX);
  kiln_bytes *over = kiln_bytes_new(text, SOURCE_MAX + 1);
  kiln_request request = bake();
  request.source = most;
  taken(&request);
  request.source = over;
  refused(&request, KILN_ETOOBIG, "ERR_TOO_LARGE", "10001 bytes, limit 10000");
  request = bake();
  request.mode = KILN_WORKLOAD;
  request.workload = over;
  refused(&request, KILN_ETOOBIG, "ERR_TOO_LARGE", "workload");
  request = run();
  text[0] = '{';
  text[SOURCE_MAX - 2] = '}';
  request.globals_json = (kiln_span){text, SOURCE_MAX - 1}; /* and one byte of source */
  taken(&request);
  text[SOURCE_MAX - 2] = ' ';
  text[SOURCE_MAX - 1] = '}';
  request.globals_json.length = SOURCE_MAX;
  refused(&request, KILN_ETOOBIG, "ERR_TOO_LARGE", "globals");
  kiln_named_source module = {kiln_span_from("m"), most};
  request = run();
  request.kind = KILN_MODULE;
  request.modules = &module;
  request.modules_count = 1;
  refused(&request, KILN_ETOOBIG, "ERR_TOO_LARGE", "modules");
  kiln_measure_context context = {.scripts = &module, .scripts_count = 1};
  request = (kiln_request){
      .op = KILN_MEASURE_MEMORY, .eager = true, .contexts = &context, .contexts_count = 1};
  taken(&request);
  module.source = over;
  refused(&request, KILN_ETOOBIG, "ERR_TOO_LARGE", "scripts");
  kiln_bytes_unref(most);
  kiln_bytes_unref(over);
  free(text);
}
END_TEST

START_TEST(names) {
  kiln_span name = {long_name, KILN_NAME_MAX + 1};
  kiln_request request = bake();
  request.filename = (kiln_span){long_name, KILN_NAME_MAX};
  taken(&request);
  request.filename = name;
  refused(&request, KILN_ETOOBIG, "ERR_TOO_LARGE", "filename is 4097 bytes, limit 4096");
  request = bake();
  request.kind = KILN_FUNCTION;
  request.params = &name;
  request.params_count = 1;
  refused(&request, KILN_ETOOBIG, "ERR_TOO_LARGE", "parameter");
  request = run();
  request.context_name = name;
  refused(&request, KILN_ETOOBIG, "ERR_TOO_LARGE", "context name");
  request = run();
  request.context_origin = name;
  refused(&request, KILN_ETOOBIG, "ERR_TOO_LARGE", "context origin");
  kiln_named_source module = {name, source};
  request = run();
  request.kind = KILN_MODULE;
  request.modules = &module;
  request.modules_count = 1;
  refused(&request, KILN_ETOOBIG, "ERR_TOO_LARGE", "name");
  kiln_measure_context context = {.name = name};
  request = (kiln_request){.op = KILN_MEASURE_MEMORY, .contexts = &context, .contexts_count = 1};
  refused(&request, KILN_ETOOBIG, "ERR_TOO_LARGE", "context name");
}
END_TEST

START_TEST(counts) {
  kiln_request request = bake();
  request.kind = KILN_FUNCTION;
  request.params_count = KILN_PARAMS_MAX + 1;
  refused(&request, KILN_ETOOBIG, "ERR_TOO_LARGE", "1025 parameters, limit 1024");
  request = run();
  request.modules_count = KILN_MODULES_MAX + 1;
  refused(&request, KILN_ETOOBIG, "ERR_TOO_LARGE", "modules");
  request = (kiln_request){.op = KILN_MEASURE_MEMORY};
  refused(&request, KILN_EINVAL, "ERR_MISSING_ARGS", "contexts");
  request.contexts_count = KILN_CONTEXTS_MAX + 1;
  refused(&request, KILN_ETOOBIG, "ERR_TOO_LARGE", "257 contexts");
  kiln_measure_context context = {.scripts_count = KILN_SCRIPTS_MAX + 1};
  request.contexts = &context;
  request.contexts_count = 1;
  refused(&request, KILN_ETOOBIG, "ERR_TOO_LARGE", "scripts");
  kiln_named_source missing = {kiln_span_from("no'such\n"), NULL};
  context = (kiln_measure_context){.scripts = &missing, .scripts_count = 1};
  refused(&request, KILN_EINVAL, "ERR_MISSING_ARGS", "'no\\x27such\\x0a'");
}
END_TEST

START_TEST(enums_and_what_belongs_together) {
  kiln_request request = bake();
  request.op = (kiln_op)5;
  refused(&request, KILN_EINVAL, "ERR_INVALID_ARG_VALUE", "operation");
  request = bake();
  request.kind = (kiln_kind)3;
  refused(&request, KILN_EINVAL, "ERR_INVALID_ARG_VALUE", "kind 3");
  request = bake();
  request.mode = (kiln_mode)4;
  refused(&request, KILN_EINVAL, "ERR_INVALID_ARG_VALUE", "mode 4");
  request = bake();
  request.mode = KILN_WORKLOAD;
  refused(&request, KILN_EINVAL, "ERR_INVALID_ARG_VALUE", "workload is missing");
  request = bake();
  request.workload = source;
  refused(&request, KILN_EINVAL, "ERR_INVALID_ARG_VALUE", "workload");
  kiln_span param = kiln_span_from("a");
  request = bake();
  request.params = &param;
  request.params_count = 1;
  refused(&request, KILN_EINVAL, "ERR_INVALID_ARG_VALUE", "params");
  request = run();
  request.args_json = kiln_span_from("[]");
  refused(&request, KILN_EINVAL, "ERR_INVALID_ARG_VALUE", "args");
}
END_TEST

START_TEST(json) {
  static const char *const bad_globals[] = {"[]", "1", "{", "{\"a\":}", "{} x", "{\"\xFF\":1}"};
  kiln_request request = run();
  request.globals_json = kiln_span_from(" {\"a\": [1, {\"b\": null}]} ");
  taken(&request);
  for (size_t i = 0; i < sizeof(bad_globals) / sizeof(bad_globals[0]); i++) {
    request.globals_json = kiln_span_from(bad_globals[i]);
    refused(&request, KILN_EINVAL, "ERR_INVALID_ARG_VALUE", "globals: not a JSON object");
  }
  request = run();
  request.kind = KILN_FUNCTION;
  request.args_json = kiln_span_from("[1]");
  taken(&request);
  request.args_json = kiln_span_from("{}");
  refused(&request, KILN_EINVAL, "ERR_INVALID_ARG_VALUE", "args: not a JSON array");
  kiln_measure_context context = {.globals_json = kiln_span_from("[]")};
  request = (kiln_request){.op = KILN_MEASURE_MEMORY, .contexts = &context, .contexts_count = 1};
  refused(&request, KILN_EINVAL, "ERR_INVALID_ARG_VALUE", "globals");
  /* Depth: what is too deep is refused here, and never seen by a parser that recurses. */
  static char deep[4 * 1001];
  memcpy(deep, "{\"\":", 4);
  memset(deep + 4, '[', 1000);
  memset(deep + 1004, ']', 1000);
  deep[2004] = '}';
  request = run();
  request.globals_json = (kiln_span){deep, 2005};
  refused(&request, KILN_EINVAL, "ERR_INVALID_ARG_VALUE", "depth");
}
END_TEST

START_TEST(words_are_complete) {
#define HAS_WORDS(symbol, number, code, text)       \
  ck_assert_str_eq(kiln_status_code(symbol), code); \
  ck_assert_str_eq(kiln_status_text(symbol), text); \
  ck_assert_int_eq(symbol, number);
  KILN_STATUS_MAP(HAS_WORDS)
#undef HAS_WORDS
#define HAS_WORD(symbol, word) ck_assert_str_eq(kiln_outcome_word(symbol), word);
  KILN_OUTCOME_MAP(HAS_WORD)
#undef HAS_WORD
  static const char *const words[] = {"none", "hit", "miss", "coalesced", "bypass"};
  for (int i = 0; i < 5; i++) ck_assert_str_eq(kiln_cache_word((kiln_cache)i), words[i]);
  ck_assert_str_eq(kiln_status_code((kiln_status)9999), "ERR_INTERNAL");
  ck_assert_str_eq(kiln_cache_word((kiln_cache)99), "unknown");
  ck_assert_str_eq(kiln_outcome_word((kiln_outcome)99), "unknown");
}
END_TEST

int main(void) {
  Suite *suite = suite_create("service_check");
  TCase *tcase = tcase_create("service_check");
  tcase_add_checked_fixture(tcase, setup, teardown);
  tcase_set_timeout(tcase, 60);
  tcase_add_test(tcase, RC06_timeout);
  tcase_add_test(tcase, engine);
  tcase_add_test(tcase, source_and_key);
  tcase_add_test(tcase, sizes);
  tcase_add_test(tcase, names);
  tcase_add_test(tcase, counts);
  tcase_add_test(tcase, enums_and_what_belongs_together);
  tcase_add_test(tcase, json);
  tcase_add_test(tcase, words_are_complete);
  suite_add_tcase(suite, tcase);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_ENV);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
