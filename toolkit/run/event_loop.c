/* SPDX-License-Identifier: MIT
 *
 * event_loop.c: the loop, and what happens between two pieces of JavaScript: microtasks (the shim
 * drains them at the end of each outermost call), process.nextTick(), rejections nobody handled.
 */
#include "toolkit/run/event_loop.h"

#include <stdlib.h>
#include <string.h>

/* V8 posts tasks for this thread (finalisers, WebAssembly) without waking the loop. */
#define PUMP_MS 20

typedef struct rejection {
  struct rejection *next;
  kv8_value *promise;
  kv8_value *reason; /* NULL: it was reported, and has got a handler since */
} rejection;

static struct {
  uv_loop_t loop;
  uv_timer_t pump;
  rejection *first;
  rejection **end;
} state;

kiln__run_loop_flags kiln__run_flags;

/* ---- rejections ----------------------------------------------------------------------- */

static void free_rejection(rejection *it) {
  kv8_value_free(it->promise);
  kv8_value_free(it->reason);
  free(it);
}

bool kiln__run_forget_rejection(kiln__run *run, const kv8_value *promise) {
  for (rejection **at = &state.first; *at != NULL; at = &(*at)->next) {
    rejection *it = *at;
    bool same = false;
    if (it->reason == NULL ||
        kv8_value_equals(run->context, it->promise, promise, KV8_EQUAL_STRICT, &same,
                         /* err= */ NULL) != KV8_OK ||
        !same) {
      continue;
    }
    *at = it->next;
    if (state.end == &it->next) state.end = at;
    free_rejection(it);
    return true;
  }
  return false;
}

static void on_rejection(void *user, kv8_rejection what, const kv8_value *promise,
                         const kv8_value *reason) {
  kiln__run *run = user;
  if (what == KV8_REJECTION_HANDLED && kiln__run_forget_rejection(run, promise)) return;
  rejection *it = calloc(1, sizeof(*it));
  if (it == NULL) return;
  if (kv8_value_copy(promise, &it->promise, /* err= */ NULL) != KV8_OK ||
      (what == KV8_REJECTED_UNHANDLED &&
       kv8_value_copy(reason, &it->reason, /* err= */ NULL) != KV8_OK)) {
    free_rejection(it);
    return;
  }
  *state.end = it;
  state.end = &it->next;
}

/* ---- from C into JavaScript ----------------------------------------------------------- */

static void fail(kiln__run *run, int code) {
  run->exiting = true;
  run->exit_code = code;
}

/* Calls a hook; `ret_value` may be NULL. What the call's own failure does is settled here only as
 * far as it can be without another round. */
static kv8_status call_hook(kiln__run *run, const kv8_value *hook, const kv8_value *const *args,
                            size_t args_count, kv8_value **ret_value, kv8_error *err) {
  kv8_run_options options = KV8_RUN_OPTIONS_INIT;
  return kv8_value_call(run->context, hook, /* receiver= */ NULL, args, args_count, &options,
                        ret_value, err);
}

/* An exception that came out of JavaScript. */
static void take_exception(kiln__run *run, const kv8_error *err) {
  static kv8_error error;
  kv8_value *exception = NULL, *taken = NULL, *origin = NULL;
  if ((err->status != KV8_EEXCEPTION && err->status != KV8_ESYNTAX) || run->exception == NULL ||
      run->hooks.uncaught == NULL) {
    kiln__run_report(run, /* exception= */ NULL, err);
    fail(run, 1);
    return;
  }
  (void)kv8_value_copy(run->exception, &exception, /* err= */ NULL);
  (void)kv8_string(run->isolate, kv8_span_from("uncaughtException"), &origin, /* err= */ NULL);
  const kv8_value *args[] = {exception, origin};
  kv8_status status = call_hook(run, run->hooks.uncaught, args, 2, &taken, &error);
  if (status != KV8_OK) {
    /* The handler threw. */
    kiln__run_report(run, run->exception, &error);
    fail(run, 7);
  } else if (!kv8_value_is_true(taken)) {
    kiln__run_report(run, exception, err);
    fail(run, 1);
  }
  kv8_value_free(taken);
  kv8_value_free(origin);
  kv8_value_free(exception);
}

/* Reports one rejection: hooks.rejected answers with the error to end with, or nothing. */
static kv8_status report_rejection(kiln__run *run, const rejection *it, kv8_error *err) {
  kv8_value *fatal = NULL;
  const kv8_value *args[] = {it->promise, it->reason};
  bool late = it->reason == NULL;
  kv8_status status = call_hook(run, late ? run->hooks.handled : run->hooks.rejected, args,
                                late ? 1 : 2, late ? NULL : &fatal, err);
  if (status == KV8_OK && fatal != NULL && kv8_value_get_type(fatal) != KV8_TYPE_UNDEFINED) {
    kiln__run_report(run, fatal, /* err= */ NULL);
    fail(run, 1);
  }
  kv8_value_free(fatal);
  return status;
}

