// SPDX-License-Identifier: MIT
//
// IncomingMessage: a request, read as a stream. There is no node:stream here; this has of Readable what a body needs
// that is there from the start: 'data' and 'end', 'readable' and read(), pause(), resume(), pipe(), async iteration.
'use strict';

const { Buffer } = require('buffer');
const EventEmitter = require('events');
const process = require('process');
const { codedError } = require('internal/errors');

const kReceive = Symbol('receive');
const kDone = Symbol('done');
const kBody = Symbol('body');
const kScheduled = Symbol('scheduled');
const kSchedule = Symbol('schedule');
const kFlow = Symbol('flow');
const kHeaders = Symbol('headers');
const kDistinct = Symbol('distinct headers');
const kEndScheduled = Symbol('end scheduled');

// Of these the first counts; of others all do.
const singles = new Set(('age authorization content-length content-type etag expires from host if-modified-since ' +
  'if-unmodified-since last-modified location max-forwards proxy-authorization referer retry-after server ' +
  'user-agent').split(' '));

function joinHeaders(raw) {
  const headers = {};
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i].toLowerCase();
    const value = raw[i + 1];
    const before = Object.hasOwn(headers, name) ? headers[name] : undefined;
    if (name === 'set-cookie') {
      if (before === undefined) headers[name] = [value];
      else before.push(value);
    } else if (before === undefined) {
      headers[name] = value;
    } else if (!singles.has(name)) {
      headers[name] = `${before}${name === 'cookie' ? '; ' : ', '}${value}`;
    }
  }
  return headers;
}

function distinctHeaders(raw) {
  const headers = Object.create(null);
  for (let i = 0; i < raw.length; i += 2) (headers[raw[i].toLowerCase()] ??= []).push(raw[i + 1]);
  return headers;
}

class IncomingMessage extends EventEmitter {
  constructor(socket) {
    super();
    this.socket = socket;
    this.httpVersion = null;
    this.httpVersionMajor = null;
    this.httpVersionMinor = null;
    this.complete = false;
    this.rawHeaders = [];
    this.rawTrailers = [];
    this.trailers = {};
    this.aborted = false;
    this.url = '';
    this.method = null;
    this.statusCode = null;
    this.statusMessage = null;
    this.destroyed = false;
    this.readable = true;
    this.readableEnded = false;
    this.readableFlowing = null;
    this.readableEncoding = null;
    this[kBody] = null; // a Buffer, with an encoding a string; null: nothing is left
    this[kScheduled] = false;
    this[kEndScheduled] = false;
  }

  [kReceive](method, url, version, rawHeaders, body) {
    this.method = method;
    this.url = url;
    this.httpVersion = version.slice('HTTP/'.length);
    [this.httpVersionMajor, this.httpVersionMinor] = this.httpVersion.split('.').map(Number);
    this.rawHeaders = rawHeaders;
    this.complete = true;
    if (body !== undefined) this[kBody] = Buffer.from(body);
  }

  // The exchange is over; `sent`: the answer has gone out. What was not read is dropped.
  [kDone](sent) {
    if (this.destroyed || this.readableEnded) return;
    if (sent) {
      this.removeAllListeners('data');
      this.resume();
    } else {
      this.aborted = true;
      this[kBody] = null;
      this.emit('aborted');
      this.#close();
    }
  }

  get connection() {
    return this.socket;
  }

  get headers() {
    return (this[kHeaders] ??= joinHeaders(this.rawHeaders));
  }

  set headers(headers) {
    this[kHeaders] = headers;
  }

  get headersDistinct() {
    return (this[kDistinct] ??= distinctHeaders(this.rawHeaders));
  }

  get trailersDistinct() {
    return Object.create(null);
  }

  // ---- the body as a stream

  on(event, listener) {
    super.on(event, listener);
    if (event === 'data') {
      if (this.readableFlowing !== false) this.resume();
    } else if (event === 'readable') {
      this.readableFlowing = false;
      this[kSchedule]();
    }
    return this;
  }

  addListener(event, listener) {
    return this.on(event, listener);
  }

  setEncoding(encoding = 'utf8') {
    if (!Buffer.isEncoding(encoding)) {
      throw codedError(TypeError, 'ERR_UNKNOWN_ENCODING', `Unknown encoding: ${encoding}`);
    }
    this.readableEncoding = encoding.toLowerCase();
    if (this[kBody] !== null && typeof this[kBody] !== 'string') {
      this[kBody] = this[kBody].toString(this.readableEncoding);
    }
    return this;
  }

  resume() {
    this.readableFlowing = true;
    this[kSchedule]();
    return this;
  }

  pause() {
    this.readableFlowing = false;
    return this;
  }

  isPaused() {
    return this.readableFlowing === false;
  }

  read(size) {
    const body = this[kBody];
    if (body === null || size === 0) {
      if (body === null) this.#end();
      return null;
    }
    if (size > 0 && size < body.length) {
      this[kBody] = body.slice(size);
      return body.slice(0, size);
    }
    this[kBody] = null;
    this[kSchedule]();
    return body;
  }

  [kSchedule]() {
    if (this[kScheduled]) return;
    this[kScheduled] = true;
    process.nextTick(() => {
      this[kScheduled] = false;
      if (!this.destroyed) this[kFlow]();
    });
  }

  [kFlow]() {
    if (this.readableFlowing) {
      const body = this[kBody];
      this[kBody] = null;
      if (body !== null) this.emit('data', body);
      if (this.readableFlowing) this.#end();
    } else if (this.listenerCount('readable') > 0 && !this.readableEnded) {
      this.emit('readable');
      if (this[kBody] === null) this.#end();
    }
  }

  #end() {
    if (this[kEndScheduled] || this.readableEnded || this[kBody] !== null) return;
    this[kEndScheduled] = true;
    process.nextTick(() => {
      if (this.readableEnded || this.destroyed) return;
      this.readableEnded = true;
      this.readable = false;
      this.emit('end');
      process.nextTick(() => this.#close());
    });
  }

  #close() {
    if (this.destroyed) return;
    this.destroyed = true;
    this.emit('close');
  }

  pipe(destination, { end = true } = {}) {
    this.on('data', (chunk) => destination.write(chunk));
    if (end && destination !== process.stdout && destination !== process.stderr) {
      this.once('end', () => destination.end());
    }
    destination.emit?.('pipe', this);
    return destination;
  }

  async *[Symbol.asyncIterator]() {
    if (this.aborted) throw codedError(Error, 'ECONNRESET', 'aborted');
    const body = this.read();
    if (body !== null) yield body;
    if (this.readableEnded || this.destroyed) return;
    await new Promise((resolve) => {
      this.once('end', resolve);
      this.once('close', resolve);
      this.#end();
    });
    if (this.aborted) throw codedError(Error, 'ECONNRESET', 'aborted');
  }

  // Ends the connection.
  destroy(error) {
    if (this.destroyed) return this;
    this.destroyed = true;
    this.readable = false;
    this[kBody] = null;
    this.socket?.destroy();
    process.nextTick(() => {
      if (error) this.emit('error', error);
      this.emit('close');
    });
    return this;
  }
}

module.exports = { IncomingMessage, kDone, kReceive };
