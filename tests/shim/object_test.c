/* SPDX-License-Identifier: MIT
 *
 * object_test.c: objects, properties, prototypes, keys, arrays, proxies and attached data through
 * the C API, with what the language says of each as the measure.
 */
#include "tests/shim/value_test.h"

/* ---- properties ------------------------------------------------------------------------------ */

START_TEST(get_set_has_delete) {
  kv8_value *object = NULL;
  core_ok(kv8_object(core_context, NULL, &object, &core_error));
  kv8_value *key = value_text("a");
  kv8_value *symbol = NULL;
  core_ok(kv8_symbol(core_isolate, kv8_span_from("s"), false, &symbol, &core_error));
  kv8_value *number = value_number(7);
  bool yes = true;
  core_ok(kv8_object_has(core_context, object, key, &yes, &core_error));
  ck_assert(!yes);
  core_ok(kv8_object_set(core_context, object, key, number, &core_error));
  core_ok(kv8_object_set(core_context, object, symbol, number, &core_error));
  core_ok(kv8_object_set_index(core_context, object, 4294967295u, number, &core_error));
  core_ok(kv8_object_set_named(core_context, object, kv8_span_from("é"), number, &core_error));
  core_ok(kv8_object_has(core_context, object, key, &yes, &core_error));
  ck_assert(yes);
  core_ok(kv8_object_has_own(core_context, object, symbol, &yes, &core_error));
  ck_assert(yes);
  kv8_value *made = NULL;
  core_ok(kv8_object_get(core_context, object, symbol, &made, &core_error));
  value_expect(made, "7");
  core_ok(kv8_object_get_named(core_context, object, kv8_span_from("é"), &made, &core_error));
  value_expect(made, "7");
  core_ok(
      kv8_object_get_named(core_context, object, kv8_span_from("toString"), &made, &core_error));
  ck_assert_int_eq(kv8_value_get_type(made), KV8_TYPE_FUNCTION);
  kv8_value_free(made);
  core_ok(kv8_object_get_index(core_context, object, 4294967295u, &made, &core_error));
  value_expect(made, "7");
  core_ok(kv8_object_get_index(core_context, object, 0, &made, &core_error));
  ck_assert_int_eq(kv8_value_get_type(made), KV8_TYPE_UNDEFINED);
  kv8_value_free(made);
  core_ok(kv8_object_delete(core_context, object, key, &yes, &core_error));
  ck_assert(yes);
  core_ok(kv8_object_has(core_context, object, key, &yes, &core_error));
  ck_assert(!yes);
  kv8_value *constant = value_text("length");
  kv8_value *array = core_value(core_context, "[]");
  core_ok(kv8_object_delete(core_context, array, constant, &yes, &core_error));
  ck_assert(!yes);
  /* A key is a string or a symbol, an object an object. */
  value_wrong_type(kv8_object_get(core_context, object, number, &made, &core_error));
  value_wrong_type(kv8_object_get(core_context, number, key, &made, &core_error));
  value_wrong_type(kv8_object_set_named(core_context, key, kv8_span_from("x"), key, &core_error));
  kv8_value_free(array);
  kv8_value_free(constant);
  kv8_value_free(number);
  kv8_value_free(symbol);
  kv8_value_free(key);
  kv8_value_free(object);
}
END_TEST

START_TEST(a_refused_assignment_is_a_type_error) {
  kv8_value *one = value_number(1);
  kv8_value *frozen = core_value(core_context, "Object.freeze({a: 0})");
  value_threw(kv8_object_set_named(core_context, frozen, kv8_span_from("a"), one, &core_error),
              "TypeError", "Cannot assign to read only property 'a' of object '#<Object>'");
  ck_assert_int_eq(core_error.line, 0);
  ck_assert_str_eq(core_error.resource, "");
  ck_assert_str_eq(core_error.source_line, "");
  value_threw(kv8_object_set_named(core_context, frozen, kv8_span_from("b"), one, &core_error),
              "TypeError", "Cannot add property b, object is not extensible");
  kv8_value *getter = core_value(core_context, "({get a() { return 1 }})");
  core_is(kv8_object_set_named(core_context, getter, kv8_span_from("a"), one, &core_error),
          KV8_EEXCEPTION);
  kv8_value *proxy = core_value(core_context, "new Proxy({}, {set() { return false }})");
  core_is(kv8_object_set_named(core_context, proxy, kv8_span_from("a"), one, &core_error),
          KV8_EEXCEPTION);
  ck_assert_str_eq(core_error.name, "TypeError");
  kv8_value *setter = core_value(core_context, "({set a(v) { this.seen = v + 1 }, seen: 0})");
  core_ok(kv8_object_set_named(core_context, setter, kv8_span_from("a"), one, &core_error));
  kv8_value *seen = NULL;
  core_ok(kv8_object_get_named(core_context, setter, kv8_span_from("seen"), &seen, &core_error));
  value_expect(seen, "2");
  kv8_value_free(setter);
  kv8_value_free(proxy);
  kv8_value_free(getter);
  kv8_value_free(frozen);
  kv8_value_free(one);
}
END_TEST

