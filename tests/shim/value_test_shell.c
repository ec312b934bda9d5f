/* SPDX-License-Identifier: MIT
 *
 * value_test_shell.c: every function of kv8_value.h with handles it cannot use: NULL, of another
 * isolate, and empty shells, whose isolate is gone. None may crash, answer, or write a result.
 */
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/shim/value_test.h"

static void nothing(void *user, kv8_call *call) {
  (void)user;
  (void)call;
}

static int released;

static void release(void *user) {
  (void)user;
  released++;
}

#define POISON ((void *)(uintptr_t)0x5a5a5a50)

static kv8_value *made;
static kv8_blob blob;
static bool yes;
static double number;
static int64_t integer;
static uint64_t unsigned_integer;
static uint32_t length;
static size_t size;
static uint8_t *data;
static kv8_promise_state state;

#define refused(expression)                                                                  \
  do {                                                                                       \
    kv8_status refused_ = (expression);                                                      \
    ck_assert_msg(refused_ == KV8_EINVAL || refused_ == KV8_ESTATE, "%s is %s", #expression, \
                  kv8_status_name(refused_));                                                \
    ck_assert_ptr_eq(made, POISON);                                                          \
    ck_assert_ptr_null(blob.data);                                                           \
  } while (0)

/* Each function that takes a context, a value, or both; neither fits. */
static void everything(kv8_context *context, const kv8_value *value) {
  kv8_span text = kv8_span_from("x");
  const kv8_value *list[] = {value};
  kv8_property property = KV8_PROPERTY_INIT;
  kv8_error *err = &core_error;
  made = POISON;
  blob = (kv8_blob){NULL, 0};
  refused(kv8_value_equals(context, value, value, KV8_EQUAL_STRICT, &yes, err));
  refused(kv8_value_instance_of(context, value, value, &yes, err));
  refused(kv8_value_to_number(context, value, &number, err));
  refused(kv8_value_to_string(context, value, &blob, err));
  refused(kv8_value_to_json(context, value, NULL, &blob, err));
  if (context == NULL || value != NULL) { /* NULL alone is undefined there */
    refused(kv8_value_inspect(context, list, 1, &blob, err));
  }
  refused(kv8_object_get(context, value, value, &made, err));
  refused(kv8_object_get_named(context, value, text, &made, err));
  refused(kv8_object_get_index(context, value, 0, &made, err));
  refused(kv8_object_set(context, value, value, value, err));
  refused(kv8_object_set_named(context, value, text, value, err));
  refused(kv8_object_set_index(context, value, 0, value, err));
  refused(kv8_object_has(context, value, value, &yes, err));
  refused(kv8_object_has_own(context, value, value, &yes, err));
  refused(kv8_object_delete(context, value, value, &yes, err));
  refused(kv8_object_define(context, value, value, &property, &yes, err));
  refused(kv8_object_get_property(context, value, value, &property, &yes, err));
  refused(kv8_object_get_own_keys(context, value, KV8_KEYS_ALL, &made, err));
  refused(kv8_object_get_prototype(context, value, &made, err));
  refused(kv8_object_set_prototype(context, value, value, err));
  refused(kv8_object_freeze(context, value, err));
  refused(kv8_object_seal(context, value, err));
  refused(kv8_object_preview_entries(context, value, &made, &yes, err));
  refused(kv8_value_call(context, value, value, list, 1, NULL, &made, err));
  refused(kv8_value_construct(context, value, list, 1, NULL, &made, err));
  refused(kv8_uint8_array(context, value, 0, 0, &made, err));
  refused(kv8_promise_resolve(context, value, value, err));
  refused(kv8_promise_reject(context, value, value, err));
  refused(kv8_promise_then(context, value, NULL, NULL, &made, err));
  refused(kv8_enqueue_microtask(context, value, err));
  refused(kv8_object_attach(context, value, &size, &size, NULL, err));
  refused(kv8_context_set_global(context, text, value, err));
}

