/* SPDX-License-Identifier: MIT
 *
 * fate.c: scripts that misbehave, many clients at once, a full queue, and the end of the server.
 */
#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/server/harness.h"

static kilnd server;

static void start(void) {
  kilnd_start(&server, (const char *[]){"--heap-max", "64M", NULL});
}

static void start_narrow(void) {
  kilnd_start(&server, (const char *[]){"--workers", "1", "--queue", "1", NULL});
}

static void stop(void) {
  ck_assert_int_eq(kilnd_stop(&server), 0);
  kilnd_remove(&server);
}

static http_answer run(const char *query, const char *source) {
  char path[128];
  snprintf(path, sizeof(path), "/v1/run%s", query);
  return kilnd_ask(&server, (http_ask){.path = path, .type = JS, .body = source});
}

static void expect_normal(const char *after) {
  http_answer answer = run("", "6*7");
  ck_assert_msg(answer.status == 200, "after %s: %ld %s", after, answer.status, answer.body);
  answer_expect(&answer, "result", "42");
  answer_release(&answer);
}

/* A request on a thread of its own. */
typedef struct errand {
  pthread_t thread;
  http_ask ask;
  http_answer answer;
} errand;

static void *go(void *cls) {
  errand *one = cls;
  CURL *curl = curl_easy_init();
  one->ask.may_fail = true;
  one->answer = kilnd_ask_on(curl, &server, one->ask);
  curl_easy_cleanup(curl);
  return NULL;
}

static void send_off(errand *one, http_ask ask) {
  one->ask = ask;
  ck_assert_int_eq(pthread_create(&one->thread, NULL, go, one), 0);
}

static void await(errand *one) {
  pthread_join(one->thread, NULL);
}

/* How much kilnd may keep of what a large body took; the sanitizer holds freed memory back. */
#ifdef KILN_ADDRESS_SANITIZER
#define GROWTH_MAX_KIB (1024 * 1024)
#else
#define GROWTH_MAX_KIB (32 * 1024)
#endif

/* The resident set of kilnd, in KiB. */
static long resident_kib(void) {
  char path[64], line[256];
  long kib = 0;
  snprintf(path, sizeof(path), "/proc/%d/status", (int)server.pid);
  FILE *in = fopen(path, "re");
  ck_assert_ptr_nonnull(in);
  while (fgets(line, sizeof(line), in) != NULL)
    if (sscanf(line, "VmRSS: %ld", &kib) == 1) break;
  fclose(in);
  ck_assert_int_gt(kib, 0);
  return kib;
}

/* {"source":"1","<`field`>":{"a":[{},{}...]}} with this many pieces. */
static char *copy_of_objects(const char *field, size_t pieces) {
  char *body = NULL;
  size_t length = 0;
  FILE *out = open_memstream(&body, &length);
  fprintf(out, "{\"source\":\"1\",\"%s\":{\"a\":[{}", field);
  for (size_t i = 1; i < pieces; i++) fputs(",{}", out);
  fputs("]}}", out);
  fclose(out);
  return body;
}

/* A body of small values takes many times its size: over a number of them it is not parsed at all,
 * and what a large one took is given back. */
START_TEST(many_json_values) {
  char *body = copy_of_objects("globals", 510000);
  http_answer answer =
      kilnd_ask(&server, (http_ask){.path = "/v1/run", .type = JSON, .body = body});
  answer_expect_error(&answer, 413, "ERR_TOO_LARGE");
  ck_assert_msg(strstr(answer.body, "1020006 JSON values, limit 1000000") != NULL, "%s",
                answer.body);
  answer_release(&answer);
  free(body);

  body = copy_of_objects("nothing", 400000);
  long before = resident_kib();
  for (int i = 0; i < 2; i++) {
    answer = kilnd_ask(&server, (http_ask){.path = "/v1/run", .type = JSON, .body = body});
    answer_expect_error(&answer, 400, "ERR_UNKNOWN_OPTION");
    answer_release(&answer);
  }
  long after = resident_kib();
  ck_assert_msg(after < before + GROWTH_MAX_KIB, "%ld KiB, %ld before", after, before);
  free(body);
}
END_TEST

