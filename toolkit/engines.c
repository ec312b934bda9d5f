/* SPDX-License-Identifier: MIT
 *
 * engines.c: reading the registry (H2 is writing it).
 */
#include "toolkit/engines.h"

#include "toolkit/status.h"

kiln_status kiln__engines_load(const char *dir, kiln__engine_record **ret_records,
                               size_t *ret_count, kiln_error *err) {
  (void)ret_records;
  (void)ret_count;
  return kiln__fail(err, KILN_EENGINE, NULL, "registry '%s': cannot be read yet", dir);
}
