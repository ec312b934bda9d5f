/* SPDX-License-Identifier: MIT
 *
 * internal.hh: what the shim's own files share: the structs behind kv8.h's handles, the guard every
 * entry point runs under, and small conversions between V8's strings and ours. It does not hide
 * V8's differences between versions (compat.hh does) and is never installed.
 *
 * THE PATTERN of every public function that touches V8:
 *
 *   1. Check arguments with Invalid() (never inside the guard).
 *   2. Enter(isolate, {context, timeout, drain}, err, [&](Entry &entry) { ... }) runs the body with
 *      the isolate, a handle scope, the context and a TryCatch entered; what the body throws in C++
 *      becomes KV8_ENOMEM or KV8_EENGINE. A body that got an empty handle returns entry.Fail().
 *   3. The body writes to locals. The caller stores into ret_ arguments only after Enter() has
 *      returned KV8_OK: a deadline that fires late turns a success into KV8_ETIMEOUT.
 */
#ifndef KILN_SHIM_INTERNAL_HH
#define KILN_SHIM_INTERNAL_HH

#include <cstdarg>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "shim/compat.hh"
#include "shim/holder.hh"
#include "shim/kv8.h"

namespace kv8 {

class ArrayBufferAllocator;
class ForegroundRunner;
struct ConsoleState;
struct ContextState;
struct Hooks;
struct Linking;

/* ---- errors (status.cc) --------------------------------------------------------------------- */

/* Fills *err (which may be NULL) and returns `status`. `code` may be "". */
__attribute__((format(printf, 4, 5))) kv8_status SetError(kv8_error *err, kv8_status status,
                                                          const char *code, const char *format,
                                                          ...) noexcept;

/* SetError(err, KV8_EINVAL, "", "%s", message). */
kv8_status Invalid(kv8_error *err, const char *message) noexcept;

/* Copies `text` into a fixed field; what does not fit is cut at a UTF-8 boundary and ends in "...".
 */
void CopyText(char *field, size_t size, std::string_view text) noexcept;

/* Ends a field's text; a NUL within it would end it too soon and becomes '?'. */
void SealText(char *field, size_t length) noexcept;

/* Bytes for the caller, from malloc; throws std::bad_alloc. */
kv8_blob NewBlob(const void *data, size_t length);

/* Checks `options->struct_size`; a NULL pointer is fine (defaults). */
template <class Options>
bool KnownSize(const Options *options) noexcept {
  return options == nullptr ||
         (options->struct_size >= sizeof(size_t) && options->struct_size <= sizeof(Options));
}

/* A copy with what an older caller's shorter struct lacks zeroed. Call after KnownSize(). */
template <class Options>
Options Normalised(const Options *options) noexcept {
  Options copy{};
  if (options != nullptr) {
    __builtin_memcpy(static_cast<void *>(&copy), options, options->struct_size);
  }
  copy.struct_size = sizeof(Options);
  return copy;
}

/* What a C caller stored in an enum: any int. Reading it as the enum would be undefined in C++. */
template <class Enum>
int RawEnum(const Enum &value) noexcept {
  static_assert(sizeof(Enum) == sizeof(int));
  int raw;
  __builtin_memcpy(&raw, &value, sizeof raw);
  return raw;
}

inline std::string_view View(kv8_span span) noexcept {
  return span.length == 0 ? std::string_view() : std::string_view(span.data, span.length);
}
inline kv8_span Span(const std::string &text) noexcept {
  return {text.data(), text.size()};
}

/* A span with a length must have data. */
inline bool ValidSpan(kv8_span span) noexcept {
  return span.length == 0 || span.data != nullptr;
}

/* ---- lifetimes ------------------------------------------------------------------------------ */

/* Everything made from an isolate is on its list, so that kv8_isolate_free() can find what the
 * caller forgot, let go of its V8 handles, and leave an empty shell that *_free() still accepts. */
struct Child {
  struct Unlisted {};

  explicit Child(kv8_isolate *isolate) noexcept;
  /* One that lives no longer than a call: a lent value. */
  Child(kv8_isolate *owner, Unlisted) noexcept : isolate(owner), is_listed(false) {}
  virtual ~Child();
  Child(const Child &) = delete;
  Child &operator=(const Child &) = delete;

  /* Drops every V8 handle: the isolate is about to go. */
  virtual void Drop() noexcept = 0;

