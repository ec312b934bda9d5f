/* SPDX-License-Identifier: MIT
 *
 * filter.c: see filter.h. The list is what V8 and our own code were seen to need once an isolate
 * stands: memory, threads, time, and the channel with its memfds. Every pointer-free argument that
 * can do harm is checked.
 */
#include "toolkit/filter.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What glibc starts threads with; processes have other flags. */
#define THREAD_FLAGS                                                                  \
  (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM | \
   CLONE_SETTLS | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID)
/* What kiln_sandbox_fork() may have. */
#define FORK_FLAGS (CLONE_PARENT | CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID)
/* MAP_GROWSDOWN would escape RLIMIT_DATA, shared memory too. */
#define MAP_CHECKED (MAP_ANONYMOUS | MAP_PRIVATE | MAP_SHARED | MAP_GROWSDOWN | MAP_HUGETLB)

static const int allowed[] = {
    /* memory */
    SCMP_SYS(munmap),
    SCMP_SYS(mremap),
    SCMP_SYS(brk),
    /* threads, locks, time */
    SCMP_SYS(futex),
    SCMP_SYS(set_robust_list),
    SCMP_SYS(rseq),
    SCMP_SYS(sched_yield),
    SCMP_SYS(sched_getaffinity),
    SCMP_SYS(sched_getparam),
    SCMP_SYS(sched_getscheduler),
    SCMP_SYS(clock_gettime),
    SCMP_SYS(clock_getres),
    SCMP_SYS(gettimeofday),
    SCMP_SYS(clock_nanosleep),
    SCMP_SYS(nanosleep),
    SCMP_SYS(restart_syscall),
    SCMP_SYS(setitimer),
    SCMP_SYS(getpid),
    SCMP_SYS(gettid),
    SCMP_SYS(getrandom),
    /* signals of its own, its end */
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
    /* the channel, and memfds; nothing else is open */
    SCMP_SYS(sendmsg),
    SCMP_SYS(recvmsg),
    SCMP_SYS(read),
    SCMP_SYS(write),
    SCMP_SYS(close),
    SCMP_SYS(lseek),
    SCMP_SYS(ftruncate),
    SCMP_SYS(fstatfs),
};

/* What an image's process does not need for itself, and its forks need before they load their own
 * filter. */
static const int allowed_breeding[] = {SCMP_SYS(close_range), SCMP_SYS(seccomp)};

static const int advices[] = {MADV_DONTNEED,   MADV_FREE,     MADV_HUGEPAGE,
                              MADV_NOHUGEPAGE, MADV_DONTDUMP, MADV_DODUMP};

typedef struct rule {
  int call;
  unsigned count;
  struct scmp_arg_cmp arguments[3];
} rule;

#define ARG(index, op, ...) \
  { (index), (op), __VA_ARGS__ }

