/* SPDX-License-Identifier: MIT
 *
 * module_evaluate.cc: evaluating modules, and what an evaluation leaves: a promise, an error, a
 * namespace. V8 keeps no exception for a module that was terminated, or believes it evaluated with
 * a promise that stays pending for ever; what such a module says is kept here (P19, D15).
 */
#include "shim/module.hh"

namespace kv8 {

namespace {

/* V8's own record of an evaluation that was terminated. */
bool IsNullError(v8::Local<v8::Module> record) {
  return record->GetStatus() == v8::Module::kErrored && record->GetException()->IsNull();
}

/* Describes `reason` and remembers it. */
kv8_status Rejected(Entry &entry, kv8_module *module, v8::Local<v8::Value> reason) {
  if (module->error == nullptr) {
    kv8_error error = {};
    DescribeException(entry.isolate, entry.context, reason,
                      v8::Exception::CreateMessage(entry.isolate, reason), KV8_EEXCEPTION, &error);
    Remember(module, error);
  }
  if (entry.err != nullptr) *entry.err = *module->error;
  entry.Keep(reason);
  return module->error->status;
}

/* What is known of an evaluation that has been begun. */
kv8_status Settle(Entry &entry, kv8_module *module, kv8_promise_state *ret_state) {
  v8::Local<v8::Module> record = module->module.Get(entry.isolate);
  if (record->GetStatus() == v8::Module::kErrored) {
    if (IsNullError(record) && entry.owner->termination != nullptr) {
      /* A module it needs was terminated in an earlier evaluation. */
      module->terminated = true;
      Remember(module, *entry.owner->termination);
      return KV8_OK;
    }
    return Rejected(entry, module, record->GetException());
  }
  *ret_state = KV8_PROMISE_FULFILLED;
  if (!module->outcome.IsEmpty()) {
    v8::Local<v8::Promise> promise = module->outcome.Get(entry.isolate).As<v8::Promise>();
    if (promise->State() == v8::Promise::kPending) {
      *ret_state = KV8_PROMISE_PENDING;
      return KV8_OK;
    }
    if (promise->State() == v8::Promise::kRejected) {
      return Rejected(entry, module, promise->Result());
    }
  }
  return KV8_OK;
}

/* Starts the evaluation, or asks V8 for the promise of one a parent started; false: V8 was ended.
 * V8 would evaluate a synthetic module again. */
bool Start(v8::Isolate *isolate, v8::Local<v8::Context> context, kv8_module *module) {
  v8::Local<v8::Module> record = module->module.Get(isolate);
  if (module->is_synthetic && record->GetStatus() == v8::Module::kEvaluated) return true;
  ContextState *state = StateOf(context);
  if (state != nullptr) state->evaluating++;
  v8::Local<v8::Value> result;
  bool done = record->Evaluate(context).ToLocal(&result);
  if (state != nullptr) state->evaluating--;
  if (!done) return false;
  if (result->IsPromise()) {
    Handle(module->isolate, result.As<v8::Promise>()); /* its rejection is this call's answer */
    module->outcome.Reset(isolate, result);
    Rehold(isolate, module);
  }
  return true;
}

bool HasFailed(const kv8_module *module) noexcept {
  return module->terminated || module->link_failed;
}

kv8_status CheckNotInSynthetic(v8::Isolate *isolate, kv8_module *module, kv8_error *err) {
  if (!ReachesEvaluatingSynthetic(isolate, module)) return KV8_OK;
  return SetError(err, KV8_ESTATE, kStatusCode,
                  "Module '%.200s' needs a synthetic module that is being evaluated",
                  module->identifier.c_str());
}

/* A promise like those of V8, for what V8 has none for. */
v8::MaybeLocal<v8::Promise> OwnPromise(Entry &entry, const kv8_error *error) {
  v8::Local<v8::Promise::Resolver> resolver;
  if (!v8::Promise::Resolver::New(entry.context).ToLocal(&resolver)) return {};
  v8::Local<v8::Promise> promise = resolver->GetPromise();
  if (error == nullptr) {
    if (resolver->Resolve(entry.context, v8::Undefined(entry.isolate)).IsNothing()) return {};
  } else {
    promise->MarkAsHandled();
    if (resolver->Reject(entry.context, ErrorObject(entry.isolate, entry.context, *error))
            .IsNothing()) {
      return {};
    }
  }
  return promise;
}

kv8_status CopyPromise(Entry &entry, kv8_module *module, v8::Local<v8::Value> *ret_promise) {
  kv8_module_status now = StatusIn(entry.isolate, module);
  if (module->link_failed || (now != KV8_MODULE_EVALUATED && now != KV8_MODULE_ERRORED)) {
    return WrongState(entry.err, "must be evaluated or errored");
  }
  if (module->terminated && (module->outcome.IsEmpty() || !module->has_own_promise)) {
    v8::Local<v8::Promise> promise;
    if (!OwnPromise(entry, module->error.get()).ToLocal(&promise)) return entry.Fail();
    module->outcome.Reset(entry.isolate, promise);
    module->has_own_promise = true;
    Rehold(entry.isolate, module);
  } else if (module->outcome.IsEmpty() && !Start(entry.isolate, entry.context, module)) {
    return entry.Fail();
  }
  if (module->outcome.IsEmpty()) {
    v8::Local<v8::Promise> promise;
    if (!OwnPromise(entry, nullptr).ToLocal(&promise)) return entry.Fail();
    module->outcome.Reset(entry.isolate, promise);
    Rehold(entry.isolate, module);
  }
  *ret_promise = module->outcome.Get(entry.isolate);
  return KV8_OK;
}

v8::Local<v8::Value> StatusError(v8::Isolate *isolate, v8::Local<v8::Context> context,
                                 const char *must) {
  kv8_error error = {};
  WrongState(&error, must);
  return ErrorObject(isolate, context, error);
}

/* Why a module is errored, for JavaScript. */
v8::Local<v8::Value> Reason(v8::Isolate *isolate, v8::Local<v8::Context> context,
                            const kv8_module *module) {
  if (module->link_failed && !module->outcome.IsEmpty()) return module->outcome.Get(isolate);
  if (HasFailed(module)) {
    return module->error != nullptr ? ErrorObject(isolate, context, *module->error)
                                    : StatusError(isolate, context, "must not be errored");
  }
  return module->module.Get(isolate)->GetException();
}

/* then(() => namespace) */
void ReturnData(const v8::FunctionCallbackInfo<v8::Value> &info) {
  info.GetReturnValue().Set(info.Data());
}

}  // namespace

void Remember(kv8_module *module, const kv8_error &error) {
  if (module->error == nullptr) module->error = std::make_unique<kv8_error>(error);
}

v8::Local<v8::Value> ErrorObject(v8::Isolate *isolate, v8::Local<v8::Context> context,
                                 const kv8_error &error) {
  v8::Local<v8::String> message;
  if (!NewString(isolate, error.message).ToLocal(&message)) message = v8::String::Empty(isolate);
  v8::Local<v8::Value> object = v8::Exception::Error(message);
  if (error.code[0] != '\0') {
    v8::Local<v8::String> code = Literal(isolate, error.code);
    object.As<v8::Object>()
        ->CreateDataProperty(context, Literal(isolate, "code"), code)
        .FromMaybe(false);
  }
  return object;
}

void RememberTermination(kv8_module *root, const kv8_error &error) noexcept {
  kv8_isolate *owner = root->isolate;
  root->terminated = true;
  try {
    Remember(root, error);
    owner->termination = std::make_unique<kv8_error>(error);
    v8::Isolate::Scope isolate_scope(owner->v8);
    v8::HandleScope handle_scope(owner->v8);
    for (const auto &[hash, module] : owner->modules) {
      if (module->error != nullptr || HasFailed(module) || !Usable(module)) continue;
      v8::HandleScope scope(owner->v8);
      if (IsNullError(module->module.Get(owner->v8))) {
        module->terminated = true;
        Remember(module, error);
      }
    }
  } catch (const std::bad_alloc &) { /* the flag stands */
  }
}

bool EvaluateForImport(v8::Isolate *isolate, v8::Local<v8::Context> context, kv8_module *module,
                       v8::Local<v8::Value> *ret_answer) {
  v8::Local<v8::Module> record = module->module.Get(isolate);
  switch (StatusIn(isolate, module)) {
    case KV8_MODULE_UNLINKED:
    case KV8_MODULE_LINKING:
      *ret_answer = StatusError(isolate, context, "must not be unlinked or linking");
      return false;
    case KV8_MODULE_ERRORED:
      *ret_answer = Reason(isolate, context, module);
      return false;
    case KV8_MODULE_EVALUATING: /* an import() of what imports: there is nothing to wait for */
      *ret_answer = record->GetModuleNamespace();
      return true;
    case KV8_MODULE_LINKED:
      if (ReachesEvaluatingSynthetic(isolate, module)) {
        *ret_answer = StatusError(isolate, context, "of a synthetic module must not be evaluating");
        return false;
      }
      break;
    case KV8_MODULE_EVALUATED:
      break;
  }
  if (module->outcome.IsEmpty() && !Start(isolate, context, module)) return false;
  *ret_answer = record->GetModuleNamespace();
  if (module->outcome.IsEmpty()) return true;
  v8::Local<v8::Promise> promise = module->outcome.Get(isolate).As<v8::Promise>();
  if (promise->State() == v8::Promise::kRejected) {
    *ret_answer = promise->Result();
    return false;
  }
  if (promise->State() == v8::Promise::kFulfilled) return true;
  v8::Local<v8::Function> then;
  v8::Local<v8::Promise> later;
  if (!v8::Function::New(context, ReturnData, *ret_answer, 0, v8::ConstructorBehavior::kThrow)
           .ToLocal(&then) ||
      !promise->Then(context, then).ToLocal(&later)) {
    ret_answer->Clear();
    return false;
  }
  *ret_answer = later;
  return true;
}

}  // namespace kv8

