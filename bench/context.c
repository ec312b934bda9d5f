/* SPDX-License-Identifier: MIT
 *
 * context.c: what contexts cost. `context`: a new plain context with one run in it, and access to
 * its globals, against bare V8. `globals`: access to the globals of a contextified object, against
 * node:vm of official Node.
 */
#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"
#include "shim/kv8.h"
#include "shim/raw/raw.h"

#define CONTEXT_GOAL 1.05
#define GLOBALS_GOAL 1.0
#define ROUNDS 25
#define CONTEXTS 200 /* a round's new contexts, one after the other */

static const char small_script[] = "let answer = 6 * 7; answer";

/* What each line of bench/globals.js does, too: keep them alike. `n` is the number of accesses. */
static const struct {
  const char *what;
  const char *source;
  double plain_n;
  double contextified_n;
} accesses[] = {
    {"read a global",
     "(function (n) { let sum = 0; for (let i = 0; i < n; i++) sum += count; return sum })", 2e7,
     2e5},
    {"write a global", "(function (n) { for (let i = 0; i < n; i++) count = i; return count })",
     2e7, 2e5},
    {"call a global function",
     "(function (n) { for (let i = 0; i < n; i++) Math.abs(i); return n })", 2e7, 2e5},
};
#define ACCESSES (sizeof(accesses) / sizeof(accesses[0]))

static void check(kv8_status status, const kv8_error *err) {
  if (status != KV8_OK) bench_die("%s: %s", kv8_status_name(err->status), err->message);
}

static kv8_isolate *new_isolate(void) {
  kv8_error err;
  kv8_isolate *isolate;
  check(kv8_isolate_new(NULL, &isolate, &err), &err);
  return isolate;
}

/* ---- a plain context and one run ----------------------------------------------------------- */

static double ours_contexts(void) {
  kv8_isolate *isolate = new_isolate();
  kv8_source source = KV8_SOURCE_INIT;
  kv8_error err;
  source.text = kv8_span_from(small_script);
  uint64_t start = bench_now_ns();
  for (int i = 0; i < CONTEXTS; i++) {
    kv8_context *context;
    kv8_script *script;
    kv8_value *value;
    check(kv8_context_new(isolate, NULL, &context, &err), &err);
    check(kv8_script_compile(isolate, &source, &script, NULL, &err), &err);
    check(kv8_script_run(script, context, NULL, &value, &err), &err);
    kv8_value_free(value);
    kv8_script_free(script);
    kv8_context_free(context);
  }
  uint64_t end = bench_now_ns();
  kv8_isolate_free(isolate);
  return (double)(end - start) / 1e3 / CONTEXTS;
}

static double peer_contexts(void) {
  uint64_t ns;
  if (!kv8_raw_contexts(small_script, CONTEXTS, &ns)) bench_die("bare V8 failed");
  return (double)ns / 1e3 / CONTEXTS;
}

/* ---- access to globals --------------------------------------------------------------------- */

/* Nanoseconds for each of `n` accesses that `text`, a function of n, makes in `context`. */
static double call_ns(kv8_isolate *isolate, kv8_context *context, const char *text, double n) {
  kv8_source source = KV8_SOURCE_INIT;
  kv8_error err;
  kv8_script *script;
  kv8_value *function;
  kv8_value *argument;
  source.text = kv8_span_from(text);
  check(kv8_script_compile(isolate, &source, &script, NULL, &err), &err);
  check(kv8_script_run(script, context, NULL, &function, &err), &err);
  check(kv8_number(isolate, n, &argument, &err), &err);
  const kv8_value *const arguments[] = {argument};
  uint64_t start = bench_now_ns();
  check(kv8_value_call(context, function, NULL, arguments, 1, NULL, NULL, &err), &err);
  uint64_t end = bench_now_ns();
  kv8_value_free(argument);
  kv8_value_free(function);
  kv8_script_free(script);
  return (double)(end - start) / n;
}

