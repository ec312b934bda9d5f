/* SPDX-License-Identifier: MIT
 *
 * main.c: kilnd. Starts the kiln and the HTTP daemon, waits for a signal, stops both in the order
 * that lets everybody in flight have an answer:
 *
 *   1. state STOPPING: no new connection, no new request (503).
 *   2. Up to --drain-ms for the requests in flight; a second signal cuts it short.
 *   3. state CLOSED: nobody enters the kiln any more; wait for those inside.
 *   4. kiln_close(): what still runs is killed, each gets its answer, suspended ones resume.
 *   5. A moment for these answers to be written, then the daemon ends.
 *
 * On SIGHUP the access log is opened again, tokens and certificate are read again. On SIGUSR2
 * another kilnd is started (restart.h); when it takes requests, this one answers what its
 * connections still ask, closing each, and stops.
 */
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server/access_log.h"
#include "server/area.h"
#include "server/auth.h"
#include "server/check.h"
#include "server/config.h"
#include "server/conn.h"
#include "server/hot.h"
#include "server/http.h"
#include "server/inherit.h"
#include "server/metrics.h"
#include "server/notify.h"
#include "server/privileges.h"
#include "server/restart.h"
#include "server/signals.h"
#include "server/tls.h"

#define FLUSH_MS 1000
#define POLL_MS 5
#define RESTART_POLL_MS 100
#define EXPIRY_WARNING_DAYS 14
/* What is larger is mapped by itself, so that freeing gives it back. Left alone, glibc raises this
 * to the largest it ever freed, up to 32 MiB, and keeps as much as twice that in each of its
 * arenas. */
#define MAPPED_MIN (256 * 1024)
#define ARENAS_MAX 4

enum { EXIT_FAULT = 1, EXIT_USAGE = 2 };

static void tell_faults(const srv_faults *faults, FILE *out) {
  for (unsigned i = 0; i < faults->count && i < SRV_FAULTS_MAX; i++)
    fprintf(out, "kilnd: %s\n", faults->texts[i]);
  if (faults->count > SRV_FAULTS_MAX)
    fprintf(out, "kilnd: and %u more\n", faults->count - SRV_FAULTS_MAX);
}

/* ---- stopping */

/* Waits till *count is 0; false: `limit_ms` passed, or a signal came where `interruptible`. */
typedef enum interruption { UNTIL_SIGNAL, WHATEVER } interruption;
static bool wait_zero(atomic_uint *count, int64_t limit_ms, interruption until) {
  int64_t until_ms = srv_now_ms() + limit_ms;
  while (atomic_load(count) > 0) {
    if (srv_now_ms() >= until_ms) return false;
    srv_signals_wait(/* fd= */ -1, POLL_MS);
    if (srv_signals_take(SRV_SIGNAL_STOP) && until == UNTIL_SIGNAL) return false;
  }
  return true;
}

/* Calls into the kiln are short; it must not be freed under one, however long that takes. */
static void close_kiln(srv_server *server) {
  atomic_store(&server->state, SRV_CLOSED);
  wait_zero(&server->kiln_users, INT32_MAX, WHATEVER);
  kiln_close(server->kiln, 0);
  server->kiln = NULL;
}

/* Another kilnd takes the newcomers; here everybody may finish, and ask once more. */
static void leave(srv_server *server) {
  int64_t until_ms = srv_now_ms() + (int64_t)server->options->drain_ms;
  atomic_store(&server->leaving, true);
  srv_http_quiesce(server);
  do { /* at least once: who was just accepted may not be counted yet */
    srv_signals_wait(/* fd= */ -1, POLL_MS);
    if (srv_signals_take(SRV_SIGNAL_STOP)) return;
  } while (atomic_load(&server->connections) > 0 && srv_now_ms() < until_ms);
}

