/* SPDX-License-Identifier: MIT
 *
 * object.cc: objects, their properties, prototypes and keys; arrays; proxies. V8's own functions
 * for setting a property and for prototypes swallow refusals and exceptions, so those go through
 * the language: a strict function, and the built-ins as they were when the context was made.
 */
#include "shim/value.hh"

namespace kv8 {

namespace {

/* More elements than V8's longest FixedArray would end the process. */
constexpr size_t kElementsMax = size_t{1} << 24;

}  // namespace

kv8_status ToObject(Entry &entry, const kv8_value *handle, const char *what,
                    v8::Local<v8::Object> *ret_object) {
  v8::Local<v8::Value> value = handle->value.Get(entry.isolate);
  if (!value->IsObject()) return WrongType(entry.err, what, "not an object");
  *ret_object = value.As<v8::Object>();
  return KV8_OK;
}

kv8_status ToFunction(Entry &entry, const kv8_value *handle, const char *what,
                      v8::Local<v8::Function> *ret_function) {
  v8::Local<v8::Value> value = handle->value.Get(entry.isolate);
  if (!value->IsFunction()) return WrongType(entry.err, what, "not a function");
  *ret_function = value.As<v8::Function>();
  return KV8_OK;
}

kv8_status ToKey(Entry &entry, const kv8_value *handle, v8::Local<v8::Name> *ret_key) {
  v8::Local<v8::Value> value = handle->value.Get(entry.isolate);
  if (!value->IsName()) return WrongType(entry.err, "key", "neither a string nor a symbol");
  *ret_key = value.As<v8::Name>();
  return KV8_OK;
}

kv8_status ToKey(Entry &entry, kv8_span text, v8::Local<v8::Name> *ret_key) {
  v8::Local<v8::String> key;
  if (!NewString(entry.isolate, View(text)).ToLocal(&key)) return TooLong(entry.err);
  *ret_key = key;
  return KV8_OK;
}

kv8_status KeepIntrinsics(Entry &entry, v8::Local<v8::Context> context) {
  v8::Local<v8::Value> constructor;
  v8::Local<v8::Value> getter;
  v8::Local<v8::Value> setter;
  v8::Context::Scope scope(context);
  v8::Local<v8::Object> plain = v8::Object::New(entry.isolate);
  if (!plain->Get(context, Literal(entry.isolate, "constructor")).ToLocal(&constructor) ||
      !constructor->IsObject() ||
      !constructor.As<v8::Object>()
           ->Get(context, Literal(entry.isolate, "getPrototypeOf"))
           .ToLocal(&getter) ||
      !constructor.As<v8::Object>()
           ->Get(context, Literal(entry.isolate, "setPrototypeOf"))
           .ToLocal(&setter)) {
    return entry.Fail(KV8_EENGINE);
  }
  context->SetEmbedderData(compat::kGetPrototypeSlot, getter);
  context->SetEmbedderData(compat::kSetPrototypeSlot, setter);
  return KV8_OK;
}

namespace {

/* Calls a built-in that KeepIntrinsics() has kept. */
v8::MaybeLocal<v8::Value> CallIntrinsic(Entry &entry, int slot, v8::Local<v8::Value> *args,
                                        int args_count) {
  v8::Local<v8::Value> function = entry.context->GetEmbedderData(slot);
  if (!function->IsFunction()) return {};
  return function.As<v8::Function>()->Call(entry.context, v8::Undefined(entry.isolate), args_count,
                                           args);
}

constexpr const char kSetterName[] = "kiln:set";

/* object[key] = value in strict code. The function is made when the context first needs it. */
kv8_status StrictSet(Entry &entry, v8::Local<v8::Object> object, v8::Local<v8::Value> key,
                     v8::Local<v8::Value> value) {
  v8::Local<v8::Value> setter =
      entry.context->GetNumberOfEmbedderDataFields() > static_cast<uint32_t>(compat::kStrictSetSlot)
          ? entry.context->GetEmbedderData(compat::kStrictSetSlot)
          : v8::Undefined(entry.isolate).As<v8::Value>();
  if (!setter->IsFunction()) {
    v8::Local<v8::String> params[] = {Literal(entry.isolate, "o"), Literal(entry.isolate, "k"),
                                      Literal(entry.isolate, "v")};
    v8::ScriptCompiler::Source source(
        Literal(entry.isolate, "'use strict'; o[k] = v;"),
        compat::MakeOrigin(entry.isolate, Literal(entry.isolate, kSetterName), 0, 0, false));
    v8::Local<v8::Function> made;
    if (!v8::ScriptCompiler::CompileFunction(entry.context, &source, std::size(params), params)
             .ToLocal(&made)) {
      return entry.Fail();
    }
    entry.context->SetEmbedderData(compat::kStrictSetSlot, made);
    setter = made;
  }
  v8::Local<v8::Value> args[] = {object, key, value};
  if (!setter.As<v8::Function>()
           ->Call(entry.context, v8::Undefined(entry.isolate), std::size(args), args)
           .IsEmpty()) {
    return KV8_OK;
  }
  kv8_status status = entry.Fail();
  if (entry.err != nullptr && std::string_view(entry.err->resource) == kSetterName) {
    /* Our function is no place in the caller's code. */
    entry.err->line = entry.err->column = entry.err->end_column = 0;
    entry.err->resource[0] = entry.err->source_line[0] = '\0';
  }
  return status;
}

kv8_status SetIntegrity(kv8_context *context, const kv8_value *object, v8::IntegrityLevel level,
                        kv8_error *err) {
  return OnObject(context, object, err, [&](Entry &entry, v8::Local<v8::Object> target) {
    return target->SetIntegrityLevel(entry.context, level).FromMaybe(false) ? KV8_OK : entry.Fail();
  });
}

}  // namespace
}  // namespace kv8

