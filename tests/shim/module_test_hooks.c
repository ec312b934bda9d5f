/* SPDX-License-Identifier: MIT
 *
 * What answers import() and import.meta, and how long it lives: code owns its hooks, whatever
 * happens to handles, and what refers back to the code is collected with it (P01-P05).
 */
#include "tests/shim/module_test.h"

static int released;
static int asked;
static char seen[512]; /* what the last import() asked for */

static void count_release(void *user) {
  released += user == NULL ? 1 : *(int *)user;
}

static void note(kv8_import *import) {
  kv8_module_request request;
  kv8_import_get_request(import, &request);
  int length =
      snprintf(seen, sizeof(seen), "%.*s", (int)request.specifier.length, request.specifier.data);
  for (size_t i = 0; i < request.attributes_count; i++) {
    kv8_attribute at = request.attributes[i];
    length += snprintf(seen + length, sizeof(seen) - (size_t)length, " %.*s=%.*s",
                       (int)at.key.length, at.key.data, (int)at.value.length, at.value.data);
  }
  kv8_span filename = kv8_import_get_filename(import);
  (void)snprintf(seen + length, sizeof(seen) - (size_t)length, " from %.*s", (int)filename.length,
                 filename.data);
  asked++;
}

/* Answers with the referrer. */
static void answer_referrer(void *user, kv8_import *import) {
  (void)user;
  note(import);
  ck_assert_ptr_eq(kv8_import_get_context(import), core_context);
  kv8_import_answer_value(import, kv8_import_get_referrer(import));
}

static kv8_hooks hooks_of(kv8_import_fn on_import, void *user) {
  kv8_hooks hooks = KV8_HOOKS_INIT;
  hooks.on_import = on_import;
  hooks.user = user;
  hooks.release = count_release;
  return hooks;
}

static kv8_value *text_value(const char *text) {
  kv8_value *value = NULL;
  core_ok(kv8_string(core_isolate, kv8_span_from(text), &value, &core_error));
  return value;
}

static kv8_script *script_with(const char *text, const kv8_hooks *hooks) {
  kv8_source source = core_source(text);
  source.filename = kv8_span_from("asks.js");
  source.hooks = hooks;
  kv8_script *script = NULL;
  core_ok(kv8_script_compile(core_isolate, &source, &script, NULL, &core_error));
  return script;
}

static void run(kv8_script *script) {
  core_ok(kv8_script_run(script, core_context, NULL, NULL, &core_error));
}

START_TEST(SC15_SC17_import_asks_the_scripts_hooks) {
  kv8_value *referrer = text_value("the referrer");
  kv8_hooks hooks = hooks_of(answer_referrer, NULL);
  hooks.referrer = referrer;
  kv8_script *script =
      script_with("import('x').then((v) => { globalThis.got = v }, (e) => { got = e })", &hooks);
  kv8_value_free(referrer);
  run(script);
  ck_assert_str_eq(seen, "x from asks.js");
  core_expect(core_context, "got", "the referrer");
  kv8_script_free(script);

  hooks.referrer = NULL;
  script = script_with("import('y', {assert: {type: 'json'}}).then((v) => { got = v })", &hooks);
  run(script);
  ck_assert_str_eq(seen, v8_is()->asserts ? "y type=json from asks.js" : "y from asks.js");
  core_expect(core_context, "String(got)", "undefined");
  kv8_script_free(script);

  script = script_with("import('z', {with: {type: 'css'}}).then((v) => { got = v })", &hooks);
  run(script);
  ck_assert_str_eq(seen, "z type=css from asks.js");
  kv8_script_free(script);

  /* Also from code that the script makes of strings (the filename is the script's). */
  script = script_with("eval('import(\"e\")')", &hooks);
  run(script);
  kv8_script_free(script);
  ck_assert_str_eq(seen, "e from asks.js");
  script = script_with("new Function('return import(\"f\")')()", &hooks);
  run(script);
  ck_assert_int_eq(seen[0], 'f');
  kv8_script_free(script);
}
END_TEST

