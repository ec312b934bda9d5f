/* SPDX-License-Identifier: MIT
 *
 * put.c: storing and removing an entry. What can be done before the write lock is taken (hashing,
 * compressing, copying) is done before.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "cache/alloc.h"
#include "cache/key.h"
#include "cache/reader.h"
#include "cache/row.h"
#include "cache/source.h"

/* Copies `text` (NULL counts as "") where it fits; it is an identity and must not be cut. */
static bool copy_name(const char *text, char *ret_copy, size_t room) {
  size_t length = text ? strlen(text) : 0;
  if (length >= room) return false;
  if (length) memcpy(ret_copy, text, length);
  ret_copy[length] = '\0';
  return true;
}

/* Copies what fits of `name`, which is for people, up to a NUL and not into a UTF-8 character. */
static void copy_filename(kcc_span name, char *ret_copy, size_t room) {
  const char *bytes = name.data;
  size_t length = name.length ? strnlen(bytes, name.length) : 0;
  if (length >= room) {
    length = room - 1;
    for (int i = 0; i < 3 && length > 0 && ((unsigned char)bytes[length] & 0xc0u) == 0x80u; i++)
      length--;
  }
  if (length) memcpy(ret_copy, bytes, length);
  ret_copy[length] = '\0';
}

static kcc_status check_spans(const kcc_put *put, kcc_error *err) {
  const kcc_span spans[] = {put->filename, put->blob, put->source_text};
  for (size_t i = 0; i < sizeof(spans) / sizeof(spans[0]); i++)
    if (spans[i].length && !spans[i].data)
      return kcc__fail(err, KCC_EINVAL, 0, "entry: a length without data");
  if ((unsigned)put->kind > KCC_FUNCTION || (unsigned)put->mode > KCC_WORKLOAD)
    return kcc__fail(err, KCC_EINVAL, 0, "entry: unknown kind or mode");
  if (put->source_length > INT64_MAX)
    return kcc__fail(err, KCC_EINVAL, 0, "entry: source length %llu is no length",
                     (unsigned long long)put->source_length);
  if (put->source_text.data && put->source_text.length != put->source_length)
    return kcc__fail(err, KCC_EINVAL, 0, "entry: source text is %zu bytes, source length %llu",
                     put->source_text.length, (unsigned long long)put->source_length);
  return KCC_OK;
}

static kcc_status check_put(const kcc_store *store, const kcc_put *put, kcc_error *err) {
  kcc_status status = check_spans(put, err);
  if (status != KCC_OK) return status;
  if (put->blob.length > store->entry_max_bytes)
    return kcc__fail(err, KCC_ETOOBIG, 0, "blob is %zu bytes, limit %llu", put->blob.length,
                     (unsigned long long)store->entry_max_bytes);
  if (put->source_text.length > KCC_ENTRY_MAX_BYTES)
    return kcc__fail(err, KCC_ETOOBIG, 0, "source text is %zu bytes, limit %d",
                     put->source_text.length, KCC_ENTRY_MAX_BYTES);
  return KCC_OK;
}

static kcc_status make_info(const kcc_put *put, kcc_entry_info *info, kcc_error *err) {
  memset(info, 0, sizeof(*info));
  if (!copy_name(put->fingerprint.engine, info->engine, sizeof(info->engine)))
    return kcc__fail(err, KCC_EINVAL, 0, "entry: engine name over %zu bytes",
                     sizeof(info->engine) - 1);
  if (!copy_name(put->fingerprint.v8_version, info->v8_version, sizeof(info->v8_version)))
    return kcc__fail(err, KCC_EINVAL, 0, "entry: V8 version over %zu bytes",
                     sizeof(info->v8_version) - 1);
  copy_filename(put->filename, info->filename, sizeof(info->filename));
  info->key = put->key;
  info->source = put->source;
  info->source_length = put->source_length;
  info->blob_length = put->blob.length;
  info->kind = put->kind;
  info->mode = put->mode;
  info->created_unix_ms = kcc__unix_ms();
  info->used_unix_ms = info->created_unix_ms;
  return KCC_OK;
}

static kcc_status make_envelope(const kcc_put *put, uint8_t **ret_bytes, kcc_error *err) {
  kcc_digest fingerprint_id;
  kcc_status status = kcc_fingerprint_id(&put->fingerprint, &fingerprint_id, err);
  if (status != KCC_OK) return status;
  size_t length = kcc_envelope_bytes(put->blob.length);
  uint8_t *bytes = kcc__alloc(length);
  if (!bytes) return kcc__fail(err, KCC_ENOMEM, 0, "entry: out of memory for %zu bytes", length);
  kcc_envelope_encode(&put->key, &fingerprint_id, put->blob, bytes);
  *ret_bytes = bytes;
  return KCC_OK;
}

/* Packs the source text unless it is there already. */
static kcc_status prepare_source(kcc_store *store, const kcc_put *put, kcc__packed *packed,
                                 kcc_error *err) {
  if (!put->source_text.data) return KCC_OK;
  kcc__reader *reader;
  bool exists;
  kcc_status status = kcc__reader_get(store, &reader, err);
  if (status == KCC_OK) status = kcc__source_exists(&reader->conn, &put->source, &exists, err);
  if (status != KCC_OK || exists) return status;
  return kcc__source_pack(put->source_text, &put->source, packed, err);
}

