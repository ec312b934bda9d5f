/* SPDX-License-Identifier: MIT
 *
 * service_bake.c: compile and createCachedData: look up, else make once, store, answer.
 *
 * A bake is one flight; a ticket is one request that waits for it. The order on a miss is
 *   1. board the flight; who joins another's is done here;
 *   2. the leader looks again: the flight that he might have joined may have landed between his
 *      first look and his boarding, and an entry is in the store before its flight lands;
 *   3. the job; 4. where V8 verifies no checksum, a trial of what it made in another process (the
 *   canary); 5. the put; 6. the landing, which answers all tickets.
 * An import begins at 4 with a blob that was made elsewhere, and has a flight of its own.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "toolkit/explain.h"
#include "toolkit/service.h"
#include "toolkit/status.h"

typedef struct ticket {
  kiln_flight_member member; /* first: a member is its ticket */
  kiln_done_fn done;
  void *user;
  kiln_op op;
  uint64_t started_ns;
} ticket;

typedef struct bake {
  kiln__work work; /* first: a work is its bake */
  kiln_flight flight;
  kiln *k;
  const kiln__engine *engine;
  kcc_digest key;
  kcc_key_parts parts; /* what the key was made of; lends from the next */
  void *parts_owned;
  kiln_bytes *source;   /* NULL unless it is to be kept, or tried */
  kiln_bytes *workload; /* NULL unless it is to be kept */
  bool is_import;
  bool keep_source;
  unsigned timeout_ms;
  kiln_bytes *blob; /* once made */
  kiln_times times;
  kiln_cause_code reason; /* why it is to be made */
} bake;

static void bake_free(bake *b) {
  kiln_bytes_unref(b->source);
  kiln_bytes_unref(b->workload);
  kiln_bytes_unref(b->blob);
  free(b->parts_owned);
  free(b);
}

/* Calls one ticket's done function. `response` is complete but for what differs by ticket. */
static void answer(kiln *k, const kiln_response *response, kiln_bytes *blob, const ticket *t,
                   kiln_cache cache, kiln_cause_code reason) {
  kiln_response own = *response;
  own.op = t->op;
  own.reason = kiln__count_reason(k, reason);
  own.cache = cache;
  own.blob = t->op == KILN_CREATE_CACHED_DATA ? blob : NULL;
  own.times.total_ns = kiln__now_ns() - t->started_ns;
  t->done(t->user, &own);
}

static void response_init(const kiln__engine *engine, const kcc_digest *key, uint64_t source_length,
                          kiln_bytes *blob, kiln_response *response) {
  *response = (kiln_response){.status = KILN_OK,
                              .outcome = KILN_OUTCOME_OK,
                              .engine = engine->info.name,
                              .source_length = source_length,
                              .blob_length = blob == NULL ? 0 : kiln_bytes_get(blob).length,
                              .cached_data_rejected = -1};
  kcc_digest_format(key, response->key);
}

/* Answers all tickets of a flight, the leader's with `leaders_cache`, and ends the bake. With
 * `skip_leader` his ticket is only freed: his kiln_submit() fails instead. */
typedef enum land_leader { LAND_LEADER = 0, SKIP_LEADER = 1 } land_leader;
static void land(bake *b, const kiln_response *response, kiln_cache leaders_cache,
                 land_leader leader) {
  kiln *k = b->k;
  bool first = true;
  kiln_flight_member *member = kiln_flights_land(k->flights, &b->flight);
  while (member != NULL) {
    ticket *t = (ticket *)(void *)member;
    member = member->next;
    kiln_cache cache = leaders_cache;
    if (!first) {
      cache = KILN_CACHE_COALESCED;
      atomic_fetch_add(&k->coalesced, 1);
    }
    if (!first || leader == LAND_LEADER) answer(k, response, b->blob, t, cache, b->reason);
    free(t);
    first = false;
  }
  bake_free(b);
}

/* `why`, which may be NULL: what the store said to an entry that it did not take. The response is
 * a good one all the same. */
