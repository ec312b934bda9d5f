/* SPDX-License-Identifier: MIT
 *
 * module.cc: making source text modules, asking them, and how long their handles live. It loads
 * nothing (MO05) and neither links nor evaluates: module_link.cc and module_evaluate.cc do.
 */
#include "shim/module.hh"

namespace kv8 {

namespace {

template <class T>
void SetWeak(v8::Global<T> &reference) noexcept {
  if (!reference.IsEmpty()) reference.SetWeak();
}

}  // namespace

/* ---- requests ------------------------------------------------------------------------------- */

void Request::Read(v8::Isolate *isolate, v8::Local<v8::Context> context, v8::Local<v8::String> text,
                   v8::Local<v8::FixedArray> from, int stride, bool source_phase) {
  specifier = ToUtf8(isolate, text);
  phase = source_phase ? KV8_PHASE_SOURCE : KV8_PHASE_EVALUATION;
  for (int i = 0; i + 1 < from->Length(); i += stride) {
    for (int part = i; part < i + 2; part++) {
      v8::Local<v8::Value> value = compat::ElementAt(context, from, part).As<v8::Value>();
      texts.push_back(value->IsString() ? ToUtf8(isolate, value.As<v8::String>()) : "");
    }
  }
  for (size_t i = 0; i < texts.size(); i += 2) {
    attributes.push_back({Span(texts[i]), Span(texts[i + 1])});
  }
}

kv8_module_request Request::View() const noexcept {
  return {Span(specifier), phase, attributes.empty() ? nullptr : attributes.data(),
          attributes.size()};
}

std::string Request::Key() const {
  std::string key = specifier;
  for (const std::string &text : texts) {
    key.append(1, '\0').append(std::to_string(text.size())).append(1, ':').append(text);
  }
  return key;
}

namespace {

/* V8 has merged requests that are wholly alike, and keeps the order of the source. */
void ReadRequests(Entry &entry, kv8_module *module, v8::Local<v8::Module> record) {
  v8::Local<v8::FixedArray> requests = record->GetModuleRequests();
  module->requests.resize(static_cast<size_t>(requests->Length()));
  for (int i = 0; i < requests->Length(); i++) {
    v8::HandleScope scope(entry.isolate);
    v8::Local<v8::ModuleRequest> from = compat::ModuleRequestAt(entry.context, requests, i);
    Request &request = module->requests[static_cast<size_t>(i)];
    request.Read(entry.isolate, entry.context, from->GetSpecifier(), compat::ImportAttributes(from),
                 3, compat::IsSourcePhase(from));
    module->request_index.try_emplace(request.Key(), static_cast<size_t>(i));
  }
}

/* CompileModule(), which must not be told kEagerCompile. */
kv8_status Compile(Entry &entry, Source &text, v8::Local<v8::Module> *ret_record) {
  v8::ScriptCompiler::CompileOptions options = text.options();
  std::optional<compat::EagerModules> eager;
  if (options == v8::ScriptCompiler::kEagerCompile) {
    if (!compat::EagerModules::kSupported) {
      return SetError(entry.err, KV8_EUNSUPPORTED, "", "this V8 does not compile modules eagerly");
    }
    options = v8::ScriptCompiler::kNoCompileOptions;
    eager.emplace();
  }
  if (!v8::ScriptCompiler::CompileModule(entry.isolate, text.v8(), options).ToLocal(ret_record)) {
    return entry.Fail(KV8_ESYNTAX);
  }
  return KV8_OK;
}

/* Adds to what stays as long as the module. Runs no code, whatever Array.prototype has. */
void Append(Entry &entry, kv8_module *module, v8::Local<v8::Value> value) {
  if (module->more.IsEmpty()) {
    module->more.Reset(entry.isolate, v8::Array::New(entry.isolate));
    Rehold(entry.isolate, module);
  }
  v8::Local<v8::Array> more = module->more.Get(entry.isolate);
  more->CreateDataProperty(entry.context, more->Length(), value).Check();
}

/* ---- lives of handles ----------------------------------------------------------------------- */

/* Whether V8 may still call back for this module, although nobody needs its handle any more. */
bool IsAwaited(const kv8_module *module) noexcept {
  kv8_isolate *owner = module->isolate;
  if (owner == nullptr || owner->is_closing || !Usable(module)) return false;
  v8::Isolate::Scope isolate_scope(owner->v8);
  v8::HandleScope scope(owner->v8);
  v8::Module::Status status = module->module.Get(owner->v8)->GetStatus();
  if (status == v8::Module::kEvaluating) return true;
  if (module->is_synthetic) {
    return module->on_evaluate != nullptr && status == v8::Module::kInstantiated;
  }
  return module->hooks != nullptr && module->hooks->on_import_meta != nullptr &&
         status >= v8::Module::kInstantiated;
}

void OnRetiredCollected(const v8::WeakCallbackInfo<ModuleOwner> &info) {
  ModuleOwner *owner = info.GetParameter();
  kv8_isolate *isolate = owner->module->isolate;
  owner->module->module.Reset();
  Bury(isolate, owner);
}

/* Makes the handle's references weak. */
void Weaken(kv8_module *module) noexcept {
  auto weaken = [](auto &handle) { /* V8 does not accept an empty one */
                                   if (!handle.IsEmpty()) handle.SetWeak();
  };
  weaken(module->module);
  weaken(module->unbound);
  weaken(module->context);
  weaken(module->outcome);
  weaken(module->more);
}

/* From now on the handle goes when V8's record goes. */
bool Retire(kv8_module *module) noexcept {
  auto *owner = new (std::nothrow) ModuleOwner(module);
  if (owner == nullptr) return false;
  module->owner = owner;
  module->is_tied = false;
  module->is_retired = true;
  module->holder.Reset();
  Weaken(module);
  module->module.SetWeak(owner, OnRetiredCollected, v8::WeakCallbackType::kParameter);
  return true;
}

/* The end of a handle for whoever had it. */
void Release(kv8_module *module) noexcept {
  LeaveLinking(module);
  Forget(module);
  if (!IsAwaited(module) || !Retire(module)) delete module;
}

kv8_status CopyCache(Entry &entry, const kv8_module *module, kv8_blob *ret_data) {
  return CopyCachedData(
      std::unique_ptr<v8::ScriptCompiler::CachedData>(
          v8::ScriptCompiler::CreateCodeCache(module->unbound.Get(entry.isolate))),
      ret_data, entry.err);
}

enum class CacheOf { kUnevaluated, kAny };

kv8_status CreateCachedData(kv8_module *module, CacheOf what, kv8_blob *ret_data, kv8_error *err) {
  if (!Usable(module) || ret_data == nullptr) {
    return Invalid(err, "module and ret_data are needed");
  }
  if (module->is_synthetic) {
    return SetError(err, KV8_ESTATE, "", "a synthetic module has no code to cache");
  }
  kv8_blob data = {nullptr, 0};
  kv8_status status =
      Enter(module->isolate, InModule(module), err, [&](Entry &entry) -> kv8_status {
        v8::Module::Status now = module->module.Get(entry.isolate)->GetStatus();
        bool evaluated = now >= v8::Module::kEvaluated || module->link_failed;
        if (now == v8::Module::kInstantiating || now == v8::Module::kEvaluating ||
            (what == CacheOf::kUnevaluated && evaluated)) {
          return SetError(entry.err, KV8_ESTATE, "ERR_VM_MODULE_CANNOT_CREATE_CACHED_DATA",
                          "Cached data cannot be created for a module which has been evaluated");
        }
        return CopyCache(entry, module, &data);
      });
  if (status != KV8_OK) {
    kv8_blob_free(&data);
    return status;
  }
  *ret_data = data;
  return KV8_OK;
}

}  // namespace

kv8_module_status StatusIn(v8::Isolate *isolate, const kv8_module *module) {
  if (module->terminated || module->link_failed) return KV8_MODULE_ERRORED;
  switch (module->module.Get(isolate)->GetStatus()) {
    case v8::Module::kUninstantiated:
      return module->linking != nullptr ? KV8_MODULE_LINKING : KV8_MODULE_UNLINKED;
    case v8::Module::kInstantiating:
      return KV8_MODULE_LINKING;
    case v8::Module::kInstantiated:
      return KV8_MODULE_LINKED;
    case v8::Module::kEvaluating:
      return KV8_MODULE_EVALUATING;
    case v8::Module::kEvaluated:
      return KV8_MODULE_EVALUATED;
    case v8::Module::kErrored:
      break;
  }
  return KV8_MODULE_ERRORED;
}

kv8_status WrongState(kv8_error *err, const char *must) {
  return SetError(err, KV8_ESTATE, kStatusCode, "Module status %s", must);
}

kv8_module *FindModule(kv8_isolate *isolate, v8::Local<v8::Module> record) {
  auto [at, end] = isolate->modules.equal_range(record->GetIdentityHash());
  for (; at != end; ++at) {
    if (at->second->module == record) return at->second;
  }
  return nullptr;
}

std::string NextIdentifier(ContextState *state) {
  return "vm:module(" + std::to_string(state->modules_made++) + ")";
}

void Adopt(Entry &entry, kv8_module *module, v8::Local<v8::Module> record, std::string identifier) {
  module->identifier = std::move(identifier);
  module->module.Reset(entry.isolate, record);
  module->context.Reset(entry.isolate, entry.context);
  module->hash = record->GetIdentityHash();
  module->number = ++entry.owner->modules_made;
  entry.owner->modules.emplace(module->hash, module);
  module->listed = true;
}

void Rehold(v8::Isolate *isolate, kv8_module *module) {
  if (!module->is_tied || module->holder.IsEmpty()) return;
  v8::Local<v8::Object> holder = module->holder.Get(isolate);
  SetHolderReference(isolate, holder, kModuleOutcome, module->outcome.Get(isolate));
  SetHolderReference(isolate, holder, kModuleMore, module->more.Get(isolate));
  SetWeak(module->outcome);
  SetWeak(module->more);
}

void KeepTied(Entry &entry, kv8_module *module, kv8_module *target) {
  if (target->is_tied && !target->holder.IsEmpty()) {
    Append(entry, module, target->holder.Get(entry.isolate));
  }
}

void Forget(kv8_module *module) noexcept {
  kv8_isolate *isolate = module->isolate;
  if (isolate == nullptr) return;
  DropTable(module, false);
  if (module->linked_by == 0) return;
  /* Freed before those that link to it were instantiated: their requests are open again. */
  for (const auto &[hash, other] : isolate->modules) {
    for (kv8_module *&target : other->linked) {
      if (target == module) target = nullptr;
    }
  }
  module->linked_by = 0;
}

ModuleOwner::~ModuleOwner() {
  kv8_module *owned = std::exchange(module, nullptr);
  if (owned == nullptr) return;
  owned->owner = nullptr;
  if (owned->is_tied) {
    Release(owned);
  } else {
    delete owned;
  }
}

void FreeModules(kv8_isolate *isolate) noexcept {
  isolate->is_closing = true;
  FreeLinks(isolate);
  for (;;) {
    ModuleOwner *retired = nullptr;
    for (const auto &[hash, module] : isolate->modules) {
      if (module->is_retired) retired = module->owner;
    }
    if (retired == nullptr) break;
    delete retired;
  }
  while (isolate->hooks != nullptr) delete isolate->hooks;
}

}  // namespace kv8

