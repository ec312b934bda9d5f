/* SPDX-License-Identifier: MIT
 *
 * rows_test.c: promises of vm that have no other test in C named after them; the feature list's ids
 * stand in the names.
 */
#include "tests/shim/core_test.h"

static kv8_context *new_context(const kv8_value *contextify, kv8_microtask_mode mode) {
  kv8_context_options options = KV8_CONTEXT_OPTIONS_INIT;
  kv8_context *context = NULL;
  options.contextify = contextify;
  options.microtask_mode = mode;
  core_ok(kv8_context_new(core_isolate, &options, &context, &core_error));
  return context;
}

static kv8_module *module_of(kv8_context *context, const char *text) {
  kv8_source source = core_source(text);
  kv8_module *module = NULL;
  core_ok(kv8_module_compile(context, &source, &module, NULL, &core_error));
  return module;
}

/* ---- scripts and contexts -------------------------------------------------------------------- */

START_TEST(G01_G02_SC02_RC01_RT01_RT02_one_script_in_several_contexts) {
  kv8_context *other = new_context(NULL, KV8_MICROTASKS_SHARED);
  kv8_script *script = core_compile("globalThis.n = (globalThis.n ?? 0) + 1");
  core_expect_script(script, core_context, "1");
  core_expect_script(script, core_context, "2");
  core_expect_script(script, other, "1");
  core_expect(other, "n", "1");
  core_is(kv8_script_run(script, NULL, NULL, NULL, &core_error), KV8_EINVAL);
  kv8_script_free(script);
  kv8_context_free(other);
}
END_TEST

START_TEST(CC01_CC02_CC03_D20_RN01_CX01_CX02_CX03_a_contextified_object_is_the_global) {
  core_expect(core_context, "var globalVar = 3; globalVar", "3");
  kv8_value *object = core_value(core_context, "globalThis.box = {globalVar: 1}");
  kv8_heap_statistics before, after;
  core_ok(kv8_isolate_get_heap_statistics(core_isolate, &before, &core_error));
  kv8_context *context = new_context(object, KV8_MICROTASKS_SHARED);
  core_ok(kv8_isolate_get_heap_statistics(core_isolate, &after, &core_error));
  ck_assert_uint_eq(after.number_of_native_contexts, before.number_of_native_contexts + 1);
  core_expect(context, "globalVar *= 2; typeof Array + [].concat(globalVar).length", "function1");
  core_expect(core_context, "box.globalVar + ',' + globalVar", "2,3");
  kv8_value *same = NULL, *global = NULL;
  bool equal = false;
  core_ok(kv8_context_copy_contextified(context, &same, &core_error));
  core_ok(kv8_value_equals(core_context, same, object, KV8_EQUAL_SAME, &equal, &core_error));
  ck_assert(equal);
  ck_assert_ptr_eq(kv8_context_of(object), context);
  core_ok(kv8_context_copy_global(context, &global, &core_error));
  ck_assert_ptr_null(kv8_context_of(global));
  kv8_value *array = core_value(context, "[]");
  core_ok(kv8_context_set_global(core_context, kv8_span_from("theirs"), array, &core_error));
  core_expect(core_context, "theirs instanceof Array", "false");
  kv8_value_free(array);
  kv8_value_free(global);
  kv8_value_free(same);
  kv8_value_free(object);
  kv8_context_free(context);
}
END_TEST

START_TEST(N02_N04_N07_N08_N09_CC04_CC07_CC08_D11_plain_contexts) {
  kv8_context *plain = new_context(NULL, KV8_MICROTASKS_SHARED);
  kv8_value *global = NULL, *object = NULL;
  core_ok(kv8_context_copy_contextified(plain, &object, &core_error));
  ck_assert_ptr_null(object);
  core_ok(kv8_context_copy_global(plain, &global, &core_error));
  core_ok(kv8_context_tie(plain, global, &core_error));
  ck_assert_ptr_eq(kv8_context_of(global), plain);
  core_ok(kv8_context_set_global(core_context, kv8_span_from("inner"), global, &core_error));
  core_expect(core_context, "Object.keys(inner).length + typeof inner.Array", "0function");
  core_expect(core_context, "inner.x = 5; delete inner.escape; 1", "1");
  core_expect(plain, "x + typeof escape", "5undefined");
  ck_assert_uint_eq(kv8_context_get_origin(plain).length, 0);
  ck_assert_mem_eq(kv8_context_get_name(plain).data, "VM Context 2", 12);
  kv8_value_free(global);
}
END_TEST

