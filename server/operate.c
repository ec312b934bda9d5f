/* SPDX-License-Identifier: MIT
 *
 * operate.c: an operation or a command: parse, submit, wait without a thread, answer.
 *
 * The kiln answers by a call on one of its threads, or on ours before it has taken the request. Who
 * comes first is settled under the job's lock: an answer that is there before the connection was
 * suspended is sent at once, one that comes later resumes it. The job has two owners, the request
 * and the kiln's call; each gives up its share, the last frees. A suspended connection is not
 * looked at by MHD, so it cannot end while the kiln works, client gone or not.
 */
#include "server/operate.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "server/access_log.h"
#include "server/metrics.h"
#include "server/request.h"
#include "server/route.h"
#include "server/saved.h"

/* From this size on, what a JSON body took is given back to the system: it is parsed into many
 * small pieces, which malloc() would keep for ever. */
#define TRIM_BYTES (1 << 20)

struct srv_job {
  pthread_mutex_t lock;
  atomic_uint owners;
  struct MHD_Connection *mhd;
  bool done;
  bool suspended;
  srv_answer answer;
  srv_saved *saved;
  srv_note note;
  srv_reply reply;
};

void srv_job_unref(srv_job *job) {
  if (job == NULL || atomic_fetch_sub(&job->owners, 1) != 1) return;
  srv_reply_release(&job->reply);
  pthread_mutex_destroy(&job->lock);
  free(job);
}

/* kiln_done_fn */
static void done(void *user, const kiln_response *response) {
  srv_job *job = user;
  srv_reply reply = job->answer.make(response, &job->answer);
  srv_saved_count(job->saved, response);
  pthread_mutex_lock(&job->lock);
  srv_note_response(&job->note, response);
  job->reply = reply;
  job->done = true;
  if (job->suspended) MHD_resume_connection(job->mhd);
  pthread_mutex_unlock(&job->lock);
  srv_job_unref(job);
}

typedef struct query {
  srv_query_pair *pairs;
  size_t count;
  bool too_many;
} query;

static enum MHD_Result collect_pair(void *cls, enum MHD_ValueKind kind, const char *name,
                                    size_t name_length, const char *value, size_t value_length) {
  query *all = cls;
  (void)kind;
  if (all->count == SRV_QUERY_MAX) {
    all->too_many = true;
    return MHD_NO;
  }
  all->pairs[all->count++] = (srv_query_pair){
      .name = {name, name_length}, .value = {value, value_length}, .has_value = value != NULL};
  return MHD_YES;
}

static bool parse(srv_request *request, srv_body_form form, kiln_bytes *body, srv_parse_fn reader,
                  srv_parsed *parsed) {
  query all = {0};
  int pairs = MHD_get_connection_values_n(request->mhd, MHD_GET_ARGUMENT_KIND, NULL, NULL);
  size_t room = pairs > 0 ? (size_t)pairs : 0;
  if (room > SRV_QUERY_MAX) room = SRV_QUERY_MAX;
  if (room > 0) {
    all.pairs = calloc(room, sizeof(*all.pairs));
    if (all.pairs == NULL) {
      *parsed = (srv_parsed){.refusal = {.status = MHD_HTTP_INTERNAL_SERVER_ERROR}};
      return false;
    }
    MHD_get_connection_values_n(request->mhd, MHD_GET_ARGUMENT_KIND, collect_pair, &all);
  }
  bool good = false;
  if (all.too_many) {
    *parsed = (srv_parsed){0};
    parsed->refusal = srv_reply_error(MHD_HTTP_BAD_REQUEST, "ERR_OUT_OF_RANGE",
                                      "query: %d parameters, limit %d", pairs, SRV_QUERY_MAX);
  } else {
    good = reader(request->route, form, body, all.pairs, all.count, parsed);
  }
  free(all.pairs);
  return good;
}

static srv_job *job_new(srv_request *request, const srv_answer *answer) {
  srv_job *job = calloc(1, sizeof(*job));
  if (job == NULL) return NULL;
  pthread_mutex_init(&job->lock, NULL);
  atomic_init(&job->owners, 2);
  job->mhd = request->mhd;
  job->answer = *answer;
  job->saved = request->server->metrics->saved;
  return job;
}

