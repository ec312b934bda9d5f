// SPDX-License-Identifier: MIT
//
// TextEncoder and TextDecoder (UTF-8, UTF-16LE, Latin-1).
'use strict';

const binding = internalBinding('text');
const { codedError, nodeError } = require('internal/errors');

class TextEncoder {
  get encoding() {
    return 'utf-8';
  }

  encode(input = '') {
    return binding.encode(`${input}`);
  }

  encodeInto(source, destination) {
    let read = 0, written = 0;
    for (const point of `${source}`) {
      const bytes = binding.encode(point);
      if (written + bytes.length > destination.length) break;
      destination.set(bytes, written);
      read += point.length;
      written += bytes.length;
    }
    return { read, written };
  }
}

const names = new Map([
  ['utf8', 'utf-8'], ['utf-8', 'utf-8'], ['unicode-1-1-utf-8', 'utf-8'],
  ['utf-16', 'utf-16le'], ['utf-16le', 'utf-16le'], ['ucs-2', 'utf-16le'],
  ['latin1', 'windows-1252'], ['iso-8859-1', 'windows-1252'], ['ascii', 'windows-1252'], ['us-ascii', 'windows-1252'],
  ['windows-1252', 'windows-1252'],
]);

function bytesOf(input) {
  if (input === undefined) return new Uint8Array();
  if (ArrayBuffer.isView(input)) return new Uint8Array(input.buffer, input.byteOffset, input.byteLength);
  const { is, classes } = internalBinding('util');
  if (is(input, classes.ARRAY_BUFFER) || is(input, classes.SHARED_ARRAY_BUFFER)) return new Uint8Array(input);
  throw nodeError('ERR_INVALID_ARG_TYPE', 'list', ['ArrayBuffer', 'ArrayBufferView'], input);
}

class TextDecoder {
  #encoding;
  #fatal;
  #ignoreBOM;
  #rest = new Uint8Array(); // of a sequence that goes on, with { stream: true }
  #begun = false;

  constructor(label = 'utf-8', options = {}) {
    this.#encoding = names.get(`${label}`.trim().toLowerCase());
    if (this.#encoding === undefined) {
      throw codedError(RangeError, 'ERR_ENCODING_NOT_SUPPORTED', `The "${label}" encoding is not supported`);
    }
    this.#fatal = Boolean(options?.fatal);
    this.#ignoreBOM = Boolean(options?.ignoreBOM);
  }

  get encoding() {
    return this.#encoding;
  }

  get fatal() {
    return this.#fatal;
  }

  get ignoreBOM() {
    return this.#ignoreBOM;
  }

  decode(input, { stream = false } = {}) {
    let bytes = bytesOf(input);
    if (this.#rest.length > 0) {
      const all = new Uint8Array(this.#rest.length + bytes.length);
      all.set(this.#rest);
      all.set(bytes, this.#rest.length);
      bytes = all;
      this.#rest = new Uint8Array();
    }
    if (stream) {
      const left = this.#encoding === 'utf-8' ? binding.incomplete(bytes)
        : this.#encoding === 'utf-16le' ? bytes.length % 2 : 0;
      this.#rest = bytes.slice(bytes.length - left);
      bytes = bytes.subarray(0, bytes.length - left);
    }
    let text = this.#text(bytes);
    if (!this.#begun && !this.#ignoreBOM && text.startsWith('\uFEFF')) text = text.slice(1);
    this.#begun = stream && (this.#begun || bytes.length > 0);
    return text;
  }

  #text(bytes) {
    let text;
    if (this.#encoding === 'utf-8') {
      text = binding.decode(bytes, 0, bytes.length, this.#fatal);
    } else if (this.#encoding === 'utf-16le') {
      const units = new Uint16Array(bytes.length >> 1);
      for (let i = 0; i < units.length; i++) units[i] = bytes[2 * i] | (bytes[2 * i + 1] << 8);
      text = '';
      for (let i = 0; i < units.length; i += 8192) text += String.fromCharCode(...units.subarray(i, i + 8192));
      if (bytes.length % 2 !== 0) text = this.#fatal ? undefined : `${text}\uFFFD`;
    } else {
      text = '';
      for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192));
    }
    if (text === undefined) {
      throw codedError(TypeError, 'ERR_ENCODING_INVALID_ENCODED_DATA',
        `The encoded data was not valid for encoding ${this.#encoding}`);
    }
    return text;
  }
}

module.exports = { TextDecoder, TextEncoder };
