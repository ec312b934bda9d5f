/* SPDX-License-Identifier: MIT
 *
 * pool.c: the pool as its users see it: made, given jobs, asked, freed. What happens to the jobs is
 * the thread's part: pool_loop.c, pool_worker.c, pool_zygote.c.
 */
#include "toolkit/pool.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "toolkit/pool_private.h"
#include "toolkit/status.h"

#define WORKERS_MAX 1024u

void kiln__pool_wake(kiln_pool *pool) {
  uint64_t one = 1;
  /* Can only fail if the counter is full: then the thread is to wake anyway. */
  ssize_t ignored = write(pool->wake.fd, &one, sizeof(one));
  (void)ignored;
}

static void free_parts(kiln_pool *pool) {
  if (pool->wake.fd >= 0) close(pool->wake.fd);
  if (pool->epoll >= 0) close(pool->epoll);
  kiln__wire_out_release(&pool->fork_message);
  kiln__wire_out_release(&pool->filter_message);
  kiln__wire_out_release(&pool->breeder_message);
  pthread_cond_destroy(&pool->state_changed);
  pthread_mutex_destroy(&pool->lock);
  free(pool->engine_path);
  free(pool->preload);
  free(pool->v8_flags);
  free(pool);
}

/* Starts the pool's thread with every signal blocked: they are for the caller's threads. */
static int start_thread(kiln_pool *pool) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int failed = pthread_create(&pool->thread, /* attr= */ NULL, kiln__pool_main, pool);
  pthread_sigmask(SIG_SETMASK, &before, /* old= */ NULL);
  return failed;
}

static bool copy_texts(kiln_pool *pool, const kiln_pool_options *options) {
  pool->engine_path = strdup(options->engine_path);
  const char *flags = options->v8_flags ? options->v8_flags : "";
  const char *jitless = options->jitless ? " --jitless" : "";
  if ((flags[0] != '\0' || options->jitless) &&
      asprintf(&pool->v8_flags, "%s%s", flags, jitless) < 0) {
    pool->v8_flags = NULL;
    return false;
  }
  if (options->preload && asprintf(&pool->preload, "LD_PRELOAD=%s", options->preload) < 0) {
    pool->preload = NULL;
    return false;
  }
  return pool->engine_path != NULL;
}

