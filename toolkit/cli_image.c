/* SPDX-License-Identifier: MIT
 *
 * cli_image.c: `kiln run --image`: files run as POST /v1/run runs them, each in a fork of an engine
 * process that has run the image's files: not in this process, and without Node's modules.
 */
#include "toolkit/cli_image.h"

#include <getopt.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "toolkit/await.h"

typedef struct program {
  const kiln__cli_command *self;
  kiln_image_script scripts[KILN_SCRIPTS_MAX];
  size_t scripts_count;
  const char *code; /* instead of files */
  bool print;
  unsigned timeout_ms;
  const char *engine;
  const char *engines_option;
  char **paths;
  size_t paths_count;
  kiln__await await;
  /* the answer */
  bool good;
  char image[KILN_IMAGE_ID_HEX + 1];
} program;

/* What the script wrote to the console, to where Node writes it. */
static void print_console(kiln_bytes *json) {
  kiln_span text = json != NULL ? kiln_bytes_get(json) : kiln_span_from("[]");
  json_t *lines = json_loadb(text.data, text.length, JSON_ALLOW_NUL, /* error= */ NULL);
  size_t i;
  const json_t *line;
  json_array_foreach(lines, i, line) {
    const json_t *words = json_object_get(line, "text");
    const char *level = json_string_value(json_object_get(line, "level"));
    bool bad = level != NULL && (strcmp(level, "error") == 0 || strcmp(level, "warn") == 0 ||
                                 strcmp(level, "trace") == 0);
    FILE *out = bad ? stderr : stdout;
    (void)fwrite(json_string_value(words), 1, json_string_length(words), out);
    (void)fputc('\n', out);
  }
  json_decref(lines);
}

