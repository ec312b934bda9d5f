/* SPDX-License-Identifier: MIT
 *
 * contextify.cc: a global object whose properties are another object's (CX01, G03, G04): V8's
 * interceptors pass every access to a global on to that object. The semantics are those of Node's
 * newest vm, as far as this V8 allows; tests/shim/contextify_table.js compares them.
 *
 * Like Node, a plain store is done twice: on the object, and by V8 on the real global, which keeps
 * what the object refuses (D18). What is read comes from the object first.
 *
 * Any operation on the object may run code and throw (Proxies, accessors): it is done under a
 * TryCatch, and what it threw is thrown on (P23). The interceptors find their context through the
 * global they are called on, never through a pointer of their own (P26).
 */
#include "shim/internal.hh"

namespace kv8 {

namespace {

/* Where an interceptor is called. */
struct Site {
  v8::Isolate *isolate = nullptr;
  v8::Local<v8::Context> context;
  v8::Local<v8::Object> object; /* the contextified one */
  v8::Local<v8::Object> global() const {
    return context->Global();
  }

  template <class T>
  static std::optional<Site> Of(const v8::PropertyCallbackInfo<T> &info) {
    Site site;
    site.isolate = info.GetIsolate();
    if (!compat::CreationContext(site.isolate, compat::InterceptedObject(info))
             .ToLocal(&site.context)) {
      return std::nullopt;
    }
    v8::Local<v8::Value> object = site.context->GetEmbedderData(compat::kContextifiedSlot);
    if (object->IsUndefined()) { /* the context is still being made */
      return std::nullopt;
    }
    site.object = object.As<v8::Object>();
    return site;
  }
};

/* Throws on what the operations within its life threw; a termination goes its own way. */
class Passing {
 public:
  explicit Passing(const Site &site) : catch_(site.isolate) {}

  /* To be asked before the end of the interceptor; true: it is over, and passes. */
  bool Threw() {
    if (!catch_.HasCaught()) {
      return false;
    }
    if (!catch_.HasTerminated()) {
      catch_.ReThrow();
    }
    return true;
  }

