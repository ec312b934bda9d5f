/* SPDX-License-Identifier: MIT
 *
 * db.h: a connection to the database, its prepared statements, and what SQLite's codes mean here.
 * No other file of the store knows how to open, wait or retry.
 */
#ifndef KILN_CACHE_DB_H
#define KILN_CACHE_DB_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "cache/kcc.h"

/* An entry's columns but for its bytes, in the order row.c reads them. */
#define KCC__ENTRY_COLUMNS                                      \
  "e.key,e.source,e.source_length,e.blob_length,e.kind,e.mode," \
  "e.engine,e.v8_version,e.filename,e.created,e.workload,e.name,e.parts,e.hash,e.id"

/* Every statement that is kept prepared. X(name, text). LOOKUP begins at one row of nothing, so
 * that an entry whose metadata or blob alone is missing shows, from one snapshot; it gives bytes up
 * to the length ?2, longer ones are read in another way (row.c). */
#define KCC__SQL_MAP(X)                                                                            \
  X(LOOKUP, "SELECT " KCC__ENTRY_COLUMNS                                                           \
            ",length(b.bytes),CASE WHEN e.blob_length<=?2 THEN b.bytes END FROM (SELECT 1) "       \
            "LEFT JOIN entries e ON e.id=?1 LEFT JOIN blobs b ON b.id=?1")                         \
  X(LOOKUP_INFO, "SELECT " KCC__ENTRY_COLUMNS                                                      \
                 ",u.used FROM (SELECT 1) LEFT JOIN entries e ON e.id=?1 LEFT JOIN uses u ON "     \
                 "u.id=?1")                                                                        \
  X(BEGIN, "BEGIN IMMEDIATE")                                                                      \
  X(COMMIT, "COMMIT")                                                                              \
  X(ROLLBACK, "ROLLBACK")                                                                          \
  X(ENTRY_TEXTS, "SELECT source,workload FROM entries WHERE id=?1")                                \
  X(PUT_ENTRY,                                                                                     \
    "INSERT OR REPLACE INTO entries(id,key,source,source_length,blob_length,kind,mode,engine,"     \
    "v8_version,filename,created,hash,workload,name,parts) "                                       \
    "VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15)")                                  \
  X(PUT_BLOB, "INSERT OR REPLACE INTO blobs(id,bytes) VALUES(?1,?2)")                              \
  X(PUT_USE, "INSERT OR REPLACE INTO uses(id,used) VALUES(?1,?2)")                                 \
  X(DELETE_ENTRY, "DELETE FROM entries WHERE id=?1")                                               \
  X(DELETE_BLOB, "DELETE FROM blobs WHERE id=?1")                                                  \
  X(DELETE_USE, "DELETE FROM uses WHERE id=?1")                                                    \
  X(FIND_KEY, "SELECT 1 FROM entries WHERE id=?1 AND key=?2")                                      \
  X(TOUCH, "UPDATE uses SET used=?2 WHERE id=?1 AND used<?2")                                      \
  X(LOOKUP_SOURCE, "SELECT digest,length,bytes FROM sources WHERE id=?1")                          \
  X(FIND_SOURCE, "SELECT 1 FROM sources WHERE id=?1 AND digest=?2")                                \
  X(PUT_SOURCE, "INSERT INTO sources(id,digest,length,bytes) VALUES(?1,?2,?3,?4)")                 \
  X(PUT_TEXT, "INSERT INTO texts(id,used,bytes) VALUES(?1,?2,?3)")                                 \
  X(DELETE_SOURCE, "DELETE FROM sources WHERE id=?1")                                              \
  X(DELETE_TEXT, "DELETE FROM texts WHERE id=?1")                                                  \
  X(TOUCH_TEXT, "UPDATE texts SET used=?2 WHERE id=?1 AND used<?2")                                \
  X(PRUNE_SOURCE,                                                                                  \
    "DELETE FROM sources WHERE id=?1 AND NOT EXISTS(SELECT 1 FROM entries WHERE source=?2) "       \
    "AND NOT EXISTS(SELECT 1 FROM entries WHERE workload=?2)")                                     \
  X(PRUNE_SOURCES,                                                                                 \
    "DELETE FROM sources WHERE digest NOT IN (SELECT source FROM entries) AND "                    \
    "digest NOT IN (SELECT workload FROM entries WHERE workload IS NOT NULL)")                     \
  X(TEXTS_TOTAL, "SELECT bytes FROM texts_total WHERE id=1")                                       \
  X(TEXTS_DROP, "DELETE FROM texts WHERE id NOT IN (SELECT id FROM sources)")                      \
  X(TEXTS_ADD,                                                                                     \
    "INSERT INTO texts(id,used,bytes) SELECT id,0,length(bytes) FROM sources "                     \
    "WHERE id NOT IN (SELECT id FROM texts)")                                                      \
  X(TEXTS_MEASURE,                                                                                 \
    "UPDATE texts SET bytes=length(s.bytes) FROM sources s WHERE s.id=texts.id "                   \
    "AND texts.bytes<>length(s.bytes)")                                                            \
  X(TEXTS_SUM,                                                                                     \
    "INSERT OR REPLACE INTO texts_total(id,bytes) "                                                \
    "SELECT 1,coalesce(sum(bytes),0) FROM texts")                                                  \
  X(TEXTS_EVICT,                                                                                   \
    "DELETE FROM sources WHERE id IN (SELECT id FROM (SELECT id,sum(bytes) OVER "                  \
    "(ORDER BY used DESC,id) AS kept FROM texts) WHERE kept>?1)")                                  \
  X(FIND_FINGERPRINT, "SELECT 1 FROM fingerprints WHERE id=?1 AND digest=?2 AND bytes=?3")         \
  X(LOOKUP_FINGERPRINT, "SELECT digest,bytes FROM fingerprints WHERE id=?1")                       \
  X(PUT_FINGERPRINT, "INSERT OR REPLACE INTO fingerprints(id,digest,bytes) VALUES(?1,?2,?3)")      \
  X(DELETE_FINGERPRINT, "DELETE FROM fingerprints WHERE id=?1")                                    \
  X(PRUNE_FINGERPRINTS,                                                                            \
    "DELETE FROM fingerprints WHERE digest NOT IN (SELECT substr(parts,25,32) FROM entries "       \
    "WHERE parts IS NOT NULL)")                                                                    \
  X(PRUNE_USES, "DELETE FROM uses WHERE id NOT IN (SELECT id FROM entries)")                       \
  X(QUARANTINE_ENTRY,                                                                              \
    "INSERT INTO quarantine(moved,what,reason,name,metadata,filename,bytes) SELECT ?2,'entry',?3," \
    "quote(e.key),'id='||?1||' source='||quote(e.source)||' source_length='||e.source_length||"    \
    "' blob_length='||e.blob_length||' kind='||e.kind||' mode='||e.mode||' engine='||"             \
    "quote(e.engine)||' v8_version='||quote(e.v8_version)||' filename='||quote(e.filename)||"      \
    "' created='||e.created||' hash='||quote(e.hash)||' workload='||quote(e.workload)||"           \
    "' name='||quote(e.name)||' parts='||quote(substr(e.parts,1,4096)),"                           \
    "CAST(substr(e.filename,1,255) AS BLOB),b.bytes "                                              \
    "FROM (SELECT 1) LEFT JOIN entries e ON e.id=?1 LEFT JOIN blobs b ON b.id=?1")                 \
  X(QUARANTINE_SOURCE,                                                                             \
    "INSERT INTO quarantine(moved,what,reason,name,metadata,bytes) SELECT ?2,'source',?3,"         \
    "quote(digest),'id='||id||' length='||length,bytes FROM sources WHERE id=?1")                  \
  X(QUARANTINE_FINGERPRINT,                                                                        \
    "INSERT INTO quarantine(moved,what,reason,name,metadata,bytes) SELECT ?2,'fingerprint',?3,"    \
    "quote(digest),'id='||id,bytes FROM fingerprints WHERE id=?1")                                 \
  X(QUARANTINE_IDS, "SELECT id FROM quarantine ORDER BY id DESC")                                  \
  X(LOOKUP_QUARANTINE,                                                                             \
    "SELECT moved,what,reason,substr(name,1,80),coalesce(length(bytes),0),"                        \
    "filename FROM quarantine WHERE id=?1")                                                        \
  X(QUARANTINE_TRIM,                                                                               \
    "DELETE FROM quarantine WHERE id<=(SELECT max(id) FROM (SELECT id,row_number() OVER newest "   \
    "AS place,sum(coalesce(length(bytes),0)) OVER newest AS total FROM quarantine WINDOW newest "  \
    "AS (ORDER BY id DESC)) WHERE place>?1 OR total>?2)")                                          \
  X(LIST_IDS,                                                                                      \
    "SELECT e.id FROM entries e LEFT JOIN uses u ON u.id=e.id ORDER BY u.used DESC,e.id")          \
  X(ALL_IDS, "SELECT id FROM entries UNION SELECT id FROM blobs")                                  \
  X(LIKE_IDS,                                                                                      \
    "SELECT c.id FROM (SELECT id FROM (SELECT id FROM entries WHERE source=?1 LIMIT 4096) "        \
    "UNION SELECT id FROM (SELECT id FROM entries WHERE name=?2 LIMIT 4096)) c "                   \
    "LEFT JOIN uses u ON u.id=c.id ORDER BY u.used DESC,c.id LIMIT ?3")                            \
  X(SOURCE_IDS, "SELECT id FROM sources")                                                          \
  X(FINGERPRINT_IDS, "SELECT id FROM fingerprints")                                                \
  X(STATS,                                                                                         \
    "SELECT count(*),total(blob_length),(SELECT count(*) FROM quarantine),"                        \
    "(SELECT count(*) FROM texts),(SELECT bytes FROM texts_total WHERE id=1) FROM entries")        \
  X(QUICK_CHECK, "PRAGMA quick_check(1)")

