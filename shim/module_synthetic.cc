/* SPDX-License-Identifier: MIT
 *
 * module_synthetic.cc: modules whose exports C sets (SY01), and the question that V8 10.2 does not
 * answer, whether a module has a top-level await of its own, which is asked with their help.
 */
#include <algorithm>
#include <unordered_set>

#include "shim/module.hh"

namespace kv8 {

namespace {

constexpr size_t kExportsMax = 65536;

kv8_status CheckOptions(const kv8_synthetic_options *options, kv8_error *err) {
  if (options == nullptr || !KnownSize(options)) {
    return Invalid(err, "options are NULL or their struct_size unknown");
  }
  kv8_synthetic_options copy = Normalised(options);
  if (copy.export_names_count > kExportsMax) {
    return SetError(err, KV8_ETOOBIG, "", "export names: %zu, limit %zu", copy.export_names_count,
                    kExportsMax);
  }
  if (!ValidSpan(copy.identifier) ||
      (copy.export_names_count != 0 && copy.export_names == nullptr)) {
    return Invalid(err, "identifier or export_names: a length without data");
  }
  if (copy.identifier.length > kFilenameMaxBytes) {
    return SetError(err, KV8_ETOOBIG, "", "identifier is %zu bytes, limit %zu",
                    copy.identifier.length, kFilenameMaxBytes);
  }
  for (size_t i = 0; i < copy.export_names_count; i++) {
    if (!ValidSpan(copy.export_names[i])) {
      return Invalid(err, "export_names: a length without data");
    }
  }
  return KV8_OK;
}

/* V8 does not survive a name twice (P31). Compared as V8 will see them, after their conversion. */
kv8_status MakeNames(Entry &entry, const kv8_synthetic_options &options,
                     std::vector<v8::Local<v8::String>> *ret_names,
                     std::vector<std::string> *ret_texts) {
  std::unordered_set<std::string> seen;
  for (size_t i = 0; i < options.export_names_count; i++) {
    v8::Local<v8::String> name;
    if (!NewString(entry.isolate, View(options.export_names[i])).ToLocal(&name)) {
      return SetError(entry.err, KV8_ETOOBIG, "", "export name %zu is too long", i);
    }
    std::string text = ToUtf8(entry.isolate, name);
    if (!seen.insert(text).second) {
      return SetError(entry.err, KV8_EINVAL, "ERR_INVALID_ARG_VALUE",
                      "The property 'exportNames.%.200s' is duplicated", text.c_str());
    }
    ret_names->push_back(name);
    ret_texts->push_back(std::move(text));
  }
  return KV8_OK;
}

/* Runs the caller's function; false: it failed, and an exception is on its way. */
bool CallEvaluate(kv8_isolate *owner, v8::Local<v8::Context> context, kv8_module *module) {
  v8::Isolate *isolate = owner->v8;
  kv8_value *exception = nullptr;
  kv8_error error = {};
  owner->synthetic_evaluating++;
  kv8_status status = module->on_evaluate(module->user, module, &exception, &error);
  owner->synthetic_evaluating--;
  v8::Local<v8::Value> thrown;
  if (exception != nullptr) thrown = exception->value.Get(isolate);
  kv8_value_free(exception);
  if (isolate->IsExecutionTerminating()) return false;
  if (status == KV8_OK) return true;
  isolate->ThrowException(thrown.IsEmpty() ? ErrorObject(isolate, context, error) : thrown);
  return false;
}

/* ---- HasTopLevelAwait() where V8 does not have it ------------------------------------------- */

/* A copy of the module, linked to stubs that export what it imports, is an asynchronous graph just
 * if the module itself is asynchronous. V8 names the missing exports one by one. */
struct Copy {
  const kv8_module *module;
  std::vector<std::vector<std::string>> exports; /* of the stub of each request */
};
constexpr size_t kStubExportsMax = 10000;

v8::MaybeLocal<v8::Value> NeverEvaluated(v8::Local<v8::Context>, v8::Local<v8::Module>) {
  return {};
}

v8::MaybeLocal<v8::Module> ResolveStub(v8::Local<v8::Context> context,
                                       v8::Local<v8::String> specifier,
                                       v8::Local<v8::FixedArray> attributes,
                                       v8::Local<v8::Module>) {
  kv8_isolate *owner = StateOf(context)->isolate;
  v8::Isolate *isolate = owner->v8;
  try {
    auto *copy = static_cast<Copy *>(owner->await_copy);
    Request request;
    request.Read(isolate, context, specifier, attributes, 3, false);
    auto at = copy->module->request_index.find(request.Key());
    std::vector<v8::Local<v8::String>> names;
    if (at != copy->module->request_index.end()) {
      for (const std::string &text : copy->exports[at->second]) {
        v8::Local<v8::String> name;
        if (NewString(isolate, text).ToLocal(&name)) names.push_back(name);
      }
    }
    return compat::MakeSynthetic(isolate, specifier, names, NeverEvaluated);
  } catch (const std::bad_alloc &) {
  }
  isolate->ThrowException(v8::Exception::Error(Literal(isolate, "out of memory")));
  return {};
}

void ThrowNoSource(v8::Isolate *isolate) {
  isolate->ThrowException(v8::Exception::Error(Literal(isolate, "no source")));
}

/* Adds the export that V8's SyntaxError misses; false if it is about something else. */
bool AddMissing(Copy *copy, std::string_view message) {
  constexpr std::string_view kModule = "SyntaxError: The requested module '";
  constexpr std::string_view kExport = "' does not provide an export named '";
  bool added = false;
  for (size_t i = 0; i < copy->exports.size(); i++) {
    std::string start(kModule);
    start.append(copy->module->requests[i].specifier).append(kExport);
    if (message.size() <= start.size() || message.substr(0, start.size()) != start) continue;
    std::string name(message.substr(start.size(), message.size() - start.size() - 1));
    std::vector<std::string> &names = copy->exports[i];
    if (std::find(names.begin(), names.end(), name) != names.end()) continue;
    names.push_back(std::move(name));
    added = true;
  }
  return added;
}

kv8_status HasAwait(Entry &entry, kv8_module *module, bool *ret_has) {
  v8::Local<v8::Module> record = module->module.Get(entry.isolate);
  if (compat::HasTopLevelAwait(record, ret_has)) return KV8_OK;
  *ret_has = false;
  if (!module->says_await) return KV8_OK;
  if (record->GetStatus() >= v8::Module::kInstantiated) {
    *ret_has = record->IsGraphAsync();
    if (!*ret_has || module->requests.empty()) return KV8_OK;
  }
  v8::Local<v8::Value> kept;
  v8::Local<v8::Module> made;
  if (!module->more.Get(entry.isolate)->Get(entry.context, 0).ToLocal(&kept)) return entry.Fail();
  v8::ScriptCompiler::Source source(
      kept.As<v8::String>(),
      compat::MakeOrigin(entry.isolate, Literal(entry.isolate, "kv8:await"), 0, 0, true));
  if (!v8::ScriptCompiler::CompileModule(entry.isolate, &source).ToLocal(&made)) {
    return entry.Fail();
  }
  Copy copy = {module, {}};
  copy.exports.resize(module->requests.size());
  entry.owner->await_copy = &copy;
  kv8_status status = KV8_ETOOBIG;
  for (size_t tries = 0; tries < kStubExportsMax && status == KV8_ETOOBIG; tries++) {
    v8::HandleScope scope(entry.isolate);
    v8::TryCatch quiet(entry.isolate);
    if (compat::Instantiate<ResolveStub, ThrowNoSource>(entry.context, made).FromMaybe(false)) {
      *ret_has = made->IsGraphAsync();
      status = KV8_OK;
      break;
    }
    std::string text;
    v8::Local<v8::String> message;
    if (quiet.HasCaught() && quiet.CanContinue() &&
        quiet.Exception()->ToDetailString(entry.context).ToLocal(&message)) {
      text = ToUtf8(entry.isolate, message);
    }
    if (!AddMissing(&copy, text)) status = KV8_EENGINE;
  }
  entry.owner->await_copy = nullptr;
  if (status == KV8_OK) return KV8_OK;
  return SetError(entry.err, status, "",
                  "cannot tell whether module '%.200s' has a top-level await",
                  module->identifier.c_str());
}

}  // namespace

v8::MaybeLocal<v8::Value> EvaluateSynthetic(v8::Local<v8::Context> context,
                                            v8::Local<v8::Module> record) {
  v8::Isolate *isolate = v8::Isolate::GetCurrent();
  auto *owner = static_cast<kv8_isolate *>(isolate->GetData(compat::kIsolateSlot));
  v8::EscapableHandleScope scope(isolate);
  v8::Local<v8::Promise::Resolver> resolver;
  if (!v8::Promise::Resolver::New(context).ToLocal(&resolver)) return {};
  kv8_module *module = FindModule(owner, record);
  if (module != nullptr && module->on_evaluate != nullptr &&
      !CallEvaluate(owner, context, module)) {
    return {};
  }
  if (resolver->Resolve(context, v8::Undefined(isolate)).IsNothing()) return {};
  return scope.Escape(resolver->GetPromise().As<v8::Value>());
}

bool ReachesEvaluatingSynthetic(v8::Isolate *isolate, kv8_module *module) {
  kv8_isolate *owner = module->isolate;
  if (owner->synthetic_evaluating == 0) return false;
  std::unordered_map<uint64_t, kv8_module *> by_number;
  for (const auto &[hash, each] : owner->modules) by_number.emplace(each->number, each);
  std::unordered_set<uint64_t> seen = {module->number};
  std::vector<uint64_t> open = {module->number};
  while (!open.empty()) {
    auto at = by_number.find(open.back());
    open.pop_back();
    if (at == by_number.end() || !Usable(at->second)) return true; /* freed: it might */
    v8::HandleScope scope(isolate);
    v8::Module::Status status = at->second->module.Get(isolate)->GetStatus();
    if (at->second->is_synthetic) {
      if (status == v8::Module::kEvaluating) return true;
      continue;
    }
    if (status != v8::Module::kInstantiated) continue; /* V8 does not go on from there */
    for (uint64_t target : at->second->targets) {
      if (seen.insert(target).second) open.push_back(target);
    }
  }
  return false;
}

}  // namespace kv8

