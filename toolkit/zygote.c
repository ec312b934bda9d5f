/* SPDX-License-Identifier: MIT
 *
 * zygote.c: starts V8 once, then forks a worker for each request of the pool. It runs no script,
 * keeps its one secret from its forks (sandbox_filter.c) and has one thread and one descriptor, so
 * what a worker inherits is V8 and nothing else. It does not reap: its workers are children of the
 * pool's process. An image's process (worker_image.c) serves forks in the same way, but has run
 * guests' code; it comes from a zygote that has no secret.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "shim/kv8_fork.h"
#include "toolkit/engine.h"
#include "toolkit/large_pages.h"
#include "toolkit/sandbox.h"

#define FLAGS_MAX 4096

static void on_fatal(void *user, kv8_fatal_kind kind, const char *location, const char *message) {
  (void)user;
  (void)location;
  (void)message;
  if (kind == KV8_FATAL_OOM) _exit(KILN_EXIT_MEMORY_LIMIT);
  kiln_sandbox_exit_fatal(KILN_EXIT_FATAL);
}

/* Workers may open no file. With this name glibc reads it once; without one it looks each time
 * whether it has changed. ICU, which has its own way to find the zone, does not like it. */
static void settle_time_zone(kv8_isolate *isolate) {
  kv8_isolate_detect_time_zone(isolate);
  setenv("TZ", ":/etc/localtime", /* overwrite= */ 0);
  tzset();
}

static kv8_status start(kiln_engine *engine, const char *v8_flags, kv8_error *err) {
  kv8_engine_options options = KV8_ENGINE_OPTIONS_INIT;
  options.defer_threads = true;
  char flags[FLAGS_MAX];
  int length = snprintf(flags, sizeof(flags), "%s %s", KV8_FLAGS_DEFAULT, v8_flags);
  if (length < 0 || (size_t)length >= sizeof(flags)) return KV8_EINVAL;
  options.flags = flags;
  kv8_status status = kv8_engine_start(&options, err);
  if (status == KV8_OK) status = kv8_engine_get_info(&engine->info, err);
  kv8_engine_exit_on_out_of_memory(KILN_EXIT_MEMORY_LIMIT);
  /* Workers may not ask for signals; those that are to live long turn it off. */
  if (status == KV8_OK) status = kv8_engine_deadlines_by_alarm(true, err);
  if (status != KV8_OK) return status;

  kv8_isolate_options isolate_options = KV8_ISOLATE_OPTIONS_INIT;
  isolate_options.on_fatal = on_fatal;
  status = kv8_isolate_new(&isolate_options, &engine->isolate, err);
  if (status != KV8_OK) return status;

  settle_time_zone(engine->isolate);

  kv8_context_options context_options = KV8_CONTEXT_OPTIONS_INIT;
  context_options.on_console = kiln__console_write;
  context_options.on_console_user = &engine->console;
  return kv8_context_new(engine->isolate, &context_options, &engine->context, err);
}

static bool say_hello(const kiln_engine *engine, uint64_t data_bytes, uint32_t layers,
                      pid_t keeper) {
  const kv8_engine_info *info = &engine->info;
  kiln_wire_out out;
  kiln__wire_out_init(&out, KILN_WIRE_HELLO);
  kiln__wire_put_text(&out, KILN_WIRE_HELLO_V8_VERSION, kiln__span_of(info->v8_version));
  kiln__wire_put_number(&out, KILN_WIRE_HELLO_TAG, info->cached_data_tag);
  kiln__wire_put_text(&out, KILN_WIRE_HELLO_FLAGS, kiln__span_of(info->flags));
  kiln__wire_put_text(&out, KILN_WIRE_HELLO_BUILD_ID, kiln__span_of(info->build_id));
  kiln__wire_put_text(&out, KILN_WIRE_HELLO_ARCH, kiln__span_of(info->arch));
  kiln__wire_put_number(&out, KILN_WIRE_HELLO_DATA, data_bytes);
  kiln__wire_put_number(&out, KILN_WIRE_HELLO_LAYERS, layers);
  if (keeper > 0) kiln__wire_put_number(&out, KILN_WIRE_HELLO_KEEPER, (uint64_t)keeper);
  bool sent = kiln__wire_finish(&out) && kiln__wire_send(KILN_CHANNEL, &out, /* fd= */ -1, 0) == 0;
  kiln__wire_out_release(&out);
  return sent;
}

