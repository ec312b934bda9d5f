/* SPDX-License-Identifier: MIT
 *
 * callback_test.c: functions written in C: what a call lends and answers, calling from C, error
 * objects, and when `release` is called. Calls that nest are in callback_test_nest.c.
 */
#include <stdio.h>
#include <time.h>

#include "tests/shim/value_test.h"

static int released;

static void release(void *user) {
  (void)user;
  released++;
}

static kv8_value *function_of(kv8_call_fn fn, void *user) {
  kv8_callback callback = KV8_CALLBACK_INIT;
  callback.fn = fn;
  callback.user = user;
  callback.release = release;
  callback.name = kv8_span_from("native");
  callback.arity = 2;
  kv8_value *function = NULL;
  core_ok(kv8_function_from_callback(core_context, &callback, &function, &core_error));
  return function;
}

static void global_function(const char *name, kv8_call_fn fn, void *user) {
  value_global(name, function_of(fn, user));
}

/* ---- one call -------------------------------------------------------------------------------- */

static void sum(void *user, kv8_call *call) {
  ck_assert_ptr_eq(user, &released);
  ck_assert_ptr_eq(kv8_call_get_isolate(call), core_isolate);
  ck_assert_ptr_eq(kv8_call_get_context(call), core_context);
  double total = 0;
  for (size_t i = 0; i < kv8_call_get_count(call); i++) {
    const kv8_value *argument = kv8_call_get_argument(call, i);
    ck_assert_ptr_eq(argument, kv8_call_get_argument(call, i));
    double number = 0;
    if (kv8_value_get_number(argument, &number, NULL) == KV8_OK) total += number;
  }
  /* Beyond the count there is undefined, also far beyond. */
  const kv8_value *none = kv8_call_get_argument(call, kv8_call_get_count(call));
  ck_assert_int_eq(kv8_value_get_type(none), KV8_TYPE_UNDEFINED);
  none = kv8_call_get_argument(call, SIZE_MAX);
  ck_assert_int_eq(kv8_value_get_type(none), KV8_TYPE_UNDEFINED);
  kv8_value *answer = value_number(total);
  kv8_call_return(call, answer);
  kv8_value_free(answer);
}

START_TEST(arguments_and_answer) {
  global_function("sum", sum, &released);
  core_expect(core_context, "sum()", "0");
  core_expect(core_context, "sum(1, 2)", "3");
  core_expect(core_context, "sum(1, 'x', {}, 4, 5, 6, 7, 8)", "31");
  core_expect(core_context, "sum(...Array(1000).fill(1))", "1000");
  core_expect(core_context, "[sum.name, sum.length, typeof sum, 'prototype' in sum].join()",
              "native,2,function,false");
  core_expect(core_context, "try { new sum } catch (e) { e.message }", "sum is not a constructor");
}
END_TEST

static void nothing(void *user, kv8_call *call) {
  (void)user;
  (void)call;
}

static void keep_this(void *user, kv8_call *call) {
  (void)user;
  const kv8_value *receiver = kv8_call_get_receiver(call);
  if (kv8_call_is_construct(call)) {
    kv8_value *one = value_number(1);
    core_ok(kv8_object_set_named(core_context, receiver, kv8_span_from("made"), one, &core_error));
    kv8_value_free(one);
    const kv8_value *target = kv8_call_get_new_target(call);
    core_ok(
        kv8_object_set_named(core_context, receiver, kv8_span_from("target"), target, &core_error));
    return;
  }
  ck_assert_int_eq(kv8_value_get_type(kv8_call_get_new_target(call)), KV8_TYPE_UNDEFINED);
  kv8_call_return(call, receiver);
}

