/* SPDX-License-Identifier: MIT
 *
 * parts.h: what a key was made of, as it is kept: one blob per entry for what has no column, and a
 * row per fingerprint.
 */
#ifndef KILN_CACHE_PARTS_H
#define KILN_CACHE_PARTS_H

#include "cache/db.h"

/* The most that is kept of a fingerprint; engines have a few hundred bytes. */
#define KCC__FINGERPRINT_MAX_BYTES 65536

/* Everything that has no column of its own: fingerprint's id, offsets, origin options, context
 * extensions, build id, file name and parameters. SIZE_MAX: more than there is memory. */
size_t kcc__parts_bytes(const kcc_key_parts *parts);
void kcc__parts_encode(const kcc_key_parts *parts, const kcc_digest *fingerprint_id,
                       uint8_t *ret_bytes);
/* What kcc_entry_info has of it; false where `bytes` is no such blob. */
bool kcc__parts_read_info(kcc_span bytes, kcc_entry_info *info);
/* The file name alone; the same. */
bool kcc__parts_filename(kcc_span bytes, kcc_span *ret_filename);

/* The number under which entries of a file name are found. */
int64_t kcc__name_of(kcc_span filename);

/* Inside a transaction: makes sure that the fingerprint is there, and whole. */
kcc_status kcc__fingerprint_keep(kcc__conn *conn, const kcc_digest *id,
                                 const kcc_fingerprint *fingerprint, kcc_error *err);

/* What stands under an id in the table of fingerprints. */
typedef struct kcc__fingerprint_row {
  bool found;
  const char *damage; /* NULL: none */
  kcc_digest digest;
  kcc_fingerprint fingerprint; /* lends from the next; only where there is no damage */
  char *texts;                 /* owned */
} kcc__fingerprint_row;
kcc_status kcc__fingerprint_load(kcc__conn *conn, int64_t id, kcc__fingerprint_row *ret_row,
                                 kcc_error *err);
void kcc__fingerprint_release(kcc__fingerprint_row *row);

/* All parts of the entry under `id`, and whether they are its key's. */
typedef struct kcc__parts_row {
  bool found;            /* an entry, its parts and its fingerprint */
  const char *damage;    /* of the entry; NULL: none */
  bool bad_fingerprint;  /* the row of its fingerprint is damaged */
  kcc_entry_info info;   /* as far as readable */
  kcc_entry_parts parts; /* where found, and nothing is damaged */
} kcc__parts_row;
kcc_status kcc__parts_load(kcc__conn *conn, int64_t id, kcc__parts_row *ret_row, kcc_error *err);

#endif
