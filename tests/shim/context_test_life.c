/* SPDX-License-Identifier: MIT
 *
 * context_test_life.c: who owns a context and a tied script, in which order they may be freed, and
 * that they are collected.
 */
#include "tests/shim/context_test.h"

/* ---- ends ----------------------------------------------------------------------------------- */

START_TEST(P26_closures_outlive_the_handle) {
  box it = new_box("o = {x: 1}");
  kv8_value *function = core_value(
      it.context,
      "(function (v) { if (v) { x = v; y = v; } return [x, typeof z, typeof y].join() })");
  kv8_value *global = NULL;
  core_ok(kv8_context_copy_global(it.context, &global, &core_error));
  kv8_context_free(it.context);
  for (int i = 0; i < 3; ++i) kv8_isolate_collect_garbage(core_isolate);
  set_global(core_context, "f", function);
  set_global(core_context, "g", global);
  core_expect(core_context, "f()", "1,undefined,undefined");
  core_expect(core_context, "f(9)", "9,undefined,number");
  core_expect(core_context, "[o.x, o.y].join()", "9,9");
  core_expect(core_context, "g.z = 3; f()", "9,number,number");
  core_expect(core_context, "delete g.z; Object.keys(g).join()", "x,y");
  core_expect(core_context, "g.eval('x + 1')", "10");
  kv8_value_free(global);
  kv8_value_free(function);
  kv8_value_free(it.object);
  core_expect(core_context, "f = g = o = undefined", "undefined");
  ck_assert_uint_eq(native_contexts(), 1);
}
END_TEST

START_TEST(freed_in_any_order) {
  enum { kContexts = 4 };
  for (unsigned seed = 0; seed < 24; ++seed) {
    kv8_value *objects[kContexts];
    kv8_context *contexts[kContexts];
    for (unsigned i = 0; i < kContexts; ++i) {
      objects[i] = core_value(core_context, "shared = {f: globalThis.shared && shared.f, n: 1}");
      contexts[i] =
          contextified(i == 0 ? NULL : objects[i],
                       i % 2 == 0 ? KV8_MICROTASKS_AFTER_EVALUATE : KV8_MICROTASKS_SHARED);
      set_global(contexts[i], "n", objects[i]);
      core_ok(core_try(contexts[i], "globalThis.f = () => n", 0));
    }
    /* The seed-th permutation. */
    unsigned left = kContexts, rest = seed;
    unsigned order[kContexts] = {0, 1, 2, 3};
    for (; left > 0; --left) {
      unsigned pick = rest % left;
      rest /= left;
      unsigned index = order[pick];
      order[pick] = order[left - 1];
      if (seed % 2 == 0) kv8_value_free(objects[index]);
      kv8_context_free(contexts[index]);
      if (seed % 2 != 0) kv8_value_free(objects[index]);
      if (seed % 3 == 0) kv8_isolate_collect_garbage(core_isolate);
      core_expect(core_context, "typeof shared", "object");
    }
  }
  core_expect(core_context, "shared = undefined", "undefined");
  ck_assert_uint_eq(native_contexts(), 1);
}
END_TEST

START_TEST(tied_to_its_object) {
  box it = new_box("o = {x: 1}");
  kv8_value *primitive = core_value(core_context, "1");
  core_is(kv8_context_tie(it.context, primitive, &core_error), KV8_EINVAL);
  core_is(kv8_context_tie(it.context, NULL, &core_error), KV8_EINVAL);
  core_is(kv8_context_tie(NULL, it.object, &core_error), KV8_EINVAL);
  box other = new_box("({})");
  core_is(kv8_context_tie(it.context, other.object, &core_error), KV8_ESTATE);
  core_ok(kv8_context_tie(it.context, it.object, &core_error));
  core_is(kv8_context_tie(it.context, it.object, &core_error), KV8_ESTATE);
  kv8_context_free(it.context); /* does nothing */
  for (int i = 0; i < 3; ++i) kv8_isolate_collect_garbage(core_isolate);
  ck_assert_ptr_eq(kv8_context_of(it.object), it.context);
  core_expect(it.context, "x = 2; x", "2");
  ck_assert_uint_eq(native_contexts(), 3);
  core_expect(core_context, "o = undefined", "undefined");
  kv8_value_free(it.object);
  kv8_value_free(primitive);
  ck_assert_uint_eq(native_contexts(), 2);
  free_box(&other);
}
END_TEST