/* Done-when 3: each gives its own clear error, and the next request a normal answer. */
START_TEST(hostile_scripts) {
  static const struct {
    const char *source;
    const char *query;
    const char *outcomes; /* one of these */
    const char *code;     /* NULL: any */
  } rows[] = {
      {"while(1);", "?timeout=100", "time_limit", "ERR_SCRIPT_EXECUTION_TIMEOUT"},
      {"[].indexOf.call({length:2**53-1}, 1)", "?timeout=100", "time_limit",
       "ERR_SCRIPT_EXECUTION_TIMEOUT"},
      {"var a=[]; while(1) a.push({x:new Array(100)})", "?timeout=5000", "memory_limit", NULL},
      {"'ab'.repeat(2**27).split('')", "?timeout=5000", "memory_limit crashed", NULL},
      {"var a=[]; while(1) a.push(new ArrayBuffer(2**26).slice(1))", "?timeout=5000",
       "memory_limit exception crashed", NULL},
      {"(function f(){ f() })()", "", "exception", NULL},
      {"(async () => { for (;;) await 0 })()", "?timeout=100", "time_limit",
       "ERR_SCRIPT_EXECUTION_TIMEOUT"},
      /* A chain that grows with each link: whichever limit it meets first. */
      {"Promise.resolve().then(function f(){ return Promise.resolve().then(f) })", "?timeout=100",
       "time_limit memory_limit", NULL},
      {"/(a+)+$/.test('a'.repeat(40)+'b')", "?timeout=100", "time_limit", NULL},
      {"throw null", "", "exception", NULL},
      {"throw {toString(){ throw 1 }}", "", "exception", NULL},
  };
  for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
    http_answer answer = run(rows[i].query, rows[i].source);
    ck_assert_msg(answer.status == 422, "%s: %ld %s", rows[i].source, answer.status, answer.body);
    json_t *root = answer_json(&answer);
    const char *outcome = json_string_value(json_object_get(root, "outcome"));
    ck_assert_msg(outcome != NULL && strstr(rows[i].outcomes, outcome) != NULL, "%s: %s",
                  rows[i].source, answer.body);
    json_decref(root);
    if (rows[i].code != NULL) answer_expect_error(&answer, 422, rows[i].code);
    answer_release(&answer);
    expect_normal(rows[i].source);
  }
  ck_assert_int_eq(kilnd_stat(&server, "server.responses_5xx"), 0);
}
END_TEST

/* A source that has crashed three engines is not tried again, whatever is asked of it. */
START_TEST(crashing_sources_are_refused) {
  /* V8 traps on the length of the array. */
  const char *source = "'ab'.repeat(2**27).split('')";
  for (int i = 0; i < 5; i++) {
    http_answer answer = run("?timeout=5000", source);
    answer_expect_error(&answer, 422, i < 3 ? "ERR_ENGINE_CRASHED" : "ERR_SOURCE_REFUSED");
    answer_release(&answer);
  }
  http_answer answer =
      kilnd_ask(&server, (http_ask){.path = "/v1/compile", .type = JS, .body = source});
  answer_expect_error(&answer, 422, "ERR_SOURCE_REFUSED");
  answer_release(&answer);
  ck_assert_int_eq(kilnd_stat(&server, "kiln.refused"), 3);
  ck_assert_int_eq(kilnd_stat(&server, "kiln.jobs_crashed"), 3);
  expect_normal("another source");
}
END_TEST

