/* SPDX-License-Identifier: MIT
 *
 * guard.cc: the guard every entry point runs under (class Entry), the list of an isolate's
 * children, and how a JavaScript exception becomes a kv8_error. It prints nothing and keeps no
 * handle of what it describes (P36, P40).
 */
#include <cstring>

#include "shim/internal.hh"

namespace kv8 {

/* ---- children ------------------------------------------------------------------------------- */

Child::Child(kv8_isolate *owner) noexcept : isolate(owner), next(owner->children) {
  if (next != nullptr) {
    next->previous = this;
  }
  owner->children = this;
}

Child::~Child() {
  if (isolate == nullptr || !is_listed) {
    return;
  }
  (previous != nullptr ? previous->next : isolate->children) = next;
  if (next != nullptr) {
    next->previous = previous;
  }
}

/* ---- the guard ------------------------------------------------------------------------------ */

Entry::Entry(kv8_isolate *owner_in, const EnterOptions &options, kv8_error *err_in)
    : owner(owner_in),
      isolate(owner_in->v8),
      err(err_in),
      isolate_scope_(isolate),
      handle_scope_(isolate),
      context(options.context != nullptr ? options.context->Get(isolate)
                                         : v8::Local<v8::Context>()),
      try_catch(isolate) {
  if (!context.IsEmpty()) {
    context_scope_.emplace(context);
  }
}

Entry::~Entry() {
  if (begun_) {
    RunEnd ignored;
    RunFinish(&run_, &ignored);
  }
}

bool Entry::Begin(const EnterOptions &options) noexcept {
  begun_ = RunBegin(owner, &run_, options.timeout_ms, options.sigint);
  return begun_;
}

kv8_status EnterFailedToStart(kv8_error *err) noexcept {
  if (!ThreadsAllowed()) {
    return SetError(err, KV8_ESTATE, "",
                    "a deadline needs a thread, and none may start before kv8_engine_after_fork()");
  }
  return SetError(err, KV8_ENOMEM, "", "the deadline's thread cannot be started");
}

kv8_status Entry::Fail(kv8_status status) noexcept {
  if (!try_catch.HasCaught()) {
    return SetError(err, KV8_EENGINE, "", "the engine failed without giving a reason");
  }
  if (try_catch.HasTerminated() || !try_catch.CanContinue()) {
    terminated_ = true;
    return KV8_EINTERRUPTED; /* Finish() knows by whom, and describes it */
  }
  DescribeException(isolate, context, try_catch.Exception(), try_catch.Message(), status, err);
  Keep(try_catch.Exception());
  return status;
}

kv8_status Entry::FailWith(v8::Local<v8::Value> exception, kv8_status status) noexcept {
  DescribeException(isolate, context, exception, v8::Exception::CreateMessage(isolate, exception),
                    status, err);
  Keep(exception);
  return status;
}

void Entry::Keep(v8::Local<v8::Value> exception) noexcept {
  if (owner->kept == nullptr) {
    return;
  }
  try {
    std::unique_ptr<kv8_value> value = NewValue(owner, exception);
    kv8_value_free(*owner->kept);
    *owner->kept = value.release();
    owner->kept_mark = ErrorMark(err);
    kept_ = true;
  } catch (const std::bad_alloc &) { /* then Finish() empties the slot */
  }
}

void Entry::Drain(const EnterOptions &options) noexcept {
  if (options.drain_outermost && run_.outer != nullptr) {
    return;
  }
  /* A run that is ending must not start more guest code. */
  if (RunEnding(&run_) != RunEnd::kNormal) {
    return;
  }
  v8::TryCatch quiet(isolate);
  ContextState *state = context.IsEmpty() ? nullptr : StateOf(context);
  /* V8 ends the process when an asynchronous module settles while a parent of it is still on the
   * stack: such microtasks run when that evaluation is over. */
  if (state != nullptr && state->drained != nullptr && state->evaluating == 0) {
    state->drained->PerformCheckpoint(isolate);
  }
  if (run_.outer == nullptr && RunEnding(&run_) == RunEnd::kNormal) {
    isolate->PerformMicrotaskCheckpoint();
  }
}

uint64_t ErrorMark(const kv8_error *err) noexcept {
  if (err == nullptr) {
    return 0;
  }
  uint64_t mark = 14695981039346656037U; /* FNV-1a */
  auto add = [&mark](const char *text) {
    do {
      mark = (mark ^ static_cast<unsigned char>(*text)) * 1099511628211U;
    } while (*text++ != '\0');
  };
  add(err->name);
  add(err->message);
  add(err->code);
  add(err->resource);
  add(err->stack);
  return (mark ^ static_cast<unsigned>(err->line) ^
          (uint64_t{static_cast<unsigned>(err->column)} << 32)) |
         1;
}

kv8_status Entry::Finish(kv8_status status) noexcept {
  kv8_status finished = EndRun(status);
  if (finished != KV8_OK && owner->kept != nullptr &&
      !(kept_ && (finished == KV8_EEXCEPTION || finished == KV8_ESYNTAX))) {
    kv8_value_free(*owner->kept);
    *owner->kept = nullptr;
  }
  return finished;
}

kv8_status Entry::EndRun(kv8_status status) noexcept {
  RunEnd outer_end;
  RunEnd end = RunFinish(&run_, &outer_end);
  begun_ = false;
  owner->outer_ending = outer_end != RunEnd::kNormal;
  if (owner->holders.dead != nullptr) {
    ReapHeld(owner, false);
  }
  bool by_outer = false;
  if (end == RunEnd::kNormal) {
    if (!terminated_) {
      return status;
    }
    end = outer_end;
    by_outer = true;
  }
  switch (end) {
    case RunEnd::kHeap:
      return SetError(err, KV8_EHEAP, "ERR_HEAP_LIMIT", "JavaScript heap limit reached");
    case RunEnd::kDeadline:
      if (by_outer) {
        return SetError(err, KV8_EINTERRUPTED, "ERR_SCRIPT_EXECUTION_INTERRUPTED",
                        "Script execution was interrupted by the deadline of an outer call");
      }
      return SetError(err, KV8_ETIMEOUT, "ERR_SCRIPT_EXECUTION_TIMEOUT",
                      "Script execution timed out after %ums", run_.timeout_ms);
    case RunEnd::kInterrupted:
      return SetError(err, KV8_EINTERRUPTED, "ERR_SCRIPT_EXECUTION_INTERRUPTED",
                      "Script execution was interrupted");
    case RunEnd::kNormal:
      break;
  }
  return SetError(err, KV8_EENGINE, "", "the engine terminated the script");
}

/* ---- exceptions ----------------------------------------------------------------------------- */

namespace {

/* Copies without an intermediate: a minified source's one line has megabytes. */
void CopyString(v8::Isolate *isolate, v8::Local<v8::Value> value, char *field,
                size_t size) noexcept {
  if (value.IsEmpty() || !value->IsString()) {
    return;
  }
  v8::Local<v8::String> text = value.As<v8::String>();
  size_t length = compat::WriteUtf8(isolate, text, field, size - 1);
  SealText(field, length);
  constexpr size_t kLongestCharacter = 4;
  if (length + kLongestCharacter > size - 1 && compat::Utf8Length(isolate, text) > length) {
    size_t cut = size - 1 - 3;
    while (cut > 0 && cut < length && (static_cast<unsigned char>(field[cut]) & 0xC0U) == 0x80U) {
      --cut;
    }
    cut = std::min(cut, length);
    std::memcpy(field + cut, "...", 4);
  }
}

/* Reads string properties of a thrown object. A getter that throws gives nothing; one that is
 * terminated ends the reading, since there is no deadline left to stop the next. */
class PropertyReader {
 public:
  PropertyReader(v8::Isolate *isolate, v8::Local<v8::Context> context,
                 v8::Local<v8::Object> object) noexcept
      : isolate_(isolate), context_(context), object_(object) {}