bool kiln__run_settle(kiln__run *run, kv8_status status, const kv8_error *err) {
  static kv8_error error;
  if (run->exiting) return false;
  for (;;) {
    if (status != KV8_OK) {
      take_exception(run, err);
      if (run->exiting) return false;
    }
    err = &error;
    if (kiln__run_flags.bytes != NULL && kiln__run_flags.bytes[KILN__RUN_FLAG_TICKS] != 0) {
      status = call_hook(run, run->hooks.ticks, NULL, 0, /* ret_value= */ NULL, &error);
    } else if (state.first != NULL) {
      rejection *it = state.first;
      state.first = it->next;
      if (state.first == NULL) state.end = &state.first;
      status = report_rejection(run, it, &error);
      free_rejection(it);
    } else {
      return !run->exiting;
    }
    if (run->exiting) return false;
  }
}

bool kiln__run_call(kiln__run *run, const kv8_value *function, const kv8_value *const *args,
                    size_t args_count) {
  static kv8_error error;
  const kv8_value *all[KILN__RUN_ARGS_MAX + 1];
  if (run->exiting) return false;
  all[0] = function;
  for (size_t i = 0; i < args_count && i < KILN__RUN_ARGS_MAX; i++) all[i + 1] = args[i];
  kv8_status status =
      call_hook(run, run->hooks.call, all, args_count + 1, /* ret_value= */ NULL, &error);
  return kiln__run_settle(run, status, &error);
}

bool kiln__run_hook(kiln__run *run, const kv8_value *hook, double number, kv8_value **ret_value) {
  static kv8_error error;
  kv8_value *argument = NULL;
  if (run->exiting) return false;
  *ret_value = NULL;
  (void)kv8_number(run->isolate, number, &argument, /* err= */ NULL);
  const kv8_value *args[] = {argument};
  kv8_status status = call_hook(run, hook, args, 1, ret_value, &error);
  kv8_value_free(argument);
  return kiln__run_settle(run, status, &error);
}

/* ---- the loop ------------------------------------------------------------------------- */

static void on_pump(uv_timer_t *timer) {
  (void)timer; /* it only ends the wait */
}

void kiln__run_hold(bool hold) {
  if (hold) {
    uv_ref((uv_handle_t *)&state.pump);
  } else {
    uv_unref((uv_handle_t *)&state.pump);
  }
  uv_timer_set_repeat(&state.pump, hold ? 1 : PUMP_MS);
  (void)uv_timer_again(&state.pump);
}

/* Runs V8's tasks for this thread. */
static bool pump(kiln__run *run) {
  static kv8_error error;
  bool ran = false;
  kv8_status status = kv8_isolate_pump(run->isolate, /* wait_ms= */ 0, &ran, &error);
  if (!ran && status == KV8_OK) return true;
  if (status == KV8_OK)
    status = kv8_isolate_drain_microtasks(run->isolate, /* timeout_ms= */ 0, &error);
  return kiln__run_settle(run, status, &error);
}

void kiln__run_loop(kiln__run *run) {
  while (!run->exiting && pump(run) && uv_loop_alive(&state.loop)) {
    (void)uv_run(&state.loop, UV_RUN_ONCE);
  }
}

kv8_status kiln__run_loop_start(kiln__run *run, kv8_error *err) {
  state.end = &state.first;
  run->loop = &state.loop;
  if (uv_loop_init(&state.loop) != 0 || uv_timer_init(&state.loop, &state.pump) != 0 ||
      uv_timer_start(&state.pump, on_pump, PUMP_MS, PUMP_MS) != 0) {
    *err = (kv8_error){.status = KV8_ENOMEM, .message = "no event loop"};
    return KV8_ENOMEM;
  }
  uv_unref((uv_handle_t *)&state.pump);
  kv8_isolate_set_on_rejection(run->isolate, on_rejection, run);
  return KV8_OK;
}

static void close_handle(uv_handle_t *handle, void *argument) {
  (void)argument;
  if (!uv_is_closing(handle)) uv_close(handle, /* close_cb= */ NULL);
}

void kiln__run_loop_end(kiln__run *run) {
  kv8_isolate_set_on_rejection(run->isolate, /* on_rejection= */ NULL, /* user= */ NULL);
  for (rejection *it = state.first; it != NULL;) {
    rejection *next = it->next;
    free_rejection(it);
    it = next;
  }
  state.first = NULL;
  kiln__run_bind_http_end();
  kiln__run_bind_loop_end();
  uv_walk(&state.loop, close_handle, /* arg= */ NULL);
  (void)uv_run(&state.loop, UV_RUN_DEFAULT);
  (void)uv_loop_close(&state.loop);
}
