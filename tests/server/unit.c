/* SPDX-License-Identifier: MIT
 *
 * unit.c: the parts of kilnd that need no engine: options, JSON, requests, routes, Host.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "server/conn.h"
#include "server/guard.h"
#include "server/json.h"
#include "server/options.h"
#include "server/request.h"
#include "server/route.h"
#include "server/watch.h"

static char *written(const char *data, size_t length) {
  char *text = NULL;
  size_t size = 0;
  FILE *out = open_memstream(&text, &size);
  srv_json_string(out, data, length);
  fclose(out);
  return text;
}

START_TEST(json_strings) {
  static const struct {
    const char *data;
    size_t length;
    const char *json;
  } rows[] = {
      {"", 0, "\"\""},
      {"plain", 5, "\"plain\""},
      {"a\"b\\c", 5, "\"a\\\"b\\\\c\""},
      {"\n\t\x01\x7f", 4, "\"\\n\\u0009\\u0001\x7f\""},
      {"a\0b", 3, "\"a\\u0000b\""},
      {"\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80", 9, "\"\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80\""},
      {"\xC0\x80", 2, "\"\xEF\xBF\xBD\xEF\xBF\xBD\""},                 /* overlong */
      {"\xED\xA0\x80", 3, "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\""}, /* a surrogate */
      {"x\xE2\x82", 3, "\"x\xEF\xBF\xBD\xEF\xBF\xBD\""},               /* cut off */
      {"\xF4\x90\x80\x80", 4, "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\""},
  };
  for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
    char *text = written(rows[i].data, rows[i].length);
    ck_assert_str_eq(text, rows[i].json);
    free(text);
  }
}
END_TEST

/* Every byte string must come out as JSON that jansson takes. */
START_TEST(json_strings_of_noise) {
  unsigned seed = 7;
  for (int round = 0; round < 2000; round++) {
    char noise[64];
    json_error_t error;
    for (size_t i = 0; i < sizeof(noise); i++) {
      seed = seed * 1664525u + 1013904223u;
      noise[i] = (char)(seed >> 24);
    }
    char *text = written(noise, sizeof(noise));
    json_t *value = json_loads(text, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
    ck_assert_msg(value != NULL, "round %d: %s", round, error.text);
    json_decref(value);
    free(text);
  }
}
END_TEST

static bool parse_options(const char *line, srv_options *options, char *message) {
  char copy[512];
  char *argv[32] = {(char[]){"kilnd"}};
  int argc = 1;
  char *save = NULL;
  snprintf(copy, sizeof(copy), "%s", line);
  for (char *word = strtok_r(copy, " ", &save); word != NULL; word = strtok_r(NULL, " ", &save))
    argv[argc++] = word;
  static char kept[512]; /* options point into argv */
  memcpy(kept, copy, sizeof(kept));
  for (int i = 1; i < argc; i++) argv[i] = kept + (argv[i] - copy);
  return srv_options_parse(argc, argv, options, message, 256);
}

START_TEST(options_taken) {
  srv_options options;
  char message[256];
  ck_assert(parse_options("", &options, message));
  ck_assert_str_eq(options.listen, "127.0.0.1:8888");
  ck_assert_uint_eq(options.body_max_bytes, 64u << 20);
  ck_assert_uint_eq(options.drain_ms, 10000);
  ck_assert(
      parse_options("--listen=0.0.0.0:1 --body-max 2K --heap-max=1G --queue 3 --no-store "
                    "--allow-host a --allow-host=b --access-log",
                    &options, message));
  ck_assert_str_eq(options.listen, "0.0.0.0:1");
  ck_assert_uint_eq(options.body_max_bytes, 2048);
  ck_assert_uint_eq(options.heap_max_bytes, 1u << 30);
  ck_assert_uint_eq(options.queue, 3);
  ck_assert(options.no_store && options.access_log && !options.no_sources);
  ck_assert_uint_eq(options.allow_hosts.count, 2);
  ck_assert_str_eq(options.allow_hosts.items[1], "b");
}
END_TEST

START_TEST(options_refused) {
  static const char *const rows[][2] = {
      {"--nope", "--nope: no such option"},
      {"serve", "'serve': not an option"},
      {"--queue", "--queue: needs N"},
      {"--queue 0", "--queue 0: must be from 1 to 1000000"},
      {"--queue -1", "--queue '-1': not a number"},
      {"--queue 5x", "--queue '5x': not a number"},
      {"--queue 99999999999999999999", "--queue '99999999999999999999': not a number"},
      {"--body-max 2T", "--body-max '2T': not a size (a number, or one with K, M or G)"},
      {"--body-max 99999999999G", "--body-max '99999999999G': not a size"},
      {"--help=x", "--help: takes no value"},
      {"--timeout-default 9 --timeout-max 8", "--timeout-default 9: more than --timeout-max, 8"},
      {"--no-store --store x", "--store and --no-store: name one"},
  };
  for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
    srv_options options;
    char message[256] = "";
    ck_assert_msg(!parse_options(rows[i][0], &options, message), "%s", rows[i][0]);
    ck_assert_msg(strncmp(message, rows[i][1], strlen(rows[i][1])) == 0, "'%s': %s", rows[i][0],
                  message);
  }
}
END_TEST

