/* SPDX-License-Identifier: MIT
 *
 * cli_manifest_pack.c: `kiln verify-manifest`: an engine's index and pack, which must be exactly
 * what the manifest claims.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "toolkit/cli_manifest_verify.h"
#include "toolkit/status.h"

static int by_file(const void *a, const void *b) {
  return strcmp(((const kiln__claim *)a)->file, ((const kiln__claim *)b)->file);
}

static void sort(kiln__engine_claim *engine, int (*compare)(const void *, const void *)) {
  if (engine->count > 0) qsort(engine->claims, engine->count, sizeof(*engine->claims), compare);
}

static int by_offset(const void *a, const void *b) {
  const kiln__claim *x = a, *y = b;
  return x->offset < y->offset ? -1 : x->offset > y->offset;
}

/* "ENGINE/NAME" and the path of it. */
typedef struct inside {
  char where[128];
  char path[PATH_MAX];
} inside;

static bool name_inside(kiln__verifying *v, const kiln__engine_claim *engine, const char *name,
                        inside *ret) {
  (void)snprintf(ret->where, sizeof(ret->where), "%s/%.80s", engine->name, name);
  int length = snprintf(ret->path, sizeof(ret->path), "%s/%s/%s", v->out, engine->name, name);
  if (length > 0 && (size_t)length < sizeof(ret->path)) return true;
  kiln__problem(v, ret->where, "its path is too long");
  return false;
}

/* ---- the index ----------------------------------------------------------------------- */

/* The entry that a claim has in an index. NULL on out of memory. */
static json_t *expected_entry(const kiln__claim *claim) {
  return json_pack(
      "[s, s, s, O, O, I, I, s, O, O, O]", claim->file, kiln__cli_kind_name(claim->kind),
      claim->mode, json_object_get(claim->entry, "sourceSha256"),
      json_object_get(claim->entry, "sourceBytes"), (json_int_t)claim->offset,
      (json_int_t)claim->bytes, claim->sha256, json_object_get(claim->entry, "filename"),
      json_object_get(claim->entry, "lineOffset"), json_object_get(claim->entry, "columnOffset"));
}

static void compare_entries(kiln__verifying *v, const kiln__engine_claim *engine, const char *where,
                            const json_t *entries) {
  if (!json_is_array(entries) || json_array_size(entries) != engine->count) {
    kiln__problem(v, where, "has %zu entries, the manifest %zu", json_array_size(entries),
                  engine->count);
    return;
  }
  for (size_t i = 0; i < engine->count; i++) {
    char quoted[KILN__QUOTE_BYTES];
    json_t *expected = expected_entry(&engine->claims[i]);
    if (expected == NULL) v->no_memory = true;
    if (expected != NULL && !json_equal(json_array_get(entries, i), expected)) {
      kiln__problem(v, where, "entry %zu is not the manifest's for %s", i,
                    kiln__quote(kiln_span_from(engine->claims[i].file), quoted));
    }
    json_decref(expected);
  }
}

/* Members that stand in manifest and index alike. */
static void compare_members(kiln__verifying *v, const kiln__engine_claim *engine, const char *where,
                            const json_t *index) {
  static const char *const members[] = {"name",  "nodeVersion", "v8Version", "cachedDataVersionTag",
                                        "flags", "buildId",     "arch",      "fingerprint"};
  const json_t *own = json_object_get(index, "engine");
  for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
    if (!json_equal(json_object_get(own, members[i]), json_object_get(engine->json, members[i]))) {
      kiln__problem(v, where, "engine.%s: not the manifest's", members[i]);
    }
  }
  if (!json_equal(json_object_get(index, "root"), json_object_get(v->manifest, "root"))) {
    kiln__problem(v, where, "root: not the manifest's");
  }
  if (!json_equal(json_object_get(index, "pack"), json_object_get(engine->json, "pack"))) {
    kiln__problem(v, where, "pack: not the manifest's");
  }
  if (!json_equal(json_object_get(index, "packBytes"),
                  json_object_get(engine->json, "packBytes"))) {
    kiln__problem(v, where, "packBytes: not the manifest's");
  }
}

