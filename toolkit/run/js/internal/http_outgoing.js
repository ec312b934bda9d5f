// SPDX-License-Identifier: MIT
//
// OutgoingMessage and ServerResponse: an answer. Its head goes to the binding with the first of the body, or with all
// of it if end() has it; then its length is known.
'use strict';

const binding = internalBinding('http');
const { Buffer } = require('buffer');
const EventEmitter = require('events');
const process = require('process');
const { codedError, nodeError, validateString } = require('internal/errors');

const STATUS_CODES = {
  100: 'Continue', 101: 'Switching Protocols', 102: 'Processing', 103: 'Early Hints',
  200: 'OK', 201: 'Created', 202: 'Accepted', 203: 'Non-Authoritative Information', 204: 'No Content',
  205: 'Reset Content', 206: 'Partial Content', 207: 'Multi-Status', 208: 'Already Reported', 226: 'IM Used',
  300: 'Multiple Choices', 301: 'Moved Permanently', 302: 'Found', 303: 'See Other', 304: 'Not Modified',
  305: 'Use Proxy', 307: 'Temporary Redirect', 308: 'Permanent Redirect',
  400: 'Bad Request', 401: 'Unauthorized', 402: 'Payment Required', 403: 'Forbidden', 404: 'Not Found',
  405: 'Method Not Allowed', 406: 'Not Acceptable', 407: 'Proxy Authentication Required', 408: 'Request Timeout',
  409: 'Conflict', 410: 'Gone', 411: 'Length Required', 412: 'Precondition Failed', 413: 'Payload Too Large',
  414: 'URI Too Long', 415: 'Unsupported Media Type', 416: 'Range Not Satisfiable', 417: 'Expectation Failed',
  418: 'I\'m a Teapot', 421: 'Misdirected Request', 422: 'Unprocessable Entity', 423: 'Locked',
  424: 'Failed Dependency', 425: 'Too Early', 426: 'Upgrade Required', 428: 'Precondition Required',
  429: 'Too Many Requests', 431: 'Request Header Fields Too Large', 451: 'Unavailable For Legal Reasons',
  500: 'Internal Server Error', 501: 'Not Implemented', 502: 'Bad Gateway', 503: 'Service Unavailable',
  504: 'Gateway Timeout', 505: 'HTTP Version Not Supported', 506: 'Variant Also Negotiates',
  507: 'Insufficient Storage', 508: 'Loop Detected', 509: 'Bandwidth Limit Exceeded', 510: 'Not Extended',
  511: 'Network Authentication Required',
};

const kHeaders = Symbol('headers'); // lower-case name -> [name, value]
const kHead = Symbol('head'); // writeHead() was called, or what it would do was done
const kSent = Symbol('sent'); // the binding has the head
const kNumber = Symbol('number'); // of the request; 0: it has ended
const kServer = Symbol('server');
const kOpen = Symbol('open');
const kDrained = Symbol('drained');
const kEnded = Symbol('ended');
const nop = () => {};

// ---- headers -------------------------------------------------------------------------------------

