/* SPDX-License-Identifier: MIT
 *
 * kv8.h: V8 as a C library (libkiln-v8).
 *
 * What it is for: isolates, contexts, scripts, functions, module records, values, cached data and
 * memory measurement, with the semantics of Node's `vm` module. What it is not: a security
 * boundary (G06). V8 can be made to abort or to crash its process by hostile scripts and by bad
 * cached data; who runs code he does not trust gives each job a process of its own, as kiln-engine
 * does.
 *
 * CONVENTIONS, which hold for every function here:
 *
 * Terms. An *isolate* is one V8 heap and all that lives in it. A *context* is one global object
 *   with its built-ins; an isolate has any number of them. A *module record* is one ES module.
 *   *Cached data* is V8's serialised bytecode ("code cache"): bytes that let a later compile of
 *   the same source skip parsing.
 * Text. All text is UTF-8, passed as pointer and length (kv8_span) and need not end in NUL.
 *   Invalid bytes become U+FFFD, as when Node reads a file as UTF-8. A byte order mark is kept.
 * Errors. Everything that can fail returns a kv8_status; anything but KV8_OK fills `*err` (which
 *   may be NULL) and leaves every `ret_` argument untouched. There is no last-error state.
 *   The library never prints, never exits, reads no environment.
 * Ownership. new, compile, create and copy hand you something to free; get lends, until its owner
 *   is freed. Spans you pass are read during the call and not kept, kv8_source.text with a
 *   `release` excepted. Callbacks come with a `user` pointer and run on the calling thread.
 * Lifetimes. Free values, scripts, functions, modules and contexts before their isolate, the
 *   isolate before kv8_engine_stop(). Every *_free(NULL) does nothing.
 * Threads. An isolate and everything made from it belong to one thread at a time. The only call
 *   another thread may make is kv8_isolate_terminate().
 * Structs. Options whose bytes are all zero mean the defaults, apart from struct_size, which the
 *   *_INIT macro sets. A larger struct_size than this library knows is KV8_EINVAL.
 * Parts. kv8_value.h has values, kv8_module.h has modules; this header includes both.
 * Numbers. Lines and columns are 1-based as in stack traces; 0 means unknown. Times are in
 *   milliseconds unless the name says otherwise; sizes in bytes.
 */
#ifndef KILN_SHIM_KV8_H
#define KILN_SHIM_KV8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define KV8_API __attribute__((visibility("default")))
#else
#define KV8_API
#endif

#define KV8_VERSION_MAJOR 0
#define KV8_VERSION_MINOR 1
#define KV8_VERSION_PATCH 0

/* ---- status and error ----------------------------------------------------------------------- */

/* By hundreds: 1xx the caller's mistake, 2xx the input's, 3xx a limit, 5xx the engine's.
 * Values are never renumbered. X(symbol, number, what it means) */
#define KV8_STATUS_MAP(X)                                                  \
  X(KV8_OK, 0, "success")                                                  \
  X(KV8_EINVAL, 100, "invalid argument")                                   \
  X(KV8_ESTATE, 101, "the object is in the wrong state for this call")     \
  X(KV8_EEXCEPTION, 200, "the script threw an exception")                  \
  X(KV8_ESYNTAX, 201, "the source does not compile")                       \
  X(KV8_ELINK, 202, "a module request is not satisfied")                   \
  X(KV8_ETOOBIG, 203, "the input or the result is over its limit")         \
  X(KV8_EJSON, 204, "the text is not JSON, or the value has no JSON form") \
  X(KV8_ETIMEOUT, 300, "the deadline passed")                              \
  X(KV8_EINTERRUPTED, 301, "kv8_isolate_terminate() was called")           \
  X(KV8_EHEAP, 302, "the isolate's heap limit was reached")                \
  X(KV8_EENGINE, 500, "the engine failed without giving a reason")         \
  X(KV8_ENOMEM, 501, "out of memory")                                      \
  X(KV8_EUNSUPPORTED, 502, "this V8 does not have it")

