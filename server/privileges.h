/* SPDX-License-Identifier: MIT
 *
 * privileges.h: what kilnd itself gives up: root, new privileges, and, for the threads that read
 * what strangers send, every system call that such a thread has no use for. The threads of the pool
 * start processes and stay as they are.
 */
#ifndef KILN_SERVER_PRIVILEGES_H
#define KILN_SERVER_PRIVILEGES_H

#include <stdbool.h>
#include <stddef.h>

/* For good, for this thread and those it starts: no program that is executed gains privileges. */
void srv_privileges_begin(void);

/* Becomes `user` with his first group alone, and undumpable. Does nothing where this is the user
 * already. Before any thread is started. False: `message` says why. */
bool srv_privileges_drop(const char *user, char *message, size_t message_size);

/* Puts the calling thread, and what it starts from now on, under the filter. False: the kernel has
 * none; `errno` says why. */
bool srv_filter_install(void);

/* Calls `run` on a thread of its own under the filter and waits for it: threads that it starts are
 * born under it. *ret_filtered: whether there was one. False: no thread; `run` was not called. */
bool srv_filter_run(void (*run)(void *user), void *user, bool *ret_filtered);

#endif
