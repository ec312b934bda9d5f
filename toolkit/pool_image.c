/* SPDX-License-Identifier: MIT
 *
 * pool_image.c: images as the pool sees them. An image has a process: a worker, forked by a zygote,
 * that has done a KILN_JOB_IMAGE and then forks for those who name the image. It is made again from
 * the kept message when somebody needs it, and replaced by a younger one after many forks. It is
 * tried before anybody gets a fork of it: one must do an empty job.
 *
 * The image's code may own its process. So nothing it says is believed but that it ended; what it
 * can do is to harm the jobs that name it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "toolkit/filter.h"
#include "toolkit/pool_private.h"
#include "toolkit/status.h"

#define MS UINT64_C(1000000)
/* Forks are made ahead of the jobs as long as there were some lately. */
#define RECENT_NS (10000 * MS)
#define AGAIN_NS (20 * MS)
#define CANARY_MS 2000
#define DELETED "image: it has been deleted"

struct kiln_pool_image {
  kiln_pool_image *next;
  kiln_pool *pool;
  kiln_wire_out load, canary, fork_process, fork_child;
  uint32_t timeout_ms;
  kiln_job_result_limits limits;
  uint64_t idle_ns;
  kiln_pool_image_fn on_event;
  void *user;

  /* under the pool's lock */
  kiln_task *first, **end;
  unsigned waiting;
  bool is_free, evict;

  /* the thread's */
  kiln_worker *process; /* NULL: none; else FORKING to SERVING */
  kiln_worker *younger; /* to replace it */
  kiln_worker *trying;  /* one of them, whose fork does the empty job */
  bool begun;           /* the first load has, or will not */
  bool failed;
  unsigned crashes;       /* of processes and idle forks, since a fork got a job */
  unsigned load_failures; /* since a load went well */
  unsigned fork_failures;
  uint64_t again_ns;      /* not to be asked for before */
  uint64_t used_ns;       /* a job was given */
  kiln_job_result loaded; /* what the load answered, until it is announced */
  uint64_t loaded_bytes;
};

/* ---- the user's side ---------------------------------------------------------------------------
 */

static void free_image(kiln_pool_image *image) {
  kiln__job_result_release(&image->loaded);
  kiln__wire_out_release(&image->load);
  kiln__wire_out_release(&image->canary);
  kiln__wire_out_release(&image->fork_process);
  kiln__wire_out_release(&image->fork_child);
  free(image);
}

/* An empty script whose answer has the globals of the run, of which there are none. */
static kiln_status encode_canary(const kiln_job *load, kiln_wire_out *ret_out) {
  kiln_bytes *source = kiln_bytes_new("", 0);
  if (!source) return KILN_ENOMEM;
  kiln_job job = {.op = KILN_JOB_RUN,
                  .source = source,
                  .timeout_ms = CANARY_MS,
                  .heap_max_bytes = load->heap_max_bytes,
                  .memory_max_bytes = load->memory_max_bytes,
                  .result_max_bytes = load->result_max_bytes,
                  .console_max_bytes = load->console_max_bytes};
  kiln_status status = kiln__job_encode(&job, ret_out);
  kiln_bytes_unref(source);
  return status;
}

