/* SPDX-License-Identifier: MIT
 *
 * notify.c: see notify.h.
 */
#include "server/notify.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static char place[sizeof(((struct sockaddr_un *)0)->sun_path)];

void srv_notify_init(void) {
  const char *path = getenv("NOTIFY_SOCKET");
  bool usable = path != NULL && (path[0] == '/' || path[0] == '@') && strlen(path) < sizeof(place);
  if (usable) snprintf(place, sizeof(place), "%s", path);
  unsetenv("NOTIFY_SOCKET");
}

const char *srv_notify_socket(void) {
  return place[0] != '\0' ? place : NULL;
}

void srv_notify(const char *format, ...) {
  char text[256];
  struct sockaddr_un to = {.sun_family = AF_UNIX};
  if (place[0] == '\0') return;
  va_list args;
  va_start(args, format);
  int length = vsnprintf(text, sizeof(text), format, args);
  va_end(args);
  if (length <= 0 || (size_t)length >= sizeof(text)) return;
  size_t size = strlen(place);
  memcpy(to.sun_path, place, size);
  if (place[0] == '@') to.sun_path[0] = '\0'; /* the abstract namespace */
  int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return;
  (void)!sendto(fd, text, (size_t)length, MSG_NOSIGNAL | MSG_DONTWAIT, (struct sockaddr *)&to,
                (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size));
  close(fd);
}
