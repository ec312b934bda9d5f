/* SPDX-License-Identifier: MIT
 *
 * cli_engines.c: `kiln engines`: which engines there are; adding, checking and removing those that
 * a node binary hosts.
 */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "toolkit/cli_engines.h"
#include "toolkit/status.h"

static const char help[] =
    "Usage: kiln engines [ls] [OPTIONS]\n"
    "       kiln engines add PATH|node@VERSION... [OPTIONS]\n"
    "       kiln engines rm NAME... [OPTIONS]\n"
    "       kiln engines check [NAME...] [OPTIONS]\n"
    "       kiln engines discover [OPTIONS]\n"
    "\n"
    "A cache is good for one build of V8 only. ls prints the engines there are, with all that "
    "makes\n"
    "their caches theirs. add makes an engine of a node binary (Node 18 and newer): it compiles\n"
    "Kiln's engine for it, which needs CMake and a C++ compiler, has the node take what the "
    "engine\n"
    "bakes, and registers it as node-VERSION; node@22 fetches that Node from npm. check does the\n"
    "trial again. rm forgets an engine. discover prints the node binaries it finds on PATH and "
    "where\n"
    "version managers put them.\n"
    "\n"
    "Options:\n"
    "  --engines-dir DIR  the registry; default: $KILN_ENGINES, $XDG_DATA_HOME/kiln/engines or\n"
    "                     ~/.local/share/kiln/engines\n"
    "  --name NAME        add: its name\n"
    "  --flags FLAGS      add: V8 flags that the node will be run with\n"
    "  --headers DIR      add: where the node's headers are; default: include/node beside it\n"
    "  --fix              check: make what is out of date anew\n"
    "  --json             print JSON\n"
    "  --help             print this\n"
    "  --version          print the version\n";

typedef struct engines_command {
  const kiln__cli_command *self;
  const char *engines_option;
  const char *name;
  const char *flags;
  const char *headers;
  bool fix;
  bool json;
  char dir[KILN_NODE_PATH_MAX];
  char **arguments;
  size_t count;
} engines_command;

/* ---- telling ------------------------------------------------------------------------- */

static const char *state_of(const kiln__engine_record *record) {
  char build_id[72];
  if (access(record->info.node, X_OK) != 0) return "node missing";
  if (!kiln__node_build_id(record->info.node, build_id) ||
      strcmp(build_id, record->info.build_id) != 0) {
    return "node changed";
  }
  if (access(record->library, R_OK) != 0) return "object missing";
  return kiln__hosted_is_current(record) ? "ok" : "object out of date";
}

static json_t *record_json(const kiln__engine_record *record, const char *state) {
  json_t *json = kiln__cli_engine_json(&record->info);
  if (json == NULL) return NULL;
  int failed = json_object_set_new(json, "nodeVersion", json_string(record->node_version));
  failed |= json_object_set_new(json, "addedFlags", json_string(record->flags));
  failed |= json_object_set_new(json, "added", json_string(record->added));
  failed |= json_object_set_new(json, "state", json_string(state));
  if (failed == 0) return json;
  json_decref(json);
  return NULL;
}

static void print_engine(const kiln_engine_info *info, const char *state) {
  printf("%-16s  V8 %s  %s  tag %u  build %s%s%s  %s%s%s\n", info->name, info->v8_version,
         info->arch, info->cached_data_tag, info->build_id,
         info->flags[0] != '\0' ? "  flags " : "", info->flags,
         info->node[0] != '\0' ? info->node : "(default)", strcmp(state, "ok") != 0 ? "  " : "",
         strcmp(state, "ok") != 0 ? state : "");
}

typedef struct damage {
  engines_command *command;
  json_t *list;
  size_t count;
} damage;

static void tell_damaged(void *user, const char *name, const char *why) {
  damage *d = user;
  d->count++;
  if (d->list != NULL) {
    (void)json_array_append_new(
        d->list, json_pack("{s:s, s:s, s:s}", "name", name, "state", "damaged", "reason", why));
  } else {
    printf("%-16s  damaged: %s\n", name, why);
  }
}

/* ---- ls ------------------------------------------------------------------------------ */

