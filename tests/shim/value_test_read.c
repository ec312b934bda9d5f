/* SPDX-License-Identifier: MIT
 *
 * value_test_read.c: primitives made, told apart, read, converted and compared.
 */
#include <float.h>
#include <math.h>
#include <stdio.h>

#include "tests/shim/value_test.h"

START_TEST(types) {
  static const struct {
    const char *source;
    kv8_type type;
  } cases[] = {{"undefined", KV8_TYPE_UNDEFINED},
               {"null", KV8_TYPE_NULL},
               {"false", KV8_TYPE_BOOLEAN},
               {"1.5", KV8_TYPE_NUMBER},
               {"1n", KV8_TYPE_BIGINT},
               {"''", KV8_TYPE_STRING},
               {"Symbol()", KV8_TYPE_SYMBOL},
               {"(() => {})", KV8_TYPE_FUNCTION},
               {"(class {})", KV8_TYPE_FUNCTION},
               {"new Proxy(function() {}, {})", KV8_TYPE_FUNCTION},
               {"new Proxy({}, {})", KV8_TYPE_OBJECT},
               {"[]", KV8_TYPE_OBJECT},
               {"new String('')", KV8_TYPE_OBJECT}};
  for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
    kv8_value *value = core_value(core_context, cases[i].source);
    ck_assert_msg(kv8_value_get_type(value) == cases[i].type, "%s", cases[i].source);
    kv8_value_free(value);
  }
  ck_assert_int_eq(kv8_value_get_type(NULL), KV8_TYPE_UNDEFINED);
}
END_TEST

/* Every class, and what else the value is. */
START_TEST(classes) {
#define BIT(name) (1u << KV8_CLASS_##name)
  static const struct {
    const char *source;
    unsigned expected;
  } cases[] = {{"[]", BIT(ARRAY)},
               {"new ArrayBuffer(1)", BIT(ARRAY_BUFFER)},
               {"new SharedArrayBuffer(1)", BIT(SHARED_ARRAY_BUFFER)},
               {"new Uint8Array(1)", BIT(ARRAY_BUFFER_VIEW) | BIT(TYPED_ARRAY) | BIT(UINT8_ARRAY)},
               {"new Float64Array(1)", BIT(ARRAY_BUFFER_VIEW) | BIT(TYPED_ARRAY)},
               {"new DataView(new ArrayBuffer(1))", BIT(ARRAY_BUFFER_VIEW) | BIT(DATA_VIEW)},
               {"new Date", BIT(DATE)},
               {"/x/", BIT(REGEXP)},
               {"new Map", BIT(MAP)},
               {"new Set", BIT(SET)},
               {"new WeakMap", BIT(WEAK_MAP)},
               {"new WeakSet", BIT(WEAK_SET)},
               {"new Map().keys()", BIT(MAP_ITERATOR)},
               {"new Set().keys()", BIT(SET_ITERATOR)},
               {"Promise.resolve()", BIT(PROMISE)},
               {"new Proxy({}, {})", BIT(PROXY)},
               {"new RangeError", BIT(ERROR)},
               {"(function() { return arguments })()", BIT(ARGUMENTS)},
               {"(async function() {})", BIT(ASYNC_FUNCTION)},
               {"(function*() {})", BIT(GENERATOR_FUNCTION)},
               {"(function*() {})()", BIT(GENERATOR)},
               {"new Boolean(1)", BIT(BOOLEAN_OBJECT)},
               {"new Number(1)", BIT(NUMBER_OBJECT)},
               {"new String(1)", BIT(STRING_OBJECT)},
               {"Object(Symbol())", BIT(SYMBOL_OBJECT)},
               {"Object(1n)", BIT(BIGINT_OBJECT)},
               {"Object.create(Error.prototype)", 0},
               {"({__proto__: Map.prototype})", 0},
               {"1", 0},
               {"'x'", 0}};
  for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
    kv8_value *value = core_value(core_context, cases[i].source);
    for (unsigned bit = 0; bit <= KV8_CLASS_EXTERNAL; bit++) {
      ck_assert_msg(kv8_value_is(value, (kv8_class)bit) == ((cases[i].expected >> bit & 1u) != 0),
                    "%s is (not) of class %u", cases[i].source, bit);
    }
    ck_assert(!kv8_value_is(value, (kv8_class)1000));
    ck_assert(!kv8_value_is(value, (kv8_class)-1));
    kv8_value_free(value);
  }
  ck_assert(!kv8_value_is(NULL, KV8_CLASS_ARRAY));
