/* SPDX-License-Identifier: MIT
 *
 * context.cc: plain contexts and what hangs on them: name, origin, permission to make code from
 * strings and WebAssembly, a microtask queue of their own. A context's ContextState lives until V8
 * has collected the context, not only until the caller frees his handle: closures keep a context
 * alive, and V8 keeps a raw pointer to its queue (P26, P28).
 */
#include "shim/internal.hh"

namespace kv8 {

namespace {

constexpr size_t kNameMaxBytes = 4096;

void Unlink(ContextState *state) noexcept {
  (state->previous != nullptr ? state->previous->next : state->isolate->contexts) = state->next;
  if (state->next != nullptr) {
    state->next->previous = state->previous;
  }
}

/* Second pass: V8 is done with the context, and now its queue may go. */
void OnCollectedLater(const v8::WeakCallbackInfo<ContextState> &info) {
  ContextRelease(info.GetParameter());
}

void OnCollected(const v8::WeakCallbackInfo<ContextState> &info) {
  info.GetParameter()->context.Reset(); /* V8 demands it of the first pass */
  info.SetSecondPassCallback(OnCollectedLater);
}

void Permit(v8::Isolate *isolate, const ContextState &state) {
  v8::Local<v8::Context> context = state.context.Get(isolate);
  context->AllowCodeGenerationFromStrings(state.allow_strings);
  context->SetErrorMessageForCodeGenerationFromStrings(
      Literal(isolate, "Code generation from strings disallowed for this context"));
}

/* Makes a V8 context for `state`, in place of the one it may have. */
kv8_status MakeContext(Entry &entry, ContextState *state,
                       std::unique_ptr<v8::MicrotaskQueue> queue) {
  v8::Local<v8::Context> made = v8::Context::New(entry.isolate, nullptr, {}, {}, {}, queue.get());
  if (made.IsEmpty()) {
    return entry.Fail(KV8_EENGINE);
  }
  if (!state->context.IsEmpty()) {
    /* The old one may be found by a memory measurement before V8 collects it, and still points to
     * its queue. */
    compat::SetEmbedderPointer(state->context.Get(entry.isolate), nullptr);
    if (state->queue != nullptr) {
      state->retired.push_back(std::move(state->queue));
    }
  }
  compat::SetEmbedderPointer(made, state);
  state->queue = std::move(queue);
  state->context.Reset(entry.isolate, made);
  state->console_installed = false;
  return KV8_OK;
}

kv8_status SwitchQueue(Entry &entry, ContextState *state, bool own) {
  if (own == (state->drained != nullptr)) {
    return KV8_OK;
  }
  std::unique_ptr<v8::MicrotaskQueue> queue;
  if (own) {
    queue = v8::MicrotaskQueue::New(entry.isolate, v8::MicrotasksPolicy::kExplicit);
    if (compat::SetMicrotaskQueue(state->context.Get(entry.isolate), queue.get())) {
      state->queue = std::move(queue);
      state->drained = state->queue.get();
      return KV8_OK;
    }
  }
  /* Where V8 cannot switch (and none can, back to the isolate's queue), a new context does. */
  kv8_status status = MakeContext(entry, state, std::move(queue));
  if (status == KV8_OK) {
    state->drained = state->queue.get();
  }
  return status;
}

/* Everything that allocates, so that what comes after Context::New() cannot fail half-way. */
void Describe(ContextState *state, const kv8_context_options &options) {
  state->name = options.name.length != 0 ? std::string(View(options.name))
                                         : "VM Context " + std::to_string(state->number);
  state->origin = View(options.origin);
  state->allow_strings = options.strings == KV8_ALLOW;
  state->allow_wasm = options.wasm == KV8_ALLOW;
  state->on_console = options.on_console;
  state->on_console_user = options.on_console_user;
}

/* InstallConsole() needs the context entered, which may be a new one since Enter(). */
kv8_status ConnectConsole(kv8_isolate *isolate, ContextState *state, kv8_error *err) {
  if (state->on_console == nullptr || state->console_installed) {
    return KV8_OK;
  }
  kv8_status status = Enter(isolate, {&state->context, 0, false}, err,
                            [](Entry &entry) { return InstallConsole(entry); });
  state->console_installed = status == KV8_OK;
  return status;
}

kv8_status Check(const kv8_context_options *options, kv8_error *err) noexcept {
  if (!KnownSize(options)) {
    return Invalid(err, "kv8_context_options: unknown struct_size");
  }
  kv8_context_options copy = Normalised(options);
  if (!ValidSpan(copy.name) || !ValidSpan(copy.origin)) {
    return Invalid(err, "name or origin: a length without data");
  }
  if (copy.name.length > kNameMaxBytes || copy.origin.length > kNameMaxBytes) {
    return SetError(err, KV8_ETOOBIG, "", "name or origin: longer than %zu bytes", kNameMaxBytes);
  }
  int strings = RawEnum(copy.strings);
  int wasm = RawEnum(copy.wasm);
  int mode = RawEnum(copy.microtask_mode);
  if ((strings != KV8_ALLOW && strings != KV8_DENY) || (wasm != KV8_ALLOW && wasm != KV8_DENY) ||
      (mode != KV8_MICROTASKS_SHARED && mode != KV8_MICROTASKS_AFTER_EVALUATE)) {
    return Invalid(err, "strings, wasm or microtask_mode: unknown value");
  }
  return KV8_OK;
}

}  // namespace

ContextState *StateOf(v8::Local<v8::Context> context) noexcept {
  return static_cast<ContextState *>(compat::GetEmbedderPointer(context));
}

void ContextRelease(ContextState *state) noexcept {
  Unlink(state);
  state->context.Reset();
  delete state;
}

kv8_status AnyContext(kv8_isolate *isolate, const v8::Global<v8::Context> **ret_context,
                      kv8_error *err) noexcept {
  for (ContextState *state = isolate->contexts; state != nullptr; state = state->next) {
    if (state->is_held) {
      *ret_context = &state->context;
      return KV8_OK;
    }
  }
  *ret_context = &isolate->spare;
  if (!isolate->spare.IsEmpty()) {
    return KV8_OK;
  }
  return Enter(isolate, {}, err, [&](Entry &entry) {
    v8::Local<v8::Context> spare = v8::Context::New(entry.isolate);
    if (spare.IsEmpty()) {
      return entry.Fail(KV8_EENGINE);
    }
    isolate->spare.Reset(entry.isolate, spare);
    return KV8_OK;
  });
}

v8::MaybeLocal<v8::Promise> RejectDynamicImport(v8::Local<v8::Context> context, v8::Local<v8::Data>,
                                                v8::Local<v8::Value>, v8::Local<v8::String>,
                                                v8::Local<v8::FixedArray>) {
  v8::Isolate *isolate = v8::Isolate::GetCurrent();
  v8::Local<v8::Promise::Resolver> resolver;
  if (!v8::Promise::Resolver::New(context).ToLocal(&resolver)) {
    return {};
  }
  v8::Local<v8::Value> error =
      v8::Exception::TypeError(Literal(isolate, "A dynamic import callback was not specified."));
  v8::Local<v8::String> code = Literal(isolate, "ERR_VM_DYNAMIC_IMPORT_CALLBACK_MISSING");
  if (error.As<v8::Object>()
          ->CreateDataProperty(context, Literal(isolate, "code"), code)
          .IsNothing() ||
      resolver->Reject(context, error).IsNothing()) {
    return {};
  }
  return resolver->GetPromise();
}

}  // namespace kv8

