/* SPDX-License-Identifier: MIT
 *
 * signal.cc: SIGINT ends runs that asked for it. While there is such a run in the process, the
 * handler is ours: it counts, and wakes a thread that asks V8 to terminate, which no signal handler
 * may. Begin and end are counted under one lock; with the last run the thread is joined and the
 * disposition found before is put back as it was (P16, RC08, RC09).
 */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <mutex>

#include "shim/internal.hh"
#include "shim/platform.hh"

namespace kv8 {

namespace {

constexpr size_t kStackBytes = size_t{256} << 10;

/* What the handler touches; never destroyed. */
std::atomic<unsigned> count{0};
std::atomic<int> wake_fd{-1};
std::atomic<unsigned> handling{0};
static_assert(std::atomic<unsigned>::is_always_lock_free && std::atomic<int>::is_always_lock_free);

struct Sigint {
  std::mutex mutex;
  unsigned users = 0;
  int pipe[2] = {-1, -1};
  pthread_t thread{};
  struct sigaction before {};
};

Sigint &TheSigint() noexcept {
  static auto *sigint = new Sigint;
  return *sigint;
}

void OnSigint(int) {
  int saved = errno;
  handling.fetch_add(1);
  count.fetch_add(1);
  int fd = wake_fd.load();
  if (fd >= 0) {
    ssize_t ignored = write(fd, "i", 1); /* a full pipe wakes as well */
    (void)ignored;
  }
  handling.fetch_sub(1);
  errno = saved;
}

/* Ends at end of file. */
void *ThreadMain(void *argument) {
  auto *sigint = static_cast<Sigint *>(argument);
  /* So that there is a thread to take it where the program's own block it. */
  sigset_t only;
  sigemptyset(&only);
  sigaddset(&only, SIGINT);
  pthread_sigmask(SIG_UNBLOCK, &only, nullptr);
  char bytes[64];
  for (;;) {
    ssize_t got = read(sigint->pipe[0], bytes, sizeof bytes);
    if (got == 0 || (got < 0 && errno != EINTR)) {
      return nullptr;
    }
    RunsSigint();
  }
}

void ClosePipe(Sigint *sigint) noexcept {
  for (int &fd : sigint->pipe) {
    if (fd >= 0) {
      close(fd);
    }
    fd = -1;
  }
}

void EndThread(Sigint *sigint) noexcept {
  wake_fd.store(-1);
  /* A handler on another thread may still have the descriptor, whose number may mean another file
   * once it is closed. */
  while (handling.load() != 0) {
    sched_yield();
  }
  close(sigint->pipe[1]);
  sigint->pipe[1] = -1;
  pthread_join(sigint->thread, nullptr);
  ClosePipe(sigint);
}

bool BeginThread(Sigint *sigint) noexcept {
  if (!ThreadsAllowed() || pipe2(sigint->pipe, O_CLOEXEC) != 0) {
    return false;
  }
  if (fcntl(sigint->pipe[1], F_SETFL, O_NONBLOCK) != 0 ||
      !StartThread(ThreadMain, sigint, /*stack=*/nullptr, kStackBytes, &sigint->thread)) {
    ClosePipe(sigint);
    return false;
  }
  wake_fd.store(sigint->pipe[1]);
  struct sigaction ours {};
  ours.sa_handler = OnSigint;
  ours.sa_flags = SA_RESTART;
  sigfillset(&ours.sa_mask);
  if (sigaction(SIGINT, &ours, &sigint->before) != 0) {
    EndThread(sigint);
    return false;
  }
  return true;
}

}  // namespace

bool SigintBegin() noexcept {
  Sigint &sigint = TheSigint();
  std::lock_guard<std::mutex> guard(sigint.mutex);
  if (sigint.users == 0 && !BeginThread(&sigint)) {
    return false;
  }
  ++sigint.users;
  return true;
}

void SigintEnd() noexcept {
  Sigint &sigint = TheSigint();
  std::lock_guard<std::mutex> guard(sigint.mutex);
  if (--sigint.users == 0) {
    sigaction(SIGINT, &sigint.before, nullptr);
    EndThread(&sigint);
  }
}

unsigned SigintCount() noexcept {
  return count.load();
}

}  // namespace kv8
