/* SPDX-License-Identifier: MIT
 *
 * promise.cc: promises made and settled by C, microtasks, and telling of rejections that nobody
 * handles.
 */
#include "shim/value.hh"

namespace kv8 {

namespace {

/* On the promises that kv8_promise() has made: whether it can still be settled. V8's own resolver
 * is the bare promise, which a second resolution would settle while the first still waits for a
 * thenable. */
v8::Local<v8::Private> OpenKey(v8::Isolate *isolate) {
  return v8::Private::ForApi(isolate, Literal(isolate, "kiln:openPromise"));
}

enum class Settling { kResolve, kReject };

kv8_status Settle(Entry &entry, v8::Local<v8::Value> target, Settling how,
                  v8::Local<v8::Value> value) {
  v8::Local<v8::Private> key = OpenKey(entry.isolate);
  v8::Local<v8::Value> open;
  if (!target->IsPromise()) return WrongType(entry.err, "promise", "not a Promise");
  if (!target.As<v8::Object>()->GetPrivate(entry.context, key).ToLocal(&open)) return entry.Fail();
  if (!open->IsBoolean()) return WrongType(entry.err, "promise", "not made by kv8_promise()");
  if (open->IsFalse()) return KV8_OK;
  if (target.As<v8::Object>()
          ->SetPrivate(entry.context, key, v8::False(entry.isolate))
          .IsNothing()) {
    return entry.Fail();
  }
  v8::Local<v8::Promise::Resolver> resolver = target.As<v8::Promise::Resolver>();
  v8::Maybe<bool> settled = how == Settling::kResolve ? resolver->Resolve(entry.context, value)
                                                      : resolver->Reject(entry.context, value);
  return settled.IsNothing() ? entry.Fail() : KV8_OK;
}

kv8_status SettleFrom(kv8_context *context, const kv8_value *promise, Settling how,
                      const kv8_value *value, kv8_error *err) {
  if (!Alive(context) || !Fits(context, promise) || !FitsOrNull(context, value)) {
    return Invalid(err, "context, a promise and a value of its isolate are needed");
  }
  return Enter(context->isolate, Touching(context), err, [&](Entry &entry) {
    return Settle(entry, promise->value.Get(entry.isolate), how,
                  ValueOrUndefined(entry.isolate, value));
  });
}

/* What then() does without a handler. V8's Then() insists on one. */
void Identity(const v8::FunctionCallbackInfo<v8::Value> &info) {
  info.GetReturnValue().Set(info[0]);
}

kv8_status ToHandler(Entry &entry, const kv8_value *handle, const char *what,
                     v8::Local<v8::Function> *ret_function) {
  if (handle != nullptr) return ToFunction(entry, handle, what, ret_function);
  return v8::Function::New(entry.context, Identity, {}, 1, v8::ConstructorBehavior::kThrow)
                 .ToLocal(ret_function)
             ? KV8_OK
             : entry.Fail();
}

void OnRejection(v8::PromiseRejectMessage message) {
  kv8_rejection what = KV8_REJECTED_UNHANDLED;
  switch (message.GetEvent()) {
    case v8::kPromiseRejectWithNoHandler:
      break;
    case v8::kPromiseHandlerAddedAfterReject:
      what = KV8_REJECTION_HANDLED;
      break;
    default: /* settled twice, which does nothing */
      return;
  }
  v8::Isolate *v8_isolate = v8::Isolate::GetCurrent();
  auto *isolate = static_cast<kv8_isolate *>(v8_isolate->GetData(compat::kIsolateSlot));
  if (isolate == nullptr || isolate->on_rejection == nullptr) return;
  v8::HandleScope scope(v8_isolate);
  kv8_value promise(isolate, message.GetPromise());
  if (what == KV8_REJECTION_HANDLED) {
    isolate->on_rejection(isolate->on_rejection_user, what, &promise, nullptr);
    return;
  }
  kv8_value reason(isolate, message.GetValue());
  isolate->on_rejection(isolate->on_rejection_user, what, &promise, &reason);
}

}  // namespace

void Handle(kv8_isolate *isolate, v8::Local<v8::Promise> promise) noexcept {
  bool was_reported = promise->State() == v8::Promise::kRejected && !promise->HasHandler();
  promise->MarkAsHandled();
  if (!was_reported || isolate->on_rejection == nullptr) return;
  kv8_value handle(isolate, promise);
  isolate->on_rejection(isolate->on_rejection_user, KV8_REJECTION_HANDLED, &handle, nullptr);
}

}  // namespace kv8

using namespace kv8;

kv8_status kv8_promise(kv8_context *context, kv8_value **ret_promise, kv8_error *err) {
  if (!Alive(context) || ret_promise == nullptr) {
    return Invalid(err, "context and ret_promise are needed");
  }
  return Give(
      context->isolate, In(context), ret_promise, err,
      [&](Entry &entry, v8::Local<v8::Value> *promise) {
        v8::Local<v8::Promise::Resolver> resolver;
        if (!v8::Promise::Resolver::New(entry.context).ToLocal(&resolver) ||
            resolver->SetPrivate(entry.context, OpenKey(entry.isolate), v8::True(entry.isolate))
                .IsNothing()) {
          return entry.Fail();
        }
        *promise = resolver->GetPromise();
        return KV8_OK;
      });
}

