/* SPDX-License-Identifier: MIT
 *
 * wire_test.c: messages as they are, and as a hostile worker would send them.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "toolkit/bytes.h"
#include "toolkit/job.h"
#include "toolkit/wire.h"

static _Alignas(8) char buffer[KILN_WIRE_BUFFER];
static int ends[2];

static void make_pair(void) {
  ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
}

static void close_pair(void) {
  close(ends[0]);
  close(ends[1]);
}

static kiln_span span(const char *text) {
  return (kiln_span){text, strlen(text)};
}

static bool same(kiln_span a, kiln_span b) {
  return a.length == b.length && (a.length == 0 || memcmp(a.data, b.data, a.length) == 0);
}

static kiln_bytes *filled(size_t length, char with) {
  char *data = malloc(length);
  ck_assert_ptr_nonnull(data);
  memset(data, with, length);
  kiln_bytes *bytes = kiln_bytes_new(data, length);
  free(data);
  ck_assert_ptr_nonnull(bytes);
  return bytes;
}

static size_t open_descriptors(void) {
  size_t count = 0;
  for (int fd = 0; fd < 1024; fd++)
    if (fcntl(fd, F_GETFD) >= 0) count++;
  return count;
}

/* ---- messages ----------------------------------------------------------------------------------
 */

START_TEST(wire_fields_arrive_as_sent) {
  kiln_wire_out out;
  kiln_wire_in in;
  kiln_wire_field field;
  uint64_t number;
  kiln_span text;
  kiln_bytes *small = kiln_bytes_new("abc", 3), *large = filled(100000, 'x'), *got = NULL;
  kiln__wire_out_init(&out, KILN_WIRE_JOB);
  kiln__wire_put_number(&out, 1, 42);
  kiln__wire_put_text(&out, 2, span("hello"));
  kiln__wire_put_bytes(&out, 3, small);
  kiln__wire_put_bytes(&out, 4, large);
  ck_assert(kiln__wire_finish(&out));
  ck_assert_uint_eq(out.held_count, 1);
  ck_assert_int_eq(kiln__wire_send(ends[0], &out, -1, 0), 0);
  kiln__wire_out_release(&out);

  ck_assert_int_eq(kiln__wire_receive(ends[1], buffer, &in, 0), 1);
  ck_assert_int_eq(in.type, KILN_WIRE_JOB);
  ck_assert_int_eq(kiln__wire_next(&in, &field), 1);
  ck_assert(field.tag == 1 && kiln__wire_get_number(&field, 42, &number) && number == 42);
  ck_assert(!kiln__wire_get_number(&field, 41, &number));
  ck_assert_int_eq(kiln__wire_next(&in, &field), 1);
  ck_assert(!kiln__wire_get_number(&field, UINT64_MAX, &number));
  ck_assert(!kiln__wire_get_text(&field, 4, &text));
  ck_assert(kiln__wire_get_text(&field, 5, &text) && same(text, span("hello")));
  ck_assert_int_eq(text.data[5], '\0');
  ck_assert_int_eq(kiln__wire_next(&in, &field), 1);
  ck_assert(kiln__wire_get_bytes(&in, &field, 3, false, &got));
  ck_assert(same(kiln_bytes_get(got), span("abc")));
  kiln_bytes_unref(got);
  ck_assert_int_eq(kiln__wire_next(&in, &field), 1);
  ck_assert(!kiln__wire_get_text(&field, 100000, &text));
  ck_assert(!kiln__wire_get_bytes(&in, &field, 99999, false, &got));
  ck_assert(kiln__wire_get_bytes(&in, &field, 100000, false, &got));
  ck_assert(same(kiln_bytes_get(got), kiln_bytes_get(large)));
  ck_assert_int_ge(kiln__bytes_fd(got), 0); /* the memfd itself came, not a copy */
  kiln_bytes_unref(got);
  ck_assert(!kiln__wire_get_bytes(&in, &field, 100000, false, &got)); /* each only once */
  ck_assert_int_eq(kiln__wire_next(&in, &field), 0);
  kiln__wire_in_release(&in);
  kiln_bytes_unref(small);
  kiln_bytes_unref(large);
}
END_TEST