  void Read(const char *name, char *field, size_t size) noexcept {
    if (stopped_) {
      return;
    }
    v8::TryCatch quiet(isolate_);
    v8::Local<v8::Value> value;
    if (object_->Get(context_, Literal(isolate_, name)).ToLocal(&value)) {
      CopyString(isolate_, value, field, size);
    }
    stopped_ = quiet.HasTerminated();
  }

 private:
  v8::Isolate *isolate_;
  v8::Local<v8::Context> context_;
  v8::Local<v8::Object> object_;
  bool stopped_ = false;
};

void DescribePlace(v8::Isolate *isolate, v8::Local<v8::Context> context,
                   v8::Local<v8::Message> message, kv8_error *err) noexcept {
  CopyString(isolate, message->GetScriptResourceName(), err->resource, sizeof err->resource);
  if (context.IsEmpty()) {
    return;
  }
  err->line = message->GetLineNumber(context).FromMaybe(0);
  int column = message->GetStartColumn(context).FromMaybe(-1);
  err->column = column < 0 ? 0 : column + 1;
  int end_column = message->GetEndColumn(context).FromMaybe(-1);
  err->end_column = end_column < 0 ? 0 : end_column + 1;
  v8::Local<v8::String> line;
  if (message->GetSourceLine(context).ToLocal(&line)) {
    CopyString(isolate, line, err->source_line, sizeof err->source_line);
  }
}

}  // namespace

void DescribeException(v8::Isolate *isolate, v8::Local<v8::Context> context,
                       v8::Local<v8::Value> exception, v8::Local<v8::Message> message,
                       kv8_status status, kv8_error *err) noexcept {
  SetError(err, status, "", "%s", "");
  if (err == nullptr) {
    return;
  }
  v8::HandleScope scope(isolate);
  v8::TryCatch quiet(isolate);
  if (!message.IsEmpty()) {
    DescribePlace(isolate, context, message, err);
  }
  bool is_object = !exception.IsEmpty() && exception->IsObject() && !context.IsEmpty();
  if (is_object) {
    /* What a compile call throws is V8's own; reading it must not run Error.prepareStackTrace. */
    std::optional<v8::Isolate::DisallowJavascriptExecutionScope> no_guest_code;
    if (status == KV8_ESYNTAX) {
      no_guest_code.emplace(isolate,
                            v8::Isolate::DisallowJavascriptExecutionScope::THROW_ON_FAILURE);
    }
    PropertyReader reader(isolate, context, exception.As<v8::Object>());
    reader.Read("name", err->name, sizeof err->name);
    reader.Read("message", err->message, sizeof err->message);
    reader.Read("code", err->code, sizeof err->code);
    reader.Read("stack", err->stack, sizeof err->stack);
  }
  if (err->message[0] != '\0' || exception.IsEmpty()) {
    return;
  }
  /* Neither is allowed to run guest code: V8 describes the value itself. */
  v8::Local<v8::String> text;
  if (!(is_object && exception->IsNativeError()) && !context.IsEmpty() &&
      exception->ToDetailString(context).ToLocal(&text)) {
    CopyString(isolate, text, err->message, sizeof err->message);
  }
}

}  // namespace kv8
