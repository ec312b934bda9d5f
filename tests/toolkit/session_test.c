/* SPDX-License-Identifier: MIT
 *
 * session_test.c: contexts, scripts and functions that outlive a request, on a real engine.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/toolkit/service_support.h"
#include "tests/toolkit/session_support.h"

static char folder[TEMPORARY_PATH];
static kiln *k;
static char context[KILN_OBJECT_ID_MAX];

static void setup(void) {
  make_folder(folder);
  kiln_options options = session_options(folder);
  k = open_kiln(&options);
  make_context(k, NULL, context);
}

static void teardown(void) {
  kiln_close(k, 5000);
  remove_folder(folder);
}

static kiln_command with_source(kiln_command_op op, const char *source) {
  return (kiln_command){.op = op, .source = bytes_from(source)};
}

/* Does a command with a source of its own. */
static void do_and_drop(kiln_command *command, reply *ret_reply) {
  command_do(k, command, ret_reply);
  kiln_bytes_unref(command->source);
}

/* A command on an object, as text. */
static void do_on(kiln_command_op op, const char *object, reply *ret_reply) {
  kiln_command command = {.op = op, .object = kiln_span_from(object)};
  command_do(k, &command, ret_reply);
}

static void assert_refused(const kiln_command *command, kiln_status status, const char *code) {
  kiln_error error;
  ck_assert_int_eq(kiln_session_submit(k, command, NULL, NULL, &error), status);
  ck_assert_str_eq(error.code, code);
}

/* ---- contexts -------------------------------------------------------------------------------- */

START_TEST(globals_stay_between_runs) {
  assert_runs(k, context, "var n = 1; n", "1");
  assert_runs(k, context, "n += 41", "42");
  assert_runs(k, context, "let late = n; late", "42");
  assert_throws(k, context, "let late = 1", "SyntaxError");
  assert_throws(k, context, "nothing", "ReferenceError");
  assert_runs(k, context, "late", "42");
}
END_TEST

START_TEST(contexts_of_a_session_are_apart) {
  char other[KILN_OBJECT_ID_MAX];
  char session[KILN_SESSION_ID_HEX + 1] = {0};
  memcpy(session, context, KILN_SESSION_ID_HEX);
  make_context(k, session, other);
  ck_assert_int_eq(memcmp(context, other, KILN_SESSION_ID_HEX), 0);
  ck_assert_str_ne(context, other);
  assert_runs(k, context, "var x = 1; Object.prototype.polluted = 1; x", "1");
  assert_runs(k, other, "typeof x + typeof {}.polluted", "\"undefinedundefined\"");
}
END_TEST

START_TEST(a_context_takes_its_options) {
  kiln_command create = {.op = KILN_CONTEXT_CREATE,
                         .globals_json = kiln_span_from("{\"a\":[1,2],\"b\":\"x\"}"),
                         .context_name = kiln_span_from("mine"),
                         .context_origin = kiln_span_from("kiln:o"),
                         .deny_strings = true,
                         .deny_wasm = true};
  reply one;
  command_do(k, &create, &one);
  assert_good(&one);
  ck_assert_str_eq(one.module, "{\"name\":\"mine\",\"origin\":\"kiln:o\"}");
  assert_runs(k, one.object, "a[1] + b", "\"2x\"");
  assert_throws(k, one.object, "eval('1')", "EvalError");
  assert_throws(k, one.object, "new WebAssembly.Module(new Uint8Array([0,97,115,109,1,0,0,0]))",
                "CompileError");
  reply two;
  do_on(KILN_CONTEXT_GLOBALS, one.object, &two);
  assert_good(&two);
  ck_assert_str_eq(two.globals, "{\"a\":[1,2],\"b\":\"x\"}");
  reply_release(&two);
  reply_release(&one);
}
END_TEST

START_TEST(a_contextified_object_has_the_globals) {
  kiln_command create = {.op = KILN_CONTEXT_CREATE,
                         .session = session_of(context),
                         .contextified = true,
                         .globals_json = kiln_span_from("{\"a\":1}")};
  reply one, two;
  command_do(k, &create, &one);
  assert_good(&one);
  assert_runs(k, context, "Object.prototype.polluted = 1", "1");
  assert_runs(k, one.object, "var b = a + 1; this.c = 3; typeof polluted", "\"undefined\"");
  do_on(KILN_CONTEXT_GLOBALS, one.object, &two);
  ck_assert_uint_eq(strlen(two.globals), strlen("{'a':1,'b':2,'c':3}"));
  ck_assert_msg(strstr(two.globals, "\"a\":1") != NULL && strstr(two.globals, "\"b\":2") != NULL &&
                    strstr(two.globals, "\"c\":3") != NULL,
                "%s", two.globals);
  reply_release(&two);
  reply_release(&one);
}
END_TEST

