/* SPDX-License-Identifier: MIT
 *
 * hot.c: see hot.h. One lock, held for a look-up and MHD's taking of a reference: well under a
 * microsecond, against some ten for the system calls of the request around it.
 */
#include "server/hot.h"

#include <stdlib.h>
#include <string.h>

#define BUCKETS 1024
#define ENTRIES_MAX 4096

typedef struct entry {
  struct entry *chain; /* in its bucket */
  struct entry *newer;
  struct entry *older;
  srv_hot_key key;
  srv_blob *blob;
  size_t length;
  struct MHD_Response *response;
  int64_t read_ms;
  char etag[SRV_ETAG_SIZE];
} entry;

struct srv_hot {
  pthread_mutex_t lock;
  uint64_t max_bytes;
  int64_t max_age_ms;
  uint64_t bytes;
  size_t count;
  entry *newest;
  entry *oldest;
  entry *buckets[BUCKETS];
};

srv_hot *srv_hot_new(uint64_t max_bytes, int64_t max_age_ms) {
  srv_hot *hot = calloc(1, sizeof(*hot));
  if (hot == NULL) return NULL;
  pthread_mutex_init(&hot->lock, NULL);
  hot->max_bytes = max_bytes;
  hot->max_age_ms = max_age_ms;
  return hot;
}

static entry **bucket_of(srv_hot *hot, const srv_hot_key *key) {
  /* A key is a SHA-256: any of its bits will do. */
  return &hot->buckets[(key->bytes[0] | (size_t)key->bytes[1] << 8) % BUCKETS];
}

static entry *find(srv_hot *hot, const srv_hot_key *key) {
  for (entry *one = *bucket_of(hot, key); one != NULL; one = one->chain)
    if (memcmp(&one->key, key, sizeof(*key)) == 0) return one;
  return NULL;
}

static void unlink_entry(srv_hot *hot, entry *one) {
  *(one->newer != NULL ? &one->newer->older : &hot->newest) = one->older;
  *(one->older != NULL ? &one->older->newer : &hot->oldest) = one->newer;
}

static void link_newest(srv_hot *hot, entry *one) {
  one->newer = NULL;
  one->older = hot->newest;
  *(hot->newest != NULL ? &hot->newest->newer : &hot->oldest) = one;
  hot->newest = one;
}

static void drop(srv_hot *hot, entry *one) {
  entry **link = bucket_of(hot, &one->key);
  while (*link != one) link = &(*link)->chain;
  *link = one->chain;
  unlink_entry(hot, one);
  hot->bytes -= one->length;
  hot->count--;
  MHD_destroy_response(one->response);
  srv_blob_unref(one->blob);
  free(one);
}

void srv_hot_free(srv_hot *hot) {
  if (hot == NULL) return;
  while (hot->oldest != NULL) drop(hot, hot->oldest);
  pthread_mutex_destroy(&hot->lock);
  free(hot);
}

static entry *find_fresh(srv_hot *hot, const srv_hot_key *key) {
  entry *one = find(hot, key);
  return one != NULL && srv_now_ms() - one->read_ms < hot->max_age_ms ? one : NULL;
}

bool srv_hot_send(srv_hot *hot, const srv_hot_key *key, srv_request *request,
                  enum MHD_Result *ret_result) {
  pthread_mutex_lock(&hot->lock);
  entry *one = find_fresh(hot, key);
  if (one != NULL) *ret_result = srv_send_kept(request, MHD_HTTP_OK, one->response, one->length);
  pthread_mutex_unlock(&hot->lock);
  return one != NULL;
}

srv_blob *srv_hot_copy(srv_hot *hot, const srv_hot_key *key, char ret_etag[SRV_ETAG_SIZE]) {
  srv_blob *blob = NULL;
  pthread_mutex_lock(&hot->lock);
  entry *one = find_fresh(hot, key);
  if (one != NULL) {
    blob = srv_blob_ref(one->blob);
    memcpy(ret_etag, one->etag, SRV_ETAG_SIZE);
  }
  pthread_mutex_unlock(&hot->lock);
  return blob;
}

srv_reply srv_hot_reply(srv_blob *blob, const char *etag) {
  srv_reply reply = srv_reply_blob(MHD_HTTP_OK, blob, 0, srv_blob_get(blob).length);
  srv_reply_header(&reply, MHD_HTTP_HEADER_ETAG, etag);
  srv_reply_header(&reply, MHD_HTTP_HEADER_ACCEPT_RANGES, "bytes");
  srv_reply_header(&reply, MHD_HTTP_HEADER_CACHE_CONTROL, SRV_CACHE_CONTROL);
  return reply;
}

/* The blob that is kept under the key, fresh again, if it has these contents; else NULL. */
static srv_blob *keep_on(srv_hot *hot, const srv_hot_key *key, kiln_span read) {
  pthread_mutex_lock(&hot->lock);
  entry *one = find(hot, key);
  srv_blob *blob = one != NULL ? srv_blob_ref(one->blob) : NULL;
  pthread_mutex_unlock(&hot->lock);
  if (blob == NULL) return NULL;
  kiln_span has = srv_blob_get(blob);
  if (has.length != read.length || memcmp(has.data, read.data, read.length) != 0) {
    srv_blob_unref(blob);
    return NULL;
  }
  pthread_mutex_lock(&hot->lock);
  one = find(hot, key);
  if (one != NULL && one->blob == blob) {
    one->read_ms = srv_now_ms();
    unlink_entry(hot, one);
    link_newest(hot, one);
  }
  pthread_mutex_unlock(&hot->lock);
  return blob;
}

static void insert(srv_hot *hot, const srv_hot_key *key, srv_blob *blob, const char *etag) {
  size_t length = srv_blob_get(blob).length;
  entry *one = calloc(1, sizeof(*one));
  if (one == NULL) return;
  one->response = srv_hot_reply(blob, etag).response;
  if (one->response == NULL) {
    free(one);
    return;
  }
  one->key = *key;
  one->blob = srv_blob_ref(blob);
  one->length = length;
  one->read_ms = srv_now_ms();
  snprintf(one->etag, sizeof(one->etag), "%s", etag);

  pthread_mutex_lock(&hot->lock);
  entry *before = find(hot, key);
  if (before != NULL) drop(hot, before);
  while (hot->oldest != NULL && (hot->bytes + length > hot->max_bytes || hot->count == ENTRIES_MAX))
    drop(hot, hot->oldest);
  entry **bucket = bucket_of(hot, key);
  one->chain = *bucket;
  *bucket = one;
  link_newest(hot, one);
  hot->bytes += length;
  hot->count++;
  pthread_mutex_unlock(&hot->lock);
}

srv_blob *srv_hot_put(srv_hot *hot, const srv_hot_key *key, kiln_bytes *bytes, const char *etag) {
  kiln_span read = kiln_bytes_get(bytes);
  srv_blob *blob = keep_on(hot, key, read);
  if (blob != NULL) return blob;
  blob = srv_blob_new(bytes);
  if (blob != NULL && read.length <= hot->max_bytes && hot->max_age_ms > 0)
    insert(hot, key, blob, etag);
  return blob;
}

void srv_hot_remove(srv_hot *hot, const srv_hot_key *key) {
  pthread_mutex_lock(&hot->lock);
  entry *one = find(hot, key);
  if (one != NULL) drop(hot, one);
  pthread_mutex_unlock(&hot->lock);
}
