/* SPDX-License-Identifier: MIT
 *
 * options.h: kilnd's command line, as one struct. Reads arguments and, for the store's place, the
 * environment; opens nothing.
 */
#ifndef KILN_SERVER_OPTIONS_H
#define KILN_SERVER_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* How often an option may be repeated. */
#define SRV_LIST_MAX 32

typedef struct srv_list {
  const char *items[SRV_LIST_MAX];
  unsigned count;
} srv_list;

typedef struct srv_options {
  const char *listen; /* HOST:PORT */
  const char *port_file;
  const char *store; /* NULL: the default place */
  srv_list engines;
  const char *engines_dir; /* NULL: the default place */
  const char *engine_program;
  srv_list allow_hosts;
  bool no_store;
  bool no_sources;
  bool allow_unsandboxed;
  bool jitless;
  uint64_t crashes_max;
  bool access_log;
  bool help;
  bool version;
  uint64_t workers;
  uint64_t queue;
  uint64_t timeout_default_ms;
  uint64_t timeout_max_ms;
  uint64_t heap_max_bytes;
  uint64_t memory_max_bytes;
  uint64_t body_max_bytes;
  uint64_t sessions;
  uint64_t session_idle_ms;
  uint64_t images_max;
  uint64_t image_memory_max_bytes;
  uint64_t image_idle_ms;
  uint64_t threads;
  uint64_t connections;
  uint64_t drain_ms;
  uint64_t header_timeout_ms;
  uint64_t body_timeout_ms;
  uint64_t idle_timeout_ms;
  uint64_t hot_max_bytes;
  uint64_t hot_ms;
} srv_options;

/* Fills *ret_options with the defaults and what the command line says. On a wrong command line
 * returns false and writes one line to `message`. What is pointed to belongs to argv. */
bool srv_options_parse(int argc, char **argv, srv_options *ret_options, char *message,
                       size_t message_size);

void srv_options_print_help(FILE *out);

/* Where the store is by default: $KILN_STORE, $XDG_CACHE_HOME/kiln or ~/.cache/kiln. One to free;
 * NULL where none of these is set or memory ran out. */
char *srv_options_copy_default_store(void);

/* Where registered engines are by default: $KILN_ENGINES, $XDG_DATA_HOME/kiln/engines or
 * ~/.local/share/kiln/engines. */
char *srv_options_copy_default_engines(void);

#endif
