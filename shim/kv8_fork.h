/* SPDX-License-Identifier: MIT
 *
 * kv8_fork.h: forking a process whose V8 has run code. A part of the shim's API, whose conventions
 * (kv8.h) hold here.
 *
 * A zygote (kv8_engine_options.defer_threads) forks before anything ran; kv8_engine_after_fork()
 * readies its children. One of these may become a zygote itself: it calls kv8_context_own_random()
 * and lets code run in the context, then kv8_context_hide_globals() and last
 * kv8_engine_before_fork(). Its children call kv8_engine_after_fork() as any child does and find
 * the context as it was left.
 */
#ifndef KILN_SHIM_KV8_FORK_H
#define KILN_SHIM_KV8_FORK_H

#include "kv8.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Gives the context's Math a random() of this library's, before code runs there. Its numbers are
 * seeded anew by kv8_engine_after_fork(); V8's own, once used, go on alike in all siblings. */
KV8_API kv8_status kv8_context_own_random(kv8_context *context, kv8_error *err);

/* From now on kv8_context_globals_to_json() leaves out the properties the global has at this
 * moment, whatever becomes of their values. */
KV8_API kv8_status kv8_context_hide_globals(kv8_context *context, kv8_error *err);

/* Lets V8's background work come to an end, joins every thread of this library's and allows no
 * other: the process may be forked again, once, or as a zygote. Not while code runs. KV8_ESTATE
 * where kv8_engine_after_fork() has not been called. */
KV8_API kv8_status kv8_engine_before_fork(kv8_error *err);

/* From now on deadlines wait in the process' real-time timer, whose SIGALRM interrupts the code
 * that runs, and not in a thread of this library's; `on` false: as usual again. For a process
 * forked for one job: to start a thread takes as long as a small script. The first call with `on`
 * takes SIGALRM for good; make it in the zygote, so that its children need not. KV8_ESTATE while
 * something runs with a deadline.
 *
 * Only where all code runs in one thread and no other takes SIGALRM. The first deadline that comes
 * starts the thread from within the signal's handler, a little later if it finds libc at work;
 * from then on that thread keeps them. */
KV8_API kv8_status kv8_engine_deadlines_by_alarm(bool on, kv8_error *err);

#ifdef __cplusplus
}
#endif
#endif
