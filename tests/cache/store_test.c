/* SPDX-License-Identifier: MIT
 *
 * store_test.c: what a store does when nothing is wrong: entries, sources, lists, statistics,
 * limits, last-used times.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/cache/support.h"

static char *directory;
static kcc_store *store;
static kcc_error err;

static void open_store(void) {
  directory = make_directory();
  must(kcc_store_open(directory, NULL, &store, NULL));
}

static void close_store(void) {
  kcc_store_close(store);
  remove_directory(directory);
}

static void reopen(const kcc_store_options *options) {
  kcc_store_close(store);
  must(kcc_store_open(directory, options, &store, NULL));
}

static kcc_status get_number(uint64_t number, kcc_entry *ret_entry) {
  kcc_digest key = key_of_number(number);
  return kcc_store_get(store, &key, &test_engine, ret_entry, &err);
}

static void expect_number(uint64_t number) {
  kcc_entry entry;
  must(get_number(number, &entry));
  ck_assert(is_numbered(&entry, number));
  kcc_entry_free(&entry);
}

static kcc_stats stats(void) {
  kcc_stats s;
  must(kcc_store_stats(store, &s, NULL));
  return s;
}

START_TEST(put_then_get) {
  static const char blob[] = "some cached data";
  kcc_put put = {.parts = {.fingerprint = test_engine,
                           .source = digest_of_text("var a = 1"),
                           .source_length = 9,
                           .kind = KCC_MODULE,
                           .mode = KCC_EAGER,
                           .filename = {"a.mjs", 5},
                           .line_offset = -3,
                           .column_offset = INT32_MAX},
                 .blob = {blob, sizeof(blob)}};
  kcc_digest key, expected = key_of_parts(&put.parts), engine;
  must(kcc_store_put(store, &put, &key, &err));
  ck_assert_mem_eq(key.bytes, expected.bytes, KCC_DIGEST_BYTES);
  must(kcc_fingerprint_id(&test_engine, &engine, &err));
  kcc_entry entry;
  must(kcc_store_get(store, &key, &test_engine, &entry, &err));
  ck_assert_uint_eq(entry.blob.length, sizeof(blob));
  ck_assert_mem_eq(entry.blob.data, blob, sizeof(blob));
  ck_assert_uint_eq((uintptr_t)entry.blob.data % 8, 0);
  ck_assert_mem_eq(entry.info.key.bytes, key.bytes, KCC_DIGEST_BYTES);
  ck_assert_mem_eq(entry.info.source.bytes, put.parts.source.bytes, KCC_DIGEST_BYTES);
  ck_assert_uint_eq(entry.info.source_length, 9);
  ck_assert_uint_eq(entry.info.blob_length, sizeof(blob));
  ck_assert_int_eq(entry.info.kind, KCC_MODULE);
  ck_assert_int_eq(entry.info.mode, KCC_EAGER);
  ck_assert_str_eq(entry.info.engine, test_engine.engine);
  ck_assert_str_eq(entry.info.v8_version, test_engine.v8_version);
  ck_assert_str_eq(entry.info.build_id, test_engine.build_id);
  ck_assert_mem_eq(entry.info.fingerprint_id.bytes, engine.bytes, KCC_DIGEST_BYTES);
  ck_assert_int_eq(entry.info.line_offset, -3);
  ck_assert_int_eq(entry.info.column_offset, INT32_MAX);
  ck_assert_str_eq(entry.info.filename, "a.mjs");
  ck_assert_int_gt(entry.info.created_unix_ms, 1500000000000);
  ck_assert_int_ge(entry.info.used_unix_ms, entry.info.created_unix_ms);
  kcc_entry_free(&entry);
  ck_assert_ptr_null(entry.owned);
  kcc_entry_free(&entry);
  kcc_entry_free(NULL);
}
END_TEST

START_TEST(sizes_around_every_boundary) {
  static const size_t sizes[] = {0,     1,     15,    16,    900,   7900,  8000,    8192,
                                 32655, 32656, 32657, 32768, 65535, 65536, 1000000, 3000000};
  size_t count = sizeof(sizes) / sizeof(sizes[0]);
  uint8_t *bytes = malloc(3000000);
  ck_assert_ptr_nonnull(bytes);
  for (size_t i = 0; i < count; i++) {
    fill_bytes(bytes, sizes[i], i);
    kcc_put put = {.parts = parts_of_number(i), .blob = {bytes, sizes[i]}};
    must(kcc_store_put(store, &put, /* ret_key= */ NULL, &err));
  }
  for (int round = 0; round < 2; round++) {
    for (size_t i = 0; i < count; i++) {
      kcc_digest key = key_of_number(i);
      kcc_entry entry;
      must(kcc_store_get(store, &key, NULL, &entry, &err));
      fill_bytes(bytes, sizes[i], i);
      ck_assert_uint_eq(entry.blob.length, sizes[i]);
      ck_assert_ptr_nonnull(entry.blob.data);
      ck_assert_uint_eq((uintptr_t)entry.blob.data % 8, 0);
      if (sizes[i]) ck_assert_mem_eq(entry.blob.data, bytes, sizes[i]);
      kcc_entry_free(&entry);
    }
    reopen(NULL); /* the second round reads from the database file instead of the log */
  }
  free(bytes);
}
END_TEST