  kv8_isolate *isolate; /* NULL once the isolate is gone */
  bool is_listed = true;
  Child *previous = nullptr;
  Child *next = nullptr;
};

/* ---- runs and deadlines (watchdog.cc) ------------------------------------------------------- */

/* One entered frame of this library on an isolate's stack. A termination is reported by the frame
 * whose record says so, and only that frame cancels it (P17, P18). Guarded by the watchdog's lock.
 */
struct Run {
  Run *outer = nullptr;
  kv8_isolate *isolate = nullptr;
  uint64_t deadline_ns = 0; /* CLOCK_MONOTONIC; 0: none */
  unsigned timeout_ms = 0;
  bool armed = false;
  bool deadline_fired = false;
  bool interrupted = false;    /* kv8_isolate_terminate(); set in the outermost frame */
  bool heap_exhausted = false; /* set in the outermost frame */
  bool wants_sigint = false;
  unsigned sigints_before = 0; /* SIGINTs that came before it began are not its own */
  Run *previous_sigint = nullptr;
  Run *next_sigint = nullptr;
};

enum class RunEnd { kNormal, kDeadline, kInterrupted, kHeap };

/* Pushes a frame, arming its deadline if timeout_ms is not 0, and having SIGINT end it if `sigint`;
 * false if no thread could be made. */
bool RunBegin(kv8_isolate *isolate, Run *run, unsigned timeout_ms, bool sigint) noexcept;

/* Disarms and pops the innermost frame, cancels a termination that was its own, renews one that is
 * an outer frame's. Returns why this frame ended; with `outer_end`, why an outer one is ending. */
RunEnd RunFinish(Run *run, RunEnd *outer_end) noexcept;

/* Whether this frame or one further out is to end. */
RunEnd RunEnding(const Run *run) noexcept;

/* Marks the outermost frame and terminates; does nothing without a frame. */
void RunInterrupt(kv8_isolate *isolate) noexcept;
void RunHeapExhausted(kv8_isolate *isolate) noexcept;

/* Ends every frame of the process that wants it and began before the last SIGINT. */
void RunsSigint() noexcept;

/* While there are more calls of the first than of the second, SIGINT is this library's: its handler
 * counts, and a thread calls RunsSigint() (signal.cc). False if there can be no thread. */
bool SigintBegin() noexcept;
void SigintEnd() noexcept;
/* Handled so far. */
unsigned SigintCount() noexcept;

/* In a forked child: the parent's watchdog thread is not here. */
void WatchdogAfterFork() noexcept;
void WatchdogStop() noexcept;

/* ---- platform (platform.cc) ----------------------------------------------------------------- */

/* Whether kv8_engine_start() has succeeded and kv8_engine_stop() not been called (engine.cc). */
bool EngineRunning() noexcept;

/* Whether threads may be started yet (false in a zygote before the fork). */
bool ThreadsAllowed() noexcept;

/* Runs one task V8 posted for this isolate's thread, waiting up to wait_ms for it to become due.
 * Call with the isolate entered (inside Enter()). False: none was due. */
bool PumpOnce(kv8_isolate *isolate, unsigned wait_ms);

/* Monotonic nanoseconds. */
uint64_t NowNs() noexcept;

/* ---- the entry guard ------------------------------------------------------------------------ */

struct EnterOptions {
  const v8::Global<v8::Context> *context = nullptr; /* NULL: no context is entered */
  unsigned timeout_ms = 0;                          /* 0: no deadline */
  bool drain = false;           /* drain microtasks after the body: this call ran guest code */
  bool drain_outermost = false; /* ... but none, if this call is nested in another */
  bool sigint = false;          /* SIGINT ends it */
};

class Entry {
 public:
  Entry(kv8_isolate *owner_in, const EnterOptions &options, kv8_error *err_in);
  ~Entry();
  Entry(const Entry &) = delete;
  Entry &operator=(const Entry &) = delete;

  kv8_isolate *const owner;
  v8::Isolate *const isolate;
  kv8_error *const err;

 private:
  v8::Isolate::Scope isolate_scope_;
  v8::HandleScope handle_scope_;

 public:
  const v8::Local<v8::Context> context; /* empty if none was asked for */

 private:
  std::optional<v8::Context::Scope> context_scope_;

 public:
  v8::TryCatch try_catch;

