/* SPDX-License-Identifier: MIT
 *
 * cli_output_test.c: `kiln precompile --out` from outside: the folder it writes, what official Node
 * makes of it, who reads it meanwhile.
 */
#include <check.h>
#include <jansson.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cache/kcc.h"
#include "tests/cli/cli_support.h"

/* Reads the index of an engine's folder as a loader does: the first line, then the JSON. */
static json_t *read_index(const char *folder) {
  char path[256], hex[KCC_HEX_BYTES], first[128];
  size_t length;
  kcc_digest digest;
  (void)snprintf(path, sizeof(path), "%s/index", folder);
  char *text = read_file(path, &length), *body = strchr(text, '\n');
  ck_assert_ptr_nonnull(body);
  body++;
  ck_assert_int_eq(kcc_digest_of((kcc_span){body, strlen(body)}, &digest, NULL), KCC_OK);
  kcc_digest_format(&digest, hex);
  (void)snprintf(first, sizeof(first), "kiln-index 1 %s\n", hex);
  ck_assert_int_eq(strncmp(text, first, strlen(first)), 0);
  json_t *index = parse(body);
  free(text);
  return index;
}

/* The blob of an entry, or nothing if its digest is wrong; lent from the pack. */
static kcc_span blob_of(json_t *entry, const char *pack, size_t pack_length) {
  size_t offset = (size_t)json_integer_value(json_array_get(entry, 5));
  size_t length = (size_t)json_integer_value(json_array_get(entry, 6));
  char hex[KCC_HEX_BYTES];
  kcc_digest digest;
  ck_assert_uint_eq(offset % 8, 0);
  if (offset > pack_length || length > pack_length - offset) return (kcc_span){NULL, 0};
  kcc_span blob = {pack + offset, length};
  ck_assert_int_eq(kcc_digest_of(blob, &digest, NULL), KCC_OK);
  kcc_digest_format(&digest, hex);
  if (strcmp(hex, json_string_value(json_array_get(entry, 7))) != 0) return (kcc_span){NULL, 0};
  return blob;
}

/* Takes what is in a baked folder as a program would that knows nothing but the layout. */
static const char check_program[] =
    "const fs = require('fs'), vm = require('vm'), path = require('path');\n"
    "const folder = process.argv[2];\n"
    "const [first, body] = fs.readFileSync(folder + '/index', 'utf8').split('\\n');\n"
    "const index = JSON.parse(body), pack = fs.readFileSync(folder + '/' + index.pack);\n"
    "const head = '(function (exports, require, module, __filename, __dirname) {\\n';\n"
    "for (const [file, kind, , , , offset, bytes, , filename, lineOffset, columnOffset]\n"
    "     of index.entries) {\n"
    "  const source = fs.readFileSync(path.resolve(folder, '..', index.root, file), 'utf8');\n"
    "  const cachedData = pack.subarray(offset, offset + bytes);\n"
    "  const o = {filename, cachedData, lineOffset, columnOffset};\n"
    "  const wrapped = head + source.replace(/^#!/, '//') + '\\n})';\n"
    "  const made = kind === 'script' ? new vm.Script(source, o)\n"
    "    : kind === 'wrapper' ? new vm.Script(wrapped, o)\n"
    "    : kind === 'commonjs' ? vm.compileFunction(source,\n"
    "        ['exports', 'require', 'module', '__filename', '__dirname'], o)\n"
    "    : new vm.SourceTextModule(source, {identifier: filename, cachedData});\n"
    "  if (kind === 'wrapper') {\n"
    "    const module = {exports: {}};\n"
    "    made.runInThisContext()(module.exports, require, module, file, '');\n"
    "  }\n"
    "  console.log(file, kind, kind === 'module' ? false : made.cachedDataRejected);\n"
    "}\n";