kiln_status kiln_pool_image_new(kiln_pool *pool, const kiln_job *job, unsigned idle_ms,
                                kiln_pool_image_fn on_event, void *user,
                                kiln_pool_image **ret_image, kiln_error *err) {
  kiln_pool_image *image = calloc(1, sizeof(*image));
  if (!image) return kiln__fail(err, KILN_ENOMEM, NULL, "image: out of memory");
  image->pool = pool;
  image->timeout_ms = job->timeout_ms;
  image->limits = (kiln_job_result_limits){job->result_max_bytes, job->console_max_bytes,
                                           /* session= */ false};
  image->idle_ns = idle_ms * MS;
  image->on_event = on_event;
  image->user = user;
  image->end = &image->first;
  kiln_status status = kiln__job_encode(job, &image->load);
  if (status == KILN_OK) status = encode_canary(job, &image->canary);
  kiln__wire_out_init(&image->fork_process, KILN_WIRE_FORK);
  kiln__wire_put_number(&image->fork_process, KILN_WIRE_FORK_KIND, KILN_FILTER_FORKING);
  if (status == KILN_OK && !kiln__wire_finish(&image->fork_process)) status = KILN_ENOMEM;
  if (status != KILN_OK) {
    free_image(image);
    return kiln__fail(err, status, NULL, "image: %s",
                      status == KILN_ETOOBIG ? "larger than a message may be" : "out of memory");
  }
  pthread_mutex_lock(&pool->lock);
  bool closing = pool->closing;
  if (!closing) {
    image->next = pool->new_images;
    pool->new_images = image;
  }
  pthread_mutex_unlock(&pool->lock);
  if (closing) {
    free_image(image);
    return kiln__fail(err, KILN_ECLOSING, NULL, "the service is stopping");
  }
  *ret_image = image;
  kiln__pool_wake(pool);
  return KILN_OK;
}

void kiln_pool_image_evict(kiln_pool_image *image) {
  pthread_mutex_lock(&image->pool->lock);
  image->evict = true;
  pthread_mutex_unlock(&image->pool->lock);
  kiln__pool_wake(image->pool);
}

void kiln_pool_image_free(kiln_pool_image *image) {
  kiln_pool *pool = image->pool;
  pthread_mutex_lock(&pool->lock);
  image->is_free = true; /* from here on it may be gone */
  pthread_mutex_unlock(&pool->lock);
  kiln__pool_wake(pool);
}

/* ---- its queue ---------------------------------------------------------------------------------
 */

void kiln__image_enqueue(kiln_task *task, bool first) {
  kiln_pool_image *image = task->image;
  image->waiting++;
  if (first) {
    task->next = image->first;
    if (!image->first) image->end = &task->next;
    image->first = task;
    return;
  }
  task->next = NULL;
  *image->end = task;
  image->end = &task->next;
}

static kiln_task *dequeue(kiln_pool_image *image, bool to_run) {
  kiln_pool *pool = image->pool;
  pthread_mutex_lock(&pool->lock);
  kiln_task *task = image->first;
  if (task && to_run && pool->running >= pool->workers_max) task = NULL;
  if (task) {
    image->first = task->next;
    if (!image->first) image->end = &image->first;
    task->next = NULL;
    image->waiting--;
    pool->queued--;
    if (to_run) pool->running++;
  }
  pthread_mutex_unlock(&pool->lock);
  return task;
}

/* One more that runs; false: as many do as may. */
static bool begin_running(kiln_pool *pool) {
  pthread_mutex_lock(&pool->lock);
  bool can = pool->running < pool->workers_max;
  if (can) pool->running++;
  pthread_mutex_unlock(&pool->lock);
  return can;
}

static unsigned count_waiting(kiln_pool_image *image) {
  pthread_mutex_lock(&image->pool->lock);
  unsigned waiting = image->waiting;
  pthread_mutex_unlock(&image->pool->lock);
  return waiting;
}

static void fail_waiting(kiln_pool_image *image, kiln_status status, const char *reason) {
  kiln_task *task;
  while ((task = dequeue(image, /* to_run= */ false)) != NULL)
    kiln__pool_fail(image->pool, task, /* ran= */ false, status, reason);
}

/* Everybody who waits has the fate of the load. */
static void finish_waiting(kiln_pool_image *image, const kiln_job_result *result) {
  kiln_task *task;
  while ((task = dequeue(image, /* to_run= */ false)) != NULL) {
    kiln_job_result copy = *result;
    copy.times = (kiln_times){0};
    kiln__pool_finish(image->pool, task, &copy, /* ran= */ false);
  }
}

