/* SPDX-License-Identifier: MIT
 *
 * core_test_cache.c: cached data out and in again, for scripts and functions in every bake mode,
 * what is refused and what, as documented, is not. Modules' cached data is module_test.c's.
 */
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/shim/core_test.h"

/* Each consumer has an isolate of its own: V8's compilation cache answers within one. */
typedef struct consumer {
  kv8_isolate *isolate;
  kv8_context *context;
} consumer;

static consumer consumer_new(void) {
  consumer made = {NULL, NULL};
  core_ok(kv8_isolate_new(NULL, &made.isolate, &core_error));
  core_ok(kv8_context_new(made.isolate, NULL, &made.context, &core_error));
  return made;
}

static void consumer_free(consumer used) {
  kv8_context_free(used.context);
  kv8_isolate_free(used.isolate);
}

static const char *const program =
    "var calls = 0;\n"
    "function add(a, b) { calls++; var s = 0; for (var i = 0; i < 10; i++) s += a + b; return s }\n"
    "function never(x) { return x.map(y => y * 2).filter(z => z > 3).join('-') }\n"
    "add(1, 2)";

enum { kLazy, kEager, kWarm, kModes };

static kv8_blob bake_script(const char *text, int mode) {
  consumer baker = consumer_new();
  kv8_source source = core_source(text);
  source.mode = mode == kEager ? KV8_COMPILE_EAGER : KV8_COMPILE_LAZY;
  kv8_script *script = NULL;
  kv8_cache_outcome outcome = KV8_CACHE_ACCEPTED;
  core_ok(kv8_script_compile(baker.isolate, &source, &script, &outcome, &core_error));
  ck_assert_int_eq(outcome, KV8_CACHE_NOT_OFFERED);
  if (mode == kWarm) {
    core_ok(kv8_script_run(script, baker.context, NULL, NULL, &core_error));
  }
  kv8_blob data = {NULL, 0};
  core_ok(kv8_script_create_cached_data(script, &data, &core_error));
  ck_assert_uint_eq((uintptr_t)data.data % 8, 0);
  kv8_script_free(script);
  consumer_free(baker);
  return data;
}

static kv8_cache_outcome consume_script(consumer with, const char *text, const void *data,
                                        size_t length, const char *expected) {
  kv8_source source = core_source(text);
  source.cached_data = (kv8_span){data, length};
  kv8_script *script = NULL;
  kv8_cache_outcome outcome = KV8_CACHE_NOT_OFFERED;
  core_ok(kv8_script_compile(with.isolate, &source, &script, &outcome, &core_error));
  core_expect_script(script, with.context, expected);
  kv8_script_free(script);
  return outcome;
}

START_TEST(CD01_script_round_trip) {
  kv8_blob data = bake_script(program, _i);
  for (int round = 0; round < 3; ++round) { /* CD04 */
    consumer with = consumer_new();
    ck_assert_int_eq(consume_script(with, program, data.data, data.length, "30"),
                     KV8_CACHE_ACCEPTED);
    core_expect(core_context, "typeof calls", "undefined"); /* CD03 */
    consumer_free(with);
  }
  kv8_blob_free(&data);
}
END_TEST

START_TEST(CD05_CD06_modes_hold_more_and_more) {
  kv8_blob lazy = bake_script(program, kLazy);
  kv8_blob warm = bake_script(program, kWarm);
  kv8_blob eager = bake_script(program, kEager);
  ck_assert_uint_lt(lazy.length, warm.length);
  ck_assert_uint_lt(warm.length, eager.length);
  kv8_blob_free(&lazy);
  kv8_blob_free(&warm);
  kv8_blob_free(&eager);
}
END_TEST

START_TEST(CD02_created_any_number_of_times) {
  kv8_script *script = core_compile(program);
  for (int i = 0; i < 10; ++i) {
    kv8_blob data = {NULL, 0};
    core_ok(kv8_script_create_cached_data(script, &data, &core_error));
    consumer with = consumer_new();
    ck_assert_int_eq(consume_script(with, program, data.data, data.length, "30"),
                     KV8_CACHE_ACCEPTED);
    consumer_free(with);
    kv8_blob_free(&data);
    core_ok(kv8_script_run(script, core_context, NULL, NULL, &core_error));
  }
  core_is(kv8_script_create_cached_data(NULL, NULL, &core_error), KV8_EINVAL);
  core_is(kv8_script_create_cached_data(script, NULL, &core_error), KV8_EINVAL);
  core_is(kv8_function_create_cached_data(NULL, NULL, &core_error), KV8_EINVAL);
  kv8_script_free(script);
}
END_TEST