 private:
  v8::TryCatch catch_;
};

bool IsReadOnly(v8::PropertyAttribute attributes) {
  return (static_cast<unsigned>(attributes) & v8::ReadOnly) != 0;
}

/* ---- reading -------------------------------------------------------------------------------- */

compat::Intercepted Get(v8::Local<v8::Name> name, const v8::PropertyCallbackInfo<v8::Value> &info) {
  std::optional<Site> site = Site::Of(info);
  if (!site) {
    return compat::Pass();
  }
  v8::Local<v8::Value> value;
  /* Also from the object's prototypes, although `in` does not see these (D17). */
  if (site->object->GetRealNamedProperty(site->context, name).ToLocal(&value)) {
    if (value == site->object) {
      value = site->global();
    }
    info.GetReturnValue().Set(value);
    return compat::Took();
  }
  /* V8 looks on the real global next, or throws on what was thrown, which it asks for after each
   * interceptor. A TryCatch would be a fifth of the cost of reading a global. */
  return compat::Pass();
}

/* Own properties only: of the object, else of the real global. */
compat::Intercepted Query(v8::Local<v8::Name> name,
                          const v8::PropertyCallbackInfo<v8::Integer> &info) {
  std::optional<Site> site = Site::Of(info);
  if (!site) {
    return compat::Pass();
  }
  Passing passing(*site);
  for (v8::Local<v8::Object> object : {site->object, site->global()}) {
    v8::PropertyAttribute attributes = v8::None;
    /* A Proxy has no "real" properties; its traps are asked. */
    bool found =
        object->IsProxy()
            ? object->HasOwnProperty(site->context, name).FromMaybe(false) &&
                  object->GetPropertyAttributes(site->context, name).To(&attributes)
            : object->HasRealNamedProperty(site->context, name).FromMaybe(false) &&
                  object->GetRealNamedPropertyAttributes(site->context, name).To(&attributes);
    if (found) {
      info.GetReturnValue().Set(static_cast<int32_t>(attributes));
      return compat::Took();
    }
    if (passing.Threw()) {
      return compat::Pass();
    }
  }
  return compat::Pass();
}

compat::Intercepted Describe(v8::Local<v8::Name> name,
                             const v8::PropertyCallbackInfo<v8::Value> &info) {
  std::optional<Site> site = Site::Of(info);
  if (!site) {
    return compat::Pass();
  }
  Passing passing(*site);
  v8::Local<v8::Value> descriptor;
  if (site->object->GetOwnPropertyDescriptor(site->context, name).ToLocal(&descriptor) &&
      descriptor->IsObject()) {
    /* V8 reads it as a script would and ends the process if it finds it malformed, which a `get` on
     * Object.prototype is enough for. */
    if (compat::SetPrototype(site->context, descriptor.As<v8::Object>(), v8::Null(site->isolate))) {
      info.GetReturnValue().Set(descriptor);
      return compat::Took();
    }
  }
  passing.Threw();
  return compat::Pass();
}

/* ---- writing -------------------------------------------------------------------------------- */

/* Attributes along the prototype chain; false: no such property. */
bool Declared(const Site &site, v8::Local<v8::Object> object, v8::Local<v8::Name> name,
              v8::PropertyAttribute *ret_attributes) {
  return object->GetRealNamedPropertyAttributes(site.context, name).To(ret_attributes);
}

/* Whether the object's own property is an accessor. V8 tells at once of most that are none; what it
 * takes for one may be an array's length. */
bool IsAccessor(const Site &site, v8::Local<v8::Name> name) {
  if (!site.object->IsProxy() &&
      !site.object->HasRealNamedCallbackProperty(site.context, name).FromMaybe(true)) {
    return false;
  }
  v8::Local<v8::Value> descriptor;
  auto *isolate = static_cast<kv8_isolate *>(site.isolate->GetData(compat::kIsolateSlot));
  return site.object->GetOwnPropertyDescriptor(site.context, name).ToLocal(&descriptor) &&
         descriptor->IsObject() &&
         !descriptor.As<v8::Object>()
              ->HasOwnProperty(site.context, isolate->value_key.Get(site.isolate))
              .FromMaybe(false);
}

compat::Intercepted Set(v8::Local<v8::Name> name, v8::Local<v8::Value> value,
                        const compat::StoreInfo &info) {
  std::optional<Site> site = Site::Of(info);
  if (!site) {
    return compat::Pass();
  }
  Passing passing(*site);
  v8::PropertyAttribute on_global = v8::None;
  v8::PropertyAttribute on_object = v8::None;
  bool declared_global = Declared(*site, site->global(), name, &on_global);
  bool declared_object = Declared(*site, site->object, name, &on_object);
  if (passing.Threw()) {
    return compat::TookStore(info);
  }
  if ((declared_global && IsReadOnly(on_global)) || (declared_object && IsReadOnly(on_object))) {
    return compat::Pass();
  }
  bool declared = declared_global || declared_object;
  /* `x = 1` in strict code, of an x that is nowhere, is V8's to refuse; function declarations come
   * this way, too. */
  if (!declared && info.ShouldThrowOnError() && compat::IsContextualStore(info, site->global()) &&
      !value->IsFunction()) {
    return compat::Pass();
  }
  if (!declared && name->IsSymbol()) {
    return compat::Pass();
  }
  site->object->Set(site->context, name, value).FromMaybe(false);
  if (passing.Threw()) {
    return compat::TookStore(info);
  }
  if (!declared_object) {
    return compat::Pass();
  }
  /* An accessor has done the store; a second one, on the real global, would be wrong. */
  bool is_accessor = IsAccessor(*site, name);
  return passing.Threw() || is_accessor ? compat::TookStore(info) : compat::Pass();
}

/* Defines on the object what `source` says; V8's descriptor cannot be copied. */
void DefineOn(const Site &site, v8::Local<v8::Name> name, const v8::PropertyDescriptor &source,
              v8::PropertyDescriptor *copy) {
  if (source.has_enumerable()) {
    copy->set_enumerable(source.enumerable());
  }
  if (source.has_configurable()) {
    copy->set_configurable(source.configurable());
  }
  site.object->DefineProperty(site.context, name, *copy).FromMaybe(false);
}

compat::Intercepted Define(v8::Local<v8::Name> name, const v8::PropertyDescriptor &descriptor,
                           const compat::StoreInfo &info) {
  std::optional<Site> site = Site::Of(info);
  if (!site) {
    return compat::Pass();
  }
  Passing passing(*site);
  v8::PropertyAttribute attributes = v8::None;
  bool declared = Declared(*site, site->global(), name, &attributes);
  if (passing.Threw()) {
    return compat::TookStore(info);
  }
  if (declared && IsReadOnly(attributes) &&
      (static_cast<unsigned>(attributes) & v8::DontDelete) != 0) {
    return compat::Pass(); /* V8's to refuse */
  }
  v8::Local<v8::Value> undefined = v8::Undefined(site->isolate);
  if (descriptor.has_get() || descriptor.has_set()) {
    v8::PropertyDescriptor copy(descriptor.has_get() ? descriptor.get() : undefined,
                                descriptor.has_set() ? descriptor.set() : undefined);
    DefineOn(*site, name, descriptor, &copy);
  } else {
    v8::Local<v8::Value> value = descriptor.has_value() ? descriptor.value() : undefined;
    if (descriptor.has_writable()) {
      v8::PropertyDescriptor copy(value, descriptor.writable());
      DefineOn(*site, name, descriptor, &copy);
    } else {
      v8::PropertyDescriptor copy(value);
      DefineOn(*site, name, descriptor, &copy);
    }
  }
  return passing.Threw() ? compat::TookStore(info) : compat::Pass();
}

compat::Intercepted Delete(v8::Local<v8::Name> name,
                           const v8::PropertyCallbackInfo<v8::Boolean> &info) {
  std::optional<Site> site = Site::Of(info);
  if (!site) {
    return compat::Pass();
  }
  Passing passing(*site);
  bool deleted = site->object->Delete(site->context, name).FromMaybe(false);
  if (passing.Threw() || deleted) {
    return compat::Pass(); /* on to the real global's, if it did not throw */
  }
  info.GetReturnValue().Set(false);
  return compat::Took();
}

/* ---- listing -------------------------------------------------------------------------------- */

/* All own keys of the object, of one kind; V8 asks Query() which are enumerable. It ends the
 * process if it finds a name among the indices (P22), and a Proxy gives its indices as strings. */
void List(const v8::PropertyCallbackInfo<v8::Array> &info, bool indices) {
  std::optional<Site> site = Site::Of(info);
  if (!site) {
    return;
  }
  Passing passing(*site);
  v8::Local<v8::Array> keys;
  if (site->object
          ->GetPropertyNames(site->context, v8::KeyCollectionMode::kOwnOnly, v8::ALL_PROPERTIES,
                             v8::IndexFilter::kIncludeIndices)
          .ToLocal(&keys)) {
    v8::Local<v8::Array> wanted = v8::Array::New(site->isolate);
    uint32_t length = 0;
    for (uint32_t i = 0; i < keys->Length(); ++i) {
      v8::Local<v8::Value> key;
      v8::Local<v8::Uint32> index;
      if (!keys->Get(site->context, i).ToLocal(&key)) {
        break;
      }
      bool is_index =
          key->IsUint32() || (key->IsString() && key->ToArrayIndex(site->context).ToLocal(&index));
      if (is_index == indices && (is_index || key->IsName())) {
        v8::Local<v8::Value> item = index.IsEmpty() ? key : index.As<v8::Value>();
        if (!wanted->CreateDataProperty(site->context, length++, item).FromMaybe(false)) {
          break;
        }
      }
    }
    if (!passing.Threw()) {
      info.GetReturnValue().Set(wanted);
    }
    return;
  }
  passing.Threw();
}

void ListNames(const v8::PropertyCallbackInfo<v8::Array> &info) {
  List(info, false);
}

void ListIndices(const v8::PropertyCallbackInfo<v8::Array> &info) {
  List(info, true);
}

/* ---- indices -------------------------------------------------------------------------------- */

template <class T>
bool NameOf(uint32_t index, const v8::PropertyCallbackInfo<T> &info, v8::Local<v8::Name> *ret) {
  v8::Isolate *isolate = info.GetIsolate();
  v8::Local<v8::String> name;
  v8::Local<v8::Context> context;
  if (!compat::CreationContext(isolate, compat::InterceptedObject(info)).ToLocal(&context) ||
      !v8::Integer::NewFromUnsigned(isolate, index)->ToString(context).ToLocal(&name)) {
    return false;
  }
  *ret = name;
  return true;
}

compat::Intercepted GetAt(uint32_t index, const v8::PropertyCallbackInfo<v8::Value> &info) {
  v8::Local<v8::Name> name;
  return NameOf(index, info, &name) ? Get(name, info) : compat::Pass();
}
compat::Intercepted QueryAt(uint32_t index, const v8::PropertyCallbackInfo<v8::Integer> &info) {
  v8::Local<v8::Name> name;
  return NameOf(index, info, &name) ? Query(name, info) : compat::Pass();
}
compat::Intercepted DescribeAt(uint32_t index, const v8::PropertyCallbackInfo<v8::Value> &info) {
  v8::Local<v8::Name> name;
  return NameOf(index, info, &name) ? Describe(name, info) : compat::Pass();
}
compat::Intercepted SetAt(uint32_t index, v8::Local<v8::Value> value,
                          const compat::StoreInfo &info) {
  v8::Local<v8::Name> name;
  return NameOf(index, info, &name) ? Set(name, value, info) : compat::Pass();
}
compat::Intercepted DefineAt(uint32_t index, const v8::PropertyDescriptor &descriptor,
                             const compat::StoreInfo &info) {
  v8::Local<v8::Name> name;
  return NameOf(index, info, &name) ? Define(name, descriptor, info) : compat::Pass();
}
compat::Intercepted DeleteAt(uint32_t index, const v8::PropertyCallbackInfo<v8::Boolean> &info) {
  v8::Local<v8::Name> name;
  return NameOf(index, info, &name) ? Delete(name, info) : compat::Pass();
}

}  // namespace

v8::Local<v8::ObjectTemplate> ContextifiedGlobal(kv8_isolate *isolate) {
  if (isolate->contextified_global.IsEmpty()) {
    v8::Local<v8::ObjectTemplate> made = v8::ObjectTemplate::New(isolate->v8);
    made->SetHandler(v8::NamedPropertyHandlerConfiguration(
        Get, Set, Query, Delete, ListNames, Define, Describe, v8::Local<v8::Value>(),
        v8::PropertyHandlerFlags::kHasNoSideEffect));
    made->SetHandler(v8::IndexedPropertyHandlerConfiguration(
        GetAt, SetAt, QueryAt, DeleteAt, ListIndices, DefineAt, DescribeAt, v8::Local<v8::Value>(),
        v8::PropertyHandlerFlags::kHasNoSideEffect));
    isolate->contextified_global.Reset(isolate->v8, made);
    isolate->value_key.Reset(isolate->v8, Literal(isolate->v8, "value"));
  }
  return isolate->contextified_global.Get(isolate->v8);
}

v8::MaybeLocal<v8::Object> ContextifiedObject(v8::Local<v8::Context> context) {
  if (context->GetNumberOfEmbedderDataFields() <=
      static_cast<uint32_t>(compat::kContextifiedSlot)) {
    return {};
  }
  v8::Local<v8::Value> object = context->GetEmbedderData(compat::kContextifiedSlot);
  return object->IsObject() ? object.As<v8::Object>() : v8::MaybeLocal<v8::Object>();
}

v8::Local<v8::Object> GlobalsOf(v8::Local<v8::Context> context) {
  v8::Local<v8::Object> object;
  return ContextifiedObject(context).ToLocal(&object) ? object : context->Global();
}

void PrepareContextified(v8::Local<v8::Context> context) {
  context->SetEmbedderData(compat::kContextifiedSlot, v8::Undefined(v8::Isolate::GetCurrent()));
}

bool Contextify(v8::Local<v8::Context> context, v8::Local<v8::Object> object) {
  v8::Isolate *isolate = v8::Isolate::GetCurrent();
  v8::Context::Scope scope(context);
  v8::Local<v8::String> name = object->GetConstructorName();
  /* As Node: globalThis looks like what it stands for. The interceptors are not at work yet. */
  if (!name->StringEquals(Literal(isolate, "Object")) &&
      !context->Global()
           ->DefineOwnProperty(context, v8::Symbol::GetToStringTag(isolate), name, v8::DontEnum)
           .FromMaybe(false)) {
    return false;
  }
  context->SetEmbedderData(compat::kContextifiedSlot, object);
  return true;
}

}  // namespace kv8
