/* SPDX-License-Identifier: MIT
 *
 * area.c: the memory that blobs are served from, and the way from there to sockets: real TCP over
 * loopback, read slowly or late, while the memory is given back and used again.
 */
#include "server/area.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/blob.h"

#define HALF (SRV_AREA_SLOT / 2)
#define SLOTS 10 /* of an area for 16 MiB */

static void open_area(void) {
  srv_area_open(8 * SRV_AREA_SLOT, /* rest_ms= */ 0);
}

static void open_resting_area(void) {
  srv_area_open(8 * SRV_AREA_SLOT, /* rest_ms= */ 3600000);
}

/* ---- the memory */

START_TEST(small_pieces_share_a_slot) {
  char *one = srv_area_take(1);
  char *two = srv_area_take(5000);
  char *three = srv_area_take(1);
  ck_assert_ptr_nonnull(one);
  ck_assert_uint_eq((uintptr_t)one % SRV_AREA_SLOT, 0);
  ck_assert_ptr_eq(two, one + 4096);
  ck_assert_ptr_eq(three, one + 3 * 4096);
  *one = 'x';
  srv_area_release(one);
  srv_area_release(three);
  ck_assert_int_eq(*one, 'x'); /* there is still a piece in this slot */
  srv_area_release(two);
  ck_assert_int_eq(*one, 0); /* given back */
  ck_assert_ptr_eq(srv_area_take(HALF), one);
  srv_area_release(one);
}
END_TEST

START_TEST(large_pieces_have_slots_of_their_own) {
  char *small = srv_area_take(100);
  char *large = srv_area_take(2 * SRV_AREA_SLOT + 1);
  char *next = srv_area_take(HALF + 1);
  ck_assert_uint_eq((uintptr_t)large % SRV_AREA_SLOT, 0);
  ck_assert_uint_eq((uintptr_t)next % SRV_AREA_SLOT, 0);
  ck_assert(next >= large + 3 * SRV_AREA_SLOT || next + SRV_AREA_SLOT <= large);
  ck_assert(small + SRV_AREA_SLOT <= large || small >= large + 3 * SRV_AREA_SLOT);
  memset(large, 1, 2 * SRV_AREA_SLOT + 1);
  srv_area_release(large);
  ck_assert_int_eq(large[2 * SRV_AREA_SLOT], 0);
  ck_assert_ptr_eq(srv_area_take(3 * SRV_AREA_SLOT), large);
  srv_area_release(large);
  srv_area_release(next);
  srv_area_release(small);
}
END_TEST

START_TEST(no_room_is_no_error) {
  char *taken[SLOTS];
  ck_assert_ptr_null(srv_area_take(0));
  ck_assert_ptr_null(srv_area_take(SIZE_MAX));
  ck_assert_ptr_null(srv_area_take(SLOTS * SRV_AREA_SLOT + 1));
  for (size_t i = 0; i < SLOTS; i++) {
    taken[i] = srv_area_take(SRV_AREA_SLOT);
    ck_assert_ptr_nonnull(taken[i]);
  }
  ck_assert_ptr_null(srv_area_take(SRV_AREA_SLOT));
  ck_assert_ptr_null(srv_area_take(1));
  srv_area_release(taken[3]);
  srv_area_release(taken[5]);
  ck_assert_ptr_null(srv_area_take(2 * SRV_AREA_SLOT)); /* not in a row */
  ck_assert_ptr_eq(srv_area_take(1), taken[3]);
  srv_area_release(taken[4]);
  ck_assert_ptr_eq(srv_area_take(2 * SRV_AREA_SLOT), taken[4]);
  for (size_t i = 0; i < SLOTS; i++)
    if (i != 5) srv_area_release(taken[i]);
  char *all = srv_area_take(SLOTS * SRV_AREA_SLOT);
  ck_assert_ptr_nonnull(all);
  srv_area_release(all);
}
END_TEST

