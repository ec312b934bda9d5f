/* SPDX-License-Identifier: MIT
 *
 * ops_config.c: the configuration file, --check-config and --print-config.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "server/config.h"
#include "server/option_rows.h"
#include "tests/server/ops.h"

static const char *const wrong[][2] = {
    {"frob = 1\n", ":1: frob: no such option"},
    {"\n[frob]\n", NULL}, /* a section without options is none to complain about */
    {"\n[frob]\nqueue = 1\n", ":3: [frob]: no such section"},
    {"[limits]\nlisten = 127.0.0.1:0\n", ":2: listen: belongs to [server], not to [limits]"},
    {"queue = 0\n", ":1: queue 0: must be from 1 to 1000000"},
    {"queue = many\n", ":1: queue 'many': not a number"},
    {"queue =\n", ":1: queue: needs a value"},
    {"queue = -1\n", ":1: queue '-1': not a number"},
    {"body-max = 2T\n", ":1: body-max '2T': not a size"},
    {"access-log = true\n", ":1: access-log 'true': must be yes or no"},
    {"queue = 1\nqueue = 2\n", ":2: queue: given in line 1 already"},
    {"[limits\nqueue = 1\n", ":1: the line is a section without its ]"},
    {"[limits] queue = 1\n", ":1: the line has text behind a section's ]"},
    {"queue\n", ":1: the line is neither [SECTION] nor NAME = VALUE"},
    {"# fine\n; fine\n\n   \nqueue 3\n", ":5: the line is neither"},
    {"store = a\x01z\n", ":1: the line has a control character"},
    {"help = yes\n", ":1: help: only for the command line"},
    {"config = x\n", ":1: config: only for the command line"},
    {"timeout-default = 9\ntimeout-max = 8\n", "--timeout-default 9: more than --timeout-max, 8"},
    {"store = a\nno-store = yes\n", "--store and --no-store: name one"},
    {"tls-cert = a\n", "--tls-cert and --tls-key: one needs the other"},
    {"rate-burst = 3\n", "--rate-burst: needs --rate"},
    {"sandbox = no\n", ":1: sandbox 'no': must be on or off"},
    {"sandbox = off\n",
     "--sandbox=off: code that breaks out of V8 could do whatever kilnd's user "
     "may; say --allow-unsandboxed, too"},
    {"sandbox = off\nallow-unsandboxed = no\n", "--allow-unsandboxed, too"},
    {"sandbox = off\nallow-unsandboxed = yes\n", NULL},
    {"LISTEN = 127.0.0.1:0\n", ":1: LISTEN: no such option"},
};

/* Each with kilnd itself: it does not start, and says file and line. */
START_TEST(refused) {
  char expected[512];
  char *text;
  const char *path = ops_file("conf", 0644, wrong[_i][0]);
  int status = ops_kilnd((const char *[]){"--config", path, "--version", NULL}, &text);
  if (wrong[_i][1] == NULL) {
    ck_assert_msg(status == 0, "%s", text);
  } else {
    snprintf(expected, sizeof(expected), "%s%s", wrong[_i][1][0] == ':' ? path : "", wrong[_i][1]);
    ck_assert_msg(status == 2 && strstr(text, expected) != NULL, "%d: no '%s' in: %s", status,
                  expected, text);
  }
}
END_TEST

static bool parse(const char *text, size_t length, srv_options *options, srv_faults *faults) {
  char path[128];
  char *argv[] = {(char[]){"kilnd"}, (char[]){"--config"}, path, NULL};
  memset(faults, 0, sizeof(*faults));
  snprintf(path, sizeof(path), "%s", ops_file_of("conf", 0644, text, length));
  return srv_options_parse_all(3, argv, options, faults);
}

static void expect_fault(const char *text, size_t length, const char *words) {
  static srv_faults faults;
  srv_options options;
  ck_assert_msg(!parse(text, length, &options, &faults), "taken, not '%s'", words);
  ck_assert_msg(strstr(faults.texts[0], words) != NULL, "'%s', not '%s'", faults.texts[0], words);
  srv_options_release(&options);
}

