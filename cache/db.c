/* SPDX-License-Identifier: MIT
 *
 * db.c: connections, statements, waiting. SQLite runs with WAL and synchronous=NORMAL: a commit
 * survives the death of every process, and readers and the one writer do not wait for one another.
 * Nothing here deletes a database file, whatever SQLite says of it.
 */
#include "cache/db.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cache/alloc.h"
#include "cache/store.h"

static const char *const sql_texts[KCC__SQL_COUNT] = {
#define KCC__SQL_TEXT(name, text) [KCC__SQL_##name] = text,
    KCC__SQL_MAP(KCC__SQL_TEXT)
#undef KCC__SQL_TEXT
};

/* The page cache is per connection, so per thread. No mmap: tests/cache/speed.c shows no gain for
 * what fits the page cache and a third for 1 MiB blobs that do not, but a file that is cut off or
 * cannot be read would be a SIGBUS instead of an error. cell_size_check and trusted_schema are
 * SQLite's advice for files that may be damaged. secure_delete, which Debian turns on, would write
 * zeros over every replaced blob. */
static const char reader_pragmas[] =
    "PRAGMA trusted_schema=OFF;"
    "PRAGMA cell_size_check=ON;"
    "PRAGMA mmap_size=0;"
    "PRAGMA cache_size=-8192;"
    "PRAGMA temp_store=MEMORY;";
static const char writer_pragmas[] =
    "PRAGMA synchronous=NORMAL;"
    "PRAGMA secure_delete=OFF;"
    "PRAGMA wal_autocheckpoint=2000;"
    "PRAGMA journal_size_limit=67108864;";

uint64_t kcc__now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

int64_t kcc__unix_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME_COARSE, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- waiting -----------------------------------------------------------------------------------
 */

/* Sleeps a little longer each `turn`, from 0.1 to 10 ms, less up to half of it so that processes
 * which were refused together do not come back together. False once the call's time is up. */
static bool back_off(kcc__conn *conn, int turn) {
  uint64_t now = kcc__now_ns();
  if (!conn->deadline_ns) conn->deadline_ns = now + conn->store->busy_ns;
  if (now >= conn->deadline_ns) return false;
  uint64_t pause = UINT64_C(100000) << (turn < 7 ? turn : 7);
  if (pause > 10000000) pause = 10000000;
  pause -= (now / 64 * UINT64_C(0x9e3779b97f4a7c15) >> 32) % (pause / 2);
  if (pause > conn->deadline_ns - now) pause = conn->deadline_ns - now;
  struct timespec sleep_for = {(time_t)(pause / 1000000000u), (long)(pause % 1000000000u)};
  nanosleep(&sleep_for, /* rmtp= */ NULL);
  return true;
}

static int on_busy(void *user, int turn) {
  kcc__conn *conn = user;
  if (turn == 0) kcc__count(&conn->store->counters.busy_waits);
  return back_off(conn, turn);
}

/* SQLite asks its busy handler for most locks but not for all: not while another process recovers
 * the log, changes the journal mode or closes last. Those are retried here. */
bool kcc__conn_should_retry(kcc__conn *conn, int rc) {
  int primary = rc & 0xff;
  if (primary != SQLITE_BUSY && primary != SQLITE_LOCKED && primary != SQLITE_PROTOCOL)
    return false;
  if (!back_off(conn, 5)) return false;
  kcc__count(&conn->store->counters.busy_waits);
  return true;
}

/* ---- what codes mean ---------------------------------------------------------------------------
 */

static kcc_status status_of_errno(int code, kcc_status otherwise) {
  if (code == ENOSPC || code == EDQUOT || code == EFBIG) return KCC_EFULL;
  if (code == EROFS) return KCC_EREADONLY;
  if (code == EACCES || code == EPERM) return KCC_EPERM;
  if (code == ENOMEM) return KCC_ENOMEM;
  return otherwise;
}

