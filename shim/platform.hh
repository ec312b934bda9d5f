/* SPDX-License-Identifier: MIT
 *
 * platform.hh: the classes of platform.cc, for engine.cc and isolate.cc, which make the platform
 * and retire an isolate's task runner. Nobody else needs them.
 */
#ifndef KILN_SHIM_PLATFORM_HH
#define KILN_SHIM_PLATFORM_HH

#include <pthread.h>

#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>

#include "shim/compat_host.hh"
#include "shim/internal.hh"

namespace kv8 {

/* Tasks in posting order, and later ones by when they are due. Not thread-safe by itself. */
class TaskQueue {
 public:
  void Push(std::unique_ptr<v8::Task> task, double delay_seconds, bool nestable);
  /* The next task that is due; NULL if none. `nested`: we are inside another task already. */
  std::unique_ptr<v8::Task> Pop(bool nested);
  /* When the first delayed task is due; 0 if there is none. */
  uint64_t NextDueNs() const noexcept;
  bool IsIdle() const noexcept {
    return ready_.empty();
  }
  bool IsEmpty() const noexcept {
    return ready_.empty() && delayed_.empty();
  }

 private:
  struct Item {
    std::unique_ptr<v8::Task> task;
    bool nestable;
  };
  std::deque<Item> ready_;
  std::multimap<uint64_t, Item> delayed_;
};

/* What V8 wants run on an isolate's own thread. */
class ForegroundRunner final : public compat::TaskRunnerBase {
 public:
  void Post(std::unique_ptr<v8::Task> task, double delay_seconds, bool nestable) override;

  /* Runs one task, waiting up to wait_ms for it to become due; on the isolate's thread only. */
  bool RunOne(v8::Isolate *isolate, unsigned wait_ms);

  /* Drops what is queued and whatever is posted later. */
  void Close();

 private:
  std::mutex mutex_;
  std::condition_variable wake_;
  TaskQueue queue_;
  bool closed_ = false;
  bool running_ = false; /* the isolate's thread only */
};

class Platform final : public compat::PlatformBase<compat::PlatformParent> {
 public:
  Platform(unsigned threads, bool defer);

  std::shared_ptr<ForegroundRunner> RunnerOf(v8::Isolate *isolate);
  void Forget(v8::Isolate *isolate);

  /* Allows threads; starts them if `now` or if tasks are waiting. False: no thread could start. */
  bool AfterFork(bool now);
  /* Does what is queued, joins the threads and allows no others. */
  void BeforeFork();
  /* In a zygote, starts the threads if tasks are waiting, for as long as V8 may block on them;
   * true: end it with Stop(). */
  bool LendThreads();
  bool Allowed();
  /* Joins the threads; queued tasks stay. */
  void Stop();

  std::shared_ptr<v8::TaskRunner> Foreground(v8::Isolate *isolate) override;
  void Work(v8::TaskPriority priority, std::unique_ptr<v8::Task> task,
            double delay_seconds) override;
  std::unique_ptr<v8::JobHandle> NewJob(v8::TaskPriority priority,
                                        std::unique_ptr<v8::JobTask> task) override;
  double WallClockMs() override;

  v8::PageAllocator *GetPageAllocator() override {
    return inner_->GetPageAllocator();
  }
  int NumberOfWorkerThreads() override {
    return static_cast<int>(threads_wanted_);
  }
  double MonotonicallyIncreasingTime() override;
  v8::TracingController *GetTracingController() override {
    return inner_->GetTracingController();
  }

 private:
  static void *ThreadMain(void *self);
  void Loop();
  bool StartLocked();

  std::mutex mutex_;
  std::condition_variable wake_;
  TaskQueue queue_;
  std::map<v8::Isolate *, std::shared_ptr<ForegroundRunner>> runners_;
  std::vector<pthread_t> threads_;
  unsigned busy_ = 0; /* of them */
  std::condition_variable rest_;
  unsigned threads_wanted_;
  bool allowed_;
  bool stopping_ = false;
  std::unique_ptr<v8::Platform> inner_; /* page allocator and tracing controller */
};

/* Makes the one platform of the process. */
Platform *PlatformMake(unsigned threads, bool defer);
Platform *ThePlatform() noexcept; /* NULL before */

/* A thread with all signals blocked and a small stack: this one, or if it is null one of its own.
 */
bool StartThread(void *(*body)(void *), void *argument, void *stack, size_t stack_bytes,
                 pthread_t *ret_thread) noexcept;

}  // namespace kv8

#endif
