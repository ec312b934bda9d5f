// SPDX-License-Identifier: MIT
//
// vm.Module, SourceTextModule, SyntheticModule. Linking and status are as in the newest Node, on kv8_module's
// linkRequests and instantiate; where that leaves something open:
//   D06  a module whose linker failed is errored; one whose instantiation failed is unlinked, and may be linked again.
//   D07  module.error is then what the linker threw.
//   D15  a module that a deadline ended is errored, and its error is that of the deadline; it is never run again.
//   P14  evaluate() answers a promise of the main context; settled at once unless a top-level await waits (N18).
//   OLD  `url` of 2018 is an alias of `identifier`, as option and as property, and linkingStatus is there;
//        instantiate() again does nothing; a synthetic module's link() does nothing and answers a promise, as it did
//        when it was needed.
'use strict';

const binding = internalBinding('vm');
const { Buffer } = require('buffer');
const {
  codedError, define, nodeError, validateArray, validateBoolean, validateFunction, validateInt32, validateObject,
  validateString, validateUint32,
} = require('internal/errors');
const { hooksFor, kEmpty, validateBuffer, warnExperimental } = require('internal/vm_hooks');

define('ERR_INVALID_THIS', TypeError, (type) => `Value of "this" must be of type ${type}`);
define('ERR_VM_MODULE_ALREADY_LINKED', Error, 'Module has already been linked');
define('ERR_VM_MODULE_CACHED_DATA_REJECTED', Error, 'cachedData buffer was rejected');
define('ERR_VM_MODULE_CANNOT_CREATE_CACHED_DATA', Error,
       'Cached data cannot be created for a module which has been evaluated');
define('ERR_VM_MODULE_DIFFERENT_CONTEXT', Error, 'Linked modules must use the same context');
define('ERR_VM_MODULE_LINK_FAILURE', Error, (message) => message);
define('ERR_MODULE_LINK_MISMATCH', TypeError, (message) => message);
define('ERR_VM_MODULE_STATUS', Error, (message) => `Module status ${message}`);

const statusNames = ['unlinked', 'linking', 'linked', 'evaluating', 'evaluated', 'errored'];
const kInspect = Symbol.for('nodejs.util.inspect.custom');
const nothing = Symbol('no error');

const status = (module) => statusNames[binding.moduleStatus(module)];

// What reaches into the classes' private fields.
let isModule;
let isSource;
let linkAll;
let initializeImportMeta;
let evaluateSynthetic;

class Module {
  #context;
  #identifier;

  static {
    isModule = (object) => typeof object === 'object' && object !== null && #context in object;
  }

  constructor(options) {
    warnExperimental('VM Modules');
    if (new.target === Module) throw new TypeError('Module is not a constructor');
    const { context, make } = options;
    if (context !== undefined) {
      validateObject(context, 'context');
      if (!binding.isContext(context)) {
        throw nodeError('ERR_INVALID_ARG_TYPE', 'options.context', 'vm.Context', context);
      }
    }
    const { identifier } = options;
    if (identifier !== undefined) validateString(identifier, 'options.identifier');
    this.#context = context;
    make(this, context, identifier);
    this.#identifier = identifier ?? binding.moduleIdentifier(this);
  }

  get identifier() {
    check(this);
    return this.#identifier;
  }

  get url() {
    return this.identifier;
  }

  get context() {
    check(this);
    return this.#context;
  }

  get namespace() {
    check(this);
    if (binding.moduleStatus(this) < statusNames.indexOf('linked')) {
      throw nodeError('ERR_VM_MODULE_STATUS', 'must not be unlinked or linking');
    }
    return binding.moduleNamespace(this);
  }

  get status() {
    check(this);
    return status(this);
  }

  get linkingStatus() {
    check(this);
    return 'linked';
  }

  get error() {
    check(this);
    if (status(this) !== 'errored') throw nodeError('ERR_VM_MODULE_STATUS', 'must be errored');
    const error = binding.moduleError(this);
    if (error.has) return error.value;
    // It was ended: the library remembers why, but there is no exception.
    if (!ended.has(this)) ended.set(this, codedError(Error, error.code, error.message));
    return ended.get(this);
  }

  async link(linker) {
    check(this);
    validateFunction(linker, 'linker');
    const now = this.status;
    if (now === 'linked') throw nodeError('ERR_VM_MODULE_ALREADY_LINKED');
    if (now !== 'unlinked') throw nodeError('ERR_VM_MODULE_STATUS', 'must be unlinked');
    await linkAll(this, linker);
    binding.instantiateModule(this);
  }

