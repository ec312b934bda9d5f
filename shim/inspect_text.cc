/* SPDX-License-Identifier: MIT
 *
 * inspect_text.cc: the parts of inspect.hh that know no layout: strings, widths, dates, and facts
 * about objects that V8 tells without running code.
 */
#include <cmath>

#include "shim/inspect.hh"

namespace kv8 {
namespace {

constexpr char16_t kReplacement = 0xfffd;
constexpr char kCutMark[] = "... [truncated]";

bool IsHigh(char16_t unit) {
  return unit >= 0xd800 && unit <= 0xdbff;
}
bool IsLow(char16_t unit) {
  return unit >= 0xdc00 && unit <= 0xdfff;
}

/* The code point at *at, which moves past it; a lone surrogate is itself. */
char32_t NextPoint(std::u16string_view text, size_t *at) {
  char16_t unit = text[(*at)++];
  if (IsHigh(unit) && *at < text.size() && IsLow(text[*at])) {
    return 0x10000 + ((unit - 0xd800u) << 10) + (text[(*at)++] - 0xdc00u);
  }
  return unit;
}

void AppendUtf8(std::string *to, char32_t point) {
  if (point < 0x80) {
    to->push_back(static_cast<char>(point));
  } else if (point < 0x800) {
    to->push_back(static_cast<char>(0xc0 | (point >> 6)));
    to->push_back(static_cast<char>(0x80 | (point & 0x3f)));
  } else if (point < 0x10000) {
    to->push_back(static_cast<char>(0xe0 | (point >> 12)));
    to->push_back(static_cast<char>(0x80 | ((point >> 6) & 0x3f)));
    to->push_back(static_cast<char>(0x80 | (point & 0x3f)));
  } else {
    to->push_back(static_cast<char>(0xf0 | (point >> 18)));
    to->push_back(static_cast<char>(0x80 | ((point >> 12) & 0x3f)));
    to->push_back(static_cast<char>(0x80 | ((point >> 6) & 0x3f)));
    to->push_back(static_cast<char>(0x80 | (point & 0x3f)));
  }
}

struct Range {
  char32_t first;
  char32_t last;
};

/* Combining marks, joiners and variation selectors. */
constexpr Range kZeroWidth[] = {
    {0x0, 0x1f},      {0x7f, 0x9f},     {0x300, 0x36f},   {0x200b, 0x200f},
    {0x20d0, 0x20ff}, {0xfe00, 0xfe0f}, {0xfe20, 0xfe2f}, {0xe0100, 0xe01ef},
};

/* East Asian wide and full-width characters, and emoji. */
constexpr Range kFullWidth[] = {
    {0x1100, 0x115f},   {0x2329, 0x232a},   {0x2e80, 0x303e},   {0x3040, 0x3247},
    {0x3250, 0x4dbf},   {0x4e00, 0xa4c6},   {0xa960, 0xa97c},   {0xac00, 0xd7a3},
    {0xf900, 0xfaff},   {0xfe10, 0xfe19},   {0xfe30, 0xfe6b},   {0xff01, 0xff60},
    {0xffe0, 0xffe6},   {0x1b000, 0x1b001}, {0x1f200, 0x1f251}, {0x1f300, 0x1f64f},
    {0x1f680, 0x1f6ff}, {0x1f900, 0x1f9ff}, {0x20000, 0x3fffd},
};

template <size_t N>
bool InRanges(const Range (&ranges)[N], char32_t point) {
  for (const Range &range : ranges) {
    if (point >= range.first && point <= range.last) return true;
  }
  return false;
}

/* `quote` is the one character the quotes make special; 0: none. */
std::u16string Escape(std::u16string_view text, char16_t quote) {
  static constexpr char16_t kSmallHex[] = u"0123456789abcdef"; /* as Node mixes them */
  static constexpr char16_t kBigHex[] = u"0123456789ABCDEF";
  std::u16string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); i++) {
    char16_t unit = text[i];
    if (unit == '\\' || (quote != 0 && unit == quote)) {
      out += u'\\';
      out += unit;
    } else if (unit == '\n') {
      out += u"\\n";
    } else if (unit == '\t') {
      out += u"\\t";
    } else if (unit == '\r') {
      out += u"\\r";
    } else if (unit == '\b') {
      out += u"\\b";
    } else if (unit == '\f') {
      out += u"\\f";
    } else if (unit < 0x20 || (unit >= 0x7f && unit <= 0x9f)) {
      out += u"\\x";
      out += kBigHex[unit >> 4];
      out += kBigHex[unit & 15];
    } else if (IsHigh(unit) && i + 1 < text.size() && IsLow(text[i + 1])) {
      out += unit;
      out += text[++i];
    } else if (IsHigh(unit) || IsLow(unit)) {
      out += u"\\u";
      for (int shift = 12; shift >= 0; shift -= 4) out += kSmallHex[(unit >> shift) & 15];
    } else {
      out += unit;
    }
  }
  return out;
}

}  // namespace

