/* SPDX-License-Identifier: MIT
 *
 * cli_doctor.c: `kiln doctor`: what Kiln needs of this machine, what of it is there, and how to get
 * the rest. It finds out by doing: engines are started, a script is run, a store is opened.
 */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "toolkit/await.h"
#include "toolkit/cli.h"

static const char help[] =
    "Usage: kiln doctor [OPTIONS]\n"
    "\n"
    "Looks at what Kiln needs here: engines start and run a script, each layer of their sandbox,\n"
    "the store. Says of what is missing how to get it.\n"
    "\n"
    "Options:\n"
    "  --engine ENGINE   look at this engine; may be repeated; default: the one of Kiln\n"
    "  --engines-dir DIR the registry of engines\n"
    "  --store DIR       the store to look at\n"
    "  --jitless         as kilnd --jitless starts its engines\n"
    "  --sandbox on|off  off: as kilnd --sandbox=off does, so that layers are missing (on)\n"
    "  --json            print JSON\n"
    "  --help            print this\n"
    "  --version         print the version\n"
    "\n"
    "Exit status: 0 all that is required is there, 1 something is not, 2 wrong usage.\n";

#define ENGINES_MAX 16
#define DESCRIPTORS_MIN 1024

typedef enum finding { FOUND, OPTIONAL_MISSING, MISSING } finding;
static const char *const finding_words[] = {"ok", "missing", "required"};

typedef struct doctor {
  const kiln__cli_command *self;
  bool json;
  bool jitless;
  bool sandbox_off;
  const char *engines_option;
  const char *store_option;
  const char *specs[ENGINES_MAX];
  size_t specs_count;
  json_t *checks;
  bool ill;
} doctor;

/* One line of the report. `advice` only where something is missing. */
static void note(doctor *d, const char *about, const char *what, finding found, const char *text,
                 const char *advice) {
  if (found == MISSING) d->ill = true;
  json_t *check = json_pack("{s:o, s:s, s:s, s:o}", "about", kiln__cli_json_text(about), "check",
                            what, "state", finding_words[found], "text", kiln__cli_json_text(text));
  if (check && found != FOUND && advice) json_object_set_new(check, "advice", json_string(advice));
  json_array_append_new(d->checks, check);
  if (d->json) return;
  printf("%-9s %-12s %-17s %s\n", finding_words[found], about, what, text);
  if (found != FOUND && advice) printf("          -> %s\n", advice);
}

/* ---- the sandbox ----------------------------------------------------------------------------- */

#define NAMESPACES                                                                         \
  "run kilnd as root, or allow user namespaces: sysctl user.max_user_namespaces=10000, "   \
  "and where there is one kernel.unprivileged_userns_clone=1; in a container they may be " \
  "forbidden by its seccomp profile"

static const char *advice_of(kiln_layer layer) {
  switch (layer) {
    case KILN_LAYER_SECCOMP:
      return "needs a kernel with CONFIG_SECCOMP_FILTER (every Debian kernel has it), and an "
             "engine that is not built with sanitizers";
    case KILN_LAYER_LANDLOCK:
      return "needs Linux 5.13 with landlock among the security modules: boot with "
             "lsm=landlock,... where /sys/kernel/security/lsm does not list it";
    case KILN_LAYER_USER:
    case KILN_LAYER_PROCESSES:
    case KILN_LAYER_NETWORK:
    case KILN_LAYER_IPC:
    case KILN_LAYER_MOUNT:
    case KILN_LAYER_PID:
      return NAMESPACES;
    case KILN_LAYER_JITLESS:
      return "start kilnd with --jitless where code runs two times slower but safer; its blobs are "
             "not Node's then";
    case KILN_LAYER_LIMITS:
    case KILN_LAYER_NO_NEW_PRIVILEGES:
    case KILN_LAYERS:
      break;
  }
  return NULL;
}

