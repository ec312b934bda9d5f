/* SPDX-License-Identifier: MIT
 *
 * worker_session_link.c: links a session's modules, in as many commands as the client needs: each
 * answers some requests; when a module has all its answers V8 gets them; when all that it reaches
 * is linked, too, it is instantiated.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "toolkit/worker_session.h"

static int clip(size_t length) {
  return length < 80 ? (int)length : 80;
}

static bool same_span(kv8_span a, kiln_span b) {
  return a.length == b.length && (a.length == 0 || memcmp(a.data, b.data, a.length) == 0);
}

bool kiln__session_has_attributes(kv8_context *context, const kv8_module_request *request,
                                  const kv8_value *given) {
  kv8_value *keys = NULL;
  uint32_t count = 0;
  if (!given) return request->attributes_count == 0;
  bool same = kv8_object_get_own_keys(context, given, KV8_KEYS_ENUMERABLE, &keys, NULL) == KV8_OK &&
              kv8_array_get_length(keys, &count, NULL) == KV8_OK &&
              count == request->attributes_count;
  kv8_value_free(keys);
  for (size_t i = 0; same && i < request->attributes_count; i++) {
    kv8_value *value = NULL;
    kv8_blob text = {0};
    same =
        kv8_object_get_named(context, given, request->attributes[i].key, &value, NULL) == KV8_OK &&
        kv8_value_copy_text(value, &text, NULL) == KV8_OK &&
        same_span(request->attributes[i].value, (kiln_span){(const char *)text.data, text.length});
    kv8_blob_free(&text);
    kv8_value_free(value);
  }
  return same;
}

/* The module's request that the link is about. False: there is none, the command has failed. */
static bool find_request(kiln__session *session, const kiln__object *module,
                         const kiln_frame_link *link, size_t *ret_index) {
  kiln_work *work = &session->work;
  kv8_context *context = module->context->as_context;
  size_t count = kv8_module_get_request_count(module->as_module);
  kv8_value *attributes = NULL;
  bool found = false;
  if (link->attributes_json.length > 0 &&
      !kiln__work_ok(work, kv8_value_from_json(context, kiln__span(link->attributes_json),
                                               &attributes, &work->error)))
    return false;
  for (size_t i = 0; !found && i < count; i++) {
    kv8_module_request request;
    found = kv8_module_get_request(module->as_module, i, &request, /* err= */ NULL) == KV8_OK &&
            same_span(request.specifier, link->specifier) &&
            kiln__session_has_attributes(context, &request, attributes);
    if (found) *ret_index = i;
  }
  kv8_value_free(attributes);
  if (!found) {
    kv8_span identifier = kv8_module_get_identifier(module->as_module);
    kiln__work_fail(work, "ERR_VM_MODULE_LINK_FAILURE", "Error",
                    "link: '%.*s' with such attributes is no request of '%.*s'",
                    clip(link->specifier.length), link->specifier.data, clip(identifier.length),
                    identifier.data);
  }
  return found;
}

/* Checks one answer against the others so far. */
static bool take_answer(kiln__session *session, const kiln__object *module, kiln__object **answers,
                        const kiln_frame_link *link) {
  size_t index = 0;
  kiln__object *answer = kiln__session_find(session, link->module, KILN__MODULE);
  if (!answer || !find_request(session, module, link, &index)) return false;
  if (answer->context != module->context) {
    kiln__work_fail(&session->work, "ERR_VM_MODULE_DIFFERENT_CONTEXT", "Error",
                    "Linked modules must use the same context");
    return false;
  }
  if (answers[index] && answers[index] != answer) {
    kiln__work_fail(&session->work, "ERR_MODULE_LINK_MISMATCH", "TypeError",
                    "link: '%.*s' is answered by another module already",
                    clip(link->specifier.length), link->specifier.data);
    return false;
  }
  answers[index] = answer;
  return true;
}

/* Gives V8 the answers of a module that has them all. A module without requests that answers one is
 * linked with it: there is nothing to ask about it (ML12). */
