/* SPDX-License-Identifier: MIT
 *
 * module.hh: what the files of module records share: the handle's struct, requests, and the gates
 * that every call into V8 passes first, because V8 ends the process when a module's method is
 * called in the wrong state (P32).
 */
#ifndef KILN_SHIM_MODULE_HH
#define KILN_SHIM_MODULE_HH

#include "shim/source.hh"

namespace kv8 {

struct Hooks;
struct Linking;

constexpr char kStatusCode[] = "ERR_VM_MODULE_STATUS";
constexpr char kAlreadyLinked[] = "ERR_VM_MODULE_ALREADY_LINKED";
constexpr char kLinkFailure[] = "ERR_VM_MODULE_LINK_FAILURE";

/* A module request, or the argument of an import(), with texts of its own. It must not move once
 * it is read. */
struct Request {
  std::string specifier;
  std::vector<std::string> texts; /* keys and values of the attributes, by turns */
  std::vector<kv8_attribute> attributes;
  kv8_import_phase phase = KV8_PHASE_EVALUATION;

  void Read(v8::Isolate *isolate, v8::Local<v8::Context> context, v8::Local<v8::String> text,
            v8::Local<v8::FixedArray> attributes, int stride, bool source_phase);
  kv8_module_request View() const noexcept;
  /* Equal for requests that one module answers (N26): the phase does not count. */
  std::string Key() const;
};

/* What frees a handle that the garbage collector owns. */
struct ModuleOwner final : Held {
  explicit ModuleOwner(kv8_module *module_in) noexcept : module(module_in) {}
  ~ModuleOwner() override;
  kv8_module *module;
};

/* Where the handle's references to V8's heap stand in its holder, once it is tied. */
enum ModuleReference { kModuleRecord = 0, kModuleUnbound = 1, kModuleOutcome = 2, kModuleMore = 3 };

}  // namespace kv8

struct kv8_module final : kv8::Child {
  using Child::Child;
  ~kv8_module() override;
  void Drop() noexcept override;

  /* Strong; weak once the handle is tied, when its holder refers to the same, or retired. */
  v8::Global<v8::Module> module;
  v8::Global<v8::UnboundModuleScript> unbound; /* V8 gives it out before evaluation only */
  v8::Global<v8::Context> context;
  v8::Global<v8::Value> outcome;     /* the promise of the evaluation, or why linking failed */
  v8::Global<v8::Array> more;        /* what else is to stay: holders of tied modules, the source */
  v8::Global<v8::Object> holder;     /* if tied; weak */
  v8::Global<v8::Object> tied_to;    /* likewise */
  kv8::ModuleOwner *owner = nullptr; /* if tied or retired */

  int hash = 0;
  uint64_t number = 0; /* of the isolate's modules, from 1 */
  bool listed = false; /* in isolate->modules */
  bool is_tied = false;
  bool is_retired = false;      /* freed, but V8 may still call for it: goes with the record */
  bool is_linked = false;       /* its requests are answered: `linked` was filled */
  bool link_failed = false;     /* D06 */
  bool terminated = false;      /* P19: V8 keeps no exception for it */
  bool has_own_promise = false; /* `outcome` is ours, because it was terminated */
  bool says_await = false;      /* its text has the word: it may have a top-level await */
  std::string identifier;
  std::vector<kv8::Request> requests;
  std::unordered_map<std::string, size_t> request_index; /* by Request::Key() */
  std::vector<kv8_module *> linked; /* by request, from link to instantiate; NULL: freed since */
  size_t linked_by = 0;             /* entries of others' `linked` that are this module */
  std::vector<uint64_t> targets;    /* their numbers, from then on */
  kv8::Linking *linking = nullptr;  /* the link it waits in */
  kv8::Hooks *hooks = nullptr;      /* lives as long as the record */
  std::unique_ptr<kv8_error> error; /* why it is errored, as first reported */

  bool is_synthetic = false;
  std::vector<std::string> export_names;
  kv8_status (*on_evaluate)(void *user, kv8_module *module, kv8_value **ret_exception,
                            kv8_error *err) = nullptr;
  void *user = nullptr;
  void (*release)(void *user) = nullptr;
};