static void look_at_layers(doctor *d, const kiln_engine_info *info) {
  for (unsigned i = 0; i < KILN_LAYERS; i++) {
    kiln_layer layer = (kiln_layer)i;
    bool there = info->layers & UINT32_C(1) << i;
    finding found = there ? FOUND : kiln_layer_is_required(layer) ? MISSING : OPTIONAL_MISSING;
    note(d, info->name, kiln_layer_word(layer), found, kiln_layer_text(layer),
         info->sandbox_off && layer != KILN_LAYER_JITLESS ? "switched off by --sandbox=off"
                                                          : advice_of(layer));
  }
}

/* ---- engines --------------------------------------------------------------------------------- */

typedef struct trial {
  kiln__await await;
  bool good;
  char text[256];
} trial;

/* kiln_done_fn */
static void tried(void *user, const kiln_response *response) {
  trial *t = user;
  kiln_span result = response->status == KILN_OK && response->outcome == KILN_OUTCOME_OK
                         ? kiln_bytes_get(response->result_json)
                         : (kiln_span){"", 0};
  t->good = result.length == 2 && memcmp(result.data, "42", 2) == 0;
  if (t->good)
    snprintf(t->text, sizeof(t->text), "ran a script in %.2f ms",
             (double)response->times.total_ns / 1e6);
  else
    snprintf(t->text, sizeof(t->text), "6*7: %.240s",
             response->status != KILN_OK ? response->error.message
             : response->message         ? response->message
                                         : kiln_outcome_word(response->outcome));
  kiln__await_signal(&t->await);
}

static void run_script(doctor *d, kiln *k, const kiln_engine_info *info) {
  trial t = {.await = KILN__AWAIT_INIT};
  kiln_error error = {0};
  kiln_request request = {
      .op = KILN_RUN, .source = kiln_bytes_new("6*7", 3), .engine = kiln_span_from(info->name)};
  kiln_status status = request.source ? kiln_submit(k, &request, tried, &t, &error) : KILN_ENOMEM;
  kiln_bytes_unref(request.source);
  if (status == KILN_OK) kiln__await_signalled(&t.await);
  note(d, info->name, "runs", t.good ? FOUND : MISSING, status == KILN_OK ? t.text : error.message,
       "see the messages above; `kiln engines check` looks at registered engines");
}

static void look_at_engine(doctor *d, const char *spec) {
  char dir[KILN_NODE_PATH_MAX], text[160];
  kiln_options options = KILN_OPTIONS_INIT;
  kiln_error error = {0};
  kiln *k = NULL;
  kiln_engine_info info;
  options.engines = &spec;
  options.engines_count = 1;
  options.workers_max = 1;
  options.jitless = d->jitless;
  options.sandbox_off = d->sandbox_off;
  options.engines_dir = dir;
  kiln_status status = kiln__cli_engines_dir(d->engines_option, dir, sizeof(dir), &error);
  if (status == KILN_OK) status = kiln_open(&options, &k, &error);
  if (status == KILN_OK) status = kiln_get_engine(k, 0, &info, &error);
  if (status != KILN_OK) {
    note(d, spec, "starts", MISSING, error.message,
         "`kiln engines ls` shows what is registered; ./run build makes Kiln's own engine");
  } else {
    snprintf(text, sizeof(text), "V8 %s, build %.16s", info.v8_version, info.build_id);
    note(d, info.name, "starts", FOUND, text, NULL);
    run_script(d, k, &info);
    look_at_layers(d, &info);
  }
  kiln_close(k, 1000);
}

/* ---- the rest of the machine ------------------------------------------------------------------
 */

static void look_at_store(doctor *d) {
  char path[KILN_NODE_PATH_MAX];
  kcc_store_options options = KCC_STORE_OPTIONS_INIT;
  kcc_store *store = NULL;
  kcc_error error;
  if (!kiln__cli_store_path(d->self, d->store_option, path, sizeof(path))) {
    note(d, "store", "place", MISSING, "there is none", "name one with --store or $KILN_STORE");
    return;
  }
  kcc_status status = kcc_store_open(path, &options, &store, &error);
  if (status == KCC_OK)
    note(d, "store", "opens", FOUND, path, NULL);
  else
    note(d, "store", "opens", MISSING, error.message,
         "give its folder back to this user, or name another with --store");
  kcc_store_close(store);
}

