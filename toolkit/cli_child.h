/* SPDX-License-Identifier: MIT
 *
 * cli_child.h: runs a program for a command, with a limit on its time. Private to the command.
 */
#ifndef KILN_TOOLKIT_CLI_CHILD_H
#define KILN_TOOLKIT_CLI_CHILD_H

#include "toolkit/kiln.h"

/* Arguments of one program, and the bytes of all of them. */
#define KILN__ARGUMENTS_MAX 1024
#define KILN__ARGUMENTS_BYTES_MAX 65536

/* Splits a command line as a shell does: blanks separate, '...' and "..." keep together, a
 * backslash keeps the next character (within "..." only '"', '\', '$' and '`'). Nothing is
 * expanded. */
bool kiln__child_split(const char *text, char ***ret_arguments, size_t *ret_count, kiln_error *err);
void kiln__child_split_free(char **arguments, size_t count);

typedef struct kiln__child_result {
  int status; /* exit status; 128 + the signal */
  int signal;
  bool timed_out;
  char *output; /* the end of what it wrote on stdout and stderr; to be freed */
  size_t output_length;
  bool output_cut;
} kiln__child_result;

/* Runs argv[0] in a process group of its own, with nothing on stdin, until it ends or `timeout_ms`
 * have passed; then kills what is left of the group. False: it could not be started. */
bool kiln__child_run(const char *const *argv, char *const *envp, unsigned timeout_ms,
                     size_t output_max, kiln__child_result *ret_result, kiln_error *err);

#endif
