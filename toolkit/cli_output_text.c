/* SPDX-License-Identifier: MIT
 *
 * cli_output_text.c: the texts of a baked folder: manifest and indexes.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "toolkit/cli_output.h"
#include "toolkit/status.h"

static int line_offset(kiln__cli_kind kind) {
  return kind == KILN__CLI_WRAPPER ? KILN__CLI_WRAPPER_LINE_OFFSET : 0;
}

static kcc_mode mode_of(const kiln__item *item) {
  return item->exercise > 0 ? KCC_WORKLOAD : (kcc_mode)item->baking->mode;
}

static json_t *engine_json(const kiln__baking *baking, size_t engine) {
  return kiln__manifest_engine(&baking->engines[engine], baking->node_versions[engine]);
}

/* ---- an index ------------------------------------------------------------------------ */

static int by_name(const void *a, const void *b) {
  const kiln__item *x = *(kiln__item *const *)a, *y = *(kiln__item *const *)b;
  return strcmp(x->source->name, y->source->name);
}

static json_t *index_entry(const kiln__item *item) {
  const kiln__source *source = item->source;
  return json_pack("[s, s, s, s, I, I, I, s, s, i, i]", source->name,
                   kiln__cli_kind_name(item->kind), kcc_mode_name(mode_of(item)), source->sha256,
                   (json_int_t)source->length, (json_int_t)item->offset,
                   (json_int_t)item->blob_length, item->blob_sha256, source->file->absolute,
                   line_offset(item->kind), /* columnOffset */ 0);
}

/* The good items of an engine, ordered by their files' names. */
static json_t *index_entries(const kiln__baking *baking, size_t engine) {
  size_t count = 0;
  kiln__item **items = calloc(baking->files.count + 1, sizeof(kiln__item *));
  json_t *entries = json_array();
  if (items == NULL || entries == NULL) {
    free(items);
    json_decref(entries);
    return NULL;
  }
  for (size_t i = engine; i < baking->items_count; i += baking->engines_count) {
    if (baking->items[i].failure == NULL) items[count++] = &baking->items[i];
  }
  qsort(items, count, sizeof(kiln__item *), by_name);
  for (size_t i = 0; entries != NULL && i < count; i++) {
    if (json_array_append_new(entries, index_entry(items[i])) != 0) {
      json_decref(entries);
      entries = NULL;
    }
  }
  free(items);
  return entries;
}

/* The pack's name changes with its contents: the entries have every blob's place and digest. */
static bool set_pack_name(kiln__pack *pack, const json_t *entries) {
  char hex[KCC_HEX_BYTES];
  char *text = json_dumps(entries, JSON_COMPACT);
  bool good = text != NULL && kiln__manifest_sha256(text, strlen(text), hex);
  free(text);
  if (good) {
    (void)snprintf(pack->name, sizeof(pack->name), KILN__PACK_PREFIX "%.*s", KILN__PACK_HEX, hex);
  }
  return good;
}

/* Head and body; NULL on out of memory. */
static char *index_text(const json_t *index, char ret_sha256[KCC_HEX_BYTES]) {
  char hex[KCC_HEX_BYTES], *text = NULL;
  char *body = json_dumps(index, JSON_COMPACT);
  if (body != NULL && kiln__manifest_sha256(body, strlen(body), hex)) {
    size_t size = KILN__INDEX_HEAD_BYTES + strlen(body) + 1;
    text = malloc(size);
    if (text != NULL) {
      (void)snprintf(text, size, KILN__INDEX_HEAD "%s\n%s", hex, body);
      if (!kiln__manifest_sha256(text, size - 1, ret_sha256)) {
        free(text);
        text = NULL;
      }
    }
  }
  free(body);
  return text;
}

char *kiln__output_index(const kiln__baking *baking, size_t engine) {
  kiln__pack *pack = &baking->output->packs[engine];
  char *text = NULL;
  json_t *entries = index_entries(baking, engine);
  if (entries != NULL && set_pack_name(pack, entries)) {
    json_t *index = json_pack("{s:o, s:o, s:s, s:I, s:O}", "engine", engine_json(baking, engine),
                              "root", kiln__cli_json_text(baking->output->root), "pack", pack->name,
                              "packBytes", (json_int_t)pack->end, "entries", entries);
    if (index != NULL) text = index_text(index, pack->index_sha256);
    json_decref(index);
  }
  json_decref(entries);
  if (text == NULL) kiln__cli_complain(baking->self, "out of memory");
  return text;
}

/* ---- the manifest: entries ----------------------------------------------------------- */

