// SPDX-License-Identifier: MIT
// Promises shared between contexts whose microtask queues differ.
'use strict';
const assert = require('assert');
const vm = require('vm');
const { test, tick } = require('./harness.js');

const innerContext = (globals) => vm.createContext(globals || {}, { microtaskMode: 'afterEvaluate' });

test('PR01', 'an afterEvaluate context has a queue of its own, which the outer one does not drain', async () => {
  const log = [];
  const inner = innerContext({ log: (line) => log.push(line) });
  const resolve = vm.runInContext('let resolve; new Promise((r) => { resolve = r }).then(() => log("inner")); (v) => resolve(v)', inner);
  // Settled from outside: the reaction is queued inside, where nothing runs.
  resolve();
  await tick();
  await tick();
  assert.deepStrictEqual(log, []);
  vm.runInContext('', inner);
  assert.deepStrictEqual(log, ['inner']);
});

test('PR03 PR04', 'awaited outside, a promise of the inner context stays pending', async () => {
  const promise = vm.runInContext('Promise.resolve()', innerContext());
  let resumed = false;
  (async () => {
    await promise;
    resumed = true;
  })();
  for (let i = 0; i < 5; i++) await tick();
  assert.strictEqual(resumed, false);
});

test('PR05 PR06', 'an empty run in the inner context resumes what awaits outside', async () => {
  const inner = innerContext();
  const promise = vm.runInContext('Promise.resolve("OK")', inner);
  setImmediate(() => vm.runInContext('', inner));
  assert.strictEqual(await promise, 'OK');
});

test('PR05', 'evaluating a module of the inner context resumes it, too', async () => {
  const inner = innerContext();
  const promise = vm.runInContext('Promise.resolve("OK")', inner);
  const module = new vm.SourceTextModule('', { context: inner });
  await module.link(() => {});
  setImmediate(() => module.evaluate());
  assert.strictEqual(await promise, 'OK');
});

test('PR05', 'a run in another context does not', async () => {
  const promise = vm.runInContext('Promise.resolve()', innerContext());
  let resumed = false;
  (async () => {
    await promise;
    resumed = true;
  })();
  vm.runInContext('', innerContext());
  vm.runInContext('', vm.createContext());
  await tick();
  assert.strictEqual(resumed, false);
});

test('PR07', 'tasks of several contexts run in another order than they were enqueued in', async () => {
  const log = [];
  Promise.resolve().then(() => log.push('outer, enqueued first'));
  vm.runInContext('Promise.resolve().then(() => log("inner, enqueued second"))', innerContext({ log: (line) => log.push(line) }));
  await tick();
  assert.deepStrictEqual(log, ['inner, enqueued second', 'outer, enqueued first']);
  log.length = 0;
  Promise.resolve().then(() => log.push('outer'));
  vm.runInContext('Promise.resolve().then(() => log("shared queue"))', vm.createContext({ log: (line) => log.push(line) }));
  await tick();
  assert.deepStrictEqual(log, ['outer', 'shared queue']);
});

test('PR08 D04', 'the document\'s example needs the name it has defined', async () => {
  const code = (name) => `
    const inner_context = vm.createContext({}, { microtaskMode: 'afterEvaluate' });
    typeof vm.runInContext('Promise.resolve()', ${name}).then;`;
  assert.strictEqual(vm.runInNewContext(code('inner_context'), { vm }), 'function');
  assert.throws(() => vm.runInNewContext(code('context'), { vm }), { name: 'ReferenceError' });
});

test('N36', 'an async function of the inner context is drained within its run', () => {
  const log = [];
  vm.runInContext('(async () => { for (let i = 0; i < 3; i++) { await null; log(i) } })()', innerContext({ log: (line) => log.push(line) }));
  assert.deepStrictEqual(log, [0, 1, 2]);
});
