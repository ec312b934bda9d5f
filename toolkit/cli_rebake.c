/* SPDX-License-Identifier: MIT
 *
 * cli_rebake.c: `kiln rebake`: bakes for a new engine what others have in the store.
 *
 * What is there for the new engine already is known from the list of keys alone, so that a run that
 * was killed goes on where it was: an entry is in the store for good before the next is counted.
 */
#include <getopt.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "toolkit/cli.h"
#include "toolkit/engines.h"
#include "toolkit/service.h"
#include "toolkit/status.h"

#define JOBS_MAX 256
#define DAYS_MAX 36500
#define DAYS_DEFAULT 30
#define DAY_MS 86400000LL
#define ENTRIES_MAX 10000000

/* ---- a set of digests ---------------------------------------------------------------- */

typedef struct digest_set {
  kcc_digest *slots; /* a power of two; all zero: free */
  size_t capacity;
  size_t count;
} digest_set;

static size_t slot_of(const digest_set *set, const kcc_digest *digest) {
  static const kcc_digest none;
  size_t at;
  memcpy(&at, digest->bytes, sizeof(at));
  for (at &= set->capacity - 1; memcmp(&set->slots[at], &none, sizeof(none)) != 0;
       at = (at + 1) & (set->capacity - 1)) {
    if (memcmp(&set->slots[at], digest, sizeof(*digest)) == 0) break;
  }
  return at;
}

static bool set_has(const digest_set *set, const kcc_digest *digest) {
  return set->count > 0 && memcmp(&set->slots[slot_of(set, digest)], digest, sizeof(*digest)) == 0;
}

static bool set_add(digest_set *set, const kcc_digest *digest) {
  if (2 * set->count >= set->capacity) {
    digest_set grown = {.capacity = set->capacity == 0 ? 1024 : 2 * set->capacity};
    grown.slots = calloc(grown.capacity, sizeof(*grown.slots));
    if (grown.slots == NULL) return false;
    for (size_t i = 0; i < set->capacity; i++) {
      static const kcc_digest none;
      if (memcmp(&set->slots[i], &none, sizeof(none)) != 0) {
        grown.slots[slot_of(&grown, &set->slots[i])] = set->slots[i];
      }
    }
    grown.count = set->count;
    free(set->slots);
    *set = grown;
  }
  size_t at = slot_of(set, digest);
  if (memcmp(&set->slots[at], digest, sizeof(*digest)) == 0) return true;
  set->slots[at] = *digest;
  set->count++;
  return true;
}

/* ---- what there is to do ------------------------------------------------------------- */

typedef struct candidate {
  kcc_digest key;
  bool has_source;
} candidate;

/* X(name, word in JSON). What became of an entry. */
#define STATES(X)           \
  X(BAKED, "baked")         \
  X(PRESENT, "present")     \
  X(DUPLICATE, "duplicate") \
  X(NOT_KEPT, "notKept")    \
  X(FAILED, "failed")
typedef enum state {
#define STATE_ENUM(name, word) name,
  STATES(STATE_ENUM)
#undef STATE_ENUM
      STATES_COUNT
} state;
static const char *const state_words[] = {
#define STATE_WORD(name, word) word,
    STATES(STATE_WORD)
#undef STATE_WORD
};

/* One that is being baked. */
typedef struct rebaking {
  struct rebake *r;
  struct rebaking *next;
  kcc_digest from;
  char key[KCC_HEX_BYTES]; /* what it is to have */
  char *name;
  state result;
  char message[512];
} rebaking;

typedef struct rebake {
  const kiln__cli_command *self;
  kiln *k;
  kcc_store *store; /* for reading, beside the kiln's own */
  kiln_engine_info engine;
  kcc_digest engine_id;
  kcc_fingerprint fingerprint;
  /* the command line */
  const char *store_option;
  const char *engines_option;
  const char *spec;
  const char *from[KILN_ENGINES_MAX];
  size_t from_count;
  unsigned days;
  unsigned jobs;
  unsigned timeout_ms;
  bool dry_run;
  bool json;
  /* the work */
  int64_t since_ms;
  bool from_seen;
  candidate *candidates;
  size_t count;
  size_t capacity;
  digest_set present;
  digest_set taken;
  bool no_memory;
  /* progress */
  size_t counts[STATES_COUNT];
  size_t finished;
  size_t flying;
  kiln__cli_bar bar;
  json_t *entries;
  /* from done functions to the main thread */
  pthread_mutex_t mutex;
  pthread_cond_t wake;
  rebaking *done;
} rebake;