static int list_default(const engines_command *c, json_t *list) {
  kiln__cli_opening opening = {.jobs = 1};
  kiln *k;
  kiln_error error;
  kiln_engine_info info;
  if (kiln__cli_open(&opening, &k, &error) != KILN_OK) {
    kiln__cli_complain(c->self, "%s", error.message);
    return KILN__CLI_FAILED;
  }
  kiln_status got = kiln_get_engine(k, 0, &info, &error);
  kiln_close(k, /* drain_ms= */ 0);
  if (got != KILN_OK) {
    kiln__cli_complain(c->self, "%s", error.message);
    return KILN__CLI_FAILED;
  }
  if (!c->json) {
    print_engine(&info, "ok");
    return KILN__CLI_OK;
  }
  json_t *json = kiln__cli_engine_json(&info);
  if (json != NULL && json_object_set_new(json, "state", json_string("ok")) == 0 &&
      json_array_append_new(list, json) == 0) {
    return KILN__CLI_OK;
  }
  kiln__cli_complain(c->self, "out of memory");
  return KILN__CLI_FAILED;
}

static int list_engines(engines_command *c) {
  kiln__engine_record *records = NULL;
  size_t count = 0;
  kiln_error error;
  json_t *list = c->json ? json_array() : NULL;
  damage damaged = {.command = c, .list = list};
  int status = list_default(c, list);
  if (status == KILN__CLI_OK &&
      kiln__engines_read(c->dir, tell_damaged, &damaged, &records, &count, &error) != KILN_OK) {
    kiln__cli_complain(c->self, "%s", error.message);
    status = KILN__CLI_FAILED;
  }
  for (size_t i = 0; status == KILN__CLI_OK && i < count; i++) {
    const char *state = state_of(&records[i]);
    if (!c->json) {
      print_engine(&records[i].info, state);
    } else if (json_array_append_new(list, record_json(&records[i], state)) != 0) {
      kiln__cli_complain(c->self, "out of memory");
      status = KILN__CLI_FAILED;
    }
  }
  free(records);
  if (status == KILN__CLI_OK && c->json) return kiln__cli_print_json(c->self, list);
  json_decref(list);
  return kiln__cli_finish(c->self, status);
}

/* ---- objects ------------------------------------------------------------------------- */

/* The object goes if no other engine has it. */
static void remove_object(const engines_command *c, const char *library) {
  kiln__engine_record *records;
  size_t count;
  char folder[KILN_NODE_PATH_MAX], objects[KILN_NODE_PATH_MAX];
  if (kiln__engines_load(c->dir, &records, &count, /* err= */ NULL) != KILN_OK) return;
  bool used = false;
  for (size_t i = 0; i < count; i++) used = used || strcmp(records[i].library, library) == 0;
  free(records);
  (void)snprintf(folder, sizeof(folder), "%s", library);
  char *slash = strrchr(folder, '/');
  if (used || slash == NULL) return;
  *slash = '\0';
  char *parent = strrchr(folder, '/');
  if (parent == NULL) return;
  /* Only what is in this registry's own objects. */
  (void)snprintf(objects, sizeof(objects), "%.*s/objects", (int)(sizeof(objects) - 16), c->dir);
  char *real = realpath(objects, /* resolved= */ NULL);
  if (real != NULL && strlen(real) == (size_t)(parent - folder) &&
      strncmp(real, folder, strlen(real)) == 0) {
    kiln__remove_tree(folder);
  }
  free(real);
}

/* ---- add ----------------------------------------------------------------------------- */

/* The object of an engine registered under this name; "": none. */
static void library_of(const engines_command *c, const char *name,
                       char ret_library[KILN_NODE_PATH_MAX]) {
  kiln__engine_record *records;
  size_t count;
  ret_library[0] = '\0';
  if (kiln__engines_load(c->dir, &records, &count, /* err= */ NULL) != KILN_OK) return;
  for (size_t i = 0; i < count; i++) {
    if (strcmp(records[i].info.name, name) == 0) {
      memcpy(ret_library, records[i].library, KILN_NODE_PATH_MAX);
    }
  }
  free(records);
}

static bool name_is_free(const engines_command *c, const char *name, const char *build_id,
                         const char *flags) {
  kiln__engine_record *records;
  size_t count;
  bool is_free = true;
  if (kiln__engines_load(c->dir, &records, &count, /* err= */ NULL) != KILN_OK) return true;
  for (size_t i = 0; i < count; i++) {
    if (strcmp(records[i].info.name, name) == 0) {
      is_free =
          strcmp(records[i].info.build_id, build_id) == 0 && strcmp(records[i].flags, flags) == 0;
    }
  }
  free(records);
  return is_free;
}

