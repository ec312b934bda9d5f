/* SPDX-License-Identifier: MIT
 *
 * service.h: the inside of a kiln. Private to the toolkit.
 *
 *   kiln_submit --> check --> look up --hit--> done (on the submitting thread)
 *                               | miss
 *                     single flight (flight.h) --> pool (its thread) --> writer thread --> done
 *
 * Results that are not to be stored skip the writer and are answered on the pool's thread. The
 * writer is the only one that waits for SQLite's write lock, so that neither the pool's event loop
 * nor a submitting thread ever does; and since it answers after the put, an entry that a client was
 * told of is in the store even if this process is killed the next moment.
 */
#ifndef KILN_TOOLKIT_SERVICE_H
#define KILN_TOOLKIT_SERVICE_H

#include <pthread.h>
#include <stdatomic.h>

#include "cache/kcc.h"
#include "toolkit/flight.h"
#include "toolkit/kiln.h"
#include "toolkit/offenders.h"
#include "toolkit/pool.h"

/* What may wait for the writer: more is answered without being stored. */
#define KILN__WRITER_WORK_MAX 1024
#define KILN__WRITER_BYTES_MAX (1ULL << 30)
#define KILN__WRITER_REST_MS 20
/* Requests that may wait for flights at once. */
#define KILN__TICKETS_MAX 65536
/* Nesting of JSON in a request. */
#define KILN__JSON_DEPTH_MAX 1000

/* A piece of work for the writer thread, embedded in what it is about. */
typedef struct kiln__work {
  struct kiln__work *next;
  size_t bytes; /* that it keeps in memory */
  void (*perform)(struct kiln__work *work);
} kiln__work;

typedef struct kiln__writer {
  pthread_t thread;
  bool started;
  pthread_mutex_t mutex;
  pthread_cond_t wake;
  bool stopping;
  size_t count;
  size_t bytes;
  kiln__work *first;
  kiln__work **end;
  void (*rest)(void *user);
  void *rest_user;
} kiln__writer;

/* rest(), which must not take long, is called on the thread when it has done work and then had none
 * for KILN__WRITER_REST_MS. */
kiln_status kiln__writer_start(kiln__writer *writer, void (*rest)(void *user), void *rest_user,
                               kiln_error *err);
/* False: the queue is full, or there is no thread; the work stays the caller's. */
bool kiln__writer_add(kiln__writer *writer, kiln__work *work);
/* Performs what waits and ends the thread. */
void kiln__writer_stop(kiln__writer *writer);

/* This kiln's own share of kiln_stats. */
#define KILN__COUNTERS_MAP(X) \
  X(requests)                 \
  X(hits)                     \
  X(misses)                   \
  X(coalesced)                \
  X(bypasses)                 \
  X(rejected)                 \
  X(busy)                     \
  X(refused)                  \
  X(canary_runs)              \
  X(canary_failures)          \
  X(blobs_quarantined)        \
  X(image_runs)               \
  X(image_renewals)           \
  X(image_evictions)          \
  X(image_failures)           \
  KILN__SESSION_COUNTERS_MAP(X)
#define KILN__SESSION_COUNTERS_MAP(X) \
  X(sessions_opened)                  \
  X(sessions_ended_closed)            \
  X(sessions_ended_idle)              \
  X(sessions_ended_evicted)           \
  X(sessions_ended_time_limit)        \
  X(sessions_ended_memory_limit)      \
  X(sessions_ended_crashed)           \
  X(session_commands)

/* An engine and its processes. */
typedef struct kiln__engine {
  kiln_engine_info info;       /* with the name as part of keys */
  kcc_fingerprint fingerprint; /* lends from `info` */
  kcc_digest fingerprint_id;
  kiln_pool *pool;
  char *program; /* how it was started */
  char *preload; /* NULL: it needs none */
} kiln__engine;

typedef struct kiln__sessions kiln__sessions;
typedef struct kiln__image kiln__image;
typedef struct kiln__images {
  pthread_mutex_t mutex;
  kiln__image *first; /* the oldest */
  unsigned count;
} kiln__images;

struct kiln {
  kiln_options options; /* with the defaults filled in; its texts are not kept */
  kiln__engine *engines;
  size_t engines_count; /* at least one: the first is the default */
  kcc_store *store;     /* NULL: none */
  kiln_flights *flights;
  kiln_offenders *offenders; /* NULL: no source is ever refused */
  kiln__writer writer;
  kiln__sessions *sessions;
  kiln__images images;
  pthread_mutex_t mutex; /* of the next two */
  pthread_cond_t idle;
  bool closing;
  unsigned calls; /* of threads inside the public functions */
  atomic_uint_fast64_t reasons[KILN_CAUSE_CODES];
  atomic_uint_fast64_t imports; /* so far: each has a flight of its own */
#define KILN__COUNTER(name) atomic_uint_fast64_t name;
  KILN__COUNTERS_MAP(KILN__COUNTER)
#undef KILN__COUNTER
};

uint64_t kiln__now_ns(void);

/* The name under which an engine's blobs are kept: "node-18" where V8 and its flags are those that
 * Node 18.20 has, else "v8-" and the version. */
void kiln__engine_name(const char *v8_version, const char *flags, char ret_name[32]);

