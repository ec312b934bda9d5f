/* SPDX-License-Identifier: MIT
 *
 * hooks.cc: who answers import() and import.meta. The code that asks owns its hooks: V8 keeps
 * host-defined options with each script, function and module, ours hold a symbol, and the symbol
 * refers to the caller's referrer. So the garbage collector sees every edge, nothing is looked up
 * by a number that could be stale, and a cycle from the referrer back to the code is collected (P01
 * to P05). When the symbol goes, the hooks go.
 */
#include "shim/module.hh"

/* One import() that waits for its answer, as long as the callback lasts. */
struct kv8_import {
  kv8_import(kv8_isolate *isolate_in, v8::Local<v8::Context> context_in,
             v8::Local<v8::Value> referrer_in)
      : isolate(isolate_in), context(context_in), referrer(isolate_in, referrer_in) {}

  kv8_isolate *isolate;
  v8::Local<v8::Context> context;
  kv8_value referrer;
  kv8::Request request;
  std::string filename;
  bool is_answered = false;
  bool is_rejected = false;
  v8::Global<v8::Value> answer;
};

namespace kv8 {

namespace {

constexpr int kMark = 0; /* the address of the Hooks */
constexpr int kAnchor = 1;
constexpr int kOptions = 2;

kv8_isolate *OwnerOf(v8::Isolate *isolate) noexcept {
  return static_cast<kv8_isolate *>(isolate->GetData(compat::kIsolateSlot));
}

void Unlink(Hooks *hooks) noexcept {
  if (hooks->owner == nullptr) return;
  (hooks->previous != nullptr ? hooks->previous->next : hooks->owner->hooks) = hooks->next;
  if (hooks->next != nullptr) hooks->next->previous = hooks->previous;
  hooks->owner = nullptr;
}

void OnCollected(const v8::WeakCallbackInfo<Hooks> &info) {
  Hooks *hooks = info.GetParameter();
  kv8_isolate *owner = hooks->owner;
  hooks->anchor.Reset();
  Unlink(hooks);
  Bury(owner, hooks);
}

v8::Local<v8::BigInt> Mark(v8::Isolate *isolate, Hooks *hooks) {
  return v8::BigInt::NewFromUnsigned(isolate, reinterpret_cast<uintptr_t>(hooks));
}

Hooks *Marked(v8::Local<v8::Value> mark) {
  if (!mark->IsBigInt()) return nullptr;
  return reinterpret_cast<Hooks *>(static_cast<uintptr_t>(mark.As<v8::BigInt>()->Uint64Value()));
}

/* The hooks of the code that asks, NULL for none, and what keeps them. */
Hooks *HooksOf(v8::Isolate *isolate, v8::Local<v8::Data> data, v8::Local<v8::Symbol> *ret_anchor) {
  if (data.IsEmpty() || !data->IsFixedArray()) return nullptr;
  v8::Local<v8::PrimitiveArray> options = data.As<v8::PrimitiveArray>();
  if (options->Length() != kOptions) return nullptr;
  *ret_anchor = options->Get(isolate, kAnchor).As<v8::Symbol>();
  return Marked(options->Get(isolate, kMark));
}

Hooks *HooksOf(v8::Local<v8::Context> context, v8::Local<v8::Symbol> *ret_anchor) {
  if (context->GetNumberOfEmbedderDataFields() <= static_cast<uint32_t>(compat::kAnchorSlot)) {
    return nullptr;
  }
  Hooks *hooks = Marked(context->GetEmbedderData(compat::kHooksSlot));
  if (hooks != nullptr) {
    *ret_anchor = context->GetEmbedderData(compat::kAnchorSlot).As<v8::Symbol>();
  }
  return hooks;
}

v8::MaybeLocal<v8::Promise> Settle(v8::Local<v8::Context> context, v8::Local<v8::Value> value,
                                   bool is_rejected) {
  v8::Local<v8::Promise::Resolver> resolver;
  if (!v8::Promise::Resolver::New(context).ToLocal(&resolver)) return {};
  /* Nothing comes back if reading a `then` was terminated; the promise is as good as any then. */
  (void)(is_rejected ? resolver->Reject(context, value) : resolver->Resolve(context, value));
  return resolver->GetPromise();
}

/* V8 takes an empty answer only with an exception of its own on the way. */
v8::MaybeLocal<v8::Promise> Refuse(v8::Isolate *isolate, v8::Local<v8::Context> context) {
  if (isolate->IsExecutionTerminating()) return {};
  return Settle(context, v8::Exception::Error(Literal(isolate, "out of memory")), true);
}

v8::MaybeLocal<v8::Promise> Ask(kv8_isolate *owner, v8::Local<v8::Context> context, Hooks *hooks,
                                v8::Local<v8::Symbol> anchor, v8::Local<v8::Data> options,
                                v8::Local<v8::Value> name, v8::Local<v8::String> specifier,
                                bool source_phase, v8::Local<v8::FixedArray> attributes) {
  v8::Isolate *isolate = owner->v8;
  kv8_import import(owner, context, compat::AnchoredValue(isolate, anchor));
  import.request.Read(isolate, context, specifier, attributes, 2, source_phase);
  if (name->IsString()) import.filename = ToUtf8(isolate, name.As<v8::String>());
  hooks->on_import(hooks->user, &import);
  if (isolate->IsExecutionTerminating()) return {};
  if (!import.is_answered) {
    return RejectDynamicImport(context, options, name, specifier, attributes);
  }
  return Settle(context, import.answer.Get(isolate), import.is_rejected);
}

/* `resource_name` is the code's, also for an eval within it. */
v8::MaybeLocal<v8::Promise> OnImport(v8::Local<v8::Context> context, v8::Local<v8::Data> options,
                                     v8::Local<v8::Value> resource_name,
                                     v8::Local<v8::String> specifier, bool source_phase,
                                     v8::Local<v8::FixedArray> attributes) {
  v8::Isolate *isolate = v8::Isolate::GetCurrent();
  v8::EscapableHandleScope scope(isolate);
  v8::Local<v8::Symbol> anchor;
  Hooks *hooks = HooksOf(isolate, options, &anchor);
  if (hooks == nullptr || hooks->on_import == nullptr) hooks = HooksOf(context, &anchor);
  v8::MaybeLocal<v8::Promise> answer;
  try {
    answer = hooks == nullptr || hooks->on_import == nullptr
                 ? RejectDynamicImport(context, options, resource_name, specifier, attributes)
                 : Ask(OwnerOf(isolate), context, hooks, anchor, options, resource_name, specifier,
                       source_phase, attributes);
  } catch (...) { /* out of memory: it must not unwind through V8 */
    answer = Refuse(isolate, context);
  }
  return scope.EscapeMaybe(answer);
}

void OnImportMeta(v8::Local<v8::Context>, v8::Local<v8::Module> record,
                  v8::Local<v8::Object> meta) {
  v8::Isolate *isolate = v8::Isolate::GetCurrent();
  v8::HandleScope scope(isolate);
  kv8_isolate *owner = OwnerOf(isolate);
  kv8_module *module = FindModule(owner, record);
  if (module == nullptr || module->hooks == nullptr || module->hooks->on_import_meta == nullptr) {
    return;
  }
  kv8_value lent(owner, meta);
  kv8_value *exception = nullptr;
  module->hooks->on_import_meta(module->hooks->user, module, &lent, &exception);
  if (exception == nullptr) return;
  v8::Local<v8::Value> thrown = exception->value.Get(isolate);
  kv8_value_free(exception);
  if (!isolate->IsExecutionTerminating()) isolate->ThrowException(thrown);
}

}  // namespace

/* ---- the caller's hooks --------------------------------------------------------------------- */

GivenHooks::GivenHooks(const kv8_hooks *hooks) noexcept
    : known_(KnownSize(hooks)), given_(known_ && hooks != nullptr) {
  if (given_) hooks_ = Normalised(hooks);
}

GivenHooks::~GivenHooks() {
  if (hooks_.release != nullptr) hooks_.release(hooks_.user);
}

kv8_status GivenHooks::Check(kv8_error *err) const noexcept {
  if (!known_) return Invalid(err, "kv8_hooks: unknown struct_size");
  if (hooks_.referrer != nullptr && hooks_.referrer->isolate == nullptr) {
    return Invalid(err, "hooks: the referrer's isolate is freed");
  }
  return KV8_OK;
}

Hooks *GivenHooks::Make(Entry &entry, v8::Local<v8::Symbol> *ret_anchor) {
  auto made = std::make_unique<Hooks>();
  const kv8_value *referrer = hooks_.referrer;
  v8::Local<v8::Value> value = v8::Undefined(entry.isolate);
  if (referrer != nullptr && referrer->isolate == entry.owner) {
    value = referrer->value.Get(entry.isolate);
  }
  *ret_anchor = compat::MakeAnchor(entry.isolate, value);
  made->on_import = hooks_.on_import;
  made->on_import_meta = hooks_.on_import_meta;
  made->user = hooks_.user;
  made->release = std::exchange(hooks_.release, nullptr);
  made->owner = entry.owner;
  made->next = entry.owner->hooks;
  if (made->next != nullptr) made->next->previous = made.get();
  entry.owner->hooks = made.get();
  made->anchor.Reset(entry.isolate, *ret_anchor);
  made->anchor.SetWeak(made.get(), OnCollected, v8::WeakCallbackType::kParameter);
  return made.release();
}

Hooks::~Hooks() {
  Unlink(this);
  anchor.Reset();
  if (release != nullptr) release(user);
}

v8::Local<v8::PrimitiveArray> HookOptions(v8::Isolate *isolate, Hooks *hooks,
                                          v8::Local<v8::Symbol> anchor) {
  v8::Local<v8::PrimitiveArray> options = v8::PrimitiveArray::New(isolate, kOptions);
  options->Set(isolate, kMark, Mark(isolate, hooks));
  options->Set(isolate, kAnchor, anchor);
  return options;
}

void DropHooks(Hooks *hooks) noexcept {
  delete hooks;
}

void SetContextHooks(Entry &entry, v8::Local<v8::Context> context, GivenHooks *hooks) {
  if (!hooks->given()) return;
  v8::Local<v8::Symbol> anchor;
  Hooks *made = hooks->Make(entry, &anchor);
  context->SetEmbedderData(compat::kHooksSlot, Mark(entry.isolate, made));
  context->SetEmbedderData(compat::kAnchorSlot, anchor);
}

void ListenToImports(v8::Isolate *isolate) {
  compat::SetImportHandler<OnImport>(isolate);
  isolate->SetHostInitializeImportMetaObjectCallback(OnImportMeta);
}

}  // namespace kv8