  /* Describes what try_catch caught in *err. A caught exception gives `status` (KV8_EEXCEPTION, or
   * KV8_ESYNTAX from a compile call), a termination gives KV8_EINTERRUPTED for now (the guard
   * corrects it when it knows whose it was), an empty handle without exception KV8_EENGINE (P12).
   */
  kv8_status Fail(kv8_status status = KV8_EEXCEPTION) noexcept;

  /* Describes an exception that try_catch has not caught (a promise's reason) in *err. */
  kv8_status FailWith(v8::Local<v8::Value> exception, kv8_status status = KV8_EEXCEPTION) noexcept;

  /* Puts the exception that *err describes into the caller's slot, if he wants it. Fail() and
   * FailWith() do it themselves. */
  void Keep(v8::Local<v8::Value> exception) noexcept;

 private:
  template <class Body>
  friend kv8_status Enter(kv8_isolate *, const EnterOptions &, kv8_error *, Body &&) noexcept;

  bool Begin(const EnterOptions &options) noexcept;
  void Drain(const EnterOptions &options) noexcept;
  kv8_status Finish(kv8_status status) noexcept;
  kv8_status EndRun(kv8_status status) noexcept;

  Run run_;
  bool begun_ = false;
  bool terminated_ = false; /* Fail() saw a termination */
  bool kept_ = false;       /* the exception is in the caller's slot */
};

kv8_status EnterFailedToStart(kv8_error *err) noexcept;

template <class Body>
kv8_status Enter(kv8_isolate *isolate, const EnterOptions &options, kv8_error *err,
                 Body &&body) noexcept {
  try {
    Entry entry(isolate, options, err);
    if (!entry.Begin(options)) {
      return EnterFailedToStart(err);
    }
    kv8_status status = body(entry);
    if (options.drain) {
      entry.Drain(options);
    }
    return entry.Finish(status);
  } catch (const std::bad_alloc &) {
    return SetError(err, KV8_ENOMEM, "", "out of memory");
  } catch (...) {
    return SetError(err, KV8_EENGINE, "", "unexpected C++ exception");
  }
}

/* Tells descriptions apart: equal ones have equal marks. 0 for NULL only. */
uint64_t ErrorMark(const kv8_error *err) noexcept;

/* Describes a JavaScript exception; `message` may be empty. Getters it calls may throw or be
 * terminated: such parts stay empty. Needs an entered context for anything but primitives. */
void DescribeException(v8::Isolate *isolate, v8::Local<v8::Context> context,
                       v8::Local<v8::Value> exception, v8::Local<v8::Message> message,
                       kv8_status status, kv8_error *err) noexcept;

/* ---- strings (source.cc) -------------------------------------------------------------------- */

/* A V8 string of UTF-8 text, in one-byte form where it can be; empty (no exception) if longer than
 * V8's longest string. */
v8::MaybeLocal<v8::String> NewString(v8::Isolate *isolate, std::string_view text);

/* An internalised string for a literal of this library. */
v8::Local<v8::String> Literal(v8::Isolate *isolate, std::string_view text);

/* UTF-8 of a V8 string; lone surrogates become U+FFFD. Throws std::bad_alloc. */
std::string ToUtf8(v8::Isolate *isolate, v8::Local<v8::String> text);

/* ---- contexts (context.cc) ------------------------------------------------------------------ */

/* What belongs to the v8::Context rather than to the caller's handle: closures may outlive
 * kv8_context_free(), and V8 keeps a raw pointer to the queue (P28). Freed when V8 has collected
 * the context, or with the isolate. */
struct ContextState final : Held {
  ~ContextState() override;

