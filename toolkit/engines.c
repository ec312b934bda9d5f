/* SPDX-License-Identifier: MIT
 *
 * engines.c: reads and writes the registry of node-hosted engines. What a spec means is
 * engine_spec.c's part; building engines is the command's.
 */
#include "toolkit/engines.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "toolkit/status.h"

#define RECORD_FILE "engine.json"
#define RECORD_VERSION 1
#define OBJECTS "objects"

/* ---- whose it is --------------------------------------------------------------------- */

/* NULL: nobody but the user and root can change it. */
static const char *distrust(const struct stat *status) {
  if (status->st_uid != geteuid() && status->st_uid != 0) return "belongs to another user";
  if ((status->st_mode & (S_IWGRP | S_IWOTH)) != 0) return "others may write to it";
  return NULL;
}

static kiln_status check_folder(const char *path, kiln_error *err) {
  struct stat status;
  if (stat(path, &status) != 0) {
    return kiln__fail(err, KILN_EENGINE, NULL, "engines '%s': %s", path, strerror(errno));
  }
  const char *why = S_ISDIR(status.st_mode) ? distrust(&status) : "is no folder";
  if (why == NULL) return KILN_OK;
  return kiln__fail(err, KILN_EENGINE, NULL, "engines '%s': %s", path, why);
}

kiln_status kiln__engines_make_dir(const char *path, kiln_error *err) {
  char part[KILN_NODE_PATH_MAX];
  size_t length = strlen(path);
  if (length == 0 || length >= sizeof(part)) {
    return kiln__fail(err, KILN_ETOOBIG, NULL, "engines: a path of %zu bytes, limit %zu", length,
                      sizeof(part) - 1);
  }
  memcpy(part, path, length + 1);
  for (size_t i = 1; i <= length; i++) {
    if (part[i] != '/' && part[i] != '\0') continue;
    part[i] = '\0';
    if (mkdir(part, 0700) != 0 && errno != EEXIST) {
      return kiln__fail(err, KILN_EENGINE, NULL, "engines '%s': %s", part, strerror(errno));
    }
    part[i] = path[i];
  }
  return check_folder(path, err);
}

bool kiln__engines_name_ok(const char *name) {
  size_t length = strlen(name);
  if (length == 0 || length >= sizeof(((kiln_engine_info *)NULL)->name)) return false;
  if (name[0] < 'a' || name[0] > 'z') return false;
  if (strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789.+-") != length) return false;
  return strcmp(name, OBJECTS) != 0 && strcmp(name, "npm") != 0 && strcmp(name, "default") != 0 &&
         strcmp(name, "node-18") != 0;
}

/* ---- reading a record ---------------------------------------------------------------- */

static bool copy_text(const json_t *json, const char *field, char *to, size_t size) {
  const json_t *value = json_object_get(json, field);
  if (!json_is_string(value)) return false;
  const char *text = json_string_value(value);
  size_t length = json_string_length(value);
  if (length >= size || strlen(text) != length) return false;
  memcpy(to, text, length + 1);
  return true;
}

static bool is_path(const char *path) {
  return path[0] == '/' && strchr(path, ':') == NULL && strchr(path, ' ') == NULL;
}

/* NULL, or what is wrong. */
static const char *decode(const json_t *json, const char *name, kiln__engine_record *record) {
  kiln_engine_info *info = &record->info;
  const json_t *version = json_object_get(json, "version");
  const json_t *tag = json_object_get(json, "cachedDataVersionTag");
  if (!json_is_integer(version)) return "no record of an engine";
  if (json_integer_value(version) != RECORD_VERSION) return "of another version of Kiln";
  if (!json_is_integer(tag) || json_integer_value(tag) < 0 ||
      json_integer_value(tag) > UINT32_MAX) {
    return "cachedDataVersionTag: missing or wrong";
  }
  info->cached_data_tag = (uint32_t)json_integer_value(tag);
  const struct {
    const char *field;
    char *to;
    size_t size;
  } texts[] = {
      {"name", info->name, sizeof(info->name)},
      {"node", info->node, sizeof(info->node)},
      {"nodeVersion", record->node_version, sizeof(record->node_version)},
      {"library", record->library, sizeof(record->library)},
      {"flags", record->flags, sizeof(record->flags)},
      {"v8Version", info->v8_version, sizeof(info->v8_version)},
      {"v8Flags", info->flags, sizeof(info->flags)},
      {"buildId", info->build_id, sizeof(info->build_id)},
      {"arch", info->arch, sizeof(info->arch)},
      {"fingerprint", info->fingerprint, sizeof(info->fingerprint)},
      {"added", record->added, sizeof(record->added)},
  };
  for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
    if (!copy_text(json, texts[i].field, texts[i].to, texts[i].size)) return texts[i].field;
  }
  if (!kiln__engines_name_ok(info->name) || strcmp(info->name, name) != 0) return "name";
  if (info->node[0] != '/') return "node";
  /* The loader splits what it is to preload at blanks and colons. */
  if (!is_path(record->library)) return "library";
  if (info->build_id[0] == '\0') return "buildId";
  return NULL;
}

