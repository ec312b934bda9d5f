/* SPDX-License-Identifier: MIT
 *
 * module_test.c: module records up to their evaluation: compiling, requests, linking by table,
 * instantiation, graphs. What comes after is module_test_run.c's.
 */
#include "tests/shim/module_test.h"

/* ---- one module -------------------------------------------------------------------------------
 */

START_TEST(module_lives_through_its_states_MO17) {
  kv8_module *module =
      compile("export const a = 1; export default function f() {}; globalThis.r = 1");
  expect_status(module, KV8_MODULE_UNLINKED);
  ck_assert_uint_eq(kv8_module_get_request_count(module), 0);
  core_ok(kv8_module_instantiate(module, &core_error));
  expect_status(module, KV8_MODULE_LINKED);
  /* MO16: bindings that are not initialised yet are told apart. */
  expect_namespace(module,
                   "{\"a\":{\"type\":\"uninitialized\"},\"default\":{\"type\":\"function\","
                   "\"name\":\"f\"}}");
  core_expect(core_context, "typeof r", "undefined");
  kv8_promise_state state = KV8_PROMISE_PENDING;
  core_ok(evaluate(module, 0, &state));
  ck_assert_int_eq(state, KV8_PROMISE_FULFILLED);
  expect_status(module, KV8_MODULE_EVALUATED);
  expect_namespace(module, "{\"a\":1,\"default\":{\"type\":\"function\",\"name\":\"f\"}}");
  core_expect(core_context, "r", "1");
  core_ok(evaluate(module, 0, NULL)); /* N20 */
  kv8_module_free(module);
  kv8_module_free(NULL);
}
END_TEST

START_TEST(syntax_errors_are_told_ST01) {
  kv8_source source = core_source("export const a = 1;\n  export export;");
  source.filename = kv8_span_from("bad.mjs");
  kv8_module *module = NULL;
  core_is(kv8_module_compile(core_context, &source, &module, NULL, &core_error), KV8_ESYNTAX);
  ck_assert_ptr_null(module);
  ck_assert_str_eq(core_error.name, "SyntaxError");
  ck_assert_str_eq(core_error.resource, "bad.mjs");
  ck_assert_int_eq(core_error.line, 2);
  ck_assert_int_eq(core_error.column, 3);
  source = core_source("with (a) {}"); /* modules are strict */
  core_is(kv8_module_compile(core_context, &source, &module, NULL, &core_error), KV8_ESYNTAX);
  core_is(kv8_module_compile(core_context, NULL, &module, NULL, &core_error), KV8_EINVAL);
  core_is(kv8_module_compile(NULL, &source, &module, NULL, &core_error), KV8_EINVAL);
  core_is(kv8_module_compile(core_context, &source, NULL, NULL, &core_error), KV8_EINVAL);
}
END_TEST

START_TEST(identifiers_count_per_context_ST02) {
  kv8_module *first = compile("1");
  kv8_module *named = compile_as("1", "named.mjs");
  kv8_module *second = compile("2");
  expect_text(kv8_module_get_identifier(first), "vm:module(0)");
  expect_text(kv8_module_get_identifier(named), "named.mjs");
  expect_text(kv8_module_get_identifier(second), "vm:module(1)");
  kv8_context *other = NULL;
  kv8_module *third = NULL;
  kv8_source source = core_source("3");
  core_ok(kv8_context_new(core_isolate, NULL, &other, &core_error));
  core_ok(kv8_module_compile(other, &source, &third, NULL, &core_error));
  expect_text(kv8_module_get_identifier(third), "vm:module(0)");
  ck_assert_uint_eq(kv8_module_get_identifier(NULL).length, 0);
  kv8_module_free(third);
  kv8_context_free(other);
  kv8_module_free(second);
  kv8_module_free(named);
  kv8_module_free(first);
}
END_TEST

START_TEST(offsets_shift_lines_ST06) {
  kv8_source source = core_source("throw new Error('x')");
  source.filename = kv8_span_from("off.mjs");
  source.line_offset = 10;
  source.column_offset = 5;
  kv8_module *module = NULL;
  core_ok(kv8_module_compile(core_context, &source, &module, NULL, &core_error));
  core_ok(kv8_module_instantiate(module, &core_error));
  core_is(evaluate(module, 0, NULL), KV8_EEXCEPTION);
  ck_assert_int_eq(core_error.line, 11);
  ck_assert_ptr_nonnull(strstr(core_error.stack, "off.mjs:11:12"));
  kv8_module_free(module);
}
END_TEST

