/* SPDX-License-Identifier: MIT
 *
 * cli_measure.c: `kiln measure`: what scripts cost in memory, each in a context of its own, all in
 * one isolate of one engine process.
 */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "toolkit/await.h"
#include "toolkit/cli.h"

static const char help[] =
    "Usage: kiln measure [OPTIONS] FILES...\n"
    "\n"
    "Runs each file as a script in a context of its own, then has V8 measure the memory that\n"
    "the contexts hold, as vm.measureMemory() of Node does.\n"
    "\n"
    "Options:\n"
    "  --mode MODE       detailed (default): each context; summary: the first alone\n"
    "  --execution WHEN  eager (default): collect garbage now; default: wait for V8 to do so,\n"
    "                    which can take 10 seconds and more\n"
    "  --timeout MS      for all of it; default: 60000\n"
    "  --engine ENGINE   whose memory: an engine as `kiln engines` names it\n"
    "  --engines-dir DIR the registry of engines\n"
    "  --json            print JSON in Node's shape\n"
    "  --help            print this\n"
    "  --version         print the version\n";

typedef struct measurement {
  const kiln__cli_command *self;
  bool summary;
  bool waits;
  bool json;
  unsigned timeout_ms;
  const char *engine;
  const char *engines_option;
  char **paths;
  size_t paths_count;
  kiln__await await;
  /* the answer */
  bool good;
  kiln_bytes *memory_json;
} measurement;

static void measured(void *user, const kiln_response *response) {
  measurement *m = user;
  if (response->status != KILN_OK) {
    kiln__cli_complain(m->self, "%s", response->error.message);
  } else if (response->outcome != KILN_OUTCOME_OK) {
    const char *stack = response->stack;
    bool has_stack = stack != NULL && *stack != '\0';
    kiln__cli_complain(m->self, "%s: %s", kiln_outcome_word(response->outcome),
                       has_stack                   ? stack
                       : response->message != NULL ? response->message
                                                   : "");
  }
  m->good = response->status == KILN_OK && response->outcome == KILN_OUTCOME_OK;
  if (m->good && response->memory_json != NULL) {
    m->memory_json = kiln_bytes_ref(response->memory_json);
  }
  kiln__await_signal(&m->await);
}

static void print_estimate(const char *name, const json_t *memory) {
  const json_t *range = json_object_get(memory, "jsMemoryRange");
  printf("%12lld  %12lld to %12lld  %s\n",
         (long long)json_integer_value(json_object_get(memory, "jsMemoryEstimate")),
         (long long)json_integer_value(json_array_get(range, 0)),
         (long long)json_integer_value(json_array_get(range, 1)), name);
}

static void print_table(const json_t *memory) {
  const json_t *current = json_object_get(memory, "current");
  printf("%12s  %28s  %s\n", "bytes", "range", "context");
  if (current != NULL) {
    const char *name = json_string_value(json_object_get(current, "name"));
    print_estimate(name != NULL ? name : "", current);
  }
  size_t i;
  const json_t *other;
  json_array_foreach(json_object_get(memory, "other"), i, other) {
    const char *name = json_string_value(json_object_get(other, "name"));
    print_estimate(name != NULL ? name : "", other);
  }
  print_estimate("total", json_object_get(memory, "total"));
}

static int print_memory(const measurement *m) {
  kiln_span text = kiln_bytes_get(m->memory_json);
  json_t *memory = json_loadb(text.data, text.length, 0, /* error= */ NULL);
  if (memory == NULL) {
    kiln__cli_complain(m->self, "the engine's answer is not JSON");
    return KILN__CLI_FAILED;
  }
  if (m->json) return kiln__cli_print_json(m->self, memory);
  print_table(memory);
  json_decref(memory);
  return kiln__cli_finish(m->self, KILN__CLI_OK);
}

static int submit_and_wait(measurement *m, kiln *k, kiln_named_source *scripts,
                           kiln_measure_context *contexts) {
  kiln_error error;
  for (size_t i = 0; i < m->paths_count; i++) {
    if (kiln__cli_read(m->paths[i], &scripts[i].source, &error) != KILN_OK) {
      kiln__cli_complain(m->self, "'%s': %s", m->paths[i], error.message);
      return KILN__CLI_FAILED;
    }
    scripts[i].name = contexts[i].name = kiln_span_from(m->paths[i]);
    contexts[i].scripts = &scripts[i];
    contexts[i].scripts_count = 1;
  }
  kiln_request request = {.op = KILN_MEASURE_MEMORY,
                          .timeout_ms = m->timeout_ms,
                          .detailed = !m->summary,
                          .eager = !m->waits,
                          .contexts = contexts,
                          .contexts_count = m->paths_count};
  if (kiln_submit(k, &request, measured, m, &error) != KILN_OK) {
    kiln__cli_complain(m->self, "%s", error.message);
    return KILN__CLI_FAILED;
  }
  kiln__await_signalled(&m->await);
  if (!m->good) return KILN__CLI_FAILED;
  if (m->memory_json == NULL) {
    kiln__cli_complain(m->self, "the engine gave no answer");
    return KILN__CLI_FAILED;
  }
  return print_memory(m);
}