START_TEST(wire_large_payload_travels_as_memfd) {
  kiln_wire_out out;
  kiln_wire_in in;
  kiln_wire_field field;
  kiln_span text;
  char *long_text = malloc(300000);
  ck_assert_ptr_nonnull(long_text);
  memset(long_text, 'y', 300000);
  kiln__wire_out_init(&out, KILN_WIRE_RESULT);
  kiln__wire_put_text(&out, 7, (kiln_span){long_text, 300000});
  ck_assert(kiln__wire_finish(&out));
  ck_assert_int_eq(kiln__wire_send(ends[0], &out, -1, 0), 0);
  kiln__wire_out_release(&out);
  ck_assert_int_eq(kiln__wire_receive(ends[1], buffer, &in, 0), 1);
  ck_assert_ptr_nonnull(in.mapped);
  ck_assert_int_eq(kiln__wire_next(&in, &field), 1);
  ck_assert(kiln__wire_get_text(&field, 300000, &text));
  ck_assert(same(text, (kiln_span){long_text, 300000}));
  kiln__wire_in_release(&in);
  free(long_text);
}
END_TEST

START_TEST(wire_more_memfds_than_fit_go_inline) {
  kiln_wire_out out;
  kiln_wire_in in;
  kiln_wire_field field;
  kiln_bytes *large = filled(KILN_MEMFD_MIN, 'z'), *got = NULL;
  kiln__wire_out_init(&out, KILN_WIRE_JOB);
  for (int i = 0; i < KILN_WIRE_FDS_MAX + 5; i++) kiln__wire_put_bytes(&out, 1, large);
  ck_assert(kiln__wire_finish(&out));
  ck_assert_int_eq(kiln__wire_send(ends[0], &out, -1, 0), 0);
  kiln__wire_out_release(&out);
  size_t before = open_descriptors();
  ck_assert_int_eq(kiln__wire_receive(ends[1], buffer, &in, 0), 1);
  int count = 0;
  while (kiln__wire_next(&in, &field) == 1) {
    ck_assert(kiln__wire_get_bytes(&in, &field, KILN_MEMFD_MIN, true, &got));
    ck_assert(same(kiln_bytes_get(got), kiln_bytes_get(large)));
    kiln_bytes_unref(got);
    count++;
  }
  ck_assert_int_eq(count, KILN_WIRE_FDS_MAX + 5);
  kiln__wire_in_release(&in);
  ck_assert_uint_eq(open_descriptors(), before);
  kiln_bytes_unref(large);
}
END_TEST

START_TEST(wire_sees_the_peer_go) {
  kiln_wire_in in;
  ck_assert_int_eq(kiln__wire_receive(ends[1], buffer, &in, MSG_DONTWAIT), -EAGAIN);
  close(ends[0]);
  ck_assert_int_eq(kiln__wire_receive(ends[1], buffer, &in, 0), 0);
  kiln_wire_out out;
  kiln__wire_out_init(&out, KILN_WIRE_FORK);
  ck_assert(kiln__wire_finish(&out));
  ck_assert_int_eq(kiln__wire_send(ends[1], &out, -1, 0), -EPIPE); /* and no SIGPIPE */
  kiln__wire_out_release(&out);
}
END_TEST

static void send_raw(const void *data, size_t length, int fd) {
  union {
    char room[CMSG_SPACE(sizeof(int))];
    struct cmsghdr align;
  } control = {{0}};
  struct iovec part = {(void *)(uintptr_t)data, length};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
  if (fd >= 0) {
    message.msg_control = control.room;
    message.msg_controllen = sizeof(control.room);
    struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(rights), &fd, sizeof(int));
  }
  ck_assert_int_eq(sendmsg(ends[0], &message, 0), (ssize_t)length);
}

