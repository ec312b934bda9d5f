/* SPDX-License-Identifier: MIT
 *
 * isolate.cc: making and freeing isolates, their limits (heap, ArrayBuffers, stack), termination,
 * garbage collection and heap statistics. Limits are set through V8's ResourceConstraints and
 * callbacks, never through flags, which would change the cached data's tag.
 */
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "shim/internal.hh"
#include "shim/platform.hh"
#include "shim/source.hh"

namespace kv8 {

/* All ArrayBuffers of one isolate together, under a cap. Buffers are freed by V8's background
 * threads too, and a transferred one may outlive its isolate. */
class ArrayBufferAllocator final : public compat::AllocatorParent {
 public:
  explicit ArrayBufferAllocator(size_t max_bytes) noexcept : max_(max_bytes) {}

  void *Allocate(size_t length) override {
    return Take(length) ? Give(length, true) : Refuse();
  }
  void *AllocateUninitialized(size_t length) override {
    return Take(length) ? Give(length, false) : Refuse();
  }
  void Free(void *data, size_t length) override {
    std::free(data);
    used_.fetch_sub(length, std::memory_order_relaxed);
  }

  void SetMax(size_t max_bytes) noexcept {
    max_.store(max_bytes, std::memory_order_relaxed);
  }

  /* Whether some buffer has been refused so far. */
  bool HasRefused() const noexcept {
    return refused_.load(std::memory_order_relaxed);
  }

 private:
  bool Take(size_t length) noexcept {
    size_t max = max_.load(std::memory_order_relaxed);
    size_t before = used_.fetch_add(length, std::memory_order_relaxed);
    if (max != 0 && length > kAlwaysBytes && (before > max || length > max - before)) {
      used_.fetch_sub(length, std::memory_order_relaxed);
      return false; /* V8 collects garbage, asks again, and then throws a RangeError */
    }
    return true;
  }

  void *Give(size_t length, bool zeroed) noexcept {
    void *data = zeroed ? std::calloc(length != 0 ? length : 1, 1) : std::malloc(length + 1);
    if (data == nullptr) {
      used_.fetch_sub(length, std::memory_order_relaxed);
      return Refuse();
    }
    return data;
  }

  void *Refuse() noexcept {
    refused_.store(true, std::memory_order_relaxed);
    return nullptr;
  }

  /* V8 keeps typed arrays up to this size on its heap, moves one when a script asks for its buffer,
   * and ends the process if there is no memory then. The heap's limit bounds their number. */
  static constexpr size_t kAlwaysBytes = 64;

