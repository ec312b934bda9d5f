/* SPDX-License-Identifier: MIT
 *
 * service_engines.c: the engines of a kiln: opening a pool for each, and finding the one that a
 * request means.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "toolkit/engines.h"
#include "toolkit/service.h"
#include "toolkit/status.h"

/* The V8 and the flags that Node 18.20 runs with: where both are an engine's, too, so is the tag of
 * its cached data. That names the processor's abilities besides, and is no constant. */
#define NODE_18_V8 "10.2.154.26-"
#define NODE_18_FLAGS "--harmony-import-assertions --harmony-import-attributes"
/* libv8's engine: what its pool calls it until it has said what it is, and what specs call it. */
#define DEFAULT_NAME "node-18"
#define DEFAULT_SPEC "default"

bool kiln_engine_is_ready(const kiln *k, size_t index) {
  return index < k->engines_count && kiln_pool_is_ready(k->engines[index].pool);
}

void kiln__engine_name(const char *v8_version, const char *flags, char ret_name[32]) {
  if (strncmp(v8_version, NODE_18_V8, strlen(NODE_18_V8)) == 0 &&
      strcmp(flags, NODE_18_FLAGS) == 0) {
    (void)snprintf(ret_name, 32, DEFAULT_NAME);
  } else {
    (void)snprintf(ret_name, 32, "v8-%.28s", v8_version);
  }
}

kiln_status kiln__find_program(const char *name, char *ret_path, size_t size, kiln_error *err) {
  static const char *const places[] = {"", "../libexec/kiln/", "../libexec/"};
  char self[4096];
  ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);
  if (length <= 0) {
    return kiln__fail(err, KILN_EENGINE, NULL, "the path of this executable is not known");
  }
  self[length] = '\0';
  char *slash = strrchr(self, '/');
  if (slash != NULL) slash[1] = '\0';
  for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
    int needed = snprintf(ret_path, size, "%s%s%s", self, places[i], name);
    if (needed > 0 && (size_t)needed < size && access(ret_path, X_OK) == 0) return KILN_OK;
  }
  return kiln__fail(err, KILN_EENGINE, NULL,
                    "no %s beside this executable or in its libexec folder", name);
}

/* V8 dropped the checksum from release builds in 11.3. */
static bool verifies_checksum(const char *v8_version) {
  unsigned major = 0, minor = 0;
  if (sscanf(v8_version, "%u.%u", &major, &minor) != 2) return false;
  return major < 11 || (major == 11 && minor < 3);
}

/* Completes what the engine has said of itself. */
static kiln_status introduce(kiln__engine *engine, kiln_error *err) {
  kiln_engine_info *info = &engine->info;
  kcc_error error;
  info->verifies_checksum = verifies_checksum(info->v8_version);
  engine->fingerprint = (kcc_fingerprint){.engine = info->name,
                                          .v8_version = info->v8_version,
                                          .cached_data_tag = info->cached_data_tag,
                                          .flags = info->flags,
                                          .build_id = info->build_id,
                                          .arch = info->arch};
  if (kcc_fingerprint_id(&engine->fingerprint, &engine->fingerprint_id, &error) != KCC_OK) {
    return kiln__from_kcc(&error, err);
  }
  kcc_digest_format(&engine->fingerprint_id, info->fingerprint);
  return KILN_OK;
}

static kiln_pool_options pool_options(const kiln *k) {
  return (kiln_pool_options){.workers_max = k->options.workers_max,
                             .queue_max = k->options.queue_max,
                             .forks_per_zygote = k->options.forks_per_zygote,
                             .kill_grace_ms = k->options.kill_grace_ms,
                             .sandbox_required = k->options.sandbox_required,
                             .sandbox_off = k->options.sandbox_off,
                             .jitless = k->options.jitless,
                             .large_pages = k->options.large_pages,
                             .client_share = k->options.client_share};
}

/* Starts an engine's pool and keeps how. */
static kiln_status start_pool(const kiln_pool_options *options, kiln__engine *engine,
                              kiln_error *err) {
  engine->program = strdup(options->engine_path);
  engine->preload = options->preload != NULL ? strdup(options->preload) : NULL;
  kiln_status status = KILN_OK;
  if (engine->program == NULL || (options->preload != NULL && engine->preload == NULL)) {
    status = kiln__fail(err, KILN_ENOMEM, NULL, "no memory for an engine");
  }
  if (status == KILN_OK) status = kiln_pool_start(options, &engine->pool, err);
  if (status != KILN_OK) {
    free(engine->program);
    free(engine->preload);
  }
  return status;
}

