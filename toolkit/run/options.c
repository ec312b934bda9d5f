/* SPDX-License-Identifier: MIT
 *
 * options.c: the command line of `kiln run`: its own options, those of Node's that mean something
 * here, and V8's. What follows FILE is the script's.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "toolkit/run/command.h"

static const char help[] =
    "Usage: kiln run [OPTIONS] FILE [ARGS...]\n"
    "       kiln run [OPTIONS] -e CODE [ARGS...]\n"
    "       kiln run --image FILE... [--timeout MS] [--engine ENGINE] FILES... | -e | -p CODE\n"
    "\n"
    "Runs a file in this process, as Node would: CommonJS and ES modules, timers, process and\n"
    "console; of Node's modules assert, buffer, console, events, module, path, perf_hooks,\n"
    "process, timers, util, v8 and vm, and parts of fs, http, os and url. Packages in\n"
    "node_modules are looked up by the simplest rules only. Code caches from the store make it\n"
    "start sooner: those that `kiln precompile` made (warm, else lazy, else eager), or that an\n"
    "earlier run kept. Files under 4096 bytes are not cached.\n"
    "\n"
    "Options:\n"
    "  --store DIR       the store\n"
    "  --no-store        neither use nor keep a cache\n"
    "  --kind KIND       script, module, commonjs or auto (default: by ending and package.json,\n"
    "                    else commonjs, or a module if its syntax says so)\n"
    "  --timeout MS      end the run after this time; default: no limit\n"
    "  --verbose         tell on standard error what the cache did\n"
    "  -e, --eval CODE   run CODE instead of a file\n"
    "  -p, --print CODE  the same, and print its value\n"
    "  --image FILE      run FILES not in this process and without Node's modules, but each in a\n"
    "                    fork of an engine process that has run this file; may be repeated\n"
    "  --help            print this\n"
    "  --version         print the version\n"
    "\n"
    "As in Node: --experimental-vm-modules, --no-warnings, --stack-trace-limit N and\n"
    "--unhandled-rejections MODE. Any other option is V8's (--expose-gc); caches made without it\n"
    "do not serve then.\n"
    "\n"
    "Exit status: the program's, with Node's meanings (1 after an uncaught exception, 13 if a\n"
    "top-level await was never settled); 1 at the time limit; 2 if the command line is wrong.\n";

const kiln__cli_command kiln__run_command = {.name = "run", .help = help};

enum {
  EVAL = 'e',
  PRINT = 'p',
  STORE = 256,
  NO_STORE,
  KIND,
  TIMEOUT,
  VERBOSE,
  STACK_TRACE_LIMIT,
  NO_WARNINGS,
  VM_MODULES,
  UNHANDLED,
  INPUT_TYPE,
  IGNORED,
};

static const struct known {
  const char *name;
  int option;
  bool has_argument;
} known[] = {{"store", STORE, true},
             {"no-store", NO_STORE, false},
             {"kind", KIND, true},
             {"timeout", TIMEOUT, true},
             {"verbose", VERBOSE, false},
             {"eval", EVAL, true},
             {"print", PRINT, true},
             {"stack-trace-limit", STACK_TRACE_LIMIT, true},
             {"no-warnings", NO_WARNINGS, false},
             {"experimental-vm-modules", VM_MODULES, false},
             {"unhandled-rejections", UNHANDLED, true},
             {"input-type", INPUT_TYPE, true},
             {"trace-warnings", IGNORED, false},
             {"no-deprecation", IGNORED, false},
             {"trace-uncaught", IGNORED, false},
             {"help", KILN__CLI_HELP, false},
             {"version", KILN__CLI_VERSION, false}};

/* The option that `word` (without dashes) names, up to its length. */
static const struct known *find(const char *word, size_t length) {
  for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
    if (strlen(known[i].name) != length) continue;
    size_t j = 0;
    /* Node and V8 take either. */
    while (j < length && (word[j] == '_' ? '-' : word[j]) == known[i].name[j]) j++;
    if (j == length) return &known[i];
  }
  return NULL;
}

/* Adds one of V8's flags to the text of all. */
static bool add_flag(kiln__run_options *options, char **flags, const char *flag) {
  size_t before = *flags == NULL ? 0 : strlen(*flags);
  size_t size = before + strlen(flag) + 2;
  char *grown = realloc(*flags, size);
  if (grown == NULL) return false;
  (void)snprintf(grown + before, size - before, "%s%s", before > 0 ? " " : "", flag);
  *flags = grown;
  options->flags = grown;
  return true;
}

static int take_unhandled(kiln__run_options *options, const char *argument) {
  static const char *const modes[] = {"throw", "strict", "warn", "none", "warn-with-error-code"};
  for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
    if (strcmp(argument, modes[i]) == 0) {
      options->unhandled = modes[i];
      return -1;
    }
  }
  return kiln__cli_misuse(&kiln__run_command, "unhandled-rejections '%.80s': unknown", argument);
}

static int take_kind(kiln__run_options *options, const char *argument) {
  kiln__cli_kind kind;
  if (!kiln__cli_kind_parse(argument, &kind) || kind == KILN__CLI_FUNCTION ||
      kind == KILN__CLI_WRAPPER) {
    return kiln__cli_misuse(&kiln__run_command,
                            "kind '%.80s': not script, module, commonjs or auto", argument);
  }
  options->kind = (int)kind;
  return -1;
}

