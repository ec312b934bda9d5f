/* SPDX-License-Identifier: MIT
 *
 * seeds.c: FOLDER: writes the seeds that are not text, into FOLDER/wire and FOLDER/key: messages,
 * envelopes, parts of keys, headers of cached data, each in today's form.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cache/kcc.h"
#include "cache/parts.h"
#include "toolkit/job.h"
#include "toolkit/wire.h"

static const char *folder;

static void save(const char *kind, const char *name, uint8_t form, const void *data, size_t size) {
  char path[4096];
  snprintf(path, sizeof(path), "%s/%s", folder, kind);
  mkdir(path, 0777);
  snprintf(path, sizeof(path), "%s/%s/%s", folder, kind, name);
  FILE *out = fopen(path, "we");
  if (out == NULL || fputc(form, out) == EOF || fwrite(data, 1, size, out) != size ||
      fclose(out) != 0) {
    perror(path);
    exit(EXIT_FAILURE);
  }
}

static kiln_bytes *bytes(const char *text) {
  return kiln_bytes_new(text, strlen(text));
}

static void save_jobs(void) {
  const kiln_span params[] = {{"a", 1}, {"b", 1}};
  kiln_job_source module = {{"m", 1}, bytes("export default 1")};
  kiln_job_source script = {{"f.js", 4}, bytes("var a = 1")};
  kiln_job_context context = {{"c", 1}, {"{\"x\":1}", 7}, &script, 1};
  kiln_job jobs[] = {
      {.op = KILN_JOB_RUN, .source = bytes("6*7"), .filename = {"x.js", 4}, .timeout_ms = 100},
      {.op = KILN_JOB_RUN,
       .kind = KILN_FUNCTION,
       .source = bytes("return a"),
       .params = params,
       .params_count = 2,
       .args_json = {"[1,2]", 5},
       .globals_json = {"{\"g\":[null]}", 12},
       .context_name = {"n", 1},
       .microtasks_after_evaluate = true,
       .deny_wasm = true},
      {.op = KILN_JOB_RUN,
       .kind = KILN_MODULE,
       .source = bytes("import 'm'"),
       .modules = &module,
       .modules_count = 1},
      {.op = KILN_JOB_MEASURE, .contexts = &context, .contexts_count = 1, .detailed = true},
      {.op = KILN_JOB_CANARY, .source = bytes("1"), .cached_data = bytes("blob")},
  };
  for (size_t i = 0; i < sizeof(jobs) / sizeof(jobs[0]); i++) {
    kiln_wire_out out;
    char name[32];
    if (kiln__job_encode(&jobs[i], &out) != KILN_OK) exit(EXIT_FAILURE);
    snprintf(name, sizeof(name), "job-%zu", i);
    save("wire", name, 4, out.data, out.length);
    kiln__wire_out_release(&out);
    kiln_bytes_unref(jobs[i].source);
    kiln_bytes_unref(jobs[i].cached_data);
  }
  kiln_bytes_unref(module.source);
  kiln_bytes_unref(script.source);
}

static void save_results(void) {
  kiln_job_result results[] = {
      {.result_json = bytes("[1,{\"a\":\"\\ud800\"}]"),
       .globals_json = bytes("{}"),
       .console_json = bytes("[{\"level\":\"log\",\"text\":\"x\"}]"),
       .memory_json = bytes("{\"used_heap_size\":1}"),
       .cached_data_rejected = -1},
      {.outcome = KILN_OUTCOME_EXCEPTION,
       .code = "ERR_X",
       .name = "TypeError",
       .message = "m\xc3\xa9",
       .stack = "at x",
       .resource = "x.js",
       .source_line = "throw 1",
       .line = 3,
       .column = 4,
       .cached_data_rejected = 1},
  };
  for (size_t i = 0; i < sizeof(results) / sizeof(results[0]); i++) {
    kiln_wire_out out;
    char name[32];
    const char **texts[] = {&results[i].code,  &results[i].name,     &results[i].message,
                            &results[i].stack, &results[i].resource, &results[i].source_line};
    for (size_t j = 0; j < sizeof(texts) / sizeof(texts[0]); j++)
      if (*texts[j] == NULL) *texts[j] = "";
    if (!kiln__job_result_encode(&results[i], &out)) exit(EXIT_FAILURE);
    snprintf(name, sizeof(name), "result-%zu", i);
    save("wire", name, 8, out.data, out.length);
    save("wire", i == 0 ? "steps-0" : "steps-1", 0, out.data, out.length);
    kiln__wire_out_release(&out);
    kiln_bytes_unref(results[i].result_json);
    kiln_bytes_unref(results[i].globals_json);
    kiln_bytes_unref(results[i].console_json);
    kiln_bytes_unref(results[i].memory_json);
  }
}

static void save_keys(void) {
  static const uint32_t header[] = {0xc0de0604u, 0x1234u, 20u, 0xabcdu, 16u, 0x77u,
                                    0,           0,       1,   2,       3,   4};
  uint8_t buffer[4096];
  kcc_digest digest = {{0}};
  kcc_digest fingerprint = {{7}};
  kcc_key_parts parts;
  memset(&parts, 0, sizeof(parts));
  parts.filename = (kcc_span){"x.js", 4};
  kcc_envelope_encode(&digest, &fingerprint, (kcc_span){"payload", 7}, buffer);
  save("key", "envelope", 1, buffer, kcc_envelope_bytes(7));
  size_t size = kcc__parts_bytes(&parts);
  if (size > sizeof(buffer)) exit(EXIT_FAILURE);
  kcc__parts_encode(&parts, &fingerprint, buffer);
  save("key", "parts", 2, buffer, size);
  save("key", "header", 3, header, sizeof(header));
  memset(buffer, 'a', 64);
  save("key", "digest", 0, buffer, 64);
}

int main(int argc, char **argv) {
  if (argc != 2) return EXIT_FAILURE;
  folder = argv[1];
  mkdir(folder, 0777);
  save_jobs();
  save_results();
  save_keys();
  return EXIT_SUCCESS;
}
