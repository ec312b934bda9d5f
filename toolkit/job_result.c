/* SPDX-License-Identifier: MIT
 *
 * job_result.c: a worker's answer as a message, both directions. Whoever answered may have been
 * taken over by the script it ran, so the reader believes nothing: unknown, repeated or missing
 * fields, numbers out of range, texts that are not UTF-8, JSON that is none, memory that could
 * still change, all make the whole answer worthless.
 */
#include <stdlib.h>
#include <string.h>

#include "toolkit/job.h"
#include "toolkit/json_check.h"

/* A value nests no deeper than kv8's limit of 1,000, and what describes it adds little. */
#define JSON_DEPTH_MAX 1100
/* Every byte of a console text may need six in JSON, each entry its frame. */
#define CONSOLE_JSON_FACTOR 6

enum {
  TAG_OUTCOME = 1,
  TAG_CODE,
  TAG_NAME,
  TAG_MESSAGE,
  TAG_STACK,
  TAG_RESOURCE,
  TAG_SOURCE_LINE,
  TAG_LINE,
  TAG_COLUMN,
  TAG_BLOB,
  TAG_RESULT_JSON,
  TAG_GLOBALS_JSON,
  TAG_CONSOLE_JSON,
  TAG_MEMORY_JSON,
  TAG_CONSOLE_TRUNCATED,
  TAG_CACHED_DATA_REJECTED, /* 0 accepted, 1 rejected, 2 not offered */
  TAG_COMPILE_NS,
  TAG_RUN_NS,
  TAG_SERIALIZE_NS,
  /* of commands of sessions */
  TAG_REFUSAL, /* see refusals[] */
  TAG_OBJECT,
  TAG_OBJECTS,
  TAG_MODULE_JSON,
  TAG_LAST = TAG_MODULE_JSON
};
#define ALWAYS_THERE                                                                  \
  (1u << TAG_OUTCOME | 1u << TAG_CONSOLE_TRUNCATED | 1u << TAG_CACHED_DATA_REJECTED | \
   1u << TAG_COMPILE_NS | 1u << TAG_RUN_NS | 1u << TAG_SERIALIZE_NS)

/* What a command may be refused with; a result's refusal travels as its place here. */
static const kiln_status refusals[] = {KILN_OK, KILN_NOT_FOUND, KILN_EINVAL, KILN_ETOOBIG};
#define REFUSALS (sizeof(refusals) / sizeof(refusals[0]))

/* ---- writing --------------------------------------------------------------------------------- */

static void put_string(kiln_wire_out *out, uint16_t tag, const char *text) {
  if (!text || text[0] == '\0') return;
  kiln__wire_put_text(out, tag, (kiln_span){text, strnlen(text, KILN_RESULT_TEXT_MAX)});
}

static void put_bytes(kiln_wire_out *out, uint16_t tag, kiln_bytes *bytes) {
  if (bytes) kiln__wire_put_bytes(out, tag, bytes);
}

bool kiln__job_result_encode(const kiln_job_result *result, kiln_wire_out *ret_out) {
  kiln_wire_out *out = ret_out;
  kiln__wire_out_init(out, KILN_WIRE_RESULT);
  kiln__wire_put_number(out, TAG_OUTCOME, result->outcome);
  kiln__wire_put_number(out, TAG_CONSOLE_TRUNCATED, result->console_truncated);
  kiln__wire_put_number(
      out, TAG_CACHED_DATA_REJECTED,
      result->cached_data_rejected < 0 ? 2u : (uint64_t)result->cached_data_rejected);
  kiln__wire_put_number(out, TAG_COMPILE_NS, result->times.compile_ns);
  kiln__wire_put_number(out, TAG_RUN_NS, result->times.run_ns);
  kiln__wire_put_number(out, TAG_SERIALIZE_NS, result->times.serialize_ns);
  put_string(out, TAG_CODE, result->code);
  put_string(out, TAG_NAME, result->name);
  put_string(out, TAG_MESSAGE, result->message);
  put_string(out, TAG_STACK, result->stack);
  put_string(out, TAG_RESOURCE, result->resource);
  put_string(out, TAG_SOURCE_LINE, result->source_line);
  if (result->line > 0) kiln__wire_put_number(out, TAG_LINE, (uint64_t)result->line);
  if (result->column > 0) kiln__wire_put_number(out, TAG_COLUMN, (uint64_t)result->column);
  put_bytes(out, TAG_BLOB, result->blob);
  put_bytes(out, TAG_RESULT_JSON, result->result_json);
  put_bytes(out, TAG_GLOBALS_JSON, result->globals_json);
  put_bytes(out, TAG_CONSOLE_JSON, result->console_json);
  put_bytes(out, TAG_MEMORY_JSON, result->memory_json);
  put_bytes(out, TAG_MODULE_JSON, result->module_json);
  for (size_t i = 1; i < REFUSALS; i++)
    if (result->refusal == refusals[i]) kiln__wire_put_number(out, TAG_REFUSAL, i);
  if (result->object > 0) kiln__wire_put_number(out, TAG_OBJECT, result->object);
  if (result->objects > 0) kiln__wire_put_number(out, TAG_OBJECTS, result->objects);
  return kiln__wire_finish(out);
}