namespace kv8 {

/* ---- module.cc ------------------------------------------------------------------------------ */

inline bool Usable(const kv8_module *module) noexcept {
  return module != nullptr && module->isolate != nullptr && !module->module.IsEmpty();
}

inline EnterOptions InModule(const kv8_module *module, unsigned timeout_ms = 0,
                             bool drain = false) {
  return {&module->context, timeout_ms, drain};
}

kv8_module_status StatusIn(v8::Isolate *isolate, const kv8_module *module);

kv8_status WrongState(kv8_error *err, const char *must);

/* V8's name for a module, back to ours; NULL for one this library did not make. */
kv8_module *FindModule(kv8_isolate *isolate, v8::Local<v8::Module> record);

/* Puts a new record into a new handle and on the isolate's table. */
void Adopt(Entry &entry, kv8_module *module, v8::Local<v8::Module> record, std::string identifier);

/* The identifier of a module that was given none (ST02). */
std::string NextIdentifier(ContextState *state);

/* After a change of `outcome` or `more` of a module that may be tied. */
void Rehold(v8::Isolate *isolate, kv8_module *module);

/* Keeps `target` alive with `module`, if it is tied. */
void KeepTied(Entry &entry, kv8_module *module, kv8_module *target);

/* Takes the module off every table: for its caller it is gone. */
void Forget(kv8_module *module) noexcept;

/* ---- module_link.cc ------------------------------------------------------------------------- */

/* Empties the link table; `done` if the module has been instantiated by it. */
void DropTable(kv8_module *module, bool done) noexcept;

/* Ends or fails the link that waits for a module that goes. */
void LeaveLinking(kv8_module *module) noexcept;

/* A tied module must stay while a link waits for it. */
void KeepInLinking(Entry &entry, kv8_module *module);

/* Forgets every link: the isolate is about to go. */
void FreeLinks(kv8_isolate *isolate) noexcept;

/* KV8_ELINK for a module that cannot answer `request` of `module`. */
kv8_status CheckAnswer(v8::Isolate *isolate, const kv8_module *module, const Request &request,
                       const kv8_module *answer, kv8_error *err);

/* ---- module_evaluate.cc --------------------------------------------------------------------- */

/* Remembers why a module is errored: the first answer is the only one (MO10). */
void Remember(kv8_module *module, const kv8_error &error);

/* After a termination V8 says of the modules it interrupted that they are errored and keeps null as
 * their exception, or believes them evaluated (P19). */
void RememberTermination(kv8_module *root, const kv8_error &error) noexcept;

/* An error object of the entered context with err's message and code. */
v8::Local<v8::Value> ErrorObject(v8::Isolate *isolate, v8::Local<v8::Context> context,
                                 const kv8_error &error);

/* Evaluates, if that is still to do, and answers with what import() is to resolve to: the namespace
 * or a promise of it, or, false, the reason of a rejection; false and empty: V8 has an exception.
 */
bool EvaluateForImport(v8::Isolate *isolate, v8::Local<v8::Context> context, kv8_module *module,
                       v8::Local<v8::Value> *ret_answer);

/* ---- module_synthetic.cc -------------------------------------------------------------------- */

/* The evaluation steps of every synthetic module. */
v8::MaybeLocal<v8::Value> EvaluateSynthetic(v8::Local<v8::Context> context,
                                            v8::Local<v8::Module> record);

/* Whether evaluating `module` now could make V8 evaluate a synthetic module that is being
 * evaluated, which V8 does not survive. */
bool ReachesEvaluatingSynthetic(v8::Isolate *isolate, kv8_module *module);

/* ---- hooks.cc ------------------------------------------------------------------------------- */

/* A caller's kv8_hooks where V8's callbacks find them. It lives as long as the code that may ask:
 * V8 keeps host-defined options with the code, and they refer to `anchor`. */
struct Hooks final : Held {
  ~Hooks() override;

  kv8_isolate *owner = nullptr;
  Hooks *previous = nullptr;
  Hooks *next = nullptr;
  kv8_import_fn on_import = nullptr;
  kv8_import_meta_fn on_import_meta = nullptr;
  void *user = nullptr;
  void (*release)(void *user) = nullptr;
  v8::Global<v8::Symbol> anchor; /* weak; refers to the referrer */
};

}  // namespace kv8

#endif
