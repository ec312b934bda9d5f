/* SPDX-License-Identifier: MIT
 *
 * schema.c: the tables, and the way from any older version of them to the newest. It never goes
 * back, and touches no file that is not ours.
 *
 * What is where. An entry is a row in each of three tables, all under the same id (key.h):
 *   entries  what is known about it, under a checksum of its own (row.c)
 *   blobs    its envelope: apart, so that a list does not page through megabytes
 *   uses     when it was last used: apart and outside every checksum, since it changes all the time
 * fingerprints has a row per engine, sources a row per source or workload text that an entry names.
 * texts says when each of these was last used and what it takes, apart because of its changes, and
 * texts_total the sum; triggers keep them in step, and what damage puts out of step is repaired
 * (source.c). Their masks keep a damaged number from overflowing. quarantine keeps what was found
 * damaged or did damage, for people.
 *
 * Entries of version 1 have NULL in the columns that version 2 added; row.c knows both.
 */
#include "cache/schema.h"

#include <stdio.h>
#include <string.h>

#include "cache/store.h"

const kcc__migration kcc__migrations[] = {
    {1,
     "CREATE TABLE entries("
     " id INTEGER PRIMARY KEY,"
     " key BLOB NOT NULL,"
     " source BLOB NOT NULL,"
     " source_length INTEGER NOT NULL,"
     " blob_length INTEGER NOT NULL,"
     " kind INTEGER NOT NULL,"
     " mode INTEGER NOT NULL,"
     " engine TEXT NOT NULL,"
     " v8_version TEXT NOT NULL,"
     " filename BLOB NOT NULL,"
     " created INTEGER NOT NULL,"
     " hash BLOB NOT NULL"
     ") STRICT;"
     "CREATE INDEX entries_by_source ON entries(source);"
     "CREATE TABLE blobs(id INTEGER PRIMARY KEY, bytes BLOB NOT NULL) STRICT;"
     "CREATE TABLE uses(id INTEGER PRIMARY KEY, used INTEGER NOT NULL) STRICT;"
     "CREATE TABLE sources("
     " id INTEGER PRIMARY KEY,"
     " digest BLOB NOT NULL,"
     " length INTEGER NOT NULL,"
     " bytes BLOB NOT NULL"
     ") STRICT;"
     "CREATE TABLE quarantine("
     " id INTEGER PRIMARY KEY AUTOINCREMENT,"
     " moved INTEGER NOT NULL,"
     " what TEXT NOT NULL,"
     " reason TEXT NOT NULL,"
     " name TEXT,"
     " metadata TEXT,"
     " bytes BLOB"
     ") STRICT;"},
    {2,
     "CREATE TABLE fingerprints("
     " id INTEGER PRIMARY KEY,"
     " digest BLOB NOT NULL,"
     " bytes BLOB NOT NULL"
     ") STRICT;"
     "ALTER TABLE entries ADD COLUMN workload BLOB;"
     "ALTER TABLE entries ADD COLUMN name INTEGER;"
     "ALTER TABLE entries ADD COLUMN parts BLOB;"
     "CREATE INDEX entries_by_workload ON entries(workload) WHERE workload IS NOT NULL;"
     "CREATE INDEX entries_by_name ON entries(name) WHERE name IS NOT NULL;"
     "ALTER TABLE quarantine ADD COLUMN filename BLOB;"
     "CREATE TABLE texts("
     " id INTEGER PRIMARY KEY,"
     " used INTEGER NOT NULL,"
     " bytes INTEGER NOT NULL"
     ") STRICT;"
     "INSERT INTO texts(id,used,bytes) SELECT s.id,coalesce((SELECT max(u.used) FROM entries e"
     " JOIN uses u ON u.id=e.id WHERE e.source=s.digest),0),length(s.bytes) FROM sources s;"
     "CREATE TABLE texts_total(id INTEGER PRIMARY KEY, bytes INTEGER NOT NULL) STRICT;"
     "INSERT INTO texts_total(id,bytes) SELECT 1,coalesce(sum(bytes),0) FROM texts;"
     "CREATE TRIGGER sources_gone AFTER DELETE ON sources BEGIN"
     " DELETE FROM texts WHERE id=OLD.id; END;"
     "CREATE TRIGGER texts_gone AFTER DELETE ON texts BEGIN"
     " UPDATE texts_total SET bytes=(bytes&0xfffffffffffff)-(OLD.bytes&0xfffffffffffff); END;"
     "CREATE TRIGGER texts_new AFTER INSERT ON texts BEGIN"
     " UPDATE texts_total SET bytes=(bytes&0xfffffffffffff)+NEW.bytes; END;"},
};
const size_t kcc__migrations_count = sizeof(kcc__migrations) / sizeof(kcc__migrations[0]);

typedef struct identity {
  int64_t application;
  int64_t version;
  int64_t objects; /* tables, indices ... */
} identity;

