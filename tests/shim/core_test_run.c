/* SPDX-License-Identifier: MIT
 *
 * core_test_run.c: what runs and how it ends: exceptions as kv8_error, functions, deadlines,
 * terminations, heap limits, and to which of several nested calls an ending belongs.
 */
#include <pthread.h>
#include <stdio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/shim/core_test.h"

static uint64_t now_us(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000U + (uint64_t)now.tv_nsec / 1000U;
}

/* ---- scripts -------------------------------------------------------------------------------- */

START_TEST(SC01_script_compiles_without_running) {
  kv8_source source = core_source("\n  var 5;");
  source.filename = kv8_span_from("f.js");
  kv8_script *script = NULL;
  kv8_cache_outcome outcome = KV8_CACHE_REJECTED;
  core_is(kv8_script_compile(core_isolate, &source, &script, &outcome, &core_error), KV8_ESYNTAX);
  ck_assert_ptr_null(script);
  ck_assert_int_eq(outcome, KV8_CACHE_REJECTED);
  ck_assert_str_eq(core_error.name, "SyntaxError");
  ck_assert_str_eq(core_error.message, "Unexpected number");
  ck_assert_str_eq(core_error.resource, "f.js");
  ck_assert_str_eq(core_error.source_line, "  var 5;");
  ck_assert_int_eq(core_error.line, 2);
  ck_assert_int_eq(core_error.column, 7);
  core_ok(core_try(core_context, "var effects = 0;", 0));
  kv8_script *effect = core_compile("effects++");
  core_expect(core_context, "effects", "0");
  for (int i = 0; i < 10; ++i) { /* SC02 */
    core_ok(kv8_script_run(effect, core_context, NULL, NULL, &core_error));
  }
  core_expect(core_context, "effects", "10");
  kv8_script_free(effect);
}
END_TEST

START_TEST(SC03_script_is_bound_per_run) {
  kv8_context *other = NULL;
  core_ok(kv8_context_new(core_isolate, NULL, &other, &core_error));
  core_ok(core_try(core_context, "var where = 'first'", 0));
  core_ok(core_try(other, "var where = 'second'", 0));
  kv8_script *script = core_compile("where");
  core_expect_script(script, core_context, "first");
  core_expect_script(script, other, "second");
  kv8_script_free(script);
  kv8_context_free(other);
}
END_TEST

START_TEST(script_compiles_without_a_context) {
  kv8_isolate *isolate = NULL;
  core_ok(kv8_isolate_new(NULL, &isolate, &core_error));
  kv8_source source = core_source("6 * 7");
  kv8_script *script = NULL;
  core_ok(kv8_script_compile(isolate, &source, &script, NULL, &core_error));
  kv8_source broken = core_source("6 *");
  kv8_script *none = NULL;
  core_is(kv8_script_compile(isolate, &broken, &none, NULL, &core_error), KV8_ESYNTAX);
  kv8_context *context = NULL;
  core_ok(kv8_context_new(isolate, NULL, &context, &core_error));
  core_expect_script(script, context, "42");
  kv8_span name = kv8_context_get_name(context);
  ck_assert_mem_eq(name.data, "VM Context 1", name.length);
  core_is(kv8_script_run(script, core_context, NULL, NULL, &core_error), KV8_EINVAL);
  core_is(kv8_script_run(NULL, context, NULL, NULL, &core_error), KV8_EINVAL);
  kv8_run_options options = {.struct_size = 1};
  core_is(kv8_script_run(script, context, &options, NULL, &core_error), KV8_EINVAL);
  kv8_script_free(script);
  kv8_context_free(context);
  kv8_isolate_free(isolate);
}
END_TEST

START_TEST(SC04_SC06_SC07_filename_and_offsets) {
  core_is(core_try(core_context, "throw new Error('x')", 0), KV8_EEXCEPTION);
  ck_assert_str_eq(core_error.resource, "evalmachine.<anonymous>");
  ck_assert_ptr_nonnull(strstr(core_error.stack, "evalmachine.<anonymous>:1:7"));
  kv8_source source = core_source(" throw new Error('a')\n;");
  source.filename = kv8_span_from("g.js");
  source.line_offset = 32;
  source.column_offset = 123;
  kv8_script *script = NULL;
  core_ok(kv8_script_compile(core_isolate, &source, &script, NULL, &core_error));
  core_is(kv8_script_run(script, core_context, NULL, NULL, &core_error), KV8_EEXCEPTION);
  ck_assert_int_eq(core_error.line, 33);
  ck_assert_int_eq(core_error.column, 125);
  ck_assert_ptr_nonnull(strstr(core_error.stack, "g.js:33:131"));
  kv8_script_free(script);
  source.text = kv8_span_from("\n throw new Error('b')");
  core_ok(kv8_script_compile(core_isolate, &source, &script, NULL, &core_error));
  core_is(kv8_script_run(script, core_context, NULL, NULL, &core_error), KV8_EEXCEPTION);
  ck_assert_int_eq(core_error.line, 34);
  ck_assert_int_eq(core_error.column, 2);
  kv8_script_free(script);
}
END_TEST