START_TEST(CF09_import_asks_the_functions_hooks) {
  kv8_value *referrer = text_value("of the function");
  kv8_hooks hooks = hooks_of(answer_referrer, NULL);
  hooks.referrer = referrer;
  kv8_source source = core_source("import(name).then((v) => { globalThis.got = v })");
  source.filename = kv8_span_from("function.js");
  source.hooks = &hooks;
  kv8_span param = kv8_span_from("name");
  kv8_function_options options = KV8_FUNCTION_OPTIONS_INIT;
  options.params = &param;
  options.params_count = 1;
  kv8_function *function = NULL;
  core_ok(kv8_function_compile(core_context, &source, &options, &function, NULL, &core_error));
  const kv8_value *args[] = {referrer};
  core_ok(kv8_function_call(function, NULL, args, 1, NULL, NULL, &core_error));
  ck_assert_str_eq(seen, "of the function from function.js");
  core_expect(core_context, "got", "of the function");
  kv8_value_free(referrer);
  kv8_function_free(function);
}
END_TEST

START_TEST(SC16_without_an_answer_it_is_missing) {
  kv8_hooks hooks = hooks_of(NULL, NULL);
  kv8_script *script = script_with("import('x').catch((e) => { globalThis.got = e.code })", &hooks);
  run(script);
  core_expect(core_context, "got", "ERR_VM_DYNAMIC_IMPORT_CALLBACK_MISSING");
  kv8_script_free(script);
}
END_TEST

static kv8_module *subject;

static void answer_subject(void *user, kv8_import *import) {
  (void)user;
  note(import);
  kv8_import_answer_module(import, subject);
  kv8_import_reject(import, NULL); /* the first answer counts */
}

static void import_subject(const char *expected) {
  kv8_hooks hooks = hooks_of(answer_subject, NULL);
  kv8_script *script = script_with(
      "globalThis.got = 'pending'; import('s').then((v) => { got = 'ok ' + JSON.stringify(v) },"
      " (e) => { got = 'no ' + (e && e.code || e) })",
      &hooks);
  run(script);
  core_expect(core_context, "got", expected);
  kv8_script_free(script);
}

START_TEST(SC18_D13_D14_modules_as_answers) {
  static const char *const texts[][2] = {
      {"export const a = 1", "ok {\"a\":1}"},
      {"throw 'thrown'", "no thrown"},
      {"export const a = await 2", "ok {\"a\":2}"},
      {"await null; throw 'later'", "no later"},
      {"export const a = 3; await new Promise(() => {})", "pending"},
      {"export function then(f) { f('thenable') }", "ok \"thenable\""},
  };
  for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
    subject = compile(texts[i][0]);
    import_subject("no ERR_VM_MODULE_STATUS"); /* unlinked */
    core_ok(kv8_module_link_requests(subject, NULL, 0, &core_error));
    core_ok(kv8_module_instantiate(subject, &core_error));
    import_subject(texts[i][1]);
    import_subject(texts[i][1]); /* evaluated once, answered again */
    kv8_module_free(subject);
  }
  subject = NULL;
  import_subject("no ERR_VM_MODULE_NOT_MODULE");
}
END_TEST

START_TEST(ST10_modules_import_themselves) {
  kv8_hooks hooks = hooks_of(answer_subject, NULL);
  kv8_source source =
      core_source("export let a = 1; import('me').then((v) => { got = v.a; a = 2 })");
  source.filename = kv8_span_from("me.mjs");
  source.hooks = &hooks;
  core_expect(core_context, "globalThis.got = 0", "0");
  core_ok(kv8_module_compile(core_context, &source, &subject, NULL, &core_error));
  core_ok(kv8_module_link_requests(subject, NULL, 0, &core_error));
  evaluated(subject);
  ck_assert_str_eq(seen, "me from me.mjs");
  core_expect(core_context, "got", "1");
  expect_namespace(subject, "{\"a\":2}");
  kv8_module_free(subject);
}
END_TEST

static void answer_with_a_run(void *user, kv8_import *import) {
  (void)user;
  note(import);
  core_expect(core_context, "globalThis.nested = 6 * 7", "42");
  core_is(core_try(core_context, "throw 1", 0), KV8_EEXCEPTION);
  core_is(core_try(core_context, "while (true);", 10), KV8_ETIMEOUT);
  subject = compile("export const nested = globalThis.nested");
  core_ok(kv8_module_link_requests(subject, NULL, 0, &core_error));
  core_ok(kv8_module_instantiate(subject, &core_error));
  kv8_import_answer_module(import, subject);
  kv8_module_free(subject); /* the answer is given: nobody needs the handle */
}

START_TEST(import_callbacks_may_call_everything) {
  kv8_hooks hooks = hooks_of(answer_with_a_run, NULL);
  kv8_script *script =
      script_with("(async () => { globalThis.got = (await import('n')).nested })()", &hooks);
  run(script);
  core_expect(core_context, "got", "42");
  kv8_script_free(script);
}
END_TEST

