/* SPDX-License-Identifier: MIT
 *
 * service_run.c: run and measureMemory, and what all operations make of a request: keys and jobs.
 *
 * A run never stores a blob: a worker that has run guest code is not to be believed about what it
 * compiled, unless the key says so (modes warm and workload of service_bake.c).
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "toolkit/bytes.h"
#include "toolkit/explain.h"
#include "toolkit/image.h"
#include "toolkit/service.h"
#include "toolkit/status.h"

typedef struct task {
  kiln__work work; /* first: a work is its task */
  kiln *k;
  const kiln__engine *engine;
  kiln_op op;
  kiln_done_fn done;
  void *user;
  uint64_t started_ns;
  kiln_bytes *source; /* NULL: of a measurement, or named by its key */
  bool offered;
  bool looked_up;
  int consumer_signal;
  kiln_cause_code reason;     /* of the look-up */
  kcc_digest blob_key;        /* of the blob that was offered */
  char key[KILN_KEY_HEX + 1]; /* that the request named */
} task;

kcc_status kiln__source_digest(kiln_bytes *source, kcc_digest *ret_digest, kcc_error *err) {
  _Static_assert(KILN__BYTES_DIGEST == KCC_DIGEST_BYTES, "bytes.h keeps a kcc_digest");
  if (kiln__bytes_get_digest(source, ret_digest->bytes)) return KCC_OK;
  kcc_digest digest;
  kcc_status status = kcc_digest_of(kiln__kcc_span(kiln_bytes_get(source)), &digest, err);
  if (status != KCC_OK) return status;
  kiln__bytes_note_digest(source, digest.bytes);
  *ret_digest = digest;
  return KCC_OK;
}

bool kiln_bytes_get_sha256(kiln_bytes *bytes, char ret_hex[65]) {
  kcc_digest digest;
  if (kiln__source_digest(bytes, &digest, /* err= */ NULL) != KCC_OK) return false;
  kcc_digest_format(&digest, ret_hex);
  return true;
}

kcc_status kiln__parts_of(const kiln__engine *engine, const kiln_request *request,
                          const kcc_digest *source, uint64_t source_length, kiln_mode mode,
                          kiln_bytes *workload, kcc_span *params, kcc_key_parts *ret_parts,
                          kcc_error *err) {
  kcc_key_parts parts = {.fingerprint = engine->fingerprint,
                         .kind = (kcc_kind)request->kind,
                         .mode = (kcc_mode)mode,
                         .source = *source,
                         .source_length = source_length,
                         .filename = kiln__kcc_span(request->filename),
                         .line_offset = request->line_offset,
                         .column_offset = request->column_offset,
                         .params = params,
                         .params_count = request->params_count};
  for (size_t i = 0; i < request->params_count; i++) {
    params[i] = kiln__kcc_span(request->params[i]);
  }
  if (workload != NULL) {
    kcc_status status =
        kcc_digest_of(kiln__kcc_span(kiln_bytes_get(workload)), &parts.workload, err);
    if (status != KCC_OK) return status;
  }
  *ret_parts = parts;
  return KCC_OK;
}

kiln_status kiln__key_of(const kiln__engine *engine, const kiln_request *request,
                         const kcc_digest *source, uint64_t source_length, kiln_mode mode,
                         kiln_bytes *workload, kcc_digest *ret_key, kiln_error *err) {
  kcc_error error;
  kcc_key_parts parts;
  kcc_span params[KILN_PARAMS_MAX];
  if (kiln__parts_of(engine, request, source, source_length, mode, workload, params, &parts,
                     &error) != KCC_OK ||
      kcc_key_of(&parts, ret_key, &error) != KCC_OK) {
    return kiln__from_kcc(&error, err);
  }
  return KILN_OK;
}

void kiln__job_init(const kiln *k, const kiln_request *request, kiln_job_op op, kiln_job *ret_job) {
  *ret_job = (kiln_job){
      .op = op,
      .client = request->client,
      .kind = request->kind,
      .source = request->source,
      .filename = request->filename,
      .line_offset = request->line_offset,
      .column_offset = request->column_offset,
      .params = request->params,
      .params_count = request->params_count,
      .timeout_ms = request->timeout_ms != 0 ? request->timeout_ms : k->options.timeout_default_ms,
      .heap_max_bytes = k->options.heap_max_bytes,
      .memory_max_bytes = k->options.memory_max_bytes,
      .result_max_bytes = k->options.result_max_bytes,
      .console_max_bytes = k->options.console_max_bytes};
}

