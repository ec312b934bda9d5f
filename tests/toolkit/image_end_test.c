/* SPDX-License-Identifier: MIT
 *
 * image_end_test.c: what becomes of images that are hostile, killed, evicted, idle, renewed or too
 * many.
 */
#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/toolkit/image_support.h"

/* ---- limits, eviction ---------------------------------------------------------------------------
 */

START_TEST(images_have_a_limit_and_can_be_deleted) {
  kiln_options options = test_options(NULL);
  options.images_max = 2;
  kiln *k = open_kiln(&options);
  char a[KILN_IMAGE_ID_HEX + 1], b[KILN_IMAGE_ID_HEX + 1], c[KILN_IMAGE_ID_HEX + 1];
  image_of_text(k, "var me = 'a'", a);
  image_of_text(k, "var me = 'b'", b);
  kiln_image_request request = {0};
  kiln_error error;
  image_made m;
  ck_assert_int_eq(kiln_image_create(k, &request, take_image, &m, &error), KILN_EBUSY);
  ck_assert_ptr_nonnull(strstr(error.message, "images_max"));
  ck_assert_int_eq(kiln_image_delete(k, kiln_span_from(a), &error), KILN_OK);
  ck_assert_int_eq(kiln_image_delete(k, kiln_span_from(a), &error), KILN_NOT_FOUND);
  kiln_bytes *source = bytes_from("1");
  kiln_request gone = {.op = KILN_RUN, .source = source, .image = kiln_span_from(a)};
  answer answered = {0};
  ck_assert_int_eq(kiln_submit(k, &gone, take_answer, &answered, &error), KILN_NOT_FOUND);
  image_of_text(k, "var me = 'c'", c);
  assert_image_run(k, c, "me", "\"c\"");
  assert_image_run(k, b, "me", "\"b\"");
  kiln_bytes_unref(source);
  kiln_close(k, 1000);
}
END_TEST

START_TEST(the_longest_unused_is_evicted_and_comes_back) {
  kiln_options options = test_options(NULL);
  kiln *k = open_kiln(&options);
  char ids[3][KILN_IMAGE_ID_HEX + 1];
  const char *text = "var bulk = []; for (let i = 0; i < 8e5; i++) bulk.push({i});";
  image_of_text(k, text, ids[0]);
  uint64_t one = image_info(k, ids[0]).memory_bytes;
  kiln_close(k, 1000);
  options.images_max_bytes = one * 5 / 2;
  k = open_kiln(&options);
  for (int i = 0; i < 3; i++) image_of_text(k, text, ids[i]);
  ck_assert_int_eq(image_info(k, ids[0]).state, KILN_IMAGE_EVICTED);
  ck_assert_uint_eq(image_info(k, ids[0]).memory_bytes, 0);
  ck_assert_int_eq(image_info(k, ids[2]).state, KILN_IMAGE_READY);
  for (int round = 0; round < 2; round++)
    for (int i = 0; i < 3; i++) assert_image_run(k, ids[i], "bulk.length", "800000");
  ck_assert_uint_ge(image_info(k, ids[0]).loads, 2);
  ck_assert_uint_ge(get_stats(k).image_evictions, 3);
  uint64_t total = 0;
  for (int i = 0; i < 3; i++) total += image_info(k, ids[i]).memory_bytes;
  ck_assert_uint_le(total, options.images_max_bytes);
  kiln_close(k, 1000);

  options.images_max_bytes = one / 2;
  k = open_kiln(&options);
  kiln_bytes *source = bytes_from(text);
  kiln_image_script script = {.source = source};
  kiln_image_request request = {.scripts = &script, .scripts_count = 1};
  image_made m;
  image_make(k, &request, &m);
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
  image_of_text(k, "var n = 1", id);
  await_image_state(k, id, KILN_IMAGE_EVICTED);
  assert_image_run(k, id, "n", "1");
  ck_assert_uint_eq(image_info(k, id).loads, 2);
  ck_assert_uint_ge(get_stats(k).image_evictions, 1);
  kiln_close(k, 1000);
}
END_TEST

START_TEST(a_process_is_renewed_after_many_forks) {
  kiln_options options = test_options(NULL);
  options.forks_per_zygote = 10;
  kiln *k = open_kiln(&options);
  char id[KILN_IMAGE_ID_HEX + 1];
  image_of_text(k, "var n = 1", id);
  time_t until = time(NULL) + WAIT_S;
  while (get_stats(k).image_renewals < 3) {
    assert_image_run(k, id, "n++, n", "2");
    ck_assert_msg(time(NULL) < until, "%d renewals", (int)get_stats(k).image_renewals);
  }
  ck_assert_uint_eq(get_stats(k).image_failures, 0);
  kiln_close(k, 1000);
}
END_TEST

