/* SPDX-License-Identifier: MIT
 *
 * sandbox.c: the doors an engine process closes behind itself. It does so itself, all of it: the
 * pool may lack the right to limit a process of another user. Deciding what a worker's death means
 * is the pool's part.
 */
#include "toolkit/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "toolkit/job.h"

/* A job brings at most KILN_WIRE_FDS_MAX + 1, its answer needs a few more. */
#define FDS_MAX (KILN_WIRE_FDS_MAX + 32)
/* V8's background threads use processor time too; the deadline proper is the wall clock's. */
#define CPU_THREADS 5

/* A pipe's ends: closed by all who may write, it tells its reader that they are gone. */
static int lifeline[2] = {-1, -1};

bool kiln_sandbox_die_with(pid_t parent) {
  /* The signal comes only for a death from now on: look whether it has happened already. */
  if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) return false;
  pid_t now = getppid();
  /* From a pid namespace the parent has no number. If it has gone, the channel is closed, too. */
  return now == parent || (now == 0 && lifeline[1] >= 0);
}

/* Whether this process might raise a hard limit. */
static bool is_privileged = true;

/* Both limits sink to `value`, where they are not lower already. */
static bool limit(__rlimit_resource_t resource, rlim_t value) {
  struct rlimit old, wanted = {value, value};
  if (!is_privileged && setrlimit(resource, &wanted) == 0) return true;
  if (getrlimit(resource, &old) != 0) return false;
  if (old.rlim_max < value) wanted = (struct rlimit){old.rlim_max, old.rlim_max};
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

uint64_t kiln_sandbox_get_data_bytes(void) {
  return data_bytes;
}

void kiln_sandbox_set_data_bytes(uint64_t data) {
  data_bytes = data;
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
/* V8 answers many a failed allocation with a trap. Was it memory, say so; if not, which signal: no
 * process may send one, not even to itself. */
static void on_fatal_signal(int signal_number) {
  kiln_sandbox_exit_fatal(KILN_EXIT_SIGNAL + signal_number);
}

/* ---- forbidden system calls
 *
 * The filter has not let it happen, and raises SIGSYS. Files that libraries look for and can do
 * without are not there, as far as they can tell; everything else is the end, and all that is left
 * is to tell which call it was. Who owns this process may prevent that, and dies of the signal. */

static kiln_wire_out alarm_message;

#if defined(__x86_64__)
#define RESULT_OF(context) ((context)->uc_mcontext.gregs[REG_RAX])
#define ARGUMENT_OF(context, n) /* the first three */ \
  ((context)->uc_mcontext.gregs[(n) == 0 ? REG_RDI : (n) == 1 ? REG_RSI : REG_RDX])
#elif defined(__aarch64__)
#define RESULT_OF(context) ((context)->uc_mcontext.regs[0])
#define ARGUMENT_OF(context, n) ((context)->uc_mcontext.regs[n])
#else
#error "which registers a system call uses is not known for this processor"
#endif

/* Where the call's path is among its arguments; -1: it has none. */
static int path_argument(int call) {
  switch (call) {
    case SYS_openat:
    case SYS_newfstatat:
    case SYS_readlinkat:
    case SYS_faccessat:
      return 1;
#ifdef SYS_open
    case SYS_open:
    case SYS_stat:
    case SYS_readlink:
    case SYS_access:
      return 0;
#endif
    default:
      return -1;
  }
}

/* glibc's allocator, its and ICU's time zones, the number of processors. */
static bool is_looked_for_by_libraries(const char *path) {
  static const char *const beginnings[] = {
      "/proc/sys/vm/overcommit_memory", "/etc/localtime", "/etc/timezone",  "/usr/share/zoneinfo",
      "/sys/devices/system/cpu",        "/proc/stat",     "/proc/self/maps"};
  if (path == NULL || strstr(path, "..") != NULL) return false;
  for (size_t i = 0; i < sizeof(beginnings) / sizeof(beginnings[0]); i++)
    if (strncmp(path, beginnings[i], strlen(beginnings[i])) == 0) return true;
  return false;
}

static void on_forbidden_call(int signal_number, siginfo_t *info, void *user) {
  ucontext_t *context = user;
  (void)signal_number;
  int argument = path_argument(info->si_syscall);
  if (argument >= 0 &&
      is_looked_for_by_libraries((const char *)(uintptr_t)ARGUMENT_OF(context, argument))) {
    RESULT_OF(context) = -ENOENT;
    return;
  }
  /* abort() and raise(): it ends as the signal would end it. */
  if (info->si_syscall == SYS_tgkill && ARGUMENT_OF(context, 0) == getpid() &&
      ARGUMENT_OF(context, 2) > 0 && ARGUMENT_OF(context, 2) < NSIG)
    kiln_sandbox_exit_fatal(KILN_EXIT_SIGNAL + (int)ARGUMENT_OF(context, 2));
  uint64_t call = (uint64_t)(uint32_t)info->si_syscall;
  memcpy(alarm_message.data + sizeof(kiln_wire_head) + sizeof(kiln_wire_field_head), &call,
         sizeof(call));
  (void)kiln__wire_send(KILN_CHANNEL, &alarm_message, /* fd= */ -1, MSG_DONTWAIT);
  _exit(KILN_EXIT_FORBIDDEN);
}

static bool handle_forbidden_calls(void) {
  struct sigaction action = {.sa_sigaction = on_forbidden_call,
                             .sa_flags = SA_ONSTACK | SA_SIGINFO};
  kiln__wire_out_init(&alarm_message, KILN_WIRE_ALARM);
  kiln__wire_put_number(&alarm_message, KILN_WIRE_ALARM_CALL, 0);
  return kiln__wire_finish(&alarm_message) && sigaction(SIGSYS, &action, /* old= */ NULL) == 0;
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
  if (!kiln_sandbox_die_with(parent)) return false;
  if (!limit(RLIMIT_CORE, 0) || !limit(RLIMIT_NOFILE, FDS_MAX) ||
      !limit(RLIMIT_FSIZE, KILN_WIRE_PAYLOAD_MAX))
    return false;
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return false;
#ifndef KILN_ADDRESS_SANITIZER /* which has handlers of its own, that report */
  if (!handle_fatal_signals() || !handle_forbidden_calls()) return false;
#endif
  return true;
}

bool kiln_sandbox_make_lifeline(void) {
  return pipe2(lifeline, O_CLOEXEC) == 0;
}

void kiln_sandbox_keep(void) {
  char byte;
  if (dup2(lifeline[0], KILN_CHANNEL) == KILN_CHANNEL && close_range(KILN_CHANNEL + 1, ~0u, 0) == 0)
    while (read(KILN_CHANNEL, &byte, 1) != 0) continue;
  _exit(EXIT_SUCCESS);
}

static bool close_all_but_channel(void) {
  if (lifeline[1] < 0) return close_range(KILN_CHANNEL + 1, ~0u, 0) == 0;
  unsigned kept = (unsigned)lifeline[1];
  return (kept == KILN_CHANNEL + 1 || close_range(KILN_CHANNEL + 1, kept - 1, 0) == 0) &&
         close_range(kept + 1, ~0u, 0) == 0;
}

bool kiln_sandbox_settle(uint32_t layers) {
  is_privileged = !(layers & UINT32_C(1) << KILN_LAYER_USER);
  return close_all_but_channel();
}

bool kiln_sandbox_detach(int channel, pid_t parent) {
  if (dup2(channel, KILN_CHANNEL) != KILN_CHANNEL) return false;
  /* A zygote has nothing else open; guests' code may have. */
  bool closed = kiln_sandbox_has_secret() ? close(channel) == 0 : close_all_but_channel();
  (void)parent; /* its end closes the channel, too: no call to find out whether it came before */
  return closed && prctl(PR_SET_PDEATHSIG, SIGKILL) == 0;
}

/* ---- limits of a job --------------------------------------------------------------------------
 */

static rlim_t seconds_for(unsigned timeout_ms) {
  return ((rlim_t)timeout_ms + 999) / 1000 * CPU_THREADS + 2;
}

static bool limit_sizes(uint64_t memory_max, uint64_t answer_max) {
#ifndef KILN_ADDRESS_SANITIZER /* whose shadow memory alone is terabytes */
  /* V8 from 13 on has 512 MiB for code mapped in each process, used or not. */
  if (memory_max > 0 && !limit(RLIMIT_DATA, (rlim_t)(memory_max + data_bytes))) return false;
#else
  (void)memory_max;
#endif
  return limit(RLIMIT_FSIZE, (rlim_t)answer_max);
}

bool kiln_sandbox_limit(unsigned timeout_ms, uint64_t memory_max, uint64_t answer_max) {
  return limit(RLIMIT_CPU, seconds_for(timeout_ms)) && limit_sizes(memory_max, answer_max);
}

bool kiln_sandbox_limit_session(uint64_t memory_max, uint64_t answer_max) {
  return limit_sizes(memory_max, answer_max);
}

bool kiln_sandbox_allow_command(unsigned timeout_ms) {
  static time_t allowed_at;
  static unsigned allowed_ms;
  struct timespec now, used;
  struct rlimit cpu;
  if (clock_gettime(CLOCK_MONOTONIC, &now) != 0) return false;
  if (allowed_ms > 0 && now.tv_sec == allowed_at && timeout_ms <= allowed_ms) return true;
  if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used) != 0 || getrlimit(RLIMIT_CPU, &cpu) != 0)
    return false;
  /* One second more: it is the time of all commands that begin in this one. */
  cpu.rlim_cur = (rlim_t)used.tv_sec + CPU_THREADS + seconds_for(timeout_ms);
  if (cpu.rlim_cur > cpu.rlim_max) cpu.rlim_cur = cpu.rlim_max;
  allowed_at = now.tv_sec;
  allowed_ms = timeout_ms;
  return setrlimit(RLIMIT_CPU, &cpu) == 0;
}
