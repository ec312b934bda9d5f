/* SPDX-License-Identifier: MIT
 *
 * listen.c: HOST:PORT to a listening socket. Numbers and "localhost" only: a service that is to
 * listen somewhere should not ask a name server where that is.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/http.h"

#define BACKLOG 1024

typedef struct address {
  char host[128];
  char port[8];
} address;

static bool split(const char *text, address *ret_address) {
  const char *colon = strrchr(text, ':');
  if (colon == NULL) return false;
  const char *host = text;
  size_t length = (size_t)(colon - text);
  if (length >= 2 && text[0] == '[' && text[length - 1] == ']') {
    host++;
    length -= 2;
  } else if (memchr(text, ':', length) != NULL) {
    return false; /* an IPv6 address without its brackets */
  }
  size_t digits = strlen(colon + 1);
  if (length == 0 || length >= sizeof(ret_address->host)) return false;
  if (digits == 0 || digits > 5 || strspn(colon + 1, "0123456789") != digits) return false;
  if (strtoul(colon + 1, NULL, 10) > UINT16_MAX) return false; /* getaddrinfo() would wrap it */
  memcpy(ret_address->host, host, length);
  ret_address->host[length] = '\0';
  memcpy(ret_address->port, colon + 1, digits + 1);
  if (strcasecmp(ret_address->host, "localhost") == 0)
    memcpy(ret_address->host, "127.0.0.1", sizeof("127.0.0.1"));
  return true;
}

static bool is_loopback(const struct sockaddr *name) {
  if (name->sa_family == AF_INET) {
    struct sockaddr_in in;
    memcpy(&in, name, sizeof(in));
    return ntohl(in.sin_addr.s_addr) >> 24 == 127;
  }
  struct sockaddr_in6 in6;
  memcpy(&in6, name, sizeof(in6));
  return IN6_IS_ADDR_LOOPBACK(&in6.sin6_addr);
}

/* Whether strangers could come without a token; then there is a message. */
static bool is_open(const srv_options *options, bool loopback, char *message, size_t message_size) {
  if (loopback || options->tokens != NULL || options->allow_anonymous) return false;
  snprintf(message, message_size,
           "--listen '%.80s': is no loopback address, and whoever reaches it may run code: name "
           "--tokens FILE, or say --allow-anonymous",
           options->listen);
  return true;
}

static bool describe(int fd, srv_listening *ret_listening) {
  struct sockaddr_storage name = {0};
  struct sockaddr_in in;
  struct sockaddr_in6 in6;
  socklen_t size = sizeof(name);
  char text[INET6_ADDRSTRLEN] = "";
  srv_listening found = {.fd = fd};
  if (getsockname(fd, (struct sockaddr *)&name, &size) != 0) return false;
  if (name.ss_family == AF_INET) {
    memcpy(&in, &name, sizeof(in));
    inet_ntop(AF_INET, &in.sin_addr, text, sizeof(text));
    snprintf(found.host, sizeof(found.host), "%s", text);
    found.port = ntohs(in.sin_port);
  } else if (name.ss_family == AF_INET6) {
    memcpy(&in6, &name, sizeof(in6));
    inet_ntop(AF_INET6, &in6.sin6_addr, text, sizeof(text));
    snprintf(found.host, sizeof(found.host), "[%s]", text);
    found.port = ntohs(in6.sin6_port);
  } else {
    errno = EAFNOSUPPORT;
    return false;
  }
  found.loopback = is_loopback((struct sockaddr *)&name);
  *ret_listening = found;
  return true;
}

static srv_listen_result adopt(const srv_options *options, int fd, srv_listening *ret_listening,
                               char *message, size_t message_size) {
  int listens = 0;
  int flags = fcntl(fd, F_GETFL);
  socklen_t size = sizeof(listens);
  if (flags < 0 || getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) != 0 || !listens) {
    snprintf(message, message_size, "the inherited descriptor %d: is no listening socket", fd);
    return SRV_LISTEN_FAILED;
  }
  if (!describe(fd, ret_listening) || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0 ||
      fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) {
    snprintf(message, message_size, "the inherited socket: %s", strerror(errno));
    return SRV_LISTEN_FAILED;
  }
  return is_open(options, ret_listening->loopback, message, message_size) ? SRV_LISTEN_OPEN
                                                                          : SRV_LISTENING;
}

static bool bind_to(int fd, const struct addrinfo *to) {
  int yes = 1;
  return fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) == 0 &&
         (to->ai_family != AF_INET6 ||
          setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &yes, sizeof(yes)) == 0) &&
         bind(fd, to->ai_addr, to->ai_addrlen) == 0;
}

/* NULL: the option is no address; there is a message. */
static struct addrinfo *resolve(const srv_options *options, char *message, size_t message_size) {
  address parts;
  struct addrinfo *found = NULL;
  const struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
                                 .ai_socktype = SOCK_STREAM};
  if (split(options->listen, &parts) && getaddrinfo(parts.host, parts.port, &hints, &found) == 0)
    return found;
  snprintf(message, message_size,
           "--listen '%.80s': must be HOST:PORT, HOST an IP address or localhost", options->listen);
  return NULL;
}

bool srv_listen_check(const srv_options *options, char *message, size_t message_size) {
  struct addrinfo *found = resolve(options, message, message_size);
  if (found == NULL) return false;
  bool open = is_open(options, is_loopback(found->ai_addr), message, message_size);
  freeaddrinfo(found);
  return !open;
}

srv_listen_result srv_listen(const srv_options *options, int inherited,
                             srv_listening *ret_listening, char *message, size_t message_size) {
  if (inherited >= 0) return adopt(options, inherited, ret_listening, message, message_size);
  struct addrinfo *found = resolve(options, message, message_size);
  if (found == NULL) return SRV_LISTEN_FAILED;
  srv_listen_result result = SRV_LISTEN_FAILED;
  int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (is_open(options, is_loopback(found->ai_addr), message, message_size))
    result = SRV_LISTEN_OPEN;
  else if (bind_to(fd, found) && describe(fd, ret_listening) && listen(fd, BACKLOG) == 0)
    result = SRV_LISTENING;
  else
    snprintf(message, message_size, "--listen '%.80s': %s", options->listen, strerror(errno));
  if (result != SRV_LISTENING && fd >= 0) close(fd);
  freeaddrinfo(found);
  return result;
}
