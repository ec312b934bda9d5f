/* SPDX-License-Identifier: MIT
 *
 * check.c: see check.h.
 */
#include "server/check.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/http.h"
#include "server/tls.h"

char *srv_check_copy_engines_dir(const srv_options *options) {
  return options->engines_dir != NULL ? strdup(options->engines_dir)
                                      : srv_options_copy_default_engines();
}

/* The store's folder is made where it is missing, and those above it: so the nearest that there is
 * must be ours to write. */
static void check_store_at(const char *place, srv_faults *faults) {
  struct stat about;
  char path[4096];
  if (place[0] == '\0' || strlen(place) >= sizeof(path)) {
    srv_faults_add(faults, "--store '%.80s': no path", place);
    return;
  }
  snprintf(path, sizeof(path), "%s", place);
  while (stat(path, &about) != 0) {
    char *slash = strrchr(path, '/');
    if (errno != ENOENT || (slash == path && path[1] == '\0')) {
      srv_faults_add(faults, "--store '%.160s': %s", place, strerror(errno));
      return;
    }
    if (slash == NULL)
      snprintf(path, sizeof(path), ".");
    else if (slash == path)
      path[1] = '\0';
    else
      *slash = '\0';
  }
  if (!S_ISDIR(about.st_mode))
    srv_faults_add(faults, "--store '%.160s': '%.160s' is no folder", place, path);
  else if (access(path, W_OK | X_OK) != 0)
    srv_faults_add(faults,
                   "--store '%.160s': '%.160s': %s; it must be writable by the user of kilnd",
                   place, path, strerror(errno));
}

static void check_store(const srv_options *options, srv_faults *faults) {
  if (options->no_store) return;
  char *place = options->store != NULL ? strdup(options->store) : srv_options_copy_default_store();
  if (place != NULL)
    check_store_at(place, faults);
  else
    srv_faults_add(faults, "no place for the store: name one with --store, or say --no-store");
  free(place);
}

static void check_engines(const srv_options *options, srv_faults *faults) {
  kiln_error error;
  kiln_options wanted = KILN_OPTIONS_INIT;
  char *dir = options->engines.count > 0 ? srv_check_copy_engines_dir(options) : NULL;
  wanted.engine_path = options->engine_program;
  wanted.engines = options->engines.items;
  wanted.engines_count = options->engines.count;
  wanted.engines_dir = dir;
  if (kiln_check_engines(&wanted, &error) != KILN_OK)
    srv_faults_add(faults, "%s; see `kiln engines`", error.message);
  free(dir);
}

static void check_tls(const srv_options *options, srv_faults *faults) {
  if (options->tls_cert == NULL || options->tls_key == NULL) return;
  srv_tls *tls = srv_tls_new(options, faults);
  if (tls != NULL && srv_tls_days_left(tls) < 0)
    srv_faults_add(faults, "--tls-cert: %.160s: the certificate has expired; renew it",
                   options->tls_cert);
  srv_tls_free(tls);
}

void srv_check(const srv_options *options, srv_faults *faults) {
  char message[300];
  if (!srv_listen_check(options, message, sizeof(message))) srv_faults_add(faults, "%s", message);
  check_store(options, faults);
  check_engines(options, faults);
  if (options->tokens != NULL) srv_tokens_free(srv_tokens_load(options->tokens, faults));
  check_tls(options, faults);
}
