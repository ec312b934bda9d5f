/* SPDX-License-Identifier: MIT
 *
 * engine_damage_test.c: entries of every engine, damaged in the store behind the service's back:
 * bits flipped, cut off, made longer, exchanged. From V8 11.3 on V8 would believe them. Whatever is
 * asked for then is either the blob that was put, byte for byte, or a miss that is baked again;
 * runs compute what they should, and no engine dies.
 */
#include <check.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/toolkit/service_support.h"

static const char *const engines[] = {"default",      "node-18.20.4", "node-20.20.2",
                                      "node-22.23.3", "node-24.21.0", "node-26.10.0"};
#define ENGINES ((int)(sizeof(engines) / sizeof(engines[0])))
#define ENTRIES 20
#define DAMAGES 2000

typedef enum damage {
  FLIP_BLOB,
  TRUNCATE_BLOB,
  EXTEND_BLOB,
  SWAP_BLOBS,
  FLIP_ENTRY,
  SWAP_ENTRIES,
  FLIP_SOURCE,
  FLIP_FINGERPRINT,
  DAMAGE_KINDS
} damage;
static const char *const damage_names[] = {
    "blob: bit flip",  "blob: truncated",         "blob: extended",   "blobs swapped",
    "entry: bit flip", "entries' hashes swapped", "source: bit flip", "fingerprint: bit flip"};

static char folder[TEMPORARY_PATH];
static kiln *k;
static sqlite3 *db;
static unsigned state;
static struct {
  kiln_bytes *source;
  kiln_bytes *blob;
  char key[KILN_KEY_HEX + 1];
} entries[ENTRIES];

static unsigned next_random(unsigned below) {
  state = state * 1664525U + 1013904223U;
  return (state >> 8) % below;
}

static void sql(const char *text) {
  char *message = NULL;
  ck_assert_msg(sqlite3_exec(db, text, NULL, NULL, &message) == SQLITE_OK, "%s: %s", text, message);
}

static void setup(void) {
  make_folder(folder);
}

static void teardown(void) {
  for (int i = 0; i < ENTRIES; i++) {
    kiln_bytes_unref(entries[i].source);
    kiln_bytes_unref(entries[i].blob);
  }
  sqlite3_close(db);
  kiln_close(k, 5000);
  remove_folder(folder);
}

static void open_all(const char *engine) {
  char path[TEMPORARY_PATH + 32];
  kiln_options options = test_options(folder);
  options.engines_dir = getenv("KILN_TEST_ENGINES");
  ck_assert_msg(options.engines_dir != NULL,
                "KILN_TEST_ENGINES is not set: run this through ctest");
  options.engines = &engine;
  options.engines_count = 1;
  k = open_kiln(&options);
  snprintf(path, sizeof(path), "%s/kiln.db", folder);
  ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
  sqlite3_busy_timeout(db, 10000);
}

static void bake(int i, answer *ret) {
  kiln_request request = bake_of(entries[i].source);
  ask(k, &request, ret);
  ck_assert_msg(ret->status == KILN_OK && ret->outcome == KILN_OUTCOME_OK, "%s %s",
                ret->error.message, ret->message);
}

