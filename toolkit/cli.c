/* SPDX-License-Identifier: MIT
 *
 * cli.c: the `kiln` command: finds the command asked for and runs it.
 */
#include "toolkit/cli.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

static const kiln__cli_command *const commands[] = {
    &kiln__cli_precompile, &kiln__cli_verify_manifest, &kiln__cli_rebake,
    &kiln__cli_run,        &kiln__cli_measure,         &kiln__cli_cache,
    &kiln__cli_engines,    &kiln__cli_explain,         &kiln__cli_doctor,
};
#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void print_help(FILE *stream) {
  fputs(
      "Usage: kiln COMMAND [OPTIONS] [ARGS]\n"
      "\n"
      "Bakes JavaScript: compiles it with V8 and keeps V8's code cache, so that it loads fast.\n"
      "\n"
      "Commands:\n",
      stream);
  for (size_t i = 0; i < COMMANDS; i++) {
    fprintf(stream, "  %-16s %s\n", commands[i]->name, commands[i]->summary);
  }
  fputs(
      "\n"
      "Options:\n"
      "  --help      print this, or after a command its help\n"
      "  --version   print the version\n"
      "\n"
      "The store is the folder of --store, else $KILN_STORE, else kiln in $XDG_CACHE_HOME or in\n"
      "~/.cache. Exit status: 0 all well, 1 something failed, 2 wrong usage.\n",
      stream);
}

int main(int argc, char **argv) {
  /* A reader that goes away shows as a failed write. */
  (void)signal(SIGPIPE, SIG_IGN);
  if (argc < 2) {
    print_help(stderr);
    return KILN__CLI_USAGE;
  }
  if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
    print_help(stdout);
    return KILN__CLI_OK;
  }
  if (strcmp(argv[1], "--version") == 0) {
    puts("kiln " KILN_VERSION);
    return KILN__CLI_OK;
  }
  for (size_t i = 0; i < COMMANDS; i++) {
    if (strcmp(argv[1], commands[i]->name) == 0) {
      return commands[i]->exec(commands[i], argc - 1, argv + 1);
    }
  }
  fprintf(stderr, "kiln: command '%.80s': unknown\nTry 'kiln --help'.\n", argv[1]);
  return KILN__CLI_USAGE;
}
