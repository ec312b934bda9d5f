/* SPDX-License-Identifier: MIT
 *
 * json_check_test.c: the JSON checker against a table, every truncation, and jansson's parser over
 * generated and damaged texts.
 */
#include "toolkit/json_check.h"

#include <check.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH 64

static bool check_text(const char *text) {
  return kiln_json_check((kiln_span){text, strlen(text)}, DEPTH);
}

START_TEST(valid_texts) {
  static const char *const texts[] = {
      "0",
      "-0",
      "10",
      "-1.5e+10",
      "1E5",
      "1e999999",
      "123456789012345678901234567890",
      "true",
      "false",
      "null",
      "\"\"",
      "\"a\"",
      " \t\r\n1 \n",
      "[]",
      "[ ]",
      "{}",
      "{ }",
      "[1,2,[3,{\"a\":[]}]]",
      "{\"a\":1,\"a\":2,\"\":{}}",
      "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0000\\uABcd\"",
      "\"\\ud800\"",
      "\"\\udc00\\ud800\"",
      "\"\xC2\x80\xDF\xBF\"",
      "\"\xE0\xA0\x80\xED\x9F\xBF\xEE\x80\x80\xEF\xBF\xBF\"",
      "\"\xF0\x90\x80\x80\xF4\x8F\xBF\xBF\"",
      "\"\x7F\"",
      "[ 1 , { \"a\" : null } ]",
  };
  for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
    ck_assert_msg(check_text(texts[i]), "refused: %s", texts[i]);
  }
}
END_TEST

START_TEST(invalid_texts) {
  static const char *const texts[] = {
      "",
      " ",
      "01",
      "-",
      "+1",
      ".5",
      "1.",
      "1.e5",
      "1e",
      "1e+",
      "0x10",
      "NaN",
      "Infinity",
      "-Infinity",
      "tru",
      "truex",
      "True",
      "nul",
      "undefined",
      "\"",
      "\"a",
      "'a'",
      "\"\\",
      "\"\\\"",
      "\"\\x\"",
      "\"\\u12\"",
      "\"\\u12g4\"",
      "\"\\u\"",
      "\"\n\"",
      "\"\x01\"",
      "\"\x1f\"",
      "[",
      "]",
      "{",
      "}",
      "[1",
      "[1,",
      "[1,]",
      "[,1]",
      "[1 2]",
      "[}",
      "{]",
      "{1:2}",
      "{\"a\"}",
      "{\"a\":}",
      "{\"a\":1,}",
      "{\"a\" 1}",
      "{,}",
      "{\"a\":1 \"b\":2}",
      "{\"a\":1]",
      "1 2",
      "[] []",
      "{}x",
      "//\n1",
      "/**/1",
      "\xEF\xBB\xBF\x31", /* a byte order mark, then 1 */
      "\"\x80\"",
      "\"\xC0\x80\"",
      "\"\xC1\xBF\"",
      "\"\xC2\"",
      "\"\xC2 \"",
      "\"\xE0\x9F\xBF\"",
      "\"\xED\xA0\x80\"",
      "\"\xE1\x80\"",
      "\"\xF0\x8F\xBF\xBF\"",
      "\"\xF4\x90\x80\x80\"",
      "\"\xF5\x80\x80\x80\"",
      "\"\xFF\"",
      "\"\xF1\x80\x80\"",
      "\v1",
  };
  for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
    ck_assert_msg(!check_text(texts[i]), "accepted: %s", texts[i]);
  }
  ck_assert(!kiln_json_check((kiln_span){"1\0", 2}, DEPTH));
  ck_assert(!kiln_json_check((kiln_span){"[true\0]", 7}, DEPTH));
  ck_assert(!kiln_json_check((kiln_span){"\"\0\"", 3}, DEPTH));
  ck_assert(!kiln_json_check((kiln_span){"\"\\\0\"", 4}, DEPTH));
  ck_assert(!kiln_json_check((kiln_span){NULL, 0}, DEPTH));
}
END_TEST

