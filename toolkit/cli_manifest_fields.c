/* SPDX-License-Identifier: MIT
 *
 * cli_manifest_fields.c: `kiln verify-manifest`: the members of manifest.json, and the sources that
 * it tells of.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "toolkit/cli_manifest_verify.h"
#include "toolkit/engines.h"
#include "toolkit/service.h"
#include "toolkit/status.h"

#define WHERE_BYTES 128

/* Where in the manifest: "entries[3] 'lib/a.js'". */
typedef struct place {
  kiln__verifying *v;
  char where[WHERE_BYTES];
  bool good;
} place;

static void wrong(place *at, const char *member, const char *what) {
  at->good = false;
  kiln__problem(at->v, at->where, "%s: %s", member, what);
}

static const char *text_of(place *at, const json_t *object, const char *member, size_t min,
                           size_t max) {
  const json_t *value = json_object_get(object, member);
  if (!json_is_string(value)) {
    wrong(at, member, value == NULL ? "missing" : "not a string");
    return NULL;
  }
  size_t length = json_string_length(value);
  if (length < min || length > max) {
    wrong(at, member, length < min ? "empty" : "too long");
    return NULL;
  }
  return json_string_value(value);
}

static bool number_of(place *at, const json_t *object, const char *member, json_int_t min,
                      json_int_t max, json_int_t *ret_number) {
  const json_t *value = json_object_get(object, member);
  if (!json_is_integer(value)) {
    wrong(at, member, value == NULL ? "missing" : "not an integer");
    return false;
  }
  *ret_number = json_integer_value(value);
  if (*ret_number >= min && *ret_number <= max) return true;
  wrong(at, member, "out of range");
  return false;
}

/* Lower case only: what is compared elsewhere is compared as text. */
static bool is_hex(const char *text, size_t digits) {
  return strlen(text) == digits && strspn(text, "0123456789abcdef") == digits;
}

static const char *digest_of(place *at, const json_t *object, const char *member,
                             kcc_digest *ret_digest) {
  const char *text = text_of(at, object, member, 1, KILN_KEY_HEX);
  if (text == NULL) return NULL;
  if (is_hex(text, KILN_KEY_HEX) && kcc_digest_parse(text, KILN_KEY_HEX, ret_digest)) return text;
  wrong(at, member, "not 64 lower-case hex digits");
  return NULL;
}

/* ---- engines ------------------------------------------------------------------------- */

static bool is_pack_name(const char *name) {
  size_t prefix = strlen(KILN__PACK_PREFIX);
  return strncmp(name, KILN__PACK_PREFIX, prefix) == 0 && is_hex(name + prefix, KILN__PACK_HEX);
}

static void check_fingerprint(place *at, const kiln__engine_claim *claim) {
  kcc_digest said, is;
  if (digest_of(at, claim->json, "fingerprint", &said) == NULL) return;
  if (kcc_fingerprint_id(&claim->fingerprint, &is, /* err= */ NULL) != KCC_OK) {
    at->v->no_memory = true;
  } else if (memcmp(&said, &is, sizeof(is)) != 0) {
    wrong(at, "fingerprint", "not that of name, version, tag, flags, build and architecture");
  }
}

bool kiln__claim_is(const kiln__engine_claim *claim, const char *spec) {
  kiln_engine_info info = {0};
  const char *hex = json_string_value(json_object_get(claim->json, "fingerprint"));
  const char *version = json_string_value(json_object_get(claim->json, "nodeVersion"));
  (void)snprintf(info.name, sizeof(info.name), "%s", claim->name);
  (void)snprintf(info.fingerprint, sizeof(info.fingerprint), "%s", hex != NULL ? hex : "");
  /* Only libv8's own has none. */
  (void)snprintf(info.node, sizeof(info.node), "%s", version != NULL ? version : "");
  return kiln__engines_match(kiln_span_from(spec), &info) != 0;
}

static bool is_selected(const kiln__verifying *v, const kiln__engine_claim *claim) {
  for (size_t i = 0; i < v->specs_count; i++) {
    if (kiln__claim_is(claim, v->specs[i])) return true;
  }
  return v->specs_count == 0;
}