static void loop_for_ever(void *user, kv8_import *import) {
  note(import);
  kv8_run_options options = KV8_RUN_OPTIONS_INIT;
  kv8_script *script = core_compile("while (true);");
  kv8_status status = kv8_script_run(script, core_context, &options, NULL, &core_error);
  kv8_script_free(script);
  if (user == NULL) ck_assert_int_eq(status, KV8_EINTERRUPTED);
}

START_TEST(termination_inside_the_callback) {
  kv8_hooks hooks = hooks_of(loop_for_ever, NULL);
  for (int i = 0; i < 3; i++) {
    kv8_script *script = script_with("import('t'); globalThis.after = 1", &hooks);
    kv8_run_options options = KV8_RUN_OPTIONS_INIT;
    options.timeout_ms = 30;
    core_is(kv8_script_run(script, core_context, &options, NULL, &core_error), KV8_ETIMEOUT);
    core_expect(core_context, "typeof after", "undefined");
    kv8_script_free(script);
  }
  /* A module that the deadline ends while it answers. */
  subject = compile("while (true);");
  core_ok(kv8_module_link_requests(subject, NULL, 0, &core_error));
  core_ok(kv8_module_instantiate(subject, &core_error));
  hooks.on_import = answer_subject;
  kv8_script *script = script_with("import('t').catch((e) => { globalThis.got = e.code })", &hooks);
  kv8_run_options options = KV8_RUN_OPTIONS_INIT;
  options.timeout_ms = 30;
  core_is(kv8_script_run(script, core_context, &options, NULL, &core_error), KV8_ETIMEOUT);
  expect_status(subject, KV8_MODULE_ERRORED);
  run(script); /* again: it says so, and is not evaluated again */
  core_expect(core_context, "got", "ERR_SCRIPT_EXECUTION_INTERRUPTED");
  kv8_script_free(script);
  kv8_module_free(subject);
}
END_TEST

START_TEST(N12_context_hooks_answer_the_rest) {
  kv8_value *referrer = text_value("of the context");
  kv8_hooks hooks = hooks_of(answer_referrer, NULL);
  hooks.referrer = referrer;
  kv8_context_options options = KV8_CONTEXT_OPTIONS_INIT;
  options.hooks = &hooks;
  kv8_context *plain = core_context;
  core_ok(kv8_context_new(core_isolate, &options, &core_context, &core_error));
  kv8_value_free(referrer);
  core_expect(core_context, "import('c').then((v) => { globalThis.got = v }); 1", "1");
  ck_assert_str_eq(seen, "c from evalmachine.<anonymous>");
  core_expect(core_context, "got", "of the context");
  core_expect(core_context, "Promise.resolve('import(\"p\")').then(eval); 1", "1");
  ck_assert_int_eq(seen[0], 'p');
  /* The code's own hooks come first. */
  kv8_value *other = text_value("of the script");
  kv8_hooks own = hooks_of(answer_referrer, NULL);
  own.referrer = other;
  kv8_script *script = script_with("import('c').then((v) => { got = v })", &own);
  kv8_value_free(other);
  run(script);
  core_expect(core_context, "got", "of the script");
  kv8_script_free(script);
  kv8_context_free(core_context);
  core_context = plain;
  core_collect();
  core_collect();
  ck_assert_int_eq(released, 2);
}
END_TEST

START_TEST(P01_P02_hooks_outlive_handles) {
  static int one = 1;
  kv8_value *referrer = text_value("still here");
  kv8_hooks hooks = hooks_of(answer_referrer, &one);
  hooks.referrer = referrer;
  kv8_script *script = script_with(
      "globalThis.ask = () => import('late').then((v) => { globalThis.got = v })", &hooks);
  run(script);
  kv8_value_free(referrer);
  kv8_script_free(script);
  core_collect();
  ck_assert_int_eq(released, 0);
  core_expect(core_context, "ask(); 1", "1");
  core_expect(core_context, "got", "still here");
  core_expect(core_context, "delete globalThis.ask", "true");
  core_collect();
  ck_assert_int_eq(released, 1);

  kv8_source source = core_source("globalThis.ask = () => import('late')");
  kv8_hooks again = hooks_of(answer_referrer, &one);
  source.hooks = &again;
  kv8_module *module = NULL;
  core_ok(kv8_module_compile(core_context, &source, &module, NULL, &core_error));
  core_ok(kv8_module_link_requests(module, NULL, 0, &core_error));
  evaluated(module);
  kv8_module_free(module);
  core_collect();
  ck_assert_int_eq(released, 1);
  asked = 0;
  core_expect(core_context, "ask(); 1", "1");
  ck_assert_int_eq(asked, 1);
  core_expect(core_context, "delete globalThis.ask", "true");
  core_collect();
  ck_assert_int_eq(released, 2);
}
END_TEST