START_TEST(microtasks_are_settled_in_a_run) {
  assert_runs(k, context, "Promise.resolve(7).then((x) => x * 6)",
              "{\"type\":\"promise\",\"state\":\"fulfilled\",\"value\":42}");
  assert_runs(k, context, "new Promise(() => {})", "{\"type\":\"promise\",\"state\":\"pending\"}");
  assert_runs(k, context, "var log = []; Promise.resolve().then(() => log.push(1)); log", "[1]");
  kiln_command create = {.op = KILN_CONTEXT_CREATE, .microtasks_after_evaluate = true};
  reply one, two;
  command_do(k, &create, &one);
  assert_runs(k, one.object, "var r = 0; Promise.resolve().then(() => { r = 5; }); 0", "0");
  assert_runs(k, one.object, "r", "5");
  run_in(k, one.object, "(function f() { Promise.resolve().then(f); })()", 100, &two);
  ck_assert_int_eq(two.outcome, KILN_OUTCOME_TIME_LIMIT);
  reply_release(&two);
  reply_release(&one);
}
END_TEST

START_TEST(the_console_is_each_commands_own) {
  reply one;
  run_in(k, context, "console.log('a', 1); console.error('b'); 1", 0, &one);
  ck_assert_str_eq(one.console,
                   "[{\"level\":\"log\",\"text\":\"a 1\"},{\"level\":\"error\",\"text\":\"b\"}]");
  reply_release(&one);
  run_in(k, context, "1", 0, &one);
  ck_assert_str_eq(one.console, "[]");
  reply_release(&one);
  run_in(k, context, "console.log('c'); throw new TypeError('no')", 0, &one);
  assert_threw(&one, "TypeError");
  ck_assert_str_eq(one.console, "[{\"level\":\"log\",\"text\":\"c\"}]");
  reply_release(&one);
  run_in(k, context, "for (;;) console.log('x'.repeat(1000))", 1000, &one);
  ck_assert_int_eq(one.outcome, KILN_OUTCOME_TIME_LIMIT);
  ck_assert(one.console_truncated);
  reply_release(&one);
  run_in(k, context, "console.log('d')", 0, &one);
  ck_assert_str_eq(one.console, "[{\"level\":\"log\",\"text\":\"d\"}]");
  ck_assert(!one.console_truncated);
  reply_release(&one);
}
END_TEST

START_TEST(what_json_cannot_hold_is_described) {
  assert_runs(k, context, "undefined", "{\"type\":\"undefined\"}");
  assert_runs(k, context, "12n", "{\"type\":\"bigint\",\"value\":\"12\"}");
  assert_runs(k, context, "NaN", "{\"type\":\"number\",\"value\":\"NaN\"}");
  assert_runs(k, context, "({get a() { return 1; }})", "{\"a\":1}");
  reply one;
  run_in(k, context, "({get a() { for (;;); }})", 100, &one);
  ck_assert_int_eq(one.outcome, KILN_OUTCOME_TIME_LIMIT);
  reply_release(&one);
  assert_runs(k, context, "1", "1");
}
END_TEST

START_TEST(errors_have_their_place) {
  reply one;
  kiln_command run = with_source(KILN_CONTEXT_RUN, "\n\n  throw new RangeError('far')");
  run.object = kiln_span_from(context);
  run.filename = kiln_span_from("far.js");
  run.line_offset = 10;
  do_and_drop(&run, &one);
  assert_threw(&one, "RangeError");
  ck_assert_str_eq(one.message, "far");
  ck_assert_str_eq(one.resource, "far.js");
  ck_assert_int_eq(one.line, 13);
  reply_release(&one);
  run_in(k, context, "a b", 0, &one);
  assert_threw(&one, "SyntaxError");
  ck_assert_str_eq(one.resource, "evalmachine.<anonymous>");
  reply_release(&one);
}
END_TEST