static void look_at_limits(doctor *d) {
  char text[96];
  struct rlimit files;
  if (getrlimit(RLIMIT_NOFILE, &files) != 0) return;
  snprintf(text, sizeof(text), "%llu descriptors, at most %llu", (unsigned long long)files.rlim_cur,
           (unsigned long long)files.rlim_max);
  note(d, "machine", "descriptors", files.rlim_cur >= DESCRIPTORS_MIN ? FOUND : OPTIONAL_MISSING,
       text, "kilnd --connections 1024 wants 2048: ulimit -n, or LimitNOFILE= of its unit");
  snprintf(text, sizeof(text), "%ld processors", sysconf(_SC_NPROCESSORS_ONLN));
  note(d, "machine", "processors", FOUND, text, NULL);
}

static int report(doctor *d) {
  int status = d->ill ? KILN__CLI_FAILED : KILN__CLI_OK;
  if (d->json) {
    int printed =
        kiln__cli_print_json(d->self, json_pack("{s:b, s:O}", "ok", !d->ill, "checks", d->checks));
    json_decref(d->checks);
    return printed != KILN__CLI_OK ? printed : status;
  }
  json_decref(d->checks);
  puts(d->ill ? "\nSomething that is required is missing." : "\nAll that is required is there.");
  return kiln__cli_finish(d->self, status);
}

static int exec_doctor(const kiln__cli_command *self, int argc, char **argv) {
  static const struct option options[] = {{"engine", required_argument, NULL, 'e'},
                                          {"engines-dir", required_argument, NULL, 'd'},
                                          {"store", required_argument, NULL, 's'},
                                          {"jitless", no_argument, NULL, 'j'},
                                          {"sandbox", required_argument, NULL, 'x'},
                                          {"json", no_argument, NULL, 'J'},
                                          KILN__CLI_COMMON_OPTIONS,
                                          {NULL, 0, NULL, 0}};
  doctor d = {.self = self};
  int option;
  while ((option = getopt_long(argc, argv, ":", options, NULL)) != -1) {
    switch (option) {
      case 'e':
        if (d.specs_count == ENGINES_MAX)
          return kiln__cli_misuse(self, "--engine: more than %d", ENGINES_MAX);
        d.specs[d.specs_count++] = optarg;
        break;
      case 'd':
        d.engines_option = optarg;
        break;
      case 's':
        d.store_option = optarg;
        break;
      case 'j':
        d.jitless = true;
        break;
      case 'x':
        d.sandbox_off = strcmp(optarg, "off") == 0;
        if (!d.sandbox_off && strcmp(optarg, "on") != 0)
          return kiln__cli_misuse(self, "--sandbox '%.80s': must be on or off", optarg);
        break;
      case 'J':
        d.json = true;
        break;
      default:
        return kiln__cli_common_option(self, option, argv);
    }
  }
  if (optind < argc) return kiln__cli_misuse(self, "'%.80s': takes no arguments", argv[optind]);
  d.checks = json_array();
  if (!d.checks) {
    kiln__cli_complain(self, "out of memory");
    return KILN__CLI_FAILED;
  }
  if (d.specs_count == 0) d.specs[d.specs_count++] = "default";
  for (size_t i = 0; i < d.specs_count; i++) look_at_engine(&d, d.specs[i]);
  look_at_store(&d);
  look_at_limits(&d);
  return report(&d);
}

const kiln__cli_command kiln__cli_doctor = {
    .name = "doctor",
    .summary = "say what is missing on this machine, and how to get it",
    .help = help,
    .exec = exec_doctor,
};