/* What --out writes is what the store has, and official Node takes it. */
START_TEST(precompile_out_is_for_node) {
  make_tree();
  write_file("src/tool.js", "#!/usr/bin/env node\nmodule.exports = arguments.length;");
  outcome result =
      KILN("precompile", "--store", "store", "--out", "baked/here", "--files", "--quiet", "src");
  expect_status(&result, 0);
  outcome_free(&result);
  size_t length, cache_length, pack_length;
  char *text = read_file("baked/here/manifest.json", &length), pack_path[256];
  json_t *manifest = parse(text), *entries = json_object_get(manifest, "entries");
  json_t *index = read_index("baked/here/node-18"), *engine;
  (void)snprintf(pack_path, sizeof(pack_path), "baked/here/node-18/%s", string_of(index, "pack"));
  char *pack = read_file(pack_path, &pack_length);
  ck_assert_int_eq(number_of(index, "packBytes"), (long long)pack_length);
  ck_assert_str_eq(string_of(index, "root"), "../../src");
  ck_assert_int_eq(number_of(manifest, "version"), 2);
  ck_assert_uint_eq(json_array_size(json_object_get(manifest, "engines")), 1);
  engine = json_array_get(json_object_get(manifest, "engines"), 0);
  ck_assert_str_eq(string_of(engine, "name"), "node-18");
  ck_assert_str_eq(string_of(engine, "directory"), "node-18");
  ck_assert_uint_eq(json_array_size(entries), 8);
  size_t i;
  json_t *entry;
  json_array_foreach(entries, i, entry) {
    char path[256], hex[KCC_HEX_BYTES];
    kcc_digest digest;
    json_t *blob = json_array_get(json_object_get(entry, "blobs"), 0);
    (void)snprintf(path, sizeof(path), "baked/here/%s", string_of(blob, "cacheFile"));
    char *cache = read_file(path, &cache_length);
    ck_assert_int_eq(number_of(blob, "blobBytes"), (long long)cache_length);
    result = KILN("cache", "get", "--store", "store", string_of(blob, "key"));
    expect_status(&result, 0);
    ck_assert_uint_eq(result.out_length, cache_length);
    ck_assert_mem_eq(result.out, cache, cache_length);
    ck_assert_mem_eq(pack + number_of(blob, "offset"), cache, cache_length);
    outcome_free(&result);
    free(cache);
    (void)snprintf(path, sizeof(path), "src/%s", string_of(entry, "file"));
    char *source = read_file(path, &length);
    ck_assert_int_eq(kcc_digest_of((kcc_span){source, length}, &digest, NULL), KCC_OK);
    kcc_digest_format(&digest, hex);
    ck_assert_str_eq(string_of(entry, "sourceSha256"), hex);
    free(source);
  }
  json_decref(index);
  json_decref(manifest);
  free(pack);
  free(text);
  write_file("check.js", check_program);
  result = run_program(KILN_TEST_NODE18,
                       (const char *const[]){"--experimental-vm-modules", "--no-warnings",
                                             "check.js", "baked/here/node-18", NULL},
                       (const char *const[]){NULL});
  expect_status(&result, 0);
  ck_assert_str_eq(result.out,
                   "a.cjs wrapper false\nb.mjs module false\ncjs-by-syntax.js wrapper false\n"
                   "deep/er/c.js module false\nesm-by-syntax.js module false\n"
                   "plain.js wrapper false\nstrict/d.js wrapper false\ntool.js wrapper false\n");
  outcome_free(&result);
  result = KILN("verify-manifest", "baked/here", "--sources", "src");
  expect_status(&result, 0);
  ck_assert_str_eq(result.out, "ok: 1 engines, 8 caches, 8 sources\n");
  outcome_free(&result);
}
END_TEST

/* Kinds that Node's loader does not use, for who calls vm himself. */
START_TEST(precompile_out_takes_other_kinds) {
  write_file("src/a.js", "1 + 1");
  write_file("src/b.js", "var b = 'b'");
  static const char *const kinds[] = {"script", "commonjs", "wrapper"};
  for (size_t i = 0; i < 3; i++) {
    outcome result = KILN("precompile", "--store", "store", "--out", "baked", "--kind", kinds[i],
                          "--quiet", "src");
    expect_status(&result, 0);
    outcome_free(&result);
    write_file("check.js", check_program);
    result = run_program(KILN_TEST_NODE18,
                         (const char *const[]){"--experimental-vm-modules", "--no-warnings",
                                               "check.js", "baked/node-18", NULL},
                         (const char *const[]){NULL});
    expect_status(&result, 0);
    char wanted[128];
    (void)snprintf(wanted, sizeof(wanted), "a.js %s false\nb.js %s false\n", kinds[i], kinds[i]);
    ck_assert_str_eq(result.out, wanted);
    outcome_free(&result);
    result = KILN("verify-manifest", "baked", "--sources", "src");
    expect_status(&result, 0);
    outcome_free(&result);
  }
}
END_TEST

