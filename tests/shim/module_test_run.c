/* SPDX-License-Identifier: MIT
 *
 * module_test_run.c: module records that are evaluated: errors, promises, deadlines (P19), cached
 * data, and the matrix of every method in every state, which must never end the process (P32).
 */
#include "tests/shim/module_test.h"

/* ---- errors, promises, deadlines ----------------------------------------------------------------
 */

START_TEST(evaluation_errors_are_kept_MO10) {
  kv8_module *module =
      compile_as("\n  throw Object.assign(new RangeError('thrown'), { code: 'E_MINE' })", "t.mjs");
  kv8_error kept = {0};
  core_is(kv8_module_get_error(module, &kept, &core_error), KV8_ESTATE);
  ck_assert_str_eq(core_error.code, "ERR_VM_MODULE_STATUS");
  ck_assert_str_eq(core_error.message, "Module status must be errored");
  core_ok(kv8_module_instantiate(module, &core_error));
  core_is(kv8_module_get_error(module, &kept, &core_error), KV8_ESTATE);
  for (int i = 0; i < 2; i++) { /* N20: says it again */
    memset(&core_error, 0, sizeof(core_error));
    core_is(evaluate(module, 0, NULL), KV8_EEXCEPTION);
    ck_assert_str_eq(core_error.name, "RangeError");
    ck_assert_str_eq(core_error.message, "thrown");
    ck_assert_str_eq(core_error.code, "E_MINE");
    ck_assert_str_eq(core_error.resource, "t.mjs");
    ck_assert_int_eq(core_error.line, 2);
    expect_status(module, KV8_MODULE_ERRORED);
  }
  core_ok(kv8_module_get_error(module, &kept, &core_error));
  ck_assert_int_eq(kept.status, KV8_EEXCEPTION);
  ck_assert_str_eq(kept.message, "thrown");
  core_is(kv8_module_get_error(module, NULL, &core_error), KV8_EINVAL);
  kv8_module_free(module);
}
END_TEST

START_TEST(thrown_primitives_are_errors_too_MO12) {
  static const struct {
    const char *source;
    const char *message;
  } cases[] = {{"throw undefined", "undefined"}, {"throw null", "null"}, {"throw 'text'", "text"}};
  for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
    kv8_module *module = compile(cases[i].source);
    core_ok(kv8_module_instantiate(module, &core_error));
    core_is(evaluate(module, 0, NULL), KV8_EEXCEPTION);
    ck_assert_str_eq(core_error.message, cases[i].message);
    kv8_error kept = {0};
    core_ok(kv8_module_get_error(module, &kept, &core_error));
    ck_assert_str_eq(kept.message, cases[i].message);
    kv8_module_free(module);
  }
}
END_TEST

START_TEST(errors_of_a_dependency_are_the_roots) {
  kv8_module *root = compile("import 'leaf'; globalThis.reached = 1");
  kv8_module *leaf = compile_as("throw new Error('from leaf')", "leaf.mjs");
  core_ok(link_to(root, leaf));
  core_ok(kv8_module_instantiate(root, &core_error));
  core_is(evaluate(root, 0, NULL), KV8_EEXCEPTION);
  ck_assert_str_eq(core_error.resource, "leaf.mjs");
  expect_status(leaf, KV8_MODULE_ERRORED);
  kv8_error kept = {0};
  core_ok(kv8_module_get_error(leaf, &kept, &core_error));
  ck_assert_str_eq(kept.message, "from leaf");
  core_is(evaluate(leaf, 0, NULL), KV8_EEXCEPTION);
  core_expect(core_context, "typeof reached", "undefined");
  kv8_module_free(root);
  kv8_module_free(leaf);
}
END_TEST