START_TEST(miss_leaves_the_result_alone) {
  kcc_entry entry;
  memset(&entry, 0x5a, sizeof(entry));
  kcc_entry before = entry;
  memset(&err, 0x11, sizeof(err));
  ck_assert_int_eq(get_number(7, &entry), KCC_MISS);
  ck_assert_mem_eq(&entry, &before, sizeof(entry));
  kcc_digest source = digest_of_text("no such");
  ck_assert_int_eq(kcc_store_get_source(store, &source, &entry, &err), KCC_MISS);
  ck_assert_mem_eq(&entry, &before, sizeof(entry));
  ck_assert_uint_eq(stats().misses, 1);
  ck_assert_uint_eq(stats().corrupt, 0);
}
END_TEST

START_TEST(another_engine_is_a_miss_and_no_damage) {
  put_numbered(store, 1, 1);
  kcc_digest key = key_of_number(1);
  kcc_fingerprint other = test_engine;
  kcc_entry entry;
  other.build_id = "another";
  ck_assert_int_eq(kcc_store_get(store, &key, &other, &entry, &err), KCC_MISS);
  expect_number(1);
  ck_assert_int_eq(kcc_store_get(store, &key, &other, &entry, &err), KCC_MISS);
  must(kcc_store_get(store, &key, NULL, &entry, &err));
  kcc_entry_free(&entry);
  /* A fingerprint too long to be remembered is compared all the same. */
  char flags[2000];
  memset(flags, 'x', sizeof(flags) - 1);
  flags[sizeof(flags) - 1] = '\0';
  other = test_engine;
  other.flags = flags;
  ck_assert_int_eq(kcc_store_get(store, &key, &other, &entry, &err), KCC_MISS);
  ck_assert_uint_eq(stats().corrupt, 0);
  ck_assert_uint_eq(stats().entries, 1);
}
END_TEST

/* Two keys of the same first 64 bits share a row; that is no damage. */
START_TEST(keys_alike_in_64_bits_are_told_apart) {
  put_numbered(store, 1, 1);
  kcc_digest b = key_of_number(1);
  b.bytes[20] ^= 1;
  kcc_entry entry;
  kcc_entry_parts parts;
  ck_assert_int_eq(kcc_store_get(store, &b, NULL, &entry, &err), KCC_MISS);
  ck_assert_int_eq(kcc_store_get_parts(store, &b, &parts, &err), KCC_MISS);
  ck_assert_int_eq(kcc_store_remove(store, &b, &err), KCC_MISS);
  ck_assert_int_eq(kcc_store_quarantine(store, &b, "no", &err), KCC_MISS);
  expect_number(1);
  ck_assert_uint_eq(stats().corrupt, 0);
}
END_TEST

