/* SPDX-License-Identifier: MIT
 *
 * worker_session_import.c: what answers import() and import.meta in code that a session compiles:
 * the links and the object that came with it, as vm's importModuleDynamically and
 * initializeImportMeta do.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "toolkit/worker_session.h"

typedef struct answer {
  char *specifier;
  size_t specifier_length;
  char *attributes; /* JSON; NULL: none */
  size_t attributes_length;
  kiln__object *module; /* referenced */
} answer;

typedef struct hooks {
  kiln__given *meta;
  size_t count;
  answer answers[];
} hooks;

static void release(void *user) {
  hooks *h = user;
  for (size_t i = 0; i < h->count; i++) {
    free(h->answers[i].specifier);
    free(h->answers[i].attributes);
    kiln__object_unref(h->answers[i].module);
  }
  if (h->meta) kiln__given_release(h->meta);
  free(h);
}

static char *copy_of(kiln_span text) {
  char *copy = malloc(text.length + 1);
  if (!copy) _exit(KILN_EXIT_MEMORY_LIMIT);
  if (text.length > 0) memcpy(copy, text.data, text.length);
  copy[text.length] = '\0';
  return copy;
}

static bool answers(kv8_context *context, const answer *one, const kv8_module_request *request) {
  kv8_value *attributes = NULL;
  if (one->specifier_length != request->specifier.length ||
      memcmp(one->specifier, request->specifier.data, one->specifier_length) != 0)
    return false;
  if (one->attributes &&
      kv8_value_from_json(context, (kv8_span){one->attributes, one->attributes_length}, &attributes,
                          /* err= */ NULL) != KV8_OK)
    return false;
  bool same = kiln__session_has_attributes(context, request, attributes);
  kv8_value_free(attributes);
  return same;
}

/* kv8_import_fn */
static void on_import(void *user, kv8_import *import) {
  const hooks *h = user;
  kv8_context *context = kv8_import_get_context(import);
  kv8_module_request request;
  kv8_value *error = NULL;
  char message[160];
  if (!context) return; /* its id has been deleted: import() rejects as without us */
  kv8_import_get_request(import, &request);
  for (size_t i = 0; i < h->count; i++) {
    if (!answers(context, &h->answers[i], &request)) continue;
    kv8_import_answer_module(import, h->answers[i].module->as_module);
    return;
  }
  int shown = request.specifier.length < 80 ? (int)request.specifier.length : 80;
  snprintf(message, sizeof(message), "import(): no link answers '%.*s'", shown,
           request.specifier.data);
  if (kv8_error_object(context, KV8_ERROR, kv8_span_from("ERR_VM_MODULE_LINK_FAILURE"),
                       kv8_span_from(message), &error, /* err= */ NULL) == KV8_OK)
    kv8_import_reject(import, error);
  kv8_value_free(error);
}

/* kv8_import_meta_fn */
static void on_import_meta(void *user, kv8_module *module, const kv8_value *meta,
                           kv8_value **ret_exception) {
  const hooks *h = user;
  (void)module;
  kiln__given_fill(h->meta, meta, ret_exception);
}

bool kiln__session_hook(kiln__session *session, kiln__given *meta, kv8_hooks *ret_hooks,
                        kv8_source *source) {
  const kiln_frame *frame = session->frame;
  if (!meta && frame->links_count == 0) return true;
  hooks *h = calloc(1, sizeof(*h) + frame->links_count * sizeof(answer));
  if (!h) _exit(KILN_EXIT_MEMORY_LIMIT);
  h->meta = meta;
  for (size_t i = 0; i < frame->links_count; i++) {
    const kiln_frame_link *link = &frame->links[i];
    kiln__object *module = kiln__session_find(session, link->module, KILN__MODULE);
    if (!module) {
      release(h);
      return false;
    }
    h->answers[h->count++] = (answer){
        .specifier = copy_of(link->specifier),
        .specifier_length = link->specifier.length,
        .attributes = link->attributes_json.length > 0 ? copy_of(link->attributes_json) : NULL,
        .attributes_length = link->attributes_json.length,
        .module = kiln__object_ref(module)};
  }
  if (h->count > 0) ret_hooks->on_import = on_import;
  if (meta) ret_hooks->on_import_meta = on_import_meta;
  ret_hooks->user = h;
  ret_hooks->release = release;
  source->hooks = ret_hooks;
  return true;
}
