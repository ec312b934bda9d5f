/* SPDX-License-Identifier: MIT
 *
 * restart.h: another kilnd in the place of this one, without a gap: it is started with the same
 * arguments and inherits the listening socket. Once it takes requests this one leaves; if it does
 * not come so far this one goes on.
 */
#ifndef KILN_SERVER_RESTART_H
#define KILN_SERVER_RESTART_H

#include <stdint.h>
#include <sys/types.h>

#include "server/options.h"

typedef struct srv_restart {
  pid_t pid;    /* of the new kilnd; 0: there is none */
  int ready_fd; /* to be polled while there is one */
  int64_t due_ms;
} srv_restart;

typedef enum srv_restart_result {
  SRV_RESTART_GOES_ON,
  SRV_RESTART_DONE,
  SRV_RESTART_FAILED
} srv_restart_result;

/* Remembers which program this is; before anything changes the working directory. */
void srv_restart_init(void);

/* Starts the new kilnd; logs why not. Does nothing while one is being started. */
void srv_restart_begin(srv_restart *restart, char **argv, int listen_fd, int64_t timeout_ms);

/* Looks how far it is; does not wait. DONE leaves it to itself, FAILED has ended and reaped it. */
srv_restart_result srv_restart_look(srv_restart *restart);

/* Ends what is being started. */
void srv_restart_cancel(srv_restart *restart);

#endif