using namespace kv8;

kv8_status kv8_module_evaluate(kv8_module *module, const kv8_run_options *options,
                               kv8_promise_state *ret_state, kv8_error *err) {
  if (!Usable(module) || !KnownSize(options)) {
    return Invalid(err, "module and known options are needed");
  }
  kv8_run_options copy = Normalised(options);
  EnterOptions run = {&module->context, copy.timeout_ms, true, false, copy.break_on_sigint};
  kv8_promise_state state = KV8_PROMISE_PENDING;
  v8::Global<v8::Object> kept; /* a tied module must not go meanwhile */
  bool begun = false;
  kv8_error local = {};
  kv8_status status = Enter(module->isolate, run, &local, [&](Entry &entry) -> kv8_status {
    kv8_module_status now = StatusIn(entry.isolate, module);
    if (now == KV8_MODULE_ERRORED) return KV8_OK; /* N20: says it again, below */
    if (now < KV8_MODULE_LINKED || now == KV8_MODULE_EVALUATING) {
      return WrongState(entry.err, "must be one of linked, evaluated, or errored");
    }
    kept.Reset(entry.isolate, module->holder.Get(entry.isolate));
    kv8_status nested = CheckNotInSynthetic(entry.isolate, module, entry.err);
    if (nested != KV8_OK) return nested;
    begun = true;
    return Start(entry.isolate, entry.context, module) ? KV8_OK : entry.Fail();
  });
  if (status == KV8_OK && !HasFailed(module)) { /* the microtasks have been drained */
    status = Enter(module->isolate, InModule(module), &local,
                   [&](Entry &entry) { return Settle(entry, module, &state); });
  } else if (begun && status / 100 == KV8_ETIMEOUT / 100) {
    RememberTermination(module, local);
  }
  if (status == KV8_OK && HasFailed(module)) {
    status = Enter(module->isolate, InModule(module), &local, [&](Entry &entry) {
      v8::Local<v8::Value> reason;
      if (module->link_failed) reason = module->outcome.Get(entry.isolate);
      if (module->error != nullptr) {
        *entry.err = *module->error;
      } else {
        SetError(entry.err, KV8_ENOMEM, "", "out of memory");
      }
      kv8_status failed = entry.err->status;
      if (!reason.IsEmpty()) entry.Keep(reason);
      return failed;
    });
  }
  if (status != KV8_OK) {
    if (err != nullptr) *err = local;
    return status;
  }
  if (ret_state != nullptr) *ret_state = state;
  return KV8_OK;
}