static void print_result(const kiln_response *response) {
  if (response->result_json == NULL) return;
  kiln_span text = kiln_bytes_get(response->result_json);
  json_t *value = json_loadb(text.data, text.length, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
  if (json_is_string(value))
    (void)fwrite(json_string_value(value), 1, json_string_length(value), stdout);
  else
    (void)fwrite(text.data, 1, text.length, stdout);
  (void)fputc('\n', stdout);
  json_decref(value);
}

static void answered(void *user, const kiln_response *response) {
  program *p = user;
  bool good = response->status == KILN_OK && response->outcome == KILN_OUTCOME_OK;
  print_console(response->console_json);
  if (response->status != KILN_OK) {
    kiln__cli_complain(p->self, "%s", response->error.message);
  } else if (!good) {
    bool has_stack = response->stack != NULL && *response->stack != '\0';
    (void)fflush(stdout);
    if (has_stack)
      (void)fprintf(stderr, "Uncaught %s\n", response->stack);
    else
      kiln__cli_complain(p->self, "%s: %s", kiln_outcome_word(response->outcome),
                         response->message != NULL ? response->message : "");
  } else if (p->print && response->op == KILN_RUN) {
    print_result(response);
  }
  if (response->image_id != NULL) memcpy(p->image, response->image_id, sizeof(p->image));
  p->good = good;
  kiln__await_signal(&p->await);
}

/* Waits for the answer, if there will be one. */
static bool await(program *p, kiln_status status, const kiln_error *error) {
  if (status != KILN_OK) {
    kiln__cli_complain(p->self, "%s", error->message);
    return false;
  }
  kiln__await_signalled(&p->await);
  return p->good;
}

static bool read_file(const program *p, const char *path, kiln_bytes **ret_source) {
  kiln_error error;
  if (kiln__cli_read(path, ret_source, &error) == KILN_OK) return true;
  kiln__cli_complain(p->self, "'%s': %s", path, error.message);
  return false;
}

static bool load(program *p, kiln *k) {
  kiln_error error;
  for (size_t i = 0; i < p->scripts_count; i++)
    if (!read_file(p, p->scripts[i].filename.data, &p->scripts[i].source)) return false;
  kiln_image_request request = {.scripts = p->scripts,
                                .scripts_count = p->scripts_count,
                                .timeout_ms = KILN__CLI_TIMEOUT_MAX};
  return await(p, kiln_image_create(k, &request, answered, p, &error), &error);
}

static bool run(program *p, kiln *k, const char *path) {
  kiln_error error;
  kiln_bytes *source = NULL;
  if (path != NULL && !read_file(p, path, &source)) return false;
  if (path == NULL) source = kiln_bytes_new(p->code, strlen(p->code));
  kiln_request request = {.op = KILN_RUN,
                          .source = source,
                          .filename = kiln_span_from(path != NULL ? path : "[eval]"),
                          .timeout_ms = p->timeout_ms,
                          .image = kiln_span_from(p->image)};
  bool good = await(p, kiln_submit(k, &request, answered, p, &error), &error);
  kiln_bytes_unref(source);
  return good;
}

static int run_all(program *p) {
  kiln__cli_opening opening = {.jobs = 1,
                               .engines_option = p->engines_option,
                               .specs = &p->engine,
                               .specs_count = p->engine != NULL ? 1 : 0};
  kiln *k;
  kiln_error error;
  if (kiln__cli_open(&opening, &k, &error) != KILN_OK) {
    kiln__cli_complain(p->self, "%s", error.message);
    return KILN__CLI_FAILED;
  }
  bool good = load(p, k);
  if (good && p->code != NULL) good = run(p, k, /* path= */ NULL);
  for (size_t i = 0; good && i < p->paths_count; i++) good = run(p, k, p->paths[i]);
  kiln_close(k, /* drain_ms= */ 0);
  return kiln__cli_finish(p->self, good ? KILN__CLI_OK : KILN__CLI_FAILED);
}

enum { IMAGE = 1, TIMEOUT, ENGINE, ENGINES_DIR };
static int take_option(program *p, int option, char **argv) {
  unsigned long number;
  switch (option) {
    case IMAGE:
      if (p->scripts_count == KILN_SCRIPTS_MAX)
        return kiln__cli_misuse(p->self, "image: more than %d files", KILN_SCRIPTS_MAX);
      p->scripts[p->scripts_count++].filename = kiln_span_from(optarg);
      return -1;
    case TIMEOUT:
      if (!kiln__cli_number(optarg, 1, KILN__CLI_TIMEOUT_MAX, &number))
        return kiln__cli_misuse(p->self, "timeout '%.80s': not a number from 1 to %d", optarg,
                                KILN__CLI_TIMEOUT_MAX);
      p->timeout_ms = (unsigned)number;
      return -1;
    case ENGINE:
      p->engine = optarg;
      return -1;
    case ENGINES_DIR:
      p->engines_option = optarg;
      return -1;
    case 'p':
      p->print = true;
      /* fall through */
    case 'e':
      p->code = optarg;
      return -1;
    default:
      return kiln__cli_common_option(p->self, option, argv);
  }
}

bool kiln__cli_wants_image(int argc, char **argv) {
  static const char *const with_argument[] = {"--engine", "--engines-dir", "--timeout", "-e",
                                              "-p",       "--eval",        "--print"};
  for (int i = 1; i < argc && argv[i][0] == '-' && strcmp(argv[i], "--") != 0; i++) {
    if (strcmp(argv[i], "--image") == 0 || strncmp(argv[i], "--image=", 8) == 0) return true;
    bool takes_next = false;
    for (size_t j = 0; j < sizeof(with_argument) / sizeof(with_argument[0]); j++)
      takes_next = takes_next || strcmp(argv[i], with_argument[j]) == 0;
    if (takes_next && ++i == argc) return false;
  }
  return false;
}

int kiln__cli_run_in_image(const kiln__cli_command *self, int argc, char **argv) {
  static const struct option options[] = {{"image", required_argument, NULL, IMAGE},
                                          {"timeout", required_argument, NULL, TIMEOUT},
                                          {"engine", required_argument, NULL, ENGINE},
                                          {"engines-dir", required_argument, NULL, ENGINES_DIR},
                                          {"eval", required_argument, NULL, 'e'},
                                          {"print", required_argument, NULL, 'p'},
                                          KILN__CLI_COMMON_OPTIONS,
                                          {NULL, 0, NULL, 0}};
  static program p; /* its list is big */
  p = (program){.self = self, .timeout_ms = KILN__CLI_TIMEOUT_MAX};
  int option;
  while ((option = getopt_long(argc, argv, ":e:p:", options, /* index= */ NULL)) != -1) {
    int status = take_option(&p, option, argv);
    if (status >= 0) return status;
  }
  p.paths = argv + optind;
  p.paths_count = (size_t)(argc - optind);
  if (p.paths_count == 0 && p.code == NULL) return kiln__cli_misuse(self, "no files");
  if (p.paths_count > 0 && p.code != NULL)
    return kiln__cli_misuse(self, "'%.80s': code to run was given as well", p.paths[0]);
  int status = run_all(&p);
  for (size_t i = 0; i < p.scripts_count; i++) kiln_bytes_unref(p.scripts[i].source);
  return status;
}
