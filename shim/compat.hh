/* SPDX-License-Identifier: MIT
 *
 * compat.hh: every difference between the V8 versions the shim compiles against (10.2, 11.3, 12.4,
 * 13.6 and 14.6: Node 18, 20, 22, 24 and 26), and nothing else; those about modules stand in
 * compat_module.hh. Other files of the shim ask for no version; whoever needs something that
 * differs adds a wrapper here.
 *
 * V8's own headers come in through this file, because they do not pass our warning flags.
 */
#ifndef KILN_SHIM_COMPAT_HH
#define KILN_SHIM_COMPAT_HH

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-parameter"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wcast-qual"
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
#pragma GCC diagnostic ignored "-Wundef"
#include <libplatform/libplatform.h>
#include <v8-platform.h>
#include <v8-version.h>
#include <v8.h>
#pragma GCC diagnostic pop

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

/* KV8_V8(12, 4): this V8 is 12.4 or newer. */
#define KV8_V8(major, minor) \
  (V8_MAJOR_VERSION > (major) || (V8_MAJOR_VERSION == (major) && V8_MINOR_VERSION >= (minor)))

namespace kv8::compat {

/* ScriptOrigin takes an isolate first up to 11.x, and may from 12.0 on do without. Empty
 * host-defined options are V8's one constant. */
inline v8::ScriptOrigin MakeOrigin(v8::Isolate *isolate, v8::Local<v8::Value> resource_name,
                                   int line_offset, int column_offset, bool is_module,
                                   v8::Local<v8::Data> options = v8::Local<v8::Data>()) {
#if KV8_V8(12, 0)
  (void)isolate;
  return v8::ScriptOrigin(resource_name, line_offset, column_offset, false, -1,
                          v8::Local<v8::Value>(), false, false, is_module, options);
#else
  return v8::ScriptOrigin(isolate, resource_name, line_offset, column_offset, false, -1,
                          v8::Local<v8::Value>(), false, false, is_module, options);
#endif
}

inline size_t Utf8Length(v8::Isolate *isolate, v8::Local<v8::String> text) {
#if KV8_V8(13, 6)
  return text->Utf8LengthV2(isolate);
#else
  return static_cast<size_t>(text->Utf8Length(isolate));
#endif
}

/* Writes at most `capacity` bytes, whole characters only and no NUL; lone surrogates as U+FFFD.
 * Returns the number of bytes written. */
inline size_t WriteUtf8(v8::Isolate *isolate, v8::Local<v8::String> text, char *buffer,
                        size_t capacity) {
#if KV8_V8(13, 6)
  return text->WriteUtf8V2(isolate, buffer, capacity, v8::String::WriteFlags::kReplaceInvalidUtf8);
#else
  return static_cast<size_t>(
      text->WriteUtf8(isolate, buffer, static_cast<int>(capacity), nullptr,
                      v8::String::NO_NULL_TERMINATION | v8::String::REPLACE_INVALID_UTF8));
#endif
}

/* Slots of a context; below 32 they are Node's when a node binary is the host. */
constexpr int kEmbedderSlot = 48; /* the state; 49 to 51 are intrinsics */
constexpr int kHooksSlot = 52;    /* the context's own hooks */
constexpr int kAnchorSlot = 53;
constexpr int kContextifiedSlot = 54; /* the object */

inline void SetEmbedderPointer(v8::Local<v8::Context> context, void *pointer) {
#if KV8_V8(14, 0)
  context->SetAlignedPointerInEmbedderData(kEmbedderSlot, pointer, v8::kEmbedderDataTypeTagDefault);
#else
  context->SetAlignedPointerInEmbedderData(kEmbedderSlot, pointer);
#endif
}

/* NULL for a context that never had one set. */
inline void *GetEmbedderPointer(v8::Local<v8::Context> context) {
  if (context->GetNumberOfEmbedderDataFields() <= static_cast<uint32_t>(kEmbedderSlot)) {
    return nullptr;
  }
#if KV8_V8(14, 0)
  return context->GetAlignedPointerFromEmbedderData(kEmbedderSlot, v8::kEmbedderDataTypeTagDefault);
#else
  return context->GetAlignedPointerFromEmbedderData(kEmbedderSlot);
#endif
}

/* More of a context's embedder data: functions that belong to it (object.cc). */
constexpr int kGetPrototypeSlot = kEmbedderSlot + 1;
constexpr int kSetPrototypeSlot = kEmbedderSlot + 2;
constexpr int kStrictSetSlot = kEmbedderSlot + 3;

/* The isolate's data slot for our kv8_isolate; the low ones may be a host's. */
constexpr uint32_t kIsolateSlot = 3;

/* V8 freezes its flags when it starts, from 10.5 on; but Node tells it not to. */
#if KV8_V8(10, 5) && !defined(KV8_HOST_NODE)
#define KV8_FLAGS_FREEZE
#endif

/* Gives the process a random seed of its own; false where V8 has frozen its flags. */
inline bool SetRandomSeed(int seed) {
#if defined(KV8_FLAGS_FREEZE)
  (void)seed;
  return false;
#else
  std::string flag = "--random-seed=" + std::to_string(seed);
  v8::V8::SetFlagsFromString(flag.c_str(), flag.size());
  return true;
#endif
}

/* Changes the queue of a live context; false where V8 cannot (before 11). */
inline bool SetMicrotaskQueue(v8::Local<v8::Context> context, v8::MicrotaskQueue *queue) {
#if KV8_V8(11, 0)
  context->SetMicrotaskQueue(queue);
  return true;
#else
  (void)context;
  (void)queue;
  return false;
#endif
}

/* The out-of-memory callback got details in 11. `Handler` is void(const char *location, bool). */
template <void (*Handler)(const char *location)>
void SetOomHandler(v8::Isolate *isolate) {
#if KV8_V8(11, 0)
  isolate->SetOOMErrorHandler(
      [](const char *location, const v8::OOMDetails &) { Handler(location); });
#else
  isolate->SetOOMErrorHandler([](const char *location, bool) { Handler(location); });
#endif
}

/* ---- memory measurement --------------------------------------------------------------------- */

struct MemoryResult {
  std::vector<std::pair<v8::Local<v8::Context>, size_t>> contexts;
  size_t unattributed = 0;
  bool has_wasm = false;
  size_t wasm_code = 0;
  size_t wasm_metadata = 0;
};

/* A measurement delegate with one shape; Complete() runs inside a handle scope of V8's. */
class MemoryDelegate : public v8::MeasureMemoryDelegate {
 public:
  virtual void Complete(const MemoryResult &result) = 0;

#if KV8_V8(12, 0)
  void MeasurementComplete(Result result) final {
    MemoryResult copy;
    for (size_t i = 0; i < result.contexts.size(); ++i) {
      copy.contexts.emplace_back(result.contexts.data()[i], result.sizes_in_bytes.data()[i]);
    }
    copy.unattributed = result.unattributed_size_in_bytes;
    copy.has_wasm = true;
    copy.wasm_code = result.wasm_code_size_in_bytes;
    copy.wasm_metadata = result.wasm_metadata_size_in_bytes;
    Complete(copy);
  }
#else
  void MeasurementComplete(const std::vector<std::pair<v8::Local<v8::Context>, size_t>> &contexts,
                           size_t unattributed) final {
    MemoryResult copy;
    copy.contexts = contexts;
    copy.unattributed = unattributed;
    Complete(copy);
  }
#endif
};

/* ---- values --------------------------------------------------------------------------------- */

/* Copies `count` units from `at` on; the string must be one-byte. */
inline void CopyOneByte(v8::Isolate *isolate, v8::Local<v8::String> text, size_t at, size_t count,
                        uint8_t *buffer) {
#if KV8_V8(13, 6)
  text->WriteOneByteV2(isolate, static_cast<uint32_t>(at), static_cast<uint32_t>(count), buffer);
#else
  text->WriteOneByte(isolate, buffer, static_cast<int>(at), static_cast<int>(count),
                     v8::String::NO_NULL_TERMINATION);
#endif
}

inline void CopyTwoByte(v8::Isolate *isolate, v8::Local<v8::String> text, size_t at, size_t count,
                        uint16_t *buffer) {
#if KV8_V8(13, 6)
  text->WriteV2(isolate, static_cast<uint32_t>(at), static_cast<uint32_t>(count), buffer);
#else
  text->Write(isolate, buffer, static_cast<int>(at), static_cast<int>(count),
              v8::String::NO_NULL_TERMINATION);
#endif
}

/* The prototype, without running code; `object` must not be a proxy. */
inline v8::Local<v8::Value> Prototype(v8::Local<v8::Object> object) {
#if KV8_V8(13, 6)
  return object->GetPrototypeV2();
#else
  return object->GetPrototype();
#endif
}

/* Unbound scripts are v8::Data by nature, but not by declaration. */
inline v8::Local<v8::Data> AsData(v8::Local<v8::UnboundScript> script) {
  static_assert(sizeof(v8::Local<v8::Data>) == sizeof(v8::Local<v8::UnboundScript>));
  v8::Local<v8::Data> data;
  __builtin_memcpy(static_cast<void *>(&data), static_cast<const void *>(&script), sizeof data);
  return data;
}

/* Internal fields of an object that refer to anything on V8's heap, not to values only (modules and
 * unbound scripts are none). Newer V8 take v8::Data. Up to 11 the parameter is a v8::Value, but all
 * that happens to it is that a tagged pointer is written to a tagged slot, with a write barrier:
 * nothing asks what it points to, unless V8 was built with V8_ENABLE_CHECKS (debug builds), which
 * checks casts. */
inline void SetInternalField(v8::Local<v8::Object> object, int index, v8::Local<v8::Data> data) {
#if KV8_V8(12, 0)
  object->SetInternalField(index, data);
#else
#if defined(V8_ENABLE_CHECKS)
#error "a V8 that checks casts cannot keep v8::Data in an internal field"
#endif
  static_assert(sizeof(v8::Local<v8::Data>) == sizeof(v8::Local<v8::Value>));
  v8::Local<v8::Value> value;
  __builtin_memcpy(static_cast<void *>(&value), static_cast<const void *>(&data), sizeof value);
  object->SetInternalField(index, value);
#endif
}

inline void SetInternalPointer(v8::Local<v8::Object> object, int index, void *pointer) {
#if KV8_V8(14, 0)
  object->SetAlignedPointerInInternalField(index, pointer, v8::kEmbedderDataTypeTagDefault);
#else
  object->SetAlignedPointerInInternalField(index, pointer);
#endif
}

inline void *GetInternalPointer(v8::Local<v8::Object> object, int index) {
#if KV8_V8(14, 0)
  return object->GetAlignedPointerFromInternalField(index, v8::kEmbedderDataTypeTagDefault);
#else
  return object->GetAlignedPointerFromInternalField(index);
#endif
}

/* ---- interceptors --------------------------------------------------------------------------- */

/* Answers of an interceptor: Pass() leaves the access to V8, which first asks for an exception;
 * Took() says that the return value has been set (12.4 aborts if it has not), TookStore() that a
 * setter or definer is done. Up to 12.3 what counted was whether there is a return value. */
#if KV8_V8(12, 4)
using Intercepted = v8::Intercepted;
using StoreInfo = v8::PropertyCallbackInfo<void>;
inline Intercepted Pass() {
  return v8::Intercepted::kNo;
}
inline Intercepted Took() {
  return v8::Intercepted::kYes;
}
inline Intercepted TookStore(const StoreInfo &) {
  return v8::Intercepted::kYes;
}
#else
using Intercepted = void;
using StoreInfo = v8::PropertyCallbackInfo<v8::Value>;
inline void Pass() {}
inline void Took() {}
inline void TookStore(const StoreInfo &info) {
  info.GetReturnValue().SetUndefined();
}
#endif

/* The global object, or its proxy, whose interceptor is called. */
template <class T>
v8::Local<v8::Object> InterceptedObject(const v8::PropertyCallbackInfo<T> &info) {
#if KV8_V8(13, 0)
  return info.HolderV2();
#else
  return info.Holder();
#endif
}

/* Whether this is the `x = 1` of a global's name rather than `globalThis.x = 1`. 14 does not say.
 */
inline bool IsContextualStore(const StoreInfo &info, v8::Local<v8::Object> global_proxy) {
#if KV8_V8(14, 0)
  (void)info;
  (void)global_proxy;
  return false;
#else
  return info.This() != global_proxy;
#endif
}

inline v8::MaybeLocal<v8::Context> CreationContext(v8::Isolate *isolate,
                                                   v8::Local<v8::Object> object) {
#if KV8_V8(13, 0)
  return object->GetCreationContext(isolate);
#else
  (void)isolate;
  return object->GetCreationContext();
#endif
}

inline bool SetPrototype(v8::Local<v8::Context> context, v8::Local<v8::Object> object,
                         v8::Local<v8::Value> prototype) {
#if KV8_V8(13, 6)
  return object->SetPrototypeV2(context, prototype).FromMaybe(false);
#else
  return object->SetPrototype(context, prototype).FromMaybe(false);
#endif
}

/* ---- platform ------------------------------------------------------------------------------- */

/* A task runner and a platform with one set of virtual functions; V8 moved its own behind
 * Post...Impl(..., SourceLocation) in 12 and 13. */
class TaskRunnerBase : public v8::TaskRunner {
 public:
  bool IdleTasksEnabled() final {
    return false;
  }
  bool NonNestableTasksEnabled() const final {
    return true;
  }
  bool NonNestableDelayedTasksEnabled() const final {
    return true;
  }

