/* SPDX-License-Identifier: MIT
 *
 * splice.c: sendmsg() and send() as libmicrohttpd calls them, which finds them here before libc's:
 * what lies in the area (area.h) leaves through a pipe, its pages being handed on instead of
 * copied. MHD itself can send files so, but 128 KiB at a time and from page caches only, whose
 * pages are small or come from a disk again, unverified.
 *
 * What the socket does not take is left in the pipe, which then goes; so each thread has one that
 * is empty. Where there is none, for want of descriptors or of what users may have in pipes, libc's
 * functions copy. They have the last word anyway: MHD waits for room only where one was told that
 * there is none.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "server/area.h"

#define SHOWN __attribute__((visibility("default")))
#define PIPE_BYTES (256 << 10)

typedef struct conduit { /* a thread's pipe */
  int out;
  int in;
} conduit;

typedef ssize_t sendmsg_fn(int fd, const struct msghdr *message, int flags);
typedef ssize_t send_fn(int fd, const void *data, size_t length, int flags);

static sendmsg_fn *libc_sendmsg;
static send_fn *libc_send;
static pthread_key_t conduits;
static bool has_conduits;

static void close_conduit(void *closed) {
  conduit *it = closed;
  if (it->out >= 0) close(it->out);
  if (it->in >= 0) close(it->in);
  it->out = it->in = -1;
}

static void free_conduit(void *ended) {
  close_conduit(ended);
  free(ended);
}

__attribute__((constructor)) static void find(void) {
  void *symbol = dlsym(RTLD_NEXT, "sendmsg");
  memcpy(&libc_sendmsg, &symbol, sizeof(symbol));
  symbol = dlsym(RTLD_NEXT, "send");
  memcpy(&libc_send, &symbol, sizeof(symbol));
  has_conduits = pthread_key_create(&conduits, free_conduit) == 0;
}

/* This thread's, empty; NULL: there is none. */
static conduit *get_conduit(void) {
  if (!has_conduits) return NULL;
  conduit *it = pthread_getspecific(conduits);
  if (it == NULL) {
    it = malloc(sizeof(*it));
    if (it == NULL) return NULL;
    *it = (conduit){-1, -1};
    if (pthread_setspecific(conduits, it) != 0) {
      free(it);
      return NULL;
    }
  }
  if (it->out >= 0) return it;
  int ends[2];
  if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return NULL;
  *it = (conduit){ends[0], ends[1]};
  /* If the user has had his share of pages it stays smaller, and takes more rounds. */
  int size = fcntl(it->in, F_SETPIPE_SZ, PIPE_BYTES);
  (void)size;
  return it;
}

/* Hands on what the socket takes; fewer than `length` bytes if it is full, or cannot be asked. */
static size_t hand_on(int fd, const char *data, size_t length, int flags) {
  size_t sent = 0;
  conduit *it = get_conduit();
  while (it != NULL && sent < length) {
    union {
      const char *in;
      void *out;
    } from = {.in = data + sent};
    struct iovec vector = {.iov_base = from.out, .iov_len = length - sent};
    ssize_t filled = vmsplice(it->in, &vector, 1, SPLICE_F_NONBLOCK);
    if (filled <= 0) break;
    bool more = (size_t)filled < length - sent || (flags & MSG_MORE) != 0;
    ssize_t taken = splice(it->out, /* off_in= */ NULL, fd, /* off_out= */ NULL, (size_t)filled,
                           SPLICE_F_NONBLOCK | (more ? SPLICE_F_MORE : 0));
    if (taken > 0) sent += (size_t)taken;
    if (taken == filled) continue;
    close_conduit(it);
    break;
  }
  return sent;
}

static ssize_t send_from_area(int fd, const char *data, size_t length, int flags) {
  size_t sent = length >= SRV_AREA_MIN ? hand_on(fd, data, length, flags) : 0;
  if (sent == length) return (ssize_t)sent;
  ssize_t rest = libc_send(fd, data + sent, length - sent, flags);
  if (rest >= 0) return (ssize_t)sent + rest;
  return sent > 0 ? (ssize_t)sent : -1;
}

/* Head and body of an answer. */
static ssize_t send_two(int fd, const struct iovec *parts, int flags) {
  ssize_t head = libc_send(fd, parts[0].iov_base, parts[0].iov_len, flags | MSG_MORE);
  if (head < 0 || (size_t)head < parts[0].iov_len) return head;
  ssize_t body = send_from_area(fd, parts[1].iov_base, parts[1].iov_len, flags);
  return body > 0 ? head + body : head;
}

SHOWN ssize_t sendmsg(int fd, const struct msghdr *message, int flags) {
  const struct iovec *parts = message->msg_iov;
  if (message->msg_iovlen == 2 && parts[0].iov_len > 0 && parts[1].iov_len >= SRV_AREA_MIN &&
      srv_area_has(parts[1].iov_base)) {
    return send_two(fd, parts, flags);
  }
  return libc_sendmsg(fd, message, flags);
}

SHOWN ssize_t send(int fd, const void *data, size_t length, int flags) {
  if (srv_area_has(data)) return send_from_area(fd, data, length, flags);
  return libc_send(fd, data, length, flags);
}
