/* SPDX-License-Identifier: MIT
 *
 * report.c: samples, their medians and spread, as a table and as JSON. Medians and quantiles, no
 * means: a machine that was busy for a moment should not show.
 */
#include <elf.h>
#include <link.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "bench/bench.h"
#include "shim/kv8.h"

uint64_t bench_now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void bench_add(bench_samples *samples, double value) {
  if (samples->count == samples->capacity) {
    size_t capacity = samples->capacity == 0 ? 64 : 2 * samples->capacity;
    double *values = realloc(samples->values, capacity * sizeof *values);
    if (values == NULL) bench_die("out of memory");
    samples->values = values;
    samples->capacity = capacity;
  }
  samples->values[samples->count++] = value;
}

static int compare(const void *a, const void *b) {
  double x = *(const double *)a;
  double y = *(const double *)b;
  return (x > y) - (x < y);
}

double bench_quantile(const bench_samples *samples, double q) {
  if (samples->count == 0) return NAN;
  double *sorted = malloc(samples->count * sizeof *sorted);
  if (sorted == NULL) bench_die("out of memory");
  memcpy(sorted, samples->values, samples->count * sizeof *sorted);
  qsort(sorted, samples->count, sizeof *sorted, compare);
  /* Between two samples, in proportion. */
  double place = q * (double)(samples->count - 1);
  size_t low = (size_t)place;
  size_t high = low + 1 < samples->count ? low + 1 : low;
  double value = sorted[low] + (place - (double)low) * (sorted[high] - sorted[low]);
  free(sorted);
  return value;
}

bench_row *bench_report_add(bench_report *report, const char *what, const char *unit,
                            bench_goal goal, double target) {
  if (report->rows_count == BENCH_ROWS_MAX) bench_die("over %d rows", BENCH_ROWS_MAX);
  bench_row *row = &report->rows[report->rows_count++];
  *row = (bench_row){.unit = unit, .goal = goal, .target = target};
  snprintf(row->what, sizeof row->what, "%s", what);
  return row;
}

void bench_report_release(bench_report *report) {
  for (size_t i = 0; i < report->rows_count; i++) {
    free(report->rows[i].ours.values);
    free(report->rows[i].peer.values);
  }
  report->rows_count = 0;
}

static double ratio_of(const bench_row *row) {
  return bench_quantile(&row->ours, 0.5) / bench_quantile(&row->peer, 0.5);
}

static bool met(const bench_row *row) {
  return row->goal == BENCH_AT_MOST ? ratio_of(row) <= row->target : ratio_of(row) >= row->target;
}

/* "median (p10 to p90)", with about three digits that say something. */
static void print_samples(const bench_samples *samples, char *ret_text, size_t size) {
  if (samples->count == 0) {
    snprintf(ret_text, size, "-");
    return;
  }
  double median = bench_quantile(samples, 0.5);
  int digits = median >= 100 ? 0 : median >= 10 ? 1 : median >= 1 ? 2 : 3;
  if (samples->count == 1) {
    snprintf(ret_text, size, "%.*f", digits, median);
  } else {
    snprintf(ret_text, size, "%.*f (%.*f to %.*f)", digits, median, digits,
             bench_quantile(samples, 0.1), digits, bench_quantile(samples, 0.9));
  }
}

void bench_report_print(const bench_report *report, FILE *out) {
  fprintf(out, "%s: medians (p10 to p90)\n%-34s  %-10s %24s  %24s  %6s  %s\n", report->name, "", "",
          report->ours, report->peer, "ratio", "target");
  for (size_t i = 0; i < report->rows_count; i++) {
    const bench_row *row = &report->rows[i];
    char ours[64];
    char peer[64];
    char ratio[16] = "";
    char target[32] = "";
    print_samples(&row->ours, ours, sizeof ours);
    print_samples(&row->peer, peer, sizeof peer);
    if (row->peer.count > 0) snprintf(ratio, sizeof ratio, "%.3f", ratio_of(row));
    if (row->goal != BENCH_NO_GOAL) {
      snprintf(target, sizeof target, "%s %.2f, %s",
               row->goal == BENCH_AT_MOST ? "<=" : ">=", row->target, met(row) ? "met" : "missed");
    }
    fprintf(out, "%-34s  %-10s %24s  %24s  %6s  %s%s%s\n", row->what, row->unit, ours, peer, ratio,
            target, target[0] != '\0' && row->note[0] != '\0' ? "; " : "", row->note);
  }
  fprintf(out, "\n");
}

