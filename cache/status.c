/* SPDX-License-Identifier: MIT
 *
 * status.c: names and texts of statuses, kinds and modes, and the filling of error structs. It
 * prints nothing.
 */
#include "cache/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *kcc_status_name(kcc_status status) {
  switch (status) {
#define KCC_STATUS_NAME(symbol, number, text) \
  case symbol:                                \
    return #symbol;
    KCC_STATUS_MAP(KCC_STATUS_NAME)
#undef KCC_STATUS_NAME
  }
  return "KCC_?";
}

const char *kcc_status_text(kcc_status status) {
  switch (status) {
#define KCC_STATUS_TEXT(symbol, number, text) \
  case symbol:                                \
    return text;
    KCC_STATUS_MAP(KCC_STATUS_TEXT)
#undef KCC_STATUS_TEXT
  }
  return "unknown status";
}

static const char *const kind_names[] = {"script", "module", "function"};
static const char *const mode_names[] = {"lazy", "eager", "warm", "workload"};
#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static const char *name_of(const char *const *names, size_t count, unsigned value) {
  return value < count ? names[value] : "?";
}

static bool value_of(const char *const *names, size_t count, const char *name,
                     unsigned *ret_value) {
  if (!name) return false;
  for (size_t i = 0; i < count; i++) {
    if (strcmp(names[i], name) != 0) continue;
    *ret_value = (unsigned)i;
    return true;
  }
  return false;
}

const char *kcc_kind_name(kcc_kind kind) {
  return name_of(kind_names, COUNT_OF(kind_names), (unsigned)kind);
}

const char *kcc_mode_name(kcc_mode mode) {
  return name_of(mode_names, COUNT_OF(mode_names), (unsigned)mode);
}

bool kcc_kind_parse(const char *name, kcc_kind *ret_kind) {
  unsigned value;
  if (!value_of(kind_names, COUNT_OF(kind_names), name, &value)) return false;
  *ret_kind = (kcc_kind)value;
  return true;
}

bool kcc_mode_parse(const char *name, kcc_mode *ret_mode) {
  unsigned value;
  if (!value_of(mode_names, COUNT_OF(mode_names), name, &value)) return false;
  *ret_mode = (kcc_mode)value;
  return true;
}

void kcc__printable(const char *text, char ret_label[KCC__LABEL_BYTES]) {
  size_t room = KCC__LABEL_BYTES - 1;
  size_t length = strlen(text);
  const char *from = text;
  char *to = ret_label;
  if (length > room) {
    memcpy(to, "...", 3);
    to += 3;
    from = text + (length - (room - 3));
    while (((unsigned char)*from & 0xc0u) == 0x80u) from++; /* do not begin inside a character */
  }
  for (; *from; from++, to++) {
    unsigned char c = (unsigned char)*from;
    *to = (c < 0x20 || c == 0x7f || c == '\'') ? '?' : *from;
  }
  *to = '\0';
}

kcc_status kcc__fail(kcc_error *err, kcc_status status, int os_code, const char *format, ...) {
  if (!err) return status;
  err->status = status;
  err->os_code = os_code;
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(err->message, sizeof(err->message), format, arguments);
  va_end(arguments);
  return status;
}