static const rule rules[] = {
    {SCMP_SYS(clone), 1, {ARG(0, SCMP_CMP_EQ, THREAD_FLAGS, 0)}},
    {SCMP_SYS(mmap),
     2,
     {ARG(3, SCMP_CMP_MASKED_EQ, MAP_CHECKED, MAP_ANONYMOUS | MAP_PRIVATE),
      ARG(2, SCMP_CMP_MASKED_EQ, PROT_EXEC, 0)}},
    {SCMP_SYS(mmap),
     2,
     {ARG(3, SCMP_CMP_MASKED_EQ, MAP_CHECKED, MAP_PRIVATE), ARG(2, SCMP_CMP_EQ, PROT_READ, 0)}},
    {SCMP_SYS(memfd_create), 1, {ARG(1, SCMP_CMP_EQ, MFD_CLOEXEC | MFD_ALLOW_SEALING, 0)}},
    {SCMP_SYS(fcntl), 1, {ARG(1, SCMP_CMP_EQ, F_ADD_SEALS, 0)}},
    {SCMP_SYS(fcntl), 1, {ARG(1, SCMP_CMP_EQ, F_GET_SEALS, 0)}},
    {SCMP_SYS(prlimit64), 1, {ARG(0, SCMP_CMP_EQ, 0, 0)}},     /* its own, which only sink */
    {SCMP_SYS(rt_sigaction), 1, {ARG(0, SCMP_CMP_GE, 32, 0)}}, /* glibc's, at the first thread */
    /* what forks do to be workers */
    {SCMP_SYS(prctl),
     2,
     {ARG(0, SCMP_CMP_EQ, PR_SET_PDEATHSIG, 0), ARG(1, SCMP_CMP_EQ, SIGKILL, 0)}},
    {SCMP_SYS(setpriority),
     3,
     {ARG(0, SCMP_CMP_EQ, PRIO_PROCESS, 0), ARG(1, SCMP_CMP_EQ, 0, 0),
      ARG(2, SCMP_CMP_EQ, KILN_WORKER_NICE, 0)}},
#ifdef SYS_dup2
    {SCMP_SYS(dup2), 1, {ARG(1, SCMP_CMP_EQ, KILN_CHANNEL, 0)}},
#else /* glibc has dup3() do it */
    {SCMP_SYS(dup3), 2, {ARG(1, SCMP_CMP_EQ, KILN_CHANNEL, 0), ARG(2, SCMP_CMP_EQ, 0, 0)}},
#endif
};

/* With the secret, or from those who breed without. */
static const rule fork_with_secret = {
    SCMP_SYS(clone),
    2,
    {ARG(0, SCMP_CMP_MASKED_EQ, ~(scmp_datum_t)FORK_FLAGS, 0),
     ARG(2, SCMP_CMP_EQ, (scmp_datum_t)KILN_FILTER_SECRET_HIGH << 32 | KILN_FILTER_SECRET_LOW, 0)}};
static const rule fork_of_breeders = {
    SCMP_SYS(clone), 1, {ARG(0, SCMP_CMP_MASKED_EQ, ~(scmp_datum_t)FORK_FLAGS, 0)}};

static bool allow(scmp_filter_ctx filter, const int *calls, size_t count) {
  for (size_t i = 0; i < count; i++)
    if (seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, calls[i], 0, NULL) != 0) return false;
  return true;
}

static bool allow_rule(scmp_filter_ctx filter, const rule *one) {
  return seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, one->call, one->count, one->arguments) == 0;
}

static bool allow_with(scmp_filter_ctx filter, int call, const struct scmp_arg_cmp *argument) {
  return seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, call, 1, argument) == 0;
}

static bool refuse(scmp_filter_ctx filter, int call, int error) {
  return seccomp_rule_add_array(filter, SCMP_ACT_ERRNO((unsigned)error), call, 0, NULL) == 0;
}

/* Pages may become executable: V8's code does. With `jitless` none. */
static bool allow_protection(scmp_filter_ctx filter, bool jitless) {
  unsigned never = PROT_GROWSDOWN | PROT_GROWSUP | (jitless ? PROT_EXEC : 0);
  const struct scmp_arg_cmp protection = ARG(2, SCMP_CMP_MASKED_EQ, never, 0);
  return allow_with(filter, SCMP_SYS(mprotect), &protection) &&
         allow_with(filter, SCMP_SYS(pkey_mprotect), &protection);
}

/* Names of threads and of memory can be done without, and so can clone3(): glibc takes clone()
 * then, whose flags a filter can see. */