START_TEST(limits_of_the_file) {
  static char text[SRV_CONFIG_BYTES_MAX + 2];
  char *said;
  memset(text, '#', sizeof(text));
  for (size_t i = 4000; i < sizeof(text); i += 4000) text[i] = '\n';
  expect_fault(text, SRV_CONFIG_BYTES_MAX + 1, "is 262145 bytes, limit 262144");
  static srv_faults faults;
  srv_options options;
  ck_assert(parse(text, SRV_CONFIG_BYTES_MAX, &options, &faults));
  srv_options_release(&options);

  /* A line as long as one may be, and one byte more; whatever is behind it is a line of its own. */
  snprintf(text, sizeof(text), "store = ");
  memset(text + 8, 'x', SRV_CONFIG_LINE_MAX - 8);
  memcpy(text + SRV_CONFIG_LINE_MAX, "\nqueue = 7\n", 12);
  ck_assert_msg(parse(text, strlen(text), &options, &faults), "%s", faults.texts[0]);
  ck_assert_uint_eq(strlen(options.store), SRV_CONFIG_LINE_MAX - 8);
  ck_assert_uint_eq(options.queue, 7);
  srv_options_release(&options);
  memset(text + 8, 'x', SRV_CONFIG_LINE_MAX - 7);
  memcpy(text + SRV_CONFIG_LINE_MAX + 1, "\nqueue = 0\n", 12);
  expect_fault(text, strlen(text), ":1: the line is too long, limit 8192 bytes");
  ck_assert(!parse(text, strlen(text), &options, &faults));
  ck_assert_uint_eq(faults.count, 2);
  ck_assert(strstr(faults.texts[1], ":2: queue 0: must be") != NULL);
  srv_options_release(&options);

  expect_fault("queue = 1\0\n", 11, ":1: the line has a control character");
  expect_fault("\xff\xfe\x00", 3, "control character");

  ck_assert_int_eq(ops_kilnd((const char *[]){"--config", ops_path("nowhere"), NULL}, &said), 2);
  ck_assert(strstr(said, "No such file") != NULL);
  ck_assert_int_eq(ops_kilnd((const char *[]){"--config", ops_dir(), NULL}, &said), 2);
  ck_assert(strstr(said, "is no regular file") != NULL);
  ck_assert_int_eq(mkfifo(ops_path("fifo"), 0600), 0);
  ck_assert_int_eq(ops_kilnd((const char *[]){"--config", ops_path("fifo"), NULL}, &said), 2);
  ck_assert(strstr(said, "is no regular file") != NULL);
}
END_TEST

START_TEST(forms) {
  static const char text[] =
      "\xEF\xBB\xBFqueue = 5\r\n# a comment\n; another\n\n[server]\n  allow-host = a \n"
      "allow-host: b\n[store]\nstore = \" x ; y # z \"\n[limits]\nbody-max=3M\n[log]\n"
      "access-log = yes\n[store]\nno-keep-sources=no";
  static srv_faults faults;
  srv_options options;
  ck_assert_msg(parse(text, strlen(text), &options, &faults), "%s", faults.texts[0]);
  ck_assert_uint_eq(options.queue, 5);
  ck_assert_uint_eq(options.allow_hosts.count, 2);
  ck_assert_str_eq(options.allow_hosts.items[0], "a");
  ck_assert_str_eq(options.allow_hosts.items[1], "b");
  ck_assert_str_eq(options.store, " x ; y # z ");
  ck_assert_uint_eq(options.body_max_bytes, 3u << 20);
  ck_assert(options.access_log && !options.no_sources);
  srv_options_release(&options);
}
END_TEST