START_TEST(requests_in_source_order_MO07_N23) {
  kv8_module *module = compile(v8_with_attributes(
      "import z from 'z'; export * from 'a'; import 'm'; import { q } from 'z';"
      "export { x } from 'é'; import j from 'a' %s { type: 'json' }; import ''"));
  static const char *const expected[] = {"z", "a", "m", "é", "a", ""};
  ck_assert_uint_eq(kv8_module_get_request_count(module), 6);
  kv8_module_request request;
  for (size_t i = 0; i < 6; i++) {
    core_ok(kv8_module_get_request(module, i, &request, &core_error));
    expect_text(request.specifier, expected[i]);
    ck_assert_int_eq(request.phase, KV8_PHASE_EVALUATION);
    ck_assert_uint_eq(request.attributes_count, i == 4 ? 1 : 0);
    if (i == 4) {
      expect_text(request.attributes[0].key, "type");
      expect_text(request.attributes[0].value, "json");
    }
  }
  core_is(kv8_module_get_request(module, 6, &request, &core_error), KV8_EINVAL);
  core_is(kv8_module_get_request(NULL, 0, &request, &core_error), KV8_EINVAL);
  core_is(kv8_module_get_request(module, 0, NULL, &core_error), KV8_EINVAL);
  ck_assert_uint_eq(kv8_module_get_request_count(NULL), 0);
  kv8_module_free(module);
}
END_TEST

START_TEST(import_meta_is_bare_ST09) {
  kv8_module *module = compile(
      "export const proto = Object.getPrototypeOf(import.meta), keys = "
      "Reflect.ownKeys(import.meta),"
      "same = import.meta === import.meta, type = typeof import.meta");
  evaluated(module);
  expect_namespace(module, "{\"keys\":[],\"proto\":null,\"same\":true,\"type\":\"object\"}");
  kv8_module_free(module);
}
END_TEST

START_TEST(dynamic_import_is_refused_ST11) {
  kv8_module *module = compile(
      "let e; try { await import('x') } catch (error) { e = error }"
      "export const got = [e instanceof TypeError, e.code, e.message]");
  evaluated(module);
  expect_namespace(module,
                   "{\"got\":[true,\"ERR_VM_DYNAMIC_IMPORT_CALLBACK_MISSING\","
                   "\"A dynamic import callback was not specified.\"]}");
  kv8_module_free(module);
}
END_TEST

/* ---- graphs -----------------------------------------------------------------------------------
 */

START_TEST(graph_links_by_table_N25_N27) {
  kv8_module *root = compile(
      "import { b } from './b'; import c, { twice } from './c'; export * from './b';"
      "export const sum = b + c + twice(4)");
  kv8_module *b = compile("import c from './c'; export const b = 10 + c");
  kv8_module *c = compile("export default 1; export const twice = (x) => 2 * x");
  kv8_module *of_root[] = {b, c};
  core_ok(kv8_module_link_requests(root, of_root, 2, &core_error));
  expect_status(root, KV8_MODULE_UNLINKED);
  core_is(kv8_module_instantiate(root, &core_error), KV8_ELINK);
  core_ok(link_to(b, c));
  evaluated(root);
  expect_namespace(root, "{\"b\":11,\"sum\":20}");
  expect_status(b, KV8_MODULE_EVALUATED);
  expect_status(c, KV8_MODULE_EVALUATED);
  kv8_promise_state state = KV8_PROMISE_PENDING;
  core_ok(evaluate(c, 0, &state)); /* evaluated by its parent */
  ck_assert_int_eq(state, KV8_PROMISE_FULFILLED);
  kv8_module_free(c);
  kv8_module_free(b);
  expect_namespace(root, "{\"b\":11,\"sum\":20}"); /* needs no handle of theirs any more */
  kv8_module_free(root);
}
END_TEST

START_TEST(cycles_link) {
  kv8_module *a =
      compile("import { b } from 'b'; export function a() { return b }; export const r = a()");
  kv8_module *b = compile("import { a } from 'a'; export const b = typeof a");
  kv8_module *self = compile("import * as me from 'me'; export const x = 1; export { me }");
  core_ok(link_to(a, b));
  core_ok(link_to(b, a));
  evaluated(a);
  expect_namespace(a, "{\"a\":{\"type\":\"function\",\"name\":\"a\"},\"r\":\"function\"}");
  core_ok(link_to(self, self));
  evaluated(self);
  expect_namespace(self, "{\"me\":{\"type\":\"circular\"},\"x\":1}");
  kv8_module_free(a);
  kv8_module_free(b);
  kv8_module_free(self);
}
END_TEST