std::u16string ToUtf16(v8::Isolate *isolate, v8::Local<v8::String> text, size_t limit) {
  size_t length = static_cast<size_t>(text->Length());
  if (length > limit) length = limit;
  std::u16string out(length, u'\0');
  compat::CopyTwoByte(isolate, text, 0, length, reinterpret_cast<uint16_t *>(out.data()));
  return out;
}

std::string ToLine(std::u16string_view text, size_t max_bytes) {
  std::string out;
  size_t last_fit = 0; /* bytes that leave room for the mark */
  size_t room = max_bytes - (sizeof(kCutMark) - 1);
  for (size_t at = 0; at < text.size();) {
    char32_t point = NextPoint(text, &at);
    if (point >= 0xd800 && point <= 0xdfff) point = kReplacement;
    if (out.size() <= room) last_fit = out.size();
    AppendUtf8(&out, point);
    if (out.size() > max_bytes) {
      out.resize(last_fit);
      out += kCutMark;
      return out;
    }
  }
  return out;
}

std::u16string FromAscii(std::string_view ascii) {
  return std::u16string(ascii.begin(), ascii.end());
}

std::u16string FromNumber(size_t number) {
  return FromAscii(std::to_string(number));
}

std::u16string EscapeText(std::u16string_view text) {
  return Escape(text, u'\'');
}

std::u16string QuoteText(std::u16string_view text) {
  char16_t quote = u'\'';
  if (text.find(u'\'') != text.npos) {
    if (text.find(u'"') == text.npos) {
      quote = u'"';
    } else if (text.find(u'`') == text.npos && text.find(u"${") == text.npos) {
      quote = u'`';
    }
  }
  return quote + Escape(text, quote == u'\'' ? quote : u'\0') + quote;
}

size_t TextWidth(std::u16string_view text) {
  size_t width = 0;
  for (size_t at = 0; at < text.size();) {
    char32_t point = NextPoint(text, &at);
    if (InRanges(kZeroWidth, point)) continue;
    width += point >= 0x1100 && InRanges(kFullWidth, point) ? 2 : 1;
  }
  return width;
}

bool IsPlainKey(std::u16string_view key) {
  if (key.empty() || (key[0] >= u'0' && key[0] <= u'9')) return false;
  for (char16_t unit : key) {
    if (!((unit >= u'a' && unit <= u'z') || (unit >= u'A' && unit <= u'Z') || unit == u'_' ||
          (unit >= u'0' && unit <= u'9'))) {
      return false;
    }
  }
  return true;
}

std::string IsoDate(double ms_since_epoch) {
  if (!std::isfinite(ms_since_epoch)) return "Invalid Date";
  constexpr int64_t kDayMs = 86400000;
  int64_t ms = static_cast<int64_t>(ms_since_epoch);
  int64_t days = ms / kDayMs - (ms % kDayMs < 0 ? 1 : 0);
  int64_t of_day = ms - days * kDayMs;
  /* Civil date from a day count, in years that begin in March so that the leap day comes last. */
  int64_t shifted = days + 719468;
  int64_t era = (shifted >= 0 ? shifted : shifted - 146096) / 146097;
  int64_t of_era = shifted - era * 146097;
  int64_t year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
  int64_t of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  int64_t march_month = (5 * of_year + 2) / 153;
  int64_t day = of_year - (153 * march_month + 2) / 5 + 1;
  int64_t month = march_month < 10 ? march_month + 3 : march_month - 9;
  int64_t year = year_of_era + era * 400 + (month <= 2 ? 1 : 0);
  const char *sign = year < 0 ? "-" : year > 9999 ? "+" : "";
  char text[64];
  snprintf(text, sizeof(text), "%s%0*lld-%02d-%02dT%02d:%02d:%02d.%03dZ", sign,
           *sign == '\0' ? 4 : 6, static_cast<long long>(year < 0 ? -year : year),
           static_cast<int>(month), static_cast<int>(day), static_cast<int>(of_day / 3600000),
           static_cast<int>(of_day / 60000 % 60), static_cast<int>(of_day / 1000 % 60),
           static_cast<int>(of_day % 1000));
  return text;
}