static void check_index_text(kiln__verifying *v, const kiln__engine_claim *engine,
                             const char *where, kiln_span text) {
  char hex[KCC_HEX_BYTES];
  size_t head = strlen(KILN__INDEX_HEAD);
  const char *said = json_string_value(json_object_get(engine->json, "indexSha256"));
  if (!kiln__manifest_sha256(text.data, text.length, hex)) {
    v->no_memory = true;
    return;
  }
  if (said == NULL || strcmp(hex, said) != 0) {
    kiln__problem(v, where, "its SHA-256 is not the manifest's");
  }
  if (text.length <= KILN__INDEX_HEAD_BYTES || memcmp(text.data, KILN__INDEX_HEAD, head) != 0 ||
      text.data[KILN__INDEX_HEAD_BYTES - 1] != '\n') {
    kiln__problem(v, where, "does not begin with a line '" KILN__INDEX_HEAD "SHA-256'");
    return;
  }
  kiln_span body = {text.data + KILN__INDEX_HEAD_BYTES, text.length - KILN__INDEX_HEAD_BYTES};
  if (!kiln__manifest_sha256(body.data, body.length, hex) ||
      memcmp(hex, text.data + head, KILN_KEY_HEX) != 0) {
    kiln__problem(v, where, "the SHA-256 in its first line is not that of the rest");
  }
  json_error_t error;
  json_t *index = json_loadb(body.data, body.length, JSON_REJECT_DUPLICATES, &error);
  if (index == NULL) {
    kiln__problem(v, where, "no JSON: %s", error.text);
    return;
  }
  compare_members(v, engine, where, index);
  compare_entries(v, engine, where, json_object_get(index, "entries"));
  json_decref(index);
}

static void check_index(kiln__verifying *v, kiln__engine_claim *engine) {
  inside file;
  kiln_bytes *bytes;
  kiln_error error;
  if (!name_inside(v, engine, KILN__INDEX_NAME, &file)) return;
  sort(engine, by_file);
  for (size_t i = 1; i < engine->count; i++) {
    if (by_file(&engine->claims[i - 1], &engine->claims[i]) == 0) {
      char quoted[KILN__QUOTE_BYTES];
      kiln__problem(v, KILN__MANIFEST_NAME, "%s: two caches for %s", engine->name,
                    kiln__quote(kiln_span_from(engine->claims[i].file), quoted));
    }
  }
  if (kiln__cli_read(file.path, &bytes, &error) != KILN_OK) {
    kiln__problem(v, file.where, "%s", error.message);
    return;
  }
  check_index_text(v, engine, file.where, kiln_bytes_get(bytes));
  kiln_bytes_unref(bytes);
}

/* ---- the pack ------------------------------------------------------------------------ */

static bool read_at(int fd, void *data, size_t length, uint64_t offset) {
  char *to = data;
  while (length > 0) {
    ssize_t got = pread(fd, to, length, (off_t)offset);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    to += got;
    offset += (size_t)got;
    length -= (size_t)got;
  }
  return true;
}

static void check_claim(kiln__verifying *v, const kiln__engine_claim *engine, const char *where,
                        int fd, const kiln__claim *claim, kiln__blob_head *head) {
  char quoted[KILN__QUOTE_BYTES], hex[KCC_HEX_BYTES];
  const char *file = kiln__quote(kiln_span_from(claim->file), quoted);
  void *data = malloc(claim->bytes);
  if (data == NULL) {
    v->no_memory = true;
    return;
  }
  if (!read_at(fd, data, claim->bytes, claim->offset)) {
    kiln__problem(v, where, "cache of %s: cannot be read", file);
  } else if (!kiln__manifest_sha256(data, claim->bytes, hex)) {
    v->no_memory = true;
  } else if (strcmp(hex, claim->sha256) != 0) {
    kiln__problem(v, where, "cache of %s: its SHA-256 is not the manifest's", file);
  } else {
    const char *problem = kiln__blob_problem((kcc_span){data, claim->bytes},
                                             engine->fingerprint.v8_version, claim, head);
    if (problem != NULL) kiln__problem(v, where, "cache of %s: %s", file, problem);
  }
  free(data);
}

