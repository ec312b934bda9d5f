/* SPDX-License-Identifier: MIT
 *
 * wire.c: messages of typed fields over SOCK_SEQPACKET (wire.h). It knows nothing of what the
 * fields mean: that is job.c and job_result.c.
 */
#include "toolkit/wire.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "toolkit/bytes.h"

#define OUT_FIRST 1024
#define FIELD_ALIGN 8u

static size_t padded(size_t length) {
  return (length + 1 + FIELD_ALIGN - 1) & ~(size_t)(FIELD_ALIGN - 1);
}

/* ---- writing --------------------------------------------------------------------------------- */

static bool reserve(kiln_wire_out *out, size_t more) {
  if (out->failed) return false;
  if (more > KILN_WIRE_PAYLOAD_MAX || out->length + more > KILN_WIRE_PAYLOAD_MAX) {
    out->failed = out->too_big = true;
    return false;
  }
  if (out->length + more <= out->capacity) return true;
  size_t capacity = out->capacity ? out->capacity : OUT_FIRST;
  while (capacity < out->length + more) capacity *= 2;
  char *data = realloc(out->data, capacity);
  if (!data) {
    out->failed = true;
    return false;
  }
  out->data = data;
  out->capacity = capacity;
  return true;
}

void kiln__wire_out_init(kiln_wire_out *out, kiln_wire_type type) {
  memset(out, 0, sizeof(*out));
  if (!reserve(out, sizeof(kiln_wire_head))) return;
  kiln_wire_head head = {
      .magic = KILN_WIRE_MAGIC, .protocol = KILN_WIRE_PROTOCOL, .type = (uint16_t)type};
  memcpy(out->data, &head, sizeof(head));
  out->length = sizeof(head);
}

void kiln__wire_out_release(kiln_wire_out *out) {
  for (size_t i = 0; i < out->held_count; i++) kiln_bytes_unref(out->held[i]);
  free(out->data);
  memset(out, 0, sizeof(*out));
}

static void put_inline(kiln_wire_out *out, uint16_t tag, const void *data, size_t length) {
  if (length > KILN_WIRE_PAYLOAD_MAX) {
    out->failed = out->too_big = true;
    return;
  }
  size_t room = padded(length);
  if (!reserve(out, sizeof(kiln_wire_field_head) + room)) return;
  kiln_wire_field_head head = {.tag = tag, .place = KILN_WIRE_INLINE, .length = length};
  memcpy(out->data + out->length, &head, sizeof(head));
  char *to = out->data + out->length + sizeof(head);
  if (length > 0) memcpy(to, data, length);
  memset(to + length, 0, room - length);
  out->length += sizeof(head) + room;
}

void kiln__wire_put_number(kiln_wire_out *out, uint16_t tag, uint64_t number) {
  put_inline(out, tag, &number, sizeof(number));
}

void kiln__wire_put_text(kiln_wire_out *out, uint16_t tag, kiln_span text) {
  put_inline(out, tag, text.data, text.length);
}

void kiln__wire_put_number_if_any(kiln_wire_out *out, uint16_t tag, uint64_t number) {
  if (number != 0) kiln__wire_put_number(out, tag, number);
}

void kiln__wire_put_text_if_any(kiln_wire_out *out, uint16_t tag, kiln_span text) {
  if (text.length > 0) kiln__wire_put_text(out, tag, text);
}

void kiln__wire_put_bytes(kiln_wire_out *out, uint16_t tag, kiln_bytes *bytes) {
  kiln_span span = kiln_bytes_get(bytes);
  /* Beyond what one message can carry, large bytes go with the payload: one copy more. */
  if (kiln__bytes_fd(bytes) < 0 || out->held_count == KILN_WIRE_FDS_MAX) {
    put_inline(out, tag, span.data, span.length);
    return;
  }
  if (!reserve(out, sizeof(kiln_wire_field_head))) return;
  kiln_wire_field_head head = {
      .tag = tag, .place = KILN_WIRE_FD, .fd = (uint32_t)out->held_count, .length = span.length};
  memcpy(out->data + out->length, &head, sizeof(head));
  out->length += sizeof(head);
  out->held[out->held_count++] = kiln_bytes_ref(bytes);
}

