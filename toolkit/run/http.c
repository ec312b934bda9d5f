/* SPDX-License-Identifier: MIT
 *
 * http.c: servers, their place in the event loop, and who is told what; see http.h.
 *
 * A turn of a server is MHD_run(), then the events that it left behind, then again, since what
 * JavaScript answered is sent by the next MHD_run(). MHD never calls JavaScript.
 */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "toolkit/run/http_private.h"

/* What a connection has for its head and MHD's buffers: the bound of a request's head. */
#define CONNECTION_MEMORY 32768
#define CONNECTIONS_MAX 8192
/* A connection on which nothing moves so long is closed, unless JavaScript is to answer. */
#define IDLE_S 65
/* Others are to have their turn, too. */
#define ROUNDS_MAX 16

static http_server *find_server(kiln__http *http, uint64_t number) {
  http_server *server = http->servers;
  while (server != NULL && server->number != number) server = server->next;
  return server;
}

static http_request *find_request(kiln__http *http, uint64_t number) {
  http_request *request = http->buckets[number % HTTP_BUCKETS];
  while (request != NULL && request->number != number) request = request->next_of_bucket;
  return request;
}

/* ---- events */

void http_tell(http_request *request, unsigned event) {
  http_server *server = request->server;
  request->events |= event;
  if (request->queued) return;
  request->queued = true;
  request->next_of_queue = NULL;
  if (server->last == NULL) {
    server->first = request;
  } else {
    server->last->next_of_queue = request;
  }
  server->last = request;
}

static void number_request(http_request *request) {
  kiln__http *http = request->server->http;
  request->number = ++http->last_number;
  http_request **bucket = &http->buckets[request->number % HTTP_BUCKETS];
  request->next_of_bucket = *bucket;
  *bucket = request;
}

static void forget_request(http_request *request) {
  http_request **at = &request->server->http->buckets[request->number % HTTP_BUCKETS];
  while (*at != NULL && *at != request) at = &(*at)->next_of_bucket;
  if (*at != NULL) *at = request->next_of_bucket;
  http_request_free(request);
}

static void tell(http_request *request) {
  http_server *server = request->server;
  kiln__http *http = server->http;
  unsigned events = request->events;
  request->events = 0;
  if ((events & HTTP_EVENT_ASKED) != 0) {
    number_request(request);
    http_tell_asked(request);
    if (request->suspended && request->connection->gone) http_destroy(request);
  }
  if ((events & HTTP_EVENT_DRAINED) != 0) {
    http->events->drained(http->user, server->number, request->number);
  }
  if ((events & HTTP_EVENT_ENDED) != 0) {
    http->events->ended(http->user, server->number, request->number, request->sent);
    forget_request(request);
  }
}

/* False: there was nothing to tell. */
static bool tell_all(http_server *server) {
  bool told = false;
  while (server->first != NULL) {
    http_request *request = server->first;
    server->first = request->next_of_queue;
    if (server->first == NULL) server->last = NULL;
    request->queued = false;
    tell(request);
    told = true;
  }
  return told;
}

static void on_timer(uv_timer_t *timer);

/* A turn, soon: MHD's epoll descriptor does not tell of what has changed on our side. */
static void wake(http_server *server) {
  server->woken = true;
  if (!server->turning && !server->stopped) {
    (void)uv_timer_start(&server->timer, on_timer, 0, /* repeat= */ 0);
  }
}

/* ---- suspended connections */

void http_suspend(http_request *request) {
  request->suspended = true;
  MHD_suspend_connection(request->mhd);
}

void http_resume(http_request *request) {
  if (!request->suspended) return;
  request->suspended = false;
  MHD_resume_connection(request->mhd);
  wake(request->server);
}

/* ---- a server's turn */

static void end_closed(http_server *server) {
  kiln__http *http = server->http;
  http_server **at = &http->servers;
  while (*at != NULL && *at != server) at = &(*at)->next;
  if (*at != NULL) *at = server->next;
  http->events->closed(http->user, server->number);
  free(server);
  if (http->stopping && http->servers == NULL) free(http);
}

static void on_handle_closed(uv_handle_t *handle) {
  http_server *server = handle->data;
  if (--server->open_handles == 0) end_closed(server);
}

