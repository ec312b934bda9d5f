/* SPDX-License-Identifier: MIT
 *
 * function.cc: compileFunction, a source compiled as the body of a function with given parameters
 * and scope (CF01-CF12). Parameter names are checked here, because V8 answers a name that is no
 * identifier with an empty handle and no exception (P12), and takes a reserved word as it is.
 */
#include <algorithm>

#include "shim/internal.hh"
#include "shim/source.hh"
#include "shim/utf8.hh"

namespace kv8 {

namespace {

constexpr size_t kExtensionsMax = 1024;
constexpr size_t kArgumentsMax = 65535;
constexpr size_t kParamMaxBytes = 4096;

/* ECMAScript's ReservedWord, as of sloppy code. Sorted. */
constexpr std::string_view kReserved[] = {
    "break",  "case",     "catch",  "class",  "const",  "continue",   "debugger", "default",
    "delete", "do",       "else",   "enum",   "export", "extends",    "false",    "finally",
    "for",    "function", "if",     "import", "in",     "instanceof", "new",      "null",
    "return", "super",    "switch", "this",   "throw",  "true",       "try",      "typeof",
    "var",    "void",     "while",  "with"};

bool IsAsciiIdentifier(std::string_view name) noexcept {
  auto is_letter = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '$';
  };
  return !name.empty() && is_letter(name[0]) &&
         std::all_of(name.begin() + 1, name.end(),
                     [&](char c) { return is_letter(c) || (c >= '0' && c <= '9'); });
}

/* V8 itself says what an identifier is beyond ASCII: it compiles nothing for any other name. */
bool IsUnicodeIdentifier(Entry &entry, v8::Local<v8::String> name) {
  v8::TryCatch quiet(entry.isolate);
  v8::ScriptCompiler::Source empty(v8::String::Empty(entry.isolate));
  return !v8::ScriptCompiler::CompileFunction(entry.context, &empty, 1, &name).IsEmpty();
}

kv8_status MakeParam(Entry &entry, kv8_span span, v8::Local<v8::String> *ret_name) {
  std::string_view name = View(span);
  bool ascii = IsAscii(name.data(), name.size());
  bool ok = name.size() <= kParamMaxBytes && NewString(entry.isolate, name).ToLocal(ret_name) &&
            (ascii ? IsAsciiIdentifier(name) &&
                         !std::binary_search(std::begin(kReserved), std::end(kReserved), name)
                   : IsUnicodeIdentifier(entry, *ret_name));
  if (ok) {
    return KV8_OK;
  }
  SetError(entry.err, KV8_ESYNTAX, "", "parameter '%.*s': not an identifier",
           static_cast<int>(std::min<size_t>(name.size(), 80)), name.data());
  if (entry.err != nullptr) {
    CopyText(entry.err->name, sizeof entry.err->name, "SyntaxError");
  }
  return KV8_ESYNTAX;
}

kv8_status CheckOptions(const kv8_context *context, const kv8_function_options &options,
                        kv8_error *err) noexcept {
  if (options.params_count > KV8_PARAMS_MAX) {
    return SetError(err, KV8_ETOOBIG, "", "params: %zu, limit %d", options.params_count,
                    KV8_PARAMS_MAX);
  }
  if (options.context_extensions_count > kExtensionsMax) {
    return SetError(err, KV8_ETOOBIG, "", "context extensions: %zu, limit %zu",
                    options.context_extensions_count, kExtensionsMax);
  }
  if ((options.params_count != 0 && options.params == nullptr) ||
      (options.context_extensions_count != 0 && options.context_extensions == nullptr)) {
    return Invalid(err, "params or context_extensions: a count without data");
  }
  for (size_t i = 0; i < options.params_count; ++i) {
    if (!ValidSpan(options.params[i])) {
      return Invalid(err, "params: a length without data");
    }
  }
  for (size_t i = 0; i < options.context_extensions_count; ++i) {
    const kv8_value *extension = options.context_extensions[i];
    if (extension == nullptr || extension->isolate != context->isolate) {
      return Invalid(err, "context_extensions: NULL, or of another isolate");
    }
  }
  return KV8_OK;
}

/* Compiles with everything checked; an empty handle is the caller's to report. */
kv8_status Compile(Entry &entry, Source *text, const kv8_function_options &options,
                   v8::Local<v8::Function> *ret_function) {
  std::vector<v8::Local<v8::String>> params(options.params_count);
  std::vector<v8::Local<v8::Object>> extensions(options.context_extensions_count);
  for (size_t i = 0; i < params.size(); ++i) {
    kv8_status status = MakeParam(entry, options.params[i], &params[i]);
    if (status != KV8_OK) {
      return status;
    }
  }
  for (size_t i = 0; i < extensions.size(); ++i) {
    v8::Local<v8::Value> value = options.context_extensions[i]->value.Get(entry.isolate);
    if (!value->IsObject()) {
      return SetError(entry.err, KV8_EINVAL, "ERR_INVALID_ARG_TYPE",
                      "context extension %zu: not an object", i);
    }
    extensions[i] = value.As<v8::Object>();
  }
  kv8_status status = text->Prepare(entry, SourceKind::kFunction, "");
  if (status != KV8_OK) {
    return status;
  }
  if (!v8::ScriptCompiler::CompileFunction(entry.context, text->v8(), params.size(), params.data(),
                                           extensions.size(), extensions.data(), text->options())
           .ToLocal(ret_function)) {
    return entry.Fail(KV8_ESYNTAX);
  }
  return KV8_OK;
}

bool IsGone(const kv8_function *function) noexcept {
  return function == nullptr || function->isolate == nullptr;
}

}  // namespace

}  // namespace kv8

