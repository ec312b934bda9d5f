/* SPDX-License-Identifier: MIT
 *
 * service_test.c: compile and createCachedData with a real engine and a real store: hits, misses,
 * single flight, a store in trouble, opening.
 */
#include <check.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tests/toolkit/service_support.h"

static char folder[TEMPORARY_PATH];
static kiln *k;

static void setup(void) {
  make_folder(folder);
  kiln_options options = test_options(folder);
  k = open_kiln(&options);
}

static void teardown(void) {
  kiln_close(k, 5000);
  remove_folder(folder);
}

/* ---- hits and misses ----------------------------------------------------------------- */

START_TEST(second_time_is_a_hit_without_a_job) {
  kiln_bytes *source = bytes_from("function f() { return 1 } f()");
  kiln_request request = bake_of(source);
  answer first, second, third;
  ask(k, &request, &first);
  ck_assert_int_eq(first.status, KILN_OK);
  ck_assert_int_eq(first.outcome, KILN_OUTCOME_OK);
  ck_assert_int_eq(first.cache, KILN_CACHE_MISS);
  ck_assert_int_eq(first.op, KILN_CREATE_CACHED_DATA);
  ck_assert_ptr_nonnull(first.blob);
  ck_assert_uint_eq(first.blob_length, kiln_bytes_get(first.blob).length);
  ck_assert_uint_eq(first.source_length, kiln_bytes_get(source).length);
  ck_assert_uint_gt(first.times.compile_ns, 0);
  ck_assert_uint_ge(first.times.total_ns, first.times.compile_ns);
  ask(k, &request, &second);
  ck_assert_int_eq(second.cache, KILN_CACHE_HIT);
  ck_assert_str_eq(second.key, first.key);
  ck_assert_uint_eq(second.blob_length, first.blob_length);
  ck_assert_mem_eq(kiln_bytes_get(second.blob).data, kiln_bytes_get(first.blob).data,
                   first.blob_length);
  request.op = KILN_COMPILE;
  ask(k, &request, &third);
  ck_assert_int_eq(third.cache, KILN_CACHE_HIT);
  ck_assert_int_eq(third.op, KILN_COMPILE);
  ck_assert_ptr_null(third.blob);
  ck_assert_uint_eq(third.blob_length, first.blob_length);
  kiln_stats stats = get_stats(k);
  ck_assert_uint_eq(stats.jobs, 1);
  ck_assert_uint_eq(stats.jobs_ok, 1);
  ck_assert_uint_eq(stats.hits, 2);
  ck_assert_uint_eq(stats.misses, 1);
  ck_assert_uint_eq(stats.requests, 3);
  ck_assert_uint_eq(stats.store_entries, 1);
  ck_assert_uint_eq(stats.store_puts, 1);
  answer_release(&first);
  answer_release(&second);
  answer_release(&third);
  kiln_bytes_unref(source);
}
END_TEST

/* The key is the one that kcc.h defines, from parts that only the service decides. */
START_TEST(key_is_made_of_what_the_blob_depends_on) {
  kiln_bytes *source = bytes_from("a + b");
  kiln_span params[] = {kiln_span_from("a"), kiln_span_from("b")};
  kiln_request request = bake_of(source);
  request.kind = KILN_FUNCTION;
  request.params = params;
  request.params_count = 2;
  request.line_offset = 3;
  request.column_offset = -4;
  request.mode = KILN_EAGER;
  answer one;
  ask(k, &request, &one);
  ck_assert_int_eq(one.outcome, KILN_OUTCOME_OK);
  kiln_engine_info info;
  ck_assert_int_eq(kiln_get_engine(k, 0, &info, NULL), KILN_OK);
  kcc_span key_params[] = {{"a", 1}, {"b", 1}};
  kcc_key_parts parts = {.fingerprint = {info.name, info.v8_version, info.cached_data_tag,
                                         info.flags, info.build_id, info.arch},
                         .kind = KCC_FUNCTION,
                         .mode = KCC_EAGER,
                         .source_length = 5,
                         .filename = {"a.js", 4},
                         .line_offset = 3,
                         .column_offset = -4,
                         .params = key_params,
                         .params_count = 2};
  kcc_digest key;
  char hex[KCC_HEX_BYTES];
  ck_assert_int_eq(kcc_digest_of((kcc_span){"a + b", 5}, &parts.source, NULL), KCC_OK);
  ck_assert_int_eq(kcc_key_of(&parts, &key, NULL), KCC_OK);
  kcc_digest_format(&key, hex);
  ck_assert_str_eq(one.key, hex);
  ck_assert_str_eq(one.engine, info.name);
  ck_assert_str_eq(info.name, "node-18");
  ck_assert_uint_eq(kiln_engine_count(k), 1);
  ck_assert_int_eq(kiln_get_engine(k, 1, &info, NULL), KILN_EINVAL);
  answer_release(&one);
  kiln_bytes_unref(source);
}
END_TEST