START_TEST(memory_is_measured) {
  char other[KILN_OBJECT_ID_MAX], session[KILN_SESSION_ID_HEX + 1] = {0};
  memcpy(session, context, KILN_SESSION_ID_HEX);
  make_context(k, session, other);
  assert_runs(k, other, "var big = new Array(200000).fill(0).map((x, i) => ({i})); big.length",
              "200000");
  kiln_command measure = {.op = KILN_CONTEXT_MEASURE,
                          .object = kiln_span_from(context),
                          .detailed = true,
                          .eager = true};
  reply one;
  command_do(k, &measure, &one);
  assert_good(&one);
  ck_assert_msg(strstr(one.memory, "\"current\":{\"name\":\"VM Context 1\"") != NULL, "%s",
                one.memory);
  const char *second = strstr(one.memory, "{\"name\":\"VM Context 2\",\"jsMemoryEstimate\":");
  ck_assert_msg(second != NULL, "%s", one.memory);
  ck_assert_int_gt(strtol(strstr(second, "Estimate\":") + 10, NULL, 10), 1000000);
  reply_release(&one);
}
END_TEST

/* ---- scripts and functions ------------------------------------------------------------------- */

static void create_script(const char *source, char ret_object[KILN_OBJECT_ID_MAX]) {
  reply one;
  kiln_command create = with_source(KILN_SCRIPT_CREATE, source);
  create.session = session_of(context);
  do_and_drop(&create, &one);
  assert_good(&one);
  memcpy(ret_object, one.object, sizeof(one.object));
  reply_release(&one);
}

START_TEST(a_script_runs_in_any_context) {
  char script[KILN_OBJECT_ID_MAX], other[KILN_OBJECT_ID_MAX];
  char session[KILN_SESSION_ID_HEX + 1] = {0};
  memcpy(session, context, KILN_SESSION_ID_HEX);
  make_context(k, session, other);
  create_script("globalThis.count = (globalThis.count || 0) + 1", script);
  kiln_command run = {.op = KILN_SCRIPT_RUN, .object = kiln_span_from(script)};
  const char *in[] = {context, other, context};
  const char *expected[] = {"1", "1", "2"};
  for (int i = 0; i < 3; i++) {
    reply one;
    run.context = kiln_span_from(in[i]);
    command_do(k, &run, &one);
    assert_good(&one);
    ck_assert_str_eq(one.result, expected[i]);
    reply_release(&one);
  }
}
END_TEST

START_TEST(a_script_may_open_a_session) {
  reply one;
  kiln_command create = with_source(KILN_SCRIPT_CREATE, "1 //# sourceMappingURL=a.map");
  do_and_drop(&create, &one);
  assert_good(&one);
  ck_assert_int_ne(memcmp(one.object, context, KILN_SESSION_ID_HEX), 0);
  ck_assert_str_eq(one.module, "{\"sourceMapURL\":\"a.map\"}");
  reply_release(&one);
}
END_TEST

START_TEST(a_failed_first_command_opens_nothing) {
  reply one;
  kiln_stats before = get_stats(k);
  kiln_command create = with_source(KILN_SCRIPT_CREATE, "a b c");
  do_and_drop(&create, &one);
  assert_threw(&one, "SyntaxError");
  ck_assert_str_eq(one.session, "");
  ck_assert_str_eq(one.object, "");
  reply_release(&one);
  ck_assert_uint_eq(get_stats(k).sessions_open, before.sessions_open);
}
END_TEST

START_TEST(cached_data_of_an_object_is_answered) {
  char script[KILN_OBJECT_ID_MAX];
  reply one;
  kiln_stats before = get_stats(k);
  create_script("function f() { return 1; } f()", script);
  do_on(KILN_OBJECT_CREATE_CACHED_DATA, script, &one);
  assert_good(&one);
  ck_assert_ptr_nonnull(one.blob);
  ck_assert_uint_gt(kiln_bytes_get(one.blob).length, 100);
  reply_release(&one);
  do_on(KILN_OBJECT_CREATE_CACHED_DATA, context, &one);
  ck_assert_int_eq(one.status, KILN_EINVAL);
  ck_assert_str_eq(one.error.code, "ERR_INVALID_ARG_TYPE");
  reply_release(&one);
  ck_assert_uint_eq(get_stats(k).store_entries, before.store_entries);
}
END_TEST

