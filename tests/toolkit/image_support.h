/* SPDX-License-Identifier: MIT
 *
 * image_support.h: what the tests of images share: making one, running in it, its processes.
 */
#ifndef KILN_TESTS_TOOLKIT_IMAGE_SUPPORT_H
#define KILN_TESTS_TOOLKIT_IMAGE_SUPPORT_H

#include <sys/types.h>

#include "tests/toolkit/service_support.h"

#ifdef KILN_ADDRESS_SANITIZER
#define SLOW 10
#else
#define SLOW 1
#endif
#define WAIT_S (20 * SLOW)

typedef struct image_made {
  answer a;
  char id[KILN_IMAGE_ID_HEX + 1]; /* empty: there is none */
  uint64_t bytes;
  char resource[300];
} image_made;

/* A kiln_done_fn; `user` is an image_made. */
void take_image(void *user, const kiln_response *response);
/* Asks for an image and waits. */
void image_make(kiln *k, const kiln_image_request *request, image_made *m);
/* An image of a script, and another (or NULL), which must load. */
void image_of(kiln *k, kiln_bytes *source, kiln_bytes *then, char ret_id[KILN_IMAGE_ID_HEX + 1]);
void image_of_text(kiln *k, const char *text, char ret_id[KILN_IMAGE_ID_HEX + 1]);

/* Runs a script in the image; an empty id: in none. */
void image_run(kiln *k, const char *id, const char *text, answer *a);
void assert_image_run(kiln *k, const char *id, const char *text, const char *json);

kiln_image_info image_info(kiln *k, const char *id);
/* Waits for a state, without which the test cannot go on. */
void await_image_state(kiln *k, const char *id, kiln_image_state state);

typedef struct process {
  pid_t pid;
  long nice;
  bool keeper;
  unsigned long resident;
} process;

/* The children of this process; those that are no zombies. */
size_t list_processes(process *list, size_t max);
/* The image's process is the largest of those that were not there before. */
pid_t find_process(const process *before, size_t before_count);

#endif
