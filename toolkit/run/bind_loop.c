/* SPDX-License-Identifier: MIT
 *
 * bind_loop.c: internalBinding("loop"): what js/internal/timers.js and process need of libuv. There
 * is one timer for all of JavaScript's; which is due is decided there.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "toolkit/run/bindings.h"
#include "toolkit/run/event_loop.h"

static struct {
  kiln__run *run;
  uv_timer_t timer;
  uv_check_t check;
  uv_idle_t idle; /* while immediates wait, the loop does not */
} state;

/* ---- timers --------------------------------------------------------------------------- */

/* hooks.timer(now) runs one timer that is due and tells in how many ms the next one is, or -1. */
static void on_timer(uv_timer_t *timer) {
  kiln__run *run = timer->data;
  double next = 0;
  while (next == 0) {
    kv8_value *value;
    bool goes_on = kiln__run_hook(run, run->hooks.timer, (double)uv_now(run->loop), &value);
    next = 0; /* it threw: there may be more */
    if (value != NULL) (void)kv8_value_get_number(value, &next, /* err= */ NULL);
    kv8_value_free(value);
    if (!goes_on) return;
  }
  if (next > 0) (void)uv_timer_start(timer, on_timer, (uint64_t)next, /* repeat= */ 0);
}

/* schedule(ms): the first timer is due then. */
static void schedule(void *user, kv8_call *call) {
  kiln__run *run = user;
  double ms;
  if (!kiln__run_arg_number(call, 0, &ms)) return;
  uv_update_time(run->loop);
  (void)uv_timer_start(&state.timer, on_timer, ms < 1 ? 1 : (uint64_t)ms, /* repeat= */ 0);
}

/* keepAlive(on): whether timers keep the loop alive. */
static void keep_alive(void *user, kv8_call *call) {
  (void)user;
  if (kiln__run_arg_bool(call, 0)) {
    uv_ref((uv_handle_t *)&state.timer);
  } else {
    uv_unref((uv_handle_t *)&state.timer);
  }
}

/* now(): the loop's time in ms, fresh. */
static void now(void *user, kv8_call *call) {
  kiln__run *run = user;
  uv_update_time(run->loop);
  kiln__run_return_number(call, (double)uv_now(run->loop));
}

/* ---- immediates ----------------------------------------------------------------------- */

static void on_idle(uv_idle_t *idle) {
  (void)idle;
}

/* hooks.immediate(n) runs one of the immediates that wait since before this round; n counts. */
static void on_check(uv_check_t *check) {
  kiln__run *run = check->data;
  bool more = true;
  for (double n = 0; more; n++) {
    kv8_value *value;
    bool goes_on = kiln__run_hook(run, run->hooks.immediate, n, &value);
    more = value == NULL || kv8_value_is_true(value);
    kv8_value_free(value);
    if (!goes_on) return;
  }
}

/* immediates(waiting, keepAlive) */
static void immediates(void *user, kv8_call *call) {
  (void)user;
  if (kiln__run_arg_bool(call, 0)) {
    (void)uv_check_start(&state.check, on_check);
  } else {
    (void)uv_check_stop(&state.check);
  }
  if (kiln__run_arg_bool(call, 1)) {
    (void)uv_idle_start(&state.idle, on_idle);
  } else {
    (void)uv_idle_stop(&state.idle);
  }
}

/* ---- signals -------------------------------------------------------------------------- */

static void on_signal(uv_signal_t *signal_, int number) {
  kiln__run *run = signal_->data;
  kv8_value *value;
  (void)kiln__run_hook(run, run->hooks.signal, number, &value);
  kv8_value_free(value);
}

static uv_signal_t *watched[NSIG];

static void free_signal(uv_handle_t *handle) {
  free(handle);
}

