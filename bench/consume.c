/* SPDX-License-Identifier: MIT
 *
 * consume.c: what the shim costs over bare V8: compiling each bundle with cached data, from UTF-8
 * bytes to an unbound script, each time in a fresh isolate (V8's own compilation cache would answer
 * a second time).
 */
#include <stdlib.h>

#include "bench/bench.h"
#include "shim/kv8.h"
#include "shim/raw/raw.h"

#define GOAL 1.05
#define ROUNDS 25

static void check(kv8_status status, const kv8_error *err, const char *name) {
  if (status != KV8_OK) {
    bench_die("%s: %s: %s", name, kv8_status_name(err->status), err->message);
  }
}

/* Compiles `source` in an isolate of its own; gives the time, or with `ret_data` cached data. */
static double compile(const kv8_source *source, const char *name, kv8_blob *ret_data) {
  kv8_error err;
  kv8_isolate *isolate;
  kv8_context *context;
  kv8_script *script;
  kv8_cache_outcome outcome;
  check(kv8_isolate_new(NULL, &isolate, &err), &err, name);
  /* The peer needs a context to compile in; the shim may not, but then isolates would differ. */
  check(kv8_context_new(isolate, NULL, &context, &err), &err, name);
  uint64_t start = bench_now_ns();
  check(kv8_script_compile(isolate, source, &script, &outcome, &err), &err, name);
  uint64_t end = bench_now_ns();
  if (ret_data != NULL) {
    check(kv8_script_create_cached_data(script, ret_data, &err), &err, name);
  } else if (outcome != KV8_CACHE_ACCEPTED) {
    bench_die("%s: V8 did not accept the cached data", name);
  }
  kv8_script_free(script);
  kv8_context_free(context);
  kv8_isolate_free(isolate);
  return (double)(end - start) / 1e6;
}

void bench_consume(const bench_options *options, bench_report *report) {
  bench_corpus corpus;
  bench_corpus_load(&corpus);
  unsigned rounds = options->rounds != 0 ? options->rounds : options->quick ? 1 : ROUNDS;
  bench_samples ours_sum = {0};
  bench_samples peer_sum = {0};

  for (size_t i = 0; i < corpus.count; i++) {
    const bench_bundle *bundle = &corpus.bundles[i];
    bench_file file = bench_read(bundle->path);
    kv8_source source = KV8_SOURCE_INIT;
    kv8_blob data;
    source.text = (kv8_span){file.data, file.length};
    source.filename = kv8_span_from(bundle->path);
    compile(&source, bundle->name, &data);
    source.cached_data = (kv8_span){(const char *)data.data, data.length};

    bench_row *row = bench_report_add(report, bundle->name, "ms", BENCH_AT_MOST, GOAL);
    bench_samples bare = {0};
    for (unsigned round = 0; round < rounds; round++) {
      kv8_raw_times times;
      /* Whoever comes second finds warmer caches: take turns. */
      if (round % 2 == 0) bench_add(&row->ours, compile(&source, bundle->name, NULL));
      if (!kv8_raw_consume(file.data, file.length, bundle->path, data.data, data.length, &times) ||
          times.rejected) {
        bench_die("%s: bare V8 did not accept the cached data", bundle->name);
      }
      if (round % 2 == 1) bench_add(&row->ours, compile(&source, bundle->name, NULL));
      bench_add(&row->peer, (double)(times.string_ns + times.compile_ns) / 1e6);
      bench_add(&bare, (double)times.compile_ns / 1e6);
    }
    for (unsigned round = 0; round < rounds; round++) {
      if (i == 0) {
        bench_add(&ours_sum, 0);
        bench_add(&peer_sum, 0);
      }
      ours_sum.values[round] += row->ours.values[round];
      peer_sum.values[round] += row->peer.values[round];
    }
    snprintf(row->note, sizeof row->note, "%zu KiB of cached data; V8 without its string: %.2f ms",
             data.length / 1024, bench_quantile(&bare, 0.5));
    free(bare.values);
    free(file.data);
    kv8_blob_free(&data);
  }
  bench_row *all = bench_report_add(report, "all", "ms", BENCH_AT_MOST, GOAL);
  all->ours = ours_sum;
  all->peer = peer_sum;
  bench_corpus_release(&corpus);
}
