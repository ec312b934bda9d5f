/* SPDX-License-Identifier: MIT
 *
 * value.cc: values in and out (from JSON, from text, to text) and a context's global properties. It
 * does not write JSON: json.cc does.
 */
#include "shim/internal.hh"

namespace kv8 {
namespace {

constexpr const char kTooLong[] = "text is longer than V8's longest string";

/* A handle that is usable together with `context`. */
bool Fits(const kv8_context *context, const kv8_value *value) noexcept {
  return value != nullptr && value->isolate == context->isolate && !value->value.IsEmpty();
}

bool Alive(const kv8_context *context) noexcept {
  return context != nullptr && context->isolate != nullptr && context->state != nullptr;
}

/* JSON.parse(text): KV8_EJSON with V8's message where it is none. */
kv8_status ParseJson(Entry &entry, kv8_span text, v8::Local<v8::Value> *ret_value) {
  v8::Local<v8::String> source;
  if (!NewString(entry.isolate, View(text)).ToLocal(&source)) {
    return SetError(entry.err, KV8_ETOOBIG, "", "%s", kTooLong);
  }
  if (!v8::JSON::Parse(entry.context, source).ToLocal(ret_value)) {
    return entry.Fail(KV8_EJSON);
  }
  return KV8_OK;
}

}  // namespace
}  // namespace kv8

using kv8::Alive;
using kv8::Enter;
using kv8::Entry;
using kv8::Fits;
using kv8::In;
using kv8::Invalid;
using kv8::SetError;

void kv8_value_free(kv8_value *value) {
  delete value;
}

kv8_status kv8_value_from_json(kv8_context *context, kv8_span json, kv8_value **ret_value,
                               kv8_error *err) {
  if (!Alive(context) || !kv8::ValidSpan(json) || ret_value == nullptr) {
    return Invalid(err, "context, json and ret_value are needed");
  }
  std::unique_ptr<kv8_value> made;
  kv8_status status = Enter(context->isolate, In(context), err, [&](Entry &entry) {
    v8::Local<v8::Value> value;
    kv8_status parsed = kv8::ParseJson(entry, json, &value);
    if (parsed == KV8_OK) made = kv8::NewValue(entry.owner, value);
    return parsed;
  });
  if (status == KV8_OK) *ret_value = made.release();
  return status;
}

kv8_status kv8_value_from_string(kv8_context *context, kv8_span text, kv8_value **ret_value,
                                 kv8_error *err) {
  if (!Alive(context) || !kv8::ValidSpan(text) || ret_value == nullptr) {
    return Invalid(err, "context, text and ret_value are needed");
  }
  std::unique_ptr<kv8_value> made;
  kv8_status status = Enter(context->isolate, In(context), err, [&](Entry &entry) {
    v8::Local<v8::String> value;
    if (!kv8::NewString(entry.isolate, kv8::View(text)).ToLocal(&value)) {
      return SetError(entry.err, KV8_ETOOBIG, "", "%s", kv8::kTooLong);
    }
    made = kv8::NewValue(entry.owner, value);
    return KV8_OK;
  });
  if (status == KV8_OK) *ret_value = made.release();
  return status;
}

kv8_status kv8_value_to_string(kv8_context *context, const kv8_value *value, kv8_blob *ret_text,
                               kv8_error *err) {
  if (!Alive(context) || !Fits(context, value) || ret_text == nullptr) {
    return Invalid(err, "context, a value of its isolate and ret_text are needed");
  }
  kv8_blob text = {nullptr, 0};
  kv8_status status = Enter(context->isolate, In(context), err, [&](Entry &entry) {
    v8::Local<v8::String> string;
    if (!value->value.Get(entry.isolate)->ToString(entry.context).ToLocal(&string)) {
      return entry.Fail();
    }
    std::string utf8 = kv8::ToUtf8(entry.isolate, string);
    text = kv8::NewBlob(utf8.data(), utf8.size());
    return KV8_OK;
  });
  if (status != KV8_OK) {
    kv8_blob_free(&text);
    return status;
  }
  *ret_text = text;
  return KV8_OK;
}

