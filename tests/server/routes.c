/* SPDX-License-Identifier: MIT
 *
 * routes.c: every route and every status code of kilnd over real connections, with the real engine.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/official_node.h"
#include "tests/server/harness.h"

#define ABSENT_KEY "0000000000000000000000000000000000000000000000000000000000000000"

static kilnd server;

static void start(void) {
  kilnd_start(&server, (const char *[]){"--body-max", "1M", NULL});
}

static void stop(void) {
  ck_assert_int_eq(kilnd_stop(&server), 0);
  kilnd_remove(&server);
}

static http_answer post(const char *path, const char *type, const char *body) {
  return kilnd_ask(&server, (http_ask){.path = path, .type = type, .body = body});
}

static const char *official_node(void) {
  const char *node = getenv("KILN_TEST_NODE");
  ck_assert_msg(node != NULL && access(node, X_OK) == 0, "KILN_TEST_NODE names no node");
  return node;
}

START_TEST(health_stats_engines) {
  char tag[16];
  http_answer answer = kilnd_ask(&server, (http_ask){.path = "/healthz"});
  ck_assert_int_eq(answer.status, 200);
  answer_expect(&answer, "status", "\"ok\"");
  answer_release(&answer);

  answer = kilnd_ask(&server, (http_ask){.path = "/healthz", .method = "HEAD"});
  ck_assert_int_eq(answer.status, 200);
  ck_assert_uint_eq(answer.length, 0);
  answer_release(&answer);

  answer = kilnd_ask(&server, (http_ask){.path = "/v1/engines"});
  ck_assert_int_eq(answer.status, 200);
  answer_expect(&answer, "engines.0.name", "\"node-18\"");
  snprintf(tag, sizeof(tag), "%" PRIu32, official_node_tag(official_node()));
  answer_expect(&answer, "engines.0.cachedDataVersionTag", tag);
  answer_release(&answer);

  ck_assert_int_ge(kilnd_stat(&server, "server.requests"), 3);
  ck_assert_int_eq(kilnd_stat(&server, "kiln.jobs"), 0);
  ck_assert_int_ge(kilnd_stat(&server, "uptimeMs"), 0);
}
END_TEST

START_TEST(create_cached_data) {
  char key[128], again[128], value[128];
  http_answer miss = post("/v1/createCachedData?filename=a.js", JS, "function a(){return 1} a()");
  ck_assert_int_eq(miss.status, 200);
  ck_assert(answer_header(&miss, "Content-Type", value, sizeof(value)));
  ck_assert_str_eq(value, "application/octet-stream");
  ck_assert(answer_header(&miss, "Kiln-Cache", value, sizeof(value)));
  ck_assert_str_eq(value, "miss");
  ck_assert(answer_header(&miss, "Kiln-Engine", value, sizeof(value)));
  ck_assert_str_eq(value, "node-18");
  ck_assert(answer_header(&miss, "Kiln-Key", key, sizeof(key)));
  ck_assert_uint_eq(strlen(key), 64);
  ck_assert(answer_header(&miss, "ETag", value, sizeof(value)));
  long long jobs = kilnd_stat(&server, "kiln.jobs");
  ck_assert_int_eq(jobs, 1);

  /* Done-when 2: asking again is a hit that starts no engine job. In JSON it is the same request.
   */
  http_answer hit = post("/v1/createCachedData", JSON,
                         "{\"source\":\"function a(){return 1} a()\",\"filename\":\"a.js\"}");
  ck_assert_int_eq(hit.status, 200);
  ck_assert(answer_header(&hit, "Kiln-Cache", value, sizeof(value)));
  ck_assert_str_eq(value, "hit");
  ck_assert(answer_header(&hit, "Kiln-Key", again, sizeof(again)));
  ck_assert_str_eq(again, key);
  ck_assert_uint_eq(hit.length, miss.length);
  ck_assert_mem_eq(hit.body, miss.body, miss.length);
  ck_assert_int_eq(kilnd_stat(&server, "kiln.jobs"), jobs);
  ck_assert_int_eq(kilnd_stat(&server, "kiln.hits"), 1);
  answer_release(&hit);
  answer_release(&miss);
}
END_TEST

