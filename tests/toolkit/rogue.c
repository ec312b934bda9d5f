/* SPDX-License-Identifier: MIT
 *
 * rogue.c: what a kiln-engine does whose script has taken over the process. It is linked with all
 * of the real one; only the function that runs scripts is wrapped: a source "rogue WHAT [N]" is not
 * run but done, natively, and its answer is what came of it: the system call's result, or -errno.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "toolkit/engine.h"
#include "toolkit/sandbox.h"

void __real_kiln__work_run(kiln_work *work);
void __wrap_kiln__work_run(kiln_work *work);

#define CALL(...) result(syscall(__VA_ARGS__))

static long result(long returned) {
  return returned == -1 ? -errno : returned;
}

/* ---- files, network, processes --------------------------------------------------------------- */

static long open_file(const char *path, int flags) {
  return CALL(SYS_openat, AT_FDCWD, path, flags, 0600);
}

static long rogue_openat(long n) {
  (void)n;
  return open_file("/etc/passwd", O_RDONLY);
}
static long rogue_create(long n) {
  (void)n;
  return open_file("/tmp/kiln-rogue", O_WRONLY | O_CREAT);
}
static long rogue_memory_of_itself(long n) {
  (void)n;
  return open_file("/proc/self/mem", O_RDWR);
}
static long rogue_memory_of_parent(long n) {
  char path[64];
  snprintf(path, sizeof(path), "/proc/%ld/mem", n);
  return open_file(path, O_RDWR);
}
static long rogue_environment(long n) {
  (void)n;
  return open_file("/proc/1/environ", O_RDONLY);
}
/* A path that libraries look for is answered, but not with a file. */
static long rogue_zone(long n) {
  (void)n;
  return open_file("/etc/localtime", O_RDONLY);
}
static long rogue_zone_and_up(long n) {
  (void)n;
  return open_file("/usr/share/zoneinfo/../../../etc/passwd", O_RDONLY);
}
static long rogue_open(long n) {
  (void)n;
  return CALL(SYS_open, "/etc/passwd", O_RDONLY, 0);
}
static long rogue_openat2(long n) {
  uint64_t how[3] = {O_RDONLY, 0, 0};
  (void)n;
  return CALL(SYS_openat2, AT_FDCWD, "/etc/passwd", how, sizeof(how));
}
static long rogue_stat(long n) {
  struct stat st;
  (void)n;
  return CALL(SYS_newfstatat, AT_FDCWD, "/etc/passwd", &st, 0);
}
static long rogue_unlink(long n) {
  (void)n;
  return CALL(SYS_unlink, "/tmp/kiln-rogue");
}
static long rogue_socket(long n) {
  return CALL(SYS_socket, n, SOCK_STREAM, 0);
}
static long rogue_socketpair(long n) {
  int pair[2];
  (void)n;
  return CALL(SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, pair);
}
static long rogue_connect(long n) {
  struct sockaddr_in to = {
      .sin_family = AF_INET, .sin_port = htons(80), .sin_addr = {htonl(0x7f000001)}};
  (void)n;
  return CALL(SYS_connect, KILN_CHANNEL, &to, sizeof(to));
}
static long rogue_pipe(long n) {
  int pair[2];
  (void)n;
  return CALL(SYS_pipe2, pair, 0);
}
static long rogue_execve(long n) {
  char *const arguments[] = {(char *)(uintptr_t) "sh", NULL};
  (void)n;
  return CALL(SYS_execve, "/bin/sh", arguments, arguments + 1);
}
static long rogue_execveat(long n) {
  int file = memfd_create("program", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  char *const arguments[] = {(char *)(uintptr_t) "x", NULL};
  (void)n;
  return CALL(SYS_execveat, file, "", arguments, arguments + 1, AT_EMPTY_PATH);
}
static long rogue_fork(long n) {
  (void)n;
  return CALL(SYS_clone, SIGCHLD, 0, 0, 0, 0);
}
static long rogue_vfork(long n) {
  (void)n;
  return CALL(SYS_vfork);
}
static long rogue_clone3(long n) {
  uint64_t arguments[11] = {[4] = SIGCHLD};
  (void)n;
  return CALL(SYS_clone3, arguments, sizeof(arguments));
}
static long rogue_clone_with_parent(long n) {
  (void)n;
  return CALL(SYS_clone, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0);
}
/* As the zygote forks, without what only it knows. */
static long clone_with(uint64_t number) {
  return CALL(SYS_clone, CLONE_PARENT, 0, number, 0, 0);
}
static long rogue_fork_with(long n) {
  return clone_with((uint64_t)n);
}
static long rogue_fork_with_placeholders(long n) {
  (void)n;
  return clone_with((uint64_t)KILN_FILTER_SECRET_HIGH << 32 | KILN_FILTER_SECRET_LOW);
}
static long rogue_fork_with_random(long n) {
  uint64_t number = 0;
  (void)n;
  syscall(SYS_getrandom, &number, sizeof(number), 0);
  return clone_with(number);
}
/* What the zygote's fork leaves of it: how many bytes are not zero. */
static long rogue_secret(long n) {
  size_t size;
  const unsigned char *area = kiln_sandbox_get_secret_area(&size);
  long count = 0;
  (void)n;
  if (!area || size < 100) return -ENOENT;
  for (size_t i = 0; i < size; i++) count += area[i] != 0;
  return count;
}
static long rogue_clone_new_user(long n) {
  (void)n;
  return CALL(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0);
}
static long rogue_ptrace(long n) {
  return CALL(SYS_ptrace, PTRACE_ATTACH, n, 0, 0);
}
static long rogue_kill(long n) {
  return CALL(SYS_kill, n, SIGKILL);
}
static long rogue_kill_all(long n) {
  (void)n;
  return CALL(SYS_kill, -1, SIGKILL);
}
static long rogue_tgkill(long n) {
  return CALL(SYS_tgkill, n, n, SIGKILL);
}
static long rogue_pidfd(long n) {
  return CALL(SYS_pidfd_open, n, 0);
}
static long rogue_read_others(long n) {
  char bytes[8];
  struct iovec here = {bytes, 8}, there = {bytes, 8};
  return CALL(SYS_process_vm_readv, n, &here, 1, &there, 1, 0);
}
static long rogue_limits_of_parent(long n) {
  struct rlimit none = {0, 0};
  return CALL(SYS_prlimit64, n, RLIMIT_NOFILE, &none, NULL);
}
static long rogue_more_descriptors(long n) {
  struct rlimit many = {1 << 20, 1 << 20};
  (void)n;
  return CALL(SYS_prlimit64, 0, RLIMIT_NOFILE, &many, NULL);
}
static long rogue_more_memory(long n) {
  struct rlimit all = {RLIM_INFINITY, RLIM_INFINITY};
  (void)n;
  return CALL(SYS_prlimit64, 0, RLIMIT_DATA, &all, NULL);
}
static long rogue_processor_limit(long n) {
  struct rlimit cpu;
  (void)n;
  return getrlimit(RLIMIT_CPU, &cpu) == 0 && cpu.rlim_cur == cpu.rlim_max ? (long)cpu.rlim_max : -1;
}
static long rogue_survive_parent(long n) {
  (void)n;
  return CALL(SYS_prctl, PR_SET_PDEATHSIG, 0, 0, 0, 0);
}
static long rogue_die_otherwise(long n) {
  return CALL(SYS_prctl, PR_SET_PDEATHSIG, n, 0, 0, 0);
}
static long rogue_unshare(long n) {
  (void)n;
  return CALL(SYS_unshare, CLONE_NEWUSER);
}
static long rogue_mount(long n) {
  (void)n;
  return CALL(SYS_mount, "none", "/", "tmpfs", 0, NULL);
}
static long rogue_chroot(long n) {
  (void)n;
  return CALL(SYS_chroot, "/");
}
static long rogue_root(long n) {
  (void)n;
  return CALL(SYS_setuid, 0);
}
static long rogue_priority(long n) {
  (void)n;
  return CALL(SYS_setpriority, PRIO_PROCESS, 0, -20);
}
static long rogue_set_priority(long n) {
  return CALL(SYS_setpriority, PRIO_PROCESS, 0, n);
}
static long rogue_priority_of_user(long n) {
  return CALL(SYS_setpriority, PRIO_USER, 0, n);
}
static long rogue_dup2(long n) {
  return CALL(SYS_dup2, KILN_CHANNEL, n);
}
static long rogue_close_range(long n) {
  return CALL(SYS_close_range, n, ~0u, 0);
}
/* How many are open. */
static long rogue_descriptors(long n) {
  uint64_t room[64];
  long count = 0;
  for (int i = 0; i < n; i++) count += syscall(SYS_fstatfs, i, room) == 0 || errno != EBADF;
  return count;
}
static long rogue_bpf(long n) {
  (void)n;
  return CALL(SYS_bpf, 0, NULL, 0);
}
static long rogue_io_uring(long n) {
  char parameters[256] = {0};
  (void)n;
  return CALL(SYS_io_uring_setup, 8, parameters);
}
static long rogue_userfaultfd(long n) {
  (void)n;
  return CALL(SYS_userfaultfd, 0);
}
static long rogue_perf(long n) {
  (void)n;
  return CALL(SYS_perf_event_open, NULL, 0, -1, -1, 0);
}
static long rogue_keys(long n) {
  (void)n;
  return CALL(SYS_keyctl, 0, 0);
}
static long rogue_ioctl(long n) {
  (void)n;
  return CALL(SYS_ioctl, 0, 0x5412 /* TIOCSTI */, "x");
}
static long rogue_fcntl(long n) {
  (void)n;
  return CALL(SYS_fcntl, KILN_CHANNEL, F_SETFL, O_NONBLOCK);
}

/* ---- the filter itself ----------------------------------------------------------------------- */

static long rogue_another_filter(long n) {
  struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  struct sock_fprog program = {1, &allow};
  (void)n;
  return CALL(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program);
}
static void ignore(int number) {
  (void)number;
}
static long rogue_own_handler(long n) {
  struct {
    void (*handler)(int);
    unsigned long flags;
    void (*restorer)(void);
    uint64_t mask;
  } action = {.handler = ignore};
  (void)n;
  return CALL(SYS_rt_sigaction, SIGSYS, &action, NULL, 8);
}
/* A blocked signal of this kind kills. */
static long rogue_blocked_signal(long n) {
  sigset_t all;
  sigfillset(&all);
  (void)n;
  syscall(SYS_rt_sigprocmask, SIG_BLOCK, &all, NULL, 8);
  return CALL(SYS_socket, AF_INET, SOCK_STREAM, 0);
}
static long rogue_call(long n) {
  return CALL(n, 0, 0, 0, 0, 0, 0);
}
static long rogue_x32(long n) {
  return CALL(n | 0x40000000, 0, 0, 0, 0, 0, 0);
}
static long rogue_i386(long n) {
  long returned;
  __asm__ volatile("int $0x80"
                   : "=a"(returned)
                   : "a"(n), "b"(0), "c"(0), "d"(0), "S"(0), "D"(0)
                   : "memory", "r8", "r9", "r10", "r11");
  return returned;
}

/* ---- memory ---------------------------------------------------------------------------------- */

static long map(int protection, int flags) {
  return CALL(SYS_mmap, NULL, 1 << 16, protection, flags, -1, 0) < 0 ? -errno : 0;
}
static long rogue_executable(long n) {
  (void)n;
  return map(PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS);
}
static long rogue_shared(long n) {
  (void)n;
  return map(PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS);
}
static long rogue_grows_down(long n) {
  (void)n;
  return map(PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN);
}
static long rogue_becomes_executable(long n) {
  void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  (void)n;
  return result(mprotect(page, 4096, PROT_READ | PROT_EXEC));
}
static long rogue_memfd_flags(long n) {
  (void)n;
  return CALL(SYS_memfd_create, "x", MFD_HUGETLB);
}
/* Takes what it can get; says how many MiB that was. */
static long rogue_fill(long n) {
  const size_t piece = 1 << 20;
  long count = 0;
  (void)n;
  for (;; count++) {
    char *memory = mmap(NULL, piece, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return count;
    memset(memory, 1, piece);
  }
}
static long rogue_memfds(long n) {
  static char piece[1 << 16];
  long bytes = 0;
  (void)n;
  for (;;) {
    int file = memfd_create("x", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (file < 0) return bytes >> 20;
    /* One byte less than the limit: beyond it a signal comes. */
    struct rlimit size;
    getrlimit(RLIMIT_FSIZE, &size);
    for (rlim_t at = 0; at + sizeof(piece) <= size.rlim_cur; at += sizeof(piece)) {
      if (write(file, piece, sizeof(piece)) <= 0) return bytes >> 20;
      bytes += (long)sizeof(piece);
    }
  }
}
static void *sleeper(void *user) {
  struct timespec long_time = {1000, 0};
  nanosleep(&long_time, NULL);
  return user;
}
static long rogue_threads(long n) {
  long count = 0;
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, 16384);
  for (; count < n; count++) {
    pthread_t thread;
    if (pthread_create(&thread, &attributes, sleeper, NULL) != 0) break;
  }
  return count;
}

/* ---- time and the channel -------------------------------------------------------------------- */

static long rogue_spin(long n) {
  volatile long turns = n;
  while (turns >= 0) turns = turns == 1000 ? 0 : turns + 1;
  return turns;
}
static long rogue_sleep(long n) {
  sleeper(NULL);
  return n;
}
static long send_text(const void *data, size_t length) {
  struct iovec part = {(void *)(uintptr_t)data, length};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
  return CALL(SYS_sendmsg, KILN_CHANNEL, &message, MSG_NOSIGNAL);
}
static long rogue_garbage(long n) {
  (void)n;
  return send_text("what is this", 12);
}
static long rogue_flood(long n) {
  for (long i = 0; i < n; i++) send_text("x", 1);
  return 0;
}
static long rogue_large_message(long n) {
  (void)n;
  return send_text(calloc(1, 200000), 200000);
}
static long rogue_type(long n) {
  kiln_wire_head head = {
      .magic = KILN_WIRE_MAGIC, .protocol = KILN_WIRE_PROTOCOL, .type = (uint16_t)n};
  return send_text(&head, sizeof(head));
}
static long rogue_unsealed(long n) {
  kiln_wire_out out;
  int file = memfd_create("x", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  (void)n;
  if (file < 0 || ftruncate(file, 1 << 20) != 0) return -errno;
  kiln__wire_out_init(&out, KILN_WIRE_RESULT);
  if (!kiln__wire_finish(&out)) return -1;
  kiln_wire_head head;
  memcpy(&head, out.data, sizeof(head));
  head.fds = 1;
  head.flags = KILN_WIRE_PAYLOAD_IN_FD;
  head.length = 1 << 20;
  memcpy(out.data, &head, sizeof(head));
  return kiln__wire_send(KILN_CHANNEL, &out, file, 0);
}
static long rogue_leave(long n) {
  close(KILN_CHANNEL);
  return rogue_sleep(n);
}
static long rogue_secrets(long n) {
  (void)n;
  return getenv("KILN_TEST_SECRET") != NULL;
}
static long rogue_exit(long n) {
  _exit((int)n);
}
static long rogue_abort(long n) {
  (void)n;
  abort();
}
static long rogue_raise(long n) {
  return result(raise((int)n));
}
static long rogue_crash(long n) {
  *(volatile int *)(uintptr_t)n = 1;
  return 0;
}

/* ---- which of them --------------------------------------------------------------------------- */

#define ROGUE(name) \
  { #name, rogue_##name }

static const struct {
  const char *name;
  long (*act)(long n);
} rogues[] = {
    ROGUE(openat),
    ROGUE(create),
    ROGUE(memory_of_itself),
    ROGUE(memory_of_parent),
    ROGUE(environment),
    ROGUE(zone),
    ROGUE(zone_and_up),
    ROGUE(open),
    ROGUE(openat2),
    ROGUE(stat),
    ROGUE(unlink),
    ROGUE(socket),
    ROGUE(socketpair),
    ROGUE(connect),
    ROGUE(pipe),
    ROGUE(execve),
    ROGUE(execveat),
    ROGUE(fork),
    ROGUE(vfork),
    ROGUE(clone3),
    ROGUE(clone_with_parent),
    ROGUE(fork_with),
    ROGUE(fork_with_placeholders),
    ROGUE(fork_with_random),
    ROGUE(secret),
    ROGUE(clone_new_user),
    ROGUE(ptrace),
    ROGUE(kill),
    ROGUE(kill_all),
    ROGUE(tgkill),
    ROGUE(pidfd),
    ROGUE(read_others),
    ROGUE(limits_of_parent),
    ROGUE(more_descriptors),
    ROGUE(more_memory),
    ROGUE(processor_limit),
    ROGUE(survive_parent),
    ROGUE(die_otherwise),
    ROGUE(unshare),
    ROGUE(mount),
    ROGUE(chroot),
    ROGUE(root),
    ROGUE(priority),
    ROGUE(set_priority),
    ROGUE(priority_of_user),
    ROGUE(dup2),
    ROGUE(close_range),
    ROGUE(descriptors),
    ROGUE(bpf),
    ROGUE(io_uring),
    ROGUE(userfaultfd),
    ROGUE(perf),
    ROGUE(keys),
    ROGUE(ioctl),
    ROGUE(fcntl),
    ROGUE(another_filter),
    ROGUE(own_handler),
    ROGUE(blocked_signal),
    ROGUE(call),
    ROGUE(x32),
    ROGUE(i386),
    ROGUE(executable),
    ROGUE(shared),
    ROGUE(grows_down),
    ROGUE(becomes_executable),
    ROGUE(memfd_flags),
    ROGUE(fill),
    ROGUE(memfds),
    ROGUE(threads),
    ROGUE(spin),
    ROGUE(sleep),
    ROGUE(garbage),
    ROGUE(flood),
    ROGUE(large_message),
    ROGUE(type),
    ROGUE(unsealed),
    ROGUE(leave),
    ROGUE(secrets),
    ROGUE(exit),
    ROGUE(abort),
    ROGUE(raise),
    ROGUE(crash),
};

void __wrap_kiln__work_run(kiln_work *work) {
  char name[32], text[32];
  long n = 0;
  kiln_span source = kiln_bytes_get(work->job->source);
  if (source.length < 6 || memcmp(source.data, "rogue ", 6) != 0 ||
      sscanf(source.data, "rogue %31s %ld", name, &n) < 1) {
    __real_kiln__work_run(work);
    return;
  }
  long came_of_it = -ENOENT;
  for (size_t i = 0; i < sizeof(rogues) / sizeof(rogues[0]); i++)
    if (strcmp(rogues[i].name, name) == 0) came_of_it = rogues[i].act(n);
  int length = snprintf(text, sizeof(text), "%ld", came_of_it);
  work->result.result_json = kiln_bytes_new(text, (size_t)length);
}
