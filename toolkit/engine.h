/* SPDX-License-Identifier: MIT
 *
 * engine.h: what zygote.c makes ready and worker.c works with. Private to kiln-engine.
 */
#ifndef KILN_TOOLKIT_ENGINE_H
#define KILN_TOOLKIT_ENGINE_H

#include <sys/types.h>

#include "shim/kv8.h"
#include "toolkit/job.h"
#include "toolkit/sandbox.h"

/* A text that grows; used for JSON. */
typedef struct kiln_text {
  char *data;
  size_t length;
  size_t capacity;
} kiln_text;

/* Out of memory ends the process with KILN_EXIT_MEMORY_LIMIT: these run in workers only. */
void kiln__text_put(kiln_text *text, const char *data, size_t length);
void kiln__text_puts(kiln_text *text, const char *string);
void kiln__text_put_number(kiln_text *text, uint64_t number);
/* As a JSON string, quotes included. The bytes are valid UTF-8. */
void kiln__text_put_json_string(kiln_text *text, kv8_span string);

/* What scripts wrote to the console, as a JSON array without its closing bracket. */
typedef struct kiln_console {
  kiln_text text;
  uint64_t left; /* how many more bytes it takes */
  bool on;       /* off: nothing is kept */
  bool truncated;
} kiln_console;

/* V8, started, with an isolate and a plain context that has run nothing, or what an image has. */
typedef struct kiln_engine {
  kv8_isolate *isolate;
  kv8_context *context;
  kv8_engine_info info;
  kiln_console console; /* of the ready context */
  bool is_image;
  size_t image_heap_bytes; /* what the image left; a job's limits count from there */
  size_t image_buffer_bytes;
} kiln_engine;

/* kv8_console_fn; `user` is a kiln_console. */
void kiln__console_write(void *user, const char *level, kv8_span text);

/* How the pool wants a zygote to be. */
typedef struct kiln_zygote_options {
  const char *v8_flags; /* beside the engine's own, or "" */
  bool large_pages;     /* see large_pages.h */
  bool sandbox_off;     /* see kiln_options */
} kiln_zygote_options;

/* Serves fork requests at KILN_CHANNEL until it closes. Returns the exit code. */
int kiln_zygote_main(pid_t parent, const kiln_zygote_options *options);

/* Serves fork requests at KILN_CHANNEL until it closes, and exits then. */
_Noreturn void kiln_zygote_serve(kiln_engine *engine, pid_t parent);

/* A forked worker's whole life. */
_Noreturn void kiln_worker_main(kiln_engine *engine, int channel, pid_t parent,
                                kiln_filter_kind kind);

/* ---- within worker*.c ------------------------------------------------------------------------ */

/* One job under way. */
typedef struct kiln_work {
  kiln_engine *engine;
  const kiln_job *job;
  uint64_t deadline_ns;
  kv8_error error; /* result's texts point here */
  kiln_job_result result;
} kiln_work;

void kiln__work_bake(kiln_work *work);
void kiln__work_run(kiln_work *work);
void kiln__work_measure(kiln_work *work);
void kiln__work_canary(kiln_work *work);
/* Loads an image into the ready context; false: the result says why not. */
bool kiln__work_load_image(kiln_work *work);

/* Compiles and runs work->job's module; *ret_value is its namespace. */
bool kiln__work_run_module(kiln_work *work, kv8_value **ret_value);

uint64_t kiln__now_ns(void);

/* Tells whether `status` is KV8_OK; if not, the outcome is set from it and work->error, and the job
 * is over. */
bool kiln__work_ok(kiln_work *work, kv8_status status);

/* Ends the job with an exception of our own. */
void kiln__work_fail(kiln_work *work, const char *code, const char *name, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Gets what is left of the job's time, at least 1 ms; false if nothing: the job is over. */
bool kiln__work_time_left(kiln_work *work, unsigned *ret_ms);

/* Gives the ready context what the job says of contexts, and its globals. */
bool kiln__work_configure(kiln_work *work);

/* A source as kv8 wants it, read in place. */
kv8_source kiln__source(const kiln_bytes *bytes, kiln_span filename);
kv8_span kiln__span(kiln_span span);
kiln_span kiln__span_of(const char *text);

/* Copies a blob of kv8's, frees it. */
kiln_bytes *kiln__bytes_from_blob(kv8_blob *blob);
/* Takes the text. */
kiln_bytes *kiln__bytes_from_text(kiln_text *text);

void kiln__put_heap_statistics(kiln_work *work, kiln_text *text);
/* A measurement, as JSON. */
void kiln__put_memory(kiln_work *work, kiln_text *text, const kv8_memory *memory);

/* Applies the job's limits of memory. */
void kiln__work_set_limits(kiln_work *work);

#endif