static bool refuse_some(scmp_filter_ctx filter) {
  const struct scmp_arg_cmp not_die[] = {ARG(0, SCMP_CMP_NE, PR_SET_PDEATHSIG, 0)};
  const struct scmp_arg_cmp not_kill[] = {ARG(0, SCMP_CMP_EQ, PR_SET_PDEATHSIG, 0),
                                          ARG(1, SCMP_CMP_NE, SIGKILL, 0)};
  const uint32_t invalid = SCMP_ACT_ERRNO(EINVAL);
  return seccomp_rule_add_array(filter, invalid, SCMP_SYS(prctl), 1, not_die) == 0 &&
         seccomp_rule_add_array(filter, invalid, SCMP_SYS(prctl), 2, not_kill) == 0 &&
         refuse(filter, SCMP_SYS(clone3), ENOSYS) &&
         refuse(filter, SCMP_SYS(sysinfo), ENOSYS); /* glibc's qsort() asks for the memory */
}

static bool add_zygotes(scmp_filter_ctx filter, bool breeds, bool jitless) {
  for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
    if (!allow_rule(filter, &rules[i])) return false;
  for (size_t i = 0; i < sizeof(advices) / sizeof(advices[0]); i++) {
    const struct scmp_arg_cmp advice = ARG(2, SCMP_CMP_EQ, (scmp_datum_t)advices[i], 0);
    if (!allow_with(filter, SCMP_SYS(madvise), &advice)) return false;
  }
  const size_t breeding = breeds ? sizeof(allowed_breeding) / sizeof(allowed_breeding[0]) : 0;
  return allow_rule(filter, breeds ? &fork_of_breeders : &fork_with_secret) &&
         allow(filter, allowed, sizeof(allowed) / sizeof(allowed[0])) &&
         allow(filter, allowed_breeding, breeding) && allow_protection(filter, jitless) &&
         refuse_some(filter);
}

/* An image's forks are to be as other workers are. */
static bool take_away(scmp_filter_ctx filter) {
  const struct scmp_arg_cmp no_thread = ARG(0, SCMP_CMP_NE, THREAD_FLAGS, 0);
  for (size_t i = 0; i < sizeof(allowed_breeding) / sizeof(allowed_breeding[0]); i++)
    if (seccomp_rule_add_array(filter, SCMP_ACT_TRAP, allowed_breeding[i], 0, NULL) != 0)
      return false;
  return seccomp_rule_add_array(filter, SCMP_ACT_TRAP, SCMP_SYS(clone), 1, &no_thread) == 0;
}

/* libseccomp writes programs to files only. */
static kiln_bytes *export(scmp_filter_ctx filter) {
  static const size_t max = 65536;
  int file = memfd_create("kiln-filter", MFD_CLOEXEC);
  char *program = malloc(max);
  kiln_bytes *bytes = NULL;
  int failed = file < 0 || !program ? -errno : seccomp_export_bpf(filter, file);
  if (failed == 0) {
    ssize_t length = pread(file, program, max, 0);
    if (length > 0 && (size_t)length < max)
      bytes = kiln_bytes_new(program, (size_t)length);
    else
      failed = -EIO;
  }
  if (file >= 0) close(file);
  free(program);
  if (failed != 0) errno = -failed;
  return bytes;
}

kiln_bytes *kiln__filter_make(kiln_filter_kind kind, bool jitless) {
  bool breeds = kind == KILN_FILTER_BREEDER, zygotes = breeds || kind == KILN_FILTER_ZYGOTE;
  scmp_filter_ctx filter = seccomp_init(zygotes ? SCMP_ACT_TRAP : SCMP_ACT_ALLOW);
  if (!filter) {
    errno = ENOMEM;
    return NULL;
  }
  kiln_bytes *program = NULL;
  errno = EINVAL;
  /* A tree instead of a list: a third of the instructions for each call. */
  if (zygotes ? seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2) == 0 &&
                    add_zygotes(filter, breeds, jitless)
              : take_away(filter))
    program = export(filter);
  seccomp_release(filter);
  return program;
}

void kiln__filter_name_call(int number, char *ret_name, size_t size) {
  char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, number);
  if (name)
    snprintf(ret_name, size, "%s", name);
  else
    snprintf(ret_name, size, "call %d", number);
  free(name);
}