using namespace kv8;

/* ---- objects -------------------------------------------------------------------------------- */

kv8_status kv8_object(kv8_context *context, const kv8_value *prototype, kv8_value **ret_object,
                      kv8_error *err) {
  if (!Alive(context) || !FitsOrNull(context, prototype) || ret_object == nullptr) {
    return Invalid(err, "context, a prototype of its isolate and ret_object are needed");
  }
  return Give(context->isolate, In(context), ret_object, err,
              [&](Entry &entry, v8::Local<v8::Value> *object) -> kv8_status {
                if (prototype == nullptr) {
                  *object = v8::Object::New(entry.isolate);
                  return KV8_OK;
                }
                v8::Local<v8::Value> parent = prototype->value.Get(entry.isolate);
                if (!parent->IsObject() && !parent->IsNull()) {
                  return WrongType(entry.err, "prototype", "neither an object nor null");
                }
                *object = v8::Object::New(entry.isolate, parent, nullptr, nullptr, 0);
                return KV8_OK;
              });
}

kv8_status kv8_object_get(kv8_context *context, const kv8_value *object, const kv8_value *key,
                          kv8_value **ret_value, kv8_error *err) {
  if (!Alive(context) || !Fits(context, key)) {
    return Invalid(err, "context and a key of its isolate are needed");
  }
  return GiveOfObject(context, object, ret_value, err,
                      [&](Entry &entry, v8::Local<v8::Object> target, v8::Local<v8::Value> *value) {
                        v8::Local<v8::Name> name;
                        kv8_status status = ToKey(entry, key, &name);
                        if (status != KV8_OK) return status;
                        return target->Get(entry.context, name).ToLocal(value) ? KV8_OK
                                                                               : entry.Fail();
                      });
}

kv8_status kv8_object_get_named(kv8_context *context, const kv8_value *object, kv8_span name,
                                kv8_value **ret_value, kv8_error *err) {
  if (!ValidSpan(name)) return Invalid(err, "name: a length without data");
  return GiveOfObject(context, object, ret_value, err,
                      [&](Entry &entry, v8::Local<v8::Object> target, v8::Local<v8::Value> *value) {
                        v8::Local<v8::Name> key;
                        kv8_status status = ToKey(entry, name, &key);
                        if (status != KV8_OK) return status;
                        return target->Get(entry.context, key).ToLocal(value) ? KV8_OK
                                                                              : entry.Fail();
                      });
}

kv8_status kv8_object_get_index(kv8_context *context, const kv8_value *object, uint32_t index,
                                kv8_value **ret_value, kv8_error *err) {
  return GiveOfObject(context, object, ret_value, err,
                      [&](Entry &entry, v8::Local<v8::Object> target, v8::Local<v8::Value> *value) {
                        return target->Get(entry.context, index).ToLocal(value) ? KV8_OK
                                                                                : entry.Fail();
                      });
}