using namespace kv8;

kv8_status kv8_module_synthetic(kv8_context *context, const kv8_synthetic_options *options,
                                kv8_module **ret_module, kv8_error *err) {
  kv8_synthetic_options copy = {};
  if (options != nullptr && KnownSize(options)) copy = Normalised(options);
  std::unique_ptr<kv8_module> made;
  kv8_status status = CheckOptions(options, err);
  if (status == KV8_OK &&
      (context == nullptr || context->state == nullptr || ret_module == nullptr)) {
    status = Invalid(err, "context, options and ret_module are needed");
  }
  if (status == KV8_OK) {
    status = Enter(context->isolate, In(context), err, [&](Entry &entry) -> kv8_status {
      std::vector<v8::Local<v8::String>> names;
      std::vector<std::string> texts;
      kv8_status named = MakeNames(entry, copy, &names, &texts);
      if (named != KV8_OK) return named;
      std::string identifier(View(copy.identifier));
      if (identifier.empty()) identifier = NextIdentifier(context->state);
      v8::Local<v8::String> name;
      if (!NewString(entry.isolate, identifier).ToLocal(&name)) return entry.Fail(KV8_EENGINE);
      v8::Local<v8::Module> record =
          compat::MakeSynthetic(entry.isolate, name, names, EvaluateSynthetic);
      /* It is linked from the start (N22), and only then has exports to set. */
      if (compat::Instantiate<ResolveStub, ThrowNoSource>(entry.context, record).IsNothing()) {
        return entry.Fail(KV8_EENGINE);
      }
      auto module = std::make_unique<kv8_module>(entry.owner);
      module->is_synthetic = true;
      module->export_names = std::move(texts);
      Adopt(entry, module.get(), record, std::move(identifier));
      made = std::move(module);
      return KV8_OK;
    });
  }
  if (status != KV8_OK) {
    if (copy.release != nullptr) copy.release(copy.user);
    return status;
  }
  made->on_evaluate = copy.evaluate;
  made->user = copy.user;
  made->release = copy.release;
  *ret_module = made.release();
  return KV8_OK;
}

