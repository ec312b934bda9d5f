/* SPDX-License-Identifier: MIT
 *
 * cli_cache.c: `kiln cache`: looks into a store and tidies it. It needs no engine.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "toolkit/cli.h"

static const char help[] =
    "Usage: kiln cache stats      [OPTIONS]\n"
    "       kiln cache ls         [OPTIONS]\n"
    "       kiln cache get        [OPTIONS] KEY\n"
    "       kiln cache rm         [OPTIONS] KEY...\n"
    "       kiln cache verify     [OPTIONS]\n"
    "       kiln cache quarantine [OPTIONS]\n"
    "\n"
    "stats prints how much is in the store, ls its entries with the last used first. get writes\n"
    "an entry's bytes, rm removes entries. verify reads and checks every entry and the database;\n"
    "damaged entries go to quarantine, and the exit status is then 1. quarantine lists what is\n"
    "there, the newest first: when it was moved there, what it is, its key, its bytes, why, and\n"
    "its name. Nothing of it is ever used again.\n"
    "\n"
    "Options:\n"
    "  --store DIR    the store\n"
    "  -o FILE        get: write to FILE instead of standard output\n"
    "  --output FILE  the same\n"
    "  --json         stats, ls, verify, quarantine: print JSON\n"
    "  --help         print this\n"
    "  --version      print the version\n";

typedef struct cache_args {
  const kiln__cli_command *self;
  kcc_store *store;
  const char *store_path;
  const char *output;
  bool json;
  char **keys;
  int keys_count;
} cache_args;

static int complain_store(const cache_args *args, const kcc_error *error) {
  kiln__cli_complain(args->self, "%s", error->message);
  return KILN__CLI_FAILED;
}

/* ---- stats --------------------------------------------------------------------------- */

static int cache_stats(const cache_args *args) {
  kcc_stats stats;
  kcc_error error;
  if (kcc_store_stats(args->store, &stats, &error) != KCC_OK) return complain_store(args, &error);
  if (args->json) {
    return kiln__cli_print_json(
        args->self, json_pack("{s:I, s:I, s:I, s:I, s:I}", "entries", (json_int_t)stats.entries,
                              "blobBytes", (json_int_t)stats.blob_bytes, "quarantined",
                              (json_int_t)stats.quarantined, "sources", (json_int_t)stats.sources,
                              "sourceBytes", (json_int_t)stats.source_bytes));
  }
  printf("entries      %" PRIu64 "\nblob bytes   %" PRIu64 "\nquarantined  %" PRIu64
         "\nsources      %" PRIu64 "\nsource bytes %" PRIu64 "\n",
         stats.entries, stats.blob_bytes, stats.quarantined, stats.sources, stats.source_bytes);
  return kiln__cli_finish(args->self, KILN__CLI_OK);
}

/* ---- ls, quarantine ------------------------------------------------------------------ */

typedef struct listing {
  bool json;
  bool failed;
  json_t *entries;
} listing;

/* A name is whatever somebody called his file, or what damage made of it: nothing a terminal would
 * obey. */
static void print_name(const char *name) {
  for (; *name != '\0'; name++) {
    unsigned char c = (unsigned char)*name;
    (void)putchar(c < 0x20 || c == 0x7f ? '?' : c);
  }
  (void)putchar('\n');
}

static void format_time(int64_t unix_ms, char ret_text[32]) {
  struct tm parts;
  time_t seconds = (time_t)(unix_ms / 1000);
  if (gmtime_r(&seconds, &parts) == NULL ||
      strftime(ret_text, 32, "%Y-%m-%dT%H:%M:%SZ", &parts) == 0) {
    memcpy(ret_text, "-", 2);
  }
}

static bool is_zero(const kcc_digest *digest) {
  static const kcc_digest none;
  return memcmp(digest, &none, sizeof(none)) == 0;
}

