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
#include "cache/parts.h"
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

static kcc_status check_put(const kcc_store *store, const kcc_put *put, kcc_error *err) {
  const kcc_span spans[] = {put->blob, put->source_text, put->workload_text};
  for (size_t i = 0; i < sizeof(spans) / sizeof(spans[0]); i++)
    if (spans[i].length && !spans[i].data)
      return kcc__fail(err, KCC_EINVAL, 0, "entry: a length without data");
  if (put->parts.source_length > INT64_MAX)
    return kcc__fail(err, KCC_EINVAL, 0, "entry: source length %llu is no length",
                     (unsigned long long)put->parts.source_length);
  if (put->source_text.data && put->source_text.length != put->parts.source_length)
    return kcc__fail(err, KCC_EINVAL, 0, "entry: source text is %zu bytes, source length %llu",
                     put->source_text.length, (unsigned long long)put->parts.source_length);
  if (put->blob.length > store->entry_max_bytes)
    return kcc__fail(err, KCC_ETOOBIG, 0, "blob is %zu bytes, limit %llu", put->blob.length,
                     (unsigned long long)store->entry_max_bytes);
  size_t parts = kcc__parts_bytes(&put->parts);
  if (parts > KCC_PARTS_MAX_BYTES)
    return kcc__fail(err, KCC_ETOOBIG, 0, "file name and parameters are %zu bytes, limit %d", parts,
                     KCC_PARTS_MAX_BYTES);
  return KCC_OK;
}

/* All that is made of a put before the writer is asked for. */
typedef struct entry_to_put {
  kcc_entry_info info;
  kcc__metadata metadata;
  uint8_t *parts; /* owned, as the next */
  uint8_t *envelope;
  size_t envelope_length;
  kcc__packed source;
  kcc__packed workload;
} entry_to_put;

static void release(entry_to_put *entry) {
  free(entry->parts);
  free(entry->envelope);
  kcc__packed_release(&entry->source);
  kcc__packed_release(&entry->workload);
}

/* The key is computed before this: then the parts are valid. */
static kcc_status make_info(const kcc_put *put, kcc_entry_info *info, kcc_error *err) {
  const kcc_key_parts *parts = &put->parts;
  if (!copy_name(parts->fingerprint.engine, info->engine, sizeof(info->engine)))
    return kcc__fail(err, KCC_EINVAL, 0, "entry: engine name over %zu bytes",
                     sizeof(info->engine) - 1);
  if (!copy_name(parts->fingerprint.v8_version, info->v8_version, sizeof(info->v8_version)))
    return kcc__fail(err, KCC_EINVAL, 0, "entry: V8 version over %zu bytes",
                     sizeof(info->v8_version) - 1);
  if (!copy_name(parts->fingerprint.build_id, info->build_id, sizeof(info->build_id)))
    return kcc__fail(err, KCC_EINVAL, 0, "entry: build id over %zu bytes",
                     sizeof(info->build_id) - 1);
  copy_filename(parts->filename, info->filename, sizeof(info->filename));
  info->source = parts->source;
  info->source_length = parts->source_length;
  info->blob_length = put->blob.length;
  info->kind = parts->kind;
  info->mode = parts->mode;
  info->line_offset = parts->line_offset;
  info->column_offset = parts->column_offset;
  info->created_unix_ms = kcc__unix_ms();
  info->used_unix_ms = info->created_unix_ms;
  return kcc_fingerprint_id(&parts->fingerprint, &info->fingerprint_id, err);
}

