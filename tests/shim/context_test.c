/* SPDX-License-Identifier: MIT
 *
 * context_test.c: contexts as Node's vm has them: plain and contextified ones, and what they share.
 * What code does to single globals is contextify_table.js's, who owns them context_test_life.c's.
 */
#include <stdio.h>

#include "tests/shim/context_test.h"

/* ---- what they are -------------------------------------------------------------------------- */

START_TEST(G04_changes_are_the_object_s) {
  box it = new_box("o = {x: 2}");
  core_expect(it.context, "x += 40; var y = 17; x", "42");
  core_expect(core_context, "[o.x, o.y, typeof x, typeof y].join()", "42,17,undefined,undefined");
  core_expect(it.context, "typeof Array", "function"); /* CC02 */
  core_expect(core_context, "Object.keys(o).join()", "x,y");
  free_box(&it);
}
END_TEST

START_TEST(N03_a_plain_context_s_global_is_its_globalThis) {
  kv8_context *plain = NULL;
  core_ok(kv8_context_new(core_isolate, NULL, &plain, &core_error));
  kv8_value *global = NULL;
  core_ok(kv8_context_copy_global(plain, &global, &core_error));
  kv8_value *seen = core_value(plain, "globalThis");
  ck_assert(same(global, seen));
  kv8_value_free(seen);
  kv8_value *object = global; /* untouched where there is none would be wrong: NULL */
  core_ok(kv8_context_copy_contextified(plain, &object, &core_error));
  ck_assert_ptr_null(object);
  /* N04: it can be changed from outside, and gives the built-ins. */
  set_global(core_context, "inner", global);
  core_expect(core_context, "inner.a = 1; [inner.Array !== Array, typeof inner.Array].join()",
              "true,function");
  core_expect(plain, "a", "1");
  core_expect(core_context, "Object.keys(inner).join()", "a");
  /* N05 */
  core_expect(core_context, "Object.freeze(inner); inner.b = 1; typeof inner.b", "undefined");
  core_expect(plain, "bar = 1; typeof bar", "undefined");
  core_is(core_try(plain, "bar", 0), KV8_EEXCEPTION);
  ck_assert_str_eq(core_error.name, "ReferenceError");
  kv8_value_free(global);
  kv8_context_free(plain);
}
END_TEST

START_TEST(N05_frozen_from_inside) {
  core_expect(core_context,
              "a = 1; Object.freeze(globalThis); a = 2; bar = 1; [a, typeof bar] + ''",
              "1,undefined");
}
END_TEST

START_TEST(N06_a_contextified_global_cannot_be_frozen) {
  box it = new_box("o = {x: 1}");
  core_is(core_try(it.context, "Object.freeze(globalThis)", 0), KV8_EEXCEPTION);
  ck_assert_str_eq(core_error.name, "TypeError");
  kv8_value *global = NULL;
  core_ok(kv8_context_copy_global(it.context, &global, &core_error));
  ck_assert(!same(global, it.object));
  kv8_value *object = NULL;
  core_ok(kv8_context_copy_contextified(it.context, &object, &core_error));
  ck_assert(same(object, it.object));
  kv8_value_free(global);
  kv8_value_free(object);
  free_box(&it);
}
END_TEST

START_TEST(IC01_who_has_a_context) {
  box it = new_box("o = {x: 1}");
  ck_assert_ptr_eq(kv8_context_of(it.object), it.context);
  kv8_value *other = core_value(core_context, "({})");
  ck_assert_ptr_null(kv8_context_of(other));
  /* D20: the global of a contextified one is no context. */
  kv8_value *global = NULL;
  core_ok(kv8_context_copy_global(it.context, &global, &core_error));
  ck_assert_ptr_null(kv8_context_of(global));
  /* Not an inherited one. */
  kv8_value *heir = core_value(core_context, "Object.create(o)");
  ck_assert_ptr_null(kv8_context_of(heir));
  kv8_value *primitive = core_value(core_context, "1");
  ck_assert_ptr_null(kv8_context_of(primitive));
  ck_assert_ptr_null(kv8_context_of(NULL));
  /* CC06: the caller finds the one there is. */
  kv8_context_options options = KV8_CONTEXT_OPTIONS_INIT;
  kv8_context *second = NULL;
  options.contextify = it.object;
  core_is(kv8_context_new(core_isolate, &options, &second, &core_error), KV8_ESTATE);
  options.contextify = primitive; /* CC05 */
  core_is(kv8_context_new(core_isolate, &options, &second, &core_error), KV8_EINVAL);
  ck_assert_str_eq(core_error.code, "ERR_INVALID_ARG_TYPE");
  ck_assert_ptr_null(second);
  kv8_context_free(it.context);
  ck_assert_ptr_null(kv8_context_of(it.object));
  it.context = contextified(it.object, KV8_MICROTASKS_SHARED); /* its place is free again */
  ck_assert_ptr_eq(kv8_context_of(it.object), it.context);
  core_expect(it.context, "x", "1");
  kv8_value_free(other);
  kv8_value_free(global);
  kv8_value_free(heir);
  kv8_value_free(primitive);
  free_box(&it);
}
END_TEST

