/* SPDX-License-Identifier: MIT
 *
 * status.c: the words of kiln.h: codes and texts of statuses, outcomes, cache states, and the one
 * way in which the toolkit fills a kiln_error.
 */
#include "toolkit/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *kiln_status_code(kiln_status status) {
  switch (status) {
#define STATUS_CODE(symbol, number, code, text) \
  case symbol:                                  \
    return code;
    KILN_STATUS_MAP(STATUS_CODE)
#undef STATUS_CODE
  }
  return "ERR_INTERNAL";
}

const char *kiln_status_text(kiln_status status) {
  switch (status) {
#define STATUS_TEXT(symbol, number, code, text) \
  case symbol:                                  \
    return text;
    KILN_STATUS_MAP(STATUS_TEXT)
#undef STATUS_TEXT
  }
  return "unknown status";
}

const char *kiln_outcome_word(kiln_outcome outcome) {
  switch (outcome) {
#define OUTCOME_WORD(symbol, word) \
  case symbol:                     \
    return word;
    KILN_OUTCOME_MAP(OUTCOME_WORD)
#undef OUTCOME_WORD
  }
  return "unknown";
}

const char *kiln_cache_word(kiln_cache cache) {
  switch (cache) {
    case KILN_CACHE_NONE:
      return "none";
    case KILN_CACHE_HIT:
      return "hit";
    case KILN_CACHE_MISS:
      return "miss";
    case KILN_CACHE_COALESCED:
      return "coalesced";
    case KILN_CACHE_BYPASS:
      return "bypass";
  }
  return "unknown";
}

static const struct {
  const char *word, *text;
  bool required;
} layers[KILN_LAYERS] = {
#define LAYER_ROW(symbol, word, required, text) {word, text, required},
    KILN_LAYER_MAP(LAYER_ROW)
#undef LAYER_ROW
};

const char *kiln_layer_word(kiln_layer layer) {
  return layer < KILN_LAYERS ? layers[layer].word : "unknown";
}

const char *kiln_layer_text(kiln_layer layer) {
  return layer < KILN_LAYERS ? layers[layer].text : "unknown";
}

bool kiln_layer_is_required(kiln_layer layer) {
  return layer < KILN_LAYERS && layers[layer].required;
}

kiln_span kiln_span_from(const char *text) {
  return (kiln_span){text, text == NULL ? 0 : strlen(text)};
}

/* Where to cut `text` so that at most `max` bytes stay and no UTF-8 sequence is torn. */
static size_t cut_length(const char *text, size_t max) {
  size_t length = max;
  while (length > 0 && ((unsigned char)text[length] & 0xC0U) == 0x80U) length--;
  return length;
}

kiln_status kiln__fail(kiln_error *err, kiln_status status, const char *code, const char *format,
                       ...) {
  if (err == NULL) return status;
  err->status = status;
  (void)snprintf(err->code, sizeof(err->code), "%s",
                 code == NULL ? kiln_status_code(status) : code);
  va_list args;
  va_start(args, format);
  int length = vsnprintf(err->message, sizeof(err->message), format, args);
  va_end(args);
  if (length >= (int)sizeof(err->message)) {
    size_t keep = cut_length(err->message, sizeof(err->message) - 4);
    memcpy(err->message + keep, "...", 4);
  }
  return status;
}

const char *kiln__quote(kiln_span text, char ret_quoted[KILN__QUOTE_BYTES]) {
  size_t used = 0;
  bool cut = false;
  ret_quoted[used++] = '\'';
  for (size_t i = 0; i < text.length; i++) {
    unsigned char byte = (unsigned char)text.data[i];
    if (used > 80) {
      cut = true;
      break;
    }
    if (byte < 0x20 || byte >= 0x7F || byte == '\'' || byte == '\\') {
      static const char hex[] = "0123456789abcdef";
      ret_quoted[used++] = '\\';
      ret_quoted[used++] = 'x';
      ret_quoted[used++] = hex[byte >> 4];
      ret_quoted[used++] = hex[byte & 15];
    } else {
      ret_quoted[used++] = (char)byte;
    }
  }
  ret_quoted[used++] = '\'';
  memcpy(ret_quoted + used, cut ? "..." : "", cut ? 4 : 1);
  return ret_quoted;
}