/* Done-when 2, the other half: official Node 18.20.4 takes the bytes, from all bake modes. */
START_TEST(node_accepts) {
  static const char *const modes[] = {"lazy", "eager", "warm"};
  const char *node = official_node();
  const char *source =
      "(function(){ function f(a){ return a*2 } var s=0;"
      " for (var i=0;i<10;i++) s+=f(i); return s })()";
  for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
    char path[256], file[TEMPORARY_PATH + 16], command[2048];
    snprintf(path, sizeof(path), "/v1/createCachedData?filename=n.js&mode=%s", modes[i]);
    http_answer answer = post(path, JS, source);
    ck_assert_int_eq(answer.status, 200);
    snprintf(file, sizeof(file), "%s/blob", server.dir);
    FILE *out = fopen(file, "we");
    ck_assert_ptr_nonnull(out);
    ck_assert_uint_eq(fwrite(answer.body, 1, answer.length, out), answer.length);
    fclose(out);
    snprintf(command, sizeof(command),
             "'%s' -e 'const s=new (require(\"vm\").Script)(process.argv[2],{filename:\"n.js\","
             "cachedData:require(\"fs\").readFileSync(process.argv[1])});"
             "process.exit(s.cachedDataRejected===false&&s.runInThisContext()===90?0:3)' "
             "'%s' '%s'",
             node, file, source);
    ck_assert_msg(system(command) == 0, "mode %s", modes[i]);
    answer_release(&answer);
  }
}
END_TEST

START_TEST(compile) {
  http_answer answer = post("/v1/compile?filename=c.js&mode=eager", JS, "function c(){} c()");
  ck_assert_int_eq(answer.status, 200);
  answer_expect(&answer, "cache", "\"miss\"");
  answer_expect(&answer, "engine", "\"node-18\"");
  answer_expect(&answer, "kind", "\"script\"");
  answer_expect(&answer, "mode", "\"eager\"");
  answer_expect(&answer, "sourceLength", "18");
  answer_release(&answer);

  answer = post("/v1/compile", JSON,
                "{\"source\":\"export default 1\",\"kind\":\"module\",\"filename\":\"m.mjs\"}");
  ck_assert_int_eq(answer.status, 200);
  answer_expect(&answer, "kind", "\"module\"");
  answer_release(&answer);

  answer = post("/v1/compile?kind=function&params=a,b&params=c", JS, "return a+b+c");
  ck_assert_int_eq(answer.status, 200);
  answer_release(&answer);

  answer =
      post("/v1/compile", JSON,
           "{\"source\":\"function w(){return 1}\",\"mode\":\"workload\",\"workload\":\"w()\"}");
  ck_assert_int_eq(answer.status, 200);
  answer_expect(&answer, "mode", "\"workload\"");
  answer_release(&answer);

  answer = post("/v1/compile?kind=function&params=a%20b", JS, "return 1");
  ck_assert_int_eq(answer.status, 422);
  answer_expect(&answer, "error.name", "\"SyntaxError\"");
  answer_release(&answer);

  answer = post("/v1/compile?filename=bad.js", JS, "var 5;");
  answer_expect_error(&answer, 422, "ERR_SCRIPT_EXCEPTION");
  answer_expect(&answer, "outcome", "\"exception\"");
  answer_expect(&answer, "error.name", "\"SyntaxError\"");
  answer_expect(&answer, "error.line", "1");
  answer_expect(&answer, "error.column", "5");
  answer_expect(&answer, "error.resource", "\"bad.js\"");
  answer_release(&answer);
}
END_TEST

