/* SPDX-License-Identifier: MIT
 *
 * place.c: where a store lives, and whether that place is safe. A blob is code that V8 runs without
 * looking, so whoever can write to the store can run code as its users: directory and file must
 * belong to the user (or, for reading only, to root) and be writable by nobody else. It does not
 * look at what the file contains, and it never repairs permissions: that is the owner's decision.
 */
#include "cache/place.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cache/status.h"

static kcc_status fail_errno(kcc_error *err, const char *path, int code) {
  kcc_status status = KCC_EIO;
  if (code == EACCES || code == EPERM || code == ELOOP) status = KCC_EPERM;
  if (code == EROFS) status = KCC_EREADONLY;
  if (code == ENOSPC || code == EDQUOT) status = KCC_EFULL;
  if (code == ENOMEM) status = KCC_ENOMEM;
  if (code == ENOENT || code == ENOTDIR) status = KCC_ENOTSTORE;
  if (code == ENAMETOOLONG) status = KCC_EINVAL;
  char label[KCC__LABEL_BYTES];
  char text[128];
  kcc__printable(path, label);
  return kcc__fail(err, status, code, "store '%s': %s", label,
                   strerror_r(code, text, sizeof(text)));
}

/* mkdir -p, all of it 0700. */
static kcc_status make_directories(const char *path, kcc_error *err) {
  char partial[PATH_MAX];
  size_t length = strlen(path);
  memcpy(partial, path, length + 1);
  for (size_t i = 1; i <= length; i++) {
    if (partial[i] != '/' && partial[i] != '\0') continue;
    partial[i] = '\0';
    struct stat info;
    /* Asked first, because mkdir() on a read-only file system says EROFS even of what exists. */
    if (stat(partial, &info) != 0) {
      if (errno != ENOENT) return fail_errno(err, partial, errno);
      if (mkdir(partial, 0700) != 0 && errno != EEXIST) {
        int code = errno;
        char label[KCC__LABEL_BYTES];
        if (code != EACCES) return fail_errno(err, partial, code);
        kcc__printable(partial, label);
        return kcc__fail(err, KCC_EREADONLY, code, "store '%s': cannot be made there", label);
      }
    }
    if (i < length) partial[i] = '/';
  }
  return KCC_OK;
}

static kcc_status check_owner(const char *path, const struct stat *info, bool read_only,
                              kcc_error *err) {
  char label[KCC__LABEL_BYTES];
  kcc__printable(path, label);
  bool ours = info->st_uid == geteuid() || (read_only && info->st_uid == 0);
  if (!ours)
    return kcc__fail(err, KCC_EPERM, 0, "store '%s': belongs to user %lu, not to %lu", label,
                     (unsigned long)info->st_uid, (unsigned long)geteuid());
  if (info->st_mode & (S_IWGRP | S_IWOTH))
    return kcc__fail(err, KCC_EPERM, 0, "store '%s': others may write to it (mode %04o)", label,
                     (unsigned)(info->st_mode & 07777));
  return KCC_OK;
}

static kcc_status check_writable(const char *path, kcc_error *err) {
  if (faccessat(AT_FDCWD, path, W_OK, AT_EACCESS) == 0) return KCC_OK;
  int code = errno;
  if (code != EACCES && code != EROFS) return fail_errno(err, path, code);
  char label[KCC__LABEL_BYTES];
  kcc__printable(path, label);
  return kcc__fail(err, KCC_EREADONLY, code, "store '%s': cannot be written", label);
}

static kcc_status check_directory(const char *path, bool read_only, kcc_error *err) {
  struct stat info;
  if (stat(path, &info) != 0) return fail_errno(err, path, errno);
  if (!S_ISDIR(info.st_mode)) return fail_errno(err, path, ENOTDIR);
  kcc_status status = check_owner(path, &info, read_only, err);
  if (status == KCC_OK && !read_only) status = check_writable(path, err);
  return status;
}

/* An empty file is a database not yet begun. Made here and not by SQLite, which would give it the
 * permissions of the umask. */
static kcc_status make_file(const char *file, kcc_error *err) {
  int fd = open(file, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd < 0) return errno == EEXIST ? KCC_OK : fail_errno(err, file, errno);
  int code = fchmod(fd, 0600) == 0 ? 0 : errno; /* whatever the umask took away */
  close(fd);
  return code ? fail_errno(err, file, code) : KCC_OK;
}

static kcc_status check_file(const char *file, bool read_only, kcc_error *err) {
  struct stat info;
  if (lstat(file, &info) != 0 && errno == ENOENT && !read_only) {
    kcc_status status = make_file(file, err);
    if (status != KCC_OK) return status;
  }
  if (lstat(file, &info) != 0) return fail_errno(err, file, errno);
  if (!S_ISREG(info.st_mode)) {
    char label[KCC__LABEL_BYTES];
    kcc__printable(file, label);
    return kcc__fail(err, KCC_EPERM, 0, "store '%s': not a regular file", label);
  }
  kcc_status status = check_owner(file, &info, read_only, err);
  if (status == KCC_OK && !read_only) status = check_writable(file, err);
  return status;
}

kcc_status kcc__place_prepare(const char *path, bool read_only, char ret_file[PATH_MAX],
                              kcc_error *err) {
  /* Room for the file's name and for the suffix of SQLite's companions. */
  enum { SUFFIX_MAX = sizeof("/" KCC__FILE_NAME "-journal") };
  char directory[PATH_MAX];
  if (!path || !*path) return kcc__fail(err, KCC_EINVAL, 0, "store: empty path");
  if (strlen(path) >= PATH_MAX) return fail_errno(err, path, ENAMETOOLONG);
  if (!read_only) {
    kcc_status status = make_directories(path, err);
    if (status != KCC_OK) return status;
  }
  /* The same steps for every caller, so that the later checks are of what SQLite will open. */
  if (!realpath(path, directory)) return fail_errno(err, path, errno);
  if (strlen(directory) + SUFFIX_MAX >= PATH_MAX) return fail_errno(err, path, ENAMETOOLONG);
  kcc_status status = check_directory(directory, read_only, err);
  if (status != KCC_OK) return status;
  size_t length = strlen(directory);
  memcpy(ret_file, directory, length);
  memcpy(ret_file + length, "/" KCC__FILE_NAME, sizeof("/" KCC__FILE_NAME));
  return check_file(ret_file, read_only, err);
}

bool kcc__place_is_immutable(const char *file) {
  char path[PATH_MAX];
  struct stat info;
  const char *slash = strrchr(file, '/');
  size_t length = slash ? (size_t)(slash - file) : 0;
  if (length == 0 || strlen(file) + sizeof("-wal") > sizeof(path)) return false;
  memcpy(path, file, length);
  path[length] = '\0';
  if (faccessat(AT_FDCWD, path, W_OK, AT_EACCESS) == 0) return false;
  int written = snprintf(path, sizeof(path), "%s-wal", file);
  if (written < 0 || (size_t)written >= sizeof(path)) return false;
  return stat(path, &info) != 0 || info.st_size == 0;
}
