/* SPDX-License-Identifier: MIT
 *
 * fatal.cc: an exit code instead of an abort for a process that has run out of memory in C++ code.
 * What V8 itself reports before it gives up goes to kv8_isolate_options.on_fatal, not here.
 */
#include <unistd.h>

#include <atomic>
#include <exception>
#include <new>

#include "shim/internal.hh"

namespace {

std::atomic<int> exit_code{1};

[[noreturn]] void Exit() {
  _exit(exit_code.load());
}

}  // namespace

void kv8_engine_exit_on_out_of_memory(int code) {
  exit_code.store(code);
  std::set_new_handler(Exit);
  std::set_terminate(Exit);
}