START_TEST(put_replaces) {
  put_numbered(store, 8, 1);
  put_numbered(store, 8, 2);
  kcc_entry entry;
  must(get_number(8, &entry));
  ck_assert_uint_eq(entry.blob.length, numbered_length(8, 2));
  ck_assert(is_numbered(&entry, 8));
  kcc_entry_free(&entry);
  ck_assert_uint_eq(stats().entries, 1);
  ck_assert_uint_eq(stats().blob_bytes, numbered_length(8, 2));
}
END_TEST

START_TEST(remove_removes_once) {
  put_numbered(store, 3, 1);
  kcc_digest key = key_of_number(3);
  kcc_entry entry;
  must(kcc_store_remove(store, &key, &err));
  ck_assert_int_eq(get_number(3, &entry), KCC_MISS);
  ck_assert_int_eq(kcc_store_remove(store, &key, &err), KCC_MISS);
  ck_assert_uint_eq(stats().removes, 1);
  ck_assert_uint_eq(stats().entries, 0);
  sqlite3 *db = open_database(directory);
  ck_assert_int_eq(sql_integer(db, "SELECT count(*) FROM blobs"), 0);
  ck_assert_int_eq(sql_integer(db, "SELECT count(*) FROM uses"), 0);
  ck_assert_int_eq(sql_integer(db, "SELECT count(*) FROM sources"), 0);
  sqlite3_close(db);
}
END_TEST

START_TEST(entries_survive_reopening) {
  for (uint64_t i = 0; i < 40; i++) put_numbered(store, i, 1);
  reopen(NULL);
  for (uint64_t i = 0; i < 40; i++) expect_number(i);
  ck_assert_uint_eq(stats().entries, 40);
  ck_assert_uint_eq(stats().hits, 40);
  ck_assert_uint_eq(stats().puts, 0);
}
END_TEST

START_TEST(two_stores_of_one_process_share_a_file) {
  kcc_store *second;
  must(kcc_store_open(directory, NULL, &second, &err));
  put_numbered(store, 1, 1);
  put_numbered(second, 2, 1);
  kcc_store *first = store;
  expect_number(2);
  store = second;
  expect_number(1);
  kcc_store_close(second);
  store = first;
  put_numbered(store, 3, 1);
  expect_number(3);
}
END_TEST

/* ---- sources -----------------------------------------------------------------------------------
 */

static kcc_key_parts parts_of(uint64_t number, const char *text) {
  return (kcc_key_parts){.source = digest_of_text(text),
                         .source_length = strlen(text),
                         .line_offset = (int32_t)number};
}

static kcc_status put_source(uint64_t number, const char *text, bool keep) {
  kcc_put put = {.parts = parts_of(number, text), .blob = {"b", 1}};
  if (keep) put.source_text = (kcc_span){text, strlen(text)};
  return kcc_store_put(store, &put, /* ret_key= */ NULL, &err);
}

static bool has_source(const char *text) {
  kcc_digest digest = digest_of_text(text);
  kcc_entry entry;
  kcc_status status = kcc_store_get_source(store, &digest, &entry, &err);
  if (status == KCC_MISS) return false;
  must(status);
  ck_assert_uint_eq(entry.blob.length, strlen(text));
  ck_assert_mem_eq(entry.blob.data, text, strlen(text));
  ck_assert_mem_eq(entry.info.source.bytes, digest.bytes, KCC_DIGEST_BYTES);
  ck_assert_uint_eq(entry.info.source_length, strlen(text));
  ck_assert_uint_eq((uintptr_t)entry.blob.data % 8, 0);
  kcc_entry_free(&entry);
  return true;
}

