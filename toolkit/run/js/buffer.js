// SPDX-License-Identifier: MIT
//
// buffer: npm's, with UTF-8 by V8.
'use strict';

const npm = require('npm/buffer/index');
const text = internalBinding('text');
require('util'); // for the console to show a Buffer as one

const { Buffer } = npm;
const { from, prototype: { toString } } = Buffer;
const isUtf8 = (encoding) => encoding === undefined || encoding === null || /^utf-?8$/i.test(encoding);

function view(bytes) {
  return Object.setPrototypeOf(bytes, Buffer.prototype);
}

Buffer.from = function(value, encodingOrOffset, length) {
  if (typeof value === 'string' && isUtf8(encodingOrOffset)) return view(text.encode(value));
  // npm's lookup of what a value is asks for its class in this context; one of a vm context is as good.
  if (internalBinding('util').is(value, internalBinding('util').classes.ARRAY_BUFFER)) {
    return view(new Uint8Array(value, encodingOrOffset, length));
  }
  return Reflect.apply(from, Buffer, [value, encodingOrOffset, length]);
};

Buffer.prototype.toString = function(encoding, start = 0, end = this.length) {
  if (!isUtf8(encoding)) return Reflect.apply(toString, this, [encoding, start, end]);
  const clamp = (n) => Math.min(Math.max(Math.trunc(n) || 0, 0), this.length);
  return text.decode(this, clamp(start), clamp(end), false);
};

Buffer.prototype.subarray = function(start, end) {
  return view(Reflect.apply(Uint8Array.prototype.subarray, this, [start, end]));
};
Buffer.prototype.slice = Buffer.prototype.subarray;

// As Node shows it.
Buffer.prototype[Symbol.for('nodejs.util.inspect.custom')] = function() {
  let shown = '';
  for (let i = 0; i < Math.min(this.length, 50); i++) shown += ` ${this[i].toString(16).padStart(2, '0')}`;
  const more = this.length - 50;
  if (more > 0) shown += ` ... ${more} more byte${more > 1 ? 's' : ''}`;
  return `<Buffer${shown}>`;
};

function latin1(value) {
  const characters = `${value}`;
  for (let i = 0; i < characters.length; i++) {
    if (characters.charCodeAt(i) > 255) {
      const error = new Error('Invalid character');
      error.name = 'InvalidCharacterError';
      error.code = 5;
      throw error;
    }
  }
  return characters;
}

module.exports = {
  Buffer,
  SlowBuffer: npm.SlowBuffer,
  INSPECT_MAX_BYTES: 50,
  kMaxLength: npm.kMaxLength,
  constants: { MAX_LENGTH: npm.kMaxLength, MAX_STRING_LENGTH: 536870888 },
  atob: (value) => Buffer.from(latin1(value), 'base64').toString('latin1'),
  btoa: (value) => Buffer.from(latin1(value), 'latin1').toString('base64'),
};
