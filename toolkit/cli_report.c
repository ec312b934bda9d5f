/* SPDX-License-Identifier: MIT
 *
 * cli_report.c: what `kiln precompile` tells: a bar while it works, a line for each file or JSON at
 * the end.
 */
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "toolkit/cli_precompile.h"

#define BAR 24
#define DRAW_EVERY_NS 50000000U
#define ERASE_LINE "\r\x1b[K"

void kiln__report_clear(const kiln__baking *baking) {
  if (baking->terminal && baking->drawn_ns != 0) fputs(ERASE_LINE, stderr);
}

void kiln__report_progress(kiln__baking *baking) {
  uint64_t now = kiln__cli_now_ns();
  if (!baking->terminal || now - baking->drawn_ns < DRAW_EVERY_NS) return;
  struct winsize window;
  int width = 80;
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col > 0) width = window.ws_col;
  if (width < BAR + 40) return; /* it would wrap, and every drawing leave a line behind */
  size_t count = baking->files.count;
  size_t filled = count == 0 ? 0 : BAR * baking->finished / count;
  char bar[BAR + 1];
  memset(bar, '.', BAR);
  memset(bar, '#', filled);
  bar[BAR] = '\0';
  fprintf(stderr, ERASE_LINE "[%s] %zu of %zu", bar, baking->finished, count);
  if (baking->failed > 0) fprintf(stderr, ", %zu failed", baking->failed);
  fflush(stderr);
  baking->drawn_ns = now;
}

static double milliseconds(uint64_t ns) {
  return (double)ns / 1e6;
}

static json_t *failure_json(const kiln__failure *failure) {
  return json_pack("{s:s, s:o, s:o, s:i, s:i}", "code", failure->code, "name",
                   kiln__cli_json_text(failure->name), "message",
                   kiln__cli_json_text(failure->message), "line", failure->line, "column",
                   failure->column);
}

static json_t *item_json(const kiln__item *item) {
  json_t *value = json_pack("{s:o, s:s, s:s, s:I}", "file", kiln__cli_json_text(item->file->path),
                            "kind", kiln__cli_kind_name(item->kind), "mode",
                            kcc_mode_name((kcc_mode)item->baking->mode), "sourceBytes",
                            (json_int_t)item->source_length);
  json_t *rest = NULL;
  if (item->failure != NULL) {
    rest = json_pack("{s:o}", "error", failure_json(item->failure));
  } else {
    rest =
        json_pack("{s:s, s:s, s:I, s:{s:f, s:f, s:f, s:f, s:f}}", "key", item->key, "cache",
                  kiln_cache_word(item->cache), "blobBytes", (json_int_t)item->blob_length, "times",
                  "queuedMs", milliseconds(item->times.queued_ns), "compileMs",
                  milliseconds(item->times.compile_ns), "runMs", milliseconds(item->times.run_ns),
                  "serializeMs", milliseconds(item->times.serialize_ns), "totalMs",
                  milliseconds(item->times.total_ns));
  }
  if (value == NULL || rest == NULL || json_object_update(value, rest) != 0) {
    json_decref(value);
    value = NULL;
  }
  json_decref(rest);
  return value;
}

typedef struct sums {
  uint64_t source_bytes;
  uint64_t blob_bytes;
  double elapsed_ms;
} sums;

static sums sum_up(const kiln__baking *baking) {
  sums sum = {.elapsed_ms = milliseconds(kiln__cli_now_ns() - baking->started_ns)};
  for (size_t i = 0; i < baking->files.count; i++) {
    if (baking->items[i].failure != NULL) continue;
    sum.source_bytes += baking->items[i].source_length;
    sum.blob_bytes += baking->items[i].blob_length;
  }
  return sum;
}

static json_t *report_json(const kiln__baking *baking, const sums *sum) {
  json_t *files = json_array();
  for (size_t i = 0; i < baking->files.count; i++) {
    if (json_array_append_new(files, item_json(&baking->items[i])) != 0) {
      json_decref(files);
      return NULL;
    }
  }
  return json_pack("{s:o, s:o, s:{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:f}}", "engine",
                   kiln__cli_engine_json(&baking->engine), "files", files, "summary", "files",
                   (json_int_t)baking->files.count, "baked",
                   (json_int_t)(baking->files.count - baking->failed - baking->hits), "hits",
                   (json_int_t)baking->hits, "failed", (json_int_t)baking->failed, "notStored",
                   (json_int_t)baking->not_stored, "sourceBytes", (json_int_t)sum->source_bytes,
                   "blobBytes", (json_int_t)sum->blob_bytes, "elapsedMs", sum->elapsed_ms);
}

static void print_lines(const kiln__baking *baking, const sums *sum) {
  for (size_t i = 0; i < baking->files.count; i++) {
    const kiln__item *item = &baking->items[i];
    if (item->failure != NULL) {
      printf("%-6s  %-64s  %9s  %9s  %s\n", "failed", "-", "-", "-", item->file->path);
      continue;
    }
    printf("%-6s  %s  %9llu  %9llu  %s\n", kiln_cache_word(item->cache), item->key,
           (unsigned long long)item->source_length, (unsigned long long)item->blob_length,
           item->file->path);
  }
  fprintf(stderr, "%zu files, %zu hits, %zu failed", baking->files.count, baking->hits,
          baking->failed);
  if (baking->not_stored > 0) fprintf(stderr, ", %zu not stored", baking->not_stored);
  fprintf(stderr, ": %.1f MB of source, %.1f MB of cache, %.0f ms\n",
          (double)sum->source_bytes / 1e6, (double)sum->blob_bytes / 1e6, sum->elapsed_ms);
}

int kiln__report(const kiln__baking *baking) {
  sums sum = sum_up(baking);
  int status = KILN__CLI_OK;
  if (baking->failed > 0) status = KILN__CLI_FAILED;
  if (baking->not_stored > 0) {
    kiln__cli_complain(baking->self, "the store did not take %zu of %zu files", baking->not_stored,
                       baking->files.count);
    status = KILN__CLI_FAILED;
  }
  if (baking->json) {
    int printed = kiln__cli_print_json(baking->self, report_json(baking, &sum));
    return status == KILN__CLI_OK ? printed : status;
  }
  if (!baking->quiet) print_lines(baking, &sum);
  return kiln__cli_finish(baking->self, status);
}
