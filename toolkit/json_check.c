/* SPDX-License-Identifier: MIT
 *
 * json_check.c: a checker for JSON in fixed memory and one pass.
 *
 * It does not recurse, so that nesting costs a bit and not a stack frame, and it allocates nothing.
 */
#include "toolkit/json_check.h"

#include <string.h>

/* What may come next. The names say what has been read. */
typedef enum expect {
  EXPECT_VALUE,        /* at the start, after ',' in an array, after ':' */
  EXPECT_VALUE_OR_END, /* after '[' */
  EXPECT_NAME,         /* after ',' in an object */
  EXPECT_NAME_OR_END,  /* after '{' */
  EXPECT_COMMA_OR_END, /* after a value inside something */
  EXPECT_NOTHING,      /* after the outermost value */
} expect;

typedef struct checker {
  const unsigned char *at;
  const unsigned char *end;
  unsigned depth;
  unsigned max_depth;
  uint8_t is_object[KILN_JSON_DEPTH_MAX / 8]; /* one bit for each open bracket */
} checker;

static bool in_object(const checker *c) {
  unsigned index = c->depth - 1;
  return (c->is_object[index / 8] >> (index % 8)) & 1U;
}

static bool open_bracket(checker *c, bool object) {
  if (c->depth >= c->max_depth) return false;
  unsigned bit = 1U << (c->depth % 8);
  uint8_t *byte = &c->is_object[c->depth / 8];
  *byte = (uint8_t)(object ? *byte | bit : *byte & ~bit);
  c->depth++;
  return true;
}

static expect after_value(const checker *c) {
  return c->depth == 0 ? EXPECT_NOTHING : EXPECT_COMMA_OR_END;
}

static void skip_space(checker *c) {
  while (c->at < c->end && (*c->at == ' ' || *c->at == '\n' || *c->at == '\r' || *c->at == '\t')) {
    c->at++;
  }
}

static bool is_digit(unsigned char ch) {
  return ch >= '0' && ch <= '9';
}

static bool skip_digits(checker *c) {
  const unsigned char *start = c->at;
  while (c->at < c->end && is_digit(*c->at)) c->at++;
  return c->at > start;
}

static bool check_number(checker *c) {
  if (*c->at == '-') c->at++;
  if (c->at == c->end) return false;
  if (*c->at == '0') {
    c->at++;
  } else if (!skip_digits(c)) {
    return false;
  }
  if (c->at < c->end && *c->at == '.') {
    c->at++;
    if (!skip_digits(c)) return false;
  }
  if (c->at < c->end && (*c->at == 'e' || *c->at == 'E')) {
    c->at++;
    if (c->at < c->end && (*c->at == '+' || *c->at == '-')) c->at++;
    if (!skip_digits(c)) return false;
  }
  return true;
}

static bool check_word(checker *c, const char *word) {
  size_t length = strlen(word);
  if ((size_t)(c->end - c->at) < length || memcmp(c->at, word, length) != 0) return false;
  c->at += length;
  return true;
}

/* The length of the UTF-8 sequence at `at`, 0 if it is none: overlong forms, surrogates and what
 * lies past U+10FFFF are none (RFC 3629, section 4). */
static size_t sequence_length(const unsigned char *at, const unsigned char *end) {
  size_t left = (size_t)(end - at);
  unsigned char lead = at[0];
  unsigned char low = 0x80, high = 0xBF; /* of the second byte */
  size_t length;
  if (lead >= 0xC2 && lead <= 0xDF) {
    length = 2;
  } else if (lead >= 0xE0 && lead <= 0xEF) {
    length = 3;
    if (lead == 0xE0) low = 0xA0;
    if (lead == 0xED) high = 0x9F;
  } else if (lead >= 0xF0 && lead <= 0xF4) {
    length = 4;
    if (lead == 0xF0) low = 0x90;
    if (lead == 0xF4) high = 0x8F;
  } else {
    return 0;
  }
  if (left < length || at[1] < low || at[1] > high) return 0;
  for (size_t i = 2; i < length; i++) {
    if (at[i] < 0x80 || at[i] > 0xBF) return 0;
  }
  return length;
}

