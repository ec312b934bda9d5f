/* SPDX-License-Identifier: MIT
 *
 * manifest.c: the manifest of a baked folder, whose every member may be forged. With 'b' in front
 * the bytes are a blob of that folder instead.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "toolkit/cli_manifest_verify.h"

/* What has no problem is what it says. */
static void check_claims(const kiln__verifying *v) {
  for (size_t i = 0; i < v->engines_count; i++) {
    const kiln__engine_claim *engine = &v->engines[i];
    if (engine->name == NULL || !kiln__manifest_is_engine_name(engine->name)) abort();
    for (size_t j = 0; j < engine->count; j++) {
      const kiln__claim *claim = &engine->claims[j];
      if (claim->offset > KILN__PACK_MAX_BYTES || claim->bytes > KILN__CLI_SOURCE_MAX) abort();
      if (claim->file == NULL || claim->file[0] == '/' || strlen(claim->sha256) != 64) abort();
    }
  }
}

static void verify(const char *text, size_t length) {
  json_error_t error;
  kiln_error reason;
  json_t *manifest = json_loadb(text, length, JSON_REJECT_DUPLICATES, &error);
  kiln__verifying *v = calloc(1, sizeof(*v));
  if (v == NULL) abort();
  v->json = true; /* problems are collected, not printed */
  v->out = "fuzz";
  v->manifest = manifest;
  v->problems = json_array();
  if (json_is_object(manifest)) {
    (void)kiln__manifest_check(manifest, &reason);
    kiln__verify_fields(v);
    if (v->no_memory) abort();
    if (v->problems_count == 0) check_claims(v);
  }
  for (size_t i = 0; i < v->engines_count; i++) free(v->engines[i].claims);
  json_decref(manifest);
  json_decref(v->problems);
  free(v);
}

static void look_at_blob(const uint8_t *data, size_t size) {
  static const char *const versions[] = {"10.2.154.26-node.37", "11.3.244.8-node.38",
                                         "14.6.202.33-node.21", "", "9"};
  kiln__blob_head head = {0};
  if (size < 2) return;
  kiln__claim claim = {.kind = (kiln__cli_kind)(data[0] % (KILN__CLI_AUTO + 1)),
                       .utf16_length = data[0] < 128 ? -1 : data[1],
                       .compiled_bytes = data[1]};
  for (size_t i = 0; i < sizeof(versions) / sizeof(versions[0]); i++)
    (void)kiln__blob_problem((kcc_span){data + 2, size - 2}, versions[i], &claim, &head);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 1) return 0;
  if (data[0] == 'b')
    look_at_blob(data + 1, size - 1);
  else
    verify((const char *)data + 1, size - 1);
  return 0;
}
