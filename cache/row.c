/* SPDX-License-Identifier: MIT
 *
 * row.c: entries between C and SQL. SQLite does not notice a flipped bit in a page, so an entry's
 * metadata carries a hash of its own, beside the envelope's: XXH3-128 over a serialisation of every
 * column but the hash itself. Entries of schema 1 have fewer columns. It decides what is damaged,
 * not what becomes of it (quarantine.c).
 */
#include "cache/row.h"

#include <stdlib.h>
#include <string.h>

#include "cache/alloc.h"
#include "cache/bytes.h"
#include "cache/envelope.h"
#include "cache/key.h"
#include "cache/parts.h"
#include "cache/store.h"

/* The columns of KCC__ENTRY_COLUMNS, and those after them: when used, or length and bytes. */
enum {
  COLUMN_KEY,
  COLUMN_SOURCE,
  COLUMN_SOURCE_LENGTH,
  COLUMN_BLOB_LENGTH,
  COLUMN_KIND,
  COLUMN_MODE,
  COLUMN_ENGINE,
  COLUMN_V8_VERSION,
  COLUMN_FILENAME,
  COLUMN_CREATED,
  COLUMN_WORKLOAD,
  COLUMN_NAME,
  COLUMN_PARTS,
  COLUMN_HASH,
  COLUMN_ID,
  COLUMN_LAST,
  COLUMN_BYTES,
};

/* Serialisation: 1, kind, mode (u32); source_length, blob_length, created (u64); key, source;
 * engine, v8_version and filename, each as its length (u32) and its bytes. For what schema 2 added,
 * the hash of that is hashed again, with 2, whether there is a name (u32), the name (u64), the
 * workload and the parts' own hash: short pieces are XXH3's quick ones. */
#define SERIAL_MAX                                                                        \
  (3 * 4 + 3 * 8 + 2 * KCC_DIGEST_BYTES + 3 * 4 + sizeof(((kcc_entry_info *)0)->engine) + \
   sizeof(((kcc_entry_info *)0)->v8_version) + sizeof(((kcc_entry_info *)0)->filename))

static uint8_t *add_text(uint8_t *to, const char *text) {
  size_t length = strlen(text);
  kcc__store_u32(to, (uint32_t)length);
  memcpy(to + 4, text, length);
  return to + 4 + length;
}

static void hash_info(const kcc_entry_info *info, uint8_t ret_hash[KCC__HASH_BYTES]) {
  uint8_t serial[SERIAL_MAX];
  kcc__store_u32(serial, 1);
  kcc__store_u32(serial + 4, (uint32_t)info->kind);
  kcc__store_u32(serial + 8, (uint32_t)info->mode);
  kcc__store_u64(serial + 12, info->source_length);
  kcc__store_u64(serial + 20, info->blob_length);
  kcc__store_u64(serial + 28, (uint64_t)info->created_unix_ms);
  memcpy(serial + 36, info->key.bytes, KCC_DIGEST_BYTES);
  memcpy(serial + 36 + KCC_DIGEST_BYTES, info->source.bytes, KCC_DIGEST_BYTES);
  uint8_t *to = serial + 36 + 2 * KCC_DIGEST_BYTES;
  to = add_text(to, info->engine);
  to = add_text(to, info->v8_version);
  to = add_text(to, info->filename);
  kcc__hash(serial, (size_t)(to - serial), /* seed= */ 0, ret_hash);
}

static void hash_metadata(const kcc__metadata *m, uint8_t ret_hash[KCC__HASH_BYTES]) {
  enum { LENGTH = 2 * 4 + 8 + KCC_DIGEST_BYTES + 2 * KCC__HASH_BYTES };
  uint8_t serial[LENGTH];
  hash_info(m->info, ret_hash);
  if (m->is_old) return;
  kcc__store_u32(serial, 2);
  kcc__store_u32(serial + 4, m->has_name);
  kcc__store_u64(serial + 8, (uint64_t)m->name);
  memcpy(serial + 16, m->workload.bytes, KCC_DIGEST_BYTES);
  memcpy(serial + 16 + KCC_DIGEST_BYTES, ret_hash, KCC__HASH_BYTES);
  kcc__hash(m->parts.data, m->parts.length, /* seed= */ 0, serial + LENGTH - KCC__HASH_BYTES);
  kcc__hash(serial, LENGTH, /* seed= */ 0, ret_hash);
}