START_TEST(default_store) {
  setenv("HOME", "/h", 1);
  unsetenv("XDG_CACHE_HOME");
  unsetenv("KILN_STORE");
  char *path = srv_options_copy_default_store();
  ck_assert_str_eq(path, "/h/.cache/kiln");
  free(path);
  setenv("XDG_CACHE_HOME", "/x", 1);
  path = srv_options_copy_default_store();
  ck_assert_str_eq(path, "/x/kiln");
  free(path);
  setenv("KILN_STORE", "/k", 1);
  path = srv_options_copy_default_store();
  ck_assert_str_eq(path, "/k");
  free(path);
  unsetenv("HOME");
  unsetenv("XDG_CACHE_HOME");
  setenv("KILN_STORE", "", 1);
  ck_assert_ptr_null(srv_options_copy_default_store());
}
END_TEST

/* What a refusal says: MHD keeps a response's body to itself, so the parsed struct's JSON body is
 * not looked at here but over HTTP (routes.c); here it is enough that it is refused, or not. */
static bool parses(kiln_op op, const char *json) {
  srv_parsed parsed;
  kiln_bytes *body = kiln_bytes_new(json, strlen(json));
  bool good = srv_parse(op, SRV_FORM_JSON, body, NULL, 0, &parsed);
  if (!good) {
    ck_assert_ptr_nonnull(parsed.refusal.response);
    ck_assert_uint_eq(parsed.refusal.status, 400);
    srv_reply_release(&parsed.refusal);
  }
  srv_parsed_release(&parsed);
  kiln_bytes_unref(body);
  return good;
}

START_TEST(requests_taken) {
  ck_assert(parses(KILN_COMPILE, "{\"source\":\"1\",\"mode\":\"eager\",\"lineOffset\":-3}"));
  ck_assert(parses(KILN_COMPILE, "{\"source\":\"\\u0000\",\"lineOffset\":2147483647}"));
  ck_assert(parses(KILN_CREATE_CACHED_DATA,
                   "{\"source\":\"1\",\"mode\":\"workload\",\"workload\":\"2\",\"timeout\":1e3}"));
  ck_assert(
      parses(KILN_RUN, "{\"source\":\"1\",\"globals\":{\"a\":9007199254740993,\"b\":1e308}}"));
  ck_assert(
      parses(KILN_RUN, "{\"source\":\"1\",\"kind\":\"function\",\"params\":[],\"args\":[1]}"));
  ck_assert(parses(KILN_RUN, "{\"source\":\"1\",\"contextCodeGeneration\":{\"strings\":false}}"));
  ck_assert(parses(KILN_MEASURE_MEMORY, "{}"));
  ck_assert(parses(KILN_MEASURE_MEMORY,
                   "{\"contexts\":[{\"name\":\"a\",\"globals\":{},\"scripts\":[{\"source\":\"1\","
                   "\"filename\":\"f\"}]},{}]}"));
}
END_TEST