/* Every option that a file may have: a value that is not the default survives printing. */
START_TEST(round_trip) {
  static srv_faults faults;
  srv_options first, second;
  char message[256] = "";
  char *text = NULL;
  char *printed = NULL;
  size_t length = 0;
  FILE *out = open_memstream(&text, &length);
  for (size_t i = 0; i < srv_option_rows_count; i++) {
    const srv_option_row *row = &srv_option_rows[i];
    if (row->kind == SECTION && row->name[0] == '\0') break;
    if (row->kind == SECTION) fprintf(out, "[%s]\n", row->name);
    if (row->kind == FLAG && strcmp(row->name, "no-store") != 0)
      fprintf(out, "%s = yes\n", row->name);
    if (row->kind == SWITCH) fprintf(out, "%s = off\n", row->name);
    if (row->kind == TEXT) fprintf(out, "%s = \" %s;x\"\n", row->name, row->name);
    if (row->kind == LIST) fprintf(out, "%s = one\n%s = \"two\"\n", row->name, row->name);
    if (row->kind == NUMBER || row->kind == SIZE)
      fprintf(out, "%s = %llu\n", row->name,
              (unsigned long long)(row->preset < row->max ? row->preset + 1 : row->preset - 1));
  }
  fclose(out);
  ops_keep(text);
  ck_assert_msg(parse(text, length, &first, &faults), "%s", faults.texts[0]);
  out = open_memstream(&printed, &length);
  ck_assert_msg(srv_config_print(out, &first, message, sizeof(message)), "%s", message);
  fclose(out);
  ops_keep(printed);
  ck_assert_msg(parse(printed, length, &second, &faults), "%s in %s", faults.texts[0], printed);
  for (size_t i = 0; i < srv_option_rows_count; i++) {
    const srv_option_row *row = &srv_option_rows[i];
    const char *a = (const char *)&first + row->offset;
    const char *b = (const char *)&second + row->offset;
    if (row->kind == SECTION && row->name[0] == '\0') break;
    if (row->kind == TEXT) {
      ck_assert_str_eq(*(const char *const *)(const void *)a,
                       *(const char *const *)(const void *)b);
      ck_assert_ptr_ne(strchr(*(const char *const *)(const void *)a, ';'), NULL);
    } else if (row->kind == NUMBER || row->kind == SIZE) {
      ck_assert_msg(memcmp(a, b, sizeof(uint64_t)) == 0, "%s", row->name);
      ck_assert_msg(memcmp(a, &row->preset, sizeof(uint64_t)) != 0, "%s", row->name);
    } else if (row->kind == SWITCH) {
      ck_assert(!*(const bool *)a && !*(const bool *)b);
    } else if (row->kind == FLAG) {
      ck_assert_msg(*(const bool *)a == *(const bool *)b, "%s", row->name);
    } else if (row->kind == LIST) {
      const srv_list *one = (const srv_list *)(const void *)a;
      const srv_list *other = (const srv_list *)(const void *)b;
      ck_assert_uint_eq(one->count, 2);
      ck_assert_uint_eq(other->count, 2);
      ck_assert_str_eq(one->items[1], other->items[1]);
    }
  }
  /* ... and printed once more it is the same text. */
  char *again = NULL;
  out = open_memstream(&again, &length);
  ck_assert(srv_config_print(out, &second, message, sizeof(message)));
  fclose(out);
  ops_keep(again);
  ck_assert_str_eq(printed, again);
  second.store = "a\nb";
  out = open_memstream(&again, &length);
  ck_assert(!srv_config_print(out, &second, message, sizeof(message)));
  ck_assert_str_eq(message, "--store: a configuration file cannot hold 'a\nb'");
  fclose(out);
  ops_keep(again);
  srv_options_release(&first);
  srv_options_release(&second);
}
END_TEST

START_TEST(print_config) {
  char *first, *second;
  const char *options[] = {"--print-config", "--queue", "9", "--allow-host", "x",
                           "--store",        "/a b; c", NULL};
  ck_assert_int_eq(ops_kilnd(options, &first), 0);
  ck_assert(strstr(first, "\nqueue = 9\n") != NULL);
  ck_assert(strstr(first, "\nstore = /a b; c\n") != NULL);
  const char *path = ops_file("printed", 0644, first);
  ck_assert_int_eq(ops_kilnd((const char *[]){"--config", path, "--print-config", NULL}, &second),
                   0);
  ck_assert_str_eq(first, second);
}
END_TEST

START_TEST(command_line_wins) {
  char *text;
  const char *path = ops_file("conf", 0644,
                              "queue = 5\nthreads = 3\nallow-host = a\nallow-host = b\n"
                              "no-store = yes\naccess-log = yes\n");
  const char *options[] = {
      "--queue",  "6",  "--allow-host",   "c", "--store", "s", "--access-log=no",
      "--config", path, "--print-config", NULL};
  ck_assert_int_eq(ops_kilnd(options, &text), 0);
  ck_assert_msg(strstr(text, "\nqueue = 6\n") != NULL, "%s", text);
  ck_assert(strstr(text, "\nthreads = 3\n") != NULL);
  ck_assert(strstr(text, "\nallow-host = c\n") != NULL);
  ck_assert(strstr(text, "\nallow-host = a\n") == NULL);
  ck_assert(strstr(text, "\nstore = s\n") != NULL);
  ck_assert(strstr(text, "\nno-store = no\n") != NULL);
  ck_assert(strstr(text, "\naccess-log = no\n") != NULL);
}
END_TEST

