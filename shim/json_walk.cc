/* SPDX-License-Identifier: MIT
 *
 * json_walk.cc: the walk over a value that writes JSON and describes what JSON cannot hold instead
 * of dropping it; where JSON can hold a value, the text is JSON.stringify's. The walk keeps its own
 * stack, so that a value's depth costs heap and not C++ stack, and looks between steps whether its
 * run has been told to end.
 *
 * A description is an object with a "type": undefined, number (NaN, Infinity, -Infinity, -0 as
 * "value"), bigint ("value", decimal), symbol ("description"), function ("name"), circular, proxy,
 * error ("name", "message", "stack" and, if it has more, "properties"), map ("entries", pairs), set
 * ("values"), promise ("state" and "value" or "reason"), regexp ("source", "flags"), date ("value";
 * only one without a usable toJSON), uninitialized (an export not run yet), weakmap, weakset,
 * map iterator, set iterator, generator, external, WebAssembly.Module, WebAssembly.Memory; and by
 * their class ArrayBuffer, SharedArrayBuffer, DataView and the typed arrays ("byteLength" and, up
 * to 64 KiB, "base64").
 */
#include <cmath>

#include "shim/fork.hh"
#include "shim/inspect.hh"
#include "shim/json_text.hh"

namespace kv8 {
namespace {

constexpr size_t kBase64MaxBytes = 64u << 10; /* longer buffers are described without content */
constexpr uint32_t kStepsPerLook = 256;       /* between two looks at the deadline */

class JsonWalk {
 public:
  JsonWalk(Entry &entry, size_t max_bytes, unsigned max_depth)
      : entry_(entry),
        isolate_(entry.isolate),
        context_(entry.context),
        text_(max_bytes),
        max_bytes_(max_bytes),
        max_depth_(max_depth),
        to_json_(Literal(entry.isolate, "toJSON")) {}

  kv8_status Value(v8::Local<v8::Value> root, kv8_blob *ret_json) {
    return Finish(Write(root, v8::Local<v8::Value>()) && Run(), ret_json);
  }

  /* The own enumerable properties of `object`, whatever its toJSON says. */
  kv8_status Properties(v8::Local<v8::Object> object, kv8_blob *ret_json) {
    return Finish(PushObject(object, /* shown_only= */ true) && Run(), ret_json);
  }

 private:
  /* A container that has been opened and not yet closed. */
  struct Frame {
    enum Kind {
      kArray,  /* items are the elements of object */
      kObject, /* names are its keys */
      kList,   /* items, commas between them */
      kPairs,  /* items, two at a time in brackets */
    };
    Kind kind;
    v8::Global<v8::Object> object;
    v8::Global<v8::Array> items;
    uint32_t index = 0;
    uint32_t count = 0;
    const char *close;
  };

  /* What Step() found to write next; ended if the container is complete. */
  enum class Next { kValue, kWritten, kEnded, kFailed };

  kv8_status Finish(bool complete, kv8_blob *ret_json) {
    if (text_.TooBig()) {
      return SetError(entry_.err, KV8_ETOOBIG, "", "JSON text is longer than %zu bytes",
                      max_bytes_);
    }
    if (too_deep_) {
      return SetError(entry_.err, KV8_ETOOBIG, "", "value is nested deeper than %u", max_depth_);
    }
    if (stopped_) {
      return SetError(entry_.err, KV8_EINTERRUPTED, "ERR_SCRIPT_EXECUTION_INTERRUPTED",
                      "Script execution was interrupted");
    }
    if (!complete) return entry_.Fail();
    *ret_json = text_.Take();
    return KV8_OK;
  }

  bool Run() {
    uint32_t steps = 0;
    while (!frames_.empty()) {
      if (++steps % kStepsPerLook == 0 && RunEnding(entry_.owner->innermost) != RunEnd::kNormal) {
        stopped_ = true;
        return false;
      }
      if (text_.TooBig()) return false;
      v8::HandleScope scope(isolate_);
      v8::Local<v8::Value> value;
      v8::Local<v8::Value> key;
      switch (Step(frames_.back(), &value, &key)) {
        case Next::kEnded:
          text_.Add(frames_.back().close);
          frames_.pop_back();
          break;
        case Next::kWritten:
          break;
        case Next::kFailed:
          return false;
        case Next::kValue:
          if (!Write(value, key)) return false;
          break;
      }
    }
    return true;
  }

