/* SPDX-License-Identifier: MIT
 *
 * large_pages.c: see large_pages.h.
 */
#include "toolkit/large_pages.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define LARGE ((size_t)2 << 20)
#define TOTAL_MAX ((size_t)160 << 20)
#define MAPPINGS_MAX 16
#define COLLAPSE 25 /* MADV_COLLAPSE, Linux 6.1 */

typedef struct mapping {
  char *from;
  size_t length; /* both multiples of LARGE */
  int protection;
} mapping;

static char *round_up(size_t address) {
  return (char *)((address + LARGE - 1) & ~(LARGE - 1));
}

/* The code of objects and the constants behind it: their parts that fill large pages. */
static size_t find(mapping *found) {
  size_t count = 0, total = 0;
  FILE *maps = fopen("/proc/self/maps", "re");
  char line[512], object[512] = ""; /* whose code was the last one found */
  while (maps && count < MAPPINGS_MAX && fgets(line, sizeof(line), maps)) {
    size_t from, to;
    char rights[5];
    int path = 0;
    if (sscanf(line, "%zx-%zx %4s %*s %*s %*s %n", &from, &to, rights, &path) < 3 ||
        line[path] != '/' || rights[0] != 'r' || rights[1] == 'w' || rights[3] != 'p')
      continue;
    bool code = rights[2] == 'x';
    if (!code && strcmp(object, line + path) != 0) continue;
    char *begin = round_up(from), *end = (char *)(to & ~(LARGE - 1));
    if (begin >= end || total + (size_t)(end - begin) > TOTAL_MAX) continue;
    if (code) memcpy(object, line + path, strlen(line + path) + 1);
    total += (size_t)(end - begin);
    found[count++] =
        (mapping){begin, (size_t)(end - begin), code ? PROT_READ | PROT_EXEC : PROT_READ};
  }
  if (maps) fclose(maps);
  return count;
}

/* Nothing but the C library runs between the copy and its move, and what is moved is the same. */
static bool replace(const mapping *one) {
  size_t size = one->length + LARGE;
  char *room =
      mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, /* fd= */ -1, 0);
  if (room == MAP_FAILED) return false;
  char *copy = round_up((size_t)room);
  madvise(copy, one->length, MADV_HUGEPAGE);
  memcpy(copy, one->from, one->length);
  bool moved =
      madvise(copy, one->length, COLLAPSE) == 0 &&
      mprotect(copy, one->length, one->protection) == 0 &&
      mremap(copy, one->length, one->length, MREMAP_MAYMOVE | MREMAP_FIXED, one->from) == one->from;
  if (!moved) {
    munmap(room, size);
    return false;
  }
  if (copy > room) munmap(room, (size_t)(copy - room));
  if (copy + one->length < room + size)
    munmap(copy + one->length, (size_t)(room + size - (copy + one->length)));
  return true;
}

bool kiln__use_large_pages(void) {
  mapping found[MAPPINGS_MAX];
  size_t count = find(found);
  for (size_t i = 0; i < count; i++)
    if (!replace(&found[i])) return false; /* and so it will be with the others */
  return count > 0;
}
