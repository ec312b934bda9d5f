// SPDX-License-Identifier: MIT
//
// node:http, the server's side, as Node 18 has it. libmicrohttpd speaks the protocol (internalBinding("http")): a
// request comes with its whole body, up to 16 MiB; an answer is one piece if end() has it all, else it is sent as it is
// written. There is no client: http.request() and http.get() say so.
'use strict';

const binding = internalBinding('http');
const EventEmitter = require('events');
const process = require('process');
const {
  codedError, nodeError, validateFunction, validateInteger, validateObject, validateString,
} = require('internal/errors');
const { IncomingMessage, kDone, kReceive } = require('internal/http_incoming');
const {
  OutgoingMessage, STATUS_CODES, ServerResponse, kDrained, kEnded, kOpen, validateHeaderName, validateHeaderValue,
} = require('internal/http_outgoing');

const METHODS = ('ACL BIND CHECKOUT CONNECT COPY DELETE GET HEAD LINK LOCK M-SEARCH MERGE MKACTIVITY MKCALENDAR ' +
  'MKCOL MOVE NOTIFY OPTIONS PATCH POST PROPFIND PROPPATCH PURGE PUT REBIND REPORT SEARCH SOURCE SUBSCRIBE TRACE UNBIND ' +
  'UNLINK UNLOCK UNSUBSCRIBE').split(' ');

const kAddress = Symbol('address');
const kAsked = Symbol('asked');
const kClosed = Symbol('closed');
const kIncoming = Symbol('IncomingMessage');
const kKeepsAlive = Symbol('keeps alive');
const kNumber = Symbol('number');
const kResponse = Symbol('ServerResponse');

const servers = new Map(); // by number
const requests = new Map(); // by number: { request, response }

// ---- events of the binding -----------------------------------------------------------------------

const onEvents = [
  function asked(server, number, head, body) {
    server[kAsked](number, head, body);
  },
  function drained(server, number) {
    requests.get(number)?.response[kDrained]();
  },
  function ended(server, number, sent) {
    const exchange = requests.get(number);
    if (exchange === undefined) return;
    requests.delete(number);
    exchange.response[kEnded](sent);
    exchange.request[kDone](sent);
    exchange.request.socket[kClosed]();
  },
  function closed(server, number) {
    servers.delete(number);
    if (server[kNumber] === number) server[kNumber] = 0; // else it listens again
    server.emit('close');
  },
];

binding.start((event, serverNumber, number, ...rest) => {
  const server = servers.get(serverNumber);
  if (server !== undefined) onEvents[event](server, number, ...rest);
});

// ---- what a request says of its connection --------------------------------------------------------

class Socket extends EventEmitter {
  constructor(number, remoteAddress, remotePort, server) {
    super();
    const local = server.address() ?? server[kAddress];
    this[kNumber] = number;
    this.remoteAddress = remoteAddress;
    this.remotePort = remotePort;
    this.remoteFamily = remoteAddress.includes(':') ? 'IPv6' : 'IPv4';
    this.localPort = local.port;
    this.server = server;
    this.encrypted = false;
    this.destroyed = false;
  }

  destroy() {
    if (!this.destroyed) binding.destroy(this[kNumber]);
    this.destroyed = true;
    return this;
  }

  [kClosed]() {
    this.emit('close', false);
  }
}

// ---- Server --------------------------------------------------------------------------------------

function systemError(number, syscall, host, port) {
  const text = binding.errorText(number);
  let code = text.slice(0, text.indexOf(' '));
  const error = new Error(`${syscall} ${code}: ${text.slice(code.length + 1)} ${host}:${port}`);
  if (code.startsWith('EAI_')) {
    if (code === 'EAI_NONAME') code = 'ENOTFOUND';
    return Object.assign(new Error(`getaddrinfo ${code} ${host}`),
      { errno: number, code, syscall: 'getaddrinfo', hostname: host });
  }
  return Object.assign(error, { code, errno: number, syscall, address: host, port });
}

function validatePort(port) {
  const number = typeof port === 'string' && port.trim() !== '' ? +port : port;
  if (typeof number === 'number' && number === number >>> 0 && number <= 0xffff) return number;
  const shown = typeof port === 'string' ? `'${port}'` : String(port);
  throw codedError(RangeError, 'ERR_SOCKET_BAD_PORT',
    `options.port should be >= 0 and < 65536. Received type ${typeof port} (${shown}).`);
}

// listen([port[, host[, backlog]]][, callback]) and listen(options[, callback]) as { port, host, backlog }.
function listenOptions(args) {
  const [first] = args;
  if (typeof first === 'object' && first !== null) {
    if (first.path === undefined && first.port === undefined) {
      if ('port' in first && first.port === undefined) return { ...first, port: 0 };
      throw nodeError('ERR_INVALID_ARG_VALUE', 'options', first, 'must have the property "port" or "path"');
    }
    return first;
  }
  if (first === undefined || first === null || typeof first === 'function') return { port: 0 };
  if (typeof first === 'string' && !/^\s*\d+\s*$/.test(first)) return { path: first };
  if (typeof first !== 'number' && typeof first !== 'string') {
    throw nodeError('ERR_INVALID_ARG_VALUE', 'options', { port: first });
  }
  const host = typeof args[1] === 'string' ? args[1] : undefined;
  const backlog = args.slice(1, 3).find((arg) => typeof arg === 'number');
  return { port: first, host, backlog };
}