static void check_engine(kiln__verifying *v, const json_t *engine, size_t index) {
  place at = {.v = v, .good = true};
  json_int_t tag = 0, bytes = 0;
  kcc_digest digest;
  (void)snprintf(at.where, sizeof(at.where), "engines[%zu]", index);
  if (!json_is_object(engine)) {
    kiln__problem(v, at.where, "not an object");
    return;
  }
  kiln__engine_claim claim = {.json = engine};
  claim.name = text_of(&at, engine, "name", 1, 31);
  const char *directory = text_of(&at, engine, "directory", 1, 31);
  if (claim.name != NULL && !kiln__manifest_is_engine_name(claim.name)) {
    wrong(&at, "name", "not lower-case letters, digits, '.', '+' and '-'");
    claim.name = NULL;
  }
  if (claim.name != NULL && directory != NULL && strcmp(claim.name, directory) != 0) {
    wrong(&at, "directory", "not the engine's name");
  }
  (void)text_of(&at, engine, "nodeVersion", 0, 31);
  const char *pack = text_of(&at, engine, "pack", 1, 64);
  if (pack != NULL && !is_pack_name(pack)) wrong(&at, "pack", "not the name of a pack");
  claim.fingerprint = (kcc_fingerprint){.engine = claim.name,
                                        .v8_version = text_of(&at, engine, "v8Version", 1, 63),
                                        .flags = text_of(&at, engine, "flags", 0, 255),
                                        .build_id = text_of(&at, engine, "buildId", 0, 71),
                                        .arch = text_of(&at, engine, "arch", 1, 15)};
  (void)number_of(&at, engine, "cachedDataVersionTag", 0, UINT32_MAX, &tag);
  claim.fingerprint.cached_data_tag = (uint32_t)tag;
  (void)number_of(&at, engine, "packBytes", 0, (json_int_t)KILN__PACK_MAX_BYTES, &bytes);
  (void)digest_of(&at, engine, "indexSha256", &digest);
  check_fingerprint(&at, &claim);
  claim.usable = at.good;
  if (claim.name == NULL) return;
  for (size_t i = 0; i < v->engines_count; i++) {
    if (strcmp(v->engines[i].name, claim.name) == 0) {
      wrong(&at, "name", "twice");
      return;
    }
  }
  claim.selected = is_selected(v, &claim);
  v->engines[v->engines_count++] = claim;
}

static void check_engines(kiln__verifying *v) {
  const json_t *engines = json_object_get(v->manifest, "engines");
  if (!json_is_array(engines) || json_array_size(engines) > KILN_ENGINES_MAX) {
    kiln__problem(v, KILN__MANIFEST_NAME, "engines: not an array of up to %d", KILN_ENGINES_MAX);
    return;
  }
  for (size_t i = 0; i < json_array_size(engines); i++) {
    check_engine(v, json_array_get(engines, i), i);
  }
}

static kiln__engine_claim *find_engine(kiln__verifying *v, const char *name) {
  for (size_t i = 0; i < v->engines_count; i++) {
    if (strcmp(v->engines[i].name, name) == 0) return &v->engines[i];
  }
  return NULL;
}

/* ---- sources ------------------------------------------------------------------------- */

/* The length of a text in UTF-16 units; -1: it is not UTF-8, and what V8 makes of that is not known
 * here. */
static int64_t utf16_length(kiln_span text) {
  json_t *value = json_stringn(text.data, text.length); /* checks UTF-8 */
  int64_t units = 0;
  json_decref(value);
  if (value == NULL) return -1;
  for (size_t i = 0; i < text.length; i++) {
    unsigned char byte = (unsigned char)text.data[i];
    if ((byte & 0xC0U) != 0x80U) units += byte >= 0xF0U ? 2 : 1;
  }
  return units;
}

static bool has_digest(kiln_bytes *bytes, const kcc_digest *digest) {
  kcc_digest is;
  return kiln__source_digest(bytes, &is, /* err= */ NULL) == KCC_OK &&
         memcmp(&is, digest, sizeof(is)) == 0;
}

/* Reads the file below --sources, compares it, and learns how long it is to V8. */
static void check_source(place *at, kiln__claim *claim, const kcc_key_parts *parts,
                         const kcc_digest *digest) {
  char path[PATH_MAX];
  kiln_bytes *bytes, *wrapped = NULL;
  kiln_error error;
  int length = snprintf(path, sizeof(path), "%s/%s", at->v->sources, claim->file);
  if (length < 0 || (size_t)length >= sizeof(path)) {
    wrong(at, "file", "its path is too long");
    return;
  }
  if (kiln__cli_read(path, &bytes, &error) != KILN_OK) {
    wrong(at, "source", error.message);
    return;
  }
  at->v->checked_files++;
  if (kiln_bytes_get(bytes).length != claim->source_bytes || !has_digest(bytes, digest)) {
    wrong(at, "source", "has changed");
  } else if (claim->kind == KILN__CLI_WRAPPER) {
    wrapped = kiln__cli_wrap(bytes);
    if (wrapped == NULL) {
      at->v->no_memory = true;
    } else if (kiln_bytes_get(wrapped).length != parts->source_length ||
               !has_digest(wrapped, &parts->source)) {
      wrong(at, "compiledSha256", "not that of the source in its wrapper");
    } else {
      claim->utf16_length = utf16_length(kiln_bytes_get(wrapped));
    }
  } else {
    claim->utf16_length = utf16_length(kiln_bytes_get(bytes));
  }
  kiln_bytes_unref(wrapped);
  kiln_bytes_unref(bytes);
}

