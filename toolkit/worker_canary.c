/* SPDX-License-Identifier: MIT
 *
 * worker_canary.c: loads a new blob for a trial, in a process that does nothing else. From V8 11.3
 * on a release build verifies no checksum: damage shows as a crash when V8 reads the blob, if it
 * shows at all.
 *
 * What this proves: that V8 of this build takes the blob for this source, kind, parameters and
 * place, and reads it to the end without dying of it. What not: that its bytecode does what the
 * source says. For that there is the envelope, and the rule about who may make blobs.
 */
#include "toolkit/engine.h"

static kv8_status compile(kiln_work *work, kv8_cache_outcome *ret_outcome) {
  static kv8_span params[KILN_PARAMS_MAX];
  const kiln_job *job = work->job;
  kv8_source source = kiln__source(job->source, job->filename);
  kv8_script *script = NULL;
  kv8_function *function = NULL;
  kv8_module *module = NULL;
  source.line_offset = job->line_offset;
  source.column_offset = job->column_offset;
  source.cached_data = kiln__span(kiln_bytes_get(job->cached_data));
  if (job->kind == KILN_SCRIPT) {
    return kv8_script_compile(work->engine->isolate, &source, &script, ret_outcome, &work->error);
  }
  if (job->kind == KILN_MODULE) {
    return kv8_module_compile(work->engine->context, &source, &module, ret_outcome, &work->error);
  }
  kv8_function_options options = KV8_FUNCTION_OPTIONS_INIT;
  for (size_t i = 0; i < job->params_count; i++) params[i] = kiln__span(job->params[i]);
  options.params = params;
  options.params_count = job->params_count;
  return kv8_function_compile(work->engine->context, &source, &options, &function, ret_outcome,
                              &work->error);
}

void kiln__work_canary(kiln_work *work) {
  kv8_cache_outcome outcome = KV8_CACHE_NOT_OFFERED;
  uint64_t started = kiln__now_ns();
  bool compiled = kiln__work_ok(work, compile(work, &outcome));
  work->result.times.compile_ns = kiln__now_ns() - started;
  if (compiled) work->result.cached_data_rejected = outcome != KV8_CACHE_ACCEPTED;
}
