/* SPDX-License-Identifier: MIT
 *
 * pool.h: engine processes. Private to the toolkit.
 *
 * The pool runs one thread with an epoll loop. It keeps a zygote (kiln-engine) and a spare one
 * ready; for each job it has the zygote clone a worker (CLONE_PARENT, so that the worker is this
 * process's child, outlives a zygote that dies and is reaped here by its pidfd), sends the job over
 * a socketpair of its own, waits for the answer until the deadline plus grace, kills and reaps.
 * Whatever a worker does costs its own job at most.
 */
#ifndef KILN_TOOLKIT_POOL_H
#define KILN_TOOLKIT_POOL_H

#include "toolkit/job.h"
#include "toolkit/session_frame.h"

typedef struct kiln_pool kiln_pool;

typedef struct kiln_pool_options {
  const char *engine_path;
  const char *engine_name; /* "node-18" */
  const char *preload;     /* the engine as an object for the node binary engine_path; NULL: none */
  const char *v8_flags;    /* beside the host's own; NULL: none */
  unsigned workers_max;
  unsigned queue_max;
  unsigned forks_per_zygote;
  unsigned kill_grace_ms;
  bool sandbox_required; /* or the first hello fails */
  bool sandbox_off;      /* not with it */
  bool jitless;
  bool large_pages;      /* for V8's code, where there are such */
  unsigned client_share; /* percent of workers and queue that one client may fill; 0 means 100 */
} kiln_pool_options;

/* Starts thread and zygote. The pool may be used, and be freed, only after kiln_pool_await(). */
kiln_status kiln_pool_start(const kiln_pool_options *options, kiln_pool **ret_pool,
                            kiln_error *err);

/* Waits for the zygote's handshake. KILN_EENGINE says why it did not come; the pool is gone then.
 */
kiln_status kiln_pool_await(kiln_pool *pool, kiln_error *err);

/* Both at once. */
kiln_status kiln_pool_new(const kiln_pool_options *options, kiln_pool **ret_pool, kiln_error *err);

/* Takes no more jobs; gives those it has drain_ms, kills the rest (each gets its done call with
 * KILN_ECLOSING) and ends the zygotes. Waits for nothing of that. The first call counts. */
void kiln_pool_close(kiln_pool *pool, unsigned drain_ms);
/* Closes it, unless that is done, and waits until every job has had its done call. */
void kiln_pool_settle(kiln_pool *pool, unsigned drain_ms);
/* Settles it, waits until every process is reaped, frees it. */
void kiln_pool_free(kiln_pool *pool, unsigned drain_ms);

/* `result` is lent for the call, which is made on the pool's thread, never under a lock. It may
 * submit; it must not block, free the pool or start processes (the pool reaps its thread's
 * children). */
typedef void (*kiln_job_done_fn)(void *user, const kiln_job_result *result);

/* Queues a job. Clients take turns; where all places are taken, the client with the most jobs loses
 * its last one, with KILN_EBUSY, to one that has fewer. What it points to is copied or referenced
 * before this returns. KILN_EBUSY when workers and queue are full, KILN_ECLOSING; then `done` is
 * never called. Otherwise it is called exactly once. */
kiln_status kiln_pool_submit(kiln_pool *pool, const kiln_job *job, kiln_job_done_fn done,
                             void *user, kiln_error *err);

/* ---- sessions --------------------------------------------------------------------------------
 * A session is a worker that stays. It counts among those that run only while it does a command;
 * its commands take their turns in the same queue as jobs, one of a session at a time. */

/* How a session ended. X(symbol, word, what is said of it) */
#define KILN_SESSION_END_MAP(X)                                                           \
  X(KILN_SESSION_LIVES, lives, "it has not")                                              \
  X(KILN_SESSION_CLOSED, closed, "it was closed")                                         \
  X(KILN_SESSION_IDLE, idle, "it was idle for too long")                                  \
  X(KILN_SESSION_EVICTED, evicted, "it was the longest idle when another one was opened") \
  X(KILN_SESSION_TIME_LIMIT, time_limit, "a command went on after its time limit")        \
  X(KILN_SESSION_MEMORY_LIMIT, memory_limit, "it reached its memory limit")               \
  X(KILN_SESSION_CRASHED, crashed, "its engine process ended")