using kv8::Entry;

/* ---- kv8_import ----------------------------------------------------------------------------- */

void kv8_import_get_request(kv8_import *import, kv8_module_request *ret_request) {
  if (ret_request == nullptr) return;
  *ret_request = import == nullptr ? kv8_module_request{} : import->request.View();
}

const kv8_value *kv8_import_get_referrer(kv8_import *import) {
  return import == nullptr ? nullptr : &import->referrer;
}

kv8_span kv8_import_get_filename(kv8_import *import) {
  return import == nullptr ? kv8_span{nullptr, 0} : kv8::Span(import->filename);
}

kv8_context *kv8_import_get_context(kv8_import *import) {
  kv8::ContextState *state = import == nullptr ? nullptr : kv8::StateOf(import->context);
  return state == nullptr ? nullptr : state->handle;
}

namespace kv8 {
namespace {

void Answer(kv8_import *import, v8::Local<v8::Value> value, bool is_rejected) {
  import->answer.Reset(import->isolate->v8, value);
  import->is_rejected = is_rejected;
  import->is_answered = true;
}

void AnswerValue(kv8_import *import, const kv8_value *value, bool is_rejected) noexcept {
  if (import == nullptr || import->is_answered) return;
  v8::Isolate *isolate = import->isolate->v8;
  v8::HandleScope scope(isolate);
  bool has = value != nullptr && value->isolate == import->isolate;
  Answer(import, has ? value->value.Get(isolate) : v8::Undefined(isolate).As<v8::Value>(),
         is_rejected);
}

/* Rejects with an error of this library's own. */
void AnswerError(kv8_import *import, const char *code, const char *message) noexcept {
  v8::Isolate *isolate = import->isolate->v8;
  v8::HandleScope scope(isolate);
  kv8_error error = {};
  SetError(&error, KV8_ELINK, code, "%s", message);
  Answer(import, ErrorObject(isolate, import->context, error), true);
}

}  // namespace
}  // namespace kv8

void kv8_import_answer_module(kv8_import *import, kv8_module *module) {
  if (import == nullptr || import->is_answered) return;
  if (!kv8::Usable(module) || module->isolate != import->isolate) {
    kv8::AnswerError(import, "ERR_VM_MODULE_NOT_MODULE",
                     "Provided module is not an instance of Module");
    return;
  }
  kv8_error error = {};
  kv8_status status =
      kv8::Enter(import->isolate, kv8::InModule(module), &error, [&](Entry &entry) -> kv8_status {
        v8::Local<v8::Value> answer;
        bool ok = kv8::EvaluateForImport(entry.isolate, entry.context, module, &answer);
        if (!ok && answer.IsEmpty()) return entry.Fail();
        kv8::Answer(import, answer, !ok);
        return KV8_OK;
      });
  if (status == KV8_OK) return;
  if (status / 100 == KV8_ETIMEOUT / 100) kv8::RememberTermination(module, error);
  kv8::AnswerError(import, error.code, error.message);
}

void kv8_import_answer_value(kv8_import *import, const kv8_value *value) {
  kv8::AnswerValue(import, value, false);
}

void kv8_import_reject(kv8_import *import, const kv8_value *exception) {
  kv8::AnswerValue(import, exception, true);
}