static kcc_status make_metadata(const kcc_put *put, entry_to_put *entry, kcc_error *err) {
  kcc__metadata *metadata = &entry->metadata;
  size_t length = kcc__parts_bytes(&put->parts);
  kcc_status status = make_info(put, &entry->info, err);
  if (status != KCC_OK) return status;
  entry->parts = kcc__alloc(length);
  if (!entry->parts) return kcc__fail(err, KCC_ENOMEM, 0, "entry: out of memory");
  kcc__parts_encode(&put->parts, &entry->info.fingerprint_id, entry->parts);
  metadata->info = &entry->info;
  metadata->parts = (kcc_span){entry->parts, length};
  metadata->workload = put->parts.workload;
  metadata->has_name = put->parts.filename.length > 0;
  if (metadata->has_name) metadata->name = kcc__name_of(put->parts.filename);
  return KCC_OK;
}

static kcc_status make_envelope(const kcc_put *put, entry_to_put *entry, kcc_error *err) {
  const kcc_entry_info *info = &entry->info;
  size_t length = kcc_envelope_bytes(put->blob.length);
  entry->envelope = kcc__alloc(length);
  if (!entry->envelope)
    return kcc__fail(err, KCC_ENOMEM, 0, "entry: out of memory for %zu bytes", length);
  entry->envelope_length = length;
  kcc_envelope_encode(&info->key, &info->fingerprint_id, put->blob, entry->envelope);
  return KCC_OK;
}

static bool keeps(const kcc_store *store, kcc_span text) {
  return text.data && text.length <= store->source_max_bytes;
}

/* Packs a text unless it is there already. */
static kcc_status prepare_text(kcc_store *store, kcc_span text, const kcc_digest *digest,
                               kcc__packed *packed, kcc_error *err) {
  if (!keeps(store, text)) return KCC_OK;
  kcc__reader *reader;
  bool exists;
  kcc_status status = kcc__reader_get(store, &reader, err);
  if (status == KCC_OK) status = kcc__source_exists(&reader->conn, digest, &exists, err);
  if (status != KCC_OK) return status;
  if (!exists) return kcc__source_pack(text, digest, packed, err);
  kcc__touch_note(store, &reader->touches, kcc__id_of(digest));
  return KCC_OK;
}

struct kcc_text {
  kcc__packed packed;
  kcc_digest digest;
};

kcc_status kcc_store_pack(kcc_store *store, kcc_span text, const kcc_digest *digest,
                          kcc_text **ret_text, kcc_error *err) {
  kcc_status status = kcc__store_check(store, err);
  if (status != KCC_OK) return status;
  if (!digest || !ret_text || (text.length && !text.data))
    return kcc__store_done(store, kcc__fail(err, KCC_EINVAL, 0, "no text, digest or result"));
  kcc_text *made = kcc__alloc(sizeof(*made));
  if (!made) return kcc__store_done(store, kcc__fail(err, KCC_ENOMEM, 0, "text: out of memory"));
  memset(made, 0, sizeof(*made));
  made->digest = *digest;
  status = prepare_text(store, text, digest, &made->packed, err);
  if (status == KCC_OK && made->packed.bytes) {
    *ret_text = made;
    return KCC_OK;
  }
  kcc_text_free(made);
  return status == KCC_OK ? KCC_MISS : kcc__store_done(store, status);
}

void kcc_text_free(kcc_text *text) {
  if (text) kcc__packed_release(&text->packed);
  free(text);
}

/* Takes what was packed before, or packs. */
static kcc_status prepare_source(kcc_store *store, const kcc_put *put, kcc__packed *packed,
                                 kcc_error *err) {
  const kcc_text *before = put->source_packed;
  if (!before || !put->source_text.data)
    return prepare_text(store, put->source_text, &put->parts.source, packed, err);
  if (!kcc__same(&before->digest, &put->parts.source))
    return kcc__fail(err, KCC_EINVAL, 0, "source text: another was packed");
  *packed = before->packed;
  packed->lent = true;
  return KCC_OK;
}

