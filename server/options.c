/* SPDX-License-Identifier: MIT
 *
 * options.c: see options.h. One table is the parser, the limits and the help text.
 */
#include "server/options.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

typedef enum option_kind { FLAG, TEXT, LIST, NUMBER, SIZE } option_kind;

#define KIB 1024ull
#define MIB (1024ull * KIB)
#define GIB (1024ull * MIB)

static const struct option_row {
  const char *name;
  const char *argument;
  option_kind kind;
  size_t offset;
  uint64_t preset;
  uint64_t min;
  uint64_t max;
  const char *help;
} rows[] = {
    {"listen", "HOST:PORT", TEXT, offsetof(srv_options, listen), 0, 0, 0,
     "where to listen (127.0.0.1:8888); port 0 takes a free one"},
    {"port-file", "FILE", TEXT, offsetof(srv_options, port_file), 0, 0, 0,
     "write the port here once requests are taken"},
    {"allow-host", "NAME", LIST, offsetof(srv_options, allow_hosts), 0, 0, 0,
     "answer to this Host too; may be repeated"},
    {"store", "DIR", TEXT, offsetof(srv_options, store), 0, 0, 0,
     "the store ($KILN_STORE, $XDG_CACHE_HOME/kiln, ~/.cache/kiln)"},
    {"no-store", NULL, FLAG, offsetof(srv_options, no_store), 0, 0, 0,
     "keep nothing: every request is a miss"},
    {"no-keep-sources", NULL, FLAG, offsetof(srv_options, no_sources), 0, 0, 0,
     "do not store source texts: no run by key, no rebake"},
    {"engine", "ENGINE", LIST, offsetof(srv_options, engines), 0, 0, 0,
     "an engine to keep ready, as `kiln engines` names it; may be repeated"},
    {"engines-dir", "DIR", TEXT, offsetof(srv_options, engines_dir), 0, 0, 0,
     "the registry of engines ($KILN_ENGINES, ~/.local/share/kiln/engines)"},
    {"engine-program", "PATH", TEXT, offsetof(srv_options, engine_program), 0, 0, 0,
     "the kiln-engine to start (the one beside kilnd)"},
    {"allow-unsandboxed", NULL, FLAG, offsetof(srv_options, allow_unsandboxed), 0, 0, 0,
     "start although a required part of the sandbox is missing here"},
    {"jitless", NULL, FLAG, offsetof(srv_options, jitless), 0, 0, 0,
     "no machine code is made: safer, slower; blobs are not Node's"},
    {"workers", "N", NUMBER, offsetof(srv_options, workers), 0, 0, 1024,
     "jobs at once (0: one per core)"},
    {"queue", "N", NUMBER, offsetof(srv_options, queue), 256, 1, 1000000,
     "jobs waiting beyond that (256); then 503"},
    {"crashes-max", "N", NUMBER, offsetof(srv_options, crashes_max), 3, 0, 1000000,
     "a source that crashed so often is refused for an hour (3; 0: never)"},
    {"timeout-default", "MS", NUMBER, offsetof(srv_options, timeout_default_ms), 5000, 1, 86400000,
     "a job's time limit where the request names none (5000)"},
    {"timeout-max", "MS", NUMBER, offsetof(srv_options, timeout_max_ms), 60000, 1, 86400000,
     "the longest a request may ask for (60000)"},
    {"heap-max", "SIZE", SIZE, offsetof(srv_options, heap_max_bytes), 256 * MIB, 8 * MIB, 64 * GIB,
     "V8's heap per job (256M)"},
    {"memory-max", "SIZE", SIZE, offsetof(srv_options, memory_max_bytes), 0, 0, 128 * GIB,
     "a worker's private memory (0: heap plus 256M)"},
    {"body-max", "SIZE", SIZE, offsetof(srv_options, body_max_bytes), 64 * MIB, 1, GIB,
     "the largest request body (64M); more is 413"},
    {"sessions", "N", NUMBER, offsetof(srv_options, sessions), 64, 1, 4096,
     "sessions open at once (64); then the longest idle one ends"},
    {"session-idle-ms", "MS", NUMBER, offsetof(srv_options, session_idle_ms), 300000, 10, 86400000,
     "an idle session ends after this (300000)"},
    {"images-max", "N", NUMBER, offsetof(srv_options, images_max), 64, 1, 1024,
     "images there at once (64); then 503"},
    {"image-memory-max", "SIZE", SIZE, offsetof(srv_options, image_memory_max_bytes), GIB, MIB,
     1024 * GIB, "all images' memory (1G); beyond it the longest unused process ends"},
    {"image-idle-ms", "MS", NUMBER, offsetof(srv_options, image_idle_ms), 600000, 10, 86400000,
     "an idle image's process ends after this (600000)"},
    {"threads", "N", NUMBER, offsetof(srv_options, threads), 2, 1, 256, "HTTP threads (2)"},
    {"connections", "N", NUMBER, offsetof(srv_options, connections), 1024, 4, 1000000,
     "connections at once (1024); idle ones make room"},
    {"header-timeout-ms", "MS", NUMBER, offsetof(srv_options, header_timeout_ms), 10000, 20,
     3600000, "a request's head must be complete by then (10000)"},
    {"body-timeout-ms", "MS", NUMBER, offsetof(srv_options, body_timeout_ms), 30000, 20, 3600000,
     "a body's time, plus 1 s for each KiB received (30000)"},
    {"idle-timeout-ms", "MS", NUMBER, offsetof(srv_options, idle_timeout_ms), 75000, 20, 3600000,
     "an idle connection is closed after this (75000)"},
    {"hot-max", "SIZE", SIZE, offsetof(srv_options, hot_max_bytes), 64 * MIB, 0, 64 * GIB,
     "blobs kept in memory for GET (64M; 0: none)"},
    {"hot-ms", "MS", NUMBER, offsetof(srv_options, hot_ms), 1000, 0, 3600000,
     "... and for how long before the store is read again (1000)"},
    {"drain-ms", "MS", NUMBER, offsetof(srv_options, drain_ms), 10000, 0, 3600000,
     "SIGTERM: how long what is in flight may take (10000)"},
    {"access-log", NULL, FLAG, offsetof(srv_options, access_log), 0, 0, 0,
     "a line on stderr for each request"},
    {"help", NULL, FLAG, offsetof(srv_options, help), 0, 0, 0, "show this and end"},
    {"version", NULL, FLAG, offsetof(srv_options, version), 0, 0, 0, "show the version and end"},
};
#define ROWS (sizeof(rows) / sizeof(rows[0]))

