/* SPDX-License-Identifier: MIT
 *
 * sandbox_filter.c: filters of system calls as the processes have them that load or inherit them,
 * and forking, of which a zygote's filter wants proof that it is the zygote: a number that the
 * kernel ignores and the filter knows. It stands in two instructions of the program, in memory that
 * is zeros in every fork, and no C code has ever seen it.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "toolkit/sandbox.h"

static struct sock_fprog filters[KILN_FILTER_KINDS];

/* What fork_now() puts together for the filter. Without such a filter any number will do. */
static const uint32_t any_half = 0;
static const uint32_t *low_half = &any_half, *high_half = &any_half;

static void *secret_area; /* NULL: none */
static size_t secret_area_size;

/* ---- the zygote's own --------------------------------------------------------------------------
 */

/* The one comparison with `placeholder`; NULL: there is none, or another one. */
static uint32_t *find_placeholder(const struct sock_fprog *program, uint32_t placeholder) {
  uint32_t *found = NULL;
  for (unsigned i = 0; i < program->len; i++) {
    struct sock_filter *one = &program->filter[i];
    if (one->k != placeholder) continue;
    if (found || one->code != (BPF_JMP | BPF_JEQ | BPF_K)) return NULL;
    found = &one->k;
  }
  return found;
}

static bool put_random(uint32_t *half) {
  return syscall(SYS_getrandom, half, sizeof(*half), 0) == (long)sizeof(*half);
}

/* Copied to where forks read zeros, then made this process's own. */
static bool take_zygotes(const void *code, size_t length) {
  struct sock_fprog *program = &filters[KILN_FILTER_ZYGOTE];
  void *area = mmap(/* addr= */ NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                    /* fd= */ -1, /* offset= */ 0);
  if (area == MAP_FAILED || madvise(area, length, MADV_WIPEONFORK) != 0) return false;
  memcpy(area, code, length);
  program->filter = area;
  uint32_t *low = find_placeholder(program, KILN_FILTER_SECRET_LOW);
  uint32_t *high = find_placeholder(program, KILN_FILTER_SECRET_HIGH);
  if (!low || !high || !put_random(low) || !put_random(high)) return false;
  low_half = low;
  high_half = high;
  secret_area = area;
  secret_area_size = length;
  return true;
}

const void *kiln_sandbox_get_secret_area(size_t *ret_size) {
  *ret_size = secret_area_size;
  return secret_area;
}

bool kiln_sandbox_has_secret(void) {
  return secret_area != NULL;
}

/* ---- taking and loading ------------------------------------------------------------------------
 */

static bool take_copy(kiln_filter_kind kind, const void *code, size_t length) {
  filters[kind].filter = malloc(length);
  if (!filters[kind].filter) return false;
  memcpy(filters[kind].filter, code, length);
  return true;
}

bool kiln_sandbox_take_filter(kiln_filter_kind kind, const void *program, size_t length) {
  const size_t size = sizeof(struct sock_filter);
  if (filters[kind].len > 0 || length == 0 || length % size != 0 || length / size > BPF_MAXINSNS)
    return false;
  filters[kind].len = (unsigned short)(length / size);
  return kind == KILN_FILTER_ZYGOTE ? take_zygotes(program, length)
                                    : take_copy(kind, program, length);
}

static bool load(const struct sock_fprog *program) {
  return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, program) == 0;
}

bool kiln_sandbox_filter_zygote(void) {
  bool breeds = filters[KILN_FILTER_BREEDER].len > 0;
  if (breeds == (filters[KILN_FILTER_ZYGOTE].len > 0)) return false;
  return load(&filters[breeds ? KILN_FILTER_BREEDER : KILN_FILTER_ZYGOTE]);
}

/* Whoever started the zygote wanted it as nice as workers are, or nicer: so they stay. */
static bool is_nice;

bool kiln_sandbox_enter(kiln_filter_kind kind) {
  /* EACCES: it has become nicer since. */
  if (!is_nice && setpriority(PRIO_PROCESS, 0, KILN_WORKER_NICE) != 0 && errno != EACCES)
    return false;
  return filters[kind].len == 0 || load(&filters[kind]);
}

/* ---- forking -----------------------------------------------------------------------------------
 */

/* glibc keeps the thread's id in memory for its mutexes; where it does is known to the kernel,
 * which is told to renew it in the child. */
static int *tid_address;

void kiln_sandbox_prepare_fork(void) {
  if (prctl(PR_GET_TID_ADDRESS, &tid_address) != 0) tid_address = NULL;
  is_nice = getpriority(PRIO_PROCESS, 0) >= KILN_WORKER_NICE;
}

/* clone() with the secret as parent_tid, which the kernel reads with CLONE_PARENT_SETTID only. It
 * goes from the area into a register, which is cleared in parent and child. Never clone3(): filters
 * cannot see its flags. */
static long fork_now(uint64_t flags) {
#if defined(__x86_64__)
  long pid;
  register int *child_tid __asm__("r10") = tid_address;
  register long tls __asm__("r8") = 0;
  __asm__ volatile(
      "movl (%[high]), %%edx\n\t"
      "shlq $32, %%rdx\n\t"
      "movl (%[low]), %%eax\n\t"
      "orq %%rax, %%rdx\n\t"
      "movl %[call], %%eax\n\t"
      "syscall\n\t"
      "xorl %%edx, %%edx"
      : "=&a"(pid)
      : [high] "r"(high_half), [low] "r"(low_half), [call] "i"(SYS_clone), "D"(flags),
        "S"(/* stack */ 0L), "r"(child_tid), "r"(tls)
      : "rdx", "rcx", "r11", "memory", "cc");
  return pid;
#elif defined(__aarch64__)
  register uint64_t first __asm__("x0") = flags;
  register uint64_t stack __asm__("x1") = 0;
  register uint64_t tls __asm__("x3") = 0;
  register int *child_tid __asm__("x4") = tid_address;
  register uint64_t call __asm__("x8") = SYS_clone;
  __asm__ volatile(
      "ldr w2, [%[high]]\n\t"
      "ldr w9, [%[low]]\n\t"
      "orr x2, x9, x2, lsl #32\n\t"
      "mov x9, #0\n\t"
      "svc #0\n\t"
      "mov x2, #0"
      : "+r"(first)
      : [high] "r"(high_half), [low] "r"(low_half), "r"(stack), "r"(tls), "r"(child_tid), "r"(call)
      : "x2", "x9", "memory", "cc");
  return (long)first;
#else
#error "how this processor makes a system call is not known"
#endif
}

pid_t kiln_sandbox_fork(void) {
  uint64_t flags = CLONE_PARENT;
  if (tid_address) flags |= CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID;
  long pid = fork_now(flags);
  return pid < 0 ? -1 : (pid_t)pid;
}