static void land_made(bake *b, kiln_cache leaders_cache, const kcc_error *why) {
  kiln_response response;
  if (leaders_cache == KILN_CACHE_BYPASS) atomic_fetch_add(&b->k->bypasses, 1);
  response_init(b->engine, &b->key, b->parts.source_length, b->blob, &response);
  response.times = b->times;
  if (why != NULL) (void)kiln__from_kcc(why, &response.error);
  land(b, &response, leaders_cache, LAND_LEADER);
}

/* On the writer thread. Whatever the store says, the answer is the same. */
static void store_and_land(kiln__work *work) {
  bake *b = (bake *)(void *)work;
  kcc_put put = {.parts = b->parts, .blob = kiln__kcc_span(kiln_bytes_get(b->blob))};
  if (b->keep_source) put.source_text = kiln__kcc_span(kiln_bytes_get(b->source));
  if (b->workload != NULL) put.workload_text = kiln__kcc_span(kiln_bytes_get(b->workload));
  kcc_error error;
  if (kcc_store_put(b->k->store, &put, /* ret_key= */ NULL, &error) == KCC_OK) {
    land_made(b, KILN_CACHE_MISS, /* why= */ NULL);
  } else {
    land_made(b, KILN_CACHE_BYPASS, &error);
  }
}

void kiln__response_from_job(const kiln_job_result *result, kiln_response *response) {
  if (result->status != KILN_OK) {
    response->status = result->status;
    (void)kiln__fail(&response->error, result->status, NULL, "%s",
                     result->message_of_ours[0] != '\0' ? result->message_of_ours
                                                        : kiln_status_text(result->status));
    return;
  }
  response->outcome = result->outcome;
  response->code = result->code;
  response->name = result->name;
  response->message = result->message;
  response->stack = result->stack;
  response->resource = result->resource;
  response->source_line = result->source_line;
  response->line = result->line;
  response->column = result->column;
  response->signal = result->signal;
  response->times = result->times;
}

/* The blob is good, for all one knows. */
static void keep(bake *b) {
  kiln *k = b->k;
  b->work.bytes = kiln_bytes_get(b->blob).length;
  b->work.perform = store_and_land;
  if (k->store == NULL || k->options.store_read_only) {
    land_made(b, KILN_CACHE_MISS, /* why= */ NULL);
  } else if (!kiln__writer_add(&k->writer, &b->work)) {
    land_made(b, KILN_CACHE_BYPASS, /* why= */ NULL);
  }
}

static void land_failed(bake *b, const kiln_job_result *result) {
  kiln_response response;
  kiln_bytes_unref(b->blob);
  b->blob = NULL;
  response_init(b->engine, &b->key, b->parts.source_length, /* blob= */ NULL, &response);
  kiln__response_from_job(result, &response);
  land(b, &response, KILN_CACHE_MISS, LAND_LEADER);
}

/* On the pool's thread: how the trial ended. */
static void tried(void *user, const kiln_job_result *result) {
  bake *b = user;
  if (result->status != KILN_OK) {
    land_failed(b, result);
    return;
  }
  if (result->outcome == KILN_OUTCOME_OK && result->cached_data_rejected == 0) {
    keep(b);
    return;
  }
  atomic_fetch_add(&b->k->canary_failures, 1);
  kiln_job_result failed = *result;
  if (b->is_import && result->outcome == KILN_OUTCOME_OK) {
    failed.outcome = KILN_OUTCOME_EXCEPTION;
    failed.code = "ERR_VM_CACHED_DATA_REJECTED";
    failed.name = "Error";
    failed.message = "the engine does not take this cached data";
  } else if (!b->is_import) {
    failed.status = KILN_EINTERNAL;
    (void)snprintf(failed.message_of_ours, sizeof(failed.message_of_ours),
                   "the engine does not take what it has baked: %.150s",
                   result->outcome == KILN_OUTCOME_OK ? "it is rejected" : result->message);
  }
  land_failed(b, &failed);
}