kv8_module::~kv8_module() {
  Drop();
}

void kv8_module::Drop() noexcept {
  if (listed) {
    kv8::LeaveLinking(this);
    kv8::Forget(this);
    auto [at, end] = isolate->modules.equal_range(hash);
    for (; at != end; ++at) {
      if (at->second == this) {
        isolate->modules.erase(at);
        break;
      }
    }
    listed = false;
  }
  module.Reset();
  unbound.Reset();
  context.Reset();
  outcome.Reset();
  more.Reset();
  holder.Reset();
  tied_to.Reset();
  if (release != nullptr) std::exchange(release, nullptr)(user);
}

using kv8::Enter;
using kv8::Entry;
using kv8::InModule;
using kv8::Invalid;
using kv8::SetError;
using kv8::StatusIn;
using kv8::Usable;

const char *kv8_module_status_name(kv8_module_status status) {
  switch (status) {
    case KV8_MODULE_UNLINKED:
      return "unlinked";
    case KV8_MODULE_LINKING:
      return "linking";
    case KV8_MODULE_LINKED:
      return "linked";
    case KV8_MODULE_EVALUATING:
      return "evaluating";
    case KV8_MODULE_EVALUATED:
      return "evaluated";
    case KV8_MODULE_ERRORED:
      return "errored";
  }
  return "unknown";
}

