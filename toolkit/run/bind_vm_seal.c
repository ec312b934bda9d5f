/* SPDX-License-Identifier: MIT
 *
 * bind_vm_seal.c: what node:vm appends to cached data, so that it serves the code it was made of
 * and no other (D23): V8 compares no more than the length of the source. Data without a seal, as
 * Node and Kiln's other commands make it, goes to V8 as it is.
 *
 *   at the end of V8's data: 8 bytes magic, 32 bytes SHA-256 of the source, or of that and the
 *   parameters, with the kind in its first byte
 */
#include <stdlib.h>
#include <string.h>

#include "toolkit/run/bind_vm.h"

#define MAGIC "\x1fkilnvm\x01"
#define MAGIC_BYTES 8
#define SEAL_BYTES (MAGIC_BYTES + KCC_DIGEST_BYTES)

static bool digest_of(const void *data, size_t length, kcc_digest *ret_digest) {
  return kcc_digest_of((kcc_span){data, length}, ret_digest, /* err= */ NULL) == KCC_OK;
}

/* The digest of a digest and of parameters with their lengths. */
static bool digest_with_params(const kcc_digest *source, const kv8_span *params,
                               size_t params_count, kcc_digest *ret_digest) {
  size_t size = KCC_DIGEST_BYTES;
  for (size_t i = 0; i < params_count; i++) size += sizeof(uint64_t) + params[i].length;
  uint8_t *parts = malloc(size), *at = parts;
  if (parts == NULL) return false;
  memcpy(at, source->bytes, KCC_DIGEST_BYTES);
  at += KCC_DIGEST_BYTES;
  for (size_t i = 0; i < params_count; i++) {
    uint64_t length = params[i].length;
    memcpy(at, &length, sizeof(length));
    at += sizeof(length);
    if (length > 0) memcpy(at, params[i].data, length);
    at += length;
  }
  bool made = digest_of(parts, size, ret_digest);
  free(parts);
  return made;
}

bool kiln__run_vm_seal_of(kv8_call *call, kiln__run_vm_kind kind, kv8_span text,
                          const kv8_span *params, size_t params_count, kcc_digest *ret_seal) {
  kcc_digest source;
  if (!digest_of(text.data, text.length, &source) ||
      (params_count > 0 && !digest_with_params(&source, params, params_count, &source))) {
    kiln__run_throw(call, KV8_ERROR, "", "out of memory");
    return false;
  }
  source.bytes[0] ^= (uint8_t)kind;
  *ret_seal = source;
  return true;
}

kv8_span kiln__run_vm_unseal(kv8_span data, const kcc_digest *seal) {
  if (data.length < SEAL_BYTES) return data;
  const char *at = data.data + data.length - SEAL_BYTES;
  if (memcmp(at, MAGIC, MAGIC_BYTES) != 0) return data;
  if (memcmp(at + MAGIC_BYTES, seal->bytes, KCC_DIGEST_BYTES) != 0) return (kv8_span){"", 0};
  return (kv8_span){data.data, data.length - SEAL_BYTES};
}

void kiln__run_vm_return_sealed(kv8_call *call, const kv8_blob *data, const kcc_digest *seal) {
  char *sealed = malloc(data->length + SEAL_BYTES);
  if (sealed == NULL) {
    kiln__run_throw(call, KV8_ERROR, "", "out of memory");
    return;
  }
  memcpy(sealed, data->data, data->length);
  memcpy(sealed + data->length, MAGIC, MAGIC_BYTES);
  memcpy(sealed + data->length + MAGIC_BYTES, seal->bytes, KCC_DIGEST_BYTES);
  kiln__run_return_bytes(call, (kv8_span){sealed, data->length + SEAL_BYTES});
  free(sealed);
}

void kiln__run_vm_return_seal(kv8_call *call, const kcc_digest *seal) {
  char hex[KCC_HEX_BYTES];
  kcc_digest_format(seal, hex);
  kiln__run_return_text(call, kv8_span_from(hex));
}

bool kiln__run_vm_arg_seal(kv8_call *call, size_t index, kcc_digest *ret_seal) {
  kv8_blob hex = {NULL, 0};
  if (!kiln__run_arg_text(call, index, &hex)) return false;
  bool parsed = kcc_digest_parse((const char *)hex.data, hex.length, ret_seal);
  kv8_blob_free(&hex);
  if (!parsed) kiln__run_throw(call, KV8_TYPE_ERROR, "ERR_INVALID_ARG_TYPE", "no seal");
  return parsed;
}
