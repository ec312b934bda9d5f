/* SPDX-License-Identifier: MIT
 *
 * explain.h: why look-ups hit and miss. Private to the toolkit.
 */
#ifndef KILN_TOOLKIT_EXPLAIN_H
#define KILN_TOOLKIT_EXPLAIN_H

#include "toolkit/service.h"

/* Adds a cause, while there is room. */
void kiln__explain_add(kiln_explanation *explanation, kiln_cause_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Why a look-up missed, from what the store's index tells: one query, a few rows. */
kiln_cause_code kiln__reason_of_miss(kiln *k, const kiln__engine *engine,
                                     const kcc_key_parts *parts, const kcc_digest *key);

/* Counts an answer's reason; returns its word. */
const char *kiln__count_reason(kiln *k, kiln_cause_code code);

/* Of the blob's header: where it is not what this V8 wants. Gives `expected`, a header of the
 * engine's own making. False: the explanation is complete, for there is no header. */
kiln_status kiln__explain_header(const kiln__engine *engine, const kiln_request *request,
                                 kiln_span own, kiln_explanation *explanation, kiln_error *err);

#endif
