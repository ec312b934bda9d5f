/* SPDX-License-Identifier: MIT
 *
 * engines.h: the registry of node-hosted engines: a folder with one folder per engine. Private to
 * the toolkit.
 *
 *   DIR/NAME/engine.json                 the record
 *   DIR/objects/BUILD-ID-DIGEST/         the engine's code for that node binary: kiln-engine.so,
 *                                        kiln-engine-v8.so
 *
 * Reading it trusts nothing: who may write there decides what code kilnd starts, so the folder and
 * its files must be the user's or root's, and nobody else's to write.
 */
#ifndef KILN_TOOLKIT_ENGINES_H
#define KILN_TOOLKIT_ENGINES_H

#include "toolkit/kiln.h"

/* Records of one registry, and bytes of one record. */
#define KILN__ENGINES_MAX 1024
#define KILN__ENGINE_JSON_MAX 65536
#define KILN__ENGINE_OBJECT "kiln-engine.so"

/* One registered engine. `info` is what the engine said of itself when it was added; its node is
 * the binary's absolute path. */
typedef struct kiln__engine_record {
  kiln_engine_info info;
  char node_version[32];            /* "22.23.3" */
  char library[KILN_NODE_PATH_MAX]; /* kiln-engine.so */
  char flags[256];                  /* V8 flags beside the node's own */
  char added[32];                   /* when: ISO 8601, UTC */
} kiln__engine_record;

/* Reads the registry, ordered by version, then name. A folder that does not exist is an empty
 * registry. A damaged record is left out, after a call of `damaged` (may be NULL) with its folder's
 * name and why. The records are to be freed. */
typedef void (*kiln__engines_damaged_fn)(void *user, const char *name, const char *why);
kiln_status kiln__engines_read(const char *dir, kiln__engines_damaged_fn damaged, void *user,
                               kiln__engine_record **ret_records, size_t *ret_count,
                               kiln_error *err);
kiln_status kiln__engines_load(const char *dir, kiln__engine_record **ret_records,
                               size_t *ret_count, kiln_error *err);

/* Writes a record, in place of one of the same name. Makes the folders that are missing, 0700. */
kiln_status kiln__engines_save(const char *dir, const kiln__engine_record *record, kiln_error *err);

/* Removes a record; its object stays. KILN_NOT_FOUND. */
kiln_status kiln__engines_remove(const char *dir, const char *name, kiln_error *err);

/* Makes a folder of the registry, with those above it, where missing, and checks that nobody else
 * may write to it. */
kiln_status kiln__engines_make_dir(const char *path, kiln_error *err);

/* [a-z0-9.+-], 1 to 31 of them, the first a letter, and no name that means something else. */
bool kiln__engines_name_ok(const char *name);

/* How well a spec names an engine: 0 not at all; else the greater, the better, and of equal ones
 * the newer version is meant. */
unsigned kiln__engines_match(kiln_span spec, const kiln_engine_info *info);

/* Orders "node-22.9.0" before "node-22.23.3": <0, 0, >0. */
int kiln__engines_compare(const char *name, const char *other);

/* The record a spec means. KILN_EINVAL names those there are. */
kiln_status kiln__engines_find(const kiln__engine_record *records, size_t count, kiln_span spec,
                               const kiln__engine_record **ret_record, kiln_error *err);

#endif
