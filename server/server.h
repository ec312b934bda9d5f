/* SPDX-License-Identifier: MIT
 *
 * server.h: what the parts of kilnd share: the server, its connections, the request each of them is
 * busy with. Private to server/.
 *
 * A connection serves one request at a time, so the request lives inside it and nothing is
 * allocated to serve a hit. MHD's threads own both; only `phase` and `deadline_ms` are looked at by
 * another thread, the reaper (conn.c).
 */
#ifndef KILN_SERVER_SERVER_H
#define KILN_SERVER_SERVER_H

#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "server/options.h"
#include "server/reply.h"
#include "server/tokens.h"
#include "toolkit/kiln.h"

typedef struct srv_server srv_server;
typedef struct srv_conn srv_conn;
typedef struct srv_conns srv_conns;
typedef struct srv_auth srv_auth;
typedef struct srv_tls srv_tls;
typedef struct srv_hot srv_hot;
typedef struct srv_job srv_job;
typedef struct srv_metrics srv_metrics;
typedef struct srv_saved srv_saved;
typedef struct srv_access_log srv_access_log;
typedef struct srv_request srv_request;

/* The request headers that mean something here; pointers are MHD's, good until the request ends. */
typedef struct srv_headers {
  const char *authorization;
  const char *host;
  const char *content_type;
  const char *content_encoding;
  const char *expect;
  const char *if_none_match;
  const char *if_range;
  const char *range;
  const char *request_id;
  uint64_t content_length;
  bool has_length;
  bool chunked;
} srv_headers;

/* What became of an operation, for the access log. */
typedef struct srv_note {
  const char *outcome; /* NULL: none of a script's */
  const char *cache;   /* NULL: nothing was looked up */
  char key[13];        /* its beginning */
  char engine[32];
} srv_note;

#define SRV_REQUEST_ID_MAX 64
static inline bool srv_has_body(const srv_headers *headers) {
  return headers->chunked || headers->content_length > 0;
}

struct srv_request {
  srv_conn *conn;
  srv_server *server;
  struct MHD_Connection *mhd;
  const char *method;
  const char *url;
  const char *target_begin; /* as MHD had it before it unescaped it in place */
  const char *target_end;
  const char *target_fault; /* what was wrong with the request's target before it was unescaped */
  const struct srv_route *route;
  srv_headers headers;
  const char *principal; /* the name of the token that asks; NULL: nobody known */
  char principal_name[SRV_TOKEN_NAME_MAX + 1];
  unsigned roles;  /* of that token */
  uint64_t client; /* who is to share with others: the principal, else the address */
  kiln_bytes_writer *body;
  uint64_t received;
  uint64_t reserved; /* of srv_server.upload_bytes */
  srv_reply refusal; /* known before the body was read, sent when it is gone */
  srv_job *job;
  unsigned status; /* of the reply, 0 before */
  uint64_t sent;   /* bytes of the answer's body */
  bool aborted;    /* the connection ended before the answer's last byte */
  char id[SRV_REQUEST_ID_MAX + 1];
  srv_note note;
  int64_t started_ms;
  int64_t started_ns;
  bool counted; /* in srv_server.in_flight */
};

/* X(name): the server's own counters, in /v1/stats. */
#define SRV_COUNTER_MAP(X) \
  X(connections)           \
  X(connections_total)     \
  X(connections_evicted)   \
  X(timeouts)              \
  X(requests)              \
  X(responses_2xx)         \
  X(responses_3xx)         \
  X(responses_4xx)         \
  X(responses_5xx)         \
  X(hot_hits)              \
  X(refused_malformed)     \
  X(unauthorized)          \
  X(rate_limited)

/* Whether each answer is to end its connection. */
#define srv_is_last(server)                                                       \
  (atomic_load_explicit(&(server)->state, memory_order_relaxed) != SRV_RUNNING || \
   atomic_load_explicit(&(server)->leaving, memory_order_relaxed))

typedef enum srv_state { SRV_RUNNING = 0, SRV_STOPPING = 1, SRV_CLOSED = 2 } srv_state;

struct srv_server {
  const srv_options *options;
  kiln *kiln;
  srv_conns *conns;
  srv_hot *hot;
  srv_metrics *metrics;
  srv_access_log *access_log; /* NULL: none is kept */
  srv_auth *auth;
  srv_tls *tls; /* NULL: plain HTTP */
  struct MHD_Daemon *daemon;
  bool loopback;
  bool filtered;       /* the HTTP threads, see privileges.h */
  int listen_fd;       /* the daemon's; after srv_http_quiesce() another socket */
  atomic_bool leaving; /* another kilnd has the socket: what is answered is a connection's last */
  int64_t started_ms;
  atomic_int state;
  atomic_uint in_flight;         /* requests begun and not yet answered to the last byte */
  atomic_uint kiln_users;        /* threads inside a call on `kiln` */
  _Atomic uint64_t upload_bytes; /* of bodies that are being received or were not parsed yet */
#define SRV_COUNTER_FIELD(name) _Atomic uint64_t name;
  SRV_COUNTER_MAP(SRV_COUNTER_FIELD)
#undef SRV_COUNTER_FIELD
};

int64_t srv_now_ms(void); /* monotonic, cheap, a few ms coarse */
int64_t srv_now_ns(void); /* monotonic, fine */

static inline void srv_count(_Atomic uint64_t *counter) {
  atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

/* The kiln, to be used until srv_leave_kiln(); NULL once it is closed or about to be. */
kiln *srv_enter_kiln(srv_server *server);
void srv_leave_kiln(srv_server *server);

/* Sends a reply: queues it on the request's connection and releases it. */
enum MHD_Result srv_send(srv_request *request, srv_reply reply);

/* Sends a response that somebody else keeps. */
enum MHD_Result srv_send_kept(srv_request *request, unsigned status, struct MHD_Response *response,
                              uint64_t length);

/* Writes UTC as "2026-11-21T08:00:00.000Z". */
#define SRV_TIME_SIZE 40
void srv_time_text(char ret_text[SRV_TIME_SIZE]);

/* level: "info", "warn", "error". One line on stderr: level time event key=value ... */
void srv_log(const char *level, const char *event, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