typedef enum kv8_status {
#define KV8_STATUS_ENUM(symbol, number, text) symbol = number,
  KV8_STATUS_MAP(KV8_STATUS_ENUM)
#undef KV8_STATUS_ENUM
} kv8_status;

/* Gets the symbol's name ("KV8_ETIMEOUT") or its meaning; "unknown status" for any other number. */
KV8_API const char *kv8_status_name(kv8_status status);
KV8_API const char *kv8_status_text(kv8_status status);

/* Caller-owned, without heap: nothing to free. Texts that do not fit are cut at a UTF-8 boundary
 * and end in "..."; a NUL within becomes "?". */
typedef struct kv8_error {
  kv8_status status;
  int line;              /* in `resource`; 0 unknown */
  int column;            /* 0 unknown */
  int end_column;        /* of the offending text, one past its last; 0 unknown */
  char code[64];         /* Node's code where it has one ("ERR_SCRIPT_EXECUTION_TIMEOUT"), else the
                            exception's own string `code`, else "" */
  char name[64];         /* "TypeError"; "Error" where the thrown value has none */
  char resource[256];    /* the script's resource name */
  char message[1024];    /* without the name; a thrown non-object is converted to string */
  char source_line[256]; /* the offending line's text, as far as known */
  char stack[4096];      /* the stack property, or "" */
} kv8_error;

typedef struct kv8_span {
  const char *data;
  size_t length;
} kv8_span;

/* Makes a span of a NUL-terminated string; NULL gives the empty span. */
KV8_API kv8_span kv8_span_from(const char *text);

/* Bytes that you own: release with kv8_blob_free(), which accepts an empty one. The data is
 * 8-byte aligned (V8 would copy cached data that is not). */
typedef struct kv8_blob {
  uint8_t *data;
  size_t length;
} kv8_blob;
KV8_API void kv8_blob_free(kv8_blob *blob);

/* ---- engine: once per process --------------------------------------------------------------- */

/* The flags Node 18.20 runs with; with them this library's cached data carries Node 18.20's tag
 * and is accepted by it. */
#define KV8_FLAGS_NODE_18 "--harmony-import-attributes --harmony-import-assertions"
#if defined(KV8_HOST_NODE) /* in a node binary: Node sets its own, others are added to them */
#define KV8_FLAGS_DEFAULT ""
#else
#define KV8_FLAGS_DEFAULT KV8_FLAGS_NODE_18
#endif

typedef struct kv8_engine_options {
  size_t struct_size;
  const char *flags;  /* V8 flags, space separated; NULL means KV8_FLAGS_DEFAULT. One V8 does not
                         know is KV8_EINVAL and final: V8 may have taken the others. Frozen then. */
  unsigned threads;   /* for V8's background jobs; 0: one less than the cores, 1 to 4 */
  bool defer_threads; /* start no thread until kv8_engine_after_fork(): for a zygote. Until then a
                         deadline is KV8_ESTATE, and V8's background work waits */
} kv8_engine_options;
#define KV8_ENGINE_OPTIONS_INIT \
  { sizeof(kv8_engine_options), NULL, 0, false }

/* Starts V8. Once per process: a second start, even after a stop or refusal, is KV8_ESTATE. */
KV8_API kv8_status kv8_engine_start(const kv8_engine_options *options, kv8_error *err);

/* Ends V8; every isolate must have been freed. Nothing may be called afterwards. */
KV8_API void kv8_engine_stop(void);

/* To be called in a process forked from one that started the engine with defer_threads, before all
 * else here: gives it a random seed of its own (siblings would share Math.random(); a context whose
 * parent has called it already goes on with the parent's numbers) and allows background threads,
 * which start when V8 first needs one, or now if `threads_now`. KV8_EUNSUPPORTED where V8 freezes
 * its flags (10.5 and newer, but not in a node binary). V8 must not mark its heap MADV_DONTFORK:
 * define `madvise` in the executable so that it ignores that one advice (kiln-engine does). */
KV8_API kv8_status kv8_engine_after_fork(bool threads_now, kv8_error *err);

/* Makes the process _exit(code) at once when operator new finds no memory, or when a C++ exception
 * has nowhere to go (V8 and ICU have no handlers): for a process that does one job under
 * RLIMIT_DATA; in others it would turn KV8_ENOMEM into an exit. Once the engine has started. */
