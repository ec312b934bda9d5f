/* SPDX-License-Identifier: MIT
 *
 * kv8_module.h: module records: source text modules and synthetic ones, how they are linked and
 * evaluated, and what import() and import.meta answer. Included by kv8.h, whose CONVENTIONS hold
 * here too.
 *
 * A module of one file without imports:   compile -> link_requests (none) -> instantiate ->
 * evaluate A graph, when all modules are at hand:  compile each -> link_requests on each, in the
 * order of kv8_module_get_request() -> instantiate the root -> evaluate the root A graph,
 * discovered on the way:         compile the root -> kv8_module_link() with a callback that
 *   compiles or finds what each request names -> evaluate the root
 *
 * Nothing here loads anything: a specifier is text, and what it means is the caller's (MO05). Every
 * function may be called in every status: a wrong one is KV8_ESTATE with code ERR_VM_MODULE_STATUS.
 * Modules are experimental in Node, and are here (G07).
 */
#include "kv8.h" /* which includes this: so before the guard */

#ifndef KILN_SHIM_KV8_MODULE_H
#define KILN_SHIM_KV8_MODULE_H
#include "kv8_value.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum kv8_module_status {
  KV8_MODULE_UNLINKED = 0,
  KV8_MODULE_LINKING = 1, /* kv8_module_link() has requests that wait for an answer */
  KV8_MODULE_LINKED = 2,
  KV8_MODULE_EVALUATING = 3,
  KV8_MODULE_EVALUATED = 4,
  KV8_MODULE_ERRORED = 5, /* also after a failed link (D06) and after a termination: never evaluated
                             again (P19) */
} kv8_module_status;
/* Node's word for it: "unlinked", ... */
KV8_API const char *kv8_module_status_name(kv8_module_status status);

/* ---- making and asking ---------------------------------------------------------------------- */

/* Compiles. source.filename is the identifier; empty: "vm:module(N)", N counting the context's
 * modules without one from 0 (ST02). Rejected cached data is no error here, see the outcome (Node
 * throws ERR_VM_MODULE_CACHED_DATA_REJECTED, ST04). source.hooks answers its import() and
 * import.meta. */
KV8_API kv8_status kv8_module_compile(kv8_context *context, const kv8_source *source,
                                      kv8_module **ret_module, kv8_cache_outcome *ret_outcome,
                                      kv8_error *err);

/* A synthetic module: exports set by C (SY01). It is linked from the start (N22). */
typedef struct kv8_synthetic_options {
  size_t struct_size;
  kv8_span identifier;          /* empty: as for kv8_module_compile() */
  const kv8_span *export_names; /* a repeated one is KV8_EINVAL, ERR_INVALID_ARG_VALUE (P31) */
  size_t export_names_count;
  /* Called when the module is evaluated, to set exports. Not KV8_OK fails the evaluation: with
   * *ret_exception (yours to make, taken over), or with a new Error made of `err`. NULL: nothing
   * to do (SY03, SY11). */
  kv8_status (*evaluate)(void *user, kv8_module *module, kv8_value **ret_exception, kv8_error *err);
  void *user;
  /* Once, when the handle is freed and nothing is left that could evaluate the module, or if making
   * it fails; may be NULL. It must call nothing of this library but *_free(). */
  void (*release)(void *user);
} kv8_synthetic_options;
#define KV8_SYNTHETIC_OPTIONS_INIT \
  { sizeof(kv8_synthetic_options), {NULL, 0}, NULL, 0, NULL, NULL, NULL }
KV8_API kv8_status kv8_module_synthetic(kv8_context *context, const kv8_synthetic_options *options,
                                        kv8_module **ret_module, kv8_error *err);

/* Sets an export, before or after evaluation (SY06, SY09). A name that is none of its exports is
 * KV8_EEXCEPTION, a ReferenceError; a source text module KV8_ESTATE. */
KV8_API kv8_status kv8_module_set_export(kv8_module *module, kv8_span name, const kv8_value *value,
                                         kv8_error *err);

KV8_API void kv8_module_free(kv8_module *module);

/* KV8_MODULE_ERRORED for NULL and for a module whose isolate is gone. */
KV8_API kv8_module_status kv8_module_get_status(const kv8_module *module);
KV8_API kv8_span kv8_module_get_identifier(const kv8_module *module);
KV8_API bool kv8_module_is_synthetic(const kv8_module *module);

/* Why the module is errored, as evaluate or link described it; KV8_ESTATE for any other status
 * (MO10). */
KV8_API kv8_status kv8_module_get_error(kv8_module *module, kv8_error *ret_error, kv8_error *err);
/* The very exception; *ret_value NULL where there is none: a deadline ended it, or an answer that
 * was no module. */