/* Inside the transaction, where what exists stays. */
static kcc_status keep_text(kcc_store *store, kcc_span text, const kcc_digest *digest,
                            kcc__packed *packed, kcc_error *err) {
  if (!keeps(store, text)) return KCC_OK;
  bool exists;
  kcc__conn *conn = &store->writer;
  kcc_status status = kcc__source_exists(conn, digest, &exists, err);
  if (status != KCC_OK || exists) return status;
  /* It was there a moment ago, and its last entry has gone since. */
  if (!packed->bytes) status = kcc__source_pack(text, digest, packed, err);
  if (status != KCC_OK || packed->length > store->sources_max_bytes) return status;
  status = kcc__sources_make_room(conn, packed->length, store->sources_max_bytes, err);
  return status == KCC_OK ? kcc__source_write(conn, digest, text.length, packed, err) : status;
}

/* What stays free on the disk beyond an entry: SQLite's log and what it copies from there into the
 * database. Where a disk fills to the last byte, the log can neither grow nor be taken up, and not
 * even removing entries works then. */
#define FREE_BYTES_MIN ((uint64_t)16 << 20)

/* Twice: an entry is in the log first and in the database afterwards. */
kcc_status kcc__store_check_room(const kcc_store *store, uint64_t bytes, kcc_error *err) {
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

static kcc_status write_all(kcc_store *store, const kcc_put *put, entry_to_put *entry,
                            kcc_error *err) {
  kcc__conn *conn = &store->writer;
  kcc_span envelope = {entry->envelope, entry->envelope_length};
  kcc_status status = kcc__store_check_room(
      store, envelope.length + entry->source.length + entry->workload.length, err);
  if (status != KCC_OK) return status;
  status = kcc__store_begin_write(store, err);
  if (status != KCC_OK) return status;
  status = kcc__fingerprint_keep(conn, &entry->info.fingerprint_id, &put->parts.fingerprint, err);
  if (status == KCC_OK) status = kcc__row_write(conn, &entry->metadata, envelope, err);
  if (status == KCC_OK)
    status = keep_text(store, put->source_text, &put->parts.source, &entry->source, err);
  if (status == KCC_OK)
    status = keep_text(store, put->workload_text, &put->parts.workload, &entry->workload, err);
  return kcc__store_end_write(store, status, err);
}

static kcc_status put_entry(kcc_store *store, const kcc_put *put, kcc_digest *ret_key,
                            kcc_error *err) {
  entry_to_put entry;
  memset(&entry, 0, sizeof(entry));
  kcc_status status = kcc_key_of(&put->parts, &entry.info.key, err);
  if (status == KCC_OK) status = check_put(store, put, err);
  if (status == KCC_OK) status = make_metadata(put, &entry, err);
  if (status == KCC_OK) status = prepare_source(store, put, &entry.source, err);
  if (status == KCC_OK)
    status = prepare_text(store, put->workload_text, &put->parts.workload, &entry.workload, err);
  if (status == KCC_OK) status = make_envelope(put, &entry, err);
  if (status == KCC_OK) status = write_all(store, put, &entry, err);
  if (status == KCC_OK && ret_key) *ret_key = entry.info.key;
  release(&entry);
  return status;
}

kcc_status kcc_store_put(kcc_store *store, const kcc_put *put, kcc_digest *ret_key,
                         kcc_error *err) {
  kcc_status status = kcc__store_check(store, err);
  if (status != KCC_OK) return status;
  if (!put) return kcc__store_done(store, kcc__fail(err, KCC_EINVAL, 0, "no entry"));
  /* Said before the work of packing. */
  if (store->read_only)
    status = kcc__fail(err, KCC_EREADONLY, 0, "store '%s': opened read-only", store->label);
  else
    status = put_entry(store, put, ret_key, err);
  if (status == KCC_OK) kcc__count(&store->counters.puts);
  return kcc__store_done(store, status);
}

static kcc_status remove_entry(kcc__conn *conn, const kcc_digest *key, bool *ret_found,
                               kcc_error *err) {
  kcc_status status = kcc__row_exists(conn, key, ret_found, err);
  if (status != KCC_OK || !*ret_found) return status;
  return kcc__row_delete(conn, kcc__id_of(key), err);
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