static void remove_entry(uint64_t number, const char *text) {
  kcc_key_parts parts = parts_of(number, text);
  kcc_digest key = key_of_parts(&parts);
  must(kcc_store_remove(store, &key, &err));
}

START_TEST(source_lives_as_long_as_an_entry_names_it) {
  must(put_source(1, "text", true));
  must(put_source(2, "text", true));
  must(put_source(3, "text", false));
  must(put_source(4, "unkept", false));
  ck_assert(has_source("text"));
  ck_assert(!has_source("unkept"));
  remove_entry(1, "text");
  ck_assert(has_source("text"));
  remove_entry(2, "text");
  ck_assert(has_source("text"));
  remove_entry(3, "text");
  ck_assert(!has_source("text"));
  sqlite3 *db = open_database(directory);
  ck_assert_int_eq(sql_integer(db, "SELECT count(*) FROM sources"), 0);
  sqlite3_close(db);
}
END_TEST

START_TEST(source_stays_when_its_entry_is_replaced) {
  must(put_source(1, "text", true));
  must(put_source(1, "text", false));
  ck_assert(has_source("text"));
}
END_TEST

START_TEST(source_is_stored_once_and_compressed) {
  size_t length = 500000;
  char *text = malloc(length + 1);
  ck_assert_ptr_nonnull(text);
  for (size_t i = 0; i < length; i++) text[i] = "function f() { return 1; }\n"[i % 27];
  text[length] = '\0';
  for (uint64_t key = 0; key < 20; key++) must(put_source(key, text, true));
  ck_assert(has_source(text));
  sqlite3 *db = open_database(directory);
  ck_assert_int_eq(sql_integer(db, "SELECT count(*) FROM sources"), 1);
  ck_assert_int_lt(sql_integer(db, "SELECT sum(length(bytes)) FROM sources"), 5000);
  sqlite3_close(db);
  free(text);
}
END_TEST

START_TEST(source_of_another_digest_is_refused) {
  kcc_put put = {.parts = {.source = digest_of_text("one thing"), .source_length = 5},
                 .blob = {"b", 1},
                 .source_text = {"other", 5}};
  ck_assert_int_eq(kcc_store_put(store, &put, NULL, &err), KCC_EINVAL);
  ck_assert_str_eq(err.message, "source text: its digest is not the one given");
  put.parts.source_length = 6;
  ck_assert_int_eq(kcc_store_put(store, &put, NULL, &err), KCC_EINVAL);
  ck_assert_uint_eq(stats().entries, 0);
  ck_assert_uint_eq(stats().errors, 2);
}
END_TEST

/* ---- lists and times ---------------------------------------------------------------------------
 */

typedef struct listing {
  uint64_t numbers[64];
  size_t count;
  size_t stop_after;
} listing;

static bool collect(void *user, const kcc_entry_info *info) {
  listing *l = user;
  ck_assert_uint_lt(l->count, 64);
  l->numbers[l->count++] = strtoull(info->filename, NULL, 10);
  return l->count != l->stop_after;
}

static listing list(size_t stop_after) {
  listing l = {.stop_after = stop_after};
  must(kcc_store_list(store, collect, &l, &err));
  return l;
}

/* The clock has milliseconds: backdates all uses, so that the next one is later for sure. */
static void backdate(void) {
  must(kcc_store_flush(store, &err));
  sqlite3 *db = open_database(directory);
  run_sql(db, "UPDATE uses SET used=used-1000");
  sqlite3_close(db);
}

START_TEST(list_begins_with_the_last_used) {
  for (uint64_t i = 0; i < 5; i++) {
    put_numbered(store, i, 1);
    backdate();
  }
  listing l = list(0);
  ck_assert_uint_eq(l.count, 5);
  for (uint64_t i = 0; i < 5; i++) ck_assert_uint_eq(l.numbers[i], 4 - i);
  expect_number(1);
  l = list(0);
  ck_assert_uint_eq(l.numbers[0], 1);
  l = list(2);
  ck_assert_uint_eq(l.count, 2);
  ck_assert_int_eq(kcc_store_list(store, NULL, NULL, &err), KCC_EINVAL);
}
END_TEST

