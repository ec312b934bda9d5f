/* SPDX-License-Identifier: MIT
 *
 * session_frame_test.c: a session's commands and answers as messages: they arrive as sent, and
 * what is not quite right is refused.
 */
#include <check.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "toolkit/bytes.h"
#include "toolkit/session_frame.h"

static kiln_span span(const char *text) {
  return (kiln_span){text, strlen(text)};
}

static bool same(kiln_span a, const char *text) {
  return a.length == strlen(text) && memcmp(a.data, text, a.length) == 0;
}

static size_t open_descriptors(void) {
  size_t count = 0;
  for (int fd = 0; fd < 256; fd++)
    if (fcntl(fd, F_GETFD) >= 0) count++;
  return count;
}

/* Opens a finished message as if it had been received. */
static int open_message(const kiln_wire_out *out, kiln_wire_in *in) {
  memset(in, 0, sizeof(*in));
  for (size_t i = 0; i < out->held_count; i++)
    in->fds[in->fds_count++] = fcntl(kiln__bytes_fd(out->held[i]), F_DUPFD_CLOEXEC, 0);
  return kiln__wire_open(in, out->data, out->length);
}

/* A frame that has everything; its bytes are to be unreferenced. */
static kiln_frame full_frame(void) {
  static const kiln_span params[] = {{"a", 1}, {"b", 1}};
  static const kiln_frame_link links[] = {{{"./x", 3}, {"{\"type\":\"json\"}", 15}, 7},
                                          {{"./y", 3}, {NULL, 0}, UINT64_MAX}};
  char *large = malloc(70000);
  ck_assert_ptr_nonnull(large);
  memset(large, 'L', 70000);
  kiln_frame frame = {.op = KILN_FUNCTION_CREATE,
                      .object = 5,
                      .context = 4097,
                      .source = kiln_bytes_new(large, 70000),
                      .cached_data = kiln_bytes_new("data", 4),
                      .filename = span("f.js"),
                      .line_offset = -3,
                      .column_offset = INT32_MAX,
                      .params = params,
                      .params_count = 2,
                      .extensions_json = span("[{}]"),
                      .globals_json = span("{\"g\":1}"),
                      .args_json = span("[1]"),
                      .this_json = span("2"),
                      .initialize_meta_json = span("{\"m\":1}"),
                      .exports_json = span("{\"e\":1}"),
                      .name = span("n"),
                      .value_json = span("3"),
                      .links = links,
                      .links_count = 2,
                      .context_name = span("cn"),
                      .context_origin = span("co"),
                      .contextified = true,
                      .deny_strings = true,
                      .eager = true,
                      .timeout_ms = 100,
                      .heap_max_bytes = 1,
                      .memory_max_bytes = 2,
                      .result_max_bytes = 3,
                      .console_max_bytes = 4};
  free(large);
  return frame;
}

static void unref_sources(kiln_frame *frame) {
  kiln_bytes_unref(frame->source);
  kiln_bytes_unref(frame->cached_data);
}

START_TEST(a_frame_arrives_as_sent) {
  size_t before = open_descriptors();
  kiln_frame frame = full_frame(), got;
  kiln_wire_out out;
  kiln_wire_in in;
  kiln_frame_arena arena = {0};
  ck_assert_int_eq(kiln__frame_encode(&frame, &out), KILN_OK);
  ck_assert_int_eq(open_message(&out, &in), 1);
  ck_assert(kiln__frame_decode(&in, &arena, &got));
  ck_assert(got.op == frame.op && got.object == 5 && got.context == 4097);
  ck_assert_uint_eq(kiln_bytes_get(got.source).length, 70000);
  ck_assert(same(kiln_bytes_get(got.cached_data), "data") && same(got.filename, "f.js"));
  ck_assert(got.line_offset == -3 && got.column_offset == INT32_MAX);
  ck_assert(got.params_count == 2 && same(got.params[0], "a") && same(got.params[1], "b"));
  ck_assert(same(got.extensions_json, "[{}]") && same(got.globals_json, "{\"g\":1}"));
  ck_assert(same(got.args_json, "[1]") && same(got.this_json, "2"));
  ck_assert(same(got.initialize_meta_json, "{\"m\":1}") && same(got.exports_json, "{\"e\":1}"));
  ck_assert(same(got.name, "n") && same(got.value_json, "3"));
  ck_assert(got.links_count == 2 && got.links[0].module == 7 && got.links[1].module == UINT64_MAX &&
            same(got.links[1].specifier, "./y"));
  ck_assert(same(got.links[0].attributes_json, "{\"type\":\"json\"}") &&
            got.links[1].attributes_json.length == 0);
  ck_assert(same(got.context_name, "cn") && same(got.context_origin, "co"));
  ck_assert(got.contextified && got.deny_strings && got.eager);
  ck_assert(!got.deny_wasm && !got.detailed && !got.microtasks_after_evaluate);
  ck_assert(got.timeout_ms == 100 && got.heap_max_bytes == 1 && got.memory_max_bytes == 2);
  ck_assert(got.result_max_bytes == 3 && got.console_max_bytes == 4);
  kiln__frame_release(&got);
  kiln__wire_in_release(&in);
  kiln__wire_out_release(&out);
  unref_sources(&frame);
  free(arena.data);
  ck_assert_uint_eq(open_descriptors(), before);
}
END_TEST