#undef BIT
}
END_TEST

START_TEST(reading_numbers) {
  static const double samples[] = {0, -0.0, 1, -1, 0.1, 4294967296.0, DBL_MAX, INFINITY, 1e-310};
  for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
    kv8_value *value = value_number(samples[i]);
    double back = value_to_double(value);
    ck_assert_mem_eq(&back, &samples[i], sizeof back);
    kv8_value_free(value);
  }
  kv8_value *nan = value_number(NAN);
  ck_assert(isnan(value_to_double(nan)));
  kv8_value_free(nan);
  static const struct {
    const char *source;
    double expected;
  } conversions[] = {
      {"'12'", 12}, {"true", 1}, {"null", 0}, {"({valueOf() { return 3 }})", 3}, {"[7]", 7}};
  for (size_t i = 0; i < sizeof(conversions) / sizeof(conversions[0]); i++) {
    kv8_value *value = core_value(core_context, conversions[i].source);
    double number = -1;
    value_wrong_type(kv8_value_get_number(value, &number, &core_error));
    core_ok(kv8_value_to_number(core_context, value, &number, &core_error));
    ck_assert_double_eq(number, conversions[i].expected);
    kv8_value_free(value);
  }
  static const char *const throwing[] = {"1n", "Symbol()",
                                         "({valueOf() { throw TypeError('x') }})"};
  for (size_t i = 0; i < sizeof(throwing) / sizeof(throwing[0]); i++) {
    kv8_value *value = core_value(core_context, throwing[i]);
    double number = -1;
    core_is(kv8_value_to_number(core_context, value, &number, &core_error), KV8_EEXCEPTION);
    ck_assert_str_eq(core_error.name, "TypeError");
    ck_assert_double_eq(number, -1);
    kv8_value_free(value);
  }
}
END_TEST

START_TEST(reading_bigints) {
  static const int64_t numbers[] = {0, 1, -1, INT64_MAX, INT64_MIN};
  kv8_value *value = NULL;
  bool exact = false;
  for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
    int64_t back = 5;
    core_ok(kv8_bigint(core_isolate, numbers[i], &value, &core_error));
    core_ok(kv8_value_get_bigint(value, &back, &exact, &core_error));
    ck_assert(exact);
    ck_assert_int_eq(back, numbers[i]);
    kv8_value_free(value);
  }
  uint64_t large = 0;
  core_ok(kv8_bigint_unsigned(core_isolate, UINT64_MAX, &value, &core_error));
  core_ok(kv8_value_get_bigint_unsigned(value, &large, &exact, &core_error));
  ck_assert(exact);
  ck_assert(large == UINT64_MAX);
  int64_t small = 0;
  core_ok(kv8_value_get_bigint(value, &small, &exact, &core_error));
  ck_assert(!exact);
  ck_assert_int_eq(small, -1);
  value_expect(value, "18446744073709551615");
  value = core_value(core_context, "-1n");
  core_ok(kv8_value_get_bigint_unsigned(value, &large, &exact, &core_error));
  ck_assert(!exact);
  kv8_value_free(value);
  value = core_value(core_context, "1n << 70n");
  core_ok(kv8_value_get_bigint(value, &small, NULL, &core_error));
  ck_assert_int_eq(small, 0);
  double number = 0;
  value_wrong_type(kv8_value_get_number(value, &number, &core_error));
  kv8_value_free(value);
  value = value_number(1);
  value_wrong_type(kv8_value_get_bigint(value, &small, NULL, &core_error));
  value_wrong_type(kv8_value_get_bigint_unsigned(value, &large, NULL, &core_error));
  kv8_value_free(value);
}
END_TEST