  std::atomic<size_t> max_;
  std::atomic<size_t> used_{0};
  std::atomic<bool> refused_{false};
};

namespace {

constexpr size_t kMiB = size_t{1} << 20;
constexpr size_t kDefaultGraceBytes = 32 * kMiB;
/* V8's own default for the young generation of a 64-bit process: three semi-spaces of 16 MiB. */
constexpr size_t kDefaultYoungBytes = 48 * kMiB;
constexpr size_t kHeapMinBytes = 8 * kMiB; /* below, V8 cannot even make a context */
constexpr unsigned kPumpMax = 1000;
constexpr size_t kStackMinBytes = 64 * 1024;

/* V8's fatal-error callbacks get neither isolate nor user data; where no isolate is entered on the
 * failing thread (a pool thread), this is the one to blame. */
std::atomic<kv8_isolate *> last_with_fatal{nullptr};

void ReportFatal(kv8_fatal_kind kind, const char *location, const char *message) noexcept {
  v8::Isolate *current = v8::Isolate::TryGetCurrent();
  auto *isolate = current == nullptr
                      ? nullptr
                      : static_cast<kv8_isolate *>(current->GetData(compat::kIsolateSlot));
  if (isolate == nullptr || isolate->on_fatal == nullptr) {
    isolate = last_with_fatal.load();
  }
  if (isolate != nullptr) {
    isolate->on_fatal(isolate->on_fatal_user, kind, location != nullptr ? location : "",
                      message != nullptr ? message : "");
  }
}

void OnOom(const char *location) {
  ReportFatal(KV8_FATAL_OOM, location, "JavaScript heap out of memory");
}

void OnFatal(const char *location, const char *message) {
  ReportFatal(KV8_FATAL_ERROR, location, message);
}

/* One collection may have moved a whole young generation to the old one, far beyond the limit. */
size_t Committed(v8::Isolate *isolate) {
  v8::HeapStatistics heap;
  isolate->GetHeapStatistics(&heap);
  return heap.total_heap_size();
}

/* Raises the limit once only: each further raise would let a dying script thrash through one more
 * full collection (measured: 14 raises, 9.5 s). */
size_t OnNearHeapLimit(void *data, size_t current, size_t initial) {
  (void)initial;
  auto *isolate = static_cast<kv8_isolate *>(data);
  if (isolate->heap_old_bytes > current && !isolate->heap_raised) {
    return isolate->heap_old_bytes; /* kv8_isolate_set_heap_max() asked for more */
  }
  size_t committed = Committed(isolate->v8);
  /* 14 calls this, too, when it finds no memory for an ArrayBuffer. */
  bool is_for_buffer = isolate->allocator->HasRefused() && committed < current;
  if (isolate->heap_raised || is_for_buffer) {
    return current;
  }
  isolate->heap_raised = true;
  RunHeapExhausted(isolate);
  return std::max(current, committed) + isolate->heap_grace_bytes;
}

/* Splits a limit for the whole heap the way V8 does when it knows it from the start: what the
 * young generation may take comes off, but the old one keeps at least half. */
size_t OldShare(size_t heap_bytes, size_t young_bytes) noexcept {
  return young_bytes < heap_bytes / 2 ? heap_bytes - young_bytes : heap_bytes / 2;
}

void SetLimits(const kv8_isolate_options &options, v8::ResourceConstraints *constraints,
               kv8_isolate *isolate) {
  isolate->heap_grace_bytes =
      options.heap_grace_bytes != 0 ? options.heap_grace_bytes : kDefaultGraceBytes;
  isolate->heap_young_bytes = kDefaultYoungBytes;
  if (options.heap_max_bytes == 0) {
    return;
  }
  if (!compat::kHostTakesConstraints) {
    isolate->heap_old_bytes = OldShare(options.heap_max_bytes, isolate->heap_young_bytes);
    return;
  }
  constraints->ConfigureDefaultsFromHeapSize(0, options.heap_max_bytes);
  isolate->heap_old_bytes = constraints->max_old_generation_size_in_bytes();
  isolate->heap_young_bytes = constraints->max_young_generation_size_in_bytes();
}

void LimitOldGeneration(kv8_isolate *isolate) {
  /* Removing the callback is V8's way to lower the limit; raising it is the callback's work. */
  isolate->v8->RemoveNearHeapLimitCallback(OnNearHeapLimit, isolate->heap_old_bytes);
  isolate->v8->AddNearHeapLimitCallback(OnNearHeapLimit, isolate);
}

bool AllowWasm(v8::Local<v8::Context> context, v8::Local<v8::String>) {
  ContextState *state = StateOf(context);
  return state == nullptr || state->allow_wasm;
}

bool AbortOnUncaught(v8::Isolate *) {
  return false;
}

/* With no listener at all V8 prints what nobody catches, in a microtask for example (P36). */
void IgnoreMessage(v8::Local<v8::Message>, v8::Local<v8::Value>) {}

void Configure(kv8_isolate *isolate) {
  v8::Isolate *v8_isolate = isolate->v8;
  v8::Isolate::Scope isolate_scope(v8_isolate);
  v8::HandleScope handle_scope(v8_isolate);
  v8_isolate->SetData(compat::kIsolateSlot, isolate);
  v8_isolate->SetMicrotasksPolicy(v8::MicrotasksPolicy::kExplicit);
  v8_isolate->SetAbortOnUncaughtExceptionCallback(AbortOnUncaught);
  v8_isolate->SetCaptureStackTraceForUncaughtExceptions(false);
  v8_isolate->AddMessageListener(IgnoreMessage);
  v8_isolate->SetAllowWasmCodeGenerationCallback(AllowWasm);
  ListenToImports(v8_isolate);
  v8_isolate->AddNearHeapLimitCallback(OnNearHeapLimit, isolate);
  if (isolate->on_fatal != nullptr) {
    last_with_fatal.store(isolate);
    v8_isolate->SetFatalErrorHandler(OnFatal);
    compat::SetOomHandler<OnOom>(v8_isolate);
  }
}

kv8_status NewIsolate(const kv8_isolate_options &options, kv8_isolate **ret_isolate,
                      kv8_error *err) {
  auto isolate = std::make_unique<kv8_isolate>();
  isolate->allocator = std::make_shared<ArrayBufferAllocator>(options.array_buffer_max_bytes);
  isolate->on_fatal = options.on_fatal;
  isolate->on_fatal_user = options.on_fatal_user;
  v8::ResourceConstraints constraints;
  SetLimits(options, &constraints, isolate.get());
  isolate->v8 = compat::HostNewIsolate(isolate->allocator, constraints, ThePlatform());
  if (isolate->v8 == nullptr) {
    return SetError(err, KV8_EENGINE, "", "V8 makes no isolate");
  }
  Configure(isolate.get());
  if (!compat::kHostTakesConstraints && isolate->heap_old_bytes != 0) {
    LimitOldGeneration(isolate.get());
  }
  *ret_isolate = isolate.release();
  return KV8_OK;
}

/* What the caller forgot to free becomes an empty shell. */
void OrphanChildren(kv8_isolate *isolate) noexcept {
#if defined(KV8_CHECK_LIFETIMES)
  if (isolate->children != nullptr) {
    std::fputs("kv8_isolate_free: handles of this isolate are not freed yet\n", stderr);
    std::abort();
  }
#endif
  while (Child *child = isolate->children) {
    isolate->children = child->next;
    child->Drop();
    child->isolate = nullptr;
    child->previous = child->next = nullptr;
  }
}

}  // namespace

}  // namespace kv8

