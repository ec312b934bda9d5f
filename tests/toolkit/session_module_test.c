/* SPDX-License-Identifier: MIT
 *
 * session_module_test.c: modules that outlive a request: made, linked step by step, evaluated,
 * looked at; every command on a module in every state answers with a code of Node's.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/toolkit/service_support.h"
#include "tests/toolkit/session_support.h"

static kiln *k;
static char context[KILN_OBJECT_ID_MAX];

static void setup(void) {
  kiln_options options = session_options(/* store= */ NULL);
  k = open_kiln(&options);
  make_context(k, NULL, context);
}

static void teardown(void) {
  kiln_close(k, 5000);
}

static void make_module(const char *name, const char *source, char ret_id[KILN_OBJECT_ID_MAX]) {
  reply one;
  kiln_command create = {.op = KILN_MODULE_CREATE,
                         .context = kiln_span_from(context),
                         .source = bytes_from(source),
                         .filename = kiln_span_from(name)};
  command_do(k, &create, &one);
  kiln_bytes_unref(create.source);
  assert_good(&one);
  ck_assert_msg(strstr(one.module, "\"status\":\"unlinked\"") != NULL, "%s", one.module);
  memcpy(ret_id, one.object, sizeof(one.object));
  reply_release(&one);
}

static void make_synthetic(const char *name, const char *exports, char ret_id[KILN_OBJECT_ID_MAX]) {
  reply one;
  kiln_command create = {.op = KILN_MODULE_CREATE_SYNTHETIC,
                         .context = kiln_span_from(context),
                         .exports_json = kiln_span_from(exports),
                         .filename = kiln_span_from(name)};
  command_do(k, &create, &one);
  assert_good(&one);
  ck_assert_msg(strstr(one.module, "\"status\":\"linked\"") != NULL, "%s", one.module);
  memcpy(ret_id, one.object, sizeof(one.object));
  reply_release(&one);
}

/* Answers one request; `specifier` NULL: none. */
static void link_one(const char *module, const char *specifier, const char *attributes,
                     const char *by, reply *ret_reply) {
  kiln_link link = {.specifier = kiln_span_from(specifier),
                    .attributes_json = kiln_span_from(attributes),
                    .module = kiln_span_from(by)};
  kiln_command command = {.op = KILN_MODULE_LINK,
                          .object = kiln_span_from(module),
                          .links = &link,
                          .links_count = specifier == NULL ? 0 : 1};
  command_do(k, &command, ret_reply);
}

static void assert_links(const char *module, const char *specifier, const char *by,
                         const char *status) {
  reply one;
  char expected[64];
  link_one(module, specifier, NULL, by, &one);
  assert_good(&one);
  (void)snprintf(expected, sizeof(expected), "\"status\":\"%s\"", status);
  ck_assert_msg(strstr(one.module, expected) != NULL, "%s", one.module);
  reply_release(&one);
}

static void do_on(kiln_command_op op, const char *module, reply *ret_reply) {
  kiln_command command = {.op = op, .object = kiln_span_from(module)};
  command_do(k, &command, ret_reply);
}

/* Asserts a piece of what KILN_MODULE_GET answers. */
static void assert_state(const char *module, const char *piece) {
  reply one;
  do_on(KILN_MODULE_GET, module, &one);
  assert_good(&one);
  ck_assert_msg(strstr(one.module, piece) != NULL, "no %s in %s", piece, one.module);
  reply_release(&one);
}

static void assert_evaluates(const char *module) {
  reply one;
  do_on(KILN_MODULE_EVALUATE, module, &one);
  assert_good(&one);
  ck_assert_msg(strstr(one.module, "\"status\":\"evaluated\"") != NULL, "%s", one.module);
  reply_release(&one);
}

static void assert_evaluation_throws(const char *module, const char *code) {
  reply one;
  do_on(KILN_MODULE_EVALUATE, module, &one);
  assert_threw(&one, code);
  ck_assert_ptr_nonnull(strstr(one.module, "\"status\":"));
  reply_release(&one);
}

