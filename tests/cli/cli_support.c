/* SPDX-License-Identifier: MIT
 *
 * cli_support.c: see cli_support.h.
 */
#include "tests/cli/cli_support.h"

#include <check.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

char home[TEMPORARY_PATH];

void set_up(void) {
  ck_assert(temporary_make("kiln-cli", home, sizeof(home)));
  ck_assert_int_eq(chdir(home), 0);
}

void tear_down(void) {
  ck_assert_int_eq(chdir("/"), 0);
  ck_assert(temporary_remove(home));
}

char *read_file(const char *path, size_t *ret_length) {
  FILE *file = fopen(path, "rb");
  ck_assert_msg(file != NULL, "cannot open %s", path);
  struct stat status;
  ck_assert_int_eq(fstat(fileno(file), &status), 0);
  char *text = malloc((size_t)status.st_size + 1);
  ck_assert_ptr_nonnull(text);
  *ret_length = fread(text, 1, (size_t)status.st_size, file);
  ck_assert_uint_eq(*ret_length, (size_t)status.st_size);
  text[*ret_length] = '\0';
  (void)fclose(file);
  return text;
}

outcome run_program(const char *path, const char *const arguments[], const char *const settings[]) {
  char home_setting[TEMPORARY_PATH + 8], out_path[TEMPORARY_PATH + 8], err_path[TEMPORARY_PATH + 8];
  char *argv[32] = {strdup(path)}, *envp[8] = {home_setting};
  (void)snprintf(home_setting, sizeof(home_setting), "HOME=%s", home);
  (void)snprintf(out_path, sizeof(out_path), "%s/.out", home);
  (void)snprintf(err_path, sizeof(err_path), "%s/.err", home);
  for (size_t i = 0; arguments[i] != NULL; i++) {
    ck_assert_uint_lt(i, 30);
    argv[i + 1] = strdup(arguments[i]);
  }
  for (size_t i = 0; settings[i] != NULL; i++) {
    ck_assert_uint_lt(i, 4);
    envp[i + 1] = strdup(settings[i]);
  }
  posix_spawn_file_actions_t actions;
  ck_assert_int_eq(posix_spawn_file_actions_init(&actions), 0);
  int flags = O_WRONLY | O_CREAT | O_TRUNC;
  ck_assert_int_eq(posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0), 0);
  ck_assert_int_eq(posix_spawn_file_actions_addopen(&actions, 1, out_path, flags, 0600), 0);
  ck_assert_int_eq(posix_spawn_file_actions_addopen(&actions, 2, err_path, flags, 0600), 0);
  pid_t pid;
  int failure = posix_spawn(&pid, path, &actions, /* attributes= */ NULL, argv, envp);
  ck_assert_msg(failure == 0, "%s: %s", path, strerror(failure));
  ck_assert_int_eq(posix_spawn_file_actions_destroy(&actions), 0);
  int status;
  ck_assert_int_eq(waitpid(pid, &status, 0), pid);
  for (size_t i = 0; argv[i] != NULL; i++) free(argv[i]);
  for (size_t i = 1; envp[i] != NULL; i++) free(envp[i]);
  outcome result = {.status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status)};
  size_t err_length;
  result.out = read_file(out_path, &result.out_length);
  result.err = read_file(err_path, &err_length);
  return result;
}

outcome kiln_with(const char *const settings[], const char *const arguments[]) {
  return run_program(KILN_TEST_CLI, arguments, settings);
}

void outcome_free(outcome *result) {
  free(result->out);
  free(result->err);
}

void expect_status(const outcome *result, int status) {
  ck_assert_msg(result->status == status, "exit status %d instead of %d\n%s\n%s", result->status,
                status, result->out, result->err);
}

bool says(const char *text, const char *part) {
  return strstr(text, part) != NULL;
}

void write_file(const char *name, const char *text) {
  char path[256];
  int length = snprintf(path, sizeof(path), "%s/%s", home, name);
  ck_assert(length > 0 && (size_t)length < sizeof(path));
  for (char *slash = strchr(path + strlen(home) + 1, '/'); slash != NULL;
       slash = strchr(slash + 1, '/')) {
    *slash = '\0';
    (void)mkdir(path, 0700);
    *slash = '/';
  }
  FILE *file = fopen(path, "wb");
  ck_assert_msg(file != NULL, "cannot write %s", path);
  ck_assert_uint_eq(fwrite(text, 1, strlen(text), file), strlen(text));
  ck_assert_int_eq(fclose(file), 0);
}

void make_tree(void) {
  write_file("src/plain.js", "var a = 1;");
  write_file("src/a.cjs", "module.exports = 1; return;");
  write_file("src/b.mjs", "import 'x'; export const b = 1;");
  write_file("src/esm-by-syntax.js", "export default 1;");
  write_file("src/cjs-by-syntax.js", "if (1) return; var b = 2;");
  write_file("src/deep/er/package.json", "{\"type\": \"module\"}");
  write_file("src/deep/er/c.js", "await 1; export {};");
  write_file("src/strict/package.json", "{\"type\": \"commonjs\"}");
  write_file("src/strict/d.js", "return require;");
  write_file("src/notes.txt", "no JavaScript");
  write_file("src/.js", "a hidden file without an ending");
  ck_assert_int_eq(symlink("..", "src/deep/loop"), 0);
  ck_assert_int_eq(symlink("plain.js", "src/link.js"), 0);
}

json_t *parse(const char *text) {
  json_error_t error;
  json_t *value = json_loads(text, 0, &error);
  ck_assert_msg(value != NULL, "%s in:\n%s", error.text, text);
  return value;
}

json_t *entry_of(json_t *array, const char *name, const char *ending) {
  size_t i;
  json_t *entry;
  json_array_foreach(array, i, entry) {
    const char *text = json_string_value(json_object_get(entry, name));
    size_t length = text == NULL ? 0 : strlen(text);
    if (length >= strlen(ending) && strcmp(text + length - strlen(ending), ending) == 0) {
      return entry;
    }
  }
  ck_abort_msg("no %s ends in %s", name, ending);
}

const char *string_of(json_t *object, const char *name) {
  const char *text = json_string_value(json_object_get(object, name));
  ck_assert_msg(text != NULL, "no string %s", name);
  return text;
}

long long number_of(json_t *object, const char *name) {
  json_t *number = json_object_get(object, name);
  ck_assert_msg(json_is_integer(number), "no number %s", name);
  return json_integer_value(number);
}
