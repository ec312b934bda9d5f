/* SPDX-License-Identifier: MIT
 *
 * malloc_ahead.h: malloc()'s heap in large pages. Private to kiln-engine.
 */
#ifndef KILN_TOOLKIT_MALLOC_AHEAD_H
#define KILN_TOOLKIT_MALLOC_AHEAD_H

#include <stddef.h>

/* For a process that will take some `bytes` from malloc() soon, and give none of them back before
 * it ends: has the heap grow by so much now, in large pages where the kernel has them. Nothing of
 * it takes memory before it is used, up to a large page; all of it counts against RLIMIT_DATA. */
void kiln__malloc_ahead(size_t bytes);

#endif
