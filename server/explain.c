/* SPDX-License-Identifier: MIT
 *
 * explain.c: GET /v1/explain?key=...&engine=... and POST /v1/explain with a request as of
 * createCachedData: why it would hit or miss. The asker is a stranger: see kiln_asker.
 */
#include <string.h>

#include "server/json.h"
#include "server/operate.h"
#include "server/route.h"

static void write_explanation(FILE *out, const kiln_explanation *e) {
  fprintf(out, "{\"outcome\":\"%s\",\"key\":\"%s\",\"engine\":", e->outcome, e->key);
  srv_json_text(out, e->engine);
  fputs(",\"causes\":[", out);
  for (size_t i = 0; i < e->causes_count; i++) {
    fprintf(out, "%s{\"code\":\"%s\",\"text\":", i > 0 ? "," : "",
            kiln_cause_word(e->causes[i].code));
    srv_json_text(out, e->causes[i].text);
    fputc('}', out);
  }
  fputs("],\"candidate\":", out);
  if (e->candidate_key[0] == '\0') {
    fputs("null}\n", out);
    return;
  }
  fprintf(out, "{\"key\":\"%s\",\"engine\":", e->candidate_key);
  srv_json_text(out, e->candidate_engine);
  fputs(",\"filename\":", out);
  srv_json_text(out, e->candidate_filename);
  fputs("}}\n", out);
}

static srv_reply reply_explanation(const kiln_explanation *e) {
  char *text = NULL;
  size_t length = 0;
  FILE *out = open_memstream(&text, &length);
  if (out == NULL) return (srv_reply){.status = MHD_HTTP_INTERNAL_SERVER_ERROR};
  write_explanation(out, e);
  return srv_reply_stream(MHD_HTTP_OK, out, &text, &length);
}

static srv_reply ask_kiln(srv_request *request, const kiln_request *wanted) {
  kiln_error error = {.status = KILN_ECLOSING};
  kiln_explanation explanation;
  kiln *k = srv_enter_kiln(request->server);
  if (k != NULL) {
    error.status = kiln_explain(k, wanted, KILN_ASKER_STRANGER, &explanation, &error);
    srv_leave_kiln(request->server);
  }
  return error.status == KILN_OK ? reply_explanation(&explanation) : srv_reply_kiln_error(&error);
}

enum MHD_Result srv_handle_explain(srv_request *request) {
  srv_parsed parsed;
  srv_body_form form;
  kiln_bytes *body;
  bool good = srv_parse_request(request, srv_parse_operation, &body, &form, &parsed);
  srv_reply reply = good ? ask_kiln(request, &parsed.kiln) : parsed.refusal;
  srv_parsed_release(&parsed);
  srv_drop_body(body, form);
  return srv_send(request, reply);
}

static kiln_span argument(srv_request *request, const char *name) {
  const char *value = MHD_lookup_connection_value(request->mhd, MHD_GET_ARGUMENT_KIND, name);
  return value != NULL ? kiln_span_from(value) : (kiln_span){NULL, 0};
}

enum MHD_Result srv_handle_explain_key(srv_request *request) {
  kiln_error error = {.status = KILN_ECLOSING};
  kiln_explanation explanation;
  kiln *k = srv_enter_kiln(request->server);
  if (k != NULL) {
    error.status = kiln_explain_key(k, argument(request, "key"), argument(request, "engine"),
                                    KILN_ASKER_STRANGER, &explanation, &error);
    srv_leave_kiln(request->server);
  }
  if (error.status != KILN_OK) return srv_send(request, srv_reply_kiln_error(&error));
  return srv_send(request, reply_explanation(&explanation));
}
