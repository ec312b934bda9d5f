/* SPDX-License-Identifier: MIT
 *
 * key.c: SHA-256 digests, keys and fingerprint ids. It decides what an entry's identity is made of,
 * and nothing about how entries are stored.
 *
 * Encoding. Every text is its length (u64) and its bytes, every number has a fixed width, all
 * little-endian, and each of the two encodings begins with a tag that names it and its version. So
 * no two different inputs have the same bytes, and a changed format cannot meet an old key.
 */
#include "cache/key.h"

#include <openssl/evp.h>

#include "cache/status.h"

#define KEY_TAG "kiln-key-1"
#define FINGERPRINT_TAG "kiln-fingerprint-1"

/* A digest being computed; `failed` is sticky, so that callers ask once, at the end. */
typedef struct hasher {
  EVP_MD_CTX *context;
  bool failed;
} hasher;

static void hasher_init(hasher *h) {
  h->context = EVP_MD_CTX_new();
  h->failed = !h->context || EVP_DigestInit_ex(h->context, EVP_sha256(), /* impl= */ NULL) != 1;
}

static void add_bytes(hasher *h, const void *data, size_t length) {
  if (h->failed || length == 0) return;
  h->failed = EVP_DigestUpdate(h->context, data, length) != 1;
}

static void add_u32(hasher *h, uint32_t value) {
  uint8_t bytes[4];
  kcc__store_u32(bytes, value);
  add_bytes(h, bytes, sizeof(bytes));
}

static void add_u64(hasher *h, uint64_t value) {
  uint8_t bytes[8];
  kcc__store_u64(bytes, value);
  add_bytes(h, bytes, sizeof(bytes));
}

static void add_span(hasher *h, kcc_span span) {
  add_u64(h, span.length);
  add_bytes(h, span.data, span.length);
}

static kcc_span text_span(const char *text) {
  kcc_span span = {text ? text : "", text ? strlen(text) : 0};
  return span;
}

static kcc_status hasher_finish(hasher *h, kcc_digest *ret_digest, kcc_error *err) {
  kcc_digest digest;
  if (!h->failed) h->failed = EVP_DigestFinal_ex(h->context, digest.bytes, NULL) != 1;
  EVP_MD_CTX_free(h->context);
  h->context = NULL;
  /* SHA-256 of bytes in memory can fail for one reason only. */
  if (h->failed) return kcc__fail(err, KCC_ENOMEM, 0, "digest: out of memory");
  *ret_digest = digest;
  return KCC_OK;
}

static bool span_is_valid(kcc_span span) {
  return span.data || span.length == 0;
}

kcc_status kcc_digest_of(kcc_span data, kcc_digest *ret_digest, kcc_error *err) {
  if (!span_is_valid(data) || !ret_digest)
    return kcc__fail(err, KCC_EINVAL, 0, "digest: no data or no room for the result");
  hasher h;
  hasher_init(&h);
  add_bytes(&h, data.data, data.length);
  return hasher_finish(&h, ret_digest, err);
}

void kcc_digest_format(const kcc_digest *digest, char ret_hex[KCC_HEX_BYTES]) {
  static const char digits[] = "0123456789abcdef";
  for (size_t i = 0; i < KCC_DIGEST_BYTES; i++) {
    ret_hex[2 * i] = digits[digest->bytes[i] >> 4];
    ret_hex[2 * i + 1] = digits[digest->bytes[i] & 15];
  }
  ret_hex[KCC_HEX_BYTES - 1] = '\0';
}

static int digit_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool kcc_digest_parse(const char *hex, size_t length, kcc_digest *ret_digest) {
  kcc_digest digest;
  if (!hex || length != 2 * KCC_DIGEST_BYTES) return false;
  for (size_t i = 0; i < KCC_DIGEST_BYTES; i++) {
    int high = digit_value(hex[2 * i]);
    int low = digit_value(hex[2 * i + 1]);
    if (high < 0 || low < 0) return false;
    digest.bytes[i] = (uint8_t)(high * 16 + low);
  }
  *ret_digest = digest;
  return true;
}

/* The one list of a fingerprint's parts, in the order of their encoding. */
#define FINGERPRINT_TEXTS 5
static void fingerprint_texts(const kcc_fingerprint *fingerprint,
                              kcc_span ret_texts[FINGERPRINT_TEXTS]) {
  ret_texts[0] = text_span(fingerprint->engine);
  ret_texts[1] = text_span(fingerprint->v8_version);
  ret_texts[2] = text_span(fingerprint->flags);
  ret_texts[3] = text_span(fingerprint->build_id);
  ret_texts[4] = text_span(fingerprint->arch);
}

static void add_fingerprint(hasher *h, const kcc_fingerprint *fingerprint) {
  kcc_span texts[FINGERPRINT_TEXTS];
  fingerprint_texts(fingerprint, texts);
  add_span(h, text_span(FINGERPRINT_TAG));
  add_u32(h, fingerprint->cached_data_tag);
  for (size_t i = 0; i < FINGERPRINT_TEXTS; i++) add_span(h, texts[i]);
}

