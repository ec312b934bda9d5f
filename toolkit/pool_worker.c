/* SPDX-License-Identifier: MIT
 *
 * pool_worker.c: a worker as the pool sees it: asked for, ready, given a job, heard, killed,
 * reaped; and what its end says about the job.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "toolkit/filter.h"
#include "toolkit/pool_private.h"

/* ---- asking for one ----------------------------------------------------------------------------
 */

static void note_fork_failure(kiln_pool *pool) {
  /* The first ones come from a zygote that just died: its successor is asked at once. Without a due
   * time nobody would ask again where nothing else happens: all of the jobs wait for a worker. */
  bool first = ++pool->fork_failures <= pool->idle_target;
  pool->fork_again_ns = kiln__pool_now_ns() + (first ? 0 : UINT64_C(20000000));
}

bool kiln__worker_ask(kiln_pool *pool, const kiln_fork *fork) {
  kiln_zygote *zygote = fork->from ? NULL : fork->image ? pool->breeder : pool->current;
  int asked = zygote ? zygote->channel.fd : fork->from->channel.fd;
  int pair[2];
  kiln_worker *worker = calloc(1, sizeof(*worker));
  if (!worker) {
    note_fork_failure(pool);
    return false;
  }
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
    free(worker);
    note_fork_failure(pool);
    return false;
  }
  int yes = 1;
  setsockopt(pair[0], SOL_SOCKET, SO_PASSCRED, &yes, sizeof(yes)); /* who says it is ready */
  worker->state = KILN_WORKER_FORKING;
  worker->forbidden_call = -1;
  worker->channel = (kiln_watch){KILN_WATCH_WORKER_CHANNEL, worker, pair[0]};
  worker->process = (kiln_watch){KILN_WATCH_WORKER_PROCESS, worker, -1};
  worker->zygote = zygote;
  worker->due_ns = kiln__pool_now_ns() + UINT64_C(1000000) * KILN_FORK_MS;
  worker->image = fork->image;
  worker->from = fork->from;
  worker->is_process = fork->image && !fork->from;
  int sent = kiln__wire_send(asked, fork->message ? fork->message : &pool->fork_message, pair[1],
                             MSG_DONTWAIT);
  close(pair[1]);
  if (sent != 0 || !kiln__pool_watch(pool, &worker->channel)) {
    close(pair[0]);
    free(worker);
    note_fork_failure(pool);
    if (zygote && sent != 0 && sent != -EAGAIN) kiln__zygote_end(pool, zygote, /* lost= */ true);
    return false;
  }
  worker->next = pool->workers;
  pool->workers = worker;
  if (zygote) zygote->forks++;
  if (!fork->image) pool->forking++;
  if (!fork->from) return true;
  fork->from->forks++;
  fork->from->children_forking++;
  return true;
}

/* ---- its end -----------------------------------------------------------------------------------
 */

void kiln__worker_end(kiln_pool *pool, kiln_worker *worker) {
  if (worker->image) {
    kiln__image_on_end(pool, worker);
  } else {
    if (worker->state == KILN_WORKER_FORKING) pool->forking--;
    if (worker->state == KILN_WORKER_IDLE) pool->idle--;
  }
  worker->state = KILN_WORKER_ENDING;
  kiln__pool_unwatch(pool, &worker->channel);
  if (worker->pid == 0) {
    /* If it was forked all the same, it now sees its channel close and exits. */
    pool->strays_until_ns = kiln__pool_now_ns() + UINT64_C(1000000) * KILN_STRAYS_MS;
    worker->gone = true;
  } else {
    pidfd_send_signal(worker->process.fd, SIGKILL, /* info= */ NULL, 0);
  }
}

static void finish(kiln_pool *pool, kiln_worker *worker, kiln_job_result *result) {
  kiln_task *task = worker->task;
  worker->task = NULL;
  kiln__worker_end(pool, worker);
  kiln__pool_finish(pool, task, result, /* ran= */ true);
}

static kiln_job_result result_with(kiln_outcome outcome, const char *code, const char *message) {
  return (kiln_job_result){.outcome = outcome,
                           .code = code,
                           .name = "Error",
                           .message = message,
                           .stack = "",
                           .resource = "",
                           .source_line = "",
                           .cached_data_rejected = -1};
}

static void finish_by_time(kiln_pool *pool, kiln_worker *worker) {
  char message[80];
  snprintf(message, sizeof(message), "Script execution timed out after %ums",
           worker->task->timeout_ms);
  kiln_job_result result = result_with(KILN_OUTCOME_TIME_LIMIT, KILN_CODE_TIME_LIMIT, message);
  finish(pool, worker, &result);
}