static bool hand_over(kiln__session *session, kiln__object *module) {
  kiln_work *work = &session->work;
  size_t count = kv8_module_get_request_count(module->as_module);
  kv8_module **modules = calloc(count + 1, sizeof(*modules));
  if (!modules) _exit(KILN_EXIT_MEMORY_LIMIT);
  bool good = true;
  for (size_t i = 0; good && i < count; i++) {
    kiln__object *answer = module->answers[i];
    modules[i] = answer->as_module;
    if (answer->answers && !answer->answered &&
        kv8_module_get_request_count(answer->as_module) == 0)
      good = hand_over(session, answer);
  }
  good = good && kiln__work_ok(work, kv8_module_link_requests(module->as_module, modules, count,
                                                              &work->error));
  free(modules);
  if (good) module->answered = true;
  return good;
}

static bool answers(const kiln__object *by, const kiln__object *importer) {
  if (!importer || importer->kind != KILN__MODULE || !importer->answered) return false;
  size_t count = kv8_module_get_request_count(importer->as_module);
  for (size_t i = 0; i < count; i++)
    if (importer->answers[i] == by) return true;
  return false;
}

/* Instantiates `module` if all that it reaches is linked, then whoever imports it, up the graph.
 * One that is not ready cannot make an importer ready: so nothing is looked at in vain. A failure
 * of `module` itself fails the command; those of others are heard when they are evaluated. */
static void instantiate_upwards(kiln__session *session, kiln__object *module) {
  static kiln__object *ready[KILN_SESSION_OBJECTS_MAX];
  kiln_work *work = &session->work;
  size_t count = 0;
  kv8_status status = kv8_module_instantiate(module->as_module, &work->error);
  if (status == KV8_ELINK) {
    memset(&work->error, 0, sizeof(work->error));
    return;
  }
  module->failed = status != KV8_OK;
  if (!kiln__work_ok(work, status)) return;
  ready[count++] = module;
  for (size_t next = 0; next < count; next++) {
    for (size_t i = 0; i < session->used; i++) {
      kiln__object *importer = session->slots[i];
      if (!answers(ready[next], importer) ||
          kv8_module_get_status(importer->as_module) != KV8_MODULE_UNLINKED)
        continue;
      status = kv8_module_instantiate(importer->as_module, /* err= */ NULL);
      if (status == KV8_OK && count < KILN_SESSION_OBJECTS_MAX) ready[count++] = importer;
      importer->failed = status != KV8_OK && status != KV8_ELINK;
    }
  }
}

void kiln__session_module_link(kiln__session *session) {
  kiln_work *work = &session->work;
  const kiln_frame *frame = session->frame;
  kiln__object *module = kiln__session_find(session, frame->object, KILN__MODULE);
  if (!module) return;
  if (!module->answers || module->answered) {
    /* A synthetic one is linked from the start (N22); with another it is too late. */
    if (module->answers || frame->links_count > 0)
      kiln__work_fail(work, "ERR_VM_MODULE_ALREADY_LINKED", "Error",
                      "Module has already been linked");
    kiln__session_put_module(session, module, /* with_namespace= */ false);
    return;
  }
  size_t count = kv8_module_get_request_count(module->as_module);
  kiln__object **all = calloc(count + 1, sizeof(*all));
  if (!all) _exit(KILN_EXIT_MEMORY_LIMIT);
  memcpy(all, module->answers, count * sizeof(*all));
  bool good = true;
  for (size_t i = 0; good && i < frame->links_count; i++)
    good = take_answer(session, module, all, &frame->links[i]);
  bool whole = true;
  for (size_t i = 0; good && i < count; i++) {
    if (all[i] && !module->answers[i]) module->answers[i] = kiln__object_ref(all[i]);
    if (!all[i]) whole = false;
  }
  free(all);
  if (good && whole && hand_over(session, module)) instantiate_upwards(session, module);
  if (!work->result.refusal) kiln__session_put_module(session, module, /* with_namespace= */ false);
}
