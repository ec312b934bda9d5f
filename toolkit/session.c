/* SPDX-License-Identifier: MIT
 *
 * session.c: the commands of sessions (kiln_session.h): which session and which of its objects they
 * mean, what they bring from the store, what their answers are.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "toolkit/service.h"
#include "toolkit/session_table.h"
#include "toolkit/status.h"

typedef struct task {
  kiln__work work; /* first: a work is its task */
  kiln *k;
  kiln__session *session; /* entered */
  kiln_done_fn done;
  void *user;
  uint64_t started_ns;
  kiln_bytes *source; /* that came with the command, referenced; may be NULL */
  bool is_first;      /* of a session that it opens */
  bool creates;       /* it answers an object */
  bool by_key;
  kcc_digest blob_key;
} task;

/* ---- ids -------------------------------------------------------------------------------------
 */

/* "SESSION-N" in its parts. */
static bool split_id(kiln_span id, kiln_span *ret_session, uint64_t *ret_number) {
  uint64_t number = 0;
  if (id.length < KILN_SESSION_ID_HEX + 2 || id.length >= KILN_OBJECT_ID_MAX ||
      id.data[KILN_SESSION_ID_HEX] != '-' || id.data[KILN_SESSION_ID_HEX + 1] == '0') {
    return false;
  }
  for (size_t i = KILN_SESSION_ID_HEX + 1; i < id.length; i++) {
    char c = id.data[i];
    if (c < '0' || c > '9' || number > (uint64_t)INT64_MAX / 10 - 1) return false;
    number = number * 10 + (uint64_t)(c - '0');
  }
  *ret_session = (kiln_span){id.data, KILN_SESSION_ID_HEX};
  *ret_number = number;
  return true;
}

static kiln_status fail_object(kiln_span id, const char *what, kiln_error *err) {
  char quoted[KILN__QUOTE_BYTES];
  return kiln__fail(err, KILN_NOT_FOUND, NULL, "%s %s: there is no such object%s", what,
                    kiln__quote(id, quoted),
                    id.length > KILN_SESSION_ID_HEX + 1 ? " in this session" : "");
}

/* The number of an object that must be of `*session`, or decides which that is if it is empty. */
static kiln_status number_of(kiln_span id, const char *what, kiln_span *session,
                             uint64_t *ret_number, kiln_error *err) {
  kiln_span of;
  if (!split_id(id, &of, ret_number)) return fail_object(id, what, err);
  if (session->length == 0) {
    *session = of;
  } else if (session->length != of.length || memcmp(session->data, of.data, of.length) != 0) {
    return fail_object(id, what, err);
  }
  return KILN_OK;
}

static kiln_status number_links(const kiln_command *command, kiln_span *session,
                                kiln_frame_link **ret_links, kiln_error *err) {
  if (command->links_count == 0) return KILN_OK;
  kiln_frame_link *links = calloc(command->links_count, sizeof(*links));
  if (links == NULL) return kiln__fail(err, KILN_ENOMEM, NULL, "no memory for a command");
  for (size_t i = 0; i < command->links_count; i++) {
    links[i].specifier = command->links[i].specifier;
    links[i].attributes_json = command->links[i].attributes_json;
    kiln_status status =
        number_of(command->links[i].module, "link: module", session, &links[i].module, err);
    if (status != KILN_OK) {
      free(links);
      return status;
    }
  }
  *ret_links = links;
  return KILN_OK;
}

/* ---- the answer ------------------------------------------------------------------------------
 */

static void task_free(task *t) {
  kiln_bytes_unref(t->source);
  free(t);
}

/* On the writer thread. */
static void remove_rejected(kiln__work *work) {
  task *t = (task *)(void *)work;
  (void)kcc_store_remove(t->k->store, &t->blob_key, /* err= */ NULL);
  task_free(t);
}

/* The response lends the ids, since the session may be gone when the client hears of it. */
typedef struct ids {
  char session[KILN_SESSION_ID_HEX + 1];
  char object[KILN_SESSION_ID_HEX + 24];
} ids;

