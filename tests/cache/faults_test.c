/* SPDX-License-Identifier: MIT
 *
 * faults_test.c: the n-th allocation fails, for every n until everything goes through: the store's
 * own, SQLite's, OpenSSL's; and the same for every call SQLite makes to the file system. Once, and
 * from n on. (Of long sweeps each of the first 150, then every few: see sweep().) Each time: a
 * status that says so, nothing wrong handed out, nothing leaked (the leak sanitizer looks), and a
 * store that works as soon as the fault is gone, with every entry whose put was acknowledged.
 */
#include <check.h>
#include <openssl/crypto.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache/alloc.h"
#include "tests/cache/support.h"

/* ---- when to fail ------------------------------------------------------------------------------
 */

static _Atomic long calls_left; /* until the fault; not armed: far away */
static atomic_bool persistent;
static _Atomic long faults;
#define NEVER 1000000000

static bool is_time_to_fail(void) {
  long left = atomic_fetch_sub(&calls_left, 1);
  bool fail = left == 1 || (left < 1 && atomic_load(&persistent));
  if (fail) atomic_fetch_add(&faults, 1);
  return fail;
}

static void arm(long n, bool until_disarmed) {
  atomic_store(&faults, 0);
  atomic_store(&persistent, until_disarmed);
  atomic_store(&calls_left, n);
}

static void disarm(void) {
  atomic_store(&calls_left, NEVER);
}

/* ---- what is done meanwhile --------------------------------------------------------------------
 */

static char *directory;
static kcc_status allowed[4]; /* the statuses this kind of fault may end in */

static void expect_allowed(kcc_status status, const kcc_error *err) {
  if (status == KCC_OK || status == KCC_MISS) return;
  ck_assert_int_eq(err->status, status);
  ck_assert_uint_gt(strlen(err->message), 0);
  for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]); i++)
    if (allowed[i] == status) return;
  ck_abort_msg("%s: %s", kcc_status_name(status), err->message);
}

static bool accept_any(void *user, const kcc_entry_info *info) {
  *(size_t *)user += strlen(info->filename);
  return true;
}

static void try_get(kcc_store *store, uint64_t number, bool must_exist) {
  kcc_error err;
  kcc_entry entry;
  kcc_digest key = key_of_number(number);
  kcc_status status = kcc_store_get(store, &key, &test_engine, &entry, &err);
  expect_allowed(status, &err);
  if (must_exist) must(status);
  if (status != KCC_OK) return;
  ck_assert(is_numbered(&entry, number));
  kcc_digest source = entry.info.source;
  kcc_entry_free(&entry);
  status = kcc_store_get_source(store, &source, &entry, &err);
  expect_allowed(status, &err);
  if (status == KCC_OK) kcc_entry_free(&entry);
}

static void scan(kcc_store *store) {
  kcc_error err;
  size_t seen = 0;
  kcc_stats stats;
  kcc_verify_result result;
  expect_allowed(kcc_store_list(store, accept_any, &seen, &err), &err);
  expect_allowed(kcc_store_flush(store, &err), &err);
  expect_allowed(kcc_store_stats(store, &stats, &err), &err);
  kcc_status status = kcc_store_verify(store, NULL, NULL, &result, &err);
  expect_allowed(status, &err);
  if (status == KCC_OK) ck_assert_uint_eq(result.damaged, 0);
}

static bool accept_item(void *user, const kcc_quarantined *item) {
  *(size_t *)user += strlen(item->reason);
  return true;
}

static void try_parts(kcc_store *store, uint64_t number) {
  kcc_error err;
  kcc_entry_parts parts;
  size_t seen = 0;
  kcc_digest key = key_of_number(number);
  kcc_status status = kcc_store_get_parts(store, &key, &parts, &err);
  expect_allowed(status, &err);
  if (status == KCC_OK) {
    kcc_digest again = key_of_parts(&parts.parts);
    ck_assert_mem_eq(again.bytes, key.bytes, KCC_DIGEST_BYTES);
    kcc_entry_parts_free(&parts);
  }
  kcc_key_parts like = parts_of_number(number);
  expect_allowed(kcc_store_each_like(store, &like, accept_any, &seen, &err), &err);
}

