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

/* Loading even the shortest filter costs a worker more than all that it calls under it. So a zygote
 * has one, which its workers inherit: they have no other, and may do what it may, but for forking,
 * which takes a number that only it knows. An image's process has run guests' code and forks, so
 * that it can have no secret: it comes from a zygote that has none, and its forks load a short
 * filter on top. */
typedef enum kiln_filter_kind {
  KILN_FILTER_WORKER = 0, /* an image's fork: on top of a breeder's, no forks and no more filters */
  KILN_FILTER_FORKING = 1, /* an image's process; a kind of fork: there is no such filter */
  KILN_FILTER_ZYGOTE = 2,  /* a zygote's and its workers' */
  KILN_FILTER_BREEDER = 3, /* a zygote's whose forks are images, and theirs */
  KILN_FILTER_KINDS
} kiln_filter_kind;

/* Each is one instruction of a zygote's filter, which puts random bits in their place. */
#define KILN_FILTER_SECRET_LOW 0x4b494c4eu
#define KILN_FILTER_SECRET_HIGH 0x4e4c494bu

/* The channel's descriptor in a zygote and in a worker. */
#define KILN_CHANNEL 3
/* Guests yield to whoever serves other requests. */
#define KILN_WORKER_NICE 10

/* Instructions (struct sock_filter) of a filter, not of KILN_FILTER_FORKING; `jitless`: no page may
 * become executable. NULL: errno says why. */
kiln_bytes *kiln__filter_make(kiln_filter_kind kind, bool jitless);

/* The name of a system call of this machine; writes "call N" where it has none. */
void kiln__filter_name_call(int number, char *ret_name, size_t size);

#endif
