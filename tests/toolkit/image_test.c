/* SPDX-License-Identifier: MIT
 *
 * image_test.c: images, on the real kiln-engine: what runs in them see, and what becomes of them
 * when they are hostile, killed, evicted or too many.
 */
#include <check.h>
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/toolkit/service_support.h"

#ifdef KILN_ADDRESS_SANITIZER
#define SLOW 10
#else
#define SLOW 1
#endif
#define WAIT_S (20 * SLOW)

static kiln_bytes *typescript;

typedef struct made {
  answer a;
  char id[KILN_IMAGE_ID_HEX + 1];
  uint64_t bytes;
  char resource[300];
} made;

static void take_image(void *user, const kiln_response *response) {
  made *m = user;
  if (response->image_id != NULL) memcpy(m->id, response->image_id, sizeof(m->id));
  m->bytes = response->image_bytes;
  snprintf(m->resource, sizeof(m->resource), "%s", response->resource ? response->resource : "");
  take_answer(&m->a, response);
}

static void make(kiln *k, const kiln_image_request *request, made *m) {
  kiln_error error;
  memset(m, 0, sizeof(*m));
  kiln_status status = kiln_image_create(k, request, take_image, m, &error);
  ck_assert_msg(status == KILN_OK, "%s: %s", error.code, error.message);
  await_answer(&m->a);
}

/* An image of a script, and another (or NULL), which must load. */
static void make_of(kiln *k, kiln_bytes *source, kiln_bytes *then,
                    char ret_id[KILN_IMAGE_ID_HEX + 1]) {
  kiln_image_script scripts[] = {{.source = source, .filename = kiln_span_from("image.js")},
                                 {.source = then}};
  kiln_image_request request = {
      .scripts = scripts, .scripts_count = then ? 2 : 1, .timeout_ms = 60000};
  made m;
  make(k, &request, &m);
  ck_assert_msg(m.a.status == KILN_OK && m.a.outcome == KILN_OUTCOME_OK, "%s %s", m.a.error.message,
                m.a.message);
  ck_assert_uint_eq(strlen(m.id), KILN_IMAGE_ID_HEX);
  ck_assert_uint_gt(m.bytes, 100000);
  memcpy(ret_id, m.id, sizeof(m.id));
  answer_release(&m.a);
}

static void make_text(kiln *k, const char *text, char ret_id[KILN_IMAGE_ID_HEX + 1]) {
  kiln_bytes *source = bytes_from(text);
  make_of(k, source, NULL, ret_id);
  kiln_bytes_unref(source);
}

static void run(kiln *k, const char *id, const char *text, answer *a) {
  kiln_bytes *source = bytes_from(text);
  kiln_request request = {.op = KILN_RUN,
                          .source = source,
                          .image = kiln_span_from(id),
                          .filename = kiln_span_from("run.js"),
                          .timeout_ms = 10000};
  ask(k, &request, a);
  kiln_bytes_unref(source);
}

static void assert_run(kiln *k, const char *id, const char *text, const char *json) {
  answer a;
  run(k, id, text, &a);
  ck_assert_msg(a.status == KILN_OK && a.outcome == KILN_OUTCOME_OK, "%s: %s %s %s", text,
                a.error.message, a.code, a.message);
  ck_assert_str_eq(a.result_json, json);
  answer_release(&a);
}

static kiln_image_info info_of(kiln *k, const char *id) {
  kiln_image_info info;
  kiln_error error;
  ck_assert_int_eq(kiln_image_get(k, kiln_span_from(id), &info, &error), KILN_OK);
  return info;
}

/* Waits for a state, without which the test cannot go on. */
static void await_state(kiln *k, const char *id, kiln_image_state state) {
  time_t until = time(NULL) + WAIT_S;
  while (info_of(k, id).state != state) {
    ck_assert_msg(time(NULL) < until, "image is %s, not %s",
                  kiln_image_state_word(info_of(k, id).state), kiln_image_state_word(state));
    usleep(1000);
  }
}

/* ---- its processes -----------------------------------------------------------------------------
 */

typedef struct process {
  pid_t pid;
  long nice;
  unsigned long resident;
} process;

/* The children of this process' threads; those that are no zombies. */
static size_t list_processes(process *list, size_t max) {
  size_t count = 0;
  struct dirent *entry;
  DIR *proc = opendir("/proc");
  ck_assert_ptr_nonnull(proc);
  while (count < max && (entry = readdir(proc)) != NULL) {
    char path[64], text[512];
    pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
    if (pid <= 0) continue;
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "re");
    if (file == NULL) continue;
    size_t length = fread(text, 1, sizeof(text) - 1, file);
    fclose(file);
    text[length] = '\0';
    const char *at = strrchr(text, ')');
    char state;
    int parent;
    long nice;
    unsigned long resident;
    if (at == NULL || sscanf(at + 1,
                             " %c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %ld "
                             "%*d %*d %*u %*u %lu",
                             &state, &parent, &nice, &resident) != 4)
      continue;
    if (parent == getpid() && state != 'Z') list[count++] = (process){pid, nice, resident};
  }
  closedir(proc);
  return count;
}

