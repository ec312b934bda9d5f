/* SPDX-License-Identifier: MIT
 *
 * report.c: what is printed: uncaught exceptions in Node's words, and bytes to descriptors.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "toolkit/kiln.h"
#include "toolkit/run/report.h"

#define SOURCE_MAX (64u << 20)
#define LINE_MAX_BYTES 1024

void kiln__run_write(kiln__run *run, int fd, kv8_span text) {
  while (text.length > 0) {
    ssize_t written = write(fd, text.data, text.length);
    if (written >= 0) {
      text.data += written;
      text.length -= (size_t)written;
    } else if (errno == EAGAIN) {
      struct pollfd wait = {.fd = fd, .events = POLLOUT};
      (void)poll(&wait, 1, /* timeout= */ -1);
    } else if (errno != EINTR) {
      if (fd == STDOUT_FILENO && !run->output_failed) {
        run->output_failed = true;
        run->output_errno = errno;
      }
      return;
    }
  }
}

/* ---- where ---------------------------------------------------------------------------- */

typedef struct place {
  char file[PATH_MAX];
  int line;
  int column;
  int end_column;
  char text[LINE_MAX_BYTES]; /* of the line */
} place;

/* Reads one line of a file. */
static bool read_line(const char *file, int line, char *ret_text, size_t size) {
  struct stat info;
  FILE *stream = fopen(file, "re");
  if (stream == NULL) return false;
  bool found = false;
  if (fstat(fileno(stream), &info) == 0 && S_ISREG(info.st_mode) && info.st_size <= SOURCE_MAX) {
    int at = 1, c = 0;
    while (at < line && (c = getc(stream)) != EOF) at += c == '\n';
    size_t used = 0;
    if (c != EOF) {
      while ((c = getc(stream)) != EOF && c != '\n' && used + 1 < size) ret_text[used++] = (char)c;
      found = true;
    }
    if (used > 0 && ret_text[used - 1] == '\r') used--;
    ret_text[used] = '\0';
  }
  (void)fclose(stream);
  return found;
}

/* Takes "file:line:column" off the end of a frame such as "    at f (/x.js:1:2)". */
static bool parse_frame(const char *frame, size_t length, place *ret_place) {
  if (length > 0 && frame[length - 1] == ')') length--;
  int numbers[2];
  for (int i = 1; i >= 0; i--) {
    size_t end = length;
    while (length > 0 && frame[length - 1] >= '0' && frame[length - 1] <= '9') length--;
    if (length == end || length == 0 || frame[length - 1] != ':') return false;
    numbers[i] = 0;
    for (size_t j = length; j < end && numbers[i] < 100000000; j++) {
      numbers[i] = 10 * numbers[i] + (frame[j] - '0');
    }
    length--;
  }
  size_t start = length;
  while (start > 0 && frame[start - 1] != '(') start--;
  if (start == 0) {
    /* "    at /x.js" and "    at async /x.js" */
    const char *at = memmem(frame, length, "at ", 3);
    if (at == NULL) return false;
    start = (size_t)(at - frame) + 3;
    if (length - start > 6 && strncmp(frame + start, "async ", 6) == 0) start += 6;
  }
  if (length - start >= sizeof(ret_place->file)) return false;
  memcpy(ret_place->file, frame + start, length - start);
  ret_place->file[length - start] = '\0';
  ret_place->line = numbers[0];
  ret_place->column = numbers[1];
  ret_place->end_column = numbers[1] + 1;
  return true;
}

/* The place of the first frame that is in a file. */
static bool place_of_stack(kiln__run *run, const kv8_value *exception, place *ret_place) {
  kv8_value *stack = NULL;
  kv8_blob text = {NULL, 0};
  bool found = false;
  if (kv8_value_is(exception, KV8_CLASS_ERROR) &&
      kv8_object_get_named(run->context, exception, kv8_span_from("stack"), &stack,
                           /* err= */ NULL) == KV8_OK &&
      kv8_value_copy_text(stack, &text, /* err= */ NULL) == KV8_OK) {
    const char *at = (const char *)text.data, *end = at + text.length;
    while (at < end && !found) {
      const char *line_end = memchr(at, '\n', (size_t)(end - at));
      if (line_end == NULL) line_end = end;
      if (line_end - at > 7 && strncmp(at, "    at ", 7) == 0) {
        found =
            parse_frame(at, (size_t)(line_end - at), ret_place) && *ret_place->file == '/' &&
            read_line(ret_place->file, ret_place->line, ret_place->text, sizeof(ret_place->text));
      }
      at = line_end + 1;
    }
  }
  kv8_blob_free(&text);
  kv8_value_free(stack);
  return found;
}

