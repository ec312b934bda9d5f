/* SPDX-License-Identifier: MIT
 *
 * ready.c: GET /readyz: whether requests should be sent here. /healthz says only that somebody
 * answers: a kilnd that is not ready is not helped by being started again.
 */
#include <stdlib.h>

#include "server/json.h"
#include "server/route.h"

typedef struct readiness {
  bool draining;
  bool has_store;
  kiln_error store;
  size_t engines_count;
  struct {
    char name[32];
    bool ready;
  } engines[KILN_ENGINES_MAX];
} readiness;

static void look(srv_server *server, readiness *ret) {
  *ret = (readiness){.draining = atomic_load(&server->state) != SRV_RUNNING};
  kiln *k = srv_enter_kiln(server);
  if (k == NULL) return;
  for (size_t i = 0; i < kiln_engine_count(k) && i < KILN_ENGINES_MAX; i++) {
    kiln_engine_info info;
    if (kiln_get_engine(k, i, &info, NULL) != KILN_OK) continue;
    snprintf(ret->engines[ret->engines_count].name, sizeof(ret->engines[0].name), "%s", info.name);
    ret->engines[ret->engines_count++].ready = kiln_engine_is_ready(k, i);
  }
  kiln_status status = kiln_check_store(k, &ret->store);
  if (status == KILN_OK) ret->store.status = KILN_OK;
  ret->has_store = status != KILN_NOT_FOUND;
  srv_leave_kiln(server);
}

/* Writes what is missing; how many things that is. */
static unsigned write_missing(FILE *out, const readiness *found) {
  unsigned count = 0;
  char text[160];
  if (found->draining) fprintf(out, "%s\"draining\"", count++ > 0 ? "," : "");
  for (size_t i = 0; i < found->engines_count; i++) {
    if (found->engines[i].ready) continue;
    snprintf(text, sizeof(text), "engine %s: no process is ready", found->engines[i].name);
    if (count++ > 0) fputc(',', out);
    srv_json_text(out, text);
  }
  if (found->has_store && found->store.status != KILN_OK) {
    snprintf(text, sizeof(text), "store: %.140s", found->store.message);
    if (count++ > 0) fputc(',', out);
    srv_json_text(out, text);
  }
  return count;
}

enum MHD_Result srv_handle_ready(srv_request *request) {
  readiness found;
  char *text = NULL;
  size_t length = 0;
  look(request->server, &found);
  FILE *out = open_memstream(&text, &length);
  if (out == NULL) return MHD_NO;
  fputs("{\"notReady\":[", out);
  bool ready = write_missing(out, &found) == 0;
  fprintf(out, "],\"status\":\"%s\",\"draining\":%s,\"engines\":[", ready ? "ready" : "not_ready",
          found.draining ? "true" : "false");
  for (size_t i = 0; i < found.engines_count; i++) {
    fputs(i > 0 ? ",{\"name\":" : "{\"name\":", out);
    srv_json_text(out, found.engines[i].name);
    fprintf(out, ",\"ready\":%s}", found.engines[i].ready ? "true" : "false");
  }
  fputs("],\"store\":", out);
  if (found.has_store)
    fprintf(out, "{\"ready\":%s}}\n", found.store.status == KILN_OK ? "true" : "false");
  else
    fputs("null}\n", out);
  unsigned status = ready ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE;
  return srv_send(request, srv_reply_stream(status, out, &text, &length));
}
