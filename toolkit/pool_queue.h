/* SPDX-License-Identifier: MIT
 *
 * pool_queue.h: the tasks of a pool that wait, a lane for each client: clients take turns, however
 * many tasks each has. Private to the toolkit; whoever calls holds the pool's lock.
 */
#ifndef KILN_TOOLKIT_POOL_QUEUE_H
#define KILN_TOOLKIT_POOL_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

#define KILN_LANE_BUCKETS 256

typedef struct kiln_task kiln_task;
typedef struct kiln_pool_session kiln_pool_session;

/* A client with tasks that wait, or that were taken and have not ended. */
typedef struct kiln_lane {
  struct kiln_lane *chain; /* of its bucket */
  struct kiln_lane
      *next; /* whose turn is after this one's; NULL: the last one's, or nobody waits */
  uint64_t client;
  kiln_task *first, *last;
  unsigned waiting;
  unsigned taken;
  bool in_turn;
} kiln_lane;

typedef struct kiln_queue {
  kiln_task *urgent; /* before all others, the last come first */
  kiln_lane *turn, *turn_last;
  kiln_lane *buckets[KILN_LANE_BUCKETS];
} kiln_queue;

/* Tasks of a client that wait or run. */
unsigned kiln__queue_count(const kiln_queue *queue, uint64_t client);

/* False: no memory. */
bool kiln__queue_put(kiln_queue *queue, kiln_task *task, uint64_t client);
void kiln__queue_put_first(kiln_queue *queue, kiln_task *task);

/* The next task, NULL if none waits. It counts for its client until kiln__queue_ended(). */
kiln_task *kiln__queue_take(kiln_queue *queue);
/* ... the next one whose session has a worker. */
kiln_task *kiln__queue_take_of_session(kiln_queue *queue);
/* Takes the one that is of this session. */
kiln_task *kiln__queue_take_session(kiln_queue *queue, const kiln_pool_session *session);

/* Counts for its client a task that waits elsewhere, until it is put in or kiln__queue_ended().
 * False: no memory. */
bool kiln__queue_hold(kiln_queue *queue, kiln_task *task, uint64_t client);
void kiln__queue_put_held(kiln_queue *queue, kiln_task *task);

void kiln__queue_ended(kiln_queue *queue, kiln_task *task);

/* Takes the last task of the client that has the most, where `client` would then still have no more
 * than that one; NULL: there is none such. */
kiln_task *kiln__queue_evict(kiln_queue *queue, uint64_t client);

#endif