kv8_status kv8_module_compile(kv8_context *context, const kv8_source *source,
                              kv8_module **ret_module, kv8_cache_outcome *ret_outcome,
                              kv8_error *err) {
  kv8::Source text(source);
  if (context == nullptr || context->state == nullptr || source == nullptr ||
      ret_module == nullptr) {
    return Invalid(err, "context, source and ret_module are needed");
  }
  kv8_status status = text.Check(err);
  if (status != KV8_OK) return status;
  std::unique_ptr<kv8_module> made;
  status = Enter(context->isolate, kv8::In(context), err, [&](Entry &entry) -> kv8_status {
    std::string identifier(text.filename());
    if (identifier.empty()) identifier = kv8::NextIdentifier(context->state);
    kv8_status prepared = text.Prepare(entry, kv8::SourceKind::kModule, identifier);
    if (prepared != KV8_OK) return prepared;
    v8::Local<v8::Module> record;
    kv8_status compiled = kv8::Compile(entry, text, &record);
    if (compiled != KV8_OK) return compiled;
    made = std::make_unique<kv8_module>(entry.owner);
    made->unbound.Reset(entry.isolate, record->GetUnboundModuleScript());
    kv8::ReadRequests(entry, made.get(), record);
    made->says_await = text.Mentions("await");
    kv8::Adopt(entry, made.get(), record, std::move(identifier));
    bool told = false;
    if (made->says_await && !kv8::compat::HasTopLevelAwait(record, &told)) {
      kv8::Append(entry, made.get(), text.text()); /* first, see kv8_module_has_top_level_await() */
    }
    made->hooks = text.Succeed();
    return KV8_OK;
  });
  if (status != KV8_OK) return status;
  if (ret_outcome != nullptr) *ret_outcome = text.Outcome();
  *ret_module = made.release();
  return KV8_OK;
}

