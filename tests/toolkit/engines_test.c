/* SPDX-License-Identifier: MIT
 *
 * engines_test.c: the registry of engines: which one a spec means, and that nothing in the folder,
 * whatever it is, is believed unchecked.
 */
#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/temporary.h"
#include "toolkit/engines.h"

#define FLIPS 2000

static char folder[TEMPORARY_PATH], registry[TEMPORARY_PATH + 16];

static void setup(void) {
  ck_assert(temporary_make("kiln-engines", folder, sizeof(folder)));
  snprintf(registry, sizeof(registry), "%s/engines", folder);
}

static void teardown(void) {
  ck_assert(temporary_remove(folder));
}

static kiln__engine_record record_of(const char *name) {
  kiln__engine_record record = {.info = {.v8_version = "12.4.254.21-node.57",
                                         .cached_data_tag = 2649162719U,
                                         .arch = "x64",
                                         .node = "/opt/node/bin/node"},
                                .node_version = "22.23.3",
                                .library = "/engines/objects/x/kiln-engine.so",
                                .added = "2026-11-21T00:00:00Z"};
  snprintf(record.info.name, sizeof(record.info.name), "%s", name);
  snprintf(record.info.build_id, sizeof(record.info.build_id), "b%s", name + strlen(name) - 1);
  snprintf(record.info.fingerprint, sizeof(record.info.fingerprint), "%c0123456789abcdef",
           name[strlen(name) - 1]);
  return record;
}

static void save(const char *name) {
  kiln__engine_record record = record_of(name);
  kiln_error error;
  ck_assert_msg(kiln__engines_save(registry, &record, &error) == KILN_OK, "%s", error.message);
}

static size_t load(kiln__engine_record **ret_records) {
  size_t count = 99;
  kiln_error error;
  ck_assert_msg(kiln__engines_load(registry, ret_records, &count, &error) == KILN_OK, "%s",
                error.message);
  return count;
}

static const char *found(const kiln__engine_record *records, size_t count, const char *spec) {
  const kiln__engine_record *record;
  kiln_error error;
  if (kiln__engines_find(records, count, kiln_span_from(spec), &record, &error) == KILN_OK)
    return record->info.name;
  ck_assert_int_eq(error.status, KILN_EINVAL);
  ck_assert_ptr_nonnull(strstr(error.message, "registered: "));
  return NULL;
}

START_TEST(what_was_saved_is_read) {
  kiln__engine_record *records;
  ck_assert_uint_eq(load(&records), 0); /* no folder yet */
  save("node-22.23.3");
  ck_assert_uint_eq(load(&records), 1);
  kiln__engine_record expected = record_of("node-22.23.3");
  ck_assert_mem_eq(&records[0], &expected, sizeof(expected));
  free(records);
  struct stat status;
  ck_assert_int_eq(stat(registry, &status), 0);
  ck_assert_int_eq(status.st_mode & 0777, 0700);
  kiln_error error;
  ck_assert_int_eq(kiln__engines_remove(registry, "node-22.23.3", &error), KILN_OK);
  ck_assert_int_eq(kiln__engines_remove(registry, "node-22.23.3", &error), KILN_NOT_FOUND);
  ck_assert_int_eq(kiln__engines_remove(registry, "../x", &error), KILN_EINVAL);
  ck_assert_uint_eq(load(&records), 0);
  free(records);
}
END_TEST

START_TEST(specs_mean_what_they_say) {
  static const char *const names[] = {"node-20.20.0", "node-20.20.2", "node-20.9.1",
                                      "node-22.23.3", "node-2.0.4",   "build-5"};
  static const struct {
    const char *spec, *name;
  } rows[] = {
      {"node-20", "node-20.20.2"},
      {"node-20.20", "node-20.20.2"},
      {"node-20.9", "node-20.9.1"},
      {"node-20.20.0", "node-20.20.0"},
      {"node-2", "node-2.0.4"},
      {"node-22", "node-22.23.3"},
      {"build-5", "build-5"},
      {"50123456", "build-5"},
      {"50123456789ABCDEF", "build-5"},
      {"5012345", NULL},
      {"node", NULL},
      {"node-", NULL},
      {"node-220", NULL},
      {"node-20.", NULL},
      {"", NULL},
      {"../build-5", NULL},
  };
  kiln__engine_record *records;
  for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) save(names[i]);
  size_t count = load(&records);
  ck_assert_uint_eq(count, sizeof(names) / sizeof(names[0]));
  ck_assert_str_eq(records[0].info.name, "build-5"); /* ordered */
  ck_assert_str_eq(records[1].info.name, "node-2.0.4");
  ck_assert_str_eq(records[2].info.name, "node-20.9.1");
  ck_assert_str_eq(records[3].info.name, "node-20.20.0");
  for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
    const char *name = found(records, count, rows[i].spec);
    ck_assert_msg((name == NULL) == (rows[i].name == NULL), "'%s' is %s", rows[i].spec, name);
    if (name != NULL) ck_assert_str_eq(name, rows[i].name);
  }
  free(records);
}
END_TEST