/* A crash may be the cached data's fault: then the job is done again without them. */
static bool try_without(kiln_pool *pool, kiln_worker *worker, const siginfo_t *info) {
  kiln_task *task = worker->task;
  if (!task->without.data) return false;
  task->consumer_crashed = true;
  task->consumer_signal = kiln__worker_get_signal(info);
  kiln__wire_out_release(&task->message);
  task->message = task->without;
  task->without = (kiln_wire_out){0};
  worker->task = NULL;
  kiln__worker_end(pool, worker);
  kiln__pool_put_back(pool, task);
  return true;
}

void kiln__worker_name_call(const kiln_worker *worker, char *ret_name, size_t size) {
  if (worker->forbidden_call >= 0)
    kiln__filter_name_call(worker->forbidden_call, ret_name, size);
  else
    snprintf(ret_name, size, "of another architecture, or hidden");
}

bool kiln__worker_is_forbidden(const kiln_worker *worker, const siginfo_t *info) {
  bool exited = info->si_code == CLD_EXITED;
  return worker->forbidden_call >= 0 || info->si_status == (exited ? KILN_EXIT_FORBIDDEN : SIGSYS);
}

int kiln__worker_get_signal(const siginfo_t *info) {
  if (info->si_code != CLD_EXITED) return info->si_status;
  int number = info->si_status - KILN_EXIT_SIGNAL;
  bool could_say = number > 0 && number < 32 && number != SIGKILL && number != SIGSYS &&
                   number != SIGXCPU; /* which have meanings of their own */
  return could_say ? number : 0;
}

void kiln__worker_describe_end(const siginfo_t *info, char *ret_text, size_t size) {
  int number = kiln__worker_get_signal(info);
  const char *name = sigabbrev_np(number);
  if (number == 0)
    snprintf(ret_text, size, "exit code %d", info->si_status);
  else
    snprintf(ret_text, size, "signal SIG%s", name ? name : "?");
}

static void finish_by_violation(kiln_pool *pool, kiln_worker *worker) {
  char name[64], message[128];
  kiln__worker_name_call(worker, name, sizeof(name));
  snprintf(message, sizeof(message), "the engine process made a forbidden system call: %s", name);
  kiln_job_result result = result_with(KILN_OUTCOME_CRASHED, KILN_CODE_FORBIDDEN, message);
  result.signal = SIGSYS;
  finish(pool, worker, &result);
}

static void finish_by_exit(kiln_pool *pool, kiln_worker *worker, const siginfo_t *info) {
  char how[32], message[96];
  bool exited = info->si_code == CLD_EXITED;
  bool forbidden = kiln__worker_is_forbidden(worker, info);
  if (forbidden) atomic_fetch_add(&pool->counters.sandbox_alarms, 1);
  if (exited && info->si_status == KILN_EXIT_MEMORY_LIMIT) {
    kiln_job_result result = result_with(KILN_OUTCOME_MEMORY_LIMIT, KILN_CODE_MEMORY_LIMIT,
                                         "the script reached its memory limit");
    finish(pool, worker, &result);
    return;
  }
  if (!exited && info->si_status == SIGXCPU) {
    finish_by_time(pool, worker);
    return;
  }
  if (try_without(pool, worker, info)) return;
  if (forbidden) {
    finish_by_violation(pool, worker);
    return;
  }
  int number = kiln__worker_get_signal(info);
  kiln__worker_describe_end(info, how, sizeof(how));
  snprintf(message, sizeof(message), "the engine process %s %s",
           number == 0 ? "ended with" : "was ended by", how);
  kiln_job_result result = result_with(KILN_OUTCOME_CRASHED, KILN_CODE_CRASHED, message);
  result.signal = number;
  finish(pool, worker, &result);
}

static void finish_by_garbage(kiln_pool *pool, kiln_worker *worker) {
  atomic_fetch_add(&pool->counters.protocol_errors, 1);
  kiln_job_result result = result_with(KILN_OUTCOME_CRASHED, KILN_CODE_PROTOCOL,
                                       "the engine process sent something that is no answer");
  finish(pool, worker, &result);
}

/* ---- hearing it --------------------------------------------------------------------------------
 */

/* Watches a process, if it is a child of this thread's. */
static bool watch_process(kiln_pool *pool, kiln_worker *worker, pid_t pid) {
  siginfo_t info = {0};
  worker->process.fd = pid > 0 ? pidfd_open(pid, 0) : -1;
  if (worker->process.fd < 0) return false;
  if (waitid(P_PIDFD, (id_t)worker->process.fd, &info, WEXITED | WNOHANG | WNOWAIT) != 0 ||
      !kiln__pool_watch(pool, &worker->process)) {
    close(worker->process.fd);
    worker->process.fd = -1;
    return false;
  }
  worker->pid = pid;
  return true;
}

