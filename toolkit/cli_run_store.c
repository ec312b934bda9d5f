/* SPDX-License-Identifier: MIT
 *
 * cli_run_store.c: the store's part in `kiln run`. Keys are made as the service makes them, so that
 * what `kiln precompile` baked is found.
 */
#include <string.h>

#include "toolkit/cli_run.h"
#include "toolkit/service.h"

static const char *mode_text(const kiln__run_cache *cache) {
  return kcc_mode_name(cache->parts.mode);
}

static void say(const kiln__run_cache *cache, const char *what) {
  if (!cache->verbose) return;
  char key[KCC_HEX_BYTES];
  kcc_digest_format(&cache->key, key);
  fprintf(stderr, "kiln run: cache %s (%s, %s)\n", what, mode_text(cache), key);
}

static void complain_without(const kiln__run_cache *cache, const kcc_error *error) {
  kiln__cli_complain(cache->self, "%s, running without cache", error->message);
}

static bool fill_parts(kiln__run_cache *cache, kiln__cli_kind kind, kiln_span source,
                       const char *filename) {
  kv8_engine_info engine;
  kcc_key_parts *parts = &cache->parts;
  if (kv8_engine_get_info(&engine, /* err= */ NULL) != KV8_OK) return false;
  kiln__engine_name(engine.cached_data_tag, engine.v8_version, cache->engine);
  parts->fingerprint = (kcc_fingerprint){.engine = cache->engine,
                                         .v8_version = engine.v8_version,
                                         .cached_data_tag = engine.cached_data_tag,
                                         .flags = engine.flags,
                                         .build_id = engine.build_id,
                                         .arch = engine.arch};
  parts->kind = kind == KILN__CLI_MODULE     ? KCC_MODULE
                : kind == KILN__CLI_COMMONJS ? KCC_FUNCTION
                                             : KCC_SCRIPT;
  if (parts->kind == KCC_FUNCTION) {
    for (size_t i = 0; i < KILN__CLI_COMMONJS_PARAMS; i++) {
      cache->params[i] =
          (kcc_span){kiln__cli_commonjs_params[i], strlen(kiln__cli_commonjs_params[i])};
    }
    parts->params = cache->params;
    parts->params_count = KILN__CLI_COMMONJS_PARAMS;
  }
  parts->source_length = source.length;
  parts->filename = (kcc_span){filename, strlen(filename)};
  return kcc_digest_of(kiln__kcc_span(source), &parts->source, /* err= */ NULL) == KCC_OK;
}

void kiln__run_cache_find(kiln__run_cache *cache, const char *store_path, kiln__cli_kind kind,
                          kiln_span source, const char *filename) {
  static const kcc_mode preference[] = {KCC_WARM, KCC_LAZY, KCC_EAGER};
  kcc_error error;
  if (source.length < KILN_RUN_CACHE_MIN || !fill_parts(cache, kind, source, filename)) return;
  kcc_store_options options = KCC_STORE_OPTIONS_INIT;
  if (kcc_store_open(store_path, &options, &cache->store, &error) != KCC_OK) {
    complain_without(cache, &error);
    return;
  }
  for (size_t i = 0; i < sizeof(preference) / sizeof(preference[0]); i++) {
    cache->parts.mode = preference[i];
    kcc_status status = kcc_key_of(&cache->parts, &cache->key, &error);
    if (status == KCC_OK) {
      status = kcc_store_get(cache->store, &cache->key, &cache->parts.fingerprint, &cache->entry,
                             &error);
    }
    if (status == KCC_OK) {
      cache->found = true;
      say(cache, "hit");
      return;
    }
    if (status != KCC_MISS) {
      complain_without(cache, &error);
      kcc_store_close(cache->store);
      cache->store = NULL;
      return;
    }
  }
  if (cache->verbose) fputs("kiln run: cache miss\n", stderr);
}

void kiln__run_cache_rejected(kiln__run_cache *cache) {
  say(cache, "rejected by the engine");
  (void)kcc_store_remove(cache->store, &cache->key, /* err= */ NULL);
  cache->found = false;
}

void kiln__run_cache_keep(kiln__run_cache *cache, kv8_blob blob) {
  kcc_error error;
  cache->parts.mode = KCC_WARM;
  if (kcc_key_of(&cache->parts, &cache->key, &error) == KCC_OK) {
    kcc_put put = {.key = cache->key,
                   .fingerprint = cache->parts.fingerprint,
                   .source = cache->parts.source,
                   .source_length = cache->parts.source_length,
                   .kind = cache->parts.kind,
                   .mode = KCC_WARM,
                   .filename = cache->parts.filename,
                   .blob = {blob.data, blob.length}};
    if (kcc_store_put(cache->store, &put, &error) == KCC_OK) {
      say(cache, "stored");
      return;
    }
  }
  kiln__cli_complain(cache->self, "%s, nothing kept", error.message);
}

void kiln__run_cache_release(kiln__run_cache *cache) {
  if (cache->found) kcc_entry_free(&cache->entry);
  kcc_store_close(cache->store);
}
