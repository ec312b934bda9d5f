/* SPDX-License-Identifier: MIT
 *
 * console_test.c: console output. What Node prints is not written down here: data/console.js runs
 * through the shim and through official Node 18, and the two outputs must be equal. The other
 * tests are about what hostile scripts may try.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/shim/core_test.h"

#define LINE_MAX_BYTES 65536u
#define CUT_MARK "... [truncated]"

/* All that was printed, a newline after each call, and the last call's level. */
struct text {
  char *data;
  size_t length;
  size_t calls;
  size_t longest;
  char level[32];
};

static struct text printed;

static void text_add(struct text *text, const char *data, size_t length) {
  text->data = realloc(text->data, text->length + length + 1);
  ck_assert_ptr_nonnull(text->data);
  if (length > 0) memcpy(text->data + text->length, data, length);
  text->length += length;
  text->data[text->length] = '\0';
}

static void text_clear(struct text *text) {
  free(text->data);
  memset(text, 0, sizeof(*text));
}

static void on_console(void *user, const char *level, kv8_span line) {
  struct text *text = user;
  text_add(text, line.data, line.length);
  text_add(text, "\n", 1);
  text->calls++;
  if (line.length > text->longest) text->longest = line.length;
  snprintf(text->level, sizeof(text->level), "%s", level);
}

static void setup(void) {
  core_engine();
  core_ok(kv8_isolate_new(NULL, &core_isolate, &core_error));
  kv8_context_options options = KV8_CONTEXT_OPTIONS_INIT;
  options.on_console = on_console;
  options.on_console_user = &printed;
  core_ok(kv8_context_new(core_isolate, &options, &core_context, &core_error));
}

static void teardown(void) {
  core_teardown();
  text_clear(&printed);
}

static void run(const char *source) {
  core_is(core_try(core_context, source, 0), KV8_OK);
}

/* Runs `source` and compares what it alone prints. */
static void expect(const char *source, const char *output) {
  text_clear(&printed);
  run(source);
  ck_assert_str_eq(printed.data == NULL ? "" : printed.data, output);
}

static void read_all(FILE *file, struct text *text) {
  char chunk[4096];
  size_t count;
  while ((count = fread(chunk, 1, sizeof(chunk), file)) > 0) text_add(text, chunk, count);
}

/* Standard output and error of `node path`, in one. */
static void run_node(const char *path, struct text *text) {
  int ends[2];
  ck_assert_int_eq(pipe(ends), 0);
  pid_t child = fork();
  ck_assert_int_ge(child, 0);
  if (child == 0) {
    dup2(ends[1], STDOUT_FILENO);
    dup2(ends[1], STDERR_FILENO);
    close(ends[0]);
    close(ends[1]);
    execl(KILN_NODE_18, KILN_NODE_18, path, (char *)NULL);
    _exit(127);
  }
  close(ends[1]);
  FILE *file = fdopen(ends[0], "r");
  ck_assert_ptr_nonnull(file);
  read_all(file, text);
  fclose(file);
  int status = 0;
  ck_assert_int_eq(waitpid(child, &status, 0), child);
  ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0,
                "%s ended with status %#x (is it there? set-up installs it): %.2000s", KILN_NODE_18,
                (unsigned)status, text->length == 0 ? "" : text->data);
}

START_TEST(prints_what_node_prints) {
  static const char path[] = KILN_DATA "/console.js";
  struct text expected = {0};
  run_node(path, &expected);
  FILE *file = fopen(path, "r");
  ck_assert_ptr_nonnull(file);
  struct text source = {0};
  read_all(file, &source);
  fclose(file);
  run(source.data);
  size_t line = 1;
  size_t differing = 0;
  const char *want = expected.data;
  const char *have = printed.data;
  while (*want != '\0' || *have != '\0') {
    size_t want_length = strcspn(want, "\n");
    size_t have_length = strcspn(have, "\n");
    if (want_length != have_length || memcmp(want, have, want_length) != 0) {
      fprintf(stderr, "line %zu\n  node: %.*s\n  kiln: %.*s\n", line, (int)want_length, want,
              (int)have_length, have);
      if (++differing == 20) break;
    }
    want += want_length + (want[want_length] == '\n');
    have += have_length + (have[have_length] == '\n');
    line++;
  }
  ck_assert_uint_eq(differing, 0);
  ck_assert_uint_eq(printed.length, expected.length);
  ck_assert_uint_gt(line, 1000); /* the table is there */
  text_clear(&expected);
  text_clear(&source);
}
END_TEST

