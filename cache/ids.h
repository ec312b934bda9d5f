/* SPDX-License-Identifier: MIT
 *
 * ids.h: row ids, taken all at once, so that no read transaction is open while something is done
 * with each: an open one would keep the write-ahead log from being taken up.
 */
#ifndef KILN_CACHE_IDS_H
#define KILN_CACHE_IDS_H

#include "cache/db.h"

typedef struct kcc__ids {
  int64_t *ids; /* owned */
  size_t count;
  size_t capacity;
} kcc__ids;

/* Runs a bound statement that gives ids, and resets it. On failure too ids->ids is the caller's to
 * free. */
kcc_status kcc__ids_collect(kcc__conn *conn, sqlite3_stmt *statement, kcc__ids *ids,
                            kcc_error *err);

#endif