static double ours_plain(size_t which) {
  kv8_isolate *isolate = new_isolate();
  kv8_context *context;
  kv8_error err;
  check(kv8_context_new(isolate, NULL, &context, &err), &err);
  check(kv8_context_set_globals_json(context, kv8_span_from("{\"count\":1}"), &err), &err);
  double ns = call_ns(isolate, context, accesses[which].source, accesses[which].plain_n);
  kv8_context_free(context);
  kv8_isolate_free(isolate);
  return ns;
}

static double peer_plain(size_t which) {
  uint64_t ns;
  if (!kv8_raw_call("var count = 1;", accesses[which].source, accesses[which].plain_n, &ns)) {
    bench_die("bare V8 failed");
  }
  return (double)ns / accesses[which].plain_n;
}

static double ours_contextified(size_t which) {
  kv8_isolate *isolate = new_isolate();
  kv8_context_options options = KV8_CONTEXT_OPTIONS_INIT;
  kv8_context *outer;
  kv8_context *context;
  kv8_value *object;
  kv8_error err;
  check(kv8_context_new(isolate, NULL, &outer, &err), &err);
  check(kv8_value_from_json(outer, kv8_span_from("{\"count\":1}"), &object, &err), &err);
  options.contextify = object;
  check(kv8_context_new(isolate, &options, &context, &err), &err);
  double ns = call_ns(isolate, context, accesses[which].source, accesses[which].contextified_n);
  kv8_context_free(context);
  kv8_value_free(object);
  kv8_context_free(outer);
  kv8_isolate_free(isolate);
  return ns;
}

static double peer_contextified(char *node, char *script, size_t which) {
  char *n = bench_format("%.0f", accesses[which].contextified_n);
  char *source = bench_format("%s", accesses[which].source);
  char *argv[] = {node, script, source, n, NULL};
  char *printed = bench_run(argv, /* ret_ns= */ NULL);
  double ns = strtod(printed, NULL) / accesses[which].contextified_n;
  if (!(ns > 0)) bench_die("%s: printed '%s'", script, printed);
  free(printed);
  free(source);
  free(n);
  return ns;
}

/* ---- the two benchmarks -------------------------------------------------------------------- */

void bench_context(const bench_options *options, bench_report *report) {
  unsigned rounds = options->rounds != 0 ? options->rounds : options->quick ? 1 : ROUNDS;
  bench_row *row =
      bench_report_add(report, "new plain context, one run", "us", BENCH_AT_MOST, CONTEXT_GOAL);
  for (unsigned round = 0; round < rounds; round++) {
    if (round % 2 == 0) bench_add(&row->ours, ours_contexts());
    bench_add(&row->peer, peer_contexts());
    if (round % 2 == 1) bench_add(&row->ours, ours_contexts());
  }
  for (size_t i = 0; i < ACCESSES; i++) {
    row = bench_report_add(report, accesses[i].what, "ns", BENCH_AT_MOST, CONTEXT_GOAL);
    for (unsigned round = 0; round < rounds; round++) {
      if (round % 2 == 0) bench_add(&row->ours, ours_plain(i));
      bench_add(&row->peer, peer_plain(i));
      if (round % 2 == 1) bench_add(&row->ours, ours_plain(i));
    }
  }
}

void bench_globals(const bench_options *options, bench_report *report) {
  char node[] = KILN_SOURCE_DIR "/build/npm/node_modules/node-18/bin/node";
  char script[] = KILN_SOURCE_DIR "/bench/globals.js";
  unsigned rounds = options->rounds != 0 ? options->rounds : options->quick ? 1 : ROUNDS;
  for (size_t i = 0; i < ACCESSES; i++) {
    bench_row *row = bench_report_add(report, accesses[i].what, "ns", BENCH_AT_MOST, GLOBALS_GOAL);
    for (unsigned round = 0; round < rounds; round++) {
      bench_add(&row->ours, ours_contextified(i));
      bench_add(&row->peer, peer_contextified(node, script, i));
    }
  }
}