START_TEST(level_is_the_method) {
  static const char *const methods[] = {"log",   "info",   "debug", "warn",
                                        "error", "dirxml", "trace", "dir",
                                        "table", "count",  "group", "groupCollapsed"};
  for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
    char source[64];
    snprintf(source, sizeof(source), "console.%s('x')", methods[i]);
    run(source);
    ck_assert_str_eq(printed.level, methods[i]);
  }
  run("console.assert(false)");
  ck_assert_str_eq(printed.level, "assert");
  expect("console.log.name + console.log.length", "");
  core_expect(core_context, "[console.log.name, typeof console.log.prototype].join()",
              "log,undefined");
  core_is(core_try(core_context, "new console.log()", 0), KV8_EEXCEPTION);
}
END_TEST

/* console.js leaves these out. */
START_TEST(differs_from_node_as_documented) {
  expect(
      "globalThis.ran = 0;"
      "console.log({ [Symbol.for('nodejs.util.inspect.custom')]() { ran++; return 'no'; } });"
      "class T { get [Symbol.toStringTag]() { ran++; return 'no'; } } console.log(new T());"
      "class H { static [Symbol.hasInstance]() { ran++; return true; } } console.log(new H());"
      "console.log(Object.create(new Proxy({}, { get() { ran++; }, getPrototypeOf() { ran++; },"
      "getOwnPropertyDescriptor() { ran++; }, ownKeys() { ran++; } })));"
      "console.log(ran);",
      "{\n  [Symbol(nodejs.util.inspect.custom)]: [Function: [nodejs.util.inspect.custom]]\n}\n"
      "T {}\nH {}\nObject <Complex prototype> {}\n0\n");
  expect("console.trace('here %d', 1)", "Trace: here 1\n    at evalmachine.<anonymous>:1:9\n");
  expect("function f() { console.trace() } f()",
         "Trace\n    at f (evalmachine.<anonymous>:1:24)\n    at evalmachine.<anonymous>:1:34\n");
  expect("console.countReset('never'); console.timeEnd('never'); console.timeLog('never')",
         "Count for 'never' does not exist\nNo such label 'never' for console.timeEnd()\n"
         "No such label 'never' for console.timeLog()\n");
  expect("console.time('t'); console.time('t')", "Label 't' already exists for console.time()\n");
}
END_TEST

START_TEST(timers_tell_durations) {
  run("console.time(); console.timeLog('default', 'a', { b: 1 }, '%s');");
  double ms = -1;
  ck_assert_int_eq(sscanf(printed.data, "default: %lfms a { b: 1 } %%s\n", &ms), 1);
  ck_assert(ms >= 0 && ms < 10000);
  text_clear(&printed);
  run("console.timeEnd()");
  ck_assert_int_eq(sscanf(printed.data, "default: %lfms\n", &ms), 1);
  expect("console.timeEnd()", "No such label 'default' for console.timeEnd()\n");
}
END_TEST

START_TEST(line_is_cut_and_marked) {
  run("console.log('x'.repeat(65536))");
  ck_assert_uint_eq(printed.longest, LINE_MAX_BYTES);
  ck_assert_ptr_null(strstr(printed.data, CUT_MARK));
  text_clear(&printed);
  static const char *const sources[] = {
      "console.log('x'.repeat(65537))",
      "console.log('é'.repeat(2**20), 'y'.repeat(2**20))",
      "console.log('😀'.repeat(2**16))",
      "console.log('%s', 'z'.repeat(2**20))",
      "console.log(Object.fromEntries(Array.from({length: 50000}, (_, i) => ['k' + i, i])))",
      "console.log(new Set(Array.from({length: 100000}, (_, i) => 'item' + i)))",
      "console.log(new Map(Array.from({length: 100000}, (_, i) => [i, {}])))",
      "console.log(Array.from({length: 30}, () => Array.from({length: 30}, "
      "() => Array.from({length: 30}, () => 'x'.repeat(9999)))))",
      "console.table(Array.from({length: 5000}, (_, i) => ({['c' + i]: i})))",
      "console.table(Array.from({length: 50000}, (_, i) => i))",
      "console.log(Object.assign(new Error('x'.repeat(2**20)), {a: 1}))",
      "console.log({ ['k'.repeat(2**20)]: 1 })",
      "console.log(Symbol('s'.repeat(2**20)), { f: Object.defineProperty(() => {}, 'name', "
      "{ value: 'n'.repeat(2**20) }) })",
      "for (let i = 0; i < 600; i++) console.group(); console.log('\\n'.repeat(2**16))",
  };
  for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++) {
    text_clear(&printed);
    run(sources[i]);
    ck_assert_msg(printed.longest <= LINE_MAX_BYTES, "%zu: %zu bytes", i, printed.longest);
    ck_assert_uint_gt(printed.longest, LINE_MAX_BYTES / 2);
    const char *mark = strstr(printed.data, CUT_MARK);
    ck_assert_msg(mark != NULL, "%zu: not marked", i);
    /* Cut between characters: what stands before the mark is no broken sequence. */
    ck_assert_msg((mark[-1] & 0x80) == 0 || (mark[-1] & 0xc0) == 0x80, "%zu", i);
  }
}
END_TEST

