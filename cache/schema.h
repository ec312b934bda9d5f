/* SPDX-License-Identifier: MIT
 *
 * schema.h: versions of the database's tables.
 */
#ifndef KILN_CACHE_SCHEMA_H
#define KILN_CACHE_SCHEMA_H

#include <stddef.h>

#include "cache/db.h"

#define KCC__APPLICATION_ID 0x4b696c6e /* "Kiln", in the file's header */

/* One step: the SQL that makes version `version` of the version before it. */
typedef struct kcc__migration {
  int version;
  const char *sql;
} kcc__migration;

/* All steps so far, in order. A new version is one more row. */
extern const kcc__migration kcc__migrations[];
extern const size_t kcc__migrations_count;

/* Makes sure that `conn` is a store of the newest version in `steps`, running those that are
 * missing in one transaction. KCC_ENOTSTORE, KCC_ENEWER; KCC_EREADONLY where steps are missing and
 * the store is read-only. A file that is not ours is left as it is. */
kcc_status kcc__schema_prepare(kcc__conn *conn, const kcc__migration *steps, size_t steps_count,
                               kcc_error *err);

#endif