START_TEST(setting_needs_nothing_a_script_can_patch) {
  kv8_value *target = core_value(
      core_context,
      "for (const o of [Object, Reflect]) for (const k of Reflect.ownKeys(o))"
      "  try { o[k] = () => { throw new Error('patched ' + String(k)) } } catch {}"
      "Function.prototype.call = Function.prototype.apply = () => { throw new Error('patched') };"
      "Object.prototype.get = 1; Object.prototype.value = 2; Object.prototype.writable = true; "
      "({})");
  kv8_value *one = value_number(1);
  kv8_value *made = NULL;
  core_ok(kv8_object_set_named(core_context, target, kv8_span_from("a"), one, &core_error));
  core_ok(kv8_object_get_prototype(core_context, target, &made, &core_error));
  core_ok(kv8_object_set_prototype(core_context, target, made, &core_error));
  kv8_value_free(made);
  core_ok(kv8_object_freeze(core_context, target, &core_error));
  kv8_value *key = value_text("a");
  kv8_property property = KV8_PROPERTY_INIT;
  bool found = false;
  core_ok(kv8_object_get_property(core_context, target, key, &property, &found, &core_error));
  ck_assert(found);
  ck_assert_ptr_null(property.get);
  ck_assert_int_eq(property.writable, KV8_FALSE);
  kv8_property_release(&property);
  kv8_value_free(key);
  kv8_value_free(one);
  kv8_value_free(target);
}
END_TEST

START_TEST(define_and_get_property) {
  kv8_value *object = core_value(core_context, "globalThis.o = {}; o");
  kv8_value *key = value_text("x");
  kv8_value *one = value_number(1);
  kv8_property property = KV8_PROPERTY_INIT;
  bool answer = false;
  property.value = one;
  property.enumerable = KV8_TRUE;
  core_ok(kv8_object_define(core_context, object, key, &property, &answer, &core_error));
  ck_assert(answer);
  core_expect(core_context, "JSON.stringify(Object.getOwnPropertyDescriptor(o, 'x'))",
              "{\"value\":1,\"writable\":false,\"enumerable\":true,\"configurable\":false}");
  /* Not configurable: another value is refused. */
  kv8_value *two = value_number(2);
  property.value = two;
  answer = true;
  core_ok(kv8_object_define(core_context, object, key, &property, &answer, &core_error));
  ck_assert(!answer);
  core_is(kv8_object_define(core_context, object, key, &property, NULL, &core_error),
          KV8_EEXCEPTION);
  ck_assert_str_eq(core_error.name, "TypeError");
  /* An accessor. */
  kv8_value *accessor = value_text("y");
  kv8_property pair = KV8_PROPERTY_INIT;
  pair.get = core_value(core_context, "(function() { return 42 })");
  pair.configurable = KV8_TRUE;
  core_ok(kv8_object_define(core_context, object, accessor, &pair, NULL, &core_error));
  core_expect(core_context, "o.y", "42");
  core_expect(core_context,
              "const d = Object.getOwnPropertyDescriptor(o, 'y'); [d.set, d.enumerable, "
              "d.configurable].join()",
              ",false,true");
  kv8_property got = KV8_PROPERTY_INIT;
  core_ok(kv8_object_get_property(core_context, object, accessor, &got, &answer, &core_error));
  ck_assert(answer);
  ck_assert_int_eq(kv8_value_get_type(got.get), KV8_TYPE_FUNCTION);
  ck_assert_int_eq(kv8_value_get_type(got.set), KV8_TYPE_UNDEFINED);
  ck_assert_ptr_null(got.value);
  ck_assert_int_eq(got.writable, KV8_ABSENT);
  ck_assert_int_eq(got.configurable, KV8_TRUE);
  kv8_property_release(&got);
  kv8_property_release(&got);
  /* What is absent stays as it is. */
  kv8_property only = KV8_PROPERTY_INIT;
  only.enumerable = KV8_TRUE;
  core_ok(kv8_object_define(core_context, object, accessor, &only, NULL, &core_error));
  core_expect(core_context, "Object.keys(o).join() + o.y", "x,y42");
  /* Both kinds at once, or what is no function. */
  pair.value = one;
  core_is(kv8_object_define(core_context, object, accessor, &pair, NULL, &core_error), KV8_EINVAL);
  pair.value = NULL;
  kv8_value *function = pair.get;
  pair.get = one;
  value_wrong_type(kv8_object_define(core_context, object, accessor, &pair, NULL, &core_error));
  pair.get = function;
  kv8_value *nothing = value_text("none");
  core_ok(kv8_object_get_property(core_context, object, nothing, &got, &answer, &core_error));
  ck_assert(!answer);
  ck_assert_ptr_null(got.value);
  only.struct_size = 3;
  core_is(kv8_object_define(core_context, object, key, &only, NULL, &core_error), KV8_EINVAL);
  kv8_value_free(nothing);
  kv8_value_free(function);
  kv8_value_free(accessor);
  kv8_value_free(two);
  kv8_value_free(one);
  kv8_value_free(key);
  kv8_value_free(object);
}
END_TEST

