/* SPDX-License-Identifier: MIT
 *
 * callback_test_nest.c: calls that nest both ways: exceptions in both directions, exceptions kept,
 * terminations of each frame, and when microtasks run.
 */
#include "tests/shim/value_test.h"

static void global_function(const char *name, kv8_call_fn fn) {
  kv8_callback callback = KV8_CALLBACK_INIT;
  callback.fn = fn;
  kv8_value *function = NULL;
  core_ok(kv8_function_from_callback(core_context, &callback, &function, &core_error));
  value_global(name, function);
}

/* ---- calls that nest ------------------------------------------------------------------------- */

/* Calls its first argument with the second, and passes on what that answers or throws. */
static void forward(void *user, kv8_call *call) {
  (void)user;
  const kv8_value *args[] = {kv8_call_get_argument(call, 1)};
  kv8_value *answer = NULL;
  kv8_error err;
  if (kv8_value_call(kv8_call_get_context(call), kv8_call_get_argument(call, 0), NULL, args, 1,
                     NULL, &answer, &err) != KV8_OK) {
    kv8_call_throw_failure(call, &err);
    return;
  }
  kv8_call_return(call, answer);
  kv8_value_free(answer);
}

START_TEST(calls_nest) {
  global_function("forward", forward);
  core_expect(core_context, "forward(x => x + 1, 1)", "2");
  core_expect(core_context,
              "function down(n) { return n === 0 ? 'bottom' : forward(down, n - 1) } down(40)",
              "bottom");
  /* Recursion without end is a RangeError of V8's, not a crash. */
  core_expect(core_context,
              "function loop() { return forward(loop) } try { loop() } catch (e) { "
              "e.message.includes('call stack') }",
              "true");
}
END_TEST

START_TEST(exceptions_pass_through_c) {
  global_function("forward", forward);
  /* Without a slot a new Error is thrown, ... */
  core_expect(core_context,
              "globalThis.thrown = Object.assign(new RangeError('no'), {code: 'ERR_NO'});"
              "try { forward(() => { throw thrown }) }"
              "catch (e) { [e === thrown, e.name, e.message, e.code, e instanceof RangeError] }",
              "false,RangeError,no,ERR_NO,true");
  /* ... with one the very exception, whatever it is. */
  kv8_value *kept = NULL;
  kv8_isolate_keep_exception(core_isolate, &kept);
  core_expect(core_context, "try { forward(() => { throw thrown }) } catch (e) { e === thrown }",
              "true");
  core_expect(core_context, "try { forward(() => { throw 42 }) } catch (e) { e === 42 }", "true");
  core_expect(core_context, "try { forward(() => { throw undefined }) } catch (e) { String(e) }",
              "undefined");
  core_expect(core_context,
              "try { forward(() => forward(() => { throw thrown })) } catch (e) { e === thrown }",
              "true");
  /* An exception that C swallows: the next failure is not taken for it. */
  ck_assert_ptr_nonnull(kept);
  kv8_isolate_keep_exception(core_isolate, NULL);
  kv8_value_free(kept);
}
END_TEST

static void fail_in_c(void *user, kv8_call *call) {
  (void)user;
  kv8_error err;
  kv8_value *made = NULL;
  core_is(kv8_object_get_named(core_context, kv8_call_get_argument(call, 0), kv8_span_from("x"),
                               &made, &err),
          KV8_EINVAL);
  kv8_call_throw_failure(call, &err);
}

START_TEST(a_failure_without_exception_becomes_an_error) {
  global_function("f", fail_in_c);
  kv8_value *kept = NULL;
  kv8_isolate_keep_exception(core_isolate, &kept);
  core_expect(core_context,
              "try { f(1) } catch (e) { [e.name, e.code, e.message, e.stack.split('\\n')[0]] }",
              "Error,ERR_INVALID_ARG_TYPE,object: not an object,Error [ERR_INVALID_ARG_TYPE]: "
              "object: not an object");
  kv8_isolate_keep_exception(core_isolate, NULL);
  kv8_value_free(kept);
}
END_TEST

/* ---- keeping exceptions ---------------------------------------------------------------------- */

