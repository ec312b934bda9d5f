/* SPDX-License-Identifier: MIT
 *
 * filter.h: the seccomp filters of engine processes, made by the pool's side, so that an engine
 * needs no library for it and gets its filter as bytes. Private to the toolkit.
 *
 * What is not listed ends the process: by SIGSYS, whose handler (sandbox.c) tells the pool the
 * call's number before it exits; calls of another architecture (x32, int 0x80) without that. A few
 * answer with an error instead, since libraries ask and go on without: see filter.c.
 */
#ifndef KILN_TOOLKIT_FILTER_H
#define KILN_TOOLKIT_FILTER_H

#include "toolkit/kiln.h"

/* Loading a filter costs by its length, and each worker would pay. So the zygote has the long one,
 * which its forks inherit, and they load a short one that takes more away. */
typedef enum kiln_filter_kind {
  KILN_FILTER_WORKER = 0,  /* on top of the zygote's: no forks, no more filters, no other process */
  KILN_FILTER_FORKING = 1, /* ... that may fork, too: one that has run guests' code (an image) */
  KILN_FILTER_ZYGOTE = 2,
  KILN_FILTER_KINDS
} kiln_filter_kind;

/* Where a filter says this, a process puts its own id before it loads it. */
#define KILN_FILTER_OWN_PID 0x4b494c4eu

/* Instructions (struct sock_filter) of a filter; `jitless`: no page may become executable. NULL:
 * errno says why. */
kiln_bytes *kiln__filter_make(kiln_filter_kind kind, bool jitless);

/* The name of a system call of this machine; writes "call N" where it has none. */
void kiln__filter_name_call(int number, char *ret_name, size_t size);

#endif
