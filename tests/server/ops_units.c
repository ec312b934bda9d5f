/* SPDX-License-Identifier: MIT
 *
 * ops_units.c: systemd's unit files, and kilnd under what they forbid.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/server/ops.h"

static char *read_all(const char *path) {
  char *text = NULL;
  size_t length = 0;
  char piece[4096];
  size_t got;
  FILE *in = fopen(path, "re");
  FILE *out = open_memstream(&text, &length);
  ck_assert_msg(in != NULL && out != NULL, "%s", path);
  while ((got = fread(piece, 1, sizeof(piece), in)) > 0) fwrite(piece, 1, got, out);
  fclose(in);
  fclose(out);
  return ops_keep(text);
}

/* The units as they are installed, but for the path of kilnd. */
static const char *write_units(void) {
  static const char mark[] = "@KILN_BINDIR@/kilnd";
  char *template = read_all(KILN_TEST_SERVER "/kilnd.service.in");
  char *text = NULL;
  size_t length = 0;
  FILE *out = open_memstream(&text, &length);
  const char *at = template;
  for (const char *next; (next = strstr(at, mark)) != NULL; at = next + strlen(mark))
    fprintf(out, "%.*s%s", (int)(next - at), at, harness_kilnd());
  fputs(at, out);
  fclose(out);
  ops_file("kilnd.socket", 0644, read_all(KILN_TEST_SERVER "/kilnd.socket"));
  return ops_file("kilnd.service", 0644, ops_keep(text));
}

START_TEST(verified) {
  char *said;
  const char *service = write_units();
  if (access("/usr/bin/systemd-analyze", X_OK) != 0) {
    puts("systemd-analyze is not installed: the units are not verified");
    return;
  }
  const char *verify[] = {"systemd-analyze",        "verify", "--man=no", service,
                          ops_path("kilnd.socket"), NULL};
  int status = ops_run(verify, &said);
  ck_assert_msg(status == 0 && strstr(said, "kilnd") == NULL, "%d: %s", status, said);
  /* Of 10 for a unit that restricts nothing. */
  const char *rate[] = {
      "systemd-analyze", "security", "--offline=yes", "--threshold=30", "--no-pager",
      service,           NULL};
  status = ops_run(rate, &said);
  ck_assert_msg(status == 0, "%s", said);
  printf("%s", strstr(said, "Overall exposure") != NULL ? strstr(said, "Overall exposure") : "");
}
END_TEST

START_TEST(sample_configuration) {
  char *said;
  const char *options[] = {"--config", KILN_TEST_SERVER "/kilnd.conf", "--no-store",
                           "--check-config", NULL};
  ck_assert_int_eq(ops_kilnd(options, &said), 0);
  ck_assert_str_eq(said, "ok\n");
}
END_TEST

/* ---- kilnd under the filters that systemd would give it */

#define CALLS_MAX 1024

typedef struct calls {
  int numbers[CALLS_MAX];
  size_t count;
} calls;

/* A call, or what systemd-analyze says a group has. */
static void add_call(calls *all, const char *name) {
  char *said, *save = NULL;
  if (name[0] != '@') {
    int number = seccomp_syscall_resolve_name(name);
    if (number >= 0 && all->count < CALLS_MAX) all->numbers[all->count++] = number;
    return;
  }
  const char *ask[] = {"systemd-analyze", "syscall-filter", "--no-pager", name, NULL};
  ck_assert_int_eq(ops_run(ask, &said), 0);
  char *line = strtok_r(said, "\n", &save); /* the group itself */
  while ((line = strtok_r(NULL, "\n", &save)) != NULL) {
    line += strspn(line, " ");
    if (line[0] != '#') add_call(all, line);
  }
}

static bool add_filters(calls *all) {
  static const char mark[] = "\nSystemCallFilter=";
  char *unit = read_all(KILN_TEST_SERVER "/kilnd.service.in");
  char *save = NULL;
  if (access("/usr/bin/systemd-analyze", X_OK) != 0) {
    puts("systemd-analyze is not installed: SystemCallFilter= is not tried");
    return false;
  }
  for (char *at = unit; (at = strstr(at, mark)) != NULL;) {
    at += strlen(mark);
    size_t length = strcspn(at, "\n");
    char *line = strndup(at, length);
    for (char *word = strtok_r(line, " ", &save); word; word = strtok_r(NULL, " ", &save))
      add_call(all, word);
    free(line);
  }
  ck_assert_uint_gt(all->count, 200);
  return true;
}