static bool is_among(const process *list, size_t count, pid_t pid) {
  for (size_t i = 0; i < count; i++)
    if (list[i].pid == pid) return true;
  return false;
}

/* The image's process is the largest of those that were not there before. */
static pid_t find_process(const process *before, size_t before_count) {
  process now[64], best = {0};
  size_t count = list_processes(now, 64);
  for (size_t i = 0; i < count; i++)
    if (now[i].nice == 10 && !is_among(before, before_count, now[i].pid) &&
        now[i].resident > best.resident)
      best = now[i];
  ck_assert_int_gt(best.pid, 0);
  return best.pid;
}

/* ---- what runs see ------------------------------------------------------------------------------
 */

START_TEST(runs_begin_where_the_image_ended) {
  kiln_options options = test_options(NULL);
  kiln *k = open_kiln(&options);
  kiln_bytes *first = bytes_from("console.log('loading'); var base = given + 1; let hidden = 5;");
  kiln_bytes *second = bytes_from("function twice(x) { return 2 * x }\nclass Box {}");
  kiln_image_script scripts[] = {{.source = first}, {.source = second}};
  kiln_image_request request = {.name = kiln_span_from("pair"),
                                .globals_json = kiln_span_from("{\"given\": 20}"),
                                .scripts = scripts,
                                .scripts_count = 2};
  made m;
  make(k, &request, &m);
  ck_assert_msg(m.a.outcome == KILN_OUTCOME_OK, "%s", m.a.message);
  ck_assert_int_eq(m.a.op, KILN_IMAGE);
  ck_assert_ptr_nonnull(strstr(m.a.console_json, "loading"));
  ck_assert_uint_gt(m.a.times.run_ns, 0);
  answer_release(&m.a);

  assert_run(k, m.id, "twice(base) + hidden + (typeof Box).length", "55");
  answer a;
  run(k, m.id, "console.log('mine'); var added = base; base = 7; globalThis.given = 8; added", &a);
  ck_assert_str_eq(a.result_json, "21");
  ck_assert_ptr_nonnull(strstr(a.console_json, "mine"));
  ck_assert_ptr_null(strstr(a.console_json, "loading"));
  answer_release(&a);

  kiln_span params[] = {{"a", 1}};
  kiln_bytes *body = bytes_from("return twice(a)");
  kiln_request call = {.op = KILN_RUN,
                       .kind = KILN_FUNCTION,
                       .source = body,
                       .params = params,
                       .params_count = 1,
                       .args_json = kiln_span_from("[4]"),
                       .globals_json = kiln_span_from("{\"unused\":1}"),
                       .image = kiln_span_from(m.id)};
  ask(k, &call, &a);
  ck_assert_msg(a.outcome == KILN_OUTCOME_OK, "%s", a.message);
  ck_assert_str_eq(a.result_json, "8");
  answer_release(&a);

  kiln_image_info info = info_of(k, m.id);
  ck_assert_str_eq(info.name, "pair");
  ck_assert_str_eq(info.engine, "node-18");
  ck_assert_int_eq(info.state, KILN_IMAGE_READY);
  ck_assert_uint_eq(info.runs, 3);
  ck_assert_uint_eq(info.loads, 1);
  ck_assert_uint_gt(info.load_ns, 0);
  ck_assert_uint_gt(info.source_bytes, 100);
  ck_assert_uint_eq(kiln_image_list(k, &info, 1), 1);
  kiln_stats stats = get_stats(k);
  ck_assert_uint_eq(stats.images, 1);
  ck_assert_uint_eq(stats.image_runs, 3);
  kiln_bytes_unref(body);
  kiln_bytes_unref(first);
  kiln_bytes_unref(second);
  kiln_close(k, 1000);
}
END_TEST

static char *globals_text;

static void take_globals(void *user, const kiln_response *response) {
  kiln_span text =
      response->globals_json ? kiln_bytes_get(response->globals_json) : kiln_span_from("");
  globals_text = strndup(text.data, text.length);
  take_answer(user, response);
}

