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
/* Then, with the layers it has: closes what nobody needs any more. Its workers have what it has. */
bool kiln_sandbox_settle(uint32_t layers);

/* Once in the zygote: the filters that it and its forks are to load (struct sock_filter), copied.
 * False: no memory, too long, or not of that kind. */
bool kiln_sandbox_take_filter(kiln_filter_kind kind, const void *program, size_t length);
/* ... and the zygote's own (or a breeder's), loaded. False: there is none, or the kernel does not
 * take it. */
bool kiln_sandbox_filter_zygote(void);
/* Whether its filter wants a secret for forks: then these must not fork in their turn. */
bool kiln_sandbox_has_secret(void);
/* For tests: where the secret is, which in a fork must be zeros. NULL: there is none. */
const void *kiln_sandbox_get_secret_area(size_t *ret_size);

/* fork(), but the child becomes the pool's (CLONE_PARENT), and glibc's handlers are not called. To
 * be prepared once, before there is a filter. -1: it did not work. */
void kiln_sandbox_prepare_fork(void);
pid_t kiln_sandbox_fork(void);

/* Once in the zygote, when V8 has started: what RLIMIT_DATA counts of it, in bytes. The limit of
 * its workers is to be that much higher than what a job may use. */
uint64_t kiln_sandbox_data_bytes(void);

/* Dies with the process `parent`: false if that has gone already. */
bool kiln_sandbox_die_with(pid_t parent);

/* In each worker, just after the fork: takes `channel` to KILN_CHANNEL, closes everything else,
 * dies with its parent. If that has gone already, nobody is at the channel's other end. */
bool kiln_sandbox_detach(int channel, pid_t parent);

/* In each worker, after V8 has been told of the fork and before it reads its job: lower priority,
 * then a filter of system calls, if one was taken for this kind. */
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
