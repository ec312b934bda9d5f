/* SPDX-License-Identifier: MIT
 *
 * key.c: what the store reads: digests in hex, envelopes, the parts of a key; and V8's own header
 * before cached data. The first byte says which.
 */
#include <stdlib.h>
#include <string.h>

#include "cache/kcc.h"
#include "cache/parts.h"
#include "tests/fuzz/fuzz.h"
#include "toolkit/cache_header.h"

static void read_digest(const uint8_t *data, size_t size) {
  kcc_digest digest;
  char hex[KCC_HEX_BYTES];
  if (!kcc_digest_parse((const char *)data, size, &digest)) return;
  kcc_digest_format(&digest, hex);
  if (size != KCC_HEX_BYTES - 1) abort();
}

/* Whatever is accepted as an envelope must be one, byte for byte. */
static void read_envelope(const uint8_t *data, size_t size) {
  kcc_digest key = {{0}};
  const char *reason;
  kcc_span payload;
  if (!kcc_envelope_verify((kcc_span){data, size}, &key, NULL, &payload, &reason)) return;
  if (kcc_envelope_bytes(payload.length) != size) abort();
}

static void read_parts(const uint8_t *data, size_t size) {
  kcc_entry_info info;
  kcc_span filename;
  memset(&info, 0, sizeof(info));
  kcc__parts_read_info((kcc_span){data, size}, &info);
  if (kcc__parts_filename((kcc_span){data, size}, &filename) && filename.length > size) abort();
}

static void read_header(const uint8_t *data, size_t size) {
  static const char *const versions[] = {
      "10.2.154.26", "11.3.244.8", "12.4.254.21", "13.6.233.17", "14.6.1", "", "x"};
  kiln_span blob = {(const char *)data, size};
  for (size_t i = 0; i < sizeof(versions) / sizeof(versions[0]); i++) {
    kiln__cache_header header;
    if (kiln__cache_header_read(blob, versions[i], &header) && header.bytes > size) abort();
    kiln__cache_header_source_hash(blob, KILN_MODULE, versions[i]);
  }
  kiln__cache_header_checksum(blob);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static void (*const readers[])(const uint8_t *, size_t) = {read_digest, read_envelope, read_parts,
                                                             read_header};
  if (size < 1) return 0;
  readers[data[0] % 4](data + 1, size - 1);
  return 0;
}
