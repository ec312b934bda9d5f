/* SPDX-License-Identifier: MIT
 *
 * start.c: the life of a run: starts V8, the context and the built-ins, runs the main file, ends.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "toolkit/run/limit.h"
#include "toolkit/run/run.h"

/* The exit status for a wrong command line. */
#define KILN__RUN_MISUSE 2

static void print_console(void *user, const char *level, kv8_span text) {
  kiln__run *run = user;
  char small[1024];
  static const char *const errors[] = {"error", "warn", "trace", "assert"};
  int fd = STDOUT_FILENO;
  for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
    if (strcmp(level, errors[i]) == 0) fd = STDERR_FILENO;
  }
  char *line = text.length < sizeof(small) ? small : malloc(text.length + 1);
  if (line == NULL) return;
  memcpy(line, text.data, text.length);
  line[text.length] = '\n';
  kiln__run_write(run, fd, (kv8_span){line, text.length + 1});
  if (line != small) free(line);
}

/* import() of code without hooks of its own: indirect eval, say. */
static void import_from_nowhere(void *user, kv8_import *import) {
  kiln__run_import(user, import);
}

static kv8_status start_engine(const kiln__run *run, kv8_error *err) {
  kv8_engine_options options = KV8_ENGINE_OPTIONS_INIT;
  char *flags = NULL;
  if (run->options.flags != NULL) {
    size_t size = sizeof(KV8_FLAGS_NODE_18) + strlen(run->options.flags) + 1;
    flags = malloc(size);
    if (flags == NULL) return KV8_ENOMEM;
    (void)snprintf(flags, size, "%s %s", KV8_FLAGS_NODE_18, run->options.flags);
    options.flags = flags;
  }
  kv8_status status = kv8_engine_start(&options, err);
  free(flags);
  return status;
}

static kv8_status find_hooks(kiln__run *run, kv8_error *err) {
  kv8_value *exports = NULL;
  kv8_status status = kiln__run_require(run, "internal/bootstrap", &exports, err);
#define FIND(name)                                                                                \
  if (status == KV8_OK) {                                                                         \
    status =                                                                                      \
        kv8_object_get_named(run->context, exports, kv8_span_from(#name), &run->hooks.name, err); \
  }
  KILN__RUN_HOOKS_MAP(FIND)
#undef FIND
  kv8_value_free(exports);
  return status;
}

static kv8_status start_isolate(kiln__run *run, kv8_error *err) {
  kv8_isolate_options isolate_options = KV8_ISOLATE_OPTIONS_INIT;
  kv8_context_options options = KV8_CONTEXT_OPTIONS_INIT;
  kv8_hooks hooks = KV8_HOOKS_INIT;
  kv8_status status = kv8_isolate_new(&isolate_options, &run->isolate, err);
  if (status != KV8_OK) return status;
  hooks.on_import = import_from_nowhere;
  hooks.user = run;
  options.name = kv8_span_from("main");
  options.on_console = print_console;
  options.on_console_user = run;
  options.hooks = &hooks;
  kv8_isolate_keep_exception(run->isolate, &run->exception);
  status = kv8_context_new(run->isolate, &options, &run->context, err);
  if (status == KV8_OK) status = kiln__run_loop_start(run, err);
  if (status == KV8_OK) status = kiln__run_builtins_start(run, err);
  if (status == KV8_OK) status = find_hooks(run, err);
  return status;
}

bool kiln__run_start(kiln__run *run) {
  static kv8_error error; /* is big */
  kv8_status status = start_engine(run, &error);
  if (status != KV8_OK) {
    run->exit_code = status == KV8_EINVAL ? KILN__RUN_MISUSE : 1;
    fprintf(stderr, "kiln run: %s\n", error.message);
    return false;
  }
  run->exit_code = 1;
  status = start_isolate(run, &error);
  if (status != KV8_OK) {
    kiln__run_report(run, run->exception, &error);
  } else {
    run->exit_code = 0;
  }
  return status == KV8_OK;
}

/* ---- the main file -------------------------------------------------------------------- */

static kv8_status call_main(kiln__run *run, kv8_error *err) {
  static const char *const kinds[] = {"script", "module", "function", "commonjs", "auto"};
  const kiln__run_options *given = &run->options;
  kv8_value *text = NULL, *kind = NULL, *print = NULL;
  kv8_run_options options = KV8_RUN_OPTIONS_INIT;
  options.timeout_ms = given->timeout_ms;
  const char *what = given->text != NULL ? given->text : run->filename;
  kv8_status status = kv8_string(run->isolate, kv8_span_from(what), &text, err);
  if (status == KV8_OK) {
    status = kv8_string(run->isolate, kv8_span_from(kinds[given->kind]), &kind, err);
  }
  if (status == KV8_OK) status = kv8_boolean(run->isolate, given->print, &print, err);
  if (status == KV8_OK) {
    const kv8_value *args[] = {text, kind, print};
    status =
        kv8_value_call(run->context, given->text != NULL ? run->hooks.runText : run->hooks.runMain,
                       /* receiver= */ NULL, args, 3, &options, /* ret_value= */ NULL, err);
  }
  kv8_value_free(print);
  kv8_value_free(kind);
  kv8_value_free(text);
  return status;
}

/* Calls a hook without arguments; its value as a number, or `otherwise`. */
static double call_number(kiln__run *run, const kv8_value *hook, double otherwise) {
  static kv8_error error;
  kv8_run_options options = KV8_RUN_OPTIONS_INIT;
  kv8_value *value = NULL;
  double number = otherwise;
  kv8_status status = kv8_value_call(run->context, hook, /* receiver= */ NULL, /* args= */ NULL, 0,
                                     &options, &value, &error);
  if (kiln__run_settle(run, status, &error) && status == KV8_OK) {
    (void)kv8_value_get_number(value, &number, /* err= */ NULL);
  }
  kv8_value_free(value);
  return number;
}

int kiln__run_main(kiln__run *run) {
  static kv8_error error;
  if (!kiln__run_limit_begin(run)) return 1;
  kv8_status status = call_main(run, &error);
  if (kiln__run_settle(run, status, &error)) {
    do {
      kiln__run_loop(run);
      if (!run->exiting) (void)call_number(run, run->hooks.beforeExit, 0);
    } while (!run->exiting && uv_loop_alive(run->loop));
  }
  kiln__run_limit_end(run);
  int before = run->exit_code;
  bool failed = run->exiting;
  int code = (int)call_number(run, run->hooks.exit, 0);
  return failed ? before : run->exiting ? run->exit_code : code;
}

void kiln__run_end(kiln__run *run) {
#define FREE(name) kv8_value_free(run->hooks.name);
  KILN__RUN_HOOKS_MAP(FREE)
#undef FREE
  if (run->context != NULL) {
    kiln__run_loop_end(run);
    kiln__run_builtins_end(run);
  }
  if (run->isolate != NULL) {
    kv8_isolate_keep_exception(run->isolate, /* slot= */ NULL);
    kv8_value_free(run->exception);
    kv8_context_free(run->context);
    kv8_isolate_free(run->isolate);
  }
  kv8_engine_stop();
}

int kiln__run_finish(kiln__run *run, int code) {
  kiln__run_store_end(run, /* keeps= */ true);
  if (run->output_failed) {
    fprintf(stderr, "kiln run: standard output: %s\n", strerror(run->output_errno));
    if (code == 0) code = 1;
  }
  (void)fflush(NULL);
  return code & 0xff;
}

void kiln__run_exit(kiln__run *run, int code) {
  _exit(kiln__run_finish(run, code));
}
