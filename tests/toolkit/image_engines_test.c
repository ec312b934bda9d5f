/* SPDX-License-Identifier: MIT
 *
 * image_engines_test.c: images in engines of every V8 there is, libv8's and those that node
 * binaries host.
 */
#include <check.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "tests/toolkit/image_support.h"

static kiln *k;
static char id[KILN_IMAGE_ID_HEX + 1];

/* With an image that has some of everything in it. */
static void open_with_grace(int which, unsigned grace_ms) {
  kiln_options options = test_options(/* store= */ NULL);
  use_engine(&options, &every_engine[which]);
  options.kill_grace_ms = grace_ms;
  k = open_kiln(&options);
  image_of_text(k,
                "var base = 20; let hidden = 5; class Box { #v = 1; get v() { return this.#v } }\n"
                "function twice(x) { return 2 * x }\n"
                "function hot(n) { let s = 0; for (let i = 0; i < n; i++) s += i % 7; return s }\n"
                "for (let i = 0; i < 200; i++) hot(2000);\n"
                "const kept = new Array(20000).fill(0).map((x, i) => ({i, s: 'x' + i}));\n"
                "const wasm = new WebAssembly.Module(new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0,"
                " 1, 5, 1, 96, 0, 1, 127, 3, 2, 1, 0, 7, 5, 1, 1, 102, 0, 0,"
                " 10, 6, 1, 4, 0, 65, 42, 11]));",
                id);
}

/* The engine itself is to answer, however busy this machine is. */
static void open_one(int which) {
  open_with_grace(which, 5000);
}

static void teardown(void) {
  kiln_close(k, 5000);
}

static void expect(const char *text, unsigned timeout_ms, kiln_outcome outcome) {
  answer a;
  kiln_bytes *source = bytes_from(text);
  kiln_request request = {
      .op = KILN_RUN, .source = source, .image = kiln_span_from(id), .timeout_ms = timeout_ms};
  ask(k, &request, &a);
  ck_assert_msg(a.status == KILN_OK && a.outcome == outcome, "%s: %s %s %s", text, a.error.message,
                a.code, a.message);
  answer_release(&a);
  kiln_bytes_unref(source);
}

START_TEST(every_engine_has_images) {
  open_one(_i);
  if (_i > 0) ck_assert_str_eq(image_info(k, id).engine, every_engine[_i]);
  assert_image_run(k, id, "twice(base) + hidden + new Box().v", "46");
  assert_image_run(k, id, "base = 7; hidden = 8; twice = null; kept.length = 0; base", "7");
  assert_image_run(k, id, "twice(base) + hidden + kept.length", "20045");
  assert_image_run(k, id, "new WebAssembly.Instance(wasm).exports.f()", "42");
  assert_image_run(k, id, "Promise.resolve(base).then(x => x + 1)",
                   "{\"type\":\"promise\",\"state\":\"fulfilled\",\"value\":21}");
  /* What V8 compiles and collects with threads of its own. */
  for (int i = 0; i < 5; i++)
    assert_image_run(k, id,
                     "for (let i = 0; i < 2000; i++) hot(2000);"
                     "for (let i = 0; i < 50; i++) new Array(20000).fill(0).map(x => [x]);"
                     "kept[19999].s",
                     "\"x19999\"");
  ck_assert_uint_eq(image_info(k, id).loads, 1);
  ck_assert_uint_eq(get_stats(k).sandbox_alarms, 0);
}
END_TEST

START_TEST(every_engine_holds_its_limits) {
  open_one(_i);
  expect("for (;;);", 200, KILN_OUTCOME_TIME_LIMIT);
  /* Nothing of it is kept, or the memory might be the limit that is reached first. */
  expect("(function again() { Promise.resolve().then(again) })()", 200, KILN_OUTCOME_TIME_LIMIT);
  expect("throw new Error(base)", 30000, KILN_OUTCOME_EXCEPTION);
  answer a;
  image_run(k, id, "var a = []; for (;;) a.push(new Array(10000).fill(a.length))", &a);
  ck_assert_int_eq(a.outcome, KILN_OUTCOME_MEMORY_LIMIT);
  answer_release(&a);
  assert_image_run(k, id, "base", "20");
  ck_assert_uint_eq(image_info(k, id).loads, 1);
  ck_assert_uint_eq(get_stats(k).sandbox_alarms, 0);
  ck_assert_uint_eq(get_stats(k).protocol_errors, 0);
}
END_TEST

/* What V8 cannot terminate. */
START_TEST(every_engine_is_killed_in_native_code) {
  open_with_grace(_i, 150);
  expect("[].indexOf.call({length: 2 ** 53 - 1})", 200, KILN_OUTCOME_TIME_LIMIT);
  assert_image_run(k, id, "base", "20");
  ck_assert_uint_eq(image_info(k, id).loads, 1);
  ck_assert_uint_eq(get_stats(k).protocol_errors, 0);
}
END_TEST

/* Another one is not concerned. */
START_TEST(every_engine_makes_a_lost_image_again) {
  process before[64];
  char first[sizeof(id)];
  open_one(_i);
  memcpy(first, id, sizeof(id));
  size_t count = list_processes(before, 64);
  image_of_text(k, "var base = 30, bulk = []; for (let i = 0; i < 3e5; i++) bulk.push({i})", id);
  kill(find_process(before, count), SIGKILL);
  await_image_state(k, id, KILN_IMAGE_EVICTED);
  assert_image_run(k, id, "base + bulk.length", "300030");
  ck_assert_uint_eq(image_info(k, id).loads, 2);
  assert_image_run(k, first, "base", "20");
  ck_assert_uint_eq(image_info(k, first).loads, 1);
}
END_TEST

int main(void) {
  Suite *suite = suite_create("image_engines");
  TCase *tcase = tcase_create("engines");
  tcase_set_timeout(tcase, 120);
  tcase_add_checked_fixture(tcase, NULL, teardown);
  tcase_add_loop_test(tcase, every_engine_has_images, 0, EVERY_ENGINE_COUNT);
  tcase_add_loop_test(tcase, every_engine_holds_its_limits, 0, EVERY_ENGINE_COUNT);
  tcase_add_loop_test(tcase, every_engine_is_killed_in_native_code, 0, EVERY_ENGINE_COUNT);
  tcase_add_loop_test(tcase, every_engine_makes_a_lost_image_again, 0, EVERY_ENGINE_COUNT);
  suite_add_tcase(suite, tcase);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_ENV);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
