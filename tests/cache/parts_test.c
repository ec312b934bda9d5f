/* SPDX-License-Identifier: MIT
 *
 * parts_test.c: what is kept beside an entry's blob: the parts of its key, fingerprints, texts and
 * their limits; finding entries alike; quarantine by hand.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/cache/support.h"

static char *directory;
static kcc_store *store;
static sqlite3 *db;
static kcc_error err;

static void open_store(void) {
  directory = make_directory();
  must(kcc_store_open(directory, NULL, &store, NULL));
  db = open_database(directory);
}

static void close_store(void) {
  sqlite3_close(db);
  kcc_store_close(store);
  remove_directory(directory);
}

static void reopen(const kcc_store_options *options) {
  kcc_store_close(store);
  must(kcc_store_open(directory, options, &store, NULL));
}

static kcc_stats stats(void) {
  kcc_stats s;
  must(kcc_store_stats(store, &s, NULL));
  return s;
}

static kcc_digest put_parts(const kcc_key_parts *parts) {
  kcc_digest key;
  kcc_put put = {.parts = *parts, .blob = {"blob", 4}};
  must(kcc_store_put(store, &put, &key, &err));
  return key;
}

static bool same_span(kcc_span a, kcc_span b) {
  return a.length == b.length && (a.length == 0 || memcmp(a.data, b.data, a.length) == 0);
}

/* ---- parts -------------------------------------------------------------------------------------
 */

START_TEST(parts_come_back_whole) {
  char name[300];
  memset(name, 'n', sizeof(name));
  name[17] = '\0';
  kcc_span params[] = {{"a", 1}, {"", 0}, {"\0b\xff", 3}};
  kcc_key_parts parts = {.fingerprint = test_engine,
                         .kind = KCC_FUNCTION,
                         .mode = KCC_WORKLOAD,
                         .source = digest_of_text("f"),
                         .source_length = 1,
                         .filename = {name, sizeof(name)},
                         .line_offset = INT32_MIN,
                         .column_offset = 7,
                         .params = params,
                         .params_count = 3,
                         .context_extensions_count = 2,
                         .workload = digest_of_text("w"),
                         .origin_options = 0x80000001u};
  kcc_digest key = put_parts(&parts), id;
  must(kcc_fingerprint_id(&test_engine, &id, NULL));
  kcc_entry_parts got;
  must(kcc_store_get_parts(store, &key, &got, &err));
  ck_assert_mem_eq(got.fingerprint_id.bytes, id.bytes, KCC_DIGEST_BYTES);
  ck_assert_str_eq(got.parts.fingerprint.engine, test_engine.engine);
  ck_assert_str_eq(got.parts.fingerprint.v8_version, test_engine.v8_version);
  ck_assert_uint_eq(got.parts.fingerprint.cached_data_tag, test_engine.cached_data_tag);
  ck_assert_str_eq(got.parts.fingerprint.flags, test_engine.flags);
  ck_assert_str_eq(got.parts.fingerprint.build_id, test_engine.build_id);
  ck_assert_str_eq(got.parts.fingerprint.arch, test_engine.arch);
  ck_assert_int_eq(got.parts.kind, KCC_FUNCTION);
  ck_assert_int_eq(got.parts.mode, KCC_WORKLOAD);
  ck_assert(same_span(got.parts.filename, parts.filename));
  ck_assert_int_eq(got.parts.line_offset, INT32_MIN);
  ck_assert_int_eq(got.parts.column_offset, 7);
  ck_assert_uint_eq(got.parts.params_count, 3);
  for (size_t i = 0; i < 3; i++) ck_assert(same_span(got.parts.params[i], params[i]));
  ck_assert_uint_eq(got.parts.context_extensions_count, 2);
  ck_assert_uint_eq(got.parts.origin_options, 0x80000001u);
  kcc_digest again = key_of_parts(&got.parts);
  ck_assert_mem_eq(again.bytes, key.bytes, KCC_DIGEST_BYTES);
  kcc_entry_parts_free(&got);
  kcc_entry_parts_free(&got);
  kcc_entry_parts_free(NULL);
}
END_TEST

