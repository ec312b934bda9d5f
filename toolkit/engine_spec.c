/* SPDX-License-Identifier: MIT
 *
 * engine_spec.c: which engine a spec means: see kiln_request.engine.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "toolkit/engines.h"
#include "toolkit/status.h"

/* Hex digits of a fingerprint that a spec needs at least. */
#define FINGERPRINT_MIN 8

enum { NO_MATCH = 0, BY_PREFIX = 1, BY_FINGERPRINT = 2, BY_NAME = 3 };

int kiln__engines_compare(const char *name, const char *other) {
  return strverscmp(name, other);
}

unsigned kiln__engines_match(kiln_span spec, const kiln_engine_info *info) {
  size_t length = strlen(info->name);
  if (spec.length == 0) return NO_MATCH;
  if (length == spec.length && memcmp(info->name, spec.data, length) == 0) return BY_NAME;
  if (info->node[0] == '\0' && spec.length == strlen("default") &&
      memcmp(spec.data, "default", spec.length) == 0) {
    return BY_NAME;
  }
  if (spec.length >= FINGERPRINT_MIN && spec.length <= KILN_KEY_HEX &&
      strncasecmp(info->fingerprint, spec.data, spec.length) == 0) {
    return BY_FINGERPRINT;
  }
  /* "node-22" begins "node-22.23.3", but not "node-220". */
  if (length > spec.length && memcmp(info->name, spec.data, spec.length) == 0 &&
      info->name[spec.length] == '.' && isdigit((unsigned char)spec.data[spec.length - 1])) {
    return BY_PREFIX;
  }
  return NO_MATCH;
}

kiln_status kiln__engines_find(const kiln__engine_record *records, size_t count, kiln_span spec,
                               const kiln__engine_record **ret_record, kiln_error *err) {
  const kiln__engine_record *best = NULL;
  unsigned best_match = NO_MATCH;
  char names[256] = "none";
  size_t length = 0;
  for (size_t i = 0; i < count; i++) {
    unsigned match = kiln__engines_match(spec, &records[i].info);
    if (length + 48 < sizeof(names)) {
      length += (size_t)snprintf(names + length, sizeof(names) - length, "%s'%s'",
                                 i == 0 ? "" : ", ", records[i].info.name);
    }
    if (match == NO_MATCH || match < best_match) continue;
    if (best != NULL && match == best_match &&
        kiln__engines_compare(records[i].info.name, best->info.name) < 0) {
      continue;
    }
    best = &records[i];
    best_match = match;
  }
  if (best != NULL) {
    *ret_record = best;
    return KILN_OK;
  }
  char quoted[KILN__QUOTE_BYTES];
  return kiln__fail(err, KILN_EINVAL, NULL, "engine %s: unknown; registered: %s",
                    kiln__quote(spec, quoted), names);
}
