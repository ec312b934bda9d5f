/* SPDX-License-Identifier: MIT
 *
 * cli_manifest_test.c: `kiln verify-manifest` from outside: it names what is wrong with a folder,
 * and no damage escapes it.
 */
#include <check.h>
#include <jansson.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cache/kcc.h"
#include "tests/cli/cli_engines.h"
#include "tests/cli/cli_support.h"

#define HEAD "(function (exports, require, module, __filename, __dirname) {\n"

static void make_sources(void) {
  write_file("src/a.js", "#!/usr/bin/env node\nmodule.exports = function () { return 'a'; };");
  write_file("src/b.cjs", "exports.b = [1, 2].map((x) => x * 2); // \xc3\xa4\xf0\x9f\x98\x80");
  write_file("src/deep/c.mjs", "export const c = 1;");
  write_file("src/empty.js", "");
}

static void write_bytes(const char *path, const char *data, size_t length) {
  FILE *file = fopen(path, "wb");
  ck_assert_ptr_nonnull(file);
  ck_assert_uint_eq(fwrite(data, 1, length, file), length);
  ck_assert_int_eq(fclose(file), 0);
}

/* The name of the pack of an engine's folder below `out`. */
static void pack_path(const char *engine, char ret_path[160]) {
  char path[128];
  size_t length;
  (void)snprintf(path, sizeof(path), "out/%s/index", engine);
  char *text = read_file(path, &length);
  json_t *index = parse(strchr(text, '\n') + 1);
  (void)snprintf(ret_path, 160, "out/%s/%s", engine, string_of(index, "pack"));
  json_decref(index);
  free(text);
}

/* ---- what it says -------------------------------------------------------------------- */

static void digest_manifest(json_t *manifest) {
  char hex[KCC_HEX_BYTES];
  kcc_digest digest;
  (void)json_object_del(manifest, "sha256");
  char *text = json_dumps(manifest, JSON_COMPACT | JSON_SORT_KEYS);
  ck_assert_int_eq(kcc_digest_of((kcc_span){text, strlen(text)}, &digest, NULL), KCC_OK);
  free(text);
  kcc_digest_format(&digest, hex);
  ck_assert_int_eq(json_object_set_new(manifest, "sha256", json_string(hex)), 0);
}

/* Writes a manifest with one member changed, and its digest made right again. */
static void forge(json_t *manifest, json_t *object, const char *member, json_t *value) {
  json_t *was = json_incref(json_object_get(object, member));
  if (value != NULL) {
    ck_assert_int_eq(json_object_set_new(object, member, value), 0);
  } else {
    (void)json_object_del(object, member);
  }
  digest_manifest(manifest);
  ck_assert_int_eq(json_dump_file(manifest, "out/manifest.json", 0), 0);
  if (was != NULL) {
    ck_assert_int_eq(json_object_set_new(object, member, was), 0);
  } else {
    (void)json_object_del(object, member);
  }
}

