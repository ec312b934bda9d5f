/* SPDX-License-Identifier: MIT
 *
 * ops_tls.c: kilnd over TLS: the guards hold, certificates are exchanged, broken handshakes cost
 * nothing.
 */
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/server/ops.h"

static kilnd server;
static const char *cert, *key;

/* A self-signed certificate for 127.0.0.1. */
static void make_pair(const char *cert_path, const char *key_path, const char *algorithm,
                      const char *days, const char *name) {
  char subject[64];
  char *text;
  snprintf(subject, sizeof(subject), "/CN=%s", name);
  int status = ops_run(
      (const char *[]){
          "openssl", "req", "-x509", "-newkey", algorithm, "-nodes", "-days", days, "-subj",
          subject, "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key_path, "-out", cert_path,
          "-pkeyopt",
          strcmp(algorithm, "rsa") == 0 ? "rsa_keygen_bits:2048" : "ec_paramgen_curve:P-256", NULL},
      &text);
  ck_assert_msg(status == 0, "openssl: %s", text);
  ck_assert_int_eq(chmod(key_path, 0600), 0);
}

static void make_files(void) {
  cert = ops_path("cert.pem");
  key = ops_path("key.pem");
  make_pair(cert, key, "ec", "30", "first");
  harness_use_tls(cert);
}

static void start_with_timeouts(const char *ms) {
  make_files();
  kilnd_start(&server,
              (const char *[]){"--tls-cert", cert, "--tls-key", key, "--header-timeout-ms", ms,
                               "--body-timeout-ms", ms, "--body-max", "1M", "--access-log", NULL});
}

static void start(void) {
  start_with_timeouts("600");
}

/* For clients that a busy machine may keep waiting. */
static void start_patient(void) {
  start_with_timeouts("60000");
}

static void stop(void) {
  ck_assert_int_eq(kilnd_stop(&server), 0);
  kilnd_remove(&server);
}

static void expect_serving(void) {
  http_answer answer = kilnd_ask(&server, (http_ask){.path = "/v1/run", .type = JS, .body = "6*7"});
  ck_assert_msg(answer.status == 200, "%ld %s", answer.status, answer.body);
  answer_expect(&answer, "result", "42");
  answer_release(&answer);
}

START_TEST(served) {
  static char large[900000];
  memset(large, ' ', sizeof(large) - 1);
  memcpy(large, "'", 1);
  memcpy(large + sizeof(large) - 2, "'", 1);
  CURL *curl = curl_easy_init();
  /* One connection: bodies small and large, hits and misses, answers small and large. */
  for (int i = 0; i < 20; i++) {
    http_answer answer = kilnd_ask_on(
        curl, &server,
        (http_ask){
            .path = "/v1/run", .type = JS, .body = i % 2 == 0 ? large : "1", .chunked = i % 4 > 1});
    ck_assert_msg(answer.status == 200, "%ld %.300s", answer.status, answer.body);
    ck_assert(answer.connected == (i == 0));
    if (i % 2 == 0) ck_assert_uint_gt(answer.length, sizeof(large) - 10);
    answer_release(&answer);
  }
  http_answer answer = kilnd_ask_on(
      curl, &server, (http_ask){.path = "/v1/createCachedData", .type = JS, .body = "var a = 1"});
  char stored[80], path[128];
  ck_assert(answer_header(&answer, "Kiln-Key", stored, sizeof(stored)));
  snprintf(path, sizeof(path), "/v1/cachedData/%s", stored);
  for (int i = 0; i < 10; i++) {
    http_answer again = kilnd_ask_on(curl, &server, (http_ask){.path = path});
    ck_assert_int_eq(again.status, 200);
    ck_assert_mem_eq(again.body, answer.body, answer.length);
    answer_release(&again);
  }
  answer_release(&answer);
  curl_easy_cleanup(curl);
}
END_TEST

/* ---- what libcurl would not send: through the openssl command, as a pipe of plain text */

typedef struct tunnel {
  pid_t pid;
  int in, out;
} tunnel;

