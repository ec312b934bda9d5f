/* SPDX-License-Identifier: MIT
 *
 * session_table.h: which sessions there are, which have been idle for how long, and how those that
 * are no more ended. Private to the toolkit; session.c does the commands.
 */
#ifndef KILN_TOOLKIT_SESSION_TABLE_H
#define KILN_TOOLKIT_SESSION_TABLE_H

#include "toolkit/service.h"

/* Referenced by the process it stands for, until that has ended, and by its commands. What is not
 * constant is guarded by the table's lock. */
typedef struct kiln__session {
  struct kiln__session *next; /* of all there are */
  struct kiln__session *previous;
  struct kiln__session *next_in_bucket;
  struct kiln__session *less_idle; /* in the list of idle ones */
  struct kiln__session *more_idle;
  kiln *k;
  const kiln__engine *engine;
  kiln_pool_session *process;
  char id[KILN_SESSION_ID_HEX + 1];
  unsigned refs;
  unsigned pending; /* commands under way; 0: it is in the list of idle ones, if it is open */
  bool open;
  kiln_session_end end;
  char detail[96];
  uint64_t opened_ns;
  uint64_t used_ns;
  uint64_t commands;
  uint64_t objects;
} kiln__session;

kiln_status kiln__sessions_new(kiln *k, kiln_error *err);
/* Nothing is ended any more for having been idle. */
void kiln__sessions_stop(kiln *k);
/* When the pools are gone. */
void kiln__sessions_free(kiln *k);
uint64_t kiln__sessions_open_count(kiln *k);
/* "[]" */
kiln_bytes *kiln__sessions_empty_list(const kiln *k);

/* Opens a session with one command pending and a reference for it; perhaps the longest idle one has
 * to go. KILN_EBUSY, KILN_ENOMEM. */
kiln_status kiln__session_open(kiln *k, const kiln__engine *engine, kiln__session **ret_session,
                               kiln_error *err);

/* Finds the session and begins a command: with kiln__session_leave() it ends. KILN_GONE,
 * KILN_NOT_FOUND. */
kiln_status kiln__session_enter(kiln *k, kiln_span id, kiln__session **ret_session,
                                kiln_error *err);
void kiln__session_leave(kiln__session *session);
/* A command was done; the session has so many objects now. */
void kiln__session_note(kiln__session *session, uint64_t objects);

/* Ends it, if it has not. */
void kiln__session_end(kiln__session *session, kiln_session_end end);

/* KILN_GONE, and why. */
kiln_status kiln__session_gone(kiln__session *session, kiln_error *err);

#endif