kv8_status kv8_object_set(kv8_context *context, const kv8_value *object, const kv8_value *key,
                          const kv8_value *value, kv8_error *err) {
  if (!Alive(context) || !Fits(context, key) || !Fits(context, value)) {
    return Invalid(err, "context, a key and a value of its isolate are needed");
  }
  return OnObject(context, object, err, [&](Entry &entry, v8::Local<v8::Object> target) {
    v8::Local<v8::Name> name;
    kv8_status status = ToKey(entry, key, &name);
    return status == KV8_OK ? StrictSet(entry, target, name, value->value.Get(entry.isolate))
                            : status;
  });
}

kv8_status kv8_object_set_named(kv8_context *context, const kv8_value *object, kv8_span name,
                                const kv8_value *value, kv8_error *err) {
  if (!Alive(context) || !ValidSpan(name) || !Fits(context, value)) {
    return Invalid(err, "context, name and a value of its isolate are needed");
  }
  return OnObject(context, object, err, [&](Entry &entry, v8::Local<v8::Object> target) {
    v8::Local<v8::Name> key;
    kv8_status status = ToKey(entry, name, &key);
    return status == KV8_OK ? StrictSet(entry, target, key, value->value.Get(entry.isolate))
                            : status;
  });
}

kv8_status kv8_object_set_index(kv8_context *context, const kv8_value *object, uint32_t index,
                                const kv8_value *value, kv8_error *err) {
  if (!Alive(context) || !Fits(context, value)) {
    return Invalid(err, "context and a value of its isolate are needed");
  }
  return OnObject(context, object, err, [&](Entry &entry, v8::Local<v8::Object> target) {
    return StrictSet(entry, target, v8::Integer::NewFromUnsigned(entry.isolate, index),
                     value->value.Get(entry.isolate));
  });
}

kv8_status kv8_object_has(kv8_context *context, const kv8_value *object, const kv8_value *key,
                          bool *ret_has, kv8_error *err) {
  return AskOfKey(context, object, key, ret_has, err,
                  [](Entry &entry, v8::Local<v8::Object> target, v8::Local<v8::Name> name) {
                    return target->Has(entry.context, name);
                  });
}

kv8_status kv8_object_has_own(kv8_context *context, const kv8_value *object, const kv8_value *key,
                              bool *ret_has, kv8_error *err) {
  return AskOfKey(context, object, key, ret_has, err,
                  [](Entry &entry, v8::Local<v8::Object> target, v8::Local<v8::Name> name) {
                    return target->HasOwnProperty(entry.context, name);
                  });
}

kv8_status kv8_object_delete(kv8_context *context, const kv8_value *object, const kv8_value *key,
                             bool *ret_deleted, kv8_error *err) {
  return AskOfKey(context, object, key, ret_deleted, err,
                  [](Entry &entry, v8::Local<v8::Object> target, v8::Local<v8::Name> name) {
                    return target->Delete(entry.context, name);
                  });
}

kv8_status kv8_object_get_prototype(kv8_context *context, const kv8_value *object,
                                    kv8_value **ret_prototype, kv8_error *err) {
  return GiveOfObject(
      context, object, ret_prototype, err,
      [&](Entry &entry, v8::Local<v8::Object> target, v8::Local<v8::Value> *value) {
        v8::Local<v8::Value> argument = target;
        return CallIntrinsic(entry, compat::kGetPrototypeSlot, &argument, 1).ToLocal(value)
                   ? KV8_OK
                   : entry.Fail();
      });
}

kv8_status kv8_object_set_prototype(kv8_context *context, const kv8_value *object,
                                    const kv8_value *prototype, kv8_error *err) {
  if (!Alive(context) || !Fits(context, prototype)) {
    return Invalid(err, "context and a prototype of its isolate are needed");
  }
  return OnObject(context, object, err, [&](Entry &entry, v8::Local<v8::Object> target) {
    v8::Local<v8::Value> args[] = {target, prototype->value.Get(entry.isolate)};
    if (!args[1]->IsObject() && !args[1]->IsNull()) {
      return WrongType(entry.err, "prototype", "neither an object nor null");
    }
    return CallIntrinsic(entry, compat::kSetPrototypeSlot, args, 2).IsEmpty() ? entry.Fail()
                                                                              : KV8_OK;
  });
}

kv8_status kv8_object_freeze(kv8_context *context, const kv8_value *object, kv8_error *err) {
  return SetIntegrity(context, object, v8::IntegrityLevel::kFrozen, err);
}

kv8_status kv8_object_seal(kv8_context *context, const kv8_value *object, kv8_error *err) {
  return SetIntegrity(context, object, v8::IntegrityLevel::kSealed, err);
}

