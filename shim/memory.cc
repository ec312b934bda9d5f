/* SPDX-License-Identifier: MIT
 *
 * memory.cc: memory measurement (MM01-MM10) with a delegate of our own: V8's builder of the answer
 * makes a JavaScript object and resolves a promise, neither of which C wants. It decides nothing
 * about when V8 measures; it pumps this thread's tasks until V8 has.
 */
#include <climits>
#include <cstdlib>

#include "shim/internal.hh"

namespace kv8 {
namespace {

constexpr unsigned kDefaultTimeoutMs = 30000;
constexpr unsigned kGuardExtraMs = 1000;
constexpr unsigned kPumpSliceMs = 20; /* the longest wait before the clock is looked at */

}  // namespace

/* One measured context, in plain bytes. */
struct Measured {
  std::string name;
  size_t size;
  bool is_current;
};

/* Shared by the waiting call, if there is one, and V8's delegate, whichever lives longer: V8 keeps
 * the delegate until it has measured, which may be long after the call gave up, or destroys it with
 * the isolate. */
struct Measurement {
  bool detailed = false;
  bool wanted = true;    /* false once nobody waits */
  bool complete = false; /* Complete() has run */
  bool dropped = false;  /* the delegate is gone */
  bool out_of_memory = false;
  std::vector<Measured> contexts;
  size_t unattributed = 0;
  bool has_wasm = false;
  size_t wasm_code = 0;
  size_t wasm_metadata = 0;
  /* Held for the wait only; every other context is held by its handle (MM09). */
  v8::Global<v8::Context> current;
  kv8_measured_fn done = nullptr; /* of kv8_measure_memory_start(); called once, then NULL */
  void *user = nullptr;
};

namespace {

kv8_status Report(const Measurement &measurement) noexcept;

class Delegate final : public compat::MemoryDelegate {
 public:
  explicit Delegate(std::shared_ptr<Measurement> measurement)
      : measurement_(std::move(measurement)) {}
  ~Delegate() override {
    measurement_->dropped = true;
    measurement_->current.Reset();
    if (measurement_->done != nullptr) Report(*measurement_);
  }

  /* Summary is about one context, detailed about all, as V8's own builder has it. */
  bool ShouldMeasure(v8::Local<v8::Context> context) override {
    return measurement_->wanted && (measurement_->detailed || measurement_->current == context);
  }

  void Complete(const compat::MemoryResult &result) override {
    Measurement &to = *measurement_;
    if (!to.wanted) return;
    try {
      for (const auto &[context, size] : result.contexts) {
        ContextState *state = StateOf(context);
        to.contexts.push_back(
            {state == nullptr ? std::string() : state->name, size, to.current == context});
      }
    } catch (const std::bad_alloc &) { /* must not unwind through V8 */
      to.out_of_memory = true;
    }
    to.unattributed = result.unattributed;
    to.has_wasm = result.has_wasm;
    to.wasm_code = result.wasm_code;
    to.wasm_metadata = result.wasm_metadata;
    to.complete = true;
    if (to.done != nullptr) {
      to.current.Reset();
      Report(to);
      to.done = nullptr;
    }
  }

