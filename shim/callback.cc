/* SPDX-License-Identifier: MIT
 *
 * callback.cc: functions written in C and what one call of them lends; calling functions and
 * constructors from C; error objects, and throwing from C. A callback runs without a frame of this
 * library: V8 has entered isolate and context, and what the callback calls nests as it likes.
 */
#include <array>
#include <climits>

#include "shim/value.hh"

namespace kv8 {

namespace {

constexpr unsigned kArityMax = 32767; /* V8 keeps it in 16 bits */

/* What a function made from a kv8_callback holds. */
struct Callback final : Held {
  Callback() = default;
  ~Callback() override {
    if (release != nullptr) release(user);
  }

  kv8_isolate *isolate = nullptr;
  kv8_call_fn fn = nullptr;
  void *user = nullptr;
  void (*release)(void *user) = nullptr;
};

/* NULL stands for undefined; so does what is of another isolate. */
v8::Local<v8::Value> Given(kv8_isolate *isolate, const kv8_value *value) {
  return Alive(value) && value->isolate == isolate ? value->value.Get(isolate->v8)
                                                   : v8::Undefined(isolate->v8).As<v8::Value>();
}

}  // namespace
}  // namespace kv8

/* Lives on the stack of the trampoline. Handles of arguments are made when asked for. */
struct kv8_call {
  kv8_call(const v8::FunctionCallbackInfo<v8::Value> &v8_info, kv8_isolate *owner) noexcept
      : info(v8_info), isolate(owner) {}
  kv8_call(const kv8_call &) = delete;
  kv8_call &operator=(const kv8_call &) = delete;

  const kv8_value *Argument(size_t index) {
    auto count = static_cast<size_t>(info.Length());
    if (index >= count) {
      return Lend(&undefined, v8::Undefined(isolate->v8));
    }
    if (index < first.size()) {
      return Lend(&first[index], info[static_cast<int>(index)]);
    }
    if (more == nullptr) {
      more = std::make_unique<std::optional<kv8_value>[]>(count - first.size());
    }
    return Lend(&more[index - first.size()], info[static_cast<int>(index)]);
  }

  const kv8_value *Lend(std::optional<kv8_value> *slot, v8::Local<v8::Value> value) {
    if (!slot->has_value()) slot->emplace(isolate, value);
    return &**slot;
  }

  void Finish() noexcept;

  const v8::FunctionCallbackInfo<v8::Value> &info;
  kv8_isolate *const isolate;
  std::array<std::optional<kv8_value>, 4> first;
  std::unique_ptr<std::optional<kv8_value>[]> more;
  std::optional<kv8_value> undefined;
  std::optional<kv8_value> receiver;
  std::optional<kv8_value> new_target;
  bool throws = false;
  v8::Global<v8::Value> exception; /* a handle of its own: it may be set from a nested call */
};

using namespace kv8;

