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
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server/conn.h"
#include "server/hot.h"
#include "server/http.h"

#define FLUSH_MS 1000
#define POLL_MS 5

enum { EXIT_FAULT = 1, EXIT_USAGE = 2 };

static int signal_pipe[2] = {-1, -1};

static void on_signal(int number) {
  int saved = errno;
  char byte = (char)number;
  (void)!write(signal_pipe[1], &byte, 1);
  errno = saved;
}

/* A handler and a pipe, not a blocked signal: the engines that are started must not inherit a mask
 * that keeps them from being ended. */
static bool catch_signals(void) {
  struct sigaction catch = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
  struct sigaction ignore = {.sa_handler = SIG_IGN};
  if (pipe2(signal_pipe, O_CLOEXEC | O_NONBLOCK) != 0) return false;
  sigemptyset(&catch.sa_mask);
  sigemptyset(&ignore.sa_mask);
  return sigaction(SIGTERM, &catch, NULL) == 0 && sigaction(SIGINT, &catch, NULL) == 0 &&
         sigaction(SIGPIPE, &ignore, NULL) == 0;
}

/* Waits for a signal; false: `timeout_ms` passed (-1: never). */
static bool wait_signal(int timeout_ms) {
  struct pollfd entry = {.fd = signal_pipe[0], .events = POLLIN};
  char byte;
  int ready;
  do {
    ready = poll(&entry, 1, timeout_ms);
  } while (ready < 0 && errno == EINTR && timeout_ms < 0);
  return ready > 0 && read(signal_pipe[0], &byte, 1) == 1;
}

