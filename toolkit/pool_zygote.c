/* SPDX-License-Identifier: MIT
 *
 * pool_zygote.c: starts zygotes, hears their hello, notices their end. Asking one for a fork is
 * pool_worker.c's part.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "toolkit/filter.h"
#include "toolkit/pool_private.h"

#define CHANNEL 3 /* the zygote's */

__attribute__((format(printf, 2, 3))) static void note_trouble(kiln_pool *pool, const char *format,
                                                               ...) {
  char reason[160];
  va_list args;
  va_start(args, format);
  vsnprintf(reason, sizeof(reason), format, args);
  va_end(args);
  snprintf(pool->trouble, sizeof(pool->trouble), "engine: %s", reason);
}

/* A start that failed: the next one has to wait, longer each time. */
static void back_off(kiln_pool *pool, bool breeds) {
  unsigned *failures = breeds ? &pool->breeder_failures : &pool->zygote_failures;
  uint64_t again_ns =
      kiln__pool_now_ns() + (UINT64_C(100000000) << (*failures < 5 ? *failures : 5));
  ++*failures;
  if (!breeds) {
    pool->zygote_again_ns = again_ns;
    return;
  }
  pool->breeder_again_ns = again_ns;
  kiln__images_note_no_breeder(pool);
}

/* Of our environment an engine sees only what it needs to load its libraries and to format dates:
 * there may be secrets in the rest. */
static void filter_environment(const kiln_pool *pool, char **ret_environment, size_t max) {
  static const char *const names[] = {
      "LANG=",         "LC_ALL=",        "LD_LIBRARY_PATH=", "TZ=",
#ifdef KILN_ADDRESS_SANITIZER
      "ASAN_OPTIONS=", "UBSAN_OPTIONS=",
#endif
  };
  size_t count = 0;
  if (pool->preload) ret_environment[count++] = pool->preload;
  for (char **variable = environ; variable && *variable; variable++)
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
      if (count < max && strncmp(*variable, names[i], strlen(names[i])) == 0)
        ret_environment[count++] = *variable;
  ret_environment[count] = NULL;
}

/* Nothing is inherited but the channel: no descriptor, no signal's disposition, no mask, nor the
 * process group: Ctrl-C on a terminal is for us, who end the engines when their jobs are done. */
static int spawn(const kiln_pool *pool, int channel, pid_t *ret_pid) {
  char parent[16];
  char *arguments[7] = {pool->engine_path, (char[]){"--zygote"}, parent,
                        pool->v8_flags ? pool->v8_flags : (char[]){""}};
  char large_pages[] = "large-pages", sandbox_off[] = "sandbox-off";
  size_t count = 4;
  char *environment[16];
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  sigset_t signals;
  snprintf(parent, sizeof(parent), "%d", (int)getpid());
  if (pool->large_pages) arguments[count++] = large_pages;
  if (pool->sandbox_off) arguments[count++] = sandbox_off;
  filter_environment(pool, environment, sizeof(environment) / sizeof(environment[0]) - 1);
  int failed = posix_spawn_file_actions_init(&actions);
  if (failed) return failed;
  failed = posix_spawnattr_init(&attributes);
  if (failed) {
    posix_spawn_file_actions_destroy(&actions);
    return failed;
  }
  sigemptyset(&signals);
  posix_spawnattr_setsigmask(&attributes, &signals);
  sigfillset(&signals);
  posix_spawnattr_setsigdefault(&attributes, &signals);
  posix_spawnattr_setflags(&attributes,
                           POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
  failed = posix_spawn_file_actions_adddup2(&actions, channel, CHANNEL);
  if (!failed)
    failed = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  if (!failed)
    failed = posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
#ifndef KILN_ADDRESS_SANITIZER /* whose reports are worth reading; V8's last words are not */
  if (!failed)
    failed = posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
#endif
  if (!failed) failed = posix_spawn_file_actions_addclosefrom_np(&actions, CHANNEL + 1);
  if (!failed)
    failed = posix_spawn(ret_pid, pool->engine_path, &actions, &attributes, arguments, environment);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  return failed;
}

/* A socket pair; the second is for the zygote and above its CHANNEL, so that dup2 clears its
 * close-on-exec flag. */
static bool make_channel(int ret_pair[2]) {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) return false;
  int high = fcntl(pair[1], F_DUPFD_CLOEXEC, CHANNEL + 1);
  int reason = errno;
  close(pair[1]);
  if (high < 0) {
    close(pair[0]);
    errno = reason;
    return false;
  }
  ret_pair[0] = pair[0];
  ret_pair[1] = high;
  return true;
}