using namespace kv8;

kv8_status kv8_function_compile(kv8_context *context, const kv8_source *source,
                                const kv8_function_options *options, kv8_function **ret_function,
                                kv8_cache_outcome *ret_outcome, kv8_error *err) {
  Source text(source);
  if (context == nullptr || context->state == nullptr || ret_function == nullptr) {
    return Invalid(err, "context or ret_function is NULL, or the isolate is freed");
  }
  if (!KnownSize(options)) {
    return Invalid(err, "kv8_function_options: unknown struct_size");
  }
  kv8_function_options copy = Normalised(options);
  kv8_status status = text.Check(err);
  if (status == KV8_OK) {
    status = CheckOptions(context, copy, err);
  }
  if (status != KV8_OK) {
    return status;
  }
  std::unique_ptr<kv8_function> made;
  status = Enter(context->isolate, In(context), err, [&](Entry &entry) {
    v8::Local<v8::Function> function;
    kv8_status body = Compile(entry, &text, copy, &function);
    if (body != KV8_OK) {
      return body;
    }
    made = std::make_unique<kv8_function>(context->isolate);
    made->function.Reset(entry.isolate, function);
    made->context.Reset(entry.isolate, entry.context);
    text.Succeed();
    return KV8_OK;
  });
  if (status == KV8_OK) {
    *ret_function = made.release();
    if (ret_outcome != nullptr) {
      *ret_outcome = text.Outcome();
    }
  }
  return status;
}

void kv8_function_free(kv8_function *function) {
  delete function;
}

kv8_status kv8_function_call(kv8_function *function, const kv8_value *receiver,
                             const kv8_value *const *args, size_t args_count,
                             const kv8_run_options *options, kv8_value **ret_value,
                             kv8_error *err) {
  if (IsGone(function)) {
    return Invalid(err, "function is NULL or its isolate freed");
  }
  if (!KnownSize(options)) {
    return Invalid(err, "kv8_run_options: unknown struct_size");
  }
  if (args_count > kArgumentsMax) {
    return SetError(err, KV8_ETOOBIG, "", "arguments: %zu, limit %zu", args_count, kArgumentsMax);
  }
  bool valid = args_count == 0 || args != nullptr;
  for (size_t i = 0; valid && i < args_count; ++i) {
    valid = args[i] != nullptr && args[i]->isolate == function->isolate;
  }
  if (!valid || (receiver != nullptr && receiver->isolate != function->isolate)) {
    return Invalid(err, "receiver or args: NULL, or of another isolate");
  }
  std::unique_ptr<kv8_value> made;
  kv8_run_options run = Normalised(options);
  EnterOptions enter = {&function->context, run.timeout_ms, true, false, run.break_on_sigint};
  kv8_status status = Enter(function->isolate, enter, err, [&](Entry &entry) {
    std::vector<v8::Local<v8::Value>> values(args_count);
    for (size_t i = 0; i < args_count; ++i) {
      values[i] = args[i]->value.Get(entry.isolate);
    }
    v8::Local<v8::Value> self = receiver != nullptr ? receiver->value.Get(entry.isolate)
                                                    : v8::Undefined(entry.isolate).As<v8::Value>();
    v8::Local<v8::Value> value;
    if (!function->function.Get(entry.isolate)
             ->Call(entry.context, self, static_cast<int>(args_count), values.data())
             .ToLocal(&value)) {
      return entry.Fail();
    }
    if (ret_value != nullptr) {
      made = NewValue(function->isolate, value);
    }
    return KV8_OK;
  });
  if (status == KV8_OK && ret_value != nullptr) {
    *ret_value = made.release();
  }
  return status;
}

kv8_status kv8_function_create_cached_data(kv8_function *function, kv8_blob *ret_data,
                                           kv8_error *err) {
  if (IsGone(function) || ret_data == nullptr) {
    return Invalid(err, "function or ret_data is NULL, or the isolate is freed");
  }
  kv8_blob made = {nullptr, 0};
  kv8_status status =
      Enter(function->isolate, {&function->context, 0, false}, err, [&](Entry &entry) {
        std::unique_ptr<v8::ScriptCompiler::CachedData> data(
            v8::ScriptCompiler::CreateCodeCacheForFunction(function->function.Get(entry.isolate)));
        return CopyCachedData(std::move(data), &made, err);
      });
  if (status != KV8_OK) {
    kv8_blob_free(&made);
    return status;
  }
  *ret_data = made;
  return KV8_OK;
}

kv8_status kv8_function_copy_value(kv8_function *function, kv8_value **ret_value, kv8_error *err) {
  if (IsGone(function) || ret_value == nullptr) {
    return Invalid(err, "function or ret_value is NULL, or the isolate is freed");
  }
  std::unique_ptr<kv8_value> made;
  kv8_status status = Enter(function->isolate, {}, err, [&](Entry &entry) {
    made = NewValue(function->isolate, function->function.Get(entry.isolate));
    return KV8_OK;
  });
  if (status == KV8_OK) {
    *ret_value = made.release();
  }
  return status;
}
