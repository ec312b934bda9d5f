/* SPDX-License-Identifier: MIT
 *
 * faults.h: what is wrong with a configuration, one line each; the first so many are kept.
 */
#ifndef KILN_SERVER_FAULTS_H
#define KILN_SERVER_FAULTS_H

#define SRV_FAULTS_MAX 32
#define SRV_FAULT_SIZE 512

typedef struct srv_faults {
  unsigned count; /* may be more than are kept */
  char texts[SRV_FAULTS_MAX][SRV_FAULT_SIZE];
} srv_faults;

void srv_faults_add(srv_faults *faults, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