  Next Step(Frame &frame, v8::Local<v8::Value> *ret_value, v8::Local<v8::Value> *ret_key) {
    if (frame.index == frame.count) {
      if (frame.kind == Frame::kPairs && frame.count > 0) text_.Add("]");
      return Next::kEnded;
    }
    uint32_t index = frame.index++;
    v8::Local<v8::Object> object = frame.object.Get(isolate_);
    switch (frame.kind) {
      case Frame::kArray:
        if (index > 0) text_.Add(",");
        *ret_key = v8::Integer::NewFromUnsigned(isolate_, index);
        return object->Get(context_, index).ToLocal(ret_value) ? Next::kValue : Next::kFailed;
      case Frame::kObject: {
        v8::Local<v8::Value> key;
        if (!frame.items.Get(isolate_)->Get(context_, index).ToLocal(&key)) return Next::kFailed;
        text_.Add(index > 0 ? "," : "");
        text_.AddString(isolate_, key.As<v8::String>());
        text_.Add(":");
        *ret_key = key;
        if (object->IsModuleNamespaceObject()) return NamespaceExport(object, key, ret_value);
        return object->Get(context_, key).ToLocal(ret_value) ? Next::kValue : Next::kFailed;
      }
      case Frame::kPairs:
        text_.Add(index % 2 != 0 ? "," : index > 0 ? "],[" : "[");
        break;
      case Frame::kList:
        if (index > 0) text_.Add(",");
        break;
    }
    return frame.items.Get(isolate_)->Get(context_, index).ToLocal(ret_value) ? Next::kValue
                                                                              : Next::kFailed;
  }

  /* An export whose declaration has not run yet throws when read (MO17). */
  Next NamespaceExport(v8::Local<v8::Object> object, v8::Local<v8::Value> key,
                       v8::Local<v8::Value> *ret_value) {
    v8::TryCatch inner(isolate_);
    /* V8 may answer undefined and throw all the same. */
    bool found = object->Get(context_, key).ToLocal(ret_value);
    if (found && !inner.HasCaught()) return Next::kValue;
    if (!inner.HasCaught() || inner.HasTerminated()) {
      inner.ReThrow();
      return Next::kFailed;
    }
    text_.Add("{\"type\":\"uninitialized\"}");
    return Next::kWritten;
  }

  bool Push(Frame::Kind kind, v8::Local<v8::Object> object, v8::Local<v8::Array> items,
            uint32_t count, const char *close) {
    if (frames_.size() >= max_depth_) {
      too_deep_ = true;
      return false;
    }
    Frame &frame = frames_.emplace_back();
    frame.kind = kind;
    frame.object.Reset(isolate_, object);
    if (!items.IsEmpty()) frame.items.Reset(isolate_, items);
    frame.count = count;
    frame.close = close;
    return true;
  }

  bool PushObject(v8::Local<v8::Object> object, bool shown_only = false) {
    v8::Local<v8::Array> keys;
    /* A namespace's exports are enumerable all, and asking would read them. */
    auto filter = object->IsModuleNamespaceObject()
                      ? v8::PropertyFilter::SKIP_SYMBOLS
                      : static_cast<v8::PropertyFilter>(v8::PropertyFilter::ONLY_ENUMERABLE |
                                                        v8::PropertyFilter::SKIP_SYMBOLS);
    if (!object->GetOwnPropertyNames(context_, filter, v8::KeyConversionMode::kConvertToString)
             .ToLocal(&keys) ||
        (shown_only && !WithoutHidden(context_, keys, &keys))) {
      return false;
    }
    text_.Add("{");
    return Push(Frame::kObject, object, keys, keys->Length(), "}");
  }

  bool Circular(v8::Local<v8::Object> object) const {
    for (const Frame &frame : frames_) {
      if (frame.object == object) return true;
    }
    return false;
  }

