/* SPDX-License-Identifier: MIT
 *
 * hot.h: the blobs asked for a moment ago, as finished MHD responses. A blob under its key never
 * changes meaning, so for a short while (--hot-ms) it may be served without asking the store again;
 * bytes get in here only from a verified read. It decides nothing: a miss just goes to the store.
 */
#ifndef KILN_SERVER_HOT_H
#define KILN_SERVER_HOT_H

#include "server/blob.h"
#include "server/server.h"

typedef struct srv_hot_key {
  unsigned char bytes[KILN_KEY_HEX / 2];
} srv_hot_key;

srv_hot *srv_hot_new(uint64_t max_bytes, int64_t max_age_ms); /* NULL: out of memory */
void srv_hot_free(srv_hot *hot);

/* Sends the whole blob if it is here and fresh. False: nothing was sent. */
bool srv_hot_send(srv_hot *hot, const srv_hot_key *key, srv_request *request,
                  enum MHD_Result *ret_result);

/* A reference to the blob if it is here and fresh, and its ETag; else NULL. */
srv_blob *srv_hot_copy(srv_hot *hot, const srv_hot_key *key, char ret_etag[SRV_ETAG_SIZE]);

/* Keeps a blob that was just read, where it fits, or goes on keeping the one it has with the same
 * contents. A reference to what is to be served; NULL: out of memory. */
srv_blob *srv_hot_put(srv_hot *hot, const srv_hot_key *key, kiln_bytes *bytes, const char *etag);

void srv_hot_remove(srv_hot *hot, const srv_hot_key *key);

/* The whole blob as a response, with the headers every such answer has. */
srv_reply srv_hot_reply(srv_blob *blob, const char *etag);

#endif
