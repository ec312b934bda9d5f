/* SPDX-License-Identifier: MIT
 *
 * bench.h: what the benchmarks of kiln-bench share: options, samples and their statistics, the
 * report, the corpus, other processes. A benchmark measures Kiln and a peer alternately in the same
 * run and reports the ratio of the medians; it gives times, it does not judge them by its exit
 * status.
 */
#ifndef KILN_BENCH_BENCH_H
#define KILN_BENCH_BENCH_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

/* Prints "kiln-bench: message" and exits with 1. A benchmark that cannot go on has nothing to
 * clean up but its own processes and temporary files, which atexit() handlers do. */
_Noreturn void bench_die(const char *format, ...) __attribute__((format(printf, 1, 2)));

typedef struct bench_options {
  bool quick;      /* a smoke test: one round of everything, as short as can be */
  unsigned rounds; /* 0: the benchmark's own choice */
} bench_options;

/* ---- samples and report -------------------------------------------------------------------- */

typedef struct bench_samples {
  double *values;
  size_t count;
  size_t capacity;
} bench_samples;
void bench_add(bench_samples *samples, double value);
/* The value below which the share `q` (0 to 1) of the samples lies; NAN without samples. */
double bench_quantile(const bench_samples *samples, double q);

/* What the ratio of ours to the peer's should be. */
typedef enum bench_goal { BENCH_NO_GOAL = 0, BENCH_AT_MOST, BENCH_AT_LEAST } bench_goal;

#define BENCH_ROWS_MAX 64
typedef struct bench_row {
  char what[64];
  const char *unit;
  bench_samples ours;
  bench_samples peer; /* without samples: there is no peer */
  bench_goal goal;
  double target;
  char note[96];
} bench_row;

typedef struct bench_report {
  const char *name;
  const char *ours; /* what the columns are called */
  const char *peer;
  bench_row rows[BENCH_ROWS_MAX];
  size_t rows_count;
} bench_report;

bench_row *bench_report_add(bench_report *report, const char *what, const char *unit,
                            bench_goal goal, double target);
void bench_report_print(const bench_report *report, FILE *out);
json_t *bench_report_json(const bench_report *report);
void bench_report_release(bench_report *report);

/* The machine, the build and the engine, for the JSON. */
json_t *bench_environment(void);

uint64_t bench_now_ns(void);

/* ---- files and the corpus ------------------------------------------------------------------ */

typedef struct bench_file {
  char *data;
  size_t length;
} bench_file;
bench_file bench_read(const char *path);
void bench_write(const char *path, const void *data, size_t length);

/* printf to a string of its own; dies for want of memory. */
char *bench_format(const char *format, ...) __attribute__((format(printf, 1, 2)));

typedef struct bench_bundle {
  char *name;
  char *path;
} bench_bundle;
#define BENCH_BUNDLES_MAX 32
typedef struct bench_corpus {
  bench_bundle bundles[BENCH_BUNDLES_MAX];
  size_t count;
} bench_corpus;
/* tests/corpus/corpus.txt; dies if a file is not there. Release with bench_corpus_release(). */
void bench_corpus_load(bench_corpus *ret_corpus);
void bench_corpus_release(bench_corpus *corpus);

/* A directory that is removed with all that is in it when kiln-bench ends. Lent. */
const char *bench_temp_dir(void);

/* ---- processes ----------------------------------------------------------------------------- */

/* Finds a program by name in $PATH, /usr/sbin and what ./run unpacked; dies with a hint if there is
 * none. One to free. */
char *bench_find_program(const char *name);

/* Runs argv to its end and returns what it printed, as a string to free; dies unless it exits with
 * 0. `*ret_ns`, which may be NULL, gets how long the process lived. */
char *bench_run(char *const argv[], uint64_t *ret_ns);

/* Starts argv in the background; `keep_fd`, if not negative, becomes its descriptor 3. It gets
 * SIGTERM when kiln-bench ends or at bench_stop(). */
pid_t bench_start(char *const argv[], char *const envp[], int keep_fd);
void bench_stop(pid_t pid);

/* A listening socket on a free loopback port. */
int bench_listen(unsigned *ret_port);

/* kilnd with an empty store, taking requests at `*ret_url` (to free). */
pid_t bench_start_kilnd(char **ret_url);
/* ... and with these options, up to BENCH_KILND_OPTIONS_MAX; NULL ends them. */
#define BENCH_KILND_OPTIONS_MAX 8
pid_t bench_start_kilnd_with(char *const options[], char **ret_url);

/* ---- HTTP ---------------------------------------------------------------------------------- */

/* One client: a connection that is kept. */
typedef struct bench_client bench_client;
bench_client *bench_client_new(void);
bench_client *bench_client_of_type(const char *type); /* that POSTs this instead of JavaScript */
void bench_client_free(bench_client *client);
/* POSTs text/javascript and dies unless the answer is `status`. The answer's bytes and its header
 * Kiln-Key, "" if it had none, are lent until the next call. */
typedef struct bench_answer {
  bench_file body;
  char key[65];
} bench_answer;
const bench_answer *bench_post(bench_client *client, const char *url, const char *source,
                               size_t length, long status);

const bench_answer *bench_get(bench_client *client, const char *url, long status);

/* wrk POSTs BENCH_SCRIPT to `url` with so many clients for so long; dies unless all answers are
 * good. */
#define BENCH_SCRIPT "[1, 2, 3].map((x) => x * 14).pop()"
typedef struct bench_wrk_figures {
  double rate; /* requests per second */
  double p50_ms;
  double p99_ms;
} bench_wrk_figures;
bench_wrk_figures bench_wrk(char *url, unsigned clients, unsigned seconds);

/* ---- the benchmarks ------------------------------------------------------------------------ */

void bench_consume(const bench_options *options, bench_report *report);
void bench_bake(const bench_options *options, bench_report *report);
void bench_serve(const bench_options *options, bench_report *report);
void bench_run_requests(const bench_options *options, bench_report *report);
void bench_sandbox(const bench_options *options, bench_report *report);
void bench_session(const bench_options *options, bench_report *report);
void bench_image(const bench_options *options, bench_report *report);
void bench_context(const bench_options *options, bench_report *report);
void bench_globals(const bench_options *options, bench_report *report);
void bench_start_up(const bench_options *options, bench_report *report);
void bench_load(const bench_options *options, bench_report *report);

#endif
