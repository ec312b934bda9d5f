/* SPDX-License-Identifier: MIT
 *
 * faults.c: see faults.h.
 */
#include "server/faults.h"

#include <stdarg.h>
#include <stdio.h>

void srv_faults_add(srv_faults *faults, const char *format, ...) {
  if (faults->count++ >= SRV_FAULTS_MAX) return;
  va_list args;
  va_start(args, format);
  vsnprintf(faults->texts[faults->count - 1], SRV_FAULT_SIZE, format, args);
  va_end(args);
}
