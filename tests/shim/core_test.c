/* SPDX-License-Identifier: MIT
 *
 * core_test.c: engine, isolate, context, source, script and function of the shim, each promise and
 * each error path. Deadlines are core_test_run.c's, cached data core_test_cache.c's, the zygote
 * core_test_fork.c's; values and modules have files of their own.
 */
#include "tests/shim/core_test.h"
#include "tests/official_node.h"
#include "tests/shim/versions.h"

#include <limits.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- status --------------------------------------------------------------------------------- */

START_TEST(status_has_name_and_text) {
  ck_assert_str_eq(kv8_status_name(KV8_ETIMEOUT), "KV8_ETIMEOUT");
  ck_assert_str_eq(kv8_status_text(KV8_ETIMEOUT), "the deadline passed");
  ck_assert_str_eq(kv8_status_name((kv8_status)77), "unknown status");
  ck_assert_str_eq(kv8_status_text((kv8_status)77), "unknown status");
#define CORE_CHECK_STATUS(symbol, number, text)         \
  ck_assert_int_eq((symbol), (number));                 \
  ck_assert_str_eq(kv8_status_name((symbol)), #symbol); \
  ck_assert_str_eq(kv8_status_text((symbol)), (text));
  KV8_STATUS_MAP(CORE_CHECK_STATUS)
}
END_TEST

START_TEST(span_and_blob_accept_nothing) {
  kv8_span none = kv8_span_from(NULL);
  ck_assert_uint_eq(none.length, 0);
  ck_assert_uint_eq(kv8_span_from("ab").length, 2);
  kv8_blob blob = {NULL, 0};
  kv8_blob_free(&blob);
  kv8_blob_free(NULL);
  kv8_isolate_free(NULL);
  kv8_context_free(NULL);
  kv8_script_free(NULL);
  kv8_function_free(NULL);
}
END_TEST

/* ---- engine --------------------------------------------------------------------------------- */

START_TEST(engine_says_which_it_is) {
  kv8_engine_info info;
  core_is(kv8_engine_get_info(&info, &core_error), KV8_ESTATE);
  core_engine();
  core_ok(kv8_engine_get_info(&info, &core_error));
  core_is(kv8_engine_get_info(NULL, &core_error), KV8_EINVAL);
#if defined(KV8_HOST_NODE)
  ck_assert_str_eq(info.flags, ""); /* hosted_pool_test compares the tag with what Node says */
  ck_assert_ptr_nonnull(v8_is());
#else
  ck_assert_str_eq(info.flags, "--harmony-import-assertions --harmony-import-attributes");
  ck_assert_str_eq(info.v8_version, "10.2.154.26-node.37");
  ck_assert_uint_eq(info.cached_data_tag, official_node_tag(KILN_OFFICIAL_NODE));
#endif
  ck_assert_uint_eq(strlen(info.build_id), 40);
  ck_assert_uint_eq(strspn(info.build_id, "0123456789abcdef"), 40);
#if defined(__x86_64__)
  ck_assert_str_eq(info.arch, "x64");
#endif
  core_is(kv8_engine_start(NULL, &core_error), KV8_ESTATE);
  kv8_engine_stop();
  kv8_engine_stop();
  core_is(kv8_engine_start(NULL, &core_error), KV8_ESTATE);
  core_is(kv8_engine_get_info(&info, NULL), KV8_ESTATE);
}
END_TEST

static const char *const bad_flags[] = {"--no-such-flag", "--stack-size=many",
                                        "--expose-gc nonsense", "--help"};

START_TEST(engine_names_a_bad_flag) {
  kv8_engine_options options = KV8_ENGINE_OPTIONS_INIT;
  options.flags = bad_flags[_i];
  /* V8 itself may say on stderr what it dislikes; that is its own. */
  core_is(kv8_engine_start(&options, &core_error), KV8_EINVAL);
  const char *word = strrchr(bad_flags[_i], ' ');
  ck_assert_msg(strstr(core_error.message, word != NULL ? word + 1 : bad_flags[_i]) != NULL,
                "message: %s", core_error.message);
  core_is(kv8_engine_start(NULL, &core_error), KV8_ESTATE);
}
END_TEST

START_TEST(engine_checks_options) {
  kv8_engine_options options = KV8_ENGINE_OPTIONS_INIT;
  options.struct_size++;
  core_is(kv8_engine_start(&options, &core_error), KV8_EINVAL);
  options.struct_size = 0;
  core_is(kv8_engine_start(&options, NULL), KV8_EINVAL);
  options.struct_size = sizeof options;
  options.threads = 65;
  core_is(kv8_engine_start(&options, &core_error), KV8_EINVAL);
  options.threads = 1;
  char *flags = malloc(8192);
  ck_assert_ptr_nonnull(flags);
  memset(flags, ' ', 8191);
  flags[8191] = '\0';
  options.flags = flags;
  core_is(kv8_engine_start(&options, &core_error), KV8_EINVAL);
  core_is(kv8_engine_after_fork(false, &core_error), KV8_ESTATE);
  kv8_isolate *isolate = NULL;
  core_is(kv8_isolate_new(NULL, &isolate, &core_error), KV8_ESTATE);
  ck_assert_ptr_null(isolate);
  /* None of these mistakes spoils the engine. */
  options.flags = " --no_opt\t--expose_gc  -no-opt ";
  core_ok(kv8_engine_start(&options, &core_error));
  kv8_engine_info info;
  core_ok(kv8_engine_get_info(&info, &core_error));
  ck_assert_str_eq(info.flags, "--expose-gc --no-opt");
#if !defined(KV8_HOST_NODE)
  ck_assert_uint_ne(info.cached_data_tag, official_node_tag(KILN_OFFICIAL_NODE));
#endif
  free(flags);
  kv8_engine_stop();
}
END_TEST

/* ---- isolate -------------------------------------------------------------------------------- */

START_TEST(isolate_checks_arguments) {
  core_engine();
  kv8_isolate_options options = KV8_ISOLATE_OPTIONS_INIT;
  core_is(kv8_isolate_new(&options, NULL, &core_error), KV8_EINVAL);
  options.heap_max_bytes = 1;
  core_is(kv8_isolate_new(&options, &core_isolate, &core_error), KV8_EINVAL);
  options.heap_max_bytes = 0;
  options.stack_max_bytes = 1;
  core_is(kv8_isolate_new(&options, &core_isolate, &core_error), KV8_EINVAL);
  options.struct_size = 1000;
  core_is(kv8_isolate_new(&options, &core_isolate, &core_error), KV8_EINVAL);
  ck_assert_ptr_null(core_isolate);
  core_is(kv8_isolate_set_heap_max(NULL, 1U << 24, &core_error), KV8_EINVAL);
  core_is(kv8_isolate_pump(NULL, 0, NULL, &core_error), KV8_EINVAL);
  core_is(kv8_isolate_drain_microtasks(NULL, 0, &core_error), KV8_EINVAL);
  core_is(kv8_isolate_get_heap_statistics(NULL, NULL, &core_error), KV8_EINVAL);
  core_is(kv8_isolate_each_heap_space(NULL, NULL, NULL, &core_error), KV8_EINVAL);
  kv8_isolate_terminate(NULL);
  kv8_isolate_collect_garbage(NULL);
  kv8_isolate_set_stack_max(NULL, 0);
  kv8_isolate_set_array_buffer_max(NULL, 0);
  kv8_engine_stop();
}
END_TEST

static void count_space(void *user, const kv8_heap_space_statistics *space) {
  size_t *sum = user;
  ck_assert_uint_gt(strlen(space->name), 0);
  ck_assert_uint_le(space->used_size, space->size);
  *sum += space->used_size;
}

START_TEST(isolate_has_heap_statistics) {
  kv8_heap_statistics heap;
  core_ok(kv8_isolate_get_heap_statistics(core_isolate, &heap, &core_error));
  ck_assert_uint_eq(heap.number_of_native_contexts, 1);
  ck_assert_uint_gt(heap.used_heap_size, 0);
  ck_assert_uint_ge(heap.total_heap_size, heap.used_heap_size);
  ck_assert_uint_gt(heap.heap_size_limit, heap.total_heap_size);
  size_t sum = 0;
  core_ok(kv8_isolate_each_heap_space(core_isolate, count_space, &sum, &core_error));
  ck_assert_uint_gt(sum, 0);
}
END_TEST

START_TEST(isolate_caps_array_buffers) {
  kv8_isolate_set_array_buffer_max(core_isolate, 1U << 20);
  core_expect(core_context, "new ArrayBuffer(1 << 19).byteLength", "524288");
  core_is(core_try(core_context, "new ArrayBuffer(1 << 21)", 0), KV8_EEXCEPTION);
  ck_assert_str_eq(core_error.name, "RangeError");
  /* What is freed may be taken again. */
  core_expect(core_context,
              "for (let i = 0; i < 100; i++) new Uint8Array(1 << 19);\n"
              "new ArrayBuffer(0).byteLength",
              "0");
  kv8_isolate_set_array_buffer_max(core_isolate, 0);
  core_expect(core_context, "new ArrayBuffer(1 << 21).byteLength", "2097152");
}
END_TEST

START_TEST(isolate_limits_stack) {
  kv8_isolate_set_stack_max(core_isolate, 200000);
  core_expect(core_context,
              "var depth = 0; function f() { depth++; f(); } try { f() } catch (e) { e.name }",
              "RangeError");
  core_expect(core_context, "small = depth; depth > 100", "true");
  kv8_isolate_set_stack_max(core_isolate, 2000000);
  core_expect(core_context, "depth = 0; try { f() } catch (e) {} depth > small * 3", "true");
}
END_TEST

START_TEST(isolate_pumps_tasks) {
  bool ran = true;
  core_ok(kv8_isolate_pump(core_isolate, 0, NULL, &core_error));
  while (ran) {
    core_ok(kv8_isolate_pump(core_isolate, 0, &ran, &core_error));
  }
  /* A finalizer is a task V8 posts for this thread after a garbage collection. */
  core_expect(core_context,
              "var gone = 0; var registry = new FinalizationRegistry(n => { gone += n });\n"
              "(function() { registry.register({}, 7) })(); gone",
              "0");
  kv8_isolate_collect_garbage(core_isolate);
  core_ok(kv8_isolate_pump(core_isolate, 5000, &ran, &core_error));
  ck_assert(ran);
  core_expect(core_context, "gone", "7");
}
END_TEST

static void forget_handles(void) {
  core_setup();
  kv8_script *script = core_compile("1");
  kv8_isolate_free(core_isolate);
  core_is(kv8_script_run(script, core_context, NULL, NULL, &core_error), KV8_EINVAL);
  core_is(kv8_context_configure(core_context, NULL, &core_error), KV8_EINVAL);
  kv8_script_free(script);
  kv8_context_free(core_context);
  kv8_engine_stop();
}

START_TEST(isolate_frees_what_was_forgotten) {
  core_free_too_early(forget_handles);
}
END_TEST

/* ---- context -------------------------------------------------------------------------------- */

START_TEST(RN02_RN03_context_has_name_and_origin) {
  kv8_span name = kv8_context_get_name(core_context);
  ck_assert_uint_eq(name.length, strlen("VM Context 1"));
  ck_assert_mem_eq(name.data, "VM Context 1", name.length);
  kv8_context_options options = KV8_CONTEXT_OPTIONS_INIT;
  options.origin = kv8_span_from("http://example.test");
  kv8_context *second = NULL;
  core_ok(kv8_context_new(core_isolate, &options, &second, &core_error));
  name = kv8_context_get_name(second);
  ck_assert_mem_eq(name.data, "VM Context 2", name.length);
  kv8_span origin = kv8_context_get_origin(second);
  ck_assert_mem_eq(origin.data, "http://example.test", origin.length);
  kv8_context_free(second);
  options.name = kv8_span_from("mine");
  core_ok(kv8_context_new(core_isolate, &options, &second, &core_error));
  name = kv8_context_get_name(second);
  ck_assert_mem_eq(name.data, "mine", name.length);
  kv8_context_free(second);
  ck_assert_uint_eq(kv8_context_get_name(NULL).length, 0);
  ck_assert_uint_eq(kv8_context_get_origin(NULL).length, 0);
}
END_TEST

START_TEST(context_checks_arguments) {
  kv8_context_options options = KV8_CONTEXT_OPTIONS_INIT;
  kv8_context *context = NULL;
  core_is(kv8_context_new(NULL, &options, &context, &core_error), KV8_EINVAL);
  core_is(kv8_context_new(core_isolate, &options, NULL, &core_error), KV8_EINVAL);
  options.name = (kv8_span){NULL, 3};
  core_is(kv8_context_new(core_isolate, &options, &context, &core_error), KV8_EINVAL);
  options.name = (kv8_span){"x", SIZE_MAX};
  core_is(kv8_context_new(core_isolate, &options, &context, &core_error), KV8_ETOOBIG);
  options.name = (kv8_span){NULL, 0};
  options.strings = (kv8_allow)9;
  core_is(kv8_context_new(core_isolate, &options, &context, &core_error), KV8_EINVAL);
  options.struct_size = sizeof options + 8;
  core_is(kv8_context_new(core_isolate, &options, &context, &core_error), KV8_EINVAL);
  core_is(kv8_context_configure(core_context, &options, &core_error), KV8_EINVAL);
  core_is(kv8_context_configure(NULL, NULL, &core_error), KV8_EINVAL);
  ck_assert_ptr_null(context);
}
END_TEST

static const char *const wasm_module =
    "new WebAssembly.Module(new Uint8Array([0,97,115,109,1,0,0,0]))";

START_TEST(RN04_RN05_context_denies_code_generation) {
  kv8_context_options options = KV8_CONTEXT_OPTIONS_INIT;
  options.strings = KV8_DENY;
  options.wasm = KV8_DENY;
  kv8_context *context = NULL;
  core_ok(kv8_context_new(core_isolate, &options, &context, &core_error));
  core_is(core_try(context, "eval('1')", 0), KV8_EEXCEPTION);
  ck_assert_str_eq(core_error.name, "EvalError");
  ck_assert_str_eq(core_error.message, "Code generation from strings disallowed for this context");
  core_is(core_try(context, "new Function('return 1')", 0), KV8_EEXCEPTION);
  core_is(core_try(context, wasm_module, 0), KV8_EEXCEPTION);
  ck_assert_str_eq(core_error.name, "CompileError");
  core_expect(core_context, "eval('1 + 1')", "2");
  core_ok(core_try(core_context, wasm_module, 0));
  /* And both ways on a context that is there already. */
  core_ok(kv8_context_configure(core_context, &options, &core_error));
  core_is(core_try(core_context, "eval('1')", 0), KV8_EEXCEPTION);
  core_is(core_try(core_context, wasm_module, 0), KV8_EEXCEPTION);
  core_ok(kv8_context_configure(context, NULL, &core_error));
  core_expect(context, "eval('1 + 1')", "2");
  core_ok(core_try(context, wasm_module, 0));
  kv8_context_free(context);
}
END_TEST

/* The promise of another queue's context is not resumed by this one's run. */
static const char *const later =
    "var order = 'a'; Promise.resolve().then(() => { order += 'c' });"
    "order += 'b'; order";

START_TEST(RN06_context_has_its_own_microtasks) {
  kv8_context_options options = KV8_CONTEXT_OPTIONS_INIT;
  options.microtask_mode = KV8_MICROTASKS_AFTER_EVALUATE;
  kv8_context *context = NULL;
  core_ok(kv8_context_new(core_isolate, &options, &context, &core_error));
  core_expect(context, later, "ab");
  core_expect(context, "order", "abc");
  core_expect(core_context, later, "ab");
  core_expect(core_context, "order", "abc");
  kv8_context_free(context);
}
END_TEST

START_TEST(context_is_configured_later) {
  kv8_context_options options = KV8_CONTEXT_OPTIONS_INIT;
  options.name = kv8_span_from("job");
  for (int round = 0; round < 6; ++round) {
    options.microtask_mode = round % 2 == 0 ? KV8_MICROTASKS_AFTER_EVALUATE : KV8_MICROTASKS_SHARED;
    core_ok(kv8_context_configure(core_context, &options, &core_error));
    core_expect(core_context, later, "ab");
    core_expect(core_context, "order", "abc");
    kv8_isolate_collect_garbage(core_isolate);
  }
  kv8_span name = kv8_context_get_name(core_context);
  ck_assert_mem_eq(name.data, "job", name.length);
  options.name = (kv8_span){NULL, 0};
  core_ok(kv8_context_configure(core_context, &options, &core_error));
  name = kv8_context_get_name(core_context);
  ck_assert_mem_eq(name.data, "VM Context 1", name.length);
}
END_TEST

START_TEST(P28_freed_context_lives_on_in_closures) {
  kv8_context_options options = KV8_CONTEXT_OPTIONS_INIT;
  options.microtask_mode = KV8_MICROTASKS_AFTER_EVALUATE;
  for (int round = 0; round < 20; ++round) {
    kv8_context *context = NULL;
    core_ok(kv8_context_new(core_isolate, &options, &context, &core_error));
    kv8_value *closure = NULL;
    kv8_script *script = core_compile("var n = 41; (function() { return Promise.resolve(n + 1) })");
    core_ok(kv8_script_run(script, context, NULL, &closure, &core_error));
    kv8_script_free(script);
    core_ok(kv8_context_set_global(core_context, kv8_span_from("f"), closure, &core_error));
    kv8_value_free(closure);
    kv8_context_free(context);
    kv8_isolate_collect_garbage(core_isolate);
    core_ok(core_try(core_context, "var got; f().then(v => { got = v })", 0));
  }
  core_ok(core_try(core_context, "f = null", 0));
  kv8_isolate_collect_garbage(core_isolate);
  kv8_isolate_collect_garbage(core_isolate);
  kv8_heap_statistics heap;
  core_ok(kv8_isolate_get_heap_statistics(core_isolate, &heap, &core_error));
  ck_assert_uint_le(heap.number_of_native_contexts, 3);
}
END_TEST

/* ---- source --------------------------------------------------------------------------------- */

static void count_release(void *user) {
  ++*(int *)user;
}

static size_t repeat(char *out, size_t size, const char *unit) {
  size_t length = 0;
  size_t step = strlen(unit);
  while (length + step <= size) {
    memcpy(out + length, unit, step);
    length += step;
  }
  return length;
}

/* Texts of each way into V8, small and large; the script's value is the length of its comment. */
static const char *const alphabets[] = {"a", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80"};
static const size_t alphabet_units[] = {1, 1, 1, 2};

START_TEST(source_keeps_text_of_any_width) {
  enum { kLarge = 300000 };
  char *text = malloc(kLarge + 64);
  ck_assert_ptr_nonnull(text);
  for (size_t size = 12; size <= kLarge; size *= 5) {
    for (int with_release = 0; with_release < 2; ++with_release) {
      int released = 0;
      size_t length = (size_t)snprintf(text, 64, "'");
      size_t body = repeat(text + length, size, alphabets[_i]);
      size_t units = body / strlen(alphabets[_i]) * alphabet_units[_i];
      length += body;
      length += (size_t)snprintf(text + length, 32, "'.length");
      kv8_source source = KV8_SOURCE_INIT;
      source.text = (kv8_span){text, length};
      source.release = with_release ? count_release : NULL;
      source.release_user = &released;
      kv8_isolate *isolate = NULL;
      kv8_context *context = NULL;
      kv8_script *script = NULL;
      core_ok(kv8_isolate_new(NULL, &isolate, &core_error));
      core_ok(kv8_context_new(isolate, NULL, &context, &core_error));
      core_ok(kv8_script_compile(isolate, &source, &script, NULL, &core_error));
      char expected[32];
      snprintf(expected, sizeof expected, "%zu", units);
      core_expect_script(script, context, expected);
      kv8_script_free(script);
      kv8_context_free(context);
      kv8_isolate_free(isolate);
      ck_assert_int_eq(released, with_release);
    }
  }
  free(text);
}
END_TEST

START_TEST(source_is_released_once_on_failure) {
  int released = 0;
  kv8_source source = core_source("var 5;");
  source.release = count_release;
  source.release_user = &released;
  kv8_script *script = NULL;
  core_is(kv8_script_compile(NULL, &source, &script, NULL, &core_error), KV8_EINVAL);
  ck_assert_int_eq(released, 1);
  core_is(kv8_script_compile(core_isolate, &source, NULL, NULL, &core_error), KV8_EINVAL);
  ck_assert_int_eq(released, 2);
  source.mode = (kv8_compile_mode)7;
  core_is(kv8_script_compile(core_isolate, &source, &script, NULL, &core_error), KV8_EINVAL);
  ck_assert_int_eq(released, 3);
  source.mode = KV8_COMPILE_LAZY;
  core_is(kv8_script_compile(core_isolate, &source, &script, NULL, &core_error), KV8_ESYNTAX);
  kv8_function *function = NULL;
  core_is(kv8_function_compile(NULL, &source, NULL, &function, NULL, &core_error), KV8_EINVAL);
  core_is(kv8_function_compile(core_context, &source, NULL, &function, NULL, &core_error),
          KV8_ESYNTAX);
  core_teardown();
  ck_assert_int_eq(released, 6);
  ck_assert_ptr_null(script);
  ck_assert_ptr_null(function);
}
END_TEST

START_TEST(source_checks_arguments) {
  kv8_script *script = NULL;
  core_is(kv8_script_compile(core_isolate, NULL, &script, NULL, &core_error), KV8_EINVAL);
  kv8_source source = KV8_SOURCE_INIT;
  source.text = (kv8_span){NULL, 1};
  core_is(kv8_script_compile(core_isolate, &source, &script, NULL, &core_error), KV8_EINVAL);
  source = core_source("1");
  source.cached_data = kv8_span_from("x");
  source.mode = KV8_COMPILE_EAGER;
  core_is(kv8_script_compile(core_isolate, &source, &script, NULL, &core_error), KV8_EINVAL);
  source = core_source("1");
  source.filename = (kv8_span){"x", 1U << 20};
  core_is(kv8_script_compile(core_isolate, &source, &script, NULL, &core_error), KV8_ETOOBIG);
  source = core_source("1");
  source.struct_size = 0;
  core_is(kv8_script_compile(core_isolate, &source, &script, NULL, &core_error), KV8_EINVAL);
  source.struct_size = sizeof source + 1;
  core_is(kv8_script_compile(core_isolate, &source, &script, NULL, &core_error), KV8_EINVAL);
  /* An older caller's shorter struct: what it lacks is the default. */
  source.struct_size = offsetof(kv8_source, cached_data);
  core_ok(kv8_script_compile(core_isolate, &source, &script, NULL, &core_error));
  kv8_script_free(script);
}
END_TEST

START_TEST(source_over_v8s_limit_is_too_big) {
  /* Address space only: nothing of it is touched but its first page. */
  size_t length = (size_t)1 << 31;
  char *text = mmap(NULL, length, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  ck_assert_ptr_ne(text, MAP_FAILED);
  kv8_source source = KV8_SOURCE_INIT;
  source.text = (kv8_span){text, length};
  kv8_script *script = NULL;
  core_is(kv8_script_compile(core_isolate, &source, &script, NULL, &core_error), KV8_ETOOBIG);
  munmap(text, length);
}
END_TEST

START_TEST(source_bytes_that_are_no_utf8) {
  core_expect(core_context, "'\xff\xc3'.split('').map(c => c.charCodeAt(0).toString(16)).join()",
              "fffd,fffd");
  core_expect(core_context, "\xef\xbb\xbf'\xef\xbb\xbf'.charCodeAt(0).toString(16)", "feff");
  core_expect(core_context, "", "undefined");
}
END_TEST

/* Large enough for an external string: what V8 makes of it must be what it makes of the small one,
 * wherever in it the characters stand. */
START_TEST(large_sources_are_decoded_as_small_ones) {
  static const char *const texts[] = {
      "\xc3\xa9",                                     /* Latin-1 */
      "\xc2\x80\xc3\xbf",                             /* its first and last beyond ASCII */
      "\xc4\x80",                                     /* the first beyond Latin-1 */
      "\xdf\xbf\xe0\xa0\x80",                         /* from two bytes to three */
      "\xe2\x80\x94x\xc3\xa9",                        /* both kinds */
      "\xed\x9f\xbf\xee\x80\x80",                     /* around the surrogates */
      "\xef\xbf\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf", /* from one unit to two, and the last */
      "\xf0\x9f\x98\x80",
      /* what is no UTF-8 */
      "\xff",
      "\x80",
      "\xc3",
      "\xc0\x80",
      "\xc1\xbf",
      "\xe0\x9f\xbf",
      "\xed\xa0\x80",
      "\xed\xb0\x80",
      "\xe2\x80",
      "\xf0\x8f\xbf\xbf",
      "\xf4\x90\x80\x80",
      "\xf5\x80\x80\x80",
      "\xf0\x9f\x98",
      "\xe2\x80\x94\xff",
  };
  static char text[20000];
  char small[200], expected[200];
  for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
    for (int before = 0; before < 33; before += i % 3 == 0 ? 1 : 8) {
      static const char code[] = "'.split('').map(c => c.charCodeAt(0).toString(16)).join()";
      snprintf(small, sizeof small, "'%.*s%s%s", before, "abcdefghijklmnopqrstuvwxyzabcdefgh",
               texts[i], code);
      char *made = core_text(core_context, core_value(core_context, small));
      snprintf(expected, sizeof expected, "%s", made);
      free(made);
      size_t length = (size_t)snprintf(text, sizeof text, "%s//", small);
      memset(text + length, '.', sizeof text - 1 - length);
      core_expect(core_context, text, expected);
      text[sizeof text - 2] = '\xe2'; /* the beginning of a character at the end */
      core_expect(core_context, text, expected);
    }
  }
}
END_TEST

int main(void) {
  TCase *bare = tcase_create("bare");
  tcase_add_test(bare, status_has_name_and_text);
  tcase_add_test(bare, span_and_blob_accept_nothing);
  tcase_add_test(bare, engine_says_which_it_is);
  tcase_add_loop_test(bare, engine_names_a_bad_flag, 0,
                      (int)(sizeof bad_flags / sizeof bad_flags[0]));
  tcase_add_test(bare, engine_checks_options);
  tcase_add_test(bare, isolate_checks_arguments);
  tcase_add_test(bare, isolate_frees_what_was_forgotten);
  TCase *ready = tcase_create("ready");
  tcase_set_timeout(ready, 60);
  tcase_add_checked_fixture(ready, core_setup, core_teardown);
  tcase_add_test(ready, isolate_has_heap_statistics);
  tcase_add_test(ready, isolate_caps_array_buffers);
  tcase_add_test(ready, isolate_limits_stack);
  tcase_add_test(ready, isolate_pumps_tasks);
  tcase_add_test(ready, RN02_RN03_context_has_name_and_origin);
  tcase_add_test(ready, context_checks_arguments);
  tcase_add_test(ready, RN04_RN05_context_denies_code_generation);
  tcase_add_test(ready, RN06_context_has_its_own_microtasks);
  tcase_add_test(ready, context_is_configured_later);
  tcase_add_test(ready, P28_freed_context_lives_on_in_closures);
  tcase_add_loop_test(ready, source_keeps_text_of_any_width, 0,
                      (int)(sizeof alphabets / sizeof alphabets[0]));
  tcase_add_test(ready, source_checks_arguments);
  tcase_add_test(ready, source_over_v8s_limit_is_too_big);
  tcase_add_test(ready, source_bytes_that_are_no_utf8);
  tcase_add_test(ready, large_sources_are_decoded_as_small_ones);
  TCase *released = tcase_create("released");
  tcase_add_checked_fixture(released, core_setup, NULL);
  tcase_add_test(released, source_is_released_once_on_failure);
  TCase *cases[] = {bare, ready, released};
  return core_main(cases, sizeof cases / sizeof cases[0], "shim core");
}