/* A copy of the file without its log is complete soon, not only when the store is closed. */
START_TEST(log_is_taken_up_when_there_is_nothing_to_write) {
  char file[TEMPORARY_PATH + 16];
  (void)snprintf(file, sizeof(file), "%s/kiln.db", folder);
  int changes = inotify_init1(IN_CLOEXEC);
  ck_assert_int_ge(changes, 0);
  ck_assert_int_ge(inotify_add_watch(changes, file, IN_MODIFY), 0);
  kiln_bytes *source = bytes_from("1 + 1");
  kiln_request request = bake_of(source);
  answer one;
  ask(k, &request, &one);
  ck_assert_int_eq(one.cache, KILN_CACHE_MISS);
  struct pollfd change = {.fd = changes, .events = POLLIN};
  ck_assert_int_eq(poll(&change, 1, 30000), 1);
  close(changes);
  answer_release(&one);
  kiln_bytes_unref(source);
}
END_TEST

START_TEST(sources_of_equal_length_share_nothing) {
  kiln_bytes *one = bytes_from("f = 1;"), *two = bytes_from("f = 2;");
  kiln_request request = bake_of(one);
  answer a, b;
  ask(k, &request, &a);
  request.source = two;
  ask(k, &request, &b);
  ck_assert_str_ne(a.key, b.key);
  ck_assert_int_eq(b.cache, KILN_CACHE_MISS);
  answer_release(&a);
  answer_release(&b);
  kiln_bytes_unref(one);
  kiln_bytes_unref(two);
}
END_TEST

START_TEST(every_mode_and_kind_bakes) {
  kiln_bytes *source = bytes_from("globalThis.made = function () { return 1 };");
  kiln_bytes *workload = bytes_from("made()");
  char keys[12][KILN_KEY_HEX + 1];
  int count = 0;
  for (int kind = KILN_SCRIPT; kind <= KILN_FUNCTION; kind++) {
    for (int mode = KILN_LAZY; mode <= KILN_WORKLOAD; mode++) {
      kiln_request request = bake_of(source);
      request.kind = (kiln_kind)kind;
      request.mode = (kiln_mode)mode;
      request.workload = mode == KILN_WORKLOAD ? workload : NULL;
      answer one;
      ask(k, &request, &one);
      ck_assert_msg(one.outcome == KILN_OUTCOME_OK, "kind %d, mode %d: %s", kind, mode,
                    one.message);
      ck_assert_int_eq(one.cache, KILN_CACHE_MISS);
      ck_assert_uint_gt(one.blob_length, 0);
      memcpy(keys[count], one.key, sizeof(keys[0]));
      for (int i = 0; i < count; i++) ck_assert_str_ne(keys[i], keys[count]);
      count++;
      answer_release(&one);
    }
  }
  kiln_bytes_unref(source);
  kiln_bytes_unref(workload);
}
END_TEST

START_TEST(cached_data_is_got_by_key) {
  kiln_bytes *source = bytes_from("1 + 1");
  kiln_request request = bake_of(source);
  answer one;
  ask(k, &request, &one);
  kiln_bytes *blob;
  kiln_error error;
  ck_assert_int_eq(kiln_get_cached_data(k, kiln_span_from(one.key), &blob, &error), KILN_OK);
  ck_assert_uint_eq(kiln_bytes_get(blob).length, one.blob_length);
  ck_assert_mem_eq(kiln_bytes_get(blob).data, kiln_bytes_get(one.blob).data, one.blob_length);
  kiln_bytes_unref(blob);
  one.key[0] = one.key[0] == '0' ? '1' : '0';
  ck_assert_int_eq(kiln_get_cached_data(k, kiln_span_from(one.key), &blob, &error), KILN_NOT_FOUND);
  ck_assert_str_eq(error.code, "ERR_NOT_FOUND");
  ck_assert_int_eq(kiln_get_cached_data(k, kiln_span_from("abc"), &blob, &error), KILN_EINVAL);
  ck_assert_int_eq(kiln_get_cached_data(k, kiln_span_from(""), &blob, &error), KILN_EINVAL);
  answer_release(&one);
  kiln_bytes_unref(source);
}
END_TEST

