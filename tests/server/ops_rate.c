/* SPDX-License-Identifier: MIT
 *
 * ops_rate.c: a rate per client, and a full queue that is shared.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/auth.h"
#include "server/clients.h"
#include "tests/server/ops.h"

static kilnd server;

/* ---- the table */

START_TEST(bucket) {
  unsigned wait_s = 0;
  srv_clients *clients = srv_clients_new(10, 3);
  for (int i = 0; i < 3; i++) ck_assert(srv_clients_take(clients, 1, 1000, &wait_s));
  ck_assert(!srv_clients_take(clients, 1, 1000, &wait_s));
  ck_assert_uint_eq(wait_s, 1);
  ck_assert(srv_clients_take(clients, 2, 1000, &wait_s)); /* somebody else */
  ck_assert(!srv_clients_take(clients, 1, 1099, &wait_s));
  ck_assert(srv_clients_take(clients, 1, 1100, &wait_s));
  ck_assert(!srv_clients_take(clients, 1, 1100, &wait_s));
  ck_assert(!srv_clients_take(clients, 1, 900, &wait_s)); /* a clock seen late */
  for (int i = 0; i < 3; i++) ck_assert(srv_clients_take(clients, 1, 999999, &wait_s));
  ck_assert(!srv_clients_take(clients, 1, 999999, &wait_s));
  srv_clients_free(clients);
  clients = srv_clients_new(1, 0);
  ck_assert(srv_clients_take(clients, 1, 0, &wait_s));
  ck_assert(!srv_clients_take(clients, 1, 0, &wait_s));
  ck_assert_uint_eq(wait_s, 1);
  srv_clients_free(clients);
}
END_TEST

/* However many there are, the table is bounded, and who asks often stays in it. */
START_TEST(many_clients) {
  unsigned wait_s = 0;
  srv_clients *clients = srv_clients_new(1, 2);
  ck_assert(srv_clients_take(clients, 0, 0, &wait_s));
  ck_assert(srv_clients_take(clients, 0, 0, &wait_s));
  for (uint64_t i = 1; i <= 200000; i++) {
    ck_assert(srv_clients_take(clients, i * 64, 0, &wait_s)); /* many in one bucket */
    if (i % 4000 == 0) ck_assert(!srv_clients_take(clients, 0, 0, &wait_s));
  }
  for (uint64_t i = 1; i <= 2 * SRV_CLIENTS_MAX; i++) srv_clients_take(clients, i, 0, &wait_s);
  ck_assert(srv_clients_take(clients, 0, 0, &wait_s)); /* forgotten by now */
  srv_clients_free(clients);
}
END_TEST

static uint64_t client_of(srv_auth *auth, const char *address) {
  struct sockaddr_in in = {.sin_family = AF_INET};
  struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
  if (inet_pton(AF_INET, address, &in.sin_addr) == 1)
    return srv_auth_client(auth, (const struct sockaddr *)&in);
  ck_assert_int_eq(inet_pton(AF_INET6, address, &in6.sin6_addr), 1);
  return srv_auth_client(auth, (const struct sockaddr *)&in6);
}

START_TEST(addresses) {
  static srv_faults faults;
  const srv_options options = {.rate = 1};
  srv_auth *auth = srv_auth_new(&options, &faults);
  ck_assert_ptr_nonnull(auth);
  ck_assert_uint_ne(client_of(auth, "10.0.0.1"), client_of(auth, "10.0.0.2"));
  ck_assert_uint_eq(client_of(auth, "10.0.0.1"), client_of(auth, "::ffff:10.0.0.1"));
  ck_assert_uint_ne(client_of(auth, "10.0.0.1"), client_of(auth, "::ffff:10.0.0.2"));
  ck_assert_uint_eq(client_of(auth, "2001:db8:0:1::1"), client_of(auth, "2001:db8:0:1:ffff::2"));
  ck_assert_uint_ne(client_of(auth, "2001:db8:0:1::1"), client_of(auth, "2001:db8:0:2::1"));
  srv_auth_free(auth);
}
END_TEST

/* ---- kilnd */

static void stop(void) {
  ck_assert_int_eq(kilnd_stop(&server), 0);
  kilnd_remove(&server);
}

