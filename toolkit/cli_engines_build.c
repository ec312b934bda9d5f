/* SPDX-License-Identifier: MIT
 *
 * cli_engines_build.c: makes the engine's object for one node binary, with CMake and
 * toolkit/hosted, once: it is kept by the binary's build id and a digest of the sources it was made
 * of. A half-made one never counts: it is made in a folder of its own and renamed.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "toolkit/cli_child.h"
#include "toolkit/cli_engines.h"
#include "toolkit/status.h"

#define BUILD_MS 1800000
#define OUTPUT_MAX 4096
#define SHOWN_MAX 400
#define SOURCES_MAX 512
#define SOURCE_MAX_BYTES (4u << 20)

/* ---- the sources --------------------------------------------------------------------- */

static bool find_root(char *ret_root, size_t size) {
  static const char *const places[] = {"../share/kiln/src", "../../share/kiln/src", NULL};
  return kiln__cli_find(places, KILN_SOURCE_DIR, "toolkit/hosted/CMakeLists.txt", ret_root, size);
}

/* Adds a source's name and bytes to a running digest: digest = H(digest, name, bytes). */
static bool add_source(const char *root, const char *name, kcc_digest *digest) {
  char path[KILN_NODE_PATH_MAX];
  struct stat status;
  int length = snprintf(path, sizeof(path), "%s/%s", root, name);
  if (length < 0 || (size_t)length >= sizeof(path)) return false;
  FILE *file = fopen(path, "re");
  if (file == NULL) return false;
  bool good = false;
  size_t head = sizeof(*digest) + strlen(name) + 1;
  char *text = NULL;
  if (fstat(fileno(file), &status) == 0 && status.st_size <= SOURCE_MAX_BYTES) {
    text = malloc(head + (size_t)status.st_size);
  }
  if (text != NULL) {
    memcpy(text, digest, sizeof(*digest));
    memcpy(text + sizeof(*digest), name, strlen(name) + 1);
    size_t got = fread(text + head, 1, (size_t)status.st_size, file);
    good = kcc_digest_of((kcc_span){text, head + got}, digest, /* err= */ NULL) == KCC_OK;
  }
  free(text);
  fclose(file);
  return good;
}

static bool is_source(const char *name) {
  static const char *const endings[] = {".c", ".h", ".cc", ".hh", ".cmake", ".txt", ".exports"};
  const char *dot = strrchr(name, '.');
  for (size_t i = 0; dot != NULL && i < sizeof(endings) / sizeof(endings[0]); i++)
    if (strcmp(dot, endings[i]) == 0) return true;
  return false;
}

/* Of toolkit/ the engine has a part only; the rest must not make it out of date. */
static bool is_engines(const char *folder, const char *name) {
  static const char files[] = " " KILN_ENGINE_FILES " ";
  size_t length = strlen(name);
  if (strcmp(folder, "toolkit") != 0) return true;
  for (const char *at = files; (at = strstr(at, name)) != NULL; at += length)
    if (at[-1] == ' ' && at[length] == ' ') return true;
  return false;
}

static int compare_names(const void *a, const void *b) {
  return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool add_folder(const char *root, const char *folder, kcc_digest *digest) {
  char path[KILN_NODE_PATH_MAX];
  char *names[SOURCES_MAX];
  size_t count = 0;
  bool good = true;
  int length = snprintf(path, sizeof(path), "%s/%s", root, folder);
  DIR *stream = length > 0 && (size_t)length < sizeof(path) ? opendir(path) : NULL;
  if (stream == NULL) return false;
  const struct dirent *entry;
  while (good && (entry = readdir(stream)) != NULL) {
    if (!is_source(entry->d_name) || !is_engines(folder, entry->d_name)) continue;
    good = count < SOURCES_MAX && asprintf(&names[count], "%s/%s", folder, entry->d_name) > 0;
    if (good) count++;
  }
  closedir(stream);
  qsort(names, count, sizeof(*names), compare_names);
  for (size_t i = 0; i < count; i++) {
    good = good && add_source(root, names[i], digest);
    free(names[i]);
  }
  return good;
}

kiln_status kiln__hosted_digest(char ret_digits[KILN__SOURCES_DIGITS], kiln_error *err) {
  static const char *const folders[] = {"shim", "toolkit", "toolkit/hosted"};
  char root[KILN_NODE_PATH_MAX], hex[KCC_HEX_BYTES];
  kcc_digest digest = {0};
  if (!find_root(root, sizeof(root))) {
    return kiln__fail(err, KILN_EENGINE, NULL,
                      "the engine's sources are neither in share/kiln/src nor in '%.200s'",
                      KILN_SOURCE_DIR);
  }
  for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
    if (!add_folder(root, folders[i], &digest)) {
      return kiln__fail(err, KILN_EENGINE, NULL, "the engine's sources in '%.200s/%s': %s", root,
                        folders[i], strerror(errno));
    }
  }
  kcc_digest_format(&digest, hex);
  memcpy(ret_digits, hex, KILN__SOURCES_DIGITS - 1);
  ret_digits[KILN__SOURCES_DIGITS - 1] = '\0';
  return KILN_OK;
}

