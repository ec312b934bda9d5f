/* SPDX-License-Identifier: MIT
 *
 * watchdog.cc: deadlines and terminations. One thread for the whole process, started by the first
 * deadline, sleeps until the earliest one and asks V8 to terminate. Who asked, and for which of
 * the nested frames, stands in Run records under one lock, so that a termination is reported by
 * the frame it was meant for and never by the next run (P17, P18).
 *
 * It cannot stop V8's native loops; V8 looks for a termination request only in JavaScript.
 */
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <set>

#include "shim/internal.hh"
#include "shim/platform.hh"

namespace kv8 {

namespace {

constexpr size_t kStackBytes = size_t{256} << 10;

struct Later {
  bool operator()(const Run *left, const Run *right) const noexcept {
    return left->deadline_ns != right->deadline_ns ? left->deadline_ns < right->deadline_ns
                                                   : left < right;
  }
};

struct Watchdog {
  std::mutex mutex;
  std::condition_variable wake;
  std::set<Run *, Later> armed; /* by deadline */
  pthread_t thread{};
  bool started = false;
  bool stopping = false;
};

/* Never destroyed: at exit its thread may still wait on it. */
Watchdog &TheWatchdog() noexcept {
  static auto *watchdog = new Watchdog;
  return *watchdog;
}

void *ThreadMain(void *argument) {
  auto *dog = static_cast<Watchdog *>(argument);
  std::unique_lock<std::mutex> lock(dog->mutex);
  while (!dog->stopping) {
    if (dog->armed.empty()) {
      dog->wake.wait(lock);
      continue;
    }
    Run *first = *dog->armed.begin();
    if (NowNs() < first->deadline_ns) {
      dog->wake.wait_until(lock, std::chrono::steady_clock::time_point(std::chrono::nanoseconds(
                                     static_cast<int64_t>(first->deadline_ns))));
      continue;
    }
    dog->armed.erase(dog->armed.begin());
    first->armed = false;
    first->deadline_fired = true;
    /* Under the lock: the frame cannot end, nor another begin, between the mark and the request. */
    first->isolate->v8->TerminateExecution();
  }
  return nullptr;
}

Run *Outermost(kv8_isolate *isolate) noexcept {
  Run *run = isolate->innermost;
  while (run != nullptr && run->outer != nullptr) {
    run = run->outer;
  }
  return run;
}

RunEnd EndOf(const Run *run) noexcept {
  if (run->heap_exhausted) {
    return RunEnd::kHeap;
  }
  if (run->deadline_fired) {
    return RunEnd::kDeadline;
  }
  return run->interrupted ? RunEnd::kInterrupted : RunEnd::kNormal;
}

RunEnd EndOfChain(const Run *run) noexcept {
  for (; run != nullptr; run = run->outer) {
    if (EndOf(run) != RunEnd::kNormal) {
      return EndOf(run);
    }
  }
  return RunEnd::kNormal;
}

}  // namespace

bool RunBegin(kv8_isolate *isolate, Run *run, unsigned timeout_ms) noexcept {
  Watchdog &dog = TheWatchdog();
  std::unique_lock<std::mutex> lock(dog.mutex);
  run->isolate = isolate;
  run->timeout_ms = timeout_ms;
  if (timeout_ms != 0) {
    if (!dog.started) {
      if (!ThreadsAllowed() || !StartThread(ThreadMain, &dog, kStackBytes, &dog.thread)) {
        return false;
      }
      dog.started = true;
    }
    run->deadline_ns = NowNs() + uint64_t{timeout_ms} * 1000000U;
    try {
      dog.armed.insert(run);
    } catch (...) {
      return false;
    }
    run->armed = true;
  }
  run->outer = isolate->innermost;
  isolate->innermost = run;
  bool is_first = run->armed && *dog.armed.begin() == run;
  lock.unlock();
  if (is_first) {
    dog.wake.notify_one();
  }
  return true;
}

RunEnd RunFinish(Run *run, RunEnd *outer_end) noexcept {
  Watchdog &dog = TheWatchdog();
  std::lock_guard<std::mutex> guard(dog.mutex);
  if (run->armed) {
    dog.armed.erase(run);
    run->armed = false;
  }
  run->isolate->innermost = run->outer;
  RunEnd end = EndOf(run);
  *outer_end = EndOfChain(run->outer);
  if (end != RunEnd::kNormal) {
    run->isolate->v8->CancelTerminateExecution();
  }
  if (*outer_end != RunEnd::kNormal) {
    /* Whether or not we have just cancelled it: the frames further out are to end. */
    run->isolate->v8->TerminateExecution();
  }
  return end;
}

RunEnd RunEnding(const Run *run) noexcept {
  std::lock_guard<std::mutex> guard(TheWatchdog().mutex);
  return EndOfChain(run);
}

void RunInterrupt(kv8_isolate *isolate) noexcept {
  std::lock_guard<std::mutex> guard(TheWatchdog().mutex);
  if (Run *run = Outermost(isolate)) {
    run->interrupted = true;
    isolate->v8->TerminateExecution();
  }
}

void RunHeapExhausted(kv8_isolate *isolate) noexcept {
  std::lock_guard<std::mutex> guard(TheWatchdog().mutex);
  if (Run *run = Outermost(isolate)) {
    run->heap_exhausted = true;
    isolate->v8->TerminateExecution();
  }
}

void WatchdogAfterFork() noexcept {
  TheWatchdog().started = false;
}

void WatchdogStop() noexcept {
  Watchdog &dog = TheWatchdog();
  {
    std::lock_guard<std::mutex> guard(dog.mutex);
    if (!dog.started) {
      return;
    }
    dog.stopping = true;
  }
  dog.wake.notify_one();
  pthread_join(dog.thread, nullptr);
  dog.started = false;
  dog.stopping = false;
}

}  // namespace kv8
