/* SPDX-License-Identifier: MIT
 *
 * worker_session.c: a worker that lives on: takes commands until its channel closes, and keeps the
 * objects they make. What the commands do is worker_session_script.c and worker_session_module.c.
 * Memory that runs out ends the process: there is no session without its heap.
 */
#include "toolkit/worker_session.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "toolkit/sandbox.h"

/* ---- objects --------------------------------------------------------------------------------- */

void kiln__session_refuse(kiln__session *session, kiln_status status, const char *code,
                          const char *format, ...) {
  char message[256];
  va_list args;
  va_start(args, format);
  vsnprintf(message, sizeof(message), format, args);
  va_end(args);
  kiln_status known = status == KILN_NOT_FOUND || status == KILN_ETOOBIG ? status : KILN_EINVAL;
  static const char *const codes[] = {"ERR_NOT_FOUND", "ERR_TOO_LARGE", "ERR_INVALID_ARG_VALUE"};
  unsigned which = known == KILN_NOT_FOUND ? 0 : known == KILN_ETOOBIG ? 1 : 2;
  kiln__work_fail(&session->work, code ? code : codes[which], "Error", "%s", message);
  session->work.result.refusal = known;
}

static kiln__object **slot_of(kiln__session *session, uint64_t number) {
  if (number == 0) return NULL;
  uint64_t slot = (number - 1) % KILN_SESSION_OBJECTS_MAX;
  uint64_t generation = (number - 1) / KILN_SESSION_OBJECTS_MAX;
  /* generations[] has moved on when this number was given out. */
  if (!session->slots[slot] || (uint64_t)session->generations[slot] != generation + 1) return NULL;
  return &session->slots[slot];
}

static const char *const kind_names[] = {"context", "script", "function", "module"};

kiln__object *kiln__session_find_any(kiln__session *session, uint64_t number) {
  kiln__object **slot = slot_of(session, number);
  kiln_span name = session->frame->name;
  bool is_named = session->frame->op == KILN_OBJECT_DELETE ||
                  session->frame->op == KILN_OBJECT_CREATE_CACHED_DATA;
  if (slot && (!is_named || name.length == 0)) return *slot;
  if (slot && strlen(kind_names[(*slot)->kind]) == name.length &&
      memcmp(kind_names[(*slot)->kind], name.data, name.length) == 0)
    return *slot;
  kiln__session_refuse(session, KILN_NOT_FOUND, /* code= */ NULL,
                       "object %" PRIu64 ": the session has none of this id", number);
  return NULL;
}

kiln__object *kiln__session_find(kiln__session *session, uint64_t number, kiln__object_kind kind) {
  kiln__object *object = kiln__session_find_any(session, number);
  if (!object || object->kind == kind) return object;
  kiln__session_refuse(session, KILN_EINVAL, "ERR_INVALID_ARG_TYPE",
                       "object %" PRIu64 ": is a %s, not a %s", number, kind_names[object->kind],
                       kind_names[kind]);
  return NULL;
}

kiln__object *kiln__object_new(kiln__object_kind kind, kiln__object *context) {
  kiln__object *object = calloc(1, sizeof(*object));
  if (!object) _exit(KILN_EXIT_MEMORY_LIMIT);
  object->kind = kind;
  object->refs = 1;
  object->context = context ? kiln__object_ref(context) : NULL;
  return object;
}

kiln__object *kiln__object_ref(kiln__object *object) {
  object->refs++;
  return object;
}

static void forget_answers(kiln__object *object) {
  if (!object->answers) return;
  kiln__object **answers = object->answers;
  size_t count = kv8_module_get_request_count(object->as_module);
  object->answers = NULL;
  for (size_t i = 0; i < count; i++) kiln__object_unref(answers[i]);
  free(answers);
}

void kiln__object_unref(kiln__object *object) {
  if (!object || --object->refs > 0) return;
  forget_answers(object);
  kv8_module_free(object->as_module);
  kv8_function_free(object->as_function);
  kv8_script_free(object->as_script);
  kv8_context_free(object->as_context);
  kiln__object_unref(object->context);
  free(object);
}

