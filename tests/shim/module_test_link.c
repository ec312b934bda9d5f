/* SPDX-License-Identifier: MIT
 *
 * kv8_module_link(): answers at once and later, graphs that are discovered on the way, failures,
 * and what is freed in the middle.
 */
#include "tests/shim/module_test.h"

/* ---- a registry of modules by specifier, and a linker that knows it -------------------------- */

enum { ENTRIES = 64 };
static struct {
  char specifier[32];
  const char *text;
  kv8_module *module;
} registry[ENTRIES];
static size_t registered;

static kv8_link *pending[ENTRIES]; /* in the order they were asked */
static size_t pending_count;
static int calls;
static int ended; /* calls of on_linked */
static kv8_status end_status;
static kv8_error end_error;
static kv8_module *end_module;
static kv8_module *expected_referrer;

static void add(const char *specifier, const char *text) {
  ck_assert_uint_lt(registered, ENTRIES);
  (void)snprintf(registry[registered].specifier, sizeof(registry[0].specifier), "%s", specifier);
  registry[registered].text = text;
  registry[registered].module = NULL;
  registered++;
}

static kv8_module *find(kv8_span specifier) {
  for (size_t i = 0; i < registered; i++) {
    if (strlen(registry[i].specifier) != specifier.length ||
        memcmp(registry[i].specifier, specifier.data, specifier.length) != 0)
      continue;
    if (registry[i].module == NULL)
      registry[i].module = compile_as(registry[i].text, registry[i].specifier);
    return registry[i].module;
  }
  return NULL;
}

static kv8_module *named(const char *specifier) {
  return find(kv8_span_from(specifier));
}

static void free_all(void) {
  for (size_t i = 0; i < registered; i++) kv8_module_free(registry[i].module);
  registered = 0;
}

static kv8_module *answer_of(const kv8_link *link) {
  kv8_module_request request;
  kv8_link_get_request(link, &request);
  return find(request.specifier);
}

static void at_once(void *user, kv8_link *link) {
  (void)user;
  calls++;
  kv8_link_answer(link, answer_of(link));
  kv8_link_answer(link, NULL); /* only one answer counts */
}

static void later(void *user, kv8_link *link) {
  (void)user;
  calls++;
  ck_assert_uint_lt(pending_count, ENTRIES);
  pending[pending_count++] = link;
}

static void on_linked(void *user, kv8_module *module, kv8_status status, const kv8_error *err) {
  ck_assert_ptr_eq(user, &registry);
  ended++;
  end_module = module;
  end_status = status;
  ck_assert_int_eq(status == KV8_OK, err == NULL);
  if (err != NULL) end_error = *err;
}

static kv8_status link_with(kv8_module *module, kv8_link_fn linker) {
  return kv8_module_link(module, linker, on_linked, &registry, &core_error);
}

static void diamond(void) {
  add("root", "import { l } from 'left'; import { r } from 'right'; export const all = l + r");
  add("left", "import { b } from 'base'; export const l = 'l' + b");
  add("right", "import { b } from 'base'; export const r = 'r' + b");
  add("base", "globalThis.runs = (globalThis.runs || 0) + 1; export const b = 'b'");
}

START_TEST(ML06_ML09_answers_at_once_link_the_closure) {
  diamond();
  kv8_module *root = named("root");
  core_ok(link_with(root, at_once));
  expect_status(root, KV8_MODULE_LINKED);
  ck_assert_int_eq(calls, 4);
  ck_assert_int_eq(ended, 0); /* it is told by the return */
  for (size_t i = 0; i < registered; i++) expect_status(registry[i].module, KV8_MODULE_LINKED);
  core_is(link_with(root, at_once), KV8_ESTATE);
  ck_assert_str_eq(core_error.code, "ERR_VM_MODULE_ALREADY_LINKED");
  evaluated(root);
  expect_namespace(root, "{\"all\":\"lbrb\"}");
  core_expect(core_context, "runs", "1");
  core_is(link_with(root, at_once), KV8_ESTATE);
  ck_assert_str_eq(core_error.code, "ERR_VM_MODULE_STATUS");
  free_all();
}
END_TEST

