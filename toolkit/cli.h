/* SPDX-License-Identifier: MIT
 *
 * cli.h: what the commands of `kiln` share. Private to the command.
 *
 * A command is a file with one static entry: its name, its help and the function that does it.
 * stdout carries what was asked for, stderr everything else. Exit status: 0 all well, 1 something
 * failed, 2 the command line is wrong.
 */
#ifndef KILN_TOOLKIT_CLI_H
#define KILN_TOOLKIT_CLI_H

#include <jansson.h>
#include <stdio.h>

#include "cache/kcc.h"
#include "toolkit/kiln.h"

#define KILN__CLI_OK 0
#define KILN__CLI_FAILED 1
#define KILN__CLI_USAGE 2

/* Files bigger than this are refused. */
#define KILN__CLI_SOURCE_MAX (256ULL << 20)
/* The longest time that --timeout takes, ms. */
#define KILN__CLI_TIMEOUT_MAX 3600000

typedef struct kiln__cli_command {
  const char *name;
  const char *summary; /* for `kiln --help` */
  const char *help;    /* all that `kiln NAME --help` prints; NULL: exec() sees to it */
  /* argv[0] is the command's name. */
  int (*exec)(const struct kiln__cli_command *self, int argc, char **argv);
} kiln__cli_command;

extern const kiln__cli_command kiln__cli_precompile;
extern const kiln__cli_command kiln__cli_verify_manifest;
extern const kiln__cli_command kiln__cli_rebake;
extern const kiln__cli_command kiln__cli_explain;
extern const kiln__cli_command kiln__cli_run;
extern const kiln__cli_command kiln__cli_measure;
extern const kiln__cli_command kiln__cli_cache;
extern const kiln__cli_command kiln__cli_engines;
extern const kiln__cli_command kiln__cli_doctor;

