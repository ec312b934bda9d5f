/* SPDX-License-Identifier: MIT
 *
 * alloc.h: the store's own allocations, all through one pointer so that tests can make the n-th
 * fail. SQLite's, zstd's and OpenSSL's allocations do not pass here.
 */
#ifndef KILN_CACHE_ALLOC_H
#define KILN_CACHE_ALLOC_H

#include <stddef.h>

/* malloc(), unless a test put something else here before the first store was opened. What it
 * returns is released with free(). */
extern void *(*kcc__malloc)(size_t size);

void *kcc__alloc(size_t size);  /* NULL on out of memory; size 0 counts as 1 */
void *kcc__zalloc(size_t size); /* zeroed */
/* Grows `*array` of `*capacity` items of `item_size` to hold `wanted`; false leaves all as it is.
 */
int kcc__grow(void **array, size_t *capacity, size_t wanted, size_t item_size);

#endif
