// SPDX-License-Identifier: MIT
//
// The process object, and what it does when the program ends, fails or gets a signal.
'use strict';

const binding = internalBinding('process');
const EventEmitter = require('events');
const { codedError, nodeError, validateInteger, validateNumber, validateString } = require('internal/errors');
const { attachProcess, nextTick, rejectionError } = require('internal/bootstrap');

function process() {}
Object.setPrototypeOf(process.prototype, EventEmitter.prototype);
const self = Object.create(process.prototype, {
  [Symbol.toStringTag]: { value: 'process', configurable: true },
});
EventEmitter.call(self);

// Makes a property on first use.
function lazy(name, make) {
  Object.defineProperty(self, name, {
    get() {
      const value = make();
      Object.defineProperty(self, name, { value, writable: true, enumerable: true, configurable: true });
      return value;
    },
    set(value) {
      Object.defineProperty(self, name, { value, writable: true, enumerable: true, configurable: true });
    },
    enumerable: true,
    configurable: true,
  });
}

Object.assign(self, {
  version: `v${binding.kiln}`,
  versions: { kiln: binding.kiln, v8: binding.v8, uv: binding.uv },
  arch: binding.arch,
  platform: 'linux',
  release: { name: 'kiln' },
  pid: binding.pid,
  ppid: binding.ppid,
  execPath: binding.execPath,
  title: 'kiln',
  exitCode: undefined,
  features: {},
  config: { variables: {}, target_defaults: {} },
});
lazy('argv', () => binding.argv());
lazy('argv0', () => binding.argv()[0]);
lazy('execArgv', () => binding.execArgv());
lazy('env', makeEnv);
lazy('stdout', () => makeStream(1));
lazy('stderr', () => makeStream(2));
lazy('stdin', () => ({ fd: 0, isTTY: binding.isatty(0) }));

function makeEnv() {
  const list = binding.env();
  const values = {};
  for (let i = 0; i < list.length; i += 2) values[list[i]] = list[i + 1];
  return new Proxy(values, {
    set(target, name, value) {
      if (typeof name === 'symbol') throw new TypeError('Cannot convert a Symbol value to a string');
      target[name] = `${value}`;
      binding.setEnv(name, target[name]);
      return true;
    },
    deleteProperty(target, name) {
      delete target[name];
      if (typeof name === 'string') binding.setEnv(name);
      return true;
    },
  });
}

function makeStream(fd) {
  const stream = new EventEmitter();
  return Object.assign(stream, {
    fd,
    isTTY: binding.isatty(fd) || undefined,
    writable: true,
    columns: binding.isatty(fd) ? 80 : undefined,
    write(chunk, encoding, callback = encoding) {
      if (typeof chunk !== 'string' && !ArrayBuffer.isView(chunk)) {
        throw nodeError('ERR_INVALID_ARG_TYPE', 'chunk', ['string', 'Buffer', 'Uint8Array'], chunk);
      }
      if (typeof chunk === 'string' && typeof encoding === 'string' && !/^utf-?8$/i.test(encoding)) {
        chunk = require('buffer').Buffer.from(chunk, encoding);
      }
      binding.write(fd, chunk);
      if (typeof callback === 'function') nextTick(callback);
      return true;
    },
    end(chunk, encoding, callback) {
      if (chunk !== undefined && typeof chunk !== 'function') stream.write(chunk, encoding);
      const last = [chunk, encoding, callback].find((one) => typeof one === 'function');
      if (last) nextTick(last);
      return stream;
    },
    getColorDepth: () => 1,
    hasColors: () => false,
  });
}

// ---- ending ---------------------------------------------------------------------------------------

let exiting = false;

function checkCode(code) {
  if (code === undefined || code === null) return;
  if (typeof code === 'string' && /^-?\d+$/.test(code)) return;
  validateInteger(code, 'code');
}

// Emits 'exit' once; gives the code to end with.
function emitExit(code) {
  if (code !== undefined) self.exitCode = code;
  if (!exiting) {
    exiting = true;
    self.emit('exit', Number(self.exitCode) || 0);
  }
  return Number(self.exitCode) || 0;
}

self.exit = function exit(code) {
  checkCode(code);
  binding.exit(emitExit(code ?? undefined) | 0);
};
self.reallyExit = (code) => binding.exit(code | 0);
self.abort = () => binding.abort();

// ---- small ones -----------------------------------------------------------------------------------

self.nextTick = nextTick;
self.cwd = () => binding.cwd();
self.chdir = (path) => {
  validateString(path, 'directory');
  binding.chdir(path);
};
self.uptime = () => (binding.now() - started) / 1000;
self.umask = () => 0o22;
self.getuid = () => 0;

const started = binding.now();

