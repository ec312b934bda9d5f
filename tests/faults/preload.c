/* SPDX-License-Identifier: MIT
 *
 * preload.c: an object for LD_PRELOAD that makes calls of one process fail now and then, and moves
 * its clock. A file that the driver writes and that is mapped here says which and how often:
 * $KILN_FAULTS names it, see `control` below. Only files under $KILN_FAULTS_BELOW get faults of
 * storage.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

/* Shares are of 65536 calls. `faults` counts what was made to fail. */
typedef struct control {
  _Atomic uint32_t no_space; /* writes of storage: ENOSPC */
  _Atomic uint32_t io_write; /* writes, syncs, truncations: EIO */
  _Atomic uint32_t io_read;  /* reads: EIO */
  _Atomic uint32_t no_files; /* whatever makes a descriptor: EMFILE */
  _Atomic uint32_t faults;
  _Atomic uint32_t seed;
  _Atomic int64_t clock_shift_s; /* of CLOCK_REALTIME */
} control;

static control *wanted;
static const char *below;
#define FDS_MAX 4096
static _Atomic uint8_t is_storage[FDS_MAX];
static _Thread_local uint64_t random_state;

__attribute__((constructor)) static void start(void) {
  const char *path = getenv("KILN_FAULTS");
  below = getenv("KILN_FAULTS_BELOW");
  if (path == NULL || below == NULL) return;
  int fd = open(path, O_RDWR | O_CLOEXEC);
  if (fd < 0) abort();
  void *map = mmap(NULL, sizeof(control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (map == MAP_FAILED) abort();
  close(fd);
  wanted = map;
}

static bool strikes(const _Atomic uint32_t *share) {
  uint32_t limit = atomic_load_explicit(share, memory_order_relaxed);
  if (limit == 0) return false;
  if (random_state == 0) random_state = atomic_fetch_add(&wanted->seed, 2) | 1;
  random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
  if ((random_state >> 33 & 0xffff) >= limit) return false;
  atomic_fetch_add(&wanted->faults, 1);
  return true;
}

static bool fails(int fd, const _Atomic uint32_t *share, int error) {
  if (wanted == NULL || fd < 0 || fd >= FDS_MAX || !atomic_load(&is_storage[fd]) || !strikes(share))
    return false;
  errno = error;
  return true;
}

static bool cannot_write(int fd) {
  return wanted != NULL &&
         (fails(fd, &wanted->no_space, ENOSPC) || fails(fd, &wanted->io_write, EIO));
}

static bool out_of_files(void) {
  if (wanted == NULL || !strikes(&wanted->no_files)) return false;
  errno = EMFILE;
  return true;
}

#define SHOWN __attribute__((visibility("default")))

/* The next definition of the function that this one hides. */
#define NEXT(name)                          \
  static __typeof__(&name) next;            \
  if (next == NULL) {                       \
    void *symbol = dlsym(RTLD_NEXT, #name); \
    memcpy(&next, &symbol, sizeof(symbol)); \
  }

static int opened(int fd, const char *path) {
  if (fd < 0 || fd >= FDS_MAX) return fd;
  atomic_store(&is_storage[fd], below != NULL && strncmp(path, below, strlen(below)) == 0);
  return fd;
}

#define MODE_OF(flags, mode)                    \
  mode_t mode = 0;                              \
  if (((flags) & (O_CREAT | O_TMPFILE)) != 0) { \
    va_list args;                               \
    va_start(args, flags);                      \
    mode = va_arg(args, mode_t);                \
    va_end(args);                               \
  }

SHOWN int open(const char *path, int flags, ...) {
  NEXT(open)
  MODE_OF(flags, mode)
  return out_of_files() ? -1 : opened(next(path, flags, mode), path);
}

SHOWN int open64(const char *path, int flags, ...) {
  NEXT(open64)
  MODE_OF(flags, mode)
  return out_of_files() ? -1 : opened(next(path, flags, mode), path);
}

SHOWN int memfd_create(const char *name, unsigned flags) {
  NEXT(memfd_create)
  return out_of_files() ? -1 : opened(next(name, flags), "");
}

SHOWN int accept4(int fd, __SOCKADDR_ARG address, socklen_t *length, int flags) {
  NEXT(accept4)
  return out_of_files() ? -1 : opened(next(fd, address, length, flags), "");
}

SHOWN int socketpair(int domain, int type, int protocol, int fds[2]) {
  NEXT(socketpair)
  return out_of_files() ? -1 : next(domain, type, protocol, fds);
}

SHOWN ssize_t write(int fd, const void *data, size_t length) {
  NEXT(write)
  return cannot_write(fd) ? -1 : next(fd, data, length);
}

SHOWN ssize_t pwrite(int fd, const void *data, size_t length, off_t offset) {
  NEXT(pwrite)
  return cannot_write(fd) ? -1 : next(fd, data, length, offset);
}

SHOWN ssize_t pwrite64(int fd, const void *data, size_t length, off64_t offset) {
  NEXT(pwrite64)
  return cannot_write(fd) ? -1 : next(fd, data, length, offset);
}

SHOWN int fsync(int fd) {
  NEXT(fsync)
  return cannot_write(fd) ? -1 : next(fd);
}

SHOWN int fdatasync(int fd) {
  NEXT(fdatasync)
  return cannot_write(fd) ? -1 : next(fd);
}

SHOWN int ftruncate(int fd, off_t length) {
  NEXT(ftruncate)
  return cannot_write(fd) ? -1 : next(fd, length);
}

SHOWN int ftruncate64(int fd, off64_t length) {
  NEXT(ftruncate64)
  return cannot_write(fd) ? -1 : next(fd, length);
}

SHOWN ssize_t read(int fd, void *data, size_t length) {
  NEXT(read)
  return wanted != NULL && fails(fd, &wanted->io_read, EIO) ? -1 : next(fd, data, length);
}

SHOWN ssize_t pread(int fd, void *data, size_t length, off_t offset) {
  NEXT(pread)
  return wanted != NULL && fails(fd, &wanted->io_read, EIO) ? -1 : next(fd, data, length, offset);
}

SHOWN ssize_t pread64(int fd, void *data, size_t length, off64_t offset) {
  NEXT(pread64)
  return wanted != NULL && fails(fd, &wanted->io_read, EIO) ? -1 : next(fd, data, length, offset);
}

/* ---- the clock */

static time_t shift(void) {
  return wanted != NULL ? (time_t)atomic_load(&wanted->clock_shift_s) : 0;
}

SHOWN int clock_gettime(clockid_t clock, struct timespec *ret_time) {
  NEXT(clock_gettime)
  int result = next(clock, ret_time);
  if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
    ret_time->tv_sec += shift();
  return result;
}

SHOWN time_t time(time_t *ret_time) {
  NEXT(time)
  time_t now = next(NULL) + shift();
  if (ret_time != NULL) *ret_time = now;
  return now;
}

SHOWN int gettimeofday(struct timeval *ret_time, void *zone) {
  NEXT(gettimeofday)
  int result = next(ret_time, zone);
  if (result == 0) ret_time->tv_sec += shift();
  return result;
}
