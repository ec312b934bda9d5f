/* SPDX-License-Identifier: MIT
 *
 * fork.cc: what a context needs that is to go on in forked children, after code ran in it
 * (kv8_fork.h). The threads' part is engine.cc's and platform.cc's.
 */
#include "shim/fork.hh"

#include <sys/random.h>

#include "shim/kv8_fork.h"

namespace kv8 {

namespace {

/* xorshift128+, as V8's own Math.random(). */
struct Generator {
  uint64_t first = 0;
  uint64_t second = 0;
};
Generator the_generator;

double NextRandom() noexcept {
  uint64_t a = the_generator.first;
  uint64_t b = the_generator.second;
  the_generator.first = b;
  a ^= a << 23;
  a ^= a >> 17;
  a ^= b;
  a ^= b >> 26;
  the_generator.second = a;
  return static_cast<double>((a + b) >> 11) * 0x1p-53;
}

void OnRandom(const v8::FunctionCallbackInfo<v8::Value> &info) {
  info.GetReturnValue().Set(NextRandom());
}

}  // namespace

bool SeedOwnRandom() noexcept {
  Generator fresh;
  while (fresh.first == 0 || fresh.second == 0) {
    if (getrandom(&fresh, sizeof fresh, 0) != static_cast<ssize_t>(sizeof fresh)) {
      return false;
    }
  }
  the_generator = fresh;
  return true;
}

bool WithoutHidden(v8::Local<v8::Context> context, v8::Local<v8::Array> keys,
                   v8::Local<v8::Array> *ret_keys) {
  ContextState *state = StateOf(context);
  if (state == nullptr || state->hidden.IsEmpty()) {
    *ret_keys = keys;
    return true;
  }
  v8::Isolate *isolate = state->isolate->v8;
  v8::Local<v8::Set> hidden = state->hidden.Get(isolate);
  v8::Local<v8::Array> left = v8::Array::New(isolate);
  uint32_t count = 0;
  for (uint32_t i = 0; i < keys->Length(); i++) {
    v8::HandleScope scope(isolate);
    v8::Local<v8::Value> key;
    bool is_hidden = false;
    if (!keys->Get(context, i).ToLocal(&key) || !hidden->Has(context, key).To(&is_hidden)) {
      return false;
    }
    if (!is_hidden && !left->CreateDataProperty(context, count++, key).FromMaybe(false)) {
      return false;
    }
  }
  *ret_keys = left;
  return true;
}

}  // namespace kv8

using namespace kv8;

kv8_status kv8_context_own_random(kv8_context *context, kv8_error *err) {
  if (context == nullptr || context->state == nullptr) {
    return Invalid(err, "context is NULL or its isolate is freed");
  }
  if (!SeedOwnRandom()) {
    return SetError(err, KV8_EENGINE, "", "getrandom: no random bytes");
  }
  return Enter(context->isolate, Touching(context, 0), err, [&](Entry &entry) {
    v8::Local<v8::Value> math;
    v8::Local<v8::Function> random;
    v8::Local<v8::String> name = Literal(entry.isolate, "random");
    if (!entry.context->Global()
             ->Get(entry.context, Literal(entry.isolate, "Math"))
             .ToLocal(&math) ||
        !v8::Function::New(entry.context, OnRandom, v8::Local<v8::Value>(), 0,
                           v8::ConstructorBehavior::kThrow)
             .ToLocal(&random)) {
      return entry.Fail(KV8_EENGINE);
    }
    random->SetName(name);
    if (!math->IsObject() || math.As<v8::Object>()
                                 ->DefineOwnProperty(entry.context, name, random, v8::DontEnum)
                                 .IsNothing()) {
      return entry.Fail(KV8_EENGINE);
    }
    return KV8_OK;
  });
}

kv8_status kv8_context_hide_globals(kv8_context *context, kv8_error *err) {
  if (context == nullptr || context->state == nullptr) {
    return Invalid(err, "context is NULL or its isolate is freed");
  }
  return Enter(context->isolate, Touching(context, 0), err, [&](Entry &entry) {
    v8::Local<v8::Array> keys;
    v8::Local<v8::Set> hidden = v8::Set::New(entry.isolate);
    if (!entry.context->Global()
             ->GetOwnPropertyNames(entry.context, v8::PropertyFilter::SKIP_SYMBOLS,
                                   v8::KeyConversionMode::kConvertToString)
             .ToLocal(&keys)) {
      return entry.Fail();
    }
    for (uint32_t i = 0; i < keys->Length(); i++) {
      v8::HandleScope scope(entry.isolate);
      v8::Local<v8::Value> key;
      if (!keys->Get(entry.context, i).ToLocal(&key) || hidden->Add(entry.context, key).IsEmpty()) {
        return entry.Fail();
      }
    }
    context->state->hidden.Reset(entry.isolate, hidden);
    return KV8_OK;
  });
}
