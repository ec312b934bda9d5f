/* SPDX-License-Identifier: MIT
 *
 * damage_test.c: bytes that are not what was put. Whatever is flipped in what is stored for an
 * entry, the answer is a miss, counted, the bytes go to quarantine, and the next put heals it;
 * whatever is flipped in the file as a whole, there is no crash and never a wrong byte.
 */
#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/cache/support.h"

static char *directory;
static kcc_store *store;
static sqlite3 *db;
static kcc_digest key;
static kcc_error err;

static const char blob[] = "cached data of a very small script";
static const char text[] = "1+1";

static void put_small(void) {
  static const kcc_span params[] = {{"a", 1}};
  kcc_put put = {.parts = {.fingerprint = test_engine,
                           .source = digest_of_text(text),
                           .source_length = strlen(text),
                           .kind = KCC_FUNCTION,
                           .mode = KCC_WORKLOAD,
                           .filename = {"small.js", 8},
                           .line_offset = 1,
                           .params = params,
                           .params_count = 1,
                           .workload = digest_of_text("f(1)")},
                 .blob = {blob, sizeof(blob)},
                 .source_text = {text, strlen(text)}};
  must(kcc_store_put(store, &put, &key, NULL));
}

static void open_store(void) {
  directory = make_directory();
  must(kcc_store_open(directory, NULL, &store, NULL));
  put_small();
  db = open_database(directory);
}

static void close_store(void) {
  sqlite3_close(db);
  kcc_store_close(store);
  remove_directory(directory);
}

static kcc_stats stats(void) {
  kcc_stats s;
  must(kcc_store_stats(store, &s, NULL));
  return s;
}

/* A miss, counted, in quarantine; and a put makes it good. */
static void expect_healing(void) {
  kcc_entry entry;
  kcc_stats before = stats();
  ck_assert_int_eq(kcc_store_get(store, &key, &test_engine, &entry, &err), KCC_MISS);
  kcc_stats after = stats();
  ck_assert_uint_eq(after.corrupt, before.corrupt + 1);
  ck_assert_uint_eq(after.misses, before.misses + 1);
  ck_assert_uint_eq(after.quarantined, before.quarantined < 64 ? before.quarantined + 1 : 64);
  ck_assert_uint_eq(after.errors, before.errors);
  put_small();
  must(kcc_store_get(store, &key, &test_engine, &entry, &err));
  ck_assert_uint_eq(entry.blob.length, sizeof(blob));
  ck_assert_mem_eq(entry.blob.data, blob, sizeof(blob));
  ck_assert_str_eq(entry.info.filename, "small.js");
  kcc_entry_free(&entry);
}