static tunnel tunnel_open(void) {
  int in[2], out[2];
  char place[32];
  tunnel t;
  snprintf(place, sizeof(place), "127.0.0.1:%u", server.port);
  ck_assert_int_eq(pipe2(in, O_CLOEXEC), 0);
  ck_assert_int_eq(pipe2(out, O_CLOEXEC), 0);
  t.pid = fork();
  if (t.pid == 0) {
    dup2(in[0], STDIN_FILENO);
    dup2(out[1], STDOUT_FILENO);
    execlp("openssl", "openssl", "s_client", "-quiet", "-verify_quiet", "-connect", place,
           "-CAfile", cert, (char *)NULL);
    _exit(127);
  }
  close(in[0]);
  close(out[1]);
  t.in = in[1];
  t.out = out[0];
  return t;
}

static char *tunnel_ask(const char *text, int limit_ms) {
  tunnel t = tunnel_open();
  char *answer = calloc(1, 65536);
  size_t used = 0;
  ck_assert_int_eq(write(t.in, text, strlen(text)), strlen(text));
  double until = now_ms() + limit_ms;
  while (now_ms() < until && used < 65535) {
    struct pollfd entry = {.fd = t.out, .events = POLLIN};
    if (poll(&entry, 1, (int)(until - now_ms()) + 1) <= 0) break;
    ssize_t got = read(t.out, answer + used, 65535 - used);
    if (got <= 0) break;
    used += (size_t)got;
  }
  close(t.in);
  close(t.out);
  kill(t.pid, SIGKILL);
  waitpid(t.pid, NULL, 0);
  return answer;
}

static const char *const malformed[] = {
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n0",
    "POST /v1/run HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n1",
    "GET /healthz HTTP/1.1\r\nHost : localhost\r\n\r\n",
    "GET /healthz HTTP/1.1\nHost: localhost\n\n",
    "GET /healthz HTTP/1.1\r\n\r\n",
    "GET /healthz HTTP/1.1\r\nHost: a\r\n b\r\n\r\n",
    "GET /%00 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "POST /v1/run HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip\r\n\r\n",
};

/* The checks of guard.c: MHD has the plain text in the same buffer, with and without TLS. */
START_TEST(guards) {
  char *answer = tunnel_ask(malformed[_i], 5000);
  ck_assert_msg(strncmp(answer, "HTTP/1.1 400 ", 13) == 0, "%d: '%s'", _i, answer);
  ck_assert(strstr(answer, "ERR_MALFORMED_REQUEST") != NULL || strstr(answer, "400") != NULL);
  ck_assert_ptr_null(strstr(answer + 13, "HTTP/1.1"));
  free(answer);
  expect_serving();
}
END_TEST

/* Answered while the body still comes: inside of the TLS session, not beside it. */
START_TEST(too_large_while_it_comes) {
  static char body[3u << 20];
  memset(body, 'x', sizeof(body) - 1);
  CURL *curl = curl_easy_init();
  http_answer answer = kilnd_ask_on(
      curl, &server,
      (http_ask){.path = "/v1/run", .type = JS, .body = body, .chunked = true, .may_fail = true});
  ck_assert_msg(answer.status == 413, "%ld %s %s", answer.status, answer.body,
                curl_easy_strerror(answer.code));
  answer_expect(&answer, "error.code", "\"ERR_TOO_LARGE\"");
  answer_release(&answer);
  curl_easy_cleanup(curl);
  expect_serving();
}
END_TEST

/* Late heads and bodies: the connection ends, and not a byte of plain text is sent. */
START_TEST(deadlines) {
  static const char *const texts[] = {
      "GET /healthz HTTP/1.1\r\nHo",
      "POST /v1/run HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/javascript\r\n"
      "Content-Length: 100\r\n\r\n1",
  };
  for (size_t i = 0; i < 2; i++) {
    double began = now_ms();
    char *answer = tunnel_ask(texts[i], 8000);
    ck_assert_msg(now_ms() - began < 7000, "after %.0f ms", now_ms() - began);
    ck_assert_str_eq(answer, "");
    free(answer);
  }
  ck_assert_int_eq(kilnd_stat(&server, "server.timeouts"), 2);
}
END_TEST

