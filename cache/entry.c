/* SPDX-License-Identifier: MIT
 *
 * entry.c: reading an entry, the path that has to be fast: one look-up by integer, one allocation,
 * one copy, one pass of the hash; no lock that is held while anybody waits, and no write.
 */
#include <stdlib.h>
#include <string.h>

#include "cache/envelope.h"
#include "cache/key.h"
#include "cache/quarantine.h"
#include "cache/reader.h"
#include "cache/row.h"

void kcc_entry_free(kcc_entry *entry) {
  if (!entry) return;
  free(entry->owned);
  memset(entry, 0, sizeof(*entry));
}

/* The fingerprint's id, from the reader's memory where it is the same as last time: comparing costs
 * a fifth of computing. */
static kcc_status fingerprint_id(kcc__reader *reader, const kcc_fingerprint *fingerprint,
                                 kcc_digest *ret_id, kcc_error *err) {
  uint8_t encoded[KCC__MEMO_BYTES];
  size_t length = kcc__fingerprint_encode(fingerprint, encoded, sizeof(encoded));
  if (length && length == reader->memo_length && memcmp(encoded, reader->memo, length) == 0) {
    *ret_id = reader->memo_id;
    return KCC_OK;
  }
  kcc_status status = kcc_fingerprint_id(fingerprint, ret_id, err);
  if (status != KCC_OK || !length) return status;
  memcpy(reader->memo, encoded, length);
  reader->memo_length = length;
  reader->memo_id = *ret_id;
  return KCC_OK;
}

/* Whether a whole row is the one asked for. Another key under the same id is a collision of 64
 * bits, another fingerprint a key that was not made by kcc_key_of(): neither is damage. */
static kcc_status matches(kcc__reader *reader, const kcc__row *row, const kcc_digest *key,
                          const kcc_fingerprint *fingerprint, kcc_error *err) {
  if (!row->has_entry || !kcc__same(&row->info.key, key)) return KCC_MISS;
  if (!fingerprint) return KCC_OK;
  kcc_digest id;
  kcc_status status = fingerprint_id(reader, fingerprint, &id, err);
  if (status != KCC_OK) return status;
  const uint8_t *stored = row->envelope + KCC__ENVELOPE_AT_FINGERPRINT;
  return memcmp(stored, id.bytes, KCC_DIGEST_BYTES) == 0 ? KCC_OK : KCC_MISS;
}

static kcc_status get(kcc_store *store, const kcc_digest *key, const kcc_fingerprint *fingerprint,
                      kcc_entry *ret_entry, kcc_error *err) {
  kcc__reader *reader;
  kcc__row row;
  int64_t id = kcc__id_of(key);
  kcc_status status = kcc__reader_get(store, &reader, err);
  if (status == KCC_OK) status = kcc__row_load(&reader->conn, id, KCC__WHOLE, &row, err);
  if (status != KCC_OK) return status;
  if (row.damage) {
    kcc__quarantine_entry(store, id);
    status = KCC_MISS;
  } else {
    status = matches(reader, &row, key, fingerprint, err);
  }
  if (status != KCC_OK) {
    kcc__row_release(&row);
    return status;
  }
  kcc__touch_note(store, &reader->touches, id);
  ret_entry->info = row.info;
  ret_entry->info.used_unix_ms = kcc__unix_ms();
  ret_entry->blob.data = row.envelope + KCC__ENVELOPE_HEADER_BYTES;
  ret_entry->blob.length = row.envelope_length - KCC__ENVELOPE_HEADER_BYTES;
  ret_entry->owned = row.envelope;
  return KCC_OK;
}

kcc_status kcc_store_get(kcc_store *store, const kcc_digest *key,
                         const kcc_fingerprint *fingerprint, kcc_entry *ret_entry, kcc_error *err) {
  kcc_status status = kcc__store_check(store, err);
  if (status != KCC_OK) return status;
  if (!key || !ret_entry)
    return kcc__store_done(store, kcc__fail(err, KCC_EINVAL, 0, "no key or no result"));
  status = get(store, key, fingerprint, ret_entry, err);
  if (status == KCC_OK) kcc__count(&store->counters.hits);
  if (status == KCC_MISS) kcc__count(&store->counters.misses);
  if (status == KCC_ECORRUPT) kcc__count(&store->counters.corrupt);
  return kcc__store_done(store, status);
}
