/* SPDX-License-Identifier: MIT
 *
 * cli_engines.c: `kiln engines`: which engines there are, and what makes their caches theirs.
 */
#include <getopt.h>

#include "toolkit/cli.h"

static const char help[] =
    "Usage: kiln engines [OPTIONS]\n"
    "\n"
    "Starts each engine and prints its name, V8's version, the architecture, V8's tag for cached\n"
    "data, the build and the flags. All of it is part of a cache's key.\n"
    "\n"
    "Options:\n"
    "  --json      print JSON\n"
    "  --help      print this\n"
    "  --version   print the version\n";

static int print_engines(const kiln__cli_command *self, const kiln *k, bool as_json) {
  json_t *list = json_array();
  for (size_t i = 0; i < kiln_engine_count(k); i++) {
    kiln_engine_info info;
    kiln_error error;
    if (kiln_get_engine(k, i, &info, &error) != KILN_OK) {
      kiln__cli_complain(self, "%s", error.message);
      json_decref(list);
      return KILN__CLI_FAILED;
    }
    if (!as_json) {
      printf("%s  V8 %s  %s  tag %u  build %s  flags %s\n", info.name, info.v8_version, info.arch,
             info.cached_data_tag, info.build_id, info.flags);
    } else if (json_array_append_new(list, kiln__cli_engine_json(&info)) != 0) {
      kiln__cli_complain(self, "out of memory");
      json_decref(list);
      return KILN__CLI_FAILED;
    }
  }
  if (as_json) return kiln__cli_print_json(self, list);
  json_decref(list);
  return kiln__cli_finish(self, KILN__CLI_OK);
}

static int exec(const kiln__cli_command *self, int argc, char **argv) {
  enum { JSON = 1 };
  static const struct option options[] = {
      {"json", no_argument, NULL, JSON}, KILN__CLI_COMMON_OPTIONS, {NULL, 0, NULL, 0}};
  bool as_json = false;
  int option;
  while ((option = getopt_long(argc, argv, ":", options, /* index= */ NULL)) != -1) {
    int status = kiln__cli_common_option(self, option, argv);
    if (status >= 0) return status;
    as_json = true;
  }
  if (optind < argc) return kiln__cli_misuse(self, "takes no arguments");
  kiln *k;
  kiln_error error;
  if (kiln__cli_open(/* store_path= */ NULL, /* jobs= */ 1, /* keep_sources= */ false, &k,
                     &error) != KILN_OK) {
    kiln__cli_complain(self, "%s", error.message);
    return KILN__CLI_FAILED;
  }
  int status = print_engines(self, k, as_json);
  kiln_close(k, /* drain_ms= */ 0);
  return status;
}

const kiln__cli_command kiln__cli_engines = {
    .name = "engines", .summary = "tell which engines there are", .help = help, .exec = exec};
