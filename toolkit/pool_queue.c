/* SPDX-License-Identifier: MIT
 *
 * pool_queue.c: see pool_queue.h.
 */
#include "toolkit/pool_queue.h"

#include <stdlib.h>

#include "toolkit/pool_private.h"

static kiln_lane **place_of(kiln_queue *queue, uint64_t client) {
  kiln_lane **at = &queue->buckets[client % KILN_LANE_BUCKETS];
  while (*at && (*at)->client != client) at = &(*at)->chain;
  return at;
}

unsigned kiln__queue_count(const kiln_queue *queue, uint64_t client) {
  const kiln_lane *lane = queue->buckets[client % KILN_LANE_BUCKETS];
  while (lane && lane->client != client) lane = lane->chain;
  return lane ? lane->waiting + lane->taken : 0;
}

static void take_turn(kiln_queue *queue, kiln_lane *lane) {
  lane->next = NULL;
  lane->in_turn = true;
  if (queue->turn)
    queue->turn_last->next = lane;
  else
    queue->turn = lane;
  queue->turn_last = lane;
}

/* The lane whose turn it is leaves the line. */
static void end_turn(kiln_queue *queue) {
  kiln_lane *lane = queue->turn;
  queue->turn = lane->next;
  lane->next = NULL;
  lane->in_turn = false;
}

static void leave_turn(kiln_queue *queue, kiln_lane *lane) {
  kiln_lane *before = NULL;
  for (kiln_lane *at = queue->turn; at != lane; at = at->next) before = at;
  if (!before) {
    end_turn(queue);
    return;
  }
  before->next = lane->next;
  if (queue->turn_last == lane) queue->turn_last = before;
  lane->next = NULL;
  lane->in_turn = false;
}

static void free_if_done(kiln_queue *queue, kiln_lane *lane) {
  if (lane->waiting + lane->taken > 0) return;
  *place_of(queue, lane->client) = lane->chain;
  free(lane);
}

static kiln_lane *lane_of(kiln_queue *queue, uint64_t client) {
  kiln_lane **place = place_of(queue, client);
  if (!*place) {
    *place = calloc(1, sizeof(**place));
    if (*place) (*place)->client = client;
  }
  return *place;
}

static void put(kiln_queue *queue, kiln_lane *lane, kiln_task *task) {
  task->lane = lane;
  task->next = NULL;
  task->previous = lane->last;
  if (lane->last)
    lane->last->next = task;
  else
    lane->first = task;
  lane->last = task;
  lane->waiting++;
  if (!lane->in_turn) take_turn(queue, lane);
}

bool kiln__queue_put(kiln_queue *queue, kiln_task *task, uint64_t client) {
  kiln_lane *lane = lane_of(queue, client);
  if (!lane) return false;
  put(queue, lane, task);
  return true;
}

bool kiln__queue_hold(kiln_queue *queue, kiln_task *task, uint64_t client) {
  kiln_lane *lane = lane_of(queue, client);
  if (!lane) return false;
  task->lane = lane;
  lane->taken++;
  return true;
}

void kiln__queue_put_held(kiln_queue *queue, kiln_task *task) {
  task->lane->taken--;
  put(queue, task->lane, task);
}

void kiln__queue_put_first(kiln_queue *queue, kiln_task *task) {
  task->next = queue->urgent;
  queue->urgent = task;
}

kiln_task *kiln__queue_take(kiln_queue *queue) {
  kiln_task *task = queue->urgent;
  if (task) {
    queue->urgent = task->next;
    task->next = NULL;
    return task;
  }
  kiln_lane *lane = queue->turn;
  if (!lane) return NULL;
  task = lane->first;
  lane->first = task->next;
  if (lane->first)
    lane->first->previous = NULL;
  else
    lane->last = NULL;
  task->next = NULL;
  lane->waiting--;
  lane->taken++;
  end_turn(queue);
  if (lane->waiting > 0) take_turn(queue, lane);
  return task;
}

/* Whether the task is of `session`; NULL: of any that has a worker. */
static bool is_of(const kiln_task *task, const kiln_pool_session *session) {
  return session ? task->session == session : task->session && task->session->worker;
}

static void take_out(kiln_queue *queue, kiln_lane *lane, kiln_task *task) {
  *(task->previous ? &task->previous->next : &lane->first) = task->next;
  *(task->next ? &task->next->previous : &lane->last) = task->previous;
  task->next = task->previous = NULL;
  lane->waiting--;
  lane->taken++;
  leave_turn(queue, lane);
  if (lane->waiting > 0) take_turn(queue, lane);
}

kiln_task *kiln__queue_take_session(kiln_queue *queue, const kiln_pool_session *session) {
  for (kiln_task **at = &queue->urgent; *at; at = &(*at)->next) {
    kiln_task *task = *at;
    if (!is_of(task, session)) continue;
    *at = task->next;
    task->next = NULL;
    return task;
  }
  for (kiln_lane *lane = queue->turn; lane; lane = lane->next) {
    for (kiln_task *task = lane->first; task; task = task->next) {
      if (!is_of(task, session)) continue;
      take_out(queue, lane, task);
      return task;
    }
  }
  return NULL;
}

kiln_task *kiln__queue_take_of_session(kiln_queue *queue) {
  return kiln__queue_take_session(queue, /* session= */ NULL);
}

void kiln__queue_ended(kiln_queue *queue, kiln_task *task) {
  kiln_lane *lane = task->lane;
  if (!lane) return;
  task->lane = NULL;
  lane->taken--;
  free_if_done(queue, lane);
}

kiln_task *kiln__queue_evict(kiln_queue *queue, uint64_t client) {
  kiln_lane *most = NULL;
  for (kiln_lane *lane = queue->turn; lane; lane = lane->next)
    if (!most || lane->waiting + lane->taken > most->waiting + most->taken) most = lane;
  if (!most || most->waiting + most->taken <= kiln__queue_count(queue, client) + 1) return NULL;
  kiln_task *task = most->last;
  most->last = task->previous;
  if (most->last)
    most->last->next = NULL;
  else
    most->first = NULL;
  task->previous = NULL;
  task->lane = NULL;
  if (--most->waiting == 0) leave_turn(queue, most);
  free_if_done(queue, most);
  return task;
}
