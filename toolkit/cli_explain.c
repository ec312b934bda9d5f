/* SPDX-License-Identifier: MIT
 *
 * cli_explain.c: `kiln explain`: why a look-up hits or misses, or why a V8 refuses a blob.
 */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "toolkit/cli.h"

static const char help[] =
    "Usage: kiln explain KEY|FILE [OPTIONS]\n"
    "\n"
    "Tells why the store has or has not what createCachedData or precompile would look for: of a\n"
    "FILE, in which fields the nearest entry differs; of a KEY, whether its entry is this "
    "engine's.\n"
    "With --blob it tells what the engine's V8 would make of a blob, field by field of its "
    "header.\n"
    "Exit status: 0 for a hit or a blob that fits, 1 for the rest.\n"
    "\n"
    "Options:\n"
    "  --blob FILE         cached data that somebody made of the FILE\n"
    "  --flags FLAGS       with --blob: V8 flags that its maker may have had\n"
    "  --engine ENGINE     as `kiln engines` names it\n"
    "  --engines-dir DIR   the registry of engines\n"
    "  --store DIR         default: $KILN_STORE, $XDG_CACHE_HOME/kiln or ~/.cache/kiln\n"
    "  --kind KIND         script, module, function, commonjs, wrapper or auto (default)\n"
    "  --mode MODE         lazy (default), eager, warm\n"
    "  --params LIST       a function's parameters, with commas between them\n"
    "  --filename NAME     the name it was baked under; default: the file's absolute path\n"
    "  --line-offset N     default: 0\n"
    "  --column-offset N   default: 0\n"
    "  --json              print JSON\n"
    "  --help              print this\n"
    "  --version           print the version\n";

typedef struct explain_command {
  const kiln__cli_command *self;
  const char *blob, *flags, *engine, *engines_option, *store, *params, *filename;
  kiln__cli_kind kind;
  kcc_mode mode;
  long line_offset, column_offset;
  bool json;
} explain_command;

static bool is_key(const char *text) {
  return strlen(text) == KILN_KEY_HEX && strspn(text, "0123456789abcdefABCDEF") == KILN_KEY_HEX;
}

static int print(const explain_command *c, const kiln_explanation *e) {
  bool good = strcmp(e->outcome, "hit") == 0 || strcmp(e->outcome, "accepted") == 0;
  int status = good ? KILN__CLI_OK : KILN__CLI_FAILED;
  if (!c->json) {
    printf("%s%s%s  (%s)\n", e->outcome, e->key[0] != '\0' ? "  " : "", e->key, e->engine);
    for (size_t i = 0; i < e->causes_count; i++) {
      printf("  %-18s  %s\n", kiln_cause_word(e->causes[i].code), e->causes[i].text);
    }
    if (e->candidate_key[0] != '\0') {
      printf("nearest: %s  %s  %s\n", e->candidate_key, e->candidate_engine, e->candidate_filename);
    }
    return kiln__cli_finish(c->self, status);
  }
  json_t *causes = json_array();
  for (size_t i = 0; i < e->causes_count; i++) {
    (void)json_array_append_new(
        causes, json_pack("{s:s, s:o}", "code", kiln_cause_word(e->causes[i].code), "text",
                          kiln__cli_json_text(e->causes[i].text)));
  }
  json_t *candidate =
      e->candidate_key[0] == '\0'
          ? json_null()
          : json_pack("{s:s, s:s, s:o}", "key", e->candidate_key, "engine", e->candidate_engine,
                      "filename", kiln__cli_json_text(e->candidate_filename));
  int printed = kiln__cli_print_json(
      c->self, json_pack("{s:s, s:s, s:s, s:o, s:o}", "outcome", e->outcome, "key", e->key,
                         "engine", e->engine, "causes", causes, "candidate", candidate));
  return printed == KILN__CLI_OK ? status : printed;
}

