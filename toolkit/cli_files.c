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

/* Takes `path`, and `absolute`, which may be NULL, in any case. */
static bool add(const kiln__cli_command *self, kiln__cli_files *files, char *path, char *absolute,
                uint64_t size) {
  bool good = false;
  if (path == NULL) {
    kiln__cli_complain(self, "out of memory");
  } else if (files->count == FILES_MAX) {
    kiln__cli_complain(self, "more than %d files", FILES_MAX);
  } else {
    good = true;
    if (files->count == files->capacity) {
      size_t capacity = files->capacity == 0 ? 64 : 2 * files->capacity;
      kiln__cli_file *grown = reallocarray(files->files, capacity, sizeof(*grown));
      if (grown == NULL) {
        kiln__cli_complain(self, "out of memory");
        good = false;
      } else {
        files->files = grown;
        files->capacity = capacity;
      }
    }
  }
  if (!good) {
    free(path);
    free(absolute);
    return false;
  }
  files->files[files->count++] = (kiln__cli_file){path, absolute, size};
  return true;
}

/* Makes the root reach up to what it has in common with one folder more. */
static bool widen_root(const kiln__cli_command *self, kiln__cli_files *files, const char *folder) {
  if (files->root == NULL) {
    files->root = strdup(folder);
    if (files->root != NULL) return true;
    kiln__cli_complain(self, "out of memory");
    return false;
  }
  size_t same = 0;
  for (size_t i = 0;; i++) {
    bool ends = files->root[i] == '\0' || folder[i] == '\0';
    if ((files->root[i] == '\0' || files->root[i] == '/') &&
        (folder[i] == '\0' || folder[i] == '/')) {
      same = i;
    }
    if (ends || files->root[i] != folder[i]) break;
  }
  if (same == 0) same = 1; /* the root of all */
  files->root[same] = '\0';
  return true;
}

static int by_name(const FTSENT **a, const FTSENT **b) {
  return strcmp((*a)->fts_name, (*b)->fts_name);
}

typedef struct walk_root {
  size_t relative;    /* where in a path what lies below the root begins */
  const char *prefix; /* the root's own name without links; empty for / */
} walk_root;

/* One entry of a walk. What cannot be read is complained of and passed over; *ret_stop says that
 * going on makes no sense. */
static bool add_entry(const kiln__cli_command *self, kiln__cli_files *files, FTS *walk,
                      FTSENT *entry, const walk_root *root, bool *ret_stop) {
  switch (entry->fts_info) {
    case FTS_F: {
      if (!is_javascript(entry->fts_name)) return true;
      char *absolute;
      if (asprintf(&absolute, "%s/%s", root->prefix, entry->fts_path + root->relative) < 0) {
        absolute = NULL;
      }
      *ret_stop = absolute == NULL || !add(self, files, strdup(entry->fts_path), absolute,
                                           (uint64_t)entry->fts_statp->st_size);
      return !*ret_stop;
    }
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

static bool add_folder(const kiln__cli_command *self, kiln__cli_files *files, char *root,
                       const char *real) {
  size_t root_length = strlen(root);
  while (root_length > 1 && root[root_length - 1] == '/') root[--root_length] = '\0';
  char *roots[] = {root, NULL};
  FTS *walk = fts_open(roots, FTS_PHYSICAL | FTS_COMFOLLOW | FTS_NOCHDIR, by_name);
  if (walk == NULL) {
    kiln__cli_complain(self, "'%s': %s", root, strerror(errno));
    return false;
  }
  walk_root place = {.relative = strcmp(root, "/") == 0 ? 1 : root_length + 1,
                     .prefix = strcmp(real, "/") == 0 ? "" : real};
  bool good = true, stop = false;
  FTSENT *entry;
  errno = 0;
  while (!stop && (entry = fts_read(walk)) != NULL) {
    if (!add_entry(self, files, walk, entry, &place, &stop)) good = false;
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
  char *real = realpath(path, /* resolved= */ NULL);
  if (!S_ISDIR(file.st_mode)) {
    bool good = true;
    if (real != NULL) {
      char *slash = strrchr(real, '/');
      *slash = '\0';
      good = widen_root(self, files, slash == real ? "/" : real);
      *slash = '/';
    }
    return add(self, files, strdup(path), real, (uint64_t)file.st_size) && good;
  }
  char *root = strdup(path);
  bool good = false;
  if (root == NULL || real == NULL) {
    kiln__cli_complain(self, "'%s': %s", path, strerror(errno));
  } else {
    good = widen_root(self, files, real) && add_folder(self, files, root, real);
  }
  free(root);
  free(real);
  return good;
}

static int by_absolute(const void *a, const void *b) {
  const kiln__cli_file *x = *(kiln__cli_file *const *)a, *y = *(kiln__cli_file *const *)b;
  int order = strcmp(x->absolute, y->absolute);
  if (order != 0) return order;
  return x < y ? -1 : 1;
}

static void file_release(kiln__cli_file *file) {
  free(file->path);
  free(file->absolute);
}

bool kiln__cli_files_unique(kiln__cli_files *files) {
  kiln__cli_file **sorted = calloc(files->count == 0 ? 1 : files->count, sizeof(*sorted));
  size_t named = 0, kept = 0;
  if (sorted == NULL) return false;
  for (size_t i = 0; i < files->count; i++) {
    if (files->files[i].absolute != NULL) sorted[named++] = &files->files[i];
  }
  qsort(sorted, named, sizeof(*sorted), by_absolute);
  for (size_t i = 1, first = 0; i < named; i++) {
    if (strcmp(sorted[first]->absolute, sorted[i]->absolute) == 0) {
      file_release(sorted[i]);
      sorted[i]->path = NULL;
    } else {
      first = i;
    }
  }
  free(sorted);
  for (size_t i = 0; i < files->count; i++) {
    if (files->files[i].path != NULL) files->files[kept++] = files->files[i];
  }
  files->count = kept;
  return true;
}

void kiln__cli_files_release(kiln__cli_files *files) {
  for (size_t i = 0; i < files->count; i++) file_release(&files->files[i]);
  free(files->files);
  free(files->root);
}