START_TEST(any_object_will_do) {
  static const char *const objects[] = {"Object.freeze({x: 1})",
                                        "new Proxy({x: 1}, {})",
                                        "new Proxy(Object.freeze({x: 1}), {})",
                                        "Object.assign(() => 0, {x: 1})",
                                        "Object.assign([], {x: 1})",
                                        "Object.create(null, {x: {value: 1}})"};
  for (size_t i = 0; i < sizeof objects / sizeof objects[0]; ++i) {
    box it = new_box(objects[i]);
    ck_assert_ptr_eq(kv8_context_of(it.object), it.context);
    core_expect(it.context, "x", "1");
    free_box(&it);
  }
  kv8_value *proxy =
      core_value(core_context, "new Proxy({}, new Proxy({}, {get() { throw Error('trap') }}))");
  kv8_context *context = contextified(proxy, KV8_MICROTASKS_SHARED); /* runs no trap */
  ck_assert_ptr_eq(kv8_context_of(proxy), context);
  core_is(core_try(context, "x", 0), KV8_EEXCEPTION);
  ck_assert_str_eq(core_error.message, "trap");
  core_ok(core_try(context, "let y = 1; y", 0));
  kv8_context_free(context);
  kv8_value_free(proxy);
}
END_TEST

START_TEST(contextified_of_contextified) {
  box outer = new_box("o = {x: 1, deep: {y: 2}}");
  kv8_value *deep = core_value(outer.context, "deep");
  kv8_context *inner = contextified(deep, KV8_MICROTASKS_SHARED);
  core_expect(inner, "y = 3; z = 4; typeof x", "undefined");
  core_expect(core_context, "[o.deep.y, o.deep.z].join()", "3,4");
  /* A plain context's global is an object like others. */
  kv8_value *global = NULL;
  core_ok(kv8_context_copy_global(core_context, &global, &core_error));
  kv8_context *third = contextified(global, KV8_MICROTASKS_SHARED);
  core_expect(third, "v = 5; o.x = 6; [v, o.x].join()", "5,6");
  core_expect(core_context, "v", "5");
  kv8_context_free(outer.context);
  kv8_isolate_collect_garbage(core_isolate);
  core_expect(third, "o.x = 7; o.x", "7");
  core_expect(inner, "y", "3");
  core_expect(core_context, "o.x", "7");
  kv8_context_free(third);
  kv8_context_free(inner);
  kv8_value_free(global);
  kv8_value_free(deep);
  kv8_value_free(outer.object);
}
END_TEST

START_TEST(all_contexts_trust_each_other) {
  kv8_context *plain = NULL;
  core_ok(kv8_context_new(core_isolate, NULL, &plain, &core_error));
  box it = new_box("({})");
  kv8_value *globals[2] = {NULL, NULL};
  core_ok(kv8_context_copy_global(plain, &globals[0], &core_error));
  core_ok(kv8_context_copy_global(it.context, &globals[1], &core_error));
  for (int i = 0; i < 2; ++i) {
    set_global(core_context, "g", globals[i]);
    core_expect(core_context, "g.v = 1; g.f = () => 2; [g.v, g.f(), g.eval('v + 1')].join()",
                "1,2,2");
    core_expect(core_context, "Object.getOwnPropertyNames(g).includes('v')", "true");
  }
  set_global(plain, "g", globals[1]);
  core_expect(plain, "g.v = 5; g.eval('v')", "5");
  kv8_value_free(globals[0]);
  kv8_value_free(globals[1]);
  free_box(&it);
  kv8_context_free(plain);
}
END_TEST