START_TEST(globals_are_those_the_run_added) {
  kiln_options options = test_options(NULL);
  kiln *k = open_kiln(&options);
  char id[KILN_IMAGE_ID_HEX + 1];
  make_text(k, "var big = {a: 1}; var other = () => 1", id);
  kiln_bytes *source = bytes_from("var toJSON = () => 5; var added = [1]; big = 3; added");
  kiln_request request = {.op = KILN_RUN, .source = source, .image = kiln_span_from(id)};
  answer a = {0};
  kiln_error error;
  ck_assert_int_eq(kiln_submit(k, &request, take_globals, &a, &error), KILN_OK);
  await_answer(&a);
  ck_assert_str_eq(a.result_json, "[1]");
  ck_assert_ptr_nonnull(strstr(globals_text, "\"added\":[1]"));
  ck_assert_ptr_nonnull(strstr(globals_text, "\"toJSON\":"));
  ck_assert_ptr_null(strstr(globals_text, "big"));
  ck_assert_ptr_null(strstr(globals_text, "other"));
  free(globals_text);
  answer_release(&a);
  kiln_bytes_unref(source);
  kiln_close(k, 1000);
}
END_TEST

START_TEST(nothing_of_a_run_is_seen_by_the_next) {
  kiln_options options = test_options(NULL);
  kiln *k = open_kiln(&options);
  char id[KILN_IMAGE_ID_HEX + 1], last[64] = "";
  /* The image has used Math.random() itself. */
  make_text(k, "var seen = []; var first = Math.random(); var keep = {n: 0};", id);
  for (int i = 0; i < 200 / SLOW; i++) {
    assert_run(k, id,
               "var before = [typeof leaked, Array.prototype.evil, keep.n, seen.length, "
               "typeof String.prototype.trim, Object.prototype.x];"
               "globalThis.leaked = 1; Array.prototype.evil = 1; keep.n++; seen.push(1);"
               "String.prototype.trim = 0; Object.prototype.x = 9; Object.freeze(Math);"
               "String(before)",
               "\"undefined,,0,0,function,\"");
    answer a;
    run(k, id, "Math.random() + ' ' + Math.random()", &a);
    ck_assert_str_ne(a.result_json, last);
    snprintf(last, sizeof(last), "%s", a.result_json);
    answer_release(&a);
  }
  assert_run(k, id,
             "let low = 1, high = 0, sum = 0; for (let i = 0; i < 1e5; i++) { const r = "
             "Math.random(); if (r < low) low = r; if (r > high) high = r; sum += r }"
             "low >= 0 && low < 0.001 && high < 1 && high > 0.999 && Math.abs(sum / 1e5 - 0.5) < "
             "0.01 && first >= 0 && first < 1",
             "true");
  assert_run(k, id, "Math.random.name + Math.random.length + String(Math.random)",
             "\"random0function random() { [native code] }\"");
  assert_run(k, id, "try { new Math.random() } catch (e) { e.name }", "\"TypeError\"");
  kiln_close(k, 1000);
}
END_TEST

START_TEST(modules_are_evaluated_from_the_entry) {
  kiln_options options = test_options(NULL);
  kiln *k = open_kiln(&options);
  kiln_bytes *entry = bytes_from(
      "import {n} from './n.js'; export let me = 'entry'; globalThis.total = n + (await 1);"
      "globalThis.made = (globalThis.made ?? 0) + 1;");
  /* It imports the entry back: that is the same module, not another. */
  kiln_bytes *dependency =
      bytes_from("import * as back from 'main \"x\"'; export const n = 41; globalThis.back = back");
  kiln_named_source modules[] = {{kiln_span_from("main \"x\""), entry},
                                 {kiln_span_from("./n.js"), dependency}};
  kiln_image_request request = {
      .modules = modules, .modules_count = 2, .entry = kiln_span_from("main \"x\"")};
  made m;
  make(k, &request, &m);
  ck_assert_msg(m.a.outcome == KILN_OUTCOME_OK, "%s", m.a.message);
  assert_run(k, m.id, "[total, made, back.me]", "[42,1,\"entry\"]");
  answer_release(&m.a);

  kiln_error error;
  request.entry = kiln_span_from("");
  ck_assert_int_eq(kiln_image_create(k, &request, take_image, &m, &error), KILN_EINVAL);
  ck_assert_str_eq(error.code, "ERR_MISSING_ARGS");
  request.entry = kiln_span_from("./none.js");
  ck_assert_int_eq(kiln_image_create(k, &request, take_image, &m, &error), KILN_EINVAL);
  ck_assert_ptr_nonnull(strstr(error.message, "'./none.js'"));
  kiln_bytes_unref(entry);
  kiln_bytes_unref(dependency);
  kiln_close(k, 1000);
}
END_TEST

