/* SPDX-License-Identifier: MIT
 *
 * holder.hh: C++ data as old as a JavaScript object (holder.cc). Part of internal.hh.
 */
#ifndef KILN_SHIM_HOLDER_HH
#define KILN_SHIM_HOLDER_HH

#include <initializer_list>
#include <memory>

#include "shim/compat.hh"
#include "shim/kv8.h"

namespace kv8 {

/* C++ data that lives as long as a JavaScript object: derive from it. It is deleted soon after V8
 * has collected the object (at the end of the next call of this library), or with the isolate, when
 * V8 is still there. Its destructor may reset handles, and call callers' `release`; nothing else.
 */
struct Held {
  Held() = default;
  virtual ~Held(); /* leaves its list */
  Held(const Held &) = delete;
  Held &operator=(const Held &) = delete;

  kv8_isolate *keeper = nullptr; /* NULL: on no list */
  Held *earlier = nullptr;
  Held *later = nullptr;
  v8::Global<v8::Object> holder; /* weak */
};

/* What an object can hold, each once. */
enum class HoldKey : unsigned { kContext, kScript, kModule, kAttached };
constexpr size_t kHoldKeys = 4;

/* What an isolate needs for it. */
struct Holders {
  Held *live = nullptr;
  Held *dead = nullptr; /* their objects are collected */
  bool closed = false;  /* all are deleted: the isolate is about to go */
  v8::Global<v8::ObjectTemplate> shape;
  v8::Global<v8::Private> keys[kHoldKeys];
};

constexpr int kHolderReferences = 4;

/* Makes a hidden object that owns `held` and refers to other things on V8's heap (modules, scripts,
 * functions, a context's global) in a way the garbage collector sees: cycles through it are
 * collected. It belongs to `context`, which it keeps alive. Empty if V8 has no memory. */
v8::MaybeLocal<v8::Object> NewHolder(kv8_isolate *isolate, v8::Local<v8::Context> context,
                                     std::unique_ptr<Held> held,
                                     std::initializer_list<v8::Local<v8::Data>> references = {});
/* Replaces a reference; an empty one ends it. */
void SetHolderReference(v8::Isolate *isolate, v8::Local<v8::Object> holder, int index,
                        v8::Local<v8::Data> reference);
Held *HeldOf(v8::Local<v8::Object> holder);

/* Makes `object` keep `holder` alive, under a key no script can see; Proxies and frozen objects,
 * too, and no trap runs. It replaces what the object held under this key. */
bool Hold(kv8_isolate *isolate, v8::Local<v8::Context> context, v8::Local<v8::Object> object,
          HoldKey key, v8::Local<v8::Object> holder);
/* Ends that. */
bool Unhold(kv8_isolate *isolate, v8::Local<v8::Context> context, v8::Local<v8::Object> object,
            HoldKey key);
/* The holder that exactly this object has under `key`, empty where there is none; and what it
 * holds, NULL where there is none. While a termination is on its way, none is found. */
v8::MaybeLocal<v8::Object> HolderOf(kv8_isolate *isolate, v8::Local<v8::Value> object, HoldKey key);
Held *HeldBy(kv8_isolate *isolate, v8::Local<v8::Value> object, HoldKey key);

/* For weak callbacks of other kinds, in their first pass: has `held`, which is on no list, deleted
 * when that is allowed. */
void Bury(kv8_isolate *isolate, Held *held) noexcept;
/* Deletes the dead; `all`: the living, too. Not during a garbage collection. */
void ReapHeld(kv8_isolate *isolate, bool all) noexcept;

}  // namespace kv8

#endif