/* All faults at once, each with what to do. */
START_TEST(check_config) {
  char *text;
  const char *tokens = ops_file("tokens", 0644, "run sha256:00\n");
  char config[512];
  snprintf(config, sizeof(config),
           "queue = 0\nstore = /dev/null/x\nengine-program = /nowhere\ntokens = %s\n"
           "tls-cert = %s\ntls-key = %s\nlisten = here\n",
           tokens, tokens, ops_path("nokey"));
  const char *path = ops_file("conf", 0644, config);
  const char *options[] = {"--config", path, "--check-config", NULL};
  ck_assert_int_eq(ops_kilnd(options, &text), 1);
  static const char *const needed[] = {
      "conf:1: queue 0: must be from 1 to 1000000",
      "--store '/dev/null/x': Not a directory",
      "engine 'default': no program at /nowhere",
      "is open to everybody; chmod 600",
      "--tls-cert: ",
      "no certificate chain in PEM",
      "nokey: No such file or directory",
      "--listen 'here': must be HOST:PORT",
  };
  for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++)
    ck_assert_msg(strstr(text, needed[i]) != NULL, "no '%s' in: %s", needed[i], text);
  ck_assert(strstr(text, "ok\n") == NULL);

  const char *good[] = {"--check-config", "--store", ops_path("new/store"), NULL};
  ck_assert_int_eq(ops_kilnd(good, &text), 0);
  ck_assert_str_eq(text, "ok\n");
  const char *engine[] = {"--check-config", "--no-store",     "--engine", "node-99",
                          "--engines-dir",  ops_path("none"), NULL};
  ck_assert_int_eq(ops_kilnd(engine, &text), 1);
  ck_assert_msg(strstr(text, "node-99") != NULL, "%s", text);
  const char *open_to_all[] = {"--check-config", "--no-store", "--listen", "0.0.0.0:0", NULL};
  ck_assert_int_eq(ops_kilnd(open_to_all, &text), 1);
  ck_assert_msg(strstr(text, "--allow-anonymous") != NULL, "%s", text);
}
END_TEST

/* kilnd serves by what the file says. */
START_TEST(served) {
  kilnd server;
  const char *path = ops_file("conf", 0644, "[limits]\nbody-max = 10\n[log]\naccess-log = yes\n");
  kilnd_start(&server, (const char *[]){"--config", path, NULL});
  http_answer answer =
      kilnd_ask(&server, (http_ask){.path = "/v1/run", .type = JS, .body = "1+1+1+1+1+1"});
  answer_expect_error(&answer, 413, "ERR_TOO_LARGE");
  answer_release(&answer);
  ops_await_log(&server, "route=/v1/run", 1);
  ck_assert_int_eq(kilnd_stop(&server), 0);
  kilnd_remove(&server);
}
END_TEST

/* Noise, and good files with bytes changed: an answer, never a crash. */
START_TEST(noise) {
  static const char good[] = "[server]\nlisten = 127.0.0.1:1\n[limits]\nqueue = 5\nbody-max = 3M\n";
  static srv_faults faults;
  unsigned seed = 20261121;
  char text[512];
  for (int round = 0; round < 20000; round++) {
    srv_options options = {0};
    size_t length = (size_t)rand_r(&seed) % sizeof(text);
    memset(&faults, 0, sizeof(faults.count));
    for (size_t i = 0; i < length; i++) text[i] = (char)rand_r(&seed);
    if (round % 2 == 0) {
      length = strlen(good);
      memcpy(text, good, length);
      for (int i = 0; i < 3; i++)
        text[(size_t)rand_r(&seed) % length] = "\n[]=:;# \"\0ax\xff"[rand_r(&seed) % 13];
    }
    srv_config_parse("noise", text, length, &options, &faults);
    srv_options_release(&options);
  }
}
END_TEST

int main(int argc, char **argv) {
  harness_init(argc, argv);
  Suite *suite = suite_create("server_ops_config");
  TCase *all = tcase_create("config");
  tcase_set_timeout(all, 60);
  tcase_add_loop_test(all, refused, 0, sizeof(wrong) / sizeof(wrong[0]));
  tcase_add_test(all, limits_of_the_file);
  tcase_add_test(all, forms);
  tcase_add_test(all, round_trip);
  tcase_add_test(all, print_config);
  tcase_add_test(all, command_line_wins);
  tcase_add_test(all, check_config);
  tcase_add_test(all, served);
  tcase_add_test(all, noise);
  suite_add_tcase(suite, all);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? 0 : 1;
}
