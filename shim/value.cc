/* SPDX-License-Identifier: MIT
 *
 * value.cc: values in and out: handles, primitives, what a value is, reading and comparing, from
 * JSON and to text, and a context's global properties. It does not write JSON: json.cc does.
 */
#include "shim/value.hh"

#include "shim/inspect.hh"

namespace kv8 {

bool FitAll(const kv8_context *context, const kv8_value *const *values, size_t count) noexcept {
  if (count != 0 && values == nullptr) return false;
  for (size_t i = 0; i < count; i++) {
    if (!FitsOrNull(context, values[i])) return false;
  }
  return true;
}

kv8_status WrongType(kv8_error *err, const char *what, const char *problem) noexcept {
  return SetError(err, KV8_EINVAL, "ERR_INVALID_ARG_TYPE", "%s: %s", what, problem);
}

kv8_status TooLong(kv8_error *err) noexcept {
  return SetError(err, KV8_ETOOBIG, "", "text is longer than V8's longest string");
}

namespace {

/* JSON.parse(text): KV8_EJSON with V8's message where it is none. */
kv8_status ParseJson(Entry &entry, kv8_span text, v8::Local<v8::Value> *ret_value) {
  v8::Local<v8::String> source;
  if (!NewString(entry.isolate, View(text)).ToLocal(&source)) return TooLong(entry.err);
  if (!v8::JSON::Parse(entry.context, source).ToLocal(ret_value)) return entry.Fail(KV8_EJSON);
  return KV8_OK;
}

/* A primitive needs no context. */
template <class Make>
kv8_status Primitive(kv8_isolate *isolate, kv8_value **ret_value, kv8_error *err, Make &&make) {
  if (isolate == nullptr || ret_value == nullptr) {
    return Invalid(err, "isolate and ret_value are needed");
  }
  return Give(isolate, {}, ret_value, err, [&](Entry &entry, v8::Local<v8::Value> *value) {
    *value = make(entry.isolate);
    return KV8_OK;
  });
}

bool IsOf(v8::Local<v8::Value> value, int class_) {
  switch (class_) {
    case KV8_CLASS_ARRAY:
      return value->IsArray();
    case KV8_CLASS_ARRAY_BUFFER:
      return value->IsArrayBuffer();
    case KV8_CLASS_SHARED_ARRAY_BUFFER:
      return value->IsSharedArrayBuffer();
    case KV8_CLASS_ARRAY_BUFFER_VIEW:
      return value->IsArrayBufferView();
    case KV8_CLASS_TYPED_ARRAY:
      return value->IsTypedArray();
    case KV8_CLASS_UINT8_ARRAY:
      return value->IsUint8Array();
    case KV8_CLASS_DATA_VIEW:
      return value->IsDataView();
    case KV8_CLASS_DATE:
      return value->IsDate();
    case KV8_CLASS_REGEXP:
      return value->IsRegExp();
    case KV8_CLASS_MAP:
      return value->IsMap();
    case KV8_CLASS_SET:
      return value->IsSet();
    case KV8_CLASS_WEAK_MAP:
      return value->IsWeakMap();
    case KV8_CLASS_WEAK_SET:
      return value->IsWeakSet();
    case KV8_CLASS_MAP_ITERATOR:
      return value->IsMapIterator();
    case KV8_CLASS_SET_ITERATOR:
      return value->IsSetIterator();
    case KV8_CLASS_PROMISE:
      return value->IsPromise();
    case KV8_CLASS_PROXY:
      return value->IsProxy();
    case KV8_CLASS_ERROR:
      return value->IsNativeError();
    case KV8_CLASS_ARGUMENTS:
      return value->IsArgumentsObject();
    case KV8_CLASS_ASYNC_FUNCTION:
      return value->IsAsyncFunction();
    case KV8_CLASS_GENERATOR_FUNCTION:
      return value->IsGeneratorFunction();
    case KV8_CLASS_GENERATOR:
      return value->IsGeneratorObject();
    case KV8_CLASS_MODULE_NAMESPACE:
      return value->IsModuleNamespaceObject();
    case KV8_CLASS_BOOLEAN_OBJECT:
      return value->IsBooleanObject();
    case KV8_CLASS_NUMBER_OBJECT:
      return value->IsNumberObject();
    case KV8_CLASS_STRING_OBJECT:
      return value->IsStringObject();
    case KV8_CLASS_SYMBOL_OBJECT:
      return value->IsSymbolObject();
    case KV8_CLASS_BIGINT_OBJECT:
      return value->IsBigIntObject();
    case KV8_CLASS_EXTERNAL:
      return value->IsExternal();
    default:
      return false;
  }
}

kv8_status TextOf(Entry &entry, v8::Local<v8::String> string, kv8_blob *ret_text) {
  std::string utf8 = ToUtf8(entry.isolate, string);
  *ret_text = NewBlob(utf8.data(), utf8.size());
  return KV8_OK;
}

/* Enter() for a body that gives a blob. */
template <class Body>
kv8_status GiveBlob(kv8_isolate *isolate, const EnterOptions &options, kv8_blob *ret_blob,
                    kv8_error *err, Body &&body) {
  kv8_blob blob = {nullptr, 0};
  kv8_status status =
      Enter(isolate, options, err, [&](Entry &entry) -> kv8_status { return body(entry, &blob); });
  if (status != KV8_OK) {
    kv8_blob_free(&blob);
    return status;
  }
  *ret_blob = blob;
  return KV8_OK;
}

}  // namespace
}  // namespace kv8

