/* SPDX-License-Identifier: MIT
 *
 * bind_vm.h: what the files of internalBinding("vm") share. Handles are tied to the JavaScript
 * objects they belong to; C holds nothing that a program can reach.
 */
#ifndef KILN_TOOLKIT_RUN_BIND_VM_H
#define KILN_TOOLKIT_RUN_BIND_VM_H

#include "cache/kcc.h"
#include "toolkit/run/run.h"

/* The functions of js/internal/vm_hooks.js that answer what code asks. */
typedef struct kiln__run_vm {
  kiln__run *run;
  kv8_value *import_dynamically;     /* (hooks, specifier, attributes, phase) -> promise */
  kv8_value *initialize_import_meta; /* (module, meta) */
  kv8_value *evaluate_synthetic;     /* (module) */
} kiln__run_vm;

/* Where a script's first line begins, for kiln__run_vm_throws(); the file name is an argument. */
typedef struct kiln__run_vm_place {
  kv8_call *call;
  size_t filename;
  int32_t line_offset;
  int32_t column_offset;
} kiln__run_vm_place;

/* Throws if `status` is not KV8_OK, the very exception where there is one; with `place`, its stack
 * gets the offending line first, as Node's displayErrors has it. */
bool kiln__run_vm_throws(kiln__run *run, kv8_call *call, kv8_status status, const kv8_error *err,
                         const kiln__run_vm_place *place);

/* What the option arguments of a compile say. kiln__run_vm_source_release() ends it, after the
 * compile. */
typedef struct kiln__run_vm_source {
  kv8_source source;
  kv8_hooks hooks;
  kv8_blob text;
  kv8_blob filename;
} kiln__run_vm_source;

/* Reads code, filename, lineOffset, columnOffset, cachedData, hooks: the arguments from `first` on.
 * False: it threw. */
bool kiln__run_vm_source_read(kiln__run *run, kv8_call *call, size_t first,
                              kiln__run_vm_source *ret_source);
void kiln__run_vm_source_release(kiln__run_vm_source *source);

/* Hooks that lead to vm_hooks.js, with `referrer`, its `hooks` object. */
void kiln__run_vm_hooks_init(kiln__run *run, kv8_hooks *hooks, const kv8_value *referrer);

/* ---- cached data (bind_vm_seal.c) -------------------------------------------------------------
 */

typedef enum kiln__run_vm_kind {
  KILN__RUN_VM_SCRIPT = 1,
  KILN__RUN_VM_FUNCTION = 2,
  KILN__RUN_VM_MODULE = 3,
} kiln__run_vm_kind;

/* What binds cached data to the code. False: it threw. */
bool kiln__run_vm_seal_of(kv8_call *call, kiln__run_vm_kind kind, kv8_span text,
                          const kv8_span *params, size_t params_count, kcc_digest *ret_seal);

/* What V8 is to see of cached data: nothing if it is of other code. */
kv8_span kiln__run_vm_unseal(kv8_span data, const kcc_digest *seal);

/* Answers with V8's data, sealed, as a new Uint8Array. */
void kiln__run_vm_return_sealed(kv8_call *call, const kv8_blob *data, const kcc_digest *seal);

/* JavaScript keeps the seal as text. */
void kiln__run_vm_return_seal(kv8_call *call, const kcc_digest *seal);
bool kiln__run_vm_arg_seal(kv8_call *call, size_t index, kcc_digest *ret_seal);

/* Reports the outcome as result.rejected, if there is a result argument. */
kv8_status kiln__run_vm_report(kiln__run *run, kv8_call *call, size_t index,
                               kv8_cache_outcome outcome, kv8_error *err);

/* ---- arguments --------------------------------------------------------------------------------
 */

/* The context of an argument: the main one for undefined and null; NULL: it threw. */
kv8_context *kiln__run_vm_context(kiln__run *run, kv8_call *call, size_t index);

/* The items of an array argument, as many as *ret_count; kiln__run_vm_items_free() frees them.
 * False: it threw. */
bool kiln__run_vm_items(kiln__run *run, kv8_call *call, size_t index, kv8_value ***ret_items,
                        size_t *ret_count);
void kiln__run_vm_items_free(kv8_value **items, size_t count);

kv8_status kiln__run_bind_vm_script(kiln__run *run, kv8_value *object, kv8_error *err);
kv8_status kiln__run_bind_vm_module(kiln__run *run, kv8_value *object, kv8_error *err);
kv8_status kiln__run_bind_vm_memory(kiln__run *run, kv8_value *object, kv8_error *err);

kv8_status kiln__run_vm_evaluate_synthetic(void *user, kv8_module *module,
                                           kv8_value **ret_exception, kv8_error *err);

#endif
