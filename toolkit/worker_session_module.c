/* SPDX-License-Identifier: MIT
 *
 * worker_session_module.c: a session's commands about modules, but linking
 * (worker_session_link.c).
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "toolkit/worker_session.h"

struct kiln__given {
  kiln__object *context; /* referenced */
  kv8_value *object;
  kv8_value *keys; /* an array; the object itself if that is one: then they have no values */
  uint32_t count;
};

void kiln__given_release(kiln__given *g) {
  kv8_value_free(g->object);
  kv8_value_free(g->keys);
  kiln__object_unref(g->context);
  free(g);
}

/* NULL: the command has failed. */
static kiln__given *given_new(kiln__session *session, kiln__object *context, kiln_span json) {
  kiln_work *work = &session->work;
  kiln__given *g = calloc(1, sizeof(*g));
  if (!g) _exit(KILN_EXIT_MEMORY_LIMIT);
  g->context = kiln__object_ref(context);
  kv8_context *at = context->as_context;
  bool good =
      kiln__work_ok(work, json.length > 0
                              ? kv8_value_from_json(at, kiln__span(json), &g->object, &work->error)
                              : kv8_object(at, /* prototype= */ NULL, &g->object, &work->error)) &&
      kiln__work_ok(work, kv8_value_is(g->object, KV8_CLASS_ARRAY)
                              ? kv8_value_copy(g->object, &g->keys, &work->error)
                              : kv8_object_get_own_keys(at, g->object, KV8_KEYS_ENUMERABLE,
                                                        &g->keys, &work->error)) &&
      kiln__work_ok(work, kv8_array_get_length(g->keys, &g->count, &work->error));
  if (good) return g;
  kiln__given_release(g);
  return NULL;
}

/* Its key and value; both are to be freed in any case. */
static kv8_status given_get(const kiln__given *g, uint32_t index, kv8_value **ret_key,
                            kv8_value **ret_value, kv8_error *err) {
  kv8_context *at = g->context->as_context;
  kv8_status status = kv8_object_get_index(at, g->keys, index, ret_key, err);
  return status == KV8_OK ? kv8_object_get(at, g->object, *ret_key, ret_value, err) : status;
}

void kiln__given_fill(const kiln__given *g, const kv8_value *object, kv8_value **ret_exception) {
  kv8_context *at = g->context->as_context;
  kv8_status status = KV8_OK;
  kv8_error error;
  for (uint32_t i = 0; status == KV8_OK && i < g->count; i++) {
    kv8_value *key = NULL, *value = NULL;
    status = given_get(g, i, &key, &value, &error);
    if (status == KV8_OK) status = kv8_object_set(at, object, key, value, &error);
    kv8_value_free(key);
    kv8_value_free(value);
  }
  if (status != KV8_OK)
    kv8_error_object(at, KV8_ERROR, kv8_span_from(error.code), kv8_span_from(error.message),
                     ret_exception, /* err= */ NULL);
}

static void release_given(void *user) {
  kiln__given_release(user);
}

/* kv8_synthetic_options.evaluate */
static kv8_status set_exports(void *user, kv8_module *module, kv8_value **ret_exception,
                              kv8_error *err) {
  const kiln__given *g = user;
  kv8_status status = KV8_OK;
  (void)ret_exception;
  for (uint32_t i = 0; status == KV8_OK && i < g->count; i++) {
    kv8_value *key = NULL, *value = NULL;
    kv8_blob name = {0};
    status = given_get(g, i, &key, &value, err);
    if (status == KV8_OK) status = kv8_value_copy_text(key, &name, err);
    if (status == KV8_OK)
      status = kv8_module_set_export(module, (kv8_span){(const char *)name.data, name.length},
                                     value, err);
    kv8_blob_free(&name);
    kv8_value_free(key);
    kv8_value_free(value);
  }
  return status;
}

/* ---- making ---------------------------------------------------------------------------------- */

