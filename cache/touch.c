/* SPDX-License-Identifier: MIT
 *
 * touch.c: last-used times. A hit must not cost a write, nor wait for one: each reading thread
 * notes its hits in a small table of its own, and one thread per store, started at the first hit,
 * writes all of them in one transaction every touch_every_ms, or as soon as touch_max wait. A
 * thread and not the callers, since a service that only hits has no caller with time to write. What
 * is lost with a killed process is the order of a few seconds' hits; nothing else depends on it.
 */
#include "cache/touch.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "cache/alloc.h"
#include "cache/reader.h"
#include "cache/store.h"

/* What a store holds of touches it could not write, in units of touch_max; above it they go. */
#define KEPT_MAX 16

bool kcc__touches_init(kcc__touches *touches) {
  memset(touches, 0, sizeof(*touches));
  return pthread_mutex_init(&touches->mutex, /* attr= */ NULL) == 0;
}

void kcc__touches_release(kcc__touches *touches) {
  free(touches->places);
  pthread_mutex_destroy(&touches->mutex);
}

/* Twice the most that is put in, so that a place is found soon. */
static uint32_t places_of(const kcc_store *store) {
  uint32_t places = 128;
  while (places < 2 * store->touch_max) places *= 2;
  return places;
}

/* The place of `id`, or where it would go. */
static kcc__touch *find_place(kcc__touch *places, uint32_t count, int64_t id) {
  uint32_t at = (uint32_t)((uint64_t)id >> 7) & (count - 1); /* ids are digests: random enough */
  while (places[at].used_unix_ms && places[at].id != id) at = (at + 1) & (count - 1);
  return &places[at];
}

/* True where a new id was noted. */
static bool note(const kcc_store *store, kcc__touches *touches, int64_t id) {
  uint32_t places = places_of(store);
  if (!touches->places) {
    touches->places = kcc__zalloc(places * sizeof(kcc__touch));
    touches->count = 0;
    if (!touches->places) return false;
  }
  kcc__touch *place = find_place(touches->places, places, id);
  int64_t now = kcc__unix_ms();
  if (place->used_unix_ms) {
    place->used_unix_ms = now;
    return false;
  }
  if (touches->count >= places / 2) return false;
  place->id = id;
  place->used_unix_ms = now;
  touches->count++;
  return true;
}

static void *flusher_main(void *user) {
  kcc_store *store = user;
  kcc__flusher *flusher = &store->flusher;
  pthread_mutex_lock(&flusher->mutex);
  while (!flusher->stop) {
    uint64_t at = kcc__now_ns() + store->touch_every_ns;
    bool in_time = true;
    while (!flusher->stop && in_time && atomic_load(&flusher->waiting) < store->touch_max)
      in_time = kcc__cond_wait(&flusher->wake, &flusher->mutex, at);
    if (flusher->stop) break;
    pthread_mutex_unlock(&flusher->mutex);
    if (kcc__touch_flush(store, /* err= */ NULL) != KCC_OK) kcc__count(&store->counters.errors);
    pthread_mutex_lock(&flusher->mutex);
  }
  pthread_mutex_unlock(&flusher->mutex);
  return NULL;
}

/* Without the thread, touches are written by kcc_store_flush() and kcc_store_close(). */
static void start_thread(kcc_store *store) {
  kcc__flusher *flusher = &store->flusher;
  if (atomic_exchange(&flusher->tried, true)) return;
  sigset_t all;
  sigset_t before;
  sigfillset(&all); /* signals are the program's: its threads shall get them, not this one */
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pthread_mutex_lock(&flusher->mutex);
  flusher->started = pthread_create(&flusher->thread, /* attr= */ NULL, flusher_main, store) == 0;
  pthread_mutex_unlock(&flusher->mutex);
  pthread_sigmask(SIG_SETMASK, &before, /* oldset= */ NULL);
}

void kcc__touch_note(kcc_store *store, kcc__touches *touches, int64_t id) {
  if (store->read_only) return;
  pthread_mutex_lock(&touches->mutex);
  bool added = note(store, touches, id);
  /* Counted before anybody can take the touch and count it off again. */
  bool enough = added && atomic_fetch_add(&store->flusher.waiting, 1) + 1 == store->touch_max;
  pthread_mutex_unlock(&touches->mutex);
  kcc__flusher *flusher = &store->flusher;
  if (!atomic_load_explicit(&flusher->tried, memory_order_relaxed)) start_thread(store);
  if (!enough) return;
  pthread_mutex_lock(&flusher->mutex); /* so that the thread is asleep, or has yet to look */
  pthread_cond_signal(&flusher->wake);
  pthread_mutex_unlock(&flusher->mutex);
}

