/* SPDX-License-Identifier: MIT
 *
 * run.h: what the parts of `kiln run` share. The command runs JavaScript in its own process: one
 * isolate, one main context, one libuv loop, one thread. Everything stands on the shim's public
 * API.
 *
 * A built-in module is a file js/NAME.js (js/internal/NAME.js: for built-ins only), compiled when
 * it is first required, as the body of function (exports, require, module, internalBinding) Its
 * require() finds other built-ins only: public ones by name ("vm", "node:vm"), internal ones as
 * "internal/NAME". What it needs of C it gets from internalBinding("NAME"): an object that one
 * kiln__run_bind_fn fills, made once. Both lists stand in builtins.c; the files of built-ins in
 * CMakeLists.txt.
 */
#ifndef KILN_TOOLKIT_RUN_RUN_H
#define KILN_TOOLKIT_RUN_RUN_H

#include <limits.h>
#include <uv.h>

#include "shim/kv8.h"

typedef struct kiln__run_store kiln__run_store; /* store.c */

/* Functions of js/internal/bootstrap.js that C calls. X(name): hooks.NAME is exports.NAME. */
#define KILN__RUN_HOOKS_MAP(X)                                                               \
  X(runMain)    /* runMain(path, kind): loads the main file */                               \
  X(runText)    /* runText(code, kind, print): -e and -p */                                  \
  X(call)       /* call(function, ...args): then runs what process.nextTick() queued */      \
  X(ticks)      /* runs what process.nextTick() queued */                                    \
  X(timer)      /* timer(now): runs one that is due; ms until the next one, or -1 */         \
  X(immediate)  /* immediate(n): runs one; true if more of this round wait */                \
  X(uncaught)   /* uncaught(error, origin): true if somebody took it */                      \
  X(rejected)   /* rejected(promise, reason): likewise, of one that nobody handles */        \
  X(handled)    /* handled(promise): after it was reported */                                \
  X(beforeExit) /* the loop is empty */                                                      \
  X(exit)       /* exit(): emits 'exit', once; returns the exit code */                      \
  X(signal)     /* signal(number) */                                                         \
  X(importFrom) /* importFrom(specifier, referrer's name, attributes): import()'s promise */ \
  X(importMeta) /* importMeta(meta, name): fills import.meta */
typedef struct kiln__run_hooks {
#define KILN__RUN_HOOK(name) kv8_value *name;
  KILN__RUN_HOOKS_MAP(KILN__RUN_HOOK)
#undef KILN__RUN_HOOK
} kiln__run_hooks;

/* The command line. */
typedef struct kiln__run_options {
  const char *store; /* NULL: the default place */
  bool no_store;
  bool verbose;
  int kind;            /* kiln__cli_kind */
  unsigned timeout_ms; /* of the whole run; 0: none */
  const char *flags;   /* V8's, beside the default ones; NULL: none */
  const char *text;    /* -e, -p: instead of a file */
  bool print;          /* -p */
  const char *path;    /* as given */
  char **args;         /* after FILE; NULL at the end */
  char **exec_args;    /* before FILE; exec_args_count of them */
  size_t exec_args_count;
  int stack_trace_limit; /* -1: V8's */
  bool no_warnings;
  bool vm_modules;       /* --experimental-vm-modules */
  const char *unhandled; /* --unhandled-rejections: "throw" (default), "strict", "warn", "none" */
} kiln__run_options;

typedef struct kiln__run {
  kiln__run_options options;
  kv8_isolate *isolate;
  kv8_context *context;
  uv_loop_t *loop;
  kv8_value *exception; /* the last one, kept for kv8_call_throw_failure() */
  kiln__run_hooks hooks;
  kv8_value *builtins; /* { name: module } of those that are loaded */
  kv8_value *bindings; /* { name: object } likewise */
  kv8_value *require;  /* require() as built-ins have it */
  kv8_value *internal_binding;
  kiln__run_store *store;
  struct kiln__run_vm *vm;  /* bind_vm.c */
  char filename[PATH_MAX];  /* the main file's absolute path; "" with -e */
  char exec_path[PATH_MAX]; /* this program's */
  bool exiting;             /* process.exit() was called, or an error nobody caught */
  int exit_code;
  bool output_failed; /* standard output did not take all */
  int output_errno;
} kiln__run;

