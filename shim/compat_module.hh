/* SPDX-License-Identifier: MIT
 *
 * compat_module.hh: the part of compat.hh that is about modules, and about what V8 keeps with code.
 */
#ifndef KILN_SHIM_COMPAT_MODULE_HH
#define KILN_SHIM_COMPAT_MODULE_HH

#include "shim/compat.hh"

namespace kv8::compat {

/* Whether code from cached data gets the host-defined options of the compile that consumes it; up
 * to 11.3 it has none. */
#if KV8_V8(11, 4)
constexpr bool kCachedDataKeepsOptions = true;
#else
constexpr bool kCachedDataKeepsOptions = false;
#endif

/* A symbol that keeps any value alive and gives it back: host-defined options may have primitives
 * only (V8 checks it when a ScriptOrigin is made, by us or, from a script, by V8 itself), and a
 * symbol is one. The value stands where the symbol's description would. V8 writes and reads that
 * field with a write barrier as the tagged pointer it is, and asks what it points to only when a
 * script converts the symbol to text, which no script can, because none ever sees it; true of 10.2
 * to 14.6, unless V8 was built with V8_ENABLE_CHECKS (debug builds), which checks casts. */
inline v8::Local<v8::Symbol> MakeAnchor(v8::Isolate *isolate, v8::Local<v8::Value> value) {
#if defined(V8_ENABLE_CHECKS)
#error "a V8 that checks casts cannot keep a value in a symbol"
#endif
  static_assert(sizeof(v8::Local<v8::Value>) == sizeof(v8::Local<v8::String>));
  v8::Local<v8::String> description;
  __builtin_memcpy(static_cast<void *>(&description), static_cast<const void *>(&value),
                   sizeof description);
  return v8::Symbol::New(isolate, description);
}

inline v8::Local<v8::Value> AnchoredValue(v8::Isolate *isolate, v8::Local<v8::Symbol> anchor) {
  return anchor->Description(isolate);
}

/* ---- modules -------------------------------------------------------------------------------- */

/* The import assertions of old are the import attributes of today. */
inline v8::Local<v8::FixedArray> ImportAttributes(v8::Local<v8::ModuleRequest> request) {
#if KV8_V8(12, 0)
  return request->GetImportAttributes();
#else
  return request->GetImportAssertions();
#endif
}

inline v8::Local<v8::ModuleRequest> ModuleRequestAt(v8::Local<v8::Context> context,
                                                    v8::Local<v8::FixedArray> requests, int index) {
#if KV8_V8(14, 0)
  (void)context;
  return requests->Get(index).As<v8::ModuleRequest>();
#else
  return requests->Get(context, index).As<v8::ModuleRequest>();
#endif
}

/* V8 up to 11 has it for UnboundScript only, but the two are one to V8: a SharedFunctionInfo. */
inline v8::Local<v8::Value> SourceMappingUrl(v8::Local<v8::UnboundModuleScript> unbound) {
#if KV8_V8(12, 0)
  return unbound->GetSourceMappingURL();
#else
  static_assert(sizeof(v8::Local<v8::UnboundScript>) == sizeof unbound);
  v8::Local<v8::UnboundScript> script;
  __builtin_memcpy(static_cast<void *>(&script), static_cast<const void *>(&unbound),
                   sizeof script);
  return script->GetSourceMappingURL();
#endif
}

inline bool IsSourcePhase(v8::Local<v8::ModuleRequest> request) {
#if KV8_V8(13, 6)
  return request->GetPhase() == v8::ModuleImportPhase::kSource;
#else
  (void)request;
  return false;
#endif
}

/* No module here has a source object (N30), so only newer V8 need `ResolveSource`. */
template <v8::Module::ResolveModuleCallback Resolve, void (*ThrowNoSource)(v8::Isolate *)>
v8::Maybe<bool> Instantiate(v8::Local<v8::Context> context, v8::Local<v8::Module> record) {
#if KV8_V8(13, 6)
  v8::Module::ResolveSourceCallback no_source =
      [](v8::Local<v8::Context>, v8::Local<v8::String>, v8::Local<v8::FixedArray>,
         v8::Local<v8::Module>) -> v8::MaybeLocal<v8::Object> {
    ThrowNoSource(v8::Isolate::GetCurrent());
    return {};
  };
  return record->InstantiateModule(context, Resolve, no_source);
#else
  return record->InstantiateModule(context, Resolve);
#endif
}

/* Whether V8 tells (HasTopLevelAwait); if not, *ret_has is not written. */
inline bool HasTopLevelAwait(v8::Local<v8::Module> record, bool *ret_has) {
#if KV8_V8(13, 6)
  *ret_has = record->HasTopLevelAwait();
  return true;
#else
  (void)record;
  (void)ret_has;
  return false;
#endif
}

inline v8::Local<v8::Module> MakeSynthetic(v8::Isolate *isolate, v8::Local<v8::String> name,
                                           const std::vector<v8::Local<v8::String>> &exports,
                                           v8::Module::SyntheticModuleEvaluationSteps evaluate) {
#if KV8_V8(12, 0)
  return v8::Module::CreateSyntheticModule(
      isolate, name, v8::MemorySpan<const v8::Local<v8::String>>(exports.data(), exports.size()),
      evaluate);
#else
  return v8::Module::CreateSyntheticModule(isolate, name, exports, evaluate);
#endif
}

/* Sets the callback of import(); attributes are [key, value, ...]. */
template <v8::MaybeLocal<v8::Promise> (*Handler)(
    v8::Local<v8::Context>, v8::Local<v8::Data> options, v8::Local<v8::Value> resource_name,
    v8::Local<v8::String> specifier, bool source_phase, v8::Local<v8::FixedArray> attributes)>
void SetImportHandler(v8::Isolate *isolate) {
  v8::HostImportModuleDynamicallyCallback plain =
      [](v8::Local<v8::Context> context, v8::Local<v8::Data> options, v8::Local<v8::Value> name,
         v8::Local<v8::String> specifier, v8::Local<v8::FixedArray> attributes) {
        return Handler(context, options, name, specifier, false, attributes);
      };
  isolate->SetHostImportModuleDynamicallyCallback(plain);
#if KV8_V8(13, 6)
  isolate->SetHostImportModuleWithPhaseDynamicallyCallback(
      [](v8::Local<v8::Context> context, v8::Local<v8::Data> options, v8::Local<v8::Value> name,
         v8::Local<v8::String> specifier, v8::ModuleImportPhase phase,
         v8::Local<v8::FixedArray> attributes) {
        return Handler(context, options, name, specifier, phase == v8::ModuleImportPhase::kSource,
                       attributes);
      });
#endif
}

inline v8::Local<v8::Data> ElementAt(v8::Local<v8::Context> context,
                                     v8::Local<v8::FixedArray> array, int index) {
#if KV8_V8(14, 0)
  (void)context;
  return array->Get(index);
#else
  return array->Get(context, index);
#endif
}

/* CompileModule() takes no kEagerCompile. While one of these lives, it compiles eagerly all the
 * same: by a flag that V8 reads at each compilation, where it lets flags be changed. Restoring it
 * restores the flag hash that cached data carries. */
class EagerModules {
 public:
#if defined(KV8_FLAGS_FREEZE)
  static constexpr bool kSupported = false;
#else
  static constexpr bool kSupported = true;
  EagerModules() {
    v8::V8::SetFlagsFromString("--no-lazy");
  }
  ~EagerModules() {
    v8::V8::SetFlagsFromString("--lazy");
  }
  EagerModules(const EagerModules &) = delete;
  EagerModules &operator=(const EagerModules &) = delete;
#endif
};

}  // namespace kv8::compat

#endif
