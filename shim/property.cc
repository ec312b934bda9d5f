/* SPDX-License-Identifier: MIT
 *
 * property.cc: property descriptors and an object's own keys.
 */
#include "shim/value.hh"

namespace kv8 {

namespace {

/* Reads one field of the object that GetOwnPropertyDescriptor() has made. Object.prototype may have
 * been given fields of these names. */
bool ReadField(Entry &entry, v8::Local<v8::Object> descriptor, const char *name,
               v8::Local<v8::Value> *ret_value) {
  v8::Local<v8::String> key = Literal(entry.isolate, name);
  return descriptor->HasOwnProperty(entry.context, key).FromMaybe(false) &&
         descriptor->Get(entry.context, key).ToLocal(ret_value);
}

kv8_tri ReadFlag(Entry &entry, v8::Local<v8::Object> descriptor, const char *name) {
  v8::Local<v8::Value> value;
  if (!ReadField(entry, descriptor, name, &value)) return KV8_ABSENT;
  return value->IsTrue() ? KV8_TRUE : KV8_FALSE;
}

bool ValidTri(const kv8_tri &tri) noexcept {
  int raw = RawEnum(tri);
  return raw == KV8_ABSENT || raw == KV8_FALSE || raw == KV8_TRUE;
}

kv8_status CheckProperty(const kv8_context *context, const kv8_property *property,
                         kv8_error *err) noexcept {
  if (property == nullptr || property->struct_size < sizeof(size_t) || !KnownSize(property)) {
    return Invalid(err, "kv8_property: NULL or unknown struct_size");
  }
  kv8_property copy = Normalised(property);
  if (!ValidTri(copy.writable) || !ValidTri(copy.enumerable) || !ValidTri(copy.configurable)) {
    return Invalid(err, "writable, enumerable or configurable: unknown value");
  }
  if (!FitsOrNull(context, copy.value) || !FitsOrNull(context, copy.get) ||
      !FitsOrNull(context, copy.set)) {
    return Invalid(err, "value, get or set: of another isolate");
  }
  if ((copy.get != nullptr || copy.set != nullptr) &&
      (copy.value != nullptr || copy.writable != KV8_ABSENT)) {
    return Invalid(err, "get and set exclude value and writable");
  }
  return KV8_OK;
}

/* get and set: functions or undefined. */
kv8_status ToAccessor(Entry &entry, const kv8_value *handle, const char *what,
                      v8::Local<v8::Value> *ret_value) {
  *ret_value = ValueOrUndefined(entry.isolate, handle);
  if (!(*ret_value)->IsUndefined() && !(*ret_value)->IsFunction()) {
    return WrongType(entry.err, what, "neither a function nor undefined");
  }
  return KV8_OK;
}

void SetFlags(const kv8_property &property, v8::PropertyDescriptor *descriptor) {
  if (property.enumerable != KV8_ABSENT) {
    descriptor->set_enumerable(property.enumerable == KV8_TRUE);
  }
  if (property.configurable != KV8_ABSENT) {
    descriptor->set_configurable(property.configurable == KV8_TRUE);
  }
}

v8::Maybe<bool> Define(Entry &entry, v8::Local<v8::Object> object, v8::Local<v8::Name> key,
                       v8::PropertyDescriptor *descriptor, const kv8_property &property) {
  SetFlags(property, descriptor);
  return object->DefineProperty(entry.context, key, *descriptor);
}

/* The descriptor's class has a constructor for each shape. */
kv8_status DefineShaped(Entry &entry, v8::Local<v8::Object> object, v8::Local<v8::Name> key,
                        const kv8_property &property, v8::Maybe<bool> *ret_defined) {
  if (property.get != nullptr || property.set != nullptr) {
    v8::Local<v8::Value> get;
    v8::Local<v8::Value> set;
    kv8_status status = ToAccessor(entry, property.get, "get", &get);
    if (status == KV8_OK) status = ToAccessor(entry, property.set, "set", &set);
    if (status != KV8_OK) return status;
    /* An empty handle is an absent field. */
    v8::PropertyDescriptor descriptor(property.get != nullptr ? get : v8::Local<v8::Value>(),
                                      property.set != nullptr ? set : v8::Local<v8::Value>());
    *ret_defined = Define(entry, object, key, &descriptor, property);
    return KV8_OK;
  }
  v8::Local<v8::Value> value;
  if (property.value != nullptr) value = property.value->value.Get(entry.isolate);
  if (property.writable != KV8_ABSENT) {
    v8::PropertyDescriptor descriptor(value, property.writable == KV8_TRUE);
    *ret_defined = Define(entry, object, key, &descriptor, property);
  } else if (!value.IsEmpty()) {
    v8::PropertyDescriptor descriptor(value);
    *ret_defined = Define(entry, object, key, &descriptor, property);
  } else {
    v8::PropertyDescriptor descriptor;
    *ret_defined = Define(entry, object, key, &descriptor, property);
  }
  return KV8_OK;
}

kv8_status ThrowRefusal(Entry &entry, v8::Local<v8::Name> key) {
  v8::Local<v8::Value> name =
      key->IsSymbol() ? key.As<v8::Symbol>()->Description(entry.isolate) : key.As<v8::Value>();
  std::string text = "Cannot define property ";
  if (name->IsString()) text += ToUtf8(entry.isolate, name.As<v8::String>());
  v8::Local<v8::Value> error = MakeError(entry.isolate, entry.context, KV8_TYPE_ERROR, "", text);
  return entry.FailWith(error);
}

}  // namespace
}  // namespace kv8