/* ---- entries ------------------------------------------------------------------------- */

/* Whether a name stays below the folder that it is for. */
static bool is_inside(const char *file) {
  if (*file == '/' || *file == '\0') return false;
  for (const char *at = file; at != NULL; at = strchr(at, '/')) {
    if (*at == '/') at++;
    size_t length = strcspn(at, "/");
    if (length == 0 || (length == 1 && *at == '.') || (length == 2 && memcmp(at, "..", 2) == 0)) {
      return false;
    }
  }
  return true;
}

static const kcc_span *commonjs_params(void) {
  static kcc_span params[KILN__CLI_COMMONJS_PARAMS];
  for (size_t i = 0; i < KILN__CLI_COMMONJS_PARAMS; i++) {
    const char *name = kiln__cli_commonjs_params[i];
    params[i] = (kcc_span){name, strlen(name)};
  }
  return params;
}

/* The parameters of kind function; *ret_params is to be freed. */
static void check_params(place *at, const json_t *entry, kcc_span **ret_params, size_t *ret_count) {
  const json_t *params = json_object_get(entry, "params");
  size_t count = json_array_size(params);
  *ret_params = NULL;
  if (!json_is_array(params) || count > KILN_PARAMS_MAX) {
    wrong(at, "params", "missing, no array, or too many");
    return;
  }
  *ret_params = calloc(count + 1, sizeof(**ret_params));
  if (*ret_params == NULL) {
    at->v->no_memory = true;
    at->good = false;
    return;
  }
  for (size_t i = 0; i < count; i++) {
    const json_t *name = json_array_get(params, i);
    if (!json_is_string(name)) wrong(at, "params", "not all are strings");
    (*ret_params)[i] = (kcc_span){json_string_value(name), json_string_length(name)};
  }
  *ret_count = count;
}

static bool check_offsets(place *at, const json_t *entry, kiln__cli_kind kind,
                          kcc_key_parts *parts) {
  json_int_t line, column;
  if (!number_of(at, entry, "lineOffset", INT32_MIN, INT32_MAX, &line) ||
      !number_of(at, entry, "columnOffset", INT32_MIN, INT32_MAX, &column)) {
    return false;
  }
  parts->line_offset = (int32_t)line;
  parts->column_offset = (int32_t)column;
  if (kind == KILN__CLI_WRAPPER && (line != KILN__CLI_WRAPPER_LINE_OFFSET || column != 0)) {
    wrong(at, "lineOffset", "not that of a wrapper");
  }
  return true;
}

static bool add_claim(kiln__engine_claim *engine, const kiln__claim *claim) {
  if (engine->count == engine->capacity) {
    size_t capacity = engine->capacity == 0 ? 64 : 2 * engine->capacity;
    kiln__claim *grown = reallocarray(engine->claims, capacity, sizeof(*grown));
    if (grown == NULL) return false;
    engine->claims = grown;
    engine->capacity = capacity;
  }
  engine->claims[engine->count++] = *claim;
  return true;
}

static void check_times(place *at, const json_t *blob) {
  const json_t *times = json_object_get(blob, "times");
  const char *name;
  json_t *value;
  if (!json_is_object(times)) {
    wrong(at, "times", "missing, or no object");
    return;
  }
  json_object_foreach((json_t *)(uintptr_t)times, name, value) {
    if (!json_is_number(value) || json_number_value(value) < 0) wrong(at, "times", "not times");
  }
}

static void check_cache_file(place *at, const json_t *blob, kiln__claim *claim,
                             const char *engine) {
  char wanted[KILN_NAME_MAX + 64];
  claim->has_file = json_object_get(blob, "cacheFile") != NULL;
  if (!claim->has_file) return;
  const char *file = text_of(at, blob, "cacheFile", 1, sizeof(wanted) - 1);
  (void)snprintf(wanted, sizeof(wanted), "%s/%s.cache", engine, claim->file);
  if (file != NULL && strcmp(file, wanted) != 0) wrong(at, "cacheFile", "not engine/file.cache");
}

