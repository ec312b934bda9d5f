/* SPDX-License-Identifier: MIT
 *
 * buffer.cc: ArrayBuffers, views of them, and their bytes. V8's own ways to make a buffer end the
 * process when there is no memory, or the isolate's limit is reached: so memory comes from the
 * isolate's allocator first.
 */
#include <cstring>

#include "shim/value.hh"

namespace kv8 {

namespace {

/* What every V8 takes; a view may not be longer. */
constexpr size_t kViewMaxBytes = 0xffffffffU;

using Keeper = std::shared_ptr<ArrayBufferAllocator>;

/* A buffer may outlive its isolate, so it keeps the allocator. */
struct Memory {
  v8::ArrayBuffer::Allocator *allocator;
  Keeper keeper;
};

void FreeMemory(void *data, size_t length, void *argument) {
  std::unique_ptr<Memory> memory(static_cast<Memory *>(argument));
  if (data != nullptr) memory->allocator->Free(data, length);
}

kv8_status NewBuffer(Entry &entry, kv8_span bytes, v8::Local<v8::Value> *ret_buffer) {
  auto memory = std::make_unique<Memory>();
  memory->allocator = entry.isolate->GetArrayBufferAllocator();
  memory->keeper = entry.owner->allocator;
  auto allocate = [&] {
    return bytes.data == nullptr ? memory->allocator->Allocate(bytes.length)
                                 : memory->allocator->AllocateUninitialized(bytes.length);
  };
  void *data = allocate();
  if (data == nullptr) {
    entry.isolate->LowMemoryNotification(); /* buffers that nobody uses count, too */
    data = allocate();
  }
  if (data == nullptr) {
    return SetError(entry.err, KV8_ETOOBIG, "", "array buffer of %zu bytes: over the limit",
                    bytes.length);
  }
  if (bytes.data != nullptr) std::memcpy(data, bytes.data, bytes.length);
  std::shared_ptr<v8::BackingStore> store =
      v8::ArrayBuffer::NewBackingStore(data, bytes.length, FreeMemory, memory.release());
  *ret_buffer = v8::ArrayBuffer::New(entry.isolate, std::move(store));
  return KV8_OK;
}

/* V8 deprecated and then removed more direct ways. */
template <class Buffer>
void BytesOf(v8::Local<Buffer> buffer, uint8_t **ret_data, size_t *ret_length) {
  *ret_data = static_cast<uint8_t *>(buffer->GetBackingStore()->Data());
  *ret_length = buffer->ByteLength();
}

}  // namespace
}  // namespace kv8

using namespace kv8;

kv8_status kv8_array_buffer(kv8_context *context, kv8_span data, kv8_value **ret_buffer,
                            kv8_error *err) {
  if (!Alive(context) || ret_buffer == nullptr) {
    return Invalid(err, "context and ret_buffer are needed");
  }
  return Give(
      context->isolate, In(context), ret_buffer, err,
      [&](Entry &entry, v8::Local<v8::Value> *buffer) { return NewBuffer(entry, data, buffer); });
}

kv8_status kv8_uint8_array(kv8_context *context, const kv8_value *buffer, size_t offset,
                           size_t length, kv8_value **ret_array, kv8_error *err) {
  if (!Alive(context) || !Fits(context, buffer) || ret_array == nullptr) {
    return Invalid(err, "context, a buffer of its isolate and ret_array are needed");
  }
  return Give(
      context->isolate, In(context), ret_array, err,
      [&](Entry &entry, v8::Local<v8::Value> *array) -> kv8_status {
        v8::Local<v8::Value> value = buffer->value.Get(entry.isolate);
        bool is_shared = value->IsSharedArrayBuffer();
        if (!is_shared && !value->IsArrayBuffer()) {
          return WrongType(entry.err, "buffer", "not an ArrayBuffer");
        }
        size_t size = is_shared ? value.As<v8::SharedArrayBuffer>()->ByteLength()
                                : value.As<v8::ArrayBuffer>()->ByteLength();
        if (offset > size || length > size - offset || length > kViewMaxBytes) {
          return SetError(entry.err, KV8_EINVAL, "ERR_OUT_OF_RANGE",
                          "bytes %zu to %zu of a buffer of %zu", offset, offset + length, size);
        }
        *array = is_shared ? v8::Uint8Array::New(value.As<v8::SharedArrayBuffer>(), offset, length)
                           : v8::Uint8Array::New(value.As<v8::ArrayBuffer>(), offset, length);
        return KV8_OK;
      });
}

kv8_status kv8_buffer_get_bytes(const kv8_value *buffer, uint8_t **ret_data, size_t *ret_length,
                                kv8_error *err) {
  if (!Alive(buffer) || ret_data == nullptr || ret_length == nullptr) {
    return Invalid(err, "buffer, ret_data and ret_length are needed");
  }
  uint8_t *data = nullptr;
  size_t length = 0;
  kv8_status status = Enter(buffer->isolate, {}, err, [&](Entry &entry) -> kv8_status {
    v8::Local<v8::Value> value = buffer->value.Get(entry.isolate);
    if (value->IsArrayBuffer()) {
      BytesOf(value.As<v8::ArrayBuffer>(), &data, &length);
    } else if (value->IsSharedArrayBuffer()) {
      BytesOf(value.As<v8::SharedArrayBuffer>(), &data, &length);
    } else if (value->IsArrayBufferView()) {
      v8::Local<v8::ArrayBufferView> view = value.As<v8::ArrayBufferView>();
      size_t size = 0;
      BytesOf(view->Buffer(), &data, &size);
      length = size == 0 ? 0 : view->ByteLength(); /* a detached view may keep its old offset */
      if (length != 0) data += view->ByteOffset();
    } else {
      return WrongType(entry.err, "buffer", "not an ArrayBuffer, SharedArrayBuffer or view");
    }
    return KV8_OK;
  });
  if (status != KV8_OK) return status;
  *ret_data = data;
  *ret_length = length;
  return KV8_OK;
}

kv8_status kv8_view_get_buffer(const kv8_value *view, kv8_value **ret_buffer, size_t *ret_offset,
                               size_t *ret_length, kv8_error *err) {
  if (!Alive(view) || ret_buffer == nullptr) return Invalid(err, "view and ret_buffer are needed");
  size_t offset = 0;
  size_t length = 0;
  kv8_status status =
      Give(view->isolate, {}, ret_buffer, err,
           [&](Entry &entry, v8::Local<v8::Value> *buffer) -> kv8_status {
             v8::Local<v8::Value> value = view->value.Get(entry.isolate);
             if (!value->IsArrayBufferView()) {
               return WrongType(entry.err, "view", "neither a typed array nor a DataView");
             }
             v8::Local<v8::ArrayBufferView> place = value.As<v8::ArrayBufferView>();
             *buffer = place->Buffer();
             offset = place->ByteOffset();
             length = place->ByteLength();
             return KV8_OK;
           });
  if (status != KV8_OK) return status;
  if (ret_offset != nullptr) *ret_offset = offset;
  if (ret_length != nullptr) *ret_length = length;
  return KV8_OK;
}