static bool is_hex(unsigned char ch) {
  return is_digit(ch) || (ch >= 'a' && ch <= 'f') || (ch >= 'A' && ch <= 'F');
}

static bool check_escape(checker *c) {
  if (c->end - c->at < 2) return false;
  unsigned char kind = c->at[1];
  if (kind == 'u') {
    if (c->end - c->at < 6) return false;
    for (int i = 2; i < 6; i++) {
      if (!is_hex(c->at[i])) return false;
    }
    c->at += 6;
    return true;
  }
  c->at += 2;
  return kind != '\0' && strchr("\"\\/bfnrt", kind) != NULL;
}

static bool check_string(checker *c) {
  c->at++;
  while (c->at < c->end) {
    unsigned char ch = *c->at;
    if (ch == '"') {
      c->at++;
      return true;
    }
    if (ch < 0x20) return false;
    if (ch == '\\') {
      if (!check_escape(c)) return false;
    } else if (ch < 0x80) {
      c->at++;
    } else {
      size_t length = sequence_length(c->at, c->end);
      if (length == 0) return false;
      c->at += length;
    }
  }
  return false;
}

/* Reads a value, or a bracket that opens one. */
static bool check_value(checker *c, expect *ret_next) {
  switch (*c->at) {
    case '{':
      c->at++;
      *ret_next = EXPECT_NAME_OR_END;
      return open_bracket(c, true);
    case '[':
      c->at++;
      *ret_next = EXPECT_VALUE_OR_END;
      return open_bracket(c, false);
    default:
      break;
  }
  *ret_next = after_value(c);
  switch (*c->at) {
    case '"':
      return check_string(c);
    case 't':
      return check_word(c, "true");
    case 'f':
      return check_word(c, "false");
    case 'n':
      return check_word(c, "null");
    default:
      return (is_digit(*c->at) || *c->at == '-') && check_number(c);
  }
}

static bool check_name(checker *c) {
  if (*c->at != '"' || !check_string(c)) return false;
  skip_space(c);
  if (c->at == c->end || *c->at != ':') return false;
  c->at++;
  return true;
}

bool kiln_json_check(kiln_span text, unsigned max_depth) {
  checker c;
  if (text.length == 0) return false;
  c.at = (const unsigned char *)text.data;
  c.end = c.at + text.length;
  c.depth = 0;
  c.max_depth = max_depth < KILN_JSON_DEPTH_MAX ? max_depth : KILN_JSON_DEPTH_MAX;
  expect next = EXPECT_VALUE;
  for (skip_space(&c); c.at < c.end; skip_space(&c)) {
    unsigned char ch = *c.at;
    bool closes = ch == ']' || ch == '}';
    switch (next) {
      case EXPECT_NOTHING:
        return false;
      case EXPECT_VALUE_OR_END:
      case EXPECT_NAME_OR_END:
      case EXPECT_COMMA_OR_END:
        if (closes) {
          if (in_object(&c) != (ch == '}')) return false;
          c.at++;
          c.depth--;
          next = after_value(&c);
          continue;
        }
        break;
      case EXPECT_VALUE:
      case EXPECT_NAME:
        break;
    }
    if (next == EXPECT_COMMA_OR_END) {
      if (ch != ',') return false;
      c.at++;
      next = in_object(&c) ? EXPECT_NAME : EXPECT_VALUE;
    } else if (next == EXPECT_NAME || next == EXPECT_NAME_OR_END) {
      if (!check_name(&c)) return false;
      next = EXPECT_VALUE;
    } else if (!check_value(&c, &next)) {
      return false;
    }
  }
  return next == EXPECT_NOTHING;
}

bool kiln_json_check_kind(kiln_span text, unsigned max_depth, char open) {
  for (size_t i = 0; i < text.length; i++) {
    if (text.data[i] != ' ' && text.data[i] != '\n' && text.data[i] != '\r' &&
        text.data[i] != '\t') {
      return text.data[i] == open && kiln_json_check(text, max_depth);
    }
  }
  return false;
}