bool srv_start(srv_request *request, srv_start_fn start, const void *wanted,
               const srv_answer *answer, srv_reply *ret_refusal) {
  kiln_error error = {.status = KILN_ECLOSING};
  srv_job *job = job_new(request, answer);
  if (job == NULL) {
    *ret_refusal = (srv_reply){.status = MHD_HTTP_INTERNAL_SERVER_ERROR};
    return false;
  }
  kiln *k = srv_enter_kiln(request->server);
  if (k != NULL) {
    error.status = start(k, wanted, done, job, &error);
    srv_leave_kiln(request->server);
  }
  if (k == NULL || error.status != KILN_OK) {
    srv_job_unref(job); /* the share of the call that will not come */
    srv_job_unref(job);
    *ret_refusal = srv_reply_kiln_error(&error);
    return false;
  }
  request->job = job;
  return true;
}

enum MHD_Result srv_send_or_suspend(srv_request *request) {
  srv_job *job = request->job;
  srv_reply reply = {0};
  pthread_mutex_lock(&job->lock);
  bool is_done = job->done;
  if (is_done) {
    reply = job->reply;
    job->reply = (srv_reply){0};
    request->note = job->note;
  } else if (!job->suspended) {
    job->suspended = true;
    MHD_suspend_connection(request->mhd);
  }
  pthread_mutex_unlock(&job->lock);
  return is_done ? srv_send(request, reply) : MHD_YES;
}

static srv_body_form form_of(const srv_request *request) {
  srv_body_form form = SRV_FORM_SOURCE;
  bool optional = request->route->bodies == SRV_OPTIONAL_JSON;
  if (request->body == NULL || (optional && !srv_has_body(&request->headers))) return SRV_FORM_NONE;
  srv_parse_content_type(request->headers.content_type, &form); /* checked with the head */
  return form;
}

bool srv_parse_request(srv_request *request, srv_parse_fn reader, kiln_bytes **ret_body,
                       srv_body_form *ret_form, srv_parsed *ret_parsed) {
  *ret_form = form_of(request);
  *ret_body = NULL;
  if (request->body != NULL) {
    *ret_body = kiln_bytes_writer_finish(request->body);
    request->body = NULL;
    if (*ret_body == NULL) {
      kiln_error error = {.status = KILN_ENOMEM};
      *ret_parsed = (srv_parsed){.refusal = srv_reply_kiln_error(&error)};
      return false;
    }
  }
  return parse(request, *ret_form, *ret_body, reader, ret_parsed);
}

void srv_drop_body(kiln_bytes *body, srv_body_form form) {
  bool trim = body != NULL && form == SRV_FORM_JSON && kiln_bytes_get(body).length > TRIM_BYTES;
  kiln_bytes_unref(body);
  if (trim) malloc_trim(0);
}

bool srv_parse_operation(const srv_route *route, srv_body_form form, kiln_bytes *body,
                         const srv_query_pair *pairs, size_t count, srv_parsed *ret_parsed) {
  return srv_parse((kiln_op)route->op, form, body, pairs, count, ret_parsed);
}

static srv_reply reply_operation(const kiln_response *response, const srv_answer *answer) {
  return srv_reply_response(response, answer->kind, answer->mode);
}

/* srv_start_fn */
static kiln_status start_operation(kiln *k, const void *wanted, kiln_done_fn then, void *user,
                                   kiln_error *err) {
  return kiln_submit(k, wanted, then, user, err);
}

enum MHD_Result srv_handle_op(srv_request *request) {
  srv_parsed parsed;
  srv_reply refusal = {0};
  srv_body_form form;
  kiln_bytes *body;
  if (request->job != NULL) return srv_send_or_suspend(request);
  bool started = srv_parse_request(request, srv_parse_operation, &body, &form, &parsed);
  if (!started) {
    refusal = parsed.refusal;
  } else {
    parsed.kiln.client = request->client;
    srv_answer answer = {
        .make = reply_operation, .kind = parsed.kiln.kind, .mode = parsed.kiln.mode};
    started = srv_start(request, start_operation, &parsed.kiln, &answer, &refusal);
  }
  srv_parsed_release(&parsed);
  srv_drop_body(body, form);
  return started ? srv_send_or_suspend(request) : srv_send(request, refusal);
}
