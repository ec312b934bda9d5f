/* SPDX-License-Identifier: MIT
 *
 * kiln_session.h: contexts, scripts, functions and modules that outlive a request. A part of
 * kiln.h, whose conventions hold here; include that.
 *
 * A session is an isolate in an engine process of its own, forked from the same pristine zygote as
 * any worker and under the same sandbox and limits. Its objects have ids, "SESSION-N": SESSION is
 * 32 random hex digits that nobody can guess, N a number the engine gave out. Commands of one
 * session are done one after the other, in the order of their submission; sessions do not wait for
 * each other. A session ends when it is closed, has been idle for too long, was the longest idle
 * when another was opened at the limit, or when its process ended: by a time limit that V8's
 * termination did not enforce, by its memory limit, by a crash. Every later command on it is
 * KILN_GONE with that reason, for as long as the kiln remembers (the last
 * KILN_SESSIONS_REMEMBERED); then it is KILN_NOT_FOUND. The command under way then, and those that
 * wait, are answered so, too. The message is "session ID: has ended (WORD): ...", WORD one of
 * closed, idle, evicted, time_limit, memory_limit, crashed. A time limit that V8's termination
 * enforced ends the command alone, as it does in vm; it has kill_grace_ms for that, and on a
 * busy machine, where it does not get the processor, up to two seconds.
 */
#ifndef KILN_TOOLKIT_KILN_SESSION_H
#define KILN_TOOLKIT_KILN_SESSION_H

#include "kiln.h"