KV8_API void kv8_engine_exit_on_out_of_memory(int code);

/* Who this engine is; lent for the life of the process. All of it belongs in a cache key: V8's own
 * version tag does not tell builds apart. */
typedef struct kv8_engine_info {
  const char *v8_version;   /* "10.2.154.26-node.37" */
  uint32_t cached_data_tag; /* ScriptCompiler::CachedDataVersionTag() */
  const char *flags;        /* as given, normalised */
  const char *build_id;     /* hex GNU build id of the object V8 lives in; "" if it has none */
  const char *arch;         /* "x64", "arm64" (Node's process.arch) */
} kv8_engine_info;
KV8_API kv8_status kv8_engine_get_info(kv8_engine_info *ret_info, kv8_error *err);

/* ---- isolate -------------------------------------------------------------------------------- */

typedef struct kv8_isolate kv8_isolate;
typedef struct kv8_context kv8_context;
typedef struct kv8_value kv8_value;
typedef struct kv8_script kv8_script;
typedef struct kv8_function kv8_function;
typedef struct kv8_module kv8_module;
typedef struct kv8_run_options kv8_run_options;
typedef struct kv8_json_options kv8_json_options; /* kv8_value.h */

/* What V8 reports before it ends the process: out of memory, or a broken invariant. The function
 * is called on the failing thread and should not return (_exit, say). */
typedef enum kv8_fatal_kind { KV8_FATAL_OOM = 0, KV8_FATAL_ERROR = 1 } kv8_fatal_kind;
typedef void (*kv8_fatal_fn)(void *user, kv8_fatal_kind kind, const char *location,
                             const char *message);

typedef struct kv8_isolate_options {
  size_t struct_size;
  size_t heap_max_bytes;         /* old + young generation, at least 8 MiB; 0 keeps V8's default.
                                    Near the limit it is raised once by heap_grace_bytes and the
                                    running script is terminated: KV8_EHEAP, ERR_HEAP_LIMIT. One
                                    huge allocation can still end in on_fatal: V8's limit is not
                                    a hard one. */
  size_t heap_grace_bytes;       /* 0 means 32 MiB */
  size_t array_buffer_max_bytes; /* all ArrayBuffers together; more is a RangeError. 0: no limit */
  size_t stack_max_bytes; /* what V8 may use of the calling thread's stack; 0 keeps 984 KiB */
  kv8_fatal_fn on_fatal;  /* NULL: V8 prints and aborts */
  void *on_fatal_user;
} kv8_isolate_options;
#define KV8_ISOLATE_OPTIONS_INIT \
  { sizeof(kv8_isolate_options), 0, 0, 0, 0, NULL, NULL }

KV8_API kv8_status kv8_isolate_new(const kv8_isolate_options *options, kv8_isolate **ret_isolate,
                                   kv8_error *err);

/* Frees the isolate. What was made from it must be gone (debug builds assert it). A pending memory
 * measurement ends with KV8_ESTATE. Within a call of the isolate (a callback) it does nothing. */
KV8_API void kv8_isolate_free(kv8_isolate *isolate);

/* Changes the heap limit of a live isolate that has not been near its limit yet (a zygote's is
 * made before the job's limit is known); KV8_ESTATE if it has. Below 8 MiB is KV8_EINVAL. */
KV8_API kv8_status kv8_isolate_set_heap_max(kv8_isolate *isolate, size_t heap_max_bytes,
                                            kv8_error *err);

/* Changes the cap on all ArrayBuffers together; 0 means no limit. */
KV8_API void kv8_isolate_set_array_buffer_max(kv8_isolate *isolate, size_t max_bytes);
/* Looks the host's time zone up; no file is read for it later. */
KV8_API void kv8_isolate_detect_time_zone(kv8_isolate *isolate);

/* Sets the lowest stack address JavaScript may use to `bytes` below the caller's frame; needed
 * after the isolate moves to another thread or stack. */
KV8_API void kv8_isolate_set_stack_max(kv8_isolate *isolate, size_t bytes);

