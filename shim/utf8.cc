/* SPDX-License-Identifier: MIT
 *
 * utf8.cc: see utf8.hh. Source text is ASCII but for some characters, so that is what is quick.
 */
#include "shim/utf8.hh"

#include <cstring>

namespace kv8 {

namespace {

constexpr size_t kStep = 32;

/* Four words: the compiler makes vector code of it. */
bool IsAsciiStep(const char *data) noexcept {
  constexpr uint64_t kHighBits = 0x8080808080808080U;
  uint64_t words[kStep / sizeof(uint64_t)];
  std::memcpy(words, data, sizeof words);
  return ((words[0] | words[1] | words[2] | words[3]) & kHighBits) == 0;
}

bool Continues(const char *data) noexcept {
  return (static_cast<unsigned char>(*data) & 0xC0U) == 0x80;
}

uint32_t Bits(const char *data) noexcept {
  return static_cast<unsigned char>(*data) & 0x3FU;
}

/* The length of the sequence that `data`, of `left` bytes, begins with, and its character; 0 if it
 * is none. */
size_t Decode(const char *data, size_t left, uint32_t *ret_character) noexcept {
  uint32_t lead = static_cast<unsigned char>(*data);
  if (lead < 0x80) {
    *ret_character = lead;
    return 1;
  }
  if (lead < 0xE0) {
    if (lead < 0xC2 || left < 2 || !Continues(data + 1)) {
      return 0;
    }
    *ret_character = (lead & 0x1FU) << 6 | Bits(data + 1);
    return 2;
  }
  if (lead < 0xF0) {
    if (left < 3 || !Continues(data + 1) || !Continues(data + 2)) {
      return 0;
    }
    uint32_t character = (lead & 0xFU) << 12 | Bits(data + 1) << 6 | Bits(data + 2);
    *ret_character = character;
    return character < 0x800 || (character >= 0xD800 && character < 0xE000) ? 0 : 3;
  }
  if (left < 4 || lead > 0xF4 || !Continues(data + 1) || !Continues(data + 2) ||
      !Continues(data + 3)) {
    return 0;
  }
  uint32_t character =
      (lead & 7U) << 18 | Bits(data + 1) << 12 | Bits(data + 2) << 6 | Bits(data + 3);
  *ret_character = character;
  return character < 0x10000 || character > 0x10FFFF ? 0 : 4;
}

}  // namespace

bool IsAscii(const char *data, size_t length) noexcept {
  size_t i = 0;
  for (; i + kStep <= length; i += kStep) {
    if (!IsAsciiStep(data + i)) {
      return false;
    }
  }
  unsigned char rest = 0;
  for (; i < length; ++i) {
    rest |= static_cast<unsigned char>(data[i]);
  }
  return rest < 0x80;
}

void ToLatin1(const char *data, size_t length, char *out) noexcept {
  for (size_t i = 0; i < length;) {
    if (i + kStep <= length && IsAsciiStep(data + i)) {
      std::memcpy(out, data + i, kStep);
      i += kStep;
      out += kStep;
      continue;
    }
    uint32_t character = 0;
    i += Decode(data + i, length - i, &character);
    *out++ = static_cast<char>(character);
  }
}

bool IsUtf8(const char *data, size_t length, size_t *ret_units, bool *ret_latin1) noexcept {
  size_t units = 0;
  uint32_t all = 0;
  for (size_t i = 0; i < length;) {
    if (i + kStep <= length && IsAsciiStep(data + i)) {
      i += kStep;
      units += kStep;
      continue;
    }
    uint32_t character = 0;
    size_t taken = Decode(data + i, length - i, &character);
    if (taken == 0) {
      return false;
    }
    i += taken;
    units += character < 0x10000 ? 1 : 2;
    all |= character;
  }
  *ret_units = units;
  *ret_latin1 = all < 0x100;
  return true;
}

void ToUtf16(const char *data, size_t length, uint16_t *out) noexcept {
  for (size_t i = 0; i < length;) {
    if (i + kStep <= length && IsAsciiStep(data + i)) {
      for (size_t j = 0; j < kStep; ++j) {
        out[j] = static_cast<unsigned char>(data[i + j]);
      }
      i += kStep;
      out += kStep;
      continue;
    }
    uint32_t character = 0;
    i += Decode(data + i, length - i, &character);
    if (character < 0x10000) {
      *out++ = static_cast<uint16_t>(character);
    } else {
      *out++ = static_cast<uint16_t>(0xD7C0 + (character >> 10));
      *out++ = static_cast<uint16_t>(0xDC00 | (character & 0x3FFU));
    }
  }
}

}  // namespace kv8
