/* SPDX-License-Identifier: MIT
 *
 * worker.c: the life of a forked worker: closes the doors, reads its one job, does it, answers,
 * ends. What the operations do is worker_bake.c, worker_run.c and worker_measure.c; here is what
 * they have in common. A worker that cannot go on just exits: the pool tells why from how.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "shim/kv8_fork.h"
#include "toolkit/bytes.h"
#include "toolkit/engine.h"
#include "toolkit/malloc_ahead.h"
#include "toolkit/sandbox.h"
#include "toolkit/worker_session.h"

#define LARGE_SOURCE_MIN ((size_t)1 << 20)

uint64_t kiln__now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* ---- outcomes -------------------------------------------------------------------------------- */

static void point_at_error(kiln_work *work) {
  kiln_job_result *result = &work->result;
  const kv8_error *error = &work->error;
  result->code = error->code;
  result->name = error->name;
  result->message = error->message;
  result->stack = error->stack;
  result->resource = error->resource;
  result->source_line = error->source_line;
  result->line = error->line;
  result->column = error->column;
}

__attribute__((format(printf, 5, 0))) static void end_with(kiln_work *work, kiln_outcome outcome,
                                                           const char *code, const char *name,
                                                           const char *format, va_list args) {
  memset(&work->error, 0, sizeof(work->error));
  snprintf(work->error.code, sizeof(work->error.code), "%s", code);
  snprintf(work->error.name, sizeof(work->error.name), "%s", name);
  vsnprintf(work->error.message, sizeof(work->error.message), format, args);
  work->result.outcome = outcome;
  point_at_error(work);
}

__attribute__((format(printf, 5, 6))) static void end_as(kiln_work *work, kiln_outcome outcome,
                                                         const char *code, const char *name,
                                                         const char *format, ...) {
  va_list args;
  va_start(args, format);
  end_with(work, outcome, code, name, format, args);
  va_end(args);
}

void kiln__work_fail(kiln_work *work, const char *code, const char *name, const char *format, ...) {
  va_list args;
  va_start(args, format);
  end_with(work, KILN_OUTCOME_EXCEPTION, code, name, format, args);
  va_end(args);
}

static void end_by_time(kiln_work *work) {
  end_as(work, KILN_OUTCOME_TIME_LIMIT, KILN_CODE_TIME_LIMIT, "Error",
         "Script execution timed out after %ums", work->job->timeout_ms);
}

bool kiln__work_ok(kiln_work *work, kv8_status status) {
  switch (status) {
    case KV8_OK:
      return true;
    case KV8_ETIMEOUT:
      end_by_time(work);
      return false;
    case KV8_EHEAP:
    case KV8_ENOMEM:
      end_as(work, KILN_OUTCOME_MEMORY_LIMIT, KILN_CODE_MEMORY_LIMIT, "Error",
             "the script reached its memory limit");
      return false;
    default:
      break;
  }
  kv8_error *error = &work->error;
  if (status == KV8_ETOOBIG && error->code[0] == '\0')
    snprintf(error->code, sizeof(error->code), "ERR_TOO_LARGE");
  if (error->name[0] == '\0') snprintf(error->name, sizeof(error->name), "Error");
  work->result.outcome = KILN_OUTCOME_EXCEPTION;
  point_at_error(work);
  return false;
}

bool kiln__work_time_left(kiln_work *work, unsigned *ret_ms) {
  uint64_t now = kiln__now_ns();
  if (now >= work->deadline_ns) {
    end_by_time(work);
    return false;
  }
  *ret_ms = (unsigned)((work->deadline_ns - now + 999999) / 1000000);
  return true;
}

/* ---- sources, values, texts ------------------------------------------------------------------ */

kv8_span kiln__span(kiln_span span) {
  return (kv8_span){span.data, span.length};
}

kiln_span kiln__span_of(const char *text) {
  return (kiln_span){text, strlen(text)};
}

/* A worker never gives its job's memory back, so nothing is to be done. */
static void keep(void *user) {
  (void)user;
}

kv8_source kiln__source(const kiln_bytes *bytes, kiln_span filename) {
  kv8_source source = KV8_SOURCE_INIT;
  source.text = kiln__span(kiln_bytes_get(bytes));
  source.release = keep;
  source.filename = kiln__span(filename);
  return source;
}

kiln_bytes *kiln__bytes_from_blob(kv8_blob *blob) {
  kiln_bytes *bytes = kiln_bytes_new(blob->data, blob->length);
  if (!bytes) _exit(KILN_EXIT_MEMORY_LIMIT);
  kv8_blob_free(blob);
  return bytes;
}