START_TEST(hooks_are_released_once_whatever_fails) {
  static int one = 1;
  kv8_hooks hooks = hooks_of(answer_referrer, &one);
  kv8_source source = core_source("var 5;");
  source.hooks = &hooks;
  kv8_script *script = NULL;
  kv8_module *module = NULL;
  kv8_function *function = NULL;
  core_is(kv8_script_compile(core_isolate, &source, &script, NULL, &core_error), KV8_ESYNTAX);
  ck_assert_int_eq(released, 1);
  core_is(kv8_module_compile(core_context, &source, &module, NULL, &core_error), KV8_ESYNTAX);
  ck_assert_int_eq(released, 2);
  core_is(kv8_function_compile(core_context, &source, NULL, &function, NULL, &core_error),
          KV8_ESYNTAX);
  ck_assert_int_eq(released, 3);
  core_is(kv8_module_compile(NULL, &source, &module, NULL, &core_error), KV8_EINVAL);
  ck_assert_int_eq(released, 4);
  hooks.struct_size = 4096;
  core_is(kv8_module_compile(core_context, &source, &module, NULL, &core_error), KV8_EINVAL);
  ck_assert_int_eq(released, 4); /* of an unknown struct nothing is known */
  core_collect();
  ck_assert_int_eq(released, 4);
}
END_TEST

static void fill_meta(void *user, kv8_module *module, const kv8_value *meta,
                      kv8_value **ret_exception) {
  (void)user;
  asked++;
  if (kv8_module_get_identifier(module).length == 0) {
    *ret_exception = text_value("no meta");
    return;
  }
  kv8_value *url = text_value("url of it");
  core_ok(kv8_object_set_named(core_context, meta, kv8_span_from("url"), url, &core_error));
  kv8_value_free(url);
}

static kv8_module *module_with_meta(const char *text) {
  kv8_hooks hooks = hooks_of(NULL, NULL);
  hooks.on_import_meta = fill_meta;
  kv8_source source = core_source(text);
  source.filename = kv8_span_from("meta.mjs");
  source.hooks = &hooks;
  kv8_module *module = NULL;
  core_ok(kv8_module_compile(core_context, &source, &module, NULL, &core_error));
  core_ok(kv8_module_link_requests(module, NULL, 0, &core_error));
  return module;
}

START_TEST(ST07_ST09_import_meta_is_filled_once) {
  kv8_module *module = module_with_meta(
      "export const url = import.meta.url, again = import.meta.url, same = import.meta ==="
      " import.meta, bare = Object.getPrototypeOf(import.meta) === null");
  asked = 0;
  core_ok(kv8_module_instantiate(module, &core_error));
  ck_assert_int_eq(asked, 0);
  evaluated(module);
  ck_assert_int_eq(asked, 1);
  expect_namespace(module,
                   "{\"again\":\"url of it\",\"bare\":true,\"same\":true,\"url\":\"url of it\"}");
  kv8_module_free(module);

  /* First asked when the handle is long freed. */
  module = module_with_meta("globalThis.late = () => import.meta.url");
  evaluated(module);
  kv8_module_free(module);
  core_collect();
  asked = 0;
  core_expect(core_context, "late()", "url of it");
  ck_assert_int_eq(asked, 1);
  int before = released;
  core_expect(core_context, "delete globalThis.late", "true");
  core_collect();
  core_collect();
  ck_assert_int_eq(released, before + 1);
}
END_TEST

static void throw_meta(void *user, kv8_module *module, const kv8_value *meta,
                       kv8_value **ret_exception) {
  (void)user;
  (void)module, (void)meta;
  *ret_exception = text_value("no meta");
}

