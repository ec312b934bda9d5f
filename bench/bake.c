/* SPDX-License-Identifier: MIT
 *
 * bake.c: baking the corpus from nothing: `kiln precompile` with two jobs into an empty store, and
 * an official Node that bakes the same files one by one. Whole processes, as a build would run
 * them.
 */
#include <stdlib.h>
#include <sys/stat.h>

#include "bench/bench.h"

#define GOAL 1.7
#define ROUNDS 9
#define ARGS_MAX (BENCH_BUNDLES_MAX + 12)

void bench_bake(const bench_options *options, bench_report *report) {
  bench_corpus corpus;
  bench_corpus_load(&corpus);
  unsigned rounds = options->rounds != 0 ? options->rounds : options->quick ? 1 : ROUNDS;
  char node[] = KILN_SOURCE_DIR "/build/npm/node_modules/node-18/bin/node";
  char script[] = KILN_SOURCE_DIR "/bench/bake.js";
  double megabytes = 0;
  for (size_t i = 0; i < corpus.count; i++) {
    struct stat status;
    if (stat(corpus.bundles[i].path, &status) == 0) megabytes += (double)status.st_size / 1e6;
  }

  bench_row *row =
      bench_report_add(report, "the corpus, lazy, 2 jobs", "MB/s", BENCH_AT_LEAST, GOAL);
  for (unsigned round = 0; round < rounds; round++) {
    char *dir = bench_format("%s/bake-%u", bench_temp_dir(), round);
    char *store = bench_format("%s/store", dir);
    if (mkdir(dir, 0700) != 0) bench_die("'%s': cannot be made", dir);
    char *ours[ARGS_MAX] = {KILN_CLI, "precompile", "--quiet", "--kind",  "script", "--mode",
                            "lazy",   "--jobs",     "2",       "--store", store};
    char *peer[ARGS_MAX] = {node, script, dir};
    for (size_t i = 0; i < corpus.count; i++) {
      ours[11 + i] = corpus.bundles[i].path;
      peer[3 + i] = corpus.bundles[i].path;
    }
    for (unsigned turn = 0; turn < 2; turn++) {
      bool is_ours = turn == round % 2;
      uint64_t ns;
      free(bench_run(is_ours ? ours : peer, &ns));
      bench_add(is_ours ? &row->ours : &row->peer, megabytes / ((double)ns / 1e9));
    }
    free(store);
    free(dir);
  }
  snprintf(row->note, sizeof row->note, "%zu files, %.1f MB; %.0f ms against %.0f ms", corpus.count,
           megabytes, megabytes * 1000 / bench_quantile(&row->ours, 0.5),
           megabytes * 1000 / bench_quantile(&row->peer, 0.5));
  bench_corpus_release(&corpus);
}
