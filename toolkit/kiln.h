/* SPDX-License-Identifier: MIT
 *
 * kiln.h: the operations (libkiln): compile, run, createCachedData, measureMemory.
 *
 * What it is for: one object, `kiln`, that joins a store of code caches with a pool of engine
 * processes. kilnd and the CLI are made of it; a C program may be too. It never runs JavaScript in
 * the calling process and does not link V8: each job has a process of its own, forked from
 * kiln-engine.
 *
 * CONVENTIONS, which hold for every function here:
 *
 * Errors. Functions that can fail return a kiln_status and fill `*err` (may be NULL); `ret_`
 * arguments stay untouched. What the *script* did (threw, ran out of time) is no such failure: it
 * is an outcome in the response. Ownership. kiln_bytes are counted references: a function that
 * takes one takes a reference of its own. Threads. A kiln may be used from any thread. A done
 * function runs on a thread of the kiln's, or on the submitting thread before kiln_submit() returns
 * (a hit); it must not block. Text is UTF-8. Times are milliseconds unless named otherwise.
 */
#ifndef KILN_TOOLKIT_KILN_H
#define KILN_TOOLKIT_KILN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define KILN_API __attribute__((visibility("default")))
#else
#define KILN_API
#endif

#define KILN_VERSION "0.1.0"

/* X(symbol, number, code, what it means). The code is what HTTP and --json show. Never renumbered.
 */
#define KILN_STATUS_MAP(X)                                                 \
  X(KILN_OK, 0, "OK", "success")                                           \
  X(KILN_NOT_FOUND, 1, "ERR_NOT_FOUND", "no such key")                     \
  X(KILN_GONE, 2, "ERR_SESSION_GONE", "the session has ended")             \
  X(KILN_EINVAL, 100, "ERR_INVALID_ARG_VALUE", "invalid argument")         \
  X(KILN_ETOOBIG, 203, "ERR_TOO_LARGE", "over a limit")                    \
  X(KILN_EBUSY, 300, "ERR_BUSY", "the queue of jobs is full")              \
  X(KILN_ECLOSING, 301, "ERR_CLOSING", "the service is stopping")          \
  X(KILN_ESTORE, 400, "ERR_STORE", "the store cannot be used")             \
  X(KILN_EENGINE, 500, "ERR_ENGINE", "no engine process could be started") \
  X(KILN_ENOMEM, 501, "ERR_NO_MEMORY", "out of memory")                    \
  X(KILN_EINTERNAL, 502, "ERR_INTERNAL", "a fault of Kiln's own")

typedef enum kiln_status {
#define KILN_STATUS_ENUM(symbol, number, code, text) symbol = number,
  KILN_STATUS_MAP(KILN_STATUS_ENUM)
#undef KILN_STATUS_ENUM
} kiln_status;
KILN_API const char *kiln_status_code(kiln_status status);
KILN_API const char *kiln_status_text(kiln_status status);

/* Caller-owned, nothing to free. */
typedef struct kiln_error {
  kiln_status status;
  char code[64]; /* Node's code where it has one (ERR_OUT_OF_RANGE ...), else kiln_status_code() */
  char message[512];
} kiln_error;

typedef struct kiln_span {
  const char *data;
  size_t length;
} kiln_span;
KILN_API kiln_span kiln_span_from(const char *text);

/* ---- bytes --------------------------------------------------------------------------- */

/* Immutable bytes with a counted reference. From KILN_MEMFD_MIN bytes on they live in a sealed
 * memfd, so that they reach an engine process without being copied. data is 8-byte aligned. */
#define KILN_MEMFD_MIN 65536
typedef struct kiln_bytes kiln_bytes;

/* Makes bytes from a copy of `data`. NULL on out of memory. */
KILN_API kiln_bytes *kiln_bytes_new(const void *data, size_t length);
KILN_API kiln_bytes *kiln_bytes_ref(kiln_bytes *bytes);
KILN_API void kiln_bytes_unref(kiln_bytes *bytes); /* NULL does nothing */
/* SHA-256 of the bytes in hex digits, computed once. False: out of memory. */
KILN_API bool kiln_bytes_get_sha256(kiln_bytes *bytes, char ret_hex[65]);
KILN_API kiln_span kiln_bytes_get(const kiln_bytes *bytes);