static bool place_of_error(const kv8_error *err, place *ret_place) {
  if (err == NULL || err->line <= 0) return false;
  (void)snprintf(ret_place->file, sizeof(ret_place->file), "%s", err->resource);
  ret_place->line = err->line;
  ret_place->column = err->column;
  ret_place->end_column = err->end_column;
  (void)snprintf(ret_place->text, sizeof(ret_place->text), "%s", err->source_line);
  return true;
}

static const char place_tag; /* its address */

void kiln__run_place(kiln__run *run, const kv8_error *err) {
  place *where = malloc(sizeof(*where));
  if (where == NULL) return;
  kv8_type type = kv8_value_get_type(run->exception);
  if (type != KV8_TYPE_OBJECT || kv8_object_get_attached(run->exception, &place_tag) != NULL ||
      !place_of_error(err, where) ||
      kv8_object_attach(run->context, run->exception, &place_tag, where, free,
                        /* err= */ NULL) != KV8_OK) {
    free(where);
  }
}

void kiln__run_throw_placed(kiln__run *run, kv8_call *call, const kv8_error *err) {
  if (err->status == KV8_EEXCEPTION || err->status == KV8_ESYNTAX) kiln__run_place(run, err);
  kv8_call_throw_failure(call, err);
}

/* Finds where it was thrown: as it was remembered; as `err` says, unless that is in a built-in; as
 * the stack says. */
static const place *find_place(kiln__run *run, const kv8_value *exception, const kv8_error *err) {
  static place where; /* is big */
  if (exception != NULL) {
    const place *remembered = kv8_object_get_attached(exception, &place_tag);
    if (remembered != NULL) return remembered;
  }
  bool built_in = err != NULL && strncmp(err->resource, "node:", 5) == 0;
  if (!built_in && place_of_error(err, &where)) return &where;
  if (exception != NULL && place_of_stack(run, exception, &where)) return &where;
  if (exception != NULL && kv8_value_is(exception, KV8_CLASS_ERROR)) return NULL;
  return built_in && place_of_error(err, &where) ? &where : NULL;
}

static void print_place(FILE *out, const place *where) {
  fprintf(out, "%s:%d\n%s\n", where->file, where->line, where->text);
  int column = where->column > 0 ? where->column : 1;
  for (int i = 1; i < column && where->text[i - 1] != '\0'; i++) {
    fputc(where->text[i - 1] == '\t' ? '\t' : ' ', out);
  }
  int end = where->end_column > column ? where->end_column : column + 1;
  for (int i = column; i < end; i++) fputc('^', out);
  fputc('\n', out);
}

/* ---- what ----------------------------------------------------------------------------- */

void kiln__run_report(kiln__run *run, const kv8_value *exception, const kv8_error *err) {
  kv8_blob said = {NULL, 0};
  char *text = NULL;
  size_t length = 0;
  FILE *out = open_memstream(&text, &length);
  if (out == NULL) return;
  const place *where = find_place(run, exception, err);
  if (exception != NULL) {
    kv8_status status =
        kv8_value_get_type(exception) == KV8_TYPE_STRING
            ? kv8_value_copy_text(exception, &said, /* err= */ NULL)
            : kv8_value_inspect(run->context, &exception, 1, &said, /* err= */ NULL);
    if (status != KV8_OK) said = (kv8_blob){NULL, 0};
    const char *arrow = kiln__run_get_arrow(exception);
    if (arrow != NULL) {
      fprintf(out, "%s\n", arrow);
    } else if (where != NULL && !kiln__run_is_decorated(exception)) {
      print_place(out, where);
      if (kv8_value_is(exception, KV8_CLASS_ERROR)) fputc('\n', out);
    }
    fprintf(out, "%.*s\n", (int)said.length, (const char *)said.data);
    kv8_blob_free(&said);
  } else if (err != NULL) {
    if (where != NULL) print_place(out, where);
    if (*err->stack != '\0') {
      fprintf(out, "\n%s\n", err->stack);
    } else {
      fprintf(out, "%s%s%s%s%s\n", *err->name != '\0' ? err->name : "Error",
              *err->code != '\0' ? " [" : "", err->code, *err->code != '\0' ? "]: " : ": ",
              err->message);
    }
  }
  fprintf(out, "\nKiln v%s\n", KILN_VERSION);
  (void)fclose(out);
  kiln__run_write(run, STDERR_FILENO, (kv8_span){text, length});
  free(text);
}
