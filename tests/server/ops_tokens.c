/* SPDX-License-Identifier: MIT
 *
 * ops_tokens.c: bearer tokens: who may do what, files with faults, a new file while requests come.
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/route.h"
#include "server/tokens.h"
#include "tests/server/ops.h"

static kilnd server;
static const char *tokens_path;

static const char *const all_tokens[] = {"secret-bake", "secret-run", "secret-read", "secret-admin",
                                         "secret-two"};
static const char *const all_roles[] = {"bake", "run", "read", "admin", "bake,run"};
#define TOKENS 5

static void write_tokens(mode_t mode, const char *more) {
  char *text = NULL;
  size_t length = 0;
  FILE *out = open_memstream(&text, &length);
  fputs("# tokens of the test\n\n", out);
  for (size_t i = 0; i < TOKENS; i++)
    fputs(ops_token_line(all_roles[i], all_tokens[i],
                         strchr(all_roles[i], ',') != NULL ? "" : all_roles[i]),
          out);
  fputs(more, out);
  fclose(out);
  /* Put in place at once, as an operator should. */
  const char *fresh = ops_file("tokens.new", mode, text);
  ck_assert_int_eq(rename(fresh, tokens_path), 0);
  free(text);
}

static void start(void) {
  tokens_path = ops_path("tokens");
  write_tokens(0600, "");
  kilnd_start(&server,
              (const char *[]){"--tokens", tokens_path, "--access-log", "--allow-host", "x", NULL});
}

static void stop(void) {
  ck_assert_int_eq(kilnd_stop(&server), 0);
  kilnd_remove(&server);
}

static http_answer ask_as(const char *token, http_ask ask) {
  static _Thread_local char header[1024];
  if (token != NULL) {
    snprintf(header, sizeof(header), "Authorization: Bearer %s", token);
    ask.headers[0] = header;
  }
  return kilnd_ask(&server, ask);
}

static const struct row {
  http_ask ask;
  unsigned may; /* bits of all_tokens */
  long good;
  const char *role; /* as the refusal names it */
} rows[] = {
    {{.path = "/v1/compile", .type = JS, .body = "1"}, 1 | 8 | 16, 200, "bake"},
    {{.path = "/v1/createCachedData", .type = JS, .body = "1"}, 1 | 8 | 16, 200, "bake"},
    {{.path = "/v1/run", .type = JS, .body = "1"}, 2 | 8 | 16, 200, "run"},
    {{.path = "/v1/measureMemory",
      .type = JSON,
      .body = "{\"contexts\":[{}],\"execution\":\"eager\"}"},
     2 | 8 | 16,
     200,
     "run"},
    {{.path = "/v1/cachedData/0000000000000000000000000000000000000000000000000000000000000000"},
     4 | 8,
     404,
     "read"},
    {{.path = "/v1/stats"}, 4 | 8, 200, "read"},
    {{.path = "/v1/explain?key=00"}, 4 | 8, 400, "read"},
    {{.path = "/v1/explain", .type = JS, .body = "1"}, 1 | 4 | 8 | 16, 200, "bake or read"},
    {{.path = "/v1/engines"}, 31, 200, ""},
};

