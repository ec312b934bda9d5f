/* SPDX-License-Identifier: MIT
 *
 * worker_run.c: runs a script, a function or a graph of modules and writes down what came of it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "toolkit/engine.h"

static kv8_source source_of(const kiln_job *job) {
  kv8_source source = kiln__source(job->source, job->filename);
  source.line_offset = job->line_offset;
  source.column_offset = job->column_offset;
  if (job->cached_data) source.cached_data = kiln__span(kiln_bytes_get(job->cached_data));
  return source;
}

static void note_cache(kiln_work *work, kv8_cache_outcome outcome) {
  if (outcome != KV8_CACHE_NOT_OFFERED)
    work->result.cached_data_rejected = outcome == KV8_CACHE_REJECTED;
}

/* Adds the time since *since to *total and restarts the clock. */
static void add_time(uint64_t *since, uint64_t *total) {
  uint64_t now = kiln__now_ns();
  *total += now - *since;
  *since = now;
}

static bool run_script(kiln_work *work, kv8_value **ret_value) {
  kiln_times *times = &work->result.times;
  kv8_source source = source_of(work->job);
  kv8_run_options options = KV8_RUN_OPTIONS_INIT;
  kv8_cache_outcome outcome = KV8_CACHE_NOT_OFFERED;
  kv8_script *script = NULL;
  uint64_t clock = kiln__now_ns();
  bool compiled = kiln__work_ok(
      work, kv8_script_compile(work->engine->isolate, &source, &script, &outcome, &work->error));
  add_time(&clock, &times->compile_ns);
  if (!compiled) return false;
  note_cache(work, outcome);
  bool ran = kiln__work_time_left(work, &options.timeout_ms) &&
             kiln__work_ok(work, kv8_script_run(script, work->engine->context, &options, ret_value,
                                                &work->error));
  add_time(&clock, &times->run_ns);
  return ran;
}

/* ---- function ----------------------------------------------------------------------------------
 */

/* Finds where the JSON value that starts at `at` ends: at a comma or bracket of the level it is on.
 * Whether it is JSON, V8's parser decides. */
static size_t value_end(kiln_span json, size_t at) {
  unsigned depth = 0;
  bool in_string = false;
  for (; at < json.length; at++) {
    char c = json.data[at];
    if (in_string) {
      if (c == '\\') at++;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      depth++;
    } else if (depth == 0 && (c == ',' || c == ']' || c == '}')) {
      return at;
    } else if (c == ']' || c == '}') {
      depth--;
    }
  }
  return json.length;
}

static size_t skip_space(kiln_span json, size_t at) {
  while (at < json.length && json.data[at] != '\0' && strchr(" \t\n\r", json.data[at])) at++;
  return at;
}

static bool fail_args(kiln_work *work, const char *reason) {
  kiln__work_fail(work, "ERR_INVALID_ARG_VALUE", "TypeError", "the arguments: %s", reason);
  return false;
}

/* Makes a value of each element of args_json, an array. */
static bool make_args(kiln_work *work, kv8_value **args, size_t *ret_count) {
  kiln_span json = work->job->args_json;
  size_t count = 0;
  size_t at = skip_space(json, 0);
  *ret_count = 0;
  if (json.length == 0) return true;
  if (at == json.length || json.data[at] != '[') return fail_args(work, "not a JSON array");
  at = skip_space(json, at + 1);
  bool more = at < json.length && json.data[at] != ']';
  while (more) {
    if (count == KILN_PARAMS_MAX) return fail_args(work, "more than 1024");
    size_t end = value_end(json, at);
    kv8_span element = {json.data + at, end - at};
    if (!kiln__work_ok(
            work, kv8_value_from_json(work->engine->context, element, &args[count], &work->error)))
      return false;
    count++;
    more = end < json.length && json.data[end] == ',';
    at = more ? end + 1 : end;
  }
  if (at >= json.length || json.data[at] != ']' || skip_space(json, at + 1) != json.length)
    return fail_args(work, "not a JSON array");
  *ret_count = count;
  return true;
}

