/* SPDX-License-Identifier: MIT
 *
 * session_table.c: see session_table.h. Its lock is held for a few steps only, never while the pool
 * is called.
 */
#include "toolkit/session_table.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "toolkit/status.h"

#define BUCKETS 1024U

/* A session that has ended. */
typedef struct memory {
  char id[KILN_SESSION_ID_HEX];
  kiln_session_end end;
} memory;

struct kiln__sessions {
  pthread_mutex_t mutex;
  kiln__session *first; /* of all, also those that have ended but for a command's answer */
  kiln__session *buckets[BUCKETS]; /* the open ones */
  kiln__session *most_idle, *least_idle;
  size_t open_count;
  memory *remembered; /* a ring */
  size_t remembered_count;
  size_t remembered_next;
  kiln_bytes *empty_list;
  pthread_t thread; /* ends those that have been idle for too long; runs once there was a session */
  bool thread_started;
  bool stopping;
  pthread_cond_t wake;
};

static const struct {
  const char *word;
  const char *text;
} ends[] = {
#define END_TEXT(symbol, word, text) {#word, text},
    KILN_SESSION_END_MAP(END_TEXT)
#undef END_TEXT
};

kiln_status kiln__sessions_new(kiln *k, kiln_error *err) {
  kiln__sessions *all = calloc(1, sizeof(*all));
  if (all != NULL) {
    all->remembered = calloc(KILN_SESSIONS_REMEMBERED, sizeof(*all->remembered));
    all->empty_list = kiln_bytes_new("[]", 2);
  }
  if (all == NULL || all->remembered == NULL || all->empty_list == NULL) {
    if (all != NULL) {
      kiln_bytes_unref(all->empty_list);
      free(all->remembered);
    }
    free(all);
    return kiln__fail(err, KILN_ENOMEM, NULL, "no memory for the table of sessions");
  }
  pthread_condattr_t attributes;
  (void)pthread_condattr_init(&attributes);
  (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
  (void)pthread_cond_init(&all->wake, &attributes);
  (void)pthread_condattr_destroy(&attributes);
  (void)pthread_mutex_init(&all->mutex, /* attributes= */ NULL);
  k->sessions = all;
  return KILN_OK;
}

void kiln__sessions_stop(kiln *k) {
  kiln__sessions *all = k->sessions;
  if (all == NULL || !all->thread_started) return;
  (void)pthread_mutex_lock(&all->mutex);
  all->stopping = true;
  (void)pthread_cond_signal(&all->wake);
  (void)pthread_mutex_unlock(&all->mutex);
  (void)pthread_join(all->thread, /* result= */ NULL);
  all->thread_started = false;
}

void kiln__sessions_free(kiln *k) {
  kiln__sessions *all = k->sessions;
  if (all == NULL) return;
  while (all->first != NULL) {
    kiln__session *session = all->first;
    all->first = session->next;
    kiln_pool_session_release(session->process);
    free(session);
  }
  kiln_bytes_unref(all->empty_list);
  (void)pthread_cond_destroy(&all->wake);
  (void)pthread_mutex_destroy(&all->mutex);
  free(all->remembered);
  free(all);
  k->sessions = NULL;
}

uint64_t kiln__sessions_open_count(kiln *k) {
  (void)pthread_mutex_lock(&k->sessions->mutex);
  uint64_t count = k->sessions->open_count;
  (void)pthread_mutex_unlock(&k->sessions->mutex);
  return count;
}

kiln_bytes *kiln__sessions_empty_list(const kiln *k) {
  return k->sessions->empty_list;
}

/* ---- under the lock --------------------------------------------------------------------------
 */

static kiln__session **bucket_of(kiln__sessions *all, const char *id) {
  uint32_t hash = 2166136261U;
  for (size_t i = 0; i < KILN_SESSION_ID_HEX; i++) hash = (hash ^ (unsigned char)id[i]) * 16777619U;
  return &all->buckets[hash % BUCKETS];
}

static void add_idle(kiln__sessions *all, kiln__session *session) {
  session->more_idle = all->least_idle;
  session->less_idle = NULL;
  *(all->least_idle != NULL ? &all->least_idle->less_idle : &all->most_idle) = session;
  all->least_idle = session;
}

static void remove_idle(kiln__sessions *all, kiln__session *session) {
  *(session->more_idle != NULL ? &session->more_idle->less_idle : &all->most_idle) =
      session->less_idle;
  *(session->less_idle != NULL ? &session->less_idle->more_idle : &all->least_idle) =
      session->more_idle;
  session->more_idle = session->less_idle = NULL;
}

static void unref(kiln__sessions *all, kiln__session *session) {
  if (--session->refs > 0) return;
  *(session->previous != NULL ? &session->previous->next : &all->first) = session->next;
  if (session->next != NULL) session->next->previous = session->previous;
  kiln_pool_session_release(session->process);
  free(session);
}

static void count_end(kiln *k, kiln_session_end end) {
  switch (end) {
    case KILN_SESSION_CLOSED:
      atomic_fetch_add(&k->sessions_ended_closed, 1);
      break;
    case KILN_SESSION_IDLE:
      atomic_fetch_add(&k->sessions_ended_idle, 1);
      break;
    case KILN_SESSION_EVICTED:
      atomic_fetch_add(&k->sessions_ended_evicted, 1);
      break;
    case KILN_SESSION_TIME_LIMIT:
      atomic_fetch_add(&k->sessions_ended_time_limit, 1);
      break;
    case KILN_SESSION_MEMORY_LIMIT:
      atomic_fetch_add(&k->sessions_ended_memory_limit, 1);
      break;
    default:
      atomic_fetch_add(&k->sessions_ended_crashed, 1);
      break;
  }
}

/* Takes it out of the table and remembers why. */
static void take_out(kiln__sessions *all, kiln__session *session, kiln_session_end end,
                     const char *detail) {
  kiln__session **at = bucket_of(all, session->id);
  while (*at != session) at = &(*at)->next_in_bucket;
  *at = session->next_in_bucket;
  if (session->pending == 0) remove_idle(all, session);
  session->open = false;
  session->end = end;
  (void)snprintf(session->detail, sizeof(session->detail), "%s", detail);
  all->open_count--;
  memory *one = &all->remembered[all->remembered_next];
  memcpy(one->id, session->id, sizeof(one->id));
  one->end = end;
  all->remembered_next = (all->remembered_next + 1) % KILN_SESSIONS_REMEMBERED;
  if (all->remembered_count < KILN_SESSIONS_REMEMBERED) all->remembered_count++;
  count_end(session->k, end);
}

static kiln__session *find(kiln__sessions *all, const char *id) {
  kiln__session *session = *bucket_of(all, id);
  while (session != NULL && memcmp(session->id, id, KILN_SESSION_ID_HEX) != 0) {
    session = session->next_in_bucket;
  }
  return session;
}

static kiln_status fail_gone(const char *id, kiln_session_end end, const char *detail,
                             kiln_error *err) {
  return kiln__fail(err, KILN_GONE, NULL, "session %.*s: has ended (%s): %s%s%s",
                    KILN_SESSION_ID_HEX, id, ends[end].word, ends[end].text,
                    detail[0] != '\0' ? ": " : "", detail);
}

static kiln_status fail_unknown(const kiln__sessions *all, kiln_span id, kiln_error *err) {
  for (size_t i = 0; id.length == KILN_SESSION_ID_HEX && i < all->remembered_count; i++) {
    const memory *one = &all->remembered[i];
    if (memcmp(one->id, id.data, sizeof(one->id)) == 0) {
      return fail_gone(one->id, one->end, /* detail= */ "", err);
    }
  }
  char quoted[KILN__QUOTE_BYTES];
  return kiln__fail(err, KILN_NOT_FOUND, NULL, "session %s: there is none of this id",
                    kiln__quote(id, quoted));
}

/* ---- the end ---------------------------------------------------------------------------------
 */

/* On the pool's thread: the process has ended, whoever wanted that. */
static void ended(void *user, kiln_session_end end, const char *detail) {
  kiln__session *session = user;
  kiln__sessions *all = session->k->sessions;
  (void)pthread_mutex_lock(&all->mutex);
  if (session->open) take_out(all, session, end, detail);
  unref(all, session);
  (void)pthread_mutex_unlock(&all->mutex);
}

void kiln__session_end(kiln__session *session, kiln_session_end end) {
  kiln__sessions *all = session->k->sessions;
  (void)pthread_mutex_lock(&all->mutex);
  bool was_open = session->open;
  if (was_open) take_out(all, session, end, /* detail= */ "");
  (void)pthread_mutex_unlock(&all->mutex);
  if (was_open) kiln_pool_session_end(session->process, end);
}

kiln_status kiln__session_gone(kiln__session *session, kiln_error *err) {
  kiln__sessions *all = session->k->sessions;
  char detail[sizeof(session->detail)];
  (void)pthread_mutex_lock(&all->mutex);
  kiln_session_end end = session->open ? KILN_SESSION_CRASHED : session->end;
  memcpy(detail, session->detail, sizeof(detail));
  (void)pthread_mutex_unlock(&all->mutex);
  return fail_gone(session->id, end, detail, err);
}

/* Takes the longest idle one out, to be ended and unreferenced by the caller; NULL: all are busy.
 */
static kiln__session *evict(kiln__sessions *all, kiln_session_end end) {
  kiln__session *session = all->most_idle;
  if (session == NULL) return NULL;
  take_out(all, session, end, /* detail= */ "");
  session->refs++;
  return session;
}

static void end_evicted(kiln__sessions *all, kiln__session *session) {
  kiln_pool_session_end(session->process, session->end);
  (void)pthread_mutex_lock(&all->mutex);
  unref(all, session);
  (void)pthread_mutex_unlock(&all->mutex);
}

/* Ends idle ones. When none is idle it comes back after the time that one may be: nobody can be
 * overdue before. So it need not be woken but for the first session. */
static void *thread_main(void *user) {
  kiln *k = user;
  kiln__sessions *all = k->sessions;
  const uint64_t idle_ns = (uint64_t)k->options.session_idle_ms * 1000000U;
  (void)pthread_setname_np(pthread_self(), "kiln-sessions");
  (void)pthread_mutex_lock(&all->mutex);
  while (!all->stopping) {
    uint64_t now = kiln__now_ns();
    if (all->most_idle != NULL && all->most_idle->used_ns + idle_ns <= now) {
      kiln__session *session = evict(all, KILN_SESSION_IDLE);
      (void)pthread_mutex_unlock(&all->mutex);
      end_evicted(all, session);
      (void)pthread_mutex_lock(&all->mutex);
      continue;
    }
    if (all->open_count == 0) {
      (void)pthread_cond_wait(&all->wake, &all->mutex);
      continue;
    }
    uint64_t due = (all->most_idle != NULL ? all->most_idle->used_ns : now) + idle_ns;
    struct timespec until = {.tv_sec = (time_t)(due / 1000000000U),
                             .tv_nsec = (long)(due % 1000000000U)};
    (void)pthread_cond_timedwait(&all->wake, &all->mutex, &until);
  }
  (void)pthread_mutex_unlock(&all->mutex);
  return NULL;
}

/* Signals are for the caller's threads. */
static int start_thread(kiln *k) {
  sigset_t every, before;
  (void)sigfillset(&every);
  (void)pthread_sigmask(SIG_SETMASK, &every, &before);
  int failed = pthread_create(&k->sessions->thread, /* attributes= */ NULL, thread_main, k);
  (void)pthread_sigmask(SIG_SETMASK, &before, /* old= */ NULL);
  return failed;
}

/* ---- opening, using --------------------------------------------------------------------------
 */

static bool make_id(char ret_id[KILN_SESSION_ID_HEX + 1]) {
  static const char hex[] = "0123456789abcdef";
  unsigned char random[KILN_SESSION_ID_HEX / 2];
  if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random)) return false;
  for (size_t i = 0; i < sizeof(random); i++) {
    ret_id[2 * i] = hex[random[i] >> 4];
    ret_id[2 * i + 1] = hex[random[i] & 15];
  }
  ret_id[KILN_SESSION_ID_HEX] = '\0';
  return true;
}