/* A decimal number; a SIZE may end in K, M or G. */
static bool parse_number(const char *text, option_kind kind, uint64_t *ret_number) {
  char *end = NULL;
  if (text[0] < '0' || text[0] > '9') return false;
  errno = 0;
  unsigned long long number = strtoull(text, &end, 10);
  if (errno != 0) return false;
  uint64_t unit = 1;
  if (kind == SIZE && *end != '\0') {
    if (*end == 'K' || *end == 'k') unit = KIB;
    if (*end == 'M' || *end == 'm') unit = MIB;
    if (*end == 'G' || *end == 'g') unit = GIB;
    if (unit != 1) end++;
  }
  if (*end != '\0' || number > UINT64_MAX / unit) return false;
  *ret_number = (uint64_t)number * unit;
  return true;
}

static const struct option_row *find_row(const char *name, size_t length) {
  for (size_t i = 0; i < ROWS; i++)
    if (strlen(rows[i].name) == length && memcmp(rows[i].name, name, length) == 0) return &rows[i];
  return NULL;
}

static bool take(srv_options *options, const struct option_row *row, const char *value,
                 char *message, size_t message_size) {
  char *field = (char *)options + row->offset;
  uint64_t number = 0;
  switch (row->kind) {
    case FLAG:
      memcpy(field, &(bool){true}, sizeof(bool));
      return true;
    case TEXT:
      memcpy(field, &value, sizeof(value));
      return true;
    case LIST: {
      srv_list *list = (srv_list *)(void *)field;
      if (list->count == SRV_LIST_MAX) {
        snprintf(message, message_size, "--%s: more than %d", row->name, SRV_LIST_MAX);
        return false;
      }
      list->items[list->count++] = value;
      return true;
    }
    case NUMBER:
    case SIZE:
      if (!parse_number(value, row->kind, &number)) {
        snprintf(message, message_size, "--%s '%.80s': not a %s", row->name, value,
                 row->kind == SIZE ? "size (a number, or one with K, M or G)" : "number");
        return false;
      }
      if (number < row->min || number > row->max) {
        snprintf(message, message_size, "--%s %.80s: must be from %llu to %llu", row->name, value,
                 (unsigned long long)row->min, (unsigned long long)row->max);
        return false;
      }
      memcpy(field, &number, sizeof(number));
      return true;
  }
  return false;
}

