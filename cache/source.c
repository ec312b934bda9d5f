/* SPDX-License-Identifier: MIT
 *
 * source.c: source and workload texts, kept so that a run can name a key instead of sending
 * megabytes again. Each is stored once, under the first bits of its SHA-256, and is proved by that
 * digest whenever it is read. It goes with the last entry that names it (row.c): there is no count
 * to go wrong. All of them together have a limit, above which those not used for longest go first.
 */
#include "cache/source.h"

#include <stdlib.h>
#include <string.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "cache/alloc.h"
#include "cache/key.h"
#include "cache/quarantine.h"
#include "cache/reader.h"

/* 300 MB/s in and 850 out, at 2.4 times smaller; higher levels gain little on source text. */
#define ZSTD_LEVEL 1

/* The envelope's fingerprint field: a text has no engine. */
static const kcc_digest no_engine;

/* ---- writing -----------------------------------------------------------------------------------
 */

static kcc_status fail_memory(kcc_error *err) {
  return kcc__fail(err, KCC_ENOMEM, 0, "source text: out of memory");
}

kcc_status kcc__source_pack(kcc_span text, const kcc_digest *digest, kcc__packed *ret_packed,
                            kcc_error *err) {
  kcc_digest actual;
  kcc_status status = kcc_digest_of(text, &actual, err);
  if (status != KCC_OK) return status;
  if (!kcc__same(&actual, digest))
    return kcc__fail(err, KCC_EINVAL, 0, "source text: its digest is not the one given");
  size_t room = ZSTD_compressBound(text.length);
  uint8_t *frame = kcc__alloc(room);
  if (!frame) return fail_memory(err);
  size_t frame_length = ZSTD_compress(frame, room, text.data, text.length, ZSTD_LEVEL);
  if (ZSTD_isError(frame_length)) {
    free(frame);
    return fail_memory(err); /* with room enough there is no other cause */
  }
  if (frame_length > KCC_ENTRY_MAX_BYTES) {
    free(frame);
    return kcc__fail(err, KCC_ETOOBIG, 0, "source text is %zu bytes compressed, limit %d",
                     frame_length, KCC_ENTRY_MAX_BYTES);
  }
  kcc__packed packed = {NULL, kcc_envelope_bytes(frame_length), false};
  packed.bytes = kcc__alloc(packed.length);
  if (packed.bytes) {
    kcc_span payload = {frame, frame_length};
    kcc_envelope_encode(digest, &no_engine, payload, packed.bytes);
  }
  free(frame);
  if (!packed.bytes) return fail_memory(err);
  *ret_packed = packed;
  return KCC_OK;
}

void kcc__packed_release(kcc__packed *packed) {
  if (!packed->lent) free(packed->bytes);
  packed->bytes = NULL;
}

kcc_status kcc__source_exists(kcc__conn *conn, const kcc_digest *digest, bool *ret_exists,
                              kcc_error *err) {
  sqlite3_stmt *statement;
  kcc_status status = kcc__conn_statement(conn, KCC__SQL_FIND_SOURCE, &statement, err);
  if (status != KCC_OK) return status;
  int rc = sqlite3_bind_int64(statement, 1, kcc__id_of(digest));
  if (rc == SQLITE_OK)
    rc = sqlite3_bind_blob(statement, 2, digest->bytes, KCC_DIGEST_BYTES, SQLITE_STATIC);
  if (rc != SQLITE_OK) return kcc__conn_fail(conn, rc, err);
  return kcc__conn_exists(conn, statement, ret_exists, err);
}

