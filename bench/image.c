/* SPDX-License-Identifier: MIT
 *
 * image.c: typescript.js transpiles a line by POST /v1/run: in an image in which it is loaded and
 * has transpiled one before, against a run whose source is all of typescript.js and the line. Each
 * run has a process of its own.
 */
#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"

#define LINE "ts.transpile('let x: number = 1')"
#define TYPESCRIPT KILN_SOURCE_DIR "/build/npm/node_modules/typescript/lib/typescript.js"
#define RUNS 500
#define PEER_RUNS 25
#define WARM_UP 20

static json_t *need(json_t *value) {
  if (value == NULL) bench_die("out of memory, or no UTF-8");
  return value;
}

/* The URL of runs in a new image. */
static char *make_image(const char *kilnd, const bench_file *typescript) {
  static const char label[] = "\"id\":\"";
  json_t *request = need(json_pack("{s:i,s:[{s:s%,s:s},{s:s}]}", "timeout", 60000, "scripts",
                                   "source", typescript->data, typescript->length, "filename",
                                   "typescript.js", "source", LINE));
  char *text = json_dumps(request, JSON_COMPACT);
  json_decref(request);
  if (text == NULL) bench_die("out of memory");
  char *url = bench_format("%s/v1/images", kilnd);
  bench_client *client = bench_client_of_type("application/json");
  const bench_answer *answer = bench_post(client, url, text, strlen(text), 201);
  char *body = bench_format("%.*s", (int)answer->body.length, answer->body.data);
  char *id = strstr(body, label);
  if (id == NULL) bench_die("'%s' answered: %s", url, body);
  id += strlen(label);
  id[strcspn(id, "\"")] = '\0';
  char *run = bench_format("%s/v1/run?image=%s", kilnd, id);
  bench_client_free(client);
  free(body);
  free(url);
  free(text);
  return run;
}

static void run_once(bench_client *client, const char *url, const bench_file *source,
                     bench_samples *samples) {
  uint64_t start = bench_now_ns();
  const bench_answer *answer = bench_post(client, url, source->data, source->length, 200);
  if (samples != NULL) bench_add(samples, (double)(bench_now_ns() - start) / 1e6);
  if (strstr(answer->body.data, "\"result\":\"var x = 1;\\n\"") == NULL)
    bench_die("'%s' answered: %.200s", url, answer->body.data);
}

void bench_image(const bench_options *options, bench_report *report) {
  unsigned runs = options->rounds != 0 ? options->rounds : options->quick ? 20 : RUNS;
  unsigned peer_runs = options->quick ? 1 : PEER_RUNS;
  bench_file typescript = bench_read(TYPESCRIPT);
  bench_file line = {.data = bench_format("%s", LINE), .length = strlen(LINE)};
  /* In a function: else its answer would have the globals that typescript.js makes. */
  bench_file all = {.data = bench_format("(() => {%.*s\nreturn " LINE "})()",
                                         (int)typescript.length, typescript.data)};
  all.length = strlen(all.data);
  char *kilnd;
  pid_t pid = bench_start_kilnd(&kilnd);
  char *urls[2] = {make_image(kilnd, &typescript), bench_format("%s/v1/run", kilnd)};
  bench_client *client = bench_client_new();
  bench_row *row =
      bench_report_add(report, "transpiles one line, 1 client", "ms", BENCH_AT_MOST, 0.1);
  for (unsigned i = 0; i < WARM_UP; i++) run_once(client, urls[0], &line, NULL);
  for (unsigned i = 0; i < peer_runs; i++) {
    for (unsigned j = 0; j < (runs + peer_runs - 1) / peer_runs; j++)
      run_once(client, urls[0], &line, &row->ours);
    run_once(client, urls[1], &all, &row->peer);
  }
  bench_row *slow = bench_report_add(report, "... p99", "ms", BENCH_NO_GOAL, 0);
  bench_add(&slow->ours, bench_quantile(&row->ours, 0.99));
  bench_add(&slow->peer, bench_quantile(&row->peer, 0.99));
  bench_file one = {.data = bench_format("1"), .length = 1};
  bench_row *start = bench_report_add(report, "... runs '1'", "ms", BENCH_NO_GOAL, 0);
  for (unsigned i = 0; i < runs; i++) {
    uint64_t begun = bench_now_ns();
    bench_post(client, urls[0], one.data, one.length, 200);
    bench_add(&start->ours, (double)(bench_now_ns() - begun) / 1e6);
  }
  bench_client_free(client);
  bench_stop(pid);
  free(one.data);
  free(all.data);
  free(line.data);
  free(typescript.data);
  free(urls[0]);
  free(urls[1]);
  free(kilnd);
}
