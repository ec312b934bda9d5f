/* SPDX-License-Identifier: MIT
 *
 * cli_precompile.c: `kiln precompile`: bakes files ahead of time. Its command line, and what is
 * done in which order: while the engines start, the command looks for the files.
 */
#include "toolkit/cli_precompile.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "toolkit/engines.h"
#include "toolkit/filter.h"
#include "toolkit/service.h"

#define JOBS_MAX 256

/* ---- starting ------------------------------------------------------------------------ */

typedef struct opener {
  kiln__baking *baking;
  const char *store;
  kiln_status status;
  kiln_error error;
} opener;

static void *open_kiln(void *argument) {
  opener *self = argument;
  const kiln__baking *baking = self->baking;
  kiln__cli_opening opening = {.store_path = self->store,
                               .engines_option = baking->engines_option,
                               .specs = baking->specs_count > 0 ? baking->specs : NULL,
                               .specs_count = baking->specs_count,
                               .jobs = baking->jobs,
                               .forget_sources = baking->forget_sources};
  self->status = kiln__cli_open(&opening, &self->baking->k, &self->error);
  atomic_store(&self->baking->opened, true);
  return NULL;
}

static int bigger_first(const void *a, const void *b) {
  const kiln__source *x = *(kiln__source *const *)a, *y = *(kiln__source *const *)b;
  if (x->file->size != y->file->size) return x->file->size > y->file->size ? -1 : 1;
  return x < y ? -1 : 1; /* else in the order of the command line */
}

static void decide_kind(const kiln__baking *baking, kiln__source *source) {
  source->kind = baking->kind;
  if (baking->kind != KILN__CLI_AUTO) return;
  source->kind = kiln__cli_kind_of(source->file->path);
  source->guessed = source->kind == KILN__CLI_AUTO;
  if (source->guessed) source->kind = baking->out != NULL ? KILN__CLI_WRAPPER : KILN__CLI_SCRIPT;
  if (source->kind == KILN__CLI_COMMONJS && baking->out != NULL) source->kind = KILN__CLI_WRAPPER;
}

static bool make_sources(kiln__baking *baking, kiln__source ***ret_order) {
  bool good = baking->out == NULL || kiln__cli_files_unique(&baking->files);
  size_t count = baking->files.count;
  kiln__source **order = calloc(count + 1, sizeof(*order));
  baking->sources = calloc(count + 1, sizeof(*baking->sources));
  if (!good || baking->sources == NULL || order == NULL) {
    free(order);
    kiln__cli_complain(baking->self, "out of memory");
    return false;
  }
  for (size_t i = 0; i < count; i++) {
    kiln__source *source = &baking->sources[i];
    source->file = &baking->files.files[i];
    decide_kind(baking, source);
    order[i] = source;
  }
  qsort(order, count, sizeof(*order), bigger_first);
  *ret_order = order;
  return true;
}

/* What the registry has of the engines' nodes; of those that have one. */
static void find_nodes(kiln__baking *baking) {
  char dir[PATH_MAX];
  kiln__engine_record *records = NULL;
  size_t count = 0;
  if (baking->specs_count == 0 ||
      kiln__cli_engines_dir(baking->engines_option, dir, sizeof(dir), /* err= */ NULL) != KILN_OK ||
      kiln__engines_load(dir, &records, &count, /* err= */ NULL) != KILN_OK) {
    return;
  }
  for (size_t i = 0; i < baking->engines_count; i++) {
    for (size_t j = 0; baking->engines[i].node[0] != '\0' && j < count; j++) {
      if (strcmp(baking->engines[i].name, records[j].info.name) != 0) continue;
      memcpy(baking->node_versions[i], records[j].node_version, sizeof(records[j].node_version));
      memcpy(baking->node_flags[i], records[j].flags, sizeof(records[j].flags));
    }
  }
  free(records);
}

