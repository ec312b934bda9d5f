/* SPDX-License-Identifier: MIT
 *
 * sandbox.c: what the workers' sandbox costs of POST /v1/run: kilnd as it is, against the same
 * kilnd whose workers have none but their limits. Both run all the time, and wrk drives them in
 * turns, for a second each: what else the machine does then changes little from one to the next.
 * The ratio is of the medians; the note has those of the rounds.
 */
#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"

#define ROUNDS 30
#define SECONDS 1
#define GOAL 0.97

/* Dies unless the engines of this kilnd have, or have not, what --sandbox=off takes away. */
static void check_sandbox(const char *kilnd, bool off) {
  char *url = bench_format("%s/v1/engines", kilnd);
  bench_client *client = bench_client_new();
  const char *body = bench_get(client, url, 200)->body.data;
  bool filtered = strstr(body, "\"seccomp\":true") != NULL;
  if (filtered == off || (strstr(body, "\"sandboxOff\":true") != NULL) != off)
    bench_die("the sandbox is not %s here: %s", off ? "off" : "complete", body);
  bench_client_free(client);
  free(url);
}

static void measure(bench_report *report, char *urls[2], unsigned clients, unsigned rounds) {
  char *what = bench_format("throughput, %u client%s", clients, clients == 1 ? "" : "s");
  bench_row *row = bench_report_add(report, what, "requests/s", BENCH_AT_LEAST, GOAL);
  bench_samples ratios = {0};
  for (unsigned round = 0; round < rounds; round++) {
    double rates[2];
    for (unsigned turn = 0; turn < 2; turn++) {
      unsigned who = (turn + round) % 2;
      rates[who] = bench_wrk(urls[who], clients, SECONDS).rate;
    }
    bench_add(&row->ours, rates[0]);
    bench_add(&row->peer, rates[1]);
    bench_add(&ratios, rates[0] / rates[1]);
  }
  snprintf(row->note, sizeof row->note, "of %u rounds: min %.3f, median %.3f, max %.3f", rounds,
           bench_quantile(&ratios, 0), bench_quantile(&ratios, 0.5), bench_quantile(&ratios, 1));
  free(ratios.values);
  free(what);
}

void bench_sandbox(const bench_options *options, bench_report *report) {
  unsigned rounds = options->rounds != 0 ? options->rounds : options->quick ? 1 : ROUNDS;
  char *kilnds[2];
  char *urls[2];
  pid_t pids[2] = {
      bench_start_kilnd(&kilnds[0]),
      bench_start_kilnd_with((char *const[]){"--allow-unsandboxed", "--sandbox=off", NULL},
                             &kilnds[1]),
  };
  for (unsigned who = 0; who < 2; who++) {
    check_sandbox(kilnds[who], who == 1);
    urls[who] = bench_format("%s/v1/run", kilnds[who]);
    bench_wrk(urls[who], 1, SECONDS);
  }
  measure(report, urls, 1, rounds);
  measure(report, urls, 4, rounds);
  for (unsigned who = 0; who < 2; who++) {
    bench_stop(pids[who]);
    free(urls[who]);
    free(kilnds[who]);
  }
}
