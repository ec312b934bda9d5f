/* SPDX-License-Identifier: MIT
 *
 * cache_header.h: the header that V8 puts before its cached data, read without V8. Private to the
 * toolkit.
 *
 *   u32 magic, version hash, source hash, flag hash,
 *   [V8 12 on: read-only snapshot's checksum,] payload length, checksum; padded to a pointer
 */
#ifndef KILN_TOOLKIT_CACHE_HEADER_H
#define KILN_TOOLKIT_CACHE_HEADER_H

#include "toolkit/kiln.h"

typedef struct kiln__cache_header {
  unsigned bytes; /* of the header itself */
  uint32_t magic;
  uint32_t version_hash;
  uint32_t source_hash;
  uint32_t flag_hash;
  bool has_read_only;
  uint32_t read_only;
  uint32_t payload_length;
  uint32_t checksum;
} kiln__cache_header;

/* The layout that this V8 ("12.4.254") writes. False: there are too few bytes for one. */
bool kiln__cache_header_read(kiln_span blob, const char *v8_version, kiln__cache_header *ret);

/* Whether the first bytes are those of any V8's cached data. */
bool kiln__cache_header_is_magic(uint32_t magic);

/* The source hash: the source's length in UTF-16 units, and bits for what it was compiled as. */
uint32_t kiln__cache_header_source_hash(kiln_span source, kiln_kind kind, const char *v8_version);
uint32_t kiln__cache_header_kind_bits(kiln_kind kind, const char *v8_version);
/* All that such bits can be. */
uint32_t kiln__cache_header_kind_mask(const char *v8_version);

/* V8's checksum of a payload, up to 11.2: Adler-32 that begins with 0. */
uint32_t kiln__cache_header_checksum(kiln_span payload);

#endif
