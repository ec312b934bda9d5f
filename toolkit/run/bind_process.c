/* SPDX-License-Identifier: MIT
 *
 * bind_process.c: internalBinding("process"): what the process object and performance need.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "toolkit/kiln.h"
#include "toolkit/run/bindings.h"

extern char **environ;

/* Sets array[i] to text. */
static kv8_status set_item(kiln__run *run, kv8_value *array, uint32_t i, const char *text,
                           kv8_error *err) {
  kv8_value *value = NULL;
  kv8_status status = kv8_string(run->isolate, kv8_span_from(text), &value, err);
  if (status == KV8_OK) status = kv8_object_set_index(run->context, array, i, value, err);
  kv8_value_free(value);
  return status;
}

/* argv(): [program, file, ...args] */
static void argv(void *user, kv8_call *call) {
  kiln__run *run = user;
  kv8_error error;
  kv8_value *array = NULL;
  uint32_t count = 0;
  kv8_status status = kv8_array(run->context, /* elements= */ NULL, 0, &array, &error);
  if (status == KV8_OK) status = set_item(run, array, count++, run->exec_path, &error);
  if (status == KV8_OK && *run->filename != '\0') {
    status = set_item(run, array, count++, run->filename, &error);
  }
  for (char **arg = run->options.args; status == KV8_OK && *arg != NULL; arg++) {
    status = set_item(run, array, count++, *arg, &error);
  }
  if (!kiln__run_throws(call, status, &error)) kv8_call_return(call, array);
  kv8_value_free(array);
}

/* execArgv(): the options before the file */
static void exec_argv(void *user, kv8_call *call) {
  kiln__run *run = user;
  kv8_error error;
  kv8_value *array = NULL;
  kv8_status status = kv8_array(run->context, /* elements= */ NULL, 0, &array, &error);
  for (uint32_t i = 0; status == KV8_OK && i < run->options.exec_args_count; i++) {
    status = set_item(run, array, i, run->options.exec_args[i], &error);
  }
  if (!kiln__run_throws(call, status, &error)) kv8_call_return(call, array);
  kv8_value_free(array);
}

/* env(): [NAME, value, NAME, value, ...] */
static void env(void *user, kv8_call *call) {
  kiln__run *run = user;
  kv8_error error;
  kv8_value *array = NULL;
  uint32_t count = 0;
  kv8_status status = kv8_array(run->context, /* elements= */ NULL, 0, &array, &error);
  for (char **at = environ; status == KV8_OK && *at != NULL; at++) {
    const char *equals = strchr(*at, '=');
    if (equals == NULL) continue;
    kv8_value *name = NULL;
    kv8_span span = {*at, (size_t)(equals - *at)};
    status = kv8_string(run->isolate, span, &name, &error);
    if (status == KV8_OK) {
      status = kv8_object_set_index(run->context, array, count++, name, &error);
    }
    kv8_value_free(name);
    if (status == KV8_OK) status = set_item(run, array, count++, equals + 1, &error);
  }
  if (!kiln__run_throws(call, status, &error)) kv8_call_return(call, array);
  kv8_value_free(array);
}

/* setEnv(name[, value]) */
static void set_env(void *user, kv8_call *call) {
  kv8_blob name = {NULL, 0}, value = {NULL, 0};
  (void)user;
  if (!kiln__run_arg_text(call, 0, &name)) return;
  if (!kiln__run_arg_given(call, 1)) {
    (void)unsetenv((const char *)name.data);
  } else if (kiln__run_arg_text(call, 1, &value)) {
    (void)setenv((const char *)name.data, (const char *)value.data, /* overwrite= */ 1);
  }
  kv8_blob_free(&value);
  kv8_blob_free(&name);
}

/* exit(code): at once. */
static void exit_now(void *user, kv8_call *call) {
  int32_t code;
  if (kiln__run_arg_int32(call, 0, &code)) kiln__run_exit(user, code);
}

/* abort() */
static void abort_now(void *user, kv8_call *call) {
  (void)user;
  (void)call;
  abort();
}

/* kill(pid, signal): 0, or errno's name. */
static void kill_process(void *user, kv8_call *call) {
  int32_t pid, number;
  (void)user;
  if (!kiln__run_arg_int32(call, 0, &pid) || !kiln__run_arg_int32(call, 1, &number)) return;
  if (kill(pid, number) != 0) {
    kiln__run_return_text(call, kv8_span_from(uv_err_name(uv_translate_sys_error(errno))));
  }
}

