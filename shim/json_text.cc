/* SPDX-License-Identifier: MIT
 *
 * json_text.cc: see json_text.hh. Strings are fetched from V8 in chunks of units, never by the
 * character, and escaped here.
 */
#include "shim/json_text.hh"

#include <cstdlib>
#include <new>

namespace kv8 {
namespace {

constexpr size_t kChunk = 4096;  /* units fetched from V8 at once */
constexpr size_t kUnitBytes = 6; /* the most one unit becomes: \uXXXX */
constexpr size_t kFirstBytes = 256;

constexpr char kHex[] = "0123456789abcdef";

/* What a one-byte character needs: 0 as it is, 1 \u00XX, 2 two UTF-8 bytes, else the letter after
 * the backslash. */
struct EscapeTable {
  uint8_t at[256];
  constexpr EscapeTable() : at() {
    for (int c = 0; c < 256; c++) at[c] = c < 0x20 ? 1 : c < 0x80 ? 0 : 2;
    at[uint8_t{'"'}] = '"';
    at[uint8_t{'\\'}] = '\\';
    at[uint8_t{'\b'}] = 'b';
    at[uint8_t{'\f'}] = 'f';
    at[uint8_t{'\n'}] = 'n';
    at[uint8_t{'\r'}] = 'r';
    at[uint8_t{'\t'}] = 't';
  }
};
constexpr EscapeTable kEscapes;

char *PutUnicodeEscape(char *to, uint16_t unit) {
  *to++ = '\\';
  *to++ = 'u';
  for (int shift = 12; shift >= 0; shift -= 4) *to++ = kHex[(unit >> shift) & 15];
  return to;
}

/* One character below 0x100 that is not plain ASCII. */
char *PutEscaped(char *to, uint8_t c) {
  uint8_t how = kEscapes.at[c];
  if (how == 1) return PutUnicodeEscape(to, c);
  if (how == 2) {
    *to++ = static_cast<char>(0xc0 | (c >> 6));
    *to++ = static_cast<char>(0x80 | (c & 0x3f));
    return to;
  }
  *to++ = '\\';
  *to++ = static_cast<char>(how);
  return to;
}

char *PutPair(char *to, uint16_t high, uint16_t low) {
  uint32_t point = 0x10000 + ((high - 0xd800u) << 10) + (low - 0xdc00u);
  *to++ = static_cast<char>(0xf0 | (point >> 18));
  *to++ = static_cast<char>(0x80 | ((point >> 12) & 0x3f));
  *to++ = static_cast<char>(0x80 | ((point >> 6) & 0x3f));
  *to++ = static_cast<char>(0x80 | (point & 0x3f));
  return to;
}

}  // namespace

JsonText::~JsonText() {
  std::free(data_);
}

char *JsonText::Reserve(size_t more) {
  if (too_big_ || more > max_ - length_) {
    too_big_ = true;
    return nullptr;
  }
  if (more > capacity_ - length_) {
    size_t wanted = capacity_ < kFirstBytes ? kFirstBytes : capacity_ + capacity_ / 2;
    if (wanted < length_ + more) wanted = length_ + more;
    char *grown = static_cast<char *>(std::realloc(data_, wanted));
    if (grown == nullptr) throw std::bad_alloc();
    data_ = grown;
    capacity_ = wanted;
  }
  return data_ + length_;
}

void JsonText::AddOneByte(const uint8_t *units, size_t count) {
  char room[kChunk * 2 + kUnitBytes]; /* flushed in between: escapes are rare */
  char *to = room;
  char *const limit = room + kChunk * 2;
  size_t i = 0;
  while (i < count) {
    size_t run = i;
    while (run < count && kEscapes.at[units[run]] == 0) run++;
    size_t plain = run - i;
    if (plain > static_cast<size_t>(limit - to)) {
      Add({room, static_cast<size_t>(to - room)});
      to = room;
    }
    std::memcpy(to, units + i, plain);
    to += plain;
    i = run;
    if (i < count) {
      if (to >= limit) {
        Add({room, static_cast<size_t>(to - room)});
        to = room;
      }
      to = PutEscaped(to, units[i++]);
    }
  }
  Add({room, static_cast<size_t>(to - room)});
}

void JsonText::AddTwoByte(const uint16_t *units, size_t count, uint16_t *pending_high) {
  char room[kChunk * kUnitBytes + kUnitBytes * 2];
  char *to = room;
  uint16_t high = *pending_high;
  for (size_t i = 0; i < count; i++) {
    uint16_t unit = units[i];
    if (high != 0) {
      if (unit >= 0xdc00 && unit <= 0xdfff) {
        to = PutPair(to, high, unit);
        high = 0;
        continue;
      }
      to = PutUnicodeEscape(to, high);
      high = 0;
    }
    if (unit < 0x100) {
      if (kEscapes.at[unit] == 0) {
        *to++ = static_cast<char>(unit);
      } else {
        to = PutEscaped(to, static_cast<uint8_t>(unit));
      }
    } else if (unit < 0x800) {
      *to++ = static_cast<char>(0xc0 | (unit >> 6));
      *to++ = static_cast<char>(0x80 | (unit & 0x3f));
    } else if (unit >= 0xd800 && unit <= 0xdbff) {
      high = unit;
    } else if (unit >= 0xdc00 && unit <= 0xdfff) {
      to = PutUnicodeEscape(to, unit);
    } else {
      *to++ = static_cast<char>(0xe0 | (unit >> 12));
      *to++ = static_cast<char>(0x80 | ((unit >> 6) & 0x3f));
      *to++ = static_cast<char>(0x80 | (unit & 0x3f));
    }
  }
  *pending_high = high;
  Add({room, static_cast<size_t>(to - room)});
}

void JsonText::AddString(v8::Isolate *isolate, v8::Local<v8::String> text) {
  Add("\"");
  size_t length = static_cast<size_t>(text->Length());
  if (text->IsOneByte()) {
    uint8_t units[kChunk];
    for (size_t at = 0; at < length && !too_big_;) {
      size_t count = length - at < kChunk ? length - at : kChunk;
      compat::CopyOneByte(isolate, text, at, count, units);
      AddOneByte(units, count);
      at += count;
    }
  } else {
    uint16_t units[kChunk];
    uint16_t high = 0;
    for (size_t at = 0; at < length && !too_big_;) {
      size_t count = length - at < kChunk ? length - at : kChunk;
      compat::CopyTwoByte(isolate, text, at, count, units);
      AddTwoByte(units, count, &high);
      at += count;
    }
    if (high != 0) {
      char escape[kUnitBytes];
      char *end = PutUnicodeEscape(escape, high);
      Add({escape, static_cast<size_t>(end - escape)});
    }
  }
  Add("\"");
}

void JsonText::AddRaw(v8::Isolate *isolate, v8::Local<v8::String> ascii) {
  uint8_t units[kChunk];
  size_t length = static_cast<size_t>(ascii->Length());
  for (size_t at = 0; at < length && !too_big_;) {
    size_t count = length - at < kChunk ? length - at : kChunk;
    compat::CopyOneByte(isolate, ascii, at, count, units);
    Add({reinterpret_cast<const char *>(units), count});
    at += count;
  }
}

void JsonText::AddBase64(const uint8_t *data, size_t length) {
  static constexpr char kDigits[] =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (size_t i = 0; i < length && !too_big_; i += 3) {
    size_t left = length - i;
    uint32_t bits = static_cast<uint32_t>(data[i]) << 16;
    if (left > 1) bits |= static_cast<uint32_t>(data[i + 1]) << 8;
    if (left > 2) bits |= data[i + 2];
    char four[4] = {kDigits[bits >> 18], kDigits[(bits >> 12) & 63],
                    left > 1 ? kDigits[(bits >> 6) & 63] : '=',
                    left > 2 ? kDigits[bits & 63] : '='};
    Add({four, 4});
  }
}

kv8_blob JsonText::Take() noexcept {
  kv8_blob blob = {reinterpret_cast<uint8_t *>(data_), length_};
  data_ = nullptr;
  length_ = 0;
  capacity_ = 0;
  return blob;
}

}  // namespace kv8
