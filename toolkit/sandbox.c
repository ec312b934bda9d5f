/* SPDX-License-Identifier: MIT
 *
 * sandbox.c: the doors an engine process closes behind itself. What differs from job to job
 * (RLIMIT_DATA, RLIMIT_CPU) is set from outside by the pool, with prlimit(), when it gives a worker
 * its job. Deciding what a worker's death means is the pool's part too.
 */
#include "toolkit/sandbox.h"

#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "toolkit/job.h"

/* A job brings at most KILN_WIRE_FDS_MAX + 1, its answer needs a few more. */
#define FDS_MAX (KILN_WIRE_FDS_MAX + 32)
/* Guests yield to whoever serves other requests. */
#define WORKER_NICE 10

static bool die_with(pid_t parent) {
  /* The signal comes only for a death from now on: look whether it has happened already. */
  return prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == parent;
}

static bool limit(__rlimit_resource_t resource, rlim_t value) {
  struct rlimit old;
  if (getrlimit(resource, &old) != 0) return false;
  if (old.rlim_max < value) value = old.rlim_max; /* stricter already */
  struct rlimit wanted = {value, value};
  return setrlimit(resource, &wanted) == 0;
}

static uint64_t data_bytes; /* before the first job */

uint64_t kiln_sandbox_data_bytes(void) {
#ifdef KILN_ADDRESS_SANITIZER
  return 0; /* the limit is off: shadow memory alone is terabytes */
#else
  unsigned long pages = 0;
  FILE *statm = fopen("/proc/self/statm", "r");
  if (!statm) return 0;
  if (fscanf(statm, "%*u %*u %*u %*u %*u %lu", &pages) != 1) pages = 0;
  fclose(statm);
  data_bytes = (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
  return data_bytes;
#endif
}

/* Memory counts as used up when an eighth of what the job may have is no longer to be had. */
static bool memory_is_used_up(void) {
  struct rlimit data;
  if (getrlimit(RLIMIT_DATA, &data) != 0 || data.rlim_cur == RLIM_INFINITY) return false;
  size_t size = (data.rlim_cur > data_bytes ? data.rlim_cur - data_bytes : data.rlim_cur) / 8;
  void *probe = mmap(/* addr= */ NULL, size, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, /* fd= */ -1, /* offset= */ 0);
  if (probe == MAP_FAILED) return true;
  munmap(probe, size);
  return false;
}

void kiln_sandbox_exit_fatal(int other) {
  _exit(memory_is_used_up() ? KILN_EXIT_MEMORY_LIMIT : other);
}

#ifndef KILN_ADDRESS_SANITIZER
/* V8 answers many a failed allocation with a trap. Was it memory, say so; if not, die of the signal
 * as anybody would: the handler was reset when this was called, and returning repeats the fault. */
static void on_fatal_signal(int signal_number) {
  if (memory_is_used_up()) _exit(KILN_EXIT_MEMORY_LIMIT);
  raise(signal_number);
}

static bool handle_fatal_signals(void) {
  static char stack_of_handler[16384];
  stack_t stack = {.ss_sp = stack_of_handler, .ss_size = sizeof(stack_of_handler)};
  struct sigaction action = {.sa_handler = on_fatal_signal,
                             .sa_flags = (int)(SA_ONSTACK | SA_RESETHAND | SA_NODEFER)};
  const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGTRAP, SIGABRT, SIGFPE};
  sigemptyset(&action.sa_mask);
  if (sigaltstack(&stack, /* old= */ NULL) != 0) return false;
  for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
    if (sigaction(signals[i], &action, /* old= */ NULL) != 0) return false;
  return true;
}
#endif

bool kiln_sandbox_prepare(pid_t parent) {
  if (close_range(KILN_CHANNEL + 1, ~0u, 0) != 0) return false;
  if (!die_with(parent)) return false;
  if (!limit(RLIMIT_CORE, 0) || !limit(RLIMIT_NOFILE, FDS_MAX) ||
      !limit(RLIMIT_FSIZE, KILN_WIRE_PAYLOAD_MAX))
    return false;
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return false;
#ifndef KILN_ADDRESS_SANITIZER /* which has handlers of its own, that report */
  if (!handle_fatal_signals()) return false;
#endif
  return true;
}

bool kiln_sandbox_detach(int channel, pid_t parent) {
  if (dup2(channel, KILN_CHANNEL) != KILN_CHANNEL) return false;
  if (close_range(KILN_CHANNEL + 1, ~0u, 0) != 0) return false;
  return die_with(parent);
}

/* The place for landlock and the seccomp filter. They are not here yet: until they are, a script
 * that takes over its process can do what the user kilnd runs as can do, within the limits above.
 */
bool kiln_sandbox_enter(void) {
  return setpriority(PRIO_PROCESS, 0, WORKER_NICE) == 0;
}
