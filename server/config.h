/* SPDX-License-Identifier: MIT
 *
 * config.h: kilnd's configuration file: an INI file whose names and limits are those of the command
 * line. Both are one table (option_rows.h).
 */
#ifndef KILN_SERVER_CONFIG_H
#define KILN_SERVER_CONFIG_H

#include <stdio.h>

#include "server/faults.h"
#include "server/options.h"

#define SRV_CONFIG_BYTES_MAX 262144
#define SRV_CONFIG_LINE_MAX 8192

/* Sets in *options what the text says. Faults begin with "PATH:LINE: ". The values' memory becomes
 * options->config_values, which srv_options_release() frees. */
void srv_config_parse(const char *path, const char *text, size_t length, srv_options *options,
                      srv_faults *faults);

/* ... of a file. */
void srv_config_load(const char *path, srv_options *options, srv_faults *faults);

/* Writes a configuration file that says the same as *options. False: an option has a value that no
 * such file can hold; message says which. */
bool srv_config_print(FILE *out, const srv_options *options, char *message, size_t message_size);

#endif
