/* SPDX-License-Identifier: MIT
 *
 * reply.h: answers, as values that any thread may build and MHD's thread sends. A reply whose
 * `response` is NULL could not be made for want of memory; its connection is closed.
 */
#ifndef KILN_SERVER_REPLY_H
#define KILN_SERVER_REPLY_H

#include <microhttpd.h>
#include <stdio.h>

#include "server/blob.h"
#include "toolkit/kiln.h"

typedef struct srv_reply {
  unsigned status;
  uint64_t length;
  struct MHD_Response *response;
} srv_reply;

/* Their words in requests and replies, by kiln_kind and kiln_mode; NULL ends each. */
extern const char *const srv_kind_words[];
extern const char *const srv_mode_words[];

/* A key names one content for ever. */
#define SRV_CACHE_CONTROL "public, max-age=31536000, immutable"

/* Room for "<16 hex of the key>-<32 hex of the content>" in quotes. */
#define SRV_ETAG_SIZE 56

void srv_reply_release(srv_reply *reply); /* one that was not sent */

/* {"error": {"code", "message"}}. 503 gets a Retry-After of a second. */
srv_reply srv_reply_error(unsigned status, const char *code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
srv_reply srv_reply_kiln_error(const kiln_error *error);

/* Takes `text`, which came from malloc (open_memstream). */
srv_reply srv_reply_json(unsigned status, char *text, size_t length);

/* Ends `out`, which was opened by open_memstream on *text and *length, and makes it a reply. */
srv_reply srv_reply_stream(unsigned status, FILE *out, char **text, size_t *length);

/* All of `bytes`; takes a reference of its own. */
srv_reply srv_reply_bytes(unsigned status, kiln_bytes *bytes);
/* `length` bytes of `blob` from `offset` on; takes a reference of its own. */
srv_reply srv_reply_blob(unsigned status, srv_blob *blob, size_t offset, size_t length);

/* Out of memory is found when the reply is sent: a reply without this header is dropped. */
void srv_reply_header(srv_reply *reply, const char *name, const char *value);

/* Another Content-Type than application/json. */
void srv_reply_type(srv_reply *reply, const char *type);

/* The answer to an operation: 200, 422 for what the script did, or the kiln's error. `kind` and
 * `mode` are the request's: compile repeats them. */
srv_reply srv_reply_response(const kiln_response *response, kiln_kind kind, kiln_mode mode);

/* What went wrong: 422 for what the script did, or the kiln's error. */
srv_reply srv_reply_fate(const kiln_response *response, bool with_source_line);

/* 204 */
srv_reply srv_reply_nothing(void);

/* Parts of answers: a whole answer to a run; members, the console with a comma before it. */
void srv_write_run(FILE *out, const kiln_response *response);
void srv_write_console(FILE *out, const kiln_response *response);
void srv_write_times(FILE *out, const kiln_times *times);

/* The strong ETag of these bytes under this key: the bytes' own digest is part of it, since two
 * bakes of one key need not be equal. */
void srv_etag(const char *key, kiln_span bytes, char ret_etag[SRV_ETAG_SIZE]);

/* What HTTP says for a kiln_status: 4xx where the caller can do something, 503 where waiting
 * helps, 500 for faults of our own. */
unsigned srv_status_http(kiln_status status);

#endif