using namespace kv8;

kv8_status kv8_isolate_new(const kv8_isolate_options *options, kv8_isolate **ret_isolate,
                           kv8_error *err) {
  if (!KnownSize(options)) {
    return Invalid(err, "kv8_isolate_options: unknown struct_size");
  }
  if (ret_isolate == nullptr) {
    return Invalid(err, "ret_isolate is NULL");
  }
  kv8_isolate_options copy = Normalised(options);
  if (copy.heap_max_bytes != 0 && copy.heap_max_bytes < kHeapMinBytes) {
    return SetError(err, KV8_EINVAL, "", "heap_max_bytes: %zu is below the minimum of %zu",
                    copy.heap_max_bytes, kHeapMinBytes);
  }
  if (copy.stack_max_bytes != 0 && copy.stack_max_bytes < kStackMinBytes) {
    return SetError(err, KV8_EINVAL, "", "stack_max_bytes: %zu is below the minimum of %zu",
                    copy.stack_max_bytes, kStackMinBytes);
  }
  if (!EngineRunning()) {
    return SetError(err, KV8_ESTATE, "", "the engine is not running");
  }
  try {
    kv8_status status = NewIsolate(copy, ret_isolate, err);
    if (status == KV8_OK && copy.stack_max_bytes != 0) {
      kv8_isolate_set_stack_max(*ret_isolate, copy.stack_max_bytes);
    }
    return status;
  } catch (const std::bad_alloc &) {
    return SetError(err, KV8_ENOMEM, "", "out of memory");
  }
}

void kv8_isolate_free(kv8_isolate *isolate) {
  if (isolate == nullptr || isolate->innermost != nullptr) {
    return; /* V8 ends a process that disposes of an isolate it is running */
  }
  EndMeasurements(isolate);
  FreeModules(isolate);
  DropTiedContexts(isolate);
  ReapHeld(isolate, true);
  OrphanChildren(isolate);
  isolate->spare.Reset();
  isolate->contextified_global.Reset();
  isolate->value_key.Reset();
  while (ContextState *state = isolate->contexts) {
    ContextRelease(state);
  }
  kv8_isolate *self = isolate;
  last_with_fatal.compare_exchange_strong(self, nullptr);
  /* V8 waits for its background tasks, which a zygote has only queued. */
  bool lent = ThePlatform()->LendThreads();
  v8::Isolate *v8_isolate = isolate->v8;
  v8_isolate->Dispose();
  ThePlatform()->Forget(v8_isolate);
  if (lent) {
    ThePlatform()->Stop();
  }
  delete isolate;
}

kv8_status kv8_isolate_set_heap_max(kv8_isolate *isolate, size_t heap_max_bytes, kv8_error *err) {
  if (isolate == nullptr) {
    return Invalid(err, "isolate is NULL");
  }
  if (heap_max_bytes < kHeapMinBytes) {
    return SetError(err, KV8_EINVAL, "", "heap_max_bytes: %zu is below the minimum of %zu",
                    heap_max_bytes, kHeapMinBytes);
  }
  if (isolate->heap_raised) {
    return SetError(err, KV8_ESTATE, "", "the isolate has been near its heap limit");
  }
  return Enter(isolate, {}, err, [&](Entry &) {
    isolate->heap_old_bytes = OldShare(heap_max_bytes, isolate->heap_young_bytes);
    LimitOldGeneration(isolate);
    return KV8_OK;
  });
}

