/* SPDX-License-Identifier: MIT
 *
 * Synthetic modules, evaluations within evaluations, and what an evaluation leaves.
 */
#include "tests/shim/module_test_synthetic.h"

/* ---- synthetic modules ---------------------------------------------------------------------- */

static int evaluations;
static kv8_status set_x(void *user, kv8_module *module, kv8_value **ret_exception, kv8_error *err) {
  (void)ret_exception;
  evaluations++;
  kv8_value *value = core_value(core_context, user == NULL ? "'x' + 1" : (const char *)user);
  kv8_status status = kv8_module_set_export(module, kv8_span_from("x"), value, err);
  kv8_value_free(value);
  return status;
}

START_TEST(SY01_SY03_SY10_evaluated_once_when_imported) {
  kv8_module *module = synthetic(set_x);
  expect_status(module, KV8_MODULE_LINKED); /* N22 */
  ck_assert_uint_eq(kv8_module_get_request_count(module), 0);
  kv8_module *user = compile("import d, { x } from 's'; export { d, x }");
  core_ok(link_to(user, module));
  evaluated(user);
  ck_assert_int_eq(evaluations, 1);
  expect_namespace(user, "{\"d\":{\"type\":\"undefined\"},\"x\":\"x1\"}");
  expect_status(module, KV8_MODULE_EVALUATED);
  kv8_promise_state state = KV8_PROMISE_PENDING;
  core_ok(evaluate(module, 0, &state)); /* ME03 */
  ck_assert_int_eq(state, KV8_PROMISE_FULFILLED);
  ck_assert_int_eq(evaluations, 1);
  kv8_module_free(user);
  kv8_module_free(module);
  ck_assert_int_eq(releases, 1);
}
END_TEST

START_TEST(SY02_P31_repeated_names_are_refused) {
  const kv8_span names[] = {kv8_span_from("a"), kv8_span_from("b"), kv8_span_from("a")};
  kv8_synthetic_options options = KV8_SYNTHETIC_OPTIONS_INIT;
  options.export_names = names;
  options.export_names_count = 3;
  options.release = count_release;
  kv8_module *module = NULL;
  core_is(kv8_module_synthetic(core_context, &options, &module, &core_error), KV8_EINVAL);
  ck_assert_str_eq(core_error.code, "ERR_INVALID_ARG_VALUE");
  ck_assert_int_eq(releases, 1);
  core_is(kv8_module_synthetic(NULL, &options, &module, &core_error), KV8_EINVAL);
  ck_assert_int_eq(releases, 2);
  core_is(kv8_module_synthetic(core_context, NULL, &module, &core_error), KV8_EINVAL);
  /* Two invalid names that become one. */
  const kv8_span broken[] = {{"\xff", 1}, {"\xfe", 1}};
  options.export_names = broken;
  options.export_names_count = 2;
  core_is(kv8_module_synthetic(core_context, &options, &module, &core_error), KV8_EINVAL);
  options.export_names = NULL;
  core_is(kv8_module_synthetic(core_context, &options, &module, &core_error), KV8_EINVAL);
}
END_TEST

START_TEST(SY04_ST02_identifiers_share_the_count) {
  kv8_module *first = compile("1");
  kv8_module *second = synthetic(NULL);
  kv8_module *third = compile("1");
  expect_text(kv8_module_get_identifier(first), "vm:module(0)");
  expect_text(kv8_module_get_identifier(second), "vm:module(1)");
  expect_text(kv8_module_get_identifier(third), "vm:module(2)");
  kv8_module_free(first);
  kv8_module_free(second);
  kv8_module_free(third);
}
END_TEST

START_TEST(SY06_SY08_SY09_exports_are_live) {
  kv8_module *module = synthetic(NULL);
  kv8_value *one = core_value(core_context, "1");
  kv8_value *two = core_value(core_context, "2");
  core_ok(kv8_module_set_export(module, kv8_span_from("x"), one, &core_error));
  core_is(kv8_module_set_export(module, kv8_span_from("y"), one, &core_error), KV8_EEXCEPTION);
  ck_assert_str_eq(core_error.name, "ReferenceError");
  evaluated(module);
  expect_namespace(module, "{\"default\":{\"type\":\"undefined\"},\"x\":1}");
  core_ok(kv8_module_set_export(module, kv8_span_from("x"), two, &core_error));
  expect_namespace(module, "{\"default\":{\"type\":\"undefined\"},\"x\":2}");
  kv8_module *text = compile("export const x = 1");
  core_is(kv8_module_set_export(text, kv8_span_from("x"), one, &core_error), KV8_ESTATE);
  kv8_value_free(one);
  kv8_value_free(two);
  kv8_module_free(text);
  kv8_module_free(module);
}
END_TEST