/* A loop with a limit is answered soon after it, and others are served meanwhile. */
START_TEST(others_are_served) {
  errand loop;
  send_off(&loop, (http_ask){.path = "/v1/run?timeout=1500", .type = JS, .body = "while(1);"});
  kilnd_await_stat(&server, "kiln.jobs_running", 1);
  for (int i = 0; i < 5; i++) expect_normal("a loop began");
  await(&loop);
  answer_expect_error(&loop.answer, 422, "ERR_SCRIPT_EXECUTION_TIMEOUT");
  ck_assert_msg(loop.answer.ms >= 1400, "%.0f ms", loop.answer.ms);
  answer_release(&loop.answer);
}
END_TEST

/* The processes whose parent is kilnd. */
static size_t find_children(pid_t *ret_pids, size_t room) {
  size_t count = 0;
  DIR *dir = opendir("/proc");
  ck_assert_ptr_nonnull(dir);
  for (struct dirent *entry; (entry = readdir(dir)) != NULL && count < room;) {
    char path[300], text[512];
    int pid = 0, parent = 0;
    snprintf(path, sizeof(path), "/proc/%s/stat", entry->d_name);
    FILE *in = fopen(path, "re");
    if (in == NULL) continue;
    if (fgets(text, sizeof(text), in) != NULL && strrchr(text, ')') != NULL &&
        sscanf(text, "%d", &pid) == 1 && sscanf(strrchr(text, ')'), ") %*c %d", &parent) == 1 &&
        parent == server.pid)
      ret_pids[count++] = pid;
    fclose(in);
  }
  closedir(dir);
  return count;
}

static void expect_clear_error(const http_answer *answer) {
  ck_assert_msg(answer->status == 422 || answer->status == 500, "%ld %s", answer->status,
                answer->body);
  ck_assert_ptr_nonnull(strstr(answer->body, "\"code\":\"ERR_"));
}

/* Done-when 3: kill -9 of whatever kilnd has started, one at a time: zygote, spare, waiting worker.
 * Each costs at most one request, which is told so. */
START_TEST(killed_engines) {
  for (int round = 0; round < 5; round++) {
    pid_t children[16];
    expect_normal("the last round");
    size_t count = find_children(children, 16);
    ck_assert_uint_ge(count, 1);
    for (size_t i = 0; i < count; i++) {
      kill(children[i], SIGKILL);
      http_answer answer = run("", "6*7");
      if (answer.status != 200) expect_clear_error(&answer);
      answer_release(&answer);
      expect_normal("a kill");
    }
  }
}
END_TEST

/* All of them at once, with a job running: it ends with a clear error, the service goes on. */
START_TEST(killed_all) {
  for (int round = 0; round < 5; round++) {
    pid_t children[16];
    errand loop;
    send_off(&loop, (http_ask){.path = "/v1/run?timeout=10000", .type = JS, .body = "while(1);"});
    kilnd_await_stat(&server, "kiln.jobs_running", 1);
    size_t count = find_children(children, 16);
    ck_assert_uint_ge(count, 2);
    for (size_t i = 0; i < count; i++) kill(children[i], SIGKILL);
    await(&loop);
    expect_clear_error(&loop.answer);
    answer_release(&loop.answer);
    for (size_t i = 0; i < count; i++) {
      http_answer answer = run("", "6*7");
      if (answer.status != 200) expect_clear_error(&answer);
      answer_release(&answer);
    }
    expect_normal("the engines were killed");
  }
}
END_TEST

/* Done-when 6: a hundred equal requests for what is not baked are one compile. */
START_TEST(equal_requests) {
  enum { MANY = 100 };
  static errand errands[MANY];
  char source[20000] = "";
  size_t used = 0;
  for (int i = 0; i < 300; i++)
    used += (size_t)snprintf(source + used, sizeof(source) - used, "function f%d(a){return a+%d}\n",
                             i, i);
  for (int i = 0; i < MANY; i++)
    send_off(&errands[i],
             (http_ask){.path = "/v1/createCachedData?filename=e.js", .type = JS, .body = source});
  for (int i = 0; i < MANY; i++) await(&errands[i]);
  for (int i = 0; i < MANY; i++) {
    ck_assert_int_eq(errands[i].answer.status, 200);
    ck_assert_uint_eq(errands[i].answer.length, errands[0].answer.length);
    ck_assert_mem_eq(errands[i].answer.body, errands[0].answer.body, errands[0].answer.length);
  }
  for (int i = 0; i < MANY; i++) answer_release(&errands[i].answer);
  ck_assert_int_eq(kilnd_stat(&server, "kiln.jobs"), 1);
  ck_assert_int_eq(kilnd_stat(&server, "kiln.misses"), 1);
  ck_assert_int_eq(kilnd_stat(&server, "kiln.hits") + kilnd_stat(&server, "kiln.coalesced"),
                   MANY - 1);
}
END_TEST