kv8_status kv8_module_set_export(kv8_module *module, kv8_span name, const kv8_value *value,
                                 kv8_error *err) {
  if (!Usable(module) || !ValidSpan(name) || value == nullptr ||
      value->isolate != module->isolate) {
    return Invalid(err, "module, name and a value of its isolate are needed");
  }
  if (!module->is_synthetic) {
    return SetError(err, KV8_ESTATE, kStatusCode, "module '%.200s' is not synthetic",
                    module->identifier.c_str());
  }
  return Enter(module->isolate, InModule(module), err, [&](Entry &entry) -> kv8_status {
    v8::Local<v8::String> key;
    if (!NewString(entry.isolate, View(name)).ToLocal(&key)) {
      return SetError(entry.err, KV8_ETOOBIG, "", "the name is too long");
    }
    if (module->module.Get(entry.isolate)
            ->SetSyntheticModuleExport(entry.isolate, key, value->value.Get(entry.isolate))
            .IsNothing()) {
      return entry.Fail();
    }
    return KV8_OK;
  });
}

kv8_status kv8_module_has_top_level_await(kv8_module *module, bool *ret_has, kv8_error *err) {
  if (!Usable(module) || ret_has == nullptr) return Invalid(err, "module and ret_has are needed");
  bool has = false;
  if (!module->is_synthetic) {
    kv8_status status = Enter(module->isolate, InModule(module), err,
                              [&](Entry &entry) { return HasAwait(entry, module, &has); });
    if (status != KV8_OK) return status;
  }
  *ret_has = has;
  return KV8_OK;
}
