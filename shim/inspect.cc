/* SPDX-License-Identifier: MIT
 *
 * inspect.cc: the walk over a value that console output shows. It follows Node's util.inspect in
 * what it prints, and differs where that would run guest code: getters of Symbol.toStringTag,
 * proxies on prototype chains, custom inspect functions and Symbol.hasInstance are left alone.
 */
#include <algorithm>

#include "shim/inspector.hh"

namespace kv8 {
namespace {

constexpr size_t kUnbrokenMin = 16; /* strings up to here are never split at line ends */

std::u16string Plural(const char *before, size_t count, const char *what, const char *after = "") {
  return FromAscii(before) + FromNumber(count) + u" " + FromAscii(what) +
         (count == 1 ? u"" : u"s") + FromAscii(after);
}

}  // namespace

std::u16string Inspect(v8::Isolate *isolate, v8::Local<v8::Context> context,
                       v8::Local<v8::Value> value, const InspectOptions &options) {
  v8::HandleScope scope(isolate);
  return Inspector(isolate, context, options).Value(value, 0);
}

Inspector::Inspector(v8::Isolate *isolate, v8::Local<v8::Context> context,
                     const InspectOptions &options)
    : isolate_(isolate), context_(context), options_(options) {
  layout_.break_length = options.break_length;
  layout_.max_array_length = options.max_array_length;
}

Inspector::Text Inspector::Value(v8::Local<v8::Value> value, int level, bool inside_view) {
  if (!value->IsObject()) {
    Text text = Primitive(value);
    produced_ += text.size() + 1;
    return text;
  }
  v8::Local<v8::Object> object = value.As<v8::Object>();
  while (object->IsProxy()) {
    v8::Local<v8::Proxy> proxy = object.As<v8::Proxy>();
    v8::Local<v8::Value> target = proxy->GetTarget();
    if (!target->IsObject()) return u"<Revoked Proxy>";
    if (options_.show_proxy) return Proxy(proxy, level);
    object = target.As<v8::Object>();
  }
  if (std::find(seen_.begin(), seen_.end(), object) != seen_.end()) {
    auto at = std::find_if(circular_.begin(), circular_.end(),
                           [&](const v8::Global<v8::Object> &each) { return each == object; });
    size_t index = static_cast<size_t>(at - circular_.begin());
    if (at == circular_.end()) circular_.emplace_back(isolate_, object);
    return u"[Circular *" + FromNumber(index + 1) + u"]";
  }
  return Object(object, level, inside_view);
}

Inspector::Text Inspector::Primitive(v8::Local<v8::Value> value) {
  if (value->IsString()) return String(value.As<v8::String>());
  if (value->IsNumber()) return Number(value);
  if (value->IsBigInt()) return Number(value) + u"n";
  if (value->IsTrue()) return u"true";
  if (value->IsFalse()) return u"false";
  if (value->IsNull()) return u"null";
  if (value->IsSymbol()) return Symbol(value.As<v8::Symbol>());
  return u"undefined";
}

Inspector::Text Inspector::Number(v8::Local<v8::Value> number) {
  if (number->IsNumber()) {
    double value = number.As<v8::Number>()->Value();
    if (value == 0 && __builtin_signbit(value)) return u"-0";
  }
  v8::Local<v8::String> digits;
  if (!number->ToString(context_).ToLocal(&digits)) return u"NaN";
  return ToUtf16(isolate_, digits, kLineMaxBytes);
}

Inspector::Text Inspector::Symbol(v8::Local<v8::Symbol> symbol) {
  v8::Local<v8::Value> description = symbol->Description(isolate_);
  if (!description->IsString()) return u"Symbol()";
  return u"Symbol(" + ToUtf16(isolate_, description.As<v8::String>(), kLineMaxBytes) + u")";
}

Inspector::Text Inspector::String(v8::Local<v8::String> string) {
  size_t length = static_cast<size_t>(string->Length());
  Text text = ToUtf16(isolate_, string, options_.max_string_length);
  Text trailer;
  if (length > text.size()) trailer = Plural("... ", length - text.size(), "more character");
  bool long_line =
      text.size() > kUnbrokenMin && text.size() + layout_.indentation + 4 > layout_.break_length;
  if (!long_line) return QuoteText(text) + trailer;
  /* One literal per line of the string, added up. */
  Text out;
  for (size_t at = 0; at < text.size();) {
    size_t end = text.find(u'\n', at);
    end = end == text.npos ? text.size() : end + 1;
    if (at > 0) out += u" +\n" + Text(layout_.indentation + 2, u' ');
    out += QuoteText(std::u16string_view(text).substr(at, end - at));
    at = end;
  }
  return out + trailer;
}

Inspector::Text Inspector::Proxy(v8::Local<v8::Proxy> proxy, int level) {
  if (level > options_.depth) return u"Proxy [Array]";
  level++;
  layout_.indentation += 2;
  std::vector<Text> parts;
  parts.push_back(Value(proxy->GetTarget(), level));
  parts.push_back(Value(proxy->GetHandler(), level));
  layout_.indentation -= 2;
  return Reduce(std::move(parts), Text(), u"Proxy [", u"]", true, level, Padding::kStart);
}

Inspector::Text Inspector::Object(v8::Local<v8::Object> object, int level, bool inside_view) {
  v8::HandleScope scope(isolate_);
  Constructor constructor = ConstructorOf(object, level);
  Text tag = TagOf(object);
  Shape shape = ShapeOf(object, constructor, tag, inside_view);
  if (shape.whole || (shape.terse && level > options_.depth)) {
    produced_ += shape.base.size();
    return shape.base;
  }
  if (level > options_.depth) {
    Text name = Style(object, constructor, tag);
    name.pop_back();
    produced_ += name.size();
    return constructor ? u"[" + name + u"]" : name;
  }
  level++;
  seen_.push_back(object);
  layout_.current_depth = static_cast<size_t>(level);
  std::vector<Text> entries = Body(shape, object, level);
  for (v8::Local<v8::Name> key : shape.keys) {
    if (Full()) break;
    entries.push_back(
        Member(object, key, shape.array_like ? KeyStyle::kExtra : KeyStyle::kNamed, level));
  }
  seen_.pop_back();
  for (size_t i = 0; i < circular_.size(); i++) {
    if (circular_[i] != object) continue;
    Text reference = u"<ref *" + FromNumber(i + 1) + u">";
    shape.base = shape.base.empty() ? reference : reference + u" " + shape.base;
  }
  Padding padding = shape.array_like ? PaddingOf(object, entries.size()) : Padding::kStart;
  return Reduce(std::move(entries), shape.base, shape.open, shape.close, shape.array_like, level,
                padding);
}

Inspector::Text Inspector::Reduce(std::vector<Text> entries, const Text &base, const Text &open,
                                  const Text &close, bool array_like, int level, Padding padding) {
  return JoinEntries(layout_, std::move(entries), base, open, close, array_like,
                     static_cast<size_t>(level), padding);
}

/* Columns of numbers are aligned to the right. */
Padding Inspector::PaddingOf(v8::Local<v8::Object> object, size_t count) {
  if (!object->IsArray() && !object->IsTypedArray()) return Padding::kStart;
  for (size_t i = 0; i < count && i <= options_.max_array_length; i++) {
    v8::HandleScope scope(isolate_);
    v8::Local<v8::String> key;
    if (!v8::Integer::NewFromUnsigned(isolate_, static_cast<uint32_t>(i))
             ->ToString(context_)
             .ToLocal(&key)) {
      return Padding::kEnd;
    }
    Property property = ReadProperty(isolate_, context_, object, key);
    if (property.kind != Property::kData ||
        !(property.value->IsNumber() || property.value->IsBigInt())) {
      return Padding::kEnd;
    }
  }
  return Padding::kStart;
}

Inspector::Text Inspector::Nested(v8::Local<v8::Value> value, int level) {
  layout_.indentation += 2;
  Text text = Value(value, level);
  layout_.indentation -= 2;
  return text;
}

std::vector<Inspector::Text> Inspector::Body(const Shape &shape, v8::Local<v8::Object> object,
                                             int level) {
  std::vector<Text> entries;
  switch (shape.body) {
    case Shape::kPlain:
    case Shape::kNamespace:
      break;
    case Shape::kArray:
      Elements(object.As<v8::Array>(), level, &entries);
      break;
    case Shape::kTypedArray:
      ViewElements(object.As<v8::TypedArray>(), level, &entries);
      break;
    case Shape::kSet:
      Entries(object.As<v8::Set>()->AsArray(), false, SIZE_MAX, false, level, &entries);
      break;
    case Shape::kMap:
      Entries(object.As<v8::Map>()->AsArray(), true, SIZE_MAX, true, level, &entries);
      break;
    case Shape::kIterator: {
      bool in_pairs = false;
      v8::Local<v8::Array> items;
      if (object->PreviewEntries(&in_pairs).ToLocal(&items)) {
        Entries(items, in_pairs, options_.max_array_length, false, level, &entries);
      }
      break;
    }
    case Shape::kBuffer:
      BufferBytes(object, &entries);
      break;
    case Shape::kView: {
      v8::Local<v8::DataView> view = object.As<v8::DataView>();
      entries.push_back(u"byteLength: " + FromNumber(view->ByteLength()));
      entries.push_back(u"byteOffset: " + FromNumber(view->ByteOffset()));
      entries.push_back(u"buffer: " + Nested(view->Buffer(), level));
      break;
    }
    case Shape::kPromise: {
      v8::Local<v8::Promise> promise = object.As<v8::Promise>();
      if (promise->State() == v8::Promise::kPending) {
        entries.push_back(u"<pending>");
      } else {
        Text result = Nested(promise->Result(), level);
        entries.push_back(promise->State() == v8::Promise::kRejected ? u"<rejected> " + result
                                                                     : result);
      }
      break;
    }
    case Shape::kWeak:
      entries.push_back(u"<items unknown>");
      break;
  }
  return entries;
}

void Inspector::Elements(v8::Local<v8::Array> array, int level, std::vector<Text> *to) {
  uint32_t length = array->Length();
  size_t shown = std::min<size_t>(length, options_.max_array_length);
  for (uint32_t i = 0; i < shown && !Full(); i++) {
    v8::HandleScope scope(isolate_);
    v8::Local<v8::String> key;
    if (!v8::Integer::NewFromUnsigned(isolate_, i)->ToString(context_).ToLocal(&key)) return;
    if (!array->HasOwnProperty(context_, key).FromMaybe(false)) {
      SparseElements(array, i, shown, level, to);
      return;
    }
    to->push_back(Member(array, key, KeyStyle::kElement, level));
  }
  if (length > shown) to->push_back(Plural("... ", length - shown, "more item"));
}

/* From the first hole on: runs of holes count as one entry. */
void Inspector::SparseElements(v8::Local<v8::Array> array, uint32_t from, size_t limit, int level,
                               std::vector<Text> *to) {
  v8::Local<v8::Array> keys;
  if (!array
           ->GetOwnPropertyNames(
               context_,
               static_cast<v8::PropertyFilter>(v8::PropertyFilter::ONLY_ENUMERABLE |
                                               v8::PropertyFilter::SKIP_SYMBOLS),
               v8::KeyConversionMode::kKeepNumbers)
           .ToLocal(&keys)) {
    return;
  }
  uint32_t index = from;
  for (uint32_t i = from; i < keys->Length() && to->size() < limit && !Full(); i++) {
    v8::HandleScope scope(isolate_);
    v8::Local<v8::Value> key;
    if (!keys->Get(context_, i).ToLocal(&key) || !key->IsUint32()) break;
    uint32_t at = key.As<v8::Uint32>()->Value();
    if (at != index) {
      to->push_back(Plural("<", at - index, "empty item", ">"));
      index = at;
      if (to->size() == limit) break;
    }
    v8::Local<v8::String> name;
    if (!key->ToString(context_).ToLocal(&name)) break;
    to->push_back(Member(array, name, KeyStyle::kElement, level));
    index++;
  }
  uint32_t rest = array->Length() - index;
  if (rest == 0) return;
  to->push_back(to->size() < limit ? Plural("<", rest, "empty item", ">")
                                   : Plural("... ", rest, "more item"));
}

void Inspector::ViewElements(v8::Local<v8::TypedArray> view, int level, std::vector<Text> *to) {
  size_t length = view->Length();
  size_t shown = std::min(length, options_.max_array_length);
  for (size_t i = 0; i < shown; i++) {
    v8::HandleScope scope(isolate_);
    v8::Local<v8::Value> element;
    if (!view->Get(context_, static_cast<uint32_t>(i)).ToLocal(&element)) return;
    to->push_back(Primitive(element));
    produced_ += to->back().size() + 1;
  }
  if (length > shown) to->push_back(Plural("... ", length - shown, "more item"));
  if (!options_.show_hidden) return;
  to->push_back(u"[BYTES_PER_ELEMENT]: " +
                FromNumber(length == 0 ? 0 : view->ByteLength() / length));
  to->push_back(u"[length]: " + FromNumber(length));
  to->push_back(u"[byteLength]: " + FromNumber(view->ByteLength()));
  to->push_back(u"[byteOffset]: " + FromNumber(view->ByteOffset()));
  layout_.indentation += 2;
  to->push_back(u"[buffer]: " + Value(view->Buffer(), level, true));
  layout_.indentation -= 2;
}

/* The items of a collection or of an iterator over one. */
void Inspector::Entries(v8::Local<v8::Array> items, bool in_pairs, size_t limit, bool as_map,
                        int level, std::vector<Text> *to) {
  uint32_t step = in_pairs ? 2 : 1;
  size_t count = items->Length() / step;
  size_t shown = std::min(count, limit);
  for (uint32_t i = 0; i < shown && !Full(); i++) {
    v8::HandleScope scope(isolate_);
    v8::Local<v8::Value> first;
    if (!items->Get(context_, i * step).ToLocal(&first)) return;
    Text text = Nested(first, level);
    if (in_pairs) {
      v8::Local<v8::Value> second;
      if (!items->Get(context_, i * step + 1).ToLocal(&second)) return;
      Text value = Nested(second, level);
      if (as_map) {
        text += u" => " + value;
      } else {
        layout_.indentation += 2;
        text = Reduce({std::move(text), std::move(value)}, Text(), u"[", u"]", true, level,
                      Padding::kStart);
        layout_.indentation -= 2;
      }
    }
    to->push_back(std::move(text));
  }
  if (count > shown) to->push_back(Plural("... ", count - shown, "more item"));
}

void Inspector::BufferBytes(v8::Local<v8::Object> buffer, std::vector<Text> *to) {
  std::shared_ptr<v8::BackingStore> store;
  if (buffer->IsArrayBuffer()) {
    store = buffer.As<v8::ArrayBuffer>()->GetBackingStore();
  } else {
    store = buffer.As<v8::SharedArrayBuffer>()->GetBackingStore();
  }
  size_t length = store == nullptr ? 0 : store->ByteLength();
  size_t shown = std::min(length, options_.max_array_length);
  const auto *bytes = store == nullptr ? nullptr : static_cast<const uint8_t *>(store->Data());
  Text text = u"[Uint8Contents]: <";
  for (size_t i = 0; i < shown && bytes != nullptr; i++) {
    static constexpr char16_t kHex[] = u"0123456789abcdef";
    if (i > 0) text += u' ';
    text += kHex[bytes[i] >> 4];
    text += kHex[bytes[i] & 15];
  }
  if (length > shown) text += u" " + Plural("... ", length - shown, "more byte");
  to->push_back(text + u">");
  to->push_back(u"byteLength: " + FromNumber(length));
}

Inspector::Text Inspector::Member(v8::Local<v8::Object> object, v8::Local<v8::Name> key,
                                  KeyStyle style, int level) {
  v8::HandleScope scope(isolate_);
  Property property = ReadProperty(isolate_, context_, object, key);
  if (property.kind == Property::kNone) { /* an error's cause may be its prototype's */
    property = FindProperty(isolate_, context_, object, key);
    property.enumerable = true;
  }
  Text value;
  switch (property.kind) {
    case Property::kData:
      value = Nested(property.value, level);
      break;
    case Property::kGetter:
      value = u"[Getter]";
      break;
    case Property::kGetterSetter:
      value = u"[Getter/Setter]";
      break;
    case Property::kSetter:
      value = u"[Setter]";
      break;
    case Property::kThrew:
      value = u"<uninitialized>";
      property.enumerable = true;
      break;
    case Property::kNone:
      value = u"undefined";
      break;
  }
  if (style == KeyStyle::kElement) return value;
  Text name;
  if (key->IsSymbol()) {
    name = u"[" + EscapeText(Symbol(key.As<v8::Symbol>())) + u"]";
  } else {
    name = ToUtf16(isolate_, key.As<v8::String>(), kLineMaxBytes);
    if (name == u"__proto__") {
      name = u"['__proto__']";
    } else if (!property.enumerable) {
      name = u"[" + EscapeText(name) + u"]";
    } else if (!IsPlainKey(name)) {
      name = QuoteText(name);
    }
  }
  produced_ += name.size() + 2;
  return name + u": " + value;
}

}  // namespace kv8