static task *task_new(kiln *k, const kiln__engine *engine, const kiln_request *request,
                      kiln_done_fn done, void *user, uint64_t started_ns, kiln_error *err) {
  task *t = calloc(1, sizeof(*t));
  if (t == NULL) {
    (void)kiln__fail(err, KILN_ENOMEM, NULL, "no memory for a request");
    return NULL;
  }
  t->k = k;
  t->engine = engine;
  t->op = request->op;
  if (request->source != NULL) t->source = kiln_bytes_ref(request->source);
  t->done = done;
  t->user = user;
  t->started_ns = started_ns;
  return t;
}

static void task_free(task *t) {
  if (t != NULL) kiln_bytes_unref(t->source);
  free(t);
}

/* On the writer thread. */
static void remove_rejected(kiln__work *work) {
  task *t = (task *)(void *)work;
  (void)kcc_store_remove(t->k->store, &t->blob_key, /* err= */ NULL);
  task_free(t);
}

/* On the writer thread. */
static void quarantine_killer(kiln__work *work) {
  task *t = (task *)(void *)work;
  char reason[96];
  const char *name = t->consumer_signal != 0 ? sigabbrev_np(t->consumer_signal) : NULL;
  if (name != NULL) {
    (void)snprintf(reason, sizeof(reason), "engine died while it was consumed (SIG%s)", name);
  } else {
    (void)snprintf(reason, sizeof(reason), "engine died while it was consumed");
  }
  (void)kcc_store_quarantine(t->k->store, &t->blob_key, reason, /* err= */ NULL);
  task_free(t);
}

/* On the pool's thread. */
static void finished(void *user, const kiln_job_result *result) {
  task *t = user;
  kiln *k = t->k;
  kiln_response response = {.op = t->op,
                            .engine = t->engine->info.name,
                            .result_json = result->result_json,
                            .globals_json = result->globals_json,
                            .console_json = result->console_json,
                            .memory_json = result->memory_json,
                            .console_truncated = result->console_truncated,
                            .cached_data_rejected = result->cached_data_rejected};
  memcpy(response.key, t->key, sizeof(response.key));
  if (t->looked_up) response.reason = kiln__count_reason(k, t->reason);
  kiln__response_from_job(result, &response);
  response.times.total_ns = kiln__now_ns() - t->started_ns;
  kiln__note_end(k, t->source, result);
  /* A script that crashes without the blob, too, crashes by itself. */
  bool killed = result->status == KILN_OK && result->consumer_crashed &&
                result->consumer_signal != SIGKILL && /* which comes from outside */
                result->outcome != KILN_OUTCOME_CRASHED;
  if (killed) atomic_fetch_add(&k->blobs_quarantined, 1);
  t->done(t->user, &response);
  /* The store vouched for the blob, so the entry is of another make than the engine thinks: nobody
   * will ever use it. */
  if (result->status == KILN_OK && result->cached_data_rejected == 1 && t->offered) {
    atomic_fetch_add(&k->rejected, 1);
    t->work.perform = remove_rejected;
    if (kiln__writer_add(&k->writer, &t->work)) return;
  }
  if (killed) {
    t->consumer_signal = result->consumer_signal;
    t->work.perform = quarantine_killer;
    if (kiln__writer_add(&k->writer, &t->work)) return;
  }
  task_free(t);
}

/* Looks for the blob that suits a source best: made after it ran, else the lazy one, which is
 * smaller and quicker to load than the eager one. */
static kiln_bytes *find_blob(task *t, const kiln_request *request) {
  static const kiln_mode preference[] = {KILN_WARM, KILN_LAZY, KILN_EAGER};
  kiln_span text = kiln_bytes_get(request->source);
  kcc_digest source;
  if (t->k->store == NULL || text.length < KILN_RUN_CACHE_MIN ||
      kiln__source_digest(request->source, &source, /* err= */ NULL) != KCC_OK) {
    return NULL;
  }
  for (size_t i = 0; i < sizeof(preference) / sizeof(preference[0]); i++) {
    kiln_bytes *blob;
    if (kiln__key_of(t->engine, request, &source, text.length, preference[i], /* workload= */ NULL,
                     &t->blob_key, /* err= */ NULL) == KILN_OK &&
        kiln__lookup(t->k, t->engine, &t->blob_key, &blob, /* ret_info= */ NULL,
                     /* err= */ NULL) == KILN_OK) {
      t->looked_up = true;
      t->reason = KILN_CAUSE_HIT;
      return blob;
    }
  }
  kcc_key_parts parts;
  kcc_span params[KILN_PARAMS_MAX];
  if (kiln__parts_of(t->engine, request, &source, text.length, KILN_LAZY, /* workload= */ NULL,
                     params, &parts, /* err= */ NULL) == KCC_OK) {
    t->looked_up = true;
    t->reason = kiln__reason_of_miss(t->k, t->engine, &parts, &t->blob_key);
  }
  return NULL;
}