kv8_status kv8_module_copy_promise(kv8_module *module, kv8_value **ret_promise, kv8_error *err) {
  if (!Usable(module) || ret_promise == nullptr) {
    return Invalid(err, "module and ret_promise are needed");
  }
  std::unique_ptr<kv8_value> made;
  kv8_status status =
      Enter(module->isolate, InModule(module), err, [&](Entry &entry) -> kv8_status {
        v8::Local<v8::Value> promise;
        kv8_status copied = CopyPromise(entry, module, &promise);
        if (copied == KV8_OK) made = NewValue(entry.owner, promise);
        return copied;
      });
  if (status == KV8_OK) *ret_promise = made.release();
  return status;
}

kv8_status kv8_module_get_error(kv8_module *module, kv8_error *ret_error, kv8_error *err) {
  if (!Usable(module) || ret_error == nullptr) {
    return Invalid(err, "module and ret_error are needed");
  }
  return Enter(module->isolate, InModule(module), err, [&](Entry &entry) -> kv8_status {
    if (StatusIn(entry.isolate, module) != KV8_MODULE_ERRORED) {
      return WrongState(entry.err, "must be errored");
    }
    if (module->error == nullptr) {
      if (HasFailed(module)) return SetError(entry.err, KV8_ENOMEM, "", "out of memory");
      v8::Local<v8::Value> reason = module->module.Get(entry.isolate)->GetException();
      kv8_error error = {};
      DescribeException(entry.isolate, entry.context, reason,
                        v8::Exception::CreateMessage(entry.isolate, reason), KV8_EEXCEPTION,
                        &error);
      Remember(module, error);
    }
    *ret_error = *module->error;
    return KV8_OK;
  });
}

