/* SPDX-License-Identifier: MIT
 *
 * Every function of kv8_module.h in every state a module can be in: a status each time, never an
 * abort.
 */
#include "tests/shim/module_test_synthetic.h"

enum state {
  UNLINKED,
  TABLE,   /* link_requests() */
  LINKING, /* waits for an answer */
  LINK_FAILED,
  LINKED,
  EVALUATING,
  EVALUATED,
  PENDING,
  THREW,
  TERMINATED,
  SYNTHETIC,
  SYNTHETIC_EVALUATING,
  SYNTHETIC_EVALUATED,
  SYNTHETIC_THREW,
  NOTHING, /* NULL */
  STATES
};
enum { FUNCTIONS = 21 };

static kv8_module *subject;
static kv8_module *leaf;
static kv8_link *waiting;
static int asked_function;
static kv8_status answer;

static void keep_link(void *user, kv8_link *link) {
  (void)user;
  waiting = link;
}

static void fail_link(void *user, kv8_link *link) {
  (void)user;
  kv8_link_fail(link, NULL, NULL);
}

static kv8_status call(int function) {
  kv8_status status = KV8_OK;
  kv8_value *value = NULL;
  kv8_blob blob = {NULL, 0};
  kv8_error error;
  kv8_module_request request;
  bool has;
  kv8_value *object = core_value(core_context, "({})");
  switch (function) {
    case 0:
      status = kv8_module_link_requests(subject, &leaf, 1, &core_error);
      break;
    case 1:
      status = kv8_module_link(subject, keep_link, NULL, NULL, &core_error);
      break;
    case 2:
      status = kv8_module_instantiate(subject, &core_error);
      break;
    case 3:
      status = evaluate(subject, 200, NULL);
      break;
    case 4:
      status = kv8_module_get_error(subject, &error, &core_error);
      break;
    case 5:
      status = kv8_module_copy_exception(subject, &value, &core_error);
      break;
    case 6:
      status = kv8_module_copy_namespace(subject, &value, &core_error);
      break;
    case 7:
      status = kv8_module_copy_promise(subject, &value, &core_error);
      break;
    case 8:
      status = kv8_module_create_cached_data(subject, &blob, &core_error);
      break;
    case 9:
      status = kv8_module_create_warm_cached_data(subject, &blob, &core_error);
      break;
    case 10:
      status = kv8_module_copy_source_map_url(subject, &blob, &core_error);
      break;
    case 11:
      status = kv8_module_has_top_level_await(subject, &has, &core_error);
      break;
    case 12:
      status = kv8_module_has_async_graph(subject, &has, &core_error);
      break;
    case 13:
      status = kv8_module_set_export(subject, kv8_span_from("x"), object, &core_error);
      break;
    case 14:
      (void)kv8_module_get_request_count(subject);
      status = kv8_module_get_request(subject, 0, &request, &core_error);
      break;
    case 15:
      (void)kv8_module_get_identifier(subject);
      (void)kv8_module_is_synthetic(subject);
      (void)kv8_module_get_status(subject);
      break;
    case 16: { /* as the target of another */
      kv8_module *user = compile("import * as all from 'x'; export { all }");
      status = kv8_module_link_requests(user, &subject, 1, &core_error);
      if (status == KV8_OK) status = kv8_module_instantiate(user, &core_error);
      if (status == KV8_OK) status = evaluate(user, 200, NULL);
      kv8_module_free(user);
      break;
    }
    case 17:
      if (waiting != NULL) {
        kv8_link *link = waiting;
        waiting = NULL;
        kv8_link_answer(link, leaf);
      }
      break;
    case 18:
      kv8_link_answer(NULL, subject);
      kv8_link_fail(NULL, NULL, NULL);
      kv8_link_get_request(NULL, &request);
      (void)kv8_link_get_referrer(NULL);
      break;
    case 19:
      status = kv8_module_tie(subject, object, &core_error);
      if (status == KV8_OK) ck_assert_ptr_eq(kv8_module_of(object), subject);
      /* The object must outlive what comes after. */
      if (status == KV8_OK)
        core_ok(kv8_context_set_global(core_context, kv8_span_from("tied"), object, &core_error));
      break;
    case 20:
      kv8_isolate_collect_garbage(core_isolate);
      break;
    default:
      ck_abort();
  }
  kv8_value_free(object);
  kv8_value_free(value);
  kv8_blob_free(&blob);
  return status;
}

