/* SPDX-License-Identifier: MIT
 *
 * attach.cc: C data that an object owns, under tags. It does not keep anything of JavaScript alive.
 */
#include "shim/value.hh"

namespace kv8 {

namespace {

struct Attachment {
  const void *tag;
  void *data;
  void (*release)(void *data);
};

/* All that one object owns. */
struct Attached final : Held {
  Attached() = default;
  ~Attached() override {
    for (const Attachment &one : all) {
      if (one.release != nullptr) one.release(one.data);
    }
  }

  std::vector<Attachment> all;
};

const Attachment *Find(Held *held, const void *tag) noexcept {
  if (held == nullptr) return nullptr;
  for (const Attachment &one : static_cast<Attached *>(held)->all) {
    if (one.tag == tag) return &one;
  }
  return nullptr;
}

/* What the object owns, made if there is nothing yet. */
kv8_status AttachedTo(Entry &entry, v8::Local<v8::Object> object, Attached **ret_attached) {
  if (Held *held = HeldBy(entry.owner, object, HoldKey::kAttached)) {
    *ret_attached = static_cast<Attached *>(held);
    return KV8_OK;
  }
  auto made = std::make_unique<Attached>();
  *ret_attached = made.get();
  v8::Local<v8::Object> holder;
  if (!NewHolder(entry.owner, entry.context, std::move(made)).ToLocal(&holder) ||
      !Hold(entry.owner, entry.context, object, HoldKey::kAttached, holder)) {
    return entry.Fail();
  }
  return KV8_OK;
}

}  // namespace
}  // namespace kv8

using namespace kv8;

kv8_status kv8_object_attach(kv8_context *context, const kv8_value *object, const void *tag,
                             void *data, void (*release)(void *data), kv8_error *err) {
  if (!Alive(context) || !Fits(context, object) || tag == nullptr) {
    return Invalid(err, "context, an object of its isolate and tag are needed");
  }
  Attached *attached = nullptr;
  kv8_status status = Enter(context->isolate, In(context), err, [&](Entry &entry) -> kv8_status {
    v8::Local<v8::Object> target;
    kv8_status found = ToObject(entry, object, "object", &target);
    if (found == KV8_OK) found = AttachedTo(entry, target, &attached);
    if (found != KV8_OK) return found;
    if (Find(attached, tag) != nullptr) {
      return SetError(entry.err, KV8_ESTATE, "", "the object has data with this tag");
    }
    attached->all.reserve(attached->all.size() + 1);
    return KV8_OK;
  });
  /* Not before it is certain: an interruption may have made a failure of it. */
  if (status == KV8_OK) attached->all.push_back({tag, data, release});
  return status;
}

void *kv8_object_get_attached(const kv8_value *object, const void *tag) {
  if (!Alive(object)) return nullptr;
  Peek peek(object);
  const Attachment *found =
      Find(HeldBy(object->isolate, object->value.Get(peek.isolate), HoldKey::kAttached), tag);
  return found != nullptr ? found->data : nullptr;
}