START_TEST(texts) {
  kv8_value *value = NULL;
  kv8_blob blob = {NULL, 0};
  static const char text[] = "a\0é😀\xff";
  core_ok(kv8_string(core_isolate, (kv8_span){text, sizeof(text) - 1}, &value, &core_error));
  core_ok(kv8_value_copy_text(value, &blob, &core_error));
  static const char expected[] = "a\0é😀\xef\xbf\xbd";
  ck_assert_uint_eq(blob.length, sizeof(expected) - 1);
  ck_assert_mem_eq(blob.data, expected, blob.length);
  kv8_blob_free(&blob);
  kv8_value_free(value);
  value = core_value(core_context, "new String('object')");
  value_wrong_type(kv8_value_copy_text(value, &blob, &core_error));
  ck_assert_ptr_null(blob.data);
  kv8_value_free(value);
  /* Ropes and slices are text as well. */
  value =
      core_value(core_context, "let r = ''; for (let i = 0; i < 5000; i++) r += 'ab'; r.slice(1)");
  core_ok(kv8_value_copy_text(value, &blob, &core_error));
  ck_assert_uint_eq(blob.length, 9999);
  kv8_blob_free(&blob);
  kv8_value_free(value);
}
END_TEST

START_TEST(making_symbols) {
  kv8_value *first = NULL;
  kv8_value *second = NULL;
  bool equal = true;
  core_ok(kv8_symbol(core_isolate, kv8_span_from("s"), false, &first, &core_error));
  core_ok(kv8_symbol(core_isolate, kv8_span_from("s"), false, &second, &core_error));
  core_ok(kv8_value_equals(core_context, first, second, KV8_EQUAL_STRICT, &equal, &core_error));
  ck_assert(!equal);
  kv8_value_free(first);
  kv8_value_free(second);
  core_ok(kv8_symbol(core_isolate, kv8_span_from("s"), true, &first, &core_error));
  second = core_value(core_context, "Symbol.for('s')");
  core_ok(kv8_value_equals(core_context, first, second, KV8_EQUAL_STRICT, &equal, &core_error));
  ck_assert(equal);
  kv8_value_free(first);
  kv8_value_free(second);
  core_ok(kv8_symbol(core_isolate, (kv8_span){NULL, 0}, false, &first, &core_error));
  value_global("bare", first);
  core_expect(core_context, "String(bare.description)", "undefined");
  static const char *const names[] = {"iterator", "asyncIterator", "hasInstance", "toPrimitive",
                                      "toStringTag"};
  for (int i = 0; i < 5; i++) {
    char expected[64];
    core_ok(kv8_symbol_well_known(core_isolate, (kv8_well_known)i, &first, &core_error));
    value_global("known", first);
    (void)snprintf(expected, sizeof(expected), "Symbol.%s", names[i]);
    core_expect(core_context, "known.description", expected);
  }
  core_is(kv8_symbol_well_known(core_isolate, (kv8_well_known)5, &first, &core_error), KV8_EINVAL);
}
END_TEST

START_TEST(truth) {
  static const struct {
    const char *source;
    bool expected;
  } cases[] = {{"0", false},     {"''", false},  {"null", false},   {"undefined", false},
               {"NaN", false},   {"0n", false},  {"'0'", true},     {"[]", true},
               {"false", false}, {"true", true}, {"Symbol()", true}};
  for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
    kv8_value *value = core_value(core_context, cases[i].source);
    ck_assert_msg(kv8_value_is_true(value) == cases[i].expected, "%s", cases[i].source);
    kv8_value_free(value);
  }
  ck_assert(!kv8_value_is_true(NULL));
  kv8_value *yes = NULL;
  core_ok(kv8_boolean(core_isolate, true, &yes, &core_error));
  ck_assert(kv8_value_is_true(yes));
  kv8_value_free(yes);
}
END_TEST

