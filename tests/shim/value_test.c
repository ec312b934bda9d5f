/* SPDX-License-Identifier: MIT
 *
 * value_test.c: values from and to JSON and strings, and a context's globals. What JSON can hold
 * is compared with JSON.stringify itself over many generated values; what it cannot is a table.
 */
#include <stdint.h>
#include <stdio.h>

#include "tests/shim/core_test.h"

#define DIFFERENTIAL_VALUES 4000

static kv8_value *evaluate(const char *source) {
  kv8_script *script = core_compile(source);
  kv8_value *value = NULL;
  core_ok(kv8_script_run(script, core_context, NULL, &value, &core_error));
  kv8_script_free(script);
  ck_assert_ptr_nonnull(value);
  return value;
}

static kv8_status to_json(const char *source, const kv8_json_options *options, kv8_blob *json) {
  kv8_value *value = evaluate(source);
  kv8_status status = kv8_value_to_json(core_context, value, options, json, &core_error);
  kv8_value_free(value);
  return status;
}

static void expect_blob(kv8_blob *blob, const char *what, const char *expected) {
  ck_assert_msg(blob->length == strlen(expected) &&
                    (blob->length == 0 || memcmp(blob->data, expected, blob->length) == 0),
                "%s\n  gives    %.*s\n  and not  %s", what, (int)blob->length,
                (const char *)blob->data, expected);
  kv8_blob_free(blob);
}

static void expect_json(const char *source, const char *expected) {
  kv8_blob json = {NULL, 0};
  kv8_status status = to_json(source, NULL, &json);
  ck_assert_msg(status == KV8_OK, "%s: %s", source, core_error.message);
  expect_blob(&json, source, expected);
}

static void expect_strict(const char *source, const char *expected) {
  kv8_json_options options = KV8_JSON_OPTIONS_INIT;
  options.strict = true;
  kv8_blob json = {NULL, 0};
  core_ok(to_json(source, &options, &json));
  expect_blob(&json, source, expected);
}

static void run(const char *source) {
  kv8_value_free(evaluate(source));
}

/* ---- JSON text ------------------------------------------------------------------------------- */

/* Values JSON.stringify represents fully, from a seeded generator. */
static const char generator[] =
    "var seed = 12345, last;"
    "function rnd(n) { seed = (seed * 1103515245 + 12345) % 2147483648; return Math.floor(seed / "
    "1024) % n; }"
    "const odd = ['', 'plain', '\"', '\\\\', '\\n\\r\\t\\b\\f', '\\0\\x01\\x1f\\x7f', 'é', "
    "'ÿ\\x80',"
    "  '日本', '\\ud83d\\ude00', '\\ud800', '\\udc00', 'a\\ud800b', '\\udc00\\ud800', "
    "'\\u2028\\u2029',"
    "  '\\uffff', '</script>', 'x'.repeat(4095) + 'é', 'é'.repeat(4097), 'x'.repeat(9000),"
    "  '日'.repeat(4095) + '\\ud83d\\ude00', '日'.repeat(4095) + '\\ud83d', 'a'.repeat(10000) + "
    "'\\n'];"
    "const numbers = [0, 1, -1, 0.1, 1e21, 1e-7, 123456789012345680000, 5e-324,"
    "  1.7976931348623157e308, -2147483648, 2147483647, 4294967296, 1/3, -0.000001, "
    "9007199254740993];"
    "function str() { let s = odd[rnd(odd.length)]; for (let i = rnd(4); i > 0; i--)"
    "  s += String.fromCharCode(rnd(3) ? rnd(256) : rnd(65536)); return s; }"
    "function num() { return rnd(2) ? numbers[rnd(numbers.length)] : (rnd(2000001) - 1000000) / (1 "
    "+ rnd(1000)) || 1; }"
    "function value(depth) {"
    "  switch (rnd(depth > 5 ? 6 : 16)) {"
    "    case 0: return null; case 1: return true; case 2: return false;"
    "    case 3: return num(); case 4: case 5: return str();"
    "    case 6: case 7: { const a = []; for (let i = rnd(6); i > 0; i--) a.push(value(depth + "
    "1)); return a; }"
    "    case 8: case 9: { const o = {}; for (let i = rnd(6); i > 0; i--) o[rnd(3) ? str() : "
    "rnd(100)] = value(depth + 1); return o; }"
    "    case 10: { const v = [value(depth + 1)]; return { toJSON(k) { return rnd(2) ? v : [typeof "
    "k, k, v]; }, no: 1 }; }"
    "    case 11: return new Date((rnd(2147483648) - 1073741824) * 1000);"
    "    case 12: return [new Number(num()), new String(str()), new Boolean(rnd(2))][rnd(3)];"
    "    case 13: { class C { constructor() { this.b = value(depth + 1); this.a = num(); } get "
    "hidden() { throw 1; } } return new C(); }"
    "    case 14: { const o = Object.create({ inherited: 1 }); o.own = value(depth + 1);"
    "      Object.defineProperty(o, 'invisible', { value: 1 });"
    "      Object.defineProperty(o, 'got', { enumerable: true, get() { return o.own; } }); return "
    "o; }"
    "    default: { const shared = value(depth + 1); return { x: shared, y: [shared] }; }"
    "  } }"
    /* toJSON draws numbers, so both writers must start from the same seed. */
    "function next() { last = value(0); saved = seed; return last; }"
    "function again() { seed = saved; return last; }"
    "var saved;";

