/* SPDX-License-Identifier: MIT
 *
 * job.c: a job as a message, both directions. The pool writes, a worker reads; the reader is as
 * strict as if it were the other way round: unknown, repeated, missing or misplaced fields make the
 * whole message malformed. What the job means is worker*.c.
 */
#include "toolkit/job.h"

#include <stdlib.h>
#include <string.h>

#define SOURCE_MAX KILN_WIRE_PAYLOAD_MAX
#define TEXT_MAX ((size_t)1 << 30)

enum {
  TAG_OP = 1,
  TAG_KIND,
  TAG_MODE,
  TAG_FLAGS,
  TAG_SOURCE,
  TAG_CACHED_DATA,
  TAG_WORKLOAD,
  TAG_FILENAME,
  TAG_LINE_OFFSET,
  TAG_COLUMN_OFFSET,
  TAG_GLOBALS,
  TAG_ARGS,
  TAG_CONTEXT_NAME,
  TAG_CONTEXT_ORIGIN,
  TAG_TIMEOUT,
  TAG_HEAP_MAX,
  TAG_MEMORY_MAX,
  TAG_RESULT_MAX,
  TAG_CONSOLE_MAX,
  /* lists */
  TAG_PARAM,
  TAG_MODULE_NAME,   /* then TAG_LISTED_SOURCE */
  TAG_MEASURED_NAME, /* begins a context; then its globals, then its scripts */
  TAG_MEASURED_GLOBALS,
  TAG_SCRIPT_NAME, /* then TAG_LISTED_SOURCE */
  TAG_LISTED_SOURCE,
};
#define TAG_SINGLE_LAST TAG_CONSOLE_MAX
#define ALWAYS_THERE                                                                          \
  (1u << TAG_OP | 1u << TAG_KIND | 1u << TAG_MODE | 1u << TAG_FLAGS | 1u << TAG_LINE_OFFSET | \
   1u << TAG_COLUMN_OFFSET | 1u << TAG_TIMEOUT | 1u << TAG_HEAP_MAX | 1u << TAG_MEMORY_MAX |  \
   1u << TAG_RESULT_MAX | 1u << TAG_CONSOLE_MAX)

enum {
  FLAG_MICROTASKS_AFTER_EVALUATE = 1,
  FLAG_DENY_STRINGS = 2,
  FLAG_DENY_WASM = 4,
  FLAG_DETAILED = 8,
  FLAG_EAGER = 16,
  FLAGS_ALL = 31
};

/* ---- writing --------------------------------------------------------------------------------- */

static uint64_t flags_of(const kiln_job *job) {
  uint64_t flags = 0;
  if (job->microtasks_after_evaluate) flags |= FLAG_MICROTASKS_AFTER_EVALUATE;
  if (job->deny_strings) flags |= FLAG_DENY_STRINGS;
  if (job->deny_wasm) flags |= FLAG_DENY_WASM;
  if (job->detailed) flags |= FLAG_DETAILED;
  if (job->eager) flags |= FLAG_EAGER;
  return flags;
}

static void put_named(kiln_wire_out *out, uint16_t tag, const kiln_job_source *source) {
  kiln__wire_put_text(out, tag, source->name);
  kiln__wire_put_bytes(out, TAG_LISTED_SOURCE, source->source);
}

static void put_lists(kiln_wire_out *out, const kiln_job *job) {
  for (size_t i = 0; i < job->params_count; i++)
    kiln__wire_put_text(out, TAG_PARAM, job->params[i]);
  for (size_t i = 0; i < job->modules_count; i++) put_named(out, TAG_MODULE_NAME, &job->modules[i]);
  for (size_t i = 0; i < job->contexts_count; i++) {
    const kiln_job_context *context = &job->contexts[i];
    kiln__wire_put_text(out, TAG_MEASURED_NAME, context->name);
    kiln__wire_put_text_if_any(out, TAG_MEASURED_GLOBALS, context->globals_json);
    for (size_t j = 0; j < context->scripts_count; j++)
      put_named(out, TAG_SCRIPT_NAME, &context->scripts[j]);
  }
}

