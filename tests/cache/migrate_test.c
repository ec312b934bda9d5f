/* SPDX-License-Identifier: MIT
 *
 * migrate_test.c: a store as version 0.1.0 left it (schema 1), opened by this one. The database is
 * made here with the SQL, the hashes and the envelopes of that time.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cache/bytes.h"
#include "cache/envelope.h"
#include "cache/key.h"
#include "cache/schema.h"
#include "cache/source.h"
#include "tests/cache/place.h"
#include "tests/cache/support.h"

#define ENTRIES 20
static const char source_text[] = "export const old = 1;";
static const char blob_text[] = "cached data of the old store";

static const char schema_1[] =
    "PRAGMA page_size=8192; PRAGMA journal_mode=WAL; BEGIN;"
    "CREATE TABLE entries(id INTEGER PRIMARY KEY, key BLOB NOT NULL, source BLOB NOT NULL,"
    " source_length INTEGER NOT NULL, blob_length INTEGER NOT NULL, kind INTEGER NOT NULL,"
    " mode INTEGER NOT NULL, engine TEXT NOT NULL, v8_version TEXT NOT NULL,"
    " filename BLOB NOT NULL, created INTEGER NOT NULL, hash BLOB NOT NULL) STRICT;"
    "CREATE INDEX entries_by_source ON entries(source);"
    "CREATE TABLE blobs(id INTEGER PRIMARY KEY, bytes BLOB NOT NULL) STRICT;"
    "CREATE TABLE uses(id INTEGER PRIMARY KEY, used INTEGER NOT NULL) STRICT;"
    "CREATE TABLE sources(id INTEGER PRIMARY KEY, digest BLOB NOT NULL, length INTEGER NOT NULL,"
    " bytes BLOB NOT NULL) STRICT;"
    "CREATE TABLE quarantine(id INTEGER PRIMARY KEY AUTOINCREMENT, moved INTEGER NOT NULL,"
    " what TEXT NOT NULL, reason TEXT NOT NULL, name TEXT, metadata TEXT, bytes BLOB) STRICT;"
    "PRAGMA application_id=1265200238; PRAGMA user_version=1; COMMIT;";

static kcc_digest key_of_old(int number) {
  kcc_key_parts parts = {.fingerprint = test_engine,
                         .source = digest_of_text(source_text),
                         .source_length = strlen(source_text),
                         .filename = {"old.mjs", 7},
                         .line_offset = number};
  return key_of_parts(&parts);
}

static uint8_t *add_text(uint8_t *to, const char *text) {
  kcc__store_u32(to, (uint32_t)strlen(text));
  memcpy(to + 4, text, strlen(text));
  return to + 4 + strlen(text);
}

static void bind_digest(sqlite3_stmt *statement, int at, const kcc_digest *digest) {
  ck_assert_int_eq(sqlite3_bind_blob(statement, at, digest, sizeof(*digest), SQLITE_TRANSIENT), 0);
}

static void run_bound(sqlite3_stmt *statement) {
  ck_assert_int_eq(sqlite3_step(statement), SQLITE_DONE);
  sqlite3_finalize(statement);
}

static sqlite3_stmt *prepare(sqlite3 *db, const char *sql) {
  sqlite3_stmt *statement;
  ck_assert_int_eq(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
  return statement;
}

static void hash_of_old(const kcc_digest *key, const kcc_digest *source, int64_t created,
                        uint8_t ret_hash[KCC__HASH_BYTES]) {
  uint8_t serial[512];
  kcc__store_u32(serial, 1);
  kcc__store_u32(serial + 4, KCC_SCRIPT);
  kcc__store_u32(serial + 8, KCC_LAZY);
  kcc__store_u64(serial + 12, strlen(source_text));
  kcc__store_u64(serial + 20, sizeof(blob_text));
  kcc__store_u64(serial + 28, (uint64_t)created);
  memcpy(serial + 36, key, sizeof(*key));
  memcpy(serial + 68, source, sizeof(*source));
  uint8_t *to = add_text(serial + 100, test_engine.engine);
  to = add_text(to, test_engine.v8_version);
  to = add_text(to, "old.mjs");
  kcc__hash(serial, (size_t)(to - serial), 0, ret_hash);
}

static void insert_old(sqlite3 *db, int number) {
  uint8_t hash[KCC__HASH_BYTES];
  uint8_t envelope[sizeof(blob_text) + KCC__ENVELOPE_HEADER_BYTES];
  int64_t created = 1700000000000 + number;
  kcc_digest key = key_of_old(number), source = digest_of_text(source_text), id;
  must(kcc_fingerprint_id(&test_engine, &id, NULL));
  hash_of_old(&key, &source, created, hash);
  kcc_envelope_encode(&key, &id, (kcc_span){blob_text, sizeof(blob_text)}, envelope);
  sqlite3_stmt *statement = prepare(
      db, "INSERT INTO entries VALUES(?1,?2,?3,?4,?5,0,0,?6,?7,CAST('old.mjs' AS BLOB),?8,?9)");
  sqlite3_bind_int64(statement, 1, kcc__id_of(&key));
  bind_digest(statement, 2, &key);
  bind_digest(statement, 3, &source);
  sqlite3_bind_int64(statement, 4, (int64_t)strlen(source_text));
  sqlite3_bind_int64(statement, 5, (int64_t)sizeof(blob_text));
  sqlite3_bind_text(statement, 6, test_engine.engine, -1, SQLITE_STATIC);
  sqlite3_bind_text(statement, 7, test_engine.v8_version, -1, SQLITE_STATIC);
  sqlite3_bind_int64(statement, 8, created);
  sqlite3_bind_blob(statement, 9, hash, sizeof(hash), SQLITE_STATIC);
  run_bound(statement);
  statement = prepare(db, "INSERT INTO blobs VALUES(?1,?2)");
  sqlite3_bind_int64(statement, 1, kcc__id_of(&key));
  sqlite3_bind_blob(statement, 2, envelope, sizeof(envelope), SQLITE_STATIC);
  run_bound(statement);
  statement = prepare(db, "INSERT INTO uses VALUES(?1,?2)");
  sqlite3_bind_int64(statement, 1, kcc__id_of(&key));
  sqlite3_bind_int64(statement, 2, created);
  run_bound(statement);
}

static void insert_source(sqlite3 *db) {
  kcc__packed packed;
  kcc_digest source = digest_of_text(source_text);
  must(kcc__source_pack((kcc_span){source_text, strlen(source_text)}, &source, &packed, NULL));
  sqlite3_stmt *statement = prepare(db, "INSERT INTO sources VALUES(?1,?2,?3,?4)");
  sqlite3_bind_int64(statement, 1, kcc__id_of(&source));
  bind_digest(statement, 2, &source);
  sqlite3_bind_int64(statement, 3, (int64_t)strlen(source_text));
  sqlite3_bind_blob(statement, 4, packed.bytes, (int)packed.length, SQLITE_STATIC);
  run_bound(statement);
  kcc__packed_release(&packed);
}

static void make_old_store(void) {
  sqlite3 *db;
  make_place();
  ck_assert_int_eq(sqlite3_open(file, &db), SQLITE_OK);
  run_sql(db, schema_1);
  for (int i = 0; i < ENTRIES; i++) insert_old(db, i);
  insert_source(db);
  run_sql(db,
          "INSERT INTO quarantine(moved,what,reason,name,metadata,bytes) VALUES(1700000000001,"
          "'entry','wrong hash',quote(zeroblob(32)),'id=0',x'0102')");
  sqlite3_close(db);
  ck_assert_int_eq(chmod(file, 0600), 0);
}

static void expect_old(int number) {
  kcc_digest key = key_of_old(number);
  kcc_entry entry;
  must(kcc_store_get(store, &key, &test_engine, &entry, &err));
  ck_assert_uint_eq(entry.blob.length, sizeof(blob_text));
  ck_assert_mem_eq(entry.blob.data, blob_text, sizeof(blob_text));
  ck_assert_str_eq(entry.info.filename, "old.mjs");
  ck_assert_str_eq(entry.info.build_id, "");
  ck_assert_int_eq(entry.info.created_unix_ms, 1700000000000 + number);
  kcc_entry_free(&entry);
}

static bool count_it(void *user, const kcc_entry_info *info) {
  ck_assert(info->has_source);
  ++*(int *)user;
  return true;
}

static bool count_item(void *user, const kcc_quarantined *item) {
  ck_assert_str_eq(item->reason, "wrong hash");
  ck_assert_str_eq(item->name, "");
  ck_assert_uint_eq(item->bytes, 2);
  ++*(int *)user;
  return true;
}

START_TEST(old_entries_stay_usable) {
  must(open_it());
  for (int i = 0; i < ENTRIES; i++) expect_old(i);
  kcc_digest key = key_of_old(3);
  kcc_entry_parts parts;
  ck_assert_int_eq(kcc_store_get_parts(store, &key, &parts, &err), KCC_MISS);
  int count = 0;
  kcc_key_parts like = {.source = digest_of_text(source_text)};
  must(kcc_store_each_like(store, &like, count_it, &count, &err));
  ck_assert_int_eq(count, ENTRIES);
  must(kcc_store_list(store, count_it, &count, &err));
  ck_assert_int_eq(count, 2 * ENTRIES);
  like = (kcc_key_parts){.filename = {"old.mjs", 7}};
  must(kcc_store_each_like(store, &like, count_it, &count, &err));
  ck_assert_int_eq(count, 2 * ENTRIES);
  kcc_entry text;
  like.source = digest_of_text(source_text);
  must(kcc_store_get_source(store, &like.source, &text, &err));
  ck_assert_mem_eq(text.blob.data, source_text, strlen(source_text));
  kcc_entry_free(&text);
  count = 0;
  must(kcc_store_list_quarantine(store, count_item, &count, &err));
  ck_assert_int_eq(count, 1);
  kcc_stats s;
  must(kcc_store_stats(store, &s, &err));
  ck_assert_uint_eq(s.entries, ENTRIES);
  ck_assert_uint_eq(s.sources, 1);
  ck_assert_uint_gt(s.source_bytes, 112);
  ck_assert_uint_eq(s.corrupt + s.errors, 0);
  kcc_verify_result result;
  must(kcc_store_verify(store, NULL, NULL, &result, &err));
  ck_assert_uint_eq(result.checked, ENTRIES + 1);
  ck_assert_uint_eq(result.damaged, 0);
  ck_assert(result.database_ok);
}
END_TEST

START_TEST(old_and_new_entries_live_together) {
  must(open_it());
  put_numbered(store, 1, 1);
  kcc_digest key = key_of_old(0);
  must(kcc_store_remove(store, &key, &err));
  key = key_of_old(1);
  must(kcc_store_quarantine(store, &key, "its user died", &err));
  kcc_store_close(store);
  must(open_it());
  for (int i = 2; i < ENTRIES; i++) expect_old(i);
  kcc_put put = {.parts = {.fingerprint = test_engine,
                           .source = digest_of_text(source_text),
                           .source_length = strlen(source_text),
                           .filename = {"old.mjs", 7},
                           .line_offset = 2},
                 .blob = {"new", 3}};
  kcc_entry_parts parts;
  must(kcc_store_put(store, &put, &key, &err)); /* in place of an old one */
  must(kcc_store_get_parts(store, &key, &parts, &err));
  ck_assert_int_eq(parts.parts.line_offset, 2);
  kcc_entry_parts_free(&parts);
  kcc_stats s;
  must(kcc_store_stats(store, &s, &err));
  ck_assert_uint_eq(s.entries, ENTRIES - 1);
  ck_assert_uint_eq(s.sources, 1);
  ck_assert_uint_eq(s.quarantined, 2);
  for (int i = 2; i < ENTRIES; i++) {
    key = key_of_old(i);
    must(kcc_store_remove(store, &key, &err));
  }
  must(kcc_store_stats(store, &s, &err));
  ck_assert_uint_eq(s.sources, 0); /* its last entry is gone */
  ck_assert_uint_eq(s.source_bytes, 0);
}
END_TEST