kv8_status kv8_object_copy_constructor_name(const kv8_value *object, kv8_blob *ret_name,
                                            kv8_error *err) {
  if (!Alive(object) || ret_name == nullptr) return Invalid(err, "object and ret_name are needed");
  kv8_blob name = {nullptr, 0};
  kv8_status status = Enter(object->isolate, {}, err, [&](Entry &entry) -> kv8_status {
    v8::Local<v8::Object> target;
    kv8_status found = ToObject(entry, object, "object", &target);
    if (found != KV8_OK) return found;
    std::string text = ToUtf8(entry.isolate, target->GetConstructorName());
    name = NewBlob(text.data(), text.size());
    return KV8_OK;
  });
  if (status == KV8_OK) {
    *ret_name = name;
  } else {
    kv8_blob_free(&name);
  }
  return status;
}

kv8_status kv8_proxy_get(const kv8_value *proxy, kv8_value **ret_target, kv8_value **ret_handler,
                         kv8_error *err) {
  if (!Alive(proxy) || ret_target == nullptr || ret_handler == nullptr) {
    return Invalid(err, "proxy, ret_target and ret_handler are needed");
  }
  std::unique_ptr<kv8_value> target;
  std::unique_ptr<kv8_value> handler;
  kv8_status status = Enter(proxy->isolate, {}, err, [&](Entry &entry) -> kv8_status {
    v8::Local<v8::Value> value = proxy->value.Get(entry.isolate);
    if (!value->IsProxy()) return WrongType(entry.err, "proxy", "not a Proxy");
    target = NewValue(entry.owner, value.As<v8::Proxy>()->GetTarget());
    handler = NewValue(entry.owner, value.As<v8::Proxy>()->GetHandler());
    return KV8_OK;
  });
  if (status == KV8_OK) {
    *ret_target = target.release();
    *ret_handler = handler.release();
  }
  return status;
}

kv8_status kv8_object_preview_entries(kv8_context *context, const kv8_value *object,
                                      kv8_value **ret_array, bool *ret_pairs, kv8_error *err) {
  bool pairs = false;
  kv8_status status = GiveOfObject(
      context, object, ret_array, err,
      [&](Entry &entry, v8::Local<v8::Object> target, v8::Local<v8::Value> *value) {
        if (!target->IsMap() && !target->IsSet() && !target->IsMapIterator() &&
            !target->IsSetIterator() && !target->IsWeakMap() && !target->IsWeakSet()) {
          return WrongType(entry.err, "object", "neither a Map, nor a Set, nor an iterator of one");
        }
        v8::Local<v8::Array> entries;
        if (!target->PreviewEntries(&pairs).ToLocal(&entries)) return entry.Fail();
        *value = entries;
        return KV8_OK;
      });
  if (status == KV8_OK && ret_pairs != nullptr) *ret_pairs = pairs;
  return status;
}

/* ---- arrays --------------------------------------------------------------------------------- */

kv8_status kv8_array(kv8_context *context, const kv8_value *const *elements, size_t elements_count,
                     kv8_value **ret_array, kv8_error *err) {
  if (!Alive(context) || ret_array == nullptr) {
    return Invalid(err, "context and ret_array are needed");
  }
  if (elements_count > kElementsMax) {
    return SetError(err, KV8_ETOOBIG, "", "elements: %zu, limit %zu", elements_count, kElementsMax);
  }
  if (!FitAll(context, elements, elements_count)) {
    return Invalid(err, "elements: NULL, or one of another isolate");
  }
  return Give(context->isolate, In(context), ret_array, err,
              [&](Entry &entry, v8::Local<v8::Value> *array) {
                std::vector<v8::Local<v8::Value>> values(elements_count);
                for (size_t i = 0; i < elements_count; i++) {
                  values[i] = ValueOrUndefined(entry.isolate, elements[i]);
                }
                *array = v8::Array::New(entry.isolate, values.data(), values.size());
                return KV8_OK;
              });
}

kv8_status kv8_array_get_length(const kv8_value *array, uint32_t *ret_length, kv8_error *err) {
  if (!Alive(array) || ret_length == nullptr) {
    return Invalid(err, "array and ret_length are needed");
  }
  Peek peek(array);
  v8::Local<v8::Value> value = array->value.Get(peek.isolate);
  if (!value->IsArray()) return WrongType(err, "array", "not an Array");
  *ret_length = value.As<v8::Array>()->Length();
  return KV8_OK;
}
