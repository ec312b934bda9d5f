/* SPDX-License-Identifier: MIT
 *
 * session_frame.c: a session's command as a message, both directions. The pool writes, a worker
 * reads, as strictly as job.c does: unknown, repeated, missing or misplaced fields make the whole
 * message malformed. What a command means is worker_session*.c.
 */
#include "toolkit/session_frame.h"

#include <stdlib.h>
#include <string.h>

#define SOURCE_MAX KILN_WIRE_PAYLOAD_MAX
#define TEXT_MAX ((size_t)1 << 30)

enum {
  TAG_OP = 1,
  TAG_FLAGS,
  TAG_TIMEOUT,
  TAG_HEAP_MAX,
  TAG_MEMORY_MAX,
  TAG_RESULT_MAX,
  TAG_CONSOLE_MAX,
  TAG_OBJECT,
  TAG_CONTEXT,
  TAG_LINE_OFFSET,
  TAG_COLUMN_OFFSET,
  TAG_SOURCE,
  TAG_CACHED_DATA,
  TAG_FILENAME,
  TAG_EXTENSIONS,
  TAG_GLOBALS,
  TAG_ARGS,
  TAG_THIS,
  TAG_INITIALIZE_META,
  TAG_EXPORTS,
  TAG_NAME,
  TAG_VALUE,
  TAG_CONTEXT_NAME,
  TAG_CONTEXT_ORIGIN,
  /* lists */
  TAG_PARAM,
  TAG_LINK_MODULE, /* then TAG_LINK_SPECIFIER, then perhaps TAG_LINK_ATTRIBUTES */
  TAG_LINK_SPECIFIER,
  TAG_LINK_ATTRIBUTES,
};
#define TAG_SINGLE_LAST TAG_CONTEXT_ORIGIN
#define ALWAYS_THERE                                                         \
  (1u << TAG_OP | 1u << TAG_FLAGS | 1u << TAG_TIMEOUT | 1u << TAG_HEAP_MAX | \
   1u << TAG_MEMORY_MAX | 1u << TAG_RESULT_MAX | 1u << TAG_CONSOLE_MAX)

enum {
  FLAG_CONTEXTIFIED = 1,
  FLAG_MICROTASKS_AFTER_EVALUATE = 2,
  FLAG_DENY_STRINGS = 4,
  FLAG_DENY_WASM = 8,
  FLAG_DETAILED = 16,
  FLAG_EAGER = 32,
  FLAGS_ALL = 63
};

/* The members that are texts, and their tags. */
#define TEXTS_MAP(X)                           \
  X(TAG_FILENAME, filename)                    \
  X(TAG_EXTENSIONS, extensions_json)           \
  X(TAG_GLOBALS, globals_json)                 \
  X(TAG_ARGS, args_json)                       \
  X(TAG_THIS, this_json)                       \
  X(TAG_INITIALIZE_META, initialize_meta_json) \
  X(TAG_EXPORTS, exports_json)                 \
  X(TAG_NAME, name)                            \
  X(TAG_VALUE, value_json)                     \
  X(TAG_CONTEXT_NAME, context_name)            \
  X(TAG_CONTEXT_ORIGIN, context_origin)

/* ---- writing --------------------------------------------------------------------------------- */

static uint64_t flags_of(const kiln_frame *frame) {
  uint64_t flags = 0;
  if (frame->contextified) flags |= FLAG_CONTEXTIFIED;
  if (frame->microtasks_after_evaluate) flags |= FLAG_MICROTASKS_AFTER_EVALUATE;
  if (frame->deny_strings) flags |= FLAG_DENY_STRINGS;
  if (frame->deny_wasm) flags |= FLAG_DENY_WASM;
  if (frame->detailed) flags |= FLAG_DETAILED;
  if (frame->eager) flags |= FLAG_EAGER;
  return flags;
}

static void put_lists(kiln_wire_out *out, const kiln_frame *frame) {
  for (size_t i = 0; i < frame->params_count; i++)
    kiln__wire_put_text(out, TAG_PARAM, frame->params[i]);
  for (size_t i = 0; i < frame->links_count; i++) {
    const kiln_frame_link *link = &frame->links[i];
    kiln__wire_put_number(out, TAG_LINK_MODULE, link->module);
    kiln__wire_put_text(out, TAG_LINK_SPECIFIER, link->specifier);
    kiln__wire_put_text_if_any(out, TAG_LINK_ATTRIBUTES, link->attributes_json);
  }
}

