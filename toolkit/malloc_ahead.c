/* SPDX-License-Identifier: MIT
 *
 * malloc_ahead.c: see malloc_ahead.h.
 */
#include "toolkit/malloc_ahead.h"

#include <limits.h>
#include <malloc.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define LARGE ((size_t)2 << 20)

void kiln__malloc_ahead(size_t bytes) {
  /* From the heap's end and not from a mapping, and to stay there when it is free again. */
  if (bytes > INT_MAX - LARGE || mallopt(M_MMAP_THRESHOLD, (int)(bytes + LARGE)) != 1 ||
      mallopt(M_TRIM_THRESHOLD, INT_MAX) != 1)
    return;
  void *volatile room = malloc(bytes); /* volatile: else compilers leave both calls out */
  free(room);
  char *end = sbrk(0);
  if (!room || (char *)room > end || (size_t)(end - (char *)room) < bytes) return;
  char *begin = (char *)(((size_t)room + LARGE - 1) & ~(LARGE - 1));
  char *last = (char *)((size_t)end & ~(LARGE - 1));
  if (begin < last) madvise(begin, (size_t)(last - begin), MADV_HUGEPAGE);
}
