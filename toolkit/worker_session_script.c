/* SPDX-License-Identifier: MIT
 *
 * worker_session_script.c: a session's commands about scripts and functions.
 */
#include <stdlib.h>
#include <unistd.h>

#include "toolkit/worker_session.h"

kv8_source kiln__session_source(const kiln__session *session) {
  const kiln_frame *frame = session->frame;
  kv8_source source = KV8_SOURCE_INIT;
  if (frame->source) source.text = kiln__span(kiln_bytes_get(frame->source));
  source.filename = kiln__span(frame->filename);
  source.line_offset = frame->line_offset;
  source.column_offset = frame->column_offset;
  if (frame->cached_data) source.cached_data = kiln__span(kiln_bytes_get(frame->cached_data));
  return source;
}

void kiln__session_note_cache(kiln__session *session, kv8_cache_outcome outcome) {
  if (outcome != KV8_CACHE_NOT_OFFERED)
    session->work.result.cached_data_rejected = outcome == KV8_CACHE_REJECTED;
}

void kiln__session_put_result(kiln__session *session, kv8_context *context, kv8_value *value) {
  kiln_work *work = &session->work;
  kv8_json_options options = KV8_JSON_OPTIONS_INIT;
  kv8_blob json = {0};
  uint64_t began = kiln__now_ns();
  options.max_bytes = work->job->result_max_bytes;
  /* Only objects have code that could run; the others need no deadline. */
  bool has_time = kv8_value_get_type(value) < KV8_TYPE_FUNCTION ||
                  kiln__work_time_left(work, &options.timeout_ms);
  if (has_time &&
      kiln__work_ok(work, kv8_value_to_json(context, value, &options, &json, &work->error)))
    work->result.result_json = kiln__bytes_from_blob(&json);
  kv8_value_free(value);
  work->result.times.serialize_ns = kiln__now_ns() - began;
}

/* ---- scripts --------------------------------------------------------------------------------- */

static bool compile(kiln__session *session, kv8_context *context, kv8_script **ret_script) {
  kiln_work *work = &session->work;
  kv8_source source = kiln__session_source(session);
  kv8_hooks hooks = KV8_HOOKS_INIT;
  kv8_cache_outcome outcome = KV8_CACHE_NOT_OFFERED;
  if (!kiln__session_hook(session, /* meta= */ NULL, &hooks, &source)) return false;
  uint64_t began = kiln__now_ns();
  source.context = context;
  bool compiled = kiln__work_ok(
      work, kv8_script_compile(work->engine->isolate, &source, ret_script, &outcome, &work->error));
  work->result.times.compile_ns = kiln__now_ns() - began;
  if (compiled) kiln__session_note_cache(session, outcome);
  return compiled;
}

static void run(kiln__session *session, kv8_script *script, kv8_context *context) {
  kiln_work *work = &session->work;
  kv8_run_options options = KV8_RUN_OPTIONS_INIT;
  kv8_value *value = NULL;
  uint64_t began = kiln__now_ns();
  bool ran = kiln__work_time_left(work, &options.timeout_ms) &&
             kiln__work_ok(work, kv8_script_run(script, context, &options, &value, &work->error));
  work->result.times.run_ns = kiln__now_ns() - began;
  if (ran) kiln__session_put_result(session, context, value);
}

void kiln__session_context_run(kiln__session *session) {
  kiln__object *context = kiln__session_find(session, session->frame->object, KILN__CONTEXT);
  kv8_script *script = NULL;
  if (!context || !compile(session, context->as_context, &script)) return;
  run(session, script, context->as_context);
  kv8_script_free(script);
}

void kiln__session_script_create(kiln__session *session) {
  kiln_work *work = &session->work;
  kv8_blob url = {0};
  kiln_text text = {0};
  if (!kiln__session_has_room(session)) return;
  kiln__object *script = kiln__object_new(KILN__SCRIPT, /* context= */ NULL);
  if (!compile(session, /* context= */ NULL, &script->as_script)) {
    kiln__object_unref(script);
    return;
  }
  if (kv8_script_copy_source_map_url(script->as_script, &url, /* err= */ NULL) == KV8_OK &&
      url.length > 0) {
    kiln__text_puts(&text, "{\"sourceMapURL\":");
    kiln__text_put_json_string(&text, (kv8_span){(const char *)url.data, url.length});
    kiln__text_puts(&text, "}");
    work->result.module_json = kiln__bytes_from_text(&text);
  }
  kv8_blob_free(&url);
  kiln__session_add(session, script);
}

void kiln__session_script_run(kiln__session *session) {
  kiln__object *script = kiln__session_find(session, session->frame->object, KILN__SCRIPT);
  kiln__object *context =
      script ? kiln__session_find(session, session->frame->context, KILN__CONTEXT) : NULL;
  if (context) run(session, script->as_script, context->as_context);
}

void kiln__session_create_cached_data(kiln__session *session) {
  kiln_work *work = &session->work;
  kiln__object *object = kiln__session_find_any(session, session->frame->object);
  kv8_blob blob = {0};
  kv8_status status = KV8_OK;
  if (!object) return;
  switch (object->kind) {
    case KILN__CONTEXT:
      kiln__session_refuse(session, KILN_EINVAL, "ERR_INVALID_ARG_TYPE",
                           "createCachedData: a context has none");
      return;
    case KILN__SCRIPT:
      status = kv8_script_create_cached_data(object->as_script, &blob, &work->error);
      break;
    case KILN__FUNCTION:
      status = kv8_function_create_cached_data(object->as_function, &blob, &work->error);
      break;
    case KILN__MODULE:
      status = kv8_module_create_cached_data(object->as_module, &blob, &work->error);
      break;
  }
  if (kiln__work_ok(work, status)) work->result.blob = kiln__bytes_from_blob(&blob);
}