bool kiln__wire_finish(kiln_wire_out *out) {
  if (out->failed) return false;
  kiln_wire_head head;
  memcpy(&head, out->data, sizeof(head));
  head.length = out->length - sizeof(head);
  if (head.length >= KILN_MEMFD_MIN) {
    kiln_bytes *payload = kiln__bytes_new_sealed(out->data + sizeof(head), (size_t)head.length);
    if (!payload) {
      out->failed = true;
      return false;
    }
    out->held[out->held_count++] = payload;
    out->payload_held = true;
    head.flags |= KILN_WIRE_PAYLOAD_IN_FD;
    out->length = sizeof(head);
    char *smaller = realloc(out->data, sizeof(head)); /* it may wait in a queue */
    if (smaller) {
      out->data = smaller;
      out->capacity = sizeof(head);
    }
  }
  head.fds = (uint32_t)out->held_count;
  memcpy(out->data, &head, sizeof(head));
  return true;
}

bool kiln__wire_out_copy(const kiln_wire_out *out, kiln_wire_out *ret_copy) {
  kiln_wire_out copy = *out;
  copy.data = malloc(out->length);
  if (!copy.data) return false;
  memcpy(copy.data, out->data, out->length);
  copy.capacity = out->length;
  for (size_t i = 0; i < copy.held_count; i++) kiln_bytes_ref(copy.held[i]);
  *ret_copy = copy;
  return true;
}

int kiln__wire_send(int socket, const kiln_wire_out *out, int fd, int flags) {
  union {
    char room[CMSG_SPACE(sizeof(int) * (KILN_WIRE_FDS_MAX + 1))];
    struct cmsghdr align;
  } control;
  int fds[KILN_WIRE_FDS_MAX + 1];
  size_t count = 0;
  kiln_wire_head head;
  memcpy(&head, out->data, sizeof(head));
  for (size_t i = 0; i < out->held_count; i++) fds[count++] = kiln__bytes_fd(out->held[i]);
  if (fd >= 0) {
    if (count > KILN_WIRE_FDS_MAX) return -EMSGSIZE;
    fds[count++] = fd;
    head.fds++;
  }
  struct iovec parts[2] = {{&head, sizeof(head)},
                           {out->data + sizeof(head), out->length - sizeof(head)}};
  struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
  if (count > 0) {
    memset(&control, 0, sizeof(control));
    message.msg_control = control.room;
    message.msg_controllen = CMSG_SPACE(sizeof(int) * count);
    struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof(int) * count);
    memcpy(CMSG_DATA(rights), fds, sizeof(int) * count);
  }
  ssize_t sent;
  do {
    sent = sendmsg(socket, &message, flags | MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  return sent < 0 ? -errno : 0;
}

/* ---- reading --------------------------------------------------------------------------------- */

static void take_control(struct msghdr *message, kiln_wire_in *in) {
  for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part; part = CMSG_NXTHDR(message, part)) {
    if (part->cmsg_level == SOL_SOCKET && part->cmsg_type == SCM_CREDENTIALS) {
      struct ucred sender;
      memcpy(&sender, CMSG_DATA(part), sizeof(sender));
      in->sender = sender.pid;
    }
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    const unsigned char *from = CMSG_DATA(part);
    for (size_t i = 0; i < count; i++) {
      int fd;
      memcpy(&fd, from + i * sizeof(int), sizeof(int));
      if (in->fds_count < sizeof(in->fds) / sizeof(in->fds[0]))
        in->fds[in->fds_count++] = fd;
      else
        close(fd);
    }
  }
}

int kiln__wire_receive(int socket, void *buffer, kiln_wire_in *in, int flags) {
  union {
    char room[CMSG_SPACE(sizeof(int) * (KILN_WIRE_FDS_MAX + 1)) + CMSG_SPACE(sizeof(struct ucred))];
    struct cmsghdr align;
  } control;
  memset(in, 0, sizeof(*in));
  struct iovec part = {buffer, KILN_WIRE_BUFFER};
  struct msghdr message = {.msg_iov = &part,
                           .msg_iovlen = 1,
                           .msg_control = control.room,
                           .msg_controllen = sizeof(control.room)};
  ssize_t got;
  do {
    got = recvmsg(socket, &message, flags | MSG_CMSG_CLOEXEC);
  } while (got < 0 && errno == EINTR);
  if (got < 0) return -errno;
  take_control(&message, in);
  if (got == 0 && in->fds_count == 0) return 0;
  int opened = message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)
                   ? -EPROTO
                   : kiln__wire_open(in, buffer, (size_t)got);
  if (opened != 1) kiln__wire_in_release(in);
  return opened;
}