/* No descriptor and no process is left behind by jobs of all fates. */
START_TEST(nothing_leaks) {
  pid_t children[16];
  expect_normal("the start");
  kilnd_await_stat(&server, "server.connections", 1);
  size_t descriptors = count_descriptors(server.pid);
  size_t processes = find_children(children, 16);
  for (int i = 0; i < 100; i++) {
    http_answer answer = run("?timeout=20", i % 2 == 0 ? "while(1);" : "throw 1");
    ck_assert_int_eq(answer.status, 422);
    answer_release(&answer);
  }
  kilnd_await_stat(&server, "server.connections", 1);
  kilnd_await_stat(&server, "kiln.jobs_running", 0);
  double until = now_ms() + 10000;
  /* A leak would be one a job; a few more are the store's, which opens some per thread. */
  while (count_descriptors(server.pid) > descriptors + 10 ||
         find_children(children, 16) > processes + 2) /* a spare zygote and its keeper */
    ck_assert_msg(now_ms() < until, "%zu descriptors, %zu before; %zu processes, %zu before",
                  count_descriptors(server.pid), descriptors, find_children(children, 16),
                  processes);
}
END_TEST

/* One worker, one waiting: the third is told to come again. */
START_TEST(busy) {
  errand loops[2];
  http_ask loop = {.path = "/v1/run?timeout=3000", .type = JS, .body = "while(1);"};
  send_off(&loops[0], loop);
  kilnd_await_stat(&server, "kiln.jobs_running", 1);
  send_off(&loops[1], loop);
  kilnd_await_stat(&server, "kiln.jobs_queued", 1);
  char value[16];
  http_answer answer = run("", "1");
  answer_expect_error(&answer, 503, "ERR_BUSY");
  ck_assert(answer_header(&answer, "Retry-After", value, sizeof(value)));
  answer_release(&answer);
  http_answer health = kilnd_ask(&server, (http_ask){.path = "/healthz"});
  ck_assert_int_eq(health.status, 200);
  answer_release(&health);
  for (int i = 0; i < 2; i++) {
    await(&loops[i]);
    answer_expect_error(&loops[i].answer, 422, "ERR_SCRIPT_EXECUTION_TIMEOUT");
    answer_release(&loops[i].answer);
  }
  expect_normal("being busy");
}
END_TEST

/* SIGTERM: what is in flight is answered, a newcomer is not, and the process ends with 0. */
START_TEST(sigterm_drains) {
  errand job;
  kilnd_start(&server, NULL);
  http_answer first = kilnd_ask(&server, (http_ask){.path = "/healthz"});
  answer_release(&first);
  send_off(&job, (http_ask){.path = "/v1/run",
                            .type = JS,
                            .body = "var t=Date.now(); while(Date.now()-t<1000); 42"});
  kilnd_await_stat(&server, "kiln.jobs_running", 1);
  CURL *kept = curl_easy_init(); /* a connection from before */
  first = kilnd_ask_on(kept, &server, (http_ask){.path = "/healthz"});
  answer_release(&first);
  ck_assert_int_eq(kill(server.pid, SIGTERM), 0);
  http_answer answer;
  do {
    answer = kilnd_ask_on(kept, &server, (http_ask){.path = "/healthz", .may_fail = true});
    if (answer.status == 200) answer_release(&answer);
  } while (answer.status == 200);
  if (answer.code == CURLE_OK && answer.status != 0) {
    answer_expect_error(&answer, 503, "ERR_CLOSING");
    char value[16];
    ck_assert(answer_header(&answer, "Connection", value, sizeof(value)));
    ck_assert_str_eq(value, "close");
  }
  answer_release(&answer);
  curl_easy_cleanup(kept);
  answer = kilnd_ask(&server, (http_ask){.path = "/healthz", .may_fail = true});
  ck_assert_int_ne(answer.code, CURLE_OK);
  answer_release(&answer);
  await(&job);
  ck_assert_msg(job.answer.status == 200, "%ld %s", job.answer.status, job.answer.body);
  answer_expect(&job.answer, "result", "42");
  answer_release(&job.answer);
  ck_assert_int_eq(kilnd_wait(&server), 0);
  char *log = kilnd_copy_log(&server);
  ck_assert_msg(strstr(log, "drained=yes") != NULL, "%s", log);
  free(log);
  kilnd_remove(&server);
}
END_TEST

