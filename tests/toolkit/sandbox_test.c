/* SPDX-License-Identifier: MIT
 *
 * sandbox_test.c: an engine that misbehaves on purpose (rogue.c) achieves nothing, and each attempt
 * is told of: by its name, as a forbidden system call. The same on an engine in a node binary:
 *
 * sandbox_test ENGINE [PRELOADED OBJECT]
 */
#include <check.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/toolkit/pool_support.h"
#include "toolkit/filter.h"

#define CALLS_END 480 /* past the last of Linux 6.18 */

static const char *engine;
static const char *object;
static unsigned timeout_ms = 500;
static kiln_pool *pool;

static kiln_pool_options rogue_options(void) {
  kiln_pool_options options = default_options();
  options.engine_path = engine;
  options.preload = object;
  options.sandbox_required = true;
  return options;
}

static void open_pool(void) {
  setenv("KILN_TEST_SECRET", "x", 1);
  kiln_pool_options options = rogue_options();
  pool = new_pool(&options);
}

static void close_pool(void) {
  kiln_pool_free(pool, 1000);
  child children[8];
  ck_assert_uint_eq(list_children(children, 8), 0);
}

static kiln_pool_image *image; /* NULL: runs are in none */

static void act(const char *what, long n, answer *a) {
  char source[64];
  snprintf(source, sizeof(source), "rogue %s %ld", what, n);
  kiln_job job = script_job(source);
  job.timeout_ms = timeout_ms;
  job.image = image;
  do_job(pool, &job, a);
  kiln_bytes_unref(job.source);
  ck_assert_msg(a->status == KILN_OK, "%s: %s", what, a->message_of_ours);
}

static void assert_still_good(void) {
  assert_result(pool, "6 * 7", "42");
}

static long number_of(const answer *a) {
  ck_assert_msg(a->outcome == KILN_OUTCOME_OK, "%d %s: %s", a->outcome, a->code, a->message);
  return strtol(kiln_bytes_get(a->result_json).data, NULL, 10);
}

/* ---- attempts -------------------------------------------------------------------------------- */

typedef struct attempt {
  const char *what;
  long n;
  const char *call; /* the name told; NULL: not a matter of the filter */
  long refused;     /* without a name: what it was answered, -errno */
} attempt;

#define OWN_PID -1000 /* stands for this process's id */

static const attempt attempts[] = {
    {"openat", 0, "openat", 0},
    {"create", 0, "openat", 0},
    {"memory_of_itself", 0, "openat", 0},
    {"memory_of_parent", OWN_PID, "openat", 0},
    {"environment", 0, "openat", 0},
    {"zone", 0, NULL, -ENOENT},
    {"zone_and_up", 0, "openat", 0},
    {"open", 0, "open", 0},
    {"openat2", 0, "openat2", 0},
    {"stat", 0, "newfstatat", 0},
    {"unlink", 0, "unlink", 0},
    {"socket", 1, "socket", 0},
    {"socket", 2, "socket", 0},
    {"socket", 16, "socket", 0},
    {"socketpair", 0, "socketpair", 0},
    {"connect", 0, "connect", 0},
    {"pipe", 0, "pipe2", 0},
    {"execve", 0, "execve", 0},
    {"execveat", 0, "execveat", 0},
    {"fork", 0, "clone", 0},
    {"vfork", 0, "vfork", 0},
    {"clone3", 0, NULL, -ENOSYS},
    {"clone_with_parent", 0, "clone", 0},
    {"fork_with", 0, "clone", 0},
    {"fork_with", 1, "clone", 0},
    {"fork_with_placeholders", 0, "clone", 0},
    {"fork_with_random", 0, "clone", 0},
    {"clone_new_user", 0, "clone", 0},
    {"ptrace", OWN_PID, "ptrace", 0},
    {"kill", OWN_PID, "kill", 0},
    {"kill_all", 0, "kill", 0},
    {"tgkill", OWN_PID, "tgkill", 0},
    {"pidfd", OWN_PID, "pidfd_open", 0},
    {"read_others", OWN_PID, "process_vm_readv", 0},
    {"limits_of_parent", OWN_PID, "prlimit64", 0},
    {"more_descriptors", 0, NULL, -EPERM},
    {"more_memory", 0, NULL, -EPERM},
    {"survive_parent", 0, NULL, -EINVAL},
    {"die_otherwise", SIGTERM, NULL, -EINVAL},
    {"die_otherwise", SIGKILL, NULL, 0},
    {"unshare", 0, "unshare", 0},
    {"mount", 0, "mount", 0},
    {"chroot", 0, "chroot", 0},
    {"root", 0, "setuid", 0},
    {"priority", 0, "setpriority", 0},
    {"set_priority", 9, "setpriority", 0},
    {"set_priority", 19, "setpriority", 0},
    {"priority_of_user", 10, "setpriority", 0},
    {"priority_of_user", 19, "setpriority", 0},
    {"dup2", 9, "dup2", 0},
    {"close_range", 0, "close_range", 0},
    {"raise", 0, "tgkill", 0},
    {"bpf", 0, "bpf", 0},
    {"io_uring", 0, "io_uring_setup", 0},
    {"userfaultfd", 0, "userfaultfd", 0},
    {"perf", 0, "perf_event_open", 0},
    {"keys", 0, "keyctl", 0},
    {"ioctl", 0, "ioctl", 0},
    {"fcntl", 0, "fcntl", 0},
    {"another_filter", 0, "seccomp", 0},
    {"own_handler", 0, "rt_sigaction", 0},
    {"executable", 0, "mmap", 0},
    {"shared", 0, "mmap", 0},
    {"grows_down", 0, "mmap", 0},
    {"memfd_flags", 0, "memfd_create", 0},
    {"secrets", 0, NULL, 0},
};

