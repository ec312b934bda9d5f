/* SPDX-License-Identifier: MIT
 *
 * service_support.h: what the tests of the service share: a store in a folder of its own, a kiln on
 * it, and waiting for answers.
 */
#ifndef KILN_TESTS_TOOLKIT_SERVICE_SUPPORT_H
#define KILN_TESTS_TOOLKIT_SERVICE_SUPPORT_H

#include <pthread.h>

#include "cache/kcc.h"
#include "tests/temporary.h"
#include "toolkit/kiln.h"

/* What is kept of a response. */
typedef struct answer {
  unsigned count; /* of done calls: 1 when all is well */
  kiln_status status;
  kiln_error error;
  kiln_outcome outcome;
  kiln_op op;
  kiln_cache cache;
  char code[64];
  char name[64];
  char message[256];
  int line;
  char key[KILN_KEY_HEX + 1];
  char engine[32];
  uint64_t source_length;
  uint64_t blob_length;
  kiln_bytes *blob;
  char *result_json;
  char *console_json;
  char *memory_json;
  int cached_data_rejected;
  kiln_times times;
} answer;

/* A kiln_done_fn; `user` is an answer. */
void take_answer(void *user, const kiln_response *response);
/* Waits until `one` has been given. */
void await_answer(answer *one);
void answer_release(answer *one);

/* Submits, which must succeed, and waits. */
void ask(kiln *k, const kiln_request *request, answer *ret_answer);

/* Makes an empty folder; its name is the test's to keep and to give to remove_folder(). */
void make_folder(char ret_path[TEMPORARY_PATH]);
void remove_folder(const char *path);

/* Opens a kiln with two workers and the build's engine; `store` may be NULL. */
kiln_options test_options(const char *store);
/* The engines of every V8 there is: libv8's and those that node binaries host. */
#define EVERY_ENGINE_COUNT 6
extern const char *const every_engine[EVERY_ENGINE_COUNT];
/* Has the options name one of them, with limits that are reached soon. */
void use_engine(kiln_options *options, const char *const *engine);
kiln *open_kiln(const kiln_options *options);
kiln_stats get_stats(kiln *k);

/* A request for the text. */
kiln_bytes *bytes_from(const char *text);
/* A script of more than KILN_RUN_CACHE_MIN bytes whose value is `value`. */
kiln_bytes *big_source(int value);
/* A request for cached data of `source` as "a.js". */
kiln_request bake_of(kiln_bytes *source);

#endif