START_TEST(receiver_and_construct) {
  kv8_callback callback = KV8_CALLBACK_INIT;
  callback.fn = keep_this;
  callback.name = kv8_span_from("Thing");
  callback.constructor = true;
  kv8_value *function = NULL;
  core_ok(kv8_function_from_callback(core_context, &callback, &function, &core_error));
  kv8_value *copy = NULL;
  core_ok(kv8_value_copy(function, &copy, &core_error));
  value_global("Thing", copy);
  core_expect(core_context, "const t = new Thing; [t.made, t instanceof Thing, t.target === Thing]",
              "1,true,true");
  core_expect(core_context,
              "class Sub extends Thing {}; const s = new Sub; [s.made, s instanceof "
              "Sub, s.target === Sub]",
              "1,true,true");
  core_expect(core_context, "const o = {Thing}; o.Thing() === o", "true");
  /* Sloppy, as API functions are: no receiver is the global. */
  core_expect(core_context, "Thing() === globalThis", "true");
  global_function("nothing", nothing, NULL);
  core_expect(core_context, "String(nothing())", "undefined");
  kv8_value *made = NULL;
  core_ok(kv8_value_construct(core_context, function, NULL, 0, NULL, &made, &core_error));
  bool is = false;
  core_ok(kv8_value_instance_of(core_context, made, function, &is, &core_error));
  ck_assert(is);
  kv8_value_free(made);
  kv8_value_free(function);
}
END_TEST

static void answer_twice(void *user, kv8_call *call) {
  (void)user;
  const kv8_value *first = kv8_call_get_argument(call, 0);
  const kv8_value *second = kv8_call_get_argument(call, 1);
  const kv8_value *how = kv8_call_get_argument(call, 2);
  if (kv8_value_is_true(how)) {
    kv8_call_return(call, first);
    kv8_call_throw(call, second);
  } else {
    kv8_call_throw(call, first);
    kv8_call_return(call, second);
  }
}

START_TEST(the_last_of_return_and_throw_counts) {
  global_function("f", answer_twice, NULL);
  core_expect(core_context, "f(1, 2, false)", "2");
  core_expect(core_context, "try { f(1, 2, true) } catch (e) { 'threw ' + e }", "threw 2");
  core_expect(core_context, "try { f(1, undefined, true) } catch (e) { 'threw ' + e }",
              "threw undefined");
}
END_TEST

/* ---- calling --------------------------------------------------------------------------------- */

START_TEST(call_and_construct) {
  kv8_value *function =
      core_value(core_context, "'use strict'; (function(...a) { return [this, ...a].join() })");
  kv8_value *receiver = value_text("this");
  kv8_value *one = value_number(1);
  const kv8_value *args[] = {one, NULL, one, one, one, one, one, one, one, one};
  kv8_value *answer = NULL;
  core_ok(kv8_value_call(core_context, function, receiver, args, 10, NULL, &answer, &core_error));
  value_expect(answer, "this,1,,1,1,1,1,1,1,1,1");
  core_ok(kv8_value_call(core_context, function, NULL, NULL, 0, NULL, &answer, &core_error));
  value_expect(answer, "");
  core_ok(kv8_value_call(core_context, function, NULL, args, 1, NULL, NULL, &core_error));
  core_is(kv8_value_call(core_context, function, NULL, NULL, 1, NULL, NULL, &core_error),
          KV8_EINVAL);
  core_is(kv8_value_call(core_context, function, NULL, args, 65536, NULL, NULL, &core_error),
          KV8_ETOOBIG);
  value_wrong_type(kv8_value_call(core_context, one, NULL, NULL, 0, NULL, NULL, &core_error));
  value_wrong_type(kv8_value_construct(core_context, one, NULL, 0, NULL, &answer, &core_error));
  kv8_value *arrow = core_value(core_context, "() => 1");
  core_is(kv8_value_construct(core_context, arrow, NULL, 0, NULL, &answer, &core_error),
          KV8_EEXCEPTION);
  ck_assert_str_eq(core_error.name, "TypeError");
  kv8_value_free(arrow);
  kv8_value *proxy =
      core_value(core_context, "new Proxy(class { constructor(x) { this.x = x } }, {})");
  core_ok(kv8_value_construct(core_context, proxy, args, 1, NULL, &answer, &core_error));
  kv8_value *x = NULL;
  core_ok(kv8_object_get_named(core_context, answer, kv8_span_from("x"), &x, &core_error));
  value_expect(x, "1");
  kv8_value_free(answer);
  kv8_value_free(proxy);
  kv8_value *throws = core_value(core_context, "(() => { throw new SyntaxError('thrown') })");
  value_threw(kv8_value_call(core_context, throws, NULL, NULL, 0, NULL, NULL, &core_error),
              "SyntaxError", "thrown");
  kv8_value_free(throws);
  kv8_run_options options = KV8_RUN_OPTIONS_INIT;
  options.timeout_ms = 20;
  kv8_value *loop = core_value(core_context, "(function() { for (;;) ; })");
  core_is(kv8_value_call(core_context, loop, NULL, NULL, 0, &options, NULL, &core_error),
          KV8_ETIMEOUT);
  core_is(kv8_value_construct(core_context, loop, NULL, 0, &options, &answer, &core_error),
          KV8_ETIMEOUT);
  kv8_value_free(loop);
  kv8_value_free(one);
  kv8_value_free(receiver);
  kv8_value_free(function);
}
END_TEST

