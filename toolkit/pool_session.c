/* SPDX-License-Identifier: MIT
 *
 * pool_session.c: sessions as the pool sees them: given commands, heard, ended. A session's tasks
 * wait in its own queue; one at a time stands in the pool's, so that a busy session takes turns
 * with everybody else. Whatever ends a session, its commands are answered KILN_GONE.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

#include "toolkit/pool_private.h"
#include "toolkit/status.h"

enum { GRACE_MAX_MS = 2000 }; /* or kill_grace_ms, if that is more */

/* ---- as its users see it ----------------------------------------------------------------------
 */

kiln_pool_session *kiln_pool_session_new(kiln_pool *pool, kiln_session_ended_fn ended, void *user) {
  kiln_pool_session *session = calloc(1, sizeof(*session));
  if (!session) return NULL;
  session->pool = pool;
  session->ended = ended;
  session->user = user;
  session->refs = 1;
  session->waiting_end = &session->waiting_first;
  return session;
}

/* Atomic, since it is also done when the pool is gone. */
void kiln__session_unref(kiln_pool_session *session) {
  if (__atomic_sub_fetch(&session->refs, 1, __ATOMIC_ACQ_REL) == 0) free(session);
}

static kiln_pool_session *ref(kiln_pool_session *session) {
  __atomic_add_fetch(&session->refs, 1, __ATOMIC_RELAXED);
  return session;
}

void kiln_pool_session_release(kiln_pool_session *session) {
  kiln__session_unref(session);
}

void kiln_pool_session_end(kiln_pool_session *session, kiln_session_end end) {
  kiln_pool *pool = session->pool;
  pthread_mutex_lock(&pool->lock);
  bool is_first = session->end == KILN_SESSION_LIVES;
  if (is_first) {
    session->end = end;
    session->next_ending = pool->ending_first;
    pool->ending_first = ref(session);
  }
  pthread_mutex_unlock(&pool->lock);
  if (is_first) kiln__pool_wake(pool);
}

static kiln_status take(kiln_pool *pool, kiln_pool_session *session, kiln_task *task,
                        uint64_t client, bool *ret_wake, kiln_error *err) {
  if (pool->closing) return kiln__fail(err, KILN_ECLOSING, NULL, "the service is stopping");
  if (session->end != KILN_SESSION_LIVES)
    return kiln__fail(err, KILN_GONE, NULL, "session: has ended");
  if (session->waiting >= KILN_SESSION_QUEUE_MAX)
    return kiln__fail(err, KILN_EBUSY, NULL, "session: %u commands wait already, limit %d",
                      session->waiting, KILN_SESSION_QUEUE_MAX);
  unsigned of_client = kiln__queue_count(&pool->queue, client);
  if (of_client >= pool->client_max)
    return kiln__fail(err, KILN_EBUSY, NULL, "%u jobs of this client run or wait already, limit %u",
                      of_client, pool->client_max);
  kiln_status status = KILN_OK;
  if (session->busy) {
    if (!kiln__queue_hold(&pool->queue, task, client)) status = KILN_ENOMEM;
  } else {
    status = kiln__pool_enqueue(pool, task, client);
  }
  if (status == KILN_ENOMEM) return kiln__fail(err, status, NULL, "command: out of memory");
  if (status != KILN_OK)
    return kiln__fail(err, status, NULL, "%u jobs run and %u wait already", pool->workers_max,
                      pool->queue_max);
  if (session->busy) {
    *session->waiting_end = task;
    session->waiting_end = &task->next;
    session->waiting++;
  } else {
    session->busy = true;
    *ret_wake = true;
  }
  return KILN_OK;
}

kiln_status kiln_pool_session_submit(kiln_pool_session *session, const kiln_frame *frame,
                                     kiln_job_done_fn done, void *user, kiln_error *err) {
  kiln_pool *pool = session->pool;
  bool wake = false;
  kiln_task *task = kiln__task_new(done, user);
  if (!task) return kiln__fail(err, KILN_ENOMEM, NULL, "command: out of memory");
  task->timeout_ms = frame->timeout_ms;
  task->limits = (kiln_job_result_limits){frame->result_max_bytes, frame->console_max_bytes,
                                          /* session= */ true};
  task->session = ref(session);
  kiln_status status = kiln__frame_encode(frame, &task->message);
  if (status != KILN_OK) {
    kiln__fail(err, status, NULL, "command: %s",
               status == KILN_ETOOBIG ? "larger than a message may be" : "out of memory");
  } else {
    pthread_mutex_lock(&pool->lock);
    status = take(pool, session, task, frame->client, &wake, err);
    pthread_mutex_unlock(&pool->lock);
  }
  if (status != KILN_OK) kiln__task_free(task);
  if (wake) kiln__pool_wake(pool);
  return status;
}

/* ---- its end ----------------------------------------------------------------------------------
 */