START_TEST(keep_exception) {
  kv8_value *kept = NULL;
  kv8_isolate_keep_exception(core_isolate, &kept);
  core_is(core_try(core_context, "throw globalThis.e = {message: 'mine'}", 0), KV8_EEXCEPTION);
  ck_assert_ptr_nonnull(kept);
  kv8_value *global = NULL;
  core_ok(kv8_context_get_global(core_context, kv8_span_from("e"), &global, &core_error));
  bool same = false;
  core_ok(kv8_value_equals(core_context, kept, global, KV8_EQUAL_STRICT, &same, &core_error));
  ck_assert(same);
  kv8_value_free(global);
  /* Success leaves the slot alone, a failure without a value empties it. */
  core_ok(core_try(core_context, "1", 0));
  ck_assert_ptr_nonnull(kept);
  core_is(core_try(core_context, "for (;;) ;", 20), KV8_ETIMEOUT);
  ck_assert_ptr_null(kept);
  core_is(core_try(core_context, "throw undefined", 0), KV8_EEXCEPTION);
  ck_assert_ptr_nonnull(kept);
  ck_assert_int_eq(kv8_value_get_type(kept), KV8_TYPE_UNDEFINED);
  /* A syntax error has one, too. */
  kv8_source source = core_source("let let");
  kv8_script *script = NULL;
  core_is(kv8_script_compile(core_isolate, &source, &script, NULL, NULL), KV8_ESYNTAX);
  ck_assert(kv8_value_is(kept, KV8_CLASS_ERROR));
  kv8_value *mine = kept;
  kept = NULL; /* taking it over is fine */
  core_is(core_try(core_context, "throw 1", 0), KV8_EEXCEPTION);
  kv8_value_free(mine);
  kv8_isolate_keep_exception(core_isolate, NULL);
  core_is(core_try(core_context, "throw 2", 0), KV8_EEXCEPTION);
  ck_assert_double_eq(value_to_double(kept), 1);
  kv8_value_free(kept);
}
END_TEST

START_TEST(end_column) {
  kv8_source source = core_source("\nvar ok; nowhere.x");
  kv8_script *script = NULL;
  core_ok(kv8_script_compile(core_isolate, &source, &script, NULL, &core_error));
  core_is(kv8_script_run(script, core_context, NULL, NULL, &core_error), KV8_EEXCEPTION);
  ck_assert_int_eq(core_error.line, 2);
  ck_assert_int_eq(core_error.column, 9);
  ck_assert_int_ge(core_error.end_column, 10);
  kv8_script_free(script);
  source = core_source("let abc = 'x' 'yz'");
  core_is(kv8_script_compile(core_isolate, &source, &script, NULL, &core_error), KV8_ESYNTAX);
  ck_assert_int_eq(core_error.column, 15);
  ck_assert_int_eq(core_error.end_column, 19);
  core_is(kv8_undefined(NULL, NULL, &core_error), KV8_EINVAL);
  ck_assert_int_eq(core_error.end_column, 0);
}
END_TEST

/* ---- terminations ---------------------------------------------------------------------------- */

static kv8_status inner_status;
static unsigned inner_timeout;
static bool throw_failures = true;

/* Calls its argument under `inner_timeout`, and throws what happens. */
static void guarded(void *user, kv8_call *call) {
  (void)user;
  kv8_run_options options = KV8_RUN_OPTIONS_INIT;
  options.timeout_ms = inner_timeout;
  kv8_error err;
  kv8_value *answer = NULL;
  inner_status = kv8_value_call(core_context, kv8_call_get_argument(call, 0), NULL, NULL, 0,
                                &options, &answer, &err);
  kv8_value_free(answer);
  if (inner_status != KV8_OK && throw_failures) kv8_call_throw_failure(call, &err);
}

START_TEST(an_inner_deadline_is_an_exception_outside) {
  global_function("guarded", guarded);
  inner_timeout = 20;
  core_expect(core_context, "try { guarded(() => { for (;;) ; }) } catch (e) { e.code }",
              "ERR_SCRIPT_EXECUTION_TIMEOUT");
  ck_assert_int_eq(inner_status, KV8_ETIMEOUT);
  /* And the context goes on. */
  core_expect(core_context, "guarded(() => 1); 'alive'", "alive");
}
END_TEST

START_TEST(an_outer_deadline_ends_both) {
  global_function("guarded", guarded);
  inner_timeout = 0;
  core_is(core_try(core_context,
                   "globalThis.caught = 0;"
                   "try { guarded(() => { for (;;) ; }) } catch { caught++ }"
                   " finally { caught++ } caught++",
                   50),
          KV8_ETIMEOUT);
  ck_assert_int_eq(inner_status, KV8_EINTERRUPTED);
  /* Not one instruction of the script ran after the call. */
  core_expect(core_context, "caught", "0");
  /* The same with a deadline inside that is too late to matter. */
  inner_timeout = 60000;
  core_is(core_try(core_context, "try { guarded(() => { for (;;) ; }) } catch { caught++ }", 50),
          KV8_ETIMEOUT);
  ck_assert_int_eq(inner_status, KV8_EINTERRUPTED);
  core_expect(core_context, "caught", "0");
  /* And if the callback keeps it to itself. */
  throw_failures = false;
  core_is(core_try(core_context, "guarded(() => { for (;;) ; }); caught = 1", 50), KV8_ETIMEOUT);
  core_expect(core_context, "caught", "0");
  core_expect(core_context, "guarded(() => { throw 1 }); 'swallowed'", "swallowed");
}
END_TEST