static void stop_daemon(http_server *server) {
  server->stopped = true;
  if (server->daemon != NULL) MHD_stop_daemon(server->daemon);
  server->daemon = NULL;
  uv_close((uv_handle_t *)&server->poll, on_handle_closed);
  uv_close((uv_handle_t *)&server->timer, on_handle_closed);
}

static void take_turn(http_server *server);

static void on_poll(uv_poll_t *poll, int status, int events) {
  (void)status;
  (void)events;
  take_turn(poll->data);
}

static void on_timer(uv_timer_t *timer) {
  take_turn(timer->data);
}

static void take_turn(http_server *server) {
  if (server->turning || server->stopped) return;
  server->turning = true;
  for (int i = 0; i < ROUNDS_MAX; i++) {
    server->woken = false;
    (void)MHD_run(server->daemon);
    if (!tell_all(server) && !server->woken) break;
  }
  server->turning = false;
  if (server->closing && server->connections == NULL && server->first == NULL) {
    stop_daemon(server);
    return;
  }
  MHD_UNSIGNED_LONG_LONG ms = 0;
  bool again = server->woken || server->first != NULL;
  if (!again && MHD_get_timeout(server->daemon, &ms) != MHD_YES) {
    (void)uv_timer_stop(&server->timer);
  } else {
    (void)uv_timer_start(&server->timer, on_timer, ms, /* repeat= */ 0);
  }
}

/* ---- listening */

static int open_socket(const struct addrinfo *address, int backlog) {
  int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  int yes = 1, no = 0;
  if (fd < 0) return -errno;
  bool good = setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) == 0;
  if (good && address->ai_family == AF_INET6) {
    good = setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof(no)) == 0;
  }
  good = good && bind(fd, address->ai_addr, address->ai_addrlen) == 0 && listen(fd, backlog) == 0;
  if (good) return fd;
  int error = errno;
  close(fd);
  return -error;
}

static int open_any(unsigned port, int backlog) {
  struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
  struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  struct addrinfo address = {.ai_family = AF_INET6};
  address.ai_addr = (struct sockaddr *)&in6;
  address.ai_addrlen = sizeof(in6);
  int fd = open_socket(&address, backlog);
  if (fd != -EAFNOSUPPORT && fd != -EADDRNOTAVAIL && fd != -EINVAL) return fd;
  address.ai_family = AF_INET;
  address.ai_addr = (struct sockaddr *)&in;
  address.ai_addrlen = sizeof(in);
  return open_socket(&address, backlog);
}

static int open_host(const char *host, unsigned port, int backlog) {
  const struct addrinfo hints = {.ai_flags = AI_NUMERICSERV | AI_PASSIVE,
                                 .ai_socktype = SOCK_STREAM};
  struct addrinfo *found = NULL;
  char service[8];
  (void)snprintf(service, sizeof(service), "%u", port);
  int status = getaddrinfo(host, service, &hints, &found);
  if (status == EAI_AGAIN) return UV_EAI_AGAIN;
  if (status == EAI_MEMORY) return UV_ENOMEM;
  if (status != 0) return UV_EAI_NONAME;
  int fd = open_socket(found, backlog);
  freeaddrinfo(found);
  return fd;
}

static void free_connection(uv_handle_t *handle) {
  free(handle->data);
}

/* The client has closed its side, or the connection is broken. As in Node, a request that waits
 * for its answer ends. MHD overlooks the end of the input if it comes in with other bytes: it is
 * told again. */
static void on_gone(uv_poll_t *poll, int status, int events) {
  http_connection *connection = poll->data;
  (void)status;
  (void)events;
  connection->gone = true;
  (void)uv_poll_stop(poll);
  if (connection->request != NULL && connection->request->suspended) {
    http_destroy(connection->request);
  } else {
    (void)shutdown(connection->fd, SHUT_RD);
  }
}

static http_connection *add_connection(http_server *server, int fd) {
  http_connection *connection = calloc(1, sizeof(*connection));
  if (connection == NULL) return NULL;
  if (uv_poll_init(server->http->loop, &connection->poll, fd) != 0) {
    free(connection);
    return NULL;
  }
  connection->poll.data = connection;
  uv_unref((uv_handle_t *)&connection->poll); /* the server keeps the loop alive */
  (void)uv_poll_start(&connection->poll, UV_DISCONNECT, on_gone);
  connection->fd = fd;
  connection->next = server->connections;
  if (server->connections != NULL) server->connections->previous = connection;
  server->connections = connection;
  server->connections_count++;
  return connection;
}

