// SPDX-License-Identifier: MIT
// breakOnSigint: run by sigint.js, which sends SIGINT whenever a line "ready" is printed.
'use strict';
const assert = require('assert');
const vm = require('vm');
const { test, throws, rejects, tick, noLinker } = require('./harness.js');

const INTERRUPTED = { code: 'ERR_SCRIPT_EXECUTION_INTERRUPTED', name: 'Error' };
const ready = () => console.log('ready');
const inside = (microtaskMode) => vm.createContext({ ready }, { microtaskMode });
let handled = 0;
let noticed = () => {};
const handler = () => {
  handled++;
  noticed();
};

// A signal to this process while nothing runs: the handlers of JavaScript get it.
async function signalled() {
  const seen = new Promise((resolve) => { noticed = resolve; });
  const alive = setInterval(() => {}, 1000);
  ready();
  await seen;
  clearInterval(alive);
}

test('RC07 RC08 RN10', 'SIGINT ends a run with breakOnSigint, and not through the handlers', async () => {
  process.on('SIGINT', handler);
  const loop = 'ready(); while (true);';
  throws(() => vm.runInContext(loop, inside(), { breakOnSigint: true }), INTERRUPTED);
  throws(() => new vm.Script(loop).runInContext(inside(), { breakOnSigint: true }), INTERRUPTED);
  throws(() => vm.runInNewContext(loop, { ready }, { breakOnSigint: true }), INTERRUPTED);
  throws(() => new vm.Script(loop).runInNewContext({ ready }, { breakOnSigint: true, timeout: 60000 }), INTERRUPTED);
  await tick();
  assert.strictEqual(handled, 0);
});

test('RC07 RT04', 'in the current global, too', async () => {
  globalThis.ready = ready;
  throws(() => vm.runInThisContext('ready(); while (true);', { breakOnSigint: true }), INTERRUPTED);
  throws(() => new vm.Script('ready(); while (true);').runInThisContext({ breakOnSigint: true }), INTERRUPTED);
  await tick();
  assert.strictEqual(handled, 0);
});

test('RC08', 'the handlers work again after it', async () => {
  await signalled();
  assert.strictEqual(handled, 1);
  throws(() => vm.runInContext('ready(); while (true);', inside(), { breakOnSigint: true }), INTERRUPTED);
  await signalled();
  assert.strictEqual(handled, 2);
});

test('RC07 RC11', 'what is interrupted cannot catch it; the context stays usable', () => {
  const context = inside();
  context.log = [];
  const code = 'try { ready(); while (true); } catch { log.push("catch") } finally { log.push("finally") }';
  throws(() => vm.runInContext(code, context, { breakOnSigint: true }), INTERRUPTED);
  assert.deepStrictEqual(context.log, []);
  assert.strictEqual(vm.runInContext('6 * 7', context, { breakOnSigint: true }), 42);
});

test('RN06 PR02', 'with afterEvaluate microtasks are interrupted as well', () => {
  const code = 'Promise.resolve().then(() => { ready(); while (true); })';
  throws(() => vm.runInContext(code, inside('afterEvaluate'), { breakOnSigint: true }), INTERRUPTED);
});

test('ME07', 'evaluate() with breakOnSigint', async () => {
  const module = new vm.SourceTextModule('ready(); while (true);', { context: inside() });
  await module.link(noLinker);
  await rejects(module.evaluate({ breakOnSigint: true }), INTERRUPTED);
  assert.strictEqual(module.status, 'errored');
});

test('RC08 ME07', 'the handlers work again after that, too', { ours: 'Node loses them in evaluate()' }, async () => {
  await signalled();
  assert.strictEqual(handled, 3);
});

test('RC08', 'a listener that is removed is called no more', () => {
  process.removeListener('SIGINT', handler);
  throws(() => vm.runInContext('ready(); while (true);', inside(), { breakOnSigint: true }), INTERRUPTED);
  assert.ok(handled >= 2);
});