static bool remove_it(void *user, const kcc_entry_info *info) {
  kcc_entry entry;
  size_t *count = user;
  must(kcc_store_get(store, &info->key, NULL, &entry, NULL));
  kcc_entry_free(&entry);
  must(kcc_store_remove(store, &info->key, NULL));
  listing inner = list(0);
  ck_assert_uint_eq(inner.count, 5 - ++*count);
  return true;
}

START_TEST(list_allows_calls_on_the_store) {
  for (uint64_t i = 0; i < 5; i++) put_numbered(store, i, 1);
  size_t count = 0;
  must(kcc_store_list(store, remove_it, &count, &err));
  ck_assert_uint_eq(count, 5);
  ck_assert_uint_eq(stats().entries, 0);
}
END_TEST

static int64_t used_of(uint64_t number) {
  sqlite3 *db = open_database(directory);
  char sql[160];
  snprintf(sql, sizeof(sql),
           "SELECT used FROM uses JOIN entries USING(id) WHERE filename=CAST('%llu.js' AS BLOB)",
           (unsigned long long)number);
  int64_t used = sql_integer(db, sql);
  sqlite3_close(db);
  return used;
}

START_TEST(a_hit_writes_nothing_until_flushed) {
  put_numbered(store, 1, 1);
  backdate();
  int64_t before = used_of(1);
  sqlite3 *db = open_database(directory);
  int64_t version = sql_integer(db, "PRAGMA data_version");
  for (int i = 0; i < 1000; i++) expect_number(1);
  ck_assert_int_eq(sql_integer(db, "PRAGMA data_version"), version);
  ck_assert_int_eq(used_of(1), before);
  must(kcc_store_flush(store, &err));
  ck_assert_int_ne(sql_integer(db, "PRAGMA data_version"), version);
  ck_assert_int_gt(used_of(1), before);
  sqlite3_close(db);
}
END_TEST

START_TEST(close_writes_the_times) {
  put_numbered(store, 1, 1);
  backdate();
  int64_t before = used_of(1);
  expect_number(1);
  reopen(NULL);
  ck_assert_int_gt(used_of(1), before);
}
END_TEST

/* Waits for another connection's write, as data_version shows it, at most ten seconds. */
static void wait_for_change(sqlite3 *db, int64_t version) {
  for (int i = 0; i < 10000 && sql_integer(db, "PRAGMA data_version") == version; i++) usleep(1000);
  ck_assert_int_ne(sql_integer(db, "PRAGMA data_version"), version);
}

START_TEST(times_are_written_every_touch_every_ms) {
  kcc_store_options options = KCC_STORE_OPTIONS_INIT;
  options.touch_every_ms = 20;
  reopen(&options);
  put_numbered(store, 1, 1);
  backdate();
  int64_t before = used_of(1);
  sqlite3 *db = open_database(directory);
  int64_t version = sql_integer(db, "PRAGMA data_version");
  expect_number(1);
  wait_for_change(db, version);
  ck_assert_int_gt(used_of(1), before);
  sqlite3_close(db);
}
END_TEST

START_TEST(times_are_written_when_touch_max_wait) {
  kcc_store_options options = KCC_STORE_OPTIONS_INIT;
  options.touch_every_ms = 3600000;
  options.touch_max = 3;
  reopen(&options);
  for (uint64_t i = 0; i < 4; i++) put_numbered(store, i, 1);
  backdate();
  sqlite3 *db = open_database(directory);
  int64_t version = sql_integer(db, "PRAGMA data_version");
  int64_t before = used_of(2);
  for (int i = 0; i < 100; i++) {
    expect_number(0);
    expect_number(1);
  }
  ck_assert_int_eq(sql_integer(db, "PRAGMA data_version"), version); /* two ids: two places */
  expect_number(2);
  wait_for_change(db, version);
  ck_assert_int_gt(used_of(2), before);
  sqlite3_close(db);
}
END_TEST