  /* One value: a leaf is written, a container is opened. `key` is what toJSON is called with; empty
   * stands for "". False: an exception or a termination is under way. */
  bool Write(v8::Local<v8::Value> value, v8::Local<v8::Value> key) {
    bool invalid_date = false;
    if (value->IsObject() || value->IsBigInt()) {
      if (value->IsProxy()) { /* would run its traps */
        text_.Add("{\"type\":\"proxy\"}");
        return true;
      }
      invalid_date =
          value->IsDate() && value.As<v8::Date>()->ValueOf() != value.As<v8::Date>()->ValueOf();
      if (!CallToJson(&value, key)) return false;
      if (value->IsProxy()) {
        text_.Add("{\"type\":\"proxy\"}");
        return true;
      }
    }
    if (value->IsString()) {
      text_.AddString(isolate_, value.As<v8::String>());
    } else if (value->IsNumber()) {
      return WriteNumber(value);
    } else if (value->IsTrue()) {
      text_.Add("true");
    } else if (value->IsFalse()) {
      text_.Add("false");
    } else if (value->IsNull()) {
      if (invalid_date) {
        WriteDate(std::nan(""));
      } else {
        text_.Add("null");
      }
    } else if (value->IsUndefined()) {
      text_.Add("{\"type\":\"undefined\"}");
    } else if (value->IsBigInt()) {
      return WriteBigInt(value);
    } else if (value->IsSymbol()) {
      WriteSymbol(value.As<v8::Symbol>());
    } else if (value->IsObject()) {
      return WriteObject(value.As<v8::Object>());
    } else {
      text_.Add("{\"type\":\"unknown\"}");
    }
    return true;
  }

  bool CallToJson(v8::Local<v8::Value> *value, v8::Local<v8::Value> key) {
    v8::Local<v8::Object> object;
    if (!(*value)->ToObject(context_).ToLocal(&object)) return false;
    v8::Local<v8::Value> method;
    {
      v8::TryCatch inner(isolate_);
      if (!object->Get(context_, to_json_).ToLocal(&method)) {
        if (!object->IsModuleNamespaceObject() || inner.HasTerminated()) {
          inner.ReThrow();
          return false;
        }
        return true;
      }
    }
    if (!method->IsFunction()) return true;
    v8::Local<v8::String> name = v8::String::Empty(isolate_);
    if (!key.IsEmpty() && !key->ToString(context_).ToLocal(&name)) return false;
    v8::Local<v8::Value> argument = name;
    return method.As<v8::Function>()->Call(context_, *value, 1, &argument).ToLocal(value);
  }

  bool WriteNumber(v8::Local<v8::Value> value) {
    double number = value.As<v8::Number>()->Value();
    if (number != number) {
      text_.Add("{\"type\":\"number\",\"value\":\"NaN\"}");
      return true;
    }
    if (number - number != 0) {
      text_.Add(number > 0 ? "{\"type\":\"number\",\"value\":\"Infinity\"}"
                           : "{\"type\":\"number\",\"value\":\"-Infinity\"}");
      return true;
    }
    if (number == 0 && __builtin_signbit(number)) {
      text_.Add("{\"type\":\"number\",\"value\":\"-0\"}");
      return true;
    }
    if (value->IsInt32()) {
      char digits[16];
      int length = snprintf(digits, sizeof(digits), "%d", value.As<v8::Int32>()->Value());
      text_.Add({digits, static_cast<size_t>(length)});
      return true;
    }
    v8::Local<v8::String> digits;
    if (!value->ToString(context_).ToLocal(&digits)) return false;
    text_.AddRaw(isolate_, digits);
    return true;
  }

  bool WriteBigInt(v8::Local<v8::Value> value) {
    v8::Local<v8::String> digits;
    if (!value->ToString(context_).ToLocal(&digits)) return false;
    text_.Add("{\"type\":\"bigint\",\"value\":\"");
    text_.AddRaw(isolate_, digits);
    text_.Add("\"}");
    return true;
  }

  void WriteSymbol(v8::Local<v8::Symbol> symbol) {
    text_.Add("{\"type\":\"symbol\"");
    v8::Local<v8::Value> description = symbol->Description(isolate_);
    if (description->IsString()) {
      text_.Add(",\"description\":");
      text_.AddString(isolate_, description.As<v8::String>());
    }
    text_.Add("}");
  }

  void WriteFunction(v8::Local<v8::Function> function) {
    text_.Add("{\"type\":\"function\",\"name\":");
    v8::Local<v8::Value> name = function->GetDebugName();
    text_.AddString(isolate_,
                    name->IsString() ? name.As<v8::String>() : v8::String::Empty(isolate_));
    text_.Add("}");
  }

  bool WriteObject(v8::Local<v8::Object> object) {
    if (object->IsFunction()) {
      WriteFunction(object.As<v8::Function>());
      return true;
    }
    if (Circular(object)) {
      text_.Add("{\"type\":\"circular\"}");
      return true;
    }
    if (object->IsArray()) {
      text_.Add("[");
      return Push(Frame::kArray, object, v8::Local<v8::Array>(), object.As<v8::Array>()->Length(),
                  "]");
    }
    bool described = false;
    if (!WriteSpecial(object, &described)) return false;
    return described || PushObject(object);
  }

