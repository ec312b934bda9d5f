/* SPDX-License-Identifier: MIT
 *
 * clients.c: see clients.h. Entries are numbered from 1; 0 is nobody, and entry 0 the list's head.
 */
#include "server/clients.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>

#define BUCKETS 8192

typedef struct entry {
  uint64_t client;
  double level; /* requests it may make at once */
  int64_t filled_ms;
  uint32_t chain;        /* the next of its bucket */
  uint32_t newer, older; /* by when they last asked */
} entry;

struct srv_clients {
  pthread_mutex_t lock;
  double per_ms;
  double burst;
  uint32_t count;
  uint32_t buckets[BUCKETS];
  entry entries[SRV_CLIENTS_MAX + 1];
};

srv_clients *srv_clients_new(uint64_t rate, uint64_t burst) {
  srv_clients *clients = calloc(1, sizeof(*clients));
  if (clients == NULL) return NULL;
  pthread_mutex_init(&clients->lock, NULL);
  clients->per_ms = (double)rate / 1000;
  clients->burst = (double)(burst > 0 ? burst : rate);
  return clients;
}

void srv_clients_free(srv_clients *clients) {
  if (clients == NULL) return;
  pthread_mutex_destroy(&clients->lock);
  free(clients);
}

static uint32_t *bucket_of(srv_clients *clients, uint64_t client) {
  return &clients->buckets[client % BUCKETS];
}

static void unlink_entry(srv_clients *clients, uint32_t index) {
  entry *one = &clients->entries[index];
  clients->entries[one->newer].older = one->older;
  clients->entries[one->older].newer = one->newer;
}

static void link_newest(srv_clients *clients, uint32_t index) {
  entry *head = &clients->entries[0];
  entry *one = &clients->entries[index];
  one->newer = 0;
  one->older = head->older;
  clients->entries[head->older].newer = index;
  head->older = index;
}

/* An entry that nobody has: a new one, or the one of who has not asked for longest. */
static uint32_t take_entry(srv_clients *clients) {
  if (clients->count < SRV_CLIENTS_MAX) return ++clients->count;
  uint32_t oldest = clients->entries[0].newer;
  uint32_t *at = bucket_of(clients, clients->entries[oldest].client);
  while (*at != oldest) at = &clients->entries[*at].chain;
  *at = clients->entries[oldest].chain;
  unlink_entry(clients, oldest);
  return oldest;
}

static entry *find(srv_clients *clients, uint64_t client, int64_t now_ms) {
  uint32_t *bucket = bucket_of(clients, client);
  uint32_t index = *bucket;
  while (index != 0 && clients->entries[index].client != client)
    index = clients->entries[index].chain;
  if (index != 0) {
    unlink_entry(clients, index);
  } else {
    index = take_entry(clients);
    clients->entries[index] =
        (entry){.client = client, .level = clients->burst, .filled_ms = now_ms, .chain = *bucket};
    *bucket = index;
  }
  link_newest(clients, index);
  return &clients->entries[index];
}

bool srv_clients_take(srv_clients *clients, uint64_t client, int64_t now_ms, unsigned *ret_wait_s) {
  pthread_mutex_lock(&clients->lock);
  entry *one = find(clients, client, now_ms);
  /* Threads read the clock before they take the lock: it may seem to go back. */
  if (now_ms > one->filled_ms) {
    one->level += (double)(now_ms - one->filled_ms) * clients->per_ms;
    if (one->level > clients->burst) one->level = clients->burst;
    one->filled_ms = now_ms;
  }
  bool good = one->level >= 1;
  if (good) one->level -= 1;
  double wait_s = ceil((1 - one->level) / clients->per_ms / 1000);
  pthread_mutex_unlock(&clients->lock);
  if (!good) *ret_wait_s = wait_s > 1 ? (unsigned)wait_s : 1;
  return good;
}