#ifdef __cplusplus
extern "C" {
#endif

#define KILN_SESSION_ID_HEX 32
#define KILN_OBJECT_ID_MAX 48 /* with its NUL */
#define KILN_SESSIONS_REMEMBERED 4096
#define KILN_SESSION_OBJECTS_MAX 4096 /* alive at once, of one session */
#define KILN_SESSION_QUEUE_MAX 256    /* commands that wait, of one session; then KILN_EBUSY */

/* What all have in common: console_json, "[]" if nothing was written; with `links`, those of an op
 * that compiles answer import() in that code (vm's importModuleDynamically): by a module that is
 * linked; one that is not among them rejects with ERR_VM_MODULE_LINK_FAILURE; without any links
 * import() is ERR_VM_DYNAMIC_IMPORT_CALLBACK_MISSING. */
typedef enum kiln_command_op {
  /* Makes a context: `context_name`, `context_origin`, `deny_strings`, `deny_wasm`,
   * `microtasks_after_evaluate`, `globals_json`; `contextified`: the globals live on an object, as
   * vm.createContext(object) has them (else the plain context, vm.constants.DONT_CONTEXTIFY).
   * Without `session` in a new session, which ends again if this fails. Answers object_id and
   * module_json: {"name", "origin"}. */
  KILN_CONTEXT_CREATE = 0,
  KILN_CONTEXT_RUN = 1,     /* `object` a context: compiles and runs `source` in it */
  KILN_CONTEXT_GLOBALS = 2, /* answers globals_json */
  KILN_CONTEXT_MEASURE = 3, /* `detailed`, `eager`; memory_json: `current` is this context */
  /* vm.Script: `source`, `filename`, offsets, `cached_data` (of `key`, from the store, never of a
   * client). Needs a session or makes one. Answers object_id, cached_data_rejected, and if it has
   * one module_json: {"sourceMapURL"}. */
  KILN_SCRIPT_CREATE = 4,
  KILN_SCRIPT_RUN = 5, /* `object` a script, `context` a context of the session */
  /* Answers the blob of a script, function or module; not stored: the session ran guests' code.
   * `name`, if not empty, is the kind that the object must be of ("script"), as with DELETE:
   * KILN_NOT_FOUND. */
  KILN_OBJECT_CREATE_CACHED_DATA = 6,
  KILN_FUNCTION_CREATE = 7, /* vm.compileFunction: `context`, `params`, `extensions_json` (an array
                               of objects) */
  KILN_FUNCTION_CALL = 8,   /* `args_json`, `this_json` (empty: undefined) */
  /* vm.SourceTextModule in `context`: `source`, `identifier` (filename), offsets,
   * `initialize_meta_json` (an object copied to import.meta). Answers object_id and, as all
   * commands on modules, module_json: {"status", "identifier", "synthetic", "moduleRequests":
   * [{"specifier", "attributes", "phase"}], "openRequests": [those without an answer], "error"}. */
  KILN_MODULE_CREATE = 9,
  /* vm.SyntheticModule in `context`: `exports_json`, an object: its names are the exports' names,
   * its values what evaluation sets them to; or an array of names, to be set with
   * KILN_MODULE_SET_EXPORT. */
  KILN_MODULE_CREATE_SYNTHETIC = 10,
  /* Links `object`: links[i] answers the request links[i].specifier (with its attributes, if the
   * request had any) by a module of this session; one that is none of its requests fails the
   * command. Requests without an answer stay open (status "linking"): the answer's module_json
   * lists them, and the client posts again. With all answered the module, and whatever waits for
   * it, is instantiated as soon as all that it reaches has its answers, too. A module without
   * requests is linked by an empty list, or by answering a request. */
  KILN_MODULE_LINK = 11,
  /* A top-level await that still waits is ERR_UNSETTLED_TOP_LEVEL_AWAIT and status "evaluating";
   * other commands may settle it. */
  KILN_MODULE_EVALUATE = 12,
  /* module_json: also "namespace", from status "linked" on. With `name` "context" of a context:
   * {"name", "origin"}. */
  KILN_MODULE_GET = 13,
  KILN_MODULE_SET_EXPORT = 14, /* of a synthetic one: `name`, `value_json` */
  KILN_OBJECT_DELETE = 15,     /* forgets an object; its session stays until it is closed or idle */
  KILN_COMMAND_OPS
} kiln_command_op;

typedef struct kiln_link {
  kiln_span specifier;
  kiln_span attributes_json; /* {"type":"json"}; empty: none */
  kiln_span module;          /* an object id */
} kiln_link;

/* A command; all of it is read during kiln_session_submit() (references are taken to the bytes). */
typedef struct kiln_command {
  kiln_command_op op;
  kiln_span session; /* of those that create; empty: a new session, of `engine` */
  kiln_span engine;  /* of a new session: a spec; empty: the default */
  kiln_span object;
  kiln_span context;
  kiln_bytes *source;
  kiln_span key; /* create: 64 hex digits; source and cached data are this entry's */
  kiln_span filename;
  int32_t line_offset;
  int32_t column_offset;
  const kiln_span *params;
  size_t params_count;
  kiln_span extensions_json;
  kiln_span globals_json;
  kiln_span args_json;
  kiln_span this_json;
  kiln_span initialize_meta_json;
  kiln_span exports_json;
  kiln_span name;
  kiln_span value_json;
  const kiln_link *links;
  size_t links_count;
  kiln_span context_name;
  kiln_span context_origin;
  bool contextified;
  bool microtasks_after_evaluate;
  bool deny_strings;
  bool deny_wasm;
  bool detailed;
  bool eager;
  unsigned timeout_ms; /* as kiln_request's */
  uint64_t client;     /* as kiln_request's */
} kiln_command;

/* Starts a command; `done` as for kiln_submit(). The response's op is KILN_SESSION; beside the
 * fields of a run it has session_id, object_id and module_json. KILN_NOT_FOUND: no such session or
 * object; KILN_GONE: there was one, the message says how it ended; KILN_EBUSY: sessions_max are
 * open and none is idle, or too many commands wait. */
KILN_API kiln_status kiln_session_submit(kiln *k, const kiln_command *command, kiln_done_fn done,
                                         void *user, kiln_error *err);

/* Ends a session; what runs in it is killed and answered KILN_GONE. KILN_NOT_FOUND, KILN_GONE. */
KILN_API kiln_status kiln_session_close(kiln *k, kiln_span session, kiln_error *err);

typedef struct kiln_session_info {
  char id[KILN_SESSION_ID_HEX + 1];
  char engine[32];
  uint64_t age_ms;
  uint64_t idle_ms; /* 0: busy */
  uint64_t commands;
  uint64_t objects;
} kiln_session_info;
/* KILN_NOT_FOUND, KILN_GONE. */
KILN_API kiln_status kiln_session_get(kiln *k, kiln_span session, kiln_session_info *ret_info,
                                      kiln_error *err);

#ifdef __cplusplus
}
#endif
#endif
