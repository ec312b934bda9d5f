/* SPDX-License-Identifier: MIT
 *
 * inspect_error.cc: errors in console output: their stack, with the class's name where the stack
 * lacks it, without the frames their cause shows again, in brackets if there are no frames.
 */
#include <algorithm>

#include "shim/inspector.hh"

namespace kv8 {
namespace {

constexpr size_t kStackMax = kLineMaxBytes + 1; /* units looked at: more than can be shown */
constexpr size_t kSameFramesMin = 4;

std::vector<std::u16string> Lines(const std::u16string &text) {
  std::vector<std::u16string> lines;
  for (size_t at = 0;;) {
    size_t end = text.find(u'\n', at);
    lines.push_back(text.substr(at, end == text.npos ? text.npos : end - at));
    if (end == text.npos) return lines;
    at = end + 1;
  }
}

bool IsUpper(char16_t unit) {
  return unit >= u'A' && unit <= u'Z';
}

/* The class name an error's stack begins with, where it looks like one: up to a colon or to the
 * first frame, or the whole text if it ends in Error. */
std::u16string NameInStack(const std::u16string &stack) {
  static const std::u16string kOthers = u"_ []()-";
  if (!stack.empty() && IsUpper(stack[0])) {
    size_t end = 1;
    while (end < stack.size() &&
           (IsUpper(stack[end]) || (stack[end] >= u'a' && stack[end] <= u'z') ||
            (stack[end] >= u'0' && stack[end] <= u'9') ||
            kOthers.find(stack[end]) != kOthers.npos)) {
      end++;
    }
    if (end > 1 && (stack.compare(end, 1, u":") == 0 || stack.compare(end, 7, u"\n    at") == 0)) {
      return stack.substr(0, end);
    }
  }
  if (stack.size() >= 5 && stack.compare(stack.size() - 5, 5, u"Error") == 0 && IsPlainKey(stack)) {
    return stack;
  }
  return std::u16string();
}

void Replace(std::u16string *text, const std::u16string &what, const std::u16string &by) {
  for (size_t at = text->find(what); at != text->npos; at = text->find(what, at + by.size())) {
    text->replace(at, what.size(), by);
  }
}

}  // namespace

Inspector::Text Inspector::StringProperty(v8::Local<v8::Object> object, const char *name,
                                          const Text &otherwise) {
  Property property = FindProperty(isolate_, context_, object, Key(name));
  if (property.kind != Property::kData || !property.value->IsString()) return otherwise;
  return ToUtf16(isolate_, property.value.As<v8::String>(), kStackMax);
}

/* Node goes by the prototype chain too: the prototype of a class of errors counts as one. */
bool Inspector::IsError(v8::Local<v8::Object> object) {
  if (object->IsNativeError()) return true;
  if (error_prototype_.IsEmpty()) { /* V8's own, whatever the guest has made of globalThis.Error */
    v8::Local<v8::Value> error = v8::Exception::Error(v8::String::Empty(isolate_));
    error_prototype_.Reset(isolate_, compat::Prototype(error.As<v8::Object>()));
  }
  return HasPrototype(object, error_prototype_.Get(isolate_));
}

Inspector::Text Inspector::ErrorText(v8::Local<v8::Object> error, const Text &name) {
  Text message = StringProperty(error, "message", Text());
  return message.empty() ? name : name.empty() ? message : name + u": " + message;
}

/* The stack property. Newer V8 have it as an accessor of their own, which has no script. */
Inspector::Text Inspector::StackOf(v8::Local<v8::Object> error, const Text &name) {
  Property property = FindProperty(isolate_, context_, error, Key("stack"));
  v8::Local<v8::Value> stack = property.value;
  if (property.kind == Property::kGetter || property.kind == Property::kGetterSetter) {
    v8::TryCatch quiet(isolate_);
    if (property.value.As<v8::Function>()->ScriptId() != v8::UnboundScript::kNoScriptId ||
        !error->Get(context_, Key("stack")).ToLocal(&stack)) {
      return ErrorText(error, name);
    }
  } else if (property.kind != Property::kData) {
    return ErrorText(error, name);
  }
  if (!stack->IsString() || stack.As<v8::String>()->Length() == 0) return ErrorText(error, name);
  return ToUtf16(isolate_, stack.As<v8::String>(), kStackMax);
}

/* Puts the class's name where the stack says only what its base class is called. */
Inspector::Text Inspector::ImproveStack(Text stack, const Constructor &constructor,
                                        const Text &name, const Text &tag) const {
  size_t length = name.size();
  bool regular = length >= 5 && name.compare(length - 5, 5, u"Error") == 0 &&
                 stack.compare(0, length, name) == 0 &&
                 (stack.size() == length || stack[length] == u':' || stack[length] == u'\n');
  if (constructor && !regular) return stack;
  Text fallback = u"Error";
  if (!constructor) {
    fallback = NameInStack(stack);
    length = fallback.size();
    if (fallback.empty()) fallback = u"Error";
  }
  Text prefix = Prefix(constructor, tag, fallback);
  prefix.pop_back();
  if (name == prefix) return stack;
  if (prefix.find(name) == prefix.npos) return prefix + u" [" + name + u"]" + stack.substr(length);
  return length == 0 ? prefix + u": " + stack : prefix + stack.substr(length);
}

/* Of the frames an error shares with its cause, the first and the last are enough. */
Inspector::Text Inspector::WithoutCauseFrames(v8::Local<v8::Object> error, const Text &frames) {
  Property property = FindProperty(isolate_, context_, error, Key("cause"));
  if (property.kind != Property::kData || !property.value->IsNativeError()) return frames;
  v8::Local<v8::Object> cause = property.value.As<v8::Object>();
  Text stack = StackOf(cause, StringProperty(cause, "name", u"Error"));
  size_t start = stack.find(u"\n    at");
  if (start == stack.npos) return frames;
  std::vector<Text> lines = Lines(frames);
  std::vector<Text> others = Lines(stack.substr(start + 1));
  for (size_t i = 0; i + kSameFramesMin <= lines.size(); i++) {
    auto at = std::find(others.begin(), others.end(), lines[i]);
    size_t rest = static_cast<size_t>(others.end() - at);
    size_t same = 0;
    while (same < rest && i + same < lines.size() &&
           lines[i + same] == *(at + static_cast<ptrdiff_t>(same))) {
      same++;
    }
    if (same < kSameFramesMin) continue;
    auto first = lines.begin() + static_cast<ptrdiff_t>(i + 1);
    lines.erase(first, first + static_cast<ptrdiff_t>(same - 2));
    lines.insert(lines.begin() + static_cast<ptrdiff_t>(i + 1),
                 u"    ... " + FromNumber(same - 2) + u" lines matching cause stack trace ...");
    break;
  }
  Text joined;
  for (const Text &line : lines) joined += (joined.empty() ? u"" : u"\n") + line;
  return joined;
}

Inspector::Text Inspector::ErrorBase(v8::Local<v8::Object> error, const Constructor &constructor,
                                     const Text &tag, Keys *keys) {
  Text name = StringProperty(error, "name", u"Error");
  Text stack = StackOf(error, name);
  auto position = [&](const char *key) {
    return std::find_if(keys->begin(), keys->end(),
                        [&](v8::Local<v8::Name> each) { return each->StrictEquals(Key(key)); });
  };
  if (!options_.show_hidden) { /* what the stack says need not be said again */
    for (const char *key : {"name", "message", "stack"}) {
      auto at = position(key);
      if (at == keys->end()) continue;
      Property property = ReadProperty(isolate_, context_, error, Key(key));
      if (property.kind == Property::kData && property.value->IsString() &&
          stack.find(StringProperty(error, key, Text())) != stack.npos) {
        keys->erase(at);
      }
    }
  }
  Property cause = FindProperty(isolate_, context_, error, Key("cause"));
  if (cause.kind != Property::kNone && position("cause") == keys->end()) {
    keys->push_back(Key("cause"));
  }
  Property errors = FindProperty(isolate_, context_, error, Key("errors"));
  if (errors.kind == Property::kData && errors.value->IsArray() &&
      position("errors") == keys->end()) {
    keys->push_back(Key("errors"));
  }
  stack = ImproveStack(std::move(stack), constructor, name, tag);
  /* The message may have lines that look like frames. */
  Text message = StringProperty(error, "message", Text());
  size_t after = message.empty() ? Text::npos : stack.find(message);
  after = after == Text::npos || after == 0 ? 0 : after + message.size();
  size_t start = stack.find(u"\n    at", after);
  if (start == stack.npos) {
    stack = u"[" + stack + u"]";
  } else {
    stack = stack.substr(0, start + 1) + WithoutCauseFrames(error, stack.substr(start + 1));
  }
  if (layout_.indentation != 0) {
    Replace(&stack, u"\n", u"\n" + Text(layout_.indentation, u' '));
  }
  return stack;
}

}  // namespace kv8
