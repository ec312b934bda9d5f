/* SPDX-License-Identifier: MIT
 *
 * sandbox_confine.c: what a zygote gives up for itself and all of its workers, once V8 stands and
 * no file is needed any more. Each step may be impossible on this machine: what was achieved is
 * told, and who requires more refuses to go on.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "toolkit/kiln.h"
#include "toolkit/sandbox.h"

/* Sanitizers open files, and ask for more than a filter would allow. */
#ifdef KILN_ADDRESS_SANITIZER
#define CONFINES false
#else
#define CONFINES true
#endif
/* Nobody's, on every Linux. */
#define NOBODY 65534
/* Of all workers of a zygote, their threads counted. */
#define THREADS_MAX 4096

static uint32_t bit(kiln_layer layer) {
  return UINT32_C(1) << layer;
}

static bool write_file(const char *path, const char *text) {
  int file = open(path, O_WRONLY | O_CLOEXEC);
  if (file < 0) return false;
  bool written = write(file, text, strlen(text)) == (ssize_t)strlen(text);
  close(file);
  return written;
}

/* A user namespace in which nobody but this user is, as nobody. */
static bool enter_user_namespace(void) {
  char map[64];
  uid_t user = geteuid();
  gid_t group = getegid();
  if (unshare(CLONE_NEWUSER) != 0) return false;
  snprintf(map, sizeof(map), "%d %u 1\n", NOBODY, (unsigned)user);
  /* Unmapped works as well: every id is then the overflow id, which is NOBODY, too. */
  bool mapped = write_file("/proc/self/uid_map", map);
  snprintf(map, sizeof(map), "%d %u 1\n", NOBODY, (unsigned)group);
  mapped =
      mapped && write_file("/proc/self/setgroups", "deny") && write_file("/proc/self/gid_map", map);
  (void)mapped;
  return true;
}

/* The root of the file system becomes an empty directory that cannot be written to. */
static bool enter_empty_mounts(void) {
  if (unshare(CLONE_NEWNS) != 0) return false;
  return mount(/* source= */ NULL, "/", /* type= */ NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
         mount("none", "/proc", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=4k,mode=555") ==
             0 &&
         chdir("/proc") == 0 &&
         mount("none", "/proc", NULL,
               MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) == 0 &&
         syscall(SYS_pivot_root, ".", ".") == 0 && umount2(".", MNT_DETACH) == 0 && chdir("/") == 0;
}

static bool drop_user(void) {
  return setgroups(0, NULL) == 0 && setresgid(NOBODY, NOBODY, NOBODY) == 0 &&
         setresuid(NOBODY, NOBODY, NOBODY) == 0;
}

static bool drop_capabilities(void) {
  struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {{0}};
  prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  return syscall(SYS_capset, &head, none) == 0;
}

/* Newer kernels know more rights than the header this is compiled with: the numbers are the ABI's
 * own. A ruleset without rules allows nothing of what it handles. */
static bool forbid_files(void) {
  struct {
    uint64_t files, network, scoped;
  } rules = {0};
  long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, /* version */ 1);
  if (abi < 1) return false;
  static const unsigned char rights[] = {0, 13, 14, 15, 15, 16}; /* of files, by ABI */
  unsigned bits = rights[(size_t)abi < sizeof(rights) ? (size_t)abi : sizeof(rights) - 1];
  rules.files = (UINT64_C(1) << bits) - 1;
  if (abi >= 4) rules.network = 3; /* bind and connect TCP */
  if (abi >= 6) rules.scoped = 3;  /* abstract sockets and signals of others */
  size_t size = abi >= 6 ? sizeof(rules) : abi >= 4 ? 16 : 8;
  int ruleset = (int)syscall(SYS_landlock_create_ruleset, &rules, size, 0);
  if (ruleset < 0) return false;
  bool good = syscall(SYS_landlock_restrict_self, ruleset, 0) == 0;
  close(ruleset);
  return good;
}

static bool has_filter_of_calls(void) {
  unsigned action = 0x00030000u; /* SECCOMP_RET_TRAP */
  return syscall(SYS_seccomp, /* SECCOMP_GET_ACTION_AVAIL */ 2, 0, &action) == 0;
}

uint32_t kiln_sandbox_confine(bool off) {
  uint32_t layers = bit(KILN_LAYER_LIMITS) | bit(KILN_LAYER_NO_NEW_PRIVILEGES);
  if (off || !CONFINES) return layers;
  struct rlimit threads = {THREADS_MAX, THREADS_MAX};
  bool root = geteuid() == 0;
  bool user = root || enter_user_namespace();
  if (user) {
    if (unshare(CLONE_NEWNET) == 0) layers |= bit(KILN_LAYER_NETWORK);
    if (unshare(CLONE_NEWIPC | CLONE_NEWUTS) == 0) layers |= bit(KILN_LAYER_IPC);
    if (enter_empty_mounts()) layers |= bit(KILN_LAYER_MOUNT);
    if (unshare(CLONE_NEWPID) == 0) layers |= bit(KILN_LAYER_PID);
    user = (!root || drop_user()) && drop_capabilities();
  }
  if (user) layers |= bit(KILN_LAYER_USER);
  /* Counted by user and namespace: where others are counted, too, it could be over already. */
  if (user && setrlimit(RLIMIT_NPROC, &threads) == 0) layers |= bit(KILN_LAYER_PROCESSES);
  if (forbid_files()) layers |= bit(KILN_LAYER_LANDLOCK);
  if (has_filter_of_calls()) layers |= bit(KILN_LAYER_SECCOMP);
  return layers;
}