START_TEST(SC16_import_without_callback_rejects) {
  core_ok(core_try(core_context, "var code; import('x').catch(e => { code = e.code })", 0));
  core_expect(core_context, "code", "ERR_VM_DYNAMIC_IMPORT_CALLBACK_MISSING");
}
END_TEST

START_TEST(SM01_SM02_source_map_url) {
  kv8_script *script = core_compile("1\n//# sourceMappingURL=m.json");
  kv8_blob url = {NULL, 0};
  core_ok(kv8_script_copy_source_map_url(script, &url, &core_error));
  ck_assert_uint_eq(url.length, 6);
  ck_assert_mem_eq(url.data, "m.json", 6);
  kv8_blob_free(&url);
  kv8_script_free(script);
  script = core_compile("1");
  core_ok(kv8_script_copy_source_map_url(script, &url, &core_error));
  ck_assert_uint_eq(url.length, 0);
  core_is(kv8_script_copy_source_map_url(NULL, &url, &core_error), KV8_EINVAL);
  core_is(kv8_script_copy_source_map_url(script, NULL, &core_error), KV8_EINVAL);
  kv8_script_free(script);
}
END_TEST

/* ---- exceptions ----------------------------------------------------------------------------- */

static const struct {
  const char *text, *name, *message, *code;
} thrown[] = {
    {"throw new TypeError('t')", "TypeError", "t", ""},
    {"throw Object.assign(new Error('m'), {code: 'ERR_MINE'})", "Error", "m", "ERR_MINE"},
    {"throw Object.assign(new Error('m'), {code: 7})", "Error", "m", ""},
    {"throw {name: 'N', message: 'M', code: 'C'}", "N", "M", "C"},
    {"throw {}", "Error", "#<Object>", ""},
    {"throw 7", "Error", "7", ""},
    {"throw 'text'", "Error", "text", ""},
    {"throw null", "Error", "null", ""},
    {"throw undefined", "Error", "undefined", ""},
    {"throw Symbol('s')", "Error", "Symbol(s)", ""},
    {"throw 10n", "Error", "10", ""},
    {"throw new Error()", "Error", "", ""},
    {"throw {get name() { throw 1 }, get message() { throw 2 }, get stack() { throw 3 },"
     "get code() { throw 4 }}",
     "Error", "#<Object>", ""},
    {"throw new Proxy({}, {get() { throw new Error('trap') }})", "Error", "#<Object>", ""},
    {"throw new (class E extends Error { get code() { return 'G' } })('e')", "Error", "e", "G"},
    {"Error.prepareStackTrace = () => { throw 1 }; throw new Error('p')", "Error", "p", ""},
    {"(function f() { f() })()", "RangeError", "Maximum call stack size exceeded", ""},
    {"JSON.parse('[')", "SyntaxError", "Unexpected end of JSON input", ""},
    {"eval('var 5')", "SyntaxError", "Unexpected number", ""},
};

START_TEST(exception_is_copied) {
  core_is(core_try(core_context, thrown[_i].text, 0), KV8_EEXCEPTION);
  ck_assert_int_eq(core_error.status, KV8_EEXCEPTION);
  ck_assert_str_eq(core_error.name, thrown[_i].name);
  ck_assert_str_eq(core_error.message, thrown[_i].message);
  ck_assert_str_eq(core_error.code, thrown[_i].code);
  /* And the context is as good as before. */
  core_expect(core_context, "1 + 1", "2");
  core_is(core_try(core_context, "throw 1", 0), KV8_EEXCEPTION);
}
END_TEST

START_TEST(exception_text_is_cut_at_a_character) {
  core_is(core_try(core_context,
                   "var e = new Error('\xe2\x82\xac'.repeat(5000)); e.name = '\xc3\xa9'.repeat(40);"
                   "e.code = 'c'.repeat(63); throw e",
                   0),
          KV8_EEXCEPTION);
  size_t length = strlen(core_error.message);
  ck_assert_uint_eq(length, sizeof core_error.message - 1);
  ck_assert_str_eq(core_error.message + length - 6, "\xe2\x82\xac...");
  length = strlen(core_error.name);
  ck_assert_uint_eq(length, 63);
  ck_assert_str_eq(core_error.name + length - 5, "\xc3\xa9...");
  ck_assert_uint_eq(strlen(core_error.code), 63);
  ck_assert_ptr_null(strchr(core_error.code, '.'));
}
END_TEST