/* ---- reading -----------------------------------------------------------------------------------
 */

static bool read_bytes(sqlite3_stmt *statement, int column, void *ret_bytes, size_t length) {
  if (sqlite3_column_type(statement, column) != SQLITE_BLOB) return false;
  const void *bytes = sqlite3_column_blob(statement, column);
  if (!bytes || (size_t)sqlite3_column_bytes(statement, column) != length) return false;
  memcpy(ret_bytes, bytes, length);
  return true;
}

static bool read_text(sqlite3_stmt *statement, int column, int type, char *ret_text, size_t room) {
  if (sqlite3_column_type(statement, column) != type) return false;
  const void *bytes = sqlite3_column_blob(statement, column);
  size_t length = (size_t)sqlite3_column_bytes(statement, column);
  if (length >= room || (length && !bytes)) return false;
  if (length && memchr(bytes, '\0', length)) return false;
  if (length) memcpy(ret_text, bytes, length);
  ret_text[length] = '\0';
  return true;
}

static bool read_integer(sqlite3_stmt *statement, int column, int64_t *ret_value) {
  if (sqlite3_column_type(statement, column) != SQLITE_INTEGER) return false;
  *ret_value = sqlite3_column_int64(statement, column);
  return true;
}

static bool is_null(sqlite3_stmt *statement, int column) {
  return sqlite3_column_type(statement, column) == SQLITE_NULL;
}

/* What schema 2 added: all of it, or nothing. */
static bool read_version_2(sqlite3_stmt *statement, kcc__metadata *m) {
  int type = sqlite3_column_type(statement, COLUMN_PARTS);
  bool has_workload = !is_null(statement, COLUMN_WORKLOAD);
  m->has_name = !is_null(statement, COLUMN_NAME);
  m->is_old = type == SQLITE_NULL;
  if (m->is_old) return !has_workload && !m->has_name;
  if (type != SQLITE_BLOB) return false;
  m->parts.data = sqlite3_column_blob(statement, COLUMN_PARTS);
  m->parts.length = (size_t)sqlite3_column_bytes(statement, COLUMN_PARTS);
  if (has_workload &&
      (!read_bytes(statement, COLUMN_WORKLOAD, m->workload.bytes, KCC_DIGEST_BYTES) ||
       kcc__is_zero(&m->workload)))
    return false;
  if (m->has_name && !read_integer(statement, COLUMN_NAME, &m->name)) return false;
  return m->parts.data && kcc__parts_read_info(m->parts, m->info);
}

/* Fills in what can be read, and tells whether all of it could. */
static bool read_columns(sqlite3_stmt *statement, kcc__metadata *m,
                         uint8_t ret_hash[KCC__HASH_BYTES]) {
  kcc_entry_info *info = m->info;
  int64_t source_length = 0, blob_length = 0, kind = 0, mode = 0;
  bool good = read_bytes(statement, COLUMN_KEY, info->key.bytes, KCC_DIGEST_BYTES);
  good &= read_bytes(statement, COLUMN_SOURCE, info->source.bytes, KCC_DIGEST_BYTES);
  good &= read_integer(statement, COLUMN_SOURCE_LENGTH, &source_length) && source_length >= 0;
  good &= read_integer(statement, COLUMN_BLOB_LENGTH, &blob_length) && blob_length >= 0;
  good &= read_integer(statement, COLUMN_KIND, &kind) && kind >= 0 && kind <= KCC_FUNCTION;
  good &= read_integer(statement, COLUMN_MODE, &mode) && mode >= 0 && mode <= KCC_WORKLOAD;
  good &= read_text(statement, COLUMN_ENGINE, SQLITE_TEXT, info->engine, sizeof(info->engine));
  good &= read_text(statement, COLUMN_V8_VERSION, SQLITE_TEXT, info->v8_version,
                    sizeof(info->v8_version));
  good &=
      read_text(statement, COLUMN_FILENAME, SQLITE_BLOB, info->filename, sizeof(info->filename));
  good &= read_integer(statement, COLUMN_CREATED, &info->created_unix_ms);
  good &= read_version_2(statement, m);
  good &= read_bytes(statement, COLUMN_HASH, ret_hash, KCC__HASH_BYTES);
  if (!good) return false;
  info->source_length = (uint64_t)source_length;
  info->blob_length = (uint64_t)blob_length;
  info->kind = (kcc_kind)kind;
  info->mode = (kcc_mode)mode;
  return true;
}