KV8_API kv8_status kv8_module_copy_exception(kv8_module *module, kv8_value **ret_value,
                                             kv8_error *err);

/* The namespace object; KV8_ESTATE before instantiation (MO15). */
KV8_API kv8_status kv8_module_copy_namespace(kv8_module *module, kv8_value **ret_value,
                                             kv8_error *err);

/* Whether this module has a top-level await (N28). */
KV8_API kv8_status kv8_module_has_top_level_await(kv8_module *module, bool *ret_has,
                                                  kv8_error *err);
/* Whether it or any module it reaches has one; KV8_ESTATE, ERR_VM_MODULE_STATUS before
 * instantiation. Walks the graph (N29). */
KV8_API kv8_status kv8_module_has_async_graph(kv8_module *module, bool *ret_has, kv8_error *err);

/* ---- linking -------------------------------------------------------------------------------- */

typedef struct kv8_attribute {
  kv8_span key;
  kv8_span value;
} kv8_attribute;

typedef enum kv8_import_phase {
  KV8_PHASE_EVALUATION = 0,
  KV8_PHASE_SOURCE = 1, /* import source x from "y": not before V8 13 (N30) */
} kv8_import_phase;

/* What a module asks for; lent for the module's life. */
typedef struct kv8_module_request {
  kv8_span specifier;
  kv8_import_phase phase;
  const kv8_attribute *attributes; /* with { type: "json" } */
  size_t attributes_count;
} kv8_module_request;

/* The requests in source order, without repeats by (specifier, attributes, phase) (MO07, N23). */
KV8_API size_t kv8_module_get_request_count(const kv8_module *module);
KV8_API kv8_status kv8_module_get_request(const kv8_module *module, size_t index,
                                          kv8_module_request *ret_request, kv8_error *err);

/* Gives, in the order of the requests, the module that answers each (N25). Once per module, while
 * it is unlinked: else ERR_VM_MODULE_ALREADY_LINKED. KV8_ELINK with ERR_MODULE_LINK_MISMATCH for a
 * wrong count, or if one specifier with the same attributes is answered by two modules (N26), with
 * ERR_VM_MODULE_DIFFERENT_CONTEXT for one of another context (ML07), with
 * ERR_VM_MODULE_LINK_FAILURE for an errored one (ML08). Keep the modules until this one is
 * instantiated; one that is freed before leaves its request open again. */
KV8_API kv8_status kv8_module_link_requests(kv8_module *module, kv8_module *const *modules,
                                            size_t modules_count, kv8_error *err);

/* Resolves all bindings of the graph, synchronously (N27); nothing to do if it is linked. A
 * reachable module whose requests are open is KV8_ELINK, ERR_VM_MODULE_LINK_FAILURE; a missing
 * export KV8_ESYNTAX: the module is unlinked again (D06). */
KV8_API kv8_status kv8_module_instantiate(kv8_module *module, kv8_error *err);

/* One request for kv8_module_link()'s callback to answer, with exactly one of the three calls
 * below: at once, or later, on the isolate's thread. Later ones are lent until they are answered
 * or until kv8_isolate_free(). */
typedef struct kv8_link kv8_link;
typedef void (*kv8_link_fn)(void *user, kv8_link *link);
KV8_API kv8_module *kv8_link_get_referrer(const kv8_link *link);
KV8_API void kv8_link_get_request(const kv8_link *link, kv8_module_request *ret_request);
/* Answers. The module may be unlinked: then it is linked with the same callback (ML09). Keep it
 * until the whole link has ended. NULL, or a module of another context or an errored one, fails
 * the link with the code kv8_module_link_requests() would give. */
KV8_API void kv8_link_answer(kv8_link *link, kv8_module *module);
/* Fails the link with this exception, which may be NULL. `err`, which may be NULL, is what
 * kv8_module_get_error() is to say; NULL: described from the exception. */
KV8_API void kv8_link_fail(kv8_link *link, const kv8_value *exception, const kv8_error *err);

/* Called once if a link that was not complete when kv8_module_link() returned has ended:
 * `status` KV8_OK and the module linked, or not and it is errored. Not called if the module itself
 * is freed before; a module that its link needs ends the link when it is freed. */
typedef void (*kv8_linked_fn)(void *user, kv8_module *module, kv8_status status,
                              const kv8_error *err);