/* Once it is known which engines there are. */
static bool make_items(kiln__baking *baking) {
  size_t engines = kiln_engine_count(baking->k), files = baking->files.count;
  baking->engines_count = engines;
  baking->items_count = engines * files;
  baking->engines = calloc(engines, sizeof(*baking->engines));
  baking->node_versions = calloc(engines, sizeof(*baking->node_versions));
  baking->node_flags = calloc(engines, sizeof(*baking->node_flags));
  baking->tallies = calloc(engines, sizeof(*baking->tallies));
  baking->items = calloc(baking->items_count + 1, sizeof(*baking->items));
  bool good = baking->engines != NULL && baking->node_versions != NULL &&
              baking->node_flags != NULL && baking->tallies != NULL && baking->items != NULL;
  for (size_t i = 0; good && i < engines; i++) {
    (void)kiln_get_engine(baking->k, i, &baking->engines[i], /* err= */ NULL);
  }
  if (good) find_nodes(baking);
  for (size_t i = 0; good && i < baking->items_count; i++) {
    kiln__item *item = &baking->items[i];
    item->baking = baking;
    item->source = &baking->sources[i / engines];
    item->source->pending++;
    item->engine = i % engines;
  }
  if (!good) kiln__cli_complain(baking->self, "out of memory");
  return good;
}

/* With the engines there: bakes, writes, tells. */
static int bake(kiln__baking *baking, kiln__source **order) {
  int status = KILN__CLI_FAILED;
  if (make_items(baking) && (baking->out == NULL || kiln__output_open(baking))) {
    kiln__exercise_all(baking);
    kiln__bake_all(baking, order);
    bool written = baking->out == NULL || kiln__output_finish(baking);
    status = kiln__report(baking);
    if (!written) status = KILN__CLI_FAILED;
  }
  kiln__output_close(baking);
  kiln__exercise_release(baking);
  return status;
}

static int precompile(kiln__baking *baking, char **paths, int paths_count) {
  char store[PATH_MAX];
  opener starting = {.baking = baking, .store = store};
  pthread_t thread;
  kiln__source **order = NULL;
  if (!kiln__cli_store_path(baking->self, baking->store_option, store, sizeof(store))) {
    return KILN__CLI_FAILED;
  }
  baking->started_ns = kiln__now_ns();
  /* All of this is the workers' kind of work. What of it had a better priority would hold up the
   * worker with the biggest file, for which all others wait. */
  if (getpriority(PRIO_PROCESS, 0) < KILN_WORKER_NICE) {
    (void)setpriority(PRIO_PROCESS, 0, KILN_WORKER_NICE);
  }
  bool threaded = pthread_create(&thread, /* attributes= */ NULL, open_kiln, &starting) == 0;
  bool complete = true;
  for (int i = 0; i < paths_count; i++) {
    if (!kiln__cli_files_add(baking->self, &baking->files, paths[i])) complete = false;
  }
  bool good = make_sources(baking, &order) && (baking->out == NULL || kiln__output_name(baking));
  if (threaded) {
    if (good) kiln__bake_ahead(baking, order);
    (void)pthread_join(thread, /* ret_value= */ NULL);
  } else {
    (void)open_kiln(&starting);
  }
  if (starting.status != KILN_OK) {
    kiln__cli_complain(baking->self, "%s", starting.error.message);
    good = false;
  }
  int status = good ? bake(baking, order) : KILN__CLI_FAILED;
  if (!complete) status = KILN__CLI_FAILED;
  if (starting.status == KILN_OK) kiln_close(baking->k, /* drain_ms= */ 0);
  free(order);
  return status;
}

static void release(kiln__baking *baking) {
  for (size_t i = 0; baking->items != NULL && i < baking->items_count; i++) {
    free(baking->items[i].failure);
    free(baking->items[i].store_message);
    free(baking->items[i].recorded);
  }
  for (size_t i = 0; baking->sources != NULL && i < baking->files.count; i++) {
    kiln__source_release(&baking->sources[i]);
  }
  free(baking->items);
  free(baking->sources);
  free(baking->engines);
  free(baking->node_versions);
  free(baking->node_flags);
  free(baking->tallies);
  free(baking->params);
  kiln_bytes_unref(baking->workload);
  kiln__cli_files_release(&baking->files);
  (void)pthread_cond_destroy(&baking->wake);
  (void)pthread_mutex_destroy(&baking->mutex);
}

/* ---- the command line ---------------------------------------------------------------- */

