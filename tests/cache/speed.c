/* SPDX-License-Identifier: MIT
 *
 * speed.c: how long kcc_store_get() takes, warm, by size of the blob; and a put. Prints medians and
 * the spread over rounds; judges nothing. It is how page size, page cache, mmap and the shape of
 * the tables were chosen: cache/db.c and cache/schema.c name the results.
 *
 * Usage: kiln-cache-speed [threads [entries]]
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/cache/support.h"

#define ENTRIES_MAX 4096
#define ROUNDS 9

static const kcc_fingerprint engine = {.engine = "node-18",
                                       .v8_version = "10.2.154.26",
                                       .flags = "--a --b",
                                       .build_id = "e",
                                       .arch = "x64"};

typedef struct job {
  kcc_store *store;
  const kcc_digest *keys;
  size_t keys_count;
  size_t gets;
} job;

static uint64_t now_ns(clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void *run_gets(void *user) {
  const job *j = user;
  for (size_t i = 0; i < j->gets; i++) {
    kcc_entry entry;
    must(kcc_store_get(j->store, &j->keys[i * 7919 % j->keys_count], &engine, &entry, NULL));
    kcc_entry_free(&entry);
  }
  return NULL;
}

static int compare(const void *a, const void *b) {
  double x = *(const double *)a;
  double y = *(const double *)b;
  return (x > y) - (x < y);
}

static void measure(kcc_store *store, size_t size, size_t entries, size_t gets, size_t threads) {
  static kcc_digest keys[ENTRIES_MAX];
  double wall[ROUNDS];
  double cpu[ROUNDS];
  pthread_t handles[64];
  uint8_t *blob = malloc(size);
  if (!blob) exit(1);
  uint64_t start = now_ns(CLOCK_MONOTONIC);
  for (size_t i = 0; i < entries; i++) {
    fill_bytes(blob, size, i * 31 + size);
    char name[48];
    snprintf(name, sizeof(name), "/srv/www/scripts/%zu/%zu.js", size, i);
    kcc_put put = {.parts = {.fingerprint = engine,
                             .source = digest_of_number(size * 1000 + i),
                             .filename = {name, strlen(name)}},
                   .blob = {blob, size}};
    must(kcc_store_put(store, &put, &keys[i], NULL));
  }
  double put_us = (double)(now_ns(CLOCK_MONOTONIC) - start) / 1e3 / (double)entries;
  for (size_t round = 0; round < ROUNDS; round++) {
    job j = {store, keys, entries, gets};
    start = now_ns(CLOCK_MONOTONIC);
    uint64_t cpu_start = now_ns(CLOCK_PROCESS_CPUTIME_ID);
    for (size_t t = 0; t < threads; t++) pthread_create(&handles[t], NULL, run_gets, &j);
    for (size_t t = 0; t < threads; t++) pthread_join(handles[t], NULL);
    wall[round] = (double)(now_ns(CLOCK_MONOTONIC) - start) / 1e3 / (double)gets;
    cpu[round] =
        (double)(now_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu_start) / 1e3 / (double)(gets * threads);
  }
  qsort(wall, ROUNDS, sizeof(wall[0]), compare);
  qsort(cpu, ROUNDS, sizeof(cpu[0]), compare);
  printf("%8zu bytes, %zu entries, %zu thread(s): get %.2f us (%.2f to %.2f), CPU %.2f, put %.1f\n",
         size, entries, threads, wall[ROUNDS / 2], wall[0], wall[ROUNDS - 1], cpu[ROUNDS / 2],
         put_us);
  free(blob);
}

int main(int argc, char **argv) {
  size_t threads = argc > 1 ? (size_t)strtoul(argv[1], NULL, 10) : 1;
  size_t entries = argc > 2 ? (size_t)strtoul(argv[2], NULL, 10) : 64;
  if (threads < 1 || threads > 64 || entries < 1 || entries > ENTRIES_MAX) return 2;
  char *directory = make_directory();
  kcc_store *store;
  must(kcc_store_open(directory, NULL, &store, NULL));
  measure(store, 1024, entries, 50000, threads);
  measure(store, 65536, entries, 10000, threads);
  measure(store, 1048576, entries, 1000, threads);
  kcc_store_close(store);
  remove_directory(directory);
  return 0;
}
