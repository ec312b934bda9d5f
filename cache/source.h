/* SPDX-License-Identifier: MIT
 *
 * source.h: source and workload texts, one row per digest.
 */
#ifndef KILN_CACHE_SOURCE_H
#define KILN_CACHE_SOURCE_H

#include "cache/db.h"

/* A source text ready to be stored: a zstd frame in an envelope whose key is the digest. */
typedef struct kcc__packed {
  uint8_t *bytes; /* owned; NULL: not packed */
  size_t length;
  bool lent; /* not owned after all */
} kcc__packed;

/* Compresses `text` after making sure that it is of `digest`. */
kcc_status kcc__source_pack(kcc_span text, const kcc_digest *digest, kcc__packed *ret_packed,
                            kcc_error *err);
void kcc__packed_release(kcc__packed *packed);

kcc_status kcc__source_exists(kcc__conn *conn, const kcc_digest *digest, bool *ret_exists,
                              kcc_error *err);
kcc_status kcc__source_write(kcc__conn *conn, const kcc_digest *digest, uint64_t length,
                             const kcc__packed *packed, kcc_error *err);

/* Inside a transaction: so that `wanted` more bytes of texts are no more than `max` in all, drops
 * the least recently used, and a sixteenth of `max` besides so that this is not done at each put.
 */
kcc_status kcc__sources_make_room(kcc__conn *conn, uint64_t wanted, uint64_t max, kcc_error *err);
/* Inside a transaction: measures all texts anew. */
kcc_status kcc__sources_measure(kcc__conn *conn, kcc_error *err);

/* What stands under an id, unpacked and checked. */
typedef struct kcc__source_row {
  bool found;
  const char *damage; /* NULL: none */
  kcc_digest digest;
  uint8_t *text; /* owned */
  size_t length;
} kcc__source_row;
kcc_status kcc__source_load(kcc__conn *conn, int64_t id, kcc__source_row *ret_row, kcc_error *err);
void kcc__source_release(kcc__source_row *row);

#endif