START_TEST(hot_code_and_background_work_survive_the_fork) {
  kiln_options options = test_options(NULL);
  kiln *k = open_kiln(&options);
  char id[KILN_IMAGE_ID_HEX + 1];
  make_text(
      k,
      "function hot(n) { let s = 0; for (let i = 0; i < n; i++) s = (s * 31 + i) | 0; return s }"
      "var warm = 0; for (let i = 0; i < 3000; i++) warm += hot(1000);"
      "var garbage = []; for (let i = 0; i < 2e5; i++) garbage.push({i, s: 'x' + i});"
      "var bytes = new Uint8Array([0,97,115,109,1,0,0,0,1,7,1,96,2,127,127,1,127,3,2,1,0,7,7,"
      "1,3,97,100,100,0,0,10,9,1,7,0,32,0,32,1,106,11]);"
      "var sync = new WebAssembly.Instance(new WebAssembly.Module(bytes)).exports.add;"
      "var later; WebAssembly.instantiate(bytes).then(x => { later = x.instance.exports.add });"
      "Promise.resolve().then(() => { var settled = 1; globalThis.settled = 1 });"
      "setTimeout_ = typeof setTimeout;",
      id);
  for (int i = 0; i < 20; i++) {
    assert_run(k, id, "hot(100000) === hot(100000) && sync(2, 3) === 5 && settled", "1");
    assert_run(k, id,
               "var l = []; for (let i = 0; i < 3e5; i++) l.push([i]); l.length + garbage.length",
               "500000");
  }
  kiln_close(k, 1000);
}
END_TEST

START_TEST(typescript_transpiles_in_a_thousand_runs) {
  kiln_options options = test_options(NULL);
  kiln *k = open_kiln(&options);
  char id[KILN_IMAGE_ID_HEX + 1];
  kiln_bytes *warm = bytes_from("ts.transpile('let warm: string')");
  make_of(k, typescript, warm, id);
  kiln_bytes_unref(warm);
  uint64_t worst = 0, total = 0;
  int runs = 1000 / SLOW;
  for (int i = 0; i < runs; i++) {
    answer a;
    run(k, id, "ts.transpile('let x: number = 1')", &a);
    ck_assert_msg(a.outcome == KILN_OUTCOME_OK, "%s %s", a.code, a.message);
    ck_assert_str_eq(a.result_json, "\"var x = 1;\\n\"");
    total += a.times.total_ns;
    if (a.times.total_ns > worst) worst = a.times.total_ns;
    answer_release(&a);
  }
  kiln_image_info info = info_of(k, id);
  ck_assert_uint_eq(info.loads, 1);
  ck_assert_uint_eq(info.runs, (uint64_t)runs);
  printf("typescript: loaded in %.0f ms, %.1f MiB; a run takes %.2f ms on average, %.2f at worst\n",
         (double)info.load_ns / 1e6, (double)info.memory_bytes / 1048576.0,
         (double)total / runs / 1e6, (double)worst / 1e6);
  kiln_close(k, 1000);
}
END_TEST

START_TEST(scripts_come_from_the_store_too) {
  char folder[64], store[96];
  make_folder(folder);
  snprintf(store, sizeof(store), "%s/store", folder);
  kiln_options options = test_options(store);
  kiln *k = open_kiln(&options);
  kiln_bytes *source = bytes_from("var stored = 11;");
  kiln_request bake = bake_of(source);
  answer a;
  ask(k, &bake, &a);
  kiln_image_script script = {.key = kiln_span_from(a.key)};
  kiln_image_request request = {.scripts = &script, .scripts_count = 1};
  made m;
  make(k, &request, &m);
  ck_assert_msg(m.a.outcome == KILN_OUTCOME_OK, "%s", m.a.message);
  assert_run(k, m.id, "stored", "11");
  answer_release(&m.a);
  answer_release(&a);
  kiln_error error;
  script.key = kiln_span_from("0000000000000000000000000000000000000000000000000000000000000000");
  ck_assert_int_eq(kiln_image_create(k, &request, take_image, &m, &error), KILN_NOT_FOUND);
  script.key = kiln_span_from("zz");
  ck_assert_int_eq(kiln_image_create(k, &request, take_image, &m, &error), KILN_EINVAL);
  kiln_bytes_unref(source);
  kiln_close(k, 1000);
  remove_folder(folder);
}
END_TEST

/* ---- what cannot be -----------------------------------------------------------------------------
 */