START_TEST(depth_is_bounded) {
  ck_assert(kiln_json_check(kiln_span_from("1"), 0));
  ck_assert(!kiln_json_check(kiln_span_from("[]"), 0));
  ck_assert(kiln_json_check(kiln_span_from("[[]]"), 2));
  ck_assert(!kiln_json_check(kiln_span_from("[[{}]]"), 2));
  ck_assert(kiln_json_check(kiln_span_from("[[],[],{}]"), 2));
  static char text[2 * KILN_JSON_DEPTH_MAX + 2];
  for (size_t depth = KILN_JSON_DEPTH_MAX - 9; depth <= KILN_JSON_DEPTH_MAX + 1; depth++) {
    memset(text, '[', depth);
    memset(text + depth, ']', depth);
    bool ok = kiln_json_check((kiln_span){text, 2 * depth}, UINT32_MAX);
    ck_assert(ok == (depth <= KILN_JSON_DEPTH_MAX));
  }
  /* The bits of objects and arrays at each depth stay apart. */
  size_t length = 0;
  for (int i = 0; i < 20; i++) {
    memcpy(text + length, "[{\"\":", 5);
    length += 5;
  }
  text[length++] = '1';
  for (int i = 0; i < 20; i++) {
    memcpy(text + length, "}]", 2);
    length += 2;
  }
  ck_assert(kiln_json_check((kiln_span){text, length}, 40));
  ck_assert(!kiln_json_check((kiln_span){text, length}, 39));
  text[length - 1] = '}';
  ck_assert(!kiln_json_check((kiln_span){text, length}, 40));
}
END_TEST

START_TEST(kind_is_checked) {
  ck_assert(kiln_json_check_kind(kiln_span_from(" {\"a\":1}"), 8, '{'));
  ck_assert(!kiln_json_check_kind(kiln_span_from("[1]"), 8, '{'));
  ck_assert(kiln_json_check_kind(kiln_span_from("\n[1]"), 8, '['));
  ck_assert(!kiln_json_check_kind(kiln_span_from("1"), 8, '['));
  ck_assert(!kiln_json_check_kind(kiln_span_from("[1"), 8, '['));
  ck_assert(!kiln_json_check_kind(kiln_span_from(""), 8, '['));
  ck_assert(!kiln_json_check_kind(kiln_span_from("  "), 8, '['));
}
END_TEST

/* No proper beginning of an object is JSON; read from heap memory of just that size, so that
 * AddressSanitizer sees a byte too many. */
START_TEST(every_truncation_is_refused) {
  static const char text[] =
      "{\"a\":[1,-2.5e-3,true,null,\"\\u00e9\\n\xC3\xA9\xF0\x9F\x98\x80\"],\"b\":{\"c\":false}}";
  for (size_t length = 0; length < sizeof(text); length++) {
    char *copy = malloc(length + 1);
    ck_assert_ptr_nonnull(copy);
    char *exact = realloc(copy, length == 0 ? 1 : length);
    ck_assert_ptr_nonnull(exact);
    memcpy(exact, text, length);
    ck_assert(kiln_json_check((kiln_span){exact, length}, DEPTH) == (length == sizeof(text) - 1));
    free(exact);
  }
}
END_TEST

/* ---- against jansson ----------------------------------------------------------------- */

static uint64_t random_state;
static unsigned random_below(unsigned bound) {
  random_state ^= random_state << 13;
  random_state ^= random_state >> 7;
  random_state ^= random_state << 17;
  return (unsigned)(random_state % bound);
}

typedef struct text_buffer {
  char data[4096];
  size_t length;
} text_buffer;

static void append(text_buffer *buffer, const char *text) {
  size_t length = strlen(text);
  if (buffer->length + length > sizeof(buffer->data)) return;
  memcpy(buffer->data + buffer->length, text, length);
  buffer->length += length;
}

