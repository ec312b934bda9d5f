/* SPDX-License-Identifier: MIT
 *
 * conn.h: connections and their absolute deadlines. MHD's own timeout counts from the last byte, so
 * a client that sends one byte a second is never late; here a phase has one deadline. A reaper
 * thread looks at all connections a few times a second and shuts down the sockets of late ones, and
 * of the longest idle ones when the limit is near. It never closes a descriptor: that is MHD's.
 */
#ifndef KILN_SERVER_CONN_H
#define KILN_SERVER_CONN_H

#include "server/server.h"

/*   IDLE ----> HEADER: bytes of a request came, its head is not complete  (seen by the reaper)
 *   IDLE, HEADER ----> BODY ----> BUSY ----> WRITE ----> IDLE             (MHD's thread)
 *   any of them but BUSY ----> EXPIRED                                    (the reaper)
 * Each step is an atomic exchange, so a request is either answered or expired. */
typedef enum srv_phase {
  SRV_IDLE,
  SRV_HEADER,
  SRV_BODY,
  SRV_BUSY,
  SRV_WRITE,
  SRV_EXPIRED,
} srv_phase;

struct srv_conn {
  srv_request request; /* first: MHD's pointer to the request is one to the connection */
  srv_conn *previous;
  srv_conn *next;
  int fd;
  uint64_t client;    /* by its address, see auth.h */
  atomic_bool fresh;  /* no request yet: the head is due since the connection was made */
  atomic_bool linger; /* closed with unread input: read it before the descriptor goes */
  atomic_int phase;
  _Atomic int64_t deadline_ms; /* 0: none */
  _Atomic int64_t idle_since_ms;
  _Atomic int64_t idle_bytes; /* bytes received when it became idle; -1: not looked yet */
};

srv_conns *srv_conns_new(srv_server *server); /* NULL: no memory or no thread */
void srv_conns_free(srv_conns *conns);        /* after the daemon: no connection is left */

/* MHD_NotifyConnectionCallback; cls is the server. */
void srv_conn_notify(void *cls, struct MHD_Connection *mhd, void **socket_context,
                     enum MHD_ConnectionNotificationCode code);

/* Steps to `phase` with the deadline it has; false if the reaper was first and the connection is to
 * be given up. */
bool srv_conn_step(srv_conn *conn, srv_phase phase, int64_t deadline_ms);

/* Writes a whole answer past MHD and marks the connection to be given up: the only way to answer
 * while a body is still coming in. With TLS only MHD's thread may. */
void srv_conn_answer_now(srv_conn *conn, unsigned status, const char *reason, const char *code,
                         const char *message);

#endif
