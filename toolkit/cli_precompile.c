/* SPDX-License-Identifier: MIT
 *
 * cli_precompile.c: `kiln precompile`: bakes files ahead of time.
 *
 * The big ones first, so that no worker is left with the biggest at the end. The main thread reads
 * and hashes the next files while workers compile; no more files are in memory than keep the
 * workers busy. While the engine starts, the command looks for the files.
 */
#include "toolkit/cli_precompile.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "toolkit/service.h"

#define JOBS_MAX 256

uint64_t kiln__cli_now_ns(void) {
  struct timespec now;
  (void)clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

void kiln__item_fail(kiln__item *item, const char *code, const char *format, ...) {
  if (item->failure == NULL) item->failure = calloc(1, sizeof(*item->failure));
  if (item->failure == NULL) {
    /* Nothing can be told any more. */
    kiln__cli_complain(item->baking->self, "out of memory");
    exit(KILN__CLI_FAILED);
  }
  (void)snprintf(item->failure->code, sizeof(item->failure->code), "%s", code);
  va_list args;
  va_start(args, format);
  (void)vsnprintf(item->failure->message, sizeof(item->failure->message), format, args);
  va_end(args);
}

/* On any thread, also in kiln_submit() on the main one. */
static void item_done(void *user, const kiln_response *response) {
  kiln__item *item = user;
  kiln__baking *baking = item->baking;
  item->cache = response->cache;
  memcpy(item->key, response->key, sizeof(item->key));
  item->times = response->times;
  item->source_length = response->source_length;
  item->blob_length = response->blob_length;
  if (response->status != KILN_OK) {
    kiln__item_fail(item, response->error.code, "%s", response->error.message);
  } else if (response->outcome != KILN_OUTCOME_OK) {
    const char *code = response->code != NULL && *response->code != '\0'
                           ? response->code
                           : kiln_outcome_word(response->outcome);
    kiln__item_fail(
        item, code, "%s",
        response->message != NULL ? response->message : kiln_outcome_word(response->outcome));
    item->failure->line = response->line;
    item->failure->column = response->column;
    (void)snprintf(item->failure->name, sizeof(item->failure->name), "%s",
                   response->name != NULL ? response->name : "");
  } else {
    if (response->blob != NULL) item->blob = kiln_bytes_ref(response->blob);
    if (response->cache == KILN_CACHE_BYPASS && response->error.message[0] != '\0') {
      item->store_message = strdup(response->error.message);
    }
  }
  (void)pthread_mutex_lock(&baking->mutex);
  item->next = baking->done;
  baking->done = item;
  (void)pthread_cond_signal(&baking->wake);
  (void)pthread_mutex_unlock(&baking->mutex);
}

/* Files read before the engine is ready, and how much of them. */
#define AHEAD_FILES_MAX 64
#define AHEAD_BYTES_MAX ((size_t)64 << 20)

/* While an engine starts there is a core with nothing to do: reads and digests the files whose turn
 * comes first. What cannot be read is reported when it is its turn. */
static void read_ahead(const kiln__baking *baking, kiln__item **order) {
  size_t bytes = 0;
  kcc_digest digest;
  for (size_t i = 0; i < baking->files.count && i < AHEAD_FILES_MAX; i++) {
    if (kiln__cli_read(order[i]->file->path, &order[i]->source, /* err= */ NULL) != KILN_OK) {
      continue;
    }
    (void)kiln__source_digest(order[i]->source, &digest, /* err= */ NULL);
    bytes += kiln_bytes_get(order[i]->source).length;
    if (bytes > AHEAD_BYTES_MAX || atomic_load(&baking->opened)) return;
  }
}

static bool digest_source(kiln__item *item, kiln_bytes *source) {
  kcc_digest digest;
  if (kiln__source_digest(source, &digest, /* err= */ NULL) != KCC_OK) {
    kiln__item_fail(item, "ERR_NO_MEMORY", "out of memory");
    return false;
  }
  kcc_digest_format(&digest, item->source_sha256);
  return true;
}

/* Hands an item to the kiln; false: it has failed already. */
static bool submit(kiln__item *item) {
  const kiln__baking *baking = item->baking;
  kiln_error error;
  kiln_bytes *source = item->source;
  item->source = NULL;
  if (item->filename == NULL) item->filename = realpath(item->file->path, /* resolved= */ NULL);
  /* A pipe has no other name than the one given. */
  if (item->filename == NULL) item->filename = strdup(item->file->path);
  if (item->filename == NULL) {
    kiln__item_fail(item, "ERR_READ", "%s", strerror(errno));
    kiln_bytes_unref(source);
    return false;
  }
  if (source == NULL && kiln__cli_read(item->file->path, &source, &error) != KILN_OK) {
    kiln__item_fail(item, "ERR_READ", "%s", error.message);
    return false;
  }
  item->source_length = kiln_bytes_get(source).length;
  kiln_span commonjs[KILN__CLI_COMMONJS_PARAMS];
  for (size_t i = 0; i < KILN__CLI_COMMONJS_PARAMS; i++) {
    commonjs[i] = kiln_span_from(kiln__cli_commonjs_params[i]);
  }
  kiln_request request = {.op = baking->out != NULL ? KILN_CREATE_CACHED_DATA : KILN_COMPILE,
                          .source = source,
                          .filename = kiln_span_from(item->filename),
                          .mode = baking->mode,
                          .workload = baking->workload,
                          .timeout_ms = baking->timeout_ms};
  switch (item->kind) {
    case KILN__CLI_MODULE:
      request.kind = KILN_MODULE;
      break;
    case KILN__CLI_COMMONJS:
      request.kind = KILN_FUNCTION;
      request.params = commonjs;
      request.params_count = KILN__CLI_COMMONJS_PARAMS;
      break;
    case KILN__CLI_FUNCTION:
      request.kind = KILN_FUNCTION;
      request.params = baking->params;
      request.params_count = baking->params_count;
      break;
    case KILN__CLI_SCRIPT:
    case KILN__CLI_AUTO:
      break;
  }
  bool good = baking->out == NULL || digest_source(item, source);
  if (good && kiln_submit(baking->k, &request, item_done, item, &error) != KILN_OK) {
    kiln__item_fail(item, error.code, "%s", error.message);
    good = false;
  }
  kiln_bytes_unref(source);
  return good;
}

/* Takes note of an item that came back. True: try it again, as another kind. */
static bool settle(kiln__item *item) {
  kiln__baking *baking = item->baking;
  if (item->failure != NULL && item->guessed && strcmp(item->failure->name, "SyntaxError") == 0) {
    kiln__cli_kind other = kiln__cli_kind_after(item->failure->message);
    item->guessed = false;
    if (other != KILN__CLI_AUTO) {
      item->kind = other;
      free(item->failure);
      item->failure = NULL;
      return true;
    }
  }
  if (item->failure == NULL && baking->out != NULL) kiln__output_blob(item);
  kiln_bytes_unref(item->blob);
  item->blob = NULL;
  item->finished = true;
  baking->finished++;
  if (item->failure != NULL) {
    baking->failed++;
    kiln__report_clear(baking);
    if (item->failure->line > 0) {
      kiln__cli_complain(baking->self, "%s:%d:%d: %s%s%s", item->file->path, item->failure->line,
                         item->failure->column, item->failure->name,
                         *item->failure->name != '\0' ? ": " : "", item->failure->message);
    } else {
      kiln__cli_complain(baking->self, "%s: %s%s%s", item->file->path, item->failure->name,
                         *item->failure->name != '\0' ? ": " : "", item->failure->message);
    }
  } else if (item->cache == KILN_CACHE_HIT) {
    baking->hits++;
  } else if (item->cache == KILN_CACHE_BYPASS) {
    /* One reason is enough: a full disk is full for all. */
    if (baking->not_stored == 0 && item->store_message != NULL) {
      kiln__report_clear(baking);
      kiln__cli_complain(baking->self, "%s", item->store_message);
    }
    baking->not_stored++;
  }
  return false;
}

static int bigger_first(const void *a, const void *b) {
  const kiln__item *x = *(kiln__item *const *)a, *y = *(kiln__item *const *)b;
  if (x->file->size != y->file->size) return x->file->size > y->file->size ? -1 : 1;
  return x < y ? -1 : 1; /* else in the order of the command line */
}

static void bake_all(kiln__baking *baking, kiln__item **order) {
  size_t window = 2 * (size_t)baking->jobs + 2, next = 0, flying = 0;
  kiln__item *again = NULL;
  while (baking->finished < baking->files.count) {
    kiln__item *done = NULL;
    if (flying < window && (again != NULL || next < baking->files.count)) {
      kiln__item *item = again != NULL ? again : order[next];
      if (again != NULL) {
        again = again->next;
      } else {
        next++;
      }
      if (submit(item)) {
        flying++;
      } else {
        (void)settle(item);
      }
      (void)pthread_mutex_lock(&baking->mutex);
    } else {
      (void)pthread_mutex_lock(&baking->mutex);
      while (baking->done == NULL) (void)pthread_cond_wait(&baking->wake, &baking->mutex);
    }
    done = baking->done;
    baking->done = NULL;
    (void)pthread_mutex_unlock(&baking->mutex);
    while (done != NULL) {
      kiln__item *item = done;
      done = item->next;
      flying--;
      if (settle(item)) {
        item->next = again;
        again = item;
      }
    }
    kiln__report_progress(baking);
  }
  kiln__report_clear(baking);
}

/* ---- starting ------------------------------------------------------------------------ */

typedef struct opener {
  kiln__baking *baking;
  const char *store;
  kiln_status status;
  kiln_error error;
} opener;

static void *open_kiln(void *argument) {
  opener *self = argument;
  self->status = kiln__cli_open(self->store, self->baking->jobs, self->baking->keep_sources,
                                &self->baking->k, &self->error);
  atomic_store(&self->baking->opened, true);
  return NULL;
}

static bool make_items(kiln__baking *baking, kiln__item ***ret_order) {
  size_t count = baking->files.count;
  baking->items = calloc(count == 0 ? 1 : count, sizeof(*baking->items));
  kiln__item **order = calloc(count == 0 ? 1 : count, sizeof(*order));
  if (baking->items == NULL || order == NULL) {
    free(order);
    kiln__cli_complain(baking->self, "out of memory");
    return false;
  }
  for (size_t i = 0; i < count; i++) {
    kiln__item *item = &baking->items[i];
    item->baking = baking;
    item->file = &baking->files.files[i];
    item->kind =
        baking->kind == KILN__CLI_AUTO ? kiln__cli_kind_of(item->file->path) : baking->kind;
    item->guessed = item->kind == KILN__CLI_AUTO;
    if (item->guessed) item->kind = KILN__CLI_SCRIPT;
    order[i] = item;
  }
  qsort(order, count, sizeof(*order), bigger_first);
  *ret_order = order;
  return true;
}

static int precompile(kiln__baking *baking, char **paths, int paths_count) {
  char store[PATH_MAX];
  opener starting = {.baking = baking, .store = store};
  pthread_t thread;
  kiln__item **order = NULL;
  if (!kiln__cli_store_path(baking->self, baking->store_option, store, sizeof(store))) {
    return KILN__CLI_FAILED;
  }
  baking->started_ns = kiln__cli_now_ns();
  bool threaded = pthread_create(&thread, /* attributes= */ NULL, open_kiln, &starting) == 0;
  bool complete = true;
  for (int i = 0; i < paths_count; i++) {
    if (!kiln__cli_files_add(baking->self, &baking->files, paths[i])) complete = false;
  }
  bool good = make_items(baking, &order) && (baking->out == NULL || kiln__output_check(baking));
  if (threaded) {
    if (good) read_ahead(baking, order);
    (void)pthread_join(thread, /* ret_value= */ NULL);
  } else {
    (void)open_kiln(&starting);
  }
  if (starting.status != KILN_OK) {
    kiln__cli_complain(baking->self, "%s", starting.error.message);
    good = false;
  }
  int status = KILN__CLI_FAILED;
  if (good && kiln_get_engine(baking->k, 0, &baking->engine, /* err= */ NULL) == KILN_OK) {
    bake_all(baking, order);
    if (baking->out != NULL && !kiln__output_manifest(baking)) complete = false;
    status = kiln__report(baking);
    if (!complete) status = KILN__CLI_FAILED;
  }
  if (starting.status == KILN_OK) kiln_close(baking->k, /* drain_ms= */ 0);
  free(order);
  return status;
}

static void release(kiln__baking *baking) {
  for (size_t i = 0; baking->items != NULL && i < baking->files.count; i++) {
    free(baking->items[i].filename);
    free(baking->items[i].failure);
    free(baking->items[i].store_message);
    kiln_bytes_unref(baking->items[i].source);
  }
  free(baking->items);
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
    "  --mode MODE      what the cache holds: lazy (default): what V8 compiles at once; eager:\n"
    "                   every function; warm: what the top level used, which is run for that;\n"
    "                   workload: what a script of yours used\n"
    "  --workload FILE  with --mode workload: run after the top level, in the same context\n"
    "  --kind KIND      script, module, function, commonjs or auto (default)\n"
    "  --params NAMES   the parameters of --kind function, separated by commas\n"
    "  --out DIR        also write each cache as DIR/FILE.cache, and DIR/manifest.json\n"
    "  --keep-sources   keep the source texts in the store, too\n"
    "  --jobs N         engine processes at once; default: the number of cores\n"
    "  --timeout MS     for each file; default: 60000\n"
    "  --json           report in JSON\n"
    "  --quiet          no report and no progress\n"
    "  --help           print this\n"
    "  --version        print the version\n"
    "\n"
    "Kind auto: .mjs is a module, .cjs is commonjs; for others \"type\" in the nearest\n"
    "package.json decides: \"module\" a module, \"commonjs\" commonjs. Where there is none, the\n"
    "file is a script, unless it does not compile as one because of import, export or await (a\n"
    "module) or a return outside functions (commonjs). commonjs is a function with the\n"
    "parameters exports, require, module, __filename and __dirname, as Node's loader compiles\n"
    "it. A cache serves only the kind it was made for.\n"
    "\n"
    "The name that V8 keeps in a cache is the file's absolute path, as Node's loader has it.\n";

static bool read_workload(kiln__baking *baking, const char *path) {
  kiln_error error;
  if (kiln__cli_read(path, &baking->workload, &error) == KILN_OK) return true;
  kiln__cli_complain(baking->self, "workload '%s': %s", path, error.message);
  return false;
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

enum { MODE = 1, WORKLOAD, KIND, PARAMS, OUT, KEEP, JOBS, TIMEOUT, JSON, QUIET, STORE };
static const struct option options[] = {{"store", required_argument, NULL, STORE},
                                        {"mode", required_argument, NULL, MODE},
                                        {"workload", required_argument, NULL, WORKLOAD},
                                        {"kind", required_argument, NULL, KIND},
                                        {"params", required_argument, NULL, PARAMS},
                                        {"out", required_argument, NULL, OUT},
                                        {"keep-sources", no_argument, NULL, KEEP},
                                        {"jobs", required_argument, NULL, JOBS},
                                        {"timeout", required_argument, NULL, TIMEOUT},
                                        {"json", no_argument, NULL, JSON},
                                        {"quiet", no_argument, NULL, QUIET},
                                        KILN__CLI_COMMON_OPTIONS,
                                        {NULL, 0, NULL, 0}};

/* Takes one option; -1: go on, else the exit status. */
static int take_option(kiln__baking *baking, int option, char **argv, const char **ret_workload) {
  unsigned long number;
  kcc_mode mode;
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
    case OUT:
      baking->out = optarg;
      return -1;
    case KEEP:
      baking->keep_sources = true;
      return -1;
    case JOBS:
      if (!kiln__cli_number(optarg, 1, JOBS_MAX, &number)) {
        return kiln__cli_misuse(baking->self, "jobs '%.80s': not a number from 1 to %d", optarg,
                                JOBS_MAX);
      }
      baking->jobs = (unsigned)number;
      return -1;
    case TIMEOUT:
      if (!kiln__cli_number(optarg, 1, KILN__CLI_TIMEOUT_MAX, &number)) {
        return kiln__cli_misuse(baking->self, "timeout '%.80s': not a number from 1 to %d", optarg,
                                KILN__CLI_TIMEOUT_MAX);
      }
      baking->timeout_ms = (unsigned)number;
      return -1;
    case JSON:
      baking->json = true;
      return -1;
    case QUIET:
      baking->quiet = true;
      return -1;
    default:
      return kiln__cli_common_option(baking->self, option, argv);
  }
}

static int parse_and_run(kiln__baking *baking, int argc, char **argv) {
  const char *workload = NULL;
  int option;
  while ((option = getopt_long(argc, argv, ":", options, /* index= */ NULL)) != -1) {
    int status = take_option(baking, option, argv, &workload);
    if (status >= 0) return status;
  }
  if (optind == argc) return kiln__cli_misuse(baking->self, "no files");
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
  if (workload != NULL && !read_workload(baking, workload)) return KILN__CLI_FAILED;
  if (baking->jobs == 0) {
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    baking->jobs = cores > JOBS_MAX ? JOBS_MAX : cores > 0 ? (unsigned)cores : 1;
  }
  baking->terminal = !baking->quiet && isatty(STDERR_FILENO) == 1;
  return precompile(baking, argv + optind, argc - optind);
}

static int exec(const kiln__cli_command *self, int argc, char **argv) {
  kiln__baking baking = {.self = self, .kind = KILN__CLI_AUTO, .timeout_ms = 60000};
  (void)pthread_mutex_init(&baking.mutex, /* attributes= */ NULL);
  (void)pthread_cond_init(&baking.wake, /* attributes= */ NULL);
  int status = parse_and_run(&baking, argc, argv);
  release(&baking);
  return status;
}

const kiln__cli_command kiln__cli_precompile = {
    .name = "precompile", .summary = "bake files ahead of time", .help = help, .exec = exec};