START_TEST(SC12_rejected_is_no_error) {
  kv8_blob data = bake_script(program, kLazy);
  consumer with = consumer_new();
  ck_assert_int_eq(consume_script(with, program, "", 0, "30"), KV8_CACHE_REJECTED);
  ck_assert_int_eq(consume_script(with, program, "garbage", 7, "30"), KV8_CACHE_REJECTED);
  ck_assert_int_eq(consume_script(with, program, data.data, 23, "30"), KV8_CACHE_REJECTED);
  /* Cut short behind the header: V8 says so, in an isolate that has not compiled it yet. */
  consumer fresh = consumer_new();
  ck_assert_int_eq(consume_script(fresh, program, data.data, data.length - 8, "30"),
                   KV8_CACHE_REJECTED);
  consumer_free(fresh);
  consumer_free(with);
  kv8_blob_free(&data);
}
END_TEST

/* P08: after the first compile V8's own cache would answer "not rejected" to anything. */
START_TEST(P08_D09_header_is_checked_again_in_the_same_isolate) {
  kv8_blob data = bake_script(program, kLazy);
  consumer with = consumer_new();
  for (size_t byte = 0; byte < 16; ++byte) {
    ck_assert_int_eq(consume_script(with, program, data.data, data.length, "30"),
                     KV8_CACHE_ACCEPTED);
    data.data[byte] ^= 1;
    ck_assert_int_eq(consume_script(with, program, data.data, data.length, "30"),
                     KV8_CACHE_REJECTED);
    data.data[byte] ^= 1;
  }
  consumer_free(with);
  kv8_blob_free(&data);
}
END_TEST

/* What kv8.h warns of: V8 checks the length only, so the caller must check the rest (P09). */
START_TEST(P09_other_source_of_the_same_length_runs_the_old) {
  kv8_blob data = bake_script("6 * 7", kLazy);
  consumer with = consumer_new();
  ck_assert_int_eq(consume_script(with, "1 + 1", data.data, data.length, "42"), KV8_CACHE_ACCEPTED);
  consumer_free(with);
  with = consumer_new();
  ck_assert_int_eq(consume_script(with, "1 + 11", data.data, data.length, "12"),
                   KV8_CACHE_REJECTED);
  consumer_free(with);
  kv8_blob_free(&data);
}
END_TEST

/* The length V8 checks is in characters: Node's, which decodes the file the same way. */
START_TEST(source_length_counts_characters) {
  static const char *const texts[] = {"'\xc3\xa9\xc3\xa9'", "'\xe2\x82\xac\xe2\x82\xac'"};
  for (size_t i = 0; i < 2; ++i) {
    kv8_blob data = bake_script(texts[i], kLazy);
    ck_assert_uint_gt(data.length, 24);
    uint32_t source_hash = 0;
    memcpy(&source_hash, data.data + 8, sizeof source_hash);
    ck_assert_uint_eq(source_hash, 4);
    kv8_blob_free(&data);
  }
}
END_TEST

/* ---- functions ------------------------------------------------------------------------------ */

static kv8_function *function_of(consumer in, const char *body, int mode, kv8_span data,
                                 kv8_cache_outcome *ret_outcome) {
  kv8_span params[] = {kv8_span_from("a"), kv8_span_from("b")};
  kv8_function_options options = KV8_FUNCTION_OPTIONS_INIT;
  options.params = params;
  options.params_count = 2;
  kv8_source source = core_source(body);
  source.mode = mode == kEager ? KV8_COMPILE_EAGER : KV8_COMPILE_LAZY;
  source.cached_data = data;
  kv8_function *function = NULL;
  core_ok(kv8_function_compile(in.context, &source, &options, &function, ret_outcome, &core_error));
  return function;
}

static void expect_call(consumer in, kv8_function *function, const char *expected) {
  kv8_value *args[2] = {NULL, NULL};
  core_ok(kv8_value_from_json(in.context, kv8_span_from("20"), &args[0], &core_error));
  core_ok(kv8_value_from_json(in.context, kv8_span_from("22"), &args[1], &core_error));
  kv8_value *value = NULL;
  core_ok(kv8_function_call(function, NULL, (const kv8_value *const *)args, 2, NULL, &value,
                            &core_error));
  char *text = core_text(in.context, value);
  ck_assert_str_eq(text, expected);
  free(text);
  kv8_value_free(args[0]);
  kv8_value_free(args[1]);
}