static size_t count_zygotes(const process *before, size_t before_count, pid_t *ret_new) {
  process now[64];
  size_t count = list_processes(now, 64), zygotes = 0;
  for (size_t i = 0; i < count; i++) {
    bool is_old = now[i].nice != 0 || now[i].keeper;
    for (size_t k = 0; k < before_count; k++) is_old = is_old || before[k].pid == now[i].pid;
    if (!is_old && zygotes++ == 0) *ret_new = now[i].pid;
  }
  return zygotes;
}

/* Images have a zygote of their own, but only as long as there are images. */
START_TEST(the_images_zygote_comes_and_goes) {
  kiln_options options = test_options(NULL);
  kiln *k = open_kiln(&options);
  process before[64];
  pid_t zygote = 0;
  char ids[2][KILN_IMAGE_ID_HEX + 1];
  kiln_error error;
  time_t until = time(NULL) + WAIT_S;
  while (get_stats(k).zygotes_started < 2) {
    assert_image_run(k, "", "1", "1");
    ck_assert(time(NULL) < until);
  }
  size_t count = list_processes(before, 64);
  for (int round = 0; round < 2; round++) {
    uint64_t started = get_stats(k).zygotes_started;
    for (int i = 0; i < 2; i++) image_of_text(k, "var n = 1", ids[i]);
    ck_assert_uint_eq(get_stats(k).zygotes_started, started + 1);
    ck_assert_uint_eq(count_zygotes(before, count, &zygote), 1);
    ck_assert_int_eq(kiln_image_delete(k, kiln_span_from(ids[0]), &error), KILN_OK);
    assert_image_run(k, ids[1], "n", "1");
    ck_assert_uint_eq(count_zygotes(before, count, &zygote), 1);
    ck_assert_int_eq(kiln_image_delete(k, kiln_span_from(ids[1]), &error), KILN_OK);
    until = time(NULL) + WAIT_S;
    while (count_zygotes(before, count, &zygote) > 0) {
      usleep(1000);
      ck_assert_msg(time(NULL) < until, "the zygote is still there");
    }
  }
  /* One that is killed costs no image, and there is another one for the next. */
  image_of_text(k, "var n = 2", ids[0]);
  uint64_t lost = get_stats(k).zygotes_lost;
  ck_assert_uint_eq(lost, 0);
  ck_assert_uint_eq(count_zygotes(before, count, &zygote), 1);
  kill(zygote, SIGKILL);
  image_of_text(k, "var n = 3", ids[1]);
  assert_image_run(k, ids[0], "n", "2");
  assert_image_run(k, ids[1], "n", "3");
  ck_assert_uint_eq(image_info(k, ids[0]).loads, 1);
  ck_assert_uint_eq(get_stats(k).zygotes_lost, 1);
  kiln_close(k, 1000);
}
END_TEST

/* Without a zygote for images nobody waits for ever, and jobs go on. */
START_TEST(an_image_without_a_zygote_is_refused) {
  char folder[TEMPORARY_PATH], path[TEMPORARY_PATH + 16];
  kiln_options options = test_options(NULL);
  make_folder(folder);
  snprintf(path, sizeof(path), "%s/engine", folder);
  ck_assert_int_eq(symlink(KILN_TEST_ENGINE, path), 0);
  options.engine_path = path;
  kiln *k = open_kiln(&options);
  char id[KILN_IMAGE_ID_HEX + 1];
  ck_assert_int_eq(unlink(path), 0);
  kiln_bytes *source = bytes_from("var n = 2");
  kiln_image_script script = {.source = source};
  kiln_image_request request = {.scripts = &script, .scripts_count = 1, .timeout_ms = 60000};
  image_made m;
  image_make(k, &request, &m);
  ck_assert_int_eq(m.a.status, KILN_EENGINE);
  ck_assert_ptr_nonnull(strstr(m.a.error.message, "cannot be started"));
  ck_assert_uint_eq(kiln_image_list(k, NULL, 0), 0);
  assert_image_run(k, "", "1 + 1", "2");
  ck_assert_int_eq(symlink(KILN_TEST_ENGINE, path), 0);
  image_of_text(k, "var n = 3", id);
  assert_image_run(k, id, "n", "3");
  kiln_bytes_unref(source);
  kiln_close(k, 1000);
  remove_folder(folder);
}
END_TEST

/* ---- violence -----------------------------------------------------------------------------------
 */

