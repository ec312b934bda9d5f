/* SPDX-License-Identifier: MIT
 *
 * http.c: see http.h. MHD calls the access handler for a head, then for each piece of the body,
 * then for the end. A response queued for the head closes the connection, which is right for a
 * malformed head and for a body that is not worth reading; everything else is answered at the end,
 * so that the connection lives on.
 */
#include "server/http.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/access_log.h"
#include "server/auth.h"
#include "server/conn.h"
#include "server/guard.h"
#include "server/metrics.h"
#include "server/operate.h"
#include "server/privileges.h"
#include "server/request.h"
#include "server/request_id.h"
#include "server/route.h"
#include "server/tls.h"

/* A refused body up to this size is read and dropped, to keep the connection. */
#define DROPPED_BODY_MAX 65536
/* Bodies being received at one time, in units of --body-max. */
#define UPLOADS_MAX 16
/* What a connection has for its head and MHD's buffers. MHD zeroes it after every request, so it
 * costs a hit more than anything else in user space. */
#define CONNECTION_MEMORY 16384
/* The slowest client: this many bytes a second, on top of the body's own time. */
#define SLOWEST_BYTES_PER_S 1024

kiln *srv_enter_kiln(srv_server *server) {
  atomic_fetch_add(&server->kiln_users, 1);
  if (atomic_load(&server->state) != SRV_CLOSED) return server->kiln;
  atomic_fetch_sub(&server->kiln_users, 1);
  return NULL;
}

void srv_leave_kiln(srv_server *server) {
  atomic_fetch_sub(&server->kiln_users, 1);
}

/* ---- answering */

static int64_t transfer_deadline_ms(const srv_server *server, int64_t start_ms, uint64_t bytes) {
  return start_ms + (int64_t)server->options->body_timeout_ms +
         (int64_t)(bytes / SLOWEST_BYTES_PER_S * 1000);
}

static void count_status(srv_server *server, unsigned status) {
  if (status < 300)
    srv_count(&server->responses_2xx);
  else if (status < 400)
    srv_count(&server->responses_3xx);
  else if (status < 500)
    srv_count(&server->responses_4xx);
  else
    srv_count(&server->responses_5xx);
}

enum MHD_Result srv_send_kept(srv_request *request, unsigned status, struct MHD_Response *response,
                              uint64_t length) {
  srv_server *server = request->server;
  int64_t deadline_ms = transfer_deadline_ms(server, srv_now_ms(), length);
  if (!srv_conn_step(request->conn, SRV_WRITE, deadline_ms)) return MHD_NO;
  request->status = status;
  bool has_body = status != MHD_HTTP_NOT_MODIFIED && strcmp(request->method, "HEAD") != 0;
  request->sent = has_body ? length : 0;
  count_status(server, status);
  return MHD_queue_response(request->mhd, status, response);
}

enum MHD_Result srv_send(srv_request *request, srv_reply reply) {
  enum MHD_Result result = MHD_NO;
  if (srv_is_last(request->server)) srv_reply_header(&reply, MHD_HTTP_HEADER_CONNECTION, "close");
  srv_reply_header(&reply, SRV_REQUEST_ID_HEADER, request->id);
  if (reply.response != NULL)
    result = srv_send_kept(request, reply.status, reply.response, reply.length);
  else
    srv_log("error", "no-memory", "status=%u path=%s", reply.status,
            request->route != NULL ? request->route->path : "none");
  srv_reply_release(&reply);
  return result;
}

/* ---- the head */

/* Whether the body may still come: from here on it has a deadline. */
static bool await_body(srv_request *request) {
  return srv_conn_step(request->conn, SRV_BODY,
                       transfer_deadline_ms(request->server, request->started_ms, 0));
}