using kv8::Alive;
using kv8::Enter;
using kv8::Entry;
using kv8::Fits;
using kv8::Give;
using kv8::In;
using kv8::Invalid;
using kv8::Peek;
using kv8::Primitive;
using kv8::SetError;
using kv8::Touching;
using kv8::WrongType;

/* ---- handles -------------------------------------------------------------------------------- */

void kv8_value_free(kv8_value *value) {
  if (value != nullptr && value->is_listed) delete value; /* lent ones are not the caller's */
}

kv8_status kv8_value_copy(const kv8_value *value, kv8_value **ret_value, kv8_error *err) {
  if (!Alive(value) || ret_value == nullptr) return Invalid(err, "value and ret_value are needed");
  return Give(value->isolate, {}, ret_value, err, [&](Entry &entry, v8::Local<v8::Value> *copy) {
    *copy = value->value.Get(entry.isolate);
    return KV8_OK;
  });
}

/* ---- what a value is ------------------------------------------------------------------------ */

kv8_type kv8_value_get_type(const kv8_value *handle) {
  if (!Alive(handle)) return KV8_TYPE_UNDEFINED;
  Peek peek(handle);
  v8::Local<v8::Value> value = handle->value.Get(peek.isolate);
  if (value->IsString()) return KV8_TYPE_STRING;
  if (value->IsNumber()) return KV8_TYPE_NUMBER;
  if (value->IsFunction()) return KV8_TYPE_FUNCTION;
  if (value->IsObject()) return KV8_TYPE_OBJECT;
  if (value->IsUndefined()) return KV8_TYPE_UNDEFINED;
  if (value->IsNull()) return KV8_TYPE_NULL;
  if (value->IsBoolean()) return KV8_TYPE_BOOLEAN;
  if (value->IsBigInt()) return KV8_TYPE_BIGINT;
  return KV8_TYPE_SYMBOL;
}

bool kv8_value_is(const kv8_value *value, kv8_class class_) {
  if (!Alive(value)) return false;
  Peek peek(value);
  return kv8::IsOf(value->value.Get(peek.isolate), kv8::RawEnum(class_));
}