static void check_referrer(void *user, kv8_link *link) {
  ck_assert_ptr_eq(kv8_link_get_referrer(link), expected_referrer);
  kv8_module_request request;
  kv8_link_get_request(link, &request);
  expect_text(request.specifier, "a");
  ck_assert_uint_eq(request.attributes_count, 1);
  expect_text(request.attributes[0].key, "type");
  expect_text(request.attributes[0].value, "json");
  at_once(user, link);
}

START_TEST(ML02_ML03_ML04_the_linker_sees_the_request) {
  add("root", v8_with_attributes("import a from 'a' %s { type: 'json' }"));
  add("a", "export default 1");
  expected_referrer = named("root");
  core_ok(link_with(named("root"), check_referrer));
  ck_assert_int_eq(calls, 1);
  free_all();
}
END_TEST

START_TEST(ML12_ML16_without_requests_the_linker_is_not_called) {
  add("root", "export const a = 1");
  core_is(link_with(named("root"), NULL), KV8_EINVAL);
  ck_assert_str_eq(core_error.code, "ERR_INVALID_ARG_TYPE");
  core_ok(link_with(named("root"), at_once));
  ck_assert_int_eq(calls, 0);
  expect_status(named("root"), KV8_MODULE_LINKED);
  core_is(kv8_module_link(NULL, at_once, NULL, NULL, &core_error), KV8_EINVAL);
  free_all();
}
END_TEST

START_TEST(ML10_ML13_answers_later_in_any_order) {
  for (int backwards = 0; backwards < 2; backwards++) {
    calls = ended = 0;
    diamond();
    kv8_module *root = named("root");
    core_ok(link_with(root, later));
    expect_status(root, KV8_MODULE_LINKING);
    core_is(link_with(root, later), KV8_ESTATE); /* ML01 */
    ck_assert_str_eq(core_error.code, "ERR_VM_MODULE_STATUS");
    core_is(kv8_module_instantiate(root, &core_error), KV8_ESTATE);
    core_is(evaluate(root, 0, NULL), KV8_ESTATE);
    while (pending_count > 0) {
      ck_assert_int_eq(ended, 0);
      kv8_link *link = pending[0];
      pending_count--;
      if (backwards) {
        link = pending[pending_count];
      } else {
        memmove(pending, pending + 1, pending_count * sizeof(pending[0]));
      }
      kv8_link_answer(link, answer_of(link));
    }
    ck_assert_int_eq(calls, 4);
    ck_assert_int_eq(ended, 1);
    ck_assert_int_eq(end_status, KV8_OK);
    ck_assert_ptr_eq(end_module, root);
    expect_status(root, KV8_MODULE_LINKED);
    evaluated(root);
    free_all();
  }
}
END_TEST

START_TEST(P29_cycles_and_self_imports) {
  add("a", "import { b } from 'b'; import * as me from 'a'; export const a = 'a'; export { me }");
  add("b", "import { c } from 'c'; export const b = 'b'");
  add("c", "import { a } from 'a'; export const c = () => a");
  core_ok(link_with(named("a"), later));
  while (pending_count > 0) {
    kv8_link *link = pending[--pending_count];
    kv8_link_answer(link, answer_of(link));
  }
  ck_assert_int_eq(end_status, KV8_OK);
  ck_assert_int_eq(calls, 4);
  evaluated(named("a"));
  expect_status(named("c"), KV8_MODULE_EVALUATED);
  free_all();
}
END_TEST

START_TEST(P29_two_links_at_once_share_modules) {
  /* Each waits for an answer that the other one asked for. */
  add("a", "import 'shared'; import 'b'; export const a = 1");
  add("b", "import 'shared'; import 'a'; export const b = 1");
  add("shared", "import 'leaf'; export const s = 1");
  add("leaf", "export const l = 1");
  core_ok(link_with(named("a"), later));
  core_ok(link_with(named("b"), later));
  ck_assert_uint_eq(pending_count, 4);
  kv8_link_answer(pending[0], named("shared")); /* a's; asks for leaf */
  ck_assert_uint_eq(pending_count, 5);
  kv8_link_answer(pending[2], named("shared")); /* b's: linked once */
  ck_assert_uint_eq(pending_count, 5);
  kv8_link_answer(pending[1], named("b"));
  kv8_link_answer(pending[3], named("a"));
  ck_assert_int_eq(ended, 0);
  kv8_link_answer(pending[4], named("leaf"));
  ck_assert_int_eq(ended, 2);
  ck_assert_int_eq(end_status, KV8_OK);
  expect_status(named("b"), KV8_MODULE_LINKED);
  evaluated(named("a"));
  core_ok(evaluate(named("b"), 0, NULL));
  free_all();
}
END_TEST