/* Stops the JavaScript that runs in `isolate` now, nested calls and all; they return
 * KV8_EINTERRUPTED with code ERR_SCRIPT_EXECUTION_INTERRUPTED. Without a call of this library in
 * progress it does nothing. From any thread, until kv8_isolate_free() begins. Some of V8's native
 * loops cannot be stopped (facts in ARCHITECTURE.md): a process of its own can. RC07 */
KV8_API void kv8_isolate_terminate(kv8_isolate *isolate);

/* Runs what V8 posted for this thread (finalisers, compile jobs, memory measurement), waiting up to
 * `wait_ms` for the first task; about 1,000 tasks at most. Finalisers are guest code, and have
 * no deadline here. Sets *ret_ran, which may be NULL, to whether one ran. */
KV8_API kv8_status kv8_isolate_pump(kv8_isolate *isolate, unsigned wait_ms, bool *ret_ran,
                                    kv8_error *err);

/* Asks V8 for a full garbage collection. */
KV8_API void kv8_isolate_collect_garbage(kv8_isolate *isolate);

/* v8.getHeapStatistics() of Node, field by field. MM08 */
typedef struct kv8_heap_statistics {
  size_t total_heap_size;
  size_t total_heap_size_executable;
  size_t total_physical_size;
  size_t total_available_size;
  size_t total_global_handles_size;
  size_t used_global_handles_size;
  size_t used_heap_size;
  size_t heap_size_limit;
  size_t malloced_memory;
  size_t external_memory;
  size_t peak_malloced_memory;
  size_t number_of_native_contexts;
  size_t number_of_detached_contexts;
} kv8_heap_statistics;
KV8_API kv8_status kv8_isolate_get_heap_statistics(kv8_isolate *isolate,
                                                   kv8_heap_statistics *ret_statistics,
                                                   kv8_error *err);

/* v8.getHeapSpaceStatistics(): calls `each` once per space; `name` is lent for the call. MM08 */
typedef struct kv8_heap_space_statistics {
  const char *name;
  size_t size;
  size_t used_size;
  size_t available_size;
  size_t physical_size;
} kv8_heap_space_statistics;
KV8_API kv8_status kv8_isolate_each_heap_space(kv8_isolate *isolate,
                                               void (*each)(void *user,
                                                            const kv8_heap_space_statistics *space),
                                               void *user, kv8_error *err);

/* Tells of promises that are rejected while nobody handles them, as Node's `unhandledRejection` is
 * founded on. Called within the run that rejects, before later handlers are known: remember the
 * promise (kv8_value_copy()), and look when the microtasks are drained. */
typedef enum kv8_rejection {
  KV8_REJECTED_UNHANDLED = 0, /* rejected, and has no handler */
  KV8_REJECTION_HANDLED = 1,  /* got a handler after that */
} kv8_rejection;
typedef void (*kv8_rejection_fn)(void *user, kv8_rejection what, const kv8_value *promise,
                                 const kv8_value *reason); /* lent; no reason with HANDLED */
/* NULL ends it. `user` must outlive that. */
KV8_API void kv8_isolate_set_on_rejection(kv8_isolate *isolate, kv8_rejection_fn on_rejection,
                                          void *user);

/* ---- import() and import.meta --------------------------------------------------------------- */

/* One import() that waits for an answer, and what answers it: kv8_module.h. */
typedef struct kv8_import kv8_import;
typedef void (*kv8_import_fn)(void *user, kv8_import *import);
/* Fills the module's import.meta, an object without prototype: once, when the module first asks
 * for it (ST07, ST09). Throws by giving *ret_exception, which is taken over. */
typedef void (*kv8_import_meta_fn)(void *user, kv8_module *module, const kv8_value *meta,
                                   kv8_value **ret_exception);

/* Who answers the import() and import.meta of a script, function or module; of a context, who
 * answers those import() that come from no code with hooks of its own (N12). */