/* Each route with each token, without one, with an unknown one. */
START_TEST(roles) {
  const struct row *row = &rows[_i];
  char message[256], challenge[128];
  for (unsigned i = 0; i < TOKENS; i++) {
    http_answer answer = ask_as(all_tokens[i], row->ask);
    if ((row->may >> i & 1) != 0) {
      ck_assert_msg(answer.status == row->good, "%s as %s: %ld %s", row->ask.path, all_roles[i],
                    answer.status, answer.body);
    } else {
      answer_expect_error(&answer, 403, "ERR_FORBIDDEN");
      snprintf(message, sizeof(message), "\"token '%s': this needs the role %s\"", all_roles[i],
               row->role);
      if (i < 4) answer_expect(&answer, "error.message", message);
      ck_assert(answer_header(&answer, "WWW-Authenticate", challenge, sizeof(challenge)));
      ck_assert(strstr(challenge, "insufficient_scope") != NULL);
    }
    answer_release(&answer);
  }
  http_answer answer = ask_as(NULL, row->ask);
  answer_expect_error(&answer, 401, "ERR_UNAUTHORIZED");
  ck_assert(answer_header(&answer, "WWW-Authenticate", challenge, sizeof(challenge)));
  ck_assert_str_eq(challenge, "Bearer realm=\"kiln\"");
  answer_release(&answer);
  answer = ask_as("secret-bak", row->ask);
  answer_expect_error(&answer, 401, "ERR_UNAUTHORIZED");
  ck_assert(answer_header(&answer, "WWW-Authenticate", challenge, sizeof(challenge)));
  ck_assert(strstr(challenge, "invalid_token") != NULL);
  answer_release(&answer);
}
END_TEST

START_TEST(free_routes) {
  http_answer answer = ask_as(NULL, (http_ask){.path = "/healthz"});
  ck_assert_int_eq(answer.status, 200);
  answer_release(&answer);
  answer = ask_as("nobody", (http_ask){.path = "/healthz"});
  ck_assert_int_eq(answer.status, 200);
  answer_release(&answer);
}
END_TEST

/* A route that was added without thinking of roles is for admin. */
START_TEST(routes_name_roles) {
  static const char *const paths[] = {"/v1/compile", "/v1/createCachedData", "/v1/run",
                                      "/v1/measureMemory"};
  srv_reply refusal = {0};
  for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
    const srv_route *route = srv_route_find(paths[i], "POST", &refusal);
    ck_assert_ptr_nonnull(route);
    ck_assert_uint_ne(route->roles, SRV_FREE);
  }
}
END_TEST

START_TEST(forms_of_the_header) {
  static const struct {
    const char *header;
    long status;
  } forms[] = {
      {"Authorization: Bearer secret-run", 200},
      {"Authorization: bearer secret-run", 200},
      {"authorization: BEARER   secret-run", 200},
      {"Authorization: Basic c2VjcmV0LXJ1bg==", 401},
      {"Authorization: Bearersecret-run", 401},
      {"Authorization: Bearer", 401},
      {"Authorization: Bearer secret-run x", 401},
      {"Authorization: Bearer secret-run, Bearer secret-run", 401},
      {"Authorization: secret-run", 401},
      {"Authorization: Bearer \"secret-run\"", 401},
  };
  for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
    http_answer answer = kilnd_ask(
        &server,
        (http_ask){.path = "/v1/run", .type = JS, .body = "1", .headers = {forms[i].header}});
    ck_assert_msg(answer.status == forms[i].status, "%s: %ld %s", forms[i].header, answer.status,
                  answer.body);
    answer_release(&answer);
  }
  http_answer answer =
      kilnd_ask(&server, (http_ask){.path = "/v1/run",
                                    .type = JS,
                                    .body = "1",
                                    .headers = {"Authorization: Bearer secret-run",
                                                "Authorization: Bearer secret-run"}});
  answer_expect_error(&answer, 400, "ERR_MALFORMED_REQUEST");
  answer_release(&answer);
  char token[SRV_TOKEN_LENGTH_MAX + 2];
  memset(token, 'x', sizeof(token));
  token[sizeof(token) - 1] = '\0';
  answer = ask_as(token, (http_ask){.path = "/v1/run", .type = JS, .body = "1"});
  answer_expect_error(&answer, 401, "ERR_UNAUTHORIZED");
  ck_assert(strstr(answer.body, "at most 512 bytes") != NULL);
  answer_release(&answer);
}
END_TEST

