/* SPDX-License-Identifier: MIT
 *
 * cli_manifest_verify.c: `kiln verify-manifest`: whether a folder that `kiln precompile --out`
 * wrote is what it says of itself. It needs no engine and no store.
 */
#include "toolkit/cli_manifest_verify.h"

#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char help[] =
    "Usage: kiln verify-manifest [OPTIONS] DIR\n"
    "\n"
    "Checks a folder that 'kiln precompile --out DIR' wrote: every member of manifest.json and\n"
    "its digest, each cache's key anew from what it is made of, each engine's index, and its\n"
    "pack: bounds, gaps, the digest and V8's own header of each cache. Prints what is wrong,\n"
    "one line each; the exit status is then 1.\n"
    "\n"
    "Options:\n"
    "  --engine ENGINE  look at the index and pack of this engine only; may be given more than\n"
    "                   once\n"
    "  --sources DIR    also compare the source files, which lie below this folder\n"
    "  --json           report in JSON\n"
    "  --help           print this\n"
    "  --version        print the version\n";

void kiln__problem(kiln__verifying *v, const char *where, const char *format, ...) {
  char message[512];
  va_list args;
  va_start(args, format);
  (void)vsnprintf(message, sizeof(message), format, args);
  va_end(args);
  if (++v->problems_count > KILN__PROBLEMS_MAX) return;
  if (!v->json) {
    printf("%s: %s\n", where, message);
    return;
  }
  json_t *problem = json_pack("{s:o, s:o}", "where", kiln__cli_json_text(where), "problem",
                              kiln__cli_json_text(message));
  if (problem == NULL || json_array_append_new(v->problems, problem) != 0) v->no_memory = true;
}

/* A folder that a loader would use, but that the manifest does not know. */
static void check_strangers(kiln__verifying *v) {
  DIR *list = opendir(v->out);
  const struct dirent *entry;
  while (list != NULL && (entry = readdir(list)) != NULL) {
    char path[PATH_MAX];
    bool known = false;
    if (!kiln__manifest_is_engine_name(entry->d_name)) continue;
    for (size_t i = 0; i < v->engines_count; i++) {
      if (strcmp(v->engines[i].name, entry->d_name) == 0) known = true;
    }
    int length = snprintf(path, sizeof(path), "%s/%s/" KILN__INDEX_NAME, v->out, entry->d_name);
    if (!known && length > 0 && (size_t)length < sizeof(path) && access(path, F_OK) == 0) {
      kiln__problem(v, entry->d_name, "has an index, but is not in the manifest");
    }
  }
  if (list != NULL) (void)closedir(list);
}

/* Whether each --engine names one of the manifest's. */
static bool check_specs(const kiln__verifying *v) {
  for (size_t i = 0; i < v->specs_count; i++) {
    bool found = false;
    for (size_t j = 0; j < v->engines_count; j++) {
      if (kiln__claim_is(&v->engines[j], v->specs[i])) found = true;
    }
    if (!found) {
      kiln__cli_complain(v->self, "engine '%.80s': not in this manifest", v->specs[i]);
      return false;
    }
  }
  return true;
}

static int report(kiln__verifying *v) {
  bool good = v->problems_count == 0;
  if (v->json) {
    json_t *problems = v->problems;
    v->problems = NULL;
    int printed = kiln__cli_print_json(
        v->self, json_pack("{s:b, s:I, s:I, s:I, s:I, s:o}", "ok", good, "engines",
                           (json_int_t)v->checked_engines, "caches", (json_int_t)v->checked_blobs,
                           "sources", (json_int_t)v->checked_files, "problemsCount",
                           (json_int_t)v->problems_count, "problems", problems));
    return good ? printed : KILN__CLI_FAILED;
  }
  if (v->problems_count > KILN__PROBLEMS_MAX) {
    printf("... and %zu more\n", v->problems_count - KILN__PROBLEMS_MAX);
  }
  if (good) {
    printf("ok: %zu engines, %zu caches", v->checked_engines, v->checked_blobs);
    if (v->sources != NULL) printf(", %zu sources", v->checked_files);
    putchar('\n');
  }
  return kiln__cli_finish(v->self, good ? KILN__CLI_OK : KILN__CLI_FAILED);
}

static int verify(kiln__verifying *v) {
  kiln_error error;
  if (access(v->out, F_OK) != 0) {
    kiln__cli_complain(v->self, "'%s': %s", v->out, strerror(errno));
    return KILN__CLI_FAILED;
  }
  v->problems = json_array();
  v->no_memory = v->problems == NULL;
  if (kiln__manifest_read(v->out, &v->manifest, &error) != KILN_OK) {
    kiln__problem(v, KILN__MANIFEST_NAME, "%s", error.message);
    return report(v);
  }
  if (kiln__manifest_check(v->manifest, &error) != KILN_OK) {
    kiln__problem(v, KILN__MANIFEST_NAME, "%s", error.message);
  }
  kiln__verify_fields(v);
  if (v->problems_count == 0 && !check_specs(v)) return KILN__CLI_FAILED;
  for (size_t i = 0; i < v->engines_count && !v->no_memory; i++) {
    kiln__verify_engine(v, &v->engines[i]);
  }
  if (v->specs_count == 0) check_strangers(v);
  if (v->no_memory) {
    kiln__cli_complain(v->self, "out of memory");
    return KILN__CLI_FAILED;
  }
  return report(v);
}

static int exec(const kiln__cli_command *self, int argc, char **argv) {
  enum { ENGINE = 1, SOURCES, JSON };
  static const struct option options[] = {{"engine", required_argument, NULL, ENGINE},
                                          {"sources", required_argument, NULL, SOURCES},
                                          {"json", no_argument, NULL, JSON},
                                          KILN__CLI_COMMON_OPTIONS,
                                          {NULL, 0, NULL, 0}};
  kiln__verifying *v = calloc(1, sizeof(*v));
  if (v == NULL) {
    kiln__cli_complain(self, "out of memory");
    return KILN__CLI_FAILED;
  }
  v->self = self;
  int option, status = -1;
  while (status < 0 && (option = getopt_long(argc, argv, ":", options, /* index= */ NULL)) != -1) {
    status = kiln__cli_common_option(self, option, argv);
    if (option == SOURCES) v->sources = optarg;
    if (option == JSON) v->json = true;
    if (option == ENGINE && v->specs_count == KILN_ENGINES_MAX) {
      status = kiln__cli_misuse(self, "more than %d engines", KILN_ENGINES_MAX);
    } else if (option == ENGINE) {
      v->specs[v->specs_count++] = optarg;
    }
  }
  if (status < 0 && optind + 1 != argc) {
    status = kiln__cli_misuse(self, optind == argc ? "no folder" : "takes one folder");
  }
  if (status < 0) {
    v->out = argv[optind];
    status = verify(v);
  }
  for (size_t i = 0; i < v->engines_count; i++) free(v->engines[i].claims);
  json_decref(v->manifest);
  json_decref(v->problems);
  free(v);
  return status;
}

const kiln__cli_command kiln__cli_verify_manifest = {.name = "verify-manifest",
                                                     .summary = "check what precompile --out wrote",
                                                     .help = help,
                                                     .exec = exec};