START_TEST(requests_refused) {
  static const char *const run[] = {
      "",
      "null",
      "[]",
      "{",
      "{}",
      "{\"source\":1}",
      "{\"source\":\"1\",\"source\":\"2\"}",
      "{\"source\":\"1\",\"nope\":1}",
      "{\"source\":\"1\",\"mode\":\"lazy\"}",
      "{\"source\":\"1\",\"timeout\":0}",
      "{\"source\":\"1\",\"timeout\":1.5}",
      "{\"source\":\"1\",\"timeout\":\"5\"}",
      "{\"source\":\"1\",\"timeout\":4294967296}",
      "{\"source\":\"1\",\"lineOffset\":2147483648}",
      "{\"source\":\"1\",\"filename\":null}",
      "{\"source\":\"1\",\"params\":[\"a\"]}",
      "{\"source\":\"1\",\"args\":[]}",
      "{\"source\":\"1\",\"kind\":\"function\",\"params\":\"a\"}",
      "{\"source\":\"1\",\"kind\":\"function\",\"params\":[1]}",
      "{\"source\":\"1\",\"modules\":{\"a\":\"1\"}}",
      "{\"source\":\"1\",\"kind\":\"module\",\"modules\":{\"a\":\"1\",\"b\":2}}",
      "{\"source\":\"1\",\"globals\":[]}",
      "{\"source\":\"1\",\"microtaskMode\":\"x\"}",
      "{\"source\":\"1\",\"contextCodeGeneration\":{\"x\":true}}",
      "{\"source\":\"1\",\"contextCodeGeneration\":{\"wasm\":1}}",
      "{\"source\":\"1\",\"key\":\"00\"}",
      "{\"key\":\"00\"}",
      "{\"source\":\"1\",\"kind\":\"Script\"}",
      "{\"source\":\"1\",\"kind\":\"script\\u0000zz\"}",
      "{\"source\":\"1\",\"globals\":{\"a\":1e999}}",
  };
  static const char *const measure[] = {
      "{\"mode\":1}",
      "{\"mode\":\"lazy\"}",
      "{\"execution\":\"x\"}",
      "{\"contexts\":[]}",
      "{\"contexts\":{}}",
      "{\"contexts\":[1]}",
      "{\"contexts\":[{\"scripts\":[{}]}]}",
      "{\"contexts\":[{\"name\":1}]}",
      "{\"contexts\":[{\"x\":1}]}",
      "{\"contexts\":[{\"scripts\":[{\"source\":\"1\",\"x\":1}]}]}",
      "{\"source\":\"1\"}",
  };
  for (size_t i = 0; i < sizeof(run) / sizeof(run[0]); i++)
    ck_assert_msg(!parses(KILN_RUN, run[i]), "%s", run[i]);
  for (size_t i = 0; i < sizeof(measure) / sizeof(measure[0]); i++)
    ck_assert_msg(!parses(KILN_MEASURE_MEMORY, measure[i]), "%s", measure[i]);
  ck_assert(!parses(KILN_COMPILE, "{\"source\":\"1\",\"workload\":\"2\"}"));
  ck_assert(!parses(KILN_COMPILE, "{\"source\":\"1\",\"mode\":\"workload\"}"));
  ck_assert(!parses(KILN_COMPILE, "{\"source\":\"1\",\"globals\":{}}"));
}
END_TEST

/* Nesting deep enough to blow a stack, and a body that is all brackets. */
START_TEST(requests_deep) {
  size_t depth = 100000;
  char *text = malloc(depth + 32);
  ck_assert_ptr_nonnull(text);
  int used = snprintf(text, 32, "{\"source\":\"1\",\"globals\":");
  memset(text + used, '[', depth);
  text[(size_t)used + depth] = '\0';
  ck_assert(!parses(KILN_RUN, text));
  free(text);
}
END_TEST