bool kiln__session_has_room(kiln__session *session) {
  if (session->objects < KILN_SESSION_OBJECTS_MAX) return true;
  kiln__session_refuse(session, KILN_ETOOBIG, /* code= */ NULL,
                       "session: %d objects are alive, limit %d; delete some",
                       KILN_SESSION_OBJECTS_MAX, KILN_SESSION_OBJECTS_MAX);
  return false;
}

void kiln__session_add(kiln__session *session, kiln__object *object) {
  size_t slot = session->freed_count > 0 ? session->freed[--session->freed_count] : session->used++;
  session->slots[slot] = object;
  session->work.result.object =
      (uint64_t)session->generations[slot]++ * KILN_SESSION_OBJECTS_MAX + slot + 1;
  session->objects++;
}

static void delete_object(kiln__session *session) {
  if (!kiln__session_find_any(session, session->frame->object)) return;
  kiln__object **slot = slot_of(session, session->frame->object);
  kiln__object *object = *slot;
  *slot = NULL;
  session->freed[session->freed_count++] = (uint16_t)(slot - session->slots);
  session->objects--;
  /* Modules may answer each other: from instantiation on V8 keeps what it needs. */
  if (object->kind == KILN__MODULE &&
      kv8_module_get_status(object->as_module) != KV8_MODULE_UNLINKED)
    forget_answers(object);
  kiln__object_unref(object);
}

/* ---- contexts -------------------------------------------------------------------------------- */

/* The context nobody sees. Objects to contextify inherit from its Object.prototype, which no guest
 * may have changed. */
static bool make_home(kiln__session *session) {
  kiln_work *work = &session->work;
  kv8_context_options options = KV8_CONTEXT_OPTIONS_INIT;
  options.name = kv8_span_from("main");
  if (session->home) return true;
  if (session->ready_context_taken)
    return kiln__work_ok(
        work, kv8_context_new(work->engine->isolate, &options, &session->home, &work->error));
  if (!kiln__work_ok(work, kv8_context_configure(work->engine->context, &options, &work->error)))
    return false;
  session->ready_context_taken = true;
  session->home = work->engine->context;
  return true;
}

static bool make_context(kiln__session *session, kv8_context_options *options,
                         kv8_context **ret_context) {
  kiln_work *work = &session->work;
  kiln_engine *engine = work->engine;
  kv8_value *object = NULL;
  if (session->frame->contextified) {
    if (!make_home(session) || !kiln__work_ok(work, kv8_object(session->home, /* prototype= */ NULL,
                                                               &object, &work->error)))
      return false;
    options->contextify = object;
  } else if (!session->ready_context_taken) {
    session->ready_context_taken = true;
    *ret_context = engine->context;
    return kiln__work_ok(work, kv8_context_configure(engine->context, options, &work->error));
  }
  bool made =
      kiln__work_ok(work, kv8_context_new(engine->isolate, options, ret_context, &work->error));
  kv8_value_free(object);
  return made;
}

void kiln__session_put_context(kiln__session *session, const kiln__object *context) {
  kiln_text text = {0};
  kv8_span origin = kv8_context_get_origin(context->as_context);
  kiln__text_puts(&text, "{\"name\":");
  kiln__text_put_json_string(&text, kv8_context_get_name(context->as_context));
  if (origin.length > 0) {
    kiln__text_puts(&text, ",\"origin\":");
    kiln__text_put_json_string(&text, origin);
  }
  kiln__text_puts(&text, "}");
  session->work.result.module_json = kiln__bytes_from_text(&text);
}

static void add_context(kiln__session *session, kiln__object *context) {
  kiln__session_add(session, context);
  kiln__session_put_context(session, context);
}