static bool take_filters(kiln_wire_in *in) {
  kiln_wire_field field;
  int stepped;
  while ((stepped = kiln__wire_next(in, &field)) == 1) {
    kiln_span program;
    unsigned kind = field.tag - KILN_WIRE_FILTER_FIRST;
    if (kind >= KILN_FILTER_KINDS) return false;
    if (!kiln__wire_get_text(&field, KILN_MEMFD_MIN, &program) ||
        !kiln_sandbox_take_filter((kiln_filter_kind)kind, program.data, program.length))
      return false;
  }
  return stepped == 0 && kiln_sandbox_filter_zygote();
}

/* What a fork request says. False: it is none. */
static bool read_request(kiln_wire_in *in, kiln_filter_kind *ret_kind) {
  kiln_wire_field field;
  uint64_t number;
  int stepped;
  *ret_kind = KILN_FILTER_WORKER;
  while ((stepped = kiln__wire_next(in, &field)) == 1) {
    if (field.tag == KILN_WIRE_FORK_KIND) {
      if (!kiln__wire_get_number(&field, KILN_FILTER_FORKING, &number)) return false;
      *ret_kind = (kiln_filter_kind)number;
    } else if (field.tag == KILN_WIRE_FORK_DATA) {
      if (!kiln__wire_get_number(&field, UINT64_MAX, &number)) return false;
      kiln_sandbox_set_data_bytes(number);
    } else {
      return false;
    }
  }
  return stepped == 0 && in->type == KILN_WIRE_FORK;
}

void kiln_zygote_serve(kiln_engine *engine, pid_t parent) {
  static _Alignas(8) char requests[KILN_WIRE_BUFFER];
  for (;;) {
    kiln_wire_in in;
    kiln_filter_kind kind;
    int got = kiln__wire_receive(KILN_CHANNEL, requests, &in, 0);
    if (got == 0) _exit(EXIT_SUCCESS);
    if (got < 0) _exit(EXIT_FAILURE);
    if (in.type == KILN_WIRE_FILTER && !engine->is_image) {
      if (!take_filters(&in)) _exit(EXIT_FAILURE);
      kiln__wire_in_release(&in);
      continue;
    }
    int channel = read_request(&in, &kind) ? kiln__wire_take_fd(&in) : -1;
    kiln__wire_in_release(&in);
    if (channel < 0) _exit(EXIT_FAILURE);
    if (kind == KILN_FILTER_FORKING && kiln_sandbox_has_secret()) _exit(EXIT_FAILURE);
    if (kiln_sandbox_fork() == 0) kiln_worker_main(engine, channel, parent, kind);
    close(channel); /* if there was no fork, the pool sees its end close */
  }
}

int kiln_zygote_main(pid_t parent, const kiln_zygote_options *options) {
  static kiln_engine engine;
  kv8_error err;
  if (!kiln_sandbox_prepare(parent)) return EXIT_FAILURE;
  if (start(&engine, options->v8_flags, &err) != KV8_OK) return EXIT_FAILURE;
  if (options->large_pages) kiln__use_large_pages();
  uint64_t data_bytes = kiln_sandbox_data_bytes();
  uint32_t layers = kiln_sandbox_confine(options->sandbox_off);
  kiln_sandbox_prepare_fork();
  pid_t keeper = 0;
  if (layers & UINT32_C(1) << KILN_LAYER_PID) {
    if (!kiln_sandbox_make_lifeline()) return EXIT_FAILURE;
    /* Born with its name: tools that end engines by theirs are to leave it alone. */
    prctl(PR_SET_NAME, "kiln-keeper");
    keeper = kiln_sandbox_fork();
    if (keeper == 0) kiln_sandbox_keep();
    prctl(PR_SET_NAME, "kiln-engine");
    if (keeper < 0) return EXIT_FAILURE;
  }
  if (!kiln_sandbox_settle(layers) || !kiln_sandbox_die_with(parent) ||
      !say_hello(&engine, data_bytes, layers, keeper))
    return EXIT_FAILURE;
  kiln_zygote_serve(&engine, parent);
}