kiln_bytes *kiln__bytes_from_text(kiln_text *text) {
  kiln_bytes *bytes = kiln_bytes_new(text->data, text->length);
  if (!bytes) _exit(KILN_EXIT_MEMORY_LIMIT);
  free(text->data);
  memset(text, 0, sizeof(*text));
  return bytes;
}

void kiln__put_heap_statistics(kiln_work *work, kiln_text *text) {
  kv8_heap_statistics heap;
  if (kv8_isolate_get_heap_statistics(work->engine->isolate, &heap, /* err= */ NULL) != KV8_OK)
    memset(&heap, 0, sizeof(heap));
  /* Named and ordered as v8.getHeapStatistics() does. */
  const struct {
    const char *name;
    size_t value;
  } fields[] = {
      {"{\"total_heap_size\":", heap.total_heap_size},
      {",\"total_heap_size_executable\":", heap.total_heap_size_executable},
      {",\"total_physical_size\":", heap.total_physical_size},
      {",\"total_available_size\":", heap.total_available_size},
      {",\"used_heap_size\":", heap.used_heap_size},
      {",\"heap_size_limit\":", heap.heap_size_limit},
      {",\"malloced_memory\":", heap.malloced_memory},
      {",\"peak_malloced_memory\":", heap.peak_malloced_memory},
      {",\"number_of_native_contexts\":", heap.number_of_native_contexts},
      {",\"number_of_detached_contexts\":", heap.number_of_detached_contexts},
      {",\"total_global_handles_size\":", heap.total_global_handles_size},
      {",\"used_global_handles_size\":", heap.used_global_handles_size},
      {",\"external_memory\":", heap.external_memory},
  };
  for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
    kiln__text_puts(text, fields[i].name);
    kiln__text_put_number(text, fields[i].value);
  }
  kiln__text_puts(text, "}");
}

bool kiln__work_configure(kiln_work *work) {
  const kiln_job *job = work->job;
  kv8_context_options options = KV8_CONTEXT_OPTIONS_INIT;
  options.name = kiln__span(job->context_name);
  options.origin = kiln__span(job->context_origin);
  options.strings = job->deny_strings ? KV8_DENY : KV8_ALLOW;
  options.wasm = job->deny_wasm ? KV8_DENY : KV8_ALLOW;
  options.microtask_mode =
      job->microtasks_after_evaluate ? KV8_MICROTASKS_AFTER_EVALUATE : KV8_MICROTASKS_SHARED;
  options.on_console = kiln__console_write;
  options.on_console_user = &work->engine->console;
  kv8_context *context = work->engine->context;
  if (!work->engine->is_image && /* whose context is as it is */
      !kiln__work_ok(work, kv8_context_configure(context, &options, &work->error)))
    return false;
  return job->globals_json.length == 0 ||
         kiln__work_ok(work, kv8_context_set_globals_json(context, kiln__span(job->globals_json),
                                                          &work->error));
}

/* ---- life ------------------------------------------------------------------------------------ */

static void say_ready(void) {
  kiln_wire_out out;
  kiln__wire_out_init(&out, KILN_WIRE_READY);
  if (!kiln__wire_finish(&out) || kiln__wire_send(KILN_CHANNEL, &out, /* fd= */ -1, 0) != 0)
    _exit(EXIT_FAILURE);
  kiln__wire_out_release(&out);
}

/* What the largest part of an answer may need: texts beside the result have what it has. */
static uint64_t answer_max(const kiln_job *job) {
  uint64_t text = job->result_max_bytes > job->console_max_bytes * 6 ? job->result_max_bytes
                                                                     : job->console_max_bytes * 6;
  bool is_blob = job->op == KILN_JOB_BAKE && text < KILN_BLOB_MAX;
  return (is_blob ? KILN_BLOB_MAX : text) + KILN_MEMFD_MIN;
}

void kiln__work_set_limits(kiln_work *work) {
  const kiln_job *job = work->job;
  kv8_isolate *isolate = work->engine->isolate;
  const kiln_engine *engine = work->engine;
  if (job->heap_max_bytes > 0 &&
      kv8_isolate_set_heap_max(isolate, job->heap_max_bytes + engine->image_heap_bytes,
                               &work->error) != KV8_OK)
    _exit(KILN_EXIT_FATAL);
  /* What a process may have beside the heap, ArrayBuffers may. */
  if (job->memory_max_bytes > job->heap_max_bytes)
    kv8_isolate_set_array_buffer_max(
        isolate, job->memory_max_bytes - job->heap_max_bytes + engine->image_buffer_bytes);
}

/* V8 parses in memory of malloc(), about twice the source's size. For a small one large pages cost
 * more than they save. Images are left as they are: their forks copy what they touch. */
