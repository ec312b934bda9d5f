// SPDX-License-Identifier: MIT
//
// Errors with Node's codes and words, and the checks of arguments that throw them.
'use strict';

let inspect;
const show = (value) => (inspect ??= require('util').inspect)(value);

// name -> [class, message or function that makes it]
const messages = {
  ERR_INVALID_ARG_TYPE: [TypeError, (name, expected, actual) =>
    `The ${what(name)} must be ${oneOf(expected)}.${received(actual)}`],
  ERR_INVALID_ARG_VALUE: [TypeError, (name, value, reason = 'is invalid') => {
    let shown = show(value);
    if (shown.length > 128) shown = `${shown.slice(0, 128)}...`;
    return `The ${name.includes('.') ? 'property' : 'argument'} '${name}' ${reason}. Received ${shown}`;
  }],
  ERR_OUT_OF_RANGE: [RangeError, (name, range, value) =>
    `The value of "${name}" is out of range. It must be ${range}. Received ${
      Number.isInteger(value) && Math.abs(value) > 2 ** 32 ? withUnderscores(String(value)) : show(value)}`],
  ERR_METHOD_NOT_IMPLEMENTED: [Error, (name) => `The ${name} method is not implemented`],
  ERR_MISSING_ARGS: [TypeError, (...names) => `The "${names.join('" and "')}" argument${
    names.length > 1 ? 's' : ''} must be specified`],
  ERR_UNKNOWN_BUILTIN_MODULE: [Error, (name) => `No such built-in module: ${name}`],
  ERR_UNKNOWN_SIGNAL: [TypeError, (name) => `Unknown signal: ${name}`],
  ERR_UNHANDLED_REJECTION: [Error, (reason) =>
    'This error originated either by throwing inside of an async function without a catch block, or by ' +
    'rejecting a promise which was not handled with .catch(). The promise rejected with the reason ' +
    `"${reason}".`],
  ERR_UNHANDLED_ERROR: [Error, (value) => `Unhandled error. (${value})`],
};

const classTypes = /^[A-Z][A-Za-z0-9]*$/;
const primitives = ['string', 'function', 'number', 'object', 'Function', 'Object', 'boolean', 'bigint', 'symbol'];

function what(name) {
  if (name.endsWith(' argument')) return name;
  return `"${name}" ${name.includes('.') ? 'property' : 'argument'}`;
}

function list(words) {
  if (words.length < 3) return words.join(' or ');
  return `${words.slice(0, -1).join(', ')}, or ${words[words.length - 1]}`;
}

function oneOf(expected) {
  const types = [], instances = [], others = [];
  for (const word of [expected].flat()) {
    if (primitives.includes(word)) types.push(word.toLowerCase());
    else if (classTypes.test(word)) instances.push(word);
    else others.push(word);
  }
  // "object" beside classes is one of them.
  if (instances.length > 0 && types.includes('object')) {
    types.splice(types.indexOf('object'), 1);
    instances.push('Object');
  }
  const parts = [];
  if (types.length > 0) parts.push(`${types.length > 1 ? 'one of type' : 'of type'} ${list(types)}`);
  if (instances.length > 0) parts.push(`an instance of ${list(instances)}`);
  if (others.length > 0) {
    parts.push(others.length > 1 ? `one of ${list(others)}` : `${others[0].toLowerCase() === others[0] ? '' : 'an '}${others[0]}`);
  }
  return list(parts);
}

function received(actual) {
  if (actual == null) return ` Received ${actual}`;
  if (typeof actual === 'function') return ` Received function ${actual.name}`;
  if (typeof actual === 'object') {
    return actual.constructor?.name ? ` Received an instance of ${actual.constructor.name}` : ` Received ${show(actual)}`;
  }
  const shown = show(typeof actual === 'string' && actual.length > 28 ? `${actual.slice(0, 25)}...` : actual);
  return ` Received type ${typeof actual} (${shown})`;
}

function withUnderscores(digits) {
  const start = digits[0] === '-' ? 1 : 0;
  let text = '';
  let i = digits.length;
  for (; i >= start + 4; i -= 3) text = `_${digits.slice(i - 3, i)}${text}`;
  return digits.slice(0, i) + text;
}