void kv8_module_free(kv8_module *module) {
  if (module == nullptr || module->is_tied || module->is_retired) return;
  kv8::Release(module);
}

kv8_module_status kv8_module_get_status(const kv8_module *module) {
  if (!Usable(module)) return KV8_MODULE_ERRORED;
  v8::Isolate::Scope isolate_scope(module->isolate->v8);
  v8::HandleScope handle_scope(module->isolate->v8);
  return StatusIn(module->isolate->v8, module);
}

kv8_span kv8_module_get_identifier(const kv8_module *module) {
  return module == nullptr ? kv8_span{nullptr, 0} : kv8::Span(module->identifier);
}

bool kv8_module_is_synthetic(const kv8_module *module) {
  return module != nullptr && module->is_synthetic;
}

size_t kv8_module_get_request_count(const kv8_module *module) {
  return module == nullptr ? 0 : module->requests.size();
}

kv8_status kv8_module_get_request(const kv8_module *module, size_t index,
                                  kv8_module_request *ret_request, kv8_error *err) {
  if (module == nullptr || ret_request == nullptr) {
    return Invalid(err, "module and ret_request are needed");
  }
  if (index >= module->requests.size()) {
    return SetError(err, KV8_EINVAL, "", "request %zu: module '%.200s' has %zu", index,
                    module->identifier.c_str(), module->requests.size());
  }
  *ret_request = module->requests[index].View();
  return KV8_OK;
}

kv8_status kv8_module_create_cached_data(kv8_module *module, kv8_blob *ret_data, kv8_error *err) {
  return kv8::CreateCachedData(module, kv8::CacheOf::kUnevaluated, ret_data, err);
}

kv8_status kv8_module_create_warm_cached_data(kv8_module *module, kv8_blob *ret_data,
                                              kv8_error *err) {
  return kv8::CreateCachedData(module, kv8::CacheOf::kAny, ret_data, err);
}

