/* SPDX-License-Identifier: MIT
 *
 * watch.c: see watch.h.
 */
#include "server/watch.h"

#include <inttypes.h>

#define LOOK_MS 10000
#define TELL_MS 60000

bool srv_watch_due(srv_watch *watch, int64_t now_ms) {
  if (now_ms < watch->look_ms) return false;
  watch->look_ms = now_ms + LOOK_MS;
  return true;
}

bool srv_watch_errors(srv_watch *watch, int64_t now_ms, uint64_t errors, uint64_t *ret_new) {
  /* Fewer than before: the store did not answer, and its counters are 0. */
  if (errors <= watch->told_errors || now_ms < watch->tell_ms) return false;
  *ret_new = errors - watch->told_errors;
  watch->told_errors = errors;
  watch->tell_ms = now_ms + TELL_MS;
  return true;
}

void srv_watch_look(srv_watch *watch, srv_server *server, int64_t now_ms) {
  kiln_stats stats;
  uint64_t new_errors = 0;
  kiln *k = srv_enter_kiln(server);
  if (k == NULL) return;
  kiln_status status = kiln_get_stats(k, &stats, /* err= */ NULL);
  srv_leave_kiln(server);
  if (status == KILN_OK && srv_watch_errors(watch, now_ms, stats.store_errors, &new_errors))
    srv_log("warn", "store-errors", "new=%" PRIu64 " total=%" PRIu64, new_errors,
            stats.store_errors);
}
