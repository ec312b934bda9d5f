// SPDX-License-Identifier: MIT
//
// What node:vm and its modules share: who answers import() and import.meta, and warnings.
//
// A `hooks` object travels through C with the code that may ask (kv8_hooks.referrer), lives exactly as long as it, and
// comes back with the question. { callback, owner }: the program's importModuleDynamically and the Script, function,
// module or context it was given with.
'use strict';

const binding = internalBinding('vm');
const { define, nodeError, validateFunction } = require('internal/errors');

const isModulesEnabled = binding.modulesEnabled;
// Options that nobody gave: nothing put on Object.prototype is one.
const kEmpty = Object.freeze({ __proto__: null });
const kDefaultLoader = Symbol('vm_dynamic_import_main_context_default');
const modules = () => require('internal/vm_module');

define('ERR_CONTEXT_NOT_INITIALIZED', Error, 'context used is not initialized');
define('ERR_VM_DYNAMIC_IMPORT_CALLBACK_MISSING', TypeError, 'A dynamic import callback was not specified.');
define('ERR_VM_DYNAMIC_IMPORT_CALLBACK_MISSING_FLAG', TypeError,
       'A dynamic import callback was invoked without --experimental-vm-modules');
define('ERR_VM_MODULE_NOT_MODULE', Error, 'Provided module is not an instance of Module');

// The hooks for this option; `code` is what may ask, undefined for a context. Code without hooks of its own would ask
// its context's (the main one's loader, say), which in Node are only for code of no script or module (N12): so it gets
// hooks that refuse. But V8 keeps no code with hooks in its compilation cache (P07), and takes no cached data for it:
// so code that does not say "import" gets none, nor does code with cached data that has no callback.
function hooksFor(callback, code, filename = '', cachedData) {
  const mayAsk = code === undefined || code.includes('import');
  if (callback === undefined) {
    if (!mayAsk || code === undefined || cachedData !== undefined) return undefined;
    return { refuse: 'ERR_VM_DYNAMIC_IMPORT_CALLBACK_MISSING' };
  }
  if (callback === kDefaultLoader) return mayAsk ? { defaultLoader: true, filename } : undefined;
  validateFunction(callback, 'options.importModuleDynamically');
  if (!isModulesEnabled) return mayAsk ? { refuse: 'ERR_VM_DYNAMIC_IMPORT_CALLBACK_MISSING_FLAG' } : undefined;
  return { callback, owner: undefined };
}

// import(specifier) in code with these hooks.
async function importDynamically(hooks, specifier, attributes, phase) {
  if (hooks.refuse !== undefined) throw nodeError(hooks.refuse);
  if (hooks.defaultLoader) return binding.importByDefault(specifier, hooks.filename, attributes);
  const { callback } = hooks;
  if (callback === undefined) throw nodeError('ERR_VM_DYNAMIC_IMPORT_CALLBACK_MISSING');
  const answer = await callback(specifier, hooks.owner, attributes, phase);
  if (binding.isNamespace(answer)) return answer;
  const { isModule } = modules();
  if (!isModule(answer)) throw nodeError('ERR_VM_MODULE_NOT_MODULE');
  if (answer.status === 'errored') throw answer.error;
  return answer.namespace;
}

binding.setHandlers(
  importDynamically,
  (owner, meta) => modules().initializeImportMeta(owner, meta),
  (owner) => modules().evaluateSynthetic(owner));

function validateBuffer(value, name) {
  if (!ArrayBuffer.isView(value)) {
    throw nodeError('ERR_INVALID_ARG_TYPE', name, ['Buffer', 'TypedArray', 'DataView'], value);
  }
}

const warned = new Set();

function warnExperimental(feature) {
  if (warned.has(feature)) return;
  warned.add(feature);
  require('process').emitWarning(
    `${feature} is an experimental feature and might change at any time`, 'ExperimentalWarning');
}

module.exports = { hooksFor, isModulesEnabled, kDefaultLoader, kEmpty, validateBuffer, warnExperimental };
