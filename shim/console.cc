/* SPDX-License-Identifier: MIT
 *
 * console.cc: the methods of a context's console object, formatting as Node's console does and
 * handing each line to the context's on_console. It writes nowhere itself. What a method needs is
 * found through the context it was made in, not through a pointer of its own: the function may
 * outlive the caller's handle.
 */
#include <cmath>
#include <map>

#include "shim/inspect.hh"

namespace kv8 {

/* What console methods remember. All of it is bounded: scripts choose the labels. */
struct ConsoleState {
  size_t groups = 0;
  std::map<std::u16string, uint64_t> counts;
  std::map<std::u16string, uint64_t> timers; /* start, in nanoseconds */
};

namespace {

constexpr size_t kGroupsMax = 500;
constexpr size_t kLabelsMax = 1000;
constexpr size_t kLabelMax = 1024; /* units of a label that are remembered and shown */
constexpr int kTraceFrames = 10;

using Arguments = v8::FunctionCallbackInfo<v8::Value>;

/* One call of a console method. */
class Call {
 public:
  Call(const Arguments &arguments, const char *method)
      : arguments_(arguments),
        isolate_(arguments.GetIsolate()),
        context_(isolate_->GetCurrentContext()),
        method_(method),
        state_(StateOf(context_)) {
    if (state_ != nullptr && state_->console == nullptr) {
      state_->console = std::make_shared<ConsoleState>();
    }
  }

  /* Whether anyone listens: not any more once the handle is freed. */
  bool Heard() const {
    return state_ != nullptr && state_->on_console != nullptr;
  }

  ConsoleState &Console() {
    return *state_->console;
  }

  v8::Local<v8::Value> Argument(int index) const {
    return arguments_[index];
  }

  int Count() const {
    return arguments_.Length();
  }

  v8::Isolate *isolate() const {
    return isolate_;
  }
  v8::Local<v8::Context> context() const {
    return context_;
  }

  /* The arguments from `from` on, as console.log writes them. */
  bool Format(int from, std::u16string *ret_text) const {
    std::vector<v8::Local<v8::Value>> values;
    for (int i = from; i < arguments_.Length(); i++) values.push_back(arguments_[i]);
    return FormatArguments(isolate_, context_, values, ret_text);
  }

  /* The label argument; "default" where there is none. False: its toString threw. */
  bool Label(std::u16string *ret_label) const {
    *ret_label = u"default";
    if (arguments_.Length() == 0 || arguments_[0]->IsUndefined()) return true;
    v8::Local<v8::String> string;
    if (!arguments_[0]->ToString(context_).ToLocal(&string)) return false;
    *ret_label = ToUtf16(isolate_, string, kLabelMax);
    return true;
  }

  /* Hands over one line, indented by the open groups. */
  void Say(std::u16string_view text) {
    /* Formatting may have run guest code, which may have ended this context. */
    if (!Heard()) return;
    std::u16string indented;
    if (Console().groups > 0) {
      std::u16string indentation(Console().groups * 2, u' ');
      indented = indentation;
      for (char16_t unit : text) {
        if (indented.size() > kLineMaxBytes) break;
        indented += unit;
        if (unit == u'\n') indented += indentation;
      }
      text = indented;
    }
    std::string line = ToLine(text, kLineMaxBytes);
    state_->on_console(state_->on_console_user, method_, Span(line));
  }