START_TEST(import_meta_may_throw) {
  kv8_hooks hooks = hooks_of(NULL, NULL);
  hooks.on_import_meta = throw_meta;
  kv8_source source = core_source("export const u = import.meta.url");
  source.hooks = &hooks;
  kv8_module *module = NULL;
  core_ok(kv8_module_compile(core_context, &source, &module, NULL, &core_error));
  core_ok(kv8_module_link_requests(module, NULL, 0, &core_error));
  core_ok(kv8_module_instantiate(module, &core_error));
  core_is(evaluate(module, 0, NULL), KV8_EEXCEPTION);
  ck_assert_str_eq(core_error.message, "no meta");
  expect_status(module, KV8_MODULE_ERRORED);
  kv8_module_free(module);
}
END_TEST

START_TEST(P07_hooks_and_cached_data) {
  kv8_hooks hooks = hooks_of(answer_referrer, NULL);
  kv8_script *script = script_with("import('x')", &hooks);
  kv8_blob data = {NULL, 0};
  core_ok(kv8_script_create_cached_data(script, &data, &core_error));
  run(script); /* making it took nothing away */
  ck_assert_str_eq(seen, "x from asks.js");
  kv8_script_free(script);

  kv8_source source = core_source("import('x')");
  source.filename = kv8_span_from("other.js");
  source.cached_data = (kv8_span){(const char *)data.data, data.length};
  kv8_cache_outcome outcome = KV8_CACHE_NOT_OFFERED;
  core_ok(kv8_script_compile(core_isolate, &source, &script, &outcome, &core_error));
  ck_assert_int_eq(outcome, KV8_CACHE_ACCEPTED);
  kv8_script_free(script);
  source.filename = kv8_span_from("third.js");
  source.hooks = &hooks;
  core_ok(kv8_script_compile(core_isolate, &source, &script, &outcome, &core_error));
  asked = 0;
  run(script);
  ck_assert_int_eq(asked, 1); /* whatever the outcome */
  kv8_script_free(script);
  kv8_blob_free(&data);

  /* No "import": nothing to lose. */
  script = script_with("6 * 7", &hooks);
  core_ok(kv8_script_create_cached_data(script, &data, &core_error));
  kv8_script_free(script);
  source = core_source("6 * 7");
  source.filename = kv8_span_from("plain.js");
  source.cached_data = (kv8_span){(const char *)data.data, data.length};
  source.hooks = &hooks;
  core_ok(kv8_script_compile(core_isolate, &source, &script, &outcome, &core_error));
  ck_assert_int_eq(outcome, KV8_CACHE_ACCEPTED);
  core_expect_script(script, core_context, "42");
  kv8_script_free(script);
  kv8_blob_free(&data);
}
END_TEST

START_TEST(errors_in_code_with_hooks_have_places) {
  /* V8 makes a ScriptOrigin of the script for it, and checks its host-defined options. */
  kv8_value *referrer = NULL;
  core_ok(kv8_object(core_context, NULL, &referrer, &core_error));
  kv8_hooks hooks = hooks_of(answer_referrer, NULL);
  hooks.referrer = referrer;
  kv8_script *script = script_with("\nthrow new Error('here')", &hooks);
  core_is(kv8_script_run(script, core_context, NULL, NULL, &core_error), KV8_EEXCEPTION);
  ck_assert_int_eq(core_error.line, 2);
  ck_assert_str_eq(core_error.resource, "asks.js");
  kv8_value_free(referrer);
  kv8_script_free(script);
}
END_TEST

static void small_setup(void) {
  core_engine();
  kv8_isolate_options options = KV8_ISOLATE_OPTIONS_INIT;
  options.heap_max_bytes = (size_t)16 << 20;
  core_ok(kv8_isolate_new(&options, &core_isolate, &core_error));
  core_ok(kv8_context_new(core_isolate, NULL, &core_context, &core_error));
}

/* An object with some weight that will refer to the code. What can be collected is, now and then:
 * how far V8 gets by itself depends on how busy the machine is. */
static kv8_value *heavy_referrer(int i) {
  kv8_value *value = NULL;
  if (i % 128 == 127) kv8_isolate_collect_garbage(core_isolate);
  kv8_script *script = core_compile("({ weight: new Array(2000).fill(1.5) })");
  core_ok(kv8_script_run(script, core_context, NULL, &value, &core_error));
  kv8_script_free(script);
  return value;
}

