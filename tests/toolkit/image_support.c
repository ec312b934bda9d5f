/* SPDX-License-Identifier: MIT
 *
 * image_support.c: see image_support.h.
 */
#include "tests/toolkit/image_support.h"

#include <check.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

void take_image(void *user, const kiln_response *response) {
  image_made *m = user;
  if (response->image_id != NULL) memcpy(m->id, response->image_id, sizeof(m->id));
  m->bytes = response->image_bytes;
  snprintf(m->resource, sizeof(m->resource), "%s", response->resource ? response->resource : "");
  take_answer(&m->a, response);
}

void image_make(kiln *k, const kiln_image_request *request, image_made *m) {
  kiln_error error;
  memset(m, 0, sizeof(*m));
  kiln_status status = kiln_image_create(k, request, take_image, m, &error);
  ck_assert_msg(status == KILN_OK, "%s: %s", error.code, error.message);
  await_answer(&m->a);
}

/* An image of a script, and another (or NULL), which must load. */
void image_of(kiln *k, kiln_bytes *source, kiln_bytes *then, char ret_id[KILN_IMAGE_ID_HEX + 1]) {
  kiln_image_script scripts[] = {{.source = source, .filename = kiln_span_from("image.js")},
                                 {.source = then}};
  kiln_image_request request = {
      .scripts = scripts, .scripts_count = then ? 2 : 1, .timeout_ms = 60000};
  image_made m;
  image_make(k, &request, &m);
  ck_assert_msg(m.a.status == KILN_OK && m.a.outcome == KILN_OUTCOME_OK, "%s %s", m.a.error.message,
                m.a.message);
  ck_assert_uint_eq(strlen(m.id), KILN_IMAGE_ID_HEX);
  ck_assert_uint_gt(m.bytes, 100000);
  memcpy(ret_id, m.id, sizeof(m.id));
  answer_release(&m.a);
}

void image_of_text(kiln *k, const char *text, char ret_id[KILN_IMAGE_ID_HEX + 1]) {
  kiln_bytes *source = bytes_from(text);
  image_of(k, source, NULL, ret_id);
  kiln_bytes_unref(source);
}

void image_run(kiln *k, const char *id, const char *text, answer *a) {
  kiln_bytes *source = bytes_from(text);
  kiln_request request = {.op = KILN_RUN,
                          .source = source,
                          .image = kiln_span_from(id),
                          .filename = kiln_span_from("run.js"),
                          .timeout_ms = SLOW == 1 ? 10000 : 60000};
  ask(k, &request, a);
  kiln_bytes_unref(source);
}

void assert_image_run(kiln *k, const char *id, const char *text, const char *json) {
  answer a;
  image_run(k, id, text, &a);
  ck_assert_msg(a.status == KILN_OK && a.outcome == KILN_OUTCOME_OK, "%s: %s %s %s", text,
                a.error.message, a.code, a.message);
  ck_assert_str_eq(a.result_json, json);
  answer_release(&a);
}

kiln_image_info image_info(kiln *k, const char *id) {
  kiln_image_info info;
  kiln_error error;
  ck_assert_int_eq(kiln_image_get(k, kiln_span_from(id), &info, &error), KILN_OK);
  return info;
}

/* Waits for a state, without which the test cannot go on. */
void await_image_state(kiln *k, const char *id, kiln_image_state state) {
  time_t until = time(NULL) + WAIT_S;
  while (image_info(k, id).state != state) {
    ck_assert_msg(time(NULL) < until, "image is %s, not %s",
                  kiln_image_state_word(image_info(k, id).state), kiln_image_state_word(state));
    usleep(1000);
  }
}

/* ---- its processes -----------------------------------------------------------------------------
 */

/* The children of this process' threads; those that are no zombies. */
size_t list_processes(process *list, size_t max) {
  size_t count = 0;
  struct dirent *entry;
  DIR *proc = opendir("/proc");
  ck_assert_ptr_nonnull(proc);
  while (count < max && (entry = readdir(proc)) != NULL) {
    char path[64], text[512];
    pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
    if (pid <= 0) continue;
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "re");
    if (file == NULL) continue;
    size_t length = fread(text, 1, sizeof(text) - 1, file);
    fclose(file);
    text[length] = '\0';
    const char *at = strrchr(text, ')');
    char state;
    int parent;
    long nice;
    unsigned long resident;
    if (at == NULL || sscanf(at + 1,
                             " %c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %ld "
                             "%*d %*d %*u %*u %lu",
                             &state, &parent, &nice, &resident) != 4)
      continue;
    if (parent == getpid() && state != 'Z')
      list[count++] = (process){pid, nice, strstr(text, "(kiln-keeper)") != NULL, resident};
  }
  closedir(proc);
  return count;
}

static bool is_among(const process *list, size_t count, pid_t pid) {
  for (size_t i = 0; i < count; i++)
    if (list[i].pid == pid) return true;
  return false;
}

/* The image's process is the largest of those that were not there before. */
pid_t find_process(const process *before, size_t before_count) {
  process now[64], best = {0};
  size_t count = list_processes(now, 64);
  for (size_t i = 0; i < count; i++)
    if (now[i].nice == 10 && !is_among(before, before_count, now[i].pid) &&
        now[i].resident > best.resident)
      best = now[i];
  ck_assert_int_gt(best.pid, 0);
  return best.pid;
}
