/* SPDX-License-Identifier: MIT
 *
 * cli_engines_find.c: finding programs: node binaries where people and version managers put them,
 * and what stands on PATH; removing folders.
 */
#include <fcntl.h>
#include <ftw.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "toolkit/cli_engines.h"

#define SEEN_MAX 256

/* After $HOME, and anywhere. */
static const char *const at_home[] = {
    ".nvm/versions/node/*/bin/node",
    ".local/share/fnm/node-versions/*/installation/bin/node",
    ".fnm/node-versions/*/installation/bin/node",
    ".volta/tools/image/node/*/bin/node",
    ".asdf/installs/nodejs/*/bin/node",
    ".local/share/mise/installs/node/*/bin/node",
    ".local/share/rtx/installs/node/*/bin/node",
    ".nodenv/versions/*/bin/node",
    ".nodebrew/node/*/bin/node",
    "n/n/versions/node/*/bin/node",
    ".n/n/versions/node/*/bin/node",
};
static const char *const anywhere[] = {
    "/usr/bin/node",
    "/usr/local/bin/node",
    "/usr/local/n/versions/node/*/bin/node",
    "/opt/*/bin/node",
    "/opt/node/*/bin/node",
    "node_modules/node-linux-*/bin/node",
    "node_modules/node/bin/node",
};

typedef struct search {
  kiln__node_found_fn found;
  void *user;
  char *seen[SEEN_MAX];
  size_t count;
} search;

static void look_at(search *s, const char *path) {
  struct stat status;
  char *real = realpath(path, /* resolved= */ NULL);
  bool is_new = real != NULL && s->count < SEEN_MAX && stat(real, &status) == 0 &&
                S_ISREG(status.st_mode) && access(real, X_OK) == 0;
  for (size_t i = 0; is_new && i < s->count; i++) is_new = strcmp(s->seen[i], real) != 0;
  if (!is_new) {
    free(real);
    return;
  }
  s->seen[s->count++] = real;
  s->found(s->user, real);
}

static void look_for(search *s, const char *base, const char *pattern) {
  char path[KILN_NODE_PATH_MAX];
  glob_t matches;
  int length = snprintf(path, sizeof(path), "%s%s%s", base, *base != '\0' ? "/" : "", pattern);
  if (length < 0 || (size_t)length >= sizeof(path)) return;
  if (glob(path, GLOB_NOSORT, /* errfunc= */ NULL, &matches) != 0) return;
  for (size_t i = 0; i < matches.gl_pathc; i++) look_at(s, matches.gl_pathv[i]);
  globfree(&matches);
}

void kiln__node_discover(kiln__node_found_fn found, void *user) {
  search s = {.found = found, .user = user};
  const char *home = getenv("HOME");
  for (const char *at = getenv("PATH"); at != NULL && *at != '\0';) {
    char path[KILN_NODE_PATH_MAX];
    size_t length = strcspn(at, ":");
    int written = snprintf(path, sizeof(path), "%.*s/node", (int)length, at);
    if (length > 0 && written > 0 && (size_t)written < sizeof(path)) look_at(&s, path);
    at += length;
    if (*at == ':') at++;
  }
  for (size_t i = 0; home != NULL && *home == '/' && i < sizeof(at_home) / sizeof(at_home[0]); i++)
    look_for(&s, home, at_home[i]);
  for (size_t i = 0; i < sizeof(anywhere) / sizeof(anywhere[0]); i++) look_for(&s, "", anywhere[i]);
  for (size_t i = 0; i < s.count; i++) free(s.seen[i]);
}

bool kiln__find_on_path(const char *name, char *ret_path, size_t size) {
  for (const char *at = getenv("PATH"); at != NULL && *at != '\0';) {
    size_t length = strcspn(at, ":");
    int written = snprintf(ret_path, size, "%.*s/%s", (int)length, at, name);
    if (length > 0 && written > 0 && (size_t)written < size && access(ret_path, X_OK) == 0) {
      return true;
    }
    at += length;
    if (*at == ':') at++;
  }
  return false;
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *place) {
  (void)status;
  (void)kind;
  (void)place;
  (void)remove(path);
  return 0;
}

void kiln__remove_tree(const char *path) {
  (void)nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}
