/* SPDX-License-Identifier: MIT
 *
 * pool_private.h: what the files of the pool share. Everything below the lock's fields belongs to
 * the pool's thread alone.
 *
 * Workers are forked ahead of the jobs, a few of them, and wait idle: a fork belongs to no job, so
 * a zygote that dies or hangs costs no job anything, and a job need not wait for a fork. A worker's
 * states: FORKING, asked for; IDLE, it has said ready; RUNNING, it has a job; ENDING, it has
 * answered or is lost, and is only still to be reaped. SESSION: it is a session's, and
 * runs a command or waits for one.
 */
#ifndef KILN_TOOLKIT_POOL_PRIVATE_H
#define KILN_TOOLKIT_POOL_PRIVATE_H

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "toolkit/pool.h"
#include "toolkit/pool_queue.h"

/* Worker processes kept idle: as many as may run, up to this. */
#define KILN_IDLE_MAX 8
/* A pool has no spare zygote before that: a short command would pay for one it never needs. */
#define KILN_SPARE_AFTER_MS 500
#define KILN_HELLO_MS 10000 /* from a zygote's start to its hello */
#define KILN_DATA_BYTES_MAX (UINT64_C(1) << 40)
#define KILN_HELLO_SLOW_MS 1000 /* after what another one is started beside it */
#define KILN_FORK_MS 2000       /* from a fork request to the worker's ready */
/* To give a task to a worker: all that were idle may have been killed at once. */
#define KILN_ATTEMPTS_MAX (KILN_IDLE_MAX + 3)
#define KILN_STRAYS_MS 3000 /* how long to look for a child nobody announced */

typedef enum kiln_watch_kind {
  KILN_WATCH_WAKE,
  KILN_WATCH_ZYGOTE_CHANNEL,
  KILN_WATCH_ZYGOTE_PROCESS,
  KILN_WATCH_WORKER_CHANNEL,
  KILN_WATCH_WORKER_PROCESS
} kiln_watch_kind;

/* What an epoll event points to. */
typedef struct kiln_watch {
  kiln_watch_kind kind;
  void *owner;
  int fd; /* -1: none */
} kiln_watch;

/* A job of the queue or of a worker. */
typedef struct kiln_task {
  struct kiln_task *next, *previous;
  kiln_lane *lane;        /* NULL: it is nobody's */
  kiln_pool_image *image; /* whose queue it is in; NULL: the pool's */
  kiln_wire_out message;
  kiln_wire_out without; /* of a job with cached data: the same without; has no data otherwise */
  bool consumer_crashed;
  int consumer_signal;
  uint32_t timeout_ms;
  kiln_job_result_limits limits;
  kiln_job_done_fn done;
  void *user;
  uint64_t submitted_ns;
  uint64_t started_ns;
  unsigned attempts;
  kiln_pool_session *session; /* referenced; NULL: a job */
} kiln_task;

struct kiln_pool_session {
  kiln_pool *pool;
  kiln_session_ended_fn ended;
  void *user;
  /* under the pool's lock */
  unsigned refs;
  kiln_session_end end; /* as soon as it is to end */
  bool busy;            /* one of its tasks is in the pool's queue or runs */
  struct kiln_pool_session *next_ending;
  kiln_task *waiting_first, **waiting_end;
  unsigned waiting;
  /* the thread's */
  struct kiln_worker *worker; /* NULL: none yet, or no more */
};

typedef enum kiln_worker_state {
  KILN_WORKER_FORKING,
  KILN_WORKER_IDLE,
  KILN_WORKER_RUNNING,
  KILN_WORKER_SESSION,
  KILN_WORKER_SERVING, /* an image's process: it forks */
  KILN_WORKER_ENDING,
  KILN_WORKER_KEEPER /* none: the first process of workers' pid namespace, which ends after them */
} kiln_worker_state;

typedef struct kiln_zygote kiln_zygote;

typedef struct kiln_worker {
  struct kiln_worker *next;
  kiln_worker_state state;
  pid_t pid; /* 0 while FORKING */
  kiln_watch channel;
  kiln_watch process;
  kiln_zygote *zygote;        /* FORKING: who was asked; NULL when that one has gone */
  kiln_task *task;            /* RUNNING; SESSION: NULL while it waits */
  kiln_pool_session *session; /* SESSION: whose; referenced */
  int forbidden_call;         /* it told that it made this one; -1: none */
  uint64_t due_ns;            /* FORKING: to be ready; with a task: to have answered */
  uint64_t late_cpu_ns;       /* SESSION, after its deadline: its processor time then */
  bool gone;                  /* reaped; freed at the end of the round */
  /* of images */
  kiln_pool_image *image;   /* whose process or fork it is; NULL: of a zygote's */
  bool is_process;          /* the image's process */
  bool dismissed;           /* it was ended by us: no loss */
  struct kiln_worker *from; /* a fork's, FORKING and IDLE: the process that was asked */
  bool tried;               /* a process': a fork of it has done a job */
  unsigned forks, children_idle, children_forking;
  uint64_t data_bytes; /* a process': what RLIMIT_DATA counts of it */
} kiln_worker;

