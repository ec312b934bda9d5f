/* SPDX-License-Identifier: MIT
 *
 * cli_run.c: kiln-run, the program behind `kiln run`: runs a file in this process, with the store's
 * cache. Who types the command trusts the file, so there is no engine process between them. There
 * is no loader of modules and no event loop yet, and the help says so.
 */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "toolkit/cli_run.h"

static const char help[] =
    "Usage: kiln run [OPTIONS] FILE [ARGS...]\n"
    "\n"
    "Runs a file in this process. A code cache from the store makes it start sooner: one that\n"
    "`kiln precompile` made (warm, else lazy, else eager), or the one that an earlier run kept.\n"
    "Files under 4096 bytes are not cached. console.log, info and debug print on standard\n"
    "output, the other methods of console on standard error.\n"
    "\n"
    "Options:\n"
    "  --store DIR   the store\n"
    "  --no-store    neither use nor keep a cache\n"
    "  --kind KIND   script, module, commonjs or auto (default; see kiln precompile --help)\n"
    "  --timeout MS  end the run after this time; default: no limit\n"
    "  --verbose     tell on standard error what the cache did\n"
    "  --help        print this\n"
    "  --version     print the version\n"
    "\n"
    "What is there: the language and console; scriptArgs, an array of ARGS; in commonjs files\n"
    "exports, module, __filename and __dirname. What is not there yet: import of other modules,\n"
    "require (it throws), timers, process and all else that is Node's. Exit status 1: the file\n"
    "did not compile, threw, ran out of time, or still awaits something at its end.\n";

typedef struct run {
  const kiln__cli_command *self;
  const char *store_option;
  bool no_store;
  bool verbose;
  kiln__cli_kind kind;
  unsigned timeout_ms;
  const char *path;
  char **args;
  char filename[PATH_MAX]; /* absolute */
  kiln_bytes *source;
  kiln__run_cache cache;
  kv8_isolate *isolate;
  kv8_context *context;
  kv8_error error;
  struct {
    pthread_t thread;
    pthread_mutex_t mutex; /* guards ended */
    pthread_cond_t wake;
    bool ended;
  } limit; /* of a run with a time limit */
} run;

static void print_console(void *user, const char *level, kv8_span text) {
  (void)user;
  bool out = strcmp(level, "log") == 0 || strcmp(level, "info") == 0 || strcmp(level, "debug") == 0;
  FILE *stream = out ? stdout : stderr;
  (void)fwrite(text.data, 1, text.length, stream);
  (void)fputc('\n', stream);
}

/* Prints an exception as Node does: where, the line, the stack. */
static void print_error(const run *r) {
  const kv8_error *error = &r->error;
  (void)fflush(stdout);
  if (error->line > 0) fprintf(stderr, "%s:%d\n", error->resource, error->line);
  if (*error->source_line != '\0') fprintf(stderr, "%s\n\n", error->source_line);
  if (*error->stack != '\0') {
    fprintf(stderr, "%s\n", error->stack);
  } else {
    fprintf(stderr, "%s%s%s\n", error->name, *error->name != '\0' ? ": " : "", error->message);
  }
}

/* ---- the time limit -------------------------------------------------------------------
 * V8 ends a run in time wherever it asks whether it is to stop, which its own loops in native code
 * (an indexOf over 2^53 elements) do not. A little later this process ends itself then. */

#define LIMIT_GRACE_MS 250

/* The thread of the script may stand anywhere, also inside stdio: nothing here waits for it. */
static void end_process(const run *r) {
  struct pollfd out = {.fd = STDOUT_FILENO, .events = POLLOUT};
  if (ftrylockfile(stdout) == 0) {
    if (poll(&out, 1, /* timeout= */ 0) == 1) (void)fflush(stdout);
    funlockfile(stdout);
  }
  (void)dprintf(STDERR_FILENO, "Error: Script execution timed out after %ums\n", r->timeout_ms);
  _exit(KILN__CLI_FAILED);
}

