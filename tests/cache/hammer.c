/* SPDX-License-Identifier: MIT
 *
 * hammer.c: several processes on one store for a while, each putting, getting, removing, listing
 * and verifying at random. Shared keys are fought over: what is read must be a whole entry of that
 * key. Each process has keys of its own besides: there it knows what it put, and finds exactly
 * that. Prints counts; fails if anything was lost or damaged.
 *
 * Usage: kiln-cache-hammer SECONDS [PROCESSES]
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/cache/support.h"

#define PROCESSES_MAX 64
#define SHARED_KEYS 200
#define OWN_KEYS 50
#define OWN_FROM(process) (1000000 + (uint64_t)(process)*1000)

typedef struct tally {
  uint64_t puts;
  uint64_t gets;
  uint64_t hits;
  uint64_t removes;
  uint64_t reopens;
  uint64_t lost;  /* own entries that were not there, or not as put */
  uint64_t wrong; /* bytes that are no entry of their key */
  uint64_t failed;
  uint64_t busy_waits;
  uint64_t corrupt;
} tally;

typedef struct worker {
  const char *directory;
  unsigned number;
  kcc_store *store;
  uint64_t random;
  uint32_t own[OWN_KEYS]; /* the version that is there; 0: none */
  tally counts;
} worker;

static uint64_t next_random(worker *w, uint64_t below) {
  w->random = w->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
  return (w->random >> 33) % below;
}

static void complain(worker *w, uint64_t *counter, const char *what, uint64_t number) {
  ++*counter;
  fprintf(stderr, "process %u: %s: entry %llu\n", w->number, what, (unsigned long long)number);
}

static void note_failure(worker *w, kcc_status status, const kcc_error *err) {
  if (status == KCC_OK || status == KCC_MISS) return;
  w->counts.failed++;
  fprintf(stderr, "process %u: %s\n", w->number, err->message);
}

static void open_store(worker *w) {
  kcc_error err;
  kcc_store_options options = KCC_STORE_OPTIONS_INIT;
  options.busy_ms = 60000;
  options.touch_every_ms = 50;
  kcc_status status = kcc_store_open(w->directory, &options, &w->store, &err);
  note_failure(w, status, &err);
  must(status);
}

static void close_store(worker *w) {
  kcc_stats stats;
  if (kcc_store_stats(w->store, &stats, NULL) == KCC_OK) {
    w->counts.busy_waits += stats.busy_waits;
    w->counts.corrupt += stats.corrupt;
  }
  kcc_store_close(w->store);
}

static void put(worker *w, uint64_t number, uint32_t version) {
  kcc_error err;
  kcc_status status = try_put_numbered(w->store, number, version, &err);
  w->counts.puts++;
  note_failure(w, status, &err);
}

/* `expected`: the version that must be there; 0: whatever is there, or nothing. */
static void get(worker *w, uint64_t number, uint32_t expected) {
  kcc_error err;
  kcc_entry entry;
  uint32_t version;
  kcc_digest key = key_of_number(number);
  kcc_status status = kcc_store_get(w->store, &key, &test_engine, &entry, &err);
  w->counts.gets++;
  note_failure(w, status, &err);
  if (status != KCC_OK) {
    if (expected) complain(w, &w->counts.lost, "lost", number);
    return;
  }
  w->counts.hits++;
  if (!is_numbered(&entry, number)) {
    complain(w, &w->counts.wrong, "wrong bytes", number);
  } else if (expected) {
    memcpy(&version, (const uint8_t *)entry.blob.data + 8, sizeof(version));
    if (version != expected) complain(w, &w->counts.lost, "another version", number);
  }
  kcc_entry_free(&entry);
}

static void remove_number(worker *w, uint64_t number) {
  kcc_error err;
  kcc_digest key = key_of_number(number);
  w->counts.removes++;
  note_failure(w, kcc_store_remove(w->store, &key, &err), &err);
}

static bool look_at(void *user, const kcc_entry_info *info) {
  worker *w = user;
  if (strcmp(info->engine, test_engine.engine) != 0) complain(w, &w->counts.wrong, "list", 0);
  return true;
}

static void use_own(worker *w, uint32_t version) {
  uint64_t at = next_random(w, OWN_KEYS);
  uint64_t number = OWN_FROM(w->number) + at;
  uint64_t action = next_random(w, 4);
  if (action == 0) {
    put(w, number, version);
    w->own[at] = version;
  } else if (action == 1 && w->own[at]) {
    remove_number(w, number);
    w->own[at] = 0;
  } else if (w->own[at]) {
    get(w, number, w->own[at]);
  }
}