/* Applies a change to a random row of `table`; `column` is a BLOB. */
static void change_bytes(const char *table, const char *column, damage kind) {
  char text[256];
  sqlite3_stmt *select, *update;
  snprintf(text, sizeof(text),
           "SELECT id, %s FROM %s WHERE length(%s) > 0 ORDER BY id LIMIT 1 OFFSET %u", column,
           table, column, next_random(strcmp(table, "fingerprints") == 0 ? 1 : ENTRIES));
  ck_assert_int_eq(sqlite3_prepare_v2(db, text, -1, &select, NULL), SQLITE_OK);
  int length = -1;
  sqlite3_int64 id = 0;
  unsigned char *bytes = NULL;
  if (sqlite3_step(select) == SQLITE_ROW) {
    id = sqlite3_column_int64(select, 0);
    length = sqlite3_column_bytes(select, 1);
    bytes = calloc(1, (size_t)length + 16);
    memcpy(bytes, sqlite3_column_blob(select, 1), (size_t)length);
  }
  sqlite3_finalize(select); /* a reader that becomes a writer may find that another was faster */
  if (length < 0) return;
  if (kind == TRUNCATE_BLOB) {
    length = (int)next_random((unsigned)length);
  } else if (kind == EXTEND_BLOB) {
    length += 1 + (int)next_random(15);
  } else {
    bytes[next_random((unsigned)length)] ^= (unsigned char)(1U << next_random(8));
  }
  snprintf(text, sizeof(text), "UPDATE %s SET %s = ?1 WHERE id = ?2", table, column);
  ck_assert_int_eq(sqlite3_prepare_v2(db, text, -1, &update, NULL), SQLITE_OK);
  sqlite3_bind_blob(update, 1, bytes, length, SQLITE_TRANSIENT);
  sqlite3_bind_int64(update, 2, id);
  ck_assert_int_eq(sqlite3_step(update), SQLITE_DONE);
  sqlite3_finalize(update);
  free(bytes);
}

static void swap(const char *table, const char *column) {
  char text[640];
  unsigned a = next_random(ENTRIES), b = next_random(ENTRIES);
  snprintf(text, sizeof(text),
           "CREATE TEMP TABLE s AS SELECT id, %s AS v FROM %s ORDER BY id LIMIT 1 OFFSET %u;"
           "INSERT INTO s SELECT id, %s FROM %s ORDER BY id LIMIT 1 OFFSET %u;"
           "UPDATE %s SET %s = (SELECT v FROM s WHERE s.id <> %s.id) WHERE id IN (SELECT id FROM s)"
           " AND (SELECT count(DISTINCT id) FROM s) = 2; DROP TABLE s",
           column, table, a, column, table, b, table, column, table);
  sql(text);
}

static void inflict(damage kind) {
  static const char *const columns[] = {"key", "source", "filename", "hash", "parts"};
  switch (kind) {
    case FLIP_BLOB:
    case TRUNCATE_BLOB:
    case EXTEND_BLOB:
      change_bytes("blobs", "bytes", kind);
      break;
    case SWAP_BLOBS:
      swap("blobs", "bytes");
      break;
    case FLIP_ENTRY:
      change_bytes("entries", columns[next_random(5)], kind);
      break;
    case SWAP_ENTRIES:
      swap("entries", next_random(2) ? "hash" : "parts");
      break;
    case FLIP_SOURCE:
      change_bytes("sources", "bytes", kind);
      break;
    case FLIP_FINGERPRINT:
      change_bytes("fingerprints", "bytes", kind);
      break;
    case DAMAGE_KINDS:
      break;
  }
}