static void interrupt(void *user, kv8_call *call) {
  (void)user;
  kv8_isolate_terminate(kv8_call_get_isolate(call));
  /* Values can still be made, code does not run any more. */
  kv8_value *object = NULL;
  kv8_error err;
  core_ok(kv8_object(core_context, NULL, &object, &err));
  core_is(kv8_object_set_named(core_context, object, kv8_span_from("x"), object, &err),
          KV8_EINTERRUPTED);
  kv8_call_throw(call, object);
  kv8_value_free(object);
}

START_TEST(termination_from_within_a_callback) {
  global_function("interrupt", interrupt);
  core_is(core_try(core_context,
                   "globalThis.after = 0; try { interrupt() } catch { after = 1 } after = 2", 0),
          KV8_EINTERRUPTED);
  ck_assert_str_eq(core_error.code, "ERR_SCRIPT_EXECUTION_INTERRUPTED");
  core_expect(core_context, "after", "0");
  kv8_value *function = NULL;
  core_ok(kv8_context_get_global(core_context, kv8_span_from("interrupt"), &function, &core_error));
  core_is(kv8_value_call(core_context, function, NULL, NULL, 0, NULL, NULL, &core_error),
          KV8_EINTERRUPTED);
  kv8_value_free(function);
  core_expect(core_context, "1 + 1", "2");
}
END_TEST

/* ---- microtasks ------------------------------------------------------------------------------ */

static void touch(void *user, kv8_call *call) {
  (void)user;
  const kv8_value *object = kv8_call_get_argument(call, 0);
  kv8_value *made = NULL;
  core_ok(kv8_object_get_named(kv8_call_get_context(call), object, kv8_span_from("x"), &made,
                               &core_error));
  kv8_value_free(made);
}

START_TEST(microtasks_wait_for_the_outermost_call) {
  static const char source[] =
      "globalThis.log = []; Promise.resolve().then(() => log.push('task'));"
      "touch({get x() { log.push('getter') }}); log.push('end'); log.length";
  global_function("touch", touch);
  core_expect(core_context, source, "2");
  core_expect(core_context, "log.join()", "getter,end,task");
  /* The same with a queue of the context's own. */
  kv8_context_options options = KV8_CONTEXT_OPTIONS_INIT;
  options.microtask_mode = KV8_MICROTASKS_AFTER_EVALUATE;
  kv8_context *context = NULL;
  core_ok(kv8_context_new(core_isolate, &options, &context, &core_error));
  kv8_callback callback = KV8_CALLBACK_INIT;
  callback.fn = touch;
  kv8_value *function = NULL;
  core_ok(kv8_function_from_callback(context, &callback, &function, &core_error));
  core_ok(kv8_context_set_global(context, kv8_span_from("touch"), function, &core_error));
  kv8_value_free(function);
  core_expect(context, source, "2");
  core_expect(context, "log.join()", "getter,end,task");
  kv8_context_free(context);
  /* A call from outside drains, too. */
  kv8_value *task =
      core_value(core_context, "(() => { Promise.resolve().then(() => { globalThis.late = 1 }) })");
  core_ok(kv8_value_call(core_context, task, NULL, NULL, 0, NULL, NULL, &core_error));
  kv8_value_free(task);
  kv8_value *late = NULL;
  core_ok(kv8_context_get_global(core_context, kv8_span_from("late"), &late, &core_error));
  value_expect(late, "1");
}
END_TEST

static void free_the_isolate(void *user, kv8_call *call) {
  (void)user;
  kv8_isolate_free(kv8_call_get_isolate(call));
  kv8_call_return(call, kv8_call_get_argument(call, 0));
}

START_TEST(a_callback_cannot_free_its_isolate) {
  global_function("f", free_the_isolate);
  core_expect(core_context, "f('still here')", "still here");
}
END_TEST

int main(void) {
  TCase *nesting = tcase_create("nesting");
  tcase_add_checked_fixture(nesting, core_setup, core_teardown);
  tcase_set_timeout(nesting, 120);
  tcase_add_test(nesting, calls_nest);
  tcase_add_test(nesting, exceptions_pass_through_c);
  tcase_add_test(nesting, a_failure_without_exception_becomes_an_error);
  tcase_add_test(nesting, keep_exception);
  tcase_add_test(nesting, end_column);
  tcase_add_test(nesting, an_inner_deadline_is_an_exception_outside);
  tcase_add_test(nesting, an_outer_deadline_ends_both);
  tcase_add_test(nesting, termination_from_within_a_callback);
  tcase_add_test(nesting, microtasks_wait_for_the_outermost_call);
  tcase_add_test(nesting, a_callback_cannot_free_its_isolate);
  return core_main(&nesting, 1, "callbacks that nest");
}