/* Whoever can write a right digest can still not make one member disagree with the others. */
START_TEST(forged_members_are_named) {
  size_t length;
  char zeros[65];
  memset(zeros, '0', 64);
  zeros[64] = '\0';
  make_sources();
  outcome result = KILN("precompile", "--quiet", "--store", "store", "--out", "out", "src");
  expect_status(&result, 0);
  outcome_free(&result);
  char *text = read_file("out/manifest.json", &length);
  json_t *m = parse(text), *engine = json_array_get(json_object_get(m, "engines"), 0);
  json_t *entries = json_object_get(m, "entries");
  json_t *a = entry_of(entries, "file", "a.js"), *c = entry_of(entries, "file", "c.mjs");
  json_t *blob = json_array_get(json_object_get(a, "blobs"), 0);
  struct {
    json_t *object;
    const char *member;
    json_t *value;
    const char *said;
  } cases[] = {
      {m, "version", json_integer(3), "manifest.json: no manifest of version 2"},
      {m, "kiln", NULL, "manifest.json: kiln: missing"},
      {m, "created", json_string("yesterday"), "created: not a time"},
      {m, "root", json_string(""), "root: empty"},
      {m, "root", json_string("elsewhere"), "node-18/index: root: not the manifest's"},
      {m, "engines", json_object(), "engines: not an array"},
      {m, "entries", NULL, "entries: missing"},
      {engine, "name", json_string("../node-18"), "engines[0]: name: not lower-case letters"},
      {engine, "directory", json_string("node-20"), "directory: not the engine's name"},
      {engine, "v8Version", json_string("10.2.154.27"), "fingerprint: not that of name"},
      {engine, "cachedDataVersionTag", json_integer(-1), "cachedDataVersionTag: out of range"},
      {engine, "cachedDataVersionTag", json_integer(1), "fingerprint: not that of name"},
      {engine, "flags", json_string("--x"), "fingerprint: not that of name"},
      {engine, "buildId", json_string("00"), "fingerprint: not that of name"},
      {engine, "arch", json_string("arm64"), "fingerprint: not that of name"},
      {engine, "fingerprint", json_string(zeros), "fingerprint: not that of name"},
      {engine, "nodeVersion", json_string("99"), "engine.nodeVersion: not the manifest's"},
      {engine, "pack", json_string("../../x"), "pack: not the name of a pack"},
      {engine, "packBytes", json_integer(8), "the manifest says 8"},
      {engine, "indexSha256", json_string(zeros), "node-18/index: its SHA-256"},
      {a, "file", json_string("../a.js"), "file: not a path below the root"},
      {a, "file", json_string("z.js"), "is not the manifest's for"},
      {a, "filename", json_string("/elsewhere/a.js"), "key: not that of what"},
      {a, "kind", json_string("auto"), "kind: unknown"},
      {a, "kind", json_string("commonjs"), "key: not that of what"},
      {a, "lineOffset", json_integer(0), "lineOffset: not that of a wrapper"},
      {a, "columnOffset", json_integer(1), "lineOffset: not that of a wrapper"},
      {a, "sourceSha256", json_string(zeros), "is not the manifest's for 'a.js'"},
      {a, "sourceBytes", json_integer(1), "is not the manifest's for 'a.js'"},
      {a, "compiledSha256", json_string(zeros), "key: not that of what"},
      {a, "compiledBytes", NULL, "compiledBytes: missing"},
      {a, "blobs", json_array(), "blobs: not an array of 1 to 32"},
      {a, "params", json_array(), "params: only a function has them"},
      {c, "sourceSha256", json_string(zeros), "key: not that of what"},
      {c, "sourceBytes", json_integer(7), "key: not that of what"},
      {blob, "engine", json_string("node-99"), "engine: not among the engines"},
      {blob, "key", json_string(zeros), "key: not that of what"},
      {blob, "mode", json_string("eager"), "key: not that of what"},
      {blob, "mode", json_string("workload"), "workload: missing"},
      {blob, "workload", json_string(zeros), "workload: only mode workload has one"},
      {blob, "offset", json_integer(4), "not at a multiple of 8"},
      {blob, "offset", json_integer(1 << 20), "goes beyond its end"},
      {blob, "blobBytes", json_integer(16), "its SHA-256 is not the manifest's"},
      {blob, "blobBytes", json_integer(1 << 20), "goes beyond its end"},
      {blob, "blobSha256", json_string(zeros), "cache of 'a.js': its SHA-256"},
      {blob, "blobSha256", json_string("XYZ"), "blobSha256: not 64 lower-case hex"},
      {blob, "times", json_integer(1), "times: missing, or no object"},
  };
  for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
    forge(m, cases[i].object, cases[i].member, cases[i].value);
    result = KILN("verify-manifest", "out");
    ck_assert_msg(result.status == 1 && says(result.out, cases[i].said),
                  "%s: status %d, '%s' is not in:\n%s%s", cases[i].member, result.status,
                  cases[i].said, result.out, result.err);
    outcome_free(&result);
  }
  /* The same entry twice. */
  ck_assert_int_eq(json_array_append(entries, c), 0);
  forge(m, m, "kiln", json_string("0"));
  result = KILN("verify-manifest", "--json", "out");
  expect_status(&result, 1);
  json_t *report = parse(result.out);
  ck_assert(json_is_false(json_object_get(report, "ok")));
  ck_assert_int_gt(number_of(report, "problemsCount"), 1);
  ck_assert_str_eq(
      string_of(entry_of(json_object_get(report, "problems"), "where", "[4]"), "problem"), "twice");
  json_decref(report);
  outcome_free(&result);
  json_decref(m);
  write_bytes("out/manifest.json", text, length);
  free(text);
  result = KILN("verify-manifest", "out");
  expect_status(&result, 0);
  outcome_free(&result);
}
END_TEST

