/* SPDX-License-Identifier: MIT
 *
 * cli_manifest_blob.c: whether a blob begins as V8 begins its cached data. Of what V8 compares when
 * it consumes it, only the source's length and kind can be known here; the rest is at least the
 * same in all blobs of an engine.
 *
 *   u32 magic, version hash, source hash, flag hash,
 *   [from V8 12 on: read-only snapshot's checksum,] payload length, checksum; padded to 8
 */
#include <stdio.h>
#include <string.h>

#include "toolkit/cli_manifest_verify.h"

#define HEAD_BYTES 24U
#define HEAD_BYTES_FROM_12 32U
#define MAGIC_MASK 0xffff0000U
#define MAGIC 0xc0de0000U
/* The source hash: the source's length in UTF-16 units, and above it what it was compiled as. */
#define LENGTH_MASK 0x7fffffffU
#define MODULE_BIT 0x80000000U
#define LENGTH_MASK_FROM_13 0x1fffffffU
#define FUNCTION_BIT_FROM_13 0x20000000U
#define MODULE_BIT_FROM_13 0x40000000U

static uint32_t word(kcc_span blob, size_t index) {
  uint32_t value;
  memcpy(&value, (const uint8_t *)blob.data + 4 * index, sizeof(value));
  return value;
}

static uint32_t kind_bits(kiln__cli_kind kind, unsigned major) {
  if (kind == KILN__CLI_MODULE) return major >= 13 ? MODULE_BIT_FROM_13 : MODULE_BIT;
  bool function = kind == KILN__CLI_COMMONJS || kind == KILN__CLI_FUNCTION;
  return function && major >= 13 ? FUNCTION_BIT_FROM_13 : 0;
}

const char *kiln__blob_problem(kcc_span blob, const char *v8_version, const kiln__claim *claim,
                               kiln__blob_head *head) {
  unsigned major = 0;
  if (sscanf(v8_version, "%u.", &major) != 1) return "V8's version is not known";
  size_t size = major >= 12 ? HEAD_BYTES_FROM_12 : HEAD_BYTES;
  if (blob.length < size) return "shorter than V8's header";
  kiln__blob_head own = {true, word(blob, 0), word(blob, 1), word(blob, 3)};
  uint32_t source = word(blob, 2), length = word(blob, major >= 12 ? 5 : 4);
  if ((own.magic & MAGIC_MASK) != MAGIC) return "does not begin with V8's magic number";
  if (length > blob.length - size || blob.length - size - length >= 8) {
    return "is not as long as V8's header says";
  }
  uint32_t mask = major >= 13 ? LENGTH_MASK_FROM_13 : LENGTH_MASK;
  if ((source & ~mask) != kind_bits(claim->kind, major)) {
    return "was made for another kind, by V8's header";
  }
  source &= mask;
  if (claim->utf16_length >= 0 ? source != (uint64_t)claim->utf16_length
                               : source > claim->compiled_bytes) {
    return "was made for a source of another length, by V8's header";
  }
  if (!head->known) {
    *head = own;
  } else if (own.magic != head->magic || own.version_hash != head->version_hash ||
             own.flag_hash != head->flag_hash) {
    return "was made by another V8 than those before, by V8's header";
  }
  return NULL;
}
