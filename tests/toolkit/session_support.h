/* SPDX-License-Identifier: MIT
 *
 * session_support.h: what the tests of sessions share: commands that are waited for, and what is
 * kept of their answers.
 */
#ifndef KILN_TESTS_TOOLKIT_SESSION_SUPPORT_H
#define KILN_TESTS_TOOLKIT_SESSION_SUPPORT_H

#include <sys/types.h>

#include "toolkit/kiln.h"

/* Texts that were not produced are "". */
typedef struct reply {
  unsigned count; /* of done calls: 1 when all is well */
  kiln_status status;
  kiln_error error;
  kiln_outcome outcome;
  char code[64];
  char name[64];
  char message[512];
  char resource[300];
  int line;
  char session[KILN_SESSION_ID_HEX + 1];
  char object[KILN_OBJECT_ID_MAX];
  char *result;
  char *globals;
  char *console;
  char *memory;
  char *module;
  char key[KILN_KEY_HEX + 1];
  kiln_bytes *blob;
  int cached_data_rejected;
  bool console_truncated;
} reply;

/* As test_options(), but V8's termination has all the time it needs on a busy machine before the
 * process is killed, and the console is small. */
kiln_options session_options(const char *store);

/* Submits, which must succeed; with command_wait() until it is answered. */
void command_submit(kiln *k, const kiln_command *command, reply *ret_reply);
void command_wait(reply *one);
/* Both; release the reply. */
void command_do(kiln *k, const kiln_command *command, reply *ret_reply);
void reply_release(reply *one);

/* Asserts that the answer is good, or which exception or status it is. */
void assert_good(const reply *one);
void assert_threw(const reply *one, const char *code);
void assert_gone(const reply *one, const char *word);

/* Makes a context in a new session (`session` NULL) or in an old one; keeps its id. */
void make_context(kiln *k, const char *session, char ret_object[KILN_OBJECT_ID_MAX]);
/* Runs `source` in a context and asserts that the result's JSON is `json`. */
void assert_runs(kiln *k, const char *context, const char *source, const char *json);
/* ... that it throws an exception of this code, or name if it has no code. */
void assert_throws(kiln *k, const char *context, const char *source, const char *code);
/* Runs it; release the reply. */
void run_in(kiln *k, const char *context, const char *source, unsigned timeout_ms,
            reply *ret_reply);
void submit_run(kiln *k, const char *context, const char *source, unsigned timeout_ms,
                reply *ret_reply);

/* The session of an object's id; lent until the next call. */
kiln_span session_of(const char *object);

/* This process's open descriptors. */
unsigned count_descriptors(void);
typedef struct child {
  pid_t pid;
  char state;          /* as in /proc/PID/stat */
  long nice;           /* workers: 10, zygotes: 0 */
  unsigned long ticks; /* of processor time */
} child;
/* This process's children, zygotes and workers, but not the first processes of workers' pid
 * namespaces: the first `max`; returns how many there are. */
size_t list_children(child *ret_children, size_t max);
/* The process of a context's session: it is the one that computes when it is told to. */
pid_t worker_of(kiln *k, const char *context);
/* Waits, up to ten seconds, until `condition(user)` holds. */
void wait_until(bool (*condition)(void *user), void *user);

#endif
