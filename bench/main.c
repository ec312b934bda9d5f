/* SPDX-License-Identifier: MIT
 *
 * main.c: kiln-bench: the command line, and the report's two forms.
 */
#include <curl/curl.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"
#include "shim/kv8.h"

static const struct {
  const char *name;
  void (*run)(const bench_options *options, bench_report *report);
  const char *ours;
  const char *peer;
  const char *help;
} benchmarks[] = {
    {"consume", bench_consume, "kv8", "bare V8", "compiling with cached data, against bare V8"},
    {"bake", bench_bake, "kiln precompile", "node 18, one by one",
     "baking the corpus, against official Node"},
    {"serve", bench_serve, "kilnd", "nginx, sendfile", "serving blobs, against nginx"},
    {"run", bench_run_requests, "kilnd", "-", "/v1/run: latency, throughput, memory"},
    {"sandbox", bench_sandbox, "kilnd", "--sandbox=off",
     "/v1/run: throughput with the workers' sandbox, against without"},
    {"session", bench_session, "standing context", "/v1/run",
     "a script in a context of a session, against a process for each"},
    {"image", bench_image, "with the image", "source, no image",
     "typescript.js transpiles a line, loaded in an image, against loading it in each run"},
    {"context", bench_context, "kv8", "bare V8", "plain contexts, against bare V8"},
    {"globals", bench_globals, "kv8", "node 18", "contextified globals, against official Node"},
    {"start", bench_start_up, "kiln run", "node 18", "whole processes, against official Node"},
    {"load", bench_load, "kiln/register", "node",
     "programs that start from a baked folder, against Node without and with its own cache"},
};
#define BENCHMARKS (sizeof benchmarks / sizeof benchmarks[0])

void bench_die(const char *format, ...) {
  va_list args;
  va_start(args, format);
  fputs("kiln-bench: ", stderr);
  vfprintf(stderr, format, args);
  fputc('\n', stderr);
  va_end(args);
  exit(1);
}

static void print_help(FILE *out) {
  fputs("usage: kiln-bench [OPTIONS] [BENCHMARK...]    (none: all)\n\nbenchmarks:\n", out);
  for (size_t i = 0; i < BENCHMARKS; i++) {
    fprintf(out, "  %-12s %s\n", benchmarks[i].name, benchmarks[i].help);
  }
  fputs(
      "\noptions:\n"
      "  --json FILE  write the figures as JSON, too\n"
      "  --rounds N   how often each side is measured\n"
      "  --quick      one short round of each: shows that it works, measures nothing\n"
      "  --help       this text\n"
      "  --version    the version\n",
      out);
}

/* An interrupted benchmark ends by exit(), so that its processes and files go with it; on a thread
 * of its own, since a signal handler may not. */
static void *wait_for_signal(void *user) {
  int number = 0;
  sigwait(user, &number);
  exit(128 + number);
}

int main(int argc, char **argv) {
  bench_options options = {0};
  const char *json_path = NULL;
  bool wanted[BENCHMARKS] = {0};
  bool any = false;
  for (int i = 1; i < argc; i++) {
    const char *argument = argv[i];
    size_t k = 0;
    while (k < BENCHMARKS && strcmp(argument, benchmarks[k].name) != 0) k++;
    if (k < BENCHMARKS) {
      any = wanted[k] = true;
    } else if (strcmp(argument, "--quick") == 0) {
      options.quick = true;
    } else if (strcmp(argument, "--json") == 0 && i + 1 < argc) {
      json_path = argv[++i];
    } else if (strcmp(argument, "--rounds") == 0 && i + 1 < argc) {
      char *end;
      errno = 0;
      unsigned long rounds = strtoul(argv[++i], &end, 10);
      if (errno != 0 || *end != '\0' || rounds < 1 || rounds > 10000) {
        bench_die("--rounds '%s': a number from 1 to 10000", argv[i]);
      }
      options.rounds = (unsigned)rounds;
    } else if (strcmp(argument, "--help") == 0) {
      print_help(stdout);
      return 0;
    } else if (strcmp(argument, "--version") == 0) {
      printf("kiln-bench %s\n", KILN_PROJECT_VERSION);
      return 0;
    } else {
      print_help(stderr);
      return 2;
    }
  }

  kv8_error err;
  sigset_t signals;
  pthread_t waiter;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  if (pthread_sigmask(SIG_BLOCK, &signals, NULL) != 0 ||
      pthread_create(&waiter, NULL, wait_for_signal, &signals) != 0) {
    bench_die("no thread");
  }
  curl_global_init(CURL_GLOBAL_DEFAULT);
  if (kv8_engine_start(NULL, &err) != KV8_OK) bench_die("%s", err.message);
  json_t *reports = json_array();
  for (size_t k = 0; k < BENCHMARKS; k++) {
    if (any && !wanted[k]) continue;
    bench_report report = {
        .name = benchmarks[k].name, .ours = benchmarks[k].ours, .peer = benchmarks[k].peer};
    benchmarks[k].run(&options, &report);
    bench_report_print(&report, stdout);
    fflush(stdout);
    json_array_append_new(reports, bench_report_json(&report));
    bench_report_release(&report);
  }
  json_t *all = json_pack("{s:o, s:b, s:o}", "environment", bench_environment(), "quick",
                          (int)options.quick, "benchmarks", reports);
  if (json_path != NULL &&
      json_dump_file(all, json_path, JSON_INDENT(2) | JSON_REAL_PRECISION(6)) != 0) {
    bench_die("'%s': %s", json_path, strerror(errno));
  }
  json_decref(all);
  kv8_engine_stop();
  curl_global_cleanup();
  return 0;
}