static void ask_from_script(void *user, kv8_call *js_call) {
  (void)user;
  (void)js_call;
  expect_status(subject, KV8_MODULE_EVALUATING);
  answer = call(asked_function);
}

static kv8_status ask_from_synthetic(void *user, kv8_module *module, kv8_value **ret_exception,
                                     kv8_error *err) {
  (void)user;
  (void)ret_exception;
  (void)err;
  subject = module;
  answer = call(asked_function);
  return KV8_OK;
}

static const struct {
  const char *text;
  kv8_module_status status;
} in_state[STATES] = {
    [UNLINKED] = {"import 'x'", KV8_MODULE_UNLINKED},
    [TABLE] = {"import 'x'", KV8_MODULE_UNLINKED},
    [LINKING] = {"import 'x'", KV8_MODULE_LINKING},
    [LINK_FAILED] = {"import 'x'", KV8_MODULE_ERRORED},
    [LINKED] = {"import 'x'", KV8_MODULE_LINKED},
    [EVALUATING] = {"import 'x'; ask()", KV8_MODULE_EVALUATING},
    [EVALUATED] = {"import 'x'", KV8_MODULE_EVALUATED},
    [PENDING] = {"import 'x'; await new Promise(() => {})", KV8_MODULE_EVALUATED},
    [THREW] = {"import 'x'; throw 1", KV8_MODULE_ERRORED},
    [TERMINATED] = {"import 'x'; while (true);", KV8_MODULE_ERRORED},
    [SYNTHETIC] = {NULL, KV8_MODULE_LINKED},
    [SYNTHETIC_EVALUATING] = {NULL, KV8_MODULE_EVALUATING},
    [SYNTHETIC_EVALUATED] = {NULL, KV8_MODULE_EVALUATED},
    [SYNTHETIC_THREW] = {NULL, KV8_MODULE_ERRORED},
    [NOTHING] = {NULL, KV8_MODULE_ERRORED},
};

/* One letter for each function: O ok, S state, L link, X exception, T timeout, I invalid. */
static const char *const answers[STATES] = {
    [UNLINKED] = "OOLSSSSSOOOOSSOOLOOOO",
    [TABLE] = "SSOSSSSSOOOOSSOOOOOOO",
    [LINKING] = "SSSSSSSSOOOOSSOOLOOOO",
    [LINK_FAILED] = "SSSLOOSSSOOOSSOOLOOOO",
    [LINKED] = "SSOOSSOSOOOOOSOOOOOOO",
    [EVALUATING] = "SSSSSSOSSSOOOSOOOOOOO",
    [EVALUATED] = "SSSOSSOOSOOOOSOOOOOOO",
    [PENDING] = "SSSOSSOOSOOOOSOOOOOOO",
    [THREW] = "SSSXOOOOSOOOOSOOLOOOO",
    [TERMINATED] = "SSSTOOOOSOOOOSOOLOOOO",
    [SYNTHETIC] = "SOOOSSOSSSOOOOIOOOOOO",
    [SYNTHETIC_EVALUATING] = "SOSSSSOSSSOOOOIOSOOOO",
    [SYNTHETIC_EVALUATED] = "SOSOSSOOSSOOOOIOOOOOO",
    [SYNTHETIC_THREW] = "SOSXOOOOSSOOOOIOLOOOO",
    [NOTHING] = "IIIIIIIIIIIIIIIOIOOIO",
};

static char letter(kv8_status status) {
  switch (status) {
    case KV8_OK:
      return 'O';
    case KV8_ESTATE:
      return 'S';
    case KV8_ELINK:
      return 'L';
    case KV8_EEXCEPTION:
      return 'X';
    case KV8_ETIMEOUT:
      return 'T';
    case KV8_EINVAL:
      return 'I';
    default:
      return '?';
  }
}

static void bring_to(enum state state) {
  leaf = compile("export const leaf = 1");
  core_ok(kv8_module_link_requests(leaf, NULL, 0, &core_error));
  waiting = NULL;
  subject = NULL;
  if (state == NOTHING) return;
  if (state >= SYNTHETIC) {
    subject = synthetic(state == SYNTHETIC_EVALUATING ? ask_from_synthetic
                        : state == SYNTHETIC_THREW    ? fail_with_value
                                                      : NULL);
    if (state != SYNTHETIC) (void)evaluate(subject, 500, NULL);
    return;
  }
  subject = compile_as(in_state[state].text, "subject.mjs");
  if (state == UNLINKED) return;
  if (state == LINKING || state == LINK_FAILED) {
    (void)kv8_module_link(subject, state == LINKING ? keep_link : fail_link, NULL, NULL,
                          &core_error);
    return;
  }
  core_ok(kv8_module_link_requests(subject, &leaf, 1, &core_error));
  if (state == TABLE) return;
  core_ok(kv8_module_instantiate(subject, &core_error));
  if (state != LINKED) (void)evaluate(subject, state == TERMINATED ? 30 : 500, NULL);
}