START_TEST(hostile_objects_are_survived) {
  /* Each must print something and leave the context usable. */
  static const char *const sources[] = {
      "let deep = {}; for (let i = 0; i < 100000; i++) deep = { deep }; console.log(deep);"
      "console.dir(deep, { depth: null }); console.dir(deep, { depth: 1e9 });"
      "console.dir(deep, { depth: NaN }); console.dir(deep, { depth: -Infinity })",
      "let chain = {}; for (let i = 0; i < 100000; i++) chain = Object.create(chain);"
      "console.log(chain, [chain])",
      "let none = Object.create(null); for (let i = 0; i < 5000; i++) none = Object.create(none);"
      "console.log(none); console.dir(none, { depth: null })",
      "let proxy = {}; for (let i = 0; i < 100000; i++) proxy = new Proxy(proxy, {});"
      "console.log(proxy); console.log('%s %o', proxy, proxy)",
      "Object.prototype.get = () => { throw 1 }; Object.prototype.value = 5;"
      "Object.prototype.enumerable = true; console.log({ a: 1 }, [1], { get x() { return 1 } });"
      "delete Object.prototype.get; delete Object.prototype.value;"
      "delete Object.prototype.enumerable;",
      "const e = new Error('x'); Object.defineProperty(e, 'stack', { get() { throw 1 } });"
      "Object.defineProperty(e, 'name', { get() { throw 1 } });"
      "Object.defineProperty(e, 'message', { get() { throw 1 } });"
      "Object.defineProperty(e, 'cause', { get() { throw 1 } }); console.log(e)",
      "const c = function () {}; Object.defineProperty(c, 'name', { get() { throw 1 } });"
      "console.log(c, new c(), class { static name() {} }, class { static get name() { throw 1 } "
      "})",
      "console.log({ constructor: { name: 'fake' } }, { constructor: class Fake {} })",
      "const m = new Map(); for (let i = 0; i < 1000; i++) m.set(m, m); console.log(m)",
      "const a = [1, 2, 3]; Object.defineProperty(a, 1, { get() { throw 1 } }); console.log(a)",
      "console.log(Object.freeze([,]), Object.seal({ a: 1 }), new Array(2**32 - 1))",
      "const b = new ArrayBuffer(8); const v = new Uint8Array(b);"
      "console.log(v, b); console.log([v, b])",
      "function f() { try { f() } catch { console.log({ near: 'the end' }); throw 1 } }"
      "try { f() } catch {} console.log('back')",
      "console.log({ toString() { throw 1 }, valueOf() { throw 1 }, toJSON() { throw 1 } })",
      "const args = Array.from({ length: 10000 }, (_, i) => i); console.log(...args);"
      "console.log('%s'.repeat(10000), ...args)",
      "console.log(globalThis); console.dir(globalThis, { showHidden: true, depth: null })",
      "for (const k of Object.getOwnPropertyNames(globalThis)) {"
      "console.dir(globalThis[k], { showHidden: true, depth: 3 }); console.log(globalThis[k]);"
      "console.table(globalThis[k]); console.log('%o', globalThis[k]) }",
      "console.table(new Proxy([1], { ownKeys() { throw 1 } }));"
      "console.table([new Proxy({}, { ownKeys() { throw 1 } })]);"
      "console.table([{ get a() { throw 1 }, set b(v) {} }]);"
      "console.table([{ a: 1 }], new Proxy([], {})); console.table([{ a: 1 }], [Symbol(), 5, {}])",
      "for (let i = 0; i < 3000; i++) { console.count('c' + i); console.time('t' + i) }"
      "for (let i = 0; i < 1000; i++) console.group(); console.log('in');"
      "for (let i = 0; i < 1500; i++) console.groupEnd()",
      "console.count('x'.repeat(2**20)); console.time('x'.repeat(2**20))",
  };
  for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++) {
    text_clear(&printed);
    char wrapped[2048];
    int length = snprintf(wrapped, sizeof(wrapped), "{ %s }", sources[i]);
    ck_assert_int_lt(length, (int)sizeof(wrapped));
    kv8_status status = core_try(core_context, wrapped, 20000);
    ck_assert_msg(status == KV8_OK, "%zu: %s: %s", i, kv8_status_name(status), core_error.message);
    ck_assert_msg(printed.calls > 0, "%zu printed nothing", i);
    ck_assert_uint_le(printed.longest, LINE_MAX_BYTES);
    expect("console.log({ still: ['fine'] })", "{ still: [ 'fine' ] }\n");
  }
}
END_TEST

