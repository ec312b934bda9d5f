/* SPDX-License-Identifier: MIT
 *
 * service_writer.c: the thread that writes to the store, with a bounded queue. It knows nothing of
 * what it performs.
 */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "toolkit/service.h"
#include "toolkit/status.h"

static struct timespec after_ms(unsigned ms) {
  struct timespec at;
  clock_gettime(CLOCK_MONOTONIC, &at);
  uint64_t ns = (uint64_t)at.tv_nsec + (uint64_t)ms * 1000000U;
  at.tv_sec += (time_t)(ns / 1000000000U);
  at.tv_nsec = (long)(ns % 1000000000U);
  return at;
}

/* Waits for work, with the mutex held. */
static void wait_for_work(kiln__writer *writer, bool has_worked) {
  struct timespec rest_at = after_ms(KILN__WRITER_REST_MS);
  while (writer->first == NULL && !writer->stopping) {
    if (!has_worked) {
      (void)pthread_cond_wait(&writer->wake, &writer->mutex);
    } else if (pthread_cond_timedwait(&writer->wake, &writer->mutex, &rest_at) == ETIMEDOUT) {
      has_worked = false;
      (void)pthread_mutex_unlock(&writer->mutex);
      writer->rest(writer->rest_user);
      (void)pthread_mutex_lock(&writer->mutex);
    }
  }
}

static void *writer_main(void *argument) {
  kiln__writer *writer = argument;
  bool has_worked = false;
  (void)pthread_mutex_lock(&writer->mutex);
  for (;;) {
    wait_for_work(writer, has_worked);
    kiln__work *work = writer->first;
    if (work == NULL) break;
    has_worked = true;
    writer->first = work->next;
    if (writer->first == NULL) writer->end = &writer->first;
    size_t bytes = work->bytes; /* the work may free itself */
    (void)pthread_mutex_unlock(&writer->mutex);
    work->perform(work);
    (void)pthread_mutex_lock(&writer->mutex);
    writer->count--;
    writer->bytes -= bytes;
  }
  (void)pthread_mutex_unlock(&writer->mutex);
  return NULL;
}

kiln_status kiln__writer_start(kiln__writer *writer, void (*rest)(void *user), void *rest_user,
                               kiln_error *err) {
  pthread_condattr_t attributes;
  (void)pthread_condattr_init(&attributes);
  (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
  (void)pthread_mutex_init(&writer->mutex, /* attributes= */ NULL);
  (void)pthread_cond_init(&writer->wake, &attributes);
  (void)pthread_condattr_destroy(&attributes);
  writer->rest = rest;
  writer->rest_user = rest_user;
  writer->end = &writer->first;
  int failure = pthread_create(&writer->thread, /* attributes= */ NULL, writer_main, writer);
  if (failure != 0) {
    (void)pthread_cond_destroy(&writer->wake);
    (void)pthread_mutex_destroy(&writer->mutex);
    return kiln__fail(err, KILN_ENOMEM, NULL, "no thread for writing the store: %s",
                      strerrordesc_np(failure));
  }
  writer->started = true;
  return KILN_OK;
}

bool kiln__writer_add(kiln__writer *writer, kiln__work *work) {
  if (!writer->started) return false;
  work->next = NULL;
  (void)pthread_mutex_lock(&writer->mutex);
  /* A single piece of work over the limit is still taken by an empty queue. */
  bool room = writer->count == 0 ||
              (writer->count < KILN__WRITER_WORK_MAX && work->bytes <= KILN__WRITER_BYTES_MAX &&
               writer->bytes <= KILN__WRITER_BYTES_MAX - work->bytes);
  if (room) {
    *writer->end = work;
    writer->end = &work->next;
    writer->count++;
    writer->bytes += work->bytes;
    (void)pthread_cond_signal(&writer->wake);
  }
  (void)pthread_mutex_unlock(&writer->mutex);
  return room;
}

void kiln__writer_stop(kiln__writer *writer) {
  if (!writer->started) return;
  (void)pthread_mutex_lock(&writer->mutex);
  writer->stopping = true;
  (void)pthread_cond_signal(&writer->wake);
  (void)pthread_mutex_unlock(&writer->mutex);
  (void)pthread_join(writer->thread, /* ret_value= */ NULL);
  (void)pthread_cond_destroy(&writer->wake);
  (void)pthread_mutex_destroy(&writer->mutex);
  writer->started = false;
}