START_TEST(P23_a_getter_that_does_not_end) {
  box it = new_box("({get x() { for (;;); }, get y() { return 1; }})");
  core_is(core_try(it.context, "x", 50), KV8_ETIMEOUT);
  core_is(core_try(it.context, "try { x } catch (e) {} y", 50), KV8_ETIMEOUT);
  core_expect(it.context, "y", "1");
  free_box(&it);
  box proxy = new_box("new Proxy({}, {ownKeys() { for (;;); }, set() { for (;;); }})");
  core_is(core_try(proxy.context, "Object.keys(globalThis)", 50), KV8_ETIMEOUT);
  core_is(core_try(proxy.context, "x = 1", 50), KV8_ETIMEOUT);
  core_ok(core_try(proxy.context, "1", 0));
  free_box(&proxy);
}
END_TEST

/* Official Node ends its process here: "Invalid property descriptor". */
START_TEST(P20_a_polluted_descriptor_does_not_abort) {
  box it = new_box("({x: 1})");
  core_expect(it.context,
              "Object.prototype.get = 1; Object.prototype.set = 2;"
              "var d = Object.getOwnPropertyDescriptor(globalThis, 'x');"
              "delete Object.prototype.get; delete Object.prototype.set; d.value",
              "1");
  core_expect(core_context, "Object.prototype.get = 1; 0", "0");
  core_expect(it.context, "Object.getOwnPropertyDescriptor(globalThis, 'x').value", "1");
  core_expect(core_context, "delete Object.prototype.get", "true");
  free_box(&it);
}
END_TEST

static void count_line(void *user, const char *level, kv8_span text) {
  (void)level;
  (void)text;
  ++*(unsigned *)user;
}

START_TEST(console_and_json_of_a_contextified_one) {
  static const char *const objects[] = {"({x: 1, console: {log() { return 'mine' }}})",
                                        "({x: 1, get console() { throw Error('no') }})",
                                        "({x: 1})"};
  static const char *const answers[] = {"mine", "no", "undefined"};
  static const unsigned lines[] = {0, 0, 1};
  for (size_t i = 0; i < 3; ++i) {
    unsigned count = 0;
    kv8_value *object = core_value(core_context, objects[i]);
    kv8_context_options options = KV8_CONTEXT_OPTIONS_INIT;
    options.contextify = object;
    options.on_console = count_line;
    options.on_console_user = &count;
    kv8_context *context = NULL;
    core_ok(kv8_context_new(core_isolate, &options, &context, &core_error));
    core_expect(context, "try { console.log(1) } catch (e) { e.message }", answers[i]);
    ck_assert_uint_eq(count, lines[i]);
    if (i == 2) {
      core_ok(kv8_context_set_globals_json(context, kv8_span_from("{\"y\": [2]}"), &core_error));
      kv8_blob json = {NULL, 0};
      core_ok(kv8_context_globals_to_json(context, NULL, &json, &core_error));
      ck_assert_uint_eq(json.length, strlen("{\"x\":1,\"y\":[2]}"));
      ck_assert_int_eq(memcmp(json.data, "{\"x\":1,\"y\":[2]}", json.length), 0);
      kv8_blob_free(&json);
      set_global(core_context, "o", object);
      set_global(context, "z", object);
      core_expect(core_context, "[o.y[0], o.z === o].join()", "2,true");
      core_expect(context, "[y[0], z === globalThis].join()", "2,true");
    }
    kv8_context_free(context);
    kv8_value_free(object);
  }
}
END_TEST

