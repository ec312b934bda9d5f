/* SPDX-License-Identifier: MIT
 *
 * access_log.c: see access_log.h.
 */
#include "server/access_log.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server/route.h"

#define LINE_MAX_BYTES 1024

struct srv_access_log {
  char *file; /* NULL: stderr */
  int fd;     /* keeps its number when the file is opened again: others may be writing */
  bool json;
  atomic_bool failing; /* the last write failed, which was told */
};

static int open_file(const char *path) {
  return open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0640);
}

srv_access_log *srv_access_log_open(const srv_options *options, char *message,
                                    size_t message_size) {
  srv_access_log *log = calloc(1, sizeof(*log));
  if (log == NULL) {
    snprintf(message, message_size, "access log: out of memory");
    return NULL;
  }
  log->fd = STDERR_FILENO;
  log->json = options->access_log_json;
  if (options->access_log_file == NULL) return log;
  log->file = strdup(options->access_log_file);
  log->fd = log->file != NULL ? open_file(log->file) : -1;
  if (log->fd >= 0) return log;
  snprintf(message, message_size, "--access-log-file '%.160s': %s", options->access_log_file,
           strerror(errno));
  free(log->file);
  free(log);
  return NULL;
}

void srv_access_log_close(srv_access_log *log) {
  if (log == NULL) return;
  if (log->file != NULL) close(log->fd);
  free(log->file);
  free(log);
}

void srv_access_log_reopen(srv_access_log *log) {
  if (log->file == NULL) return;
  int fd = open_file(log->file);
  if (fd < 0 || dup3(fd, log->fd, O_CLOEXEC) < 0)
    srv_log("error", "access-log", "file=%.160s reason=\"%s\"", log->file, strerror(errno));
  if (fd >= 0) close(fd);
}

void srv_note_response(srv_note *note, const kiln_response *response) {
  if (response->status != KILN_OK) return;
  note->outcome = kiln_outcome_word(response->outcome);
  if (response->cache != KILN_CACHE_NONE) note->cache = kiln_cache_word(response->cache);
  snprintf(note->key, sizeof(note->key), "%.*s", (int)sizeof(note->key) - 1, response->key);
  snprintf(note->engine, sizeof(note->engine), "%s",
           response->engine != NULL ? response->engine : "");
}

/* ---- a line */

typedef struct line {
  char text[LINE_MAX_BYTES];
  size_t used;
  bool json;
  bool first;
} line;

static void put(line *to, const char *text, size_t length) {
  /* Room for the end is kept; all fields together are shorter than a line. */
  if (to->used + length + 4 > sizeof(to->text)) return;
  memcpy(to->text + to->used, text, length);
  to->used += length;
}

static void put_name(line *to, const char *text_name, const char *json_name) {
  if (!to->first) put(to, to->json ? "," : " ", 1);
  to->first = false;
  if (to->json) put(to, "\"", 1);
  const char *name = to->json ? json_name : text_name;
  put(to, name, strlen(name));
  put(to, to->json ? "\":" : "=", to->json ? 2 : 1);
}

/* Whatever is not plain is a '?': no field here needs more, and a line is one line in any tool. */
static void put_text(line *to, const char *text_name, const char *json_name, const char *value) {
  static const char good[] =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/{}:+@*!~%";
  if (value == NULL || value[0] == '\0') return;
  put_name(to, text_name, json_name);
  if (to->json) put(to, "\"", 1);
  for (size_t i = 0; value[i] != '\0' && i < 100; i++)
    put(to, strchr(good, value[i]) != NULL ? &value[i] : "?", 1);
  if (to->json) put(to, "\"", 1);
}

static void put_number(line *to, const char *text_name, const char *json_name, uint64_t value) {
  char digits[24];
  int length = snprintf(digits, sizeof(digits), "%llu", (unsigned long long)value);
  put_name(to, text_name, json_name);
  put(to, digits, (size_t)length);
}

static const char *client_of(const srv_request *request, char text[INET6_ADDRSTRLEN]) {
  const union MHD_ConnectionInfo *info =
      MHD_get_connection_info(request->mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
  const struct sockaddr *address = info != NULL ? info->client_addr : NULL;
  if (address == NULL) return NULL;
  if (address->sa_family == AF_INET) {
    struct sockaddr_in in;
    memcpy(&in, address, sizeof(in));
    return inet_ntop(AF_INET, &in.sin_addr, text, INET6_ADDRSTRLEN);
  }
  if (address->sa_family != AF_INET6) return NULL;
  struct sockaddr_in6 in6;
  memcpy(&in6, address, sizeof(in6));
  return inet_ntop(AF_INET6, &in6.sin6_addr, text, INET6_ADDRSTRLEN);
}

static void put_request(line *to, const srv_request *request, uint64_t duration_ns) {
  char client[INET6_ADDRSTRLEN];
  char path[SRV_TEMPLATE_SIZE] = "none";
  char method[17];
  if (request->route != NULL) srv_route_template(request->route, path);
  snprintf(method, sizeof(method), "%s", request->method);
  put_text(to, "id", "id", request->id);
  put_text(to, "client", "client", client_of(request, client));
  put_text(to, "method", "method", method);
  put_text(to, "route", "route", path);
  put_number(to, "status", "status", request->status);
  put_text(to, "outcome", "outcome", request->note.outcome);
  put_number(to, "in", "bytesIn", request->received);
  put_number(to, "out", "bytesOut", request->sent);
  put_number(to, "us", "durationUs", duration_ns / 1000);
  put_text(to, "cache", "cache", request->note.cache);
  put_text(to, "key", "key", request->note.key);
  put_text(to, "engine", "engine", request->note.engine);
  if (request->aborted) put_text(to, "end", "end", "aborted");
}

void srv_access_log_write(srv_access_log *log, const srv_request *request, uint64_t duration_ns) {
  line one = {.json = log->json, .first = true};
  char time[SRV_TIME_SIZE];
  srv_time_text(time);
  if (log->json) {
    put(&one, "{", 1);
    put_text(&one, "time", "time", time);
  } else {
    int length = snprintf(one.text, sizeof(one.text), "info %s request ", time);
    one.used = (size_t)length;
  }
  put_request(&one, request, duration_ns);
  if (log->json) one.text[one.used++] = '}';
  one.text[one.used++] = '\n';
  bool good = write(log->fd, one.text, one.used) == (ssize_t)one.used;
  if (good == !atomic_load(&log->failing)) return;
  /* Told once, when it begins: a full disk must not fill another one. */
  if (!atomic_exchange(&log->failing, !good) && !good)
    srv_log("error", "access-log", "reason=\"%s\"", strerror(errno));
}
