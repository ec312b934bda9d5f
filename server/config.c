/* SPDX-License-Identifier: MIT
 *
 * config.c: see config.h. libinih cuts the lines up. What it would take silently is looked at
 * before: lines that it would cut in two, NUL bytes, and text behind a section's name.
 */
#include "server/config.h"

#include <ini.h>
#include <stdlib.h>
#include <string.h>

#include "server/file.h"
#include "server/option_rows.h"

#define KIB 1024ull

typedef struct reading {
  const char *path;
  const char *at;
  const char *end;
  int line;
  char *values; /* room for copies of all values */
  srv_options *options;
  srv_faults *faults;
  int *given; /* by row: in which line, 0: not yet */
} reading;

/* ---- before libinih sees it */

/* What is wrong with a line; NULL: nothing. */
static const char *line_fault(const char *line, size_t length) {
  if (length > SRV_CONFIG_LINE_MAX) return "is too long";
  for (size_t i = 0; i < length; i++) {
    unsigned char c = (unsigned char)line[i];
    bool line_end = c == '\r' && i + 1 == length;
    if ((c < 0x20 && c != '\t' && !line_end) || c == 0x7F) return "has a control character";
  }
  size_t first = strspn(line, " \t");
  if (first < length && line[first] == '[') {
    const char *close = memchr(line, ']', length);
    if (close == NULL) return "is a section without its ]";
    close++;
    close += strspn(close, " \t\r");
    return close < line + length ? "has text behind a section's ]" : NULL;
  }
  bool says_something = first < length && strchr(";#\r", line[first]) == NULL;
  if (says_something && memchr(line, '=', length) == NULL && memchr(line, ':', length) == NULL)
    return "is neither [SECTION] nor NAME = VALUE";
  return NULL;
}

static void check_lines(const char *path, const char *text, size_t length, srv_faults *faults) {
  const char *end = text + length;
  int number = 0;
  while (text < end) {
    const char *stop = memchr(text, '\n', (size_t)(end - text));
    if (stop == NULL) stop = end;
    number++;
    const char *fault = line_fault(text, (size_t)(stop - text));
    if (fault != NULL)
      srv_faults_add(faults, "%.160s:%d: the line %s%s", path, number, fault,
                     stop - text > SRV_CONFIG_LINE_MAX ? ", limit 8192 bytes" : "");
    text = stop + 1;
  }
}
_Static_assert(SRV_CONFIG_LINE_MAX == 8192, "the message above names it");

/* ---- what libinih calls */

/* ini_reader, as fgets(). A line that was found faulty is an empty one. */
static char *next_line(char *buffer, int size, void *stream) {
  reading *r = stream;
  if (r->at >= r->end) return NULL;
  const char *stop = memchr(r->at, '\n', (size_t)(r->end - r->at));
  size_t length = stop != NULL ? (size_t)(stop + 1 - r->at) : (size_t)(r->end - r->at);
  bool faulty = length >= (size_t)size || line_fault(r->at, length - (stop != NULL)) != NULL;
  memcpy(buffer, faulty ? "" : r->at, faulty ? 0 : length);
  buffer[faulty ? 0 : length] = '\0';
  r->at += length;
  r->line++;
  return buffer;
}

static const char *keep(reading *r, const char *value) {
  size_t length = strlen(value);
  bool quoted = length >= 2 && value[0] == '"' && value[length - 1] == '"';
  char *copy = r->values;
  if (quoted) length -= 2;
  memcpy(copy, value + (quoted ? 1 : 0), length);
  copy[length] = '\0';
  r->values += length + 1;
  return copy;
}

static bool is_section(const char *name) {
  for (size_t i = 0; i < srv_option_rows_count; i++)
    if (srv_option_rows[i].kind == SECTION && strcmp(srv_option_rows[i].name, name) == 0)
      return true;
  return false;
}

/* ini_handler. Always 1: a fault is told, and the next line looked at. */
static int take_line(void *user, const char *section, const char *name, const char *value) {
  reading *r = user;
  char message[300];
  const char *home = NULL;
  const srv_option_row *row = srv_option_find(name, strlen(name), &home);
  if (section[0] != '\0' && !is_section(section)) {
    srv_faults_add(r->faults, "%.160s:%d: [%.80s]: no such section", r->path, r->line, section);
    return 1;
  }
  if (row == NULL) {
    srv_faults_add(r->faults, "%.160s:%d: %.80s: no such option", r->path, r->line, name);
    return 1;
  }
  if (home[0] == '\0') {
    srv_faults_add(r->faults, "%.160s:%d: %s: only for the command line", r->path, r->line, name);
    return 1;
  }
  if (section[0] != '\0' && strcmp(section, home) != 0) {
    srv_faults_add(r->faults, "%.160s:%d: %s: belongs to [%s], not to [%.80s]", r->path, r->line,
                   name, home, section);
    return 1;
  }
  int *given = &r->given[row - srv_option_rows];
  if (row->kind != LIST && *given != 0) {
    srv_faults_add(r->faults, "%.160s:%d: %s: given in line %d already", r->path, r->line, name,
                   *given);
    return 1;
  }
  *given = r->line;
  if (value[0] == '\0')
    srv_faults_add(r->faults, "%.160s:%d: %s: needs a value", r->path, r->line, name);
  else if (!srv_option_take(r->options, row, /* dashes= */ "", keep(r, value), message,
                            sizeof(message)))
    srv_faults_add(r->faults, "%.160s:%d: %s", r->path, r->line, message);
  return 1;
}