START_TEST(json_equals_stringify) {
  run(generator);
  kv8_script *next = core_compile("next()");
  kv8_script *text = core_compile("again(); JSON.stringify(last)");
  kv8_script *again = core_compile("again()");
  size_t bytes = 0;
  for (int i = 0; i < DIFFERENTIAL_VALUES; i++) {
    kv8_value *value = NULL;
    kv8_value *json_text = NULL;
    kv8_blob ours = {NULL, 0};
    kv8_blob theirs = {NULL, 0};
    kv8_blob strict = {NULL, 0};
    kv8_json_options options = KV8_JSON_OPTIONS_INIT;
    options.strict = true;
    core_ok(kv8_script_run(next, core_context, NULL, &value, &core_error));
    core_ok(kv8_value_to_json(core_context, value, NULL, &ours, &core_error));
    core_ok(kv8_script_run(text, core_context, NULL, &json_text, &core_error));
    core_ok(kv8_value_to_string(core_context, json_text, &theirs, &core_error));
    kv8_value_free(value);
    core_ok(kv8_script_run(again, core_context, NULL, &value, &core_error));
    core_ok(kv8_value_to_json(core_context, value, &options, &strict, &core_error));
    size_t same = 0;
    while (same < ours.length && same < theirs.length && ours.data[same] == theirs.data[same]) {
      same++;
    }
    ck_assert_msg(same == ours.length && same == theirs.length,
                  "value %d differs from byte %zu on\n  ours    %.100s\n  theirs  %.100s", i, same,
                  same < ours.length ? (const char *)ours.data + same : "",
                  same < theirs.length ? (const char *)theirs.data + same : "");
    ck_assert_uint_eq(strict.length, theirs.length);
    ck_assert_mem_eq(strict.data, theirs.data, theirs.length);
    bytes += ours.length;
    kv8_blob_free(&ours);
    kv8_blob_free(&theirs);
    kv8_blob_free(&strict);
    kv8_value_free(value);
    kv8_value_free(json_text);
  }
  ck_assert_uint_gt(bytes, 1000000);
  kv8_script_free(next);
  kv8_script_free(text);
  kv8_script_free(again);
}
END_TEST

