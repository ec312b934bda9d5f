/* SPDX-License-Identifier: MIT
 *
 * pool_loop.c: the pool's thread: waits for events and due times, keeps zygotes and idle workers at
 * hand, gives jobs to workers, and at the end takes everything down.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "toolkit/pool_private.h"

#define EVENTS 64
/* After that many failures in a row those who wait are told. */
#define FORK_FAILURES_MAX 40u
#define ZYGOTE_FAILURES_MAX 3u
#define STRAYS_EVERY_NS UINT64_C(50000000)
/* How long no engine is to be had before those who wait are told. */
#define PATIENCE_NS UINT64_C(3000000000)

uint64_t kiln__pool_now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

bool kiln__pool_watch(kiln_pool *pool, kiln_watch *watch) {
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = watch};
  return epoll_ctl(pool->epoll, EPOLL_CTL_ADD, watch->fd, &event) == 0;
}

void kiln__pool_unwatch(kiln_pool *pool, kiln_watch *watch) {
  if (watch->fd < 0) return;
  /* Closing alone would not do if another thread has just forked: the copy keeps it watched. */
  epoll_ctl(pool->epoll, EPOLL_CTL_DEL, watch->fd, /* event= */ NULL);
  close(watch->fd);
  watch->fd = -1;
}

/* ---- the end of a job --------------------------------------------------------------------------
 */

void kiln__pool_finish(kiln_pool *pool, kiln_task *task, kiln_job_result *result, bool ran) {
  uint64_t now = kiln__pool_now_ns();
  if (task->started_ns > 0) result->times.queued_ns = task->started_ns - task->submitted_ns;
  result->times.total_ns = now - task->submitted_ns;
  result->consumer_crashed = task->consumer_crashed;
  result->consumer_signal = task->consumer_signal;
  if (result->status == KILN_OK && !task->session)
    atomic_fetch_add(&pool->counters.outcomes[result->outcome], 1);
  pthread_mutex_lock(&pool->lock);
  if (ran) pool->running--;
  kiln__queue_ended(&pool->queue, task);
  if (task->session) kiln__session_next(pool, task->session);
  pthread_mutex_unlock(&pool->lock);
  task->done(task->user, result);
  kiln__task_free(task);
}

void kiln__pool_fail(kiln_pool *pool, kiln_task *task, bool ran, kiln_status status,
                     const char *reason) {
  kiln_job_result result = {.status = status,
                            .code = "",
                            .name = "",
                            .message = "",
                            .stack = "",
                            .resource = "",
                            .source_line = "",
                            .cached_data_rejected = -1};
  snprintf(result.message_of_ours, sizeof(result.message_of_ours), "%s", reason);
  kiln__pool_finish(pool, task, &result, ran);
}

/* ---- the queue ---------------------------------------------------------------------------------
 */

/* Takes the next task of the queue; with `to_run` only if one more may run and a worker is at hand
 * for it, and counts it. */
static kiln_task *dequeue(kiln_pool *pool, bool to_run) {
  pthread_mutex_lock(&pool->lock);
  kiln_task *task = NULL;
  if (!to_run || pool->running < pool->workers_max)
    task = to_run && pool->idle == 0 ? kiln__queue_take_of_session(&pool->queue)
                                     : kiln__queue_take(&pool->queue);
  if (task) {
    pool->queued--;
    if (to_run) pool->running++;
  }
  pthread_mutex_unlock(&pool->lock);
  return task;
}

void kiln__pool_put_back(kiln_pool *pool, kiln_task *task) {
  pthread_mutex_lock(&pool->lock);
  if (task->image)
    kiln__image_enqueue(task, /* first= */ true);
  else
    kiln__queue_put_first(&pool->queue, task);
  pool->queued++;
  pool->running--;
  pthread_mutex_unlock(&pool->lock);
}

static kiln_worker *find_idle(const kiln_pool *pool) {
  for (kiln_worker *worker = pool->workers; worker; worker = worker->next)
    if (worker->state == KILN_WORKER_IDLE && !worker->image) return worker;
  return NULL;
}

/* Since when the next task of the queue has waited. */
static uint64_t next_submitted_ns(kiln_pool *pool) {
  pthread_mutex_lock(&pool->lock);
  const kiln_task *task = pool->idle > 0 ? kiln__queue_next(&pool->queue) : NULL;
  uint64_t since = task ? task->submitted_ns : UINT64_MAX;
  pthread_mutex_unlock(&pool->lock);
  return since;
}

