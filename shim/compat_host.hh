/* SPDX-License-Identifier: MIT
 *
 * compat_host.hh: who hosts V8. As a rule nobody: V8 is a library, and the shim does all itself.
 * But with KV8_HOST_NODE the shim is loaded into a node binary whose main() was replaced
 * (toolkit/hosted): there V8 must get its flags and its isolates in Node's way, or official Nodes
 * of the same build refuse the cached data. Node itself, its loop, its globals and its threads,
 * never start.
 */
#ifndef KILN_SHIM_COMPAT_HOST_HH
#define KILN_SHIM_COMPAT_HOST_HH

#include "shim/compat.hh"

#if defined(KV8_HOST_NODE)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-parameter"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wcast-qual"
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
#pragma GCC diagnostic ignored "-Wundef"
#include <node.h>
#pragma GCC diagnostic pop
#endif

namespace kv8::compat {

#if defined(KV8_HOST_NODE)

constexpr bool kHosted = true;

/* Node knows of our isolates only what it must in order to make one: nothing. */
class PlatformParent : public node::MultiIsolatePlatform {
 public:
  bool FlushForegroundTasks(v8::Isolate *) final {
    return false;
  }
  void DrainTasks(v8::Isolate *) final {}
  void RegisterIsolate(v8::Isolate *, struct uv_loop_s *) final {}
  void RegisterIsolate(v8::Isolate *, node::IsolatePlatformDelegate *) final {}
  void UnregisterIsolate(v8::Isolate *) final {}
  void AddIsolateFinishedCallback(v8::Isolate *, void (*)(void *), void *) final {}
};

class AllocatorParent : public node::ArrayBufferAllocator {
 private:
  node::NodeArrayBufferAllocator *GetImpl() final {
    return nullptr; /* asked for by Node's own environments only */
  }
};

/* To be called before V8 gets flags of ours: Node sets its own. False: *ret_why tells. */
inline bool HostStart(std::string *ret_why) {
  namespace init = node::ProcessInitializationFlags;
  constexpr uint64_t kFlags = init::kDisableNodeOptionsEnv | init::kNoStdioInitialization |
                              init::kNoDefaultSignalHandling | init::kNoInitializeV8 |
                              init::kNoInitializeNodeV8Platform | init::kNoInitOpenSSL |
                              init::kNoParseGlobalDebugVariables | init::kNoAdjustResourceLimits |
                              init::kNoUseLargePages | init::kNoPrintHelpOrVersionOutput;
  /* An object that was built for another Node would break everywhere: say it here. */
  std::string version = v8::V8::GetVersion();
  std::string built_for = std::to_string(V8_MAJOR_VERSION) + "." +
                          std::to_string(V8_MINOR_VERSION) + "." + std::to_string(V8_BUILD_NUMBER) +
                          "." + std::to_string(V8_PATCH_LEVEL);
  if (version.compare(0, built_for.size(), built_for) != 0) {
    *ret_why = "the process has V8 " + version + ", this was built for " + built_for;
    return false;
  }
  auto result = node::InitializeOncePerProcess({"node"}, static_cast<init::Flags>(kFlags));
  if (result->early_return() || !result->errors().empty()) {
    *ret_why = result->errors().empty() ? "Node cannot be initialised" : result->errors().front();
    return false;
  }
#if KV8_V8(13, 0)
  /* Else it is up to 64, and a heap would overshoot its limit by 192 MiB. It used to be 16; from 13
   * on this flag is not one of those that the cached data's tag depends on. */
  v8::V8::SetFlagsFromString("--max-semi-space-size=16");
#endif
  return true;
}

/* From 12 on cached data says which read-only heap its maker had: it must be Node's. */
inline v8::Isolate *HostNewIsolate(const std::shared_ptr<AllocatorParent> &allocator,
                                   const v8::ResourceConstraints &constraints,
                                   PlatformParent *platform) {
#if NODE_MAJOR_VERSION >= 20
  (void)constraints; /* Node takes none: HostLimits() */
  static const auto *const snapshot =
      new node::EmbedderSnapshotData::Pointer(node::EmbedderSnapshotData::BuiltinSnapshotData());
  node::IsolateSettings settings;
  settings.flags = node::SHOULD_NOT_SET_PROMISE_REJECTION_CALLBACK |
                   node::SHOULD_NOT_SET_PREPARE_STACK_TRACE_CALLBACK;
  v8::Isolate *isolate =
      node::NewIsolate(allocator, /* event_loop= */ nullptr, platform, snapshot->get(), settings);
  if (isolate != nullptr) {
    /* These would look for Node's environment in contexts of ours. */
    isolate->SetModifyCodeGenerationFromStringsCallback(nullptr);
    isolate->SetWasmStreamingCallback(nullptr);
  }
  return isolate;
#else
  (void)platform;
  v8::Isolate::CreateParams params;
  params.array_buffer_allocator_shared = allocator;
  params.constraints = constraints;
  return v8::Isolate::New(params);
#endif
}

/* Whether HostNewIsolate() minds the constraints; if not, limits are to be set afterwards. */
#if NODE_MAJOR_VERSION >= 20
constexpr bool kHostTakesConstraints = false;
#else
constexpr bool kHostTakesConstraints = true;
#endif

#else

constexpr bool kHosted = false;
constexpr bool kHostTakesConstraints = true;

using PlatformParent = v8::Platform;
using AllocatorParent = v8::ArrayBuffer::Allocator;

inline bool HostStart(std::string *) {
  return true;
}

inline v8::Isolate *HostNewIsolate(const std::shared_ptr<AllocatorParent> &allocator,
                                   const v8::ResourceConstraints &constraints, PlatformParent *) {
  v8::Isolate::CreateParams params;
  params.array_buffer_allocator_shared = allocator;
  params.constraints = constraints;
  return v8::Isolate::New(params);
}

#endif

}  // namespace kv8::compat

#endif
