/* SPDX-License-Identifier: MIT
 *
 * quarantine.c: what is found damaged, or did damage, is kept out of every look-up's way, so that
 * somebody can find out why; bounded, so that a dying disk cannot fill itself. Nothing is ever
 * restored from here.
 */
#include "cache/quarantine.h"

#include <stdlib.h>
#include <string.h>

#include "cache/ids.h"
#include "cache/key.h"
#include "cache/parts.h"
#include "cache/reader.h"
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

static kcc_status move_row(kcc__conn *conn, int64_t id, const char *reason, kcc_error *err) {
  kcc_status status = insert(conn, KCC__SQL_QUARANTINE_ENTRY, id, reason, err);
  if (status == KCC_OK) status = kcc__row_delete(conn, id, err);
  return status == KCC_OK ? trim(conn, err) : status;
}

/* What is wrong with the entry: its blob and metadata first, then its parts. */
static kcc_status find_damage(kcc__conn *conn, int64_t id, const char **ret_damage,
                              kcc_error *err) {
  kcc__row row;
  kcc__parts_row parts;
  kcc_status status = kcc__row_load(conn, id, KCC__WHOLE, &row, err);
  if (status != KCC_OK) return status;
  *ret_damage = row.damage;
  kcc__row_release(&row);
  if (*ret_damage) return KCC_OK;
  status = kcc__parts_load(conn, id, &parts, err);
  if (status != KCC_OK) return status;
  *ret_damage = parts.damage;
  kcc_entry_parts_free(&parts.parts);
  return KCC_OK;
}

static kcc_status move_entry(kcc__conn *conn, int64_t id, kcc_error *err) {
  const char *damage;
  kcc_status status = find_damage(conn, id, &damage, err);
  return status == KCC_OK && damage ? move_row(conn, id, damage, err) : status;
}