  /* Thread-safe. */
  virtual void Post(std::unique_ptr<v8::Task> task, double delay_seconds, bool nestable) = 0;

#if KV8_V8(12, 4)
 protected:
  void PostTaskImpl(std::unique_ptr<v8::Task> task, const v8::SourceLocation &) final {
    Post(std::move(task), 0, true);
  }
  void PostNonNestableTaskImpl(std::unique_ptr<v8::Task> task, const v8::SourceLocation &) final {
    Post(std::move(task), 0, false);
  }
  void PostDelayedTaskImpl(std::unique_ptr<v8::Task> task, double delay,
                           const v8::SourceLocation &) final {
    Post(std::move(task), delay, true);
  }
  void PostNonNestableDelayedTaskImpl(std::unique_ptr<v8::Task> task, double delay,
                                      const v8::SourceLocation &) final {
    Post(std::move(task), delay, false);
  }
  void PostIdleTaskImpl(std::unique_ptr<v8::IdleTask>, const v8::SourceLocation &) final {}
#else
  void PostTask(std::unique_ptr<v8::Task> task) final {
    Post(std::move(task), 0, true);
  }
  void PostNonNestableTask(std::unique_ptr<v8::Task> task) final {
    Post(std::move(task), 0, false);
  }
  void PostDelayedTask(std::unique_ptr<v8::Task> task, double delay) final {
    Post(std::move(task), delay, true);
  }
  void PostNonNestableDelayedTask(std::unique_ptr<v8::Task> task, double delay) final {
    Post(std::move(task), delay, false);
  }
  void PostIdleTask(std::unique_ptr<v8::IdleTask>) final {}
#endif
};

/* `Parent` is v8::Platform or derived from it (compat_host.hh). */
template <class Parent>
class PlatformBase : public Parent {
 public:
  virtual std::shared_ptr<v8::TaskRunner> Foreground(v8::Isolate *isolate) = 0;
  /* Thread-safe; runs on some thread of the pool. */
  virtual void Work(v8::TaskPriority priority, std::unique_ptr<v8::Task> task,
                    double delay_seconds) = 0;
  virtual std::unique_ptr<v8::JobHandle> NewJob(v8::TaskPriority priority,
                                                std::unique_ptr<v8::JobTask> task) = 0;
  virtual double WallClockMs() = 0;

#if KV8_V8(12, 4)
  std::shared_ptr<v8::TaskRunner> GetForegroundTaskRunner(v8::Isolate *isolate,
                                                          v8::TaskPriority) final {
    return Foreground(isolate);
  }
#else
  std::shared_ptr<v8::TaskRunner> GetForegroundTaskRunner(v8::Isolate *isolate) final {
    return Foreground(isolate);
  }
#endif

#if KV8_V8(12, 4)
 protected:
  std::unique_ptr<v8::JobHandle> CreateJobImpl(v8::TaskPriority priority,
                                               std::unique_ptr<v8::JobTask> task,
                                               const v8::SourceLocation &) final {
    return NewJob(priority, std::move(task));
  }
  void PostTaskOnWorkerThreadImpl(v8::TaskPriority priority, std::unique_ptr<v8::Task> task,
                                  const v8::SourceLocation &) final {
    Work(priority, std::move(task), 0);
  }
  void PostDelayedTaskOnWorkerThreadImpl(v8::TaskPriority priority, std::unique_ptr<v8::Task> task,
                                         double delay, const v8::SourceLocation &) final {
    Work(priority, std::move(task), delay);
  }