  evaluate(options = kEmpty) {
    try {
      check(this);
      validateObject(options, 'options');
      let { timeout } = options;
      if (timeout === undefined) timeout = 0;
      else validateUint32(timeout, 'options.timeout', true);
      const { breakOnSigint = false } = options;
      validateBoolean(breakOnSigint, 'options.breakOnSigint');
      const now = status(this);
      if (now === 'errored') return Promise.reject(this.error);
      if (now !== 'linked' && now !== 'evaluated') {
        throw nodeError('ERR_VM_MODULE_STATUS', 'must be one of linked, evaluated, or errored');
      }
      return evaluate(this, timeout, breakOnSigint);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  [kInspect](depth, options) {
    check(this);
    if (typeof depth === 'number' && depth < 0) return this;
    const shown = { status: this.status, identifier: this.identifier, context: this.context };
    Object.setPrototypeOf(shown, Object.getPrototypeOf(this));
    return require('util').inspect(shown, { ...options, customInspect: false });
  }
}

// Why modules that a deadline ended are errored.
const ended = new WeakMap();

function check(module, type = 'Module') {
  if (!isModule(module)) throw nodeError('ERR_INVALID_THIS', type);
}

function checkSource(module) {
  if (!isSource(module)) throw nodeError('ERR_INVALID_THIS', 'SourceTextModule');
}

function evaluate(module, timeout, breakOnSigint) {
  let pending;
  try {
    pending = binding.evaluateModule(module, timeout, breakOnSigint);
  } catch (error) {
    if (status(module) === 'errored' && !binding.moduleError(module).has) ended.set(module, error);
    throw error;
  }
  if (pending === undefined) return Promise.resolve();
  return new Promise((resolve, reject) => binding.promiseThen(pending, () => resolve(), reject));
}

class SourceTextModule extends Module {
  #error = nothing; // of linking
  #isLinking = false;
  #linked; // what answers the requests: kept until all are evaluated, whoever else has forgotten them
  #initializeImportMeta;
  #requests;
  #seal;
  #specifiers;

  static {
    isSource = (object) => typeof object === 'object' && object !== null && #requests in object;

    // Asks the linker for all that a module requests, and for what that requests.
    linkAll = async (module, linker) => {
      if (!isSource(module)) return;
      module.#isLinking = true;
      const answers = [];
      try {
        const answered = async (specifier, promise) => {
          const answer = await promise;
          if (!isModule(answer)) throw nodeError('ERR_VM_MODULE_NOT_MODULE');
          if (answer.context !== module.context) throw nodeError('ERR_VM_MODULE_DIFFERENT_CONTEXT');
          if (answer.status === 'errored') {
            throw linkFailure(`request for '${specifier}' resolved to an errored module`, answer.error);
          }
          // Who shares it may have linked it meanwhile.
          if (answer.status === 'unlinked' && answer.linkingStatus === 'unlinked') await linkAll(answer, linker);
          return answer;
        };
        for (const { specifier, attributes } of module.#requests) {
          answers.push(answered(specifier, linker(specifier, module, { attributes, assert: attributes })));
        }
        const modules = await Promise.all(answers);
        binding.linkRequests(module, modules);
        module.#linked = modules;
      } catch (error) {
        Promise.allSettled(answers); // others may fail, too
        module.#error = error;
        throw error;
      } finally {
        module.#isLinking = false;
      }
    };

    initializeImportMeta = (module, meta) => {
      if (isSource(module)) module.#initializeImportMeta?.(meta, module);
    };
  }

  constructor(sourceText, options = kEmpty) {
    validateString(sourceText, 'sourceText');
    validateObject(options, 'options');
    const {
      lineOffset = 0,
      columnOffset = 0,
      initializeImportMeta,
      importModuleDynamically,
      context,
      identifier = options.url,
      cachedData,
    } = options;
    validateInt32(lineOffset, 'options.lineOffset');
    validateInt32(columnOffset, 'options.columnOffset');
    if (initializeImportMeta !== undefined) validateFunction(initializeImportMeta, 'options.initializeImportMeta');
    if (importModuleDynamically !== undefined) {
      validateFunction(importModuleDynamically, 'options.importModuleDynamically');
    }
    if (cachedData !== undefined) validateBuffer(cachedData, 'options.cachedData');
    const hooks = hooksFor(importModuleDynamically, sourceText, '', cachedData) ??
      (initializeImportMeta && { callback: undefined, owner: undefined });
    let seal;
    super({
      context,
      identifier,
      make(module, context, identifier) {
        const result = { __proto__: null };
        seal = binding.compileModule(
          module, context, sourceText, identifier ?? '', lineOffset, columnOffset, cachedData, hooks, result);
        if (result.rejected) throw nodeError('ERR_VM_MODULE_CACHED_DATA_REJECTED');
      },
    });
    // The hooks keep the module as long as its code may ask.
    if (hooks !== undefined) hooks.owner = this;
    this.#initializeImportMeta = initializeImportMeta;
    this.#seal = seal;
    this.#requests = Object.freeze(binding.moduleRequests(this).map(Object.freeze));
  }

  get status() {
    if (isSource(this)) {
      if (this.#error !== nothing) return 'errored';
      if (this.#isLinking) return 'linking';
    }
    return super.status;
  }

  get linkingStatus() {
    checkSource(this);
    if (this.#error !== nothing) return 'errored';
    if (this.#isLinking) return 'linking';
    return this.#linked === undefined ? 'unlinked' : 'linked';
  }

  get error() {
    if (isSource(this) && this.#error !== nothing) return this.#error;
    return super.error;
  }

  linkRequests(modules) {
    checkSource(this);
    if (this.status !== 'unlinked') throw nodeError('ERR_VM_MODULE_STATUS', 'must be unlinked');
    validateArray(modules, 'modules');
    if (modules.length !== this.#requests.length) {
      throw nodeError('ERR_MODULE_LINK_MISMATCH', `Expected ${this.#requests.length} modules, got ${modules.length}`);
    }
    for (const module of modules) {
      if (!isModule(module)) throw nodeError('ERR_VM_MODULE_NOT_MODULE');
      if (module.context !== this.context) throw nodeError('ERR_VM_MODULE_DIFFERENT_CONTEXT');
    }
    binding.linkRequests(this, modules);
    this.#linked = [...modules];
  }

  instantiate() {
    checkSource(this);
    const now = this.status;
    if (now === 'linked' || now === 'evaluating' || now === 'evaluated') return;
    if (now !== 'unlinked') throw nodeError('ERR_VM_MODULE_STATUS', 'must be unlinked');
    binding.instantiateModule(this);
  }

  get dependencySpecifiers() {
    checkSource(this);
    this.#specifiers ??= Object.freeze(this.#requests.map(({ specifier }) => specifier));
    return this.#specifiers;
  }

  get moduleRequests() {
    checkSource(this);
    return this.#requests;
  }

  hasAsyncGraph() {
    checkSource(this);
    if (binding.moduleStatus(this) < statusNames.indexOf('linked')) {
      throw nodeError('ERR_VM_MODULE_STATUS', 'must be instantiated');
    }
    return binding.moduleHasAsyncGraph(this);
  }

  hasTopLevelAwait() {
    checkSource(this);
    return binding.moduleHasTopLevelAwait(this);
  }

  createCachedData() {
    checkSource(this);
    if (['evaluating', 'evaluated', 'errored'].includes(this.status)) {
      throw nodeError('ERR_VM_MODULE_CANNOT_CREATE_CACHED_DATA');
    }
    const bytes = binding.moduleCachedData(this, this.#seal);
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }
}

function linkFailure(message, cause) {
  const error = nodeError('ERR_VM_MODULE_LINK_FAILURE', message);
  error.cause = cause;
  return error;
}

class SyntheticModule extends Module {
  #evaluate;

  static {
    evaluateSynthetic = (module) => Reflect.apply(module.#evaluate, module, []);
  }

  constructor(exportNames, evaluateCallback, options = kEmpty) {
    if (!Array.isArray(exportNames) || exportNames.some((name) => typeof name !== 'string')) {
      throw nodeError('ERR_INVALID_ARG_TYPE', 'exportNames', 'Array of unique strings', exportNames);
    }
    exportNames.forEach((name, i) => {
      if (exportNames.indexOf(name, i + 1) !== -1) {
        throw nodeError('ERR_INVALID_ARG_VALUE', `exportNames.${name}`, name, 'is duplicated');
      }
    });
    validateFunction(evaluateCallback, 'evaluateCallback');
    validateObject(options, 'options');
    const { context, identifier } = options;
    super({
      context,
      identifier,
      make(module, context, identifier) {
        binding.makeSyntheticModule(module, context, [...exportNames], identifier ?? '');
      },
    });
    this.#evaluate = evaluateCallback;
  }

  async link() {
    check(this, 'SyntheticModule');
  }

  setExport(name, value) {
    check(this, 'SyntheticModule');
    validateString(name, 'name');
    binding.setExport(this, name, value);
  }
}

module.exports = { Module, SourceTextModule, SyntheticModule, evaluateSynthetic, initializeImportMeta, isModule };
