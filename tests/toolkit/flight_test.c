/* SPDX-License-Identifier: MIT
 *
 * flight_test.c: single flight alone: who leads, who joins, in which order they land, and the same
 * under many threads.
 */
#include "toolkit/flight.h"

#include <check.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static kcc_digest id_of(unsigned number) {
  kcc_digest id;
  memset(&id, 0, sizeof(id));
  memcpy(id.bytes + 4, &number, sizeof(number)); /* all in one bucket: the chain is used */
  return id;
}

START_TEST(first_leads_others_join) {
  kiln_flights *flights = kiln_flights_new(10);
  kiln_flight a = {.id = id_of(1)}, a2 = {.id = id_of(1)}, b = {.id = id_of(2)};
  kiln_flight_member members[4];
  ck_assert_int_eq(kiln_flights_board(flights, &a, &members[0]), KILN_FLIGHT_LEADS);
  ck_assert_int_eq(kiln_flights_board(flights, &b, &members[1]), KILN_FLIGHT_LEADS);
  ck_assert_int_eq(kiln_flights_board(flights, &a2, &members[2]), KILN_FLIGHT_JOINED);
  ck_assert_int_eq(kiln_flights_board(flights, &a2, &members[3]), KILN_FLIGHT_JOINED);
  kiln_flight_member *landed = kiln_flights_land(flights, &a);
  ck_assert_ptr_eq(landed, &members[0]);
  ck_assert_ptr_eq(landed->next, &members[2]);
  ck_assert_ptr_eq(landed->next->next, &members[3]);
  ck_assert_ptr_null(landed->next->next->next);
  /* Once landed, the next of its kind leads. */
  ck_assert_int_eq(kiln_flights_board(flights, &a2, &members[0]), KILN_FLIGHT_LEADS);
  ck_assert_ptr_eq(kiln_flights_land(flights, &a2), &members[0]);
  landed = kiln_flights_land(flights, &b);
  ck_assert_ptr_eq(landed, &members[1]);
  ck_assert_ptr_null(landed->next);
  kiln_flights_free(flights);
}
END_TEST

START_TEST(waiting_is_bounded) {
  kiln_flights *flights = kiln_flights_new(2);
  kiln_flight a = {.id = id_of(1)}, b = {.id = id_of(2)};
  kiln_flight_member members[3];
  ck_assert_int_eq(kiln_flights_board(flights, &a, &members[0]), KILN_FLIGHT_LEADS);
  ck_assert_int_eq(kiln_flights_board(flights, &a, &members[1]), KILN_FLIGHT_JOINED);
  ck_assert_int_eq(kiln_flights_board(flights, &a, &members[2]), KILN_FLIGHT_FULL);
  ck_assert_int_eq(kiln_flights_board(flights, &b, &members[2]), KILN_FLIGHT_FULL);
  (void)kiln_flights_land(flights, &a);
  ck_assert_int_eq(kiln_flights_board(flights, &b, &members[2]), KILN_FLIGHT_LEADS);
  (void)kiln_flights_land(flights, &b);
  kiln_flights_free(flights);
}
END_TEST

#define THREADS 8
#define ROUNDS 4000
#define IDS 3

typedef struct rider {
  kiln_flight_member member; /* first: a member is its rider */
  kiln_flight flight;
  atomic_bool answered;
} rider;

static kiln_flights *shared;
static atomic_uint leaders, joiners;
static atomic_int under_way[IDS];

static void *ride(void *argument) {
  unsigned seed = *(unsigned *)argument;
  for (unsigned round = 0; round < ROUNDS; round++) {
    rider *self = calloc(1, sizeof(*self));
    if (self == NULL) abort();
    unsigned which = (seed + round) % IDS;
    self->flight.id = id_of(which);
    if (kiln_flights_board(shared, &self->flight, &self->member) == KILN_FLIGHT_LEADS) {
      if (atomic_fetch_add(&under_way[which], 1) != 0) abort(); /* two lead at once */
      atomic_fetch_add(&leaders, 1);
      atomic_fetch_sub(&under_way[which], 1);
      kiln_flight_member *member = kiln_flights_land(shared, &self->flight);
      while (member != NULL) {
        kiln_flight_member *next = member->next;
        rider *landed = (rider *)(void *)member;
        if (landed != self) {
          atomic_fetch_add(&joiners, 1);
          atomic_store(&landed->answered, true);
        }
        member = next;
      }
      free(self);
    } else {
      while (!atomic_load(&self->answered)) sched_yield();
      free(self);
    }
  }
  return NULL;
}

START_TEST(threads_are_each_answered_once) {
  shared = kiln_flights_new(THREADS);
  pthread_t threads[THREADS];
  unsigned seeds[THREADS];
  for (unsigned i = 0; i < THREADS; i++) {
    seeds[i] = i / 2;
    ck_assert_int_eq(pthread_create(&threads[i], NULL, ride, &seeds[i]), 0);
  }
  for (unsigned i = 0; i < THREADS; i++) ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
  ck_assert_uint_eq(atomic_load(&leaders) + atomic_load(&joiners), THREADS * ROUNDS);
  kiln_flights_free(shared);
}
END_TEST

int main(void) {
  Suite *suite = suite_create("flight");
  TCase *tcase = tcase_create("flight");
  tcase_add_test(tcase, first_leads_others_join);
  tcase_add_test(tcase, waiting_is_bounded);
  tcase_add_test(tcase, threads_are_each_answered_once);
  tcase_set_timeout(tcase, 60);
  suite_add_tcase(suite, tcase);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_ENV);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