static void stop(srv_server *server) {
  srv_log("info", "stopping", "in_flight=%u", atomic_load(&server->in_flight));
  atomic_store(&server->state, SRV_STOPPING);
  if (!atomic_load(&server->leaving)) srv_http_quiesce(server);
  bool drained = wait_zero(&server->in_flight, (int64_t)server->options->drain_ms, UNTIL_SIGNAL);
  close_kiln(server);
  wait_zero(&server->in_flight, FLUSH_MS, WHATEVER);
  srv_http_stop(server);
  srv_log("info", "stopped", "drained=%s", drained ? "yes" : "no");
}

/* ---- serving */

static void warn_of_expiry(srv_server *server) {
  if (server->tls == NULL) return;
  int64_t days = srv_tls_days_left(server->tls);
  if (days < 0)
    srv_log("error", "certificate-expired", "file=%.200s", server->options->tls_cert);
  else if (days < EXPIRY_WARNING_DAYS)
    srv_log("warn", "certificate-expires", "days=%lld file=%.200s", (long long)days,
            server->options->tls_cert);
}

/* What is broken stays as it was; the rest is taken. */
static void reload(srv_server *server) {
  srv_faults faults = {0};
  srv_notify("RELOADING=1\nMONOTONIC_USEC=%lld", (long long)srv_now_ms() * 1000);
  if (server->access_log != NULL) srv_access_log_reopen(server->access_log);
  srv_auth_reload(server->auth, &faults);
  if (server->tls != NULL && srv_tls_reload(server->tls, &faults)) warn_of_expiry(server);
  for (unsigned i = 0; i < faults.count && i < SRV_FAULTS_MAX; i++)
    srv_log("error", "reload-failed", "text=\"%s; as it was\"", faults.texts[i]);
  if (faults.count == 0) srv_log("info", "reloaded", "what=tokens,certificate");
  srv_notify("READY=1");
}

/* Until SIGTERM, or until another kilnd serves. */
static void attend(srv_server *server, char **argv) {
  srv_restart restart = {.ready_fd = -1};
  int64_t timeout_ms = (int64_t)server->options->restart_timeout_ms;
  while (true) {
    srv_signals_wait(restart.ready_fd, restart.pid != 0 ? RESTART_POLL_MS : -1);
    if (srv_signals_take(SRV_SIGNAL_STOP)) break;
    if (srv_signals_take(SRV_SIGNAL_RELOAD)) reload(server);
    if (srv_signals_take(SRV_SIGNAL_RESTART))
      srv_restart_begin(&restart, argv, server->listen_fd, timeout_ms);
    pid_t next = restart.pid;
    if (next == 0 || srv_restart_look(&restart) != SRV_RESTART_DONE) continue;
    srv_notify("MAINPID=%d", (int)next);
    srv_log("info", "leaving", "next=%d", (int)next);
    leave(server);
    return;
  }
  srv_restart_cancel(&restart);
  srv_notify("STOPPING=1");
}

/* Writes a number into a file, if one is wanted; says why it cannot. */
static bool write_file(const char *option, const char *path, unsigned number) {
  if (path == NULL) return true;
  FILE *out = fopen(path, "we");
  bool good = out != NULL && fprintf(out, "%u\n", number) > 0;
  if (out != NULL) good = fclose(out) == 0 && good;
  if (!good) fprintf(stderr, "kilnd: %s '%s': %s\n", option, path, strerror(errno));
  return good;
}