static void bind_and_run(const char *sql, const void *bytes, size_t length) {
  sqlite3_stmt *statement;
  ck_assert_int_eq(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
  ck_assert_int_eq(sqlite3_bind_blob(statement, 1, bytes, (int)length, SQLITE_TRANSIENT), 0);
  ck_assert_int_eq(sqlite3_step(statement), SQLITE_DONE);
  ck_assert_int_eq(sqlite3_changes(db), 1);
  sqlite3_finalize(statement);
}

/* The one row's value, as bytes. */
static size_t read_value(const char *sql, uint8_t *ret_bytes, size_t room) {
  sqlite3_stmt *statement;
  ck_assert_int_eq(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
  ck_assert_int_eq(sqlite3_step(statement), SQLITE_ROW);
  size_t length = (size_t)sqlite3_column_bytes(statement, 0);
  ck_assert_uint_le(length, room);
  memcpy(ret_bytes, sqlite3_column_blob(statement, 0), length);
  sqlite3_finalize(statement);
  return length;
}

/* Flips every bit of a column of bytes or text, one after the other. Returns how many. */
static size_t flip_bytes(const char *select, const char *update) {
  uint8_t bytes[512];
  size_t length = read_value(select, bytes, sizeof(bytes));
  for (size_t bit = 0; bit < 8 * length; bit++) {
    length = read_value(select, bytes, sizeof(bytes));
    bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    bind_and_run(update, bytes, length);
    expect_healing();
  }
  return 8 * length;
}

/* The same for an integer of 64 bits. */
static size_t flip_integer(const char *table, const char *column) {
  for (unsigned bit = 0; bit < 64; bit++) {
    char sql[160];
    snprintf(sql, sizeof(sql), "SELECT %s FROM %s", column, table);
    uint64_t value = (uint64_t)sql_integer(db, sql);
    int64_t flipped;
    value ^= UINT64_C(1) << bit;
    memcpy(&flipped, &value, sizeof(flipped));
    snprintf(sql, sizeof(sql), "UPDATE %s SET %s=%lld", table, column, (long long)flipped);
    run_sql(db, sql);
    expect_healing();
    if (strcmp(column, "id") == 0) { /* what was moved away stays behind */
      snprintf(sql, sizeof(sql), "DELETE FROM %s WHERE id=%lld", table, (long long)flipped);
      run_sql(db, sql);
    }
  }
  return 64;
}

START_TEST(every_flipped_bit_of_the_envelope_is_a_miss) {
  size_t bits = flip_bytes("SELECT bytes FROM blobs", "UPDATE blobs SET bytes=?1");
  ck_assert_uint_eq(bits, 8 * (112 + sizeof(blob)));
}
END_TEST

START_TEST(every_flipped_bit_of_the_metadata_is_a_miss) {
  static const char *const blobs[] = {"key", "source", "filename", "hash", "workload", "parts"};
  static const char *const texts[] = {"engine", "v8_version"};
  static const char *const integers[] = {"source_length", "blob_length", "kind",
                                         "mode",          "created",     "name"};
  char select[128];
  char update[128];
  size_t bits = 0;
  for (size_t i = 0; i < 6; i++) {
    snprintf(select, sizeof(select), "SELECT %s FROM entries", blobs[i]);
    snprintf(update, sizeof(update), "UPDATE entries SET %s=?1", blobs[i]);
    bits += flip_bytes(select, update);
  }
  for (size_t i = 0; i < 2; i++) {
    snprintf(select, sizeof(select), "SELECT %s FROM entries", texts[i]);
    snprintf(update, sizeof(update), "UPDATE entries SET %s=CAST(?1 AS TEXT)", texts[i]);
    bits += flip_bytes(select, update);
  }
  for (size_t i = 0; i < 6; i++) bits += flip_integer("entries", integers[i]);
  ck_assert_uint_gt(bits, 8 * (32 + 32 + 8 + 16 + 32 + 80 + 8 + 9 + 7 + 19));
  /* No column that this test does not know: those of above, and id. */
  ck_assert_int_eq(sql_integer(db, "SELECT count(*) FROM pragma_table_info('entries')"), 15);
}
END_TEST

START_TEST(every_flipped_bit_of_a_row_id_is_a_miss) {
  flip_integer("entries", "id");
  flip_integer("blobs", "id");
}
END_TEST

START_TEST(missing_rows_and_odd_values_are_damage) {
  static const char *const damages[] = {
      "DELETE FROM entries",
      "DELETE FROM blobs",
      "UPDATE blobs SET bytes=x''",
      "UPDATE blobs SET bytes=zeroblob(40000)",
      "UPDATE blobs SET bytes=substr(bytes,1,111)",
      "UPDATE blobs SET bytes=CAST(bytes||x'00' AS BLOB)",
      "UPDATE entries SET key=x''",
      "UPDATE entries SET hash=x'00'",
      "UPDATE entries SET engine=engine||x'00'||'x'",
      "UPDATE entries SET engine=''",
      "UPDATE entries SET filename=zeroblob(256)",
      "UPDATE entries SET filename=randomblob(100000)",
      "UPDATE entries SET source=x'0102'",
      "UPDATE entries SET blob_length=-1",
      "UPDATE entries SET blob_length=9223372036854775807",
      "UPDATE entries SET kind=3",
      "UPDATE entries SET workload=NULL,name=NULL,parts=NULL",
      "UPDATE entries SET workload=NULL",
      "UPDATE entries SET workload=zeroblob(32)",
      "UPDATE entries SET name=NULL",
      "UPDATE entries SET name=0",
      "UPDATE entries SET parts=NULL",
      "UPDATE entries SET parts=x''",
      "UPDATE entries SET parts=substr(parts,1,56)",
      "UPDATE entries SET parts=CAST(parts||x'00' AS BLOB)",
      "UPDATE entries SET parts=randomblob(100000)",
  };
  for (size_t i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {
    run_sql(db, damages[i]);
    expect_healing();
  }
}
END_TEST

/* A whole and valid entry under a key that is not its own. */
START_TEST(swapped_entries_are_damage) {
  kcc_digest other;
  kcc_put put = {.parts = {.fingerprint = test_engine}, .blob = {"other data", 10}};
  must(kcc_store_put(store, &put, &other, NULL));
  run_sql(db, "CREATE TEMP TABLE t AS SELECT id,bytes FROM blobs");
  run_sql(db, "UPDATE blobs SET bytes=(SELECT bytes FROM t WHERE t.id<>blobs.id)");
  expect_healing();
  kcc_entry entry;
  ck_assert_int_eq(kcc_store_get(store, &other, NULL, &entry, &err), KCC_MISS);
  ck_assert_uint_eq(stats().corrupt, 2);
}
END_TEST

START_TEST(damaged_sources_are_a_miss) {
  kcc_digest source = digest_of_text(text);
  uint8_t bytes[512];
  size_t length = read_value("SELECT bytes FROM sources", bytes, sizeof(bytes));
  for (size_t bit = 0; bit < 8 * length; bit++) {
    kcc_entry entry;
    uint64_t corrupt = stats().corrupt;
    read_value("SELECT bytes FROM sources", bytes, sizeof(bytes));
    bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    bind_and_run("UPDATE sources SET bytes=?1", bytes, length);
    ck_assert_int_eq(kcc_store_get_source(store, &source, &entry, &err), KCC_MISS);
    ck_assert_uint_eq(stats().corrupt, corrupt + 1);
    ck_assert_int_eq(kcc_store_get_source(store, &source, &entry, &err), KCC_MISS);
    ck_assert_uint_eq(stats().corrupt, corrupt + 1);
    put_small();
    must(kcc_store_get_source(store, &source, &entry, &err));
    ck_assert_mem_eq(entry.blob.data, text, strlen(text));
    kcc_entry_free(&entry);
  }
  static const char *const damages[] = {
      "UPDATE sources SET length=length+1", "UPDATE sources SET length=-1",
      "UPDATE sources SET length=1000000000", "UPDATE sources SET digest=x'00'",
      "UPDATE sources SET digest=zeroblob(32)"};
  for (size_t i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {
    kcc_entry entry;
    run_sql(db, damages[i]);
    ck_assert_int_eq(kcc_store_get_source(store, &source, &entry, &err), KCC_MISS);
    put_small();
    must(kcc_store_get_source(store, &source, &entry, &err));
    kcc_entry_free(&entry);
  }
}
END_TEST

/* ---- quarantine and verify ---------------------------------------------------------------------
 */

START_TEST(quarantine_keeps_the_bytes_and_the_reason) {
  run_sql(db, "UPDATE blobs SET bytes=CAST(bytes||x'00' AS BLOB)");
  expect_healing();
  ck_assert_int_eq(sql_integer(db,
                               "SELECT count(*) FROM quarantine WHERE what='entry' AND "
                               "reason='wrong payload length' AND moved>1500000000000 AND "
                               "metadata LIKE '%engine=''node-18''%'"),
                   1);
  ck_assert_int_eq(sql_integer(db, "SELECT length(bytes) FROM quarantine"), 112 + sizeof(blob) + 1);
}
END_TEST

START_TEST(quarantine_is_bounded_in_rows) {
  for (int i = 0; i < 100; i++) {
    run_sql(db, "UPDATE blobs SET bytes=x'00'");
    expect_healing();
  }
  ck_assert_int_eq(sql_integer(db, "SELECT count(*) FROM quarantine"), 64);
  ck_assert_int_eq(sql_integer(db, "SELECT max(id) FROM quarantine"), 100);
}
END_TEST

START_TEST(quarantine_is_bounded_in_bytes) {
  kcc_entry entry;
  for (int i = 0; i < 5; i++) {
    run_sql(db, "UPDATE blobs SET bytes=zeroblob(20000000)");
    ck_assert_int_eq(kcc_store_get(store, &key, &test_engine, &entry, &err), KCC_MISS);
    put_small();
  }
  ck_assert_int_eq(sql_integer(db, "SELECT count(*) FROM quarantine"), 3);
  run_sql(db, "UPDATE blobs SET bytes=zeroblob(70000000)");
  ck_assert_int_eq(kcc_store_get(store, &key, &test_engine, &entry, &err), KCC_MISS);
  ck_assert_int_eq(sql_integer(db, "SELECT count(*) FROM quarantine"), 0);
}
END_TEST

static bool note_damage(void *user, const kcc_entry_info *info) {
  (void)info;
  return --*(int *)user > 0;
}

START_TEST(verify_finds_all_damage) {
  for (uint64_t i = 0; i < 20; i++) put_numbered(store, i, 1);
  run_sql(db,
          "UPDATE blobs SET bytes=x'00' WHERE id IN (SELECT id FROM entries WHERE filename IN "
          "(CAST('1.js' AS BLOB),CAST('2.js' AS BLOB)))");
  run_sql(db,
          "DELETE FROM blobs WHERE id IN (SELECT id FROM entries WHERE "
          "filename=CAST('4.js' AS BLOB))");
  run_sql(db, "DELETE FROM entries WHERE filename=CAST('5.js' AS BLOB)");
  run_sql(db,
          "UPDATE sources SET length=length+1 WHERE digest=(SELECT source FROM entries WHERE "
          "filename=CAST('0.js' AS BLOB))");
  int many = 100;
  kcc_verify_result result;
  must(kcc_store_verify(store, note_damage, &many, &result, &err));
  ck_assert(result.database_ok);
  ck_assert_uint_eq(result.damaged, 5);
  ck_assert_int_eq(many, 95);
  ck_assert_uint_eq(stats().quarantined, 5);
  ck_assert_uint_eq(stats().entries, 21 - 4);
  must(kcc_store_verify(store, note_damage, &many, &result, &err));
  ck_assert_uint_eq(result.damaged, 0);
  ck_assert_int_eq(sql_integer(db, "SELECT count(*) FROM uses"), 17);
}
END_TEST

/* A page that is SQLite's own: nothing of its rows can be named, and what helps is said. */
START_TEST(damaged_page_of_the_database_is_told) {
  for (uint64_t i = 0; i < 20; i++) put_numbered(store, i, 1);
  int64_t number = sql_integer(db, "SELECT rootpage FROM sqlite_schema WHERE name='entries'");
  int64_t size = sql_integer(db, "PRAGMA page_size");
  sqlite3_close(db);
  kcc_store_close(store);
  char *file = path_in(directory, "kiln.db");
  uint8_t *page = malloc((size_t)size);
  ck_assert_ptr_nonnull(page);
  memset(page, 0xff, (size_t)size);
  int fd = open(file, O_WRONLY);
  ck_assert_int_ge(fd, 0);
  ck_assert_int_eq(pwrite(fd, page, (size_t)size, (number - 1) * size), size);
  close(fd);
  free(page);
  free(file);
  must(kcc_store_open(directory, NULL, &store, &err));
  db = open_database(directory);
  int many = 100;
  kcc_verify_result result;
  must(kcc_store_verify(store, note_damage, &many, &result, &err));
  ck_assert(!result.database_ok);
  ck_assert_uint_ge(result.damaged, 20);
  ck_assert_int_eq(many, 100);
  kcc_digest third = key_of_number(3);
  kcc_entry entry;
  ck_assert_int_eq(kcc_store_get(store, &third, NULL, &entry, &err), KCC_ECORRUPT);
  ck_assert_ptr_nonnull(strstr(err.message, "kiln.db"));
  ck_assert_ptr_nonnull(strstr(err.message, "move the file and its -wal and -shm away"));
}
END_TEST

START_TEST(verify_stops_where_told) {
  for (uint64_t i = 0; i < 20; i++) put_numbered(store, i, 1);
  run_sql(db, "UPDATE blobs SET bytes=x'00'");
  int three = 3;
  kcc_verify_result result;
  must(kcc_store_verify(store, note_damage, &three, &result, &err));
  ck_assert_uint_eq(result.damaged, 3);
}
END_TEST

static bool count_it(void *user, const kcc_entry_info *info) {
  ck_assert_uint_eq(strlen(info->engine), strlen(test_engine.engine));
  ++*(int *)user;
  return true;
}

START_TEST(list_leaves_damaged_metadata_out) {
  for (uint64_t i = 0; i < 10; i++) put_numbered(store, i, 1);
  run_sql(db, "UPDATE entries SET engine='nobody!' WHERE filename=CAST('3.js' AS BLOB)");
  int count = 0;
  must(kcc_store_list(store, count_it, &count, &err));
  ck_assert_int_eq(count, 10);
  ck_assert_uint_eq(stats().quarantined, 1);
}
END_TEST

START_TEST(read_only_store_counts_and_changes_nothing) {
  run_sql(db, "UPDATE blobs SET bytes=CAST(bytes||x'00' AS BLOB)");
  kcc_store *reader;
  kcc_store_options options = KCC_STORE_OPTIONS_INIT;
  options.read_only = true;
  must(kcc_store_open(directory, &options, &reader, &err));
  kcc_entry entry;
  for (uint64_t i = 1; i <= 3; i++) {
    kcc_stats s;
    ck_assert_int_eq(kcc_store_get(reader, &key, NULL, &entry, &err), KCC_MISS);
    must(kcc_store_stats(reader, &s, &err));
    ck_assert_uint_eq(s.corrupt, i);
    ck_assert_uint_eq(s.quarantined, 0);
    ck_assert_uint_eq(s.entries, 1);
  }
  kcc_verify_result result;
  must(kcc_store_verify(reader, NULL, NULL, &result, &err));
  ck_assert_uint_eq(result.damaged, 1);
  kcc_store_close(reader);
}
END_TEST

/* ---- the file as a whole -----------------------------------------------------------------------
 */

#define ENTRIES 60

static uint64_t random_state;
static uint64_t next_random(uint64_t below) {
  random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
  return (random_state >> 33) % below;
}

static void flip_file(const char *path, unsigned flips) {
  struct stat info;
  int fd = open(path, O_RDWR);
  ck_assert_int_ge(fd, 0);
  ck_assert_int_eq(fstat(fd, &info), 0);
  for (unsigned i = 0; i < flips; i++) {
    uint8_t byte;
    off_t at = (off_t)next_random((uint64_t)info.st_size);
    ck_assert_int_eq(pread(fd, &byte, 1, at), 1);
    byte ^= (uint8_t)(1u << next_random(8));
    ck_assert_int_eq(pwrite(fd, &byte, 1, at), 1);
  }
  close(fd);
}

/* Sixteen pages' worth of rubbish, or a shorter file. */
static void wreck_file(const char *path) {
  uint8_t page[8192];
  struct stat info;
  int fd = open(path, O_RDWR);
  ck_assert_int_ge(fd, 0);
  ck_assert_int_eq(fstat(fd, &info), 0);
  uint64_t pages = (uint64_t)info.st_size / sizeof(page);
  if (next_random(4) == 0) {
    ck_assert_int_eq(ftruncate(fd, (off_t)next_random((uint64_t)info.st_size)), 0);
  } else {
    fill_bytes(page, sizeof(page), random_state);
    off_t at = (off_t)(next_random(pages) * sizeof(page));
    ck_assert_int_eq(pwrite(fd, page, sizeof(page), at), (ssize_t)sizeof(page));
  }
  close(fd);
}

static bool accept_any(void *user, const kcc_entry_info *info) {
  *(size_t *)user += strlen(info->filename) + strlen(info->engine);
  return true;
}

/* Every call may fail; what is handed out is right. Returns how many entries were handed out. */
static size_t use_wreck(const char *wreck) {
  kcc_store *s;
  size_t good = 0;
  size_t length = 0;
  if (kcc_store_open(wreck, NULL, &s, &err) != KCC_OK) return 0;
  for (uint64_t i = 0; i < ENTRIES; i++) {
    kcc_entry entry;
    kcc_digest number = key_of_number(i);
    if (kcc_store_get(s, &number, &test_engine, &entry, &err) != KCC_OK) continue;
    ck_assert(is_numbered(&entry, i));
    kcc_digest source = entry.info.source;
    kcc_entry_free(&entry);
    if (kcc_store_get_source(s, &source, &entry, &err) == KCC_OK) kcc_entry_free(&entry);
    good++;
  }
  kcc_verify_result result;
  kcc_stats totals;
  kcc_store_list(s, accept_any, &length, &err);
  kcc_store_verify(s, accept_any, &length, &result, &err);
  kcc_store_stats(s, &totals, &err);
  for (uint64_t i = 0; i < ENTRIES; i += 3) {
    kcc_digest number = key_of_number(i);
    if (i % 2)
      kcc_store_remove(s, &number, &err);
    else
      try_put_numbered(s, i, 2, &err);
  }
  kcc_store_flush(s, &err);
  for (uint64_t i = 0; i < ENTRIES; i++) {
    kcc_entry entry;
    kcc_digest number = key_of_number(i);
    if (kcc_store_get(s, &number, NULL, &entry, &err) != KCC_OK) continue;
    ck_assert(is_numbered(&entry, i));
    kcc_entry_free(&entry);
  }
  kcc_store_close(s);
  return good;
}

static void copy_file(const char *from, const char *to) {
  uint8_t bytes[65536];
  ssize_t got;
  int in = open(from, O_RDONLY);
  int out = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  ck_assert_int_ge(in, 0);
  ck_assert_int_ge(out, 0);
  while ((got = read(in, bytes, sizeof(bytes))) > 0)
    ck_assert_int_eq(write(out, bytes, (size_t)got), got);
  close(in);
  close(out);
}

static void remove_companions(const char *file) {
  char path[4096];
  snprintf(path, sizeof(path), "%s-wal", file);
  unlink(path);
  snprintf(path, sizeof(path), "%s-shm", file);
  unlink(path);
}

START_TEST(random_damage_to_the_file_never_gives_a_wrong_byte) {
  sqlite3_close(db);
  for (uint64_t i = 0; i < ENTRIES; i++) put_numbered(store, i, 1);
  kcc_store_close(store); /* everything is in the database file now */
  char *wreck = make_directory();
  char *original = path_in(directory, "kiln.db");
  char *copy = path_in(wreck, "kiln.db");
  size_t good = 0;
  int rounds = 100;
  random_state = 42 + (uint64_t)_i;
  for (int round = 0; round < rounds; round++) {
    remove_companions(copy);
    copy_file(original, copy);
    if (round % 3 == 0)
      wreck_file(copy);
    else
      flip_file(copy, 1 + (unsigned)next_random(300));
    good += use_wreck(wreck);
  }
  ck_assert_uint_gt(good, (size_t)rounds); /* most entries of most wrecks are still there */
  free(copy);
  free(original);
  remove_directory(wreck);
  must(kcc_store_open(directory, NULL, &store, &err));
  db = open_database(directory);
}
END_TEST

/* Damage that comes while the store is open, and has been read from. */
START_TEST(damage_under_an_open_store_never_gives_a_wrong_byte) {
  for (uint64_t i = 0; i < ENTRIES; i++) put_numbered(store, i, 1);
  run_sql(db, "PRAGMA wal_checkpoint(TRUNCATE)");
  char *file = path_in(directory, "kiln.db");
  random_state = 7;
  for (int round = 0; round < 100; round++) {
    flip_file(file, 20);
    for (uint64_t i = 0; i < ENTRIES; i++) {
      kcc_entry entry;
      kcc_digest number = key_of_number(i);
      if (kcc_store_get(store, &number, NULL, &entry, &err) != KCC_OK) continue;
      ck_assert(is_numbered(&entry, i));
      kcc_entry_free(&entry);
    }
    try_put_numbered(store, next_random(ENTRIES), 3, &err);
  }
  free(file);
}
END_TEST

int main(void) {
  Suite *suite = suite_create("cache damage");
  TCase *flips = tcase_create("flips");
  tcase_add_checked_fixture(flips, open_store, close_store);
  tcase_set_timeout(flips, 120);
  tcase_add_test(flips, every_flipped_bit_of_the_envelope_is_a_miss);
  tcase_add_test(flips, every_flipped_bit_of_the_metadata_is_a_miss);
  tcase_add_test(flips, every_flipped_bit_of_a_row_id_is_a_miss);
  tcase_add_test(flips, missing_rows_and_odd_values_are_damage);
  tcase_add_test(flips, swapped_entries_are_damage);
  tcase_add_test(flips, damaged_sources_are_a_miss);
  tcase_add_test(flips, quarantine_keeps_the_bytes_and_the_reason);
  tcase_add_test(flips, quarantine_is_bounded_in_rows);
  tcase_add_test(flips, quarantine_is_bounded_in_bytes);
  tcase_add_test(flips, verify_finds_all_damage);
  tcase_add_test(flips, damaged_page_of_the_database_is_told);
  tcase_add_test(flips, verify_stops_where_told);
  tcase_add_test(flips, list_leaves_damaged_metadata_out);
  tcase_add_test(flips, read_only_store_counts_and_changes_nothing);
  tcase_add_loop_test(flips, random_damage_to_the_file_never_gives_a_wrong_byte, 0, 3);
  tcase_add_test(flips, damage_under_an_open_store_never_gives_a_wrong_byte);
  suite_add_tcase(suite, flips);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