/* Runs in images, which wait for forks of these, and all others take turns. */
static void give_jobs(kiln_pool *pool) {
  for (;;) {
    bool gave = pool->images && kiln__images_give(pool, next_submitted_ns(pool));
    kiln_task *task = dequeue(pool, /* to_run= */ true);
    if (!task && !gave) return;
    if (!task) continue;
    kiln_pool_session *session = task->session;
    bool given = !session ? kiln__worker_assign(pool, find_idle(pool), task)
                          : kiln__session_assign(
                                pool, session->worker ? session->worker : find_idle(pool), task);
    if (!given) kiln__pool_put_back(pool, task);
  }
}

static void fail_queue(kiln_pool *pool, kiln_status status, const char *reason) {
  kiln_task *task;
  while ((task = dequeue(pool, /* to_run= */ false)) != NULL)
    kiln__pool_fail(pool, task, /* ran= */ false, status, reason);
}

static void fail_evicted(kiln_pool *pool) {
  pthread_mutex_lock(&pool->lock);
  kiln_task *task = pool->evicted;
  pool->evicted = NULL;
  pthread_mutex_unlock(&pool->lock);
  while (task) {
    kiln_task *next = task->next;
    kiln__pool_fail(pool, task, /* ran= */ false, KILN_EBUSY,
                    "the queue is full, and no client has more jobs in it");
    task = next;
  }
}

/* ---- keeping things at hand --------------------------------------------------------------------
 */

static bool wants_spare(const kiln_pool *pool) {
  bool was_started = pool->engine.protocol != 0; /* a pool's first zygote has all the time */
  return !pool->spare && pool->current && (pool->current->ready || was_started);
}

/* From when on it may be started: at once for a zygote that is to be renewed. */
static uint64_t spare_from(const kiln_pool *pool) {
  uint64_t from = pool->spare_from_ns;
  if (pool->current->forks >= pool->forks_per_zygote)
    from = 0;
  else if (!pool->current->ready) /* perhaps it hangs */
    from = pool->current->hello_due_ns - UINT64_C(1000000) * (KILN_HELLO_MS - KILN_HELLO_SLOW_MS);
  return from > pool->zygote_again_ns ? from : pool->zygote_again_ns;
}

static void keep_zygotes(kiln_pool *pool, uint64_t now) {
  bool spare_is_ready = pool->spare && pool->spare->ready;
  if (pool->current && pool->current->forks >= pool->forks_per_zygote && spare_is_ready) {
    /* Renewed: siblings share addresses and hash seeds. Its forks still under way come first. */
    if (!kiln__zygote_owes(pool, pool->current)) {
      atomic_fetch_add(&pool->counters.zygotes_renewed, 1);
      kiln__zygote_end(pool, pool->current, /* lost= */ false);
    }
  }
  if (pool->current && !pool->current->ready && spare_is_ready)
    kiln__zygote_end(pool, pool->current, /* lost= */ true);
  if (!pool->current && pool->spare) {
    pool->current = pool->spare;
    pool->spare = NULL;
  }
  if (now < pool->zygote_again_ns) return;
  if (!pool->current)
    kiln__zygote_start(pool, &pool->current);
  else if (wants_spare(pool) && now >= spare_from(pool))
    kiln__zygote_start(pool, &pool->spare);
}

/* No spare: a load that waits for a zygote's start takes long anyway. */
static void keep_breeder(kiln_pool *pool, uint64_t now) {
  bool needed = kiln__images_need_breeder(pool);
  kiln_zygote *breeder = pool->breeder;
  bool is_old = breeder && breeder->forks >= pool->forks_per_zygote;
  if (breeder && !needed) {
    kiln__zygote_end(pool, breeder, /* lost= */ false);
  } else if (is_old && !kiln__zygote_owes(pool, breeder)) {
    atomic_fetch_add(&pool->counters.zygotes_renewed, 1);
    kiln__zygote_end(pool, breeder, /* lost= */ false);
  }
  if (needed && !pool->breeder && now >= pool->breeder_again_ns)
    kiln__zygote_start(pool, &pool->breeder);
}

static void keep_workers(kiln_pool *pool, uint64_t now) {
  while (pool->current && pool->current->ready && now >= pool->fork_again_ns &&
         pool->idle + pool->forking < pool->idle_target) {
    bool is_old = pool->current->forks >= pool->forks_per_zygote;
    if (is_old && pool->spare && pool->spare->ready) return; /* to be renewed first */
    if (!kiln__worker_ask(pool, &(kiln_fork){0})) return;
  }
}

/* Nobody who waits shall wait for ever for an engine that does not come, nor be told before it had
 * its time to. */
