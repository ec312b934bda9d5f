/* SPDX-License-Identifier: MIT
 *
 * watch.h: looks at the kiln's counters now and then, and writes to the log what nobody would
 * notice otherwise: a store that fails is only a slower service. Who looks at /v1/stats sees more.
 */
#ifndef KILN_SERVER_WATCH_H
#define KILN_SERVER_WATCH_H

#include "server/server.h"

typedef struct srv_watch {
  int64_t look_ms;      /* when to look next */
  int64_t tell_ms;      /* when to log next, at the earliest */
  uint64_t told_errors; /* the store's errors at the last line */
} srv_watch;

/* Whether it is time to look; the next time is set. */
bool srv_watch_due(srv_watch *watch, int64_t now_ms);

/* Whether a line is due for this many errors, and how many of them are new. */
bool srv_watch_errors(srv_watch *watch, int64_t now_ms, uint64_t errors, uint64_t *ret_new);

/* Asks the kiln and logs. */
void srv_watch_look(srv_watch *watch, srv_server *server, int64_t now_ms);

#endif
