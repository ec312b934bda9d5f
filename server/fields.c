/* SPDX-License-Identifier: MIT
 *
 * fields.c: see fields.h. A query is turned into the JSON object it stands for, so each field is
 * checked in one place.
 */
#include "server/fields.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "server/value.h"

/* Numbers of any size are read as doubles, as JavaScript does. */
#define READ_FLAGS \
  (JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL | JSON_ALLOW_NUL)

static const srv_field *find_field(const srv_fields *known, const char *name, size_t length) {
  for (size_t i = 0; i < known->count; i++)
    if ((known->rows[i].takers & 1u << known->taker) != 0 &&
        strlen(known->rows[i].name) == length && memcmp(known->rows[i].name, name, length) == 0)
      return &known->rows[i];
  return NULL;
}

/* ---- the query, as the object it stands for */

/* A JSON number from a query's text; text that is none stays text, for the field to refuse. */
static json_t *number_or_text(kiln_span text) {
  char copy[64];
  char *end = copy;
  if (text.length > 0 && text.length < sizeof(copy)) {
    memcpy(copy, text.data, text.length);
    copy[text.length] = '\0';
    double number = 0;
    bool looks = strspn(copy, "+-.0123456789eE") == text.length; /* no "inf", no "0x1" */
    if (looks) number = strtod(copy, &end);
    if (looks && *end == '\0' && isfinite(number)) return json_real(number);
  }
  return json_stringn(text.data, text.length);
}

/* Adds the names of "a,b,c" to `list`. */
static bool append_names(json_t *list, kiln_span text) {
  const char *at = text.data;
  const char *end = text.data + text.length;
  while (at < end) {
    const char *comma = memchr(at, ',', (size_t)(end - at));
    const char *stop = comma != NULL ? comma : end;
    if (json_array_append_new(list, json_stringn(at, (size_t)(stop - at))) != 0) return false;
    at = comma != NULL ? comma + 1 : end;
  }
  return true;
}

static void take_pair(srv_parsed *parsed, const srv_fields *known, const srv_query_pair *pair,
                      json_t *object) {
  char name[SRV_FIELD_NAME_MAX];
  snprintf(name, sizeof(name), "%.*s", (int)(pair->name.length < 80 ? pair->name.length : 80),
           pair->name.data);
  const srv_field *row = find_field(known, pair->name.data, pair->name.length);
  if (row == NULL || row->query == SRV_NOT_IN_QUERY) {
    srv_fault_unknown(parsed, "query parameter", name);
    return;
  }
  if (!pair->has_value) {
    srv_fault(parsed, MHD_HTTP_BAD_REQUEST, "ERR_INVALID_ARG_VALUE",
              "query parameter '%s': no value", name);
    return;
  }
  json_t *before = json_object_get(object, row->name);
  if (before != NULL && row->query != SRV_QUERY_LIST) {
    srv_fault(parsed, MHD_HTTP_BAD_REQUEST, "ERR_INVALID_ARG_VALUE",
              "query parameter '%s': given more than once", name);
    return;
  }
  int failed = 0;
  if (row->query == SRV_QUERY_LIST) {
    if (before == NULL) failed = json_object_set_new(object, row->name, json_array());
    if (failed == 0) failed = !append_names(json_object_get(object, row->name), pair->value);
  } else {
    json_t *value = row->query == SRV_QUERY_NUMBER
                        ? number_or_text(pair->value)
                        : json_stringn(pair->value.data, pair->value.length);
    failed = json_object_set_new(object, row->name, value);
  }
  if (failed != 0)
    srv_fault(parsed, MHD_HTTP_BAD_REQUEST, "ERR_INVALID_ARG_VALUE",
              "query parameter '%s': no valid UTF-8", name);
}

/* ---- the whole */

/* What SRV_JSON_VALUES_MAX limits. Text that is no JSON is counted all the same, then refused. */
static size_t count_values(kiln_span text) {
  size_t count = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.length; i++) {
    char c = text.data[i];
    if (c == '"')
      in_string = !in_string;
    else if (in_string)
      i += c == '\\';
    else
      count += c == ',' || c == ':' || c == '[' || c == '{';
  }
  return count;
}

static void read_json(srv_parsed *parsed, kiln_bytes *body) {
  json_error_t error;
  kiln_span text = kiln_bytes_get(body);
  size_t values = count_values(text);
  if (values > SRV_JSON_VALUES_MAX) {
    srv_fault(parsed, srv_status_http(KILN_ETOOBIG), kiln_status_code(KILN_ETOOBIG),
              "body: %zu JSON values, limit %d", values, SRV_JSON_VALUES_MAX);
    return;
  }
  parsed->root = json_loadb(text.data, text.length, READ_FLAGS, &error);
  if (parsed->root == NULL)
    srv_fault(parsed, MHD_HTTP_BAD_REQUEST, "ERR_INVALID_JSON", "body: line %d, column %d: %.160s",
              error.line, error.column, error.text);
  else if (!json_is_object(parsed->root))
    srv_fault_type(parsed, "options", "an object", parsed->root);
}

static void take_fields(srv_parsed *parsed, const srv_fields *known) {
  const char *name;
  json_t *value;
  json_object_foreach(parsed->root, name, value) {
    const srv_field *row = find_field(known, name, strlen(name));
    if (row == NULL)
      srv_fault_unknown(parsed, "field", name);
    else
      row->take(parsed, row->name, value);
    if (parsed->failed) return;
  }
}

bool srv_fields_read(srv_parsed *parsed, const srv_fields *known, srv_body_form form,
                     kiln_bytes *body, const srv_query_pair *query, size_t query_count) {
  if (form == SRV_FORM_JSON) {
    if (query_count > 0)
      srv_fault(parsed, MHD_HTTP_BAD_REQUEST, "ERR_UNKNOWN_OPTION",
                "query parameter '%.*s': options of a JSON request go into its body",
                (int)(query[0].name.length < 80 ? query[0].name.length : 80), query[0].name.data);
    if (!parsed->failed) read_json(parsed, body);
  } else {
    if (form == SRV_FORM_SOURCE) {
      parsed->source = kiln_bytes_ref(body);
      parsed->kiln.source = parsed->source;
    }
    parsed->root = json_object();
    if (parsed->root == NULL) srv_fault_memory(parsed);
    for (size_t i = 0; i < query_count && !parsed->failed; i++)
      take_pair(parsed, known, &query[i], parsed->root);
  }
  if (!parsed->failed) take_fields(parsed, known);
  return !parsed->failed;
}
