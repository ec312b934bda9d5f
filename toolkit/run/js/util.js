// SPDX-License-Identifier: MIT
//
// util. Values are formatted by the shim's inspector, which writes as Node does; it knows no options, so that those
// given to inspect() are ignored, but custom inspect functions are called for the value itself.
'use strict';

const binding = internalBinding('util');
const { codedError, define, nodeError, validateFunction, validateObject } = require('internal/errors');

define('ERR_FALSY_VALUE_REJECTION', Error, () => 'Promise was rejected with falsy value');

const custom = Symbol.for('nodejs.util.inspect.custom');

function inspect(value, options) {
  if (typeof value === 'object' && value !== null && options?.customInspect !== false) {
    const own = value[custom];
    if (typeof own === 'function' && own !== inspect) {
      const shown = Reflect.apply(own, value, [options?.depth ?? 2, { ...inspect.defaultOptions, ...options }, inspect]);
      return typeof shown === 'string' ? shown : inspect(shown, { ...options, customInspect: false });
    }
  }
  if (typeof value === 'string') return quote(value);
  return binding.inspect(value);
}

// As inspect() of a string; the console's formatter would print it as it is.
function quote(text) {
  const quoted = binding.inspect([text]);
  return quoted.includes('\n') ? quoted.slice(1, -1).trim() : quoted.slice(2, -2);
}

inspect.custom = custom;
inspect.defaultOptions = {
  showHidden: false, depth: 2, colors: false, customInspect: true, showProxy: false, maxArrayLength: 100,
  maxStringLength: 10000, breakLength: 128, compact: 3, sorted: false, getters: false, numericSeparator: false,
};
inspect.colors = Object.create(null);
inspect.styles = Object.create(null);

const isShown = (value) => typeof value === 'object' && value !== null && typeof value[custom] === 'function';

// What has a custom inspect function becomes the text it gives; the formatter prints texts as they are.
function shown(args) {
  if (!args.some(isShown)) return args;
  const texts = args.map((arg) => (isShown(arg) ? inspect(arg) : arg));
  return typeof args[0] === 'string' ? texts : ['%s', ...texts];
}

function format(...args) {
  return args.length === 0 ? '' : binding.inspect(...shown(args));
}

// The console knows nothing of them, unless this module was loaded.
for (const method of ['log', 'info', 'debug', 'error', 'warn', 'trace']) {
  const native = console[method];
  console[method] = { [method]: (...args) => native(...shown(args)) }[method];
}

function formatWithOptions(options, ...args) {
  validateObject(options, 'inspectOptions');
  return format(...args);
}

// ---- functions ------------------------------------------------------------------------------------

const customPromisify = Symbol.for('nodejs.util.promisify.custom');

function promisify(original) {
  validateFunction(original, 'original');
  const own = original[customPromisify];
  if (own) {
    validateFunction(own, 'util.promisify.custom');
    return Object.defineProperty(own, customPromisify, { value: own, configurable: true });
  }
  function promised(...args) {
    return new Promise((resolve, reject) => {
      Reflect.apply(original, this, [...args, (error, value) => (error ? reject(error) : resolve(value))]);
    });
  }
  Object.setPrototypeOf(promised, Object.getPrototypeOf(original));
  Object.defineProperties(promised, Object.getOwnPropertyDescriptors(original));
  return Object.defineProperty(promised, customPromisify, { value: promised, configurable: true });
}
promisify.custom = customPromisify;

function callbackify(original) {
  validateFunction(original, 'original');
  const { nextTick } = require('internal/bootstrap');
  return function callbackified(...args) {
    const callback = args.pop();
    validateFunction(callback, 'last argument');
    Reflect.apply(original, this, args).then(
      (value) => nextTick(callback, null, value),
      (reason) => {
        const error = reason || Object.assign(nodeError('ERR_FALSY_VALUE_REJECTION'), { reason });
        nextTick(callback, error);
      });
  };
}

function inherits(constructor, parent) {
  validateFunction(constructor, 'ctor');
  validateFunction(parent, 'superCtor');
  Object.defineProperty(constructor, 'super_', { value: parent, writable: true, configurable: true });
  Object.setPrototypeOf(constructor.prototype, parent.prototype);
}

function deprecate(callee, message, code) {
  let told = false;
  function deprecated(...args) {
    if (!told) {
      told = true;
      process.emitWarning(message, 'DeprecationWarning', code);
    }
    return new.target ? Reflect.construct(callee, args, new.target) : Reflect.apply(callee, this, args);
  }
  Object.setPrototypeOf(deprecated, callee);
  if (callee.prototype) deprecated.prototype = callee.prototype;
  return deprecated;
}

function debuglog() {
  const log = () => {};
  log.enabled = false;
  return log;
}

function getSystemErrorName() {
  throw codedError(Error, 'ERR_METHOD_NOT_IMPLEMENTED', 'The getSystemErrorName method is not implemented');
}

module.exports = {
  TextDecoder, TextEncoder, callbackify, debug: debuglog, debuglog, deprecate, format, formatWithOptions,
  getSystemErrorName, inherits, inspect, promisify,
  isArray: Array.isArray,
  isDeepStrictEqual: (a, b) => require('npm/assert/build/internal/util/comparisons').isDeepStrictEqual(a, b),
  stripVTControlCharacters: (text) => text.replace(/\u001B\[[0-9;]*[A-Za-z]/g, ''),
  toUSVString: (text) => `${text}`.replace(/[\uD800-\uDBFF](?![\uDC00-\uDFFF])|(?<![\uD800-\uDBFF])[\uDC00-\uDFFF]/g, '\uFFFD'),
  types: require('util/types'),
};