START_TEST(P32_every_function_in_every_state) {
  give_function("ask", ask_from_script);
  for (int state = 0; state < STATES; state++) {
    ck_assert_uint_eq(strlen(answers[state]), FUNCTIONS);
    for (int function = 0; function < FUNCTIONS; function++) {
      asked_function = function;
      answer = KV8_EENGINE;
      bring_to((enum state)state);
      if (state != EVALUATING && state != SYNTHETIC_EVALUATING) {
        expect_status(subject, in_state[state].status);
        answer = call(function);
      }
      ck_assert_msg(letter(answer) == answers[state][function],
                    "state %d, function %d: %s, not %c: %s", state, function,
                    kv8_status_name(answer), answers[state][function], core_error.message);
      for (int after = 0; after < FUNCTIONS; after++) (void)call(after);
      kv8_module_free(subject);
      kv8_module_free(leaf);
      core_expect(core_context, "globalThis.tied = 0; 6 * 7", "42");
    }
  }
}
END_TEST

START_TEST(every_function_after_the_isolate) {
#if defined(KV8_CHECK_LIFETIMES)
  ck_assert(true); /* such builds abort at kv8_isolate_free() */
#else
  kv8_isolate *isolate = NULL;
  kv8_context *context = NULL;
  kv8_context *mine = core_context;
  kv8_isolate *my_isolate = core_isolate;
  kv8_error error;
  kv8_value *value = NULL;
  kv8_blob blob = {NULL, 0};
  kv8_promise_state state;
  bool has;
  for (int i = 0; i < 3; i++) {
    core_ok(kv8_isolate_new(NULL, &isolate, &core_error));
    core_ok(kv8_context_new(isolate, NULL, &context, &core_error));
    core_context = context;
    core_isolate = isolate;
    kv8_module *module = i == 0 ? compile("import 'x'") : synthetic(NULL);
    if (i == 2) evaluated(module);
    if (i == 0) core_ok(kv8_module_link(module, keep_link, NULL, NULL, &core_error));
    kv8_isolate_free(isolate);
    ck_assert_int_eq(kv8_module_get_status(module), KV8_MODULE_ERRORED);
    core_is(kv8_module_link_requests(module, NULL, 0, &core_error), KV8_EINVAL);
    core_is(kv8_module_link(module, keep_link, NULL, NULL, &core_error), KV8_EINVAL);
    core_is(kv8_module_instantiate(module, &core_error), KV8_EINVAL);
    core_is(kv8_module_evaluate(module, NULL, &state, &core_error), KV8_EINVAL);
    core_is(kv8_module_get_error(module, &error, &core_error), KV8_EINVAL);
    core_is(kv8_module_copy_exception(module, &value, &core_error), KV8_EINVAL);
    core_is(kv8_module_copy_namespace(module, &value, &core_error), KV8_EINVAL);
    core_is(kv8_module_copy_promise(module, &value, &core_error), KV8_EINVAL);
    core_is(kv8_module_create_cached_data(module, &blob, &core_error), KV8_EINVAL);
    core_is(kv8_module_create_warm_cached_data(module, &blob, &core_error), KV8_EINVAL);
    core_is(kv8_module_copy_source_map_url(module, &blob, &core_error), KV8_EINVAL);
    core_is(kv8_module_has_top_level_await(module, &has, &core_error), KV8_EINVAL);
    core_is(kv8_module_has_async_graph(module, &has, &core_error), KV8_EINVAL);
    kv8_module_free(module);
    kv8_context_free(context);
  }
  ck_assert_int_eq(releases, 2);
  core_context = mine;
  core_isolate = my_isolate;
#endif
}
END_TEST

int main(void) {
  TCase *matrix = tcase_create("matrix");
  tcase_add_checked_fixture(matrix, core_setup, core_teardown);
  tcase_set_timeout(matrix, 240);
  tcase_add_test(matrix, P32_every_function_in_every_state);
  tcase_add_test(matrix, every_function_after_the_isolate);
  return core_main(&matrix, 1, "shim module states");
}