START_TEST(a_graph_is_linked_step_by_step) {
  char root[KILN_OBJECT_ID_MAX], left[KILN_OBJECT_ID_MAX], leaf[KILN_OBJECT_ID_MAX];
  reply one;
  make_module("root.mjs",
              "import {l} from './left'; import {n} from './leaf'; export default l + n;", root);
  make_module("left.mjs", "import {n} from './leaf'; export const l = n * 10;", left);
  make_module("leaf.mjs", "export const n = 4;", leaf);
  link_one(root, "./left", NULL, left, &one);
  assert_good(&one);
  ck_assert_str_eq(one.module,
                   "{\"status\":\"linking\",\"identifier\":\"root.mjs\",\"synthetic\":false,"
                   "\"moduleRequests\":[{\"specifier\":\"./left\",\"attributes\":{},"
                   "\"phase\":\"evaluation\"},{\"specifier\":\"./leaf\",\"attributes\":{},"
                   "\"phase\":\"evaluation\"}],\"openRequests\":[{\"specifier\":\"./leaf\","
                   "\"attributes\":{},\"phase\":\"evaluation\"}]}");
  reply_release(&one);
  assert_evaluation_throws(root, "ERR_VM_MODULE_STATUS");
  assert_links(root, "./leaf", leaf, "linking"); /* ./left is still open */
  assert_evaluation_throws(root, "ERR_VM_MODULE_LINK_FAILURE");
  assert_links(left, "./leaf", leaf, "linked"); /* and now everybody is */
  assert_state(root, "\"status\":\"linked\"");
  assert_evaluates(root);
  assert_state(root, "\"namespace\":{\"default\":44}");
  assert_state(leaf, "\"namespace\":{\"n\":4}");
  assert_evaluates(root); /* again: nothing happens */
}
END_TEST

START_TEST(a_cycle_is_linked) {
  char a[KILN_OBJECT_ID_MAX], b[KILN_OBJECT_ID_MAX];
  make_module("a.mjs", "import {b} from './b'; export function a() { return b; }", a);
  make_module("b.mjs", "import {a} from './a'; export const b = 3; export const f = () => a();", b);
  assert_links(a, "./b", b, "linking");
  assert_links(b, "./a", a, "linked");
  assert_state(a, "\"status\":\"linked\"");
  assert_evaluates(b);
  assert_state(b, "\"b\":3");
  /* Deleting both leaves nothing that answers the other. */
  for (int i = 0; i < 2; i++) {
    reply one;
    do_on(KILN_OBJECT_DELETE, i == 0 ? a : b, &one);
    assert_good(&one);
    reply_release(&one);
  }
}
END_TEST

START_TEST(a_module_imports_itself) {
  char a[KILN_OBJECT_ID_MAX];
  make_module("a.mjs",
              "import * as me from './a'; export const own = 1; export const k = () => me;", a);
  assert_links(a, "./a", a, "linked");
  assert_evaluates(a);
}
END_TEST

START_TEST(a_module_without_requests_is_linked) {
  char a[KILN_OBJECT_ID_MAX];
  reply one;
  make_module("a.mjs", "export let x = 1; globalThis.ran = (globalThis.ran || 0) + 1;", a);
  assert_evaluation_throws(a, "ERR_VM_MODULE_STATUS");
  assert_links(a, NULL, NULL, "linked");
  link_one(a, NULL, NULL, NULL, &one);
  assert_threw(&one, "ERR_VM_MODULE_ALREADY_LINKED");
  reply_release(&one);
  assert_evaluates(a);
  assert_evaluates(a);
  assert_runs(k, context, "ran", "1");
}
END_TEST