static json_t *blob_json(const kiln__item *item) {
  const kiln__baking *baking = item->baking;
  json_t *blob =
      json_pack("{s:s, s:s, s:s, s:I, s:I, s:s, s:o}", "engine", kiln__item_engine(item), "key",
                item->key, "mode", kcc_mode_name(mode_of(item)), "offset", (json_int_t)item->offset,
                "blobBytes", (json_int_t)item->blob_length, "blobSha256", item->blob_sha256,
                "times", kiln__times_json(&item->times));
  bool good = blob != NULL;
  if (good && item->exercise > 0) {
    const char *command = baking->exercises[item->exercise - 1];
    char hex[KCC_HEX_BYTES];
    good = kiln__manifest_sha256(command, strlen(command), hex) &&
           json_object_set_new(blob, "workload", json_string(hex)) == 0 &&
           json_object_set_new(blob, "exercise", kiln__cli_json_text(command)) == 0;
  } else if (good && baking->mode == KILN_WORKLOAD) {
    good = json_object_set_new(blob, "workload", json_string(baking->workload_sha256)) == 0;
  }
  if (good && baking->separate_files) {
    good = json_object_set_new(
               blob, "cacheFile",
               json_sprintf("%s/%s.cache", kiln__item_engine(item), item->source->name)) == 0;
  }
  if (good) return blob;
  json_decref(blob);
  return NULL;
}

static json_t *params_json(const kiln__baking *baking) {
  json_t *params = json_array();
  for (size_t i = 0; params != NULL && i < baking->params_count; i++) {
    kiln_span name = baking->params[i];
    if (json_array_append_new(params, json_stringn(name.data, name.length)) != 0) {
      json_decref(params);
      params = NULL;
    }
  }
  return params;
}

/* What engines have in common. */
static json_t *entry_json(const kiln__item *item) {
  const kiln__source *source = item->source;
  json_t *entry =
      json_pack("{s:s, s:s, s:s, s:i, s:i, s:s, s:I, s:[]}", "file", source->name, "filename",
                source->file->absolute, "kind", kiln__cli_kind_name(item->kind), "lineOffset",
                line_offset(item->kind), "columnOffset", 0, "sourceSha256", source->sha256,
                "sourceBytes", (json_int_t)source->length, "blobs");
  bool good = entry != NULL;
  if (good && item->kind == KILN__CLI_WRAPPER) {
    good = json_object_set_new(entry, "compiledSha256", json_string(source->wrapped_sha256)) == 0 &&
           json_object_set_new(entry, "compiledBytes",
                               json_integer((json_int_t)source->wrapped_length)) == 0;
  }
  if (good && item->kind == KILN__CLI_FUNCTION) {
    good = json_object_set_new(entry, "params", params_json(item->baking)) == 0;
  }
  if (good) return entry;
  json_decref(entry);
  return NULL;
}

/* Adds a blob to the entry of the same identity; makes that if it is the first. Takes both. */
static bool add_blob(json_t *entries, json_t *entry, json_t *blob) {
  char *identity = entry == NULL ? NULL : kiln__manifest_identity(entry);
  json_t *there = identity == NULL ? NULL : json_object_get(entries, identity);
  bool good = identity != NULL && blob != NULL;
  if (good && there == NULL) {
    there = entry;
    good = json_object_set(entries, identity, entry) == 0;
  }
  good = good && json_array_append(json_object_get(there, "blobs"), blob) == 0;
  free(identity);
  json_decref(entry);
  json_decref(blob);
  return good;
}

static bool is_renewed(const kiln__baking *baking, const char *name) {
  for (size_t i = 0; name != NULL && i < baking->engines_count; i++) {
    if (strcmp(baking->engines[i].name, name) == 0) return baking->output->packs[i].renewed;
  }
  return false;
}

/* Takes over what a manifest has of engines that are not renewed. */
static bool add_old_entries(const kiln__baking *baking, const json_t *old, json_t *entries) {
  size_t i, j;
  json_t *entry, *blob;
  json_array_foreach(json_object_get(old, "entries"), i, entry) {
    json_array_foreach(json_object_get(entry, "blobs"), j, blob) {
      if (is_renewed(baking, json_string_value(json_object_get(blob, "engine")))) continue;
      json_t *copy = json_copy(entry);
      if (copy == NULL || json_object_set_new(copy, "blobs", json_array()) != 0 ||
          !add_blob(entries, copy, json_incref(blob))) {
        return false;
      }
    }
  }
  return true;
}