void kiln__session_next(kiln_pool *pool, kiln_pool_session *session) {
  kiln_task *next = session->waiting_first;
  session->busy = next != NULL;
  if (!next) return;
  session->waiting_first = next->next;
  if (!session->waiting_first) session->waiting_end = &session->waiting_first;
  session->waiting--;
  next->next = NULL;
  kiln__queue_put_held(&pool->queue, next);
  pool->queued++;
}

/* Takes the session's tasks that do not run yet out of all queues; under the lock. */
static kiln_task *take_tasks(kiln_pool *pool, kiln_pool_session *session) {
  kiln_task *first = kiln__queue_take_session(&pool->queue, session);
  if (first) {
    first->next = session->waiting_first;
    pool->queued--;
  } else {
    first = session->waiting_first;
  }
  session->waiting_first = NULL;
  session->waiting_end = &session->waiting_first;
  session->waiting = 0;
  return first;
}

/* The end of a session: of its worker, if it has one, and of all its tasks. `signal` is what a
 * crash came by, and the fault of what ran. */
static void end_session(kiln_pool *pool, kiln_pool_session *session, kiln_session_end end,
                        const char *detail, int signal, kiln_status status) {
  kiln_worker *worker = session->worker;
  kiln_task *running = NULL;
  pthread_mutex_lock(&pool->lock);
  if (session->end == KILN_SESSION_LIVES) session->end = end;
  end = session->end;
  kiln_task *tasks = take_tasks(pool, session);
  pthread_mutex_unlock(&pool->lock);
  if (worker) {
    running = worker->task;
    worker->task = NULL;
    worker->session = NULL;
    session->worker = NULL;
    kiln__worker_end(pool, worker);
  }
  if (session->ended && status == KILN_GONE) session->ended(session->user, end, detail);
  session->ended = NULL;
  if (running) {
    kiln_job_result result = {.status = status, .signal = signal, .cached_data_rejected = -1};
    if (end == KILN_SESSION_CRASHED) result.outcome = KILN_OUTCOME_CRASHED;
    result.code = result.name = result.message = "";
    result.stack = result.resource = result.source_line = "";
    snprintf(result.message_of_ours, sizeof(result.message_of_ours), "%s", detail);
    kiln__pool_finish(pool, running, &result, /* ran= */ true);
  }
  while (tasks) {
    kiln_task *next = tasks->next;
    kiln__pool_fail(pool, tasks, /* ran= */ false, status, detail);
    tasks = next;
  }
  if (worker) kiln__session_unref(session); /* the worker's reference */
}

void kiln__sessions_end(kiln_pool *pool) {
  for (;;) {
    pthread_mutex_lock(&pool->lock);
    kiln_pool_session *session = pool->ending_first;
    if (session) pool->ending_first = session->next_ending;
    pthread_mutex_unlock(&pool->lock);
    if (!session) return;
    end_session(pool, session, session->end, "", 0, KILN_GONE);
    kiln__session_unref(session);
  }
}

void kiln__sessions_take_down(kiln_pool *pool) {
  for (kiln_worker *worker = pool->workers; worker; worker = worker->next)
    if (worker->session)
      end_session(pool, worker->session, KILN_SESSION_CLOSED, "the service is stopping", 0,
                  KILN_ECLOSING);
  kiln__sessions_end(pool);
}

static void end_by_garbage(kiln_pool *pool, kiln_worker *worker) {
  atomic_fetch_add(&pool->counters.protocol_errors, 1);
  end_session(pool, worker->session, KILN_SESSION_CRASHED,
              "its engine process sent something that is no answer", 0, KILN_GONE);
}

void kiln__session_on_exit(kiln_pool *pool, kiln_worker *worker, const siginfo_t *info) {
  char detail[96], call[64];
  kiln_session_end end = KILN_SESSION_CRASHED;
  bool exited = info->si_code == CLD_EXITED;
  bool forbidden = kiln__worker_is_forbidden(worker, info);
  if (exited && info->si_status == KILN_EXIT_MEMORY_LIMIT) end = KILN_SESSION_MEMORY_LIMIT;
  if (!exited && info->si_status == SIGXCPU) end = KILN_SESSION_TIME_LIMIT;
  if (forbidden) {
    atomic_fetch_add(&pool->counters.sandbox_alarms, 1);
    kiln__worker_name_call(worker, call, sizeof(call));
    snprintf(detail, sizeof(detail), "forbidden system call: %s", call);
  } else {
    kiln__worker_describe_end(info, detail, sizeof(detail));
  }
  end_session(pool, worker->session, end, detail, kiln__worker_get_signal(info), KILN_GONE);
}

/* A job that is killed has its answer nonetheless; a session that is killed is lost. So the grace
 * after a deadline is processor time, within limits: on a busy machine V8 may need a while to end
 * the command, and what runs within a measurement of memory is terminated a second after its
 * deadline (shim/memory.cc). The first look is at the deadline, the second after the grace. */
