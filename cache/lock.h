/* SPDX-License-Identifier: MIT
 *
 * lock.h: a lock that is waited for with a deadline, and condition variables with the same clock.
 * pthread_mutex_timedlock() goes by the time of day, which jumps; pthread_mutex_clocklock() would
 * do, but thread sanitizers do not know it.
 */
#ifndef KILN_CACHE_LOCK_H
#define KILN_CACHE_LOCK_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct kcc__lock {
  pthread_mutex_t mutex; /* guards taken */
  pthread_cond_t given;
  bool taken;
} kcc__lock;

bool kcc__lock_init(kcc__lock *lock); /* false: the system has none left */
void kcc__lock_release(kcc__lock *lock);

/* Takes the lock if nobody has it. */
bool kcc__lock_try(kcc__lock *lock);
/* Waits for it until `deadline_ns` of kcc__now_ns(); false: it was not given in time. */
bool kcc__lock_take(kcc__lock *lock, uint64_t deadline_ns);
void kcc__lock_give(kcc__lock *lock);

/* A condition variable for kcc__cond_wait(). */
bool kcc__cond_init(pthread_cond_t *cond);
/* Waits for a signal until `deadline_ns`; false: that is past. */
bool kcc__cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex, uint64_t deadline_ns);

#endif
