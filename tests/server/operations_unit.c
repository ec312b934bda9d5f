/* SPDX-License-Identifier: MIT
 *
 * operations_unit.c: the parts of kilnd's operations that need no engine: request ids, metrics, the
 * description of the routes.
 */
#include <check.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "server/conn.h"
#include "server/metrics.h"
#include "server/openapi.h"
#include "server/request_id.h"
#include "server/route.h"
#include "server/saved.h"

START_TEST(request_ids_checked) {
  static const char *const good[] = {"a", "0", "-", ".", "_", "Az09._-"};
  static const char *const bad[] = {"", " ", "a b", "a\n", "\"", "a/b", "\x80", "a,b", "{", "a:b"};
  char longest[SRV_REQUEST_ID_MAX + 2];
  memset(longest, 'x', sizeof(longest));
  longest[SRV_REQUEST_ID_MAX] = '\0';
  ck_assert(srv_request_id_check(longest));
  longest[SRV_REQUEST_ID_MAX] = 'x';
  longest[SRV_REQUEST_ID_MAX + 1] = '\0';
  ck_assert(!srv_request_id_check(longest));
  for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
    ck_assert(srv_request_id_check(good[i]));
  for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
    ck_assert(!srv_request_id_check(bad[i]));
}
END_TEST

static int compare_ids(const void *a, const void *b) {
  return strcmp(a, b);
}

START_TEST(request_ids_made) {
  enum { COUNT = 20000 };
  char(*ids)[SRV_REQUEST_ID_MAX + 1] = calloc(COUNT, sizeof(*ids));
  ck_assert_ptr_nonnull(ids);
  for (size_t i = 0; i < COUNT; i++) {
    srv_request_id_make(ids[i]);
    ck_assert_uint_eq(strlen(ids[i]), 24);
    ck_assert(srv_request_id_check(ids[i]));
    ck_assert_mem_eq(ids[i], ids[0], 8);
  }
  qsort(ids, COUNT, sizeof(*ids), compare_ids);
  for (size_t i = 1; i < COUNT; i++) ck_assert_str_ne(ids[i], ids[i - 1]);
  free(ids);
}
END_TEST

START_TEST(labels_escaped) {
  static const struct {
    const char *value, *written;
  } rows[] = {{"", "\"\""}, {"a", "\"a\""}, {"\"\\\n", "\"\\\"\\\\\\n\""}, {"\t\x01", "\"??\""}};
  for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    srv_metrics_label(out, rows[i].value);
    fclose(out);
    ck_assert_str_eq(text, rows[i].written);
    free(text);
  }
}
END_TEST

START_TEST(latencies_counted) {
  srv_metrics *metrics = srv_metrics_new();
  ck_assert_ptr_nonnull(metrics);
  srv_request request = {.route = srv_route_at(1), .status = 200, .received = 5, .sent = 7};
  srv_metrics_count(metrics, &request, 100000); /* an end belongs to its bucket */
  srv_metrics_count(metrics, &request, 100001);
  request.status = 0;
  request.aborted = true;
  srv_metrics_count(metrics, &request, UINT64_C(61000000000));
  request.route = NULL;
  request.status = 404;
  srv_metrics_count(metrics, &request, 0);
  const srv_route_metrics *route = &metrics->routes[1];
  ck_assert_uint_eq(route->buckets[0], 1);
  ck_assert_uint_eq(route->buckets[1], 1);
  ck_assert_uint_eq(route->buckets[SRV_BUCKETS], 1);
  ck_assert_uint_eq(route->classes[SRV_CLASS_2XX], 2);
  ck_assert_uint_eq(route->classes[SRV_CLASS_NONE], 1);
  ck_assert_uint_eq(route->sum_ns, UINT64_C(61000200001));
  ck_assert_uint_eq(metrics->routes[srv_route_count()].classes[SRV_CLASS_4XX], 1);
  ck_assert_uint_eq(metrics->body_bytes_in, 20);
  ck_assert_uint_eq(metrics->body_bytes_out, 28);
  ck_assert_uint_eq(metrics->aborted, 2);
  srv_metrics_free(metrics);
}
END_TEST

static kiln_response answered(const char *key, kiln_cache cache, uint64_t compile_ns,
                              uint64_t total_ns) {
  kiln_response response = {.op = KILN_CREATE_CACHED_DATA,
                            .cache = cache,
                            .times = {.compile_ns = compile_ns, .total_ns = total_ns}};
  snprintf(response.key, sizeof(response.key), "%s", key);
  return response;
}

static void expect_saved(srv_saved *saved, uint64_t ns, uint64_t known, uint64_t unknown) {
  srv_saved_totals totals = srv_saved_get(saved);
  ck_assert_uint_eq(totals.ns, ns);
  ck_assert_uint_eq(totals.known_hits, known);
  ck_assert_uint_eq(totals.unknown_hits, unknown);
}

