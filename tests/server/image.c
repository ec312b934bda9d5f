/* SPDX-License-Identifier: MIT
 *
 * image.c: /v1/images and runs that name one, on a real kilnd. What images do when they are killed,
 * renewed or evicted at depth is tests/toolkit/image_test.c.
 */
#include <ctype.h>
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/server/harness.h"

static kilnd server;

static void start(void) {
  kilnd_start(&server, (const char *const[]){"--images-max", "4", "--heap-max", "96M", NULL});
}

static void stop(void) {
  ck_assert_int_eq(kilnd_stop(&server), 0);
  kilnd_remove(&server);
}

static http_answer post(const char *path, const char *body) {
  return kilnd_ask(&server, (http_ask){.path = path, .type = JSON, .body = body});
}

/* Makes an image, which must go well; its id is the caller's to free. */
static char *make(const char *body) {
  http_answer answer = post("/v1/images", body);
  ck_assert_msg(answer.status == 201, "%.200s: %ld %s", body, answer.status, answer.body);
  json_t *root = answer_json(&answer);
  char location[80];
  const char *id = json_string_value(json_object_get(root, "id"));
  ck_assert_ptr_nonnull(id);
  ck_assert(json_real_value(json_object_get(root, "loadMs")) > 0);
  ck_assert_int_gt(json_integer_value(json_object_get(root, "memoryBytes")), 100000);
  ck_assert(answer_header(&answer, "Location", location, sizeof(location)));
  ck_assert_int_eq(strncmp(location, "/v1/images/", 11), 0);
  ck_assert_str_eq(location + 11, id);
  char *copy = strdup(id);
  json_decref(root);
  answer_release(&answer);
  return copy;
}

/* Runs a source, whose text needs no escapes in JSON, in the image. */
static http_answer run(const char *id, const char *source) {
  char body[2048];
  snprintf(body, sizeof(body), "{\"image\":\"%s\",\"source\":\"%s\"}", id, source);
  return post("/v1/run", body);
}

static void expect_run(const char *id, const char *source, const char *result) {
  http_answer answer = run(id, source);
  ck_assert_msg(answer.status == 200, "%s: %ld %s", source, answer.status, answer.body);
  json_t *root = answer_json(&answer);
  char *text = json_dumps(json_object_get(root, "result"), JSON_ENCODE_ANY | JSON_COMPACT);
  ck_assert_str_eq(text, result);
  free(text);
  json_decref(root);
  answer_release(&answer);
}

START_TEST(runs_start_from_the_image) {
  char *id = make(
      "{\"name\":\"first\",\"scripts\":[{\"source\":\"console.log(given);var base=given+1\","
      "\"filename\":\"a.js\"},{\"source\":\"function twice(x){return 2*x}\"}],"
      "\"modules\":{\"main\":\"import {n} from 'n';globalThis.sum=n+base\",\"n\":\"export const "
      "n=100\"},\"entry\":\"main\",\"globals\":{\"given\":20},\"timeout\":5000}");
  expect_run(id, "[twice(base),sum]", "[42,121]");
  expect_run(id, "var mine=++base;mine", "22");
  expect_run(id, "typeof mine+base", "\"undefined21\"");

  http_answer answer = run(id, "var added=[1];base=5;added");
  json_t *root = answer_json(&answer);
  json_t *globals = json_object_get(root, "globals");
  ck_assert_uint_eq(json_object_size(globals), 1);
  ck_assert_ptr_nonnull(json_object_get(globals, "added"));
  json_decref(root);
  answer_release(&answer);

  char path[128];
  snprintf(path, sizeof(path), "/v1/run?image=%s&filename=x.js", id);
  answer = kilnd_ask(&server, (http_ask){.path = path, .type = JS, .body = "twice(4)"});
  ck_assert_int_eq(answer.status, 200);
  answer_release(&answer);
  char call[256];
  snprintf(call, sizeof(call),
           "{\"image\":\"%s\",\"kind\":\"function\",\"params\":[\"a\"],\"args\":[7],\"source\":"
           "\"return twice(a)\"}",
           id);
  answer = post("/v1/run", call);
  ck_assert_ptr_nonnull(strstr(answer.body, "\"result\":14"));
  answer_release(&answer);

  snprintf(path, sizeof(path), "/v1/images/%s", id);
  answer = kilnd_ask(&server, (http_ask){.path = path});
  ck_assert_int_eq(answer.status, 200);
  answer_expect(&answer, "name", "\"first\"");
  answer_expect(&answer, "engine", "\"node-18\"");
  answer_expect(&answer, "state", "\"ready\"");
  ck_assert_ptr_nonnull(strstr(answer.body, "\"runs\":6,\"loads\":1,"));
  answer_release(&answer);
  answer = kilnd_ask(&server, (http_ask){.path = "/v1/images"});
  ck_assert_int_eq(answer.status, 200);
  ck_assert_ptr_nonnull(strstr(answer.body, id));
  answer_release(&answer);
  ck_assert_int_eq(kilnd_stat(&server, "kiln.images"), 1);
  ck_assert_int_eq(kilnd_stat(&server, "kiln.image_runs"), 6);
  ck_assert_int_eq(kilnd_stat(&server, "kiln.sandbox_alarms"), 0);

  answer = kilnd_ask(&server, (http_ask){.method = "DELETE", .path = path});
  ck_assert_int_eq(answer.status, 204);
  answer_release(&answer);
  answer = kilnd_ask(&server, (http_ask){.method = "DELETE", .path = path});
  answer_expect_error(&answer, 404, "ERR_NOT_FOUND");
  answer_release(&answer);
  answer = kilnd_ask(&server, (http_ask){.path = path});
  answer_expect_error(&answer, 404, "ERR_NOT_FOUND");
  answer_release(&answer);
  answer = run(id, "1");
  answer_expect_error(&answer, 404, "ERR_NOT_FOUND");
  answer_release(&answer);
  free(id);
}
END_TEST

