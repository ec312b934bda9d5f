/* SPDX-License-Identifier: MIT
 *
 * script.cc: scripts, compiled once and bound to a context for each run only (SC01-SC03). All
 * scripts share V8's one constant host-defined option, so that V8's compilation cache works
 * (P07).
 */
#include "shim/internal.hh"

using namespace kv8;

namespace {

constexpr std::string_view kDefaultFilename = "evalmachine.<anonymous>";

bool IsGone(const kv8_script *script) noexcept {
  return script == nullptr || script->isolate == nullptr;
}

}  // namespace

kv8_status kv8_script_compile(kv8_isolate *isolate, const kv8_source *source,
                              kv8_script **ret_script, kv8_cache_outcome *ret_outcome,
                              kv8_error *err) {
  Source text(source);
  if (isolate == nullptr || ret_script == nullptr) {
    return Invalid(err, "isolate or ret_script is NULL");
  }
  kv8_status status = text.Check(err);
  if (status != KV8_OK) {
    return status;
  }
  const v8::Global<v8::Context> *context = nullptr;
  status = AnyContext(isolate, &context, err);
  if (status != KV8_OK) {
    return status;
  }
  std::unique_ptr<kv8_script> made;
  status = Enter(isolate, {context, 0, false}, err, [&](Entry &entry) {
    kv8_status body = text.Prepare(entry, SourceKind::kScript, kDefaultFilename);
    if (body != KV8_OK) {
      return body;
    }
    v8::Local<v8::UnboundScript> script;
    if (!v8::ScriptCompiler::CompileUnboundScript(entry.isolate, text.v8(), text.options())
             .ToLocal(&script)) {
      return entry.Fail(KV8_ESYNTAX);
    }
    made = std::make_unique<kv8_script>(isolate);
    made->script.Reset(entry.isolate, script);
    return KV8_OK;
  });
  if (status == KV8_OK) {
    *ret_script = made.release();
    if (ret_outcome != nullptr) {
      *ret_outcome = text.Outcome();
    }
  }
  return status;
}

void kv8_script_free(kv8_script *script) {
  delete script;
}

kv8_status kv8_script_run(kv8_script *script, kv8_context *context, const kv8_run_options *options,
                          kv8_value **ret_value, kv8_error *err) {
  if (IsGone(script) || context == nullptr || context->isolate != script->isolate) {
    return Invalid(err, "script or context is NULL, or of another or a freed isolate");
  }
  if (!KnownSize(options)) {
    return Invalid(err, "kv8_run_options: unknown struct_size");
  }
  std::unique_ptr<kv8_value> made;
  kv8_status status = Enter(script->isolate, In(context, Normalised(options).timeout_ms, true), err,
                            [&](Entry &entry) {
                              v8::Local<v8::Value> value;
                              if (!script->script.Get(entry.isolate)
                                       ->BindToCurrentContext()
                                       ->Run(entry.context)
                                       .ToLocal(&value)) {
                                return entry.Fail();
                              }
                              if (ret_value != nullptr) {
                                made = NewValue(script->isolate, value);
                              }
                              return KV8_OK;
                            });
  if (status == KV8_OK && ret_value != nullptr) {
    *ret_value = made.release();
  }
  return status;
}

kv8_status kv8_script_create_cached_data(kv8_script *script, kv8_blob *ret_data, kv8_error *err) {
  if (IsGone(script) || ret_data == nullptr) {
    return Invalid(err, "script or ret_data is NULL, or the isolate is freed");
  }
  kv8_blob made = {nullptr, 0};
  kv8_status status = Enter(script->isolate, {}, err, [&](Entry &entry) {
    std::unique_ptr<v8::ScriptCompiler::CachedData> data(
        v8::ScriptCompiler::CreateCodeCache(script->script.Get(entry.isolate)));
    return CopyCachedData(std::move(data), &made, err);
  });
  if (status != KV8_OK) {
    kv8_blob_free(&made);
    return status;
  }
  *ret_data = made;
  return KV8_OK;
}

kv8_status kv8_script_copy_source_map_url(kv8_script *script, kv8_blob *ret_url, kv8_error *err) {
  if (IsGone(script) || ret_url == nullptr) {
    return Invalid(err, "script or ret_url is NULL, or the isolate is freed");
  }
  kv8_blob made = {nullptr, 0};
  kv8_status status = Enter(script->isolate, {}, err, [&](Entry &entry) {
    v8::Local<v8::Value> url = script->script.Get(entry.isolate)->GetSourceMappingURL();
    if (!url.IsEmpty() && url->IsString()) {
      std::string text = ToUtf8(entry.isolate, url.As<v8::String>());
      made = NewBlob(text.data(), text.size());
    }
    return KV8_OK;
  });
  if (status != KV8_OK) {
    kv8_blob_free(&made);
    return status;
  }
  *ret_url = made;
  return KV8_OK;
}
