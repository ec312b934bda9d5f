/* SPDX-License-Identifier: MIT
 *
 * requests.c: POST /v1/run of a small script, each in a worker process of its own: latency for one
 * client, requests per second for several, and what memory a worker has for itself. There is no
 * peer: nothing else runs a process per request.
 */
#include <dirent.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/bench.h"

#define REQUESTS 3000
#define CLIENTS_MAX 4
#define PIDS_MAX 64
#define WARM_UP 50
/* Long enough to find its process; it ends by its own deadline. */
#define BUSY_SCRIPT "for (;;);"
#define BUSY_TIMEOUT_MS 2000
#define BUSY_CPU_MS 200

typedef struct load {
  pthread_t thread;
  const char *url;
  const char *script;
  long status;
  unsigned requests;
  bench_samples ms;
} load;

static void *run_load(void *user) {
  load *l = user;
  bench_client *client = bench_client_new();
  for (unsigned i = 0; i < l->requests; i++) {
    uint64_t start = bench_now_ns();
    bench_post(client, l->url, l->script, strlen(l->script), l->status);
    bench_add(&l->ms, (double)(bench_now_ns() - start) / 1e6);
  }
  bench_client_free(client);
  return NULL;
}

static void start_load(load *l) {
  if (pthread_create(&l->thread, NULL, run_load, l) != 0) bench_die("no thread");
}

/* Requests per second of `clients` clients together. */
static double throughput(const char *url, unsigned clients, unsigned requests) {
  load loads[CLIENTS_MAX] = {0};
  uint64_t start = bench_now_ns();
  for (unsigned i = 0; i < clients; i++) {
    loads[i] =
        (load){.url = url, .script = BENCH_SCRIPT, .status = 200, .requests = requests / clients};
    start_load(&loads[i]);
  }
  unsigned done = 0;
  for (unsigned i = 0; i < clients; i++) {
    pthread_join(loads[i].thread, NULL);
    done += (unsigned)loads[i].ms.count;
    free(loads[i].ms.values);
  }
  return done / ((double)(bench_now_ns() - start) / 1e9);
}

/* The children of every thread of `parent`. */
static size_t children(pid_t parent, pid_t *ret_pids, size_t max) {
  size_t count = 0;
  char *tasks = bench_format("/proc/%d/task", (int)parent);
  DIR *dir = opendir(tasks);
  struct dirent *entry;
  while (dir != NULL && (entry = readdir(dir)) != NULL) {
    char line[4096];
    if (entry->d_name[0] == '.') continue;
    char *path = bench_format("%s/%s/children", tasks, entry->d_name);
    FILE *in = fopen(path, "r");
    free(path);
    if (in == NULL) continue;
    size_t length = fread(line, 1, sizeof line - 1, in);
    line[length] = '\0';
    fclose(in);
    char *end = line;
    for (char *at = line; count < max; at = end) {
      long pid = strtol(at, &end, 10);
      if (end == at) break;
      ret_pids[count++] = (pid_t)pid;
    }
  }
  if (dir != NULL) closedir(dir);
  free(tasks);
  return count;
}

/* KiB that are the process's own; -1 if the kernel does not tell. */
static double private_kib(pid_t pid) {
  char line[256];
  long sum = -1;
  char *path = bench_format("/proc/%d/smaps_rollup", (int)pid);
  FILE *in = fopen(path, "r");
  free(path);
  while (in != NULL && fgets(line, sizeof line, in) != NULL) {
    if (strncmp(line, "Private_", 8) != 0) continue;
    sum = (sum < 0 ? 0 : sum) + strtol(strchr(line, ':') + 1, NULL, 10);
  }
  if (in != NULL) fclose(in);
  return (double)sum;
}

typedef struct process_state {
  unsigned long cpu_ticks;
  long nice;
} process_state;