static json_t *entry_json(const kcc_entry_info *info) {
  char key[KCC_HEX_BYTES], source[KCC_HEX_BYTES], fingerprint[KCC_HEX_BYTES];
  kcc_digest_format(&info->key, key);
  kcc_digest_format(&info->source, source);
  kcc_digest_format(&info->fingerprint_id, fingerprint);
  if (is_zero(&info->fingerprint_id)) fingerprint[0] = '\0'; /* of an older store: not kept */
  return json_pack(
      "{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:o, s:i, s:i, s:s, s:I, s:b, s:I, s:I, s:I}", "key",
      key, "engine", info->engine, "v8Version", info->v8_version, "buildId", info->build_id,
      "fingerprint", fingerprint, "kind", kcc_kind_name(info->kind), "mode",
      kcc_mode_name(info->mode), "filename", kiln__cli_json_text(info->filename), "lineOffset",
      (int)info->line_offset, "columnOffset", (int)info->column_offset, "sourceSha256", source,
      "sourceBytes", (json_int_t)info->source_length, "sourceKept", (int)info->has_source,
      "blobBytes", (json_int_t)info->blob_length, "createdMs", (json_int_t)info->created_unix_ms,
      "usedMs", (json_int_t)info->used_unix_ms);
}

static bool list_entry(void *user, const kcc_entry_info *info) {
  listing *list = user;
  if (list->json) {
    list->failed = json_array_append_new(list->entries, entry_json(info)) != 0;
    return !list->failed;
  }
  char key[KCC_HEX_BYTES], used[32];
  kcc_digest_format(&info->key, key);
  format_time(info->used_unix_ms, used);
  printf("%s  %-12s  %-8s  %-8s  %9" PRIu64 "%s  %9" PRIu64 "  %s  ", key, info->engine,
         kcc_kind_name(info->kind), kcc_mode_name(info->mode), info->source_length,
         info->has_source ? "+" : " ", info->blob_length, used);
  print_name(info->filename);
  return true;
}

static int finish_list(const cache_args *args, listing *list, kcc_status status,
                       const kcc_error *error) {
  if (status != KCC_OK) {
    json_decref(list->entries);
    return complain_store(args, error);
  }
  if (!args->json) return kiln__cli_finish(args->self, KILN__CLI_OK);
  if (list->failed) {
    json_decref(list->entries);
    list->entries = NULL;
  }
  return kiln__cli_print_json(args->self, list->entries);
}

static int cache_ls(const cache_args *args) {
  listing list = {.json = args->json};
  kcc_error error;
  if (args->json) list.entries = json_array();
  kcc_status status = kcc_store_list(args->store, list_entry, &list, &error);
  return finish_list(args, &list, status, &error);
}

static bool list_quarantined(void *user, const kcc_quarantined *item) {
  listing *list = user;
  char key[KCC_HEX_BYTES] = "-", moved[32];
  bool known = !is_zero(&item->key);
  if (known) kcc_digest_format(&item->key, key);
  if (list->json) {
    json_t *json =
        json_pack("{s:I, s:I, s:o, s:s*, s:o, s:o, s:I}", "id", (json_int_t)item->id, "movedMs",
                  (json_int_t)item->moved_unix_ms, "what", kiln__cli_json_text(item->what), "key",
                  known ? key : NULL, "reason", kiln__cli_json_text(item->reason), "name",
                  kiln__cli_json_text(item->name), "bytes", (json_int_t)item->bytes);
    list->failed = json_array_append_new(list->entries, json) != 0;
    return !list->failed;
  }
  format_time(item->moved_unix_ms, moved);
  printf("%s  %-11s  %-64s  %9" PRIu64 "  %s  ", moved, item->what, key, item->bytes, item->reason);
  print_name(item->name[0] != '\0' ? item->name : "-");
  return true;
}

static int cache_quarantine(const cache_args *args) {
  listing list = {.json = args->json};
  kcc_error error;
  if (args->json) list.entries = json_array();
  kcc_status status = kcc_store_list_quarantine(args->store, list_quarantined, &list, &error);
  return finish_list(args, &list, status, &error);
}

/* ---- get, rm ------------------------------------------------------------------------- */