/* A NUL does not end the text for who reads it as a C string. */
START_TEST(exception_text_keeps_what_follows_a_nul) {
  core_is(core_try(core_context, "throw new Error('before\\0after')", 0), KV8_EEXCEPTION);
  ck_assert_str_eq(core_error.message, "before?after");
  ck_assert_ptr_nonnull(strstr(core_error.stack, "before?after"));
  core_is(core_try(core_context, "throw 'before\\0after'", 0), KV8_EEXCEPTION);
  ck_assert_str_eq(core_error.message, "before?after");
}
END_TEST

/* A getter of the thrown value that never returns is under the run's deadline too. */
START_TEST(exception_getter_is_under_the_deadline) {
  uint64_t start = now_us();
  core_is(
      core_try(core_context, "throw {get message() { for (;;); }, get stack() { for (;;); }}", 50),
      KV8_ETIMEOUT);
  ck_assert_uint_lt(now_us() - start, 5000000);
  core_expect(core_context, "1 + 1", "2");
}
END_TEST

/* ---- functions ------------------------------------------------------------------------------ */

static kv8_status compile_function(const char *body, const char *const *params, size_t count,
                                   kv8_function **ret_function) {
  kv8_span spans[8];
  for (size_t i = 0; i < count; ++i) {
    spans[i] = kv8_span_from(params[i]);
  }
  kv8_function_options options = KV8_FUNCTION_OPTIONS_INIT;
  options.params = spans;
  options.params_count = count;
  kv8_source source = core_source(body);
  return kv8_function_compile(core_context, &source, &options, ret_function, NULL, &core_error);
}

static kv8_value *json_value(const char *json) {
  kv8_value *value = NULL;
  core_ok(kv8_value_from_json(core_context, kv8_span_from(json), &value, &core_error));
  return value;
}

START_TEST(CF01_CF02_function_is_called) {
  static const char *const params[] = {"a", "b\xc3\xa9ta", "$_1"};
  kv8_function *function = NULL;
  core_ok(compile_function("return [this.x, a + b\xc3\xa9ta, $_1, arguments.length].join()", params,
                           3, &function));
  kv8_value *self = json_value("{\"x\": \"self\"}");
  kv8_value *args[] = {json_value("1"), json_value("2"), json_value("\"three\"")};
  kv8_value *value = NULL;
  core_ok(kv8_function_call(function, self, (const kv8_value *const *)args, 3, NULL, &value,
                            &core_error));
  char *text = core_text(core_context, value);
  ck_assert_str_eq(text, "self,3,three,3");
  free(text);
  core_ok(kv8_function_copy_value(function, &value, &core_error));
  core_ok(kv8_context_set_global(core_context, kv8_span_from("f"), value, &core_error));
  kv8_value_free(value);
  core_expect(core_context, "f.length", "3");
  core_is(kv8_function_call(NULL, NULL, NULL, 0, NULL, NULL, &core_error), KV8_EINVAL);
  core_is(kv8_function_call(function, NULL, NULL, 1, NULL, NULL, &core_error), KV8_EINVAL);
  core_is(kv8_function_call(function, NULL, (const kv8_value *const *)args, 100000, NULL, NULL,
                            &core_error),
          KV8_ETOOBIG);
  core_is(kv8_function_copy_value(function, NULL, &core_error), KV8_EINVAL);
  for (size_t i = 0; i < 3; ++i) {
    kv8_value_free(args[i]);
  }
  kv8_value_free(self);
  kv8_function_free(function);
}
END_TEST

