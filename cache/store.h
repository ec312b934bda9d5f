/* SPDX-License-Identifier: MIT
 *
 * store.h: what an open store consists of, and who may touch which part of it.
 *
 * Locks, in the order in which they are taken: flusher.flush_mutex, the registry of readers
 * (reader.c, one per process), writer_lock, a reader's touches.mutex, flusher.mutex. Reading an
 * entry takes none but the reading thread's own touches.mutex, which others hold only for the swap
 * of a pointer.
 */
#ifndef KILN_CACHE_STORE_H
#define KILN_CACHE_STORE_H

#include <stdatomic.h>
#include <sys/types.h>

#include "cache/db.h"
#include "cache/kcc.h"
#include "cache/lock.h"
#include "cache/status.h"
#include "cache/touch.h"

/* What this process counts, in kcc_stats' names. */
typedef struct kcc__counters {
  _Atomic uint64_t hits;
  _Atomic uint64_t misses;
  _Atomic uint64_t puts;
  _Atomic uint64_t removes;
  _Atomic uint64_t corrupt;
  _Atomic uint64_t busy_waits;
  _Atomic uint64_t errors;
} kcc__counters;

typedef struct kcc__reader kcc__reader;

struct kcc_store {
  /* Set while opening, then only read. */
  char *file;                   /* absolute */
  char label[KCC__LABEL_BYTES]; /* the file, for messages */
  uint64_t serial;              /* of this process's stores; never used twice */
  unsigned fork_generation;     /* of the process that opened it */
  bool read_only;
  bool immutable; /* read-only and nobody can write: no locks, no -shm */
  uint64_t entry_max_bytes;
  uint64_t busy_ns;
  uint64_t touch_every_ns;
  uint32_t touch_max;
  uint64_t sources_max_bytes;
  uint64_t source_max_bytes;

  kcc__lock writer_lock;   /* guards writer */
  kcc__conn writer;        /* of a read-only store: a reader that keeps the file open */
  _Atomic uint64_t device; /* of the writer's file; inode 0: it has none */
  _Atomic uint64_t inode;
  _Atomic unsigned generation; /* how often a new file was begun because the last one was gone */

  kcc__reader *readers; /* guarded by the registry of readers */

  kcc__flusher flusher;
  kcc__counters counters;
};

static inline void kcc__count(_Atomic uint64_t *counter) {
  atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

/* What every public function does first: no store, or one carried across a fork, is KCC_EINVAL. */
kcc_status kcc__store_check(const kcc_store *store, kcc_error *err);

/* What every public function returns through: counts errors. */
static inline kcc_status kcc__store_done(kcc_store *store, kcc_status status) {
  if (status != KCC_OK && status != KCC_MISS) kcc__count(&store->counters.errors);
  return status;
}

/* Where the store's file was removed under it: makes a new one, and readers follow at their next
 * call. The caller has neither the writer nor the registry. */
kcc_status kcc__store_renew(kcc_store *store, kcc_error *err);
bool kcc__store_is_moved(const kcc_store *store);

/* Takes the writer and begins a transaction, waiting at most busy_ms in all. On KCC_OK the caller
 * ends with kcc__store_end_write(); otherwise there is nothing to end. */
kcc_status kcc__store_begin_write(kcc_store *store, kcc_error *err);
/* As kcc__conn_end(); gives the writer back. */
kcc_status kcc__store_end_write(kcc_store *store, kcc_status status, kcc_error *err);

/* Whether the disk has room for an entry of `bytes`, and beyond (put.c). */
kcc_status kcc__store_check_room(const kcc_store *store, uint64_t bytes, kcc_error *err);

#endif
