/* SPDX-License-Identifier: MIT
 *
 * store.c: opening and closing a store, and its one writer. What is in a store is other files'
 * matter.
 */
#include "cache/store.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cache/alloc.h"
#include "cache/envelope.h"
#include "cache/place.h"
#include "cache/reader.h"
#include "cache/schema.h"

#define BUSY_DEFAULT_MS 10000
#define BUSY_MAX_MS 3600000
#define TOUCH_EVERY_DEFAULT_MS 5000
#define TOUCH_EVERY_MAX_MS 86400000
#define TOUCH_MAX_DEFAULT 1024
#define SOURCES_DEFAULT_BYTES ((uint64_t)1 << 30)
#define SOURCES_MAX_BYTES ((uint64_t)1 << 48)
#define SOURCE_DEFAULT_BYTES ((uint64_t)64 << 20)

kcc_status kcc__store_check(const kcc_store *store, kcc_error *err) {
  if (!store) return kcc__fail(err, KCC_EINVAL, 0, "no store");
  if (store->fork_generation != kcc__fork_generation())
    return kcc__fail(err, KCC_EINVAL, 0, "store '%s': was opened before a fork", store->label);
  return KCC_OK;
}

static kcc_status fail_over(kcc_error *err, const char *what, uint64_t value, uint64_t limit) {
  return kcc__fail(err, KCC_EINVAL, 0, "option %s is %llu, limit %llu", what,
                   (unsigned long long)value, (unsigned long long)limit);
}

static kcc_status take_options(kcc_store *store, const kcc_store_options *given, kcc_error *err) {
  kcc_store_options options = KCC_STORE_OPTIONS_INIT;
  if (given) {
    /* An older caller's struct is shorter: what it lacks keeps its default. */
    if (given->struct_size < sizeof(given->struct_size) || given->struct_size > sizeof(options))
      return kcc__fail(err, KCC_EINVAL, 0, "options of %zu bytes, known are %zu",
                       given->struct_size, sizeof(options));
    memcpy(&options, given, given->struct_size);
  }
  if (options.entry_max_bytes > KCC_ENTRY_MAX_BYTES)
    return fail_over(err, "entry_max_bytes", options.entry_max_bytes, KCC_ENTRY_MAX_BYTES);
  if (options.busy_ms > BUSY_MAX_MS) return fail_over(err, "busy_ms", options.busy_ms, BUSY_MAX_MS);
  if (options.touch_every_ms > TOUCH_EVERY_MAX_MS)
    return fail_over(err, "touch_every_ms", options.touch_every_ms, TOUCH_EVERY_MAX_MS);
  if (options.touch_max > KCC_TOUCH_MAX)
    return fail_over(err, "touch_max", options.touch_max, KCC_TOUCH_MAX);
  if (options.sources_max_bytes > SOURCES_MAX_BYTES)
    return fail_over(err, "sources_max_bytes", options.sources_max_bytes, SOURCES_MAX_BYTES);
  if (options.source_max_bytes > KCC_ENTRY_MAX_BYTES)
    return fail_over(err, "source_max_bytes", options.source_max_bytes, KCC_ENTRY_MAX_BYTES);
  if (!options.entry_max_bytes) options.entry_max_bytes = KCC_ENTRY_MAX_BYTES;
  if (!options.busy_ms) options.busy_ms = BUSY_DEFAULT_MS;
  if (!options.touch_every_ms) options.touch_every_ms = TOUCH_EVERY_DEFAULT_MS;
  if (!options.touch_max) options.touch_max = TOUCH_MAX_DEFAULT;
  if (!options.sources_max_bytes) options.sources_max_bytes = SOURCES_DEFAULT_BYTES;
  if (!options.source_max_bytes) options.source_max_bytes = SOURCE_DEFAULT_BYTES;
  store->read_only = options.read_only;
  store->entry_max_bytes = options.entry_max_bytes;
  store->busy_ns = (uint64_t)options.busy_ms * 1000000u;
  store->touch_every_ns = (uint64_t)options.touch_every_ms * 1000000u;
  store->touch_max = options.touch_max;
  store->sources_max_bytes = options.sources_max_bytes;
  store->source_max_bytes = options.source_max_bytes;
  return KCC_OK;
}

