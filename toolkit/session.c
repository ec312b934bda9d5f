/* SPDX-License-Identifier: MIT
 *
 * session.c: sessions as a kiln's users see them (kiln_session.h).
 */
#include "toolkit/service.h"
#include "toolkit/status.h"

kiln_status kiln_session_submit(kiln *k, const kiln_command *command, kiln_done_fn done, void *user,
                                kiln_error *err) {
  (void)k;
  (void)command;
  (void)done;
  (void)user;
  return kiln__fail(err, KILN_EINTERNAL, NULL, "sessions: not there yet");
}

kiln_status kiln_session_close(kiln *k, kiln_span session, kiln_error *err) {
  (void)k;
  (void)session;
  return kiln__fail(err, KILN_NOT_FOUND, NULL, "sessions: not there yet");
}

kiln_status kiln_session_get(kiln *k, kiln_span session, kiln_session_info *ret_info,
                             kiln_error *err) {
  (void)k;
  (void)session;
  (void)ret_info;
  return kiln__fail(err, KILN_NOT_FOUND, NULL, "sessions: not there yet");
}
