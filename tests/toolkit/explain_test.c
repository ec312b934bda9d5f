/* SPDX-License-Identifier: MIT
 *
 * explain_test.c: makes each cause happen for real, with libv8's engine (V8 10.2) and with that of
 * an official Node 24 (V8 13.6), and compares what is named first.
 */
#include <check.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/toolkit/service_support.h"
#include "toolkit/cache_header.h"

static char folder[TEMPORARY_PATH];
static kiln *k;

/* The engine under test, and one of another V8 beside it. */
static const struct subject {
  const char *spec, *other;
  bool verifies_checksum;
} subjects[] = {{"default", "node-24", true}, {"node-24", "default", false}};
#define SUBJECTS ((int)(sizeof(subjects) / sizeof(subjects[0])))
static const struct subject *subject;

static const char text[] = "function add(a, b) { return a + b } add(1, 2)";
static const char same_length[] = "function sub(a, b) { return a - b } sub(1, 2)";
static const char longer[] = "function add(a, b) { return a + b } add(1, 2) + 1";

static void open_on(const char *store, const char *first, const char *second, const char *third) {
  const char *specs[3] = {first, second, third};
  kiln_options options = test_options(store);
  options.engines_dir = getenv("KILN_TEST_ENGINES");
  ck_assert_msg(options.engines_dir != NULL,
                "KILN_TEST_ENGINES is not set: run this through ctest");
  options.engines = specs;
  options.engines_count = third != NULL ? 3 : 2;
  k = open_kiln(&options);
}

static void setup(void) {
  make_folder(folder);
}

static void teardown(void) {
  kiln_close(k, 5000);
  k = NULL;
  remove_folder(folder);
}

static void start(int index) {
  subject = &subjects[index];
  open_on(folder, subject->spec, subject->other, NULL);
}

static kiln_request request_of(const char *source, const char *filename) {
  return (kiln_request){.op = KILN_CREATE_CACHED_DATA,
                        .source = bytes_from(source),
                        .filename = kiln_span_from(filename)};
}

static kiln_bytes *bake(kiln_request request, char *ret_key) {
  answer one;
  ask(k, &request, &one);
  ck_assert_int_eq(one.status, KILN_OK);
  ck_assert_int_eq(one.outcome, KILN_OUTCOME_OK);
  if (ret_key != NULL) memcpy(ret_key, one.key, sizeof(one.key));
  kiln_bytes *blob = kiln_bytes_ref(one.blob);
  answer_release(&one);
  return blob;
}

static void bake_plain(void) {
  kiln_request request = request_of(text, "a.js");
  kiln_bytes_unref(bake(request, NULL));
  kiln_bytes_unref(request.source);
}

static kiln_explanation explained(const kiln_request *request, kiln_asker asker) {
  kiln_explanation e;
  kiln_error error;
  ck_assert_msg(kiln_explain(k, request, asker, &e, &error) == KILN_OK, "%s", error.message);
  return e;
}

static void expect_cause(const kiln_explanation *e, kiln_cause_code code, const char *said) {
  ck_assert_uint_ge(e->causes_count, 1);
  ck_assert_msg(e->causes[0].code == code, "%s (%s), expected %s",
                kiln_cause_word(e->causes[0].code), e->causes[0].text, kiln_cause_word(code));
  ck_assert_msg(said == NULL || strstr(e->causes[0].text, said) != NULL, "%s", e->causes[0].text);
}

/* Explains a look-up, and bakes to see that its answer gives the same reason. */
static void expect_miss(kiln_request request, kiln_cause_code code, const char *said) {
  kiln_explanation e = explained(&request, KILN_ASKER_OWNER);
  ck_assert_str_eq(e.outcome, "miss");
  expect_cause(&e, code, said);
  kiln_stats before = get_stats(k);
  uint64_t counts[KILN_CAUSE_CODES], after[KILN_CAUSE_CODES];
  kiln_get_reasons(k, counts);
  kiln_bytes_unref(bake(request, NULL));
  kiln_get_reasons(k, after);
  ck_assert_uint_eq(get_stats(k).misses, before.misses + 1);
  ck_assert_msg(after[code] == counts[code] + 1, "%s was not counted", kiln_cause_word(code));
  e = explained(&request, KILN_ASKER_OWNER);
  ck_assert_str_eq(e.outcome, "hit");
  expect_cause(&e, KILN_CAUSE_HIT, NULL);
  kiln_bytes_unref(request.source);
}