using namespace kv8;

kv8_status kv8_object_define(kv8_context *context, const kv8_value *object, const kv8_value *key,
                             const kv8_property *property, bool *ret_defined, kv8_error *err) {
  if (!Alive(context) || !Fits(context, key)) {
    return Invalid(err, "context and a key of its isolate are needed");
  }
  kv8_status status = CheckProperty(context, property, err);
  if (status != KV8_OK) return status;
  kv8_property copy = Normalised(property);
  bool defined = false;
  status = OnObject(context, object, err, [&](Entry &entry, v8::Local<v8::Object> target) {
    v8::Local<v8::Name> name;
    kv8_status found = ToKey(entry, key, &name);
    v8::Maybe<bool> answer = v8::Nothing<bool>();
    if (found == KV8_OK) found = DefineShaped(entry, target, name, copy, &answer);
    if (found != KV8_OK) return found;
    if (!answer.To(&defined)) return entry.Fail();
    return defined || ret_defined != nullptr ? KV8_OK : ThrowRefusal(entry, name);
  });
  if (status == KV8_OK && ret_defined != nullptr) *ret_defined = defined;
  return status;
}

kv8_status kv8_object_get_property(kv8_context *context, const kv8_value *object,
                                   const kv8_value *key, kv8_property *ret_property,
                                   bool *ret_found, kv8_error *err) {
  if (!Alive(context) || !Fits(context, key) || ret_property == nullptr || ret_found == nullptr) {
    return Invalid(err, "context, a key of its isolate, ret_property and ret_found are needed");
  }
  if (ret_property->struct_size != sizeof(kv8_property)) {
    return Invalid(err, "kv8_property: unknown struct_size");
  }
  std::unique_ptr<kv8_value> value;
  std::unique_ptr<kv8_value> get;
  std::unique_ptr<kv8_value> set;
  kv8_property filled = KV8_PROPERTY_INIT;
  bool found = false;
  kv8_status status =
      OnObject(context, object, err, [&](Entry &entry, v8::Local<v8::Object> target) {
        v8::Local<v8::Name> name;
        kv8_status key_status = ToKey(entry, key, &name);
        if (key_status != KV8_OK) return key_status;
        v8::Local<v8::Value> answer;
        if (!target->GetOwnPropertyDescriptor(entry.context, name).ToLocal(&answer)) {
          return entry.Fail();
        }
        if (!answer->IsObject()) return KV8_OK;
        found = true;
        v8::Local<v8::Object> descriptor = answer.As<v8::Object>();
        filled.writable = ReadFlag(entry, descriptor, "writable");
        filled.enumerable = ReadFlag(entry, descriptor, "enumerable");
        filled.configurable = ReadFlag(entry, descriptor, "configurable");
        v8::Local<v8::Value> field;
        if (ReadField(entry, descriptor, "value", &field)) value = NewValue(entry.owner, field);
        if (ReadField(entry, descriptor, "get", &field)) get = NewValue(entry.owner, field);
        if (ReadField(entry, descriptor, "set", &field)) set = NewValue(entry.owner, field);
        return KV8_OK;
      });
  if (status != KV8_OK) return status;
  *ret_found = found;
  if (found) {
    filled.value = value.release();
    filled.get = get.release();
    filled.set = set.release();
    *ret_property = filled;
  }
  return KV8_OK;
}

void kv8_property_release(kv8_property *property) {
  if (property == nullptr) return;
  kv8_value_free(property->value);
  kv8_value_free(property->get);
  kv8_value_free(property->set);
  property->value = property->get = property->set = nullptr;
}

kv8_status kv8_object_get_own_keys(kv8_context *context, const kv8_value *object, kv8_keys which,
                                   kv8_value **ret_keys, kv8_error *err) {
  int filter = v8::ALL_PROPERTIES;
  switch (RawEnum(which)) {
    case KV8_KEYS_ENUMERABLE:
      filter = v8::ONLY_ENUMERABLE | v8::SKIP_SYMBOLS;
      break;
    case KV8_KEYS_STRINGS:
      filter = v8::SKIP_SYMBOLS;
      break;
    case KV8_KEYS_SYMBOLS:
      filter = v8::SKIP_STRINGS;
      break;
    case KV8_KEYS_ALL:
      break;
    default:
      return Invalid(err, "which: unknown value");
  }
  return GiveOfObject(context, object, ret_keys, err,
                      [&](Entry &entry, v8::Local<v8::Object> target, v8::Local<v8::Value> *value) {
                        v8::Local<v8::Array> keys;
                        if (!target
                                 ->GetPropertyNames(entry.context, v8::KeyCollectionMode::kOwnOnly,
                                                    static_cast<v8::PropertyFilter>(filter),
                                                    v8::IndexFilter::kIncludeIndices,
                                                    v8::KeyConversionMode::kConvertToString)
                                 .ToLocal(&keys)) {
                          return entry.Fail();
                        }
                        *value = keys;
                        return KV8_OK;
                      });
}