START_TEST(CC09_CC11_D21_RN07_code_generation_and_many_scripts) {
  kv8_context_options options = KV8_CONTEXT_OPTIONS_INIT;
  kv8_context *context = NULL;
  options.strings = KV8_DENY;
  options.wasm = KV8_DENY;
  core_ok(kv8_context_new(core_isolate, &options, &context, &core_error));
  core_is(core_try(context, "eval('1')", 0), KV8_EEXCEPTION);
  ck_assert_str_eq(core_error.name, "EvalError");
  core_expect(context, "let shared = 1; shared", "1");
  core_expect(context, "shared + 1", "2");
  core_is(core_try(context, "let shared = 2", 0), KV8_EEXCEPTION);
  ck_assert_str_eq(core_error.name, "SyntaxError");
  core_expect(context, "eval(5)", "5"); /* D21 */
  kv8_context_free(context);
  int unknown = 7;
  memcpy(&options.microtask_mode, &unknown, sizeof(unknown));
  core_is(kv8_context_new(core_isolate, &options, &context, &core_error), KV8_EINVAL);
}
END_TEST

START_TEST(D17_D18_D19_globals_of_odd_objects) {
  kv8_value *object =
      core_value(core_context,
                 "var sets = 0; Object.create({inherited: 1}, {f: {configurable: true,"
                 " get() { return 'got' }, set(v) { sets++ }}})");
  kv8_context *context = new_context(object, KV8_MICROTASKS_SHARED);
  core_expect(context, "inherited + ',' + ('inherited' in globalThis)", "1,false");
  core_expect(context, "Object.hasOwn(globalThis, 'inherited')", "false");
  core_ok(core_try(context, "function f() {}", 0));
  core_expect(core_context, "sets", "1");
  kv8_context_free(context);
  kv8_value_free(object);
  object = core_value(core_context, "globalThis.frozen = Object.freeze({a: 1})");
  context = new_context(object, KV8_MICROTASKS_SHARED);
  core_ok(core_try(context, "a = 2; b = 3", 0));
  core_expect(core_context, "JSON.stringify(frozen)", "{\"a\":1}");
  kv8_context_free(context);
  kv8_value_free(object);
}
END_TEST

START_TEST(SC09_SC10_SC11_CD03_CD04_cached_data_tells_and_holds_no_state) {
  kv8_source source = core_source("globalThis.seen = 1; function add(a) { return a + 1 } add(41)");
  kv8_script *script = NULL;
  kv8_cache_outcome outcome = KV8_CACHE_ACCEPTED;
  kv8_blob data = {NULL, 0};
  core_ok(kv8_script_compile(core_isolate, &source, &script, &outcome, &core_error));
  ck_assert_int_eq(outcome, KV8_CACHE_NOT_OFFERED);
  core_expect_script(script, core_context, "42");
  core_ok(kv8_script_create_cached_data(script, &data, &core_error));
  kv8_script_free(script);
  for (int i = 0; i < 3; i++) {
    kv8_isolate *isolate = NULL;
    kv8_context *context = NULL;
    kv8_value *seen = NULL;
    core_ok(kv8_isolate_new(NULL, &isolate, &core_error));
    core_ok(kv8_context_new(isolate, NULL, &context, &core_error));
    source.cached_data = (kv8_span){(const char *)data.data, data.length};
    core_ok(kv8_script_compile(isolate, &source, &script, &outcome, &core_error));
    ck_assert_int_eq(outcome, KV8_CACHE_ACCEPTED);
    core_ok(kv8_context_get_global(context, kv8_span_from("seen"), &seen, &core_error));
    ck_assert_int_eq(kv8_value_get_type(seen), KV8_TYPE_UNDEFINED);
    kv8_value_free(seen);
    kv8_script_free(script);
    kv8_context_free(context);
    kv8_isolate_free(isolate);
  }
  kv8_blob_free(&data);
}
END_TEST

