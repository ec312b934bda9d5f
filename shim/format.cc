/* SPDX-License-Identifier: MIT
 *
 * format.cc: console.log's format string: %s %d %i %f %j %o %O %c %%. Unlike plain inspection its
 * conversions may run guest code, as String() and Number() do: the script asked for them.
 */
#include <cmath>
#include <unordered_set>

#include "shim/inspect.hh"

namespace kv8 {
namespace {

constexpr size_t kDirectiveDepth = 4; /* of %o */
constexpr size_t kNumberMax = 4096;   /* units of a string that are parsed as a number */

class Formatter {
 public:
  Formatter(v8::Isolate *isolate, v8::Local<v8::Context> context,
            const std::vector<v8::Local<v8::Value>> &arguments)
      : isolate_(isolate), context_(context), arguments_(arguments) {}

  bool Run(std::u16string *ret_text) {
    bool formatted = false;
    if (arguments_.size() > 1 && arguments_[0]->IsString()) {
      if (!Directives(&formatted)) return false;
    }
    for (; next_ < arguments_.size() && text_.size() <= kLineMaxBytes; next_++) {
      if (formatted || next_ > 0) text_ += u' ';
      v8::Local<v8::Value> value = arguments_[next_];
      text_ += value->IsString() ? ToUtf16(isolate_, value.As<v8::String>(), kLineMaxBytes + 1)
                                 : Inspect(isolate_, context_, value, InspectOptions());
    }
    *ret_text = std::move(text_);
    return true;
  }

 private:
  /* Works through the first argument; *ret_used if it held a directive or %%. */
  bool Directives(bool *ret_used) {
    std::u16string format = ToUtf16(isolate_, arguments_[0].As<v8::String>(), kLineMaxBytes + 1);
    size_t last = 0;
    size_t used = 0; /* arguments, the format itself not counted */
    for (size_t i = 0; i + 1 < format.size(); i++) {
      if (format[i] != u'%') continue;
      char16_t directive = format[++i];
      if (directive == u'%') {
        text_.append(format, last, i - last);
        last = i + 1;
        continue;
      }
      if (used + 1 >= arguments_.size()) continue;
      if (std::u16string_view(u"sdifjoOc").find(directive) == std::u16string_view::npos) continue;
      text_.append(format, last, i - 1 - last);
      if (!Convert(directive, arguments_[++used])) return false;
      last = i + 1;
    }
    *ret_used = last != 0;
    if (last != 0) {
      next_ = used + 1;
      text_.append(format, last, format.npos);
    }
    return true;
  }

  bool Convert(char16_t directive, v8::Local<v8::Value> value) {
    v8::HandleScope scope(isolate_);
    switch (directive) {
      case u's':
        return AsString(value);
      case u'd':
      case u'i':
      case u'f':
        return AsNumber(directive, value);
      case u'j':
        return AsJson(value);
      case u'O':
        text_ += Inspect(isolate_, context_, value, InspectOptions());
        return true;
      case u'o': {
        InspectOptions options;
        options.show_hidden = true;
        options.show_proxy = true;
        options.depth = kDirectiveDepth;
        text_ += Inspect(isolate_, context_, value, options);
        return true;
      }
      default: /* c: style sheets are for browsers */
        return true;
    }
  }

  bool AsString(v8::Local<v8::Value> value) {
    if (value->IsNumber() || value->IsBigInt()) {
      text_ += Inspect(isolate_, context_, value, InspectOptions());
      return true;
    }
    if (value->IsObject() && !value->IsFunction() && HasBuiltInToString(value)) {
      InspectOptions options;
      options.depth = 0;
      text_ += Inspect(isolate_, context_, value, options);
      return true;
    }
    if (value->IsSymbol()) { /* String(symbol) describes it, ToString(symbol) throws */
      text_ += Inspect(isolate_, context_, value, InspectOptions());
      return true;
    }
    v8::Local<v8::String> string;
    if (!value->ToString(context_).ToLocal(&string)) return false;
    text_ += ToUtf16(isolate_, string, kLineMaxBytes + 1);
    return true;
  }

  /* Whether toString is what V8 gave the object: then inspecting says more. */
  bool HasBuiltInToString(v8::Local<v8::Value> value) {
    while (value->IsProxy()) value = value.As<v8::Proxy>()->GetTarget();
    if (!value->IsObject()) return true;
    v8::Local<v8::String> name = Literal(isolate_, "toString");
    bool own = true;
    for (v8::Local<v8::Value> at = value; at->IsObject() && !at->IsProxy();
         at = compat::Prototype(at.As<v8::Object>()), own = false) {
      v8::Local<v8::Object> object = at.As<v8::Object>();
      Property property = ReadProperty(isolate_, context_, object, name);
      if (property.kind == Property::kNone) continue;
      if (property.kind == Property::kData && !property.value->IsFunction()) return true;
      if (own) return false;
      Property constructor =
          ReadProperty(isolate_, context_, object, Literal(isolate_, "constructor"));
      /* A function that has no script is V8's own. */
      return constructor.kind == Property::kData && constructor.value->IsFunction() &&
             constructor.value.As<v8::Function>()->ScriptId() == v8::UnboundScript::kNoScriptId;
    }
    return true;
  }