kv8_status kv8_value_equals(kv8_context *context, const kv8_value *a, const kv8_value *b,
                            kv8_equality equality, bool *ret_equal, kv8_error *err) {
  if (!Alive(context) || !Fits(context, a) || !Fits(context, b) || ret_equal == nullptr) {
    return Invalid(err, "context, two values of its isolate and ret_equal are needed");
  }
  int how = kv8::RawEnum(equality);
  if (how != KV8_EQUAL_STRICT && how != KV8_EQUAL_SAME && how != KV8_EQUAL_LOOSE) {
    return Invalid(err, "equality: unknown value");
  }
  bool equal = false;
  kv8_status status = Enter(context->isolate, Touching(context), err, [&](Entry &entry) {
    v8::Local<v8::Value> left = a->value.Get(entry.isolate);
    v8::Local<v8::Value> right = b->value.Get(entry.isolate);
    if (how == KV8_EQUAL_STRICT) {
      equal = left->StrictEquals(right);
    } else if (how == KV8_EQUAL_SAME) {
      equal = left->SameValue(right);
    } else if (!left->Equals(entry.context, right).To(&equal)) {
      return entry.Fail();
    }
    return KV8_OK;
  });
  if (status == KV8_OK) *ret_equal = equal;
  return status;
}

kv8_status kv8_value_instance_of(kv8_context *context, const kv8_value *value,
                                 const kv8_value *constructor, bool *ret_is, kv8_error *err) {
  if (!Alive(context) || !Fits(context, value) || !Fits(context, constructor) ||
      ret_is == nullptr) {
    return Invalid(err, "context, two values of its isolate and ret_is are needed");
  }
  bool is = false;
  kv8_status status =
      Enter(context->isolate, Touching(context), err, [&](Entry &entry) -> kv8_status {
        v8::Local<v8::Object> object;
        kv8_status found = kv8::ToObject(entry, constructor, "constructor", &object);
        if (found != KV8_OK) return found;
        if (!value->value.Get(entry.isolate)->InstanceOf(entry.context, object).To(&is)) {
          return entry.Fail();
        }
        return KV8_OK;
      });
  if (status == KV8_OK) *ret_is = is;
  return status;
}

/* ---- making primitives ---------------------------------------------------------------------- */

kv8_status kv8_undefined(kv8_isolate *isolate, kv8_value **ret_value, kv8_error *err) {
  return kv8::Primitive(isolate, ret_value, err,
                        [](v8::Isolate *v8_isolate) { return v8::Undefined(v8_isolate); });
}

kv8_status kv8_null(kv8_isolate *isolate, kv8_value **ret_value, kv8_error *err) {
  return kv8::Primitive(isolate, ret_value, err,
                        [](v8::Isolate *v8_isolate) { return v8::Null(v8_isolate); });
}

kv8_status kv8_boolean(kv8_isolate *isolate, bool value, kv8_value **ret_value, kv8_error *err) {
  return kv8::Primitive(isolate, ret_value, err, [=](v8::Isolate *v8_isolate) {
    return v8::Boolean::New(v8_isolate, value);
  });
}

kv8_status kv8_number(kv8_isolate *isolate, double value, kv8_value **ret_value, kv8_error *err) {
  return kv8::Primitive(isolate, ret_value, err, [=](v8::Isolate *v8_isolate) {
    return v8::Number::New(v8_isolate, value);
  });
}

kv8_status kv8_bigint(kv8_isolate *isolate, int64_t value, kv8_value **ret_value, kv8_error *err) {
  return kv8::Primitive(isolate, ret_value, err, [=](v8::Isolate *v8_isolate) {
    return v8::BigInt::New(v8_isolate, value);
  });
}

kv8_status kv8_bigint_unsigned(kv8_isolate *isolate, uint64_t value, kv8_value **ret_value,
                               kv8_error *err) {
  return kv8::Primitive(isolate, ret_value, err, [=](v8::Isolate *v8_isolate) {
    return v8::BigInt::NewFromUnsigned(v8_isolate, value);
  });
}

kv8_status kv8_string(kv8_isolate *isolate, kv8_span text, kv8_value **ret_value, kv8_error *err) {
  if (isolate == nullptr || !kv8::ValidSpan(text) || ret_value == nullptr) {
    return Invalid(err, "isolate, text and ret_value are needed");
  }
  return Give(isolate, {}, ret_value, err, [&](Entry &entry, v8::Local<v8::Value> *value) {
    v8::Local<v8::String> string;
    if (!kv8::NewString(entry.isolate, kv8::View(text)).ToLocal(&string)) {
      return kv8::TooLong(entry.err);
    }
    *value = string;
    return KV8_OK;
  });
}