static bool is_from(rebake *r, const kcc_entry_info *entry) {
  kiln_engine_info info = {0};
  if (r->from_count == 0) return true;
  info.node[0] = '?'; /* which it was is not known here: only its name counts */
  (void)snprintf(info.name, sizeof(info.name), "%s", entry->engine);
  kcc_digest_format(&entry->fingerprint_id, info.fingerprint);
  for (size_t i = 0; i < r->from_count; i++) {
    if (kiln__engines_match(kiln_span_from(r->from[i]), &info) != 0) return true;
  }
  return false;
}

static bool take_entry(void *user, const kcc_entry_info *entry) {
  rebake *r = user;
  if (memcmp(&entry->fingerprint_id, &r->engine_id, sizeof(r->engine_id)) == 0) {
    r->no_memory = !set_add(&r->present, &entry->key);
    return !r->no_memory;
  }
  if (!is_from(r, entry)) return true;
  r->from_seen = true;
  if (entry->used_unix_ms < r->since_ms || r->count == ENTRIES_MAX) return true;
  if (r->count == r->capacity) {
    size_t capacity = r->capacity == 0 ? 256 : 2 * r->capacity;
    candidate *grown = reallocarray(r->candidates, capacity, sizeof(*grown));
    r->no_memory = grown == NULL;
    if (grown == NULL) return false;
    r->candidates = grown;
    r->capacity = capacity;
  }
  r->candidates[r->count++] = (candidate){entry->key, entry->has_source};
  return true;
}

/* ---- one entry ----------------------------------------------------------------------- */

static void note(rebake *r, const kcc_digest *from, const char *key, const char *name, state result,
                 const char *message) {
  char hex[KCC_HEX_BYTES];
  r->counts[result]++;
  r->finished++;
  /* What is there already is only counted, or a resumed run would tell mostly of that. */
  if (result == PRESENT || result == DUPLICATE) return;
  kcc_digest_format(from, hex);
  if (r->json) {
    json_t *entry = json_pack("{s:s, s:s, s:s?, s:o}", "state",
                              r->dry_run && result == BAKED ? "missing" : state_words[result],
                              "from", hex, "key", key, "filename", kiln__cli_json_text(name));
    if (entry != NULL && message != NULL) {
      (void)json_object_set_new(entry, "reason", kiln__cli_json_text(message));
    }
    if (json_array_append_new(r->entries, entry) != 0) r->no_memory = true;
    return;
  }
  kiln__cli_bar_clear(&r->bar);
  if (message != NULL) {
    kiln__cli_complain(r->self, "%s (%.12s): %s", name, hex, message);
  } else {
    printf("%s  %s  %s\n", r->dry_run ? "missing" : "baked", key, name);
  }
}

/* On any thread, also in kiln_submit() on the main one. */
static void rebaked(void *user, const kiln_response *response) {
  rebaking *one = user;
  rebake *r = one->r;
  const char *why = NULL;
  one->result = FAILED;
  if (response->status != KILN_OK) {
    why = response->error.message;
  } else if (response->outcome != KILN_OUTCOME_OK) {
    why = response->message != NULL ? response->message : kiln_outcome_word(response->outcome);
  } else if (strcmp(response->key, one->key) != 0) {
    why = "got another key than it was to have";
  } else if (response->cache == KILN_CACHE_BYPASS) {
    why =
        response->error.message[0] != '\0' ? response->error.message : "the store did not take it";
  } else {
    one->result = response->cache == KILN_CACHE_MISS ? BAKED : PRESENT;
  }
  if (why != NULL) (void)snprintf(one->message, sizeof(one->message), "%s", why);
  (void)pthread_mutex_lock(&r->mutex);
  one->next = r->done;
  r->done = one;
  (void)pthread_cond_signal(&r->wake);
  (void)pthread_mutex_unlock(&r->mutex);
}

