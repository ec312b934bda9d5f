/* SPDX-License-Identifier: MIT
 *
 * cli_exercise.c: `kiln precompile --exercise`: runs a program on an engine's own node, with Kiln's
 * loader recording what V8 had compiled of each file when the program ended.
 *
 * The program is trusted like everything that is started by typing its name; what it recorded is
 * not more than a claim: each blob is checked here, by its size and digest when it is read, and by
 * an engine before the store takes it.
 */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "toolkit/cli_child.h"
#include "toolkit/cli_precompile.h"
#include "toolkit/job.h"
#include "toolkit/service.h"

/* Of one run: lines that tell of a file, and the bytes of all these lines. */
#define RECORDS_MAX 65536
#define RECORD_BYTES_MAX ((uint64_t)64 << 20)
#define OUTPUT_SHOWN_MAX ((size_t)64 << 10)

typedef struct run {
  kiln__baking *baking;
  size_t engine;
  size_t exercise;
  kiln__source **by_name; /* all sources, ordered by their absolute names */
  const char *folder;     /* of this run's recordings */
  size_t records;
} run;

static const char *engine_prefix(const run *r, char ret_prefix[40]) {
  kiln__item item = {.baking = r->baking, .engine = r->engine};
  return kiln__item_prefix(&item, ret_prefix);
}

/* ---- what was recorded --------------------------------------------------------------- */

static int by_absolute(const void *a, const void *b) {
  const kiln__source *x = *(kiln__source *const *)a, *y = *(kiln__source *const *)b;
  return strcmp(x->file->absolute, y->file->absolute);
}

static int compare_name(const void *name, const void *element) {
  const kiln__source *source = *(kiln__source *const *)element;
  return strcmp(name, source->file->absolute);
}

static const char *hex_of(const json_t *record, const char *name) {
  kcc_digest digest;
  const char *hex = json_string_value(json_object_get(record, name));
  if (hex == NULL || !kcc_digest_parse(hex, strlen(hex), &digest)) return NULL;
  return hex;
}

/* Takes one claim, if it is of one of the files, by this engine, and can be true. */
static void take_record(run *r, const json_t *record) {
  kiln__baking *baking = r->baking;
  kiln__cli_kind kind;
  const char *file = json_string_value(json_object_get(record, "file"));
  const char *kind_name = json_string_value(json_object_get(record, "kind"));
  const char *blob = json_string_value(json_object_get(record, "blob"));
  const char *build_id = json_string_value(json_object_get(record, "buildId"));
  const char *source_sha256 = hex_of(record, "sourceSha256");
  const char *blob_sha256 = hex_of(record, "blobSha256");
  json_int_t bytes = json_integer_value(json_object_get(record, "blobBytes"));
  if (file == NULL || kind_name == NULL || blob == NULL || build_id == NULL ||
      source_sha256 == NULL || blob_sha256 == NULL || bytes <= 0 ||
      (uint64_t)bytes > KILN_BLOB_MAX || *blob == '.' || strchr(blob, '/') != NULL ||
      !kiln__cli_kind_parse(kind_name, &kind) ||
      (kind != KILN__CLI_WRAPPER && kind != KILN__CLI_MODULE && kind != KILN__CLI_COMMONJS) ||
      strcmp(build_id, baking->engines[r->engine].build_id) != 0) {
    return;
  }
  kiln__source *const *source =
      bsearch(file, (void *)r->by_name, baking->files.count, sizeof(*r->by_name), compare_name);
  if (source == NULL) return;
  kiln__item *item =
      &baking->items[(size_t)(*source - baking->sources) * baking->engines_count + r->engine];
  /* Of several runs the one that had compiled most of it. */
  if (item->recorded != NULL && item->recorded->blob_bytes >= (uint64_t)bytes) return;
  size_t size = strlen(r->folder) + strlen(blob) + 2;
  kiln__recorded *recorded = calloc(1, sizeof(*recorded) + size);
  if (recorded == NULL) return;
  recorded->kind = kind;
  recorded->exercise = r->exercise;
  recorded->blob_bytes = (uint64_t)bytes;
  memcpy(recorded->source_sha256, source_sha256, KCC_HEX_BYTES);
  memcpy(recorded->blob_sha256, blob_sha256, KCC_HEX_BYTES);
  (void)snprintf(recorded->path, size, "%s/%s", r->folder, blob);
  free(item->recorded);
  item->recorded = recorded;
}

