/* SPDX-License-Identifier: MIT
 *
 * contextify_test.c: runs contextify_table.js through the C API, has official Node 18 and 22 run it
 * by contextify_node.js, and compares, line by line. A difference must stand in
 * contextify_differences.txt with its reason; one that stands there and does not occur is a
 * failure, too. Arguments: node18 node22 directory-of-this-file.
 */
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shim/kv8.h"

enum { kCasesMax = 400, kNodes = 2 };

static const char *const kNodeNames[kNodes] = {"node-18", "node-22"};

typedef struct output {
  char *text; /* lines, NUL-ended each */
  char *lines[kCasesMax];
  size_t count;
} output;

static kv8_isolate *isolate;
static kv8_context *outside;

__attribute__((format(printf, 1, 2), noreturn)) static void die(const char *format, ...) {
  va_list args;
  va_start(args, format);
  vfprintf(stderr, format, args);
  va_end(args);
  fputc('\n', stderr);
  exit(EXIT_FAILURE);
}

static void must(kv8_status status, const kv8_error *err, const char *what) {
  if (status != KV8_OK) die("%s: %s: %s", what, kv8_status_name(status), err->message);
}

/* ---- running code --------------------------------------------------------------------------- */

static kv8_status run(kv8_context *context, kv8_span text, kv8_value **ret_value, kv8_error *err) {
  kv8_source source = KV8_SOURCE_INIT;
  source.text = text;
  kv8_script *script = NULL;
  kv8_status status = kv8_script_compile(isolate, &source, &script, NULL, err);
  if (status != KV8_OK) return status;
  status = kv8_script_run(script, context, NULL, ret_value, err);
  kv8_script_free(script);
  return status;
}

static kv8_value *get(const char *text) {
  kv8_error err;
  kv8_value *value = NULL;
  must(run(outside, kv8_span_from(text), &value, &err), &err, text);
  return value;
}

/* The caller frees it. */
static char *text_of(const char *expression) {
  kv8_error err;
  kv8_value *value = get(expression);
  kv8_blob blob = {NULL, 0};
  must(kv8_value_to_string(outside, value, &blob, &err), &err, expression);
  kv8_value_free(value);
  char *text = calloc(1, blob.length + 1);
  if (text == NULL) die("out of memory");
  if (blob.length != 0) memcpy(text, blob.data, blob.length);
  kv8_blob_free(&blob);
  return text;
}

static void set(const char *name, const kv8_value *value) {
  kv8_error err;
  must(kv8_context_set_global(outside, kv8_span_from(name), value, &err), &err, name);
}

/* What contextify_node.js prints of an exception. */
static void print_failure(FILE *out, const kv8_error *err) {
  if (err->name[0] == '\0') {
    fprintf(out, "throws %s", err->message);
  } else if (strcmp(err->name, "Error") == 0) {
    fprintf(out, "throws Error: %s", err->message);
  } else {
    fprintf(out, "throws %s", err->name);
  }
}

/* Prints show(value), which may throw. */
static void print_shown(FILE *out, const char *expression) {
  kv8_error err;
  kv8_value *shown = NULL;
  if (run(outside, kv8_span_from(expression), &shown, &err) != KV8_OK) {
    print_failure(out, &err);
    return;
  }
  set("shown", shown);
  kv8_value_free(shown);
  char *text = text_of("shown");
  fputs(text, out);
  free(text);
}

static void print_step(FILE *out, kv8_context *context, const char *step) {
  bool is_outside = strncmp(step, "main:", 5) == 0;
  kv8_error err;
  kv8_value *value = NULL;
  if (run(is_outside ? outside : context, kv8_span_from(is_outside ? step + 5 : step), &value,
          &err) != KV8_OK) {
    print_failure(out, &err);
    return;
  }
  set("value", value);
  kv8_value_free(value);
  print_shown(out, "show(value)");
}

static void print_case(FILE *out, size_t index) {
  char expression[128];
  kv8_error err;
  snprintf(expression, sizeof expression,
           "var test = cases[%zu]; sandbox = inner = undefined; test[0]", index);
  char *name = text_of(expression);
  char *make = text_of("test[1]");
  kv8_value *sandbox = get(make);
  set("sandbox", sandbox);
  kv8_context_options options = KV8_CONTEXT_OPTIONS_INIT;
  options.contextify = sandbox;
  kv8_context *context = NULL;
  must(kv8_context_new(isolate, &options, &context, &err), &err, name);
  kv8_value_free(sandbox);
  kv8_value *inner = NULL;
  must(kv8_context_copy_global(context, &inner, &err), &err, name);
  set("inner", inner);
  kv8_value_free(inner);

  fprintf(out, "%s\t", name);
  char *steps = text_of("test[2].length");
  for (long i = 0, count = strtol(steps, NULL, 10); i < count; ++i) {
    snprintf(expression, sizeof expression, "test[2][%ld]", i);
    char *step = text_of(expression);
    if (i != 0) fputs(" | ", out);
    print_step(out, context, step);
    free(step);
  }
  fputc('\t', out);
  print_shown(out, "show(sandbox)");
  fputc('\n', out);
  free(steps);
  free(make);
  free(name);
  kv8_context_free(context);
}