/* ---- look-ups ------------------------------------------------------------------------ */

START_TEST(never_baked) {
  start(_i);
  expect_miss(request_of(text, "a.js"), KILN_CAUSE_NEVER_BAKED, NULL);
}
END_TEST

START_TEST(source_changed) {
  start(_i);
  bake_plain();
  expect_miss(request_of(same_length, "a.js"), KILN_CAUSE_SOURCE_CHANGED, "from byte 9 on");
}
END_TEST

START_TEST(source_length) {
  start(_i);
  bake_plain();
  expect_miss(request_of(longer, "a.js"), KILN_CAUSE_SOURCE_LENGTH,
              "from byte 45 on: 49 bytes vs 45");
}
END_TEST

START_TEST(engine_v8_version) {
  start(_i);
  kiln_request request = request_of(text, "a.js");
  request.engine = kiln_span_from(subject->other);
  kiln_bytes_unref(bake(request, NULL));
  kiln_bytes_unref(request.source);
  expect_miss(request_of(text, "a.js"), KILN_CAUSE_ENGINE_V8_VERSION, "the entry's 1");
}
END_TEST

START_TEST(
    engine_build) { /* of one V8: libv8's and an official Node 18; Node 20.20.0 and 20.20.2 */
  static const char *const pairs[][2] = {{"default", "node-18.20.4"},
                                         {"node-20.20.2", "node-20.20.0"}};
  open_on(folder, pairs[_i][0], pairs[_i][1], NULL);
  kiln_request request = request_of(text, "a.js");
  request.engine = kiln_span_from(pairs[_i][1]);
  kiln_bytes_unref(bake(request, NULL));
  kiln_bytes_unref(request.source);
  expect_miss(request_of(text, "a.js"),
              _i == 0 ? KILN_CAUSE_ENGINE_BUILD : KILN_CAUSE_ENGINE_V8_VERSION, NULL);
}
END_TEST

/* A store that was brought along from a machine whose processor can do more or less. */
START_TEST(engine_processor) {
  start(_i);
  kiln_engine_info info;
  ck_assert_int_eq(kiln_get_engine(k, 0, &info, NULL), KILN_OK);
  kcc_put put = {.parts = {.fingerprint = {info.name, info.v8_version, info.cached_data_tag ^ 1,
                                           info.flags, info.build_id, info.arch},
                           .kind = KCC_SCRIPT,
                           .mode = KCC_LAZY,
                           .source_length = strlen(text),
                           .filename = {"a.js", 4}},
                 .blob = {"blob", 4}};
  kcc_store *store;
  kcc_store_options options = KCC_STORE_OPTIONS_INIT;
  ck_assert_int_eq(kcc_digest_of((kcc_span){text, strlen(text)}, &put.parts.source, NULL), KCC_OK);
  ck_assert_int_eq(kcc_store_open(folder, &options, &store, NULL), KCC_OK);
  ck_assert_int_eq(kcc_store_put(store, &put, NULL, NULL), KCC_OK);
  kcc_store_close(store);
  expect_miss(request_of(text, "a.js"), KILN_CAUSE_ENGINE_FLAGS, "the processor has other");
}
END_TEST

START_TEST(kind) {
  start(_i);
  bake_plain();
  kiln_request request = request_of(text, "a.js");
  request.kind = KILN_MODULE;
  expect_miss(request, KILN_CAUSE_KIND, "kind is module, the entry's script");
}
END_TEST

START_TEST(params) {
  static const kiln_span ab[] = {{"a", 1}, {"b", 1}}, ba[] = {{"b", 1}, {"a", 1}};
  start(_i);
  kiln_request request = request_of("return a + b", "a.js");
  request.kind = KILN_FUNCTION;
  request.params = ab;
  request.params_count = 2;
  kiln_bytes_unref(bake(request, NULL));
  request.params = ba;
  expect_miss(request, KILN_CAUSE_PARAMS, "(b, a) vs (a, b)");
}
END_TEST