START_TEST(own_keys) {
  static const struct {
    kv8_keys which;
    const char *expected;
  } cases[] = {{KV8_KEYS_ENUMERABLE, "[ '1', 'a' ]"},
               {KV8_KEYS_STRINGS, "[ '1', 'a', 'hidden' ]"},
               {KV8_KEYS_SYMBOLS, "[ Symbol(s) ]"},
               {KV8_KEYS_ALL, "[ '1', 'a', 'hidden', Symbol(s) ]"}};
  kv8_value *object =
      core_value(core_context,
                 "const o = {a: 1, 1: 2, [Symbol('s')]: 3, __proto__: {inherited: 1}};"
                 "Object.defineProperty(o, 'hidden', {value: 1})");
  kv8_value *keys = NULL;
  for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
    core_ok(kv8_object_get_own_keys(core_context, object, cases[i].which, &keys, &core_error));
    value_expect_inspected(keys, cases[i].expected);
  }
  core_is(kv8_object_get_own_keys(core_context, object, (kv8_keys)9, &keys, &core_error),
          KV8_EINVAL);
  kv8_value_free(object);
}
END_TEST

START_TEST(prototypes) {
  kv8_value *parent = core_value(core_context, "globalThis.parent = {from: 'parent'}; parent");
  kv8_value *object = NULL;
  core_ok(kv8_object(core_context, parent, &object, &core_error));
  kv8_value *made = NULL;
  core_ok(kv8_object_get_named(core_context, object, kv8_span_from("from"), &made, &core_error));
  value_expect(made, "parent");
  bool same = false;
  core_ok(kv8_object_get_prototype(core_context, object, &made, &core_error));
  core_ok(kv8_value_equals(core_context, made, parent, KV8_EQUAL_SAME, &same, &core_error));
  ck_assert(same);
  kv8_value_free(made);
  value_threw(kv8_object_set_prototype(core_context, parent, object, &core_error), "TypeError",
              "Cyclic __proto__ value");
  kv8_value *null = NULL;
  core_ok(kv8_null(core_isolate, &null, &core_error));
  core_ok(kv8_object_set_prototype(core_context, object, null, &core_error));
  core_ok(kv8_object_get_prototype(core_context, object, &made, &core_error));
  ck_assert_int_eq(kv8_value_get_type(made), KV8_TYPE_NULL);
  kv8_value_free(made);
  kv8_value_free(object);
  core_ok(kv8_object(core_context, null, &object, &core_error));
  core_ok(kv8_object_freeze(core_context, object, &core_error));
  core_is(kv8_object_set_prototype(core_context, object, parent, &core_error), KV8_EEXCEPTION);
  ck_assert_str_eq(core_error.name, "TypeError");
  kv8_value *proxy =
      core_value(core_context, "new Proxy({}, {getPrototypeOf() { return Map.prototype }})");
  core_ok(kv8_object_get_prototype(core_context, proxy, &made, &core_error));
  kv8_value_free(made);
  kv8_value *number = value_number(1);
  value_wrong_type(kv8_object_set_prototype(core_context, object, number, &core_error));
  value_wrong_type(kv8_object(core_context, number, &made, &core_error));
  kv8_value_free(number);
  kv8_value_free(proxy);
  kv8_value_free(null);
  kv8_value_free(object);
  kv8_value_free(parent);
}
END_TEST