static kcc_status status_of(int rc, int code) {
  switch (rc & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_PROTOCOL:
      return KCC_EBUSY;
    case SQLITE_NOTADB:
      return KCC_ENOTSTORE;
    case SQLITE_CORRUPT:
    case SQLITE_FORMAT:
      return KCC_ECORRUPT;
    case SQLITE_READONLY:
      return KCC_EREADONLY;
    case SQLITE_FULL:
      return KCC_EFULL;
    case SQLITE_NOMEM:
      return KCC_ENOMEM;
    case SQLITE_TOOBIG:
      return KCC_ETOOBIG;
    case SQLITE_PERM:
    case SQLITE_AUTH:
      return KCC_EPERM;
    case SQLITE_CANTOPEN:
      return status_of_errno(code, KCC_EIO);
    case SQLITE_IOERR:
      if (rc == SQLITE_IOERR_NOMEM) return KCC_ENOMEM;
      if (rc == SQLITE_IOERR_CORRUPTFS) return KCC_ECORRUPT;
      return status_of_errno(code, KCC_EIO);
    default:
      return KCC_EINTERNAL;
  }
}

/* SQLite does not note the errno of a write that a commit failed in, so those who run statements
 * bring it: `last_errno`, 0 where it is not known. */
static kcc_status fail_with(const kcc__conn *conn, int rc, int last_errno, kcc_error *err) {
  int primary = rc & 0xff;
  int code = 0;
  if (primary == SQLITE_IOERR || primary == SQLITE_CANTOPEN) {
    if (conn->db) code = sqlite3_system_errno(conn->db);
    if (!code) code = last_errno;
  }
  kcc_status status = status_of(rc, code);
  const char *text = sqlite3_errstr(rc);
  /* The connection's own message says more, if it is still about this code. */
  if (conn->db && sqlite3_extended_errcode(conn->db) == rc) text = sqlite3_errmsg(conn->db);
  const char *label = conn->store->label;
  if (status == KCC_EBUSY)
    return kcc__fail(err, status, rc, "store '%s': locked for %llu ms", label,
                     (unsigned long long)(conn->store->busy_ns / 1000000));
  if (status == KCC_ECORRUPT)
    return kcc__fail(
        err, status, rc,
        "store '%s': %s; move the file and its -wal and -shm away, and a new one is made", label,
        text);
  if (code) {
    char reason[128];
    return kcc__fail(err, status, rc, "store '%s': %s: %s", label, text,
                     strerror_r(code, reason, sizeof(reason)));
  }
  return kcc__fail(err, status, rc, "store '%s': %s", label, text);
}

kcc_status kcc__conn_fail(const kcc__conn *conn, int rc, kcc_error *err) {
  return fail_with(conn, rc, /* last_errno= */ 0, err);
}

/* ---- statements --------------------------------------------------------------------------------
 */

kcc_status kcc__conn_statement(kcc__conn *conn, kcc__sql which, sqlite3_stmt **ret_statement,
                               kcc_error *err) {
  sqlite3_stmt *statement = conn->statements[which];
  if (statement) {
    *ret_statement = statement;
    return KCC_OK;
  }
  for (;;) {
    int rc = sqlite3_prepare_v3(conn->db, sql_texts[which], /* nByte= */ -1,
                                SQLITE_PREPARE_PERSISTENT, &statement, /* pzTail= */ NULL);
    if (rc == SQLITE_OK) break;
    if (!kcc__conn_should_retry(conn, rc)) return kcc__conn_fail(conn, rc, err);
  }
  conn->statements[which] = statement;
  *ret_statement = statement;
  return KCC_OK;
}

