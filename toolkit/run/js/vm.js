// SPDX-License-Identifier: MIT
//
// node:vm, on the C API of the shim. Where Node's documents and Node differ, or Node's versions do, this follows the
// newest Node, but:
//   D08  produceCachedData does nothing beside cachedData, as the documents say.
//   D24  a parameter of compileFunction() that is no identifier is a SyntaxError (Node aborts).
//   D14  as in Node, import() gives the namespace of what the callback answered, and does not evaluate it.
//   D23  cached data is sealed with a digest of kind, source and parameters (bind_vm_seal.c): other code rejects it.
//   P14  evaluate() answers a promise of the main context, whatever the module's context is (internal/vm_module).
//   N10  USE_MAIN_CONTEXT_DEFAULT_LOADER asks the loader of `kiln run`.
'use strict';

const binding = internalBinding('vm');
const { Buffer } = require('buffer');
const {
  nodeError, validateArray, validateBoolean, validateInt32, validateObject, validateOneOf, validateString,
  validateUint32,
} = require('internal/errors');
const {
  hooksFor, isModulesEnabled, kDefaultLoader, kEmpty, validateBuffer, warnExperimental,
} = require('internal/vm_hooks');

const DONT_CONTEXTIFY = Symbol('vm_context_no_contextify');

const kParsingContext = Symbol('script parsing context');