 private:
  std::shared_ptr<Measurement> measurement_;
};

/* An estimate is what is attributed; the range's end adds what is not. */
kv8_memory_estimate Estimate(size_t size, size_t unattributed) {
  return {size, {size, size + unattributed}};
}

kv8_status Build(const Measurement &from, kv8_memory *memory, kv8_error *err) {
  size_t total = 0;
  size_t others = 0;
  for (const Measured &measured : from.contexts) {
    total += measured.size;
    others += measured.is_current ? 0 : 1;
  }
  memory->total = Estimate(total, from.unattributed);
  memory->has_wasm = from.has_wasm;
  memory->wasm_code_bytes = from.wasm_code;
  memory->wasm_metadata_bytes = from.wasm_metadata;
  if (!from.detailed) return KV8_OK;
  memory->has_detail = true;
  if (others > 0) {
    memory->other =
        static_cast<kv8_context_memory *>(std::calloc(others, sizeof(kv8_context_memory)));
    if (memory->other == nullptr) return SetError(err, KV8_ENOMEM, "", "out of memory");
  }
  for (const Measured &measured : from.contexts) {
    kv8_context_memory *to =
        measured.is_current ? &memory->current : &memory->other[memory->other_count++];
    CopyText(to->name, sizeof(to->name), measured.name);
    to->memory = Estimate(measured.size, from.unattributed);
  }
  return KV8_OK;
}

/* Tells who started it what was measured, or that it never will be. */
kv8_status Report(const Measurement &measurement) noexcept {
  kv8_error error = {};
  kv8_memory memory = {};
  kv8_status status = KV8_OK;
  if (!measurement.complete) {
    status = SetError(&error, KV8_ESTATE, "", "the engine dropped the measurement");
  } else if (measurement.out_of_memory) {
    status = SetError(&error, KV8_ENOMEM, "", "out of memory");
  } else {
    status = Build(measurement, &memory, &error);
  }
  measurement.done(measurement.user, status, &memory, &error);
  kv8_memory_free(&memory);
  return status;
}

kv8_status Start(Entry &entry, const kv8_measure_options &options,
                 const std::shared_ptr<Measurement> &measurement) {
  measurement->detailed = options.mode == KV8_MEASURE_DETAILED;
  measurement->current.Reset(entry.isolate, entry.context);
  bool accepted = entry.isolate->MeasureMemory(std::make_unique<Delegate>(measurement),
                                               options.execution == KV8_MEASURE_EAGER
                                                   ? v8::MeasureMemoryExecution::kEager
                                                   : v8::MeasureMemoryExecution::kDefault);
  if (!accepted) {
    return SetError(entry.err, KV8_EENGINE, "ERR_CONTEXT_NOT_INITIALIZED",
                    "the engine does not measure this context");
  }
  return KV8_OK;
}

kv8_status Measure(Entry &entry, const kv8_measure_options &options,
                   const std::shared_ptr<Measurement> &measurement, kv8_memory *memory) {
  uint64_t deadline = NowNs() + static_cast<uint64_t>(options.timeout_ms) * 1000000u;
  kv8_status status = Start(entry, options, measurement);
  if (status != KV8_OK) return status;
  while (!measurement->complete && !measurement->dropped) {
    uint64_t now = NowNs();
    if (now >= deadline) {
      return SetError(entry.err, KV8_ETIMEOUT, "", "memory measurement timed out after %ums",
                      options.timeout_ms);
    }
    if (RunEnding(entry.owner->innermost) != RunEnd::kNormal) {
      return SetError(entry.err, KV8_EINTERRUPTED, "ERR_SCRIPT_EXECUTION_INTERRUPTED",
                      "Script execution was interrupted");
    }
    uint64_t left_ms = (deadline - now) / 1000000u + 1;
    PumpOnce(entry.owner, left_ms < kPumpSliceMs ? static_cast<unsigned>(left_ms) : kPumpSliceMs);
  }
  if (!measurement->complete) {
    return SetError(entry.err, KV8_ESTATE, "", "the engine dropped the measurement");
  }
  if (measurement->out_of_memory) return SetError(entry.err, KV8_ENOMEM, "", "out of memory");
  return Build(*measurement, memory, entry.err);
}

kv8_status CheckOptions(const kv8_measure_options &options, kv8_error *err) noexcept {
  int mode = RawEnum(options.mode);
  if (mode != KV8_MEASURE_SUMMARY && mode != KV8_MEASURE_DETAILED) {
    return Invalid(err, "mode is neither summary nor detailed");
  }
  int execution = RawEnum(options.execution);
  if (execution != KV8_MEASURE_DEFAULT && execution != KV8_MEASURE_EAGER) {
    return Invalid(err, "execution is neither default nor eager");
  }
  return KV8_OK;
}

}  // namespace

/* V8 would destroy the delegates in the middle of its own end, when `done` could free nothing. */
void EndMeasurements(kv8_isolate *isolate) noexcept {
  for (const std::shared_ptr<Measurement> &measurement : isolate->measurements) {
    measurement->wanted = false;
    measurement->current.Reset();
    if (measurement->done != nullptr) {
      Report(*measurement);
      measurement->done = nullptr;
    }
  }
  isolate->measurements.clear();
}

}  // namespace kv8

kv8_status kv8_measure_memory(kv8_context *context, const kv8_measure_options *options,
                              kv8_memory *ret_memory, kv8_error *err) {
  if (context == nullptr || context->state == nullptr || ret_memory == nullptr ||
      !kv8::KnownSize(options)) {
    return kv8::Invalid(err, "context, known options and ret_memory are needed");
  }
  kv8_measure_options known = kv8::Normalised(options);
  kv8_status checked = kv8::CheckOptions(known, err);
  if (checked != KV8_OK) return checked;
  if (known.timeout_ms == 0) known.timeout_ms = kv8::kDefaultTimeoutMs;
  /* The tasks pumped may be finalizers of the guest's, which may loop. */
  unsigned guard_ms = known.timeout_ms > UINT_MAX - kv8::kGuardExtraMs
                          ? UINT_MAX
                          : known.timeout_ms + kv8::kGuardExtraMs;
  kv8_memory memory = {};
  std::shared_ptr<kv8::Measurement> measurement;
  kv8_status status =
      kv8::Enter(context->isolate, kv8::In(context, guard_ms), err, [&](kv8::Entry &entry) {
        measurement = std::make_shared<kv8::Measurement>();
        return kv8::Measure(entry, known, measurement, &memory);
      });
  if (measurement != nullptr) { /* the delegate may live on: it must touch nothing of ours */
    measurement->wanted = false;
    measurement->current.Reset();
  }
  if (status != KV8_OK) {
    kv8_memory_free(&memory);
    return status;
  }
  *ret_memory = memory;
  return KV8_OK;
}

kv8_status kv8_measure_memory_start(kv8_context *context, const kv8_measure_options *options,
                                    kv8_measured_fn done, void *user, kv8_error *err) {
  if (context == nullptr || context->state == nullptr || done == nullptr ||
      !kv8::KnownSize(options)) {
    return kv8::Invalid(err, "context, known options and done are needed");
  }
  kv8_measure_options known = kv8::Normalised(options);
  kv8_status checked = kv8::CheckOptions(known, err);
  if (checked != KV8_OK) return checked;
  std::shared_ptr<kv8::Measurement> measurement;
  kv8_status status = kv8::Enter(context->isolate, kv8::In(context), err, [&](kv8::Entry &entry) {
    measurement = std::make_shared<kv8::Measurement>();
    auto &pending = entry.owner->measurements;
    std::erase_if(pending, [](const auto &each) { return each->done == nullptr; });
    pending.push_back(measurement);
    kv8_status started = kv8::Start(entry, known, measurement);
    if (started == KV8_OK) { /* from here on the delegate calls it, whatever happens */
      measurement->done = done;
      measurement->user = user;
    }
    return started;
  });
  /* A termination on its way makes Enter() fail after the start. */
  if (status != KV8_OK && measurement != nullptr) {
    measurement->done = nullptr;
    measurement->wanted = false;
    measurement->current.Reset();
  }
  return status;
}

void kv8_memory_free(kv8_memory *memory) {
  if (memory == nullptr) return;
  std::free(memory->other);
  memory->other = nullptr;
  memory->other_count = 0;
}
