/* SPDX-License-Identifier: MIT
 *
 * json.c: see json.h. Errors of the stream are the caller's to check, once, at its end.
 */
#include "server/json.h"

#include <stdint.h>
#include <string.h>

/* The length of the UTF-8 sequence that starts at `at`, 0 if there is none: no overlong forms, no
 * surrogates, nothing above U+10FFFF. */
static size_t sequence_length(const unsigned char *at, size_t left) {
  static const struct {
    unsigned char first_low, first_high, second_low, second_high;
    size_t length;
  } forms[] = {
      {0xC2, 0xDF, 0x80, 0xBF, 2}, {0xE0, 0xE0, 0xA0, 0xBF, 3}, {0xE1, 0xEC, 0x80, 0xBF, 3},
      {0xED, 0xED, 0x80, 0x9F, 3}, {0xEE, 0xEF, 0x80, 0xBF, 3}, {0xF0, 0xF0, 0x90, 0xBF, 4},
      {0xF1, 0xF3, 0x80, 0xBF, 4}, {0xF4, 0xF4, 0x80, 0x8F, 4},
  };
  if (at[0] < 0x80) return 1;
  for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
    if (at[0] < forms[i].first_low || at[0] > forms[i].first_high) continue;
    if (left < forms[i].length) return 0;
    if (at[1] < forms[i].second_low || at[1] > forms[i].second_high) return 0;
    for (size_t k = 2; k < forms[i].length; k++)
      if ((at[k] & 0xC0) != 0x80) return 0;
    return forms[i].length;
  }
  return 0;
}

void srv_json_string(FILE *out, const char *data, size_t length) {
  const unsigned char *bytes = (const unsigned char *)data;
  size_t plain = 0; /* where the run of bytes that need no escape began */
  putc('"', out);
  for (size_t i = 0; i < length;) {
    size_t step = sequence_length(bytes + i, length - i);
    if (step != 0 && bytes[i] >= 0x20 && bytes[i] != '"' && bytes[i] != '\\') {
      i += step;
      continue;
    }
    fwrite(data + plain, 1, i - plain, out);
    if (step == 0)
      fputs("\xEF\xBF\xBD", out);
    else if (bytes[i] == '"' || bytes[i] == '\\')
      fprintf(out, "\\%c", bytes[i]);
    else if (bytes[i] == '\n')
      fputs("\\n", out);
    else
      fprintf(out, "\\u%04x", (unsigned)bytes[i]);
    plain = ++i;
  }
  fwrite(data + plain, 1, length - plain, out);
  putc('"', out);
}

void srv_json_text(FILE *out, const char *text) {
  if (text == NULL)
    fputs("null", out);
  else
    srv_json_string(out, text, strlen(text));
}

/* ---- reading */

static const char *skip_blanks(const char *at, const char *end) {
  while (at < end && (*at == ' ' || *at == '\t' || *at == '\r' || *at == '\n')) at++;
  return at;
}

static const char *skip_string(const char *at, const char *end) {
  for (at++; at < end && *at != '"'; at++)
    if (*at == '\\') at++;
  return at < end ? at + 1 : end;
}

/* To the end of a value: a comma or a closing bracket of what it stands in. */
static const char *skip_value(const char *at, const char *end) {
  size_t depth = 0;
  while (at < end) {
    if (*at == '"') {
      at = skip_string(at, end);
      continue;
    }
    if (*at == '{' || *at == '[') depth++;
    if (depth == 0 && (*at == ',' || *at == '}' || *at == ']')) return at;
    if (*at == '}' || *at == ']') depth--;
    at++;
  }
  return end;
}

bool srv_json_member(kiln_span text, const char *name, kiln_span *ret_value) {
  const char *end = text.data + text.length;
  const char *at = skip_blanks(text.data, end);
  size_t name_length = strlen(name);
  if (at == end || *at != '{') return false;
  while (++at < end) {
    const char *key = skip_blanks(at, end);
    if (key == end || *key != '"') return false;
    at = skip_string(key, end);
    bool found = (size_t)(at - key) == name_length + 2 && memcmp(key + 1, name, name_length) == 0;
    at = skip_blanks(at, end);
    if (at == end || *at != ':') return false;
    const char *value = skip_blanks(at + 1, end);
    at = skip_value(value, end);
    if (found) {
      *ret_value = (kiln_span){value, (size_t)(at - value)};
      return true;
    }
    if (at == end || *at != ',') return false;
  }
  return false;
}
