/* SPDX-License-Identifier: MIT
 *
 * metrics.c: see metrics.h.
 */
#include "server/metrics.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "server/process.h"
#include "server/route.h"
#include "server/saved.h"

static const struct bucket {
  uint64_t end_us;
  const char *le; /* the same in seconds */
} buckets[SRV_BUCKETS] = {
    {100, "0.0001"},  {250, "0.00025"}, {500, "0.0005"},  {1000, "0.001"},  {2500, "0.0025"},
    {5000, "0.005"},  {10000, "0.01"},  {25000, "0.025"}, {50000, "0.05"},  {100000, "0.1"},
    {250000, "0.25"}, {500000, "0.5"},  {1000000, "1"},   {2500000, "2.5"}, {5000000, "5"},
    {10000000, "10"}, {60000000, "60"},
};

static const char *const class_labels[] = {
#define CLASS_LABEL(symbol, label) label,
    SRV_CLASS_MAP(CLASS_LABEL)
#undef CLASS_LABEL
};

srv_metrics *srv_metrics_new(void) {
  srv_metrics *metrics = calloc(1, sizeof(*metrics));
  if (metrics == NULL) return NULL;
  metrics->routes = calloc(srv_route_count() + 1, sizeof(*metrics->routes));
  metrics->saved = srv_saved_new();
  if (metrics->routes != NULL && metrics->saved != NULL) return metrics;
  srv_metrics_free(metrics);
  return NULL;
}

void srv_metrics_free(srv_metrics *metrics) {
  if (metrics == NULL) return;
  srv_saved_free(metrics->saved);
  free(metrics->routes);
  free(metrics);
}

/* ---- counting */

static void add(_Atomic uint64_t *counter, uint64_t more) {
  atomic_fetch_add_explicit(counter, more, memory_order_relaxed);
}

static srv_class class_of(unsigned status) {
  if (status == 0) return SRV_CLASS_NONE;
  if (status < 300) return SRV_CLASS_2XX;
  if (status < 400) return SRV_CLASS_3XX;
  return status < 500 ? SRV_CLASS_4XX : SRV_CLASS_5XX;
}

void srv_metrics_count(srv_metrics *metrics, const srv_request *request, uint64_t duration_ns) {
  size_t index = request->route != NULL ? srv_route_index(request->route) : srv_route_count();
  srv_route_metrics *route = &metrics->routes[index];
  size_t bucket = 0;
  while (bucket < SRV_BUCKETS && duration_ns > buckets[bucket].end_us * 1000) bucket++;
  add(&route->classes[class_of(request->status)], 1);
  add(&route->buckets[bucket], 1);
  add(&route->sum_ns, duration_ns);
  if (request->received > 0) add(&metrics->body_bytes_in, request->received);
  if (request->sent > 0) add(&metrics->body_bytes_out, request->sent);
  if (request->aborted) add(&metrics->aborted, 1);
}

/* ---- writing */

static uint64_t get(const _Atomic uint64_t *counter) {
  return atomic_load_explicit(counter, memory_order_relaxed);
}

void srv_metrics_label(FILE *out, const char *value) {
  putc('"', out);
  for (; *value != '\0'; value++) {
    if (*value == '"' || *value == '\\')
      fprintf(out, "\\%c", *value);
    else if (*value == '\n')
      fputs("\\n", out);
    else
      putc((unsigned char)*value < 0x20 ? '?' : *value, out);
  }
  putc('"', out);
}

