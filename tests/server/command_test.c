/* SPDX-License-Identifier: MIT
 *
 * command_test.c: commands of sessions as HTTP has them, without an engine: routes and the ids in
 * them, fields, and members of JSON texts.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "server/json.h"
#include "server/route.h"
#include "server/session.h"

static bool is(kiln_span span, const char *text) {
  return span.length == strlen(text) &&
         (span.length == 0 || memcmp(span.data, text, span.length) == 0);
}

static const srv_route *find(const char *method, const char *url) {
  srv_reply refusal = {0};
  const srv_route *route = srv_route_find(url, method, &refusal);
  srv_reply_release(&refusal);
  return route;
}

START_TEST(ids_in_paths) {
  static const struct {
    const char *method, *url, *id;
    unsigned command;
  } rows[] = {
      {"POST", "/v1/contexts", "", SRV_CONTEXT_CREATE},
      {"POST", "/v1/contexts/ab-1/run", "ab-1", SRV_CONTEXT_RUN},
      {"GET", "/v1/contexts/x/globals", "x", SRV_CONTEXT_GLOBALS},
      {"DELETE", "/v1/contexts/run", "run", SRV_CONTEXT_DELETE},
      {"POST", "/v1/contexts/run/run", "run", SRV_CONTEXT_RUN},
      {"GET", "/v1/modules/namespace", "namespace", SRV_MODULE_GET},
      {"HEAD", "/v1/modules/a/namespace", "a", SRV_MODULE_NAMESPACE},
      {"GET", "/v1/modules/a b/error", "a b", SRV_MODULE_ERROR},
      {"GET", "/v1/scripts/*/createCachedData", "*", SRV_SCRIPT_CACHED_DATA},
      {"POST", "/v1/functions/-/call", "-", SRV_FUNCTION_CALL},
  };
  for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
    const srv_route *route = find(rows[i].method, rows[i].url);
    ck_assert_msg(route != NULL, "%s", rows[i].url);
    ck_assert_uint_eq(route->op, rows[i].command);
    ck_assert_msg(is(srv_route_id(route, rows[i].url), rows[i].id), "%s", rows[i].url);
  }
}
END_TEST

START_TEST(no_paths) {
  static const char *const urls[] = {
      "/v1/contexts/",        "/v1/contexts//run",      "/v1/contexts/a/run/",
      "/v1/contexts/a/b/run", "/v1/contexts/a/runs",    "/v1/contexts/a/ru",
      "/v1/contextsa",        "/v1/contexts/a/",        "/v1/sessions",
      "/v1/sessions/",        "/v1/sessions/a/b",       "",
      "/v1/modules/a//",      "/v1/modules/a/namespac", "/v1/cachedData/a/b",
  };
  static const char *const methods[] = {"GET", "POST", "DELETE", "PUT"};
  for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++)
    for (size_t k = 0; k < 4; k++) ck_assert_msg(find(methods[k], urls[i]) == NULL, "%s", urls[i]);
}
END_TEST

START_TEST(members) {
  static const struct {
    const char *text, *name, *value;
  } rows[] = {
      {"{\"a\":1}", "a", "1"},
      {" { \"a\" : [1,{\"b\":\"]}\"}] , \"b\":\"x\\\"}\" } ", "b", "\"x\\\"}\""},
      {"{\"x\":{\"a\":1},\"a\":{\"b\":[]}}", "a", "{\"b\":[]}"},
      {"{\"ab\":1,\"a\":null}", "a", "null"},
      {"{\"a\\\"\":1,\"\":2}", "", "2"},
      {"{}", "a", NULL},
      {"[\"a\",1]", "a", NULL},
      {"\"a\"", "a", NULL},
      {"{\"b\":\"a\"}", "a", NULL},
      {"", "a", NULL},
  };
  for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
    kiln_span value = {NULL, 0};
    bool found = srv_json_member(kiln_span_from(rows[i].text), rows[i].name, &value);
    ck_assert_msg(found == (rows[i].value != NULL), "%s", rows[i].text);
    while (found && value.length > 0 && value.data[value.length - 1] == ' ') value.length--;
    if (found) ck_assert_msg(is(value, rows[i].value), "%s", rows[i].text);
  }
}
END_TEST