/* One blob of an entry: its members, and its key anew from all that the key is made of. */
static void check_blob(place *at, const json_t *blob, const kiln__claim *entry,
                       const kcc_key_parts *common) {
  kiln__verifying *v = at->v;
  kiln__claim claim = *entry;
  kcc_key_parts parts = *common;
  kcc_digest key, digest;
  json_int_t offset = 0, bytes = 0;
  const char *name = text_of(at, blob, "engine", 1, 31);
  const char *said = digest_of(at, blob, "key", &key);
  claim.mode = text_of(at, blob, "mode", 1, 15);
  claim.sha256 = digest_of(at, blob, "blobSha256", &digest);
  bool sized = number_of(at, blob, "offset", 0, (json_int_t)KILN__PACK_MAX_BYTES, &offset) &&
               number_of(at, blob, "blobBytes", 1, (json_int_t)KILN__CLI_SOURCE_MAX, &bytes);
  check_times(at, blob);
  kiln__engine_claim *engine = name == NULL ? NULL : find_engine(v, name);
  if (name != NULL && engine == NULL) wrong(at, "engine", "not among the engines");
  if (claim.mode != NULL && !kcc_mode_parse(claim.mode, &parts.mode)) {
    wrong(at, "mode", "unknown");
    claim.mode = NULL;
  }
  bool has_workload = json_object_get(blob, "workload") != NULL;
  if (claim.mode != NULL && has_workload != (parts.mode == KCC_WORKLOAD)) {
    wrong(at, "workload", has_workload ? "only mode workload has one" : "missing");
  }
  if (has_workload) (void)digest_of(at, blob, "workload", &parts.workload);
  const char *command = json_string_value(json_object_get(blob, "exercise"));
  if (command != NULL && has_workload) {
    char hex[KCC_HEX_BYTES];
    const char *workload = json_string_value(json_object_get(blob, "workload"));
    if (workload == NULL || !kiln__manifest_sha256(command, strlen(command), hex) ||
        strcmp(hex, workload) != 0) {
      wrong(at, "exercise", "workload is not its SHA-256");
    }
  }
  if (engine == NULL || said == NULL || claim.mode == NULL || claim.sha256 == NULL || !sized) {
    return;
  }
  check_cache_file(at, blob, &claim, name);
  claim.offset = (uint64_t)offset;
  claim.bytes = (uint64_t)bytes;
  parts.fingerprint = engine->fingerprint;
  kcc_digest is;
  if (kcc_key_of(&parts, &is, /* err= */ NULL) != KCC_OK) {
    v->no_memory = true;
  } else if (memcmp(&is, &key, sizeof(is)) != 0) {
    wrong(at, "key", "not that of what it is said to be made of");
  }
  if (!add_claim(engine, &claim)) v->no_memory = true;
  v->checked_blobs += engine->selected;
}

static void check_blobs(place *at, const json_t *entry, const kiln__claim *claim,
                        const kcc_key_parts *parts) {
  const json_t *blobs = json_object_get(entry, "blobs");
  size_t count = json_array_size(blobs);
  char where[WHERE_BYTES];
  memcpy(where, at->where, sizeof(where));
  if (!json_is_array(blobs) || count == 0 || count > KILN_ENGINES_MAX) {
    wrong(at, "blobs", "not an array of 1 to 32");
    return;
  }
  for (size_t i = 0; i < count; i++) {
    const json_t *blob = json_array_get(blobs, i);
    (void)snprintf(at->where, sizeof(at->where), "%.100s blobs[%zu]", where, i);
    if (json_is_object(blob)) {
      check_blob(at, blob, claim, parts);
    } else {
      kiln__problem(at->v, at->where, "not an object");
    }
  }
}