/* watchSignal(number, on): does not keep the loop alive. True if it worked. */
static void watch_signal(void *user, kv8_call *call) {
  kiln__run *run = user;
  uint32_t number;
  if (!kiln__run_arg_uint32(call, 0, &number)) return;
  if (number == 0 || number >= NSIG) {
    kiln__run_return_bool(call, false);
    return;
  }
  int failure = 0;
  if (kiln__run_arg_bool(call, 1)) {
    if (watched[number] == NULL) {
      uv_signal_t *made = malloc(sizeof(*made));
      failure = made == NULL ? UV_ENOMEM : uv_signal_init(run->loop, made);
      if (failure == 0) {
        made->data = run;
        uv_unref((uv_handle_t *)made);
        failure = uv_signal_start(made, on_signal, (int)number);
        if (failure == 0) {
          watched[number] = made;
        } else {
          uv_close((uv_handle_t *)made, free_signal);
        }
      } else {
        free(made);
      }
    }
  } else if (watched[number] != NULL) {
    uv_close((uv_handle_t *)watched[number], free_signal);
    watched[number] = NULL;
  }
  kiln__run_return_bool(call, failure == 0);
}

/* ---- the rest ------------------------------------------------------------------------- */

/* hold(on): V8 works at something, and will post a task when it is done. */
static void hold(void *user, kv8_call *call) {
  (void)user;
  kiln__run_hold(kiln__run_arg_bool(call, 0));
}

/* runMicrotasks(): within a microtask it does nothing. */
static void run_microtasks(void *user, kv8_call *call) {
  kiln__run *run = user;
  kv8_error error;
  (void)kiln__run_throws(
      call, kv8_isolate_drain_microtasks(run->isolate, /* timeout_ms= */ 0, &error), &error);
}

/* enqueueMicrotask(function) */
static void enqueue_microtask(void *user, kv8_call *call) {
  kiln__run *run = user;
  kv8_error error;
  (void)kiln__run_throws(
      call, kv8_enqueue_microtask(run->context, kv8_call_get_argument(call, 0), &error), &error);
}

kv8_status kiln__run_bind_loop(kiln__run *run, kv8_value *object, kv8_error *err) {
  static const kiln__run_entry entries[] = {{"schedule", 1, schedule},
                                            {"keepAlive", 1, keep_alive},
                                            {"now", 0, now},
                                            {"immediates", 2, immediates},
                                            {"watchSignal", 2, watch_signal},
                                            {"hold", 1, hold},
                                            {"runMicrotasks", 0, run_microtasks},
                                            {"enqueueMicrotask", 1, enqueue_microtask},
                                            {NULL, 0, NULL}};
  static const char zeros[KILN__RUN_FLAGS];
  kv8_value *buffer = NULL;
  uint8_t *bytes = NULL;
  size_t length;
  state.run = run;
  state.timer.data = run;
  state.check.data = run;
  (void)uv_timer_init(run->loop, &state.timer);
  (void)uv_check_init(run->loop, &state.check);
  (void)uv_idle_init(run->loop, &state.idle);
  uv_unref((uv_handle_t *)&state.check);
  kv8_status status = kiln__run_functions(run, object, entries, err);
  if (status == KV8_OK) {
    status = kv8_array_buffer(run->context, (kv8_span){zeros, sizeof(zeros)}, &buffer, err);
  }
  if (status == KV8_OK) {
    status = kv8_uint8_array(run->context, buffer, 0, sizeof(zeros), &kiln__run_flags.array, err);
  }
  if (status == KV8_OK) {
    status = kv8_buffer_get_bytes(kiln__run_flags.array, &bytes, &length, err);
  }
  if (status == KV8_OK) {
    kiln__run_flags.bytes = bytes;
    status = kv8_object_set_named(run->context, object, kv8_span_from("flags"),
                                  kiln__run_flags.array, err);
  }
  kv8_value_free(buffer);
  return status;
}

void kiln__run_bind_loop_end(void) {
  for (size_t i = 0; i < NSIG; i++) {
    if (watched[i] != NULL) uv_close((uv_handle_t *)watched[i], free_signal);
    watched[i] = NULL;
  }
  kv8_value_free(kiln__run_flags.array);
  kiln__run_flags = (kiln__run_loop_flags){NULL, NULL};
}
