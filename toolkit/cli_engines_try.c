/* SPDX-License-Identifier: MIT
 *
 * cli_engines_try.c: whether an engine is what it should be: it starts, it is the V8 of its node,
 * and that very node takes what it bakes.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "toolkit/await.h"
#include "toolkit/cli_child.h"
#include "toolkit/cli_engines.h"
#include "toolkit/status.h"

#define TRY_MS 20000
#define OUTPUT_MAX 4096

/* One small source of each kind. A node says of a script or function whether it took the blob; of a
 * module it throws if it did not. */
static const struct trial {
  const char *name;
  kiln_kind kind;
  const char *source;
} trials[] = {
    {"script", KILN_SCRIPT, "function add(a, b) { return a + b } add(40, 2)"},
    {"function", KILN_FUNCTION, "return a + b"},
    {"module", KILN_MODULE, "export default function add(a, b) { return a + b }"},
};
#define TRIALS (sizeof(trials) / sizeof(trials[0]))

static const char judge[] =
    "const fs=require('fs'),vm=require('vm'),dir=process.argv[1];"
    "const get=n=>[fs.readFileSync(dir+'/'+n+'.js','utf8'),{filename:n+'.js',"
    "cachedData:fs.readFileSync(dir+'/'+n+'.blob')}];"
    "let [s,o]=get('script');const script=new vm.Script(s,o);"
    "if(script.cachedDataRejected!==false||script.runInThisContext()!==42)throw Error('script');"
    "[s,o]=get('function');const f=vm.compileFunction(s,['a','b'],o);"
    "if(f.cachedDataRejected!==false||f(40,2)!==42)throw Error('function');"
    "[s,o]=get('module');o.identifier=o.filename;delete o.filename;"
    "const m=new vm.SourceTextModule(s,o);"
    "m.link(()=>{}).then(()=>m.evaluate()).then(()=>{"
    "if(m.namespace.default(40,2)!==42)throw Error('module');console.log('accepted')})";

/* ---- asking a kiln and waiting ------------------------------------------------------- */

typedef struct answer {
  kiln__await await;
  kiln_bytes *blob;
  kiln_error error;
} answer;

static void take(void *user, const kiln_response *response) {
  answer *a = user;
  a->error = response->error;
  if (response->status == KILN_OK && response->outcome != KILN_OUTCOME_OK) {
    (void)kiln__fail(&a->error, KILN_EENGINE, NULL, "%s: %.200s",
                     kiln_outcome_word(response->outcome), response->message);
  }
  if (response->blob != NULL) a->blob = kiln_bytes_ref(response->blob);
  kiln__await_signal(&a->await);
}

static kiln_status bake(kiln *k, const struct trial *trial, kiln_bytes **ret_blob,
                        kiln_error *err) {
  static const kiln_span params[] = {{"a", 1}, {"b", 1}};
  answer a = {.await = KILN__AWAIT_INIT};
  char filename[32];
  kiln_bytes *source = kiln_bytes_new(trial->source, strlen(trial->source));
  if (source == NULL) return kiln__fail(err, KILN_ENOMEM, NULL, "out of memory");
  (void)snprintf(filename, sizeof(filename), "%s.js", trial->name);
  kiln_request request = {.op = KILN_CREATE_CACHED_DATA,
                          .kind = trial->kind,
                          .source = source,
                          .filename = kiln_span_from(filename)};
  if (trial->kind == KILN_FUNCTION) {
    request.params = params;
    request.params_count = 2;
  }
  kiln_status status = kiln_submit(k, &request, take, &a, err);
  kiln_bytes_unref(source);
  if (status == KILN_OK) {
    kiln__await_signalled(&a.await);
    *ret_blob = a.blob;
    if (a.blob == NULL) {
      status = kiln__fail(err, KILN_EENGINE, NULL, "it bakes no %s: %.300s", trial->name,
                          a.error.message);
    }
  }
  return status;
}

/* ---- the node's judgement ------------------------------------------------------------ */

static bool write_file(const char *folder, const char *name, const char *ending, kiln_span data) {
  char path[KILN_NODE_PATH_MAX + 64];
  (void)snprintf(path, sizeof(path), "%s/%s%s", folder, name, ending);
  FILE *file = fopen(path, "wxe");
  if (file == NULL) return false;
  bool good = fwrite(data.data, 1, data.length, file) == data.length;
  return fclose(file) == 0 && good;
}