static const kiln_wire_head good_head = {
    .magic = KILN_WIRE_MAGIC, .protocol = KILN_WIRE_PROTOCOL, .type = KILN_WIRE_RESULT};

START_TEST(wire_refuses_bad_heads) {
  kiln_wire_in in;
  struct {
    const char *what;
    kiln_wire_head head;
    int expected;
  } cases[] = {
      {"magic", good_head, -EPROTO},       {"version", good_head, -EPROTONOSUPPORT},
      {"type 0", good_head, -EPROTO},      {"type past the last", good_head, -EPROTO},
      {"fds", good_head, -EPROTO},         {"length", good_head, -EPROTO},
      {"huge length", good_head, -EPROTO}, {"flags", good_head, -EPROTO},
      {"payload fd", good_head, -EPROTO},
  };
  cases[0].head.magic++;
  cases[1].head.protocol++;
  cases[2].head.type = 0;
  cases[3].head.type = KILN_WIRE_TYPE_LAST + 1;
  cases[4].head.fds = 1;
  cases[5].head.length = 8;
  cases[6].head.length = UINT64_MAX;
  cases[7].head.flags = 2;
  cases[8].head.flags = KILN_WIRE_PAYLOAD_IN_FD;
  for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
    send_raw(&cases[i].head, sizeof(kiln_wire_head), -1);
    int got = kiln__wire_receive(ends[1], buffer, &in, 0);
    ck_assert_msg(got == cases[i].expected, "%s: %d", cases[i].what, got);
  }
  send_raw(&good_head, sizeof(good_head) - 1, -1);
  ck_assert_int_eq(kiln__wire_receive(ends[1], buffer, &in, 0), -EPROTO);
  size_t before = open_descriptors();
  send_raw(&good_head, sizeof(good_head), ends[0]); /* a descriptor nobody announced */
  ck_assert_int_eq(kiln__wire_receive(ends[1], buffer, &in, 0), -EPROTO);
  ck_assert_uint_eq(open_descriptors(), before);
  static char too_long[KILN_WIRE_BUFFER + 100];
  memcpy(too_long, &good_head, sizeof(good_head));
  send_raw(too_long, sizeof(too_long), -1);
  ck_assert_int_eq(kiln__wire_receive(ends[1], buffer, &in, 0), -EPROTO);
}
END_TEST

static int first_field(kiln_wire_field_head head, const char *data, size_t length) {
  struct {
    kiln_wire_head head;
    kiln_wire_field_head field;
    char data[64];
  } message = {.head = good_head, .field = head};
  kiln_wire_in in = {0};
  kiln_wire_field field;
  memcpy(message.data, data, length);
  message.head.length = sizeof(head) + length;
  ck_assert_int_eq(kiln__wire_open(&in, &message, sizeof(message.head) + sizeof(head) + length), 1);
  return kiln__wire_next(&in, &field);
}

START_TEST(wire_refuses_bad_fields) {
  const char zeros[64] = {0};
  const char text[64] = "12345678";
  ck_assert_int_eq(first_field((kiln_wire_field_head){.tag = 1, .length = 7}, zeros, 8), 1);
  ck_assert_int_eq(first_field((kiln_wire_field_head){.tag = 1, .length = 8}, zeros, 8), -1);
  ck_assert_int_eq(first_field((kiln_wire_field_head){.tag = 1, .length = 8}, zeros, 9), -1);
  ck_assert_int_eq(first_field((kiln_wire_field_head){.tag = 1, .length = 7}, text, 8), -1);
  ck_assert_int_eq(first_field((kiln_wire_field_head){.length = UINT64_MAX}, zeros, 8), -1);
  ck_assert_int_eq(first_field((kiln_wire_field_head){.length = UINT64_MAX - 7}, zeros, 8), -1);
  ck_assert_int_eq(first_field((kiln_wire_field_head){.fd = 1, .length = 7}, zeros, 8), -1);
  ck_assert_int_eq(first_field((kiln_wire_field_head){.place = 2, .length = 7}, zeros, 8), -1);
  ck_assert_int_eq(first_field((kiln_wire_field_head){.place = 1, .length = 7}, zeros, 0), -1);
}
END_TEST