  /* Objects whose content JSON.stringify would lose. */
  bool WriteSpecial(v8::Local<v8::Object> object, bool *described) {
    *described = true;
    if (object->IsNumberObject()) { /* may call a valueOf */
      v8::Local<v8::Number> number;
      return object->ToNumber(context_).ToLocal(&number) && WriteNumber(number);
    }
    if (object->IsStringObject()) {
      v8::Local<v8::String> string;
      if (!object->ToString(context_).ToLocal(&string)) return false;
      text_.AddString(isolate_, string);
      return true;
    }
    if (object->IsBooleanObject()) {
      text_.Add(object.As<v8::BooleanObject>()->ValueOf() ? "true" : "false");
      return true;
    }
    if (object->IsBigIntObject()) return WriteBigInt(object.As<v8::BigIntObject>()->ValueOf());
    if (object->IsSymbolObject()) {
      WriteSymbol(object.As<v8::SymbolObject>()->ValueOf());
      return true;
    }
    if (object->IsNativeError()) return WriteError(object);
    if (object->IsMap()) {
      v8::Local<v8::Array> items = object.As<v8::Map>()->AsArray();
      text_.Add("{\"type\":\"map\",\"entries\":[");
      return Push(Frame::kPairs, object, items, items->Length(), "]}");
    }
    if (object->IsSet()) {
      v8::Local<v8::Array> items = object.As<v8::Set>()->AsArray();
      text_.Add("{\"type\":\"set\",\"values\":[");
      return Push(Frame::kList, object, items, items->Length(), "]}");
    }
    if (object->IsPromise()) return WritePromise(object.As<v8::Promise>());
    if (object->IsRegExp()) {
      WriteRegExp(object.As<v8::RegExp>());
      return true;
    }
    if (object->IsArrayBufferView()) {
      WriteView(object.As<v8::ArrayBufferView>());
      return true;
    }
    if (object->IsArrayBuffer()) {
      auto store = object.As<v8::ArrayBuffer>()->GetBackingStore();
      WriteBuffer("ArrayBuffer", store->ByteLength(), store->ByteLength() <= kBase64MaxBytes,
                  store->Data());
      return true;
    }
    if (object->IsSharedArrayBuffer()) {
      /* Other threads may be writing to it: length only. */
      WriteBuffer("SharedArrayBuffer", object.As<v8::SharedArrayBuffer>()->ByteLength(), false,
                  nullptr);
      return true;
    }
    if (object->IsDate()) { /* that has lost its toJSON, or was returned by one */
      WriteDate(object.As<v8::Date>()->ValueOf());
      return true;
    }
    const char *name = object->IsWeakMap()            ? "weakmap"
                       : object->IsWeakSet()          ? "weakset"
                       : object->IsMapIterator()      ? "map iterator"
                       : object->IsSetIterator()      ? "set iterator"
                       : object->IsGeneratorObject()  ? "generator"
                       : object->IsExternal()         ? "external"
                       : object->IsWasmModuleObject() ? "WebAssembly.Module"
                       : object->IsWasmMemoryObject() ? "WebAssembly.Memory"
                                                      : nullptr;
    if (name == nullptr) {
      *described = false;
      return true;
    }
    text_.Add("{\"type\":\"");
    text_.Add(name);
    text_.Add("\"}");
    return true;
  }

  void WriteDate(double ms_since_epoch) {
    text_.Add("{\"type\":\"date\",\"value\":\"");
    text_.Add(IsoDate(ms_since_epoch));
    text_.Add("\"}");
  }

  bool WriteError(v8::Local<v8::Object> error) {
    text_.Add("{\"type\":\"error\"");
    for (const char *field : {"name", "message", "stack"}) {
      v8::Local<v8::Value> value;
      if (!error->Get(context_, Literal(isolate_, field)).ToLocal(&value)) return false;
      if (!value->IsString()) continue;
      text_.Add(",\"");
      text_.Add(field);
      text_.Add("\":");
      text_.AddString(isolate_, value.As<v8::String>());
    }
    v8::Local<v8::Array> extra;
    if (!ErrorExtras(error).ToLocal(&extra)) return false;
    if (extra->Length() == 0) {
      text_.Add("}");
      return true;
    }
    text_.Add(",\"properties\":{");
    return Push(Frame::kObject, error, extra, extra->Length(), "}}");
  }

