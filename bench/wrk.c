/* SPDX-License-Identifier: MIT
 *
 * wrk.c: wrk POSTs a small script for a while, and says how that went.
 */
#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"

/* "1.23ms", "45.60us", "2.00s" after `label` in wrk's output. */
static double find_ms(const char *output, const char *label) {
  const char *at = strstr(output, label);
  char *unit;
  if (at == NULL) bench_die("wrk: no '%s' in: %s", label, output);
  double value = strtod(at + strlen(label), &unit);
  if (strncmp(unit, "us", 2) == 0) return value / 1e3;
  return strncmp(unit, "ms", 2) == 0 ? value : value * 1e3;
}

static char *write_lua(void) {
  static const char script[] =
      "wrk.method = \"POST\"\n"
      "wrk.body = \"" BENCH_SCRIPT
      "\"\n"
      "wrk.headers[\"Content-Type\"] = \"text/javascript\"\n";
  char *path = bench_format("%s/wrk.lua", bench_temp_dir());
  bench_write(path, script, strlen(script));
  return path;
}

bench_wrk_figures bench_wrk(char *url, unsigned clients, unsigned seconds) {
  static const char rate_label[] = "Requests/sec:";
  char *program = bench_find_program("wrk");
  char *lua = write_lua();
  char *duration = bench_format("-d%us", seconds);
  char *connections = bench_format("-c%u", clients);
  char *threads = bench_format("-t%u", clients > 1 ? 2 : 1);
  char *argv[] = {program, threads, connections, duration, "--latency", "-s", lua, url, NULL};
  char *output = bench_run(argv, NULL);
  const char *rate = strstr(output, rate_label);
  if (strstr(output, "Non-2xx") != NULL || strstr(output, "Socket errors") != NULL || rate == NULL)
    bench_die("wrk on '%s': %s", url, output);
  bench_wrk_figures found = {.rate = strtod(rate + strlen(rate_label), NULL),
                             .p50_ms = find_ms(output, " 50%"),
                             .p99_ms = find_ms(output, " 99%")};
  free(output);
  free(threads);
  free(connections);
  free(duration);
  free(lua);
  free(program);
  return found;
}
