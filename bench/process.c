/* SPDX-License-Identifier: MIT
 *
 * process.c: other programs: finding, running, starting and stopping them. Knows their processes by
 * id only, and waits for events, never for time to pass.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/bench.h"

extern char **environ;

#define STARTED_MAX 8
#define OUTPUT_MAX ((size_t)1 << 20)
#define START_TIMEOUT_MS 20000

static pid_t started[STARTED_MAX];

char *bench_find_program(const char *name) {
  const char *path = getenv("PATH");
  char *places = bench_format("%s:/usr/sbin:%s/build/deps/nginx/usr/sbin",
                              path != NULL ? path : "/usr/bin", KILN_SOURCE_DIR);
  char *rest = places;
  for (char *dir = strsep(&rest, ":"); dir != NULL; dir = strsep(&rest, ":")) {
    char *file = bench_format("%s/%s", dir, name);
    if (access(file, X_OK) == 0) {
      free(places);
      return file;
    }
    free(file);
  }
  bench_die("'%s' is not installed: ./run setup", name);
}

/* A descriptor of -1 stays what it is. */
static pid_t spawn(char *const argv[], char *const envp[], int stdout_fd, int stderr_fd,
                   int keep_fd) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  sigset_t none;
  pid_t pid;
  sigemptyset(&none); /* main() blocks some: they are its own affair */
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
  posix_spawn_file_actions_init(&actions);
  if (stdout_fd >= 0) posix_spawn_file_actions_adddup2(&actions, stdout_fd, STDOUT_FILENO);
  if (stderr_fd >= 0) posix_spawn_file_actions_adddup2(&actions, stderr_fd, STDERR_FILENO);
  if (keep_fd >= 0) posix_spawn_file_actions_adddup2(&actions, keep_fd, 3);
  int error = posix_spawn(&pid, argv[0], &actions, &attributes, argv, envp);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) bench_die("'%s': %s", argv[0], strerror(error));
  return pid;
}

static int wait_for(pid_t pid) {
  int status;
  while (waitpid(pid, &status, 0) < 0) {
    if (errno != EINTR) bench_die("waiting for process %d: %s", (int)pid, strerror(errno));
  }
  return status;
}

char *bench_run(char *const argv[], uint64_t *ret_ns) {
  int fds[2];
  if (pipe2(fds, O_CLOEXEC) != 0) bench_die("pipe: %s", strerror(errno));
  uint64_t start = bench_now_ns();
  pid_t pid = spawn(argv, environ, fds[1], -1, -1);
  close(fds[1]);
  char *output = calloc(1, OUTPUT_MAX);
  if (output == NULL) bench_die("out of memory");
  size_t length = 0;
  char rest[4096];
  for (;;) {
    /* What does not fit is read all the same: the program must not wait for us. */
    bool full = length == OUTPUT_MAX - 1;
    ssize_t got =
        read(fds[0], full ? rest : output + length, full ? sizeof rest : OUTPUT_MAX - 1 - length);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    if (!full) length += (size_t)got;
  }
  close(fds[0]);
  int status = wait_for(pid);
  if (ret_ns != NULL) *ret_ns = bench_now_ns() - start;
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    bench_die("'%s %s' ended with status %d: %s", argv[0], argv[1] != NULL ? argv[1] : "",
              WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status), output);
  }
  return output;
}

void bench_stop(pid_t pid) {
  for (size_t i = 0; i < STARTED_MAX; i++) {
    if (started[i] != pid || pid == 0) continue;
    started[i] = 0;
    kill(pid, SIGTERM);
    wait_for(pid);
  }
}

static void stop_all(void) {
  for (size_t i = 0; i < STARTED_MAX; i++) bench_stop(started[i]);
}

/* What background processes print; shown if one of them fails to start. */
static const char *log_path(void) {
  static char *path;
  if (path == NULL) path = bench_format("%s/log", bench_temp_dir());
  return path;
}

pid_t bench_start(char *const argv[], char *const envp[], int keep_fd) {
  static bool registered;
  if (!registered) {
    bench_temp_dir(); /* registers its own removal first, so that it comes last */
    registered = atexit(stop_all) == 0;
  }
  int log = open(log_path(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (log < 0) bench_die("'%s': %s", log_path(), strerror(errno));
  pid_t pid = spawn(argv, envp != NULL ? envp : environ, log, log, keep_fd);
  close(log);
  for (size_t i = 0; i < STARTED_MAX; i++) {
    if (started[i] == 0) {
      started[i] = pid;
      return pid;
    }
  }
  kill(pid, SIGTERM);
  bench_die("more than %d processes", STARTED_MAX);
}

int bench_listen(unsigned *ret_port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof address;
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || bind(fd, (struct sockaddr *)&address, length) != 0 || listen(fd, 511) != 0 ||
      getsockname(fd, (struct sockaddr *)&address, &length) != 0) {
    bench_die("no loopback port: %s", strerror(errno));
  }
  *ret_port = ntohs(address.sin_port);
  return fd;
}

pid_t bench_start_kilnd(char **ret_url) {
  return bench_start_kilnd_with((char *const[]){NULL}, ret_url);
}

pid_t bench_start_kilnd_with(char *const options[], char **ret_url) {
  static unsigned count;
  count++;
  char *store = bench_format("%s/kilnd-%u", bench_temp_dir(), count);
  char *fifo = bench_format("%s/kilnd-%u.port", bench_temp_dir(), count);
  if (mkfifo(fifo, 0600) != 0) bench_die("'%s': %s", fifo, strerror(errno));
  /* Open for writing, too: or this would wait for a kilnd that may never come to open it. */
  int fd = open(fifo, O_RDWR | O_CLOEXEC);
  if (fd < 0) bench_die("'%s': %s", fifo, strerror(errno));
  char *argv[7 + BENCH_KILND_OPTIONS_MAX + 1] = {
      KILN_KILND, "--listen", "127.0.0.1:0", "--port-file", fifo, "--store", store};
  for (size_t i = 0; options[i] != NULL; i++) {
    if (i == BENCH_KILND_OPTIONS_MAX) bench_die("too many options for kilnd");
    argv[7 + i] = options[i];
  }
  pid_t pid = bench_start(argv, NULL, -1);
  int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
  struct pollfd fds[2] = {{.fd = fd, .events = POLLIN}, {.fd = pidfd, .events = POLLIN}};
  char port[16] = "";
  int ready = poll(fds, 2, START_TIMEOUT_MS);
  if (ready <= 0 || (fds[0].revents & POLLIN) == 0 || read(fd, port, sizeof port - 1) <= 0) {
    bench_die("kilnd did not start: %s", bench_read(log_path()).data);
  }
  close(pidfd);
  close(fd);
  port[strcspn(port, "\r\n")] = '\0';
  *ret_url = bench_format("http://127.0.0.1:%s", port);
  free(fifo);
  free(store);
  return pid;
}