kv8_status kv8_module_copy_source_map_url(kv8_module *module, kv8_blob *ret_url, kv8_error *err) {
  if (!Usable(module) || ret_url == nullptr) return Invalid(err, "module and ret_url are needed");
  kv8_blob url = {nullptr, 0};
  kv8_status status =
      Enter(module->isolate, InModule(module), err, [&](Entry &entry) -> kv8_status {
        if (module->is_synthetic) return KV8_OK;
        v8::Local<v8::Value> value =
            kv8::compat::SourceMappingUrl(module->unbound.Get(entry.isolate));
        if (value->IsString()) {
          std::string text = kv8::ToUtf8(entry.isolate, value.As<v8::String>());
          if (!text.empty()) url = kv8::NewBlob(text.data(), text.size());
        }
        return KV8_OK;
      });
  if (status == KV8_OK) {
    *ret_url = url;
  } else {
    kv8_blob_free(&url);
  }
  return status;
}

/* ---- ties ----------------------------------------------------------------------------------- */

kv8_status kv8_module_tie(kv8_module *module, const kv8_value *object, kv8_error *err) {
  if (!Usable(module) || object == nullptr || object->isolate != module->isolate) {
    return Invalid(err, "module and object are needed, of one isolate");
  }
  return Enter(module->isolate, InModule(module), err, [&](Entry &entry) -> kv8_status {
    v8::Local<v8::Value> value = object->value.Get(entry.isolate);
    v8::Local<v8::Object> holder;
    if (!value->IsObject()) {
      return SetError(entry.err, KV8_EINVAL, "ERR_INVALID_ARG_TYPE", "not an object");
    }
    if (module->is_tied || module->is_retired ||
        kv8::HolderOf(entry.owner, value, kv8::HoldKey::kModule).ToLocal(&holder)) {
      return SetError(entry.err, KV8_ESTATE, "", "module '%.200s' is tied, or the object has one",
                      module->identifier.c_str());
    }
    /* Whoever needs the module needs the object: in JavaScript that is the module. */
    kv8::Append(entry, module, value);
    auto owner = std::make_unique<kv8::ModuleOwner>(nullptr);
    kv8::ModuleOwner *owned = owner.get();
    if (!kv8::NewHolder(entry.owner, entry.context, std::move(owner),
                        {module->module.Get(entry.isolate), module->unbound.Get(entry.isolate),
                         module->outcome.Get(entry.isolate), module->more.Get(entry.isolate)})
             .ToLocal(&holder) ||
        !kv8::Hold(entry.owner, entry.context, value.As<v8::Object>(), kv8::HoldKey::kModule,
                   holder)) {
      return entry.Fail(KV8_EENGINE);
    }
    owned->module = module;
    module->owner = owned;
    module->holder.Reset(entry.isolate, holder);
    module->is_tied = true;
    for (const auto &[hash, other] : entry.owner->modules) {
      for (kv8_module *target : other->linked) {
        if (target == module) kv8::KeepTied(entry, other, module);
      }
    }
    kv8::KeepInLinking(entry, module);
    module->holder.SetWeak();
    module->tied_to.Reset(entry.isolate, value.As<v8::Object>());
    module->tied_to.SetWeak();
    kv8::Weaken(module);
    return KV8_OK;
  });
}

kv8_status kv8_module_copy_owner(const kv8_module *module, kv8_value **ret_owner, kv8_error *err) {
  if (!Usable(module) || ret_owner == nullptr) {
    return Invalid(err, "module and ret_owner are needed");
  }
  std::unique_ptr<kv8_value> made;
  kv8_status status = Enter(module->isolate, {}, err, [&](Entry &entry) -> kv8_status {
    if (!module->tied_to.IsEmpty()) {
      made = kv8::NewValue(entry.owner, module->tied_to.Get(entry.isolate));
    }
    return KV8_OK;
  });
  if (status == KV8_OK) *ret_owner = made.release();
  return status;
}

kv8_module *kv8_module_of(const kv8_value *object) {
  if (object == nullptr || object->isolate == nullptr) return nullptr;
  v8::Isolate::Scope isolate_scope(object->isolate->v8);
  v8::HandleScope handle_scope(object->isolate->v8);
  auto *owner = static_cast<kv8::ModuleOwner *>(
      kv8::HeldBy(object->isolate, object->value.Get(object->isolate->v8), kv8::HoldKey::kModule));
  return owner == nullptr ? nullptr : owner->module;
}
