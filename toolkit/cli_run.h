/* SPDX-License-Identifier: MIT
 *
 * cli_run.h: what the two halves of `kiln run` share: the running (cli_run.c) and the store
 * (cli_run_store.c).
 */
#ifndef KILN_TOOLKIT_CLI_RUN_H
#define KILN_TOOLKIT_CLI_RUN_H

#include "shim/kv8.h"
#include "toolkit/cli.h"

/* What is known of the cache of the file that is run. All-zero: nothing, and no store. */
typedef struct kiln__run_cache {
  const kiln__cli_command *self;
  bool verbose;
  kcc_store *store;
  kcc_key_parts parts; /* lends from the caller and from the engine */
  kcc_span params[KILN__CLI_COMMONJS_PARAMS];
  char engine[32];
  kcc_digest key; /* of the entry found */
  kcc_entry entry;
  bool found;
} kiln__run_cache;

/* Opens the store and looks for a blob of this source: the one made warm, else lazy, else eager.
 * Trouble with the store is complained of and then as if there were none. */
void kiln__run_cache_find(kiln__run_cache *cache, const char *store_path, kiln__cli_kind kind,
                          kiln_span source, const char *filename);

/* Removes an entry that V8 refused. */
void kiln__run_cache_rejected(kiln__run_cache *cache);

/* Keeps a blob made after the run, for the next one. */
void kiln__run_cache_keep(kiln__run_cache *cache, kv8_blob blob);

void kiln__run_cache_release(kiln__run_cache *cache);

#endif