/* Finds a helper program ("kiln-engine") beside this executable or in the libexec folder next to
 * it. */
kiln_status kiln__find_program(const char *name, char *ret_path, size_t size, kiln_error *err);

/* Starts what kiln_options.engines names; those that are started must be awaited even if this
 * fails. */
kiln_status kiln__engines_start(kiln *k, kiln_error *err);
/* Waits for all of them. Only now they may be used; in any case kiln__engines_free() ends them. */
kiln_status kiln__engines_await(kiln *k, kiln_error *err);
/* No more jobs: those that run get drain_ms; returns when every one has been answered. */
void kiln__engines_settle(kiln *k, unsigned drain_ms);
void kiln__engines_free(kiln *k);
/* Another engine of the same host, with V8 flags beside it. */
kiln_status kiln__engine_again(const kiln *k, const kiln__engine *engine, const char *flags,
                               kiln_pool **ret_pool, kiln_error *err);
/* The engine that a request's spec means; KILN_EINVAL names those there are. */
kiln_status kiln__find_engine(const kiln *k, kiln_span spec, const kiln__engine **ret_engine,
                              kiln_error *err);

/* Every public call on an open kiln is between these two, so that kiln_close() can wait for it.
 * KILN_ECLOSING. */
kiln_status kiln__enter(kiln *k, kiln_error *err);
void kiln__leave(kiln *k);

/* Checks all of a command against the limits. */
kiln_status kiln__check_command(const kiln *k, const kiln_command *command, kiln_error *err);

/* Checks all of a request against the limits. */
kiln_status kiln__check_request(const kiln *k, const kiln_request *request, kiln_error *err);

/* Looks a blob up; *ret_info may be NULL. KILN_NOT_FOUND also where the store fails (it counts
 * that). `engine`: whose the entry must be; NULL: anyone's. */
kiln_status kiln__lookup(kiln *k, const kiln__engine *engine, const kcc_digest *key,
                         kiln_bytes **ret_blob, kcc_entry_info *ret_info, kiln_error *err);

/* SHA-256 of a source, computed once however often it is asked for. */
kcc_status kiln__source_digest(kiln_bytes *source, kcc_digest *ret_digest, kcc_error *err);

/* What the key of such a request is made of. It lends from the request, and its parameters from
 * `params`, which has room for KILN_PARAMS_MAX. */
kcc_status kiln__parts_of(const kiln__engine *engine, const kiln_request *request,
                          const kcc_digest *source, uint64_t source_length, kiln_mode mode,
                          kiln_bytes *workload, kcc_span *params, kcc_key_parts *ret_parts,
                          kcc_error *err);

/* The key of a request to `engine` whose source has this digest. `mode` and `workload` are those of
 * the blob looked for; kind, name, offsets and parameters are the request's. */
kiln_status kiln__key_of(const kiln__engine *engine, const kiln_request *request,
                         const kcc_digest *source, uint64_t source_length, kiln_mode mode,
                         kiln_bytes *workload, kcc_digest *ret_key, kiln_error *err);

/* Sources as a job has them; to be freed. NULL: no memory. */
kiln_job_source *kiln__copy_sources(const kiln_named_source *sources, size_t count);

/* Remembers a source whose job crashed its engine. */
void kiln__note_end(kiln *k, kiln_bytes *source, const kiln_job_result *result);
/* Answers for a source that has crashed too often, without trying it again. False: it has not. */
bool kiln__refuse_offender(kiln *k, const kiln__engine *engine, kiln_op op, kiln_bytes *source,
                           kiln_done_fn done, void *user);

/* A job with the request's common parts and this kiln's limits. */
void kiln__job_init(const kiln *k, const kiln_request *request, kiln_job_op op, kiln_job *ret_job);

/* Fills in what a request that names a key leaves open: kind, filename, and of `r` the source, and
 * the blob if it may be used: release both in any case. r->engine is given; if the request names
 * none, it becomes the one that made the entry. */
typedef struct kiln__resolved {
  const kiln__engine *engine;
  kcc_digest key;
  char filename[256]; /* what the request's may point to */
  kiln_bytes *source;
  kiln_bytes *blob;
} kiln__resolved;
kiln_status kiln__resolve_key(kiln *k, kiln_request *run, kiln__resolved *r, kiln_error *err);

/* What a failed job means for the one who asked. */
void kiln__response_from_job(const kiln_job_result *result, kiln_response *response);

kiln_status kiln__submit_bake(kiln *k, const kiln__engine *engine, const kiln_request *request,
                              kiln_done_fn done, void *user, uint64_t started_ns, kiln_error *err);
kiln_status kiln__submit_run(kiln *k, const kiln__engine *engine, const kiln_request *request,
                             kiln_done_fn done, void *user, uint64_t started_ns, kiln_error *err);
kiln_status kiln__submit_measure(kiln *k, const kiln__engine *engine, const kiln_request *request,
                                 kiln_done_fn done, void *user, uint64_t started_ns,
                                 kiln_error *err);

/* Translates a failure of the store's. */
kiln_status kiln__from_kcc(const kcc_error *error, kiln_error *err);
kcc_span kiln__kcc_span(kiln_span span);

#endif