typedef enum kcc__sql {
#define KCC__SQL_ENUM(name, text) KCC__SQL_##name,
  KCC__SQL_MAP(KCC__SQL_ENUM)
#undef KCC__SQL_ENUM
      KCC__SQL_COUNT
} kcc__sql;

/* A connection. It is used by one thread at a time: a reader by the thread it belongs to, the
 * writer by whoever holds the store's writer lock. */
typedef struct kcc__conn {
  kcc_store *store;
  sqlite3 *db;
  uint64_t deadline_ns; /* of the call under way, CLOCK_MONOTONIC; 0: it has not waited yet */
  sqlite3_stmt *statements[KCC__SQL_COUNT];
} kcc__conn;

typedef enum kcc__role {
  KCC__WRITER, /* reads and writes; makes the file a database if need be */
  KCC__READER, /* never writes */
} kcc__role;

/* Opens `conn`, an all-zero struct but for nothing; on failure it is all-zero again. Looks at no
 * table: kcc__schema_prepare() does. */
kcc_status kcc__conn_open(kcc_store *store, kcc__role role, kcc__conn *conn, kcc_error *err);
void kcc__conn_close(kcc__conn *conn); /* accepts an all-zero struct */

/* Begins a call on `conn`: its time to wait starts anew. */
static inline void kcc__conn_begin_call(kcc__conn *conn) {
  conn->deadline_ns = 0;
}