static const struct {
  const char *source;
  const char *json;
} described[] = {
    {"undefined", "{\"type\":\"undefined\"}"},
    {"NaN", "{\"type\":\"number\",\"value\":\"NaN\"}"},
    {"[Infinity, -Infinity, -0]",
     "[{\"type\":\"number\",\"value\":\"Infinity\"},{\"type\":\"number\",\"value\":\"-Infinity\"},"
     "{\"type\":\"number\",\"value\":\"-0\"}]"},
    {"[new Number(NaN), Object(1n)]",
     "[{\"type\":\"number\",\"value\":\"NaN\"},{\"type\":\"bigint\",\"value\":\"1\"}]"},
    {"-(2n ** 64n)", "{\"type\":\"bigint\",\"value\":\"-18446744073709551616\"}"},
    {"Symbol('d')", "{\"type\":\"symbol\",\"description\":\"d\"}"},
    {"Symbol()", "{\"type\":\"symbol\"}"},
    {"Object(Symbol('o'))", "{\"type\":\"symbol\",\"description\":\"o\"}"},
    {"(function f() {})", "{\"type\":\"function\",\"name\":\"f\"}"},
    {"(() => {})", "{\"type\":\"function\",\"name\":\"\"}"},
    {"({ m() {}, u: undefined })",
     "{\"m\":{\"type\":\"function\",\"name\":\"m\"},\"u\":{\"type\":\"undefined\"}}"},
    {"Object.assign(function () {}, { toJSON() { return 7 } })", "7"},
    {"(class K { static name = 5 })", "{\"type\":\"function\",\"name\":\"K\"}"},
    {"[, 1]", "[{\"type\":\"undefined\"},1]"},
    {"var a = {}; a.self = a; a.list = [a]; a",
     "{\"self\":{\"type\":\"circular\"},\"list\":[{\"type\":\"circular\"}]}"},
    {"var s = {}; [s, s, [s]]", "[{},{},[{}]]"},
    {"new Map([[1, { a: 2 }], [{ k: 1 }, [3]], ['x', new Map()]])",
     "{\"type\":\"map\",\"entries\":[[1,{\"a\":2}],[{\"k\":1},[3]],"
     "[\"x\",{\"type\":\"map\",\"entries\":[]}]]}"},
    {"var m = new Map(); m.set(m, m); m",
     "{\"type\":\"map\",\"entries\":[[{\"type\":\"circular\"},{\"type\":\"circular\"}]]}"},
    {"new Set([1, [2], new Set()])",
     "{\"type\":\"set\",\"values\":[1,[2],{\"type\":\"set\",\"values\":[]}]}"},
    {"Object.assign(new Map([[1, 2]]), { toJSON() { return 'mine' } })", "\"mine\""},
    {"/a\"b/gi", "{\"type\":\"regexp\",\"source\":\"a\\\"b\",\"flags\":\"gi\"}"},
    {"new Date(0)", "\"1970-01-01T00:00:00.000Z\""},
    {"new Date(NaN)", "{\"type\":\"date\",\"value\":\"Invalid Date\"}"},
    {"Object.assign(new Date(NaN), { toJSON() { return 1 } })", "1"},
    {"Object.assign(new Date(0), { toJSON: undefined })",
     "{\"type\":\"date\",\"value\":\"1970-01-01T00:00:00.000Z\"}"},
    {"[new WeakMap(), new WeakSet(), [].values && new Map().keys(), new Set().values()]",
     "[{\"type\":\"weakmap\"},{\"type\":\"weakset\"},{\"type\":\"map iterator\"},"
     "{\"type\":\"set iterator\"}]"},
    {"(function* () {})()", "{\"type\":\"generator\"}"},
    {"new Proxy({}, { get() { throw 1 }, ownKeys() { throw 1 } })", "{\"type\":\"proxy\"}"},
    {"({ toJSON() { return new Proxy([], {}) } })", "{\"type\":\"proxy\"}"},
    {"[new Promise(() => {}), Promise.resolve({ a: 1 })]",
     "[{\"type\":\"promise\",\"state\":\"pending\"},"
     "{\"type\":\"promise\",\"state\":\"fulfilled\",\"value\":{\"a\":1}}]"},
    {"var r = Promise.reject([1]); r.catch(() => {}); r",
     "{\"type\":\"promise\",\"state\":\"rejected\",\"reason\":[1]}"},
    {"new Uint8Array([1, 2, 3, 255])",
     "{\"type\":\"Uint8Array\",\"byteLength\":4,\"base64\":\"AQID/w==\"}"},
    {"new Float64Array(1)",
     "{\"type\":\"Float64Array\",\"byteLength\":8,\"base64\":\"AAAAAAAAAAA=\"}"},
    {"new Uint8Array([1, 2, 3]).subarray(1)",
     "{\"type\":\"Uint8Array\",\"byteLength\":2,\"base64\":\"AgM=\"}"},
    {"new Int16Array(0)", "{\"type\":\"Int16Array\",\"byteLength\":0,\"base64\":\"\"}"},
    {"new Uint8Array(65537)", "{\"type\":\"Uint8Array\",\"byteLength\":65537}"},
    {"new ArrayBuffer(3)", "{\"type\":\"ArrayBuffer\",\"byteLength\":3,\"base64\":\"AAAA\"}"},
    {"new ArrayBuffer(0)", "{\"type\":\"ArrayBuffer\",\"byteLength\":0,\"base64\":\"\"}"},
    {"new ArrayBuffer(2**20)", "{\"type\":\"ArrayBuffer\",\"byteLength\":1048576}"},
    {"new SharedArrayBuffer(8)", "{\"type\":\"SharedArrayBuffer\",\"byteLength\":8}"},
    {"new DataView(new ArrayBuffer(8), 2)", "{\"type\":\"DataView\",\"byteLength\":6}"},
    {"var e = new TypeError('m'); e.stack = 's'; e",
     "{\"type\":\"error\",\"name\":\"TypeError\",\"message\":\"m\",\"stack\":\"s\"}"},
    {"var e = new Error('m', { cause: 5 }); e.stack = 's'; e.code = 'E'; e.self = e; e",
     "{\"type\":\"error\",\"name\":\"Error\",\"message\":\"m\",\"stack\":\"s\",\"properties\":{"
     "\"cause\":5,\"code\":\"E\",\"self\":{\"type\":\"circular\"}}}"},
    {"var e = new AggregateError([1, 2], 'm'); delete e.stack; e.name = 'N'; e",
     "{\"type\":\"error\",\"name\":\"N\",\"message\":\"m\",\"properties\":{\"errors\":[1,2]}}"},
    {"var e = new Error('m'); e.toJSON = () => 'json'; e", "\"json\""},
    {"1n", "{\"type\":\"bigint\",\"value\":\"1\"}"},
    {"BigInt.prototype.toJSON = function () { return typeof this + this }; var b = [1n];"
     "b",
     "[\"object1\"]"},
    {"delete BigInt.prototype.toJSON; 1n", "{\"type\":\"bigint\",\"value\":\"1\"}"},
    {"(function () { return arguments })(1, 'x')", "{\"0\":1,\"1\":\"x\"}"},
    {"({ [Symbol('k')]: 1, a: 2 })", "{\"a\":2}"},
    {"Object.create(null)", "{}"},
    {"JSON.parse('{\"__proto__\":1}')", "{\"__proto__\":1}"},
};

