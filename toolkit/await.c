/* SPDX-License-Identifier: MIT
 *
 * await.c: see await.h.
 */
#include "toolkit/await.h"

void kiln__await_signal(kiln__await *await) {
  (void)pthread_mutex_lock(&await->mutex);
  await->done = true;
  (void)pthread_cond_signal(&await->wake);
  (void)pthread_mutex_unlock(&await->mutex);
}

void kiln__await_signalled(kiln__await *await) {
  (void)pthread_mutex_lock(&await->mutex);
  while (!await->done) (void)pthread_cond_wait(&await->wake, &await->mutex);
  await->done = false;
  (void)pthread_mutex_unlock(&await->mutex);
}
