/* SPDX-License-Identifier: MIT
 *
 * vm_needs_test.c: what node:vm of `kiln run` asked of the C API: measurements that do not wait,
 * the object of a tied module, the context of a script's SyntaxError, rejections that a call
 * answers.
 */
#include "tests/shim/core_test.h"

/* ---- kv8_measure_memory_start() ----------------------------------------------------------------
 */

typedef struct seen {
  unsigned calls;
  kv8_status status;
  size_t total;
  size_t others;
  bool has_detail;
  kv8_value *held;
} seen;

static void note(void *user, kv8_status status, const kv8_memory *memory, const kv8_error *err) {
  seen *to = user;
  to->calls++;
  to->status = status;
  to->total = memory->total.js_memory_estimate;
  to->others = memory->other_count;
  to->has_detail = memory->has_detail;
  ck_assert_int_eq(err->status, status);
}

static void pump_until(const seen *it) {
  for (int i = 0; i < 1000 && it->calls == 0; i++) {
    core_ok(kv8_isolate_pump(core_isolate, /* wait_ms= */ 20, NULL, &core_error));
  }
}

START_TEST(MM05_an_eager_measurement_is_told_by_the_pump) {
  kv8_measure_options options = KV8_MEASURE_OPTIONS_INIT;
  kv8_context *other = NULL;
  seen summary = {0}, detailed = {0};
  core_ok(kv8_context_new(core_isolate, NULL, &other, &core_error));
  options.execution = KV8_MEASURE_EAGER;
  core_ok(kv8_measure_memory_start(core_context, &options, note, &summary, &core_error));
  ck_assert_uint_eq(summary.calls, 0);
  pump_until(&summary);
  ck_assert_uint_eq(summary.calls, 1);
  ck_assert_int_eq(summary.status, KV8_OK);
  ck_assert_uint_gt(summary.total, 0);
  ck_assert(!summary.has_detail);
  options.mode = KV8_MEASURE_DETAILED;
  core_ok(kv8_measure_memory_start(core_context, &options, note, &detailed, &core_error));
  pump_until(&detailed);
  ck_assert(detailed.has_detail);
  ck_assert_uint_ge(detailed.others, 1);
  ck_assert_uint_gt(detailed.total, summary.total);
  ck_assert_uint_eq(summary.calls, 1);
  kv8_context_free(other);
}
END_TEST

START_TEST(MM04_a_default_measurement_waits_for_a_collection) {
  seen it = {0};
  core_ok(kv8_measure_memory_start(core_context, NULL, note, &it, &core_error));
  core_ok(kv8_isolate_pump(core_isolate, /* wait_ms= */ 20, NULL, &core_error));
  ck_assert_uint_eq(it.calls, 0);
  kv8_isolate_collect_garbage(core_isolate);
  pump_until(&it);
  ck_assert_uint_eq(it.calls, 1);
  ck_assert_int_eq(it.status, KV8_OK);
}
END_TEST

/* What waits for a measurement usually holds a promise's handle until it ends. */
static void note_and_free(void *user, kv8_status status, const kv8_memory *memory,
                          const kv8_error *error) {
  seen *it = user;
  note(user, status, memory, error);
  kv8_value_free(it->held);
  it->held = NULL;
}

START_TEST(P33_a_pending_measurement_ends_with_its_isolate) {
  seen it = {0};
  core_ok(kv8_promise(core_context, &it.held, &core_error));
  core_ok(kv8_measure_memory_start(core_context, NULL, note_and_free, &it, &core_error));
  kv8_context_free(core_context);
  kv8_isolate_free(core_isolate);
  core_context = NULL;
  core_isolate = NULL;
  ck_assert_uint_eq(it.calls, 1);
  ck_assert_int_eq(it.status, KV8_ESTATE);
}
END_TEST

START_TEST(MM10_what_cannot_start_is_not_told) {
  kv8_measure_options options = KV8_MEASURE_OPTIONS_INIT;
  seen it = {0};
  core_is(kv8_measure_memory_start(NULL, NULL, note, &it, &core_error), KV8_EINVAL);
  core_is(kv8_measure_memory_start(core_context, NULL, NULL, &it, &core_error), KV8_EINVAL);
  options.mode = (kv8_measure_mode)7;
  core_is(kv8_measure_memory_start(core_context, &options, note, &it, &core_error), KV8_EINVAL);
  options.mode = KV8_MEASURE_SUMMARY;
  options.execution = (kv8_measure_execution)7;
  core_is(kv8_measure_memory_start(core_context, &options, note, &it, &core_error), KV8_EINVAL);
  ck_assert_uint_eq(it.calls, 0);
}
END_TEST

/* ---- kv8_module_copy_owner() -------------------------------------------------------------------
 */

static kv8_module *module_of(const char *text) {
  kv8_source source = core_source(text);
  kv8_module *module = NULL;
  core_ok(kv8_module_compile(core_context, &source, &module, NULL, &core_error));
  return module;
}

START_TEST(ST07_a_tied_module_leads_back_to_its_object) {
  kv8_module *module = module_of("export default 1");
  kv8_value *object = NULL, *owner = NULL;
  bool same = false;
  core_ok(kv8_module_copy_owner(module, &owner, &core_error));
  ck_assert_ptr_null(owner);
  core_ok(kv8_object(core_context, NULL, &object, &core_error));
  core_ok(kv8_module_tie(module, object, &core_error));
  core_ok(kv8_module_copy_owner(module, &owner, &core_error));
  core_ok(kv8_value_equals(core_context, object, owner, KV8_EQUAL_STRICT, &same, &core_error));
  ck_assert(same);
  ck_assert_ptr_eq(kv8_module_of(owner), module);
  core_is(kv8_module_copy_owner(NULL, &owner, &core_error), KV8_EINVAL);
  core_is(kv8_module_copy_owner(module, NULL, &core_error), KV8_EINVAL);
  kv8_value_free(owner);
  kv8_value_free(object);
}
END_TEST

