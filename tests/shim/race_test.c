/* SPDX-License-Identifier: MIT
 *
 * race_test.c: ends of runs that race with deadlines and interrupts, and isolates on ten threads
 * that run, interrupt each other and go (P16, P17, P39). ./test also builds this one with the
 * thread sanitizer.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#include "tests/shim/core_test.h"

#define SECONDS 5
#define THREADS 10
#define ROUNDS 15

static uint64_t now_us(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* ---- the end of a run against its deadline --------------------------------------------------- */

/* Each run spins for about a millisecond and has a deadline of one or two: whichever comes first,
 * the run after it must know nothing of it (P17). */
START_TEST(P17_deadline_at_the_end_never_leaks) {
  kv8_script *busy = core_compile(
      "var until = Date.now() + 1; while (Date.now() < until); for (let i = 0; i < spin; i++);");
  kv8_script *innocent = core_compile("'innocent'");
  kv8_run_options options = KV8_RUN_OPTIONS_INIT;
  int timeouts = 0;
  int normal = 0;
  uint64_t end = now_us() + SECONDS * 1000000;
  for (unsigned spin = 0; now_us() < end; spin = (spin + 997) % 400000) {
    char text[64];
    snprintf(text, sizeof(text), "var spin = %u", spin);
    core_ok(core_try(core_context, text, 0));
    options.timeout_ms = 1 + spin % 2;
    kv8_status status = kv8_script_run(busy, core_context, &options, NULL, &core_error);
    ck_assert_msg(status == KV8_OK || status == KV8_ETIMEOUT, "%s", kv8_status_name(status));
    status == KV8_OK ? normal++ : timeouts++;
    core_expect_script(innocent, core_context, "innocent");
  }
  ck_assert_msg(normal > 0 && timeouts > 0, "%d ended, %d timed out: the hammer missed", normal,
                timeouts);
  kv8_script_free(busy);
  kv8_script_free(innocent);
}
END_TEST

/* ---- the end of a run against an interrupt from another thread ------------------------------- */

typedef struct hammer {
  kv8_isolate *isolate;
  atomic_bool over;
  atomic_uint blows;
} hammer;

static void *interrupt_for_ever(void *user) {
  hammer *h = user;
  while (!atomic_load(&h->over)) {
    kv8_isolate_terminate(h->isolate);
    atomic_fetch_add(&h->blows, 1);
    sched_yield();
  }
  return NULL;
}

/* An interrupt belongs to the run it finds, or to none: after the last one, runs are whole again.
 */
START_TEST(RC07_interrupts_at_the_end_never_leak) {
  hammer h = {core_isolate, false, 0};
  pthread_t thread;
  kv8_script *script = core_compile("for (let i = 0; i < 20000; i++); 'done'");
  int interrupted = 0;
  ck_assert_int_eq(pthread_create(&thread, NULL, interrupt_for_ever, &h), 0);
  uint64_t end = now_us() + SECONDS * 1000000 / 2;
  while (now_us() < end || atomic_load(&h.blows) < 100) {
    kv8_status status = kv8_script_run(script, core_context, NULL, NULL, &core_error);
    ck_assert_msg(status == KV8_OK || status == KV8_EINTERRUPTED, "%s", kv8_status_name(status));
    interrupted += status == KV8_EINTERRUPTED;
  }
  atomic_store(&h.over, true);
  pthread_join(thread, NULL);
  ck_assert_int_gt(interrupted, 0);
  core_expect_script(script, core_context, "done");
  kv8_script_free(script);
}
END_TEST

/* ---- ten threads ------------------------------------------------------------------------------
 */

/* Isolates that may be interrupted now: each is published under the lock, and withdrawn under it
 * before it is freed, as kv8_isolate_terminate() asks for. */
typedef struct arena {
  pthread_mutex_t mutex;
  kv8_isolate *isolates[THREADS];
} arena;
typedef struct contestant {
  arena *arena;
  unsigned number;
  bool ok;
} contestant;

static void publish(contestant *c, kv8_isolate *isolate) {
  pthread_mutex_lock(&c->arena->mutex);
  c->arena->isolates[c->number] = isolate;
  pthread_mutex_unlock(&c->arena->mutex);
}

static void interrupt_others(contestant *c) {
  pthread_mutex_lock(&c->arena->mutex);
  for (unsigned i = 0; i < THREADS; i++) {
    if (i != c->number && c->arena->isolates[i] != NULL) {
      kv8_isolate_terminate(c->arena->isolates[i]);
    }
  }
  pthread_mutex_unlock(&c->arena->mutex);
}

/* Runs with a deadline, which an interrupt may forestall. */
static bool run_round(contestant *c, unsigned round) {
  kv8_error error;
  kv8_isolate *isolate = NULL;
  kv8_context *context = NULL;
  kv8_script *script = NULL;
  kv8_source source = core_source("for (;;);");
  kv8_run_options options = KV8_RUN_OPTIONS_INIT;
  options.timeout_ms = 1 + (c->number + round) % 5;
  bool ok = kv8_isolate_new(NULL, &isolate, &error) == KV8_OK;
  /* From here on the others may interrupt at any moment, also what makes the context. */
  if (ok) publish(c, isolate);
  kv8_status status = KV8_OK;
  while (ok && context == NULL) {
    status = kv8_context_new(isolate, NULL, &context, &error);
    ok = status == KV8_OK || status == KV8_EINTERRUPTED;
  }
  while (ok && script == NULL) {
    status = kv8_script_compile(isolate, &source, &script, NULL, &error);
    ok = status == KV8_OK || status == KV8_EINTERRUPTED;
  }
  if (ok) {
    status = kv8_script_run(script, context, &options, NULL, &error);
    ok = status == KV8_ETIMEOUT || status == KV8_EINTERRUPTED;
  }
  if (!ok) fprintf(stderr, "thread %u: %s: %s\n", c->number, error.code, error.message);
  interrupt_others(c);
  publish(c, NULL);
  kv8_script_free(script);
  kv8_context_free(context);
  kv8_isolate_free(isolate);
  return ok;
}

static void *contend(void *user) {
  contestant *c = user;
  c->ok = true;
  for (unsigned round = 0; c->ok && round < ROUNDS; round++) c->ok = run_round(c, round);
  return NULL;
}

START_TEST(P39_ten_threads_run_interrupt_and_dispose) {
  arena shared = {.mutex = PTHREAD_MUTEX_INITIALIZER};
  contestant contestants[THREADS];
  pthread_t threads[THREADS];
  for (unsigned i = 0; i < THREADS; i++) {
    contestants[i] = (contestant){&shared, i, false};
    ck_assert_int_eq(pthread_create(&threads[i], NULL, contend, &contestants[i]), 0);
  }
  for (unsigned i = 0; i < THREADS; i++) {
    pthread_join(threads[i], NULL);
    ck_assert(contestants[i].ok);
  }
}
END_TEST

static void stop_engine(void) {
  kv8_engine_stop();
}

int main(void) {
  TCase *ready = tcase_create("ready");
  tcase_set_timeout(ready, 120);
  tcase_add_checked_fixture(ready, core_setup, core_teardown);
  tcase_add_test(ready, P17_deadline_at_the_end_never_leaks);
  tcase_add_test(ready, RC07_interrupts_at_the_end_never_leak);
  TCase *bare = tcase_create("bare");
  tcase_set_timeout(bare, 120);
  tcase_add_checked_fixture(bare, core_engine, stop_engine);
  tcase_add_test(bare, P39_ten_threads_run_interrupt_and_dispose);
  TCase *cases[] = {ready, bare};
  return core_main(cases, 2, "shim races");
}
