/* SPDX-License-Identifier: MIT
 *
 * cached.c: GET and HEAD of /v1/cachedData/{key}: the table of conditions and ranges, from memory
 * and from the store.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/server/harness.h"

static kilnd server;
static char path[128];
static char key[65];
static char etag[64];
static http_answer baked;

static void bake(void) {
  baked = kilnd_ask(&server, (http_ask){.path = "/v1/createCachedData?filename=c.js",
                                        .type = JS,
                                        .body = "function f(a){return a+1} f(1)"});
  ck_assert_int_eq(baked.status, 200);
  ck_assert(answer_header(&baked, "Kiln-Key", key, sizeof(key)));
  ck_assert(answer_header(&baked, "ETag", etag, sizeof(etag)));
  snprintf(path, sizeof(path), "/v1/cachedData/%s", key);
  ck_assert_uint_gt(baked.length, 100);
}

static void start(void) {
  kilnd_start(&server, (const char *[]){"--hot-ms", "3600000", NULL});
  bake();
}

static void start_cold(void) {
  kilnd_start(&server, (const char *[]){"--hot-max", "0", NULL});
  bake();
}

/* Each blob is read again and again, and is what was kept already. */
static void start_brief(void) {
  kilnd_start(&server, (const char *[]){"--hot-ms", "1", NULL});
  bake();
}

static void stop(void) {
  answer_release(&baked);
  ck_assert_int_eq(kilnd_stop(&server), 0);
  kilnd_remove(&server);
}

START_TEST(get_and_head) {
  for (int round = 0; round < 3; round++) {
    char value[128];
    http_answer answer = kilnd_ask(&server, (http_ask){.path = path});
    ck_assert_int_eq(answer.status, 200);
    ck_assert_uint_eq(answer.length, baked.length);
    ck_assert_mem_eq(answer.body, baked.body, baked.length);
    ck_assert(answer_header(&answer, "ETag", value, sizeof(value)));
    ck_assert_str_eq(value, etag);
    ck_assert(answer_header(&answer, "Accept-Ranges", value, sizeof(value)));
    ck_assert_str_eq(value, "bytes");
    ck_assert(answer_header(&answer, "Cache-Control", value, sizeof(value)));
    ck_assert_ptr_nonnull(strstr(value, "immutable"));
    answer_release(&answer);

    answer = kilnd_ask(&server, (http_ask){.path = path, .method = "HEAD"});
    ck_assert_int_eq(answer.status, 200);
    ck_assert_uint_eq(answer.length, 0);
    ck_assert(answer_header(&answer, "Content-Length", value, sizeof(value)));
    ck_assert_uint_eq(strtoul(value, NULL, 10), baked.length);
    answer_release(&answer);
  }
}
END_TEST

START_TEST(conditions) {
  char same[96], weak[96], list[160], unquoted[96];
  snprintf(same, sizeof(same), "If-None-Match: %s", etag);
  snprintf(weak, sizeof(weak), "If-None-Match: W/%s", etag);
  snprintf(list, sizeof(list), "If-None-Match: \"a\", W/\"b,c\" ,%s", etag);
  snprintf(unquoted, sizeof(unquoted), "If-None-Match: %.*s", (int)strlen(etag) - 2, etag + 1);
  const struct {
    const char *header;
    long status;
  } rows[] = {
      {same, 304},
      {weak, 304},
      {list, 304},
      {"If-None-Match: *", 304},
      {unquoted, 200},
      {"If-None-Match: \"other\"", 200},
      {"If-None-Match: \"", 200},
      {"If-None-Match: W/", 200},
      {"If-None-Match: ,,,", 200},
  };
  for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
    for (int head = 0; head < 2; head++) {
      char value[96];
      http_answer answer = kilnd_ask(
          &server,
          (http_ask){.path = path, .method = head ? "HEAD" : "GET", .headers = {rows[i].header}});
      ck_assert_msg(answer.status == rows[i].status, "%s: %ld", rows[i].header, answer.status);
      ck_assert(answer_header(&answer, "ETag", value, sizeof(value)));
      ck_assert_str_eq(value, etag);
      if (answer.status == 304) ck_assert_uint_eq(answer.length, 0);
      answer_release(&answer);
    }
  }
}
END_TEST