kv8_status kv8_symbol(kv8_isolate *isolate, kv8_span description, bool shared,
                      kv8_value **ret_value, kv8_error *err) {
  if (isolate == nullptr || !kv8::ValidSpan(description) || ret_value == nullptr) {
    return Invalid(err, "isolate, description and ret_value are needed");
  }
  return Give(isolate, {}, ret_value, err, [&](Entry &entry, v8::Local<v8::Value> *value) {
    v8::Local<v8::String> text;
    if (description.data == nullptr && !shared) {
      *value = v8::Symbol::New(entry.isolate);
      return KV8_OK;
    }
    if (!kv8::NewString(entry.isolate, kv8::View(description)).ToLocal(&text)) {
      return kv8::TooLong(entry.err);
    }
    *value = shared ? v8::Symbol::For(entry.isolate, text) : v8::Symbol::New(entry.isolate, text);
    return KV8_OK;
  });
}

kv8_status kv8_symbol_well_known(kv8_isolate *isolate, kv8_well_known which, kv8_value **ret_value,
                                 kv8_error *err) {
  using Getter = v8::Local<v8::Symbol> (*)(v8::Isolate *);
  static constexpr Getter kGetters[] = {v8::Symbol::GetIterator, v8::Symbol::GetAsyncIterator,
                                        v8::Symbol::GetHasInstance, v8::Symbol::GetToPrimitive,
                                        v8::Symbol::GetToStringTag};
  auto index = static_cast<unsigned>(kv8::RawEnum(which));
  if (index >= std::size(kGetters)) return Invalid(err, "which: unknown symbol");
  return kv8::Primitive(isolate, ret_value, err, kGetters[index]);
}

/* ---- reading -------------------------------------------------------------------------------- */

bool kv8_value_is_true(const kv8_value *value) {
  if (!Alive(value)) return false;
  Peek peek(value);
  return value->value.Get(peek.isolate)->BooleanValue(peek.isolate);
}

kv8_status kv8_value_to_number(kv8_context *context, const kv8_value *value, double *ret_number,
                               kv8_error *err) {
  if (!Alive(context) || !Fits(context, value) || ret_number == nullptr) {
    return Invalid(err, "context, a value of its isolate and ret_number are needed");
  }
  double number = 0;
  kv8_status status = Enter(context->isolate, Touching(context), err, [&](Entry &entry) {
    return value->value.Get(entry.isolate)->NumberValue(entry.context).To(&number) ? KV8_OK
                                                                                   : entry.Fail();
  });
  if (status == KV8_OK) *ret_number = number;
  return status;
}

kv8_status kv8_value_get_number(const kv8_value *handle, double *ret_number, kv8_error *err) {
  if (!Alive(handle) || ret_number == nullptr) {
    return Invalid(err, "value and ret_number are needed");
  }
  Peek peek(handle);
  v8::Local<v8::Value> value = handle->value.Get(peek.isolate);
  if (!value->IsNumber()) return WrongType(err, "value", "not a number");
  *ret_number = value.As<v8::Number>()->Value();
  return KV8_OK;
}

kv8_status kv8_value_get_bigint(const kv8_value *handle, int64_t *ret_number, bool *ret_exact,
                                kv8_error *err) {
  if (!Alive(handle) || ret_number == nullptr) {
    return Invalid(err, "value and ret_number are needed");
  }
  Peek peek(handle);
  v8::Local<v8::Value> value = handle->value.Get(peek.isolate);
  if (!value->IsBigInt()) return WrongType(err, "value", "not a BigInt");
  bool exact = false;
  *ret_number = value.As<v8::BigInt>()->Int64Value(&exact);
  if (ret_exact != nullptr) *ret_exact = exact;
  return KV8_OK;
}