/* ---- jobs and results --------------------------------------------------------------------------
 */

/* A job with every field in use. */
static kiln_status encode_full_job(kiln_wire_out *out, kiln_bytes *small, kiln_bytes *large) {
  static const kiln_span params[] = {{"a", 1}, {"b", 1}};
  kiln_job_source modules[] = {{span("./m.mjs"), small}, {span("./n.mjs"), large}};
  kiln_job_source scripts[] = {{span("s.js"), small}, {span("t.js"), large}};
  kiln_job_context contexts[] = {{span("one"), span("{\"x\":1}"), scripts, 2},
                                 {span(""), {NULL, 0}, &scripts[1], 1}};
  kiln_job job = {.op = KILN_JOB_RUN,
                  .kind = KILN_FUNCTION,
                  .mode = KILN_WARM,
                  .source = large,
                  .cached_data = small,
                  .workload = small,
                  .filename = span("file.js"),
                  .line_offset = -3,
                  .column_offset = 7,
                  .params = params,
                  .params_count = 2,
                  .globals_json = span("{}"),
                  .args_json = span("[1,2]"),
                  .modules = modules,
                  .modules_count = 2,
                  .context_name = span("ctx"),
                  .context_origin = span("https://x"),
                  .microtasks_after_evaluate = true,
                  .deny_wasm = true,
                  .eager = true,
                  .contexts = contexts,
                  .contexts_count = 2,
                  .timeout_ms = 100,
                  .heap_max_bytes = 1,
                  .memory_max_bytes = 2,
                  .result_max_bytes = 3,
                  .console_max_bytes = 4};
  return kiln__job_encode(&job, out);
}

START_TEST(job_arrives_as_sent) {
  kiln_bytes *small = kiln_bytes_new("small", 5), *large = filled(70000, 'L');
  kiln_wire_out out;
  kiln_wire_in in;
  kiln_job_frame frame;
  size_t before = open_descriptors();
  ck_assert_int_eq(encode_full_job(&out, small, large), KILN_OK);
  ck_assert_int_eq(kiln__wire_send(ends[0], &out, -1, 0), 0);
  kiln__wire_out_release(&out);
  ck_assert_int_eq(kiln__wire_receive(ends[1], buffer, &in, 0), 1);
  ck_assert(kiln__job_decode(&in, &frame));
  const kiln_job *job = &frame.job;
  ck_assert(job->op == KILN_JOB_RUN && job->kind == KILN_FUNCTION && job->mode == KILN_WARM);
  ck_assert(same(kiln_bytes_get(job->source), kiln_bytes_get(large)));
  ck_assert(same(kiln_bytes_get(job->cached_data), span("small")));
  ck_assert(same(kiln_bytes_get(job->workload), span("small")));
  ck_assert(same(job->filename, span("file.js")));
  ck_assert(job->line_offset == -3 && job->column_offset == 7);
  ck_assert(job->params_count == 2 && same(job->params[1], span("b")));
  ck_assert(same(job->globals_json, span("{}")) && same(job->args_json, span("[1,2]")));
  ck_assert(job->modules_count == 2 && same(job->modules[1].name, span("./n.mjs")));
  ck_assert(same(kiln_bytes_get(job->modules[1].source), kiln_bytes_get(large)));
  ck_assert(same(job->context_name, span("ctx")) && same(job->context_origin, span("https://x")));
  ck_assert(job->microtasks_after_evaluate && !job->deny_strings && job->deny_wasm);
  ck_assert(!job->detailed && job->eager);
  ck_assert(job->contexts_count == 2 && job->contexts[0].scripts_count == 2);
  ck_assert(same(job->contexts[0].globals_json, span("{\"x\":1}")));
  ck_assert(same(job->contexts[0].scripts[1].name, span("t.js")));
  ck_assert(job->contexts[1].scripts_count == 1 && job->contexts[1].globals_json.length == 0);
  ck_assert(same(kiln_bytes_get(job->contexts[1].scripts[0].source), kiln_bytes_get(large)));
  ck_assert(job->timeout_ms == 100 && job->heap_max_bytes == 1 && job->memory_max_bytes == 2);
  ck_assert(job->result_max_bytes == 3 && job->console_max_bytes == 4);
  kiln__job_frame_release(&frame);
  kiln__wire_in_release(&in);
  ck_assert_uint_eq(open_descriptors(), before);
  kiln_bytes_unref(small);
  kiln_bytes_unref(large);
}
END_TEST