/* cwd() */
static void cwd(void *user, kv8_call *call) {
  char path[PATH_MAX];
  (void)user;
  if (getcwd(path, sizeof(path)) == NULL) {
    kiln__run_throw(call, KV8_ERROR, "ENOENT", "ENOENT: %s, uv_cwd", strerror(errno));
    return;
  }
  kiln__run_return_text(call, kv8_span_from(path));
}

/* chdir(path) */
static void change_dir(void *user, kv8_call *call) {
  kv8_blob path = {NULL, 0};
  (void)user;
  if (!kiln__run_arg_text(call, 0, &path)) return;
  if (chdir((const char *)path.data) != 0) {
    const char *code = uv_err_name(uv_translate_sys_error(errno));
    kiln__run_throw(call, KV8_ERROR, code, "%s: %s, chdir '%s'", code, strerror(errno),
                    (const char *)path.data);
  }
  kv8_blob_free(&path);
}

/* hrtime(): ns as a BigInt */
static void hrtime(void *user, kv8_call *call) {
  kiln__run *run = user;
  kv8_error error;
  kv8_value *value = NULL;
  kv8_status status = kv8_bigint_unsigned(run->isolate, uv_hrtime(), &value, &error);
  if (!kiln__run_throws(call, status, &error)) kiln__run_return(call, value);
}

/* now(): ms of the monotonic clock */
static void now(void *user, kv8_call *call) {
  (void)user;
  kiln__run_return_number(call, (double)uv_hrtime() / 1e6);
}

/* rss() */
static void rss(void *user, kv8_call *call) {
  size_t bytes = 0;
  (void)user;
  (void)uv_resident_set_memory(&bytes);
  kiln__run_return_number(call, (double)bytes);
}

/* write(fd, text or bytes) */
static void write_to(void *user, kv8_call *call) {
  int32_t fd;
  if (!kiln__run_arg_int32(call, 0, &fd)) return;
  if (kv8_value_get_type(kv8_call_get_argument(call, 1)) == KV8_TYPE_STRING) {
    kv8_blob text = {NULL, 0};
    if (!kiln__run_arg_text(call, 1, &text)) return;
    kiln__run_write(user, fd, kiln__run_span(&text));
    kv8_blob_free(&text);
  } else {
    kv8_span bytes;
    if (kiln__run_arg_bytes(call, 1, &bytes)) kiln__run_write(user, fd, bytes);
  }
}

/* isatty(fd) */
static void is_tty(void *user, kv8_call *call) {
  int32_t fd;
  (void)user;
  if (kiln__run_arg_int32(call, 0, &fd)) kiln__run_return_bool(call, isatty(fd) == 1);
}

kv8_status kiln__run_bind_process(kiln__run *run, kv8_value *object, kv8_error *err) {
  static const kiln__run_entry entries[] = {{"argv", 0, argv},
                                            {"execArgv", 0, exec_argv},
                                            {"env", 0, env},
                                            {"setEnv", 2, set_env},
                                            {"exit", 1, exit_now},
                                            {"abort", 0, abort_now},
                                            {"kill", 2, kill_process},
                                            {"cwd", 0, cwd},
                                            {"chdir", 1, change_dir},
                                            {"hrtime", 0, hrtime},
                                            {"now", 0, now},
                                            {"rss", 0, rss},
                                            {"write", 2, write_to},
                                            {"isatty", 1, is_tty},
                                            {NULL, 0, NULL}};
  kv8_engine_info engine;
  kv8_status status = kv8_engine_get_info(&engine, err);
  if (status == KV8_OK) status = kiln__run_functions(run, object, entries, err);
  const char *texts[][2] = {{"kiln", KILN_VERSION},
                            {"v8", engine.v8_version},
                            {"uv", uv_version_string()},
                            {"arch", engine.arch},
                            {"execPath", run->exec_path},
                            {"filename", run->filename},
                            {"unhandled", run->options.unhandled}};
  for (size_t i = 0; status == KV8_OK && i < sizeof(texts) / sizeof(texts[0]); i++) {
    status = kiln__run_set_text(run, object, texts[i][0], texts[i][1], err);
  }
  if (status == KV8_OK) status = kiln__run_set_number(run, object, "pid", getpid(), err);
  if (status == KV8_OK) status = kiln__run_set_number(run, object, "ppid", getppid(), err);
  if (status == KV8_OK) {
    status = kiln__run_set_bool(run, object, "noWarnings", run->options.no_warnings, err);
  }
  if (status == KV8_OK) {
    status = kiln__run_set_bool(run, object, "vmModules", run->options.vm_modules, err);
  }
  if (status == KV8_OK) {
    status =
        kiln__run_set_number(run, object, "stackTraceLimit", run->options.stack_trace_limit, err);
  }
  return status;
}
