/* SPDX-License-Identifier: MIT
 *
 * status.h: how the store's files fill a kcc_error. SQLite's codes are translated in db.h.
 */
#ifndef KILN_CACHE_STATUS_H
#define KILN_CACHE_STATUS_H

#include <stddef.h>

#include "cache/kcc.h"

/* Fills `err`, which may be NULL, and returns `status`. */
kcc_status kcc__fail(kcc_error *err, kcc_status status, int os_code, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* `text` for a message: control bytes and quotes become '?', and a long text keeps its end, which
 * tells paths apart. Always ends with a NUL. */
#define KCC__LABEL_BYTES 84
void kcc__printable(const char *text, char ret_label[KCC__LABEL_BYTES]);

#endif
