/* SPDX-License-Identifier: MIT
 *
 * options.c: see options.h. One table is the parser, the limits, the help text, and the
 * configuration file.
 */
#include "server/options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "server/config.h"
#include "server/option_rows.h"

#define KIB 1024ull
#define MIB (1024ull * KIB)
#define GIB (1024ull * MIB)

#define BEGIN_SECTION(name) \
  { name, NULL, SECTION, 0, 0, 0, 0, NULL }

const srv_option_row srv_option_rows[] = {
    BEGIN_SECTION("server"),
    {"listen", "HOST:PORT", TEXT, offsetof(srv_options, listen), 0, 0, 0,
     "where to listen (127.0.0.1:8888); port 0 takes a free one"},
    {"port-file", "FILE", TEXT, offsetof(srv_options, port_file), 0, 0, 0,
     "write the port here once requests are taken"},
    {"pid-file", "FILE", TEXT, offsetof(srv_options, pid_file), 0, 0, 0,
     "write the process id here once requests are taken"},
    {"allow-host", "NAME", LIST, offsetof(srv_options, allow_hosts), 0, 0, 0,
     "answer to this Host too; may be repeated"},
    {"drain-ms", "MS", NUMBER, offsetof(srv_options, drain_ms), 10000, 0, 3600000,
     "SIGTERM: how long what is in flight may take (10000)"},
    {"restart-timeout-ms", "MS", NUMBER, offsetof(srv_options, restart_timeout_ms), 30000, 100,
     3600000, "SIGUSR2: when the new kilnd must be ready, or this one goes on (30000)"},
    {"user", "NAME", TEXT, offsetof(srv_options, user), 0, 0, 0,
     "started as root: become this user once the address is taken"},
    BEGIN_SECTION("store"),
    {"store", "DIR", TEXT, offsetof(srv_options, store), 0, 0, 0,
     "the store ($KILN_STORE, $XDG_CACHE_HOME/kiln, ~/.cache/kiln)"},
    {"no-store", NULL, FLAG, offsetof(srv_options, no_store), 0, 0, 0,
     "keep nothing: every request is a miss"},
    {"no-keep-sources", NULL, FLAG, offsetof(srv_options, no_sources), 0, 0, 0,
     "do not store source texts: no run by key, no rebake"},
    BEGIN_SECTION("engines"),
    {"engine", "ENGINE", LIST, offsetof(srv_options, engines), 0, 0, 0,
     "an engine to keep ready, as `kiln engines` names it; may be repeated"},
    {"engines-dir", "DIR", TEXT, offsetof(srv_options, engines_dir), 0, 0, 0,
     "the registry of engines ($KILN_ENGINES, ~/.local/share/kiln/engines)"},
    {"engine-program", "PATH", TEXT, offsetof(srv_options, engine_program), 0, 0, 0,
     "the kiln-engine to start (the one beside kilnd)"},
    {"allow-unsandboxed", NULL, FLAG, offsetof(srv_options, allow_unsandboxed), 0, 0, 0,
     "start although a required part of the sandbox is missing here"},
    {"sandbox", "on|off", SWITCH, offsetof(srv_options, sandbox), 0, 0, 0,
     "off: workers run without it, to be debugged (on); needs --allow-unsandboxed"},
    {"jitless", NULL, FLAG, offsetof(srv_options, jitless), 0, 0, 0,
     "no machine code is made: safer, slower; blobs are not Node's"},
    BEGIN_SECTION("limits"),
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
    {"result-max", "SIZE", SIZE, offsetof(srv_options, result_max_bytes), 16 * MIB, 4 * KIB,
     256 * MIB, "JSON of one result, and of the globals (16M)"},
    {"console-max", "SIZE", SIZE, offsetof(srv_options, console_max_bytes), MIB, 1, 64 * MIB,
     "what one job may write to the console (1M); the rest is dropped, and told"},
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
    {"rate", "N", NUMBER, offsetof(srv_options, rate), 0, 0, 1000000,
     "requests a second of one client (0: any number); more is 429"},
    {"rate-burst", "N", NUMBER, offsetof(srv_options, rate_burst), 0, 0, 1000000,
     "... and how many at once (0: as many as --rate)"},
    {"client-share", "PERCENT", NUMBER, offsetof(srv_options, client_share), 100, 1, 100,
     "of jobs that run or wait, how many one client may have (100)"},
    BEGIN_SECTION("access"),
    {"tokens", "FILE", TEXT, offsetof(srv_options, tokens), 0, 0, 0,
     "bearer tokens: lines of ROLE[,ROLE...] sha256:HEX [NAME]; SIGHUP reads it again"},
    {"allow-anonymous", NULL, FLAG, offsetof(srv_options, allow_anonymous), 0, 0, 0,
     "listen on other than loopback addresses without --tokens"},
    {"tls-cert", "FILE", TEXT, offsetof(srv_options, tls_cert), 0, 0, 0,
     "speak TLS with this certificate and its chain, in PEM; SIGHUP reads it again"},
    {"tls-key", "FILE", TEXT, offsetof(srv_options, tls_key), 0, 0, 0, "... and its private key"},
    {"tls-priority", "TEXT", TEXT, offsetof(srv_options, tls_priority), 0, 0, 0,
     "GnuTLS's priority string (SECURE128:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2)"},
    BEGIN_SECTION("http"),
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
    BEGIN_SECTION("log"),
    {"access-log", NULL, FLAG, offsetof(srv_options, access_log), 0, 0, 0,
     "a line on stderr for each request"},
    {"access-log-json", NULL, FLAG, offsetof(srv_options, access_log_json), 0, 0, 0,
     "... as a JSON object; implies --access-log"},
    {"access-log-file", "FILE", TEXT, offsetof(srv_options, access_log_file), 0, 0, 0,
     "... into this file, opened again on SIGHUP; implies --access-log"},
    BEGIN_SECTION(""),
    {"config", "FILE", TEXT, offsetof(srv_options, config), 0, 0, 0,
     "read options from this INI file; the command line wins"},
    {"check-config", NULL, FLAG, offsetof(srv_options, check_config), 0, 0, 0,
     "check options and what they name, say ok or what is wrong, and end"},
    {"print-config", NULL, FLAG, offsetof(srv_options, print_config), 0, 0, 0,
     "write all options as a configuration file and end"},
    {"help", NULL, FLAG, offsetof(srv_options, help), 0, 0, 0, "show this and end"},
    {"version", NULL, FLAG, offsetof(srv_options, version), 0, 0, 0, "show the version and end"},
};
const size_t srv_option_rows_count = sizeof(srv_option_rows) / sizeof(srv_option_rows[0]);
#define ROWS (sizeof(srv_option_rows) / sizeof(srv_option_rows[0]))