static const struct bad_load {
  const char *source;
  unsigned timeout_ms;
  kiln_outcome outcome;
  const char *code, *name, *says;
} bad_loads[] = {
    {"\n\nthrow new RangeError('not today')", 5000, KILN_OUTCOME_EXCEPTION, "", "RangeError",
     "not today"},
    {"var 5", 5000, KILN_OUTCOME_EXCEPTION, "", "SyntaxError", ""},
    {"for (;;);", 200, KILN_OUTCOME_TIME_LIMIT, "ERR_SCRIPT_EXECUTION_TIMEOUT", "Error", "200ms"},
    {"(function f() { Promise.resolve().then(f) })()", 200, KILN_OUTCOME_TIME_LIMIT,
     "ERR_SCRIPT_EXECUTION_TIMEOUT", "Error", ""},
    {"[].indexOf.call({length: 2**53 - 1})", 200, KILN_OUTCOME_TIME_LIMIT,
     "ERR_SCRIPT_EXECUTION_TIMEOUT", "Error", ""},
    {"var a = []; for (;;) a.push(new Array(1e5).fill(1.5))", 20000, KILN_OUTCOME_MEMORY_LIMIT,
     "ERR_MEMORY_LIMIT", "Error", ""},
};

START_TEST(a_bad_load_is_the_scripts_fate) {
  const struct bad_load *bad = &bad_loads[_i];
  kiln_options options = test_options(NULL);
  options.heap_max_bytes = 64 << 20;
  kiln *k = open_kiln(&options);
  kiln_bytes *good = bytes_from("var fine = 1");
  kiln_bytes *source = bytes_from(bad->source);
  kiln_image_script scripts[] = {{.source = good}, {.source = source}};
  kiln_image_request request = {
      .scripts = scripts, .scripts_count = 2, .timeout_ms = bad->timeout_ms};
  made m;
  make(k, &request, &m);
  ck_assert_int_eq(m.a.status, KILN_OK);
  ck_assert_msg(m.a.outcome == bad->outcome, "%s: %s %s", bad->source, m.a.code, m.a.message);
  ck_assert_str_eq(m.a.code, bad->code);
  ck_assert_str_eq(m.a.name, bad->name);
  ck_assert_ptr_nonnull(strstr(m.a.message, bad->says));
  if (bad->outcome == KILN_OUTCOME_EXCEPTION) ck_assert_str_eq(m.resource, "scripts[1]");
  ck_assert_str_eq(m.id, "");
  ck_assert_uint_eq(kiln_image_list(k, NULL, 0), 0);
  ck_assert_uint_eq(get_stats(k).image_failures, 1);
  answer_release(&m.a);
  kiln_bytes_unref(good);
  kiln_bytes_unref(source);
  kiln_close(k, 1000);
}
END_TEST

START_TEST(what_a_run_in_an_image_may_not_say) {
  kiln_options options = test_options(NULL);
  kiln *k = open_kiln(&options);
  char id[KILN_IMAGE_ID_HEX + 1];
  make_text(k, "1", id);
  kiln_bytes *source = bytes_from("1");
  kiln_error error;
  answer a = {0};
  kiln_request base = {.op = KILN_RUN, .source = source, .image = kiln_span_from(id)};
  kiln_request bad[6] = {base, base, base, base, base, base};
  bad[0].context_name = kiln_span_from("x");
  bad[1].context_origin = kiln_span_from("x");
  bad[2].deny_wasm = true;
  bad[3].microtasks_after_evaluate = true;
  bad[4].kind = KILN_MODULE;
  bad[5].engine = kiln_span_from("node-99");
  for (size_t i = 0; i < 6; i++)
    ck_assert_msg(kiln_submit(k, &bad[i], take_answer, &a, &error) == KILN_EINVAL, "%zu", i);
  base.image = kiln_span_from("0123456789abcdef0123456789abcdef");
  ck_assert_int_eq(kiln_submit(k, &base, take_answer, &a, &error), KILN_NOT_FOUND);
  ck_assert_str_eq(error.code, "ERR_NOT_FOUND");
  base.image = kiln_span_from("../x");
  ck_assert_int_eq(kiln_submit(k, &base, take_answer, &a, &error), KILN_NOT_FOUND);
  kiln_bytes_unref(source);
  kiln_close(k, 1000);
}
END_TEST

START_TEST(a_run_has_the_images_context) {
  kiln_options options = test_options(NULL);
  kiln *k = open_kiln(&options);
  kiln_bytes *source = bytes_from("var x = 1");
  kiln_image_script script = {.source = source};
  kiln_image_request request = {.scripts = &script, .scripts_count = 1, .deny_strings = true};
  made m;
  make(k, &request, &m);
  answer a;
  run(k, m.id, "eval('1')", &a);
  ck_assert_int_eq(a.outcome, KILN_OUTCOME_EXCEPTION);
  ck_assert_str_eq(a.name, "EvalError");
  answer_release(&a);
  answer_release(&m.a);
  kiln_bytes_unref(source);
  kiln_close(k, 1000);
}
END_TEST

