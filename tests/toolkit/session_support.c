/* SPDX-License-Identifier: MIT
 *
 * session_support.c: see session_support.h.
 */
#include "tests/toolkit/session_support.h"

#include <check.h>
#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/toolkit/service_support.h"

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t wake = PTHREAD_COND_INITIALIZER;

static char *copy_text(kiln_bytes *bytes) {
  kiln_span text = bytes == NULL ? (kiln_span){"", 0} : kiln_bytes_get(bytes);
  char *copy = malloc(text.length + 1);
  if (copy == NULL) abort();
  memcpy(copy, text.data, text.length);
  copy[text.length] = '\0';
  return copy;
}

static void copy_string(char *to, size_t size, const char *from) {
  (void)snprintf(to, size, "%s", from == NULL ? "" : from);
}

static void take(void *user, const kiln_response *response) {
  reply *one = user;
  (void)pthread_mutex_lock(&mutex);
  one->status = response->status;
  one->error = response->error;
  one->outcome = response->outcome;
  copy_string(one->code, sizeof(one->code), response->code);
  copy_string(one->name, sizeof(one->name), response->name);
  copy_string(one->message, sizeof(one->message), response->message);
  copy_string(one->resource, sizeof(one->resource), response->resource);
  one->line = response->line;
  copy_string(one->session, sizeof(one->session), response->session_id);
  copy_string(one->object, sizeof(one->object), response->object_id);
  memcpy(one->key, response->key, sizeof(one->key));
  one->result = copy_text(response->result_json);
  one->globals = copy_text(response->globals_json);
  one->console = copy_text(response->console_json);
  one->memory = copy_text(response->memory_json);
  one->module = copy_text(response->module_json);
  one->blob = response->blob == NULL ? NULL : kiln_bytes_ref(response->blob);
  one->cached_data_rejected = response->cached_data_rejected;
  one->console_truncated = response->console_truncated;
  one->count++;
  (void)pthread_cond_broadcast(&wake);
  (void)pthread_mutex_unlock(&mutex);
}

kiln_options session_options(const char *store) {
  kiln_options options = test_options(store);
  options.kill_grace_ms = 5000;
  options.console_max_bytes = 20000;
  return options;
}

void command_submit(kiln *k, const kiln_command *command, reply *ret_reply) {
  kiln_error error;
  memset(ret_reply, 0, sizeof(*ret_reply));
  kiln_status status = kiln_session_submit(k, command, take, ret_reply, &error);
  ck_assert_msg(status == KILN_OK, "%s: %s", error.code, error.message);
}

void command_wait(reply *one) {
  (void)pthread_mutex_lock(&mutex);
  while (one->count == 0) (void)pthread_cond_wait(&wake, &mutex);
  (void)pthread_mutex_unlock(&mutex);
}

void command_do(kiln *k, const kiln_command *command, reply *ret_reply) {
  command_submit(k, command, ret_reply);
  command_wait(ret_reply);
}

void reply_release(reply *one) {
  free(one->result);
  free(one->globals);
  free(one->console);
  free(one->memory);
  free(one->module);
  kiln_bytes_unref(one->blob);
  memset(one, 0, sizeof(*one));
}

void assert_good(const reply *one) {
  ck_assert_msg(one->status == KILN_OK, "%s: %s", one->error.code, one->error.message);
  ck_assert_msg(one->outcome == KILN_OUTCOME_OK, "%s %s: %s", one->code, one->name, one->message);
}

void assert_threw(const reply *one, const char *code) {
  ck_assert_msg(one->status == KILN_OK, "%s: %s", one->error.code, one->error.message);
  ck_assert_int_eq(one->outcome, KILN_OUTCOME_EXCEPTION);
  ck_assert_msg(strcmp(one->code[0] != '\0' ? one->code : one->name, code) == 0,
                "%s %s: %s, not %s", one->code, one->name, one->message, code);
}

void assert_gone(const reply *one, const char *word) {
  char expected[64];
  (void)snprintf(expected, sizeof(expected), "has ended (%s)", word);
  ck_assert_msg(one->status == KILN_GONE && strstr(one->error.message, expected) != NULL,
                "status %d %s %s, outcome %d %s", (int)one->status, one->error.code,
                one->error.message, (int)one->outcome, one->message);
}

void make_context(kiln *k, const char *session, char ret_object[KILN_OBJECT_ID_MAX]) {
  kiln_command create = {.op = KILN_CONTEXT_CREATE, .session = kiln_span_from(session)};
  reply one;
  command_do(k, &create, &one);
  assert_good(&one);
  ck_assert_uint_eq(strlen(one.session), KILN_SESSION_ID_HEX);
  ck_assert_int_eq(memcmp(one.object, one.session, KILN_SESSION_ID_HEX), 0);
  memcpy(ret_object, one.object, sizeof(one.object));
  reply_release(&one);
}