static void attempt_in_vain(const attempt *one) {
  char expected[128];
  answer a;
  uint64_t alarms = stats_of(pool).sandbox_alarms;
  act(one->what, one->n == OWN_PID ? (long)getpid() : one->n, &a);
  if (one->call) {
    snprintf(expected, sizeof(expected), "the engine process made a forbidden system call: %s",
             one->call);
    ck_assert_msg(strcmp(a.code, "ERR_SANDBOX_VIOLATION") == 0, "%s %ld: %s: %s", one->what, one->n,
                  a.code, a.message);
    ck_assert_str_eq(a.message, expected);
    ck_assert_int_eq(a.outcome, KILN_OUTCOME_CRASHED);
    ck_assert_uint_eq(stats_of(pool).sandbox_alarms, alarms + 1);
  } else {
    snprintf(expected, sizeof(expected), "%ld", one->refused);
    ck_assert_msg(a.outcome == KILN_OUTCOME_OK, "%s", a.message);
    assert_json(a.result_json, expected);
  }
  answer_release(&a);
  assert_still_good();
}

START_TEST(attempts_achieve_nothing) {
  attempt_in_vain(&attempts[_i]);
}
END_TEST

/* ---- in an image -----------------------------------------------------------------------------
 */

static struct {
  pthread_mutex_t lock;
  pthread_cond_t changed;
  bool loaded, freed, failed;
} seen = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static void on_image(void *user, kiln_pool_image_event event, const kiln_job_result *result,
                     uint64_t bytes) {
  (void)user, (void)result, (void)bytes;
  pthread_mutex_lock(&seen.lock);
  if (event == KILN_POOL_IMAGE_LOADED)
    seen.loaded = true;
  else if (event == KILN_POOL_IMAGE_FREED)
    seen.freed = true;
  else
    seen.failed = true;
  pthread_cond_broadcast(&seen.changed);
  pthread_mutex_unlock(&seen.lock);
}

static void await_event(const bool *event) {
  pthread_mutex_lock(&seen.lock);
  while (!*event) pthread_cond_wait(&seen.changed, &seen.lock);
  pthread_mutex_unlock(&seen.lock);
}

static kiln_pool_image *new_image(void) {
  kiln_job job = script_job("var n = 41");
  kiln_job_source script = {.source = job.source};
  kiln_job_context context = {.scripts = &script, .scripts_count = 1};
  kiln_pool_image *made;
  kiln_error err;
  job.op = KILN_JOB_IMAGE;
  job.source = NULL;
  job.contexts = &context;
  job.contexts_count = 1;
  seen.loaded = seen.freed = seen.failed = false;
  kiln_status status = kiln_pool_image_new(pool, &job, 600000, on_image, NULL, &made, &err);
  ck_assert_msg(status == KILN_OK, "%s", err.message);
  kiln_bytes_unref(script.source);
  return made;
}