static const char help[] =
    "Usage: kiln precompile [OPTIONS] FILES|FOLDERS...\n"
    "\n"
    "Compiles files and keeps their code caches in the store. Of a folder all .js, .cjs and\n"
    ".mjs files are taken, in all depths; symbolic links inside it are not followed.\n"
    "\n"
    "Options:\n"
    "  --store DIR      the store\n"
    "  --engine ENGINE  bake for this engine, as 'kiln engines ls' names it; may be given more\n"
    "                   than once: every file is baked for each. Default: libv8's own\n"
    "  --engines-dir DIR  where engines are registered\n"
    "  --mode MODE      what the cache holds: lazy (default): what V8 compiles at once; eager:\n"
    "                   every function; warm: what the top level used, which is run for that;\n"
    "                   workload: what a script of yours used\n"
    "  --workload FILE  with --mode workload: run after the top level, in the same context\n"
    "  --kind KIND      script, module, function, commonjs, wrapper or auto (default)\n"
    "  --params NAMES   the parameters of --kind function, separated by commas\n"
    "  --out DIR        also write DIR/manifest.json and for each engine DIR/ENGINE/index and a\n"
    "                   pack with all its caches, which kiln/register loads in Node\n"
    "  --files          with --out: each cache as DIR/ENGINE/FILE.cache, too\n"
    "  --root DIR       with --out: name the files below this folder; default: the deepest that\n"
    "                   all files given lie in\n"
    "  --exercise ARGS  with --out: run the engine's node with these arguments, and keep what\n"
    "                   those of the files had compiled at its end; may be given more than once\n"
    "  --exercise-timeout MS  for each such run; default: 60000\n"
    "  --no-keep-sources  do not keep the source texts in the store: then the caches cannot be\n"
    "                   baked again for another engine by 'kiln rebake'\n"
    "  --keep-sources   keep them, which is the default\n"
    "  --jobs N         engine processes at once; default: the number of cores\n"
    "  --timeout MS     for each file; default: 60000\n"
    "  --json           report in JSON\n"
    "  --quiet          no report and no progress\n"
    "  --verbose        show what exercised programs print\n"
    "  --help           print this\n"
    "  --version        print the version\n"
    "\n"
    "Kind auto: .mjs is a module, .cjs is commonjs; for others \"type\" in the nearest\n"
    "package.json decides: \"module\" a module, \"commonjs\" commonjs. Where there is none, the\n"
    "file is a script, unless it does not compile as one because of import, export or await (a\n"
    "module) or a return outside functions (commonjs). commonjs is a function with the\n"
    "parameters exports, require, module, __filename and __dirname, as Node's loader compiles\n"
    "it. wrapper is the same as a script that is one function expression, which is what\n"
    "kiln/register loads: with --out, kind auto takes wrapper for commonjs, and for what it\n"
    "would take for a script. A cache serves only the kind it was made for.\n"
    "\n"
    "--out into a folder that has been written before replaces all that is there for the same\n"
    "engines and keeps what is there for others, if its files have the same root. Programs may\n"
    "load from it meanwhile: they see the old or the new. An engine for which every file\n"
    "failed keeps what it had.\n"
    "\n"
    "--exercise splits ARGS as a shell does, with quotes and backslashes, but expands nothing.\n"
    "What a run recorded of files that are not given, or have changed, is not taken, and each\n"
    "cache is loaded in an engine before it is kept. The other files are baked as usual.\n"
    "\n"
    "The name that V8 keeps in a cache is the file's absolute path, as Node's loader has it.\n";

static bool read_workload(kiln__baking *baking, const char *path) {
  kiln_error error;
  if (kiln__cli_read(path, &baking->workload, &error) != KILN_OK) {
    kiln__cli_complain(baking->self, "workload '%s': %s", path, error.message);
    return false;
  }
  kcc_digest digest;
  if (kiln__source_digest(baking->workload, &digest, /* err= */ NULL) != KCC_OK) {
    kiln__cli_complain(baking->self, "out of memory");
    return false;
  }
  kcc_digest_format(&digest, baking->workload_sha256);
  return true;
}

