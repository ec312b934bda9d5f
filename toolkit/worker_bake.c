/* SPDX-License-Identifier: MIT
 *
 * worker_bake.c: makes cached data: right after compiling (lazy, eager), after the top level ran
 * (warm), or after a workload script ran too (workload). What the code prints or returns is
 * dropped.
 */
#include <stdio.h>
#include <string.h>

#include "toolkit/engine.h"

static bool runs_code(const kiln_job *job) {
  return job->mode == KILN_WARM || job->mode == KILN_WORKLOAD;
}

static kv8_source source_of(const kiln_job *job) {
  kv8_source source = kiln__source(job->source, job->filename);
  source.line_offset = job->line_offset;
  source.column_offset = job->column_offset;
  source.mode = job->mode == KILN_EAGER ? KV8_COMPILE_EAGER : KV8_COMPILE_LAZY;
  return source;
}

static bool run_script(kiln_work *work, kv8_script *script) {
  kv8_run_options options = KV8_RUN_OPTIONS_INIT;
  return kiln__work_time_left(work, &options.timeout_ms) &&
         kiln__work_ok(work, kv8_script_run(script, work->engine->context, &options,
                                            /* ret_value= */ NULL, &work->error));
}

static bool run_workload(kiln_work *work) {
  if (work->job->mode != KILN_WORKLOAD) return true;
  kv8_source source = kiln__source(work->job->workload, kiln__span_of("kiln:workload"));
  kv8_script *script = NULL;
  bool ran = kiln__work_ok(work, kv8_script_compile(work->engine->isolate, &source, &script,
                                                    /* ret_outcome= */ NULL, &work->error)) &&
             run_script(work, script);
  kv8_script_free(script);
  return ran;
}

/* Times a step: call before with NULL, after with the field to fill. */
static void note_time(uint64_t *since, uint64_t *ret_ns) {
  uint64_t now = kiln__now_ns();
  if (ret_ns) *ret_ns = now - *since;
  *since = now;
}

static void finish(kiln_work *work, kv8_status status, kv8_blob *blob) {
  if (kiln__work_ok(work, status)) work->result.blob = kiln__bytes_from_blob(blob);
}

static void bake_script(kiln_work *work) {
  kiln_times *times = &work->result.times;
  kv8_source source = source_of(work->job);
  kv8_script *script = NULL;
  kv8_blob blob = {0};
  uint64_t clock;
  note_time(&clock, NULL);
  if (!kiln__work_ok(work, kv8_script_compile(work->engine->isolate, &source, &script,
                                              /* ret_outcome= */ NULL, &work->error)))
    return;
  note_time(&clock, &times->compile_ns);
  if (runs_code(work->job)) {
    bool ran = run_script(work, script) && run_workload(work);
    note_time(&clock, &times->run_ns);
    if (!ran) return;
  }
  finish(work, kv8_script_create_cached_data(script, &blob, &work->error), &blob);
  note_time(&clock, &times->serialize_ns);
}

/* ---- function: what Node's CommonJS loader would pass, as far as it can be without files -------
 */

/* Makes a value in the ready context by calling a function of one parameter. */
static bool make_value(kiln_work *work, const char *body, const kv8_value *argument,
                       kv8_value **ret_value) {
  const kv8_span param = kv8_span_from("x");
  kv8_function_options options = KV8_FUNCTION_OPTIONS_INIT;
  options.params = &param;
  options.params_count = 1;
  kv8_source source = KV8_SOURCE_INIT;
  source.text = kv8_span_from(body);
  source.filename = kv8_span_from("kiln:commonjs");
  kv8_run_options run_options = KV8_RUN_OPTIONS_INIT;
  kv8_function *function = NULL;
  bool made = kiln__work_ok(work, kv8_function_compile(work->engine->context, &source, &options,
                                                       &function, NULL, &work->error)) &&
              kiln__work_time_left(work, &run_options.timeout_ms) &&
              kiln__work_ok(
                  work, kv8_function_call(function, /* receiver= */ NULL, &argument,
                                          argument ? 1 : 0, &run_options, ret_value, &work->error));
  kv8_function_free(function);
  return made;
}

enum { EXPORTS, MODULE, REQUIRE, FILENAME, DIRNAME, UNDEFINED, KNOWN_COUNT };
static const char *const known_names[] = {"exports", "module", "require", "__filename",
                                          "__dirname"};

static bool make_known(kiln_work *work, kv8_value *known[KNOWN_COUNT]) {
  static const char require[] =
      "return function require(id) {\n"
      "  const error = new Error(\"Cannot find module '\" + id + \"'\");\n"
      "  error.code = 'MODULE_NOT_FOUND';\n"
      "  throw error;\n"
      "};";
  kiln_span file = work->job->filename;
  kiln_span directory = {".", 1};
  for (size_t i = file.length; i > 0; i--) {
    if (file.data[i - 1] != '/') continue;
    directory = (kiln_span){file.data, i > 1 ? i - 1 : 1};
    break;
  }
  return make_value(work, "return {exports: {}}", NULL, &known[MODULE]) &&
         make_value(work, "return x.exports", known[MODULE], &known[EXPORTS]) &&
         make_value(work, require, NULL, &known[REQUIRE]) &&
         make_value(work, "return undefined", NULL, &known[UNDEFINED]) &&
         kiln__work_ok(work, kv8_string(work->engine->isolate, kiln__span(file), &known[FILENAME],
                                        &work->error)) &&
         kiln__work_ok(work, kv8_string(work->engine->isolate, kiln__span(directory),
                                        &known[DIRNAME], &work->error));
}