/* ---- bindings: functions for built-in JavaScript -------------------------------------------- */

/* Fills `object`, which internalBinding(NAME) returns. */
typedef kv8_status (*kiln__run_bind_fn)(kiln__run *run, kv8_value *object, kv8_error *err);

/* Defines object.name = a function of the main context that calls `fn` with `run` as `user`. */
kv8_status kiln__run_function(kiln__run *run, kv8_value *object, const char *name, unsigned arity,
                              kv8_call_fn fn, kv8_error *err);

/* A table of them; the last has a NULL name. */
typedef struct kiln__run_entry {
  const char *name;
  unsigned arity;
  kv8_call_fn fn;
} kiln__run_entry;
kv8_status kiln__run_functions(kiln__run *run, kv8_value *object, const kiln__run_entry *entries,
                               kv8_error *err);

/* object.name = value. */
kv8_status kiln__run_set_text(kiln__run *run, kv8_value *object, const char *name, const char *text,
                              kv8_error *err);
kv8_status kiln__run_set_number(kiln__run *run, kv8_value *object, const char *name, double number,
                                kv8_error *err);
kv8_status kiln__run_set_bool(kiln__run *run, kv8_value *object, const char *name, bool value,
                              kv8_error *err);

/* Arguments. Of the wrong type (which built-in JavaScript has excluded before), they throw
 * ERR_INVALID_ARG_TYPE and are false: return at once then. */
bool kiln__run_arg_text(kv8_call *call, size_t index, kv8_blob *ret_text); /* free it; a
                                        NUL follows the text */
bool kiln__run_arg_number(kv8_call *call, size_t index, double *ret_number);
bool kiln__run_arg_int32(kv8_call *call, size_t index, int32_t *ret_number);
bool kiln__run_arg_uint32(kv8_call *call, size_t index, uint32_t *ret_number);
bool kiln__run_arg_bytes(kv8_call *call, size_t index, kv8_span *ret_bytes);
/* Is it there (not undefined)? */
bool kiln__run_arg_given(kv8_call *call, size_t index);
/* ToBoolean of it. */
bool kiln__run_arg_bool(kv8_call *call, size_t index);
kv8_span kiln__run_span(const kv8_blob *blob);

/* Answers. The value is freed, and may be NULL (undefined). */
void kiln__run_return(kv8_call *call, kv8_value *value);
void kiln__run_return_bool(kv8_call *call, bool value);
void kiln__run_return_number(kv8_call *call, double number);
void kiln__run_return_text(kv8_call *call, kv8_span text);
/* { key: value } of what a request says after `with`, without prototype. */
kv8_status kiln__run_attributes(kiln__run *run, const kv8_module_request *request,
                                kv8_value **ret_object, kv8_error *err);
/* A new Uint8Array with a copy of the bytes. */
void kiln__run_return_bytes(kv8_call *call, kv8_span bytes);

/* Throws a new error of the main context, with the code ("" for none). */
void kiln__run_throw(kv8_call *call, kv8_error_class class_, const char *code, const char *format,
                     ...) __attribute__((format(printf, 4, 5)));
/* Throws what `err` says if `status` is not KV8_OK; tells whether it threw. */
bool kiln__run_throws(kv8_call *call, kv8_status status, const kv8_error *err);

/* Does the exception's stack begin with the offending line already (bind_vm.c)? */
bool kiln__run_is_decorated(const kv8_value *exception);
/* Else, the offending line as it was when it was thrown; NULL where it is not known. */
const char *kiln__run_get_arrow(const kv8_value *exception);

