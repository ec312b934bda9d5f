/* SPDX-License-Identifier: MIT
 *
 * promise_test.c: promises made, settled and watched by C, microtasks, and unhandled rejections.
 */
#include "tests/shim/value_test.h"

static kv8_value *new_promise(const char *name) {
  kv8_value *promise = NULL;
  core_ok(kv8_promise(core_context, &promise, &core_error));
  kv8_value *copy = NULL;
  core_ok(kv8_value_copy(promise, &copy, &core_error));
  value_global(name, copy);
  return promise;
}

static void expect_state(const kv8_value *promise, kv8_promise_state expected, const char *text) {
  kv8_promise_state state = (kv8_promise_state)-1;
  kv8_value *result = NULL;
  core_ok(kv8_promise_get(promise, &state, &result, &core_error));
  ck_assert_int_eq(state, expected);
  if (expected == KV8_PROMISE_PENDING) {
    ck_assert_ptr_null(result);
  } else {
    value_expect(result, text);
  }
}

/* ---- settling -------------------------------------------------------------------------------- */

START_TEST(resolve_and_reject) {
  kv8_value *text = value_text("done");
  kv8_value *promise = new_promise("p");
  expect_state(promise, KV8_PROMISE_PENDING, NULL);
  core_ok(core_try(core_context, "p.then(v => { globalThis.seen = v })", 0));
  core_ok(kv8_promise_resolve(core_context, promise, text, &core_error));
  expect_state(promise, KV8_PROMISE_FULFILLED, "done");
  /* The call was the outermost one: reactions have run. */
  core_expect(core_context, "seen", "done");
  /* Later ones do nothing. */
  core_ok(kv8_promise_reject(core_context, promise, NULL, &core_error));
  expect_state(promise, KV8_PROMISE_FULFILLED, "done");
  kv8_value_free(promise);
  promise = new_promise("q");
  core_ok(core_try(core_context, "q.catch(e => { globalThis.seen = 'no ' + e })", 0));
  core_ok(kv8_promise_reject(core_context, promise, text, &core_error));
  expect_state(promise, KV8_PROMISE_REJECTED, "done");
  core_expect(core_context, "seen", "no done");
  kv8_value_free(promise);
  promise = new_promise("r");
  core_ok(kv8_promise_resolve(core_context, promise, NULL, &core_error));
  expect_state(promise, KV8_PROMISE_FULFILLED, "undefined");
  kv8_value_free(promise);
  kv8_value_free(text);
}
END_TEST

START_TEST(a_thenable_is_followed_and_only_once) {
  kv8_value *inner = new_promise("inner");
  kv8_value *outer = new_promise("outer");
  kv8_value *text = value_text("late");
  kv8_value *early = value_text("early");
  core_ok(kv8_promise_resolve(core_context, outer, inner, &core_error));
  expect_state(outer, KV8_PROMISE_PENDING, NULL);
  /* It waits for `inner` now; nothing else settles it. */
  core_ok(kv8_promise_resolve(core_context, outer, early, &core_error));
  core_ok(kv8_promise_reject(core_context, outer, early, &core_error));
  expect_state(outer, KV8_PROMISE_PENDING, NULL);
  core_ok(kv8_promise_resolve(core_context, inner, text, &core_error));
  expect_state(outer, KV8_PROMISE_FULFILLED, "late");
  kv8_value_free(outer);
  /* A thenable of the script's own; one whose `then` throws rejects. */
  kv8_value *thenable =
      core_value(core_context, "({then(resolve) { resolve('mine'); resolve('twice') }})");
  outer = new_promise("outer2");
  core_ok(kv8_promise_resolve(core_context, outer, thenable, &core_error));
  expect_state(outer, KV8_PROMISE_FULFILLED, "mine");
  kv8_value_free(thenable);
  kv8_value_free(outer);
  thenable = core_value(core_context, "({get then() { throw 'thrown' }})");
  outer = new_promise("outer3");
  core_ok(core_try(core_context, "outer3.catch(() => {})", 0));
  core_ok(kv8_promise_resolve(core_context, outer, thenable, &core_error));
  expect_state(outer, KV8_PROMISE_REJECTED, "thrown");
  kv8_value_free(thenable);
  kv8_value_free(outer);
  outer = new_promise("outer4");
  core_ok(core_try(core_context, "outer4.catch(() => {})", 0));
  core_ok(kv8_promise_resolve(core_context, outer, outer, &core_error));
  expect_state(outer, KV8_PROMISE_REJECTED,
               "TypeError: Chaining cycle detected for promise "
               "#<Promise>");
  kv8_value_free(outer);
  kv8_value_free(early);
  kv8_value_free(text);
  kv8_value_free(inner);
}
END_TEST

