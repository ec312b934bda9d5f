/* SPDX-License-Identifier: MIT
 *
 * sandbox.h: the doors an engine process closes behind itself. Private to the toolkit.
 */
#ifndef KILN_TOOLKIT_SANDBOX_H
#define KILN_TOOLKIT_SANDBOX_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* The channel's descriptor in a zygote and in a worker; no higher one is open. */
#define KILN_CHANNEL 3

/* Once in the zygote, inherited by its workers: descriptors, limits that are the same for all, no
 * new privileges, dying with the process `parent`, handlers for fatal signals. False: errno says
 * what did not work. */
bool kiln_sandbox_prepare(pid_t parent);

/* Once in the zygote, when V8 has started: what RLIMIT_DATA counts of it, in bytes. The limit of
 * its workers is to be that much higher than what a job may use. */
uint64_t kiln_sandbox_data_bytes(void);

/* In each worker, just after the fork: takes `channel` to KILN_CHANNEL, closes everything else,
 * dies with its parent. */
bool kiln_sandbox_detach(int channel, pid_t parent);

/* In each worker, after V8 has been told of the fork and before it reads its job. */
bool kiln_sandbox_enter(void);

/* Ends the worker: with the exit code of a memory limit if its memory is used up, else with
 * `other`. */
_Noreturn void kiln_sandbox_exit_fatal(int other);

#endif