static void add_module(kiln__session *session, kiln__object *module) {
  kiln__session_add(session, module);
  kiln__session_put_module(session, module, /* with_namespace= */ false);
}

void kiln__session_module_create(kiln__session *session) {
  kiln_work *work = &session->work;
  const kiln_frame *frame = session->frame;
  kiln__object *context = kiln__session_find(session, frame->context, KILN__CONTEXT);
  kv8_source source = kiln__session_source(session);
  kv8_hooks hooks = KV8_HOOKS_INIT;
  kiln__given *meta = NULL;
  kv8_cache_outcome outcome = KV8_CACHE_NOT_OFFERED;
  if (!context || !kiln__session_has_room(session)) return;
  if (frame->initialize_meta_json.length > 0) {
    meta = given_new(session, context, frame->initialize_meta_json);
    if (!meta) return;
  }
  if (!kiln__session_hook(session, meta, &hooks, &source)) return;
  kiln__object *module = kiln__object_new(KILN__MODULE, context);
  uint64_t began = kiln__now_ns();
  bool compiled = kiln__work_ok(
      work,
      kv8_module_compile(context->as_context, &source, &module->as_module, &outcome, &work->error));
  work->result.times.compile_ns = kiln__now_ns() - began;
  if (!compiled) {
    kiln__object_unref(module);
    return;
  }
  kiln__session_note_cache(session, outcome);
  size_t count = kv8_module_get_request_count(module->as_module);
  module->answers = calloc(count + 1, sizeof(*module->answers));
  if (!module->answers) _exit(KILN_EXIT_MEMORY_LIMIT);
  add_module(session, module);
}

void kiln__session_module_create_synthetic(kiln__session *session) {
  kiln_work *work = &session->work;
  const kiln_frame *frame = session->frame;
  kiln__object *context = kiln__session_find(session, frame->context, KILN__CONTEXT);
  kv8_synthetic_options options = KV8_SYNTHETIC_OPTIONS_INIT;
  if (!context || !kiln__session_has_room(session)) return;
  kiln__given *exports = given_new(session, context, frame->exports_json);
  if (!exports) return;
  uint32_t count = exports->count;
  kv8_blob *texts = calloc(count + 1, sizeof(*texts));
  kv8_span *names = calloc(count + 1, sizeof(*names));
  if (!texts || !names) _exit(KILN_EXIT_MEMORY_LIMIT);
  bool good = true;
  for (uint32_t i = 0; good && i < count; i++) {
    kv8_value *key = NULL, *value = NULL;
    good = kiln__work_ok(work, given_get(exports, i, &key, &value, &work->error)) &&
           kiln__work_ok(work, kv8_value_copy_text(key, &texts[i], &work->error));
    names[i] = (kv8_span){(const char *)texts[i].data, texts[i].length};
    kv8_value_free(key);
    kv8_value_free(value);
  }
  options.identifier = kiln__span(frame->filename);
  options.export_names = names;
  options.export_names_count = count;
  if (!kv8_value_is(exports->object, KV8_CLASS_ARRAY)) options.evaluate = set_exports;
  options.user = exports;
  options.release = release_given;
  if (!good) kiln__given_release(exports);
  kiln__object *module = kiln__object_new(KILN__MODULE, context);
  if (good && kiln__work_ok(work, kv8_module_synthetic(context->as_context, &options,
                                                       &module->as_module, &work->error)))
    add_module(session, module);
  else
    kiln__object_unref(module);
  for (uint32_t i = 0; i < count; i++) kv8_blob_free(&texts[i]);
  free(texts);
  free(names);
}

/* ---- evaluating ------------------------------------------------------------------------------ */