static const struct refusal {
  const char *body;
  long status;
  const char *code;
} refusals[] = {
    {"{}", 400, "ERR_MISSING_OPTION"},
    {"[]", 400, "ERR_INVALID_ARG_TYPE"},
    {"{\"scripts\":[]}", 400, "ERR_MISSING_OPTION"},
    {"{\"scripts\":{}}", 400, "ERR_INVALID_ARG_TYPE"},
    {"{\"scripts\":[\"1\"]}", 400, "ERR_INVALID_ARG_TYPE"},
    {"{\"scripts\":[{}]}", 400, "ERR_MISSING_OPTION"},
    {"{\"scripts\":[{\"source\":1}]}", 400, "ERR_INVALID_ARG_TYPE"},
    {"{\"scripts\":[{\"source\":\"1\",\"sauce\":\"1\"}]}", 400, "ERR_UNKNOWN_OPTION"},
    {"{\"scripts\":[{\"source\":\"1\",\"key\":\"00\"}]}", 400, "ERR_INVALID_ARG_VALUE"},
    {"{\"scripts\":[{\"key\":\"00\"}]}", 400, "ERR_INVALID_ARG_VALUE"},
    {"{\"scripts\":[{\"key\":\"00000000000000000000000000000000000000000000000000000000000000"
     "00\"}]}",
     404, "ERR_NOT_FOUND"},
    {"{\"modules\":{\"a\":\"1\"}}", 400, "ERR_MISSING_OPTION"},
    {"{\"modules\":{\"a\":\"1\"},\"entry\":\"b\"}", 400, "ERR_INVALID_ARG_VALUE"},
    {"{\"scripts\":[{\"source\":\"1\"}],\"entry\":\"b\"}", 400, "ERR_INVALID_ARG_VALUE"},
    {"{\"scripts\":[{\"source\":\"1\"}],\"timeout\":0}", 400, "ERR_OUT_OF_RANGE"},
    {"{\"scripts\":[{\"source\":\"1\"}],\"timeout\":99999999}", 400, "ERR_OUT_OF_RANGE"},
    {"{\"scripts\":[{\"source\":\"1\"}],\"globals\":[]}", 400, "ERR_INVALID_ARG_TYPE"},
    {"{\"scripts\":[{\"source\":\"1\"}],\"engine\":\"node-99\"}", 400, "ERR_INVALID_ARG_VALUE"},
    {"{\"scripts\":[{\"source\":\"1\"}],\"args\":[]}", 400, "ERR_UNKNOWN_OPTION"},
    {"{\"scripts\":[{\"source\":\"var x = ;\"}]}", 422, "ERR_SCRIPT_EXCEPTION"},
    {"{\"scripts\":[{\"source\":\"1\"},{\"source\":\"throw new Error('no')\"}]}", 422,
     "ERR_SCRIPT_EXCEPTION"},
    {"{\"scripts\":[{\"source\":\"for(;;);\"}],\"timeout\":100}", 422,
     "ERR_SCRIPT_EXECUTION_TIMEOUT"},
    {"{\"scripts\":[{\"source\":\"var a=[];for(;;)a.push(new Array(1e5).fill(1.5))\"}],"
     "\"timeout\":20000}",
     422, "ERR_MEMORY_LIMIT"},
    {"{\"modules\":{\"a\":\"import 'gone'\"},\"entry\":\"a\"}", 422, "ERR_VM_MODULE_LINK_FAILURE"},
    {"{\"modules\":{\"a\":\"await new Promise(()=>{})\"},\"entry\":\"a\"}", 422,
     "ERR_UNSETTLED_TOP_LEVEL_AWAIT"},
};