/* Bytes that arrive in pieces: an upload. `expected` (0: unknown) decides where they are put. */
typedef struct kiln_bytes_writer kiln_bytes_writer;
KILN_API kiln_bytes_writer *kiln_bytes_writer_new(size_t expected, size_t max);
/* KILN_ETOOBIG past `max`, KILN_ENOMEM. */
KILN_API kiln_status kiln_bytes_writer_append(kiln_bytes_writer *writer, const void *data,
                                              size_t length);
KILN_API size_t kiln_bytes_writer_length(const kiln_bytes_writer *writer);
/* Ends the writer in any case; NULL on out of memory. */
KILN_API kiln_bytes *kiln_bytes_writer_finish(kiln_bytes_writer *writer);
KILN_API void kiln_bytes_writer_free(kiln_bytes_writer *writer);

/* ---- the service --------------------------------------------------------------------- */

typedef struct kiln kiln;

/* Engines of one kiln. */
#define KILN_ENGINES_MAX 32

typedef struct kiln_options {
  size_t struct_size;
  const char *store_path; /* NULL: no store, everything is a miss */
  bool store_read_only;
  bool forget_sources;   /* do not store source texts: then no run by key, and no rebake */
  bool sandbox_required; /* fail to open if a required layer of an engine's sandbox is missing */
  bool sandbox_off;      /* workers have limits and no new privileges only: to look at them with a
                          * debugger; not with sandbox_required */
  bool large_pages; /* for V8's code in zygotes: a fifth less work for each job; 15 ms and 40 MiB
                     * for each zygote: for services */
  bool jitless;     /* V8 without a compiler to machine code; its blobs are for itself */
  const char *engine_path;    /* NULL: kiln-engine beside this executable, else in libexec */
  const char *engines_dir;    /* the registry of node-hosted engines; NULL: there are none */
  const char *const *engines; /* specs of those to keep ready; the first is the default of requests.
                                "node-18" or "default" is libv8's. NULL: libv8's alone */
  size_t engines_count;       /* up to KILN_ENGINES_MAX */
  unsigned workers_max;       /* jobs at once, of each engine; 0 means the number of cores */
  unsigned queue_max;         /* jobs waiting beyond that; 0 means 256 */
  unsigned forks_per_zygote;  /* 0 means 10,000 */
  uint64_t heap_max_bytes;    /* V8's limit per job; 0 means 256 MiB */
  uint64_t memory_max_bytes; /* the worker's private memory (RLIMIT_DATA); 0 means heap + 256 MiB */
  uint64_t source_max_bytes; /* 0 means 64 MiB */
  uint64_t result_max_bytes; /* JSON of one result; 0 means 16 MiB */
  uint64_t console_max_bytes;  /* of one job; 0 means 1 MiB */
  unsigned timeout_default_ms; /* where a request names none; 0 means 5,000 */
  unsigned timeout_max_ms;     /* more is refused; 0 means 60,000 */
  unsigned kill_grace_ms;      /* after the deadline, before SIGKILL; 0 means 150 */
  unsigned
      crashes_max; /* a source that crashed its engine so often is refused for an hour; 0: never */
  unsigned sessions_max;     /* open at once, of all engines (kiln_session.h); 0 means 64 */
  unsigned session_idle_ms;  /* an idle session is ended after this; 0 means 300,000 */
  unsigned images_max;       /* there at once, up to KILN_IMAGES_MAX; 0 means 64 */
  uint64_t images_max_bytes; /* their processes' memory and their sources; 0 means 1 GiB */
  unsigned image_idle_ms;    /* an idle image's process is ended after this; 0 means 600,000 */
  unsigned client_share;     /* percent of workers and queue that one client may fill; 0: 100 */
} kiln_options;
#define KILN_OPTIONS_INIT \
  { .struct_size = sizeof(kiln_options) }

KILN_API kiln_status kiln_open(const kiln_options *options, kiln **ret_kiln, kiln_error *err);

