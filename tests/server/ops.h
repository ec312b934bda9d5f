/* SPDX-License-Identifier: MIT
 *
 * ops.h: what the tests of kilnd's operations share: files of a test's own, and kilnd run to its
 * end.
 */
#ifndef KILN_TESTS_SERVER_OPS_H
#define KILN_TESTS_SERVER_OPS_H

#include "tests/server/harness.h"

/* Keeps memory for as long as the test lives: it is no leak then. Gives it back. */
void *ops_keep(void *memory);

/* A temporary folder, made once per process of a test and removed with it. */
const char *ops_dir(void);
/* A path in it; lives as long as the test. */
const char *ops_path(const char *name);
/* Writes a file there; its path. */
const char *ops_file(const char *name, mode_t mode, const char *text);
const char *ops_file_of(const char *name, mode_t mode, const void *data, size_t length);

/* Runs a program (NULL ends argv) to its end: its exit status, and all it wrote; that is kept. */
int ops_run(const char *const *argv, char **ret_text);
/* ... kilnd with these options. */
int ops_kilnd(const char *const *options, char **ret_text);

/* Waits up to ten seconds for these words in the log, the `count`-th time. */
void ops_await_log(const kilnd *server, const char *words, size_t count);

/* A line for a tokens file. */
const char *ops_token_line(const char *roles, const char *token, const char *name);

#endif