START_TEST(parts_of_nothing_are_a_miss_and_big_ones_are_kept) {
  kcc_entry_parts got;
  memset(&got, 0x5a, sizeof(got));
  kcc_entry_parts before = got;
  kcc_digest key = digest_of_text("none");
  ck_assert_int_eq(kcc_store_get_parts(store, &key, &got, &err), KCC_MISS);
  ck_assert_mem_eq(&got, &before, sizeof(got));
  enum { COUNT = 1024, LENGTH = 4096 };
  char *text = malloc(LENGTH);
  kcc_span *params = calloc(COUNT, sizeof(*params));
  ck_assert(text != NULL && params != NULL);
  memset(text, 'p', LENGTH);
  for (size_t i = 0; i < COUNT; i++) params[i] = (kcc_span){text, LENGTH};
  kcc_key_parts parts = {.params = params, .params_count = COUNT};
  key = put_parts(&parts);
  must(kcc_store_get_parts(store, &key, &got, &err));
  ck_assert_uint_eq(got.parts.params_count, COUNT);
  ck_assert(same_span(got.parts.params[COUNT - 1], params[0]));
  kcc_entry_parts_free(&got);
  free(params);
  free(text);
}
END_TEST

START_TEST(parts_and_fingerprints_have_limits) {
  kcc_put put = {.blob = {"b", 1}};
  size_t length = KCC_PARTS_MAX_BYTES;
  char *name = calloc(1, length);
  ck_assert_ptr_nonnull(name);
  put.parts.filename = (kcc_span){name, length};
  ck_assert_int_eq(kcc_store_put(store, &put, NULL, &err), KCC_ETOOBIG);
  ck_assert_str_eq(err.message, "file name and parameters are 8388688 bytes, limit 8388608");
  free(name);
  char flags[70000];
  memset(flags, 'f', sizeof(flags) - 1);
  flags[sizeof(flags) - 1] = '\0';
  put.parts.filename.length = 0;
  put.parts.fingerprint.flags = flags;
  ck_assert_int_eq(kcc_store_put(store, &put, NULL, &err), KCC_ETOOBIG);
  ck_assert_str_eq(err.message, "fingerprint is over the limit of 65536 bytes");
  ck_assert_uint_eq(stats().entries, 0);
  flags[60000] = '\0';
  must(kcc_store_put(store, &put, NULL, &err));
  char build_id[80];
  memset(build_id, 'b', sizeof(build_id));
  build_id[72] = '\0';
  put.parts.fingerprint.build_id = build_id;
  ck_assert_int_eq(kcc_store_put(store, &put, NULL, &err), KCC_EINVAL);
  ck_assert_str_eq(err.message, "entry: build id over 71 bytes");
  build_id[71] = '\0';
  must(kcc_store_put(store, &put, NULL, &err));
}
END_TEST

/* ---- fingerprints ------------------------------------------------------------------------------
 */

START_TEST(fingerprints_are_kept_once) {
  for (uint64_t i = 0; i < 20; i++) put_numbered(store, i, 1);
  ck_assert_int_eq(sql_integer(db, "SELECT count(*) FROM fingerprints"), 1);
  kcc_key_parts parts = parts_of_number(1);
  parts.fingerprint.flags = "--other";
  kcc_digest key = put_parts(&parts);
  ck_assert_int_eq(sql_integer(db, "SELECT count(*) FROM fingerprints"), 2);
  must(kcc_store_remove(store, &key, &err));
  kcc_verify_result result;
  must(kcc_store_verify(store, NULL, NULL, &result, &err)); /* which tidies */
  ck_assert_int_eq(sql_integer(db, "SELECT count(*) FROM fingerprints"), 1);
}
END_TEST

