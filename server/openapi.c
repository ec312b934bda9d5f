/* SPDX-License-Identifier: MIT
 *
 * openapi.c: see openapi.h.
 */
#include "server/openapi.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* Adds the members of `part`; objects that both have are joined. */
static bool join(json_t *whole, json_t *part, char *message, size_t message_size) {
  const char *name;
  json_t *value;
  json_object_foreach(part, name, value) {
    json_t *before = json_object_get(whole, name);
    if (before == NULL) {
      if (json_object_set(whole, name, value) == 0) continue;
      snprintf(message, message_size, "openapi: out of memory");
      return false;
    }
    if (!json_is_object(before) || !json_is_object(value)) {
      snprintf(message, message_size, "openapi: member '%.80s': in two parts", name);
      return false;
    }
    if (!join(before, value, message, message_size)) return false;
  }
  return true;
}

static json_t *join_parts(char *message, size_t message_size) {
  json_t *whole = json_object();
  for (size_t i = 0; whole != NULL && i < srv_openapi_parts_count; i++) {
    json_error_t error;
    const srv_openapi_part *one = &srv_openapi_parts[i];
    json_t *part =
        json_loadb(one->text, (size_t)(one->end - one->text), JSON_REJECT_DUPLICATES, &error);
    bool good = false;
    if (part == NULL)
      snprintf(message, message_size, "openapi: part %zu, line %d: %.160s", i, error.line,
               error.text);
    else
      good = join(whole, part, message, message_size);
    json_decref(part);
    if (good) continue;
    json_decref(whole);
    return NULL;
  }
  return whole;
}

char *srv_openapi_make(char *message, size_t message_size) {
  snprintf(message, message_size, "openapi: out of memory");
  json_t *whole = join_parts(message, message_size);
  if (whole == NULL) return NULL;
  json_object_set_new(json_object_get(whole, "info"), "version", json_string(KILN_VERSION));
  char *text = json_dumps(whole, JSON_COMPACT);
  json_decref(whole);
  return text;
}

static pthread_once_t once = PTHREAD_ONCE_INIT;
static char *kept;

static void make(void) {
  char message[256];
  kept = srv_openapi_make(message, sizeof(message));
  if (kept == NULL) srv_log("error", "openapi", "reason=\"%s\"", message);
}

enum MHD_Result srv_handle_openapi(srv_request *request) {
  pthread_once(&once, make);
  char *copy = kept != NULL ? strdup(kept) : NULL;
  if (copy != NULL) return srv_send(request, srv_reply_json(MHD_HTTP_OK, copy, strlen(copy)));
  kiln_error error = {.status = KILN_ENOMEM};
  return srv_send(request, srv_reply_kiln_error(&error));
}