START_TEST(P03_P05_modules_with_hooks_do_not_leak) {
  for (int i = 0; i < 4096; i++) {
    kv8_value *referrer = heavy_referrer(i);
    kv8_hooks hooks = hooks_of(answer_referrer, NULL);
    hooks.referrer = referrer;
    char text[96];
    (void)snprintf(text, sizeof(text), "export default %d; export const f = () => import('x')", i);
    kv8_source source = core_source(text);
    source.hooks = &hooks;
    kv8_module *module = NULL;
    core_ok(kv8_module_compile(core_context, &source, &module, NULL, &core_error));
    core_ok(kv8_module_link_requests(module, NULL, 0, &core_error));
    evaluated(module);
    kv8_value *names = NULL;
    core_ok(kv8_module_copy_namespace(module, &names, &core_error));
    core_ok(
        kv8_object_set_named(core_context, referrer, kv8_span_from("back"), names, &core_error));
    core_ok(kv8_module_tie(module, referrer, &core_error));
    kv8_value_free(names);
    kv8_value_free(referrer);
  }
  core_collect();
  ck_assert_int_gt(released, 4000);
}
END_TEST

START_TEST(P03_scripts_with_hooks_do_not_leak) {
  for (int i = 0; i < 2048; i++) {
    kv8_value *referrer = heavy_referrer(i);
    kv8_hooks hooks = hooks_of(answer_referrer, NULL);
    hooks.referrer = referrer;
    char text[64];
    (void)snprintf(text, sizeof(text), "(() => [%d, import('x')])", i);
    kv8_script *script = script_with(text, &hooks);
    kv8_value *function = NULL;
    core_ok(kv8_script_run(script, core_context, NULL, &function, &core_error));
    core_ok(
        kv8_object_set_named(core_context, referrer, kv8_span_from("back"), function, &core_error));
    kv8_value_free(function);
    kv8_value_free(referrer);
    kv8_script_free(script);
  }
  core_collect();
  ck_assert_int_gt(released, 2000);
}
END_TEST

START_TEST(P03_functions_with_hooks_do_not_leak) {
  for (int i = 0; i < 2048; i++) {
    kv8_value *referrer = heavy_referrer(i);
    kv8_hooks hooks = hooks_of(answer_referrer, NULL);
    hooks.referrer = referrer;
    char text[64];
    (void)snprintf(text, sizeof(text), "return [%d, import('x')]", i);
    kv8_source source = core_source(text);
    source.hooks = &hooks;
    kv8_function *function = NULL;
    kv8_value *value = NULL;
    core_ok(kv8_function_compile(core_context, &source, NULL, &function, NULL, &core_error));
    core_ok(kv8_function_copy_value(function, &value, &core_error));
    core_ok(
        kv8_object_set_named(core_context, referrer, kv8_span_from("back"), value, &core_error));
    kv8_value_free(value);
    kv8_value_free(referrer);
    kv8_function_free(function);
  }
  core_collect();
  ck_assert_int_gt(released, 2000);
}
END_TEST

int main(void) {
  TCase *hooks = tcase_create("hooks");
  tcase_add_checked_fixture(hooks, core_setup, core_teardown);
  tcase_set_timeout(hooks, 120);
  tcase_add_test(hooks, SC15_SC17_import_asks_the_scripts_hooks);
  tcase_add_test(hooks, CF09_import_asks_the_functions_hooks);
  tcase_add_test(hooks, SC16_without_an_answer_it_is_missing);
  tcase_add_test(hooks, SC18_D13_D14_modules_as_answers);
  tcase_add_test(hooks, ST10_modules_import_themselves);
  tcase_add_test(hooks, import_callbacks_may_call_everything);
  tcase_add_test(hooks, termination_inside_the_callback);
  tcase_add_test(hooks, N12_context_hooks_answer_the_rest);
  tcase_add_test(hooks, P01_P02_hooks_outlive_handles);
  tcase_add_test(hooks, hooks_are_released_once_whatever_fails);
  tcase_add_test(hooks, ST07_ST09_import_meta_is_filled_once);
  tcase_add_test(hooks, import_meta_may_throw);
  tcase_add_test(hooks, P07_hooks_and_cached_data);
  tcase_add_test(hooks, errors_in_code_with_hooks_have_places);
  TCase *leaks = tcase_create("leaks");
  tcase_add_checked_fixture(leaks, small_setup, core_teardown);
  tcase_set_timeout(leaks, 240);
  tcase_add_test(leaks, P03_P05_modules_with_hooks_do_not_leak);
  tcase_add_test(leaks, P03_scripts_with_hooks_do_not_leak);
  tcase_add_test(leaks, P03_functions_with_hooks_do_not_leak);
  TCase *cases[] = {hooks, leaks};
  return core_main(cases, sizeof(cases) / sizeof(cases[0]), "shim module hooks");
}