static bool open_kiln(srv_server *server, const char *store) {
  const srv_options *options = server->options;
  kiln_options wanted = KILN_OPTIONS_INIT;
  kiln_error error = {0};
  wanted.store_path = store;
  wanted.forget_sources = options->no_sources;
  wanted.sandbox_required = !options->allow_unsandboxed;
  wanted.sandbox_off = !options->sandbox;
  wanted.crashes_max = (unsigned)options->crashes_max;
  wanted.large_pages = true;
  wanted.jitless = options->jitless;
  wanted.engine_path = options->engine_program;
  wanted.engines = options->engines.items;
  wanted.engines_count = options->engines.count;
  char *dir = options->engines.count > 0 ? srv_check_copy_engines_dir(options) : NULL;
  wanted.engines_dir = dir;
  wanted.workers_max = (unsigned)options->workers;
  wanted.queue_max = (unsigned)options->queue;
  wanted.client_share = (unsigned)options->client_share;
  wanted.heap_max_bytes = options->heap_max_bytes;
  wanted.memory_max_bytes = options->memory_max_bytes;
  wanted.result_max_bytes = options->result_max_bytes;
  wanted.console_max_bytes = options->console_max_bytes;
  wanted.source_max_bytes = options->body_max_bytes;
  wanted.sessions_max = (unsigned)options->sessions;
  wanted.session_idle_ms = (unsigned)options->session_idle_ms;
  wanted.images_max = (unsigned)options->images_max;
  wanted.images_max_bytes = options->image_memory_max_bytes;
  wanted.image_idle_ms = (unsigned)options->image_idle_ms;
  wanted.timeout_default_ms = (unsigned)options->timeout_default_ms;
  wanted.timeout_max_ms = (unsigned)options->timeout_max_ms;
  kiln_status status = kiln_open(&wanted, &server->kiln, &error);
  free(dir);
  if (status == KILN_OK) return true;
  fprintf(stderr, "kilnd: %s\n", error.message);
  return false;
}

static bool open_access_log(srv_server *server) {
  const srv_options *options = server->options;
  char message[256];
  if (!options->access_log && !options->access_log_json && options->access_log_file == NULL)
    return true;
  server->access_log = srv_access_log_open(options, message, sizeof(message));
  if (server->access_log != NULL) return true;
  fprintf(stderr, "kilnd: %s\n", message);
  return false;
}

static bool drop_privileges(const srv_options *options) {
  char message[256];
  if (options->user == NULL) return true;
  if (srv_privileges_drop(options->user, message, sizeof(message))) return true;
  fprintf(stderr, "kilnd: %s\n", message);
  return false;
}

static void announce(const srv_server *server, const srv_listening *listening, bool is_heir) {
  const srv_options *options = server->options;
  bool tls = server->tls != NULL;
  printf("kilnd listening on %s://%s:%u\n", tls ? "https" : "http", listening->host,
         listening->port);
  fflush(stdout);
  srv_log("info", "listening", "host=%s port=%u tls=%s version=%s", listening->host,
          listening->port, tls ? "yes" : "no", KILN_VERSION);
  if (!server->loopback && options->tokens == NULL)
    srv_log("warn", "no-authentication",
            "text=\"whoever reaches this address may run code and read the store\"");
  if (!server->loopback && options->tokens != NULL && !tls)
    srv_log("warn", "no-tls", "text=\"tokens travel in the clear\"");
  if (!options->sandbox)
    srv_log("warn", "sandbox-off",
            "text=\"code that breaks out of V8 may do whatever this user may\"");
  if (!is_heir) srv_notify("READY=1\nSTATUS=serving on %s:%u", listening->host, listening->port);
}

/* All that a request needs but the daemon; false: what is missing was said. */
static bool prepare(srv_server *server, const char *store) {
  const srv_options *options = server->options;
  srv_faults faults = {0};
  server->auth = srv_auth_new(options, &faults);
  if (options->tls_cert != NULL) server->tls = srv_tls_new(options, &faults);
  if (faults.count > 0) {
    tell_faults(&faults, stderr);
    return false;
  }
  if (!open_access_log(server) || !drop_privileges(options) || !open_kiln(server, store))
    return false;
  server->metrics = srv_metrics_new();
  /* With TLS what is sent is not what is kept. */
  if (options->hot_ms != 0 && server->tls == NULL)
    srv_area_open(options->hot_max_bytes, options->idle_timeout_ms);
  server->hot = srv_hot_new(options->hot_max_bytes, (int64_t)options->hot_ms);
  server->conns = srv_conns_new(server);
  if (server->hot != NULL && server->conns != NULL && server->metrics != NULL) return true;
  fprintf(stderr, "kilnd: out of memory\n");
  return false;
}

static void release(srv_server *server) {
  if (server->kiln != NULL) close_kiln(server);
  srv_conns_free(server->conns);
  srv_hot_free(server->hot);
  srv_metrics_free(server->metrics);
  srv_access_log_close(server->access_log);
  srv_tls_free(server->tls);
  srv_auth_free(server->auth);
}