kv8_status kv8_context_set_globals_json(kv8_context *context, kv8_span json, kv8_error *err) {
  if (!Alive(context) || !kv8::ValidSpan(json)) {
    return Invalid(err, "context and json are needed");
  }
  return Enter(context->isolate, In(context), err, [&](Entry &entry) -> kv8_status {
    v8::Local<v8::Value> value;
    kv8_status parsed = kv8::ParseJson(entry, json, &value);
    if (parsed != KV8_OK) return parsed;
    if (!value->IsObject() || value->IsArray()) {
      return SetError(entry.err, KV8_EJSON, "", "globals are not a JSON object");
    }
    v8::Local<v8::Object> object = value.As<v8::Object>();
    v8::Local<v8::Object> global = entry.context->Global();
    v8::Local<v8::Array> keys;
    if (!object
             ->GetOwnPropertyNames(entry.context, v8::PropertyFilter::ONLY_ENUMERABLE,
                                   v8::KeyConversionMode::kConvertToString)
             .ToLocal(&keys)) {
      return entry.Fail();
    }
    for (uint32_t i = 0; i < keys->Length(); i++) {
      v8::HandleScope scope(entry.isolate);
      v8::Local<v8::Value> key;
      v8::Local<v8::Value> item;
      if (!keys->Get(entry.context, i).ToLocal(&key) ||
          !object->Get(entry.context, key).ToLocal(&item)) {
        return entry.Fail();
      }
      bool defined = false;
      if (!global->CreateDataProperty(entry.context, key.As<v8::Name>(), item).To(&defined)) {
        return entry.Fail();
      }
      if (!defined) {
        std::string name = kv8::ToUtf8(entry.isolate, key.As<v8::String>());
        return SetError(entry.err, KV8_EINVAL, "", "global '%.80s': cannot be changed",
                        name.c_str());
      }
    }
    return KV8_OK;
  });
}

kv8_status kv8_context_set_global(kv8_context *context, kv8_span name, const kv8_value *value,
                                  kv8_error *err) {
  if (!Alive(context) || !kv8::ValidSpan(name) || !Fits(context, value)) {
    return Invalid(err, "context, name and a value of its isolate are needed");
  }
  return Enter(context->isolate, In(context), err, [&](Entry &entry) {
    v8::Local<v8::String> key;
    if (!kv8::NewString(entry.isolate, kv8::View(name)).ToLocal(&key)) {
      return SetError(entry.err, KV8_ETOOBIG, "", "%s", kv8::kTooLong);
    }
    bool defined = false;
    if (!entry.context->Global()
             ->CreateDataProperty(entry.context, key, value->value.Get(entry.isolate))
             .To(&defined)) {
      return entry.Fail();
    }
    if (!defined) {
      return SetError(entry.err, KV8_EINVAL, "", "global '%.*s': cannot be changed",
                      static_cast<int>(name.length < 80 ? name.length : 80),
                      name.data == nullptr ? "" : name.data);
    }
    return KV8_OK;
  });
}

kv8_status kv8_context_get_global(kv8_context *context, kv8_span name, kv8_value **ret_value,
                                  kv8_error *err) {
  if (!Alive(context) || !kv8::ValidSpan(name) || ret_value == nullptr) {
    return Invalid(err, "context, name and ret_value are needed");
  }
  std::unique_ptr<kv8_value> made;
  kv8_status status = Enter(context->isolate, In(context), err, [&](Entry &entry) {
    v8::Local<v8::String> key;
    if (!kv8::NewString(entry.isolate, kv8::View(name)).ToLocal(&key)) {
      return SetError(entry.err, KV8_ETOOBIG, "", "%s", kv8::kTooLong);
    }
    v8::Local<v8::Value> value;
    if (!entry.context->Global()->Get(entry.context, key).ToLocal(&value)) return entry.Fail();
    made = kv8::NewValue(entry.owner, value);
    return KV8_OK;
  });
  if (status == KV8_OK) *ret_value = made.release();
  return status;
}
