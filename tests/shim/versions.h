/* SPDX-License-Identifier: MIT
 *
 * versions.h: what V8's versions truly do differently, in one table, for tests that run on each of
 * them: in a program with libv8, and in node binaries.
 */
#ifndef KILN_TESTS_SHIM_VERSIONS_H
#define KILN_TESTS_SHIM_VERSIONS_H

#include <check.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "shim/kv8.h"

typedef struct v8_row {
  const char *version;    /* begins kv8_engine_info.v8_version */
  const char *attributes; /* the keyword before import attributes that its Node uses */
  bool asserts;           /* import() reads them from `assert` as well */
  bool reports_wasm;      /* MeasureMemory() counts WebAssembly's memory */
} v8_row;

static inline const v8_row *v8_is(void) {
  static const v8_row rows[] = {
      {"10.2.", "assert", true, false}, {"11.3.", "assert", true, false},
      {"12.4.", "with", false, true},   {"13.6.", "with", false, true},
      {"14.6.", "with", false, true},
  };
  kv8_engine_info info;
  ck_assert_int_eq(kv8_engine_get_info(&info, NULL), KV8_OK);
  for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
    if (strncmp(info.v8_version, rows[i].version, strlen(rows[i].version)) == 0) return &rows[i];
  ck_abort_msg("V8 %s has no row in versions.h", info.v8_version);
  return NULL;
}

/* The text with this V8's keyword in place of its %s; kept until the next call. */
static inline const char *v8_with_attributes(const char *format) {
  static char text[512];
  const char *at = strstr(format, "%s");
  int length = at != NULL ? snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - format), format,
                                     v8_is()->attributes, at + 2)
                          : snprintf(text, sizeof(text), "%s", format);
  ck_assert(length > 0 && (size_t)length < sizeof(text));
  return text;
}

#endif
