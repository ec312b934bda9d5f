/* SPDX-License-Identifier: MIT
 *
 * ops_restart.c: SIGUSR2, while clients hammer; a new kilnd that does not come up; a socket from
 * systemd, and what systemd is told.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/server/ops.h"

static kilnd server;
static const char *pid_path;

/* Whoever a kilnd leaves behind becomes our child, to be waited for and, if a test fails, killed.
 */
static pid_t ours[16];

static void end_ours(void) {
  for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
    if (ours[i] > 0) kill(ours[i], SIGKILL);
}

static void adopt(pid_t pid) {
  for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++) {
    if (ours[i] != 0) continue;
    ours[i] = pid;
    return;
  }
}

static void release(pid_t pid) {
  for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
    if (ours[i] == pid) ours[i] = 0;
}

static pid_t read_pid(void) {
  char text[32] = "";
  FILE *in = fopen(pid_path, "re");
  if (in != NULL) {
    (void)!fgets(text, sizeof(text), in);
    fclose(in);
  }
  return (pid_t)strtol(text, NULL, 10);
}

static void start_with(const char *const *more) {
  const char *options[32] = {"--pid-file", ops_path("pid"), "--drain-ms", "5000"};
  size_t count = 4;
  for (size_t i = 0; more != NULL && more[i] != NULL; i++) options[count++] = more[i];
  pid_path = options[1];
  ck_assert_int_eq(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
  atexit(end_ours);
  kilnd_start(&server, options);
  ck_assert_int_eq(read_pid(), server.pid);
}

static int wait_for(pid_t pid) {
  int status = 0;
  double until = now_ms() + 20000;
  pid_t got;
  while ((got = waitpid(pid, &status, WNOHANG)) == 0 || (got < 0 && errno == EINTR)) {
    ck_assert_msg(now_ms() < until, "pid %d does not end", (int)pid);
    poll(NULL, 0, 2);
  }
  /* It may not have become our child yet. */
  ck_assert_int_eq(got, pid);
  release(pid);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* Signals, waits till another one serves and this one has ended. */
static void restart(void) {
  pid_t old = server.pid;
  ck_assert_int_eq(kill(old, SIGUSR2), 0);
  double until = now_ms() + 20000;
  pid_t next;
  while ((next = read_pid()) == old || next == 0) {
    ck_assert_msg(now_ms() < until, "no other kilnd: %s", kilnd_copy_log(&server));
    poll(NULL, 0, 2);
  }
  adopt(next);
  ck_assert_int_eq(wait_for(old), 0);
  server.pid = next;
}

static void stop(void) {
  pid_t pid = server.pid;
  ck_assert_int_eq(kill(pid, SIGTERM), 0);
  ck_assert_int_eq(wait_for(pid), 0);
  kilnd_remove(&server);
}

typedef enum habit { KEEPS, CLOSES, READS_HOT, SLOW, COMES_ANEW, HABITS } habit;

typedef struct client {
  pthread_t thread;
  habit habit;
  atomic_bool *enough;
  char path[128];
  unsigned asked;
  unsigned failed;
  char first[256];
} client;

static void *hammer(void *cls) {
  client *c = cls;
  CURL *curl = curl_easy_init();
  http_ask ask = {.path = "/v1/run", .type = JS, .body = "6*7", .may_fail = true};
  bool reads = c->habit == READS_HOT || c->habit == COMES_ANEW;
  if (reads) ask = (http_ask){.path = c->path, .may_fail = true};
  if (c->habit == SLOW) ask.body = "let t = Date.now(); while (Date.now() - t < 300); 42";
  if (c->habit == CLOSES || c->habit == COMES_ANEW) ask.headers[0] = "Connection: close";
  while (!atomic_load(c->enough)) {
    http_answer answer = kilnd_ask_on(curl, &server, ask);
    c->asked++;
    if (answer.code != CURLE_OK || answer.status != 200) {
      if (c->failed++ == 0)
        snprintf(c->first, sizeof(c->first), "%s, %ld %.100s", curl_easy_strerror(answer.code),
                 answer.status, answer.body);
    }
    answer_release(&answer);
  }
  curl_easy_cleanup(curl);
  return NULL;
}

#define CLIENTS 10

static void hammer_through(int restarts) {
  atomic_bool enough = false;
  client clients[CLIENTS] = {0};
  char stored[80];
  http_answer answer = kilnd_ask(
      &server, (http_ask){.path = "/v1/createCachedData", .type = JS, .body = "var hot = 1"});
  ck_assert(answer_header(&answer, "Kiln-Key", stored, sizeof(stored)));
  answer_release(&answer);
  for (int i = 0; i < CLIENTS; i++) {
    clients[i].habit = (habit)(i % HABITS);
    clients[i].enough = &enough;
    snprintf(clients[i].path, sizeof(clients[i].path), "/v1/cachedData/%s", stored);
    pthread_create(&clients[i].thread, NULL, hammer, &clients[i]);
  }
  for (int i = 0; i < restarts; i++) restart();
  atomic_store(&enough, true);
  unsigned asked = 0;
  for (int i = 0; i < CLIENTS; i++) {
    pthread_join(clients[i].thread, NULL);
    asked += clients[i].asked;
    ck_assert_msg(clients[i].failed == 0, "habit %d: %u of %u failed, first: %s", i % HABITS,
                  clients[i].failed, clients[i].asked, clients[i].first);
  }
  ck_assert_uint_gt(asked, 100);
  printf("restarts=%d requests=%u failed=0\n", restarts, asked);
}

START_TEST(no_request_fails) {
  start_with((const char *[]){"--threads", "2", NULL});
  hammer_through(5);
  stop();
}
END_TEST

START_TEST(no_request_fails_tls) {
  char *text;
  const char *cert = ops_path("cert.pem");
  const char *key = ops_path("key.pem");
  const char *make[] = {"openssl",
                        "req",
                        "-x509",
                        "-newkey",
                        "ec",
                        "-pkeyopt",
                        "ec_paramgen_curve:P-256",
                        "-nodes",
                        "-subj",
                        "/CN=kiln",
                        "-addext",
                        "subjectAltName=IP:127.0.0.1",
                        "-keyout",
                        key,
                        "-out",
                        cert,
                        NULL};
  ck_assert_int_eq(ops_run(make, &text), 0);
  ck_assert_int_eq(chmod(key, 0600), 0);
  harness_use_tls(cert);
  start_with((const char *[]){"--tls-cert", cert, "--tls-key", key, NULL});
  hammer_through(2);
  stop();
}
END_TEST

/* The new one cannot start: the old one goes on, and a later one may do better. */
START_TEST(new_one_fails) {
  const char *path = ops_file("conf", 0644, "queue = 9\n");
  start_with((const char *[]){"--config", path, NULL});
  pid_t old = server.pid;
  ops_file("conf", 0644, "queue = none\n");
  ck_assert_int_eq(kill(old, SIGUSR2), 0);
  ops_await_log(&server, "restart-failed", 1);
  ops_await_log(&server, "it ended before it took requests; this one goes on", 1);
  ck_assert_int_eq(read_pid(), old);
  for (int i = 0; i < 20; i++) {
    http_answer answer = kilnd_ask(&server, (http_ask){.path = "/v1/run", .type = JS, .body = "1"});
    ck_assert_int_eq(answer.status, 200);
    answer_release(&answer);
  }
  size_t descriptors = count_descriptors(old);
  for (size_t i = 2; i < 12; i++) {
    ck_assert_int_eq(kill(old, SIGUSR2), 0);
    ops_await_log(&server, "restart-failed", i);
  }
  ck_assert_uint_le(count_descriptors(old), descriptors + 4);
  ops_file("conf", 0644, "body-max = 7\n");
  restart();
  http_answer answer =
      kilnd_ask(&server, (http_ask){.path = "/v1/run", .type = JS, .body = "12345678"});
  ck_assert_int_eq(answer.status, 413); /* and it has read its file again */
  answer_release(&answer);
  stop();
}
END_TEST

/* What runs when the signal comes is finished by the old one. */
static void *run_long(void *cls) {
  (void)cls;
  http_answer answer = kilnd_ask(
      &server, (http_ask){.path = "/v1/run",
                          .type = JS,
                          .body = "let t = Date.now(); while (Date.now() - t < 2000); 'long'"});
  ck_assert_int_eq(answer.status, 200);
  answer_expect(&answer, "result", "\"long\"");
  answer_release(&answer);
  return NULL;
}

START_TEST(long_jobs_end) {
  pthread_t thread;
  start_with(NULL);
  pthread_create(&thread, NULL, run_long, NULL);
  kilnd_await_stat(&server, "kiln.jobs_running", 1);
  /* A connection that idles, and asks once more after the change. */
  CURL *curl = curl_easy_init();
  http_answer answer = kilnd_ask_on(curl, &server, (http_ask){.path = "/healthz"});
  answer_release(&answer);
  pid_t old = server.pid;
  ck_assert_int_eq(kill(old, SIGUSR2), 0);
  ops_await_log(&server, " leaving ", 1);
  char connection[32];
  answer = kilnd_ask_on(curl, &server, (http_ask){.path = "/v1/run", .type = JS, .body = "1"});
  ck_assert_int_eq(answer.status, 200);
  ck_assert(!answer.connected);
  ck_assert(answer_header(&answer, "Connection", connection, sizeof(connection)));
  ck_assert_str_eq(connection, "close");
  answer_release(&answer);
  answer = kilnd_ask_on(curl, &server, (http_ask){.path = "/v1/run", .type = JS, .body = "1"});
  ck_assert_int_eq(answer.status, 200);
  ck_assert(answer.connected);
  answer_release(&answer);
  curl_easy_cleanup(curl);
  pthread_join(thread, NULL);
  adopt(read_pid());
  ck_assert_int_eq(wait_for(old), 0);
  server.pid = read_pid();
  ck_assert_int_ne(server.pid, old);
  stop();
}
END_TEST

/* SIGTERM while a new one starts: neither is left. */
START_TEST(stopped_while_restarting) {
  start_with(NULL);
  pid_t old = server.pid;
  ck_assert_int_eq(kill(old, SIGUSR2), 0);
  ops_await_log(&server, "restart-started", 1);
  ck_assert_int_eq(kill(old, SIGTERM), 0);
  ck_assert_int_eq(wait_for(old), 0);
  pid_t next = read_pid();
  if (next != old) { /* it was quicker */
    kill(next, SIGTERM);
    wait_for(next);
  }
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  struct sockaddr_in to = {.sin_family = AF_INET,
                           .sin_port = htons((uint16_t)server.port),
                           .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  ck_assert_int_ne(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
  close(fd);
  kilnd_remove(&server);
}
END_TEST

/* ---- systemd's part, played by the test */

static int listening(unsigned *ret_port) {
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof(at);
  int fd = socket(AF_INET, SOCK_STREAM, 0); /* blocking, as systemd's are */
  ck_assert_int_eq(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
  ck_assert_int_eq(listen(fd, 64), 0);
  ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&at, &size), 0);
  *ret_port = ntohs(at.sin_port);
  return fd;
}

static int notify_socket(struct sockaddr_un *ret_at) {
  int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  *ret_at = (struct sockaddr_un){.sun_family = AF_UNIX};
  snprintf(ret_at->sun_path, sizeof(ret_at->sun_path), "%s/notify", ops_dir());
  ck_assert_int_eq(bind(fd, (struct sockaddr *)ret_at, sizeof(*ret_at)), 0);
  return fd;
}

static void expect_told(int fd, const char *words) {
  char text[512];
  struct pollfd entry = {.fd = fd, .events = POLLIN};
  ck_assert_msg(poll(&entry, 1, 20000) == 1, "not told '%s'", words);
  ssize_t got = recv(fd, text, sizeof(text) - 1, 0);
  ck_assert_int_gt(got, 0);
  text[got] = '\0';
  ck_assert_msg(strstr(text, words) != NULL, "told '%s', not '%s'", text, words);
}

static pid_t activate(int listen_fd, const char *fds, const char *notify, int *ret_out) {
  int ends[2];
  pid_t parent = getpid();
  ck_assert_int_eq(pipe(ends), 0);
  pid_t pid = fork();
  if (pid == 0) {
    char own[16];
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(126);
    int copy = fcntl(listen_fd, F_DUPFD, 64);
    dup2(ends[1], STDOUT_FILENO);
    dup2(ends[1], STDERR_FILENO);
    dup2(copy, 3);
    snprintf(own, sizeof(own), "%d", (int)getpid());
    setenv("LISTEN_PID", own, 1);
    setenv("LISTEN_FDS", fds, 1);
    setenv("LISTEN_FDNAMES", "kilnd.socket", 1);
    if (notify != NULL) setenv("NOTIFY_SOCKET", notify, 1);
    execl(harness_kilnd(), "kilnd", "--no-store", "--pid-file", pid_path, (char *)NULL);
    _exit(127);
  }
  close(ends[1]);
  *ret_out = ends[0];
  return pid;
}

START_TEST(socket_activation) {
  struct sockaddr_un at;
  int out;
  unsigned port = 0;
  int notify = notify_socket(&at);
  int fd = listening(&port);
  pid_path = ops_path("pid");
  ck_assert_int_eq(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
  atexit(end_ours);
  /* A client that came before kilnd. */
  server = (kilnd){.port = port};
  int early = raw_connect(&server);
  raw_text(early, "GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n");
  pid_t pid = activate(fd, "1", at.sun_path, &out);
  expect_told(notify, "READY=1\nSTATUS=serving on 127.0.0.1:");
  char *answer = ops_keep(raw_read_answer(early, 10000));
  ck_assert_msg(strncmp(answer, "HTTP/1.1 200 ", 13) == 0, "%s", answer);
  close(early);
  /* Engines get neither the socket nor the variables. */
  char path[64], text[65536];
  http_answer run = kilnd_ask(&server, (http_ask){.path = "/v1/run", .type = JS, .body = "1"});
  ck_assert_int_eq(run.status, 200);
  answer_release(&run);
  snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)pid, (int)pid);
  FILE *in = fopen(path, "re");
  int child = 0;
  while (in != NULL && fscanf(in, "%d", &child) == 1) {
    snprintf(path, sizeof(path), "/proc/%d/environ", child);
    FILE *variables = fopen(path, "re");
    size_t length = variables != NULL ? fread(text, 1, sizeof(text) - 1, variables) : 0;
    ck_assert_ptr_null(memmem(text, length, "LISTEN_FDS", 10));
    ck_assert_ptr_null(memmem(text, length, "NOTIFY_SOCKET", 13));
    if (variables != NULL) fclose(variables);
  }
  if (in != NULL) fclose(in);

  ck_assert_int_eq(kill(pid, SIGHUP), 0);
  expect_told(notify, "RELOADING=1\nMONOTONIC_USEC=");
  expect_told(notify, "READY=1");
  ck_assert_int_eq(kill(pid, SIGUSR2), 0);
  expect_told(notify, "MAINPID=");
  pid_t next = read_pid();
  ck_assert_int_ne(next, pid);
  adopt(next);
  ck_assert_int_eq(wait_for(pid), 0);
  run = kilnd_ask(&server, (http_ask){.path = "/v1/run", .type = JS, .body = "1"});
  ck_assert_int_eq(run.status, 200);
  answer_release(&run);
  ck_assert_int_eq(kill(next, SIGTERM), 0);
  expect_told(notify, "STOPPING=1");
  ck_assert_int_eq(wait_for(next), 0);
  /* The socket is systemd's: who comes now waits for the next start. */
  int late = raw_connect(&server);
  raw_text(late, "GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n");
  close(out);
  pid = activate(fd, "1", at.sun_path, &out);
  expect_told(notify, "READY=1");
  answer = ops_keep(raw_read_answer(late, 10000));
  ck_assert_msg(strncmp(answer, "HTTP/1.1 200 ", 13) == 0, "%s", answer);
  close(late);
  ck_assert_int_eq(kill(pid, SIGTERM), 0);
  ck_assert_int_eq(wait_for(pid), 0);
  close(out);
  close(fd);
  close(notify);
}
END_TEST

static void expect_not_started(int fd, const char *fds, const char *words) {
  char text[1024] = "";
  int out;
  pid_path = ops_path("pid");
  pid_t pid = activate(fd, fds, NULL, &out);
  ck_assert_int_eq(wait_for(pid), 1);
  (void)!read(out, text, sizeof(text) - 1);
  ck_assert_msg(strstr(text, words) != NULL, "no '%s' in: %s", words, text);
  close(out);
}

START_TEST(wrong_sockets) {
  struct sockaddr_un at = {.sun_family = AF_UNIX};
  unsigned port = 0;
  int fd = listening(&port);
  expect_not_started(fd, "2", "LISTEN_FDS: 2 sockets, kilnd serves one");
  int plain = socket(AF_INET, SOCK_STREAM, 0);
  expect_not_started(plain, "1", "is no listening socket");
  int file = open("/dev/null", O_RDWR);
  expect_not_started(file, "1", "is no listening socket");
  int local = socket(AF_UNIX, SOCK_STREAM, 0);
  snprintf(at.sun_path, sizeof(at.sun_path), "%s/socket", ops_dir());
  ck_assert_int_eq(bind(local, (struct sockaddr *)&at, sizeof(at)), 0);
  ck_assert_int_eq(listen(local, 1), 0);
  expect_not_started(local, "1", "Address family not supported");
}
END_TEST

int main(int argc, char **argv) {
  harness_init(argc, argv);
  Suite *suite = suite_create("server_ops_restart");
  TCase *all = tcase_create("restart");
  tcase_set_timeout(all, 120);
  tcase_add_test(all, no_request_fails);
  tcase_add_test(all, no_request_fails_tls);
  tcase_add_test(all, new_one_fails);
  tcase_add_test(all, long_jobs_end);
  tcase_add_test(all, stopped_while_restarting);
  tcase_add_test(all, socket_activation);
  tcase_add_test(all, wrong_sockets);
  suite_add_tcase(suite, all);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? 0 : 1;
}
