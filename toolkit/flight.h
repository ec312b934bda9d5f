/* SPDX-License-Identifier: MIT
 *
 * flight.h: single flight: of many equal requests at once, one does the work and all get its
 * answer. Private to the toolkit.
 *
 * It knows only identities and who waits. Memory is the callers': flights and members are embedded
 * in their own structs, so that nothing here can fail for want of memory.
 */
#ifndef KILN_TOOLKIT_FLIGHT_H
#define KILN_TOOLKIT_FLIGHT_H

#include "cache/kcc.h"

/* Someone who waits for a flight to land. */
typedef struct kiln_flight_member {
  struct kiln_flight_member *next; /* private until the flight has landed */
} kiln_flight_member;

/* Work under way. The caller sets `id` and leaves the rest alone. */
typedef struct kiln_flight {
  kcc_digest id;
  struct kiln_flight *next;
  kiln_flight_member *first;
  kiln_flight_member **end;
} kiln_flight;

typedef struct kiln_flights kiln_flights;

/* A table that lets `members_max` members wait in all. NULL on out of memory. */
kiln_flights *kiln_flights_new(size_t members_max);
/* Nothing may be in flight. NULL does nothing. */
void kiln_flights_free(kiln_flights *flights);

typedef enum kiln_boarding {
  KILN_FLIGHT_LEADS,  /* `candidate` is now under way: its owner does the work and lands it */
  KILN_FLIGHT_JOINED, /* `member` waits for an equal one; `candidate` is not used */
  KILN_FLIGHT_FULL,   /* too many wait; neither is used */
} kiln_boarding;

/* Joins the flight that has candidate's id, or makes `candidate` that flight with `member` as its
 * first. After KILN_FLIGHT_JOINED the member belongs to whoever lands the flight, which may already
 * have happened when this returns. */
kiln_boarding kiln_flights_board(kiln_flights *flights, kiln_flight *candidate,
                                 kiln_flight_member *member);

/* Ends a flight: the next one to board with its id leads anew. Returns the members in the order in
 * which they came, the leader's first. */
kiln_flight_member *kiln_flights_land(kiln_flights *flights, kiln_flight *flight);

#endif