/* Reads a small file that nobody else can change; NULL with *why. */
static json_t *read_json(const char *path, const char **why) {
  struct stat status;
  json_t *json = NULL;
  json_error_t ignored;
  char *text = NULL;
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  *why = "cannot be read";
  if (fd >= 0 && fstat(fd, &status) == 0) {
    *why = S_ISREG(status.st_mode) ? distrust(&status) : "is no file";
    if (*why == NULL && status.st_size > KILN__ENGINE_JSON_MAX) *why = "is too large";
    if (*why == NULL) {
      text = malloc((size_t)status.st_size + 1);
      ssize_t got = text != NULL ? read(fd, text, (size_t)status.st_size) : -1;
      if (got >= 0) json = json_loadb(text, (size_t)got, JSON_REJECT_DUPLICATES, &ignored);
      *why = json_is_object(json) ? NULL : "is no JSON object";
    }
  }
  if (fd >= 0) close(fd);
  free(text);
  if (*why != NULL) {
    json_decref(json);
    return NULL;
  }
  return json;
}

/* NULL, or what is wrong. */
static const char *read_record(const char *dir, const char *name, kiln__engine_record *record) {
  char path[KILN_NODE_PATH_MAX];
  struct stat status;
  const char *why;
  int length = snprintf(path, sizeof(path), "%s/%s", dir, name);
  if (length < 0 || (size_t)length + sizeof("/" RECORD_FILE) > sizeof(path))
    return "its path is too long";
  if (lstat(path, &status) != 0 || !S_ISDIR(status.st_mode)) return "is no folder";
  why = distrust(&status);
  if (why != NULL) return why;
  memcpy(path + length, "/" RECORD_FILE, sizeof("/" RECORD_FILE));
  json_t *json = read_json(path, &why);
  if (json == NULL) return why;
  memset(record, 0, sizeof(*record));
  why = decode(json, name, record);
  json_decref(json);
  return why;
}

/* ---- reading them all ---------------------------------------------------------------- */

static int by_name(const void *a, const void *b) {
  const kiln__engine_record *x = a, *y = b;
  return kiln__engines_compare(x->info.name, y->info.name);
}

kiln_status kiln__engines_read(const char *dir, kiln__engines_damaged_fn damaged, void *user,
                               kiln__engine_record **ret_records, size_t *ret_count,
                               kiln_error *err) {
  kiln__engine_record *records = NULL;
  size_t count = 0, capacity = 0;
  DIR *stream = opendir(dir);
  if (stream == NULL && errno == ENOENT) {
    *ret_records = NULL;
    *ret_count = 0;
    return KILN_OK;
  }
  kiln_status status = KILN_OK;
  if (stream == NULL) {
    return kiln__fail(err, KILN_EENGINE, NULL, "engines '%s': %s", dir, strerror(errno));
  }
  status = check_folder(dir, err);
  const struct dirent *entry;
  while (status == KILN_OK && (entry = readdir(stream)) != NULL) {
    if (!kiln__engines_name_ok(entry->d_name)) continue; /* objects, npm, a temporary folder */
    if (count == KILN__ENGINES_MAX) {
      status =
          kiln__fail(err, KILN_ETOOBIG, NULL, "engines '%s': more than %d", dir, KILN__ENGINES_MAX);
      break;
    }
    if (count == capacity) {
      capacity = capacity == 0 ? 8 : 2 * capacity;
      kiln__engine_record *grown = realloc(records, capacity * sizeof(*records));
      if (grown == NULL) {
        status = kiln__fail(err, KILN_ENOMEM, NULL, "no memory for the engines");
        break;
      }
      records = grown;
    }
    const char *why = read_record(dir, entry->d_name, &records[count]);
    if (why == NULL) {
      count++;
    } else if (damaged != NULL) {
      damaged(user, entry->d_name, why);
    }
  }
  closedir(stream);
  if (status != KILN_OK) {
    free(records);
    return status;
  }
  if (count > 1) qsort(records, count, sizeof(*records), by_name);
  *ret_records = records;
  *ret_count = count;
  return KILN_OK;
}

