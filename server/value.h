/* SPDX-License-Identifier: MIT
 *
 * value.h: values of one JSON type each, taken into a request, and the faults found on the way. The
 * codes are Node's: ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE, ERR_INVALID_ARG_VALUE. The first fault
 * of a request is kept, later ones are dropped; a place is written only if its value is right.
 */
#ifndef KILN_SERVER_VALUE_H
#define KILN_SERVER_VALUE_H

#include "server/request.h"

/* Room for a field's name with the path to it, as shown in a message. */
#define SRV_FIELD_NAME_MAX 160

void srv_fault(srv_parsed *parsed, unsigned status, const char *code, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void srv_fault_memory(srv_parsed *parsed);
void srv_fault_type(srv_parsed *parsed, const char *name, const char *wanted, const json_t *value);
void srv_fault_count(srv_parsed *parsed, const char *name, size_t limit, size_t count);
void srv_fault_unknown(srv_parsed *parsed, const char *what, const char *name);

/* The span is the value's own memory. */
bool srv_take_text(srv_parsed *parsed, const char *name, const json_t *value, kiln_span *field);
bool srv_take_integer(srv_parsed *parsed, const char *name, const json_t *value, double low,
                      double high, double *field);
void srv_take_offset(srv_parsed *parsed, const char *name, const json_t *value, int32_t *field);

/* One of `words`, which NULL ends: its index. */
bool srv_take_word(srv_parsed *parsed, const char *name, const json_t *value,
                   const char *const *words, unsigned *ret_index);

/* A string, copied: bytes to unref. */
void srv_take_source(srv_parsed *parsed, const char *name, const json_t *value, kiln_bytes **field);

/* An array of at most `limit` entries, to be gone through. */
bool srv_take_list(srv_parsed *parsed, const char *name, const json_t *value, size_t limit);

/* A value of this shape as JSON text again, for the engine to parse; *ret_text is to be freed. */
typedef enum srv_shape { SRV_OBJECT, SRV_ARRAY, SRV_ANY } srv_shape;
void srv_take_json(srv_parsed *parsed, const char *name, const json_t *value, srv_shape shape,
                   char **ret_text, kiln_span *field);

#endif