typedef struct kv8_hooks {
  size_t struct_size;
  kv8_import_fn on_import;           /* NULL: the context's; it has none: import() rejects with
                                        ERR_VM_DYNAMIC_IMPORT_CALLBACK_MISSING (SC16) */
  kv8_import_meta_fn on_import_meta; /* modules only; NULL: import.meta stays empty */
  void *user;
  /* Called once: when no code is left that could ask, when the isolate is freed, or when the call
   * that was given the hooks fails; may be NULL. It must call nothing of this library but
   * *_free(). */
  void (*release)(void *user);
  const kv8_value *referrer; /* any value: kv8_import_get_referrer() gives it back. It lives as long
                                as the code that may ask, and no longer, also if it refers to that
                                code (P01-P05). NULL: undefined */
} kv8_hooks;
#define KV8_HOOKS_INIT \
  { sizeof(kv8_hooks), NULL, NULL, NULL, NULL, NULL }

/* ---- context -------------------------------------------------------------------------------- */

typedef enum kv8_microtask_mode {
  KV8_MICROTASKS_SHARED = 0, /* the isolate's queue; drained by kv8_isolate_drain_microtasks()
                                and at the end of each outermost run of this library */
  KV8_MICROTASKS_AFTER_EVALUATE = 1, /* a queue of its own, drained inside each run, under its
                                        deadline (RN06) */
} kv8_microtask_mode;

typedef enum kv8_allow { KV8_ALLOW = 0, KV8_DENY = 1 } kv8_allow;

/* One line of console output. `level` is the method's name ("log", "error", ...); the text is
 * formatted as one line of Node's console would be. Both are lent for the call. */
typedef void (*kv8_console_fn)(void *user, const char *level, kv8_span text);

typedef struct kv8_context_options {
  size_t struct_size;
  kv8_span name;     /* shown by memory measurement and inspectors. Empty: "VM Context N",
                        N counting this isolate's contexts from 1 (RN02) */
  kv8_span origin;   /* for display only (RN03) */
  kv8_allow strings; /* code generation from strings: eval, Function (RN04) */
  kv8_allow wasm;    /* compiling WebAssembly (RN05) */
  kv8_microtask_mode microtask_mode;
  kv8_console_fn on_console; /* NULL: console methods do nothing, as in a bare V8 */
  void *on_console_user;
  /* An object to contextify: its properties are the context's global variables, and what code does
   * to globals happens to it (G03, G04). Every access to a global then calls into this library:
   * tens of times slower than a plain context's, whose global is an ordinary object. The object
   * may be a Proxy, and may throw. KV8_ESTATE if it is contextified already. */
  const kv8_value *contextify;
  const kv8_hooks *hooks; /* for import() without a referrer of its own; may be NULL */
} kv8_context_options;
#define KV8_CONTEXT_OPTIONS_INIT                                             \
  {                                                                          \
    sizeof(kv8_context_options), {NULL, 0}, {NULL, 0}, KV8_ALLOW, KV8_ALLOW, \
        KV8_MICROTASKS_SHARED, NULL, NULL, NULL, NULL                        \
  }

/* Makes a context. Without `contextify` a plain one: an ordinary global object without interceptors
 * (what Node calls DONT_CONTEXTIFY, N02). All contexts of an isolate may use each other's
 * objects. */
KV8_API kv8_status kv8_context_new(kv8_isolate *isolate, const kv8_context_options *options,
                                   kv8_context **ret_context, kv8_error *err);
KV8_API void kv8_context_free(kv8_context *context);

/* Changes a context that has run nothing yet (a zygote makes it before the job is known). As
 * kv8_context_new() would have: struct_size, name, origin, strings, wasm, microtask_mode and
 * console all take effect. */
KV8_API kv8_status kv8_context_configure(kv8_context *context, const kv8_context_options *options,
                                         kv8_error *err);

/* The context's globalThis (N03); of a contextified one, too, where it is not the object that was
 * contextified. */
KV8_API kv8_status kv8_context_copy_global(kv8_context *context, kv8_value **ret_global,
                                           kv8_error *err);
/* The object that was contextified; *ret_object NULL for a plain context. */
KV8_API kv8_status kv8_context_copy_contextified(kv8_context *context, kv8_value **ret_object,
                                                 kv8_error *err);