const token = /^[\^_`a-zA-Z\-0-9!#$%&'*+.|~]+$/;
const notText = /[^\t\x20-\x7e\x80-\xff]/;

function validateHeaderName(name, label) {
  if (typeof name === 'string' && token.test(name)) return;
  throw codedError(TypeError, 'ERR_INVALID_HTTP_TOKEN',
    `${label || 'Header name'} must be a valid HTTP token ["${name}"]`);
}

function validateHeaderValue(name, value) {
  if (value === undefined) {
    throw codedError(TypeError, 'ERR_HTTP_INVALID_HEADER_VALUE', `Invalid value "${value}" for header "${name}"`);
  }
  for (const one of Array.isArray(value) ? value : [value]) {
    if (notText.test(one)) {
      throw codedError(TypeError, 'ERR_INVALID_CHAR', `Invalid character in header content ["${name}"]`);
    }
  }
}

function headersSent(what) {
  return codedError(Error, 'ERR_HTTP_HEADERS_SENT', `Cannot ${what} headers after they are sent to the client`);
}

let dateNow = 0, dateText = '';
function dateHeader() {
  const now = Math.floor(Date.now() / 1000);
  if (now !== dateNow) {
    dateNow = now;
    dateText = new Date(now * 1000).toUTCString();
  }
  return dateText;
}

function toBytes(chunk, encoding) {
  if (typeof chunk === 'string') return Buffer.from(chunk, typeof encoding === 'string' ? encoding : 'utf8');
  if (chunk instanceof Uint8Array) return chunk;
  if (chunk === null) throw codedError(TypeError, 'ERR_STREAM_NULL_VALUES', 'May not write null values to stream');
  throw nodeError('ERR_INVALID_ARG_TYPE', 'chunk', ['string', 'Buffer', 'Uint8Array'], chunk);
}

class OutgoingMessage extends EventEmitter {
  constructor() {
    super();
    this[kHeaders] = new Map();
    this[kHead] = false;
    this.sendDate = true;
    this.finished = false;
    this.destroyed = false;
    this.writable = true;
    this.writableFinished = false;
    this.writableLength = 0;
    this.writableNeedDrain = false;
  }

  get headersSent() {
    return this[kHead];
  }

  get writableEnded() {
    return this.finished;
  }

  get writableHighWaterMark() {
    return binding.highWater;
  }

  setHeader(name, value) {
    if (this[kHead]) throw headersSent('set');
    validateHeaderName(name);
    validateHeaderValue(name, value);
    this[kHeaders].set(name.toLowerCase(), [name, value]);
    return this;
  }

  appendHeader(name, value) {
    const before = this.getHeader(String(name));
    return this.setHeader(name, before === undefined ? value : [before, value].flat());
  }

  getHeader(name) {
    validateString(name, 'name');
    return this[kHeaders].get(name.toLowerCase())?.[1];
  }

  hasHeader(name) {
    validateString(name, 'name');
    return this[kHeaders].has(name.toLowerCase());
  }

  removeHeader(name) {
    validateString(name, 'name');
    if (this[kHead]) throw headersSent('remove');
    this[kHeaders].delete(name.toLowerCase());
  }

  getHeaderNames() {
    return [...this[kHeaders].keys()];
  }

  getRawHeaderNames() {
    return [...this[kHeaders].values()].map(([name]) => name);
  }

  getHeaders() {
    const headers = Object.create(null);
    for (const [key, [, value]] of this[kHeaders]) headers[key] = value;
    return headers;
  }

  cork() {} // what is written in one turn of the loop goes out together anyway

  uncork() {}
}

class ServerResponse extends OutgoingMessage {
  constructor(request) {
    super();
    this.req = request;
    this.statusCode = 200;
    this.statusMessage = undefined;
    this.socket = request?.socket ?? null;
    this[kNumber] = 0;
    this[kSent] = false;
    this.shouldKeepAlive = true;
  }

  get connection() {
    return this.socket;
  }

  // ---- what the binding tells

  [kOpen](number, server) {
    const { httpVersionMajor: major, httpVersionMinor: minor, headers } = this.req;
    const wish = (headers.connection ?? '').toLowerCase();
    this[kNumber] = number;
    this[kServer] = server;
    this.shouldKeepAlive = major > 1 || minor >= 1 ? !/\bclose\b/.test(wish) : /\bkeep-alive\b/.test(wish);
  }

  [kDrained]() {
    this.writableLength = 0;
    if (!this.writableNeedDrain) return;
    this.writableNeedDrain = false;
    this.emit('drain');
  }

  [kEnded](sent) {
    this[kNumber] = 0;
    this.writable = false;
    if (sent && this.finished) {
      this.writableFinished = true;
      this.emit('finish');
    }
    process.nextTick(() => {
      this.destroyed = true;
      this.socket = null;
      this.emit('close');
    });
  }

  // ---- the head

  writeHead(statusCode, reason, headers) {
    if (this[kHead]) throw headersSent('write');
    const status = statusCode | 0;
    if (status < 100 || status > 999) {
      throw codedError(RangeError, 'ERR_HTTP_INVALID_STATUS_CODE', `Invalid status code: ${statusCode}`);
    }
    let message = reason;
    if (typeof reason !== 'string') {
      message = this.statusMessage || STATUS_CODES[status] || 'unknown';
      headers ??= reason;
    }
    if (notText.test(message)) {
      throw codedError(TypeError, 'ERR_INVALID_CHAR', 'Invalid character in statusMessage');
    }
    this.#mergeHeaders(headers);
    this.statusCode = status;
    this.statusMessage = message;
    this[kHead] = true;
    return this;
  }

  // { name: value }, [name, value, ...] or [[name, value], ...]; in arrays a name may stand more than once.
  #mergeHeaders(headers) {
    if (headers == null) return;
    if (!Array.isArray(headers)) {
      for (const name of Object.keys(headers)) this.setHeader(name, headers[name]);
      return;
    }
    const flat = headers.every(Array.isArray) ? headers.flatMap(([name, value]) => [name, value]) : headers;
    if (flat.length % 2 !== 0) throw nodeError('ERR_INVALID_ARG_VALUE', 'headers', headers);
    const seen = new Set();
    for (let i = 0; i < flat.length; i += 2) {
      const key = String(flat[i]).toLowerCase();
      if (seen.has(key)) this.appendHeader(flat[i], flat[i + 1]);
      else this.setHeader(flat[i], flat[i + 1]);
      seen.add(key);
    }
  }

  get #hasBody() {
    return this.req?.method !== 'HEAD' && this.statusCode !== 204 && this.statusCode !== 304 && this.statusCode >= 200;
  }

  // The head as the binding takes it.
  #headText() {
    let text = '';
    for (const [key, [name, value]] of this[kHeaders]) {
      if (key === 'content-length') continue; // the length says it
      if (key === 'cookie' && Array.isArray(value)) {
        text += `${name}\0${value.join('; ')}\0`;
      } else {
        for (const one of Array.isArray(value) ? value : [value]) text += `${name}\0${one}\0`;
      }
    }
    if (this.sendDate && !this[kHeaders].has('date')) text += `Date\0${dateHeader()}\0`;
    if (!this[kHeaders].has('connection')) {
      if (!this.shouldKeepAlive) {
        text += 'Connection\0close\0';
      } else if (this[kServer].listening && this[kServer].keepAliveTimeout >= 1000) {
        text += `Keep-Alive\0timeout=${Math.floor(this[kServer].keepAliveTimeout / 1000)}\0`;
      }
    }
    return text;
  }

  // Gives the head to the binding; `whole`: with all of the body.
  #send(bytes, whole) {
    if (!this[kHead]) this.writeHead(this.statusCode);
    this[kSent] = true;
    const hasBody = this.#hasBody;
    const given = String(this.getHeader('content-length') ?? '').trim();
    let length = -1; // unknown
    if (this.hasHeader('transfer-encoding')) length = -1;
    else if (/^\d+$/.test(given)) length = Number(given);
    else if (bytes !== undefined) length = bytes.byteLength;
    else if (whole && hasBody) length = 0;
    binding.answer(this[kNumber], this.statusCode, this.statusMessage, this.#headText(), length,
      hasBody ? bytes : undefined, whole && hasBody);
  }

  flushHeaders() {
    if (!this[kHead]) this.writeHead(this.statusCode);
    if (!this[kSent] && this[kNumber] !== 0 && this.#hasBody) this.#send(undefined, false);
  }

  // ---- the body

  #fails(error, callback) {
    process.nextTick(() => {
      callback(error);
      this.emit('error', error);
    });
  }

  write(chunk, encoding, callback) {
    if (typeof encoding === 'function') [callback, encoding] = [encoding, undefined];
    if (typeof callback !== 'function') callback = nop;
    const bytes = toBytes(chunk, encoding);
    if (this.finished) {
      this.#fails(codedError(Error, 'ERR_STREAM_WRITE_AFTER_END', 'write after end'), callback);
      return false;
    }
    if (this.destroyed || this[kNumber] === 0) {
      process.nextTick(callback, codedError(Error, 'ERR_STREAM_DESTROYED',
        'Cannot call write after a stream was destroyed'));
      return false;
    }
    if (!this[kHead]) this.writeHead(this.statusCode);
    process.nextTick(callback);
    if (!this.#hasBody) return true;
    if (!this[kSent]) this.#send(undefined, false);
    const waiting = binding.write(this[kNumber], bytes);
    this.writableLength = Math.max(waiting, 0);
    if (waiting >= 0 && waiting < binding.highWater) return true;
    this.writableNeedDrain = waiting >= 0;
    return false;
  }

  end(chunk, encoding, callback) {
    if (typeof chunk === 'function') [callback, chunk, encoding] = [chunk, undefined, undefined];
    else if (typeof encoding === 'function') [callback, encoding] = [encoding, undefined];
    let bytes;
    if (chunk !== undefined && chunk !== null) {
      bytes = toBytes(chunk, encoding);
      if (this.finished) {
        this.#fails(codedError(Error, 'ERR_STREAM_WRITE_AFTER_END', 'write after end'), callback ?? nop);
        return this;
      }
    } else if (this.finished) {
      if (typeof callback === 'function') {
        if (!this.writableFinished) this.on('finish', callback);
        else callback(codedError(Error, 'ERR_STREAM_ALREADY_FINISHED', 'Cannot call end after a stream was finished'));
      }
      return this;
    }
    if (typeof callback === 'function') this.once('finish', callback);
    if (this[kNumber] !== 0) {
      if (!this[kSent]) {
        this.#send(bytes, true);
      } else {
        if (bytes !== undefined && this.#hasBody) binding.write(this[kNumber], bytes);
        binding.end(this[kNumber]);
      }
    }
    this.finished = true;
    return this;
  }

  // Ends the connection, whatever has been sent.
  destroy(error) {
    if (this.destroyed) return this;
    this.destroyed = true;
    if (this[kNumber] !== 0) binding.destroy(this[kNumber]);
    if (error) process.nextTick(() => this.emit('error', error));
    return this;
  }
}

module.exports = {
  OutgoingMessage, STATUS_CODES, ServerResponse, kDrained, kEnded, kOpen, validateHeaderName, validateHeaderValue,
};
