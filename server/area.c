/* SPDX-License-Identifier: MIT
 *
 * area.c: see area.h. Slots of two megabytes. Pieces up to half of one are put one after the other
 * into the current slot; larger ones have slots of their own, as many as they need in a row.
 */
#include "server/area.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "server/server.h"

#define PAGE ((size_t)4096)
#define SLOTS_MIN 2
#define NO_SLOT SIZE_MAX

typedef struct slot {
  uint32_t live; /* pieces in it; 0: free, unless it is the current one */
  uint32_t run;  /* of the first slot of a large piece: how many it has */
  int64_t rests_until_ms;
} slot;

static struct {
  pthread_mutex_t lock;
  char *base; /* NULL: there is no area */
  size_t size;
  slot *slots;
  size_t count;
  size_t current; /* where small pieces go */
  size_t used;    /* bytes of it */
  uint64_t rest_ms;
} area = {.lock = PTHREAD_MUTEX_INITIALIZER, .current = NO_SLOT};

static size_t round_up(size_t value, size_t to) {
  return (value + to - 1) / to * to;
}

void srv_area_open(uint64_t bytes, uint64_t rest_ms) {
  if (area.base != NULL || bytes == 0 || bytes > SIZE_MAX / 4) return;
  /* A quarter more: slots are seldom full, and the oldest live on in answers under way. */
  size_t count = round_up((size_t)bytes + (size_t)bytes / 4, SRV_AREA_SLOT) / SRV_AREA_SLOT;
  if (count < SLOTS_MIN) count = SLOTS_MIN;
  slot *slots = calloc(count, sizeof(*slots));
  size_t size = count * SRV_AREA_SLOT;
  char *mapped = mmap(/* addr= */ NULL, size + SRV_AREA_SLOT, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, /* fd= */ -1, /* offset= */ 0);
  if (slots == NULL || mapped == MAP_FAILED) {
    if (mapped != MAP_FAILED) munmap(mapped, size + SRV_AREA_SLOT);
    free(slots);
    return;
  }
  size_t past = (uintptr_t)mapped % SRV_AREA_SLOT;
  area.base = past == 0 ? mapped : mapped + (SRV_AREA_SLOT - past);
  area.size = size;
  area.slots = slots;
  area.count = count;
  area.rest_ms = rest_ms;
  madvise(area.base, size, MADV_HUGEPAGE); /* a hint */
}

bool srv_area_has(const void *data) {
  return (uintptr_t)data - (uintptr_t)area.base < area.size;
}

/* The first of `run` free slots in a row; NO_SLOT: there are none. */
static size_t find_free(size_t run) {
  size_t found = 0;
  int64_t now = srv_now_ms();
  for (size_t i = 0; i < area.count; i++) {
    const slot *it = &area.slots[i];
    bool free = it->live == 0 && i != area.current && it->rests_until_ms <= now;
    found = free ? found + 1 : 0;
    if (found == run) return i + 1 - run;
  }
  return NO_SLOT;
}

/* Pages that the kernel still sends live on there; who touches these addresses gets new ones. */
static void give_back(size_t first, size_t run) {
  madvise(area.base + first * SRV_AREA_SLOT, run * SRV_AREA_SLOT, MADV_DONTNEED);
}

static char *take_slots(size_t run) {
  size_t first = find_free(run);
  if (first == NO_SLOT) return NULL;
  for (size_t i = 0; i < run; i++) area.slots[first + i] = (slot){.live = 1};
  area.slots[first].run = (uint32_t)run;
  return area.base + first * SRV_AREA_SLOT;
}

static char *take_part(size_t length) {
  if (area.current == NO_SLOT || length > SRV_AREA_SLOT - area.used) {
    size_t next = find_free(1);
    if (next == NO_SLOT) return NULL;
    area.current = next;
    area.used = 0;
    area.slots[next].run = 1;
  }
  char *data = area.base + area.current * SRV_AREA_SLOT + area.used;
  area.used += length;
  area.slots[area.current].live++;
  return data;
}

char *srv_area_take(size_t length) {
  if (length == 0 || length > area.size) return NULL;
  size_t rounded = round_up(length, PAGE);
  pthread_mutex_lock(&area.lock);
  char *data = rounded <= SRV_AREA_SLOT / 2
                   ? take_part(rounded)
                   : take_slots(round_up(rounded, SRV_AREA_SLOT) / SRV_AREA_SLOT);
  pthread_mutex_unlock(&area.lock);
  return data;
}

void srv_area_release(const char *data) {
  size_t first = (size_t)(data - area.base) / SRV_AREA_SLOT;
  pthread_mutex_lock(&area.lock);
  slot *it = &area.slots[first];
  if (--it->live == 0) {
    size_t run = it->run;
    slot given = {.rests_until_ms = srv_now_ms() + (int64_t)area.rest_ms};
    give_back(first, run);
    for (size_t i = 0; i < run; i++) area.slots[first + i] = given;
    if (first == area.current) area.current = NO_SLOT;
  }
  pthread_mutex_unlock(&area.lock);
}