/* A body that is not worth reading is refused at its head. */
START_TEST(large_body_refused_early) {
  char request[512];
  int fd = raw_connect(&server);
  snprintf(request, sizeof(request),
           "POST /v1/run HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/javascript\r\n"
           "Content-Length: 50000000\r\n\r\n");
  raw_text(fd, request);
  char *answer = raw_read_answer(fd, 5000);
  ck_assert_msg(strncmp(answer, "HTTP/1.1 401 ", 13) == 0, "%s", answer);
  free(answer);
  close(fd);
}
END_TEST

static const char hex64[] = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

static const struct fault {
  const char *text; /* %s: hex64 */
  const char *words;
} faults_of_files[] = {
    {"", "has no token; nobody could ask anything"},
    {"# nothing\n", "has no token"},
    {"cook sha256:%s\n", ":1: roles must be of bake, run, read, admin"},
    {"bake,, sha256:%s\n", ":1: roles must be"},
    {",bake sha256:%s\n", ":1: roles must be"},
    {"bake, sha256:%s\n", ":1: roles must be"},
    {"Bake sha256:%s\n", ":1: roles must be"},
    {"bake\n", ":1: the token must be given as sha256: and 64 hex digits"},
    {"bake sha256:%sa\n", ":1: the token must be given as"},
    {"bake md5:%s\n", ":1: the token must be given as"},
    {"bake secret\n", ":1: the token must be given as"},
    {"\nbake sha256:xx%s\n", ":2: the token must be given as"},
    {"bake sha256:%s a/b\n", ":1: a name is of at most 64"},
    {"bake sha256:%s a b\n", ":1: there is more than roles, token and name"},
    {"bake sha256:%1$s a\nrun sha256:%1$s b\n", ": lines 1 and 2 have the same token"},
};

static char *fill(const char *pattern) {
  char *text = NULL;
  size_t length = 0;
  FILE *out = open_memstream(&text, &length);
  for (const char *at = pattern; *at != '\0'; at++) {
    if (strncmp(at, "%s", 2) == 0) {
      fputs(hex64, out);
      at++;
    } else if (strncmp(at, "%1$s", 4) == 0) {
      fputs(hex64, out);
      at += 3;
    } else {
      fputc(*at, out);
    }
  }
  fclose(out);
  return ops_keep(text);
}

static void expect_refused(const char *path, const char *words) {
  char *said;
  int status = ops_kilnd(
      (const char *[]){"--tokens", path, "--no-store", "--listen", "127.0.0.1:0", NULL}, &said);
  ck_assert_msg(status == 1 && strstr(said, words) != NULL, "%d: no '%s' in: %s", status, words,
                said);
}

START_TEST(broken_files) {
  const struct fault *row = &faults_of_files[_i];
  expect_refused(ops_file("broken", 0600, fill(row->text)), row->words);
}
END_TEST

START_TEST(modes_and_sizes) {
  static char text[10u << 20];
  char *good = fill("run sha256:%s me\n");
  static const mode_t open_modes[] = {0604, 0606, 0620, 0610, 0644};
  for (size_t i = 0; i < sizeof(open_modes) / sizeof(open_modes[0]); i++)
    expect_refused(ops_file("open", open_modes[i], good), "chmod 600");
  if (geteuid() != 0) expect_refused(ops_file("open", 0640, good), "chmod 600");
  char *said;
  const char *packaged = ops_file("packaged", geteuid() == 0 ? 0640 : 0600, good);
  ck_assert_int_eq(
      ops_kilnd((const char *[]){"--tokens", packaged, "--no-store", "--check-config", NULL},
                &said),
      0);
  ck_assert_str_eq(said, "ok\n");

  memset(text, '#', sizeof(text));
  for (size_t i = 500; i < sizeof(text); i += 500) text[i] = '\n';
  expect_refused(ops_file_of("large", 0600, text, sizeof(text)),
                 "is 10485760 bytes, limit 1048576");
  text[500] = '#';
  expect_refused(ops_file_of("wide", 0600, text, 2000), ":1: the line is 1000 bytes, limit 512");
  expect_refused(ops_file_of("nul", 0600, "run\0", 4), ":1: the line has a NUL byte");
  ck_assert_int_eq(mkfifo(ops_path("fifo"), 0600), 0);
  expect_refused(ops_path("fifo"), "is no regular file");
  expect_refused(ops_path("nowhere"), "No such file");

  /* As many as there may be, and one more. */
  char *many = NULL;
  size_t length = 0;
  FILE *out = open_memstream(&many, &length);
  for (int i = 0; i <= SRV_TOKENS_MAX; i++) fprintf(out, "run sha256:%064x n%d\n", i, i);
  fclose(out);
  expect_refused(ops_file("many", 0600, many), ":4097: more than 4096 tokens");
  static srv_faults faults;
  srv_tokens *tokens =
      srv_tokens_parse("x", many, (size_t)(strstr(many, " n4095") - many + 7), &faults);
  ck_assert_ptr_nonnull(tokens);
  ck_assert_uint_eq(srv_tokens_count(tokens), SRV_TOKENS_MAX);
  srv_tokens_free(tokens);
  free(many);
}
END_TEST

