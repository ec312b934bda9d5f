/* SPDX-License-Identifier: MIT
 *
 * cli_manifest_verify.h: what the parts of `kiln verify-manifest` share: the command
 * (cli_manifest_verify.c), the manifest's own text (cli_manifest_fields.c), indexes and packs
 * (cli_manifest_pack.c), what V8 wrote at the beginning of a blob (cli_manifest_blob.c).
 *
 * Everything read here may be forged or damaged: every member is looked at before it is believed.
 */
#ifndef KILN_TOOLKIT_CLI_MANIFEST_VERIFY_H
#define KILN_TOOLKIT_CLI_MANIFEST_VERIFY_H

#include "toolkit/cli_manifest.h"

/* Problems told one by one. */
#define KILN__PROBLEMS_MAX 1000

/* A blob that the manifest claims. Texts are lent from it. */
typedef struct kiln__claim {
  const json_t *entry;
  const char *file;
  kiln__cli_kind kind;
  const char *mode;
  bool has_file; /* also a file of its own */
  uint64_t source_bytes;
  uint64_t compiled_bytes;
  int64_t utf16_length; /* of what was compiled; -1: not known */
  uint64_t offset;
  uint64_t bytes;
  const char *sha256;
} kiln__claim;

typedef struct kiln__engine_claim {
  const json_t *json;
  const char *name;
  bool selected;
  bool usable; /* so much of it is right that its index and pack can be looked at */
  kcc_fingerprint fingerprint;
  kiln__claim *claims;
  size_t count;
  size_t capacity;
} kiln__engine_claim;

typedef struct kiln__verifying {
  const kiln__cli_command *self;
  const char *out;
  const char *sources; /* folder; NULL: they are not looked at */
  const char *specs[KILN_ENGINES_MAX];
  size_t specs_count;
  bool json;
  json_t *manifest;
  kiln__engine_claim engines[KILN_ENGINES_MAX];
  size_t engines_count;
  /* what was found */
  json_t *problems;
  size_t problems_count;
  size_t checked_engines;
  size_t checked_files;
  size_t checked_blobs;
  bool no_memory;
} kiln__verifying;

/* Notes something wrong. `where` is a file of the folder, or a member of the manifest. */
void kiln__problem(kiln__verifying *v, const char *where, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Checks all members of the manifest, and the sources, and collects engines and claims. */
void kiln__verify_fields(kiln__verifying *v);
/* Whether what is typed for an engine means this one. */
bool kiln__claim_is(const kiln__engine_claim *claim, const char *spec);
/* Checks an engine's index and pack against its claims. */
void kiln__verify_engine(kiln__verifying *v, kiln__engine_claim *engine);

/* What all blobs of one engine begin with alike. */
typedef struct kiln__blob_head {
  bool known;
  uint32_t magic;
  uint32_t version_hash;
  uint32_t flag_hash;
} kiln__blob_head;
/* What is wrong with a blob's own header; NULL: nothing. *head is that of the blobs before. */
const char *kiln__blob_problem(kcc_span blob, const char *v8_version, const kiln__claim *claim,
                               kiln__blob_head *head);

#endif