/* Fills in kind, parameters and source as `kiln precompile` would. */
static bool describe_file(const explain_command *c, const char *path, kiln_bytes **source,
                          kiln_span params[KILN_PARAMS_MAX], kiln_request *request) {
  kiln__cli_kind kind = c->kind == KILN__CLI_AUTO ? kiln__cli_kind_of(path) : c->kind;
  kiln_error error;
  if (kiln__cli_read(path, source, &error) != KILN_OK) {
    kiln__cli_complain(c->self, "'%s': %s", path, error.message);
    return false;
  }
  request->kind = kind == KILN__CLI_MODULE ? KILN_MODULE : KILN_SCRIPT;
  if (kind == KILN__CLI_COMMONJS) {
    request->kind = KILN_FUNCTION;
    request->params_count = KILN__CLI_COMMONJS_PARAMS;
    for (size_t i = 0; i < KILN__CLI_COMMONJS_PARAMS; i++) {
      params[i] = kiln_span_from(kiln__cli_commonjs_params[i]);
    }
  } else if (kind == KILN__CLI_FUNCTION) {
    request->kind = KILN_FUNCTION;
    for (const char *at = c->params; at != NULL && *at != '\0';) {
      size_t length = strcspn(at, ",");
      if (request->params_count == KILN_PARAMS_MAX) {
        kiln__cli_complain(c->self, "more than %d parameters", KILN_PARAMS_MAX);
        return false;
      }
      params[request->params_count++] = (kiln_span){at, length};
      at += length + (at[length] == ',');
    }
  } else if (kind == KILN__CLI_WRAPPER) {
    kiln_bytes *wrapped = kiln__cli_wrap(*source);
    kiln_bytes_unref(*source);
    *source = wrapped;
    request->line_offset = -1; /* the wrapper's head has a line of its own */
    if (wrapped == NULL) {
      kiln__cli_complain(c->self, "out of memory");
      return false;
    }
  }
  request->source = *source;
  request->params = params;
  return true;
}

static int explain(const explain_command *c, kiln *k, const char *what) {
  static kiln_span params[KILN_PARAMS_MAX];
  kiln_explanation explanation;
  kiln_error error;
  kiln_bytes *source = NULL;
  char *absolute = NULL;
  int status = KILN__CLI_FAILED;
  kiln_status got;
  kiln_request request = {.op = KILN_CREATE_CACHED_DATA, .mode = (kiln_mode)c->mode};
  if (c->blob == NULL && is_key(what)) {
    got = kiln_explain_key(k, kiln_span_from(what), (kiln_span){NULL, 0}, KILN_ASKER_OWNER,
                           &explanation, &error);
  } else {
    if (!describe_file(c, what, &source, params, &request)) return KILN__CLI_FAILED;
    absolute = realpath(what, /* resolved= */ NULL);
    request.filename = kiln_span_from(c->filename != NULL ? c->filename
                                      : absolute != NULL  ? absolute
                                                          : what);
    if (c->line_offset != 0) request.line_offset = (int32_t)c->line_offset;
    if (c->column_offset != 0) request.column_offset = (int32_t)c->column_offset;
    if (c->blob == NULL) {
      got = kiln_explain(k, &request, KILN_ASKER_OWNER, &explanation, &error);
    } else if ((got = kiln__cli_read(c->blob, &request.blob, &error)) == KILN_OK) {
      got = kiln_explain_blob(k, &request, c->flags, &explanation, &error);
    }
  }
  if (got == KILN_OK) {
    status = print(c, &explanation);
  } else {
    kiln__cli_complain(c->self, "%s", error.message);
  }
  kiln_bytes_unref(request.blob);
  kiln_bytes_unref(source);
  free(absolute);
  return status;
}

enum {
  BLOB = 1,
  FLAGS,
  ENGINE,
  ENGINES_DIR,
  STORE,
  KIND,
  MODE,
  PARAMS,
  FILENAME,
  LINE_OFFSET,
  COLUMN_OFFSET,
  JSON
};

static bool take_offset(const char *text, long *ret_offset) {
  char *end;
  long number = strtol(text, &end, 10);
  if (end == text || *end != '\0' || number < -1000000000 || number > 1000000000) return false;
  *ret_offset = number;
  return true;
}