self.hrtime = function hrtime(before) {
  const ns = binding.hrtime();
  let seconds = Number(ns / 1000000000n);
  let rest = Number(ns % 1000000000n);
  if (before !== undefined) {
    require('internal/errors').validateArray(before, 'time');
    seconds -= before[0];
    rest -= before[1];
    if (rest < 0) {
      seconds--;
      rest += 1e9;
    }
  }
  return [seconds, rest];
};
self.hrtime.bigint = () => binding.hrtime();

self.memoryUsage = function memoryUsage() {
  const heap = internalBinding('v8').heapStatistics();
  return {
    rss: binding.rss(),
    heapTotal: heap.total_heap_size,
    heapUsed: heap.used_heap_size,
    external: heap.external_memory,
    arrayBuffers: 0,
  };
};
self.memoryUsage.rss = () => binding.rss();

self.binding = (name) => {
  throw codedError(Error, 'ERR_INVALID_MODULE', `No such module: ${name}`);
};

self.emitWarning = function emitWarning(warning, type, code) {
  if (type !== null && typeof type === 'object') ({ type, code } = type);
  if (typeof warning === 'string') {
    const text = warning;
    warning = new Error(text);
    warning.name = `${type ?? 'Warning'}`;
    if (code !== undefined) warning.code = code;
    Error.captureStackTrace(warning, emitWarning);
  } else if (!(warning instanceof Error)) {
    throw nodeError('ERR_INVALID_ARG_TYPE', 'warning', ['Error', 'string'], warning);
  }
  nextTick(() => self.emit('warning', warning));
};

self.on('warning', (warning) => {
  if (binding.noWarnings) return;
  const code = warning.code ? `[${warning.code}] ` : '';
  binding.write(2, `(kiln:${self.pid}) ${code}${warning.name}: ${warning.message}\n`);
});

// ---- signals --------------------------------------------------------------------------------------

const signals = {
  SIGHUP: 1, SIGINT: 2, SIGQUIT: 3, SIGILL: 4, SIGTRAP: 5, SIGABRT: 6, SIGBUS: 7, SIGFPE: 8, SIGKILL: 9, SIGUSR1: 10,
  SIGSEGV: 11, SIGUSR2: 12, SIGPIPE: 13, SIGALRM: 14, SIGTERM: 15, SIGCHLD: 17, SIGCONT: 18, SIGSTOP: 19, SIGTSTP: 20,
  SIGWINCH: 28,
};
const loop = () => internalBinding('loop');

self.on('newListener', (name) => {
  if (Object.hasOwn(signals, name) && self.listenerCount(name) === 0) loop().watchSignal(signals[name], true);
});
self.on('removeListener', (name) => {
  if (Object.hasOwn(signals, name) && self.listenerCount(name) === 0) loop().watchSignal(signals[name], false);
});

self.kill = function kill(pid, signal = 'SIGTERM') {
  validateNumber(pid, 'pid');
  const number = typeof signal === 'number' ? signal : signals[signal];
  if (number === undefined) throw nodeError('ERR_UNKNOWN_SIGNAL', signal);
  const failure = binding.kill(pid, number);
  if (failure !== undefined) {
    throw Object.assign(new Error(`kill ${failure}`), { code: failure, syscall: 'kill' });
  }
  return true;
};

// ---- what C asks ----------------------------------------------------------------------------------

let capture = null;
self.setUncaughtExceptionCaptureCallback = (callback) => { capture = callback; };
self.hasUncaughtExceptionCaptureCallback = () => capture !== null;

let reported = new WeakSet(); // promises of which 'unhandledRejection' told

const hooks = {
  uncaught(error, origin) {
    if (capture !== null) {
      capture(error);
      return true;
    }
    self.emit('uncaughtExceptionMonitor', error, origin);
    if (self.emit('uncaughtException', error, origin)) return true;
    self.exitCode = 1;
    return false;
  },

  // Answers with the error to end with, if it is to end.
  rejected(promise, reason, mode) {
    reported.add(promise);
    if (mode === 'strict') {
      const error = rejectionError(reason);
      if (hooks.uncaught(error, 'unhandledRejection')) return undefined;
      return error;
    }
    if (mode !== 'none' && mode !== 'throw') {
      self.emit('unhandledRejection', reason, promise);
      self.emitWarning(`${reason?.stack ?? reason}`, 'UnhandledPromiseRejectionWarning');
      if (mode === 'warn-with-error-code') self.exitCode = 1;
      return undefined;
    }
    if (self.emit('unhandledRejection', reason, promise) || mode === 'none') return undefined;
    const error = rejectionError(reason);
    return hooks.uncaught(error, 'unhandledRejection') ? undefined : error;
  },

  handled(promise) {
    if (reported.delete(promise)) self.emit('rejectionHandled', promise);
  },

  beforeExit() {
    self.emit('beforeExit', Number(self.exitCode) || 0);
  },

  exit(code) {
    return emitExit(code);
  },

  signal(number) {
    for (const name of Object.keys(signals)) {
      if (signals[name] === number) self.emit(name, name, number);
    }
  },
};
attachProcess(hooks);

module.exports = { hooks, process: self };
