/* SPDX-License-Identifier: MIT
 *
 * keys_test.c: names, digests, keys and the envelope: what needs no database.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "tests/cache/support.h"

START_TEST(statuses_have_names_and_texts) {
#define CHECK_STATUS(symbol, number, text)            \
  ck_assert_int_eq(symbol, number);                   \
  ck_assert_str_eq(kcc_status_name(symbol), #symbol); \
  ck_assert_str_eq(kcc_status_text(symbol), text);
  KCC_STATUS_MAP(CHECK_STATUS)
#undef CHECK_STATUS
  ck_assert_str_eq(kcc_status_name((kcc_status)9999), "KCC_?");
  ck_assert_str_eq(kcc_status_text((kcc_status)9999), "unknown status");
}
END_TEST

START_TEST(kinds_and_modes_parse_what_they_format) {
  kcc_kind kind;
  kcc_mode mode;
  for (int i = KCC_SCRIPT; i <= KCC_FUNCTION; i++) {
    ck_assert(kcc_kind_parse(kcc_kind_name((kcc_kind)i), &kind));
    ck_assert_int_eq(kind, i);
  }
  for (int i = KCC_LAZY; i <= KCC_WORKLOAD; i++) {
    ck_assert(kcc_mode_parse(kcc_mode_name((kcc_mode)i), &mode));
    ck_assert_int_eq(mode, i);
  }
  ck_assert(!kcc_kind_parse("scripts", &kind));
  ck_assert(!kcc_kind_parse("", &kind));
  ck_assert(!kcc_kind_parse(NULL, &kind));
  ck_assert(!kcc_mode_parse("Lazy", &mode));
  ck_assert_str_eq(kcc_kind_name((kcc_kind)77), "?");
  ck_assert_str_eq(kcc_mode_name((kcc_mode)-1), "?");
}
END_TEST

/* The published SHA-256 of "abc" and of nothing. */
START_TEST(digest_is_sha256) {
  char hex[KCC_HEX_BYTES];
  kcc_digest digest = digest_of_text("abc");
  kcc_digest_format(&digest, hex);
  ck_assert_str_eq(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  digest = digest_of_text("");
  kcc_digest_format(&digest, hex);
  ck_assert_str_eq(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  kcc_span bad = {NULL, 1};
  kcc_error err;
  ck_assert_int_eq(kcc_digest_of(bad, &digest, &err), KCC_EINVAL);
  ck_assert_int_eq(kcc_digest_of((kcc_span){"", 0}, NULL, &err), KCC_EINVAL);
}
END_TEST

START_TEST(digest_parses_exactly_64_digits) {
  char hex[KCC_HEX_BYTES];
  char again[KCC_HEX_BYTES];
  kcc_digest digest = digest_of_text("abc");
  kcc_digest parsed;
  kcc_digest_format(&digest, hex);
  ck_assert(kcc_digest_parse(hex, 64, &parsed));
  ck_assert_mem_eq(&parsed, &digest, sizeof(digest));
  for (char *c = hex; *c; c++)
    if (*c >= 'a') *c = (char)(*c - 'a' + 'A');
  ck_assert(kcc_digest_parse(hex, 64, &parsed));
  kcc_digest_format(&parsed, again);
  ck_assert_int_eq(again[1], 'a');
  ck_assert(!kcc_digest_parse(hex, 63, &parsed));
  ck_assert(!kcc_digest_parse(hex, 65, &parsed));
  ck_assert(!kcc_digest_parse(NULL, 64, &parsed));
  hex[63] = 'g';
  ck_assert(!kcc_digest_parse(hex, 64, &parsed));
  ck_assert_mem_eq(&parsed, &digest, sizeof(digest));
}
END_TEST

static kcc_key_parts sample_parts(void) {
  static const kcc_span params[] = {{"a", 1}, {"bc", 2}};
  kcc_key_parts parts = {.fingerprint = test_engine,
                         .kind = KCC_FUNCTION,
                         .mode = KCC_WARM,
                         .source = digest_of_text("source"),
                         .source_length = 6,
                         .filename = {"x.js", 4},
                         .line_offset = 1,
                         .column_offset = 2,
                         .params = params,
                         .params_count = 2,
                         .context_extensions_count = 1,
                         .workload = digest_of_text("workload"),
                         .origin_options = 0};
  return parts;
}

static kcc_digest key_of(kcc_key_parts parts) {
  kcc_digest key;
  must(kcc_key_of(&parts, &key, NULL));
  return key;
}

#define EXPECT_OTHER_KEY(change)                                \
  do {                                                          \
    kcc_key_parts parts = sample_parts();                       \
    change;                                                     \
    kcc_digest other = key_of(parts);                           \
    ck_assert_mem_ne(other.bytes, key.bytes, KCC_DIGEST_BYTES); \
  } while (0)

START_TEST(every_part_changes_the_key) {
  static const kcc_span joined[] = {{"ab", 2}, {"c", 1}};
  static const kcc_span swapped[] = {{"bc", 2}, {"a", 1}};
  kcc_digest key = key_of(sample_parts());
  kcc_digest again = key_of(sample_parts());
  ck_assert_mem_eq(again.bytes, key.bytes, KCC_DIGEST_BYTES);
  EXPECT_OTHER_KEY(parts.fingerprint.engine = "node-20");
  EXPECT_OTHER_KEY(parts.fingerprint.v8_version = "10.2.154.27");
  EXPECT_OTHER_KEY(parts.fingerprint.cached_data_tag++);
  EXPECT_OTHER_KEY(parts.fingerprint.flags = "");
  EXPECT_OTHER_KEY(parts.fingerprint.build_id = "other");
  EXPECT_OTHER_KEY(parts.fingerprint.arch = "arm64");
  EXPECT_OTHER_KEY(parts.kind = KCC_SCRIPT);
  EXPECT_OTHER_KEY(parts.mode = KCC_EAGER);
  EXPECT_OTHER_KEY(parts.source = digest_of_text("tource"));
  EXPECT_OTHER_KEY(parts.source_length++);
  EXPECT_OTHER_KEY(parts.filename.length = 3);
  EXPECT_OTHER_KEY(parts.line_offset = -1);
  EXPECT_OTHER_KEY(parts.column_offset = 3);
  EXPECT_OTHER_KEY(parts.params = joined);
  EXPECT_OTHER_KEY(parts.params = swapped);
  EXPECT_OTHER_KEY(parts.params_count = 1);
  EXPECT_OTHER_KEY(parts.context_extensions_count = 0);
  EXPECT_OTHER_KEY(parts.workload = digest_of_text("w"));
  EXPECT_OTHER_KEY(parts.origin_options = 1);
}
END_TEST

/* A key is an address in stores that outlive the program: this one must never change while the
 * format's version does not. */
START_TEST(key_format_is_stable) {
  char hex[KCC_HEX_BYTES];
  kcc_digest key = key_of(sample_parts());
  kcc_digest_format(&key, hex);
  ck_assert_str_eq(hex, "346cd1f903b3d95b86b06d4bfe0952ca74f543048a14133762b58aaf6b4176f4");
}
END_TEST

START_TEST(null_texts_count_as_empty) {
  kcc_fingerprint nulls = {.cached_data_tag = 5};
  kcc_fingerprint empty = {"", "", 5, "", "", ""};
  kcc_digest a;
  kcc_digest b;
  must(kcc_fingerprint_id(&nulls, &a, NULL));
  must(kcc_fingerprint_id(&empty, &b, NULL));
  ck_assert_mem_eq(a.bytes, b.bytes, KCC_DIGEST_BYTES);
  kcc_fingerprint shifted = {"", "", 5, "x", "", ""};
  must(kcc_fingerprint_id(&shifted, &a, NULL));
  shifted.flags = "";
  shifted.build_id = "x";
  must(kcc_fingerprint_id(&shifted, &b, NULL));
  ck_assert_mem_ne(a.bytes, b.bytes, KCC_DIGEST_BYTES);
}
END_TEST

START_TEST(bad_parts_are_refused) {
  static const kcc_span bad_params[] = {{"a", 1}, {NULL, 2}};
  kcc_digest key;
  kcc_error err;
  kcc_key_parts parts = sample_parts();
  parts.kind = (kcc_kind)3;
  ck_assert_int_eq(kcc_key_of(&parts, &key, &err), KCC_EINVAL);
  ck_assert_str_eq(err.message, "key: kind 3 is unknown");
  parts = sample_parts();
  parts.mode = (kcc_mode)4;
  ck_assert_int_eq(kcc_key_of(&parts, &key, &err), KCC_EINVAL);
  parts = sample_parts();
  parts.filename = (kcc_span){NULL, 3};
  ck_assert_int_eq(kcc_key_of(&parts, &key, &err), KCC_EINVAL);
  parts = sample_parts();
  parts.params = NULL;
  ck_assert_int_eq(kcc_key_of(&parts, &key, &err), KCC_EINVAL);
  parts = sample_parts();
  parts.params = bad_params;
  ck_assert_int_eq(kcc_key_of(&parts, &key, &err), KCC_EINVAL);
  ck_assert_str_eq(err.message, "key: parameter 1 is a length without data");
  ck_assert_int_eq(kcc_key_of(NULL, &key, &err), KCC_EINVAL);
  ck_assert_int_eq(kcc_key_of(&parts, NULL, NULL), KCC_EINVAL);
  ck_assert_int_eq(kcc_fingerprint_id(NULL, &key, &err), KCC_EINVAL);
}
END_TEST

/* ---- the envelope ------------------------------------------------------------------------------
 */

#define PAYLOAD_BYTES 77

typedef struct sealed {
  kcc_digest key;
  kcc_digest engine;
  size_t length;
  uint8_t bytes[112 + PAYLOAD_BYTES];
} sealed;

static sealed seal(size_t payload_length) {
  sealed s;
  uint8_t payload[PAYLOAD_BYTES];
  fill_bytes(payload, sizeof(payload), 3);
  s.key = digest_of_text("key");
  s.engine = digest_of_text("engine");
  s.length = kcc_envelope_bytes(payload_length);
  kcc_envelope_encode(&s.key, &s.engine, (kcc_span){payload, payload_length}, s.bytes);
  return s;
}

static const char *fault_of(const sealed *s, size_t length) {
  kcc_span payload = {NULL, 0};
  const char *reason = NULL;
  kcc_span bytes = {s->bytes, length};
  if (kcc_envelope_verify(bytes, &s->key, &s->engine, &payload, &reason)) return NULL;
  ck_assert_ptr_nonnull(reason);
  ck_assert_ptr_null(payload.data);
  return reason;
}

START_TEST(envelope_gives_back_its_payload) {
  for (size_t length = 0; length <= PAYLOAD_BYTES; length++) {
    sealed s = seal(length);
    kcc_span payload;
    uint8_t expected[PAYLOAD_BYTES];
    fill_bytes(expected, sizeof(expected), 3);
    ck_assert(
        kcc_envelope_verify((kcc_span){s.bytes, s.length}, &s.key, &s.engine, &payload, NULL));
    ck_assert_uint_eq(payload.length, length);
    if (length) ck_assert_mem_eq(payload.data, expected, length);
    ck_assert(kcc_envelope_verify((kcc_span){s.bytes, s.length}, &s.key, NULL, &payload, NULL));
  }
  ck_assert_uint_eq(kcc_envelope_bytes(SIZE_MAX), 0);
}
END_TEST

START_TEST(envelope_layout_is_the_documented_one) {
  static const uint8_t head[] = {0x89, 'K', 'C', 'C', 0x0d, 0x0a, 0x1a, 0x0a,
                                 1,    0,   0,   0,   112,  0,    0,    0};
  static const uint8_t length[] = {PAYLOAD_BYTES, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
  sealed s = seal(PAYLOAD_BYTES);
  ck_assert_mem_eq(s.bytes, head, sizeof(head));
  ck_assert_mem_eq(s.bytes + 32, length, sizeof(length));
  ck_assert_mem_eq(s.bytes + 48, s.key.bytes, KCC_DIGEST_BYTES);
  ck_assert_mem_eq(s.bytes + 80, s.engine.bytes, KCC_DIGEST_BYTES);
}
END_TEST

START_TEST(envelope_shows_every_flipped_bit) {
  sealed s = seal(PAYLOAD_BYTES);
  ck_assert_ptr_null(fault_of(&s, s.length));
  for (size_t bit = 0; bit < 8 * s.length; bit++) {
    s.bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    ck_assert_ptr_nonnull(fault_of(&s, s.length));
    s.bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
  }
  for (size_t length = 0; length < s.length; length++) ck_assert_ptr_nonnull(fault_of(&s, length));
  ck_assert_ptr_null(fault_of(&s, s.length));
}
END_TEST

START_TEST(envelope_is_of_one_key_and_one_engine) {
  sealed s = seal(5);
  s.key.bytes[31] ^= 1;
  ck_assert_str_eq(fault_of(&s, s.length), "another key");
  s.key.bytes[31] ^= 1;
  s.engine.bytes[0] ^= 1;
  ck_assert_str_eq(fault_of(&s, s.length), "another fingerprint");
  kcc_span payload;
  const char *reason;
  ck_assert(!kcc_envelope_verify((kcc_span){NULL, 0}, &s.key, NULL, &payload, &reason));
}
END_TEST

int main(void) {
  Suite *suite = suite_create("cache keys");
  TCase *names = tcase_create("names and keys");
  tcase_add_test(names, statuses_have_names_and_texts);
  tcase_add_test(names, kinds_and_modes_parse_what_they_format);
  tcase_add_test(names, digest_is_sha256);
  tcase_add_test(names, digest_parses_exactly_64_digits);
  tcase_add_test(names, every_part_changes_the_key);
  tcase_add_test(names, key_format_is_stable);
  tcase_add_test(names, null_texts_count_as_empty);
  tcase_add_test(names, bad_parts_are_refused);
  suite_add_tcase(suite, names);
  TCase *envelope = tcase_create("envelope");
  tcase_add_test(envelope, envelope_gives_back_its_payload);
  tcase_add_test(envelope, envelope_layout_is_the_documented_one);
  tcase_add_test(envelope, envelope_shows_every_flipped_bit);
  tcase_add_test(envelope, envelope_is_of_one_key_and_one_engine);
  suite_add_tcase(suite, envelope);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