/* node-22.23.3; of a second build, or with other flags, with something behind it. */
static kiln_status choose_name(const engines_command *c, const kiln__node *node,
                               kiln__engine_record *record, kiln_error *err) {
  char *name = record->info.name;
  size_t size = sizeof(record->info.name);
  if (c->name != NULL) {
    if (!kiln__engines_name_ok(c->name)) {
      return kiln__fail(err, KILN_EINVAL, NULL,
                        "name '%.80s': not 1 to 31 of a-z 0-9 . + - with a letter first, or taken",
                        c->name);
    }
    (void)snprintf(name, size, "%s", c->name);
  } else {
    (void)snprintf(name, size, "node-%.26s", node->version);
    if (name_is_free(c, name, node->build_id, record->flags)) return KILN_OK;
    (void)snprintf(name, size, "node-%.14s-%.8s", node->version, node->build_id);
    for (unsigned i = 2; i < 100 && !name_is_free(c, name, node->build_id, record->flags); i++) {
      (void)snprintf(name, size, "node-%.14s-%.8s+%u", node->version, node->build_id, i);
    }
  }
  if (name_is_free(c, name, node->build_id, record->flags)) return KILN_OK;
  return kiln__fail(err, KILN_EINVAL, NULL,
                    "name '%s': is another engine's; remove that first, or give --name", name);
}