/* Whether the engines that the options name are there, as records and programs. Starts none. */
KILN_API kiln_status kiln_check_engines(const kiln_options *options, kiln_error *err);

/* Stops taking requests, waits up to `drain_ms` for those in flight (then kills their workers; each
 * still gets its done call), and frees. NULL does nothing. Not from a done function. */
KILN_API void kiln_close(kiln *k, unsigned drain_ms);

typedef enum kiln_op {
  KILN_COMPILE = 0,            /* key, sizes, times; the blob stays in the store */
  KILN_CREATE_CACHED_DATA = 1, /* ... and the bytes */
  KILN_RUN = 2,
  KILN_MEASURE_MEMORY = 3,
  /* Stores request->blob, made by somebody else who ran the program (mode workload; the workload is
   * whatever stands for what was done, and is not kept), once an engine has loaded it for a trial.
   * Not for blobs of strangers: a blob is code. */
  KILN_IMPORT = 4,
  KILN_IMAGE = 6,   /* of responses only, see kiln_image.h */
  KILN_SESSION = 5, /* of responses only: a command's, see kiln_session.h */
} kiln_op;
typedef enum kiln_kind { KILN_SCRIPT = 0, KILN_MODULE = 1, KILN_FUNCTION = 2 } kiln_kind;
typedef enum kiln_mode {
  KILN_LAZY = 0,
  KILN_EAGER = 1,
  KILN_WARM = 2,
  KILN_WORKLOAD = 3
} kiln_mode;

#define KILN_PARAMS_MAX 1024
#define KILN_MODULES_MAX 4096
#define KILN_CONTEXTS_MAX 256
#define KILN_SCRIPTS_MAX 1024
#define KILN_KEY_HEX 64

typedef struct kiln_named_source {
  kiln_span name; /* a module's specifier; a script's filename */
  kiln_bytes *source;
} kiln_named_source;

/* One context of a measureMemory request. */
typedef struct kiln_measure_context {
  kiln_span name;
  kiln_span globals_json; /* an object; empty: none */
  const kiln_named_source *scripts;
  size_t scripts_count;
} kiln_measure_context;

/* Longest name of any kind in a request: filename, specifier, parameter, context name, origin. */
#define KILN_NAME_MAX 4096

/* A request; all of it is read during kiln_submit() (references are taken to the bytes). All-zero
 * fields mean Node's defaults. */
typedef struct kiln_request {
  kiln_op op;
  uint64_t client; /* whose jobs take turns with those of others; any number */
  /* compile, createCachedData, run */
  kiln_kind kind;
  kiln_bytes *source;
  kiln_span key; /* run: 64 hex digits instead of a source, if the store kept it */
  kiln_span filename;
  int32_t line_offset;
  int32_t column_offset;
  const kiln_span *params; /* of a function */
  size_t params_count;
  /* Which engine: its name ("node-22.23.3"); the beginning of one ("node-22": the newest such); its
   * fingerprint, 8 hex digits of it or more. Empty: the default; run by key: the one that made the
   * entry, if it is here. One that is not open is KILN_EINVAL. */
  kiln_span engine;
  kiln_bytes *blob; /* explain, import: cached data that somebody made */
  /* compile, createCachedData */
  kiln_mode mode;
  kiln_bytes
      *workload; /* with KILN_WORKLOAD: a script run in the same context after the top level */
  /* run */
  kiln_span image;        /* the id of one to start from (kiln_image.h); empty: an empty context */
  kiln_span globals_json; /* an object */
  kiln_span args_json;    /* of a function: an array */
  unsigned timeout_ms;    /* of any operation; 0: the kiln's default, for a measurement that waits
                             for a garbage collection (not `eager`) the kiln's maximum */
  bool microtasks_after_evaluate;
  kiln_span context_name;
  kiln_span context_origin;
  bool deny_strings; /* contextCodeGeneration.strings === false */
  bool deny_wasm;
  const kiln_named_source *modules;
  size_t modules_count;
  /* measureMemory */
  bool detailed;
  bool eager;
  const kiln_measure_context *contexts; /* the first is `current`; at least one */
  size_t contexts_count;
} kiln_request;

