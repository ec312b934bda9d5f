/* SPDX-License-Identifier: MIT
 *
 * file.c: see file.h.
 */
#include "server/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *secret_fault(const struct stat *about) {
  if (about->st_uid != 0 && about->st_uid != geteuid()) return "belongs to somebody else";
  if ((about->st_mode & 07) != 0) return "is open to everybody; chmod 600";
  if ((about->st_mode & 030) != 0) return "is its group's to write or run; chmod 600";
  if ((about->st_mode & 040) != 0 && about->st_uid != 0)
    return "is readable by its group; chmod 600";
  return NULL;
}

/* Opens without waiting for the writer of a FIFO. */
static int open_checked(const char *path, size_t max, srv_file_kind kind, size_t *ret_length,
                        char *message, size_t message_size) {
  struct stat about;
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0 || fstat(fd, &about) != 0) {
    snprintf(message, message_size, "%.160s: %s", path, strerror(errno));
  } else if (!S_ISREG(about.st_mode)) {
    snprintf(message, message_size, "%.160s: is no regular file", path);
  } else if (about.st_size < 0 || (size_t)about.st_size > max) {
    snprintf(message, message_size, "%.160s: is %lld bytes, limit %zu", path,
             (long long)about.st_size, max);
  } else if (kind == SRV_FILE_SECRET && secret_fault(&about) != NULL) {
    snprintf(message, message_size, "%.160s: %s", path, secret_fault(&about));
  } else {
    *ret_length = (size_t)about.st_size;
    return fd;
  }
  if (fd >= 0) close(fd);
  return -1;
}

bool srv_file_read(const char *path, size_t max, srv_file_kind kind, char **ret_text,
                   size_t *ret_length, char *message, size_t message_size) {
  size_t size = 0;
  size_t used = 0;
  int fd = open_checked(path, max, kind, &size, message, message_size);
  if (fd < 0) return false;
  char *text = malloc(size + 1);
  ssize_t got = 1;
  while (text != NULL && used < size) {
    got = read(fd, text + used, size - used);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break; /* 0: it has just been made shorter */
    used += (size_t)got;
  }
  int fault = text == NULL ? ENOMEM : got < 0 ? errno : 0;
  close(fd);
  if (fault != 0) {
    snprintf(message, message_size, "%.160s: %s", path, strerror(fault));
    srv_file_free(text, used);
    return false;
  }
  text[used] = '\0';
  *ret_text = text;
  *ret_length = used;
  return true;
}

void srv_file_free(char *text, size_t length) {
  if (text != NULL) explicit_bzero(text, length);
  free(text);
}