START_TEST(has_its_own_addresses_only) {
  static char other[16];
  char *one = srv_area_take(SLOTS * SRV_AREA_SLOT);
  ck_assert(srv_area_has(one));
  ck_assert(srv_area_has(one + SLOTS * SRV_AREA_SLOT - 1));
  ck_assert(!srv_area_has(one - 1));
  ck_assert(!srv_area_has(one + SLOTS * SRV_AREA_SLOT));
  ck_assert(!srv_area_has(other));
  ck_assert(!srv_area_has(NULL));
  srv_area_release(one);
}
END_TEST

START_TEST(what_is_given_back_rests) {
  char *one = srv_area_take(HALF);
  char *two = srv_area_take(SRV_AREA_SLOT);
  char *three = srv_area_take(2 * SRV_AREA_SLOT);
  srv_area_release(one);
  srv_area_release(three);
  for (size_t i = 0; i < SLOTS - 4; i++) {
    char *next = srv_area_take(SRV_AREA_SLOT);
    ck_assert_ptr_nonnull(next);
    ck_assert(next != one && next != three && next != three + SRV_AREA_SLOT);
  }
  ck_assert_ptr_null(srv_area_take(SRV_AREA_SLOT));
  ck_assert_ptr_null(srv_area_take(1));
  srv_area_release(two);
  ck_assert_ptr_null(srv_area_take(1));
}
END_TEST

/* In a process that never opened one. */
START_TEST(without_an_area) {
  static char noise[100000];
  ck_assert(!srv_area_has(noise));
  ck_assert(!srv_area_has(NULL));
  ck_assert_ptr_null(srv_area_take(1));
  kiln_bytes *bytes = kiln_bytes_new(noise, sizeof(noise));
  srv_blob *blob = srv_blob_new(bytes);
  ck_assert_ptr_eq(srv_blob_get(blob).data, kiln_bytes_get(bytes).data);
  kiln_bytes_unref(bytes);
  ck_assert_uint_eq(srv_blob_get(blob).length, sizeof(noise));
  srv_blob_unref(blob);
}
END_TEST

/* ---- on the way */

typedef struct wire {
  int out; /* does not block */
  int in;
} wire;

static wire connect_pair(int buffer) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof(address);
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  wire pair = {.in = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  if (buffer > 0) {
    setsockopt(listener, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer));
    setsockopt(pair.in, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof(buffer));
  }
  ck_assert_int_eq(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
  ck_assert_int_eq(listen(listener, 1), 0);
  ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&address, &length), 0);
  ck_assert_int_eq(connect(pair.in, (struct sockaddr *)&address, length), 0);
  pair.out = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
  ck_assert_int_ge(pair.out, 0);
  close(listener);
  return pair;
}

static void close_pair(wire *pair) {
  close(pair->out);
  close(pair->in);
}

static char noise_at(size_t i, unsigned seed) {
  return (char)((i * 2654435761u + seed) >> 13);
}

static srv_blob *make_blob(size_t length, unsigned seed) {
  char *text = malloc(length);
  for (size_t i = 0; i < length; i++) text[i] = noise_at(i, seed);
  kiln_bytes *bytes = kiln_bytes_new(text, length);
  srv_blob *blob = srv_blob_new(bytes);
  kiln_bytes_unref(bytes);
  free(text);
  ck_assert_ptr_nonnull(blob);
  return blob;
}

/* Reads what is there, which continues at `from`; its length. */
static size_t read_some(const wire *pair, size_t most, size_t from, unsigned seed) {
  static char got[1 << 16];
  if (most > sizeof(got)) most = sizeof(got);
  ssize_t length = recv(pair->in, got, most, MSG_DONTWAIT);
  if (length < 0) ck_assert_int_eq(errno, EAGAIN);
  for (ssize_t i = 0; i < length; i++) {
    if (got[i] != noise_at(from + (size_t)i, seed)) {
      ck_abort_msg("byte %zu is another", from + (size_t)i);
    }
  }
  return length < 0 ? 0 : (size_t)length;
}

