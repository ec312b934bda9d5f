/* SPDX-License-Identifier: MIT
 *
 * Runs a script in an engine process with the installed libkiln: use_kiln DIR KILN_ENGINE */
#include <kiln/kiln.h>
#include <pthread.h>
#include <stdio.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int answers;

static void done(void *user, const kiln_response *response) {
  (void)user;
  if (response->status == KILN_OK && response->result_json != NULL) {
    kiln_span json = kiln_bytes_get(response->result_json);
    printf("%.*s\n", (int)json.length, json.data);
  } else {
    printf("%s %s\n", response->error.code, kiln_outcome_word(response->outcome));
  }
  pthread_mutex_lock(&lock);
  answers++;
  pthread_cond_signal(&changed);
  pthread_mutex_unlock(&lock);
}

int main(int argc, char **argv) {
  kiln_error err;
  kiln_options options = KILN_OPTIONS_INIT;
  kiln_request request = {.op = KILN_RUN};
  kiln *k;
  if (argc != 3) return 2;
  options.store_path = argv[1];
  options.engine_path = argv[2];
  if (kiln_open(&options, &k, &err) != KILN_OK) {
    fprintf(stderr, "%s: %s\n", err.code, err.message);
    return 1;
  }
  request.source = kiln_bytes_new("6 * 7", 5);
  if (kiln_submit(k, &request, done, NULL, &err) == KILN_OK) {
    pthread_mutex_lock(&lock);
    while (answers == 0) pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
  }
  kiln_bytes_unref(request.source);
  kiln_close(k, 1000);
  return answers == 1 ? 0 : 1;
}