/* What became of the script. X(symbol, word). */
#define KILN_OUTCOME_MAP(X)                    \
  X(KILN_OUTCOME_OK, "ok")                     \
  X(KILN_OUTCOME_EXCEPTION, "exception")       \
  X(KILN_OUTCOME_TIME_LIMIT, "time_limit")     \
  X(KILN_OUTCOME_MEMORY_LIMIT, "memory_limit") \
  X(KILN_OUTCOME_CRASHED, "crashed")
typedef enum kiln_outcome {
#define KILN_OUTCOME_ENUM(symbol, word) symbol,
  KILN_OUTCOME_MAP(KILN_OUTCOME_ENUM)
#undef KILN_OUTCOME_ENUM
} kiln_outcome;
KILN_API const char *kiln_outcome_word(kiln_outcome outcome);

typedef enum kiln_cache {
  KILN_CACHE_NONE = 0, /* the operation looks nothing up */
  KILN_CACHE_HIT = 1,
  KILN_CACHE_MISS = 2,
  KILN_CACHE_COALESCED = 3, /* another request's job answered this one too */
  KILN_CACHE_BYPASS = 4,    /* the store failed; the answer is right all the same */
} kiln_cache;
KILN_API const char *kiln_cache_word(kiln_cache cache); /* "hit", ... */

/* Times inside the engine process, ns; 0: did not happen. */
typedef struct kiln_times {
  uint64_t queued_ns; /* from submit to the worker's start */
  uint64_t compile_ns;
  uint64_t run_ns;
  uint64_t serialize_ns;
  uint64_t total_ns; /* from submit to done */
} kiln_times;

/* The answer. Lent to the done function for the call; blob and *_json may be referenced and kept.
 */
typedef struct kiln_response {
  kiln_status status; /* not KILN_OK: `error` says why, nothing else is set */
  /* Also with KILN_OK and KILN_CACHE_BYPASS: its message may say why the store failed. */
  kiln_error error;
  kiln_outcome outcome; /* not OK: the exception below says what the script did */
  kiln_op op;
  /* the exception */
  const char *code;
  const char *name;
  const char *message;
  const char *stack;
  const char *resource;
  const char *source_line;
  int line;
  int column;
  int signal; /* crashed: the signal, 0 if it exited */
  /* compile, createCachedData */
  kiln_cache cache;
  char key[KILN_KEY_HEX + 1];
  const char *engine;
  const char *reason; /* why it hit or missed: kiln_cause_word(); NULL: nothing was looked up */
  kiln_bytes *blob;   /* KILN_CREATE_CACHED_DATA */
  uint64_t source_length;
  uint64_t blob_length;
  /* run: JSON texts, checked to be JSON; NULL where not produced */
  kiln_bytes *result_json;
  kiln_bytes *globals_json;
  kiln_bytes *console_json; /* [{"level","text"}, ...] also present with an exception */
  bool console_truncated;
  int cached_data_rejected; /* 1, 0, or -1: none was offered (undefined) */
  /* of commands of sessions; NULL where there is none */
  const char *session_id;
  const char *object_id;   /* of what the command made */
  kiln_bytes *module_json; /* a module's state */
  /* of kiln_image_create() */
  const char *image_id;
  uint64_t image_bytes; /* private to its process */
  /* run and measureMemory */
  kiln_bytes *memory_json; /* run: heap statistics; measureMemory: the whole answer */
  kiln_times times;
} kiln_response;

typedef void (*kiln_done_fn)(void *user, const kiln_response *response);

/* Starts a request. On KILN_OK `done` is called exactly once, perhaps before this returns; on any
 * other status never.
 *
 * compile and createCachedData look the blob up; on a miss one job makes it for all requests of the
 * same key and timeout that arrive meanwhile (KILN_CACHE_COALESCED), and each is answered after the
 * entry is in the store for good. A job that fails answers all of them alike and stores nothing.
 *
 * run uses a stored blob of its source, if the source is of KILN_RUN_CACHE_MIN bytes or more: the
 * one made in mode warm, else lazy, else eager, of the same filename, offsets and parameters. It
 * makes none. A blob that the engine then rejects is removed. A run by `key` takes source, kind and
 * blob from that entry; a function's parameters must be named again.
 *
 * import() in cached code: V8 up to 11.3 keeps the producer's host-defined options in a blob, so
 * that import() in a script loaded by Node from such a blob fails with an unclear error
 * (ERR_VM_DYNAMIC_IMPORT_CALLBACK_MISSING, or "Invalid host defined options"), even where Node was
 * given an importModuleDynamically. Bake such a script only if its import() is never reached. */