static void generate(text_buffer *buffer, unsigned depth) {
  static const char *const scalars[] = {"0",
                                        "-1",
                                        "2.5",
                                        "1e3",
                                        "-0.1E-2",
                                        "true",
                                        "false",
                                        "null",
                                        "\"\"",
                                        "\"x\"",
                                        "\"\\n\\u0041\"",
                                        "\"\xC3\xA9\"",
                                        "\"\xE2\x82\xAC\"",
                                        "\"\xF0\x9F\x98\x80\"",
                                        "\"\\ud83d\\ude00\"",
                                        "\"\\\\\\/\""};
  static const char *const spaces[] = {"", "", "", " ", "\n", "\t", "\r"};
  append(buffer, spaces[random_below(7)]);
  unsigned kind = depth == 0 ? 0 : random_below(4);
  if (kind < 2) {
    append(buffer, scalars[random_below(16)]);
  } else {
    bool object = kind == 3;
    unsigned count = random_below(4);
    append(buffer, object ? "{" : "[");
    for (unsigned i = 0; i < count; i++) {
      if (i > 0) append(buffer, ",");
      if (object) {
        append(buffer, "\"k");
        append(buffer, i % 2 == 0 ? "\xC3\xB6\"" : "\\t\"");
        append(buffer, spaces[random_below(7)]);
        append(buffer, ":");
      }
      generate(buffer, depth - 1);
    }
    append(buffer, spaces[random_below(7)]);
    append(buffer, object ? "}" : "]");
  }
  append(buffer, spaces[random_below(7)]);
}

static void damage(text_buffer *buffer) {
  static const char bytes[] = "{}[]:,\"\\u0019dDeE+-. \n\x01\x7F\x80\xBF\xC2\xE0\xED\xF0\xF4tfnx/";
  if (buffer->length == 0) return;
  size_t at = random_below((unsigned)buffer->length);
  /* Never a NUL: jansson 2.14 takes "[true\0]" for JSON. invalid_texts has it. */
  char byte = bytes[random_below(sizeof(bytes) - 1)];
  switch (random_below(3)) {
    case 0:
      buffer->data[at] = byte;
      break;
    case 1:
      memmove(buffer->data + at, buffer->data + at + 1, buffer->length - at - 1);
      buffer->length--;
      break;
    default:
      if (buffer->length == sizeof(buffer->data)) return;
      memmove(buffer->data + at + 1, buffer->data + at, buffer->length - at);
      buffer->data[at] = byte;
      buffer->length++;
      break;
  }
}

/* jansson's verdict; *ret_skip where it refuses what we accept on purpose, or counts as a number
 * too large. */
static bool jansson_accepts(const text_buffer *buffer, bool *ret_skip) {
  json_error_t error;
  json_t *value =
      json_loadb(buffer->data, buffer->length, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
  *ret_skip = false;
  if (value == NULL) {
    enum json_error_code code = json_error_code(&error);
    *ret_skip = code == json_error_numeric_overflow || code == json_error_null_byte_in_key ||
                strstr(error.text, "invalid Unicode '") != NULL;
    return false;
  }
  json_decref(value);
  return true;
}

START_TEST(agrees_with_jansson) {
  random_state = 0x9E3779B97F4A7C15U;
  unsigned accepted = 0, refused = 0;
  for (unsigned round = 0; round < 60000; round++) {
    text_buffer buffer = {.length = 0};
    generate(&buffer, 5);
    unsigned damages = random_below(4);
    for (unsigned i = 0; i < damages; i++) damage(&buffer);
    bool skip;
    bool theirs = jansson_accepts(&buffer, &skip);
    if (skip) continue;
    bool ours = kiln_json_check((kiln_span){buffer.data, buffer.length}, DEPTH);
    ck_assert_msg(ours == theirs, "round %u: %d here, %d in jansson: %.*s", round, ours, theirs,
                  (int)buffer.length, buffer.data);
    if (ours) {
      accepted++;
    } else {
      refused++;
    }
  }
  ck_assert_uint_gt(accepted, 10000);
  ck_assert_uint_gt(refused, 10000);
}
END_TEST

int main(void) {
  Suite *suite = suite_create("json_check");
  TCase *tcase = tcase_create("json_check");
  tcase_add_test(tcase, valid_texts);
  tcase_add_test(tcase, invalid_texts);
  tcase_add_test(tcase, depth_is_bounded);
  tcase_add_test(tcase, kind_is_checked);
  tcase_add_test(tcase, every_truncation_is_refused);
  tcase_add_test(tcase, agrees_with_jansson);
  tcase_set_timeout(tcase, 60);
  suite_add_tcase(suite, tcase);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_ENV);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
