/* SPDX-License-Identifier: MIT
 *
 * service_support.c: see service_support.h.
 */
#include "tests/toolkit/service_support.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t wake = PTHREAD_COND_INITIALIZER;

static char *copy_text(kiln_bytes *bytes) {
  if (bytes == NULL) return NULL;
  kiln_span text = kiln_bytes_get(bytes);
  char *copy = malloc(text.length + 1);
  if (copy == NULL) abort();
  memcpy(copy, text.data, text.length);
  copy[text.length] = '\0';
  return copy;
}

static void copy_string(char *to, size_t size, const char *from) {
  (void)snprintf(to, size, "%s", from == NULL ? "" : from);
}

void take_answer(void *user, const kiln_response *response) {
  answer *one = user;
  (void)pthread_mutex_lock(&mutex);
  one->status = response->status;
  one->error = response->error;
  one->outcome = response->outcome;
  one->op = response->op;
  one->cache = response->cache;
  copy_string(one->code, sizeof(one->code), response->code);
  copy_string(one->name, sizeof(one->name), response->name);
  copy_string(one->message, sizeof(one->message), response->message);
  one->line = response->line;
  memcpy(one->key, response->key, sizeof(one->key));
  copy_string(one->engine, sizeof(one->engine), response->engine);
  one->source_length = response->source_length;
  one->blob_length = response->blob_length;
  one->blob = response->blob == NULL ? NULL : kiln_bytes_ref(response->blob);
  one->result_json = copy_text(response->result_json);
  one->console_json = copy_text(response->console_json);
  one->memory_json = copy_text(response->memory_json);
  one->cached_data_rejected = response->cached_data_rejected;
  one->times = response->times;
  one->count++;
  (void)pthread_cond_broadcast(&wake);
  (void)pthread_mutex_unlock(&mutex);
}

void await_answer(answer *one) {
  (void)pthread_mutex_lock(&mutex);
  while (one->count == 0) (void)pthread_cond_wait(&wake, &mutex);
  (void)pthread_mutex_unlock(&mutex);
}

void answer_release(answer *one) {
  kiln_bytes_unref(one->blob);
  free(one->result_json);
  free(one->console_json);
  free(one->memory_json);
  memset(one, 0, sizeof(*one));
}

void ask(kiln *k, const kiln_request *request, answer *ret_answer) {
  kiln_error error;
  memset(ret_answer, 0, sizeof(*ret_answer));
  kiln_status status = kiln_submit(k, request, take_answer, ret_answer, &error);
  ck_assert_msg(status == KILN_OK, "%s: %s", error.code, error.message);
  await_answer(ret_answer);
}

void make_folder(char ret_path[TEMPORARY_PATH]) {
  ck_assert(temporary_make("kiln-test", ret_path, TEMPORARY_PATH));
}

void remove_folder(const char *path) {
  ck_assert(temporary_remove(path));
}

kiln_options test_options(const char *store) {
  kiln_options options = KILN_OPTIONS_INIT;
  options.store_path = store;
  options.engine_path = KILN_TEST_ENGINE;
  options.workers_max = 2;
  return options;
}

const char *const every_engine[EVERY_ENGINE_COUNT] = {
    "default", "node-18.20.4", "node-20.20.2", "node-22.23.3", "node-24.21.0", "node-26.10.0"};

void use_engine(kiln_options *options, const char *const *engine) {
  options->engines_dir = getenv("KILN_TEST_ENGINES");
  ck_assert_msg(options->engines_dir != NULL,
                "KILN_TEST_ENGINES is not set: run this through ctest");
  options->engines = engine;
  options->engines_count = 1;
  options->heap_max_bytes = 64 << 20;
  options->memory_max_bytes = 256 << 20;
}

kiln *open_kiln(const kiln_options *options) {
  kiln *k = NULL;
  kiln_error error;
  kiln_status status = kiln_open(options, &k, &error);
  ck_assert_msg(status == KILN_OK, "%s: %s", error.code, error.message);
  return k;
}

kiln_stats get_stats(kiln *k) {
  kiln_stats stats;
  kiln_error error;
  ck_assert_int_eq(kiln_get_stats(k, &stats, &error), KILN_OK);
  return stats;
}

kiln_bytes *bytes_from(const char *text) {
  kiln_bytes *bytes = kiln_bytes_new(text, strlen(text));
  ck_assert_ptr_nonnull(bytes);
  return bytes;
}

kiln_bytes *big_source(int value) {
  char text[8192];
  size_t used = 0;
  for (int i = 0; used < KILN_RUN_CACHE_MIN; i++) {
    used += (size_t)snprintf(text + used, sizeof(text) - used,
                             "function f%d(a, b) { return a * %d + b; }\n", i, i);
  }
  used += (size_t)snprintf(text + used, sizeof(text) - used, "f1(%d, 0);\n", value);
  kiln_bytes *bytes = kiln_bytes_new(text, used);
  ck_assert_ptr_nonnull(bytes);
  return bytes;
}

kiln_request bake_of(kiln_bytes *source) {
  return (kiln_request){
      .op = KILN_CREATE_CACHED_DATA, .source = source, .filename = kiln_span_from("a.js")};
}