/* Links `module` and, through its answers, every module it reaches, then instantiates it. Once per
 * module: ERR_VM_MODULE_ALREADY_LINKED; while linking, or after a failure: ERR_VM_MODULE_STATUS. A
 * module without requests is linked without a call of `linker` (ML12), and with a synthetic one
 * there is nothing to do (N22). Returns with the module KV8_MODULE_LINKED if every answer came at
 * once, or KV8_OK with KV8_MODULE_LINKING, and then calls on_linked, which may be NULL. A failure
 * makes the module errored (D06), except that one of instantiation (a missing export) leaves it
 * unlinked and able to be linked again. */
KV8_API kv8_status kv8_module_link(kv8_module *module, kv8_link_fn linker, kv8_linked_fn on_linked,
                                   void *user, kv8_error *err);

/* ---- evaluating ----------------------------------------------------------------------------- */

/* Evaluates the graph and, if this is the outermost run, drains microtasks, under the deadline.
 * KV8_OK with *ret_state pending means a top-level await still waits. A rejection is
 * KV8_EEXCEPTION. Again after success: nothing happens (ME03); after failure: the same failure
 * (ME04). While it is being evaluated KV8_ESTATE (ME05). */
KV8_API kv8_status kv8_module_evaluate(kv8_module *module, const kv8_run_options *options,
                                       kv8_promise_state *ret_state, kv8_error *err);

/* V8's promise of the evaluation, of the module's context; KV8_ESTATE before evaluation. */
KV8_API kv8_status kv8_module_copy_promise(kv8_module *module, kv8_value **ret_promise,
                                           kv8_error *err);

/* Before evaluation only, as in Node (KV8_ESTATE, ERR_VM_MODULE_CANNOT_CREATE_CACHED_DATA after;
 * ST12, ST13). A synthetic module is KV8_ESTATE. */
KV8_API kv8_status kv8_module_create_cached_data(kv8_module *module, kv8_blob *ret_data,
                                                 kv8_error *err);

/* Like kv8_module_create_cached_data(), but also after evaluation, with the functions that ran:
 * for baking. Such data is as valid as any other. */
KV8_API kv8_status kv8_module_create_warm_cached_data(kv8_module *module, kv8_blob *ret_data,
                                                      kv8_error *err);

/* Copies the URL of a `//# sourceMappingURL=` comment; an empty blob where there is none. */
KV8_API kv8_status kv8_module_copy_source_map_url(kv8_module *module, kv8_blob *ret_url,
                                                  kv8_error *err);

/* ---- answering import() --------------------------------------------------------------------- */

/* Lent for the call of a kv8_import_fn. The answer is given with one of the three calls at the end;
 * without any, import() rejects with ERR_VM_DYNAMIC_IMPORT_CALLBACK_MISSING. */
KV8_API void kv8_import_get_request(kv8_import *import, kv8_module_request *ret_request);
/* kv8_hooks.referrer; undefined if there was none. */
KV8_API const kv8_value *kv8_import_get_referrer(kv8_import *import);
/* The filename of the code that asks. */
KV8_API kv8_span kv8_import_get_filename(kv8_import *import);
/* The context that asks; NULL if its handle is freed. */
KV8_API kv8_context *kv8_import_get_context(kv8_import *import);

/* import() resolves to the module's namespace. It must be instantiated; it is evaluated if it is
 * not yet, and import() waits for its top-level await (D14). An errored one rejects with its
 * exception. */
KV8_API void kv8_import_answer_module(kv8_import *import, kv8_module *module);
/* import() resolves with this value, following promises: for answers that come later (kv8_promise).
 */
KV8_API void kv8_import_answer_value(kv8_import *import, const kv8_value *value);
/* import() rejects with it. */
KV8_API void kv8_import_reject(kv8_import *import, const kv8_value *exception);

/* ---- tying a handle's life to an object's --------------------------------------------------- */

/* Gives the handle to the garbage collector: from now on the module lives as long as `object`, and
 * is freed by the library after it. Use it where JavaScript owns the handle, so that cycles
 * through it are collected. The handle is lent from then on: valid while the object is (yours to
 * find again with kv8_module_of()), and kv8_module_free() on it does nothing. KV8_ESTATE if the
 * module is tied, or the object has a module. A request answered by a tied module keeps it, and its
 * object, alive until instantiation, and so does a link that waits. */
KV8_API kv8_status kv8_module_tie(kv8_module *module, const kv8_value *object, kv8_error *err);
/* The module tied to exactly this object; NULL where there is none. */
KV8_API kv8_module *kv8_module_of(const kv8_value *object);
/* The way back: the object the module is tied to. *ret_owner NULL where the module is not tied, or
 * its object has been collected while V8 still needs the module. For callbacks that get a module:
 * `user` must not hold its object. */
KV8_API kv8_status kv8_module_copy_owner(const kv8_module *module, kv8_value **ret_owner,
                                         kv8_error *err);

#ifdef __cplusplus
}
#endif
#endif