START_TEST(attempts_in_an_image_achieve_nothing) {
  image = new_image();
  await_event(&seen.loaded);
  for (size_t i = 0; i < sizeof(attempts) / sizeof(attempts[0]); i++) attempt_in_vain(&attempts[i]);
  ck_assert(!seen.failed);
  kiln_pool_image_free(image);
  image = NULL;
  await_event(&seen.freed);
}
END_TEST

/* Who blocks the signal dies of it, nameless. */
START_TEST(a_blocked_signal_kills) {
  answer a;
  act("blocked_signal", 0, &a);
  ck_assert_str_eq(a.code, "ERR_SANDBOX_VIOLATION");
  ck_assert_int_eq(a.signal, SIGSYS);
  answer_release(&a);
  assert_still_good();
}
END_TEST

/* A fork finds zeros where its zygote has what it takes to fork. */
START_TEST(the_secret_is_the_zygotes) {
  answer a;
  for (int i = 0; i < 20; i++) {
    act("secret", 0, &a);
    ck_assert_int_eq(number_of(&a), 0);
    answer_release(&a);
  }
  /* A zygote of images has none. */
  image = new_image();
  await_event(&seen.loaded);
  act("secret", 0, &a);
  ck_assert_int_eq(number_of(&a), -ENOENT);
  answer_release(&a);
  kiln_pool_image_free(image);
  image = NULL;
  await_event(&seen.freed);
}
END_TEST

/* Standard ones, the channel, the keeper's lifeline. */
START_TEST(nothing_else_is_open) {
  answer a;
  act("descriptors", 1000, &a);
  long count = number_of(&a);
  ck_assert_msg(count == 4 || count == 5, "%ld are open", count);
  answer_release(&a);
}
END_TEST

/* No process may send a signal, but which one it wanted is known. */
START_TEST(its_own_signals_are_told) {
  static const struct {
    const char *what;
    int n, told;
    const char *message;
  } ends[] = {
      {"abort", 0, SIGABRT, "the engine process was ended by signal SIGABRT"},
      {"raise", SIGFPE, SIGFPE, "the engine process was ended by signal SIGFPE"},
      {"crash", 8, SIGSEGV, "the engine process was ended by signal SIGSEGV"},
      /* what means something else when it comes from outside */
      {"raise", SIGKILL, 0, "the engine process ended with exit code 137"},
      {"raise", SIGXCPU, 0, "the engine process ended with exit code 152"},
      {"exit", 0xff, 0, "the engine process ended with exit code 255"},
  };
  for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
    answer a;
    act(ends[i].what, ends[i].n, &a);
    ck_assert_int_eq(a.outcome, KILN_OUTCOME_CRASHED);
    ck_assert_str_eq(a.code, "ERR_ENGINE_CRASHED");
    ck_assert_str_eq(a.message, ends[i].message);
    ck_assert_int_eq(a.signal, ends[i].told);
    answer_release(&a);
  }
  assert_still_good();
}
END_TEST

/* ---- every number ---------------------------------------------------------------------------- */

/* What may be called with any arguments, or with none but zeros. */
static const int allowed[] = {
    SYS_read,
    SYS_write,
    SYS_close,
    SYS_lseek,
    SYS_rt_sigprocmask,
    SYS_sched_yield,
    SYS_mremap,
    SYS_munmap,
    SYS_nanosleep,
    SYS_getpid,
    SYS_sendmsg,
    SYS_recvmsg,
    SYS_ftruncate,
    SYS_gettimeofday,
    SYS_fstatfs,
    SYS_sched_getparam,
    SYS_gettid,
    SYS_futex,
    SYS_clock_gettime,
    SYS_clock_getres,
    SYS_clock_nanosleep,
    SYS_set_robust_list,
    SYS_prlimit64,
    SYS_getrandom,
    SYS_mprotect,
    SYS_pkey_mprotect,
    SYS_brk,
    SYS_rseq,
    SYS_sched_getaffinity,
    SYS_sched_getscheduler,
    SYS_restart_syscall,
    SYS_setitimer,
    /* answered with an error */
    SYS_prctl,
    SYS_clone3,
    SYS_sysinfo,
};

static bool is_allowed(int number) {
  for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]); i++)
    if (allowed[i] == number) return true;
  return false;
}