/* What SQLite's extended code `rc` means, with a message. Never KCC_OK. */
kcc_status kcc__conn_fail(const kcc__conn *conn, int rc, kcc_error *err);

/* True, after a pause, where `rc` says "locked" and the call may still wait. */
bool kcc__conn_should_retry(kcc__conn *conn, int rc);

/* Lends a prepared statement, reset and with nothing bound. */
kcc_status kcc__conn_statement(kcc__conn *conn, kcc__sql which, sqlite3_stmt **ret_statement,
                               kcc_error *err);

/* Runs a statement that has been bound to its end and resets it. *ret_changed, if not NULL, gets
 * whether a row was changed. */
kcc_status kcc__conn_run(kcc__conn *conn, sqlite3_stmt *statement, bool *ret_changed,
                         kcc_error *err);

/* Prepares, binds ?1 and runs: for the many statements that take one id. */
kcc_status kcc__conn_run_id(kcc__conn *conn, kcc__sql which, int64_t id, bool *ret_changed,
                            kcc_error *err);

/* Whether the statement, bound, gives a row; resets it. */
kcc_status kcc__conn_exists(kcc__conn *conn, sqlite3_stmt *statement, bool *ret_exists,
                            kcc_error *err);

/* Runs SQL text once, waiting as above. */
kcc_status kcc__conn_exec(kcc__conn *conn, const char *sql, kcc_error *err);

/* Runs SQL text of one statement, which gives one integer. */
kcc_status kcc__conn_integer(kcc__conn *conn, const char *sql, int64_t *ret_value, kcc_error *err);

kcc_status kcc__conn_begin(kcc__conn *conn, kcc_error *err);
/* Commits where `status` is KCC_OK, else rolls back; returns the first thing that went wrong. */
kcc_status kcc__conn_end(kcc__conn *conn, kcc_status status, kcc_error *err);

/* CLOCK_MONOTONIC in nanoseconds, and the time of day in milliseconds. */
uint64_t kcc__now_ns(void);
int64_t kcc__unix_ms(void);

#endif