kiln_status kiln__frame_encode(const kiln_frame *frame, kiln_wire_out *ret_out) {
  kiln_wire_out *out = ret_out;
  kiln__wire_out_init(out, KILN_WIRE_SESSION);
  if (frame->params_count > KILN_PARAMS_MAX || frame->links_count > KILN_LINKS_MAX)
    return KILN_ETOOBIG;
  kiln__wire_put_number(out, TAG_OP, frame->op);
  kiln__wire_put_number(out, TAG_FLAGS, flags_of(frame));
  kiln__wire_put_number(out, TAG_TIMEOUT, frame->timeout_ms);
  kiln__wire_put_number(out, TAG_HEAP_MAX, frame->heap_max_bytes);
  kiln__wire_put_number(out, TAG_MEMORY_MAX, frame->memory_max_bytes);
  kiln__wire_put_number(out, TAG_RESULT_MAX, frame->result_max_bytes);
  kiln__wire_put_number(out, TAG_CONSOLE_MAX, frame->console_max_bytes);
  kiln__wire_put_number_if_any(out, TAG_OBJECT, frame->object);
  kiln__wire_put_number_if_any(out, TAG_CONTEXT, frame->context);
  kiln__wire_put_number_if_any(out, TAG_LINE_OFFSET, (uint32_t)frame->line_offset);
  kiln__wire_put_number_if_any(out, TAG_COLUMN_OFFSET, (uint32_t)frame->column_offset);
  if (frame->source) kiln__wire_put_bytes(out, TAG_SOURCE, frame->source);
  if (frame->cached_data) kiln__wire_put_bytes(out, TAG_CACHED_DATA, frame->cached_data);
#define PUT_TEXT(tag, member) kiln__wire_put_text_if_any(out, tag, frame->member);
  TEXTS_MAP(PUT_TEXT)
#undef PUT_TEXT
  put_lists(out, frame);
  if (kiln__wire_finish(out)) return KILN_OK;
  return out->too_big ? KILN_ETOOBIG : KILN_ENOMEM;
}

/* ---- reading --------------------------------------------------------------------------------- */

/* The arrays of a frame under construction. */
typedef struct lists {
  kiln_span *params;
  kiln_frame_link *links;
  uint16_t before; /* the last list field's tag */
} lists;

static bool make_lists(kiln_wire_in *in, kiln_frame_arena *arena, lists *ret_lists) {
  size_t params = 0, links = 0;
  kiln_wire_field field;
  int stepped;
  while ((stepped = kiln__wire_next(in, &field)) == 1) {
    if (field.tag == TAG_PARAM) params++;
    if (field.tag == TAG_LINK_MODULE) links++;
  }
  kiln__wire_rewind(in);
  if (stepped < 0 || params > KILN_PARAMS_MAX || links > KILN_LINKS_MAX) return false;
  size_t needed = links * sizeof(kiln_frame_link) + params * sizeof(kiln_span);
  if (needed > arena->size) {
    void *data = realloc(arena->data, needed);
    if (!data) return false;
    arena->data = data;
    arena->size = needed;
  }
  if (needed > 0) memset(arena->data, 0, needed);
  ret_lists->links = arena->data;
  ret_lists->params =
      links * sizeof(kiln_frame_link) > 0 ? (void *)(ret_lists->links + links) : arena->data;
  ret_lists->before = 0;
  return true;
}

static bool get_flags(const kiln_wire_field *field, kiln_frame *frame) {
  uint64_t flags;
  if (!kiln__wire_get_number(field, FLAGS_ALL, &flags)) return false;
  frame->contextified = flags & FLAG_CONTEXTIFIED;
  frame->microtasks_after_evaluate = flags & FLAG_MICROTASKS_AFTER_EVALUATE;
  frame->deny_strings = flags & FLAG_DENY_STRINGS;
  frame->deny_wasm = flags & FLAG_DENY_WASM;
  frame->detailed = flags & FLAG_DETAILED;
  frame->eager = flags & FLAG_EAGER;
  return true;
}

