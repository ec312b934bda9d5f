/* SPDX-License-Identifier: MIT
 *
 * engine.cc: starting and ending V8, once per process, and saying exactly which V8 it is. Flags
 * are checked before V8 starts and frozen from then on, because any of them changes the cached
 * data's tag.
 */
#include <elf.h>
#include <link.h>
#include <sys/random.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <mutex>

#include "shim/fork.hh"
#include "shim/internal.hh"
#include "shim/kv8_fork.h"
#include "shim/platform.hh"

namespace kv8 {

namespace {

constexpr size_t kFlagsMaxBytes = 4096;
constexpr unsigned kThreadsMax = 64;

enum class State { kNew, kRunning, kSpoiled, kStopped };

struct Engine {
  std::mutex mutex;
  State state = State::kNew;
  bool deferred = false; /* and not yet forked */
  std::string version;
  std::string flags;
  std::string build_id;
  uint32_t tag = 0;
};

Engine &TheEngine() noexcept {
  static auto *engine = new Engine;
  return *engine;
}

std::vector<std::string> SplitFlags(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r\n";
  std::vector<std::string> flags;
  size_t at = 0;
  while ((at = text.find_first_not_of(kBlank, at)) != std::string_view::npos) {
    size_t end = std::min(text.find_first_of(kBlank, at), text.size());
    flags.emplace_back(text.substr(at, end - at));
    at = end;
  }
  return flags;
}

/* One spelling for each flag: "--", dashes instead of underscores in the name. */
std::string NormaliseFlag(std::string_view given) {
  if (given[0] != '-') {
    return std::string(given); /* the value of the flag before */
  }
  std::string flag("--");
  flag += given.substr(given.size() < 2 || given[1] != '-' ? 1 : 2);
  size_t name_end = std::min(flag.find('='), flag.size());
  std::replace(flag.begin(), flag.begin() + static_cast<ptrdiff_t>(name_end), '_', '-');
  return flag;
}

/* Gives the flags to V8; the first one it does not take is KV8_EINVAL. */
kv8_status SetFlags(const std::vector<std::string> &flags, kv8_error *err) {
  std::vector<std::string> copies;
  copies.emplace_back("kv8");
  copies.insert(copies.end(), flags.begin(), flags.end());
  std::vector<char *> argv;
  for (std::string &copy : copies) {
    argv.push_back(copy.data());
  }
  argv.push_back(nullptr);
  for (const std::string &flag : flags) {
    if (flag == "--help" || flag == "-h" || flag == "-?") { /* V8 would print and exit */
      return SetError(err, KV8_EINVAL, "", "V8 flag '%.80s': not allowed", flag.c_str());
    }
  }
  int count = static_cast<int>(copies.size());
  v8::V8::SetFlagsFromCommandLine(&count, argv.data(), true);
  if (count > 1) {
    return SetError(err, KV8_EINVAL, "", "V8 flag '%.80s': unknown, or its value is not valid",
                    argv[1]);
  }
  return KV8_OK;
}

std::string JoinFlags(std::vector<std::string> flags) {
  bool all_flags = std::all_of(flags.begin(), flags.end(),
                               [](const std::string &flag) { return flag[0] == '-'; });
  if (all_flags) {
    std::sort(flags.begin(), flags.end());
    flags.erase(std::unique(flags.begin(), flags.end()), flags.end());
  }
  std::string joined;
  for (const std::string &flag : flags) {
    joined += (joined.empty() ? "" : " ") + flag;
  }
  return joined;
}

/* ---- build id: of the ELF object that holds V8's code --------------------------------------- */

struct BuildIdSearch {
  uintptr_t address;
  std::string id;
};

size_t Align4(size_t size) noexcept {
  return (size + 3) & ~size_t{3};
}

void ReadNotes(const char *notes, size_t size, std::string *ret_id) {
  static const char kDigits[] = "0123456789abcdef";
  size_t at = 0;
  while (size - at >= sizeof(ElfW(Nhdr))) {
    ElfW(Nhdr) header;
    std::memcpy(&header, notes + at, sizeof header);
    size_t name = at + sizeof header;
    size_t value = name + Align4(header.n_namesz);
    size_t next = value + Align4(header.n_descsz);
    if (next > size || next <= at) {
      return;
    }
    if (header.n_type == NT_GNU_BUILD_ID && header.n_namesz == 4 &&
        std::memcmp(notes + name, "GNU", 4) == 0) {
      for (size_t i = 0; i < header.n_descsz; ++i) {
        auto byte = static_cast<unsigned char>(notes[value + i]);
        ret_id->push_back(kDigits[byte >> 4]);
        ret_id->push_back(kDigits[byte & 15U]);
      }
      return;
    }
    at = next;
  }
}

int VisitObject(struct dl_phdr_info *object, size_t, void *data) noexcept {
  auto *search = static_cast<BuildIdSearch *>(data);
  bool holds = false;
  for (int i = 0; i < object->dlpi_phnum; ++i) {
    const ElfW(Phdr) &part = object->dlpi_phdr[i];
    uintptr_t start = object->dlpi_addr + part.p_vaddr;
    holds |= part.p_type == PT_LOAD && search->address >= start &&
             search->address - start < part.p_memsz;
  }
  if (!holds) {
    return 0;
  }
  try {
    for (int i = 0; i < object->dlpi_phnum && search->id.empty(); ++i) {
      const ElfW(Phdr) &part = object->dlpi_phdr[i];
      if (part.p_type == PT_NOTE) {
        /* The loader gives an address as a number. */
        ReadNotes(reinterpret_cast<const char *>(object->dlpi_addr + part.p_vaddr), part.p_memsz,
                  &search->id);
      }
    }
  } catch (...) {
    search->id.clear();
  }
  return 1;
}

std::string FindBuildId() {
  BuildIdSearch search{reinterpret_cast<uintptr_t>(&v8::V8::GetVersion), ""};
  dl_iterate_phdr(VisitObject, &search);
  return search.id;
}

const char *Arch() noexcept {
#if defined(__x86_64__)
  return "x64";
#elif defined(__aarch64__)
  return "arm64";
#elif defined(__i386__)
  return "ia32";
#elif defined(__arm__)
  return "arm";
#elif defined(__powerpc64__)
  return "ppc64";
#elif defined(__s390x__)
  return "s390x";
#elif defined(__riscv)
  return "riscv64";
#else
  return "unknown";
#endif
}

unsigned DefaultThreads() noexcept {
  long cores = sysconf(_SC_NPROCESSORS_ONLN);
  return static_cast<unsigned>(std::clamp(cores - 1, 1L, 4L));
}

kv8_status Start(Engine &engine, const kv8_engine_options &options, kv8_error *err) {
  std::string why;
  if (!compat::HostStart(&why)) {
    engine.state = State::kSpoiled;
    return SetError(err, KV8_EENGINE, "", "%.200s", why.c_str());
  }
  const char *given = options.flags != nullptr ? options.flags : KV8_FLAGS_DEFAULT;
  std::vector<std::string> flags = SplitFlags(given);
  for (std::string &flag : flags) {
    flag = NormaliseFlag(flag);
  }
  kv8_status status = SetFlags(flags, err);
  if (status != KV8_OK) {
    engine.state = State::kSpoiled; /* some of them may have been taken */
    return status;
  }
  engine.flags = JoinFlags(std::move(flags));
  unsigned threads = options.threads != 0 ? options.threads : DefaultThreads();
  v8::V8::InitializePlatform(PlatformMake(threads, options.defer_threads));
  v8::V8::Initialize();
  engine.version = v8::V8::GetVersion();
  engine.tag = v8::ScriptCompiler::CachedDataVersionTag();
  engine.build_id = FindBuildId();
  engine.deferred = options.defer_threads;
  engine.state = State::kRunning;
  return KV8_OK;
}

}  // namespace

bool EngineRunning() noexcept {
  Engine &engine = TheEngine();
  std::lock_guard<std::mutex> guard(engine.mutex);
  return engine.state == State::kRunning;
}

}  // namespace kv8