namespace {

/* Has a termination that is on its way, but has not been noticed by V8, begin here. */
void BeginTermination(v8::Isolate *isolate) {
  v8::HandleScope scope(isolate);
  v8::Local<v8::Context> context = isolate->GetCurrentContext();
  v8::Local<v8::Script> script;
  v8::Local<v8::Value> ignored;
  if (v8::Script::Compile(context, Literal(isolate, "0")).ToLocal(&script) &&
      script->Run(context).ToLocal(&ignored)) {
    return; /* then V8 will notice at the script's next call or loop */
  }
}

void OnCall(const v8::FunctionCallbackInfo<v8::Value> &info) {
  auto *callback = static_cast<Callback *>(HeldOf(info.Data().As<v8::Object>()));
  kv8_call call(info, callback->isolate);
  callback->fn(callback->user, &call);
  call.Finish();
}

std::string_view NameOfClass(kv8_error_class error_class) noexcept {
  switch (RawEnum(error_class)) {
    case KV8_TYPE_ERROR:
      return "TypeError";
    case KV8_RANGE_ERROR:
      return "RangeError";
    case KV8_SYNTAX_ERROR:
      return "SyntaxError";
    case KV8_REFERENCE_ERROR:
      return "ReferenceError";
    default:
      return "Error";
  }
}

v8::Local<v8::Value> NewError(kv8_error_class error_class, v8::Local<v8::String> message) {
  switch (RawEnum(error_class)) {
    case KV8_TYPE_ERROR:
      return v8::Exception::TypeError(message);
    case KV8_RANGE_ERROR:
      return v8::Exception::RangeError(message);
    case KV8_SYNTAX_ERROR:
      return v8::Exception::SyntaxError(message);
    case KV8_REFERENCE_ERROR:
      return v8::Exception::ReferenceError(message);
    default:
      return v8::Exception::Error(message);
  }
}

kv8_error_class ClassOfName(std::string_view name) noexcept {
  for (kv8_error_class error_class :
       {KV8_TYPE_ERROR, KV8_RANGE_ERROR, KV8_SYNTAX_ERROR, KV8_REFERENCE_ERROR}) {
    if (name == NameOfClass(error_class)) return error_class;
  }
  return KV8_ERROR;
}

kv8_status CheckCallback(const kv8_callback &callback, kv8_error *err) noexcept {
  if (callback.fn == nullptr) return Invalid(err, "fn is NULL");
  if (!ValidSpan(callback.name)) return Invalid(err, "name: a length without data");
  if (callback.arity > kArityMax) {
    return SetError(err, KV8_EINVAL, "", "arity: %u, limit %u", callback.arity, kArityMax);
  }
  return KV8_OK;
}

kv8_status MakeFunction(Entry &entry, const kv8_callback &options, std::unique_ptr<Callback> held,
                        v8::Local<v8::Value> *ret_function) {
  v8::Local<v8::String> name;
  v8::Local<v8::Object> holder;
  v8::Local<v8::Function> function;
  if (!NewString(entry.isolate, View(options.name)).ToLocal(&name)) return TooLong(entry.err);
  if (!NewHolder(entry.owner, entry.context, std::move(held)).ToLocal(&holder) ||
      !v8::Function::New(
           entry.context, OnCall, holder, static_cast<int>(options.arity),
           options.constructor ? v8::ConstructorBehavior::kAllow : v8::ConstructorBehavior::kThrow)
           .ToLocal(&function)) {
    return entry.Fail();
  }
  function->SetName(name);
  *ret_function = function;
  return KV8_OK;
}

/* The run options common to calls; `args` may have NULL for undefined. */
kv8_status CheckCall(const kv8_context *context, const kv8_value *callee, const kv8_value *receiver,
                     const kv8_value *const *args, size_t args_count,
                     const kv8_run_options *options, kv8_error *err) noexcept {
  if (!Alive(context) || !Fits(context, callee) || !FitsOrNull(context, receiver)) {
    return Invalid(err, "context, a function and a receiver of its isolate are needed");
  }
  if (!KnownSize(options)) return Invalid(err, "kv8_run_options: unknown struct_size");
  if (args_count > kArgumentsMax) {
    return SetError(err, KV8_ETOOBIG, "", "arguments: %zu, limit %zu", args_count, kArgumentsMax);
  }
  if (!FitAll(context, args, args_count)) {
    return Invalid(err, "args: NULL, or one of another isolate");
  }
  return KV8_OK;
}

EnterOptions Calling(const kv8_context *context, const kv8_run_options *options) {
  kv8_run_options run = Normalised(options);
  EnterOptions enter = Touching(context, run.timeout_ms);
  enter.sigint = run.break_on_sigint;
  return enter;
}

/* Arguments as V8 wants them; no allocation for the usual few. */
class CallArguments {
 public:
  CallArguments(v8::Isolate *isolate, const kv8_value *const *args, size_t count) : count_(count) {
    if (count > few_.size()) many_.resize(count);
    for (size_t i = 0; i < count; i++) data()[i] = ValueOrUndefined(isolate, args[i]);
  }
  v8::Local<v8::Value> *data() noexcept {
    return many_.empty() ? few_.data() : many_.data();
  }
  int count() const noexcept {
    return static_cast<int>(count_);
  }

 private:
  std::array<v8::Local<v8::Value>, 8> few_;
  std::vector<v8::Local<v8::Value>> many_;
  size_t count_;
};

}  // namespace