static uint64_t grace_ns(const kiln_pool *pool) {
  return (uint64_t)pool->kill_grace_ms * UINT64_C(1000000) + 1;
}

static uint64_t processor_ns(pid_t pid) {
  clockid_t clock;
  struct timespec used;
  if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &used) != 0) return 0;
  return (uint64_t)used.tv_sec * UINT64_C(1000000000) + (uint64_t)used.tv_nsec;
}

/* Whether it goes on though it had the processor for half of the grace since the first look. */
static bool has_had_its_grace(const kiln_pool *pool, const kiln_worker *worker, uint64_t now) {
  uint64_t grace_ms = pool->kill_grace_ms > GRACE_MAX_MS ? pool->kill_grace_ms : GRACE_MAX_MS;
  uint64_t last_ms = worker->task->timeout_ms + grace_ms;
  if (now >= worker->task->started_ns + last_ms * UINT64_C(1000000)) return true;
  return worker->late_cpu_ns != 0 &&
         processor_ns(worker->pid) >= worker->late_cpu_ns + grace_ns(pool) / 2;
}

void kiln__session_on_due(kiln_pool *pool, kiln_worker *worker) {
  char detail[64];
  uint64_t now = kiln__pool_now_ns();
  kiln__session_on_channel(pool, worker); /* it may have answered just now */
  if (worker->state != KILN_WORKER_SESSION || !worker->task) return;
  if (!has_had_its_grace(pool, worker, now)) {
    bool first = worker->late_cpu_ns == 0;
    if (first) worker->late_cpu_ns = processor_ns(worker->pid);
    worker->due_ns = now + (first ? grace_ns(pool) : grace_ns(pool) / 4);
    return;
  }
  atomic_fetch_add(&pool->counters.kills, 1);
  snprintf(detail, sizeof(detail), "Script execution timed out after %ums",
           worker->task->timeout_ms);
  end_session(pool, worker->session, KILN_SESSION_TIME_LIMIT, detail, 0, KILN_GONE);
}

/* ---- hearing it -------------------------------------------------------------------------------
 */

static void hear_answer(kiln_pool *pool, kiln_worker *worker, kiln_wire_in *in) {
  kiln_job_result result;
  kiln_task *task = worker->task;
  if (in->type == KILN_WIRE_ALARM) {
    if (!kiln__worker_take_alarm(worker, in)) end_by_garbage(pool, worker);
    return;
  }
  if (!task || !kiln__job_result_decode(in, &task->limits, &result)) {
    end_by_garbage(pool, worker); /* one that was not asked has nothing to say */
    return;
  }
  worker->task = NULL;
  kiln__pool_finish(pool, task, &result, /* ran= */ true);
  kiln__job_result_release(&result);
}

void kiln__session_on_channel(kiln_pool *pool, kiln_worker *worker) {
  kiln_wire_in in;
  if (worker->state != KILN_WORKER_SESSION || worker->channel.fd < 0) return;
  int got = kiln__wire_receive(worker->channel.fd, pool->buffer, &in, MSG_DONTWAIT);
  if (got == -EAGAIN) return;
  if (got == 1) {
    hear_answer(pool, worker, &in);
    kiln__wire_in_release(&in);
  } else if (got == 0 || got == -ECONNRESET) {
    /* It has closed its channel, most likely by dying: how is known when it is reaped. */
    kiln__pool_unwatch(pool, &worker->channel);
    pidfd_send_signal(worker->process.fd, SIGKILL, /* info= */ NULL, 0);
  } else {
    end_by_garbage(pool, worker);
  }
}

/* ---- giving it a command ----------------------------------------------------------------------
 */

bool kiln__session_assign(kiln_pool *pool, kiln_worker *worker, kiln_task *task) {
  kiln_pool_session *session = task->session;
  bool is_new = session->worker == NULL;
  uint64_t now = kiln__pool_now_ns(); /* before it is sent: the worker's own clock starts then */
  int sent = kiln__wire_send(worker->channel.fd, &task->message, /* fd= */ -1, MSG_DONTWAIT);
  if (sent != 0 && is_new) {
    kiln__worker_end(pool, worker); /* killed while it was idle */
    if (++task->attempts < KILN_ATTEMPTS_MAX) return false;
    kiln__pool_fail(pool, task, /* ran= */ true, KILN_EINTERNAL, strerror(-sent));
    return true;
  }
  task->started_ns = now;
  worker->due_ns = now + task->timeout_ms * UINT64_C(1000000);
  worker->late_cpu_ns = 0;
  worker->task = task;
  if (is_new) {
    session->worker = worker;
    worker->session = ref(session);
    worker->state = KILN_WORKER_SESSION;
    pool->idle--;
  }
  /* One that cannot be written to has died, or soon will have: that event tells how. */
  if (sent != 0) pidfd_send_signal(worker->process.fd, SIGKILL, /* info= */ NULL, 0);
  return true;
}
