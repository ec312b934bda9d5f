/* SPDX-License-Identifier: MIT
 *
 * wire.h: messages between the pool, a zygote and its workers. Private to the toolkit.
 *
 * A channel is a SOCK_SEQPACKET socket pair, so that a message is one send and one receive and
 * never arrives in part. A message is a head (magic, protocol version, type, payload length, number
 * of descriptors) and a payload of typed fields, each with its length. Texts from KILN_MEMFD_MIN
 * bytes on travel beside it as sealed memfds; a payload that long is itself one. Both ends run on
 * one machine from one build, so numbers are in native byte order.
 *
 * Who reads does not trust who wrote: a worker has run code that may own it. Every length is
 * checked against what has arrived, every descriptor against its seals.
 */
#ifndef KILN_TOOLKIT_WIRE_H
#define KILN_TOOLKIT_WIRE_H

#include <sys/types.h>

#include "toolkit/kiln.h"

#define KILN_WIRE_MAGIC 0x4e4c494bu /* "KILN" */
/* Raised with every change of a message. Pool and zygote must agree exactly. */
#define KILN_WIRE_PROTOCOL 4u
/* Of one message: the descriptors beside it, without the payload's own. */
#define KILN_WIRE_FDS_MAX 64
#define KILN_WIRE_PAYLOAD_MAX ((uint64_t)512 << 20)
/* What a receive buffer must hold. */
#define KILN_WIRE_BUFFER (KILN_MEMFD_MIN + 64)

typedef enum kiln_wire_type {
  KILN_WIRE_HELLO = 1,   /* zygote -> pool: who it is */
  KILN_WIRE_FORK = 2,    /* pool -> zygote, with the new worker's end of its channel */
  KILN_WIRE_READY = 3,   /* worker -> pool: the door is closed behind it */
  KILN_WIRE_JOB = 4,     /* pool -> worker */
  KILN_WIRE_RESULT = 5,  /* worker -> pool */
  KILN_WIRE_FILTER = 6,  /* pool -> zygote, once: its system calls and its forks' */
  KILN_WIRE_ALARM = 7,   /* worker -> pool, its last word: it made a forbidden system call */
  KILN_WIRE_SESSION = 8, /* pool -> worker: a command; the first makes the worker a session */
  KILN_WIRE_TYPE_LAST = KILN_WIRE_SESSION
} kiln_wire_type;

/* Fields of HELLO and others; those of jobs are job.c's, of commands session_frame.c's, of results
 * job_result.c's. */
enum {
  KILN_WIRE_HELLO_V8_VERSION = 1,
  KILN_WIRE_HELLO_TAG = 2,
  KILN_WIRE_HELLO_FLAGS = 3,
  KILN_WIRE_HELLO_BUILD_ID = 4,
  KILN_WIRE_HELLO_ARCH = 5,
  KILN_WIRE_HELLO_DATA = 6,   /* what RLIMIT_DATA counts of the zygote, in bytes; may be absent */
  KILN_WIRE_HELLO_LAYERS = 7, /* of the sandbox: 1 << KILN_LAYER_... */
  KILN_WIRE_HELLO_KEEPER = 8, /* the pid of the first process of the workers' pid namespace */
  KILN_WIRE_FILTER_FIRST = 1, /* plus a kiln_filter_kind: that one's program */
  KILN_WIRE_ALARM_CALL = 1,
  KILN_WIRE_FORK_KIND = 1, /* KILN_FILTER_FORKING; absent: KILN_FILTER_WORKER */
  KILN_WIRE_FORK_DATA = 2, /* to an image: what RLIMIT_DATA counts of it now */
};

typedef struct kiln_wire_head {
  uint32_t magic;
  uint16_t protocol;
  uint16_t type;
  uint32_t fds;   /* that come with the message */
  uint32_t flags; /* KILN_WIRE_PAYLOAD_IN_FD */
  uint64_t length;
} kiln_wire_head;
#define KILN_WIRE_PAYLOAD_IN_FD 1u /* the last descriptor is the payload */

/* A field: this, then (inline ones) `length` bytes, a NUL and zeros up to a multiple of 8. */
typedef struct kiln_wire_field_head {
  uint16_t tag;
  uint16_t place; /* KILN_WIRE_INLINE or KILN_WIRE_FD */
  uint32_t fd;    /* which of the message's, counted from 0; each is used once */
  uint64_t length;
} kiln_wire_field_head;
enum { KILN_WIRE_INLINE = 0, KILN_WIRE_FD = 1 };

_Static_assert(sizeof(kiln_wire_head) == 24, "the head is part of the protocol");
_Static_assert(sizeof(kiln_wire_field_head) == 16, "the field head is part of the protocol");

