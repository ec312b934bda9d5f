/* SPDX-License-Identifier: MIT
 *
 * watchdog.cc: deadlines and terminations. One thread for the whole process, started by the first
 * deadline, sleeps until the earliest one and asks V8 to terminate. Who asked, and for which of
 * the nested frames, stands in Run records under one lock, so that a termination is reported by
 * the frame it was meant for and never by the next run (P17, P18).
 *
 * To start a thread takes longer than a small script. A process that was forked for one job may
 * start it when the first deadline has come, which is seldom: the kernel's timer interrupts the
 * code then (kv8_engine_deadlines_by_alarm). It does not ask V8 itself: the code it interrupts may
 * have the locks that V8 takes for that, and this thread would wait for itself.
 *
 * It cannot stop V8's native loops; V8 looks for a termination request only in JavaScript.
 */
#include <dlfcn.h>
#include <link.h>
#include <signal.h>
#include <sys/auxv.h>
#include <sys/time.h>
#include <ucontext.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <set>

#include "shim/internal.hh"
#include "shim/kv8_fork.h"
#include "shim/platform.hh"

namespace kv8 {

namespace {

constexpr size_t kStackBytes = size_t{256} << 10;
/* The thread's: there when a script has taken all memory the process may have. Some sanitizers'
 * threads want more. */
alignas(4096) char stack_of_thread[kStackBytes];

struct Later {
  bool operator()(const Run *left, const Run *right) const noexcept {
    return left->deadline_ns != right->deadline_ns ? left->deadline_ns < right->deadline_ns
                                                   : left < right;
  }
};

constexpr unsigned kLibraries = 3;

struct Span {
  uintptr_t begin = 0;
  uintptr_t end = 0;
};

struct Watchdog {
  std::mutex mutex;
  std::condition_variable wake;
  std::set<Run *, Later> armed; /* by deadline */
  Run *first_sigint = nullptr;  /* that SIGINT is to end */
  pthread_t thread{};
  bool started = false;
  bool stopping = false;
  bool handles_alarm = false; /* the process does */
  bool by_alarm = false;      /* until the thread is there */
  uint64_t alarm_ns = 0;      /* when it rings; 0: not yet set in this process */
  /* The libraries that have locks a thread's start takes, too, and what was interrupted there by
   * how many alarms in a row, the first of them when this thread had used so much time. */
  Span libraries[kLibraries];
  unsigned library_count = 0;
  uintptr_t place[2] = {0, 0};
  unsigned alarms = 0;
  uint64_t cpu_ns = 0;
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

bool StartDog(Watchdog *dog) noexcept {
  dog->started = StartThread(ThreadMain, dog, stack_of_thread, kStackBytes, &dog->thread) ||
                 StartThread(ThreadMain, dog, /*stack=*/nullptr, kStackBytes, &dog->thread);
  return dog->started;
}

/* ---- without the thread ---------------------------------------------------------------------- */

constexpr uint64_t kAlarmAgainNs = 250000;

void RingAt(Watchdog *dog, uint64_t at_ns) noexcept {
  uint64_t now = NowNs();
  uint64_t left_us = at_ns > now ? (at_ns - now + 999) / 1000 : 1;
  struct itimerval timer {};
  timer.it_value.tv_sec = static_cast<time_t>(left_us / 1000000U);
  timer.it_value.tv_usec = static_cast<suseconds_t>(left_us % 1000000U);
  setitimer(ITIMER_REAL, &timer, nullptr);
  dog->alarm_ns = at_ns;
}

void FindPlace(const void *context, uintptr_t (&ret_place)[2]) noexcept {
  const mcontext_t &machine = static_cast<const ucontext_t *>(context)->uc_mcontext;
#if defined(__x86_64__)
  ret_place[0] = static_cast<uintptr_t>(machine.gregs[REG_RIP]);
  ret_place[1] = static_cast<uintptr_t>(machine.gregs[REG_RSP]);
#elif defined(__aarch64__)
  ret_place[0] = machine.pc;
  ret_place[1] = machine.sp;
#else
#error "where a signal's context has the program counter is not known for this processor"
#endif
}

uint64_t ThreadCpuNs() noexcept {
  struct timespec used;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
  return static_cast<uint64_t>(used.tv_sec) * 1000000000U + static_cast<uint64_t>(used.tv_nsec);
}

/* Whether what was interrupted may have a lock that a thread's start takes, as malloc()'s. Who
 * sleeps in one of these libraries has none. */
bool MayHaveLocks(Watchdog *dog, const void *context) noexcept {
  constexpr unsigned kAlarms = 8;
  uintptr_t place[2];
  FindPlace(context, place);
  bool within = false;
  for (unsigned i = 0; i < dog->library_count; i++) {
    within |= place[0] >= dog->libraries[i].begin && place[0] < dog->libraries[i].end;
  }
  if (!within) {
    dog->alarms = 0;
    return false;
  }
  if (dog->alarms == 0 || place[0] != dog->place[0] || place[1] != dog->place[1]) {
    dog->place[0] = place[0];
    dog->place[1] = place[1];
    dog->alarms = 1;
    dog->cpu_ns = ThreadCpuNs();
    return true;
  }
  dog->alarms++;
  return dog->alarms < kAlarms || ThreadCpuNs() - dog->cpu_ns > dog->alarms * kAlarmAgainNs / 4;
}

/* Interrupts the thread that runs the code, wherever it is, and waits for no lock. */
void OnAlarm(int, siginfo_t *, void *context) {
  int saved = errno;
  Watchdog &dog = TheWatchdog();
  if (!dog.mutex.try_lock()) { /* the interrupted code has it, or the thread, which is there then */
    RingAt(&dog, NowNs() + kAlarmAgainNs);
    errno = saved;
    return;
  }
  dog.alarm_ns = 0;
  if (!dog.started && !dog.armed.empty()) {
    uint64_t first_ns = (*dog.armed.begin())->deadline_ns;
    uint64_t now = NowNs();
    if (first_ns > now) {
      RingAt(&dog, first_ns);
    } else if (MayHaveLocks(&dog, context) || !StartDog(&dog)) {
      RingAt(&dog, now + kAlarmAgainNs);
    }
  }
  dog.mutex.unlock();
  errno = saved;
}

/* dl_iterate_phdr()'s: notes the dynamic loader, and what malloc() and the rest of libc are in,
 * which a sanitizer makes two. */
int NoteLibrary(struct dl_phdr_info *object, size_t, void *user) {
  auto *dog = static_cast<Watchdog *>(user);
  /* By default they may be where a program that is not relocatable only jumps to them from. */
  const uintptr_t inside[] = {reinterpret_cast<uintptr_t>(dlsym(RTLD_NEXT, "malloc")),
                              reinterpret_cast<uintptr_t>(dlsym(RTLD_NEXT, "gnu_get_libc_version")),
                              getauxval(AT_BASE)};
  Span span{UINTPTR_MAX, 0};
  for (unsigned i = 0; i < object->dlpi_phnum; i++) {
    const ElfW(Phdr) &part = object->dlpi_phdr[i];
    if (part.p_type == PT_LOAD) {
      span.begin = std::min<uintptr_t>(span.begin, object->dlpi_addr + part.p_vaddr);
      span.end = std::max<uintptr_t>(span.end, object->dlpi_addr + part.p_vaddr + part.p_memsz);
    }
  }
  for (uintptr_t address : inside) {
    if (address != 0 && address >= span.begin && address < span.end) {
      dog->libraries[dog->library_count++] = span;
      break;
    }
  }
  return dog->library_count == kLibraries;
}

/* An alarm that nobody needs any more is left to ring: the next run's deadline is mostly the same.
 */
void SetAlarm(Watchdog *dog) noexcept {
  uint64_t first_ns = (*dog->armed.begin())->deadline_ns;
  if (dog->alarm_ns == 0 || dog->alarm_ns > first_ns) {
    RingAt(dog, first_ns);
  }
}

/* ---- runs ------------------------------------------------------------------------------------ */

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
    if (!ThreadsAllowed() || (!dog.by_alarm && !dog.started && !StartDog(&dog))) {
      return Unbegun(run, &lock);
    }
    run->deadline_ns = NowNs() + uint64_t{timeout_ms} * 1000000U;
    try {
      dog.armed.insert(run);
    } catch (...) {
      return Unbegun(run, &lock);
    }
    run->armed = true;
    if (!dog.started) {
      SetAlarm(&dog);
    }
  }
  if (sigint) {
    LinkSigint(run);
  }
  run->outer = isolate->innermost;
  isolate->innermost = run;
  bool is_first = run->armed && dog.started && *dog.armed.begin() == run;
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
  TheWatchdog().alarm_ns = 0;
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

using namespace kv8;

kv8_status kv8_engine_deadlines_by_alarm(bool on, kv8_error *err) {
  Watchdog &dog = TheWatchdog();
  std::lock_guard<std::mutex> guard(dog.mutex);
  if (!dog.armed.empty()) {
    return SetError(err, KV8_ESTATE, "", "a run has a deadline");
  }
  if (on && !dog.handles_alarm) {
    struct sigaction action {};
    action.sa_sigaction = OnAlarm;
    action.sa_flags = SA_RESTART | SA_SIGINFO;
    dog.library_count = 0;
    dl_iterate_phdr(NoteLibrary, &dog);
    if (dog.library_count < 2) {
      return SetError(err, KV8_EUNSUPPORTED, "", "libc and the dynamic loader are not known");
    }
    if (sigaction(SIGALRM, &action, nullptr) != 0) {
      return SetError(err, KV8_EENGINE, "", "sigaction: SIGALRM cannot be handled");
    }
    dog.handles_alarm = true;
  }
  dog.by_alarm = on;
  return KV8_OK;
}