static http_answer run_as(const char *token, const char *query, const char *source) {
  char header[128], path[128];
  snprintf(header, sizeof(header), "Authorization: Bearer %s", token);
  snprintf(path, sizeof(path), "/v1/run%s", query);
  return kilnd_ask(
      &server,
      (http_ask){
          .path = path, .type = JS, .body = source, .headers = {token[0] != '\0' ? header : NULL}});
}

static long status_of(const char *token) {
  http_answer answer = run_as(token, "", "1");
  long status = answer.status;
  answer_release(&answer);
  return status;
}

static const char *two_tokens(void) {
  char *text = NULL;
  ck_assert_int_gt(
      asprintf(&text, "%s%s%s", ops_token_line("run", "one", "one"),
               ops_token_line("admin", "two", "two"), ops_token_line("run", "uno", "one")),
      0);
  return ops_file("tokens", 0600, ops_keep(text));
}

START_TEST(rate_of_tokens) {
  char wait[16];
  kilnd_start(&server,
              (const char *[]){"--rate", "1", "--rate-burst", "5", "--tokens", two_tokens(), NULL});
  for (int i = 0; i < 5; i++) ck_assert_int_eq(status_of(i % 2 == 0 ? "one" : "uno"), 200);
  double began = now_ms();
  http_answer answer = run_as("uno", "", "1"); /* another token of the same name */
  answer_expect_error(&answer, 429, "ERR_RATE_LIMITED");
  answer_expect(&answer, "error.message", "\"client: more than 1 requests a second\"");
  ck_assert(answer_header(&answer, "Retry-After", wait, sizeof(wait)));
  ck_assert_str_eq(wait, "1");
  answer_release(&answer);
  /* Others are not concerned, and neither is who asks whether kilnd lives. */
  ck_assert_int_eq(status_of("two"), 200);
  for (int i = 0; i < 20; i++) {
    answer = kilnd_ask(&server, (http_ask){.path = "/healthz"});
    ck_assert_int_eq(answer.status, 200);
    answer_release(&answer);
  }
  /* Guesses count for the address they come from. */
  int unauthorized = 0;
  for (int i = 0; i < 20; i++) unauthorized += status_of("guess") == 401;
  ck_assert_int_ge(unauthorized, 5);
  ck_assert_int_le(unauthorized, 8);
  /* A second later there is room for one more. */
  while (status_of("one") != 200) ck_assert(now_ms() < began + 10000);
  ck_assert(now_ms() >= began + 900);
  stop();
}
END_TEST

