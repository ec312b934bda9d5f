/* SPDX-License-Identifier: MIT
 *
 * value.hh: what the files behind kv8_value.h share: checks of handles, short forms of Enter() for
 * calls that give a value, and reading without a frame.
 */
#ifndef KILN_SHIM_VALUE_HH
#define KILN_SHIM_VALUE_HH

#include "shim/internal.hh"

namespace kv8 {

constexpr size_t kArgumentsMax = 65535; /* V8 ends the process over about that many */

inline bool Alive(const kv8_context *context) noexcept {
  return context != nullptr && context->isolate != nullptr && context->state != nullptr;
}

inline bool Alive(const kv8_value *value) noexcept {
  return value != nullptr && value->isolate != nullptr && !value->value.IsEmpty();
}

/* Whether `value` may be used together with `context`. */
inline bool Fits(const kv8_context *context, const kv8_value *value) noexcept {
  return Alive(value) && value->isolate == context->isolate;
}

/* NULL stands for undefined. */
inline bool FitsOrNull(const kv8_context *context, const kv8_value *value) noexcept {
  return value == nullptr || Fits(context, value);
}

bool FitAll(const kv8_context *context, const kv8_value *const *values, size_t count) noexcept;

inline v8::Local<v8::Value> ValueOrUndefined(v8::Isolate *isolate, const kv8_value *value) {
  return value != nullptr ? value->value.Get(isolate) : v8::Undefined(isolate).As<v8::Value>();
}

/* KV8_EINVAL, ERR_INVALID_ARG_TYPE. */
kv8_status WrongType(kv8_error *err, const char *what, const char *problem) noexcept;
/* KV8_ETOOBIG. */
kv8_status TooLong(kv8_error *err) noexcept;

/* Handles to read values with, but no frame: for what neither runs code nor allocates. */
class Peek {
 public:
  explicit Peek(const kv8_value *value)
      : isolate(value->isolate->v8), isolate_scope_(isolate), handle_scope_(isolate) {}
  Peek(const Peek &) = delete;
  Peek &operator=(const Peek &) = delete;

  v8::Isolate *const isolate;

 private:
  v8::Isolate::Scope isolate_scope_;
  v8::HandleScope handle_scope_;
};

/* Enter() for a body that gives a value: kv8_status(Entry &, v8::Local<v8::Value> *ret_value).
 * `ret_value` may be NULL if the caller allows it. */
template <class Body>
kv8_status Give(kv8_isolate *isolate, const EnterOptions &options, kv8_value **ret_value,
                kv8_error *err, Body &&body) noexcept {
  std::unique_ptr<kv8_value> made;
  kv8_status status = Enter(isolate, options, err, [&](Entry &entry) -> kv8_status {
    v8::Local<v8::Value> value;
    kv8_status given = body(entry, &value);
    if (given == KV8_OK && ret_value != nullptr) made = NewValue(entry.owner, value);
    return given;
  });
  if (status == KV8_OK && ret_value != nullptr) *ret_value = made.release();
  return status;
}

/* Keeps built-ins of a fresh context, which scripts may replace later; part of making it. */
kv8_status KeepIntrinsics(Entry &entry, v8::Local<v8::Context> context);

/* Conversions inside Enter(), with `what` to name the argument; KV8_EINVAL where it is something
 * else. */
kv8_status ToObject(Entry &entry, const kv8_value *value, const char *what,
                    v8::Local<v8::Object> *ret_object);
kv8_status ToKey(Entry &entry, const kv8_value *value, v8::Local<v8::Name> *ret_key);
kv8_status ToKey(Entry &entry, kv8_span text, v8::Local<v8::Name> *ret_key);
kv8_status ToFunction(Entry &entry, const kv8_value *value, const char *what,
                      v8::Local<v8::Function> *ret_function);

/* What the calls on one object share: its handle is checked, and the body gets the object. */
template <class Body>
kv8_status OnObject(kv8_context *context, const kv8_value *handle, kv8_error *err, Body &&body) {
  if (!Alive(context) || !Fits(context, handle)) {
    return Invalid(err, "context and an object of its isolate are needed");
  }
  return Enter(context->isolate, Touching(context), err, [&](Entry &entry) -> kv8_status {
    v8::Local<v8::Object> object;
    kv8_status status = ToObject(entry, handle, "object", &object);
    return status == KV8_OK ? body(entry, object) : status;
  });
}

/* The same for bodies that give a value. */
template <class Body>
kv8_status GiveOfObject(kv8_context *context, const kv8_value *handle, kv8_value **ret_value,
                        kv8_error *err, Body &&body) {
  if (ret_value == nullptr) return Invalid(err, "where the answer is to go is NULL");
  std::unique_ptr<kv8_value> made;
  kv8_status status =
      OnObject(context, handle, err, [&](Entry &entry, v8::Local<v8::Object> object) {
        v8::Local<v8::Value> value;
        kv8_status given = body(entry, object, &value);
        if (given == KV8_OK) made = NewValue(entry.owner, value);
        return given;
      });
  if (status == KV8_OK) *ret_value = made.release();
  return status;
}

/* And for bodies that answer yes or no, with a key. */
template <class Body>
kv8_status AskOfKey(kv8_context *context, const kv8_value *handle, const kv8_value *key,
                    bool *ret_answer, kv8_error *err, Body &&body) {
  if (!Alive(context) || !Fits(context, key) || ret_answer == nullptr) {
    return Invalid(err, "context, a key of its isolate and where the answer is to go are needed");
  }
  bool answer = false;
  kv8_status status =
      OnObject(context, handle, err, [&](Entry &entry, v8::Local<v8::Object> object) {
        v8::Local<v8::Name> name;
        kv8_status found = ToKey(entry, key, &name);
        if (found != KV8_OK) return found;
        return body(entry, object, name).To(&answer) ? KV8_OK : entry.Fail();
      });
  if (status == KV8_OK) *ret_answer = answer;
  return status;
}

/* An Error of `context` as kv8_error_object() describes it; never fails, but what V8 has no memory
 * for is left out. Runs no guest code. */
v8::Local<v8::Value> MakeError(v8::Isolate *isolate, v8::Local<v8::Context> context,
                               kv8_error_class error_class, std::string_view code,
                               std::string_view message);

}  // namespace kv8

#endif