static void settle(rebaking *one) {
  note(one->r, &one->from, one->key, one->name, one->result,
       one->message[0] != '\0' ? one->message : NULL);
  free(one->name);
  free(one);
}

/* Takes back what is done; waits for something if `wait`. */
static void take_back(rebake *r, bool wait) {
  (void)pthread_mutex_lock(&r->mutex);
  while (wait && r->done == NULL) (void)pthread_cond_wait(&r->wake, &r->mutex);
  rebaking *done = r->done;
  r->done = NULL;
  (void)pthread_mutex_unlock(&r->mutex);
  while (done != NULL) {
    rebaking *one = done;
    done = one->next;
    r->flying--;
    settle(one);
  }
}

/* A text that was kept; NULL: it was not, or is damaged. */
static kiln_bytes *kept_text(rebake *r, const kcc_digest *digest) {
  kcc_entry entry;
  if (kcc_store_get_source(r->store, digest, &entry, /* err= */ NULL) != KCC_OK) return NULL;
  kiln_bytes *bytes = kiln_bytes_new(entry.blob.data, entry.blob.length);
  if (bytes == NULL) r->no_memory = true;
  kcc_entry_free(&entry);
  return bytes;
}

static kiln_status submit(rebake *r, const kcc_key_parts *parts, rebaking *one, kiln_bytes *source,
                          kiln_bytes *workload, kiln_error *err) {
  kiln_span *params = calloc(parts->params_count + 1, sizeof(*params));
  if (params == NULL) return kiln__fail(err, KILN_ENOMEM, NULL, "out of memory");
  for (size_t i = 0; i < parts->params_count; i++) {
    params[i] = (kiln_span){parts->params[i].data, parts->params[i].length};
  }
  kiln_request request = {.op = KILN_COMPILE,
                          .kind = (kiln_kind)parts->kind,
                          .source = source,
                          .filename = {parts->filename.data, parts->filename.length},
                          .line_offset = parts->line_offset,
                          .column_offset = parts->column_offset,
                          .params = params,
                          .params_count = parts->params_count,
                          .mode = (kiln_mode)parts->mode,
                          .workload = workload,
                          .timeout_ms = r->timeout_ms};
  r->flying++;
  kiln_status status = kiln_submit(r->k, &request, rebaked, one, err);
  if (status != KILN_OK) r->flying--;
  free(params);
  return status;
}

/* Bakes what these parts are for the new engine. */
static void bake(rebake *r, const candidate *from, const kcc_key_parts *parts, const char *key,
                 const char *name) {
  kiln_bytes *workload = NULL;
  kiln_bytes *source = from->has_source ? kept_text(r, &parts->source) : NULL;
  kiln_error error;
  if (source != NULL && parts->mode == KCC_WORKLOAD) workload = kept_text(r, &parts->workload);
  if (source == NULL) {
    note(r, &from->key, key, name, NOT_KEPT, "its source was not kept");
  } else if (parts->mode == KCC_WORKLOAD && workload == NULL) {
    note(r, &from->key, key, name, NOT_KEPT,
         "its workload was not kept, or was a program that ran: see precompile --exercise");
  } else if (r->dry_run) {
    note(r, &from->key, key, name, BAKED, /* message= */ NULL);
  } else {
    rebaking *one = calloc(1, sizeof(*one));
    if (one != NULL) one->name = strdup(name);
    if (one == NULL || one->name == NULL) {
      r->no_memory = true;
      free(one);
    } else {
      one->r = r;
      one->from = from->key;
      memcpy(one->key, key, sizeof(one->key));
      if (submit(r, parts, one, source, workload, &error) != KILN_OK) {
        one->result = FAILED;
        (void)snprintf(one->message, sizeof(one->message), "%s", error.message);
        settle(one);
      }
    }
  }
  kiln_bytes_unref(source);
  kiln_bytes_unref(workload);
}