/* ---- error objects --------------------------------------------------------------------------- */

START_TEST(error_objects) {
  static const struct {
    kv8_error_class class_;
    const char *name;
  } cases[] = {{KV8_ERROR, "Error"},
               {KV8_TYPE_ERROR, "TypeError"},
               {KV8_RANGE_ERROR, "RangeError"},
               {KV8_SYNTAX_ERROR, "SyntaxError"},
               {KV8_REFERENCE_ERROR, "ReferenceError"}};
  for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
    kv8_value *error = NULL;
    char expected[256];
    core_ok(kv8_error_object(core_context, cases[i].class_, kv8_span_from("ERR_X"),
                             kv8_span_from("what é"), &error, &core_error));
    value_global("error", error);
    (void)snprintf(expected, sizeof(expected),
                   "%s|what é|ERR_X|%s [ERR_X]: what é|true|stack,message,code", cases[i].name,
                   cases[i].name);
    core_expect(core_context,
                "[error.name, error.message, error.code, error.stack.split('\\n')[0],"
                " Object.getPrototypeOf(error) === globalThis[error.name].prototype,"
                " Object.getOwnPropertyNames(error).join()].join('|')",
                expected);
  }
  kv8_value *plain = NULL;
  core_ok(kv8_error_object(core_context, KV8_TYPE_ERROR, kv8_span_from(""), kv8_span_from("m"),
                           &plain, &core_error));
  value_global("plain", plain);
  core_expect(core_context, "['code' in plain, plain.stack].join()", "false,TypeError: m");
  core_is(kv8_error_object(core_context, (kv8_error_class)77, kv8_span_from(""), kv8_span_from(""),
                           &plain, &core_error),
          KV8_EINVAL);
}
END_TEST

START_TEST(error_objects_run_no_guest_code) {
  core_ok(core_try(core_context,
                   "globalThis.ran = 0; Error.prepareStackTrace = () => { ran++; throw 1 };"
                   "Object.defineProperty(Error.prototype, 'name', {set() { ran++ }, get() { ran++ "
                   "}})",
                   0));
  kv8_value *error = NULL;
  core_ok(kv8_error_object(core_context, KV8_ERROR, kv8_span_from("ERR_X"), kv8_span_from("m"),
                           &error, &core_error));
  core_expect(core_context, "ran", "0");
  value_global("error", error);
  core_expect(core_context, "error.code + error.message + ('name' in Object.assign({}, error))",
              "ERR_Xmfalse");
}
END_TEST

/* ---- release --------------------------------------------------------------------------------- */

START_TEST(release_comes_once_also_on_failure) {
  kv8_callback callback = KV8_CALLBACK_INIT;
  callback.release = release;
  kv8_value *function = NULL;
  core_is(kv8_function_from_callback(core_context, &callback, &function, &core_error), KV8_EINVAL);
  ck_assert_int_eq(released, 1); /* fn is NULL */
  callback.fn = nothing;
  core_is(kv8_function_from_callback(NULL, &callback, &function, &core_error), KV8_EINVAL);
  ck_assert_int_eq(released, 2);
  core_is(kv8_function_from_callback(core_context, &callback, NULL, &core_error), KV8_EINVAL);
  ck_assert_int_eq(released, 3);
  callback.arity = 1u << 20;
  core_is(kv8_function_from_callback(core_context, &callback, &function, &core_error), KV8_EINVAL);
  ck_assert_int_eq(released, 4);
  callback.arity = 0;
  callback.name = (kv8_span){NULL, 3};
  core_is(kv8_function_from_callback(core_context, &callback, &function, &core_error), KV8_EINVAL);
  ck_assert_int_eq(released, 5);
  core_is(kv8_function_from_callback(core_context, NULL, &function, &core_error), KV8_EINVAL);
  ck_assert_int_eq(released, 5);
  kv8_value_free(function_of(nothing, NULL));
  kv8_isolate_collect_garbage(core_isolate);
  ck_assert_int_eq(released, 6);
}
END_TEST