static kiln_job_result failed_result(void) {
  return (kiln_job_result){
      .outcome = KILN_OUTCOME_CRASHED,
      .code = KILN_CODE_IMAGE_FAILED,
      .name = "Error",
      .message =
          "the image has failed: three of its processes in a row ended, or could not be "
          "loaded, before they got a job",
      .stack = "",
      .resource = "",
      .source_line = "",
      .cached_data_rejected = -1};
}

/* ---- its process -------------------------------------------------------------------------------
 */

static void dismiss(kiln_pool *pool, kiln_worker *worker) {
  if (!worker || worker->state == KILN_WORKER_ENDING) return;
  kiln_task *task = worker->task; /* a load's */
  worker->task = NULL;
  worker->dismissed = true;
  kiln__worker_end(pool, worker);
  if (task) kiln__pool_fail(pool, task, /* ran= */ true, KILN_NOT_FOUND, DELETED);
}

/* The end of a process is that of its forks which have no job yet. */
static void end_children(kiln_pool *pool, const kiln_worker *process) {
  for (kiln_worker *child = pool->workers; child; child = child->next)
    if (child->from == process) dismiss(pool, child);
}

static void fail_for_good(kiln_pool_image *image) {
  if (image->failed) return;
  kiln_job_result result = failed_result();
  image->failed = true;
  image->on_event(image->user, KILN_POOL_IMAGE_FAILED, &result, 0);
}

static void note_crash(kiln_pool_image *image) {
  image->again_ns = kiln__pool_now_ns() + AGAIN_NS;
  if (++image->crashes >= KILN_POOL_IMAGE_FAILURES_MAX) fail_for_good(image);
}

void kiln__image_on_end(kiln_pool *pool, kiln_worker *worker) {
  kiln_pool_image *image = worker->image;
  kiln_worker_state state = worker->state;
  bool has_job = state == KILN_WORKER_RUNNING;
  if (!worker->is_process) {
    if (has_job || !worker->from) return;
    if (state == KILN_WORKER_FORKING) worker->from->children_forking--;
    if (state == KILN_WORKER_IDLE) worker->from->children_idle--;
    worker->from = NULL;
    if (!worker->dismissed) note_crash(image);
    return;
  }
  bool was_announced = image->process == worker && worker->tried;
  if (image->process == worker) {
    image->process = image->younger;
    image->younger = NULL;
  }
  if (image->younger == worker) image->younger = NULL;
  if (image->trying == worker) image->trying = NULL;
  end_children(pool, worker);
  if (!worker->dismissed && state == KILN_WORKER_SERVING) note_crash(image);
  if (!worker->dismissed && (state == KILN_WORKER_FORKING || state == KILN_WORKER_IDLE)) {
    image->fork_failures++;
    image->again_ns = kiln__pool_now_ns() + AGAIN_NS;
  }
  if (was_announced && !image->process)
    image->on_event(image->user, worker->dismissed ? KILN_POOL_IMAGE_EVICTED : KILN_POOL_IMAGE_LOST,
                    NULL, 0);
}

void kiln__image_note_assigned(kiln_worker *worker) {
  kiln_pool_image *image = worker->image;
  if (worker->is_process) return;
  worker->from->children_idle--;
  worker->from = NULL;
  image->used_ns = kiln__pool_now_ns();
}

/* A load, or the trial after it, that did not go well. */
static void not_loaded(kiln_pool_image *image, const kiln_job_result *result) {
  image->begun = true;
  image->again_ns = kiln__pool_now_ns() + AGAIN_NS;
  kiln__job_result_release(&image->loaded);
  image->on_event(image->user, KILN_POOL_IMAGE_NOT_LOADED, result, 0);
  if (result->status == KILN_OK && ++image->load_failures >= KILN_POOL_IMAGE_FAILURES_MAX)
    fail_for_good(image);
  if (image->process) {
    image->process->forks = 0; /* the old one goes on for another while */
    return;
  }
  finish_waiting(image, result);
}