START_TEST(savings_counted) {
  char a[KILN_KEY_HEX + 1], b[KILN_KEY_HEX + 1];
  memset(a, 'a', KILN_KEY_HEX);
  a[KILN_KEY_HEX] = '\0';
  memcpy(b, a, sizeof(a)); /* of the same place */
  b[10] = 'b';
  srv_saved *saved = srv_saved_new();
  kiln_response one = answered(a, KILN_CACHE_HIT, 0, 10);
  srv_saved_count(saved, &one);
  expect_saved(saved, 0, 0, 1);
  one = answered(a, KILN_CACHE_MISS, 100, 500);
  srv_saved_count(saved, &one);
  expect_saved(saved, 0, 0, 1);
  one = answered(a, KILN_CACHE_HIT, 0, 10);
  srv_saved_count(saved, &one);
  expect_saved(saved, 90, 1, 1);
  one = answered(a, KILN_CACHE_HIT, 0, 1000); /* slower than a bake: nothing was saved */
  srv_saved_count(saved, &one);
  expect_saved(saved, 90, 2, 1);
  one = answered(a, KILN_CACHE_COALESCED, 40, 500);
  srv_saved_count(saved, &one);
  expect_saved(saved, 130, 3, 1);
  one = answered(b, KILN_CACHE_MISS, 7, 7);
  srv_saved_count(saved, &one);
  one = answered(a, KILN_CACHE_HIT, 0, 1);
  srv_saved_count(saved, &one);
  expect_saved(saved, 130, 3, 2);
  one.outcome = KILN_OUTCOME_EXCEPTION;
  srv_saved_count(saved, &one);
  one.outcome = KILN_OUTCOME_OK;
  one.op = KILN_RUN;
  srv_saved_count(saved, &one);
  expect_saved(saved, 130, 3, 2);
  srv_saved_free(saved);
}
END_TEST

static json_t *description(void) {
  char message[256];
  char *text = srv_openapi_make(message, sizeof(message));
  ck_assert_msg(text != NULL, "%s", message);
  json_t *root = json_loads(text, 0, NULL);
  ck_assert_ptr_nonnull(root);
  free(text);
  return root;
}

/* Adding a route without describing it, or the other way round, fails here. */
START_TEST(routes_described) {
  json_t *root = description();
  json_t *paths = json_object_get(root, "paths");
  size_t operations = 0;
  for (size_t i = 0; i < srv_route_count(); i++) {
    const srv_route *route = srv_route_at(i);
    char path[SRV_TEMPLATE_SIZE];
    char method[16];
    srv_route_template(route, path);
    snprintf(method, sizeof(method), "%s", srv_route_method(route));
    for (char *at = method; *at != '\0'; at++) *at = (char)(*at | 0x20);
    json_t *operation = json_object_get(json_object_get(paths, path), method);
    ck_assert_msg(operation != NULL, "%s %s: not described", method, path);
    bool takes_body = json_object_get(operation, "requestBody") != NULL;
    ck_assert_msg(takes_body == (route->bodies != SRV_NO_BODY), "%s %s: its body", method, path);
  }
  const char *path;
  json_t *item;
  json_object_foreach(paths, path, item) {
    const char *method;
    json_t *operation;
    json_object_foreach(item, method, operation) {
      ck_assert_msg(strcmp(method, "parameters") != 0, "%s: parameters stand in operations", path);
      operations++;
    }
  }
  ck_assert_uint_eq(operations, srv_route_count());
  ck_assert_str_eq(json_string_value(json_object_get(json_object_get(root, "info"), "version")),
                   KILN_VERSION);
  json_decref(root);
}
END_TEST

/* Every "$ref" leads somewhere, and every component is used. */
static void visit(json_t *root, json_t *value, json_t *used) {
  const char *name;
  json_t *member;
  size_t index;
  json_array_foreach(value, index, member) visit(root, member, used);
  json_object_foreach(value, name, member) {
    if (strcmp(name, "$ref") != 0) {
      visit(root, member, used);
      continue;
    }
    char kind[32], what[64];
    int parts = sscanf(json_string_value(member), "#/components/%31[^/]/%63s", kind, what);
    ck_assert_msg(parts == 2, "%s", json_string_value(member));
    json_t *target =
        json_object_get(json_object_get(json_object_get(root, "components"), kind), what);
    ck_assert_msg(target != NULL, "%s: leads nowhere", json_string_value(member));
    if (json_object_get(used, json_string_value(member)) != NULL) continue;
    json_object_set_new(used, json_string_value(member), json_true());
    visit(root, target, used);
  }
}

START_TEST(references_lead_somewhere) {
  json_t *root = description();
  json_t *used = json_object();
  visit(root, json_object_get(root, "paths"), used);
  const char *kind, *name;
  json_t *group, *component;
  json_object_del(json_object_get(root, "components"), "securitySchemes"); /* named otherwise */
  json_object_foreach(json_object_get(root, "components"), kind, group)
      json_object_foreach(group, name, component) {
    char reference[128];
    snprintf(reference, sizeof(reference), "#/components/%s/%s", kind, name);
    ck_assert_msg(json_object_get(used, reference) != NULL, "%s: nobody refers to it", reference);
  }
  json_decref(used);
  json_decref(root);
}
END_TEST

int main(void) {
  Suite *suite = suite_create("server operations unit");
  TCase *all = tcase_create("all");
  tcase_add_test(all, request_ids_checked);
  tcase_add_test(all, request_ids_made);
  tcase_add_test(all, labels_escaped);
  tcase_add_test(all, latencies_counted);
  tcase_add_test(all, savings_counted);
  tcase_add_test(all, routes_described);
  tcase_add_test(all, references_lead_somewhere);
  suite_add_tcase(suite, all);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_ENV);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
