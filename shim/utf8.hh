/* SPDX-License-Identifier: MIT
 *
 * utf8.hh: UTF-8, and what V8's strings are made of. Nothing here knows V8.
 */
#ifndef KV8_UTF8_HH
#define KV8_UTF8_HH

#include <cstddef>
#include <cstdint>

namespace kv8 {

/* Whether every byte is below 0x80; reads 8 or more bytes at a time. */
bool IsAscii(const char *data, size_t length) noexcept;

/* Whether the text is valid and has only characters below 256; sets their number. */
bool IsLatin1(const char *data, size_t length, size_t *ret_characters) noexcept;
/* Of such a text. */
void ToLatin1(const char *data, size_t length, char *out) noexcept;

/* Whether the text is valid: no lone surrogates, no overlong forms, nothing beyond U+10FFFF; sets
 * the number of its UTF-16 units. */
bool IsUtf8(const char *data, size_t length, size_t *ret_units) noexcept;
/* Of such a text. */
void ToUtf16(const char *data, size_t length, uint16_t *out) noexcept;

}  // namespace kv8

#endif
