/* SPDX-License-Identifier: MIT
 *
 * bind_http.c: internalBinding("http"): what js/http.js needs of http.h. Servers and requests are
 * numbers there.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "toolkit/run/bindings.h"
#include "toolkit/run/event_loop.h"
#include "toolkit/run/http.h"

static struct {
  const kiln__http_api *api;
  kiln__http *http;
  kv8_value *on_event; /* onEvent(event, server, request or server, more, body) */
} state;

/* ---- events: to JavaScript */

enum { ASKED, DRAINED, ENDED, CLOSED }; /* places in onEvents of http.js */

static void emit(kiln__run *run, int event, uint64_t server, uint64_t request, kv8_value *more,
                 kv8_value *body) {
  kv8_value *numbers[3] = {NULL, NULL, NULL};
  const double values[3] = {event, (double)server, (double)request};
  kv8_status status = KV8_OK;
  for (size_t i = 0; i < 3 && status == KV8_OK; i++) {
    status = kv8_number(run->isolate, values[i], &numbers[i], /* err= */ NULL);
  }
  if (status == KV8_OK) {
    const kv8_value *args[] = {numbers[0], numbers[1], numbers[2], more, body};
    (void)kiln__run_call(run, state.on_event, args, sizeof(args) / sizeof(args[0]));
  } else if (event == ASKED) {
    state.api->destroy(state.http, request);
  }
  for (size_t i = 0; i < 3; i++) kv8_value_free(numbers[i]);
}

static void asked(void *user, uint64_t server, uint64_t request, kv8_span head, kv8_span body) {
  kiln__run *run = user;
  kv8_value *head_text = NULL, *buffer = NULL;
  kv8_status status = kv8_string(run->isolate, head, &head_text, /* err= */ NULL);
  if (status == KV8_OK && body.length > 0) {
    status = kv8_array_buffer(run->context, body, &buffer, /* err= */ NULL);
  }
  if (status == KV8_OK) {
    emit(run, ASKED, server, request, head_text, buffer);
  } else {
    state.api->destroy(state.http, request);
  }
  kv8_value_free(buffer);
  kv8_value_free(head_text);
}

static void drained(void *user, uint64_t server, uint64_t request) {
  emit(user, DRAINED, server, request, /* more= */ NULL, /* body= */ NULL);
}

static void ended(void *user, uint64_t server, uint64_t request, bool sent) {
  kiln__run *run = user;
  kv8_value *sent_value = NULL;
  (void)kv8_boolean(run->isolate, sent, &sent_value, /* err= */ NULL);
  emit(run, ENDED, server, request, sent_value, /* body= */ NULL);
  kv8_value_free(sent_value);
}

static void closed(void *user, uint64_t server) {
  emit(user, CLOSED, server, server, /* more= */ NULL, /* body= */ NULL);
}

static const kiln__http_events events = {asked, drained, ended, closed};

/* ---- the module */

static bool load(kiln__run *run, char *message, size_t message_size) {
  char path[PATH_MAX + sizeof(KILN__HTTP_MODULE)];
  if (state.http != NULL) return true;
  const char *slash = strrchr(run->exec_path, '/');
  (void)snprintf(path, sizeof(path), "%.*s%s",
                 slash == NULL ? 0 : (int)(slash - run->exec_path) + 1, run->exec_path,
                 KILN__HTTP_MODULE);
  void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL); /* stays */
  const kiln__http_api *(*get)(void) = NULL;
  if (module != NULL) *(void **)&get = dlsym(module, KILN__HTTP_API);
  if (get == NULL) {
    const char *why = dlerror();
    (void)snprintf(message, message_size, "%s", why == NULL ? KILN__HTTP_MODULE : why);
    return false;
  }
  state.api = get();
  state.http = state.api->start(run->loop, &events, run);
  if (state.http == NULL) (void)snprintf(message, message_size, "out of memory");
  return state.http != NULL;
}

/* ---- servers */

/* listen(host, port, backlog): the server's number, or libuv's error. */
static void do_listen(void *user, kv8_call *call) {
  kv8_blob host = {NULL, 0};
  uint32_t port, backlog;
  char message[512];
  if (!kiln__run_arg_uint32(call, 1, &port) || !kiln__run_arg_uint32(call, 2, &backlog) ||
      !kiln__run_arg_text(call, 0, &host)) {
    return;
  }
  if (load(user, message, sizeof(message))) {
    int64_t number = state.api->listen(state.http, (const char *)host.data, port,
                                       backlog > INT32_MAX ? INT32_MAX : (int)backlog);
    kiln__run_return_number(call, (double)number);
  } else {
    kiln__run_throw(call, KV8_ERROR, "ERR_DLOPEN_FAILED", "node:http: %s", message);
  }
  kv8_blob_free(&host);
}

/* The number of a server or a request, if there can be one. */
static bool arg_number(kv8_call *call, uint64_t *ret_number) {
  double number;
  if (state.http == NULL || !kiln__run_arg_number(call, 0, &number)) return false;
  *ret_number = number >= 0 && number < 9e15 ? (uint64_t)number : 0;
  return true;
}