/* ---- built-ins (builtins.c) ----------------------------------------------------------------- */

/* Makes require() and internalBinding(). */
kv8_status kiln__run_builtins_start(kiln__run *run, kv8_error *err);
void kiln__run_builtins_end(kiln__run *run);

/* The exports of a built-in module. */
kv8_status kiln__run_require(kiln__run *run, const char *name, kv8_value **ret_exports,
                             kv8_error *err);

/* ---- life of a run (start.c) ---------------------------------------------------------------- */

/* Starts V8 and everything else; what fails is told on standard error. */
bool kiln__run_start(kiln__run *run);
/* Runs the main file (or text) and the event loop until nothing is left to do; gives the exit
 * code. */
int kiln__run_main(kiln__run *run);
/* Gives the store what is to be kept, and tells if output was lost; the exit code of it all. */
int kiln__run_finish(kiln__run *run, int code);
/* Frees everything. */
void kiln__run_end(kiln__run *run);
/* Finishes, and ends the process at once: process.exit(), and quicker than to free everything. */
void kiln__run_exit(kiln__run *run, int code) __attribute__((noreturn));

/* Answers an import() by hooks.importFrom; what a kv8_import_fn of the main context calls
 * (bind_modules.c). */
void kiln__run_import(kiln__run *run, kv8_import *import);

/* ---- the event loop (event_loop.c) ---------------------------------------------------------- */

/* Every call from the loop into JavaScript goes through here: hooks.call(function, args...), then
 * microtasks, what they queued with process.nextTick(), and rejections nobody handles. An exception
 * is reported, and ends the run if nobody takes it. False: the run is exiting. */
bool kiln__run_call(kiln__run *run, const kv8_value *function, const kv8_value *const *args,
                    size_t args_count);
/* What follows any run of JavaScript from C, after its status is known. */
bool kiln__run_settle(kiln__run *run, kv8_status status, const kv8_error *err);
/* uv_run() until no handle is left that keeps the loop alive, or the run is exiting. */
void kiln__run_loop(kiln__run *run);
kv8_status kiln__run_loop_start(kiln__run *run, kv8_error *err);
void kiln__run_loop_end(kiln__run *run);

/* ---- errors (report.c) ---------------------------------------------------------------------- */

/* Prints an uncaught exception as Node does. `err`, which may be NULL, says where it was thrown. */
void kiln__run_report(kiln__run *run, const kv8_value *exception, const kv8_error *err);

/* Writes all of it to a descriptor; remembers if standard output fails. */
void kiln__run_write(kiln__run *run, int fd, kv8_span text);

/* ---- the store (store.c) -------------------------------------------------------------------- */

/* A file that is compiled, with what the store has of it; all-zero: nothing. */
typedef struct kiln__run_cached kiln__run_cached;

/* Looks for a cache of this source if it is big enough. NULL: it is not, or there is no store. The
 * result belongs to the store, and is told how it went with one of the next three. */
kiln__run_cached *kiln__run_store_find(kiln__run *run, int kind, kv8_span source,
                                       const char *filename);
/* The cached data found; empty if none. Valid until the next call. */
kv8_span kiln__run_cached_data(const kiln__run_cached *cached);
/* V8 did not take it. */
void kiln__run_cached_rejected(kiln__run *run, kiln__run_cached *cached);
/* Compiled from scratch: takes the handle over, and keeps a cache when the run ends. */
void kiln__run_cached_function(kiln__run_cached *cached, kv8_function *function);
void kiln__run_cached_script(kiln__run_cached *cached, kv8_script *script);
void kiln__run_cached_module(kiln__run_cached *cached, kv8_module *module); /* a tied one */
/* Writes what is to be kept (`keep`), and frees everything. */
void kiln__run_store_end(kiln__run *run, bool keep);

#endif
