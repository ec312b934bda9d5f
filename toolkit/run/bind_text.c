/* SPDX-License-Identifier: MIT
 *
 * bind_text.c: internalBinding("text"): UTF-8 for TextEncoder, TextDecoder and Buffer.
 */
#include <string.h>

#include "toolkit/run/bindings.h"

/* encode(text): its UTF-8 as a new Uint8Array; lone surrogates become U+FFFD. */
static void encode(void *user, kv8_call *call) {
  kv8_blob text = {NULL, 0};
  (void)user;
  if (!kiln__run_arg_text(call, 0, &text)) return;
  kiln__run_return_bytes(call, kiln__run_span(&text));
  kv8_blob_free(&text);
}

/* The length of the valid UTF-8 sequence at `at`; 0 if there is none. */
static size_t sequence(const uint8_t *at, size_t length) {
  static const struct {
    uint8_t first_low, first_high, second_low, second_high;
    size_t length;
  } kinds[] = {
      {0x00, 0x7F, 0, 0, 1},       {0xC2, 0xDF, 0x80, 0xBF, 2}, {0xE0, 0xE0, 0xA0, 0xBF, 3},
      {0xE1, 0xEC, 0x80, 0xBF, 3}, {0xED, 0xED, 0x80, 0x9F, 3}, {0xEE, 0xEF, 0x80, 0xBF, 3},
      {0xF0, 0xF0, 0x90, 0xBF, 4}, {0xF1, 0xF3, 0x80, 0xBF, 4}, {0xF4, 0xF4, 0x80, 0x8F, 4}};
  for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
    if (*at < kinds[i].first_low || *at > kinds[i].first_high) continue;
    if (kinds[i].length > length) return 0;
    if (kinds[i].length > 1 && (at[1] < kinds[i].second_low || at[1] > kinds[i].second_high)) {
      return 0;
    }
    for (size_t j = 2; j < kinds[i].length; j++) {
      if ((at[j] & 0xC0) != 0x80) return 0;
    }
    return kinds[i].length;
  }
  return 0;
}

static bool valid(kv8_span bytes) {
  const uint8_t *at = (const uint8_t *)bytes.data;
  for (size_t left = bytes.length; left > 0;) {
    size_t length = sequence(at, left);
    if (length == 0) return false;
    at += length;
    left -= length;
  }
  return true;
}

/* decode(bytes, start, end, fatal): the text; undefined if it is not UTF-8 and `fatal`. */
static void decode(void *user, kv8_call *call) {
  kv8_span bytes;
  uint32_t start, end;
  (void)user;
  if (!kiln__run_arg_bytes(call, 0, &bytes) || !kiln__run_arg_uint32(call, 1, &start) ||
      !kiln__run_arg_uint32(call, 2, &end)) {
    return;
  }
  if (end > bytes.length) end = (uint32_t)bytes.length;
  if (start > end) start = end;
  bytes = (kv8_span){bytes.length == 0 ? NULL : bytes.data + start, end - start};
  if (kiln__run_arg_bool(call, 3) && !valid(bytes)) return;
  kiln__run_return_text(call, bytes);
}

/* incomplete(bytes): how many of the last bytes begin a sequence that goes on. */
static void incomplete(void *user, kv8_call *call) {
  kv8_span bytes;
  (void)user;
  if (!kiln__run_arg_bytes(call, 0, &bytes)) return;
  const uint8_t *data = (const uint8_t *)bytes.data;
  size_t answer = 0;
  for (size_t back = 1; back <= 3 && back <= bytes.length; back++) {
    uint8_t byte = data[bytes.length - back];
    if ((byte & 0xC0) == 0x80) continue;
    size_t wanted = byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : byte >= 0xC0 ? 2 : 1;
    if (wanted > back) answer = back;
    break;
  }
  kiln__run_return_number(call, (double)answer);
}

kv8_status kiln__run_bind_text(kiln__run *run, kv8_value *object, kv8_error *err) {
  static const kiln__run_entry entries[] = {
      {"encode", 1, encode}, {"decode", 4, decode}, {"incomplete", 1, incomplete}, {NULL, 0, NULL}};
  return kiln__run_functions(run, object, entries, err);
}