#define KILN_RUN_CACHE_MIN 4096
KILN_API kiln_status kiln_submit(kiln *k, const kiln_request *request, kiln_done_fn done,
                                 void *user, kiln_error *err);

/* Looks an entry up by its key, verified, whichever engine it is for: the blob as bytes to unref.
 * KILN_NOT_FOUND; KILN_EINVAL if `key` is not 64 hex digits. */
KILN_API kiln_status kiln_get_cached_data(kiln *k, kiln_span key, kiln_bytes **ret_blob,
                                          kiln_error *err);

/* ---- explaining ---------------------------------------------------------------------- */

/* Why a look-up hit or missed, or why a blob is refused. X(symbol, code). The code is what HTTP,
 * --json, the header Kiln-Reason and the counters show. */
#define KILN_CAUSE_MAP(X)                              \
  X(KILN_CAUSE_HIT, hit)                               \
  X(KILN_CAUSE_NEVER_BAKED, never_baked)               \
  X(KILN_CAUSE_ENGINE_V8_VERSION, engine_v8_version)   \
  X(KILN_CAUSE_ENGINE_FLAGS, engine_flags)             \
  X(KILN_CAUSE_ENGINE_BUILD, engine_build)             \
  X(KILN_CAUSE_ENGINE_ARCH, engine_arch)               \
  X(KILN_CAUSE_ENGINE_NAME, engine_name)               \
  X(KILN_CAUSE_SOURCE_CHANGED, source_changed)         \
  X(KILN_CAUSE_SOURCE_LENGTH, source_length)           \
  X(KILN_CAUSE_KIND, kind)                             \
  X(KILN_CAUSE_PARAMS, params)                         \
  X(KILN_CAUSE_FILENAME, filename)                     \
  X(KILN_CAUSE_OFFSETS, offsets)                       \
  X(KILN_CAUSE_MODE, mode)                             \
  X(KILN_CAUSE_WORKLOAD, workload)                     \
  X(KILN_CAUSE_QUARANTINED, quarantined)               \
  X(KILN_CAUSE_CORRUPT, corrupt)                       \
  X(KILN_CAUSE_STORE_UNAVAILABLE, store_unavailable)   \
  X(KILN_CAUSE_NOT_A_BLOB, not_a_blob)                 \
  X(KILN_CAUSE_TRUNCATED, truncated)                   \
  X(KILN_CAUSE_MAGIC, magic)                           \
  X(KILN_CAUSE_VERSION_HASH, version_hash)             \
  X(KILN_CAUSE_SOURCE_HASH, source_hash)               \
  X(KILN_CAUSE_KIND_BIT, kind_bit)                     \
  X(KILN_CAUSE_FLAG_HASH, flag_hash)                   \
  X(KILN_CAUSE_READ_ONLY_SNAPSHOT, read_only_snapshot) \
  X(KILN_CAUSE_PAYLOAD_LENGTH, payload_length)         \
  X(KILN_CAUSE_CHECKSUM, checksum)
typedef enum kiln_cause_code {
#define KILN_CAUSE_ENUM(symbol, code) symbol,
  KILN_CAUSE_MAP(KILN_CAUSE_ENUM)
#undef KILN_CAUSE_ENUM
      KILN_CAUSE_CODES
} kiln_cause_code;
KILN_API const char *kiln_cause_word(kiln_cause_code code);

typedef struct kiln_cause {
  kiln_cause_code code;
  char text[320]; /* for people: "engine build id a94a.. vs bd05.." */
} kiln_cause;
#define KILN_CAUSES_MAX 16