static kcc_status move_fingerprint(kcc__conn *conn, int64_t id, kcc_error *err) {
  kcc__fingerprint_row row;
  kcc_status status = kcc__fingerprint_load(conn, id, &row, err);
  if (status != KCC_OK) return status;
  const char *damage = row.damage;
  kcc__fingerprint_release(&row);
  if (!damage) return KCC_OK;
  status = insert(conn, KCC__SQL_QUARANTINE_FINGERPRINT, id, damage, err);
  if (status == KCC_OK)
    status = kcc__conn_run_id(conn, KCC__SQL_DELETE_FINGERPRINT, id, /* ret_changed= */ NULL, err);
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

void kcc__quarantine_fingerprint(kcc_store *store, int64_t id) {
  quarantine(store, id, move_fingerprint);
}

kcc_status kcc_store_quarantine(kcc_store *store, const kcc_digest *key, const char *reason,
                                kcc_error *err) {
  kcc_status status = kcc__store_check(store, err);
  if (status != KCC_OK) return status;
  if (!key || !reason)
    return kcc__store_done(store, kcc__fail(err, KCC_EINVAL, 0, "no key or no reason"));
  if (strlen(reason) > KCC_REASON_MAX_BYTES)
    return kcc__store_done(store, kcc__fail(err, KCC_EINVAL, 0, "reason is %zu bytes, limit %d",
                                            strlen(reason), KCC_REASON_MAX_BYTES));
  bool found = false;
  status = kcc__store_begin_write(store, err);
  if (status == KCC_OK) {
    status = kcc__row_exists(&store->writer, key, &found, err);
    if (status == KCC_OK && found) status = move_row(&store->writer, kcc__id_of(key), reason, err);
    status = kcc__store_end_write(store, status, err);
  }
  if (status == KCC_OK && !found) return KCC_MISS;
  return kcc__store_done(store, status);
}

/* ---- the list ----------------------------------------------------------------------------------
 */

typedef struct item {
  kcc_quarantined shown; /* lends from the rest */
  char what[32];
  char reason[KCC_REASON_MAX_BYTES + 1];
  char name[256];
} item;

/* Up to a NUL; SQLite's own NUL is behind what it gives. */
static void copy_column(sqlite3_stmt *statement, int column, char *ret_text, size_t room) {
  const char *bytes = sqlite3_column_blob(statement, column);
  size_t length = bytes ? strnlen(bytes, (size_t)sqlite3_column_bytes(statement, column)) : 0;
  if (length >= room) length = room - 1;
  if (length) memcpy(ret_text, bytes, length);
  ret_text[length] = '\0';
}

/* The statement stands on a row. */
static void read_item(sqlite3_stmt *statement, int64_t id, item *ret_item) {
  char quoted[80]; /* as SQL writes a blob: X'...' */
  memset(ret_item, 0, sizeof(*ret_item));
  copy_column(statement, 1, ret_item->what, sizeof(ret_item->what));
  copy_column(statement, 2, ret_item->reason, sizeof(ret_item->reason));
  copy_column(statement, 3, quoted, sizeof(quoted));
  copy_column(statement, 5, ret_item->name, sizeof(ret_item->name));
  int64_t bytes = sqlite3_column_int64(statement, 4);
  ret_item->shown = (kcc_quarantined){.id = id,
                                      .moved_unix_ms = sqlite3_column_int64(statement, 0),
                                      .what = ret_item->what,
                                      .reason = ret_item->reason,
                                      .name = ret_item->name,
                                      .bytes = bytes > 0 ? (uint64_t)bytes : 0};
  if (strlen(quoted) == 2 * KCC_DIGEST_BYTES + 3)
    (void)kcc_digest_parse(quoted + 2, (size_t)2 * KCC_DIGEST_BYTES, &ret_item->shown.key);
}

static kcc_status load_item(kcc__conn *conn, int64_t id, bool *ret_found, item *ret_item,
                            kcc_error *err) {
  sqlite3_stmt *statement;
  kcc_status status = kcc__conn_statement(conn, KCC__SQL_LOOKUP_QUARANTINE, &statement, err);
  if (status != KCC_OK) return status;
  int rc = sqlite3_bind_int64(statement, 1, id);
  if (rc != SQLITE_OK) return kcc__conn_fail(conn, rc, err);
  while ((rc = sqlite3_step(statement)) != SQLITE_ROW && rc != SQLITE_DONE) {
    sqlite3_reset(statement);
    if (!kcc__conn_should_retry(conn, rc)) return kcc__conn_fail(conn, rc, err);
  }
  *ret_found = rc == SQLITE_ROW;
  if (*ret_found) read_item(statement, id, ret_item);
  bool no_memory = sqlite3_errcode(conn->db) == SQLITE_NOMEM;
  sqlite3_reset(statement);
  return no_memory ? kcc__conn_fail(conn, SQLITE_NOMEM, err) : KCC_OK;
}

static kcc_status list_items(kcc_store *store, kcc_quarantined_fn each, void *user, kcc__ids *ids,
                             kcc_error *err) {
  kcc__reader *reader;
  sqlite3_stmt *statement;
  kcc_status status = kcc__reader_get(store, &reader, err);
  if (status == KCC_OK)
    status = kcc__conn_statement(&reader->conn, KCC__SQL_QUARANTINE_IDS, &statement, err);
  if (status == KCC_OK) status = kcc__ids_collect(&reader->conn, statement, ids, err);
  for (size_t i = 0; status == KCC_OK && i < ids->count; i++) {
    item one;
    bool found = false;
    kcc__conn_begin_call(&reader->conn);
    status = load_item(&reader->conn, ids->ids[i], &found, &one, err);
    if (status == KCC_OK && found && !each(user, &one.shown)) break;
  }
  return status;
}

kcc_status kcc_store_list_quarantine(kcc_store *store, kcc_quarantined_fn each, void *user,
                                     kcc_error *err) {
  kcc_status status = kcc__store_check(store, err);
  if (status != KCC_OK) return status;
  if (!each) return kcc__store_done(store, kcc__fail(err, KCC_EINVAL, 0, "no function to call"));
  kcc__ids ids = {NULL, 0, 0};
  status = list_items(store, each, user, &ids, err);
  free(ids.ids);
  return kcc__store_done(store, status);
}
