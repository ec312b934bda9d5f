/* SPDX-License-Identifier: MIT
 *
 * json.h: writing JSON onto a stream. For replies, whose parts are partly JSON already (a worker's
 * result, checked by the toolkit) and must not be parsed and built again to be passed on. Reading
 * is jansson's business.
 */
#ifndef KILN_SERVER_JSON_H
#define KILN_SERVER_JSON_H

#include <stddef.h>
#include <stdio.h>

/* Writes `data` as a JSON string, quotes included. Bytes that are not UTF-8 become U+FFFD. */
void srv_json_string(FILE *out, const char *data, size_t length);

/* The same of a C string; NULL is written as null. */
void srv_json_text(FILE *out, const char *text);

#endif