START_TEST(wrong_links_are_exceptions_and_change_nothing) {
  char a[KILN_OBJECT_ID_MAX], b[KILN_OBJECT_ID_MAX], c[KILN_OBJECT_ID_MAX];
  char other[KILN_OBJECT_ID_MAX], first[KILN_OBJECT_ID_MAX], session[KILN_SESSION_ID_HEX + 1] = {0};
  reply one;
  make_module("a.mjs", "import './b'; import './c'", a);
  make_module("b.mjs", "", b);
  make_module("c.mjs", "", c);
  link_one(a, "./nothing", NULL, b, &one);
  assert_threw(&one, "ERR_VM_MODULE_LINK_FAILURE");
  reply_release(&one);
  link_one(a, "./b", "{\"type\":\"json\"}", b, &one);
  assert_threw(&one, "ERR_VM_MODULE_LINK_FAILURE");
  reply_release(&one);
  link_one(a, "./b", NULL, context, &one);
  ck_assert_int_eq(one.status, KILN_EINVAL);
  reply_release(&one);
  assert_links(a, "./b", b, "linking");
  link_one(a, "./b", NULL, c, &one);
  assert_threw(&one, "ERR_MODULE_LINK_MISMATCH");
  ck_assert_ptr_nonnull(strstr(one.module, "\"openRequests\":[{\"specifier\":\"./c\""));
  reply_release(&one);
  /* A module of another context. */
  memcpy(session, context, KILN_SESSION_ID_HEX);
  make_context(k, session, other);
  memcpy(first, context, sizeof(first));
  memcpy(context, other, sizeof(context));
  make_module("far.mjs", "", b);
  memcpy(context, first, sizeof(context));
  link_one(a, "./c", NULL, b, &one);
  assert_threw(&one, "ERR_VM_MODULE_DIFFERENT_CONTEXT");
  reply_release(&one);
  assert_links(a, "./c", c, "linked");
}
END_TEST

START_TEST(a_missing_export_is_a_syntax_error) {
  char a[KILN_OBJECT_ID_MAX], b[KILN_OBJECT_ID_MAX], top[KILN_OBJECT_ID_MAX];
  reply one;
  make_module("a.mjs", "import {nothing} from './b'", a);
  make_module("top.mjs", "import './a'", top);
  make_module("b.mjs", "export const x = 1", b);
  assert_links(top, "./a", a, "linking");
  link_one(a, "./b", NULL, b, &one);
  assert_threw(&one, "SyntaxError");
  ck_assert_ptr_nonnull(strstr(one.module, "\"status\":\"unlinked\""));
  reply_release(&one);
  assert_evaluation_throws(a, "SyntaxError");
  assert_evaluation_throws(top, "SyntaxError");
}
END_TEST

START_TEST(attributes_tell_requests_apart) {
  char a[KILN_OBJECT_ID_MAX], json[KILN_OBJECT_ID_MAX];
  reply one;
  make_module("a.mjs", "import d from './d' assert { type: 'json' }; export default d.x", a);
  make_synthetic("d.json", "{\"default\":{\"x\":5}}", json);
  link_one(a, "./d", NULL, json, &one);
  assert_threw(&one, "ERR_VM_MODULE_LINK_FAILURE");
  ck_assert_msg(strstr(one.module, "\"attributes\":{\"type\":\"json\"}") != NULL, "%s", one.module);
  reply_release(&one);
  link_one(a, "./d", "{\"type\":\"json\"}", json, &one);
  assert_good(&one);
  reply_release(&one);
  assert_evaluates(a);
  assert_state(a, "\"namespace\":{\"default\":5}");
}
END_TEST

START_TEST(synthetic_modules_have_exports) {
  char s[KILN_OBJECT_ID_MAX], a[KILN_OBJECT_ID_MAX];
  reply one;
  make_synthetic("s", "{\"default\":1,\"list\":[1,2],\"\":0}", s);
  make_module("a.mjs", "import d, {list} from 's'; export const f = () => d; export {list}", a);
  assert_links(a, "s", s, "linked");
  assert_evaluates(a);
  assert_state(s, "\"default\":1");
  assert_state(a, "\"list\":[1,2]");
  kiln_command set = {.op = KILN_MODULE_SET_EXPORT,
                      .object = kiln_span_from(s),
                      .name = kiln_span_from("default"),
                      .value_json = kiln_span_from("\"late\"")};
  command_do(k, &set, &one);
  assert_good(&one);
  reply_release(&one);
  assert_state(s, "\"default\":\"late\"");
  set.name = kiln_span_from("unknown");
  command_do(k, &set, &one);
  assert_threw(&one, "ReferenceError");
  reply_release(&one);
  set.object = kiln_span_from(a);
  command_do(k, &set, &one);
  ck_assert_int_eq(one.outcome, KILN_OUTCOME_EXCEPTION);
  reply_release(&one);
  link_one(s, "x", NULL, a, &one);
  assert_threw(&one, "ERR_VM_MODULE_ALREADY_LINKED");
  reply_release(&one);
  assert_links(s, NULL, NULL, "evaluated");
}
END_TEST

