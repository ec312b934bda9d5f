/* SPDX-License-Identifier: MIT
 *
 * ids.c: see ids.h.
 */
#include "cache/ids.h"

#include "cache/alloc.h"

static bool add(kcc__ids *list, int64_t id) {
  void *array = list->ids;
  if (!kcc__grow(&array, &list->capacity, list->count + 1, sizeof(id))) return false;
  list->ids = array;
  list->ids[list->count++] = id;
  return true;
}

static int read_ids(sqlite3_stmt *statement, kcc__ids *list) {
  int rc;
  list->count = 0;
  while ((rc = sqlite3_step(statement)) == SQLITE_ROW)
    if (!add(list, sqlite3_column_int64(statement, 0))) return SQLITE_NOMEM;
  return rc;
}

kcc_status kcc__ids_collect(kcc__conn *conn, sqlite3_stmt *statement, kcc__ids *ids,
                            kcc_error *err) {
  int rc;
  do {
    rc = read_ids(statement, ids);
    sqlite3_reset(statement);
  } while (rc != SQLITE_DONE && kcc__conn_should_retry(conn, rc));
  sqlite3_clear_bindings(statement);
  return rc == SQLITE_DONE ? KCC_OK : kcc__conn_fail(conn, rc, err);
}
