/* SPDX-License-Identifier: MIT
 *
 * cli_output.c: writes the folder of `kiln precompile --out`; its layout is in cli_manifest.h.
 *
 * While files are baked their blobs go to a new pack of each engine under a temporary name, in the
 * order in which they come. At the end, under a lock on the folder, pack, manifest and index get
 * their names. Nothing is synced to disk: it can be made again, and a loader checks every byte.
 */
#include "toolkit/cli_output.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "toolkit/service.h"

#define SUFFIX ".cache"
#define TEMPORARY ".tmp"
#define OPEN_TRIES 10

/* ---- files --------------------------------------------------------------------------- */

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

static bool write_at(int fd, const char *data, size_t length, uint64_t offset) {
  while (length > 0) {
    ssize_t written = pwrite(fd, data, length, (off_t)offset);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return false;
    data += written;
    offset += (size_t)written;
    length -= (size_t)written;
  }
  return true;
}

bool kiln__output_file(char *path, kiln_span data) {
  char temporary[PATH_MAX];
  int length = snprintf(temporary, sizeof(temporary), "%s.%ld" TEMPORARY, path, (long)getpid());
  if (length < 0 || (size_t)length >= sizeof(temporary)) {
    errno = ENAMETOOLONG;
    return false;
  }
  if (!make_folders(path)) return false;
  (void)unlink(temporary); /* of a process that had this number and was killed */
  int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (fd < 0) return false;
  bool good = write_at(fd, data.data, data.length, /* offset= */ 0);
  if (close(fd) != 0) good = false;
  if (good && rename(temporary, path) == 0) return true;
  int reason = errno;
  (void)unlink(temporary);
  errno = reason;
  return false;
}

/* Removes what lies in an engine's folder: `keep` NULL: packs that a killed process left, which
 * holds no lock on them any more; else all packs but `keep`. */
static void remove_packs(const char *folder, const char *keep) {
  DIR *list = opendir(folder);
  if (list == NULL) return;
  const struct dirent *entry;
  while ((entry = readdir(list)) != NULL) {
    if (strncmp(entry->d_name, KILN__PACK_PREFIX, strlen(KILN__PACK_PREFIX)) != 0) continue;
    const char *ending = strrchr(entry->d_name, '.');
    bool temporary = ending != NULL && strcmp(ending, TEMPORARY) == 0;
    if (keep != NULL) {
      if (!temporary && strcmp(entry->d_name, keep) != 0) {
        (void)unlinkat(dirfd(list), entry->d_name, /* flags= */ 0);
      }
    } else if (temporary) {
      int fd = openat(dirfd(list), entry->d_name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
      if (fd < 0) continue;
      if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
        (void)unlinkat(dirfd(list), entry->d_name, /* flags= */ 0);
      }
      (void)close(fd);
    }
  }
  (void)closedir(list);
}

/* ---- names --------------------------------------------------------------------------- */

/* A root's name with one slash at its end, for comparing. */
static char *root_of(const kiln__baking *baking) {
  char *root = NULL;
  const char *option = baking->root_option;
  if (option == NULL) {
    if (baking->files.root == NULL) return strdup("/"); /* no files: anything is right */
    root = strdup(baking->files.root);
  } else {
    root = realpath(option, /* resolved= */ NULL);
    if (root == NULL) {
      kiln__cli_complain(baking->self, "root '%s': %s", option, strerror(errno));
      return NULL;
    }
  }
  if (root == NULL) kiln__cli_complain(baking->self, "out of memory");
  return root;
}

bool kiln__output_name(kiln__baking *baking) {
  if (baking->files.count > KILN__MANIFEST_FILES_MAX) {
    kiln__cli_complain(baking->self, "%zu files, limit with --out: %d", baking->files.count,
                       KILN__MANIFEST_FILES_MAX);
    return false;
  }
  char *root = root_of(baking);
  if (root == NULL) return false;
  size_t length = strcmp(root, "/") == 0 ? 0 : strlen(root);
  bool good = true;
  for (size_t i = 0; i < baking->files.count; i++) {
    kiln__source *source = &baking->sources[i];
    const char *absolute = source->file->absolute;
    if (absolute == NULL) {
      kiln__cli_complain(baking->self, "'%s': has no name that --out could keep",
                         source->file->path);
      good = false;
    } else if (strncmp(absolute, root, length) != 0 || absolute[length] != '/') {
      kiln__cli_complain(baking->self, "'%s': does not lie in the root '%s'", absolute, root);
      good = false;
    } else {
      source->name = absolute + length + 1;
    }
  }
  free(baking->files.root);
  baking->files.root = root;
  return good;
}