/* Takes one option; -1: go on, else the exit status. */
static int take(kiln__run_options *options, int option, const char *argument, char **argv) {
  unsigned long number;
  switch (option) {
    case STORE:
      options->store = argument;
      return -1;
    case NO_STORE:
      options->no_store = true;
      return -1;
    case KIND:
    case INPUT_TYPE:
      return take_kind(options, argument);
    case TIMEOUT:
      if (!kiln__cli_number(argument, 1, UINT_MAX, &number)) {
        return kiln__cli_misuse(&kiln__run_command, "timeout '%.80s': not a number from 1 to %u",
                                argument, UINT_MAX);
      }
      options->timeout_ms = (unsigned)number;
      return -1;
    case VERBOSE:
      options->verbose = true;
      return -1;
    case PRINT:
      options->print = true;
      options->text = argument;
      return -1;
    case EVAL:
      options->text = argument;
      return -1;
    case STACK_TRACE_LIMIT:
      if (!kiln__cli_number(argument, 0, INT_MAX, &number)) {
        return kiln__cli_misuse(&kiln__run_command, "stack-trace-limit '%.80s': not a number",
                                argument);
      }
      options->stack_trace_limit = (int)number;
      return -1;
    case NO_WARNINGS:
      options->no_warnings = true;
      return -1;
    case VM_MODULES:
      options->vm_modules = true;
      return -1;
    case UNHANDLED:
      return take_unhandled(options, argument);
    case IGNORED:
      return -1;
    default:
      return kiln__cli_common_option(&kiln__run_command, option, argv);
  }
}

int kiln__run_parse(int argc, char **argv, kiln__run_options *ret_options) {
  char *flags = NULL;
  int at = 1;
  *ret_options =
      (kiln__run_options){.kind = KILN__CLI_AUTO, .stack_trace_limit = -1, .unhandled = "throw"};
  for (; at < argc && argv[at][0] == '-' && argv[at][1] != '\0'; at++) {
    const char *word = argv[at];
    if (strcmp(word, "--") == 0) {
      at++;
      break;
    }
    bool is_long = word[1] == '-';
    const char *name = word + (is_long ? 2 : 1);
    size_t length = is_long ? strcspn(name, "=") : 1;
    const struct known *it = NULL;
    static const struct known shorts[] = {{"e", EVAL, true}, {"p", PRINT, true}};
    if (is_long) {
      it = find(name, length);
    } else if (strcmp(name, "e") == 0 || strcmp(name, "p") == 0 || strcmp(name, "pe") == 0) {
      it = &shorts[name[0] == 'p'];
    } else {
      return kiln__cli_misuse(&kiln__run_command, "option '%.80s': unknown", word);
    }
    if (it == NULL) {
      if (!add_flag(ret_options, &flags, word)) return KILN__CLI_FAILED;
      continue;
    }
    const char *argument = is_long && name[length] == '=' ? name + length + 1 : NULL;
    if (it->has_argument && argument == NULL) {
      if (at + 1 >= argc) {
        return kiln__cli_misuse(&kiln__run_command, "option '%.80s': needs an argument", word);
      }
      argument = argv[++at];
    } else if (!it->has_argument && argument != NULL) {
      return kiln__cli_misuse(&kiln__run_command, "option '%.80s': takes no argument", word);
    }
    int status = take(ret_options, it->option, argument, argv);
    if (status >= 0) return status;
  }
  ret_options->exec_args = argv + 1;
  ret_options->exec_args_count = (size_t)at - 1;
  if (ret_options->text == NULL) {
    if (at == argc) return kiln__cli_misuse(&kiln__run_command, "no file");
    ret_options->path = argv[at++];
  }
  ret_options->args = argv + at;
  return -1;
}

/* ---- the main file -------------------------------------------------------------------- */

/* What can be read has been looked at by nobody yet, so that what a failing open() says is said in
 * the words of the other commands. */
static bool readable(const char *path) {
  struct stat file;
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  const char *problem = NULL;
  if (fd < 0 || fstat(fd, &file) != 0) {
    problem = strerror(errno);
  } else if (S_ISDIR(file.st_mode)) {
    problem = "not a regular file";
  } else if (S_ISFIFO(file.st_mode)) {
    /* A pipe that a shell made has no name. */
    char *name = realpath(path, /* resolved= */ NULL);
    if (name != NULL) problem = "not a regular file";
    free(name);
  }
  if (fd >= 0) (void)close(fd);
  if (problem != NULL) kiln__cli_complain(&kiln__run_command, "'%s': %s", path, problem);
  return problem == NULL;
}

bool kiln__run_find_main(kiln__run *run) {
  const char *path = run->options.path;
  ssize_t length = readlink("/proc/self/exe", run->exec_path, sizeof(run->exec_path) - 1);
  run->exec_path[length > 0 ? length : 0] = '\0';
  if (path == NULL) return true; /* -e */
  if (!readable(path)) return false;
  if (realpath(path, run->filename) == NULL) {
    /* A pipe has no other name than the one given. */
    size_t size = strlen(path) + 1;
    if (size > sizeof(run->filename)) {
      kiln__cli_complain(&kiln__run_command, "'%s': %s", path, strerror(ENAMETOOLONG));
      return false;
    }
    memcpy(run->filename, path, size);
  }
  return true;
}