kcc_status kcc__source_write(kcc__conn *conn, const kcc_digest *digest, uint64_t length,
                             const kcc__packed *packed, kcc_error *err) {
  sqlite3_stmt *statement;
  int64_t id = kcc__id_of(digest);
  /* What another text of the same first bits, or damage, may have left. */
  kcc_status status = kcc__conn_run_id(conn, KCC__SQL_DELETE_SOURCE, id, NULL, err);
  if (status == KCC_OK) status = kcc__conn_run_id(conn, KCC__SQL_DELETE_TEXT, id, NULL, err);
  if (status == KCC_OK) status = kcc__conn_statement(conn, KCC__SQL_PUT_SOURCE, &statement, err);
  if (status != KCC_OK) return status;
  int rc = sqlite3_bind_int64(statement, 1, id);
  if (rc == SQLITE_OK)
    rc = sqlite3_bind_blob(statement, 2, digest->bytes, KCC_DIGEST_BYTES, SQLITE_STATIC);
  if (rc == SQLITE_OK) rc = sqlite3_bind_int64(statement, 3, (int64_t)length);
  if (rc == SQLITE_OK)
    rc = sqlite3_bind_blob64(statement, 4, packed->bytes, packed->length, SQLITE_STATIC);
  if (rc != SQLITE_OK) return kcc__conn_fail(conn, rc, err);
  status = kcc__conn_run(conn, statement, /* ret_changed= */ NULL, err);
  if (status == KCC_OK) status = kcc__conn_statement(conn, KCC__SQL_PUT_TEXT, &statement, err);
  if (status != KCC_OK) return status;
  rc = sqlite3_bind_int64(statement, 1, id);
  if (rc == SQLITE_OK) rc = sqlite3_bind_int64(statement, 2, kcc__unix_ms());
  if (rc == SQLITE_OK) rc = sqlite3_bind_int64(statement, 3, (int64_t)packed->length);
  if (rc != SQLITE_OK) return kcc__conn_fail(conn, rc, err);
  return kcc__conn_run(conn, statement, /* ret_changed= */ NULL, err);
}

/* ---- the limit ---------------------------------------------------------------------------------
 */

/* What all texts take; *ret_known false: nothing sensible stands there. */
static kcc_status read_total(kcc__conn *conn, bool *ret_known, uint64_t *ret_total,
                             kcc_error *err) {
  sqlite3_stmt *statement;
  kcc_status status = kcc__conn_statement(conn, KCC__SQL_TEXTS_TOTAL, &statement, err);
  if (status != KCC_OK) return status;
  int rc = sqlite3_step(statement);
  int64_t total = rc == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : -1;
  sqlite3_reset(statement);
  if (rc != SQLITE_ROW && rc != SQLITE_DONE) return kcc__conn_fail(conn, rc, err);
  *ret_known = total >= 0;
  *ret_total = (uint64_t)total;
  return KCC_OK;
}

kcc_status kcc__sources_measure(kcc__conn *conn, kcc_error *err) {
  static const kcc__sql steps[] = {KCC__SQL_TEXTS_DROP, KCC__SQL_TEXTS_ADD, KCC__SQL_TEXTS_MEASURE,
                                   KCC__SQL_TEXTS_SUM};
  kcc_status status = KCC_OK;
  for (size_t i = 0; status == KCC_OK && i < sizeof(steps) / sizeof(steps[0]); i++) {
    sqlite3_stmt *statement;
    status = kcc__conn_statement(conn, steps[i], &statement, err);
    if (status == KCC_OK) status = kcc__conn_run(conn, statement, /* ret_changed= */ NULL, err);
  }
  return status;
}

kcc_status kcc__sources_make_room(kcc__conn *conn, uint64_t wanted, uint64_t max, kcc_error *err) {
  bool known = false;
  uint64_t total = 0;
  kcc_status status = read_total(conn, &known, &total, err);
  if (status != KCC_OK || (known && total + wanted <= max)) return status;
  /* Before texts go, the numbers that say so are made sure of. */
  status = kcc__sources_measure(conn, err);
  if (status == KCC_OK) status = read_total(conn, &known, &total, err);
  if (status != KCC_OK || (known && total + wanted <= max)) return status;
  uint64_t kept = max - wanted;
  kept -= kept < max / 16 ? kept : max / 16;
  return kcc__conn_run_id(conn, KCC__SQL_TEXTS_EVICT, (int64_t)kept, /* ret_changed= */ NULL, err);
}

/* ---- reading -----------------------------------------------------------------------------------
 */

