/* SPDX-License-Identifier: MIT
 *
 * bake.c: kiln-run-bake FILE: a tool of the build. Runs what most programs begin with, so that V8
 * has compiled it, then loads every other built-in, and writes the code caches of all of them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "toolkit/run/builtins.h"
#include "toolkit/run/command.h"

static const char program[] =
    "setTimeout(() => {}, 0); process.nextTick(() => {}); queueMicrotask(() => {});"
    "setImmediate(() => {}); process.argv; module.exports = require('path').join(__dirname, 'x');"
    "console.log('');";

static void load_all(kiln__run *run) {
  for (size_t i = 0; i < kiln__run_builtin_count; i++) {
    kv8_error error;
    kv8_value *exports = NULL;
    const char *name = kiln__run_builtin_list[i].name;
    if (kiln__run_require(run, name, &exports, &error) != KV8_OK) {
      fprintf(stderr, "kiln-run-bake: %s: %s\n%s\n", name, error.message, error.stack);
      exit(1);
    }
    kv8_value_free(exports);
  }
}

static bool write_all(FILE *out) {
  kiln__run_cache_head head;
  bool good = kiln__run_cache_head_fill(&head) && fwrite(&head, sizeof(head), 1, out) == 1;
  for (size_t i = 0; good && i < kiln__run_builtin_count; i++) {
    static const char padding[8];
    kv8_blob blob = {NULL, 0};
    kv8_function *function = kiln__run_builtin_function(i);
    if (function != NULL) {
      good = kv8_function_create_cached_data(function, &blob, /* err= */ NULL) == KV8_OK;
    }
    uint64_t length = blob.length;
    good = good && fwrite(&length, sizeof(length), 1, out) == 1 &&
           fwrite(blob.data, 1, blob.length, out) == blob.length &&
           fwrite(padding, 1, -length & 7, out) == (-length & 7);
    kv8_blob_free(&blob);
  }
  return good;
}

int main(int argc, char **argv) {
  static kiln__run run;
  if (argc != 2) return 2;
  run.options = (kiln__run_options){.no_store = true,
                                    .kind = KILN__CLI_COMMONJS,
                                    .stack_trace_limit = -1,
                                    .text = program,
                                    .args = argv + argc,
                                    .unhandled = "throw"};
  kiln__run_builtins_keep(true);
  /* Its console.log is not for the build to see. */
  if (freopen("/dev/null", "w", stdout) == NULL || !kiln__run_start(&run)) return 1;
  int status = kiln__run_main(&run);
  load_all(&run);
  FILE *out = status == 0 ? fopen(argv[1], "wb") : NULL;
  if (out == NULL || !write_all(out) || fclose(out) != 0) {
    fprintf(stderr, "kiln-run-bake: '%s': not written\n", argv[1]);
    return 1;
  }
  kiln__run_end(&run);
  return 0;
}
