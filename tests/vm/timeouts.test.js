// SPDX-License-Identifier: MIT
// Deadlines: what they end, what escapes them, and that nothing of them is left behind.
'use strict';
const assert = require('assert');
const vm = require('vm');
const { test, throws, rejects, tick, noLinker } = require('./harness.js');

const TIMEOUT = { code: 'ERR_SCRIPT_EXECUTION_TIMEOUT', name: 'Error', message: 'Script execution timed out after 50ms' };

test('RC05 RN10 RT04', 'a timeout ends execution with an Error, however the code is run', () => {
  const script = new vm.Script('while (true);');
  const runs = [
    () => script.runInContext(vm.createContext(), { timeout: 50 }),
    () => script.runInNewContext({}, { timeout: 50 }),
    () => script.runInThisContext({ timeout: 50 }),
    () => vm.runInContext('while (true);', vm.createContext(), { timeout: 50 }),
    () => vm.runInNewContext('while (true);', {}, { timeout: 50 }),
    () => vm.runInThisContext('while (true);', { timeout: 50 }),
  ];
  for (const run of runs) {
    const start = Date.now();
    throws(run, TIMEOUT);
    const took = Date.now() - start;
    assert.ok(took >= 45 && took < 5000, `${took} ms`);
  }
});

test('RC10', 'context and script stay usable after a timeout', () => {
  const context = vm.createContext({ loop: true });
  const script = new vm.Script('var runs = (typeof runs === "number" ? runs : 0) + 1; while (loop); runs');
  for (let i = 1; i <= 3; i++) throws(() => script.runInContext(context, { timeout: 50 }), TIMEOUT);
  context.loop = false;
  assert.strictEqual(script.runInContext(context, { timeout: 5000 }), 4);
  assert.strictEqual(script.runInContext(context), 5);
});

test('RC11', 'a script cannot catch its end, nor run its finally', () => {
  const log = [];
  const context = vm.createContext({ log: (line) => log.push(line) });
  const code = 'log("start"); try { while (true); } catch { log("catch") } finally { log("finally") } log("after")';
  throws(() => vm.runInContext(code, context, { timeout: 50 }), TIMEOUT);
  assert.deepStrictEqual(log, ['start']);
});

test('RC05 P18', 'of nested runs the one ends whose deadline has passed', () => {
  const inner = (timeout) => () => vm.runInNewContext('while (true);', {}, { timeout });
  // The inner deadline passes: the outer code catches its error and goes on.
  const caught = vm.runInNewContext('try { inner() } catch (error) { error.code }', { inner: inner(50) }, { timeout: 10000 });
  assert.strictEqual(caught, 'ERR_SCRIPT_EXECUTION_TIMEOUT');
  // The outer deadline passes: nothing is caught on the way.
  let after = false;
  const outer = () => vm.runInNewContext('try { inner() } finally { after() }', { inner: inner(10000), after: () => { after = true; } }, { timeout: 50 });
  throws(outer, TIMEOUT);
  assert.strictEqual(after, false);
  assert.strictEqual(vm.runInThisContext('6 * 7', { timeout: 5000 }), 42);
});

test('RC05 P17', 'a deadline that passes as the run ends never ends the next run', () => {
  const context = vm.createContext();
  const spin = new vm.Script('{ const end = Date.now() + 1; while (Date.now() < end); } "done"');
  const outcomes = { done: 0, ended: 0 };
  for (let i = 0; i < 300; i++) {
    try {
      assert.strictEqual(spin.runInContext(context, { timeout: 1 + (i % 3) }), 'done');
      outcomes.done++;
    } catch (error) {
      assert.strictEqual(error.code, 'ERR_SCRIPT_EXECUTION_TIMEOUT');
      outcomes.ended++;
    }
    assert.strictEqual(vm.runInContext('[1, 2, 3].map((n) => n * 2).length', context), 3);
  }
  assert.strictEqual(outcomes.done + outcomes.ended, 300);
});

test('TM01 TM02', 'by default promise callbacks run after all code on the stack, out of reach of the timeout', async () => {
  const log = [];
  const entering = () => {
    log.push('entering loop');
    const end = Date.now() + 100;
    while (Date.now() < end);
    log.push('leaving loop');
  };
  vm.runInNewContext('Promise.resolve().then(() => loop());', { loop: entering }, { timeout: 50 });
  log.push('done executing');
  assert.deepStrictEqual(log, ['done executing']);
  await tick();
  assert.deepStrictEqual(log, ['done executing', 'entering loop', 'leaving loop']);
});

test('TM03 RN06 PR02 CC10', 'with afterEvaluate the timeout ends microtasks', () => {
  const loop = () => {
    while (true);
  };
  const code = 'Promise.resolve().then(() => loop());';
  throws(() => vm.runInNewContext(code, { loop }, { timeout: 50, microtaskMode: 'afterEvaluate' }), TIMEOUT);
  const context = vm.createContext({ loop }, { microtaskMode: 'afterEvaluate' });
  throws(() => vm.runInContext(code, context, { timeout: 50 }), TIMEOUT);
  throws(() => vm.runInContext('(async () => { await 0; while (true); })()', context, { timeout: 50 }), TIMEOUT);
  throws(() => vm.runInContext('(function again() { Promise.resolve().then(again) })()', context, { timeout: 50 }), TIMEOUT);
  assert.strictEqual(vm.runInNewContext('6 * 7', {}, { timeout: 5000, microtaskMode: 'afterEvaluate' }), 42);
});

