/* SPDX-License-Identifier: MIT
 *
 * await.h: waiting for one call of a done function, made by another thread. Private to the toolkit.
 */
#ifndef KILN_TOOLKIT_AWAIT_H
#define KILN_TOOLKIT_AWAIT_H

#include <pthread.h>
#include <stdbool.h>

typedef struct kiln__await {
  pthread_mutex_t mutex;
  pthread_cond_t wake;
  bool done;
} kiln__await;
#define KILN__AWAIT_INIT \
  { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false }

/* The last thing the done function does. What it has written before, the one who waits may read. */
void kiln__await_signal(kiln__await *await);
/* Returns when that has been done, and can then be used again. */
void kiln__await_signalled(kiln__await *await);

#endif
