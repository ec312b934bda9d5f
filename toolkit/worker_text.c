/* SPDX-License-Identifier: MIT
 *
 * worker_text.c: JSON texts a worker writes itself: the console, statistics. Values of scripts are
 * written by kv8.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "toolkit/engine.h"

#define FIRST 1024
/* What an entry costs beside its text, so that a flood of empty lines is bounded too. */
#define CONSOLE_ENTRY_COST 32

void kiln__text_put(kiln_text *text, const char *data, size_t length) {
  if (length > text->capacity - text->length) {
    size_t capacity = text->capacity ? text->capacity : FIRST;
    while (capacity - text->length < length) capacity *= 2;
    char *grown = realloc(text->data, capacity);
    if (!grown) _exit(KILN_EXIT_MEMORY_LIMIT);
    text->data = grown;
    text->capacity = capacity;
  }
  if (length > 0) memcpy(text->data + text->length, data, length);
  text->length += length;
}

void kiln__text_puts(kiln_text *text, const char *string) {
  kiln__text_put(text, string, strlen(string));
}

void kiln__text_put_number(kiln_text *text, uint64_t number) {
  char digits[24];
  int length = snprintf(digits, sizeof(digits), "%" PRIu64, number);
  kiln__text_put(text, digits, (size_t)length);
}

void kiln__text_put_json_string(kiln_text *text, kv8_span string) {
  static const char hex[] = "0123456789abcdef";
  kiln__text_put(text, "\"", 1);
  size_t begin = 0;
  for (size_t i = 0; i < string.length; i++) {
    unsigned char c = (unsigned char)string.data[i];
    if (c >= 0x20 && c != '"' && c != '\\') continue;
    kiln__text_put(text, string.data + begin, i - begin);
    begin = i + 1;
    const char *named = strchr("\"\"\\\\\nn\tt\rr", c);
    if (c != '\0' && named) {
      char escape[2] = {'\\', named[1]};
      kiln__text_put(text, escape, sizeof(escape));
    } else {
      char escape[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};
      kiln__text_put(text, escape, sizeof(escape));
    }
  }
  kiln__text_put(text, string.data + begin, string.length - begin);
  kiln__text_put(text, "\"", 1);
}

void kiln__console_write(void *user, const char *level, kv8_span text) {
  kiln_console *console = user;
  if (!console->on || console->truncated) return;
  if (console->left < CONSOLE_ENTRY_COST) {
    console->truncated = true;
    return;
  }
  console->left -= CONSOLE_ENTRY_COST;
  if (text.length > console->left) {
    console->truncated = true;
    text.length = (size_t)console->left;
    while (text.length > 0 && ((unsigned char)text.data[text.length] & 0xc0) == 0x80)
      text.length--; /* not within a character */
  }
  console->left -= text.length;
  kiln__text_puts(&console->text, console->text.length == 0 ? "[{\"level\":" : ",{\"level\":");
  kiln__text_put_json_string(&console->text, kv8_span_from(level));
  kiln__text_puts(&console->text, ",\"text\":");
  kiln__text_put_json_string(&console->text, text);
  kiln__text_puts(&console->text, "}");
}