void kv8_isolate_set_array_buffer_max(kv8_isolate *isolate, size_t max_bytes) {
  if (isolate != nullptr) {
    isolate->allocator->SetMax(max_bytes);
  }
}

void kv8_isolate_detect_time_zone(kv8_isolate *isolate) {
  if (isolate == nullptr) {
    return;
  }
  v8::Isolate::Scope scope(isolate->v8);
  isolate->v8->DateTimeConfigurationChangeNotification(v8::Isolate::TimeZoneDetection::kRedetect);
}

void kv8_isolate_set_stack_max(kv8_isolate *isolate, size_t bytes) {
  if (isolate == nullptr) {
    return;
  }
  /* Not the address of a local: AddressSanitizer may keep locals elsewhere. */
  auto here = reinterpret_cast<uintptr_t>(__builtin_frame_address(0));
  v8::Isolate::Scope scope(isolate->v8);
  isolate->v8->SetStackLimit(bytes < here ? here - bytes : 1);
}

void kv8_isolate_terminate(kv8_isolate *isolate) {
  if (isolate != nullptr) {
    RunInterrupt(isolate);
  }
}

kv8_status kv8_isolate_pump(kv8_isolate *isolate, unsigned wait_ms, bool *ret_ran, kv8_error *err) {
  if (isolate == nullptr) {
    return Invalid(err, "isolate is NULL");
  }
  bool ran = false;
  kv8_status status = Enter(isolate, {}, err, [&](Entry &) {
    ran = PumpOnce(isolate, wait_ms);
    /* Bounded, because a task may post another. */
    for (unsigned more = 0; ran && more < kPumpMax && PumpOnce(isolate, 0); ++more) {
    }
    return KV8_OK;
  });
  if (status == KV8_OK && ret_ran != nullptr) {
    *ret_ran = ran;
  }
  return status;
}

kv8_status kv8_isolate_drain_microtasks(kv8_isolate *isolate, unsigned timeout_ms, kv8_error *err) {
  if (isolate == nullptr) {
    return Invalid(err, "isolate is NULL");
  }
  return Enter(isolate, {nullptr, timeout_ms, true}, err, [](Entry &) { return KV8_OK; });
}

void kv8_isolate_collect_garbage(kv8_isolate *isolate) {
  if (isolate != nullptr) {
    Enter(isolate, {}, nullptr, [](Entry &entry) {
      entry.isolate->LowMemoryNotification();
      return KV8_OK;
    });
  }
}

kv8_status kv8_isolate_get_heap_statistics(kv8_isolate *isolate,
                                           kv8_heap_statistics *ret_statistics, kv8_error *err) {
  if (isolate == nullptr || ret_statistics == nullptr) {
    return Invalid(err, "isolate or ret_statistics is NULL");
  }
  return Enter(isolate, {}, err, [&](Entry &entry) {
    v8::HeapStatistics heap;
    entry.isolate->GetHeapStatistics(&heap);
    *ret_statistics = {heap.total_heap_size(),
                       heap.total_heap_size_executable(),
                       heap.total_physical_size(),
                       heap.total_available_size(),
                       heap.total_global_handles_size(),
                       heap.used_global_handles_size(),
                       heap.used_heap_size(),
                       heap.heap_size_limit(),
                       heap.malloced_memory(),
                       heap.external_memory(),
                       heap.peak_malloced_memory(),
                       heap.number_of_native_contexts(),
                       heap.number_of_detached_contexts()};
    return KV8_OK;
  });
}

kv8_status kv8_isolate_each_heap_space(kv8_isolate *isolate,
                                       void (*each)(void *user,
                                                    const kv8_heap_space_statistics *space),
                                       void *user, kv8_error *err) {
  if (isolate == nullptr || each == nullptr) {
    return Invalid(err, "isolate or each is NULL");
  }
  return Enter(isolate, {}, err, [&](Entry &entry) {
    for (size_t i = 0; i < entry.isolate->NumberOfHeapSpaces(); ++i) {
      v8::HeapSpaceStatistics space;
      if (!entry.isolate->GetHeapSpaceStatistics(&space, i)) {
        return SetError(err, KV8_EENGINE, "", "no statistics of heap space %zu", i);
      }
      kv8_heap_space_statistics copy = {space.space_name(), space.space_size(),
                                        space.space_used_size(), space.space_available_size(),
                                        space.physical_space_size()};
      each(user, &copy);
    }
    return KV8_OK;
  });
}