/* Waits till *count is 0; false: `limit_ms` passed, or a signal came where `interruptible`. */
typedef enum interruption { UNTIL_SIGNAL, WHATEVER } interruption;
static bool wait_zero(atomic_uint *count, int64_t limit_ms, interruption until) {
  int64_t until_ms = srv_now_ms() + limit_ms;
  while (atomic_load(count) > 0) {
    if (srv_now_ms() >= until_ms) return false;
    if (wait_signal(POLL_MS) && until == UNTIL_SIGNAL) return false;
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

static void stop(srv_server *server) {
  srv_log("info", "stopping", "in_flight=%u", atomic_load(&server->in_flight));
  atomic_store(&server->state, SRV_STOPPING);
  srv_http_quiesce(server);
  bool drained = wait_zero(&server->in_flight, (int64_t)server->options->drain_ms, UNTIL_SIGNAL);
  close_kiln(server);
  wait_zero(&server->in_flight, FLUSH_MS, WHATEVER);
  srv_http_stop(server);
  srv_log("info", "stopped", "drained=%s", drained ? "yes" : "no");
}

static bool write_port_file(const char *path, unsigned port) {
  FILE *out = fopen(path, "we");
  if (out == NULL) return false;
  fprintf(out, "%u\n", port);
  bool failed = ferror(out) != 0;
  return fclose(out) == 0 && !failed;
}

static bool open_kiln(srv_server *server, const char *store) {
  const srv_options *options = server->options;
  kiln_options wanted = KILN_OPTIONS_INIT;
  kiln_error error = {0};
  wanted.store_path = store;
  wanted.forget_sources = options->no_sources;
  wanted.sandbox_required = !options->allow_unsandboxed;
  wanted.crashes_max = (unsigned)options->crashes_max;
  wanted.large_pages = true;
  wanted.jitless = options->jitless;
  wanted.engine_path = options->engine_program;
  wanted.engines = options->engines.items;
  wanted.engines_count = options->engines.count;
  char *default_dir = NULL;
  if (options->engines.count > 0) {
    default_dir = options->engines_dir == NULL ? srv_options_copy_default_engines() : NULL;
    wanted.engines_dir = default_dir != NULL ? default_dir : options->engines_dir;
  }
  wanted.workers_max = (unsigned)options->workers;
  wanted.queue_max = (unsigned)options->queue;
  wanted.heap_max_bytes = options->heap_max_bytes;
  wanted.memory_max_bytes = options->memory_max_bytes;
  wanted.source_max_bytes = options->body_max_bytes;
  wanted.sessions_max = (unsigned)options->sessions;
  wanted.session_idle_ms = (unsigned)options->session_idle_ms;
  wanted.images_max = (unsigned)options->images_max;
  wanted.images_max_bytes = options->image_memory_max_bytes;
  wanted.image_idle_ms = (unsigned)options->image_idle_ms;
  wanted.timeout_default_ms = (unsigned)options->timeout_default_ms;
  wanted.timeout_max_ms = (unsigned)options->timeout_max_ms;
  kiln_status status = kiln_open(&wanted, &server->kiln, &error);
  free(default_dir);
  if (status == KILN_OK) return true;
  fprintf(stderr, "kilnd: %s\n", error.message);
  return false;
}

static void announce(const srv_options *options, bool loopback, unsigned port) {
  size_t host = strlen(options->listen) - strlen(strrchr(options->listen, ':'));
  printf("kilnd listening on http://%.*s:%u\n", (int)host, options->listen, port);
  fflush(stdout);
  srv_log("info", "listening", "host=%.*s port=%u version=%s", (int)host, options->listen, port,
          KILN_VERSION);
  if (!loopback)
    srv_log("warn", "no-authentication",
            "text=\"whoever reaches this address may run code and read the store\"");
}

static int serve(srv_server *server, const char *store) {
  const srv_options *options = server->options;
  char message[256];
  unsigned port = 0;
  int status = EXIT_FAULT;
  int listen_fd = srv_listen(options->listen, &server->loopback, &port, message, sizeof(message));
  if (listen_fd < 0) {
    fprintf(stderr, "kilnd: %s\n", message);
    return EXIT_FAULT;
  }
  if (!open_kiln(server, store)) {
    close(listen_fd);
    return EXIT_FAULT;
  }
  server->hot = srv_hot_new(options->hot_max_bytes, (int64_t)options->hot_ms);
  server->conns = srv_conns_new(server);
  if (server->hot == NULL || server->conns == NULL) {
    fprintf(stderr, "kilnd: out of memory\n");
    close(listen_fd);
    close_kiln(server);
  } else if (!srv_http_start(server, listen_fd, message, sizeof(message))) {
    fprintf(stderr, "kilnd: %s\n", message);
    close(listen_fd);
    close_kiln(server);
  } else {
    bool told = options->port_file == NULL || write_port_file(options->port_file, port);
    if (told) {
      announce(options, server->loopback, port);
      wait_signal(-1);
      status = EXIT_SUCCESS;
    } else {
      fprintf(stderr, "kilnd: --port-file '%s': %s\n", options->port_file, strerror(errno));
    }
    stop(server);
  }
  srv_conns_free(server->conns);
  srv_hot_free(server->hot);
  return status;
}

int main(int argc, char **argv) {
  srv_options options;
  char message[256];
  if (!srv_options_parse(argc, argv, &options, message, sizeof(message))) {
    fprintf(stderr, "kilnd: %s; see kilnd --help\n", message);
    return EXIT_USAGE;
  }
  if (options.help) {
    srv_options_print_help(stdout);
    return EXIT_SUCCESS;
  }
  if (options.version) {
    printf("kilnd %s\n", KILN_VERSION);
    return EXIT_SUCCESS;
  }
  if (!catch_signals()) {
    fprintf(stderr, "kilnd: signals: %s\n", strerror(errno));
    return EXIT_FAULT;
  }
  char *place = NULL;
  if (!options.no_store && options.store == NULL) {
    place = srv_options_copy_default_store();
    if (place == NULL) {
      fprintf(stderr, "kilnd: no place for the store: name one with --store, or say --no-store\n");
      return EXIT_USAGE;
    }
  }
  srv_server server = {.options = &options, .started_ms = srv_now_ms()};
  int status = serve(&server, options.store != NULL ? options.store : place);
  free(place);
  return status;
}