static kiln_status add_node(const engines_command *c, const char *path, kiln__engine_record *record,
                            bool *ret_built, kiln_error *err) {
  kiln__node node;
  memset(record, 0, sizeof(*record));
  if (c->flags != NULL) {
    if (strlen(c->flags) >= sizeof(record->flags)) {
      return kiln__fail(err, KILN_ETOOBIG, NULL, "flags are %zu bytes, limit %zu", strlen(c->flags),
                        sizeof(record->flags) - 1);
    }
    (void)snprintf(record->flags, sizeof(record->flags), "%s", c->flags);
  }
  kiln_status status = kiln__engines_make_dir(c->dir, err);
  if (status == KILN_OK) status = kiln__node_probe(path, record->flags, c->headers, &node, err);
  if (status == KILN_OK) status = choose_name(c, &node, record, err);
  if (status == KILN_OK) {
    status =
        kiln__hosted_build(c->dir, &node, record->library, sizeof(record->library), ret_built, err);
  }
  if (status != KILN_OK) return status;
  kiln_engine_info *info = &record->info;
  memcpy(info->node, node.path, sizeof(info->node));
  memcpy(info->build_id, node.build_id, sizeof(info->build_id));
  memcpy(record->node_version, node.version, sizeof(record->node_version));
  time_t now = time(/* result= */ NULL);
  struct tm utc;
  (void)strftime(record->added, sizeof(record->added), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
  char before[KILN_NODE_PATH_MAX];
  library_of(c, record->info.name, before);
  status = kiln__engine_try(c->dir, record, err);
  if (status == KILN_OK) status = kiln__engines_save(c->dir, record, err);
  if (status == KILN_OK && before[0] != '\0') remove_object(c, before);
  return status;
}

static int add_engines(engines_command *c) {
  int status = KILN__CLI_OK;
  json_t *list = c->json ? json_array() : NULL;
  if (c->count == 0) return kiln__cli_misuse(c->self, "add: no node");
  if (c->name != NULL && c->count > 1) return kiln__cli_misuse(c->self, "--name: one node only");
  for (size_t i = 0; i < c->count; i++) {
    static const char from_npm[] = "node@";
    char path[KILN_NODE_PATH_MAX];
    kiln__engine_record record;
    kiln_error error = {0};
    bool built = false;
    kiln_status added = KILN_OK;
    const char *what = c->arguments[i];
    if (strncmp(what, from_npm, strlen(from_npm)) == 0) {
      added = kiln__node_install(c->dir, what + strlen(from_npm), path, sizeof(path), &error);
      what = path;
    }
    if (added == KILN_OK) added = add_node(c, what, &record, &built, &error);
    if (added != KILN_OK) {
      kiln__cli_complain(c->self, "%s: %s", c->arguments[i], error.message);
      status = KILN__CLI_FAILED;
    } else if (c->json) {
      (void)json_array_append_new(list, record_json(&record, "ok"));
    } else {
      printf("%s: added%s\n", record.info.name, built ? ", its engine built" : "");
      fflush(stdout);
    }
  }
  if (c->json && kiln__cli_print_json(c->self, list) != KILN__CLI_OK) status = KILN__CLI_FAILED;
  return kiln__cli_finish(c->self, status);
}

/* ---- rm ------------------------------------------------------------------------------ */

static int remove_engines(engines_command *c) {
  int status = KILN__CLI_OK;
  if (c->count == 0) return kiln__cli_misuse(c->self, "rm: no name");
  for (size_t i = 0; i < c->count; i++) {
    char library[KILN_NODE_PATH_MAX];
    kiln_error error;
    library_of(c, c->arguments[i], library);
    if (kiln__engines_remove(c->dir, c->arguments[i], &error) != KILN_OK) {
      kiln__cli_complain(c->self, "%s", error.message);
      status = KILN__CLI_FAILED;
      continue;
    }
    if (library[0] != '\0') remove_object(c, library);
  }
  return kiln__cli_finish(c->self, status);
}

/* ---- check --------------------------------------------------------------------------- */

static kiln_status check_one(const engines_command *c, kiln__engine_record *record,
                             kiln_error *err) {
  const char *state = state_of(record);
  kiln_engine_info before = record->info;
  bool old = strcmp(state, "object missing") == 0 || strcmp(state, "object out of date") == 0;
  kiln_status status = KILN_OK;
  if (strcmp(state, "ok") != 0 && !(old && c->fix)) {
    return kiln__fail(err, KILN_EENGINE, NULL, "%s%s", state,
                      old ? " (check --fix makes it anew)" : "");
  }
  if (old) {
    char library[KILN_NODE_PATH_MAX];
    kiln__node node;
    bool built;
    memcpy(library, record->library, sizeof(library));
    status = kiln__node_probe(record->info.node, record->flags, c->headers, &node, err);
    if (status == KILN_OK) {
      status =
          kiln__hosted_build(c->dir, &node, record->library, sizeof(record->library), &built, err);
    }
    if (status == KILN_OK) status = kiln__engine_try(c->dir, record, err);
    if (status == KILN_OK) status = kiln__engines_save(c->dir, record, err);
    if (status == KILN_OK && strcmp(library, record->library) != 0) remove_object(c, library);
    return status;
  }
  status = kiln__engine_try(c->dir, record, err);
  if (status == KILN_OK && strcmp(before.fingerprint, record->info.fingerprint) != 0) {
    status = kiln__fail(err, KILN_EENGINE, NULL, "it is another engine than when it was added");
  }
  return status;
}

static int check_engines(engines_command *c) {
  kiln__engine_record *records = NULL;
  size_t count = 0;
  kiln_error error;
  json_t *list = c->json ? json_array() : NULL;
  damage damaged = {.command = c, .list = list};
  int status = KILN__CLI_OK;
  if (kiln__engines_read(c->dir, tell_damaged, &damaged, &records, &count, &error) != KILN_OK) {
    kiln__cli_complain(c->self, "%s", error.message);
    json_decref(list);
    return KILN__CLI_FAILED;
  }
  if (damaged.count > 0) status = KILN__CLI_FAILED;
  for (size_t i = 0; i < c->count; i++) {
    const kiln__engine_record *ignored;
    if (kiln__engines_find(records, count, kiln_span_from(c->arguments[i]), &ignored, &error) !=
        KILN_OK) {
      kiln__cli_complain(c->self, "%s", error.message);
      status = KILN__CLI_FAILED;
    }
  }
  for (size_t i = 0; i < count; i++) {
    bool wanted = c->count == 0;
    for (size_t j = 0; j < c->count; j++) {
      const kiln__engine_record *named;
      wanted = wanted || (kiln__engines_find(records, count, kiln_span_from(c->arguments[j]),
                                             &named, &error) == KILN_OK &&
                          named == &records[i]);
    }
    if (!wanted) continue;
    kiln_status good = check_one(c, &records[i], &error);
    if (good != KILN_OK) status = KILN__CLI_FAILED;
    const char *state = good == KILN_OK ? "ok" : error.message;
    if (c->json) {
      (void)json_array_append_new(list, record_json(&records[i], state));
    } else {
      printf("%-16s  %s\n", records[i].info.name, state);
    }
  }
  free(records);
  if (c->json && kiln__cli_print_json(c->self, list) != KILN__CLI_OK) status = KILN__CLI_FAILED;
  return kiln__cli_finish(c->self, status);
}

/* ---- discover ------------------------------------------------------------------------ */

typedef struct discovery {
  engines_command *command;
  kiln__engine_record *records;
  size_t count;
  json_t *list;
} discovery;

static void tell_found(void *user, const char *path) {
  discovery *d = user;
  kiln__node node;
  kiln_error error;
  bool registered = false;
  kiln_status status = kiln__node_probe(path, /* flags= */ "", /* headers= */ NULL, &node, &error);
  for (size_t i = 0; i < d->count; i++) {
    registered = registered || strcmp(d->records[i].info.build_id, node.build_id) == 0;
  }
  if (d->list != NULL && status == KILN_OK) {
    (void)json_array_append_new(
        d->list,
        json_pack("{s:o, s:s, s:s, s:s, s:b, s:b}", "node", kiln__cli_json_text(path),
                  "nodeVersion", node.version, "v8Version", node.v8_version, "buildId",
                  node.build_id, "headers", node.headers[0] != '\0', "registered", registered));
  } else if (d->list != NULL) {
    (void)json_array_append_new(d->list, json_pack("{s:o, s:s}", "node", kiln__cli_json_text(path),
                                                   "error", error.message));
  } else if (status == KILN_OK) {
    printf("%-10s  %s  V8 %s  build %s%s%s\n", node.version, path, node.v8_version, node.build_id,
           node.headers[0] != '\0' ? "" : "  no headers", registered ? "  registered" : "");
  } else {
    printf("%-10s  %s\n", "?", error.message);
  }
}

static int discover(engines_command *c) {
  discovery d = {.command = c, .list = c->json ? json_array() : NULL};
  if (kiln__engines_load(c->dir, &d.records, &d.count, /* err= */ NULL) != KILN_OK) d.count = 0;
  kiln__node_discover(tell_found, &d);
  free(d.records);
  return c->json ? kiln__cli_print_json(c->self, d.list) : kiln__cli_finish(c->self, KILN__CLI_OK);
}

/* ---- the command --------------------------------------------------------------------- */

enum { ENGINES_DIR = 1, NAME, FLAGS, HEADERS, FIX, JSON };

static int take_option(engines_command *c, int option, char **argv) {
  switch (option) {
    case ENGINES_DIR:
      c->engines_option = optarg;
      return -1;
    case NAME:
      c->name = optarg;
      return -1;
    case FLAGS:
      c->flags = optarg;
      return -1;
    case HEADERS:
      c->headers = optarg;
      return -1;
    case FIX:
      c->fix = true;
      return -1;
    case JSON:
      c->json = true;
      return -1;
    default:
      return kiln__cli_common_option(c->self, option, argv);
  }
}

static int exec(const kiln__cli_command *self, int argc, char **argv) {
  static const struct option options[] = {{"engines-dir", required_argument, NULL, ENGINES_DIR},
                                          {"name", required_argument, NULL, NAME},
                                          {"flags", required_argument, NULL, FLAGS},
                                          {"headers", required_argument, NULL, HEADERS},
                                          {"fix", no_argument, NULL, FIX},
                                          {"json", no_argument, NULL, JSON},
                                          KILN__CLI_COMMON_OPTIONS,
                                          {NULL, 0, NULL, 0}};
  static const struct {
    const char *name;
    int (*exec)(engines_command *c);
    bool takes_arguments;
  } verbs[] = {{"ls", list_engines, false},
               {"add", add_engines, true},
               {"rm", remove_engines, true},
               {"check", check_engines, true},
               {"discover", discover, false}};
  engines_command c = {.self = self};
  kiln_error error;
  int option;
  while ((option = getopt_long(argc, argv, ":", options, /* index= */ NULL)) != -1) {
    int status = take_option(&c, option, argv);
    if (status >= 0) return status;
  }
  const char *verb = optind < argc ? argv[optind++] : "ls";
  c.arguments = argv + optind;
  c.count = (size_t)(argc - optind);
  for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
    if (strcmp(verb, verbs[i].name) != 0) continue;
    if (c.count > 0 && !verbs[i].takes_arguments) {
      return kiln__cli_misuse(self, "%s: takes no arguments", verb);
    }
    if (kiln__cli_engines_dir(c.engines_option, c.dir, sizeof(c.dir), &error) != KILN_OK) {
      kiln__cli_complain(self, "%s", error.message);
      return KILN__CLI_FAILED;
    }
    return verbs[i].exec(&c);
  }
  return kiln__cli_misuse(self, "'%.80s': neither ls, add, rm, check nor discover", verb);
}

const kiln__cli_command kiln__cli_engines = {.name = "engines",
                                             .summary = "tell, add, check and remove engines",
                                             .help = help,
                                             .exec = exec};
