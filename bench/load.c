/* SPDX-License-Identifier: MIT
 *
 * load.c: how long real programs take to start on official Node with the loader and a baked folder
 * (toolkit/node/), beside the same without, the same with NODE_COMPILE_CACHE, warm, and the loader
 * with a folder in which every blob is damaged. Whole processes, in turn.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/bench.h"

#define ROUNDS 21
#define MODULES KILN_SOURCE_DIR "/build/npm/node_modules"
#define LOADER KILN_SOURCE_DIR "/toolkit/node/register.js"
#define BAKER KILN_SOURCE_DIR "/tests/node/baker.js"

enum { KILN, PLAIN, COMPILE_CACHE, DAMAGED, WAYS };

typedef struct program {
  const char *name;
  char *script;
  char *arguments[3];
} program;

static const program programs[] = {
    {"tsc --version", MODULES "/typescript/bin/tsc", {"--version"}},
    {"prettier 2 --check", MODULES "/prettier-2/bin-prettier.js", {"--check", "checked.js"}},
    {"sass", MODULES "/sass/sass.js", {"style.scss"}},
    {"pnpm --version", MODULES "/pnpm/bin/pnpm.cjs", {"--version"}},
    {"eslint --version", MODULES "/eslint/bin/eslint.js", {"--version"}},
    {"eslint", MODULES "/eslint/bin/eslint.js", {"checked.js"}},
};
static const int versions[] = {18, 22, 24};

static void set(const char *name, const char *value) {
  if ((value == NULL ? unsetenv(name) : setenv(name, value, 1)) != 0) bench_die("out of memory");
}

typedef struct place {
  char *node, *baked, *damaged, *cache;
} place;

static double run_ms(const place *at, const program *which, int way) {
  char *argv[16];
  size_t used = 0;
  argv[used++] = at->node;
  if (way == KILN || way == DAMAGED) {
    argv[used++] = "--require";
    argv[used++] = LOADER;
  }
  argv[used++] = which->script;
  for (size_t i = 0; i < 3 && which->arguments[i] != NULL; i++) {
    argv[used++] = which->arguments[i];
  }
  argv[used] = NULL;
  set("KILN_BAKED", way == KILN ? at->baked : way == DAMAGED ? at->damaged : NULL);
  set("NODE_COMPILE_CACHE", way == COMPILE_CACHE ? at->cache : NULL);
  /* Some of these programs switch Node's cache on themselves. */
  set("NODE_DISABLE_COMPILE_CACHE", way == COMPILE_CACHE ? NULL : "1");
  uint64_t ns;
  free(bench_run(argv, &ns));
  return (double)ns / 1e6;
}

static void bake(const place *at, const program *which) {
  char *argv[16] = {at->node, BAKER, at->node, at->baked, at->damaged, MODULES, which->script};
  size_t used = 7;
  for (size_t i = 0; i < 3 && which->arguments[i] != NULL; i++) {
    argv[used++] = which->arguments[i];
  }
  set("KILN_BAKED", NULL);
  set("NODE_COMPILE_CACHE", NULL);
  set("NODE_DISABLE_COMPILE_CACHE", "1");
  free(bench_run(argv, NULL));
}

static void measure(bench_report *report, int version, const program *which, unsigned rounds) {
  char *name = bench_format("load-%d-%zu", version, (size_t)(which - programs));
  place at = {.node = bench_format(MODULES "/node-%d/bin/node", version),
              .baked = bench_format("%s/%s-baked", bench_temp_dir(), name),
              .damaged = bench_format("%s/%s-damaged", bench_temp_dir(), name),
              .cache = bench_format("%s/%s-cache", bench_temp_dir(), name)};
  bool has_cache = version >= 22;
  bench_row *rows[WAYS] = {0};
  static const char *const against[WAYS] = {NULL, "plain", "compile cache", "damaged, plain"};
  for (int way = PLAIN; way < WAYS; way++) {
    if (way == COMPILE_CACHE && !has_cache) continue;
    char *what = bench_format("%d %s: %s", version, which->name, against[way]);
    double goal = way == PLAIN ? 0.75 : way == COMPILE_CACHE ? 1.0 : 1.1;
    rows[way] = bench_report_add(report, what, "ms", BENCH_AT_MOST, goal);
    free(what);
  }
  bake(&at, which);
  for (int way = 0; way < WAYS; way++) {
    if (way == COMPILE_CACHE && !has_cache) continue;
    /* Twice: Node keeps a file's cache from its second start on. */
    (void)run_ms(&at, which, way);
    (void)run_ms(&at, which, way);
  }
  for (unsigned round = 0; round < rounds; round++) {
    double ms[WAYS] = {0};
    for (int turn = 0; turn < WAYS; turn++) {
      int way = (int)(round + (unsigned)turn) % WAYS;
      if (way != COMPILE_CACHE || has_cache) ms[way] = run_ms(&at, which, way);
    }
    for (int way = PLAIN; way < WAYS; way++) {
      if (rows[way] == NULL) continue;
      bench_add(&rows[way]->ours, way == DAMAGED ? ms[DAMAGED] : ms[KILN]);
      bench_add(&rows[way]->peer, way == DAMAGED ? ms[PLAIN] : ms[way]);
    }
  }
  free(at.cache);
  free(at.damaged);
  free(at.baked);
  free(at.node);
  free(name);
}

void bench_load(const bench_options *options, bench_report *report) {
  static const char checked[] = "const a = 1;\nmodule.exports = { a };\n";
  static const char config[] =
      "module.exports = [{ rules: { semi: 'error', 'no-undef': 'off' } }];\n";
  static const char style[] = ".a {\n  .b {\n    color: red;\n  }\n}\n";
  unsigned rounds = options->rounds != 0 ? options->rounds : options->quick ? 1 : ROUNDS;
  char *dir = bench_format("%s/load", bench_temp_dir()), *was = getcwd(NULL, 0);
  if (was == NULL || mkdir(dir, 0700) != 0 || chdir(dir) != 0)
    bench_die("'%s': cannot be made", dir);
  bench_write("checked.js", checked, sizeof(checked) - 1);
  bench_write("eslint.config.cjs", config, sizeof(config) - 1);
  bench_write("style.scss", style, sizeof(style) - 1);
  /* Where Node and the programs would leave things, and what costs every Node the same. */
  set("TMPDIR", dir);
  set("NODE_EXTRA_CA_CERTS", NULL);
  set("NODE_OPTIONS", NULL);
  for (size_t i = 0; i < sizeof(versions) / sizeof(versions[0]); i++) {
    for (size_t k = 0; k < sizeof(programs) / sizeof(programs[0]); k++) {
      measure(report, versions[i], &programs[k], rounds);
      if (options->quick) break;
    }
  }
  set("KILN_BAKED", NULL);
  set("NODE_COMPILE_CACHE", NULL);
  set("NODE_DISABLE_COMPILE_CACHE", NULL);
  if (chdir(was) != 0) bench_die("'%s': not there any more", was);
  free(was);
  free(dir);
}