START_TEST(entries_outlive_the_kiln) {
  kiln_bytes *source = bytes_from("2 + 2");
  kiln_request request = bake_of(source);
  answer one;
  ask(k, &request, &one);
  answer_release(&one);
  kiln_close(k, 0);
  kiln_options options = test_options(folder);
  options.store_read_only = true;
  k = open_kiln(&options);
  ask(k, &request, &one);
  ck_assert_int_eq(one.cache, KILN_CACHE_HIT);
  answer_release(&one);
  kiln_bytes *other = bytes_from("3 + 3");
  request.source = other;
  for (int i = 0; i < 2; i++) { /* a read-only store takes nothing */
    ask(k, &request, &one);
    ck_assert_int_eq(one.outcome, KILN_OUTCOME_OK);
    ck_assert_int_eq(one.cache, KILN_CACHE_MISS);
    answer_release(&one);
  }
  ck_assert_uint_eq(get_stats(k).store_entries, 1);
  kiln_bytes_unref(source);
  kiln_bytes_unref(other);
}
END_TEST

START_TEST(without_a_store_all_is_a_miss) {
  kiln_options options = test_options(/* store= */ NULL);
  kiln *bare = open_kiln(&options);
  kiln_bytes *source = bytes_from("4 + 4");
  kiln_request request = bake_of(source);
  answer one;
  for (int i = 0; i < 2; i++) {
    ask(bare, &request, &one);
    ck_assert_int_eq(one.cache, KILN_CACHE_MISS);
    ck_assert_ptr_nonnull(one.blob);
    answer_release(&one);
  }
  kiln_bytes *blob;
  char key[KILN_KEY_HEX + 1];
  memset(key, 'a', KILN_KEY_HEX);
  key[KILN_KEY_HEX] = '\0';
  ck_assert_int_eq(kiln_get_cached_data(bare, kiln_span_from(key), &blob, NULL), KILN_NOT_FOUND);
  ck_assert_uint_eq(get_stats(bare).jobs, 2);
  kiln_close(bare, 5000);
  kiln_bytes_unref(source);
}
END_TEST

/* ---- single flight ------------------------------------------------------------------- */

#define CROWD 100

START_TEST(a_hundred_equal_requests_make_one_job) {
  kiln_bytes *source = big_source(7);
  kiln_request request = bake_of(source);
  static answer answers[CROWD];
  kiln_error error;
  for (int i = 0; i < CROWD; i++) {
    request.op = i % 2 == 0 ? KILN_CREATE_CACHED_DATA : KILN_COMPILE;
    ck_assert_int_eq(kiln_submit(k, &request, take_answer, &answers[i], &error), KILN_OK);
  }
  unsigned counts[5] = {0};
  for (int i = 0; i < CROWD; i++) {
    await_answer(&answers[i]);
    ck_assert_int_eq(answers[i].status, KILN_OK);
    ck_assert_int_eq(answers[i].outcome, KILN_OUTCOME_OK);
    ck_assert_str_eq(answers[i].key, answers[0].key);
    ck_assert_int_eq(answers[i].op, i % 2 == 0 ? KILN_CREATE_CACHED_DATA : KILN_COMPILE);
    ck_assert(i % 2 == 1 || answers[i].blob != NULL);
    ck_assert_uint_eq(answers[i].blob_length, answers[0].blob_length);
    counts[answers[i].cache]++;
  }
  kiln_stats stats = get_stats(k);
  ck_assert_uint_eq(stats.jobs, 1);
  ck_assert_uint_eq(stats.misses, 1);
  ck_assert_uint_eq(stats.store_puts, 1);
  ck_assert_uint_eq(counts[KILN_CACHE_MISS], 1);
  ck_assert_uint_eq(counts[KILN_CACHE_COALESCED] + counts[KILN_CACHE_HIT], CROWD - 1);
  ck_assert_uint_eq(stats.coalesced, counts[KILN_CACHE_COALESCED]);
  ck_assert_uint_gt(stats.coalesced, 0);
  for (int i = 0; i < CROWD; i++) {
    ck_assert_uint_eq(answers[i].count, 1);
    answer_release(&answers[i]);
  }
  kiln_bytes_unref(source);
}
END_TEST

