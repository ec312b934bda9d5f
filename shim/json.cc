/* SPDX-License-Identifier: MIT
 *
 * json.cc: the entry points that give JSON, and the strict form, which is V8's own JSON.stringify.
 * The describing form is json_walk.cc's.
 */
#include "shim/json_text.hh"

namespace kv8 {
namespace {

constexpr size_t kDefaultMaxBytes = 64u << 20;
constexpr unsigned kDefaultMaxDepth = 1000;

/* How deeply the arrays and objects of a JSON text are nested. */
size_t JsonDepth(std::string_view json) {
  size_t depth = 0;
  size_t deepest = 0;
  bool quoted = false;
  for (size_t i = 0; i < json.size(); i++) {
    char c = json[i];
    if (quoted) {
      if (c == '\\') {
        i++;
      } else if (c == '"') {
        quoted = false;
      }
    } else if (c == '"') {
      quoted = true;
    } else if (c == '{' || c == '[') {
      if (++depth > deepest) deepest = depth;
    } else if (c == '}' || c == ']') {
      depth--;
    }
  }
  return deepest;
}

kv8_status StrictJson(Entry &entry, v8::Local<v8::Value> value, size_t max_bytes,
                      unsigned max_depth, kv8_blob *ret_json) {
  v8::Local<v8::String> json;
  if (!v8::JSON::Stringify(entry.context, value).ToLocal(&json)) return entry.Fail();
  if (compat::Utf8Length(entry.isolate, json) > max_bytes) {
    return SetError(entry.err, KV8_ETOOBIG, "", "JSON text is longer than %zu bytes", max_bytes);
  }
  std::string text = ToUtf8(entry.isolate, json);
  if (text == "undefined") { /* V8's word for "no text", which is no JSON */
    return SetError(entry.err, KV8_EJSON, "", "value has no JSON form");
  }
  if (JsonDepth(text) > max_depth) {
    return SetError(entry.err, KV8_ETOOBIG, "", "value is nested deeper than %u", max_depth);
  }
  *ret_json = NewBlob(text.data(), text.size());
  return KV8_OK;
}

enum class JsonOf { kValue, kGlobals };

/* What the two entry points share; `value` is unused for kGlobals. */
kv8_status ToJson(kv8_context *context, JsonOf what, const kv8_value *value,
                  const kv8_json_options *given, kv8_blob *ret_json, kv8_error *err) {
  kv8_json_options options = Normalised(given);
  size_t max_bytes = options.max_bytes == 0 ? kDefaultMaxBytes : options.max_bytes;
  unsigned max_depth = options.max_depth == 0 ? kDefaultMaxDepth : options.max_depth;
  kv8_blob json = {nullptr, 0};
  kv8_status status =
      Enter(context->isolate, Touching(context, options.timeout_ms), err, [&](Entry &entry) {
        v8::Local<v8::Value> root = entry.context->Global();
        if (what == JsonOf::kValue) root = value->value.Get(entry.isolate);
        if (options.strict) return StrictJson(entry, root, max_bytes, max_depth, &json);
        return what == JsonOf::kValue ? WalkJson(entry, root, max_bytes, max_depth, &json)
                                      : WalkJsonProperties(entry, entry.context->Global(),
                                                           max_bytes, max_depth, &json);
      });
  if (status != KV8_OK) {
    kv8_blob_free(&json);
    return status;
  }
  *ret_json = json;
  return KV8_OK;
}

}  // namespace
}  // namespace kv8

kv8_status kv8_value_to_json(kv8_context *context, const kv8_value *value,
                             const kv8_json_options *options, kv8_blob *ret_json, kv8_error *err) {
  if (context == nullptr || context->state == nullptr || value == nullptr ||
      value->isolate != context->isolate || ret_json == nullptr || !kv8::KnownSize(options)) {
    return kv8::Invalid(err,
                        "context, a value of its isolate, known options and ret_json are needed");
  }
  return kv8::ToJson(context, kv8::JsonOf::kValue, value, options, ret_json, err);
}

kv8_status kv8_context_globals_to_json(kv8_context *context, const kv8_json_options *options,
                                       kv8_blob *ret_json, kv8_error *err) {
  if (context == nullptr || context->state == nullptr || ret_json == nullptr ||
      !kv8::KnownSize(options)) {
    return kv8::Invalid(err, "context, known options and ret_json are needed");
  }
  return kv8::ToJson(context, kv8::JsonOf::kGlobals, nullptr, options, ret_json, err);
}