test('TM04', 'runInThisContext() does not run microtasks within its timeout', async () => {
  let ran = false;
  globalThis.tm04 = () => { ran = true; };
  vm.runInThisContext('Promise.resolve().then(() => tm04())', { timeout: 5000, microtaskMode: 'afterEvaluate' });
  assert.strictEqual(ran, false);
  await tick();
  assert.strictEqual(ran, true);
});

test('TM05', 'a callback of the outer context goes to the outer queue, and escapes the timeout', async () => {
  const log = [];
  const loop = () => {
    const end = Date.now() + 100;
    while (Date.now() < end);
    log.push('left loop');
  };
  vm.runInNewContext('Promise.resolve().then(loop);', { loop }, { timeout: 50, microtaskMode: 'afterEvaluate' });
  log.push('returned');
  assert.deepStrictEqual(log, ['returned']);
  await tick();
  assert.deepStrictEqual(log, ['returned', 'left loop']);
});

test('TM06', 'callbacks given to queueMicrotask, setTimeout, setImmediate go to queues that all contexts share', async () => {
  const log = [];
  const given = { queueMicrotask, setTimeout, setImmediate, log: (line) => log.push(line) };
  const code = 'queueMicrotask(() => log("micro")); setImmediate(() => log("immediate")); setTimeout(() => log("timer"), 1); log("sync")';
  vm.runInNewContext(code, given, { timeout: 5000, microtaskMode: 'afterEvaluate' });
  log.push('returned');
  assert.deepStrictEqual(log, ['sync', 'returned']);
  for (let i = 0; i < 1000 && log.length < 5; i++) await new Promise((resolve) => setTimeout(resolve, 5));
  assert.deepStrictEqual(log.slice(0, 3), ['sync', 'returned', 'micro']);
  assert.deepStrictEqual(log.slice(3).sort(), ['immediate', 'timer']);
});

test('ME06 D15', 'the timeout of evaluate() ends a module, which is errored from then on', async () => {
  const module = new vm.SourceTextModule('while (true);');
  await module.link(noLinker);
  await rejects(module.evaluate({ timeout: 50 }), TIMEOUT);
  assert.strictEqual(module.status, 'errored');
});

test('ME06', 'a module that ends in time does not notice its timeout', async () => {
  const module = new vm.SourceTextModule('export default 42');
  await module.link(noLinker);
  assert.strictEqual(await module.evaluate({ timeout: 5000 }), undefined);
  assert.strictEqual(module.namespace.default, 42);
  assert.strictEqual(module.status, 'evaluated');
});

test('D15', 'a terminated module remembers its timeout and is never evaluated again', { ours: 'V8 keeps null for a termination' }, async () => {
  const module = new vm.SourceTextModule('globalThis.d15 = (globalThis.d15 || 0) + 1; while (true);');
  await module.link(noLinker);
  await rejects(module.evaluate({ timeout: 50 }), TIMEOUT);
  assert.strictEqual(module.error.code, 'ERR_SCRIPT_EXECUTION_TIMEOUT');
  await rejects(module.evaluate(), 'ERR_SCRIPT_EXECUTION_TIMEOUT');
  assert.strictEqual(globalThis.d15, 1);
});

test('D15 P19', 'a module terminated after a top-level await is errored too', { ours: 'its promise stays pending in Node' }, async () => {
  const context = vm.createContext({}, { microtaskMode: 'afterEvaluate' });
  const module = new vm.SourceTextModule('await 0; while (true);', { context });
  await module.link(noLinker);
  await rejects(module.evaluate({ timeout: 50 }), 'ERR_SCRIPT_EXECUTION_TIMEOUT');
  assert.strictEqual(module.status, 'errored');
  assert.strictEqual(module.error.code, 'ERR_SCRIPT_EXECUTION_TIMEOUT');
});

test('D16', 'the timeout of evaluate() does not bound a top-level await that never settles', async () => {
  const module = new vm.SourceTextModule('await new Promise(() => {})');
  await module.link(noLinker);
  let settled = false;
  const settle = () => { settled = true; };
  module.evaluate({ timeout: 200 }).then(settle, settle);
  await new Promise((resolve) => setTimeout(resolve, 400));
  assert.strictEqual(settled, false);
});

test('OLD13', 'the timeout of evaluate() is a strictly positive integer, too', async () => {
  const module = new vm.SourceTextModule('export default 42');
  await module.link(noLinker);
  for (const timeout of [0, -1, 1.5, NaN]) await rejects(async () => module.evaluate({ timeout }), 'ERR_OUT_OF_RANGE');
  for (const timeout of ['1', null, {}]) await rejects(async () => module.evaluate({ timeout }), 'ERR_INVALID_ARG_TYPE');
  await module.evaluate({ timeout: 5000 });
});
