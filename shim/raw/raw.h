/* SPDX-License-Identifier: MIT
 *
 * raw.h: the bare V8 calls that kv8_script_compile() with cached data stands for. The benchmark's
 * peer, and nothing else: it is neither installed nor used by a part of Kiln.
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

#ifdef __cplusplus
}
#endif
#endif