START_TEST(filename) {
  start(_i);
  bake_plain();
  expect_miss(request_of(text, "b.js"), KILN_CAUSE_FILENAME, "'b.js', the entry's 'a.js'");
}
END_TEST

START_TEST(offsets) {
  start(_i);
  bake_plain();
  kiln_request request = request_of(text, "a.js");
  request.line_offset = 3;
  expect_miss(request, KILN_CAUSE_OFFSETS, "3:0, the entry's 0:0");
}
END_TEST

START_TEST(mode) {
  start(_i);
  bake_plain();
  kiln_request request = request_of(text, "a.js");
  request.mode = KILN_EAGER;
  expect_miss(request, KILN_CAUSE_MODE, "mode is eager, the entry's lazy");
}
END_TEST

START_TEST(workload) {
  start(_i);
  kiln_request request = request_of(text, "a.js");
  request.mode = KILN_WORKLOAD;
  request.workload = bytes_from("add(3, 4)");
  kiln_bytes_unref(bake(request, NULL));
  kiln_bytes_unref(request.workload);
  request.workload = bytes_from("add(5, 6)");
  expect_miss(request, KILN_CAUSE_WORKLOAD, NULL);
  kiln_bytes_unref(request.workload);
}
END_TEST

START_TEST(several_causes_and_the_nearest_entry) {
  start(_i);
  bake_plain();
  kiln_request other = request_of(text, "c.js");
  other.mode = KILN_EAGER;
  kiln_bytes_unref(bake(other, NULL));
  other.line_offset = 1; /* one step from the second, two from the first */
  kiln_explanation e = explained(&other, KILN_ASKER_OWNER);
  ck_assert_uint_eq(e.causes_count, 1);
  expect_cause(&e, KILN_CAUSE_OFFSETS, NULL);
  ck_assert_str_eq(e.candidate_filename, "c.js");
  other.kind = KILN_MODULE;
  e = explained(&other, KILN_ASKER_OWNER);
  ck_assert_uint_eq(e.causes_count, 2);
  kiln_bytes_unref(other.source);
}
END_TEST

static void quarantine(const char *key, const char *reason) {
  kcc_store_options options = KCC_STORE_OPTIONS_INIT;
  kcc_store *store;
  kcc_digest digest;
  ck_assert(kcc_digest_parse(key, strlen(key), &digest));
  ck_assert_int_eq(kcc_store_open(folder, &options, &store, NULL), KCC_OK);
  ck_assert_int_eq(kcc_store_quarantine(store, &digest, reason, NULL), KCC_OK);
  kcc_store_close(store);
}

START_TEST(quarantined) {
  char key[KILN_KEY_HEX + 1];
  start(_i);
  kiln_request request = request_of(text, "a.js");
  kiln_bytes_unref(bake(request, key));
  quarantine(key, "engine died while it was consumed (SIGSEGV)");
  kiln_explanation e;
  ck_assert_int_eq(
      kiln_explain_key(k, kiln_span_from(key), (kiln_span){0}, KILN_ASKER_OWNER, &e, NULL),
      KILN_OK);
  expect_cause(&e, KILN_CAUSE_QUARANTINED, "SIGSEGV");
  expect_miss(request, KILN_CAUSE_QUARANTINED, "engine died");
}
END_TEST

static void damage(void) {
  char path[TEMPORARY_PATH + 16];
  sqlite3 *db;
  snprintf(path, sizeof(path), "%s/kiln.db", folder);
  ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
  sqlite3_busy_timeout(db, 10000);
  ck_assert_int_eq(
      sqlite3_exec(db, "UPDATE blobs SET bytes = zeroblob(length(bytes))", NULL, NULL, NULL),
      SQLITE_OK);
  ck_assert_int_eq(sqlite3_close(db), SQLITE_OK);
}

START_TEST(corrupt) {
  start(_i);
  bake_plain();
  damage();
  expect_miss(request_of(text, "a.js"), KILN_CAUSE_CORRUPT, "quarantine");
}
END_TEST

