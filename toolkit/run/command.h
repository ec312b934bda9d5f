/* SPDX-License-Identifier: MIT
 *
 * command.h: `kiln run` as a command.
 */
#ifndef KILN_TOOLKIT_RUN_COMMAND_H
#define KILN_TOOLKIT_RUN_COMMAND_H

#include "toolkit/cli.h"
#include "toolkit/run/run.h"

extern const kiln__cli_command kiln__run_command;

/* Takes the command line; -1: run it, else the exit status. The options lend from argv, but for
 * `flags` and `exec_args`, which are allocated. */
int kiln__run_parse(int argc, char **argv, kiln__run_options *ret_options);

/* Finds the file, its absolute name and its kind; false after a complaint. */
bool kiln__run_find_main(kiln__run *run);

#endif