START_TEST(conversions_throw_through) {
  static const char *const sources[] = {
      "console.log('%s', { toString() { throw new RangeError('mine') } })",
      "console.log('%d', { valueOf() { throw new RangeError('mine') } })",
      "console.log('%i', { toString() { throw new RangeError('mine') } })",
      "console.log('%j', { toJSON() { throw new RangeError('mine') } })",
      "console.count({ toString() { throw new RangeError('mine') } })",
      "console.time({ toString() { throw new RangeError('mine') } })",
      "console.assert(false, { toString() { throw new RangeError('mine') } })",
  };
  for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++) {
    core_is(core_try(core_context, sources[i], 0), KV8_EEXCEPTION);
    ck_assert_str_eq(core_error.name, "RangeError");
    ck_assert_str_eq(core_error.message, "mine");
  }
  ck_assert_uint_eq(printed.calls, 0);
  core_is(core_try(core_context, "console.log('%s', { toString() { while (true); } })", 100),
          KV8_ETIMEOUT);
  expect("console.log('after')", "after\n");
  /* A conversion may log itself. */
  expect("console.log('%s', { toString() { console.log('inner'); return 'outer' } })",
         "inner\nouter\n");
}
END_TEST

START_TEST(methods_outlive_the_handle) {
  kv8_context *other = NULL;
  kv8_value *function = NULL;
  kv8_context_options options = KV8_CONTEXT_OPTIONS_INIT;
  options.on_console = on_console;
  options.on_console_user = &printed;
  core_ok(kv8_context_new(core_isolate, &options, &other, &core_error));
  kv8_script *script = core_compile("console.log");
  core_ok(kv8_script_run(script, other, NULL, &function, &core_error));
  kv8_script_free(script);
  core_ok(kv8_context_set_global(core_context, kv8_span_from("borrowed"), function, &core_error));
  kv8_value_free(function);
  expect("borrowed('alive')", "alive\n");
  kv8_context_free(other);
  kv8_isolate_collect_garbage(core_isolate);
  expect("borrowed('gone')", "");
  expect("console.log('mine')", "mine\n");
}
END_TEST

START_TEST(silent_without_a_listener) {
  kv8_context *other = NULL;
  core_ok(kv8_context_new(core_isolate, NULL, &other, &core_error));
  core_is(core_try(other, "console.log('nobody'); console.table([1]); console.group('x')", 0),
          KV8_OK);
  ck_assert_uint_eq(printed.calls, 0);
  kv8_context_free(other);
}
END_TEST

START_TEST(console_is_no_global_of_the_script) {
  kv8_blob json = {NULL, 0};
  run("console.log(1); var a = 1");
  core_ok(kv8_context_globals_to_json(core_context, NULL, &json, &core_error));
  ck_assert_uint_eq(json.length, strlen("{\"a\":1}"));
  ck_assert_mem_eq(json.data, "{\"a\":1}", json.length);
  kv8_blob_free(&json);
}
END_TEST

int main(void) {
  TCase *table = tcase_create("table");
  tcase_add_checked_fixture(table, setup, teardown);
  tcase_set_timeout(table, 60);
  tcase_add_test(table, prints_what_node_prints);
  tcase_add_test(table, level_is_the_method);
  tcase_add_test(table, differs_from_node_as_documented);
  tcase_add_test(table, timers_tell_durations);
  tcase_add_test(table, silent_without_a_listener);
  tcase_add_test(table, console_is_no_global_of_the_script);
  TCase *hostile = tcase_create("hostile");
  tcase_add_checked_fixture(hostile, setup, teardown);
  tcase_set_timeout(hostile, 120);
  tcase_add_test(hostile, line_is_cut_and_marked);
  tcase_add_test(hostile, hostile_objects_are_survived);
  tcase_add_test(hostile, conversions_throw_through);
  tcase_add_test(hostile, methods_outlive_the_handle);
  TCase *cases[] = {table, hostile};
  return core_main(cases, sizeof(cases) / sizeof(cases[0]), "shim console");
}