static const kiln_job_result_limits limits = {.result_max_bytes = 200000,
                                              .console_max_bytes = 1000};

static bool encode_full_result(kiln_wire_out *out) {
  char *large = malloc(100002);
  ck_assert_ptr_nonnull(large);
  memset(large, 'r', 100002);
  large[0] = large[100001] = '"';
  kiln_job_result result = {.outcome = KILN_OUTCOME_EXCEPTION,
                            .code = "ERR_X",
                            .name = "TypeError",
                            .message = "n\xc3\xa4h \xe2\x82\xac \xf0\x9f\x98\x80",
                            .stack = "TypeError: ...\n  at a",
                            .resource = "a.js",
                            .source_line = "throw 1",
                            .line = 3,
                            .column = 4,
                            .blob = kiln_bytes_new("blob", 4),
                            .result_json = kiln_bytes_new(large, 100002),
                            .globals_json = kiln_bytes_new("{\"a\":1}", 7),
                            .console_json = kiln_bytes_new("[]", 2),
                            .memory_json = kiln_bytes_new("{}", 2),
                            .console_truncated = true,
                            .cached_data_rejected = 1,
                            .times = {.compile_ns = 1, .run_ns = 2, .serialize_ns = 3}};
  free(large);
  bool encoded = kiln__job_result_encode(&result, out);
  kiln__job_result_release(&result);
  return encoded;
}

START_TEST(result_arrives_as_sent) {
  kiln_wire_out out;
  kiln_wire_in in;
  kiln_job_result result;
  ck_assert(encode_full_result(&out));
  ck_assert_int_eq(kiln__wire_send(ends[0], &out, -1, 0), 0);
  kiln__wire_out_release(&out);
  ck_assert_int_eq(kiln__wire_receive(ends[1], buffer, &in, 0), 1);
  ck_assert(kiln__job_result_decode(&in, &limits, &result));
  ck_assert_int_eq(result.outcome, KILN_OUTCOME_EXCEPTION);
  ck_assert_str_eq(result.code, "ERR_X");
  ck_assert_str_eq(result.name, "TypeError");
  ck_assert_str_eq(result.message, "n\xc3\xa4h \xe2\x82\xac \xf0\x9f\x98\x80");
  ck_assert_str_eq(result.stack, "TypeError: ...\n  at a");
  ck_assert_str_eq(result.resource, "a.js");
  ck_assert_str_eq(result.source_line, "throw 1");
  ck_assert(result.line == 3 && result.column == 4 && result.console_truncated);
  ck_assert_int_eq(result.cached_data_rejected, 1);
  ck_assert(same(kiln_bytes_get(result.blob), span("blob")));
  ck_assert_uint_eq(kiln_bytes_get(result.result_json).length, 100002);
  ck_assert(same(kiln_bytes_get(result.globals_json), span("{\"a\":1}")));
  ck_assert(result.times.compile_ns == 1 && result.times.run_ns == 2);
  kiln__job_result_release(&result);
  kiln__wire_in_release(&in);
}
END_TEST