static void use_shared(worker *w, uint32_t version) {
  uint64_t number = next_random(w, SHARED_KEYS);
  uint64_t action = next_random(w, 20);
  if (action < 4)
    put(w, number, version);
  else if (action < 6)
    remove_number(w, number);
  else
    get(w, number, 0);
}

static void use_rarely(worker *w) {
  kcc_error err;
  kcc_verify_result result;
  switch (next_random(w, 3)) {
    case 0:
      note_failure(w, kcc_store_list(w->store, look_at, w, &err), &err);
      break;
    case 1:
      note_failure(w, kcc_store_verify(w->store, NULL, NULL, &result, &err), &err);
      break;
    default:
      close_store(w);
      open_store(w);
      w->counts.reopens++;
  }
}

static time_t now_s(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec;
}

static tally run_worker(const char *directory, unsigned number, unsigned seconds) {
  worker w = {.directory = directory, .number = number, .random = number * 7919 + 17};
  time_t end = now_s() + (time_t)seconds;
  open_store(&w);
  for (uint32_t version = 1; now_s() < end; version++) {
    if (version % 500 == 0) use_rarely(&w);
    if (version % 3 == 0)
      use_own(&w, version);
    else
      use_shared(&w, version);
  }
  for (uint64_t i = 0; i < OWN_KEYS; i++)
    if (w.own[i]) get(&w, OWN_FROM(number) + i, w.own[i]);
  close_store(&w);
  return w.counts;
}

static void add(tally *sum, const tally *part) {
  sum->puts += part->puts;
  sum->gets += part->gets;
  sum->hits += part->hits;
  sum->removes += part->removes;
  sum->reopens += part->reopens;
  sum->lost += part->lost;
  sum->wrong += part->wrong;
  sum->failed += part->failed;
  sum->busy_waits += part->busy_waits;
  sum->corrupt += part->corrupt;
}

/* Starts the processes and adds up what they tell through a pipe. False if one did not end well. */
static bool run_all(const char *directory, unsigned processes, unsigned seconds, tally *sum) {
  int ends[2];
  pid_t pids[PROCESSES_MAX];
  bool good = true;
  if (pipe(ends) != 0) return false;
  for (unsigned i = 0; i < processes; i++) {
    pids[i] = fork();
    if (pids[i] < 0) return false;
    if (pids[i] > 0) continue;
    close(ends[0]);
    tally counts = run_worker(directory, i, seconds);
    _exit(write(ends[1], &counts, sizeof(counts)) == (ssize_t)sizeof(counts) ? 0 : 1);
  }
  close(ends[1]);
  tally part;
  while (read(ends[0], &part, sizeof(part)) == (ssize_t)sizeof(part)) add(sum, &part);
  close(ends[0]);
  for (unsigned i = 0; i < processes; i++) {
    int status;
    if (waitpid(pids[i], &status, 0) != pids[i] || status != 0) good = false;
  }
  return good;
}

int main(int argc, char **argv) {
  unsigned seconds = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 0;
  unsigned processes = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 8;
  if (seconds < 1 || processes < 1 || processes > PROCESSES_MAX) {
    fprintf(stderr, "usage: %s SECONDS [PROCESSES]\n", argv[0]);
    return 2;
  }
  tally sum;
  memset(&sum, 0, sizeof(sum));
  char *directory = make_directory();
  bool ended_well = run_all(directory, processes, seconds, &sum);
  kcc_store *store;
  kcc_stats stats;
  kcc_verify_result result;
  must(kcc_store_open(directory, NULL, &store, NULL));
  must(kcc_store_verify(store, NULL, NULL, &result, NULL));
  must(kcc_store_stats(store, &stats, NULL));
  kcc_store_close(store);
  remove_directory(directory);
  printf(
      "%u processes, %u s: %llu puts, %llu gets (%llu hits), %llu removes, %llu reopens, %llu "
      "waits for a lock\n",
      processes, seconds, (unsigned long long)sum.puts, (unsigned long long)sum.gets,
      (unsigned long long)sum.hits, (unsigned long long)sum.removes,
      (unsigned long long)sum.reopens, (unsigned long long)sum.busy_waits);
  printf(
      "lost %llu, wrong %llu, failed %llu, found damaged %llu; at the end %llu entries and "
      "sources checked, %llu damaged, %llu in quarantine, database %s\n",
      (unsigned long long)sum.lost, (unsigned long long)sum.wrong, (unsigned long long)sum.failed,
      (unsigned long long)sum.corrupt, (unsigned long long)result.checked,
      (unsigned long long)result.damaged, (unsigned long long)stats.quarantined,
      result.database_ok ? "ok" : "DAMAGED");
  bool good = ended_well && sum.lost + sum.wrong + sum.failed + sum.corrupt == 0 &&
              result.damaged + stats.quarantined == 0 && result.database_ok && sum.hits > 0;
  return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