static void everything_of_context(kv8_context *context) {
  kv8_span text = kv8_span_from("1");
  kv8_error *err = &core_error;
  made = POISON;
  refused(kv8_value_from_json(context, text, &made, err));
  refused(kv8_object(context, NULL, &made, err));
  refused(kv8_array(context, NULL, 0, &made, err));
  refused(kv8_error_object(context, KV8_ERROR, text, text, &made, err));
  refused(kv8_array_buffer(context, text, &made, err));
  refused(kv8_promise(context, &made, err));
  refused(kv8_value_inspect(context, NULL, 0, &blob, err));
  refused(kv8_context_get_global(context, text, &made, err));
  refused(kv8_context_set_globals_json(context, text, err));
  refused(kv8_context_globals_to_json(context, NULL, &blob, err));
  kv8_callback callback = KV8_CALLBACK_INIT;
  callback.fn = nothing;
  callback.release = release;
  released = 0;
  refused(kv8_function_from_callback(context, &callback, &made, err));
  ck_assert_int_eq(released, 1);
}

static void everything_of_value(const kv8_value *value) {
  kv8_error *err = &core_error;
  kv8_value *second = POISON;
  made = POISON;
  refused(kv8_value_copy(value, &made, err));
  refused(kv8_value_get_number(value, &number, err));
  refused(kv8_value_get_bigint(value, &integer, &yes, err));
  refused(kv8_value_get_bigint_unsigned(value, &unsigned_integer, &yes, err));
  refused(kv8_value_copy_text(value, &blob, err));
  refused(kv8_object_copy_constructor_name(value, &blob, err));
  refused(kv8_proxy_get(value, &made, &second, err));
  refused(kv8_array_get_length(value, &length, err));
  refused(kv8_buffer_get_bytes(value, &data, &size, err));
  refused(kv8_view_get_buffer(value, &made, &size, &size, err));
  refused(kv8_promise_get(value, &state, &made, err));
  refused(kv8_promise_mark_handled(value, err));
  ck_assert_int_eq(kv8_value_get_type(value), KV8_TYPE_UNDEFINED);
  ck_assert(!kv8_value_is(value, KV8_CLASS_ARRAY));
  ck_assert(!kv8_value_is_true(value));
  ck_assert_ptr_null(kv8_object_get_attached(value, &size));
}

START_TEST(null_handles) {
  kv8_value *value = core_value(core_context, "({})");
  everything(NULL, NULL);
  everything(core_context, NULL);
  everything(NULL, value);
  everything_of_context(NULL);
  everything_of_value(NULL);
  kv8_span text = kv8_span_from("x");
  refused(kv8_undefined(NULL, &made, &core_error));
  refused(kv8_null(NULL, &made, &core_error));
  refused(kv8_boolean(NULL, true, &made, &core_error));
  refused(kv8_number(NULL, 1, &made, &core_error));
  refused(kv8_bigint(NULL, 1, &made, &core_error));
  refused(kv8_bigint_unsigned(NULL, 1, &made, &core_error));
  refused(kv8_string(NULL, text, &made, &core_error));
  refused(kv8_symbol(NULL, text, false, &made, &core_error));
  refused(kv8_symbol_well_known(NULL, KV8_SYMBOL_ITERATOR, &made, &core_error));
  kv8_isolate_keep_exception(NULL, &made);
  kv8_isolate_set_on_rejection(NULL, NULL, NULL);
  kv8_value_free(NULL);
  kv8_property_release(NULL);
  ck_assert_uint_eq(kv8_call_get_count(NULL), 0);
  ck_assert_ptr_null(kv8_call_get_argument(NULL, 0));
  ck_assert_ptr_null(kv8_call_get_receiver(NULL));
  ck_assert_ptr_null(kv8_call_get_new_target(NULL));
  ck_assert_ptr_null(kv8_call_get_isolate(NULL));
  ck_assert_ptr_null(kv8_call_get_context(NULL));
  ck_assert(!kv8_call_is_construct(NULL));
  kv8_call_return(NULL, value);
  kv8_call_throw(NULL, value);
  kv8_call_throw_failure(NULL, &core_error);
  kv8_value_free(value);
}
END_TEST