/* name(server): "ADDRESS PORT FAMILY", or nothing. */
static void do_name(void *user, kv8_call *call) {
  uint64_t server;
  char text[128];
  (void)user;
  if (!arg_number(call, &server)) return;
  if (state.api->name(state.http, server, text, sizeof(text))) {
    kiln__run_return_text(call, kv8_span_from(text));
  }
}

static void do_close(void *user, kv8_call *call) {
  uint64_t server;
  (void)user;
  if (arg_number(call, &server)) state.api->close(state.http, server);
}

/* closeConnections(server, idleOnly) */
static void close_connections(void *user, kv8_call *call) {
  uint64_t server;
  (void)user;
  if (!arg_number(call, &server)) return;
  state.api->close_connections(state.http, server, kiln__run_arg_bool(call, 1));
}

static void count_connections(void *user, kv8_call *call) {
  uint64_t server;
  (void)user;
  if (!arg_number(call, &server)) return;
  kiln__run_return_number(call, state.api->count_connections(state.http, server));
}

/* keepAlive(server, on) */
static void keep_alive(void *user, kv8_call *call) {
  uint64_t server;
  (void)user;
  if (!arg_number(call, &server)) return;
  state.api->keep_alive(state.http, server, kiln__run_arg_bool(call, 1));
}

/* errorText(error): "EADDRINUSE address already in use" */
static void error_text(void *user, kv8_call *call) {
  int32_t error;
  char text[256];
  (void)user;
  if (!kiln__run_arg_int32(call, 0, &error)) return;
  int length = snprintf(text, sizeof(text), "%s %s", uv_err_name(error), uv_strerror(error));
  kiln__run_return_text(call, (kv8_span){text, (size_t)length});
}

/* ---- requests */

/* answer(request, status, reason, headers, length, body, whole): whether it is taken. */
static void answer(void *user, kv8_call *call) {
  uint64_t request;
  double length;
  kv8_blob reason = {NULL, 0}, headers = {NULL, 0};
  kiln__http_answer it = {.length = -1};
  (void)user;
  if (!arg_number(call, &request) || !kiln__run_arg_uint32(call, 1, &it.status) ||
      !kiln__run_arg_number(call, 4, &length)) {
    return;
  }
  if (length >= 0 && length < 9e15) it.length = (int64_t)length;
  it.whole = kiln__run_arg_bool(call, 6);
  if (kiln__run_arg_text(call, 2, &reason) && kiln__run_arg_text(call, 3, &headers) &&
      (!kiln__run_arg_given(call, 5) || kiln__run_arg_bytes(call, 5, &it.body))) {
    it.reason = kiln__run_span(&reason);
    it.headers = kiln__run_span(&headers);
    kiln__run_return_bool(call, state.api->answer(state.http, request, &it));
  }
  kv8_blob_free(&reason);
  kv8_blob_free(&headers);
}

/* write(request, bytes): how many bytes wait; -1: it has ended. */
static void do_write(void *user, kv8_call *call) {
  uint64_t request;
  kv8_span bytes;
  (void)user;
  if (!arg_number(call, &request) || !kiln__run_arg_bytes(call, 1, &bytes)) return;
  kiln__run_return_number(call, (double)state.api->write(state.http, request, bytes));
}

static void do_end(void *user, kv8_call *call) {
  uint64_t request;
  (void)user;
  if (arg_number(call, &request)) state.api->end(state.http, request);
}

static void destroy(void *user, kv8_call *call) {
  uint64_t request;
  (void)user;
  if (arg_number(call, &request)) state.api->destroy(state.http, request);
}

/* ---- start and end */

/* start(onEvent) */
static void start(void *user, kv8_call *call) {
  kv8_error error;
  (void)user;
  kv8_value_free(state.on_event);
  state.on_event = NULL;
  kv8_status status = kv8_value_copy(kv8_call_get_argument(call, 0), &state.on_event, &error);
  (void)kiln__run_throws(call, status, &error);
}

void kiln__run_bind_http_end(void) {
  if (state.http != NULL) state.api->stop(state.http);
  state.http = NULL;
  kv8_value_free(state.on_event);
  state.on_event = NULL;
}

kv8_status kiln__run_bind_http(kiln__run *run, kv8_value *object, kv8_error *err) {
  static const kiln__run_entry entries[] = {
      {"answer", 7, answer},
      {"close", 1, do_close},
      {"closeConnections", 2, close_connections},
      {"countConnections", 1, count_connections},
      {"destroy", 1, destroy},
      {"end", 1, do_end},
      {"errorText", 1, error_text},
      {"keepAlive", 2, keep_alive},
      {"listen", 3, do_listen},
      {"name", 1, do_name},
      {"start", 1, start},
      {"write", 2, do_write},
      {NULL, 0, NULL},
  };
  kv8_status status = kiln__run_set_number(run, object, "highWater", KILN__HTTP_HIGH_WATER, err);
  return status == KV8_OK ? kiln__run_functions(run, object, entries, err) : status;
}