/* Anything may throw; nothing may abort, and the context must work afterwards. */
static const char fuzzed[] =
    "const random = (n) => (seed = (seed * 1103515245 + 12345) & 0x7fffffff) % n;"
    "const keys = ['x', 'y', '0', '1', '4294967295', '__proto__', 'Array', 'toString', 'undefined',"
    "  'constructor', Symbol.iterator, Symbol.toStringTag, Symbol.for('s'), 'globalThis', 'self'];"
    "const key = () => keys[random(keys.length)];"
    "const values = [1, null, undefined, 'text', () => 1, {}, [], g, o, Symbol.for('v'), 10n];"
    "const value = () => values[random(values.length)];"
    "const flag = () => random(2) === 0;"
    "const descriptor = () => { const d = {};"
    "  if (flag()) { d.value = value(); if (flag()) d.writable = flag(); }"
    "  else { if (flag()) d.get = flag() ? () => { throw 1 } : () => g;"
    "         if (flag()) d.set = flag() ? () => { throw 2 } : (v) => v; }"
    "  if (flag()) d.enumerable = flag(); if (flag()) d.configurable = flag(); return d; };"
    "const on = () => [g, o, Object.create(g)][random(3)];"
    "const acts = [() => on()[key()], () => { on()[key()] = value(); }, () => delete on()[key()],"
    "  () => Object.defineProperty(on(), key(), descriptor()), () => key() in on(),"
    "  () => Reflect.set(on(), key(), value(), on()), () => Reflect.get(on(), key(), on()),"
    "  () => Object.getOwnPropertyDescriptor(on(), key()), () => Object.keys(on()),"
    "  () => Reflect.ownKeys(on()), () => { for (const k in on()); },"
    "  () => Object.getOwnPropertyDescriptors(on()), () => Object.hasOwn(on(), key()),"
    "  () => JSON.stringify(on()), () => ({...on()}), () => Object.entries(on()),"
    "  () => { if (random(9) === 0) Object.setPrototypeOf(on(), flag() ? null : {p: 1}); },"
    "  () => { if (random(9) === 0) Object.setPrototypeOf(on(), new Proxy({}, {})); },"
    "  () => { if (random(40) === 0) Object.freeze(on()); },"
    "  () => { if (random(40) === 0) Object.preventExtensions(on()); },"
    "  () => g.eval(`var ${String.fromCharCode(120 + random(2))} = 1`),"
    "  () => g.eval(`'use strict'; x = y`), () => g.eval(`function x() {}`), () => g.eval('delete "
    "x'),"
    "  () => g.eval(`with ({x: 1}) { x = y }`), () => g.eval(`typeof x + typeof z`),"
    "  () => g.eval('{ let x = 1; y = x }'), () => String(on()), () => on() instanceof Object];"
    "let thrown = 0;"
    "for (let i = 0; i < 3000; ++i) { try { acts[random(acts.length)](); } catch (e) { ++thrown; } "
    "}"
    "thrown > 0";

START_TEST(P21_random_operations) {
  static const char *const objects[] = {
      "({x: 1, get y() { return this; }, set y(v) { this.z = v; }})",
      "new Proxy({x: 1}, {})",
      ("new Proxy({}, new Proxy({}, {get(t, name) { return (...a) => { if (Math.random() < 0.3)"
       " throw Error(name); return Reflect[name](...a); }; }}))"),
      "Object.create(new Proxy({x: 1}, {get(t, k) { if (k === 'y') throw 1; return t[k]; }}))",
      "[1, 2, 3]",
      "new Uint8Array(4)",
      "Object.freeze({x: 1})",
      "(function () { return arguments })(1)",
      "Object('text')"};
  char text[64];
  for (unsigned i = 0; i < sizeof objects / sizeof objects[0]; ++i) {
    box it = new_box(objects[i]);
    kv8_value *global = NULL;
    core_ok(kv8_context_copy_global(it.context, &global, &core_error));
    for (unsigned round = 0; round < 4; ++round) {
      kv8_context *driver = NULL;
      core_ok(kv8_context_new(core_isolate, NULL, &driver, &core_error));
      set_global(driver, "g", global);
      set_global(driver, "o", it.object);
      snprintf(text, sizeof text, "var seed = %u", 1000 * (unsigned)_i + 10 * i + round);
      core_ok(core_try(driver, text, 0));
      core_expect(driver, fuzzed, "true");
      kv8_context_free(driver);
    }
    core_expect(it.context, "let fine = 2; fine", "2");
    kv8_value_free(global);
    free_box(&it);
  }
}
END_TEST

START_TEST(P38_near_the_end_of_the_stack) {
  box it = new_box("({get deep() { return deeper(); }})");
  kv8_value *global = NULL;
  core_ok(kv8_context_copy_global(it.context, &global, &core_error));
  set_global(core_context, "g", global);
  core_expect(core_context, "deeper = () => g.deep; try { g.deep } catch (e) { e.name }",
              "RangeError");
  core_expect(
      core_context,
      "f = (n) => { try { f(n + 1) } finally { g.n = n; delete g.n; n in g; Object.keys(g); }"
      "}; try { f(0) } catch (e) { e.name }",
      "RangeError");
  core_expect(it.context, "1", "1");
  kv8_value_free(global);
  free_box(&it);
}
END_TEST

