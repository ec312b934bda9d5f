/* SPDX-License-Identifier: MIT
 *
 * parts.c: everything an entry's key was made of, so that a miss can be explained and an entry be
 * baked again. What is read back is proved by the strongest check there is: the key computed from
 * it must be the entry's.
 */
#include "cache/parts.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "cache/alloc.h"
#include "cache/bytes.h"
#include "cache/envelope.h"
#include "cache/key.h"
#include "cache/quarantine.h"
#include "cache/reader.h"
#include "cache/row.h"

/* ---- the blob ----------------------------------------------------------------------------------
 *
 * Version, line offset, column offset, origin options (u32); context extensions (u64);
 * fingerprint's id; build id; file name; number of parameters (u64); each of them. Every text is
 * its length (u64) and its bytes. db.h knows where the id stands. */

#define PARTS_VERSION 1
enum { AT_LINE = 4, AT_COLUMN = 8, AT_ORIGIN = 12, AT_EXTENSIONS = 16, AT_ID = 24, AT_REST = 56 };

static kcc_span build_id_of(const kcc_key_parts *parts) {
  const char *text = parts->fingerprint.build_id;
  return (kcc_span){text, text ? strlen(text) : 0};
}

size_t kcc__parts_bytes(const kcc_key_parts *parts) {
  size_t bytes = AT_REST + 3 * 8;
  if (__builtin_add_overflow(bytes, build_id_of(parts).length, &bytes) ||
      __builtin_add_overflow(bytes, parts->filename.length, &bytes))
    return SIZE_MAX;
  for (size_t i = 0; i < parts->params_count; i++)
    if (__builtin_add_overflow(bytes, 8, &bytes) ||
        __builtin_add_overflow(bytes, parts->params[i].length, &bytes))
      return SIZE_MAX;
  return bytes;
}

static uint8_t *add_span(uint8_t *to, kcc_span span) {
  kcc__store_u64(to, span.length);
  if (span.length) memcpy(to + 8, span.data, span.length);
  return to + 8 + span.length;
}

void kcc__parts_encode(const kcc_key_parts *parts, const kcc_digest *fingerprint_id,
                       uint8_t *ret_bytes) {
  kcc__store_u32(ret_bytes, PARTS_VERSION);
  kcc__store_u32(ret_bytes + AT_LINE, (uint32_t)parts->line_offset);
  kcc__store_u32(ret_bytes + AT_COLUMN, (uint32_t)parts->column_offset);
  kcc__store_u32(ret_bytes + AT_ORIGIN, parts->origin_options);
  kcc__store_u64(ret_bytes + AT_EXTENSIONS, parts->context_extensions_count);
  memcpy(ret_bytes + AT_ID, fingerprint_id->bytes, KCC_DIGEST_BYTES);
  uint8_t *to = add_span(ret_bytes + AT_REST, build_id_of(parts));
  to = add_span(to, parts->filename);
  kcc__store_u64(to, parts->params_count);
  to += 8;
  for (size_t i = 0; i < parts->params_count; i++) to = add_span(to, parts->params[i]);
}

static bool take_u64(kcc_span *rest, uint64_t *ret_value) {
  if (rest->length < 8) return false;
  *ret_value = kcc__load_u64(rest->data);
  rest->data = (const uint8_t *)rest->data + 8;
  rest->length -= 8;
  return true;
}

static bool take_span(kcc_span *rest, kcc_span *ret_span) {
  uint64_t length;
  if (!take_u64(rest, &length) || length > rest->length) return false;
  *ret_span = (kcc_span){rest->data, (size_t)length};
  rest->data = (const uint8_t *)rest->data + length;
  rest->length -= (size_t)length;
  return true;
}

/* The first texts, and what follows them. */
static bool take_head(kcc_span bytes, kcc_span *ret_build_id, kcc_span *ret_filename,
                      kcc_span *ret_rest) {
  if (bytes.length < AT_REST || kcc__load_u32(bytes.data) != PARTS_VERSION) return false;
  *ret_rest = (kcc_span){(const uint8_t *)bytes.data + AT_REST, bytes.length - AT_REST};
  return take_span(ret_rest, ret_build_id) && take_span(ret_rest, ret_filename);
}

static int32_t load_i32(kcc_span bytes, size_t at) {
  return (int32_t)kcc__load_u32((const uint8_t *)bytes.data + at);
}

