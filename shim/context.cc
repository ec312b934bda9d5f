/* SPDX-License-Identifier: MIT
 *
 * context.cc: plain contexts and what hangs on them: name, origin, permission to make code from
 * strings and WebAssembly, a microtask queue of their own. A context's ContextState lives until V8
 * has collected the context, not only until the caller frees his handle: closures keep a context
 * alive, and V8 keeps a raw pointer to its queue (P26, P28).
 */
#include "shim/source.hh"
#include "shim/value.hh"

namespace kv8 {

namespace {

constexpr size_t kNameMaxBytes = 4096;

void Unlink(ContextState *state) noexcept {
  (state->previous != nullptr ? state->previous->next : state->isolate->contexts) = state->next;
  if (state->next != nullptr) {
    state->next->previous = state->previous;
  }
}

/* Its queue may only go when V8 is done with the context. */
void OnCollected(const v8::WeakCallbackInfo<ContextState> &info) {
  ContextState *state = info.GetParameter();
  state->context.Reset();
  Unlink(state);
  Bury(state->isolate, state);
}

/* What an object holds that is contextified, or that a context is tied to. The holder is of the
 * context, and so keeps it alive; hence a context's state outlives its links. */
struct ContextLink final : Held {
  ContextState *state = nullptr;
};

bool LinkObject(kv8_isolate *isolate, v8::Local<v8::Context> context, ContextState *state,
                v8::Local<v8::Object> object) {
  auto link = std::make_unique<ContextLink>();
  link->state = state;
  v8::Local<v8::Object> holder;
  return NewHolder(isolate, context, std::move(link)).ToLocal(&holder) &&
         Hold(isolate, context, object, HoldKey::kContext, holder);
}

ContextState *LinkedBy(kv8_isolate *isolate, v8::Local<v8::Value> object) {
  auto *link = static_cast<ContextLink *>(HeldBy(isolate, object, HoldKey::kContext));
  return link == nullptr ? nullptr : link->state;
}

/* Lets the object go that `state` has contextified: it can have another context now. */
void UnlinkObject(ContextState *state) {
  v8::Isolate *isolate = state->isolate->v8;
  v8::Isolate::Scope isolate_scope(isolate);
  v8::HandleScope handle_scope(isolate);
  v8::TryCatch quiet(isolate);
  v8::Local<v8::Context> context = state->context.Get(isolate);
  v8::Local<v8::Object> object;
  if (ContextifiedObject(context).ToLocal(&object) && LinkedBy(state->isolate, object) == state) {
    Unhold(state->isolate, context, object, HoldKey::kContext);
  }
}

void Permit(v8::Isolate *isolate, const ContextState &state) {
  v8::Local<v8::Context> context = state.context.Get(isolate);
  context->AllowCodeGenerationFromStrings(state.allow_strings);
  context->SetErrorMessageForCodeGenerationFromStrings(
      Literal(isolate, "Code generation from strings disallowed for this context"));
}

/* Makes a V8 context for `state`, in place of the one it may have. `object`, which may be empty, is
 * to be contextified. What can fail comes first: nothing refers to `state` before. */
kv8_status MakeContext(Entry &entry, ContextState *state, v8::Local<v8::Object> object,
                       GivenHooks *hooks, std::unique_ptr<v8::MicrotaskQueue> queue) {
  v8::Local<v8::ObjectTemplate> shape;
  if (!object.IsEmpty()) {
    shape = ContextifiedGlobal(state->isolate);
  }
  state->retired.reserve(state->retired.size() + 1);
  v8::Local<v8::Context> made =
      v8::Context::New(entry.isolate, nullptr, shape, {}, {}, queue.get());
  if (made.IsEmpty()) {
    return entry.Fail(KV8_EENGINE);
  }
  if (!object.IsEmpty()) {
    PrepareContextified(made);
  }
  kv8_status kept = KeepIntrinsics(entry, made);
  if (kept != KV8_OK) {
    return kept;
  }
  /* All contexts trust each other: without this, one's global would be out of bounds for another.
   */
  made->SetSecurityToken(Literal(entry.isolate, "kv8"));
  SetContextHooks(entry, made, hooks);
  if (!object.IsEmpty() &&
      (!Contextify(made, object) || !LinkObject(state->isolate, made, state, object))) {
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
  state->contextified = !object.IsEmpty();
  return KV8_OK;
}

/* The object that `options` asks to contextify, if any; that it may be one. */
kv8_status ObjectOf(Entry &entry, const kv8_context_options &options, const ContextState *state,
                    v8::Local<v8::Object> *ret_object) {
  if (options.contextify == nullptr) {
    return KV8_OK;
  }
  v8::Local<v8::Value> value = options.contextify->value.Get(entry.isolate);
  if (!value->IsObject()) {
    return SetError(entry.err, KV8_EINVAL, "ERR_INVALID_ARG_TYPE", "contextify: not an object");
  }
  ContextState *owner = LinkedBy(entry.owner, value);
  if (owner != nullptr && owner != state) {
    return SetError(entry.err, KV8_ESTATE, "", "contextify: the object has a context");
  }
  *ret_object = value.As<v8::Object>();
  return KV8_OK;
}

/* Gives a context that has run nothing the queue and the object it is to have. */
kv8_status Reshape(Entry &entry, ContextState *state, v8::Local<v8::Object> object,
                   GivenHooks *hooks, bool own) {
  v8::Local<v8::Object> before;
  bool same_object = ContextifiedObject(state->context.Get(entry.isolate)).ToLocal(&before)
                         ? before == object
                         : object.IsEmpty();
  if (same_object && own == (state->drained != nullptr)) {
    SetContextHooks(entry, state->context.Get(entry.isolate), hooks);
    return KV8_OK;
  }
  std::unique_ptr<v8::MicrotaskQueue> queue;
  if (own) {
    queue = v8::MicrotaskQueue::New(entry.isolate, v8::MicrotasksPolicy::kExplicit);
    if (same_object && compat::SetMicrotaskQueue(state->context.Get(entry.isolate), queue.get())) {
      state->queue = std::move(queue);
      state->drained = state->queue.get();
      SetContextHooks(entry, state->context.Get(entry.isolate), hooks);
      return KV8_OK;
    }
  }
  /* Where V8 cannot switch (and none can, back to the isolate's queue), a new context does. */
  if (state->tied) {
    return SetError(entry.err, KV8_ESTATE, "", "the context is tied, and cannot be made anew");
  }
  UnlinkObject(state);
  kv8_status status = MakeContext(entry, state, object, hooks, std::move(queue));
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

kv8_status Check(const kv8_isolate *isolate, const kv8_context_options *options,
                 kv8_error *err) noexcept {
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
  if (copy.contextify != nullptr && copy.contextify->isolate != isolate) {
    return Invalid(err, "contextify: of another or a freed isolate");
  }
  return KV8_OK;
}

const kv8_hooks *HooksOf(const kv8_context_options *options) noexcept {
  return options != nullptr && KnownSize(options) ? Normalised(options).hooks : nullptr;
}

}  // namespace

ContextState *StateOf(v8::Local<v8::Context> context) noexcept {
  return static_cast<ContextState *>(compat::GetEmbedderPointer(context));
}

ContextState::~ContextState() {
  if (handle != nullptr) { /* a tied one: the collector's */
    handle->state = nullptr;
    delete handle;
  }
}

void ContextRelease(ContextState *state) noexcept {
  Unlink(state);
  state->context.Reset();
  delete state;
}

void DropTiedContexts(kv8_isolate *isolate) noexcept {
  for (ContextState *state = isolate->contexts; state != nullptr; state = state->next) {
    if (state->tied && state->handle != nullptr) {
      delete state->handle;
    }
  }
}

kv8_status AnyContext(kv8_isolate *isolate, const v8::Global<v8::Context> **ret_context,
                      kv8_error *err) noexcept {
  if (isolate->v8->InContext()) {
    v8::HandleScope scope(isolate->v8);
    ContextState *calling = StateOf(isolate->v8->GetCurrentContext());
    if (calling != nullptr && !calling->context.IsEmpty()) {
      *ret_context = &calling->context;
      return KV8_OK;
    }
  }
  for (ContextState *state = isolate->contexts; state != nullptr; state = state->next) {
    if (state->handle != nullptr) {
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

namespace {

bool IsGone(const kv8_context *context) noexcept {
  return context == nullptr || context->state == nullptr;
}

}  // namespace

kv8_context::~kv8_context() {
  Drop();
}

void kv8_context::Drop() noexcept {
  ContextState *old = std::exchange(state, nullptr);
  if (old == nullptr) {
    return;
  }
  old->handle = nullptr;
  old->hidden.Reset();
  old->on_console = nullptr; /* the caller's `user` may be gone when a closure logs */
  if (old->tied) {
    return; /* weak already */
  }
  if (old->contextified) {
    UnlinkObject(old);
  }
  old->context.SetWeak(old, OnCollected, v8::WeakCallbackType::kParameter);
  /* V8 gives up compile jobs at this point, for which 14 wants to be entered. */
  v8::Isolate::Scope isolate_scope(isolate->v8);
  v8::HandleScope handle_scope(isolate->v8);
  isolate->v8->ContextDisposedNotification(false);
}

kv8_status kv8_context_new(kv8_isolate *isolate, const kv8_context_options *options,
                           kv8_context **ret_context, kv8_error *err) {
  GivenHooks hooks(HooksOf(options));
  if (isolate == nullptr || ret_context == nullptr) {
    return Invalid(err, "isolate or ret_context is NULL");
  }
  kv8_status status = Check(isolate, options, err);
  if (status != KV8_OK) {
    return status;
  }
  std::unique_ptr<kv8_context> made;
  status = hooks.Check(err);
  if (status != KV8_OK) {
    return status;
  }
  status = Enter(isolate, {}, err, [&](Entry &entry) {
    auto handle = std::make_unique<kv8_context>(isolate);
    auto state = std::make_unique<ContextState>();
    state->isolate = isolate;
    state->number = isolate->contexts_made + 1;
    kv8_context_options copy = Normalised(options);
    v8::Local<v8::Object> object;
    kv8_status body = ObjectOf(entry, copy, nullptr, &object);
    if (body != KV8_OK) {
      return body;
    }
    Describe(state.get(), copy);
    handle->name = state->name;
    handle->origin = state->origin;
    std::unique_ptr<v8::MicrotaskQueue> queue;
    if (copy.microtask_mode == KV8_MICROTASKS_AFTER_EVALUATE) {
      queue = v8::MicrotaskQueue::New(entry.isolate, v8::MicrotasksPolicy::kExplicit);
    }
    body = MakeContext(entry, state.get(), object, &hooks, std::move(queue));
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
    state->handle = handle.get();
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
  if (context != nullptr && (context->state == nullptr || !context->state->tied)) {
    delete context;
  }
}

kv8_status kv8_context_copy_global(kv8_context *context, kv8_value **ret_global, kv8_error *err) {
  if (IsGone(context) || ret_global == nullptr) {
    return Invalid(err, "context or ret_global is NULL, or the isolate is freed");
  }
  std::unique_ptr<kv8_value> made;
  kv8_status status = Enter(context->isolate, In(context), err, [&](Entry &entry) {
    made = NewValue(context->isolate, entry.context->Global());
    return KV8_OK;
  });
  if (status == KV8_OK) {
    *ret_global = made.release();
  }
  return status;
}

kv8_status kv8_context_copy_contextified(kv8_context *context, kv8_value **ret_object,
                                         kv8_error *err) {
  if (IsGone(context) || ret_object == nullptr) {
    return Invalid(err, "context or ret_object is NULL, or the isolate is freed");
  }
  std::unique_ptr<kv8_value> made;
  kv8_status status = Enter(context->isolate, In(context), err, [&](Entry &entry) {
    v8::Local<v8::Object> object;
    if (ContextifiedObject(entry.context).ToLocal(&object)) {
      made = NewValue(context->isolate, object);
    }
    return KV8_OK;
  });
  if (status == KV8_OK) {
    *ret_object = made.release();
  }
  return status;
}

kv8_status kv8_context_tie(kv8_context *context, const kv8_value *object, kv8_error *err) {
  if (IsGone(context) || object == nullptr || object->isolate != context->isolate) {
    return Invalid(err, "context or object is NULL, or of another or a freed isolate");
  }
  if (context->state->tied) {
    return SetError(err, KV8_ESTATE, "", "the context is tied");
  }
  return Enter(context->isolate, In(context), err, [&](Entry &entry) {
    v8::Local<v8::Value> value = object->value.Get(entry.isolate);
    if (!value->IsObject()) {
      return SetError(err, KV8_EINVAL, "ERR_INVALID_ARG_TYPE", "object: not an object");
    }
    ContextState *owner = LinkedBy(context->isolate, value);
    if (owner != nullptr && owner != context->state) {
      return SetError(err, KV8_ESTATE, "", "the object has a context");
    }
    if (owner == nullptr &&
        !LinkObject(context->isolate, entry.context, context->state, value.As<v8::Object>())) {
      return entry.Fail(KV8_EENGINE);
    }
    context->state->tied = true;
    context->state->context.SetWeak(context->state, OnCollected, v8::WeakCallbackType::kParameter);
    return KV8_OK;
  });
}

kv8_context *kv8_context_of(const kv8_value *object) {
  if (object == nullptr || object->isolate == nullptr) {
    return nullptr;
  }
  kv8_context *found = nullptr;
  Enter(object->isolate, {}, nullptr, [&](Entry &entry) {
    ContextState *state = LinkedBy(object->isolate, object->value.Get(entry.isolate));
    found = state == nullptr ? nullptr : state->handle;
    return KV8_OK;
  });
  return found;
}

kv8_status kv8_context_drain_microtasks(kv8_context *context, unsigned timeout_ms, kv8_error *err) {
  if (IsGone(context)) {
    return Invalid(err, "context is NULL or its isolate is freed");
  }
  return Enter(context->isolate, In(context, timeout_ms), err, [&](Entry &entry) {
    v8::TryCatch quiet(entry.isolate);
    if (context->state->drained != nullptr) {
      context->state->drained->PerformCheckpoint(entry.isolate);
    } else {
      entry.isolate->PerformMicrotaskCheckpoint();
    }
    return KV8_OK;
  });
}

kv8_status kv8_context_configure(kv8_context *context, const kv8_context_options *options,
                                 kv8_error *err) {
  GivenHooks hooks(HooksOf(options));
  if (context == nullptr || context->state == nullptr) {
    return Invalid(err, "context is NULL or its isolate is freed");
  }
  kv8_status status = Check(context->isolate, options, err);
  if (status != KV8_OK) {
    return status;
  }
  status = hooks.Check(err);
  if (status != KV8_OK) {
    return status;
  }
  status = Enter(context->isolate, {}, err, [&](Entry &entry) {
    kv8_context_options copy = Normalised(options);
    v8::Local<v8::Object> object;
    kv8_status body = ObjectOf(entry, copy, context->state, &object);
    if (body != KV8_OK) {
      return body;
    }
    Describe(context->state, copy);
    context->name = context->state->name;
    context->origin = context->state->origin;
    body = Reshape(entry, context->state, object, &hooks,
                   copy.microtask_mode == KV8_MICROTASKS_AFTER_EVALUATE);
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
