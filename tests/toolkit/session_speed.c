/* SPDX-License-Identifier: MIT
 *
 * session_speed.c: how fast a standing context runs small scripts; not a test.
 *
 *   session_speed [SECONDS]
 *
 * One command in flight gives the latency, then two threads with a session and eight commands in
 * flight each the throughput.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "toolkit/kiln.h"

#define THREADS 2
#define IN_FLIGHT 8
#define SAMPLES 20000

typedef struct client {
  kiln *k;
  kiln_bytes *source;
  char context[KILN_OBJECT_ID_MAX];
  pthread_mutex_t mutex;
  pthread_cond_t changed;
  unsigned in_flight;
  uint64_t done_count;
  uint64_t until_ns;
} client;

static uint64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

static void give_up(const char *what, const kiln_error *error) {
  fprintf(stderr, "%s: %s: %s\n", what, error->code, error->message);
  exit(1);
}

static void done(void *user, const kiln_response *response) {
  client *c = user;
  if (response->status != KILN_OK) give_up("command", &response->error);
  if (response->outcome != KILN_OUTCOME_OK) {
    fprintf(stderr, "%s: %s\n", response->code, response->message);
    exit(1);
  }
  pthread_mutex_lock(&c->mutex);
  if (response->object_id) snprintf(c->context, sizeof(c->context), "%s", response->object_id);
  c->in_flight--;
  c->done_count++;
  pthread_cond_signal(&c->changed);
  pthread_mutex_unlock(&c->mutex);
}

static void submit(client *c, const kiln_command *command, unsigned in_flight_max) {
  kiln_error error;
  pthread_mutex_lock(&c->mutex);
  while (c->in_flight >= in_flight_max) pthread_cond_wait(&c->changed, &c->mutex);
  c->in_flight++;
  pthread_mutex_unlock(&c->mutex);
  if (kiln_session_submit(c->k, command, done, c, &error) != KILN_OK) give_up("submit", &error);
}

static void await(client *c) {
  pthread_mutex_lock(&c->mutex);
  while (c->in_flight > 0) pthread_cond_wait(&c->changed, &c->mutex);
  pthread_mutex_unlock(&c->mutex);
}

static void begin(client *c, kiln *k, kiln_bytes *source) {
  kiln_command create = {.op = KILN_CONTEXT_CREATE};
  *c = (client){.k = k, .source = source};
  pthread_mutex_init(&c->mutex, NULL);
  pthread_cond_init(&c->changed, NULL);
  submit(c, &create, 1);
  await(c);
}

static kiln_command run_of(const client *c) {
  return (kiln_command){
      .op = KILN_CONTEXT_RUN, .object = kiln_span_from(c->context), .source = c->source};
}

static void *run_many(void *user) {
  client *c = user;
  kiln_command run = run_of(c);
  while (now_ns() < c->until_ns) submit(c, &run, IN_FLIGHT);
  await(c);
  return NULL;
}

static int compare(const void *a, const void *b) {
  uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return (x > y) - (x < y);
}

static void measure_latency(client *c) {
  static uint64_t took[SAMPLES];
  kiln_command run = run_of(c);
  for (unsigned i = 0; i < SAMPLES; i++) {
    uint64_t began = now_ns();
    submit(c, &run, 1);
    await(c);
    took[i] = now_ns() - began;
  }
  qsort(took, SAMPLES, sizeof(took[0]), compare);
  printf("one in flight: p50 %.1f us, p99 %.1f us\n", (double)took[SAMPLES / 2] / 1e3,
         (double)took[SAMPLES / 100 * 99] / 1e3);
}

int main(int argc, char **argv) {
  double seconds = argc > 1 ? strtod(argv[1], NULL) : 3;
  kiln_options options = KILN_OPTIONS_INIT;
  kiln_error error;
  kiln *k;
  client clients[THREADS];
  pthread_t threads[THREADS];
  options.engine_path = KILN_TEST_ENGINE;
  if (kiln_open(&options, &k, &error) != KILN_OK) give_up("open", &error);
  const char *text = "1 + 1";
  kiln_bytes *source = kiln_bytes_new(text, strlen(text));
  for (unsigned i = 0; i < THREADS; i++) begin(&clients[i], k, source);
  measure_latency(&clients[0]);
  uint64_t began = now_ns(), count = 0;
  for (unsigned i = 0; i < THREADS; i++) {
    clients[i].done_count = 0;
    clients[i].until_ns = began + (uint64_t)(seconds * 1e9);
    pthread_create(&threads[i], NULL, run_many, &clients[i]);
  }
  for (unsigned i = 0; i < THREADS; i++) {
    pthread_join(threads[i], NULL);
    count += clients[i].done_count;
  }
  printf("%u threads, %u in flight each: %.0f commands/s\n", THREADS, IN_FLIGHT,
         (double)count / ((double)(now_ns() - began) / 1e9));
  kiln_close(k, 1000);
  kiln_bytes_unref(source);
  return 0;
}