START_TEST(json_describes_the_rest) {
  for (size_t i = 0; i < sizeof(described) / sizeof(described[0]); i++) {
    expect_json(described[i].source, described[i].json);
  }
}
END_TEST

START_TEST(json_strict_is_stringify) {
  expect_strict("[undefined, () => {}, Symbol(), NaN, -0, new Map([[1, 2]])]",
                "[null,null,null,null,0,{}]");
  expect_strict("({ u: undefined, f() {}, d: new Date(0), '\\ud800': '\\udc00' })",
                "{\"d\":\"1970-01-01T00:00:00.000Z\",\"\\ud800\":\"\\udc00\"}");
  expect_strict("'undefined'", "\"undefined\"");
  kv8_json_options options = KV8_JSON_OPTIONS_INIT;
  options.strict = true;
  kv8_blob json = {NULL, 0};
  core_is(to_json("undefined", &options, &json), KV8_EJSON);
  core_is(to_json("(() => {})", &options, &json), KV8_EJSON);
  core_is(to_json("Symbol()", &options, &json), KV8_EJSON);
  core_is(to_json("var c = {}; c.c = c; c", &options, &json), KV8_EEXCEPTION);
  ck_assert_str_eq(core_error.name, "TypeError");
  core_is(to_json("1n", &options, &json), KV8_EEXCEPTION);
  options.max_bytes = 10;
  core_is(to_json("'x'.repeat(9)", &options, &json), KV8_ETOOBIG);
  core_ok(to_json("'x'.repeat(8)", &options, &json));
  expect_blob(&json, "strict", "\"xxxxxxxx\"");
  options.max_bytes = 0;
  options.max_depth = 2;
  core_ok(to_json("[['[[[', '\"{{{', '\\\\']]", &options, &json));
  kv8_blob_free(&json);
  core_is(to_json("[[[]]]", &options, &json), KV8_ETOOBIG);
  ck_assert_ptr_null(json.data);
}
END_TEST

