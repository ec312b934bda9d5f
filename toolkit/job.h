/* SPDX-License-Identifier: MIT
 *
 * job.h: what an engine process is asked to do, and what it answers. Private to the toolkit.
 *
 * A job travels as one frame of typed, length-prefixed fields (wire.h); texts from KILN_MEMFD_MIN
 * bytes on go beside it as sealed memfds. job.c encodes and decodes both directions; it checks
 * every length, since a worker that ran hostile code may answer anything. Structs here own nothing
 * but the kiln_bytes references and the one arena that a decode made.
 */
#ifndef KILN_TOOLKIT_JOB_H
#define KILN_TOOLKIT_JOB_H

#include "toolkit/kiln.h"
#include "toolkit/wire.h"

/* CANARY loads cached data for a trial, and runs nothing of it. IMAGE runs the scripts of its one
 * context, then `source`, a module, if there is one; its process then serves forks, as a zygote. */
typedef enum kiln_job_op {
  KILN_JOB_BAKE = 1,
  KILN_JOB_RUN = 2,
  KILN_JOB_MEASURE = 3,
  KILN_JOB_CANARY = 4,
  KILN_JOB_IMAGE = 5
} kiln_job_op;

/* One script of a measurement's context, or a module of a run. */
typedef struct kiln_job_source {
  kiln_span name;
  kiln_bytes *source;
} kiln_job_source;

typedef struct kiln_job_context {
  kiln_span name;
  kiln_span globals_json;
  const kiln_job_source *scripts;
  size_t scripts_count;
} kiln_job_context;

typedef struct kiln_job {
  kiln_job_op op;
  kiln_kind kind;
  kiln_mode mode;
  kiln_bytes *source;
  kiln_bytes *cached_data; /* run: verified by the store, canary: to be tried; NULL: none */
  kiln_bytes *workload;
  kiln_span filename;
  int32_t line_offset;
  int32_t column_offset;
  const kiln_span *params;
  size_t params_count;
  kiln_span globals_json;
  kiln_span args_json;
  const kiln_job_source *modules;
  size_t modules_count;
  kiln_span context_name;
  kiln_span context_origin;
  bool microtasks_after_evaluate;
  bool deny_strings;
  bool deny_wasm;
  bool detailed;
  bool eager;
  const kiln_job_context *contexts;
  size_t contexts_count;
  struct kiln_pool_image *image; /* run: where it begins; NULL: in an empty context */
  uint64_t client;               /* who takes turns with whom */
  bool follows; /* another job, whose place in the queue it takes: it is never one too many */
  /* limits */
  uint32_t timeout_ms;
  uint64_t heap_max_bytes;
  uint64_t memory_max_bytes; /* RLIMIT_DATA */
  uint64_t result_max_bytes;
  uint64_t console_max_bytes;
} kiln_job;

/* What the pool hands to the done function; lent for the call. */
typedef struct kiln_job_result {
  kiln_status status; /* KILN_OK, or KILN_EENGINE / KILN_ECLOSING / KILN_EINTERNAL: no worker ran to
                         an end */
  kiln_outcome outcome;
  char message_of_ours[256]; /* with a status that is not KILN_OK */
  /* the exception: empty strings where unknown */
  const char *code, *name, *message, *stack, *resource, *source_line;
  int line, column;
  int signal;
  kiln_bytes *blob;
  kiln_bytes *result_json, *globals_json, *console_json, *memory_json;
  bool console_truncated;
  int cached_data_rejected; /* 1, 0, -1 */
  /* The worker that was given cached data crashed; this is the answer of another, without them. */
  bool consumer_crashed;
  int consumer_signal; /* 0: it exited */
  kiln_times times;
  /* of commands of sessions */
  /* KILN_OK, or KILN_NOT_FOUND, KILN_EINVAL, KILN_ETOOBIG: the command could not be begun; `code`
   * and `message` say why. */
  kiln_status refusal;
  uint64_t object;  /* the number of what was made; 0: nothing */
  uint64_t objects; /* alive now */
  kiln_bytes *module_json;
} kiln_job_result;

/* The codes a job's end may carry beside those of scripts and of Node. */
#define KILN_CODE_TIME_LIMIT "ERR_SCRIPT_EXECUTION_TIMEOUT"
#define KILN_CODE_MEMORY_LIMIT "ERR_MEMORY_LIMIT"
#define KILN_CODE_CRASHED "ERR_ENGINE_CRASHED"
#define KILN_CODE_PROTOCOL "ERR_ENGINE_PROTOCOL"
#define KILN_CODE_REFUSED "ERR_SOURCE_REFUSED"
#define KILN_CODE_FORBIDDEN "ERR_SANDBOX_VIOLATION"
#define KILN_CODE_IMAGE_FAILED "ERR_IMAGE_FAILED"

/* What a worker exits with where it can still say why. */
#define KILN_EXIT_MEMORY_LIMIT 77
#define KILN_EXIT_FATAL 78
#define KILN_EXIT_FORBIDDEN 79
#define KILN_EXIT_SIGNAL 128 /* plus the signal's number */

#define KILN_RESULT_TEXT_MAX 8192 /* each of the exception's texts */
#define KILN_BLOB_MAX ((uint64_t)256 << 20)

/* Encodes a job as a KILN_WIRE_JOB message, to be released in any case. KILN_ETOOBIG,
 * KILN_ENOMEM. */
kiln_status kiln__job_encode(const kiln_job *job, kiln_wire_out *ret_out);

/* A decoded job: what it owns beside the message, which must stay. */
typedef struct kiln_job_frame {
  kiln_job job;
  void *arena;
} kiln_job_frame;

/* Decodes; sources are lent from the message or mapped. False: malformed, or no memory. */
bool kiln__job_decode(kiln_wire_in *in, kiln_job_frame *ret_frame);
void kiln__job_frame_release(kiln_job_frame *frame);

/* Encodes what a worker found out (everything but status, signal and queued_ns, total_ns). */
bool kiln__job_result_encode(const kiln_job_result *result, kiln_wire_out *ret_out);

/* Limits on what a worker may answer. */
typedef struct kiln_job_result_limits {
  uint64_t result_max_bytes;  /* of each JSON text but the console's */
  uint64_t console_max_bytes; /* of the console's texts; the JSON around them may be 6 times that */
  bool session;               /* only then it may have the fields of a command */
} kiln_job_result_limits;

/* Decodes and checks an answer: ranges, UTF-8, JSON, seals, sizes. Texts are lent from the message,
 * bytes are references: release with kiln__job_result_release(). False: malformed. */
bool kiln__job_result_decode(kiln_wire_in *in, const kiln_job_result_limits *limits,
                             kiln_job_result *ret_result);
void kiln__job_result_release(kiln_job_result *result);

#endif
