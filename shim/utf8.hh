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

/* Whether the text is valid: no lone surrogates, no overlong forms, nothing beyond U+10FFFF; sets
 * the number of its UTF-16 units, and whether all its characters are below 256. */
bool IsUtf8(const char *data, size_t length, size_t *ret_units, bool *ret_latin1) noexcept;
/* Of a valid text, whose characters are all below 256. */
void ToLatin1(const char *data, size_t length, char *out) noexcept;
/* Of a valid text. */
void ToUtf16(const char *data, size_t length, uint16_t *out) noexcept;

}  // namespace kv8

#endif