/* From /proc/PID/stat; false if it is gone. */
static bool read_state(pid_t pid, process_state *ret_state) {
  char text[1024];
  unsigned long user;
  unsigned long system;
  char *path = bench_format("/proc/%d/stat", (int)pid);
  FILE *in = fopen(path, "r");
  free(path);
  if (in == NULL) return false;
  size_t length = fread(text, 1, sizeof text - 1, in);
  text[length] = '\0';
  fclose(in);
  /* After the name, which may hold anything: state, ten numbers, utime, stime, two of the
   * children's, priority, nice. */
  static const char format[] =
      ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %*d %*d %*d %ld";
  const char *at = strrchr(text, ')');
  if (at == NULL || sscanf(at, format, &user, &system, &ret_state->nice) != 3) return false;
  ret_state->cpu_ticks = user + system;
  return true;
}

/* Finds two of kilnd's workers, which it runs at a lower priority than the zygotes: one that waits
 * for its job, and the one that runs a busy script. -1 for one that did not show itself. */
static void measure_workers(pid_t kilnd, double *ret_idle_kib, double *ret_busy_kib) {
  uint64_t end = bench_now_ns() + BUSY_TIMEOUT_MS * 1000000ull;
  unsigned long busy_ticks = (unsigned long)sysconf(_SC_CLK_TCK) * BUSY_CPU_MS / 1000;
  *ret_idle_kib = -1;
  *ret_busy_kib = -1;
  while (bench_now_ns() < end && (*ret_idle_kib < 0 || *ret_busy_kib < 0)) {
    pid_t pids[PIDS_MAX];
    size_t count = children(kilnd, pids, PIDS_MAX);
    for (size_t i = 0; i < count; i++) {
      process_state state;
      if (!read_state(pids[i], &state) || state.nice <= 0) continue;
      if (state.cpu_ticks == 0) *ret_idle_kib = private_kib(pids[i]);
      if (state.cpu_ticks >= busy_ticks) *ret_busy_kib = private_kib(pids[i]);
    }
    poll(NULL, 0, 10); /* this must not take the CPU that the worker is to have */
  }
}

static void add_kib(bench_report *report, const char *what, double kib) {
  bench_row *row = bench_report_add(report, what, "KiB", BENCH_NO_GOAL, 0);
  if (kib >= 0) bench_add(&row->ours, kib);
}

void bench_run_requests(const bench_options *options, bench_report *report) {
  char *kilnd;
  pid_t pid = bench_start_kilnd(&kilnd);
  char *url = bench_format("%s/v1/run", kilnd);
  unsigned requests = options->quick ? 100 : REQUESTS;
  unsigned rounds = options->rounds != 0 ? options->rounds : options->quick ? 1 : 5;

  load one = {.url = url, .script = BENCH_SCRIPT, .status = 200, .requests = WARM_UP};
  run_load(&one);
  free(one.ms.values);

  one = (load){.url = url, .script = BENCH_SCRIPT, .status = 200, .requests = requests};
  run_load(&one);
  bench_row *latency = bench_report_add(report, "latency, 1 client", "ms", BENCH_NO_GOAL, 0);
  latency->ours = one.ms;
  bench_row *slow = bench_report_add(report, "latency, 1 client, p99", "ms", BENCH_NO_GOAL, 0);
  bench_add(&slow->ours, bench_quantile(&one.ms, 0.99));

  for (unsigned clients = 1; clients <= CLIENTS_MAX; clients *= 2) {
    char *what = bench_format("throughput, %u client%s", clients, clients == 1 ? "" : "s");
    bench_row *row = bench_report_add(report, what, "requests/s", BENCH_NO_GOAL, 0);
    for (unsigned i = 0; i < rounds; i++) bench_add(&row->ours, throughput(url, clients, requests));
    free(what);
  }

  char *busy_url = bench_format("%s?timeout=%d", url, BUSY_TIMEOUT_MS);
  load busy = {.url = busy_url, .script = BUSY_SCRIPT, .status = 422, .requests = 1};
  double idle_kib;
  double busy_kib;
  start_load(&busy);
  measure_workers(pid, &idle_kib, &busy_kib);
  add_kib(report, "private memory, idle worker", idle_kib);
  add_kib(report, "private memory, busy worker", busy_kib);
  pthread_join(busy.thread, NULL);
  free(busy.ms.values);
  free(busy_url);
  bench_stop(pid);
  free(url);
  free(kilnd);
}
