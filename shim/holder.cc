/* SPDX-License-Identifier: MIT
 *
 * holder.cc: C++ data that lives as long as a JavaScript object. A weak handle alone would do for
 * that, but not for what the data refers to: a strong handle from C++ back to the heap makes a
 * cycle that V8 never collects (P03, P05). So what the data needs alive is referred to by internal
 * fields of a hidden object, and the object that owns the data refers to the hidden one by a
 * private symbol: V8 sees every edge.
 */
#include "shim/internal.hh"

namespace kv8 {

namespace {

constexpr int kDataField = 0;
constexpr int kFirstReference = 1;

void Unlink(Held *held) noexcept {
  Holders &holders = held->keeper->holders;
  if (held->earlier != nullptr) {
    held->earlier->later = held->later;
  } else if (holders.live == held) {
    holders.live = held->later;
  } else {
    holders.dead = held->later;
  }
  if (held->later != nullptr) {
    held->later->earlier = held->earlier;
  }
  held->earlier = held->later = nullptr;
  held->keeper = nullptr;
}

void Link(kv8_isolate *isolate, Held **list, Held *held) noexcept {
  held->keeper = isolate;
  held->later = *list;
  if (held->later != nullptr) {
    held->later->earlier = held;
  }
  *list = held;
}

/* V8 allows little here, and runs second passes from a task, which may never be pumped: so the rest
 * is done at the end of the next call. */
void OnCollected(const v8::WeakCallbackInfo<Held> &info) {
  Held *held = info.GetParameter();
  held->holder.Reset();
  kv8_isolate *isolate = held->keeper;
  Unlink(held);
  Bury(isolate, held);
}

v8::Local<v8::Private> KeyOf(kv8_isolate *isolate, HoldKey key) {
  v8::Global<v8::Private> &slot = isolate->holders.keys[static_cast<unsigned>(key)];
  if (slot.IsEmpty()) {
    slot.Reset(isolate->v8, v8::Private::New(isolate->v8));
  }
  return slot.Get(isolate->v8);
}

/* V8 wants one to read a private property, although nothing runs. */
v8::Local<v8::Context> SomeContext(kv8_isolate *isolate) {
  if (isolate->v8->InContext()) {
    return isolate->v8->GetCurrentContext();
  }
  return isolate->contexts != nullptr ? isolate->contexts->context.Get(isolate->v8)
                                      : isolate->spare.Get(isolate->v8);
}

}  // namespace

Held::~Held() {
  if (keeper != nullptr) {
    Unlink(this);
  }
}

v8::MaybeLocal<v8::Object> NewHolder(kv8_isolate *isolate, v8::Local<v8::Context> context,
                                     std::unique_ptr<Held> held,
                                     std::initializer_list<v8::Local<v8::Data>> references) {
  v8::EscapableHandleScope scope(isolate->v8);
  Holders &holders = isolate->holders;
  if (holders.closed) {
    return {};
  }
  if (holders.shape.IsEmpty()) {
    v8::Local<v8::ObjectTemplate> shape = v8::ObjectTemplate::New(isolate->v8);
    shape->SetInternalFieldCount(kFirstReference + kHolderReferences);
    holders.shape.Reset(isolate->v8, shape);
  }
  v8::Local<v8::Object> holder;
  if (!holders.shape.Get(isolate->v8)->NewInstance(context).ToLocal(&holder)) {
    return {};
  }
  compat::SetInternalPointer(holder, kDataField, held.get());
  int index = 0;
  for (v8::Local<v8::Data> reference : references) {
    if (index < kHolderReferences) {
      SetHolderReference(isolate->v8, holder, index++, reference);
    }
  }
  Link(isolate, &holders.live, held.get());
  held->holder.Reset(isolate->v8, holder);
  held->holder.SetWeak(held.get(), OnCollected, v8::WeakCallbackType::kParameter);
  held.release();
  return scope.Escape(holder);
}

void SetHolderReference(v8::Isolate *isolate, v8::Local<v8::Object> holder, int index,
                        v8::Local<v8::Data> reference) {
  if (reference.IsEmpty()) {
    reference = v8::Undefined(isolate);
  }
  compat::SetInternalField(holder, kFirstReference + index, reference);
}

Held *HeldOf(v8::Local<v8::Object> holder) {
  return static_cast<Held *>(compat::GetInternalPointer(holder, kDataField));
}

bool Hold(kv8_isolate *isolate, v8::Local<v8::Context> context, v8::Local<v8::Object> object,
          HoldKey key, v8::Local<v8::Object> holder) {
  return object->SetPrivate(context, KeyOf(isolate, key), holder).FromMaybe(false);
}

bool Unhold(kv8_isolate *isolate, v8::Local<v8::Context> context, v8::Local<v8::Object> object,
            HoldKey key) {
  return object->SetPrivate(context, KeyOf(isolate, key), v8::Undefined(isolate->v8))
      .FromMaybe(false);
}

v8::MaybeLocal<v8::Object> HolderOf(kv8_isolate *isolate, v8::Local<v8::Value> object,
                                    HoldKey key) {
  if (isolate->holders.closed) {
    return {};
  }
  v8::Local<v8::Value> holder;
  v8::Local<v8::Context> context = SomeContext(isolate);
  if (context.IsEmpty() || !object->IsObject() ||
      !object.As<v8::Object>()->GetPrivate(context, KeyOf(isolate, key)).ToLocal(&holder) ||
      !holder->IsObject()) {
    return {};
  }
  return holder.As<v8::Object>();
}

Held *HeldBy(kv8_isolate *isolate, v8::Local<v8::Value> object, HoldKey key) {
  v8::Local<v8::Object> holder;
  return HolderOf(isolate, object, key).ToLocal(&holder) ? HeldOf(holder) : nullptr;
}

void Bury(kv8_isolate *isolate, Held *held) noexcept {
  Link(isolate, &isolate->holders.dead, held);
}

void ReapHeld(kv8_isolate *isolate, bool all) noexcept {
  Holders &holders = isolate->holders;
  holders.closed = all;
  while (Held *held = holders.dead != nullptr || !all ? holders.dead : holders.live) {
    Unlink(held); /* before its destructor, which may come back here */
    delete held;
  }
  if (all) {
    holders.shape.Reset();
    for (v8::Global<v8::Private> &key : holders.keys) {
      key.Reset();
    }
  }
}

}  // namespace kv8