/* These end the process, as they are to. */
static bool is_end(int number) {
  return number == SYS_exit || number == SYS_exit_group || number == SYS_rt_sigreturn;
}

/* The kernel answers these itself, filter or not, with a signal. */
static bool is_probe(int number) {
  return number == 335 || number == 336;
}

START_TEST(every_call_is_listed_or_told) {
  unsigned told = 0, passed = 0;
  for (int number = 0; number < CALLS_END; number++) {
    char name[64], expected[160];
    answer a;
    kiln__filter_name_call(number, name, sizeof(name));
    snprintf(expected, sizeof(expected), "the engine process made a forbidden system call: %s",
             name);
    act("call", number, &a);
    if (is_probe(number)) {
      answer_release(&a);
      continue;
    }
    if (a.outcome == KILN_OUTCOME_OK) {
      ck_assert_msg(is_allowed(number), "%s (%d) came back", name, number);
      passed++;
    } else if (!is_end(number)) {
      ck_assert_msg(strcmp(a.code, "ERR_SANDBOX_VIOLATION") == 0, "%s (%d): %s: %s", name, number,
                    a.code, a.message);
      ck_assert_str_eq(a.message, expected);
      ck_assert_msg(!is_allowed(number), "%s (%d) is listed as allowed", name, number);
      told++;
    }
    answer_release(&a);
  }
  ck_assert_uint_eq(passed, sizeof(allowed) / sizeof(allowed[0]));
  ck_assert_uint_eq(passed + told, CALLS_END - 5);
  assert_still_good();
}
END_TEST

static void try_all_of(const char *architecture) {
  for (int number = 0; number < CALLS_END; number++) {
    answer a;
    act(architecture, number, &a);
    ck_assert_msg(strcmp(a.code, "ERR_SANDBOX_VIOLATION") == 0, "%s %d: %d %s: %s", architecture,
                  number, a.outcome, a.code, a.message);
    answer_release(&a);
  }
  assert_still_good();
}

START_TEST(no_call_of_x32) {
  try_all_of("x32");
}
END_TEST

START_TEST(no_call_of_i386) {
  try_all_of("i386");
}
END_TEST

/* ---- memory, threads, time ------------------------------------------------------------------- */

START_TEST(memory_ends) {
  answer a;
  timeout_ms = 10000;
  act("fill", 0, &a);
  long mib = number_of(&a);
  ck_assert_msg(mib > 64 && mib <= 320, "%ld MiB", mib);
  answer_release(&a);
  act("memfds", 0, &a);
  /* As many files as descriptors are left, each at most as large as an answer may be. */
  mib = number_of(&a);
  ck_assert_msg(mib <= 256, "%ld MiB of memfds", mib);
  answer_release(&a);
  assert_still_good();
}
END_TEST

START_TEST(threads_end) {
  answer a;
  act("threads", 100000, &a);
  long count = number_of(&a);
  ck_assert_msg(count < 5000, "%ld threads", count);
  answer_release(&a);
  assert_still_good();
}
END_TEST

START_TEST(time_ends) {
  static const char *const whats[] = {"spin", "sleep"};
  answer a;
  for (size_t i = 0; i < 2; i++) {
    uint64_t start = now_ms();
    act(whats[i], 0, &a);
    ck_assert_int_eq(a.outcome, KILN_OUTCOME_TIME_LIMIT);
    ck_assert_uint_lt(now_ms() - start, 500 + 300 + 2000);
    answer_release(&a);
  }
  assert_still_good();
}
END_TEST

/* Hard limits sink to what a job may have, and never rise. */
START_TEST(a_stricter_limit_stays) {
  answer a;
  act("processor_limit", 0, &a);
  ck_assert_int_eq(number_of(&a), 5 + 2);
  answer_release(&a);
  kiln_pool_free(pool, 1000);
  struct rlimit stricter = {300, 300};
  ck_assert_int_eq(setrlimit(RLIMIT_CPU, &stricter), 0);
  kiln_pool_options options = rogue_options();
  for (int off = 0; off < 2; off++) {
    options.sandbox_off = off == 1;
    options.sandbox_required = false;
    pool = new_pool(&options);
    timeout_ms = 500;
    act("processor_limit", 0, &a);
    ck_assert_int_eq(number_of(&a), 5 + 2);
    answer_release(&a);
    timeout_ms = 300000;
    act("processor_limit", 0, &a);
    ck_assert_int_eq(number_of(&a), 300);
    answer_release(&a);
    if (off == 0) kiln_pool_free(pool, 1000);
  }
}
END_TEST

