/* SPDX-License-Identifier: MIT
 *
 * main.c: kiln-run, the program behind `kiln run`: runs a file in this process, with the store's
 * caches. Who types the command trusts the file, so there is no engine process between them.
 */
#include <signal.h>
#include <string.h>

#include "toolkit/run/command.h"

int main(int argc, char **argv) {
  static kiln__run run; /* paths are big */
  /* A reader that goes away shows as a failed write. */
  (void)signal(SIGPIPE, SIG_IGN);
  int status = kiln__run_parse(argc, argv, &run.options);
  if (status >= 0) return status;
  if (!kiln__run_find_main(&run)) return KILN__CLI_FAILED;
  if (!kiln__run_start(&run)) kiln__run_exit(&run, run.exit_code);
  status = kiln__run_main(&run);
#ifdef KILN_ADDRESS_SANITIZER
  /* It is to see what leaks. */
  status = kiln__run_finish(&run, status);
  kiln__run_end(&run);
  return status;
#else
  kiln__run_exit(&run, status);
#endif
}