static void fill_response(task *t, const kiln_job_result *result, ids *id,
                          kiln_response *response) {
  kiln__session *session = t->session;
  memcpy(id->session, session->id, sizeof(id->session));
  *response = (kiln_response){.op = KILN_SESSION,
                              .engine = session->engine->info.name,
                              .session_id = id->session,
                              .result_json = result->result_json,
                              .globals_json = result->globals_json,
                              .console_json = result->console_json,
                              .memory_json = result->memory_json,
                              .module_json = result->module_json,
                              .blob = result->blob,
                              .console_truncated = result->console_truncated,
                              .cached_data_rejected = result->cached_data_rejected};
  kiln__response_from_job(result, response);
  if (result->status == KILN_GONE) {
    response->status = kiln__session_gone(session, &response->error);
  } else if (result->status == KILN_OK && result->refusal != KILN_OK) {
    response->status =
        kiln__fail(&response->error, result->refusal, result->code, "%s", result->message);
  }
  if (response->console_json == NULL) response->console_json = kiln__sessions_empty_list(t->k);
  if (result->blob != NULL) response->blob_length = kiln_bytes_get(result->blob).length;
  if (result->object != 0) {
    (void)snprintf(id->object, sizeof(id->object), "%s-%llu", session->id,
                   (unsigned long long)result->object);
    response->object_id = id->object;
  }
  if (t->by_key) kcc_digest_format(&t->blob_key, response->key);
  response->times.total_ns = kiln__now_ns() - t->started_ns;
}

/* On the pool's thread. */
static void finished(void *user, const kiln_job_result *result) {
  task *t = user;
  kiln__session *session = t->session;
  ids id;
  kiln_response response;
  kiln_job_result checked = *result;
  if (!t->creates) checked.object = 0;
  fill_response(t, &checked, &id, &response);
  if (t->is_first && checked.object == 0) {
    /* Nothing was made: nobody could name anything in it. */
    kiln__session_end(session, KILN_SESSION_CLOSED);
    response.session_id = NULL;
  }
  if (result->status == KILN_OK) kiln__session_note(session, result->objects);
  kiln__note_end(t->k, t->source, result);
  /* First: who has his answer may count on the session being idle. */
  kiln__session_leave(session);
  t->done(t->user, &response);
  if (result->status == KILN_OK && result->cached_data_rejected == 1 && t->by_key) {
    atomic_fetch_add(&t->k->rejected, 1);
    t->work.perform = remove_rejected;
    if (kiln__writer_add(&t->k->writer, &t->work)) return;
  }
  task_free(t);
}

/* ---- the way in ------------------------------------------------------------------------------
 */

static kiln_kind kind_of(kiln_command_op op) {
  if (op == KILN_FUNCTION_CREATE) return KILN_FUNCTION;
  return op == KILN_MODULE_CREATE ? KILN_MODULE : KILN_SCRIPT;
}

/* Source and cached data of the entry that the command names. */
static kiln_status resolve(task *t, const kiln_command *command, kiln_frame *frame,
                           kiln__resolved *r, kiln_error *err) {
  const kiln__engine *engine = t->session->engine;
  kiln_request run = {.op = KILN_RUN,
                      .kind = kind_of(command->op),
                      .key = command->key,
                      .filename = command->filename,
                      .line_offset = command->line_offset,
                      .column_offset = command->column_offset,
                      .params = command->params,
                      .params_count = command->params_count,
                      .engine = kiln_span_from(engine->info.name)};
  r->engine = engine;
  kiln_status status = kiln__resolve_key(t->k, &run, r, err);
  if (status == KILN_OK && run.kind != kind_of(command->op)) {
    char quoted[KILN__QUOTE_BYTES];
    status = kiln__fail(err, KILN_EINVAL, NULL, "key %s: is of another kind",
                        kiln__quote(command->key, quoted));
  }
  if (status != KILN_OK) return status;
  frame->source = r->source;
  frame->cached_data = r->blob;
  frame->filename = run.filename;
  t->by_key = r->blob != NULL;
  t->blob_key = r->key;
  return KILN_OK;
}

static void fill_frame(const kiln *k, const kiln_command *command, kiln_frame *frame) {
  unsigned timeout_ms = command->timeout_ms;
  if (timeout_ms == 0) {
    timeout_ms = command->op == KILN_CONTEXT_MEASURE && !command->eager
                     ? k->options.timeout_max_ms
                     : k->options.timeout_default_ms;
  }
  frame->op = command->op;
  frame->client = command->client;
  frame->source = command->source;
  frame->filename = command->filename;
  frame->line_offset = command->line_offset;
  frame->column_offset = command->column_offset;
  frame->params = command->params;
  frame->params_count = command->params_count;
  frame->extensions_json = command->extensions_json;
  frame->globals_json = command->globals_json;
  frame->args_json = command->args_json;
  frame->this_json = command->this_json;
  frame->initialize_meta_json = command->initialize_meta_json;
  frame->exports_json = command->exports_json;
  frame->name = command->name;
  frame->value_json = command->value_json;
  frame->links_count = command->links_count;
  frame->context_name = command->context_name;
  frame->context_origin = command->context_origin;
  frame->contextified = command->contextified;
  frame->microtasks_after_evaluate = command->microtasks_after_evaluate;
  frame->deny_strings = command->deny_strings;
  frame->deny_wasm = command->deny_wasm;
  frame->detailed = command->detailed;
  frame->eager = command->eager;
  frame->timeout_ms = timeout_ms;
  frame->heap_max_bytes = k->options.heap_max_bytes;
  frame->memory_max_bytes = k->options.memory_max_bytes;
  frame->result_max_bytes = k->options.result_max_bytes;
  frame->console_max_bytes = k->options.console_max_bytes;
}