/* ---- no TLS at all, or half of it */

static size_t send_and_count(const void *data, size_t length, int limit_ms, bool *ret_closed) {
  int fd = raw_connect(&server);
  raw_send(fd, data, length);
  char *answer = raw_read_all(fd, limit_ms, ret_closed);
  size_t plain = strstr(answer, "HTTP/1.") != NULL;
  free(answer);
  close(fd);
  return plain;
}

/* The head of a ClientHello that says it is 512 bytes long. */
static const unsigned char hello[] = {0x16, 0x03, 0x01, 0x02, 0x00, 0x01,
                                      0x00, 0x01, 0xFC, 0x03, 0x03};

START_TEST(no_handshake) {
  bool closed;
  static const char plain[] = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
  size_t before = count_descriptors(server.pid);
  for (int i = 0; i < 60; i++) {
    ck_assert_uint_eq(send_and_count(plain, strlen(plain), 5000, &closed), 0);
    ck_assert(closed);
  }
  double began = now_ms();
  ck_assert_uint_eq(send_and_count(hello, sizeof(hello), 8000, &closed), 0);
  ck_assert_msg(closed && now_ms() - began < 7000, "not closed after %.0f ms", now_ms() - began);
  began = now_ms();
  ck_assert_uint_eq(send_and_count("", 0, 8000, &closed), 0);
  ck_assert_msg(closed && now_ms() - began < 7000, "not closed after %.0f ms", now_ms() - began);
  expect_serving();
  kilnd_await_stat(&server, "server.connections", 1);            /* the one that asks */
  ck_assert_uint_le(count_descriptors(server.pid), before + 20); /* workers and zygotes have some */
}
END_TEST

/* Two hundred half-open handshakes, drip by drip, and noise: others are served meanwhile. */
START_TEST(many_half_open) {
  int fds[200];
  unsigned seed = 7;
  for (int i = 0; i < 200; i++) {
    unsigned char noise[600];
    for (size_t j = 0; j < sizeof(noise); j++) noise[j] = (unsigned char)rand_r(&seed);
    if (i % 2 == 0) memcpy(noise, hello, sizeof(hello));
    fds[i] = raw_connect(&server);
    raw_send(fds[i], noise, (size_t)(1 + i * 3 % 500));
    if (i % 10 == 0) expect_serving();
  }
  bool closed;
  for (int i = 0; i < 200; i++) {
    char *answer = raw_read_all(fds[i], 8000, &closed);
    ck_assert_msg(closed, "handshake %d is still open", i);
    free(answer);
    close(fds[i]);
  }
  expect_serving();
}
END_TEST

/* A ClientHello of the openssl command, cut at each length; then with bytes changed. */
START_TEST(cut_hello) {
  char caught[4096];
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof(at);
  char place[32];
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  ck_assert_int_eq(bind(listener, (struct sockaddr *)&at, sizeof(at)), 0);
  ck_assert_int_eq(listen(listener, 1), 0);
  ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&at, &size), 0);
  snprintf(place, sizeof(place), "127.0.0.1:%u", ntohs(at.sin_port));
  pid_t pid = fork();
  if (pid == 0) {
    execlp("openssl", "openssl", "s_client", "-quiet", "-connect", place, (char *)NULL);
    _exit(127);
  }
  int fd = accept(listener, NULL, NULL);
  ssize_t length = recv(fd, caught, sizeof(caught), 0);
  close(fd);
  close(listener);
  kill(pid, SIGKILL);
  waitpid(pid, NULL, 0);
  ck_assert_int_gt(length, 100);
  unsigned seed = 11;
  for (ssize_t cut = 0; cut < length; cut++) {
    int to = raw_connect(&server);
    raw_send(to, caught, (size_t)cut);
    close(to);
  }
  for (int round = 0; round < 1000; round++) {
    char changed[4096];
    memcpy(changed, caught, (size_t)length);
    for (int i = 0; i < 4; i++)
      changed[(size_t)rand_r(&seed) % (size_t)length] = (char)rand_r(&seed);
    int to = raw_connect(&server);
    raw_send(to, changed, (size_t)length);
    shutdown(to, SHUT_WR);
    close(to);
  }
  expect_serving();
  kilnd_await_stat(&server, "server.connections", 1);
}
END_TEST

