/* SPDX-License-Identifier: MIT
 *
 * bake.c: baking from nothing: `kiln precompile` with two jobs into an empty store, and an official
 * Node that bakes the same files one by one. Whole processes, as a build would run them. Once with
 * the corpus's bundles, where no number of jobs can be faster than its largest file alone, and once
 * with all the bundles that stand in the same folders.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "bench/bench.h"

#define GOAL 1.7
#define ROUNDS 9
#define FILES_MAX 256
#define FIXED_MAX 16 /* arguments before the files */

typedef struct file_list {
  char *paths[FILES_MAX];
  size_t count;
  double megabytes;
} file_list;

static void add_file(file_list *list, char *path) {
  struct stat status;
  if (list->count == FILES_MAX) bench_die("more than %d files to bake", FILES_MAX);
  if (stat(path, &status) != 0) bench_die("'%s': is not there", path);
  list->paths[list->count++] = path;
  list->megabytes += (double)status.st_size / 1e6;
}

static void append(char **argv, size_t fixed, const file_list *list) {
  memcpy(argv + fixed, list->paths, list->count * sizeof(*argv));
  argv[fixed + list->count] = NULL;
}

static void measure(bench_report *report, const char *which, char *mode, const file_list *list,
                    unsigned rounds, char *node) {
  char script[] = KILN_SOURCE_DIR "/bench/bake.js";
  char *what = bench_format("%s, %s, 2 jobs", which, mode);
  bench_row *row = bench_report_add(report, what, "MB/s", BENCH_AT_LEAST, GOAL);
  free(what);
  for (unsigned round = 0; round < rounds; round++) {
    char *dir = bench_format("%s/bake-%s-%zu-%u", bench_temp_dir(), mode, list->count, round);
    char *store = bench_format("%s/store", dir);
    if (mkdir(dir, 0700) != 0) bench_die("'%s': cannot be made", dir);
    char *ours[FIXED_MAX + FILES_MAX +
               1] = {KILN_CLI,  "precompile", "--quiet",
                     "--kind",  "script",     "--mode",
                     mode,      "--jobs",     "2",
                     "--store", store,        "--no-keep-sources"}; /* the peer keeps blobs only */
    char *peer[FIXED_MAX + FILES_MAX + 1] = {node, script, mode, dir};
    append(ours, 12, list);
    append(peer, 4, list);
    for (unsigned turn = 0; turn < 2; turn++) {
      bool is_ours = turn == round % 2;
      uint64_t ns;
      free(bench_run(is_ours ? ours : peer, &ns));
      bench_add(is_ours ? &row->ours : &row->peer, list->megabytes / ((double)ns / 1e9));
    }
    free(store);
    free(dir);
  }
  snprintf(row->note, sizeof row->note, "%zu files, %.1f MB; %.0f ms against %.0f ms", list->count,
           list->megabytes, list->megabytes * 1000 / bench_quantile(&row->ours, 0.5),
           list->megabytes * 1000 / bench_quantile(&row->peer, 0.5));
}

void bench_bake(const bench_options *options, bench_report *report) {
  static file_list bundles, folders;
  char node[] = KILN_SOURCE_DIR "/build/npm/node_modules/node-18/bin/node";
  char script[] = KILN_SOURCE_DIR "/bench/bundles.js";
  bench_corpus corpus;
  bench_corpus_load(&corpus);
  unsigned rounds = options->rounds != 0 ? options->rounds : options->quick ? 1 : ROUNDS;
  for (size_t i = 0; i < corpus.count; i++) add_file(&bundles, corpus.bundles[i].path);
  char *argv[FIXED_MAX + FILES_MAX + 1] = {node, script};
  append(argv, 2, &bundles);
  char *printed = bench_run(argv, /* ret_ns= */ NULL);
  char *rest = printed;
  for (char *line = strsep(&rest, "\n"); line != NULL; line = strsep(&rest, "\n"))
    if (line[0] != '\0') add_file(&folders, line);

  char lazy[] = "lazy", eager[] = "eager";
  measure(report, "the corpus", lazy, &bundles, rounds, node);
  measure(report, "the corpus", eager, &bundles, rounds, node);
  measure(report, "all of its folders", lazy, &folders, rounds, node);
  measure(report, "all of its folders", eager, &folders, rounds, node);
  free(printed);
  bench_corpus_release(&corpus);
}