static kcc_status fail_busy(const kcc_store *store, kcc_error *err) {
  return kcc__fail(err, KCC_EBUSY, 0, "store '%s': its writer was busy for %llu ms", store->label,
                   (unsigned long long)(store->busy_ns / 1000000));
}

static kcc_status fail_moved(const kcc_store *store, kcc_error *err) {
  return kcc__fail(err, KCC_EIO, 0, "store '%s': its file was removed", store->label);
}

/* Notes which file the writer has open. */
static kcc_status note_file(kcc_store *store, kcc_status status) {
  struct stat info = {0};
  if (status == KCC_OK && stat(store->file, &info) != 0) info.st_ino = 0;
  atomic_store(&store->device, (uint64_t)info.st_dev);
  atomic_store(&store->inode, (uint64_t)info.st_ino);
  return status;
}

/* The registry's lock is held. */
static kcc_status open_file(kcc_store *store, const char *path, kcc_error *err) {
  char file[PATH_MAX];
  kcc_status status = kcc__place_prepare(path, store->read_only, file, err);
  if (status != KCC_OK) return status;
  size_t size = strlen(file) + 1;
  store->file = kcc__alloc(size);
  if (!store->file) return kcc__fail(err, KCC_ENOMEM, 0, "store: out of memory");
  memcpy(store->file, file, size);
  kcc__printable(file, store->label);
  store->immutable = store->read_only && kcc__place_is_immutable(file);
  status = kcc__conn_open(store, store->read_only ? KCC__READER : KCC__WRITER, &store->writer, err);
  return note_file(store, status);
}

/* The writer and the registry are held. */
static kcc_status open_anew(kcc_store *store, kcc_error *err) {
  char directory[PATH_MAX];
  char file[PATH_MAX];
  size_t length = strlen(store->file) - strlen("/" KCC__FILE_NAME);
  memcpy(directory, store->file, length);
  directory[length] = '\0';
  kcc__conn_close(&store->writer);
  kcc_status status = kcc__place_prepare(directory, /* read_only= */ false, file, err);
  if (status == KCC_OK) status = kcc__conn_open(store, KCC__WRITER, &store->writer, err);
  if (status == KCC_OK)
    status = kcc__schema_prepare(&store->writer, kcc__migrations, kcc__migrations_count, err);
  if (status == KCC_OK)
    atomic_fetch_add(&store->generation, 1);
  else
    kcc__conn_close(&store->writer);
  return note_file(store, status);
}

bool kcc__store_is_moved(const kcc_store *store) {
  if (store->read_only) return false; /* where its file goes is not ours to repair */
  struct stat info;
  if (atomic_load(&store->inode) == 0) return true;
  if (stat(store->file, &info) != 0) return errno == ENOENT || errno == ENOTDIR;
  return (uint64_t)info.st_dev != atomic_load(&store->device) ||
         (uint64_t)info.st_ino != atomic_load(&store->inode);
}

kcc_status kcc__store_renew(kcc_store *store, kcc_error *err) {
  kcc_status status = KCC_OK;
  if (!kcc__store_is_moved(store)) return KCC_OK;
  kcc__registry_lock();
  if (kcc__lock_take(&store->writer_lock, kcc__now_ns() + store->busy_ns)) {
    if (kcc__store_is_moved(store)) status = open_anew(store, err);
    kcc__lock_give(&store->writer_lock);
  } else {
    status = fail_busy(store, err);
  }
  kcc__registry_unlock();
  return status;
}

static kcc_status open_store(kcc_store *store, const char *path, kcc_error *err) {
  kcc__registry_lock();
  kcc_status status = open_file(store, path, err);
  kcc__registry_unlock();
  if (status == KCC_OK)
    status = kcc__schema_prepare(&store->writer, kcc__migrations, kcc__migrations_count, err);
  return status;
}

static void free_store(kcc_store *store) {
  kcc__conn_close(&store->writer);
  kcc__lock_release(&store->writer_lock);
  kcc__flusher_release(&store->flusher);
  free(store->file);
  free(store);
}