static int by_key(const void *a, const void *b) {
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The values of an object, ordered by their keys; which are identities and begin with the file. */
static json_t *sorted_values(json_t *object) {
  size_t count = 0;
  const char **keys = calloc(json_object_size(object) + 1, sizeof(*keys));
  json_t *values = json_array();
  const char *key;
  json_t *value;
  if (keys == NULL || values == NULL) {
    free((void *)keys);
    json_decref(values);
    return NULL;
  }
  json_object_foreach(object, key, value) keys[count++] = key;
  qsort((void *)keys, count, sizeof(*keys), by_key);
  for (size_t i = 0; values != NULL && i < count; i++) {
    if (json_array_append(values, json_object_get(object, keys[i])) != 0) {
      json_decref(values);
      values = NULL;
    }
  }
  free((void *)keys);
  return values;
}

static json_t *all_entries(const kiln__baking *baking, const json_t *old) {
  json_t *entries = json_object();
  bool good = entries != NULL && add_old_entries(baking, old, entries);
  for (size_t i = 0; good && i < baking->items_count; i++) {
    const kiln__item *item = &baking->items[i];
    if (item->failure != NULL) continue;
    good = add_blob(entries, entry_json(item), blob_json(item));
  }
  json_t *sorted = good ? sorted_values(entries) : NULL;
  json_decref(entries);
  return sorted;
}

/* ---- the manifest -------------------------------------------------------------------- */

static json_t *renewed_engine(const kiln__baking *baking, size_t i) {
  const kiln__pack *pack = &baking->output->packs[i];
  json_t *engine = engine_json(baking, i);
  if (engine != NULL &&
      json_object_set_new(engine, "directory", json_string(baking->engines[i].name)) == 0 &&
      json_object_set_new(engine, "pack", json_string(pack->name)) == 0 &&
      json_object_set_new(engine, "packBytes", json_integer((json_int_t)pack->end)) == 0 &&
      json_object_set_new(engine, "indexSha256", json_string(pack->index_sha256)) == 0) {
    return engine;
  }
  json_decref(engine);
  return NULL;
}

static json_t *all_engines(const kiln__baking *baking, const json_t *old) {
  json_t *engines = json_object();
  size_t j;
  json_t *engine;
  bool good = engines != NULL;
  json_array_foreach(json_object_get(old, "engines"), j, engine) {
    const char *name = json_string_value(json_object_get(engine, "name"));
    if (name == NULL || is_renewed(baking, name)) continue;
    good = good && json_object_set(engines, name, engine) == 0;
  }
  for (size_t i = 0; good && i < baking->engines_count; i++) {
    if (!baking->output->packs[i].renewed) continue;
    good = json_object_set_new(engines, baking->engines[i].name, renewed_engine(baking, i)) == 0;
  }
  json_t *sorted = good ? sorted_values(engines) : NULL;
  json_decref(engines);
  return sorted;
}

static void format_now(char ret_text[32]) {
  struct tm parts;
  time_t now = time(/* ret_time= */ NULL);
  if (gmtime_r(&now, &parts) == NULL || strftime(ret_text, 32, "%Y-%m-%dT%H:%M:%SZ", &parts) == 0) {
    memcpy(ret_text, "1970-01-01T00:00:00Z", sizeof("1970-01-01T00:00:00Z"));
  }
}

char *kiln__output_manifest(const kiln__baking *baking, const json_t *old) {
  char created[32], hex[KCC_HEX_BYTES], *text = NULL;
  format_now(created);
  json_t *manifest =
      json_pack("{s:i, s:s, s:s, s:o, s:o, s:o}", "version", KILN__MANIFEST_VERSION, "kiln",
                KILN_VERSION, "created", created, "root", kiln__cli_json_text(baking->output->root),
                "engines", all_engines(baking, old), "entries", all_entries(baking, old));
  if (manifest != NULL && kiln__manifest_digest(manifest, hex, /* err= */ NULL) == KILN_OK &&
      json_object_set_new(manifest, "sha256", json_string(hex)) == 0) {
    text = json_dumps(manifest, JSON_INDENT(2));
  }
  json_decref(manifest);
  if (text == NULL) {
    kiln__cli_complain(baking->self, "out of memory");
  } else if (strlen(text) > KILN__MANIFEST_MAX_BYTES) {
    kiln__cli_complain(baking->self, "the manifest would be %zu bytes, limit %zu", strlen(text),
                       KILN__MANIFEST_MAX_BYTES);
    free(text);
    text = NULL;
  }
  return text;
}
