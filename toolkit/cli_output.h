/* SPDX-License-Identifier: MIT
 *
 * cli_output.h: what writes the folder of `kiln precompile --out`: files (cli_output.c) and the
 * texts in them (cli_output_text.c).
 */
#ifndef KILN_TOOLKIT_CLI_OUTPUT_H
#define KILN_TOOLKIT_CLI_OUTPUT_H

#include <limits.h>

#include "toolkit/cli_manifest.h"
#include "toolkit/cli_precompile.h"

/* An engine's new pack, index and all. */
typedef struct kiln__pack {
  int fd;
  char path[PATH_MAX]; /* as it is being written */
  char name[sizeof(KILN__PACK_PREFIX) + KILN__PACK_HEX];
  uint64_t end;    /* of the last blob */
  uint64_t length; /* the same, rounded up */
  size_t count;
  bool spoilt; /* it may have bytes between the blobs */
  bool renewed;
  char *index;
  char index_sha256[KCC_HEX_BYTES]; /* of the whole index */
} kiln__pack;

struct kiln__output {
  char root[PATH_MAX]; /* as OUT sees it */
  kiln__pack *packs;   /* by engine */
};

/* Writes a file whole or not at all; false with errno set. */
bool kiln__output_file(char *path, kiln_span data);

/* Makes the text of an engine's index, and its pack's name. To be freed; NULL after a complaint. */
char *kiln__output_index(const kiln__baking *baking, size_t engine);

/* Makes the manifest's text of what was baked now and of what `old` (may be NULL) has for other
 * engines. To be freed; NULL after a complaint. */
char *kiln__output_manifest(const kiln__baking *baking, const json_t *old);

#endif