kiln_status kiln__job_encode(const kiln_job *job, kiln_wire_out *ret_out) {
  kiln_wire_out *out = ret_out;
  kiln__wire_out_init(out, KILN_WIRE_JOB);
  if (job->params_count > KILN_PARAMS_MAX || job->modules_count > KILN_MODULES_MAX ||
      job->contexts_count > KILN_CONTEXTS_MAX)
    return KILN_ETOOBIG;
  for (size_t i = 0; i < job->contexts_count; i++)
    if (job->contexts[i].scripts_count > KILN_SCRIPTS_MAX) return KILN_ETOOBIG;
  kiln__wire_put_number(out, TAG_OP, job->op);
  kiln__wire_put_number(out, TAG_KIND, job->kind);
  kiln__wire_put_number(out, TAG_MODE, job->mode);
  kiln__wire_put_number(out, TAG_FLAGS, flags_of(job));
  kiln__wire_put_number(out, TAG_LINE_OFFSET, (uint32_t)job->line_offset);
  kiln__wire_put_number(out, TAG_COLUMN_OFFSET, (uint32_t)job->column_offset);
  kiln__wire_put_number(out, TAG_TIMEOUT, job->timeout_ms);
  kiln__wire_put_number(out, TAG_HEAP_MAX, job->heap_max_bytes);
  kiln__wire_put_number(out, TAG_MEMORY_MAX, job->memory_max_bytes);
  kiln__wire_put_number(out, TAG_RESULT_MAX, job->result_max_bytes);
  kiln__wire_put_number(out, TAG_CONSOLE_MAX, job->console_max_bytes);
  /* The big ones first: the number of descriptors is bounded. */
  if (job->source) kiln__wire_put_bytes(out, TAG_SOURCE, job->source);
  if (job->cached_data) kiln__wire_put_bytes(out, TAG_CACHED_DATA, job->cached_data);
  if (job->workload) kiln__wire_put_bytes(out, TAG_WORKLOAD, job->workload);
  kiln__wire_put_text_if_any(out, TAG_FILENAME, job->filename);
  kiln__wire_put_text_if_any(out, TAG_GLOBALS, job->globals_json);
  kiln__wire_put_text_if_any(out, TAG_ARGS, job->args_json);
  kiln__wire_put_text_if_any(out, TAG_CONTEXT_NAME, job->context_name);
  kiln__wire_put_text_if_any(out, TAG_CONTEXT_ORIGIN, job->context_origin);
  put_lists(out, job);
  if (kiln__wire_finish(out)) return KILN_OK;
  return out->too_big ? KILN_ETOOBIG : KILN_ENOMEM;
}

/* ---- reading --------------------------------------------------------------------------------- */

/* The arrays of a job under construction; all in one allocation. */
typedef struct lists {
  kiln_span *params;
  kiln_job_source *modules;
  kiln_job_source *scripts; /* of all contexts, in order */
  kiln_job_context *contexts;
  size_t params_max, modules_max, scripts_max, contexts_max;
  size_t scripts_count;
  kiln_bytes **wanted; /* where the next TAG_LISTED_SOURCE goes; NULL: none is due */
} lists;

