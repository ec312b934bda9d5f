/* SPDX-License-Identifier: MIT
 *
 * support.c: see support.h.
 */
#include "tests/cache/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/temporary.h"

#define NUMBERED_HEADER 16

const kcc_fingerprint test_engine = {.engine = "node-18",
                                     .v8_version = "10.2.154.26-node.37",
                                     .cached_data_tag = 702241554,
                                     .flags = "--harmony-import-assertions",
                                     .build_id = "ec9f4930",
                                     .arch = "x64"};

static void fail(const char *what) {
  perror(what);
  abort();
}

char *make_directory(void) {
  char *path = malloc(TEMPORARY_PATH);
  if (!path || !temporary_make("kiln-cache", path, TEMPORARY_PATH)) fail("a folder");
  return path;
}

void remove_directory(char *directory) {
  if (!temporary_remove(directory)) fail(directory);
  free(directory);
}

char *path_in(const char *directory, const char *name) {
  size_t size = strlen(directory) + strlen(name) + 2;
  char *path = malloc(size);
  if (!path) fail("malloc");
  snprintf(path, size, "%s/%s", directory, name);
  return path;
}

void must_be_ok(kcc_status status, const char *file, int line) {
  if (status == KCC_OK) return;
  fprintf(stderr, "%s:%d: %s\n", file, line, kcc_status_name(status));
  abort();
}

void fill_bytes(uint8_t *bytes, size_t length, uint64_t seed) {
  uint64_t state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
  for (size_t i = 0; i < length; i++) {
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    bytes[i] = (uint8_t)(state >> 56);
  }
}

kcc_digest digest_of_text(const char *text) {
  kcc_digest digest;
  kcc_span span = {text, strlen(text)};
  must(kcc_digest_of(span, &digest, NULL));
  return digest;
}

kcc_digest digest_of_number(uint64_t number) {
  char text[32];
  snprintf(text, sizeof(text), "%llu", (unsigned long long)number);
  return digest_of_text(text);
}

size_t numbered_length(uint64_t number, uint32_t version) {
  uint64_t mixed = (number * 2654435761u + version * 40503u) % 40000;
  /* Most caches of small scripts are small; one in eight reaches over several pages. */
  return NUMBERED_HEADER + (number % 8 ? mixed % 3000 : mixed);
}

static uint8_t *numbered_bytes(uint64_t number, uint32_t version, size_t *ret_length) {
  size_t length = numbered_length(number, version);
  uint8_t *bytes = malloc(length);
  if (!bytes) fail("malloc");
  memcpy(bytes, &number, sizeof(number));
  memcpy(bytes + 8, &version, sizeof(version));
  memset(bytes + 12, 0, 4);
  fill_bytes(bytes + NUMBERED_HEADER, length - NUMBERED_HEADER, number * 31 + version);
  *ret_length = length;
  return bytes;
}

static _Thread_local char number_name[32];
static _Thread_local char number_text[64];

kcc_key_parts parts_of_number(uint64_t number) {
  static const kcc_span params[] = {{"exports", 7}, {"require", 7}};
  snprintf(number_name, sizeof(number_name), "%llu.js", (unsigned long long)number);
  /* Two entries share each source text. */
  snprintf(number_text, sizeof(number_text), "/* source %llu */", (unsigned long long)(number / 2));
  return (kcc_key_parts){.fingerprint = test_engine,
                         .source = digest_of_text(number_text),
                         .source_length = strlen(number_text),
                         .kind = (kcc_kind)(number % 3),
                         .mode = (kcc_mode)(number % 4),
                         .filename = {number_name, strlen(number_name)},
                         .line_offset = -(int32_t)(number % 5),
                         .params = params,
                         .params_count = number % 3};
}

kcc_digest key_of_parts(const kcc_key_parts *parts) {
  kcc_digest key;
  must(kcc_key_of(parts, &key, NULL));
  return key;
}

kcc_digest key_of_number(uint64_t number) {
  kcc_key_parts parts = parts_of_number(number);
  return key_of_parts(&parts);
}

kcc_status try_put_numbered(kcc_store *store, uint64_t number, uint32_t version, kcc_error *err) {
  size_t length;
  uint8_t *bytes = numbered_bytes(number, version, &length);
  kcc_put put = {.parts = parts_of_number(number), .blob = {bytes, length}};
  /* One in three numbers keeps its text. */
  if (number % 3 == 0) put.source_text = (kcc_span){number_text, strlen(number_text)};
  kcc_status status = kcc_store_put(store, &put, /* ret_key= */ NULL, err);
  free(bytes);
  return status;
}

void put_numbered(kcc_store *store, uint64_t number, uint32_t version) {
  kcc_error err;
  kcc_status status = try_put_numbered(store, number, version, &err);
  if (status != KCC_OK) fprintf(stderr, "%s\n", err.message);
  must(status);
}

bool is_numbered(const kcc_entry *entry, uint64_t number) {
  uint64_t stored;
  uint32_t version;
  if (entry->blob.length < NUMBERED_HEADER) return false;
  memcpy(&stored, entry->blob.data, sizeof(stored));
  memcpy(&version, (const uint8_t *)entry->blob.data + 8, sizeof(version));
  if (stored != number) return false;
  size_t length;
  uint8_t *bytes = numbered_bytes(number, version, &length);
  char name[32];
  snprintf(name, sizeof(name), "%llu.js", (unsigned long long)number);
  bool same = length == entry->blob.length && memcmp(bytes, entry->blob.data, length) == 0 &&
              entry->info.blob_length == length && strcmp(entry->info.filename, name) == 0 &&
              entry->info.kind == (kcc_kind)(number % 3) &&
              entry->info.mode == (kcc_mode)(number % 4);
  free(bytes);
  return same;
}

sqlite3 *open_database(const char *directory) {
  sqlite3 *db;
  char *path = path_in(directory, "kiln.db");
  if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK) fail(path);
  sqlite3_busy_timeout(db, 10000);
  free(path);
  return db;
}

void run_sql(sqlite3 *db, const char *sql) {
  char *message = NULL;
  if (sqlite3_exec(db, sql, NULL, NULL, &message) == SQLITE_OK) return;
  fprintf(stderr, "%s: %s\n", sql, message);
  abort();
}

int64_t sql_integer(sqlite3 *db, const char *sql) {
  sqlite3_stmt *statement;
  if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) != SQLITE_OK ||
      sqlite3_step(statement) != SQLITE_ROW) {
    fprintf(stderr, "%s: %s\n", sql, sqlite3_errmsg(db));
    abort();
  }
  int64_t value = sqlite3_column_int64(statement, 0);
  sqlite3_finalize(statement);
  return value;
}