bool kcc__parts_read_info(kcc_span bytes, kcc_entry_info *info) {
  kcc_span build_id, filename, rest;
  if (!take_head(bytes, &build_id, &filename, &rest) || build_id.length >= sizeof(info->build_id))
    return false;
  memcpy(info->build_id, build_id.data, build_id.length);
  info->build_id[build_id.length] = '\0';
  memcpy(info->fingerprint_id.bytes, (const uint8_t *)bytes.data + AT_ID, KCC_DIGEST_BYTES);
  info->line_offset = load_i32(bytes, AT_LINE);
  info->column_offset = load_i32(bytes, AT_COLUMN);
  return true;
}

bool kcc__parts_filename(kcc_span bytes, kcc_span *ret_filename) {
  kcc_span build_id, rest;
  return take_head(bytes, &build_id, ret_filename, &rest);
}

/* How many parameters; more than the bytes could hold: no such blob. */
static bool count_params(kcc_span bytes, uint64_t *ret_count) {
  kcc_span build_id, filename, rest;
  return take_head(bytes, &build_id, &filename, &rest) && take_u64(&rest, ret_count) &&
         *ret_count <= rest.length / 8;
}

/* `params` has room for all of them. */
static bool decode(kcc_span bytes, kcc_span *params, kcc_key_parts *parts) {
  kcc_span build_id, rest;
  uint64_t count;
  if (!take_head(bytes, &build_id, &parts->filename, &rest) || !take_u64(&rest, &count))
    return false;
  parts->line_offset = load_i32(bytes, AT_LINE);
  parts->column_offset = load_i32(bytes, AT_COLUMN);
  parts->origin_options = (uint32_t)load_i32(bytes, AT_ORIGIN);
  parts->context_extensions_count =
      (size_t)kcc__load_u64((const uint8_t *)bytes.data + AT_EXTENSIONS);
  parts->params = params;
  parts->params_count = (size_t)count;
  for (uint64_t i = 0; i < count; i++)
    if (!take_span(&rest, &params[i])) return false;
  return rest.length == 0;
}

int64_t kcc__name_of(kcc_span filename) {
  uint8_t hash[KCC__HASH_BYTES];
  uint64_t bits;
  int64_t name;
  kcc__hash(filename.data, filename.length, /* seed= */ 0, hash);
  bits = kcc__load_u64(hash);
  memcpy(&name, &bits, sizeof(name));
  return name;
}

/* ---- fingerprints ------------------------------------------------------------------------------
 */

static kcc_status bind_fingerprint(kcc__conn *conn, kcc__sql which, const kcc_digest *id,
                                   kcc_span bytes, sqlite3_stmt **ret_statement, kcc_error *err) {
  kcc_status status = kcc__conn_statement(conn, which, ret_statement, err);
  if (status != KCC_OK) return status;
  int rc = sqlite3_bind_int64(*ret_statement, 1, kcc__id_of(id));
  if (rc == SQLITE_OK)
    rc = sqlite3_bind_blob(*ret_statement, 2, id->bytes, KCC_DIGEST_BYTES, SQLITE_STATIC);
  if (rc == SQLITE_OK)
    rc = sqlite3_bind_blob64(*ret_statement, 3, bytes.data, bytes.length, SQLITE_STATIC);
  return rc == SQLITE_OK ? KCC_OK : kcc__conn_fail(conn, rc, err);
}

static kcc_status keep(kcc__conn *conn, const kcc_digest *id, kcc_span bytes, kcc_error *err) {
  sqlite3_stmt *statement;
  bool exists;
  kcc_status status = bind_fingerprint(conn, KCC__SQL_FIND_FINGERPRINT, id, bytes, &statement, err);
  if (status == KCC_OK) status = kcc__conn_exists(conn, statement, &exists, err);
  if (status != KCC_OK || exists) return status;
  status = bind_fingerprint(conn, KCC__SQL_PUT_FINGERPRINT, id, bytes, &statement, err);
  return status == KCC_OK ? kcc__conn_run(conn, statement, /* ret_changed= */ NULL, err) : status;
}