kiln_worker *kiln__worker_adopt_keeper(kiln_pool *pool, pid_t pid) {
  kiln_worker *keeper = calloc(1, sizeof(*keeper));
  if (!keeper) return NULL;
  keeper->state = KILN_WORKER_KEEPER;
  keeper->channel = (kiln_watch){KILN_WATCH_WORKER_CHANNEL, keeper, -1};
  keeper->process = (kiln_watch){KILN_WATCH_WORKER_PROCESS, keeper, -1};
  if (!watch_process(pool, keeper, pid)) {
    free(keeper);
    return NULL;
  }
  keeper->next = pool->workers;
  pool->workers = keeper;
  return keeper;
}

/* Makes an announced worker usable. Which process it is the kernel has told: it may know itself
 * under another number. */
static bool become_ready(kiln_pool *pool, kiln_worker *worker, kiln_wire_in *in) {
  /* An image's process might answer for its fork. */
  if (in->type != KILN_WIRE_READY || in->length != 0 || kiln__pool_knows(pool, in->sender) ||
      !watch_process(pool, worker, in->sender))
    return false;
  worker->zygote = NULL;
  worker->state = KILN_WORKER_IDLE;
  if (worker->from) {
    worker->from->children_forking--;
    worker->from->children_idle++;
  } else if (!worker->image) {
    pool->forking--;
    pool->idle++;
  }
  if (!worker->from) pool->fork_failures = 0;
  return true;
}

bool kiln__worker_take_alarm(kiln_worker *worker, kiln_wire_in *in) {
  kiln_wire_field field;
  uint64_t call = 0;
  if (worker->forbidden_call >= 0 || kiln__wire_next(in, &field) != 1 ||
      field.tag != KILN_WIRE_ALARM_CALL || !kiln__wire_get_number(&field, INT32_MAX, &call))
    return false;
  worker->forbidden_call = (int)call;
  return true;
}

static void hear_answer(kiln_pool *pool, kiln_worker *worker, kiln_wire_in *in) {
  kiln_job_result result;
  if (in->type == KILN_WIRE_ALARM) {
    if (!kiln__worker_take_alarm(worker, in)) finish_by_garbage(pool, worker);
    return;
  }
  if (!kiln__job_result_decode(in, &worker->task->limits, &result)) {
    finish_by_garbage(pool, worker);
    return;
  }
  if (worker->is_process && result.outcome == KILN_OUTCOME_OK)
    kiln__image_loaded(pool, worker, &result);
  else
    finish(pool, worker, &result);
  kiln__job_result_release(&result);
}

void kiln__worker_on_channel(kiln_pool *pool, kiln_worker *worker) {
  kiln_wire_in in;
  if (worker->state == KILN_WORKER_ENDING || worker->channel.fd < 0) return;
  if (worker->state == KILN_WORKER_SESSION) {
    kiln__session_on_channel(pool, worker);
    return;
  }
  int got = kiln__wire_receive(worker->channel.fd, pool->buffer, &in, MSG_DONTWAIT);
  if (got == -EAGAIN) return;
  if (worker->state == KILN_WORKER_RUNNING) {
    if (got == 1) {
      hear_answer(pool, worker, &in);
    } else if (got == 0 || got == -ECONNRESET) {
      /* It has closed its channel, most likely by dying: how is known when it is reaped. Killing
       * one that is dying changes nothing of that. */
      kiln__pool_unwatch(pool, &worker->channel);
      pidfd_send_signal(worker->process.fd, SIGKILL, /* info= */ NULL, 0);
    } else {
      finish_by_garbage(pool, worker);
    }
  } else if (worker->state == KILN_WORKER_FORKING) {
    if (got != 1 || !become_ready(pool, worker, &in)) {
      if (!worker->from) note_fork_failure(pool);
      kiln__worker_end(pool, worker);
    }
  } else {
    kiln__worker_end(pool, worker); /* an idle one has nothing to say, nor has one that serves */
  }
  if (got == 1) kiln__wire_in_release(&in);
}

/* With it all of its workers have ended, and its zygote can fork none. */
static void lose_keeper(kiln_pool *pool, const kiln_worker *keeper) {
  for (kiln_zygote *zygote = pool->zygotes; zygote; zygote = zygote->next)
    if (zygote->keeper == keeper) kiln__zygote_end(pool, zygote, /* lost= */ true);
}