/* A decimal number; a SIZE may end in K, M or G. */
static bool parse_number(const char *text, srv_option_kind kind, uint64_t *ret_number) {
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

const srv_option_row *srv_option_find(const char *name, size_t length, const char **ret_section) {
  const char *section = "";
  for (size_t i = 0; i < ROWS; i++) {
    const srv_option_row *row = &srv_option_rows[i];
    if (row->kind == SECTION) {
      section = row->name;
    } else if (strlen(row->name) == length && memcmp(row->name, name, length) == 0) {
      *ret_section = section;
      return row;
    }
  }
  return NULL;
}

static bool take_flag(char *field, const srv_option_row *row, const char *dashes, const char *value,
                      char *message, size_t message_size) {
  const char *yes = row->kind == SWITCH ? "on" : "yes", *no = row->kind == SWITCH ? "off" : "no";
  bool is_yes = strcmp(value, yes) == 0;
  if (!is_yes && strcmp(value, no) != 0) {
    snprintf(message, message_size, "%s%s '%.80s': must be %s or %s", dashes, row->name, value, yes,
             no);
    return false;
  }
  memcpy(field, &is_yes, sizeof(is_yes));
  return true;
}

static bool take_number(char *field, const srv_option_row *row, const char *dashes,
                        const char *value, char *message, size_t message_size) {
  uint64_t number = 0;
  if (!parse_number(value, row->kind, &number)) {
    snprintf(message, message_size, "%s%s '%.80s': not a %s", dashes, row->name, value,
             row->kind == SIZE ? "size (a number, or one with K, M or G)" : "number");
    return false;
  }
  if (number < row->min || number > row->max) {
    snprintf(message, message_size, "%s%s %.80s: must be from %llu to %llu", dashes, row->name,
             value, (unsigned long long)row->min, (unsigned long long)row->max);
    return false;
  }
  memcpy(field, &number, sizeof(number));
  return true;
}

bool srv_option_take(srv_options *options, const srv_option_row *row, const char *dashes,
                     const char *value, char *message, size_t message_size) {
  char *field = (char *)options + row->offset;
  switch (row->kind) {
    case FLAG:
    case SWITCH:
      return take_flag(field, row, dashes, value, message, message_size);
    case TEXT:
      memcpy(field, &value, sizeof(value));
      return true;
    case LIST: {
      srv_list *list = (srv_list *)(void *)field;
      if (list->count == SRV_LIST_MAX) {
        snprintf(message, message_size, "%s%s: more than %d", dashes, row->name, SRV_LIST_MAX);
        return false;
      }
      list->items[list->count++] = value;
      return true;
    }
    case NUMBER:
    case SIZE:
      return take_number(field, row, dashes, value, message, message_size);
    case SECTION:
      break;
  }
  return false;
}

/* ---- the command line */

typedef struct argument {
  const srv_option_row *row;
  const char *value; /* NULL: a FLAG without one */
} argument;

/* Cuts argv[*index] up, and takes the next one where the value stands there. */
static bool read_argument(int argc, char **argv, int *index, argument *ret_argument,
                          srv_faults *faults) {
  const char *text = argv[*index];
  const char *section = NULL;
  if (strncmp(text, "--", 2) != 0) {
    srv_faults_add(faults, "'%.80s': not an option", text);
    return false;
  }
  const char *name = text + 2;
  const char *equals = strchr(name, '=');
  size_t length = equals != NULL ? (size_t)(equals - name) : strlen(name);
  argument found = {.row = srv_option_find(name, length, &section),
                    .value = equals != NULL ? equals + 1 : NULL};
  if (found.row == NULL) {
    srv_faults_add(faults, "--%.*s: no such option", (int)(length < 80 ? length : 80), name);
    return false;
  }
  if (found.row->kind == FLAG && section[0] == '\0' && found.value != NULL) {
    srv_faults_add(faults, "--%s: takes no value", found.row->name);
    return false;
  }
  if (found.row->kind != FLAG && found.value == NULL) {
    if (*index + 1 == argc) {
      srv_faults_add(faults, "--%s: needs %s", found.row->name, found.row->argument);
      return false;
    }
    found.value = argv[++*index];
  }
  *ret_argument = found;
  return true;
}

/* The file is read before the rest of the command line is taken, which may say otherwise. */
static void take_config(int argc, char **argv, srv_options *options, srv_faults *faults) {
  argument found;
  srv_faults ignored = {0};
  for (int i = 1; i < argc; i++)
    if (read_argument(argc, argv, &i, &found, &ignored) && strcmp(found.row->name, "config") == 0)
      options->config = found.value;
  if (options->config != NULL) srv_config_load(options->config, options, faults);
}

static void take_arguments(int argc, char **argv, srv_options *options, bool given[ROWS],
                           srv_faults *faults) {
  char message[256];
  argument found;
  for (int i = 1; i < argc; i++) {
    if (!read_argument(argc, argv, &i, &found, faults)) continue;
    bool *before = &given[found.row - srv_option_rows];
    /* The first of a list on the command line takes the place of the file's. */
    if (found.row->kind == LIST && !*before)
      memset((char *)options + found.row->offset, 0, sizeof(srv_list));
    *before = true;
    if (!srv_option_take(options, found.row, SRV_DASHES, found.value != NULL ? found.value : "yes",
                         message, sizeof(message)))
      srv_faults_add(faults, "%s", message);
  }
}

static bool is_given(const bool given[ROWS], const char *name) {
  const char *section;
  return given[srv_option_find(name, strlen(name), &section) - srv_option_rows];
}

/* What no single option can be blamed for. */
static void check_together(srv_options *options, const bool given[ROWS], srv_faults *faults) {
  if (options->timeout_default_ms > options->timeout_max_ms)
    srv_faults_add(faults, "--timeout-default %llu: more than --timeout-max, %llu",
                   (unsigned long long)options->timeout_default_ms,
                   (unsigned long long)options->timeout_max_ms);
  if ((options->tls_cert == NULL) != (options->tls_key == NULL))
    srv_faults_add(faults, "--tls-cert and --tls-key: one needs the other");
  if (options->tls_priority != NULL && options->tls_cert == NULL)
    srv_faults_add(faults, "--tls-priority: needs --tls-cert and --tls-key");
  if (!options->sandbox && !options->allow_unsandboxed)
    srv_faults_add(faults,
                   "--sandbox=off: code that breaks out of V8 could do whatever kilnd's user may; "
                   "say --allow-unsandboxed, too, if that is what you want");
  if (options->user != NULL && options->store == NULL && !options->no_store)
    srv_faults_add(faults, "--user: name the store with --store, or say --no-store");
  if (options->rate_burst > 0 && options->rate == 0)
    srv_faults_add(faults, "--rate-burst: needs --rate");
  if (options->no_store && options->store != NULL) {
    bool store = is_given(given, "store");
    bool no_store = is_given(given, "no-store");
    if (store == no_store)
      srv_faults_add(faults, "--store and --no-store: name one");
    else if (store)
      options->no_store = false;
    else
      options->store = NULL;
  }
}

bool srv_options_parse_all(int argc, char **argv, srv_options *ret_options, srv_faults *faults) {
  srv_options options = {.listen = "127.0.0.1:8888", .sandbox = true};
  bool given[ROWS] = {false};
  for (size_t i = 0; i < ROWS; i++)
    if (srv_option_rows[i].kind == NUMBER || srv_option_rows[i].kind == SIZE)
      memcpy((char *)&options + srv_option_rows[i].offset, &srv_option_rows[i].preset,
             sizeof(uint64_t));
  take_config(argc, argv, &options, faults);
  take_arguments(argc, argv, &options, given, faults);
  check_together(&options, given, faults);
  *ret_options = options;
  return faults->count == 0;
}

bool srv_options_parse(int argc, char **argv, srv_options *ret_options, char *message,
                       size_t message_size) {
  srv_faults faults = {0};
  srv_options options;
  if (srv_options_parse_all(argc, argv, &options, &faults)) {
    *ret_options = options;
    return true;
  }
  srv_options_release(&options);
  snprintf(message, message_size, "%s", faults.texts[0]);
  return false;
}

void srv_options_release(srv_options *options) {
  free(options->config_values);
  options->config_values = NULL;
}

void srv_options_print_help(FILE *out) {
  fputs(
      "usage: kilnd [options]\n"
      "Compiles, bakes, runs and measures JavaScript over HTTP.\n"
      "In a configuration file options have the same names, without dashes.\n\n",
      out);
  for (size_t i = 0; i < ROWS; i++) {
    const srv_option_row *row = &srv_option_rows[i];
    if (row->kind == SECTION) {
      fprintf(out, row->name[0] != '\0' ? "%s[%s]\n" : "%scommand line only%s\n", i > 0 ? "\n" : "",
              row->name);
      continue;
    }
    int width = fprintf(out, "  --%s%s%s", row->name, row->argument != NULL ? " " : "",
                        row->argument != NULL ? row->argument : "");
    fprintf(out, "%*s%s\n", width < 28 ? 28 - width : 1, "", row->help);
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
