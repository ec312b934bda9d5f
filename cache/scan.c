/* SPDX-License-Identifier: MIT
 *
 * scan.c: what goes over many entries: lists, statistics, verification. A scan first takes all ids
 * and then looks at them one by one, so that no read transaction is open while a caller's function
 * runs (which may call the store, and take its time) or while gigabytes are hashed: an open one
 * would keep the write-ahead log from being taken up.
 */
#include <stdlib.h>
#include <string.h>

#include "cache/ids.h"
#include "cache/key.h"
#include "cache/parts.h"
#include "cache/quarantine.h"
#include "cache/reader.h"
#include "cache/row.h"
#include "cache/source.h"

/* On failure too the list is the caller's to free. */
static kcc_status collect(kcc__conn *conn, kcc__sql which, kcc__ids *list, kcc_error *err) {
  sqlite3_stmt *statement;
  kcc_status status = kcc__conn_statement(conn, which, &statement, err);
  return status == KCC_OK ? kcc__ids_collect(conn, statement, list, err) : status;
}

/* ---- list --------------------------------------------------------------------------------------
 */

static kcc_status list_entries(kcc_store *store, kcc_each_fn each, void *user, kcc__ids *list,
                               kcc_error *err) {
  kcc__reader *reader;
  kcc_status status = kcc__reader_get(store, &reader, err);
  if (status == KCC_OK) status = collect(&reader->conn, KCC__SQL_LIST_IDS, list, err);
  for (size_t i = 0; status == KCC_OK && i < list->count; i++) {
    kcc__row row;
    kcc__conn_begin_call(&reader->conn);
    status = kcc__row_load(&reader->conn, list->ids[i], KCC__INFO, &row, err);
    if (status != KCC_OK) break;
    if (row.damage) kcc__quarantine_entry(store, list->ids[i]);
    if (!row.has_entry || row.damage) continue;
    status = kcc__source_exists(&reader->conn, &row.info.source, &row.info.has_source, err);
    if (status != KCC_OK || !each(user, &row.info)) break;
  }
  return status;
}

kcc_status kcc_store_list(kcc_store *store, kcc_each_fn each, void *user, kcc_error *err) {
  kcc_status status = kcc__store_check(store, err);
  if (status != KCC_OK) return status;
  if (!each) return kcc__store_done(store, kcc__fail(err, KCC_EINVAL, 0, "no function to call"));
  /* So that the order is today's; where that fails, it is yesterday's. */
  if (!store->read_only) kcc__touch_flush(store, /* err= */ NULL);
  kcc__ids list = {NULL, 0, 0};
  status = list_entries(store, each, user, &list, err);
  free(list.ids);
  return kcc__store_done(store, status);
}

static kcc_status collect_like(kcc__conn *conn, const kcc_key_parts *like, kcc__ids *list,
                               kcc_error *err) {
  sqlite3_stmt *statement;
  kcc_status status = kcc__conn_statement(conn, KCC__SQL_LIKE_IDS, &statement, err);
  if (status != KCC_OK) return status;
  int rc = sqlite3_bind_blob(statement, 1, like->source.bytes, KCC_DIGEST_BYTES, SQLITE_STATIC);
  if (rc == SQLITE_OK && like->filename.length)
    rc = sqlite3_bind_int64(statement, 2, kcc__name_of(like->filename));
  if (rc == SQLITE_OK) rc = sqlite3_bind_int(statement, 3, KCC_LIKE_MAX);
  return rc == SQLITE_OK ? kcc__ids_collect(conn, statement, list, err)
                         : kcc__conn_fail(conn, rc, err);
}

/* The index knows 64 bits of the name. */
static bool is_like(const kcc__row *row, const kcc_key_parts *like) {
  kcc_span name;
  if (kcc__same(&row->info.source, &like->source)) return true;
  return row->parts && kcc__parts_filename((kcc_span){row->parts, row->parts_length}, &name) &&
         name.length == like->filename.length &&
         memcmp(name.data, like->filename.data, name.length) == 0;
}

static kcc_status call_like(kcc_store *store, kcc__conn *conn, int64_t id,
                            const kcc_key_parts *like, kcc_each_fn each, void *user, bool *ret_more,
                            kcc_error *err) {
  kcc__row row;
  kcc_status status = kcc__row_load(conn, id, KCC__PARTS, &row, err);
  if (status != KCC_OK) return status;
  bool wanted = row.has_entry && !row.damage && is_like(&row, like);
  kcc__row_release(&row);
  if (row.damage) kcc__quarantine_entry(store, id);
  if (!wanted) return KCC_OK;
  status = kcc__source_exists(conn, &row.info.source, &row.info.has_source, err);
  if (status == KCC_OK) *ret_more = each(user, &row.info);
  return status;
}