START_TEST(CF03_CF04_CF06_CF07_D24_functions) {
  kv8_context *other = new_context(NULL, KV8_MICROTASKS_SHARED);
  core_expect(other, "var inOther = 7; inOther", "7");
  kv8_source source = core_source("if (a) throw new Error('x'); return inOther");
  kv8_span params[] = {kv8_span_from("a"), kv8_span_from("b c")};
  kv8_function_options options = KV8_FUNCTION_OPTIONS_INIT;
  kv8_function *function = NULL;
  kv8_value *value = NULL;
  kv8_blob data = {NULL, 0};
  options.params = params;
  options.params_count = 2;
  core_is(kv8_function_compile(other, &source, &options, &function, NULL, &core_error),
          KV8_ESYNTAX);
  options.params_count = 1;
  source.line_offset = 9;
  core_ok(kv8_function_compile(other, &source, &options, &function, NULL, &core_error));
  core_ok(kv8_function_call(function, NULL, NULL, 0, NULL, &value, &core_error));
  char *text = core_text(other, value);
  ck_assert_str_eq(text, "7");
  free(text);
  value = core_value(other, "true");
  const kv8_value *const args[] = {value};
  core_is(kv8_function_call(function, NULL, args, 1, NULL, NULL, &core_error), KV8_EEXCEPTION);
  ck_assert_int_eq(core_error.line, 10);
  ck_assert_str_eq(core_error.resource, "");
  core_ok(kv8_function_create_cached_data(function, &data, &core_error));
  ck_assert_uint_gt(data.length, 0);
  kv8_blob_free(&data);
  kv8_value_free(value);
  kv8_function_free(function);
  kv8_context_free(other);
}
END_TEST

/* ---- microtasks ------------------------------------------------------------------------------ */

START_TEST(TM01_TM02_TM04_shared_microtasks_run_after_the_run) {
  core_expect(core_context,
              "var log = []; Promise.resolve().then(() => log.push('task'));"
              "log.push('end'); log.join()",
              "end");
  core_expect(core_context, "log.join()", "end,task");
}
END_TEST

START_TEST(CC10_TM03_PR01_PR02_after_evaluate_is_under_the_deadline) {
  kv8_context *context = new_context(NULL, KV8_MICROTASKS_AFTER_EVALUATE);
  core_is(core_try(context, "Promise.resolve().then(() => { for (;;); })", 20), KV8_ETIMEOUT);
  ck_assert_str_eq(core_error.code, "ERR_SCRIPT_EXECUTION_TIMEOUT");
  core_expect(context, "6 * 7", "42");
  kv8_context_free(context);
}
END_TEST

START_TEST(PR03_PR04_PR06_PR07_promises_cross_contexts) {
  kv8_context *inner = new_context(NULL, KV8_MICROTASKS_AFTER_EVALUATE);
  kv8_value *promise = core_value(inner, "Promise.resolve('inside')");
  core_ok(kv8_context_set_global(core_context, kv8_span_from("theirs"), promise, &core_error));
  core_expect(core_context, "var log = []; (async () => { log.push(await theirs) })(); 0", "0");
  core_ok(kv8_isolate_drain_microtasks(core_isolate, 0, &core_error));
  core_expect(core_context, "log.length", "0"); /* it waits in the inner queue */
  core_expect(inner, "", "undefined");
  core_ok(kv8_isolate_drain_microtasks(core_isolate, 0, &core_error));
  core_expect(core_context, "log.join()", "inside");
  kv8_value_free(promise);
  kv8_context_free(inner);
}
END_TEST

/* ---- modules --------------------------------------------------------------------------------- */

START_TEST(
    MO01_MO02_MO04_MO14_MO15_MO16_MO18_MO20_MO22_ME02_ME03_N17_N19_N20_OLD09_OLD12_OLD14_steps) {
  kv8_module *module = module_of(core_context,
                                 "globalThis.runs = (globalThis.runs ?? 0) + 1;"
                                 "export let b = 1, a = 2");
  kv8_promise_state state;
  kv8_value *ns = NULL;
  ck_assert_int_eq(kv8_module_get_status(module), KV8_MODULE_UNLINKED);
  ck_assert_mem_eq(kv8_module_get_identifier(module).data, "vm:module(0)", 12);
  core_is(kv8_module_copy_namespace(module, &ns, &core_error), KV8_ESTATE);
  core_is(kv8_module_evaluate(module, NULL, &state, &core_error), KV8_ESTATE);
  ck_assert_str_eq(core_error.code, "ERR_VM_MODULE_STATUS");
  core_ok(kv8_module_link_requests(module, NULL, 0, &core_error));
  core_ok(kv8_module_instantiate(module, &core_error));
  core_ok(kv8_module_instantiate(module, &core_error));
  ck_assert_int_eq(kv8_module_get_status(module), KV8_MODULE_LINKED);
  core_ok(kv8_module_copy_namespace(module, &ns, &core_error));
  core_ok(kv8_context_set_global(core_context, kv8_span_from("ns"), ns, &core_error));
  core_expect(core_context, "Object.getPrototypeOf(ns) + Reflect.ownKeys(ns).slice(0, 2).join()",
              "nulla,b");
  core_is(core_try(core_context, "ns.a", 0), KV8_EEXCEPTION);
  ck_assert_str_eq(core_error.name, "ReferenceError");
  for (int i = 0; i < 2; i++) {
    core_ok(kv8_module_evaluate(module, NULL, &state, &core_error));
    ck_assert_int_eq(state, KV8_PROMISE_FULFILLED);
    ck_assert_int_eq(kv8_module_get_status(module), KV8_MODULE_EVALUATED);
  }
  core_expect(core_context, "runs + ns.a", "3");
  kv8_value_free(ns);
  kv8_module_free(module);
}
END_TEST

