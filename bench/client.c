/* SPDX-License-Identifier: MIT
 *
 * client.c: one HTTP client with one kept connection, by libcurl.
 */
#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "bench/bench.h"

#define BODY_MAX ((size_t)64 << 20)

struct bench_client {
  CURL *curl;
  struct curl_slist *headers;
  size_t capacity;
  bench_answer answer;
};

static size_t take_body(char *data, size_t size, size_t count, void *user) {
  bench_client *client = user;
  bench_file *body = &client->answer.body;
  size_t length = size * count;
  if (length > BODY_MAX - body->length) return 0;
  if (body->length + length + 1 > client->capacity) {
    size_t capacity = 2 * (body->length + length + 1);
    char *grown = realloc(body->data, capacity);
    if (grown == NULL) return 0;
    body->data = grown;
    client->capacity = capacity;
  }
  memcpy(body->data + body->length, data, length);
  body->length += length;
  body->data[body->length] = '\0';
  return length;
}

static size_t take_header(char *line, size_t size, size_t count, void *user) {
  static const char name[] = "Kiln-Key: ";
  bench_client *client = user;
  size_t length = size * count;
  size_t start = sizeof name - 1;
  if (length >= start + 64 && strncasecmp(line, name, start) == 0) {
    memcpy(client->answer.key, line + start, 64);
    client->answer.key[64] = '\0';
  }
  return length;
}

bench_client *bench_client_new(void) {
  return bench_client_of_type("text/javascript");
}

bench_client *bench_client_of_type(const char *type) {
  char *header = bench_format("Content-Type: %s", type);
  bench_client *client = calloc(1, sizeof *client);
  if (client == NULL) bench_die("out of memory");
  client->curl = curl_easy_init();
  client->headers = curl_slist_append(NULL, header);
  free(header);
  if (client->curl == NULL || client->headers == NULL) bench_die("out of memory");
  /* curl would wait for a "100 Continue" before it sends a large body. */
  client->headers = curl_slist_append(client->headers, "Expect:");
  curl_easy_setopt(client->curl, CURLOPT_HTTPHEADER, client->headers);
  curl_easy_setopt(client->curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(client->curl, CURLOPT_TIMEOUT_MS, 60000L);
  curl_easy_setopt(client->curl, CURLOPT_WRITEFUNCTION, take_body);
  curl_easy_setopt(client->curl, CURLOPT_WRITEDATA, client);
  curl_easy_setopt(client->curl, CURLOPT_HEADERFUNCTION, take_header);
  curl_easy_setopt(client->curl, CURLOPT_HEADERDATA, client);
  return client;
}

void bench_client_free(bench_client *client) {
  if (client == NULL) return;
  curl_easy_cleanup(client->curl);
  curl_slist_free_all(client->headers);
  free(client->answer.body.data);
  free(client);
}

static const bench_answer *ask(bench_client *client, const char *url, long status) {
  long got = 0;
  client->answer.body.length = 0;
  client->answer.key[0] = '\0';
  curl_easy_setopt(client->curl, CURLOPT_URL, url);
  CURLcode code = curl_easy_perform(client->curl);
  if (code != CURLE_OK) bench_die("'%s': %s", url, curl_easy_strerror(code));
  curl_easy_getinfo(client->curl, CURLINFO_RESPONSE_CODE, &got);
  if (got != status) {
    bench_die("'%s' answered %ld: %.200s", url, got,
              client->answer.body.length > 0 ? client->answer.body.data : "");
  }
  return &client->answer;
}

const bench_answer *bench_post(bench_client *client, const char *url, const char *source,
                               size_t length, long status) {
  curl_easy_setopt(client->curl, CURLOPT_POSTFIELDS, source);
  curl_easy_setopt(client->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)length);
  return ask(client, url, status);
}

const bench_answer *bench_get(bench_client *client, const char *url, long status) {
  curl_easy_setopt(client->curl, CURLOPT_HTTPGET, 1L);
  return ask(client, url, status);
}