void kiln__session_context_create(kiln__session *session) {
  kiln_work *work = &session->work;
  const kiln_frame *frame = session->frame;
  char name[32];
  kv8_context_options options = KV8_CONTEXT_OPTIONS_INIT;
  if (!kiln__session_has_room(session)) return;
  snprintf(name, sizeof(name), "VM Context %u", ++session->contexts_made);
  options.name =
      frame->context_name.length > 0 ? kiln__span(frame->context_name) : kv8_span_from(name);
  options.origin = kiln__span(frame->context_origin);
  options.strings = frame->deny_strings ? KV8_DENY : KV8_ALLOW;
  options.wasm = frame->deny_wasm ? KV8_DENY : KV8_ALLOW;
  options.microtask_mode =
      frame->microtasks_after_evaluate ? KV8_MICROTASKS_AFTER_EVALUATE : KV8_MICROTASKS_SHARED;
  options.on_console = kiln__console_write;
  options.on_console_user = &work->engine->console;
  kiln__object *object = kiln__object_new(KILN__CONTEXT, /* context= */ NULL);
  if (make_context(session, &options, &object->as_context) &&
      (frame->globals_json.length == 0 ||
       kiln__work_ok(work, kv8_context_set_globals_json(
                               object->as_context, kiln__span(frame->globals_json), &work->error))))
    add_context(session, object);
  else
    kiln__object_unref(object);
}

void kiln__session_context_globals(kiln__session *session) {
  kiln_work *work = &session->work;
  kiln__object *context = kiln__session_find(session, session->frame->object, KILN__CONTEXT);
  kv8_json_options options = KV8_JSON_OPTIONS_INIT;
  kv8_blob json = {0};
  options.max_bytes = work->job->result_max_bytes;
  if (context && kiln__work_time_left(work, &options.timeout_ms) &&
      kiln__work_ok(
          work, kv8_context_globals_to_json(context->as_context, &options, &json, &work->error)))
    work->result.globals_json = kiln__bytes_from_blob(&json);
}

void kiln__session_context_measure(kiln__session *session) {
  kiln_work *work = &session->work;
  kiln__object *context = kiln__session_find(session, session->frame->object, KILN__CONTEXT);
  kv8_measure_options options = KV8_MEASURE_OPTIONS_INIT;
  kv8_memory memory;
  kiln_text text = {0};
  if (!context || !kiln__work_time_left(work, &options.timeout_ms)) return;
  options.mode = session->frame->detailed ? KV8_MEASURE_DETAILED : KV8_MEASURE_SUMMARY;
  options.execution = session->frame->eager ? KV8_MEASURE_EAGER : KV8_MEASURE_DEFAULT;
  if (!kiln__work_ok(work,
                     kv8_measure_memory(context->as_context, &options, &memory, &work->error)))
    return;
  kiln__put_memory(work, &text, &memory);
  kv8_memory_free(&memory);
  work->result.memory_json = kiln__bytes_from_text(&text);
}

/* ---- life ------------------------------------------------------------------------------------ */

static void perform(kiln__session *session) {
  switch (session->frame->op) {
    case KILN_CONTEXT_CREATE:
      kiln__session_context_create(session);
      break;
    case KILN_CONTEXT_RUN:
      kiln__session_context_run(session);
      break;
    case KILN_CONTEXT_GLOBALS:
      kiln__session_context_globals(session);
      break;
    case KILN_CONTEXT_MEASURE:
      kiln__session_context_measure(session);
      break;
    case KILN_SCRIPT_CREATE:
      kiln__session_script_create(session);
      break;
    case KILN_SCRIPT_RUN:
      kiln__session_script_run(session);
      break;
    case KILN_OBJECT_CREATE_CACHED_DATA:
      kiln__session_create_cached_data(session);
      break;
    case KILN_FUNCTION_CREATE:
      kiln__session_function_create(session);
      break;
    case KILN_FUNCTION_CALL:
      kiln__session_function_call(session);
      break;
    case KILN_MODULE_CREATE:
      kiln__session_module_create(session);
      break;
    case KILN_MODULE_CREATE_SYNTHETIC:
      kiln__session_module_create_synthetic(session);
      break;
    case KILN_MODULE_LINK:
      kiln__session_module_link(session);
      break;
    case KILN_MODULE_EVALUATE:
      kiln__session_module_evaluate(session);
      break;
    case KILN_MODULE_GET:
      kiln__session_module_get(session);
      break;
    case KILN_MODULE_SET_EXPORT:
      kiln__session_module_set_export(session);
      break;
    case KILN_OBJECT_DELETE:
      delete_object(session);
      break;
    case KILN_COMMAND_OPS: /* refused by the decoder */
      break;
  }
}