/* ---- writing --------------------------------------------------------------------------------- */

/* A message that is being written or waits to be sent. */
typedef struct kiln_wire_out {
  char *data; /* head and payload */
  size_t length;
  size_t capacity;
  kiln_bytes *held[KILN_WIRE_FDS_MAX + 1]; /* referenced */
  size_t held_count;
  bool payload_held; /* the last of them is the payload */
  bool failed;
  bool too_big; /* why it failed: over KILN_WIRE_PAYLOAD_MAX, not out of memory */
} kiln_wire_out;

void kiln__wire_out_init(kiln_wire_out *out, kiln_wire_type type);
void kiln__wire_out_release(kiln_wire_out *out);

/* Failures are kept in out->failed and reported by kiln__wire_finish(). */
void kiln__wire_put_number(kiln_wire_out *out, uint16_t tag, uint64_t number);
void kiln__wire_put_text(kiln_wire_out *out, uint16_t tag, kiln_span text);
/* For those whose absence means zero or empty. */
void kiln__wire_put_number_if_any(kiln_wire_out *out, uint16_t tag, uint64_t number);
void kiln__wire_put_text_if_any(kiln_wire_out *out, uint16_t tag, kiln_span text);
/* References a memfd, or copies small bytes. */
void kiln__wire_put_bytes(kiln_wire_out *out, uint16_t tag, kiln_bytes *bytes);

/* Ends the writing. False: the message is too large or there was no memory. */
bool kiln__wire_finish(kiln_wire_out *out);

/* Another of a finished message. False: no memory. */
bool kiln__wire_out_copy(const kiln_wire_out *out, kiln_wire_out *ret_copy);

/* Sends a finished message, and `fd` with it unless -1. 0, or -errno. Never raises SIGPIPE. */
int kiln__wire_send(int socket, const kiln_wire_out *out, int fd, int flags);

/* ---- reading --------------------------------------------------------------------------------- */

typedef struct kiln_wire_in {
  kiln_wire_type type;
  const char *payload;
  size_t length;
  size_t at;
  int fds[KILN_WIRE_FDS_MAX + 1]; /* -1: taken */
  size_t fds_count;
  kiln_bytes *mapped; /* a payload that came as memfd */
  pid_t sender;       /* as the kernel knows it; 0: the socket was not made to tell */
} kiln_wire_in;

typedef struct kiln_wire_field {
  uint16_t tag;
  int fd_index; /* -1: inline */
  uint64_t length;
  const char *data; /* of inline fields; data[length] is NUL */
} kiln_wire_field;

/* Receives one message into `buffer` (KILN_WIRE_BUFFER bytes, 8-byte aligned), which must stay
 * while `in` is in use. 1: there is one, to be released; 0: the peer has gone; -EAGAIN (with
 * MSG_DONTWAIT); -EPROTO: not a message; -EPROTONOSUPPORT: one of another version of this protocol
 * (the head is in `buffer`); other -errno. */
int kiln__wire_receive(int socket, void *buffer, kiln_wire_in *in, int flags);

/* The part of it that needs no socket: in->fds are filled, `data` is what arrived. Checks the head
 * and maps a payload that came as memfd. 1, -EPROTO or -EPROTONOSUPPORT; `in` is to be released in
 * any case. */
int kiln__wire_open(kiln_wire_in *in, const void *data, size_t length);

/* Closes the descriptors nobody took. */
void kiln__wire_in_release(kiln_wire_in *in);

/* Steps to the next field: 1, 0 at the end, -1 malformed. kiln__wire_rewind() goes back to the
 * first. */
int kiln__wire_next(kiln_wire_in *in, kiln_wire_field *ret_field);
void kiln__wire_rewind(kiln_wire_in *in);

/* False: the field is not of that form. */
bool kiln__wire_get_number(const kiln_wire_field *field, uint64_t max, uint64_t *ret_number);
bool kiln__wire_get_u64(const kiln_wire_field *field, uint64_t *ret_number);
/* One that was put as uint32_t. */
bool kiln__wire_get_i32(const kiln_wire_field *field, int32_t *ret_number);
/* Lends the text, which ends in a NUL. */
bool kiln__wire_get_text(const kiln_wire_field *field, size_t max, kiln_span *ret_text);
/* Gives a reference: the memfd's mapping, or (inline) a copy, or with `borrow` the message's own
 * bytes. */
bool kiln__wire_get_bytes(kiln_wire_in *in, const kiln_wire_field *field, uint64_t max, bool borrow,
                          kiln_bytes **ret_bytes);
/* Takes a plain descriptor that came with the message; -1 if there is none left. */
int kiln__wire_take_fd(kiln_wire_in *in);

#endif
