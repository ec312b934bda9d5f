/* SPDX-License-Identifier: MIT
 *
 * inspect_object.cc: what each kind of object looks like in console output: its prefix (class,
 * size, tag), its braces, and which keys it shows. It formats no members: inspect.cc does.
 */
#include <algorithm>

#include "shim/inspector.hh"

namespace kv8 {
namespace {

constexpr size_t kChainMax = 1000; /* prototypes looked at: a chain may be made very long */
constexpr size_t kNameMax = 1000;  /* units of a name shown */

}  // namespace

Inspector::Text Inspector::OwnName(v8::Local<v8::Object> object) {
  Property name = ReadProperty(isolate_, context_, object, Key("name"));
  if (name.kind != Property::kData || !name.value->IsString()) return Text();
  return ToUtf16(isolate_, name.value.As<v8::String>(), kNameMax);
}

bool Inspector::HasPrototype(v8::Local<v8::Object> object, v8::Local<v8::Value> prototype) {
  v8::Local<v8::Value> at = compat::Prototype(object);
  for (size_t i = 0; i < kChainMax && at->IsObject(); i++) {
    if (at->StrictEquals(prototype)) return true;
    if (at->IsProxy()) return false;
    at = compat::Prototype(at.As<v8::Object>());
  }
  return false;
}

/* What instanceof says, but for Symbol.hasInstance, which could be anything. */
bool Inspector::InstanceOf(v8::Local<v8::Object> object, v8::Local<v8::Function> function) {
  Property prototype = ReadProperty(isolate_, context_, function, Key("prototype"));
  return prototype.kind == Property::kData && HasPrototype(object, prototype.value);
}

Inspector::Constructor Inspector::ConstructorOf(v8::Local<v8::Object> object, int level) {
  v8::Local<v8::Value> at = object;
  v8::Local<v8::Value> first;
  for (size_t i = 0; i < kChainMax && at->IsObject() && !at->IsProxy(); i++) {
    Property property = ReadProperty(isolate_, context_, at.As<v8::Object>(), Key("constructor"));
    if (property.kind == Property::kData && property.value->IsFunction()) {
      v8::Local<v8::Function> function = property.value.As<v8::Function>();
      Text name = OwnName(function);
      if (!name.empty() && InstanceOf(object, function)) return name;
    }
    at = compat::Prototype(at.As<v8::Object>());
    if (first.IsEmpty()) first = at;
  }
  if (first.IsEmpty() || first->IsNull()) return std::nullopt;
  Text own = ToUtf16(isolate_, object->GetConstructorName(), kNameMax);
  if (level > options_.depth || !first->IsObject() || first->IsProxy()) {
    return own + u" <Complex prototype>";
  }
  Constructor of_prototype = ConstructorOf(first.As<v8::Object>(), level + 1);
  if (of_prototype) return own + u" <" + *of_prototype + u">";
  InspectOptions shallow = options_;
  shallow.depth = -1;
  return own + u" <" + Inspect(isolate_, context_, first, shallow) + u">";
}

/* Symbol.toStringTag, unless it is shown among the members anyway. */
Inspector::Text Inspector::TagOf(v8::Local<v8::Object> object) {
  v8::Local<v8::Symbol> symbol = v8::Symbol::GetToStringTag(isolate_);
  Property own = ReadProperty(isolate_, context_, object, symbol);
  bool shown = own.kind != Property::kNone && (own.enumerable || options_.show_hidden);
  Property found =
      own.kind != Property::kNone ? own : FindProperty(isolate_, context_, object, symbol);
  if (found.kind == Property::kData && found.value->IsString()) {
    return shown ? Text() : ToUtf16(isolate_, found.value.As<v8::String>(), kNameMax);
  }
  if (found.kind == Property::kGetter && object->IsTypedArray()) {
    return FromAscii(ViewName(object.As<v8::ArrayBufferView>()));
  }
  return Text();
}

Inspector::Keys Inspector::KeysOf(v8::Local<v8::Object> object, bool skip_indices) {
  Keys keys;
  v8::Local<v8::Array> found;
  /* Asking a namespace which of its exports are enumerable would read them. */
  v8::PropertyFilter filter = options_.show_hidden || object->IsModuleNamespaceObject()
                                  ? v8::PropertyFilter::ALL_PROPERTIES
                                  : v8::PropertyFilter::ONLY_ENUMERABLE;
  v8::TryCatch quiet(isolate_);
  if (!object
           ->GetPropertyNames(
               context_, v8::KeyCollectionMode::kOwnOnly, filter,
               skip_indices ? v8::IndexFilter::kSkipIndices : v8::IndexFilter::kIncludeIndices,
               v8::KeyConversionMode::kConvertToString)
           .ToLocal(&found)) {
    return keys;
  }
  /* More could not be shown. */
  uint32_t count = std::min<uint32_t>(found->Length(), kLineMaxBytes);
  for (uint32_t i = 0; i < count; i++) {
    v8::Local<v8::Value> key;
    if (!found->Get(context_, i).ToLocal(&key) || !key->IsName()) break;
    if (object->IsModuleNamespaceObject() && key->IsSymbol() && !options_.show_hidden) continue;
    keys.push_back(key.As<v8::Name>());
  }
  return keys;
}

Inspector::Text Inspector::Prefix(const Constructor &constructor, const Text &tag,
                                  const Text &fallback, const Text &size) const {
  Text text = constructor ? *constructor + size : u"[" + fallback + size + u": null prototype]";
  if (!tag.empty() && (constructor ? *constructor : fallback) != tag) {
    text += u" [" + tag + u"]";
  }
  return text + u" ";
}

/* The prefix of an object that is nothing special. */
Inspector::Text Inspector::Style(v8::Local<v8::Object> object, const Constructor &constructor,
                                 const Text &tag) const {
  Text fallback;
  if (!constructor) {
    fallback = ToUtf16(isolate_, object->GetConstructorName(), kNameMax);
    if (fallback == tag) fallback = u"Object";
  }
  return Prefix(constructor, tag, fallback);
}

Inspector::Shape Inspector::ShapeOf(v8::Local<v8::Object> object, const Constructor &constructor,
                                    const Text &tag, bool inside_view) {
  Shape shape;
  if (CollectionShape(object, constructor, tag, &shape)) return shape;
  shape.keys = KeysOf(object, false);
  if (constructor && *constructor == u"Object") {
    if (object->IsArgumentsObject()) {
      shape.open = u"[Arguments] {";
    } else if (!tag.empty()) {
      shape.open = Prefix(constructor, tag, u"Object") + u"{";
    }
  } else if (SpecialShape(object, constructor, tag, inside_view, &shape)) {
    return shape;
  } else {
    shape.open = Style(object, constructor, tag) + u"{";
  }
  if (shape.keys.empty()) {
    shape.whole = true;
    shape.base = shape.open + u"}";
  }
  return shape;
}

/* Arrays, typed arrays, sets, maps, and iterators over those. */
bool Inspector::CollectionShape(v8::Local<v8::Object> object, const Constructor &constructor,
                                const Text &tag, Shape *shape) {
  auto sized = [](size_t size) { return u"(" + FromNumber(size) + u")"; };
  Text prefix;
  size_t size = 0;
  if (object->IsArray()) {
    size = object.As<v8::Array>()->Length();
    if (!constructor || *constructor != u"Array" || !tag.empty()) {
      prefix = Prefix(constructor, tag, u"Array", sized(size));
    }
    shape->body = Shape::kArray;
  } else if (object->IsTypedArray()) {
    size = object.As<v8::TypedArray>()->Length();
    Text name = FromAscii(ViewName(object.As<v8::ArrayBufferView>()));
    prefix = Prefix(constructor, tag, name, sized(size));
    shape->body = Shape::kTypedArray;
  } else if (object->IsSet()) {
    size = object.As<v8::Set>()->Size();
    prefix = Prefix(constructor, tag, u"Set", sized(size));
    shape->body = Shape::kSet;
  } else if (object->IsMap()) {
    size = object.As<v8::Map>()->Size();
    prefix = Prefix(constructor, tag, u"Map", sized(size));
    shape->body = Shape::kMap;
  } else if (object->IsMapIterator() || object->IsSetIterator()) {
    Text kind = object->IsMapIterator() ? u"Map" : u"Set";
    bool in_pairs = false;
    v8::Local<v8::Array> items;
    bool known = object->PreviewEntries(&in_pairs).ToLocal(&items);
    kind += known && in_pairs ? u" Entries" : u" Iterator";
    Text usual = object->IsMapIterator() ? u"Map Iterator" : u"Set Iterator";
    shape->open = (tag.empty() || tag == usual ? u"[" : u"[" + tag + u"] [") + kind + u"] {";
    shape->body = Shape::kIterator;
    shape->keys = KeysOf(object, false);
    return true;
  } else {
    return false;
  }
  bool indexed = object->IsArray() || object->IsTypedArray();
  shape->keys = KeysOf(object, indexed);
  shape->array_like = indexed;
  shape->open = prefix + (indexed ? u"[" : u"{");
  shape->close = indexed ? u"]" : u"}";
  if (size == 0 && shape->keys.empty()) {
    shape->whole = true;
    shape->base = shape->open + shape->close;
  }
  return true;
}

/* Objects that are more than their keys; false for plain ones. */
bool Inspector::SpecialShape(v8::Local<v8::Object> object, const Constructor &constructor,
                             const Text &tag, bool inside_view, Shape *shape) {
  Text base;
  if (object->IsFunction()) {
    base = FunctionBase(object.As<v8::Function>(), constructor, tag);
  } else if (object->IsRegExp()) {
    v8::Local<v8::RegExp> regexp = object.As<v8::RegExp>();
    base = u"/" + ToUtf16(isolate_, regexp->GetSource(), kLineMaxBytes) + u"/" +
           FromAscii(RegExpFlags(regexp));
    Text prefix = Prefix(constructor, tag, u"RegExp");
    if (prefix != u"RegExp ") base = prefix + base;
    shape->terse = true;
  } else if (object->IsDate()) {
    base = FromAscii(IsoDate(object.As<v8::Date>()->ValueOf()));
    Text prefix = Prefix(constructor, tag, u"Date");
    if (prefix != u"Date ") base = prefix + base;
  } else if (IsError(object)) {
    base = ErrorBase(object, constructor, tag, &shape->keys);
  } else if (object->IsNumberObject() || object->IsStringObject() || object->IsBooleanObject() ||
             object->IsBigIntObject() || object->IsSymbolObject()) {
    base = BoxedBase(object, constructor, tag, &shape->keys);
  }
  if (!base.empty()) {
    shape->base = base;
    shape->whole = shape->keys.empty();
    return true;
  }
  if (object->IsArrayBuffer() || object->IsSharedArrayBuffer()) {
    bool shared = object->IsSharedArrayBuffer();
    Text prefix = Prefix(constructor, tag, shared ? u"SharedArrayBuffer" : u"ArrayBuffer");
    if (inside_view && shape->keys.empty()) {
      size_t length = shared ? object.As<v8::SharedArrayBuffer>()->ByteLength()
                             : object.As<v8::ArrayBuffer>()->ByteLength();
      shape->whole = true;
      shape->base = prefix + u"{ byteLength: " + FromNumber(length) + u" }";
      return true;
    }
    shape->open = prefix + u"{";
    shape->body = Shape::kBuffer;
  } else if (object->IsDataView()) {
    shape->open = Prefix(constructor, tag, u"DataView") + u"{";
    shape->body = Shape::kView;
  } else if (object->IsPromise()) {
    shape->open = Prefix(constructor, tag, u"Promise") + u"{";
    shape->body = Shape::kPromise;
  } else if (object->IsWeakSet() || object->IsWeakMap()) {
    shape->open = Prefix(constructor, tag, object->IsWeakSet() ? u"WeakSet" : u"WeakMap") + u"{";
    shape->body = Shape::kWeak;
  } else if (object->IsModuleNamespaceObject()) {
    shape->open = Prefix(constructor, tag, u"Module") + u"{";
    shape->body = Shape::kNamespace;
  } else {
    return false;
  }
  return true;
}

Inspector::Text Inspector::FunctionBase(v8::Local<v8::Function> function,
                                        const Constructor &constructor, const Text &tag) {
  v8::Local<v8::String> source;
  if (function->FunctionProtoToString(context_).ToLocal(&source)) {
    /* "class" as a word of its own: a method may be called class. */
    constexpr size_t kWord = 5;
    Text start = ToUtf16(isolate_, source, kWord + 1);
    if (start.size() > kWord && start.compare(0, kWord, u"class") == 0 &&
        (start[kWord] == u' ' || start[kWord] == u'{' || start[kWord] == u'\n' ||
         start[kWord] == u'\t' || start[kWord] == u'\r' || start[kWord] == u'/')) {
      return ClassBase(function, constructor, tag);
    }
  }
  Text type = u"Function";
  if (function->IsGeneratorFunction()) type = u"Generator" + type;
  if (function->IsAsyncFunction()) type = u"Async" + type;
  Text base = u"[" + type;
  if (!constructor) base += u" (null prototype)";
  Text name = OwnName(function);
  base += name.empty() ? u" (anonymous)" : u": " + name;
  base += u"]";
  if (constructor && *constructor != type) base += u" " + *constructor;
  if (!tag.empty() && (!constructor || *constructor != tag)) base += u" [" + tag + u"]";
  return base;
}

Inspector::Text Inspector::ClassBase(v8::Local<v8::Function> function,
                                     const Constructor &constructor, const Text &tag) {
  Text name = OwnName(function);
  Text base = u"class " + (name.empty() ? Text(u"(anonymous)") : name);
  if (constructor && *constructor != u"Function") base += u" [" + *constructor + u"]";
  if (!tag.empty() && (!constructor || *constructor != tag)) base += u" [" + tag + u"]";
  if (constructor) {
    v8::Local<v8::Value> parent = compat::Prototype(function);
    Text parent_name =
        parent->IsFunction() && !parent->IsProxy() ? OwnName(parent.As<v8::Object>()) : Text();
    if (!parent_name.empty()) base += u" extends " + parent_name;
  } else {
    base += u" extends [null prototype]";
  }
  return u"[" + base + u"]";
}

Inspector::Text Inspector::BoxedBase(v8::Local<v8::Object> object, const Constructor &constructor,
                                     const Text &tag, Keys *keys) {
  Text type;
  Text value;
  if (object->IsNumberObject()) {
    type = u"Number";
    value = Primitive(v8::Number::New(isolate_, object.As<v8::NumberObject>()->ValueOf()));
  } else if (object->IsStringObject()) {
    type = u"String";
    v8::Local<v8::String> string = object.As<v8::StringObject>()->ValueOf();
    value = Primitive(string);
    /* Its characters are keys too. */
    size_t characters = std::min(static_cast<size_t>(string->Length()), keys->size());
    keys->erase(keys->begin(), keys->begin() + static_cast<ptrdiff_t>(characters));
  } else if (object->IsBooleanObject()) {
    type = u"Boolean";
    value = object.As<v8::BooleanObject>()->ValueOf() ? u"true" : u"false";
  } else if (object->IsBigIntObject()) {
    type = u"BigInt";
    value = Primitive(object.As<v8::BigIntObject>()->ValueOf());
  } else {
    type = u"Symbol";
    value = Primitive(object.As<v8::SymbolObject>()->ValueOf());
  }
  Text base = u"[" + type;
  if (!constructor) {
    base += u" (null prototype)";
  } else if (*constructor != type) {
    base += u" (" + *constructor + u")";
  }
  base += u": " + value + u"]";
  if (!tag.empty() && (!constructor || *constructor != tag)) base += u" [" + tag + u"]";
  return base;
}

}  // namespace kv8