START_TEST(CF05_function_round_trip) {
  static const char *const body = "function sum(x, y) { return x + y }\nreturn sum(a, b)";
  consumer baker = consumer_new();
  kv8_cache_outcome outcome = KV8_CACHE_ACCEPTED;
  kv8_function *function = function_of(baker, body, _i, (kv8_span){NULL, 0}, &outcome);
  ck_assert_int_eq(outcome, KV8_CACHE_NOT_OFFERED);
  if (_i == kWarm) {
    expect_call(baker, function, "42");
  }
  kv8_blob data = {NULL, 0};
  core_ok(kv8_function_create_cached_data(function, &data, &core_error));
  kv8_function_free(function);
  consumer_free(baker);
  consumer with = consumer_new();
  kv8_span span = {(const char *)data.data, data.length};
  function = function_of(with, body, kLazy, span, &outcome);
  ck_assert_int_eq(outcome, KV8_CACHE_ACCEPTED);
  expect_call(with, function, "42");
  kv8_function_free(function);
  data.data[0] ^= 1;
  function = function_of(with, body, kLazy, span, &outcome);
  ck_assert_int_eq(outcome, KV8_CACHE_REJECTED);
  expect_call(with, function, "42");
  kv8_function_free(function);
  consumer_free(with);
  kv8_blob_free(&data);
}
END_TEST

/* ---- official Node ----------------------------------------------------------------------------
 */

/* Writes `data` to a file of its own; the path is the caller's to unlink and free. */
static char *write_file(const void *data, size_t length) {
  char *path = strdup("/tmp/kv8-cache-XXXXXX");
  ck_assert_ptr_nonnull(path);
  int file = mkstemp(path);
  ck_assert_int_ge(file, 0);
  ck_assert_int_eq(write(file, data, length), (ssize_t)length);
  close(file);
  return path;
}

/* The exit status of `node -e code argument...`. */
static int run_node(const char *code, const char *first, const char *second) {
  pid_t child = fork();
  ck_assert_int_ge(child, 0);
  if (child == 0) {
    execl(KILN_OFFICIAL_NODE, "node", "-e", code, first, second, (char *)NULL);
    _exit(127);
  }
  int status = 0;
  ck_assert_int_eq(waitpid(child, &status, 0), child);
  ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) != 127,
                "official Node is not at " KILN_OFFICIAL_NODE);
  return WEXITSTATUS(status);
}

START_TEST(CD01_official_node_accepts) {
  static const char *const code =
      "const [text, cachedData] = process.argv.slice(1).map(f => fs.readFileSync(f));"
      "const script = new vm.Script(String(text), {cachedData});"
      "process.exit(script.cachedDataRejected === false && script.runInThisContext() === 30 ? 0 : "
      "1)";
  kv8_blob data = bake_script(program, _i);
  char *text_path = write_file(program, strlen(program));
  char *data_path = write_file(data.data, data.length);
  ck_assert_int_eq(run_node(code, text_path, data_path), 0);
  /* And would say so if it did not. */
  data.data[4] ^= 1;
  char *bad_path = write_file(data.data, data.length);
  ck_assert_int_eq(run_node(code, text_path, bad_path), 1);
  char *paths[] = {text_path, data_path, bad_path};
  for (size_t i = 0; i < 3; ++i) {
    unlink(paths[i]);
    free(paths[i]);
  }
  kv8_blob_free(&data);
}
END_TEST

int main(void) {
  TCase *all = tcase_create("cached data");
  tcase_set_timeout(all, 60);
  tcase_add_checked_fixture(all, core_setup, core_teardown);
  tcase_add_loop_test(all, CD01_script_round_trip, 0, kModes);
  tcase_add_test(all, CD05_CD06_modes_hold_more_and_more);
  tcase_add_test(all, CD02_created_any_number_of_times);
  tcase_add_test(all, SC12_rejected_is_no_error);
  tcase_add_test(all, P08_D09_header_is_checked_again_in_the_same_isolate);
  tcase_add_test(all, P09_other_source_of_the_same_length_runs_the_old);
  tcase_add_test(all, source_length_counts_characters);
  tcase_add_loop_test(all, CF05_function_round_trip, 0, kModes);
  tcase_add_loop_test(all, CD01_official_node_accepts, 0, kModes);
  TCase *cases[] = {all};
  return core_main(cases, 1, "shim cached data");
}