/* A file of claims, one JSON object per line. */
static void take_records(run *r, const char *path) {
  kiln_bytes *bytes;
  struct stat file;
  if (lstat(path, &file) != 0 || !S_ISREG(file.st_mode) ||
      (uint64_t)file.st_size > RECORD_BYTES_MAX) {
    return;
  }
  if (kiln__cli_read(path, &bytes, /* err= */ NULL) != KILN_OK) return;
  kiln_span text = kiln_bytes_get(bytes);
  while (text.length > 0 && r->records < RECORDS_MAX) {
    const char *newline = memchr(text.data, '\n', text.length);
    size_t length = newline == NULL ? text.length : (size_t)(newline - text.data);
    json_t *record = json_loadb(text.data, length, JSON_REJECT_DUPLICATES, /* error= */ NULL);
    if (record != NULL) {
      r->records++;
      take_record(r, record);
    }
    json_decref(record);
    length += newline != NULL;
    text = (kiln_span){text.data + length, text.length - length};
  }
  kiln_bytes_unref(bytes);
}

static void take_folder(run *r) {
  DIR *list = opendir(r->folder);
  if (list == NULL) return;
  const struct dirent *entry;
  while ((entry = readdir(list)) != NULL) {
    char path[PATH_MAX];
    const char *ending = strrchr(entry->d_name, '.');
    if (ending == NULL || strcmp(ending, ".json") != 0) continue;
    int length = snprintf(path, sizeof(path), "%s/%s", r->folder, entry->d_name);
    if (length > 0 && (size_t)length < sizeof(path)) take_records(r, path);
  }
  (void)closedir(list);
}

/* ---- a run --------------------------------------------------------------------------- */

/* Whether a setting of the environment would change what V8 compiles, or what the loader does. */
static bool is_left_out(const char *setting) {
  static const char *const names[] = {"KILN_",
                                      "NODE_OPTIONS=", "NODE_COMPILE_CACHE=", "NODE_V8_COVERAGE="};
  for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
    if (strncmp(setting, names[i], strlen(names[i])) == 0) return true;
  }
  return false;
}

/* The environment for a program. To be freed, not its texts. */
static char **environment(char *record) {
  size_t count = 0, used = 0;
  while (environ[count] != NULL) count++;
  char **list = calloc(count + 2, sizeof(*list));
  for (size_t i = 0; list != NULL && i < count; i++) {
    if (!is_left_out(environ[i])) list[used++] = environ[i];
  }
  if (list != NULL) list[used] = record;
  return list;
}

static bool find_loader(char *ret_path, size_t size) {
  static const char *const places[] = {"../share/kiln/node", "../share/kiln/src/toolkit/node",
                                       NULL};
  if (!kiln__cli_find(places, KILN_SOURCE_DIR "/toolkit/node", "register.js", ret_path, size))
    return false;
  size_t used = strlen(ret_path);
  int length = snprintf(ret_path + used, size - used, "/register.js");
  return length > 0 && (size_t)length < size - used;
}

static void show_output(const kiln__child_result *result) {
  if (result->output_length == 0) return;
  kiln_span text = {result->output, result->output_length};
  if (result->output_cut) fputs("[...]\n", stderr);
  (void)fwrite(text.data, 1, text.length, stderr);
  if (text.data[text.length - 1] != '\n') fputc('\n', stderr);
}

static bool perform(run *r, char **arguments, size_t arguments_count, const char *loader) {
  kiln__baking *baking = r->baking;
  const char *command = baking->exercises[r->exercise];
  char prefix[40], setting[PATH_MAX + 16];
  (void)snprintf(setting, sizeof(setting), "KILN_RECORD=%s", r->folder);
  char **envp = environment(setting);
  const char **argv = calloc(arguments_count + 4 + KILN__ARGUMENTS_MAX, sizeof(*argv));
  char **flags = NULL;
  size_t flags_count = 0, used = 0;
  kiln_error error;
  kiln__child_result result = {0};
  bool good = envp != NULL && argv != NULL &&
              kiln__child_split(baking->node_flags[r->engine], &flags, &flags_count, &error);
  if (good) {
    argv[used++] = baking->engines[r->engine].node;
    for (size_t i = 0; i < flags_count; i++) argv[used++] = flags[i];
    argv[used++] = "--require";
    argv[used++] = loader;
    for (size_t i = 0; i < arguments_count; i++) argv[used++] = arguments[i];
    good = kiln__child_run(argv, envp, baking->exercise_ms, OUTPUT_SHOWN_MAX, &result, &error);
  } else if (envp == NULL || argv == NULL) {
    (void)snprintf(error.message, sizeof(error.message), "out of memory");
  }
  if (!good) {
    kiln__cli_complain(baking->self, "%sexercise '%.80s': %s", engine_prefix(r, prefix), command,
                       error.message);
  } else if (result.timed_out || result.status != 0) {
    good = false;
    char what[64];
    if (result.timed_out) {
      (void)snprintf(what, sizeof(what), "did not end within %u ms", baking->exercise_ms);
    } else if (result.signal != 0) {
      (void)snprintf(what, sizeof(what), "ended by signal %d", result.signal);
    } else {
      (void)snprintf(what, sizeof(what), "exit status %d", result.status);
    }
    kiln__cli_complain(baking->self, "%sexercise '%.80s': %s%s", engine_prefix(r, prefix), command,
                       what, result.output_length > 0 ? "; it printed:" : "");
    show_output(&result);
  } else if (baking->verbose) {
    show_output(&result);
  }
  free(result.output);
  free((void *)argv);
  free(envp);
  kiln__child_split_free(flags, flags_count);
  return good;
}

