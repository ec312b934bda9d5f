/* SPDX-License-Identifier: MIT
 *
 * bind_files.c: internalBinding("files"): the files of fs and of the loader, synchronously.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "toolkit/run/bindings.h"
#include "toolkit/run/files.h"

#define FILE_MAX_BYTES (512ULL << 20)

/* Throws as Node's fs does: code, errno, syscall and path are properties of the error. */
static void throw_errno(kv8_call *call, int number, const char *what, const char *path) {
  kv8_error error;
  kv8_context *context = kv8_call_get_context(call);
  kv8_isolate *isolate = kv8_call_get_isolate(call);
  int uv = uv_translate_sys_error(number);
  const char *code = uv_err_name(uv);
  char message[PATH_MAX + 256];
  kv8_value *exception = NULL;
  (void)snprintf(message, sizeof(message), "%s: %s, %s '%s'", code, uv_strerror(uv), what, path);
  kv8_status status = kv8_error_object(context, KV8_ERROR, (kv8_span){NULL, 0},
                                       kv8_span_from(message), &exception, &error);
  const char *texts[][2] = {{"syscall", what}, {"code", code}, {"path", path}};
  kv8_value *value = NULL;
  if (status == KV8_OK) status = kv8_number(isolate, uv, &value, &error);
  if (status == KV8_OK) {
    status = kv8_object_set_named(context, exception, kv8_span_from("errno"), value, &error);
  }
  kv8_value_free(value);
  for (size_t i = 0; status == KV8_OK && i < 3; i++) {
    value = NULL;
    status = kv8_string(isolate, kv8_span_from(texts[i][1]), &value, &error);
    if (status == KV8_OK) {
      status = kv8_object_set_named(context, exception, kv8_span_from(texts[i][0]), value, &error);
    }
    kv8_value_free(value);
  }
  if (!kiln__run_throws(call, status, &error)) kv8_call_throw(call, exception);
  kv8_value_free(exception);
}

/* Reads to the end of what may have no size to trust. errno if false. */
static bool read_all(int fd, char **ret_text, size_t *ret_length) {
  struct stat file;
  if (fstat(fd, &file) != 0) return false;
  if (S_ISDIR(file.st_mode)) {
    errno = EISDIR;
    return false;
  }
  size_t capacity = S_ISREG(file.st_mode) && file.st_size > 0 ? (size_t)file.st_size + 1 : 65536;
  size_t used = 0;
  char *text = capacity > FILE_MAX_BYTES ? NULL : malloc(capacity);
  while (text != NULL) {
    ssize_t got = read(fd, text + used, capacity - used);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      int number = errno;
      free(text);
      errno = number;
      return false;
    }
    if (got == 0) {
      *ret_text = text;
      *ret_length = used;
      return true;
    }
    used += (size_t)got;
    if (used < capacity) continue;
    capacity *= 2;
    char *grown = capacity > FILE_MAX_BYTES ? NULL : realloc(text, capacity);
    if (grown == NULL) free(text);
    text = grown;
  }
  errno = capacity > FILE_MAX_BYTES ? EFBIG : ENOMEM;
  return false;
}

bool kiln__run_read_file(kv8_call *call, const char *path, char **ret_text, size_t *ret_length) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    throw_errno(call, errno, "open", path);
    return false;
  }
  bool good = read_all(fd, ret_text, ret_length);
  int number = errno;
  (void)close(fd);
  if (!good) throw_errno(call, number, "read", path);
  return good;
}

/* The path of an argument, to be freed; NULL: it threw. */
static const char *path_of(kv8_call *call, size_t index, kv8_blob *path) {
  *path = (kv8_blob){NULL, 0};
  if (!kiln__run_arg_text(call, index, path)) return NULL;
  if (memchr(path->data, '\0', path->length) == NULL) return (const char *)path->data;
  kiln__run_throw(call, KV8_TYPE_ERROR, "ERR_INVALID_ARG_VALUE",
                  "The argument 'path' must be a string without null bytes");
  kv8_blob_free(path);
  return NULL;
}

static void read_as(kv8_call *call, void (*answer)(kv8_call *call, kv8_span bytes)) {
  kv8_blob path;
  char *text;
  size_t length;
  if (path_of(call, 0, &path) == NULL) return;
  if (kiln__run_read_file(call, (const char *)path.data, &text, &length)) {
    answer(call, (kv8_span){text, length});
    free(text);
  }
  kv8_blob_free(&path);
}

