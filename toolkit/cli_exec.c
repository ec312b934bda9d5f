/* SPDX-License-Identifier: MIT
 *
 * cli_exec.c: `kiln run`: becomes kiln-run (toolkit/run), which has the command's options and help,
 * but for --image (cli_image.c).
 */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "toolkit/cli_image.h"
#include "toolkit/service.h"

static int exec(const kiln__cli_command *self, int argc, char **argv) {
  char path[PATH_MAX];
  kiln_error error;
  if (kiln__cli_wants_image(argc, argv)) return kiln__cli_run_in_image(self, argc, argv);
  if (kiln__find_program("kiln-run", path, sizeof(path), &error) != KILN_OK) {
    kiln__cli_complain(self, "%s", error.message);
    return KILN__CLI_FAILED;
  }
  (void)execv(path, argv);
  kiln__cli_complain(self, "'%s': %s", path, strerror(errno));
  return KILN__CLI_FAILED;
}

const kiln__cli_command kiln__cli_run = {
    .name = "run", .summary = "run a file in this process", .help = NULL, .exec = exec};