typedef enum kiln_session_end {
#define KILN_SESSION_END_ENUM(symbol, word, text) symbol,
  KILN_SESSION_END_MAP(KILN_SESSION_END_ENUM)
#undef KILN_SESSION_END_ENUM
      KILN_SESSION_ENDS
} kiln_session_end;

typedef struct kiln_pool_session kiln_pool_session;

/* Called once, on the pool's thread, when a session ends while the pool goes on; before the done
 * calls of its commands, which get KILN_GONE. `detail` is lent. It must not block. */
typedef void (*kiln_session_ended_fn)(void *user, kiln_session_end end, const char *detail);

/* Makes a session; its process is found for its first command. NULL on out of memory. To be
 * released before the pool is freed, or after it is. */
kiln_pool_session *kiln_pool_session_new(kiln_pool *pool, kiln_session_ended_fn ended, void *user);
/* Releases it; ended() may still be called unless it has been, or the pool is gone. */
void kiln_pool_session_release(kiln_pool_session *session);

/* Queues a command behind the session's others. KILN_GONE, KILN_EBUSY, KILN_ECLOSING. */
kiln_status kiln_pool_session_submit(kiln_pool_session *session, const kiln_frame *frame,
                                     kiln_job_done_fn done, void *user, kiln_error *err);

/* Ends it soon, whatever it does. From any thread. */
void kiln_pool_session_end(kiln_pool_session *session, kiln_session_end end);

/* ---- images: processes that have run code, and fork (pool_image.c) --------------------------- */

typedef struct kiln_pool_image kiln_pool_image;

typedef enum kiln_pool_image_event {
  KILN_POOL_IMAGE_LOADED,     /* it has a process, tried, of `bytes` */
  KILN_POOL_IMAGE_NOT_LOADED, /* `result` says why */
  KILN_POOL_IMAGE_FAILED,     /* too often in a row: it will not be tried again */
  KILN_POOL_IMAGE_RENEWED,    /* as LOADED, in place of an older process */
  KILN_POOL_IMAGE_EVICTED,    /* its process was ended, being idle or by kiln_pool_image_evict() */
  KILN_POOL_IMAGE_LOST,       /* its process ended; as after EVICTED the next run makes one */
  KILN_POOL_IMAGE_FREED,      /* the last word: nobody uses it any more */
} kiln_pool_image_event;
#define KILN_POOL_IMAGE_FAILURES_MAX 3

/* On the pool's thread, never under a lock; `result` is lent. */
typedef void (*kiln_pool_image_fn)(void *user, kiln_pool_image_event event,
                                   const kiln_job_result *result, uint64_t bytes);

/* Makes an image of a KILN_JOB_IMAGE and loads it. Jobs that name it run in forks of its process,
 * which is made again, from what is kept of the job, when it has ended or has forked often. Without
 * a job for idle_ms it is ended. */
kiln_status kiln_pool_image_new(kiln_pool *pool, const kiln_job *job, unsigned idle_ms,
                                kiln_pool_image_fn on_event, void *user,
                                kiln_pool_image **ret_image, kiln_error *err);
/* Ends its process; the image stays. */
void kiln_pool_image_evict(kiln_pool_image *image);
/* Ends it all; those who wait for it get KILN_NOT_FOUND. KILN_POOL_IMAGE_FREED comes still. A
 * pool that is freed frees its images. */
void kiln_pool_image_free(kiln_pool_image *image);

void kiln_pool_get_engine(const kiln_pool *pool, kiln_engine_info *ret_info);

/* Whether a job that is submitted now would find a process, or a zygote to make one. */
bool kiln_pool_is_ready(const kiln_pool *pool);

/* Adds the pool's counters (jobs*, kills, zygotes_*, protocol_errors) to *stats. */
void kiln_pool_add_stats(kiln_pool *pool, kiln_stats *stats);

#endif