/* readText(path), readBytes(path) */
static void read_text(void *user, kv8_call *call) {
  (void)user;
  read_as(call, kiln__run_return_text);
}

static void read_bytes(void *user, kv8_call *call) {
  (void)user;
  read_as(call, kiln__run_return_bytes);
}

/* readIfThere(path): the text, undefined if there is no such file. */
static void read_if_there(void *user, kv8_call *call) {
  kv8_blob path;
  char *text;
  size_t length;
  (void)user;
  if (path_of(call, 0, &path) == NULL) return;
  int fd = open((const char *)path.data, O_RDONLY | O_CLOEXEC);
  if (fd >= 0 && read_all(fd, &text, &length)) {
    kiln__run_return_text(call, (kv8_span){text, length});
    free(text);
  }
  if (fd >= 0) (void)close(fd);
  kv8_blob_free(&path);
}

static bool write_all(int fd, kv8_span data) {
  while (data.length > 0) {
    ssize_t written = write(fd, data.data, data.length);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return false;
    data.data += written;
    data.length -= (size_t)written;
  }
  return true;
}

/* writeFile(path, text or bytes, append) */
static void write_file(void *user, kv8_call *call) {
  kv8_blob path, text = {NULL, 0};
  kv8_span data = {NULL, 0};
  (void)user;
  if (path_of(call, 0, &path) == NULL) return;
  bool read;
  if (kv8_value_get_type(kv8_call_get_argument(call, 1)) == KV8_TYPE_STRING) {
    read = kiln__run_arg_text(call, 1, &text);
    data = kiln__run_span(&text);
  } else {
    read = kiln__run_arg_bytes(call, 1, &data);
  }
  if (read) {
    int how = kiln__run_arg_bool(call, 2) ? O_APPEND : O_TRUNC;
    int fd = open((const char *)path.data, O_WRONLY | O_CREAT | O_CLOEXEC | how, 0666);
    bool good = fd >= 0 && write_all(fd, data);
    int number = errno;
    if (fd >= 0 && close(fd) != 0 && good) {
      good = false;
      number = errno;
    }
    if (!good) throw_errno(call, number, fd < 0 ? "open" : "write", (const char *)path.data);
  }
  kv8_blob_free(&text);
  kv8_blob_free(&path);
}

/* kind(path): 0 a file, 1 a folder, -1 nothing; of what a link points to. */
static void kind(void *user, kv8_call *call) {
  kv8_blob path;
  struct stat file;
  (void)user;
  if (path_of(call, 0, &path) == NULL) return;
  int answer = stat((const char *)path.data, &file) != 0 ? -1 : S_ISDIR(file.st_mode) ? 1 : 0;
  kv8_blob_free(&path);
  kiln__run_return_number(call, answer);
}

/* stat(path): [mode, size, mtime in ms]. */
static void stat_of(void *user, kv8_call *call) {
  kiln__run *run = user;
  kv8_error error;
  kv8_blob path;
  struct stat file;
  if (path_of(call, 0, &path) == NULL) return;
  if (stat((const char *)path.data, &file) != 0) {
    throw_errno(call, errno, "stat", (const char *)path.data);
    kv8_blob_free(&path);
    return;
  }
  kv8_blob_free(&path);
  double numbers[] = {file.st_mode, (double)file.st_size,
                      (double)file.st_mtim.tv_sec * 1e3 + (double)file.st_mtim.tv_nsec / 1e6};
  kv8_value *array = NULL;
  kv8_status status = kv8_array(run->context, /* elements= */ NULL, 0, &array, &error);
  for (uint32_t i = 0; status == KV8_OK && i < 3; i++) {
    kv8_value *number = NULL;
    status = kv8_number(run->isolate, numbers[i], &number, &error);
    if (status == KV8_OK) status = kv8_object_set_index(run->context, array, i, number, &error);
    kv8_value_free(number);
  }
  if (!kiln__run_throws(call, status, &error)) kv8_call_return(call, array);
  kv8_value_free(array);
}

