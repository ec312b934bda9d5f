/* SPDX-License-Identifier: MIT
 *
 * envelope.h: sizes of the envelope and the hash the store's own rows use too.
 */
#ifndef KILN_CACHE_ENVELOPE_H
#define KILN_CACHE_ENVELOPE_H

#include <stddef.h>
#include <stdint.h>

#define KCC__ENVELOPE_HEADER_BYTES 112
#define KCC__ENVELOPE_AT_FINGERPRINT 80
#define KCC__HASH_BYTES 16

/* XXH3-128 of `data`, as canonical bytes. */
void kcc__hash(const void *data, size_t length, uint64_t seed, uint8_t ret_hash[KCC__HASH_BYTES]);

#endif