static bool decodes(const kiln_job_result *result) {
  kiln_wire_out out;
  kiln_wire_in in;
  kiln_job_result decoded;
  ck_assert(kiln__job_result_encode(result, &out));
  ck_assert_int_eq(kiln__wire_send(ends[0], &out, -1, 0), 0);
  kiln__wire_out_release(&out);
  ck_assert_int_eq(kiln__wire_receive(ends[1], buffer, &in, 0), 1);
  bool good = kiln__job_result_decode(&in, &limits, &decoded);
  if (good) kiln__job_result_release(&decoded);
  kiln__wire_in_release(&in);
  return good;
}

START_TEST(result_that_lies_is_refused) {
  const kiln_job_result plain = {.cached_data_rejected = -1};
  ck_assert(decodes(&plain));
  static const char *const not_utf8[] = {"\xff",
                                         "\x80",
                                         "\xc0\x80",
                                         "\xed\xa0\x80",
                                         "\xf4\x90\x80\x80",
                                         "abc\xe2\x82",
                                         "\xf5\x80\x80\x80",
                                         "\xe0\x80\x80"};
  for (size_t i = 0; i < sizeof(not_utf8) / sizeof(not_utf8[0]); i++) {
    kiln_job_result bad = plain;
    bad.message = not_utf8[i];
    ck_assert_msg(!decodes(&bad), "text %zu", i);
  }
  static const char *const not_json[] = {"", "{", "1 2", "\"\xff\"", "nul", "[1,]"};
  for (size_t i = 0; i < sizeof(not_json) / sizeof(not_json[0]); i++) {
    kiln_job_result bad = plain;
    bad.result_json = kiln_bytes_new(not_json[i], strlen(not_json[i]));
    ck_assert_msg(!decodes(&bad), "JSON %zu", i);
    kiln_bytes_unref(bad.result_json);
  }
  kiln_job_result bad = plain;
  bad.outcome = KILN_OUTCOME_CRASHED; /* only the pool says so */
  ck_assert(!decodes(&bad));
  bad = plain;
  bad.globals_json = kiln_bytes_new("[]", 2); /* not an object */
  ck_assert(!decodes(&bad));
  kiln_bytes_unref(bad.globals_json);
  bad = plain;
  bad.result_json = filled(200001, '1'); /* one byte over the limit */
  ck_assert(!decodes(&bad));
  kiln_bytes_unref(bad.result_json);
  bad = plain;
  bad.times.run_ns = UINT64_MAX;
  ck_assert(!decodes(&bad));
}
END_TEST

/* ---- mutation ----------------------------------------------------------------------------------
 */

static uint64_t random_state;

static uint32_t next_random(void) { /* xorshift64*, so that a seed repeats a run */
  random_state ^= random_state >> 12;
  random_state ^= random_state << 25;
  random_state ^= random_state >> 27;
  return (uint32_t)((random_state * UINT64_C(0x2545f4914f6cdd1d)) >> 32);
}

static size_t mutate(char *data, size_t length) {
  static const uint64_t edges[] = {0, 1, 7, 8, 65535, 65536, INT32_MAX, UINT32_MAX, UINT64_MAX};
  for (uint32_t count = 1 + next_random() % 4; count > 0; count--) {
    size_t at = next_random() % length;
    switch (next_random() % 5) {
      case 0:
        data[at] = (char)next_random();
        break;
      case 1:
        data[at] = (char)(data[at] ^ (1 << (next_random() % 8)));
        break;
      case 2:
        length = at + 1;
        break;
      case 3: {
        const uint64_t edge = edges[next_random() % (sizeof(edges) / sizeof(edges[0]))];
        if (at + 8 <= length) memcpy(data + at / 8 * 8, &edge, sizeof(edge));
        break;
      }
      default: {
        size_t from = next_random() % length;
        size_t size = length - (from > at ? from : at);
        memmove(data + at, data + from, size < 32 ? size : 32);
      }
    }
  }
  return length;
}