/* It must find its object though C holds none. */
static kv8_status count_calls(void *user, kv8_module *module, kv8_value **ret_exception,
                              kv8_error *err) {
  kv8_value *owner = NULL;
  (void)ret_exception;
  kv8_status status = kv8_module_copy_owner(module, &owner, err);
  if (status == KV8_OK && owner != NULL) ++*(unsigned *)user;
  kv8_value_free(owner);
  return status;
}

START_TEST(SY03_a_synthetic_module_finds_its_object_while_it_is_evaluated) {
  unsigned calls = 0;
  kv8_synthetic_options options = KV8_SYNTHETIC_OPTIONS_INIT;
  kv8_module *synthetic = NULL, *root = module_of("import 's'");
  kv8_value *object = NULL;
  options.evaluate = count_calls;
  options.user = &calls;
  core_ok(kv8_module_synthetic(core_context, &options, &synthetic, &core_error));
  core_ok(kv8_object(core_context, NULL, &object, &core_error));
  core_ok(kv8_module_tie(synthetic, object, &core_error));
  core_ok(kv8_module_link_requests(root, &synthetic, 1, &core_error));
  core_ok(kv8_module_instantiate(root, &core_error));
  kv8_value_free(object);
  kv8_isolate_collect_garbage(core_isolate);
  kv8_promise_state state;
  core_ok(kv8_module_evaluate(root, NULL, &state, &core_error));
  ck_assert_uint_eq(calls, 1);
  kv8_module_free(root);
}
END_TEST

/* ---- kv8_source.context ------------------------------------------------------------------------
 */

static bool thrown_is_of(kv8_context *compile_in, kv8_context *other) {
  kv8_source source = core_source("var 5");
  kv8_script *script = NULL;
  kv8_value *exception = NULL, *constructor = NULL;
  bool is = false;
  kv8_isolate_keep_exception(core_isolate, &exception);
  source.context = compile_in;
  core_is(kv8_script_compile(core_isolate, &source, &script, NULL, &core_error), KV8_ESYNTAX);
  kv8_isolate_keep_exception(core_isolate, NULL);
  ck_assert_ptr_nonnull(exception);
  core_ok(kv8_context_get_global(other, kv8_span_from("SyntaxError"), &constructor, &core_error));
  core_ok(kv8_value_instance_of(other, exception, constructor, &is, &core_error));
  kv8_value_free(constructor);
  kv8_value_free(exception);
  return is;
}

START_TEST(SC01_a_SyntaxError_is_of_the_context_that_is_named) {
  kv8_context *other = NULL;
  core_ok(kv8_context_new(core_isolate, NULL, &other, &core_error));
  ck_assert(thrown_is_of(other, other));
  ck_assert(!thrown_is_of(other, core_context));
  ck_assert(thrown_is_of(core_context, core_context));
  ck_assert(!thrown_is_of(core_context, other));
  kv8_context_free(other);
}
END_TEST

/* ---- rejections --------------------------------------------------------------------------------
 */

static int unhandled;

static void on_rejection(void *user, kv8_rejection what, const kv8_value *promise,
                         const kv8_value *reason) {
  (void)user;
  ck_assert_ptr_nonnull(promise);
  ck_assert((reason != NULL) == (what == KV8_REJECTED_UNHANDLED));
  unhandled += what == KV8_REJECTED_UNHANDLED ? 1 : -1;
}

START_TEST(ME04_what_evaluate_answers_is_no_unhandled_rejection) {
  kv8_module *module = module_of("throw new Error('mine')");
  kv8_promise_state state;
  kv8_isolate_set_on_rejection(core_isolate, on_rejection, NULL);
  core_ok(kv8_module_instantiate(module, &core_error));
  core_is(kv8_module_evaluate(module, NULL, &state, &core_error), KV8_EEXCEPTION);
  ck_assert_int_eq(unhandled, 0);
  core_is(kv8_module_evaluate(module, NULL, &state, &core_error), KV8_EEXCEPTION);
  ck_assert_int_eq(unhandled, 0);
  /* Any other rejection is still told. */
  core_ok(core_try(core_context, "Promise.reject(new Error('nobody'))", /* timeout_ms= */ 0));
  ck_assert_int_eq(unhandled, 1);
  kv8_isolate_set_on_rejection(core_isolate, NULL, NULL);
  kv8_module_free(module);
}
END_TEST

int main(void) {
  TCase *tests = tcase_create("vm_needs");
  tcase_add_checked_fixture(tests, core_setup, core_teardown);
  tcase_set_timeout(tests, 60);
  tcase_add_test(tests, MM05_an_eager_measurement_is_told_by_the_pump);
  tcase_add_test(tests, MM04_a_default_measurement_waits_for_a_collection);
  tcase_add_test(tests, P33_a_pending_measurement_ends_with_its_isolate);
  tcase_add_test(tests, MM10_what_cannot_start_is_not_told);
  tcase_add_test(tests, ST07_a_tied_module_leads_back_to_its_object);
  tcase_add_test(tests, SY03_a_synthetic_module_finds_its_object_while_it_is_evaluated);
  tcase_add_test(tests, SC01_a_SyntaxError_is_of_the_context_that_is_named);
  tcase_add_test(tests, ME04_what_evaluate_answers_is_no_unhandled_rejection);
  return core_main(&tests, 1, "shim vm_needs");
}
