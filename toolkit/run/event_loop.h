/* SPDX-License-Identifier: MIT
 *
 * event_loop.h: what the event loop (event_loop.c) and its binding (bind_loop.c) share.
 */
#ifndef KILN_TOOLKIT_RUN_EVENT_LOOP_H
#define KILN_TOOLKIT_RUN_EVENT_LOOP_H

#include "toolkit/run/run.h"

#define KILN__RUN_ARGS_MAX 8

/* A Uint8Array that JavaScript writes and C reads: what is waiting. */
enum { KILN__RUN_FLAG_TICKS, KILN__RUN_FLAGS };
typedef struct kiln__run_loop_flags {
  kv8_value *array;
  const uint8_t *bytes; /* of it */
} kiln__run_loop_flags;
extern kiln__run_loop_flags kiln__run_flags;

/* Calls hook(number), then settles. *ret_value is yours also if this is false: the run is
 * exiting. NULL: it threw. */
bool kiln__run_hook(kiln__run *run, const kv8_value *hook, double number, kv8_value **ret_value);

/* While V8 works at something for JavaScript: keeps the loop alive, and runs V8's tasks often. */
void kiln__run_hold(bool hold);

/* Forgets a promise that waits to be reported as rejected; false if it does not. */
bool kiln__run_forget_rejection(kiln__run *run, const kv8_value *promise);

void kiln__run_bind_loop_end(void);
void kiln__run_bind_http_end(void);

#endif