namespace kv8 {

v8::Local<v8::Value> MakeError(v8::Isolate *isolate, v8::Local<v8::Context> context,
                               kv8_error_class error_class, std::string_view code,
                               std::string_view message) {
  v8::EscapableHandleScope scope(isolate);
  v8::TryCatch quiet(isolate);
  /* Reading the stack would call a guest's Error.prepareStackTrace. */
  v8::Isolate::DisallowJavascriptExecutionScope no_guest_code(
      isolate, v8::Isolate::DisallowJavascriptExecutionScope::THROW_ON_FAILURE);
  v8::Local<v8::String> text;
  if (!NewString(isolate, message).ToLocal(&text)) text = v8::String::Empty(isolate);
  v8::Local<v8::Value> error = NewError(error_class, text);
  v8::Local<v8::String> code_text;
  if (!code.empty() && NewString(isolate, code).ToLocal(&code_text)) {
    /* The stack is made when it is first read, and begins with the name of that moment. */
    v8::Local<v8::Object> object = error.As<v8::Object>();
    v8::Local<v8::String> name_key = Literal(isolate, "name");
    v8::Local<v8::String> name;
    v8::Local<v8::Value> stack;
    bool done =
        NewString(isolate,
                  std::string(NameOfClass(error_class)).append(" [").append(code).append("]"))
            .ToLocal(&name) &&
        object->CreateDataProperty(context, name_key, name).FromMaybe(false) &&
        object->Get(context, Literal(isolate, "stack")).ToLocal(&stack);
    done = object->Delete(context, name_key).FromMaybe(false) && done;
    done =
        object->CreateDataProperty(context, Literal(isolate, "code"), code_text).FromMaybe(false) &&
        done;
    (void)done; /* what V8 had no memory for is left out */
  }
  return scope.Escape(error);
}

}  // namespace kv8

void kv8_call::Finish() noexcept {
  if (!throws && !isolate->outer_ending) return;
  const Run *innermost = isolate->innermost;
  if (innermost != nullptr && RunEnding(innermost) != RunEnd::kNormal) {
    BeginTermination(isolate->v8);
    return;
  }
  if (!throws) return;
  v8::HandleScope scope(isolate->v8);
  isolate->v8->ThrowException(exception.Get(isolate->v8));
}

/* ---- functions written in C ----------------------------------------------------------------- */

kv8_status kv8_function_from_callback(kv8_context *context, const kv8_callback *callback,
                                      kv8_value **ret_function, kv8_error *err) {
  if (callback == nullptr || callback->struct_size < sizeof(size_t) || !KnownSize(callback)) {
    return Invalid(err, "kv8_callback: NULL or unknown struct_size");
  }
  kv8_callback options = Normalised(callback);
  kv8_status status = KV8_OK;
  if (!Alive(context) || ret_function == nullptr) {
    status = Invalid(err, "context and ret_function are needed");
  } else {
    status = CheckCallback(options, err);
  }
  std::unique_ptr<Callback> held(status == KV8_OK ? new (std::nothrow) Callback : nullptr);
  if (held == nullptr) {
    if (options.release != nullptr) options.release(options.user);
    return status != KV8_OK ? status : SetError(err, KV8_ENOMEM, "", "out of memory");
  }
  held->isolate = context->isolate;
  held->fn = options.fn;
  held->user = options.user;
  held->release = options.release;
  return Give(context->isolate, In(context), ret_function, err,
              [&](Entry &entry, v8::Local<v8::Value> *function) {
                return MakeFunction(entry, options, std::move(held), function);
              });
}

size_t kv8_call_get_count(const kv8_call *call) {
  return call == nullptr ? 0 : static_cast<size_t>(call->info.Length());
}

const kv8_value *kv8_call_get_argument(kv8_call *call, size_t index) {
  if (call == nullptr) return nullptr;
  try {
    return call->Argument(index);
  } catch (const std::bad_alloc &) {
    return nullptr;
  }
}

const kv8_value *kv8_call_get_receiver(kv8_call *call) {
  return call == nullptr ? nullptr : call->Lend(&call->receiver, call->info.This());
}

bool kv8_call_is_construct(const kv8_call *call) {
  return call != nullptr && call->info.IsConstructCall();
}

const kv8_value *kv8_call_get_new_target(kv8_call *call) {
  return call == nullptr ? nullptr : call->Lend(&call->new_target, call->info.NewTarget());
}

kv8_isolate *kv8_call_get_isolate(const kv8_call *call) {
  return call == nullptr ? nullptr : call->isolate;
}

kv8_context *kv8_call_get_context(const kv8_call *call) {
  if (call == nullptr) return nullptr;
  v8::HandleScope scope(call->isolate->v8);
  ContextState *state = StateOf(call->isolate->v8->GetCurrentContext());
  return state == nullptr ? nullptr : state->handle;
}

void kv8_call_return(kv8_call *call, const kv8_value *value) {
  if (call == nullptr) return;
  v8::HandleScope scope(call->isolate->v8);
  call->throws = false;
  call->exception.Reset();
  call->info.GetReturnValue().Set(Given(call->isolate, value));
}

