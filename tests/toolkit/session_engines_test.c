/* SPDX-License-Identifier: MIT
 *
 * session_engines_test.c: sessions in engines of every V8 there is, libv8's and those that node
 * binaries host.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "tests/toolkit/service_support.h"
#include "tests/toolkit/session_support.h"

static kiln *k;
static char context[KILN_OBJECT_ID_MAX];

static void open_with_grace(int which, unsigned grace_ms) {
  kiln_options options = session_options(/* store= */ NULL);
  use_engine(&options, &every_engine[which]);
  options.kill_grace_ms = grace_ms;
  k = open_kiln(&options);
  make_context(k, NULL, context);
}

/* The engine itself is to answer, however busy this machine is. */
static void open_one(int which) {
  open_with_grace(which, 5000);
}

static void teardown(void) {
  kiln_close(k, 5000);
}

static void do_on(kiln_command_op op, const char *object, reply *ret_reply) {
  kiln_command command = {
      .op = op, .object = kiln_span_from(object), .detailed = true, .eager = true};
  command_do(k, &command, ret_reply);
}

static void assert_does(kiln_command_op op, const char *object) {
  reply one;
  do_on(op, object, &one);
  assert_good(&one);
  reply_release(&one);
}

/* Makes something with a source; returns its id. */
static void make(kiln_command_op op, const char *source, char ret_object[KILN_OBJECT_ID_MAX]) {
  reply one;
  kiln_command create = {
      .op = op, .context = kiln_span_from(context), .source = bytes_from(source)};
  command_do(k, &create, &one);
  kiln_bytes_unref(create.source);
  assert_good(&one);
  memcpy(ret_object, one.object, sizeof(one.object));
  reply_release(&one);
}

START_TEST(every_engine_has_sessions) {
  char object[KILN_OBJECT_ID_MAX], leaf[KILN_OBJECT_ID_MAX];
  reply one;
  open_one(_i);
  kiln_session_info info;
  ck_assert_int_eq(kiln_session_get(k, session_of(context), &info, NULL), KILN_OK);
  if (_i > 0) ck_assert_str_eq(info.engine, every_engine[_i]);
  assert_runs(k, context, "var n = 41; n", "41");
  assert_runs(k, context, "++n", "42");
  make(KILN_FUNCTION_CREATE, "return n + 1", object);
  do_on(KILN_FUNCTION_CALL, object, &one);
  assert_good(&one);
  ck_assert_str_eq(one.result, "43");
  reply_release(&one);
  make(KILN_MODULE_CREATE, "import {x} from 'leaf'; export default await x;", object);
  make(KILN_MODULE_CREATE, "export const x = Promise.resolve(n)", leaf);
  kiln_link answer_to = {.specifier = kiln_span_from("leaf"), .module = kiln_span_from(leaf)};
  kiln_command link = {.op = KILN_MODULE_LINK,
                       .object = kiln_span_from(object),
                       .links = &answer_to,
                       .links_count = 1};
  command_do(k, &link, &one);
  assert_good(&one);
  ck_assert_msg(strstr(one.module, "\"status\":\"linked\"") != NULL, "%s", one.module);
  reply_release(&one);
  assert_does(KILN_OBJECT_CREATE_CACHED_DATA, object);
  assert_does(KILN_MODULE_EVALUATE, object);
  do_on(KILN_MODULE_GET, object, &one);
  ck_assert_msg(strstr(one.module, "{\"default\":42}") != NULL, "%s", one.module);
  reply_release(&one);
  assert_does(KILN_CONTEXT_MEASURE, context);
  kiln_command create = {.op = KILN_CONTEXT_CREATE,
                         .session = session_of(context),
                         .contextified = true,
                         .globals_json = kiln_span_from("{\"a\":1}")};
  command_do(k, &create, &one);
  assert_good(&one);
  assert_runs(k, one.object, "var b = a + 1; globalThis.b", "2");
  assert_does(KILN_OBJECT_DELETE, one.object);
  reply_release(&one);
}
END_TEST

START_TEST(every_engine_holds_its_limits) {
  reply one;
  open_one(_i);
  for (int i = 0; i < 3; i++) {
    run_in(k, context, "for (;;);", 100, &one);
    ck_assert_int_eq(one.status, KILN_OK);
    ck_assert_int_eq(one.outcome, KILN_OUTCOME_TIME_LIMIT);
    reply_release(&one);
  }
  assert_runs(k, context, "1", "1");
  run_in(k, context, "var a = []; for (;;) a.push(new Array(10000).fill(a.length))", 30000, &one);
  assert_gone(&one, "memory_limit");
  reply_release(&one);
  ck_assert_uint_eq(get_stats(k).sandbox_alarms, 0);
  ck_assert_uint_eq(get_stats(k).protocol_errors, 0);
}
END_TEST

/* What V8 cannot terminate. */
START_TEST(every_engine_is_killed_in_native_code) {
  reply one;
  open_with_grace(_i, 150);
  run_in(k, context, "[].indexOf.call({length: 2 ** 53 - 1})", 100, &one);
  assert_gone(&one, "time_limit");
  reply_release(&one);
  ck_assert_uint_eq(get_stats(k).protocol_errors, 0);
}
END_TEST

/* Many commands, much garbage, several contexts: nothing that a longer life needs is forbidden. */
START_TEST(a_long_life_is_no_alarm) {
  char others[8][KILN_OBJECT_ID_MAX], session[KILN_SESSION_ID_HEX + 1] = {0};
  open_one(_i);
  memcpy(session, context, KILN_SESSION_ID_HEX);
  for (int i = 0; i < 8; i++) make_context(k, session, others[i]);
  for (int round = 0; round < 100; round++) {
    assert_runs(k, others[round % 8],
                "var kept = new Array(20000).fill(0).map((x, i) => ({i, s: 'x' + i}));"
                "function hot(n) { let s = 0; for (let i = 0; i < n; i++) s += i; return s; }"
                "for (let i = 0; i < 50; i++) hot(2000);"
                "new FinalizationRegistry(() => {}).register({}); kept.length",
                "20000");
  }
  for (int i = 0; i < 8; i++) assert_does(KILN_OBJECT_DELETE, others[i]);
  assert_runs(k, context, "1", "1");
  ck_assert_uint_eq(get_stats(k).sandbox_alarms, 0);
}
END_TEST

int main(void) {
  Suite *suite = suite_create("session_engines");
  TCase *tcase = tcase_create("engines");
  tcase_set_timeout(tcase, 120);
  tcase_add_checked_fixture(tcase, NULL, teardown);
  tcase_add_loop_test(tcase, every_engine_has_sessions, 0, EVERY_ENGINE_COUNT);
  tcase_add_loop_test(tcase, every_engine_holds_its_limits, 0, EVERY_ENGINE_COUNT);
  tcase_add_loop_test(tcase, every_engine_is_killed_in_native_code, 0, EVERY_ENGINE_COUNT);
  tcase_add_loop_test(tcase, a_long_life_is_no_alarm, 0, EVERY_ENGINE_COUNT);
  suite_add_tcase(suite, tcase);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_ENV);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