START_TEST(damaged_entries_never_reach_an_engine) {
  unsigned missed[DAMAGE_KINDS] = {0}, done[DAMAGE_KINDS] = {0}, wrong = 0;
  answer one;
  state = 20261121U + (unsigned)_i;
  open_all(engines[_i]);
  for (int i = 0; i < ENTRIES; i++) {
    entries[i].source = big_source(1000 + i);
    bake(i, &one);
    entries[i].blob = kiln_bytes_ref(one.blob);
    memcpy(entries[i].key, one.key, sizeof(one.key));
    answer_release(&one);
  }
  kiln_stats before = get_stats(k);
  for (unsigned n = 0; n < DAMAGES; n++) {
    damage kind = (damage)(n % DAMAGE_KINDS);
    inflict(kind);
    done[kind]++;
    if (n % 10 != 9) continue; /* ten wounds before somebody looks */
    for (int i = 0; i < ENTRIES; i++) {
      bool runs = next_random(4) == 0;
      if (runs) { /* first a run: it would be offered the blob */
        char expected[16];
        kiln_request run = {
            .op = KILN_RUN, .source = entries[i].source, .filename = kiln_span_from("a.js")};
        ask(k, &run, &one);
        snprintf(expected, sizeof(expected), "%d", 1000 + i);
        if (one.status != KILN_OK || one.outcome != KILN_OUTCOME_OK ||
            one.cached_data_rejected == 1 || strcmp(one.result_json, expected) != 0) {
          wrong++;
        }
        answer_release(&one);
      }
      bake(i, &one);
      kiln_span got = kiln_bytes_get(one.blob), put = kiln_bytes_get(entries[i].blob);
      if (one.cache == KILN_CACHE_HIT) {
        if (got.length != put.length || memcmp(got.data, put.data, got.length) != 0) wrong++;
      } else {
        missed[kind]++;
        kiln_bytes_unref(entries[i].blob);
        entries[i].blob = kiln_bytes_ref(one.blob);
      }
      answer_release(&one);
    }
  }
  kiln_stats after = get_stats(k);
  printf(
      "%-13s %u damages, %llu found and baked again, %llu engines crashed, %llu blobs rejected, "
      "%u wrong\n",
      engines[_i], DAMAGES, (unsigned long long)(after.misses - before.misses),
      (unsigned long long)after.jobs_crashed, (unsigned long long)after.rejected, wrong);
  for (unsigned kind = 0; kind < DAMAGE_KINDS; kind++) {
    printf("  %-24s %u times\n", damage_names[kind], done[kind]);
  }
  ck_assert_uint_eq(wrong, 0);
  ck_assert_uint_eq(after.jobs_crashed, 0);
  ck_assert_uint_eq(after.rejected, 0);
  ck_assert_uint_eq(after.canary_failures, 0);
  ck_assert_uint_eq(after.blobs_quarantined, 0);
  ck_assert_uint_gt(after.misses - before.misses, DAMAGES / 4);
  ck_assert_uint_gt(after.store_corrupt, DAMAGES / 4);
  uint64_t reasons[KILN_CAUSE_CODES];
  kiln_get_reasons(k, reasons);
  ck_assert_uint_gt(reasons[KILN_CAUSE_CORRUPT], DAMAGES / 8);
}
END_TEST

/* ---- the canary, imports, and blobs that kill ---------------------------------------- */

static kiln_request import_of(kiln_bytes *source, kiln_bytes *blob, kiln_bytes *what) {
  return (kiln_request){.op = KILN_IMPORT,
                        .source = source,
                        .filename = kiln_span_from("a.js"),
                        .mode = KILN_WORKLOAD,
                        .workload = what,
                        .blob = blob};
}

START_TEST(imports_are_tried_first) {
  answer one;
  open_all(engines[_i]);
  entries[0].source = big_source(7);
  entries[1].source = big_source(8);
  bake(0, &one);
  entries[0].blob = kiln_bytes_ref(one.blob);
  answer_release(&one);
  kiln_bytes *what = bytes_from("app.js --version"),
             *garbage = bytes_from("not a blob, but long enough for a header");
  kiln_stats before = get_stats(k);
  kiln_request request = import_of(entries[0].source, entries[0].blob, what);
  ask(k, &request, &one);
  ck_assert_int_eq(one.status, KILN_OK);
  ck_assert_msg(one.outcome == KILN_OUTCOME_OK, "%s", one.message);
  kiln_bytes *stored = NULL;
  ck_assert_int_eq(kiln_get_cached_data(k, kiln_span_from(one.key), &stored, NULL), KILN_OK);
  ck_assert_mem_eq(kiln_bytes_get(stored).data, kiln_bytes_get(entries[0].blob).data,
                   kiln_bytes_get(stored).length);
  kiln_bytes_unref(stored);
  answer_release(&one);
  request.blob = garbage;
  ask(k, &request, &one);
  ck_assert_int_eq(one.outcome, KILN_OUTCOME_EXCEPTION);
  ck_assert_str_eq(one.code, "ERR_VM_CACHED_DATA_REJECTED");
  answer_release(&one);
  kiln_bytes *longer =
      bytes_from("function other() { return 'quite another source, and a longer one' }");
  request = import_of(longer, entries[0].blob, what);
  ask(k, &request, &one);
  ck_assert_int_ne(one.outcome, KILN_OUTCOME_OK);
  ck_assert_int_eq(kiln_get_cached_data(k, kiln_span_from(one.key), &stored, NULL), KILN_NOT_FOUND);
  answer_release(&one);
  kiln_stats after = get_stats(k);
  ck_assert_uint_eq(after.canary_runs - before.canary_runs, 3);
  ck_assert_uint_eq(after.canary_failures - before.canary_failures, 2);
  kiln_error error;
  request = import_of(entries[0].source, NULL, what);
  ck_assert_int_eq(kiln_submit(k, &request, take_answer, &one, &error), KILN_EINVAL);
  ck_assert_str_eq(error.code, "ERR_MISSING_ARGS");
  request = import_of(entries[0].source, garbage, NULL);
  request.mode = KILN_LAZY;
  ck_assert_int_eq(kiln_submit(k, &request, take_answer, &one, &error), KILN_EINVAL);
  kiln_bytes_unref(longer);
  kiln_bytes_unref(garbage);
  kiln_bytes_unref(what);
}
END_TEST

