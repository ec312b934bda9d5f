/* SPDX-License-Identifier: MIT
 *
 * cli_manifest.h: the folder that `kiln precompile --out` writes and that `kiln verify-manifest`
 * checks.
 *
 *   OUT/manifest.json     all that is known of every blob, for people and tools
 *   OUT/ENGINE/index      what a loader needs: "kiln-index 1 SHA-256", newline, JSON of that digest
 *   OUT/ENGINE/pack-HEX   the blobs, each at a multiple of 8, zeros between; the index names it
 *
 * A new run writes a new pack, then the manifest, then renames the new index over the old one, at
 * last it removes the old pack. Who opens the pack right after the index, and reads the index again
 * if the pack is gone, sees the old or the new, never a mixture.
 */
#ifndef KILN_TOOLKIT_CLI_MANIFEST_H
#define KILN_TOOLKIT_CLI_MANIFEST_H

#include "toolkit/cli.h"

#define KILN__MANIFEST_NAME "manifest.json"
#define KILN__MANIFEST_VERSION 2
#define KILN__MANIFEST_MAX_BYTES ((size_t)256 << 20)
#define KILN__INDEX_NAME "index"
#define KILN__INDEX_HEAD "kiln-index 1 "
#define KILN__INDEX_HEAD_BYTES (sizeof(KILN__INDEX_HEAD) - 1 + KILN_KEY_HEX + 1)
#define KILN__PACK_PREFIX "pack-"
#define KILN__PACK_HEX 16
#define KILN__PACK_ALIGN 8U
#define KILN__PACK_MAX_BYTES ((uint64_t)4 << 30)
/* Files of one folder. */
#define KILN__MANIFEST_FILES_MAX 100000

/* What stands in an index' entry, in this order. */
enum {
  KILN__INDEX_FILE,
  KILN__INDEX_KIND,
  KILN__INDEX_MODE,
  KILN__INDEX_SOURCE_SHA256,
  KILN__INDEX_SOURCE_BYTES,
  KILN__INDEX_OFFSET,
  KILN__INDEX_BLOB_BYTES,
  KILN__INDEX_BLOB_SHA256,
  KILN__INDEX_FILENAME,
  KILN__INDEX_LINE_OFFSET,
  KILN__INDEX_COLUMN_OFFSET,
  KILN__INDEX_FIELDS,
};

/* Reads OUT/manifest.json, and checks nothing but that it is a JSON object. KILN_NOT_FOUND: there
 * is none. */
kiln_status kiln__manifest_read(const char *out, json_t **ret_manifest, kiln_error *err);
/* Checks version and digest. */
kiln_status kiln__manifest_check(json_t *manifest, kiln_error *err);
/* Both. */
kiln_status kiln__manifest_load(const char *out, json_t **ret_manifest, kiln_error *err);

/* Digest of a manifest without its member "sha256". */
kiln_status kiln__manifest_digest(json_t *manifest, char ret_hex[KCC_HEX_BYTES], kiln_error *err);

/* SHA-256 of bytes in hex; false: out of memory. */
bool kiln__manifest_sha256(const void *data, size_t length, char ret_hex[KCC_HEX_BYTES]);

/* The members of an engine by which a loader knows it, in manifest and index alike. NULL on out of
 * memory. */
json_t *kiln__manifest_engine(const kiln_engine_info *info, const char *node_version);

/* Whether a name may be a folder of ours. */
bool kiln__manifest_is_engine_name(const char *name);

/* The text by which entries of several engines are one: file, name, kind, offsets, parameters and
 * source. To be freed; NULL on out of memory, or where a member is missing. */
char *kiln__manifest_identity(const json_t *entry);

#endif