static void expect_large_source(const kiln_job *job) {
  size_t length = job->source ? kiln_bytes_get(job->source).length : 0;
  bool has_room = job->memory_max_bytes == 0 || length < job->memory_max_bytes / 16;
  if (job->op != KILN_JOB_IMAGE && length >= LARGE_SOURCE_MIN && has_room)
    kiln__malloc_ahead(2 * length);
}

static void answer(kiln_work *work) {
  kiln_console *console = &work->engine->console;
  kiln_wire_out out;
  if (console->on) {
    kiln__text_puts(&console->text, console->text.length == 0 ? "[]" : "]");
    work->result.console_json = kiln__bytes_from_text(&console->text);
    work->result.console_truncated = console->truncated;
  }
  if (!kiln__job_result_encode(&work->result, &out)) _exit(KILN_EXIT_MEMORY_LIMIT);
  if (kiln__wire_send(KILN_CHANNEL, &out, /* fd= */ -1, 0) != 0) _exit(EXIT_FAILURE);
}

/* The image is loaded: this process forks from now on, with no thread but this one. Never returns
 * if that cannot be. Its garbage is not collected: forks are quicker with what V8 has at hand. */
static void become_image(kiln_work *work) {
  kiln_engine *engine = work->engine;
  kv8_heap_statistics heap;
  if (kv8_isolate_get_heap_statistics(engine->isolate, &heap, /* err= */ NULL) == KV8_OK) {
    engine->image_heap_bytes = heap.total_heap_size;
    engine->image_buffer_bytes = heap.external_memory;
  }
  engine->is_image = true;
  if (kv8_engine_before_fork(&work->error) != KV8_OK || !kiln_sandbox_settle_image())
    _exit(EXIT_FAILURE);
}

void kiln_worker_main(kiln_engine *engine, int channel, pid_t parent, kiln_filter_kind kind) {
  static kiln_work work;
  kiln_wire_in in;
  kiln_job_frame frame;
  memset(&work, 0, sizeof(work)); /* an image's children have its */
  if (!kiln_sandbox_detach(channel, parent)) _exit(EXIT_FAILURE);
  if (kv8_engine_after_fork(/* threads_now= */ false, &work.error) != KV8_OK) _exit(EXIT_FAILURE);
  if (!kiln_sandbox_enter(kind)) _exit(EXIT_FAILURE);
  say_ready();

  /* Sources are read in place, those of an image by its children, too. */
  char *buffer = malloc(KILN_WIRE_BUFFER);
  if (!buffer) _exit(EXIT_FAILURE);
  int got = kiln__wire_receive(KILN_CHANNEL, buffer, &in, 0);
  if (got == 0) _exit(EXIT_SUCCESS); /* never needed */
  if (got < 0) _exit(EXIT_FAILURE);
  /* A thread for deadlines takes longer to start than a small script; others need it anyway. */
  bool has_one_job = in.type == KILN_WIRE_JOB && kind == KILN_FILTER_WORKER;
  if (kv8_engine_deadlines_by_alarm(has_one_job, &work.error) != KV8_OK) _exit(EXIT_FAILURE);
  if (in.type == KILN_WIRE_SESSION && kind == KILN_FILTER_WORKER)
    kiln__session_main(engine, buffer, &in);
  if (!kiln__job_decode(&in, &frame)) _exit(EXIT_FAILURE);
  if ((frame.job.op == KILN_JOB_IMAGE) != (kind == KILN_FILTER_FORKING)) _exit(EXIT_FAILURE);
  work.engine = engine;
  work.job = &frame.job;
  work.deadline_ns = kiln__now_ns() + (uint64_t)frame.job.timeout_ms * 1000000u;
  work.result.cached_data_rejected = -1;
  bool limited = kind == KILN_FILTER_FORKING
                     ? kiln_sandbox_limit_image(work.job->timeout_ms, work.job->memory_max_bytes)
                     : kiln_sandbox_limit(work.job->timeout_ms, work.job->memory_max_bytes,
                                          answer_max(work.job));
  if (!limited) _exit(EXIT_FAILURE);
  kiln__work_set_limits(&work);
  expect_large_source(work.job);
  engine->console.left = frame.job.console_max_bytes;
  switch (frame.job.op) {
    case KILN_JOB_BAKE:
      kiln__work_bake(&work);
      break;
    case KILN_JOB_RUN:
      kiln__work_run(&work);
      break;
    case KILN_JOB_MEASURE:
      kiln__work_measure(&work);
      break;
    case KILN_JOB_CANARY:
      kiln__work_canary(&work);
      break;
    case KILN_JOB_IMAGE:
      if (kiln__work_load_image(&work)) {
        become_image(&work);
        answer(&work);
        memset(&engine->console, 0, sizeof(engine->console));
        kiln_zygote_serve(engine, parent);
      }
      break;
  }
  answer(&work);
  _exit(EXIT_SUCCESS);
}
