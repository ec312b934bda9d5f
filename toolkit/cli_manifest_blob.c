/* SPDX-License-Identifier: MIT
 *
 * cli_manifest_blob.c: whether a blob begins as V8 begins its cached data. Of what V8 compares when
 * it consumes it, only the source's length and kind can be known here; the rest is at least the
 * same in all blobs of an engine.
 */
#include "toolkit/cache_header.h"
#include "toolkit/cli_manifest_verify.h"

static kiln_kind compiled_as(kiln__cli_kind kind) {
  if (kind == KILN__CLI_MODULE) return KILN_MODULE;
  return kind == KILN__CLI_COMMONJS || kind == KILN__CLI_FUNCTION ? KILN_FUNCTION : KILN_SCRIPT;
}

const char *kiln__blob_problem(kcc_span blob, const char *v8_version, const kiln__claim *claim,
                               kiln__blob_head *head) {
  kiln__cache_header own;
  kiln_span bytes = {blob.data, blob.length};
  if (!kiln__cache_header_read(bytes, v8_version, &own)) return "shorter than V8's header";
  if (!kiln__cache_header_is_magic(own.magic)) return "does not begin with V8's magic number";
  size_t rest = blob.length - own.bytes;
  if (own.payload_length > rest || rest - own.payload_length >= sizeof(void *)) {
    return "is not as long as V8's header says";
  }
  uint32_t kinds = kiln__cache_header_kind_mask(v8_version);
  if ((own.source_hash & kinds) !=
      kiln__cache_header_kind_bits(compiled_as(claim->kind), v8_version)) {
    return "was made for another kind, by V8's header";
  }
  uint32_t length = own.source_hash & ~kinds;
  if (claim->utf16_length >= 0 ? length != (uint64_t)claim->utf16_length
                               : length > claim->compiled_bytes) {
    return "was made for a source of another length, by V8's header";
  }
  if (!head->known) {
    *head = (kiln__blob_head){true, own.magic, own.version_hash, own.flag_hash};
  } else if (own.magic != head->magic || own.version_hash != head->version_hash ||
             own.flag_hash != head->flag_hash) {
    return "was made by another V8 than those before, by V8's header";
  }
  return NULL;
}