START_TEST(a_killed_process_is_made_again) {
  kiln_options options = test_options(NULL);
  kiln *k = open_kiln(&options);
  char id[KILN_IMAGE_ID_HEX + 1];
  process before[64];
  assert_image_run(k, "", "1", "1");
  size_t count = list_processes(before, 64);
  image_of_text(k, "var bulk = []; for (let i = 0; i < 8e5; i++) bulk.push({i});", id);
  for (int i = 0; i < 5; i++) {
    kill(find_process(before, count), SIGKILL);
    await_image_state(k, id, KILN_IMAGE_EVICTED);
    assert_image_run(k, id, "bulk.length", "800000");
  }
  ck_assert_uint_eq(image_info(k, id).loads, 6);
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
  image_of_text(k, "var bulk = []; for (let i = 0; i < 4e5; i++) bulk.push({i});", id);
  for (int i = 0; i < 5; i++) {
    answer a;
    image_run(k, id, "var a = []; for (;;) a.push(new Uint8Array(1e6))", &a);
    ck_assert_int_eq(a.status, KILN_OK);
    ck_assert_int_ne(a.outcome, KILN_OUTCOME_OK);
    answer_release(&a);
    image_run(k, id, "'ab'.repeat(2 ** 27).split('')", &a);
    ck_assert_int_eq(a.status, KILN_OK);
    ck_assert_int_ne(a.outcome, KILN_OUTCOME_OK);
    answer_release(&a);
    image_run(k, id, "var a = []; for (;;) a.push(a.slice())", &a);
    ck_assert_int_eq(a.outcome, KILN_OUTCOME_MEMORY_LIMIT);
    answer_release(&a);
    /* The limits count from what the image has. */
    assert_image_run(k, id,
                     "var more = []; for (let i = 0; i < 5e5; i++) more.push({i}); more.length",
                     "500000");
  }
  ck_assert_uint_eq(image_info(k, id).loads, 1);
  kiln_close(k, 1000);
}
END_TEST

START_TEST(three_dead_forks_fail_the_image) {
  kiln_options options = test_options(NULL);
  kiln *k = open_kiln(&options);
  char id[KILN_IMAGE_ID_HEX + 1];
  process before[64], now[64];
  assert_image_run(k, "", "1", "1");
  size_t count = list_processes(before, 64);
  image_of_text(k, "var bulk = []; for (let i = 0; i < 8e5; i++) bulk.push({i});", id);
  pid_t image = find_process(before, count);
  time_t until = time(NULL) + WAIT_S;
  while (image_info(k, id).state != KILN_IMAGE_FAILED) {
    size_t n = list_processes(now, 64);
    for (size_t i = 0; i < n; i++)
      if (now[i].nice == 10 && now[i].pid > image) kill(now[i].pid, SIGKILL);
    ck_assert_msg(time(NULL) < until, "the image is still %s",
                  kiln_image_state_word(image_info(k, id).state));
  }
  answer a;
  image_run(k, id, "1", &a);
  ck_assert_int_eq(a.status, KILN_OK);
  ck_assert_int_eq(a.outcome, KILN_OUTCOME_CRASHED);
  ck_assert_str_eq(a.code, "ERR_IMAGE_FAILED");
  answer_release(&a);
  assert_image_run(k, "", "1", "1");
  kiln_close(k, 1000);
}
END_TEST

START_TEST(a_million_globals_harm_their_runs_at_most) {
  kiln_options options = test_options(NULL);
  kiln *k = open_kiln(&options);
  kiln_bytes *source = bytes_from("for (let i = 0; i < 1e6; i++) globalThis['g' + i] = i");
  kiln_image_script script = {.source = source};
  kiln_image_request request = {.scripts = &script, .scripts_count = 1, .timeout_ms = 30000};
  image_made m;
  image_make(k, &request, &m);
  ck_assert_int_eq(m.a.status, KILN_OK);
  if (m.a.outcome == KILN_OUTCOME_OK) {
    answer a;
    image_run(k, m.id, "g999999", &a);
    ck_assert_int_eq(a.status, KILN_OK);
    answer_release(&a);
  }
  assert_image_run(k, "", "1 + 1", "2");
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
  image_made m[3] = {0};
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

int main(void) {
  Suite *suite = suite_create("image_end");
  TCase *cases = tcase_create("all");
  tcase_set_timeout(cases, 300);
  tcase_add_test(cases, images_have_a_limit_and_can_be_deleted);
  tcase_add_test(cases, the_longest_unused_is_evicted_and_comes_back);
  tcase_add_test(cases, an_idle_image_is_ended_and_comes_back);
  tcase_add_test(cases, a_process_is_renewed_after_many_forks);
  tcase_add_test(cases, the_images_zygote_comes_and_goes);
  tcase_add_test(cases, an_image_without_a_zygote_is_refused);
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
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