/* ---- other certificates */

static long ask_trusting(const char *ca) {
  harness_use_tls(ca);
  server.ca = ca;
  http_answer answer = kilnd_ask(&server, (http_ask){.path = "/healthz", .may_fail = true});
  long status = answer.code == CURLE_OK ? answer.status : -(long)answer.code;
  answer_release(&answer);
  return status;
}

START_TEST(reloaded) {
  const char *other = ops_path("other.pem");
  const char *other_key = ops_path("other-key.pem");
  make_pair(other, other_key, "rsa", "5", "second");
  ck_assert_int_eq(ask_trusting(cert), 200);
  ck_assert_int_eq(ask_trusting(other), -CURLE_PEER_FAILED_VERIFICATION);
  /* A connection that is there stays. */
  server.ca = cert;
  CURL *curl = curl_easy_init();
  http_answer answer = kilnd_ask_on(curl, &server, (http_ask){.path = "/healthz"});
  answer_release(&answer);
  const char *kept = ops_path("kept.pem");
  ck_assert_int_eq(link(cert, kept), 0);

  /* A certificate without its key is not taken. */
  ck_assert_int_eq(rename(other, cert), 0);
  ck_assert_int_eq(kill(server.pid, SIGHUP), 0);
  ops_await_log(&server, "is not the key of --tls-cert", 1);
  ck_assert_int_eq(ask_trusting(kept), 200);

  ck_assert_int_eq(rename(other_key, key), 0);
  ck_assert_int_eq(kill(server.pid, SIGHUP), 0);
  ops_await_log(&server, " reloaded ", 1);
  ops_await_log(&server, "certificate-expires days=", 1);
  ck_assert_int_eq(ask_trusting(cert), 200);
  ck_assert_int_eq(ask_trusting(kept), -CURLE_PEER_FAILED_VERIFICATION);
  server.ca = cert;
  answer = kilnd_ask_on(curl, &server, (http_ask){.path = "/healthz"});
  ck_assert_int_eq(answer.status, 200);
  ck_assert(!answer.connected);
  answer_release(&answer);
  curl_easy_cleanup(curl);
}
END_TEST

static void *handshake(void *cls) {
  atomic_int *wrong = cls;
  for (int i = 0; i < 40; i++) {
    http_answer answer = kilnd_ask(
        &server, (http_ask){.path = "/v1/run", .type = JS, .body = "1", .may_fail = true});
    if (answer.status != 200) {
      fprintf(stderr, "%ld, %s: %s\n", answer.status, curl_easy_strerror(answer.code),
              answer.body != NULL ? answer.body : "");
      atomic_fetch_add(wrong, 1);
    }
    answer_release(&answer);
  }
  return NULL;
}

START_TEST(reload_storm) {
  pthread_t threads[4];
  atomic_int wrong = 0;
  for (int i = 0; i < 4; i++) pthread_create(&threads[i], NULL, handshake, &wrong);
  for (int i = 0; i < 500; i++) {
    ck_assert_int_eq(kill(server.pid, SIGHUP), 0);
    if (i % 20 == 0) ops_await_log(&server, " reloaded ", (size_t)i / 20);
  }
  for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
  ck_assert_int_eq(atomic_load(&wrong), 0);
}
END_TEST

static void expect_refused(const char *cert_path, const char *key_path, const char *priority,
                           const char *words) {
  char *said;
  const char *options[] = {
      "--no-store", "--listen",  "127.0.0.1:0", "--tls-cert",
      cert_path,    "--tls-key", key_path,      priority != NULL ? "--tls-priority" : NULL,
      priority,     NULL};
  int status = ops_kilnd(options, &said);
  ck_assert_msg(status == 1 && strstr(said, words) != NULL, "%d: no '%s' in: %s", status, words,
                said);
}