/* ---- CMake --------------------------------------------------------------------------- */

/* Runs a step; where it fails, the error ends in the last of what it printed. */
static kiln_status run_step(const char *what, const char *const *argv, kiln_error *err) {
  kiln__child_result result;
  kiln_status status = KILN_OK;
  if (!kiln__child_run(argv, environ, BUILD_MS, OUTPUT_MAX, &result, err)) return KILN_EENGINE;
  if (result.timed_out || result.status != 0) {
    size_t shown = result.output_length < SHOWN_MAX ? result.output_length : SHOWN_MAX;
    status = kiln__fail(err, KILN_EENGINE, NULL, "%s %s: ...%.*s", what,
                        result.timed_out ? "took too long" : "failed", (int)shown,
                        result.output + result.output_length - shown);
  }
  free(result.output);
  return status;
}

static kiln_status build_in(const char *folder, const kiln__node *node, kiln_error *err) {
  char cmake[KILN_NODE_PATH_MAX], root[KILN_NODE_PATH_MAX], source[KILN_NODE_PATH_MAX + 32];
  char include[KILN_NODE_PATH_MAX + 32];
  if (!kiln__find_on_path("cmake", cmake, sizeof(cmake))) {
    return kiln__fail(
        err, KILN_EENGINE, NULL,
        "an engine is built with CMake and a C++ compiler: there is no cmake on PATH");
  }
  if (!find_root(root, sizeof(root))) {
    return kiln__fail(err, KILN_EENGINE, NULL, "the engine's sources are not there");
  }
  (void)snprintf(source, sizeof(source), "%s/toolkit/hosted", root);
  (void)snprintf(include, sizeof(include), "-DNODE_INCLUDE=%s", node->headers);
  const char *configure[] = {
      cmake, "-S", source, "-B", folder, include, "-DCMAKE_BUILD_TYPE=Release", NULL};
  const char *build[] = {cmake, "--build", folder, "--parallel", NULL};
  kiln_status status = run_step("configuring the engine", configure, err);
  return status == KILN_OK ? run_step("building the engine", build, err) : status;
}

/* ---- where objects are --------------------------------------------------------------- */

static const char *const object_files[] = {KILN__ENGINE_OBJECT, "kiln-engine-v8.so"};
#define OBJECT_FILES (sizeof(object_files) / sizeof(object_files[0]))

static bool is_complete(const char *folder) {
  for (size_t i = 0; i < OBJECT_FILES; i++) {
    char path[KILN_NODE_PATH_MAX + 64];
    (void)snprintf(path, sizeof(path), "%s/%s", folder, object_files[i]);
    if (access(path, R_OK) != 0) return false;
  }
  return true;
}

/* Moves what was built to where it belongs, both files at once. */
static kiln_status install_objects(const char *built, const char *folder, kiln_error *err) {
  char kept[KILN_NODE_PATH_MAX], from[KILN_NODE_PATH_MAX + 64], to[KILN_NODE_PATH_MAX + 64];
  (void)snprintf(kept, sizeof(kept), "%.*s/kept", (int)(sizeof(kept) - 8), built);
  if (mkdir(kept, 0700) != 0) {
    return kiln__fail(err, KILN_EENGINE, NULL, "'%.300s': %s", kept, strerror(errno));
  }
  for (size_t i = 0; i < OBJECT_FILES; i++) {
    (void)snprintf(from, sizeof(from), "%s/%s", built, object_files[i]);
    (void)snprintf(to, sizeof(to), "%s/%s", kept, object_files[i]);
    if (chmod(from, 0700) != 0 || rename(from, to) != 0) {
      return kiln__fail(err, KILN_EENGINE, NULL, "'%.300s': %s", from, strerror(errno));
    }
  }
  kiln__remove_tree(folder); /* an incomplete one */
  if (rename(kept, folder) == 0) return KILN_OK;
  return kiln__fail(err, KILN_EENGINE, NULL, "'%.300s': %s", folder, strerror(errno));
}