/* kiln_job_done_fn of a load. */
static void load_done(void *user, const kiln_job_result *result) {
  kiln_pool_image *image = user;
  if (result->status != KILN_OK || result->outcome != KILN_OUTCOME_OK) {
    not_loaded(image, result);
    return;
  }
  kiln__job_result_release(&image->loaded);
  image->loaded = (kiln_job_result){.outcome = KILN_OUTCOME_OK,
                                    .code = "",
                                    .name = "",
                                    .message = "",
                                    .stack = "",
                                    .resource = "",
                                    .source_line = "",
                                    .cached_data_rejected = -1,
                                    .console_truncated = result->console_truncated,
                                    .times = result->times};
  if (result->console_json) image->loaded.console_json = kiln_bytes_ref(result->console_json);
}

static kiln_task *new_task(kiln_pool_image *image, const kiln_wire_out *message,
                           kiln_job_done_fn done, uint32_t timeout_ms) {
  kiln_task *task = kiln__task_new(done, image);
  if (!task) return NULL;
  task->timeout_ms = timeout_ms;
  task->limits = image->limits;
  if (kiln__wire_out_copy(message, &task->message)) return task;
  kiln__task_free(task);
  return NULL;
}

/* Gives a worker a task of ours, which is counted as running. */
static void assign(kiln_pool *pool, kiln_worker *worker, kiln_task *task) {
  if (!kiln__worker_assign(pool, worker, task))
    kiln__pool_fail(pool, task, /* ran= */ true, KILN_EINTERNAL, "image: its process has ended");
}

void kiln__image_loaded(kiln_pool *pool, kiln_worker *worker, kiln_job_result *result) {
  kiln_pool_image *image = worker->image;
  kiln_task *task = worker->task;
  worker->task = NULL;
  worker->state = KILN_WORKER_SERVING;
  worker->data_bytes = kiln__process_data_bytes(worker->pid, pool->data_bytes);
  image->loaded_bytes = kiln__process_private_bytes(worker->pid);
  image->fork_failures = 0;
  kiln__wire_out_release(&image->fork_child);
  kiln__wire_out_init(&image->fork_child, KILN_WIRE_FORK);
  kiln__wire_put_number(&image->fork_child, KILN_WIRE_FORK_DATA, worker->data_bytes);
  bool encoded = kiln__wire_finish(&image->fork_child);
  kiln__pool_finish(pool, task, result, /* ran= */ true);
  if (!encoded) dismiss(pool, worker);
}

/* kiln_job_done_fn of the trial. */
static void canary_done(void *user, const kiln_job_result *result) {
  kiln_pool_image *image = user;
  kiln_pool *pool = image->pool;
  kiln_worker *process = image->trying;
  image->trying = NULL;
  if (!process) return; /* it has ended meanwhile, and this is its fork's end */
  if (result->status != KILN_OK || result->outcome != KILN_OUTCOME_OK) {
    dismiss(pool, process);
    not_loaded(image, result);
    return;
  }
  bool renewed = process == image->younger;
  process->tried = true;
  image->load_failures = 0;
  image->used_ns = kiln__pool_now_ns();
  if (renewed) {
    kiln_worker *older = image->process;
    image->younger = NULL;
    image->process = process;
    dismiss(pool, older);
  }
  image->on_event(image->user, renewed ? KILN_POOL_IMAGE_RENEWED : KILN_POOL_IMAGE_LOADED,
                  &image->loaded, image->loaded_bytes);
  kiln__job_result_release(&image->loaded);
}

/* ---- keeping things at hand --------------------------------------------------------------------
 */

static kiln_worker *find_idle(const kiln_pool *pool, const kiln_worker *from) {
  if (from->children_idle == 0) return NULL;
  for (kiln_worker *worker = pool->workers; worker; worker = worker->next)
    if (worker->from == from && worker->state == KILN_WORKER_IDLE) return worker;
  return NULL;
}

static bool is_serving(const kiln_worker *process) {
  return process && process->state == KILN_WORKER_SERVING;
}

