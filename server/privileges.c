/* SPDX-License-Identifier: MIT
 *
 * privileges.c: see privileges.h. The filter knows three kinds of system calls: what reading,
 * computing and answering needs is allowed; what nobody calls but an attacker ends the process;
 * anything else is ENOSYS, for which libraries have another way.
 */
#include "server/privileges.h"

#include <errno.h>
#include <grp.h>
#include <pthread.h>
#include <pwd.h>
#include <sched.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#define COUNT(list) (sizeof(list) / sizeof((list)[0]))

#ifdef KILN_ADDRESS_SANITIZER /* whose reports start a program */
#define IS_SANITIZED true
#else
#define IS_SANITIZED false
#endif

void srv_privileges_begin(void) {
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

/* ---- the user */

static bool become(const struct passwd *who) {
  return setgroups(1, &who->pw_gid) == 0 && setresgid(who->pw_gid, who->pw_gid, who->pw_gid) == 0 &&
         setresuid(who->pw_uid, who->pw_uid, who->pw_uid) == 0;
}

bool srv_privileges_drop(const char *user, char *message, size_t message_size) {
  struct passwd entry;
  struct passwd *who = NULL;
  char texts[16384];
  int failed = getpwnam_r(user, &entry, texts, sizeof(texts), &who);
  if (failed != 0 || who == NULL) {
    snprintf(message, message_size, "--user '%.80s': %s", user,
             failed != 0 ? strerror(failed) : "no such user");
    return false;
  }
  if (geteuid() == who->pw_uid && getuid() == who->pw_uid && who->pw_uid != 0) return true;
  if (who->pw_uid == 0) {
    snprintf(message, message_size, "--user '%.80s': is root", user);
    return false;
  }
  if (!become(who)) {
    snprintf(message, message_size, "--user '%.80s': %s", user, strerror(errno));
    return false;
  }
  if (setuid(0) == 0 || setgid(0) == 0 || geteuid() != who->pw_uid) {
    snprintf(message, message_size, "--user '%.80s': root could not be given up", user);
    return false;
  }
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  return true;
}

/* ---- the filter */

/* Names, with blanks between; one that an architecture does not have is passed over. */
static const char *const allowed[] = {
    /* files: SQLite's, the access log, /proc/self */
    "access close close_range copy_file_range dup dup3 faccessat faccessat2 fallocate fchmod "
    "fchown fcntl fdatasync flock fstat fstatfs fsync ftruncate getcwd getdents64 lseek lstat "
    "mkdir mkdirat newfstatat open openat pread64 preadv pwrite64 pwritev read readlink "
    "readlinkat readv rename renameat renameat2 rmdir stat statfs statx sync_file_range umask "
    "unlink unlinkat utimensat write writev",
    /* connections; nobody here opens one */
    "accept accept4 getpeername getsockname getsockopt recvfrom recvmmsg recvmsg sendfile "
    "sendmmsg sendmsg sendto setsockopt shutdown splice vmsplice",
    /* waiting */
    "clock_nanosleep epoll_create1 epoll_ctl epoll_pwait epoll_wait eventfd2 futex "
    "futex_waitv nanosleep pipe2 poll ppoll pselect6 restart_syscall select timerfd_create "
    "timerfd_gettime timerfd_settime",
    /* memory */
    "brk madvise membarrier memfd_create mlock mremap msync munlock munmap",
    /* threads and signals of this process */
    "exit exit_group get_robust_list rseq rt_sigaction rt_sigpending rt_sigprocmask "
    "rt_sigreturn rt_sigtimedwait sched_getaffinity sched_getparam sched_getscheduler "
    "sched_yield set_robust_list set_tid_address sigaltstack",
    /* what it is, and when */
    "clock_getres clock_gettime getegid geteuid getgid getpid getppid getrandom getrlimit "
    "getrusage gettid gettimeofday getuid sysinfo time times uname",
};

static const char *const forbidden[] = {
    /* other programs and processes */
    "execve execveat fork vfork kcmp kill pidfd_getfd pidfd_open pidfd_send_signal "
    "process_madvise process_vm_readv process_vm_writev ptrace rt_sigqueueinfo "
    "rt_tgsigqueueinfo tkill",
    /* who and where one is */
    "capset chroot personality setfsgid setfsuid setgid setgroups setns setregid setresgid "
    "setresuid setreuid setuid unshare",
    /* file systems */
    "fanotify_init fsconfig fsmount fsopen fspick mknod mknodat mount mount_setattr "
    "move_mount name_to_handle_at open_by_handle_at open_tree pivot_root quotactl swapoff "
    "swapon umount2",
    /* the kernel */
    "acct add_key adjtimex bpf clock_adjtime clock_settime delete_module finit_module "
    "init_module io_uring_enter io_uring_register io_uring_setup ioperm iopl kexec_file_load "
    "kexec_load keyctl lookup_dcookie mbind migrate_pages modify_ldt move_pages "
    "perf_event_open reboot request_key set_mempolicy setdomainname sethostname settimeofday "
    "syslog uselib userfaultfd vhangup",
};

static bool add_rules(scmp_filter_ctx filter, uint32_t action, const char *const *texts,
                      size_t count) {
  char name[32];
  for (size_t i = 0; i < count; i++) {
    for (const char *at = texts[i]; *at != '\0'; at += strspn(at, " ")) {
      size_t length = strcspn(at, " ");
      snprintf(name, sizeof(name), "%.*s", (int)length, at);
      at += length;
      int number = seccomp_syscall_resolve_name(name);
      if (number >= 0 && seccomp_rule_add(filter, action, number, 0) != 0) return false;
    }
  }
  return true;
}

/* What depends on arguments: memory is never executable, signals are for ourselves, a clone is a
 * thread. clone3's flags cannot be looked at: it is ENOSYS, and glibc takes clone. */
static bool add_conditions(scmp_filter_ctx filter) {
  const struct {
    uint32_t action;
    int number;
    struct scmp_arg_cmp condition;
  } rows[] = {
      {SCMP_ACT_ALLOW, SCMP_SYS(mmap), {2, SCMP_CMP_MASKED_EQ, PROT_EXEC, 0}},
      {SCMP_ACT_ALLOW, SCMP_SYS(mprotect), {2, SCMP_CMP_MASKED_EQ, PROT_EXEC, 0}},
      {SCMP_ACT_ALLOW, SCMP_SYS(clone), {0, SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD}},
      {SCMP_ACT_KILL_PROCESS, SCMP_SYS(clone), {0, SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0}},
      {SCMP_ACT_ALLOW, SCMP_SYS(tgkill), {0, SCMP_CMP_EQ, (scmp_datum_t)getpid(), 0}},
      {SCMP_ACT_ALLOW, SCMP_SYS(prctl), {0, SCMP_CMP_EQ, PR_SET_NAME, 0}},
      {SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), {2, SCMP_CMP_EQ, 0, 0}}, /* asks, sets nothing */
  };
  for (size_t i = 0; i < COUNT(rows); i++)
    if (seccomp_rule_add_array(filter, rows[i].action, rows[i].number, 1, &rows[i].condition) != 0)
      return false;
  return true;
}