static kiln_pool *make(const kiln_pool_options *options) {
  kiln_pool *pool = calloc(1, sizeof(*pool));
  if (!pool) return NULL;
  pthread_mutex_init(&pool->lock, /* attr= */ NULL);
  pthread_cond_init(&pool->state_changed, /* attr= */ NULL);
  bool copied = copy_texts(pool, options);
  pool->workers_max = options->workers_max;
  pool->queue_max = options->queue_max;
  pool->forks_per_zygote = options->forks_per_zygote;
  pool->kill_grace_ms = options->kill_grace_ms;
  pool->jitless = options->jitless;
  pool->sandbox_required = options->sandbox_required;
  pool->sandbox_off = options->sandbox_off;
  pool->large_pages = options->large_pages;
  pool->idle_target = options->workers_max < KILN_IDLE_MAX ? options->workers_max : KILN_IDLE_MAX;
  uint64_t places = (uint64_t)options->workers_max + options->queue_max;
  uint64_t share = options->client_share > 0 ? places * options->client_share / 100 : places;
  pool->client_max = share > 0 ? (unsigned)share : 1;
  pool->epoll = epoll_create1(EPOLL_CLOEXEC);
  pool->wake = (kiln_watch){KILN_WATCH_WAKE, pool, eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  kiln__wire_out_init(&pool->fork_message, KILN_WIRE_FORK);
  kiln__wire_out_init(&pool->filter_message, KILN_WIRE_FILTER);
  kiln__wire_out_init(&pool->breeder_message, KILN_WIRE_FILTER);
  if (!copied || !kiln__wire_finish(&pool->fork_message) || pool->epoll < 0 || pool->wake.fd < 0 ||
      !kiln__pool_watch(pool, &pool->wake)) {
    int reason = errno;
    free_parts(pool);
    errno = reason;
    return NULL;
  }
  return pool;
}

kiln_status kiln_pool_start(const kiln_pool_options *options, kiln_pool **ret_pool,
                            kiln_error *err) {
  if (!options->engine_path || !options->engine_name || options->workers_max == 0 ||
      options->workers_max > WORKERS_MAX || options->forks_per_zygote == 0 ||
      strlen(options->engine_name) >= sizeof(((kiln_engine_info *)NULL)->name))
    return kiln__fail(err, KILN_EINVAL, /* code= */ NULL,
                      "pool: needs a path, a name, 1 to %u workers and forks", WORKERS_MAX);
  kiln_pool *pool = make(options);
  if (!pool) return kiln__fail(err, KILN_ENOMEM, NULL, "pool: %s", strerror(errno));
  memcpy(pool->engine.name, options->engine_name, strlen(options->engine_name));
  int failed = start_thread(pool);
  if (failed) {
    free_parts(pool);
    return kiln__fail(err, KILN_ENOMEM, NULL, "pool: thread: %s", strerror(failed));
  }
  *ret_pool = pool;
  return KILN_OK;
}

kiln_status kiln_pool_await(kiln_pool *pool, kiln_error *err) {
  pthread_mutex_lock(&pool->lock);
  while (pool->state == KILN_POOL_STARTING) pthread_cond_wait(&pool->state_changed, &pool->lock);
  bool good = pool->state == KILN_POOL_STARTED;
  pthread_mutex_unlock(&pool->lock);
  if (!good) {
    pthread_join(pool->thread, /* ret= */ NULL);
    kiln__fail(err, KILN_EENGINE, NULL, "%s", pool->trouble);
    free_parts(pool);
    return KILN_EENGINE;
  }
  return KILN_OK;
}

kiln_status kiln_pool_new(const kiln_pool_options *options, kiln_pool **ret_pool, kiln_error *err) {
  kiln_pool *pool;
  kiln_status status = kiln_pool_start(options, &pool, err);
  if (status == KILN_OK) status = kiln_pool_await(pool, err);
  if (status == KILN_OK) *ret_pool = pool;
  return status;
}

void kiln_pool_close(kiln_pool *pool, unsigned drain_ms) {
  pthread_mutex_lock(&pool->lock);
  if (!pool->closing) pool->drain_until_ns = kiln__pool_now_ns() + (uint64_t)drain_ms * 1000000u;
  pool->closing = true;
  pthread_mutex_unlock(&pool->lock);
  kiln__pool_wake(pool);
}

void kiln_pool_settle(kiln_pool *pool, unsigned drain_ms) {
  kiln_pool_close(pool, drain_ms);
  pthread_mutex_lock(&pool->lock);
  while (pool->state != KILN_POOL_SETTLED) pthread_cond_wait(&pool->state_changed, &pool->lock);
  pthread_mutex_unlock(&pool->lock);
}

void kiln_pool_free(kiln_pool *pool, unsigned drain_ms) {
  if (!pool) return;
  kiln_pool_settle(pool, drain_ms);
  pthread_join(pool->thread, /* ret= */ NULL);
  free_parts(pool);
}

kiln_status kiln__pool_enqueue(kiln_pool *pool, kiln_task *task, uint64_t client) {
  kiln_task *evicted = NULL;
  if (pool->closing) return KILN_ECLOSING;
  if (kiln__queue_count(&pool->queue, client) >= pool->client_max) return KILN_EBUSY;
  if (pool->queued + pool->running >= pool->workers_max + pool->queue_max) {
    evicted = kiln__queue_evict(&pool->queue, client);
    if (!evicted) return KILN_EBUSY;
    evicted->next = pool->evicted;
    pool->evicted = evicted;
    pool->queued--;
  }
  if (!kiln__queue_put(&pool->queue, task, client)) return KILN_ENOMEM;
  pool->queued++;
  return KILN_OK;
}

/* It waits for a fork of its image, and counts for its client all the same. */
static kiln_status enqueue_for_image(kiln_pool *pool, kiln_task *task, uint64_t client) {
  if (pool->closing) return KILN_ECLOSING;
  if (kiln__queue_count(&pool->queue, client) >= pool->client_max ||
      pool->queued + pool->running >= pool->workers_max + pool->queue_max)
    return KILN_EBUSY;
  if (!kiln__queue_hold(&pool->queue, task, client)) return KILN_ENOMEM;
  kiln__image_enqueue(task, /* first= */ false);
  pool->queued++;
  return KILN_OK;
}

/* One that takes another's place is never one too many. */
static kiln_status enqueue(kiln_pool *pool, kiln_task *task, const kiln_job *job) {
  if (task->image) return enqueue_for_image(pool, task, job->client);
  if (!job->follows || pool->closing) return kiln__pool_enqueue(pool, task, job->client);
  kiln__queue_put_first(&pool->queue, task);
  pool->queued++;
  return KILN_OK;
}

kiln_task *kiln__task_new(kiln_job_done_fn done, void *user) {
  kiln_task *task = calloc(1, sizeof(*task));
  if (!task) return NULL;
  task->submitted_ns = kiln__pool_now_ns();
  task->done = done;
  task->user = user;
  return task;
}

void kiln__task_free(kiln_task *task) {
  kiln__wire_out_release(&task->message);
  kiln__wire_out_release(&task->without);
  if (task->session) kiln__session_unref(task->session);
  free(task);
}

kiln_status kiln_pool_submit(kiln_pool *pool, const kiln_job *job, kiln_job_done_fn done,
                             void *user, kiln_error *err) {
  if (job->timeout_ms == 0)
    return kiln__fail(err, KILN_EINVAL, /* code= */ NULL, "job: without a time limit");
  kiln_task *task = kiln__task_new(done, user);
  if (!task) return kiln__fail(err, KILN_ENOMEM, NULL, "job: out of memory");
  task->timeout_ms = job->timeout_ms;
  task->limits = (kiln_job_result_limits){job->result_max_bytes, job->console_max_bytes,
                                          /* session= */ false};
  task->image = job->image;
  kiln_status status = kiln__job_encode(job, &task->message);
  if (status == KILN_OK && job->op == KILN_JOB_RUN && job->cached_data != NULL) {
    kiln_job without = *job;
    without.cached_data = NULL;
    status = kiln__job_encode(&without, &task->without);
  }
  if (status != KILN_OK) {
    kiln__task_free(task);
    return kiln__fail(err, status, NULL, "job: %s",
                      status == KILN_ETOOBIG ? "larger than a message may be" : "out of memory");
  }
  pthread_mutex_lock(&pool->lock);
  status = enqueue(pool, task, job);
  unsigned of_client = kiln__queue_count(&pool->queue, job->client);
  pthread_mutex_unlock(&pool->lock);
  if (status == KILN_OK) {
    kiln__pool_wake(pool);
    return KILN_OK;
  }
  kiln__task_free(task);
  if (status == KILN_ECLOSING) return kiln__fail(err, status, NULL, "the service is stopping");
  if (status == KILN_ENOMEM) return kiln__fail(err, status, NULL, "job: out of memory");
  if (of_client >= pool->client_max)
    return kiln__fail(err, status, NULL, "%u jobs of this client run or wait already, limit %u",
                      of_client, pool->client_max);
  return kiln__fail(err, status, NULL, "%u jobs run and %u wait already", pool->workers_max,
                    pool->queue_max);
}

void kiln_pool_get_engine(const kiln_pool *pool, kiln_engine_info *ret_info) {
  *ret_info = pool->engine;
}

bool kiln_pool_is_ready(const kiln_pool *pool) {
  return atomic_load(&pool->ready);
}

void kiln_pool_add_stats(kiln_pool *pool, kiln_stats *stats) {
  kiln_pool_counters *counters = &pool->counters;
  stats->jobs += atomic_load(&counters->jobs);
  stats->jobs_ok += atomic_load(&counters->outcomes[KILN_OUTCOME_OK]);
  stats->jobs_exception += atomic_load(&counters->outcomes[KILN_OUTCOME_EXCEPTION]);
  stats->jobs_time_limit += atomic_load(&counters->outcomes[KILN_OUTCOME_TIME_LIMIT]);
  stats->jobs_memory_limit += atomic_load(&counters->outcomes[KILN_OUTCOME_MEMORY_LIMIT]);
  stats->jobs_crashed += atomic_load(&counters->outcomes[KILN_OUTCOME_CRASHED]);
  stats->kills += atomic_load(&counters->kills);
  stats->zygotes_started += atomic_load(&counters->zygotes_started);
  stats->zygotes_lost += atomic_load(&counters->zygotes_lost);
  stats->zygotes_not_ready += atomic_load(&counters->zygotes_not_ready);
  stats->zygotes_renewed += atomic_load(&counters->zygotes_renewed);
  stats->protocol_errors += atomic_load(&counters->protocol_errors);
  stats->sandbox_alarms += atomic_load(&counters->sandbox_alarms);
  pthread_mutex_lock(&pool->lock);
  stats->jobs_running += pool->running;
  stats->jobs_queued += pool->queued;
  pthread_mutex_unlock(&pool->lock);
}