/* How the folder `from` names the folder `to`; both absolute. False: too long. */
static bool relative_path(const char *from, const char *to, char *ret_path, size_t size) {
  size_t same = 0, used = 0;
  if (strcmp(from, "/") == 0) from = "";
  if (strcmp(to, "/") == 0) to = "";
  for (size_t i = 0;; i++) {
    bool ends = from[i] == '\0' || to[i] == '\0';
    if ((from[i] == '\0' || from[i] == '/') && (to[i] == '\0' || to[i] == '/')) same = i;
    if (ends || from[i] != to[i]) break;
  }
  ret_path[0] = '\0';
  for (const char *at = from + same; *at != '\0'; at++) {
    if (*at != '/') continue;
    if (used + 4 > size) return false;
    memcpy(ret_path + used, used == 0 ? ".." : "/..", used == 0 ? 3 : 4);
    used += used == 0 ? 2 : 3;
  }
  const char *rest = to + same + (to[same] == '/');
  int length =
      snprintf(ret_path + used, size - used, "%s%s", used > 0 && *rest != '\0' ? "/" : "", rest);
  if (length < 0 || (size_t)length >= size - used) return false;
  if (*ret_path == '\0') memcpy(ret_path, ".", 2);
  return true;
}

/* ---- opening ------------------------------------------------------------------------- */

/* What is in the folder already: *ret_manifest NULL: nothing. */
static bool load_manifest(const kiln__baking *baking, json_t **ret_manifest) {
  kiln_error error;
  *ret_manifest = NULL;
  kiln_status status = kiln__manifest_load(baking->out, ret_manifest, &error);
  if (status == KILN_OK || status == KILN_NOT_FOUND) return true;
  kiln__cli_complain(baking->self,
                     "'%s/" KILN__MANIFEST_NAME
                     "': %s; remove it, or name another "
                     "folder",
                     baking->out, error.message);
  return false;
}

static bool is_ours(const kiln__baking *baking, const char *name) {
  for (size_t i = 0; name != NULL && i < baking->engines_count; i++) {
    if (strcmp(baking->engines[i].name, name) == 0) return true;
  }
  return false;
}

/* Files are named below one root: what stays of other engines must be below the same. */
static bool check_root(const kiln__baking *baking, const json_t *manifest) {
  const char *root = json_string_value(json_object_get(manifest, "root"));
  size_t i;
  json_t *engine;
  json_array_foreach(json_object_get(manifest, "engines"), i, engine) {
    const char *name = json_string_value(json_object_get(engine, "name"));
    if (is_ours(baking, name)) continue;
    if (root != NULL && strcmp(root, baking->output->root) == 0) return true;
    kiln__cli_complain(baking->self,
                       "'%s': has files of root '%s' for %s, and these are of root '%s'; use "
                       "--root, or name another folder",
                       baking->out, root != NULL ? root : "?", name != NULL ? name : "?",
                       baking->output->root);
    return false;
  }
  return true;
}