static void answer(kiln__session *session) {
  kiln_work *work = &session->work;
  kiln_console *console = &work->engine->console;
  kiln_wire_out out;
  if (console->text.length > 0) {
    kiln__text_puts(&console->text, "]");
    work->result.console_json = kiln__bytes_from_text(&console->text);
  }
  work->result.console_truncated = console->truncated;
  work->result.objects = session->objects;
  if (!kiln__job_result_encode(&work->result, &out)) _exit(KILN_EXIT_MEMORY_LIMIT);
  if (kiln__wire_send(KILN_CHANNEL, &out, /* fd= */ -1, 0) != 0) _exit(EXIT_FAILURE);
  kiln__wire_out_release(&out);
  kiln__job_result_release(&work->result);
}

static void do_command(kiln__session *session) {
  kiln_work *work = &session->work;
  const kiln_frame *frame = session->frame;
  kiln_console *console = &work->engine->console;
  session->job.timeout_ms = frame->timeout_ms;
  session->job.result_max_bytes = frame->result_max_bytes;
  work->deadline_ns = kiln__now_ns() + (uint64_t)frame->timeout_ms * 1000000u;
  if (!kiln_sandbox_allow_command(frame->timeout_ms)) _exit(EXIT_FAILURE);
  memset(&work->result, 0, sizeof(work->result));
  work->result.cached_data_rejected = -1;
  work->error.code[0] = work->error.name[0] = '\0'; /* what kiln__work_ok() looks at */
  console->on = true;
  console->truncated = false;
  console->left = frame->console_max_bytes;
  perform(session);
  /* What V8 has posted for this thread meanwhile; within this command's time, since finalisers are
   * the guest's own code. */
  kv8_isolate_pump(work->engine->isolate, /* wait_ms= */ 0, /* ret_ran= */ NULL, /* err= */ NULL);
  if (work->result.outcome == KILN_OUTCOME_MEMORY_LIMIT) _exit(KILN_EXIT_MEMORY_LIMIT);
  answer(session);
}

/* What the largest part of an answer may need. */
static uint64_t answer_max(const kiln_frame *frame) {
  uint64_t max = KILN_BLOB_MAX;
  if (frame->result_max_bytes > max) max = frame->result_max_bytes;
  if (frame->console_max_bytes * 6 > max) max = frame->console_max_bytes * 6;
  return max + KILN_MEMFD_MIN;
}

void kiln__session_main(kiln_engine *engine, char *buffer, kiln_wire_in *in) {
  static kiln__session session;
  kiln_frame_arena arena = {0};
  kiln_frame frame;
  bool begun = false;
  session.work.engine = engine;
  session.work.job = &session.job;
  for (;;) {
    if (!kiln__frame_decode(in, &arena, &frame)) _exit(EXIT_FAILURE);
    if (!begun) {
      session.job.heap_max_bytes = frame.heap_max_bytes;
      session.job.memory_max_bytes = frame.memory_max_bytes;
      if (!kiln_sandbox_limit_session(frame.memory_max_bytes, answer_max(&frame)))
        _exit(EXIT_FAILURE);
      kiln__work_set_limits(&session.work);
      begun = true;
    }
    session.frame = &frame;
    do_command(&session);
    kiln__frame_release(&frame);
    kiln__wire_in_release(in);
    int got = kiln__wire_receive(KILN_CHANNEL, buffer, in, 0);
    if (got == 0) _exit(EXIT_SUCCESS);
    if (got < 0) _exit(EXIT_FAILURE);
  }
}