static void reap_now(pid_t pid) {
  kill(pid, SIGKILL);
  siginfo_t info;
  while (waitid(P_PID, (id_t)pid, &info, WEXITED) != 0 && errno == EINTR) continue;
}

static bool put_filter(kiln_wire_out *message, kiln_filter_kind kind, bool jitless) {
  kiln_bytes *program = kiln__filter_make(kind, jitless);
  if (!program) return false;
  kiln__wire_put_text(message, (uint16_t)(KILN_WIRE_FILTER_FIRST + kind), kiln_bytes_get(program));
  kiln_bytes_unref(program);
  return true;
}

/* The filters of this kind of zygote, made once; NULL: errno says why not. */
static const kiln_wire_out *get_filters(kiln_pool *pool, bool breeds) {
  kiln_wire_out *message = breeds ? &pool->breeder_message : &pool->filter_message;
  bool *has = breeds ? &pool->has_breeder_message : &pool->has_filter_message;
  if (*has) return message;
  *has = (breeds ? put_filter(message, KILN_FILTER_BREEDER, pool->jitless) &&
                       put_filter(message, KILN_FILTER_WORKER, pool->jitless)
                 : put_filter(message, KILN_FILTER_ZYGOTE, pool->jitless)) &&
         kiln__wire_finish(message);
  if (*has) return message;
  int reason = errno;
  kiln__wire_out_release(message);
  kiln__wire_out_init(message, KILN_WIRE_FILTER);
  errno = reason;
  return NULL;
}

void kiln__zygote_start(kiln_pool *pool, kiln_zygote **slot) {
  int pair[2];
  bool breeds = slot == &pool->breeder;
  kiln_zygote *zygote = calloc(1, sizeof(*zygote));
  if (!zygote || !make_channel(pair)) {
    note_trouble(pool, "%s", strerror(errno));
    free(zygote);
    back_off(pool, breeds);
    return;
  }
  zygote->channel = (kiln_watch){KILN_WATCH_ZYGOTE_CHANNEL, zygote, pair[0]};
  zygote->process = (kiln_watch){KILN_WATCH_ZYGOTE_PROCESS, zygote, -1};
  zygote->breeds = breeds;
  zygote->hello_due_ns = kiln__pool_now_ns() + UINT64_C(1000000) * KILN_HELLO_MS;
  int failed = spawn(pool, pair[1], &zygote->pid);
  close(pair[1]);
  if (failed) {
    note_trouble(pool, "cannot be started: %s", strerror(failed));
    close(pair[0]);
    free(zygote);
    back_off(pool, breeds);
    return;
  }
  zygote->process.fd = pidfd_open(zygote->pid, 0);
  if (zygote->process.fd < 0 || !kiln__pool_watch(pool, &zygote->process) ||
      !kiln__pool_watch(pool, &zygote->channel)) {
    note_trouble(pool, "cannot be watched: %s", strerror(errno));
    kiln__pool_unwatch(pool, &zygote->process);
    kiln__pool_unwatch(pool, &zygote->channel);
    reap_now(zygote->pid);
    free(zygote);
    back_off(pool, breeds);
    return;
  }
  atomic_fetch_add(&pool->counters.zygotes_started, 1);
  zygote->next = pool->zygotes;
  pool->zygotes = zygote;
  *slot = zygote;
  /* While it loads V8; it takes two milliseconds. What fails is told when it is to be sent. */
  if (!pool->sandbox_off) (void)get_filters(pool, breeds);
}

bool kiln__zygote_owes(const kiln_pool *pool, const kiln_zygote *zygote) {
  for (const kiln_worker *worker = pool->workers; worker; worker = worker->next)
    if (worker->zygote == zygote) return true;
  return false;
}