static void remove_connection(http_server *server, http_connection *connection) {
  if (connection->previous != NULL) {
    connection->previous->next = connection->next;
  } else {
    server->connections = connection->next;
  }
  if (connection->next != NULL) connection->next->previous = connection->previous;
  server->connections_count--;
  uv_close((uv_handle_t *)&connection->poll, free_connection);
}

static void on_connection(void *cls, struct MHD_Connection *mhd, void **socket_context,
                          enum MHD_ConnectionNotificationCode code) {
  if (code == MHD_CONNECTION_NOTIFY_STARTED) {
    int fd = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
    *socket_context = add_connection(cls, fd); /* NULL: its first request is given up */
  } else if (*socket_context != NULL) {
    remove_connection(cls, *socket_context);
  }
}

static int start_daemon(http_server *server) {
  server->daemon = MHD_start_daemon(
      MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_SUPPRESS_DATE_NO_CLOCK, 0, NULL, NULL,
      http_handle, server, MHD_OPTION_LISTEN_SOCKET, server->listen_fd,
      MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY, MHD_OPTION_CONNECTION_LIMIT,
      (unsigned)CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_S,
      MHD_OPTION_NOTIFY_COMPLETED, http_complete, server, MHD_OPTION_NOTIFY_CONNECTION,
      on_connection, server, MHD_OPTION_URI_LOG_CALLBACK, http_see_target, server, MHD_OPTION_END);
  if (server->daemon == NULL) return UV_ENOMEM;
  int epoll_fd = MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
  int status = uv_poll_init(server->http->loop, &server->poll, epoll_fd);
  if (status != 0) return status;
  (void)uv_timer_init(server->http->loop, &server->timer);
  server->poll.data = server;
  server->timer.data = server;
  server->open_handles = 2;
  status = uv_poll_start(&server->poll, UV_READABLE, on_poll);
  if (status == 0) wake(server); /* MHD puts the socket into its set when it is run */
  return status;
}

static int64_t do_listen(kiln__http *http, const char *host, unsigned port, int backlog) {
  int fd = host[0] == '\0' ? open_any(port, backlog) : open_host(host, port, backlog);
  if (fd < 0) return fd;
  http_server *server = calloc(1, sizeof(*server));
  if (server == NULL) {
    close(fd);
    return UV_ENOMEM;
  }
  server->http = http;
  server->listen_fd = fd;
  int status = start_daemon(server);
  if (status == 0) {
    server->number = ++http->last_number;
    server->next = http->servers;
    http->servers = server;
    return (int64_t)server->number;
  }
  /* Without a start there was no connection, and the handles have done nothing. */
  if (server->daemon == NULL) close(fd); /* else it does */
  if (server->open_handles > 0) {
    stop_daemon(server);
  } else {
    if (server->daemon != NULL) MHD_stop_daemon(server->daemon);
    free(server);
  }
  return status;
}