static kcc_status read_identity(kcc__conn *conn, identity *ret_identity, kcc_error *err) {
  kcc_status status =
      kcc__conn_integer(conn, "PRAGMA application_id", &ret_identity->application, err);
  if (status == KCC_OK)
    status = kcc__conn_integer(conn, "PRAGMA user_version", &ret_identity->version, err);
  if (status == KCC_OK)
    status =
        kcc__conn_integer(conn, "SELECT count(*) FROM sqlite_schema", &ret_identity->objects, err);
  return status;
}

/* KCC_OK for a store of a version up to `newest`, and for an empty database. */
static kcc_status check_identity(const kcc__conn *conn, const identity *id, int newest,
                                 kcc_error *err) {
  const char *label = conn->store->label;
  bool empty = id->application == 0 && id->version == 0 && id->objects == 0;
  if (empty && !conn->store->read_only) return KCC_OK;
  if (empty) return kcc__fail(err, KCC_ENOTSTORE, 0, "store '%s': an empty database", label);
  if (id->application != KCC__APPLICATION_ID)
    return kcc__fail(err, KCC_ENOTSTORE, 0, "store '%s': a database of another program", label);
  if (id->version > newest)
    return kcc__fail(err, KCC_ENEWER, 0, "store '%s': schema %lld is newer than %d", label,
                     (long long)id->version, newest);
  if (id->version < 0)
    return kcc__fail(err, KCC_ENOTSTORE, 0, "store '%s': schema %lld is no version", label,
                     (long long)id->version);
  if (id->version < newest && conn->store->read_only)
    return kcc__fail(err, KCC_EREADONLY, 0,
                     "store '%s': schema %lld is older than %d, and the store is read-only", label,
                     (long long)id->version, newest);
  return KCC_OK;
}

/* Reads and checks in one transaction: another process may be making the tables just now. */
static kcc_status look(kcc__conn *conn, int newest, identity *ret_identity, kcc_error *err) {
  kcc_status status = kcc__conn_exec(conn, "BEGIN", err);
  if (status != KCC_OK) return status;
  status = read_identity(conn, ret_identity, err);
  if (status == KCC_OK) status = check_identity(conn, ret_identity, newest, err);
  return kcc__conn_end(conn, status, err);
}

/* SQLite answers with the mode it has then, whatever was asked for. */
static int ask_for_wal(sqlite3 *db, bool *ret_is_wal) {
  sqlite3_stmt *statement = NULL;
  int rc = sqlite3_prepare_v2(db, "PRAGMA journal_mode=WAL", -1, &statement, /* pzTail= */ NULL);
  if (rc == SQLITE_OK) rc = sqlite3_step(statement);
  if (rc == SQLITE_ROW) {
    const char *mode = (const char *)sqlite3_column_text(statement, 0);
    *ret_is_wal = mode && strcmp(mode, "wal") == 0;
  }
  sqlite3_finalize(statement);
  return rc == SQLITE_ROW ? SQLITE_OK : rc;
}

/* Pages of 8 KiB: with tests/cache/speed.c, look-ups took the same from 4 to 64 KiB, and puts of
 * small entries grew with the page. Only a database without pages takes it up. */
static kcc_status use_wal(kcc__conn *conn, kcc_error *err) {
  kcc_status status = kcc__conn_exec(conn, "PRAGMA page_size=8192", err);
  if (status != KCC_OK) return status;
  bool is_wal = false;
  int rc;
  do rc = ask_for_wal(conn->db, &is_wal);
  while (rc != SQLITE_OK && kcc__conn_should_retry(conn, rc));
  if (rc != SQLITE_OK) return kcc__conn_fail(conn, rc, err);
  if (is_wal) return KCC_OK;
  return kcc__fail(err, KCC_EIO, 0, "store '%s': the file system has no write-ahead log",
                   conn->store->label);
}

static kcc_status migrate(kcc__conn *conn, const kcc__migration *steps, size_t steps_count,
                          int newest, kcc_error *err) {
  kcc_status status = kcc__conn_exec(conn, "BEGIN IMMEDIATE", err);
  if (status != KCC_OK) return status;
  identity id;
  status = read_identity(conn, &id, err); /* another process may have been faster */
  if (status == KCC_OK) status = check_identity(conn, &id, newest, err);
  for (size_t i = 0; status == KCC_OK && i < steps_count; i++)
    if (steps[i].version > id.version) status = kcc__conn_exec(conn, steps[i].sql, err);
  if (status == KCC_OK && id.version < newest) {
    char sql[96];
    snprintf(sql, sizeof(sql), "PRAGMA application_id=%d; PRAGMA user_version=%d",
             KCC__APPLICATION_ID, newest);
    status = kcc__conn_exec(conn, sql, err);
  }
  return kcc__conn_end(conn, status, err);
}

kcc_status kcc__schema_prepare(kcc__conn *conn, const kcc__migration *steps, size_t steps_count,
                               kcc_error *err) {
  int newest = steps[steps_count - 1].version;
  identity id;
  kcc_status status = look(conn, newest, &id, err);
  if (status != KCC_OK || conn->store->read_only) return status;
  status = use_wal(conn, err);
  if (status == KCC_OK && id.version < newest)
    status = migrate(conn, steps, steps_count, newest, err);
  return status;
}