/* Steps to the end; *ret_row tells whether a row came. */
static kcc_status run(kcc__conn *conn, sqlite3_stmt *statement, bool *ret_row, kcc_error *err) {
  int rc;
  bool row;
  do {
    row = false;
    errno = 0;
    while ((rc = sqlite3_step(statement)) == SQLITE_ROW) row = true;
    if (rc != SQLITE_DONE) sqlite3_reset(statement);
  } while (rc != SQLITE_DONE && kcc__conn_should_retry(conn, rc));
  kcc_status status = rc == SQLITE_DONE ? KCC_OK : fail_with(conn, rc, errno, err);
  sqlite3_reset(statement);
  /* What was bound belongs to the caller and may be gone before the next use. */
  sqlite3_clear_bindings(statement);
  if (status == KCC_OK && ret_row) *ret_row = row;
  return status;
}

kcc_status kcc__conn_run(kcc__conn *conn, sqlite3_stmt *statement, bool *ret_changed,
                         kcc_error *err) {
  kcc_status status = run(conn, statement, /* ret_row= */ NULL, err);
  if (status == KCC_OK && ret_changed) *ret_changed = sqlite3_changes(conn->db) > 0;
  return status;
}

kcc_status kcc__conn_exists(kcc__conn *conn, sqlite3_stmt *statement, bool *ret_exists,
                            kcc_error *err) {
  return run(conn, statement, ret_exists, err);
}

kcc_status kcc__conn_run_id(kcc__conn *conn, kcc__sql which, int64_t id, bool *ret_changed,
                            kcc_error *err) {
  sqlite3_stmt *statement;
  kcc_status status = kcc__conn_statement(conn, which, &statement, err);
  if (status != KCC_OK) return status;
  int rc = sqlite3_bind_int64(statement, 1, id);
  if (rc != SQLITE_OK) return kcc__conn_fail(conn, rc, err);
  return kcc__conn_run(conn, statement, ret_changed, err);
}

kcc_status kcc__conn_exec(kcc__conn *conn, const char *sql, kcc_error *err) {
  int rc;
  do {
    errno = 0;
    rc = sqlite3_exec(conn->db, sql, /* callback= */ NULL, /* user= */ NULL, /* errmsg= */ NULL);
  } while (rc != SQLITE_OK && kcc__conn_should_retry(conn, rc));
  return rc == SQLITE_OK ? KCC_OK : fail_with(conn, rc, errno, err);
}

kcc_status kcc__conn_integer(kcc__conn *conn, const char *sql, int64_t *ret_value, kcc_error *err) {
  for (;;) {
    sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v2(conn->db, sql, /* nByte= */ -1, &statement, /* pzTail= */ NULL);
    if (rc == SQLITE_OK) rc = sqlite3_step(statement);
    if (rc == SQLITE_ROW) *ret_value = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    if (rc == SQLITE_ROW) return KCC_OK;
    if (rc == SQLITE_DONE) rc = SQLITE_CORRUPT; /* these statements always have a row */
    if (!kcc__conn_should_retry(conn, rc)) return kcc__conn_fail(conn, rc, err);
  }
}

static kcc_status run_plain(kcc__conn *conn, kcc__sql which, kcc_error *err) {
  sqlite3_stmt *statement;
  kcc_status status = kcc__conn_statement(conn, which, &statement, err);
  return status == KCC_OK ? kcc__conn_run(conn, statement, /* ret_changed= */ NULL, err) : status;
}

kcc_status kcc__conn_begin(kcc__conn *conn, kcc_error *err) {
  if (!sqlite3_get_autocommit(conn->db)) { /* the rollback of the last call had no memory left */
    kcc_status status = run_plain(conn, KCC__SQL_ROLLBACK, err);
    if (status != KCC_OK) return status;
  }
  return run_plain(conn, KCC__SQL_BEGIN, err);
}

kcc_status kcc__conn_end(kcc__conn *conn, kcc_status status, kcc_error *err) {
  if (status == KCC_OK) status = run_plain(conn, KCC__SQL_COMMIT, err);
  /* After some errors SQLite has rolled back already. */
  if (status != KCC_OK && !sqlite3_get_autocommit(conn->db))
    run_plain(conn, KCC__SQL_ROLLBACK, /* err= */ NULL);
  return status;
}

