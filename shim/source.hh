/* SPDX-License-Identifier: MIT
 *
 * source.hh: source text and hooks on their way from the caller into V8.
 */
#ifndef KILN_SHIM_SOURCE_HH
#define KILN_SHIM_SOURCE_HH

#include "shim/compat_module.hh"
#include "shim/internal.hh"

namespace kv8 {

/* ---- import() and import.meta (hooks.cc) ------------------------------------------------------
 */

/* A caller's kv8_hooks on their way to where V8's callbacks find them. From construction on
 * `release` is called exactly once whatever happens. */
class GivenHooks {
 public:
  explicit GivenHooks(const kv8_hooks *hooks) noexcept;
  ~GivenHooks();
  GivenHooks(const GivenHooks &) = delete;
  GivenHooks &operator=(const GivenHooks &) = delete;

  kv8_status Check(kv8_error *err) const noexcept;
  bool given() const noexcept {
    return given_;
  }
  bool imports() const noexcept {
    return hooks_.on_import != nullptr;
  }

  /* Makes what host-defined options or a context are to refer to; once. */
  Hooks *Make(Entry &entry, v8::Local<v8::Symbol> *ret_anchor);

 private:
  kv8_hooks hooks_{};
  bool known_ = false;
  bool given_ = false;
};

/* Host-defined options that find `hooks`. */
v8::Local<v8::PrimitiveArray> HookOptions(v8::Isolate *isolate, Hooks *hooks,
                                          v8::Local<v8::Symbol> anchor);

/* Calls `release` now: there is no code that could ask. */
void DropHooks(Hooks *hooks) noexcept;

/* Has `hooks` answer those import() of `context` that come from no code with hooks of its own; in
 * the body of an Enter(). Does nothing if none are given. */
void SetContextHooks(Entry &entry, v8::Local<v8::Context> context, GivenHooks *hooks);

/* Sets V8's callbacks for import() and import.meta. */
void ListenToImports(v8::Isolate *isolate);

/* ---- source and cached data (source.cc) ----------------------------------------------------- */

constexpr size_t kFilenameMaxBytes = 65536;

enum class SourceKind { kScript, kFunction, kModule };

/* A kv8_source on its way into V8. Construct it first thing in the entry point: from then on
 * `release` is called exactly once whatever happens. */
class Source {
 public:
  explicit Source(const kv8_source *source) noexcept;
  ~Source();
  Source(const Source &) = delete;
  Source &operator=(const Source &) = delete;

  /* KV8_EINVAL for what kv8.h forbids; to be called before Enter(). */
  kv8_status Check(kv8_error *err) const noexcept;

  /* Makes the V8 string, the origin and, if the header fits this engine and source, the cached
   * data; inside Enter(). An empty filename becomes `default_filename`. */
  kv8_status Prepare(Entry &entry, SourceKind kind, std::string_view default_filename);

  v8::ScriptCompiler::Source *v8() noexcept {
    return &*v8_;
  }
  v8::ScriptCompiler::CompileOptions options() const noexcept {
    return options_;
  }

  /* To be read after the compile call only: `rejected` means nothing before. */
  kv8_cache_outcome Outcome() const noexcept;

  std::string_view filename() const noexcept {
    return View(source_.filename);
  }

  kv8_context *context() const noexcept {
    return source_.context;
  }

  /* Whether the text has this word somewhere. */
  bool Mentions(std::string_view word) const noexcept;

  /* The text, once it is prepared. */
  v8::Local<v8::String> text() const noexcept {
    return text_;
  }

  /* To be called when the code is compiled: the hooks, if any, are the code's now. */
  Hooks *Succeed() noexcept;

 private:
  v8::MaybeLocal<v8::String> MakeText(v8::Isolate *isolate);

  kv8_source source_{};
  GivenHooks hooks_;
  Hooks *made_ = nullptr; /* of hooks_, not the code's yet */
  v8::Local<v8::String> text_;
  bool known_ = false;
  bool offered_ = false;
  bool header_fits_ = false;
  std::optional<v8::ScriptCompiler::Source> v8_;
  v8::ScriptCompiler::CompileOptions options_ = v8::ScriptCompiler::kNoCompileOptions;
};

/* Copies V8's cached data for the caller; KV8_EENGINE if V8 gave none. */
kv8_status CopyCachedData(std::unique_ptr<v8::ScriptCompiler::CachedData> data, kv8_blob *ret_data,
                          kv8_error *err);

}  // namespace kv8

#endif