/* ---- reading --------------------------------------------------------------------------------- */

static bool is_continuation(unsigned char byte) {
  return (byte & 0xc0) == 0x80;
}

/* The length of the UTF-8 sequence at `at`, 0 if there is none (RFC 3629: no surrogates, nothing
 * over-long, nothing past U+10FFFF). The text ends in a NUL, which no sequence contains. */
static size_t sequence_length(const unsigned char *at) {
  if (at[0] < 0x80) return 1;
  if (at[0] >= 0xc2 && at[0] <= 0xdf) return is_continuation(at[1]) ? 2 : 0;
  if (at[0] >= 0xe0 && at[0] <= 0xef) {
    unsigned char low = at[0] == 0xe0 ? 0xa0 : 0x80;
    unsigned char high = at[0] == 0xed ? 0x9f : 0xbf;
    return at[1] >= low && at[1] <= high && is_continuation(at[2]) ? 3 : 0;
  }
  if (at[0] >= 0xf0 && at[0] <= 0xf4) {
    unsigned char low = at[0] == 0xf0 ? 0x90 : 0x80;
    unsigned char high = at[0] == 0xf4 ? 0x8f : 0xbf;
    return at[1] >= low && at[1] <= high && is_continuation(at[2]) && is_continuation(at[3]) ? 4
                                                                                             : 0;
  }
  return 0;
}

static bool get_string(const kiln_wire_field *field, const char **ret_text) {
  kiln_span span;
  if (!kiln__wire_get_text(field, KILN_RESULT_TEXT_MAX, &span)) return false;
  const unsigned char *text = (const unsigned char *)span.data;
  for (size_t i = 0; i < span.length;) {
    size_t step = text[i] == '\0' ? 0 : sequence_length(text + i);
    if (step == 0) return false;
    i += step;
  }
  *ret_text = span.data;
  return true;
}

static bool get_int(const kiln_wire_field *field, int *ret_number) {
  uint64_t number;
  if (!kiln__wire_get_number(field, INT32_MAX, &number)) return false;
  *ret_number = (int)number;
  return true;
}

/* The caller's result owns the bytes even if they turn out to be no JSON. `open` is '{', '[' or 0
 * for any value. */
static bool get_json(kiln_wire_in *in, const kiln_wire_field *field, uint64_t max, char open,
                     kiln_bytes **ret_bytes) {
  if (!kiln__wire_get_bytes(in, field, max, false, ret_bytes)) return false;
  kiln_span text = kiln_bytes_get(*ret_bytes);
  return open ? kiln_json_check_kind(text, JSON_DEPTH_MAX, open)
              : kiln_json_check(text, JSON_DEPTH_MAX);
}

