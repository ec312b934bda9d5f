/* SPDX-License-Identifier: MIT
 *
 * auth.c: see auth.h.
 */
#include "server/auth.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <xxhash.h>

#include "server/clients.h"
#include "server/conn.h"
#include "server/route.h"

struct srv_auth {
  const char *path; /* NULL: everybody may do everything */
  pthread_rwlock_t lock;
  srv_tokens *tokens;
  srv_clients *clients; /* NULL: no limit */
  uint64_t seed;        /* so that nobody can choose whose entry to share */
};

srv_auth *srv_auth_new(const srv_options *options, srv_faults *faults) {
  unsigned before = faults->count;
  srv_auth *auth = calloc(1, sizeof(*auth));
  if (auth != NULL) {
    auth->path = options->tokens;
    if (getrandom(&auth->seed, sizeof(auth->seed), GRND_NONBLOCK) < 0)
      auth->seed = (uint64_t)(uintptr_t)auth;
    pthread_rwlock_init(&auth->lock, NULL);
    if (auth->path != NULL) auth->tokens = srv_tokens_load(auth->path, faults);
    if (options->rate > 0) auth->clients = srv_clients_new(options->rate, options->rate_burst);
  }
  if (auth == NULL || (options->rate > 0 && auth->clients == NULL))
    srv_faults_add(faults, "out of memory");
  if (faults->count == before) return auth;
  srv_auth_free(auth);
  return NULL;
}

void srv_auth_free(srv_auth *auth) {
  if (auth == NULL) return;
  srv_tokens_free(auth->tokens);
  srv_clients_free(auth->clients);
  pthread_rwlock_destroy(&auth->lock);
  free(auth);
}

bool srv_auth_reload(srv_auth *auth, srv_faults *faults) {
  if (auth->path == NULL) return true;
  srv_tokens *fresh = srv_tokens_load(auth->path, faults);
  if (fresh == NULL) return false;
  pthread_rwlock_wrlock(&auth->lock);
  srv_tokens *old = auth->tokens;
  auth->tokens = fresh;
  pthread_rwlock_unlock(&auth->lock);
  srv_tokens_free(old);
  return true;
}

uint64_t srv_auth_client(const srv_auth *auth, const struct sockaddr *address) {
  unsigned char who[9] = {4};
  struct in6_addr in6;
  if (address->sa_family == AF_INET) {
    memcpy(who + 1, (const char *)address + offsetof(struct sockaddr_in, sin_addr), 4);
  } else if (address->sa_family == AF_INET6) {
    memcpy(&in6, (const char *)address + offsetof(struct sockaddr_in6, sin6_addr), sizeof(in6));
    bool mapped = IN6_IS_ADDR_V4MAPPED(&in6); /* a socket of systemd's may take both */
    who[0] = mapped ? 4 : 6;
    /* A host has a whole /64 to choose from. */
    memcpy(who + 1, in6.s6_addr + (mapped ? 12 : 0), mapped ? 4 : 8);
  }
  return XXH3_64bits_withSeed(who, sizeof(who), auth->seed);
}

/* ---- a request */

typedef enum finding { NOT_NEEDED, KNOWN, MISSING, MALFORMED, UNKNOWN } finding;

static const char *finding_text(finding what) {
  switch (what) {
    case MISSING:
      return "a bearer token is needed";
    case MALFORMED:
      return "must be 'Bearer' and a token of at most 512 bytes";
    case UNKNOWN:
      return "this token is not known";
    case NOT_NEEDED:
    case KNOWN:
      break;
  }
  return "";
}

/* The token of "Bearer TOKEN"; NULL: it is not that. */
static const char *find_token(const char *header, size_t *ret_length) {
  size_t scheme = strlen("Bearer");
  if (strncasecmp(header, "Bearer", scheme) != 0 || header[scheme] != ' ') return NULL;
  const char *token = header + scheme + strspn(header + scheme, " ");
  *ret_length = strcspn(token, " \t,");
  bool good = *ret_length > 0 && *ret_length <= SRV_TOKEN_LENGTH_MAX && token[*ret_length] == '\0';
  return good ? token : NULL;
}

static finding look_up(srv_auth *auth, srv_request *request) {
  size_t length = 0;
  request->principal = NULL;
  request->roles = 0;
  if (auth->path == NULL) return NOT_NEEDED;
  if (request->headers.authorization == NULL) return MISSING;
  const char *token = find_token(request->headers.authorization, &length);
  if (token == NULL) return MALFORMED;
  pthread_rwlock_rdlock(&auth->lock);
  request->roles = srv_tokens_find(auth->tokens, token, length, request->principal_name);
  pthread_rwlock_unlock(&auth->lock);
  if (request->roles == 0) return UNKNOWN;
  request->principal = request->principal_name;
  return KNOWN;
}

static srv_reply refuse_unknown(finding what) {
  srv_reply reply = srv_reply_error(MHD_HTTP_UNAUTHORIZED, "ERR_UNAUTHORIZED", "%s%s",
                                    what == MALFORMED ? "authorization: " : "", finding_text(what));
  srv_reply_header(
      &reply, MHD_HTTP_HEADER_WWW_AUTHENTICATE,
      what == MISSING ? "Bearer realm=\"kiln\"" : "Bearer realm=\"kiln\", error=\"invalid_token\"");
  return reply;
}

static srv_reply refuse_role(const srv_request *request) {
  char needed[64];
  unsigned roles = request->route->roles;
  srv_roles_describe(roles != 0 ? roles : SRV_ROLE_ADMIN, needed, sizeof(needed));
  srv_reply reply =
      srv_reply_error(MHD_HTTP_FORBIDDEN, "ERR_FORBIDDEN", "token '%s': this needs the role %s",
                      request->principal, needed);
  srv_reply_header(&reply, MHD_HTTP_HEADER_WWW_AUTHENTICATE,
                   "Bearer realm=\"kiln\", error=\"insufficient_scope\"");
  return reply;
}

static bool check_rate(srv_auth *auth, srv_request *request, srv_reply *ret_refusal) {
  char seconds[16];
  unsigned wait_s = 0;
  if (auth->clients == NULL ||
      srv_clients_take(auth->clients, request->client, srv_now_ms(), &wait_s))
    return true;
  srv_count(&request->server->rate_limited);
  const srv_options *options = request->server->options;
  *ret_refusal = srv_reply_error(MHD_HTTP_TOO_MANY_REQUESTS, "ERR_RATE_LIMITED",
                                 "client: more than %llu requests a second",
                                 (unsigned long long)options->rate);
  snprintf(seconds, sizeof(seconds), "%u", wait_s);
  srv_reply_header(ret_refusal, MHD_HTTP_HEADER_RETRY_AFTER, seconds);
  return false;
}

bool srv_auth_check(srv_request *request, srv_reply *ret_refusal) {
  srv_auth *auth = request->server->auth;
  request->client = request->conn->client;
  request->principal = NULL;
  if ((request->route->roles & SRV_FREE) != 0) return true;
  finding what = look_up(auth, request);
  if (request->principal != NULL)
    request->client =
        XXH3_64bits_withSeed(request->principal, strlen(request->principal), ~auth->seed);
  if (!check_rate(auth, request, ret_refusal)) return false;
  if (what == NOT_NEEDED) return true;
  if (what != KNOWN) {
    srv_count(&request->server->unauthorized);
    *ret_refusal = refuse_unknown(what);
    return false;
  }
  if ((request->roles & (request->route->roles | SRV_ROLE_ADMIN)) != 0) return true;
  srv_count(&request->server->unauthorized);
  *ret_refusal = refuse_role(request);
  return false;
}