kcc_status kcc_store_each_like(kcc_store *store, const kcc_key_parts *like, kcc_each_fn each,
                               void *user, kcc_error *err) {
  kcc_status status = kcc__store_check(store, err);
  if (status != KCC_OK) return status;
  if (!like || !each || (like->filename.length && !like->filename.data))
    return kcc__store_done(store, kcc__fail(err, KCC_EINVAL, 0, "no parts or no function to call"));
  kcc__reader *reader;
  kcc__ids list = {NULL, 0, 0};
  bool more = true;
  status = kcc__reader_get(store, &reader, err);
  if (status == KCC_OK) status = collect_like(&reader->conn, like, &list, err);
  for (size_t i = 0; status == KCC_OK && more && i < list.count; i++) {
    kcc__conn_begin_call(&reader->conn);
    status = call_like(store, &reader->conn, list.ids[i], like, each, user, &more, err);
  }
  free(list.ids);
  return kcc__store_done(store, status);
}

/* ---- statistics --------------------------------------------------------------------------------
 */

static uint64_t load(const _Atomic uint64_t *counter) {
  return atomic_load_explicit(counter, memory_order_relaxed);
}

static kcc_status read_totals(kcc__conn *conn, kcc_stats *stats, kcc_error *err) {
  sqlite3_stmt *statement;
  kcc_status status = kcc__conn_statement(conn, KCC__SQL_STATS, &statement, err);
  if (status != KCC_OK) return status;
  int rc;
  while ((rc = sqlite3_step(statement)) != SQLITE_ROW) {
    sqlite3_reset(statement);
    if (rc == SQLITE_DONE) rc = SQLITE_CORRUPT; /* aggregates always give a row */
    if (!kcc__conn_should_retry(conn, rc)) return kcc__conn_fail(conn, rc, err);
  }
  int64_t bytes = sqlite3_column_int64(statement, 1); /* of a total(): saturates */
  stats->entries = (uint64_t)sqlite3_column_int64(statement, 0);
  stats->blob_bytes = bytes > 0 ? (uint64_t)bytes : 0;
  stats->quarantined = (uint64_t)sqlite3_column_int64(statement, 2);
  stats->sources = (uint64_t)sqlite3_column_int64(statement, 3);
  bytes = sqlite3_column_int64(statement, 4);
  stats->source_bytes = bytes > 0 ? (uint64_t)bytes : 0;
  sqlite3_reset(statement);
  return KCC_OK;
}

kcc_status kcc_store_stats(kcc_store *store, kcc_stats *ret_stats, kcc_error *err) {
  kcc_status status = kcc__store_check(store, err);
  if (status != KCC_OK) return status;
  if (!ret_stats) return kcc__store_done(store, kcc__fail(err, KCC_EINVAL, 0, "no result"));
  kcc__reader *reader;
  kcc_stats stats;
  memset(&stats, 0, sizeof(stats));
  status = kcc__reader_get(store, &reader, err);
  if (status == KCC_OK) status = read_totals(&reader->conn, &stats, err);
  if (status != KCC_OK) return kcc__store_done(store, status);
  stats.hits = load(&store->counters.hits);
  stats.misses = load(&store->counters.misses);
  stats.puts = load(&store->counters.puts);
  stats.removes = load(&store->counters.removes);
  stats.corrupt = load(&store->counters.corrupt);
  stats.busy_waits = load(&store->counters.busy_waits);
  stats.errors = load(&store->counters.errors);
  *ret_stats = stats;
  return KCC_OK;
}

/* ---- verification ------------------------------------------------------------------------------
 */

typedef struct verification {
  kcc_store *store;
  kcc__conn *conn;
  kcc_each_fn damaged;
  void *user;
  kcc_verify_result result;
  bool stopped; /* by the caller's function */
} verification;

static void report(verification *v, const kcc_entry_info *info) {
  v->result.damaged++;
  if (v->damaged && !v->damaged(v->user, info)) v->stopped = true;
}

/* A row that SQLite cannot read is damage of the database: it is counted, and left alone, since
 * deleting through broken pages breaks more. */
static kcc_status after_load(verification *v, kcc_status status) {
  if (status != KCC_ECORRUPT) return status;
  kcc__count(&v->store->counters.corrupt);
  v->result.database_ok = false;
  v->result.checked++;
  v->result.damaged++; /* nobody knows of what: there is nothing to report */
  return KCC_OK;
}

static kcc_status verify_entry(verification *v, int64_t id, kcc_error *err) {
  kcc__row row;
  kcc__parts_row parts;
  kcc_status status = kcc__row_load(v->conn, id, KCC__WHOLE, &row, err);
  if (status != KCC_OK) return after_load(v, status);
  kcc__row_release(&row);
  if (row.has_entry && !row.damage) {
    status = kcc__parts_load(v->conn, id, &parts, err);
    if (status != KCC_OK) return after_load(v, status);
    row.damage = parts.damage;
    kcc_entry_parts_free(&parts.parts);
  }
  if (row.has_entry || row.has_blob) v->result.checked++;
  if (row.damage) {
    kcc__quarantine_entry(v->store, id);
    report(v, &row.info);
  }
  return KCC_OK;
}

static kcc_status verify_fingerprint(verification *v, int64_t id, kcc_error *err) {
  kcc__fingerprint_row row;
  kcc_status status = kcc__fingerprint_load(v->conn, id, &row, err);
  if (status != KCC_OK) return after_load(v, status);
  if (row.damage) {
    kcc_entry_info info;
    memset(&info, 0, sizeof(info));
    info.fingerprint_id = row.digest;
    v->result.checked++;
    kcc__quarantine_fingerprint(v->store, id);
    report(v, &info);
  }
  kcc__fingerprint_release(&row);
  return KCC_OK;
}