void kiln__worker_on_process(kiln_pool *pool, kiln_worker *worker) {
  siginfo_t info = {0};
  if (worker->gone || worker->process.fd < 0) return;
  /* Its last word may have come with its death. */
  if (worker->state == KILN_WORKER_RUNNING || worker->state == KILN_WORKER_SESSION)
    kiln__worker_on_channel(pool, worker);
  int waited = waitid(P_PIDFD, (id_t)worker->process.fd, &info, WEXITED | WNOHANG);
  if (waited == 0 && info.si_pid == 0) return;
  if (waited != 0) {
    if (errno == EINTR) return;
    /* Somebody else in this process reaped it. */
    info.si_code = CLD_EXITED;
    info.si_status = 0;
  }
  if (worker->state == KILN_WORKER_RUNNING)
    finish_by_exit(pool, worker, &info);
  else if (worker->state == KILN_WORKER_SESSION)
    kiln__session_on_exit(pool, worker, &info);
  else if (worker->state == KILN_WORKER_IDLE || worker->state == KILN_WORKER_SERVING)
    kiln__worker_end(pool, worker);
  else if (worker->state == KILN_WORKER_KEEPER)
    lose_keeper(pool, worker);
  kiln__pool_unwatch(pool, &worker->process);
  worker->gone = true;
}

void kiln__worker_on_due(kiln_pool *pool, kiln_worker *worker) {
  if (worker->state == KILN_WORKER_FORKING) {
    /* A zygote that hangs. The workers it owes are asked of the next one. */
    if (worker->zygote) kiln__zygote_end(pool, worker->zygote, /* lost= */ true);
    kiln_worker *from = worker->from;
    worker->dismissed = from != NULL; /* one loss, its process' */
    if (!from) note_fork_failure(pool);
    kiln__worker_end(pool, worker);
    if (from && from->state != KILN_WORKER_ENDING) kiln__worker_end(pool, from);
  } else if (worker->state == KILN_WORKER_RUNNING) {
    kiln__worker_on_channel(pool, worker); /* it may have answered just now */
    if (worker->state != KILN_WORKER_RUNNING) return;
    atomic_fetch_add(&pool->counters.kills, 1);
    finish_by_time(pool, worker);
  } else if (worker->state == KILN_WORKER_SESSION) {
    kiln__session_on_due(pool, worker);
  }
}

/* ---- giving it a job ---------------------------------------------------------------------------
 */

bool kiln__worker_assign(kiln_pool *pool, kiln_worker *worker, kiln_task *task) {
  uint64_t now = kiln__pool_now_ns(); /* before it is sent: the worker's own clock starts then */
  int sent = kiln__wire_send(worker->channel.fd, &task->message, /* fd= */ -1, MSG_DONTWAIT);
  if (sent != 0) {
    kiln__worker_end(pool, worker); /* killed while it was idle */
    if (++task->attempts < KILN_ATTEMPTS_MAX) return false;
    kiln__pool_fail(pool, task, /* ran= */ true, KILN_EINTERNAL, strerror(-sent));
    return true;
  }
  task->started_ns = now;
  worker->due_ns =
      task->started_ns + ((uint64_t)task->timeout_ms + pool->kill_grace_ms) * UINT64_C(1000000);
  worker->task = task;
  worker->state = KILN_WORKER_RUNNING;
  if (worker->image)
    kiln__image_note_assigned(worker);
  else
    pool->idle--;
  atomic_fetch_add(&pool->counters.jobs, 1);
  return true;
}

/* ---- strays ------------------------------------------------------------------------------------
 */

bool kiln__pool_knows(const kiln_pool *pool, pid_t pid) {
  for (const kiln_worker *worker = pool->workers; worker; worker = worker->next)
    if (worker->pid == pid) return true;
  for (const kiln_zygote *zygote = pool->zygotes; zygote; zygote = zygote->next)
    if (zygote->pid == pid) return true;
  return false;
}

void kiln__worker_kill_strays(kiln_pool *pool) {
  char text[4096];
  int file = open("/proc/thread-self/children", O_RDONLY | O_CLOEXEC);
  if (file < 0) return; /* a kernel without it: they have to end by themselves */
  ssize_t length = read(file, text, sizeof(text) - 1);
  close(file);
  text[length > 0 ? length : 0] = '\0';
  char *at = text;
  for (;;) {
    char *end;
    long pid = strtol(at, &end, 10);
    if (end == at) return;
    at = end;
    if (pid > 0 && !kiln__pool_knows(pool, (pid_t)pid)) kill((pid_t)pid, SIGKILL);
  }
}

void kiln__worker_reap_strays(kiln_pool *pool) {
  /* Only this thread's children: the rest of the process may have children of its own. */
  const int options = WEXITED | WNOHANG | __WNOTHREAD;
  for (;;) {
    siginfo_t info = {0};
    if (waitid(P_ALL, 0, &info, options | WNOWAIT) != 0 || info.si_pid == 0) return;
    if (kiln__pool_knows(pool, info.si_pid))
      return; /* reaped by its own event; then we look again */
    waitid(P_PID, (id_t)info.si_pid, &info, options);
  }
}