static void expect_failed(const char *specifier, const char *code) {
  kv8_error error;
  expect_status(named(specifier), KV8_MODULE_ERRORED);
  core_ok(kv8_module_get_error(named(specifier), &error, &core_error));
  ck_assert_str_eq(error.code, code);
}

START_TEST(ML11_D06_D07_a_failure_fails_every_module) {
  diamond();
  core_ok(link_with(named("root"), later));
  kv8_link_answer(pending[0], named("left"));
  ck_assert_uint_eq(pending_count, 3);
  kv8_link *right = pending[1];
  kv8_link *base = pending[2];
  kv8_link_answer(base, NULL); /* no module */
  ck_assert_int_eq(ended, 1);
  ck_assert_int_eq(end_status, KV8_ELINK);
  ck_assert_str_eq(end_error.code, "ERR_VM_MODULE_NOT_MODULE");
  ck_assert_ptr_nonnull(strstr(end_error.message, "'base'")); /* P30 */
  ck_assert_ptr_nonnull(strstr(end_error.message, "'left'"));
  expect_failed("root", "ERR_VM_MODULE_NOT_MODULE");
  expect_failed("left", "ERR_VM_MODULE_NOT_MODULE");
  kv8_value *exception = (kv8_value *)&registry;
  core_ok(kv8_module_copy_exception(named("root"), &exception, &core_error));
  ck_assert_ptr_null(exception);
  /* Later answers do nothing. */
  ck_assert_ptr_nonnull(kv8_link_get_referrer(right));
  kv8_link_answer(right, named("right"));
  expect_status(named("right"), KV8_MODULE_UNLINKED);
  ck_assert_int_eq(ended, 1);
  core_is(link_with(named("root"), at_once), KV8_ESTATE);
  ck_assert_str_eq(core_error.code, "ERR_VM_MODULE_STATUS");
  core_is(evaluate(named("root"), 0, NULL), KV8_ELINK);
  free_all();
}
END_TEST

static void fail_with_value(void *user, kv8_link *link) {
  (void)user;
  calls++;
  kv8_value *exception = NULL;
  core_ok(kv8_error_object(core_context, KV8_TYPE_ERROR, kv8_span_from("ECODE"),
                           kv8_span_from("no such thing"), &exception, &core_error));
  kv8_link_fail(link, exception, NULL);
  kv8_value_free(exception);
}

START_TEST(ML11_D07_the_linkers_exception_is_kept) {
  diamond();
  core_is(link_with(named("root"), fail_with_value), KV8_EEXCEPTION);
  ck_assert_int_eq(calls, 1); /* nothing is asked after a failure */
  ck_assert_str_eq(core_error.name, "TypeError");
  ck_assert_str_eq(core_error.code, "ECODE");
  expect_failed("root", "ECODE");
  kv8_value *exception = NULL;
  core_ok(kv8_module_copy_exception(named("root"), &exception, &core_error));
  ck_assert_ptr_nonnull(exception);
  ck_assert(kv8_value_is(exception, KV8_CLASS_ERROR));
  kv8_value_free(exception);
  ck_assert_int_eq(ended, 0);
  free_all();
}
END_TEST

static void fail_with_error(void *user, kv8_link *link) {
  (void)user;
  kv8_error error = {.status = KV8_ESYNTAX};
  (void)snprintf(error.code, sizeof(error.code), "EMINE");
  kv8_link_fail(link, NULL, &error);
}

START_TEST(linkers_may_fail_with_an_error_or_nothing) {
  diamond();
  core_is(link_with(named("root"), fail_with_error), KV8_ESYNTAX);
  ck_assert_str_eq(core_error.code, "EMINE");
  expect_failed("root", "EMINE");
  core_ok(link_with(named("left"), later));
  kv8_link_fail(pending[0], NULL, NULL);
  ck_assert_int_eq(end_status, KV8_ELINK);
  ck_assert_str_eq(end_error.code, "ERR_VM_MODULE_LINK_FAILURE");
  free_all();
}
END_TEST