/* Splits --params where it stands in argv. */
static bool parse_params(kiln__baking *baking, const char *text) {
  size_t count = 1;
  for (const char *at = text; *at != '\0'; at++) count += *at == ',';
  free(baking->params);
  baking->params = calloc(count, sizeof(*baking->params));
  if (baking->params == NULL) return false;
  baking->params_count = 0;
  while (*text != '\0') {
    size_t length = strcspn(text, ",");
    baking->params[baking->params_count++] = (kiln_span){text, length};
    text += length;
    if (*text == ',') text++;
  }
  return true;
}

enum {
  MODE = 1,
  WORKLOAD,
  KIND,
  PARAMS,
  OUT,
  KEEP,
  FORGET,
  JOBS,
  TIMEOUT,
  JSON,
  QUIET,
  STORE,
  ENGINE,
  ENGINES_DIR,
  FILES,
  ROOT,
  EXERCISE,
  EXERCISE_TIMEOUT,
  VERBOSE
};
static const struct option options[] = {
    {"store", required_argument, NULL, STORE},
    {"engine", required_argument, NULL, ENGINE},
    {"engines-dir", required_argument, NULL, ENGINES_DIR},
    {"mode", required_argument, NULL, MODE},
    {"workload", required_argument, NULL, WORKLOAD},
    {"kind", required_argument, NULL, KIND},
    {"params", required_argument, NULL, PARAMS},
    {"out", required_argument, NULL, OUT},
    {"files", no_argument, NULL, FILES},
    {"root", required_argument, NULL, ROOT},
    {"exercise", required_argument, NULL, EXERCISE},
    {"exercise-timeout", required_argument, NULL, EXERCISE_TIMEOUT},
    {"keep-sources", no_argument, NULL, KEEP},
    {"no-keep-sources", no_argument, NULL, FORGET},
    {"jobs", required_argument, NULL, JOBS},
    {"timeout", required_argument, NULL, TIMEOUT},
    {"json", no_argument, NULL, JSON},
    {"quiet", no_argument, NULL, QUIET},
    {"verbose", no_argument, NULL, VERBOSE},
    KILN__CLI_COMMON_OPTIONS,
    {NULL, 0, NULL, 0}};

/* Parses a number of milliseconds; -1, or the exit status. */
static int take_timeout(const kiln__baking *baking, const char *name, unsigned *ret_ms) {
  unsigned long number;
  if (!kiln__cli_number(optarg, 1, KILN__CLI_TIMEOUT_MAX, &number)) {
    return kiln__cli_misuse(baking->self, "%s '%.80s': not a number from 1 to %d", name, optarg,
                            KILN__CLI_TIMEOUT_MAX);
  }
  *ret_ms = (unsigned)number;
  return -1;
}

static int take_repeated(const kiln__baking *baking, const char *what, const char **list,
                         size_t *count, size_t max) {
  if (*count == max) return kiln__cli_misuse(baking->self, "more than %zu %s", max, what);
  list[(*count)++] = optarg;
  return -1;
}

/* The options that say what is baked into which folder. -2: it is none of them. */
static int take_target(kiln__baking *baking, int option) {
  switch (option) {
    case ENGINE:
      return take_repeated(baking, "engines", baking->specs, &baking->specs_count,
                           KILN_ENGINES_MAX);
    case ENGINES_DIR:
      baking->engines_option = optarg;
      return -1;
    case OUT:
      baking->out = optarg;
      return -1;
    case FILES:
      baking->separate_files = true;
      return -1;
    case ROOT:
      baking->root_option = optarg;
      return -1;
    case EXERCISE:
      return take_repeated(baking, "programs to exercise", baking->exercises,
                           &baking->exercises_count, KILN__EXERCISES_MAX);
    case EXERCISE_TIMEOUT:
      return take_timeout(baking, "exercise-timeout", &baking->exercise_ms);
    default:
      return -2;
  }
}

