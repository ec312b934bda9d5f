/* SPDX-License-Identifier: MIT
 *
 * harness.c: see harness.h.
 */
#include "tests/server/harness.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char *kilnd_path;
static const char *engine_path;
static const char *tls_ca;

void harness_init(int argc, char **argv) {
  if (argc < 3) {
    fprintf(stderr, "usage: %s KILND KILN-ENGINE\n", argv[0]);
    exit(2);
  }
  kilnd_path = argv[1];
  engine_path = argv[2];
  curl_global_init(CURL_GLOBAL_DEFAULT);
}

void harness_use_tls(const char *ca) {
  tls_ca = ca;
}

const char *harness_kilnd(void) {
  return kilnd_path;
}

double now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

/* ---- the process */

static void read_port(kilnd *server, int fd) {
  char line[128];
  size_t used = 0;
  while (used < sizeof(line) - 1) {
    ssize_t got = read(fd, line + used, 1);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0 || line[used] == '\n') break;
    used++;
  }
  line[used] = '\0';
  const char *head = server->ca != NULL ? "kilnd listening on https://127.0.0.1:"
                                        : "kilnd listening on http://127.0.0.1:";
  if (strncmp(line, head, strlen(head)) != 0) {
    char *log = kilnd_copy_log(server);
    ck_abort_msg("kilnd said '%s'; log: %s", line, log);
  }
  server->port = (unsigned)strtoul(line + strlen(head), NULL, 10);
}

