/* SPDX-License-Identifier: MIT
 *
 * options.h: kilnd's options, as one struct. Reads arguments, the configuration file that they name
 * and, for the store's place, the environment.
 */
#ifndef KILN_SERVER_OPTIONS_H
#define KILN_SERVER_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "server/faults.h"

/* How often an option may be repeated. */
#define SRV_LIST_MAX 32

typedef struct srv_list {
  const char *items[SRV_LIST_MAX];
  unsigned count;
} srv_list;

typedef struct srv_options {
  const char *listen; /* HOST:PORT */
  const char *port_file;
  const char *pid_file;
  const char *store; /* NULL: the default place */
  srv_list engines;
  const char *engines_dir; /* NULL: the default place */
  const char *engine_program;
  srv_list allow_hosts;
  bool no_store;
  bool no_sources;
  bool allow_unsandboxed;
  bool sandbox;
  bool jitless;
  uint64_t crashes_max;
  const char *user; /* NULL: stay who we are */
  bool access_log;
  bool access_log_json;        /* implies access_log, as the next */
  const char *access_log_file; /* NULL: standard error */
  const char *tokens;
  bool allow_anonymous;
  const char *tls_cert;
  const char *tls_key;
  const char *tls_priority;
  uint64_t rate;
  uint64_t rate_burst;
  uint64_t client_share; /* percent */
  const char *config;
  bool check_config;
  bool print_config;
  bool help;
  bool version;
  uint64_t workers;
  uint64_t queue;
  uint64_t timeout_default_ms;
  uint64_t timeout_max_ms;
  uint64_t heap_max_bytes;
  uint64_t memory_max_bytes;
  uint64_t result_max_bytes;
  uint64_t console_max_bytes;
  uint64_t body_max_bytes;
  uint64_t sessions;
  uint64_t session_idle_ms;
  uint64_t images_max;
  uint64_t image_memory_max_bytes;
  uint64_t image_idle_ms;
  uint64_t threads;
  uint64_t connections;
  uint64_t drain_ms;
  uint64_t restart_timeout_ms;
  uint64_t header_timeout_ms;
  uint64_t body_timeout_ms;
  uint64_t idle_timeout_ms;
  uint64_t hot_max_bytes;
  uint64_t hot_ms;
  char *config_values; /* what the configuration file said; owned */
} srv_options;

/* Fills *ret_options with the defaults, what the configuration file says and what the command line
 * says. What is pointed to belongs to argv and to the options. False: something is wrong, in one
 * line in `message`, and there is nothing to release. */
bool srv_options_parse(int argc, char **argv, srv_options *ret_options, char *message,
                       size_t message_size);

/* ... with all that is wrong. The options are filled as far as they go, and to be released. */
bool srv_options_parse_all(int argc, char **argv, srv_options *ret_options, srv_faults *faults);

void srv_options_release(srv_options *options);

void srv_options_print_help(FILE *out);

/* Where the store is by default: $KILN_STORE, $XDG_CACHE_HOME/kiln or ~/.cache/kiln. One to free;
 * NULL where none of these is set or memory ran out. */
char *srv_options_copy_default_store(void);

/* Where registered engines are by default: $KILN_ENGINES, $XDG_DATA_HOME/kiln/engines or
 * ~/.local/share/kiln/engines. */
char *srv_options_copy_default_engines(void);

#endif