/* ---- limits, eviction ---------------------------------------------------------------------------
 */

START_TEST(images_have_a_limit_and_can_be_deleted) {
  kiln_options options = test_options(NULL);
  options.images_max = 2;
  kiln *k = open_kiln(&options);
  char a[KILN_IMAGE_ID_HEX + 1], b[KILN_IMAGE_ID_HEX + 1], c[KILN_IMAGE_ID_HEX + 1];
  make_text(k, "var me = 'a'", a);
  make_text(k, "var me = 'b'", b);
  kiln_image_request request = {0};
  kiln_error error;
  made m;
  ck_assert_int_eq(kiln_image_create(k, &request, take_image, &m, &error), KILN_EBUSY);
  ck_assert_ptr_nonnull(strstr(error.message, "images_max"));
  ck_assert_int_eq(kiln_image_delete(k, kiln_span_from(a), &error), KILN_OK);
  ck_assert_int_eq(kiln_image_delete(k, kiln_span_from(a), &error), KILN_NOT_FOUND);
  kiln_bytes *source = bytes_from("1");
  kiln_request gone = {.op = KILN_RUN, .source = source, .image = kiln_span_from(a)};
  answer answered = {0};
  ck_assert_int_eq(kiln_submit(k, &gone, take_answer, &answered, &error), KILN_NOT_FOUND);
  make_text(k, "var me = 'c'", c);
  assert_run(k, c, "me", "\"c\"");
  assert_run(k, b, "me", "\"b\"");
  kiln_bytes_unref(source);
  kiln_close(k, 1000);
}
END_TEST

START_TEST(the_longest_unused_is_evicted_and_comes_back) {
  kiln_options options = test_options(NULL);
  kiln *k = open_kiln(&options);
  char ids[3][KILN_IMAGE_ID_HEX + 1];
  const char *text = "var bulk = []; for (let i = 0; i < 8e5; i++) bulk.push({i});";
  make_text(k, text, ids[0]);
  uint64_t one = info_of(k, ids[0]).memory_bytes;
  kiln_close(k, 1000);
  options.images_max_bytes = one * 5 / 2;
  k = open_kiln(&options);
  for (int i = 0; i < 3; i++) make_text(k, text, ids[i]);
  ck_assert_int_eq(info_of(k, ids[0]).state, KILN_IMAGE_EVICTED);
  ck_assert_uint_eq(info_of(k, ids[0]).memory_bytes, 0);
  ck_assert_int_eq(info_of(k, ids[2]).state, KILN_IMAGE_READY);
  for (int round = 0; round < 2; round++)
    for (int i = 0; i < 3; i++) assert_run(k, ids[i], "bulk.length", "800000");
  ck_assert_uint_ge(info_of(k, ids[0]).loads, 2);
  ck_assert_uint_ge(get_stats(k).image_evictions, 3);
  uint64_t total = 0;
  for (int i = 0; i < 3; i++) total += info_of(k, ids[i]).memory_bytes;
  ck_assert_uint_le(total, options.images_max_bytes);
  kiln_close(k, 1000);

  options.images_max_bytes = one / 2;
  k = open_kiln(&options);
  kiln_bytes *source = bytes_from(text);
  kiln_image_script script = {.source = source};
  kiln_image_request request = {.scripts = &script, .scripts_count = 1};
  made m;
  make(k, &request, &m);
  ck_assert_int_eq(m.a.status, KILN_ETOOBIG);
  ck_assert_ptr_nonnull(strstr(m.a.error.message, "images_max_bytes"));
  ck_assert_uint_eq(kiln_image_list(k, NULL, 0), 0);
  kiln_bytes_unref(source);
  kiln_close(k, 1000);
}
END_TEST

START_TEST(an_idle_image_is_ended_and_comes_back) {
  kiln_options options = test_options(NULL);
  options.image_idle_ms = 50;
  kiln *k = open_kiln(&options);
  char id[KILN_IMAGE_ID_HEX + 1];
  make_text(k, "var n = 1", id);
  await_state(k, id, KILN_IMAGE_EVICTED);
  assert_run(k, id, "n", "1");
  ck_assert_uint_eq(info_of(k, id).loads, 2);
  ck_assert_uint_ge(get_stats(k).image_evictions, 1);
  kiln_close(k, 1000);
}
END_TEST

START_TEST(a_process_is_renewed_after_many_forks) {
  kiln_options options = test_options(NULL);
  options.forks_per_zygote = 10;
  kiln *k = open_kiln(&options);
  char id[KILN_IMAGE_ID_HEX + 1];
  make_text(k, "var n = 1", id);
  time_t until = time(NULL) + WAIT_S;
  while (get_stats(k).image_renewals < 3) {
    assert_run(k, id, "n++, n", "2");
    ck_assert_msg(time(NULL) < until, "%d renewals", (int)get_stats(k).image_renewals);
  }
  ck_assert_uint_eq(get_stats(k).image_failures, 0);
  kiln_close(k, 1000);
}
END_TEST