static void consider(rebake *r, const candidate *from) {
  kcc_entry_parts parts = {0};
  kcc_error error;
  kcc_digest key;
  char hex[KCC_HEX_BYTES];
  kcc_status status = kcc_store_get_parts(r->store, &from->key, &parts, &error);
  if (status != KCC_OK) {
    note(r, &from->key, /* key= */ NULL, "?", status == KCC_MISS ? NOT_KEPT : FAILED,
         status == KCC_MISS ? "what its key was made of was not kept, or it is gone"
                            : error.message);
    return;
  }
  char *name = strndup(parts.parts.filename.length > 0 ? parts.parts.filename.data : "-",
                       parts.parts.filename.length > 0 ? parts.parts.filename.length : 1);
  kcc_key_parts wanted = parts.parts;
  wanted.fingerprint = r->fingerprint;
  if (name == NULL || kcc_key_of(&wanted, &key, /* err= */ NULL) != KCC_OK) {
    r->no_memory = true;
  } else {
    kcc_digest_format(&key, hex);
    if (set_has(&r->present, &key)) {
      note(r, &from->key, hex, name, PRESENT, /* message= */ NULL);
    } else if (set_has(&r->taken, &key)) {
      note(r, &from->key, hex, name, DUPLICATE, /* message= */ NULL);
    } else if (wanted.context_extensions_count > 0 || wanted.origin_options != 0) {
      note(r, &from->key, hex, name, FAILED, "has context extensions, which cannot be baked here");
    } else {
      r->no_memory = !set_add(&r->taken, &key);
      bake(r, from, &wanted, hex, name);
    }
  }
  free(name);
  kcc_entry_parts_free(&parts);
}

/* ---- all ----------------------------------------------------------------------------- */

static void perform(rebake *r) {
  size_t window = 2 * (size_t)r->jobs + 2;
  for (size_t i = 0; i < r->count && !r->no_memory; i++) {
    while (r->flying >= window) take_back(r, /* wait= */ true);
    consider(r, &r->candidates[i]);
    take_back(r, /* wait= */ false);
    kiln__cli_bar_draw(&r->bar, r->finished, r->count, r->counts[FAILED]);
  }
  while (r->flying > 0) {
    take_back(r, /* wait= */ true);
    kiln__cli_bar_draw(&r->bar, r->finished, r->count, r->counts[FAILED]);
  }
  kiln__cli_bar_clear(&r->bar);
}

static int report(rebake *r, uint64_t started_ns) {
  double elapsed_ms = (double)(kiln__now_ns() - started_ns) / 1e6;
  bool good = r->counts[FAILED] == 0 && r->counts[NOT_KEPT] == 0;
  kiln_stats stats = {0};
  (void)kiln_get_stats(r->k, &stats, /* err= */ NULL);
  if (r->json) {
    json_t *entries = r->entries;
    r->entries = NULL;
    json_t *summary = json_pack("{s:I, s:I, s:f}", "selected", (json_int_t)r->count, "storePuts",
                                (json_int_t)stats.store_puts, "elapsedMs", elapsed_ms);
    for (size_t i = 0; summary != NULL && i < STATES_COUNT; i++) {
      const char *word = r->dry_run && i == BAKED ? "missing" : state_words[i];
      (void)json_object_set_new(summary, word, json_integer((json_int_t)r->counts[i]));
    }
    int printed = kiln__cli_print_json(
        r->self, json_pack("{s:o, s:b, s:i, s:o, s:o}", "engine", kiln__cli_engine_json(&r->engine),
                           "dryRun", (int)r->dry_run, "days", (int)r->days, "entries", entries,
                           "summary", summary));
    return good ? printed : KILN__CLI_FAILED;
  }
  fprintf(stderr, "%zu entries: %zu %s for %s, %zu there already", r->count, r->counts[BAKED],
          r->dry_run ? "to be baked" : "baked", r->engine.name,
          r->counts[PRESENT] + r->counts[DUPLICATE]);
  if (r->counts[NOT_KEPT] > 0) fprintf(stderr, ", %zu not kept", r->counts[NOT_KEPT]);
  if (r->counts[FAILED] > 0) fprintf(stderr, ", %zu failed", r->counts[FAILED]);
  fprintf(stderr, ": %.0f ms\n", elapsed_ms);
  return kiln__cli_finish(r->self, good ? KILN__CLI_OK : KILN__CLI_FAILED);
}