size_t kcc__fingerprint_encode(const kcc_fingerprint *fingerprint, uint8_t *ret_bytes,
                               size_t room) {
  kcc_span texts[FINGERPRINT_TEXTS];
  fingerprint_texts(fingerprint, texts);
  size_t needed = 4;
  for (size_t i = 0; i < FINGERPRINT_TEXTS; i++) {
    if (texts[i].length > room) return 0;
    needed += 8 + texts[i].length;
  }
  if (needed > room) return 0;
  kcc__store_u32(ret_bytes, fingerprint->cached_data_tag);
  uint8_t *to = ret_bytes + 4;
  for (size_t i = 0; i < FINGERPRINT_TEXTS; i++) {
    kcc__store_u64(to, texts[i].length);
    memcpy(to + 8, texts[i].data, texts[i].length);
    to += 8 + texts[i].length;
  }
  return needed;
}

/* A text, with a NUL in place of eight bytes of length. */
static const char *decode_text(const uint8_t **from, const uint8_t *end, char **to) {
  if (end - *from < 8) return NULL;
  uint64_t length = kcc__load_u64(*from);
  *from += 8;
  if (length > (uint64_t)(end - *from) || memchr(*from, '\0', length)) return NULL;
  char *text = *to;
  memcpy(text, *from, length);
  text[length] = '\0';
  *from += length;
  *to += length + 1;
  return text;
}

bool kcc__fingerprint_decode(kcc_span bytes, char *texts, kcc_fingerprint *ret_fingerprint) {
  const uint8_t *from = bytes.data;
  const uint8_t *end = from + bytes.length;
  if (bytes.length < 4) return false;
  kcc_fingerprint fingerprint = {.cached_data_tag = kcc__load_u32(from)};
  const char **fields[FINGERPRINT_TEXTS] = {&fingerprint.engine, &fingerprint.v8_version,
                                            &fingerprint.flags, &fingerprint.build_id,
                                            &fingerprint.arch};
  from += 4;
  for (size_t i = 0; i < FINGERPRINT_TEXTS; i++) {
    *fields[i] = decode_text(&from, end, &texts);
    if (!*fields[i]) return false;
  }
  if (from != end) return false;
  *ret_fingerprint = fingerprint;
  return true;
}

kcc_status kcc_fingerprint_id(const kcc_fingerprint *fingerprint, kcc_digest *ret_id,
                              kcc_error *err) {
  if (!fingerprint || !ret_id)
    return kcc__fail(err, KCC_EINVAL, 0, "fingerprint: no fingerprint or no room for the result");
  hasher h;
  hasher_init(&h);
  add_fingerprint(&h, fingerprint);
  return hasher_finish(&h, ret_id, err);
}

static kcc_status check_parts(const kcc_key_parts *parts, kcc_error *err) {
  if ((unsigned)parts->kind > KCC_FUNCTION)
    return kcc__fail(err, KCC_EINVAL, 0, "key: kind %u is unknown", (unsigned)parts->kind);
  if ((unsigned)parts->mode > KCC_WORKLOAD)
    return kcc__fail(err, KCC_EINVAL, 0, "key: mode %u is unknown", (unsigned)parts->mode);
  if (!span_is_valid(parts->filename) || (parts->params_count && !parts->params))
    return kcc__fail(err, KCC_EINVAL, 0, "key: a length without data");
  for (size_t i = 0; i < parts->params_count; i++)
    if (!span_is_valid(parts->params[i]))
      return kcc__fail(err, KCC_EINVAL, 0, "key: parameter %zu is a length without data", i);
  return KCC_OK;
}

kcc_status kcc_key_of(const kcc_key_parts *parts, kcc_digest *ret_key, kcc_error *err) {
  if (!parts || !ret_key)
    return kcc__fail(err, KCC_EINVAL, 0, "key: no parts or no room for the result");
  kcc_status status = check_parts(parts, err);
  if (status != KCC_OK) return status;
  hasher h;
  hasher_init(&h);
  add_span(&h, text_span(KEY_TAG));
  add_fingerprint(&h, &parts->fingerprint);
  add_u32(&h, (uint32_t)parts->kind);
  add_u32(&h, (uint32_t)parts->mode);
  add_bytes(&h, parts->source.bytes, KCC_DIGEST_BYTES);
  add_u64(&h, parts->source_length);
  add_span(&h, parts->filename);
  add_u32(&h, (uint32_t)parts->line_offset);
  add_u32(&h, (uint32_t)parts->column_offset);
  add_u64(&h, parts->params_count);
  for (size_t i = 0; i < parts->params_count; i++) add_span(&h, parts->params[i]);
  add_u64(&h, parts->context_extensions_count);
  add_bytes(&h, parts->workload.bytes, KCC_DIGEST_BYTES);
  add_u32(&h, parts->origin_options);
  return hasher_finish(&h, ret_key, err);
}