/* Where the files lie decides their names, and what may come into one folder. */
START_TEST(precompile_out_has_one_root) {
  write_file("p/src/a.js", "1");
  write_file("p/lib/deep/b.js", "2");
  write_file("p/lib/c.js", "3");
  outcome result = KILN("precompile", "--store", "store", "--out", "out", "--quiet", "p/src/a.js",
                        "p/src/../src/a.js", "p/lib/deep", "p/src");
  expect_status(&result, 0);
  outcome_free(&result);
  json_t *index = read_index("out/node-18"), *entries = json_object_get(index, "entries");
  ck_assert_str_eq(string_of(index, "root"), "../p");
  ck_assert_uint_eq(json_array_size(entries), 2);
  ck_assert_str_eq(json_string_value(json_array_get(json_array_get(entries, 0), 0)),
                   "lib/deep/b.js");
  ck_assert_str_eq(json_string_value(json_array_get(json_array_get(entries, 1), 0)), "src/a.js");
  json_decref(index);

  result =
      KILN("precompile", "--store", "store", "--out", "p/out", "--root", ".", "--quiet", "p/lib");
  expect_status(&result, 0);
  outcome_free(&result);
  index = read_index("p/out/node-18");
  ck_assert_str_eq(string_of(index, "root"), "../..");
  entries = json_object_get(index, "entries");
  ck_assert_str_eq(json_string_value(json_array_get(json_array_get(entries, 0), 0)), "p/lib/c.js");
  json_decref(index);

  result = KILN("precompile", "--store", "store", "--out", "out", "--root", "p/lib", "p/src");
  expect_status(&result, 1);
  ck_assert(says(result.err, "does not lie in the root"));
  outcome_free(&result);
  result = KILN("precompile", "--store", "store", "--out", "out", "--root", "p/none", "p/src");
  expect_status(&result, 1);
  ck_assert(says(result.err, "root 'p/none': No such file"));
  outcome_free(&result);
  /* A folder inside another, named by the files' own engine: replaced, root and all. */
  result = KILN("precompile", "--store", "store", "--out", "out", "--quiet", "p/lib");
  expect_status(&result, 0);
  outcome_free(&result);
  index = read_index("out/node-18");
  ck_assert_str_eq(string_of(index, "root"), "../p/lib");
  json_decref(index);
  write_file("file", "");
  result = KILN("precompile", "--store", "store", "--out", "file/x", "p/src");
  expect_status(&result, 1);
  ck_assert(says(result.err, "'file/x': Not a directory"));
  outcome_free(&result);
  char name[64] = "p/bad\xff.js";
  write_file(name, "1");
  result = KILN("precompile", "--store", "store", "--out", "out", name, "p/src/a.js");
  expect_status(&result, 1);
  ck_assert(says(result.err, "its name is not UTF-8"));
  outcome_free(&result);
  result = KILN("verify-manifest", "out");
  expect_status(&result, 0);
  ck_assert_str_eq(result.out, "ok: 1 engines, 1 caches\n");
  outcome_free(&result);
}
END_TEST

/* What is there and is not ours is left alone. */
START_TEST(precompile_out_refuses_strange_folders) {
  write_file("a.js", "1");
  write_file("out/manifest.json", "{\"version\": 1, \"entries\": []}");
  outcome result = KILN("precompile", "--store", "store", "--out", "out", "a.js");
  expect_status(&result, 1);
  ck_assert(says(result.err, "'out/manifest.json': no manifest of version 2; remove it, or name"));
  ck_assert_int_ne(access("out/node-18/index", F_OK), 0);
  outcome_free(&result);
  size_t length;
  char *text = read_file("out/manifest.json", &length);
  ck_assert_str_eq(text, "{\"version\": 1, \"entries\": []}");
  free(text);

  result = KILN("precompile", "--store", "store", "--out", "good", "a.js", "--quiet");
  expect_status(&result, 0);
  outcome_free(&result);
  text = read_file("good/manifest.json", &length);
  char *digit = strstr(text, "\"sourceBytes\": 1");
  ck_assert_ptr_nonnull(digit);
  digit[strlen("\"sourceBytes\": ")] = '2';
  write_file("good/manifest.json", text);
  free(text);
  result = KILN("precompile", "--store", "store", "--out", "good", "a.js");
  expect_status(&result, 1);
  ck_assert(says(result.err, "'good/manifest.json': sha256: not that of the rest; remove it"));
  outcome_free(&result);

  /* Nothing is left of a run that could not finish; what it left when killed goes with the next. */
  write_file("third/node-18/pack-1.tmp", "left behind");
  result = KILN("precompile", "--store", "store", "--out", "third", "a.js", "--quiet");
  expect_status(&result, 0);
  ck_assert_int_ne(access("third/node-18/pack-1.tmp", F_OK), 0);
  outcome_free(&result);
  /* An engine for which nothing could be baked keeps what it has. */
  write_file("bad.js", "var = 1");
  result = KILN("precompile", "--store", "store", "--out", "third", "bad.js", "--quiet");
  expect_status(&result, 1);
  outcome_free(&result);
  result = KILN("verify-manifest", "third", "--sources", ".");
  expect_status(&result, 0);
  ck_assert_str_eq(result.out, "ok: 1 engines, 1 caches, 1 sources\n");
  outcome_free(&result);
}
END_TEST