/* Lends the strings of r->engine. */
static bool introduce(rebake *r) {
  (void)kiln_get_engine(r->k, 0, &r->engine, /* err= */ NULL);
  r->fingerprint = (kcc_fingerprint){.engine = r->engine.name,
                                     .v8_version = r->engine.v8_version,
                                     .cached_data_tag = r->engine.cached_data_tag,
                                     .flags = r->engine.flags,
                                     .build_id = r->engine.build_id,
                                     .arch = r->engine.arch};
  return kcc_fingerprint_id(&r->fingerprint, &r->engine_id, /* err= */ NULL) == KCC_OK;
}

static int rebake_store(rebake *r, const char *path) {
  kcc_store_options options = KCC_STORE_OPTIONS_INIT;
  kcc_error error;
  struct timespec now;
  uint64_t started_ns = kiln__now_ns();
  (void)clock_gettime(CLOCK_REALTIME, &now);
  r->since_ms = (int64_t)now.tv_sec * 1000 - (int64_t)r->days * DAY_MS;
  options.read_only = true;
  if (kcc_store_open(path, &options, &r->store, &error) != KCC_OK ||
      kcc_store_list(r->store, take_entry, r, &error) != KCC_OK) {
    kiln__cli_complain(r->self, "%s", error.message);
    return KILN__CLI_FAILED;
  }
  if (r->from_count > 0 && !r->from_seen) {
    kiln__cli_complain(r->self, "from '%.80s': the store has no entry of such an engine",
                       r->from[0]);
    return KILN__CLI_FAILED;
  }
  if (!r->no_memory) perform(r);
  if (r->no_memory) {
    kiln__cli_complain(r->self, "out of memory");
    return KILN__CLI_FAILED;
  }
  return report(r, started_ns);
}

/* ---- the command line ---------------------------------------------------------------- */

static const char help[] =
    "Usage: kiln rebake --engine ENGINE [OPTIONS]\n"
    "\n"
    "Bakes for an engine what the store has for others: everything of them that was used in\n"
    "the last days, from the sources that the store kept, with the same kind, mode, name,\n"
    "offsets, parameters and workload. What is there for the engine already is left alone: a\n"
    "run that was interrupted, even killed, goes on where it was when it is started again.\n"
    "Entries whose source was not kept are listed. Exit status 0: all of it is there now.\n"
    "\n"
    "Options:\n"
    "  --engine ENGINE  bake for this engine\n"
    "  --from ENGINE    what this engine has; may be given more than once. Default: all others\n"
    "  --days N         used in the last N days; default: 30\n"
    "  --dry-run        only tell what would be baked\n"
    "  --store DIR      the store\n"
    "  --engines-dir DIR  where engines are registered\n"
    "  --jobs N         engine processes at once; default: the number of cores\n"
    "  --timeout MS     for each entry; default: 60000\n"
    "  --json           report in JSON\n"
    "  --help           print this\n"
    "  --version        print the version\n";

static int open_and_rebake(rebake *r) {
  char path[PATH_MAX];
  kiln_error error;
  if (!kiln__cli_store_path(r->self, r->store_option, path, sizeof(path))) return KILN__CLI_FAILED;
  if (access(path, F_OK) != 0) {
    kiln__cli_complain(r->self, "store '%s': there is none", path);
    return KILN__CLI_FAILED;
  }
  kiln__cli_opening opening = {.store_path = path,
                               .engines_option = r->engines_option,
                               .specs = &r->spec,
                               .specs_count = 1,
                               .jobs = r->jobs};
  if (kiln__cli_open(&opening, &r->k, &error) != KILN_OK) {
    kiln__cli_complain(r->self, "%s", error.message);
    return KILN__CLI_FAILED;
  }
  int status = KILN__CLI_FAILED;
  if (introduce(r)) {
    status = rebake_store(r, path);
  } else {
    kiln__cli_complain(r->self, "out of memory");
  }
  kcc_store_close(r->store);
  kiln_close(r->k, /* drain_ms= */ 0);
  return status;
}