kv8_status kv8_promise_resolve(kv8_context *context, const kv8_value *promise,
                               const kv8_value *value, kv8_error *err) {
  return SettleFrom(context, promise, Settling::kResolve, value, err);
}

kv8_status kv8_promise_reject(kv8_context *context, const kv8_value *promise,
                              const kv8_value *reason, kv8_error *err) {
  return SettleFrom(context, promise, Settling::kReject, reason, err);
}

kv8_status kv8_promise_get(const kv8_value *promise, kv8_promise_state *ret_state,
                           kv8_value **ret_result, kv8_error *err) {
  if (!Alive(promise) || ret_state == nullptr) {
    return Invalid(err, "promise and ret_state are needed");
  }
  kv8_promise_state state = KV8_PROMISE_PENDING;
  std::unique_ptr<kv8_value> result;
  kv8_status status = Enter(promise->isolate, {}, err, [&](Entry &entry) -> kv8_status {
    v8::Local<v8::Value> value = promise->value.Get(entry.isolate);
    if (!value->IsPromise()) return WrongType(entry.err, "promise", "not a Promise");
    v8::Local<v8::Promise> target = value.As<v8::Promise>();
    if (target->State() == v8::Promise::kPending) return KV8_OK;
    state =
        target->State() == v8::Promise::kFulfilled ? KV8_PROMISE_FULFILLED : KV8_PROMISE_REJECTED;
    if (ret_result != nullptr) result = NewValue(entry.owner, target->Result());
    return KV8_OK;
  });
  if (status != KV8_OK) return status;
  *ret_state = state;
  if (ret_result != nullptr) *ret_result = result.release();
  return KV8_OK;
}

kv8_status kv8_promise_then(kv8_context *context, const kv8_value *promise,
                            const kv8_value *on_fulfilled, const kv8_value *on_rejected,
                            kv8_value **ret_promise, kv8_error *err) {
  if (!Alive(context) || !Fits(context, promise) || !FitsOrNull(context, on_fulfilled) ||
      !FitsOrNull(context, on_rejected)) {
    return Invalid(err, "context, a promise and functions of its isolate are needed");
  }
  return Give(context->isolate, Touching(context), ret_promise, err,
              [&](Entry &entry, v8::Local<v8::Value> *derived) -> kv8_status {
                v8::Local<v8::Value> value = promise->value.Get(entry.isolate);
                if (!value->IsPromise()) return WrongType(entry.err, "promise", "not a Promise");
                v8::Local<v8::Promise> target = value.As<v8::Promise>();
                v8::Local<v8::Function> fulfilled;
                v8::Local<v8::Function> rejected;
                kv8_status status = ToHandler(entry, on_fulfilled, "on_fulfilled", &fulfilled);
                if (status == KV8_OK && on_rejected != nullptr) {
                  status = ToFunction(entry, on_rejected, "on_rejected", &rejected);
                }
                if (status != KV8_OK) return status;
                v8::MaybeLocal<v8::Promise> made =
                    rejected.IsEmpty() ? target->Then(entry.context, fulfilled)
                                       : target->Then(entry.context, fulfilled, rejected);
                v8::Local<v8::Promise> chained;
                if (!made.ToLocal(&chained)) return entry.Fail();
                *derived = chained;
                return KV8_OK;
              });
}

kv8_status kv8_promise_mark_handled(const kv8_value *promise, kv8_error *err) {
  if (!Alive(promise)) return Invalid(err, "promise is needed");
  return Enter(promise->isolate, {}, err, [&](Entry &entry) -> kv8_status {
    v8::Local<v8::Value> value = promise->value.Get(entry.isolate);
    if (!value->IsPromise()) return WrongType(entry.err, "promise", "not a Promise");
    value.As<v8::Promise>()->MarkAsHandled();
    return KV8_OK;
  });
}

kv8_status kv8_enqueue_microtask(kv8_context *context, const kv8_value *function, kv8_error *err) {
  if (!Alive(context) || !Fits(context, function)) {
    return Invalid(err, "context and a function of its isolate are needed");
  }
  return Enter(context->isolate, In(context), err, [&](Entry &entry) {
    v8::Local<v8::Function> task;
    kv8_status status = ToFunction(entry, function, "function", &task);
    if (status == KV8_OK) {
      entry.context->GetMicrotaskQueue()->EnqueueMicrotask(entry.isolate, task);
    }
    return status;
  });
}

void kv8_isolate_set_on_rejection(kv8_isolate *isolate, kv8_rejection_fn on_rejection, void *user) {
  if (isolate == nullptr) return;
  isolate->on_rejection = on_rejection;
  isolate->on_rejection_user = user;
  isolate->v8->SetPromiseRejectCallback(on_rejection != nullptr ? OnRejection : nullptr);
}