static void insert(kiln__sessions *all, kiln__session *session) {
  kiln__session **bucket = bucket_of(all, session->id);
  session->next_in_bucket = *bucket;
  *bucket = session;
  session->next = all->first;
  if (all->first != NULL) all->first->previous = session;
  all->first = session;
  if (all->open_count++ == 0) (void)pthread_cond_signal(&all->wake);
}

kiln_status kiln__session_open(kiln *k, const kiln__engine *engine, kiln__session **ret_session,
                               kiln_error *err) {
  kiln__sessions *all = k->sessions;
  kiln__session *session = calloc(1, sizeof(*session)), *evicted = NULL;
  if (session != NULL) session->process = kiln_pool_session_new(engine->pool, ended, session);
  if (session == NULL || session->process == NULL || !make_id(session->id)) {
    if (session != NULL && session->process != NULL) kiln_pool_session_release(session->process);
    free(session);
    return kiln__fail(err, KILN_ENOMEM, NULL, "no memory for a session");
  }
  session->k = k;
  session->engine = engine;
  session->refs = 2; /* its process, its first command */
  session->pending = 1;
  session->open = true;
  session->opened_ns = session->used_ns = kiln__now_ns();
  kiln_status status = KILN_OK;
  (void)pthread_mutex_lock(&all->mutex);
  if (!all->thread_started) {
    if (start_thread(k) == 0) {
      all->thread_started = true;
    } else {
      status = kiln__fail(err, KILN_ENOMEM, NULL, "no thread to watch sessions");
    }
  }
  if (status == KILN_OK && all->open_count >= k->options.sessions_max) {
    evicted = evict(all, KILN_SESSION_EVICTED);
    if (evicted == NULL) {
      status = kiln__fail(err, KILN_EBUSY, NULL, "%zu sessions are open and none is idle, limit %u",
                          all->open_count, k->options.sessions_max);
    }
  }
  if (status == KILN_OK) insert(all, session);
  (void)pthread_mutex_unlock(&all->mutex);
  if (evicted != NULL) end_evicted(all, evicted);
  if (status != KILN_OK) {
    kiln_pool_session_release(session->process);
    free(session);
    return status;
  }
  atomic_fetch_add(&k->sessions_opened, 1);
  *ret_session = session;
  return KILN_OK;
}