START_TEST(equality) {
  static const struct {
    const char *a;
    const char *b;
    bool expected[3]; /* strict, same, loose */
  } cases[] = {{"1", "1", {true, true, true}},
               {"NaN", "NaN", {false, true, false}},
               {"0", "-0", {true, false, true}},
               {"1", "'1'", {false, false, true}},
               {"null", "undefined", {false, false, true}},
               {"({valueOf() { return 5 }})", "5", {false, false, true}},
               {"[]", "[]", {false, false, false}}};
  for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
    kv8_value *a = core_value(core_context, cases[i].a);
    kv8_value *b = core_value(core_context, cases[i].b);
    for (int how = 0; how < 3; how++) {
      bool equal = !cases[i].expected[how];
      core_ok(kv8_value_equals(core_context, a, b, (kv8_equality)how, &equal, &core_error));
      ck_assert_msg(equal == cases[i].expected[how], "%s and %s, %d", cases[i].a, cases[i].b, how);
    }
    bool equal = false;
    core_is(kv8_value_equals(core_context, a, b, (kv8_equality)3, &equal, &core_error), KV8_EINVAL);
    kv8_value_free(a);
    kv8_value_free(b);
  }
  kv8_value *throws = core_value(core_context, "({valueOf() { throw new Error('ran') }})");
  kv8_value *one = value_number(1);
  bool equal = false;
  core_ok(kv8_value_equals(core_context, throws, one, KV8_EQUAL_STRICT, &equal, &core_error));
  value_threw(kv8_value_equals(core_context, throws, one, KV8_EQUAL_LOOSE, &equal, &core_error),
              "Error", "ran");
  kv8_value_free(one);
  kv8_value_free(throws);
}
END_TEST

START_TEST(instance_of) {
  kv8_value *map = core_value(core_context, "new Map");
  kv8_value *constructor = core_value(core_context, "Map");
  kv8_value *custom = core_value(core_context, "({[Symbol.hasInstance]() { return true }})");
  kv8_value *throws =
      core_value(core_context, "({get [Symbol.hasInstance]() { throw new Error('asked') }})");
  kv8_value *plain = core_value(core_context, "({})");
  kv8_value *one = value_number(1);
  bool is = false;
  core_ok(kv8_value_instance_of(core_context, map, constructor, &is, &core_error));
  ck_assert(is);
  core_ok(kv8_value_instance_of(core_context, one, constructor, &is, &core_error));
  ck_assert(!is);
  core_ok(kv8_value_instance_of(core_context, one, custom, &is, &core_error));
  ck_assert(is);
  value_threw(kv8_value_instance_of(core_context, map, throws, &is, &core_error), "Error", "asked");
  core_is(kv8_value_instance_of(core_context, map, plain, &is, &core_error), KV8_EEXCEPTION);
  value_wrong_type(kv8_value_instance_of(core_context, map, one, &is, &core_error));
  kv8_value_free(one);
  kv8_value_free(plain);
  kv8_value_free(throws);
  kv8_value_free(custom);
  kv8_value_free(constructor);
  kv8_value_free(map);
}
END_TEST

START_TEST(copies_are_handles_of_their_own) {
  kv8_value *object = core_value(core_context, "globalThis.o = {}; o");
  kv8_value *copy = NULL;
  core_ok(kv8_value_copy(object, &copy, &core_error));
  kv8_value_free(object);
  kv8_isolate_collect_garbage(core_isolate);
  value_global("p", copy);
  core_expect(core_context, "o === p", "true");
}
END_TEST

int main(void) {
  TCase *reading = tcase_create("reading");
  tcase_add_checked_fixture(reading, core_setup, core_teardown);
  tcase_set_timeout(reading, 60);
  tcase_add_test(reading, types);
  tcase_add_test(reading, classes);
  tcase_add_test(reading, reading_numbers);
  tcase_add_test(reading, reading_bigints);
  tcase_add_test(reading, texts);
  tcase_add_test(reading, making_symbols);
  tcase_add_test(reading, truth);
  tcase_add_test(reading, equality);
  tcase_add_test(reading, instance_of);
  tcase_add_test(reading, copies_are_handles_of_their_own);
  return core_main(&reading, 1, "reading values");
}
