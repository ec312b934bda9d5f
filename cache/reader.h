/* SPDX-License-Identifier: MIT
 *
 * reader.h: a read connection per thread and store.
 */
#ifndef KILN_CACHE_READER_H
#define KILN_CACHE_READER_H

#include "cache/store.h"

#define KCC__MEMO_BYTES 512

struct kcc__reader {
  kcc__conn conn;
  _Atomic uint64_t serial;    /* of its store; 0 once that is closed */
  unsigned fork_generation;   /* of the process that made it */
  unsigned generation;        /* of its store's file */
  kcc__reader *thread_next;   /* of the thread's list: touched by that thread only */
  kcc__reader *store_next;    /* of the store's list, */
  kcc__reader **store_anchor; /* and what points here in it */
  kcc__touches touches;
  /* The fingerprint last asked for, encoded, and its id: a service asks for one all day. */
  kcc_digest memo_id;
  size_t memo_length;
  uint8_t memo[KCC__MEMO_BYTES];
};

/* Lends the calling thread's reader of `store`, making it at first use; a call begins on it. */
kcc_status kcc__reader_get(kcc_store *store, kcc__reader **ret_reader, kcc_error *err);

/* Registers a store that is being opened: gives it a serial. KCC_EINVAL in a process forked while
 * a store was open: SQLite's bookkeeping of locks is wrong in such a child. */
kcc_status kcc__registry_add(kcc_store *store, kcc_error *err);
/* Ends every reader of `store`, taking their touches, and forgets the store. */
void kcc__registry_remove(kcc_store *store);
/* Moves all readers' touches into the store's batch. */
void kcc__registry_take_touches(kcc_store *store);

/* Held while a store's file is checked and opened; see place.h. */
void kcc__registry_lock(void);
void kcc__registry_unlock(void);

unsigned kcc__fork_generation(void);

#endif