/* With parameters that reach over several pages, and two texts, for which others go. */
static void try_put_big(kcc_store *store) {
  static char name[30000];
  static const char source[] = "(a, b) => a", workload[] = "f(1, 2)";
  kcc_error err;
  kcc_span params[] = {{name, sizeof(name)}, {"b", 1}};
  kcc_put put = {.parts = {.fingerprint = test_engine,
                           .kind = KCC_FUNCTION,
                           .mode = KCC_WORKLOAD,
                           .source = digest_of_text(source),
                           .source_length = strlen(source),
                           .filename = {name, 5000},
                           .params = params,
                           .params_count = 2,
                           .workload = digest_of_text(workload)},
                 .blob = {"blob", 4},
                 .source_text = {source, strlen(source)},
                 .workload_text = {workload, strlen(workload)}};
  kcc_digest key = key_of_parts(&put.parts);
  kcc_entry_parts parts;
  expect_allowed(kcc_store_put(store, &put, NULL, &err), &err);
  kcc_status status = kcc_store_get_parts(store, &key, &parts, &err);
  expect_allowed(status, &err);
  if (status == KCC_OK) kcc_entry_parts_free(&parts);
}

/* Entries 0 and 8 (which reaches over several pages) are put, 16 and 24 are there already; 16 is
 * removed and 24 quarantined. Bit n of the result says that entry 8n is there for sure afterwards,
 * bit n + 8 that it is gone. */
static unsigned work(kcc_store *store) {
  kcc_error err;
  unsigned known = 0;
  for (unsigned i = 0; i < 2; i++) {
    kcc_status status = try_put_numbered(store, i * 8, 1, &err);
    expect_allowed(status, &err);
    if (status == KCC_OK) known |= 1u << i;
  }
  for (uint64_t i = 0; i < 3; i++) try_get(store, i * 8, /* must_exist= */ false);
  try_parts(store, 8);
  try_put_big(store);
  scan(store);
  size_t seen = 0;
  kcc_digest bad = key_of_number(24);
  kcc_status moved = kcc_store_quarantine(store, &bad, "its user died", &err);
  expect_allowed(moved, &err);
  if (moved == KCC_OK) known |= 1u << 11;
  expect_allowed(kcc_store_list_quarantine(store, accept_item, &seen, &err), &err);
  kcc_digest key = key_of_number(16);
  kcc_status status = kcc_store_remove(store, &key, &err);
  expect_allowed(status, &err);
  if (status == KCC_OK) known |= 1u << 10;
  return known;
}

/* Without faults: everything acknowledged is there, and the store does its work. */
static void expect_good(kcc_store *store, unsigned known) {
  kcc_verify_result result;
  kcc_entry entry;
  must(kcc_store_verify(store, NULL, NULL, &result, NULL));
  ck_assert(result.database_ok);
  ck_assert_uint_eq(result.damaged, 0);
  for (uint64_t i = 0; i < 3; i++) try_get(store, i * 8, (known >> i & 1) != 0);
  kcc_digest key = key_of_number(16);
  if (known >> 10 & 1) ck_assert_int_eq(kcc_store_get(store, &key, NULL, &entry, NULL), KCC_MISS);
  key = key_of_number(24);
  if (known >> 11 & 1) ck_assert_int_eq(kcc_store_get(store, &key, NULL, &entry, NULL), KCC_MISS);
  put_numbered(store, 100, 1);
  try_get(store, 100, true);
  key = key_of_number(100);
  must(kcc_store_remove(store, &key, NULL));
}

static kcc_status open_it(kcc_store **ret_store, kcc_error *err) {
  kcc_store_options options = KCC_STORE_OPTIONS_INIT;
  options.touch_every_ms = 3600000; /* the flusher shall not take part */
  options.busy_ms = 30;
  options.sources_max_bytes = 330; /* two of the texts here */
  return kcc_store_open(directory, &options, ret_store, err);
}