static void drop_itself(void *user, kv8_call *call) {
  (void)user;
  core_ok(core_try(core_context, "delete globalThis.f", 0));
  kv8_isolate_collect_garbage(kv8_call_get_isolate(call));
  ck_assert_int_eq(released, 0);
  kv8_call_return(call, kv8_call_get_argument(call, 0));
}

START_TEST(a_function_collected_in_its_own_call) {
  global_function("f", drop_itself, NULL);
  core_expect(core_context, "globalThis.f(7)", "7");
  kv8_isolate_collect_garbage(core_isolate);
  ck_assert_int_eq(released, 1);
}
END_TEST

/* A callback whose user data owns handles, also to the function itself. */
struct owner {
  kv8_value *value;
  kv8_value *function;
};

static void release_owner(void *user) {
  struct owner *owner = user;
  kv8_value_free(owner->value);
  kv8_value_free(owner->function);
  released++;
}

START_TEST(the_isolate_releases_what_is_left) {
  static struct owner owner;
  kv8_callback callback = KV8_CALLBACK_INIT;
  callback.fn = nothing;
  callback.user = &owner;
  callback.release = release_owner;
  core_ok(kv8_function_from_callback(core_context, &callback, &owner.function, &core_error));
  owner.value = value_text("owned");
  kv8_isolate_collect_garbage(core_isolate);
  ck_assert_int_eq(released, 0);
  kv8_context_free(core_context);
  kv8_isolate_free(core_isolate);
  ck_assert_int_eq(released, 1);
  core_ok(kv8_isolate_new(NULL, &core_isolate, &core_error));
  core_ok(kv8_context_new(core_isolate, NULL, &core_context, &core_error));
}
END_TEST

#define MANY_FUNCTIONS 100000

static void make_function(void *user, kv8_call *call) {
  (void)user;
  kv8_callback callback = KV8_CALLBACK_INIT;
  callback.fn = nothing;
  callback.release = release;
  kv8_value *function = NULL;
  core_ok(
      kv8_function_from_callback(kv8_call_get_context(call), &callback, &function, &core_error));
  kv8_call_return(call, function);
  kv8_value_free(function);
}

static void small_heap(kv8_isolate **ret_isolate, kv8_context **ret_context) {
  kv8_isolate_options options = KV8_ISOLATE_OPTIONS_INIT;
  options.heap_max_bytes = 16u << 20;
  core_ok(kv8_isolate_new(&options, ret_isolate, &core_error));
  core_ok(kv8_context_new(*ret_isolate, NULL, ret_context, &core_error));
}

START_TEST(many_functions_made_and_dropped) {
  kv8_isolate *isolate = NULL;
  kv8_context *context = NULL;
  small_heap(&isolate, &context);
  kv8_callback callback = KV8_CALLBACK_INIT;
  callback.fn = nothing;
  callback.release = release;
  kv8_value *function = NULL;
  for (int i = 0; i < MANY_FUNCTIONS; i++) {
    core_ok(kv8_function_from_callback(context, &callback, &function, &core_error));
    kv8_value_free(function);
  }
  ck_assert_int_gt(released, MANY_FUNCTIONS / 2);
  kv8_context_free(context);
  kv8_isolate_free(isolate);
  ck_assert_int_eq(released, MANY_FUNCTIONS);
}
END_TEST