static bool do_name(kiln__http *http, uint64_t number, char *ret_text, size_t size) {
  http_server *server = find_server(http, number);
  struct sockaddr_storage address;
  socklen_t length = sizeof(address);
  char host[NI_MAXHOST], service[NI_MAXSERV];
  if (server == NULL || server->listen_fd < 0 ||
      getsockname(server->listen_fd, (struct sockaddr *)&address, &length) != 0 ||
      getnameinfo((struct sockaddr *)&address, length, host, sizeof(host), service, sizeof(service),
                  NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
    return false;
  }
  int written = snprintf(ret_text, size, "%s %s %s", host, service,
                         address.ss_family == AF_INET6 ? "IPv6" : "IPv4");
  return written > 0 && (size_t)written < size;
}

/* ---- closing */

static void close_connections(http_server *server, bool idle_only) {
  for (http_connection *it = server->connections; it != NULL; it = it->next) {
    if (it->request == NULL) {
      (void)shutdown(it->fd, SHUT_RDWR); /* MHD finds the end of its input */
    } else if (!idle_only) {
      http_destroy(it->request);
    }
  }
  wake(server);
}

static void stop_listening(http_server *server) {
  server->closing = true;
  if (server->listen_fd < 0) return;
  (void)MHD_quiesce_daemon(server->daemon);
  close(server->listen_fd);
  server->listen_fd = -1;
}

static void do_close(kiln__http *http, uint64_t number) {
  http_server *server = find_server(http, number);
  if (server == NULL || server->closing) return;
  stop_listening(server);
  close_connections(server, /* idle_only= */ true);
}

static void do_close_connections(kiln__http *http, uint64_t number, bool idle_only) {
  http_server *server = find_server(http, number);
  if (server != NULL && !server->stopped) close_connections(server, idle_only);
}

static unsigned do_count_connections(kiln__http *http, uint64_t number) {
  http_server *server = find_server(http, number);
  return server == NULL ? 0 : server->connections_count;
}

static void do_keep_alive(kiln__http *http, uint64_t number, bool on) {
  http_server *server = find_server(http, number);
  if (server == NULL || server->stopped) return;
  if (on) {
    uv_ref((uv_handle_t *)&server->poll);
    uv_ref((uv_handle_t *)&server->timer);
  } else {
    uv_unref((uv_handle_t *)&server->poll);
    uv_unref((uv_handle_t *)&server->timer);
  }
}

/* ---- requests */

static bool do_answer(kiln__http *http, uint64_t number, const kiln__http_answer *answer) {
  http_request *request = find_request(http, number);
  return request != NULL && http_answer(request, answer);
}

static int64_t do_write(kiln__http *http, uint64_t number, kv8_span bytes) {
  http_request *request = find_request(http, number);
  return request == NULL ? -1 : http_write(request, bytes);
}

static void do_end(kiln__http *http, uint64_t number) {
  http_request *request = find_request(http, number);
  if (request != NULL) http_end(request);
}

static void do_destroy(kiln__http *http, uint64_t number) {
  http_request *request = find_request(http, number);
  if (request != NULL) http_destroy(request);
}

/* ---- start and stop */

static kiln__http *do_start(uv_loop_t *loop, const kiln__http_events *events, void *user) {
  kiln__http *http = calloc(1, sizeof(*http));
  if (http == NULL) return NULL;
  http->loop = loop;
  http->events = events;
  http->user = user;
  return http;
}

static void nobody_asked(void *user, uint64_t server, uint64_t request, kv8_span head,
                         kv8_span body) {
  (void)user, (void)server, (void)request, (void)head, (void)body;
}

static void nobody_drained(void *user, uint64_t server, uint64_t request) {
  (void)user, (void)server, (void)request;
}

static void nobody_ended(void *user, uint64_t server, uint64_t request, bool sent) {
  (void)user, (void)server, (void)request, (void)sent;
}

static void nobody_closed(void *user, uint64_t server) {
  (void)user, (void)server;
}

static const kiln__http_events nobody = {nobody_asked, nobody_drained, nobody_ended, nobody_closed};

/* MHD must not be stopped while connections are suspended. */
static void stop_server(http_server *server) {
  if (server->stopped) return;
  stop_listening(server);
  server->ending = true;
  for (http_connection *it = server->connections; it != NULL; it = it->next) {
    if (it->request != NULL) http_destroy(it->request);
  }
  (void)MHD_run(server->daemon);
  stop_daemon(server);
  (void)tell_all(server);
}

static void do_stop(kiln__http *http) {
  if (http == NULL) return;
  http->events = &nobody;
  http->stopping = true;
  for (http_server *it = http->servers; it != NULL; it = it->next) stop_server(it);
  if (http->servers == NULL) free(http);
}

const kiln__http_api *kiln__http_api_get(void) {
  static const kiln__http_api api = {
      .start = do_start,
      .stop = do_stop,
      .listen = do_listen,
      .name = do_name,
      .close = do_close,
      .close_connections = do_close_connections,
      .count_connections = do_count_connections,
      .keep_alive = do_keep_alive,
      .answer = do_answer,
      .write = do_write,
      .end = do_end,
      .destroy = do_destroy,
  };
  return &api;
}