/* Gives the handle to the garbage collector: from now on the context lives as long as `object`
 * (usually the contextified one, or the plain context's global) or any code of the context does,
 * and the library frees the handle. It is lent from then on: find it with kv8_context_of();
 * kv8_context_free() on it does nothing. KV8_ESTATE if it is tied, or the object has a context. */
KV8_API kv8_status kv8_context_tie(kv8_context *context, const kv8_value *object, kv8_error *err);
/* The context tied to exactly this object, or whose contextified object it is; NULL where there is
 * none. vm.isContext() (IC01). */
KV8_API kv8_context *kv8_context_of(const kv8_value *object);

/* Drains the context's own microtask queue (KV8_MICROTASKS_AFTER_EVALUATE) under a deadline (0:
 * none); that of a shared one, the isolate's (P14, PR05). Within a microtask it does nothing. */
KV8_API kv8_status kv8_context_drain_microtasks(kv8_context *context, unsigned timeout_ms,
                                                kv8_error *err);

KV8_API kv8_span kv8_context_get_name(const kv8_context *context);
KV8_API kv8_span kv8_context_get_origin(const kv8_context *context);

/* Parses `json`, which must be an object, and defines each of its properties on the global; of a
 * contextified context, on its object. */
KV8_API kv8_status kv8_context_set_globals_json(kv8_context *context, kv8_span json,
                                                kv8_error *err);

/* Sets one global property, likewise. */
KV8_API kv8_status kv8_context_set_global(kv8_context *context, kv8_span name,
                                          const kv8_value *value, kv8_error *err);
KV8_API kv8_status kv8_context_get_global(kv8_context *context, kv8_span name,
                                          kv8_value **ret_value, kv8_error *err);

/* Writes as one JSON object what scripts and the caller have put on the global: its own enumerable
 * properties (G04). */
KV8_API kv8_status kv8_context_globals_to_json(kv8_context *context,
                                               const kv8_json_options *options, kv8_blob *ret_json,
                                               kv8_error *err);

/* ---- source and cached data ----------------------------------------------------------------- */

typedef enum kv8_cache_outcome {
  KV8_CACHE_NOT_OFFERED = 0, /* no cached data was passed: Node's cachedDataRejected undefined */
  KV8_CACHE_ACCEPTED = 1,    /* or at least its header, if this isolate has compiled the same source
                                before: V8 then takes what it has and reads no payload */
  KV8_CACHE_REJECTED = 2,    /* not an error: the source was compiled from scratch (SC12) */
} kv8_cache_outcome;

typedef enum kv8_compile_mode {
  KV8_COMPILE_LAZY = 0,  /* inner functions when first called: V8's and Node's default */
  KV8_COMPILE_EAGER = 1, /* every function now: for baking */
} kv8_compile_mode;

typedef struct kv8_source {
  size_t struct_size;
  kv8_span text;
  /* With `release`, text.data stays yours to keep unchanged until release(release_user) is called,
   * which happens exactly once, also when the call fails, possibly before it returns and at the
   * latest when the isolate is freed; if the text is ASCII, V8 then reads it in place instead of
   * copying it. Without, it is copied at most once. */
  void (*release)(void *user);
  void *release_user;
  kv8_span filename;     /* empty: "evalmachine.<anonymous>" for scripts (SC04), "" for functions
                            (CF03), "vm:module(N)" for modules */
  int32_t line_offset;   /* SC06 */
  int32_t column_offset; /* of the first line only, SC07 */
  /* From kv8_*_create_cached_data(), of the very same source, kind and parameters. V8 does not
   * defend itself against other bytes, it checks only the source's *length*: pass only what your
   * own store has verified. A non-NULL pointer with length 0 is offered and rejected. */
  kv8_span cached_data;
  kv8_compile_mode mode; /* cached data excludes KV8_COMPILE_EAGER: KV8_EINVAL */
  /* May be NULL. With hooks, V8's cache of what this isolate has compiled does not serve (P07).
   * Code from cached data loses its hooks in V8 up to 11.3, so with on_import and a text in which
   * "import" occurs, such a V8 is not offered the data and the outcome is KV8_CACHE_REJECTED. */
  const kv8_hooks *hooks;
  kv8_context *context;    /* whose SyntaxError a script's is; NULL: the calling one's, or any */
  const kv8_value *string; /* the text once more, as a string value: V8 takes that; may be NULL */
} kv8_source;
#define KV8_SOURCE_INIT                                                                            \
  {                                                                                                \
    sizeof(kv8_source), {NULL, 0}, NULL, NULL, {NULL, 0}, 0, 0, {NULL, 0}, KV8_COMPILE_LAZY, NULL, \
        NULL, NULL                                                                                 \
  }