/* Does the work in a fresh store, the n-th call failing. True while there is an n-th call. */
static bool run_with_fault(long n, bool until_disarmed) {
  kcc_store *store = NULL;
  kcc_error err;
  directory = make_directory();
  must(open_it(&store, NULL));
  put_numbered(store, 16, 1);
  put_numbered(store, 24, 1);
  kcc_store_close(store);
  store = NULL;

  arm(n, until_disarmed);
  kcc_status status = open_it(&store, &err);
  expect_allowed(status, &err);
  unsigned known = status == KCC_OK ? work(store) : 0;
  bool failed = atomic_load(&faults) > 0;
  disarm();
  if (status == KCC_OK) {
    expect_good(store, known);
    arm(n % 40 + 1, until_disarmed); /* closing has nobody to tell */
    kcc_store_close(store);
    disarm();
  } else {
    ck_assert_ptr_null(store);
  }
  must(open_it(&store, NULL));
  expect_good(store, known);
  kcc_store_close(store);
  remove_directory(directory);
  return failed;
}

/* The n-th call fails while a store is made. */
static bool make_with_fault(long n, bool until_disarmed) {
  kcc_store *store = NULL;
  kcc_error err;
  directory = make_directory();
  arm(n, until_disarmed);
  kcc_status status = open_it(&store, &err);
  expect_allowed(status, &err);
  bool failed = atomic_load(&faults) > 0;
  disarm();
  kcc_store_close(store);
  must(open_it(&store, NULL));
  put_numbered(store, 0, 1);
  put_numbered(store, 16, 1);
  expect_good(store, 1);
  kcc_store_close(store);
  remove_directory(directory);
  return failed;
}

/* All of the first 150 calls, then every `step`th. */
static long after(long n, long step) {
  return n + (n < 150 ? 1 : step);
}

static void sweep_making(long step) {
  for (int until_disarmed = 0; until_disarmed < 2; until_disarmed++) {
    long n = 1;
    while (make_with_fault(n, until_disarmed)) n = after(n, step);
    ck_assert_int_gt(n, 1);
  }
}

static void sweep(long step) {
#ifdef __SANITIZE_ADDRESS__
  step *= 7; /* each takes four times as long */
  sweep_making(7);
#else
  sweep_making(1);
#endif
  for (int until_disarmed = 0; until_disarmed < 2; until_disarmed++) {
    long n = 1;
    while (run_with_fault(n, until_disarmed)) n = after(n, step);
    ck_assert_int_gt(n, 3);
  }
}

/* ---- the store's own memory --------------------------------------------------------------------
 */

static void *failing_malloc(size_t size) {
  return is_time_to_fail() ? NULL : malloc(size);
}

START_TEST(own_allocations) {
  disarm();
  kcc__malloc = failing_malloc;
  allowed[0] = KCC_ENOMEM;
  sweep(1);
}
END_TEST

/* ---- SQLite's ----------------------------------------------------------------------------------
 */

static sqlite3_mem_methods real_memory;

static void *failing_sqlite_malloc(int size) {
  return is_time_to_fail() ? NULL : real_memory.xMalloc(size);
}

static void *failing_sqlite_realloc(void *memory, int size) {
  return is_time_to_fail() ? NULL : real_memory.xRealloc(memory, size);
}

START_TEST(allocations_of_sqlite) {
  disarm();
  ck_assert_int_eq(sqlite3_config(SQLITE_CONFIG_GETMALLOC, &real_memory), SQLITE_OK);
  sqlite3_mem_methods methods = real_memory;
  methods.xMalloc = failing_sqlite_malloc;
  methods.xRealloc = failing_sqlite_realloc;
  ck_assert_int_eq(sqlite3_config(SQLITE_CONFIG_MALLOC, &methods), SQLITE_OK);
  allowed[0] = KCC_ENOMEM;
  sweep(7); /* some thousand calls */
}
END_TEST

/* ---- OpenSSL's ---------------------------------------------------------------------------------
 */

static void *failing_openssl_malloc(size_t size, const char *file, int line) {
  (void)file;
  (void)line;
  return is_time_to_fail() ? NULL : malloc(size);
}

static void *failing_openssl_realloc(void *memory, size_t size, const char *file, int line) {
  (void)file;
  (void)line;
  return is_time_to_fail() ? NULL : realloc(memory, size);
}