void kilnd_restart(kilnd *server, const char *const *options) {
  const char *argv[64] = {kilnd_path, "--listen", "127.0.0.1:0", "--engine-program", engine_path};
  size_t count = 5;
  bool own_store = true;
  for (size_t i = 0; options != NULL && options[i] != NULL && count < 60; i++) {
    if (strcmp(options[i], "--no-store") == 0) own_store = false;
    argv[count++] = options[i];
  }
  if (own_store) {
    argv[count++] = "--store";
    argv[count++] = server->store;
  }
  int out[2];
  ck_assert_int_eq(pipe2(out, O_CLOEXEC), 0);
  pid_t parent = getpid();
  server->pid = fork();
  ck_assert_int_ge(server->pid, 0);
  if (server->pid == 0) {
    int log = open(server->log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* a failed test leaves nobody behind */
    if (getppid() != parent || log < 0) _exit(126);
    dup2(out[1], STDOUT_FILENO);
    dup2(log, STDERR_FILENO);
    close(log);
    execv(kilnd_path, (char *const *)(uintptr_t)argv);
    _exit(127);
  }
  close(out[1]);
  read_port(server, out[0]);
  close(out[0]);
}

void kilnd_start(kilnd *server, const char *const *options) {
  *server = (kilnd){.ca = tls_ca};
  ck_assert(temporary_make("kilnd-test", server->dir, sizeof(server->dir)));
  snprintf(server->store, sizeof(server->store), "%s/store", server->dir);
  snprintf(server->log, sizeof(server->log), "%s/log", server->dir);
  kilnd_restart(server, options);
}

int kilnd_wait(kilnd *server) {
  int status = 0;
  while (waitpid(server->pid, &status, 0) < 0) ck_assert_int_eq(errno, EINTR);
  server->pid = 0;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int kilnd_stop(kilnd *server) {
  ck_assert_int_eq(kill(server->pid, SIGTERM), 0);
  int status = kilnd_wait(server);
  if (status != 0) {
    char *log = kilnd_copy_log(server);
    fprintf(stderr, "kilnd ended with %d; log: %s\n", status, log);
    free(log);
  }
  return status;
}

void kilnd_remove(kilnd *server) {
  (void)temporary_remove(server->dir);
}

char *kilnd_copy_log(const kilnd *server) {
  struct stat status = {.st_size = 0};
  int fd = open(server->log, O_RDONLY | O_CLOEXEC);
  ck_assert_int_ge(fd, 0);
  ck_assert_int_eq(fstat(fd, &status), 0);
  char *text = malloc((size_t)status.st_size + 1);
  ck_assert_ptr_nonnull(text);
  ssize_t length = read(fd, text, (size_t)status.st_size);
  ck_assert_int_ge(length, 0);
  text[length] = '\0';
  close(fd);
  return text;
}

size_t count_descriptors(pid_t pid) {
  char path[64];
  size_t count = 0;
  snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
  DIR *dir = opendir(path);
  ck_assert_ptr_nonnull(dir);
  while (readdir(dir) != NULL) count++;
  closedir(dir);
  return count - 2;
}

/* ---- HTTP by libcurl */

typedef struct sink {
  char *data;
  size_t length;
} sink;

static size_t pour(char *data, size_t size, size_t count, void *user) {
  sink *into = user;
  size_t more = size * count;
  char *grown = realloc(into->data, into->length + more + 1);
  if (grown == NULL) return 0;
  memcpy(grown + into->length, data, more);
  into->data = grown;
  into->length += more;
  grown[into->length] = '\0';
  return more;
}

typedef struct spring {
  const char *data;
  size_t left;
} spring;

static size_t draw(char *data, size_t size, size_t count, void *user) {
  spring *from = user;
  size_t piece = size * count < from->left ? size * count : from->left;
  memcpy(data, from->data, piece);
  from->data += piece;
  from->left -= piece;
  return piece;
}

http_answer kilnd_ask_on(CURL *curl, const kilnd *server, http_ask ask) {
  char url[2048];
  char line[256];
  struct curl_slist *headers = curl_slist_append(NULL, "Expect:");
  sink body = {0};
  sink head = {0};
  spring source = {ask.body, ask.length > 0 ? ask.length : ask.body != NULL ? strlen(ask.body) : 0};
  snprintf(url, sizeof(url), "%s://127.0.0.1:%u%s", server->ca != NULL ? "https" : "http",
           server->port, ask.path);
  curl_easy_reset(curl);
  if (server->ca != NULL) curl_easy_setopt(curl, CURLOPT_CAINFO, server->ca);
  curl_easy_setopt(curl, CURLOPT_URL, url);
  curl_easy_setopt(curl, CURLOPT_PROXY, "");
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, 60000L);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, pour);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &body);
  curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, pour);
  curl_easy_setopt(curl, CURLOPT_HEADERDATA, &head);
  if (ask.type != NULL) {
    snprintf(line, sizeof(line), "Content-Type: %s", ask.type);
    headers = curl_slist_append(headers, line);
  } else if (ask.body != NULL) {
    headers = curl_slist_append(headers, "Content-Type:");
  }
  for (size_t i = 0; i < 8 && ask.headers[i] != NULL; i++)
    headers = curl_slist_append(headers, ask.headers[i]);
  if (ask.body != NULL && ask.chunked) {
    headers = curl_slist_append(headers, "Transfer-Encoding: chunked");
    curl_easy_setopt(curl, CURLOPT_POST, 1L);
    curl_easy_setopt(curl, CURLOPT_READFUNCTION, draw);
    curl_easy_setopt(curl, CURLOPT_READDATA, &source);
  } else if (ask.body != NULL) {
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, ask.body);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)source.left);
  }
  if (ask.method != NULL && strcmp(ask.method, "HEAD") == 0)
    curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
  else if (ask.method != NULL)
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, ask.method);
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);

  http_answer answer = {.ms = now_ms()};
  long connects = 0;
  answer.code = curl_easy_perform(curl);
  answer.ms = now_ms() - answer.ms;
  curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &answer.status);
  curl_easy_getinfo(curl, CURLINFO_NUM_CONNECTS, &connects);
  answer.connected = connects > 0;
  answer.body = body.data != NULL ? body.data : strdup("");
  answer.length = body.length;
  answer.head = head.data != NULL ? head.data : strdup("");
  curl_slist_free_all(headers);
  if (!ask.may_fail)
    ck_assert_msg(answer.code == CURLE_OK, "%s %s: %s", ask.method != NULL ? ask.method : "",
                  ask.path, curl_easy_strerror(answer.code));
  return answer;
}

http_answer kilnd_ask(const kilnd *server, http_ask ask) {
  CURL *curl = curl_easy_init();
  ck_assert_ptr_nonnull(curl);
  http_answer answer = kilnd_ask_on(curl, server, ask);
  curl_easy_cleanup(curl);
  return answer;
}

void answer_release(http_answer *answer) {
  free(answer->body);
  free(answer->head);
  answer->body = answer->head = NULL;
}

bool answer_header(const http_answer *answer, const char *name, char *ret_value, size_t size) {
  size_t length = strlen(name);
  for (const char *line = answer->head; line != NULL && *line != '\0';) {
    if (strncasecmp(line, name, length) == 0 && line[length] == ':') {
      const char *value = line + length + 1 + strspn(line + length + 1, " ");
      snprintf(ret_value, size, "%.*s", (int)strcspn(value, "\r\n"), value);
      return true;
    }
    line = strchr(line, '\n');
    if (line != NULL) line++;
  }
  return false;
}

