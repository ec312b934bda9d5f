// SPDX-License-Identifier: MIT
//
// What runs before any program: defines the globals, most of them as getters that load what they need when they are
// first read, and answers what C asks (run.h names the functions).
'use strict';

// ---- process.nextTick() ---------------------------------------------------------------------------

let flags; // flags[0] tells C that ticks wait
let ticks = [];

function nextTick(callback, ...args) {
  if (typeof callback !== 'function') require('internal/errors').validateFunction(callback, 'callback');
  flags ??= internalBinding('loop').flags;
  ticks.push(args.length === 0 ? callback : () => callback(...args));
  flags[0] = 1;
}

// After one that throws, the others run when C comes back.
function runTicks() {
  if (ticks.length === 0) return;
  let i = 0;
  try {
    while (i < ticks.length) ticks[i++]();
  } finally {
    ticks = i < ticks.length ? ticks.slice(i) : [];
    flags[0] = ticks.length > 0 ? 1 : 0;
  }
}

function call(callback, ...args) {
  const result = callback(...args);
  runTicks();
  return result;
}

function queueMicrotask(callback) {
  require('internal/errors').validateFunction(callback, 'callback');
  internalBinding('loop').enqueueMicrotask(() => {
    try {
      callback();
    } catch (error) {
      nextTick(() => { throw error; });
    }
  });
}

// ---- globals --------------------------------------------------------------------------------------

function define(name, value, enumerable) {
  Object.defineProperty(globalThis, name, { value, enumerable, writable: true, configurable: true });
}

function lazy(name, load, enumerable = false) {
  Object.defineProperty(globalThis, name, {
    get() {
      const value = load();
      define(name, value, enumerable);
      return value;
    },
    set(value) { define(name, value, enumerable); },
    enumerable,
    configurable: true,
  });
}

let processLoaded;

define('global', globalThis, true);
define('queueMicrotask', queueMicrotask, true);
for (const name of ['clearImmediate', 'setImmediate', 'clearInterval', 'clearTimeout', 'setInterval', 'setTimeout']) {
  lazy(name, () => require('timers')[name], true);
}
lazy('atob', () => require('buffer').atob, true);
lazy('btoa', () => require('buffer').btoa, true);
lazy('performance', () => require('perf_hooks').performance, true);
lazy('process', () => require('process'));
lazy('Buffer', () => require('buffer').Buffer);
for (const name of ['TextEncoder', 'TextDecoder']) lazy(name, () => require('internal/text')[name]);
for (const name of ['AbortController', 'AbortSignal', 'Event', 'EventTarget']) {
  lazy(name, () => require('internal/event_target')[name]);
}
for (const name of ['URL', 'URLSearchParams']) lazy(name, () => require('url')[name]);
lazy('scriptArgs', () => globalThis.process.argv.slice(internalBinding('process').filename ? 2 : 1));
Object.defineProperty(globalThis, Symbol.toStringTag, { value: 'global', configurable: true });

// V8 compiles WebAssembly in the background, and the loop does not see it: while a promise of that is open, it is told.
function watchWebAssembly(WebAssembly) {
  const { hold } = internalBinding('loop');
  let open = 0;
  const settled = () => {
    if (--open === 0) hold(false);
  };
  for (const name of ['compile', 'instantiate']) {
    const native = WebAssembly[name];
    const watched = { [name](...args) {
      const promise = Reflect.apply(native, this, args);
      if (open++ === 0) hold(true);
      promise.then(settled, settled);
      return promise;
    } }[name];
    Object.defineProperty(WebAssembly, name, { value: watched, writable: true, enumerable: true, configurable: true });
  }
  return WebAssembly;
}

const { WebAssembly } = globalThis;
if (WebAssembly) lazy('WebAssembly', () => watchWebAssembly(WebAssembly));

// ---- what C asks ----------------------------------------------------------------------------------

// Set by internal/process.
function attachProcess(hooks) {
  processLoaded = hooks;
}

// A program that has not looked at process has no handlers there.
function uncaught(error, origin) {
  return processLoaded?.uncaught(error, origin) ?? false;
}

function rejected(promise, reason) {
  const mode = internalBinding('process').unhandled;
  if (processLoaded || mode !== 'throw') return require('internal/process').hooks.rejected(promise, reason, mode);
  return rejectionError(reason);
}

function rejectionError(reason) {
  if (internalBinding('util').is(reason, internalBinding('util').classes.ERROR)) return reason;
  let shown;
  try {
    shown = typeof reason === 'object' ? `#<${reason?.constructor?.name ?? 'Object'}>` : String(reason);
    if (reason === null) shown = 'null';
  } catch {
    shown = 'unknown';
  }
  const error = require('internal/errors').nodeError('ERR_UNHANDLED_REJECTION', shown);
  error.stack = `UnhandledPromiseRejection: ${error.message}`;
  error.name = 'UnhandledPromiseRejection';
  return error;
}

function exit() {
  const stuck = require('internal/loader').mainIsStuck();
  if (!processLoaded) return stuck ? 13 : 0;
  return processLoaded.exit(stuck ? 13 : undefined);
}

function timer(now) {
  return require('internal/timers').runTimer(now, runTicks);
}

function immediate(n) {
  return require('internal/timers').runImmediate(n, runTicks);
}

function runMain(path, kind) {
  require('internal/loader').runMain(path, kind);
  if (kind !== 'module') runTicks();
}

function runText(text, kind, print) {
  require('internal/loader').runText(text, kind, print);
  runTicks();
}

const { stackTraceLimit } = internalBinding('process');
if (stackTraceLimit >= 0) Error.stackTraceLimit = stackTraceLimit;

module.exports = {
  // for C
  beforeExit: () => processLoaded?.beforeExit(),
  call,
  exit,
  handled: (promise) => processLoaded?.handled(promise),
  immediate,
  importFrom: (specifier, referrer, attributes) =>
    require('internal/loader').importFrom(specifier, referrer, attributes),
  importMeta: (meta, name) => require('internal/loader').fillMeta(meta, name),
  rejected,
  runMain,
  runText,
  signal: (number) => { processLoaded?.signal(number); runTicks(); },
  ticks: runTicks,
  timer,
  uncaught,
  // for built-ins
  attachProcess,
  nextTick,
  rejectionError,
};
