/* SPDX-License-Identifier: MIT
 *
 * cli_common.c: what several commands of `kiln` do alike: complaints, options, the store's place,
 * JSON on stdout, reading a file, finding what was installed with it.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "toolkit/bytes.h"
#include "toolkit/cli.h"
#include "toolkit/status.h"

#define MIB (1024ULL * 1024)

static void complain(const kiln__cli_command *self, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));
static void complain(const kiln__cli_command *self, const char *format, va_list args) {
  fprintf(stderr, "kiln %s: ", self->name);
  vfprintf(stderr, format, args);
  fputc('\n', stderr);
}

void kiln__cli_complain(const kiln__cli_command *self, const char *format, ...) {
  va_list args;
  va_start(args, format);
  complain(self, format, args);
  va_end(args);
}

int kiln__cli_misuse(const kiln__cli_command *self, const char *format, ...) {
  va_list args;
  va_start(args, format);
  complain(self, format, args);
  va_end(args);
  fprintf(stderr, "Try 'kiln %s --help'.\n", self->name);
  return KILN__CLI_USAGE;
}

int kiln__cli_common_option(const kiln__cli_command *self, int option, char **argv) {
  switch (option) {
    case KILN__CLI_HELP:
      fputs(self->help, stdout);
      return kiln__cli_finish(self, KILN__CLI_OK);
    case KILN__CLI_VERSION:
      puts("kiln " KILN_VERSION);
      return kiln__cli_finish(self, KILN__CLI_OK);
    case ':':
      return kiln__cli_misuse(self, "option '%.80s': needs an argument", argv[optind - 1]);
    case '?':
      return kiln__cli_misuse(self, "option '%.80s': unknown", argv[optind - 1]);
    default:
      return -1;
  }
}

bool kiln__cli_number(const char *text, unsigned long min, unsigned long max,
                      unsigned long *ret_number) {
  char *end;
  if (*text < '0' || *text > '9') return false;
  errno = 0;
  unsigned long number = strtoul(text, &end, 10);
  if (errno != 0 || *end != '\0' || number < min || number > max) return false;
  *ret_number = number;
  return true;
}

bool kiln__cli_store_path(const kiln__cli_command *self, const char *option, char *ret_path,
                          size_t size) {
  const char *given = option != NULL ? option : getenv("KILN_STORE");
  if (given != NULL && *given != '\0') {
    int length = snprintf(ret_path, size, "%s", given);
    if (length > 0 && (size_t)length < size) return true;
    kiln__cli_complain(self, "the store's path is over %zu bytes", size - 1);
    return false;
  }
  const char *cache = getenv("XDG_CACHE_HOME");
  const char *home = getenv("HOME");
  int length = -1;
  /* The specification has relative paths ignored. */
  if (cache != NULL && *cache == '/') {
    length = snprintf(ret_path, size, "%s", cache);
  } else if (home != NULL && *home == '/') {
    length = snprintf(ret_path, size, "%s/.cache", home);
  }
  if (length <= 0 || (size_t)length + sizeof("/kiln") > size) {
    kiln__cli_complain(self, "no place for the store: give --store or set KILN_STORE");
    return false;
  }
  if (mkdir(ret_path, 0700) != 0 && errno != EEXIST) {
    kiln__cli_complain(self, "folder '%s': %s", ret_path, strerror(errno));
    return false;
  }
  memcpy(ret_path + length, "/kiln", sizeof("/kiln"));
  return true;
}

json_t *kiln__cli_json_text(const char *text) {
  json_t *value = json_string(text);
  if (value != NULL) return value;
  /* Not UTF-8: keep what is ASCII, which is enough to recognise a file by. */
  size_t length = strlen(text);
  char *safe = malloc(3 * length + 1);
  if (safe == NULL) return NULL;
  size_t used = 0;
  for (size_t i = 0; i < length; i++) {
    if ((unsigned char)text[i] < 0x80) {
      safe[used++] = text[i];
    } else {
      memcpy(safe + used, "\xEF\xBF\xBD", 3);
      used += 3;
    }
  }
  value = json_stringn(safe, used);
  free(safe);
  return value;
}