static int connect_from(const char *address) {
  struct sockaddr_in from = {.sin_family = AF_INET};
  struct sockaddr_in to = {.sin_family = AF_INET,
                           .sin_port = htons((uint16_t)server.port),
                           .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  ck_assert_int_eq(inet_pton(AF_INET, address, &from.sin_addr), 1);
  ck_assert_int_eq(bind(fd, (struct sockaddr *)&from, sizeof(from)), 0);
  ck_assert_int_eq(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
  return fd;
}

static bool limited_from(const char *address) {
  int fd = connect_from(address);
  raw_text(fd, "GET /v1/engines HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
  char *answer = raw_read_answer(fd, 5000);
  bool limited = strncmp(answer, "HTTP/1.1 429 ", 13) == 0;
  ck_assert_msg(limited || strncmp(answer, "HTTP/1.1 200 ", 13) == 0, "%s", answer);
  free(answer);
  close(fd);
  return limited;
}

START_TEST(rate_of_addresses) {
  kilnd_start(&server, (const char *[]){"--rate", "1", "--rate-burst", "4", NULL});
  int limited = 0;
  for (int i = 0; i < 12; i++) limited += limited_from("127.0.0.2");
  ck_assert_int_ge(limited, 6);
  ck_assert(!limited_from("127.0.0.3"));
  ck_assert(!limited_from("127.0.0.1"));
  ck_assert_int_eq(kilnd_stat(&server, "server.rate_limited"), limited);
  stop();
}
END_TEST

/* ---- a full queue */

typedef struct errand {
  pthread_t thread;
  const char *token;
  const char *source;
  http_answer answer;
} errand;

static void *go(void *cls) {
  errand *one = cls;
  one->answer = run_as(one->token, "?timeout=20000", one->source);
  return NULL;
}

static void send_off(errand *one, const char *token, const char *source) {
  *one = (errand){.token = token, .source = source};
  ck_assert_int_eq(pthread_create(&one->thread, NULL, go, one), 0);
}

static long long stat_of(const char *path) {
  http_answer answer =
      kilnd_ask(&server, (http_ask){.path = "/v1/stats", .headers = {"Authorization: Bearer two"}});
  json_t *root = answer_json(&answer);
  long long value = json_integer_value(json_object_get(json_object_get(root, "kiln"), path));
  json_decref(root);
  answer_release(&answer);
  return value;
}

static void await_waiting(long long running, long long queued) {
  double until = now_ms() + 10000;
  while (stat_of("jobs_running") != running || stat_of("jobs_queued") != queued)
    ck_assert(now_ms() < until);
}

/* One client fills the queue; another comes, and is served before it. */
START_TEST(full_queue_is_shared) {
  errand hog[7], guest[2];
  kilnd_start(&server,
              (const char *[]){"--workers", "1", "--queue", "6", "--tokens", two_tokens(), NULL});
  static const char busy[] = "let t = Date.now(); while (Date.now() - t < 600); 1";
  for (int i = 0; i < 7; i++) {
    send_off(&hog[i], "one", busy);
    await_waiting(1, i);
  }
  http_answer answer = run_as("one", "", "1");
  answer_expect_error(&answer, 503, "ERR_BUSY");
  answer_release(&answer);
  double began = now_ms();
  send_off(&guest[0], "two", "'guest'");
  send_off(&guest[1], "two", "'guest'");
  for (int i = 0; i < 2; i++) {
    pthread_join(guest[i].thread, NULL);
    ck_assert_msg(guest[i].answer.status == 200, "%ld %s", guest[i].answer.status,
                  guest[i].answer.body);
    answer_release(&guest[i].answer);
  }
  ck_assert_msg(now_ms() - began < 2600, "the guest waited %.0f ms", now_ms() - began);
  int lost = 0;
  for (int i = 0; i < 7; i++) {
    pthread_join(hog[i].thread, NULL);
    if (hog[i].answer.status != 200) {
      answer_expect_error(&hog[i].answer, 503, "ERR_BUSY");
      answer_expect(&hog[i].answer, "error.message",
                    "\"the queue is full, and no client has more jobs in it\"");
      ck_assert_int_ge(i, 5); /* the last that came */
      lost++;
    }
    answer_release(&hog[i].answer);
  }
  ck_assert_int_eq(lost, 2);
  stop();
}
END_TEST

START_TEST(client_share) {
  errand hog[4];
  char wait[16];
  kilnd_start(&server, (const char *[]){"--workers", "1", "--queue", "7", "--client-share", "50",
                                        "--tokens", two_tokens(), NULL});
  static const char busy[] = "let t = Date.now(); while (Date.now() - t < 300); 1";
  for (int i = 0; i < 4; i++) {
    send_off(&hog[i], "one", busy);
    await_waiting(1, i);
  }
  http_answer answer = run_as("one", "", "1");
  answer_expect_error(&answer, 503, "ERR_BUSY");
  answer_expect(&answer, "error.message", "\"4 jobs of this client run or wait already, limit 4\"");
  ck_assert(answer_header(&answer, "Retry-After", wait, sizeof(wait)));
  answer_release(&answer);
  ck_assert_int_eq(status_of("two"), 200);
  for (int i = 0; i < 4; i++) {
    pthread_join(hog[i].thread, NULL);
    ck_assert_int_eq(hog[i].answer.status, 200);
    answer_release(&hog[i].answer);
  }
  ck_assert_int_eq(status_of("one"), 200);
  stop();
}
END_TEST

int main(int argc, char **argv) {
  harness_init(argc, argv);
  Suite *suite = suite_create("server_ops_rate");
  TCase *all = tcase_create("rate");
  tcase_set_timeout(all, 60);
  tcase_add_test(all, bucket);
  tcase_add_test(all, many_clients);
  tcase_add_test(all, addresses);
  tcase_add_test(all, rate_of_tokens);
  tcase_add_test(all, rate_of_addresses);
  tcase_add_test(all, full_queue_is_shared);
  tcase_add_test(all, client_share);
  suite_add_tcase(suite, all);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? 0 : 1;
}
