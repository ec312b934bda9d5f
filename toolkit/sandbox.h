/* SPDX-License-Identifier: MIT
 *
 * sandbox.h: the doors an engine process closes behind itself. Private to the toolkit.
 */
#ifndef KILN_TOOLKIT_SANDBOX_H
#define KILN_TOOLKIT_SANDBOX_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "toolkit/filter.h"

/* The channel's descriptor in a zygote and in a worker; no higher one is open. */
#define KILN_CHANNEL 3

/* Once in the zygote, inherited by its workers: descriptors, limits that are the same for all, no
 * new privileges, dying with the process `parent`, handlers for fatal signals. False: errno says
 * what did not work. */
bool kiln_sandbox_prepare(pid_t parent);

/* Once in the zygote, when V8 has started and no file is needed any more: namespaces, another user,
 * landlock; with `off` none of them. Returns the layers (1 << KILN_LAYER_...) that workers will
 * have; KILN_LAYER_SECCOMP among them if they can and are to. PR_SET_PDEATHSIG is to be set again.
 */
uint32_t kiln_sandbox_confine(bool off);

/* Once in the zygote, if it has KILN_LAYER_PID: what its first child is to do. A pid namespace ends
 * with its first process, so this one waits until the zygote and all it has forked are gone. */
bool kiln_sandbox_make_lifeline(void);
_Noreturn void kiln_sandbox_keep(void);

/* Once in the zygote: the filters that it and its workers are to load (struct sock_filter), copied.
 * False: no memory, or too long. */
bool kiln_sandbox_take_filter(kiln_filter_kind kind, const void *program, size_t length);
/* ... and the zygote's own, loaded. False: there is none, or the kernel does not take it. */
bool kiln_sandbox_filter_zygote(void);

/* Once in the zygote, when V8 has started: what RLIMIT_DATA counts of it, in bytes. The limit of
 * its workers is to be that much higher than what a job may use. */
uint64_t kiln_sandbox_data_bytes(void);

/* Dies with the process `parent`: false if that has gone already. */
bool kiln_sandbox_die_with(pid_t parent);

/* In each worker, just after the fork: takes `channel` to KILN_CHANNEL, closes everything else,
 * dies with its parent. */
bool kiln_sandbox_detach(int channel, pid_t parent);

/* In each worker, after V8 has been told of the fork and before it reads its job: lower priority,
 * then the filter of system calls. Without a filter that was taken before, none. */
bool kiln_sandbox_enter(kiln_filter_kind kind);

/* In each worker, when it knows its job: processor time, memory beyond what the zygote has (0: no
 * limit), and the size of each memfd it makes for its answer. */
bool kiln_sandbox_limit(unsigned timeout_ms, uint64_t memory_max, uint64_t answer_max);

/* In a worker that becomes a session, instead: once what does not change, and for each command the
 * processor time it may use beyond what the session has used so far. The hard limit stays what it
 * was, since it can only sink: code that owns the process may compute until the pool ends it. */
bool kiln_sandbox_limit_session(uint64_t memory_max, uint64_t answer_max);
bool kiln_sandbox_allow_command(unsigned timeout_ms);

/* In an image's process, instead: processor time and memory, with room above for the limits of its
 * children, which inherit its memory; and when the image is loaded: the rest of the time is for
 * forking. */
bool kiln_sandbox_limit_image(unsigned timeout_ms, uint64_t memory_max);
bool kiln_sandbox_settle_image(void);
/* What kiln_sandbox_data_bytes() was, or is to be from now on. */
uint64_t kiln_sandbox_get_data_bytes(void);
void kiln_sandbox_set_data_bytes(uint64_t data);

/* Ends the worker: with the exit code of a memory limit if its memory is used up, else with
 * `other`. */
_Noreturn void kiln_sandbox_exit_fatal(int other);

#endif