START_TEST(link_errors_have_nodes_codes) {
  kv8_module *module = compile_as("import 'x'; import 'y'", "root.mjs");
  kv8_module *leaf = compile("1");
  kv8_module *broken = compile("throw 1");
  kv8_module *two[] = {leaf, leaf};
  kv8_module *with_null[] = {leaf, NULL};
  core_is(kv8_module_link_requests(module, two, 1, &core_error), KV8_ELINK);
  ck_assert_str_eq(core_error.code, "ERR_MODULE_LINK_MISMATCH");
  ck_assert_str_eq(core_error.message, "Expected 2 modules for module 'root.mjs', got 1");
  core_is(kv8_module_link_requests(module, with_null, 2, &core_error), KV8_EINVAL);
  ck_assert_str_eq(core_error.code, "ERR_VM_MODULE_NOT_MODULE");
  core_is(kv8_module_link_requests(module, NULL, 2, &core_error), KV8_EINVAL);
  core_is(kv8_module_link_requests(NULL, two, 2, &core_error), KV8_EINVAL);

  kv8_context *other = NULL;
  kv8_module *foreign = NULL;
  kv8_source source = core_source("1");
  core_ok(kv8_context_new(core_isolate, NULL, &other, &core_error));
  core_ok(kv8_module_compile(other, &source, &foreign, NULL, &core_error));
  kv8_module *mixed[] = {leaf, foreign};
  core_is(kv8_module_link_requests(module, mixed, 2, &core_error), KV8_ELINK);
  ck_assert_str_eq(core_error.code, "ERR_VM_MODULE_DIFFERENT_CONTEXT");
  kv8_module_free(foreign);
  kv8_context_free(other);

  core_ok(kv8_module_instantiate(broken, &core_error));
  core_is(evaluate(broken, 0, NULL), KV8_EEXCEPTION);
  kv8_module *with_broken[] = {leaf, broken};
  core_is(kv8_module_link_requests(module, with_broken, 2, &core_error), KV8_ELINK);
  ck_assert_str_eq(core_error.code, "ERR_VM_MODULE_LINK_FAILURE");

  core_is(kv8_module_instantiate(module, &core_error), KV8_ELINK);
  ck_assert_str_eq(core_error.code, "ERR_VM_MODULE_LINK_FAILURE");
  ck_assert_str_eq(core_error.message,
                   "request for 'x' can not be resolved on module 'root.mjs' that is not linked");
  core_ok(kv8_module_link_requests(module, two, 2, &core_error));
  core_is(kv8_module_link_requests(module, two, 2, &core_error), KV8_ESTATE);
  ck_assert_str_eq(core_error.code, "ERR_VM_MODULE_ALREADY_LINKED");
  core_ok(kv8_module_link_requests(leaf, NULL, 0, &core_error));
  evaluated(module);
  kv8_module_free(module);
  kv8_module_free(leaf);
  kv8_module_free(broken);
}
END_TEST

START_TEST(missing_exports_are_syntax_errors) {
  kv8_module *root = compile_as("import { nope } from 'leaf'", "root.mjs");
  kv8_module *leaf = compile("export const yes = 1");
  core_ok(link_to(root, leaf));
  for (int i = 0; i < 2; i++) { /* D06: back to unlinked, and it may be asked again */
    core_is(kv8_module_instantiate(root, &core_error), KV8_ESYNTAX);
    ck_assert_str_eq(core_error.name, "SyntaxError");
    ck_assert_ptr_nonnull(strstr(core_error.message, "nope"));
    ck_assert_str_eq(core_error.resource, "root.mjs");
    expect_status(root, KV8_MODULE_UNLINKED);
  }
  kv8_module_free(root);
  kv8_module_free(leaf);
  kv8_module *a = compile("export * from 'b'; export * from 'c'");
  kv8_module *b = compile("export const x = 1");
  kv8_module *c = compile("export const x = 2");
  kv8_module *user = compile("import { x } from 'a'");
  kv8_module *both[] = {b, c};
  core_ok(kv8_module_link_requests(a, both, 2, &core_error));
  core_ok(link_to(user, a));
  core_is(kv8_module_instantiate(user, &core_error), KV8_ESYNTAX);
  kv8_module_free(user);
  kv8_module_free(a);
  kv8_module_free(b);
  kv8_module_free(c);
}
END_TEST

START_TEST(freed_targets_are_open_requests) {
  kv8_module *root = compile("import 'leaf'");
  kv8_module *leaf = compile("1");
  core_ok(link_to(root, leaf));
  kv8_module_free(leaf);
  core_is(kv8_module_instantiate(root, &core_error), KV8_ELINK);
  ck_assert_str_eq(core_error.code, "ERR_VM_MODULE_LINK_FAILURE");
  kv8_module_free(root);
}
END_TEST