static const char *read_metadata(sqlite3_stmt *statement, int64_t id, kcc__metadata *m) {
  uint8_t stored[KCC__HASH_BYTES];
  uint8_t computed[KCC__HASH_BYTES];
  if (!read_columns(statement, m, stored)) return "metadata: a column of a wrong type or size";
  hash_metadata(m, computed);
  if (memcmp(stored, computed, sizeof(stored)) != 0) return "metadata: wrong hash";
  if (kcc__id_of(&m->info->key) != id) return "metadata: under another key's id";
  return NULL;
}

/* Longer ones are read with SQLite's blob functions, straight into place: as a column they would be
 * put together in memory of SQLite's first. For short ones that is cheaper than opening them (0.8
 * us). CPU time of a look-up, measured with tests/cache/speed.c: 1 MiB 230 us as a column, 94 so;
 * 64 KiB 10.6 and 7.6. */
#define COLUMN_BYTES_MAX 32768

/* Both read into memory that becomes the caller's: so the read transaction is short, and what is
 * verified is what is handed out. An SQLite code. */
static int copy_column(const kcc__conn *conn, sqlite3_stmt *statement, kcc__row *row) {
  const void *bytes = sqlite3_column_blob(statement, COLUMN_BYTES);
  if ((size_t)sqlite3_column_bytes(statement, COLUMN_BYTES) != row->envelope_length)
    row->envelope_length = 0; /* out of memory, or a value that is no blob: then it is damage */
  if (!bytes && sqlite3_errcode(conn->db) == SQLITE_NOMEM) return SQLITE_NOMEM;
  if (bytes && row->envelope_length) memcpy(row->envelope, bytes, row->envelope_length);
  return SQLITE_OK;
}

static int copy_blob(const kcc__conn *conn, int64_t id, kcc__row *row) {
  sqlite3_blob *blob = NULL;
  int rc = sqlite3_blob_open(conn->db, "main", "blobs", "bytes", id, /* flags= */ 0, &blob);
  if (rc == SQLITE_OK) rc = sqlite3_blob_read(blob, row->envelope, (int)row->envelope_length, 0);
  sqlite3_blob_close(blob);
  if ((rc & 0xff) != SQLITE_ERROR) return rc;
  row->envelope_length = 0; /* the row is there, in this transaction: its value is no such blob */
  return SQLITE_OK;
}

static kcc_status copy_envelope(const kcc__conn *conn, sqlite3_stmt *statement, int64_t id,
                                kcc__row *row, kcc_error *err) {
  size_t length = (size_t)sqlite3_column_int(statement, COLUMN_LAST);
  row->envelope = kcc__alloc(length);
  if (!row->envelope)
    return kcc__fail(err, KCC_ENOMEM, 0, "store '%s': out of memory for %zu bytes",
                     conn->store->label, length);
  row->envelope_length = length;
  int rc = length > COLUMN_BYTES_MAX ? copy_blob(conn, id, row) : copy_column(conn, statement, row);
  if (rc == SQLITE_OK) return KCC_OK;
  kcc__row_release(row);
  return kcc__conn_fail(conn, rc, err);
}

static kcc_status read_entry(const kcc__conn *conn, sqlite3_stmt *statement, int64_t id,
                             kcc__part part, kcc__row *row, kcc_error *err) {
  kcc__metadata m = {.info = &row->info};
  row->has_entry = true;
  row->damage = read_metadata(statement, id, &m);
  row->workload = m.workload;
  /* A column that SQLite had no memory to put together looks like an odd one. */
  if (row->damage && sqlite3_errcode(conn->db) == SQLITE_NOMEM)
    return kcc__conn_fail(conn, SQLITE_NOMEM, err);
  if (row->damage || m.is_old || part != KCC__PARTS) return KCC_OK;
  row->parts = kcc__alloc(m.parts.length);
  if (!row->parts)
    return kcc__fail(err, KCC_ENOMEM, 0, "store '%s': out of memory", conn->store->label);
  memcpy(row->parts, m.parts.data, m.parts.length);
  row->parts_length = m.parts.length;
  return KCC_OK;
}