START_TEST(json_limits_hold) {
  kv8_json_options options = KV8_JSON_OPTIONS_INIT;
  kv8_blob json = {NULL, 0};
  options.max_depth = 3;
  core_ok(to_json("[[[1]]]", &options, &json));
  expect_blob(&json, "depth 3", "[[[1]]]");
  core_is(to_json("[[[[]]]]", &options, &json), KV8_ETOOBIG);
  ck_assert_str_eq(core_error.message, "value is nested deeper than 3");
  core_is(to_json("({a:{b:{c:{}}}})", &options, &json), KV8_ETOOBIG);
  options.max_depth = 0;
  const char deep[] = "var d = []; for (let i = 1; i < %d; i++) d = [d]; d";
  char source[128];
  snprintf(source, sizeof(source), deep, 1000);
  core_ok(to_json(source, &options, &json));
  ck_assert_uint_eq(json.length, 2000);
  kv8_blob_free(&json);
  snprintf(source, sizeof(source), deep, 1001);
  core_is(to_json(source, &options, &json), KV8_ETOOBIG);
  /* Depth costs no C++ stack. */
  options.max_depth = UINT32_MAX;
  snprintf(source, sizeof(source), deep, 20000);
  core_ok(to_json(source, &options, &json));
  ck_assert_uint_eq(json.length, 40000);
  kv8_blob_free(&json);

  options.max_depth = 0;
  options.max_bytes = 5;
  core_ok(to_json("[1,2]", &options, &json));
  kv8_blob_free(&json);
  core_is(to_json("[1,23]", &options, &json), KV8_ETOOBIG);
  ck_assert_str_eq(core_error.message, "JSON text is longer than 5 bytes");
  core_is(to_json("'é日x'", &options, &json), KV8_ETOOBIG);
  core_is(to_json("new Array(2**32 - 1)", &options, &json), KV8_ETOOBIG);
  core_is(to_json("'x'.repeat(2**28)", &options, &json), KV8_ETOOBIG);
  core_is(to_json("new Uint8Array(100)", &options, &json), KV8_ETOOBIG);
  ck_assert_ptr_null(json.data);
}
END_TEST

START_TEST(json_guest_code_throws_or_loops) {
  kv8_json_options options = KV8_JSON_OPTIONS_INIT;
  kv8_blob json = {NULL, 0};
  core_is(to_json("({ get a() { throw new RangeError('from getter') } })", &options, &json),
          KV8_EEXCEPTION);
  ck_assert_str_eq(core_error.name, "RangeError");
  ck_assert_str_eq(core_error.message, "from getter");
  core_is(to_json("[{ toJSON() { throw 5 } }]", &options, &json), KV8_EEXCEPTION);
  core_is(to_json("({ get toJSON() { throw 5 } })", &options, &json), KV8_EEXCEPTION);
  core_is(to_json("Object.assign(new Number(1), { valueOf() { throw 5 } })", &options, &json),
          KV8_EEXCEPTION);
  core_is(to_json("Object.defineProperty(new Error(), 'stack', { get() { throw 5 } })", &options,
                  &json),
          KV8_EEXCEPTION);
  options.timeout_ms = 50;
  core_is(to_json("({ get a() { while (true); } })", &options, &json), KV8_ETIMEOUT);
  ck_assert_str_eq(core_error.code, "ERR_SCRIPT_EXECUTION_TIMEOUT");
  core_is(to_json("({ toJSON() { while (true); } })", &options, &json), KV8_ETIMEOUT);
  options.strict = true;
  core_is(to_json("({ toJSON() { while (true); } })", &options, &json), KV8_ETIMEOUT);
  /* No guest code to be terminated: the walk itself looks at the clock. */
  options.strict = false;
  options.max_bytes = SIZE_MAX / 2;
  core_is(to_json("new Array(2**32 - 1)", &options, &json), KV8_ETIMEOUT);
  /* Something of itself at every level: never ends but for its limits. */
  options.timeout_ms = 0;
  options.max_bytes = 0;
  core_is(to_json("function f() { return { get next() { return f() } } } f()", &options, &json),
          KV8_ETOOBIG);
  core_is(to_json("({ toJSON() { return [this] } , x: { toJSON() { return { y: this } } } })",
                  &options, &json),
          KV8_ETOOBIG);
  ck_assert_ptr_null(json.data);
  expect_json("[1]", "[1]");
}
END_TEST