/* ---- violence -----------------------------------------------------------------------------------
 */

START_TEST(a_killed_process_is_made_again) {
  kiln_options options = test_options(NULL);
  kiln *k = open_kiln(&options);
  char id[KILN_IMAGE_ID_HEX + 1];
  process before[64];
  assert_run(k, "", "1", "1");
  size_t count = list_processes(before, 64);
  make_text(k, "var bulk = []; for (let i = 0; i < 8e5; i++) bulk.push({i});", id);
  for (int i = 0; i < 5; i++) {
    kill(find_process(before, count), SIGKILL);
    await_state(k, id, KILN_IMAGE_EVICTED);
    assert_run(k, id, "bulk.length", "800000");
  }
  ck_assert_uint_eq(info_of(k, id).loads, 6);
  ck_assert_uint_eq(get_stats(k).image_failures, 5);
  ck_assert_uint_eq(get_stats(k).zygotes_lost, 0);
  kiln_close(k, 1000);
}
END_TEST

START_TEST(a_forks_crash_is_its_runs_fate) {
  kiln_options options = test_options(NULL);
  options.heap_max_bytes = 64 << 20;
  options.memory_max_bytes = 160 << 20;
  kiln *k = open_kiln(&options);
  char id[KILN_IMAGE_ID_HEX + 1];
  make_text(k, "var bulk = []; for (let i = 0; i < 4e5; i++) bulk.push({i});", id);
  for (int i = 0; i < 5; i++) {
    answer a;
    run(k, id, "var a = []; for (;;) a.push(new Uint8Array(1e6))", &a);
    ck_assert_int_eq(a.status, KILN_OK);
    ck_assert_int_ne(a.outcome, KILN_OUTCOME_OK);
    answer_release(&a);
    run(k, id, "'ab'.repeat(2 ** 27).split('')", &a);
    ck_assert_int_eq(a.status, KILN_OK);
    ck_assert_int_ne(a.outcome, KILN_OUTCOME_OK);
    answer_release(&a);
    run(k, id, "var a = []; for (;;) a.push(a.slice())", &a);
    ck_assert_int_eq(a.outcome, KILN_OUTCOME_MEMORY_LIMIT);
    answer_release(&a);
    /* The limits count from what the image has. */
    assert_run(k, id, "var more = []; for (let i = 0; i < 5e5; i++) more.push({i}); more.length",
               "500000");
  }
  ck_assert_uint_eq(info_of(k, id).loads, 1);
  kiln_close(k, 1000);
}
END_TEST

START_TEST(three_dead_forks_fail_the_image) {
  kiln_options options = test_options(NULL);
  kiln *k = open_kiln(&options);
  char id[KILN_IMAGE_ID_HEX + 1];
  process before[64], now[64];
  assert_run(k, "", "1", "1");
  size_t count = list_processes(before, 64);
  make_text(k, "var bulk = []; for (let i = 0; i < 8e5; i++) bulk.push({i});", id);
  pid_t image = find_process(before, count);
  time_t until = time(NULL) + WAIT_S;
  while (info_of(k, id).state != KILN_IMAGE_FAILED) {
    size_t n = list_processes(now, 64);
    for (size_t i = 0; i < n; i++)
      if (now[i].nice == 10 && now[i].pid > image) kill(now[i].pid, SIGKILL);
    ck_assert_msg(time(NULL) < until, "the image is still %s",
                  kiln_image_state_word(info_of(k, id).state));
  }
  answer a;
  run(k, id, "1", &a);
  ck_assert_int_eq(a.status, KILN_OK);
  ck_assert_int_eq(a.outcome, KILN_OUTCOME_CRASHED);
  ck_assert_str_eq(a.code, "ERR_IMAGE_FAILED");
  answer_release(&a);
  assert_run(k, "", "1", "1");
  kiln_close(k, 1000);
}
END_TEST

START_TEST(a_million_globals_harm_their_runs_at_most) {
  kiln_options options = test_options(NULL);
  kiln *k = open_kiln(&options);
  kiln_bytes *source = bytes_from("for (let i = 0; i < 1e6; i++) globalThis['g' + i] = i");
  kiln_image_script script = {.source = source};
  kiln_image_request request = {.scripts = &script, .scripts_count = 1, .timeout_ms = 30000};
  made m;
  make(k, &request, &m);
  ck_assert_int_eq(m.a.status, KILN_OK);
  if (m.a.outcome == KILN_OUTCOME_OK) {
    answer a;
    run(k, m.id, "g999999", &a);
    ck_assert_int_eq(a.status, KILN_OK);
    answer_release(&a);
  }
  assert_run(k, "", "1 + 1", "2");
  answer_release(&m.a);
  kiln_bytes_unref(source);
  kiln_close(k, 1000);
}
END_TEST

