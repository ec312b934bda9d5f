/* SPDX-License-Identifier: MIT
 *
 * module_link.cc: which module answers which request, and resolving the bindings. Linking is a
 * table in each module, filled by kv8_module_link_requests() or by the answers of
 * kv8_module_link(). V8 is asked to instantiate only when every module it will reach has its table
 * full, and its resolve callback looks up and never calls out (P29).
 *
 * A link (kv8_module_link) has members: the modules whose requests its linker answers. It is done
 * when nothing is open in any module its root reaches, whether they are its members or another
 * link's, so links that run at once may share modules and cycles.
 */
#include <deque>
#include <unordered_set>

#include "shim/module.hh"

struct kv8_link {
  kv8_isolate *isolate = nullptr;
  kv8::Linking *linking = nullptr; /* NULL: it has ended, or this request is answered */
  kv8_module *referrer = nullptr;  /* NULL: freed */
  size_t index = 0;
  bool is_answered = false;
  bool is_asked = false; /* the linker is being called with it */
  kv8_link *previous = nullptr;
  kv8_link *next = nullptr;
};

namespace kv8 {

/* One kv8_module_link() until it has ended. */
struct Linking {
  kv8_isolate *isolate = nullptr;
  kv8_module *root = nullptr; /* NULL: freed */
  kv8_link_fn linker = nullptr;
  kv8_linked_fn on_linked = nullptr;
  void *user = nullptr;
  std::vector<kv8_module *> members;
  std::deque<kv8_link *> unasked;
  size_t open = 0; /* requests without an answer */
  bool is_asking = false;
  bool has_ended = false;
  bool is_waited_for = false; /* kv8_module_link() has not returned */
  bool may_retry = false;     /* ended by a missing export: its members are unlinked again (D06) */
  kv8_status status = KV8_OK;
  kv8_error error = {};
  std::vector<v8::Global<v8::Object>> kept; /* holders of tied members */
  Linking *previous = nullptr;
  Linking *next = nullptr;
};

namespace {

void ThrowNotLinked(v8::Isolate *isolate) {
  isolate->ThrowException(v8::Exception::Error(Literal(isolate, "module request is not linked")));
}

void ThrowNoSource(v8::Isolate *isolate) {
  isolate->ThrowException(v8::Exception::SyntaxError(
      Literal(isolate, "Source phase import object is not defined for module")));
}

/* The table lookup. CheckLinked() has seen to it that there is an answer. */
v8::MaybeLocal<v8::Module> Resolve(v8::Local<v8::Context> context, v8::Local<v8::String> specifier,
                                   v8::Local<v8::FixedArray> attributes,
                                   v8::Local<v8::Module> referrer) {
  v8::Isolate *isolate = v8::Isolate::GetCurrent();
  try {
    kv8_module *from = FindModule(StateOf(context)->isolate, referrer);
    if (from != nullptr) {
      Request request;
      request.Read(isolate, context, specifier, attributes, 3, false);
      auto at = from->request_index.find(request.Key());
      if (at != from->request_index.end() && at->second < from->linked.size() &&
          from->linked[at->second] != nullptr) {
        return from->linked[at->second]->module.Get(isolate);
      }
    }
  } catch (const std::bad_alloc &) { /* must not unwind through V8: an unresolved request */
  }
  ThrowNotLinked(isolate);
  return {};
}

bool IsUninstantiated(v8::Isolate *isolate, const kv8_module *module) {
  return module->module.Get(isolate)->GetStatus() == v8::Module::kUninstantiated;
}

/* Calls `visit` once for each module that instantiating `root` would reach through tables. */
template <class Visit>
kv8_status WalkUninstantiated(v8::Isolate *isolate, kv8_module *root, Visit &&visit) {
  std::unordered_set<kv8_module *> seen = {root};
  std::vector<kv8_module *> open = {root};
  while (!open.empty()) {
    kv8_module *module = open.back();
    open.pop_back();
    v8::HandleScope scope(isolate);
    bool is_open = IsUninstantiated(isolate, module);
    kv8_status status = visit(module, is_open);
    if (status != KV8_OK) return status;
    if (!is_open) continue;
    for (kv8_module *next : module->linked) {
      if (next != nullptr && seen.insert(next).second) open.push_back(next);
    }
  }
  return KV8_OK;
}

/* KV8_ESTATE where only an answer is missing that a link still waits for. */
kv8_status CheckLinked(v8::Isolate *isolate, kv8_module *root, kv8_error *err) {
  bool waits = false;
  kv8_status status = WalkUninstantiated(isolate, root, [&](kv8_module *module, bool is_open) {
    if (module->terminated || module->link_failed) {
      return SetError(
          err, KV8_ELINK, kLinkFailure, "module '%.200s' %s", module->identifier.c_str(),
          module->terminated ? "was terminated while it was evaluated" : "has failed to link");
    }
    if (!is_open) return KV8_OK;
    for (size_t i = 0; i < module->requests.size(); i++) {
      if (module->is_linked && module->linked[i] != nullptr) continue;
      SetError(err, KV8_ELINK, kLinkFailure,
               "request for '%.200s' can not be resolved on module '%.200s' that is not linked",
               module->requests[i].specifier.c_str(), module->identifier.c_str());
      if (module->linking == nullptr || module->linking->open == 0) return KV8_ELINK;
      waits = true;
      break;
    }
    return KV8_OK;
  });
  return status == KV8_OK && waits ? KV8_ESTATE : status;
}

void Bind(Entry &entry, kv8_module *module, size_t index, kv8_module *target) {
  KeepTied(entry, module, target);
  module->linked[index] = target;
  target->linked_by++;
}

/* N26: one key, one module, whatever the phase. */
bool IsMismatch(const kv8_module *module, kv8_module *const *answers, size_t index) {
  size_t first = module->request_index.at(module->requests[index].Key());
  return answers[first] != nullptr && answers[index] != answers[first];
}

kv8_status Mismatch(const kv8_module *module, size_t index, kv8_error *err) {
  return SetError(err, KV8_ELINK, "ERR_MODULE_LINK_MISMATCH",
                  "requests for '%.200s' on module '%.200s' are answered by two modules",
                  module->requests[index].specifier.c_str(), module->identifier.c_str());
}

kv8_status Instantiate(Entry &entry, kv8_module *root) {
  kv8_status status = CheckLinked(entry.isolate, root, entry.err);
  if (status != KV8_OK) return KV8_ELINK;
  std::vector<kv8_module *> reached;
  WalkUninstantiated(entry.isolate, root, [&](kv8_module *each, bool is_open) {
    if (is_open) {
      each->targets.reserve(each->linked.size());
      reached.push_back(each);
    }
    return KV8_OK;
  });
  if (compat::Instantiate<Resolve, ThrowNoSource>(entry.context, root->module.Get(entry.isolate))
          .IsNothing()) {
    return entry.Fail(KV8_ESYNTAX);
  }
  for (kv8_module *each : reached) DropTable(each, true); /* P05: keeps nothing alive */
  return KV8_OK;
}

/* ---- kv8_link ------------------------------------------------------------------------------- */

kv8_link *NewLink(Linking *linking, kv8_module *referrer, size_t index) {
  auto *link = new kv8_link;
  link->isolate = linking->isolate;
  link->linking = linking;
  link->referrer = referrer;
  link->index = index;
  link->next = link->isolate->links;
  if (link->next != nullptr) link->next->previous = link;
  link->isolate->links = link;
  linking->open++;
  return link;
}

void FreeLink(kv8_link *link) noexcept {
  (link->previous != nullptr ? link->previous->next : link->isolate->links) = link->next;
  if (link->next != nullptr) link->next->previous = link->previous;
  delete link;
}

/* ---- Linking -------------------------------------------------------------------------------- */

void Keep(Entry &entry, Linking *linking, kv8_module *module) {
  if (module->is_tied && !module->holder.IsEmpty()) {
    linking->kept.emplace_back(entry.isolate, module->holder.Get(entry.isolate));
  }
}

void AddMember(Entry &entry, Linking *linking, kv8_module *module) {
  linking->members.push_back(module);
  module->linking = linking;
  module->is_linked = true;
  module->linked.assign(module->requests.size(), nullptr);
  Keep(entry, linking, module);
  for (size_t i = 0; i < module->requests.size(); i++) {
    linking->unasked.push_back(NewLink(linking, module, i));
  }
}

void Unlist(Linking *linking) noexcept {
  (linking->previous != nullptr ? linking->previous->next : linking->isolate->linkings) =
      linking->next;
  if (linking->next != nullptr) linking->next->previous = linking->previous;
}

/* Marks the end and puts the members into their states. Conclude() does the rest. */
void End(Linking *linking, kv8_status status, const kv8_error &error,
         v8::Local<v8::Value> exception) noexcept {
  if (linking->has_ended) return;
  v8::Isolate *isolate = linking->isolate->v8;
  v8::Isolate::Scope isolate_scope(isolate);
  v8::HandleScope scope(isolate);
  linking->has_ended = true;
  linking->status = status;
  linking->error = error;
  linking->error.status = status;
  for (kv8_module *member : linking->members) {
    member->linking = nullptr;
    if (status == KV8_OK || !IsUninstantiated(isolate, member)) continue;
    DropTable(member, false);
    member->is_linked = false;
    if (linking->may_retry) continue;
    member->link_failed = true;
    try {
      Remember(member, linking->error);
    } catch (const std::bad_alloc &) { /* errored all the same */
    }
    if (!exception.IsEmpty()) {
      member->outcome.Reset(isolate, exception);
      Rehold(isolate, member);
    }
  }
  for (kv8_link *link : linking->unasked) FreeLink(link);
  linking->unasked.clear();
  for (kv8_link *link = linking->isolate->links; link != nullptr; link = link->next) {
    if (link->linking == linking) link->linking = nullptr;
  }
}

/* Ends the link if nothing is open, and says whether it has ended. */
bool TryEnd(Linking *linking) noexcept {
  if (linking->has_ended) return true;
  if (linking->is_asking || linking->open != 0) return false;
  kv8_error error = {};
  bool waits = false;
  kv8_module *root = linking->root;
  kv8_status status = Enter(root->isolate, InModule(root), &error, [&](Entry &entry) {
    if (!IsUninstantiated(entry.isolate, root)) return KV8_OK;
    kv8_status checked = CheckLinked(entry.isolate, root, entry.err);
    waits = checked == KV8_ESTATE;
    if (checked != KV8_OK) return checked;
    linking->may_retry = true;
    return Instantiate(entry, root);
  });
  if (waits) return false;
  End(linking, status, error, v8::Local<v8::Value>());
  return true;
}

/* Tells of the end, and lets other links see whether it was theirs, too. */
void Conclude(Linking *linking) noexcept {
  std::unique_ptr<Linking> ended(linking);
  kv8_isolate *isolate = linking->isolate;
  Unlist(linking);
  if (!linking->is_waited_for && linking->on_linked != nullptr && linking->root != nullptr &&
      !isolate->is_closing) {
    linking->on_linked(linking->user, linking->root, linking->status,
                       linking->status == KV8_OK ? nullptr : &linking->error);
  }
  ended.reset();
  if (isolate->is_closing) return;
  for (Linking *other = isolate->linkings; other != nullptr; other = other->next) {
    if (!other->is_asking && !other->is_waited_for && TryEnd(other)) {
      Conclude(other); /* which goes on with the rest */
      return;
    }
  }
}

/* Calls the linker for what is new, and ends the link if nothing is open. */
void Ask(Linking *linking) noexcept {
  if (linking->is_asking) return;
  linking->is_asking = true;
  while (!linking->has_ended && !linking->unasked.empty()) {
    kv8_link *link = linking->unasked.front();
    linking->unasked.pop_front();
    link->is_asked = true;
    linking->linker(linking->user, link);
    link->is_asked = false;
    if (link->is_answered) FreeLink(link);
  }
  linking->is_asking = false;
  if (TryEnd(linking) && !linking->is_waited_for) Conclude(linking);
}

/* Takes a link out of its request; NULL if nobody waits for the answer any more. */
Linking *Take(kv8_link *link) noexcept {
  link->is_answered = true;
  Linking *linking = std::exchange(link->linking, nullptr);
  if (linking != nullptr) linking->open--;
  return linking;
}

void Done(kv8_link *link) noexcept {
  if (!link->is_asked) FreeLink(link);
}

void EndAndConclude(Linking *linking, kv8_status status, const kv8_error &error,
                    v8::Local<v8::Value> exception) noexcept {
  End(linking, status, error, exception);
  if (!linking->is_asking && !linking->is_waited_for) Conclude(linking);
}

}  // namespace

void DropTable(kv8_module *module, bool done) noexcept {
  for (kv8_module *target : module->linked) {
    if (target == nullptr) continue;
    target->linked_by--;
    if (done) module->targets.push_back(target->number); /* reserved by Instantiate() */
  }
  std::vector<kv8_module *>().swap(module->linked);
}

void LeaveLinking(kv8_module *module) noexcept {
  kv8_isolate *isolate = module->isolate;
  if (isolate == nullptr || isolate->is_closing) return;
  Linking *linking = std::exchange(module->linking, nullptr);
  for (kv8_link *link = isolate->links; link != nullptr; link = link->next) {
    if (link->referrer == module) link->referrer = nullptr;
  }
  if (linking == nullptr) return;
  std::erase(linking->members, module);
  if (linking->root == module) linking->root = nullptr;
  kv8_error error = {};
  SetError(&error, KV8_ELINK, kLinkFailure, "module '%.200s' was freed while it was being linked",
           module->identifier.c_str());
  EndAndConclude(linking, KV8_ELINK, error, v8::Local<v8::Value>());
}

void KeepInLinking(Entry &entry, kv8_module *module) {
  if (module->linking != nullptr) Keep(entry, module->linking, module);
}

void FreeLinks(kv8_isolate *isolate) noexcept {
  while (isolate->links != nullptr) FreeLink(isolate->links);
  while (Linking *linking = isolate->linkings) {
    for (kv8_module *member : linking->members) member->linking = nullptr;
    Unlist(linking);
    delete linking;
  }
}

kv8_status CheckAnswer(v8::Isolate *isolate, const kv8_module *module, const Request &request,
                       const kv8_module *answer, kv8_error *err) {
  if (!Usable(answer)) {
    return SetError(err, KV8_EINVAL, "ERR_VM_MODULE_NOT_MODULE",
                    "Provided module is not an instance of Module: request for '%.200s' on module "
                    "'%.200s'",
                    request.specifier.c_str(), module->identifier.c_str());
  }
  if (answer->isolate != module->isolate || answer->context != module->context) {
    return SetError(err, KV8_ELINK, "ERR_VM_MODULE_DIFFERENT_CONTEXT",
                    "Linked modules must use the same context: request for '%.200s' on module "
                    "'%.200s'",
                    request.specifier.c_str(), module->identifier.c_str());
  }
  if (StatusIn(isolate, answer) == KV8_MODULE_ERRORED) {
    return SetError(err, KV8_ELINK, kLinkFailure,
                    "request for '%.200s' on module '%.200s' resolved to an errored module",
                    request.specifier.c_str(), module->identifier.c_str());
  }
  return KV8_OK;
}

}  // namespace kv8

