/* SPDX-License-Identifier: MIT
 *
 * pool_support.c: see pool_support.h.
 */
#include "tests/toolkit/pool_support.h"

#include <check.h>
#include <dirent.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

kiln_span span_of(const char *text) {
  return (kiln_span){text, strlen(text)};
}

kiln_bytes *bytes_of(const char *text) {
  kiln_bytes *bytes = kiln_bytes_new(text, strlen(text));
  ck_assert_ptr_nonnull(bytes);
  return bytes;
}

kiln_pool_options default_options(void) {
  return (kiln_pool_options){.engine_path = KILN_ENGINE_PATH,
                             .engine_name = "node-18",
                             .workers_max = 2,
                             .queue_max = 256,
                             .forks_per_zygote = 10000,
                             .kill_grace_ms = 150};
}

kiln_pool *new_pool(const kiln_pool_options *options) {
  kiln_pool *pool = NULL;
  kiln_error err = {0};
  kiln_status status = kiln_pool_new(options, &pool, &err);
  ck_assert_msg(status == KILN_OK, "%s: %s", err.code, err.message);
  return pool;
}

kiln_job script_job(const char *source) {
  return (kiln_job){.op = KILN_JOB_RUN,
                    .source = bytes_of(source),
                    .filename = span_of("test.js"),
                    .timeout_ms = HONEST_MS,
                    .heap_max_bytes = (uint64_t)64 << 20,
                    .memory_max_bytes = (uint64_t)320 << 20,
                    .result_max_bytes = 1 << 20,
                    .console_max_bytes = 1 << 16};
}

void answer_init(answer *a) {
  memset(a, 0, sizeof(*a));
  pthread_mutex_init(&a->lock, NULL);
  pthread_cond_init(&a->changed, NULL);
}

void answer_release(answer *a) {
  kiln_bytes_unref(a->blob);
  kiln_bytes_unref(a->result_json);
  kiln_bytes_unref(a->globals_json);
  kiln_bytes_unref(a->console_json);
  kiln_bytes_unref(a->memory_json);
  pthread_cond_destroy(&a->changed);
  pthread_mutex_destroy(&a->lock);
}

static kiln_bytes *keep(kiln_bytes *bytes) {
  return bytes ? kiln_bytes_ref(bytes) : NULL;
}

void answer_done(void *user, const kiln_job_result *result) {
  answer *a = user;
  pthread_mutex_lock(&a->lock);
  a->status = result->status;
  a->outcome = result->outcome;
  snprintf(a->message_of_ours, sizeof(a->message_of_ours), "%s", result->message_of_ours);
#define COPY(field) snprintf(a->field, sizeof(a->field), "%s", result->field ? result->field : "")
  COPY(code);
  COPY(name);
  COPY(message);
  COPY(stack);
  COPY(resource);
  COPY(source_line);
#undef COPY
  a->line = result->line;
  a->column = result->column;
  a->signal = result->signal;
  a->blob = keep(result->blob);
  a->result_json = keep(result->result_json);
  a->globals_json = keep(result->globals_json);
  a->console_json = keep(result->console_json);
  a->memory_json = keep(result->memory_json);
  a->console_truncated = result->console_truncated;
  a->cached_data_rejected = result->cached_data_rejected;
  a->times = result->times;
  a->calls++;
  a->done = true;
  pthread_cond_signal(&a->changed);
  pthread_mutex_unlock(&a->lock);
}

void answer_wait(answer *a) {
  pthread_mutex_lock(&a->lock);
  while (!a->done) pthread_cond_wait(&a->changed, &a->lock);
  pthread_mutex_unlock(&a->lock);
}

void do_job(kiln_pool *pool, const kiln_job *job, answer *a) {
  kiln_error err = {0};
  answer_init(a);
  kiln_status status = kiln_pool_submit(pool, job, answer_done, a, &err);
  ck_assert_msg(status == KILN_OK, "%s", err.message);
  answer_wait(a);
  ck_assert_uint_eq(a->calls, 1);
}

void assert_json(const kiln_bytes *bytes, const char *json) {
  ck_assert_ptr_nonnull(bytes);
  kiln_span span = kiln_bytes_get(bytes);
  ck_assert_msg(span.length == strlen(json) && memcmp(span.data, json, span.length) == 0,
                "'%.*s' is not '%s'", (int)span.length, span.data, json);
}

void assert_contains(const kiln_bytes *bytes, const char *text) {
  ck_assert_ptr_nonnull(bytes);
  kiln_span span = kiln_bytes_get(bytes);
  ck_assert_msg(memmem(span.data, span.length, text, strlen(text)) != NULL, "'%s' is not in '%.*s'",
                text, (int)span.length, span.data);
}

void assert_result(kiln_pool *pool, const char *source, const char *json) {
  kiln_job job = script_job(source);
  answer a;
  do_job(pool, &job, &a);
  kiln_bytes_unref(job.source);
  ck_assert_msg(a.status == KILN_OK, "%s", a.message_of_ours);
  ck_assert_msg(a.outcome == KILN_OUTCOME_OK, "%s: %s", a.code, a.message);
  assert_json(a.result_json, json);
  answer_release(&a);
}

kiln_stats stats_of(kiln_pool *pool) {
  kiln_stats stats = {0};
  kiln_pool_add_stats(pool, &stats);
  return stats;
}

static bool read_stat(const char *pid, child *ret_child) {
  char path[300], text[1024];
  snprintf(path, sizeof(path), "/proc/%s/stat", pid);
  FILE *file = fopen(path, "re");
  if (!file) return false;
  size_t length = fread(text, 1, sizeof(text) - 1, file);
  fclose(file);
  text[length] = '\0';
  const char *after = strrchr(text, ')');
  int parent;
  unsigned long user, system;
  if (!after || sscanf(after, ") %c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %*d %*d %*d %ld",
                       &ret_child->state, &parent, &user, &system, &ret_child->nice) != 5)
    return false;
  ret_child->pid = (pid_t)strtol(pid, NULL, 10);
  ret_child->keeper = strstr(text, "(kiln-keeper)") != NULL;
  ret_child->ticks = (long)(user + system);
  return parent == getpid();
}

size_t list_children(child *children, size_t max) {
  size_t count = 0;
  DIR *proc = opendir("/proc");
  ck_assert_ptr_nonnull(proc);
  struct dirent *entry;
  while (count < max && (entry = readdir(proc)) != NULL)
    if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9' &&
        read_stat(entry->d_name, &children[count]))
      count++;
  closedir(proc);
  return count;
}

/* A worker is nice before it says that it is ready: stopped first, it cannot become so between the
 * look and the kill. */
static void kill_unless_ready(pid_t pid) {
  char name[16];
  child now = {.state = 'R'};
  snprintf(name, sizeof(name), "%d", (int)pid);
  kill(pid, SIGSTOP);
  while (now.state != 'T' && now.state != 'Z') {
    if (!read_stat(name, &now)) return;
    sched_yield();
  }
  kill(pid, now.nice == 10 ? SIGCONT : SIGKILL);
}

void kill_zygotes(void) {
  child children[64];
  size_t count = list_children(children, 64);
  for (size_t i = 0; i < count; i++)
    if (children[i].nice != 10 && !children[i].keeper && children[i].state != 'Z')
      kill_unless_ready(children[i].pid);
}

size_t count_descriptors(void) {
  size_t count = 0;
  DIR *fds = opendir("/proc/self/fd");
  ck_assert_ptr_nonnull(fds);
  while (readdir(fds) != NULL) count++;
  closedir(fds);
  return count;
}

uint64_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}