void kiln__session_module_evaluate(kiln__session *session) {
  kiln_work *work = &session->work;
  kiln__object *module = kiln__session_find(session, session->frame->object, KILN__MODULE);
  kv8_run_options options = KV8_RUN_OPTIONS_INIT;
  kv8_promise_state state = KV8_PROMISE_FULFILLED;
  if (!module) return;
  /* Linked, but not instantiated: something that it reaches was not linked yet, or instantiation
   * failed. Why, is to be heard here. */
  if (module->answered && kv8_module_get_status(module->as_module) == KV8_MODULE_UNLINKED &&
      !kiln__work_ok(work, kv8_module_instantiate(module->as_module, &work->error))) {
    kiln__session_put_module(session, module, /* with_namespace= */ false);
    return;
  }
  uint64_t began = kiln__now_ns();
  bool ran =
      kiln__work_time_left(work, &options.timeout_ms) &&
      kiln__work_ok(work, kv8_module_evaluate(module->as_module, &options, &state, &work->error));
  work->result.times.run_ns = kiln__now_ns() - began;
  if (ran && state == KV8_PROMISE_PENDING)
    kiln__work_fail(work, "ERR_UNSETTLED_TOP_LEVEL_AWAIT", "Error",
                    "the module's top-level await has not settled yet");
  kiln__session_put_module(session, module, /* with_namespace= */ false);
}

void kiln__session_module_set_export(kiln__session *session) {
  kiln_work *work = &session->work;
  const kiln_frame *frame = session->frame;
  kiln__object *module = kiln__session_find(session, frame->object, KILN__MODULE);
  kv8_value *value = NULL;
  if (!module) return;
  kv8_context *context = module->context->as_context;
  if (kiln__work_ok(work, frame->value_json.length > 0
                              ? kv8_value_from_json(context, kiln__span(frame->value_json), &value,
                                                    &work->error)
                              : kv8_undefined(work->engine->isolate, &value, &work->error)) &&
      kiln__work_ok(work, kv8_module_set_export(module->as_module, kiln__span(frame->name), value,
                                                &work->error)))
    kiln__session_put_module(session, module, /* with_namespace= */ false);
  kv8_value_free(value);
}

/* ---- its state ------------------------------------------------------------------------------- */

static void put_string_member(kiln_text *text, const char *before, const char *string) {
  kiln__text_puts(text, before);
  kiln__text_put_json_string(text, kv8_span_from(string));
}

static void put_request(kiln_text *text, const kv8_module_request *request) {
  kiln__text_puts(text, "{\"specifier\":");
  kiln__text_put_json_string(text, request->specifier);
  kiln__text_puts(text, ",\"attributes\":{");
  for (size_t i = 0; i < request->attributes_count; i++) {
    if (i > 0) kiln__text_puts(text, ",");
    kiln__text_put_json_string(text, request->attributes[i].key);
    kiln__text_puts(text, ":");
    kiln__text_put_json_string(text, request->attributes[i].value);
  }
  kiln__text_puts(text, "},\"phase\":");
  kiln__text_puts(text, request->phase == KV8_PHASE_SOURCE ? "\"source\"}" : "\"evaluation\"}");
}

/* Those that are open, or all. */
static void put_requests(kiln_text *text, const kiln__object *module, bool open) {
  size_t count = kv8_module_get_request_count(module->as_module);
  bool first = true;
  for (size_t i = 0; i < count; i++) {
    kv8_module_request request;
    if (open && (!module->answers || module->answers[i])) continue;
    if (kv8_module_get_request(module->as_module, i, &request, /* err= */ NULL) != KV8_OK) continue;
    if (!first) kiln__text_puts(text, ",");
    first = false;
    put_request(text, &request);
  }
}

static void put_error(kiln_text *text, const kv8_error *error) {
  const struct {
    const char *before;
    const char *string;
  } members[] = {{"\"code\":", error->code},
                 {"\"name\":", error->name},
                 {"\"message\":", error->message},
                 {"\"stack\":", error->stack}};
  const char *separator = "";
  kiln__text_puts(text, ",\"error\":{");
  for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
    if (members[i].string[0] == '\0') continue;
    kiln__text_puts(text, separator);
    put_string_member(text, members[i].before, members[i].string);
    separator = ",";
  }
  kiln__text_puts(text, "}");
}

