/* SPDX-License-Identifier: MIT
 *
 * bind_vm_memory.c: internalBinding("vm"), the part about measuring memory. An eager measurement
 * keeps the event loop alive until it is there; a default one waits for a garbage collection that
 * may never be, and does not.
 */
#include <stdlib.h>

#include "toolkit/run/bind_vm.h"

#define PUMP_MS 1

/* The event loop runs V8's tasks at each turn: the timer makes turns. */
static struct {
  uv_timer_t timer;
  bool is_made;
  unsigned waiting;
} eager;

typedef struct measurement {
  kiln__run *run;
  kv8_value *done;
  bool is_eager;
} measurement;

static void on_turn(uv_timer_t *timer) {
  (void)timer;
}

static void hold_loop(kiln__run *run) {
  if (!eager.is_made) eager.is_made = uv_timer_init(run->loop, &eager.timer) == 0;
  if (eager.is_made && eager.waiting == 0) {
    (void)uv_timer_start(&eager.timer, on_turn, PUMP_MS, PUMP_MS);
  }
  eager.waiting++;
}

static void release_loop(void) {
  eager.waiting--;
  if (eager.is_made && eager.waiting == 0) (void)uv_timer_stop(&eager.timer);
}

static kv8_status add_number(kiln__run *run, kv8_value *array, uint32_t *at, size_t number) {
  kv8_value *value = NULL;
  kv8_status status = kv8_number(run->isolate, (double)number, &value, /* err= */ NULL);
  if (status == KV8_OK) {
    status = kv8_object_set_index(run->context, array, *at, value, /* err= */ NULL);
  }
  kv8_value_free(value);
  (*at)++;
  return status;
}

static kv8_status add_estimate(kiln__run *run, kv8_value *array, uint32_t *at,
                               const kv8_memory_estimate *estimate) {
  kv8_status status = add_number(run, array, at, estimate->js_memory_estimate);
  if (status == KV8_OK) status = add_number(run, array, at, estimate->js_memory_range[0]);
  if (status == KV8_OK) status = add_number(run, array, at, estimate->js_memory_range[1]);
  return status;
}

/* Three numbers each: total, current, others. */
static kv8_status numbers_of(kiln__run *run, const kv8_memory *memory, kv8_value **ret_array) {
  uint32_t at = 0;
  kv8_status status = kv8_array(run->context, /* elements= */ NULL, /* elements_count= */ 0,
                                ret_array, /* err= */ NULL);
  if (status == KV8_OK) status = add_estimate(run, *ret_array, &at, &memory->total);
  if (status == KV8_OK && memory->has_detail) {
    status = add_estimate(run, *ret_array, &at, &memory->current.memory);
  }
  for (size_t i = 0; status == KV8_OK && i < memory->other_count; i++) {
    status = add_estimate(run, *ret_array, &at, &memory->other[i].memory);
  }
  return status;
}

static kv8_status wasm_of(kiln__run *run, const kv8_memory *memory, kv8_value **ret_array) {
  uint32_t at = 0;
  if (!memory->has_wasm) return kv8_undefined(run->isolate, ret_array, /* err= */ NULL);
  kv8_status status = kv8_array(run->context, /* elements= */ NULL, /* elements_count= */ 0,
                                ret_array, /* err= */ NULL);
  if (status == KV8_OK) status = add_number(run, *ret_array, &at, memory->wasm_code_bytes);
  if (status == KV8_OK) status = add_number(run, *ret_array, &at, memory->wasm_metadata_bytes);
  return status;
}

/* done(numbers, wasm); without arguments where there is no answer. */
static void on_measured(void *user, kv8_status status, const kv8_memory *memory,
                        const kv8_error *err) {
  measurement *it = user;
  kiln__run *run = it->run;
  kv8_value *arguments[2] = {NULL, NULL};
  (void)err;
  if (it->is_eager) release_loop();
  if (status != KV8_ESTATE) { /* the isolate is still there */
    bool answered = status == KV8_OK && numbers_of(run, memory, &arguments[0]) == KV8_OK &&
                    wasm_of(run, memory, &arguments[1]) == KV8_OK;
    (void)kv8_value_call(run->context, it->done, /* receiver= */ NULL,
                         (const kv8_value *const *)arguments, answered ? 2 : 0,
                         /* options= */ NULL, /* ret_value= */ NULL, /* err= */ NULL);
  }
  kv8_value_free(arguments[0]);
  kv8_value_free(arguments[1]);
  kv8_value_free(it->done);
  free(it);
}

/* measureMemory(detailed, eager, done) */
static void measure_memory(void *user, kv8_call *call) {
  kiln__run *run = user;
  kv8_error error;
  kv8_measure_options options = KV8_MEASURE_OPTIONS_INIT;
  measurement *it = calloc(1, sizeof(*it));
  if (it == NULL) {
    kiln__run_throw(call, KV8_ERROR, "", "out of memory");
    return;
  }
  it->run = run;
  it->is_eager = kiln__run_arg_bool(call, 1);
  if (kiln__run_arg_bool(call, 0)) options.mode = KV8_MEASURE_DETAILED;
  if (it->is_eager) options.execution = KV8_MEASURE_EAGER;
  kv8_status status = kv8_value_copy(kv8_call_get_argument(call, 2), &it->done, &error);
  if (status == KV8_OK) {
    status = kv8_measure_memory_start(run->context, &options, on_measured, it, &error);
  }
  if (status == KV8_OK) {
    if (it->is_eager) hold_loop(run);
    return;
  }
  kv8_value_free(it->done);
  free(it);
  (void)kiln__run_throws(call, status, &error);
}

kv8_status kiln__run_bind_vm_memory(kiln__run *run, kv8_value *object, kv8_error *err) {
  static const kiln__run_entry entries[] = {{"measureMemory", 3, measure_memory}, {NULL, 0, NULL}};
  return kiln__run_functions(run, object, entries, err);
}