static void write_head(FILE *out, const char *name, const char *type, const char *help) {
  fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void write_one(FILE *out, const char *name, const char *type, const char *help,
                      uint64_t value) {
  write_head(out, name, type, help);
  fprintf(out, "%s %llu\n", name, (unsigned long long)value);
}

/* A route's labels, for the route at `index`. */
static void write_route_labels(FILE *out, size_t index) {
  char path[SRV_TEMPLATE_SIZE] = "none";
  const char *method = "none";
  if (index < srv_route_count()) {
    const srv_route *route = srv_route_at(index);
    srv_route_template(route, path);
    method = srv_route_method(route);
  }
  fprintf(out, "route=\"%s\",method=\"%s\"", path, method);
}

static void write_requests(FILE *out, const srv_metrics *metrics) {
  write_head(
      out, "kiln_http_requests_total", "counter",
      "Requests that ended, by route and class of the status; route none: no such path, code "
      "none: the connection ended first.");
  for (size_t i = 0; i <= srv_route_count(); i++)
    for (unsigned class = 0; class < SRV_CLASSES; class ++) {
      fputs("kiln_http_requests_total{", out);
      write_route_labels(out, i);
      fprintf(out, ",code=\"%s\"} %llu\n", class_labels[class],
              (unsigned long long)get(&metrics->routes[i].classes[class]));
    }
}

static void write_histogram(FILE *out, const srv_metrics *metrics, size_t index) {
  static const char name[] = "kiln_http_request_duration_seconds";
  const srv_route_metrics *route = &metrics->routes[index];
  unsigned long long count = 0;
  for (unsigned i = 0; i <= SRV_BUCKETS; i++) {
    count += get(&route->buckets[i]);
    fprintf(out, "%s_bucket{", name);
    write_route_labels(out, index);
    fprintf(out, ",le=\"%s\"} %llu\n", i < SRV_BUCKETS ? buckets[i].le : "+Inf", count);
  }
  fprintf(out, "%s_sum{", name);
  write_route_labels(out, index);
  fprintf(out, "} %.9f\n%s_count{", (double)get(&route->sum_ns) / 1e9, name);
  write_route_labels(out, index);
  fprintf(out, "} %llu\n", count); /* of the buckets: another thread may count meanwhile */
}

static void write_latencies(FILE *out, const srv_metrics *metrics) {
  write_head(out, "kiln_http_request_duration_seconds", "histogram",
             "From a request's head to the last byte of its answer, by route.");
  for (size_t i = 0; i <= srv_route_count(); i++) write_histogram(out, metrics, i);
}

static bool has_end(const char *name, const char *end) {
  size_t length = strlen(name);
  size_t end_length = strlen(end);
  return length >= end_length && strcmp(name + length - end_length, end) == 0;
}

/* Counters of a map that new ones are added to: which of them are gauges shows in their names. */
static void write_mapped(FILE *out, const char *prefix, const char *name, const char *member,
                         uint64_t value) {
  static const char *const gauges[] = {"_running", "_queued",     "_entries", "_bytes",
                                       "_open",    "_live",       "_waiting", "_ready",
                                       "_idle",    "connections", "images"};
  char full[128];
  char help[160];
  bool gauge = false;
  for (size_t i = 0; i < sizeof(gauges) / sizeof(gauges[0]); i++)
    if (has_end(name, gauges[i])) gauge = true;
  snprintf(full, sizeof(full), "%s%s%s", prefix, name,
           gauge || has_end(name, "_total") ? "" : "_total");
  snprintf(help, sizeof(help), "%s.%s of /v1/stats.", member, name);
  write_one(out, full, gauge ? "gauge" : "counter", help, value);
}

/* Requests and responses are told by route. */
static void write_server(FILE *out, srv_server *server) {
#define WRITE_COUNTER(name)                                                    \
  if (strcmp(#name, "requests") != 0 && strncmp(#name, "responses_", 10) != 0) \
    write_mapped(out, "kiln_http_", #name, "server",                           \
                 atomic_load_explicit(&server->name, memory_order_relaxed));
  SRV_COUNTER_MAP(WRITE_COUNTER)
#undef WRITE_COUNTER
  write_one(out, "kiln_http_threads_filtered", "gauge",
            "1: the system calls of the threads that talk to clients are filtered.",
            server->filtered);
  write_one(out, "kiln_http_requests_in_flight", "gauge",
            "Requests begun and not yet answered to the last byte.",
            atomic_load(&server->in_flight));
  write_one(out, "kiln_http_requests_aborted_total", "counter",
            "Requests whose connection ended before the answer's last byte.",
            get(&server->metrics->aborted));
  write_one(out, "kiln_http_request_body_bytes_total", "counter", "Bytes of requests' bodies.",
            get(&server->metrics->body_bytes_in));
  write_one(out, "kiln_http_response_body_bytes_total", "counter", "Bytes of answers' bodies.",
            get(&server->metrics->body_bytes_out));
}

/* ---- the kiln's counters */

#define FAMILY_MAX 6

/* Counters of one kind under one name, told apart by a label. */
static const struct family {
  const char *name, *help, *label;
  struct {
    const char *value;
    size_t offset;
  } members[FAMILY_MAX];
} families[] = {
    {"kiln_lookups_total",
     "Look-ups of operations in the store, by result; coalesced: another request's bake.",
     "result",
     {{"hit", offsetof(kiln_stats, hits)},
      {"miss", offsetof(kiln_stats, misses)},
      {"coalesced", offsetof(kiln_stats, coalesced)}}},
    {"kiln_jobs_total",
     "Jobs that ended, by what became of the script.",
     "outcome",
     {{"ok", offsetof(kiln_stats, jobs_ok)},
      {"exception", offsetof(kiln_stats, jobs_exception)},
      {"time_limit", offsetof(kiln_stats, jobs_time_limit)},
      {"memory_limit", offsetof(kiln_stats, jobs_memory_limit)},
      {"crashed", offsetof(kiln_stats, jobs_crashed)}}},
    {"kiln_engine_restarts_total",
     "Zygotes that were replaced, by cause: not_ready (none came up), lost (it ended, hung or "
     "broke "
     "the protocol), renewed (it had made as many workers as one may).",
     "cause",
     {{"not_ready", offsetof(kiln_stats, zygotes_not_ready)},
      {"lost", offsetof(kiln_stats, zygotes_lost)},
      {"renewed", offsetof(kiln_stats, zygotes_renewed)}}},
};

/* Those whose names alone would say less. */
static const struct renamed {
  size_t offset;
  const char *name, *help;
} renamed[] = {
    {offsetof(kiln_stats, requests), "kiln_operations_total",
     "Operations begun: compile, createCachedData, run, measureMemory."},
    {offsetof(kiln_stats, jobs), "kiln_jobs_started_total", "Jobs given to workers."},
};

static uint64_t stat_at(const kiln_stats *stats, size_t offset) {
  uint64_t value;
  memcpy(&value, (const char *)stats + offset, sizeof(value));
  return value;
}

/* Whether a family has it; what only has a better name is written here. */
static bool is_told(FILE *out, const kiln_stats *stats, size_t offset) {
  for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++)
    for (size_t k = 0; k < FAMILY_MAX && families[i].members[k].value != NULL; k++)
      if (families[i].members[k].offset == offset) return true;
  for (size_t i = 0; i < sizeof(renamed) / sizeof(renamed[0]); i++) {
    if (renamed[i].offset != offset) continue;
    write_one(out, renamed[i].name, "counter", renamed[i].help, stat_at(stats, offset));
    return true;
  }
  return false;
}

static void write_stats(FILE *out, kiln_stats *stats) {
  stats->zygotes_lost -= stats->zygotes_not_ready; /* each has one cause */
  for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
    const struct family *family = &families[i];
    write_head(out, family->name, "counter", family->help);
    for (size_t k = 0; k < FAMILY_MAX && family->members[k].value != NULL; k++)
      fprintf(out, "%s{%s=\"%s\"} %llu\n", family->name, family->label, family->members[k].value,
              (unsigned long long)stat_at(stats, family->members[k].offset));
  }
#define WRITE_STAT(name)                                \
  if (!is_told(out, stats, offsetof(kiln_stats, name))) \
    write_mapped(out, "kiln_", #name, "kiln", stats->name);
  KILN_STATS_MAP(WRITE_STAT)
#undef WRITE_STAT
}

static void write_reasons(FILE *out, const uint64_t *reasons) {
  write_head(out, "kiln_lookup_reasons_total", "counter", "Why look-ups hit or missed.");
  for (unsigned i = 0; i < KILN_CAUSE_CODES; i++)
    fprintf(out, "kiln_lookup_reasons_total{reason=\"%s\"} %llu\n",
            kiln_cause_word((kiln_cause_code)i), (unsigned long long)reasons[i]);
}

static void write_saved(FILE *out, srv_saved *saved) {
  srv_saved_totals totals = srv_saved_get(saved);
  write_head(out, "kiln_saved_seconds_total", "counter",
             "Engine time that answers from the store did not take: what each key's bake took in "
             "this process, less the look-up.");
  fprintf(out, "kiln_saved_seconds_total %.9f\n", (double)totals.ns / 1e9);
  write_head(out, "kiln_saved_hits_total", "counter",
             "Hits and shared bakes whose bake's time is known, and those that saved an unknown "
             "time: baked before this process began, or long ago.");
  fprintf(out, "kiln_saved_hits_total{known=\"yes\"} %llu\n",
          (unsigned long long)totals.known_hits);
  fprintf(out, "kiln_saved_hits_total{known=\"no\"} %llu\n",
          (unsigned long long)totals.unknown_hits);
}

static void write_engines(FILE *out, kiln *k) {
  write_head(out, "kiln_engine_info", "gauge", "1 for each engine.");
  for (size_t i = 0; i < kiln_engine_count(k); i++) {
    kiln_engine_info info;
    if (kiln_get_engine(k, i, &info, NULL) != KILN_OK) continue;
    fputs("kiln_engine_info{name=", out);
    srv_metrics_label(out, info.name);
    fputs(",v8_version=", out);
    srv_metrics_label(out, info.v8_version);
    fputs(",fingerprint=", out);
    srv_metrics_label(out, info.fingerprint);
    fputs("} 1\n", out);
  }
}

static void write_process(FILE *out) {
  srv_process process;
  srv_process_read(&process);
  write_head(out, "process_start_time_seconds", "gauge", "When it began, since the epoch.");
  fprintf(out, "process_start_time_seconds %.2f\n", process.start_seconds);
  write_head(out, "process_cpu_seconds_total", "counter", "Time on processors, of kilnd alone.");
  fprintf(out, "process_cpu_seconds_total %.2f\n", process.cpu_seconds);
  write_one(out, "process_open_fds", "gauge", "Open file descriptors.", process.open_fds);
  write_one(out, "process_max_fds", "gauge", "Most that may be open.", process.max_fds);
  write_one(out, "process_resident_memory_bytes", "gauge", "Memory in RAM, of kilnd alone.",
            process.resident_bytes);
  write_one(out, "process_virtual_memory_bytes", "gauge", "Address space.", process.virtual_bytes);
  write_one(out, "process_threads", "gauge", "Threads.", process.threads);
}

enum MHD_Result srv_handle_metrics(srv_request *request) {
  srv_server *server = request->server;
  kiln_stats stats = {0};
  uint64_t reasons[KILN_CAUSE_CODES] = {0};
  kiln_error error = {.status = KILN_ECLOSING};
  char *text = NULL;
  size_t length = 0;
  FILE *out = open_memstream(&text, &length);
  if (out == NULL) return MHD_NO;
  kiln *k = srv_enter_kiln(server);
  if (k != NULL) {
    error.status = kiln_get_stats(k, &stats, &error);
    kiln_get_reasons(k, reasons);
    write_engines(out, k);
    srv_leave_kiln(server);
  }
  if (error.status != KILN_OK) {
    fclose(out);
    free(text);
    return srv_send(request, srv_reply_kiln_error(&error));
  }
  write_head(out, "kiln_build_info", "gauge", "1, with kilnd's version.");
  fputs("kiln_build_info{version=\"" KILN_VERSION "\"} 1\n", out);
  write_requests(out, server->metrics);
  write_latencies(out, server->metrics);
  write_server(out, server);
  write_stats(out, &stats);
  write_reasons(out, reasons);
  write_saved(out, server->metrics->saved);
  write_process(out);
  srv_reply reply = srv_reply_stream(MHD_HTTP_OK, out, &text, &length);
  srv_reply_type(&reply, "text/plain; version=0.0.4; charset=utf-8");
  return srv_send(request, reply);
}