START_TEST(what_is_no_promise_of_ours) {
  kv8_value *number = value_number(1);
  kv8_value *foreign = core_value(core_context, "new Promise(() => {})");
  kv8_value *thenable = core_value(core_context, "({then() {}})");
  kv8_promise_state state;
  kv8_value *made = NULL;
  value_wrong_type(kv8_promise_get(number, &state, &made, &core_error));
  value_wrong_type(kv8_promise_get(thenable, &state, &made, &core_error));
  value_wrong_type(kv8_promise_resolve(core_context, number, NULL, &core_error));
  /* The script's own promise is the script's to settle. */
  value_wrong_type(kv8_promise_resolve(core_context, foreign, NULL, &core_error));
  value_wrong_type(kv8_promise_then(core_context, thenable, NULL, NULL, NULL, &core_error));
  value_wrong_type(kv8_promise_then(core_context, foreign, number, NULL, NULL, &core_error));
  value_wrong_type(kv8_promise_mark_handled(number, &core_error));
  core_ok(kv8_promise_get(foreign, &state, NULL, &core_error));
  ck_assert_int_eq(state, KV8_PROMISE_PENDING);
  kv8_value_free(thenable);
  kv8_value_free(foreign);
  kv8_value_free(number);
}
END_TEST

/* ---- then ------------------------------------------------------------------------------------ */

START_TEST(then) {
  core_ok(core_try(core_context,
                   "Promise.prototype.then = Promise.prototype.catch = () => { throw 'patched' }",
                   0));
  kv8_value *promise = new_promise("p");
  kv8_value *twice = core_value(core_context, "(x => x + x)");
  kv8_value *rescue = core_value(core_context, "(e => 'rescued ' + e)");
  kv8_value *doubled = NULL;
  kv8_value *passed = NULL;
  kv8_value *rescued = NULL;
  core_ok(kv8_promise_then(core_context, promise, twice, NULL, &doubled, &core_error));
  core_ok(kv8_promise_then(core_context, promise, NULL, rescue, &passed, &core_error));
  core_ok(kv8_promise_then(core_context, promise, NULL, NULL, NULL, &core_error));
  kv8_value *text = value_text("ab");
  core_ok(kv8_promise_resolve(core_context, promise, text, &core_error));
  expect_state(doubled, KV8_PROMISE_FULFILLED, "abab");
  expect_state(passed, KV8_PROMISE_FULFILLED, "ab");
  kv8_value_free(promise);
  promise = new_promise("q");
  core_ok(kv8_promise_then(core_context, promise, NULL, rescue, &rescued, &core_error));
  kv8_value_free(doubled);
  core_ok(kv8_promise_then(core_context, promise, twice, NULL, &doubled, &core_error));
  core_ok(kv8_promise_reject(core_context, promise, text, &core_error));
  expect_state(rescued, KV8_PROMISE_FULFILLED, "rescued ab");
  expect_state(doubled, KV8_PROMISE_REJECTED, "ab");
  kv8_value_free(text);
  kv8_value_free(rescued);
  kv8_value_free(passed);
  kv8_value_free(doubled);
  kv8_value_free(rescue);
  kv8_value_free(twice);
  kv8_value_free(promise);
}
END_TEST

/* ---- microtasks ------------------------------------------------------------------------------ */

START_TEST(microtasks_TM06) {
  kv8_value *task = core_value(core_context, "globalThis.log = []; (() => { log.push('task') })");
  core_ok(kv8_enqueue_microtask(core_context, task, &core_error));
  core_expect(core_context, "log.push('run'); log.join()", "run");
  core_expect(core_context, "log.join()", "run,task");
  core_ok(kv8_enqueue_microtask(core_context, task, &core_error));
  core_ok(kv8_isolate_drain_microtasks(core_isolate, 0, &core_error));
  core_expect(core_context, "log.join()", "run,task,task");
  kv8_value *number = value_number(1);
  value_wrong_type(kv8_enqueue_microtask(core_context, number, &core_error));
  kv8_value_free(number);
  /* Into the queue of the context that is named, whoever made the function. */
  kv8_context_options options = KV8_CONTEXT_OPTIONS_INIT;
  options.microtask_mode = KV8_MICROTASKS_AFTER_EVALUATE;
  kv8_context *own = NULL;
  core_ok(kv8_context_new(core_isolate, &options, &own, &core_error));
  core_ok(kv8_enqueue_microtask(own, task, &core_error));
  core_ok(kv8_isolate_drain_microtasks(core_isolate, 0, &core_error));
  core_expect(core_context, "log.length", "3");
  core_ok(core_try(own, "1", 0));
  core_expect(core_context, "log.length", "4");
  kv8_context_free(own);
  /* One that throws harms nobody; one that loops has the drain's deadline. */
  kv8_value *throws = core_value(core_context, "(() => { throw new Error('lost') })");
  core_ok(kv8_enqueue_microtask(core_context, throws, &core_error));
  core_ok(kv8_enqueue_microtask(core_context, task, &core_error));
  core_ok(kv8_isolate_drain_microtasks(core_isolate, 0, &core_error));
  core_expect(core_context, "log.length", "5");
  kv8_value *loop = core_value(core_context, "(() => { for (;;) ; })");
  core_ok(kv8_enqueue_microtask(core_context, loop, &core_error));
  core_is(kv8_isolate_drain_microtasks(core_isolate, 20, &core_error), KV8_ETIMEOUT);
  core_expect(core_context, "log.length", "5");
  kv8_value_free(loop);
  kv8_value_free(throws);
  kv8_value_free(task);
}
END_TEST

