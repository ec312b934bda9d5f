/* SPDX-License-Identifier: MIT
 *
 * cli_child.c: see cli_child.h.
 */
#include "toolkit/cli_child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "toolkit/service.h"
#include "toolkit/status.h"

/* ---- splitting ----------------------------------------------------------------------- */

static bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\n';
}

/* Copies one word from *at on, without quotes, to `to`; NULL: a quote is not closed, or a backslash
 * stands at the end. */
static char *copy_word(const char **at, char *to) {
  char quote = '\0';
  const char *p = *at;
  for (; *p != '\0' && (quote != '\0' || !is_blank(*p)); p++) {
    if (quote == '\0' && (*p == '\'' || *p == '"')) {
      quote = *p;
    } else if (quote != '\0' && *p == quote) {
      quote = '\0';
    } else if (*p == '\\' && quote != '\'') {
      p++;
      if (*p == '\0') return NULL;
      if (quote == '"' && strchr("\"\\$`", *p) == NULL) *to++ = '\\';
      *to++ = *p;
    } else {
      *to++ = *p;
    }
  }
  if (quote != '\0') return NULL;
  *to++ = '\0';
  *at = p;
  return to;
}

void kiln__child_split_free(char **arguments, size_t count) {
  if (arguments != NULL && count > 0) free(arguments[0]); /* all words lie behind the first */
  free(arguments);
}

bool kiln__child_split(const char *text, char ***ret_arguments, size_t *ret_count,
                       kiln_error *err) {
  size_t length = strlen(text), count = 0;
  if (length > KILN__ARGUMENTS_BYTES_MAX) {
    (void)kiln__fail(err, KILN_ETOOBIG, NULL, "is %zu bytes, limit %d", length,
                     KILN__ARGUMENTS_BYTES_MAX);
    return false;
  }
  char **arguments = calloc(KILN__ARGUMENTS_MAX, sizeof(*arguments));
  /* Never longer than the text, but for a NUL for each word, for which there is a blank or the
   * end. */
  char *words = malloc(length + 2), *to = words;
  kiln_status status = KILN_OK;
  if (arguments == NULL || words == NULL) {
    status = kiln__fail(err, KILN_ENOMEM, NULL, "out of memory");
  }
  while (status == KILN_OK) {
    while (is_blank(*text)) text++;
    if (*text == '\0') break;
    if (count == KILN__ARGUMENTS_MAX) {
      status = kiln__fail(err, KILN_ETOOBIG, NULL, "more than %d arguments", KILN__ARGUMENTS_MAX);
      break;
    }
    arguments[count] = to;
    to = copy_word(&text, to);
    if (to == NULL) {
      status = kiln__fail(err, KILN_EINVAL, NULL, "a quote is not closed, or the end is a '\\'");
      break;
    }
    count++;
  }
  if (status != KILN_OK || count == 0) {
    free(words);
    free(arguments);
    arguments = NULL;
  }
  if (status == KILN_OK) {
    *ret_arguments = arguments;
    *ret_count = count;
  }
  return status == KILN_OK;
}

/* ---- running ------------------------------------------------------------------------- */

/* In the child of a process with threads: nothing but system calls. */
static void become(const char *const *argv, char *const *envp, int output, pid_t parent) {
  (void)setpgid(0, 0);
  (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(127);
  int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (nothing >= 0 && dup2(nothing, STDIN_FILENO) >= 0 && dup2(output, STDOUT_FILENO) >= 0 &&
      dup2(output, STDERR_FILENO) >= 0) {
    (void)signal(SIGPIPE, SIG_DFL);
    (void)execve(argv[0], (char *const *)(uintptr_t)argv, envp);
  }
  _exit(127);
}

/* Keeps the end of what is written. */
typedef struct tail {
  char *text; /* twice `max` */
  size_t max;
  size_t used;
  bool cut;
} tail;

/* Reads what there is; false: the other side is closed. */
static bool drain(int fd, tail *kept) {
  for (;;) {
    if (kept->used == 2 * kept->max) {
      memmove(kept->text, kept->text + kept->max, kept->max);
      kept->used = kept->max;
      kept->cut = true;
    }
    ssize_t got = read(fd, kept->text + kept->used, 2 * kept->max - kept->used);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno == EAGAIN;
    if (got == 0) return false;
    kept->used += (size_t)got;
  }
}

/* Waits for the end; false: it did not come in time. */
static bool await_end(int process, int output, uint64_t until_ns, tail *kept) {
  for (;;) {
    uint64_t now = kiln__now_ns();
    if (now >= until_ns) return false;
    uint64_t left_ms = (until_ns - now) / 1000000U + 1;
    struct pollfd polled[] = {{.fd = process, .events = POLLIN}, {.fd = output, .events = POLLIN}};
    if (poll(polled, 2, left_ms > 3600000 ? 3600000 : (int)left_ms) < 0 && errno != EINTR) {
      return false;
    }
    if (polled[1].revents != 0 && !drain(output, kept)) output = -1;
    if (polled[0].revents != 0) return true;
  }
}

static void take_status(pid_t pid, kiln__child_result *result) {
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  result->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  result->status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

bool kiln__child_run(const char *const *argv, char *const *envp, unsigned timeout_ms,
                     size_t output_max, kiln__child_result *ret_result, kiln_error *err) {
  int ends[2] = {-1, -1}, process = -1;
  tail kept = {.text = malloc(2 * output_max), .max = output_max};
  kiln__child_result result = {0};
  pid_t parent = getpid(), pid = -1;
  if (kept.text != NULL && pipe2(ends, O_CLOEXEC) == 0 &&
      fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0) {
    pid = fork();
    if (pid == 0) become(argv, envp, ends[1], parent);
  }
  if (pid > 0) {
    (void)setpgid(pid, pid); /* whoever of the two is first */
    (void)close(ends[1]);
    ends[1] = -1;
    process = (int)syscall(SYS_pidfd_open, pid, 0);
    result.timed_out =
        process < 0 ||
        !await_end(process, ends[0], kiln__now_ns() + (uint64_t)timeout_ms * 1000000U, &kept);
    /* Not yet waited for, it keeps its number, and the group's. */
    (void)kill(-pid, SIGKILL);
    take_status(pid, &result);
    (void)drain(ends[0], &kept);
    result.output_cut = kept.cut || kept.used > kept.max;
    result.output_length = kept.used > kept.max ? kept.max : kept.used;
    memmove(kept.text, kept.text + kept.used - result.output_length, result.output_length);
    result.output = kept.text;
    *ret_result = result;
  } else {
    (void)kiln__fail(err, KILN_EINTERNAL, NULL, "'%s': %s", argv[0], strerror(errno));
    free(kept.text);
  }
  if (process >= 0) (void)close(process);
  for (size_t i = 0; i < 2; i++) {
    if (ends[i] >= 0) (void)close(ends[i]);
  }
  return pid > 0;
}