/* ---- configure, microtasks ------------------------------------------------------------------ */

START_TEST(configure_contextifies_and_back) {
  kv8_value *object = core_value(core_context, "o = {x: 1}");
  kv8_context *context = NULL;
  core_ok(kv8_context_new(core_isolate, NULL, &context, &core_error));
  kv8_context_options options = KV8_CONTEXT_OPTIONS_INIT;
  options.contextify = object;
  options.name = kv8_span_from("mine");
  core_ok(kv8_context_configure(context, &options, &core_error));
  ck_assert_ptr_eq(kv8_context_of(object), context);
  core_expect(context, "y = 2; x", "1");
  core_expect(core_context, "o.y", "2");
  core_ok(kv8_context_configure(context, &options, &core_error)); /* the same again */
  core_expect(context, "x + y", "3");
  options.contextify = NULL;
  core_ok(kv8_context_configure(context, &options, &core_error));
  ck_assert_ptr_null(kv8_context_of(object));
  core_expect(context, "typeof x", "undefined");
  options.contextify = object;
  options.microtask_mode = KV8_MICROTASKS_AFTER_EVALUATE;
  core_ok(kv8_context_configure(context, &options, &core_error));
  core_expect(context, "Promise.resolve().then(() => { z = 3 }); x", "1");
  core_expect(core_context, "o.z", "3");
  core_ok(kv8_context_tie(context, object, &core_error));
  options.microtask_mode = KV8_MICROTASKS_SHARED;
  core_is(kv8_context_configure(context, &options, &core_error), KV8_ESTATE);
  kv8_value_free(object);
}
END_TEST

START_TEST(P14_drain_resumes_what_waits_inside) {
  kv8_value *object = core_value(core_context, "o = {}");
  kv8_context *inner = contextified(object, KV8_MICROTASKS_AFTER_EVALUATE);
  /* PR03: the continuation is the inner queue's, which nobody drains. */
  core_expect(inner, "p = new Promise((r) => { go = r }); p.then(() => { done = 1 }); 0", "0");
  core_expect(core_context, "o.go(); typeof o.done", "undefined");
  core_expect(core_context, "typeof o.done", "undefined");
  core_ok(kv8_context_drain_microtasks(inner, 0, &core_error));
  core_expect(core_context, "o.done", "1");
  /* Under its deadline. */
  core_expect(inner, "q = new Promise((r) => { go = r }); q.then(() => { for (;;); }); 0", "0");
  core_expect(core_context, "o.go(); 0", "0");
  core_is(kv8_context_drain_microtasks(inner, 50, &core_error), KV8_ETIMEOUT);
  core_expect(inner, "done", "1");
  /* A shared one drains the isolate's. */
  core_ok(kv8_context_drain_microtasks(core_context, 0, &core_error));
  core_is(kv8_context_drain_microtasks(NULL, 0, &core_error), KV8_EINVAL);
  kv8_context_free(inner);
  kv8_value_free(object);
}
END_TEST

int main(void) {
  TCase *contexts = tcase_create("contexts");
  tcase_add_checked_fixture(contexts, core_setup, core_teardown);
  tcase_set_timeout(contexts, 120);
  tcase_add_test(contexts, G04_changes_are_the_object_s);
  tcase_add_test(contexts, N03_a_plain_context_s_global_is_its_globalThis);
  tcase_add_test(contexts, N05_frozen_from_inside);
  tcase_add_test(contexts, N06_a_contextified_global_cannot_be_frozen);
  tcase_add_test(contexts, IC01_who_has_a_context);
  tcase_add_test(contexts, any_object_will_do);
  tcase_add_test(contexts, contextified_of_contextified);
  tcase_add_test(contexts, all_contexts_trust_each_other);
  tcase_add_test(contexts, P23_a_getter_that_does_not_end);
  tcase_add_test(contexts, P20_a_polluted_descriptor_does_not_abort);
  tcase_add_test(contexts, console_and_json_of_a_contextified_one);
  tcase_add_loop_test(contexts, P21_random_operations, 0, 5);
  tcase_add_test(contexts, P38_near_the_end_of_the_stack);
  tcase_add_test(contexts, configure_contextifies_and_back);
  tcase_add_test(contexts, P14_drain_resumes_what_waits_inside);
  TCase *cases[] = {contexts};
  return core_main(cases, sizeof cases / sizeof cases[0], "context");
}
