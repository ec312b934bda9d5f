// SPDX-License-Identifier: MIT
'use strict';

const { classes, is } = internalBinding('util');

const types = {};
const names = {
  ARRAY_BUFFER: 'ArrayBuffer', SHARED_ARRAY_BUFFER: 'SharedArrayBuffer', DATA_VIEW: 'DataView', DATE: 'Date',
  REGEXP: 'RegExp', MAP: 'Map', SET: 'Set', WEAK_MAP: 'WeakMap', WEAK_SET: 'WeakSet', MAP_ITERATOR: 'MapIterator',
  SET_ITERATOR: 'SetIterator', PROMISE: 'Promise', PROXY: 'Proxy', ERROR: 'NativeError', ARGUMENTS: 'ArgumentsObject',
  ASYNC_FUNCTION: 'AsyncFunction', GENERATOR_FUNCTION: 'GeneratorFunction', GENERATOR: 'GeneratorObject',
  MODULE_NAMESPACE: 'ModuleNamespaceObject', BOOLEAN_OBJECT: 'BooleanObject', NUMBER_OBJECT: 'NumberObject',
  STRING_OBJECT: 'StringObject', SYMBOL_OBJECT: 'SymbolObject', BIGINT_OBJECT: 'BigIntObject', EXTERNAL: 'External',
  TYPED_ARRAY: 'TypedArray', UINT8_ARRAY: 'Uint8Array',
};
for (const key of Object.keys(names)) {
  const number = classes[key];
  types[`is${names[key]}`] = (value) => is(value, number);
}

const typedArrayName = Object.getOwnPropertyDescriptor(
  Object.getPrototypeOf(Uint8Array.prototype), Symbol.toStringTag).get;
for (const name of ['Uint8ClampedArray', 'Uint16Array', 'Uint32Array', 'Int8Array', 'Int16Array', 'Int32Array',
  'Float32Array', 'Float64Array', 'BigInt64Array', 'BigUint64Array']) {
  types[`is${name}`] = (value) => Reflect.apply(typedArrayName, value, []) === name;
}
types.isArrayBufferView = ArrayBuffer.isView;
types.isAnyArrayBuffer = (value) => types.isArrayBuffer(value) || types.isSharedArrayBuffer(value);
types.isBoxedPrimitive = (value) => types.isNumberObject(value) || types.isStringObject(value) ||
  types.isBooleanObject(value) || types.isBigIntObject(value) || types.isSymbolObject(value);
types.isKeyObject = () => false;
types.isCryptoKey = () => false;

module.exports = types;