static kv8_status fail_with_error(void *user, kv8_module *module, kv8_value **ret_exception,
                                  kv8_error *err) {
  (void)user;
  (void)module;
  (void)ret_exception;
  (void)snprintf(err->message, sizeof(err->message), "as described");
  (void)snprintf(err->code, sizeof(err->code), "EDESCRIBED");
  return KV8_ELINK;
}

START_TEST(SY11_a_failing_callback_fails_the_evaluation) {
  for (int imported = 0; imported < 2; imported++) {
    for (int how = 0; how < 2; how++) {
      kv8_module *module = synthetic(how == 0 ? fail_with_value : fail_with_error);
      kv8_module *user = compile("import { x } from 's'; globalThis.never = 1");
      core_ok(link_to(user, module));
      core_ok(kv8_module_instantiate(user, &core_error));
      for (int again = 0; again < 2; again++) { /* ME04 */
        core_is(evaluate(imported ? user : module, 0, NULL), KV8_EEXCEPTION);
        ck_assert_str_eq(core_error.message, how == 0 ? "of the callback" : "as described");
        ck_assert_str_eq(core_error.code, how == 0 ? "" : "EDESCRIBED");
      }
      expect_status(module, KV8_MODULE_ERRORED);
      kv8_value *exception = NULL;
      core_ok(kv8_module_copy_exception(module, &exception, &core_error));
      ck_assert(kv8_value_is(exception, KV8_CLASS_ERROR));
      kv8_value_free(exception);
      kv8_module_free(user);
      kv8_module_free(module);
    }
  }
  core_expect(core_context, "typeof never", "undefined");
}
END_TEST

START_TEST(synthetic_modules_are_evaluated_without_their_handle) {
  kv8_module *module = synthetic(set_x);
  kv8_module *user = compile("import { x } from 's'; export { x }");
  core_ok(link_to(user, module));
  core_ok(kv8_module_instantiate(user, &core_error));
  kv8_module_free(module);
  core_collect();
  ck_assert_int_eq(releases, 0);
  evaluated(user);
  expect_namespace(user, "{\"x\":\"x1\"}");
  kv8_module_free(user);
  core_collect();
  core_collect();
  ck_assert_int_eq(releases, 1);
  kv8_module_free(synthetic(set_x)); /* nobody ever asks */
  core_collect();
  core_collect();
  ck_assert_int_eq(releases, 2);
}
END_TEST

static kv8_module *inner;
static kv8_module *outer;
static kv8_status nested_status;
static char nested_code[64];

static kv8_status evaluate_inner(void *user, kv8_module *module, kv8_value **ret_exception,
                                 kv8_error *err) {
  (void)user;
  (void)ret_exception;
  (void)err;
  expect_status(module, KV8_MODULE_EVALUATING);
  core_is(evaluate(module, 0, NULL), KV8_ESTATE); /* ME05 */
  nested_status = evaluate(inner, 0, NULL);
  (void)snprintf(nested_code, sizeof(nested_code), "%s", core_error.code);
  return KV8_OK;
}

START_TEST(P32_synthetic_modules_do_not_evaluate_in_circles) {
  /* V8 would end the process if `inner`, which imports the evaluating module, were evaluated. */
  for (int depends = 0; depends < 2; depends++) {
    outer = synthetic(evaluate_inner);
    kv8_module *other = synthetic(NULL);
    kv8_module *between = compile("import 's'");
    inner = compile("import 'between'; export const a = 1");
    core_ok(link_to(between, depends ? outer : other));
    core_ok(link_to(inner, between));
    core_ok(kv8_module_instantiate(inner, &core_error));
    core_ok(evaluate(outer, 0, NULL));
    ck_assert_int_eq(nested_status, depends ? KV8_ESTATE : KV8_OK);
    expect_status(outer, KV8_MODULE_EVALUATED);
    core_ok(evaluate(inner, 0, NULL));
    kv8_module_free(inner);
    kv8_module_free(between);
    kv8_module_free(other);
    kv8_module_free(outer);
  }
}
END_TEST