START_TEST(json_sees_changes_made_meanwhile) {
  expect_json("var o = { get a() { delete o.b; o.c = 1; return 1 }, b: 2 }; o",
              "{\"a\":1,\"b\":{\"type\":\"undefined\"}}");
  expect_json("var l = [{ toJSON() { l.length = 1; return 1 } }, 2, 3]; l",
              "[1,{\"type\":\"undefined\"},{\"type\":\"undefined\"}]");
  expect_json("var p = new Map([[1, { toJSON() { p.clear(); return 'c' } }], [2, 3]]); p",
              "{\"type\":\"map\",\"entries\":[[1,\"c\"],[2,3]]}");
}
END_TEST

START_TEST(json_of_large_plain_values) {
  kv8_value *value = evaluate(
      "Array.from({ length: 20000 }, (_, i) => ({ id: i, name: 'item ' + i, on: true, x: i / 7 "
      "}))");
  kv8_blob json = {NULL, 0};
  core_ok(kv8_value_to_json(core_context, value, NULL, &json, &core_error));
  ck_assert_uint_gt(json.length, 1000000);
  kv8_blob_free(&json);
  kv8_value_free(value);
  value = evaluate("'abc def '.repeat(2**21)");
  core_ok(kv8_value_to_json(core_context, value, NULL, &json, &core_error));
  ck_assert_uint_eq(json.length, (1u << 24) + 2);
  kv8_blob_free(&json);
  kv8_value_free(value);
}
END_TEST

/* ---- in ------------------------------------------------------------------------------------- */

START_TEST(from_json_and_string) {
  kv8_value *value = NULL;
  core_ok(kv8_value_from_json(core_context, kv8_span_from("{\"a\":[1,\"\\u00e9\",null]}"), &value,
                              &core_error));
  kv8_blob json = {NULL, 0};
  core_ok(kv8_value_to_json(core_context, value, NULL, &json, &core_error));
  expect_blob(&json, "round trip", "{\"a\":[1,\"é\",null]}");
  core_ok(kv8_context_set_global(core_context, kv8_span_from("given"), value, &core_error));
  kv8_value_free(value);
  core_expect(core_context, "given instanceof Object && given.a.length", "3");

  static const char *const broken[] = {"", "{", "nul", "[1,]", "'x'", "{\"a\":1}x", "\"\n\"", "01"};
  for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
    value = NULL;
    core_is(kv8_value_from_json(core_context, kv8_span_from(broken[i]), &value, &core_error),
            KV8_EJSON);
    ck_assert_ptr_null(value);
    ck_assert_str_ne(core_error.message, "");
  }

  static const char text[] = "plain \0 é 😀 \xff";
  core_ok(kv8_string(core_isolate, (kv8_span){text, sizeof(text) - 1}, &value, &core_error));
  kv8_blob back = {NULL, 0};
  core_ok(kv8_value_to_string(core_context, value, &back, &core_error));
  static const char replaced[] = "plain \0 é 😀 \xef\xbf\xbd";
  ck_assert_uint_eq(back.length, sizeof(replaced) - 1);
  ck_assert_mem_eq(back.data, replaced, back.length);
  kv8_blob_free(&back);
  kv8_value_free(value);

  core_ok(kv8_string(core_isolate, (kv8_span){NULL, 0}, &value, &core_error));
  core_ok(kv8_value_to_string(core_context, value, &back, &core_error));
  ck_assert_uint_eq(back.length, 0);
  kv8_blob_free(&back);
  kv8_value_free(value);
}
END_TEST

