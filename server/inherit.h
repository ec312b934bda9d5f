/* SPDX-License-Identifier: MIT
 *
 * inherit.h: what kilnd gets from whoever started it: a listening socket, from systemd (LISTEN_FDS)
 * or from the kilnd it takes over from, and where to say that it is ready. It is read from the
 * environment and taken out of it, so that no engine sees it.
 */
#ifndef KILN_SERVER_INHERIT_H
#define KILN_SERVER_INHERIT_H

#include <stdbool.h>
#include <stddef.h>

/* Numbers of descriptors, from a kilnd to the next. */
#define SRV_ENV_LISTEN "KILND_LISTEN_FD"
#define SRV_ENV_READY "KILND_READY_FD"

typedef struct srv_inherited {
  int listen_fd; /* -1: none */
  int ready_fd;  /* of the kilnd before this one; -1: there is none */
} srv_inherited;

/* While there is one thread. False: the environment says what cannot be. */
bool srv_inherit(srv_inherited *ret_inherited, char *message, size_t message_size);

/* Tells the kilnd before this one that requests are taken. */
void srv_inherited_ready(srv_inherited *inherited);

#endif