START_TEST(addresses) {
  char *said;
  const char *tokens = ops_file("tokens", 0600, fill("run sha256:%s me\n"));
  static const char *const open_hosts[] = {"0.0.0.0:0", "[::]:0"};
  for (size_t i = 0; i < 2; i++) {
    const char *options[] = {"--listen", open_hosts[i], "--no-store", NULL};
    ck_assert_int_eq(ops_kilnd(options, &said), 2);
    ck_assert_msg(strstr(said, "is no loopback address") != NULL, "%s", said);
  }
  const char *with[] = {"--listen", "0.0.0.0:0",      "--no-store", "--tokens",
                        tokens,     "--check-config", NULL};
  ck_assert_int_eq(ops_kilnd(with, &said), 0);
  const char *anonymous[] = {"--listen",          "0.0.0.0:0",      "--no-store",
                             "--allow-anonymous", "--check-config", NULL};
  ck_assert_int_eq(ops_kilnd(anonymous, &said), 0);
  const char *loopback[] = {"--listen", "127.9.9.9:0", "--no-store", "--check-config", NULL};
  ck_assert_int_eq(ops_kilnd(loopback, &said), 0);
}
END_TEST

static long status_of(const char *token) {
  http_answer answer = ask_as(token, (http_ask){.path = "/v1/run", .type = JS, .body = "1"});
  long status = answer.status;
  answer_release(&answer);
  return status;
}

START_TEST(reloaded) {
  ck_assert_int_eq(status_of("fresh"), 401);
  write_tokens(0600, ops_token_line("run", "fresh", "late"));
  ck_assert_int_eq(status_of("fresh"), 401); /* not before the signal */
  ck_assert_int_eq(kill(server.pid, SIGHUP), 0);
  ops_await_log(&server, " reloaded ", 1);
  ck_assert_int_eq(status_of("fresh"), 200);

  /* A file with a fault: the old ones stay, and the log says why. */
  write_tokens(0600, "nonsense\n");
  ck_assert_int_eq(kill(server.pid, SIGHUP), 0);
  ops_await_log(&server, "reload-failed", 1);
  ops_await_log(&server, ":8: roles must be of bake, run, read, admin; as it was", 1);
  ck_assert_int_eq(status_of("fresh"), 200);
  ck_assert_int_eq(chmod(tokens_path, 0644), 0);
  ck_assert_int_eq(kill(server.pid, SIGHUP), 0);
  ops_await_log(&server, "is open to everybody; chmod 600; as it was", 1);
  ck_assert_int_eq(unlink(tokens_path), 0);
  ck_assert_int_eq(kill(server.pid, SIGHUP), 0);
  ops_await_log(&server, "No such file or directory; as it was", 1);
  ck_assert_int_eq(status_of("fresh"), 200);

  /* Withdrawn. */
  write_tokens(0600, "");
  ck_assert_int_eq(kill(server.pid, SIGHUP), 0);
  ops_await_log(&server, " reloaded ", 2);
  ck_assert_int_eq(status_of("fresh"), 401);
  ck_assert_int_eq(status_of("secret-run"), 200);
}
END_TEST