/* One build at a time in a registry; -1: it cannot be locked. */
static int lock_objects(const char *objects) {
  char path[KILN_NODE_PATH_MAX + 16];
  (void)snprintf(path, sizeof(path), "%s/lock", objects);
  int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return -1;
  while (flock(fd, LOCK_EX) != 0) {
    if (errno == EINTR) continue;
    close(fd);
    return -1;
  }
  return fd;
}

kiln_status kiln__hosted_build(const char *dir, const kiln__node *node, char *ret_library,
                               size_t size, bool *ret_built, kiln_error *err) {
  char objects[KILN_NODE_PATH_MAX], folder[KILN_NODE_PATH_MAX], temporary[KILN_NODE_PATH_MAX];
  char digits[KILN__SOURCES_DIGITS];
  char *real = NULL;
  *ret_built = false;
  if (strlen(dir) + 256 > sizeof(objects)) {
    return kiln__fail(err, KILN_ETOOBIG, NULL, "engines '%.100s': its path is too long", dir);
  }
  (void)snprintf(folder, sizeof(folder), "%.*s/objects", (int)(sizeof(folder) - 200), dir);
  kiln_status status = kiln__hosted_digest(digits, err);
  if (status == KILN_OK) status = kiln__engines_make_dir(dir, err);
  if (status == KILN_OK) status = kiln__engines_make_dir(folder, err);
  if (status != KILN_OK) return status;
  real = realpath(folder, /* resolved= */ NULL);
  if (real == NULL || strlen(real) + 200 > sizeof(objects)) {
    free(real);
    return kiln__fail(err, KILN_EENGINE, NULL, "'%.300s': %s", folder, strerror(errno));
  }
  memcpy(objects, real, strlen(real) + 1);
  free(real);
  if (strpbrk(objects, " :") != NULL) {
    return kiln__fail(err, KILN_EINVAL, NULL,
                      "engines '%.200s': its path has a blank or a colon, which the loader splits "
                      "at; choose another with --engines-dir",
                      objects);
  }
  (void)snprintf(folder, sizeof(folder), "%.*s/%s-%s", (int)(sizeof(folder) - 160), objects,
                 node->build_id, digits);
  (void)snprintf(ret_library, size, "%s/%s", folder, KILN__ENGINE_OBJECT);
  int lock = lock_objects(objects);
  if (lock < 0) {
    return kiln__fail(err, KILN_EENGINE, NULL, "'%.300s/lock': %s", objects, strerror(errno));
  }
  if (!is_complete(folder)) {
    if (node->headers[0] == '\0') {
      status = kiln__fail(err, KILN_EINVAL, NULL,
                          "'%.200s': its headers (include/node, with v8.h) are not beside it; give "
                          "them with --headers, or add node@%s, which npm has with headers",
                          node->path, node->version);
    } else {
      (void)snprintf(temporary, sizeof(temporary), "%.*s/.build-%ld", (int)(sizeof(temporary) - 40),
                     objects, (long)getpid());
      kiln__remove_tree(temporary);
      status = build_in(temporary, node, err);
      if (status == KILN_OK) status = install_objects(temporary, folder, err);
      kiln__remove_tree(temporary);
      *ret_built = status == KILN_OK;
    }
  }
  close(lock);
  return status;
}

bool kiln__hosted_is_current(const kiln__engine_record *record) {
  char digits[KILN__SOURCES_DIGITS], expected[160];
  if (kiln__hosted_digest(digits, /* err= */ NULL) != KILN_OK) return true; /* nobody can tell */
  (void)snprintf(expected, sizeof(expected), "/%s-%s/" KILN__ENGINE_OBJECT, record->info.build_id,
                 digits);
  size_t length = strlen(record->library), tail = strlen(expected);
  return length > tail && strcmp(record->library + length - tail, expected) == 0;
}
