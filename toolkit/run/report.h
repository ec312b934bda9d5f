/* SPDX-License-Identifier: MIT
 *
 * report.h: where an exception came from. V8 forgets it when built-ins throw it on, so it is
 * remembered with the exception.
 */
#ifndef KILN_TOOLKIT_RUN_REPORT_H
#define KILN_TOOLKIT_RUN_REPORT_H

#include "toolkit/run/run.h"

/* Remembers the place `err` tells with run->exception, if it has none yet. */
void kiln__run_place(kiln__run *run, const kv8_error *err);
/* The same, and throws it on. */
void kiln__run_throw_placed(kiln__run *run, kv8_call *call, const kv8_error *err);

#endif