static kv8_status loop_for_ever(void *user, kv8_module *module, kv8_value **ret_exception,
                                kv8_error *err) {
  (void)user;
  (void)module;
  (void)ret_exception;
  core_is(core_try(core_context, "while (true);", 0), KV8_EINTERRUPTED);
  (void)err;
  return KV8_OK;
}

START_TEST(ME06_P19_synthetic_modules_have_deadlines) {
  for (int imported = 0; imported < 2; imported++) {
    kv8_module *module = synthetic(loop_for_ever);
    kv8_module *user = compile("import { x } from 's'; while (true);");
    core_ok(link_to(user, module));
    core_ok(kv8_module_instantiate(user, &core_error));
    core_is(evaluate(imported ? user : module, 30, NULL), KV8_ETIMEOUT);
    core_is(evaluate(imported ? user : module, 30, NULL), KV8_ETIMEOUT);
    expect_status(imported ? user : module, KV8_MODULE_ERRORED);
    core_expect(core_context, "6 * 7", "42");
    kv8_module_free(user);
    kv8_module_free(module);
  }
}
END_TEST

/* ---- evaluations within evaluations --------------------------------------------------------- */

static void evaluate_nested(void *user, kv8_call *call) {
  (void)user;
  (void)call;
  expect_status(outer, KV8_MODULE_EVALUATING);
  nested_status = evaluate(inner, 0, NULL);
}

START_TEST(another_module_may_be_evaluated_meanwhile) {
  static const struct {
    const char *outer, *inner;
    bool imports; /* inner imports outer */
    kv8_status status;
  } cases[] = {
      {"nested(); export const a = 1", "export const b = 1", false, KV8_OK},
      {"nested(); export const a = 1", "throw 1", false, KV8_EEXCEPTION},
      {"nested(); export const a = 1", "await null", false, KV8_OK},
      {"nested(); export const a = 1", "await null; throw 1", false, KV8_OK},
      {"nested(); export var a = 1", "import { a } from 'o'; export const b = a", true, KV8_OK},
      {"nested(); export const a = 1", "import { a } from 'o'; a", true, KV8_EEXCEPTION},
      {"nested(); await null; export var a = 1", "import { a } from 'o'", true, KV8_OK},
      {"await null; nested(); export var a = 1", "import { a } from 'o'", true, KV8_OK},
      {"nested(); throw 2; export var a = 1", "import { a } from 'o'", true, KV8_OK},
      {"nested(); await null; throw 2; export var a = 1", "import { a } from 'o'; await 1", true,
       KV8_OK},
  };
  give_function("nested", evaluate_nested);
  for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
    outer = compile(cases[i].outer);
    inner = compile(cases[i].inner);
    core_ok(kv8_module_link_requests(outer, NULL, 0, &core_error));
    core_ok(kv8_module_link_requests(inner, &outer, cases[i].imports ? 1 : 0, &core_error));
    core_ok(kv8_module_instantiate(inner, &core_error));
    core_ok(kv8_module_instantiate(outer, &core_error));
    nested_status = KV8_EENGINE;
    if (strstr(cases[i].outer, "await null; nested")) {
      /* It is a microtask then, and the status evaluated. */
      give_function("nested", evaluate_nested);
    }
    if (strncmp(cases[i].outer, "await", 5) == 0) {
      core_expect(core_context, "globalThis.saved = nested; globalThis.nested = () => {}; 1", "1");
    }
    kv8_status status = evaluate(outer, 500, NULL);
    bool throws = strstr(cases[i].outer, "throw") != NULL;
    ck_assert_int_eq(status, throws ? KV8_EEXCEPTION : KV8_OK);
    if (strncmp(cases[i].outer, "await", 5) == 0) {
      core_expect(core_context, "globalThis.nested = saved; 1", "1");
      nested_status = evaluate(inner, 0, NULL);
    }
    ck_assert_msg(nested_status == cases[i].status, "case %zu: %s", i,
                  kv8_status_name(nested_status));
    kv8_promise_state state = KV8_PROMISE_PENDING;
    status = evaluate(inner, 500, &state); /* whatever it says, it says */
    ck_assert(status == KV8_OK || status == KV8_EEXCEPTION);
    if (status == KV8_OK) ck_assert_int_eq(state, KV8_PROMISE_FULFILLED);
    kv8_module_free(inner);
    kv8_module_free(outer);
  }
}
END_TEST