START_TEST(broken_files) {
  char *text;
  make_files();
  const char *other = ops_path("other.pem");
  const char *other_key = ops_path("other-key.pem");
  make_pair(other, other_key, "ec", "5", "second");
  expect_refused(cert, other_key, NULL, "is not the key of --tls-cert");
  expect_refused(key, key, NULL, "no certificate chain in PEM");
  expect_refused(cert, cert, NULL, "chmod 600");
  expect_refused(cert, ops_file("junk", 0600, "junk"), NULL, "no private key in PEM");
  expect_refused(ops_file("empty", 0600, ""), key, NULL, "no certificate chain in PEM");
  expect_refused(ops_path("nowhere"), key, NULL, "No such file");
  expect_refused(cert, key, "FROB", "--tls-priority 'FROB': not understood from");
  ck_assert_int_eq(chmod(key, 0644), 0);
  expect_refused(cert, key, NULL, "is open to everybody; chmod 600");
  ck_assert_int_eq(chmod(key, 0600), 0);
  const char *locked = ops_path("locked.pem");
  ck_assert_int_eq(ops_run((const char *[]){"openssl", "pkey", "-in", key, "-aes256", "-passout",
                                            "pass:x", "-out", locked, NULL},
                           &text),
                   0);
  chmod(locked, 0600);
  expect_refused(cert, locked, NULL, "no private key in PEM without a password");
}
END_TEST

/* Older than 1.2 is not spoken. */
START_TEST(versions) {
  CURL *curl = curl_easy_init();
  char url[64];
  snprintf(url, sizeof(url), "https://127.0.0.1:%u/healthz", server.port);
  static const struct {
    long version;
    bool good;
  } rows[] = {{CURL_SSLVERSION_TLSv1_0 | CURL_SSLVERSION_MAX_TLSv1_1, false},
              {CURL_SSLVERSION_TLSv1_2 | CURL_SSLVERSION_MAX_TLSv1_2, true},
              {CURL_SSLVERSION_TLSv1_3, true}};
  for (size_t i = 0; i < 3; i++) {
    curl_easy_reset(curl);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
    curl_easy_setopt(curl, CURLOPT_CAINFO, cert);
    curl_easy_setopt(curl, CURLOPT_SSLVERSION, rows[i].version);
    curl_easy_setopt(curl, CURLOPT_FRESH_CONNECT, 1L);
    CURLcode code = curl_easy_perform(curl);
    ck_assert_msg((code == CURLE_OK) == rows[i].good, "%zu: %s", i, curl_easy_strerror(code));
  }
  curl_easy_cleanup(curl);
}
END_TEST

int main(int argc, char **argv) {
  harness_init(argc, argv);
  Suite *suite = suite_create("server_ops_tls");
  TCase *files = tcase_create("files");
  tcase_set_timeout(files, 60);
  tcase_add_test(files, broken_files);
  suite_add_tcase(suite, files);
  TCase *all = tcase_create("tls");
  tcase_add_checked_fixture(all, start, stop);
  tcase_set_timeout(all, 60);
  tcase_add_test(all, served);
  tcase_add_loop_test(all, guards, 0, sizeof(malformed) / sizeof(malformed[0]));
  tcase_add_test(all, too_large_while_it_comes);
  tcase_add_test(all, deadlines);
  tcase_add_test(all, no_handshake);
  tcase_add_test(all, many_half_open);
  tcase_add_test(all, cut_hello);
  tcase_add_test(all, reloaded);
  tcase_add_test(all, versions);
  suite_add_tcase(suite, all);
  TCase *storm = tcase_create("storm");
  tcase_add_checked_fixture(storm, start_patient, stop);
  tcase_set_timeout(storm, 120);
  tcase_add_test(storm, reload_storm);
  suite_add_tcase(suite, storm);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? 0 : 1;
}
