/* SPDX-License-Identifier: MIT
 *
 * cli_files.c: from the paths of a command line to the files to bake. It only looks at names; a
 * file is opened when its turn comes.
 */
#include <errno.h>
#include <fts.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "toolkit/cli.h"

#define FILES_MAX 1000000
#define DEPTH_MAX 128

static bool is_javascript(const char *name) {
  const char *dot = strrchr(name, '.');
  return dot != NULL && dot != name &&
         (strcmp(dot, ".js") == 0 || strcmp(dot, ".cjs") == 0 || strcmp(dot, ".mjs") == 0);
}

static bool add(const kiln__cli_command *self, kiln__cli_files *files, const char *path,
                size_t relative, uint64_t size) {
  if (files->count == FILES_MAX) {
    kiln__cli_complain(self, "more than %d files", FILES_MAX);
    return false;
  }
  if (files->count == files->capacity) {
    size_t capacity = files->capacity == 0 ? 64 : 2 * files->capacity;
    kiln__cli_file *grown = reallocarray(files->files, capacity, sizeof(*grown));
    if (grown == NULL) {
      kiln__cli_complain(self, "out of memory");
      return false;
    }
    files->files = grown;
    files->capacity = capacity;
  }
  char *copy = strdup(path);
  if (copy == NULL) {
    kiln__cli_complain(self, "out of memory");
    return false;
  }
  files->files[files->count++] = (kiln__cli_file){copy, relative, size};
  return true;
}

static int by_name(const FTSENT **a, const FTSENT **b) {
  return strcmp((*a)->fts_name, (*b)->fts_name);
}

/* One entry of a walk. What cannot be read is complained of and passed over; *ret_stop says that
 * going on makes no sense. */
static bool add_entry(const kiln__cli_command *self, kiln__cli_files *files, FTS *walk,
                      FTSENT *entry, size_t relative, bool *ret_stop) {
  switch (entry->fts_info) {
    case FTS_F:
      if (!is_javascript(entry->fts_name)) return true;
      *ret_stop = !add(self, files, entry->fts_path, relative, (uint64_t)entry->fts_statp->st_size);
      return !*ret_stop;
    case FTS_D:
      if (entry->fts_level <= DEPTH_MAX) return true;
      kiln__cli_complain(self, "folder '%s': more than %d levels deep", entry->fts_path, DEPTH_MAX);
      (void)fts_set(walk, entry, FTS_SKIP);
      return false;
    case FTS_DNR:
    case FTS_ERR:
    case FTS_NS:
      kiln__cli_complain(self, "'%s': %s", entry->fts_path, strerror(entry->fts_errno));
      return false;
    default:
      return true;
  }
}

static bool add_folder(const kiln__cli_command *self, kiln__cli_files *files, char *root) {
  size_t root_length = strlen(root);
  while (root_length > 1 && root[root_length - 1] == '/') root[--root_length] = '\0';
  char *roots[] = {root, NULL};
  FTS *walk = fts_open(roots, FTS_PHYSICAL | FTS_COMFOLLOW | FTS_NOCHDIR, by_name);
  if (walk == NULL) {
    kiln__cli_complain(self, "'%s': %s", root, strerror(errno));
    return false;
  }
  /* What --out keeps begins after the root and its slash. */
  size_t relative = strcmp(root, "/") == 0 ? 1 : root_length + 1;
  bool good = true, stop = false;
  FTSENT *entry;
  errno = 0;
  while (!stop && (entry = fts_read(walk)) != NULL) {
    if (!add_entry(self, files, walk, entry, relative, &stop)) good = false;
    errno = 0;
  }
  if (!stop && errno != 0) {
    kiln__cli_complain(self, "'%s': %s", root, strerror(errno));
    good = false;
  }
  (void)fts_close(walk);
  return good;
}

bool kiln__cli_files_add(const kiln__cli_command *self, kiln__cli_files *files, const char *path) {
  struct stat file;
  if (stat(path, &file) != 0) {
    kiln__cli_complain(self, "'%s': %s", path, strerror(errno));
    return false;
  }
  if (!S_ISDIR(file.st_mode)) {
    const char *slash = strrchr(path, '/');
    size_t relative = slash == NULL ? 0 : (size_t)(slash + 1 - path);
    return add(self, files, path, relative, (uint64_t)file.st_size);
  }
  char *root = strdup(path);
  if (root == NULL) {
    kiln__cli_complain(self, "out of memory");
    return false;
  }
  bool good = add_folder(self, files, root);
  free(root);
  return good;
}

void kiln__cli_files_release(kiln__cli_files *files) {
  for (size_t i = 0; i < files->count; i++) free(files->files[i].path);
  free(files->files);
}
