/* SPDX-License-Identifier: MIT
 *
 * session.c: contexts, scripts, functions and modules that outlive a request: their routes'
 * handlers. What a command says is session_request.c, what its answer says session_reply.c.
 */
#include "server/session.h"

#include "server/json.h"
#include "server/route.h"

static const struct {
  const char *noun;
  srv_view view;
} commands[] = {
#define ROW(id, op, noun, view) {noun, view},
    SRV_COMMAND_MAP(ROW)
#undef ROW
};

/* srv_start_fn */
static kiln_status start_command(kiln *k, const void *wanted, kiln_done_fn then, void *user,
                                 kiln_error *err) {
  return kiln_session_submit(k, wanted, then, user, err);
}

static bool start(srv_request *request, srv_command *command, srv_reply *ret_refusal) {
  const srv_route *route = request->route;
  srv_answer answer = {.make = srv_reply_command,
                       .view = commands[route->op].view,
                       .noun = commands[route->op].noun,
                       .hide_source_line = command->hide_source_line};
  command->kiln.client = request->client;
  command->kiln.object = srv_route_id(route, request->url);
  /* The kind it must be: an id under the path of another kind is not found. */
  if (command->kiln.op == KILN_OBJECT_DELETE ||
      command->kiln.op == KILN_OBJECT_CREATE_CACHED_DATA || route->op == SRV_CONTEXT_GET)
    command->kiln.name = kiln_span_from(answer.noun);
  return srv_start(request, start_command, &command->kiln, &answer, ret_refusal);
}

enum MHD_Result srv_handle_command(srv_request *request) {
  srv_command command = {0};
  srv_reply refusal = {0};
  srv_body_form form;
  kiln_bytes *body;
  if (request->job != NULL) return srv_send_or_suspend(request);
  bool started = srv_parse_request(request, srv_parse_command, &body, &form, &command.parsed);
  if (started)
    started = start(request, &command, &refusal);
  else
    refusal = command.parsed.refusal;
  srv_command_release(&command);
  srv_drop_body(body, form);
  return started ? srv_send_or_suspend(request) : srv_send(request, refusal);
}

/* ---- sessions themselves */

static srv_reply reply_info(const kiln_session_info *info) {
  char *text = NULL;
  size_t length = 0;
  FILE *out = open_memstream(&text, &length);
  if (out == NULL) return (srv_reply){.status = MHD_HTTP_INTERNAL_SERVER_ERROR};
  fputs("{\"id\":", out);
  srv_json_text(out, info->id);
  fputs(",\"engine\":", out);
  srv_json_text(out, info->engine);
  fprintf(out, ",\"ageMs\":%llu,\"idleMs\":%llu,\"commands\":%llu,\"objects\":%llu}\n",
          (unsigned long long)info->age_ms, (unsigned long long)info->idle_ms,
          (unsigned long long)info->commands, (unsigned long long)info->objects);
  return srv_reply_stream(MHD_HTTP_OK, out, &text, &length);
}

enum MHD_Result srv_handle_session(srv_request *request) {
  kiln_error error = {.status = KILN_ECLOSING};
  kiln_session_info info = {0};
  bool ends = request->route->method == SRV_DELETE;
  kiln_span id = srv_route_id(request->route, request->url);
  kiln *k = srv_enter_kiln(request->server);
  if (k != NULL) {
    error.status =
        ends ? kiln_session_close(k, id, &error) : kiln_session_get(k, id, &info, &error);
    srv_leave_kiln(request->server);
  }
  if (error.status != KILN_OK) return srv_send(request, srv_reply_kiln_error(&error));
  return srv_send(request, ends ? srv_reply_nothing() : reply_info(&info));
}