void kv8_call_throw(kv8_call *call, const kv8_value *exception) {
  if (call == nullptr) return;
  v8::HandleScope scope(call->isolate->v8);
  call->throws = true;
  call->exception.Reset(call->isolate->v8, Given(call->isolate, exception));
}

void kv8_call_throw_failure(kv8_call *call, const kv8_error *err) {
  if (call == nullptr) return;
  kv8_isolate *isolate = call->isolate;
  v8::HandleScope scope(isolate->v8);
  call->throws = true;
  if (err != nullptr && isolate->kept != nullptr && Alive(*isolate->kept) &&
      isolate->kept_mark == ErrorMark(err)) {
    call->exception.Reset(isolate->v8, (*isolate->kept)->value.Get(isolate->v8));
    return;
  }
  try {
    call->exception.Reset(
        isolate->v8, err != nullptr ? MakeError(isolate->v8, isolate->v8->GetCurrentContext(),
                                                ClassOfName(err->name), err->code, err->message)
                                    : MakeError(isolate->v8, isolate->v8->GetCurrentContext(),
                                                KV8_ERROR, "", "unknown failure"));
  } catch (const std::bad_alloc &) {
    call->exception.Reset(isolate->v8, v8::Undefined(isolate->v8));
  }
}

/* ---- calling -------------------------------------------------------------------------------- */

kv8_status kv8_value_call(kv8_context *context, const kv8_value *function,
                          const kv8_value *receiver, const kv8_value *const *args,
                          size_t args_count, const kv8_run_options *options, kv8_value **ret_value,
                          kv8_error *err) {
  kv8_status status = CheckCall(context, function, receiver, args, args_count, options, err);
  if (status != KV8_OK) return status;
  return Give(context->isolate, Calling(context, options), ret_value, err,
              [&](Entry &entry, v8::Local<v8::Value> *value) {
                v8::Local<v8::Function> callee;
                kv8_status found = ToFunction(entry, function, "function", &callee);
                if (found != KV8_OK) return found;
                CallArguments arguments(entry.isolate, args, args_count);
                return callee->Call(entry.context, ValueOrUndefined(entry.isolate, receiver),
                                    arguments.count(), arguments.data())
                               .ToLocal(value)
                           ? KV8_OK
                           : entry.Fail();
              });
}

kv8_status kv8_value_construct(kv8_context *context, const kv8_value *constructor,
                               const kv8_value *const *args, size_t args_count,
                               const kv8_run_options *options, kv8_value **ret_value,
                               kv8_error *err) {
  kv8_status status = CheckCall(context, constructor, nullptr, args, args_count, options, err);
  if (status != KV8_OK) return status;
  return Give(context->isolate, Calling(context, options), ret_value, err,
              [&](Entry &entry, v8::Local<v8::Value> *value) {
                v8::Local<v8::Function> callee;
                kv8_status found = ToFunction(entry, constructor, "constructor", &callee);
                if (found != KV8_OK) return found;
                CallArguments arguments(entry.isolate, args, args_count);
                v8::Local<v8::Object> made;
                if (!callee->NewInstance(entry.context, arguments.count(), arguments.data())
                         .ToLocal(&made)) {
                  return entry.Fail();
                }
                *value = made;
                return KV8_OK;
              });
}

/* ---- errors --------------------------------------------------------------------------------- */

kv8_status kv8_error_object(kv8_context *context, kv8_error_class class_, kv8_span code,
                            kv8_span message, kv8_value **ret_error, kv8_error *err) {
  if (!Alive(context) || !ValidSpan(code) || !ValidSpan(message) || ret_error == nullptr) {
    return Invalid(err, "context, code, message and ret_error are needed");
  }
  int raw = RawEnum(class_);
  if (raw < KV8_ERROR || raw > KV8_REFERENCE_ERROR) return Invalid(err, "class: unknown value");
  return Give(context->isolate, In(context), ret_error, err,
              [&](Entry &entry, v8::Local<v8::Value> *error) {
                *error = MakeError(entry.isolate, entry.context, class_, View(code), View(message));
                return KV8_OK;
              });
}

void kv8_isolate_keep_exception(kv8_isolate *isolate, kv8_value **slot) {
  if (isolate == nullptr) return;
  isolate->kept = slot;
  isolate->kept_mark = 0;
}
