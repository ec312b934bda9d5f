/* SPDX-License-Identifier: MIT
 *
 * filter.c: the filter of kilnd's HTTP threads, each call in a child process of its own: what must
 * end the process does, what such a thread needs works, and who started it is free of it.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "server/privileges.h"
#include "tests/temporary.h"

#define GOOD 7

/* Runs `body` in a child under the filter. Its exit status, or 1000 + the signal. */
static int in_child(void (*body)(long), long argument) {
  pid_t pid = fork();
  ck_assert_int_ge(pid, 0);
  if (pid == 0) {
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    alarm(10); /* for calls that wait */
    if (!srv_filter_install()) _exit(99);
    body(argument);
    _exit(GOOD);
  }
  int status = 0;
  ck_assert_int_eq(waitpid(pid, &status, 0), pid);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static void call(long number) {
  syscall(number, 0, 0, 0, 0, 0, 0);
}

START_TEST(forbidden_calls_kill) {
  static const struct {
    const char *name;
    long number;
  } rows[] = {
#define ROW(name) {#name, SYS_##name}
      ROW(execve),
      ROW(execveat),
      ROW(fork),
      ROW(vfork),
      ROW(ptrace),
      ROW(process_vm_readv),
      ROW(process_vm_writev),
      ROW(kcmp),
      ROW(kill),
      ROW(tkill),
      ROW(pidfd_open),
      ROW(pidfd_getfd),
      ROW(pidfd_send_signal),
      ROW(rt_sigqueueinfo),
      ROW(rt_tgsigqueueinfo),
      ROW(setuid),
      ROW(setgid),
      ROW(setreuid),
      ROW(setregid),
      ROW(setresuid),
      ROW(setresgid),
      ROW(setgroups),
      ROW(setfsuid),
      ROW(setfsgid),
      ROW(capset),
      ROW(chroot),
      ROW(personality),
      ROW(setns),
      ROW(unshare),
      ROW(mount),
      ROW(umount2),
      ROW(pivot_root),
      ROW(move_mount),
      ROW(open_tree),
      ROW(fsopen),
      ROW(fsmount),
      ROW(fsconfig),
      ROW(fspick),
      ROW(swapon),
      ROW(swapoff),
      ROW(mknod),
      ROW(mknodat),
      ROW(fanotify_init),
      ROW(name_to_handle_at),
      ROW(open_by_handle_at),
      ROW(quotactl),
      ROW(bpf),
      ROW(perf_event_open),
      ROW(userfaultfd),
      ROW(io_uring_setup),
      ROW(io_uring_enter),
      ROW(io_uring_register),
      ROW(init_module),
      ROW(finit_module),
      ROW(delete_module),
      ROW(kexec_load),
      ROW(keyctl),
      ROW(add_key),
      ROW(request_key),
      ROW(reboot),
      ROW(acct),
      ROW(settimeofday),
      ROW(clock_settime),
      ROW(adjtimex),
      ROW(clock_adjtime),
      ROW(sethostname),
      ROW(setdomainname),
      ROW(syslog),
      ROW(move_pages),
      ROW(migrate_pages),
      ROW(mbind),
      ROW(vhangup),
      ROW(clone),
#undef ROW
  };
  for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
    int status = in_child(call, rows[i].number);
    ck_assert_msg(status == 1000 + SIGSYS, "%s: %d", rows[i].name, status);
  }
}
END_TEST

#ifdef __x86_64__
static void call_x32(long number) {
  syscall(0x40000000L + number, 0, 0, 0, 0, 0, 0);
}

static void call_i386(long number) {
  long result;
  __asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(0), "c"(0), "d"(0) : "memory");
}

/* The same numbers mean other calls there. */
START_TEST(other_architectures_kill) {
  static const long numbers[] = {0, 1, 3, 11, 39, 59, 120, 258, 322};
  for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
    ck_assert_int_eq(in_child(call_x32, numbers[i]), 1000 + SIGSYS);
    ck_assert_int_eq(in_child(call_i386, numbers[i]), 1000 + SIGSYS);
  }
}
END_TEST
#endif

static void expect_enosys(long number) {
  long result = syscall(number, 0, 0, 0, 0, 0, 0);
  if (result != -1 || errno != ENOSYS) _exit(1);
}

/* Of what nobody has thought of, nothing gets through: 600 is beyond every kernel's table. */
START_TEST(unknown_calls_fail) {
  static const long numbers[] = {SYS_socket,     SYS_connect,       SYS_bind,  SYS_listen,
                                 SYS_socketpair, SYS_clone3,        SYS_ioctl, SYS_shmget,
                                 SYS_msgget,     SYS_symlink,       SYS_link,  SYS_chmod,
                                 SYS_setxattr,   SYS_inotify_init1, 600};
  for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
    ck_assert_msg(in_child(expect_enosys, numbers[i]) == GOOD, "call %ld", numbers[i]);
}
END_TEST

static void map_executable(long ignored) {
  (void)ignored;
  size_t size = 4096;
  const int flags = MAP_PRIVATE | MAP_ANONYMOUS;
  if (mmap(NULL, size, PROT_READ | PROT_EXEC, flags, -1, 0) != MAP_FAILED) _exit(1);
  void *plain = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, -1, 0);
  if (plain == MAP_FAILED) _exit(2);
  if (mprotect(plain, size, PROT_READ | PROT_EXEC) == 0) _exit(3);
  if (mprotect(plain, size, PROT_READ) != 0) _exit(4);
}

START_TEST(memory_is_never_executable) {
  ck_assert_int_eq(in_child(map_executable, 0), GOOD);
}
END_TEST