/* Unpacks `frame` into row->text, which the digest then proves. */
static kcc_status unpack(kcc_span frame, int64_t length, kcc__source_row *row, kcc_error *err) {
  unsigned long long size = ZSTD_getFrameContentSize(frame.data, frame.length);
  /* Asked of the frame too before so much memory is taken. */
  if (length < 0 || length > KCC_ENTRY_MAX_BYTES || size != (unsigned long long)length) {
    row->damage = "source text: wrong length";
    return KCC_OK;
  }
  row->text = kcc__alloc((size_t)length);
  if (!row->text) return fail_memory(err);
  size_t got = ZSTD_decompress(row->text, (size_t)length, frame.data, frame.length);
  if (ZSTD_isError(got)) {
    if (ZSTD_getErrorCode(got) == ZSTD_error_memory_allocation) return fail_memory(err);
    row->damage = "source text: does not decompress";
    return KCC_OK;
  }
  row->length = got;
  kcc_span text = {row->text, got};
  kcc_digest actual;
  kcc_status status = kcc_digest_of(text, &actual, err);
  if (status != KCC_OK) return status;
  if (!kcc__same(&actual, &row->digest)) row->damage = "source text: wrong digest";
  return KCC_OK;
}

/* The statement stands on a row. */
static kcc_status read_source(sqlite3_stmt *statement, int64_t id, kcc__source_row *row,
                              kcc_error *err) {
  row->found = true;
  const void *digest = sqlite3_column_blob(statement, 0);
  kcc_span bytes = {sqlite3_column_blob(statement, 2), (size_t)sqlite3_column_bytes(statement, 2)};
  kcc_span frame;
  if (!digest || sqlite3_column_bytes(statement, 0) != KCC_DIGEST_BYTES) {
    row->damage = "source text: a column of a wrong size";
    return KCC_OK;
  }
  memcpy(row->digest.bytes, digest, KCC_DIGEST_BYTES);
  if (kcc__id_of(&row->digest) != id) {
    row->damage = "source text: under another digest's id";
    return KCC_OK;
  }
  if (!kcc_envelope_verify(bytes, &row->digest, &no_engine, &frame, &row->damage)) return KCC_OK;
  return unpack(frame, sqlite3_column_int64(statement, 1), row, err);
}

kcc_status kcc__source_load(kcc__conn *conn, int64_t id, kcc__source_row *ret_row, kcc_error *err) {
  sqlite3_stmt *statement;
  kcc_status status = kcc__conn_statement(conn, KCC__SQL_LOOKUP_SOURCE, &statement, err);
  if (status != KCC_OK) return status;
  memset(ret_row, 0, sizeof(*ret_row));
  int rc = sqlite3_bind_int64(statement, 1, id);
  if (rc != SQLITE_OK) return kcc__conn_fail(conn, rc, err);
  while ((rc = sqlite3_step(statement)) != SQLITE_ROW && rc != SQLITE_DONE) {
    sqlite3_reset(statement);
    if (!kcc__conn_should_retry(conn, rc)) return kcc__conn_fail(conn, rc, err);
  }
  status = KCC_OK;
  if (rc == SQLITE_ROW) status = read_source(statement, id, ret_row, err);
  sqlite3_reset(statement);
  if (status != KCC_OK) kcc__source_release(ret_row);
  return status;
}

void kcc__source_release(kcc__source_row *row) {
  free(row->text);
  row->text = NULL;
}

kcc_status kcc_store_get_source(kcc_store *store, const kcc_digest *source, kcc_entry *ret_entry,
                                kcc_error *err) {
  kcc_status status = kcc__store_check(store, err);
  if (status != KCC_OK) return status;
  if (!source || !ret_entry)
    return kcc__store_done(store, kcc__fail(err, KCC_EINVAL, 0, "no digest or no result"));
  kcc__reader *reader;
  kcc__source_row row;
  status = kcc__reader_get(store, &reader, err);
  if (status == KCC_OK) status = kcc__source_load(&reader->conn, kcc__id_of(source), &row, err);
  if (status != KCC_OK) return kcc__store_done(store, status);
  if (row.damage) kcc__quarantine_source(store, kcc__id_of(source));
  if (!row.found || row.damage || !kcc__same(&row.digest, source)) {
    kcc__source_release(&row);
    return KCC_MISS;
  }
  kcc__touch_note(store, &reader->touches, kcc__id_of(source));
  memset(ret_entry, 0, sizeof(*ret_entry));
  ret_entry->info.source = row.digest;
  ret_entry->info.source_length = row.length;
  ret_entry->blob.data = row.text;
  ret_entry->blob.length = row.length;
  ret_entry->owned = row.text;
  return KCC_OK;
}