void kiln__zygote_end(kiln_pool *pool, kiln_zygote *zygote, bool lost) {
  if (zygote->ending) return;
  zygote->ending = true;
  if (lost) atomic_fetch_add(&pool->counters.zygotes_lost, 1);
  if (lost && !zygote->ready) atomic_fetch_add(&pool->counters.zygotes_not_ready, 1);
  if (!zygote->ready) back_off(pool, zygote->breeds);
  if (pool->current == zygote) pool->current = NULL;
  if (pool->spare == zygote) pool->spare = NULL;
  if (pool->breeder == zygote) pool->breeder = NULL;
  for (kiln_worker *worker = pool->workers; worker; worker = worker->next)
    if (worker->zygote == zygote) worker->zygote = NULL;
  /* What it has been asked and has not done comes back as closed channels. */
  kiln__pool_unwatch(pool, &zygote->channel);
  pidfd_send_signal(zygote->process.fd, SIGKILL, /* info= */ NULL, 0);
}

/* ---- the hello ---------------------------------------------------------------------------------
 */

static bool copy_text(const kiln_wire_field *field, char *to, size_t size) {
  kiln_span text;
  if (!kiln__wire_get_text(field, size - 1, &text)) return false;
  memcpy(to, text.data, text.length + 1); /* with its NUL */
  return true;
}

static bool decode_hello(kiln_wire_in *in, kiln_engine_info *info, uint64_t *ret_data_bytes,
                         uint64_t *ret_keeper) {
  kiln_wire_field field;
  const unsigned may_be_absent =
      1u << KILN_WIRE_HELLO_DATA | 1u << KILN_WIRE_HELLO_LAYERS | 1u << KILN_WIRE_HELLO_KEEPER;
  uint64_t tag = 0, layers = 0;
  unsigned seen = 0;
  int stepped;
  if (in->type != KILN_WIRE_HELLO) return false;
  while ((stepped = kiln__wire_next(in, &field)) == 1) {
    bool good = false;
    switch (field.tag) {
      case KILN_WIRE_HELLO_V8_VERSION:
        good = copy_text(&field, info->v8_version, sizeof(info->v8_version));
        break;
      case KILN_WIRE_HELLO_TAG:
        good = kiln__wire_get_number(&field, UINT32_MAX, &tag);
        break;
      case KILN_WIRE_HELLO_FLAGS:
        good = copy_text(&field, info->flags, sizeof(info->flags));
        break;
      case KILN_WIRE_HELLO_BUILD_ID:
        good = copy_text(&field, info->build_id, sizeof(info->build_id));
        break;
      case KILN_WIRE_HELLO_ARCH:
        good = copy_text(&field, info->arch, sizeof(info->arch));
        break;
      case KILN_WIRE_HELLO_LAYERS:
        good = kiln__wire_get_number(&field, UINT32_MAX, &layers);
        break;
      case KILN_WIRE_HELLO_KEEPER:
        good = kiln__wire_get_number(&field, INT32_MAX, ret_keeper);
        break;
      case KILN_WIRE_HELLO_DATA:
        good = kiln__wire_get_number(&field, KILN_DATA_BYTES_MAX, ret_data_bytes);
        break;
      default:
        break;
    }
    if (!good || (seen & 1u << field.tag)) return false;
    seen |= 1u << field.tag;
  }
  info->cached_data_tag = (uint32_t)tag;
  info->layers = (uint32_t)layers;
  info->protocol = KILN_WIRE_PROTOCOL;
  return stepped == 0 && (seen | may_be_absent) == 0x1feu;
}

static bool is_same_engine(const kiln_engine_info *a, const kiln_engine_info *b) {
  return strcmp(a->v8_version, b->v8_version) == 0 && a->cached_data_tag == b->cached_data_tag &&
         strcmp(a->flags, b->flags) == 0 && strcmp(a->build_id, b->build_id) == 0 &&
         strcmp(a->arch, b->arch) == 0;
}

static bool has_required_layers(kiln_pool *pool, const kiln_engine_info *info) {
#ifdef KILN_ADDRESS_SANITIZER /* such engines have none */
  return true;
#endif
  if (!pool->sandbox_required) return true;
  for (unsigned layer = 0; layer < KILN_LAYERS; layer++) {
    if (!kiln_layer_is_required((kiln_layer)layer) || (info->layers & UINT32_C(1) << layer))
      continue;
    note_trouble(pool, "its sandbox lacks '%s' here: see `kiln doctor`",
                 kiln_layer_word((kiln_layer)layer));
    return false;
  }
  return true;
}

