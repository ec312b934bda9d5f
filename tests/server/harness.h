/* SPDX-License-Identifier: MIT
 *
 * harness.h: a real kilnd with a real engine for a test: started on a free port, spoken to with
 * libcurl or over a bare socket, stopped by its pid. Failures end the test (check's ck_assert).
 */
#ifndef KILN_TESTS_SERVER_HARNESS_H
#define KILN_TESTS_SERVER_HARNESS_H

#include <check.h>
#include <curl/curl.h>
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "tests/temporary.h"

typedef struct kilnd {
  pid_t pid;
  unsigned port;
  char dir[TEMPORARY_PATH]; /* a temporary directory: store/ and log in it */
  char store[TEMPORARY_PATH + 8];
  char log[TEMPORARY_PATH + 8];
  const char *ca; /* NULL: plain HTTP */
} kilnd;

/* argv of the test program: the paths of kilnd and kiln-engine. */
void harness_init(int argc, char **argv);
const char *harness_kilnd(void);

/* From now on kilnds that are started speak TLS, by options of the test's, with a certificate that
 * this file vouches for; NULL: no more. */
void harness_use_tls(const char *ca);

/* Starts kilnd with these options besides --listen, --store and --engine; NULL ends them. */
void kilnd_start(kilnd *server, const char *const *options);
/* Starts it again on the same store. */
void kilnd_restart(kilnd *server, const char *const *options);
/* SIGTERM; its exit status. */
int kilnd_stop(kilnd *server);
int kilnd_wait(kilnd *server);    /* exit status, or 128 + the signal */
void kilnd_remove(kilnd *server); /* the temporary directory */
char *kilnd_copy_log(const kilnd *server);

typedef struct http_answer {
  long status;
  char *body;
  size_t length;
  char *head;
  double ms;
  bool connected; /* a new connection was made for it */
  CURLcode code;
} http_answer;

typedef struct http_ask {
  const char *method; /* NULL: GET, or POST with a body */
  const char *path;
  const char *body;
  size_t length; /* 0: strlen(body) */
  const char *type;
  const char *headers[8];
  bool chunked;
  bool may_fail; /* the connection may break */
} http_ask;

/* One request on a connection of its own. */
http_answer kilnd_ask(const kilnd *server, http_ask ask);
/* One request on a handle kept by the caller, hence on its connection. */
http_answer kilnd_ask_on(CURL *curl, const kilnd *server, http_ask ask);
void answer_release(http_answer *answer);

/* A header's value, into `ret_value`; false: not there. */
bool answer_header(const http_answer *answer, const char *name, char *ret_value, size_t size);
json_t *answer_json(const http_answer *answer); /* to be released with json_decref() */
/* The string at "a.b.c" of the JSON body equals `wanted`. */
void answer_expect(const http_answer *answer, const char *path, const char *wanted);
/* An error with this status and code. */
void answer_expect_error(const http_answer *answer, long status, const char *code);

/* A member of /v1/stats: "kiln.jobs", "server.connections". */
long long kilnd_stat(const kilnd *server, const char *path);
/* Asks again until it is so, for up to ten seconds. */
void kilnd_await_stat(const kilnd *server, const char *path, long long wanted);

/* A bare connection. */
int raw_connect(const kilnd *server);
void raw_send(int fd, const void *data, size_t length);
void raw_text(int fd, const char *text);
/* Reads until the other side closes or `limit_ms` passed; *ret_closed tells which. */
char *raw_read_all(int fd, int limit_ms, bool *ret_closed);
/* Reads one answer with a Content-Length. */
char *raw_read_answer(int fd, int limit_ms);

size_t count_descriptors(pid_t pid);
double now_ms(void);

#define JS "text/javascript"
#define JSON "application/json"

#endif
