/* SPDX-License-Identifier: MIT
 *
 * service.c: opening and closing a kiln, taking requests, and what it knows of itself. What happens
 * to a request is in service_bake.c and service_run.c.
 */
#include "toolkit/service.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "toolkit/image.h"
#include "toolkit/session_table.h"
#include "toolkit/status.h"

#define MIB (1024ULL * 1024)

uint64_t kiln__now_ns(void) {
  struct timespec now;
  (void)clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

kcc_span kiln__kcc_span(kiln_span span) {
  return (kcc_span){span.data, span.length};
}

kiln_status kiln__from_kcc(const kcc_error *error, kiln_error *err) {
  kiln_status status = KILN_ESTORE;
  if (error->status == KCC_ENOMEM) status = KILN_ENOMEM;
  if (error->status == KCC_ETOOBIG) status = KILN_ETOOBIG;
  return kiln__fail(err, status, /* code= */ NULL, "%s", error->message);
}

/* Takes the caller's options over, with the defaults filled in. */
static kiln_status set_options(kiln *k, const kiln_options *options, kiln_error *err) {
  if (options != NULL) {
    if (options->struct_size != sizeof(kiln_options)) {
      return kiln__fail(err, KILN_EINVAL, NULL, "options are of %zu bytes, this library's of %zu",
                        options->struct_size, sizeof(kiln_options));
    }
    if (options->sandbox_off && options->sandbox_required) {
      return kiln__fail(err, KILN_EINVAL, NULL, "the sandbox cannot be off and required");
    }
    k->options = *options;
  }
  kiln_options *o = &k->options;
  long cores = sysconf(_SC_NPROCESSORS_ONLN);
  if (o->workers_max == 0) o->workers_max = cores > 0 ? (unsigned)cores : 1;
  if (o->queue_max == 0) o->queue_max = 256;
  if (o->forks_per_zygote == 0) o->forks_per_zygote = 10000;
  if (o->heap_max_bytes == 0) o->heap_max_bytes = 256 * MIB;
  if (o->memory_max_bytes == 0) o->memory_max_bytes = o->heap_max_bytes + 256 * MIB;
  if (o->source_max_bytes == 0) o->source_max_bytes = 64 * MIB;
  if (o->result_max_bytes == 0) o->result_max_bytes = 16 * MIB;
  if (o->console_max_bytes == 0) o->console_max_bytes = 1 * MIB;
  if (o->timeout_max_ms == 0) o->timeout_max_ms = 60000;
  if (o->timeout_default_ms == 0) {
    o->timeout_default_ms = o->timeout_max_ms < 5000 ? o->timeout_max_ms : 5000;
  }
  if (o->kill_grace_ms == 0) o->kill_grace_ms = 150;
  if (o->sessions_max == 0) o->sessions_max = 64;
  if (o->session_idle_ms == 0) o->session_idle_ms = 300000;
  if (o->images_max == 0) o->images_max = 64;
  if (o->images_max_bytes == 0) o->images_max_bytes = 1024 * MIB;
  if (o->image_idle_ms == 0) o->image_idle_ms = 600000;
  if (o->images_max > KILN_IMAGES_MAX) {
    return kiln__fail(err, KILN_EINVAL, NULL, "images_max is %u, limit %d", o->images_max,
                      KILN_IMAGES_MAX);
  }
  if (o->timeout_default_ms > o->timeout_max_ms) {
    return kiln__fail(err, KILN_EINVAL, NULL, "default timeout is %u ms, over the maximum of %u ms",
                      o->timeout_default_ms, o->timeout_max_ms);
  }
  if (o->memory_max_bytes < o->heap_max_bytes) {
    return kiln__fail(
        err, KILN_EINVAL, NULL, "memory limit is %llu bytes, less than the heap's %llu",
        (unsigned long long)o->memory_max_bytes, (unsigned long long)o->heap_max_bytes);
  }
  return KILN_OK;
}

static kiln_status open_store(kiln *k, kiln_error *err) {
  if (k->options.store_path == NULL) return KILN_OK;
  kcc_store_options options = KCC_STORE_OPTIONS_INIT;
  kcc_error error;
  options.read_only = k->options.store_read_only;
  kcc_status status = kcc_store_open(k->options.store_path, &options, &k->store, &error);
  return status == KCC_OK ? KILN_OK : kiln__from_kcc(&error, err);
}

/* On the writer thread. What goes wrong goes wrong again when the log is full, or at the end. */
static void take_up_log(void *user) {
  const kiln *k = user;
  (void)kcc_store_checkpoint(k->store, /* err= */ NULL);
}

/* Frees a kiln that may be half built. */
static void destroy(kiln *k, unsigned drain_ms) {
  kiln__sessions_stop(k);
  kiln__engines_settle(k, drain_ms);
  /* While the processes end, the last entries are written and the store is closed. */
  kiln__writer_stop(&k->writer);
  kcc_store_close(k->store);
  kiln__engines_free(k);
  kiln__sessions_free(k);
  kiln_flights_free(k->flights);
  kiln__images_destroy(&k->images);
  kiln__offenders_free(k->offenders);
  (void)pthread_cond_destroy(&k->idle);
  (void)pthread_mutex_destroy(&k->mutex);
  free(k);
}

kiln_status kiln_open(const kiln_options *options, kiln **ret_kiln, kiln_error *err) {
  kiln *k = calloc(1, sizeof(*k));
  if (k == NULL) return kiln__fail(err, KILN_ENOMEM, NULL, "no memory for a kiln");
  (void)pthread_mutex_init(&k->mutex, /* attributes= */ NULL);
  (void)pthread_cond_init(&k->idle, /* attributes= */ NULL);
  kiln__images_init(&k->images);
  kiln_status status = set_options(k, options, err);
  /* The engines start while the store is opened: on the first use of both they take about as long.
   */
  if (status == KILN_OK) {
    kiln_error reason;
    status = kiln__engines_start(k, err);
    if (status == KILN_OK) status = open_store(k, err);
    kiln_status awaited = kiln__engines_await(k, &reason);
    if (status == KILN_OK && awaited != KILN_OK) {
      status = awaited;
      if (err != NULL) *err = reason;
    }
  }
  if (status == KILN_OK && k->store != NULL && !k->options.store_read_only) {
    status = kiln__writer_start(&k->writer, take_up_log, k, err);
  }
  if (status == KILN_OK) status = kiln__sessions_new(k, err);
  if (status == KILN_OK) {
    k->flights = kiln_flights_new(KILN__TICKETS_MAX);
    if (k->flights == NULL) {
      status = kiln__fail(err, KILN_ENOMEM, NULL, "no memory for the table of flights");
    }
  }
  if (status == KILN_OK && k->options.crashes_max > 0) {
    k->offenders = kiln__offenders_new(k->options.crashes_max);
    if (k->offenders == NULL)
      status = kiln__fail(err, KILN_ENOMEM, NULL, "no memory for the table of offenders");
  }
  if (status != KILN_OK) {
    destroy(k, /* drain_ms= */ 0);
    return status;
  }
  k->options.store_path = NULL;
  k->options.engine_path = NULL;
  k->options.engines_dir = NULL;
  k->options.engines = NULL;
  *ret_kiln = k;
  return KILN_OK;
}

void kiln_close(kiln *k, unsigned drain_ms) {
  if (k == NULL) return;
  (void)pthread_mutex_lock(&k->mutex);
  k->closing = true;
  while (k->calls > 0) (void)pthread_cond_wait(&k->idle, &k->mutex);
  (void)pthread_mutex_unlock(&k->mutex);
  destroy(k, drain_ms);
}

kiln_status kiln__enter(kiln *k, kiln_error *err) {
  (void)pthread_mutex_lock(&k->mutex);
  bool closing = k->closing;
  if (!closing) k->calls++;
  (void)pthread_mutex_unlock(&k->mutex);
  return closing ? kiln__fail(err, KILN_ECLOSING, NULL, "the service is stopping") : KILN_OK;
}

void kiln__leave(kiln *k) {
  (void)pthread_mutex_lock(&k->mutex);
  if (--k->calls == 0 && k->closing) (void)pthread_cond_broadcast(&k->idle);
  (void)pthread_mutex_unlock(&k->mutex);
}

void kiln__note_end(kiln *k, kiln_bytes *source, const kiln_job_result *result) {
  /* A kill may be an operator's, or for the memory of others. */
  if (k->offenders != NULL && source != NULL &&
      (result->status == KILN_OK || result->status == KILN_GONE) &&
      result->outcome == KILN_OUTCOME_CRASHED && result->signal != SIGKILL)
    kiln__offenders_note(k->offenders, source, kiln__now_ns());
}

bool kiln__refuse_offender(kiln *k, const kiln__engine *engine, kiln_op op, kiln_bytes *source,
                           kiln_done_fn done, void *user) {
  char message[160];
  if (k->offenders == NULL) return false;
  uint64_t left_ms = kiln__offenders_left_ms(k->offenders, source, kiln__now_ns());
  if (left_ms == 0) return false;
  (void)snprintf(message, sizeof(message),
                 "this source has crashed its engine process %u times; it is refused for another "
                 "%llu s",
                 k->options.crashes_max, (unsigned long long)(left_ms + 999) / 1000);
  kiln_response response = {.op = op,
                            .outcome = KILN_OUTCOME_CRASHED,
                            .engine = engine->info.name,
                            .code = KILN_CODE_REFUSED,
                            .name = "Error",
                            .message = message,
                            .stack = "",
                            .resource = "",
                            .source_line = "",
                            .cached_data_rejected = -1};
  atomic_fetch_add(&k->refused, 1);
  done(user, &response);
  return true;
}

kiln_status kiln_submit(kiln *k, const kiln_request *request, kiln_done_fn done, void *user,
                        kiln_error *err) {
  uint64_t started_ns = kiln__now_ns();
  kiln_status status = kiln__enter(k, err);
  if (status != KILN_OK) return status;
  atomic_fetch_add(&k->requests, 1);
  const kiln__engine *engine;
  status = kiln__find_engine(k, request->engine, &engine, err);
  if (status == KILN_OK) status = kiln__check_request(k, request, err);
  if (status == KILN_OK &&
      !kiln__refuse_offender(k, engine, request->op, request->source, done, user)) {
    switch (request->op) {
      case KILN_COMPILE:
      case KILN_CREATE_CACHED_DATA:
      case KILN_IMPORT:
        status = kiln__submit_bake(k, engine, request, done, user, started_ns, err);
        break;
      case KILN_RUN:
        status = kiln__submit_run(k, engine, request, done, user, started_ns, err);
        break;
      case KILN_MEASURE_MEMORY:
        status = kiln__submit_measure(k, engine, request, done, user, started_ns, err);
        break;
      case KILN_IMAGE:
      case KILN_SESSION: /* refused by the check */
        break;
    }
  }
  if (status == KILN_EBUSY) atomic_fetch_add(&k->busy, 1);
  kiln__leave(k);
  return status;
}

kiln_status kiln__lookup(kiln *k, const kiln__engine *engine, const kcc_digest *key,
                         kiln_bytes **ret_blob, kcc_entry_info *ret_info, kiln_error *err) {
  kcc_entry entry;
  kcc_error error;
  if (k->store == NULL) return kiln__fail(err, KILN_NOT_FOUND, NULL, "there is no store");
  kcc_status status =
      kcc_store_get(k->store, key, engine != NULL ? &engine->fingerprint : NULL, &entry, &error);
  if (status == KCC_MISS) return kiln__fail(err, KILN_NOT_FOUND, NULL, "no such key");
  if (status != KCC_OK) return kiln__from_kcc(&error, err);
  kiln_bytes *blob = kiln_bytes_new(entry.blob.data, entry.blob.length);
  if (ret_info != NULL) *ret_info = entry.info;
  kcc_entry_free(&entry);
  if (blob == NULL) return kiln__fail(err, KILN_ENOMEM, NULL, "no memory for a blob");
  *ret_blob = blob;
  return KILN_OK;
}

kiln_status kiln_get_cached_data(kiln *k, kiln_span key, kiln_bytes **ret_blob, kiln_error *err) {
  kcc_digest digest;
  if (!kcc_digest_parse(key.data, key.length, &digest)) {
    char quoted[KILN__QUOTE_BYTES];
    return kiln__fail(err, KILN_EINVAL, NULL, "key %s: not 64 hex digits",
                      kiln__quote(key, quoted));
  }
  kiln_status status = kiln__enter(k, err);
  if (status != KILN_OK) return status;
  status = kiln__lookup(k, /* engine= */ NULL, &digest, ret_blob, /* ret_info= */ NULL, err);
  kiln__leave(k);
  return status;
}

kiln_status kiln_check_store(kiln *k, kiln_error *err) {
  kcc_error error;
  kiln_status status = kiln__enter(k, err);
  if (status != KILN_OK) return status;
  if (k->store == NULL) {
    status = kiln__fail(err, KILN_NOT_FOUND, NULL, "there is no store");
  } else if (kcc_store_check_writable(k->store, &error) != KCC_OK) {
    status = kiln__fail(err, KILN_ESTORE, NULL, "%s", kcc_status_text(error.status));
  }
  kiln__leave(k);
  return status;
}

kiln_status kiln_get_stats(kiln *k, kiln_stats *ret_stats, kiln_error *err) {
  kiln_status status = kiln__enter(k, err);
  if (status != KILN_OK) return status;
  kiln_stats stats = {0};
#define COUNTER(name) stats.name = atomic_load(&k->name);
  KILN__COUNTERS_MAP(COUNTER)
#undef COUNTER
  stats.sessions_open = kiln__sessions_open_count(k);
  stats.images = kiln__images_count(k);
  for (size_t i = 0; i < k->engines_count; i++) kiln_pool_add_stats(k->engines[i].pool, &stats);
  if (k->store != NULL) {
    kcc_stats store;
    /* Without an answer the store's counters stay 0; the others are worth having all the same. */
    if (kcc_store_stats(k->store, &store, /* err= */ NULL) == KCC_OK) {
      stats.store_entries = store.entries;
      stats.store_blob_bytes = store.blob_bytes;
      stats.store_quarantined = store.quarantined;
      stats.store_puts = store.puts;
      stats.store_corrupt = store.corrupt;
      stats.store_busy_waits = store.busy_waits;
      stats.store_errors = store.errors;
    }
  }
  kiln__leave(k);
  *ret_stats = stats;
  return KILN_OK;
}
