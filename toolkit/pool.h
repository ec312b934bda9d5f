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

/* Takes no more jobs, waits up to drain_ms for those it has, kills the rest (each gets its done
 * call with KILN_ECLOSING), ends the zygotes, reaps everything. */
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

void kiln_pool_get_engine(const kiln_pool *pool, kiln_engine_info *ret_info);

/* Whether a job that is submitted now would find a process, or a zygote to make one. */
bool kiln_pool_is_ready(const kiln_pool *pool);

/* Adds the pool's counters (jobs*, kills, zygotes_*, protocol_errors) to *stats. */
void kiln_pool_add_stats(kiln_pool *pool, kiln_stats *stats);

#endif
