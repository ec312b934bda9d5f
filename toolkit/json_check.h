/* SPDX-License-Identifier: MIT
 *
 * json_check.h: tells whether a text is JSON. Private to the toolkit.
 *
 * What a worker answers is passed on inside a larger JSON text, so it must be proven to be one JSON
 * value and nothing else: a worker that ran hostile code may answer anything. jansson is not used
 * for it, since it builds a tree and refuses "\ud800", which V8's JSON.stringify writes for a lone
 * surrogate. This checks only; it keeps no values.
 */
#ifndef KILN_TOOLKIT_JSON_CHECK_H
#define KILN_TOOLKIT_JSON_CHECK_H

#include "toolkit/kiln.h"

/* Nesting is checked in fixed memory: a larger max_depth counts as this one. */
#define KILN_JSON_DEPTH_MAX 4096

/* Tells whether `text` is exactly one JSON value as in RFC 8259 (any kind of value, white space
 * around it), in valid UTF-8, with arrays and objects nested at most `max_depth` deep (a number
 * has depth 0, [] has 1). Repeated names and escapes of lone surrogates are allowed. */
bool kiln_json_check(kiln_span text, unsigned max_depth);

/* The same for a text that must be an object ('{') or an array ('['). */
bool kiln_json_check_kind(kiln_span text, unsigned max_depth, char open);

#endif