using namespace kv8;

kv8_status kv8_module_link_requests(kv8_module *module, kv8_module *const *modules,
                                    size_t modules_count, kv8_error *err) {
  if (!Usable(module) || (modules == nullptr && modules_count > 0)) {
    return Invalid(err, "module and modules are needed");
  }
  return Enter(module->isolate, InModule(module), err, [&](Entry &entry) -> kv8_status {
    if (StatusIn(entry.isolate, module) != KV8_MODULE_UNLINKED || module->is_linked) {
      return SetError(entry.err, KV8_ESTATE, kAlreadyLinked,
                      "Module '%.200s' has already been linked", module->identifier.c_str());
    }
    if (modules_count != module->requests.size()) {
      return SetError(entry.err, KV8_ELINK, "ERR_MODULE_LINK_MISMATCH",
                      "Expected %zu modules for module '%.200s', got %zu", module->requests.size(),
                      module->identifier.c_str(), modules_count);
    }
    for (size_t i = 0; i < modules_count; i++) {
      kv8_status status =
          CheckAnswer(entry.isolate, module, module->requests[i], modules[i], entry.err);
      if (status != KV8_OK) return status;
      if (IsMismatch(module, modules, i)) return Mismatch(module, i, entry.err);
    }
    module->linked.assign(modules_count, nullptr);
    for (size_t i = 0; i < modules_count; i++) Bind(entry, module, i, modules[i]);
    module->is_linked = true;
    return KV8_OK;
  });
}

