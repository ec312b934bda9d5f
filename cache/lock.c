/* SPDX-License-Identifier: MIT
 *
 * lock.c: see lock.h. It is not fair, and need not be: what is done under the lock takes less than
 * a millisecond as a rule, and every wait has an end.
 */
#include "cache/lock.h"

#include <time.h>

bool kcc__cond_init(pthread_cond_t *cond) {
  pthread_condattr_t attributes;
  if (pthread_condattr_init(&attributes) != 0) return false;
  bool done = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0 &&
              pthread_cond_init(cond, &attributes) == 0;
  pthread_condattr_destroy(&attributes);
  return done;
}

bool kcc__cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex, uint64_t deadline_ns) {
  struct timespec until = {(time_t)(deadline_ns / 1000000000u), (long)(deadline_ns % 1000000000u)};
  return pthread_cond_timedwait(cond, mutex, &until) == 0;
}

bool kcc__lock_init(kcc__lock *lock) {
  lock->taken = false;
  if (pthread_mutex_init(&lock->mutex, /* attr= */ NULL) != 0) return false;
  if (kcc__cond_init(&lock->given)) return true;
  pthread_mutex_destroy(&lock->mutex);
  return false;
}

void kcc__lock_release(kcc__lock *lock) {
  pthread_cond_destroy(&lock->given);
  pthread_mutex_destroy(&lock->mutex);
}

bool kcc__lock_try(kcc__lock *lock) {
  pthread_mutex_lock(&lock->mutex);
  bool taken = !lock->taken;
  lock->taken = true;
  pthread_mutex_unlock(&lock->mutex);
  return taken;
}

bool kcc__lock_take(kcc__lock *lock, uint64_t deadline_ns) {
  bool in_time = true;
  pthread_mutex_lock(&lock->mutex);
  while (lock->taken && in_time) in_time = kcc__cond_wait(&lock->given, &lock->mutex, deadline_ns);
  bool taken = !lock->taken; /* given at the last moment counts */
  if (taken) lock->taken = true;
  pthread_mutex_unlock(&lock->mutex);
  return taken;
}

void kcc__lock_give(kcc__lock *lock) {
  pthread_mutex_lock(&lock->mutex);
  lock->taken = false;
  pthread_cond_signal(&lock->given);
  pthread_mutex_unlock(&lock->mutex);
}
