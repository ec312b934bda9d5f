// SPDX-License-Identifier: MIT
// Contexts: createContext, isContext, what contextifying means.
'use strict';
const assert = require('assert');
const fs = require('fs');
const vm = require('vm');
const { test, throws, not, tick, under } = require('./harness.js');

test('G02 CX02 CX03', 'code in another context has another global and other built-ins', () => {
  const a = vm.createContext();
  const b = vm.createContext();
  vm.runInContext('var g02 = 1; Array.prototype.g02 = "patched"', a);
  assert.strictEqual(vm.runInContext('typeof g02', b), 'undefined');
  throws(() => vm.runInContext('g02', b), { name: 'ReferenceError' });
  assert.strictEqual(typeof g02, 'undefined');
  assert.strictEqual(vm.runInContext('[].g02', a), 'patched');
  assert.strictEqual(vm.runInContext('[].g02', b), undefined);
  assert.strictEqual([].g02, undefined);
  assert.strictEqual(vm.runInContext('[]', a) instanceof Array, false);
  assert.strictEqual(vm.runInContext('[]', a) instanceof vm.runInContext('Array', a), true);
  assert.notStrictEqual(vm.runInContext('Object', a), vm.runInContext('Object', b));
});

test('G03 G04', 'properties of the object are globals; what code does to globals happens to it', () => {
  const context = vm.createContext({ x: 2 });
  assert.strictEqual(vm.runInContext('x', context), 2);
  vm.runInContext('x += 40; var y = 17; function f() {}; z = 1; delete globalThis.z', context);
  assert.deepStrictEqual(Object.keys(context).sort(), ['f', 'x', 'y']);
  assert.strictEqual(context.x, 42);
  assert.strictEqual(context.y, 17);
  assert.strictEqual(typeof context.f, 'function');
  context.x = 'later';
  assert.strictEqual(vm.runInContext('x', context), 'later');
});

// Node 20 to 24 keep a copy of what code has written.
test('G04', 'what is deleted from the object is no global any more', { node: 26 }, () => {
  const context = vm.createContext({ x: 1 });
  vm.runInContext('x += 1', context);
  delete context.x;
  assert.strictEqual(vm.runInContext('typeof x', context), 'undefined');
});

test('CC01', 'createContext() gives back the object', () => {
  const object = { x: 1 };
  assert.strictEqual(vm.createContext(object), object);
});

test('CC02', 'the object keeps its properties and code has the built-ins', () => {
  const context = vm.createContext({ x: 1 });
  const names = ['Object', 'Array', 'Map', 'Promise', 'Proxy', 'JSON', 'Math', 'Symbol', 'WebAssembly', 'parseInt', 'globalThis', 'NaN'];
  for (const name of names) assert.notStrictEqual(vm.runInContext(`typeof ${name}`, context), 'undefined', name);
  assert.strictEqual(vm.runInContext('typeof console + typeof require + typeof process + typeof setTimeout', context).replace('object', 'undefined'),
    'undefinedundefinedundefinedundefined'); // V8 has a console of its own, the rest is the host's
  assert.deepStrictEqual(context, { x: 1 });
  // A built-in that is written to is the object's from then on.
  vm.runInContext('Map = 5', context);
  assert.strictEqual(context.Map, 5);
});

test('CC03', 'the globals outside are unchanged', () => {
  globalThis.cc03 = 3;
  const context = vm.createContext({ cc03: 1 });
  vm.runInContext('cc03 *= 2;', context);
  assert.deepStrictEqual(context, { cc03: 2 });
  assert.strictEqual(globalThis.cc03, 3);
});

test('CC04', 'without an object a new, empty one is contextified', () => {
  for (const context of [vm.createContext(), vm.createContext(undefined), vm.createContext(undefined, {})]) {
    assert.deepStrictEqual(Object.keys(context), []);
    assert.ok(vm.isContext(context));
    vm.runInContext('var x = 1', context);
    assert.strictEqual(context.x, 1);
  }
});

test('CC05', 'a contextObject that is no object is refused', () => {
  for (const bad of [null, 1, 'text', true, Symbol('s'), 1n]) {
    throws(() => vm.createContext(bad), { code: 'ERR_INVALID_ARG_TYPE', name: 'TypeError' });
  }
  throws(() => vm.createContext(() => {}), 'ERR_INVALID_ARG_TYPE');
});

test('CC06', 'contextifying twice changes nothing', () => {
  const context = vm.createContext({ x: 1 });
  vm.runInContext('let hidden = "still here"', context);
  assert.strictEqual(vm.createContext(context), context);
  assert.strictEqual(vm.runInContext('hidden', context), 'still here');
});

test('CC07 CC08 CC13', 'options and names of the wrong type are refused', () => {
  const refused = (options) => throws(() => vm.createContext({}, options), { code: 'ERR_INVALID_ARG_TYPE', name: 'TypeError' });
  for (const bad of [null, 1, 'text', true]) refused(bad);
  for (const bad of not('undefined', 'string')) {
    refused({ name: bad });
    refused({ origin: bad });
  }
  for (const bad of [null, 1, 'text', true]) refused({ codeGeneration: bad });
  for (const bad of not('undefined', 'boolean')) {
    refused({ codeGeneration: { strings: bad } });
    refused({ codeGeneration: { wasm: bad } });
  }
  const context = vm.createContext({}, { name: 'mine', origin: 'http://localhost:8080' });
  assert.strictEqual(vm.runInContext('6 * 7', context), 42);
});

