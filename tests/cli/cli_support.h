/* SPDX-License-Identifier: MIT
 *
 * cli_support.h: runs the real `kiln` and takes what it prints.
 */
#ifndef KILN_TESTS_CLI_SUPPORT_H
#define KILN_TESTS_CLI_SUPPORT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "tests/temporary.h"

typedef struct outcome {
  int status; /* exit status; 128 + the signal if one ended it */
  char *out;
  size_t out_length;
  char *err;
} outcome;

/* A folder of its own for each test, which is also HOME; no other variable of the environment is
 * passed on. set_up() and tear_down() are a checked fixture. */
extern char home[TEMPORARY_PATH];
void set_up(void);
void tear_down(void);

/* Runs a program, by its path, with arguments up to a NULL and up to four settings "NAME=VALUE" of
 * the environment. */
outcome run_program(const char *path, const char *const arguments[], const char *const settings[]);
/* Runs kiln so, in `home`. */
outcome kiln_with(const char *const settings[], const char *const arguments[]);
#define KILN(...) kiln_with((const char *const[]){NULL}, (const char *const[]){__VA_ARGS__, NULL})
void outcome_free(outcome *result);

/* Fails the test unless status is as said; prints what the program said. */
void expect_status(const outcome *result, int status);
bool says(const char *text, const char *part);

/* Writes a file below `home`, with the folders it needs. */
void write_file(const char *name, const char *text);
/* Writes src/ with a file of each kind that `precompile` tells apart, and some that it does not
 * take. */
void make_tree(void);
/* Reads a file whole; to be freed. */
char *read_file(const char *path, size_t *ret_length);

/* Parses JSON, or fails the test; to be released. */
json_t *parse(const char *text);
/* The entry of a report's or a listing's array whose `name` ends so. */
json_t *entry_of(json_t *array, const char *name, const char *ending);
/* Members that must be there. */
const char *string_of(json_t *object, const char *name);
long long number_of(json_t *object, const char *name);

#endif