/* The flusher's mutex is held. */
static void add_to_batch(kcc_store *store, const kcc__touch *touch) {
  kcc__flusher *flusher = &store->flusher;
  if (flusher->batch_count >= (size_t)KEPT_MAX * store->touch_max) return;
  void *array = flusher->batch;
  if (!kcc__grow(&array, &flusher->batch_capacity, flusher->batch_count + 1, sizeof(*touch)))
    return;
  flusher->batch = array;
  flusher->batch[flusher->batch_count++] = *touch;
}

void kcc__touches_take(kcc_store *store, kcc__touches *touches) {
  pthread_mutex_lock(&touches->mutex);
  kcc__touch *places = touches->places;
  uint32_t count = touches->count;
  touches->places = NULL;
  touches->count = 0;
  pthread_mutex_unlock(&touches->mutex);
  if (!places) return;
  kcc__flusher *flusher = &store->flusher;
  atomic_fetch_sub(&flusher->waiting, count);
  uint32_t places_count = places_of(store);
  pthread_mutex_lock(&flusher->mutex);
  for (uint32_t i = 0; i < places_count; i++)
    if (places[i].used_unix_ms) add_to_batch(store, &places[i]);
  pthread_mutex_unlock(&flusher->mutex);
  free(places);
}

static kcc_status write_touch(kcc__conn *conn, kcc__sql which, const kcc__touch *touch,
                              bool *ret_changed, kcc_error *err) {
  sqlite3_stmt *statement;
  kcc_status status = kcc__conn_statement(conn, which, &statement, err);
  if (status != KCC_OK) return status;
  int rc = sqlite3_bind_int64(statement, 1, touch->id);
  if (rc == SQLITE_OK) rc = sqlite3_bind_int64(statement, 2, touch->used_unix_ms);
  return rc == SQLITE_OK ? kcc__conn_run(conn, statement, ret_changed, err)
                         : kcc__conn_fail(conn, rc, err);
}

static kcc_status write_touches(kcc_store *store, const kcc__touch *touches, size_t count,
                                kcc_error *err) {
  kcc_status status = kcc__store_begin_write(store, err);
  if (status != KCC_OK) return status;
  kcc__conn *conn = &store->writer;
  for (size_t i = 0; status == KCC_OK && i < count; i++) {
    bool changed = false;
    status = write_touch(conn, KCC__SQL_TOUCH, &touches[i], &changed, err);
    if (status == KCC_OK && !changed) /* then it is a text's, or nothing's any more */
      status = write_touch(conn, KCC__SQL_TOUCH_TEXT, &touches[i], &changed, err);
  }
  return kcc__store_end_write(store, status, err);
}

kcc_status kcc__touch_flush(kcc_store *store, kcc_error *err) {
  kcc__flusher *flusher = &store->flusher;
  pthread_mutex_lock(&flusher->flush_mutex);
  kcc__registry_take_touches(store);
  pthread_mutex_lock(&flusher->mutex);
  kcc__touch *batch = flusher->batch;
  size_t count = flusher->batch_count;
  flusher->batch = NULL;
  flusher->batch_count = 0;
  flusher->batch_capacity = 0;
  pthread_mutex_unlock(&flusher->mutex);
  if (count && kcc__store_is_moved(store)) count = 0; /* there is nothing left to touch */
  kcc_status status = count ? write_touches(store, batch, count, err) : KCC_OK;
  if (status != KCC_OK) {
    pthread_mutex_lock(&flusher->mutex);
    for (size_t i = 0; i < count; i++) add_to_batch(store, &batch[i]);
    pthread_mutex_unlock(&flusher->mutex);
  }
  free(batch);
  pthread_mutex_unlock(&flusher->flush_mutex);
  return status;
}

bool kcc__flusher_init(kcc__flusher *flusher) {
  if (pthread_mutex_init(&flusher->flush_mutex, /* attr= */ NULL) != 0) return false;
  if (pthread_mutex_init(&flusher->mutex, /* attr= */ NULL) != 0) {
    pthread_mutex_destroy(&flusher->flush_mutex);
    return false;
  }
  if (!kcc__cond_init(&flusher->wake)) {
    pthread_mutex_destroy(&flusher->mutex);
    pthread_mutex_destroy(&flusher->flush_mutex);
    return false;
  }
  return true;
}

void kcc__flusher_finish(kcc_store *store) {
  kcc__flusher *flusher = &store->flusher;
  pthread_mutex_lock(&flusher->mutex);
  flusher->stop = true;
  bool started = flusher->started;
  pthread_cond_signal(&flusher->wake);
  pthread_mutex_unlock(&flusher->mutex);
  if (started) pthread_join(flusher->thread, /* retval= */ NULL);
  if (!store->read_only) kcc__touch_flush(store, /* err= */ NULL);
}

void kcc__flusher_release(kcc__flusher *flusher) {
  free(flusher->batch);
  pthread_cond_destroy(&flusher->wake);
  pthread_mutex_destroy(&flusher->mutex);
  pthread_mutex_destroy(&flusher->flush_mutex);
}
