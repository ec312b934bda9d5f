/* SPDX-License-Identifier: MIT
 *
 * engine_main.c: kiln-engine. The pool starts it with its control channel as descriptor 3; by hand
 * it only tells its version. All of its work is in zygote.c and worker*.c.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "toolkit/engine.h"

static const char usage[] =
    "usage: kiln-engine [--help | --version]\n"
    "\n"
    "The process in which Kiln runs V8: a zygote that forks one worker per job.\n"
    "kilnd and the Kiln library start it themselves; it takes no work from a terminal.\n";

int main(int argc, char **argv) {
  if (argc >= 3 && argc <= 6 && strcmp(argv[1], "--zygote") == 0) {
    char *end;
    errno = 0;
    long parent = strtol(argv[2], &end, 10);
    kiln_zygote_options options = {.v8_flags = argc > 3 ? argv[3] : ""};
    for (int i = 4; i < argc; i++) {
      if (strcmp(argv[i], "large-pages") == 0) options.large_pages = true;
      if (strcmp(argv[i], "sandbox-off") == 0) options.sandbox_off = true;
    }
    if (errno == 0 && *end == '\0' && parent > 0) return kiln_zygote_main((pid_t)parent, &options);
  }
  if (argc == 2 && strcmp(argv[1], "--version") == 0) {
    printf("kiln-engine %s\n", KILN_VERSION);
    return 0;
  }
  bool asked = argc == 2 && strcmp(argv[1], "--help") == 0;
  fputs(usage, asked ? stdout : stderr);
  return asked ? 0 : 2;
}