START_TEST(a_script_by_key_has_its_cached_data) {
  kiln_bytes *source = big_source(9);
  kiln_request bake = bake_of(source);
  answer baked;
  reply one, two;
  ask(k, &bake, &baked);
  kiln_command create = {
      .op = KILN_SCRIPT_CREATE, .session = session_of(context), .key = kiln_span_from(baked.key)};
  command_do(k, &create, &one);
  assert_good(&one);
  ck_assert_int_eq(one.cached_data_rejected, 0);
  ck_assert_str_eq(one.key, baked.key);
  kiln_command run = {.op = KILN_SCRIPT_RUN,
                      .object = kiln_span_from(one.object),
                      .context = kiln_span_from(context)};
  command_do(k, &run, &two);
  assert_good(&two);
  ck_assert_str_eq(two.result, "9");
  reply_release(&two);
  reply_release(&one);
  /* Of another kind, or none. */
  kiln_command module = {.op = KILN_MODULE_CREATE,
                         .context = kiln_span_from(context),
                         .key = kiln_span_from(baked.key)};
  assert_refused(&module, KILN_EINVAL, "ERR_INVALID_ARG_VALUE");
  char wrong[KILN_KEY_HEX + 1];
  memset(wrong, '0', KILN_KEY_HEX);
  wrong[KILN_KEY_HEX] = '\0';
  create.key = kiln_span_from(wrong);
  assert_refused(&create, KILN_NOT_FOUND, "ERR_NOT_FOUND");
  answer_release(&baked);
  kiln_bytes_unref(source);
}
END_TEST

START_TEST(functions_are_compiled_and_called) {
  reply one, two;
  kiln_span params[] = {kiln_span_from("a"), kiln_span_from("b")};
  kiln_command create = with_source(KILN_FUNCTION_CREATE, "return [a, b, extra, this && this.me]");
  create.context = kiln_span_from(context);
  create.params = params;
  create.params_count = 2;
  create.extensions_json = kiln_span_from("[{\"extra\":\"e\"}]");
  do_and_drop(&create, &one);
  assert_good(&one);
  kiln_command call = {.op = KILN_FUNCTION_CALL,
                       .object = kiln_span_from(one.object),
                       .args_json = kiln_span_from("[1,{\"x\":2}]"),
                       .this_json = kiln_span_from("{\"me\":true}")};
  command_do(k, &call, &two);
  assert_good(&two);
  ck_assert_str_eq(two.result, "[1,{\"x\":2},\"e\",true]");
  reply_release(&two);
  /* The context's id goes, the function stays. */
  do_on(KILN_OBJECT_DELETE, context, &two);
  assert_good(&two);
  reply_release(&two);
  command_do(k, &call, &two);
  assert_good(&two);
  reply_release(&two);
  call.timeout_ms = 100;
  reply_release(&one);
}
END_TEST

START_TEST(bad_functions_are_exceptions) {
  reply one;
  kiln_span params[] = {kiln_span_from("a b")};
  kiln_command create = with_source(KILN_FUNCTION_CREATE, "return 1");
  create.context = kiln_span_from(context);
  create.params = params;
  create.params_count = 1;
  do_and_drop(&create, &one);
  assert_threw(&one, "SyntaxError");
  reply_release(&one);
  create = with_source(KILN_FUNCTION_CREATE, "return 1");
  create.context = kiln_span_from(context);
  create.extensions_json = kiln_span_from("[1]");
  do_and_drop(&create, &one);
  assert_threw(&one, "ERR_INVALID_ARG_TYPE");
  reply_release(&one);
}
END_TEST

/* ---- ids ------------------------------------------------------------------------------------- */