/* Begins a command in its session, or in a new one. */
static kiln_status enter_session(kiln *k, const kiln_command *command, kiln_span id, task *t,
                                 kiln_error *err) {
  const kiln__engine *engine;
  if (id.length > 0) return kiln__session_enter(k, id, &t->session, err);
  kiln_status status = kiln__find_engine(k, command->engine, &engine, err);
  if (status != KILN_OK) return status;
  t->is_first = true;
  return kiln__session_open(k, engine, &t->session, err);
}

/* The command is not begun: leaves everything as it was. */
static void give_up(task *t) {
  if (t->is_first) kiln__session_end(t->session, KILN_SESSION_CLOSED);
  kiln__session_leave(t->session);
  task_free(t);
}

static bool refuse(task *t) {
  if (!kiln__refuse_offender(t->k, t->session->engine, KILN_SESSION, t->source, t->done, t->user)) {
    return false;
  }
  give_up(t);
  return true;
}

static kiln_status submit(kiln *k, const kiln_command *command, kiln_frame *frame, kiln_span id,
                          kiln_done_fn done, void *user, kiln_error *err) {
  task *t = calloc(1, sizeof(*t));
  if (t == NULL) return kiln__fail(err, KILN_ENOMEM, NULL, "no memory for a command");
  t->k = k;
  t->done = done;
  t->user = user;
  t->started_ns = kiln__now_ns();
  t->creates = command->op == KILN_CONTEXT_CREATE || command->op == KILN_SCRIPT_CREATE ||
               command->op == KILN_FUNCTION_CREATE || command->op == KILN_MODULE_CREATE ||
               command->op == KILN_MODULE_CREATE_SYNTHETIC;
  kiln__resolved resolved = {.source = NULL};
  kiln_status status = enter_session(k, command, id, t, err);
  if (status != KILN_OK) {
    free(t);
    return status;
  }
  if (command->source != NULL) t->source = kiln_bytes_ref(command->source);
  if (refuse(t)) return KILN_OK;
  fill_frame(k, command, frame);
  if (command->key.length > 0) status = resolve(t, command, frame, &resolved, err);
  if (status == KILN_OK) {
    /* From here on it is finished()'s, if it is taken. */
    status = kiln_pool_session_submit(t->session->process, frame, finished, t, err);
    if (status == KILN_GONE) status = kiln__session_gone(t->session, err);
  }
  kiln_bytes_unref(resolved.source);
  kiln_bytes_unref(resolved.blob);
  if (status != KILN_OK) {
    give_up(t);
    return status;
  }
  atomic_fetch_add(&k->session_commands, 1);
  return KILN_OK;
}

static kiln_status submit_checked(kiln *k, const kiln_command *command, kiln_done_fn done,
                                  void *user, kiln_error *err) {
  kiln_frame frame = {0};
  kiln_frame_link *links = NULL;
  kiln_span id = command->session;
  kiln_status status = kiln__check_command(k, command, err);
  if (status == KILN_OK && command->object.length > 0) {
    status = number_of(command->object, "object", &id, &frame.object, err);
  }
  if (status == KILN_OK && command->context.length > 0) {
    status = number_of(command->context, "context", &id, &frame.context, err);
  }
  if (status == KILN_OK) status = number_links(command, &id, &links, err);
  frame.links = links;
  if (status == KILN_OK) status = submit(k, command, &frame, id, done, user, err);
  free(links);
  return status;
}

kiln_status kiln_session_submit(kiln *k, const kiln_command *command, kiln_done_fn done, void *user,
                                kiln_error *err) {
  kiln_status status = kiln__enter(k, err);
  if (status != KILN_OK) return status;
  status = submit_checked(k, command, done, user, err);
  if (status == KILN_EBUSY) atomic_fetch_add(&k->busy, 1);
  kiln__leave(k);
  return status;
}