static kiln_status start_default(const kiln *k, kiln__engine *engine, kiln_error *err) {
  char path[4096];
  kiln_pool_options options = pool_options(k);
  options.engine_path = k->options.engine_path;
  options.engine_name = DEFAULT_NAME;
  if (options.engine_path == NULL) {
    kiln_status status = kiln__find_program("kiln-engine", path, sizeof(path), err);
    if (status != KILN_OK) return status;
    options.engine_path = path;
  }
  return start_pool(&options, engine, err);
}

/* What is known of it already is to be found true when it says hello. */
static kiln_status start_hosted(const kiln *k, const kiln__engine_record *record,
                                kiln__engine *engine, kiln_error *err) {
  kiln_pool_options options = pool_options(k);
  engine->info = record->info;
  options.engine_path = record->info.node;
  options.engine_name = record->info.name;
  options.preload = record->library;
  options.v8_flags = record->flags;
  return start_pool(&options, engine, err);
}

static bool means_default(const char *spec) {
  return strcmp(spec, DEFAULT_SPEC) == 0 || strcmp(spec, DEFAULT_NAME) == 0;
}

/* Two specs may mean one engine. */
static bool is_started(const kiln *k, const char *node, const char *name) {
  for (size_t i = 0; i < k->engines_count; i++) {
    const kiln_engine_info *info = &k->engines[i].info;
    if (strcmp(info->node, node) == 0 && strcmp(info->name, name) == 0) return true;
  }
  return false;
}

static kiln_status start_one(kiln *k, const char *spec, const kiln__engine_record *records,
                             size_t count, kiln_error *err) {
  kiln__engine *engine = &k->engines[k->engines_count];
  kiln_status status;
  if (means_default(spec)) {
    if (is_started(k, /* node= */ "", /* name= */ "")) return KILN_OK;
    status = start_default(k, engine, err);
  } else {
    const kiln__engine_record *record;
    status = kiln__engines_find(records, count, kiln_span_from(spec), &record, err);
    if (status != KILN_OK || is_started(k, record->info.node, record->info.name)) return status;
    status = start_hosted(k, record, engine, err);
  }
  if (status == KILN_OK) k->engines_count++;
  return status;
}

kiln_status kiln__engines_start(kiln *k, kiln_error *err) {
  static const char *const just_default[] = {DEFAULT_SPEC};
  const char *const *specs = k->options.engines;
  size_t count = k->options.engines_count;
  kiln__engine_record *records = NULL;
  size_t records_count = 0;
  kiln_status status = KILN_OK;
  if (specs == NULL || count == 0) {
    specs = just_default;
    count = 1;
  }
  if (count > KILN_ENGINES_MAX) {
    return kiln__fail(err, KILN_ETOOBIG, NULL, "%zu engines, limit %d", count, KILN_ENGINES_MAX);
  }
  k->engines = calloc(count, sizeof(*k->engines));
  if (k->engines == NULL) return kiln__fail(err, KILN_ENOMEM, NULL, "no memory for the engines");
  if (k->options.engines_dir != NULL) {
    status = kiln__engines_load(k->options.engines_dir, &records, &records_count, err);
  }
  for (size_t i = 0; status == KILN_OK && i < count; i++) {
    status = start_one(k, specs[i], records, records_count, err);
  }
  free(records);
  return status;
}

static kiln_status check_one(const kiln_options *options, const char *spec,
                             const kiln__engine_record *records, size_t count, kiln_error *err) {
  char path[4096];
  const char *needed[2] = {options->engine_path, NULL};
  if (!means_default(spec)) {
    const kiln__engine_record *record;
    kiln_status status = kiln__engines_find(records, count, kiln_span_from(spec), &record, err);
    if (status != KILN_OK) return status;
    needed[0] = record->info.node;
    needed[1] = record->library;
  } else if (needed[0] == NULL) {
    kiln_status status = kiln__find_program("kiln-engine", path, sizeof(path), err);
    if (status != KILN_OK) return status;
    needed[0] = path;
  }
  if (access(needed[0], X_OK) != 0) {
    return kiln__fail(err, KILN_EENGINE, NULL, "engine '%s': no program at %.300s", spec,
                      needed[0]);
  }
  if (needed[1] != NULL && access(needed[1], R_OK) != 0) {
    return kiln__fail(err, KILN_EENGINE, NULL, "engine '%s': no library at %.300s", spec,
                      needed[1]);
  }
  return KILN_OK;
}

kiln_status kiln_check_engines(const kiln_options *options, kiln_error *err) {
  kiln__engine_record *records = NULL;
  size_t count = 0;
  kiln_status status = KILN_OK;
  if (options->engines_count == 0) return check_one(options, DEFAULT_SPEC, NULL, 0, err);
  if (options->engines_dir != NULL)
    status = kiln__engines_load(options->engines_dir, &records, &count, err);
  for (size_t i = 0; status == KILN_OK && i < options->engines_count; i++) {
    status = check_one(options, options->engines[i], records, count, err);
  }
  free(records);
  return status;
}