/* ---- unhandled rejections -------------------------------------------------------------------- */

static struct {
  int unhandled;
  int handled;
  kv8_value *promise;
  char reason[64];
} heard;

static void on_rejection(void *user, kv8_rejection what, const kv8_value *promise,
                         const kv8_value *reason) {
  ck_assert_ptr_eq(user, &heard);
  ck_assert(kv8_value_is(promise, KV8_CLASS_PROMISE));
  if (what == KV8_REJECTION_HANDLED) {
    ck_assert_ptr_null(reason);
    heard.handled++;
    return;
  }
  heard.unhandled++;
  kv8_blob text = {NULL, 0};
  core_ok(kv8_value_to_string(core_context, reason, &text, &core_error));
  ck_assert_uint_lt(text.length, sizeof(heard.reason));
  memcpy(heard.reason, text.data, text.length);
  heard.reason[text.length] = '\0';
  kv8_blob_free(&text);
  kv8_value_free(heard.promise);
  core_ok(kv8_value_copy(promise, &heard.promise, &core_error));
}

START_TEST(rejections_are_told) {
  kv8_isolate_set_on_rejection(core_isolate, on_rejection, &heard);
  core_ok(core_try(core_context, "globalThis.p = Promise.reject('why')", 0));
  ck_assert_int_eq(heard.unhandled, 1);
  ck_assert_str_eq(heard.reason, "why");
  ck_assert_int_eq(heard.handled, 0);
  expect_state(heard.promise, KV8_PROMISE_REJECTED, "why");
  core_ok(core_try(core_context, "p.catch(() => {})", 0));
  ck_assert_int_eq(heard.handled, 1);
  core_ok(core_try(core_context, "Promise.resolve(1).then(() => { throw 'in then' })", 0));
  ck_assert_int_eq(heard.unhandled, 2);
  ck_assert_str_eq(heard.reason, "in then");
  /* Settling twice is nothing to tell of. */
  core_ok(core_try(core_context, "new Promise((a, b) => { a(1); b(2); a(3) })", 0));
  ck_assert_int_eq(heard.unhandled, 2);
  /* What C rejects is told, too, unless it is marked. */
  kv8_value *text = value_text("from C");
  kv8_value *promise = new_promise("q");
  core_ok(kv8_promise_reject(core_context, promise, text, &core_error));
  ck_assert_str_eq(heard.reason, "from C");
  ck_assert_int_eq(heard.unhandled, 3);
  kv8_value_free(promise);
  promise = new_promise("r");
  core_ok(kv8_promise_mark_handled(promise, &core_error));
  core_ok(kv8_promise_reject(core_context, promise, text, &core_error));
  ck_assert_int_eq(heard.unhandled, 3);
  kv8_value_free(promise);
  kv8_isolate_set_on_rejection(core_isolate, NULL, NULL);
  core_ok(core_try(core_context, "Promise.reject(1)", 0));
  ck_assert_int_eq(heard.unhandled, 3);
  kv8_value_free(text);
  kv8_value_free(heard.promise);
}
END_TEST

/* Guest code runs within the hook, throws, and rejects again. */
static int depth;
static kv8_status expected_of_reason;

static void hostile(void *user, kv8_rejection what, const kv8_value *promise,
                    const kv8_value *reason) {
  (void)user;
  (void)promise;
  if (what != KV8_REJECTED_UNHANDLED || depth > 3) return;
  depth++;
  kv8_value *made = NULL;
  kv8_error err;
  ck_assert_int_eq(kv8_object_get_named(core_context, reason, kv8_span_from("x"), &made, &err),
                   expected_of_reason);
}

START_TEST(a_hook_may_run_code) {
  kv8_isolate_set_on_rejection(core_isolate, hostile, NULL);
  expected_of_reason = KV8_EEXCEPTION;
  core_expect(core_context,
              "const reason = {get x() { Promise.reject(reason); throw new Error('getter') }};"
              "Promise.reject(reason); 'went on'",
              "went on");
  ck_assert_int_eq(depth, 4);
  /* A loop in it ends with the run. */
  depth = 3;
  expected_of_reason = KV8_EINTERRUPTED;
  core_is(core_try(core_context, "Promise.reject({get x() { for (;;) ; }})", 100), KV8_ETIMEOUT);
  core_expect(core_context, "'alive'", "alive");
}
END_TEST

int main(void) {
  TCase *promises = tcase_create("promises");
  tcase_add_checked_fixture(promises, core_setup, core_teardown);
  tcase_set_timeout(promises, 60);
  tcase_add_test(promises, resolve_and_reject);
  tcase_add_test(promises, a_thenable_is_followed_and_only_once);
  tcase_add_test(promises, what_is_no_promise_of_ours);
  tcase_add_test(promises, then);
  tcase_add_test(promises, microtasks_TM06);
  tcase_add_test(promises, rejections_are_told);
  tcase_add_test(promises, a_hook_may_run_code);
  return core_main(&promises, 1, "promises");
}