kcc_status kcc_store_open(const char *path, const kcc_store_options *options, kcc_store **ret_store,
                          kcc_error *err) {
  if (!path || !ret_store) return kcc__fail(err, KCC_EINVAL, 0, "store: no path or no result");
  kcc_store *store = kcc__zalloc(sizeof(*store));
  if (!store) return kcc__fail(err, KCC_ENOMEM, 0, "store: out of memory");
  kcc__printable(path, store->label);
  kcc_status status = take_options(store, options, err);
  if (status != KCC_OK) {
    free(store);
    return status;
  }
  if (!kcc__lock_init(&store->writer_lock)) {
    free(store);
    return kcc__fail(err, KCC_ENOMEM, 0, "store: no mutex left");
  }
  if (!kcc__flusher_init(&store->flusher)) {
    kcc__lock_release(&store->writer_lock);
    free(store);
    return kcc__fail(err, KCC_ENOMEM, 0, "store: no mutex left");
  }
  status = kcc__registry_add(store, err);
  if (status != KCC_OK) {
    free_store(store);
    return status;
  }
  status = open_store(store, path, err);
  if (status != KCC_OK) {
    kcc__registry_remove(store);
    free_store(store);
    return status;
  }
  *ret_store = store;
  return KCC_OK;
}

void kcc_store_close(kcc_store *store) {
  if (!store) return;
  /* In a forked child the database, its locks and the flusher are the parent's. */
  if (store->fork_generation != kcc__fork_generation()) return;
  kcc__registry_remove(store);
  kcc__flusher_finish(store);
  free_store(store);
}

/* ---- the writer --------------------------------------------------------------------------------
 */

kcc_status kcc__store_begin_write(kcc_store *store, kcc_error *err) {
  if (store->read_only)
    return kcc__fail(err, KCC_EREADONLY, 0, "store '%s': opened read-only", store->label);
  kcc_status status = kcc__store_renew(store, err);
  if (status != KCC_OK) return status;
  if (kcc__lock_try(&store->writer_lock)) {
    kcc__conn_begin_call(&store->writer);
  } else {
    /* The wait for threads of this process and for other processes is one wait. */
    uint64_t deadline = kcc__now_ns() + store->busy_ns;
    kcc__count(&store->counters.busy_waits);
    if (!kcc__lock_take(&store->writer_lock, deadline)) return fail_busy(store, err);
    store->writer.deadline_ns = deadline;
  }
  status = store->writer.db ? kcc__conn_begin(&store->writer, err) : fail_moved(store, err);
  if (status != KCC_OK) kcc__lock_give(&store->writer_lock);
  return status;
}

kcc_status kcc__store_end_write(kcc_store *store, kcc_status status, kcc_error *err) {
  status = kcc__conn_end(&store->writer, status, err);
  /* What went into a file that nobody will find again is not stored. */
  if (status == KCC_OK && kcc__store_is_moved(store)) status = fail_moved(store, err);
  kcc__lock_give(&store->writer_lock);
  return status;
}

static kcc_status checkpoint(kcc_store *store, kcc_error *err) {
  /* Who writes now makes what would be left anyway. */
  if (!kcc__lock_try(&store->writer_lock)) return KCC_OK;
  sqlite3 *db = store->writer.db;
  int rc = db ? sqlite3_wal_checkpoint_v2(db, "main", SQLITE_CHECKPOINT_PASSIVE,
                                          /* pnLog= */ NULL, /* pnCkpt= */ NULL)
              : SQLITE_OK;
  kcc_status status = rc == SQLITE_OK || (rc & 0xff) == SQLITE_BUSY
                          ? KCC_OK
                          : kcc__conn_fail(&store->writer, rc, err);
  kcc__lock_give(&store->writer_lock);
  return status;
}

kcc_status kcc_store_checkpoint(kcc_store *store, kcc_error *err) {
  kcc_status status = kcc__store_check(store, err);
  if (status != KCC_OK) return status;
  if (store->read_only)
    return kcc__fail(err, KCC_EREADONLY, 0, "store '%s': opened read-only", store->label);
  return kcc__store_done(store, checkpoint(store, err));
}