  kv8_isolate *isolate = nullptr;
  v8::Global<v8::Context> context;           /* weak once the handle is freed */
  kv8_context *handle = nullptr;             /* NULL once it is freed */
  unsigned number = 0;                       /* the N of "VM Context N" */
  std::unique_ptr<v8::MicrotaskQueue> queue; /* NULL: the isolate's */
  /* Queues of contexts this one replaced (kv8_context_configure()): V8 may still point to them. */
  std::vector<std::unique_ptr<v8::MicrotaskQueue>> retired;
  v8::MicrotaskQueue *drained = nullptr; /* == queue.get() while AFTER_EVALUATE is on */
  v8::Global<v8::Set> hidden;            /* names of globals that are not shown; empty: none */
  std::string name;
  std::string origin;
  bool allow_strings = true;
  bool allow_wasm = true;
  kv8_console_fn on_console = nullptr;
  void *on_console_user = nullptr;
  bool console_installed = false;
  std::shared_ptr<ConsoleState> console; /* groups, counters, timers; made when first needed */
  unsigned modules_made = 0;             /* the N of "vm:module(N)" (ST02) */
  unsigned evaluating = 0;               /* evaluations of its modules on the stack */
  bool tied = false;                     /* the handle is the collector's, and freed with this */
  bool contextified = false;
  ContextState *next = nullptr;
  ContextState *previous = nullptr;
};

/* The global template of contextified contexts: one per isolate, and interceptors on it that find
 * their context themselves (contextify.cc). */
v8::Local<v8::ObjectTemplate> ContextifiedGlobal(kv8_isolate *isolate);

/* The object whose properties are the context's globals; empty for a plain context. */
v8::MaybeLocal<v8::Object> ContextifiedObject(v8::Local<v8::Context> context);
/* Where the caller's globals are to be defined: that object, else the global itself. (Defining a
 * property through the API passes V8's interceptors by.) */
v8::Local<v8::Object> GlobalsOf(v8::Local<v8::Context> context);
/* To be called on a context made with ContextifiedGlobal() before anything else. */
void PrepareContextified(v8::Local<v8::Context> context);
/* Connects a context made with ContextifiedGlobal() with its object. */
bool Contextify(v8::Local<v8::Context> context, v8::Local<v8::Object> object);

/* Frees the tied handles of contexts: their isolate is about to go. */
void DropTiedContexts(kv8_isolate *isolate) noexcept;

/* The state of a context this library made; NULL for any other. */
ContextState *StateOf(v8::Local<v8::Context> context) noexcept;

/* Deletes; the V8 context must be collected, or its isolate about to go. */
void ContextRelease(ContextState *state) noexcept;

/* import() without a callback: a promise rejected with ERR_VM_DYNAMIC_IMPORT_CALLBACK_MISSING
 * (SC16). */
v8::MaybeLocal<v8::Promise> RejectDynamicImport(v8::Local<v8::Context> context,
                                                v8::Local<v8::Data> host_defined_options,
                                                v8::Local<v8::Value> resource_name,
                                                v8::Local<v8::String> specifier,
                                                v8::Local<v8::FixedArray> attributes);

/* Replaces the methods of `context`'s console object by ones that format their arguments and call
 * the context's on_console, read from StateOf() at each call (console.cc). Called once per
 * context, inside Enter() with that context, when it first gets an on_console. */
kv8_status InstallConsole(Entry &entry);

/* Marks a promise as handled; on_rejection learns of it, where it was told of a rejection
 * (promise.cc). */
void Handle(kv8_isolate *isolate, v8::Local<v8::Promise> promise) noexcept;

/* A context to compile in where the caller named none, because V8 needs one to make a SyntaxError:
 * the calling one, if a script's callback calls; else the first live one of this isolate, else a
 * spare one that goes when there is a real one. Not to be called inside Enter(). */
kv8_status AnyContext(kv8_isolate *isolate, const v8::Global<v8::Context> **ret_context,
                      kv8_error *err) noexcept;

/* ---- memory measurement (memory.cc) --------------------------------------------------------- */

struct Measurement; /* one that kv8_measure_memory_start() began */

/* Tells who waits for a measurement that it never will be: the isolate is about to go. */
void EndMeasurements(kv8_isolate *isolate) noexcept;

/* ---- modules -------------------------------------------------------------------------------- */

/* Lets go of links, hooks and freed modules that wait for the garbage collector: the isolate is
 * about to go (module.cc). */
void FreeModules(kv8_isolate *isolate) noexcept;

}  // namespace kv8

/* ---- the handles of kv8.h ------------------------------------------------------------------- */