START_TEST(run) {
  http_answer answer = post("/v1/run?filename=r.js", JS, "console.log('a', 1); var x = 2; 6*7");
  ck_assert_int_eq(answer.status, 200);
  answer_expect(&answer, "result", "42");
  answer_expect(&answer, "console.0.text", "\"a 1\"");
  answer_expect(&answer, "globals.x", "2");
  answer_release(&answer);

  answer = post("/v1/run", JSON,
                "{\"source\":\"[n, s.length, big]\",\"globals\":{\"n\":1.5,\"s\":\"\\u0000b\","
                "\"big\":123456789012}}");
  ck_assert_int_eq(answer.status, 200);
  answer_expect(&answer, "result", "[1.5,2,123456789012]");
  answer_release(&answer);

  answer = post("/v1/run", JSON,
                "{\"source\":\"return a+b\",\"kind\":\"function\",\"params\":[\"a\",\"b\"],"
                "\"args\":[1,41]}");
  ck_assert_int_eq(answer.status, 200);
  answer_expect(&answer, "result", "42");
  answer_release(&answer);

  answer = post("/v1/run", JSON,
                "{\"source\":\"import x from './x.mjs'; export const y = x + 1\","
                "\"kind\":\"module\",\"modules\":{\"./x.mjs\":\"export default 41\"}}");
  ck_assert_int_eq(answer.status, 200);
  answer_release(&answer);

  answer = post("/v1/run", JSON,
                "{\"source\":\"eval('1')\",\"contextCodeGeneration\":{\"strings\":false}}");
  ck_assert_int_eq(answer.status, 422);
  answer_expect(&answer, "error.name", "\"EvalError\"");
  answer_release(&answer);

  answer = post("/v1/run?filename=t.js", JS, "console.log('before');\n  throw new TypeError('no')");
  answer_expect_error(&answer, 422, "ERR_SCRIPT_EXCEPTION");
  answer_expect(&answer, "outcome", "\"exception\"");
  answer_expect(&answer, "error.name", "\"TypeError\"");
  answer_expect(&answer, "error.message", "\"no\"");
  answer_expect(&answer, "error.line", "2");
  answer_expect(&answer, "console.0.text", "\"before\"");
  answer_release(&answer);
}
END_TEST

START_TEST(run_by_key) {
  char key[128], body[256];
  http_answer baked = post("/v1/createCachedData?filename=k.js", JS, "20+22");
  ck_assert(answer_header(&baked, "Kiln-Key", key, sizeof(key)));
  answer_release(&baked);
  snprintf(body, sizeof(body), "{\"key\":\"%s\"}", key);
  http_answer answer = post("/v1/run", JSON, body);
  ck_assert_int_eq(answer.status, 200);
  answer_expect(&answer, "result", "42");
  answer_expect(&answer, "cachedDataRejected", "false");
  answer_release(&answer);
  answer = post("/v1/run", JSON, "{\"key\":\"" ABSENT_KEY "\"}");
  answer_expect_error(&answer, 404, "ERR_NOT_FOUND");
  answer_release(&answer);
}
END_TEST