static kcc_status read_row(const kcc__conn *conn, sqlite3_stmt *statement, int64_t id,
                           kcc__part part, kcc__row *row, kcc_error *err) {
  if (!is_null(statement, COLUMN_ID)) {
    kcc_status status = read_entry(conn, statement, id, part, row, err);
    if (status != KCC_OK) return status;
  }
  if (part != KCC__WHOLE) {
    row->info.used_unix_ms = sqlite3_column_int64(statement, COLUMN_LAST);
    return KCC_OK;
  }
  row->has_blob = !is_null(statement, COLUMN_LAST);
  return row->has_blob ? copy_envelope(conn, statement, id, row, err) : KCC_OK;
}

static const char *check_envelope(const kcc__row *row) {
  kcc_span bytes = {row->envelope, row->envelope_length};
  kcc_span payload;
  const char *reason;
  if (!row->has_blob) return "metadata without a blob";
  const kcc_digest *engine =
      kcc__is_zero(&row->info.fingerprint_id) ? NULL : &row->info.fingerprint_id;
  if (!kcc_envelope_verify(bytes, &row->info.key, engine, &payload, &reason)) return reason;
  return payload.length == row->info.blob_length ? NULL : "another length than its metadata says";
}

kcc_status kcc__row_load(kcc__conn *conn, int64_t id, kcc__part part, kcc__row *ret_row,
                         kcc_error *err) {
  sqlite3_stmt *statement;
  kcc_status status = kcc__conn_statement(
      conn, part == KCC__WHOLE ? KCC__SQL_LOOKUP : KCC__SQL_LOOKUP_INFO, &statement, err);
  if (status != KCC_OK) return status;
  memset(ret_row, 0, sizeof(*ret_row));
  int rc = sqlite3_bind_int64(statement, 1, id);
  if (rc == SQLITE_OK && part == KCC__WHOLE) rc = sqlite3_bind_int(statement, 2, COLUMN_BYTES_MAX);
  if (rc != SQLITE_OK) return kcc__conn_fail(conn, rc, err);
  while ((rc = sqlite3_step(statement)) != SQLITE_ROW) {
    sqlite3_reset(statement);
    if (rc == SQLITE_DONE) rc = SQLITE_CORRUPT; /* the outer joins always give a row */
    if (!kcc__conn_should_retry(conn, rc)) return kcc__conn_fail(conn, rc, err);
  }
  status = read_row(conn, statement, id, part, ret_row, err);
  sqlite3_reset(statement);
  if (status != KCC_OK) return status;
  if (part == KCC__WHOLE && !ret_row->damage) {
    if (ret_row->has_entry) ret_row->damage = check_envelope(ret_row);
    if (!ret_row->has_entry && ret_row->has_blob) ret_row->damage = "a blob without metadata";
  }
  return KCC_OK;
}

void kcc__row_release(kcc__row *row) {
  free(row->envelope);
  free(row->parts);
  row->envelope = NULL;
  row->parts = NULL;
}

/* ---- writing -----------------------------------------------------------------------------------
 */

static int bind_blob(sqlite3_stmt *statement, int at, const void *data, size_t length) {
  /* Nothing is copied: what is bound outlives the statement's run. */
  return sqlite3_bind_blob64(statement, at, length ? data : "", length, SQLITE_STATIC);
}

static int bind_text(sqlite3_stmt *statement, int at, const char *text) {
  return sqlite3_bind_text(statement, at, text, /* n= */ -1, SQLITE_STATIC);
}

