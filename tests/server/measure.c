/* SPDX-License-Identifier: MIT
 *
 * measure.c: POST /v1/measureMemory against Node's promises MM01 to MM10.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/server/harness.h"

static kilnd server;

static void start(void) {
  kilnd_start(&server, NULL);
}

static void stop(void) {
  ck_assert_int_eq(kilnd_stop(&server), 0);
  kilnd_remove(&server);
}

static http_answer measure(const char *body) {
  return kilnd_ask(&server, (http_ask){.path = "/v1/measureMemory", .type = JSON, .body = body});
}

static json_t *measured(const char *body) {
  http_answer answer = measure(body);
  ck_assert_msg(answer.status == 200, "%s: %ld %s", body, answer.status, answer.body);
  json_t *root = answer_json(&answer);
  answer_release(&answer);
  return root;
}

/* {jsMemoryEstimate, jsMemoryRange: [low, high]}: its estimate, checked. */
static json_int_t estimate_of(const json_t *one) {
  json_t *estimate = json_object_get(one, "jsMemoryEstimate");
  json_t *range = json_object_get(one, "jsMemoryRange");
  ck_assert(json_is_integer(estimate) && json_array_size(range) == 2);
  json_int_t low = json_integer_value(json_array_get(range, 0));
  json_int_t high = json_integer_value(json_array_get(range, 1));
  ck_assert(low <= high && json_integer_value(estimate) >= low);
  ck_assert(json_integer_value(estimate) <= high);
  return json_integer_value(estimate);
}

static const char three[] =
    "{\"mode\":\"detailed\",\"execution\":\"eager\",\"contexts\":["
    "{\"name\":\"first\",\"scripts\":[{\"source\":\"var a=1\",\"filename\":\"a.js\"}]},"
    "{\"name\":\"big\",\"scripts\":[{\"source\":\"var keep=[]; for(var i=0;i<50000;i++)"
    "keep.push({i:i})\"}]},"
    "{\"name\":\"third\",\"globals\":{\"n\":1},\"scripts\":[]}]}";

/* MM01, MM06: memory known to V8, in Node's shape. MM02: summary has no per-context part. */
START_TEST(MM01_MM02_MM06_summary) {
  static const char *const bodies[] = {"{\"execution\":\"eager\"}",
                                       "{\"mode\":\"summary\",\"execution\":\"eager\"}",
                                       "{\"execution\":\"eager\",\"contexts\":[{\"name\":\"x\"}]}"};
  for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
    json_t *root = measured(bodies[i]);
    ck_assert_int_gt(estimate_of(json_object_get(root, "total")), 0);
    ck_assert_ptr_null(json_object_get(root, "current"));
    ck_assert_ptr_null(json_object_get(root, "other"));
    json_decref(root);
  }
}
END_TEST

/* MM03: detailed has all contexts; MM09: they are alive while measured. By name, Done-when 4. */
START_TEST(MM03_MM09_detailed) {
  json_t *root = measured(three);
  json_t *other = json_object_get(root, "other");
  ck_assert_int_gt(estimate_of(json_object_get(root, "total")), 0);
  json_t *current = json_object_get(root, "current");
  json_int_t small = estimate_of(current);
  ck_assert_str_eq(json_string_value(json_object_get(current, "name")), "first");
  ck_assert_uint_ge(json_array_size(other), 2);
  json_int_t big = 0;
  bool third = false;
  for (size_t i = 0; i < json_array_size(other); i++) {
    json_t *one = json_array_get(other, i);
    const char *name = json_string_value(json_object_get(one, "name"));
    if (name != NULL && strcmp(name, "big") == 0) big = estimate_of(one);
    if (name != NULL && strcmp(name, "third") == 0) third = true;
  }
  ck_assert(third);
  ck_assert_msg(big > small + 1000000, "%lld and %lld", (long long)big, (long long)small);
  json_decref(root);
}
END_TEST

