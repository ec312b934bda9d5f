/* SPDX-License-Identifier: MIT
 *
 * place.h: the directory and the file a store lives in.
 */
#ifndef KILN_CACHE_PLACE_H
#define KILN_CACHE_PLACE_H

#include <limits.h>
#include <stdbool.h>

#include "cache/kcc.h"

#define KCC__FILE_NAME "kiln.db"

/* Makes sure that `path` is a directory of ours with a database file of ours in it, making both
 * where missing unless `read_only`. Gives the file's absolute path, free of symbolic links.
 *
 * The caller holds a lock that keeps other threads from opening a store meanwhile: closing a
 * descriptor of a database file drops every POSIX lock this process has on it. */
kcc_status kcc__place_prepare(const char *path, bool read_only, char ret_file[PATH_MAX],
                              kcc_error *err);

/* True where neither the file's directory can be written nor a write-ahead log lies beside the
 * file: then nobody can change it through this directory, and it may be read without locks. */
bool kcc__place_is_immutable(const char *file);

#endif