START_TEST(frames_have_limits) {
  kiln_wire_out out;
  kiln_frame frame = {.timeout_ms = 1, .params_count = KILN_PARAMS_MAX + 1};
  ck_assert_int_eq(kiln__frame_encode(&frame, &out), KILN_ETOOBIG);
  kiln__wire_out_release(&out);
  frame = (kiln_frame){.timeout_ms = 1, .links_count = KILN_LINKS_MAX + 1};
  ck_assert_int_eq(kiln__frame_encode(&frame, &out), KILN_ETOOBIG);
  kiln__wire_out_release(&out);
}
END_TEST

/* A frame of plain numbers and texts, by hand: {tag, number} with text NULL. */
typedef struct field {
  uint16_t tag;
  uint64_t number;
  const char *text;
} field;

static const field good[] = {{1, 1, NULL}, {2, 0, NULL}, {3, 5, NULL}, {4, 0, NULL},
                             {5, 0, NULL}, {6, 9, NULL}, {7, 9, NULL}};
#define GOOD (sizeof(good) / sizeof(good[0]))

static bool decodes(const field *first, size_t first_count, const field *more, size_t more_count,
                    kiln_wire_type type) {
  kiln_wire_out out;
  kiln_wire_in in;
  kiln_frame frame;
  kiln_frame_arena arena = {0};
  kiln__wire_out_init(&out, type);
  for (size_t i = 0; i < first_count + more_count; i++) {
    const field *one = i < first_count ? &first[i] : &more[i - first_count];
    if (one->text)
      kiln__wire_put_text(&out, one->tag, span(one->text));
    else
      kiln__wire_put_number(&out, one->tag, one->number);
  }
  ck_assert(kiln__wire_finish(&out));
  ck_assert_int_eq(open_message(&out, &in), 1);
  bool decoded = kiln__frame_decode(&in, &arena, &frame);
  if (decoded) kiln__frame_release(&frame);
  kiln__wire_in_release(&in);
  kiln__wire_out_release(&out);
  free(arena.data);
  return decoded;
}

START_TEST(frames_that_lie_are_refused) {
  static const field bad[][3] = {
      {{1, 1, NULL}},                                 /* repeated */
      {{0, 1, NULL}},                                 /* unknown */
      {{29, 1, NULL}},                                /* unknown */
      {{8, 0, "text"}},                               /* a number that is none */
      {{26, 1, NULL}},                                /* a link without a specifier */
      {{27, 0, "./x"}},                               /* ... without a module */
      {{26, 1, NULL}, {26, 1, NULL}, {27, 0, "./x"}}, /* ... twice */
      {{28, 0, "{}"}},                                /* attributes of nothing */
      {{25, 0, "a"}, {28, 0, "{}"}},                  /* ... of a parameter */
      {{25, 0, "a"}, {8, 1, NULL}},                   /* a single one after a list */
      {{10, UINT64_MAX, NULL}},                       /* an offset out of range */
  };
  ck_assert(decodes(good, GOOD, NULL, 0, KILN_WIRE_SESSION));
  ck_assert(!decodes(good, GOOD, NULL, 0, KILN_WIRE_JOB));
  for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
    size_t count = 1;
    while (count < 3 && bad[i][count].tag != 0) count++;
    ck_assert_msg(!decodes(good, GOOD, bad[i], count, KILN_WIRE_SESSION), "case %zu", i);
  }
  for (size_t missing = 0; missing < GOOD; missing++) {
    ck_assert_msg(
        !decodes(good, missing, good + missing + 1, GOOD - missing - 1, KILN_WIRE_SESSION),
        "without field %zu", missing);
  }
  static const field odd[] = {
      {1, KILN_COMMAND_OPS, NULL}, {2, 64, NULL}, {3, 0, NULL}, {3, UINT64_MAX, NULL}};
  for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
    field all[GOOD];
    memcpy(all, good, sizeof(all));
    all[odd[i].tag - 1] = odd[i];
    ck_assert_msg(!decodes(all, GOOD, NULL, 0, KILN_WIRE_SESSION), "odd %zu", i);
  }
  static const field links[] = {{25, 0, "a"},  {26, 1, NULL}, {27, 0, "./x"},
                                {28, 0, "{}"}, {26, 2, NULL}, {27, 0, ""}};
  ck_assert(decodes(good, GOOD, links, 6, KILN_WIRE_SESSION));
}
END_TEST