kv8_status kv8_module_instantiate(kv8_module *module, kv8_error *err) {
  if (!Usable(module)) return Invalid(err, "module is needed");
  return Enter(module->isolate, InModule(module), err, [&](Entry &entry) -> kv8_status {
    switch (StatusIn(entry.isolate, module)) {
      case KV8_MODULE_UNLINKED:
        return Instantiate(entry, module);
      case KV8_MODULE_LINKED:
        return KV8_OK;
      default:
        return WrongState(entry.err, "must be unlinked or linked");
    }
  });
}

kv8_status kv8_module_link(kv8_module *module, kv8_link_fn linker, kv8_linked_fn on_linked,
                           void *user, kv8_error *err) {
  if (!Usable(module)) return Invalid(err, "module is needed");
  if (linker == nullptr) {
    return SetError(err, KV8_EINVAL, "ERR_INVALID_ARG_TYPE", "linker is NULL");
  }
  if (module->is_synthetic) return KV8_OK; /* N22 */
  std::unique_ptr<Linking> made;
  kv8_status status =
      Enter(module->isolate, InModule(module), err, [&](Entry &entry) -> kv8_status {
        kv8_module_status now = StatusIn(entry.isolate, module);
        if (now == KV8_MODULE_LINKED || (now == KV8_MODULE_UNLINKED && module->is_linked)) {
          return SetError(entry.err, KV8_ESTATE, kAlreadyLinked,
                          "Module '%.200s' has already been linked", module->identifier.c_str());
        }
        if (now != KV8_MODULE_UNLINKED) return WrongState(entry.err, "must be unlinked");
        made = std::make_unique<Linking>();
        made->isolate = entry.owner;
        made->root = module;
        made->linker = linker;
        made->on_linked = on_linked;
        made->user = user;
        made->is_waited_for = true;
        made->next = entry.owner->linkings;
        if (made->next != nullptr) made->next->previous = made.get();
        entry.owner->linkings = made.get();
        AddMember(entry, made.get(), module);
        return KV8_OK;
      });
  if (made == nullptr) return status;
  Linking *linking = made.release();
  if (status != KV8_OK) {
    kv8_error error = {};
    SetError(&error, status, "", "out of memory");
    End(linking, KV8_ELINK, error, v8::Local<v8::Value>());
    linking->is_asking = false;
    Conclude(linking);
    return status;
  }
  Ask(linking);
  if (!linking->has_ended) {
    linking->is_waited_for = false; /* on_linked tells */
    return KV8_OK;
  }
  status = linking->status;
  if (status != KV8_OK && err != nullptr) *err = linking->error;
  Conclude(linking);
  return status;
}