START_TEST(top_level_await) {
  kv8_promise_state state = KV8_PROMISE_PENDING;
  kv8_module *settles = compile("export const v = await Promise.resolve(5)");
  evaluated(settles);
  expect_namespace(settles, "{\"v\":5}");
  kv8_module_free(settles);

  kv8_module *rejects = compile("await Promise.reject(new Error('later'))");
  core_ok(kv8_module_instantiate(rejects, &core_error));
  core_is(evaluate(rejects, 0, NULL), KV8_EEXCEPTION);
  ck_assert_str_eq(core_error.message, "later");
  expect_status(rejects, KV8_MODULE_ERRORED);
  kv8_module_free(rejects);

  /* D16: still waiting is an answer of its own. */
  kv8_module *waits =
      compile("export let v = 1; await new Promise((f) => globalThis.go = f); v = 2");
  core_ok(kv8_module_instantiate(waits, &core_error));
  core_ok(evaluate(waits, 100, &state));
  ck_assert_int_eq(state, KV8_PROMISE_PENDING);
  expect_status(waits, KV8_MODULE_EVALUATED);
  expect_namespace(waits, "{\"v\":1}");
  core_expect(core_context, "go(), 1", "1");
  core_ok(evaluate(waits, 100, &state));
  ck_assert_int_eq(state, KV8_PROMISE_FULFILLED);
  expect_namespace(waits, "{\"v\":2}");
  kv8_module_free(waits);

  kv8_module *parent = compile("import { v } from 'child'; export const w = v + 1");
  kv8_module *child = compile("export const v = await new Promise((f) => globalThis.go = f)");
  core_ok(link_to(parent, child));
  core_ok(kv8_module_instantiate(parent, &core_error));
  core_ok(evaluate(parent, 0, &state));
  ck_assert_int_eq(state, KV8_PROMISE_PENDING);
  core_ok(evaluate(child, 0, &state));
  ck_assert_int_eq(state, KV8_PROMISE_PENDING);
  core_expect(core_context, "go(5), 1", "1");
  core_ok(evaluate(parent, 0, &state));
  ck_assert_int_eq(state, KV8_PROMISE_FULFILLED);
  expect_namespace(parent, "{\"w\":6}");
  kv8_module_free(parent);
  kv8_module_free(child);
}
END_TEST

/* P19, D15: V8 itself keeps null as the reason, or believes the module evaluated. */
START_TEST(terminated_modules_stay_terminated_P19) {
  static const char *const sources[] = {
      "export const x = 1; while (true);",
      "await null; while (true);",
      "Promise.resolve().then(() => { while (true); })",
      "function f() { return Promise.resolve().then(f) } f()",
  };
  for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++) {
    kv8_module *module = compile(sources[i]);
    core_ok(kv8_module_instantiate(module, &core_error));
    for (int again = 0; again < 2; again++) {
      memset(&core_error, 0, sizeof(core_error));
      core_is(evaluate(module, 50, NULL), KV8_ETIMEOUT);
      ck_assert_str_eq(core_error.code, "ERR_SCRIPT_EXECUTION_TIMEOUT");
      expect_status(module, KV8_MODULE_ERRORED);
    }
    kv8_error kept = {0};
    core_ok(kv8_module_get_error(module, &kept, &core_error));
    ck_assert_int_eq(kept.status, KV8_ETIMEOUT);
    kv8_module *user = compile("import 'x'");
    core_is(link_to(user, module), KV8_ELINK);
    kv8_module_free(user);
    kv8_module_free(module);
    core_expect(core_context, "'usable'", "usable"); /* RC10 */
  }
  kv8_module *root = compile("import 'leaf'");
  kv8_module *leaf = compile("while (true);");
  core_ok(link_to(root, leaf));
  core_ok(kv8_module_instantiate(root, &core_error));
  core_is(evaluate(root, 50, NULL), KV8_ETIMEOUT);
  expect_status(leaf, KV8_MODULE_ERRORED);
  core_is(evaluate(leaf, 50, NULL), KV8_ETIMEOUT);
  kv8_error kept = {0};
  core_ok(kv8_module_get_error(leaf, &kept, &core_error));
  ck_assert_str_eq(kept.code, "ERR_SCRIPT_EXECUTION_TIMEOUT");
  kv8_module_free(root);
  kv8_module_free(leaf);
}
END_TEST

/* ---- cached data
 * ---------------------------------------------------------------------------------- */

/* Compiles in an isolate of its own: in this one V8 would not look at the data. */
static kv8_cache_outcome consume(const char *text, kv8_blob data, const char *expected) {
  kv8_isolate *isolate = NULL;
  kv8_context *context = NULL;
  kv8_module *module = NULL;
  kv8_value *value = NULL;
  kv8_cache_outcome outcome = KV8_CACHE_NOT_OFFERED;
  core_ok(kv8_isolate_new(NULL, &isolate, &core_error));
  core_ok(kv8_context_new(isolate, NULL, &context, &core_error));
  kv8_source source = core_source(text);
  source.cached_data = (kv8_span){(const char *)data.data, data.length};
  core_ok(kv8_module_compile(context, &source, &module, &outcome, &core_error));
  core_ok(kv8_module_instantiate(module, &core_error));
  core_ok(kv8_module_evaluate(module, NULL, NULL, &core_error));
  core_ok(kv8_context_get_global(context, kv8_span_from("result"), &value, &core_error));
  char *result = core_text(context, value);
  ck_assert_str_eq(result, expected);
  free(result);
  kv8_module_free(module);
  kv8_context_free(context);
  kv8_isolate_free(isolate);
  return outcome;
}

