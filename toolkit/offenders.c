/* SPDX-License-Identifier: MIT
 *
 * offenders.c: see offenders.h. A table with few places for each source, so that looking is short
 * and many offenders cannot make it grow.
 */
#include "toolkit/offenders.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define PLACES 8 /* that a source may take */
#define HEX 64

typedef struct offender {
  char sha256[HEX];
  unsigned crashes; /* 0: free */
  uint64_t last_ns;
} offender;

struct kiln_offenders {
  unsigned crashes_max;
  atomic_uint count; /* none is what most services have: then nothing is hashed */
  pthread_mutex_t lock;
  offender table[KILN_OFFENDERS_MAX];
};

kiln_offenders *kiln__offenders_new(unsigned crashes_max) {
  kiln_offenders *offenders = calloc(1, sizeof(*offenders));
  if (offenders == NULL) return NULL;
  offenders->crashes_max = crashes_max;
  pthread_mutex_init(&offenders->lock, NULL);
  return offenders;
}

void kiln__offenders_free(kiln_offenders *offenders) {
  if (offenders == NULL) return;
  pthread_mutex_destroy(&offenders->lock);
  free(offenders);
}

static offender *places_of(kiln_offenders *offenders, const char *sha256) {
  char digits[5] = {sha256[0], sha256[1], sha256[2], sha256[3], '\0'};
  size_t place = strtoul(digits, NULL, 16) % (KILN_OFFENDERS_MAX / PLACES);
  return &offenders->table[place * PLACES];
}

static bool is_over(const offender *one, uint64_t now_ns) {
  return now_ns - one->last_ns >= UINT64_C(1000000) * KILN_OFFENDER_MS;
}

void kiln__offenders_note(kiln_offenders *offenders, kiln_bytes *source, uint64_t now_ns) {
  char sha256[HEX + 1];
  if (!kiln_bytes_get_sha256(source, sha256)) return;
  pthread_mutex_lock(&offenders->lock);
  offender *places = places_of(offenders, sha256), *taken = &places[0];
  for (size_t i = 0; i < PLACES; i++) {
    if (places[i].crashes > 0 && memcmp(places[i].sha256, sha256, HEX) == 0) {
      taken = &places[i];
      break;
    }
    if (places[i].last_ns < taken->last_ns) taken = &places[i];
  }
  bool known = taken->crashes > 0 && memcmp(taken->sha256, sha256, HEX) == 0;
  if (taken->crashes == 0) atomic_fetch_add(&offenders->count, 1);
  if (!known || is_over(taken, now_ns)) taken->crashes = 0;
  memcpy(taken->sha256, sha256, HEX);
  taken->crashes++;
  taken->last_ns = now_ns;
  pthread_mutex_unlock(&offenders->lock);
}

uint64_t kiln__offenders_left_ms(kiln_offenders *offenders, kiln_bytes *source, uint64_t now_ns) {
  char sha256[HEX + 1];
  uint64_t left_ms = 0;
  if (source == NULL || atomic_load(&offenders->count) == 0 ||
      !kiln_bytes_get_sha256(source, sha256))
    return 0;
  pthread_mutex_lock(&offenders->lock);
  const offender *places = places_of(offenders, sha256);
  for (size_t i = 0; i < PLACES; i++) {
    const offender *one = &places[i];
    if (one->crashes < offenders->crashes_max || memcmp(one->sha256, sha256, HEX) != 0) continue;
    if (!is_over(one, now_ns)) left_ms = KILN_OFFENDER_MS - (now_ns - one->last_ns) / 1000000;
  }
  pthread_mutex_unlock(&offenders->lock);
  return left_ms;
}