START_TEST(ML07_ML08_wrong_answers) {
  kv8_context *other_context = NULL;
  core_ok(kv8_context_new(core_isolate, NULL, &other_context, &core_error));
  kv8_context *mine = core_context;
  core_context = other_context;
  kv8_module *foreign = compile("1");
  core_context = mine;
  add("a", "import 'x'");
  add("b", "import 'x'");
  add("x", "throw 1");
  core_ok(link_with(named("a"), later));
  kv8_link_answer(pending[0], foreign);
  ck_assert_str_eq(end_error.code, "ERR_VM_MODULE_DIFFERENT_CONTEXT");
  core_ok(kv8_module_link_requests(named("x"), NULL, 0, &core_error));
  core_ok(kv8_module_instantiate(named("x"), &core_error));
  core_is(evaluate(named("x"), 0, NULL), KV8_EEXCEPTION);
  core_is(link_with(named("b"), at_once), KV8_ELINK);
  ck_assert_str_eq(core_error.code, "ERR_VM_MODULE_LINK_FAILURE");
  kv8_module_free(foreign);
  kv8_context_free(other_context);
  free_all();
}
END_TEST

START_TEST(ML15_D06_a_missing_export_leaves_it_unlinked) {
  add("root", "import { nope } from 'a'");
  add("a", "export const yes = 1");
  for (int i = 0; i < 2; i++) {
    core_is(link_with(named("root"), at_once), KV8_ESYNTAX);
    expect_status(named("root"), KV8_MODULE_UNLINKED);
    expect_status(named("a"), KV8_MODULE_LINKED); /* nothing is wrong with it */
  }
  ck_assert_int_eq(calls, 2);
  free_all();
}
END_TEST

START_TEST(linked_targets_are_used_as_they_are) {
  add("root", "import { a } from 'a'; export const b = a");
  add("a", "export const a = 'linked before'");
  core_ok(kv8_module_link_requests(named("a"), NULL, 0, &core_error));
  core_ok(link_with(named("root"), at_once));
  evaluated(named("root"));
  expect_namespace(named("root"), "{\"b\":\"linked before\"}");
  free_all();
}
END_TEST

START_TEST(freed_in_the_middle_of_a_link) {
  /* The root: nobody is told, and later answers do nothing. */
  diamond();
  kv8_module *root = named("root");
  core_ok(link_with(root, later));
  kv8_link_answer(pending[0], named("left"));
  kv8_module_free(root);
  registry[0].module = NULL;
  ck_assert_ptr_null(kv8_link_get_referrer(pending[1]));
  kv8_module_request request;
  kv8_link_get_request(pending[1], &request);
  ck_assert_uint_eq(request.specifier.length, 0);
  kv8_link_answer(pending[1], named("right"));
  kv8_link_answer(pending[2], named("base"));
  ck_assert_int_eq(ended, 0);
  expect_status(named("left"), KV8_MODULE_ERRORED);
  free_all();
  /* A member: the link fails. */
  pending_count = 0;
  diamond();
  core_ok(link_with(named("root"), later));
  kv8_link_answer(pending[0], named("left"));
  kv8_module_free(named("left"));
  registry[1].module = NULL;
  ck_assert_int_eq(ended, 1);
  ck_assert_int_eq(end_status, KV8_ELINK);
  kv8_link_answer(pending[2], named("base"));
  kv8_link_fail(pending[1], NULL, NULL);
  expect_status(named("root"), KV8_MODULE_ERRORED);
  free_all();
}
END_TEST

static void free_the_root(void *user, kv8_link *link) {
  (void)user;
  (void)link;
  kv8_module_free(registry[0].module);
  registry[0].module = NULL;
}

START_TEST(freed_by_its_own_linker) {
  diamond();
  core_is(link_with(named("root"), free_the_root), KV8_ELINK);
  free_all();
}
END_TEST

START_TEST(unanswered_links_go_with_the_isolate) {
  diamond();
  core_ok(link_with(named("root"), later));
  kv8_link_answer(pending[0], named("left"));
  free_all();
}
END_TEST