static bool make_lists(kiln_wire_in *in, lists *ret_lists, void **ret_arena) {
  lists l = {0};
  kiln_wire_field field;
  int stepped;
  while ((stepped = kiln__wire_next(in, &field)) == 1) {
    if (field.tag == TAG_PARAM) l.params_max++;
    if (field.tag == TAG_MODULE_NAME) l.modules_max++;
    if (field.tag == TAG_MEASURED_NAME) l.contexts_max++;
    if (field.tag == TAG_SCRIPT_NAME) l.scripts_max++;
  }
  kiln__wire_rewind(in);
  if (stepped < 0 || l.params_max > KILN_PARAMS_MAX || l.modules_max > KILN_MODULES_MAX ||
      l.contexts_max > KILN_CONTEXTS_MAX || l.scripts_max > KILN_CONTEXTS_MAX * KILN_SCRIPTS_MAX)
    return false;
  /* All four are pointers and sizes: each array's end is the next one's aligned beginning. */
  size_t params = l.params_max * sizeof(*l.params);
  size_t modules = l.modules_max * sizeof(*l.modules);
  size_t scripts = l.scripts_max * sizeof(*l.scripts);
  size_t contexts = l.contexts_max * sizeof(*l.contexts);
  char *arena = calloc(1, params + modules + scripts + contexts + 1);
  if (!arena) return false;
  l.params = (void *)arena;
  l.modules = (void *)(arena + params);
  l.scripts = (void *)(arena + params + modules);
  l.contexts = (void *)(arena + params + modules + scripts);
  *ret_lists = l;
  *ret_arena = arena;
  return true;
}

static bool get_flags(const kiln_wire_field *field, kiln_job *job) {
  uint64_t flags;
  if (!kiln__wire_get_number(field, FLAGS_ALL, &flags)) return false;
  job->microtasks_after_evaluate = flags & FLAG_MICROTASKS_AFTER_EVALUATE;
  job->deny_strings = flags & FLAG_DENY_STRINGS;
  job->deny_wasm = flags & FLAG_DENY_WASM;
  job->detailed = flags & FLAG_DETAILED;
  job->eager = flags & FLAG_EAGER;
  return true;
}

static bool decode_single(kiln_wire_in *in, const kiln_wire_field *field, kiln_job *job) {
  uint64_t number = 0;
  bool good;
  switch (field->tag) {
    case TAG_OP:
      good = kiln__wire_get_number(field, KILN_JOB_IMAGE, &number) && number >= KILN_JOB_BAKE;
      job->op = (kiln_job_op)number;
      return good;
    case TAG_KIND:
      good = kiln__wire_get_number(field, KILN_FUNCTION, &number);
      job->kind = (kiln_kind)number;
      return good;
    case TAG_MODE:
      good = kiln__wire_get_number(field, KILN_WORKLOAD, &number);
      job->mode = (kiln_mode)number;
      return good;
    case TAG_TIMEOUT:
      good = kiln__wire_get_number(field, UINT32_MAX, &number);
      job->timeout_ms = (uint32_t)number;
      return good;
    case TAG_FLAGS:
      return get_flags(field, job);
    case TAG_SOURCE:
      return kiln__wire_get_bytes(in, field, SOURCE_MAX, true, &job->source);
    case TAG_CACHED_DATA:
      return kiln__wire_get_bytes(in, field, KILN_BLOB_MAX, true, &job->cached_data);
    case TAG_WORKLOAD:
      return kiln__wire_get_bytes(in, field, SOURCE_MAX, true, &job->workload);
    case TAG_FILENAME:
      return kiln__wire_get_text(field, TEXT_MAX, &job->filename);
    case TAG_LINE_OFFSET:
      return kiln__wire_get_i32(field, &job->line_offset);
    case TAG_COLUMN_OFFSET:
      return kiln__wire_get_i32(field, &job->column_offset);
    case TAG_GLOBALS:
      return kiln__wire_get_text(field, TEXT_MAX, &job->globals_json);
    case TAG_ARGS:
      return kiln__wire_get_text(field, TEXT_MAX, &job->args_json);
    case TAG_CONTEXT_NAME:
      return kiln__wire_get_text(field, TEXT_MAX, &job->context_name);
    case TAG_CONTEXT_ORIGIN:
      return kiln__wire_get_text(field, TEXT_MAX, &job->context_origin);
    case TAG_HEAP_MAX:
      return kiln__wire_get_u64(field, &job->heap_max_bytes);
    case TAG_MEMORY_MAX:
      return kiln__wire_get_u64(field, &job->memory_max_bytes);
    case TAG_RESULT_MAX:
      return kiln__wire_get_u64(field, &job->result_max_bytes);
    case TAG_CONSOLE_MAX:
      return kiln__wire_get_u64(field, &job->console_max_bytes);
    default:
      return false;
  }
}

