/* SPDX-License-Identifier: MIT
 *
 * worker_measure.c: fills contexts with scripts and asks V8 what they cost. What the scripts print
 * is dropped.
 */
#include <stdlib.h>
#include <unistd.h>

#include "toolkit/engine.h"

static bool fill(kiln_work *work, kv8_context *context, const kiln_job_context *from) {
  if (from->globals_json.length > 0 &&
      !kiln__work_ok(work, kv8_context_set_globals_json(context, kiln__span(from->globals_json),
                                                        &work->error)))
    return false;
  for (size_t i = 0; i < from->scripts_count; i++) {
    kv8_source source = kiln__source(from->scripts[i].source, from->scripts[i].name);
    kv8_run_options options = KV8_RUN_OPTIONS_INIT;
    kv8_script *script = NULL;
    bool ran = kiln__work_ok(work, kv8_script_compile(work->engine->isolate, &source, &script,
                                                      /* ret_outcome= */ NULL, &work->error)) &&
               kiln__work_time_left(work, &options.timeout_ms) &&
               kiln__work_ok(work, kv8_script_run(script, context, &options, /* ret_value= */ NULL,
                                                  &work->error));
    kv8_script_free(script);
    if (!ran) return false;
  }
  return true;
}

/* The ready context becomes the first one: were it left over, V8 would report it too. */
static bool make_contexts(kiln_work *work, kv8_context **contexts) {
  const kiln_job *job = work->job;
  for (size_t i = 0; i < job->contexts_count; i++) {
    kv8_context_options options = KV8_CONTEXT_OPTIONS_INIT;
    options.name = kiln__span(job->contexts[i].name);
    kv8_status status;
    if (i == 0) {
      contexts[0] = work->engine->context;
      status = kv8_context_configure(contexts[0], &options, &work->error);
    } else {
      status = kv8_context_new(work->engine->isolate, &options, &contexts[i], &work->error);
    }
    if (!kiln__work_ok(work, status) || !fill(work, contexts[i], &job->contexts[i])) return false;
  }
  return true;
}

static void put_estimate(kiln_text *text, const kv8_memory_estimate *estimate) {
  kiln__text_puts(text, "\"jsMemoryEstimate\":");
  kiln__text_put_number(text, estimate->js_memory_estimate);
  kiln__text_puts(text, ",\"jsMemoryRange\":[");
  kiln__text_put_number(text, estimate->js_memory_range[0]);
  kiln__text_puts(text, ",");
  kiln__text_put_number(text, estimate->js_memory_range[1]);
  kiln__text_puts(text, "]}");
}

static void put_context(kiln_text *text, const kv8_context_memory *context) {
  kiln__text_puts(text, "{\"name\":");
  kiln__text_put_json_string(text, kv8_span_from(context->name));
  kiln__text_puts(text, ",");
  put_estimate(text, &context->memory);
}

void kiln__put_memory(kiln_work *work, kiln_text *text, const kv8_memory *memory) {
  kiln__text_puts(text, "{\"total\":{");
  put_estimate(text, &memory->total);
  if (memory->has_detail) {
    kiln__text_puts(text, ",\"current\":");
    put_context(text, &memory->current);
    kiln__text_puts(text, ",\"other\":[");
    for (size_t i = 0; i < memory->other_count; i++) {
      if (i > 0) kiln__text_puts(text, ",");
      put_context(text, &memory->other[i]);
    }
    kiln__text_puts(text, "]");
  }
  if (memory->has_wasm) {
    kiln__text_puts(text, ",\"WebAssembly\":{\"code\":");
    kiln__text_put_number(text, memory->wasm_code_bytes);
    kiln__text_puts(text, ",\"metadata\":");
    kiln__text_put_number(text, memory->wasm_metadata_bytes);
    kiln__text_puts(text, "}");
  }
  kiln__text_puts(text, ",\"heap\":");
  kiln__put_heap_statistics(work, text);
  kiln__text_puts(text, ",\"v8Version\":");
  kiln__text_put_json_string(text, kv8_span_from(work->engine->info.v8_version));
  kiln__text_puts(text, "}");
}

void kiln__work_measure(kiln_work *work) {
  const kiln_job *job = work->job;
  kiln_times *times = &work->result.times;
  kv8_memory memory;
  kiln_text text = {0};
  kv8_measure_options options = KV8_MEASURE_OPTIONS_INIT;
  kv8_context **contexts = calloc(job->contexts_count, sizeof(*contexts));
  if (!contexts) _exit(KILN_EXIT_MEMORY_LIMIT);
  uint64_t began = kiln__now_ns();
  bool made = make_contexts(work, contexts);
  times->run_ns = kiln__now_ns() - began;
  if (!made || !kiln__work_time_left(work, &options.timeout_ms)) return;
  options.mode = job->detailed ? KV8_MEASURE_DETAILED : KV8_MEASURE_SUMMARY;
  options.execution = job->eager ? KV8_MEASURE_EAGER : KV8_MEASURE_DEFAULT;
  began = kiln__now_ns();
  if (!kiln__work_ok(work, kv8_measure_memory(contexts[0], &options, &memory, &work->error)))
    return;
  times->serialize_ns = kiln__now_ns() - began;
  kiln__put_memory(work, &text, &memory);
  work->result.memory_json = kiln__bytes_from_text(&text);
}