START_TEST(bakes_are_tried_where_v8_verifies_nothing) {
  kiln_engine_info info;
  answer one;
  open_all(engines[_i]);
  ck_assert_int_eq(kiln_get_engine(k, 0, &info, NULL), KILN_OK);
  ck_assert(info.verifies_checksum == (_i < 2));
  entries[0].source = big_source(7);
  bake(0, &one);
  answer_release(&one);
  bake(0, &one);
  ck_assert_int_eq(one.cache, KILN_CACHE_HIT);
  answer_release(&one);
  ck_assert_uint_eq(get_stats(k).canary_runs, _i < 2 ? 0 : 1);
}
END_TEST

/* A blob that the store vouches for, since it was put like that, and that kills who consumes it.
 * One flipped bit in three or four does so from V8 11.3 on. The answer must not depend on it. */
START_TEST(a_blob_that_kills_is_quarantined) {
  kiln_engine_info info;
  answer one;
  kcc_store *store;
  kcc_store_options store_options = KCC_STORE_OPTIONS_INIT;
  kcc_digest key;
  kcc_error error;
  state = 7;
  open_all(engines[_i]);
  ck_assert_int_eq(kiln_get_engine(k, 0, &info, NULL), KILN_OK);
  entries[0].source = big_source(7);
  bake(0, &one);
  entries[0].blob = kiln_bytes_ref(one.blob);
  answer_release(&one);
  ck_assert_int_eq(kcc_store_open(folder, &store_options, &store, &error), KCC_OK);
  kiln_span good = kiln_bytes_get(entries[0].blob), text = kiln_bytes_get(entries[0].source);
  char *bad = malloc(good.length);
  kcc_put put = {.parts = {.fingerprint = {.engine = info.name,
                                           .v8_version = info.v8_version,
                                           .cached_data_tag = info.cached_data_tag,
                                           .flags = info.flags,
                                           .build_id = info.build_id,
                                           .arch = info.arch},
                           .source_length = text.length,
                           .filename = {"a.js", 4}},
                 .blob = {bad, good.length}};
  ck_assert_int_eq(kcc_digest_of((kcc_span){text.data, text.length}, &put.parts.source, &error),
                   KCC_OK);
  unsigned tries = 0;
  while (get_stats(k).blobs_quarantined == 0 && ++tries <= 300) {
    memcpy(bad, good.data, good.length);
    bad[32 + next_random((unsigned)good.length - 32)] ^= (char)(1U << next_random(8));
    ck_assert_int_eq(kcc_store_put(store, &put, &key, &error), KCC_OK);
    kiln_request run = {.op = KILN_RUN,
                        .source = entries[0].source,
                        .timeout_ms = 2000,
                        .filename = kiln_span_from("a.js")};
    ask(k, &run, &one);
    if (get_stats(k).blobs_quarantined > 0) {
      ck_assert_int_eq(one.outcome, KILN_OUTCOME_OK);
      ck_assert_str_eq(one.result_json, "7");
      ck_assert_int_eq(one.cached_data_rejected, -1);
    }
    answer_release(&one);
  }
  ck_assert_msg(tries <= 300, "no blob of 300 killed its consumer");
  kiln_close(k, 5000); /* its writer has moved the blob away now */
  k = NULL;
  ck_assert_int_eq(kcc_store_get(store, &key, NULL, &(kcc_entry){0}, &error), KCC_MISS);
  kcc_stats stats;
  ck_assert_int_eq(kcc_store_stats(store, &stats, &error), KCC_OK);
  ck_assert_uint_eq(stats.quarantined, 1);
  kcc_store_close(store);
  free(bad);
}
END_TEST

