/* SPDX-License-Identifier: MIT
 *
 * row.h: an entry as it stands in the database, read and checked, or written.
 */
#ifndef KILN_CACHE_ROW_H
#define KILN_CACHE_ROW_H

#include "cache/db.h"

/* What a look-up found. Neither has_entry nor has_blob: nothing. */
typedef struct kcc__row {
  bool has_entry;
  bool has_blob;
  const char *damage;  /* NULL: everything that was read is whole and fits together */
  kcc_entry_info info; /* used_unix_ms only with KCC__INFO; of a damaged row, what was readable */
  uint8_t *envelope;   /* with KCC__WHOLE; owned */
  size_t envelope_length;
  kcc_digest workload;
  uint8_t *parts; /* with KCC__PARTS; owned; NULL for entries of schema 1 (parts.h) */
  size_t parts_length;
} kcc__row;

typedef enum kcc__part { KCC__INFO, KCC__PARTS, KCC__WHOLE } kcc__part;

/* Reads what stands under `id`. Damage is no failure; a failure leaves nothing to release. */
kcc_status kcc__row_load(kcc__conn *conn, int64_t id, kcc__part part, kcc__row *ret_row,
                         kcc_error *err);
void kcc__row_release(kcc__row *row);

/* What an entry's row says but for the blob, which is apart, and the time of use. */
typedef struct kcc__metadata {
  kcc_entry_info *info;
  bool is_old; /* of schema 1, which has nothing of the rest */
  kcc_digest workload;
  bool has_name;
  int64_t name;   /* kcc__name_of() */
  kcc_span parts; /* kcc__parts_encode() */
} kcc__metadata;

/* Writes `metadata` and `envelope` in place of what stands under the key's id. */
kcc_status kcc__row_write(kcc__conn *conn, const kcc__metadata *metadata, kcc_span envelope,
                          kcc_error *err);

kcc_status kcc__row_exists(kcc__conn *conn, const kcc_digest *key, bool *ret_exists,
                           kcc_error *err);

/* Deletes what stands under `id`, and its texts if no other entry names them. */
kcc_status kcc__row_delete(kcc__conn *conn, int64_t id, kcc_error *err);

#endif