START_TEST(many_functions_within_one_run) {
  kv8_isolate *isolate = NULL;
  kv8_context *context = NULL;
  small_heap(&isolate, &context);
  kv8_callback callback = KV8_CALLBACK_INIT;
  callback.fn = make_function;
  kv8_value *function = NULL;
  core_ok(kv8_function_from_callback(context, &callback, &function, &core_error));
  core_ok(kv8_context_set_global(context, kv8_span_from("make"), function, &core_error));
  kv8_value_free(function);
  kv8_source source = core_source("for (let i = 0; i < 100000; i++) make()");
  kv8_script *script = NULL;
  core_ok(kv8_script_compile(isolate, &source, &script, NULL, &core_error));
  core_ok(kv8_script_run(script, context, NULL, NULL, &core_error));
  kv8_script_free(script);
  ck_assert_int_gt(released, MANY_FUNCTIONS / 2);
  kv8_context_free(context);
  kv8_isolate_free(isolate);
  ck_assert_int_eq(released, MANY_FUNCTIONS);
}
END_TEST

/* A function outlives its context's handle. */
static void expect_no_context(void *user, kv8_call *call) {
  (void)user;
  ck_assert_ptr_null(kv8_call_get_context(call));
  ck_assert_ptr_eq(kv8_call_get_isolate(call), core_isolate);
  kv8_call_return(call, kv8_call_get_argument(call, 0));
}

START_TEST(a_function_outlives_its_contexts_handle) {
  kv8_context *context = NULL;
  core_ok(kv8_context_new(core_isolate, NULL, &context, &core_error));
  kv8_callback callback = KV8_CALLBACK_INIT;
  callback.fn = expect_no_context;
  kv8_value *function = NULL;
  core_ok(kv8_function_from_callback(context, &callback, &function, &core_error));
  kv8_context_free(context);
  value_global("f", function);
  core_expect(core_context, "f(5)", "5");
}
END_TEST

/* ---- the cost of a call ---------------------------------------------------------------------- */

static void add_three(void *user, kv8_call *call) {
  (void)user;
  double total = 0;
  for (size_t i = 0; i < 3; i++) {
    double number = 0;
    kv8_value_get_number(kv8_call_get_argument(call, i), &number, NULL);
    total += number;
  }
  *(double *)user = total;
}

/* Prints only: times are no pass or fail. */
START_TEST(what_a_call_costs) {
  double total = 0;
  global_function("add", add_three, &total);
  core_ok(core_try(core_context, "for (let i = 0; i < 100000; i++) add(1, 2, 3)", 0));
  struct timespec from;
  struct timespec to;
  clock_gettime(CLOCK_MONOTONIC, &from);
  core_ok(core_try(core_context, "for (let i = 0; i < 1000000; i++) add(i, 2, 3)", 0));
  clock_gettime(CLOCK_MONOTONIC, &to);
  ck_assert_double_eq(total, 999999 + 5);
  printf("a call with three arguments: %.0f ns\n",
         ((double)(to.tv_sec - from.tv_sec) * 1e9 + (double)(to.tv_nsec - from.tv_nsec)) / 1e6);
}
END_TEST

int main(void) {
  TCase *cases[] = {tcase_create("calls"), tcase_create("lifetimes")};
  for (size_t i = 0; i < 2; i++) {
    tcase_add_checked_fixture(cases[i], core_setup, core_teardown);
    tcase_set_timeout(cases[i], 120);
  }
  tcase_add_test(cases[0], arguments_and_answer);
  tcase_add_test(cases[0], receiver_and_construct);
  tcase_add_test(cases[0], the_last_of_return_and_throw_counts);
  tcase_add_test(cases[0], call_and_construct);
  tcase_add_test(cases[0], error_objects);
  tcase_add_test(cases[0], error_objects_run_no_guest_code);
  tcase_add_test(cases[0], what_a_call_costs);
  tcase_add_test(cases[1], release_comes_once_also_on_failure);
  tcase_add_test(cases[1], a_function_collected_in_its_own_call);
  tcase_add_test(cases[1], the_isolate_releases_what_is_left);
  tcase_add_test(cases[1], many_functions_made_and_dropped);
  tcase_add_test(cases[1], many_functions_within_one_run);
  tcase_add_test(cases[1], a_function_outlives_its_contexts_handle);
  return core_main(cases, 2, "callbacks");
}