START_TEST(ranges) {
  size_t size = baked.length;
  char last[64], beyond[64], suffix_all[64], if_same[96], if_weak[96];
  snprintf(last, sizeof(last), "Range: bytes=%zu-", size - 1);
  snprintf(beyond, sizeof(beyond), "Range: bytes=%zu-", size);
  snprintf(suffix_all, sizeof(suffix_all), "Range: bytes=-%zu", size + 5);
  snprintf(if_same, sizeof(if_same), "If-Range: %s", etag);
  snprintf(if_weak, sizeof(if_weak), "If-Range: W/%s", etag);
  const struct {
    const char *range;
    const char *condition;
    long status;
    size_t offset;
    size_t length;
  } rows[] = {
      {"Range: bytes=0-0", NULL, 206, 0, 1},
      {"Range: Bytes=0-0", NULL, 206, 0, 1},
      {"Range: bytes=10-19", NULL, 206, 10, 10},
      {"Range: bytes=10-99999999", NULL, 206, 10, size - 10},
      {"Range: bytes=10-99999999999999999999999", NULL, 206, 10, size - 10},
      {"Range: bytes=7-", NULL, 206, 7, size - 7},
      {"Range: bytes=-7", NULL, 206, size - 7, 7},
      {last, NULL, 206, size - 1, 1},
      {suffix_all, NULL, 206, 0, size},
      {beyond, NULL, 416, 0, 0},
      {"Range: bytes=99999999999999999999999-", NULL, 416, 0, 0},
      {"Range: bytes=-0", NULL, 416, 0, 0},
      {"Range: bytes=5-4", NULL, 200, 0, size},
      {"Range: bytes=0-1,5-6", NULL, 200, 0, size},
      {"Range: bytes=", NULL, 200, 0, size},
      {"Range: bytes=a-b", NULL, 200, 0, size},
      {"Range: bytes=-", NULL, 200, 0, size},
      {"Range: lines=0-1", NULL, 200, 0, size},
      {"Range: bytes=0-1", if_same, 206, 0, 2},
      {"Range: bytes=0-1", if_weak, 200, 0, size},
      {"Range: bytes=0-1", "If-Range: Wed, 21 Oct 2015 07:28:00 GMT", 200, 0, size},
  };
  for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
    char value[128], wanted[128];
    http_answer answer =
        kilnd_ask(&server, (http_ask){.path = path, .headers = {rows[i].range, rows[i].condition}});
    ck_assert_msg(answer.status == rows[i].status, "%s: %ld", rows[i].range, answer.status);
    if (answer.status == 416) {
      snprintf(wanted, sizeof(wanted), "bytes */%zu", size);
      ck_assert(answer_header(&answer, "Content-Range", value, sizeof(value)));
      ck_assert_str_eq(value, wanted);
      answer_expect_error(&answer, 416, "ERR_OUT_OF_RANGE");
    } else {
      ck_assert_msg(answer.length == rows[i].length, "%s: %zu", rows[i].range, answer.length);
      ck_assert_mem_eq(answer.body, baked.body + rows[i].offset, rows[i].length);
    }
    if (answer.status == 206) {
      snprintf(wanted, sizeof(wanted), "bytes %zu-%zu/%zu", rows[i].offset,
               rows[i].offset + rows[i].length - 1, size);
      ck_assert(answer_header(&answer, "Content-Range", value, sizeof(value)));
      ck_assert_str_eq(value, wanted);
    }
    answer_release(&answer);
  }
  http_answer answer = kilnd_ask(
      &server, (http_ask){.path = path, .method = "HEAD", .headers = {"Range: bytes=0-0"}});
  ck_assert_int_eq(answer.status, 200); /* ranges are for GET alone */
  answer_release(&answer);
}
END_TEST

START_TEST(hot_is_counted) {
  for (int round = 0; round < 5; round++) {
    http_answer answer = kilnd_ask(&server, (http_ask){.path = path});
    ck_assert_int_eq(answer.status, 200);
    answer_release(&answer);
  }
  ck_assert_int_eq(kilnd_stat(&server, "server.hot_hits"), 4);
}
END_TEST

START_TEST(cold_is_not) {
  for (int round = 0; round < 5; round++) {
    http_answer answer = kilnd_ask(&server, (http_ask){.path = path});
    ck_assert_int_eq(answer.status, 200);
    answer_release(&answer);
  }
  ck_assert_int_eq(kilnd_stat(&server, "server.hot_hits"), 0);
}
END_TEST

/* Blobs of some size, from 1 KiB to above the limit for memfds, whole and by parts. */
START_TEST(sizes) {
  for (int functions = 1; functions <= 4096; functions *= 16) {
    char *source = NULL;
    size_t length = 0;
    char blob_path[128], blob_key[65];
    FILE *out = open_memstream(&source, &length);
    for (int i = 0; i < functions; i++) fprintf(out, "function f%d(a){return a.x%d}\n", i, i);
    fclose(out);
    http_answer made =
        kilnd_ask(&server, (http_ask){.path = "/v1/createCachedData?mode=eager&filename=s.js",
                                      .type = JS,
                                      .body = source,
                                      .length = length});
    ck_assert_int_eq(made.status, 200);
    ck_assert(answer_header(&made, "Kiln-Key", blob_key, sizeof(blob_key)));
    snprintf(blob_path, sizeof(blob_path), "/v1/cachedData/%s", blob_key);
    for (int round = 0; round < 3; round++) {
      http_answer got = kilnd_ask(&server, (http_ask){.path = blob_path});
      ck_assert_uint_eq(got.length, made.length);
      ck_assert_mem_eq(got.body, made.body, made.length);
      answer_release(&got);
      got = kilnd_ask(&server, (http_ask){.path = blob_path, .headers = {"Range: bytes=-99"}});
      ck_assert_uint_eq(got.length, 99);
      ck_assert_mem_eq(got.body, made.body + made.length - 99, 99);
      answer_release(&got);
    }
    answer_release(&made);
    free(source);
  }
}
END_TEST