bool srv_filter_install(void) {
  if (IS_SANITIZED) {
    errno = ENOTSUP;
    return false;
  }
  scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
  if (filter == NULL) {
    errno = ENOMEM;
    return false;
  }
  /* An attacker's way around a filter by number: the calls of i386 and x32. */
  int failed = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
  if (failed == 0) failed = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
  bool good = failed == 0 && add_rules(filter, SCMP_ACT_ALLOW, allowed, COUNT(allowed)) &&
              add_rules(filter, SCMP_ACT_KILL_PROCESS, forbidden, COUNT(forbidden)) &&
              add_conditions(filter);
  if (!good) {
    seccomp_release(filter);
    errno = EINVAL;
    return false;
  }
  failed = seccomp_load(filter);
  seccomp_release(filter);
  errno = -failed;
  return failed == 0;
}

typedef struct filtered_call {
  srv_filtered_fn run;
  void *user;
} filtered_call;

static void *call(void *cls) {
  const filtered_call *one = cls;
  one->run(one->user, srv_filter_install());
  return NULL;
}

bool srv_filter_run(srv_filtered_fn run, void *user) {
  filtered_call one = {.run = run, .user = user};
  pthread_t thread;
  if (pthread_create(&thread, NULL, call, &one) != 0) return false;
  pthread_join(thread, NULL);
  return true;
}
