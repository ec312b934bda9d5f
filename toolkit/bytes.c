/* SPDX-License-Identifier: MIT
 *
 * bytes.c: kiln_bytes, immutable bytes with a counted reference, on the heap or in a sealed memfd.
 * It neither sends nor receives descriptors: that is wire.c.
 */
#include "toolkit/bytes.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/vfs.h>
#include <unistd.h>

#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)
#define WRITER_FIRST 4096

enum { DIGEST_NONE, DIGEST_BEING_NOTED, DIGEST_NOTED };

struct kiln_bytes {
  atomic_size_t references;
  const char *data;
  size_t length;
  int fd;                  /* -1: none, and nothing to unmap */
  atomic_int digest_state; /* DIGEST_NONE, _BEING_NOTED, _NOTED */
  uint8_t digest[KILN__BYTES_DIGEST];
  _Alignas(8) char here[]; /* heap bytes, with a NUL after the last for debuggers' sake */
};

struct kiln_bytes_writer {
  char *heap; /* until KILN_MEMFD_MIN bytes */
  size_t capacity;
  size_t length;
  size_t max;
  int fd; /* -1: still on the heap */
};

static int new_memfd(void) {
  return memfd_create("kiln", MFD_CLOEXEC | MFD_ALLOW_SEALING);
}

static int write_all(int fd, const char *data, size_t length) {
  while (length > 0) {
    ssize_t written = write(fd, data, length);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return -1;
    data += written;
    length -= (size_t)written;
  }
  return 0;
}

static kiln_bytes *new_header(size_t here) {
  kiln_bytes *bytes = malloc(sizeof(*bytes) + here);
  if (!bytes) return NULL;
  atomic_init(&bytes->references, 1);
  bytes->data = bytes->here;
  bytes->length = 0;
  bytes->fd = -1;
  atomic_init(&bytes->digest_state, DIGEST_NONE);
  return bytes;
}

bool kiln__bytes_get_digest(const kiln_bytes *bytes, uint8_t ret_digest[KILN__BYTES_DIGEST]) {
  if (atomic_load(&bytes->digest_state) != DIGEST_NOTED) return false;
  memcpy(ret_digest, bytes->digest, KILN__BYTES_DIGEST);
  return true;
}

void kiln__bytes_note_digest(kiln_bytes *bytes, const uint8_t digest[KILN__BYTES_DIGEST]) {
  int none = DIGEST_NONE;
  if (!atomic_compare_exchange_strong(&bytes->digest_state, &none, DIGEST_BEING_NOTED)) return;
  memcpy(bytes->digest, digest, KILN__BYTES_DIGEST);
  atomic_store(&bytes->digest_state, DIGEST_NOTED);
}

/* Takes `fd`, a memfd with its final contents, in any case. Private, because kernels before 6.7
 * refuse even a read-only shared mapping of a file sealed against writing. */
static kiln_bytes *map_memfd(int fd, size_t length) {
  kiln_bytes *bytes = new_header(0);
  if (!bytes) {
    close(fd);
    errno = ENOMEM;
    return NULL;
  }
  void *data = mmap(/* addr= */ NULL, length, PROT_READ, MAP_PRIVATE, fd, /* offset= */ 0);
  if (data == MAP_FAILED) {
    int reason = errno;
    close(fd);
    free(bytes);
    errno = reason;
    return NULL;
  }
  bytes->data = data;
  bytes->length = length;
  bytes->fd = fd;
  return bytes;
}

static kiln_bytes *seal_and_map(int fd, size_t length) {
  if (fcntl(fd, F_ADD_SEALS, SEALS) != 0) {
    int reason = errno;
    close(fd);
    errno = reason;
    return NULL;
  }
  return map_memfd(fd, length);
}

kiln_bytes *kiln__bytes_new_sealed(const void *data, size_t length) {
  if (length == 0) {
    errno = EINVAL;
    return NULL;
  }
  int fd = new_memfd();
  if (fd < 0) return NULL;
  if (write_all(fd, data, length) != 0) {
    int reason = errno;
    close(fd);
    errno = reason;
    return NULL;
  }
  return seal_and_map(fd, length);
}

kiln_bytes *kiln_bytes_new(const void *data, size_t length) {
  if (length >= KILN_MEMFD_MIN) return kiln__bytes_new_sealed(data, length);
  kiln_bytes *bytes = new_header(length + 1);
  if (!bytes) return NULL;
  if (length > 0) memcpy(bytes->here, data, length);
  bytes->here[length] = '\0';
  bytes->length = length;
  return bytes;
}

kiln_bytes *kiln__bytes_new_from_file(int fd, size_t length) {
  int memfd = new_memfd();
  if (memfd < 0) return NULL;
  size_t have = 0;
  while (have < length) {
    ssize_t got = sendfile(memfd, fd, /* offset= */ NULL, length - have);
    if (got < 0 && errno == EINTR) continue;
    if (got > 0) {
      have += (size_t)got;
      continue;
    }
    int reason = got == 0 ? ENODATA : errno;
    close(memfd);
    errno = reason;
    return NULL;
  }
  return seal_and_map(memfd, length);
}