static void tell_trouble(kiln_pool *pool, uint64_t now) {
  bool has_zygote = pool->current && pool->current->ready;
  bool no_zygote = !has_zygote && pool->zygote_failures >= ZYGOTE_FAILURES_MAX;
  if (pool->idle > 0 || (!no_zygote && pool->fork_failures < FORK_FAILURES_MAX)) {
    pool->trouble_since_ns = 0;
    return;
  }
  if (pool->trouble_since_ns == 0) pool->trouble_since_ns = now;
  if (now - pool->trouble_since_ns < PATIENCE_NS) return;
  fail_queue(pool, KILN_EENGINE, no_zygote ? pool->trouble : "engine: no process could be forked");
}

/* ---- time --------------------------------------------------------------------------------------
 */

static bool has_due(const kiln_worker *worker) {
  return worker->state == KILN_WORKER_FORKING || worker->state == KILN_WORKER_RUNNING ||
         (worker->state == KILN_WORKER_SESSION && worker->task);
}

/* What is being started is not known yet, and would be taken for a stray. */
static bool is_something_starting(const kiln_pool *pool) {
  for (const kiln_zygote *zygote = pool->zygotes; zygote; zygote = zygote->next)
    if (!zygote->ready) return true;
  return pool->forking > 0;
}

static void check_due(kiln_pool *pool, uint64_t now) {
  for (kiln_worker *worker = pool->workers; worker; worker = worker->next)
    if (has_due(worker) && worker->due_ns <= now) kiln__worker_on_due(pool, worker);
  for (kiln_zygote *zygote = pool->zygotes; zygote; zygote = zygote->next) {
    if (zygote->ready || zygote->ending || zygote->hello_due_ns > now) continue;
    snprintf(pool->trouble, sizeof(pool->trouble), "engine: it was not ready after %d ms",
             KILN_HELLO_MS);
    kiln__zygote_end(pool, zygote, /* lost= */ true);
  }
  if (pool->strays_until_ns == 0) return;
  /* Most end by themselves; one that was stopped does not. */
  if (now >= pool->strays_until_ns && !is_something_starting(pool)) {
    kiln__worker_kill_strays(pool);
    pool->strays_until_ns = 0;
  }
  kiln__worker_reap_strays(pool);
}

static void sooner(uint64_t *due, uint64_t other) {
  if (other < *due) *due = other;
}

/* `begun`: the time by which this round decided what was due; what has become due since is for the
 * next one. */
static int milliseconds_to_wait(const kiln_pool *pool, uint64_t begun, bool closing,
                                uint64_t drain_until) {
  uint64_t now = kiln__pool_now_ns();
  uint64_t due = UINT64_MAX;
  for (const kiln_worker *worker = pool->workers; worker; worker = worker->next)
    if (has_due(worker)) sooner(&due, worker->due_ns);
  for (const kiln_zygote *zygote = pool->zygotes; zygote; zygote = zygote->next)
    if (!zygote->ready && !zygote->ending) sooner(&due, zygote->hello_due_ns);
  if (!pool->current)
    sooner(&due, pool->zygote_again_ns);
  else if (wants_spare(pool))
    sooner(&due, spare_from(pool));
  if (!pool->breeder && kiln__images_need_breeder(pool)) sooner(&due, pool->breeder_again_ns);
  if (pool->idle + pool->forking < pool->idle_target && pool->fork_again_ns > begun)
    sooner(&due, pool->fork_again_ns);
  sooner(&due, kiln__images_due(pool, begun));
  if (pool->strays_until_ns != 0) sooner(&due, now + STRAYS_EVERY_NS);
  if (pool->trouble_since_ns != 0 && pool->trouble_since_ns + PATIENCE_NS > begun)
    sooner(&due, pool->trouble_since_ns + PATIENCE_NS);
  if (closing) sooner(&due, drain_until);
  if (due == UINT64_MAX) return -1;
  if (due <= now) return 0;
  uint64_t wait = (due - now + 999999) / 1000000;
  return wait > 60000 ? 60000 : (int)wait;
}

/* ---- the thread --------------------------------------------------------------------------------
 */

static void handle(kiln_pool *pool, kiln_watch *watch) {
  uint64_t count;
  switch (watch->kind) {
    case KILN_WATCH_WAKE:
      if (read(watch->fd, &count, sizeof(count)) < 0) return;
      break;
    case KILN_WATCH_ZYGOTE_CHANNEL:
      kiln__zygote_on_channel(pool, watch->owner);
      break;
    case KILN_WATCH_ZYGOTE_PROCESS:
      kiln__zygote_on_process(pool, watch->owner);
      break;
    case KILN_WATCH_WORKER_CHANNEL:
      kiln__worker_on_channel(pool, watch->owner);
      break;
    case KILN_WATCH_WORKER_PROCESS:
      kiln__worker_on_process(pool, watch->owner);
      break;
  }
}