function asBuffer(bytes) {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

// ---- contexts -----------------------------------------------------------------------------------

function isContext(object) {
  validateObject(object, 'object', { allowArray: true });
  return binding.isContext(object);
}

function validateContext(object) {
  if (!isContext(object)) throw nodeError('ERR_INVALID_ARG_TYPE', 'contextifiedObject', 'vm.Context', object);
}

let contextsNamed = 0;

function createContext(contextObject = {}, options = kEmpty) {
  if (contextObject !== DONT_CONTEXTIFY && isContext(contextObject)) return contextObject;
  validateObject(options, 'options');
  const {
    name = `VM Context ${++contextsNamed}`,
    origin,
    codeGeneration,
    microtaskMode,
    importModuleDynamically,
  } = options;
  validateString(name, 'options.name');
  if (origin !== undefined) validateString(origin, 'options.origin');
  if (codeGeneration !== undefined) validateObject(codeGeneration, 'options.codeGeneration');
  const { strings = true, wasm = true } = codeGeneration ?? kEmpty;
  validateBoolean(strings, 'options.codeGeneration.strings');
  validateBoolean(wasm, 'options.codeGeneration.wasm');
  validateOneOf(microtaskMode, 'options.microtaskMode', ['afterEvaluate', undefined]);
  const hooks = hooksFor(importModuleDynamically);
  const context = binding.makeContext(
    contextObject === DONT_CONTEXTIFY ? undefined : contextObject, name, origin ?? '', strings, wasm,
    microtaskMode === 'afterEvaluate', hooks);
  if (hooks !== undefined) hooks.owner = context;
  return context;
}

// The options of runInNewContext() that are about the context.
function contextOptions(options) {
  if (!options) return kEmpty;
  const { contextName: name, contextOrigin: origin, contextCodeGeneration, microtaskMode } = options;
  let codeGeneration;
  if (name !== undefined) validateString(name, 'options.contextName');
  if (origin !== undefined) validateString(origin, 'options.contextOrigin');
  if (contextCodeGeneration !== undefined) {
    validateObject(contextCodeGeneration, 'options.contextCodeGeneration');
    const { strings, wasm } = contextCodeGeneration;
    if (strings !== undefined) validateBoolean(strings, 'options.contextCodeGeneration.strings');
    if (wasm !== undefined) validateBoolean(wasm, 'options.contextCodeGeneration.wasm');
    codeGeneration = { strings, wasm };
  }
  if (microtaskMode !== undefined) validateString(microtaskMode, 'options.microtaskMode');
  return { name, origin, codeGeneration, microtaskMode };
}

// ---- scripts ------------------------------------------------------------------------------------

// The program's SIGINT listeners, which are set aside: put them back in this order.
function takeSigintListeners() {
  const process = require('process');
  const listeners = process.rawListeners('SIGINT');
  if (listeners.length > 0) process.removeAllListeners('SIGINT');
  return listeners;
}

function runOptions(options = kEmpty) {
  validateObject(options, 'options');
  const { timeout } = options;
  if (timeout !== undefined) validateUint32(timeout, 'options.timeout', true);
  const { displayErrors = true, breakOnSigint = false } = options;
  validateBoolean(displayErrors, 'options.displayErrors');
  validateBoolean(breakOnSigint, 'options.breakOnSigint');
  return { timeout: timeout ?? 0, displayErrors, breakOnSigint };
}

class Script {
  #filename;
  #lineOffset;
  #columnOffset;
  #seal;

  constructor(code, options = kEmpty) {
    code = `${code}`;
    if (typeof options === 'string') options = { filename: options };
    else validateObject(options, 'options');
    const {
      filename = 'evalmachine.<anonymous>',
      lineOffset = 0,
      columnOffset = 0,
      cachedData,
      produceCachedData = false,
      importModuleDynamically,
    } = options;
    validateString(filename, 'options.filename');
    validateInt32(lineOffset, 'options.lineOffset');
    validateInt32(columnOffset, 'options.columnOffset');
    if (cachedData !== undefined) validateBuffer(cachedData, 'options.cachedData');
    validateBoolean(produceCachedData, 'options.produceCachedData');
    const hooks = hooksFor(importModuleDynamically, code, filename, cachedData);

    const result = { __proto__: null };
    this.#seal = binding.compileScript(
      this, code, filename, lineOffset, columnOffset, cachedData, hooks, cachedData && result,
      options[kParsingContext]);
    if (hooks !== undefined) hooks.owner = this;
    this.#filename = filename;
    this.#lineOffset = lineOffset;
    this.#columnOffset = columnOffset;
    if (cachedData !== undefined) {
      this.cachedDataRejected = result.rejected;
    } else if (produceCachedData) {
      try {
        this.cachedData = this.createCachedData();
        this.cachedDataProduced = true;
      } catch {
        this.cachedDataProduced = false;
      }
    }
    this.sourceMapURL = binding.scriptSourceMapURL(this);
  }

  runInThisContext(options) {
    brand(#filename in this);
    const { timeout, displayErrors, breakOnSigint } = runOptions(options);
    if (breakOnSigint) return this.#runInterruptibly(null, timeout, displayErrors);
    return binding.runScript(
      this, null, timeout, displayErrors, false, this.#filename, this.#lineOffset, this.#columnOffset);
  }

  runInContext(contextifiedObject, options) {
    brand(#filename in this);
    validateContext(contextifiedObject);
    const { timeout, displayErrors, breakOnSigint } = runOptions(options);
    if (breakOnSigint) return this.#runInterruptibly(contextifiedObject, timeout, displayErrors);
    return binding.runScript(
      this, contextifiedObject, timeout, displayErrors, false, this.#filename, this.#lineOffset, this.#columnOffset);
  }

  #runInterruptibly(context, timeout, displayErrors) {
    const listeners = takeSigintListeners();
    try {
      return binding.runScript(
        this, context, timeout, displayErrors, true, this.#filename, this.#lineOffset, this.#columnOffset);
    } finally {
      for (const listener of listeners) require('process').addListener('SIGINT', listener);
    }
  }

  runInNewContext(contextObject, options) {
    return this.runInContext(createContext(contextObject, contextOptions(options)), options);
  }

  createCachedData() {
    brand(#seal in this);
    return asBuffer(binding.scriptCachedData(this, this.#seal));
  }
}

function brand(fits) {
  if (!fits) throw new TypeError('Illegal invocation');
}

function createScript(code, options) {
  return new Script(code, options);
}

function runInContext(code, contextifiedObject, options) {
  validateContext(contextifiedObject);
  if (typeof options === 'string') options = { filename: options };
  options = { ...options, [kParsingContext]: contextifiedObject };
  return new Script(code, options).runInContext(contextifiedObject, options);
}

function runInNewContext(code, contextObject, options) {
  if (typeof options === 'string') options = { filename: options };
  return runInContext(code, createContext(contextObject, contextOptions(options)), options);
}

function runInThisContext(code, options) {
  if (typeof options === 'string') options = { filename: options };
  return new Script(code, options).runInThisContext(options);
}

// ---- functions ----------------------------------------------------------------------------------

function compileFunction(code, params, options = kEmpty) {
  validateString(code, 'code');
  validateObject(options, 'options');
  if (params !== undefined) {
    validateArray(params, 'params');
    params.forEach((param, i) => validateString(param, `params[${i}]`));
  }
  const {
    filename = '',
    columnOffset = 0,
    lineOffset = 0,
    cachedData,
    produceCachedData = false,
    parsingContext,
    contextExtensions = [],
    importModuleDynamically,
  } = options;
  validateString(filename, 'options.filename');
  validateInt32(columnOffset, 'options.columnOffset');
  validateInt32(lineOffset, 'options.lineOffset');
  if (cachedData !== undefined) validateBuffer(cachedData, 'options.cachedData');
  validateBoolean(produceCachedData, 'options.produceCachedData');
  if (parsingContext !== undefined &&
      (typeof parsingContext !== 'object' || parsingContext === null || !isContext(parsingContext))) {
    throw nodeError('ERR_INVALID_ARG_TYPE', 'options.parsingContext', 'Context', parsingContext);
  }
  validateArray(contextExtensions, 'options.contextExtensions');
  contextExtensions.forEach((extension, i) => validateObject(extension, `options.contextExtensions[${i}]`));
  const hooks = hooksFor(importModuleDynamically, code, filename, cachedData);

  const result = { __proto__: null };
  const data = binding.compileFunction(
    result, code, filename, lineOffset, columnOffset, cachedData, hooks, produceCachedData && cachedData === undefined,
    parsingContext, contextExtensions, params ?? []);
  const made = result.function;
  if (hooks !== undefined) hooks.owner = made;
  if (produceCachedData && cachedData === undefined) {
    made.cachedDataProduced = data !== undefined;
    if (data !== undefined) made.cachedData = asBuffer(data);
  }
  if (cachedData !== undefined) made.cachedDataRejected = result.rejected;
  return made;
}

// ---- memory -------------------------------------------------------------------------------------

// Numbers come in threes: the estimate, and the range's two ends.
function estimate(numbers, at) {
  return { jsMemoryEstimate: numbers[at], jsMemoryRange: [numbers[at + 1], numbers[at + 2]] };
}

function measureMemory(options = kEmpty) {
  warnExperimental('vm.measureMemory');
  validateObject(options, 'options');
  const { mode = 'summary', execution = 'default' } = options;
  validateOneOf(mode, 'options.mode', ['summary', 'detailed']);
  validateOneOf(execution, 'options.execution', ['default', 'eager']);
  return new Promise((resolve, reject) => {
    binding.measureMemory(mode === 'detailed', execution === 'eager', (numbers, wasm) => {
      if (numbers === undefined) {
        reject(nodeError('ERR_CONTEXT_NOT_INITIALIZED'));
        return;
      }
      const result = { total: estimate(numbers, 0) };
      if (mode === 'detailed') {
        result.current = estimate(numbers, 3);
        result.other = [];
        for (let at = 6; at < numbers.length; at += 3) result.other.push(estimate(numbers, at));
      }
      if (wasm !== undefined) result.WebAssembly = { code: wasm[0], metadata: wasm[1] };
      resolve(result);
    });
  });
}

const constants = Object.freeze({
  __proto__: null,
  USE_MAIN_CONTEXT_DEFAULT_LOADER: kDefaultLoader,
  DONT_CONTEXTIFY,
  measureMemory: Object.freeze({
    __proto__: null,
    mode: Object.freeze({ __proto__: null, SUMMARY: 0, DETAILED: 1 }),
    execution: Object.freeze({ __proto__: null, DEFAULT: 0, EAGER: 1 }),
  }),
});

module.exports = {
  Script,
  createContext,
  createScript,
  runInContext,
  runInNewContext,
  runInThisContext,
  isContext,
  compileFunction,
  measureMemory,
  constants,
};

// As in Node, the classes of modules exist only if they are asked for (G08).
if (isModulesEnabled) {
  const { Module, SourceTextModule, SyntheticModule } = require('internal/vm_module');
  Object.assign(module.exports, { Module, SourceTextModule, SyntheticModule });
}