static int bind_entry(sqlite3_stmt *statement, const kcc__metadata *m,
                      const uint8_t hash[KCC__HASH_BYTES]) {
  const kcc_entry_info *info = m->info;
  int rc = sqlite3_bind_int64(statement, 1, kcc__id_of(&info->key));
  if (!rc) rc = bind_blob(statement, 2, info->key.bytes, KCC_DIGEST_BYTES);
  if (!rc) rc = bind_blob(statement, 3, info->source.bytes, KCC_DIGEST_BYTES);
  if (!rc) rc = sqlite3_bind_int64(statement, 4, (int64_t)info->source_length);
  if (!rc) rc = sqlite3_bind_int64(statement, 5, (int64_t)info->blob_length);
  if (!rc) rc = sqlite3_bind_int64(statement, 6, (int64_t)info->kind);
  if (!rc) rc = sqlite3_bind_int64(statement, 7, (int64_t)info->mode);
  if (!rc) rc = bind_text(statement, 8, info->engine);
  if (!rc) rc = bind_text(statement, 9, info->v8_version);
  if (!rc) rc = bind_blob(statement, 10, info->filename, strlen(info->filename));
  if (!rc) rc = sqlite3_bind_int64(statement, 11, info->created_unix_ms);
  if (!rc) rc = bind_blob(statement, 12, hash, KCC__HASH_BYTES);
  if (!rc && !kcc__is_zero(&m->workload))
    rc = bind_blob(statement, 13, m->workload.bytes, KCC_DIGEST_BYTES);
  if (!rc && m->has_name) rc = sqlite3_bind_int64(statement, 14, m->name);
  if (!rc) rc = bind_blob(statement, 15, m->parts.data, m->parts.length);
  return rc;
}

static kcc_status write_entry(kcc__conn *conn, const kcc__metadata *metadata, kcc_error *err) {
  uint8_t hash[KCC__HASH_BYTES];
  hash_metadata(metadata, hash);
  sqlite3_stmt *statement;
  kcc_status status = kcc__conn_statement(conn, KCC__SQL_PUT_ENTRY, &statement, err);
  if (status != KCC_OK) return status;
  int rc = bind_entry(statement, metadata, hash);
  if (rc != SQLITE_OK) return kcc__conn_fail(conn, rc, err);
  return kcc__conn_run(conn, statement, /* ret_changed= */ NULL, err);
}

/* Writes into the pages of a row; a large value bound to a statement SQLite would copy first. */
static kcc_status fill_blob(const kcc__conn *conn, int64_t id, kcc_span envelope, kcc_error *err) {
  sqlite3_blob *blob = NULL;
  int rc = sqlite3_blob_open(conn->db, "main", "blobs", "bytes", id, /* flags= */ 1, &blob);
  if (rc == SQLITE_OK) rc = sqlite3_blob_write(blob, envelope.data, (int)envelope.length, 0);
  int closed = sqlite3_blob_close(blob);
  if (rc == SQLITE_OK) rc = closed;
  return rc == SQLITE_OK ? KCC_OK : kcc__conn_fail(conn, rc, err);
}

static kcc_status write_blob(kcc__conn *conn, int64_t id, kcc_span envelope, kcc_error *err) {
  sqlite3_stmt *statement;
  bool is_large = envelope.length > COLUMN_BYTES_MAX;
  kcc_status status = kcc__conn_statement(conn, KCC__SQL_PUT_BLOB, &statement, err);
  if (status != KCC_OK) return status;
  int rc = sqlite3_bind_int64(statement, 1, id);
  if (rc == SQLITE_OK)
    rc = is_large ? sqlite3_bind_zeroblob64(statement, 2, envelope.length)
                  : bind_blob(statement, 2, envelope.data, envelope.length);
  if (rc != SQLITE_OK) return kcc__conn_fail(conn, rc, err);
  status = kcc__conn_run(conn, statement, /* ret_changed= */ NULL, err);
  return status == KCC_OK && is_large ? fill_blob(conn, id, envelope, err) : status;
}

static kcc_status write_use(kcc__conn *conn, int64_t id, int64_t used_unix_ms, kcc_error *err) {
  sqlite3_stmt *statement;
  kcc_status status = kcc__conn_statement(conn, KCC__SQL_PUT_USE, &statement, err);
  if (status != KCC_OK) return status;
  int rc = sqlite3_bind_int64(statement, 1, id);
  if (rc == SQLITE_OK) rc = sqlite3_bind_int64(statement, 2, used_unix_ms);
  if (rc != SQLITE_OK) return kcc__conn_fail(conn, rc, err);
  return kcc__conn_run(conn, statement, /* ret_changed= */ NULL, err);
}

/* The texts an entry names, as they stand there. */
typedef struct named_texts {
  bool found[2]; /* source, workload */
  kcc_digest digests[2];
} named_texts;