/* MM04: default execution waits for a collection; here with a bound, whatever V8 decides. */
START_TEST(MM04_default_is_bounded) {
  http_answer answer = measure("{\"execution\":\"default\",\"timeout\":1000}");
  ck_assert_msg(answer.status == 200 || answer.status == 422, "%ld %s", answer.status, answer.body);
  if (answer.status == 422) answer_expect_error(&answer, 422, "ERR_SCRIPT_EXECUTION_TIMEOUT");
  ck_assert_msg(answer.ms < 5000, "%.0f ms", answer.ms);
  answer_release(&answer);
}
END_TEST

/* MM05: eager answers soon. */
START_TEST(MM05_eager) {
  http_answer answer = measure("{\"execution\":\"eager\",\"timeout\":10000}");
  ck_assert_int_eq(answer.status, 200);
  ck_assert_msg(answer.ms < 5000, "%.0f ms", answer.ms);
  answer_release(&answer);
}
END_TEST

/* MM07: whose format it is. MM08: what the heap occupies, as well as what contexts reach. */
START_TEST(MM07_MM08_version_and_heap) {
  json_t *root = measured(three);
  const char *version = json_string_value(json_object_get(root, "v8Version"));
  ck_assert_ptr_nonnull(version);
  ck_assert_int_eq(strncmp(version, "10.2.", 5), 0);
  ck_assert(json_is_object(json_object_get(root, "heap")));
  json_decref(root);
}
END_TEST

START_TEST(MM10_wrong_options) {
  static const struct {
    const char *body;
    const char *code;
  } rows[] = {
      {"null", "ERR_INVALID_ARG_TYPE"},
      {"\"summary\"", "ERR_INVALID_ARG_TYPE"},
      {"{\"mode\":\"random\"}", "ERR_INVALID_ARG_VALUE"},
      {"{\"mode\":1}", "ERR_INVALID_ARG_TYPE"},
      {"{\"execution\":\"random\"}", "ERR_INVALID_ARG_VALUE"},
      {"{\"contexts\":[]}", "ERR_INVALID_ARG_VALUE"},
      {"{\"contexts\":[{\"name\":5}]}", "ERR_INVALID_ARG_TYPE"},
      {"{\"contexts\":[{\"scripts\":[{}]}]}", "ERR_MISSING_OPTION"},
      {"{\"context\":1}", "ERR_UNKNOWN_OPTION"},
      {"{\"timeout\":0}", "ERR_OUT_OF_RANGE"},
      {"", "ERR_INVALID_JSON"},
  };
  for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
    http_answer answer = measure(rows[i].body);
    answer_expect_error(&answer, 400, rows[i].code);
    answer_release(&answer);
  }
  ck_assert_int_eq(kilnd_stat(&server, "kiln.jobs"), 0);
}
END_TEST

/* A script of a context that throws, and one that never ends. */
START_TEST(scripts_fates) {
  http_answer answer = measure(
      "{\"execution\":\"eager\",\"contexts\":[{\"scripts\":[{\"source\":\"throw new Error('m')\","
      "\"filename\":\"m.js\"}]}]}");
  ck_assert_int_eq(answer.status, 422);
  answer_expect(&answer, "outcome", "\"exception\"");
  answer_expect(&answer, "error.resource", "\"m.js\"");
  answer_release(&answer);
  answer = measure("{\"timeout\":100,\"contexts\":[{\"scripts\":[{\"source\":\"while(1);\"}]}]}");
  answer_expect_error(&answer, 422, "ERR_SCRIPT_EXECUTION_TIMEOUT");
  answer_release(&answer);
}
END_TEST

int main(int argc, char **argv) {
  harness_init(argc, argv);
  Suite *suite = suite_create("server measure");
  TCase *all = tcase_create("all");
  tcase_set_timeout(all, 60);
  tcase_add_checked_fixture(all, start, stop);
  tcase_add_test(all, MM01_MM02_MM06_summary);
  tcase_add_test(all, MM03_MM09_detailed);
  tcase_add_test(all, MM04_default_is_bounded);
  tcase_add_test(all, MM05_eager);
  tcase_add_test(all, MM07_MM08_version_and_heap);
  tcase_add_test(all, MM10_wrong_options);
  tcase_add_test(all, scripts_fates);
  suite_add_tcase(suite, all);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_ENV);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