/* Refuses for what the head says: at once if the rest of the input is not to be read. */
static enum MHD_Result refuse(srv_request *request, srv_reply reply) {
  const srv_headers *headers = &request->headers;
  bool wait = headers->chunked || headers->content_length > DROPPED_BODY_MAX ||
              (headers->expect != NULL && headers->content_length > 0);
  if (!wait) {
    request->refusal = reply;
    return reply.response != NULL && await_body(request) ? MHD_YES : MHD_NO;
  }
  atomic_store(&request->conn->linger, true);
  return srv_send(request, reply);
}

/* Whether this route takes such a body; false: *ret_refusal. */
static bool check_body(const srv_request *request, srv_reply *ret_refusal) {
  const srv_headers *headers = &request->headers;
  const srv_options *options = request->server->options;
  srv_body_form form;
  if (request->route->bodies == SRV_NO_BODY) {
    if (!srv_has_body(headers)) return true;
    *ret_refusal = srv_reply_error(MHD_HTTP_BAD_REQUEST, "ERR_UNEXPECTED_BODY",
                                   "body: method '%.80s' takes none", request->method);
    return false;
  }
  if (request->route->bodies == SRV_OPTIONAL_JSON && !srv_has_body(headers)) return true;
  bool json_only = request->route->bodies != SRV_SOURCE_OR_JSON;
  const char *types = json_only ? "application/json"
                                : "text/javascript, application/javascript or application/json";
  if (headers->content_type == NULL || !srv_parse_content_type(headers->content_type, &form) ||
      (json_only && form != SRV_FORM_JSON)) {
    *ret_refusal =
        srv_reply_error(MHD_HTTP_UNSUPPORTED_MEDIA_TYPE, "ERR_UNSUPPORTED_MEDIA_TYPE",
                        "content type '%.80s': must be %s, in UTF-8",
                        headers->content_type != NULL ? headers->content_type : "", types);
    return false;
  }
  if (headers->content_encoding != NULL && strcasecmp(headers->content_encoding, "identity") != 0) {
    *ret_refusal =
        srv_reply_error(MHD_HTTP_UNSUPPORTED_MEDIA_TYPE, "ERR_UNSUPPORTED_MEDIA_TYPE",
                        "content encoding '%.80s': not supported", headers->content_encoding);
    return false;
  }
  if (headers->content_length > options->body_max_bytes) {
    *ret_refusal = srv_reply_error(MHD_HTTP_CONTENT_TOO_LARGE, kiln_status_code(KILN_ETOOBIG),
                                   "body is %llu bytes, limit %llu",
                                   (unsigned long long)headers->content_length,
                                   (unsigned long long)options->body_max_bytes);
    return false;
  }
  return true;
}

static bool reserve_upload(srv_request *request, uint64_t bytes) {
  srv_server *server = request->server;
  uint64_t limit = server->options->body_max_bytes * UPLOADS_MAX;
  request->reserved += bytes;
  return atomic_fetch_add(&server->upload_bytes, bytes) + bytes <= limit;
}

static bool check_host(const srv_server *server, const char *host, srv_reply *ret_refusal) {
  if (srv_guard_host(server, host)) return true;
  *ret_refusal = srv_reply_error(MHD_HTTP_MISDIRECTED_REQUEST, "ERR_HOST_NOT_ALLOWED",
                                 "host '%.80s': not a name of this service", host);
  return false;
}

/* Host, and the host that a target in absolute form names; of this the path remains. */
static bool check_hosts(srv_request *request, srv_reply *ret_refusal) {
  char authority[SRV_AUTHORITY_SIZE];
  if (!check_host(request->server, request->headers.host, ret_refusal)) return false;
  const char *path = srv_guard_absolute(request->url, authority);
  if (path == NULL) return true;
  request->url = path;
  return check_host(request->server, authority, ret_refusal);
}

