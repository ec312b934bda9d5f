/* SPDX-License-Identifier: MIT
 *
 * bake.c: baking from nothing: `kiln precompile` with two jobs into an empty store, and an official
 * Node that bakes the same files one by one. Whole processes, as a build would run them. Once with
 * the corpus's bundles, where no number of jobs can be faster than its largest file alone, and once
 * with all the bundles that stand in the same folders. Kiln's engine is libv8's, and beside it that
 * of the peer's own binary, which is V8 as Node's makers have compiled it.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "bench/bench.h"

#define GOAL 1.7
#define ROUNDS 15
#define FILES_MAX 256
#define FIXED_MAX 16 /* arguments before the files */
#define ENGINES KILN_SOURCE_DIR "/build/engines"
#define NODE_DIR KILN_SOURCE_DIR "/build/npm/node_modules/node-18"
#define NODE NODE_DIR "/bin/node"

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

/* Bakes once, from nothing; in MB/s. */
static double bake(char **arguments, const file_list *list) {
  char *argv[FIXED_MAX + FILES_MAX + 1];
  size_t count = 0;
  uint64_t ns;
  for (; arguments[count] != NULL; count++) argv[count] = arguments[count];
  append(argv, count, list);
  free(bench_run(argv, &ns));
  return list->megabytes / ((double)ns / 1e9);
}

static double bake_with_kiln(char *mode, char *engine, const file_list *list) {
  static unsigned stores;
  char *store = bench_format("%s/store-%u", bench_temp_dir(), stores++);
  char *argv[] = {KILN_CLI, "precompile",    "--quiet", "--kind",
                  "script", "--mode",        mode,      "--jobs",
                  "2",      "--store",       store,     "--engine",
                  engine,   "--engines-dir", ENGINES,   "--no-keep-sources",
                  NULL}; /* the peer keeps blobs only */
  double rate = bake(argv, list);
  free(store);
  return rate;
}

static double bake_with_node(char *mode, const file_list *list) {
  static unsigned folders;
  char *dir = bench_format("%s/baked-%u", bench_temp_dir(), folders++);
  char *argv[] = {NODE, KILN_SOURCE_DIR "/bench/bake.js", mode, dir, NULL};
  if (mkdir(dir, 0700) != 0) bench_die("'%s': cannot be made", dir);
  double rate = bake(argv, list);
  free(dir);
  return rate;
}

static void measure(bench_report *report, const char *which, char *mode, const file_list *list,
                    unsigned rounds) {
  static char *const engines[] = {"default", "node-18.20.4"};
  static const char *const names[] = {"libv8", "node's V8"};
  enum { kEngines = 2, kTurns = 3 };
  bench_row *rows[kEngines];
  for (size_t i = 0; i < kEngines; i++) {
    char *what = bench_format("%s, %s, %s", which, mode, names[i]);
    rows[i] = bench_report_add(report, what, "MB/s", BENCH_AT_LEAST, GOAL);
    free(what);
  }
  for (unsigned round = 0; round < rounds; round++) {
    for (unsigned turn = 0; turn < kTurns; turn++) {
      unsigned who = (round + turn) % kTurns;
      if (who < kEngines) {
        bench_add(&rows[who]->ours, bake_with_kiln(mode, engines[who], list));
        continue;
      }
      double rate = bake_with_node(mode, list);
      for (size_t i = 0; i < kEngines; i++) bench_add(&rows[i]->peer, rate);
    }
  }
  for (size_t i = 0; i < kEngines; i++) {
    snprintf(rows[i]->note, sizeof rows[i]->note, "%zu files, %.1f MB; %.0f ms against %.0f ms",
             list->count, list->megabytes,
             list->megabytes * 1000 / bench_quantile(&rows[i]->ours, 0.5),
             list->megabytes * 1000 / bench_quantile(&rows[i]->peer, 0.5));
  }
}

void bench_bake(const bench_options *options, bench_report *report) {
  static file_list bundles, folders;
  /* It takes half a minute, once. */
  char *add[] = {KILN_CLI, "engines", "add", NODE_DIR, "--engines-dir", ENGINES, NULL};
  free(bench_run(add, /* ret_ns= */ NULL));
  bench_corpus corpus;
  bench_corpus_load(&corpus);
  unsigned rounds = options->rounds != 0 ? options->rounds : options->quick ? 1 : ROUNDS;
  for (size_t i = 0; i < corpus.count; i++) add_file(&bundles, corpus.bundles[i].path);
  char *argv[FIXED_MAX + FILES_MAX + 1] = {NODE, KILN_SOURCE_DIR "/bench/bundles.js"};
  append(argv, 2, &bundles);
  char *printed = bench_run(argv, /* ret_ns= */ NULL);
  char *rest = printed;
  for (char *line = strsep(&rest, "\n"); line != NULL; line = strsep(&rest, "\n"))
    if (line[0] != '\0') add_file(&folders, line);

  char lazy[] = "lazy", eager[] = "eager";
  measure(report, "the corpus", lazy, &bundles, rounds);
  measure(report, "the corpus", eager, &bundles, rounds);
  measure(report, "all of its folders", lazy, &folders, rounds);
  measure(report, "all of its folders", eager, &folders, rounds);
  free(printed);
  bench_corpus_release(&corpus);
}