test('CC10 RN06 TM03 PR01', 'afterEvaluate: microtasks run before the call returns', () => {
  const log = [];
  const code = 'Promise.resolve().then(() => log("micro 1")).then(() => log("micro 2")); (async () => { await 0; log("async") })(); log("sync")';
  const globals = () => ({ log: (line) => log.push(line) });
  const want = ['sync', 'micro 1', 'async', 'micro 2', 'returned'];
  for (const run of [
    () => vm.runInContext(code, vm.createContext(globals(), { microtaskMode: 'afterEvaluate' })),
    () => new vm.Script(code).runInContext(vm.createContext(globals(), { microtaskMode: 'afterEvaluate' })),
    () => vm.runInNewContext(code, globals(), { microtaskMode: 'afterEvaluate' }),
    () => new vm.Script(code).runInNewContext(globals(), { microtaskMode: 'afterEvaluate' }),
  ]) {
    log.length = 0;
    run();
    log.push('returned');
    assert.deepStrictEqual(log, want);
  }
});

test('CC11', 'many scripts share one context, as the script tags of a window do', () => {
  const context = vm.createContext();
  vm.runInContext('let shared = 1; const fixed = 2; class C {}; var v = 3', context);
  assert.strictEqual(vm.runInContext('shared += 1; shared + fixed + v', context), 7);
  assert.strictEqual(context.shared, undefined);
  assert.strictEqual(vm.runInContext('typeof globalThis.shared', context), 'undefined');
  throws(() => vm.runInContext('let shared', context), { name: 'SyntaxError', message: /already been declared/ });
  throws(() => vm.runInContext('class C {}', context), { name: 'SyntaxError' });
  throws(() => vm.runInContext('fixed = 1', context), { name: 'TypeError' });
  assert.strictEqual(vm.runInContext('var v; v', context), 3);
});

test('IC01', 'isContext() knows what createContext() has made', () => {
  const object = {};
  assert.strictEqual(vm.isContext(object), false);
  vm.createContext(object);
  assert.strictEqual(vm.isContext(object), true);
  assert.strictEqual(vm.isContext(vm.createContext()), true);
  const given = {};
  vm.runInNewContext('1', given);
  assert.strictEqual(vm.isContext(given), true);
});

test('IC02', 'isContext() of other objects is false, of what is no object an error', () => {
  for (const other of [{}, [], globalThis, Object.create(vm.createContext()), new Proxy(vm.createContext(), {})]) {
    assert.strictEqual(vm.isContext(other), false);
  }
  for (const bad of [undefined, null, 1, 'text', true, Symbol('s')]) {
    throws(() => vm.isContext(bad), { code: 'ERR_INVALID_ARG_TYPE', name: 'TypeError' });
  }
});

test('D20', 'the globalThis of a contextified object is not itself a context', () => {
  const context = vm.createContext();
  const global = vm.runInContext('globalThis', context);
  assert.notStrictEqual(global, context);
  assert.strictEqual(vm.isContext(global), false);
});

test('CX01', 'objects of several contexts of one isolate may be exchanged', () => {
  const a = vm.createContext();
  const b = vm.createContext({ fromA: vm.runInContext('({ list: [1, 2], f: (n) => n * 2 })', a) });
  assert.strictEqual(vm.runInContext('fromA.list.push(3); fromA.f(fromA.list.length)', b), 6);
  assert.strictEqual(vm.runInContext('fromA.list instanceof Array', b), false);
});

test('HS01 HS02 HS03', 'a function given by a run is called with a host object, whose state it shares', () => {
  const state = { calls: 0 };
  const stub = (name) => {
    state.calls++;
    return { name, state };
  };
  const code = '"use strict"; ((require) => { const own = require("http"); own.state.touched = true; return own.name; })';
  const made = vm.runInThisContext(code, 'hs.js');
  assert.strictEqual(typeof made, 'function');
  assert.strictEqual(made(stub), 'http');
  assert.deepStrictEqual(state, { calls: 1, touched: true });
  throws(() => vm.runInThisContext('own'), { name: 'ReferenceError' });
  throws(() => vm.runInThisContext('(() => require("http"))')(), { name: 'ReferenceError' });
});

const threads = () => Number(/^Threads:\s*(\d+)$/m.exec(fs.readFileSync('/proc/self/status', 'utf8'))[1]);

test('RC09', 'a timeout costs a thread, which is no more there than before when the run has ended', async () => {
  const context = vm.createContext();
  const options = { timeout: 5000, breakOnSigint: true };
  vm.runInContext('1', context, options);
  await tick();
  const before = threads();
  for (let i = 0; i < 50; i++) vm.runInContext('1', context, options);
  await tick();
  assert.ok(threads() <= before, `${threads()} threads, not ${before}`);
  if (under === 'node') {
    const during = vm.runInContext('threads()', vm.createContext({ threads }), options);
    assert.ok(during > before, 'Node starts threads for it');
  }
});