START_TEST(cached_data_ST03_ST12_ST13) {
  static const char text[] =
      "function used(n) { return n ? n + used(n - 1) : 0 }"
      "function unused() { return [1, 2, 3].map((x) => x * x) } globalThis.result = used(10)";
  kv8_module *module = compile(text);
  kv8_blob cold = {NULL, 0};
  kv8_blob again = {NULL, 0};
  kv8_blob linked = {NULL, 0};
  kv8_blob warm = {NULL, 0};
  kv8_blob none = {NULL, 0};
  core_ok(kv8_module_create_cached_data(module, &cold, &core_error));
  core_ok(kv8_module_create_cached_data(module, &again, &core_error));
  core_ok(kv8_module_instantiate(module, &core_error));
  core_ok(kv8_module_create_cached_data(module, &linked, &core_error));
  core_ok(evaluate(module, 0, NULL));
  core_is(kv8_module_create_cached_data(module, &none, &core_error), KV8_ESTATE);
  ck_assert_str_eq(core_error.code, "ERR_VM_MODULE_CANNOT_CREATE_CACHED_DATA");
  core_ok(kv8_module_create_warm_cached_data(module, &warm, &core_error));
  ck_assert_uint_gt(warm.length, cold.length);
  ck_assert_uint_eq((uintptr_t)warm.data % 8, 0);
  ck_assert_int_eq(consume(text, cold, "55"), KV8_CACHE_ACCEPTED);
  ck_assert_int_eq(consume(text, again, "55"), KV8_CACHE_ACCEPTED);
  ck_assert_int_eq(consume(text, linked, "55"), KV8_CACHE_ACCEPTED);
  ck_assert_int_eq(consume(text, warm, "55"), KV8_CACHE_ACCEPTED);
  ck_assert_int_eq(consume(text, none, "55"), KV8_CACHE_NOT_OFFERED);
  ck_assert_int_eq(consume("globalThis.result = 'other'", cold, "other"), KV8_CACHE_REJECTED);
  kv8_blob garbage = {(uint8_t *)(uintptr_t) "garbage!", 8};
  ck_assert_int_eq(consume(text, garbage, "55"), KV8_CACHE_REJECTED);
  core_is(kv8_module_create_cached_data(NULL, &none, &core_error), KV8_EINVAL);
  core_is(kv8_module_create_warm_cached_data(module, NULL, &core_error), KV8_EINVAL);
  kv8_module_free(module);
  kv8_blob_free(&cold);
  kv8_blob_free(&again);
  kv8_blob_free(&linked);
  kv8_blob_free(&warm);
}
END_TEST

START_TEST(eager_compile_bakes_more) {
  static const char text[] =
      "function never() { return [1, 2, 3].map((x) => x * x) } globalThis.result = 'eager'";
  kv8_source source = core_source(text);
  source.mode = KV8_COMPILE_EAGER;
  kv8_module *lazy = compile(text);
  kv8_isolate *isolate = NULL;
  kv8_context *context = NULL;
  kv8_module *eager = NULL;
  kv8_blob lazy_data = {NULL, 0};
  kv8_blob eager_data = {NULL, 0};
  core_ok(kv8_isolate_new(NULL, &isolate, &core_error));
  core_ok(kv8_context_new(isolate, NULL, &context, &core_error));
  core_ok(kv8_module_compile(context, &source, &eager, NULL, &core_error));
  core_ok(kv8_module_create_cached_data(lazy, &lazy_data, &core_error));
  core_ok(kv8_module_create_cached_data(eager, &eager_data, &core_error));
  ck_assert_uint_gt(eager_data.length, lazy_data.length);
  ck_assert_int_eq(consume(text, eager_data, "eager"), KV8_CACHE_ACCEPTED);
  kv8_blob_free(&lazy_data);
  kv8_blob_free(&eager_data);
  kv8_module_free(eager);
  kv8_context_free(context);
  kv8_isolate_free(isolate);
  kv8_module_free(lazy);
}
END_TEST