/* What is wrong with a request, its status, its code and a word of its message. */
START_TEST(refusals) {
  static const struct {
    http_ask ask;
    long status;
    const char *code;
    const char *word;
  } rows[] = {
      {{.path = "/"}, 404, "ERR_NOT_FOUND", "'/'"},
      {{.path = "/v1/run/"}, 404, "ERR_NOT_FOUND", "'/v1/run/'"},
      {{.path = "/v1/run"}, 405, "ERR_METHOD_NOT_ALLOWED", "POST"},
      {{.path = "/v1/stats", .method = "DELETE"}, 405, "ERR_METHOD_NOT_ALLOWED", "GET, HEAD"},
      {{.path = "/v1/run", .method = "OPTIONS"}, 405, "ERR_METHOD_NOT_ALLOWED", "POST"},
      {{.path = "/v1/run", .body = "1"}, 415, "ERR_UNSUPPORTED_MEDIA_TYPE", "json"},
      {{.path = "/v1/run", .body = "1", .type = "text/plain"},
       415,
       "ERR_UNSUPPORTED_MEDIA_TYPE",
       "text/plain"},
      {{.path = "/v1/run", .body = "1", .type = "text/javascript; charset=latin1"},
       415,
       "ERR_UNSUPPORTED_MEDIA_TYPE",
       "latin1"},
      {{.path = "/v1/measureMemory", .body = "1", .type = JS},
       415,
       "ERR_UNSUPPORTED_MEDIA_TYPE",
       "application/json"},
      {{.path = "/v1/run", .body = "1", .type = JS, .headers = {"Content-Encoding: gzip"}},
       415,
       "ERR_UNSUPPORTED_MEDIA_TYPE",
       "gzip"},
      {{.path = "/v1/run", .body = "1", .type = JS, .headers = {"Expect: 200-ok"}},
       417,
       "ERR_EXPECTATION_FAILED",
       "200-ok"},
      {{.path = "/v1/stats", .method = "GET", .body = "1", .type = JS},
       400,
       "ERR_UNEXPECTED_BODY",
       "GET"},
      {{.path = "/v1/run?nope=1", .body = "1", .type = JS}, 400, "ERR_UNKNOWN_OPTION", "nope"},
      {{.path = "/v1/run?globals={}", .body = "1", .type = JS},
       400,
       "ERR_UNKNOWN_OPTION",
       "globals"},
      {{.path = "/v1/run?timeout=1", .body = "{\"source\":\"1\"}", .type = JSON},
       400,
       "ERR_UNKNOWN_OPTION",
       "timeout"},
      {{.path = "/v1/run?timeout=1&timeout=2", .body = "1", .type = JS},
       400,
       "ERR_INVALID_ARG_VALUE",
       "more than once"},
      {{.path = "/v1/run?timeout", .body = "1", .type = JS},
       400,
       "ERR_INVALID_ARG_VALUE",
       "timeout"},
      {{.path = "/v1/run?timeout=abc", .body = "1", .type = JS},
       400,
       "ERR_INVALID_ARG_TYPE",
       "must be a number"},
      {{.path = "/v1/run?timeout=0", .body = "1", .type = JS}, 400, "ERR_OUT_OF_RANGE", "timeout"},
      {{.path = "/v1/run?timeout=-5", .body = "1", .type = JS}, 400, "ERR_OUT_OF_RANGE", "-5"},
      {{.path = "/v1/run?timeout=60001", .body = "1", .type = JS},
       400,
       "ERR_OUT_OF_RANGE",
       "60000"},
      {{.path = "/v1/run?lineOffset=2147483648", .body = "1", .type = JS},
       400,
       "ERR_OUT_OF_RANGE",
       "2147483648"},
      {{.path = "/v1/run?kind=Script", .body = "1", .type = JS},
       400,
       "ERR_INVALID_ARG_VALUE",
       "'module'"},
      {{.path = "/v1/run?kind=module%00", .body = "1", .type = JS},
       400,
       "ERR_INVALID_ARG_VALUE",
       "'module'"},
      {{.path = "/v1/run", .body = "{\"source\":\"1\",\"kind\":\"script\\u0000z\"}", .type = JSON},
       400,
       "ERR_INVALID_ARG_VALUE",
       "'script'"},
      {{.path = "/healthz%00x"}, 400, "ERR_MALFORMED_REQUEST", "NUL"},
      {{.path = "/v1/cachedData/" ABSENT_KEY "%00"}, 400, "ERR_MALFORMED_REQUEST", "NUL"},
      {{.path = "/v1/run?engine=node-99", .body = "1", .type = JS},
       400,
       "ERR_INVALID_ARG_VALUE",
       "node-99"},
      {{.path = "/v1/compile?mode=fast", .body = "1", .type = JS},
       400,
       "ERR_INVALID_ARG_VALUE",
       "'workload'"},
      {{.path = "/v1/compile?mode=workload", .body = "1", .type = JS},
       400,
       "ERR_MISSING_OPTION",
       "workload"},
      {{.path = "/v1/run", .body = "{", .type = JSON}, 400, "ERR_INVALID_JSON", "line 1"},
      {{.path = "/v1/run", .body = "[]", .type = JSON}, 400, "ERR_INVALID_ARG_TYPE", "an array"},
      {{.path = "/v1/run", .body = "{}", .type = JSON}, 400, "ERR_MISSING_OPTION", "source"},
      {{.path = "/v1/run", .body = "{\"source\":5}", .type = JSON},
       400,
       "ERR_INVALID_ARG_TYPE",
       "'source'"},
      {{.path = "/v1/run", .body = "{\"source\":\"1\",\"sources\":1}", .type = JSON},
       400,
       "ERR_UNKNOWN_OPTION",
       "sources"},
      {{.path = "/v1/run",
        .body = "{\"source\":\"1\",\"contextCodeGeneration\":{\"strings\":1}}",
        .type = JSON},
       400,
       "ERR_INVALID_ARG_TYPE",
       "contextCodeGeneration.strings"},
      {{.path = "/v1/cachedData/abc"}, 400, "ERR_INVALID_ARG_VALUE", "abc"},
      {{.path = "/v1/cachedData/"}, 400, "ERR_INVALID_ARG_VALUE", "64"},
      {{.path = "/v1/cachedData/" ABSENT_KEY}, 404, "ERR_NOT_FOUND", ""},
      {{.path = "/healthz", .headers = {"Host: evil.example"}},
       421,
       "ERR_HOST_NOT_ALLOWED",
       "evil.example"},
      {{.path = "/healthz", .headers = {"Host: localhost.evil.example:80"}},
       421,
       "ERR_HOST_NOT_ALLOWED",
       "evil"},
  };
  for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
    char quoted[128];
    http_answer answer = kilnd_ask(&server, rows[i].ask);
    snprintf(quoted, sizeof(quoted), "\"code\":\"%s\"", rows[i].code);
    ck_assert_msg(answer.status == rows[i].status && strstr(answer.body, quoted) != NULL &&
                      strstr(answer.body, rows[i].word) != NULL,
                  "row %zu, %s: %ld %s", i, rows[i].ask.path, answer.status, answer.body);
    ck_assert_msg(strstr(answer.body, server.dir) == NULL, "a path: %s", answer.body);
    if (rows[i].status == 405) {
      char allow[64];
      ck_assert(answer_header(&answer, "Allow", allow, sizeof(allow)));
    }
    answer_release(&answer);
  }
  ck_assert_int_eq(kilnd_stat(&server, "kiln.jobs"), 0);
  ck_assert_int_eq(kilnd_stat(&server, "server.responses_5xx"), 0);
}
END_TEST

