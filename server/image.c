/* SPDX-License-Identifier: MIT
 *
 * image.c: /v1/images: contexts that runs start from, with scripts and modules run in them already.
 */
#include "server/image.h"

#include <stdlib.h>

#include "server/json.h"
#include "server/route.h"

static const double ns_per_ms = 1e6;

/* ---- making one */

static srv_reply reply_made(const kiln_response *response, const srv_answer *answer) {
  (void)answer;
  if (response->status != KILN_OK || response->outcome != KILN_OUTCOME_OK)
    return srv_reply_fate(response, /* with_source_line= */ true);
  char *text = NULL;
  char location[KILN_IMAGE_ID_HEX + 16];
  size_t length = 0;
  FILE *out = open_memstream(&text, &length);
  if (out == NULL) return (srv_reply){.status = MHD_HTTP_CREATED};
  fputs("{\"id\":", out);
  srv_json_text(out, response->image_id);
  fputs(",\"engine\":", out);
  srv_json_text(out, response->engine);
  fprintf(out, ",\"loadMs\":%.3f,\"memoryBytes\":%llu",
          (double)(response->times.compile_ns + response->times.run_ns) / ns_per_ms,
          (unsigned long long)response->image_bytes);
  srv_write_console(out, response);
  fputc(',', out);
  srv_write_times(out, &response->times);
  fputs("}\n", out);
  srv_reply reply = srv_reply_stream(MHD_HTTP_CREATED, out, &text, &length);
  snprintf(location, sizeof(location), "/v1/images/%s", response->image_id);
  srv_reply_header(&reply, MHD_HTTP_HEADER_LOCATION, location);
  return reply;
}

/* srv_start_fn */
static kiln_status start(kiln *k, const void *wanted, kiln_done_fn then, void *user,
                         kiln_error *err) {
  return kiln_image_create(k, wanted, then, user, err);
}

static enum MHD_Result make(srv_request *request) {
  srv_image image = {0};
  srv_reply refusal = {0};
  srv_body_form form;
  kiln_bytes *body;
  if (request->job != NULL) return srv_send_or_suspend(request);
  const srv_answer answer = {.make = reply_made};
  bool started = srv_parse_request(request, srv_parse_image, &body, &form, &image.parsed);
  if (started)
    started = srv_start(request, start, &image.kiln, &answer, &refusal);
  else
    refusal = image.parsed.refusal;
  srv_image_release(&image);
  srv_drop_body(body, form);
  return started ? srv_send_or_suspend(request) : srv_send(request, refusal);
}

/* ---- asking for them */

static void write_info(FILE *out, const kiln_image_info *info) {
  fprintf(out, "{\"id\":\"%s\",\"name\":", info->id);
  srv_json_text(out, info->name[0] != '\0' ? info->name : NULL);
  fputs(",\"engine\":", out);
  srv_json_text(out, info->engine);
  fprintf(out,
          ",\"state\":\"%s\",\"memoryBytes\":%llu,\"sourceBytes\":%llu,\"runs\":%llu,"
          "\"loads\":%llu,\"loadMs\":%.3f,\"ageMs\":%llu,\"idleMs\":%llu}",
          kiln_image_state_word(info->state), (unsigned long long)info->memory_bytes,
          (unsigned long long)info->source_bytes, (unsigned long long)info->runs,
          (unsigned long long)info->loads, (double)info->load_ns / ns_per_ms,
          (unsigned long long)info->age_ms, (unsigned long long)info->idle_ms);
}

static srv_reply reply_info(const kiln_image_info *info) {
  char *text = NULL;
  size_t length = 0;
  FILE *out = open_memstream(&text, &length);
  if (out == NULL) return (srv_reply){.status = MHD_HTTP_INTERNAL_SERVER_ERROR};
  write_info(out, info);
  fputc('\n', out);
  return srv_reply_stream(MHD_HTTP_OK, out, &text, &length);
}

static srv_reply reply_list(const kiln_image_info *infos, size_t count) {
  char *text = NULL;
  size_t length = 0;
  FILE *out = open_memstream(&text, &length);
  if (out == NULL) return (srv_reply){.status = MHD_HTTP_INTERNAL_SERVER_ERROR};
  fputs("{\"images\":[", out);
  for (size_t i = 0; i < count; i++) {
    if (i > 0) fputc(',', out);
    write_info(out, &infos[i]);
  }
  fputs("]}\n", out);
  return srv_reply_stream(MHD_HTTP_OK, out, &text, &length);
}

static enum MHD_Result list(srv_request *request) {
  kiln_error closing = {.status = KILN_ECLOSING};
  kiln_image_info *infos = calloc(KILN_IMAGES_MAX, sizeof(*infos));
  if (infos == NULL) return MHD_NO;
  kiln *k = srv_enter_kiln(request->server);
  size_t count = k != NULL ? kiln_image_list(k, infos, KILN_IMAGES_MAX) : 0;
  if (k != NULL) srv_leave_kiln(request->server);
  srv_reply reply = k != NULL ? reply_list(infos, count) : srv_reply_kiln_error(&closing);
  free(infos);
  return srv_send(request, reply);
}

enum MHD_Result srv_handle_images(srv_request *request) {
  return request->route->method == SRV_POST ? make(request) : list(request);
}

enum MHD_Result srv_handle_image(srv_request *request) {
  kiln_error error = {.status = KILN_ECLOSING};
  kiln_image_info info = {0};
  bool ends = request->route->method == SRV_DELETE;
  kiln_span id = srv_route_id(request->route, request->url);
  kiln *k = srv_enter_kiln(request->server);
  if (k != NULL) {
    error.status = ends ? kiln_image_delete(k, id, &error) : kiln_image_get(k, id, &info, &error);
    srv_leave_kiln(request->server);
  }
  if (error.status != KILN_OK) return srv_send(request, srv_reply_kiln_error(&error));
  return srv_send(request, ends ? srv_reply_nothing() : reply_info(&info));
}
