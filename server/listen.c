/* SPDX-License-Identifier: MIT
 *
 * listen.c: HOST:PORT to a listening socket. Numbers and "localhost" only: a service that is to
 * listen somewhere should not ask a name server where that is.
 */
#include <arpa/inet.h>
#include <errno.h>
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

static unsigned bound_port(int fd) {
  struct sockaddr_storage name;
  socklen_t size = sizeof(name);
  if (getsockname(fd, (struct sockaddr *)&name, &size) != 0) return 0;
  in_port_t port = 0;
  if (name.ss_family == AF_INET)
    memcpy(&port, (char *)&name + offsetof(struct sockaddr_in, sin_port), sizeof(port));
  else
    memcpy(&port, (char *)&name + offsetof(struct sockaddr_in6, sin6_port), sizeof(port));
  return ntohs(port);
}

int srv_listen(const char *listen_text, bool *ret_loopback, unsigned *ret_port, char *message,
               size_t message_size) {
  address parts;
  struct addrinfo *found = NULL;
  const struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
                                 .ai_socktype = SOCK_STREAM};
  if (!split(listen_text, &parts) || getaddrinfo(parts.host, parts.port, &hints, &found) != 0) {
    snprintf(message, message_size,
             "--listen '%.80s': must be HOST:PORT, HOST an IP address or localhost", listen_text);
    return -1;
  }
  int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  int yes = 1;
  bool good = fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) == 0;
  if (good && found->ai_family == AF_INET6)
    good = setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &yes, sizeof(yes)) == 0;
  good = good && bind(fd, found->ai_addr, found->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0;
  if (good) {
    *ret_loopback = is_loopback(found->ai_addr);
    *ret_port = bound_port(fd);
  } else {
    snprintf(message, message_size, "--listen '%.80s': %s", listen_text, strerror(errno));
    if (fd >= 0) close(fd);
    fd = -1;
  }
  freeaddrinfo(found);
  return fd;
}