/* A drain that is too short, and one that a second signal cuts off: still an answer for everybody.
 */
START_TEST(sigterm_cuts_off) {
  for (int round = 0; round < 2; round++) {
    errand jobs[3];
    kilnd_start(&server, (const char *[]){"--drain-ms", round == 0 ? "200" : "60000", "--workers",
                                          "2", NULL});
    for (int i = 0; i < 3; i++)
      send_off(&jobs[i],
               (http_ask){.path = "/v1/run?timeout=30000", .type = JS, .body = "while(1);"});
    kilnd_await_stat(&server, "kiln.jobs_running", 2);
    kilnd_await_stat(&server, "kiln.jobs_queued", 1);
    double begun = now_ms();
    ck_assert_int_eq(kill(server.pid, SIGTERM), 0);
    if (round == 1) {
      http_answer answer; /* refused: the first signal was seen */
      do {
        answer = kilnd_ask(&server, (http_ask){.path = "/healthz", .may_fail = true});
        answer_release(&answer);
      } while (answer.code == CURLE_OK && answer.status == 200);
      ck_assert_int_eq(kill(server.pid, SIGTERM), 0);
    }
    for (int i = 0; i < 3; i++) {
      await(&jobs[i]);
      ck_assert_msg(jobs[i].answer.code == CURLE_OK, "%s", curl_easy_strerror(jobs[i].answer.code));
      answer_expect_error(&jobs[i].answer, 503, "ERR_CLOSING");
      answer_release(&jobs[i].answer);
    }
    ck_assert_int_eq(kilnd_wait(&server), 0);
    ck_assert_msg(now_ms() - begun < 10000, "%.0f ms", now_ms() - begun);
    kilnd_remove(&server);
  }
}
END_TEST

int main(int argc, char **argv) {
  harness_init(argc, argv);
  Suite *suite = suite_create("server fate");
  TCase *wide = tcase_create("wide");
  tcase_set_timeout(wide, 180);
  tcase_add_checked_fixture(wide, start, stop);
  tcase_add_test(wide, many_json_values);
  tcase_add_test(wide, hostile_scripts);
  tcase_add_test(wide, crashing_sources_are_refused);
  tcase_add_test(wide, others_are_served);
  tcase_add_test(wide, killed_engines);
  tcase_add_test(wide, killed_all);
  tcase_add_test(wide, equal_requests);
  tcase_add_test(wide, nothing_leaks);
  suite_add_tcase(suite, wide);
  TCase *narrow = tcase_create("narrow");
  tcase_set_timeout(narrow, 60);
  tcase_add_checked_fixture(narrow, start_narrow, stop);
  tcase_add_test(narrow, busy);
  suite_add_tcase(suite, narrow);
  TCase *end = tcase_create("end");
  tcase_set_timeout(end, 60);
  tcase_add_test(end, sigterm_drains);
  tcase_add_test(end, sigterm_cuts_off);
  suite_add_tcase(suite, end);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_ENV);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