kcc_status kcc__fingerprint_keep(kcc__conn *conn, const kcc_digest *id,
                                 const kcc_fingerprint *fingerprint, kcc_error *err) {
  uint8_t room[KCC__MEMO_BYTES];
  size_t length = kcc__fingerprint_encode(fingerprint, room, sizeof(room));
  if (length) return keep(conn, id, (kcc_span){room, length}, err);
  uint8_t *bytes = kcc__alloc(KCC__FINGERPRINT_MAX_BYTES);
  if (!bytes) return kcc__fail(err, KCC_ENOMEM, 0, "entry: out of memory");
  length = kcc__fingerprint_encode(fingerprint, bytes, KCC__FINGERPRINT_MAX_BYTES);
  kcc_status status =
      length ? keep(conn, id, (kcc_span){bytes, length}, err)
             : kcc__fail(err, KCC_ETOOBIG, 0, "fingerprint is over the limit of %d bytes",
                         KCC__FINGERPRINT_MAX_BYTES);
  free(bytes);
  return status;
}

/* The statement stands on a row. */
static kcc_status read_fingerprint(sqlite3_stmt *statement, int64_t id, kcc__fingerprint_row *row,
                                   kcc_error *err) {
  row->found = true;
  const void *digest = sqlite3_column_blob(statement, 0);
  kcc_span bytes = {sqlite3_column_blob(statement, 1), (size_t)sqlite3_column_bytes(statement, 1)};
  row->damage = "fingerprint: a column of a wrong size";
  if (!digest || sqlite3_column_bytes(statement, 0) != KCC_DIGEST_BYTES) return KCC_OK;
  memcpy(row->digest.bytes, digest, KCC_DIGEST_BYTES);
  if (!bytes.data || bytes.length > KCC__FINGERPRINT_MAX_BYTES) return KCC_OK;
  row->damage = "fingerprint: under another's id";
  if (kcc__id_of(&row->digest) != id) return KCC_OK;
  row->texts = kcc__alloc(bytes.length);
  if (!row->texts) return kcc__fail(err, KCC_ENOMEM, 0, "fingerprint: out of memory");
  kcc_digest actual;
  row->damage = "fingerprint: cannot be read";
  if (!kcc__fingerprint_decode(bytes, row->texts, &row->fingerprint)) return KCC_OK;
  kcc_status status = kcc_fingerprint_id(&row->fingerprint, &actual, err);
  if (status != KCC_OK) return status;
  row->damage = kcc__same(&actual, &row->digest) ? NULL : "fingerprint: wrong id";
  return KCC_OK;
}

kcc_status kcc__fingerprint_load(kcc__conn *conn, int64_t id, kcc__fingerprint_row *ret_row,
                                 kcc_error *err) {
  sqlite3_stmt *statement;
  kcc_status status = kcc__conn_statement(conn, KCC__SQL_LOOKUP_FINGERPRINT, &statement, err);
  if (status != KCC_OK) return status;
  memset(ret_row, 0, sizeof(*ret_row));
  int rc = sqlite3_bind_int64(statement, 1, id);
  if (rc != SQLITE_OK) return kcc__conn_fail(conn, rc, err);
  while ((rc = sqlite3_step(statement)) != SQLITE_ROW && rc != SQLITE_DONE) {
    sqlite3_reset(statement);
    if (!kcc__conn_should_retry(conn, rc)) return kcc__conn_fail(conn, rc, err);
  }
  if (rc == SQLITE_ROW) status = read_fingerprint(statement, id, ret_row, err);
  /* A column that SQLite had no memory for looks like one of a wrong size. */
  if (status == KCC_OK && ret_row->damage && sqlite3_errcode(conn->db) == SQLITE_NOMEM)
    status = kcc__conn_fail(conn, SQLITE_NOMEM, err);
  sqlite3_reset(statement);
  if (status != KCC_OK) kcc__fingerprint_release(ret_row);
  return status;
}

void kcc__fingerprint_release(kcc__fingerprint_row *row) {
  free(row->texts);
  row->texts = NULL;
}

/* ---- an entry's --------------------------------------------------------------------------------
 */

void kcc_entry_parts_free(kcc_entry_parts *parts) {
  if (!parts) return;
  free(parts->owned);
  memset(parts, 0, sizeof(*parts));
}

/* A copy of `text` at *to, which moves on. */
static const char *add_text(char **to, const char *text) {
  size_t size = strlen(text) + 1;
  char *copy = memcpy(*to, text, size);
  *to += size;
  return copy;
}

static size_t texts_bytes(const kcc_fingerprint *f) {
  return strlen(f->engine) + strlen(f->v8_version) + strlen(f->flags) + strlen(f->build_id) +
         strlen(f->arch) + 5;
}

