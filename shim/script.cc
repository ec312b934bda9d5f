/* SPDX-License-Identifier: MIT
 *
 * script.cc: scripts, compiled once and bound to a context for each run only (SC01-SC03). All
 * scripts without hooks share V8's one constant host-defined option, so that V8's compilation cache
 * works (P07).
 */
#include "shim/internal.hh"
#include "shim/source.hh"

using namespace kv8;

namespace {

constexpr std::string_view kDefaultFilename = "evalmachine.<anonymous>";

bool IsGone(const kv8_script *script) noexcept {
  return script == nullptr || script->isolate == nullptr;
}

/* What an object holds that owns a script's handle. */
struct TiedScript final : Held {
  ~TiedScript() override {
    delete script;
  }
  kv8_script *script = nullptr;
};

/* The holder keeps its context alive, which should be none but the object's own. */
v8::Local<v8::Context> HomeOf(const Entry &entry, v8::Local<v8::Object> object) {
  v8::Local<v8::Context> home;
  return !object->IsProxy() && compat::CreationContext(entry.isolate, object).ToLocal(&home)
             ? home
             : entry.context;
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
  if (const kv8_context *given = text.context(); given == nullptr) {
    status = AnyContext(isolate, &context, err);
  } else if (given->state == nullptr || given->isolate != isolate) {
    status = Invalid(err, "source.context is of another or a freed isolate");
  } else {
    context = &given->state->context;
  }
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
    text.Succeed();
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
  if (script != nullptr && !script->tied) {
    delete script;
  }
}

kv8_status kv8_script_tie(kv8_script *script, const kv8_value *object, kv8_error *err) {
  if (IsGone(script) || object == nullptr || object->isolate != script->isolate) {
    return Invalid(err, "script or object is NULL, or of another or a freed isolate");
  }
  if (script->tied) {
    return SetError(err, KV8_ESTATE, "", "the script is tied");
  }
  const v8::Global<v8::Context> *context = nullptr;
  kv8_status status = AnyContext(script->isolate, &context, err);
  if (status != KV8_OK) {
    return status;
  }
  return Enter(script->isolate, {context, 0, false}, err, [&](Entry &entry) {
    v8::Local<v8::Value> value = object->value.Get(entry.isolate);
    if (!value->IsObject()) {
      return SetError(err, KV8_EINVAL, "ERR_INVALID_ARG_TYPE", "object: not an object");
    }
    if (HeldBy(script->isolate, value, HoldKey::kScript) != nullptr) {
      return SetError(err, KV8_ESTATE, "", "the object has a script");
    }
    auto held = std::make_unique<TiedScript>();
    TiedScript *tied = held.get();
    v8::Local<v8::Object> holder;
    if (!NewHolder(script->isolate, HomeOf(entry, value.As<v8::Object>()), std::move(held),
                   {compat::AsData(script->script.Get(entry.isolate))})
             .ToLocal(&holder) ||
        !Hold(script->isolate, entry.context, value.As<v8::Object>(), HoldKey::kScript, holder)) {
      return entry.Fail(KV8_EENGINE);
    }
    tied->script = script;
    script->tied = true;
    script->script.SetWeak();
    return KV8_OK;
  });
}

kv8_script *kv8_script_of(const kv8_value *object) {
  if (object == nullptr || object->isolate == nullptr) {
    return nullptr;
  }
  kv8_script *found = nullptr;
  Enter(object->isolate, {}, nullptr, [&](Entry &entry) {
    auto *held = static_cast<TiedScript *>(
        HeldBy(object->isolate, object->value.Get(entry.isolate), HoldKey::kScript));
    found = held == nullptr ? nullptr : held->script;
    return KV8_OK;
  });
  return found;
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
  kv8_status status =
      Enter(script->isolate, In(context, Normalised(options)), err, [&](Entry &entry) {
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