START_TEST(CF08_function_sees_context_extensions) {
  kv8_value *outer = json_value("{\"a\": 1, \"b\": 1}");
  kv8_value *inner = json_value("{\"b\": 2}");
  kv8_value *number = json_value("5");
  const kv8_value *extensions[] = {outer, inner};
  kv8_function_options options = KV8_FUNCTION_OPTIONS_INIT;
  options.context_extensions = extensions;
  options.context_extensions_count = 2;
  kv8_source source = core_source("return a + ',' + b");
  kv8_function *function = NULL;
  core_ok(kv8_function_compile(core_context, &source, &options, &function, NULL, &core_error));
  kv8_value *value = NULL;
  core_ok(kv8_function_call(function, NULL, NULL, 0, NULL, &value, &core_error));
  char *text = core_text(core_context, value);
  ck_assert_str_eq(text, "1,2");
  free(text);
  kv8_function_free(function);
  extensions[1] = number;
  core_is(kv8_function_compile(core_context, &source, &options, &function, NULL, &core_error),
          KV8_EINVAL);
  ck_assert_str_eq(core_error.code, "ERR_INVALID_ARG_TYPE");
  extensions[1] = NULL;
  core_is(kv8_function_compile(core_context, &source, &options, &function, NULL, &core_error),
          KV8_EINVAL);
  kv8_value_free(outer);
  kv8_value_free(inner);
  kv8_value_free(number);
}
END_TEST

static const char *const bad_params[] = {
    "",        "x y",   "{a}",  "a=1", "...a", "1a",    "a,b",          "a){}), (function(b",
    "if",      "class", "null", "a-b", " a",   "a/**/", "\xe2\x82\xac", "\xff",
    "\\u0061", "enum",  "a\nb"};

START_TEST(CF12_P12_function_names_a_bad_parameter) {
  const char *params[] = {"good", bad_params[_i]};
  kv8_function *function = NULL;
  core_is(compile_function("", params, 2, &function), KV8_ESYNTAX);
  ck_assert_ptr_null(function);
  ck_assert_str_eq(core_error.name, "SyntaxError");
  ck_assert_ptr_nonnull(strstr(core_error.message, bad_params[_i]));
}
END_TEST

START_TEST(CF10_function_body_cannot_break_out) {
  kv8_function *function = NULL;
  core_is(compile_function("});(function(){", NULL, 0, &function), KV8_ESYNTAX);
  kv8_function_options options = KV8_FUNCTION_OPTIONS_INIT;
  options.params_count = 1;
  kv8_source source = core_source("");
  core_is(kv8_function_compile(core_context, &source, &options, &function, NULL, &core_error),
          KV8_EINVAL);
  options.params_count = KV8_PARAMS_MAX + 1;
  core_is(kv8_function_compile(core_context, &source, &options, &function, NULL, &core_error),
          KV8_ETOOBIG);
  ck_assert_ptr_null(function);
}
END_TEST

START_TEST(P07_scripts_share_the_compilation_cache) {
  kv8_script *first = core_compile("var shared = 1");
  kv8_script *second = core_compile("var shared = 1");
  kv8_blob one = {NULL, 0};
  kv8_blob two = {NULL, 0};
  core_ok(kv8_script_run(first, core_context, NULL, NULL, &core_error));
  core_ok(kv8_script_create_cached_data(first, &one, &core_error));
  core_ok(kv8_script_create_cached_data(second, &two, &core_error));
  ck_assert_uint_eq(one.length, two.length);
  kv8_blob_free(&one);
  kv8_blob_free(&two);
  kv8_script_free(first);
  kv8_script_free(second);
}
END_TEST

int main(void) {
  TCase *scripts = tcase_create("scripts");
  tcase_set_timeout(scripts, 60);
  tcase_add_checked_fixture(scripts, core_setup, core_teardown);
  tcase_add_test(scripts, SC01_script_compiles_without_running);
  tcase_add_test(scripts, SC03_script_is_bound_per_run);
  tcase_add_test(scripts, script_compiles_without_a_context);
  tcase_add_test(scripts, SC04_SC06_SC07_filename_and_offsets);
  tcase_add_test(scripts, SC16_import_without_callback_rejects);
  tcase_add_test(scripts, SM01_SM02_source_map_url);
  tcase_add_loop_test(scripts, exception_is_copied, 0, (int)(sizeof thrown / sizeof thrown[0]));
  tcase_add_test(scripts, exception_text_is_cut_at_a_character);
  tcase_add_test(scripts, exception_text_keeps_what_follows_a_nul);
  tcase_add_test(scripts, exception_getter_is_under_the_deadline);
  tcase_add_test(scripts, CF01_CF02_function_is_called);
  tcase_add_test(scripts, CF08_function_sees_context_extensions);
  tcase_add_loop_test(scripts, CF12_P12_function_names_a_bad_parameter, 0,
                      (int)(sizeof bad_params / sizeof bad_params[0]));
  tcase_add_test(scripts, CF10_function_body_cannot_break_out);
  tcase_add_test(scripts, P07_scripts_share_the_compilation_cache);
  TCase *cases[] = {scripts};
  return core_main(cases, 1, "shim run");
}
