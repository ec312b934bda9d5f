/* SPDX-License-Identifier: MIT
 *
 * store.c: the store's part in `kiln run`: for each file that is big enough, a cache that an
 * earlier run or `kiln precompile` left. Keys are made as the service makes them, so that what
 * precompile baked is found. The store is opened when the first such file is compiled.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache/kcc.h"
#include "toolkit/cli.h"
#include "toolkit/run/command.h"
#include "toolkit/run/run.h"
#include "toolkit/service.h"

struct kiln__run_cached {
  kiln__run_cached *next;
  kcc_key_parts parts; /* lends from the store and from the two below */
  kcc_span params[KILN__CLI_COMMONJS_PARAMS];
  char *filename;
  kcc_digest key; /* of the entry found */
  kcc_entry entry;
  bool found;
  kv8_function *function; /* to make a cache of when the run ends */
  kv8_script *script;
  kv8_module *module;
};

struct kiln__run_store {
  kcc_store *store; /* NULL: it could not be opened, or failed */
  kcc_fingerprint fingerprint;
  char engine[32];
  kiln__run_cached *files;
};

static void say(const kiln__run *run, const kiln__run_cached *cached, const char *what) {
  if (!run->options.verbose) return;
  char key[KCC_HEX_BYTES];
  kcc_digest_format(&cached->key, key);
  fprintf(stderr, "kiln run: cache %s (%s, %s)\n", what, kcc_mode_name(cached->parts.mode), key);
}

static void give_up(kiln__run_store *store, const kcc_error *error) {
  kiln__cli_complain(&kiln__run_command, "%s, running without cache", error->message);
  if (store->store != NULL) kcc_store_close(store->store);
  store->store = NULL;
}

static kiln__run_store *open_store(kiln__run *run) {
  if (run->store != NULL) return run->store;
  kcc_error error;
  char path[PATH_MAX];
  kv8_engine_info engine;
  kiln__run_store *store = calloc(1, sizeof(*store));
  if (store == NULL) return NULL;
  run->store = store;
  if (kv8_engine_get_info(&engine, /* err= */ NULL) != KV8_OK ||
      !kiln__cli_store_path(&kiln__run_command, run->options.store, path, sizeof(path))) {
    return store;
  }
  kiln__engine_name(engine.v8_version, engine.flags, store->engine);
  store->fingerprint = (kcc_fingerprint){.engine = store->engine,
                                         .v8_version = engine.v8_version,
                                         .cached_data_tag = engine.cached_data_tag,
                                         .flags = engine.flags,
                                         .build_id = engine.build_id,
                                         .arch = engine.arch};
  kcc_store_options options = KCC_STORE_OPTIONS_INIT;
  if (kcc_store_open(path, &options, &store->store, &error) != KCC_OK) {
    store->store = NULL;
    give_up(store, &error);
  }
  return store;
}

static bool fill_parts(kiln__run_store *store, kiln__run_cached *cached, int kind,
                       kv8_span source) {
  kcc_key_parts *parts = &cached->parts;
  parts->fingerprint = store->fingerprint;
  parts->kind = kind == KILN__CLI_MODULE     ? KCC_MODULE
                : kind == KILN__CLI_COMMONJS ? KCC_FUNCTION
                                             : KCC_SCRIPT;
  if (parts->kind == KCC_FUNCTION) {
    for (size_t i = 0; i < KILN__CLI_COMMONJS_PARAMS; i++) {
      const char *name = kiln__cli_commonjs_params[i];
      cached->params[i] = (kcc_span){name, strlen(name)};
    }
    parts->params = cached->params;
    parts->params_count = KILN__CLI_COMMONJS_PARAMS;
  }
  parts->source_length = source.length;
  parts->filename = (kcc_span){cached->filename, strlen(cached->filename)};
  return kcc_digest_of((kcc_span){source.data, source.length}, &parts->source,
                       /* err= */ NULL) == KCC_OK;
}