int kiln__wire_open(kiln_wire_in *in, const void *data, size_t length) {
  kiln_wire_head head;
  if (length < sizeof(head)) return -EPROTO;
  memcpy(&head, data, sizeof(head));
  if (head.magic != KILN_WIRE_MAGIC) return -EPROTO;
  if (head.protocol != KILN_WIRE_PROTOCOL) return -EPROTONOSUPPORT;
  if (head.fds != in->fds_count || head.type < KILN_WIRE_HELLO || head.type > KILN_WIRE_TYPE_LAST ||
      (head.flags & ~KILN_WIRE_PAYLOAD_IN_FD) != 0)
    return -EPROTO;
  in->type = (kiln_wire_type)head.type;
  in->at = 0;
  if (head.flags & KILN_WIRE_PAYLOAD_IN_FD) {
    if (in->fds_count == 0 || length != sizeof(head)) return -EPROTO;
    int fd = in->fds[--in->fds_count];
    in->mapped = kiln__bytes_adopt(fd, head.length, KILN_WIRE_PAYLOAD_MAX);
    if (!in->mapped) return -EPROTO;
    in->payload = kiln_bytes_get(in->mapped).data;
  } else {
    if (head.length != length - sizeof(head)) return -EPROTO;
    in->payload = (const char *)data + sizeof(head);
  }
  in->length = (size_t)head.length;
  return 1;
}

void kiln__wire_in_release(kiln_wire_in *in) {
  for (size_t i = 0; i < in->fds_count; i++)
    if (in->fds[i] >= 0) close(in->fds[i]);
  in->fds_count = 0;
  kiln_bytes_unref(in->mapped);
  in->mapped = NULL;
}

void kiln__wire_rewind(kiln_wire_in *in) {
  in->at = 0;
}

int kiln__wire_next(kiln_wire_in *in, kiln_wire_field *ret_field) {
  size_t left = in->length - in->at;
  if (left == 0) return 0;
  kiln_wire_field_head head;
  if (left < sizeof(head)) return -1;
  memcpy(&head, in->payload + in->at, sizeof(head));
  left -= sizeof(head);
  kiln_wire_field field = {.tag = head.tag, .fd_index = -1, .length = head.length};
  size_t room = 0;
  if (head.place == KILN_WIRE_INLINE) {
    if (head.fd != 0 || head.length >= left) return -1;
    room = padded((size_t)head.length);
    field.data = in->payload + in->at + sizeof(head);
    if (room > left || field.data[head.length] != '\0') return -1;
  } else if (head.place == KILN_WIRE_FD) {
    if (head.fd >= in->fds_count) return -1;
    field.fd_index = (int)head.fd;
  } else {
    return -1;
  }
  in->at += sizeof(head) + room;
  *ret_field = field;
  return 1;
}

bool kiln__wire_get_number(const kiln_wire_field *field, uint64_t max, uint64_t *ret_number) {
  uint64_t number;
  if (field->fd_index >= 0 || field->length != sizeof(number)) return false;
  memcpy(&number, field->data, sizeof(number));
  if (number > max) return false;
  *ret_number = number;
  return true;
}

bool kiln__wire_get_u64(const kiln_wire_field *field, uint64_t *ret_number) {
  return kiln__wire_get_number(field, UINT64_MAX, ret_number);
}

bool kiln__wire_get_i32(const kiln_wire_field *field, int32_t *ret_number) {
  uint64_t number;
  if (!kiln__wire_get_number(field, UINT32_MAX, &number)) return false;
  uint32_t bits = (uint32_t)number;
  memcpy(ret_number, &bits, sizeof(bits));
  return true;
}

bool kiln__wire_get_text(const kiln_wire_field *field, size_t max, kiln_span *ret_text) {
  if (field->fd_index >= 0 || field->length > max) return false;
  *ret_text = (kiln_span){field->data, (size_t)field->length};
  return true;
}

bool kiln__wire_get_bytes(kiln_wire_in *in, const kiln_wire_field *field, uint64_t max, bool borrow,
                          kiln_bytes **ret_bytes) {
  kiln_bytes *bytes = NULL;
  if (field->length > max) return false;
  if (field->fd_index >= 0) {
    int fd = in->fds[field->fd_index];
    in->fds[field->fd_index] = -1; /* a second field that names it gets nothing */
    if (fd >= 0) bytes = kiln__bytes_adopt(fd, field->length, max);
  } else if (borrow) {
    bytes = kiln__bytes_borrow((kiln_span){field->data, (size_t)field->length});
  } else {
    bytes = kiln_bytes_new(field->data, (size_t)field->length);
  }
  if (!bytes) return false;
  *ret_bytes = bytes;
  return true;
}

int kiln__wire_take_fd(kiln_wire_in *in) {
  for (size_t i = 0; i < in->fds_count; i++) {
    if (in->fds[i] < 0) continue;
    int fd = in->fds[i];
    in->fds[i] = -1;
    return fd;
  }
  return -1;
}