START_TEST(tied_to_its_global_or_another) {
  kv8_context *plain = NULL;
  core_ok(kv8_context_new(core_isolate, NULL, &plain, &core_error));
  kv8_value *global = NULL;
  core_ok(kv8_context_copy_global(plain, &global, &core_error));
  core_ok(kv8_context_tie(plain, global, &core_error));
  ck_assert_ptr_eq(kv8_context_of(global), plain); /* N08 */
  kv8_isolate_collect_garbage(core_isolate);
  core_expect(plain, "typeof Array", "function");
  /* The code of a context keeps it, too. */
  kv8_value *function = core_value(plain, "(() => globalThis)");
  kv8_value_free(global);
  ck_assert_uint_eq(native_contexts(), 2);
  set_global(core_context, "f", function);
  kv8_value_free(function);
  kv8_value *again = core_value(core_context, "f()");
  ck_assert_ptr_eq(kv8_context_of(again), plain);
  kv8_value_free(again);
  core_expect(core_context, "f = undefined", "undefined");
  ck_assert_uint_eq(native_contexts(), 1);

  kv8_value *object = core_value(core_context, "({})");
  core_ok(kv8_context_new(core_isolate, NULL, &plain, &core_error));
  core_ok(kv8_context_tie(plain, object, &core_error));
  ck_assert_uint_eq(native_contexts(), 2);
  ck_assert_ptr_eq(kv8_context_of(object), plain);
  kv8_value_free(object);
  ck_assert_uint_eq(native_contexts(), 1);
}
END_TEST

START_TEST(scripts_can_be_tied) {
  kv8_value *object = core_value(core_context, "o = {}");
  kv8_script *script = core_compile("n = (globalThis.n || 0) + 1");
  kv8_script *second = core_compile("2");
  ck_assert_ptr_null(kv8_script_of(object));
  core_ok(kv8_script_tie(script, object, &core_error));
  core_is(kv8_script_tie(script, object, &core_error), KV8_ESTATE);
  core_is(kv8_script_tie(second, object, &core_error), KV8_ESTATE);
  kv8_script_free(script); /* does nothing */
  for (int i = 0; i < 3; ++i) kv8_isolate_collect_garbage(core_isolate);
  ck_assert_ptr_eq(kv8_script_of(object), script);
  core_expect_script(script, core_context, "1");
  core_expect_script(script, core_context, "2");
  kv8_script_free(second);
  kv8_value_free(object);
  core_ok(core_try(core_context, "o = undefined", 0));
  kv8_isolate_collect_garbage(core_isolate); /* with a leak checker: freed */
  ck_assert_ptr_null(kv8_script_of(NULL));
}
END_TEST

START_TEST(isolate_freed_before_tied_handles) {
  box it = new_box("({})");
  core_ok(kv8_context_tie(it.context, it.object, &core_error));
  kv8_script *script = core_compile("1");
  core_ok(kv8_script_tie(script, it.object, &core_error));
  kv8_value_free(it.object);
  /* The fixture frees the isolate; a leak checker looks for the rest. */
}
END_TEST

#if !defined(KV8_CHECK_LIFETIMES) /* which aborts here on purpose */
START_TEST(isolate_freed_first) {
  kv8_isolate *isolate = NULL;
  core_ok(kv8_isolate_new(NULL, &isolate, &core_error));
  kv8_isolate *kept = core_isolate;
  kv8_context *kept_context = core_context;
  core_isolate = isolate;
  core_ok(kv8_context_new(isolate, NULL, &core_context, &core_error));
  kv8_context *plain = core_context;
  box it = new_box("({x: 1})");
  kv8_value *function = core_value(it.context, "() => x");
  kv8_isolate_free(isolate);
  kv8_context_options options = KV8_CONTEXT_OPTIONS_INIT;
  kv8_value *value = NULL;
  core_is(kv8_context_copy_global(it.context, &value, &core_error), KV8_EINVAL);
  core_is(kv8_context_copy_contextified(it.context, &value, &core_error), KV8_EINVAL);
  core_is(kv8_context_tie(it.context, it.object, &core_error), KV8_EINVAL);
  core_is(kv8_context_drain_microtasks(it.context, 0, &core_error), KV8_EINVAL);
  core_is(kv8_context_configure(it.context, &options, &core_error), KV8_EINVAL);
  options.contextify = it.object;
  core_is(kv8_context_new(kept, &options, &plain, &core_error), KV8_EINVAL);
  ck_assert_ptr_null(kv8_context_of(it.object));
  ck_assert_ptr_null(kv8_script_of(it.object));
  ck_assert_ptr_null(value);
  kv8_value_free(function);
  free_box(&it);
  kv8_context_free(core_context);
  core_isolate = kept;
  core_context = kept_context;
}
END_TEST
#endif

