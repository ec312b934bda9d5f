/* SPDX-License-Identifier: MIT
 *
 * about.c: what the service says of itself: statistics, engines, health.
 */
#include "server/json.h"
#include "server/route.h"

static srv_reply reply_closing(void) {
  kiln_error error = {.status = KILN_ECLOSING};
  return srv_reply_kiln_error(&error);
}

static void write_stats(FILE *out, srv_server *server, const kiln_stats *stats,
                        const uint64_t *reasons) {
  const char *comma = "";
  fprintf(out, "{\"version\":\"%s\",\"uptimeMs\":%lld,\"kiln\":{", KILN_VERSION,
          (long long)(srv_now_ms() - server->started_ms));
#define WRITE_STAT(name)                                                        \
  fprintf(out, "%s\"%s\":%llu", comma, #name, (unsigned long long)stats->name); \
  comma = ",";
  KILN_STATS_MAP(WRITE_STAT)
#undef WRITE_STAT
  fputs("},\"reasons\":{", out);
  comma = "";
  for (unsigned i = 0; i < KILN_CAUSE_CODES; i++) {
    if (reasons[i] == 0) continue;
    fprintf(out, "%s\"%s\":%llu", comma, kiln_cause_word((kiln_cause_code)i),
            (unsigned long long)reasons[i]);
    comma = ",";
  }
  fputs("},\"server\":{", out);
  comma = "";
#define WRITE_COUNTER(name)                                                                    \
  fprintf(out, "%s\"%s\":%llu", comma, #name, (unsigned long long)atomic_load(&server->name)); \
  comma = ",";
  SRV_COUNTER_MAP(WRITE_COUNTER)
#undef WRITE_COUNTER
  fputs("}}\n", out);
}

enum MHD_Result srv_handle_stats(srv_request *request) {
  kiln_stats stats = {0};
  uint64_t reasons[KILN_CAUSE_CODES];
  kiln_error error = {0};
  kiln *k = srv_enter_kiln(request->server);
  if (k == NULL) return srv_send(request, reply_closing());
  error.status = kiln_get_stats(k, &stats, &error);
  kiln_get_reasons(k, reasons);
  srv_leave_kiln(request->server);
  if (error.status != KILN_OK) return srv_send(request, srv_reply_kiln_error(&error));

  char *text = NULL;
  size_t length = 0;
  FILE *out = open_memstream(&text, &length);
  if (out == NULL) return MHD_NO;
  write_stats(out, request->server, &stats, reasons);
  return srv_send(request, srv_reply_stream(MHD_HTTP_OK, out, &text, &length));
}

static void write_engine(FILE *out, const kiln_engine_info *info) {
  fputs("{\"name\":", out);
  srv_json_text(out, info->name);
  fputs(",\"v8Version\":", out);
  srv_json_text(out, info->v8_version);
  fprintf(out, ",\"cachedDataVersionTag\":%lu,\"flags\":", (unsigned long)info->cached_data_tag);
  srv_json_text(out, info->flags);
  fputs(",\"buildId\":", out);
  srv_json_text(out, info->build_id);
  fputs(",\"arch\":", out);
  srv_json_text(out, info->arch);
  fputs(",\"fingerprint\":", out);
  srv_json_text(out, info->fingerprint);
  fputs(",\"node\":", out);
  srv_json_text(out, info->node);
  fprintf(out, ",\"verifiesChecksum\":%s,\"protocol\":%u,\"sandboxOff\":%s,\"sandbox\":{",
          info->verifies_checksum ? "true" : "false", info->protocol,
          info->sandbox_off ? "true" : "false");
  for (unsigned layer = 0; layer < KILN_LAYERS; layer++)
    fprintf(out, "%s\"%s\":%s", layer > 0 ? "," : "", kiln_layer_word((kiln_layer)layer),
            info->layers & UINT32_C(1) << layer ? "true" : "false");
  fputs("}}", out);
}

enum MHD_Result srv_handle_engines(srv_request *request) {
  char *text = NULL;
  size_t length = 0;
  kiln *k = srv_enter_kiln(request->server);
  if (k == NULL) return srv_send(request, reply_closing());
  FILE *out = open_memstream(&text, &length);
  if (out == NULL) {
    srv_leave_kiln(request->server);
    return MHD_NO;
  }
  fputs("{\"engines\":[", out);
  for (size_t i = 0; i < kiln_engine_count(k); i++) {
    kiln_engine_info info;
    if (kiln_get_engine(k, i, &info, NULL) != KILN_OK) continue;
    if (i > 0) fputc(',', out);
    write_engine(out, &info);
  }
  fputs("]}\n", out);
  srv_leave_kiln(request->server);
  return srv_send(request, srv_reply_stream(MHD_HTTP_OK, out, &text, &length));
}

enum MHD_Result srv_handle_health(srv_request *request) {
  static const char good[] = "{\"status\":\"ok\"}\n";
  char *text = NULL;
  size_t length = 0;
  FILE *out = open_memstream(&text, &length);
  if (out == NULL) return MHD_NO;
  fputs(good, out);
  return srv_send(request, srv_reply_stream(MHD_HTTP_OK, out, &text, &length));
}
