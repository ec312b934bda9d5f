/* SPDX-License-Identifier: MIT
 *
 * source.cc: the way of source text into V8 with as few copies as possible, and of cached data in
 * and out. It does not compile; script.cc, function.cc and module.cc do, with a prepared Source.
 *
 * Copies of the text made on the way: none of ASCII with `release`, which V8 reads in place; else
 * one, which is V8's own below 16 KiB and for what is no UTF-8, and a malloc'd external string for
 * all other, of one byte a character for Latin-1 and of two beyond.
 *
 * Why from 16 KiB on a malloc'd external string (microseconds to make the string, best of 15 to 60;
 * V8 10.2, typescript.js cut to size; compiling takes the same time from all three):
 *
 *   size      NewFromOneByte   external copy   NewFromUtf8
 *   4 KiB                1.9             1.4           2.5
 *   16 KiB               5.5             1.8           6.5
 *   64 KiB              29.7             5.7          33.6
 *   1 MiB              610.9           162.1         679.3
 *   4 MiB             2537.3           871.3        2599.3
 *
 * A one-byte string of Latin-1 characters is what Node makes of the same file too, so the length
 * V8 checks in cached data (characters, not bytes) is the same.
 */
#include <atomic>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <mutex>

#include "shim/internal.hh"
#include "shim/source.hh"
#include "shim/utf8.hh"

namespace kv8 {

namespace {

constexpr size_t kExternalMinBytes = size_t{16} << 10; /* see the table above */
constexpr size_t kCachedDataMaxBytes = INT_MAX;

/* A one-byte string that V8 reads in place. Whoever owns the bytes is told exactly once. */
class ExternalText final : public v8::String::ExternalOneByteStringResource {
 public:
  ExternalText(const char *data, size_t length, void (*release)(void *), void *user) noexcept
      : data_(data), length_(length), release_(release), user_(user) {}
  ~ExternalText() override {
    release_(user_);
  }
  const char *data() const override {
    return data_;
  }
  size_t length() const override {
    return length_;
  }

 private:
  const char *data_;
  size_t length_;
  void (*release_)(void *);
  void *user_;
};

v8::MaybeLocal<v8::String> NewExternal(v8::Isolate *isolate, std::unique_ptr<ExternalText> text) {
  if (text->length() > static_cast<size_t>(v8::String::kMaxLength)) {
    return {};
  }
  v8::Local<v8::String> made;
  if (!v8::String::NewExternalOneByte(isolate, text.get()).ToLocal(&made)) {
    return {};
  }
  text.release(); /* V8 deletes it with the string */
  return made;
}

/* The same of two bytes a character, which are its own. */
class ExternalWideText final : public v8::String::ExternalStringResource {
 public:
  ExternalWideText(uint16_t *units, size_t length) noexcept : units_(units), length_(length) {}
  ~ExternalWideText() override {
    std::free(units_);
  }
  const uint16_t *data() const override {
    return units_;
  }
  size_t length() const override {
    return length_;
  }