/* Everything about a request that can be wrong before its body is here; false: *ret_refusal. */
static bool check_request(srv_request *request, srv_reply *ret_refusal) {
  srv_server *server = request->server;
  const srv_headers *headers = &request->headers;
  kiln_error error = {0};
  if (!check_hosts(request, ret_refusal)) return false;
  request->route = srv_route_find(request->url, request->method, ret_refusal);
  bool asks_ready = request->route != NULL && request->route->handler == srv_handle_ready;
  if (atomic_load(&server->state) != SRV_RUNNING && !asks_ready) {
    srv_reply_release(ret_refusal);
    error.status = KILN_ECLOSING;
    *ret_refusal = srv_reply_kiln_error(&error);
    return false;
  }
  if (request->route == NULL || !srv_auth_check(request, ret_refusal) ||
      !check_body(request, ret_refusal))
    return false;
  if (headers->expect != NULL && strcasecmp(headers->expect, "100-continue") != 0) {
    *ret_refusal = srv_reply_error(MHD_HTTP_EXPECTATION_FAILED, "ERR_EXPECTATION_FAILED",
                                   "expect '%.80s': not supported", headers->expect);
    return false;
  }
  if (request->route->bodies == SRV_NO_BODY) return true;
  error.status = KILN_EBUSY;
  if (reserve_upload(request, headers->content_length)) {
    error.status = KILN_ENOMEM;
    request->body = kiln_bytes_writer_new((size_t)headers->content_length,
                                          (size_t)server->options->body_max_bytes);
  }
  if (request->body == NULL) *ret_refusal = srv_reply_kiln_error(&error);
  return request->body != NULL;
}

static enum MHD_Result begin(srv_conn *conn, struct MHD_Connection *mhd, const char *url,
                             const char *method, const char *version) {
  srv_request *request = &conn->request;
  srv_server *server = request->server;
  srv_reply refusal = {0};
  if (!srv_conn_step(conn, SRV_BUSY, 0)) return MHD_NO;
  conn->fresh = false;
  request->mhd = mhd;
  request->url = url;
  request->method = method;
  request->headers = (srv_headers){0};
  request->principal = NULL;
  request->route = NULL;
  request->status = 0;
  request->received = 0;
  request->sent = 0;
  request->note = (srv_note){0};
  request->started_ms = srv_now_ms();
  request->started_ns = srv_now_ns();
  request->counted = true;
  atomic_fetch_add(&server->in_flight, 1);
  srv_count(&server->requests);
  bool good_head = srv_guard_head(request, version, &refusal);
  srv_request_id_choose(request);
  if (!good_head) {
    atomic_store(&conn->linger, true);
    return srv_send(request, refusal);
  }
  if (!check_request(request, &refusal)) return refuse(request, refusal);
  if (request->body == NULL) return MHD_YES;
  return await_body(request) ? MHD_YES : MHD_NO;
}

/* ---- the body */

static enum MHD_Result take_piece(srv_request *request, const char *data, size_t length) {
  srv_server *server = request->server;
  request->received += length;
  if (atomic_load(&request->conn->phase) == SRV_EXPIRED) return MHD_NO;
  if (request->refusal.response != NULL) return MHD_YES;
  atomic_store(&request->conn->deadline_ms,
               transfer_deadline_ms(server, request->started_ms, request->received));
  if (request->headers.chunked && !reserve_upload(request, length)) {
    count_status(server, MHD_HTTP_SERVICE_UNAVAILABLE);
    request->status = MHD_HTTP_SERVICE_UNAVAILABLE;
    srv_conn_answer_now(request->conn, MHD_HTTP_SERVICE_UNAVAILABLE, "Service Unavailable",
                        kiln_status_code(KILN_EBUSY), "too many bodies are being received");
    return MHD_NO;
  }
  kiln_status status = kiln_bytes_writer_append(request->body, data, length);
  if (status == KILN_OK) return MHD_YES;
  if (status == KILN_ETOOBIG) {
    char message[128];
    snprintf(message, sizeof(message), "body is more than %llu bytes, limit %llu",
             (unsigned long long)server->options->body_max_bytes,
             (unsigned long long)server->options->body_max_bytes);
    count_status(server, MHD_HTTP_CONTENT_TOO_LARGE);
    request->status = MHD_HTTP_CONTENT_TOO_LARGE;
    srv_conn_answer_now(request->conn, MHD_HTTP_CONTENT_TOO_LARGE, "Content Too Large",
                        kiln_status_code(KILN_ETOOBIG), message);
    return MHD_NO;
  }
  kiln_error error = {.status = status};
  request->refusal = srv_reply_kiln_error(&error);
  return request->refusal.response != NULL ? MHD_YES : MHD_NO;
}

