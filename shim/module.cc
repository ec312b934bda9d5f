/* SPDX-License-Identifier: MIT
 *
 * module.cc: source text module records. Linking is a table the caller fills (N25), so that V8's
 * resolve callback looks up and never calls out (P29). V8 ends the process when a method is called
 * in the wrong state; here every call passes a gate of our own first (P32). It loads nothing: no
 * specifier is ever looked up outside the table (MO05).
 */
#include <unordered_set>

#include "shim/internal.hh"

namespace kv8 {
namespace {

constexpr char kStatusCode[] = "ERR_VM_MODULE_STATUS";
constexpr char kLinkFailure[] = "ERR_VM_MODULE_LINK_FAILURE";

kv8_module_status StatusIn(v8::Isolate *isolate, const kv8_module *module) {
  if (module->terminated) return KV8_MODULE_ERRORED;
  switch (module->module.Get(isolate)->GetStatus()) {
    case v8::Module::kUninstantiated:
      return KV8_MODULE_UNLINKED;
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

bool Usable(const kv8_module *module) noexcept {
  return module != nullptr && module->isolate != nullptr && !module->module.IsEmpty();
}

EnterOptions InModule(const kv8_module *module, unsigned timeout_ms = 0, bool drain = false) {
  return {&module->context, timeout_ms, drain};
}

kv8_status WrongState(kv8_error *err, const char *must) {
  return SetError(err, KV8_ESTATE, kStatusCode, "Module status %s", must);
}

/* V8 has merged requests that are wholly alike; two that differ in their attributes only are one to
 * us, because one module answers both. */
bool ReadRequests(Entry &entry, kv8_module *module, v8::Local<v8::Module> record) {
  v8::Local<v8::FixedArray> requests = record->GetModuleRequests();
  for (int i = 0; i < requests->Length(); i++) {
    v8::HandleScope scope(entry.isolate);
    std::string specifier =
        ToUtf8(entry.isolate, compat::ModuleRequestAt(entry.context, requests, i)->GetSpecifier());
    if (module->request_index.try_emplace(specifier, module->requests.size()).second) {
      module->requests.push_back(std::move(specifier));
    }
  }
  return true;
}

/* V8's name for a module, back to ours; NULL for one this library did not make. */
kv8_module *FindModule(kv8_isolate *isolate, v8::Local<v8::Module> record) {
  auto [at, end] = isolate->modules.equal_range(record->GetIdentityHash());
  for (; at != end; ++at) {
    if (at->second->module == record) return at->second;
  }
  return nullptr;
}

void ThrowLinkError(v8::Isolate *isolate) {
  isolate->ThrowException(v8::Exception::Error(Literal(isolate, "module request is not linked")));
}

/* The table lookup. CheckLinked() has seen to it that there is an answer. */
v8::MaybeLocal<v8::Module> Resolve(v8::Local<v8::Context> context, v8::Local<v8::String> specifier,
                                   v8::Local<v8::FixedArray>, v8::Local<v8::Module> referrer) {
  ContextState *state = StateOf(context);
  v8::Isolate *isolate = state->isolate->v8;
  try {
    kv8_module *from = FindModule(state->isolate, referrer);
    if (from != nullptr) {
      auto at = from->request_index.find(ToUtf8(isolate, specifier));
      if (at != from->request_index.end() && at->second < from->linked.size() &&
          from->linked[at->second] != nullptr) {
        return from->linked[at->second]->module.Get(isolate);
      }
    }
  } catch (const std::bad_alloc &) { /* must not unwind through V8: an unresolved request */
  }
  ThrowLinkError(isolate);
  return {};
}

/* Calls `visit` once for each module that instantiating `root` would reach through tables. */
template <class Visit>
kv8_status WalkUninstantiated(v8::Isolate *isolate, kv8_module *root, Visit &&visit) {
  std::unordered_set<kv8_module *> seen = {root};
  std::vector<kv8_module *> open = {root};
  while (!open.empty()) {
    kv8_module *module = open.back();
    open.pop_back();
    kv8_status status = visit(module);
    if (status != KV8_OK) return status;
    if (StatusIn(isolate, module) != KV8_MODULE_UNLINKED) continue;
    for (kv8_module *next : module->linked) {
      if (next != nullptr && seen.insert(next).second) open.push_back(next);
    }
  }
  return KV8_OK;
}

kv8_status CheckLinked(Entry &entry, kv8_module *root) {
  return WalkUninstantiated(entry.isolate, root, [&](kv8_module *module) {
    if (module->terminated) {
      return SetError(entry.err, KV8_ELINK, kLinkFailure,
                      "module '%.200s' was terminated while it was evaluated",
                      module->identifier.c_str());
    }
    if (StatusIn(entry.isolate, module) != KV8_MODULE_UNLINKED) return KV8_OK;
    for (size_t i = 0; i < module->requests.size(); i++) {
      if (module->is_linked && module->linked[i] != nullptr) continue;
      return SetError(entry.err, KV8_ELINK, kLinkFailure,
                      "request for '%.200s' can not be resolved on module '%.200s' that is not "
                      "linked",
                      module->requests[i].c_str(), module->identifier.c_str());
    }
    return KV8_OK;
  });
}

void DropTable(kv8_module *module) noexcept {
  for (kv8_module *target : module->linked) {
    if (target != nullptr) target->linked_by--;
  }
  std::vector<kv8_module *>().swap(module->linked);
}

/* Remembers why a module is errored: the first answer is the only one (MO10). */
void Remember(kv8_module *module, const kv8_error &error) {
  if (module->error == nullptr) module->error = std::make_unique<kv8_error>(error);
}

/* After a termination V8 says of the modules it interrupted that they are errored and keeps null
 * as their exception, or believes them evaluated (P19). */
void RememberTermination(kv8_module *root, const kv8_error &error) {
  root->terminated = true;
  Remember(root, error);
  v8::Isolate *isolate = root->isolate->v8;
  v8::Isolate::Scope isolate_scope(isolate);
  v8::HandleScope handle_scope(isolate);
  for (const auto &[hash, module] : root->isolate->modules) {
    if (module->error != nullptr || module->terminated) continue;
    v8::Local<v8::Module> record = module->module.Get(isolate);
    if (record->GetStatus() == v8::Module::kErrored && record->GetException()->IsNull()) {
      module->terminated = true;
      Remember(module, error);
    }
  }
}

/* Describes `reason` and remembers it. */
kv8_status Rejected(Entry &entry, kv8_module *module, v8::Local<v8::Value> reason) {
  kv8_error error = {};
  DescribeException(entry.isolate, entry.context, reason,
                    v8::Exception::CreateMessage(entry.isolate, reason), KV8_EEXCEPTION, &error);
  Remember(module, error);
  if (entry.err != nullptr) *entry.err = *module->error;
  return module->error->status;
}

/* What is known of an evaluation that has been begun. */
kv8_status Settle(Entry &entry, kv8_module *module, kv8_promise_state *ret_state) {
  v8::Local<v8::Module> record = module->module.Get(entry.isolate);
  if (record->GetStatus() == v8::Module::kErrored) {
    return Rejected(entry, module, record->GetException());
  }
  *ret_state = KV8_PROMISE_FULFILLED;
  if (module->promise.IsEmpty()) return KV8_OK;
  v8::Local<v8::Promise> promise = module->promise.Get(entry.isolate);
  switch (promise->State()) {
    case v8::Promise::kPending:
      *ret_state = KV8_PROMISE_PENDING;
      return KV8_OK;
    case v8::Promise::kFulfilled:
      return KV8_OK;
    case v8::Promise::kRejected:
      break;
  }
  return Rejected(entry, module, promise->Result());
}

/* Starts the evaluation, or asks V8 for the promise of one a parent started. */
kv8_status Start(Entry &entry, kv8_module *module) {
  v8::Local<v8::Value> result;
  entry.owner->module_evaluating = true;
  bool done = module->module.Get(entry.isolate)->Evaluate(entry.context).ToLocal(&result);
  entry.owner->module_evaluating = false;
  if (!done) return entry.Fail();
  if (result->IsPromise()) {
    v8::Local<v8::Promise> promise = result.As<v8::Promise>();
    promise->MarkAsHandled(); /* its rejection is this call's answer */
    module->promise.Reset(entry.isolate, promise);
  }
  return KV8_OK;
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
  kv8_blob data = {nullptr, 0};
  kv8_status status =
      Enter(module->isolate, InModule(module), err, [&](Entry &entry) -> kv8_status {
        kv8_module_status now = StatusIn(entry.isolate, module);
        if (now == KV8_MODULE_LINKING || now == KV8_MODULE_EVALUATING ||
            (what == CacheOf::kUnevaluated && now > KV8_MODULE_LINKED)) {
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

void ForgetModule(kv8_module *module) noexcept {
  kv8_isolate *isolate = module->isolate;
  if (isolate == nullptr || !module->listed) return;
  DropTable(module);
  auto [at, end] = isolate->modules.equal_range(module->hash);
  for (; at != end; ++at) {
    if (at->second == module) {
      isolate->modules.erase(at);
      break;
    }
  }
  module->listed = false;
  if (module->linked_by == 0) return;
  /* Freed before those that link to it were instantiated: their requests are open again. */
  for (const auto &[hash, other] : isolate->modules) {
    for (kv8_module *&target : other->linked) {
      if (target == module) target = nullptr;
    }
  }
  module->linked_by = 0;
}

}  // namespace kv8

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
    if (identifier.empty()) {
      identifier = "vm:module(" + std::to_string(context->state->modules_made++) + ")";
    }
    kv8_status prepared = text.Prepare(entry, kv8::SourceKind::kModule, identifier);
    if (prepared != KV8_OK) return prepared;
    v8::Local<v8::Module> record;
    kv8_status compiled = kv8::Compile(entry, text, &record);
    if (compiled != KV8_OK) return compiled;
    made = std::make_unique<kv8_module>(entry.owner);
    made->identifier = std::move(identifier);
    made->module.Reset(entry.isolate, record);
    made->unbound.Reset(entry.isolate, record->GetUnboundModuleScript());
    made->context.Reset(entry.isolate, entry.context);
    kv8::ReadRequests(entry, made.get(), record);
    made->hash = record->GetIdentityHash();
    entry.owner->modules.emplace(made->hash, made.get());
    made->listed = true;
    return KV8_OK;
  });
  if (status != KV8_OK) return status;
  if (ret_outcome != nullptr) *ret_outcome = text.Outcome();
  *ret_module = made.release();
  return KV8_OK;
}

void kv8_module_free(kv8_module *module) {
  delete module;
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

size_t kv8_module_get_request_count(const kv8_module *module) {
  return module == nullptr ? 0 : module->requests.size();
}

kv8_status kv8_module_get_request(const kv8_module *module, size_t index, kv8_span *ret_specifier,
                                  kv8_error *err) {
  if (module == nullptr || ret_specifier == nullptr) {
    return Invalid(err, "module and ret_specifier are needed");
  }
  if (index >= module->requests.size()) {
    return SetError(err, KV8_EINVAL, "", "request %zu: module has %zu", index,
                    module->requests.size());
  }
  *ret_specifier = kv8::Span(module->requests[index]);
  return KV8_OK;
}

kv8_status kv8_module_link_requests(kv8_module *module, kv8_module *const *modules,
                                    size_t modules_count, kv8_error *err) {
  if (!Usable(module) || (modules == nullptr && modules_count > 0)) {
    return Invalid(err, "module and modules are needed");
  }
  return Enter(module->isolate, InModule(module), err, [&](Entry &entry) -> kv8_status {
    if (StatusIn(entry.isolate, module) != KV8_MODULE_UNLINKED) {
      return kv8::WrongState(entry.err, "must be unlinked");
    }
    if (module->is_linked) {
      return SetError(entry.err, KV8_ESTATE, "ERR_VM_MODULE_ALREADY_LINKED",
                      "Module has already been linked");
    }
    if (modules_count != module->requests.size()) {
      return SetError(entry.err, KV8_ELINK, "ERR_MODULE_LINK_MISMATCH",
                      "Expected %zu modules, got %zu", module->requests.size(), modules_count);
    }
    for (size_t i = 0; i < modules_count; i++) {
      if (!Usable(modules[i])) {
        return SetError(entry.err, KV8_EINVAL, "ERR_VM_MODULE_NOT_MODULE",
                        "Provided module is not an instance of Module");
      }
      if (modules[i]->isolate != module->isolate || modules[i]->context != module->context) {
        return SetError(entry.err, KV8_ELINK, "ERR_VM_MODULE_DIFFERENT_CONTEXT",
                        "Linked modules must use the same context");
      }
      if (StatusIn(entry.isolate, modules[i]) == KV8_MODULE_ERRORED) {
        return SetError(entry.err, KV8_ELINK, kv8::kLinkFailure,
                        "request for '%.200s' resolved to an errored module",
                        module->requests[i].c_str());
      }
    }
    module->linked.assign(modules, modules + modules_count);
    for (kv8_module *target : module->linked) target->linked_by++;
    module->is_linked = true;
    return KV8_OK;
  });
}

kv8_status kv8_module_instantiate(kv8_module *module, kv8_error *err) {
  if (!Usable(module)) return Invalid(err, "module is needed");
  return Enter(module->isolate, InModule(module), err, [&](Entry &entry) -> kv8_status {
    switch (StatusIn(entry.isolate, module)) {
      case KV8_MODULE_UNLINKED:
        break;
      case KV8_MODULE_LINKED:
        return KV8_OK;
      default:
        return kv8::WrongState(entry.err, "must be unlinked or linked");
    }
    kv8_status linked = kv8::CheckLinked(entry, module);
    if (linked != KV8_OK) return linked;
    std::vector<kv8_module *> reached;
    kv8::WalkUninstantiated(entry.isolate, module, [&](kv8_module *each) {
      reached.push_back(each);
      return KV8_OK;
    });
    if (module->module.Get(entry.isolate)
            ->InstantiateModule(entry.context, kv8::Resolve)
            .IsNothing()) {
      return entry.Fail(KV8_ESYNTAX);
    }
    for (kv8_module *each : reached) kv8::DropTable(each); /* P05: keeps nothing alive */
    return KV8_OK;
  });
}

kv8_status kv8_module_evaluate(kv8_module *module, const kv8_run_options *options,
                               kv8_promise_state *ret_state, kv8_error *err) {
  if (!Usable(module) || !kv8::KnownSize(options)) {
    return Invalid(err, "module and known options are needed");
  }
  unsigned timeout_ms = kv8::Normalised(options).timeout_ms;
  kv8_promise_state state = KV8_PROMISE_PENDING;
  bool begun = false;
  kv8_error local = {};
  kv8_status status = Enter(
      module->isolate, InModule(module, timeout_ms, true), &local, [&](Entry &entry) -> kv8_status {
        kv8_module_status now = StatusIn(entry.isolate, module);
        if (now < KV8_MODULE_LINKED || now == KV8_MODULE_EVALUATING) {
          return kv8::WrongState(entry.err, "must be one of linked, evaluated, or errored");
        }
        if (now == KV8_MODULE_ERRORED) return KV8_OK; /* N20: says it again, below */
        if (entry.owner->module_evaluating) {
          return SetError(entry.err, KV8_ESTATE, kv8::kStatusCode,
                          "Another module of this isolate is being evaluated");
        }
        begun = true;
        return kv8::Start(entry, module);
      });
  if (status == KV8_OK && module->error == nullptr) { /* the microtasks have been drained */
    status = Enter(module->isolate, InModule(module, timeout_ms), &local,
                   [&](Entry &entry) { return kv8::Settle(entry, module, &state); });
  } else if (begun && status / 100 == KV8_ETIMEOUT / 100) {
    try {
      kv8::RememberTermination(module, local);
    } catch (const std::bad_alloc &) {
      status = SetError(&local, KV8_ENOMEM, "", "out of memory");
    }
  }
  if (status == KV8_OK && module->error != nullptr) {
    local = *module->error;
    status = local.status;
  }
  if (status != KV8_OK) {
    if (err != nullptr) *err = local;
    return status;
  }
  if (ret_state != nullptr) *ret_state = state;
  return KV8_OK;
}

kv8_status kv8_module_get_error(kv8_module *module, kv8_error *ret_error, kv8_error *err) {
  if (!Usable(module) || ret_error == nullptr) {
    return Invalid(err, "module and ret_error are needed");
  }
  return Enter(module->isolate, InModule(module), err, [&](Entry &entry) -> kv8_status {
    if (StatusIn(entry.isolate, module) != KV8_MODULE_ERRORED) {
      return kv8::WrongState(entry.err, "must be errored");
    }
    if (module->error == nullptr) {
      v8::Local<v8::Value> reason = module->module.Get(entry.isolate)->GetException();
      kv8_error error = {};
      kv8::DescribeException(entry.isolate, entry.context, reason,
                             v8::Exception::CreateMessage(entry.isolate, reason), KV8_EEXCEPTION,
                             &error);
      kv8::Remember(module, error);
    }
    *ret_error = *module->error;
    return KV8_OK;
  });
}

kv8_status kv8_module_copy_namespace(kv8_module *module, kv8_value **ret_value, kv8_error *err) {
  if (!Usable(module) || ret_value == nullptr) {
    return Invalid(err, "module and ret_value are needed");
  }
  std::unique_ptr<kv8_value> made;
  kv8_status status =
      Enter(module->isolate, InModule(module), err, [&](Entry &entry) -> kv8_status {
        v8::Local<v8::Module> record = module->module.Get(entry.isolate);
        if (record->GetStatus() < v8::Module::kInstantiated) {
          return kv8::WrongState(entry.err, "must not be unlinked or linking");
        }
        made = kv8::NewValue(entry.owner, record->GetModuleNamespace());
        return KV8_OK;
      });
  if (status == KV8_OK) *ret_value = made.release();
  return status;
}

kv8_status kv8_module_create_cached_data(kv8_module *module, kv8_blob *ret_data, kv8_error *err) {
  return kv8::CreateCachedData(module, kv8::CacheOf::kUnevaluated, ret_data, err);
}

kv8_status kv8_module_create_warm_cached_data(kv8_module *module, kv8_blob *ret_data,
                                              kv8_error *err) {
  return kv8::CreateCachedData(module, kv8::CacheOf::kAny, ret_data, err);
}