/* realpath(path); undefined if there is none and `quiet`. */
static void real_path(void *user, kv8_call *call) {
  kv8_blob path;
  char resolved[PATH_MAX];
  (void)user;
  if (path_of(call, 0, &path) == NULL) return;
  if (realpath((const char *)path.data, resolved) != NULL) {
    kiln__run_return_text(call, kv8_span_from(resolved));
  } else if (!kiln__run_arg_bool(call, 1)) {
    throw_errno(call, errno, "lstat", (const char *)path.data);
  }
  kv8_blob_free(&path);
}

/* mkdtemp(prefix): the new folder's path. */
static void make_temp_dir(void *user, kv8_call *call) {
  kv8_blob path;
  char name[PATH_MAX];
  (void)user;
  if (path_of(call, 0, &path) == NULL) return;
  int length = snprintf(name, sizeof(name), "%sXXXXXX", (const char *)path.data);
  if (length > 0 && (size_t)length < sizeof(name) && mkdtemp(name) != NULL) {
    kiln__run_return_text(call, kv8_span_from(name));
  } else {
    throw_errno(call, errno, "mkdtemp", (const char *)path.data);
  }
  kv8_blob_free(&path);
}

/* mkdir(path), unlink(path), rmdir(path) */
static void with_path(kv8_call *call, int (*fn)(const char *path), const char *what) {
  kv8_blob path;
  if (path_of(call, 0, &path) == NULL) return;
  if (fn((const char *)path.data) != 0) throw_errno(call, errno, what, (const char *)path.data);
  kv8_blob_free(&path);
}

static int mkdir_all_may_enter(const char *path) {
  return mkdir(path, 0777);
}

static void make_dir(void *user, kv8_call *call) {
  (void)user;
  with_path(call, mkdir_all_may_enter, "mkdir");
}

static void remove_file(void *user, kv8_call *call) {
  (void)user;
  with_path(call, unlink, "unlink");
}

static void remove_dir(void *user, kv8_call *call) {
  (void)user;
  with_path(call, rmdir, "rmdir");
}

/* readdir(path): names */
static void read_dir(void *user, kv8_call *call) {
  kiln__run *run = user;
  kv8_error error;
  kv8_blob path;
  if (path_of(call, 0, &path) == NULL) return;
  DIR *dir = opendir((const char *)path.data);
  if (dir == NULL) {
    throw_errno(call, errno, "scandir", (const char *)path.data);
    kv8_blob_free(&path);
    return;
  }
  kv8_value *array = NULL;
  kv8_status status = kv8_array(run->context, /* elements= */ NULL, 0, &array, &error);
  uint32_t count = 0;
  for (struct dirent *it; status == KV8_OK && (it = readdir(dir)) != NULL;) {
    if (strcmp(it->d_name, ".") == 0 || strcmp(it->d_name, "..") == 0) continue;
    kv8_value *name = NULL;
    status = kv8_string(run->isolate, kv8_span_from(it->d_name), &name, &error);
    if (status == KV8_OK) {
      status = kv8_object_set_index(run->context, array, count++, name, &error);
    }
    kv8_value_free(name);
  }
  (void)closedir(dir);
  if (!kiln__run_throws(call, status, &error)) kv8_call_return(call, array);
  kv8_value_free(array);
  kv8_blob_free(&path);
}

/* isLink(path) */
static void is_link(void *user, kv8_call *call) {
  kv8_blob path;
  struct stat file;
  (void)user;
  if (path_of(call, 0, &path) == NULL) return;
  bool answer = lstat((const char *)path.data, &file) == 0 && S_ISLNK(file.st_mode);
  kv8_blob_free(&path);
  kiln__run_return_bool(call, answer);
}

kv8_status kiln__run_bind_files(kiln__run *run, kv8_value *object, kv8_error *err) {
  static const kiln__run_entry entries[] = {{"readText", 1, read_text},
                                            {"readBytes", 1, read_bytes},
                                            {"readIfThere", 1, read_if_there},
                                            {"writeFile", 3, write_file},
                                            {"kind", 1, kind},
                                            {"stat", 1, stat_of},
                                            {"realpath", 2, real_path},
                                            {"mkdtemp", 1, make_temp_dir},
                                            {"mkdir", 1, make_dir},
                                            {"unlink", 1, remove_file},
                                            {"rmdir", 1, remove_dir},
                                            {"readdir", 1, read_dir},
                                            {"isLink", 1, is_link},
                                            {NULL, 0, NULL}};
  return kiln__run_functions(run, object, entries, err);
}