/* What RestrictNamespaces= and a container's usual profile do: clone3() is as if it were not there,
 * and namespaces of other kinds are refused. */
static bool restrict_namespaces(void) {
  static const unsigned kinds[] = {CLONE_NEWCGROUP, 0x80 /* CLONE_NEWTIME */};
  scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
  bool good =
      filter != NULL && seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0) == 0;
  for (size_t i = 0; good && i < 2; i++)
    good = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(unshare), 1,
                            SCMP_A0(SCMP_CMP_MASKED_EQ, kinds[i], kinds[i])) == 0;
  good = good && seccomp_load(filter) == 0;
  seccomp_release(filter);
  return good;
}

static bool restrict_calls(const calls *all) {
  scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
  bool good = filter != NULL;
  for (size_t i = 0; good && i < all->count; i++)
    good = seccomp_rule_add(filter, SCMP_ACT_ALLOW, all->numbers[i], 0) == 0;
  good = good && seccomp_load(filter) == 0;
  seccomp_release(filter);
  return good;
}

typedef enum restriction { NOTHING, NAMESPACES, ALL } restriction;

static void start_restricted(kilnd *server, restriction what, const calls *all) {
  pid_t parent = getpid();
  const char *port_path = ops_path("port");
  unlink(port_path);
  pid_t pid = fork();
  ck_assert_int_ge(pid, 0);
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(126);
    if (what == ALL && !restrict_calls(all)) _exit(126);
    if (what != NOTHING && !restrict_namespaces()) _exit(126);
    execl(harness_kilnd(), "kilnd", "--no-store", "--listen", "127.0.0.1:0", "--port-file",
          port_path, (char *)NULL);
    _exit(127);
  }
  *server = (kilnd){.pid = pid};
  double until = now_ms() + 20000;
  while (server->port == 0) {
    ck_assert(now_ms() < until);
    ck_assert_int_eq(waitpid(pid, NULL, WNOHANG), 0);
    FILE *in = fopen(port_path, "re");
    if (in != NULL && fscanf(in, "%u", &server->port) != 1) server->port = 0;
    if (in != NULL) fclose(in);
  }
}

static char *sandbox_of(const kilnd *server) {
  http_answer answer = kilnd_ask(server, (http_ask){.path = "/v1/engines"});
  char *text = ops_keep(strdup(answer.body));
  answer_release(&answer);
  return text;
}

/* It serves, and the sandbox of its engines is what it is without systemd. */
START_TEST(restricted) {
  static calls all;
  kilnd server;
  restriction what = (restriction)_i;
#ifdef __SANITIZE_ADDRESS__
  if (what == ALL) {
    puts("the leak sanitizer needs ptrace(): SystemCallFilter= is not tried");
    return;
  }
#endif
  if (what == ALL && !add_filters(&all)) return;
  start_restricted(&server, NOTHING, &all);
  char *free_text = sandbox_of(&server);
  ck_assert_int_eq(kilnd_stop(&server), 0);
  start_restricted(&server, what, &all);
  char *text = sandbox_of(&server);
  ck_assert_str_eq(text, free_text);
  for (int i = 0; i < 10; i++) {
    http_answer answer =
        kilnd_ask(&server, (http_ask){.path = "/v1/run", .type = JS, .body = "6*7"});
    ck_assert_msg(answer.status == 200, "%ld %s", answer.status, answer.body);
    answer_release(&answer);
  }
  ck_assert_int_eq(kilnd_stat(&server, "kiln.kills"), 0);
  ck_assert_int_eq(kilnd_stop(&server), 0);
}
END_TEST

int main(int argc, char **argv) {
  harness_init(argc, argv);
  Suite *suite = suite_create("server_ops_units");
  TCase *all = tcase_create("units");
  tcase_set_timeout(all, 60);
  tcase_add_test(all, verified);
  tcase_add_test(all, sample_configuration);
  tcase_add_loop_test(all, restricted, NAMESPACES, ALL + 1);
  suite_add_tcase(suite, all);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? 0 : 1;
}
