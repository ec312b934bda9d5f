/* SPDX-License-Identifier: MIT
 *
 * support.h: what the cache's test programs share: directories, contents that describe themselves,
 * direct access to the database file. No test is in it.
 */
#ifndef KILN_TESTS_CACHE_SUPPORT_H
#define KILN_TESTS_CACHE_SUPPORT_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/kcc.h"

/* A new directory under $TMPDIR or /tmp, and its removal with all it contains. Both end the process
 * on failure; the name is freed by the removal. */
char *make_directory(void);
void remove_directory(char *directory);
/* "<directory>/<name>", to be freed. */
char *path_in(const char *directory, const char *name);

/* Ends the process with a message unless `status` is KCC_OK. */
void must_be_ok(kcc_status status, const char *file, int line);
#define must(call) must_be_ok((call), __FILE__, __LINE__)

void fill_bytes(uint8_t *bytes, size_t length, uint64_t seed);
kcc_digest digest_of_number(uint64_t number);
kcc_digest digest_of_text(const char *text);
kcc_digest key_of_parts(const kcc_key_parts *parts);

/* An entry made of its number alone, so that a reader can tell whether bytes are right: sizes from
 * 0 to about 40,000 bytes, different for each `version`. */
size_t numbered_length(uint64_t number, uint32_t version);
void put_numbered(kcc_store *store, uint64_t number, uint32_t version);
kcc_status try_put_numbered(kcc_store *store, uint64_t number, uint32_t version, kcc_error *err);
/* Whether the entry is what put_numbered(number, any version) stored. */
bool is_numbered(const kcc_entry *entry, uint64_t number);
/* Its key, and what that is made of; the latter is valid until the next call by the same thread. */
kcc_digest key_of_number(uint64_t number);
kcc_key_parts parts_of_number(uint64_t number);
/* The fingerprint of those entries. */
extern const kcc_fingerprint test_engine;

/* A connection of SQLite's own to the store in `directory`, and SQL on it; both end the process on
 * failure. */
sqlite3 *open_database(const char *directory);
void run_sql(sqlite3 *db, const char *sql);
int64_t sql_integer(sqlite3 *db, const char *sql);

#endif