static json_t *samples_json(const bench_samples *samples) {
  if (samples->count == 0) return json_null();
  return json_pack("{s:f, s:f, s:f, s:f, s:f, s:I}", "median", bench_quantile(samples, 0.5), "p10",
                   bench_quantile(samples, 0.1), "p90", bench_quantile(samples, 0.9), "p99",
                   bench_quantile(samples, 0.99), "best", bench_quantile(samples, 0), "samples",
                   (json_int_t)samples->count);
}

json_t *bench_report_json(const bench_report *report) {
  json_t *rows = json_array();
  for (size_t i = 0; i < report->rows_count; i++) {
    const bench_row *row = &report->rows[i];
    bool compared = row->peer.count > 0;
    json_t *object = json_pack("{s:s, s:s, s:o, s:o, s:o}", "what", row->what, "unit", row->unit,
                               "kiln", samples_json(&row->ours), "peer", samples_json(&row->peer),
                               "ratio", compared ? json_real(ratio_of(row)) : json_null());
    if (row->goal != BENCH_NO_GOAL) {
      json_object_set_new(object, row->goal == BENCH_AT_MOST ? "atMost" : "atLeast",
                          json_real(row->target));
      json_object_set_new(object, "met", json_boolean(met(row)));
    }
    if (row->note[0] != '\0') json_object_set_new(object, "note", json_string(row->note));
    json_array_append_new(rows, object);
  }
  return json_pack("{s:s, s:s, s:s, s:o}", "name", report->name, "ours", report->ours, "peer",
                   report->peer, "rows", rows);
}

/* Takes the build id of the first object, which is this program. */
static int find_build_id(struct dl_phdr_info *info, size_t size, void *user) {
  char *hex = user;
  (void)size;
  for (size_t i = 0; i < info->dlpi_phnum; i++) {
    const ElfW(Phdr) *header = &info->dlpi_phdr[i];
    if (header->p_type != PT_NOTE) continue;
    const char *at = (const char *)(info->dlpi_addr + header->p_vaddr);
    const char *end = at + header->p_memsz;
    while ((size_t)(end - at) >= sizeof(ElfW(Nhdr))) {
      ElfW(Nhdr) note;
      memcpy(&note, at, sizeof note);
      const char *name = at + sizeof note;
      const unsigned char *bytes = (const unsigned char *)name + ((note.n_namesz + 3u) & ~3u);
      if (note.n_type == NT_GNU_BUILD_ID && note.n_descsz <= 32) {
        for (size_t k = 0; k < note.n_descsz; k++) snprintf(hex + 2 * k, 3, "%02x", bytes[k]);
        return 1;
      }
      at = (const char *)bytes + ((note.n_descsz + 3u) & ~3u);
    }
  }
  return 1;
}

static void read_cpu_model(char *ret_model, size_t size) {
  char line[512];
  FILE *in = fopen("/proc/cpuinfo", "r");
  snprintf(ret_model, size, "unknown");
  while (in != NULL && fgets(line, sizeof line, in) != NULL) {
    char *value = strchr(line, ':');
    if (strncmp(line, "model name", 10) != 0 || value == NULL) continue;
    value[strcspn(value, "\n")] = '\0';
    snprintf(ret_model, size, "%s", value + 2);
    break;
  }
  if (in != NULL) fclose(in);
}

json_t *bench_environment(void) {
  char build_id[72] = "";
  char cpu[256];
  char date[32];
  struct utsname system;
  kv8_engine_info engine = {0};
  kv8_error err;
  time_t now = time(NULL);
  struct tm utc;
  dl_iterate_phdr(find_build_id, build_id);
  read_cpu_model(cpu, sizeof cpu);
  uname(&system);
  gmtime_r(&now, &utc);
  strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%SZ", &utc);
  if (kv8_engine_get_info(&engine, &err) != KV8_OK) bench_die("%s", err.message);
  return json_pack("{s:s, s:s, s:s, s:s, s:I, s:s, s:{s:s, s:s, s:s, s:I}}", "date", date, "kiln",
                   KILN_PROJECT_VERSION, "buildId", build_id, "cpu", cpu, "cores",
                   (json_int_t)sysconf(_SC_NPROCESSORS_ONLN), "kernel", system.release, "v8",
                   "version", engine.v8_version, "buildId", engine.build_id, "flags", engine.flags,
                   "cachedDataTag", (json_int_t)engine.cached_data_tag);
}