/* Who is asked for a worker; all NULL: the zygote, for one of its own. */
typedef struct kiln_fork {
  kiln_pool_image *image;
  kiln_worker *from; /* NULL: the breeder, for an image's process */
  const kiln_wire_out *message;
} kiln_fork;

struct kiln_zygote {
  kiln_zygote *next;
  pid_t pid;
  kiln_watch channel;
  kiln_watch process;
  bool breeds; /* for images */
  bool ready;
  bool ending; /* told to go: its end is no loss */
  bool gone;
  kiln_worker *keeper; /* NULL: none */
  unsigned forks;
  uint64_t hello_due_ns;
};

typedef struct kiln_pool_counters {
  atomic_uint_fast64_t jobs, outcomes[5], kills, zygotes_started, zygotes_lost, protocol_errors,
      sandbox_alarms;
  atomic_uint_fast64_t zygotes_not_ready, zygotes_renewed;
} kiln_pool_counters;

struct kiln_pool {
  /* set before the thread starts, then constant */
  char *engine_path;
  char *preload;       /* "LD_PRELOAD=...", or NULL */
  char *v8_flags;      /* or NULL */
  unsigned client_max; /* jobs of one client that run or wait */
  unsigned workers_max, queue_max, forks_per_zygote, kill_grace_ms;
  unsigned idle_target;
  pthread_t thread;
  int epoll;
  kiln_watch wake; /* an eventfd */
  kiln_wire_out fork_message;
  kiln_wire_out filter_message, breeder_message; /* made when a zygote of the kind is started */
  bool has_filter_message, has_breeder_message;
  bool jitless, sandbox_required, sandbox_off, large_pages;
  kiln_engine_info engine; /* from the first hello */
  uint64_t data_bytes;     /* a zygote's own, which its workers inherit; from the last hello */
  kiln_pool_counters counters;

  pthread_mutex_t lock; /* guards these */
  pthread_cond_t state_changed;
  enum { KILN_POOL_STARTING, KILN_POOL_STARTED, KILN_POOL_BROKEN, KILN_POOL_SETTLED } state;
  bool closing;
  uint64_t drain_until_ns;
  kiln_queue queue;
  kiln_task *evicted;       /* to be told that others come first */
  unsigned queued, running; /* queued: the images' own, too, but not what waits within sessions */
  kiln_pool_session *ending_first;
  kiln_pool_image *new_images; /* not yet the thread's */

  /* the thread's */
  kiln_worker *workers;
  kiln_zygote *zygotes;
  kiln_pool_image *images;
  kiln_zygote *current, *spare; /* NULL: none; either may not be ready yet */
  kiln_zygote *breeder;         /* of images' processes; NULL: none, as long as there is no image */
  uint64_t trouble_since_ns;    /* since when there is no engine to be had; 0: there is */
  unsigned idle, forking;
  unsigned fork_failures; /* since a worker was last ready */
  uint64_t fork_again_ns;
  unsigned zygote_failures; /* since a zygote last said hello */
  uint64_t zygote_again_ns;
  unsigned breeder_failures;
  uint64_t breeder_again_ns;
  uint64_t spare_from_ns;
  uint64_t strays_until_ns;
  atomic_bool ready; /* for others to see: a process is at hand, or can be had at once */
  char trouble[200]; /* why there is no zygote */
  _Alignas(8) char buffer[KILN_WIRE_BUFFER];
};

uint64_t kiln__pool_now_ns(void);
/* Adds or removes a watch. */
bool kiln__pool_watch(kiln_pool *pool, kiln_watch *watch);
void kiln__pool_unwatch(kiln_pool *pool, kiln_watch *watch); /* and closes its descriptor */

/* The thread's function. */
void *kiln__pool_main(void *pool);
void kiln__pool_wake(kiln_pool *pool);
/* Puts a task in, in the place of another client's where there is none left; under the lock. */
kiln_status kiln__pool_enqueue(kiln_pool *pool, kiln_task *task, uint64_t client);
/* A new task that has still to be given its message. NULL on out of memory. */
kiln_task *kiln__task_new(kiln_job_done_fn done, void *user);
void kiln__task_free(kiln_task *task);
/* Puts a task that was given to a worker first in the queue again. */
void kiln__pool_put_back(kiln_pool *pool, kiln_task *task);
/* Calls done and frees the task; `result` gets the times. A task that ran leaves the count of those
 * that run. */
void kiln__pool_finish(kiln_pool *pool, kiln_task *task, kiln_job_result *result, bool ran);
/* ... with a status of ours. */
void kiln__pool_fail(kiln_pool *pool, kiln_task *task, bool ran, kiln_status status,
                     const char *reason);