static void flip_bit(const char *column, size_t bit) {
  char sql[128];
  sqlite3_stmt *statement;
  uint8_t bytes[512];
  snprintf(sql, sizeof(sql), "SELECT %s FROM fingerprints", column);
  ck_assert_int_eq(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
  ck_assert_int_eq(sqlite3_step(statement), SQLITE_ROW);
  int length = sqlite3_column_bytes(statement, 0);
  ck_assert_int_le(length, (int)sizeof(bytes));
  memcpy(bytes, sqlite3_column_blob(statement, 0), (size_t)length);
  sqlite3_finalize(statement);
  bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
  snprintf(sql, sizeof(sql), "UPDATE fingerprints SET %s=?1", column);
  ck_assert_int_eq(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
  ck_assert_int_eq(sqlite3_bind_blob(statement, 1, bytes, length, SQLITE_STATIC), SQLITE_OK);
  ck_assert_int_eq(sqlite3_step(statement), SQLITE_DONE);
  sqlite3_finalize(statement);
}

/* The blob does not depend on the row: it is handed out as before. */
static void expect_fingerprint_damage(void) {
  kcc_digest key = key_of_number(1);
  kcc_entry_parts parts;
  kcc_entry entry;
  kcc_stats before = stats();
  ck_assert_int_eq(kcc_store_get_parts(store, &key, &parts, &err), KCC_MISS);
  kcc_stats after = stats();
  ck_assert_uint_eq(after.corrupt, before.corrupt + 1);
  ck_assert_uint_eq(after.quarantined, before.quarantined < 64 ? before.quarantined + 1 : 64);
  ck_assert_uint_eq(after.errors, 0);
  ck_assert_int_eq(kcc_store_get_parts(store, &key, &parts, &err), KCC_MISS);
  ck_assert_uint_eq(stats().corrupt, after.corrupt);
  must(kcc_store_get(store, &key, &test_engine, &entry, &err));
  ck_assert(is_numbered(&entry, 1));
  kcc_entry_free(&entry);
  put_numbered(store, 2, 1); /* of the same engine */
  must(kcc_store_get_parts(store, &key, &parts, &err));
  ck_assert_str_eq(parts.parts.fingerprint.flags, test_engine.flags);
  kcc_entry_parts_free(&parts);
}

START_TEST(every_flipped_bit_of_a_fingerprint_is_a_miss_of_the_parts) {
  put_numbered(store, 1, 1);
  size_t bytes = (size_t)sql_integer(db, "SELECT length(bytes) FROM fingerprints");
  ck_assert_uint_gt(bytes, 44 + 7 + 19);
  for (size_t bit = 0; bit < 8 * bytes; bit++) {
    flip_bit("bytes", bit);
    expect_fingerprint_damage();
  }
  for (size_t bit = 0; bit < (size_t)8 * KCC_DIGEST_BYTES; bit++) {
    flip_bit("digest", bit);
    expect_fingerprint_damage();
  }
  static const char *const damages[] = {"UPDATE fingerprints SET bytes=x''",
                                        "UPDATE fingerprints SET bytes=zeroblob(100000)",
                                        "UPDATE fingerprints SET digest=x'00'",
                                        "UPDATE fingerprints SET bytes=CAST(bytes||x'00' AS BLOB)"};
  for (size_t i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {
    run_sql(db, damages[i]);
    expect_fingerprint_damage();
  }
  ck_assert_int_gt(sql_integer(db, "SELECT count(*) FROM quarantine WHERE what='fingerprint'"), 60);
  /* A row that is not there is no damage, but no parts either. */
  for (int64_t bit = 0; bit < 63; bit++) {
    char sql[96];
    kcc_entry_parts parts;
    kcc_digest key = key_of_number(1);
    snprintf(sql, sizeof(sql), "UPDATE fingerprints SET id=%lld",
             (long long)(sql_integer(db, "SELECT id FROM fingerprints") ^ ((int64_t)1 << bit)));
    run_sql(db, sql);
    ck_assert_int_eq(kcc_store_get_parts(store, &key, &parts, &err), KCC_MISS);
    run_sql(db, "DELETE FROM fingerprints");
    put_numbered(store, 2, 1);
  }
}
END_TEST

static bool note_id(void *user, const kcc_entry_info *info) {
  *(kcc_entry_info *)user = *info;
  return true;
}

START_TEST(verify_finds_damaged_fingerprints) {
  put_numbered(store, 1, 1);
  flip_bit("bytes", 100);
  kcc_entry_info info;
  kcc_verify_result result;
  kcc_digest id;
  memset(&info, 0xff, sizeof(info));
  must(kcc_fingerprint_id(&test_engine, &id, NULL));
  must(kcc_store_verify(store, note_id, &info, &result, &err));
  ck_assert_uint_eq(result.damaged, 1);
  ck_assert_uint_eq(result.checked, 2);
  ck_assert(result.database_ok);
  ck_assert_mem_eq(info.fingerprint_id.bytes, id.bytes, KCC_DIGEST_BYTES);
  ck_assert_int_eq(sql_integer(db, "SELECT count(*) FROM fingerprints"), 0);
}
END_TEST

/* ---- alike -------------------------------------------------------------------------------------
 */

typedef struct found {
  int32_t lines[KCC_LIKE_MAX + 1]; /* the entries' line offsets */
  size_t count;
  size_t stop_after;
  size_t with_source;
} found;

static bool note_found(void *user, const kcc_entry_info *info) {
  found *f = user;
  kcc_entry entry;
  ck_assert_uint_lt(f->count, KCC_LIKE_MAX + 1);
  f->lines[f->count++] = info->line_offset;
  f->with_source += info->has_source;
  must(kcc_store_get(store, &info->key, NULL, &entry, NULL)); /* the store may be called */
  kcc_entry_free(&entry);
  return f->count != f->stop_after;
}

static found like(const char *source, const char *name, size_t stop_after) {
  found f = {.stop_after = stop_after};
  kcc_key_parts parts = {.source = digest_of_text(source), .filename = {name, strlen(name)}};
  must(kcc_store_each_like(store, &parts, note_found, &f, &err));
  return f;
}

static void put_named(const char *source, const char *name, int32_t line, bool keep) {
  kcc_put put = {.parts = {.source = digest_of_text(source),
                           .source_length = strlen(source),
                           .filename = {name, strlen(name)},
                           .line_offset = line},
                 .blob = {"b", 1}};
  if (keep) put.source_text = (kcc_span){source, strlen(source)};
  must(kcc_store_put(store, &put, NULL, &err));
  /* The clock has milliseconds: what is put next is later for sure. */
  run_sql(db, "UPDATE uses SET used=used-1000");
}

START_TEST(alike_is_of_one_source_or_one_name) {
  char long_a[300], long_b[300];
  memset(long_a, 'l', sizeof(long_a));
  memcpy(long_b, long_a, sizeof(long_b));
  long_a[299] = long_b[299] = '\0';
  long_b[298] = 'm'; /* the same when cut */
  put_named("one", "a.js", 1, true);
  put_named("one", "b.js", 2, false);
  put_named("two", "a.js", 3, false);
  put_named("two", "", 4, false);
  put_named("three", "", 5, false);
  put_named("four", long_a, 6, false);
  found f = like("one", "a.js", 0);
  ck_assert_uint_eq(f.count, 3);
  ck_assert_int_eq(f.lines[0], 3);
  ck_assert_int_eq(f.lines[1], 2);
  ck_assert_int_eq(f.lines[2], 1);
  ck_assert_uint_eq(f.with_source, 2);
  ck_assert_uint_eq(like("one", "a.js", 2).count, 2);
  ck_assert_uint_eq(like("two", "", 0).count, 2); /* not all that have no name */
  ck_assert_uint_eq(like("five", "b.js", 0).count, 1);
  ck_assert_uint_eq(like("five", long_a, 0).count, 1);
  ck_assert_uint_eq(like("five", long_b, 0).count, 0);
  ck_assert_uint_eq(like("five", "c.js", 0).count, 0);
  kcc_key_parts none = {.filename = {NULL, 3}};
  ck_assert_int_eq(kcc_store_each_like(store, &none, note_found, &f, &err), KCC_EINVAL);
  run_sql(db, "UPDATE entries SET engine='x' WHERE filename=CAST('b.js' AS BLOB)");
  ck_assert_uint_eq(like("one", "b.js", 0).count, 1); /* the damaged one is not shown */
  ck_assert_uint_eq(stats().quarantined, 1);
}
END_TEST

START_TEST(alike_has_an_end) {
  for (int32_t line = 0; line < KCC_LIKE_MAX + 20; line++) put_named("s", "n", line, false);
  found f = like("s", "other", 0);
  ck_assert_uint_eq(f.count, KCC_LIKE_MAX);
  ck_assert_int_eq(f.lines[0], KCC_LIKE_MAX + 19);
  ck_assert_int_eq(f.lines[KCC_LIKE_MAX - 1], 20);
}
END_TEST

/* ---- quarantine by hand ------------------------------------------------------------------------
 */

typedef struct listing {
  kcc_digest keys[8];
  char lines[8][128];
  size_t count;
} listing;

static bool note_item(void *user, const kcc_quarantined *item) {
  listing *list = user;
  ck_assert_uint_lt(list->count, 8);
  ck_assert_int_gt(item->moved_unix_ms, 1500000000000);
  list->keys[list->count] = item->key;
  snprintf(list->lines[list->count++], sizeof(list->lines[0]), "%s %s %s %llu", item->what,
           item->name, item->reason, (unsigned long long)item->bytes);
  return list->count < 8;
}

START_TEST(quarantine_takes_a_whole_entry) {
  put_numbered(store, 3, 1);
  put_numbered(store, 4, 1);
  kcc_digest key = key_of_number(3);
  kcc_entry entry;
  must(kcc_store_quarantine(store, &key, "engine died while it was consumed (SIGSEGV)", &err));
  ck_assert_int_eq(kcc_store_quarantine(store, &key, "again", &err), KCC_MISS);
  ck_assert_int_eq(kcc_store_get(store, &key, NULL, &entry, &err), KCC_MISS);
  ck_assert_uint_eq(stats().entries, 1);
  ck_assert_uint_eq(stats().quarantined, 1);
  ck_assert_uint_eq(stats().corrupt, 0); /* nothing was found damaged */
  ck_assert_uint_eq(stats().sources, 0); /* its text was named by it alone */
  kcc_digest other = key_of_number(4);
  run_sql(db, "UPDATE blobs SET bytes=x'0102'");
  ck_assert_int_eq(kcc_store_get(store, &other, NULL, &entry, &err), KCC_MISS);
  run_sql(db, "INSERT INTO blobs(id,bytes) VALUES(7,x'010203')"); /* whose key nobody knows */
  kcc_verify_result result;
  must(kcc_store_verify(store, NULL, NULL, &result, &err));
  listing list = {.count = 0};
  must(kcc_store_list_quarantine(store, note_item, &list, &err));
  ck_assert_uint_eq(list.count, 3);
  ck_assert_str_eq(list.lines[0], "entry  a blob without metadata 3");
  ck_assert_str_eq(list.lines[1], "entry 4.js shorter than its header 2");
  char expected[128];
  snprintf(expected, sizeof(expected), "entry 3.js engine died while it was consumed (SIGSEGV) %zu",
           numbered_length(3, 1) + 112);
  ck_assert_str_eq(list.lines[2], expected);
  kcc_digest zero;
  memset(&zero, 0, sizeof(zero));
  ck_assert_mem_eq(list.keys[0].bytes, zero.bytes, KCC_DIGEST_BYTES);
  ck_assert_mem_eq(list.keys[1].bytes, other.bytes, KCC_DIGEST_BYTES);
  ck_assert_mem_eq(list.keys[2].bytes, key.bytes, KCC_DIGEST_BYTES);
  put_numbered(store, 3, 1);
  must(kcc_store_get(store, &key, NULL, &entry, &err));
  kcc_entry_free(&entry);
}
END_TEST

START_TEST(quarantine_by_hand_has_its_limits) {
  put_numbered(store, 3, 1);
  kcc_digest key = key_of_number(3);
  char reason[KCC_REASON_MAX_BYTES + 2];
  memset(reason, 'r', sizeof(reason));
  reason[sizeof(reason) - 1] = '\0';
  ck_assert_int_eq(kcc_store_quarantine(store, &key, reason, &err), KCC_EINVAL);
  ck_assert_str_eq(err.message, "reason is 256 bytes, limit 255");
  kcc_store_options options = KCC_STORE_OPTIONS_INIT;
  options.read_only = true;
  reopen(&options);
  ck_assert_int_eq(kcc_store_quarantine(store, &key, "no", &err), KCC_EREADONLY);
  listing list = {.count = 0};
  must(kcc_store_list_quarantine(store, note_item, &list, &err));
  ck_assert_uint_eq(list.count, 0);
  reopen(NULL);
  reason[KCC_REASON_MAX_BYTES] = '\0';
  must(kcc_store_quarantine(store, &key, reason, &err));
}
END_TEST

/* ---- texts -------------------------------------------------------------------------------------
 */

static bool has_text(const char *text) {
  kcc_digest digest = digest_of_text(text);
  kcc_entry entry;
  kcc_status status = kcc_store_get_source(store, &digest, &entry, &err);
  if (status == KCC_MISS) return false;
  must(status);
  ck_assert(same_span(entry.blob, (kcc_span){text, strlen(text)}));
  kcc_entry_free(&entry);
  return true;
}

START_TEST(workload_texts_are_kept_like_sources) {
  kcc_digest keys[2];
  kcc_put put = {.parts = {.source = digest_of_text("text"),
                           .source_length = 4,
                           .mode = KCC_WORKLOAD,
                           .workload = digest_of_text("main()")},
                 .blob = {"b", 1},
                 .source_text = {"text", 4},
                 .workload_text = {"main()", 6}};
  for (int32_t i = 0; i < 2; i++) {
    put.parts.line_offset = i;
    must(kcc_store_put(store, &put, &keys[i], &err));
  }
  ck_assert(has_text("text") && has_text("main()"));
  ck_assert_uint_eq(stats().sources, 2);
  kcc_verify_result result;
  must(kcc_store_verify(store, NULL, NULL, &result, &err));
  ck_assert_uint_eq(result.checked, 4);
  must(kcc_store_remove(store, &keys[0], &err));
  ck_assert(has_text("text") && has_text("main()"));
  must(kcc_store_remove(store, &keys[1], &err));
  ck_assert(!has_text("text") && !has_text("main()"));
  ck_assert_uint_eq(stats().sources, 0);
  ck_assert_uint_eq(stats().source_bytes, 0);
  put.workload_text = (kcc_span){"mean()", 6};
  ck_assert_int_eq(kcc_store_put(store, &put, NULL, &err), KCC_EINVAL);
  ck_assert_uint_eq(stats().entries, 0);
}
END_TEST

START_TEST(text_over_the_limit_is_not_kept) {
  kcc_store_options options = KCC_STORE_OPTIONS_INIT;
  options.source_max_bytes = 10;
  reopen(&options);
  put_named("ten bytes.", "", 1, true);
  put_named("eleven byte", "", 2, true);
  ck_assert(has_text("ten bytes."));
  ck_assert(!has_text("eleven byte"));
  ck_assert_uint_eq(stats().entries, 2);
  ck_assert_uint_eq(stats().errors, 0);
}
END_TEST

/* Texts that do not compress, of the same length. */
static char *noise(uint64_t number) {
  enum { LENGTH = 20000 };
  static char text[LENGTH + 1];
  fill_bytes((uint8_t *)text, LENGTH, number + 1);
  for (size_t i = 0; i < LENGTH; i++)
    if (text[i] == '\0') text[i] = 1;
  text[LENGTH] = '\0';
  return text;
}

START_TEST(texts_have_a_limit_together_and_the_oldest_go) {
  enum { MAX = 205000 }; /* ten of them, as stored */
  kcc_store_options options = KCC_STORE_OPTIONS_INIT;
  options.sources_max_bytes = MAX;
  reopen(&options);
  for (uint64_t i = 0; i < 10; i++) {
    put_named(noise(i), "", (int32_t)i, true);
    run_sql(db, "UPDATE texts SET used=used-1000");
  }
  ck_assert_uint_eq(stats().sources, 10);
  ck_assert_uint_le(stats().source_bytes, MAX);
  ck_assert(has_text(noise(0))); /* now it is the last used */
  must(kcc_store_flush(store, &err));
  put_named(noise(10), "", 10, true);
  ck_assert_uint_le(stats().source_bytes, MAX);
  ck_assert_uint_eq(stats().entries, 11);
  ck_assert(has_text(noise(0)) && has_text(noise(10)) && has_text(noise(9)));
  ck_assert(!has_text(noise(1)));
  ck_assert_uint_ge(stats().sources, 9);
  ck_assert_int_eq(sql_integer(db, "SELECT sum(length(bytes)) FROM sources"),
                   (int64_t)stats().source_bytes);
  /* One that alone is over it: not kept, and no other goes for it. */
  uint64_t before = stats().sources;
  options.sources_max_bytes = 15000;
  reopen(&options);
  put_named(noise(11), "", 11, true);
  ck_assert_uint_eq(stats().sources, before);
  ck_assert(!has_text(noise(11)));
  /* A smaller limit holds from the next text on. */
  put_named("small", "", 12, true);
  ck_assert_uint_eq(stats().sources, 1);
  ck_assert(has_text("small"));
  ck_assert_uint_eq(stats().entries, 13);
  for (uint64_t i = 0; i < 30; i++) put_named(noise(i), "", (int32_t)i, true);
  ck_assert_uint_le(stats().source_bytes, 15000);
}
END_TEST

START_TEST(damaged_accounts_of_texts_are_put_right) {
  static const char *const damages[] = {
      "UPDATE texts_total SET bytes=9223372036854775807",
      "UPDATE texts_total SET bytes=-9223372036854775807",
      "DELETE FROM texts_total",
      "UPDATE texts SET bytes=9223372036854775807",
      "UPDATE texts SET bytes=-5",
      "DELETE FROM texts",
      "UPDATE texts SET id=id+1",
      "INSERT INTO texts(id,used,bytes) VALUES(1,1,1099511627776)",
  };
  put_named("kept", "", 1, true);
  for (size_t i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {
    char text[32];
    snprintf(text, sizeof(text), "new %zu", i);
    run_sql(db, damages[i]);
    put_named(text, "", (int32_t)i, true);
    ck_assert(has_text("kept") && has_text(text));
    kcc_verify_result result;
    must(kcc_store_verify(store, NULL, NULL, &result, &err));
    ck_assert_uint_eq(result.damaged, 0);
    ck_assert_uint_eq(stats().sources, i + 2);
    ck_assert_int_eq(sql_integer(db, "SELECT sum(length(bytes)) FROM sources"),
                     (int64_t)stats().source_bytes);
  }
  ck_assert_uint_eq(stats().errors, 0);
}
END_TEST

int main(void) {
  Suite *suite = suite_create("cache parts");
  TCase *all = tcase_create("parts");
  tcase_add_checked_fixture(all, open_store, close_store);
  tcase_set_timeout(all, 120);
  tcase_add_test(all, parts_come_back_whole);
  tcase_add_test(all, parts_of_nothing_are_a_miss_and_big_ones_are_kept);
  tcase_add_test(all, parts_and_fingerprints_have_limits);
  tcase_add_test(all, fingerprints_are_kept_once);
  tcase_add_test(all, every_flipped_bit_of_a_fingerprint_is_a_miss_of_the_parts);
  tcase_add_test(all, verify_finds_damaged_fingerprints);
  tcase_add_test(all, alike_is_of_one_source_or_one_name);
  tcase_add_test(all, alike_has_an_end);
  tcase_add_test(all, quarantine_takes_a_whole_entry);
  tcase_add_test(all, quarantine_by_hand_has_its_limits);
  tcase_add_test(all, workload_texts_are_kept_like_sources);
  tcase_add_test(all, text_over_the_limit_is_not_kept);
  tcase_add_test(all, texts_have_a_limit_together_and_the_oldest_go);
  tcase_add_test(all, damaged_accounts_of_texts_are_put_right);
  suite_add_tcase(suite, all);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