  bool AsNumber(char16_t directive, v8::Local<v8::Value> value) {
    if (value->IsBigInt()) {
      text_ += Inspect(isolate_, context_, value, InspectOptions());
      return true;
    }
    double number = std::nan("");
    if (!value->IsSymbol()) {
      if (directive == u'd') {
        if (!value->NumberValue(context_).To(&number)) return false;
      } else {
        v8::Local<v8::String> string;
        if (!value->ToString(context_).ToLocal(&string)) return false;
        std::u16string digits = ToUtf16(isolate_, string, kNumberMax);
        number = directive == u'i' ? ParseInt(digits) : ParseFloat(digits);
      }
    }
    text_ += Inspect(isolate_, context_, v8::Number::New(isolate_, number), InspectOptions());
    return true;
  }

  static bool IsDigit(char16_t unit) {
    return unit >= u'0' && unit <= u'9';
  }

  static size_t SkipBlanks(const std::u16string &text) {
    static const std::u16string kBlanks = u" \t\n\v\f\r\u00a0\ufeff\u2028\u2029";
    size_t at = text.find_first_not_of(kBlanks);
    return at == text.npos ? text.size() : at;
  }

  double ToNumber(const std::u16string &text) {
    v8::Local<v8::String> string;
    double number = std::nan("");
    if (v8::String::NewFromTwoByte(isolate_, reinterpret_cast<const uint16_t *>(text.data()),
                                   v8::NewStringType::kNormal, static_cast<int>(text.size()))
            .ToLocal(&string)) {
      number = string->NumberValue(context_).FromMaybe(number);
    }
    return number;
  }

  /* parseInt(text) */
  double ParseInt(const std::u16string &text) {
    size_t at = SkipBlanks(text);
    bool negative = at < text.size() && text[at] == u'-';
    if (at < text.size() && (text[at] == u'-' || text[at] == u'+')) at++;
    size_t end = at;
    double number = std::nan("");
    if (at + 1 < text.size() && text[at] == u'0' && (text[at + 1] | 0x20) == u'x') {
      end = at + 2;
      while (end < text.size() &&
             (IsDigit(text[end]) || ((text[end] | 0x20) >= u'a' && (text[end] | 0x20) <= u'f'))) {
        end++;
      }
      if (end > at + 2) number = ToNumber(text.substr(at, end - at));
    } else {
      while (end < text.size() && IsDigit(text[end])) end++;
      if (end > at) number = ToNumber(text.substr(at, end - at));
    }
    return negative ? -number : number;
  }

  /* parseFloat(text): the longest start of it that is a decimal literal. */
  double ParseFloat(const std::u16string &text) {
    size_t start = SkipBlanks(text);
    size_t at = start;
    if (at < text.size() && (text[at] == u'-' || text[at] == u'+')) at++;
    static const std::u16string kInfinity = u"Infinity";
    if (text.compare(at, kInfinity.size(), kInfinity) == 0) {
      return ToNumber(text.substr(start, at - start + kInfinity.size()));
    }
    size_t digits = 0;
    for (; at < text.size() && IsDigit(text[at]); at++) digits++;
    if (at < text.size() && text[at] == u'.') {
      at++;
      for (; at < text.size() && IsDigit(text[at]); at++) digits++;
    }
    if (digits == 0) return std::nan("");
    if (at < text.size() && (text[at] | 0x20) == u'e') {
      size_t exponent = at + 1;
      if (exponent < text.size() && (text[exponent] == u'-' || text[exponent] == u'+')) exponent++;
      size_t end = exponent;
      while (end < text.size() && IsDigit(text[end])) end++;
      if (end > exponent) at = end;
    }
    return ToNumber(text.substr(start, at - start));
  }

  bool AsJson(v8::Local<v8::Value> value) {
    v8::TryCatch caught(isolate_);
    v8::Local<v8::String> json;
    if (v8::JSON::Stringify(context_, value).ToLocal(&json)) {
      text_ += ToUtf16(isolate_, json, kLineMaxBytes + 1);
      return true;
    }
    if (caught.HasCaught() && !caught.HasTerminated() && IsCircularError(caught.Exception())) {
      text_ += u"[Circular]";
      return true;
    }
    caught.ReThrow();
    return false;
  }

  bool IsCircularError(v8::Local<v8::Value> error) {
    if (!error->IsNativeError()) return false;
    Property message =
        ReadProperty(isolate_, context_, error.As<v8::Object>(), Literal(isolate_, "message"));
    if (message.kind != Property::kData || !message.value->IsString()) return false;
    static const std::u16string kStart = u"Converting circular structure to JSON";
    return ToUtf16(isolate_, message.value.As<v8::String>(), kStart.size()) == kStart;
  }

  v8::Isolate *const isolate_;
  const v8::Local<v8::Context> context_;
  const std::vector<v8::Local<v8::Value>> &arguments_;
  std::u16string text_;
  size_t next_ = 0;
};

}  // namespace

bool FormatArguments(v8::Isolate *isolate, v8::Local<v8::Context> context,
                     const std::vector<v8::Local<v8::Value>> &arguments, std::u16string *ret_text) {
  return Formatter(isolate, context, arguments).Run(ret_text);
}

}  // namespace kv8