/* pool_zygote.c */
void kiln__zygote_start(kiln_pool *pool, kiln_zygote **slot);
void kiln__zygote_on_channel(kiln_pool *pool, kiln_zygote *zygote);
void kiln__zygote_on_process(kiln_pool *pool, kiln_zygote *zygote);
/* Whether it has been asked for a fork that is not ready yet. */
bool kiln__zygote_owes(const kiln_pool *pool, const kiln_zygote *zygote);
/* Takes it out of service and kills it; whoever it has forked stays. */
void kiln__zygote_end(kiln_pool *pool, kiln_zygote *zygote, bool lost);

/* pool_worker.c */
bool kiln__worker_ask(kiln_pool *pool, const kiln_fork *fork);
/* Gives an idle worker the task. False: it could not be given to this one; the task is still the
 * caller's. */
bool kiln__worker_assign(kiln_pool *pool, kiln_worker *worker, kiln_task *task);
/* Watches a process that is this thread's child, but no worker. NULL: it is none, or no memory. */
kiln_worker *kiln__worker_adopt_keeper(kiln_pool *pool, pid_t pid);
void kiln__worker_on_channel(kiln_pool *pool, kiln_worker *worker);
void kiln__worker_on_process(kiln_pool *pool, kiln_worker *worker);
void kiln__worker_on_due(kiln_pool *pool, kiln_worker *worker);
/* Kills it if it lives; its task must have been finished. */
void kiln__worker_end(kiln_pool *pool, kiln_worker *worker);
/* Children of this thread that no known worker or zygote is: kills them all, reaps the dead. */
void kiln__worker_kill_strays(kiln_pool *pool);
void kiln__worker_reap_strays(kiln_pool *pool);

/* pool_session.c */
/* Gives a task to the session's worker, or to an idle one that becomes it. As
 * kiln__worker_assign().
 */
bool kiln__session_assign(kiln_pool *pool, kiln_worker *worker, kiln_task *task);
void kiln__session_on_channel(kiln_pool *pool, kiln_worker *worker);
/* The process has ended. */
void kiln__session_on_exit(kiln_pool *pool, kiln_worker *worker, const siginfo_t *info);
void kiln__session_on_due(kiln_pool *pool, kiln_worker *worker);
/* A task of the session has ended: the next one takes its turn. Under the lock. */
void kiln__session_next(kiln_pool *pool, kiln_pool_session *session);
/* Ends those that are to end. */
void kiln__sessions_end(kiln_pool *pool);
/* Ends all of them, since the pool does. */
void kiln__sessions_take_down(kiln_pool *pool);
void kiln__session_unref(kiln_pool_session *session);

/* pool_worker.c */
/* A worker's last word: it made a forbidden system call, and is about to end. False: it is none. */
bool kiln__worker_take_alarm(kiln_worker *worker, kiln_wire_in *in);
/* Whether it ended by such a call, and by which. */
bool kiln__worker_is_forbidden(const kiln_worker *worker, const siginfo_t *info);
/* Which signal it ended by, or says it did, since it may send itself none; 0: none. */
int kiln__worker_get_signal(const siginfo_t *info);
/* "signal SIG..." or "exit code ..." */
void kiln__worker_describe_end(const siginfo_t *info, char *ret_text, size_t size);
void kiln__worker_name_call(const kiln_worker *worker, char *ret_name, size_t size);

/* Whether it is one of the pool's processes. */
bool kiln__pool_knows(const kiln_pool *pool, pid_t pid);
void kiln__pool_wake(kiln_pool *pool);

/* process_memory.c: what the process alone has in memory, or, where the kernel does not tell, what
 * it has beside files' pages; and what RLIMIT_DATA counts of it. */
uint64_t kiln__process_private_bytes(pid_t pid);
uint64_t kiln__process_data_bytes(pid_t pid, uint64_t otherwise);

/* pool_image.c */
/* Gives the task that has waited longest for an image with an idle fork, if it has waited since
 * before `before_ns`. True: there was one. */
bool kiln__images_give(kiln_pool *pool, uint64_t before_ns);
/* Loads, forks, renews, ends and frees what has to be. */
void kiln__images_keep(kiln_pool *pool, uint64_t now);
/* Whether there is an image, for which a breeder is to be at hand. */
bool kiln__images_need_breeder(const kiln_pool *pool);
/* A breeder could not be started, or ended before it was ready. */
void kiln__images_note_no_breeder(kiln_pool *pool);
/* When keep() has something to do again, after the round that began then. */
uint64_t kiln__images_due(const kiln_pool *pool, uint64_t begun);
void kiln__images_take_down(kiln_pool *pool);
void kiln__images_free(kiln_pool *pool);               /* when no worker is left */
void kiln__image_enqueue(kiln_task *task, bool first); /* under the pool's lock */
/* A load that went well: the worker is a process that serves from now on. */
void kiln__image_loaded(kiln_pool *pool, kiln_worker *worker, kiln_job_result *result);
/* Before the worker, of an image, goes to ENDING. */
void kiln__image_on_end(kiln_pool *pool, kiln_worker *worker);
void kiln__image_note_assigned(kiln_worker *worker);

#endif
