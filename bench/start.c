/* SPDX-License-Identifier: MIT
 *
 * start.c: how long `kiln run` takes as a whole process, against official Node: for a script that
 * prints one line, and for one that loads typescript.js, with a store in which it is baked.
 */
#include <stdlib.h>
#include <sys/stat.h>

#include "bench/bench.h"

#define ROUNDS 21

static double run_ms(char *const argv[]) {
  uint64_t ns;
  free(bench_run(argv, &ns));
  return (double)ns / 1e6;
}

static void measure(bench_report *report, const char *what, double goal, char *script, char *store,
                    unsigned rounds) {
  char node[] = KILN_SOURCE_DIR "/build/npm/node_modules/node-18/bin/node";
  char *ours[] = {KILN_CLI, "run", "--store", store, script, NULL};
  char *peer[] = {node, script, NULL};
  bench_row *row = bench_report_add(report, what, "ms", BENCH_AT_MOST, goal);
  (void)run_ms(ours); /* fills the store */
  (void)run_ms(peer);
  for (unsigned round = 0; round < rounds; round++) {
    if (round % 2 == 0) bench_add(&row->ours, run_ms(ours));
    bench_add(&row->peer, run_ms(peer));
    if (round % 2 == 1) bench_add(&row->ours, run_ms(ours));
  }
}

void bench_start_up(const bench_options *options, bench_report *report) {
  static const char hello[] = "console.log('hello, world');\n";
  static const char load[] = "const ts = require('" KILN_SOURCE_DIR
                             "/build/npm/node_modules/typescript/lib/typescript.js');\n"
                             "console.log(ts.version);\n";
  unsigned rounds = options->rounds != 0 ? options->rounds : options->quick ? 1 : ROUNDS;
  char *dir = bench_format("%s/start", bench_temp_dir());
  char *hello_path = bench_format("%s/hello.cjs", dir);
  char *load_path = bench_format("%s/load.cjs", dir);
  char *store = bench_format("%s/store", dir);
  if (mkdir(dir, 0700) != 0) bench_die("'%s': cannot be made", dir);
  bench_write(hello_path, hello, sizeof(hello) - 1);
  bench_write(load_path, load, sizeof(load) - 1);
  measure(report, "hello, world", 0.35, hello_path, store, rounds);
  measure(report, "typescript.js loaded, warm store", 0.5, load_path, store, rounds);
  free(store);
  free(load_path);
  free(hello_path);
  free(dir);
}