START_TEST(names_are_plain) {
  static const char *const bad[] = {"",          "objects",
                                    "npm",       "default",
                                    "node-18",   "Node-1",
                                    "a/b",       "..",
                                    "-a",        "1a",
                                    "a b",       "a\n",
                                    "a\xC3\xA9", "a23456789012345678901234567890123"};
  for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
    ck_assert_msg(!kiln__engines_name_ok(bad[i]), "'%s'", bad[i]);
  ck_assert(kiln__engines_name_ok("node-18.20.4"));
  ck_assert(kiln__engines_name_ok("a"));
  ck_assert(kiln__engines_name_ok("node-20.20.2-ebeaf2df+2"));
}
END_TEST

static void record_path(char *path, size_t size) {
  snprintf(path, size, "%s/node-22.23.3/engine.json", registry);
}

static unsigned complaints;
static void count_complaint(void *user, const char *name, const char *why) {
  (void)user;
  ck_assert_str_eq(name, "node-22.23.3");
  ck_assert_uint_gt(strlen(why), 0);
  complaints++;
}

static size_t read_all(void) {
  kiln__engine_record *records = NULL;
  size_t count = 99;
  kiln_error error;
  ck_assert_int_eq(kiln__engines_read(registry, count_complaint, NULL, &records, &count, &error),
                   KILN_OK);
  free(records);
  return count;
}

START_TEST(what_others_may_write_is_not_read) {
  char path[TEMPORARY_PATH + 64];
  kiln__engine_record *records;
  kiln_error error;
  size_t count;
  save("node-22.23.3");
  record_path(path, sizeof(path));
  ck_assert_int_eq(chmod(path, 0620), 0);
  ck_assert_uint_eq(read_all(), 0);
  ck_assert_int_eq(chmod(path, 0644), 0);
  ck_assert_uint_eq(read_all(), 1);
  *strrchr(path, '/') = '\0';
  ck_assert_int_eq(chmod(path, 0702), 0);
  ck_assert_uint_eq(read_all(), 0);
  ck_assert_int_eq(chmod(path, 0700), 0);
  ck_assert_uint_eq(complaints, 2);
  ck_assert_int_eq(chmod(registry, 0770), 0);
  ck_assert_int_eq(kiln__engines_load(registry, &records, &count, &error), KILN_EENGINE);
  ck_assert_ptr_nonnull(strstr(error.message, "others may write"));
  ck_assert_int_eq(chmod(registry, 0700), 0);
  record_path(path, sizeof(path)); /* a link elsewhere is not followed */
  ck_assert_int_eq(unlink(path), 0);
  ck_assert_int_eq(symlink("/etc/hostname", path), 0);
  ck_assert_uint_eq(read_all(), 0);
  ck_assert_int_eq(unlink(path), 0);
  ck_assert_int_eq(mkfifo(path, 0600), 0); /* nor is a pipe waited for */
  ck_assert_uint_eq(read_all(), 0);
}
END_TEST

static unsigned next_random(unsigned *state) {
  *state = *state * 1664525U + 1013904223U;
  return *state >> 8;
}

/* A damaged record is either told of, or a record like any other in its own limits. */
START_TEST(any_content_is_taken_well) {
  char path[TEMPORARY_PATH + 64], text[4096], damaged[4200];
  unsigned state = 20261121;
  save("node-22.23.3");
  record_path(path, sizeof(path));
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  ssize_t length = read(fd, text, sizeof(text));
  ck_assert_int_gt(length, 100);
  close(fd);
  size_t good = 0;
  complaints = 0;
  for (unsigned i = 0; i < FLIPS; i++) {
    size_t size = (size_t)length, at = next_random(&state) % size;
    memcpy(damaged, text, size);
    switch (i % 4) {
      case 0:
        damaged[at] = (char)(damaged[at] ^ 1 << next_random(&state) % 8);
        break;
      case 1:
        size = at;
        break;
      case 2:
        memcpy(damaged + size, text + at, size - at < 100 ? size - at : 100);
        size += size - at < 100 ? size - at : 100;
        break;
      default:
        for (size_t j = at; j < size && j < at + 20; j++) damaged[j] = (char)next_random(&state);
        break;
    }
    fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    ck_assert_int_eq(write(fd, damaged, size), (ssize_t)size);
    close(fd);
    good += read_all();
  }
  ck_assert_uint_eq(good + complaints, FLIPS);
  ck_assert_uint_gt(complaints, FLIPS / 2);
}
END_TEST

int main(void) {
  TCase *cases = tcase_create("engines");
  tcase_add_checked_fixture(cases, setup, teardown);
  tcase_set_timeout(cases, 60);
  tcase_add_test(cases, what_was_saved_is_read);
  tcase_add_test(cases, specs_mean_what_they_say);
  tcase_add_test(cases, names_are_plain);
  tcase_add_test(cases, what_others_may_write_is_not_read);
  tcase_add_test(cases, any_content_is_taken_well);
  Suite *suite = suite_create("engines");
  suite_add_tcase(suite, cases);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_ENV);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