static bool decode_single(kiln_wire_in *in, const kiln_wire_field *field, kiln_frame *frame) {
  uint64_t number = 0;
  bool good;
  switch (field->tag) {
    case TAG_OP:
      good = kiln__wire_get_number(field, KILN_COMMAND_OPS - 1, &number);
      frame->op = (kiln_command_op)number;
      return good;
    case TAG_FLAGS:
      return get_flags(field, frame);
    case TAG_TIMEOUT:
      good = kiln__wire_get_number(field, UINT32_MAX, &number) && number > 0;
      frame->timeout_ms = (uint32_t)number;
      return good;
    case TAG_HEAP_MAX:
      return kiln__wire_get_u64(field, &frame->heap_max_bytes);
    case TAG_MEMORY_MAX:
      return kiln__wire_get_u64(field, &frame->memory_max_bytes);
    case TAG_RESULT_MAX:
      return kiln__wire_get_u64(field, &frame->result_max_bytes);
    case TAG_CONSOLE_MAX:
      return kiln__wire_get_u64(field, &frame->console_max_bytes);
    case TAG_OBJECT:
      return kiln__wire_get_u64(field, &frame->object);
    case TAG_CONTEXT:
      return kiln__wire_get_u64(field, &frame->context);
    case TAG_LINE_OFFSET:
      return kiln__wire_get_i32(field, &frame->line_offset);
    case TAG_COLUMN_OFFSET:
      return kiln__wire_get_i32(field, &frame->column_offset);
    case TAG_SOURCE:
      return kiln__wire_get_bytes(in, field, SOURCE_MAX, true, &frame->source);
    case TAG_CACHED_DATA:
      return kiln__wire_get_bytes(in, field, KILN_BLOB_MAX, true, &frame->cached_data);
#define GET_TEXT(tag, member) \
  case tag:                   \
    return kiln__wire_get_text(field, TEXT_MAX, &frame->member);
      TEXTS_MAP(GET_TEXT)
#undef GET_TEXT
    default:
      return false;
  }
}

static bool decode_listed(const kiln_wire_field *field, kiln_frame *frame, lists *l) {
  uint16_t before = l->before;
  kiln_frame_link *link = frame->links_count > 0 ? &l->links[frame->links_count - 1] : NULL;
  l->before = field->tag;
  if ((before == TAG_LINK_MODULE) != (field->tag == TAG_LINK_SPECIFIER)) return false;
  switch (field->tag) {
    case TAG_PARAM:
      return kiln__wire_get_text(field, TEXT_MAX, &l->params[frame->params_count++]);
    case TAG_LINK_MODULE:
      return kiln__wire_get_u64(field, &l->links[frame->links_count++].module);
    case TAG_LINK_SPECIFIER:
      return kiln__wire_get_text(field, TEXT_MAX, &link->specifier);
    case TAG_LINK_ATTRIBUTES:
      return before == TAG_LINK_SPECIFIER &&
             kiln__wire_get_text(field, TEXT_MAX, &link->attributes_json);
    default:
      return false;
  }
}

bool kiln__frame_decode(kiln_wire_in *in, kiln_frame_arena *arena, kiln_frame *ret_frame) {
  kiln_frame frame = {0};
  lists l;
  if (in->type != KILN_WIRE_SESSION || !make_lists(in, arena, &l)) return false;
  frame.params = l.params;
  frame.links = l.links;
  uint32_t seen = 0;
  kiln_wire_field field;
  int stepped = 0;
  bool good = true;
  while (good && (stepped = kiln__wire_next(in, &field)) == 1) {
    if (field.tag > TAG_SINGLE_LAST) {
      good = decode_listed(&field, &frame, &l);
    } else {
      good = l.before == 0 && !(seen & 1u << field.tag) && decode_single(in, &field, &frame);
      seen |= 1u << field.tag;
    }
  }
  good =
      good && stepped == 0 && l.before != TAG_LINK_MODULE && (seen & ALWAYS_THERE) == ALWAYS_THERE;
  if (good)
    *ret_frame = frame;
  else
    kiln__frame_release(&frame);
  return good;
}

void kiln__frame_release(kiln_frame *frame) {
  kiln_bytes_unref(frame->source);
  kiln_bytes_unref(frame->cached_data);
  memset(frame, 0, sizeof(*frame));
}
