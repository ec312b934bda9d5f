/* SPDX-License-Identifier: MIT
 *
 * session.c: a small script in a context that stands, against the same script by /v1/run, which has
 * a process for each: latency for one client, requests per second and latency under load. wrk
 * drives both, in turns.
 */
#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"

#define ROUNDS 5
#define SECONDS 3

/* The URL that runs a script in a new context. */
static char *make_context(const char *kilnd) {
  static const char label[] = "\"id\":\"";
  bench_client *client = bench_client_new();
  char *url = bench_format("%s/v1/contexts", kilnd);
  const bench_answer *answer = bench_post(client, url, "", 0, 201);
  char *body = bench_format("%.*s", (int)answer->body.length, answer->body.data);
  char *id = strstr(body, label);
  if (id == NULL) bench_die("'%s' answered: %s", url, body);
  id += strlen(label);
  id[strcspn(id, "\"")] = '\0';
  char *run = bench_format("%s/%s/run", url, id);
  free(body);
  free(url);
  bench_client_free(client);
  return run;
}

static void measure(bench_report *report, char *urls[2], unsigned clients, unsigned rounds,
                    unsigned seconds) {
  const char *plural = clients == 1 ? "" : "s";
  char *names[3] = {bench_format("throughput, %u client%s", clients, plural),
                    bench_format("latency, %u client%s, p50", clients, plural),
                    bench_format("latency, %u client%s, p99", clients, plural)};
  bench_row *rows[3] = {
      bench_report_add(report, names[0], "requests/s", BENCH_AT_LEAST, 4.0),
      bench_report_add(report, names[1], "ms", BENCH_AT_MOST, 0.25),
      bench_report_add(report, names[2], "ms", BENCH_NO_GOAL, 0),
  };
  for (unsigned round = 0; round < rounds; round++) {
    for (unsigned turn = 0; turn < 2; turn++) {
      unsigned who = (turn + round) % 2;
      bench_wrk_figures found = bench_wrk(urls[who], clients, seconds);
      bench_add(who == 0 ? &rows[0]->ours : &rows[0]->peer, found.rate);
      bench_add(who == 0 ? &rows[1]->ours : &rows[1]->peer, found.p50_ms);
      bench_add(who == 0 ? &rows[2]->ours : &rows[2]->peer, found.p99_ms);
    }
  }
  for (size_t i = 0; i < 3; i++) free(names[i]);
}

void bench_session(const bench_options *options, bench_report *report) {
  unsigned rounds = options->rounds != 0 ? options->rounds : options->quick ? 1 : ROUNDS;
  unsigned seconds = options->quick ? 1 : SECONDS;
  char *kilnd;
  pid_t pid = bench_start_kilnd(&kilnd);
  char *urls[2] = {make_context(kilnd), bench_format("%s/v1/run", kilnd)};
  measure(report, urls, 1, rounds, seconds);
  measure(report, urls, 16, rounds, seconds);
  bench_stop(pid);
  free(urls[0]);
  free(urls[1]);
  free(kilnd);
}