static void openssl_free(void *memory, const char *file, int line) {
  (void)file;
  (void)line;
  free(memory);
}

/* Digests alone: the rest of the work computes expected ones with the same library. */
START_TEST(allocations_of_openssl) {
  disarm();
  ck_assert_int_eq(
      CRYPTO_set_mem_functions(failing_openssl_malloc, failing_openssl_realloc, openssl_free), 1);
  kcc_digest expected = digest_of_text("abc");
  long failures = 0;
  for (long n = 1;; n++) {
    kcc_digest digest;
    kcc_error err;
    arm(n, /* until_disarmed= */ false);
    kcc_status status = kcc_digest_of((kcc_span){"abc", 3}, &digest, &err);
    bool failed = atomic_load(&faults) > 0;
    disarm();
    if (status == KCC_OK)
      ck_assert_mem_eq(digest.bytes, expected.bytes, KCC_DIGEST_BYTES);
    else
      ck_assert_int_eq(status, KCC_ENOMEM);
    if (!failed) break;
    failures++;
  }
  ck_assert_int_gt(failures, 0);
}
END_TEST

/* ---- the file system under SQLite --------------------------------------------------------------
 */

/* A VFS that passes everything on to the machine's own but for the call whose time has come. */
typedef struct shim_file {
  sqlite3_file base;
  sqlite3_file *real; /* behind this struct, in the same memory */
} shim_file;

static sqlite3_vfs *real_vfs;
static int real_at; /* where `real` begins */
static sqlite3_io_methods shim_methods;

static sqlite3_file *real_of(sqlite3_file *file) {
  return ((shim_file *)(void *)file)->real;
}

static int shim_close(sqlite3_file *file) {
  return real_of(file)->pMethods->xClose(real_of(file));
}

static int shim_read(sqlite3_file *file, void *bytes, int length, sqlite3_int64 at) {
  if (is_time_to_fail()) return SQLITE_IOERR_READ;
  return real_of(file)->pMethods->xRead(real_of(file), bytes, length, at);
}

/* Half of the bytes arrive: a torn write. */
static int shim_write(sqlite3_file *file, const void *bytes, int length, sqlite3_int64 at) {
  if (!is_time_to_fail()) return real_of(file)->pMethods->xWrite(real_of(file), bytes, length, at);
  if (length > 1) real_of(file)->pMethods->xWrite(real_of(file), bytes, length / 2, at);
  return SQLITE_IOERR_WRITE;
}

static int shim_truncate(sqlite3_file *file, sqlite3_int64 size) {
  if (is_time_to_fail()) return SQLITE_IOERR_TRUNCATE;
  return real_of(file)->pMethods->xTruncate(real_of(file), size);
}

static int shim_sync(sqlite3_file *file, int flags) {
  if (is_time_to_fail()) return SQLITE_IOERR_FSYNC;
  return real_of(file)->pMethods->xSync(real_of(file), flags);
}

static int shim_size(sqlite3_file *file, sqlite3_int64 *size) {
  if (is_time_to_fail()) return SQLITE_IOERR_FSTAT;
  return real_of(file)->pMethods->xFileSize(real_of(file), size);
}

static int shim_lock(sqlite3_file *file, int level) {
  if (is_time_to_fail()) return SQLITE_IOERR_LOCK;
  return real_of(file)->pMethods->xLock(real_of(file), level);
}

static int shim_unlock(sqlite3_file *file, int level) {
  return real_of(file)->pMethods->xUnlock(real_of(file), level);
}

static int shim_check_lock(sqlite3_file *file, int *result) {
  return real_of(file)->pMethods->xCheckReservedLock(real_of(file), result);
}

static int shim_control(sqlite3_file *file, int op, void *argument) {
  return real_of(file)->pMethods->xFileControl(real_of(file), op, argument);
}

static int shim_sector(sqlite3_file *file) {
  return real_of(file)->pMethods->xSectorSize(real_of(file));
}

static int shim_device(sqlite3_file *file) {
  return real_of(file)->pMethods->xDeviceCharacteristics(real_of(file));
}