/* Two builds of one V8 with equal tags. */
START_TEST(equal_tags_share_nothing) {
  static const char *const both[] = {"node-20.20.0", "node-20.20.2"};
  kiln_engine_info info[2];
  answer one, other;
  kiln_options options = test_options(folder);
  options.engines_dir = getenv("KILN_TEST_ENGINES");
  options.engines = both;
  options.engines_count = 2;
  k = open_kiln(&options);
  for (size_t i = 0; i < 2; i++) ck_assert_int_eq(kiln_get_engine(k, i, &info[i], NULL), KILN_OK);
  ck_assert_uint_eq(info[0].cached_data_tag, info[1].cached_data_tag);
  ck_assert_str_ne(info[0].build_id, info[1].build_id);
  entries[0].source = big_source(5);
  kiln_request request = bake_of(entries[0].source);
  request.engine = kiln_span_from(both[0]);
  ask(k, &request, &one);
  request.engine = kiln_span_from(both[1]);
  ask(k, &request, &other);
  ck_assert_int_eq(one.cache, KILN_CACHE_MISS);
  ck_assert_int_eq(other.cache, KILN_CACHE_MISS);
  ck_assert_str_ne(one.key, other.key);
  answer_release(&one);
  answer_release(&other);
  /* A run is offered its own engine's blob only: with one's removed there is none for it. */
  kiln_request run = {
      .op = KILN_RUN, .source = entries[0].source, .filename = kiln_span_from("a.js")};
  for (size_t i = 0; i < 2; i++) {
    run.engine = kiln_span_from(info[i].fingerprint);
    ask(k, &run, &one);
    ck_assert_str_eq(one.engine, both[i]);
    ck_assert_int_eq(one.cached_data_rejected, 0);
    answer_release(&one);
  }
  kiln_close(k, 0);
  options.engines_count = 1;
  options.store_path = folder;
  k = open_kiln(&options);
  request.engine = kiln_span_from(both[0]);
  ask(k, &request, &one);
  ck_assert_int_eq(one.cache, KILN_CACHE_HIT);
  answer_release(&one);
  request.engine = kiln_span_from(both[1]);
  kiln_error error;
  ck_assert_int_eq(kiln_submit(k, &request, take_answer, &one, &error), KILN_EINVAL);
}
END_TEST

int main(void) {
  TCase *cases = tcase_create("damage");
  tcase_add_checked_fixture(cases, setup, teardown);
  tcase_set_timeout(cases, 240);
  tcase_add_loop_test(cases, damaged_entries_never_reach_an_engine, 0, ENGINES);
  tcase_add_loop_test(cases, imports_are_tried_first, 0, ENGINES);
  tcase_add_loop_test(cases, bakes_are_tried_where_v8_verifies_nothing, 0, ENGINES);
  tcase_add_loop_test(cases, a_blob_that_kills_is_quarantined, 2, ENGINES);
  tcase_add_test(cases, equal_tags_share_nothing);
  Suite *suite = suite_create("engine_damage");
  suite_add_tcase(suite, cases);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_ENV);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
