/* SPDX-License-Identifier: MIT
 *
 * envelope.c: what is stored for a blob: a header of 112 bytes, then the payload. It proves that
 * bytes are those that were put, under this key and for this engine; it is no defence against
 * somebody who can compute the hash himself.
 *
 *   offset  bytes  field
 *        0      8  magic, 89 'K' 'C' 'C' 0d 0a 1a 0a: a text-mode copy breaks it at once
 *        8      4  format version, 1
 *       12      4  header length, 112
 *       16     16  XXH3-128, canonical (big-endian) form
 *       32      8  payload length
 *       40      8  reserved, 0
 *       48     32  key
 *       80     32  fingerprint id
 *      112      -  payload
 *
 * All numbers are little-endian. The hash covers every other byte: those from 32 on as its data,
 * those before it (0 to 15) as its seed, the two halves of it xor-ed. So it is one pass over one
 * piece of memory. The header is a multiple of 16 bytes long, which keeps the payload aligned: V8
 * copies what is not.
 */
#include "cache/envelope.h"

#include <string.h>
#include <xxhash.h>

#include "cache/bytes.h"
#include "cache/kcc.h"

enum {
  AT_MAGIC = 0,
  AT_VERSION = 8,
  AT_HEADER_LENGTH = 12,
  AT_HASH = 16,
  AT_PAYLOAD_LENGTH = AT_HASH + KCC__HASH_BYTES,
  AT_RESERVED = AT_PAYLOAD_LENGTH + 8,
  AT_KEY = AT_RESERVED + 8,
  AT_FINGERPRINT = AT_KEY + KCC_DIGEST_BYTES,
  AT_PAYLOAD = AT_FINGERPRINT + KCC_DIGEST_BYTES,
};
_Static_assert(AT_PAYLOAD_LENGTH == 32 && AT_KEY == 48 &&
                   AT_FINGERPRINT == KCC__ENVELOPE_AT_FINGERPRINT,
               "the layout documented above");
_Static_assert(AT_PAYLOAD == KCC__ENVELOPE_HEADER_BYTES, "the layout documented above");
_Static_assert(AT_PAYLOAD % 16 == 0, "the payload is aligned");
_Static_assert(sizeof(XXH128_canonical_t) == KCC__HASH_BYTES, "a hash has 16 bytes");

#define FORMAT_VERSION 1
static const uint8_t magic[8] = {0x89, 'K', 'C', 'C', 0x0d, 0x0a, 0x1a, 0x0a};

void kcc__hash(const void *data, size_t length, uint64_t seed, uint8_t ret_hash[KCC__HASH_BYTES]) {
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, XXH3_128bits_withSeed(data, length, seed));
  memcpy(ret_hash, canonical.digest, KCC__HASH_BYTES);
}

static void hash_envelope(const uint8_t *bytes, size_t length, uint8_t ret_hash[KCC__HASH_BYTES]) {
  uint64_t seed = kcc__load_u64(bytes) ^ kcc__load_u64(bytes + 8);
  kcc__hash(bytes + AT_PAYLOAD_LENGTH, length - AT_PAYLOAD_LENGTH, seed, ret_hash);
}

size_t kcc_envelope_bytes(size_t payload_length) {
  return payload_length > SIZE_MAX - AT_PAYLOAD ? 0 : AT_PAYLOAD + payload_length;
}

void kcc_envelope_encode(const kcc_digest *key, const kcc_digest *fingerprint_id, kcc_span payload,
                         uint8_t *ret_bytes) {
  memcpy(ret_bytes + AT_MAGIC, magic, sizeof(magic));
  kcc__store_u32(ret_bytes + AT_VERSION, FORMAT_VERSION);
  kcc__store_u32(ret_bytes + AT_HEADER_LENGTH, AT_PAYLOAD);
  kcc__store_u64(ret_bytes + AT_PAYLOAD_LENGTH, payload.length);
  kcc__store_u64(ret_bytes + AT_RESERVED, 0);
  memcpy(ret_bytes + AT_KEY, key->bytes, KCC_DIGEST_BYTES);
  memcpy(ret_bytes + AT_FINGERPRINT, fingerprint_id->bytes, KCC_DIGEST_BYTES);
  if (payload.length) memcpy(ret_bytes + AT_PAYLOAD, payload.data, payload.length);
  hash_envelope(ret_bytes, AT_PAYLOAD + payload.length, ret_bytes + AT_HASH);
}

/* Why `bytes` are not the envelope that was asked for; NULL: they are. The hash comes before key
 * and fingerprint, so that "another key" is said only of bytes that are whole. */
static const char *find_fault(kcc_span bytes, const kcc_digest *key,
                              const kcc_digest *fingerprint_id) {
  const uint8_t *at = bytes.data;
  uint8_t hash[KCC__HASH_BYTES];
  if (!at || bytes.length < AT_PAYLOAD) return "shorter than its header";
  if (memcmp(at + AT_MAGIC, magic, sizeof(magic)) != 0) return "no magic";
  if (kcc__load_u32(at + AT_VERSION) != FORMAT_VERSION) return "unknown format version";
  if (kcc__load_u32(at + AT_HEADER_LENGTH) != AT_PAYLOAD) return "wrong header length";
  if (kcc__load_u64(at + AT_PAYLOAD_LENGTH) != bytes.length - AT_PAYLOAD)
    return "wrong payload length";
  if (kcc__load_u64(at + AT_RESERVED) != 0) return "reserved bytes are not zero";
  hash_envelope(at, bytes.length, hash);
  if (memcmp(at + AT_HASH, hash, sizeof(hash)) != 0) return "wrong hash";
  if (memcmp(at + AT_KEY, key->bytes, KCC_DIGEST_BYTES) != 0) return "another key";
  if (fingerprint_id && memcmp(at + AT_FINGERPRINT, fingerprint_id->bytes, KCC_DIGEST_BYTES) != 0)
    return "another fingerprint";
  return NULL;
}

bool kcc_envelope_verify(kcc_span bytes, const kcc_digest *key, const kcc_digest *fingerprint_id,
                         kcc_span *ret_payload, const char **ret_reason) {
  const char *fault = find_fault(bytes, key, fingerprint_id);
  if (fault) {
    if (ret_reason) *ret_reason = fault;
    return false;
  }
  ret_payload->data = (const uint8_t *)bytes.data + AT_PAYLOAD;
  ret_payload->length = bytes.length - AT_PAYLOAD;
  return true;
}
