/* SPDX-License-Identifier: MIT
 *
 * process.h: what the kernel says of this process.
 */
#ifndef KILN_SERVER_PROCESS_H
#define KILN_SERVER_PROCESS_H

#include <stdint.h>

typedef struct srv_process {
  double start_seconds; /* since the epoch */
  double cpu_seconds;
  uint64_t open_fds;
  uint64_t max_fds;
  uint64_t resident_bytes;
  uint64_t virtual_bytes;
  uint64_t threads;
} srv_process;

/* What cannot be read is 0. */
void srv_process_read(srv_process *ret_process);

#endif