/* The engine a pool began with is part of every key of its jobs: another one, installed meanwhile,
 * must wait for the next start. */
static bool accept_hello(kiln_pool *pool, kiln_zygote *zygote, kiln_wire_in *in) {
  kiln_engine_info info = {0};
  uint64_t data_bytes = 0, keeper = 0;
  memcpy(info.name, pool->engine.name, sizeof(info.name));
  if (!decode_hello(in, &info, &data_bytes, &keeper)) {
    note_trouble(pool, "it did not introduce itself as a kiln-engine does");
    return false;
  }
  if (pool->engine.protocol != 0 && !is_same_engine(&info, &pool->engine)) {
    note_trouble(pool, "it is now V8 %s, build '%s', not what this pool was opened with",
                 info.v8_version, info.build_id);
    return false;
  }
  info.sandbox_off = pool->sandbox_off;
  if (pool->jitless && (info.layers & UINT32_C(1) << KILN_LAYER_SECCOMP))
    info.layers |= UINT32_C(1) << KILN_LAYER_JITLESS;
  if (!has_required_layers(pool, &info)) return false;
  if (keeper > 0) {
    zygote->keeper = kiln__worker_adopt_keeper(pool, (pid_t)keeper);
    if (!zygote->keeper) {
      note_trouble(pool, "it named a process that is no child of this one");
      return false;
    }
  }
  if (pool->engine.protocol == 0) pool->engine = info;
  pool->data_bytes = data_bytes;
  return true;
}

/* Tells it what it and its forks may ask of the kernel. */
static bool send_filters(kiln_pool *pool, const kiln_zygote *zygote) {
  if (!(pool->engine.layers & UINT32_C(1) << KILN_LAYER_SECCOMP)) return true;
  const kiln_wire_out *message = get_filters(pool, zygote->breeds);
  if (!message) {
    note_trouble(pool, "its filter cannot be made: %s", strerror(errno));
    return false;
  }
  return kiln__wire_send(zygote->channel.fd, message, /* fd= */ -1, MSG_DONTWAIT) == 0;
}

void kiln__zygote_on_channel(kiln_pool *pool, kiln_zygote *zygote) {
  kiln_wire_in in;
  if (zygote->ending) return;
  int got = kiln__wire_receive(zygote->channel.fd, pool->buffer, &in, MSG_DONTWAIT);
  if (got == -EAGAIN) return;
  if (got == -EPROTONOSUPPORT) {
    kiln_wire_head head;
    memcpy(&head, pool->buffer, sizeof(head));
    note_trouble(pool, "it speaks protocol %u, this library %u", head.protocol, KILN_WIRE_PROTOCOL);
  } else if (got == 0) {
    note_trouble(pool, "its process ended");
  } else if (got < 0) {
    note_trouble(pool, "it did not introduce itself as a kiln-engine does");
  }
  bool good =
      got == 1 && !zygote->ready && accept_hello(pool, zygote, &in) && send_filters(pool, zygote);
  if (got == 1) kiln__wire_in_release(&in);
  if (!good) {
    kiln__zygote_end(pool, zygote, /* lost= */ true);
    return;
  }
  zygote->ready = true;
  if (zygote->breeds)
    pool->breeder_failures = 0;
  else
    pool->zygote_failures = 0;
}

void kiln__zygote_on_process(kiln_pool *pool, kiln_zygote *zygote) {
  siginfo_t info = {0};
  int waited = waitid(P_PIDFD, (id_t)zygote->process.fd, &info, WEXITED | WNOHANG);
  if (waited == 0 && info.si_pid == 0) return;
  if (waited != 0 && errno == EINTR) return;
  if (!zygote->ending) {
    if (!zygote->ready) note_trouble(pool, "its process ended before it was ready");
    kiln__zygote_end(pool, zygote, /* lost= */ true);
  }
  kiln__pool_unwatch(pool, &zygote->process);
  zygote->gone = true;
}