int kiln__cli_finish(const kiln__cli_command *self, int status) {
  if (fflush(stdout) == 0 && ferror(stdout) == 0) return status;
  kiln__cli_complain(self, "standard output: %s", strerror(errno));
  return KILN__CLI_FAILED;
}

int kiln__cli_print_json(const kiln__cli_command *self, json_t *value) {
  if (value == NULL || json_dumpf(value, stdout, JSON_INDENT(2)) != 0) {
    kiln__cli_complain(self, value == NULL ? "out of memory" : "the report could not be written");
    json_decref(value);
    return KILN__CLI_FAILED;
  }
  json_decref(value);
  fputc('\n', stdout);
  return kiln__cli_finish(self, KILN__CLI_OK);
}

kiln_status kiln__cli_engines_dir(const char *option, char *ret_path, size_t size,
                                  kiln_error *err) {
  const char *given = option != NULL ? option : getenv("KILN_ENGINES");
  const char *data = getenv("XDG_DATA_HOME");
  const char *home = getenv("HOME");
  int length = -1;
  if (given != NULL && *given != '\0') {
    length = snprintf(ret_path, size, "%s", given);
  } else if (data != NULL && *data == '/') {
    length = snprintf(ret_path, size, "%s/kiln/engines", data);
  } else if (home != NULL && *home == '/') {
    length = snprintf(ret_path, size, "%s/.local/share/kiln/engines", home);
  }
  if (length > 0 && (size_t)length < size) return KILN_OK;
  if (length > 0) {
    return kiln__fail(err, KILN_ETOOBIG, NULL, "the engines' folder: its path is over %zu bytes",
                      size - 1);
  }
  return kiln__fail(err, KILN_EINVAL, NULL,
                    "no place for engines: give --engines-dir or set KILN_ENGINES");
}

kiln_status kiln__cli_open(const kiln__cli_opening *opening, kiln **ret_kiln, kiln_error *err) {
  char dir[KILN_NODE_PATH_MAX];
  kiln_options options = KILN_OPTIONS_INIT;
  if (opening->specs_count > 0) {
    kiln_status status = kiln__cli_engines_dir(opening->engines_option, dir, sizeof(dir), err);
    if (status != KILN_OK) return status;
    options.engines_dir = dir;
  }
  options.store_path = opening->store_path;
  options.engines = opening->specs;
  options.engines_count = opening->specs_count;
  options.workers_max = opening->jobs;
  options.forget_sources = opening->forget_sources;
  options.heap_max_bytes = 1024 * MIB;
  options.memory_max_bytes = 3072 * MIB;
  options.source_max_bytes = KILN__CLI_SOURCE_MAX;
  options.timeout_default_ms = 60000;
  options.timeout_max_ms = KILN__CLI_TIMEOUT_MAX;
  return kiln_open(&options, ret_kiln, err);
}

/* Reads to the end: what has no size to trust (a pipe, a file that the kernel makes up when it is
 * read), and what is short. */
static kiln_status read_stream(int fd, kiln_bytes **ret_bytes, kiln_error *err) {
  size_t capacity = 0, used = 0;
  char *text = NULL;
  kiln_status status = KILN_OK;
  for (;;) {
    if (used == capacity) {
      capacity = capacity == 0 ? 65536 : 2 * capacity;
      char *grown = realloc(text, capacity);
      if (grown == NULL) {
        status = kiln__fail(err, KILN_ENOMEM, NULL, "out of memory");
        break;
      }
      text = grown;
    }
    ssize_t got = read(fd, text + used, capacity - used);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) status = kiln__fail(err, KILN_EINVAL, NULL, "%s", strerror(errno));
    if (got <= 0) break;
    used += (size_t)got;
    if (used > KILN__CLI_SOURCE_MAX) {
      status = kiln__fail(err, KILN_ETOOBIG, NULL, "is over %llu bytes", KILN__CLI_SOURCE_MAX);
      break;
    }
  }
  if (status == KILN_OK) {
    *ret_bytes = kiln_bytes_new(text, used);
    if (*ret_bytes == NULL) status = kiln__fail(err, KILN_ENOMEM, NULL, "out of memory");
  }
  free(text);
  return status;
}

