/* SPDX-License-Identifier: MIT
 *
 * session_frame.h: a session's command as its engine process gets it. Private to the toolkit.
 *
 * As job.h: one frame of typed fields per command, answered by one result frame (job_result.c).
 * The first command makes a session of the worker that gets it; the limits of memory are its.
 */
#ifndef KILN_TOOLKIT_SESSION_FRAME_H
#define KILN_TOOLKIT_SESSION_FRAME_H

#include "toolkit/job.h"

/* Requests of one module that one command answers. */
#define KILN_LINKS_MAX KILN_MODULES_MAX

typedef struct kiln_frame_link {
  kiln_span specifier;
  kiln_span attributes_json;
  uint64_t module;
} kiln_frame_link;

/* A kiln_command whose objects are numbers; 0: none. */
typedef struct kiln_frame {
  kiln_command_op op;
  uint64_t object;
  uint64_t context;
  kiln_bytes *source;
  kiln_bytes *cached_data; /* verified by the store */
  kiln_span filename;
  int32_t line_offset;
  int32_t column_offset;
  const kiln_span *params;
  size_t params_count;
  kiln_span extensions_json;
  kiln_span globals_json;
  kiln_span args_json;
  kiln_span this_json;
  kiln_span initialize_meta_json;
  kiln_span exports_json;
  kiln_span name;
  kiln_span value_json;
  const kiln_frame_link *links;
  size_t links_count;
  kiln_span context_name;
  kiln_span context_origin;
  bool contextified;
  bool microtasks_after_evaluate;
  bool deny_strings;
  bool deny_wasm;
  bool detailed;
  bool eager;
  /* limits; those of memory count in the first frame */
  uint32_t timeout_ms;
  uint64_t heap_max_bytes;
  uint64_t memory_max_bytes; /* RLIMIT_DATA */
  uint64_t result_max_bytes;
  uint64_t console_max_bytes;
  uint64_t client; /* who takes turns with whom; not sent */
} kiln_frame;

/* Encodes a frame as a KILN_WIRE_SESSION message, to be released in any case. KILN_ETOOBIG,
 * KILN_ENOMEM. */
kiln_status kiln__frame_encode(const kiln_frame *frame, kiln_wire_out *ret_out);

/* Decodes; everything is lent from the message, or mapped. The caller's `arena` is made and grown
 * as needed and stays his: the next frame uses it again. False: malformed, or no memory. */
typedef struct kiln_frame_arena {
  void *data;
  size_t size;
} kiln_frame_arena;
bool kiln__frame_decode(kiln_wire_in *in, kiln_frame_arena *arena, kiln_frame *ret_frame);
void kiln__frame_release(kiln_frame *frame);

#endif