bool kiln__images_give(kiln_pool *pool, uint64_t before_ns) {
  kiln_pool_image *best = NULL;
  pthread_mutex_lock(&pool->lock);
  for (kiln_pool_image *image = pool->images; image; image = image->next) {
    bool can = image->first && is_serving(image->process) && image->process->tried &&
               image->process->children_idle > 0 && image->first->submitted_ns < before_ns;
    if (!can) continue;
    best = image;
    before_ns = image->first->submitted_ns;
  }
  pthread_mutex_unlock(&pool->lock);
  kiln_task *task = best ? dequeue(best, /* to_run= */ true) : NULL;
  if (!task) return false;
  if (kiln__worker_assign(pool, find_idle(pool, best->process), task))
    best->crashes = 0;
  else
    kiln__pool_put_back(pool, task);
  return true;
}

bool kiln__images_need_breeder(const kiln_pool *pool) {
  for (kiln_pool_image *image = pool->images; image; image = image->next) {
    pthread_mutex_lock(&image->pool->lock);
    bool is_free = image->is_free;
    pthread_mutex_unlock(&image->pool->lock);
    if (!is_free && !image->failed) return true;
  }
  return false;
}

static bool wants_process(kiln_pool_image *image, bool waits) {
  return !image->process && (waits || !image->begun);
}

void kiln__images_note_no_breeder(kiln_pool *pool) {
  for (kiln_pool_image *image = pool->images; image; image = image->next)
    if (wants_process(image, count_waiting(image) > 0)) image->fork_failures++;
}

/* A worker for the image's process, forked by the breeder, unless that is to be renewed first. */
static void ask_process(kiln_pool *pool, kiln_pool_image *image, kiln_worker **slot) {
  const kiln_zygote *breeder = pool->breeder;
  if (!breeder || !breeder->ready || breeder->forks >= pool->forks_per_zygote) return;
  if (kiln__worker_ask(pool, &(kiln_fork){image, /* from= */ NULL, &image->fork_process}))
    *slot = pool->workers; /* the newest */
  else
    image->again_ns = kiln__pool_now_ns() + AGAIN_NS;
}

/* Gives the ready process its load, or the loaded process' first fork its trial. */
static void go_on(kiln_pool *pool, kiln_pool_image *image, kiln_worker *process) {
  if (!process) return;
  kiln_worker *worker = process;
  kiln_task *task;
  if (process->state == KILN_WORKER_IDLE) {
    if (!begin_running(pool)) return;
    image->begun = true;
    task = new_task(image, &image->load, load_done, image->timeout_ms);
  } else if (is_serving(process) && !process->tried && !image->trying) {
    worker = find_idle(pool, process);
    if (!worker || !begin_running(pool)) return;
    task = new_task(image, &image->canary, canary_done, CANARY_MS);
    image->trying = process;
  } else {
    return;
  }
  if (task) {
    assign(pool, worker, task);
    return;
  }
  pthread_mutex_lock(&pool->lock);
  pool->running--;
  pthread_mutex_unlock(&pool->lock);
  dismiss(pool, process);
}

static void ask_children(kiln_pool *pool, kiln_pool_image *image, kiln_worker *process,
                         uint64_t now) {
  if (!is_serving(process)) return;
  unsigned wanted = 1;
  if (process->tried) wanted = count_waiting(image) + (image->used_ns + RECENT_NS > now);
  if (!process->tried && image->trying == process) wanted = 0; /* the trial is under way */
  if (wanted > pool->workers_max) wanted = pool->workers_max;
  while (process->state == KILN_WORKER_SERVING &&
         process->children_idle + process->children_forking < wanted) {
    if (kiln__worker_ask(pool, &(kiln_fork){image, process, &image->fork_child})) continue;
    image->again_ns = kiln__pool_now_ns() + AGAIN_NS;
    return;
  }
}