/* ---- leaks ---------------------------------------------------------------------------------- */

/* 1,000 contexts of one kind, dropped one by one under a 16 MB heap: ended by its limit if they
 * stay. Everything in them refers to everything else. */
static void drop_contexts(bool contextify, kv8_microtask_mode mode, bool tie, unsigned count) {
  for (unsigned i = 0; i < count; ++i) {
    kv8_value *object = core_value(core_context, "({n: 1, self() { return this; }})");
    kv8_context *context = contextified(contextify ? object : NULL, mode);
    kv8_value *owner = NULL;
    if (contextify) {
      core_ok(kv8_value_copy(object, &owner, &core_error));
    } else {
      core_ok(kv8_context_copy_global(context, &owner, &core_error));
    }
    set_global(context, "owner", owner);
    core_ok(core_try(context,
                     "f = () => owner; owner.g = f; h = Promise.resolve(1).then(() => f());"
                     "owner.list = Array(100).fill().map(() => () => owner); 0",
                     i % 10 == 0 ? 1000 : 0));
    if (tie) {
      core_ok(kv8_context_tie(context, owner, &core_error));
    }
    kv8_value_free(owner);
    kv8_value_free(object);
    kv8_context_free(context);
  }
  ck_assert_uint_eq(native_contexts(), 1);
}

static const struct {
  bool contextify;
  kv8_microtask_mode mode;
  bool tie;
} drops[] = {
    {false, KV8_MICROTASKS_SHARED, false}, {false, KV8_MICROTASKS_AFTER_EVALUATE, false},
    {true, KV8_MICROTASKS_SHARED, false},  {true, KV8_MICROTASKS_AFTER_EVALUATE, false},
    {false, KV8_MICROTASKS_SHARED, true},  {false, KV8_MICROTASKS_AFTER_EVALUATE, true},
    {true, KV8_MICROTASKS_SHARED, true},   {true, KV8_MICROTASKS_AFTER_EVALUATE, true},
};

START_TEST(P27_contexts_are_collected) {
  core_engine();
  kv8_isolate_options options = KV8_ISOLATE_OPTIONS_INIT;
  options.heap_max_bytes = (size_t)16 << 20;
  core_ok(kv8_isolate_new(&options, &core_isolate, &core_error));
  core_ok(kv8_context_new(core_isolate, NULL, &core_context, &core_error));
  drop_contexts(drops[_i].contextify, drops[_i].mode, drops[_i].tie, 1000);
  core_teardown();
}
END_TEST

int main(void) {
  TCase *ends = tcase_create("ends");
  tcase_add_checked_fixture(ends, core_setup, core_teardown);
  tcase_set_timeout(ends, 120);
  tcase_add_test(ends, P26_closures_outlive_the_handle);
  tcase_add_test(ends, freed_in_any_order);
  tcase_add_test(ends, tied_to_its_object);
  tcase_add_test(ends, tied_to_its_global_or_another);
  tcase_add_test(ends, scripts_can_be_tied);
  tcase_add_test(ends, isolate_freed_before_tied_handles);
#if !defined(KV8_CHECK_LIFETIMES)
  tcase_add_test(ends, isolate_freed_first);
#endif
  TCase *leaks = tcase_create("leaks");
  tcase_set_timeout(leaks, 300);
  tcase_add_loop_test(leaks, P27_contexts_are_collected, 0, (int)(sizeof drops / sizeof drops[0]));
  TCase *cases[] = {ends, leaks};
  return core_main(cases, sizeof cases / sizeof cases[0], "context_life");
}