/* ---- the channel ----------------------------------------------------------------------------- */

START_TEST(the_channel_takes_answers_only) {
  static const struct {
    const char *what;
    long n;
  } words[] = {{"garbage", 0}, {"flood", 100000}, {"large_message", 0}, {"type", 1},
               {"type", 2},    {"type", 3},       {"type", 4},          {"type", 6},
               {"type", 7},    {"type", 99},      {"unsealed", 0}};
  for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
    answer a;
    uint64_t errors = stats_of(pool).protocol_errors;
    act(words[i].what, words[i].n, &a);
    bool told = a.outcome == KILN_OUTCOME_CRASHED && strcmp(a.code, "ERR_ENGINE_PROTOCOL") == 0;
    ck_assert_msg(told, "%s %ld: %d %s: %s", words[i].what, words[i].n, a.outcome, a.code,
                  a.message);
    ck_assert_uint_eq(stats_of(pool).protocol_errors, errors + 1);
    answer_release(&a);
    assert_still_good();
  }
}
END_TEST

START_TEST(its_end_is_its_own) {
  static const struct {
    const char *what;
    long n;
  } ends[] = {{"exit", 0}, {"exit", 1}, {"exit", 78}, {"crash", 8}, {"leave", 0}};
  for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
    answer a;
    act(ends[i].what, ends[i].n, &a);
    ck_assert_msg(a.outcome == KILN_OUTCOME_CRASHED, "%s: %d", ends[i].what, a.outcome);
    answer_release(&a);
    assert_still_good();
  }
}
END_TEST

/* ---- without a compiler -----------------------------------------------------------------------
 */

START_TEST(jitless_has_no_executable_page) {
  kiln_pool_options options = rogue_options();
  answer a;
  act("becomes_executable", 0, &a);
  ck_assert_int_eq(number_of(&a), 0); /* V8's compiler needs that */
  answer_release(&a);
  kiln_pool_free(pool, 1000);
  options.jitless = true;
  pool = new_pool(&options);
  act("becomes_executable", 0, &a);
  ck_assert_str_eq(a.message, "the engine process made a forbidden system call: mprotect");
  answer_release(&a);
  assert_result(pool, "let s = 0; for (let i = 0; i < 1e6; i++) s += i % 7; s", "2999997");
  assert_result(pool, "/(a+)b/.exec('xaab')[1] + new Date(0).toISOString()",
                "\"aa1970-01-01T00:00:00.000Z\"");
}
END_TEST

int main(int argc, char **argv) {
  if (argc < 2 || argc > 3) {
    fprintf(stderr, "usage: sandbox_test ENGINE [OBJECT]\n");
    return 2;
  }
  engine = argv[1];
  object = argc == 3 ? argv[2] : NULL;
  Suite *suite = suite_create("sandbox");
  TCase *tcase = tcase_create("rogue engine");
  tcase_set_timeout(tcase, 120);
  tcase_add_checked_fixture(tcase, open_pool, close_pool);
  tcase_add_loop_test(tcase, attempts_achieve_nothing, 0,
                      (int)(sizeof(attempts) / sizeof(attempts[0])));
  tcase_add_test(tcase, attempts_in_an_image_achieve_nothing);
  tcase_add_test(tcase, the_secret_is_the_zygotes);
  tcase_add_test(tcase, nothing_else_is_open);
  tcase_add_test(tcase, its_own_signals_are_told);
  tcase_add_test(tcase, a_blocked_signal_kills);
  tcase_add_test(tcase, every_call_is_listed_or_told);
  tcase_add_test(tcase, no_call_of_x32);
  tcase_add_test(tcase, no_call_of_i386);
  tcase_add_test(tcase, memory_ends);
  tcase_add_test(tcase, threads_end);
  tcase_add_test(tcase, time_ends);
  tcase_add_test(tcase, a_stricter_limit_stays);
  tcase_add_test(tcase, the_channel_takes_answers_only);
  tcase_add_test(tcase, its_end_is_its_own);
  tcase_add_test(tcase, jitless_has_no_executable_page);
  suite_add_tcase(suite, tcase);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? 0 : 1;
}