void submit_run(kiln *k, const char *context, const char *source, unsigned timeout_ms,
                reply *ret_reply) {
  kiln_command run = {.op = KILN_CONTEXT_RUN,
                      .object = kiln_span_from(context),
                      .source = bytes_from(source),
                      .timeout_ms = timeout_ms};
  command_submit(k, &run, ret_reply);
  kiln_bytes_unref(run.source);
}

void run_in(kiln *k, const char *context, const char *source, unsigned timeout_ms,
            reply *ret_reply) {
  submit_run(k, context, source, timeout_ms, ret_reply);
  command_wait(ret_reply);
}

void assert_runs(kiln *k, const char *context, const char *source, const char *json) {
  reply one;
  run_in(k, context, source, /* timeout_ms= */ 0, &one);
  assert_good(&one);
  ck_assert_str_eq(one.result, json);
  reply_release(&one);
}

void assert_throws(kiln *k, const char *context, const char *source, const char *code) {
  reply one;
  run_in(k, context, source, /* timeout_ms= */ 0, &one);
  assert_threw(&one, code);
  reply_release(&one);
}

kiln_span session_of(const char *object) {
  return (kiln_span){object, KILN_SESSION_ID_HEX};
}

unsigned count_descriptors(void) {
  unsigned count = 0;
  DIR *folder = opendir("/proc/self/fd");
  ck_assert_ptr_nonnull(folder);
  while (readdir(folder) != NULL) count++;
  (void)closedir(folder);
  return count;
}

/* One entry of /proc; false: it is no process, or has gone. */
static bool read_stat(const char *name, child *ret_child, pid_t *ret_parent) {
  char path[64], text[512];
  int pid = 0, parent = 0;
  (void)snprintf(path, sizeof(path), "/proc/%.20s/stat", name);
  FILE *file = name[0] >= '1' && name[0] <= '9' ? fopen(path, "re") : NULL;
  if (file == NULL) return false;
  size_t length = fread(text, 1, sizeof(text) - 1, file);
  (void)fclose(file);
  text[length] = '\0';
  const char *end = strrchr(text, ')');
  if (end == NULL || sscanf(text, "%d", &pid) != 1 ||
      sscanf(end + 1, " %c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %*u %*d %*d %*d %ld",
             &ret_child->state, &parent, &ret_child->ticks, &ret_child->nice) != 4) {
    return false;
  }
  ret_child->pid = pid;
  *ret_parent = parent;
  return true;
}

/* Which pid namespace a process is in; "" if that is not shown to us. */
static void pid_namespace(const char *pid, char ret_name[64]) {
  char path[64];
  (void)snprintf(path, sizeof(path), "/proc/%.20s/ns/pid", pid);
  ssize_t length = readlink(path, ret_name, 63);
  ret_name[length > 0 ? length : 0] = '\0';
}

size_t list_children(child *ret_children, size_t max) {
  size_t count = 0;
  char ours[64], theirs[64];
  DIR *folder = opendir("/proc");
  ck_assert_ptr_nonnull(folder);
  pid_namespace("self", ours);
  struct dirent *entry;
  while ((entry = readdir(folder)) != NULL) {
    child one;
    pid_t parent;
    if (!read_stat(entry->d_name, &one, &parent) || parent != getpid()) continue;
    pid_namespace(entry->d_name, theirs);
    if (one.nice == 0 && one.state != 'Z' && strcmp(ours, theirs) != 0) continue;
    if (count < max) ret_children[count] = one;
    count++;
  }
  (void)closedir(folder);
  return count;
}

static unsigned long ticks_of(const child *all, size_t count, pid_t pid) {
  for (size_t i = 0; i < count; i++) {
    if (all[i].pid == pid) return all[i].ticks;
  }
  return 0;
}

pid_t worker_of(kiln *k, const char *context) {
  child before[64], after[64];
  for (int round = 0; round < 100; round++) {
    size_t before_count = list_children(before, 64);
    assert_runs(k, context, "{ const end = Date.now() + 200; while (Date.now() < end); } 0", "0");
    size_t after_count = list_children(after, 64);
    for (size_t i = 0; i < after_count && i < 64; i++) {
      unsigned long earlier = ticks_of(before, before_count, after[i].pid);
      /* A worker that was forked meanwhile has used some for that. */
      if (after[i].nice == 10 && earlier > 0 && after[i].ticks >= earlier + 5) return after[i].pid;
    }
  }
  ck_abort_msg("no worker was busy");
}

void wait_until(bool (*condition)(void *user), void *user) {
  const struct timespec pause = {0, 2000000};
  for (int i = 0; i < 5000; i++) {
    if (condition(user)) return;
    (void)nanosleep(&pause, NULL);
  }
  ck_abort_msg("what was waited for did not come");
}