/* 413: early from Content-Length, with and without asking first; in the middle of chunks. */
START_TEST(too_large) {
  size_t size = (1 << 20) + 1;
  char *big = malloc(size);
  ck_assert_ptr_nonnull(big);
  memset(big, ' ', size);
  const http_ask forms[] = {
      {.path = "/v1/run", .type = JS, .body = big, .length = size},
      {.path = "/v1/run",
       .type = JS,
       .body = big,
       .length = size,
       .headers = {"Expect: 100-continue"}},
      {.path = "/v1/run", .type = JS, .body = big, .length = size, .chunked = true},
  };
  for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
    for (int round = 0; round < 10; round++) {
      http_ask form = forms[i];
      form.may_fail = true; /* curl may find the connection closed while it still sends */
      http_answer answer = kilnd_ask(&server, form);
      answer_expect_error(&answer, 413, "ERR_TOO_LARGE");
      ck_assert_ptr_nonnull(strstr(answer.body, "1048576"));
      answer_release(&answer);
    }
  }
  http_answer answer = kilnd_ask(
      &server, (http_ask){.path = "/v1/run", .type = JS, .body = big, .length = size - 1});
  ck_assert_int_eq(answer.status, 200);
  answer_release(&answer);
  answer = kilnd_ask(&server, (http_ask){.path = "/v1/run",
                                         .type = JS,
                                         .body = big,
                                         .length = size - 1,
                                         .chunked = true,
                                         .headers = {"Expect: 100-continue"}});
  ck_assert_int_eq(answer.status, 200);
  answer_expect(&answer, "result.type", "\"undefined\"");
  answer_release(&answer);
  free(big);
}
END_TEST

/* One connection, many requests, of every kind that does not close it. */
START_TEST(keep_alive) {
  CURL *curl = curl_easy_init();
  const http_ask forms[] = {
      {.path = "/healthz"},
      {.path = "/v1/run", .body = "1+1", .type = JS},
      {.path = "/v1/run", .body = "throw 1", .type = JS},
      {.path = "/nowhere"},
      {.path = "/nowhere", .body = "some body that is dropped", .type = JS},
      {.path = "/v1/createCachedData", .body = "1+1", .type = JS},
      {.path = "/v1/cachedData/" ABSENT_KEY},
      {.path = "/v1/run?x", .body = "1", .type = JS},
      {.path = "/healthz", .method = "HEAD"},
  };
  ck_assert_ptr_nonnull(curl);
  for (size_t i = 0; i < 10 * sizeof(forms) / sizeof(forms[0]); i++) {
    http_answer answer = kilnd_ask_on(curl, &server, forms[i % (sizeof(forms) / sizeof(forms[0]))]);
    ck_assert_msg(answer.connected == (i == 0), "request %zu made a connection", i);
    answer_release(&answer);
  }
  curl_easy_cleanup(curl);
}
END_TEST

/* Tokens of no case, parameters that mean nothing here. */
START_TEST(lenient_headers) {
  static const char *const types[] = {"text/javascript;", "text/javascript; charset=utf-8; x=y"};
  for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
    http_answer answer = kilnd_ask(&server, (http_ask){.path = "/v1/run",
                                                       .type = types[i],
                                                       .body = "42",
                                                       .headers = {"Content-Encoding: Identity"}});
    ck_assert_msg(answer.status == 200, "%s: %s", types[i], answer.body);
    answer_expect(&answer, "result", "42");
    answer_release(&answer);
  }
}
END_TEST