kiln_bytes *kiln__bytes_borrow(kiln_span span) {
  kiln_bytes *bytes = new_header(1);
  if (!bytes) return NULL;
  bytes->here[0] = '\0';
  if (span.length > 0) bytes->data = span.data;
  bytes->length = span.length;
  return bytes;
}

kiln_bytes *kiln__bytes_adopt(int fd, uint64_t length, uint64_t max) {
  struct statfs fs;
  int seals = fcntl(fd, F_GET_SEALS); /* a memfd's, or a file's of that kind */
  /* Huge pages are refused because touching them can fail with SIGBUS. */
  bool good = length > 0 && length <= max && length <= SIZE_MAX && seals >= 0 &&
              (seals & SEALS) == SEALS && lseek(fd, 0, SEEK_END) == (off_t)length &&
              fstatfs(fd, &fs) == 0 && fs.f_type == TMPFS_MAGIC;
  if (!good) {
    close(fd);
    errno = EBADMSG;
    return NULL;
  }
  return map_memfd(fd, (size_t)length);
}

kiln_bytes *kiln_bytes_ref(kiln_bytes *bytes) {
  atomic_fetch_add_explicit(&bytes->references, 1, memory_order_relaxed);
  return bytes;
}

void kiln_bytes_unref(kiln_bytes *bytes) {
  if (!bytes) return;
  if (atomic_fetch_sub_explicit(&bytes->references, 1, memory_order_acq_rel) != 1) return;
  if (bytes->fd >= 0) {
    munmap((void *)(uintptr_t)bytes->data, bytes->length);
    close(bytes->fd);
  }
  free(bytes);
}

kiln_span kiln_bytes_get(const kiln_bytes *bytes) {
  return (kiln_span){bytes->data, bytes->length};
}

int kiln__bytes_fd(const kiln_bytes *bytes) {
  return bytes->fd;
}

/* ---- the writer ---------------------------------------------------------------------------- */

kiln_bytes_writer *kiln_bytes_writer_new(size_t expected, size_t max) {
  kiln_bytes_writer *writer = calloc(1, sizeof(*writer));
  if (!writer) return NULL;
  writer->max = max;
  writer->fd = -1;
  /* What is announced need not come: a large announcement only opens the memfd, which grows with
   * what arrives. */
  if (expected >= KILN_MEMFD_MIN && expected <= max) {
    writer->fd = new_memfd();
    if (writer->fd < 0) {
      free(writer);
      return NULL;
    }
    return writer;
  }
  writer->capacity = expected > 0 && expected < KILN_MEMFD_MIN ? expected : WRITER_FIRST;
  writer->heap = malloc(writer->capacity);
  if (!writer->heap) {
    free(writer);
    return NULL;
  }
  return writer;
}

static bool move_to_memfd(kiln_bytes_writer *writer) {
  int fd = new_memfd();
  if (fd < 0) return false;
  if (write_all(fd, writer->heap, writer->length) != 0) {
    close(fd);
    return false;
  }
  free(writer->heap);
  writer->heap = NULL;
  writer->fd = fd;
  return true;
}

static bool grow_heap(kiln_bytes_writer *writer, size_t wanted) {
  size_t capacity = writer->capacity;
  while (capacity < wanted) capacity *= 2;
  char *heap = realloc(writer->heap, capacity);
  if (!heap) return false;
  writer->heap = heap;
  writer->capacity = capacity;
  return true;
}

kiln_status kiln_bytes_writer_append(kiln_bytes_writer *writer, const void *data, size_t length) {
  if (length == 0) return KILN_OK;
  if (length > writer->max - writer->length) return KILN_ETOOBIG;
  size_t wanted = writer->length + length;
  if (writer->fd < 0 && wanted >= KILN_MEMFD_MIN && !move_to_memfd(writer)) return KILN_ENOMEM;
  if (writer->fd >= 0) {
    if (write_all(writer->fd, data, length) != 0) {
      /* What was written of this piece must go, or a later finish would contain it. */
      if (ftruncate(writer->fd, (off_t)writer->length) == 0)
        lseek(writer->fd, (off_t)writer->length, SEEK_SET);
      return KILN_ENOMEM;
    }
  } else {
    if (wanted > writer->capacity && !grow_heap(writer, wanted)) return KILN_ENOMEM;
    memcpy(writer->heap + writer->length, data, length);
  }
  writer->length = wanted;
  return KILN_OK;
}

size_t kiln_bytes_writer_length(const kiln_bytes_writer *writer) {
  return writer->length;
}

kiln_bytes *kiln_bytes_writer_finish(kiln_bytes_writer *writer) {
  kiln_bytes *bytes = NULL;
  if (writer->fd < 0) {
    bytes = kiln_bytes_new(writer->heap, writer->length);
  } else if (writer->length == 0) {
    bytes = kiln_bytes_new("", 0);
  } else {
    bytes = seal_and_map(writer->fd, writer->length);
    writer->fd = -1;
  }
  kiln_bytes_writer_free(writer);
  return bytes;
}

void kiln_bytes_writer_free(kiln_bytes_writer *writer) {
  if (!writer) return;
  if (writer->fd >= 0) close(writer->fd);
  free(writer->heap);
  free(writer);
}
