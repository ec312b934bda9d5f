/* SPDX-License-Identifier: MIT
 *
 * restart.c: see restart.h. The program is found by its path, so that a newer one that was
 * installed there is what starts.
 */
#include "server/restart.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "server/inherit.h"
#include "server/notify.h"
#include "server/server.h"

extern char **environ;

static char program[PATH_MAX];

void srv_restart_init(void) {
  ssize_t length = readlink("/proc/self/exe", program, sizeof(program) - 1);
  program[length > 0 ? length : 0] = '\0';
}

#define ADDED 3
typedef struct environment {
  char listen[64];
  char ready[64];
  char notify[256];
  char **list;
} environment;

static bool fill_environment(environment *e, int listen_fd, int ready_fd) {
  size_t count = 0;
  while (environ[count] != NULL) count++;
  e->list = calloc(count + ADDED + 1, sizeof(*e->list));
  if (e->list == NULL) return false;
  memcpy(e->list, environ, count * sizeof(*e->list));
  snprintf(e->listen, sizeof(e->listen), SRV_ENV_LISTEN "=%d", listen_fd);
  snprintf(e->ready, sizeof(e->ready), SRV_ENV_READY "=%d", ready_fd);
  e->list[count++] = e->listen;
  e->list[count++] = e->ready;
  if (srv_notify_socket() != NULL) {
    snprintf(e->notify, sizeof(e->notify), "NOTIFY_SOCKET=%s", srv_notify_socket());
    e->list[count++] = e->notify;
  }
  return true;
}

/* dup2() onto itself is how posix_spawn() is told to leave a descriptor open. */
static int spawn(char **argv, char **variables, int listen_fd, int ready_fd, pid_t *ret_pid) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  sigset_t all, none;
  sigfillset(&all);
  sigemptyset(&none);
  posix_spawn_file_actions_init(&actions);
  posix_spawnattr_init(&attributes);
  posix_spawn_file_actions_adddup2(&actions, listen_fd, listen_fd);
  posix_spawn_file_actions_adddup2(&actions, ready_fd, ready_fd);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
  int result = posix_spawn(ret_pid, program, &actions, &attributes, argv, variables);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  return result;
}

void srv_restart_begin(srv_restart *restart, char **argv, int listen_fd, int64_t timeout_ms) {
  int ends[2];
  environment e = {.list = NULL};
  if (restart->pid != 0) {
    srv_log("warn", "restart-refused", "text=\"pid %d is starting already\"", (int)restart->pid);
    return;
  }
  if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) {
    srv_log("error", "restart-failed", "text=\"%s\"", strerror(errno));
    return;
  }
  pid_t pid = 0;
  int result = fill_environment(&e, listen_fd, ends[1])
                   ? spawn(argv, e.list, listen_fd, ends[1], &pid)
                   : ENOMEM;
  free(e.list);
  close(ends[1]);
  if (result != 0) {
    srv_log("error", "restart-failed", "program=%.200s text=\"%s\"", program, strerror(result));
    close(ends[0]);
    return;
  }
  *restart = (srv_restart){.pid = pid, .ready_fd = ends[0], .due_ms = srv_now_ms() + timeout_ms};
  srv_log("info", "restart-started", "pid=%d program=%.200s", (int)pid, program);
}

static void forget(srv_restart *restart) {
  close(restart->ready_fd);
  *restart = (srv_restart){.ready_fd = -1};
}

void srv_restart_cancel(srv_restart *restart) {
  if (restart->pid == 0) return;
  kill(restart->pid, SIGKILL);
  while (waitpid(restart->pid, /* status= */ NULL, 0) < 0 && errno == EINTR) continue;
  forget(restart);
}

srv_restart_result srv_restart_look(srv_restart *restart) {
  char byte;
  ssize_t got = read(restart->ready_fd, &byte, 1);
  if (got == 1) {
    forget(restart);
    return SRV_RESTART_DONE;
  }
  bool late = srv_now_ms() >= restart->due_ms;
  if (got < 0 && !late) return SRV_RESTART_GOES_ON;
  srv_log("error", "restart-failed", "pid=%d text=\"%s; this one goes on\"", (int)restart->pid,
          got == 0 ? "it ended before it took requests" : "it was not ready in time");
  srv_restart_cancel(restart);
  return SRV_RESTART_FAILED;
}