START_TEST(ids_are_checked) {
  char other[KILN_OBJECT_ID_MAX], forged[KILN_OBJECT_ID_MAX];
  kiln_command run = with_source(KILN_CONTEXT_RUN, "1");
  reply one;
  kiln_error error;
  const char *const malformed[] = {"x",
                                   "-1",
                                   "00112233445566778899aabbccddeeff-0",
                                   "00112233445566778899aabbccddeeff-",
                                   "00112233445566778899aabbccddeeff-1x",
                                   "00112233445566778899aabbccddeeff-1",
                                   "00112233445566778899aabbccddeeff-99999999999999"};
  for (size_t i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++) {
    run.object = kiln_span_from(malformed[i]);
    assert_refused(&run, KILN_NOT_FOUND, "ERR_NOT_FOUND");
  }
  run.object = (kiln_span){NULL, 0};
  assert_refused(&run, KILN_EINVAL, "ERR_MISSING_ARGS");
  /* Of another session. */
  make_context(k, NULL, other);
  kiln_command script = {
      .op = KILN_SCRIPT_RUN, .object = kiln_span_from(context), .context = kiln_span_from(other)};
  assert_refused(&script, KILN_NOT_FOUND, "ERR_NOT_FOUND");
  run.session = session_of(other);
  run.object = kiln_span_from(context);
  assert_refused(&run, KILN_NOT_FOUND, "ERR_NOT_FOUND");
  run.session = (kiln_span){NULL, 0};
  /* A number that was never given out; an object that was deleted; one of another kind. */
  (void)snprintf(forged, sizeof(forged), "%.32s-77", context);
  run.object = kiln_span_from(forged);
  command_do(k, &run, &one);
  ck_assert_int_eq(one.status, KILN_NOT_FOUND);
  reply_release(&one);
  do_on(KILN_MODULE_EVALUATE, context, &one);
  ck_assert_int_eq(one.status, KILN_EINVAL);
  ck_assert_str_eq(one.error.code, "ERR_INVALID_ARG_TYPE");
  reply_release(&one);
  kiln_command delete = {.op = KILN_OBJECT_DELETE,
                         .object = kiln_span_from(context),
                         .name = kiln_span_from("script")};
  command_do(k, &delete, &one);
  ck_assert_int_eq(one.status, KILN_NOT_FOUND);
  reply_release(&one);
  kiln_command get = {
      .op = KILN_MODULE_GET, .object = kiln_span_from(context), .name = kiln_span_from("context")};
  command_do(k, &get, &one);
  assert_good(&one);
  ck_assert_str_eq(one.module, "{\"name\":\"VM Context 1\"}");
  reply_release(&one);
  delete.name = kiln_span_from("context");
  command_do(k, &delete, &one);
  assert_good(&one);
  reply_release(&one);
  run.object = kiln_span_from(context);
  command_do(k, &run, &one);
  ck_assert_int_eq(one.status, KILN_NOT_FOUND);
  reply_release(&one);
  ck_assert_int_eq(kiln_session_close(k, kiln_span_from("zz"), &error), KILN_NOT_FOUND);
  kiln_bytes_unref(run.source);
}
END_TEST

START_TEST(numbers_are_given_out_once) {
  char script[KILN_OBJECT_ID_MAX], before[KILN_OBJECT_ID_MAX] = "";
  for (int i = 0; i < 100; i++) {
    reply one;
    create_script("1", script);
    ck_assert_str_ne(script, before);
    do_on(KILN_OBJECT_DELETE, script, &one);
    assert_good(&one);
    reply_release(&one);
    do_on(KILN_OBJECT_DELETE, script, &one);
    ck_assert_int_eq(one.status, KILN_NOT_FOUND);
    reply_release(&one);
    memcpy(before, script, sizeof(before));
  }
}
END_TEST

START_TEST(objects_have_a_limit) {
  char script[KILN_OBJECT_ID_MAX];
  reply one;
  for (int i = 1; i < KILN_SESSION_OBJECTS_MAX; i++) create_script("1", script);
  kiln_session_info info;
  ck_assert_int_eq(kiln_session_get(k, session_of(context), &info, NULL), KILN_OK);
  ck_assert_uint_eq(info.objects, KILN_SESSION_OBJECTS_MAX);
  kiln_command create = with_source(KILN_SCRIPT_CREATE, "1");
  create.session = session_of(context);
  do_and_drop(&create, &one);
  ck_assert_int_eq(one.status, KILN_ETOOBIG);
  ck_assert_msg(strstr(one.error.message, "4096") != NULL, "%s", one.error.message);
  reply_release(&one);
  do_on(KILN_OBJECT_DELETE, script, &one);
  reply_release(&one);
  create_script("2", script);
}
END_TEST