class Server extends EventEmitter {
  constructor(options, listener) {
    super();
    if (typeof options === 'function') {
      listener = options;
      options = {};
    } else if (options == null) {
      options = {};
    } else {
      validateObject(options, 'options');
    }
    this[kNumber] = 0;
    this[kAddress] = null;
    this[kKeepsAlive] = true;
    this[kIncoming] = options.IncomingMessage ?? IncomingMessage;
    this[kResponse] = options.ServerResponse ?? ServerResponse;
    this.listening = false;
    this.keepAliveTimeout = options.keepAliveTimeout ?? 5000;
    if (listener != null) {
      validateFunction(listener, 'requestListener');
      this.on('request', listener);
    }
  }

  listen(...args) {
    if (this.listening) {
      throw codedError(Error, 'ERR_SERVER_ALREADY_LISTEN',
        'Listen method has been called more than once without closing.');
    }
    const options = listenOptions(args);
    if (options.path !== undefined) {
      throw codedError(Error, 'ERR_METHOD_NOT_IMPLEMENTED',
        'server.listen(path) is not implemented: a server of kiln run listens on a TCP port');
    }
    const port = validatePort(options.port);
    const host = options.host ?? '';
    const backlog = options.backlog || 511;
    validateString(host, 'options.host');
    validateInteger(backlog, 'options.backlog', 1, 0x7fffffff);
    const callback = args[args.length - 1];
    if (typeof callback === 'function') this.once('listening', callback);
    const number = binding.listen(host, port, backlog);
    if (number < 0) {
      const error = systemError(number, 'listen', host || '::', port);
      process.nextTick(() => this.emit('error', error));
      return this;
    }
    const [address, bound, family] = binding.name(number).split(' ');
    this[kNumber] = number;
    this[kAddress] = { address, family, port: +bound };
    this.listening = true;
    servers.set(number, this);
    if (!this[kKeepsAlive]) binding.keepAlive(number, false);
    process.nextTick(() => {
      if (this.listening && this[kNumber] === number) this.emit('listening');
    });
    return this;
  }

  address() {
    return this.listening ? { ...this[kAddress] } : null;
  }

  close(callback) {
    if (!this.listening) {
      if (typeof callback === 'function') {
        this.once('close', () => callback(codedError(Error, 'ERR_SERVER_NOT_RUNNING', 'Server is not running.')));
      }
      // Another close() may have its requests in flight.
      if (this[kNumber] === 0) process.nextTick(() => this.emit('close'));
      return this;
    }
    if (typeof callback === 'function') this.once('close', callback);
    this.listening = false;
    binding.close(this[kNumber]);
    return this;
  }

  closeIdleConnections() {
    if (this[kNumber] !== 0) binding.closeConnections(this[kNumber], true);
  }

  closeAllConnections() {
    if (this[kNumber] !== 0) binding.closeConnections(this[kNumber], false);
  }

  getConnections(callback) {
    const count = this[kNumber] === 0 ? 0 : binding.countConnections(this[kNumber]);
    process.nextTick(callback, null, count);
    return this;
  }

  ref() {
    this[kKeepsAlive] = true;
    if (this[kNumber] !== 0) binding.keepAlive(this[kNumber], true);
    return this;
  }

  unref() {
    this[kKeepsAlive] = false;
    if (this[kNumber] !== 0) binding.keepAlive(this[kNumber], false);
    return this;
  }

  // A request: its method, target, version, client, headers' names and values, each with a NUL behind it.
  [kAsked](number, head, body) {
    const [method, target, version, address, port, ...rawHeaders] = head.split('\0');
    rawHeaders.pop();
    const request = new this[kIncoming](new Socket(number, address, +port, this));
    request[kReceive](method, target, version, rawHeaders, body);
    const response = new this[kResponse](request);
    requests.set(number, { request, response });
    response[kOpen](number, this);
    if (!METHODS.includes(method) || method === 'CONNECT') {
      response.writeHead(400, { Connection: 'close' }).end();
    } else if (request.headers.expect === undefined || request.headers.expect.toLowerCase() === '100-continue') {
      this.emit('request', request, response);
    } else if (!this.emit('checkExpectation', request, response)) {
      response.writeHead(417).end();
    }
  }
}

// ---- what there is not ---------------------------------------------------------------------------

function unavailable(name) {
  const throws = {
    [name]() {
      throw codedError(Error, 'ERR_METHOD_NOT_IMPLEMENTED',
        `http.${name}() is not implemented: node:http of kiln run has servers, and no client`);
    },
  };
  return throws[name];
}

module.exports = {
  METHODS,
  STATUS_CODES,
  IncomingMessage,
  OutgoingMessage,
  Server,
  ServerResponse,
  createServer: (options, listener) => new Server(options, listener),
  get: unavailable('get'),
  request: unavailable('request'),
  maxHeaderSize: 16384,
  validateHeaderName,
  validateHeaderValue,
};