 private:
  uint16_t *units_;
  size_t length_;
};

/* A large text with characters beyond Latin-1, of `length` units, as an external string. */
v8::MaybeLocal<v8::String> NewWide(v8::Isolate *isolate, std::string_view text, size_t length) {
  if (length > static_cast<size_t>(v8::String::kMaxLength)) {
    return {};
  }
  auto *units = static_cast<uint16_t *>(std::malloc(length * sizeof(uint16_t)));
  if (units == nullptr) {
    throw std::bad_alloc();
  }
  std::unique_ptr<ExternalWideText> external(new (std::nothrow) ExternalWideText(units, length));
  if (external == nullptr) {
    std::free(units);
    throw std::bad_alloc();
  }
  ToUtf16(text.data(), text.size(), units);
  v8::Local<v8::String> made;
  if (!v8::String::NewExternalTwoByte(isolate, external.get()).ToLocal(&made)) {
    return {};
  }
  external.release(); /* V8 deletes it with the string */
  return made;
}

/* A large text as an external string of our own; empty if it is no UTF-8. */
v8::MaybeLocal<v8::String> NewLarge(v8::Isolate *isolate, std::string_view text, bool ascii) {
  size_t characters = text.size();
  bool latin1 = true;
  if (!ascii && !IsUtf8(text.data(), text.size(), &characters, &latin1)) {
    return {};
  }
  if (!latin1) {
    return NewWide(isolate, text, characters);
  }
  auto *copy = static_cast<char *>(std::malloc(characters));
  if (copy == nullptr) {
    throw std::bad_alloc();
  }
  std::unique_ptr<ExternalText> external(new (std::nothrow)
                                             ExternalText(copy, characters, std::free, copy));
  if (external == nullptr) {
    std::free(copy);
    throw std::bad_alloc();
  }
  if (ascii) {
    std::memcpy(copy, text.data(), characters);
  } else {
    ToLatin1(text.data(), text.size(), copy);
  }
  return NewExternal(isolate, std::move(external));
}

/* ---- the header of cached data -------------------------------------------------------------- */

struct CacheHeader {
  uint32_t magic;
  uint32_t version;
  uint32_t source;
  uint32_t flags;
};

/* What this engine writes into a header, learnt from cached data it made itself. `kind_bits` is
 * what it adds to the source's length. */
struct HeaderTemplate {
  CacheHeader header;
  bool known;
};

std::mutex template_mutex;
HeaderTemplate templates[3]; /* by SourceKind */

bool ReadHeader(const uint8_t *data, size_t length, CacheHeader *ret_header) noexcept {
  if (length < compat::kCacheHeaderBytes) {
    return false;
  }
  std::memcpy(ret_header, data, sizeof *ret_header);
  return true;
}

constexpr char kProbeText[] = "0";
constexpr uint32_t kProbeLength = 1;

/* Makes cached data of a one-character source of this kind, to see what its header looks like. */
bool ProbeHeader(Entry &entry, SourceKind kind, CacheHeader *ret_header) {
  v8::TryCatch quiet(entry.isolate);
  v8::Local<v8::String> text = Literal(entry.isolate, kProbeText);
  v8::ScriptCompiler::Source source(
      text, compat::MakeOrigin(entry.isolate, Literal(entry.isolate, "kv8:probe"), 0, 0,
                               kind == SourceKind::kModule));
  std::unique_ptr<v8::ScriptCompiler::CachedData> data;
  if (kind == SourceKind::kScript) {
    v8::Local<v8::UnboundScript> script;
    if (v8::ScriptCompiler::CompileUnboundScript(entry.isolate, &source).ToLocal(&script)) {
      data.reset(v8::ScriptCompiler::CreateCodeCache(script));
    }
  } else if (kind == SourceKind::kFunction) {
    v8::Local<v8::Function> function;
    if (v8::ScriptCompiler::CompileFunction(entry.context, &source).ToLocal(&function)) {
      data.reset(v8::ScriptCompiler::CreateCodeCacheForFunction(function));
    }
  } else {
    v8::Local<v8::Module> module;
    if (v8::ScriptCompiler::CompileModule(entry.isolate, &source).ToLocal(&module)) {
      data.reset(v8::ScriptCompiler::CreateCodeCache(module->GetUnboundModuleScript()));
    }
  }
  return data != nullptr && ReadHeader(data->data, static_cast<size_t>(data->length), ret_header);
}

bool TemplateOf(Entry &entry, SourceKind kind, CacheHeader *ret_header) {
  HeaderTemplate &kept = templates[static_cast<size_t>(kind)];
  std::lock_guard<std::mutex> guard(template_mutex);
  if (!kept.known) {
    if (!ProbeHeader(entry, kind, &kept.header)) {
      return false;
    }
    kept.known = true;
  }
  *ret_header = kept.header;
  return true;
}

/* Whether V8 would look further than the header. Asked by us first, because V8's in-isolate
 * compilation cache answers a second compile of the same source without looking at the cached data
 * at all, and then nothing is "rejected" (P08). */
bool HeaderFits(Entry &entry, SourceKind kind, kv8_span data, size_t source_length) {
  CacheHeader header;
  CacheHeader expected;
  if (data.length > kCachedDataMaxBytes ||
      !ReadHeader(reinterpret_cast<const uint8_t *>(data.data), data.length, &header) ||
      !TemplateOf(entry, kind, &expected)) {
    return false;
  }
  uint32_t kind_bits = expected.source ^ kProbeLength;
  return header.magic == expected.magic && header.version == expected.version &&
         header.flags == expected.flags &&
         header.source == (static_cast<uint32_t>(source_length) | kind_bits);
}

}  // namespace

/* ---- strings -------------------------------------------------------------------------------- */

v8::MaybeLocal<v8::String> NewString(v8::Isolate *isolate, std::string_view text) {
  if (text.size() > INT_MAX) {
    return {};
  }
  bool ascii = IsAscii(text.data(), text.size());
  if (text.size() >= kExternalMinBytes) {
    v8::Local<v8::String> large;
    if (NewLarge(isolate, text, ascii).ToLocal(&large)) {
      return large;
    }
  }
  if (text.size() > static_cast<size_t>(v8::String::kMaxLength)) {
    return {}; /* V8 would throw; in one-byte form it had its chance above */
  }
  int length = static_cast<int>(text.size());
  if (ascii) {
    return v8::String::NewFromOneByte(isolate, reinterpret_cast<const uint8_t *>(text.data()),
                                      v8::NewStringType::kNormal, length);
  }
  return v8::String::NewFromUtf8(isolate, text.data(), v8::NewStringType::kNormal, length);
}

v8::Local<v8::String> Literal(v8::Isolate *isolate, std::string_view text) {
  /* Cannot fail: only a too long text does. */
  return v8::String::NewFromOneByte(isolate, reinterpret_cast<const uint8_t *>(text.data()),
                                    v8::NewStringType::kInternalized, static_cast<int>(text.size()))
      .ToLocalChecked();
}

std::string ToUtf8(v8::Isolate *isolate, v8::Local<v8::String> text) {
  std::string copy(compat::Utf8Length(isolate, text), '\0');
  copy.resize(compat::WriteUtf8(isolate, text, copy.data(), copy.size()));
  return copy;
}

/* ---- source --------------------------------------------------------------------------------- */

namespace {

const kv8_hooks *HooksIn(const kv8_source *source) noexcept {
  return source == nullptr || !KnownSize(source) ? nullptr : Normalised(source).hooks;
}

}  // namespace

Source::Source(const kv8_source *source) noexcept : hooks_(HooksIn(source)) {
  if (source == nullptr || !KnownSize(source)) {
    return; /* without a known size even `release` cannot be found */
  }
  source_ = Normalised(source);
  known_ = true;
  offered_ = source_.cached_data.data != nullptr;
}

Source::~Source() {
  if (made_ != nullptr) {
    DropHooks(made_);
  }
  if (source_.release != nullptr) {
    source_.release(source_.release_user);
  }
}

kv8_status Source::Check(kv8_error *err) const noexcept {
  if (!known_) {
    return Invalid(err, "source is NULL or its struct_size unknown");
  }
  if (!ValidSpan(source_.text) || !ValidSpan(source_.filename) || !ValidSpan(source_.cached_data)) {
    return Invalid(err, "text, filename or cached_data: a length without data");
  }
  if (source_.string != nullptr && kv8_value_get_type(source_.string) != KV8_TYPE_STRING) {
    return Invalid(err, "string: no string, or of a freed isolate");
  }
  int mode = RawEnum(source_.mode);
  if (mode != KV8_COMPILE_LAZY && mode != KV8_COMPILE_EAGER) {
    return Invalid(err, "mode: unknown value");
  }
  if (offered_ && mode == KV8_COMPILE_EAGER) {
    return Invalid(err, "cached_data and KV8_COMPILE_EAGER exclude each other");
  }
  if (source_.filename.length > kFilenameMaxBytes) {
    return SetError(err, KV8_ETOOBIG, "", "filename is %zu bytes, limit %zu",
                    source_.filename.length, kFilenameMaxBytes);
  }
  return hooks_.Check(err);
}

bool Source::Mentions(std::string_view word) const noexcept {
  return View(source_.text).find(word) != std::string_view::npos;
}

Hooks *Source::Succeed() noexcept {
  return std::exchange(made_, nullptr);
}

v8::MaybeLocal<v8::String> Source::MakeText(v8::Isolate *isolate) {
  if (source_.string != nullptr) {
    return source_.string->value.Get(isolate).As<v8::String>();
  }
  std::string_view text = View(source_.text);
  if (source_.release != nullptr && !text.empty() && IsAscii(text.data(), text.size())) {
    auto external = std::make_unique<ExternalText>(text.data(), text.size(), source_.release,
                                                   source_.release_user);
    source_.release = nullptr; /* the string's now, also if V8 refuses it */
    return NewExternal(isolate, std::move(external));
  }
  return NewString(isolate, text);
}

kv8_status Source::Prepare(Entry &entry, SourceKind kind, std::string_view default_filename) {
  v8::Local<v8::String> text;
  v8::Local<v8::String> filename;
  if (source_.string != nullptr && source_.string->isolate != entry.owner) {
    return Invalid(entry.err, "string: of another isolate");
  }
  if (!MakeText(entry.isolate).ToLocal(&text)) {
    return SetError(entry.err, KV8_ETOOBIG, "", "source is %zu bytes, limit about %d characters",
                    source_.text.length, v8::String::kMaxLength);
  }
  std::string_view name = source_.filename.length != 0 ? View(source_.filename) : default_filename;
  if (!NewString(entry.isolate, name).ToLocal(&filename)) {
    return entry.Fail(KV8_EENGINE);
  }
  text_ = text;
  v8::Local<v8::Data> options;
  if (hooks_.given()) {
    v8::Local<v8::Symbol> anchor;
    made_ = hooks_.Make(entry, &anchor);
    options = HookOptions(entry.isolate, made_, anchor);
  }
  v8::ScriptOrigin origin =
      compat::MakeOrigin(entry.isolate, filename, source_.line_offset, source_.column_offset,
                         kind == SourceKind::kModule, options);
  v8::ScriptCompiler::CachedData *cached = nullptr;
  bool keeps_hooks = compat::kCachedDataKeepsOptions || !hooks_.imports() || !Mentions("import");
  header_fits_ = offered_ && keeps_hooks &&
                 HeaderFits(entry, kind, source_.cached_data, static_cast<size_t>(text->Length()));
  if (header_fits_) {
    cached = new v8::ScriptCompiler::CachedData(
        reinterpret_cast<const uint8_t *>(source_.cached_data.data),
        static_cast<int>(source_.cached_data.length));
    options_ = v8::ScriptCompiler::kConsumeCodeCache;
  } else if (source_.mode == KV8_COMPILE_EAGER) {
    options_ = v8::ScriptCompiler::kEagerCompile;
  }
  v8_.emplace(text, origin, cached);
  return KV8_OK;
}

kv8_cache_outcome Source::Outcome() const noexcept {
  if (!offered_) {
    return KV8_CACHE_NOT_OFFERED;
  }
  bool accepted =
      header_fits_ && v8_ && v8_->GetCachedData() != nullptr && !v8_->GetCachedData()->rejected;
  return accepted ? KV8_CACHE_ACCEPTED : KV8_CACHE_REJECTED;
}

kv8_status CopyCachedData(std::unique_ptr<v8::ScriptCompiler::CachedData> data, kv8_blob *ret_data,
                          kv8_error *err) {
  if (data == nullptr || data->data == nullptr || data->length <= 0) {
    return SetError(err, KV8_EENGINE, "", "the engine gave no cached data");
  }
  *ret_data = NewBlob(data->data, static_cast<size_t>(data->length));
  return KV8_OK;
}

}  // namespace kv8