/* Whatever the text, nothing outside of it is read: for the sanitizers. */
START_TEST(members_of_noise) {
  static const char alphabet[] = "{}[]\",:\\ a1";
  unsigned seed = 1;
  for (unsigned round = 0; round < 20000; round++) {
    size_t length = round % 24;
    char *text = malloc(length + 1);
    kiln_span value;
    for (size_t i = 0; i < length; i++) {
      seed = seed * 1103515245u + 12345u;
      text[i] = alphabet[(seed >> 16) % (sizeof(alphabet) - 1)];
    }
    if (length > 0) text[0] = '{';
    char *exact = malloc(length > 0 ? length : 1);
    memcpy(exact, text, length);
    if (srv_json_member((kiln_span){exact, length}, "a", &value)) {
      ck_assert(value.data >= exact);
      ck_assert(value.data + value.length <= exact + length);
    }
    free(exact);
    free(text);
  }
}
END_TEST

/* Reads `json` as the command of this path; false: refused, with `status`. */
static bool reads(const char *url, const char *json, srv_command *command, unsigned status) {
  srv_body_form form = json != NULL ? SRV_FORM_JSON : SRV_FORM_NONE;
  kiln_bytes *body = json != NULL ? kiln_bytes_new(json, strlen(json)) : NULL;
  bool good = srv_parse_command(find("POST", url), form, body, NULL, 0, &command->parsed);
  if (!good) {
    ck_assert_uint_eq(command->parsed.refusal.status, status);
    srv_reply_release(&command->parsed.refusal);
  }
  kiln_bytes_unref(body);
  return good;
}

START_TEST(fields) {
  srv_command command = {0};
  ck_assert(reads("/v1/contexts",
                  "{\"session\":\"s\",\"globals\":{\"a\":[1]},\"name\":\"n\",\"origin\":\"o\","
                  "\"codeGeneration\":{\"strings\":false,\"wasm\":true},\"contextified\":true,"
                  "\"microtaskMode\":\"afterEvaluate\",\"engine\":\"e\",\"timeout\":7}",
                  &command, 0));
  ck_assert_int_eq(command.kiln.op, KILN_CONTEXT_CREATE);
  ck_assert(is(command.kiln.session, "s") && is(command.kiln.globals_json, "{\"a\":[1.0]}"));
  ck_assert(is(command.kiln.context_name, "n") && is(command.kiln.context_origin, "o"));
  ck_assert(command.kiln.deny_strings && !command.kiln.deny_wasm && command.kiln.contextified);
  ck_assert(command.kiln.microtasks_after_evaluate && is(command.kiln.engine, "e"));
  ck_assert_uint_eq(command.kiln.timeout_ms, 7);
  srv_command_release(&command);

  ck_assert(reads("/v1/functions",
                  "{\"context\":\"c\",\"source\":\"1\",\"params\":[\"a\",\"b\"],"
                  "\"contextExtensions\":[{\"x\":1}],\"lineOffset\":-1,\"columnOffset\":2}",
                  &command, 0));
  ck_assert_uint_eq(command.kiln.params_count, 2);
  ck_assert(is(command.kiln.params[1], "b") && is(command.kiln.context, "c"));
  ck_assert_int_eq(command.kiln.line_offset, -1);
  ck_assert_int_eq(command.kiln.column_offset, 2);
  srv_command_release(&command);

  ck_assert(reads("/v1/functions/f/call", "{\"args\":[null],\"this\":\"me\"}", &command, 0));
  ck_assert(is(command.kiln.args_json, "[null]") && is(command.kiln.this_json, "\"me\""));
  srv_command_release(&command);

  ck_assert(
      reads("/v1/modules", "{\"context\":\"c\",\"exports\":{},\"identifier\":\"i\"}", &command, 0));
  ck_assert_int_eq(command.kiln.op, KILN_MODULE_CREATE_SYNTHETIC);
  ck_assert(is(command.kiln.filename, "i"));
  srv_command_release(&command);

  ck_assert(reads("/v1/modules/m/setExport", "{\"name\":\"\",\"value\":null}", &command, 0));
  ck_assert(is(command.kiln.value_json, "null"));
  srv_command_release(&command);

  static const char *const empty[] = {"/v1/contexts", "/v1/modules/m/evaluate",
                                      "/v1/modules/m/link", "/v1/contexts/c/measureMemory"};
  for (size_t i = 0; i < sizeof(empty) / sizeof(empty[0]); i++) {
    ck_assert(reads(empty[i], NULL, &command, 0));
    srv_command_release(&command);
    ck_assert(reads(empty[i], "{}", &command, 0));
    srv_command_release(&command);
  }
}
END_TEST

