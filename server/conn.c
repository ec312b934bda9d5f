/* SPDX-License-Identifier: MIT
 *
 * conn.c: see conn.h. The list of connections is locked by the reaper for a look at all of them and
 * by MHD's threads when a connection begins or ends; serving a request takes no lock here.
 */
#include "server/conn.h"

#include <fcntl.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "server/auth.h"
#include "server/privileges.h"
#include "server/request_id.h"
#include "server/tls.h"
#include "server/watch.h"

#define LINGER_MAX 64
#define LINGER_MS 2000
#define LINGER_TICK_MS 20
#define TICK_MAX_MS 1000

typedef struct lingering {
  int fd;
  int64_t until_ms;
} lingering;

struct srv_conns {
  srv_server *server;
  pthread_mutex_t lock;
  pthread_cond_t wake;
  pthread_t reaper;
  bool stop;
  bool crowded; /* a connection came in above the mark */
  srv_conn *first;
  size_t count;
  size_t mark; /* above this many the longest idle go */
  lingering lingers[LINGER_MAX];
  size_t lingers_count;
  srv_watch watch; /* the reaper's */
};

int64_t srv_now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t srv_now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

bool srv_conn_step(srv_conn *conn, srv_phase phase, int64_t deadline_ms) {
  /* The deadline goes first: the reaper may pair the old phase with the new deadline, which is only
   * later, but never the new phase with one that is over. */
  atomic_store(&conn->deadline_ms, deadline_ms);
  if (atomic_exchange(&conn->phase, (int)phase) != SRV_EXPIRED) return true;
  atomic_store(&conn->phase, SRV_EXPIRED);
  return false;
}