START_TEST(sources_and_strangers_are_named) {
  make_sources();
  outcome result =
      KILN("precompile", "--quiet", "--store", "store", "--out", "out", "--files", "src");
  expect_status(&result, 0);
  outcome_free(&result);
  result = KILN("verify-manifest", "--sources", "src", "out");
  expect_status(&result, 0);
  ck_assert_str_eq(result.out, "ok: 1 engines, 4 caches, 4 sources\n");
  outcome_free(&result);
  write_file("src/a.js", "changed");
  ck_assert_int_eq(unlink("src/b.cjs"), 0);
  result = KILN("verify-manifest", "--sources", "src", "out");
  expect_status(&result, 1);
  ck_assert_str_eq(result.out,
                   "entries[0] 'a.js': source: has changed\n"
                   "entries[1] 'b.cjs': source: No such file or directory\n");
  outcome_free(&result);
  write_file("out/node-18/deep/c.mjs.cache", "");
  result = KILN("verify-manifest", "out");
  expect_status(&result, 1);
  ck_assert_str_eq(result.out, "node-18/deep/c.mjs.cache: its SHA-256 is not the manifest's\n");
  outcome_free(&result);
  make_sources();
  result = KILN("precompile", "--quiet", "--store", "store", "--out", "out", "--files", "src");
  expect_status(&result, 0);
  outcome_free(&result);
  write_file("out/node-99/index", "");
  result = KILN("verify-manifest", "out");
  expect_status(&result, 1);
  ck_assert_str_eq(result.out, "node-99: has an index, but is not in the manifest\n");
  outcome_free(&result);
  result = KILN("verify-manifest", "--engine", "node-20", "out");
  expect_status(&result, 1);
  ck_assert(says(result.err, "engine 'node-20': not in this manifest"));
  outcome_free(&result);
  result = KILN("verify-manifest", "--engine", "default", "out");
  expect_status(&result, 0);
  outcome_free(&result);

  result = KILN("verify-manifest", "nowhere");
  expect_status(&result, 1);
  ck_assert_str_eq(result.err, "kiln verify-manifest: 'nowhere': No such file or directory\n");
  outcome_free(&result);
  result = KILN("verify-manifest", "src");
  expect_status(&result, 1);
  ck_assert_str_eq(result.out, "manifest.json: No such file or directory\n");
  outcome_free(&result);
  static const char *const texts[] = {
      "", "[]", "{", "null", "{\"version\": 2}", "\xff\xfe", "{\"version\":2,\"version\":2}"};
  for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
    write_file("odd/manifest.json", texts[i]);
    result = KILN("verify-manifest", "odd");
    expect_status(&result, 1);
    ck_assert(says(result.out, "manifest.json: "));
    outcome_free(&result);
  }
  ck_assert_int_eq(unlink("odd/manifest.json"), 0);
  ck_assert_int_eq(mkfifo("odd/manifest.json", 0600), 0);
  result = KILN("verify-manifest", "odd");
  expect_status(&result, 1);
  ck_assert_str_eq(result.out, "manifest.json: not a regular file\n");
  outcome_free(&result);
}
END_TEST

/* ---- random damage ------------------------------------------------------------------- */

/* Each is a process. */
#ifdef __SANITIZE_ADDRESS__
#define ROUNDS 100
#else
#define ROUNDS 500
#endif

static uint64_t state;

static uint32_t any(uint32_t below) {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return (uint32_t)((state >> 32) % below);
}

typedef struct victim {
  char path[160];
  char *data;
  size_t length;
  json_t *json; /* of a manifest */
} victim;