START_TEST(damage_of_old_entries_is_found) {
  static const char *const damages[] = {
      "UPDATE entries SET created=created+1", "UPDATE entries SET parts=x'00'",
      "UPDATE entries SET name=5", "UPDATE entries SET workload=zeroblob(32)",
      "UPDATE entries SET engine='x'"};
  must(open_it());
  sqlite3 *db = open_database(directory);
  run_sql(db, "CREATE TEMP TABLE saved AS SELECT * FROM entries");
  for (size_t i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {
    kcc_digest key = key_of_old((int)i);
    kcc_entry entry;
    run_sql(db, damages[i]);
    ck_assert_int_eq(kcc_store_get(store, &key, NULL, &entry, &err), KCC_MISS);
    run_sql(db, "DELETE FROM entries; INSERT INTO entries SELECT * FROM saved");
  }
  kcc_stats s;
  must(kcc_store_stats(store, &s, &err));
  ck_assert_uint_eq(s.corrupt, sizeof(damages) / sizeof(damages[0]));
  sqlite3_close(db);
}
END_TEST

START_TEST(read_only_store_of_schema_1_is_refused) {
  expect_refusal(open_read_only(), KCC_EREADONLY,
                 "schema 1 is older than 2, and the store is read-only");
  must(open_it());
  kcc_store_close(store);
  store = NULL;
  must(open_read_only());
  expect_old(0);
}
END_TEST

/* The tables are those that a new store has. */
START_TEST(old_store_becomes_what_a_new_one_is) {
  static const char shape[] =
      "SELECT group_concat(sql,';') FROM (SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL AND "
      "name NOT LIKE 'sqlite_%' AND name IN "
      "('entries_by_name','entries_by_workload','fingerprints','texts','texts_total','sources_gone'"
      ",'texts_gone','texts_new') ORDER BY name)";
  must(open_it());
  kcc_store *fresh;
  char *other = make_directory();
  must(kcc_store_open(other, NULL, &fresh, &err));
  sqlite3 *one = open_database(directory);
  sqlite3 *two = open_database(other);
  sqlite3_stmt *first = prepare(one, shape), *second = prepare(two, shape);
  ck_assert_int_eq(sqlite3_step(first), SQLITE_ROW);
  ck_assert_int_eq(sqlite3_step(second), SQLITE_ROW);
  const char *text = (const char *)sqlite3_column_text(first, 0);
  ck_assert_ptr_nonnull(strstr(text, "texts_total"));
  /* The old tables' texts differ in their blanks; what version 2 made does not. */
  ck_assert_str_eq(strstr(text, "entries_by_name"),
                   strstr((const char *)sqlite3_column_text(second, 0), "entries_by_name"));
  ck_assert_int_eq(sql_integer(one, "PRAGMA user_version"), 2);
  ck_assert_int_eq(sql_integer(one, "SELECT count(*) FROM pragma_table_info('entries')"),
                   sql_integer(two, "SELECT count(*) FROM pragma_table_info('entries')"));
  sqlite3_finalize(first);
  sqlite3_finalize(second);
  sqlite3_close(one);
  sqlite3_close(two);
  kcc_store_close(fresh);
  remove_directory(other);
}
END_TEST

int main(void) {
  Suite *suite = suite_create("cache migrate");
  TCase *all = tcase_create("migrate");
  tcase_add_checked_fixture(all, make_old_store, remove_place);
  tcase_set_timeout(all, 60);
  tcase_add_test(all, old_entries_stay_usable);
  tcase_add_test(all, old_and_new_entries_live_together);
  tcase_add_test(all, damage_of_old_entries_is_found);
  tcase_add_test(all, read_only_store_of_schema_1_is_refused);
  tcase_add_test(all, old_store_becomes_what_a_new_one_is);
  suite_add_tcase(suite, all);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
