/* SPDX-License-Identifier: MIT
 *
 * saved.c: see saved.h. A table of one entry per place: a key is a SHA-256, so places are taken
 * evenly, and the newest bake of a place is the one that is likeliest to be asked for.
 */
#include "server/saved.h"

#include <stdlib.h>
#include <string.h>

#define PLACES 8192
#define KEY_BYTES 32 /* of the hex digits */

typedef struct baked {
  char key[KEY_BYTES];
  uint64_t engine_ns;
} baked;

struct srv_saved {
  pthread_mutex_t lock;
  srv_saved_totals totals;
  baked places[PLACES];
};

srv_saved *srv_saved_new(void) {
  srv_saved *saved = calloc(1, sizeof(*saved));
  if (saved != NULL) pthread_mutex_init(&saved->lock, NULL);
  return saved;
}

void srv_saved_free(srv_saved *saved) {
  if (saved == NULL) return;
  pthread_mutex_destroy(&saved->lock);
  free(saved);
}

static baked *place_of(srv_saved *saved, const char *key) {
  char digits[5] = {0};
  memcpy(digits, key, sizeof(digits) - 1);
  return &saved->places[strtoul(digits, NULL, 16) % PLACES];
}

void srv_saved_count(srv_saved *saved, const kiln_response *response) {
  if (response->status != KILN_OK || response->outcome != KILN_OUTCOME_OK) return;
  if (response->op != KILN_COMPILE && response->op != KILN_CREATE_CACHED_DATA) return;
  if (strlen(response->key) != KILN_KEY_HEX) return;
  const kiln_times *times = &response->times;
  uint64_t engine_ns = times->compile_ns + times->run_ns + times->serialize_ns;
  pthread_mutex_lock(&saved->lock);
  baked *place = place_of(saved, response->key);
  bool known = memcmp(place->key, response->key, KEY_BYTES) == 0;
  switch (response->cache) {
    case KILN_CACHE_MISS:
    case KILN_CACHE_BYPASS:
      memcpy(place->key, response->key, KEY_BYTES);
      place->engine_ns = engine_ns;
      break;
    case KILN_CACHE_COALESCED: /* has the shared bake's times */
      saved->totals.ns += engine_ns;
      saved->totals.known_hits++;
      break;
    case KILN_CACHE_HIT:
      if (!known) {
        saved->totals.unknown_hits++;
        break;
      }
      saved->totals.known_hits++;
      /* The look-up took time as well. */
      if (place->engine_ns > times->total_ns)
        saved->totals.ns += place->engine_ns - times->total_ns;
      break;
    case KILN_CACHE_NONE:
      break;
  }
  pthread_mutex_unlock(&saved->lock);
}

srv_saved_totals srv_saved_get(srv_saved *saved) {
  pthread_mutex_lock(&saved->lock);
  srv_saved_totals totals = saved->totals;
  pthread_mutex_unlock(&saved->lock);
  return totals;
}