/* Takes one option; -1: go on, else the exit status. */
static int take_option(kiln__baking *baking, int option, char **argv, const char **ret_workload) {
  unsigned long number;
  kcc_mode mode;
  int status = take_target(baking, option);
  if (status != -2) return status;
  switch (option) {
    case STORE:
      baking->store_option = optarg;
      return -1;
    case MODE:
      if (!kcc_mode_parse(optarg, &mode)) {
        return kiln__cli_misuse(baking->self, "mode '%.80s': unknown", optarg);
      }
      baking->mode = (kiln_mode)mode;
      return -1;
    case WORKLOAD:
      *ret_workload = optarg;
      return -1;
    case KIND:
      if (kiln__cli_kind_parse(optarg, &baking->kind)) return -1;
      return kiln__cli_misuse(baking->self, "kind '%.80s': unknown", optarg);
    case PARAMS:
      if (parse_params(baking, optarg)) return -1;
      kiln__cli_complain(baking->self, "out of memory");
      return KILN__CLI_FAILED;
    case KEEP:
    case FORGET:
      baking->forget_sources = option == FORGET;
      return -1;
    case JOBS:
      if (!kiln__cli_number(optarg, 1, JOBS_MAX, &number)) {
        return kiln__cli_misuse(baking->self, "jobs '%.80s': not a number from 1 to %d", optarg,
                                JOBS_MAX);
      }
      baking->jobs = (unsigned)number;
      return -1;
    case TIMEOUT:
      return take_timeout(baking, "timeout", &baking->timeout_ms);
    case JSON:
      baking->json = true;
      return -1;
    case QUIET:
      baking->quiet = true;
      return -1;
    case VERBOSE:
      baking->verbose = true;
      return -1;
    default:
      return kiln__cli_common_option(baking->self, option, argv);
  }
}

/* Whether the options fit together; -1, or the exit status. */
static int check_options(const kiln__baking *baking, const char *workload, bool no_files) {
  if (no_files) return kiln__cli_misuse(baking->self, "no files");
  if ((baking->mode == KILN_WORKLOAD) != (workload != NULL)) {
    return kiln__cli_misuse(baking->self, "--mode workload and --workload FILE need each other");
  }
  if (baking->params != NULL && baking->kind != KILN__CLI_FUNCTION) {
    return kiln__cli_misuse(baking->self, "--params needs --kind function");
  }
  if (baking->params_count > KILN_PARAMS_MAX) {
    return kiln__cli_misuse(baking->self, "%zu parameters, limit %d", baking->params_count,
                            KILN_PARAMS_MAX);
  }
  if (baking->out == NULL && (baking->separate_files || baking->root_option != NULL)) {
    return kiln__cli_misuse(baking->self, "%s needs --out",
                            baking->separate_files ? "--files" : "--root");
  }
  if (baking->out == NULL && baking->exercises_count > 0) {
    return kiln__cli_misuse(baking->self, "--exercise needs --out");
  }
  return -1;
}

static int parse_and_run(kiln__baking *baking, int argc, char **argv) {
  const char *workload = NULL;
  int option, status;
  while ((option = getopt_long(argc, argv, ":", options, /* index= */ NULL)) != -1) {
    status = take_option(baking, option, argv, &workload);
    if (status >= 0) return status;
  }
  status = check_options(baking, workload, optind == argc);
  if (status >= 0) return status;
  if (workload != NULL && !read_workload(baking, workload)) return KILN__CLI_FAILED;
  if (baking->jobs == 0) {
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    baking->jobs = cores > JOBS_MAX ? JOBS_MAX : cores > 0 ? (unsigned)cores : 1;
  }
  baking->bar.shown = !baking->quiet && isatty(STDERR_FILENO) == 1;
  return precompile(baking, argv + optind, argc - optind);
}

static int exec(const kiln__cli_command *self, int argc, char **argv) {
  kiln__baking baking = {
      .self = self, .kind = KILN__CLI_AUTO, .timeout_ms = 60000, .exercise_ms = 60000};
  (void)pthread_mutex_init(&baking.mutex, /* attributes= */ NULL);
  (void)pthread_cond_init(&baking.wake, /* attributes= */ NULL);
  int status = parse_and_run(&baking, argc, argv);
  release(&baking);
  return status;
}

const kiln__cli_command kiln__cli_precompile = {
    .name = "precompile", .summary = "bake files ahead of time", .help = help, .exec = exec};