static bool run_function(kiln_work *work, kv8_value **ret_value) {
  static kv8_span params[KILN_PARAMS_MAX];
  static kv8_value *args[KILN_PARAMS_MAX];
  const kiln_job *job = work->job;
  kiln_times *times = &work->result.times;
  kv8_function_options options = KV8_FUNCTION_OPTIONS_INIT;
  for (size_t i = 0; i < job->params_count; i++) params[i] = kiln__span(job->params[i]);
  options.params = params;
  options.params_count = job->params_count;
  kv8_source source = source_of(job);
  kv8_run_options run_options = KV8_RUN_OPTIONS_INIT;
  kv8_cache_outcome outcome = KV8_CACHE_NOT_OFFERED;
  kv8_function *function = NULL;
  size_t args_count = 0;
  uint64_t clock = kiln__now_ns();
  bool compiled = kiln__work_ok(work, kv8_function_compile(work->engine->context, &source, &options,
                                                           &function, &outcome, &work->error));
  add_time(&clock, &times->compile_ns);
  if (!compiled) return false;
  note_cache(work, outcome);
  bool ran = make_args(work, args, &args_count) &&
             kiln__work_time_left(work, &run_options.timeout_ms) &&
             kiln__work_ok(work, kv8_function_call(function, /* receiver= */ NULL,
                                                   (const kv8_value *const *)args, args_count,
                                                   &run_options, ret_value, &work->error));
  add_time(&clock, &times->run_ns);
  return ran;
}

/* ---- modules -----------------------------------------------------------------------------------
 */

typedef struct graph {
  const kiln_job_source **by_name; /* the job's modules, sorted */
  kv8_module **modules;            /* as by_name, NULL until asked for; last: the root */
  size_t *pending;                 /* compiled, requests not yet looked at */
  size_t pending_count;
  kv8_module **answers; /* of one module's requests */
  size_t answers_capacity;
} graph;

static int compare_spans(kiln_span a, kiln_span b) {
  size_t shorter = a.length < b.length ? a.length : b.length;
  int order = shorter > 0 ? memcmp(a.data, b.data, shorter) : 0;
  return order != 0 ? order : (a.length > b.length) - (a.length < b.length);
}

static int compare_sources(const void *a, const void *b) {
  return compare_spans((*(const kiln_job_source *const *)a)->name,
                       (*(const kiln_job_source *const *)b)->name);
}

static void *need(void *memory) {
  if (!memory) _exit(KILN_EXIT_MEMORY_LIMIT);
  return memory;
}

static void graph_init(graph *g, const kiln_job *job) {
  size_t count = job->modules_count;
  g->by_name = need(calloc(count + 1, sizeof(*g->by_name)));
  g->modules = need(calloc(count + 1, sizeof(*g->modules)));
  g->pending = need(calloc(count + 1, sizeof(*g->pending)));
  for (size_t i = 0; i < count; i++) g->by_name[i] = &job->modules[i];
  qsort(g->by_name, count, sizeof(*g->by_name), compare_sources);
}

static bool compile_into(kiln_work *work, graph *g, size_t index, const kv8_source *source) {
  kv8_cache_outcome outcome = KV8_CACHE_NOT_OFFERED;
  if (!kiln__work_ok(work, kv8_module_compile(work->engine->context, source, &g->modules[index],
                                              &outcome, &work->error)))
    return false;
  if (index == work->job->modules_count) note_cache(work, outcome);
  g->pending[g->pending_count++] = index;
  return true;
}

static int clip(size_t length) {
  return length < 80 ? (int)length : 80;
}

/* Finds the module a request names, exactly; compiles it at first sight. */
static bool resolve(kiln_work *work, graph *g, const kv8_module *referrer, kv8_span specifier,
                    kv8_module **ret_module) {
  kiln_job_source wanted = {.name = {specifier.data, specifier.length}};
  const kiln_job_source *key = &wanted;
  const kiln_job_source **found =
      bsearch(&key, g->by_name, work->job->modules_count, sizeof(*g->by_name), compare_sources);
  if (!found) {
    kv8_span from = kv8_module_get_identifier(referrer);
    kiln__work_fail(work, "ERR_VM_MODULE_LINK_FAILURE", "Error",
                    "module '%.*s' imported by '%.*s': not found", clip(specifier.length),
                    specifier.data, clip(from.length), from.data);
    return false;
  }
  size_t index = (size_t)(found - g->by_name);
  kv8_source source = kiln__source((*found)->source, (*found)->name);
  if (!g->modules[index] && !compile_into(work, g, index, &source)) return false;
  *ret_module = g->modules[index];
  return true;
}