struct kv8_isolate {
  v8::Isolate *v8 = nullptr;
  std::shared_ptr<kv8::ArrayBufferAllocator> allocator;
  kv8::Run *innermost = nullptr; /* guarded by the watchdog's lock */
  kv8::Child *children = nullptr;
  kv8::ContextState *contexts = nullptr;
  v8::Global<v8::Context> spare; /* AnyContext()'s */
  unsigned contexts_made = 0;
  kv8::Holders holders;
  std::vector<std::shared_ptr<kv8::Measurement>> measurements; /* some may have ended */
  v8::Global<v8::ObjectTemplate> contextified_global;
  v8::Global<v8::String> value_key; /* "value" */
  /* v8::Module::GetIdentityHash() -> module, for V8's resolve callback, which gets no user data. */
  std::unordered_multimap<int, kv8_module *> modules;
  uint64_t modules_made = 0;
  unsigned synthetic_evaluating = 0;      /* callbacks of synthetic modules on the stack */
  std::unique_ptr<kv8_error> termination; /* of the last module that was terminated */
  kv8::Linking *linkings = nullptr;
  kv8_link *links = nullptr; /* requests that wait for an answer */
  kv8::Hooks *hooks = nullptr;
  void *await_copy = nullptr;  /* while kv8_module_has_top_level_await() asks V8 */
  bool is_closing = false;     /* kv8_isolate_free() has begun */
  size_t heap_old_bytes = 0;   /* V8's old generation limit, as asked for; 0: V8's default */
  size_t heap_young_bytes = 0; /* what the young generation may take of the limit */
  size_t heap_grace_bytes = 0;
  bool heap_raised = false;
  kv8_fatal_fn on_fatal = nullptr;
  void *on_fatal_user = nullptr;
  kv8_value **kept = nullptr; /* the caller's slot for exceptions; NULL: none are kept */
  uint64_t kept_mark = 0;     /* of the kv8_error that describes the one in the slot */
  bool outer_ending = false;  /* the call that ended last said so of those around it */
  kv8_rejection_fn on_rejection = nullptr;
  void *on_rejection_user = nullptr;
};

namespace kv8 {

/* What a kv8_value refers to: a global handle, or, lent to a callback, a slot of V8's that lives as
 * long as the call and costs nothing. */
class ValueSlot {
 public:
  v8::Local<v8::Value> Get(v8::Isolate *isolate) const {
    return lent_.IsEmpty() ? global_.Get(isolate) : lent_;
  }
  void Reset(v8::Isolate *isolate, v8::Local<v8::Value> value) {
    global_.Reset(isolate, value);
  }
  void Lend(v8::Local<v8::Value> value) noexcept {
    lent_ = value;
  }
  void Reset() noexcept {
    global_.Reset();
    lent_.Clear();
  }
  bool IsEmpty() const noexcept {
    return lent_.IsEmpty() && global_.IsEmpty();
  }

 private:
  v8::Global<v8::Value> global_;
  v8::Local<v8::Value> lent_;
};

}  // namespace kv8

struct kv8_context final : kv8::Child {
  using Child::Child;
  ~kv8_context() override;
  void Drop() noexcept override;

  kv8::ContextState *state = nullptr; /* NULL after Drop() */
  std::string name;                   /* lent by kv8_context_get_name() */
  std::string origin;
};

struct kv8_value final : kv8::Child {
  using Child::Child;
  /* A lent one; `lent` must outlive it. */
  kv8_value(kv8_isolate *owner, v8::Local<v8::Value> lent) noexcept : Child(owner, Unlisted{}) {
    value.Lend(lent);
  }
  void Drop() noexcept override {
    value.Reset();
  }

  kv8::ValueSlot value;
};

struct kv8_script final : kv8::Child {
  using Child::Child;
  void Drop() noexcept override {
    script.Reset();
  }

  v8::Global<v8::UnboundScript> script; /* weak once tied */
  bool tied = false;
};

struct kv8_function final : kv8::Child {
  using Child::Child;
  void Drop() noexcept override {
    function.Reset();
    context.Reset();
  }

  v8::Global<v8::Function> function;
  v8::Global<v8::Context> context;
};

namespace kv8 {

/* The options to enter a context handle. */
inline EnterOptions In(const kv8_context *context, unsigned timeout_ms = 0, bool drain = false) {
  return {&context->state->context, timeout_ms, drain};
}

/* The same for a run with the caller's options. */
inline EnterOptions In(const kv8_context *context, const kv8_run_options &run) {
  return {&context->state->context, run.timeout_ms, true, false, run.break_on_sigint};
}

/* The same for a call that may run guest code in passing (a getter, say). */
inline EnterOptions Touching(const kv8_context *context, unsigned timeout_ms = 0) {
  return {&context->state->context, timeout_ms, true, true};
}

/* Wraps a V8 value for the caller. */
inline std::unique_ptr<kv8_value> NewValue(kv8_isolate *isolate, v8::Local<v8::Value> value) {
  auto handle = std::make_unique<kv8_value>(isolate);
  handle->value.Reset(isolate->v8, value);
  return handle;
}

}  // namespace kv8

#endif