/* ---- P32: every method in every state
 * -------------------------------------------------------------- */

enum state {
  UNLINKED,
  UNLINKED_WITH_TABLE,
  LINK_FAILED,
  LINKED,
  EVALUATING,
  EVALUATED,
  PENDING,
  ERRORED,
  ERRORED_LATER,
  TERMINATED,
  TERMINATED_LATER,
  STATES
};

enum method {
  COMPILE_USER, /* links another module to it, and instantiates and evaluates that */
  LINK,
  INSTANTIATE,
  EVALUATE,
  GET_ERROR,
  NAMESPACE,
  CACHED_DATA,
  WARM_CACHED_DATA,
  REQUESTS,
  IDENTIFIER,
  STATUS,
  METHODS
};

static kv8_module *subject;
static kv8_module *subject_leaf;
static enum method asked;
static kv8_status answer;

static kv8_status call(enum method method) {
  kv8_error error = {0};
  kv8_status status = KV8_OK;
  kv8_blob blob = {NULL, 0};
  kv8_value *value = NULL;
  kv8_promise_state state = KV8_PROMISE_PENDING;
  kv8_module_request request;
  switch (method) {
    case COMPILE_USER: {
      kv8_module *user = compile("import * as all from 'x'; export { all }");
      status = kv8_module_link_requests(user, &subject, 1, &core_error);
      if (status == KV8_OK) status = kv8_module_instantiate(user, &core_error);
      if (status == KV8_OK) status = evaluate(user, 200, &state);
      kv8_module_free(user);
      break;
    }
    case LINK:
      status = kv8_module_link_requests(subject, &subject_leaf, 1, &core_error);
      break;
    case INSTANTIATE:
      status = kv8_module_instantiate(subject, &core_error);
      break;
    case EVALUATE:
      status = evaluate(subject, 200, &state);
      break;
    case GET_ERROR:
      status = kv8_module_get_error(subject, &error, &core_error);
      break;
    case NAMESPACE:
      status = kv8_module_copy_namespace(subject, &value, &core_error);
      break;
    case CACHED_DATA:
      status = kv8_module_create_cached_data(subject, &blob, &core_error);
      break;
    case WARM_CACHED_DATA:
      status = kv8_module_create_warm_cached_data(subject, &blob, &core_error);
      break;
    case REQUESTS:
      ck_assert_uint_eq(kv8_module_get_request_count(subject), 1);
      status = kv8_module_get_request(subject, 0, &request, &core_error);
      break;
    case IDENTIFIER:
      expect_text(kv8_module_get_identifier(subject), "subject.mjs");
      break;
    case STATUS:
    case METHODS:
      ck_assert_str_ne(kv8_module_status_name(kv8_module_get_status(subject)), "unknown");
      break;
  }
  kv8_value_free(value);
  kv8_blob_free(&blob);
  return status;
}

static void call_from_console(void *user, const char *level, kv8_span text) {
  (void)user;
  (void)level;
  (void)text;
  expect_status(subject, KV8_MODULE_EVALUATING);
  answer = call(asked);
}

static const struct {
  const char *source;
  kv8_module_status status;
} in_state[STATES] = {
    [UNLINKED] = {"import 'x'", KV8_MODULE_UNLINKED},
    [UNLINKED_WITH_TABLE] = {"import 'x'", KV8_MODULE_UNLINKED},
    [LINK_FAILED] = {"import { nope } from 'x'", KV8_MODULE_UNLINKED},
    [LINKED] = {"import 'x'", KV8_MODULE_LINKED},
    [EVALUATING] = {"import 'x'; console.log()", KV8_MODULE_EVALUATING},
    [EVALUATED] = {"import 'x'", KV8_MODULE_EVALUATED},
    [PENDING] = {"import 'x'; await new Promise(() => {})", KV8_MODULE_EVALUATED},
    [ERRORED] = {"import 'x'; throw 1", KV8_MODULE_ERRORED},
    [ERRORED_LATER] = {"import 'x'; await null; throw 1", KV8_MODULE_ERRORED},
    [TERMINATED] = {"import 'x'; while (true);", KV8_MODULE_ERRORED},
    [TERMINATED_LATER] = {"import 'x'; await null; while (true);", KV8_MODULE_ERRORED},
};