/* ---- answers --------------------------------------------------------------------------------- */

static bool result_decodes(const kiln_job_result *result, bool session,
                           kiln_job_result *ret_result) {
  kiln_job_result_limits limits = {1000, 1000, session};
  kiln_wire_out out;
  kiln_wire_in in;
  ck_assert(kiln__job_result_encode(result, &out));
  ck_assert_int_eq(open_message(&out, &in), 1);
  bool decoded = kiln__job_result_decode(&in, &limits, ret_result);
  if (decoded) kiln__job_result_release(ret_result);
  kiln__wire_in_release(&in);
  kiln__wire_out_release(&out);
  return decoded;
}

START_TEST(answers_of_commands_are_checked) {
  kiln_job_result got;
  kiln_job_result plain = {.cached_data_rejected = -1};
  ck_assert(result_decodes(&plain, false, &got) && result_decodes(&plain, true, &got));
  kiln_job_result one = plain;
  one.object = 12;
  one.objects = KILN_SESSION_OBJECTS_MAX;
  one.refusal = KILN_ETOOBIG;
  ck_assert(result_decodes(&one, true, &got));
  ck_assert(got.object == 12 && got.objects == KILN_SESSION_OBJECTS_MAX);
  ck_assert_int_eq(got.refusal, KILN_ETOOBIG);
  /* A job's worker has none of these. */
  ck_assert(!result_decodes(&one, false, &got));
  one = plain;
  one.objects = KILN_SESSION_OBJECTS_MAX + 1;
  ck_assert(!result_decodes(&one, true, &got));
  one = plain;
  one.object = UINT64_MAX;
  ck_assert(!result_decodes(&one, true, &got));
  one = plain;
  one.refusal = KILN_GONE; /* nothing a worker may say: it is not sent */
  ck_assert(result_decodes(&one, true, &got));
  ck_assert_int_eq(got.refusal, KILN_OK);
  static const char *const texts[] = {"{\"a\":}", "[]", "{\"a\":\"\xff\"}"};
  for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
    one = plain;
    one.module_json = kiln_bytes_new(texts[i], strlen(texts[i]));
    ck_assert_msg(!result_decodes(&one, true, &got), "%s", texts[i]);
    kiln_bytes_unref(one.module_json);
  }
}
END_TEST

/* ---- mutations ------------------------------------------------------------------------------- */

static uint32_t random_state = 0x2468ace1;

static uint32_t next_random(void) {
  random_state ^= random_state << 13;
  random_state ^= random_state >> 17;
  random_state ^= random_state << 5;
  return random_state;
}

START_TEST(mutated_frames_do_no_harm) {
  kiln_frame frame = full_frame();
  kiln_wire_out out;
  kiln_frame_arena arena = {0};
  size_t accepted = 0, before = open_descriptors();
  ck_assert_int_eq(kiln__frame_encode(&frame, &out), KILN_OK);
  size_t open_now = open_descriptors();
  for (int round = 0; round < 50000; round++) {
    size_t length = next_random() % 8 == 0 ? next_random() % (out.length + 1) : out.length;
    char *data = malloc(length + 1); /* so that the sanitizer sees the end */
    ck_assert_ptr_nonnull(data);
    memcpy(data, out.data, length);
    for (unsigned n = next_random() % 4; n > 0 && length > 0; n--)
      data[next_random() % length] = (char)next_random();
    kiln_wire_in in = {0};
    for (size_t i = 0; i < out.held_count; i++)
      in.fds[in.fds_count++] = fcntl(kiln__bytes_fd(out.held[i]), F_DUPFD_CLOEXEC, 0);
    kiln_frame got;
    if (kiln__wire_open(&in, data, length) == 1 && kiln__frame_decode(&in, &arena, &got)) {
      accepted++;
      for (size_t i = 0; i < got.links_count; i++) ck_assert(got.links[i].specifier.data != NULL);
      kiln__frame_release(&got);
    }
    kiln__wire_in_release(&in);
    free(data);
  }
  ck_assert_uint_eq(open_descriptors(), open_now);
  ck_assert_uint_gt(accepted, 0); /* else the mutations were too coarse to say anything */
  kiln__wire_out_release(&out);
  unref_sources(&frame);
  free(arena.data);
  ck_assert_uint_le(open_descriptors(), before);
}
END_TEST

int main(void) {
  Suite *suite = suite_create("session_frame");
  TCase *tcase = tcase_create("frames");
  tcase_set_timeout(tcase, 60);
  tcase_add_test(tcase, a_frame_arrives_as_sent);
  tcase_add_test(tcase, frames_have_limits);
  tcase_add_test(tcase, frames_that_lie_are_refused);
  tcase_add_test(tcase, answers_of_commands_are_checked);
  tcase_add_test(tcase, mutated_frames_do_no_harm);
  suite_add_tcase(suite, tcase);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_ENV);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