static bool parse_key(const cache_args *args, const char *text, kcc_digest *ret_key) {
  if (kcc_digest_parse(text, strlen(text), ret_key)) return true;
  (void)kiln__cli_misuse(args->self, "key '%.80s': not 64 hex digits", text);
  return false;
}

static int write_blob(const cache_args *args, kcc_span blob) {
  if (args->output == NULL) {
    (void)fwrite(blob.data, 1, blob.length, stdout);
    return kiln__cli_finish(args->self, KILN__CLI_OK);
  }
  FILE *file = fopen(args->output, "we");
  if (file != NULL) {
    bool good = fwrite(blob.data, 1, blob.length, file) == blob.length;
    if (fclose(file) == 0 && good) return KILN__CLI_OK;
  }
  kiln__cli_complain(args->self, "'%s': %s", args->output, strerror(errno));
  return KILN__CLI_FAILED;
}

static int cache_get(const cache_args *args) {
  kcc_digest key;
  kcc_entry entry;
  kcc_error error;
  if (!parse_key(args, args->keys[0], &key)) return KILN__CLI_USAGE;
  kcc_status status = kcc_store_get(args->store, &key, /* fingerprint= */ NULL, &entry, &error);
  if (status == KCC_MISS) {
    kiln__cli_complain(args->self, "key '%s': not in the store", args->keys[0]);
    return KILN__CLI_FAILED;
  }
  if (status != KCC_OK) return complain_store(args, &error);
  int result = write_blob(args, entry.blob);
  kcc_entry_free(&entry);
  return result;
}

static int cache_rm(const cache_args *args) {
  int result = KILN__CLI_OK;
  kcc_digest key;
  kcc_error error;
  for (int i = 0; i < args->keys_count; i++) {
    if (!parse_key(args, args->keys[i], &key)) return KILN__CLI_USAGE;
  }
  for (int i = 0; i < args->keys_count; i++) {
    (void)kcc_digest_parse(args->keys[i], strlen(args->keys[i]), &key);
    kcc_status status = kcc_store_remove(args->store, &key, &error);
    if (status == KCC_MISS) {
      kiln__cli_complain(args->self, "key '%s': not in the store", args->keys[i]);
      result = KILN__CLI_FAILED;
    } else if (status != KCC_OK) {
      return complain_store(args, &error);
    }
  }
  return result;
}

/* ---- verify -------------------------------------------------------------------------- */

static bool note_damaged(void *user, const kcc_entry_info *info) {
  const cache_args *args = user;
  const kcc_digest *digest = &info->key;
  const char *what = "key";
  char hex[KCC_HEX_BYTES];
  if (is_zero(digest)) {
    what = "source";
    digest = &info->source;
  }
  if (is_zero(digest)) {
    what = "fingerprint";
    digest = &info->fingerprint_id;
  }
  if (is_zero(digest)) {
    kiln__cli_complain(args->self, "an entry whose key cannot be read: damaged");
    return true;
  }
  kcc_digest_format(digest, hex);
  kiln__cli_complain(args->self, "%s '%s': damaged", what, hex);
  return true;
}

static int cache_verify(const cache_args *args) {
  kcc_verify_result result;
  kcc_error error;
  cache_args user = *args;
  if (kcc_store_verify(args->store, note_damaged, &user, &result, &error) != KCC_OK) {
    return complain_store(args, &error);
  }
  int printed;
  if (args->json) {
    printed = kiln__cli_print_json(
        args->self, json_pack("{s:I, s:I, s:b}", "checked", (json_int_t)result.checked, "damaged",
                              (json_int_t)result.damaged, "databaseOk", (int)result.database_ok));
  } else {
    printf("%" PRIu64 " checked, %" PRIu64 " damaged, database %s\n", result.checked,
           result.damaged, result.database_ok ? "ok" : "damaged");
    printed = kiln__cli_finish(args->self, KILN__CLI_OK);
  }
  if (!result.database_ok) {
    kiln__cli_complain(args->self,
                       "database '%s/kiln.db': damaged; move it and its -wal and -shm away, and a "
                       "new one is made",
                       args->store_path);
  }
  return result.damaged > 0 || !result.database_ok ? KILN__CLI_FAILED : printed;
}

