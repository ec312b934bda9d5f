/* SPDX-License-Identifier: MIT
 *
 * raw.h: the bare V8 calls that the shim's stand for. The benchmarks' peer, and nothing else: it is
 * neither installed nor used by a part of Kiln.
 */
#ifndef KILN_SHIM_RAW_RAW_H
#define KILN_SHIM_RAW_RAW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct kv8_raw_times {
  uint64_t string_ns;  /* String::NewFromUtf8 */
  uint64_t compile_ns; /* ScriptCompiler::CompileUnboundScript */
  bool rejected;
} kv8_raw_times;

/* Compiles `source` (UTF-8) with cached data in an isolate of its own, whose making is not timed.
 * kv8_engine_start() must have been called. False if V8 gives no script. */
bool kv8_raw_consume(const char *source, size_t length, const char *filename, const uint8_t *data,
                     size_t data_length, kv8_raw_times *ret_times);

/* Makes `count` contexts one after the other in an isolate of its own, compiles and runs `source`
 * in each. The time is that of all. */
bool kv8_raw_contexts(const char *source, int count, uint64_t *ret_ns);

/* In a context of its own runs `setup`, then calls the function that `function` evaluates to with
 * the argument `n`. The time is that of the call. */
bool kv8_raw_call(const char *setup, const char *function, double n, uint64_t *ret_ns);

#ifdef __cplusplus
}
#endif
#endif