static kcc_status read_texts(kcc__conn *conn, int64_t id, named_texts *ret_texts, kcc_error *err) {
  sqlite3_stmt *statement;
  kcc_status status = kcc__conn_statement(conn, KCC__SQL_ENTRY_TEXTS, &statement, err);
  if (status != KCC_OK) return status;
  int rc = sqlite3_bind_int64(statement, 1, id);
  if (rc == SQLITE_OK) rc = sqlite3_step(statement);
  for (int i = 0; i < 2; i++)
    ret_texts->found[i] =
        rc == SQLITE_ROW && read_bytes(statement, i, ret_texts->digests[i].bytes, KCC_DIGEST_BYTES);
  sqlite3_reset(statement);
  return rc == SQLITE_ROW || rc == SQLITE_DONE ? KCC_OK : kcc__conn_fail(conn, rc, err);
}

static kcc_status prune_text(kcc__conn *conn, const kcc_digest *digest, kcc_error *err) {
  sqlite3_stmt *statement;
  kcc_status status = kcc__conn_statement(conn, KCC__SQL_PRUNE_SOURCE, &statement, err);
  if (status != KCC_OK) return status;
  int rc = sqlite3_bind_int64(statement, 1, kcc__id_of(digest));
  if (rc == SQLITE_OK) rc = bind_blob(statement, 2, digest->bytes, KCC_DIGEST_BYTES);
  if (rc != SQLITE_OK) return kcc__conn_fail(conn, rc, err);
  return kcc__conn_run(conn, statement, /* ret_changed= */ NULL, err);
}

/* After the entry that named them changed or went; `still` is what its successor names. */
static kcc_status prune_texts(kcc__conn *conn, const named_texts *texts, const kcc_digest *still[2],
                              kcc_error *err) {
  kcc_status status = KCC_OK;
  for (int i = 0; status == KCC_OK && i < 2; i++) {
    if (!texts->found[i] || (still && kcc__same(&texts->digests[i], still[i]))) continue;
    status = prune_text(conn, &texts->digests[i], err);
  }
  return status;
}

kcc_status kcc__row_write(kcc__conn *conn, const kcc__metadata *metadata, kcc_span envelope,
                          kcc_error *err) {
  int64_t id = kcc__id_of(&metadata->info->key);
  named_texts texts;
  const kcc_digest *still[2] = {&metadata->info->source, &metadata->workload};
  kcc_status status = read_texts(conn, id, &texts, err);
  if (status == KCC_OK) status = write_entry(conn, metadata, err);
  if (status == KCC_OK) status = write_blob(conn, id, envelope, err);
  if (status == KCC_OK) status = write_use(conn, id, metadata->info->used_unix_ms, err);
  return status == KCC_OK ? prune_texts(conn, &texts, still, err) : status;
}

kcc_status kcc__row_exists(kcc__conn *conn, const kcc_digest *key, bool *ret_exists,
                           kcc_error *err) {
  sqlite3_stmt *statement;
  kcc_status status = kcc__conn_statement(conn, KCC__SQL_FIND_KEY, &statement, err);
  if (status != KCC_OK) return status;
  int rc = sqlite3_bind_int64(statement, 1, kcc__id_of(key));
  if (rc == SQLITE_OK) rc = bind_blob(statement, 2, key->bytes, KCC_DIGEST_BYTES);
  if (rc != SQLITE_OK) return kcc__conn_fail(conn, rc, err);
  return kcc__conn_exists(conn, statement, ret_exists, err);
}

kcc_status kcc__row_delete(kcc__conn *conn, int64_t id, kcc_error *err) {
  named_texts texts;
  kcc_status status = read_texts(conn, id, &texts, err);
  if (status == KCC_OK) status = kcc__conn_run_id(conn, KCC__SQL_DELETE_ENTRY, id, NULL, err);
  if (status == KCC_OK) status = kcc__conn_run_id(conn, KCC__SQL_DELETE_BLOB, id, NULL, err);
  if (status == KCC_OK) status = kcc__conn_run_id(conn, KCC__SQL_DELETE_USE, id, NULL, err);
  return status == KCC_OK ? prune_texts(conn, &texts, /* still= */ NULL, err) : status;
}