/* ---- the command line ---------------------------------------------------------------- */

typedef struct action {
  const char *name;
  int keys_min;
  int keys_max;
  bool reads_only;
  bool has_json;
  bool has_output;
  int (*run)(const cache_args *args);
} action;

static const action actions[] = {
    {"stats", 0, 0, .reads_only = true, .has_json = true, .run = cache_stats},
    {"ls", 0, 0, .reads_only = true, .has_json = true, .run = cache_ls},
    {"get", 1, 1, .reads_only = true, .has_output = true, .run = cache_get},
    {"rm", 1, INT_MAX, .run = cache_rm},
    {"verify", 0, 0, .has_json = true, .run = cache_verify},
    {"quarantine", 0, 0, .reads_only = true, .has_json = true, .run = cache_quarantine},
};

static const action *find_action(const char *name) {
  for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++) {
    if (strcmp(actions[i].name, name) == 0) return &actions[i];
  }
  return NULL;
}

static int perform(cache_args *args, const action *what, const char *store_option) {
  char path[PATH_MAX];
  kcc_store_options options = KCC_STORE_OPTIONS_INIT;
  kcc_error error;
  if (!kiln__cli_store_path(args->self, store_option, path, sizeof(path))) return KILN__CLI_FAILED;
  options.read_only = what->reads_only;
  /* None of these is to make a store where there was none. */
  if (access(path, F_OK) != 0) {
    kiln__cli_complain(args->self, "store '%s': %s", path, strerror(errno));
    return KILN__CLI_FAILED;
  }
  kcc_status opened = kcc_store_open(path, &options, &args->store, &error);
  if (opened == KCC_EREADONLY && options.read_only) { /* of an older version: bring it up to date */
    options.read_only = false;
    opened = kcc_store_open(path, &options, &args->store, &error);
  }
  if (opened != KCC_OK) return complain_store(args, &error);
  args->store_path = path;
  int status = what->run(args);
  kcc_store_close(args->store);
  return status;
}

static int exec(const kiln__cli_command *self, int argc, char **argv) {
  enum { STORE = 1, JSON };
  static const struct option options[] = {{"store", required_argument, NULL, STORE},
                                          {"output", required_argument, NULL, 'o'},
                                          {"json", no_argument, NULL, JSON},
                                          KILN__CLI_COMMON_OPTIONS,
                                          {NULL, 0, NULL, 0}};
  cache_args args = {.self = self};
  const char *store_option = NULL;
  int option;
  while ((option = getopt_long(argc, argv, ":o:", options, /* index= */ NULL)) != -1) {
    int status = kiln__cli_common_option(self, option, argv);
    if (status >= 0) return status;
    if (option == STORE) store_option = optarg;
    if (option == 'o') args.output = optarg;
    if (option == JSON) args.json = true;
  }
  if (optind == argc)
    return kiln__cli_misuse(self, "which of stats, ls, get, rm, verify, quarantine?");
  const action *what = find_action(argv[optind]);
  if (what == NULL) return kiln__cli_misuse(self, "'%.80s': unknown", argv[optind]);
  args.keys = argv + optind + 1;
  args.keys_count = argc - optind - 1;
  if (args.keys_count < what->keys_min) return kiln__cli_misuse(self, "%s: no key", what->name);
  if (args.keys_count > what->keys_max) {
    return kiln__cli_misuse(self, "%s: too many arguments", what->name);
  }
  if (args.json && !what->has_json) return kiln__cli_misuse(self, "%s: has no --json", what->name);
  if (args.output != NULL && !what->has_output) {
    return kiln__cli_misuse(self, "%s: has no --output", what->name);
  }
  return perform(&args, what, store_option);
}

const kiln__cli_command kiln__cli_cache = {
    .name = "cache", .summary = "look into the store and tidy it", .help = help, .exec = exec};