START_TEST(store_unavailable) {
  start(_i);
  kiln_close(k, 0);
  open_on(NULL, subject->spec, subject->other, NULL);
  kiln_request request = request_of(text, "a.js");
  kiln_explanation e = explained(&request, KILN_ASKER_OWNER);
  expect_cause(&e, KILN_CAUSE_STORE_UNAVAILABLE, NULL);
  kiln_bytes_unref(request.source);
}
END_TEST

START_TEST(strangers_learn_nothing_of_others) {
  start(_i);
  bake_plain();
  kiln_request request = request_of(same_length, "a.js");
  kiln_explanation e = explained(&request, KILN_ASKER_STRANGER);
  expect_cause(&e, KILN_CAUSE_SOURCE_CHANGED, NULL);
  ck_assert_ptr_null(strpbrk(e.causes[0].text, "0123456789"));
  ck_assert_str_eq(e.candidate_key, "");
  kiln_bytes_unref(request.source);
  request = request_of(text, "b.js"); /* whose source he has */
  e = explained(&request, KILN_ASKER_STRANGER);
  expect_cause(&e, KILN_CAUSE_FILENAME, NULL);
  ck_assert_ptr_null(strstr(e.causes[0].text, "a.js"));
  ck_assert_str_ne(e.candidate_key, "");
  kiln_bytes_unref(request.source);
}
END_TEST

/* ---- blobs --------------------------------------------------------------------------- */

static kiln_bytes *made;

static kiln_explanation explain_bytes(const char *data, size_t length, const char *source,
                                      kiln_kind of_kind, const char *flags) {
  kiln_request request = request_of(source, "a.js");
  kiln_explanation e;
  kiln_error error;
  request.kind = of_kind;
  request.blob = kiln_bytes_new(data, length);
  ck_assert_msg(kiln_explain_blob(k, &request, flags, &e, &error) == KILN_OK, "%s", error.message);
  kiln_bytes_unref(request.blob);
  kiln_bytes_unref(request.source);
  return e;
}

/* The blob with one of its words changed. */
static kiln_explanation explain_changed(size_t word_index, uint32_t bits) {
  kiln_span blob = kiln_bytes_get(made);
  char *copy = malloc(blob.length);
  uint32_t word;
  memcpy(copy, blob.data, blob.length);
  memcpy(&word, copy + 4 * word_index, sizeof(word));
  word ^= bits;
  memcpy(copy + 4 * word_index, &word, sizeof(word));
  kiln_explanation e = explain_bytes(copy, blob.length, text, KILN_SCRIPT, NULL);
  free(copy);
  return e;
}

START_TEST(blobs) {
  start(_i);
  kiln_request request = request_of(text, "a.js");
  made = bake(request, NULL);
  kiln_bytes_unref(request.source);
  kiln_span blob = kiln_bytes_get(made);
  kiln_explanation e = explain_bytes(blob.data, blob.length, text, KILN_SCRIPT, NULL);
  ck_assert_str_eq(e.outcome, "accepted");
  e = explain_bytes(blob.data, blob.length, longer, KILN_SCRIPT, NULL);
  ck_assert_str_eq(e.outcome, "rejected");
  expect_cause(&e, KILN_CAUSE_SOURCE_HASH, "45 UTF-16 units, this one has 49");
  e = explain_bytes(blob.data, blob.length, text, KILN_MODULE, NULL);
  expect_cause(&e, KILN_CAUSE_KIND_BIT, NULL);
  e = explain_bytes(blob.data, 10, text, KILN_SCRIPT, NULL);
  expect_cause(&e, KILN_CAUSE_TRUNCATED, NULL);
  e = explain_bytes(blob.data, blob.length - 16, text, KILN_SCRIPT, NULL);
  expect_cause(&e, KILN_CAUSE_TRUNCATED, NULL);
  e = explain_bytes("#!/bin/sh\n# a text of more than thirty-two bytes", 48, text, KILN_SCRIPT,
                    NULL);
  expect_cause(&e, KILN_CAUSE_NOT_A_BLOB, NULL);
  e = explain_changed(0, 1);
  expect_cause(&e, KILN_CAUSE_MAGIC, NULL);
  e = explain_changed(1, 0x100);
  expect_cause(&e, KILN_CAUSE_VERSION_HASH, NULL);
  e = explain_changed(3, 0x100);
  expect_cause(&e, KILN_CAUSE_FLAG_HASH, NULL);
  size_t payload = subject->verifies_checksum ? 4 : 5;
  e = explain_changed(payload, 0x10);
  ck_assert(e.causes[0].code == KILN_CAUSE_PAYLOAD_LENGTH ||
            e.causes[0].code == KILN_CAUSE_TRUNCATED);
  if (subject->verifies_checksum) {
    e = explain_changed(10, 1);
    expect_cause(&e, KILN_CAUSE_CHECKSUM, NULL);
  } else {
    e = explain_changed(4, 1);
    expect_cause(&e, KILN_CAUSE_READ_ONLY_SNAPSHOT, NULL);
    e = explain_changed(12, 1); /* nobody checks that, and it is said */
    ck_assert_str_eq(e.outcome, "accepted");
    ck_assert_ptr_nonnull(strstr(e.causes[0].text, "not verified"));
  }
  kiln_bytes_unref(made);
}
END_TEST