kv8_module *kv8_link_get_referrer(const kv8_link *link) {
  return link == nullptr ? nullptr : link->referrer;
}

void kv8_link_get_request(const kv8_link *link, kv8_module_request *ret_request) {
  if (ret_request == nullptr) return;
  *ret_request = link == nullptr || link->referrer == nullptr
                     ? kv8_module_request{}
                     : link->referrer->requests[link->index].View();
}

void kv8_link_answer(kv8_link *link, kv8_module *module) {
  if (link == nullptr || link->is_answered) return;
  kv8_module *referrer = link->referrer;
  size_t index = link->index;
  Linking *linking = Take(link);
  Done(link);
  if (linking == nullptr) return;
  kv8_error error = {};
  kv8_status status =
      Enter(referrer->isolate, InModule(referrer), &error, [&](Entry &entry) -> kv8_status {
        const Request &request = referrer->requests[index];
        kv8_status checked = CheckAnswer(entry.isolate, referrer, request, module, entry.err);
        if (checked != KV8_OK) return checked == KV8_EINVAL ? KV8_ELINK : checked;
        std::vector<kv8_module *> answers = referrer->linked;
        answers[index] = module;
        for (size_t i = 0; i < answers.size(); i++) {
          if (answers[i] != nullptr && IsMismatch(referrer, answers.data(), i)) {
            return Mismatch(referrer, i, entry.err);
          }
        }
        Bind(entry, referrer, index, module);
        if (StatusIn(entry.isolate, module) == KV8_MODULE_UNLINKED && !module->is_linked) {
          AddMember(entry, linking, module);
        } else {
          Keep(entry, linking, module);
        }
        return KV8_OK;
      });
  if (status != KV8_OK) {
    EndAndConclude(linking, status, error, v8::Local<v8::Value>());
  } else {
    Ask(linking);
  }
}