/* ---- functions ------------------------------------------------------------------------------- */

/* The values of a JSON array. */
typedef struct values {
  kv8_value **list;
  size_t count;
} values;

static void free_values(values *v) {
  for (size_t i = 0; i < v->count; i++) kv8_value_free(v->list[i]);
  free(v->list);
}

static bool parse_list(kiln__session *session, kv8_context *context, kiln_span json,
                       const char *what, values *ret_values) {
  kiln_work *work = &session->work;
  kv8_value *array = NULL;
  uint32_t length = 0;
  *ret_values = (values){0};
  if (json.length == 0) return true;
  if (!kiln__work_ok(work, kv8_value_from_json(context, kiln__span(json), &array, &work->error)))
    return false;
  if (kv8_array_get_length(array, &length, /* err= */ NULL) != KV8_OK || length > KILN_PARAMS_MAX) {
    kv8_value_free(array);
    kiln__session_refuse(session, KILN_EINVAL, /* code= */ NULL,
                         "%s: not a JSON array of at most %d values", what, KILN_PARAMS_MAX);
    return false;
  }
  values v = {.list = calloc(length + 1, sizeof(*v.list))};
  if (!v.list) _exit(KILN_EXIT_MEMORY_LIMIT);
  bool good = true;
  while (good && v.count < length) {
    good = kiln__work_ok(work, kv8_object_get_index(context, array, (uint32_t)v.count,
                                                    &v.list[v.count], &work->error));
    if (good) v.count++;
  }
  kv8_value_free(array);
  if (good)
    *ret_values = v;
  else
    free_values(&v);
  return good;
}

static bool are_objects(kiln__session *session, const values *v) {
  for (size_t i = 0; i < v->count; i++) {
    if (kv8_value_get_type(v->list[i]) == KV8_TYPE_OBJECT) continue;
    kiln__work_fail(&session->work, "ERR_INVALID_ARG_TYPE", "TypeError",
                    "The \"options.contextExtensions[%zu]\" property must be of type object", i);
    return false;
  }
  return true;
}

static bool compile_function(kiln__session *session, kv8_context *context, const values *extensions,
                             kv8_function **ret_function) {
  static kv8_span params[KILN_PARAMS_MAX];
  kiln_work *work = &session->work;
  const kiln_frame *frame = session->frame;
  kv8_function_options options = KV8_FUNCTION_OPTIONS_INIT;
  kv8_source source = kiln__session_source(session);
  kv8_hooks hooks = KV8_HOOKS_INIT;
  kv8_cache_outcome outcome = KV8_CACHE_NOT_OFFERED;
  for (size_t i = 0; i < frame->params_count; i++) params[i] = kiln__span(frame->params[i]);
  options.params = params;
  options.params_count = frame->params_count;
  options.context_extensions = (const kv8_value *const *)extensions->list;
  options.context_extensions_count = extensions->count;
  if (!kiln__session_hook(session, /* meta= */ NULL, &hooks, &source)) return false;
  uint64_t began = kiln__now_ns();
  bool compiled = kiln__work_ok(
      work, kv8_function_compile(context, &source, &options, ret_function, &outcome, &work->error));
  work->result.times.compile_ns = kiln__now_ns() - began;
  if (compiled) kiln__session_note_cache(session, outcome);
  return compiled;
}

void kiln__session_function_create(kiln__session *session) {
  kiln__object *context = kiln__session_find(session, session->frame->context, KILN__CONTEXT);
  values extensions;
  if (!context || !kiln__session_has_room(session) ||
      !parse_list(session, context->as_context, session->frame->extensions_json,
                  "contextExtensions", &extensions))
    return;
  kiln__object *function = kiln__object_new(KILN__FUNCTION, context);
  if (are_objects(session, &extensions) &&
      compile_function(session, context->as_context, &extensions, &function->as_function))
    kiln__session_add(session, function);
  else
    kiln__object_unref(function);
  free_values(&extensions);
}

void kiln__session_function_call(kiln__session *session) {
  kiln_work *work = &session->work;
  kiln__object *function = kiln__session_find(session, session->frame->object, KILN__FUNCTION);
  kv8_run_options options = KV8_RUN_OPTIONS_INIT;
  kv8_value *receiver = NULL, *value = NULL;
  kiln_span this_json = session->frame->this_json;
  values args;
  if (!function) return;
  kv8_context *context = function->context->as_context;
  if (!parse_list(session, context, session->frame->args_json, "args", &args)) return;
  uint64_t began = kiln__now_ns();
  bool ran = (this_json.length == 0 ||
              kiln__work_ok(work, kv8_value_from_json(context, kiln__span(this_json), &receiver,
                                                      &work->error))) &&
             kiln__work_time_left(work, &options.timeout_ms) &&
             kiln__work_ok(work, kv8_function_call(function->as_function, receiver,
                                                   (const kv8_value *const *)args.list, args.count,
                                                   &options, &value, &work->error));
  work->result.times.run_ns = kiln__now_ns() - began;
  if (ran) kiln__session_put_result(session, context, value);
  kv8_value_free(receiver);
  free_values(&args);
}
