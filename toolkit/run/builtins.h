/* SPDX-License-Identifier: MIT
 *
 * builtins.h: the built-in JavaScript as the build embedded it, and the code caches that
 * kiln-run-bake made of it.
 */
#ifndef KILN_TOOLKIT_RUN_BUILTINS_H
#define KILN_TOOLKIT_RUN_BUILTINS_H

#include "toolkit/run/run.h"

typedef struct kiln__run_builtin {
  const char *name; /* "vm", "internal/errors", "npm/buffer/index" */
  const char *text; /* ends at text_end; ASCII */
  const char *text_end;
} kiln__run_builtin;

/* Generated: sources.c of the build tree. */
extern const kiln__run_builtin kiln__run_builtin_list[];
extern const size_t kiln__run_builtin_count;
extern const uint32_t kiln__run_builtin_digest; /* of all their texts */

/* The code caches of all built-ins, in the order of the list: a head, then for each its length and
 * its bytes, 8-byte aligned. Empty in kiln-run-bake. */
#define KILN__RUN_CACHE_MAGIC 0x4b524331u /* "KRC1" */
typedef struct kiln__run_cache_head {
  uint32_t magic;
  uint32_t count;
  uint32_t cached_data_tag;
  uint32_t source_digest; /* of all sources: a cache of others is not used */
  char v8_version[48];
  char build_id[80];
  char flags[128];
} kiln__run_cache_head;
extern const uint8_t kiln__run_cache_begin[];
extern const uint8_t kiln__run_cache_end[];

/* Fills the head for this engine and these sources; false if something does not fit. */
bool kiln__run_cache_head_fill(kiln__run_cache_head *ret_head);

/* The compiled function of a built-in that was loaded, for kiln-run-bake; NULL if it was not. */
kv8_function *kiln__run_builtin_function(size_t index);
/* Keep the compiled functions of what is loaded from now on. */
void kiln__run_builtins_keep(bool keep);

#endif