/* ---- outputs -------------------------------------------------------------------------------- */

static char *read_all(FILE *file) {
  size_t size = 0;
  char *text = NULL;
  FILE *memory = open_memstream(&text, &size);
  if (memory == NULL) die("out of memory");
  char bytes[4096];
  size_t got;
  while ((got = fread(bytes, 1, sizeof bytes, file)) != 0) fwrite(bytes, 1, got, memory);
  fclose(memory);
  return text;
}

static void split(char *text, output *ret_output) {
  ret_output->text = text;
  char *rest = NULL;
  for (char *line = strtok_r(text, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
    if (ret_output->count == kCasesMax) die("more than %d cases", kCasesMax);
    ret_output->lines[ret_output->count++] = line;
  }
}

static void run_kiln(const char *directory, output *ret_output) {
  char path[1024];
  snprintf(path, sizeof path, "%s/contextify_table.js", directory);
  FILE *file = fopen(path, "r");
  if (file == NULL) die("cannot open %s", path);
  char *table = read_all(file);
  fclose(file);
  kv8_error err;
  must(kv8_engine_start(NULL, &err), &err, "start");
  must(kv8_isolate_new(NULL, &isolate, &err), &err, "isolate");
  must(kv8_context_new(isolate, NULL, &outside, &err), &err, "context");
  must(run(outside, kv8_span_from(table), NULL, &err), &err, path);
  free(table);
  char *counted = text_of("cases.length");
  size_t size = 0;
  char *text = NULL;
  FILE *out = open_memstream(&text, &size);
  if (out == NULL) die("out of memory");
  for (size_t i = 0, count = strtoul(counted, NULL, 10); i < count; ++i) print_case(out, i);
  fclose(out);
  free(counted);
  kv8_context_free(outside);
  kv8_isolate_free(isolate);
  kv8_engine_stop();
  split(text, ret_output);
}

static void run_node(const char *node, const char *directory, output *ret_output) {
  char command[2048];
  snprintf(command, sizeof command, "'%s' '%s/contextify_node.js'", node, directory);
  FILE *pipe = popen(command, "r");
  if (pipe == NULL) die("cannot run %s", command);
  char *text = read_all(pipe);
  if (pclose(pipe) != 0) die("failed: %s", command);
  split(text, ret_output);
}

/* ---- comparing ------------------------------------------------------------------------------ */

/* Finds "node-18 <case> <reason>" in the list, and marks it as seen by cutting its first letter. */
static bool is_listed(output *list, const char *node, const char *line) {
  size_t name = strcspn(line, "\t");
  size_t node_length = strlen(node);
  for (size_t i = 0; i < list->count; ++i) {
    char *entry = list->lines[i];
    if (strncmp(entry, node, node_length) == 0 && entry[node_length] == ' ' &&
        strncmp(entry + node_length + 1, line, name) == 0 && entry[node_length + 1 + name] == ' ') {
      entry[0] = '#';
      return true;
    }
  }
  return false;
}

static unsigned compare(const char *node, const output *expected, const output *got, output *list) {
  unsigned wrong = 0;
  if (expected->count != got->count) {
    die("%s has %zu lines, not %zu", node, expected->count, got->count);
  }
  for (size_t i = 0; i < got->count; ++i) {
    if (strcmp(expected->lines[i], got->lines[i]) != 0 && !is_listed(list, node, got->lines[i])) {
      fprintf(stderr, "unlisted difference\n  %s: %s\n  kiln:    %s\n", node, expected->lines[i],
              got->lines[i]);
      ++wrong;
    }
  }
  return wrong;
}

int main(int argc, char **argv) {
  if (argc != 4) die("usage: contextify_test NODE18 NODE22 DIRECTORY");
  const char *directory = argv[3];
  static output kiln, nodes[kNodes], list;
  char path[1024];
  snprintf(path, sizeof path, "%s/contextify_differences.txt", directory);
  FILE *file = fopen(path, "r");
  if (file == NULL) die("cannot open %s", path);
  split(read_all(file), &list);
  fclose(file);

  run_kiln(directory, &kiln);
  unsigned wrong = kiln.count < 100 ? 1 : 0; /* the table cannot have gone unnoticed */
  for (size_t i = 0; i < kNodes; ++i) {
    run_node(argv[1 + i], directory, &nodes[i]);
    wrong += compare(kNodeNames[i], &nodes[i], &kiln, &list);
  }
  for (size_t i = 0; i < list.count; ++i) {
    if (list.lines[i][0] != '#') {
      fprintf(stderr, "listed, but no difference: %s\n", list.lines[i]);
      ++wrong;
    }
  }
  printf("%zu cases, %zu lines of differences and comments, %u wrong\n", kiln.count, list.count,
         wrong);
  free(kiln.text);
  free(list.text);
  for (size_t i = 0; i < kNodes; ++i) free(nodes[i].text);
  return wrong == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
