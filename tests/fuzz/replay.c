/* SPDX-License-Identifier: MIT
 *
 * replay.c: FUZZ-TARGET PATH...: feeds a target with files, or all files of folders, and with a few
 * hundred variants of each, always the same ones: an ordinary test of what libFuzzer looks for.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/fuzz/fuzz.h"

#define INPUT_MAX (1 << 20)
#define VARIANTS 300

static uint8_t input[INPUT_MAX];
static unsigned long runs;
static unsigned files;

static uint32_t next_random(void) {
  static uint64_t state = 20261121;
  state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
  return (uint32_t)(state >> 33);
}

/* In memory of just that size, so that a byte too far is seen. */
static void feed(const uint8_t *data, size_t size) {
  uint8_t *copy = malloc(size > 0 ? size : 1);
  if (copy == NULL) abort();
  memcpy(copy, data, size);
  LLVMFuzzerTestOneInput(copy, size);
  free(copy);
  runs++;
}

static void feed_variants(size_t size) {
  static uint8_t variant[INPUT_MAX];
  if (size == 0) return;
  for (int i = 0; i < VARIANTS; i++) {
    size_t length = size;
    memcpy(variant, input, size);
    for (uint32_t changes = next_random() % 4 + 1; changes > 0; changes--) {
      size_t at = next_random() % length;
      switch (next_random() % 4) {
        case 0:
          variant[at] ^= (uint8_t)(1U << next_random() % 8);
          break;
        case 1:
          variant[at] = (uint8_t)next_random();
          break;
        case 2:
          length = at + 1;
          break;
        default:
          memmove(variant + at, variant + next_random() % length, 1);
      }
    }
    feed(variant, length);
  }
}

static void take_file(const char *path) {
  FILE *in = fopen(path, "re");
  if (in == NULL) {
    perror(path);
    exit(EXIT_FAILURE);
  }
  size_t size = fread(input, 1, sizeof(input), in);
  fclose(in);
  files++;
  feed(input, size);
  feed_variants(size);
}

static void take(const char *path) {
  struct dirent **entries;
  struct stat info;
  if (stat(path, &info) != 0 || !S_ISDIR(info.st_mode)) {
    take_file(path);
    return;
  }
  int count = scandir(path, &entries, NULL, alphasort);
  for (int i = 0; i < count; i++) {
    char file[4096];
    snprintf(file, sizeof(file), "%s/%s", path, entries[i]->d_name);
    if (entries[i]->d_name[0] != '.') take_file(file);
    free(entries[i]);
  }
  if (count >= 0) free(entries);
}

int main(int argc, char **argv) {
  for (int i = 1; i < argc; i++) take(argv[i]);
  printf("%u seeds, %lu inputs\n100%%: Checks: %u, Failures: 0, Errors: 0\n", files, runs, files);
  return files > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
