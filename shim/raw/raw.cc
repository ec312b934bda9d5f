/* SPDX-License-Identifier: MIT
 *
 * The benchmark's peer: what an embedder writes in C++ to compile with cached data, with nothing
 * around it. Handles no error that a benchmark's own inputs cannot cause. */
#include "shim/raw/raw.h"

#include <v8.h>

#include <chrono>
#include <memory>

namespace {

uint64_t NowNs() {
  auto now = std::chrono::steady_clock::now().time_since_epoch();
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(now).count());
}

bool Consume(v8::Isolate *isolate, const char *text, size_t length, const char *filename,
             const uint8_t *data, size_t data_length, kv8_raw_times *ret_times) {
  v8::Local<v8::Context> context = v8::Context::New(isolate);
  v8::Context::Scope context_scope(context);

  uint64_t start = NowNs();
  v8::Local<v8::String> source;
  v8::Local<v8::String> name;
  if (!v8::String::NewFromUtf8(isolate, text, v8::NewStringType::kNormal, static_cast<int>(length))
           .ToLocal(&source) ||
      !v8::String::NewFromUtf8(isolate, filename).ToLocal(&name)) {
    return false;
  }
  uint64_t made = NowNs();
  v8::ScriptOrigin origin(isolate, name);
  v8::ScriptCompiler::Source compiled(
      source, origin,
      new v8::ScriptCompiler::CachedData(data, static_cast<int>(data_length),
                                         v8::ScriptCompiler::CachedData::BufferNotOwned));
  v8::Local<v8::UnboundScript> script;
  if (!v8::ScriptCompiler::CompileUnboundScript(isolate, &compiled,
                                                v8::ScriptCompiler::kConsumeCodeCache)
           .ToLocal(&script)) {
    return false;
  }
  uint64_t end = NowNs();
  *ret_times = {made - start, end - made, compiled.GetCachedData()->rejected};
  return true;
}

v8::MaybeLocal<v8::Value> Run(v8::Isolate *isolate, v8::Local<v8::Context> context,
                              const char *text) {
  v8::Local<v8::String> source;
  v8::Local<v8::Script> script;
  if (!v8::String::NewFromUtf8(isolate, text).ToLocal(&source) ||
      !v8::Script::Compile(context, source).ToLocal(&script)) {
    return {};
  }
  return script->Run(context);
}

/* Calls `body` with an isolate that is entered, and goes. */
template <class Body>
bool WithIsolate(Body &&body) {
  std::unique_ptr<v8::ArrayBuffer::Allocator> allocator(
      v8::ArrayBuffer::Allocator::NewDefaultAllocator());
  v8::Isolate::CreateParams params;
  params.array_buffer_allocator = allocator.get();
  v8::Isolate *isolate = v8::Isolate::New(params);
  bool ok;
  {
    v8::Isolate::Scope isolate_scope(isolate);
    v8::HandleScope handle_scope(isolate);
    ok = body(isolate);
  }
  isolate->Dispose();
  return ok;
}

}  // namespace

bool kv8_raw_contexts(const char *source, int count, uint64_t *ret_ns) {
  return WithIsolate([&](v8::Isolate *isolate) {
    uint64_t start = NowNs();
    for (int i = 0; i < count; i++) {
      v8::HandleScope handle_scope(isolate);
      v8::Local<v8::Context> context = v8::Context::New(isolate);
      v8::Context::Scope context_scope(context);
      if (Run(isolate, context, source).IsEmpty()) {
        return false;
      }
    }
    *ret_ns = NowNs() - start;
    return true;
  });
}

bool kv8_raw_call(const char *setup, const char *function, double n, uint64_t *ret_ns) {
  return WithIsolate([&](v8::Isolate *isolate) {
    v8::Local<v8::Context> context = v8::Context::New(isolate);
    v8::Context::Scope context_scope(context);
    v8::Local<v8::Value> value;
    if (Run(isolate, context, setup).IsEmpty() ||
        !Run(isolate, context, function).ToLocal(&value) || !value->IsFunction()) {
      return false;
    }
    v8::Local<v8::Value> argument = v8::Number::New(isolate, n);
    uint64_t start = NowNs();
    bool ok =
        !value.As<v8::Function>()->Call(context, v8::Undefined(isolate), 1, &argument).IsEmpty();
    *ret_ns = NowNs() - start;
    return ok;
  });
}

bool kv8_raw_consume(const char *source, size_t length, const char *filename, const uint8_t *data,
                     size_t data_length, kv8_raw_times *ret_times) {
  return WithIsolate([&](v8::Isolate *isolate) {
    return Consume(isolate, source, length, filename, data, data_length, ret_times);
  });
}