/* A blob of the same V8 with other flags: named if one knows what to ask for. */
START_TEST(flags_are_named) {
  static const char flag[] = "--stack-size=900";
  start(_i);
  kiln *first = k;
  kiln_request request = request_of(text, "a.js");
  kiln_bytes *plain = bake(request, NULL);
  kiln_bytes_unref(request.source);
  /* The other way round: the plain blob is what the engine with flags would refuse. Its hash is not
   * that flag's, and the engine's own is. */
  kiln_span blob = kiln_bytes_get(plain);
  kiln__cache_header header;
  ck_assert(kiln__cache_header_read(blob, subject->verifies_checksum ? "10.2" : "13.6", &header));
  char *copy = malloc(blob.length);
  memcpy(copy, blob.data, blob.length);
  memcpy(copy + 12, &(uint32_t){header.flag_hash ^ 1}, 4);
  kiln_explanation e = explain_bytes(copy, blob.length, text, KILN_SCRIPT, flag);
  expect_cause(&e, KILN_CAUSE_FLAG_HASH, "not by --stack-size=900");
  free(copy);
  kiln_bytes_unref(plain);
  k = first;
}
END_TEST

int main(void) {
  TCase *cases = tcase_create("explain");
  tcase_add_checked_fixture(cases, setup, teardown);
  tcase_set_timeout(cases, 60);
  tcase_add_loop_test(cases, never_baked, 0, SUBJECTS);
  tcase_add_loop_test(cases, source_changed, 0, SUBJECTS);
  tcase_add_loop_test(cases, source_length, 0, SUBJECTS);
  tcase_add_loop_test(cases, engine_v8_version, 0, SUBJECTS);
  tcase_add_loop_test(cases, engine_build, 0, 2);
  tcase_add_loop_test(cases, kind, 0, SUBJECTS);
  tcase_add_loop_test(cases, params, 0, SUBJECTS);
  tcase_add_loop_test(cases, filename, 0, SUBJECTS);
  tcase_add_loop_test(cases, offsets, 0, SUBJECTS);
  tcase_add_loop_test(cases, mode, 0, SUBJECTS);
  tcase_add_loop_test(cases, workload, 0, SUBJECTS);
  tcase_add_loop_test(cases, engine_processor, 0, SUBJECTS);
  tcase_add_loop_test(cases, several_causes_and_the_nearest_entry, 0, SUBJECTS);
  tcase_add_loop_test(cases, quarantined, 0, SUBJECTS);
  tcase_add_loop_test(cases, corrupt, 0, SUBJECTS);
  tcase_add_loop_test(cases, store_unavailable, 0, SUBJECTS);
  tcase_add_loop_test(cases, strangers_learn_nothing_of_others, 0, SUBJECTS);
  tcase_add_loop_test(cases, blobs, 0, SUBJECTS);
  tcase_add_loop_test(cases, flags_are_named, 0, SUBJECTS);
  Suite *suite = suite_create("explain");
  suite_add_tcase(suite, cases);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_ENV);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