const char *ViewName(v8::Local<v8::ArrayBufferView> view) {
  struct Kind {
    bool (v8::Value::*is)() const;
    const char *name;
  };
  static constexpr Kind kKinds[] = {
      {&v8::Value::IsUint8Array, "Uint8Array"},
      {&v8::Value::IsUint8ClampedArray, "Uint8ClampedArray"},
      {&v8::Value::IsInt8Array, "Int8Array"},
      {&v8::Value::IsUint16Array, "Uint16Array"},
      {&v8::Value::IsInt16Array, "Int16Array"},
      {&v8::Value::IsUint32Array, "Uint32Array"},
      {&v8::Value::IsInt32Array, "Int32Array"},
      {&v8::Value::IsFloat32Array, "Float32Array"},
      {&v8::Value::IsFloat64Array, "Float64Array"},
      {&v8::Value::IsBigInt64Array, "BigInt64Array"},
      {&v8::Value::IsBigUint64Array, "BigUint64Array"},
      {&v8::Value::IsDataView, "DataView"},
  };
  const v8::Value *value = *view;
  for (const Kind &kind : kKinds) {
    if ((value->*kind.is)()) return kind.name;
  }
  return "TypedArray"; /* one of a newer V8 */
}

std::string RegExpFlags(v8::Local<v8::RegExp> regexp) {
  int flags = regexp->GetFlags();
  std::string text;
  if ((flags & v8::RegExp::kHasIndices) != 0) text += 'd';
  if ((flags & v8::RegExp::kGlobal) != 0) text += 'g';
  if ((flags & v8::RegExp::kIgnoreCase) != 0) text += 'i';
  if ((flags & v8::RegExp::kLinear) != 0) text += 'l';
  if ((flags & v8::RegExp::kMultiline) != 0) text += 'm';
  if ((flags & v8::RegExp::kDotAll) != 0) text += 's';
  if ((flags & v8::RegExp::kUnicode) != 0) text += 'u';
  constexpr int kUnicodeSets = 1 << 8; /* v8::RegExp::kUnicodeSets, which 10.2 does not have */
  if ((flags & kUnicodeSets) != 0) text += 'v';
  if ((flags & v8::RegExp::kSticky) != 0) text += 'y';
  return text;
}

Property ReadProperty(v8::Isolate *isolate, v8::Local<v8::Context> context,
                      v8::Local<v8::Object> object, v8::Local<v8::Name> key) {
  Property property;
  v8::TryCatch quiet(isolate);
  v8::Local<v8::Value> value;
  bool found = object->GetOwnPropertyDescriptor(context, key).ToLocal(&value);
  if (!found || quiet.HasCaught()) {  /* V8 may answer undefined and throw all the same */
    property.kind = Property::kThrew; /* an export that is not initialised yet */
    return property;
  }
  if (!value->IsObject()) return property;
  v8::Local<v8::Object> descriptor = value.As<v8::Object>();
  auto get = [&](const char *name) {
    v8::Local<v8::Value> field;
    if (!descriptor->Get(context, Literal(isolate, name)).ToLocal(&field)) {
      return v8::Local<v8::Value>(v8::Undefined(isolate));
    }
    return field;
  };
  property.enumerable = get("enumerable")->IsTrue();
  /* Own, or a guest's Object.prototype.get would count. */
  if (!descriptor->HasOwnProperty(context, Literal(isolate, "get")).FromMaybe(false)) {
    property.kind = Property::kData;
    property.value = get("value");
    return property;
  }
  property.value = get("get");
  bool getter = property.value->IsFunction();
  bool setter = get("set")->IsFunction();
  if (!getter && !setter) {
    property.kind = Property::kData;
    property.value = v8::Undefined(isolate);
  } else {
    property.kind = !setter  ? Property::kGetter
                    : getter ? Property::kGetterSetter
                             : Property::kSetter;
  }
  return property;
}

Property FindProperty(v8::Isolate *isolate, v8::Local<v8::Context> context,
                      v8::Local<v8::Object> object, v8::Local<v8::Name> key) {
  v8::Local<v8::Value> at = object;
  while (at->IsObject() && !at->IsProxy()) {
    Property property = ReadProperty(isolate, context, at.As<v8::Object>(), key);
    if (property.kind != Property::kNone) return property;
    at = compat::Prototype(at.As<v8::Object>());
  }
  return {};
}

}  // namespace kv8
