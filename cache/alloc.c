/* SPDX-License-Identifier: MIT
 *
 * alloc.c: the store's own allocations. It keeps no account and no pools: its one purpose is the
 * single place where a test can make memory run out.
 */
#include "cache/alloc.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

void *(*kcc__malloc)(size_t size) = malloc;

void *kcc__alloc(size_t size) {
  return kcc__malloc(size ? size : 1);
}

void *kcc__zalloc(size_t size) {
  void *memory = kcc__alloc(size);
  if (memory) memset(memory, 0, size);
  return memory;
}

int kcc__grow(void **array, size_t *capacity, size_t wanted, size_t item_size) {
  if (wanted <= *capacity) return 1;
  size_t bigger = *capacity ? *capacity : 64;
  while (bigger < wanted) {
    if (bigger > SIZE_MAX / 2) return 0;
    bigger *= 2;
  }
  if (bigger > SIZE_MAX / item_size) return 0;
  void *memory = kcc__alloc(bigger * item_size);
  if (!memory) return 0;
  if (*array) memcpy(memory, *array, *capacity * item_size);
  free(*array);
  *array = memory;
  *capacity = bigger;
  return 1;
}