START_TEST(N26_one_specifier_one_module) {
  /* Different attributes are different requests. */
  add("root", v8_with_attributes("import a from 'a'; import b from 'a' %s { type: 'json' };"
                                 "export { a, b }"));
  add("a", "export default 1");
  kv8_module *root = named("root");
  kv8_module *two = compile("export default 2");
  kv8_module *answers[] = {named("a"), two};
  core_ok(kv8_module_link_requests(root, answers, 2, &core_error));
  evaluated(root);
  expect_namespace(root, "{\"a\":1,\"b\":2}");
  kv8_module_free(two);
  free_all();
}
END_TEST

START_TEST(long_chains_link) {
  enum { COUNT = 60 };
  static char texts[COUNT][64];
  for (int i = 0; i < COUNT; i++) {
    char name[32];
    (void)snprintf(name, sizeof(name), "m%d", i);
    (void)snprintf(texts[i], sizeof(texts[i]),
                   i + 1 < COUNT ? "export { v } from 'm%d'" : "export const v = %d", i + 1);
    add(name, texts[i]);
  }
  core_ok(link_with(named("m0"), at_once));
  evaluated(named("m0"));
  expect_namespace(named("m0"), "{\"v\":60}");
  free_all();
}
END_TEST

/* ---- ties ----------------------------------------------------------------------------------- */

static kv8_value *new_object(void) {
  kv8_value *object = NULL;
  core_ok(kv8_object(core_context, NULL, &object, &core_error));
  return object;
}

START_TEST(ties_give_the_handle_to_the_collector) {
  kv8_value *object = new_object();
  kv8_value *other = new_object();
  kv8_module *module = compile("export const a = 1");
  ck_assert_ptr_null(kv8_module_of(object));
  ck_assert_ptr_null(kv8_module_of(NULL));
  core_ok(kv8_module_tie(module, object, &core_error));
  ck_assert_ptr_eq(kv8_module_of(object), module);
  core_is(kv8_module_tie(module, other, &core_error), KV8_ESTATE);
  kv8_module *second = compile("1");
  core_is(kv8_module_tie(second, object, &core_error), KV8_ESTATE);
  kv8_value *text = NULL;
  core_ok(kv8_string(core_isolate, kv8_span_from("t"), &text, &core_error));
  core_is(kv8_module_tie(second, text, &core_error), KV8_EINVAL);
  kv8_value_free(text);
  kv8_module_free(second);
  kv8_module_free(module); /* does nothing */
  core_collect();
  core_ok(kv8_module_link_requests(module, NULL, 0, &core_error));
  evaluated(module);
  expect_namespace(module, "{\"a\":1}");
  kv8_value *promise = NULL;
  core_ok(kv8_module_copy_promise(module, &promise, &core_error));
  kv8_value_free(promise);
  kv8_value_free(object);
  kv8_value_free(other);
  core_collect();
  core_expect(core_context, "6 * 7", "42");
}
END_TEST

START_TEST(tied_targets_stay_until_they_are_evaluated) {
  for (int when = 0; when < 2; when++) {
    kv8_value *object = new_object();
    kv8_module *root = compile("import { a } from 'a'; export const b = a");
    kv8_module *target = compile("export const a = import.meta === import.meta");
    if (when == 0) core_ok(kv8_module_tie(target, object, &core_error));
    core_ok(link_to(root, target));
    core_ok(kv8_module_link_requests(target, NULL, 0, &core_error));
    if (when == 1) core_ok(kv8_module_tie(target, object, &core_error));
    kv8_value_free(object);
    core_collect();
    core_ok(kv8_module_instantiate(root, &core_error));
    core_collect();
    evaluated(root);
    expect_namespace(root, "{\"b\":true}");
    kv8_module_free(root);
  }
}
END_TEST

START_TEST(tied_modules_stay_while_a_link_waits) {
  kv8_value *object = new_object();
  kv8_module *root = compile("import { a } from 'a'; export const b = a");
  core_ok(kv8_module_link(root, later, on_linked, &registry, &core_error));
  core_ok(kv8_module_tie(root, object, &core_error));
  kv8_value_free(object);
  core_collect();
  add("a", "export const a = 1");
  kv8_link_answer(pending[0], named("a"));
  ck_assert_int_eq(ended, 1);
  ck_assert_int_eq(end_status, KV8_OK);
  evaluated(end_module);
  free_all();
}
END_TEST