static bool exercise(run *r, const char *loader) {
  kiln__baking *baking = r->baking;
  const char *command = baking->exercises[r->exercise];
  char folder[PATH_MAX], prefix[40];
  char **arguments;
  size_t count;
  kiln_error error;
  if (!kiln__child_split(command, &arguments, &count, &error)) {
    kiln__cli_complain(baking->self, "exercise '%.80s': %s", command, error.message);
    return false;
  }
  (void)snprintf(folder, sizeof(folder), "%.*s/%zu-%zu", PATH_MAX - 64, baking->recordings,
                 r->engine, r->exercise);
  bool good = mkdir(folder, 0700) == 0;
  if (!good) {
    kiln__cli_complain(baking->self, "'%s': %s", folder, strerror(errno));
  } else {
    r->folder = folder;
    good = perform(r, arguments, count, loader);
    if (good) take_folder(r);
    if (good && r->records == 0) {
      kiln__cli_complain(baking->self, "%sexercise '%.80s': it recorded nothing",
                         engine_prefix(r, prefix), command);
      good = false;
    }
  }
  kiln__child_split_free(arguments, count);
  return good;
}

/* ---- all of them --------------------------------------------------------------------- */

static bool make_folder(kiln__baking *baking) {
  const char *temporary = getenv("TMPDIR");
  if (temporary == NULL || *temporary != '/') temporary = "/tmp";
  if (asprintf(&baking->recordings, "%s/kiln-exercise-XXXXXX", temporary) < 0) {
    baking->recordings = NULL;
    kiln__cli_complain(baking->self, "out of memory");
    return false;
  }
  if (strlen(baking->recordings) < PATH_MAX - 128 && mkdtemp(baking->recordings) != NULL) {
    return true;
  }
  kiln__cli_complain(baking->self, "'%s': %s", baking->recordings, strerror(errno));
  free(baking->recordings);
  baking->recordings = NULL;
  return false;
}

static kiln__source **sort_sources(const kiln__baking *baking) {
  kiln__source **list = calloc(baking->files.count + 1, sizeof(kiln__source *));
  if (list == NULL) return NULL;
  for (size_t i = 0; i < baking->files.count; i++) list[i] = &baking->sources[i];
  qsort(list, baking->files.count, sizeof(kiln__source *), by_absolute);
  return list;
}

void kiln__exercise_all(kiln__baking *baking) {
  char loader[PATH_MAX];
  if (baking->exercises_count == 0) return;
  baking->exercise_failed = true;
  if (!find_loader(loader, sizeof(loader))) {
    kiln__cli_complain(baking->self, "exercise: there is no loader beside this program");
    return;
  }
  kiln__source **by_name = sort_sources(baking);
  bool good = by_name != NULL && make_folder(baking);
  if (good) baking->exercise_failed = false;
  for (size_t i = 0; good && i < baking->engines_count; i++) {
    if (baking->engines[i].node[0] == '\0') {
      kiln__cli_complain(baking->self, "exercise: engine '%s' has no node to run it on",
                         baking->engines[i].name);
      baking->exercise_failed = true;
      continue;
    }
    for (size_t j = 0; j < baking->exercises_count; j++) {
      run r = {.baking = baking, .engine = i, .exercise = j, .by_name = by_name};
      if (!exercise(&r, loader)) baking->exercise_failed = true;
    }
  }
  free(by_name);
}

static void remove_folder(const char *path, unsigned depth) {
  DIR *list = opendir(path);
  const struct dirent *entry;
  while (list != NULL && (entry = readdir(list)) != NULL) {
    char inside[PATH_MAX];
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    int length = snprintf(inside, sizeof(inside), "%s/%s", path, entry->d_name);
    if (length < 0 || (size_t)length >= sizeof(inside)) continue;
    if (unlink(inside) != 0 && depth > 0) remove_folder(inside, depth - 1);
  }
  if (list != NULL) (void)closedir(list);
  (void)rmdir(path);
}

void kiln__exercise_release(kiln__baking *baking) {
  if (baking->recordings == NULL) return;
  remove_folder(baking->recordings, /* depth= */ 2);
  free(baking->recordings);
  baking->recordings = NULL;
}
