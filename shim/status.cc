/* SPDX-License-Identifier: MIT
 *
 * status.cc: status names and texts, filling kv8_error, and the two byte containers of kv8.h.
 * Nothing here knows V8; describing an exception is guard.cc's.
 */
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "shim/internal.hh"

namespace kv8 {

namespace {

/* The longest start of `text` that is at most `limit` bytes and does not end inside a character. */
size_t CutUtf8(std::string_view text, size_t limit) noexcept {
  size_t length = limit;
  while (length > 0 && (static_cast<unsigned char>(text[length]) & 0xC0U) == 0x80U) {
    --length;
  }
  return length;
}

}  // namespace

void SealText(char *field, size_t length) noexcept {
  std::replace(field, field + length, '\0', '?');
  field[length] = '\0';
}

void CopyText(char *field, size_t size, std::string_view text) noexcept {
  constexpr std::string_view kDots = "...";
  size_t length = text.size();
  bool cut = length > size - 1;
  if (cut) {
    length = CutUtf8(text, size - 1 - kDots.size());
  }
  std::memcpy(field, text.data(), length);
  if (cut) {
    std::memcpy(field + length, kDots.data(), kDots.size());
    length += kDots.size();
  }
  SealText(field, length);
}

kv8_status SetError(kv8_error *err, kv8_status status, const char *code, const char *format,
                    ...) noexcept {
  if (err == nullptr) {
    return status;
  }
  err->status = status;
  err->line = 0;
  err->column = 0;
  err->end_column = 0;
  err->resource[0] = '\0';
  err->source_line[0] = '\0';
  err->stack[0] = '\0';
  CopyText(err->code, sizeof err->code, code);
  CopyText(err->name, sizeof err->name, "Error");
  /* One byte more than fits, so that CopyText() sees the excess and marks it. */
  char message[sizeof err->message + 1];
  va_list arguments;
  va_start(arguments, format);
  int length = std::vsnprintf(message, sizeof message, format, arguments);
  va_end(arguments);
  CopyText(err->message, sizeof err->message, length < 0 ? format : message);
  return status;
}

kv8_status Invalid(kv8_error *err, const char *message) noexcept {
  return SetError(err, KV8_EINVAL, "", "%s", message);
}

kv8_blob NewBlob(const void *data, size_t length) {
  if (length == 0) {
    return {nullptr, 0};
  }
  auto *copy = static_cast<uint8_t *>(std::malloc(length));
  if (copy == nullptr) {
    throw std::bad_alloc();
  }
  std::memcpy(copy, data, length);
  return {copy, length};
}

}  // namespace kv8

const char *kv8_status_name(kv8_status status) {
  switch (status) {
#define KV8_STATUS_NAME(symbol, number, text) \
  case symbol:                                \
    return #symbol;
    KV8_STATUS_MAP(KV8_STATUS_NAME)
#undef KV8_STATUS_NAME
  }
  return "unknown status";
}

const char *kv8_status_text(kv8_status status) {
  switch (status) {
#define KV8_STATUS_TEXT(symbol, number, text) \
  case symbol:                                \
    return text;
    KV8_STATUS_MAP(KV8_STATUS_TEXT)
#undef KV8_STATUS_TEXT
  }
  return "unknown status";
}

kv8_span kv8_span_from(const char *text) {
  return text == nullptr ? kv8_span{nullptr, 0} : kv8_span{text, std::strlen(text)};
}

void kv8_blob_free(kv8_blob *blob) {
  if (blob != nullptr) {
    std::free(blob->data);
    blob->data = nullptr;
    blob->length = 0;
  }
}