/* False: the values of its exports could not be written, and the command has failed. */
static bool put_namespace(kiln__session *session, const kiln__object *module, kiln_text *text) {
  kiln_work *work = &session->work;
  kv8_json_options options = KV8_JSON_OPTIONS_INIT;
  kv8_value *space = NULL;
  kv8_blob json = {0};
  options.max_bytes = work->job->result_max_bytes;
  bool good =
      kiln__work_time_left(work, &options.timeout_ms) &&
      kiln__work_ok(work, kv8_module_copy_namespace(module->as_module, &space, &work->error)) &&
      kiln__work_ok(work, kv8_value_to_json(module->context->as_context, space, &options, &json,
                                            &work->error));
  if (good) {
    kiln__text_puts(text, ",\"namespace\":");
    kiln__text_put(text, (const char *)json.data, json.length);
  }
  kv8_blob_free(&json);
  kv8_value_free(space);
  return good;
}

/* As node:vm has it: V8 knows nothing of a link under way, and calls a module evaluated whose
 * top-level await still waits. */
static kv8_module_status status_of(const kiln__object *module) {
  kv8_module_status status = kv8_module_get_status(module->as_module);
  kv8_promise_state state = KV8_PROMISE_FULFILLED;
  kv8_value *promise = NULL;
  if (status == KV8_MODULE_UNLINKED && module->answers && !module->failed) {
    size_t count = kv8_module_get_request_count(module->as_module);
    for (size_t i = 0; i < count; i++)
      if (module->answers[i]) return KV8_MODULE_LINKING;
  }
  if (status != KV8_MODULE_EVALUATED) return status;
  if (kv8_module_copy_promise(module->as_module, &promise, /* err= */ NULL) == KV8_OK)
    kv8_promise_get(promise, &state, /* ret_result= */ NULL, /* err= */ NULL);
  kv8_value_free(promise);
  return state == KV8_PROMISE_PENDING ? KV8_MODULE_EVALUATING : status;
}

void kiln__session_put_module(kiln__session *session, kiln__object *module, bool with_namespace) {
  kiln_text text = {0};
  kv8_error error;
  kv8_module *it = module->as_module;
  kv8_module_status status = status_of(module);
  put_string_member(&text, "{\"status\":", kv8_module_status_name(status));
  kiln__text_puts(&text, ",\"identifier\":");
  kiln__text_put_json_string(&text, kv8_module_get_identifier(it));
  kiln__text_puts(&text,
                  kv8_module_is_synthetic(it) ? ",\"synthetic\":true" : ",\"synthetic\":false");
  kiln__text_puts(&text, ",\"moduleRequests\":[");
  put_requests(&text, module, /* open= */ false);
  kiln__text_puts(&text, "],\"openRequests\":[");
  put_requests(&text, module, /* open= */ true);
  kiln__text_puts(&text, "]");
  if (status == KV8_MODULE_ERRORED && kv8_module_get_error(it, &error, /* err= */ NULL) == KV8_OK)
    put_error(&text, &error);
  if (with_namespace && status >= KV8_MODULE_LINKED && !put_namespace(session, module, &text)) {
    free(text.data);
    return;
  }
  kiln__text_puts(&text, "}");
  session->work.result.module_json = kiln__bytes_from_text(&text);
}

void kiln__session_module_get(kiln__session *session) {
  bool of_context = session->frame->name.length > 0; /* "context": what there is to know of one */
  kiln__object *object = kiln__session_find(session, session->frame->object,
                                            of_context ? KILN__CONTEXT : KILN__MODULE);
  if (object && of_context) kiln__session_put_context(session, object);
  if (object && !of_context) kiln__session_put_module(session, object, /* with_namespace= */ true);
}