static size_t known_index(kiln_span name) {
  for (size_t i = 0; i < UNDEFINED; i++)
    if (strlen(known_names[i]) == name.length &&
        memcmp(known_names[i], name.data, name.length) == 0)
      return i;
  return UNDEFINED;
}

static bool set_global(kiln_work *work, const char *name, const kv8_value *value) {
  return kiln__work_ok(work, kv8_context_set_global(work->engine->context, kv8_span_from(name),
                                                    value, &work->error));
}

/* A workload sees module and exports as globals; after the call, for module.exports may be new. */
static bool show_module(kiln_work *work, kv8_value *module) {
  kv8_value *exports = NULL;
  if (work->job->mode != KILN_WORKLOAD) return true;
  bool shown = make_value(work, "return x.exports", module, &exports) &&
               set_global(work, "module", module) && set_global(work, "exports", exports);
  kv8_value_free(exports);
  return shown;
}

static bool warm_function(kiln_work *work, kv8_function *function) {
  kv8_value *known[KNOWN_COUNT] = {NULL};
  static const kv8_value *args[KILN_PARAMS_MAX];
  const kiln_job *job = work->job;
  kv8_run_options options = KV8_RUN_OPTIONS_INIT;
  bool warm = make_known(work, known);
  for (size_t i = 0; i < job->params_count; i++) args[i] = known[known_index(job->params[i])];
  warm = warm && kiln__work_time_left(work, &options.timeout_ms) &&
         kiln__work_ok(work, kv8_function_call(function, /* receiver= */ known[EXPORTS], args,
                                               job->params_count, &options,
                                               /* ret_value= */ NULL, &work->error)) &&
         show_module(work, known[MODULE]) && run_workload(work);
  for (size_t i = 0; i < KNOWN_COUNT; i++) kv8_value_free(known[i]);
  return warm;
}

static void bake_function(kiln_work *work) {
  const kiln_job *job = work->job;
  kiln_times *times = &work->result.times;
  static kv8_span params[KILN_PARAMS_MAX];
  kv8_function_options options = KV8_FUNCTION_OPTIONS_INIT;
  for (size_t i = 0; i < job->params_count; i++) params[i] = kiln__span(job->params[i]);
  options.params = params;
  options.params_count = job->params_count;
  kv8_source source = source_of(job);
  kv8_function *function = NULL;
  kv8_blob blob = {0};
  uint64_t clock;
  note_time(&clock, NULL);
  if (!kiln__work_ok(work, kv8_function_compile(work->engine->context, &source, &options, &function,
                                                /* ret_outcome= */ NULL, &work->error)))
    return;
  note_time(&clock, &times->compile_ns);
  if (runs_code(job)) {
    bool ran = warm_function(work, function);
    note_time(&clock, &times->run_ns);
    if (!ran) return;
  }
  finish(work, kv8_function_create_cached_data(function, &blob, &work->error), &blob);
  note_time(&clock, &times->serialize_ns);
}

/* ---- module ------------------------------------------------------------------------------------
 */

static bool warm_module(kiln_work *work, kv8_module *module) {
  kv8_run_options options = KV8_RUN_OPTIONS_INIT;
  kv8_promise_state state;
  kv8_module_request request;
  if (kv8_module_get_request_count(module) > 0) {
    if (kiln__work_ok(work, kv8_module_get_request(module, 0, &request, &work->error)))
      kiln__work_fail(work, "ERR_VM_MODULE_LINK_FAILURE", "Error",
                      "module '%.*s': a module with imports cannot be run to bake it",
                      request.specifier.length < 80 ? (int)request.specifier.length : 80,
                      request.specifier.data);
    return false;
  }
  return kiln__work_ok(work, kv8_module_link_requests(module, NULL, 0, &work->error)) &&
         kiln__work_ok(work, kv8_module_instantiate(module, &work->error)) &&
         kiln__work_time_left(work, &options.timeout_ms) &&
         kiln__work_ok(work, kv8_module_evaluate(module, &options, &state, &work->error)) &&
         run_workload(work);
}

static void bake_module(kiln_work *work) {
  kiln_times *times = &work->result.times;
  kv8_source source = source_of(work->job);
  kv8_module *module = NULL;
  kv8_blob blob = {0};
  uint64_t clock;
  note_time(&clock, NULL);
  if (!kiln__work_ok(work, kv8_module_compile(work->engine->context, &source, &module,
                                              /* ret_outcome= */ NULL, &work->error)))
    return;
  note_time(&clock, &times->compile_ns);
  if (!runs_code(work->job)) {
    finish(work, kv8_module_create_cached_data(module, &blob, &work->error), &blob);
  } else {
    bool ran = warm_module(work, module);
    note_time(&clock, &times->run_ns);
    if (!ran) return;
    finish(work, kv8_module_create_warm_cached_data(module, &blob, &work->error), &blob);
  }
  note_time(&clock, &times->serialize_ns);
}

void kiln__work_bake(kiln_work *work) {
  if (!kiln__work_configure(work)) return;
  switch (work->job->kind) {
    case KILN_SCRIPT:
      bake_script(work);
      break;
    case KILN_FUNCTION:
      bake_function(work);
      break;
    case KILN_MODULE:
      bake_module(work);
      break;
  }
}
