// SPDX-License-Identifier: MIT
// vm.measureMemory.
'use strict';
const assert = require('assert');
const vm = require('vm');
const { test, throws } = require('./harness.js');

const measured = (entry) => {
  assert.ok(Number.isSafeInteger(entry.jsMemoryEstimate) && entry.jsMemoryEstimate > 0);
  assert.ok(Array.isArray(entry.jsMemoryRange));
  assert.strictEqual(entry.jsMemoryRange.length, 2);
  const [low, high] = entry.jsMemoryRange;
  assert.ok(low <= entry.jsMemoryEstimate && entry.jsMemoryEstimate <= high, `${low} ${entry.jsMemoryEstimate} ${high}`);
};

test('MM01 MM02 MM05 MM06', 'summary: one total', async () => {
  for (const options of [{ execution: 'eager' }, { mode: 'summary', execution: 'eager' }]) {
    const result = await vm.measureMemory(options);
    measured(result.total);
    assert.strictEqual(result.current, undefined);
    assert.strictEqual(result.other, undefined);
  }
});

test('MM03 MM06 MM09 D22', 'detailed: total, current, and every other context', async () => {
  const contexts = [1, 2].map(() => vm.createContext());
  contexts.forEach((context) => vm.runInContext('var data = Array.from({ length: 50000 }, (_, i) => ({ i }))', context));
  const result = await vm.measureMemory({ mode: 'detailed', execution: 'eager' });
  measured(result.total);
  measured(result.current);
  assert.ok(Array.isArray(result.other));
  assert.ok(result.other.length >= 2, `${result.other.length}`);
  result.other.forEach(measured);
  const large = result.other.filter((entry) => entry.jsMemoryEstimate > 1e6);
  assert.ok(large.length >= 2, 'the two that hold a megabyte');
  assert.ok(result.total.jsMemoryEstimate >= large[0].jsMemoryEstimate + large[1].jsMemoryEstimate);
  assert.strictEqual(vm.runInContext('data.length', contexts[0]), 50000);
});

test('MM04', 'default: a promise that waits for the next collection', async () => {
  let settled = false;
  const promise = vm.measureMemory();
  assert.strictEqual(typeof promise.then, 'function');
  promise.then(() => { settled = true; }, () => {});
  await new Promise((resolve) => setTimeout(resolve, 10));
  assert.strictEqual(settled, false);
  const options = vm.measureMemory({ mode: 'detailed', execution: 'default' });
  assert.strictEqual(typeof options.then, 'function');
  options.catch(() => {});
});

test('MM07', 'the numbers grow with what is held', async () => {
  const total = async () => (await vm.measureMemory({ execution: 'eager' })).total.jsMemoryEstimate;
  const before = await total();
  globalThis.mm07 = Array.from({ length: 200000 }, (_, i) => ({ i }));
  const during = await total();
  delete globalThis.mm07;
  globalThis.gc();
  const after = await total();
  assert.ok(during > before + 2e6, `${before} ${during}`);
  assert.ok(after < during - 2e6, `${during} ${after}`);
});

test('MM10', 'bad options are refused', () => {
  const type = { code: 'ERR_INVALID_ARG_TYPE', name: 'TypeError' };
  const value = { code: 'ERR_INVALID_ARG_VALUE', name: 'TypeError' };
  for (const bad of [null, 'text', 1, true]) throws(() => vm.measureMemory(bad), type);
  for (const bad of ['random', '', 5, null, true]) {
    throws(() => vm.measureMemory({ mode: bad }), value);
    throws(() => vm.measureMemory({ execution: bad }), value);
  }
});

test('N34', 'the result tells WebAssembly\'s code and metadata apart', { node: 22, v8: 12 }, async () => {
  const { WebAssembly } = await vm.measureMemory({ mode: 'detailed', execution: 'eager' });
  assert.ok(Number.isSafeInteger(WebAssembly.code) && WebAssembly.code >= 0);
  assert.ok(Number.isSafeInteger(WebAssembly.metadata) && WebAssembly.metadata >= 0);
});