START_TEST(freeze_and_seal) {
  kv8_value *object = core_value(core_context, "globalThis.f = {a: 1}; f");
  core_ok(kv8_object_seal(core_context, object, &core_error));
  core_expect(core_context, "Object.isSealed(f) && !Object.isFrozen(f)", "true");
  core_ok(kv8_object_freeze(core_context, object, &core_error));
  core_expect(core_context, "Object.isFrozen(f)", "true");
  kv8_value_free(object);
  object = core_value(core_context, "new Uint8Array(1)");
  core_is(kv8_object_freeze(core_context, object, &core_error), KV8_EEXCEPTION);
  kv8_value_free(object);
}
END_TEST

START_TEST(constructor_names) {
  static const char *const cases[][2] = {
      {"new Map", "Map"},
      {"class Deep {}; new Deep", "Deep"},
      {"({})", "Object"},
      {"Object.create(null)", "Object"},
      {"(function f() {})", "Function"},
      {"({get constructor() { throw 1 }})", "Object"},
  };
  for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
    kv8_value *object = core_value(core_context, cases[i][0]);
    kv8_blob name = {NULL, 0};
    core_ok(kv8_object_copy_constructor_name(object, &name, &core_error));
    ck_assert_msg(
        name.length == strlen(cases[i][1]) && memcmp(name.data, cases[i][1], name.length) == 0,
        "%s: %.*s", cases[i][0], (int)name.length, (const char *)name.data);
    kv8_blob_free(&name);
    kv8_value_free(object);
  }
}
END_TEST

/* ---- proxies --------------------------------------------------------------------------------- */

START_TEST(a_proxy_that_throws) {
  kv8_value *proxy = core_value(
      core_context,
      "new Proxy({}, new Proxy({}, {get(_, trap) { return () => { throw new RangeError(trap) } "
      "}}))");
  kv8_value *key = value_text("k");
  kv8_value *made = NULL;
  bool yes = false;
  kv8_property property = KV8_PROPERTY_INIT;
  value_threw(kv8_object_get(core_context, proxy, key, &made, &core_error), "RangeError", "get");
  value_threw(kv8_object_set(core_context, proxy, key, key, &core_error), "RangeError", "set");
  value_threw(kv8_object_has(core_context, proxy, key, &yes, &core_error), "RangeError", "has");
  value_threw(kv8_object_has_own(core_context, proxy, key, &yes, &core_error), "RangeError",
              "getOwnPropertyDescriptor");
  value_threw(kv8_object_delete(core_context, proxy, key, &yes, &core_error), "RangeError",
              "deleteProperty");
  value_threw(kv8_object_define(core_context, proxy, key, &property, &yes, &core_error),
              "RangeError", "defineProperty");
  value_threw(kv8_object_get_property(core_context, proxy, key, &property, &yes, &core_error),
              "RangeError", "getOwnPropertyDescriptor");
  value_threw(kv8_object_get_own_keys(core_context, proxy, KV8_KEYS_ALL, &made, &core_error),
              "RangeError", "ownKeys");
  value_threw(kv8_object_get_prototype(core_context, proxy, &made, &core_error), "RangeError",
              "getPrototypeOf");
  value_threw(kv8_object_set_prototype(core_context, proxy, proxy, &core_error), "RangeError",
              "setPrototypeOf");
  value_threw(kv8_object_freeze(core_context, proxy, &core_error), "RangeError",
              "preventExtensions");
  ck_assert_ptr_null(made);
  kv8_value_free(key);
  kv8_value_free(proxy);
}
END_TEST

START_TEST(proxy_get) {
  kv8_value *proxy = core_value(core_context, "globalThis.p = Proxy.revocable([1], {}); p.proxy");
  kv8_value *target = NULL;
  kv8_value *handler = NULL;
  core_ok(kv8_proxy_get(proxy, &target, &handler, &core_error));
  value_expect_inspected(target, "[ 1 ]");
  ck_assert_int_eq(kv8_value_get_type(handler), KV8_TYPE_OBJECT);
  kv8_value_free(handler);
  ck_assert_int_eq(core_try(core_context, "p.revoke()", 0), KV8_OK);
  core_ok(kv8_proxy_get(proxy, &target, &handler, &core_error));
  ck_assert_int_eq(kv8_value_get_type(target), KV8_TYPE_NULL);
  ck_assert_int_eq(kv8_value_get_type(handler), KV8_TYPE_NULL);
  kv8_value_free(handler);
  /* A revoked one answers everything with a TypeError. */
  core_is(kv8_object_get_prototype(core_context, proxy, &handler, &core_error), KV8_EEXCEPTION);
  kv8_value_free(proxy);
  value_wrong_type(kv8_proxy_get(target, &target, &handler, &core_error));
  kv8_value_free(target);
}
END_TEST