START_TEST(what_is_no_image) {
  for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
    http_answer answer = post("/v1/images", refusals[i].body);
    ck_assert_msg(answer.status == refusals[i].status, "%s: %ld %s", refusals[i].body,
                  answer.status, answer.body);
    answer_expect_error(&answer, refusals[i].status, refusals[i].code);
    answer_release(&answer);
  }
  ck_assert_int_eq(kilnd_stat(&server, "kiln.images"), 0);
  http_answer answer = post("/v1/images",
                            "{\"scripts\":[{\"source\":\"1\"},{\"source\":\"\\n\\nnone()\","
                            "\"filename\":\"second.js\"}]}");
  answer_expect(&answer, "error.resource", "\"second.js\"");
  ck_assert_ptr_nonnull(strstr(answer.body, "\"line\":3"));
  answer_release(&answer);
}
END_TEST

START_TEST(what_a_run_may_not_say_beside_image) {
  static const char *const others[] = {
      "\"contextName\":\"x\"", "\"contextOrigin\":\"x\"", "\"microtaskMode\":\"afterEvaluate\"",
      "\"contextCodeGeneration\":{\"strings\":false}", "\"kind\":\"module\""};
  char *id = make("{\"scripts\":[{\"source\":\"1\"}]}");
  char body[256];
  for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
    snprintf(body, sizeof(body), "{\"image\":\"%s\",\"source\":\"1\",%s}", id, others[i]);
    http_answer answer = post("/v1/run", body);
    answer_expect_error(&answer, 400, "ERR_INVALID_ARG_VALUE");
    answer_release(&answer);
  }
  http_answer answer = post("/v1/run", "{\"image\":\"1234\",\"source\":\"1\"}");
  answer_expect_error(&answer, 400, "ERR_INVALID_ARG_VALUE");
  answer_release(&answer);
  answer = post("/v1/run", "{\"image\":5,\"source\":\"1\"}");
  answer_expect_error(&answer, 400, "ERR_INVALID_ARG_TYPE");
  answer_release(&answer);
  answer = run("00112233445566778899aabbccddeeff", "1");
  answer_expect_error(&answer, 404, "ERR_NOT_FOUND");
  answer_release(&answer);
  snprintf(body, sizeof(body), "/v1/compile?image=%s", id);
  answer = kilnd_ask(&server, (http_ask){.path = body, .type = JS, .body = "1"});
  answer_expect_error(&answer, 400, "ERR_UNKNOWN_OPTION");
  answer_release(&answer);
  answer = kilnd_ask(&server, (http_ask){.method = "DELETE", .path = "/v1/images"});
  ck_assert_int_eq(answer.status, 405);
  answer_release(&answer);
  free(id);
}
END_TEST

START_TEST(images_are_limited) {
  char *ids[4];
  for (int i = 0; i < 4; i++) ids[i] = make("{\"scripts\":[{\"source\":\"var here=1\"}]}");
  http_answer answer = post("/v1/images", "{\"scripts\":[{\"source\":\"1\"}]}");
  answer_expect_error(&answer, 503, "ERR_BUSY");
  answer_release(&answer);
  for (int i = 0; i < 4; i++) {
    expect_run(ids[i], "here", "1");
    free(ids[i]);
  }
}
END_TEST