START_TEST(P14_microtasks_wait_for_the_evaluation_around_them) {
  /* In a context with a queue of its own a nested run drains it. V8 would end the process if
   * `early` settled while `outer`, which waits for it, is still being evaluated. */
  kv8_context_options options = KV8_CONTEXT_OPTIONS_INIT;
  options.microtask_mode = KV8_MICROTASKS_AFTER_EVALUATE;
  kv8_context *shared = core_context;
  core_ok(kv8_context_new(core_isolate, &options, &core_context, &core_error));
  static const char *const early_texts[] = {"await null", "await null; throw 1"};
  give_function("nested", evaluate_nested);
  for (size_t i = 0; i < 2; i++) {
    outer = compile("import 'early'; import 'late'; globalThis.done = 1");
    inner = compile("1");
    kv8_module *early = compile(early_texts[i]);
    kv8_module *late = compile("nested()");
    kv8_module *targets[] = {early, late};
    core_ok(kv8_module_link_requests(early, NULL, 0, &core_error));
    core_ok(kv8_module_link_requests(late, NULL, 0, &core_error));
    core_ok(kv8_module_link_requests(inner, NULL, 0, &core_error));
    core_ok(kv8_module_link_requests(outer, targets, 2, &core_error));
    core_ok(kv8_module_instantiate(inner, &core_error));
    core_ok(kv8_module_instantiate(outer, &core_error));
    kv8_promise_state state = KV8_PROMISE_PENDING;
    core_is(evaluate(outer, 0, &state), i == 0 ? KV8_OK : KV8_EEXCEPTION);
    if (i == 0) ck_assert_int_eq(state, KV8_PROMISE_FULFILLED);
    kv8_module_free(early);
    kv8_module_free(late);
    kv8_module_free(inner);
    kv8_module_free(outer);
  }
  kv8_context_free(core_context);
  core_context = shared;
}
END_TEST

/* ---- what an evaluation leaves -------------------------------------------------------------- */

static kv8_promise_state promise_state(kv8_module *module, kv8_value **ret_result) {
  kv8_value *promise = NULL;
  kv8_promise_state state = KV8_PROMISE_PENDING;
  core_ok(kv8_module_copy_promise(module, &promise, &core_error));
  ck_assert(kv8_value_is(promise, KV8_CLASS_PROMISE));
  core_ok(kv8_promise_get(promise, &state, ret_result, &core_error));
  kv8_value_free(promise);
  return state;
}

START_TEST(ME01_N18_the_promise_of_the_evaluation) {
  kv8_value *result = NULL;
  kv8_value *promise = NULL;
  kv8_module *module = compile("6 * 7");
  core_is(kv8_module_copy_promise(module, &promise, &core_error), KV8_ESTATE);
  core_ok(kv8_module_link_requests(module, NULL, 0, &core_error));
  core_ok(kv8_module_instantiate(module, &core_error));
  core_is(kv8_module_copy_promise(module, &promise, &core_error), KV8_ESTATE);
  core_ok(evaluate(module, 0, NULL));
  ck_assert_int_eq(promise_state(module, &result), KV8_PROMISE_FULFILLED);
  ck_assert_int_eq(kv8_value_get_type(result), KV8_TYPE_UNDEFINED);
  kv8_value_free(result);
  kv8_module_free(module);

  module = compile("throw 'why'");
  core_ok(kv8_module_link_requests(module, NULL, 0, &core_error));
  core_ok(kv8_module_instantiate(module, &core_error));
  core_is(evaluate(module, 0, NULL), KV8_EEXCEPTION);
  ck_assert_int_eq(promise_state(module, &result), KV8_PROMISE_REJECTED);
  kv8_value *exception = NULL;
  core_ok(kv8_module_copy_exception(module, &exception, &core_error));
  bool same = false;
  core_ok(kv8_value_equals(core_context, result, exception, KV8_EQUAL_SAME, &same, &core_error));
  ck_assert(same); /* MO10 */
  kv8_value_free(exception);
  kv8_value_free(result);
  kv8_module_free(module);

  module = synthetic(NULL);
  kv8_module *user = compile("import 's'");
  core_ok(link_to(user, module));
  evaluated(user);
  ck_assert_int_eq(promise_state(module, NULL), KV8_PROMISE_FULFILLED);
  kv8_module_free(user);
  kv8_module_free(module);
}
END_TEST