START_TEST(MO11_MO13_MO23_MO24_errors_are_kept) {
  kv8_module *module = module_of(core_context, "throw globalThis.mine = new RangeError('mine')");
  kv8_promise_state state;
  kv8_error error;
  kv8_value *exception = NULL, *mine = NULL;
  bool same = false;
  core_is(kv8_module_get_error(module, &error, &core_error), KV8_ESTATE);
  ck_assert_str_eq(core_error.code, "ERR_VM_MODULE_STATUS");
  core_ok(kv8_module_link_requests(module, NULL, 0, &core_error));
  core_ok(kv8_module_instantiate(module, &core_error));
  core_is(kv8_module_evaluate(module, NULL, &state, &core_error), KV8_EEXCEPTION);
  ck_assert_int_eq(kv8_module_get_status(module), KV8_MODULE_ERRORED);
  core_ok(kv8_module_copy_exception(module, &exception, &core_error));
  core_ok(kv8_context_get_global(core_context, kv8_span_from("mine"), &mine, &core_error));
  core_ok(kv8_value_equals(core_context, exception, mine, KV8_EQUAL_SAME, &same, &core_error));
  ck_assert(same);
  kv8_value_free(mine);
  kv8_value_free(exception);
  kv8_module_free(module);
}
END_TEST

START_TEST(D16_a_deadline_does_not_bound_an_await_that_never_settles) {
  kv8_module *module = module_of(core_context, "await new Promise(() => {})");
  kv8_run_options options = KV8_RUN_OPTIONS_INIT;
  kv8_promise_state state = KV8_PROMISE_FULFILLED;
  options.timeout_ms = 1000;
  core_ok(kv8_module_link_requests(module, NULL, 0, &core_error));
  core_ok(kv8_module_instantiate(module, &core_error));
  core_ok(kv8_module_evaluate(module, &options, &state, &core_error));
  ck_assert_int_eq(state, KV8_PROMISE_PENDING);
  kv8_module_free(module);
}
END_TEST

typedef struct graph {
  kv8_module *deps[2];
  unsigned asked;
  kv8_module_status while_asked;
} graph;

static void answer(void *user, kv8_link *link) {
  graph *g = user;
  kv8_module_request request;
  kv8_link_get_request(link, &request);
  g->asked++;
  g->while_asked = kv8_module_get_status(kv8_link_get_referrer(link));
  kv8_link_answer(link, g->deps[request.specifier.data[0] == 'b']);
}

START_TEST(MO05_MO09_MO19_ME08_ML01_ML14_OLD10_OLD16_graphs_in_order) {
  kv8_module *root = module_of(core_context, "import 'a'; import 'b'; order.push('root')");
  graph g = {{module_of(core_context, "import 'b'; order.push('a')"),
              module_of(core_context, "import 'a'; order.push('b')")},
             0,
             KV8_MODULE_UNLINKED};
  kv8_promise_state state;
  core_ok(core_try(core_context, "var order = []", 0));
  ck_assert_uint_eq(kv8_module_get_request_count(root), 2);
  core_ok(kv8_module_link(root, answer, NULL, &g, &core_error));
  ck_assert_uint_eq(g.asked, 4);
  ck_assert_int_eq(g.while_asked, KV8_MODULE_LINKING);
  for (int i = 0; i < 2; i++) {
    ck_assert_int_eq(kv8_module_get_status(g.deps[i]), KV8_MODULE_LINKED);
  }
  core_is(kv8_module_link(root, answer, NULL, &g, &core_error), KV8_ESTATE);
  core_ok(kv8_module_evaluate(root, NULL, &state, &core_error));
  core_expect(core_context, "order.join()", "b,a,root");
  kv8_module_free(root);
  for (int i = 0; i < 2; i++) kv8_module_free(g.deps[i]);
}
END_TEST