static int serve(srv_server *server, srv_options *options, char **argv, srv_inherited *inherited,
                 const char *store) {
  char message[256];
  char address[100];
  srv_listening listening;
  int status = EXIT_FAULT;
  srv_listen_result result =
      srv_listen(options, inherited->listen_fd, &listening, message, sizeof(message));
  if (result != SRV_LISTENING) {
    fprintf(stderr, "kilnd: %s\n", message);
    return result == SRV_LISTEN_OPEN ? EXIT_USAGE : EXIT_FAULT;
  }
  server->loopback = listening.loopback;
  if (inherited->listen_fd >= 0) { /* the name that Host may have */
    snprintf(address, sizeof(address), "%s:%u", listening.host, listening.port);
    options->listen = address;
  }
  if (!prepare(server, store)) {
    close(listening.fd);
  } else if (!srv_http_start(server, listening.fd, message, sizeof(message))) {
    fprintf(stderr, "kilnd: %s\n", message);
    close(listening.fd);
  } else {
    if (write_file("--port-file", options->port_file, listening.port) &&
        write_file("--pid-file", options->pid_file, (unsigned)getpid())) {
      warn_of_expiry(server);
      announce(server, &listening, inherited->ready_fd >= 0);
      srv_inherited_ready(inherited);
      attend(server, argv);
      status = EXIT_SUCCESS;
    }
    stop(server);
  }
  release(server);
  return status;
}

/* ---- what else kilnd can be asked for */

static int check_config(const srv_options *options, srv_faults *faults) {
  srv_check(options, faults);
  tell_faults(faults, stdout);
  if (faults->count > 0) return EXIT_FAULT;
  puts("ok");
  return EXIT_SUCCESS;
}

static int print_config(const srv_options *options) {
  char message[300] = "standard output: cannot be written";
  if (srv_config_print(stdout, options, message, sizeof(message)) && fflush(stdout) == 0)
    return EXIT_SUCCESS;
  fprintf(stderr, "kilnd: %s\n", message);
  return EXIT_FAULT;
}

static int start(srv_options *options, char **argv) {
  char message[256];
  srv_inherited inherited;
  srv_restart_init();
  if (!srv_inherit(&inherited, message, sizeof(message))) {
    fprintf(stderr, "kilnd: %s\n", message);
    return EXIT_FAULT;
  }
  srv_privileges_begin();
  mallopt(M_MMAP_THRESHOLD, MAPPED_MIN);
  mallopt(M_ARENA_MAX, ARENAS_MAX);
  if (!srv_signals_catch()) {
    fprintf(stderr, "kilnd: signals: %s\n", strerror(errno));
    return EXIT_FAULT;
  }
  char *place = NULL;
  if (!options->no_store && options->store == NULL) {
    place = srv_options_copy_default_store();
    if (place == NULL) {
      fprintf(stderr, "kilnd: no place for the store: name one with --store, or say --no-store\n");
      return EXIT_USAGE;
    }
  }
  srv_server server = {.options = options, .started_ms = srv_now_ms()};
  int status =
      serve(&server, options, argv, &inherited, options->store != NULL ? options->store : place);
  free(place);
  return status;
}

int main(int argc, char **argv) {
  static srv_faults faults;
  srv_options options;
  int status = EXIT_USAGE;
  bool good = srv_options_parse_all(argc, argv, &options, &faults);
  if (options.check_config) {
    status = check_config(&options, &faults);
  } else if (!good) {
    fprintf(stderr, "kilnd: %s; see kilnd --help\n", faults.texts[0]);
  } else if (options.help) {
    srv_options_print_help(stdout);
    status = EXIT_SUCCESS;
  } else if (options.version) {
    printf("kilnd %s\n", KILN_VERSION);
    status = EXIT_SUCCESS;
  } else if (options.print_config) {
    status = print_config(&options);
  } else {
    status = start(&options, argv);
  }
  srv_options_release(&options);
  return status;
}