START_TEST(D15_P19_terminated_modules_are_remembered) {
  static const char *const texts[] = {"while (true);", "await null; while (true);"};
  for (size_t i = 0; i < 2; i++) {
    kv8_module *module = compile(texts[i]);
    kv8_module *parent = compile("import 'm'");
    core_ok(kv8_module_link_requests(module, NULL, 0, &core_error));
    core_ok(link_to(parent, module));
    core_ok(kv8_module_instantiate(parent, &core_error));
    core_is(evaluate(module, 30, NULL), KV8_ETIMEOUT);
    expect_status(module, KV8_MODULE_ERRORED);
    kv8_value *value = (kv8_value *)&evaluations;
    core_ok(kv8_module_copy_exception(module, &value, &core_error));
    ck_assert_ptr_null(value);
    ck_assert_int_eq(promise_state(module, &value), KV8_PROMISE_REJECTED);
    kv8_value *code = NULL;
    core_ok(kv8_object_get_named(core_context, value, kv8_span_from("code"), &code, &core_error));
    char *text = core_text(core_context, code);
    ck_assert_str_eq(text, "ERR_SCRIPT_EXECUTION_TIMEOUT");
    free(text);
    kv8_value_free(value);
    kv8_error error;
    core_ok(kv8_module_get_error(module, &error, &core_error));
    ck_assert_str_eq(error.code, "ERR_SCRIPT_EXECUTION_TIMEOUT");
    if (i == 0) core_is(evaluate(parent, 30, NULL), KV8_ETIMEOUT);
    kv8_module_free(parent);
    kv8_module_free(module);
  }
}
END_TEST

START_TEST(N28_N29_top_level_await) {
  static const struct {
    const char *text;
    bool has;
  } cases[] = {
      {"export const a = 1", false},
      {"await null", true},
      {"export const f = async () => await null; // await", false},
      {"for await (const x of []);", true},
      {"import d, { a, b as c } from 'x'; import * as n from 'x'; export { q } from 'x'; await a",
       true},
      {"import d, { a, b as c } from 'x'; import * as n from 'x'; export { q } from 'x'; 'await'",
       false},
      {"import { \"it's\" as i } from 'x'; import { z } from \"y'z\"; export * from 'x'; await i",
       true},
      {"import j from 'x' %s { type: 'json' }; import { j as k } from 'x'; await j", true},
  };
  for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
    kv8_module *module = compile(v8_with_attributes(cases[i].text));
    bool has = !cases[i].has;
    core_ok(kv8_module_has_top_level_await(module, &has, &core_error));
    ck_assert_msg(has == cases[i].has, "case %zu", i);
    core_is(kv8_module_has_async_graph(module, &has, &core_error), KV8_ESTATE);
    ck_assert_str_eq(core_error.code, "ERR_VM_MODULE_STATUS");
    kv8_module_free(module);
  }
  kv8_module *leaf = compile("await null; export const a = 1");
  kv8_module *root = compile("import { a } from 'leaf'; export const f = async () => await a");
  core_ok(kv8_module_link_requests(leaf, NULL, 0, &core_error));
  core_ok(link_to(root, leaf));
  core_ok(kv8_module_instantiate(root, &core_error));
  bool own = true, graph = false;
  core_ok(kv8_module_has_top_level_await(root, &own, &core_error));
  core_ok(kv8_module_has_async_graph(root, &graph, &core_error));
  ck_assert(!own);
  ck_assert(graph);
  evaluated(root);
  core_ok(kv8_module_has_top_level_await(root, &own, &core_error));
  ck_assert(!own);
  core_ok(kv8_module_has_top_level_await(leaf, &own, &core_error));
  ck_assert(own);
  kv8_module_free(root);
  kv8_module_free(leaf);
}
END_TEST

