/* SPDX-License-Identifier: MIT
 *
 * cli_image.h: `kiln run --image`. Private to the command.
 */
#ifndef KILN_TOOLKIT_CLI_IMAGE_H
#define KILN_TOOLKIT_CLI_IMAGE_H

#include "toolkit/cli.h"

/* Whether --image is among the options of `kiln run`, before the file. */
bool kiln__cli_wants_image(int argc, char **argv);
int kiln__cli_run_in_image(const kiln__cli_command *self, int argc, char **argv);

#endif
