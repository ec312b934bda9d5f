/* SPDX-License-Identifier: MIT
 *
 * signals.h: signals as flags and a wake-up, so that a storm of one kind hides no other.
 */
#ifndef KILN_SERVER_SIGNALS_H
#define KILN_SERVER_SIGNALS_H

#include <stdbool.h>

/* SIGTERM and SIGINT (one flag), SIGHUP, SIGUSR2; SIGPIPE is ignored. */
typedef enum srv_signal { SRV_SIGNAL_STOP, SRV_SIGNAL_RELOAD, SRV_SIGNAL_RESTART } srv_signal;
#define SRV_SIGNALS 3

bool srv_signals_catch(void);

/* Waits till a signal comes, `fd` (-1: none) can be read, or `timeout_ms` passed (-1: never). */
void srv_signals_wait(int fd, int timeout_ms);

/* Whether it has come since this was asked last. */
bool srv_signals_take(srv_signal signal);

#endif