START_TEST(P05_tied_cycles_are_collected) {
  /* Under 16 MB: objects, modules and their exports refer to each other in circles. */
  for (int i = 0; i < 4096; i++) {
    if (i % 128 == 127) kv8_isolate_collect_garbage(core_isolate);
    kv8_value *a = NULL;
    kv8_script *script = core_compile("({ weight: new Array(2000).fill(1.5) })");
    core_ok(kv8_script_run(script, core_context, NULL, &a, &core_error));
    kv8_script_free(script);
    kv8_value *b = new_object();
    kv8_module *first = compile(
        "import 'b'; export let held = null; export const hold = (v) => "
        "{ held = v }");
    kv8_module *second = compile("import 'a'");
    core_ok(kv8_module_tie(first, a, &core_error));
    core_ok(kv8_module_tie(second, b, &core_error));
    core_ok(link_to(first, second));
    core_ok(link_to(second, first));
    if (i % 3 != 0) core_ok(kv8_module_instantiate(first, &core_error));
    if (i % 3 == 2) {
      evaluated(first);
      kv8_value *names = NULL;
      core_ok(kv8_module_copy_namespace(first, &names, &core_error));
      core_ok(kv8_object_set_named(core_context, a, kv8_span_from("ns"), names, &core_error));
      kv8_value_free(names);
    }
    core_ok(kv8_object_set_named(core_context, a, kv8_span_from("b"), b, &core_error));
    kv8_value_free(a);
    kv8_value_free(b);
  }
}
END_TEST

static void small_setup(void) {
  core_engine();
  kv8_isolate_options options = KV8_ISOLATE_OPTIONS_INIT;
  options.heap_max_bytes = (size_t)16 << 20;
  core_ok(kv8_isolate_new(&options, &core_isolate, &core_error));
  core_ok(kv8_context_new(core_isolate, NULL, &core_context, &core_error));
}

int main(void) {
  TCase *link = tcase_create("link");
  tcase_add_checked_fixture(link, core_setup, core_teardown);
  tcase_set_timeout(link, 60);
  tcase_add_test(link, ML06_ML09_answers_at_once_link_the_closure);
  tcase_add_test(link, ML02_ML03_ML04_the_linker_sees_the_request);
  tcase_add_test(link, ML12_ML16_without_requests_the_linker_is_not_called);
  tcase_add_test(link, ML10_ML13_answers_later_in_any_order);
  tcase_add_test(link, P29_cycles_and_self_imports);
  tcase_add_test(link, P29_two_links_at_once_share_modules);
  tcase_add_test(link, ML11_D06_D07_a_failure_fails_every_module);
  tcase_add_test(link, ML11_D07_the_linkers_exception_is_kept);
  tcase_add_test(link, linkers_may_fail_with_an_error_or_nothing);
  tcase_add_test(link, ML07_ML08_wrong_answers);
  tcase_add_test(link, ML15_D06_a_missing_export_leaves_it_unlinked);
  tcase_add_test(link, linked_targets_are_used_as_they_are);
  tcase_add_test(link, freed_in_the_middle_of_a_link);
  tcase_add_test(link, freed_by_its_own_linker);
  tcase_add_test(link, unanswered_links_go_with_the_isolate);
  tcase_add_test(link, N26_one_specifier_one_module);
  tcase_add_test(link, long_chains_link);
  tcase_add_test(link, ties_give_the_handle_to_the_collector);
  tcase_add_test(link, tied_targets_stay_until_they_are_evaluated);
  tcase_add_test(link, tied_modules_stay_while_a_link_waits);
  TCase *leaks = tcase_create("leaks");
  tcase_add_checked_fixture(leaks, small_setup, core_teardown);
  tcase_set_timeout(leaks, 240);
  tcase_add_test(leaks, P05_tied_cycles_are_collected);
  TCase *cases[] = {link, leaks};
  return core_main(cases, sizeof(cases) / sizeof(cases[0]), "shim module links");
}
