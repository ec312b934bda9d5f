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
/* What is shorter is copied in less time than handing its pages on takes. */
#define SRV_AREA_MIN ((size_t)32 << 10)

/* Reserves addresses for `bytes`, and some room between; once, while there is one thread. Without
 * it, or where that fails, there is never any room.
 *
 * A byte under way keeps its large page, so who asks for much and reads nothing would have two
 * megabytes for each 32 KiB. Therefore a slot that was given back is used again after `rest_ms`
 * only, when such clients have been cut off: it is the area's size that they can have. */
void srv_area_open(uint64_t bytes, uint64_t rest_ms);

/* Room for `length` bytes, to be written once and released; NULL: none, which is no error. Small
 * pieces share a slot, which is given back when the last of them goes. Any thread. */
char *srv_area_take(size_t length);
void srv_area_release(const char *data);

/* Whether an address is one of the area's. Any thread, and costs nothing. */
bool srv_area_has(const void *data);

#endif
