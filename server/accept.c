/* SPDX-License-Identifier: MIT
 *
 * accept.c: accept4() as libmicrohttpd calls it, which finds it here before libc's. MHD 0.9.75
 * takes a lack of descriptors for a limit that only the end of one of its thread's connections
 * lifts: where clients keep theirs, it never accepts again, however many descriptors there are by
 * then. So it hears that nobody waits, and asks again; the pause keeps it from spinning meanwhile.
 */
#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "server/server.h"

#define PAUSE_MS 5
#define LOG_EVERY_S 10

typedef int accept4_fn(int fd, __SOCKADDR_ARG address, socklen_t *length, int flags);

static accept4_fn *libc_accept4;

__attribute__((constructor)) static void find(void) {
  void *symbol = dlsym(RTLD_NEXT, "accept4");
  memcpy(&libc_accept4, &symbol, sizeof(symbol));
}

static void tell(int reason) {
  static atomic_llong again_s;
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  long long due = atomic_load(&again_s);
  if (now.tv_sec < due || !atomic_compare_exchange_strong(&again_s, &due, now.tv_sec + LOG_EVERY_S))
    return;
  srv_log("warn", "no-descriptors", "text=\"connections have to wait: %s\"", strerror(reason));
}

__attribute__((visibility("default"))) int accept4(int fd, __SOCKADDR_ARG address,
                                                   socklen_t *length, int flags) {
  int accepted = libc_accept4(fd, address, length, flags);
  if (accepted >= 0) return accepted;
  int reason = errno;
  if (reason == EMFILE || reason == ENFILE || reason == ENOBUFS || reason == ENOMEM) {
    tell(reason);
    poll(/* fds= */ NULL, 0, PAUSE_MS);
    reason = EAGAIN;
  }
  errno = reason;
  return -1;
}
