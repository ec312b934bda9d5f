/* SPDX-License-Identifier: MIT
 *
 * bytes.h: what kiln_bytes (kiln.h) shows to the toolkit only: the memfd behind large ones, and
 * bytes that come from another process. Private to the toolkit.
 */
#ifndef KILN_TOOLKIT_BYTES_H
#define KILN_TOOLKIT_BYTES_H

#include "toolkit/kiln.h"

/* Makes bytes that live in a sealed memfd whatever their length, which must not be 0. NULL with
 * errno set. */
kiln_bytes *kiln__bytes_new_sealed(const void *data, size_t length);

/* Makes bytes of the first `length` ones, not 0, of a regular file just opened: in a sealed memfd,
 * in one copy that the kernel makes. NULL with errno set: ENODATA, the file has become shorter;
 * EINVAL, its file system cannot do that, and nothing has been read. */
kiln_bytes *kiln__bytes_new_from_file(int fd, size_t length);

/* Lends the memfd; -1 if the bytes have none. */
int kiln__bytes_fd(const kiln_bytes *bytes);

/* Makes bytes of a memfd another process sent, without a copy. The other process may be hostile: a
 * descriptor that is not a memfd of ordinary pages, sealed against every change, of exactly
 * `length` bytes (1 to `max`) is refused: NULL with errno EBADMSG; NULL with another errno if it
 * cannot be mapped. Takes `fd` in any case. */
kiln_bytes *kiln__bytes_adopt(int fd, uint64_t length, uint64_t max);

/* A digest of the bytes, computed at most once: the first to need it notes it for the others. It is
 * what the caller says it is; nothing here checks it. */
#define KILN__BYTES_DIGEST 32
bool kiln__bytes_get_digest(const kiln_bytes *bytes, uint8_t ret_digest[KILN__BYTES_DIGEST]);
void kiln__bytes_note_digest(kiln_bytes *bytes, const uint8_t digest[KILN__BYTES_DIGEST]);

/* Makes bytes over memory of the caller's, which must stay until the last reference has gone. */
kiln_bytes *kiln__bytes_borrow(kiln_span span);

#endif
