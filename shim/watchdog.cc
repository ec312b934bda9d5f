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
  Run *first_sigint = nullptr;  /* that SIGINT is to end */
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

void LinkSigint(Run *run) noexcept {
  Watchdog &dog = TheWatchdog();
  run->sigints_before = SigintCount();
  run->next_sigint = dog.first_sigint;
  if (run->next_sigint != nullptr) {
    run->next_sigint->previous_sigint = run;
  }
  dog.first_sigint = run;
}

void UnlinkSigint(Run *run) noexcept {
  (run->previous_sigint != nullptr ? run->previous_sigint->next_sigint
                                   : TheWatchdog().first_sigint) = run->next_sigint;
  if (run->next_sigint != nullptr) {
    run->next_sigint->previous_sigint = run->previous_sigint;
  }
}

void RunsSigintLocked() noexcept {
  unsigned count = SigintCount();
  for (Run *run = TheWatchdog().first_sigint; run != nullptr; run = run->next_sigint) {
    if (run->sigints_before != count && !run->interrupted) {
      run->interrupted = true;
      run->isolate->v8->TerminateExecution();
    }
  }
}

bool Unbegun(Run *run, std::unique_lock<std::mutex> *lock) noexcept {
  lock->unlock();
  if (run->wants_sigint) {
    SigintEnd();
  }
  return false;
}

}  // namespace

bool RunBegin(kv8_isolate *isolate, Run *run, unsigned timeout_ms, bool sigint) noexcept {
  Watchdog &dog = TheWatchdog();
  if (sigint && !SigintBegin()) {
    return false;
  }
  run->wants_sigint = sigint;
  std::unique_lock<std::mutex> lock(dog.mutex);
  run->isolate = isolate;
  run->timeout_ms = timeout_ms;
  if (timeout_ms != 0) {
    if (!dog.started) {
      if (!ThreadsAllowed() || !StartThread(ThreadMain, &dog, kStackBytes, &dog.thread)) {
        return Unbegun(run, &lock);
      }
      dog.started = true;
    }
    run->deadline_ns = NowNs() + uint64_t{timeout_ms} * 1000000U;
    try {
      dog.armed.insert(run);
    } catch (...) {
      return Unbegun(run, &lock);
    }
    run->armed = true;
  }
  if (sigint) {
    LinkSigint(run);
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
  RunEnd end;
  {
    std::lock_guard<std::mutex> guard(dog.mutex);
    if (run->armed) {
      dog.armed.erase(run);
      run->armed = false;
    }
    if (run->wants_sigint) {
      /* The thread may not have come to it yet. */
      RunsSigintLocked();
      UnlinkSigint(run);
    }
    run->isolate->innermost = run->outer;
    end = EndOf(run);
    *outer_end = EndOfChain(run->outer);
    if (end != RunEnd::kNormal) {
      run->isolate->v8->CancelTerminateExecution();
    }
    if (*outer_end != RunEnd::kNormal) {
      /* Whether or not we have just cancelled it: the frames further out are to end. */
      run->isolate->v8->TerminateExecution();
    }
  }
  if (run->wants_sigint) {
    SigintEnd();
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

void RunsSigint() noexcept {
  std::lock_guard<std::mutex> guard(TheWatchdog().mutex);
  RunsSigintLocked();
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