START_TEST(requests_many) {
  char *text = NULL;
  size_t length = 0;
  FILE *out = open_memstream(&text, &length);
  fputs("{\"source\":\"1\",\"kind\":\"function\",\"params\":[\"p\"", out);
  for (int i = 0; i < KILN_PARAMS_MAX; i++) fprintf(out, ",\"p%d\"", i);
  fputs("]}", out);
  fclose(out);
  ck_assert(!parses(KILN_RUN, text));
  free(text);
}
END_TEST

/* {"source":"<`text`>","globals":{"a":[<`values` times 1>]}}: its brackets, commas and colons are
 * 6 + `values`. */
static char *many_values(const char *text, size_t values) {
  char *json = NULL;
  size_t length = 0;
  FILE *out = open_memstream(&json, &length);
  fprintf(out, "{\"source\":\"%s\",\"globals\":{\"a\":[1", text);
  for (size_t i = 1; i < values; i++) fputs(",1", out);
  fputs("]}}", out);
  fclose(out);
  return json;
}

/* The number of values is limited before any of them is parsed; what strings hold is no value. */
START_TEST(requests_of_many_values) {
  enum { AROUND = 6 };
  char *most = many_values("a,b:[{\\\",,\\\\", SRV_JSON_VALUES_MAX - AROUND);
  ck_assert(parses(KILN_RUN, most));
  free(most);
  char *more = many_values("", SRV_JSON_VALUES_MAX - AROUND + 1);
  srv_parsed parsed;
  kiln_bytes *body = kiln_bytes_new(more, strlen(more));
  ck_assert(!srv_parse(KILN_RUN, SRV_FORM_JSON, body, NULL, 0, &parsed));
  ck_assert_uint_eq(parsed.refusal.status, 413);
  ck_assert_ptr_null(parsed.root);
  srv_reply_release(&parsed.refusal);
  srv_parsed_release(&parsed);
  kiln_bytes_unref(body);
  free(more);
}
END_TEST

static bool parses_query(kiln_op op, const srv_query_pair *pairs, size_t count,
                         srv_parsed *parsed) {
  kiln_bytes *body = kiln_bytes_new("1", 1);
  bool good = srv_parse(op, SRV_FORM_SOURCE, body, pairs, count, parsed);
  if (!good) srv_reply_release(&parsed->refusal);
  kiln_bytes_unref(body);
  return good;
}

static srv_query_pair pair(const char *name, const char *value) {
  return (srv_query_pair){kiln_span_from(name), kiln_span_from(value != NULL ? value : ""),
                          value != NULL};
}

START_TEST(queries_taken) {
  srv_parsed parsed;
  const srv_query_pair pairs[] = {pair("kind", "function"), pair("params", "a,b"),
                                  pair("params", "c"),      pair("lineOffset", "-4"),
                                  pair("filename", "x.js"), pair("timeout", "50")};
  ck_assert(parses_query(KILN_RUN, pairs, 6, &parsed));
  ck_assert_uint_eq(parsed.kiln.params_count, 3);
  ck_assert_int_eq(memcmp(parsed.kiln.params[2].data, "c", 1), 0);
  ck_assert_int_eq(parsed.kiln.line_offset, -4);
  ck_assert_uint_eq(parsed.kiln.timeout_ms, 50);
  ck_assert_uint_eq(parsed.kiln.filename.length, 4);
  ck_assert_int_eq(parsed.kiln.kind, KILN_FUNCTION);
  srv_parsed_release(&parsed);
}
END_TEST

START_TEST(queries_refused) {
  const srv_query_pair rows[] = {
      pair("nope", "1"),        pair("source", "1"),      pair("timeout", "abc"),
      pair("timeout", "0x10"),  pair("timeout", "1.5"),   pair("timeout", ""),
      pair("filename", NULL),   pair("kind", ""),         pair("globals", "{}"),
      pair("mode", "eager"),    pair("timeout", "1e999"), pair("params", "a"),
      pair("filename", "\xff"), pair("timeout", "-1"),    pair("TIMEOUT", "1"),
  };
  for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
    srv_parsed parsed;
    ck_assert_msg(!parses_query(KILN_RUN, &rows[i], 1, &parsed), "%s=%s", rows[i].name.data,
                  rows[i].value.data);
    srv_parsed_release(&parsed);
  }
  srv_parsed parsed;
  const srv_query_pair twice[] = {pair("timeout", "1"), pair("timeout", "1")};
  ck_assert(!parses_query(KILN_RUN, twice, 2, &parsed));
  srv_parsed_release(&parsed);
}
END_TEST

