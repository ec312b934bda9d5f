/* SPDX-License-Identifier: MIT
 *
 * option_rows.h: the table of kilnd's options, for those who read or write all of them: the command
 * line (options.c) and the configuration file (config.c).
 */
#ifndef KILN_SERVER_OPTION_ROWS_H
#define KILN_SERVER_OPTION_ROWS_H

#include <stddef.h>

#include "server/options.h"

/* SECTION begins a section of the configuration file and of the help text; an empty name begins
 * what only the command line may say. */
typedef enum srv_option_kind { FLAG, SWITCH, TEXT, LIST, NUMBER, SIZE, SECTION } srv_option_kind;

typedef struct srv_option_row {
  const char *name;
  const char *argument;
  srv_option_kind kind;
  size_t offset;
  uint64_t preset;
  uint64_t min;
  uint64_t max;
  const char *help;
} srv_option_row;

extern const srv_option_row srv_option_rows[];
extern const size_t srv_option_rows_count;

/* How an option is written where it was given: "--queue" or "queue". */
#define SRV_DASHES "--"

/* The row of that name; NULL: none. *ret_section is the name of its section. */
const srv_option_row *srv_option_find(const char *name, size_t length, const char **ret_section);

/* Sets an option. `dashes` goes before its name in the message; `value` is kept, not copied. A
 * FLAG's is yes or no, a SWITCH's on or off. */
bool srv_option_take(srv_options *options, const srv_option_row *row, const char *dashes,
                     const char *value, char *message, size_t message_size);

#endif