static bool link_one(kiln_work *work, graph *g, kv8_module *module) {
  size_t count = kv8_module_get_request_count(module);
  if (count > g->answers_capacity) {
    g->answers = need(realloc(g->answers, count * sizeof(*g->answers)));
    g->answers_capacity = count;
  }
  for (size_t i = 0; i < count; i++) {
    kv8_module_request request;
    if (!kiln__work_ok(work, kv8_module_get_request(module, i, &request, &work->error)) ||
        !resolve(work, g, module, request.specifier, &g->answers[i]))
      return false;
  }
  return kiln__work_ok(work, kv8_module_link_requests(module, g->answers, count, &work->error));
}

static bool build_graph(kiln_work *work, graph *g) {
  unsigned left;
  size_t root = work->job->modules_count;
  kv8_source source = source_of(work->job);
  if (!compile_into(work, g, root, &source)) return false;
  while (g->pending_count > 0) {
    if (!kiln__work_time_left(work, &left)) return false;
    if (!link_one(work, g, g->modules[g->pending[--g->pending_count]])) return false;
  }
  return kiln__work_ok(work, kv8_module_instantiate(g->modules[root], &work->error));
}

bool kiln__work_run_module(kiln_work *work, kv8_value **ret_value) {
  kiln_times *times = &work->result.times;
  graph g = {0};
  kv8_run_options options = KV8_RUN_OPTIONS_INIT;
  kv8_promise_state state = KV8_PROMISE_FULFILLED;
  uint64_t clock = kiln__now_ns();
  graph_init(&g, work->job);
  bool built = build_graph(work, &g);
  kv8_module *root = g.modules[work->job->modules_count];
  add_time(&clock, &times->compile_ns);
  if (!built) return false;
  bool ran = kiln__work_time_left(work, &options.timeout_ms) &&
             kiln__work_ok(work, kv8_module_evaluate(root, &options, &state, &work->error));
  add_time(&clock, &times->run_ns);
  if (!ran) return false;
  if (state == KV8_PROMISE_PENDING) {
    kiln__work_fail(work, "ERR_UNSETTLED_TOP_LEVEL_AWAIT", "Error",
                    "the module's top-level await never settled");
    return false;
  }
  return kiln__work_ok(work, kv8_module_copy_namespace(root, ret_value, &work->error));
}

/* ---- what came of it ---------------------------------------------------------------------------
 */

static bool write_json(kiln_work *work, const kv8_value *value, kiln_bytes **ret_json) {
  kv8_json_options options = KV8_JSON_OPTIONS_INIT;
  kv8_blob json = {0};
  kv8_context *context = work->engine->context;
  options.max_bytes = work->job->result_max_bytes;
  if (!kiln__work_time_left(work, &options.timeout_ms)) return false;
  kv8_status status = value ? kv8_value_to_json(context, value, &options, &json, &work->error)
                            : kv8_context_globals_to_json(context, &options, &json, &work->error);
  if (!kiln__work_ok(work, status)) return false;
  *ret_json = kiln__bytes_from_blob(&json);
  return true;
}

static void write_results(kiln_work *work, const kv8_value *value) {
  kiln_job_result *result = &work->result;
  uint64_t clock = kiln__now_ns();
  if (!write_json(work, value, &result->result_json) ||
      !write_json(work, /* value= */ NULL, &result->globals_json)) {
    /* Half an answer would look like a whole one. */
    kiln_bytes_unref(result->result_json);
    result->result_json = NULL;
  }
  add_time(&clock, &result->times.serialize_ns);
}

void kiln__work_run(kiln_work *work) {
  kv8_value *value = NULL;
  kiln_text heap = {0};
  bool ran = false;
  work->engine->console.on = true;
  if (kiln__work_configure(work)) {
    switch (work->job->kind) {
      case KILN_SCRIPT:
        ran = run_script(work, &value);
        break;
      case KILN_FUNCTION:
        ran = run_function(work, &value);
        break;
      case KILN_MODULE:
        ran = kiln__work_run_module(work, &value);
        break;
    }
  }
  if (ran) write_results(work, value);
  kiln__put_heap_statistics(work, &heap);
  work->result.memory_json = kiln__bytes_from_text(&heap);
}