/* Sends all of the blob as MHD does: head and body, then the rest, whenever there is room; the
 * reader takes at most `step` bytes at a time. */
static void exchange(const wire *pair, srv_blob *blob, size_t offset, unsigned seed, size_t step) {
  static char head[] = "HTTP/1.1 200 OK\r\n\r\n";
  const size_t head_length = sizeof(head) - 1;
  kiln_span all = srv_blob_get(blob);
  union {
    const char *in;
    void *out;
  } body = {.in = all.data + offset};
  size_t length = all.length - offset;
  struct iovec parts[] = {{head, head_length}, {body.out, length}};
  struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
  ssize_t sent = sendmsg(pair->out, &message, MSG_NOSIGNAL);
  ck_assert_int_ge(sent, (int)head_length);
  char got[sizeof(head)] = {0};
  ck_assert_int_eq(recv(pair->in, got, head_length, MSG_WAITALL), (int)head_length);
  ck_assert_str_eq(got, head);

  size_t gone = (size_t)sent - head_length;
  size_t have = 0;
  while (have < length) {
    struct pollfd ends[] = {{.fd = pair->out, .events = gone < length ? POLLOUT : 0},
                            {.fd = pair->in, .events = POLLIN}};
    ck_assert_int_gt(poll(ends, 2, 10000), 0);
    if (ends[0].revents & POLLOUT) {
      sent = send(pair->out, all.data + offset + gone, length - gone, MSG_NOSIGNAL);
      if (sent < 0) ck_assert_int_eq(errno, EAGAIN);
      if (sent > 0) gone += (size_t)sent;
    }
    if (ends[1].revents & POLLIN) have += read_some(pair, step, offset + have, seed);
  }
  ck_assert_uint_eq(gone, length);
  ck_assert_uint_eq(read_some(pair, 1, 0, seed), 0);
}

static const struct {
  size_t length, offset;
  int buffer; /* of both sockets; 0: the system's */
  size_t step;
} exchanges[] = {
    {40000, 0, 0, 65536},        {100000, 1, 0, 65536},
    {1 << 20, 0, 0, 65536},      {(1 << 20) + 77, 4097, 0, 8192},
    {(1 << 20) + 77, 0, 1, 777}, /* 1: the smallest there are */
    {9 << 20, 0, 0, 65536},      {9 << 20, 12345, 200000, 30000},
    {12 << 20, 0, 40000, 65536},
};

START_TEST(all_arrives) {
  wire pair = connect_pair(exchanges[_i].buffer);
  srv_blob *blob = make_blob(exchanges[_i].length, (unsigned)_i);
  ck_assert(srv_area_has(srv_blob_get(blob).data));
  for (int round = 0; round < 3; round++)
    exchange(&pair, blob, exchanges[_i].offset, (unsigned)_i, exchanges[_i].step);
  srv_blob_unref(blob);
  close_pair(&pair);
}
END_TEST

START_TEST(all_arrives_without_room_for_pipes) {
  wire pair = connect_pair(0);
  srv_blob *blob = make_blob(3 << 20, 5);
  int last = dup(pair.in);
  struct rlimit before, limit;
  ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
  limit = (struct rlimit){.rlim_cur = (rlim_t)last, .rlim_max = before.rlim_max};
  close(last);
  ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
  ck_assert_int_eq(open("/dev/null", O_RDONLY), -1);
  exchange(&pair, blob, 0, 5, 65536);
  ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0); /* leak checkers open files */
  srv_blob_unref(blob);
  close_pair(&pair);
}
END_TEST