void srv_conn_answer_now(srv_conn *conn, unsigned status, const char *reason, const char *code,
                         const char *message) {
  char body[512];
  char text[1024];
  char made[SRV_REQUEST_ID_MAX + 1];
  const char *id = conn->request.id;
  int length = snprintf(body, sizeof(body), "{\"error\":{\"code\":\"%s\",\"message\":\"%s\"}}\n",
                        code, message);
  if (length < 0 || (size_t)length >= sizeof(body)) return;
  if (id[0] == '\0') { /* no head was complete */
    srv_request_id_make(made);
    id = made;
  }
  length = snprintf(text, sizeof(text),
                    "HTTP/1.1 %u %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n"
                    "Cache-Control: no-store\r\n" SRV_REQUEST_ID_HEADER
                    ": %s\r\nConnection: close\r\n\r\n%s",
                    status, reason, length, id, body);
  if (length < 0 || (size_t)length >= sizeof(text)) return;
  atomic_store(&conn->linger, true);
  /* A full send buffer means that the client does not read: it will not miss the answer. */
  if (conn->request.server->tls != NULL)
    srv_tls_send_now(conn->request.mhd, text, (size_t)length);
  else
    (void)!send(conn->fd, text, (size_t)length, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* ---- lingering: input that nobody wants any more
 *
 * close() with unread input resets the connection, and a reset may reach the client before it has
 * read the answer that says why. So a second descriptor is kept and read until the client is done.
 */

static void linger(srv_conns *conns, int fd) {
  pthread_mutex_lock(&conns->lock);
  if (conns->lingers_count < LINGER_MAX) {
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (copy >= 0) {
      shutdown(copy, SHUT_WR);
      conns->lingers[conns->lingers_count++] =
          (lingering){.fd = copy, .until_ms = srv_now_ms() + LINGER_MS};
      pthread_cond_signal(&conns->wake);
    }
  }
  pthread_mutex_unlock(&conns->lock);
}

/* Reads and drops; false when the other side is done. */
static bool drain(int fd) {
  char waste[65536];
  for (int reads = 0; reads < 64; reads++) {
    ssize_t got = recv(fd, waste, sizeof(waste), MSG_DONTWAIT);
    if (got == 0) return false;
    if (got < 0) return true; /* nothing now, or an error that the deadline ends */
  }
  return true;
}

static void tend_lingers(srv_conns *conns, int64_t now_ms) {
  size_t kept = 0;
  for (size_t i = 0; i < conns->lingers_count; i++) {
    lingering one = conns->lingers[i];
    if (now_ms < one.until_ms && drain(one.fd))
      conns->lingers[kept++] = one;
    else
      close(one.fd);
  }
  conns->lingers_count = kept;
}

/* ---- deadlines */

static int64_t received_bytes(int fd) {
  struct tcp_info info;
  socklen_t size = sizeof(info);
  memset(&info, 0, sizeof(info));
  if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return -1;
  return (int64_t)info.tcpi_bytes_received;
}

/* MHD says nothing before a head is complete, so whether an idle connection has begun to send one
 * is asked of the kernel. */
static void notice_header(srv_conns *conns, srv_conn *conn, int64_t now_ms) {
  int64_t bytes = received_bytes(conn->fd);
  int64_t before = atomic_load(&conn->idle_bytes);
  if (bytes < 0) return;
  if (before < 0) {
    atomic_compare_exchange_strong(&conn->idle_bytes, &before, bytes);
    return;
  }
  if (bytes <= before) return;
  int idle = SRV_IDLE;
  int64_t deadline = atomic_load(&conn->deadline_ms);
  if (!atomic_compare_exchange_strong(&conn->phase, &idle, SRV_HEADER)) return;
  if (conn->fresh) return; /* due since the connection was made */
  int64_t due = now_ms + (int64_t)conns->server->options->header_timeout_ms;
  atomic_compare_exchange_strong(&conn->deadline_ms, &deadline, due);
}

static void expire(srv_conn *conn, srv_phase phase) {
  int expected = (int)phase;
  if (!atomic_compare_exchange_strong(&conn->phase, &expected, SRV_EXPIRED)) return;
  srv_count(&conn->request.server->timeouts);
  /* A TLS session is its thread's alone: there the connection just ends. */
  if ((phase == SRV_HEADER || phase == SRV_BODY) && conn->request.server->tls == NULL)
    srv_conn_answer_now(conn, MHD_HTTP_REQUEST_TIMEOUT, "Request Timeout", "ERR_REQUEST_TIMEOUT",
                        phase == SRV_HEADER ? "the request's head took too long"
                                            : "the request's body took too long");
  /* Wakes MHD, which finds the end of its input (or nobody to write to) and closes. */
  shutdown(conn->fd, phase == SRV_WRITE ? SHUT_RDWR : SHUT_RD);
}

/* The longest idle one; NULL: none. *ret_live counts those that are not on their way out. */
static srv_conn *find_oldest_idle(srv_conns *conns, size_t *ret_live) {
  srv_conn *oldest = NULL;
  int64_t oldest_ms = INT64_MAX;
  *ret_live = 0;
  for (srv_conn *conn = conns->first; conn != NULL; conn = conn->next) {
    int phase = atomic_load(&conn->phase);
    int64_t since_ms = atomic_load(&conn->idle_since_ms);
    if (phase != SRV_EXPIRED) ++*ret_live;
    if (phase != SRV_IDLE || since_ms > oldest_ms) continue;
    oldest = conn; /* of equals the last in the list, which came first */
    oldest_ms = since_ms;
  }
  return oldest;
}

static void evict_idle(srv_conns *conns) {
  size_t live = 0;
  srv_conn *oldest;
  while ((oldest = find_oldest_idle(conns, &live)) != NULL && live > conns->mark) {
    int idle = SRV_IDLE;
    if (!atomic_compare_exchange_strong(&oldest->phase, &idle, SRV_EXPIRED)) continue;
    srv_count(&conns->server->connections_evicted);
    shutdown(oldest->fd, SHUT_RDWR);
  }
}

static void look_at_all(srv_conns *conns, int64_t now_ms) {
  for (srv_conn *conn = conns->first; conn != NULL; conn = conn->next) {
    if (atomic_load(&conn->phase) == SRV_IDLE) notice_header(conns, conn, now_ms);
    srv_phase phase = (srv_phase)atomic_load(&conn->phase);
    int64_t deadline = atomic_load(&conn->deadline_ms);
    /* A byte that came in with the shutdown can hide it from MHD: tell it again. */
    if (phase == SRV_EXPIRED) shutdown(conn->fd, SHUT_RDWR);
    if (phase == SRV_BUSY || phase == SRV_EXPIRED) continue;
    if (deadline != 0 && now_ms >= deadline) expire(conn, phase);
  }
}

static int64_t tick_ms(const srv_options *options) {
  uint64_t shortest = options->header_timeout_ms;
  if (options->body_timeout_ms < shortest) shortest = options->body_timeout_ms;
  if (options->idle_timeout_ms < shortest) shortest = options->idle_timeout_ms;
  uint64_t tick = shortest / 8;
  if (tick < 5) tick = 5;
  return tick > TICK_MAX_MS ? TICK_MAX_MS : (int64_t)tick;
}

static void *reap(void *cls) {
  srv_conns *conns = cls;
  pthread_setname_np(pthread_self(), "kilnd-reaper");
  srv_filter_install(); /* that it has none is told where the other threads are started */
  int64_t tick = tick_ms(conns->server->options);
  int64_t next_look_ms = srv_now_ms() + tick;
  pthread_mutex_lock(&conns->lock);
  while (!conns->stop) {
    int64_t now_ms = srv_now_ms();
    int64_t wait_ms = next_look_ms - now_ms;
    if (conns->lingers_count > 0 && wait_ms > LINGER_TICK_MS) wait_ms = LINGER_TICK_MS;
    if (wait_ms > 0 && !conns->crowded) {
      struct timespec until;
      clock_gettime(CLOCK_MONOTONIC, &until);
      int64_t ns = until.tv_nsec + wait_ms * 1000000;
      until.tv_sec += ns / 1000000000;
      until.tv_nsec = ns % 1000000000;
      pthread_cond_timedwait(&conns->wake, &conns->lock, &until);
      now_ms = srv_now_ms();
    }
    tend_lingers(conns, now_ms);
    if (conns->crowded) {
      conns->crowded = false;
      evict_idle(conns);
    }
    if (now_ms >= next_look_ms) {
      look_at_all(conns, now_ms);
      next_look_ms = now_ms + tick;
    }
    if (srv_watch_due(&conns->watch, now_ms)) {
      pthread_mutex_unlock(&conns->lock); /* the kiln may take its time */
      srv_watch_look(&conns->watch, conns->server, now_ms);
      pthread_mutex_lock(&conns->lock);
    }
  }
  for (size_t i = 0; i < conns->lingers_count; i++) close(conns->lingers[i].fd);
  pthread_mutex_unlock(&conns->lock);
  return NULL;
}

/* ---- beginning and end */

static void begin(srv_server *server, struct MHD_Connection *mhd, void **socket_context) {
  srv_conns *conns = server->conns;
  const union MHD_ConnectionInfo *info =
      MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
  srv_conn *conn = calloc(1, sizeof(*conn));
  *socket_context = conn; /* NULL: the first request is given up */
  if (conn == NULL) return;
  conn->fd = info->connect_fd;
  conn->fresh = true;
  info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
  conn->client = srv_auth_client(server->auth, info->client_addr);
  conn->request.conn = conn;
  conn->request.server = server;
  int64_t now_ms = srv_now_ms();
  atomic_store(&conn->deadline_ms, now_ms + (int64_t)server->options->header_timeout_ms);
  atomic_store(&conn->idle_since_ms, now_ms);
  srv_count(&server->connections_total);
  srv_count(&server->connections);

  pthread_mutex_lock(&conns->lock);
  conn->next = conns->first;
  if (conns->first != NULL) conns->first->previous = conn;
  conns->first = conn;
  conns->count++;
  if (conns->count > conns->mark) {
    conns->crowded = true;
    pthread_cond_signal(&conns->wake);
  }
  pthread_mutex_unlock(&conns->lock);
}

static void end(srv_server *server, srv_conn *conn) {
  srv_conns *conns = server->conns;
  if (atomic_load(&conn->linger)) linger(conns, conn->fd);
  pthread_mutex_lock(&conns->lock);
  if (conn->previous != NULL)
    conn->previous->next = conn->next;
  else
    conns->first = conn->next;
  if (conn->next != NULL) conn->next->previous = conn->previous;
  conns->count--;
  pthread_mutex_unlock(&conns->lock);
  atomic_fetch_sub(&server->connections, 1);
  free(conn);
}

void srv_conn_notify(void *cls, struct MHD_Connection *mhd, void **socket_context,
                     enum MHD_ConnectionNotificationCode code) {
  if (code == MHD_CONNECTION_NOTIFY_STARTED)
    begin(cls, mhd, socket_context);
  else if (*socket_context != NULL)
    end(cls, *socket_context);
}

srv_conns *srv_conns_new(srv_server *server) {
  srv_conns *conns = calloc(1, sizeof(*conns));
  if (conns == NULL) return NULL;
  conns->server = server;
  conns->mark = (size_t)(server->options->connections - server->options->connections / 8);
  pthread_condattr_t attributes;
  pthread_condattr_init(&attributes);
  pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
  pthread_cond_init(&conns->wake, &attributes);
  pthread_condattr_destroy(&attributes);
  pthread_mutex_init(&conns->lock, NULL);
  if (pthread_create(&conns->reaper, NULL, reap, conns) == 0) return conns;
  pthread_cond_destroy(&conns->wake);
  pthread_mutex_destroy(&conns->lock);
  free(conns);
  return NULL;
}

void srv_conns_free(srv_conns *conns) {
  if (conns == NULL) return;
  pthread_mutex_lock(&conns->lock);
  conns->stop = true;
  pthread_cond_signal(&conns->wake);
  pthread_mutex_unlock(&conns->lock);
  pthread_join(conns->reaper, NULL);
  pthread_cond_destroy(&conns->wake);
  pthread_mutex_destroy(&conns->lock);
  free(conns);
}
