/* SPDX-License-Identifier: MIT
 *
 * json.h: writing JSON onto a stream. For replies, whose parts are partly JSON already (a worker's
 * result, checked by the toolkit) and must not be parsed and built again to be passed on. Reading
 * is jansson's business, but for finding such a part.
 */
#ifndef KILN_SERVER_JSON_H
#define KILN_SERVER_JSON_H

#include <stddef.h>
#include <stdio.h>

#include "toolkit/kiln.h"

/* Writes `data` as a JSON string, quotes included. Bytes that are not UTF-8 become U+FFFD. */
void srv_json_string(FILE *out, const char *data, size_t length);

/* The same of a C string; NULL is written as null. */
void srv_json_text(FILE *out, const char *text);

/* The value of a member of the object that `text` is, as it stands there. `text` must have been
 * found to be JSON. False: there is none of that name, or none that is written without escapes. */
bool srv_json_member(kiln_span text, const char *name, kiln_span *ret_value);

#endif