static int shim_map(sqlite3_file *file, int region, int size, int extend, void volatile **result) {
  if (is_time_to_fail()) return SQLITE_IOERR_SHMMAP;
  return real_of(file)->pMethods->xShmMap(real_of(file), region, size, extend, result);
}

static int shim_shm_lock(sqlite3_file *file, int offset, int n, int flags) {
  if (!(flags & SQLITE_SHM_UNLOCK) && is_time_to_fail()) return SQLITE_IOERR_SHMLOCK;
  return real_of(file)->pMethods->xShmLock(real_of(file), offset, n, flags);
}

static void shim_barrier(sqlite3_file *file) {
  real_of(file)->pMethods->xShmBarrier(real_of(file));
}

static int shim_unmap(sqlite3_file *file, int remove_it) {
  return real_of(file)->pMethods->xShmUnmap(real_of(file), remove_it);
}

static int shim_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags,
                     int *ret_flags) {
  (void)vfs;
  shim_file *shim = (shim_file *)(void *)file;
  file->pMethods = NULL;
  if (is_time_to_fail()) return SQLITE_CANTOPEN;
  shim->real = (sqlite3_file *)(void *)((char *)file + real_at);
  int rc = real_vfs->xOpen(real_vfs, name, shim->real, flags, ret_flags);
  if (rc == SQLITE_OK) file->pMethods = &shim_methods;
  return rc;
}

static int shim_delete(sqlite3_vfs *vfs, const char *name, int sync_directory) {
  (void)vfs;
  if (is_time_to_fail()) return SQLITE_IOERR_DELETE;
  return real_vfs->xDelete(real_vfs, name, sync_directory);
}

static int shim_access(sqlite3_vfs *vfs, const char *name, int flags, int *result) {
  (void)vfs;
  if (is_time_to_fail()) return SQLITE_IOERR_ACCESS;
  return real_vfs->xAccess(real_vfs, name, flags, result);
}

static void make_methods(void) {
  shim_methods.iVersion = 2; /* without xFetch: the store maps nothing */
  shim_methods.xClose = shim_close;
  shim_methods.xRead = shim_read;
  shim_methods.xWrite = shim_write;
  shim_methods.xTruncate = shim_truncate;
  shim_methods.xSync = shim_sync;
  shim_methods.xFileSize = shim_size;
  shim_methods.xLock = shim_lock;
  shim_methods.xUnlock = shim_unlock;
  shim_methods.xCheckReservedLock = shim_check_lock;
  shim_methods.xFileControl = shim_control;
  shim_methods.xSectorSize = shim_sector;
  shim_methods.xDeviceCharacteristics = shim_device;
  shim_methods.xShmMap = shim_map;
  shim_methods.xShmLock = shim_shm_lock;
  shim_methods.xShmBarrier = shim_barrier;
  shim_methods.xShmUnmap = shim_unmap;
}

START_TEST(calls_to_the_file_system) {
  static sqlite3_vfs shim_vfs;
  disarm();
  real_vfs = sqlite3_vfs_find(NULL);
  ck_assert_ptr_nonnull(real_vfs);
  real_at = (int)((sizeof(shim_file) + 15) / 16 * 16);
  shim_vfs = *real_vfs;
  shim_vfs.pNext = NULL;
  shim_vfs.zName = "faults";
  shim_vfs.szOsFile = real_at + real_vfs->szOsFile;
  shim_vfs.xOpen = shim_open;
  shim_vfs.xDelete = shim_delete;
  shim_vfs.xAccess = shim_access;
  make_methods();
  ck_assert_int_eq(sqlite3_vfs_register(&shim_vfs, /* makeDflt= */ 1), SQLITE_OK);
  allowed[0] = KCC_EIO;
  sweep(1);
}
END_TEST

int main(void) {
  Suite *suite = suite_create("cache faults");
  TCase *all = tcase_create("faults");
  tcase_set_timeout(all, 280);
  tcase_add_test(all, own_allocations);
  tcase_add_test(all, allocations_of_sqlite);
  tcase_add_test(all, allocations_of_openssl);
  tcase_add_test(all, calls_to_the_file_system);
  suite_add_tcase(suite, all);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