START_TEST(empty_source) {
  http_answer answer = kilnd_ask(&server, (http_ask){.path = "/v1/run", .type = JS, .body = ""});
  ck_assert_int_eq(answer.status, 200);
  answer_release(&answer);
  answer = kilnd_ask(&server, (http_ask){.path = "/v1/createCachedData", .type = JS, .body = ""});
  ck_assert_int_eq(answer.status, 200);
  answer_release(&answer);
}
END_TEST

static char *output_of(const char *arguments, int *ret_status) {
  char command[512];
  char *text = NULL;
  size_t length = 0;
  char piece[4096];
  size_t got;
  FILE *out = open_memstream(&text, &length);
  snprintf(command, sizeof(command), "'%s' %s 2>&1", harness_kilnd(), arguments);
  FILE *in = popen(command, "re");
  ck_assert(in != NULL && out != NULL);
  while ((got = fread(piece, 1, sizeof(piece), in)) > 0) fwrite(piece, 1, got, out);
  fclose(out);
  *ret_status = pclose(in) >> 8;
  return text;
}

/* Each option that --help shows is in the man page, and the other way round. */
START_TEST(help_and_manual) {
  int status = 0;
  char line[256];
  size_t options = 0;
  char *help = output_of("--help", &status);
  ck_assert_int_eq(status, 0);
  const char *manual_path = getenv("KILN_TEST_KILND_MANUAL");
  ck_assert_ptr_nonnull(manual_path);
  FILE *in = fopen(manual_path, "re");
  ck_assert_ptr_nonnull(in);
  while (fgets(line, sizeof(line), in) != NULL) {
    char name[64], shown[80];
    if (sscanf(line, ".It Fl -%60s", name) != 1) continue;
    snprintf(shown, sizeof(shown), "  --%s ", name);
    ck_assert_msg(strstr(help, shown) != NULL, "not in --help: %s", name);
    options++;
  }
  fclose(in);
  for (const char *at = help; (at = strstr(at, "\n  --")) != NULL; at++) options--;
  ck_assert_msg(options == 0, "%zd options more in the manual than in --help", (ssize_t)options);
  free(help);

  char *version = output_of("--version", &status);
  ck_assert_int_eq(status, 0);
  ck_assert_int_eq(strncmp(version, "kilnd ", 6), 0);
  free(version);
}
END_TEST

START_TEST(bad_command_lines) {
  static const struct {
    const char *arguments;
    int status;
    const char *word;
  } rows[] = {
      {"--nope", 2, "--nope"},
      {"--no-store --listen nowhere.example:80", 1, "HOST:PORT"},
      {"--no-store --listen 127.0.0.1:99999", 1, "HOST:PORT"},
      {"--no-store --listen ::1:80", 1, "HOST:PORT"},
      {"--no-store --listen 127.0.0.1:0 --engine-program /nonexistent/engine", 1, "engine"},
      {"--store /dev/null --listen 127.0.0.1:0", 1, "/dev/null"},
  };
  for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
    int status = 0;
    char *text = output_of(rows[i].arguments, &status);
    ck_assert_msg(status == rows[i].status && strstr(text, rows[i].word) != NULL, "%s: %d %s",
                  rows[i].arguments, status, text);
    free(text);
  }
  char listen[128];
  int status = 0;
  snprintf(listen, sizeof(listen), "--no-store --listen 127.0.0.1:%u", server.port);
  char *text = output_of(listen, &status);
  ck_assert_msg(status == 1 && strstr(text, "in use") != NULL, "%d %s", status, text);
  free(text);
}
END_TEST

int main(int argc, char **argv) {
  harness_init(argc, argv);
  Suite *suite = suite_create("server routes");
  TCase *all = tcase_create("all");
  tcase_set_timeout(all, 60);
  tcase_add_checked_fixture(all, start, stop);
  tcase_add_test(all, health_stats_engines);
  tcase_add_test(all, create_cached_data);
  tcase_add_test(all, node_accepts);
  tcase_add_test(all, compile);
  tcase_add_test(all, run);
  tcase_add_test(all, run_by_key);
  tcase_add_test(all, refusals);
  tcase_add_test(all, too_large);
  tcase_add_test(all, lenient_headers);
  tcase_add_test(all, keep_alive);
  tcase_add_test(all, empty_source);
  tcase_add_test(all, help_and_manual);
  tcase_add_test(all, bad_command_lines);
  suite_add_tcase(suite, all);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_ENV);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
