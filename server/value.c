/* SPDX-License-Identifier: MIT
 *
 * value.c: see value.h.
 */
#include "server/value.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define WRITE_FLAGS (JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(17))

/* ---- faults */

void srv_fault(srv_parsed *parsed, unsigned status, const char *code, const char *format, ...) {
  char message[512];
  if (parsed->failed) return;
  va_list args;
  va_start(args, format);
  vsnprintf(message, sizeof(message), format, args);
  va_end(args);
  parsed->failed = true;
  parsed->refusal = srv_reply_error(status, code, "%s", message);
}

void srv_fault_memory(srv_parsed *parsed) {
  srv_fault(parsed, srv_status_http(KILN_ENOMEM), kiln_status_code(KILN_ENOMEM), "%s",
            kiln_status_text(KILN_ENOMEM));
}

static const char *type_word(const json_t *value) {
  switch (json_typeof(value)) {
    case JSON_OBJECT:
      return "an object";
    case JSON_ARRAY:
      return "an array";
    case JSON_STRING:
      return "a string";
    case JSON_INTEGER:
    case JSON_REAL:
      return "a number";
    case JSON_TRUE:
    case JSON_FALSE:
      return "a boolean";
    case JSON_NULL:
      return "null";
  }
  return "something else";
}

void srv_fault_type(srv_parsed *parsed, const char *name, const char *wanted, const json_t *value) {
  srv_fault(parsed, MHD_HTTP_BAD_REQUEST, "ERR_INVALID_ARG_TYPE", "'%.160s': must be %s, is %s",
            name, wanted, type_word(value));
}

static void fault_range(srv_parsed *parsed, const char *name, double low, double high,
                        double value) {
  srv_fault(parsed, MHD_HTTP_BAD_REQUEST, "ERR_OUT_OF_RANGE",
            "'%.160s': must be an integer from %.0f to %.0f, is %.17g", name, low, high, value);
}

void srv_fault_count(srv_parsed *parsed, const char *name, size_t limit, size_t count) {
  srv_fault(parsed, MHD_HTTP_BAD_REQUEST, "ERR_OUT_OF_RANGE", "'%.160s': %zu entries, limit %zu",
            name, count, limit);
}

void srv_fault_unknown(srv_parsed *parsed, const char *what, const char *name) {
  srv_fault(parsed, MHD_HTTP_BAD_REQUEST, "ERR_UNKNOWN_OPTION", "%s '%.80s': unknown here", what,
            name);
}

/* ---- values of one type each: the field's place is written only if the value is right */

bool srv_take_text(srv_parsed *parsed, const char *name, const json_t *value, kiln_span *field) {
  if (!json_is_string(value)) {
    srv_fault_type(parsed, name, "a string", value);
    return false;
  }
  *field = (kiln_span){json_string_value(value), json_string_length(value)};
  return true;
}

bool srv_take_integer(srv_parsed *parsed, const char *name, const json_t *value, double low,
                      double high, double *field) {
  if (!json_is_number(value)) {
    srv_fault_type(parsed, name, "a number", value);
    return false;
  }
  double number = json_number_value(value);
  if (number < low || number > high || floor(number) != number) {
    fault_range(parsed, name, low, high, number);
    return false;
  }
  *field = number;
  return true;
}

void srv_take_offset(srv_parsed *parsed, const char *name, const json_t *value, int32_t *field) {
  double number = 0;
  if (srv_take_integer(parsed, name, value, INT32_MIN, INT32_MAX, &number))
    *field = (int32_t)number;
}

/* One of `words`, NULL-ended; its index. */
bool srv_take_word(srv_parsed *parsed, const char *name, const json_t *value,
                   const char *const *words, unsigned *ret_index) {
  char list[128] = "";
  size_t used = 0;
  if (!json_is_string(value)) {
    srv_fault_type(parsed, name, "a string", value);
    return false;
  }
  for (unsigned i = 0; words[i] != NULL; i++) {
    /* A string may have NULs inside, which strcmp() would take for its end. */
    if (strlen(words[i]) == json_string_length(value) &&
        strcmp(words[i], json_string_value(value)) == 0) {
      *ret_index = i;
      return true;
    }
    int wrote = snprintf(list + used, sizeof(list) - used, "%s'%s'", i > 0 ? ", " : "", words[i]);
    if (wrote > 0) used += (size_t)wrote;
  }
  srv_fault(parsed, MHD_HTTP_BAD_REQUEST, "ERR_INVALID_ARG_VALUE",
            "'%.160s': must be one of %s, is '%.80s'", name, list, json_string_value(value));
  return false;
}

void srv_take_source(srv_parsed *parsed, const char *name, const json_t *value,
                     kiln_bytes **field) {
  kiln_span text;
  if (!srv_take_text(parsed, name, value, &text)) return;
  *field = kiln_bytes_new(text.data, text.length);
  if (*field == NULL) srv_fault_memory(parsed);
}

bool srv_take_list(srv_parsed *parsed, const char *name, const json_t *value, size_t limit) {
  if (!json_is_array(value)) {
    srv_fault_type(parsed, name, "an array", value);
    return false;
  }
  if (json_array_size(value) <= limit) return true;
  srv_fault_count(parsed, name, limit, json_array_size(value));
  return false;
}

/* JSON text, for the engine to parse again. */
void srv_take_json(srv_parsed *parsed, const char *name, const json_t *value, srv_shape shape,
                   char **ret_text, kiln_span *field) {
  bool array = shape == SRV_ARRAY;
  if (shape != SRV_ANY && (array ? !json_is_array(value) : !json_is_object(value))) {
    srv_fault_type(parsed, name, array ? "an array" : "an object", value);
    return;
  }
  *ret_text = json_dumps(value, WRITE_FLAGS);
  if (*ret_text == NULL)
    srv_fault_memory(parsed);
  else
    *field = kiln_span_from(*ret_text);
}