/* ---- open and close ----------------------------------------------------------------------------
 */

/* `file` as a URI that says nobody changes it. */
static char *immutable_uri(const char *file) {
  static const char prefix[] = "file://";
  static const char suffix[] = "?immutable=1";
  static const char digits[] = "0123456789ABCDEF";
  char *uri = kcc__alloc(sizeof(prefix) + sizeof(suffix) + 3 * strlen(file));
  if (!uri) return NULL;
  memcpy(uri, prefix, sizeof(prefix));
  char *to = uri + sizeof(prefix) - 1;
  for (; *file; file++) {
    unsigned char c = (unsigned char)*file;
    bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                 strchr("/._-", c) != NULL;
    if (plain) {
      *to++ = (char)c;
      continue;
    }
    *to++ = '%';
    *to++ = digits[c >> 4];
    *to++ = digits[c & 15];
  }
  memcpy(to, suffix, sizeof(suffix));
  return uri;
}

/* Every connection is used by one thread at a time, so SQLite need not lock (NOMUTEX). Readers of a
 * store that is written too open the file for writing all the same: after a crash the first one
 * that reads recovers the log. query_only is what keeps them from writing. */
static int open_database(kcc__conn *conn) {
  const kcc_store *store = conn->store;
  int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE | SQLITE_OPEN_NOFOLLOW;
  flags |= store->read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE;
  char *uri = NULL;
  if (store->immutable) {
    uri = immutable_uri(store->file);
    if (!uri) return SQLITE_NOMEM;
    flags |= SQLITE_OPEN_URI;
  }
  int rc = sqlite3_open_v2(uri ? uri : store->file, &conn->db, flags, /* zVfs= */ NULL);
  free(uri);
  return rc;
}

static kcc_status set_up(kcc__conn *conn, kcc__role role, kcc_error *err) {
  int rc = sqlite3_busy_handler(conn->db, on_busy, conn);
  if (rc == SQLITE_OK)
    rc = sqlite3_db_config(conn->db, SQLITE_DBCONFIG_DEFENSIVE, 1, /* ret= */ NULL);
  if (rc != SQLITE_OK) return kcc__conn_fail(conn, rc, err);
  kcc_status status = kcc__conn_exec(conn, reader_pragmas, err);
  if (status != KCC_OK) return status;
  if (role == KCC__READER) return kcc__conn_exec(conn, "PRAGMA query_only=ON", err);
  status = kcc__conn_exec(conn, writer_pragmas, err);
  /* Now, so that giving the write lock back never waits for memory. */
  sqlite3_stmt *rollback;
  return status == KCC_OK ? kcc__conn_statement(conn, KCC__SQL_ROLLBACK, &rollback, err) : status;
}

kcc_status kcc__conn_open(kcc_store *store, kcc__role role, kcc__conn *conn, kcc_error *err) {
  memset(conn, 0, sizeof(*conn));
  conn->store = store;
  int rc = open_database(conn);
  kcc_status status = rc == SQLITE_OK ? set_up(conn, role, err) : kcc__conn_fail(conn, rc, err);
  /* SQLite falls back to reading where a file cannot be opened for writing. */
  if (status == KCC_OK && role == KCC__WRITER && sqlite3_db_readonly(conn->db, "main") == 1)
    status = kcc__fail(err, KCC_EREADONLY, 0, "store '%s': cannot be written", store->label);
  if (status != KCC_OK) kcc__conn_close(conn);
  return status;
}

void kcc__conn_close(kcc__conn *conn) {
  for (size_t i = 0; i < KCC__SQL_COUNT; i++) sqlite3_finalize(conn->statements[i]);
  sqlite3_close(conn->db);
  memset(conn, 0, sizeof(*conn));
}