static kiln_status load_source(kiln *k, const kcc_entry_info *info, kiln_span key,
                               kiln_bytes **ret_source, kiln_error *err) {
  kcc_entry entry;
  kcc_error error;
  char quoted[KILN__QUOTE_BYTES];
  kcc_status status = kcc_store_get_source(k->store, &info->source, &entry, &error);
  if (status == KCC_MISS) {
    return kiln__fail(err, KILN_NOT_FOUND, NULL,
                      "key %s: its source text is not in the store, which has kept only the blob",
                      kiln__quote(key, quoted));
  }
  if (status != KCC_OK) return kiln__from_kcc(&error, err);
  kiln_bytes *source = kiln_bytes_new(entry.blob.data, entry.blob.length);
  kcc_entry_free(&entry);
  if (source == NULL) return kiln__fail(err, KILN_ENOMEM, NULL, "no memory for a source");
  *ret_source = source;
  return KILN_OK;
}

/* Whether `key` is what `run` has with this engine. */
static bool was_made_by(const kiln__engine *engine, const kiln_request *run,
                        const kcc_entry_info *info, const kcc_digest *expected) {
  kcc_digest key;
  return kiln__key_of(engine, run, &info->source, info->source_length, (kiln_mode)info->mode,
                      /* workload= */ NULL, &key, /* err= */ NULL) == KILN_OK &&
         memcmp(&key, expected, sizeof(key)) == 0;
}

/* Fills in what a request that names a key leaves open: `run` gets source, kind and filename.
 *
 * The blob is used only if the key computed from all of these is the one named: that alone proves
 * that it was made by this engine for just these parameters. Where it is another (an engine since
 * replaced, offsets not named again, a blob with a workload, which is not known here), a script or
 * a module runs from its source all the same; a function does not, since what its parameters were
 * cannot be known. */
kiln_status kiln__resolve_key(kiln *k, kiln_request *run, kiln__resolved *r, kiln_error *err) {
  char quoted[KILN__QUOTE_BYTES];
  kcc_entry_info info;
  kiln_bytes *blob;
  if (!kcc_digest_parse(run->key.data, run->key.length, &r->key)) {
    return kiln__fail(err, KILN_EINVAL, NULL, "key %s: not 64 hex digits",
                      kiln__quote(run->key, quoted));
  }
  kiln_status status = kiln__lookup(k, /* engine= */ NULL, &r->key, &blob, &info, err);
  if (status != KILN_OK) return status;
  if (run->kind != KILN_SCRIPT && (unsigned)run->kind != (unsigned)info.kind) {
    kiln_bytes_unref(blob);
    return kiln__fail(err, KILN_EINVAL, NULL, "key %s: is of a %s", kiln__quote(run->key, quoted),
                      kcc_kind_name(info.kind));
  }
  run->kind = (kiln_kind)info.kind;
  if (run->filename.length == 0) {
    memcpy(r->filename, info.filename, sizeof(info.filename));
    run->filename = kiln_span_from(r->filename);
  }
  bool function = run->kind == KILN_FUNCTION;
  bool same = was_made_by(r->engine, run, &info, &r->key);
  for (size_t i = 0; !same && run->engine.length == 0 && i < k->engines_count; i++) {
    same = was_made_by(&k->engines[i], run, &info, &r->key);
    if (same) r->engine = &k->engines[i];
  }
  if (function && !same) {
    status = kiln__fail(
        err, KILN_EINVAL, NULL,
        "key %s: is of a function with other parameters or offsets, or of another engine",
        kiln__quote(run->key, quoted));
  } else if (!function && (run->params_count > 0 || run->args_json.length > 0)) {
    status = kiln__fail(err, KILN_EINVAL, NULL, "params and args: only a function has them");
  } else {
    status = load_source(k, &info, run->key, &r->source, err);
  }
  if (status == KILN_OK && same) {
    r->blob = blob;
  } else {
    kiln_bytes_unref(blob);
  }
  return status;
}

kiln_job_source *kiln__copy_sources(const kiln_named_source *sources, size_t count) {
  kiln_job_source *copy = calloc(count == 0 ? 1 : count, sizeof(*copy));
  for (size_t i = 0; copy != NULL && i < count; i++) {
    copy[i] = (kiln_job_source){sources[i].name, sources[i].source};
  }
  return copy;
}

