/* SPDX-License-Identifier: MIT
 *
 * platform.cc: the v8::Platform of the shim, that is where V8's background work and its tasks for
 * an isolate's own thread go. Why one of our own: a zygote must start V8 without a single thread,
 * keep the tasks V8 posts meanwhile, and start its pool in the forked child (V8's single-threaded
 * platform crashes when V8 posts a worker task, its default one loses its threads in the fork).
 * And kv8_isolate_pump() needs to wait for a task with a time limit, which V8's own does not offer.
 *
 * It does not trace, run idle tasks, or know priorities beyond "later": the pool is small.
 */
#include "shim/platform.hh"

#include <pthread.h>
#include <signal.h>
#include <time.h>

#include <algorithm>
#include <chrono>

namespace kv8 {

namespace {

/* V8 gives background compile jobs 984 KiB of stack. Not the default 8 MiB, because a thread's
 * stack counts against RLIMIT_DATA in full. */
constexpr size_t kWorkerStackBytes = size_t{2} << 20;

uint64_t DueNs(double delay_seconds) noexcept {
  if (!(delay_seconds > 0)) {
    return 0;
  }
  constexpr double kFar = 1e9; /* 30 years: keeps the cast defined */
  return NowNs() + static_cast<uint64_t>(std::min(delay_seconds, kFar) * 1e9);
}

std::chrono::steady_clock::time_point TimePoint(uint64_t ns) {
  return std::chrono::steady_clock::time_point(
      std::chrono::nanoseconds(static_cast<int64_t>(std::min<uint64_t>(ns, INT64_MAX))));
}

}  // namespace

uint64_t NowNs() noexcept {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1000000000U + static_cast<uint64_t>(now.tv_nsec);
}

bool StartThread(void *(*body)(void *), void *argument, void *stack, size_t stack_bytes,
                 pthread_t *ret_thread) noexcept {
  pthread_attr_t attributes;
  if (pthread_attr_init(&attributes) != 0) {
    return false;
  }
  /* Signals are for the program's own threads, but for those a thread brings upon itself. */
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  for (int own : {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGABRT, SIGSYS}) {
    sigdelset(&all, own);
  }
  pthread_sigmask(SIG_SETMASK, &all, &before);
  bool started = (stack != nullptr ? pthread_attr_setstack(&attributes, stack, stack_bytes)
                                   : pthread_attr_setstacksize(&attributes, stack_bytes)) == 0 &&
                 pthread_create(ret_thread, &attributes, body, argument) == 0;
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  pthread_attr_destroy(&attributes);
  return started;
}

/* ---- task queue ----------------------------------------------------------------------------- */

void TaskQueue::Push(std::unique_ptr<v8::Task> task, double delay_seconds, bool nestable) {
  uint64_t due = DueNs(delay_seconds);
  Item item{std::move(task), nestable};
  if (due == 0) {
    ready_.push_back(std::move(item));
  } else {
    delayed_.emplace(due, std::move(item));
  }
}

std::unique_ptr<v8::Task> TaskQueue::Pop(bool nested) {
  uint64_t now = delayed_.empty() ? 0 : NowNs();
  while (!delayed_.empty() && delayed_.begin()->first <= now) {
    ready_.push_back(std::move(delayed_.begin()->second));
    delayed_.erase(delayed_.begin());
  }
  for (auto item = ready_.begin(); item != ready_.end(); ++item) {
    if (!nested || item->nestable) {
      std::unique_ptr<v8::Task> task = std::move(item->task);
      ready_.erase(item);
      return task;
    }
  }
  return nullptr;
}

uint64_t TaskQueue::NextDueNs() const noexcept {
  return delayed_.empty() ? 0 : delayed_.begin()->first;
}

/* ---- the isolate's own thread --------------------------------------------------------------- */

void ForegroundRunner::Post(std::unique_ptr<v8::Task> task, double delay_seconds, bool nestable) {
  {
    std::lock_guard<std::mutex> guard(mutex_);
    if (closed_) {
      return;
    }
    queue_.Push(std::move(task), delay_seconds, nestable);
  }
  wake_.notify_one();
}

bool ForegroundRunner::RunOne(v8::Isolate *isolate, unsigned wait_ms) {
  uint64_t until = NowNs() + uint64_t{wait_ms} * 1000000U;
  std::unique_ptr<v8::Task> task;
  {
    std::unique_lock<std::mutex> lock(mutex_);
    while ((task = queue_.Pop(running_)) == nullptr) {
      uint64_t due = queue_.NextDueNs();
      uint64_t wake = due != 0 ? std::min(due, until) : until;
      if (NowNs() >= until) {
        return false;
      }
      wake_.wait_until(lock, TimePoint(wake));
    }
  }
  bool was_running = std::exchange(running_, true);
  {
    v8::HandleScope scope(isolate);
    task->Run();
    task.reset();
  }
  running_ = was_running;
  return true;
}

void ForegroundRunner::Close() {
  TaskQueue dropped;
  {
    std::lock_guard<std::mutex> guard(mutex_);
    closed_ = true;
    std::swap(dropped, queue_);
  }
  /* Destroyed here, outside the lock: a task's destructor may post. */
}

/* ---- the pool ------------------------------------------------------------------------------- */

Platform::Platform(unsigned threads, bool defer)
    : threads_wanted_(threads),
      allowed_(!defer),
      inner_(v8::platform::NewSingleThreadedDefaultPlatform()) {}

std::shared_ptr<v8::TaskRunner> Platform::Foreground(v8::Isolate *isolate) {
  return RunnerOf(isolate);
}

std::shared_ptr<ForegroundRunner> Platform::RunnerOf(v8::Isolate *isolate) {
  std::lock_guard<std::mutex> guard(mutex_);
  std::shared_ptr<ForegroundRunner> &runner = runners_[isolate];
  if (runner == nullptr) {
    runner = std::make_shared<ForegroundRunner>();
  }
  return runner;
}

void Platform::Forget(v8::Isolate *isolate) {
  std::shared_ptr<ForegroundRunner> runner;
  {
    std::lock_guard<std::mutex> guard(mutex_);
    auto found = runners_.find(isolate);
    if (found == runners_.end()) {
      return;
    }
    runner = std::move(found->second);
    runners_.erase(found);
  }
  runner->Close();
}

void Platform::Work(v8::TaskPriority priority, std::unique_ptr<v8::Task> task,
                    double delay_seconds) {
  (void)priority;
  {
    std::lock_guard<std::mutex> guard(mutex_);
    queue_.Push(std::move(task), delay_seconds, true);
    if (allowed_) {
      StartLocked();
    }
  }
  wake_.notify_one();
}

std::unique_ptr<v8::JobHandle> Platform::NewJob(v8::TaskPriority priority,
                                                std::unique_ptr<v8::JobTask> task) {
  /* V8's own job state posts to this platform; whoever joins a job does what no worker did. */
  return v8::platform::NewDefaultJobHandle(this, priority, std::move(task), threads_wanted_);
}

double Platform::MonotonicallyIncreasingTime() {
  return static_cast<double>(NowNs()) / 1e9;
}

double Platform::WallClockMs() {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) / 1e6;
}