/* Damages a copy; returns its new length. `other` is one to take bytes from. */
static size_t damage(const victim *v, const victim *other, char *copy, size_t room) {
  size_t length = v->length;
  memcpy(copy, v->data, length);
  switch (any(6)) {
    case 0:
    case 1: { /* one bit */
      size_t at = any((uint32_t)length);
      copy[at] = (char)(copy[at] ^ (1 << any(8)));
      break;
    }
    case 2: /* cut */
      length = any((uint32_t)length);
      break;
    case 3: { /* longer */
      size_t more = 1 + any(64);
      ck_assert_uint_le(length + more, room);
      for (size_t i = 0; i < more; i++) copy[length++] = any(2) == 0 ? '\0' : (char)any(256);
      break;
    }
    case 4: { /* two pieces change places */
      uint32_t half = (uint32_t)length / 2, size = 1 + any(half < 64 ? half : 64);
      size_t a = any(half - size + 1), b = half + any(half - size + 1);
      memcpy(copy + a, v->data + b, size);
      memcpy(copy + b, v->data + a, size);
      break;
    }
    default: /* another file in its place */
      length = other->length;
      memcpy(copy, other->data, length);
      break;
  }
  return length;
}

/* Whether what is read from the damaged file is the same. */
static bool is_without_effect(const victim *v, const char *copy, size_t length) {
  if (length == v->length && memcmp(copy, v->data, length) == 0) return true;
  if (v->json == NULL) return false;
  json_t *json = json_loadb(copy, length, JSON_REJECT_DUPLICATES, NULL);
  bool same = json != NULL && json_equal(json, v->json) == 1;
  json_decref(json);
  return same;
}

static void load_victim(victim *v) {
  v->data = read_file(v->path, &v->length);
  v->json = strstr(v->path, "manifest.json") != NULL ? parse(v->data) : NULL;
}

/* All damage is found, or changes nothing that is read; nothing crashes. */
static void damage_folder(const char *engine, const char *other_engine) {
  victim victims[4] = {{.path = "out/manifest.json"}};
  unsigned found = 0, without_effect = 0;
  (void)snprintf(victims[1].path, sizeof(victims[1].path), "out/%s/index", engine);
  pack_path(engine, victims[2].path);
  (void)snprintf(victims[3].path, sizeof(victims[3].path), "out/%s/index", other_engine);
  size_t room = 128;
  for (size_t i = 0; i < 4; i++) {
    load_victim(&victims[i]);
    if (victims[i].length + 128 > room) room = victims[i].length + 128;
  }
  char *copy = malloc(room);
  ck_assert_ptr_nonnull(copy);
  state = 0x9e3779b97f4a7c15U;
  for (unsigned round = 0; round < ROUNDS; round++) {
    const victim *v = &victims[any(3)], *other = &victims[any(4)];
    size_t length = damage(v, other, copy, room);
    bool same = is_without_effect(v, copy, length);
    write_bytes(v->path, copy, length);
    outcome result = KILN("verify-manifest", "out");
    ck_assert_msg(result.status == (same ? 0 : 1), "round %u, %s: status %d\n%s%s", round, v->path,
                  result.status, result.out, result.err);
    if (same) {
      without_effect++;
    } else {
      ck_assert_msg(strchr(result.out, '\n') != NULL, "round %u: nothing is named", round);
      found++;
    }
    outcome_free(&result);
    write_bytes(v->path, v->data, v->length);
  }
  outcome result = KILN("verify-manifest", "out");
  expect_status(&result, 0);
  outcome_free(&result);
  ck_assert_uint_eq(found + without_effect, ROUNDS);
  printf("%s: %u damaged folders found, %u without effect\n", engine, found, without_effect);
  free(copy);
  for (size_t i = 0; i < 4; i++) {
    free(victims[i].data);
    json_decref(victims[i].json);
  }
}

START_TEST(no_damage_escapes) {
  static const unsigned majors[] = {18, 20, 22, 24, 26};
  const test_engine *e = engine_of(majors[_i]), *other = engine_at(0);
  make_sources();
  outcome result = KILN_ENGINES("precompile", "--quiet", "--store", "store", "--out", "out",
                                "--engine", e->name, "--engine", other->name, "src");
  expect_status(&result, 0);
  outcome_free(&result);
  damage_folder(e->name, other->name);
}
END_TEST

int main(void) {
  Suite *suite = suite_create("cli_manifest");
  TCase *tcase = tcase_create("cli_manifest");
  tcase_add_checked_fixture(tcase, set_up, tear_down);
  tcase_set_timeout(tcase, 300);
  tcase_add_test(tcase, forged_members_are_named);
  tcase_add_test(tcase, sources_and_strangers_are_named);
  tcase_add_loop_test(tcase, no_damage_escapes, 0, 5);
  suite_add_tcase(suite, tcase);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_ENV);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