enum { ENGINE = 1, FROM, DAYS, DRY_RUN, STORE, ENGINES_DIR, JOBS, TIMEOUT, JSON };
static const struct option options[] = {{"engine", required_argument, NULL, ENGINE},
                                        {"from", required_argument, NULL, FROM},
                                        {"days", required_argument, NULL, DAYS},
                                        {"dry-run", no_argument, NULL, DRY_RUN},
                                        {"store", required_argument, NULL, STORE},
                                        {"engines-dir", required_argument, NULL, ENGINES_DIR},
                                        {"jobs", required_argument, NULL, JOBS},
                                        {"timeout", required_argument, NULL, TIMEOUT},
                                        {"json", no_argument, NULL, JSON},
                                        KILN__CLI_COMMON_OPTIONS,
                                        {NULL, 0, NULL, 0}};

static int take_number(const rebake *r, const char *name, unsigned long max, unsigned *ret_number) {
  unsigned long number;
  if (!kiln__cli_number(optarg, 1, max, &number)) {
    return kiln__cli_misuse(r->self, "%s '%.80s': not a number from 1 to %lu", name, optarg, max);
  }
  *ret_number = (unsigned)number;
  return -1;
}

static int take_option(rebake *r, int option, char **argv) {
  switch (option) {
    case ENGINE:
      r->spec = optarg;
      return -1;
    case FROM:
      if (r->from_count == KILN_ENGINES_MAX) {
        return kiln__cli_misuse(r->self, "more than %d engines", KILN_ENGINES_MAX);
      }
      r->from[r->from_count++] = optarg;
      return -1;
    case DAYS:
      return take_number(r, "days", DAYS_MAX, &r->days);
    case DRY_RUN:
      r->dry_run = true;
      return -1;
    case STORE:
      r->store_option = optarg;
      return -1;
    case ENGINES_DIR:
      r->engines_option = optarg;
      return -1;
    case JOBS:
      return take_number(r, "jobs", JOBS_MAX, &r->jobs);
    case TIMEOUT:
      return take_number(r, "timeout", KILN__CLI_TIMEOUT_MAX, &r->timeout_ms);
    case JSON:
      r->json = true;
      return -1;
    default:
      return kiln__cli_common_option(r->self, option, argv);
  }
}

static int parse_and_run(rebake *r, int argc, char **argv) {
  int option;
  while ((option = getopt_long(argc, argv, ":", options, /* index= */ NULL)) != -1) {
    int status = take_option(r, option, argv);
    if (status >= 0) return status;
  }
  if (optind < argc) return kiln__cli_misuse(r->self, "takes no arguments");
  if (r->spec == NULL) return kiln__cli_misuse(r->self, "for which --engine?");
  if (r->jobs == 0) {
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    r->jobs = cores > JOBS_MAX ? JOBS_MAX : cores > 0 ? (unsigned)cores : 1;
  }
  r->bar.shown = isatty(STDERR_FILENO) == 1;
  r->entries = json_array();
  if (r->entries != NULL) return open_and_rebake(r);
  kiln__cli_complain(r->self, "out of memory");
  return KILN__CLI_FAILED;
}

static int exec(const kiln__cli_command *self, int argc, char **argv) {
  rebake r = {.self = self, .days = DAYS_DEFAULT, .timeout_ms = 60000};
  (void)pthread_mutex_init(&r.mutex, /* attributes= */ NULL);
  (void)pthread_cond_init(&r.wake, /* attributes= */ NULL);
  int status = parse_and_run(&r, argc, argv);
  json_decref(r.entries);
  free(r.candidates);
  free(r.present.slots);
  free(r.taken.slots);
  (void)pthread_cond_destroy(&r.wake);
  (void)pthread_mutex_destroy(&r.mutex);
  return status;
}

const kiln__cli_command kiln__cli_rebake = {.name = "rebake",
                                            .summary = "bake what others have for a new engine",
                                            .help = help,
                                            .exec = exec};