/* Caller-owned, nothing to free. */
typedef struct kiln_explanation {
  const char *outcome; /* "hit", "miss"; of a blob "accepted", "rejected" */
  char key[KILN_KEY_HEX + 1];
  char engine[32];
  kiln_cause causes[KILN_CAUSES_MAX]; /* the first is the one that counts */
  size_t causes_count;
  /* The nearest entry that there is; empty: none, or not for a stranger's eyes. */
  char candidate_key[KILN_KEY_HEX + 1];
  char candidate_engine[32];
  char candidate_filename[256];
} kiln_explanation;

/* Who asks. A stranger is told which fields differ from an entry that is not his, but neither what
 * stands there nor where sources begin to differ: he could guess them byte by byte. Nor is he shown
 * another's entry, whose key is all it takes to fetch its blob, unless he has its source. */
typedef enum kiln_asker { KILN_ASKER_OWNER = 0, KILN_ASKER_STRANGER = 1 } kiln_asker;

/* Explains what createCachedData would find for `request`. Bakes nothing, counts nothing. */
KILN_API kiln_status kiln_explain(kiln *k, const kiln_request *request, kiln_asker asker,
                                  kiln_explanation *ret_explanation, kiln_error *err);

/* Explains whether the entry of a key serves an engine (a spec; empty: the default). */
KILN_API kiln_status kiln_explain_key(kiln *k, kiln_span key, kiln_span engine, kiln_asker asker,
                                      kiln_explanation *ret_explanation, kiln_error *err);

/* Explains what request->engine's V8 makes of request->blob, made by anybody, for the request's
 * source and kind, from the blob's header; request->source may be NULL. `flags`, NULL: none, are V8
 * flags that the maker may have had: an engine with them is started to see. Starts a job and waits
 * for it: not from a done function. */
KILN_API kiln_status kiln_explain_blob(kiln *k, const kiln_request *request, const char *flags,
                                       kiln_explanation *ret_explanation, kiln_error *err);

/* ---- what it knows of itself --------------------------------------------------------- */

/* What stands between a script and this machine. X(symbol, word, required, what it does). Required
 * ones must be there for code nobody trusts (kiln_options.sandbox_required). */
#define KILN_LAYER_MAP(X)                                                                         \
  X(KILN_LAYER_LIMITS, "limits", true, "limits on memory, time, files and descriptors")           \
  X(KILN_LAYER_NO_NEW_PRIVILEGES, "noNewPrivileges", true, "no new privileges by any exec")       \
  X(KILN_LAYER_SECCOMP, "seccomp", true, "a filter of system calls; an attempt ends the process") \
  X(KILN_LAYER_LANDLOCK, "landlock", false, "no file can be opened, no port reached")             \
  X(KILN_LAYER_USER, "user", false,                                                               \
    "a user without rights: another uid, or a namespace of its own")                              \
  X(KILN_LAYER_PROCESSES, "processes", false, "a limit on the number of threads")                 \
  X(KILN_LAYER_NETWORK, "networkNamespace", false, "a network of its own, with nobody in it")     \
  X(KILN_LAYER_IPC, "ipcNamespace", false, "no System V IPC and no host name of others")          \
  X(KILN_LAYER_MOUNT, "mountNamespace", false, "an empty file system")                            \
  X(KILN_LAYER_PID, "pidNamespace", false, "no process of others can be named")                   \
  X(KILN_LAYER_JITLESS, "jitless", false, "no page can become executable; slower (--jitless)")
typedef enum kiln_layer {
#define KILN_LAYER_ENUM(symbol, word, required, text) symbol,
  KILN_LAYER_MAP(KILN_LAYER_ENUM)
#undef KILN_LAYER_ENUM
      KILN_LAYERS
} kiln_layer;
KILN_API const char *kiln_layer_word(kiln_layer layer);
KILN_API const char *kiln_layer_text(kiln_layer layer);
KILN_API bool kiln_layer_is_required(kiln_layer layer);