void srv_config_parse(const char *path, const char *text, size_t length, srv_options *options,
                      srv_faults *faults) {
  check_lines(path, text, length, faults);
  free(options->config_values);
  options->config_values = malloc(length + 1); /* a value is shorter than its line */
  int *given = calloc(srv_option_rows_count, sizeof(*given));
  reading r = {.path = path,
               .at = text,
               .end = text + length,
               .values = options->config_values,
               .options = options,
               .faults = faults,
               .given = given};
  int result = -2;
  if (options->config_values != NULL && given != NULL) {
    ini_allow_multiline = false;
    ini_allow_inline_comments = false;
    ini_use_stack = false;
    ini_max_line = SRV_CONFIG_LINE_MAX + 3;
    ini_initial_alloc = SRV_CONFIG_LINE_MAX + 3;
    result = ini_parse_stream(next_line, &r, take_line, &r);
  }
  free(given);
  if (result < 0)
    srv_faults_add(faults, "%.160s: out of memory", path);
  else if (result > 0)
    srv_faults_add(faults, "%.160s:%d: not understood", path, result);
}

void srv_config_load(const char *path, srv_options *options, srv_faults *faults) {
  char message[300];
  char *text = NULL;
  size_t length = 0;
  if (!srv_file_read(path, SRV_CONFIG_BYTES_MAX, SRV_FILE_PLAIN, &text, &length, message,
                     sizeof(message))) {
    srv_faults_add(faults, "--config: %s", message);
    return;
  }
  srv_config_parse(path, text, length, options, faults);
  srv_file_free(text, length);
}

/* ---- writing one */

/* Quotes where libinih would take off blanks, or srv_config_parse() quotes. */
static bool needs_quotes(const char *value) {
  size_t length = strlen(value);
  return length == 0 || value[0] == '"' || strchr(" \t", value[0]) != NULL ||
         strchr(" \t", value[length - 1]) != NULL;
}

static bool print_text(FILE *out, const srv_option_row *row, const char *value, char *message,
                       size_t message_size) {
  size_t room = SRV_CONFIG_LINE_MAX - strlen(row->name) - sizeof(" = \"\"");
  bool holds = strlen(value) <= room && value[0] != '\0';
  for (const char *at = value; holds && *at != '\0'; at++)
    holds = ((unsigned char)*at >= 0x20 || *at == '\t') && *at != 0x7F;
  if (!holds) {
    snprintf(message, message_size, "--%s: a configuration file cannot hold '%.80s'", row->name,
             value);
    return false;
  }
  const char *quote = needs_quotes(value) ? "\"" : "";
  fprintf(out, "%s = %s%s%s\n", row->name, quote, value, quote);
  return true;
}

static void print_size(FILE *out, const char *name, uint64_t bytes) {
  static const char units[] = {'\0', 'K', 'M', 'G'};
  unsigned unit = 0;
  while (bytes != 0 && bytes % KIB == 0 && unit < 3) {
    bytes /= KIB;
    unit++;
  }
  fprintf(out, "%s = %llu%.1s\n", name, (unsigned long long)bytes, &units[unit]);
}

static bool print_row(FILE *out, const srv_option_row *row, const srv_options *options,
                      char *message, size_t message_size) {
  const char *field = (const char *)options + row->offset;
  uint64_t number = 0;
  bool yes = false;
  const char *text = NULL;
  switch (row->kind) {
    case SECTION:
      fprintf(out, "%s[%s]\n", row == srv_option_rows ? "" : "\n", row->name);
      return true;
    case FLAG:
      memcpy(&yes, field, sizeof(yes));
      fprintf(out, "%s = %s\n", row->name, yes ? "yes" : "no");
      return true;
    case SWITCH:
      memcpy(&yes, field, sizeof(yes));
      fprintf(out, "%s = %s\n", row->name, yes ? "on" : "off");
      return true;
    case TEXT:
      memcpy(&text, field, sizeof(text));
      if (text != NULL) return print_text(out, row, text, message, message_size);
      fprintf(out, "# %s = %s\n", row->name, row->argument);
      return true;
    case LIST: {
      srv_list list;
      memcpy(&list, field, sizeof(list));
      if (list.count == 0) fprintf(out, "# %s = %s\n", row->name, row->argument);
      for (unsigned i = 0; i < list.count; i++)
        if (!print_text(out, row, list.items[i], message, message_size)) return false;
      return true;
    }
    case NUMBER:
      memcpy(&number, field, sizeof(number));
      fprintf(out, "%s = %llu\n", row->name, (unsigned long long)number);
      return true;
    case SIZE:
      memcpy(&number, field, sizeof(number));
      print_size(out, row->name, number);
      return true;
  }
  return true;
}

bool srv_config_print(FILE *out, const srv_options *options, char *message, size_t message_size) {
  for (size_t i = 0; i < srv_option_rows_count; i++) {
    const srv_option_row *row = &srv_option_rows[i];
    if (row->kind == SECTION && row->name[0] == '\0') break;
    if (!print_row(out, row, options, message, message_size)) return false;
  }
  return true;
}