START_TEST(to_string_may_throw) {
  kv8_blob text = {NULL, 0};
  kv8_value *value = evaluate("({ toString() { throw new Error('no') } })");
  core_is(kv8_value_to_string(core_context, value, &text, &core_error), KV8_EEXCEPTION);
  ck_assert_str_eq(core_error.message, "no");
  kv8_value_free(value);
  value = evaluate("Symbol('s')");
  core_is(kv8_value_to_string(core_context, value, &text, &core_error), KV8_EEXCEPTION);
  kv8_value_free(value);
  value = evaluate("'lone \\ud800'");
  core_ok(kv8_value_to_string(core_context, value, &text, &core_error));
  expect_blob(&text, "lone", "lone \xef\xbf\xbd");
  kv8_value_free(value);
}
END_TEST

START_TEST(wrong_arguments_are_refused) {
  kv8_value *value = evaluate("1");
  kv8_value *made = NULL;
  kv8_blob blob = {NULL, 0};
  kv8_json_options unknown = KV8_JSON_OPTIONS_INIT;
  unknown.struct_size = sizeof(unknown) + 8;
  core_is(kv8_value_to_json(core_context, value, &unknown, &blob, &core_error), KV8_EINVAL);
  core_is(kv8_value_to_json(core_context, NULL, NULL, &blob, &core_error), KV8_EINVAL);
  core_is(kv8_value_to_json(NULL, value, NULL, &blob, &core_error), KV8_EINVAL);
  core_is(kv8_value_to_json(core_context, value, NULL, NULL, &core_error), KV8_EINVAL);
  core_is(kv8_value_to_string(core_context, NULL, &blob, &core_error), KV8_EINVAL);
  core_is(kv8_value_from_json(NULL, kv8_span_from("1"), &made, &core_error), KV8_EINVAL);
  core_is(kv8_value_from_json(core_context, (kv8_span){NULL, 5}, &made, NULL), KV8_EINVAL);
  core_is(kv8_string(core_isolate, (kv8_span){NULL, 5}, &made, NULL), KV8_EINVAL);
  core_is(kv8_context_set_global(core_context, kv8_span_from("x"), NULL, &core_error), KV8_EINVAL);
  core_is(kv8_context_get_global(core_context, kv8_span_from("x"), NULL, &core_error), KV8_EINVAL);
  core_is(kv8_context_globals_to_json(NULL, NULL, &blob, &core_error), KV8_EINVAL);
  kv8_isolate *other = NULL;
  kv8_context *foreign = NULL;
  core_ok(kv8_isolate_new(NULL, &other, &core_error));
  core_ok(kv8_context_new(other, NULL, &foreign, &core_error));
  core_is(kv8_value_to_json(foreign, value, NULL, &blob, &core_error), KV8_EINVAL);
  core_is(kv8_context_set_global(foreign, kv8_span_from("x"), value, &core_error), KV8_EINVAL);
  kv8_context_free(foreign);
  kv8_isolate_free(other);
  kv8_value_free(value);
  kv8_value_free(NULL);
  ck_assert_ptr_null(blob.data);
}
END_TEST

/* ---- globals ----------------------------------------------------------------------------------
 */

static void expect_globals(const char *expected) {
  kv8_blob json = {NULL, 0};
  core_ok(kv8_context_globals_to_json(core_context, NULL, &json, &core_error));
  expect_blob(&json, "globals", expected);
}