using namespace kv8;

kv8_status kv8_engine_start(const kv8_engine_options *options, kv8_error *err) {
  if (!KnownSize(options)) {
    return Invalid(err, "kv8_engine_options: unknown struct_size");
  }
  kv8_engine_options copy = Normalised(options);
  if (copy.threads > kThreadsMax) {
    return SetError(err, KV8_EINVAL, "", "threads: %u is over the limit of %u", copy.threads,
                    kThreadsMax);
  }
  if (copy.flags != nullptr && strnlen(copy.flags, kFlagsMaxBytes + 1) > kFlagsMaxBytes) {
    return SetError(err, KV8_EINVAL, "", "flags: longer than %zu bytes", kFlagsMaxBytes);
  }
  Engine &engine = TheEngine();
  std::lock_guard<std::mutex> guard(engine.mutex);
  if (engine.state != State::kNew) {
    return SetError(err, KV8_ESTATE, "", "%s",
                    engine.state == State::kRunning   ? "the engine is running"
                    : engine.state == State::kStopped ? "the engine has been stopped"
                                                      : "the engine's flags were refused before");
  }
  try {
    return Start(engine, copy, err);
  } catch (const std::bad_alloc &) {
    engine.state = State::kSpoiled;
    return SetError(err, KV8_ENOMEM, "", "out of memory");
  }
}