kv8_status kv8_module_copy_exception(kv8_module *module, kv8_value **ret_value, kv8_error *err) {
  if (!Usable(module) || ret_value == nullptr) {
    return Invalid(err, "module and ret_value are needed");
  }
  std::unique_ptr<kv8_value> made;
  kv8_status status =
      Enter(module->isolate, InModule(module), err, [&](Entry &entry) -> kv8_status {
        if (StatusIn(entry.isolate, module) != KV8_MODULE_ERRORED) {
          return WrongState(entry.err, "must be errored");
        }
        v8::Local<v8::Value> reason;
        if (module->link_failed) {
          reason = module->outcome.Get(entry.isolate);
        } else if (!module->terminated) {
          reason = module->module.Get(entry.isolate)->GetException();
        }
        if (!reason.IsEmpty()) made = NewValue(entry.owner, reason);
        return KV8_OK;
      });
  if (status == KV8_OK) *ret_value = made.release();
  return status;
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
          return WrongState(entry.err, "must not be unlinked or linking");
        }
        made = NewValue(entry.owner, record->GetModuleNamespace());
        return KV8_OK;
      });
  if (status == KV8_OK) *ret_value = made.release();
  return status;
}

kv8_status kv8_module_has_async_graph(kv8_module *module, bool *ret_has, kv8_error *err) {
  if (!Usable(module) || ret_has == nullptr) return Invalid(err, "module and ret_has are needed");
  return Enter(module->isolate, InModule(module), err, [&](Entry &entry) -> kv8_status {
    v8::Local<v8::Module> record = module->module.Get(entry.isolate);
    if (record->GetStatus() < v8::Module::kInstantiated) {
      return WrongState(entry.err, "must not be unlinked or linking");
    }
    *ret_has = record->IsGraphAsync();
    return KV8_OK;
  });
}