/* When it is ended if nobody uses it until then. */
static uint64_t idle_due(const kiln_pool_image *image, bool waits) {
  bool can = !waits && is_serving(image->process) && image->process->tried && !image->younger;
  return can ? image->used_ns + image->idle_ns : UINT64_MAX;
}

static void keep_one(kiln_pool *pool, kiln_pool_image *image, uint64_t now) {
  pthread_mutex_lock(&pool->lock);
  bool is_free = image->is_free, evict = image->evict, waits = image->waiting > 0;
  image->evict = false;
  pthread_mutex_unlock(&pool->lock);
  bool can_evict = is_serving(image->process) && image->process->tried;
  if (is_free || image->failed || (evict && can_evict) || now >= idle_due(image, waits)) {
    dismiss(pool, image->younger);
    dismiss(pool, image->process);
  }
  if (is_free) {
    fail_waiting(image, KILN_NOT_FOUND, DELETED);
    return;
  }
  if (image->failed) {
    kiln_job_result result = failed_result();
    finish_waiting(image, &result);
    return;
  }
  if (image->fork_failures >= KILN_POOL_IMAGE_FAILURES_MAX) {
    kiln_job_result none = {.status = KILN_EENGINE};
    snprintf(none.message_of_ours, sizeof(none.message_of_ours), "%s",
             pool->trouble[0] ? pool->trouble : "engine: no process could be forked");
    image->fork_failures = 0;
    not_loaded(image, &none);
  }
  if (now >= image->again_ns) {
    if (wants_process(image, waits)) {
      ask_process(pool, image, &image->process);
    } else if (is_serving(image->process) && image->process->tried && !image->younger &&
               image->process->forks >= pool->forks_per_zygote) {
      ask_process(pool, image, &image->younger);
    }
    ask_children(pool, image, image->process, now);
    ask_children(pool, image, image->younger, now);
  }
  go_on(pool, image, image->process);
  go_on(pool, image, image->younger);
}

/* Takes over those that were made since, and forgets those nobody refers to any more. */
static void sort_out(kiln_pool *pool) {
  pthread_mutex_lock(&pool->lock);
  while (pool->new_images) {
    kiln_pool_image *image = pool->new_images;
    pool->new_images = image->next;
    image->next = pool->images;
    pool->images = image;
  }
  pthread_mutex_unlock(&pool->lock);
  for (kiln_pool_image **at = &pool->images; *at;) {
    kiln_pool_image *image = *at;
    pthread_mutex_lock(&pool->lock);
    bool referred = image->waiting > 0 || !image->is_free;
    pthread_mutex_unlock(&pool->lock);
    for (const kiln_worker *worker = pool->workers; worker && !referred; worker = worker->next)
      referred = worker->image == image;
    if (referred) {
      at = &image->next;
      continue;
    }
    *at = image->next;
    image->on_event(image->user, KILN_POOL_IMAGE_FREED, NULL, 0);
    free_image(image);
  }
}

void kiln__images_keep(kiln_pool *pool, uint64_t now) {
  sort_out(pool);
  for (kiln_pool_image *image = pool->images; image; image = image->next)
    keep_one(pool, image, now);
}

uint64_t kiln__images_due(const kiln_pool *pool, uint64_t begun) {
  uint64_t due = UINT64_MAX;
  for (kiln_pool_image *image = pool->images; image; image = image->next) {
    uint64_t one = idle_due(image, count_waiting(image) > 0);
    if (image->again_ns > begun) one = image->again_ns;
    if (one < due) due = one;
  }
  return due;
}

void kiln__images_take_down(kiln_pool *pool) {
  sort_out(pool);
  for (kiln_pool_image *image = pool->images; image; image = image->next)
    fail_waiting(image, KILN_ECLOSING, "the service is stopping");
}

void kiln__images_free(kiln_pool *pool) {
  while (pool->images) {
    kiln_pool_image *image = pool->images;
    pool->images = image->next;
    image->on_event(image->user, KILN_POOL_IMAGE_FREED, NULL, 0);
    free_image(image);
  }
}