START_TEST(synthetic_modules_may_have_names_only) {
  char s[KILN_OBJECT_ID_MAX];
  reply one;
  make_synthetic("s", " [\"a\",\"b\"]", s);
  kiln_command set = {.op = KILN_MODULE_SET_EXPORT,
                      .object = kiln_span_from(s),
                      .name = kiln_span_from("a"),
                      .value_json = kiln_span_from("1")};
  command_do(k, &set, &one);
  assert_good(&one);
  reply_release(&one);
  assert_evaluates(s);
  assert_state(s, "\"namespace\":{\"a\":1,\"b\":{\"type\":\"undefined\"}}");
  static const char *const bad[] = {"[\"a\",\"a\"]", "[1]"};
  static const char *const codes[] = {"ERR_INVALID_ARG_VALUE", "ERR_INVALID_ARG_TYPE"};
  for (int i = 0; i < 2; i++) {
    kiln_command create = {.op = KILN_MODULE_CREATE_SYNTHETIC,
                           .context = kiln_span_from(context),
                           .exports_json = kiln_span_from(bad[i])};
    command_do(k, &create, &one);
    assert_threw(&one, codes[i]);
    reply_release(&one);
  }
}
END_TEST

START_TEST(import_meta_is_filled) {
  char id[KILN_OBJECT_ID_MAX];
  reply one;
  kiln_command create = {
      .op = KILN_MODULE_CREATE,
      .context = kiln_span_from(context),
      .source =
          bytes_from("export default [import.meta.url, import.meta.n.x, Object.keys(import.meta)"
                     ".length, import.meta.n instanceof Object]"),
      .initialize_meta_json = kiln_span_from("{\"url\":\"kiln:a\",\"n\":{\"x\":1}}")};
  command_do(k, &create, &one);
  kiln_bytes_unref(create.source);
  assert_good(&one);
  ck_assert_ptr_nonnull(strstr(one.module, "\"identifier\":\"vm:module(0)\""));
  memcpy(id, one.object, sizeof(id));
  reply_release(&one);
  assert_links(id, NULL, NULL, "linked");
  assert_evaluates(id);
  assert_state(id, "{\"default\":[\"kiln:a\",1,2,true]}");
}
END_TEST

START_TEST(a_failed_evaluation_stays_failed) {
  char a[KILN_OBJECT_ID_MAX], b[KILN_OBJECT_ID_MAX];
  reply one;
  make_module("a.mjs", "throw new RangeError('never')", a);
  assert_links(a, NULL, NULL, "linked");
  assert_evaluation_throws(a, "RangeError");
  assert_evaluation_throws(a, "RangeError");
  assert_state(a, "\"error\":{\"name\":\"RangeError\",\"message\":\"never\"");
  make_module("b.mjs", "for (;;);", b);
  assert_links(b, NULL, NULL, "linked");
  kiln_command evaluate = {
      .op = KILN_MODULE_EVALUATE, .object = kiln_span_from(b), .timeout_ms = 100};
  command_do(k, &evaluate, &one);
  ck_assert_int_eq(one.outcome, KILN_OUTCOME_TIME_LIMIT);
  ck_assert_str_eq(one.code, "ERR_SCRIPT_EXECUTION_TIMEOUT");
  reply_release(&one);
  assert_state(b, "\"status\":\"errored\"");
  assert_runs(k, context, "1", "1");
}
END_TEST

