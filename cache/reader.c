/* SPDX-License-Identifier: MIT
 *
 * reader.c: each thread's read connections, and the process's register of stores and readers.
 *
 * A reader is owned by its thread: it stands in the thread's list and is freed by the thread, when
 * it exits or comes by later. The store's list of readers exists so that closing the store can
 * close their connections; it leaves the empty reader, marked with serial 0, to its thread. So
 * threads may outlive stores and stores threads. One lock, the registry's, guards all stores'
 * lists; it is taken when a reader is made or ends, never to read.
 */
#include "cache/reader.h"

#include <stdlib.h>

#include "cache/alloc.h"

static pthread_mutex_t registry = PTHREAD_MUTEX_INITIALIZER;
static uint64_t serials_given; /* guarded by registry */
static unsigned stores_open;   /* guarded by registry */
static bool forked_while_open; /* guarded by registry */
static _Atomic unsigned fork_generation;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t exit_key;
static bool exit_key_made;

static _Thread_local kcc__reader *thread_readers;

/* The registry's lock is held, or the process is a forked child. */
static void unlink_reader(kcc__reader *reader) {
  *reader->store_anchor = reader->store_next;
  if (reader->store_next) reader->store_next->store_anchor = reader->store_anchor;
  reader->store_anchor = NULL;
  reader->store_next = NULL;
  atomic_store(&reader->serial, 0);
}

static void free_reader(kcc__reader *reader) {
  kcc__touches_release(&reader->touches);
  free(reader);
}

/* Runs when a thread that has read from a store exits. */
static void on_thread_exit(void *unused) {
  (void)unused;
  kcc__reader *reader = thread_readers;
  thread_readers = NULL;
  while (reader) {
    kcc__reader *next = reader->thread_next;
    if (reader->fork_generation != kcc__fork_generation()) {
      reader = next; /* the parent's: closing it would meddle with the parent's locks */
      continue;
    }
    pthread_mutex_lock(&registry);
    if (atomic_load(&reader->serial)) {
      kcc__touches_take(reader->conn.store, &reader->touches);
      unlink_reader(reader);
      kcc__conn_close(&reader->conn);
    }
    pthread_mutex_unlock(&registry);
    free_reader(reader);
    reader = next;
  }
}

static void before_fork(void) {
  pthread_mutex_lock(&registry);
}

static void after_fork_in_parent(void) {
  pthread_mutex_unlock(&registry);
}

static void after_fork_in_child(void) {
  atomic_fetch_add(&fork_generation, 1);
  if (stores_open) forked_while_open = true;
  stores_open = 0;
  pthread_mutex_unlock(&registry);
}

static void initialise(void) {
  exit_key_made = pthread_key_create(&exit_key, on_thread_exit) == 0;
  if (exit_key_made)
    exit_key_made = pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child) == 0;
}

unsigned kcc__fork_generation(void) {
  return atomic_load_explicit(&fork_generation, memory_order_relaxed);
}

void kcc__registry_lock(void) {
  pthread_mutex_lock(&registry);
}

void kcc__registry_unlock(void) {
  pthread_mutex_unlock(&registry);
}

kcc_status kcc__registry_add(kcc_store *store, kcc_error *err) {
  pthread_once(&once, initialise);
  if (!exit_key_made) return kcc__fail(err, KCC_ENOMEM, 0, "store: no thread-specific key left");
  pthread_mutex_lock(&registry);
  kcc_status status = KCC_OK;
  if (forked_while_open) {
    status = kcc__fail(err, KCC_EINVAL, 0, "this process was forked while a store was open");
  } else {
    store->serial = ++serials_given;
    store->fork_generation = kcc__fork_generation();
    stores_open++;
  }
  pthread_mutex_unlock(&registry);
  return status;
}

void kcc__registry_remove(kcc_store *store) {
  pthread_mutex_lock(&registry);
  while (store->readers) {
    kcc__reader *reader = store->readers;
    kcc__touches_take(store, &reader->touches);
    kcc__conn_close(&reader->conn);
    unlink_reader(reader); /* last: from here on its thread may free it */
  }
  stores_open--;
  pthread_mutex_unlock(&registry);
}

void kcc__registry_take_touches(kcc_store *store) {
  pthread_mutex_lock(&registry);
  for (kcc__reader *reader = store->readers; reader; reader = reader->store_next)
    kcc__touches_take(store, &reader->touches);
  pthread_mutex_unlock(&registry);
}

/* Frees this thread's readers of stores that have been closed. */
static void drop_closed(void) {
  kcc__reader **anchor = &thread_readers;
  while (*anchor) {
    kcc__reader *reader = *anchor;
    if (atomic_load(&reader->serial)) {
      anchor = &reader->thread_next;
      continue;
    }
    *anchor = reader->thread_next;
    /* Whoever closed the store may be in unlink_reader() still. */
    pthread_mutex_lock(&registry);
    pthread_mutex_unlock(&registry);
    free_reader(reader);
  }
}

static kcc_status make_reader(kcc_store *store, kcc__reader **ret_reader, kcc_error *err) {
  kcc__reader *reader = kcc__zalloc(sizeof(*reader));
  if (!reader) return kcc__fail(err, KCC_ENOMEM, 0, "store '%s': out of memory", store->label);
  if (!kcc__touches_init(&reader->touches)) {
    free(reader);
    return kcc__fail(err, KCC_ENOMEM, 0, "store '%s': no mutex left", store->label);
  }
  /* Any value but NULL makes on_thread_exit() run. */
  if (pthread_setspecific(exit_key, &once) != 0) {
    free_reader(reader);
    return kcc__fail(err, KCC_ENOMEM, 0, "store '%s': out of memory", store->label);
  }
  kcc_status status = kcc__store_renew(store, err);
  reader->generation = atomic_load(&store->generation);
  if (status == KCC_OK) status = kcc__conn_open(store, KCC__READER, &reader->conn, err);
  if (status != KCC_OK) {
    free_reader(reader);
    return status;
  }
  reader->fork_generation = store->fork_generation;
  pthread_mutex_lock(&registry);
  reader->store_next = store->readers;
  if (reader->store_next) reader->store_next->store_anchor = &reader->store_next;
  reader->store_anchor = &store->readers;
  store->readers = reader;
  atomic_store(&reader->serial, store->serial);
  pthread_mutex_unlock(&registry);
  reader->thread_next = thread_readers;
  thread_readers = reader;
  *ret_reader = reader;
  return KCC_OK;
}

kcc_status kcc__reader_get(kcc_store *store, kcc__reader **ret_reader, kcc_error *err) {
  for (kcc__reader *reader = thread_readers; reader; reader = reader->thread_next) {
    if (atomic_load_explicit(&reader->serial, memory_order_acquire) != store->serial) continue;
    unsigned generation = atomic_load_explicit(&store->generation, memory_order_relaxed);
    if (reader->generation != generation || !reader->conn.db) {
      kcc__conn_close(&reader->conn);
      kcc_status status = kcc__conn_open(store, KCC__READER, &reader->conn, err);
      if (status != KCC_OK) return status;
      reader->generation = generation;
    }
    kcc__conn_begin_call(&reader->conn);
    *ret_reader = reader;
    return KCC_OK;
  }
  drop_closed();
  return make_reader(store, ret_reader, err);
}
