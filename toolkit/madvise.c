/* SPDX-License-Identifier: MIT
 *
 * madvise.c: V8 keeps its heap out of forked children (MADV_DONTFORK), and a worker is one: without
 * this it would crash at its first use of the isolate. All else is passed on. It is in the program
 * or preloaded, so this definition is the one that V8 finds, wherever V8 is.
 */
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

__attribute__((visibility("default"))) int madvise(void *address, size_t length, int advice) {
  if (advice == MADV_DONTFORK) return 0;
  return (int)syscall(SYS_madvise, address, length, advice);
}