/* Reads the folder again and again as a loader does; ends with 1 at the first mixture, with 0 when
 * `stop` says so. */
static int read_all_along(int stop) {
  char *last = NULL;
  unsigned seen = 0;
  for (;;) {
    struct pollfd polled = {.fd = stop, .events = POLLIN};
    if (poll(&polled, 1, 0) != 0 && seen > 1) break;
    char path[256];
    size_t pack_length, i;
    json_t *index = read_index("out/node-18"), *entry;
    (void)snprintf(path, sizeof(path), "out/node-18/%s", string_of(index, "pack"));
    if (access(path, F_OK) != 0) {
      /* Just replaced: the index that there is now has a pack, unless it is again just so. */
      json_decref(index);
      continue;
    }
    FILE *file = fopen(path, "rb");
    if (file != NULL) {
      char *pack = malloc(1 << 20);
      pack_length = fread(pack, 1, 1 << 20, file);
      (void)fclose(file);
      json_array_foreach(json_object_get(index, "entries"), i, entry) {
        if (blob_of(entry, pack, pack_length).data == NULL) return 1;
      }
      free(pack);
      if (last == NULL || strcmp(last, path) != 0) seen++;
      free(last);
      last = strdup(path);
    }
    json_decref(index);
  }
  free(last);
  return 0;
}

START_TEST(readers_see_the_old_or_the_new) {
  int stop[2];
  write_file("src/a.js", "1");
  outcome result = KILN("precompile", "--store", "store", "--out", "out", "--quiet", "src");
  expect_status(&result, 0);
  outcome_free(&result);
  ck_assert_int_eq(pipe(stop), 0);
  pid_t reader = fork();
  ck_assert_int_ge(reader, 0);
  if (reader == 0) {
    (void)close(stop[1]);
    _exit(read_all_along(stop[0]));
  }
  (void)close(stop[0]);
  for (int i = 0; i < 12; i++) {
    char name[32], text[64];
    for (int j = 0; j < 20; j++) {
      (void)snprintf(name, sizeof(name), "src/%d.js", j);
      (void)snprintf(text, sizeof(text), "var a%d = %d; function f() { return %d; }", i, j, i * j);
      write_file(name, text);
    }
    result = KILN("precompile", "--store", "store", "--out", "out", "--quiet", "src");
    expect_status(&result, 0);
    outcome_free(&result);
  }
  (void)close(stop[1]);
  int status;
  ck_assert_int_eq(waitpid(reader, &status, 0), reader);
  ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "a reader saw a mixture");
  result = KILN("verify-manifest", "out", "--sources", "src");
  expect_status(&result, 0);
  outcome_free(&result);
}
END_TEST

int main(void) {
  Suite *suite = suite_create("cli_output");
  TCase *tcase = tcase_create("cli_output");
  tcase_add_checked_fixture(tcase, set_up, tear_down);
  tcase_set_timeout(tcase, 120);
  tcase_add_test(tcase, precompile_out_is_for_node);
  tcase_add_test(tcase, precompile_out_takes_other_kinds);
  tcase_add_test(tcase, precompile_out_has_one_root);
  tcase_add_test(tcase, precompile_out_refuses_strange_folders);
  tcase_add_test(tcase, readers_see_the_old_or_the_new);
  suite_add_tcase(suite, tcase);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_ENV);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
