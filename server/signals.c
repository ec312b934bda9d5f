/* SPDX-License-Identifier: MIT
 *
 * signals.c: see signals.h. Handlers and a pipe, not blocked signals: the engines that are started
 * must not inherit a mask that keeps them from being ended.
 */
#include "server/signals.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <unistd.h>

static int wake_pipe[2] = {-1, -1};
static atomic_bool flags[SRV_SIGNALS];
_Static_assert(ATOMIC_BOOL_LOCK_FREE == 2, "a signal handler sets them");

static void on_signal(int number) {
  int saved = errno;
  srv_signal signal = number == SIGHUP    ? SRV_SIGNAL_RELOAD
                      : number == SIGUSR2 ? SRV_SIGNAL_RESTART
                                          : SRV_SIGNAL_STOP;
  atomic_store(&flags[signal], true);
  (void)!write(wake_pipe[1], "", 1); /* a full pipe wakes as well */
  errno = saved;
}

bool srv_signals_catch(void) {
  static const int caught[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR2};
  struct sigaction catch = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
  struct sigaction ignore = {.sa_handler = SIG_IGN};
  if (pipe2(wake_pipe, O_CLOEXEC | O_NONBLOCK) != 0) return false;
  sigemptyset(&catch.sa_mask);
  sigemptyset(&ignore.sa_mask);
  for (size_t i = 0; i < sizeof(caught) / sizeof(caught[0]); i++)
    if (sigaction(caught[i], &catch, NULL) != 0) return false;
  return sigaction(SIGPIPE, &ignore, NULL) == 0;
}

void srv_signals_wait(int fd, int timeout_ms) {
  char waste[256];
  struct pollfd entries[] = {{.fd = wake_pipe[0], .events = POLLIN}, {.fd = fd, .events = POLLIN}};
  if (poll(entries, 2, timeout_ms) <= 0) return;
  while (read(wake_pipe[0], waste, sizeof(waste)) > 0) continue;
}

bool srv_signals_take(srv_signal signal) {
  return atomic_exchange(&flags[signal], false);
}
