/* SPDX-License-Identifier: MIT
 *
 * cli_engines.h: what the parts of `kiln engines` share: what a node binary says of itself
 * (cli_engines_node.c), making its engine (cli_engines_build.c), trying it (cli_engines_try.c),
 * finding binaries (cli_engines_find.c), and the command itself (cli_engines.c).
 */
#ifndef KILN_TOOLKIT_CLI_ENGINES_H
#define KILN_TOOLKIT_CLI_ENGINES_H

#include "toolkit/cli.h"
#include "toolkit/engines.h"

/* A node binary. */
typedef struct kiln__node {
  char path[KILN_NODE_PATH_MAX];    /* without symbolic links */
  char headers[KILN_NODE_PATH_MAX]; /* the folder of its node.h; "": none found */
  char build_id[72];
  char version[32]; /* "22.23.3" */
  char v8_version[64];
  char arch[16];
  uint32_t tag; /* with the flags asked for */
} kiln__node;

/* Reads the build id of an ELF file; "" where it has none. False: it is no ELF file. */
bool kiln__node_build_id(const char *path, char ret_id[72]);

/* Finds out what there is to know of the binary that `path` leads to: a program, or a folder it is
 * in (as of an npm package, or a prefix with bin/). It is run once, for at most ten seconds, with
 * `flags`. `headers`: NULL, a prefix, or the folder of node.h itself. */
kiln_status kiln__node_probe(const char *path, const char *flags, const char *headers,
                             kiln__node *ret_node, kiln_error *err);

/* Installs the npm package of an official Node ("22", "22.23.3") under `dir`/npm. */
kiln_status kiln__node_install(const char *dir, const char *version, char *ret_path, size_t size,
                               kiln_error *err);

/* Which sources an engine's object is made of, in hex digits. */
#define KILN__SOURCES_DIGITS 17
kiln_status kiln__hosted_digest(char ret_digits[KILN__SOURCES_DIGITS], kiln_error *err);

/* Makes the object for a node where it is not there already; *ret_built tells. */
kiln_status kiln__hosted_build(const char *dir, const kiln__node *node, char *ret_library,
                               size_t size, bool *ret_built, kiln_error *err);

/* Whether the record's object is of the sources of today. */
bool kiln__hosted_is_current(const kiln__engine_record *record);

/* Starts the engine of a record, compares it with its node, bakes and has that node accept what was
 * baked. record->info becomes what the engine says. */
kiln_status kiln__engine_try(const char *dir, kiln__engine_record *record, kiln_error *err);

/* Calls `found` for each node binary on PATH and in the usual places of version managers, each
 * once.
 */
typedef void (*kiln__node_found_fn)(void *user, const char *path);
void kiln__node_discover(kiln__node_found_fn found, void *user);

/* The first program of that name on PATH. */
bool kiln__find_on_path(const char *name, char *ret_path, size_t size);

/* Removes a folder and all that is in it; symbolic links are not followed. */
void kiln__remove_tree(const char *path);

#endif