START_TEST(input_is_checked) {
  char *long_name = malloc(KILN_NAME_MAX + 2);
  memset(long_name, 'n', KILN_NAME_MAX + 1);
  long_name[KILN_NAME_MAX + 1] = '\0';
  kiln_command create = {.op = KILN_CONTEXT_CREATE, .globals_json = kiln_span_from("[1]")};
  assert_refused(&create, KILN_EINVAL, "ERR_INVALID_ARG_VALUE");
  create.globals_json = kiln_span_from("{\"a\":}");
  assert_refused(&create, KILN_EINVAL, "ERR_INVALID_ARG_VALUE");
  create = (kiln_command){.op = KILN_CONTEXT_CREATE, .context_name = kiln_span_from(long_name)};
  assert_refused(&create, KILN_ETOOBIG, "ERR_TOO_LARGE");
  create = (kiln_command){.op = KILN_CONTEXT_CREATE, .timeout_ms = 60001};
  assert_refused(&create, KILN_EINVAL, "ERR_OUT_OF_RANGE");
  create = (kiln_command){.op = KILN_CONTEXT_CREATE, .engine = kiln_span_from("node-99")};
  assert_refused(&create, KILN_EINVAL, "ERR_INVALID_ARG_VALUE");
  create = (kiln_command){.op = KILN_SCRIPT_CREATE};
  assert_refused(&create, KILN_EINVAL, "ERR_MISSING_ARGS");
  create = (kiln_command){.op = KILN_COMMAND_OPS};
  assert_refused(&create, KILN_EINVAL, "ERR_INVALID_ARG_VALUE");
  free(long_name);
}
END_TEST

START_TEST(large_texts_travel) {
  size_t length = 300000;
  char *text = malloc(length + 64);
  (void)snprintf(text, 64, "var s = '");
  size_t at = strlen(text);
  memset(text + at, 'x', length);
  (void)snprintf(text + at + length, 32, "'; s.length");
  assert_runs(k, context, text, "300000");
  reply one;
  run_in(k, context, "s", 0, &one);
  assert_good(&one);
  ck_assert_uint_eq(strlen(one.result), length + 2);
  reply_release(&one);
  /* More of them than the process may have descriptors. */
  for (int i = 0; i < 120; i++) assert_runs(k, context, text, "300000");
  free(text);
}
END_TEST

START_TEST(a_session_tells_of_itself) {
  kiln_session_info info;
  kiln_error error;
  assert_runs(k, context, "1", "1");
  ck_assert_int_eq(kiln_session_get(k, session_of(context), &info, &error), KILN_OK);
  ck_assert_int_eq(memcmp(info.id, context, KILN_SESSION_ID_HEX), 0);
  ck_assert_str_eq(info.engine, "node-18");
  ck_assert_uint_eq(info.commands, 2);
  ck_assert_uint_eq(info.objects, 1);
  kiln_stats stats = get_stats(k);
  ck_assert_uint_eq(stats.sessions_open, 1);
  ck_assert_uint_eq(stats.sessions_opened, 1);
  ck_assert_uint_eq(stats.session_commands, 2);
  ck_assert_uint_eq(stats.jobs, 0);
}
END_TEST

static Suite *session_suite(void) {
  Suite *suite = suite_create("session");
  TCase *tcase = tcase_create("objects");
  tcase_set_timeout(tcase, 120);
  tcase_add_checked_fixture(tcase, setup, teardown);
  tcase_add_test(tcase, globals_stay_between_runs);
  tcase_add_test(tcase, contexts_of_a_session_are_apart);
  tcase_add_test(tcase, a_context_takes_its_options);
  tcase_add_test(tcase, a_contextified_object_has_the_globals);
  tcase_add_test(tcase, microtasks_are_settled_in_a_run);
  tcase_add_test(tcase, the_console_is_each_commands_own);
  tcase_add_test(tcase, what_json_cannot_hold_is_described);
  tcase_add_test(tcase, errors_have_their_place);
  tcase_add_test(tcase, memory_is_measured);
  tcase_add_test(tcase, a_script_runs_in_any_context);
  tcase_add_test(tcase, a_script_may_open_a_session);
  tcase_add_test(tcase, a_failed_first_command_opens_nothing);
  tcase_add_test(tcase, cached_data_of_an_object_is_answered);
  tcase_add_test(tcase, a_script_by_key_has_its_cached_data);
  tcase_add_test(tcase, functions_are_compiled_and_called);
  tcase_add_test(tcase, bad_functions_are_exceptions);
  tcase_add_test(tcase, ids_are_checked);
  tcase_add_test(tcase, numbers_are_given_out_once);
  tcase_add_test(tcase, objects_have_a_limit);
  tcase_add_test(tcase, input_is_checked);
  tcase_add_test(tcase, large_texts_travel);
  tcase_add_test(tcase, a_session_tells_of_itself);
  suite_add_tcase(suite, tcase);
  return suite;
}

int main(void) {
  SRunner *runner = srunner_create(session_suite());
  srunner_run_all(runner, CK_ENV);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