START_TEST(globals_G03_G04) {
  expect_globals("{}");
  core_ok(kv8_context_set_globals_json(
      core_context, kv8_span_from("{\"x\":2,\"list\":[1],\"__proto__\":5,\"7\":0}"), &core_error));
  core_expect(core_context, "x", "2");
  run("x += 40; var y = 17; let z = 1; const c = 2; w = 'sloppy'");
  expect_globals("{\"7\":0,\"x\":42,\"list\":[1],\"__proto__\":5,\"y\":17,\"w\":\"sloppy\"}");
  run("globalThis.me = globalThis; delete globalThis[7]; delete globalThis.list;"
      "delete globalThis['__proto__']");
  expect_globals("{\"x\":42,\"y\":17,\"w\":\"sloppy\",\"me\":{\"type\":\"circular\"}}");
  run("delete globalThis.me; var { toJSON } = { toJSON() { return 'never asked' } }");
  expect_globals(
      "{\"x\":42,\"y\":17,\"w\":\"sloppy\","
      "\"toJSON\":{\"type\":\"function\",\"name\":\"toJSON\"}}");
  /* Overwriting what is there is no redefinition of built-ins' attributes. */
  core_ok(
      kv8_context_set_globals_json(core_context, kv8_span_from("{\"x\":\"new\"}"), &core_error));
  core_expect(core_context, "x", "new");
}
END_TEST

START_TEST(globals_errors) {
  static const char *const no_objects[] = {"1", "null", "[]", "\"x\""};
  for (size_t i = 0; i < sizeof(no_objects) / sizeof(no_objects[0]); i++) {
    core_is(kv8_context_set_globals_json(core_context, kv8_span_from(no_objects[i]), &core_error),
            KV8_EJSON);
  }
  core_is(kv8_context_set_globals_json(core_context, kv8_span_from("{x:1}"), &core_error),
          KV8_EJSON);
  core_is(kv8_context_set_globals_json(core_context, kv8_span_from("{\"NaN\":1}"), &core_error),
          KV8_EINVAL);
  ck_assert_str_eq(core_error.message, "global 'NaN': cannot be changed");
  kv8_value *value = evaluate("Object.freeze(globalThis); 1");
  core_is(kv8_context_set_global(core_context, kv8_span_from("late"), value, &core_error),
          KV8_EINVAL);
  kv8_value_free(value);
  core_expect(core_context, "typeof late", "undefined"); /* N05 */
}
END_TEST

START_TEST(get_global_reads_and_may_throw) {
  kv8_value *value = NULL;
  run("var v = [1, 2]; Object.defineProperty(globalThis, 'bad', { get() { throw 1 } })");
  core_ok(kv8_context_get_global(core_context, kv8_span_from("v"), &value, &core_error));
  char *text = core_text(core_context, value);
  ck_assert_str_eq(text, "1,2");
  free(text);
  core_ok(kv8_context_get_global(core_context, kv8_span_from("missing"), &value, &core_error));
  text = core_text(core_context, value);
  ck_assert_str_eq(text, "undefined");
  free(text);
  core_is(kv8_context_get_global(core_context, kv8_span_from("bad"), &value, &core_error),
          KV8_EEXCEPTION);
}
END_TEST

int main(void) {
  TCase *json = tcase_create("json");
  tcase_add_checked_fixture(json, core_setup, core_teardown);
  tcase_set_timeout(json, 120);
  tcase_add_test(json, json_equals_stringify);
  tcase_add_test(json, json_describes_the_rest);
  tcase_add_test(json, json_strict_is_stringify);
  tcase_add_test(json, json_limits_hold);
  tcase_add_test(json, json_guest_code_throws_or_loops);
  tcase_add_test(json, json_sees_changes_made_meanwhile);
  tcase_add_test(json, json_of_large_plain_values);
  TCase *values = tcase_create("values");
  tcase_add_checked_fixture(values, core_setup, core_teardown);
  tcase_add_test(values, from_json_and_string);
  tcase_add_test(values, to_string_may_throw);
  tcase_add_test(values, wrong_arguments_are_refused);
  tcase_add_test(values, globals_G03_G04);
  tcase_add_test(values, globals_errors);
  tcase_add_test(values, get_global_reads_and_may_throw);
  TCase *cases[] = {json, values};
  return core_main(cases, sizeof(cases) / sizeof(cases[0]), "shim values");
}
