/* SPDX-License-Identifier: MIT
 *
 * worker_image.c: loads an image: runs its scripts, then its module, in the ready context, under
 * one deadline. What they leave there is what the forks of this process begin with. The image's
 * code is a guest's like any other.
 */
#include "shim/kv8_fork.h"
#include "toolkit/engine.h"

static bool run_script(kiln_work *work, const kiln_job_source *given) {
  kiln_times *times = &work->result.times;
  kv8_source source = kiln__source(given->source, given->name);
  kv8_run_options options = KV8_RUN_OPTIONS_INIT;
  kv8_script *script = NULL;
  uint64_t begun = kiln__now_ns();
  bool good = kiln__work_ok(work, kv8_script_compile(work->engine->isolate, &source, &script,
                                                     /* ret_outcome= */ NULL, &work->error)) &&
              kiln__work_time_left(work, &options.timeout_ms);
  uint64_t compiled = kiln__now_ns();
  times->compile_ns += compiled - begun;
  if (!good) return false;
  good = kiln__work_ok(work, kv8_script_run(script, work->engine->context, &options,
                                            /* ret_value= */ NULL, &work->error));
  times->run_ns += kiln__now_ns() - compiled;
  return good;
}

/* Promise jobs and V8's own tasks (a WebAssembly module compiled in the background) are the
 * image's: its children do not begin with them. */
static bool settle(kiln_work *work) {
  unsigned left;
  bool ran = true;
  while (ran) {
    if (!kiln__work_time_left(work, &left) ||
        !kiln__work_ok(work,
                       kv8_isolate_drain_microtasks(work->engine->isolate, left, &work->error)) ||
        !kiln__work_ok(
            work, kv8_isolate_pump(work->engine->isolate, /* wait_ms= */ 0, &ran, &work->error)))
      return false;
  }
  return true;
}

bool kiln__work_load_image(kiln_work *work) {
  const kiln_job *job = work->job;
  const kiln_job_context *given = &job->contexts[0];
  kv8_context *context = work->engine->context;
  kv8_value *namespace = NULL;
  work->engine->console.on = true;
  if (!kiln__work_configure(work) ||
      !kiln__work_ok(work, kv8_context_own_random(context, &work->error)))
    return false;
  for (size_t i = 0; i < given->scripts_count; i++)
    if (!run_script(work, &given->scripts[i])) return false;
  if (job->source && !kiln__work_run_module(work, &namespace)) return false;
  kv8_value_free(namespace);
  return settle(work) && kiln__work_ok(work, kv8_context_hide_globals(context, &work->error));
}