kiln_status kiln__session_enter(kiln *k, kiln_span id, kiln__session **ret_session,
                                kiln_error *err) {
  kiln__sessions *all = k->sessions;
  kiln_status status = KILN_OK;
  (void)pthread_mutex_lock(&all->mutex);
  kiln__session *session = id.length == KILN_SESSION_ID_HEX ? find(all, id.data) : NULL;
  if (session == NULL) {
    status = fail_unknown(all, id, err);
  } else {
    if (session->pending++ == 0) remove_idle(all, session);
    session->refs++;
  }
  (void)pthread_mutex_unlock(&all->mutex);
  if (status == KILN_OK) *ret_session = session;
  return status;
}

void kiln__session_leave(kiln__session *session) {
  kiln__sessions *all = session->k->sessions;
  uint64_t now = kiln__now_ns();
  (void)pthread_mutex_lock(&all->mutex);
  if (--session->pending == 0 && session->open) {
    session->used_ns = now;
    add_idle(all, session);
  }
  unref(all, session);
  (void)pthread_mutex_unlock(&all->mutex);
}

void kiln__session_note(kiln__session *session, uint64_t objects) {
  kiln__sessions *all = session->k->sessions;
  (void)pthread_mutex_lock(&all->mutex);
  session->commands++;
  session->objects = objects;
  (void)pthread_mutex_unlock(&all->mutex);
}