  /* The names of what an error carries beside name, message and stack: its cause, the errors of an
   * AggregateError, and what a script has set on it. */
  v8::MaybeLocal<v8::Array> ErrorExtras(v8::Local<v8::Object> error) {
    v8::Local<v8::Array> keys;
    if (!error
             ->GetOwnPropertyNames(context_, v8::PropertyFilter::SKIP_SYMBOLS,
                                   v8::KeyConversionMode::kConvertToString)
             .ToLocal(&keys)) {
      return {};
    }
    std::vector<v8::Local<v8::Value>> kept;
    for (uint32_t i = 0; i < keys->Length(); i++) {
      v8::Local<v8::Value> key;
      if (!keys->Get(context_, i).ToLocal(&key)) return {};
      v8::PropertyAttribute attributes = v8::None;
      if (!error->GetPropertyAttributes(context_, key).To(&attributes)) return {};
      bool hidden = (attributes & v8::DontEnum) != 0;
      if (key->StrictEquals(Literal(isolate_, "cause")) ||
          key->StrictEquals(Literal(isolate_, "errors"))) {
        kept.push_back(key);
      } else if (!hidden && !key->StrictEquals(Literal(isolate_, "name")) &&
                 !key->StrictEquals(Literal(isolate_, "message")) &&
                 !key->StrictEquals(Literal(isolate_, "stack"))) {
        kept.push_back(key);
      }
    }
    return v8::Array::New(isolate_, kept.data(), kept.size());
  }

  bool WritePromise(v8::Local<v8::Promise> promise) {
    if (promise->State() == v8::Promise::kPending) {
      text_.Add("{\"type\":\"promise\",\"state\":\"pending\"}");
      return true;
    }
    text_.Add(promise->State() == v8::Promise::kFulfilled
                  ? "{\"type\":\"promise\",\"state\":\"fulfilled\",\"value\":"
                  : "{\"type\":\"promise\",\"state\":\"rejected\",\"reason\":");
    v8::Local<v8::Value> result = promise->Result();
    return Push(Frame::kList, promise, v8::Array::New(isolate_, &result, 1), 1, "}");
  }

  void WriteRegExp(v8::Local<v8::RegExp> regexp) {
    text_.Add("{\"type\":\"regexp\",\"source\":");
    text_.AddString(isolate_, regexp->GetSource());
    text_.Add(",\"flags\":\"");
    text_.Add(RegExpFlags(regexp));
    text_.Add("\"}");
  }

  void WriteView(v8::Local<v8::ArrayBufferView> view) {
    size_t length = view->ByteLength();
    bool with_content = length <= kBase64MaxBytes && !view->IsDataView();
    std::vector<uint8_t> bytes(with_content ? length : 0);
    if (with_content) view->CopyContents(bytes.data(), length);
    WriteBuffer(ViewName(view), length, with_content, bytes.data());
  }

  void WriteBuffer(const char *name, size_t length, bool with_content, const void *data) {
    char head[96];
    int size = snprintf(head, sizeof(head), "{\"type\":\"%s\",\"byteLength\":%zu", name, length);
    text_.Add({head, static_cast<size_t>(size)});
    if (with_content) {
      text_.Add(",\"base64\":\"");
      text_.AddBase64(static_cast<const uint8_t *>(data), length);
      text_.Add("\"");
    }
    text_.Add("}");
  }

  Entry &entry_;
  v8::Isolate *const isolate_;
  const v8::Local<v8::Context> context_;
  JsonText text_;
  const size_t max_bytes_;
  const unsigned max_depth_;
  const v8::Local<v8::String> to_json_;
  std::vector<Frame> frames_;
  bool too_deep_ = false;
  bool stopped_ = false;
};

}  // namespace

kv8_status WalkJson(Entry &entry, v8::Local<v8::Value> value, size_t max_bytes, unsigned max_depth,
                    kv8_blob *ret_json) {
  return JsonWalk(entry, max_bytes, max_depth).Value(value, ret_json);
}

kv8_status WalkJsonProperties(Entry &entry, v8::Local<v8::Object> object, size_t max_bytes,
                              unsigned max_depth, kv8_blob *ret_json) {
  return JsonWalk(entry, max_bytes, max_depth).Properties(object, ret_json);
}

}  // namespace kv8