#define THREADS 8
#define SOURCES 10
#define PER_THREAD 40

static void *ask_often(void *argument) {
  kiln_bytes *const *sources = argument;
  for (int i = 0; i < PER_THREAD; i++) {
    kiln_request request = bake_of(sources[i % SOURCES]);
    answer one = {0};
    if (kiln_submit(k, &request, take_answer, &one, NULL) != KILN_OK) abort();
    await_answer(&one);
    if (one.status != KILN_OK || one.outcome != KILN_OUTCOME_OK || one.blob == NULL) abort();
    answer_release(&one);
  }
  return NULL;
}

START_TEST(threads_make_one_job_for_each_source) {
  kiln_bytes *sources[SOURCES];
  pthread_t threads[THREADS];
  for (int i = 0; i < SOURCES; i++) sources[i] = big_source(i);
  for (int i = 0; i < THREADS; i++) {
    ck_assert_int_eq(pthread_create(&threads[i], NULL, ask_often, sources), 0);
  }
  for (int i = 0; i < THREADS; i++) ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
  kiln_stats stats = get_stats(k);
  ck_assert_uint_eq(stats.jobs, SOURCES);
  ck_assert_uint_eq(stats.requests, THREADS * PER_THREAD);
  ck_assert_uint_eq(stats.hits + stats.misses + stats.coalesced, THREADS * PER_THREAD);
  for (int i = 0; i < SOURCES; i++) kiln_bytes_unref(sources[i]);
}
END_TEST

START_TEST(a_failed_flight_answers_all_alike) {
  kiln_bytes *source = bytes_from("\nfunction (");
  kiln_request request = bake_of(source);
  static answer answers[CROWD];
  for (int i = 0; i < CROWD; i++) {
    ck_assert_int_eq(kiln_submit(k, &request, take_answer, &answers[i], NULL), KILN_OK);
  }
  for (int i = 0; i < CROWD; i++) {
    await_answer(&answers[i]);
    ck_assert_int_eq(answers[i].status, KILN_OK);
    ck_assert_int_eq(answers[i].outcome, KILN_OUTCOME_EXCEPTION);
    ck_assert_str_eq(answers[i].name, "SyntaxError");
    ck_assert_int_eq(answers[i].line, 2);
    ck_assert_ptr_null(answers[i].blob);
    answer_release(&answers[i]);
  }
  kiln_stats stats = get_stats(k);
  ck_assert_uint_lt(stats.jobs, CROWD);
  ck_assert_uint_eq(stats.jobs, stats.jobs_exception);
  ck_assert_uint_eq(stats.store_entries, 0);
  kiln_bytes_unref(source);
}
END_TEST

/* Who asks for less time does not take it from one with more. */
START_TEST(time_is_not_shared) {
  kiln_bytes *source = bytes_from("while (true);");
  kiln_request request = bake_of(source);
  request.mode = KILN_WARM;
  answer hasty = {0}, patient = {0};
  request.timeout_ms = 100;
  ck_assert_int_eq(kiln_submit(k, &request, take_answer, &hasty, NULL), KILN_OK);
  request.timeout_ms = 200;
  ck_assert_int_eq(kiln_submit(k, &request, take_answer, &patient, NULL), KILN_OK);
  await_answer(&hasty);
  await_answer(&patient);
  ck_assert_int_eq(hasty.outcome, KILN_OUTCOME_TIME_LIMIT);
  ck_assert_int_eq(patient.outcome, KILN_OUTCOME_TIME_LIMIT);
  ck_assert_uint_ge(patient.times.total_ns, 200000000);
  ck_assert_uint_eq(get_stats(k).jobs, 2);
  answer_release(&hasty);
  answer_release(&patient);
  kiln_bytes_unref(source);
}
END_TEST