/* kilnd's child that has most memory, of those at a worker's nice. */
static pid_t largest_worker(void) {
  pid_t best = 0;
  unsigned long most = 0;
  struct dirent *entry;
  DIR *proc = opendir("/proc");
  ck_assert_ptr_nonnull(proc);
  while ((entry = readdir(proc)) != NULL) {
    char path[300], text[512];
    if (!isdigit((unsigned char)entry->d_name[0])) continue;
    snprintf(path, sizeof(path), "/proc/%s/stat", entry->d_name);
    FILE *file = fopen(path, "re");
    if (file == NULL) continue;
    size_t length = fread(text, 1, sizeof(text) - 1, file);
    fclose(file);
    text[length] = '\0';
    const char *at = strrchr(text, ')');
    int parent;
    long nice;
    unsigned long resident;
    if (at == NULL || sscanf(at + 1,
                             " %*c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %ld "
                             "%*d %*d %*u %*u %lu",
                             &parent, &nice, &resident) != 3)
      continue;
    if (parent != server.pid || nice != 10 || resident <= most) continue;
    most = resident;
    best = (pid_t)strtol(entry->d_name, NULL, 10);
  }
  closedir(proc);
  return best;
}

START_TEST(a_killed_image_comes_back) {
  char *id = make("{\"scripts\":[{\"source\":\"var b=[];for(let i=0;i<5e5;i++)b.push({i})\"}]}");
  for (int i = 0; i < 3; i++) {
    expect_run(id, "b.length", "500000");
    pid_t pid = largest_worker();
    ck_assert_int_gt(pid, 0);
    kill(pid, SIGKILL);
    kilnd_await_stat(&server, "kiln.image_failures", i + 1);
  }
  expect_run(id, "b.length", "500000");
  free(id);
}
END_TEST

START_TEST(hostile_runs_harm_themselves) {
  static const struct {
    const char *source, *code;
  } hostile[] = {
      {"for(;;);", "ERR_SCRIPT_EXECUTION_TIMEOUT"},
      {"[].indexOf.call({length:2**53-1})", "ERR_SCRIPT_EXECUTION_TIMEOUT"},
      {"var a=[];for(;;)a.push(a.slice())", "ERR_MEMORY_LIMIT"},
      {"'ab'.repeat(2**27).split('')", NULL},
      {"throw 1", "ERR_SCRIPT_EXCEPTION"},
      {"(function f(){f()})()", "ERR_SCRIPT_EXCEPTION"},
  };
  char *id = make("{\"scripts\":[{\"source\":\"var fine=7\"}]}");
  for (size_t i = 0; i < sizeof(hostile) / sizeof(hostile[0]); i++) {
    char body[256];
    snprintf(body, sizeof(body), "{\"image\":\"%s\",\"timeout\":2000,\"source\":\"%s\"}", id,
             hostile[i].source);
    http_answer answer = post("/v1/run", body);
    ck_assert_msg(answer.status == 422, "%s: %ld %s", hostile[i].source, answer.status,
                  answer.body);
    if (hostile[i].code != NULL) answer_expect_error(&answer, 422, hostile[i].code);
    answer_release(&answer);
    expect_run(id, "fine", "7");
  }
  ck_assert_int_eq(kilnd_stat(&server, "kiln.sandbox_alarms"), 0);
  ck_assert_int_eq(kilnd_stat(&server, "kiln.image_failures"), 0);
  free(id);
}
END_TEST

int main(int argc, char **argv) {
  harness_init(argc, argv);
  Suite *suite = suite_create("server image");
  TCase *all = tcase_create("all");
  tcase_set_timeout(all, 120);
  tcase_add_checked_fixture(all, start, stop);
  tcase_add_test(all, runs_start_from_the_image);
  tcase_add_test(all, what_is_no_image);
  tcase_add_test(all, what_a_run_may_not_say_beside_image);
  tcase_add_test(all, images_are_limited);
  tcase_add_test(all, a_killed_image_comes_back);
  tcase_add_test(all, hostile_runs_harm_themselves);
  suite_add_tcase(suite, all);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_ENV);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
