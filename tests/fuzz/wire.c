/* SPDX-License-Identifier: MIT
 *
 * wire.c: messages between pool, zygote and workers. The first byte says how many sealed memfds
 * come with the message and what it is decoded as; what is decoded must keep to its limits.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/fuzz/fuzz.h"
#include "toolkit/job.h"
#include "toolkit/wire.h"

enum { FDS = 3, AS_JOB = 4, AS_RESULT = 8, UNSEALED = 16 };

static int make_memfd(const uint8_t *data, size_t size, bool sealed) {
  int fd = memfd_create("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (fd < 0 || write(fd, data, size) != (ssize_t)size) abort();
  if (sealed &&
      fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) != 0)
    abort();
  return fd;
}

static void step_through(kiln_wire_in *in) {
  kiln_wire_field field;
  while (kiln__wire_next(in, &field) == 1) {
    uint64_t number;
    kiln_span text;
    kiln_bytes *bytes = NULL;
    kiln__wire_get_number(&field, 1000, &number);
    if (kiln__wire_get_text(&field, 100, &text) && (text.length > 100 || text.data[text.length]))
      abort();
    if (kiln__wire_get_bytes(in, &field, 4096, /* borrow= */ field.tag & 1, &bytes)) {
      if (kiln_bytes_get(bytes).length > 4096) abort();
      kiln_bytes_unref(bytes);
    }
  }
  int fd = kiln__wire_take_fd(in);
  if (fd >= 0) close(fd);
}

static void decode_job(kiln_wire_in *in) {
  kiln_job_frame frame;
  if (!kiln__job_decode(in, &frame)) return;
  if (frame.job.params_count > KILN_PARAMS_MAX || frame.job.modules_count > KILN_MODULES_MAX ||
      frame.job.contexts_count > KILN_CONTEXTS_MAX)
    abort();
  kiln__job_frame_release(&frame);
}

static void decode_result(kiln_wire_in *in) {
  const kiln_job_result_limits limits = {.result_max_bytes = 2000, .console_max_bytes = 100};
  kiln_job_result result;
  if (!kiln__job_result_decode(in, &limits, &result)) return;
  if (result.result_json && kiln_bytes_get(result.result_json).length > 2000) abort();
  if (strlen(result.message) > KILN_RESULT_TEXT_MAX) abort();
  kiln__job_result_release(&result);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  kiln_wire_in in = {0};
  if (size < 1) return 0;
  unsigned form = data[0];
  size_t length = size - 1;
  /* As it lies in a receive buffer: aligned, and not a byte longer. */
  void *frame = malloc(length > 0 ? length : 1);
  if (frame == NULL) abort();
  memcpy(frame, data + 1, length);
  for (unsigned i = 0; i < (form & FDS); i++)
    in.fds[in.fds_count++] = make_memfd(data + 1, length, !(form & UNSEALED));
  if (kiln__wire_open(&in, frame, length) == 1) {
    if (form & AS_JOB)
      decode_job(&in);
    else if (form & AS_RESULT)
      decode_result(&in);
    else
      step_through(&in);
  }
  kiln__wire_in_release(&in);
  free(frame);
  return 0;
}