/* Nothing was copied: who wrote into the memory now, as nobody does, would change what arrives. */
START_TEST(pages_are_handed_on) {
  enum { kLength = 100000 };
  wire pair = connect_pair(0);
  char *data = srv_area_take(kLength);
  memset(data, 'a', kLength);
  ck_assert_int_eq(send(pair.out, data, kLength, MSG_NOSIGNAL), kLength);
  memset(data, 'b', kLength);
  for (size_t have = 0; have < kLength;) {
    char got[4096];
    ssize_t length = recv(pair.in, got, sizeof(got), 0);
    ck_assert_int_gt(length, 0);
    ck_assert_int_eq(got[0], 'b');
    ck_assert_int_eq(got[length - 1], 'b');
    have += (size_t)length;
  }
  srv_area_release(data);
  close_pair(&pair);
}
END_TEST

/* What is in the kernel's buffers stays as it was, whatever becomes of the memory. */
START_TEST(sent_is_sent) {
  enum { kLength = 1 << 20, kRounds = 50 };
  for (unsigned round = 0; round < kRounds; round++) {
    wire pair = connect_pair(0);
    srv_blob *blob = make_blob(kLength, round);
    const char *data = srv_blob_get(blob).data;
    ssize_t sent = send(pair.out, data, kLength, MSG_NOSIGNAL);
    ck_assert_int_gt(sent, 0);
    srv_blob_unref(blob);
    blob = make_blob(kLength, round + 1000);
    ck_assert_ptr_eq(srv_blob_get(blob).data, data); /* the same addresses */
    for (size_t have = 0; have < (size_t)sent;) {
      struct pollfd end = {.fd = pair.in, .events = POLLIN};
      ck_assert_int_eq(poll(&end, 1, 10000), 1);
      have += read_some(&pair, kLength, have, round);
    }
    srv_blob_unref(blob);
    close_pair(&pair);
  }
}
END_TEST

START_TEST(a_reader_that_left) {
  signal(SIGPIPE, SIG_IGN); /* as in kilnd: splice() knows no MSG_NOSIGNAL */
  wire pair = connect_pair(0);
  srv_blob *blob = make_blob(8 << 20, 1);
  kiln_span all = srv_blob_get(blob);
  close(pair.in);
  ssize_t sent = 1;
  while (sent > 0) sent = send(pair.out, all.data, all.length, MSG_NOSIGNAL);
  ck_assert_int_eq(sent, -1);
  ck_assert(errno == EPIPE || errno == ECONNRESET);
  close(pair.out);
  pair = connect_pair(0); /* nothing of the one before is in it */
  exchange(&pair, blob, 0, 1, 65536);
  srv_blob_unref(blob);
  close_pair(&pair);
}
END_TEST

int main(void) {
  Suite *suite = suite_create("area");
  TCase *memory = tcase_create("memory");
  tcase_add_checked_fixture(memory, open_area, NULL);
  tcase_add_test(memory, small_pieces_share_a_slot);
  tcase_add_test(memory, large_pieces_have_slots_of_their_own);
  tcase_add_test(memory, no_room_is_no_error);
  tcase_add_test(memory, has_its_own_addresses_only);
  suite_add_tcase(suite, memory);
  TCase *resting = tcase_create("resting");
  tcase_add_checked_fixture(resting, open_resting_area, NULL);
  tcase_add_test(resting, what_is_given_back_rests);
  suite_add_tcase(suite, resting);
  TCase *without = tcase_create("without");
  tcase_add_test(without, without_an_area);
  suite_add_tcase(suite, without);
  TCase *way = tcase_create("way");
  tcase_set_timeout(way, 60);
  tcase_add_checked_fixture(way, open_area, NULL);
  tcase_add_loop_test(way, all_arrives, 0, (int)(sizeof(exchanges) / sizeof(exchanges[0])));
  tcase_add_test(way, all_arrives_without_room_for_pipes);
  tcase_add_test(way, pages_are_handed_on);
  tcase_add_test(way, sent_is_sent);
  tcase_add_test(way, a_reader_that_left);
  suite_add_tcase(suite, way);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_ENV);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed != 0;
}