/* Inside the transaction, where what exists stays. */
static kcc_status keep_source(kcc__conn *conn, const kcc_put *put, kcc__packed *packed,
                              kcc_error *err) {
  if (!put->source_text.data) return KCC_OK;
  bool exists;
  kcc_status status = kcc__source_exists(conn, &put->source, &exists, err);
  if (status != KCC_OK || exists) return status;
  /* It was there a moment ago, and its last entry has gone since. */
  if (!packed->bytes) status = kcc__source_pack(put->source_text, &put->source, packed, err);
  if (status != KCC_OK) return status;
  return kcc__source_write(conn, &put->source, put->source_length, packed, err);
}

/* What stays free on the disk beyond an entry: SQLite's log and what it copies from there into the
 * database. Where a disk fills to the last byte, the log can neither grow nor be taken up, and not
 * even removing entries works then. */
#define FREE_BYTES_MIN ((uint64_t)16 << 20)

/* Twice: an entry is in the log first and in the database afterwards. */
static kcc_status check_room(const kcc_store *store, uint64_t bytes, kcc_error *err) {
  struct statvfs disk;
  /* Some file systems do not tell; the write will. */
  if (statvfs(store->file, &disk) != 0 || !disk.f_blocks) return KCC_OK;
  uint64_t needed = 2 * bytes + FREE_BYTES_MIN;
  uint64_t available;
  if (__builtin_mul_overflow((uint64_t)disk.f_bavail, (uint64_t)disk.f_frsize, &available) ||
      available >= needed)
    return KCC_OK;
  return kcc__fail(err, KCC_EFULL, ENOSPC, "store '%s': disk full: %llu bytes free, %llu needed",
                   store->label, (unsigned long long)available, (unsigned long long)needed);
}

static kcc_status write_all(kcc_store *store, const kcc_put *put, const kcc_entry_info *info,
                            const uint8_t *envelope, kcc__packed *packed, kcc_error *err) {
  kcc_span bytes = {envelope, kcc_envelope_bytes(put->blob.length)};
  kcc_status status = check_room(store, bytes.length + packed->length, err);
  if (status != KCC_OK) return status;
  status = kcc__store_begin_write(store, err);
  if (status != KCC_OK) return status;
  status = kcc__row_write(&store->writer, info, bytes, err);
  if (status == KCC_OK) status = keep_source(&store->writer, put, packed, err);
  return kcc__store_end_write(store, status, err);
}

static kcc_status put_entry(kcc_store *store, const kcc_put *put, kcc_error *err) {
  kcc_entry_info info;
  uint8_t *envelope = NULL;
  kcc__packed packed = {NULL, 0};
  kcc_status status = check_put(store, put, err);
  if (status == KCC_OK) status = make_info(put, &info, err);
  if (status == KCC_OK) status = prepare_source(store, put, &packed, err);
  if (status == KCC_OK) status = make_envelope(put, &envelope, err);
  if (status == KCC_OK) status = write_all(store, put, &info, envelope, &packed, err);
  free(envelope);
  kcc__packed_release(&packed);
  return status;
}

kcc_status kcc_store_put(kcc_store *store, const kcc_put *put, kcc_error *err) {
  kcc_status status = kcc__store_check(store, err);
  if (status != KCC_OK) return status;
  if (!put) return kcc__store_done(store, kcc__fail(err, KCC_EINVAL, 0, "no entry"));
  /* Said before the work of packing. */
  if (store->read_only)
    status = kcc__fail(err, KCC_EREADONLY, 0, "store '%s': opened read-only", store->label);
  else
    status = put_entry(store, put, err);
  if (status == KCC_OK) kcc__count(&store->counters.puts);
  return kcc__store_done(store, status);
}

static kcc_status remove_entry(kcc__conn *conn, const kcc_digest *key, bool *ret_found,
                               kcc_error *err) {
  sqlite3_stmt *statement;
  int64_t id = kcc__id_of(key);
  kcc_status status = kcc__conn_statement(conn, KCC__SQL_FIND_KEY, &statement, err);
  if (status != KCC_OK) return status;
  int rc = sqlite3_bind_int64(statement, 1, id);
  if (rc == SQLITE_OK)
    rc = sqlite3_bind_blob(statement, 2, key->bytes, KCC_DIGEST_BYTES, SQLITE_STATIC);
  if (rc != SQLITE_OK) return kcc__conn_fail(conn, rc, err);
  status = kcc__conn_exists(conn, statement, ret_found, err);
  if (status != KCC_OK || !*ret_found) return status;
  return kcc__row_delete(conn, id, err);
}

kcc_status kcc_store_remove(kcc_store *store, const kcc_digest *key, kcc_error *err) {
  kcc_status status = kcc__store_check(store, err);
  if (status != KCC_OK) return status;
  if (!key) return kcc__store_done(store, kcc__fail(err, KCC_EINVAL, 0, "no key"));
  bool found = false;
  status = kcc__store_begin_write(store, err);
  if (status == KCC_OK) {
    status = remove_entry(&store->writer, key, &found, err);
    status = kcc__store_end_write(store, status, err);
  }
  if (status == KCC_OK && !found) return KCC_MISS;
  if (status == KCC_OK) kcc__count(&store->counters.removes);
  return kcc__store_done(store, status);
}