static kiln_status submit_run_job(task *t, const kiln_request *request, kiln_bytes *blob,
                                  kiln_error *err) {
  kiln_job job;
  kiln__job_init(t->k, request, KILN_JOB_RUN, &job);
  kiln_job_source *modules = kiln__copy_sources(request->modules, request->modules_count);
  if (modules == NULL) return kiln__fail(err, KILN_ENOMEM, NULL, "no memory for a request");
  t->offered = blob != NULL;
  job.cached_data = blob;
  job.globals_json = request->globals_json;
  job.args_json = request->args_json;
  job.modules = modules;
  job.modules_count = request->modules_count;
  job.context_name = request->context_name;
  job.context_origin = request->context_origin;
  job.microtasks_after_evaluate = request->microtasks_after_evaluate;
  job.deny_strings = request->deny_strings;
  job.deny_wasm = request->deny_wasm;
  kiln_status status = request->image.length > 0
                           ? kiln__image_run(t->k, request->image, &job, finished, t, err)
                           : kiln_pool_submit(t->engine->pool, &job, finished, t, err);
  free(modules);
  return status;
}

kiln_status kiln__submit_run(kiln *k, const kiln__engine *engine, const kiln_request *request,
                             kiln_done_fn done, void *user, uint64_t started_ns, kiln_error *err) {
  kiln_request run = *request;
  if (request->image.length > 0) {
    const kiln__engine *asked = engine;
    kiln_status found = kiln__image_get_engine(k, request->image, &engine, err);
    if (found != KILN_OK) return found;
    if (request->engine.length > 0 && engine != asked) {
      return kiln__fail(err, KILN_EINVAL, NULL, "engine: the image is of '%s'", engine->info.name);
    }
    run.engine = kiln_span_from(engine->info.name);
  }
  task *t = task_new(k, engine, request, done, user, started_ns, err);
  if (t == NULL) return KILN_ENOMEM;
  kiln__resolved resolved = {.engine = engine};
  kiln_status status = KILN_OK;
  if (request->source == NULL) {
    status = kiln__resolve_key(k, &run, &resolved, err);
    run.source = resolved.source;
    t->engine = resolved.engine;
    t->blob_key = resolved.key;
    if (status == KILN_OK) kcc_digest_format(&t->blob_key, t->key);
  } else {
    resolved.blob = find_blob(t, &run);
  }
  if (status == KILN_OK) status = submit_run_job(t, &run, resolved.blob, err);
  kiln_bytes_unref(resolved.source);
  kiln_bytes_unref(resolved.blob);
  if (status != KILN_OK) task_free(t);
  return status;
}

static void free_contexts(kiln_job_context *contexts, kiln_job_source *scripts) {
  free(contexts);
  free(scripts);
}

kiln_status kiln__submit_measure(kiln *k, const kiln__engine *engine, const kiln_request *request,
                                 kiln_done_fn done, void *user, uint64_t started_ns,
                                 kiln_error *err) {
  size_t scripts_count = 0, next = 0;
  for (size_t i = 0; i < request->contexts_count; i++) {
    scripts_count += request->contexts[i].scripts_count;
  }
  kiln_job_context *contexts = calloc(request->contexts_count, sizeof(*contexts));
  kiln_job_source *scripts = calloc(scripts_count == 0 ? 1 : scripts_count, sizeof(*scripts));
  if (contexts == NULL || scripts == NULL) {
    free_contexts(contexts, scripts);
    return kiln__fail(err, KILN_ENOMEM, NULL, "no memory for a request");
  }
  for (size_t i = 0; i < request->contexts_count; i++) {
    const kiln_measure_context *context = &request->contexts[i];
    contexts[i] = (kiln_job_context){.name = context->name,
                                     .globals_json = context->globals_json,
                                     .scripts = scripts + next,
                                     .scripts_count = context->scripts_count};
    for (size_t j = 0; j < context->scripts_count; j++) {
      scripts[next++] = (kiln_job_source){context->scripts[j].name, context->scripts[j].source};
    }
  }
  kiln_job job;
  kiln__job_init(k, request, KILN_JOB_MEASURE, &job);
  if (request->timeout_ms == 0 && !request->eager) job.timeout_ms = k->options.timeout_max_ms;
  job.detailed = request->detailed;
  job.eager = request->eager;
  job.contexts = contexts;
  job.contexts_count = request->contexts_count;
  task *t = task_new(k, engine, request, done, user, started_ns, err);
  kiln_status status = KILN_ENOMEM;
  if (t != NULL) status = kiln_pool_submit(engine->pool, &job, finished, t, err);
  if (status != KILN_OK) task_free(t);
  free_contexts(contexts, scripts);
  return status;
}