START_TEST(closing_ends_loads_and_waiting_runs) {
  kiln_options options = test_options(NULL);
  kiln *k = open_kiln(&options);
  kiln_bytes *source = bytes_from("for (;;);");
  kiln_image_script script = {.source = source};
  kiln_image_request request = {.scripts = &script, .scripts_count = 1, .timeout_ms = 60000};
  made m[3] = {0};
  kiln_error error;
  for (int i = 0; i < 3; i++)
    ck_assert_int_eq(kiln_image_create(k, &request, take_image, &m[i], &error), KILN_OK);
  kiln_image_info infos[3];
  ck_assert_uint_eq(kiln_image_list(k, infos, 3), 3);
  kiln_request waits = {.op = KILN_RUN, .source = source, .image = kiln_span_from(infos[0].id)};
  answer a = {0};
  ck_assert_int_eq(kiln_submit(k, &waits, take_answer, &a, &error), KILN_OK);
  /* One is deleted while it loads. */
  ck_assert_int_eq(kiln_image_delete(k, kiln_span_from(infos[2].id), &error), KILN_OK);
  await_answer(&m[2].a);
  ck_assert_int_eq(m[2].a.status, KILN_NOT_FOUND);
  kiln_close(k, 0);
  for (int i = 0; i < 2; i++) {
    ck_assert_uint_eq(m[i].a.count, 1);
    ck_assert_int_eq(m[i].a.status, KILN_ECLOSING);
  }
  ck_assert_uint_eq(a.count, 1);
  ck_assert_int_eq(a.status, KILN_ECLOSING);
  process left[8];
  ck_assert_uint_eq(list_processes(left, 8), 0);
  kiln_bytes_unref(source);
}
END_TEST

static kiln_bytes *read_file(const char *path) {
  FILE *file = fopen(path, "re");
  if (file == NULL) return NULL;
  fseek(file, 0, SEEK_END);
  long size = ftell(file);
  rewind(file);
  char *text = malloc((size_t)size);
  size_t got = text != NULL ? fread(text, 1, (size_t)size, file) : 0;
  fclose(file);
  kiln_bytes *bytes = got == (size_t)size ? kiln_bytes_new(text, got) : NULL;
  free(text);
  return bytes;
}

int main(void) {
  typescript = read_file(KILN_TEST_MODULES "/typescript/lib/typescript.js");
  if (typescript == NULL) {
    fprintf(stderr, "no " KILN_TEST_MODULES "/typescript: run ./run build\n");
    return EXIT_FAILURE;
  }
  Suite *suite = suite_create("image");
  TCase *cases = tcase_create("all");
  tcase_set_timeout(cases, 300);
  tcase_add_test(cases, runs_begin_where_the_image_ended);
  tcase_add_test(cases, globals_are_those_the_run_added);
  tcase_add_test(cases, nothing_of_a_run_is_seen_by_the_next);
  tcase_add_test(cases, modules_are_evaluated_from_the_entry);
  tcase_add_test(cases, hot_code_and_background_work_survive_the_fork);
  tcase_add_test(cases, typescript_transpiles_in_a_thousand_runs);
  tcase_add_test(cases, scripts_come_from_the_store_too);
  tcase_add_loop_test(cases, a_bad_load_is_the_scripts_fate, 0,
                      (int)(sizeof(bad_loads) / sizeof(bad_loads[0])));
  tcase_add_test(cases, what_a_run_in_an_image_may_not_say);
  tcase_add_test(cases, a_run_has_the_images_context);
  tcase_add_test(cases, images_have_a_limit_and_can_be_deleted);
  tcase_add_test(cases, the_longest_unused_is_evicted_and_comes_back);
  tcase_add_test(cases, an_idle_image_is_ended_and_comes_back);
  tcase_add_test(cases, a_process_is_renewed_after_many_forks);
  tcase_add_test(cases, a_killed_process_is_made_again);
  tcase_add_test(cases, a_forks_crash_is_its_runs_fate);
  tcase_add_test(cases, three_dead_forks_fail_the_image);
  tcase_add_test(cases, a_million_globals_harm_their_runs_at_most);
  tcase_add_test(cases, closing_ends_loads_and_waiting_runs);
  suite_add_tcase(suite, cases);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  kiln_bytes_unref(typescript);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
