/* SPDX-License-Identifier: MIT
 *
 * inherit.c: see inherit.h. systemd's protocol is sd_listen_fds(3).
 */
#include "server/inherit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server/notify.h"

#define SYSTEMD_FIRST_FD 3

/* A variable's number; -1: it is not set, -2: it is none. */
static long take_number(const char *name) {
  const char *text = getenv(name);
  char *end = NULL;
  if (text == NULL) return -1;
  errno = 0;
  long number = strtol(text, &end, 10);
  bool good = errno == 0 && end != text && *end == '\0' && number >= 0;
  unsetenv(name);
  return good ? number : -2;
}

static bool is_open(long fd) {
  return fd >= SYSTEMD_FIRST_FD && fd < 1 << 20 && fcntl((int)fd, F_SETFD, FD_CLOEXEC) == 0;
}

bool srv_inherit(srv_inherited *ret_inherited, char *message, size_t message_size) {
  srv_inherited found = {.listen_fd = -1, .ready_fd = -1};
  long pid = take_number("LISTEN_PID");
  long fds = take_number("LISTEN_FDS");
  long listen_fd = take_number(SRV_ENV_LISTEN);
  long ready_fd = take_number(SRV_ENV_READY);
  unsetenv("LISTEN_FDNAMES");
  srv_notify_init();
  if (pid == (long)getpid() && fds > 1) {
    snprintf(message, message_size, "LISTEN_FDS: %ld sockets, kilnd serves one", fds);
    return false;
  }
  if (pid == (long)getpid() && fds == 1) listen_fd = SYSTEMD_FIRST_FD;
  if (listen_fd != -1 && !is_open(listen_fd)) {
    snprintf(message, message_size, "the inherited listening socket: is no open descriptor");
    return false;
  }
  if (ready_fd != -1 && !is_open(ready_fd)) {
    snprintf(message, message_size, SRV_ENV_READY ": is no open descriptor");
    return false;
  }
  found.listen_fd = (int)listen_fd;
  found.ready_fd = (int)ready_fd;
  *ret_inherited = found;
  return true;
}

void srv_inherited_ready(srv_inherited *inherited) {
  if (inherited->ready_fd < 0) return;
  (void)!write(inherited->ready_fd, "R", 1);
  close(inherited->ready_fd);
  inherited->ready_fd = -1;
}