static void *watch_limit(void *argument) {
  run *r = argument;
  struct timespec end;
  (void)clock_gettime(CLOCK_MONOTONIC, &end);
  uint64_t ms = (uint64_t)r->timeout_ms + LIMIT_GRACE_MS + (uint64_t)end.tv_nsec / 1000000;
  end.tv_sec += (time_t)(ms / 1000);
  end.tv_nsec = (long)(ms % 1000) * 1000000;
  int failure = 0;
  (void)pthread_mutex_lock(&r->limit.mutex);
  while (!r->limit.ended && failure == 0) {
    failure = pthread_cond_timedwait(&r->limit.wake, &r->limit.mutex, &end);
  }
  if (!r->limit.ended) end_process(r);
  (void)pthread_mutex_unlock(&r->limit.mutex);
  return NULL;
}

/* To be ended with limit_end() if it gave KV8_OK. */
static kv8_status limit_begin(run *r) {
  pthread_condattr_t attributes;
  if (r->timeout_ms == 0) return KV8_OK;
  r->limit.ended = false;
  (void)pthread_mutex_init(&r->limit.mutex, /* attributes= */ NULL);
  (void)pthread_condattr_init(&attributes);
  (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
  (void)pthread_cond_init(&r->limit.wake, &attributes);
  (void)pthread_condattr_destroy(&attributes);
  int failure = pthread_create(&r->limit.thread, /* attributes= */ NULL, watch_limit, r);
  if (failure == 0) return KV8_OK;
  r->error = (kv8_error){.status = KV8_ENOMEM};
  (void)snprintf(r->error.message, sizeof(r->error.message), "no thread for the time limit: %s",
                 strerror(failure));
  return KV8_ENOMEM;
}

static void limit_end(run *r) {
  if (r->timeout_ms == 0) return;
  (void)pthread_mutex_lock(&r->limit.mutex);
  r->limit.ended = true;
  (void)pthread_cond_signal(&r->limit.wake);
  (void)pthread_mutex_unlock(&r->limit.mutex);
  (void)pthread_join(r->limit.thread, /* ret_value= */ NULL);
  (void)pthread_cond_destroy(&r->limit.wake);
  (void)pthread_mutex_destroy(&r->limit.mutex);
}

/* ---- the three kinds -----------------------------------------------------------------
 * Each compiles, runs and, if a cache is to be kept, makes the blob. True if all went well; else
 * r->error says what did not. */

/* The source belongs to the command, which keeps it until the isolate is gone. */
static void release_nothing(void *user) {
  (void)user;
}

/* The source, to be read in place, with its blob if one was found. */
static kv8_source source_of(const run *r) {
  kv8_source source = KV8_SOURCE_INIT;
  kiln_span text = kiln_bytes_get(r->source);
  source.text = (kv8_span){text.data, text.length};
  source.release = release_nothing;
  source.filename = kv8_span_from(r->filename);
  if (r->cache.found) {
    source.cached_data = (kv8_span){r->cache.entry.blob.data, r->cache.entry.blob.length};
  }
  return source;
}

static void note_outcome(run *r, kv8_cache_outcome outcome) {
  if (outcome == KV8_CACHE_REJECTED) kiln__run_cache_rejected(&r->cache);
}

/* Whether a blob made after the run is worth keeping: there is a store, and it had none. */
static bool keeps(const run *r) {
  return r->cache.store != NULL && !r->cache.found;
}

static void keep(run *r, kv8_status status, kv8_blob *blob) {
  if (status == KV8_OK) kiln__run_cache_keep(&r->cache, *blob);
  kv8_blob_free(blob);
}

static kv8_run_options run_options(const run *r) {
  kv8_run_options options = KV8_RUN_OPTIONS_INIT;
  options.timeout_ms = r->timeout_ms;
  return options;
}

static kv8_status run_script(run *r) {
  kv8_source source = source_of(r);
  kv8_run_options options = run_options(r);
  kv8_cache_outcome outcome;
  kv8_script *script = NULL;
  kv8_blob blob = {NULL, 0};
  kv8_status status = kv8_script_compile(r->isolate, &source, &script, &outcome, &r->error);
  if (status != KV8_OK) return status;
  note_outcome(r, outcome);
  status = limit_begin(r);
  if (status == KV8_OK) {
    status = kv8_script_run(script, r->context, &options, /* ret_value= */ NULL, &r->error);
    limit_end(r);
  }
  if (status == KV8_OK && keeps(r)) {
    keep(r, kv8_script_create_cached_data(script, &blob, /* err= */ NULL), &blob);
  }
  kv8_script_free(script);
  return status;
}

static kv8_status refuse_imports(run *r, const kv8_module *module) {
  kv8_span specifier;
  if (kv8_module_get_request_count(module) == 0) return KV8_OK;
  kv8_status status = kv8_module_get_request(module, 0, &specifier, &r->error);
  if (status != KV8_OK) return status;
  r->error = (kv8_error){.status = KV8_ELINK, .code = "ERR_VM_MODULE_LINK_FAILURE"};
  (void)snprintf(r->error.message, sizeof(r->error.message),
                 "import of '%.*s': kiln run does not load other modules yet",
                 specifier.length < 80 ? (int)specifier.length : 80, specifier.data);
  return KV8_ELINK;
}

static kv8_status run_module(run *r) {
  kv8_source source = source_of(r);
  kv8_run_options options = run_options(r);
  kv8_cache_outcome outcome;
  kv8_promise_state state = KV8_PROMISE_FULFILLED;
  kv8_module *module = NULL;
  kv8_blob blob = {NULL, 0};
  kv8_status status = kv8_module_compile(r->context, &source, &module, &outcome, &r->error);
  if (status != KV8_OK) return status;
  note_outcome(r, outcome);
  status = refuse_imports(r, module);
  if (status == KV8_OK) status = kv8_module_instantiate(module, &r->error);
  if (status == KV8_OK) status = limit_begin(r);
  if (status == KV8_OK) {
    status = kv8_module_evaluate(module, &options, &state, &r->error);
    limit_end(r);
  }
  if (status == KV8_OK && state == KV8_PROMISE_PENDING) {
    status = KV8_ESTATE;
    r->error = (kv8_error){.status = status};
    (void)snprintf(r->error.message, sizeof(r->error.message),
                   "top-level await: nothing is left that could settle it");
  }
  if (status == KV8_OK && keeps(r)) {
    keep(r, kv8_module_create_warm_cached_data(module, &blob, /* err= */ NULL), &blob);
  }
  kv8_module_free(module);
  return status;
}

/* Evaluates a line of our own. */
static kv8_status evaluate(run *r, const char *text, kv8_value **ret_value) {
  kv8_source source = KV8_SOURCE_INIT;
  kv8_run_options options = KV8_RUN_OPTIONS_INIT;
  kv8_script *script = NULL;
  source.text = kv8_span_from(text);
  source.filename = kv8_span_from("kiln:run");
  kv8_status status =
      kv8_script_compile(r->isolate, &source, &script, /* ret_outcome= */ NULL, &r->error);
  if (status == KV8_OK) status = kv8_script_run(script, r->context, &options, ret_value, &r->error);
  kv8_script_free(script);
  return status;
}

/* The arguments of a CommonJS file, in the order of kiln__cli_commonjs_params. `module` passes
 * through the global object for the moment that it takes to get at its exports. */
static kv8_status make_arguments(run *r, kv8_value *values[KILN__CLI_COMMONJS_PARAMS]) {
  char folder[PATH_MAX];
  memcpy(folder, r->filename, sizeof(folder));
  char *slash = strrchr(folder, '/');
  if (slash == folder) slash++;
  if (slash != NULL) *slash = '\0';
  kv8_status status = evaluate(r, "globalThis['kiln:module'] = {exports: {}}", &values[2]);
  if (status == KV8_OK) status = evaluate(r, "globalThis['kiln:module'].exports", &values[0]);
  if (status == KV8_OK) {
    status = evaluate(r,
                      "delete globalThis['kiln:module'];"
                      "(function require(id) {"
                      "  throw Object.assign("
                      "    new Error(`require of '${id}': kiln run does not load other modules"
                      " yet`),"
                      "    {code: 'MODULE_NOT_FOUND'});"
                      "})",
                      &values[1]);
  }
  if (status == KV8_OK) {
    status = kv8_value_from_string(r->context, kv8_span_from(r->filename), &values[3], &r->error);
  }
  if (status == KV8_OK) {
    status = kv8_value_from_string(r->context, kv8_span_from(folder), &values[4], &r->error);
  }
  return status;
}

static kv8_status run_function(run *r) {
  kv8_source source = source_of(r);
  kv8_run_options options = run_options(r);
  kv8_function_options function_options = KV8_FUNCTION_OPTIONS_INIT;
  kv8_span params[KILN__CLI_COMMONJS_PARAMS];
  kv8_value *values[KILN__CLI_COMMONJS_PARAMS] = {NULL};
  kv8_cache_outcome outcome;
  kv8_function *function = NULL;
  kv8_blob blob = {NULL, 0};
  for (size_t i = 0; i < KILN__CLI_COMMONJS_PARAMS; i++) {
    params[i] = kv8_span_from(kiln__cli_commonjs_params[i]);
  }
  function_options.params = params;
  function_options.params_count = KILN__CLI_COMMONJS_PARAMS;
  kv8_status status = make_arguments(r, values);
  if (status == KV8_OK) {
    status = kv8_function_compile(r->context, &source, &function_options, &function, &outcome,
                                  &r->error);
  }
  if (status == KV8_OK) {
    note_outcome(r, outcome);
    const kv8_value *const arguments[] = {values[0], values[1], values[2], values[3], values[4]};
    status = limit_begin(r);
    if (status == KV8_OK) {
      /* `this` is exports, as in Node. */
      status = kv8_function_call(function, values[0], arguments, KILN__CLI_COMMONJS_PARAMS,
                                 &options, /* ret_value= */ NULL, &r->error);
      limit_end(r);
    }
  }
  if (status == KV8_OK && keeps(r)) {
    keep(r, kv8_function_create_cached_data(function, &blob, /* err= */ NULL), &blob);
  }
  kv8_function_free(function);
  for (size_t i = 0; i < KILN__CLI_COMMONJS_PARAMS; i++) kv8_value_free(values[i]);
  return status;
}

/* ---- setting up ---------------------------------------------------------------------- */

static kv8_status set_script_args(run *r) {
  json_t *args = json_array();
  for (char **arg = r->args; *arg != NULL; arg++) {
    (void)json_array_append_new(args, kiln__cli_json_text(*arg));
  }
  json_t *globals = json_pack("{s:o}", "scriptArgs", args);
  char *text = globals == NULL ? NULL : json_dumps(globals, JSON_COMPACT);
  json_decref(globals);
  kv8_status status = KV8_ENOMEM;
  r->error = (kv8_error){.status = status, .message = "out of memory"};
  if (text != NULL)
    status = kv8_context_set_globals_json(r->context, kv8_span_from(text), &r->error);
  free(text);
  return status;
}

static kv8_status make_context(run *r) {
  kv8_context_options options = KV8_CONTEXT_OPTIONS_INIT;
  options.name = kv8_span_from(r->path);
  options.on_console = print_console;
  kv8_status status = kv8_context_new(r->isolate, &options, &r->context, &r->error);
  return status == KV8_OK ? set_script_args(r) : status;
}

static kv8_status run_kind(run *r) {
  switch (r->kind) {
    case KILN__CLI_MODULE:
      return run_module(r);
    case KILN__CLI_COMMONJS:
    case KILN__CLI_FUNCTION:
      return run_function(r);
    case KILN__CLI_SCRIPT:
    case KILN__CLI_AUTO:
      break;
  }
  return run_script(r);
}

/* Runs the file as r->kind, in a context of its own; `guessed`: as a script, and if it does not
 * compile as one for a reason that tells what it is, as that. */
static kv8_status run_file(run *r, bool guessed) {
  char store[PATH_MAX];
  kv8_status status = make_context(r);
  if (status != KV8_OK) return status;
  if (!r->no_store && kiln__cli_store_path(r->self, r->store_option, store, sizeof(store))) {
    kiln__run_cache_find(&r->cache, store, r->kind, kiln_bytes_get(r->source), r->filename);
  }
  status = run_kind(r);
  kv8_context_free(r->context);
  r->context = NULL;
  kiln__run_cache_release(&r->cache);
  r->cache = (kiln__run_cache){.self = r->self, .verbose = r->verbose};
  if (status == KV8_ESYNTAX && guessed) {
    kiln__cli_kind other = kiln__cli_kind_after(r->error.message);
    if (other != KILN__CLI_AUTO) {
      r->kind = other;
      return run_file(r, /* guessed= */ false);
    }
  }
  return status;
}

static int start(run *r) {
  kiln_error error;
  kv8_isolate_options options = KV8_ISOLATE_OPTIONS_INIT;
  if (realpath(r->path, r->filename) == NULL) {
    /* A pipe has no other name than the one given; what cannot be opened is said below. */
    size_t length = strlen(r->path);
    if (length >= sizeof(r->filename)) {
      kiln__cli_complain(r->self, "'%s': %s", r->path, strerror(ENAMETOOLONG));
      return KILN__CLI_FAILED;
    }
    memcpy(r->filename, r->path, length + 1);
  }
  if (kiln__cli_read(r->path, &r->source, &error) != KILN_OK) {
    kiln__cli_complain(r->self, "'%s': %s", r->path, error.message);
    return KILN__CLI_FAILED;
  }
  bool guessed = false;
  if (r->kind == KILN__CLI_AUTO) {
    r->kind = kiln__cli_kind_of(r->path);
    guessed = r->kind == KILN__CLI_AUTO;
    if (guessed) r->kind = KILN__CLI_SCRIPT;
  }
  if (kv8_engine_start(/* options= */ NULL, &r->error) != KV8_OK) {
    kiln__cli_complain(r->self, "%s", r->error.message);
    return KILN__CLI_FAILED;
  }
  int result = KILN__CLI_OK;
  kv8_status status = kv8_isolate_new(&options, &r->isolate, &r->error);
  if (status == KV8_OK) {
    status = run_file(r, guessed);
    kv8_isolate_free(r->isolate);
  }
  if (status != KV8_OK) {
    print_error(r);
    result = KILN__CLI_FAILED;
  }
  kv8_engine_stop();
  return kiln__cli_finish(r->self, result);
}

enum { STORE = 1, NO_STORE, KIND, TIMEOUT, VERBOSE };
static const struct option options_list[] = {{"store", required_argument, NULL, STORE},
                                             {"no-store", no_argument, NULL, NO_STORE},
                                             {"kind", required_argument, NULL, KIND},
                                             {"timeout", required_argument, NULL, TIMEOUT},
                                             {"verbose", no_argument, NULL, VERBOSE},
                                             KILN__CLI_COMMON_OPTIONS,
                                             {NULL, 0, NULL, 0}};

/* Takes one option; -1: go on, else the exit status. */
static int take_option(run *r, int option, char **argv) {
  unsigned long number;
  switch (option) {
    case STORE:
      r->store_option = optarg;
      return -1;
    case NO_STORE:
      r->no_store = true;
      return -1;
    case KIND:
      if (kiln__cli_kind_parse(optarg, &r->kind) && r->kind != KILN__CLI_FUNCTION) return -1;
      return kiln__cli_misuse(r->self, "kind '%.80s': not script, module, commonjs or auto",
                              optarg);
    case TIMEOUT:
      if (!kiln__cli_number(optarg, 1, UINT_MAX, &number)) {
        return kiln__cli_misuse(r->self, "timeout '%.80s': not a number from 1 to %u", optarg,
                                UINT_MAX);
      }
      r->timeout_ms = (unsigned)number;
      return -1;
    case VERBOSE:
      r->verbose = true;
      return -1;
    default:
      return kiln__cli_common_option(r->self, option, argv);
  }
}

static const kiln__cli_command command = {.name = "run", .help = help};

int main(int argc, char **argv) {
  static run r; /* kv8_error and paths are big */
  int option;
  /* A reader that goes away shows as a failed write. */
  (void)signal(SIGPIPE, SIG_IGN);
  r = (run){.self = &command, .kind = KILN__CLI_AUTO};
  /* '+': what follows FILE is the script's. */
  while ((option = getopt_long(argc, argv, "+:", options_list, /* index= */ NULL)) != -1) {
    int status = take_option(&r, option, argv);
    if (status >= 0) return status;
  }
  if (optind == argc) return kiln__cli_misuse(&command, "no file");
  r.path = argv[optind];
  r.args = argv + optind + 1;
  r.cache = (kiln__run_cache){.self = &command, .verbose = r.verbose};
  int status = start(&r);
  kiln_bytes_unref(r.source);
  return status;
}
