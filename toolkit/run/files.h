/* SPDX-License-Identifier: MIT
 *
 * files.h: reading files for built-ins.
 */
#ifndef KILN_TOOLKIT_RUN_FILES_H
#define KILN_TOOLKIT_RUN_FILES_H

#include "toolkit/run/run.h"

/* Reads a whole file into memory of malloc(); false: it threw, as Node's fs does. */
bool kiln__run_read_file(kv8_call *call, const char *path, char **ret_text, size_t *ret_length);

#endif