/* A pipe that a shell made, for <(...) or at /dev/stdin: it has no name, and it has or had a
 * writer, so that reading it ends when the writer does. */
static bool is_shells_pipe(const char *path, const struct stat *file) {
  if (!S_ISFIFO(file->st_mode)) return false;
  char *name = realpath(path, /* resolved= */ NULL);
  free(name);
  return name == NULL;
}

kiln_status kiln__cli_read(const char *path, kiln_bytes **ret_bytes, kiln_error *err) {
  kiln_status status = KILN_OK;
  kiln_bytes *bytes = NULL;
  struct stat file;
  /* Non-blocking, or opening a FIFO would wait for a writer. */
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0 || fstat(fd, &file) != 0) {
    status = kiln__fail(err, KILN_EINVAL, NULL, "%s", strerror(errno));
  } else if (is_shells_pipe(path, &file)) {
    /* Opened anew, it is this process's own to wait on. */
    if (fcntl(fd, F_SETFL, O_RDONLY) != 0) {
      status = kiln__fail(err, KILN_EINVAL, NULL, "%s", strerror(errno));
    } else {
      status = read_stream(fd, &bytes, err);
    }
  } else if (!S_ISREG(file.st_mode)) {
    status = kiln__fail(err, KILN_EINVAL, NULL, "not a regular file");
  } else if ((uint64_t)file.st_size > KILN__CLI_SOURCE_MAX) {
    status = kiln__fail(err, KILN_ETOOBIG, NULL, "is %llu bytes, limit %llu",
                        (unsigned long long)file.st_size, KILN__CLI_SOURCE_MAX);
  } else if (file.st_size < (off_t)KILN_MEMFD_MIN) {
    status = read_stream(fd, &bytes, err);
  } else {
    bytes = kiln__bytes_new_from_file(fd, (size_t)file.st_size);
    if (bytes == NULL && errno == EINVAL) {
      status = read_stream(fd, &bytes, err);
    } else if (bytes == NULL && errno == ENODATA) {
      status = kiln__fail(err, KILN_EINVAL, NULL, "was cut short while it was read");
    } else if (bytes == NULL) {
      status =
          kiln__fail(err, errno == ENOMEM ? KILN_ENOMEM : KILN_EINVAL, NULL, "%s", strerror(errno));
    }
  }
  if (fd >= 0) (void)close(fd);
  if (status == KILN_OK) *ret_bytes = bytes;
  return status;
}

static bool has_file(const char *folder, const char *file) {
  char path[PATH_MAX];
  int length = snprintf(path, sizeof(path), "%s/%s", folder, file);
  return length > 0 && (size_t)length < sizeof(path) && access(path, R_OK) == 0;
}

bool kiln__cli_find(const char *const *places, const char *built, const char *file,
                    char *ret_folder, size_t size) {
  char self[PATH_MAX];
  ssize_t got = readlink("/proc/self/exe", self, sizeof(self) - 1);
  self[got > 0 ? got : 0] = '\0';
  char *slash = strrchr(self, '/');
  for (size_t i = 0; slash != NULL && places[i] != NULL; i++) {
    int length = snprintf(ret_folder, size, "%.*s/%s", (int)(slash - self), self, places[i]);
    if (length > 0 && (size_t)length < size && has_file(ret_folder, file)) return true;
  }
  int length = snprintf(ret_folder, size, "%s", built);
  return length > 0 && (size_t)length < size && has_file(ret_folder, file);
}

json_t *kiln__cli_engine_json(const kiln_engine_info *info) {
  return json_pack("{s:s, s:s, s:I, s:s, s:s, s:s, s:i, s:s, s:s}", "name", info->name, "v8Version",
                   info->v8_version, "cachedDataTag", (json_int_t)info->cached_data_tag, "flags",
                   info->flags, "buildId", info->build_id, "arch", info->arch, "protocol",
                   (int)info->protocol, "fingerprint", info->fingerprint, "node", info->node);
}