kiln_status kiln_session_close(kiln *k, kiln_span id, kiln_error *err) {
  kiln__session *session;
  kiln_status status = kiln__enter(k, err);
  if (status != KILN_OK) return status;
  status = kiln__session_enter(k, id, &session, err);
  if (status == KILN_OK) {
    kiln__session_end(session, KILN_SESSION_CLOSED);
    kiln__session_leave(session);
  }
  kiln__leave(k);
  return status;
}

kiln_status kiln_session_get(kiln *k, kiln_span id, kiln_session_info *ret_info, kiln_error *err) {
  kiln_status status = kiln__enter(k, err);
  if (status != KILN_OK) return status;
  kiln__sessions *all = k->sessions;
  uint64_t now = kiln__now_ns();
  (void)pthread_mutex_lock(&all->mutex);
  const kiln__session *session = id.length == KILN_SESSION_ID_HEX ? find(all, id.data) : NULL;
  if (session == NULL) {
    status = fail_unknown(all, id, err);
  } else {
    kiln_session_info info = {.age_ms = (now - session->opened_ns) / 1000000U,
                              .commands = session->commands,
                              .objects = session->objects};
    memcpy(info.id, session->id, sizeof(info.id));
    memcpy(info.engine, session->engine->info.name, sizeof(info.engine));
    if (session->pending == 0 && now > session->used_ns) {
      info.idle_ms = (now - session->used_ns) / 1000000U;
    }
    *ret_info = info;
  }
  (void)pthread_mutex_unlock(&all->mutex);
  kiln__leave(k);
  return status;
}
