/* SPDX-License-Identifier: MIT
 *
 * large_pages.h: V8's code in large pages. Private to kiln-engine.
 */
#ifndef KILN_TOOLKIT_LARGE_PAGES_H
#define KILN_TOOLKIT_LARGE_PAGES_H

#include <stdbool.h>

/* Moves the code and constants of this process's large objects (libnode's, a node binary's) from
 * the files they are mapped from into large pages, which forked processes share at once: each would
 * otherwise fault hundreds of small ones in. Takes some 15 ms and 40 MiB. To be called while there
 * is one thread and /proc. False, and nothing has changed, where the kernel has no large pages. */
bool kiln__use_large_pages(void);

#endif
