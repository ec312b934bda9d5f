/* SPDX-License-Identifier: MIT
 *
 * cli_engines.h: the engines that the tests of the command bake for: libv8's own first, then one
 * for each official Node in the tests' registry, which a fixture has made.
 */
#ifndef KILN_TESTS_CLI_ENGINES_H
#define KILN_TESTS_CLI_ENGINES_H

#include "tests/cli/cli_support.h"

typedef struct test_engine {
  char name[32];
  char node[512]; /* the official Node that takes its blobs */
} test_engine;

/* Fails the test if there are not at least two: libv8's own and another. */
unsigned engines_count(void);
const test_engine *engine_at(unsigned index);
/* The newest of a Node's major version. */
const test_engine *engine_of(unsigned major);
/* The newest Node's. */
const test_engine *newest_engine(void);

/* Runs kiln with the tests' registry. */
#define KILN_ENGINES(...) kiln_with(engines_settings(), (const char *const[]){__VA_ARGS__, NULL})
const char *const *engines_settings(void);

#endif