/* Finds the one made warm, else lazy, else eager. */
static void look_up(kiln__run *run, kiln__run_store *store, kiln__run_cached *cached) {
  static const kcc_mode preference[] = {KCC_WARM, KCC_LAZY, KCC_EAGER};
  kcc_error error;
  for (size_t i = 0; i < sizeof(preference) / sizeof(preference[0]); i++) {
    cached->parts.mode = preference[i];
    kcc_status status = kcc_key_of(&cached->parts, &cached->key, &error);
    if (status == KCC_OK) {
      status = kcc_store_get(store->store, &cached->key, &cached->parts.fingerprint, &cached->entry,
                             &error);
    }
    if (status == KCC_OK) {
      cached->found = true;
      say(run, cached, "hit");
      return;
    }
    if (status != KCC_MISS) {
      give_up(store, &error);
      return;
    }
  }
  if (run->options.verbose) fputs("kiln run: cache miss\n", stderr);
}

kiln__run_cached *kiln__run_store_find(kiln__run *run, int kind, kv8_span source,
                                       const char *filename) {
  if (run->options.no_store || source.length < KILN_RUN_CACHE_MIN) return NULL;
  kiln__run_store *store = open_store(run);
  if (store == NULL || store->store == NULL) return NULL;
  kiln__run_cached *cached = calloc(1, sizeof(*cached));
  if (cached == NULL) return NULL;
  cached->next = store->files;
  store->files = cached;
  cached->filename = strdup(filename);
  if (cached->filename != NULL && fill_parts(store, cached, kind, source)) {
    look_up(run, store, cached);
  }
  return cached;
}

kv8_span kiln__run_cached_data(const kiln__run_cached *cached) {
  if (cached == NULL || !cached->found) return (kv8_span){NULL, 0};
  return (kv8_span){cached->entry.blob.data, cached->entry.blob.length};
}

void kiln__run_cached_rejected(kiln__run *run, kiln__run_cached *cached) {
  say(run, cached, "rejected by the engine");
  (void)kcc_store_remove(run->store->store, &cached->key, /* err= */ NULL);
  kcc_entry_free(&cached->entry);
  cached->found = false;
}

void kiln__run_cached_function(kiln__run_cached *cached, kv8_function *function) {
  cached->function = function;
}

void kiln__run_cached_script(kiln__run_cached *cached, kv8_script *script) {
  cached->script = script;
}

void kiln__run_cached_module(kiln__run_cached *cached, kv8_module *module) {
  cached->module = module;
}

static kv8_status make_blob(const kiln__run_cached *cached, kv8_blob *ret_blob) {
  if (cached->function != NULL) {
    return kv8_function_create_cached_data(cached->function, ret_blob, /* err= */ NULL);
  }
  if (cached->script != NULL) {
    return kv8_script_create_cached_data(cached->script, ret_blob, /* err= */ NULL);
  }
  if (cached->module != NULL) {
    return kv8_module_create_warm_cached_data(cached->module, ret_blob, /* err= */ NULL);
  }
  return KV8_ESTATE;
}

static void keep(kiln__run *run, kiln__run_cached *cached) {
  kcc_error error;
  kv8_blob blob = {NULL, 0};
  if (make_blob(cached, &blob) != KV8_OK) return;
  cached->parts.mode = KCC_WARM;
  kcc_put put = {.parts = cached->parts, .blob = {blob.data, blob.length}};
  if (kcc_store_put(run->store->store, &put, &cached->key, &error) == KCC_OK) {
    say(run, cached, "stored");
  } else {
    kiln__cli_complain(&kiln__run_command, "%s, nothing kept", error.message);
  }
  kv8_blob_free(&blob);
}

void kiln__run_store_end(kiln__run *run, bool keeps) {
  kiln__run_store *store = run->store;
  if (store == NULL) return;
  for (kiln__run_cached *at = store->files; at != NULL;) {
    kiln__run_cached *next = at->next;
    if (keeps && store->store != NULL) keep(run, at);
    kv8_function_free(at->function);
    kv8_script_free(at->script);
    if (at->found) kcc_entry_free(&at->entry);
    free(at->filename);
    free(at);
    at = next;
  }
  if (store->store != NULL) kcc_store_close(store->store);
  free(store);
  run->store = NULL;
}