/* Deep and wide graphs, and no leak of handles (P05). */
START_TEST(many_modules) {
  enum { COUNT = 2000 };
  static kv8_module *modules[COUNT];
  char text[64];
  for (int i = 0; i < COUNT; i++) {
    snprintf(text, sizeof(text),
             i == 0 ? "export const n%d = 0" : "import 'x'; export const n%d = 1", i);
    modules[i] = compile(text);
    if (i > 0) core_ok(link_to(modules[i], modules[i - 1]));
  }
  kv8_promise_state state = KV8_PROMISE_PENDING;
  core_ok(kv8_module_instantiate(modules[COUNT - 1], &core_error));
  core_ok(evaluate(modules[COUNT - 1], 0, &state));
  expect_status(modules[0], KV8_MODULE_EVALUATED);
  for (int i = 0; i < COUNT; i++) kv8_module_free(modules[i]);
}
END_TEST

START_TEST(too_deep_graphs_are_errors) {
  enum { COUNT = 60000 };
  kv8_module **modules = calloc(COUNT, sizeof(*modules));
  ck_assert_ptr_nonnull(modules);
  for (int i = 0; i < COUNT; i++) {
    modules[i] = compile_as(i == 0 ? "" : "import 'x'", "deep.mjs");
    if (i > 0) core_ok(link_to(modules[i], modules[i - 1]));
  }
  /* V8 recurses; it says so with a RangeError and stays usable. */
  core_is(kv8_module_instantiate(modules[COUNT - 1], &core_error), KV8_ESYNTAX);
  ck_assert_str_eq(core_error.name, "RangeError");
  expect_status(modules[COUNT - 1], KV8_MODULE_UNLINKED);
  core_expect(core_context, "1 + 1", "2");
  for (int i = COUNT; i-- > 0;) kv8_module_free(modules[i]);
  free(modules);
}
END_TEST

START_TEST(module_outlives_its_isolate) {
#ifndef KV8_CHECK_LIFETIMES
  kv8_isolate *isolate = NULL;
  kv8_context *context = NULL;
  kv8_module *module = NULL;
  kv8_source source = core_source("import 'x'");
  core_ok(kv8_isolate_new(NULL, &isolate, &core_error));
  core_ok(kv8_context_new(isolate, NULL, &context, &core_error));
  core_ok(kv8_module_compile(context, &source, &module, NULL, &core_error));
  kv8_isolate_free(isolate);
  kv8_promise_state state;
  kv8_value *value;
  kv8_blob data;
  core_is(kv8_module_instantiate(module, &core_error), KV8_EINVAL);
  core_is(kv8_module_evaluate(module, NULL, &state, &core_error), KV8_EINVAL);
  core_is(kv8_module_copy_namespace(module, &value, &core_error), KV8_EINVAL);
  core_is(kv8_module_create_cached_data(module, &data, &core_error), KV8_EINVAL);
  core_is(kv8_module_link_requests(module, NULL, 0, &core_error), KV8_EINVAL);
  expect_status(module, KV8_MODULE_ERRORED);
  ck_assert_uint_eq(kv8_module_get_request_count(module), 1);
  kv8_module_free(module);
  kv8_context_free(context);
#endif
}
END_TEST

int main(void) {
  TCase *one = tcase_create("one");
  tcase_add_checked_fixture(one, core_setup, core_teardown);
  tcase_add_test(one, module_lives_through_its_states_MO17);
  tcase_add_test(one, syntax_errors_are_told_ST01);
  tcase_add_test(one, identifiers_count_per_context_ST02);
  tcase_add_test(one, offsets_shift_lines_ST06);
  tcase_add_test(one, requests_in_source_order_MO07_N23);
  tcase_add_test(one, import_meta_is_bare_ST09);
  tcase_add_test(one, dynamic_import_is_refused_ST11);
  tcase_add_test(one, module_outlives_its_isolate);
  TCase *graph = tcase_create("graph");
  tcase_add_checked_fixture(graph, core_setup, core_teardown);
  tcase_set_timeout(graph, 60);
  tcase_add_test(graph, graph_links_by_table_N25_N27);
  tcase_add_test(graph, cycles_link);
  tcase_add_test(graph, link_errors_have_nodes_codes);
  tcase_add_test(graph, missing_exports_are_syntax_errors);
  tcase_add_test(graph, freed_targets_are_open_requests);
  tcase_add_test(graph, many_modules);
  tcase_add_test(graph, too_deep_graphs_are_errors);
  TCase *cases[] = {one, graph};
  return core_main(cases, sizeof(cases) / sizeof(cases[0]), "shim modules");
}