/* Has another worker load the blob. False: it could not be asked; *ret_error says why. */
static bool try_out(bake *b, kiln_error *ret_error) {
  kiln_span params[KILN_PARAMS_MAX];
  kiln_request request = {.kind = (kiln_kind)b->parts.kind,
                          .source = b->source,
                          .filename = {b->parts.filename.data, b->parts.filename.length},
                          .line_offset = b->parts.line_offset,
                          .column_offset = b->parts.column_offset,
                          .params = params,
                          .params_count = b->parts.params_count,
                          .timeout_ms = b->timeout_ms};
  kiln_job job;
  for (size_t i = 0; i < b->parts.params_count; i++) {
    params[i] = (kiln_span){b->parts.params[i].data, b->parts.params[i].length};
  }
  kiln__job_init(b->k, &request, KILN_JOB_CANARY, &job);
  job.cached_data = b->blob;
  job.follows = !b->is_import;
  atomic_fetch_add(&b->k->canary_runs, 1);
  return kiln_pool_submit(b->engine->pool, &job, tried, b, ret_error) == KILN_OK;
}

/* On the pool's thread. */
static void baked(void *user, const kiln_job_result *result) {
  bake *b = user;
  if (result->status == KILN_OK && result->outcome == KILN_OUTCOME_OK && result->blob != NULL) {
    kiln_job_result failed = {
        .code = "", .name = "", .message = "", .stack = "", .resource = "", .source_line = ""};
    kiln_error error;
    b->blob = kiln_bytes_ref(result->blob);
    b->times = result->times;
    if (b->engine->info.verifies_checksum) {
      keep(b);
    } else if (!try_out(b, &error)) {
      failed.status = error.status;
      (void)snprintf(failed.message_of_ours, sizeof(failed.message_of_ours), "%.250s",
                     error.message);
      land_failed(b, &failed);
    }
    return;
  }
  kiln_response response;
  kiln__note_end(b->k, b->source, result);
  response_init(b->engine, &b->key, b->parts.source_length, /* blob= */ NULL, &response);
  kiln__response_from_job(result, &response);
  if (result->status == KILN_OK && result->outcome == KILN_OUTCOME_OK) {
    response.status =
        kiln__fail(&response.error, KILN_EINTERNAL, NULL, "the engine made no cached data");
  }
  land(b, &response, KILN_CACHE_MISS, LAND_LEADER);
}

static kcc_span copy_span(char **to, kcc_span span) {
  kcc_span copy = {*to, span.length};
  if (span.length > 0) memcpy(*to, span.data, span.length);
  *to += span.length;
  return copy;
}

/* The request is gone when the blob is put. */
static bool copy_parts(bake *b, const kcc_key_parts *parts) {
  size_t spans = parts->params_count * sizeof(kcc_span);
  size_t length = parts->filename.length;
  for (size_t i = 0; i < parts->params_count; i++) length += parts->params[i].length;
  b->parts_owned = malloc(spans + length + 1);
  if (b->parts_owned == NULL) return false;
  kcc_span *params = b->parts_owned;
  char *to = (char *)b->parts_owned + spans;
  b->parts = *parts;
  b->parts.params = params;
  b->parts.filename = copy_span(&to, parts->filename);
  for (size_t i = 0; i < parts->params_count; i++) params[i] = copy_span(&to, parts->params[i]);
  return true;
}

static bake *bake_new(kiln *k, const kiln__engine *engine, const kiln_request *request,
                      const kcc_digest *key, const kcc_key_parts *parts, unsigned timeout_ms) {
  bake *b = calloc(1, sizeof(*b));
  if (b == NULL) return NULL;
  b->k = k;
  b->engine = engine;
  b->key = *key;
  /* A request with less time must not decide the fate of one with more. */
  b->flight.id = *key;
  for (unsigned i = 0; i < sizeof(timeout_ms); i++) {
    b->flight.id.bytes[KCC_DIGEST_BYTES - 1 - i] ^= (uint8_t)(timeout_ms >> (8 * i));
  }
  b->timeout_ms = timeout_ms;
  b->is_import = request->op == KILN_IMPORT;
  b->keep_source = !k->options.forget_sources;
  if (b->is_import) {
    uint64_t number = atomic_fetch_add(&k->imports, 1) + 1;
    for (unsigned i = 0; i < sizeof(number); i++)
      b->flight.id.bytes[i] ^= (uint8_t)(number >> (8 * i));
    b->blob = kiln_bytes_ref(request->blob);
  }
  b->source = kiln_bytes_ref(request->source);
  /* An import's stands for a program that was run, and is no script. */
  if (b->keep_source && !b->is_import && request->workload != NULL) {
    b->workload = kiln_bytes_ref(request->workload);
  }
  if (!copy_parts(b, parts)) {
    bake_free(b);
    return NULL;
  }
  return b;
}

