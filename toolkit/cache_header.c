/* SPDX-License-Identifier: MIT
 *
 * cache_header.c: see cache_header.h. Follows V8's code-serializer.h (SerializedCodeData) of 10.2
 * to 14.6, as blobs of official Nodes show it.
 */
#include "toolkit/cache_header.h"

#include <stdio.h>
#include <string.h>

#define MAGIC_MASK 0xffff0000U
#define MAGIC 0xc0de0000U
#define MODULE_BIT 0x80000000U
#define FUNCTION_BIT_FROM_13 0x20000000U
#define MODULE_BIT_FROM_13 0x40000000U
#define ADLER_BASE 65521U
/* So many bytes can be added before a sum could overflow. */
#define ADLER_RUN 5552U

static unsigned major_of(const char *v8_version) {
  unsigned major = 0;
  return sscanf(v8_version, "%u.", &major) == 1 ? major : 0;
}

static uint32_t word(kiln_span blob, size_t index) {
  uint32_t value;
  memcpy(&value, blob.data + 4 * index, sizeof(value));
  return value;
}

bool kiln__cache_header_read(kiln_span blob, const char *v8_version, kiln__cache_header *ret) {
  bool newer = major_of(v8_version) >= 12;
  unsigned bytes = newer ? 32 : 24;
  if (blob.length < bytes) return false;
  *ret = (kiln__cache_header){.bytes = bytes,
                              .magic = word(blob, 0),
                              .version_hash = word(blob, 1),
                              .source_hash = word(blob, 2),
                              .flag_hash = word(blob, 3),
                              .has_read_only = newer,
                              .read_only = newer ? word(blob, 4) : 0,
                              .payload_length = word(blob, newer ? 5 : 4),
                              .checksum = word(blob, newer ? 6 : 5)};
  return true;
}

bool kiln__cache_header_is_magic(uint32_t magic) {
  return (magic & MAGIC_MASK) == MAGIC;
}

/* UTF-16 units of a text in UTF-8: one for each character, two for those of four bytes. */
static uint32_t utf16_length(kiln_span text) {
  uint32_t units = 0;
  for (size_t i = 0; i < text.length; i++) {
    unsigned char byte = (unsigned char)text.data[i];
    units += (byte & 0xc0U) != 0x80U;
    units += byte >= 0xf0U;
  }
  return units;
}

uint32_t kiln__cache_header_kind_mask(const char *v8_version) {
  return major_of(v8_version) >= 13 ? FUNCTION_BIT_FROM_13 | MODULE_BIT_FROM_13 | MODULE_BIT
                                    : MODULE_BIT;
}

uint32_t kiln__cache_header_kind_bits(kiln_kind kind, const char *v8_version) {
  bool newer = major_of(v8_version) >= 13;
  if (kind == KILN_MODULE) return newer ? MODULE_BIT_FROM_13 : MODULE_BIT;
  return kind == KILN_FUNCTION && newer ? FUNCTION_BIT_FROM_13 : 0;
}

uint32_t kiln__cache_header_source_hash(kiln_span source, kiln_kind kind, const char *v8_version) {
  return utf16_length(source) | kiln__cache_header_kind_bits(kind, v8_version);
}

uint32_t kiln__cache_header_checksum(kiln_span payload) {
  uint32_t low = 0, high = 0;
  const unsigned char *at = (const unsigned char *)payload.data;
  for (size_t left = payload.length; left > 0;) {
    size_t run = left < ADLER_RUN ? left : ADLER_RUN;
    left -= run;
    while (run-- > 0) {
      low += *at++;
      high += low;
    }
    low %= ADLER_BASE;
    high %= ADLER_BASE;
  }
  return high << 16 | low;
}
