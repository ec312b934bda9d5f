/* SPDX-License-Identifier: MIT
 *
 * touch.h: last-used times, gathered by readers and written together.
 */
#ifndef KILN_CACHE_TOUCH_H
#define KILN_CACHE_TOUCH_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/kcc.h"

typedef struct kcc__touch {
  int64_t id;
  int64_t used_unix_ms; /* 0: an empty place */
} kcc__touch;

/* One reader's touches: a hash table with one place per id, so that a hot entry costs one place. */
typedef struct kcc__touches {
  pthread_mutex_t mutex; /* held for one insertion, or for taking `places` away */
  kcc__touch *places;    /* NULL: none yet */
  uint32_t count;
} kcc__touches;

/* A store's side: what was taken from the readers, and the thread that writes it. */
typedef struct kcc__flusher {
  pthread_mutex_t flush_mutex; /* held while one thread writes */
  pthread_mutex_t mutex;       /* guards what follows */
  kcc__touch *batch;
  size_t batch_count;
  size_t batch_capacity;
  pthread_cond_t wake;
  pthread_t thread;
  bool started;
  bool stop;
  /* Not guarded. */
  atomic_bool tried;        /* to start the thread */
  _Atomic uint32_t waiting; /* touches not yet taken, over all readers */
} kcc__flusher;

bool kcc__flusher_init(kcc__flusher *flusher);
/* Ends the thread and writes what is pending. No reader is left. */
void kcc__flusher_finish(kcc_store *store);
void kcc__flusher_release(kcc__flusher *flusher);

bool kcc__touches_init(kcc__touches *touches);
void kcc__touches_release(kcc__touches *touches);

/* Notes that the entry, or text, under `id` was used now. Never waits for the database; where
 * memory or places run out the note is dropped, since it only orders a list. */
void kcc__touch_note(kcc_store *store, kcc__touches *touches, int64_t id);

/* Moves a reader's touches into the store's batch. */
void kcc__touches_take(kcc_store *store, kcc__touches *touches);

/* Writes all touches. On failure they are kept for the next time, up to a bound. */
kcc_status kcc__touch_flush(kcc_store *store, kcc_error *err);

#endif