#define OK KV8_OK
#define ST KV8_ESTATE
#define LI KV8_ELINK
#define SY KV8_ESYNTAX
#define EX KV8_EEXCEPTION
#define TI KV8_ETIMEOUT
static const kv8_status answers[STATES][METHODS] = {
    /* user link inst eval error ns cache warm req id status */
    [UNLINKED] = {LI, OK, LI, ST, ST, ST, OK, OK, OK, OK, OK},
    [UNLINKED_WITH_TABLE] = {OK, ST, OK, ST, ST, ST, OK, OK, OK, OK, OK},
    [LINK_FAILED] = {SY, ST, SY, ST, ST, ST, OK, OK, OK, OK, OK},
    [LINKED] = {OK, ST, OK, OK, ST, OK, OK, OK, OK, OK, OK},
    [EVALUATING] = {OK, ST, ST, ST, ST, OK, ST, ST, OK, OK, OK},
    [EVALUATED] = {OK, ST, ST, OK, ST, OK, ST, OK, OK, OK, OK},
    [PENDING] = {OK, ST, ST, OK, ST, OK, ST, OK, OK, OK, OK},
    [ERRORED] = {LI, ST, ST, EX, OK, OK, ST, OK, OK, OK, OK},
    [ERRORED_LATER] = {LI, ST, ST, EX, OK, OK, ST, OK, OK, OK, OK},
    [TERMINATED] = {LI, ST, ST, TI, OK, OK, ST, OK, OK, OK, OK},
    [TERMINATED_LATER] = {LI, ST, ST, TI, OK, OK, ST, OK, OK, OK, OK},
};

static void bring_to(enum state state) {
  subject_leaf = compile("export const leaf = 1");
  subject = compile_as(in_state[state].source, "subject.mjs");
  if (state == UNLINKED) return;
  core_ok(kv8_module_link_requests(subject, &subject_leaf, 1, &core_error));
  if (state == UNLINKED_WITH_TABLE) return;
  kv8_status status = kv8_module_instantiate(subject, &core_error);
  ck_assert_int_eq(status, state == LINK_FAILED ? KV8_ESYNTAX : KV8_OK);
  if (state == LINK_FAILED || state == LINKED) return;
  evaluate(subject, 50, NULL);
}

START_TEST(matrix_of_methods_and_states_P32) {
  kv8_context_options options = KV8_CONTEXT_OPTIONS_INIT;
  options.on_console = call_from_console;
  core_ok(kv8_context_configure(core_context, &options, &core_error));
  for (int state = 0; state < STATES; state++) {
    for (int method = 0; method < METHODS; method++) {
      asked = (enum method)method;
      answer = KV8_EENGINE;
      bring_to((enum state)state);
      if (state != EVALUATING) {
        expect_status(subject, in_state[state].status);
        answer = call(asked);
      }
      ck_assert_msg(answer == answers[state][method], "state %d, method %d: %s, not %s: %s", state,
                    method, kv8_status_name(answer), kv8_status_name(answers[state][method]),
                    core_error.message);
      /* Whatever was asked, the rest still answers. */
      for (int after = 0; after < METHODS; after++) call((enum method)after);
      kv8_module_free(subject);
      kv8_module_free(subject_leaf);
    }
  }
  core_expect(core_context, "6 * 7", "42");
}
END_TEST

int main(void) {
  TCase *evaluation = tcase_create("evaluation");
  tcase_add_checked_fixture(evaluation, core_setup, core_teardown);
  tcase_set_timeout(evaluation, 60);
  tcase_add_test(evaluation, evaluation_errors_are_kept_MO10);
  tcase_add_test(evaluation, thrown_primitives_are_errors_too_MO12);
  tcase_add_test(evaluation, errors_of_a_dependency_are_the_roots);
  tcase_add_test(evaluation, top_level_await);
  tcase_add_test(evaluation, terminated_modules_stay_terminated_P19);
  tcase_add_test(evaluation, matrix_of_methods_and_states_P32);
  TCase *cache = tcase_create("cache");
  tcase_add_checked_fixture(cache, core_setup, core_teardown);
  tcase_set_timeout(cache, 60);
  tcase_add_test(cache, cached_data_ST03_ST12_ST13);
  tcase_add_test(cache, eager_compile_bakes_more);
  TCase *cases[] = {evaluation, cache};
  return core_main(cases, sizeof(cases) / sizeof(cases[0]), "shim module runs");
}