#define KILN_NODE_PATH_MAX 4096
typedef struct kiln_engine_info {
  char name[32]; /* "node-18": whose blobs these are */
  char v8_version[64];
  uint32_t cached_data_tag;
  char flags[256];
  char build_id[72];
  char arch[16];
  unsigned protocol;
  char fingerprint[KILN_KEY_HEX + 1]; /* digest of all of the above but the protocol */
  char node[KILN_NODE_PATH_MAX];      /* the node binary that hosts it; empty: libv8's */
  bool verifies_checksum;             /* its V8 checks a blob's checksum (up to 11.2) */
  uint32_t layers;                    /* its workers' sandbox: 1 << KILN_LAYER_... */
  bool sandbox_off;                   /* as kiln_options.sandbox_off said */
} kiln_engine_info;
/* Engines in the order of kiln_options.engines. */
KILN_API size_t kiln_engine_count(const kiln *k);
KILN_API kiln_status kiln_get_engine(const kiln *k, size_t index, kiln_engine_info *ret_info,
                                     kiln_error *err);

/* Whether a job for this engine would find a process at once, as far as is known. */
KILN_API bool kiln_engine_is_ready(const kiln *k, size_t index);

/* Whether entries can be stored now; waits for nobody. KILN_NOT_FOUND: there is no store.
 * KILN_ESTORE with a message that names no path. */
KILN_API kiln_status kiln_check_store(kiln *k, kiln_error *err);

/* Counters since open; those that start with store_ are the store's. `canary_runs` are trial loads
 * of new blobs, where V8 verifies no checksum itself; `blobs_quarantined` blobs whose consumer
 * crashed while the same job without them did not, `sandbox_alarms` workers that made a system call
 * which V8 never makes. `rejected` counts blobs that
 * the store vouched for and the engine refused (they were removed), `bypasses` answers whose entry
 * could not be stored, `busy` requests refused because too many were waiting, `refused` those whose
 * source had crashed too often. Of `zygotes_lost`, `zygotes_not_ready` never came up;
 * `zygotes_renewed` had made as many workers as one may. */
#define KILN_STATS_MAP(X)        \
  X(requests)                    \
  X(hits)                        \
  X(misses)                      \
  X(coalesced)                   \
  X(bypasses)                    \
  X(rejected)                    \
  X(canary_runs)                 \
  X(canary_failures)             \
  X(blobs_quarantined)           \
  X(busy)                        \
  X(refused)                     \
  X(jobs)                        \
  X(jobs_ok)                     \
  X(jobs_exception)              \
  X(jobs_time_limit)             \
  X(jobs_memory_limit)           \
  X(jobs_crashed)                \
  X(jobs_running)                \
  X(jobs_queued)                 \
  X(kills)                       \
  X(zygotes_started)             \
  X(zygotes_lost)                \
  X(zygotes_not_ready)           \
  X(zygotes_renewed)             \
  X(protocol_errors)             \
  X(sandbox_alarms)              \
  X(sessions_open)               \
  X(sessions_opened)             \
  X(sessions_ended_closed)       \
  X(sessions_ended_idle)         \
  X(sessions_ended_evicted)      \
  X(sessions_ended_time_limit)   \
  X(sessions_ended_memory_limit) \
  X(sessions_ended_crashed)      \
  X(session_commands)            \
  X(images)                      \
  X(image_runs)                  \
  X(image_renewals)              \
  X(image_evictions)             \
  X(image_failures)              \
  X(store_entries)               \
  X(store_blob_bytes)            \
  X(store_quarantined)           \
  X(store_puts)                  \
  X(store_corrupt)               \
  X(store_busy_waits)            \
  X(store_errors)
typedef struct kiln_stats {
#define KILN_STATS_FIELD(name) uint64_t name;
  KILN_STATS_MAP(KILN_STATS_FIELD)
#undef KILN_STATS_FIELD
} kiln_stats;
KILN_API kiln_status kiln_get_stats(kiln *k, kiln_stats *ret_stats, kiln_error *err);

/* How many look-ups had each reason, since open: ret_counts[code]. */
KILN_API void kiln_get_reasons(const kiln *k, uint64_t ret_counts[KILN_CAUSE_CODES]);

#ifdef __cplusplus
}
#endif

#include "kiln_image.h"
#include "kiln_session.h"
#endif
