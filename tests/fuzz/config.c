/* SPDX-License-Identifier: MIT
 *
 * config.c: kilnd's configuration file, its file of tokens, its command line (an argument a line).
 * The first byte says which.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/config.h"
#include "server/options.h"
#include "server/tokens.h"
#include "tests/fuzz/fuzz.h"

#define ARGUMENTS_MAX 32

static void parse_command_line(char *text) {
  char *arguments[ARGUMENTS_MAX + 2] = {"kilnd"};
  int count = 1;
  char message[256] = "";
  srv_options options;
  for (char *line = text, *next; line != NULL && count <= ARGUMENTS_MAX; line = next) {
    next = strchr(line, '\n');
    if (next != NULL) *next++ = '\0';
    if (strncmp(line, "--config", 8) != 0) arguments[count++] = line; /* no files here */
  }
  if (srv_options_parse(count, arguments, &options, message, sizeof(message)))
    srv_options_release(&options);
  else if (message[0] == '\0')
    abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static srv_faults faults;
  if (size < 1) return 0;
  char *text = malloc(size);
  if (text == NULL) abort();
  memcpy(text, data + 1, size - 1);
  text[size - 1] = '\0';
  memset(&faults, 0, sizeof(faults));
  if (data[0] % 3 == 0) {
    char *arguments[] = {"kilnd", NULL};
    char message[256];
    srv_options options;
    if (!srv_options_parse(1, arguments, &options, message, sizeof(message))) abort();
    srv_config_parse("fuzz", text, size - 1, &options, &faults);
    srv_options_release(&options);
  } else if (data[0] % 3 == 1) {
    srv_tokens *tokens = srv_tokens_parse("fuzz", text, size - 1, &faults);
    if (tokens == NULL && faults.count == 0) abort();
    srv_tokens_free(tokens);
  } else {
    parse_command_line(text);
  }
  free(text);
  return 0;
}