static bool decode_field(kiln_wire_in *in, const kiln_wire_field *field,
                         const kiln_job_result_limits *limits, kiln_job_result *result) {
  uint64_t number = 0;
  bool good;
  if (field->tag >= TAG_REFUSAL && !limits->session) return false;
  switch (field->tag) {
    case TAG_OUTCOME:
      good = kiln__wire_get_number(field, KILN_OUTCOME_MEMORY_LIMIT, &number);
      result->outcome = (kiln_outcome)number;
      return good;
    case TAG_CODE:
      return get_string(field, &result->code);
    case TAG_NAME:
      return get_string(field, &result->name);
    case TAG_MESSAGE:
      return get_string(field, &result->message);
    case TAG_STACK:
      return get_string(field, &result->stack);
    case TAG_RESOURCE:
      return get_string(field, &result->resource);
    case TAG_SOURCE_LINE:
      return get_string(field, &result->source_line);
    case TAG_LINE:
      return get_int(field, &result->line);
    case TAG_COLUMN:
      return get_int(field, &result->column);
    case TAG_BLOB:
      return kiln__wire_get_bytes(in, field, KILN_BLOB_MAX, false, &result->blob);
    case TAG_RESULT_JSON:
      return get_json(in, field, limits->result_max_bytes, 0, &result->result_json);
    case TAG_GLOBALS_JSON:
      return get_json(in, field, limits->result_max_bytes, '{', &result->globals_json);
    case TAG_MEMORY_JSON:
      return get_json(in, field, limits->result_max_bytes, '{', &result->memory_json);
    case TAG_CONSOLE_JSON:
      if (limits->console_max_bytes > KILN_WIRE_PAYLOAD_MAX) return false;
      return get_json(in, field, limits->console_max_bytes * CONSOLE_JSON_FACTOR + 2, '[',
                      &result->console_json);
    case TAG_CONSOLE_TRUNCATED:
      good = kiln__wire_get_number(field, 1, &number);
      result->console_truncated = number == 1;
      return good;
    case TAG_CACHED_DATA_REJECTED:
      good = kiln__wire_get_number(field, 2, &number);
      result->cached_data_rejected = number == 2 ? -1 : (int)number;
      return good;
    case TAG_COMPILE_NS:
      return kiln__wire_get_number(field, INT64_MAX, &result->times.compile_ns);
    case TAG_RUN_NS:
      return kiln__wire_get_number(field, INT64_MAX, &result->times.run_ns);
    case TAG_SERIALIZE_NS:
      return kiln__wire_get_number(field, INT64_MAX, &result->times.serialize_ns);
    case TAG_REFUSAL:
      good = kiln__wire_get_number(field, REFUSALS - 1, &number);
      result->refusal = refusals[number];
      return good;
    case TAG_OBJECT:
      return kiln__wire_get_number(field, INT64_MAX, &result->object);
    case TAG_OBJECTS:
      return kiln__wire_get_number(field, KILN_SESSION_OBJECTS_MAX, &result->objects);
    case TAG_MODULE_JSON:
      return get_json(in, field, limits->result_max_bytes, '{', &result->module_json);
    default:
      return false;
  }
}

bool kiln__job_result_decode(kiln_wire_in *in, const kiln_job_result_limits *limits,
                             kiln_job_result *ret_result) {
  kiln_job_result result = {.code = "",
                            .name = "",
                            .message = "",
                            .stack = "",
                            .resource = "",
                            .source_line = "",
                            .cached_data_rejected = -1};
  uint32_t seen = 0;
  kiln_wire_field field;
  int stepped = 0;
  bool good = in->type == KILN_WIRE_RESULT;
  while (good && (stepped = kiln__wire_next(in, &field)) == 1) {
    good = field.tag <= TAG_LAST && !(seen & 1u << field.tag) &&
           decode_field(in, &field, limits, &result);
    if (good) seen |= 1u << field.tag;
  }
  good = good && stepped == 0 && (seen & ALWAYS_THERE) == ALWAYS_THERE;
  if (good)
    *ret_result = result;
  else
    kiln__job_result_release(&result);
  return good;
}

void kiln__job_result_release(kiln_job_result *result) {
  kiln_bytes_unref(result->blob);
  kiln_bytes_unref(result->result_json);
  kiln_bytes_unref(result->globals_json);
  kiln_bytes_unref(result->console_json);
  kiln_bytes_unref(result->memory_json);
  kiln_bytes_unref(result->module_json);
  result->blob = NULL;
  result->result_json = result->globals_json = NULL;
  result->console_json = result->memory_json = result->module_json = NULL;
}
