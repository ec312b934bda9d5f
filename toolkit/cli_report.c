/* SPDX-License-Identifier: MIT
 *
 * cli_report.c: what `kiln precompile` tells: how far it is while it works, a line for each file
 * and engine or JSON at the end.
 */
#include <string.h>

#include "toolkit/cli_precompile.h"
#include "toolkit/service.h"

void kiln__report_progress(kiln__baking *baking) {
  kiln__cli_bar_draw(&baking->bar, baking->finished, baking->items_count, baking->sum.failed);
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

json_t *kiln__times_json(const kiln_times *times) {
  return json_pack("{s:f, s:f, s:f, s:f, s:f}", "queuedMs", milliseconds(times->queued_ns),
                   "compileMs", milliseconds(times->compile_ns), "runMs",
                   milliseconds(times->run_ns), "serializeMs", milliseconds(times->serialize_ns),
                   "totalMs", milliseconds(times->total_ns));
}

static json_t *item_json(const kiln__item *item) {
  kcc_mode mode = item->exercise > 0 ? KCC_WORKLOAD : (kcc_mode)item->baking->mode;
  json_t *value =
      json_pack("{s:o, s:s, s:s, s:s, s:I, s:b}", "file",
                kiln__cli_json_text(item->source->file->path), "engine", kiln__item_engine(item),
                "kind", kiln__cli_kind_name(item->kind), "mode", kcc_mode_name(mode), "sourceBytes",
                (json_int_t)item->source->length, "exercised", item->exercise > 0);
  json_t *rest = NULL;
  if (item->failure != NULL) {
    rest = json_pack("{s:o}", "error", failure_json(item->failure));
  } else {
    rest = json_pack("{s:s, s:s, s:I, s:o}", "key", item->key, "cache",
                     kiln_cache_word(item->cache), "blobBytes", (json_int_t)item->blob_length,
                     "times", kiln__times_json(&item->times));
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
  sums sum = {.elapsed_ms = milliseconds(kiln__now_ns() - baking->started_ns)};
  for (size_t i = 0; i < baking->items_count; i++) {
    if (baking->items[i].failure != NULL) continue;
    sum.source_bytes += baking->items[i].source->length;
    sum.blob_bytes += baking->items[i].blob_length;
  }
  return sum;
}

static size_t baked_by(const kiln__tally *tally, size_t count) {
  return count - tally->failed - tally->hits;
}

static json_t *engines_json(const kiln__baking *baking) {
  json_t *engines = json_array();
  for (size_t i = 0; engines != NULL && i < baking->engines_count; i++) {
    const kiln__tally *tally = &baking->tallies[i];
    json_t *engine = kiln__cli_engine_json(&baking->engines[i]);
    json_t *counts = json_pack(
        "{s:I, s:I, s:I, s:I, s:I}", "baked", (json_int_t)baked_by(tally, baking->files.count),
        "hits", (json_int_t)tally->hits, "exercised", (json_int_t)tally->exercised, "failed",
        (json_int_t)tally->failed, "notStored", (json_int_t)tally->not_stored);
    bool good = engine != NULL && counts != NULL && json_object_update(engine, counts) == 0;
    json_decref(counts);
    if (!good || json_array_append(engines, engine) != 0) {
      json_decref(engines);
      engines = NULL;
    }
    json_decref(engine);
  }
  return engines;
}

static json_t *report_json(const kiln__baking *baking, const sums *sum) {
  json_t *files = json_array();
  for (size_t i = 0; i < baking->items_count; i++) {
    if (json_array_append_new(files, item_json(&baking->items[i])) != 0) {
      json_decref(files);
      return NULL;
    }
  }
  return json_pack("{s:o, s:o, s:o, s:{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:f}}",
                   "engine", kiln__cli_engine_json(&baking->engines[0]), "engines",
                   engines_json(baking), "files", files, "summary", "files",
                   (json_int_t)baking->files.count, "engines", (json_int_t)baking->engines_count,
                   "baked", (json_int_t)baked_by(&baking->sum, baking->items_count), "hits",
                   (json_int_t)baking->sum.hits, "exercised", (json_int_t)baking->sum.exercised,
                   "failed", (json_int_t)baking->sum.failed, "notStored",
                   (json_int_t)baking->sum.not_stored, "sourceBytes", (json_int_t)sum->source_bytes,
                   "blobBytes", (json_int_t)sum->blob_bytes, "elapsedMs", sum->elapsed_ms);
}

static void print_lines(const kiln__baking *baking, const sums *sum) {
  bool several = baking->engines_count > 1;
  int width = 0;
  for (size_t i = 0; several && i < baking->engines_count; i++) {
    int length = (int)strlen(baking->engines[i].name) + 2;
    if (length > width) width = length;
  }
  for (size_t i = 0; i < baking->items_count; i++) {
    const kiln__item *item = &baking->items[i];
    const char *engine = several ? kiln__item_engine(item) : "";
    const char *path = item->source->file->path;
    if (item->failure != NULL) {
      printf("%-6s  %*s%-64s  %9s  %9s  %s\n", "failed", -width, engine, "-", "-", "-", path);
      continue;
    }
    printf("%-6s  %*s%s  %9llu  %9llu  %s\n", kiln_cache_word(item->cache), -width, engine,
           item->key, (unsigned long long)item->source->length,
           (unsigned long long)item->blob_length, path);
  }
  fprintf(stderr, "%zu files", baking->files.count);
  if (several) fprintf(stderr, " for %zu engines", baking->engines_count);
  fprintf(stderr, ", %zu hits", baking->sum.hits);
  if (baking->exercises_count > 0) fprintf(stderr, ", %zu exercised", baking->sum.exercised);
  fprintf(stderr, ", %zu failed", baking->sum.failed);
  const char *before = " (";
  for (size_t i = 0; several && i < baking->engines_count; i++) {
    if (baking->tallies[i].failed == 0) continue;
    fprintf(stderr, "%s%s: %zu", before, baking->engines[i].name, baking->tallies[i].failed);
    before = ", ";
  }
  if (*before == ',') fputc(')', stderr);
  if (baking->sum.not_stored > 0) fprintf(stderr, ", %zu not stored", baking->sum.not_stored);
  fprintf(stderr, ": %.1f MB of source, %.1f MB of cache, %.0f ms\n",
          (double)sum->source_bytes / 1e6, (double)sum->blob_bytes / 1e6, sum->elapsed_ms);
}

int kiln__report(const kiln__baking *baking) {
  sums sum = sum_up(baking);
  int status = KILN__CLI_OK;
  if (baking->sum.failed > 0 || baking->exercise_failed) status = KILN__CLI_FAILED;
  if (baking->sum.not_stored > 0) {
    kiln__cli_complain(baking->self, "the store did not take %zu of %zu %s", baking->sum.not_stored,
                       baking->items_count, baking->engines_count > 1 ? "caches" : "files");
    status = KILN__CLI_FAILED;
  }
  if (baking->json) {
    int printed = kiln__cli_print_json(baking->self, report_json(baking, &sum));
    return status == KILN__CLI_OK ? printed : status;
  }
  if (!baking->quiet) print_lines(baking, &sum);
  return kiln__cli_finish(baking->self, status);
}
