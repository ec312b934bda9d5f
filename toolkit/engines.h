/* SPDX-License-Identifier: MIT
 *
 * engines.h: the registry of node-hosted engines: a folder with one folder per engine. Private to
 * the toolkit.
 *
 *   DIR/NAME/engine.json   the record
 *   DIR/objects/BUILD-ID-DIGEST/kiln-engine.so   the engine's code for that node binary
 *
 * Reading it trusts nothing: who may write there decides what code kilnd starts, so the folder and
 * its files must be the user's or root's, and nobody else's to write.
 */
#ifndef KILN_TOOLKIT_ENGINES_H
#define KILN_TOOLKIT_ENGINES_H

#include "toolkit/kiln.h"

/* One registered engine. `info` is what the engine said of itself when it was added; its node is
 * the binary's absolute path. */
typedef struct kiln__engine_record {
  kiln_engine_info info;
  char node_version[32]; /* "22.23.3" */
  char library[KILN_NODE_PATH_MAX];
  char flags[256]; /* V8 flags beside the node's own */
} kiln__engine_record;

/* Reads the registry, ordered by version, then name. A folder that does not exist is an empty
 * registry; a damaged record is left out. The records are to be freed. */
kiln_status kiln__engines_load(const char *dir, kiln__engine_record **ret_records,
                               size_t *ret_count, kiln_error *err);

/* How well a spec names an engine: 0 not at all; else the greater, the better, and of equal ones
 * the newer version is meant. */
unsigned kiln__engines_match(kiln_span spec, const kiln_engine_info *info);

/* Orders "node-22.9.0" before "node-22.23.3": <0, 0, >0. */
int kiln__engines_compare(const char *name, const char *other);

/* The record a spec means. KILN_EINVAL names those there are. */
kiln_status kiln__engines_find(const kiln__engine_record *records, size_t count, kiln_span spec,
                               const kiln__engine_record **ret_record, kiln_error *err);

#endif