using namespace kv8;

kv8_context::~kv8_context() {
  Drop();
}

void kv8_context::Drop() noexcept {
  ContextState *old = std::exchange(state, nullptr);
  if (old == nullptr) {
    return;
  }
  old->is_held = false;
  old->on_console = nullptr; /* the caller's `user` may be gone when a closure logs */
  old->context.SetWeak(old, OnCollected, v8::WeakCallbackType::kParameter);
}

kv8_status kv8_context_new(kv8_isolate *isolate, const kv8_context_options *options,
                           kv8_context **ret_context, kv8_error *err) {
  if (isolate == nullptr || ret_context == nullptr) {
    return Invalid(err, "isolate or ret_context is NULL");
  }
  kv8_status status = Check(options, err);
  if (status != KV8_OK) {
    return status;
  }
  std::unique_ptr<kv8_context> made;
  status = Enter(isolate, {}, err, [&](Entry &entry) {
    auto handle = std::make_unique<kv8_context>(isolate);
    auto state = std::make_unique<ContextState>();
    state->isolate = isolate;
    state->number = isolate->contexts_made + 1;
    kv8_context_options copy = Normalised(options);
    Describe(state.get(), copy);
    handle->name = state->name;
    handle->origin = state->origin;
    std::unique_ptr<v8::MicrotaskQueue> queue;
    if (copy.microtask_mode == KV8_MICROTASKS_AFTER_EVALUATE) {
      queue = v8::MicrotaskQueue::New(entry.isolate, v8::MicrotasksPolicy::kExplicit);
    }
    kv8_status body = MakeContext(entry, state.get(), std::move(queue));
    if (body != KV8_OK) {
      return body;
    }
    state->drained = state->queue.get();
    Permit(entry.isolate, *state);
    state->next = isolate->contexts;
    if (state->next != nullptr) {
      state->next->previous = state.get();
    }
    isolate->contexts = state.get();
    isolate->contexts_made++;
    isolate->spare.Reset();
    handle->state = state.release();
    made = std::move(handle);
    return KV8_OK;
  });
  if (status == KV8_OK) {
    status = ConnectConsole(isolate, made->state, err);
  }
  if (status == KV8_OK) {
    *ret_context = made.release();
  }
  return status;
}

void kv8_context_free(kv8_context *context) {
  delete context;
}

kv8_status kv8_context_configure(kv8_context *context, const kv8_context_options *options,
                                 kv8_error *err) {
  if (context == nullptr || context->state == nullptr) {
    return Invalid(err, "context is NULL or its isolate is freed");
  }
  kv8_status status = Check(options, err);
  if (status != KV8_OK) {
    return status;
  }
  status = Enter(context->isolate, {}, err, [&](Entry &entry) {
    kv8_context_options copy = Normalised(options);
    Describe(context->state, copy);
    context->name = context->state->name;
    context->origin = context->state->origin;
    kv8_status body =
        SwitchQueue(entry, context->state, copy.microtask_mode == KV8_MICROTASKS_AFTER_EVALUATE);
    if (body == KV8_OK) {
      Permit(entry.isolate, *context->state);
    }
    return body;
  });
  return status == KV8_OK ? ConnectConsole(context->isolate, context->state, err) : status;
}

kv8_span kv8_context_get_name(const kv8_context *context) {
  return context == nullptr ? kv8_span{nullptr, 0} : Span(context->name);
}

kv8_span kv8_context_get_origin(const kv8_context *context) {
  return context == nullptr ? kv8_span{nullptr, 0} : Span(context->origin);
}