static bool open_pack(const kiln__baking *baking, const char *engine, kiln__pack *pack) {
  pack->fd = -1;
  int length = snprintf(pack->path, sizeof(pack->path), "%s/%s/" KILN__PACK_PREFIX "%ld" TEMPORARY,
                        baking->out, engine, (long)getpid());
  if (length < 0 || (size_t)length >= sizeof(pack->path)) {
    kiln__cli_complain(baking->self, "'%s': the path is too long", baking->out);
    return false;
  }
  char *slash = strrchr(pack->path, '/');
  if (make_folders(pack->path)) {
    *slash = '\0';
    remove_packs(pack->path, /* keep= */ NULL);
    *slash = '/';
    for (unsigned i = 0; i < OPEN_TRIES; i++) {
      struct stat status;
      pack->fd = open(pack->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
      if (pack->fd < 0 || flock(pack->fd, LOCK_EX) != 0 || fstat(pack->fd, &status) != 0) break;
      if (status.st_nlink > 0) return true;
      /* Another run took it for one left behind before it was locked. */
      (void)close(pack->fd);
      pack->fd = -1;
    }
  }
  kiln__cli_complain(baking->self, "'%s': %s", pack->path, strerror(errno));
  return false;
}

bool kiln__output_open(kiln__baking *baking) {
  char out[PATH_MAX];
  kiln__output *output = calloc(1, sizeof(*output));
  if (output != NULL) output->packs = calloc(baking->engines_count, sizeof(*output->packs));
  baking->output = output;
  if (output == NULL || output->packs == NULL) {
    kiln__cli_complain(baking->self, "out of memory");
    return false;
  }
  for (size_t i = 0; i < baking->engines_count; i++) output->packs[i].fd = -1;
  int length = snprintf(out, sizeof(out), "%s/", baking->out);
  if (length < 0 || (size_t)length >= sizeof(out) || !make_folders(out)) {
    kiln__cli_complain(baking->self, "'%s': %s", baking->out, strerror(errno));
    return false;
  }
  char *real = realpath(out, /* resolved= */ NULL);
  bool good =
      real != NULL && relative_path(real, baking->files.root, output->root, sizeof(output->root));
  free(real);
  if (!good) {
    kiln__cli_complain(baking->self, "'%s': %s", baking->out, strerror(errno));
    return false;
  }
  json_t *manifest;
  if (!load_manifest(baking, &manifest)) return false;
  good = manifest == NULL || check_root(baking, manifest);
  json_decref(manifest);
  for (size_t i = 0; good && i < baking->engines_count; i++) {
    const char *name = baking->engines[i].name;
    if (!kiln__manifest_is_engine_name(name)) {
      kiln__cli_complain(baking->self, "engine '%s': its name cannot be a folder's", name);
      good = false;
    } else {
      good = open_pack(baking, name, &output->packs[i]);
    }
  }
  return good;
}

void kiln__output_close(kiln__baking *baking) {
  kiln__output *output = baking->output;
  if (output == NULL) return;
  for (size_t i = 0; output->packs != NULL && i < baking->engines_count; i++) {
    kiln__pack *pack = &output->packs[i];
    if (pack->fd < 0) continue;
    (void)unlink(pack->path);
    (void)close(pack->fd);
  }
  free(output->packs);
  free(output);
  baking->output = NULL;
}

/* ---- blobs --------------------------------------------------------------------------- */

static bool write_cache_file(kiln__item *item) {
  char path[PATH_MAX];
  int length = snprintf(path, sizeof(path), "%s/%s/%s" SUFFIX, item->baking->out,
                        kiln__item_engine(item), item->source->name);
  if (length < 0 || (size_t)length >= sizeof(path)) {
    kiln__item_fail(item, "ERR_WRITE", "the path of its cache is too long");
  } else if (!kiln__output_file(path, kiln_bytes_get(item->blob))) {
    kiln__item_fail(item, "ERR_WRITE", "'%s': %s", path, strerror(errno));
  } else {
    return true;
  }
  return false;
}

static bool is_utf8(const char *text) {
  json_t *value = json_string(text);
  json_decref(value);
  return value != NULL;
}

void kiln__output_blob(kiln__item *item) {
  kiln__pack *pack = &item->baking->output->packs[item->engine];
  kiln_span blob = kiln_bytes_get(item->blob);
  kcc_digest digest;
  if (!is_utf8(item->source->file->absolute)) {
    kiln__item_fail(item, "ERR_WRITE", "its name is not UTF-8, which a manifest has to be");
  } else if (blob.length > KILN__PACK_MAX_BYTES - pack->length) {
    kiln__item_fail(item, "ERR_TOO_LARGE", "the pack of this engine would be over %llu bytes",
                    (unsigned long long)KILN__PACK_MAX_BYTES);
  } else if (kiln__source_digest(item->blob, &digest, /* err= */ NULL) != KCC_OK) {
    kiln__item_fail(item, "ERR_NO_MEMORY", "out of memory");
  } else if (item->baking->separate_files && !write_cache_file(item)) {
    return;
  } else if (!write_at(pack->fd, blob.data, blob.length, pack->length)) {
    kiln__item_fail(item, "ERR_WRITE", "'%s': %s", pack->path, strerror(errno));
    /* What follows is to leave zeros between. */
    if (ftruncate(pack->fd, (off_t)pack->end) != 0) pack->spoilt = true;
  } else {
    kcc_digest_format(&digest, item->blob_sha256);
    item->offset = pack->length;
    item->blob_length = blob.length;
    /* The gap that this leaves reads as zeros. */
    pack->end = pack->length + blob.length;
    pack->length = (pack->end + KILN__PACK_ALIGN - 1) / KILN__PACK_ALIGN * KILN__PACK_ALIGN;
    pack->count++;
  }
}

/* ---- the end ------------------------------------------------------------------------- */

/* Gives an engine's pack its name. */
static bool name_pack(const kiln__baking *baking, const char *engine, kiln__pack *pack) {
  char path[PATH_MAX];
  int length = snprintf(path, sizeof(path), "%s/%s/%s", baking->out, engine, pack->name);
  if (length < 0 || (size_t)length >= sizeof(path)) {
    errno = ENAMETOOLONG;
  } else if (rename(pack->path, path) == 0) {
    int fd = pack->fd;
    pack->fd = -1;
    if (close(fd) == 0) return true;
  }
  kiln__cli_complain(baking->self, "'%s': %s", path, strerror(errno));
  return false;
}

static bool write_text(const kiln__baking *baking, const char *folder, const char *name,
                       kiln_span text) {
  char path[PATH_MAX];
  int length = snprintf(path, sizeof(path), "%s/%s%s%s", baking->out, folder,
                        *folder != '\0' ? "/" : "", name);
  if (length < 0 || (size_t)length >= sizeof(path)) {
    errno = ENAMETOOLONG;
  } else if (kiln__output_file(path, text)) {
    return true;
  }
  kiln__cli_complain(baking->self, "'%s': %s", path, strerror(errno));
  return false;
}

/* Whether an engine's folder gets new contents: not if nothing could be baked, by an engine that
 * could start but not compile, say. */
static bool is_renewed(const kiln__baking *baking, size_t engine) {
  const kiln__pack *pack = &baking->output->packs[engine];
  return !pack->spoilt && (pack->count > 0 || baking->tallies[engine].failed == 0);
}

static bool write_all(const kiln__baking *baking, const json_t *old) {
  kiln__output *output = baking->output;
  bool good = true;
  for (size_t i = 0; good && i < baking->engines_count; i++) {
    kiln__pack *pack = &output->packs[i];
    pack->renewed = is_renewed(baking, i);
    if (!pack->renewed) continue;
    pack->index = kiln__output_index(baking, i);
    good = pack->index != NULL && name_pack(baking, baking->engines[i].name, pack);
  }
  char *manifest = good ? kiln__output_manifest(baking, old) : NULL;
  good = manifest != NULL && write_text(baking, "", KILN__MANIFEST_NAME, kiln_span_from(manifest));
  free(manifest);
  for (size_t i = 0; i < baking->engines_count; i++) {
    kiln__pack *pack = &output->packs[i];
    const char *name = baking->engines[i].name;
    if (good && pack->renewed) {
      good = write_text(baking, name, KILN__INDEX_NAME, kiln_span_from(pack->index));
      if (good) {
        char folder[PATH_MAX];
        (void)snprintf(folder, sizeof(folder), "%s/%s", baking->out, name);
        remove_packs(folder, pack->name);
      }
    }
    free(pack->index);
    pack->index = NULL;
  }
  return good;
}

bool kiln__output_finish(kiln__baking *baking) {
  int lock = open(baking->out, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  int locked = -1;
  while (lock >= 0 && (locked = flock(lock, LOCK_EX)) != 0 && errno == EINTR) {
  }
  bool good = locked == 0;
  if (!good) kiln__cli_complain(baking->self, "'%s': %s", baking->out, strerror(errno));
  json_t *old = NULL;
  good = good && load_manifest(baking, &old) && (old == NULL || check_root(baking, old)) &&
         write_all(baking, old);
  json_decref(old);
  if (lock >= 0) (void)close(lock);
  return good;
}