START_TEST(a_top_level_await_may_wait_for_another_command) {
  char a[KILN_OBJECT_ID_MAX];
  reply one;
  make_module("a.mjs", "export const v = await new Promise((r) => { globalThis.resolve = r; });",
              a);
  assert_links(a, NULL, NULL, "linked");
  do_on(KILN_MODULE_EVALUATE, a, &one);
  assert_threw(&one, "ERR_UNSETTLED_TOP_LEVEL_AWAIT");
  ck_assert_msg(strstr(one.module, "\"status\":\"evaluating\"") != NULL, "%s", one.module);
  reply_release(&one);
  assert_runs(k, context, "resolve(8); 0", "0");
  assert_state(a, "\"status\":\"evaluated\"");
  assert_evaluates(a);
  assert_state(a, "\"namespace\":{\"v\":8}");
}
END_TEST

START_TEST(import_is_answered_by_links) {
  char a[KILN_OBJECT_ID_MAX], late[KILN_OBJECT_ID_MAX];
  reply one;
  make_module("a.mjs", "export const x = 6; globalThis.seen = true;", a);
  assert_links(a, NULL, NULL, "linked");
  make_module("late.mjs", "export const x = 7", late);
  kiln_link links[] = {
      {.specifier = kiln_span_from("./a"), .module = kiln_span_from(a)},
      {.specifier = kiln_span_from("./late"), .module = kiln_span_from(late)},
  };
  kiln_command run = {
      .op = KILN_CONTEXT_RUN,
      .object = kiln_span_from(context),
      .source = bytes_from("Promise.allSettled([import('./a'), import('./late'), import('./none')])"
                           ".then((all) => all.map((one) => one.value ? one.value.x : "
                           "one.reason.code))"),
      .links = links,
      .links_count = 2};
  command_do(k, &run, &one);
  assert_good(&one);
  ck_assert_str_eq(one.result,
                   "{\"type\":\"promise\",\"state\":\"fulfilled\",\"value\":"
                   "[6,\"ERR_VM_MODULE_STATUS\",\"ERR_VM_MODULE_LINK_FAILURE\"]}");
  reply_release(&one);
  assert_runs(k, context, "seen", "true");
  kiln_bytes_unref(run.source);
  /* A function keeps its links. */
  run.op = KILN_FUNCTION_CREATE;
  run.object = (kiln_span){NULL, 0};
  run.context = kiln_span_from(context);
  run.source = bytes_from("return import('./a').then((m) => m.x + 1)");
  command_do(k, &run, &one);
  assert_good(&one);
  kiln_command call = {.op = KILN_FUNCTION_CALL, .object = kiln_span_from(one.object)};
  reply two;
  command_do(k, &call, &two);
  assert_good(&two);
  ck_assert_str_eq(two.result, "{\"type\":\"promise\",\"state\":\"fulfilled\",\"value\":7}");
  reply_release(&two);
  reply_release(&one);
  kiln_bytes_unref(run.source);
}
END_TEST

START_TEST(a_namespace_is_shown_before_evaluation) {
  char a[KILN_OBJECT_ID_MAX];
  make_module("a.mjs", "export function f() {} export const c = 1", a);
  assert_links(a, NULL, NULL, "linked");
  assert_state(a, "\"namespace\":{\"c\":{\"type\":\"uninitialized\"},\"f\":{\"type\":\"function\"");
}
END_TEST

START_TEST(import_is_refused) {
  assert_runs(k, context, "var code; import('x').catch((e) => { code = e.code; }); 0", "0");
  assert_runs(k, context, "code", "\"ERR_VM_DYNAMIC_IMPORT_CALLBACK_MISSING\"");
}
END_TEST

START_TEST(an_identifier_has_a_limit) {
  static char name[KILN_NAME_MAX + 1];
  kiln_error error;
  memset(name, 'x', sizeof(name));
  kiln_command create = {.op = KILN_MODULE_CREATE_SYNTHETIC,
                         .context = kiln_span_from(context),
                         .exports_json = kiln_span_from("{}"),
                         .filename = {name, sizeof(name)}};
  ck_assert_int_eq(kiln_session_submit(k, &create, NULL, NULL, &error), KILN_ETOOBIG);
  ck_assert_str_eq(error.message, "identifier is 4097 bytes, limit 4096");
}
END_TEST