/* ---- SIGHUP, over and over, while requests come */

typedef struct caller {
  pthread_t thread;
  const char *token;
  long wanted;
  atomic_bool *stop;
  unsigned answers;
  unsigned wrong;
} caller;

static void *call(void *cls) {
  caller *c = cls;
  CURL *curl = curl_easy_init();
  char header[128];
  snprintf(header, sizeof(header), "Authorization: Bearer %s", c->token);
  while (!atomic_load(c->stop)) {
    http_answer answer = kilnd_ask_on(
        curl, &server,
        (http_ask){
            .path = "/v1/run", .type = JS, .body = "6*7", .headers = {header}, .may_fail = true});
    c->answers++;
    if (answer.code != CURLE_OK || answer.status != c->wanted) c->wrong++;
    answer_release(&answer);
  }
  curl_easy_cleanup(curl);
  return NULL;
}

START_TEST(reload_storm) {
  atomic_bool enough = false;
  caller callers[] = {{.token = "secret-run", .wanted = 200, .stop = &enough},
                      {.token = "secret-admin", .wanted = 200, .stop = &enough},
                      {.token = "secret-read", .wanted = 403, .stop = &enough},
                      {.token = "nobody", .wanted = 401, .stop = &enough}};
  size_t before = count_descriptors(server.pid);
  for (size_t i = 0; i < 4; i++) pthread_create(&callers[i].thread, NULL, call, &callers[i]);
  for (int i = 0; i < 3000; i++) {
    if (i % 10 == 0) write_tokens(0600, i % 20 == 0 ? "" : "nonsense\n");
    ck_assert_int_eq(kill(server.pid, SIGHUP), 0);
    if (i % 100 == 0) ops_await_log(&server, "reload", (size_t)i / 100);
  }
  atomic_store(&enough, true);
  for (size_t i = 0; i < 4; i++) {
    pthread_join(callers[i].thread, NULL);
    ck_assert_msg(callers[i].wrong == 0 && callers[i].answers > 0, "%s: %u of %u wrong",
                  callers[i].token, callers[i].wrong, callers[i].answers);
  }
  write_tokens(0600, "");
  kill(server.pid, SIGHUP);
  http_answer answer = ask_as("secret-admin", (http_ask){.path = "/v1/stats"});
  ck_assert_int_eq(answer.status, 200);
  answer_release(&answer);
  size_t after = count_descriptors(server.pid);
  ck_assert_msg(after <= before + 20, "%zu descriptors, then %zu", before, after);
}
END_TEST

int main(int argc, char **argv) {
  harness_init(argc, argv);
  Suite *suite = suite_create("server_ops_tokens");
  TCase *files = tcase_create("files");
  tcase_set_timeout(files, 60);
  tcase_add_loop_test(files, broken_files, 0, sizeof(faults_of_files) / sizeof(faults_of_files[0]));
  tcase_add_test(files, modes_and_sizes);
  tcase_add_test(files, addresses);
  tcase_add_test(files, routes_name_roles);
  suite_add_tcase(suite, files);
  TCase *asked = tcase_create("requests");
  tcase_add_checked_fixture(asked, start, stop);
  tcase_set_timeout(asked, 60);
  tcase_add_loop_test(asked, roles, 0, sizeof(rows) / sizeof(rows[0]));
  tcase_add_test(asked, free_routes);
  tcase_add_test(asked, forms_of_the_header);
  tcase_add_test(asked, large_body_refused_early);
  tcase_add_test(asked, reloaded);
  tcase_add_test(asked, reload_storm);
  suite_add_tcase(suite, asked);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? 0 : 1;
}