static bool decode_listed(kiln_wire_in *in, const kiln_wire_field *field, kiln_job *job, lists *l) {
  if ((field->tag == TAG_LISTED_SOURCE) != (l->wanted != NULL)) return false;
  kiln_job_context *context =
      job->contexts_count > 0 ? &l->contexts[job->contexts_count - 1] : NULL;
  kiln_job_source *source;
  switch (field->tag) {
    case TAG_PARAM:
      return kiln__wire_get_text(field, TEXT_MAX, &l->params[job->params_count++]);
    case TAG_MODULE_NAME:
      source = &l->modules[job->modules_count++];
      l->wanted = &source->source;
      return kiln__wire_get_text(field, TEXT_MAX, &source->name);
    case TAG_MEASURED_NAME:
      context = &l->contexts[job->contexts_count++];
      context->scripts = &l->scripts[l->scripts_count];
      return kiln__wire_get_text(field, TEXT_MAX, &context->name);
    case TAG_MEASURED_GLOBALS:
      if (!context || context->scripts_count > 0 || context->globals_json.data) return false;
      return kiln__wire_get_text(field, TEXT_MAX, &context->globals_json);
    case TAG_SCRIPT_NAME:
      if (!context || context->scripts_count == KILN_SCRIPTS_MAX) return false;
      source = &l->scripts[l->scripts_count++];
      context->scripts_count++;
      l->wanted = &source->source;
      return kiln__wire_get_text(field, TEXT_MAX, &source->name);
    case TAG_LISTED_SOURCE: {
      kiln_bytes **to = l->wanted;
      l->wanted = NULL;
      return kiln__wire_get_bytes(in, field, SOURCE_MAX, true, to);
    }
    default:
      return false;
  }
}

/* Whether the job has what its operation needs. */
static bool is_whole(const kiln_job *job) {
  if (job->op == KILN_JOB_IMAGE) return job->contexts_count == 1;
  if (job->op == KILN_JOB_MEASURE) return job->contexts_count > 0;
  return job->source &&
         (job->op != KILN_JOB_BAKE || (job->mode == KILN_WORKLOAD) == !!job->workload) &&
         (job->op != KILN_JOB_CANARY || job->cached_data);
}

bool kiln__job_decode(kiln_wire_in *in, kiln_job_frame *ret_frame) {
  kiln_job_frame frame = {0};
  lists l = {0};
  if (in->type != KILN_WIRE_JOB || !make_lists(in, &l, &frame.arena)) return false;
  kiln_job *job = &frame.job;
  job->params = l.params;
  job->modules = l.modules;
  job->contexts = l.contexts;
  uint32_t seen = 0;
  kiln_wire_field field;
  int stepped;
  bool good = true;
  while (good && (stepped = kiln__wire_next(in, &field)) == 1) {
    if (field.tag > TAG_SINGLE_LAST) {
      good = decode_listed(in, &field, job, &l);
    } else {
      good = !(seen & 1u << field.tag) && !l.wanted && decode_single(in, &field, job);
      seen |= 1u << field.tag;
    }
  }
  good =
      good && stepped == 0 && !l.wanted && (seen & ALWAYS_THERE) == ALWAYS_THERE && is_whole(job);
  if (good)
    *ret_frame = frame;
  else
    kiln__job_frame_release(&frame);
  return good;
}

void kiln__job_frame_release(kiln_job_frame *frame) {
  kiln_job *job = &frame->job;
  kiln_bytes_unref(job->source);
  kiln_bytes_unref(job->cached_data);
  kiln_bytes_unref(job->workload);
  for (size_t i = 0; i < job->modules_count; i++) kiln_bytes_unref(job->modules[i].source);
  for (size_t i = 0; i < job->contexts_count; i++)
    for (size_t j = 0; j < job->contexts[i].scripts_count; j++)
      kiln_bytes_unref(job->contexts[i].scripts[j].source);
  free(frame->arena);
  memset(frame, 0, sizeof(*frame));
}
