/* SPDX-License-Identifier: MIT
 *
 * area.h: memory from which blobs go to sockets without being copied (splice.c). The kernel sends
 * its very pages, so what was written once stays as it is: pages are given back to the system and
 * never written again, which leaves those still under way as they were. Large pages where the
 * system has them; one area for the process.
 */
#ifndef KILN_SERVER_AREA_H
#define KILN_SERVER_AREA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SRV_AREA_SLOT ((size_t)2 << 20) /* a large page */

/* Reserves addresses for `bytes`, and some room between; once, while there is one thread. Without
 * it, or where that fails, there is never any room. */
void srv_area_open(uint64_t bytes);

/* Room for `length` bytes, to be written once and released; NULL: none, which is no error. Small
 * pieces share a slot, which is given back when the last of them goes. Any thread. */
char *srv_area_take(size_t length);
void srv_area_release(const char *data);

/* Whether an address is one of the area's. Any thread, and costs nothing. */
bool srv_area_has(const void *data);

#endif