/* ---- running -------------------------------------------------------------------------------- */

struct kv8_run_options {
  size_t struct_size;
  unsigned timeout_ms;  /* 0: none. Past it: KV8_ETIMEOUT, ERR_SCRIPT_EXECUTION_TIMEOUT, "Script
                           execution timed out after Nms" (RC05). Microtasks drained by this run
                           count. The context stays usable (RC10). A run nested in another (from
                           on_console) that the outer one's deadline ends is KV8_EINTERRUPTED. */
  bool break_on_sigint; /* SIGINT to this process ends the run: KV8_EINTERRUPTED,
                           ERR_SCRIPT_EXECUTION_INTERRUPTED (RC07). Whatever handled SIGINT before
                           is set aside meanwhile and put back, exactly, when the last such run of
                           the process has ended (RC08); nested runs all end. Needs a thread, like
                           a deadline (RC09). */
};
#define KV8_RUN_OPTIONS_INIT \
  { sizeof(kv8_run_options), 0, false }

/* Drains the isolate's shared microtask queue under a deadline (0: none). */
KV8_API kv8_status kv8_isolate_drain_microtasks(kv8_isolate *isolate, unsigned timeout_ms,
                                                kv8_error *err);

/* ---- script: compiled, bound to no context (SC01-SC03) -------------------------------------- */

/* Compiles. KV8_ESYNTAX has line, column and source line. `ret_outcome` may be NULL. */
KV8_API kv8_status kv8_script_compile(kv8_isolate *isolate, const kv8_source *source,
                                      kv8_script **ret_script, kv8_cache_outcome *ret_outcome,
                                      kv8_error *err);
KV8_API void kv8_script_free(kv8_script *script);

/* Runs the script in `context`; `ret_value`, which may be NULL, gets the value of its last
 * statement (RC01). */
KV8_API kv8_status kv8_script_run(kv8_script *script, kv8_context *context,
                                  const kv8_run_options *options, kv8_value **ret_value,
                                  kv8_error *err);

/* Serialises what is compiled at this moment: after a run it also has the functions that ran
 * (CD01-CD06). KV8_EENGINE where V8 gives none. */
KV8_API kv8_status kv8_script_create_cached_data(kv8_script *script, kv8_blob *ret_data,
                                                 kv8_error *err);

/* Copies the URL of a `//# sourceMappingURL=` comment; an empty blob where there is none (SM01,
 * SM02). */
KV8_API kv8_status kv8_script_copy_source_map_url(kv8_script *script, kv8_blob *ret_url,
                                                  kv8_error *err);

/* Ties the handle to an object's life, as kv8_module_tie() does for a module. */
KV8_API kv8_status kv8_script_tie(kv8_script *script, const kv8_value *object, kv8_error *err);
/* The script tied to exactly this object; NULL where there is none. */
KV8_API kv8_script *kv8_script_of(const kv8_value *object);

/* ---- function: compileFunction -------------------------------------------------------------- */

#define KV8_PARAMS_MAX 1024

typedef struct kv8_function_options {
  size_t struct_size;
  const kv8_span *params; /* identifiers; anything else is KV8_ESYNTAX naming it (CF12) */
  size_t params_count;    /* over KV8_PARAMS_MAX is KV8_ETOOBIG */
  const kv8_value *const *context_extensions; /* objects, the last one innermost (CF08) */
  size_t context_extensions_count;
} kv8_function_options;
#define KV8_FUNCTION_OPTIONS_INIT \
  { sizeof(kv8_function_options), NULL, 0, NULL, 0 }

