/* SPDX-License-Identifier: MIT
 *
 * fake_engine.c: what a kiln-engine taken over by its script might say. It stands where the real
 * one would, and misbehaves as the name it is started by says (the test makes a link per
 * behaviour).
 */
#include <linux/sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "toolkit/bytes.h"
#include "toolkit/job.h"
#include "toolkit/wire.h"

#define CHANNEL 3

static const char *behaviour;

static bool is(const char *name) {
  return strcmp(behaviour, name) == 0;
}

static kiln_span span(const char *text) {
  return (kiln_span){text, strlen(text)};
}

static void hello(void) {
  kiln_wire_out out;
  kiln__wire_out_init(&out, KILN_WIRE_HELLO);
  kiln__wire_put_text(&out, KILN_WIRE_HELLO_V8_VERSION, span("10.2.fake"));
  kiln__wire_put_number(&out, KILN_WIRE_HELLO_TAG, 1);
  kiln__wire_put_text(&out, KILN_WIRE_HELLO_FLAGS, span(""));
  if (!is("hello-short")) kiln__wire_put_text(&out, KILN_WIRE_HELLO_BUILD_ID, span("00"));
  kiln__wire_put_text(&out, KILN_WIRE_HELLO_ARCH, span("x64"));
  if (!kiln__wire_finish(&out)) _exit(1);
  if (is("hello-version")) {
    kiln_wire_head head;
    memcpy(&head, out.data, sizeof(head));
    head.protocol = 77;
    memcpy(out.data, &head, sizeof(head));
  }
  kiln__wire_send(CHANNEL, &out, -1, 0);
  kiln__wire_out_release(&out);
}

static void ready(int channel, bool lies) {
  kiln_wire_out out;
  kiln__wire_out_init(&out, KILN_WIRE_READY);
  if (lies) kiln__wire_put_number(&out, 1, 1);
  if (!kiln__wire_finish(&out)) _exit(1);
  kiln__wire_send(channel, &out, -1, 0);
  kiln__wire_out_release(&out);
}

static void answer(int channel, const char *json) {
  kiln_wire_out out;
  kiln_job_result result = {.cached_data_rejected = -1,
                            .result_json = kiln_bytes_new(json, strlen(json))};
  if (!kiln__job_result_encode(&result, &out)) _exit(1);
  kiln__wire_send(channel, &out, -1, 0);
  kiln__wire_out_release(&out);
}

/* A result whose text lies in a memfd that can still be changed. */
static void answer_unsealed(int channel) {
  struct {
    kiln_wire_head head;
    kiln_wire_field_head field;
  } message = {{.magic = KILN_WIRE_MAGIC,
                .protocol = KILN_WIRE_PROTOCOL,
                .type = KILN_WIRE_RESULT,
                .fds = 1,
                .length = sizeof(kiln_wire_field_head)},
               {.tag = 11, .place = KILN_WIRE_FD, .length = 2}};
  int fd = memfd_create("open", MFD_ALLOW_SEALING);
  if (fd < 0 || write(fd, "{}", 2) != 2) _exit(1);
  union {
    char room[CMSG_SPACE(sizeof(int))];
    struct cmsghdr align;
  } control = {{0}};
  struct iovec part = {&message, sizeof(message)};
  struct msghdr head = {.msg_iov = &part,
                        .msg_iovlen = 1,
                        .msg_control = control.room,
                        .msg_controllen = sizeof(control.room)};
  struct cmsghdr *rights = CMSG_FIRSTHDR(&head);
  rights->cmsg_level = SOL_SOCKET;
  rights->cmsg_type = SCM_RIGHTS;
  rights->cmsg_len = CMSG_LEN(sizeof(int));
  memcpy(CMSG_DATA(rights), &fd, sizeof(int));
  if (sendmsg(channel, &head, MSG_NOSIGNAL) < 0) _exit(1);
}

_Noreturn static void worker(int channel) {
  static _Alignas(8) char buffer[KILN_WIRE_BUFFER];
  kiln_wire_in in;
  ready(channel, is("ready-lies"));
  if (is("idle-talks")) answer(channel, "1");
  if (kiln__wire_receive(channel, buffer, &in, 0) != 1) _exit(0);
  if (is("noise")) {
    static char noise[5000];
    memset(noise, 'n', sizeof(noise));
    if (send(channel, noise, sizeof(noise), MSG_NOSIGNAL) < 0) _exit(1);
  }
  if (is("empty")) send(channel, "", 0, MSG_NOSIGNAL);
  if (is("closes")) close(channel);
  if (is("no-json")) answer(channel, "{\"a\":}");
  if (is("not-utf8")) answer(channel, "\"\xff\"");
  if (is("too-much")) {
    static char much[(2 << 20) + 3];
    memset(much, '1', sizeof(much) - 1);
    answer(channel, much);
  }
  if (is("unsealed")) answer_unsealed(channel);
  if (is("wrong-type")) ready(channel, /* lies= */ false);
  if (is("twice")) {
    answer(channel, "1");
    answer(channel, "2");
  }
  if (is("exits")) _exit(5);
  for (;;) pause();
}

int main(int argc, char **argv) {
  static _Alignas(8) char buffer[KILN_WIRE_BUFFER];
  (void)argc;
  const char *slash = strrchr(argv[0], '/');
  behaviour = slash ? slash + 1 : argv[0];
  if (is("hello-never")) return 3;
  if (is("hello-noise")) {
    if (send(CHANNEL, "hello", 5, 0) < 0) return 1;
  } else {
    hello();
  }
  for (;;) {
    kiln_wire_in in;
    if (kiln__wire_receive(CHANNEL, buffer, &in, 0) != 1) return 0;
    int channel = kiln__wire_take_fd(&in);
    kiln__wire_in_release(&in);
    struct clone_args args = {.flags = CLONE_PARENT};
    if (!is("fork-never") && syscall(SYS_clone3, &args, sizeof(args)) == 0) worker(channel);
    close(channel);
  }
}
