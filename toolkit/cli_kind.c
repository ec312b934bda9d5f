/* SPDX-License-Identifier: MIT
 *
 * cli_kind.c: how a file is to be compiled, by the rules by which Node decides what a file is: its
 * ending, the package it is in, at last its syntax.
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "toolkit/cli.h"

#define PACKAGE_JSON_MAX (1024 * 1024)

const char *const kiln__cli_commonjs_params[KILN__CLI_COMMONJS_PARAMS] = {
    "exports", "require", "module", "__filename", "__dirname"};

static const char *const names[] = {
    [KILN__CLI_SCRIPT] = "script",     [KILN__CLI_MODULE] = "module",
    [KILN__CLI_FUNCTION] = "function", [KILN__CLI_COMMONJS] = "commonjs",
    [KILN__CLI_WRAPPER] = "wrapper",   [KILN__CLI_AUTO] = "auto"};

bool kiln__cli_kind_parse(const char *name, kiln__cli_kind *ret_kind) {
  for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
    if (strcmp(name, names[i]) == 0) {
      *ret_kind = (kiln__cli_kind)i;
      return true;
    }
  }
  return false;
}

const char *kiln__cli_kind_name(kiln__cli_kind kind) {
  return names[kind];
}

/* What a package.json says; KILN__CLI_AUTO if nothing. */
static kiln__cli_kind read_package(const char *path) {
  kiln__cli_kind kind = KILN__CLI_AUTO;
  struct stat file;
  if (stat(path, &file) != 0 || !S_ISREG(file.st_mode) || file.st_size > PACKAGE_JSON_MAX) {
    return kind;
  }
  json_t *package = json_load_file(path, 0, /* error= */ NULL);
  const char *type = json_string_value(json_object_get(package, "type"));
  if (type != NULL && strcmp(type, "module") == 0) kind = KILN__CLI_MODULE;
  if (type != NULL && strcmp(type, "commonjs") == 0) kind = KILN__CLI_COMMONJS;
  json_decref(package);
  return kind;
}

static bool has_ending(const char *path, const char *ending) {
  size_t length = strlen(path), wanted = strlen(ending);
  return length > wanted && strcmp(path + length - wanted, ending) == 0;
}

kiln__cli_kind kiln__cli_kind_of(const char *path) {
  char folder[PATH_MAX], package[PATH_MAX];
  if (has_ending(path, ".mjs")) return KILN__CLI_MODULE;
  if (has_ending(path, ".cjs")) return KILN__CLI_COMMONJS;
  if (realpath(path, folder) == NULL) return KILN__CLI_AUTO;
  for (char *slash = strrchr(folder, '/'); slash != NULL; slash = strrchr(folder, '/')) {
    *slash = '\0';
    int length = snprintf(package, sizeof(package), "%s/package.json", folder);
    if (length > 0 && (size_t)length < sizeof(package)) {
      struct stat file;
      if (stat(package, &file) == 0) return read_package(package);
    }
  }
  return KILN__CLI_AUTO;
}

kiln__cli_kind kiln__cli_kind_after(const char *syntax_error) {
  /* V8's words, which have been the same since Node 12. */
  static const char *const of_modules[] = {"import", "'export'", "await"};
  if (syntax_error == NULL) return KILN__CLI_AUTO;
  if (strstr(syntax_error, "Illegal return") != NULL) return KILN__CLI_COMMONJS;
  for (size_t i = 0; i < sizeof(of_modules) / sizeof(of_modules[0]); i++) {
    if (strstr(syntax_error, of_modules[i]) != NULL) return KILN__CLI_MODULE;
  }
  return KILN__CLI_AUTO;
}

kiln_bytes *kiln__cli_wrap(kiln_bytes *source) {
  static const char head[] = KILN__CLI_WRAPPER_HEAD, tail[] = KILN__CLI_WRAPPER_TAIL;
  kiln_span text = kiln_bytes_get(source);
  size_t length = sizeof(head) - 1 + text.length + sizeof(tail) - 1;
  kiln_bytes_writer *writer = kiln_bytes_writer_new(length, length);
  if (writer == NULL) return NULL;
  bool good = kiln_bytes_writer_append(writer, head, sizeof(head) - 1) == KILN_OK;
  if (good && text.length >= 2 && memcmp(text.data, "#!", 2) == 0) {
    good = kiln_bytes_writer_append(writer, "//", 2) == KILN_OK;
    text = (kiln_span){text.data + 2, text.length - 2};
  }
  if (good && text.length > 0) {
    good = kiln_bytes_writer_append(writer, text.data, text.length) == KILN_OK;
  }
  if (good) good = kiln_bytes_writer_append(writer, tail, sizeof(tail) - 1) == KILN_OK;
  if (good) return kiln_bytes_writer_finish(writer);
  kiln_bytes_writer_free(writer);
  return NULL;
}
