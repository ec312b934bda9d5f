/* SPDX-License-Identifier: MIT
 *
 * limit.c: the time limit's thread.
 */
#include "toolkit/run/limit.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define GRACE_MS 250

static struct {
  pthread_t thread;
  pthread_mutex_t mutex; /* guards ended */
  pthread_cond_t wake;
  bool ended;
} limit;

/* The thread of the script may stand anywhere: nothing here waits for it. What the script printed
 * is out already. */
static void end_process(const kiln__run *run) {
  (void)dprintf(STDERR_FILENO, "Error: Script execution timed out after %ums\n",
                run->options.timeout_ms);
  _exit(1);
}

static void *watch(void *argument) {
  const kiln__run *run = argument;
  struct timespec end;
  (void)clock_gettime(CLOCK_MONOTONIC, &end);
  uint64_t ms = (uint64_t)run->options.timeout_ms + GRACE_MS + (uint64_t)end.tv_nsec / 1000000;
  end.tv_sec += (time_t)(ms / 1000);
  end.tv_nsec = (long)(ms % 1000) * 1000000;
  int failure = 0;
  (void)pthread_mutex_lock(&limit.mutex);
  while (!limit.ended && failure == 0) {
    failure = pthread_cond_timedwait(&limit.wake, &limit.mutex, &end);
  }
  if (!limit.ended) end_process(run);
  (void)pthread_mutex_unlock(&limit.mutex);
  return NULL;
}

bool kiln__run_limit_begin(kiln__run *run) {
  pthread_condattr_t attributes;
  if (run->options.timeout_ms == 0) return true;
  (void)pthread_mutex_init(&limit.mutex, /* attributes= */ NULL);
  (void)pthread_condattr_init(&attributes);
  (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
  (void)pthread_cond_init(&limit.wake, &attributes);
  (void)pthread_condattr_destroy(&attributes);
  int failure = pthread_create(&limit.thread, /* attributes= */ NULL, watch, run);
  if (failure == 0) return true;
  fprintf(stderr, "kiln run: no thread for the time limit: %s\n", strerror(failure));
  return false;
}

void kiln__run_limit_end(kiln__run *run) {
  if (run->options.timeout_ms == 0) return;
  (void)pthread_mutex_lock(&limit.mutex);
  limit.ended = true;
  (void)pthread_cond_signal(&limit.wake);
  (void)pthread_mutex_unlock(&limit.mutex);
  (void)pthread_join(limit.thread, /* ret_value= */ NULL);
  (void)pthread_cond_destroy(&limit.wake);
  (void)pthread_mutex_destroy(&limit.mutex);
}