kiln_status kiln__engines_load(const char *dir, kiln__engine_record **ret_records,
                               size_t *ret_count, kiln_error *err) {
  return kiln__engines_read(dir, /* damaged= */ NULL, /* user= */ NULL, ret_records, ret_count,
                            err);
}

/* ---- writing ------------------------------------------------------------------------- */

static json_t *encode(const kiln__engine_record *record) {
  const kiln_engine_info *info = &record->info;
  return json_pack(
      "{s:i, s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:s, s:s, s:s, s:s, s:s}", "version",
      RECORD_VERSION, "name", info->name, "node", info->node, "nodeVersion", record->node_version,
      "library", record->library, "flags", record->flags, "v8Version", info->v8_version,
      "cachedDataVersionTag", (json_int_t)info->cached_data_tag, "v8Flags", info->flags, "buildId",
      info->build_id, "arch", info->arch, "fingerprint", info->fingerprint, "added", record->added);
}

kiln_status kiln__engines_save(const char *dir, const kiln__engine_record *record,
                               kiln_error *err) {
  char path[KILN_NODE_PATH_MAX], temporary[KILN_NODE_PATH_MAX + 32];
  int length = snprintf(path, sizeof(path), "%s/%s", dir, record->info.name);
  if (length < 0 || (size_t)length + sizeof("/" RECORD_FILE) > sizeof(path)) {
    return kiln__fail(err, KILN_ETOOBIG, NULL, "engines '%s': its path is too long", dir);
  }
  kiln_status status = kiln__engines_make_dir(dir, err);
  if (status == KILN_OK) status = kiln__engines_make_dir(path, err);
  if (status != KILN_OK) return status;
  memcpy(path + length, "/" RECORD_FILE, sizeof("/" RECORD_FILE));
  (void)snprintf(temporary, sizeof(temporary), "%s.%ld", path, (long)getpid());
  json_t *json = encode(record);
  bool encoded = json != NULL;
  int fd =
      encoded ? open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600) : -1;
  bool written = fd >= 0 && json_dumpfd(json, fd, JSON_INDENT(2)) == 0 && fsync(fd) == 0;
  int reason = errno;
  if (fd >= 0 && close(fd) != 0) written = false;
  json_decref(json);
  if (written && rename(temporary, path) == 0) return KILN_OK;
  if (written) reason = errno;
  if (fd >= 0) (void)unlink(temporary);
  return kiln__fail(err, KILN_EENGINE, NULL, "'%s': %s", path,
                    !encoded ? "a text that is not UTF-8, or no memory" : strerror(reason));
}

kiln_status kiln__engines_remove(const char *dir, const char *name, kiln_error *err) {
  char path[KILN_NODE_PATH_MAX];
  int length = snprintf(path, sizeof(path), "%s/%s", dir, name);
  if (!kiln__engines_name_ok(name) || length < 0 ||
      (size_t)length + sizeof("/" RECORD_FILE) > sizeof(path)) {
    return kiln__fail(err, KILN_EINVAL, NULL, "engine '%.80s': no name of an engine", name);
  }
  memcpy(path + length, "/" RECORD_FILE, sizeof("/" RECORD_FILE));
  bool removed = unlink(path) == 0;
  int reason = errno;
  path[length] = '\0';
  if (rmdir(path) == 0) removed = true;
  if (removed) return KILN_OK;
  if (reason == ENOENT) return kiln__fail(err, KILN_NOT_FOUND, NULL, "engine '%s': unknown", name);
  return kiln__fail(err, KILN_EENGINE, NULL, "'%s': %s", path, strerror(reason));
}
