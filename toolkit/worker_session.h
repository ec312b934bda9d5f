/* SPDX-License-Identifier: MIT
 *
 * worker_session.h: what the files of a session's worker share. Private to kiln-engine.
 *
 * Objects have numbers, which are given out once: slot + 1 + generation * slots. An object lives as
 * long as its number is in the table or another object needs it: deleting a context leaves the
 * functions that were compiled in it working, as in JavaScript.
 */
#ifndef KILN_TOOLKIT_WORKER_SESSION_H
#define KILN_TOOLKIT_WORKER_SESSION_H

#include "toolkit/engine.h"
#include "toolkit/session_frame.h"

typedef enum kiln__object_kind {
  KILN__CONTEXT,
  KILN__SCRIPT,
  KILN__FUNCTION,
  KILN__MODULE
} kiln__object_kind;

typedef struct kiln__object {
  kiln__object_kind kind;
  unsigned refs;
  struct kiln__object *context; /* functions, modules: theirs, referenced */
  kv8_context *as_context;
  kv8_script *as_script;
  kv8_function *as_function;
  kv8_module *as_module;
  /* a source text module until it is linked */
  struct kiln__object **answers; /* to its requests, referenced; NULL: open */
  bool answered;                 /* V8 knows the answers */
  bool failed;                   /* its instantiation has failed */
} kiln__object;

typedef struct kiln__session {
  kiln_work work;
  kiln_job job; /* what the rest of the engine asks about limits */
  const kiln_frame *frame;
  kiln__object *slots[KILN_SESSION_OBJECTS_MAX];
  uint32_t generations[KILN_SESSION_OBJECTS_MAX]; /* of the slot's next number */
  uint16_t freed[KILN_SESSION_OBJECTS_MAX];       /* slots to use again, the last one first */
  size_t freed_count;
  size_t used; /* slots that have ever been used */
  size_t objects;
  bool ready_context_taken;
  kv8_context *home; /* where objects to contextify come from, no guest's own; NULL: not made yet */
  unsigned contexts_made;
} kiln__session;

/* A worker's life as a session. `in` is its first command. */
_Noreturn void kiln__session_main(kiln_engine *engine, char *buffer, kiln_wire_in *in);

/* Refuses the command: KILN_NOT_FOUND, KILN_EINVAL or KILN_ETOOBIG. `code` NULL: the status's. */
void kiln__session_refuse(kiln__session *session, kiln_status status, const char *code,
                          const char *format, ...) __attribute__((format(printf, 4, 5)));

/* The object of that number and kind, lent. NULL: the command has been refused. */
kiln__object *kiln__session_find(kiln__session *session, uint64_t number, kiln__object_kind kind);
/* ... whichever kind it is of; if the frame's name is a kind's, of that one. */
kiln__object *kiln__session_find_any(kiln__session *session, uint64_t number);

/* Makes an object without a number. Never NULL. `context` may be. */
kiln__object *kiln__object_new(kiln__object_kind kind, kiln__object *context);
kiln__object *kiln__object_ref(kiln__object *object);
void kiln__object_unref(kiln__object *object); /* NULL does nothing */
/* Whether there is room for one more; if not, the command has been refused. */
bool kiln__session_has_room(kiln__session *session);
/* Gives it a number, which is the command's answer; takes the caller's reference. */
void kiln__session_add(kiln__session *session, kiln__object *object);

/* The frame's source, offsets and cached data as kv8 wants them. V8 copies the text. */
kv8_source kiln__session_source(const kiln__session *session);
/* An object that came as JSON with a module, and is used when the module is evaluated. */
typedef struct kiln__given kiln__given;
void kiln__given_release(kiln__given *given);
/* Sets its properties on `object`; *ret_exception: why that failed. */
void kiln__given_fill(const kiln__given *given, const kv8_value *object, kv8_value **ret_exception);

/* Has the frame's links answer import() in what is compiled of `source`, and `meta`, which is taken
 * over and may be NULL, its import.meta. False: the command has been refused. */
bool kiln__session_hook(kiln__session *session, kiln__given *meta, kv8_hooks *ret_hooks,
                        kv8_source *source);
/* Whether the request's attributes are those of `given`, an object; NULL: none. */
bool kiln__session_has_attributes(kv8_context *context, const kv8_module_request *request,
                                  const kv8_value *given);
void kiln__session_note_cache(kiln__session *session, kv8_cache_outcome outcome);
/* Writes a value as the command's result, and frees it. */
void kiln__session_put_result(kiln__session *session, kv8_context *context, kv8_value *value);

/* ---- the commands ---------------------------------------------------------------------------- */

void kiln__session_context_create(kiln__session *session);
void kiln__session_context_run(kiln__session *session);
void kiln__session_context_globals(kiln__session *session);
void kiln__session_context_measure(kiln__session *session);
void kiln__session_script_create(kiln__session *session);
void kiln__session_script_run(kiln__session *session);
void kiln__session_create_cached_data(kiln__session *session);
void kiln__session_function_create(kiln__session *session);
void kiln__session_function_call(kiln__session *session);
void kiln__session_module_create(kiln__session *session);
void kiln__session_module_create_synthetic(kiln__session *session);
void kiln__session_module_link(kiln__session *session);
void kiln__session_module_evaluate(kiln__session *session);
void kiln__session_module_get(kiln__session *session);
void kiln__session_module_set_export(kiln__session *session);

/* Writes a context's name and origin, or a module's state, into module_json. */
void kiln__session_put_context(kiln__session *session, const kiln__object *context);
void kiln__session_put_module(kiln__session *session, kiln__object *module, bool with_namespace);

#endif