bool Platform::StartLocked() {
  while (threads_.size() < threads_wanted_) {
    pthread_t thread;
    if (!StartThread(ThreadMain, this, /*stack=*/nullptr, kWorkerStackBytes, &thread)) {
      break; /* fewer do, and the next task tries again */
    }
    threads_.push_back(thread);
  }
  return !threads_.empty();
}

bool Platform::AfterFork(bool now) {
  std::lock_guard<std::mutex> guard(mutex_);
  allowed_ = true;
  /* What the zygote's V8 has posted must not wait for another task: V8 may block on it. */
  return (now || !queue_.IsEmpty()) ? StartLocked() : true;
}

void Platform::BeforeFork() {
  {
    std::unique_lock<std::mutex> lock(mutex_);
    while (busy_ > 0 || (!queue_.IsIdle() && StartLocked())) {
      rest_.wait(lock);
    }
    allowed_ = false;
  }
  Stop();
}

void Platform::Stop() {
  std::vector<pthread_t> threads;
  {
    std::lock_guard<std::mutex> guard(mutex_);
    stopping_ = true;
    threads.swap(threads_);
  }
  wake_.notify_all();
  for (pthread_t thread : threads) {
    pthread_join(thread, nullptr);
  }
  std::lock_guard<std::mutex> guard(mutex_);
  stopping_ = false;
}

bool Platform::LendThreads() {
  std::lock_guard<std::mutex> guard(mutex_);
  if (allowed_ || queue_.IsEmpty()) {
    return false;
  }
  return StartLocked();
}

bool Platform::Allowed() {
  std::lock_guard<std::mutex> guard(mutex_);
  return allowed_;
}

void *Platform::ThreadMain(void *self) {
  static_cast<Platform *>(self)->Loop();
  return nullptr;
}

void Platform::Loop() {
  std::unique_lock<std::mutex> lock(mutex_);
  while (!stopping_) {
    std::unique_ptr<v8::Task> task = queue_.Pop(false);
    if (task != nullptr) {
      busy_++;
      lock.unlock();
      task->Run();
      task.reset();
      lock.lock();
      busy_--;
      continue;
    }
    if (busy_ == 0) {
      rest_.notify_all();
    }
    uint64_t due = queue_.NextDueNs();
    if (due != 0) {
      wake_.wait_until(lock, TimePoint(due));
    } else {
      wake_.wait(lock);
    }
  }
}

/* ---- what the rest of the shim calls -------------------------------------------------------- */

namespace {

/* Never freed before the process ends: V8 keeps what it got from its platform (the page allocator
 * above all) in statics. */
Platform *the_platform = nullptr;

}  // namespace

Platform *PlatformMake(unsigned threads, bool defer) {
  the_platform = new Platform(threads, defer);
  return the_platform;
}

Platform *ThePlatform() noexcept {
  return the_platform;
}

bool ThreadsAllowed() noexcept {
  return the_platform != nullptr && the_platform->Allowed();
}

bool PumpOnce(kv8_isolate *isolate, unsigned wait_ms) {
  return the_platform->RunnerOf(isolate->v8)->RunOne(isolate->v8, wait_ms);
}

}  // namespace kv8