static int measure(measurement *m) {
  kiln__cli_opening opening = {.jobs = 1,
                               .engines_option = m->engines_option,
                               .specs = &m->engine,
                               .specs_count = m->engine != NULL ? 1 : 0};
  kiln *k;
  kiln_error error;
  kiln_named_source *scripts = calloc(m->paths_count, sizeof(*scripts));
  kiln_measure_context *contexts = calloc(m->paths_count, sizeof(*contexts));
  int status = KILN__CLI_FAILED;
  if (scripts == NULL || contexts == NULL) {
    kiln__cli_complain(m->self, "out of memory");
  } else if (kiln__cli_open(&opening, &k, &error) != KILN_OK) {
    kiln__cli_complain(m->self, "%s", error.message);
  } else {
    status = submit_and_wait(m, k, scripts, contexts);
    kiln_close(k, /* drain_ms= */ 0);
  }
  for (size_t i = 0; scripts != NULL && i < m->paths_count; i++) {
    kiln_bytes_unref(scripts[i].source);
  }
  free(scripts);
  free(contexts);
  return status;
}

/* Takes one option; -1: go on, else the exit status. */
enum { MODE = 1, EXECUTION, TIMEOUT, ENGINE, ENGINES_DIR, JSON };
static int take_option(measurement *m, int option, char **argv) {
  unsigned long number;
  switch (option) {
    case MODE:
      m->summary = strcmp(optarg, "summary") == 0;
      if (m->summary || strcmp(optarg, "detailed") == 0) return -1;
      return kiln__cli_misuse(m->self, "mode '%.80s': neither summary nor detailed", optarg);
    case EXECUTION:
      m->waits = strcmp(optarg, "default") == 0;
      if (m->waits || strcmp(optarg, "eager") == 0) return -1;
      return kiln__cli_misuse(m->self, "execution '%.80s': neither default nor eager", optarg);
    case TIMEOUT:
      if (!kiln__cli_number(optarg, 1, KILN__CLI_TIMEOUT_MAX, &number)) {
        return kiln__cli_misuse(m->self, "timeout '%.80s': not a number from 1 to %d", optarg,
                                KILN__CLI_TIMEOUT_MAX);
      }
      m->timeout_ms = (unsigned)number;
      return -1;
    case ENGINE:
      m->engine = optarg;
      return -1;
    case ENGINES_DIR:
      m->engines_option = optarg;
      return -1;
    case JSON:
      m->json = true;
      return -1;
    default:
      return kiln__cli_common_option(m->self, option, argv);
  }
}

static int exec(const kiln__cli_command *self, int argc, char **argv) {
  static const struct option options[] = {{"mode", required_argument, NULL, MODE},
                                          {"execution", required_argument, NULL, EXECUTION},
                                          {"timeout", required_argument, NULL, TIMEOUT},
                                          {"engine", required_argument, NULL, ENGINE},
                                          {"engines-dir", required_argument, NULL, ENGINES_DIR},
                                          {"json", no_argument, NULL, JSON},
                                          KILN__CLI_COMMON_OPTIONS,
                                          {NULL, 0, NULL, 0}};
  measurement m = {.self = self, .timeout_ms = 60000};
  int option;
  while ((option = getopt_long(argc, argv, ":", options, /* index= */ NULL)) != -1) {
    int status = take_option(&m, option, argv);
    if (status >= 0) return status;
  }
  if (optind == argc) return kiln__cli_misuse(self, "no files");
  m.paths = argv + optind;
  m.paths_count = (size_t)(argc - optind);
  if (m.paths_count > KILN_CONTEXTS_MAX) {
    return kiln__cli_misuse(self, "%zu files, limit %d", m.paths_count, KILN_CONTEXTS_MAX);
  }
  int status = measure(&m);
  kiln_bytes_unref(m.memory_json);
  return status;
}

const kiln__cli_command kiln__cli_measure = {
    .name = "measure", .summary = "measure the memory of scripts", .help = help, .exec = exec};
