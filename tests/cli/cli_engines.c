/* SPDX-License-Identifier: MIT
 *
 * cli_engines.c: see cli_engines.h.
 */
#include "tests/cli/cli_engines.h"

#include <check.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ENGINES_MAX 16

static test_engine engines[ENGINES_MAX];
static unsigned count;

static const char *registry(void) {
  const char *path = getenv("KILN_TEST_ENGINES");
  if (path != NULL) return path;
  fprintf(stderr, "KILN_TEST_ENGINES, the registry of the tests' engines, is not set\n");
  exit(EXIT_FAILURE);
}

static int by_version(const void *a, const void *b) {
  return strverscmp(((const test_engine *)a)->name, ((const test_engine *)b)->name);
}

static void load(void) {
  if (count > 0) return;
  (void)snprintf(engines[0].name, sizeof(engines[0].name), "node-18");
  (void)snprintf(engines[0].node, sizeof(engines[0].node), "%s", KILN_TEST_NODE18);
  count = 1;
  DIR *list = opendir(registry());
  const struct dirent *entry;
  while (list != NULL && (entry = readdir(list)) != NULL) {
    char path[512];
    (void)snprintf(path, sizeof(path), "%.250s/%.200s/engine.json", registry(), entry->d_name);
    json_t *record = json_load_file(path, 0, NULL);
    const char *node = json_string_value(json_object_get(record, "node"));
    if (node != NULL && count < ENGINES_MAX) {
      (void)snprintf(engines[count].name, sizeof(engines[count].name), "%.31s", entry->d_name);
      (void)snprintf(engines[count].node, sizeof(engines[count].node), "%s", node);
      count++;
    }
    json_decref(record);
  }
  if (list != NULL) (void)closedir(list);
  qsort(engines + 1, count - 1, sizeof(engines[0]), by_version);
}

unsigned engines_count(void) {
  load();
  if (count < 2) {
    fprintf(stderr, "no engines in '%s'\n", registry());
    exit(EXIT_FAILURE);
  }
  return count;
}

const test_engine *engine_at(unsigned index) {
  ck_assert_uint_lt(index, engines_count());
  return &engines[index];
}

const test_engine *engine_of(unsigned major) {
  const test_engine *newest = NULL;
  char prefix[32];
  int length = snprintf(prefix, sizeof(prefix), "node-%u.", major);
  for (unsigned i = 1; i < engines_count(); i++) {
    if (strncmp(engines[i].name, prefix, (size_t)length) == 0) newest = &engines[i];
  }
  ck_assert_msg(newest != NULL, "no engine for Node %u", major);
  return newest;
}

const test_engine *newest_engine(void) {
  return engine_at(engines_count() - 1);
}

const char *const *engines_settings(void) {
  static char setting[300];
  static const char *const settings[] = {setting, NULL};
  (void)snprintf(setting, sizeof(setting), "KILN_ENGINES=%.250s", registry());
  return settings;
}