/* ---- collections and arrays ------------------------------------------------------------------ */

START_TEST(preview_entries) {
  static const struct {
    const char *source;
    bool pairs;
    const char *expected;
  } cases[] = {{"new Map([[1, 2], [3, 4]])", true, "[ 1, 2, 3, 4 ]"},
               {"new Set([1, 2])", false, "[ 1, 2 ]"},
               {"new Map([[1, 2]]).keys()", false, "[ 1 ]"},
               {"new Map([[1, 2]]).entries()", true, "[ 1, 2 ]"},
               {"const i = new Set([5, 6]).values(); i.next(); i", false, "[ 6 ]"}};
  for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
    kv8_value *object = core_value(core_context, cases[i].source);
    kv8_value *entries = NULL;
    bool pairs = !cases[i].pairs;
    core_ok(kv8_object_preview_entries(core_context, object, &entries, &pairs, &core_error));
    ck_assert_msg(pairs == cases[i].pairs, "%s", cases[i].source);
    value_expect_inspected(entries, cases[i].expected);
    kv8_value_free(object);
  }
  kv8_value *plain = core_value(core_context, "({})");
  kv8_value *entries = NULL;
  value_wrong_type(kv8_object_preview_entries(core_context, plain, &entries, NULL, &core_error));
  kv8_value_free(plain);
}
END_TEST

START_TEST(arrays) {
  kv8_value *one = value_number(1);
  const kv8_value *elements[] = {one, NULL, one};
  kv8_value *array = NULL;
  uint32_t length = 0;
  core_ok(kv8_array(core_context, elements, 3, &array, &core_error));
  core_ok(kv8_array_get_length(array, &length, &core_error));
  ck_assert_uint_eq(length, 3);
  value_expect_inspected(array, "[ 1, undefined, 1 ]");
  core_ok(kv8_array(core_context, NULL, 0, &array, &core_error));
  value_expect_inspected(array, "[]");
  core_is(kv8_array(core_context, NULL, 1, &array, &core_error), KV8_EINVAL);
  core_is(kv8_array(core_context, elements, (size_t)1 << 40, &array, &core_error), KV8_ETOOBIG);
  value_wrong_type(kv8_array_get_length(one, &length, &core_error));
  kv8_value_free(one);
}
END_TEST

/* ---- attached data --------------------------------------------------------------------------- */

static int tag_a;
static int tag_b;
static int released;

static void release(void *data) {
  (void)data;
  released++;
}

START_TEST(attach) {
  int data = 1;
  int other = 2;
  kv8_value *object = core_value(core_context, "({})");
  ck_assert_ptr_null(kv8_object_get_attached(object, &tag_a));
  core_ok(kv8_object_attach(core_context, object, &tag_a, &data, release, &core_error));
  core_is(kv8_object_attach(core_context, object, &tag_a, &other, release, &core_error),
          KV8_ESTATE);
  core_ok(kv8_object_attach(core_context, object, &tag_b, &other, NULL, &core_error));
  ck_assert_ptr_eq(kv8_object_get_attached(object, &tag_a), &data);
  ck_assert_ptr_eq(kv8_object_get_attached(object, &tag_b), &other);
  /* Not to what inherits from it, nor to a proxy of it; and it shows in no list of keys. */
  kv8_value *heir = NULL;
  core_ok(kv8_object(core_context, object, &heir, &core_error));
  ck_assert_ptr_null(kv8_object_get_attached(heir, &tag_a));
  kv8_value_free(heir);
  kv8_value *keys = NULL;
  core_ok(kv8_object_get_own_keys(core_context, object, KV8_KEYS_ALL, &keys, &core_error));
  value_expect_inspected(keys, "[]");
  kv8_value *frozen = core_value(core_context, "Object.freeze(new Proxy({}, {}))");
  core_ok(kv8_object_attach(core_context, frozen, &tag_a, &data, release, &core_error));
  ck_assert_ptr_eq(kv8_object_get_attached(frozen, &tag_a), &data);
  kv8_value *number = value_number(1);
  value_wrong_type(kv8_object_attach(core_context, number, &tag_a, &data, release, &core_error));
  ck_assert_ptr_null(kv8_object_get_attached(number, &tag_a));
  ck_assert_ptr_null(kv8_object_get_attached(NULL, &tag_a));
  kv8_value_free(number);
  ck_assert_int_eq(released, 0);
  kv8_value_free(object);
  kv8_isolate_collect_garbage(core_isolate);
  ck_assert_int_eq(released, 1);
  kv8_value_free(frozen);
  /* The rest goes with the isolate. */
  kv8_context_free(core_context);
  kv8_isolate_free(core_isolate);
  ck_assert_int_eq(released, 2);
  core_ok(kv8_isolate_new(NULL, &core_isolate, &core_error));
  core_ok(kv8_context_new(core_isolate, NULL, &core_context, &core_error));
}
END_TEST

