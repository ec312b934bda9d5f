/* SPDX-License-Identifier: MIT
 *
 * status.h: how the toolkit fills a kiln_error. Private to the toolkit.
 */
#ifndef KILN_TOOLKIT_STATUS_H
#define KILN_TOOLKIT_STATUS_H

#include "toolkit/kiln.h"

/* Fills *err (may be NULL) and returns `status`. `code` NULL means the status' own. A message too
 * long is cut at a UTF-8 boundary and ends in "...". */
kiln_status kiln__fail(kiln_error *err, kiln_status status, const char *code, const char *format,
                       ...) __attribute__((format(printf, 4, 5)));

/* Writes a caller's text for a message: in single quotes, escaped to ASCII, cut at 80 bytes.
 * Returns ret_quoted. */
#define KILN__QUOTE_BYTES 96
const char *kiln__quote(kiln_span text, char ret_quoted[KILN__QUOTE_BYTES]);

#endif
