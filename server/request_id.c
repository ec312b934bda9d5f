/* SPDX-License-Identifier: MIT
 *
 * request_id.c: see request_id.h. A counter, mixed with a random key by steps that can each be
 * undone, so that no two counts give one id, nor does an id tell how many requests there were.
 */
#include "server/request_id.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>

static uint64_t keys[2];
static pthread_once_t once = PTHREAD_ONCE_INIT;
static _Atomic uint64_t count;

static void make_keys(void) {
  if (getrandom(keys, sizeof(keys), 0) == (ssize_t)sizeof(keys)) return;
  keys[0] = (uint64_t)srv_now_ns(); /* names need not be secret */
  keys[1] = (uint64_t)(uintptr_t)&keys;
}

static uint64_t mix(uint64_t x) {
  x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
  x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
  return x ^ (x >> 31);
}

static char *write_hex(char *to, uint64_t value, unsigned digits) {
  while (digits > 0) *to++ = "0123456789abcdef"[value >> 4 * --digits & 15];
  return to;
}

void srv_request_id_make(char ret_id[SRV_REQUEST_ID_MAX + 1]) {
  pthread_once(&once, make_keys);
  uint64_t number = atomic_fetch_add(&count, 1) + keys[0];
  char *end = write_hex(ret_id, keys[1], 8); /* this process's */
  *write_hex(end, mix(number * UINT64_C(0x9e3779b97f4a7c15)), 16) = '\0';
}

bool srv_request_id_check(const char *id) {
  static const char good[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
  size_t length = strspn(id, good);
  return length > 0 && length <= SRV_REQUEST_ID_MAX && id[length] == '\0';
}

void srv_request_id_choose(srv_request *request) {
  const char *given = request->headers.request_id;
  if (given != NULL && srv_request_id_check(given))
    memcpy(request->id, given, strlen(given) + 1);
  else
    srv_request_id_make(request->id);
}