START_TEST(content_types) {
  static const struct {
    const char *value;
    int form; /* -1: none */
  } rows[] = {
      {"text/javascript", SRV_FORM_SOURCE},
      {"TEXT/JavaScript; charset=UTF-8", SRV_FORM_SOURCE},
      {"application/javascript;charset=\"utf-8\"", SRV_FORM_SOURCE},
      {"application/json", SRV_FORM_JSON},
      {"application/json ; charset=utf-8 ", SRV_FORM_JSON},
      {"text/javascript; charset=latin1", -1},
      {"text/javascript; charset=utf-88", -1},
      {"text/javascript;", SRV_FORM_SOURCE},
      {"text/javascript; ; charset=utf-8;", SRV_FORM_SOURCE},
      {"text/javascript; version=1", SRV_FORM_SOURCE},
      {"text/javascript; charset=utf-8; x=y", SRV_FORM_SOURCE},
      {"application/json; x=\"; charset=latin1\\\"\"; Charset=\"UTF-8\"", SRV_FORM_JSON},
      {"text/javascript; x=y; charset=latin1", -1},
      {"text/javascript; charset=utf-8; charset=latin1", -1},
      {"text/javascript; charset=", -1},
      {"text/javascript; charset", -1},
      {"text/javascript; =utf-8", -1},
      {"text/javascript; x=\"y", -1},
      {"text/javascript; x=\"y\"z", -1},
      {"text/javascript; x=\"\\", -1},
      {"text/javascriptx", -1},
      {"text/plain", -1},
      {"application/x-www-form-urlencoded", -1},
      {"", -1},
  };
  for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
    srv_body_form form = SRV_FORM_SOURCE;
    bool taken = srv_parse_content_type(rows[i].value, &form);
    ck_assert_msg(taken == (rows[i].form >= 0), "%s", rows[i].value);
    if (taken) ck_assert_int_eq((int)form, rows[i].form);
  }
}
END_TEST

START_TEST(hosts) {
  srv_options options = {.listen = "127.0.0.1:8888", .allow_hosts = {{"kiln.example"}, 1}};
  srv_server server = {.options = &options, .loopback = true};
  static const char *const good[] = {"localhost", "LOCALHOST:80", "127.0.0.1:1", "[::1]:9",
                                     "kiln.example"};
  static const char *const bad[] = {"",          "evil.example", "localhost.evil.example",
                                    "127.0.0.2", "localhost:x",  "localhost:80:80",
                                    "[::1"};
  for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
    ck_assert_msg(srv_guard_host(&server, good[i]), "%s", good[i]);
  for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
    ck_assert_msg(!srv_guard_host(&server, bad[i]), "%s", bad[i]);
  options.allow_hosts.count = 0;
  server.loopback = false;
  ck_assert(srv_guard_host(&server, "evil.example"));
}
END_TEST

START_TEST(targets) {
  static const char *const good[] = {"/healthz", "/v1/run?filename=a%00", "*",
                                     "http://localhost/%41", "http://localhost"};
  static const char *const bad[] = {"/healthz%00", "/%00?a", "/v1/cachedData/00%00",
                                    "http://localhost%2Fhealthz/x", "http://localhost/%00"};
  static const char *const absolute[][3] = {
      {"http://localhost:80/healthz", "localhost:80", "/healthz"},
      {"HTTP://[::1]", "[::1]", "/"},
      {"http:///healthz", "", "/healthz"},
  };
  char authority[SRV_AUTHORITY_SIZE];
  for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
    ck_assert_msg(srv_guard_target(good[i]) == NULL, "%s", good[i]);
  for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
    ck_assert_msg(srv_guard_target(bad[i]) != NULL, "%s", bad[i]);
  for (size_t i = 0; i < sizeof(absolute) / sizeof(absolute[0]); i++) {
    const char *path = srv_guard_absolute(absolute[i][0], authority);
    ck_assert_pstr_eq(path, absolute[i][2]);
    ck_assert_str_eq(authority, absolute[i][1]);
  }
  ck_assert_ptr_null(srv_guard_absolute("/http://localhost/", authority));
  ck_assert_ptr_null(srv_guard_absolute("https://localhost/", authority));
}
END_TEST