static kiln_status bake_all(kiln *k, const char *folder, kiln_error *err) {
  for (size_t i = 0; i < TRIALS; i++) {
    kiln_bytes *blob = NULL;
    kiln_status status = bake(k, &trials[i], &blob, err);
    if (status != KILN_OK) return status;
    bool written = write_file(folder, trials[i].name, ".blob", kiln_bytes_get(blob)) &&
                   write_file(folder, trials[i].name, ".js", kiln_span_from(trials[i].source));
    kiln_bytes_unref(blob);
    if (!written) return kiln__fail(err, KILN_EENGINE, NULL, "'%s': %s", folder, strerror(errno));
  }
  return KILN_OK;
}

static kiln_status ask_node(const kiln__engine_record *record, const char *folder,
                            kiln_error *err) {
  char *const clean[] = {(char[]){"LC_ALL=C"}, (char[]){"NO_COLOR=1"}, NULL};
  kiln__child_result result;
  char **words = NULL;
  size_t count = 0;
  if (!kiln__child_split(record->flags, &words, &count, err)) return KILN_EINVAL;
  const char **argv = calloc(count + 8, sizeof(*argv));
  size_t at = 0;
  kiln_status status = KILN_ENOMEM;
  if (argv != NULL) {
    argv[at++] = record->info.node;
    for (size_t i = 0; i < count; i++) argv[at++] = words[i];
    argv[at++] = "--experimental-vm-modules";
    argv[at++] = "--no-warnings";
    argv[at++] = "-e";
    argv[at++] = judge;
    argv[at++] = folder;
    status =
        kiln__child_run(argv, clean, TRY_MS, OUTPUT_MAX, &result, err) ? KILN_OK : KILN_EENGINE;
  }
  if (status == KILN_OK) {
    if (result.timed_out || result.status != 0 ||
        memmem(result.output, result.output_length, "accepted", 8) == NULL) {
      int shown = (int)(result.output_length > 300 ? 300 : result.output_length);
      status = kiln__fail(err, KILN_EENGINE, NULL, "its node does not take what it bakes: %.*s",
                          shown, result.output);
    }
    free(result.output);
  }
  free(argv);
  kiln__child_split_free(words, count);
  return status;
}

/* ---- all of it ----------------------------------------------------------------------- */

static kiln_status try_in(const char *folder, kiln__engine_record *record, kiln_error *err) {
  char registry[KILN_NODE_PATH_MAX];
  kiln__node node;
  kiln *k;
  kiln_options options = KILN_OPTIONS_INIT;
  const char *spec = record->info.name;
  (void)snprintf(registry, sizeof(registry), "%.*s/registry", (int)(sizeof(registry) - 16), folder);
  kiln_status status =
      kiln__node_probe(record->info.node, record->flags, /* headers= */ NULL, &node, err);
  if (status == KILN_OK && strcmp(node.build_id, record->info.build_id) != 0) {
    status = kiln__fail(err, KILN_EENGINE, NULL, "its node is of another build now");
  }
  /* The record is tried from a registry of its own: the real one gets it when it is good. */
  if (status == KILN_OK) status = kiln__engines_save(registry, record, err);
  if (status != KILN_OK) return status;
  options.engines_dir = registry;
  options.engines = &spec;
  options.engines_count = 1;
  options.workers_max = 1;
  status = kiln_open(&options, &k, err);
  if (status != KILN_OK) return status;
  kiln_engine_info said;
  status = kiln_get_engine(k, 0, &said, err);
  if (status == KILN_OK && said.cached_data_tag != node.tag) {
    status =
        kiln__fail(err, KILN_EENGINE, NULL,
                   "its cached data's version tag is %u, its node's %u: flags that are not the "
                   "same",
                   said.cached_data_tag, node.tag);
  }
  if (status == KILN_OK) status = bake_all(k, folder, err);
  kiln_close(k, /* drain_ms= */ 0);
  if (status == KILN_OK) status = ask_node(record, folder, err);
  if (status == KILN_OK) record->info = said;
  return status;
}

kiln_status kiln__engine_try(const char *dir, kiln__engine_record *record, kiln_error *err) {
  char folder[KILN_NODE_PATH_MAX];
  kiln_error why = {0};
  int length = snprintf(folder, sizeof(folder), "%s/.try-XXXXXX", dir);
  if (length < 0 || (size_t)length + 64 > sizeof(folder) || mkdtemp(folder) == NULL) {
    return kiln__fail(err, KILN_EENGINE, NULL, "'%.300s': %s", folder, strerror(errno));
  }
  kiln_status status = try_in(folder, record, &why);
  kiln__remove_tree(folder);
  if (status != KILN_OK && err != NULL) *err = why;
  return status;
}
