/* SPDX-License-Identifier: MIT
 *
 * pool_support.h: what the pool's tests have in common: a pool on the real kiln-engine, jobs that
 * are waited for, a look at the processes.
 */
#ifndef KILN_TESTS_TOOLKIT_POOL_SUPPORT_H
#define KILN_TESTS_TOOLKIT_POOL_SUPPORT_H

#include <pthread.h>
#include <sys/types.h>

#include "toolkit/pool.h"

/* A done call's content, kept. */
typedef struct answer {
  pthread_mutex_t lock;
  pthread_cond_t changed;
  bool done;
  unsigned calls;
  kiln_status status;
  kiln_outcome outcome;
  char code[64], name[64], message[1100], stack[4200], resource[300], source_line[300];
  char message_of_ours[256];
  int line, column, signal;
  kiln_bytes *blob, *result_json, *globals_json, *console_json, *memory_json;
  bool console_truncated;
  int cached_data_rejected;
  kiln_times times;
} answer;

/* Sanitizers slow V8 down by an order of magnitude. */
#ifdef KILN_ADDRESS_SANITIZER
#define SLOW 10
#else
#define SLOW 1
#endif

/* However busy the machine, a job that is not to reach its limit ends in this time; the test's own
 * limit is shorter. */
#define HONEST_MS 600000

kiln_span span_of(const char *text);
kiln_bytes *bytes_of(const char *text);

kiln_pool_options default_options(void);
kiln_pool *new_pool(const kiln_pool_options *options);

/* A job to run a script, with limits that suit a test. Its source is to be unreferenced. */
kiln_job script_job(const char *source);

void answer_init(answer *a);
void answer_release(answer *a);
/* A kiln_job_done_fn; `user` is an answer. */
void answer_done(void *user, const kiln_job_result *result);
void answer_wait(answer *a);

/* Submits, waits; release the answer. */
void do_job(kiln_pool *pool, const kiln_job *job, answer *a);
/* Runs a script, asserts that it ended well and that its result is this JSON. */
void assert_result(kiln_pool *pool, const char *source, const char *json);

void assert_json(const kiln_bytes *bytes, const char *json);
/* Asserts that the text occurs. */
void assert_contains(const kiln_bytes *bytes, const char *text);

kiln_stats stats_of(kiln_pool *pool);

typedef struct child {
  pid_t pid;
  char state; /* as in /proc/PID/stat */
  long nice;  /* workers: 10, zygotes and keepers: 0 */
  bool keeper;
  long ticks; /* of processor time */
} child;
/* Lists this process's children; returns how many. */
size_t list_children(child *children, size_t max);
/* Kills every zygote, and workers not ready yet, but none that may have a job. */
void kill_zygotes(void);
size_t count_descriptors(void);
uint64_t now_ms(void);

#endif