/* ---- the end */

static enum MHD_Result finish(srv_request *request) {
  if (!srv_conn_step(request->conn, SRV_BUSY, 0)) return MHD_NO;
  if (request->refusal.response == NULL) return request->route->handler(request);
  srv_reply refusal = request->refusal;
  request->refusal = (srv_reply){0};
  return srv_send(request, refusal);
}

/* The log callback of MHD_OPTION_URI_LOG_CALLBACK: the one place where the target is seen as it was
 * sent. What it returns becomes the handler's context, which must begin as NULL. */
static void *see_target(void *cls, const char *uri, struct MHD_Connection *mhd) {
  const union MHD_ConnectionInfo *info =
      MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
  srv_conn *conn = info->socket_context;
  (void)cls;
  if (conn == NULL) return NULL;
  conn->request.target_begin = uri;
  conn->request.target_end = uri + strlen(uri);
  conn->request.target_fault = srv_guard_target(uri);
  return NULL;
}

/* MHD_AccessHandlerCallback */
static enum MHD_Result handle(void *cls, struct MHD_Connection *mhd, const char *url,
                              const char *method, const char *version, const char *data,
                              size_t *length, void **context) {
  (void)cls;
  if (*context == NULL) {
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    *context = info->socket_context;
    return *context != NULL ? begin(*context, mhd, url, method, version) : MHD_NO;
  }
  srv_conn *conn = *context;
  if (*length == 0) return finish(&conn->request);
  enum MHD_Result result = take_piece(&conn->request, data, *length);
  *length = 0;
  return result;
}

/* MHD_RequestCompletedCallback */
static void complete(void *cls, struct MHD_Connection *mhd, void **context,
                     enum MHD_RequestTerminationCode code) {
  srv_conn *conn = *context;
  (void)cls;
  (void)mhd;
  if (conn == NULL) return;
  srv_request *request = &conn->request;
  srv_server *server = request->server;
  int64_t now_ms = srv_now_ms();
  uint64_t duration_ns = (uint64_t)(srv_now_ns() - request->started_ns);
  /* What lingers was answered past MHD, or with the rest of its input unread. */
  request->aborted = code != MHD_REQUEST_TERMINATED_COMPLETED_OK && !atomic_load(&conn->linger);
  if (request->counted) {
    srv_metrics_count(server->metrics, request, duration_ns);
    if (server->access_log != NULL) srv_access_log_write(server->access_log, request, duration_ns);
  }
  request->id[0] = '\0';
  kiln_bytes_writer_free(request->body);
  request->body = NULL;
  srv_reply_release(&request->refusal);
  srv_job_unref(request->job);
  request->job = NULL;
  if (request->reserved > 0) atomic_fetch_sub(&server->upload_bytes, request->reserved);
  request->reserved = 0;
  atomic_store(&conn->idle_since_ms, now_ms);
  atomic_store(&conn->idle_bytes, -1);
  srv_conn_step(conn, SRV_IDLE, now_ms + (int64_t)server->options->idle_timeout_ms);
  if (request->counted) atomic_fetch_sub(&server->in_flight, 1);
  request->counted = false;
  *context = NULL;
}

/* ---- the daemon */

/* While this server stops nobody should come; who does is closed. But who was accepted the moment
 * before another kilnd took over is served: to the client this is one server. */
static enum MHD_Result admit(void *cls, const struct sockaddr *address, socklen_t length) {
  const srv_server *server = cls;
  (void)address;
  (void)length;
  return atomic_load(&server->state) == SRV_RUNNING ? MHD_YES : MHD_NO;
}