START_TEST(routes) {
  srv_reply refusal = {0};
  ck_assert_ptr_nonnull(srv_route_find("/v1/run", "POST", &refusal));
  ck_assert_ptr_nonnull(srv_route_find("/v1/cachedData/00", "HEAD", &refusal));
  ck_assert_ptr_null(srv_route_find("/v1/run", "GET", &refusal));
  ck_assert_uint_eq(refusal.status, 405);
  srv_reply_release(&refusal);
  static const char *const missing[] = {"/",
                                        "",
                                        "/v1",
                                        "/v1/run/",
                                        "/v1/Run",
                                        "/v1/cachedData",
                                        "/v1/cachedData/0/1",
                                        "/v1/../v1/run"};
  for (size_t i = 0; i < sizeof(missing) / sizeof(missing[0]); i++) {
    ck_assert_ptr_null(srv_route_find(missing[i], "POST", &refusal));
    ck_assert_uint_eq(refusal.status, 404);
    srv_reply_release(&refusal);
  }
}
END_TEST

/* New errors of the store are told once, and not twice in a minute. */
START_TEST(store_errors_told) {
  srv_watch watch = {0};
  uint64_t fresh = 0;
  ck_assert(srv_watch_due(&watch, 1000));
  ck_assert(!srv_watch_due(&watch, 10999));
  ck_assert(srv_watch_due(&watch, 11000));
  ck_assert(!srv_watch_errors(&watch, 1000, 0, &fresh));
  ck_assert(srv_watch_errors(&watch, 2000, 3, &fresh));
  ck_assert_uint_eq(fresh, 3);
  ck_assert(!srv_watch_errors(&watch, 61999, 9, &fresh));
  ck_assert(!srv_watch_errors(&watch, 62000, 0, &fresh));
  ck_assert(srv_watch_errors(&watch, 62000, 9, &fresh));
  ck_assert_uint_eq(fresh, 6);
  ck_assert(!srv_watch_errors(&watch, 200000, 9, &fresh));
}
END_TEST

/* Each status of the kiln has a status of HTTP: 4xx for the caller's, 5xx for ours. */
START_TEST(statuses) {
#define CHECK_STATUS(symbol, number, code, text)                                                \
  ck_assert_uint_ge(srv_status_http(symbol), (number) == 0 ? 200 : (number) < 300 ? 400 : 500); \
  ck_assert_uint_lt(srv_status_http(symbol), (number) == 0 ? 201 : (number) < 300 ? 500 : 504);
  KILN_STATUS_MAP(CHECK_STATUS)
}
END_TEST

int main(void) {
  Suite *suite = suite_create("server unit");
  TCase *all = tcase_create("all");
  tcase_add_test(all, json_strings);
  tcase_add_test(all, json_strings_of_noise);
  tcase_add_test(all, options_taken);
  tcase_add_test(all, options_refused);
  tcase_add_test(all, default_store);
  tcase_add_test(all, requests_taken);
  tcase_add_test(all, requests_refused);
  tcase_add_test(all, requests_deep);
  tcase_add_test(all, requests_many);
  tcase_add_test(all, requests_of_many_values);
  tcase_add_test(all, queries_taken);
  tcase_add_test(all, queries_refused);
  tcase_add_test(all, content_types);
  tcase_add_test(all, hosts);
  tcase_add_test(all, targets);
  tcase_add_test(all, routes);
  tcase_add_test(all, store_errors_told);
  tcase_add_test(all, statuses);
  suite_add_tcase(suite, all);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_ENV);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