kv8_status kv8_value_get_bigint_unsigned(const kv8_value *handle, uint64_t *ret_number,
                                         bool *ret_exact, kv8_error *err) {
  if (!Alive(handle) || ret_number == nullptr) {
    return Invalid(err, "value and ret_number are needed");
  }
  Peek peek(handle);
  v8::Local<v8::Value> value = handle->value.Get(peek.isolate);
  if (!value->IsBigInt()) return WrongType(err, "value", "not a BigInt");
  bool exact = false;
  *ret_number = value.As<v8::BigInt>()->Uint64Value(&exact);
  if (ret_exact != nullptr) *ret_exact = exact;
  return KV8_OK;
}

kv8_status kv8_value_copy_text(const kv8_value *value, kv8_blob *ret_text, kv8_error *err) {
  if (!Alive(value) || ret_text == nullptr) return Invalid(err, "value and ret_text are needed");
  return kv8::GiveBlob(value->isolate, {}, ret_text, err, [&](Entry &entry, kv8_blob *text) {
    v8::Local<v8::Value> string = value->value.Get(entry.isolate);
    if (!string->IsString()) return WrongType(entry.err, "value", "not a string");
    return kv8::TextOf(entry, string.As<v8::String>(), text);
  });
}

kv8_status kv8_value_to_string(kv8_context *context, const kv8_value *value, kv8_blob *ret_text,
                               kv8_error *err) {
  if (!Alive(context) || !Fits(context, value) || ret_text == nullptr) {
    return Invalid(err, "context, a value of its isolate and ret_text are needed");
  }
  return kv8::GiveBlob(
      context->isolate, Touching(context), ret_text, err, [&](Entry &entry, kv8_blob *text) {
        v8::Local<v8::String> string;
        if (!value->value.Get(entry.isolate)->ToString(entry.context).ToLocal(&string)) {
          return entry.Fail();
        }
        return kv8::TextOf(entry, string, text);
      });
}

kv8_status kv8_value_inspect(kv8_context *context, const kv8_value *const *values,
                             size_t values_count, kv8_blob *ret_text, kv8_error *err) {
  if (!Alive(context) || !kv8::FitAll(context, values, values_count) || ret_text == nullptr) {
    return Invalid(err, "context, values of its isolate and ret_text are needed");
  }
  return kv8::GiveBlob(context->isolate, Touching(context), ret_text, err,
                       [&](Entry &entry, kv8_blob *text) {
                         std::vector<v8::Local<v8::Value>> locals(values_count);
                         for (size_t i = 0; i < values_count; i++) {
                           locals[i] = kv8::ValueOrUndefined(entry.isolate, values[i]);
                         }
                         std::u16string line;
                         if (!kv8::FormatArguments(entry.isolate, entry.context, locals, &line)) {
                           return entry.Fail();
                         }
                         std::string utf8 = kv8::ToLine(line, kv8::kLineMaxBytes);
                         *text = kv8::NewBlob(utf8.data(), utf8.size());
                         return KV8_OK;
                       });
}

/* ---- JSON ----------------------------------------------------------------------------------- */

kv8_status kv8_value_from_json(kv8_context *context, kv8_span json, kv8_value **ret_value,
                               kv8_error *err) {
  if (!Alive(context) || !kv8::ValidSpan(json) || ret_value == nullptr) {
    return Invalid(err, "context, json and ret_value are needed");
  }
  return Give(context->isolate, In(context), ret_value, err,
              [&](Entry &entry, v8::Local<v8::Value> *value) {
                return kv8::ParseJson(entry, json, value);
              });
}

/* ---- a context's globals -------------------------------------------------------------------- */

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
    v8::Local<v8::Object> global = kv8::GlobalsOf(entry.context);
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
      return kv8::TooLong(entry.err);
    }
    bool defined = false;
    if (!kv8::GlobalsOf(entry.context)
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
  return Give(context->isolate, Touching(context), ret_value, err,
              [&](Entry &entry, v8::Local<v8::Value> *value) {
                v8::Local<v8::String> key;
                if (!kv8::NewString(entry.isolate, kv8::View(name)).ToLocal(&key)) {
                  return kv8::TooLong(entry.err);
                }
                return entry.context->Global()->Get(entry.context, key).ToLocal(value)
                           ? KV8_OK
                           : entry.Fail();
              });
}