static kcc_status verify_source(verification *v, int64_t id, kcc_error *err) {
  kcc__source_row row;
  kcc_status status = kcc__source_load(v->conn, id, &row, err);
  if (status != KCC_OK) return after_load(v, status);
  if (row.found) v->result.checked++;
  if (row.damage) {
    kcc_entry_info info;
    memset(&info, 0, sizeof(info));
    info.source = row.digest;
    info.source_length = row.length;
    kcc__quarantine_source(v->store, id);
    report(v, &info);
  }
  kcc__source_release(&row);
  return KCC_OK;
}

static kcc_status verify_all(verification *v, kcc__sql which,
                             kcc_status (*verify)(verification *v, int64_t id, kcc_error *err),
                             kcc_error *err) {
  kcc__ids list = {NULL, 0, 0};
  kcc_status status = collect(v->conn, which, &list, err);
  if (status == KCC_ECORRUPT) {
    v->result.database_ok = false; /* what was found up to there is checked all the same */
    status = KCC_OK;
  }
  for (size_t i = 0; status == KCC_OK && !v->stopped && i < list.count; i++) {
    kcc__conn_begin_call(v->conn);
    status = verify(v, list.ids[i], err);
  }
  free(list.ids);
  return status;
}

static kcc_status check_database(verification *v, kcc_error *err) {
  sqlite3_stmt *statement;
  kcc_status status = kcc__conn_statement(v->conn, KCC__SQL_QUICK_CHECK, &statement, err);
  if (status == KCC_ECORRUPT) {
    v->result.database_ok = false;
    return KCC_OK;
  }
  if (status != KCC_OK) return status;
  int rc;
  do {
    rc = sqlite3_step(statement);
    if (rc == SQLITE_ROW) {
      const char *text = (const char *)sqlite3_column_text(statement, 0);
      if (!text || strcmp(text, "ok") != 0) v->result.database_ok = false;
    }
    sqlite3_reset(statement);
  } while (rc != SQLITE_ROW && rc != SQLITE_DONE && kcc__conn_should_retry(v->conn, rc));
  if (rc == SQLITE_ROW || rc == SQLITE_DONE) return KCC_OK;
  if ((rc & 0xff) != SQLITE_CORRUPT) return kcc__conn_fail(v->conn, rc, err);
  v->result.database_ok = false;
  return KCC_OK;
}

/* Rows nobody names any more, left by damage to those that named them. */
static void prune(kcc_store *store) {
  static const kcc__sql statements[] = {KCC__SQL_PRUNE_SOURCES, KCC__SQL_PRUNE_USES,
                                        KCC__SQL_PRUNE_FINGERPRINTS};
  kcc_status status = kcc__store_begin_write(store, /* err= */ NULL);
  if (status != KCC_OK) {
    kcc__store_done(store, status);
    return;
  }
  for (size_t i = 0; status == KCC_OK && i < sizeof(statements) / sizeof(statements[0]); i++) {
    sqlite3_stmt *statement;
    status = kcc__conn_statement(&store->writer, statements[i], &statement, /* err= */ NULL);
    if (status == KCC_OK) status = kcc__conn_run(&store->writer, statement, NULL, NULL);
  }
  if (status == KCC_OK) status = kcc__sources_measure(&store->writer, /* err= */ NULL);
  kcc__store_done(store, kcc__store_end_write(store, status, /* err= */ NULL));
}

kcc_status kcc_store_verify(kcc_store *store, kcc_each_fn damaged, void *user,
                            kcc_verify_result *ret_result, kcc_error *err) {
  kcc_status status = kcc__store_check(store, err);
  if (status != KCC_OK) return status;
  if (!ret_result) return kcc__store_done(store, kcc__fail(err, KCC_EINVAL, 0, "no result"));
  kcc__reader *reader;
  status = kcc__reader_get(store, &reader, err);
  if (status != KCC_OK) return kcc__store_done(store, status);
  verification v = {store, &reader->conn, damaged, user, {0, 0, true}, false};
  status = check_database(&v, err);
  if (status == KCC_OK) status = verify_all(&v, KCC__SQL_ALL_IDS, verify_entry, err);
  if (status == KCC_OK) status = verify_all(&v, KCC__SQL_SOURCE_IDS, verify_source, err);
  if (status == KCC_OK) status = verify_all(&v, KCC__SQL_FINGERPRINT_IDS, verify_fingerprint, err);
  if (status != KCC_OK) return kcc__store_done(store, status);
  if (!store->read_only && v.result.database_ok && !v.stopped) prune(store);
  *ret_result = v.result;
  return KCC_OK;
}

kcc_status kcc_store_flush(kcc_store *store, kcc_error *err) {
  kcc_status status = kcc__store_check(store, err);
  if (status != KCC_OK || store->read_only) return status;
  return kcc__store_done(store, kcc__touch_flush(store, err));
}