static void prctl_others(long ignored) {
  (void)ignored;
  if (prctl(PR_SET_NAME, "name") != 0) _exit(1);
  if (prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == 0 || errno != ENOSYS) _exit(2);
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) _exit(3);
  if (setrlimit(RLIMIT_NOFILE, &limit) == 0) _exit(4);
  if (syscall(SYS_tgkill, getppid(), getppid(), 0) == 0 || errno != ENOSYS) _exit(5);
}

START_TEST(only_some_arguments) {
  ck_assert_int_eq(in_child(prctl_others, 0), GOOD);
}
END_TEST

/* ---- what works */

static void *answer(void *argument) {
  return argument;
}

static void use_threads(void) {
  pthread_t thread;
  void *result = NULL;
  if (pthread_create(&thread, NULL, answer, &result) != 0) _exit(10);
  if (pthread_join(thread, &result) != 0 || result != (void *)&result) _exit(11);
}

static void use_files(void) {
  char path[TEMPORARY_PATH], other[TEMPORARY_PATH + 8];
  struct statvfs disk;
  snprintf(path, sizeof(path), "%s/filter-XXXXXX", temporary_root());
  int fd = mkstemp(path);
  snprintf(other, sizeof(other), "%s.other", path);
  struct flock lock = {.l_type = F_WRLCK, .l_len = 1};
  if (fd < 0 || fcntl(fd, F_SETLK, &lock) != 0 || pwrite(fd, "x", 1, 0) != 1) _exit(20);
  if (fsync(fd) != 0 || fdatasync(fd) != 0 || ftruncate(fd, 4096) != 0) _exit(21);
  void *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (shared == MAP_FAILED || munmap(shared, 4096) != 0) _exit(22);
  if (statvfs(path, &disk) != 0 || rename(path, other) != 0 || unlink(other) != 0) _exit(23);
  close(fd);
}

static void use_memory(void) {
  int fd = memfd_create("x", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (fd < 0 || ftruncate(fd, 100) != 0 || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK) != 0) _exit(30);
  void *large = malloc(64 << 20);
  if (large == NULL) _exit(31);
  memset(large, 1, 64 << 20);
  free(large);
  close(fd);
}

static void use_events(void) {
  struct epoll_event event = {.events = EPOLLIN};
  int counter = eventfd(1, EFD_CLOEXEC);
  int epoll = epoll_create1(EPOLL_CLOEXEC);
  if (counter < 0 || epoll < 0) _exit(40);
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, counter, &event) != 0) _exit(41);
  if (epoll_wait(epoll, &event, 1, 1000) != 1) _exit(42);
  char noise[16];
  if (getrandom(noise, sizeof(noise), 0) != (ssize_t)sizeof(noise)) _exit(43);
}

static void use_pipes(void) {
  char page[] = "page";
  struct iovec vector = {.iov_base = page, .iov_len = sizeof(page)};
  int from[2], to[2];
  if (pipe(from) != 0 || pipe(to) != 0) _exit(50);
  if (vmsplice(from[1], &vector, 1, 0) != (ssize_t)sizeof(page)) _exit(51);
  if (splice(from[0], NULL, to[1], NULL, sizeof(page), 0) != (ssize_t)sizeof(page)) _exit(52);
}

static void use_all(long ignored) {
  (void)ignored;
  use_threads();
  use_files();
  use_memory();
  use_events();
  use_pipes();
}

START_TEST(what_is_needed_works) {
  ck_assert_int_eq(in_child(use_all, 0), GOOD);
}
END_TEST

static void end_oneself(long ignored) {
  (void)ignored;
  abort();
}

/* A failed assertion must not look like an attack. */
START_TEST(abort_is_an_abort) {
  ck_assert_int_eq(in_child(end_oneself, 0), 1000 + SIGABRT);
}
END_TEST

/* ---- who has it */

static void *fork_there(void *ignored) {
  pid_t pid = fork();
  if (pid == 0) _exit(0);
  return ignored;
}

static void start_thread(void *user, bool filtered) {
  if (!filtered) _exit(98);
  pthread_create(user, NULL, fork_there, NULL);
}

static bool fork_after_run(void) {
  pthread_t thread;
  pid_t outer = fork();
  if (outer == 0) {
    if (!srv_filter_run(start_thread, &thread)) _exit(1);
    pthread_join(thread, NULL);
    _exit(GOOD); /* not reached: the thread forked */
  }
  int status = 0;
  waitpid(outer, &status, 0);
  return WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS;
}

static void note_filter(void *user, bool filtered) {
  *(bool *)user = filtered;
}

START_TEST(threads_of_a_filtered_one_have_it) {
  ck_assert(fork_after_run());
}
END_TEST

START_TEST(who_starts_it_is_free) {
  bool filtered = false;
  ck_assert(srv_filter_run(note_filter, &filtered));
  ck_assert(filtered);
  pid_t pid = fork();
  if (pid == 0) {
    execl("/bin/true", "true", (char *)NULL);
    _exit(1);
  }
  int status = -1;
  waitpid(pid, &status, 0);
  ck_assert_int_eq(status, 0);
}
END_TEST

int main(void) {
  Suite *suite = suite_create("server filter");
  TCase *all = tcase_create("all");
  tcase_set_timeout(all, 50);
  tcase_add_test(all, forbidden_calls_kill);
#ifdef __x86_64__
  tcase_add_test(all, other_architectures_kill);
#endif
  tcase_add_test(all, unknown_calls_fail);
  tcase_add_test(all, memory_is_never_executable);
  tcase_add_test(all, only_some_arguments);
  tcase_add_test(all, what_is_needed_works);
  tcase_add_test(all, abort_is_an_abort);
  tcase_add_test(all, threads_of_a_filtered_one_have_it);
  tcase_add_test(all, who_starts_it_is_free);
  suite_add_tcase(suite, all);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_ENV);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
