/* SPDX-License-Identifier: MIT
 *
 * cli_output.c: what `kiln precompile --out` writes: a cache beside each file's name, and a
 * manifest that tells what they are. Files appear under their names only when they are complete;
 * they are not synced, since they can be made again.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "toolkit/cli_precompile.h"

#define SUFFIX ".cache"

static const char *relative_path(const kiln__item *item) {
  return item->file->path + item->file->relative;
}

static int by_relative(const void *a, const void *b) {
  return strcmp(relative_path(*(kiln__item *const *)a), relative_path(*(kiln__item *const *)b));
}

bool kiln__output_check(const kiln__baking *baking) {
  size_t count = baking->files.count;
  kiln__item **sorted = calloc(count == 0 ? 1 : count, sizeof(*sorted));
  if (sorted == NULL) {
    kiln__cli_complain(baking->self, "out of memory");
    return false;
  }
  for (size_t i = 0; i < count; i++) sorted[i] = &baking->items[i];
  qsort(sorted, count, sizeof(*sorted), by_relative);
  bool good = true;
  for (size_t i = 1; good && i < count; i++) {
    if (by_relative(&sorted[i - 1], &sorted[i]) == 0) {
      kiln__cli_complain(baking->self, "'%s' and '%s' would both be written as '%s" SUFFIX "'",
                         sorted[i - 1]->file->path, sorted[i]->file->path,
                         relative_path(sorted[i]));
      good = false;
    }
  }
  free(sorted);
  return good;
}

/* Makes the folders that `path` lies in. */
static bool make_folders(char *path) {
  for (char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
    *slash = '\0';
    bool good = mkdir(path, 0777) == 0 || errno == EEXIST;
    *slash = '/';
    if (!good) return false;
  }
  return true;
}

static bool write_all(int fd, const char *data, size_t length) {
  while (length > 0) {
    ssize_t written = write(fd, data, length);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return false;
    data += written;
    length -= (size_t)written;
  }
  return true;
}

/* Writes a file whole or not at all; false with errno set. */
static bool write_file(char *path, kiln_span data) {
  char temporary[PATH_MAX];
  int length = snprintf(temporary, sizeof(temporary), "%s.%ld.tmp", path, (long)getpid());
  if (length < 0 || (size_t)length >= sizeof(temporary)) {
    errno = ENAMETOOLONG;
    return false;
  }
  if (!make_folders(path)) return false;
  int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (fd < 0) return false;
  bool good = write_all(fd, data.data, data.length);
  if (close(fd) != 0) good = false;
  if (good && rename(temporary, path) == 0) return true;
  int reason = errno;
  (void)unlink(temporary);
  errno = reason;
  return false;
}

void kiln__output_blob(kiln__item *item) {
  char path[PATH_MAX];
  int length = snprintf(path, sizeof(path), "%s/%s" SUFFIX, item->baking->out, relative_path(item));
  if (length < 0 || (size_t)length >= sizeof(path)) {
    kiln__item_fail(item, "ERR_WRITE", "the path of its cache is too long");
  } else if (!write_file(path, kiln_bytes_get(item->blob))) {
    kiln__item_fail(item, "ERR_WRITE", "'%s': %s", path, strerror(errno));
  }
}

static json_t *entry_json(const kiln__item *item) {
  char cache[PATH_MAX];
  (void)snprintf(cache, sizeof(cache), "%s" SUFFIX, relative_path(item));
  const kiln__baking *baking = item->baking;
  return json_pack("{s:o, s:o, s:o, s:s, s:s, s:s, s:s, s:I, s:I}", "file",
                   kiln__cli_json_text(relative_path(item)), "cache", kiln__cli_json_text(cache),
                   "filename", kiln__cli_json_text(item->filename), "key", item->key, "kind",
                   kiln__cli_kind_name(item->kind), "mode", kcc_mode_name((kcc_mode)baking->mode),
                   "sourceSha256", item->source_sha256, "sourceBytes",
                   (json_int_t)item->source_length, "blobBytes", (json_int_t)item->blob_length);
}

bool kiln__output_manifest(const kiln__baking *baking) {
  char path[PATH_MAX];
  int length = snprintf(path, sizeof(path), "%s/manifest.json", baking->out);
  if (length < 0 || (size_t)length >= sizeof(path)) {
    kiln__cli_complain(baking->self, "the path of the manifest is too long");
    return false;
  }
  json_t *entries = json_array();
  for (size_t i = 0; i < baking->files.count; i++) {
    const kiln__item *item = &baking->items[i];
    if (item->failure == NULL && json_array_append_new(entries, entry_json(item)) != 0) {
      json_decref(entries);
      entries = NULL;
      break;
    }
  }
  json_t *manifest = json_pack("{s:i, s:o, s:o}", "version", 1, "engine",
                               kiln__cli_engine_json(&baking->engine), "entries", entries);
  char *text = manifest == NULL ? NULL : json_dumps(manifest, JSON_INDENT(2));
  json_decref(manifest);
  bool good = false;
  if (text == NULL) {
    kiln__cli_complain(baking->self, "out of memory");
  } else if (!write_file(path, kiln_span_from(text))) {
    kiln__cli_complain(baking->self, "'%s': %s", path, strerror(errno));
  } else {
    good = true;
  }
  free(text);
  return good;
}
