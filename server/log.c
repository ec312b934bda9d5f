/* SPDX-License-Identifier: MIT
 *
 * log.c: one line on stderr, written at once, so that lines of several threads do not mix.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "server/server.h"

void srv_time_text(char ret_text[SRV_TIME_SIZE]) {
  struct timespec now;
  struct tm date;
  clock_gettime(CLOCK_REALTIME, &now);
  gmtime_r(&now.tv_sec, &date);
  snprintf(ret_text, SRV_TIME_SIZE, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ",
           (date.tm_year + 1900) % 10000, date.tm_mon + 1, date.tm_mday, date.tm_hour, date.tm_min,
           date.tm_sec, (int)(now.tv_nsec / 1000000));
}

void srv_log(const char *level, const char *event, const char *format, ...) {
  char line[1024];
  char time[SRV_TIME_SIZE];
  srv_time_text(time);
  int used = snprintf(line, sizeof(line), "%s %s %s ", level, time, event);
  if (used < 0 || (size_t)used >= sizeof(line)) return;
  va_list args;
  va_start(args, format);
  int more = vsnprintf(line + used, sizeof(line) - (size_t)used - 1, format, args);
  va_end(args);
  if (more < 0) return;
  size_t length = strlen(line);
  /* What a client sent (a path) must not look like another line, nor move a terminal's cursor. */
  for (size_t i = 0; i < length; i++)
    if ((unsigned char)line[i] < 0x20 || line[i] == 0x7F) line[i] = '?';
  line[length++] = '\n';
  (void)!write(STDERR_FILENO, line, length);
}