/* MHD calls this where its own state is broken; it must not return. */
static void panic(void *cls, const char *file, unsigned line, const char *reason) {
  (void)cls;
  (void)file;
  srv_log("error", "http-panic", "line=%u reason=\"%s\"", line, reason != NULL ? reason : "");
  abort();
}

static bool start_daemon(srv_server *server, int listen_fd, char *message, size_t message_size) {
  const srv_options *options = server->options;
  unsigned threads = (unsigned)options->threads;
  MHD_set_panic_func(panic, NULL);
  struct MHD_OptionItem tls[SRV_TLS_ITEMS] = {{MHD_OPTION_END, 0, NULL}};
  unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME;
  if (server->tls != NULL) {
    flags |= MHD_USE_TLS;
    srv_tls_fill_options(server->tls, tls);
  }
  const struct MHD_OptionItem items[] = {
      {MHD_OPTION_LISTEN_SOCKET, listen_fd, NULL},
      {MHD_OPTION_CONNECTION_LIMIT, (intptr_t)options->connections, NULL},
      {MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_MEMORY, NULL},
      {MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, NULL},
      /* A pool of one is not a pool to MHD. The first END is the end, so it cannot stand here. */
      {threads > 1 ? MHD_OPTION_THREAD_POOL_SIZE : MHD_OPTION_SIGPIPE_HANDLED_BY_APP,
       threads > 1 ? (intptr_t)threads : 1, NULL},
      tls[0],
      tls[1],
      {MHD_OPTION_END, 0, NULL},
  };
  server->listen_fd = listen_fd;
  server->daemon = MHD_start_daemon(
      flags, 0, admit, server, handle, server, MHD_OPTION_NOTIFY_COMPLETED, complete, server,
      MHD_OPTION_NOTIFY_CONNECTION, srv_conn_notify, server, MHD_OPTION_URI_LOG_CALLBACK,
      see_target, server, MHD_OPTION_ARRAY, items, MHD_OPTION_END);
  if (server->daemon != NULL) return true;
  snprintf(message, message_size, "HTTP threads: could not be started");
  return false;
}

typedef struct starting {
  srv_server *server;
  int listen_fd;
  char *message;
  size_t message_size;
  bool good;
} starting;

static void start(void *cls, bool filtered) {
  starting *one = cls;
  if (!filtered) srv_log("warn", "no-filter", "text=\"system calls are not filtered\"");
  one->server->filtered = filtered;
  one->good = start_daemon(one->server, one->listen_fd, one->message, one->message_size);
}

/* The daemon's threads are born under the filter of the thread that starts them. */
bool srv_http_start(srv_server *server, int listen_fd, char *message, size_t message_size) {
  starting one = {server, listen_fd, message, message_size, false};
  snprintf(message, message_size, "HTTP threads: could not be started");
  return srv_filter_run(start, &one) && one.good;
}

/* The listening socket may be somebody else's as well: systemd's, or that of the kilnd that takes
 * over. MHD would shut it down for all, and MHD_quiesce_daemon() of 0.9.75 takes it off its
 * threads' epoll sets without a lock and ends the process if a thread that has just woken was
 * quicker. So under its number another socket is put, which nobody knows: there is nothing to
 * accept, and whoever waits in the real one's queue is its other owner's, or is refused by the
 * kernel. */
void srv_http_quiesce(srv_server *server) {
  struct sockaddr_in nowhere = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return;
  if (bind(fd, (struct sockaddr *)&nowhere, sizeof(nowhere)) == 0 && listen(fd, 1) == 0)
    dup3(fd, server->listen_fd, O_CLOEXEC);
  close(fd);
}

void srv_http_stop(srv_server *server) {
  if (server->daemon == NULL) return;
  MHD_stop_daemon(server->daemon);
  server->daemon = NULL;
}