START_TEST(OLD08_N37_a_missing_export_names_it_and_leaves_the_module_unlinked) {
  kv8_module *root = module_of(core_context, "import {gone} from 'a'");
  kv8_module *leaf = module_of(core_context, "export let here");
  kv8_module *const answers[] = {leaf};
  core_ok(kv8_module_link_requests(root, answers, 1, &core_error));
  core_is(kv8_module_instantiate(root, &core_error), KV8_ESYNTAX);
  ck_assert_ptr_nonnull(strstr(core_error.message, "gone"));
  ck_assert_int_eq(kv8_module_get_status(root), KV8_MODULE_UNLINKED);
  kv8_module_free(root);
  kv8_module_free(leaf);
}
END_TEST

static kv8_status count_call(void *user, kv8_module *module, kv8_value **ret_exception,
                             kv8_error *err) {
  (void)module, (void)ret_exception, (void)err;
  (*(unsigned *)user)++;
  return KV8_OK;
}

START_TEST(SY07_N21_N22_synthetic_modules_are_linked_and_run_at_once) {
  const kv8_span names[] = {kv8_span_from("x")};
  kv8_synthetic_options options = KV8_SYNTHETIC_OPTIONS_INIT;
  unsigned calls = 0;
  kv8_module *module = NULL;
  kv8_value *one = NULL;
  kv8_promise_state state;
  options.export_names = names;
  options.export_names_count = 1;
  options.evaluate = count_call;
  options.user = &calls;
  core_ok(kv8_module_synthetic(core_context, &options, &module, &core_error));
  ck_assert_int_eq(kv8_module_get_status(module), KV8_MODULE_LINKED);
  core_ok(kv8_number(core_isolate, 1, &one, &core_error));
  core_ok(kv8_module_set_export(module, names[0], one, &core_error));
  core_ok(kv8_module_evaluate(module, NULL, &state, &core_error));
  ck_assert_uint_eq(calls, 1);
  ck_assert_int_eq(state, KV8_PROMISE_FULFILLED);
  kv8_value_free(one);
  kv8_module_free(module);
}
END_TEST

int main(void) {
  TCase *rows = tcase_create("rows");
  tcase_set_timeout(rows, 60);
  tcase_add_checked_fixture(rows, core_setup, core_teardown);
  tcase_add_test(rows, G01_G02_SC02_RC01_RT01_RT02_one_script_in_several_contexts);
  tcase_add_test(rows, CC01_CC02_CC03_D20_RN01_CX01_CX02_CX03_a_contextified_object_is_the_global);
  tcase_add_test(rows, N02_N04_N07_N08_N09_CC04_CC07_CC08_D11_plain_contexts);
  tcase_add_test(rows, CC09_CC11_D21_RN07_code_generation_and_many_scripts);
  tcase_add_test(rows, D17_D18_D19_globals_of_odd_objects);
  tcase_add_test(rows, SC09_SC10_SC11_CD03_CD04_cached_data_tells_and_holds_no_state);
  tcase_add_test(rows, CF03_CF04_CF06_CF07_D24_functions);
  tcase_add_test(rows, TM01_TM02_TM04_shared_microtasks_run_after_the_run);
  tcase_add_test(rows, CC10_TM03_PR01_PR02_after_evaluate_is_under_the_deadline);
  tcase_add_test(rows, PR03_PR04_PR06_PR07_promises_cross_contexts);
  tcase_add_test(
      rows,
      MO01_MO02_MO04_MO14_MO15_MO16_MO18_MO20_MO22_ME02_ME03_N17_N19_N20_OLD09_OLD12_OLD14_steps);
  tcase_add_test(rows, MO11_MO13_MO23_MO24_errors_are_kept);
  tcase_add_test(rows, D16_a_deadline_does_not_bound_an_await_that_never_settles);
  tcase_add_test(rows, MO05_MO09_MO19_ME08_ML01_ML14_OLD10_OLD16_graphs_in_order);
  tcase_add_test(rows, OLD08_N37_a_missing_export_names_it_and_leaves_the_module_unlinked);
  tcase_add_test(rows, SY07_N21_N22_synthetic_modules_are_linked_and_run_at_once);
  TCase *cases[] = {rows};
  return core_main(cases, 1, "shim rows");
}