static int take_option(explain_command *c, int option, char **argv) {
  const char **const texts[] = {[BLOB] = &c->blob,        [FLAGS] = &c->flags,
                                [ENGINE] = &c->engine,    [ENGINES_DIR] = &c->engines_option,
                                [STORE] = &c->store,      [PARAMS] = &c->params,
                                [FILENAME] = &c->filename};
  switch (option) {
    case KIND:
      if (kiln__cli_kind_parse(optarg, &c->kind)) return -1;
      return kiln__cli_misuse(c->self, "kind '%.80s': unknown", optarg);
    case MODE:
      if (kcc_mode_parse(optarg, &c->mode) && c->mode != KCC_WORKLOAD) return -1;
      return kiln__cli_misuse(c->self, "mode '%.80s': neither lazy, eager nor warm", optarg);
    case LINE_OFFSET:
    case COLUMN_OFFSET:
      if (take_offset(optarg, option == LINE_OFFSET ? &c->line_offset : &c->column_offset))
        return -1;
      return kiln__cli_misuse(c->self, "offset '%.80s': no number", optarg);
    case JSON:
      c->json = true;
      return -1;
    default:
      if (option < 1 || option >= JSON) return kiln__cli_common_option(c->self, option, argv);
      *texts[option] = optarg;
      return -1;
  }
}

static int exec(const kiln__cli_command *self, int argc, char **argv) {
  static const struct option options[] = {{"blob", required_argument, NULL, BLOB},
                                          {"flags", required_argument, NULL, FLAGS},
                                          {"engine", required_argument, NULL, ENGINE},
                                          {"engines-dir", required_argument, NULL, ENGINES_DIR},
                                          {"store", required_argument, NULL, STORE},
                                          {"kind", required_argument, NULL, KIND},
                                          {"mode", required_argument, NULL, MODE},
                                          {"params", required_argument, NULL, PARAMS},
                                          {"filename", required_argument, NULL, FILENAME},
                                          {"line-offset", required_argument, NULL, LINE_OFFSET},
                                          {"column-offset", required_argument, NULL, COLUMN_OFFSET},
                                          {"json", no_argument, NULL, JSON},
                                          KILN__CLI_COMMON_OPTIONS,
                                          {NULL, 0, NULL, 0}};
  explain_command c = {.self = self, .kind = KILN__CLI_AUTO, .mode = KCC_LAZY};
  char path[KILN_NODE_PATH_MAX];
  kiln_error error;
  kiln *k;
  int option;
  while ((option = getopt_long(argc, argv, ":", options, /* index= */ NULL)) != -1) {
    int status = take_option(&c, option, argv);
    if (status >= 0) return status;
  }
  if (optind + 1 != argc) return kiln__cli_misuse(self, "one key or file is needed");
  if (c.flags != NULL && c.blob == NULL) return kiln__cli_misuse(self, "--flags: with --blob only");
  kiln__cli_opening opening = {.engines_option = c.engines_option,
                               .specs = &c.engine,
                               .specs_count = c.engine != NULL ? 1 : 0,
                               .jobs = 1};
  if (c.blob == NULL) {
    if (!kiln__cli_store_path(self, c.store, path, sizeof(path))) return KILN__CLI_FAILED;
    if (access(path, F_OK) != 0) {
      kiln__cli_complain(self, "store '%s': there is none", path);
      return KILN__CLI_FAILED;
    }
    opening.store_path = path;
  }
  if (kiln__cli_open(&opening, &k, &error) != KILN_OK) {
    kiln__cli_complain(self, "%s", error.message);
    return KILN__CLI_FAILED;
  }
  int status = explain(&c, k, argv[optind]);
  kiln_close(k, /* drain_ms= */ 0);
  return status;
}

const kiln__cli_command kiln__cli_explain = {
    .name = "explain", .summary = "tell why a look-up hits or misses", .help = help, .exec = exec};