START_TEST(cached_data_before_evaluation_only) {
  char a[KILN_OBJECT_ID_MAX], s[KILN_OBJECT_ID_MAX];
  reply one;
  make_module("a.mjs", "export const x = 1", a);
  do_on(KILN_OBJECT_CREATE_CACHED_DATA, a, &one);
  assert_good(&one);
  ck_assert_ptr_nonnull(one.blob);
  reply_release(&one);
  assert_links(a, NULL, NULL, "linked");
  assert_evaluates(a);
  do_on(KILN_OBJECT_CREATE_CACHED_DATA, a, &one);
  assert_threw(&one, "ERR_VM_MODULE_CANNOT_CREATE_CACHED_DATA");
  reply_release(&one);
  make_synthetic("s", "{}", s);
  do_on(KILN_OBJECT_CREATE_CACHED_DATA, s, &one);
  ck_assert_int_eq(one.outcome, KILN_OUTCOME_EXCEPTION);
  reply_release(&one);
}
END_TEST

/* A chain of 500, linked from the top; and what is deleted in between stays as long as needed. */
START_TEST(a_long_chain_is_linked) {
  enum { LENGTH = 500 };
  static char ids[LENGTH][KILN_OBJECT_ID_MAX];
  char source[128], name[32];
  reply one;
  for (int i = 0; i < LENGTH; i++) {
    (void)snprintf(name, sizeof(name), "m%d", i);
    if (i + 1 < LENGTH) {
      (void)snprintf(source, sizeof(source), "import {n as m} from './%d'; export const n = m + 1;",
                     i + 1);
    } else {
      (void)snprintf(source, sizeof(source), "import './end'; export const n = 0;");
    }
    make_module(name, source, ids[i]);
  }
  for (int i = 0; i + 1 < LENGTH; i++) {
    (void)snprintf(name, sizeof(name), "./%d", i + 1);
    assert_links(ids[i], name, ids[i + 1], "linking");
  }
  do_on(KILN_OBJECT_DELETE, ids[LENGTH / 2], &one);
  assert_good(&one);
  reply_release(&one);
  char end[KILN_OBJECT_ID_MAX];
  make_module("end", "", end);
  assert_links(ids[LENGTH - 1], "./end", end, "linked");
  assert_state(ids[LENGTH / 2 + 1], "\"status\":\"linked\"");
  assert_evaluates(ids[0]);
  assert_state(ids[0], "\"namespace\":{\"n\":499}");
}
END_TEST

int main(void) {
  Suite *suite = suite_create("session_module");
  TCase *tcase = tcase_create("modules");
  tcase_set_timeout(tcase, 120);
  tcase_add_checked_fixture(tcase, setup, teardown);
  tcase_add_test(tcase, a_graph_is_linked_step_by_step);
  tcase_add_test(tcase, a_cycle_is_linked);
  tcase_add_test(tcase, a_module_imports_itself);
  tcase_add_test(tcase, a_module_without_requests_is_linked);
  tcase_add_test(tcase, wrong_links_are_exceptions_and_change_nothing);
  tcase_add_test(tcase, a_missing_export_is_a_syntax_error);
  tcase_add_test(tcase, attributes_tell_requests_apart);
  tcase_add_test(tcase, synthetic_modules_have_exports);
  tcase_add_test(tcase, synthetic_modules_may_have_names_only);
  tcase_add_test(tcase, import_meta_is_filled);
  tcase_add_test(tcase, a_failed_evaluation_stays_failed);
  tcase_add_test(tcase, a_top_level_await_may_wait_for_another_command);
  tcase_add_test(tcase, import_is_answered_by_links);
  tcase_add_test(tcase, a_namespace_is_shown_before_evaluation);
  tcase_add_test(tcase, import_is_refused);
  tcase_add_test(tcase, an_identifier_has_a_limit);
  tcase_add_test(tcase, cached_data_before_evaluation_only);
  tcase_add_test(tcase, a_long_chain_is_linked);
  suite_add_tcase(suite, tcase);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_ENV);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
