/* SPDX-License-Identifier: MIT
 *
 * ops.c: see ops.h.
 */
#include "tests/server/ops.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[TEMPORARY_PATH];
static pid_t owner;

static void *kept[16384];
static size_t kept_count;

void *ops_keep(void *memory) {
  ck_assert_uint_lt(kept_count, sizeof(kept) / sizeof(kept[0]));
  kept[kept_count++] = memory;
  return memory;
}

static void remove_folder(void) {
  if (owner == getpid()) (void)temporary_remove(folder);
}

const char *ops_dir(void) {
  if (owner == getpid()) return folder;
  owner = getpid();
  ck_assert(temporary_make("kilnd-ops", folder, sizeof(folder)));
  atexit(remove_folder);
  return folder;
}

const char *ops_path(const char *name) {
  char *path = NULL;
  ck_assert_int_gt(asprintf(&path, "%s/%s", ops_dir(), name), 0);
  return ops_keep(path);
}

const char *ops_file_of(const char *name, mode_t mode, const void *data, size_t length) {
  const char *path = ops_path(name);
  unlink(path);
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  ck_assert_int_ge(fd, 0);
  ck_assert_int_eq(write(fd, data, length), length);
  ck_assert_int_eq(fchmod(fd, mode), 0);
  close(fd);
  return path;
}

const char *ops_file(const char *name, mode_t mode, const char *text) {
  return ops_file_of(name, mode, text, strlen(text));
}

int ops_run(const char *const *argv, char **ret_text) {
  int ends[2];
  char piece[4096];
  size_t length = 0;
  int status = 0;
  ssize_t got;
  FILE *out = open_memstream(ret_text, &length);
  ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
  pid_t pid = fork();
  ck_assert_int_ge(pid, 0);
  if (pid == 0) {
    dup2(ends[1], STDOUT_FILENO);
    dup2(ends[1], STDERR_FILENO);
    execvp(argv[0], (char *const *)(uintptr_t)argv);
    _exit(127);
  }
  close(ends[1]);
  double until = now_ms() + 30000;
  while (now_ms() < until) {
    struct pollfd entry = {.fd = ends[0], .events = POLLIN};
    if (poll(&entry, 1, 1000) == 0) continue;
    got = read(ends[0], piece, sizeof(piece));
    if (got <= 0) break;
    fwrite(piece, 1, (size_t)got, out);
  }
  close(ends[0]);
  fclose(out);
  ops_keep(*ret_text);
  if (now_ms() >= until) kill(pid, SIGKILL);
  while (waitpid(pid, &status, 0) < 0) ck_assert_int_eq(errno, EINTR);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int ops_kilnd(const char *const *options, char **ret_text) {
  const char *argv[64] = {harness_kilnd()};
  size_t count = 1;
  while (options[count - 1] != NULL && count < 63) {
    argv[count] = options[count - 1];
    count++;
  }
  return ops_run(argv, ret_text);
}

/* memmem(), not strstr(): with strict_string_checks the latter measures the text at each call. */
static size_t count_words(const char *text, const char *words) {
  const char *at = text, *end = text + strlen(text);
  size_t count = 0;
  while ((at = memmem(at, (size_t)(end - at), words, strlen(words))) != NULL) {
    at++;
    count++;
  }
  return count;
}

void ops_await_log(const kilnd *server, const char *words, size_t count) {
  double until = now_ms() + 10000;
  while (true) {
    char *log = kilnd_copy_log(server);
    bool found = count_words(log, words) >= count;
    if (!found && now_ms() >= until) ck_abort_msg("not %zu times '%s' in: %s", count, words, log);
    free(log);
    if (found) return;
    poll(NULL, 0, 2);
  }
}

const char *ops_token_line(const char *roles, const char *token, const char *name) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  char hex[65] = "";
  char *line = NULL;
  ck_assert_int_eq(EVP_Digest(token, strlen(token), digest, NULL, EVP_sha256(), NULL), 1);
  for (size_t i = 0; i < 32; i++) snprintf(hex + 2 * i, 3, "%02x", digest[i]);
  ck_assert_int_gt(asprintf(&line, "%s sha256:%s %s\n", roles, hex, name), 0);
  return ops_keep(line);
}