static void check_entry(kiln__verifying *v, const json_t *entry, size_t index) {
  place at = {.v = v, .good = true};
  kiln__claim claim = {.entry = entry, .utf16_length = -1};
  kcc_key_parts parts = {0};
  kcc_digest digest;
  json_int_t bytes = 0, compiled = 0;
  (void)snprintf(at.where, sizeof(at.where), "entries[%zu]", index);
  if (!json_is_object(entry)) {
    kiln__problem(v, at.where, "not an object");
    return;
  }
  claim.file = text_of(&at, entry, "file", 1, KILN_NAME_MAX);
  if (claim.file != NULL && !is_inside(claim.file)) {
    wrong(&at, "file", "not a path below the root");
    claim.file = NULL;
  }
  const char *filename = text_of(&at, entry, "filename", 1, KILN_NAME_MAX);
  const char *kind = text_of(&at, entry, "kind", 1, 15);
  if (kind != NULL && (!kiln__cli_kind_parse(kind, &claim.kind) || claim.kind == KILN__CLI_AUTO)) {
    wrong(&at, "kind", "unknown");
    kind = NULL;
  }
  const char *sha256 = digest_of(&at, entry, "sourceSha256", &digest);
  bool sized = number_of(&at, entry, "sourceBytes", 0, (json_int_t)KILN__CLI_SOURCE_MAX, &bytes);
  if (claim.file == NULL || filename == NULL || kind == NULL || sha256 == NULL || !sized ||
      !check_offsets(&at, entry, claim.kind, &parts)) {
    return;
  }
  claim.source_bytes = claim.compiled_bytes = (uint64_t)bytes;
  parts.source = digest;
  parts.source_length = (uint64_t)bytes;
  parts.filename = (kcc_span){filename, strlen(filename)};
  kcc_span *params = NULL;
  if (claim.kind == KILN__CLI_MODULE) parts.kind = KCC_MODULE;
  if (claim.kind == KILN__CLI_COMMONJS || claim.kind == KILN__CLI_FUNCTION) {
    parts.kind = KCC_FUNCTION;
    parts.params = commonjs_params();
    parts.params_count = KILN__CLI_COMMONJS_PARAMS;
  }
  if (claim.kind == KILN__CLI_FUNCTION) {
    parts.params_count = 0;
    check_params(&at, entry, &params, &parts.params_count);
    parts.params = params;
  } else if (json_object_get(entry, "params") != NULL) {
    wrong(&at, "params", "only a function has them");
  }
  if (claim.kind == KILN__CLI_WRAPPER) {
    (void)digest_of(&at, entry, "compiledSha256", &parts.source);
    (void)number_of(&at, entry, "compiledBytes", bytes, (json_int_t)(KILN__CLI_SOURCE_MAX + 4096),
                    &compiled);
    parts.source_length = claim.compiled_bytes = (uint64_t)compiled;
  }
  char quoted[KILN__QUOTE_BYTES];
  (void)snprintf(at.where, sizeof(at.where), "entries[%zu] %.96s", index,
                 kiln__quote(kiln_span_from(claim.file), quoted));
  if (v->sources != NULL) check_source(&at, &claim, &parts, &digest);
  check_blobs(&at, entry, &claim, &parts);
  free(params);
}

/* No two entries may be of one identity. */
static void check_identities(kiln__verifying *v, const json_t *entries) {
  json_t *seen = json_object();
  for (size_t i = 0; seen != NULL && i < json_array_size(entries); i++) {
    char *identity = kiln__manifest_identity(json_array_get(entries, i));
    if (identity != NULL && json_object_get(seen, identity) != NULL) {
      char where[WHERE_BYTES];
      (void)snprintf(where, sizeof(where), "entries[%zu]", i);
      kiln__problem(v, where, "twice");
    }
    if (identity != NULL) (void)json_object_set_new(seen, identity, json_true());
    free(identity);
  }
  json_decref(seen);
}

void kiln__verify_fields(kiln__verifying *v) {
  place at = {.v = v, .good = true, .where = KILN__MANIFEST_NAME};
  (void)text_of(&at, v->manifest, "kiln", 1, 31);
  (void)text_of(&at, v->manifest, "root", 1, PATH_MAX);
  const char *created = text_of(&at, v->manifest, "created", 1, 31);
  unsigned parts[6];
  char end;
  if (created != NULL && (strlen(created) != 20 ||
                          sscanf(created, "%4u-%2u-%2uT%2u:%2u:%2u%c", &parts[0], &parts[1],
                                 &parts[2], &parts[3], &parts[4], &parts[5], &end) != 7 ||
                          end != 'Z')) {
    wrong(&at, "created", "not a time");
  }
  check_engines(v);
  const json_t *entries = json_object_get(v->manifest, "entries");
  if (!json_is_array(entries)) {
    wrong(&at, "entries", "missing, or no array");
    return;
  }
  check_identities(v, entries);
  for (size_t i = 0; i < json_array_size(entries) && !v->no_memory; i++) {
    check_entry(v, json_array_get(entries, i), i);
  }
}