/* Where the answer goes, too; and err may be NULL everywhere. */
START_TEST(null_answers) {
  kv8_value *value = core_value(core_context, "({})");
  kv8_span text = kv8_span_from("x");
  made = POISON;
  refused(kv8_value_copy(value, NULL, NULL));
  refused(kv8_value_equals(core_context, value, value, KV8_EQUAL_SAME, NULL, NULL));
  refused(kv8_number(core_isolate, 1, NULL, NULL));
  refused(kv8_string(core_isolate, text, NULL, NULL));
  refused(kv8_value_get_number(value, NULL, NULL));
  refused(kv8_value_copy_text(value, NULL, NULL));
  refused(kv8_object(core_context, NULL, NULL, NULL));
  refused(kv8_object_get_named(core_context, value, text, NULL, NULL));
  refused(kv8_object_get_own_keys(core_context, value, KV8_KEYS_ALL, NULL, NULL));
  refused(kv8_array(core_context, NULL, 0, NULL, NULL));
  refused(kv8_promise(core_context, NULL, NULL));
  refused(kv8_array_buffer(core_context, text, NULL, NULL));
  refused(kv8_buffer_get_bytes(value, NULL, NULL, NULL));
  refused(kv8_function_from_callback(core_context, NULL, &made, NULL));
  refused(kv8_object_attach(core_context, value, NULL, NULL, NULL, NULL));
  refused(kv8_object_get_named(core_context, value, (kv8_span){NULL, 1}, &made, NULL));
  refused(kv8_string(core_isolate, (kv8_span){NULL, 1}, &made, NULL));
  kv8_value_free(value);
}
END_TEST

START_TEST(values_of_another_isolate) {
  kv8_isolate *other = NULL;
  kv8_context *foreign = NULL;
  core_ok(kv8_isolate_new(NULL, &other, &core_error));
  core_ok(kv8_context_new(other, NULL, &foreign, &core_error));
  kv8_value *value = core_value(core_context, "(function() {})");
  everything(foreign, value);
  kv8_value *theirs = NULL;
  const kv8_value *list[] = {theirs};
  core_ok(kv8_number(other, 1, &theirs, &core_error));
  list[0] = theirs;
  refused(kv8_array(core_context, list, 1, &made, &core_error));
  refused(kv8_object(core_context, theirs, &made, &core_error));
  refused(kv8_value_call(core_context, value, theirs, NULL, 0, NULL, &made, &core_error));
  refused(kv8_value_call(core_context, value, NULL, list, 1, NULL, &made, &core_error));
  refused(kv8_object_set_named(core_context, value, kv8_span_from("x"), theirs, &core_error));
  kv8_property property = KV8_PROPERTY_INIT;
  kv8_value *key = value_text("x");
  property.value = theirs;
  refused(kv8_object_define(core_context, value, key, &property, NULL, &core_error));
  kv8_value_free(key);
  kv8_value_free(theirs);
  kv8_value_free(value);
  kv8_context_free(foreign);
  kv8_isolate_free(other);
}
END_TEST

static int tag;

/* Everything that can be left over when the isolate goes. */
static void leave_everything(void) {
  core_setup();
  kv8_value *value = core_value(core_context, "({})");
  kv8_value *kept = NULL;
  kv8_callback callback = KV8_CALLBACK_INIT;
  callback.fn = nothing;
  callback.release = release;
  kv8_value *function = NULL;
  core_ok(kv8_function_from_callback(core_context, &callback, &function, &core_error));
  core_ok(kv8_object_attach(core_context, value, &tag, &tag, release, &core_error));
  kv8_isolate_keep_exception(core_isolate, &kept);
  core_is(core_try(core_context, "throw {}", 0), KV8_EEXCEPTION);
  kv8_isolate_free(core_isolate);
  ck_assert_int_eq(released, 2);
  everything(core_context, value);
  everything_of_context(core_context);
  everything_of_value(value);
  everything_of_value(function);
  everything_of_value(kept);
  kv8_value_free(value);
  kv8_value_free(function);
  kv8_value_free(kept);
  kv8_context_free(core_context);
  kv8_engine_stop();
}

START_TEST(shells) {
  core_free_too_early(leave_everything);
}
END_TEST

int main(void) {
  TCase *unfit = tcase_create("unfit handles");
  tcase_add_checked_fixture(unfit, core_setup, core_teardown);
  tcase_set_timeout(unfit, 60);
  tcase_add_test(unfit, null_handles);
  tcase_add_test(unfit, null_answers);
  tcase_add_test(unfit, values_of_another_isolate);
  TCase *gone = tcase_create("isolate gone");
  tcase_set_timeout(gone, 60);
  tcase_add_test(gone, shells);
  TCase *cases[] = {unfit, gone};
  return core_main(cases, 2, "unfit values");
}
