/* SPDX-License-Identifier: MIT
 *
 * temporary.h: folders of tests, in $TMPDIR or /tmp, and their removal.
 */
#ifndef KILN_TESTS_TEMPORARY_H
#define KILN_TESTS_TEMPORARY_H

#include <ftw.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define TEMPORARY_PATH 256 /* room for a folder's path */

static inline const char *temporary_root(void) {
  const char *root = getenv("TMPDIR");
  return root != NULL && *root != '\0' ? root : "/tmp";
}

/* Makes the folder NAME-xxxxxx. False: it cannot be made, or its path has no room. */
static inline bool temporary_make(const char *name, char *ret_path, size_t size) {
  int length = snprintf(ret_path, size, "%s/%s-XXXXXX", temporary_root(), name);
  return length > 0 && (size_t)length < size && mkdtemp(ret_path) != NULL;
}

static inline int temporary_remove_entry(const char *path, const struct stat *status, int kind,
                                         struct FTW *walk) {
  (void)status;
  (void)kind;
  (void)walk;
  return remove(path);
}

/* The folder with all that is in it. False: something stays. */
static inline bool temporary_remove(const char *path) {
  return nftw(path, temporary_remove_entry, 16, FTW_DEPTH | FTW_PHYS) == 0;
}

#endif