void kv8_engine_stop(void) {
  Engine &engine = TheEngine();
  std::lock_guard<std::mutex> guard(engine.mutex);
  if (engine.state != State::kRunning) {
    return;
  }
  engine.state = State::kStopped;
  WatchdogStop();
  v8::V8::Dispose();
  ThePlatform()->Stop();
  v8::V8::DisposePlatform();
}

kv8_status kv8_engine_after_fork(bool threads_now, kv8_error *err) {
  Engine &engine = TheEngine();
  std::lock_guard<std::mutex> guard(engine.mutex);
  if (engine.state != State::kRunning || !engine.deferred) {
    return SetError(err, KV8_ESTATE, "", "the engine was not started with defer_threads");
  }
  uint32_t seed = 0;
  while (seed == 0) { /* 0 would mean: no fixed seed */
    if (getrandom(&seed, sizeof seed, 0) != static_cast<ssize_t>(sizeof seed)) {
      return SetError(err, KV8_EENGINE, "", "getrandom: no random bytes");
    }
    seed &= INT32_MAX;
  }
  if (!compat::SetRandomSeed(static_cast<int>(seed))) {
    return SetError(err, KV8_EUNSUPPORTED, "", "this V8 freezes its flags: no new random seed");
  }
  if (!SeedOwnRandom()) {
    return SetError(err, KV8_EENGINE, "", "getrandom: no random bytes");
  }
  WatchdogAfterFork();
  if (!ThePlatform()->AfterFork(threads_now)) {
    return SetError(err, KV8_ENOMEM, "", "no background thread can be started");
  }
  engine.deferred = false;
  return KV8_OK;
}

kv8_status kv8_engine_before_fork(kv8_error *err) {
  Engine &engine = TheEngine();
  std::lock_guard<std::mutex> guard(engine.mutex);
  if (engine.state != State::kRunning || engine.deferred) {
    return SetError(err, KV8_ESTATE, "", "the engine is not running, or may be forked as it is");
  }
  WatchdogStop();
  ThePlatform()->BeforeFork();
  engine.deferred = true;
  return KV8_OK;
}

kv8_status kv8_engine_get_info(kv8_engine_info *ret_info, kv8_error *err) {
  if (ret_info == nullptr) {
    return Invalid(err, "ret_info is NULL");
  }
  Engine &engine = TheEngine();
  std::lock_guard<std::mutex> guard(engine.mutex);
  if (engine.state != State::kRunning) {
    return SetError(err, KV8_ESTATE, "", "the engine is not running");
  }
  *ret_info = {engine.version.c_str(), engine.tag, engine.flags.c_str(), engine.build_id.c_str(),
               Arch()};
  return KV8_OK;
}