/* ---- limits ------------------------------------------------------------------------------------
 */

START_TEST(blob_over_the_limit_is_too_big) {
  kcc_store_options options = KCC_STORE_OPTIONS_INIT;
  options.entry_max_bytes = 100;
  reopen(&options);
  char bytes[101] = {0};
  kcc_put put = {.blob = {bytes, 100}};
  must(kcc_store_put(store, &put, NULL, &err));
  put.blob.length = 101;
  ck_assert_int_eq(kcc_store_put(store, &put, NULL, &err), KCC_ETOOBIG);
  ck_assert_str_eq(err.message, "blob is 101 bytes, limit 100");
  ck_assert_int_eq(err.status, KCC_ETOOBIG);
  put.blob.length = (size_t)KCC_ENTRY_MAX_BYTES + 1;
  ck_assert_int_eq(kcc_store_put(store, &put, NULL, &err), KCC_ETOOBIG);
}
END_TEST

static bool never(void *user, const kcc_entry_info *info) {
  (void)user;
  ck_abort_msg("called for %s", info->filename);
}

START_TEST(bad_arguments_are_refused) {
  kcc_digest key = digest_of_text("k");
  kcc_entry entry;
  kcc_verify_result result;
  kcc_stats s;
  ck_assert_int_eq(kcc_store_get(NULL, &key, NULL, &entry, &err), KCC_EINVAL);
  ck_assert_int_eq(kcc_store_get(store, NULL, NULL, &entry, &err), KCC_EINVAL);
  ck_assert_int_eq(kcc_store_get(store, &key, NULL, NULL, &err), KCC_EINVAL);
  ck_assert_int_eq(kcc_store_get_source(store, NULL, &entry, &err), KCC_EINVAL);
  ck_assert_int_eq(kcc_store_get_source(store, &key, NULL, NULL), KCC_EINVAL);
  ck_assert_int_eq(kcc_store_put(store, NULL, NULL, &err), KCC_EINVAL);
  ck_assert_int_eq(kcc_store_remove(store, NULL, &err), KCC_EINVAL);
  ck_assert_int_eq(kcc_store_stats(store, NULL, &err), KCC_EINVAL);
  ck_assert_int_eq(kcc_store_verify(store, NULL, NULL, NULL, &err), KCC_EINVAL);
  ck_assert_int_eq(kcc_store_stats(NULL, &s, &err), KCC_EINVAL);
  ck_assert_int_eq(kcc_store_verify(NULL, NULL, NULL, &result, &err), KCC_EINVAL);
  ck_assert_int_eq(kcc_store_flush(NULL, &err), KCC_EINVAL);
  ck_assert_int_eq(kcc_store_each_like(store, NULL, never, NULL, &err), KCC_EINVAL);
  ck_assert_int_eq(kcc_store_quarantine(store, &key, NULL, &err), KCC_EINVAL);
  ck_assert_int_eq(kcc_store_list_quarantine(store, NULL, NULL, &err), KCC_EINVAL);
  ck_assert_int_eq(kcc_store_get_parts(store, &key, NULL, &err), KCC_EINVAL);
  kcc_put put = {.blob = {NULL, 3}};
  ck_assert_int_eq(kcc_store_put(store, &put, NULL, &err), KCC_EINVAL);
  put.blob = (kcc_span){"abc", 3};
  put.parts.kind = (kcc_kind)9;
  ck_assert_int_eq(kcc_store_put(store, &put, NULL, &err), KCC_EINVAL);
  put.parts.kind = KCC_SCRIPT;
  put.parts.source_length = UINT64_MAX;
  ck_assert_int_eq(kcc_store_put(store, &put, NULL, &err), KCC_EINVAL);
  put.parts.source_length = 0;
  put.parts.fingerprint.engine = "a-name-that-is-too-long-for-its-32-bytes";
  ck_assert_int_eq(kcc_store_put(store, &put, NULL, &err), KCC_EINVAL);
  put.parts.fingerprint.engine = NULL;
  must(kcc_store_put(store, &put, NULL, &err));
}
END_TEST

