/* SPDX-License-Identifier: MIT
 *
 * quarantine.c: what is found damaged is kept, out of every look-up's way, so that somebody can
 * find out what damaged it; bounded, so that a dying disk cannot fill itself. Nothing is ever
 * restored from here.
 */
#include "cache/quarantine.h"

#include "cache/row.h"
#include "cache/source.h"

static kcc_status insert(kcc__conn *conn, kcc__sql which, int64_t id, const char *reason,
                         kcc_error *err) {
  sqlite3_stmt *statement;
  kcc_status status = kcc__conn_statement(conn, which, &statement, err);
  if (status != KCC_OK) return status;
  int rc = sqlite3_bind_int64(statement, 1, id);
  if (rc == SQLITE_OK) rc = sqlite3_bind_int64(statement, 2, kcc__unix_ms());
  if (rc == SQLITE_OK) rc = sqlite3_bind_text(statement, 3, reason, /* n= */ -1, SQLITE_STATIC);
  if (rc != SQLITE_OK) return kcc__conn_fail(conn, rc, err);
  return kcc__conn_run(conn, statement, /* ret_changed= */ NULL, err);
}

static kcc_status trim(kcc__conn *conn, kcc_error *err) {
  sqlite3_stmt *statement;
  kcc_status status = kcc__conn_statement(conn, KCC__SQL_QUARANTINE_TRIM, &statement, err);
  if (status != KCC_OK) return status;
  int rc = sqlite3_bind_int64(statement, 1, KCC__QUARANTINE_MAX_ROWS);
  if (rc == SQLITE_OK) rc = sqlite3_bind_int64(statement, 2, KCC__QUARANTINE_MAX_BYTES);
  if (rc != SQLITE_OK) return kcc__conn_fail(conn, rc, err);
  return kcc__conn_run(conn, statement, /* ret_changed= */ NULL, err);
}

static kcc_status move_entry(kcc__conn *conn, int64_t id, kcc_error *err) {
  kcc__row row;
  kcc_status status = kcc__row_load(conn, id, KCC__WHOLE, &row, err);
  if (status != KCC_OK) return status;
  const char *damage = row.damage;
  kcc__row_release(&row);
  if (!damage) return KCC_OK;
  status = insert(conn, KCC__SQL_QUARANTINE_ENTRY, id, damage, err);
  if (status == KCC_OK) status = kcc__row_delete(conn, id, err);
  return status == KCC_OK ? trim(conn, err) : status;
}

static kcc_status move_source(kcc__conn *conn, int64_t id, kcc_error *err) {
  kcc__source_row row;
  kcc_status status = kcc__source_load(conn, id, &row, err);
  if (status != KCC_OK) return status;
  const char *damage = row.damage;
  kcc__source_release(&row);
  if (!damage) return KCC_OK;
  status = insert(conn, KCC__SQL_QUARANTINE_SOURCE, id, damage, err);
  if (status == KCC_OK)
    status = kcc__conn_run_id(conn, KCC__SQL_DELETE_SOURCE, id, /* ret_changed= */ NULL, err);
  return status == KCC_OK ? trim(conn, err) : status;
}

static void quarantine(kcc_store *store, int64_t id,
                       kcc_status (*move)(kcc__conn *conn, int64_t id, kcc_error *err)) {
  kcc__count(&store->counters.corrupt);
  if (store->read_only) return;
  kcc_status status = kcc__store_begin_write(store, /* err= */ NULL);
  if (status == KCC_OK) {
    status = move(&store->writer, id, /* err= */ NULL);
    status = kcc__store_end_write(store, status, /* err= */ NULL);
  }
  kcc__store_done(store, status);
}

void kcc__quarantine_entry(kcc_store *store, int64_t id) {
  quarantine(store, id, move_entry);
}

void kcc__quarantine_source(kcc_store *store, int64_t id) {
  quarantine(store, id, move_source);
}
