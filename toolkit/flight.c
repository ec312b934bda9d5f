/* SPDX-License-Identifier: MIT
 *
 * flight.c: a hash table of flights under one mutex, which is held for a few instructions only.
 */
#include "toolkit/flight.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* Flights are as many as jobs that run or wait, some hundreds; identities are digests, so their
 * first bytes are as good as any hash. */
#define BUCKETS 1024

struct kiln_flights {
  pthread_mutex_t mutex;
  size_t members;
  size_t members_max;
  kiln_flight *buckets[BUCKETS];
};

kiln_flights *kiln_flights_new(size_t members_max) {
  kiln_flights *flights = calloc(1, sizeof(*flights));
  if (flights == NULL) return NULL;
  flights->members_max = members_max;
  if (pthread_mutex_init(&flights->mutex, NULL) != 0) {
    free(flights);
    return NULL;
  }
  return flights;
}

void kiln_flights_free(kiln_flights *flights) {
  if (flights == NULL) return;
  (void)pthread_mutex_destroy(&flights->mutex);
  free(flights);
}

static kiln_flight **bucket_of(kiln_flights *flights, const kcc_digest *id) {
  return &flights->buckets[((unsigned)id->bytes[0] << 8 | id->bytes[1]) % BUCKETS];
}

kiln_boarding kiln_flights_board(kiln_flights *flights, kiln_flight *candidate,
                                 kiln_flight_member *member) {
  kiln_boarding boarding = KILN_FLIGHT_FULL;
  member->next = NULL;
  (void)pthread_mutex_lock(&flights->mutex);
  if (flights->members < flights->members_max) {
    kiln_flight **bucket = bucket_of(flights, &candidate->id);
    kiln_flight *flight = *bucket;
    while (flight != NULL && memcmp(&flight->id, &candidate->id, sizeof(flight->id)) != 0) {
      flight = flight->next;
    }
    boarding = KILN_FLIGHT_JOINED;
    if (flight == NULL) {
      boarding = KILN_FLIGHT_LEADS;
      flight = candidate;
      flight->end = &flight->first;
      flight->next = *bucket;
      *bucket = flight;
    }
    *flight->end = member;
    flight->end = &member->next;
    flights->members++;
  }
  (void)pthread_mutex_unlock(&flights->mutex);
  return boarding;
}

kiln_flight_member *kiln_flights_land(kiln_flights *flights, kiln_flight *flight) {
  (void)pthread_mutex_lock(&flights->mutex);
  kiln_flight **link = bucket_of(flights, &flight->id);
  while (*link != flight) link = &(*link)->next;
  *link = flight->next;
  for (kiln_flight_member *member = flight->first; member != NULL; member = member->next) {
    flights->members--;
  }
  (void)pthread_mutex_unlock(&flights->mutex);
  return flight->first;
}