START_TEST(links) {
  srv_command command = {0};
  ck_assert(reads("/v1/modules/m/link", "{\"links\":{\"a\":\"x\",\"b\":\"y\"}}", &command, 0));
  ck_assert_uint_eq(command.kiln.links_count, 2);
  for (size_t i = 0; i < 2; i++)
    ck_assert(is(command.kiln.links[i].specifier, "a") ? is(command.kiln.links[i].module, "x")
                                                       : is(command.kiln.links[i].module, "y"));
  srv_command_release(&command);
  ck_assert(reads("/v1/modules/m/link",
                  "{\"links\":[{\"specifier\":\"a\",\"module\":\"x\"},{\"module\":\"y\","
                  "\"attributes\":{\"type\":\"json\"},\"specifier\":\"a\"}]}",
                  &command, 0));
  ck_assert_uint_eq(command.kiln.links[0].attributes_json.length, 0);
  ck_assert(is(command.kiln.links[1].attributes_json, "{\"type\":\"json\"}"));
  srv_command_release(&command);
}
END_TEST

START_TEST(refused) {
  static const struct {
    const char *url, *json;
  } rows[] = {
      {"/v1/contexts", "{\"filename\":\"a\"}"},
      {"/v1/contexts", "{\"contextified\":null}"},
      {"/v1/contexts", "{\"codeGeneration\":{\"eval\":true}}"},
      {"/v1/contexts", "[]"},
      {"/v1/contexts/c/run", "{\"source\":\"1\",\"context\":\"c\"}"},
      {"/v1/contexts/c/run", "{}"},
      {"/v1/contexts/c/run", "{\"source\":\"1\",\"breakOnSigint\":true}"},
      {"/v1/scripts", "{\"source\":\"1\",\"key\":\"k\"}"},
      {"/v1/scripts/s/run", "{}"},
      {"/v1/scripts/s/createCachedData", "{\"source\":\"1\"}"},
      {"/v1/functions", "{\"source\":\"1\"}"},
      {"/v1/functions", "{\"context\":\"c\"}"},
      {"/v1/functions", "{\"context\":\"c\",\"source\":\"1\",\"contextExtensions\":[1]}"},
      {"/v1/functions/f/call", "{\"args\":{}}"},
      {"/v1/modules", "{\"source\":\"1\"}"},
      {"/v1/modules", "{\"context\":\"c\"}"},
      {"/v1/modules", "{\"context\":\"c\",\"exports\":[\"a\",1]}"},
      {"/v1/modules", "{\"context\":\"c\",\"exports\":\"a\"}"},
      {"/v1/modules", "{\"context\":\"c\",\"exports\":{},\"source\":\"1\"}"},
      {"/v1/modules", "{\"context\":\"c\",\"exports\":{},\"lineOffset\":1}"},
      {"/v1/modules", "{\"context\":\"c\",\"exports\":{},\"initializeImportMeta\":{}}"},
      {"/v1/modules/m/link", "{\"links\":{\"a\":1}}"},
      {"/v1/modules/m/link", "{\"links\":[{\"specifier\":\"a\"}]}"},
      {"/v1/modules/m/link", "{\"links\":[{\"specifier\":\"a\",\"module\":\"b\",\"as\":1}]}"},
      {"/v1/modules/m/setExport", "{\"name\":\"a\"}"},
      {"/v1/modules/m/setExport", "{\"value\":1}"},
      {"/v1/contexts/c/measureMemory", "{\"contexts\":[]}"},
  };
  for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
    srv_command command = {0};
    ck_assert_msg(!reads(rows[i].url, rows[i].json, &command, 400), "%s", rows[i].json);
    srv_command_release(&command);
  }
}
END_TEST

int main(void) {
  Suite *suite = suite_create("commands of sessions");
  TCase *all = tcase_create("all");
  tcase_add_test(all, ids_in_paths);
  tcase_add_test(all, no_paths);
  tcase_add_test(all, members);
  tcase_add_test(all, members_of_noise);
  tcase_add_test(all, fields);
  tcase_add_test(all, links);
  tcase_add_test(all, refused);
  suite_add_tcase(suite, all);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_ENV);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