 public:
#else
  void CallOnWorkerThread(std::unique_ptr<v8::Task> task) final {
    Work(v8::TaskPriority::kUserVisible, std::move(task), 0);
  }
  void CallBlockingTaskOnWorkerThread(std::unique_ptr<v8::Task> task) final {
    Work(v8::TaskPriority::kUserBlocking, std::move(task), 0);
  }
  void CallLowPriorityTaskOnWorkerThread(std::unique_ptr<v8::Task> task) final {
    Work(v8::TaskPriority::kBestEffort, std::move(task), 0);
  }
  void CallDelayedOnWorkerThread(std::unique_ptr<v8::Task> task, double delay) final {
    Work(v8::TaskPriority::kUserVisible, std::move(task), delay);
  }
  std::unique_ptr<v8::JobHandle> PostJob(v8::TaskPriority priority,
                                         std::unique_ptr<v8::JobTask> task) final {
    auto handle = NewJob(priority, std::move(task));
    handle->NotifyConcurrencyIncrease();
    return handle;
  }
#if KV8_V8(11, 0)
  std::unique_ptr<v8::JobHandle> CreateJob(v8::TaskPriority priority,
                                           std::unique_ptr<v8::JobTask> task) final {
    return NewJob(priority, std::move(task));
  }
#endif
#endif

  double CurrentClockTimeMillis() final {
    return WallClockMs();
  }
};

/* Bytes of V8's header before a code cache's payload: magic, version, source, flags,
 * [read-only snapshot,] length, checksum, padded to a pointer. */
#if KV8_V8(12, 0)
constexpr size_t kCacheHeaderBytes = 32;
#else
constexpr size_t kCacheHeaderBytes = 24;
#endif

}  // namespace kv8::compat

#endif