static kiln_status await_one(kiln__engine *engine, kiln_error *err) {
  kiln_engine_info *info = &engine->info, said;
  kiln_error reason;
  bool hosted = info->node[0] != '\0';
  kiln_pool *pool = engine->pool;
  engine->pool = NULL;
  kiln_status status = kiln_pool_await(pool, &reason);
  if (status != KILN_OK && !hosted) return kiln__fail(err, status, NULL, "%s", reason.message);
  if (status != KILN_OK) {
    return kiln__fail(err, status, NULL,
                      "engine '%s': %.200s (if the node binary has changed since it was added, run "
                      "'kiln engines add %.200s' again)",
                      info->name, reason.message, info->node);
  }
  engine->pool = pool;
  kiln_pool_get_engine(pool, &said);
  if (hosted && strcmp(said.build_id, info->build_id) != 0) {
    return kiln__fail(err, KILN_EENGINE, NULL,
                      "engine '%s': the node binary has changed since it was added; run 'kiln "
                      "engines add %.300s' again",
                      info->name, info->node);
  }
  memcpy(said.node, info->node, sizeof(said.node));
  *info = said;
  if (!hosted) kiln__engine_name(info->v8_version, info->flags, info->name);
  return introduce(engine, err);
}

kiln_status kiln__engines_await(kiln *k, kiln_error *err) {
  kiln_status status = KILN_OK;
  for (size_t i = 0; i < k->engines_count; i++) {
    kiln_status one = await_one(&k->engines[i], status == KILN_OK ? err : NULL);
    if (status == KILN_OK) status = one;
  }
  return status;
}

void kiln__engines_settle(kiln *k, unsigned drain_ms) {
  for (size_t i = 0; i < k->engines_count; i++) {
    if (k->engines[i].pool != NULL) kiln_pool_close(k->engines[i].pool, drain_ms);
  }
  for (size_t i = 0; i < k->engines_count; i++) {
    if (k->engines[i].pool != NULL) kiln_pool_settle(k->engines[i].pool, drain_ms);
  }
}

void kiln__engines_free(kiln *k) {
  for (size_t i = 0; i < k->engines_count; i++) {
    kiln_pool_free(k->engines[i].pool, /* drain_ms= */ 0);
    free(k->engines[i].program);
    free(k->engines[i].preload);
  }
  free(k->engines);
}

kiln_status kiln__engine_again(const kiln *k, const kiln__engine *engine, const char *flags,
                               kiln_pool **ret_pool, kiln_error *err) {
  kiln_pool_options options = pool_options(k);
  options.engine_path = engine->program;
  options.engine_name = engine->info.name;
  options.preload = engine->preload;
  options.v8_flags = flags;
  return kiln_pool_new(&options, ret_pool, err);
}

/* The names of all that are open, for a message. */
static void list_names(const kiln *k, char *text, size_t size) {
  size_t length = 0;
  text[0] = '\0';
  for (size_t i = 0; i < k->engines_count && length + 48 < size; i++) {
    length += (size_t)snprintf(text + length, size - length, "%s'%s'", i == 0 ? "" : ", ",
                               k->engines[i].info.name);
  }
}

kiln_status kiln__find_engine(const kiln *k, kiln_span spec, const kiln__engine **ret_engine,
                              kiln_error *err) {
  const kiln__engine *best = NULL;
  unsigned best_match = 0;
  if (spec.length == 0) {
    *ret_engine = &k->engines[0];
    return KILN_OK;
  }
  for (size_t i = 0; i < k->engines_count; i++) {
    const kiln__engine *engine = &k->engines[i];
    unsigned match = kiln__engines_match(spec, &engine->info);
    if (match == 0 || match < best_match) continue;
    if (best != NULL && match == best_match &&
        kiln__engines_compare(engine->info.name, best->info.name) < 0) {
      continue;
    }
    best = engine;
    best_match = match;
  }
  if (best != NULL) {
    *ret_engine = best;
    return KILN_OK;
  }
  char quoted[KILN__QUOTE_BYTES], names[256];
  list_names(k, names, sizeof(names));
  return kiln__fail(err, KILN_EINVAL, NULL, "engine %s: unknown, there is %s",
                    kiln__quote(spec, quoted), names);
}

size_t kiln_engine_count(const kiln *k) {
  return k->engines_count;
}

kiln_status kiln_get_engine(const kiln *k, size_t index, kiln_engine_info *ret_info,
                            kiln_error *err) {
  if (index >= k->engines_count) {
    return kiln__fail(err, KILN_EINVAL, "ERR_OUT_OF_RANGE", "engine %zu: there %s %zu", index,
                      k->engines_count == 1 ? "is" : "are", k->engines_count);
  }
  *ret_info = k->engines[index].info;
  return KILN_OK;
}