/* Compiles `source` as the body of a function of `context` (CF01). */
KV8_API kv8_status kv8_function_compile(kv8_context *context, const kv8_source *source,
                                        const kv8_function_options *options,
                                        kv8_function **ret_function, kv8_cache_outcome *ret_outcome,
                                        kv8_error *err);
KV8_API void kv8_function_free(kv8_function *function);

/* Calls it; `receiver` NULL means undefined. */
KV8_API kv8_status kv8_function_call(kv8_function *function, const kv8_value *receiver,
                                     const kv8_value *const *args, size_t args_count,
                                     const kv8_run_options *options, kv8_value **ret_value,
                                     kv8_error *err);
KV8_API kv8_status kv8_function_create_cached_data(kv8_function *function, kv8_blob *ret_data,
                                                   kv8_error *err);

/* The function itself as a value. */
KV8_API kv8_status kv8_function_copy_value(kv8_function *function, kv8_value **ret_value,
                                           kv8_error *err);

/* ---- memory measurement (MM01-MM10) --------------------------------------------------------- */

typedef enum kv8_measure_mode {
  KV8_MEASURE_SUMMARY = 0,
  KV8_MEASURE_DETAILED = 1
} kv8_measure_mode;
typedef enum kv8_measure_execution {
  KV8_MEASURE_DEFAULT = 0, /* with the next scheduled garbage collection: 10 s and more */
  KV8_MEASURE_EAGER = 1,   /* collects garbage now */
} kv8_measure_execution;

typedef struct kv8_measure_options {
  size_t struct_size;
  kv8_measure_mode mode;
  kv8_measure_execution execution;
  unsigned timeout_ms; /* 0 means 30,000; past it KV8_ETIMEOUT, and the measurement is dropped */
} kv8_measure_options;
#define KV8_MEASURE_OPTIONS_INIT \
  { sizeof(kv8_measure_options), KV8_MEASURE_SUMMARY, KV8_MEASURE_DEFAULT, 0 }

typedef struct kv8_memory_estimate {
  size_t js_memory_estimate;
  size_t js_memory_range[2]; /* low, high */
} kv8_memory_estimate;

typedef struct kv8_context_memory {
  char name[128]; /* the context's; "" for one this library did not make */
  kv8_memory_estimate memory;
} kv8_context_memory;

typedef struct kv8_memory {
  kv8_memory_estimate total;
  bool has_detail;            /* mode was detailed; else the next three are zero */
  kv8_context_memory current; /* the context asked for */
  kv8_context_memory *other;  /* every other context V8 found, also ones not yet collected */
  size_t other_count;
  bool has_wasm; /* this V8 reports it (N34) */
  size_t wasm_code_bytes;
  size_t wasm_metadata_bytes;
} kv8_memory;

/* Measures, pumping this thread's tasks until the answer is there or the time is up. In summary
 * mode `total` is about `context`, in detailed mode about the whole isolate; an estimate is what
 * contexts own, a range's high end adds what V8 could attribute to none (as Node's
 * vm.measureMemory). Release *ret_memory with kv8_memory_free(). */
KV8_API kv8_status kv8_measure_memory(kv8_context *context, const kv8_measure_options *options,
                                      kv8_memory *ret_memory, kv8_error *err);
KV8_API void kv8_memory_free(kv8_memory *memory);

/* Returns at once, without regard to timeout_ms: `done` is called once, if this call succeeds, from
 * kv8_isolate_pump(), or with KV8_ESTATE by kv8_isolate_free() and must then call nothing but
 * *_free(). `memory` is lent; the context is held until then (MM09). */
typedef void (*kv8_measured_fn)(void *user, kv8_status status, const kv8_memory *memory,
                                const kv8_error *err);
KV8_API kv8_status kv8_measure_memory_start(kv8_context *context,
                                            const kv8_measure_options *options,
                                            kv8_measured_fn done, void *user, kv8_error *err);

#ifdef __cplusplus
}
#endif

#include "kv8_module.h"
#include "kv8_value.h"

#endif
