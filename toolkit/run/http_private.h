/* SPDX-License-Identifier: MIT
 *
 * http_private.h: what the files of kiln-run-http.so share: http.c has the servers and their turns
 * of the loop, http_request.c what MHD calls for a request, http_answer.c how it is answered.
 */
#ifndef KILN_TOOLKIT_RUN_HTTP_PRIVATE_H
#define KILN_TOOLKIT_RUN_HTTP_PRIVATE_H

#include <microhttpd.h>

#include "toolkit/run/http.h"

typedef struct http_server http_server;
typedef struct http_request http_request;

/* Bytes that grow at their end and are taken from their beginning. */
typedef struct http_bytes {
  char *data;
  size_t begin, end, size;
} http_bytes;
bool http_bytes_append(http_bytes *bytes, const void *data, size_t length);
void http_bytes_release(http_bytes *bytes);

typedef struct http_connection {
  struct http_connection *next, *previous;
  uv_poll_t poll; /* for the end of its input: MHD does not look while it is suspended */
  int fd;
  bool gone;             /* it was there */
  http_request *request; /* NULL: it waits for one */
} http_connection;

struct http_server {
  http_server *next;
  kiln__http *http;
  uint64_t number;
  struct MHD_Daemon *daemon;
  int listen_fd;  /* -1: it takes no more connections */
  uv_poll_t poll; /* of MHD's epoll descriptor */
  uv_timer_t timer;
  unsigned open_handles;
  http_connection *connections;
  unsigned connections_count;
  http_request *first, *last; /* with events that have not been told */
  bool turning;               /* MHD_run() or events are on the stack */
  bool woken;                 /* MHD_run() has something to do that MHD does not know of */
  bool closing;
  bool ending;  /* ... at once */
  bool stopped; /* the daemon is gone, the handles are being closed */
};

typedef enum http_phase {
  HTTP_HEAD,      /* MHD reads the head */
  HTTP_BODY,      /* ... and the body */
  HTTP_REFUSED,   /* ... which nobody wants: refusal_status is the answer when it is here */
  HTTP_WAITING,   /* suspended, until it is answered */
  HTTP_ANSWERED,  /* `response` is to be queued */
  HTTP_ANSWERING, /* MHD has it */
  HTTP_ENDED,
} http_phase;

enum { HTTP_EVENT_ASKED = 1, HTTP_EVENT_DRAINED = 2, HTTP_EVENT_ENDED = 4 };

struct http_request {
  http_request *next_of_bucket;
  http_request *next_of_queue;
  http_server *server;
  http_connection *connection;
  struct MHD_Connection *mhd;
  uint64_t number; /* 0: nobody was told of it */
  http_phase phase;
  unsigned events;
  bool queued;
  bool suspended;
  bool destroyed;
  bool sent;
  char *target; /* as it was sent */
  const char *method, *version;
  http_bytes body;
  uint64_t received;
  unsigned refusal_status;
  const char *refusal_text;
  /* the answer */
  struct MHD_Response *response;
  unsigned status;
  char *reason;
  http_bytes out;
  bool out_ended;
  bool tells_drained;
};

#define HTTP_BUCKETS 256
struct kiln__http {
  uv_loop_t *loop;
  const kiln__http_events *events;
  void *user;
  http_server *servers;
  http_request *buckets[HTTP_BUCKETS];
  uint64_t last_number; /* of a server or a request */
  bool stopping;        /* freed with the last server */
};

/* ---- http.c */
void http_tell(http_request *request, unsigned event);
void http_suspend(http_request *request);
void http_resume(http_request *request);

/* ---- http_request.c */
void *http_see_target(void *cls, const char *uri, struct MHD_Connection *mhd);
enum MHD_Result http_handle(void *cls, struct MHD_Connection *mhd, const char *url,
                            const char *method, const char *version, const char *data,
                            size_t *length, void **context);
void http_complete(void *cls, struct MHD_Connection *mhd, void **context,
                   enum MHD_RequestTerminationCode code);
void http_tell_asked(http_request *request);

/* ---- http_answer.c */
enum MHD_Result http_queue(http_request *request);
enum MHD_Result http_refuse(http_request *request, unsigned status, const char *text);
bool http_answer(http_request *request, const kiln__http_answer *answer);
int64_t http_write(http_request *request, kv8_span bytes);
void http_end(http_request *request);
void http_destroy(http_request *request);
void http_request_free(http_request *request);

#endif
