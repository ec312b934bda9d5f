/* SPDX-License-Identifier: MIT
 *
 * writable.c: whether a store can be written, asked of the file system and of SQLite, without a
 * write and without a wait.
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "cache/store.h"

/* The file under the store's name is the one that was opened: where it was moved or deleted,
 * entries are written all the same, and lost. */
static kcc_status check_file(const kcc_store *store, kcc_error *err) {
  struct stat now;
  struct statvfs disk;
  if (stat(store->file, &now) != 0)
    return kcc__fail(err, KCC_EIO, errno, "store '%s': %s", store->label, strerror(errno));
  if (kcc__store_is_moved(store))
    return kcc__fail(err, KCC_EIO, 0, "store '%s': is another file than was opened", store->label);
  if (statvfs(store->file, &disk) == 0 && disk.f_flag & ST_RDONLY)
    return kcc__fail(err, KCC_EREADONLY, EROFS, "store '%s': %s", store->label, strerror(EROFS));
  return kcc__store_check_room(store, /* bytes= */ 0, err);
}

/* Somebody who writes proves that one can. */
static kcc_status try_lock(kcc_store *store, kcc_error *err) {
  if (!kcc__lock_try(&store->writer_lock)) return KCC_OK;
  store->writer.deadline_ns = 1; /* long past: no waiting */
  kcc_status status = kcc__conn_begin(&store->writer, err);
  if (status == KCC_OK) status = kcc__conn_end(&store->writer, KCC_OK, err);
  kcc__lock_give(&store->writer_lock);
  return status == KCC_EBUSY ? KCC_OK : status;
}

kcc_status kcc_store_check_writable(kcc_store *store, kcc_error *err) {
  kcc_status status = kcc__store_check(store, err);
  if (status != KCC_OK) return status;
  if (store->read_only)
    return kcc__fail(err, KCC_EREADONLY, 0, "store '%s': opened read-only", store->label);
  status = check_file(store, err);
  return status == KCC_OK ? try_lock(store, err) : status;
}