json_t *answer_json(const http_answer *answer) {
  json_error_t error;
  json_t *root = json_loadb(answer->body, answer->length, JSON_ALLOW_NUL, &error);
  ck_assert_msg(root != NULL, "no JSON: %s: %.500s", error.text, answer->body);
  return root;
}

static json_t *member(json_t *root, const char *path) {
  char name[128];
  json_t *at = root;
  while (at != NULL && *path != '\0') {
    size_t length = strcspn(path, ".");
    snprintf(name, sizeof(name), "%.*s", (int)length, path);
    at =
        json_is_array(at) ? json_array_get(at, strtoul(name, NULL, 10)) : json_object_get(at, name);
    path += length;
    if (*path == '.') path++;
  }
  return at;
}

void answer_expect(const http_answer *answer, const char *path, const char *wanted) {
  json_t *root = answer_json(answer);
  json_t *found = member(root, path);
  ck_assert_msg(found != NULL, "no '%s' in %.500s", path, answer->body);
  char *text = json_dumps(found, JSON_ENCODE_ANY | JSON_COMPACT);
  ck_assert_msg(strcmp(text, wanted) == 0, "'%s' is %s, not %s, in %.800s", path, text, wanted,
                answer->body);
  free(text);
  json_decref(root);
}

void answer_expect_error(const http_answer *answer, long status, const char *code) {
  char quoted[128];
  ck_assert_msg(answer->status == status, "status %ld, not %ld: %.500s", answer->status, status,
                answer->body);
  snprintf(quoted, sizeof(quoted), "\"%s\"", code);
  answer_expect(answer, "error.code", quoted);
}

long long kilnd_stat(const kilnd *server, const char *path) {
  http_answer answer = kilnd_ask(server, (http_ask){.path = "/v1/stats"});
  ck_assert_int_eq(answer.status, 200);
  json_t *root = answer_json(&answer);
  json_t *found = member(root, path);
  ck_assert_msg(json_is_integer(found), "no '%s' in %s", path, answer.body);
  long long value = json_integer_value(found);
  json_decref(root);
  answer_release(&answer);
  return value;
}

void kilnd_await_stat(const kilnd *server, const char *path, long long wanted) {
  double until = now_ms() + 10000;
  long long value;
  while ((value = kilnd_stat(server, path)) != wanted)
    ck_assert_msg(now_ms() < until, "'%s' is %lld, not %lld", path, value, wanted);
}

/* ---- bare sockets */

int raw_connect(const kilnd *server) {
  struct sockaddr_in to = {.sin_family = AF_INET,
                           .sin_port = htons((uint16_t)server->port),
                           .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  ck_assert_int_ge(fd, 0);
  ck_assert_int_eq(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
  return fd;
}

void raw_send(int fd, const void *data, size_t length) {
  const char *at = data;
  while (length > 0) {
    ssize_t sent = send(fd, at, length, MSG_NOSIGNAL);
    if (sent < 0) return; /* closed: what was answered is what counts */
    at += sent;
    length -= (size_t)sent;
  }
}

void raw_text(int fd, const char *text) {
  raw_send(fd, text, strlen(text));
}

static bool answer_complete(const char *text, size_t length) {
  const char *end = strstr(text, "\r\n\r\n");
  const char *field = strcasestr(text, "content-length:");
  if (end == NULL || field == NULL) return false;
  return length >= (size_t)(end + 4 - text) + strtoul(field + 15, NULL, 10);
}

static char *read_until(int fd, int limit_ms, bool one, bool *ret_closed) {
  sink into = {strdup(""), 0};
  double until = now_ms() + limit_ms;
  char piece[65536];
  *ret_closed = false;
  while (now_ms() < until) {
    struct pollfd entry = {.fd = fd, .events = POLLIN};
    if (poll(&entry, 1, (int)(until - now_ms()) + 1) <= 0) continue;
    ssize_t got = recv(fd, piece, sizeof(piece), 0);
    if (got <= 0) {
      *ret_closed = true;
      break;
    }
    pour(piece, 1, (size_t)got, &into);
    if (one && answer_complete(into.data, into.length)) break;
  }
  return into.data;
}

char *raw_read_all(int fd, int limit_ms, bool *ret_closed) {
  return read_until(fd, limit_ms, false, ret_closed);
}

char *raw_read_answer(int fd, int limit_ms) {
  bool closed;
  return read_until(fd, limit_ms, true, &closed);
}