/* Between two blobs there are at most 7 bytes, zeros. */
static bool is_gap(int fd, uint64_t from, uint64_t to) {
  char bytes[KILN__PACK_ALIGN];
  static const char zeros[KILN__PACK_ALIGN];
  if (to - from >= KILN__PACK_ALIGN) return false;
  return read_at(fd, bytes, to - from, from) && memcmp(bytes, zeros, to - from) == 0;
}

static void check_claims(kiln__verifying *v, kiln__engine_claim *engine, const char *where, int fd,
                         uint64_t size) {
  kiln__blob_head head = {0};
  uint64_t end = 0;
  sort(engine, by_offset);
  for (size_t i = 0; i < engine->count && !v->no_memory; i++) {
    const kiln__claim *claim = &engine->claims[i];
    char quoted[KILN__QUOTE_BYTES];
    const char *file = kiln__quote(kiln_span_from(claim->file), quoted);
    if (claim->offset % KILN__PACK_ALIGN != 0) {
      kiln__problem(v, where, "cache of %s: not at a multiple of %u", file, KILN__PACK_ALIGN);
    }
    if (claim->offset > size || claim->bytes > size - claim->offset) {
      kiln__problem(v, where, "cache of %s: goes beyond its end", file);
      return;
    }
    if (claim->offset < end) {
      kiln__problem(v, where, "cache of %s: overlaps another", file);
    } else if (!is_gap(fd, end, claim->offset)) {
      kiln__problem(v, where, "cache of %s: there is something before it", file);
    }
    end = claim->offset + claim->bytes;
    check_claim(v, engine, where, fd, claim, &head);
  }
  if (end < size && !v->no_memory) kiln__problem(v, where, "has bytes after the last cache");
}

static void check_pack(kiln__verifying *v, kiln__engine_claim *engine) {
  inside file;
  struct stat status;
  const char *name = json_string_value(json_object_get(engine->json, "pack"));
  json_int_t said = json_integer_value(json_object_get(engine->json, "packBytes"));
  if (!name_inside(v, engine, name, &file)) return;
  int fd = open(file.path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0 || fstat(fd, &status) != 0) {
    kiln__problem(v, file.where, "%s", strerror(errno));
  } else if (!S_ISREG(status.st_mode)) {
    kiln__problem(v, file.where, "not a regular file");
  } else {
    if (status.st_size != said) {
      kiln__problem(v, file.where, "is %lld bytes, the manifest says %lld",
                    (long long)status.st_size, (long long)said);
    }
    check_claims(v, engine, file.where, fd, (uint64_t)status.st_size);
  }
  if (fd >= 0) (void)close(fd);
}

/* ---- separate files ------------------------------------------------------------------ */

/* What --files wrote beside. */
static void check_files(kiln__verifying *v, const kiln__engine_claim *engine) {
  for (size_t i = 0; i < engine->count && !v->no_memory; i++) {
    const kiln__claim *claim = &engine->claims[i];
    inside file;
    char name[KILN_NAME_MAX + 16], hex[KCC_HEX_BYTES];
    kiln_bytes *bytes;
    kiln_error error;
    if (!claim->has_file) continue;
    (void)snprintf(name, sizeof(name), "%s.cache", claim->file);
    if (!name_inside(v, engine, name, &file)) continue;
    if (kiln__cli_read(file.path, &bytes, &error) != KILN_OK) {
      kiln__problem(v, file.where, "%s", error.message);
      continue;
    }
    kiln_span text = kiln_bytes_get(bytes);
    if (!kiln__manifest_sha256(text.data, text.length, hex)) {
      v->no_memory = true;
    } else if (strcmp(hex, claim->sha256) != 0) {
      kiln__problem(v, file.where, "its SHA-256 is not the manifest's");
    }
    kiln_bytes_unref(bytes);
  }
}

void kiln__verify_engine(kiln__verifying *v, kiln__engine_claim *engine) {
  if (!engine->selected || !engine->usable) return;
  v->checked_engines++;
  check_index(v, engine);
  check_pack(v, engine);
  check_files(v, engine);
}