void kv8_link_fail(kv8_link *link, const kv8_value *exception, const kv8_error *err) {
  if (link == nullptr || link->is_answered) return;
  kv8_module *referrer = link->referrer;
  size_t index = link->index;
  Linking *linking = Take(link);
  Done(link);
  if (linking == nullptr) return;
  v8::Isolate *isolate = linking->isolate->v8;
  v8::Isolate::Scope isolate_scope(isolate);
  v8::HandleScope scope(isolate);
  v8::Local<v8::Value> reason;
  if (exception != nullptr && exception->isolate == linking->isolate) {
    reason = exception->value.Get(isolate);
  }
  kv8_error error = {};
  kv8_status status = KV8_ELINK;
  if (err != nullptr && err->status != KV8_OK) {
    error = *err;
    status = err->status;
  } else if (!reason.IsEmpty()) {
    status = Enter(linking->isolate, InModule(referrer), &error, [&](Entry &entry) {
      DescribeException(entry.isolate, entry.context, reason,
                        v8::Exception::CreateMessage(entry.isolate, reason), KV8_EEXCEPTION,
                        entry.err);
      return KV8_EEXCEPTION;
    });
  } else {
    SetError(&error, KV8_ELINK, kLinkFailure, "request for '%.200s' on module '%.200s' failed",
             referrer->requests[index].specifier.c_str(), referrer->identifier.c_str());
  }
  EndAndConclude(linking, status, error, reason);
}