/* Only now: another event of the same round may have pointed to one of them. */
static void free_gone(kiln_pool *pool) {
  for (kiln_worker **at = &pool->workers; *at;) {
    kiln_worker *worker = *at;
    if (!worker->gone) {
      at = &worker->next;
      continue;
    }
    *at = worker->next;
    free(worker);
  }
  for (kiln_zygote **at = &pool->zygotes; *at;) {
    kiln_zygote *zygote = *at;
    if (!zygote->gone) {
      at = &zygote->next;
      continue;
    }
    *at = zygote->next;
    free(zygote);
  }
}

static void wait_for_events(kiln_pool *pool, int wait_ms) {
  struct epoll_event events[EVENTS];
  int count = epoll_wait(pool->epoll, events, EVENTS, wait_ms);
  for (int i = 0; i < count; i++) handle(pool, events[i].data.ptr);
}

static void set_state(kiln_pool *pool, int state) {
  pthread_mutex_lock(&pool->lock);
  pool->state = state;
  pthread_cond_signal(&pool->state_changed);
  pthread_mutex_unlock(&pool->lock);
}

/* The first zygote decides whether there is a pool at all. */
static bool start_up(kiln_pool *pool) {
  kiln__zygote_start(pool, &pool->current);
  while (pool->current && !pool->current->ready) {
    uint64_t now = kiln__pool_now_ns();
    wait_for_events(pool, milliseconds_to_wait(pool, now, /* closing= */ false, 0));
    check_due(pool, kiln__pool_now_ns());
  }
  return pool->current != NULL;
}

/* Each job that was under way gets its done call. */
static void settle(kiln_pool *pool) {
  const char *reason = "the service is stopping";
  fail_evicted(pool);
  fail_queue(pool, KILN_ECLOSING, reason);
  kiln__sessions_take_down(pool);
  kiln__images_take_down(pool);
  for (kiln_worker *worker = pool->workers; worker; worker = worker->next) {
    kiln_task *task = worker->task;
    worker->task = NULL;
    if (task) kiln__pool_fail(pool, task, /* ran= */ true, KILN_ECLOSING, reason);
  }
}

/* Kills what lives and reaps it all. */
static void take_down(kiln_pool *pool) {
  for (kiln_zygote *zygote = pool->zygotes; zygote; zygote = zygote->next)
    kiln__zygote_end(pool, zygote, /* lost= */ false);
  for (kiln_worker *worker = pool->workers; worker; worker = worker->next)
    if (worker->state != KILN_WORKER_ENDING) kiln__worker_end(pool, worker);
  free_gone(pool);
  /* A keeper cannot end before those it kept are reaped, strays too. */
  while (pool->workers || pool->zygotes) {
    wait_for_events(pool, /* wait_ms= */ 20);
    free_gone(pool);
    kiln__worker_reap_strays(pool);
  }
  /* What was forked and never announced. Nobody forks any more, and no pid can be reused before it
   * is reaped here. */
  kiln__worker_kill_strays(pool);
  siginfo_t info;
  while (waitid(P_ALL, 0, &info, WEXITED | __WNOTHREAD) == 0 || errno == EINTR) continue;
  kiln__images_free(pool);
}

void *kiln__pool_main(void *argument) {
  kiln_pool *pool = argument;
  pthread_setname_np(pthread_self(), "kiln-pool");
  bool good = start_up(pool);
  if (!good) {
    settle(pool);
    take_down(pool);
    set_state(pool, KILN_POOL_BROKEN);
    return NULL;
  }
  pool->spare_from_ns = kiln__pool_now_ns() + UINT64_C(1000000) * KILN_SPARE_AFTER_MS;
  set_state(pool, KILN_POOL_STARTED);
  for (;;) {
    uint64_t now = kiln__pool_now_ns();
    check_due(pool, now);
    kiln__sessions_end(pool);
    keep_zygotes(pool, now);
    fail_evicted(pool);
    give_jobs(pool);
    keep_workers(pool, now);
    kiln__images_keep(pool, now);
    keep_breeder(pool, now);
    tell_trouble(pool, now);
    free_gone(pool);
    atomic_store(&pool->ready, pool->idle > 0 || (pool->current && pool->current->ready));

    pthread_mutex_lock(&pool->lock);
    bool closing = pool->closing;
    bool has_jobs = pool->queued + pool->running > 0;
    uint64_t drain_until = pool->drain_until_ns;
    pthread_mutex_unlock(&pool->lock);
    if (closing && (!has_jobs || kiln__pool_now_ns() >= drain_until)) break;
    wait_for_events(pool, milliseconds_to_wait(pool, now, closing, drain_until));
  }
  settle(pool);
  set_state(pool, KILN_POOL_SETTLED);
  take_down(pool);
  return NULL;
}
