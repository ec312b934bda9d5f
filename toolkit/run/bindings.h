/* SPDX-License-Identifier: MIT
 *
 * bindings.h: every binding, one file each: internalBinding("NAME") is filled by
 * kiln__run_bind_NAME() in bind_NAME.c.
 */
#ifndef KILN_TOOLKIT_RUN_BINDINGS_H
#define KILN_TOOLKIT_RUN_BINDINGS_H

#include "toolkit/run/run.h"

kv8_status kiln__run_bind_builtins(kiln__run *run, kv8_value *object, kv8_error *err);
kv8_status kiln__run_bind_files(kiln__run *run, kv8_value *object, kv8_error *err);
kv8_status kiln__run_bind_http(kiln__run *run, kv8_value *object, kv8_error *err);
kv8_status kiln__run_bind_loop(kiln__run *run, kv8_value *object, kv8_error *err);
kv8_status kiln__run_bind_modules(kiln__run *run, kv8_value *object, kv8_error *err);
kv8_status kiln__run_bind_process(kiln__run *run, kv8_value *object, kv8_error *err);
kv8_status kiln__run_bind_text(kiln__run *run, kv8_value *object, kv8_error *err);
kv8_status kiln__run_bind_util(kiln__run *run, kv8_value *object, kv8_error *err);
kv8_status kiln__run_bind_v8(kiln__run *run, kv8_value *object, kv8_error *err);
kv8_status kiln__run_bind_vm(kiln__run *run, kv8_value *object, kv8_error *err);

#endif