/* Prints "kiln NAME: message" on stderr. */
void kiln__cli_complain(const kiln__cli_command *self, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* The same and where to find help; returns KILN__CLI_USAGE. */
int kiln__cli_misuse(const kiln__cli_command *self, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* What to return for an option that is every command's, or none's: the values below, and what
 * getopt_long() returns for a wrong one, given an option string that begins with ':', after '+' if
 * there is one. -1: it is the command's own. */
#define KILN__CLI_HELP 1000
#define KILN__CLI_VERSION 1001
#define KILN__CLI_COMMON_OPTIONS                    \
  {"help", no_argument, NULL, KILN__CLI_HELP}, {    \
    "version", no_argument, NULL, KILN__CLI_VERSION \
  }
int kiln__cli_common_option(const kiln__cli_command *self, int option, char **argv);

/* Parses a decimal number from `min` to `max`; false without complaint. */
bool kiln__cli_number(const char *text, unsigned long min, unsigned long max,
                      unsigned long *ret_number);

/* Where the store is: the option if given, else $KILN_STORE, else kiln in $XDG_CACHE_HOME, else in
 * ~/.cache (whose folder this makes where missing). False after a complaint. */
bool kiln__cli_store_path(const kiln__cli_command *self, const char *option, char *ret_path,
                          size_t size);

/* A text as JSON string, with U+FFFD for what is not UTF-8 (a file's name may be anything). NULL on
 * out of memory. */
json_t *kiln__cli_json_text(const char *text);

/* Prints a JSON value and a newline on stdout, then releases it. NULL counts as out of memory.
 * Returns the exit status. */
int kiln__cli_print_json(const kiln__cli_command *self, json_t *value);

/* Flushes stdout: a report that could not be written is a failure. */
int kiln__cli_finish(const kiln__cli_command *self, int status);

/* Where the registry of engines is: the option if given, else $KILN_ENGINES, else kiln/engines in
 * $XDG_DATA_HOME, else in ~/.local/share. */
kiln_status kiln__cli_engines_dir(const char *option, char *ret_path, size_t size, kiln_error *err);

/* Opens a kiln for files that whoever typed the command trusts, so with wide limits. */
typedef struct kiln__cli_opening {
  const char *store_path;     /* NULL: none */
  const char *engines_option; /* --engines-dir */
  const char *const *specs;   /* of engines, the first is the default; NULL: libv8's alone */
  size_t specs_count;
  unsigned jobs;
  bool forget_sources;
} kiln__cli_opening;
kiln_status kiln__cli_open(const kiln__cli_opening *opening, kiln **ret_kiln, kiln_error *err);

/* Reads a file into bytes. KILN_ETOOBIG, KILN_EINVAL with the reason. */
kiln_status kiln__cli_read(const char *path, kiln_bytes **ret_bytes, kiln_error *err);

/* The first folder that has that file: of `places` (NULL ends them), as seen from the folder of
 * this program, where it is installed; else `built`, in the tree it was built from. */
bool kiln__cli_find(const char *const *places, const char *built, const char *file,
                    char *ret_folder, size_t size);

json_t *kiln__cli_engine_json(const kiln_engine_info *info);

/* ---- how a file is to be compiled ---------------------------------------------------- */

typedef enum kiln__cli_kind {
  KILN__CLI_SCRIPT,
  KILN__CLI_MODULE,
  KILN__CLI_FUNCTION,
  KILN__CLI_COMMONJS, /* a function with the parameters that Node's loader gives it */
  KILN__CLI_AUTO,
  KILN__CLI_WRAPPER, /* a script that is such a function: see kiln__cli_wrap() */
} kiln__cli_kind;
bool kiln__cli_kind_parse(const char *name, kiln__cli_kind *ret_kind);
const char *kiln__cli_kind_name(kiln__cli_kind kind);

/* The names of KILN__CLI_COMMONJS' parameters. */
#define KILN__CLI_COMMONJS_PARAMS 5
extern const char *const kiln__cli_commonjs_params[KILN__CLI_COMMONJS_PARAMS];

/* Decides by the file's ending and, for others than .mjs and .cjs, by "type" in the nearest
 * package.json. KILN__CLI_AUTO: nothing says so; it is a script if it compiles as one. */
kiln__cli_kind kiln__cli_kind_of(const char *path);

/* What Node's loader wrapped a CommonJS file in, and still does for who asks; of such a script
 * createCachedData() can be called after it ran, which no function of vm.compileFunction() has. */
#define KILN__CLI_WRAPPER_HEAD "(function (exports, require, module, __filename, __dirname) {\n"
#define KILN__CLI_WRAPPER_LINE_OFFSET (-1)
#define KILN__CLI_WRAPPER_TAIL "\n})"
/* Makes the text of a wrapper: a "#!" at the start becomes "//", or it would not compile in there.
 * The head is a line of its own, above the source's first, so that errors there show the source
 * only. NULL on out of memory. */
kiln_bytes *kiln__cli_wrap(kiln_bytes *source);

/* What to try after a script that nothing but its syntax can tell about did not compile with this
 * message: KILN__CLI_COMMONJS for a `return` outside functions, KILN__CLI_MODULE for import, export
 * and await, else KILN__CLI_AUTO: nothing. */
kiln__cli_kind kiln__cli_kind_after(const char *syntax_error);

/* ---- which files --------------------------------------------------------------------- */

typedef struct kiln__cli_file {
  char *path;
  char *absolute; /* without symbolic links; NULL: it has no name, being a pipe */
  uint64_t size;
} kiln__cli_file;

typedef struct kiln__cli_files {
  kiln__cli_file *files;
  size_t count;
  size_t capacity;
  char *root; /* the deepest folder that all folders and files given lie in; NULL: none given */
} kiln__cli_files;

/* Adds a file, or all .js, .cjs and .mjs files of a folder, by name. Symbolic links inside a folder
 * are not followed. False after a complaint; what could be read has been added. */
bool kiln__cli_files_add(const kiln__cli_command *self, kiln__cli_files *files, const char *path);
void kiln__cli_files_release(kiln__cli_files *files);
/* Leaves each file out that is there already under another path. False: out of memory. */
bool kiln__cli_files_unique(kiln__cli_files *files);

/* ---- progress ------------------------------------------------------------------------ */

/* A bar on a terminal's standard error. */
typedef struct kiln__cli_bar {
  bool shown; /* whether there is to be one */
  uint64_t drawn_ns;
} kiln__cli_bar;
/* Draws it, not more often than the eye can see. */
void kiln__cli_bar_draw(kiln__cli_bar *bar, size_t finished, size_t count, size_t failed);
/* Takes it away. */
void kiln__cli_bar_clear(const kiln__cli_bar *bar);

#endif
