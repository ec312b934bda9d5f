/* SPDX-License-Identifier: MIT
 *
 * json_text.hh: the growing UTF-8 text json.cc writes into: bounded, malloc'ed so that it can be
 * handed over without a copy, with JSON's string escapes. It knows no values.
 */
#ifndef KILN_SHIM_JSON_TEXT_HH
#define KILN_SHIM_JSON_TEXT_HH

#include <cstring>

#include "shim/internal.hh"

namespace kv8 {

class JsonText {
 public:
  explicit JsonText(size_t max_bytes) noexcept : max_(max_bytes) {}
  ~JsonText();
  JsonText(const JsonText &) = delete;
  JsonText &operator=(const JsonText &) = delete;

  /* Past the limit these do nothing more; TooBig() then says so. */
  void Add(std::string_view text) {
    char *to = Reserve(text.size());
    if (to != nullptr) {
      std::memcpy(to, text.data(), text.size());
      length_ += text.size();
    }
  }

  /* A JSON string literal: the same text as JSON.stringify's, lone surrogates escaped. */
  void AddString(v8::Isolate *isolate, v8::Local<v8::String> text);

  /* The characters of a string V8 made of a number. */
  void AddRaw(v8::Isolate *isolate, v8::Local<v8::String> ascii);

  void AddBase64(const uint8_t *data, size_t length);

  bool TooBig() const noexcept {
    return too_big_;
  }

  /* Hands over the bytes. */
  kv8_blob Take() noexcept;

 private:
  /* Room for `more` bytes; NULL past the limit. Throws std::bad_alloc. */
  char *Reserve(size_t more);
  void AddOneByte(const uint8_t *units, size_t count);
  void AddTwoByte(const uint16_t *units, size_t count, uint16_t *pending_high);

  char *data_ = nullptr;
  size_t length_ = 0;
  size_t capacity_ = 0;
  const size_t max_;
  bool too_big_ = false;
};

/* Writes `value` as JSON, describing what JSON cannot hold (json_walk.cc). */
kv8_status WalkJson(Entry &entry, v8::Local<v8::Value> value, size_t max_bytes, unsigned max_depth,
                    kv8_blob *ret_json);

/* The own enumerable properties of `object`, a global, that are not hidden, whatever its toJSON
 * says. */
kv8_status WalkJsonProperties(Entry &entry, v8::Local<v8::Object> object, size_t max_bytes,
                              unsigned max_depth, kv8_blob *ret_json);

}  // namespace kv8

#endif