/* ---- a store in trouble -------------------------------------------------------------- */

START_TEST(an_entry_that_cannot_be_stored_is_still_answered) {
  kiln_bytes *source = bytes_from("5 + 5");
  kiln_request request = bake_of(source);
  answer one;
  /* From now on no file of this process may grow: the store's log cannot be written. */
  struct rlimit limit = {1, 1};
  ck_assert_ptr_ne(signal(SIGXFSZ, SIG_IGN), SIG_ERR);
  ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
  for (unsigned i = 1; i <= 2; i++) {
    ask(k, &request, &one);
    ck_assert_int_eq(one.status, KILN_OK);
    ck_assert_int_eq(one.outcome, KILN_OUTCOME_OK);
    ck_assert_int_eq(one.cache, KILN_CACHE_BYPASS);
    ck_assert_ptr_nonnull(one.blob);
    ck_assert_ptr_nonnull(strstr(one.error.message, "kiln.db")); /* the reason, all the same */
    kiln_stats stats = get_stats(k);
    ck_assert_uint_eq(stats.bypasses, i);
    ck_assert_uint_eq(stats.jobs, i);
    ck_assert_uint_ge(stats.store_errors, i);
    answer_release(&one);
  }
  kiln_bytes_unref(source);
}
END_TEST

START_TEST(opening_tells_what_is_wrong) {
  kiln_error error;
  kiln *none = NULL;
  kiln_options options = test_options("/dev/null/store");
  ck_assert_int_eq(kiln_open(&options, &none, &error), KILN_ESTORE);
  ck_assert_str_eq(error.code, "ERR_STORE");
  options = test_options(/* store= */ NULL);
  options.engine_path = "/nonexistent/kiln-engine";
  ck_assert_int_eq(kiln_open(&options, &none, &error), KILN_EENGINE);
  options.engine_path = "/bin/true";
  ck_assert_int_eq(kiln_open(&options, &none, &error), KILN_EENGINE);
  options = test_options(/* store= */ NULL);
  options.struct_size = sizeof(options) + 8;
  ck_assert_int_eq(kiln_open(&options, &none, &error), KILN_EINVAL);
  options = test_options(/* store= */ NULL);
  options.timeout_default_ms = 2000;
  options.timeout_max_ms = 1000;
  ck_assert_int_eq(kiln_open(&options, &none, &error), KILN_EINVAL);
  options = test_options(/* store= */ NULL);
  options.heap_max_bytes = 1 << 26;
  options.memory_max_bytes = 1 << 25;
  ck_assert_int_eq(kiln_open(&options, &none, &error), KILN_EINVAL);
  options = test_options(/* store= */ NULL);
  options.sandbox_off = options.sandbox_required = true;
  ck_assert_int_eq(kiln_open(&options, &none, &error), KILN_EINVAL);
  ck_assert_ptr_null(none);
  kiln_close(NULL, 0);
}
END_TEST

int main(void) {
  Suite *suite = suite_create("service");
  TCase *tcase = tcase_create("service");
  tcase_add_checked_fixture(tcase, setup, teardown);
  tcase_set_timeout(tcase, 60);
  tcase_add_test(tcase, second_time_is_a_hit_without_a_job);
  tcase_add_test(tcase, key_is_made_of_what_the_blob_depends_on);
  tcase_add_test(tcase, log_is_taken_up_when_there_is_nothing_to_write);
  tcase_add_test(tcase, sources_of_equal_length_share_nothing);
  tcase_add_test(tcase, every_mode_and_kind_bakes);
  tcase_add_test(tcase, cached_data_is_got_by_key);
  tcase_add_test(tcase, entries_outlive_the_kiln);
  tcase_add_test(tcase, without_a_store_all_is_a_miss);
  tcase_add_test(tcase, a_hundred_equal_requests_make_one_job);
  tcase_add_test(tcase, threads_make_one_job_for_each_source);
  tcase_add_test(tcase, a_failed_flight_answers_all_alike);
  tcase_add_test(tcase, time_is_not_shared);
  tcase_add_test(tcase, an_entry_that_cannot_be_stored_is_still_answered);
  tcase_add_test(tcase, opening_tells_what_is_wrong);
  suite_add_tcase(suite, tcase);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_ENV);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
