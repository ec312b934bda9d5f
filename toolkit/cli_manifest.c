/* SPDX-License-Identifier: MIT
 *
 * cli_manifest.c: what writing and checking a baked folder have in common.
 */
#include "toolkit/cli_manifest.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "toolkit/status.h"

bool kiln__manifest_sha256(const void *data, size_t length, char ret_hex[KCC_HEX_BYTES]) {
  kcc_digest digest;
  if (kcc_digest_of((kcc_span){data, length}, &digest, /* err= */ NULL) != KCC_OK) return false;
  kcc_digest_format(&digest, ret_hex);
  return true;
}

kiln_status kiln__manifest_digest(json_t *manifest, char ret_hex[KCC_HEX_BYTES], kiln_error *err) {
  json_t *rest = json_object();
  const char *name;
  json_t *value;
  char *text = NULL;
  bool good = rest != NULL;
  json_object_foreach(manifest, name, value) {
    if (good && strcmp(name, "sha256") != 0) good = json_object_set(rest, name, value) == 0;
  }
  if (good) text = json_dumps(rest, JSON_COMPACT | JSON_SORT_KEYS);
  json_decref(rest);
  good = text != NULL && kiln__manifest_sha256(text, strlen(text), ret_hex);
  free(text);
  return good ? KILN_OK : kiln__fail(err, KILN_ENOMEM, NULL, "out of memory");
}

kiln_status kiln__manifest_check(json_t *manifest, kiln_error *err) {
  char hex[KCC_HEX_BYTES];
  const json_t *version = json_object_get(manifest, "version");
  const char *sha256 = json_string_value(json_object_get(manifest, "sha256"));
  if (!json_is_integer(version) || json_integer_value(version) != KILN__MANIFEST_VERSION) {
    return kiln__fail(err, KILN_EINVAL, NULL, "no manifest of version %d", KILN__MANIFEST_VERSION);
  }
  if (sha256 == NULL) return kiln__fail(err, KILN_EINVAL, NULL, "sha256: missing");
  kiln_status status = kiln__manifest_digest(manifest, hex, err);
  if (status == KILN_OK && strcmp(hex, sha256) != 0) {
    status = kiln__fail(err, KILN_EINVAL, NULL, "sha256: not that of the rest");
  }
  return status;
}

kiln_status kiln__manifest_read(const char *out, json_t **ret_manifest, kiln_error *err) {
  char path[PATH_MAX];
  kiln_bytes *bytes;
  struct stat file;
  json_error_t error;
  int length = snprintf(path, sizeof(path), "%s/" KILN__MANIFEST_NAME, out);
  if (length < 0 || (size_t)length >= sizeof(path)) {
    return kiln__fail(err, KILN_EINVAL, NULL, "its path is too long");
  }
  if (stat(path, &file) != 0) {
    return kiln__fail(err, errno == ENOENT ? KILN_NOT_FOUND : KILN_EINVAL, NULL, "%s",
                      strerror(errno));
  }
  if ((uint64_t)file.st_size > KILN__MANIFEST_MAX_BYTES) {
    return kiln__fail(err, KILN_ETOOBIG, NULL, "is %llu bytes, limit %zu",
                      (unsigned long long)file.st_size, KILN__MANIFEST_MAX_BYTES);
  }
  kiln_status status = kiln__cli_read(path, &bytes, err);
  if (status != KILN_OK) return status;
  kiln_span text = kiln_bytes_get(bytes);
  json_t *manifest = json_loadb(text.data, text.length, JSON_REJECT_DUPLICATES, &error);
  kiln_bytes_unref(bytes);
  if (manifest == NULL) {
    return kiln__fail(err, KILN_EINVAL, NULL, "no JSON: line %d: %s", error.line, error.text);
  }
  if (!json_is_object(manifest)) {
    json_decref(manifest);
    return kiln__fail(err, KILN_EINVAL, NULL, "no JSON object");
  }
  *ret_manifest = manifest;
  return KILN_OK;
}

kiln_status kiln__manifest_load(const char *out, json_t **ret_manifest, kiln_error *err) {
  json_t *manifest;
  kiln_status status = kiln__manifest_read(out, &manifest, err);
  if (status != KILN_OK) return status;
  status = kiln__manifest_check(manifest, err);
  if (status == KILN_OK) {
    *ret_manifest = manifest;
  } else {
    json_decref(manifest);
  }
  return status;
}

json_t *kiln__manifest_engine(const kiln_engine_info *info, const char *node_version) {
  return json_pack("{s:s, s:s, s:s, s:I, s:s, s:s, s:s, s:s}", "name", info->name, "nodeVersion",
                   node_version, "v8Version", info->v8_version, "cachedDataVersionTag",
                   (json_int_t)info->cached_data_tag, "flags", info->flags, "buildId",
                   info->build_id, "arch", info->arch, "fingerprint", info->fingerprint);
}

bool kiln__manifest_is_engine_name(const char *name) {
  size_t length = strlen(name);
  return length > 0 && length < sizeof(((kiln_engine_info *)0)->name) && name[0] != '.' &&
         strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789.+-") == length;
}

char *kiln__manifest_identity(const json_t *entry) {
  static const char *const members[] = {"file",         "filename", "kind",        "lineOffset",
                                        "columnOffset", "params",   "sourceSha256"};
  json_t *list = json_array();
  bool good = list != NULL;
  for (size_t i = 0; good && i < sizeof(members) / sizeof(members[0]); i++) {
    json_t *value = json_object_get(entry, members[i]);
    if (value == NULL && strcmp(members[i], "params") == 0) continue;
    good = value != NULL && json_array_append(list, value) == 0;
  }
  char *text = good ? json_dumps(list, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
  json_decref(list);
  return text;
}