/* A blob larger than what sockets take at once, by several readers with little room, in turns. */
START_TEST(slow_readers) {
  enum { kLength = 10 << 20, kReaders = 4 };
  char *source = malloc(kLength);
  uint64_t noise = 1;
  for (size_t i = 0; i < kLength; i++) {
    noise = noise * 6364136223846793005u + 1442695040888963407u;
    source[i] = (char)('0' + (noise >> 60) % 10);
  }
  source[0] = source[kLength - 1] = '"';
  http_answer made = kilnd_ask(&server, (http_ask){.path = "/v1/createCachedData?filename=l.js",
                                                   .type = JS,
                                                   .body = source,
                                                   .length = kLength});
  free(source);
  ck_assert_int_eq(made.status, 200);
  ck_assert_uint_gt(made.length, kLength);
  char blob_key[65], get[256];
  ck_assert(answer_header(&made, "Kiln-Key", blob_key, sizeof(blob_key)));
  snprintf(get, sizeof(get), "GET /v1/cachedData/%s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n\r\n",
           blob_key, (unsigned)server.port);

  struct {
    int fd;
    FILE *got;
    char *text;
    size_t length;
  } readers[kReaders];
  for (size_t i = 0; i < kReaders; i++) {
    int room = 20000 << i;
    struct timeval limit = {.tv_sec = 20};
    readers[i].fd = raw_connect(&server);
    setsockopt(readers[i].fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
    setsockopt(readers[i].fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    readers[i].got = open_memstream(&readers[i].text, &readers[i].length);
    raw_text(readers[i].fd, get);
  }
  static char part[100000];
  size_t wanted = 0;
  for (size_t open = kReaders; open > 0;) {
    for (size_t i = 0; i < kReaders; i++) {
      if (readers[i].got == NULL) continue;
      ssize_t length = recv(readers[i].fd, part, sizeof(part) >> i, 0);
      ck_assert_int_gt(length, 0);
      fwrite(part, 1, (size_t)length, readers[i].got);
      fflush(readers[i].got);
      char *body = strstr(readers[i].text, "\r\n\r\n");
      if (body != NULL) wanted = (size_t)(body + 4 - readers[i].text) + made.length;
      if (body == NULL || readers[i].length < wanted) continue;
      fclose(readers[i].got);
      readers[i].got = NULL;
      ck_assert_uint_eq(readers[i].length, wanted);
      ck_assert_mem_eq(readers[i].text + wanted - made.length, made.body, made.length);
      free(readers[i].text);
      close(readers[i].fd);
      open--;
    }
  }
  answer_release(&made);
}
END_TEST

int main(int argc, char **argv) {
  harness_init(argc, argv);
  Suite *suite = suite_create("server cached data");
  TCase *hot = tcase_create("hot");
  tcase_set_timeout(hot, 60);
  tcase_add_checked_fixture(hot, start, stop);
  tcase_add_test(hot, get_and_head);
  tcase_add_test(hot, conditions);
  tcase_add_test(hot, ranges);
  tcase_add_test(hot, hot_is_counted);
  tcase_add_test(hot, sizes);
  tcase_add_test(hot, slow_readers);
  suite_add_tcase(suite, hot);
  TCase *brief = tcase_create("brief");
  tcase_set_timeout(brief, 60);
  tcase_add_checked_fixture(brief, start_brief, stop);
  tcase_add_test(brief, get_and_head);
  tcase_add_test(brief, ranges);
  tcase_add_test(brief, sizes);
  tcase_add_test(brief, slow_readers);
  suite_add_tcase(suite, brief);
  TCase *cold = tcase_create("cold");
  tcase_set_timeout(cold, 60);
  tcase_add_checked_fixture(cold, start_cold, stop);
  tcase_add_test(cold, get_and_head);
  tcase_add_test(cold, conditions);
  tcase_add_test(cold, ranges);
  tcase_add_test(cold, cold_is_not);
  tcase_add_test(cold, sizes);
  tcase_add_test(cold, slow_readers);
  suite_add_tcase(suite, cold);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_ENV);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