#define ATTACHED_OBJECTS 100000

START_TEST(attached_data_goes_with_its_objects) {
  kv8_isolate_options options = KV8_ISOLATE_OPTIONS_INIT;
  options.heap_max_bytes = 16u << 20;
  kv8_isolate *isolate = NULL;
  kv8_context *context = NULL;
  core_ok(kv8_isolate_new(&options, &isolate, &core_error));
  core_ok(kv8_context_new(isolate, NULL, &context, &core_error));
  for (int i = 0; i < ATTACHED_OBJECTS; i++) {
    kv8_value *object = NULL;
    core_ok(kv8_object(context, NULL, &object, &core_error));
    core_ok(kv8_object_attach(context, object, &tag_a, &tag_a, release, &core_error));
    kv8_value_free(object);
  }
  ck_assert_int_gt(released, ATTACHED_OBJECTS / 2);
  kv8_context_free(context);
  kv8_isolate_free(isolate);
  ck_assert_int_eq(released, ATTACHED_OBJECTS);
}
END_TEST

/* ---- inspect --------------------------------------------------------------------------------- */

START_TEST(inspect) {
  kv8_value *format = value_text("%s is %d%%");
  kv8_value *name = value_text("a");
  kv8_value *number = value_number(5);
  const kv8_value *values[] = {format, name, number, NULL};
  kv8_blob text = {NULL, 0};
  core_ok(kv8_value_inspect(core_context, values, 4, &text, &core_error));
  static const char expected[] = "a is 5% undefined";
  ck_assert_uint_eq(text.length, sizeof(expected) - 1);
  ck_assert_mem_eq(text.data, expected, text.length);
  kv8_blob_free(&text);
  core_ok(kv8_value_inspect(core_context, NULL, 0, &text, &core_error));
  ck_assert_uint_eq(text.length, 0);
  values[0] = format;
  kv8_value_free(name);
  values[1] = name = core_value(core_context, "({toString() { throw new Error('never') }})");
  core_is(kv8_value_inspect(core_context, values, 2, &text, &core_error), KV8_EEXCEPTION);
  value_expect_inspected(core_value(core_context, "({a: [1, {b: new Map([[1, {}]])}]})"),
                         "{ a: [ 1, { b: [Map] } ] }");
  kv8_value_free(number);
  kv8_value_free(name);
  kv8_value_free(format);
}
END_TEST

int main(void) {
  TCase *objects = tcase_create("objects");
  tcase_add_checked_fixture(objects, core_setup, core_teardown);
  tcase_set_timeout(objects, 60);
  tcase_add_test(objects, get_set_has_delete);
  tcase_add_test(objects, a_refused_assignment_is_a_type_error);
  tcase_add_test(objects, setting_needs_nothing_a_script_can_patch);
  tcase_add_test(objects, define_and_get_property);
  tcase_add_test(objects, own_keys);
  tcase_add_test(objects, prototypes);
  tcase_add_test(objects, freeze_and_seal);
  tcase_add_test(objects, constructor_names);
  tcase_add_test(objects, a_proxy_that_throws);
  tcase_add_test(objects, proxy_get);
  tcase_add_test(objects, preview_entries);
  tcase_add_test(objects, arrays);
  tcase_add_test(objects, attach);
  tcase_add_test(objects, attached_data_goes_with_its_objects);
  tcase_add_test(objects, inspect);
  return core_main(&objects, 1, "objects");
}