// Makes any error with a code as Node makes its own: the stack begins with "Name [CODE]: message".
function codedError(Class, code, message, hide) {
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = 0;
  const error = new Class(message);
  Error.stackTraceLimit = limit;
  Object.defineProperty(error, 'name', {
    value: `${Class.name} [${code}]`, enumerable: false, writable: true, configurable: true });
  Error.captureStackTrace(error, hide ?? codedError);
  void error.stack; // formatted now, with the name as it is
  delete error.name;
  error.code = code;
  return error;
}

// nodeError('ERR_INVALID_ARG_TYPE', 'code', 'string', code)
function nodeError(code, ...args) {
  const [Class, message] = messages[code];
  return codedError(Class, code, typeof message === 'string' ? message : message(...args), nodeError);
}

// Lets a built-in module add its own codes: define('ERR_X', TypeError, (a) => `...`).
function define(code, Class, message) {
  messages[code] = [Class, message];
}

// ---- checks --------------------------------------------------------------------------------------

function fail(check, code, ...args) {
  const error = nodeError(code, ...args);
  Error.captureStackTrace(error, check);
  // captureStackTrace() forgot the code in the first line.
  const first = `${error.name}: ${error.message}`;
  if (error.stack.startsWith(first)) {
    error.stack = `${error.name} [${code}]: ${error.message}${error.stack.slice(first.length)}`;
  }
  throw error;
}

function validateString(value, name) {
  if (typeof value !== 'string') fail(validateString, 'ERR_INVALID_ARG_TYPE', name, 'string', value);
}

function validateBoolean(value, name) {
  if (typeof value !== 'boolean') fail(validateBoolean, 'ERR_INVALID_ARG_TYPE', name, 'boolean', value);
}

function validateFunction(value, name) {
  if (typeof value !== 'function') fail(validateFunction, 'ERR_INVALID_ARG_TYPE', name, 'Function', value);
}

function validateObject(value, name, { nullable = false, allowArray = false, allowFunction = false } = {}) {
  if ((!nullable && value === null) || (!allowArray && Array.isArray(value)) ||
      (typeof value !== 'object' && (!allowFunction || typeof value !== 'function'))) {
    fail(validateObject, 'ERR_INVALID_ARG_TYPE', name, 'Object', value);
  }
}

function validateArray(value, name, minLength = 0) {
  if (!Array.isArray(value)) fail(validateArray, 'ERR_INVALID_ARG_TYPE', name, 'Array', value);
  if (value.length < minLength) {
    fail(validateArray, 'ERR_INVALID_ARG_VALUE', name, value, `must be longer than ${minLength}`);
  }
}

function integer(check, value, name, min, max) {
  if (typeof value !== 'number') fail(check, 'ERR_INVALID_ARG_TYPE', name, 'number', value);
  if (!Number.isInteger(value)) fail(check, 'ERR_OUT_OF_RANGE', name, 'an integer', value);
  if (value < min || value > max) fail(check, 'ERR_OUT_OF_RANGE', name, `>= ${min} && <= ${max}`, value);
}

function validateInteger(value, name, min = Number.MIN_SAFE_INTEGER, max = Number.MAX_SAFE_INTEGER) {
  integer(validateInteger, value, name, min, max);
}

function validateInt32(value, name, min = -2147483648, max = 2147483647) {
  integer(validateInt32, value, name, min, max);
}

function validateUint32(value, name, positive = false) {
  integer(validateUint32, value, name, positive ? 1 : 0, 4294967295);
}

function validateNumber(value, name) {
  if (typeof value !== 'number') fail(validateNumber, 'ERR_INVALID_ARG_TYPE', name, 'number', value);
}

function validateOneOf(value, name, allowed) {
  if (allowed.includes(value)) return;
  const shown = allowed.map((one) => (typeof one === 'string' ? `'${one}'` : String(one))).join(', ');
  fail(validateOneOf, 'ERR_INVALID_ARG_VALUE', name, value, `must be one of: ${shown}`);
}

module.exports = {
  codedError, define, nodeError, validateArray, validateBoolean, validateFunction, validateInt32, validateInteger,
  validateNumber, validateObject, validateOneOf, validateString, validateUint32,
};