START_TEST(long_filename_is_cut_at_a_character) {
  char name[300];
  for (size_t i = 0; i + 1 < sizeof(name); i += 2) memcpy(name + i, "\xc3\xa9", 2); /* e acute */
  kcc_put put = {.parts = {.filename = {name, sizeof(name)}}, .blob = {"b", 1}};
  kcc_digest key;
  must(kcc_store_put(store, &put, &key, &err));
  kcc_entry entry;
  must(kcc_store_get(store, &key, NULL, &entry, &err));
  ck_assert_uint_eq(strlen(entry.info.filename), 254);
  ck_assert_mem_eq(entry.info.filename, name, 254);
  kcc_entry_free(&entry);
  put.parts.filename = (kcc_span){"a\0b", 3};
  must(kcc_store_put(store, &put, &key, &err));
  must(kcc_store_get(store, &key, NULL, &entry, &err));
  ck_assert_str_eq(entry.info.filename, "a");
  kcc_entry_free(&entry);
}
END_TEST

START_TEST(verify_of_a_sound_store_finds_nothing) {
  for (uint64_t i = 0; i < 30; i++) put_numbered(store, i, 1);
  kcc_verify_result result;
  must(kcc_store_verify(store, NULL, NULL, &result, &err));
  ck_assert_uint_eq(result.damaged, 0);
  ck_assert(result.database_ok);
  sqlite3 *db = open_database(directory);
  int64_t sources = sql_integer(db, "SELECT count(*) FROM sources");
  sqlite3_close(db);
  ck_assert_int_gt(sources, 0);
  ck_assert_uint_eq(result.checked, 30 + (uint64_t)sources);
}
END_TEST

int main(void) {
  Suite *suite = suite_create("cache store");
  TCase *entries = tcase_create("store");
  tcase_add_checked_fixture(entries, open_store, close_store);
  tcase_set_timeout(entries, 60);
  tcase_add_test(entries, put_then_get);
  tcase_add_test(entries, sizes_around_every_boundary);
  tcase_add_test(entries, miss_leaves_the_result_alone);
  tcase_add_test(entries, another_engine_is_a_miss_and_no_damage);
  tcase_add_test(entries, keys_alike_in_64_bits_are_told_apart);
  tcase_add_test(entries, put_replaces);
  tcase_add_test(entries, remove_removes_once);
  tcase_add_test(entries, entries_survive_reopening);
  tcase_add_test(entries, two_stores_of_one_process_share_a_file);
  tcase_add_test(entries, source_lives_as_long_as_an_entry_names_it);
  tcase_add_test(entries, source_stays_when_its_entry_is_replaced);
  tcase_add_test(entries, source_is_stored_once_and_compressed);
  tcase_add_test(entries, source_of_another_digest_is_refused);
  tcase_add_test(entries, list_begins_with_the_last_used);
  tcase_add_test(entries, list_allows_calls_on_the_store);
  tcase_add_test(entries, a_hit_writes_nothing_until_flushed);
  tcase_add_test(entries, close_writes_the_times);
  tcase_add_test(entries, times_are_written_every_touch_every_ms);
  tcase_add_test(entries, times_are_written_when_touch_max_wait);
  tcase_add_test(entries, blob_over_the_limit_is_too_big);
  tcase_add_test(entries, bad_arguments_are_refused);
  tcase_add_test(entries, long_filename_is_cut_at_a_character);
  tcase_add_test(entries, verify_of_a_sound_store_finds_nothing);
  suite_add_tcase(suite, entries);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