 private:
  const Arguments &arguments_;
  v8::Isolate *const isolate_;
  const v8::Local<v8::Context> context_;
  const char *const method_;
  ContextState *const state_;
};

void Log(Call &call) {
  std::u16string text;
  if (call.Format(0, &text)) call.Say(text);
}

void Dir(Call &call) {
  InspectOptions options;
  if (call.Argument(1)->IsObject() && !call.Argument(1)->IsProxy()) {
    v8::Local<v8::Object> given = call.Argument(1).As<v8::Object>();
    auto option = [&](const char *name) {
      Property property =
          ReadProperty(call.isolate(), call.context(), given, Literal(call.isolate(), name));
      return property.kind == Property::kData ? property.value : v8::Local<v8::Value>();
    };
    v8::Local<v8::Value> hidden = option("showHidden");
    options.show_hidden = !hidden.IsEmpty() && hidden->IsTrue();
    v8::Local<v8::Value> depth = option("depth");
    if (!depth.IsEmpty() && depth->IsNull()) options.depth = kInspectMaxDepth;
    if (!depth.IsEmpty() && depth->IsNumber()) {
      double wanted = depth.As<v8::Number>()->Value();
      options.depth = wanted < 0                   ? -1
                      : wanted >= kInspectMaxDepth ? kInspectMaxDepth
                      : std::isnan(wanted)         ? options.depth
                                                   : static_cast<int>(wanted);
    }
  }
  call.Say(Inspect(call.isolate(), call.context(), call.Argument(0), options));
}

void DrawTable(Call &call) {
  std::u16string text;
  if (FormatTable(call.isolate(), call.context(), call.Argument(0), call.Argument(1), &text)) {
    call.Say(text);
  } else {
    Log(call);
  }
}

/* The stack of the script that called, one line a frame. */
void Trace(Call &call) {
  std::u16string text;
  if (!call.Format(0, &text)) return;
  std::u16string out = text.empty() ? u"Trace" : u"Trace: " + text;
  v8::Local<v8::StackTrace> stack = v8::StackTrace::CurrentStackTrace(call.isolate(), kTraceFrames);
  for (int i = 0; i < stack->GetFrameCount(); i++) {
    v8::Local<v8::StackFrame> frame = stack->GetFrame(call.isolate(), static_cast<uint32_t>(i));
    auto text_of = [&](v8::Local<v8::String> string) {
      return string.IsEmpty() ? std::u16string() : ToUtf16(call.isolate(), string, kLabelMax);
    };
    std::u16string function = text_of(frame->GetFunctionName());
    std::u16string place = text_of(frame->GetScriptNameOrSourceURL());
    place = (place.empty() ? u"<anonymous>" : place) + u":" +
            FromNumber(static_cast<size_t>(frame->GetLineNumber())) + u":" +
            FromNumber(static_cast<size_t>(frame->GetColumn()));
    if (frame->IsConstructor() && !function.empty()) function = u"new " + function;
    out += u"\n    at " + (function.empty() ? place : function + u" (" + place + u")");
  }
  call.Say(out);
}

void Assert(Call &call) {
  if (call.Argument(0)->BooleanValue(call.isolate())) return;
  std::u16string text = u"Assertion failed";
  if (call.Count() > 1) {
    /* The first of the rest becomes a string, and with it the format of the others. */
    v8::Local<v8::String> first;
    if (!call.Argument(1)->ToString(call.context()).ToLocal(&first)) return;
    std::vector<v8::Local<v8::Value>> values = {v8::String::Concat(
        call.isolate(), Literal(call.isolate(), "Assertion failed: "),
        first->Length() > static_cast<int>(kLineMaxBytes) ? Literal(call.isolate(), "...")
                                                          : first)};
    for (int i = 2; i < call.Count(); i++) values.push_back(call.Argument(i));
    if (!FormatArguments(call.isolate(), call.context(), values, &text)) return;
  }
  call.Say(text);
}

void Count(Call &call) {
  std::u16string label;
  if (!call.Label(&label)) return;
  auto &counts = call.Console().counts;
  if (counts.size() >= kLabelsMax && counts.find(label) == counts.end()) {
    call.Say(u"Too many labels for count(): '" + label + u"' is not counted");
    return;
  }
  uint64_t count = ++counts[label];
  call.Say(label + u": " + FromNumber(count));
}

void CountReset(Call &call) {
  std::u16string label;
  if (!call.Label(&label)) return;
  if (call.Console().counts.erase(label) == 0) {
    call.Say(u"Count for '" + label + u"' does not exist");
  }
}

void Group(Call &call) {
  if (call.Count() > 0) Log(call);
  if (call.Heard() && call.Console().groups < kGroupsMax) call.Console().groups++;
}

void GroupEnd(Call &call) {
  if (call.Console().groups > 0) call.Console().groups--;
}

void Time(Call &call) {
  std::u16string label;
  if (!call.Label(&label)) return;
  auto &timers = call.Console().timers;
  if (timers.find(label) != timers.end()) {
    call.Say(u"Label '" + label + u"' already exists for console.time()");
  } else if (timers.size() >= kLabelsMax) {
    call.Say(u"Too many labels for console.time(): '" + label + u"' is not timed");
  } else {
    timers[label] = NowNs();
  }
}

/* "1.5ms", "2.250s", "1:02.345 (m:ss.mmm)" */
std::u16string Duration(uint64_t nanoseconds) {
  double ms = static_cast<double>(nanoseconds) / 1e6;
  char text[64];
  if (ms < 1000) {
    int length = snprintf(text, sizeof(text), "%.3f", ms);
    while (length > 0 && text[length - 1] == '0') length--;
    if (length > 0 && text[length - 1] == '.') length--;
    return FromAscii({text, static_cast<size_t>(length)}) + u"ms";
  }
  double seconds = ms / 1000;
  if (seconds < 60) {
    snprintf(text, sizeof(text), "%.3fs", seconds);
    return FromAscii(text);
  }
  uint64_t whole_ms = nanoseconds / 1000000u;
  auto minutes = static_cast<unsigned long long>(whole_ms / 60000u);
  auto rest = static_cast<unsigned>(whole_ms % 60000u);
  if (minutes < 60) {
    snprintf(text, sizeof(text), "%llu:%02u.%03u (m:ss.mmm)", minutes, rest / 1000, rest % 1000);
  } else {
    snprintf(text, sizeof(text), "%llu:%02llu:%02u.%03u (h:mm:ss.mmm)", minutes / 60, minutes % 60,
             rest / 1000, rest % 1000);
  }
  return FromAscii(text);
}

/* Says how long the label's timer has run; false if there is none. */
bool SayTime(Call &call, const std::u16string &label, const char *method,
             const std::u16string &more) {
  auto &timers = call.Console().timers;
  auto at = timers.find(label);
  if (at == timers.end()) {
    call.Say(u"No such label '" + label + u"' for console." + FromAscii(method) + u"()");
    return false;
  }
  call.Say(label + u": " + Duration(NowNs() - at->second) + (more.empty() ? u"" : u" " + more));
  return true;
}

void TimeEnd(Call &call) {
  std::u16string label;
  if (call.Label(&label) && SayTime(call, label, "timeEnd", std::u16string())) {
    call.Console().timers.erase(label);
  }
}

void TimeLog(Call &call) {
  std::u16string label;
  std::u16string more;
  if (!call.Label(&label)) return;
  if (call.Count() > 1) {
    /* "%s" keeps a string among them from being a format. */
    std::vector<v8::Local<v8::Value>> values = {Literal(call.isolate(), "%s"),
                                                v8::String::Empty(call.isolate())};
    for (int i = 1; i < call.Count(); i++) values.push_back(call.Argument(i));
    if (!FormatArguments(call.isolate(), call.context(), values, &more)) return;
    if (!more.empty()) more.erase(0, 1);
  }
  SayTime(call, label, "timeLog", more);
}

struct Method {
  const char *name;
  void (*run)(Call &call);
};
constexpr Method kMethods[] = {
    {"log", Log},           {"info", Log},
    {"debug", Log},         {"warn", Log},
    {"error", Log},         {"dirxml", Log},
    {"trace", Trace},       {"dir", Dir},
    {"table", DrawTable},   {"assert", Assert},
    {"count", Count},       {"countReset", CountReset},
    {"group", Group},       {"groupCollapsed", Group},
    {"groupEnd", GroupEnd}, {"time", Time},
    {"timeEnd", TimeEnd},   {"timeLog", TimeLog},
};

/* V8 calls this; nothing C++ throws may pass it. */
template <size_t Index>
void Run(const Arguments &arguments) {
  try {
    v8::HandleScope scope(arguments.GetIsolate());
    Call call(arguments, kMethods[Index].name);
    if (call.Heard()) kMethods[Index].run(call);
  } catch (...) {
    v8::Isolate *isolate = arguments.GetIsolate();
    isolate->ThrowException(
        v8::Exception::RangeError(Literal(isolate, "console output does not fit in memory")));
  }
}

template <size_t Index>
bool Install(Entry &entry, v8::Local<v8::Object> console) {
  v8::Local<v8::String> name = Literal(entry.isolate, kMethods[Index].name);
  v8::Local<v8::Function> function;
  if (!v8::Function::New(entry.context, Run<Index>, v8::Local<v8::Value>(), 0,
                         v8::ConstructorBehavior::kThrow)
           .ToLocal(&function)) {
    return false;
  }
  function->SetName(name);
  return console->Set(entry.context, name, function).FromMaybe(false);
}

template <size_t... Indices>
bool InstallAll(Entry &entry, v8::Local<v8::Object> console, std::index_sequence<Indices...>) {
  return (Install<Indices>(entry, console) && ...);
}

}  // namespace

kv8_status InstallConsole(Entry &entry) {
  v8::Local<v8::Value> console;
  /* The context's own, never one of the object that is contextified. */
  if (!entry.context->Global()
           ->GetRealNamedProperty(entry.context, Literal(entry.isolate, "console"))
           .ToLocal(&console)) {
    return entry.Fail(KV8_EENGINE);
  }
  if (!console->IsObject() ||
      !InstallAll(entry, console.As<v8::Object>(),
                  std::make_index_sequence<sizeof(kMethods) / sizeof(kMethods[0])>())) {
    return entry.Fail(KV8_EENGINE);
  }
  return KV8_OK;
}

}  // namespace kv8