/* Steps 2 and 3. When this fails, the leader's ticket has been freed and no done function of his
 * was called. */
static kiln_status lead(bake *b, const kiln_request *request, kiln_error *err) {
  kiln *k = b->k;
  kiln_bytes *blob;
  kiln_response response;
  if (!b->is_import && kiln__lookup(k, b->engine, &b->key, &blob, /* ret_info= */ NULL,
                                    /* err= */ NULL) == KILN_OK) {
    atomic_fetch_add(&k->hits, 1);
    b->blob = blob;
    b->reason = KILN_CAUSE_HIT;
    response_init(b->engine, &b->key, b->parts.source_length, blob, &response);
    land(b, &response, KILN_CACHE_HIT, LAND_LEADER);
    return KILN_OK;
  }
  kiln_job job;
  kiln__job_init(k, request, KILN_JOB_BAKE, &job);
  job.mode = request->mode;
  job.workload = request->workload;
  atomic_fetch_add(&k->misses, 1);
  b->reason = kiln__reason_of_miss(k, b->engine, &b->parts, &b->key);
  kiln_error error;
  kiln_status status = KILN_OK;
  if (!b->is_import) {
    status = kiln_pool_submit(b->engine->pool, &job, baked, b, &error);
  } else if (!try_out(b, &error)) {
    status = error.status;
  }
  if (status != KILN_OK) {
    response_init(b->engine, &b->key, b->parts.source_length, /* blob= */ NULL, &response);
    response.status = status;
    response.error = error;
    land(b, &response, KILN_CACHE_MISS, SKIP_LEADER);
    if (err != NULL) *err = error;
  }
  return status;
}

kiln_status kiln__submit_bake(kiln *k, const kiln__engine *engine, const kiln_request *request,
                              kiln_done_fn done, void *user, uint64_t started_ns, kiln_error *err) {
  kiln_span text = kiln_bytes_get(request->source);
  kcc_digest source_digest, key;
  kcc_error error;
  kcc_key_parts parts;
  kcc_span params[KILN_PARAMS_MAX];
  if (kiln__source_digest(request->source, &source_digest, &error) != KCC_OK ||
      kiln__parts_of(engine, request, &source_digest, text.length, request->mode, request->workload,
                     params, &parts, &error) != KCC_OK ||
      kcc_key_of(&parts, &key, &error) != KCC_OK) {
    return kiln__from_kcc(&error, err);
  }

  ticket caller = {.done = done, .user = user, .op = request->op, .started_ns = started_ns};
  kiln_bytes *blob;
  if (request->op != KILN_IMPORT &&
      kiln__lookup(k, engine, &key, &blob, /* ret_info= */ NULL, /* err= */ NULL) == KILN_OK) {
    kiln_response response;
    atomic_fetch_add(&k->hits, 1);
    response_init(engine, &key, text.length, blob, &response);
    answer(k, &response, blob, &caller, KILN_CACHE_HIT, KILN_CAUSE_HIT);
    kiln_bytes_unref(blob);
    return KILN_OK;
  }

  unsigned timeout_ms =
      request->timeout_ms != 0 ? request->timeout_ms : k->options.timeout_default_ms;
  ticket *t = malloc(sizeof(*t));
  bake *b = bake_new(k, engine, request, &key, &parts, timeout_ms);
  if (t == NULL || b == NULL) {
    free(t);
    if (b != NULL) bake_free(b);
    return kiln__fail(err, KILN_ENOMEM, NULL, "no memory for a request");
  }
  *t = caller;
  switch (kiln_flights_board(k->flights, &b->flight, &t->member)) {
    case KILN_FLIGHT_LEADS:
      return lead(b, request, err);
    case KILN_FLIGHT_JOINED:
      bake_free(b);
      return KILN_OK;
    case KILN_FLIGHT_FULL:
      break;
  }
  bake_free(b);
  free(t);
  return kiln__fail(err, KILN_EBUSY, NULL, "%d requests wait already", KILN__TICKETS_MAX);
}