START_TEST(source_map_urls_of_modules) {
  kv8_blob url = {NULL, 0};
  kv8_module *module = compile("1\n//# sourceMappingURL=m.json");
  core_ok(kv8_module_copy_source_map_url(module, &url, &core_error));
  ck_assert_uint_eq(url.length, 6);
  ck_assert_mem_eq(url.data, "m.json", 6);
  kv8_blob_free(&url);
  kv8_module_free(module);
  module = compile("1");
  core_ok(kv8_module_copy_source_map_url(module, &url, &core_error));
  ck_assert_uint_eq(url.length, 0);
  kv8_module_free(module);
}
END_TEST

START_TEST(PR05_modules_in_after_evaluate_contexts) {
  kv8_context_options options = KV8_CONTEXT_OPTIONS_INIT;
  options.microtask_mode = KV8_MICROTASKS_AFTER_EVALUATE;
  kv8_context *shared = core_context;
  core_ok(kv8_context_new(core_isolate, &options, &core_context, &core_error));
  kv8_module *module = compile(
      "export let a = 0; Promise.resolve().then(() => { a = 1 }); await null; export { b };"
      "let b = 2");
  core_ok(kv8_module_link_requests(module, NULL, 0, &core_error));
  evaluated(module);
  expect_namespace(module, "{\"a\":1,\"b\":2}");
  kv8_module_free(module);
  module = compile("Promise.resolve().then(() => { while (true); })"); /* RN06 */
  core_ok(kv8_module_link_requests(module, NULL, 0, &core_error));
  core_ok(kv8_module_instantiate(module, &core_error));
  core_is(evaluate(module, 30, NULL), KV8_ETIMEOUT);
  kv8_module_free(module);
  kv8_context_free(core_context);
  core_context = shared;
}
END_TEST

START_TEST(keeping_exceptions_of_evaluations) {
  kv8_value *kept = NULL;
  kv8_isolate_keep_exception(core_isolate, &kept);
  kv8_module *module = compile("await null; throw 'kept'");
  core_ok(kv8_module_link_requests(module, NULL, 0, &core_error));
  core_ok(kv8_module_instantiate(module, &core_error));
  for (int i = 0; i < 2; i++) {
    core_is(evaluate(module, 0, NULL), KV8_EEXCEPTION);
    ck_assert_ptr_nonnull(kept);
    char *text = core_text(core_context, kept);
    kept = NULL;
    ck_assert_str_eq(text, "kept");
    free(text);
  }
  kv8_isolate_keep_exception(core_isolate, NULL);
  kv8_module_free(module);
}
END_TEST

int main(void) {
  TCase *made = tcase_create("synthetic");
  tcase_add_checked_fixture(made, core_setup, core_teardown);
  tcase_set_timeout(made, 60);
  tcase_add_test(made, SY01_SY03_SY10_evaluated_once_when_imported);
  tcase_add_test(made, SY02_P31_repeated_names_are_refused);
  tcase_add_test(made, SY04_ST02_identifiers_share_the_count);
  tcase_add_test(made, SY06_SY08_SY09_exports_are_live);
  tcase_add_test(made, SY11_a_failing_callback_fails_the_evaluation);
  tcase_add_test(made, synthetic_modules_are_evaluated_without_their_handle);
  tcase_add_test(made, P32_synthetic_modules_do_not_evaluate_in_circles);
  tcase_add_test(made, ME06_P19_synthetic_modules_have_deadlines);
  TCase *evaluations_ = tcase_create("evaluations");
  tcase_add_checked_fixture(evaluations_, core_setup, core_teardown);
  tcase_set_timeout(evaluations_, 60);
  tcase_add_test(evaluations_, another_module_may_be_evaluated_meanwhile);
  tcase_add_test(evaluations_, P14_microtasks_wait_for_the_evaluation_around_them);
  tcase_add_test(evaluations_, ME01_N18_the_promise_of_the_evaluation);
  tcase_add_test(evaluations_, D15_P19_terminated_modules_are_remembered);
  tcase_add_test(evaluations_, N28_N29_top_level_await);
  tcase_add_test(evaluations_, source_map_urls_of_modules);
  tcase_add_test(evaluations_, PR05_modules_in_after_evaluate_contexts);
  tcase_add_test(evaluations_, keeping_exceptions_of_evaluations);
  TCase *cases[] = {made, evaluations_};
  return core_main(cases, sizeof(cases) / sizeof(cases[0]), "shim module evaluations");
}