/* Mutates a message that is right, 50,000 times each: nothing may crash, read past the end (address
 * sanitizer) or leave a descriptor open. */
static void replay(const kiln_wire_out *out, uint64_t seed) {
  char *data = malloc(out->length);
  ck_assert_ptr_nonnull(data);
  size_t before = open_descriptors();
  size_t accepted = 0;
  random_state = seed;
  for (int round = 0; round < 50000; round++) {
    memcpy(data, out->data, out->length);
    size_t length = mutate(data, out->length);
    char *exact = malloc(length); /* so that the sanitizer sees the very end */
    ck_assert_ptr_nonnull(exact);
    memcpy(exact, data, length);
    /* Let the head agree more often than chance would. */
    kiln_wire_head head;
    if (length >= sizeof(head) && next_random() % 2) {
      memcpy(&head, exact, sizeof(head));
      head.magic = KILN_WIRE_MAGIC;
      head.protocol = KILN_WIRE_PROTOCOL;
      head.fds = (uint32_t)out->held_count;
      head.length = length - sizeof(head);
      memcpy(exact, &head, sizeof(head));
    }
    kiln_wire_in in = {0};
    for (size_t i = 0; i < out->held_count; i++)
      in.fds[in.fds_count++] = dup(kiln__bytes_fd(out->held[i]));
    if (kiln__wire_open(&in, exact, length) == 1) {
      kiln_job_frame frame;
      kiln_job_result result;
      if (kiln__job_decode(&in, &frame)) {
        accepted++;
        kiln__job_frame_release(&frame);
      }
      kiln__wire_rewind(&in);
      if (kiln__job_result_decode(&in, &limits, &result)) {
        accepted++;
        kiln__job_result_release(&result);
      }
    }
    kiln__wire_in_release(&in);
    free(exact);
  }
  ck_assert_uint_eq(open_descriptors(), before);
  ck_assert_uint_gt(accepted, 0); /* else the mutations were too coarse to say anything */
  free(data);
}

START_TEST(mutated_jobs_do_no_harm) {
  kiln_bytes *small = kiln_bytes_new("small", 5), *large = filled(70000, 'L');
  kiln_wire_out out;
  ck_assert_int_eq(encode_full_job(&out, small, large), KILN_OK);
  replay(&out, 0x1234567);
  kiln__wire_out_release(&out);
  kiln_bytes_unref(small);
  kiln_bytes_unref(large);
}
END_TEST

START_TEST(mutated_results_do_no_harm) {
  kiln_wire_out out;
  ck_assert(encode_full_result(&out));
  replay(&out, 0x7654321);
  kiln__wire_out_release(&out);
}
END_TEST

int main(void) {
  Suite *suite = suite_create("wire");
  TCase *messages = tcase_create("messages");
  tcase_add_checked_fixture(messages, make_pair, close_pair);
  tcase_add_test(messages, wire_fields_arrive_as_sent);
  tcase_add_test(messages, wire_large_payload_travels_as_memfd);
  tcase_add_test(messages, wire_more_memfds_than_fit_go_inline);
  tcase_add_test(messages, wire_sees_the_peer_go);
  tcase_add_test(messages, wire_refuses_bad_heads);
  tcase_add_test(messages, wire_refuses_bad_fields);
  tcase_add_test(messages, job_arrives_as_sent);
  tcase_add_test(messages, result_arrives_as_sent);
  tcase_add_test(messages, result_that_lies_is_refused);
  TCase *mutation = tcase_create("mutation");
  tcase_set_timeout(mutation, 120);
  tcase_add_test(mutation, mutated_jobs_do_no_harm);
  tcase_add_test(mutation, mutated_results_do_no_harm);
  suite_add_tcase(suite, messages);
  suite_add_tcase(suite, mutation);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