bool srv_options_parse(int argc, char **argv, srv_options *ret_options, char *message,
                       size_t message_size) {
  srv_options options = {.listen = "127.0.0.1:8888"};
  for (size_t i = 0; i < ROWS; i++)
    if (rows[i].kind == NUMBER || rows[i].kind == SIZE)
      memcpy((char *)&options + rows[i].offset, &rows[i].preset, sizeof(uint64_t));

  for (int i = 1; i < argc; i++) {
    const char *argument = argv[i];
    if (strncmp(argument, "--", 2) != 0) {
      snprintf(message, message_size, "'%.80s': not an option", argument);
      return false;
    }
    const char *name = argument + 2;
    const char *equals = strchr(name, '=');
    size_t length = equals != NULL ? (size_t)(equals - name) : strlen(name);
    const struct option_row *row = find_row(name, length);
    if (row == NULL) {
      snprintf(message, message_size, "--%.*s: no such option", (int)(length < 80 ? length : 80),
               name);
      return false;
    }
    const char *value = equals != NULL ? equals + 1 : NULL;
    if (row->kind == FLAG && value != NULL) {
      snprintf(message, message_size, "--%s: takes no value", row->name);
      return false;
    }
    if (row->kind != FLAG && value == NULL) {
      if (i + 1 == argc) {
        snprintf(message, message_size, "--%s: needs %s", row->name, row->argument);
        return false;
      }
      value = argv[++i];
    }
    if (!take(&options, row, value, message, message_size)) return false;
  }
  if (options.timeout_default_ms > options.timeout_max_ms) {
    snprintf(message, message_size, "--timeout-default %llu: more than --timeout-max, %llu",
             (unsigned long long)options.timeout_default_ms,
             (unsigned long long)options.timeout_max_ms);
    return false;
  }
  if (options.no_store && options.store != NULL) {
    snprintf(message, message_size, "--store and --no-store: name one");
    return false;
  }
  *ret_options = options;
  return true;
}

void srv_options_print_help(FILE *out) {
  fputs(
      "usage: kilnd [options]\n"
      "Compiles, bakes, runs and measures JavaScript over HTTP.\n\n",
      out);
  for (size_t i = 0; i < ROWS; i++) {
    int width = fprintf(out, "  --%s%s%s", rows[i].name, rows[i].argument != NULL ? " " : "",
                        rows[i].argument != NULL ? rows[i].argument : "");
    fprintf(out, "%*s%s\n", width < 28 ? 28 - width : 1, "", rows[i].help);
  }
}

typedef struct place {
  const char *variable, *suffix;
} place;

static char *copy_place(const place *places, size_t count) {
  for (size_t i = 0; i < count; i++) {
    const char *value = getenv(places[i].variable);
    if (value == NULL || value[0] == '\0') continue;
    size_t size = strlen(value) + strlen(places[i].suffix) + 1;
    char *path = malloc(size);
    if (path != NULL) snprintf(path, size, "%s%s", value, places[i].suffix);
    return path;
  }
  return NULL;
}

char *srv_options_copy_default_store(void) {
  static const place places[] = {
      {"KILN_STORE", ""}, {"XDG_CACHE_HOME", "/kiln"}, {"HOME", "/.cache/kiln"}};
  return copy_place(places, sizeof(places) / sizeof(places[0]));
}

char *srv_options_copy_default_engines(void) {
  static const place places[] = {{"KILN_ENGINES", ""},
                                 {"XDG_DATA_HOME", "/kiln/engines"},
                                 {"HOME", "/.local/share/kiln/engines"}};
  return copy_place(places, sizeof(places) / sizeof(places[0]));
}