/* One allocation: the parameters' spans, the blob they point into, the fingerprint's texts. */
static kcc_status assemble(const kcc__row *row, const kcc_fingerprint *f, kcc__parts_row *ret_row,
                           kcc_error *err) {
  uint64_t count;
  kcc_span bytes = {row->parts, row->parts_length};
  ret_row->damage = "parts: cannot be read";
  if (!count_params(bytes, &count)) return KCC_OK;
  size_t spans = (size_t)count * sizeof(kcc_span);
  uint8_t *owned = kcc__alloc(spans + bytes.length + texts_bytes(f));
  if (!owned) return kcc__fail(err, KCC_ENOMEM, 0, "parts: out of memory");
  kcc_key_parts *parts = &ret_row->parts.parts;
  ret_row->parts.owned = owned;
  memcpy(owned + spans, bytes.data, bytes.length);
  bytes.data = owned + spans;
  if (!decode(bytes, (kcc_span *)(void *)owned, parts)) return KCC_OK;
  char *to = (char *)owned + spans + bytes.length;
  parts->fingerprint.engine = add_text(&to, f->engine);
  parts->fingerprint.v8_version = add_text(&to, f->v8_version);
  parts->fingerprint.cached_data_tag = f->cached_data_tag;
  parts->fingerprint.flags = add_text(&to, f->flags);
  parts->fingerprint.build_id = add_text(&to, f->build_id);
  parts->fingerprint.arch = add_text(&to, f->arch);
  parts->kind = row->info.kind;
  parts->mode = row->info.mode;
  parts->source = row->info.source;
  parts->source_length = row->info.source_length;
  parts->workload = row->workload;
  ret_row->parts.fingerprint_id = row->info.fingerprint_id;
  kcc_digest key;
  kcc_status status = kcc_key_of(parts, &key, err);
  if (status != KCC_OK) return status;
  ret_row->damage = kcc__same(&key, &row->info.key) ? NULL : "parts: of another key";
  return KCC_OK;
}

static kcc_status add_fingerprint(kcc__conn *conn, const kcc__row *row, kcc__parts_row *ret_row,
                                  kcc_error *err) {
  kcc__fingerprint_row engine;
  kcc_status status =
      kcc__fingerprint_load(conn, kcc__id_of(&row->info.fingerprint_id), &engine, err);
  if (status != KCC_OK) return status;
  ret_row->bad_fingerprint = engine.damage != NULL;
  if (engine.found && !engine.damage && kcc__same(&engine.digest, &row->info.fingerprint_id)) {
    ret_row->found = true;
    status = assemble(row, &engine.fingerprint, ret_row, err);
  }
  kcc__fingerprint_release(&engine);
  return status;
}

kcc_status kcc__parts_load(kcc__conn *conn, int64_t id, kcc__parts_row *ret_row, kcc_error *err) {
  kcc__row row;
  kcc_status status = kcc__row_load(conn, id, KCC__PARTS, &row, err);
  if (status != KCC_OK) return status;
  memset(ret_row, 0, sizeof(*ret_row));
  ret_row->damage = row.damage;
  ret_row->info = row.info;
  if (row.has_entry && !row.damage && row.parts) status = add_fingerprint(conn, &row, ret_row, err);
  kcc__row_release(&row);
  if (status != KCC_OK || ret_row->damage) kcc_entry_parts_free(&ret_row->parts);
  return status;
}

kcc_status kcc_store_get_parts(kcc_store *store, const kcc_digest *key, kcc_entry_parts *ret_parts,
                               kcc_error *err) {
  kcc_status status = kcc__store_check(store, err);
  if (status != KCC_OK) return status;
  if (!key || !ret_parts)
    return kcc__store_done(store, kcc__fail(err, KCC_EINVAL, 0, "no key or no result"));
  kcc__reader *reader;
  kcc__parts_row row;
  status = kcc__reader_get(store, &reader, err);
  if (status == KCC_OK) status = kcc__parts_load(&reader->conn, kcc__id_of(key), &row, err);
  if (status == KCC_ECORRUPT) kcc__count(&store->counters.corrupt);
  if (status != KCC_OK) return kcc__store_done(store, status);
  if (row.damage) kcc__quarantine_entry(store, kcc__id_of(key));
  if (row.bad_fingerprint) kcc__quarantine_fingerprint(store, kcc__id_of(&row.info.fingerprint_id));
  if (!row.found || row.damage || !kcc__same(&row.info.key, key)) {
    kcc_entry_parts_free(&row.parts);
    return KCC_MISS;
  }
  *ret_parts = row.parts;
  return KCC_OK;
}
