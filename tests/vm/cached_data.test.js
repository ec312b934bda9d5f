// SPDX-License-Identifier: MIT
// cachedData, produceCachedData, createCachedData() of scripts.
'use strict';
const assert = require('assert');
const vm = require('vm');
const { test, throws } = require('./harness.js');

// V8 answers a source it has compiled before without a look at the data (D09), so each test has a source of its own.
let serial = 0;
const fresh = (value) => `(function cached${++serial}() { return ${value}; })()`;
const bytes = (data) => Array.from(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));

test('SC09 SC10 CD01', 'cached data of the same source is accepted, as Buffer, TypedArray, DataView', () => {
  const source = fresh(42);
  const data = new vm.Script(source).createCachedData();
  assert.ok(Buffer.isBuffer(data));
  assert.ok(data.length > 64);
  const copy = new Uint8Array(data);
  for (const form of [data, copy, new DataView(copy.buffer), new Int8Array(copy.buffer)]) {
    const script = new vm.Script(source, { cachedData: form });
    assert.strictEqual(script.cachedDataRejected, false);
    assert.strictEqual(script.runInThisContext(), 42);
  }
});

test('SC11', 'without cachedData cachedDataRejected is undefined', () => {
  assert.strictEqual(new vm.Script(fresh(1)).cachedDataRejected, undefined);
  assert.strictEqual(new vm.Script(fresh(1), { produceCachedData: true }).cachedDataRejected, undefined);
});

test('SC10 SC12', 'rejected data is no error: the source is compiled', () => {
  const garbage = Buffer.from('this is no code cache at all, but long enough for a header to be read from it');
  const script = new vm.Script(fresh('"right"'), { cachedData: garbage });
  assert.strictEqual(script.cachedDataRejected, true);
  assert.strictEqual(script.runInThisContext(), 'right');
  // Data of a source of another length.
  const other = new vm.Script(`${fresh(1)} /* longer */`).createCachedData();
  const second = new vm.Script(fresh('"right too"'), { cachedData: other });
  assert.strictEqual(second.cachedDataRejected, true);
  assert.strictEqual(second.runInThisContext(), 'right too');
});

test('SC12 D09', 'an empty buffer is rejected', () => {
  const script = new vm.Script(fresh('"right"'), { cachedData: Buffer.alloc(0) });
  assert.strictEqual(script.cachedDataRejected, true);
  assert.strictEqual(script.runInThisContext(), 'right');
});

test('D09', 'an empty buffer is rejected also where V8 has the source compiled', { ours: 'V8 answers from memory' }, () => {
  const source = fresh(1);
  for (let i = 0; i < 3; i++) {
    assert.strictEqual(new vm.Script(source, { cachedData: Buffer.alloc(0) }).cachedDataRejected, true);
  }
});

test('SC13 SC14', 'produceCachedData gives cachedData and cachedDataProduced', () => {
  const source = fresh(42);
  const producer = new vm.Script(source, { produceCachedData: true });
  assert.strictEqual(producer.cachedDataProduced, true);
  assert.ok(Buffer.isBuffer(producer.cachedData));
  const consumer = new vm.Script(source, { cachedData: producer.cachedData });
  assert.strictEqual(consumer.cachedDataRejected, false);
  assert.strictEqual(consumer.runInThisContext(), 42);
});

test('SC13 SC14', 'nothing is produced by default', () => {
  for (const options of [undefined, {}, { produceCachedData: false }]) {
    const script = new vm.Script(fresh(1), options);
    assert.strictEqual(script.cachedData, undefined);
    assert.notStrictEqual(script.cachedDataProduced, true);
  }
});

test('D08', 'produceCachedData does nothing where cachedData is given', { ours: 'Node produces' }, () => {
  const source = fresh(1);
  const cachedData = new vm.Script(source).createCachedData();
  const script = new vm.Script(source, { cachedData, produceCachedData: true });
  assert.strictEqual(script.cachedDataRejected, false);
  assert.notStrictEqual(script.cachedDataProduced, true);
  assert.strictEqual(script.cachedData, undefined);
});

test('CD02', 'createCachedData() before and after a run, any number of times', () => {
  const source = fresh(7);
  const script = new vm.Script(source);
  const all = [script.createCachedData()];
  for (let i = 0; i < 10; i++) {
    assert.strictEqual(script.runInThisContext(), 7);
    all.push(script.createCachedData());
  }
  for (const cachedData of all) {
    const consumer = new vm.Script(source, { cachedData });
    assert.strictEqual(consumer.cachedDataRejected, false);
    assert.strictEqual(consumer.runInNewContext(), 7);
  }
});

test('CD03', 'the data holds no state of JavaScript', () => {
  const source = 'var cd03 = typeof cd03 === "undefined" ? "fresh" : "stale"; cd03';
  const script = new vm.Script(source);
  const first = vm.createContext();
  assert.strictEqual(script.runInContext(first), 'fresh');
  assert.strictEqual(script.runInContext(first), 'stale');
  const consumer = new vm.Script(source, { cachedData: script.createCachedData() });
  assert.strictEqual(consumer.cachedDataRejected, false);
  assert.strictEqual(consumer.runInNewContext(), 'fresh');
});

test('CD04', 'the same data serves many scripts and is not changed by it', () => {
  const source = fresh('[1, "zwei"].length');
  const data = new vm.Script(source).createCachedData();
  const before = bytes(data);
  for (let i = 0; i < 3; i++) {
    const consumer = new vm.Script(source, { cachedData: data });
    assert.strictEqual(consumer.cachedDataRejected, false);
    assert.strictEqual(consumer.runInThisContext(), 2);
  }
  assert.deepStrictEqual(bytes(data), before);
});

test('CD05 CD06', 'data made after a run holds the functions that ran, too', () => {
  const script = new vm.Script(`
function lazy(a, b) {
  const text = 'constants of a function that is not compiled before it is called';
  return a + b + text.length;
}
function never() { return 'never called: never compiled'; }
globalThis.cd06 = () => lazy(1, 2);`);
  const before = script.createCachedData();
  script.runInThisContext();
  const top = script.createCachedData();
  globalThis.cd06();
  const after = script.createCachedData();
  assert.ok(top.length <= after.length, `${top.length} <= ${after.length}`);
  assert.ok(before.length < after.length, `${before.length} < ${after.length}`);
});

test('CD07 D01', 'the first document\'s example is a SyntaxError as printed; the second\'s runs', () => {
  const text = '\nfunction add(a, b) {\n  return a + b;\n}\n\nconst x = add(1, 2);\n';
  throws(() => new vm.Script(`}${text}`), { name: 'SyntaxError' });
  assert.ok(new vm.Script(text).createCachedData().length > 0);
});

test('D23', 'data of a function is refused to a script', { ours: 'Node hands it to V8' }, () => {
  const source = `return ${++serial}`;
  const { cachedData } = vm.compileFunction(source, [], { produceCachedData: true });
  const script = new vm.Script(source.replace('return', 'void  '), { cachedData });
  assert.strictEqual(script.cachedDataRejected, true);
});

test('D23', 'data of another source of the same length is refused', { ours: 'V8 looks at the length only' }, () => {
  const [a, b] = [`(() => 11${++serial})()`, `(() => 22${serial})()`];
  assert.strictEqual(a.length, b.length);
  const script = new vm.Script(b, { cachedData: new vm.Script(a).createCachedData() });
  assert.strictEqual(script.cachedDataRejected, true);
  assert.strictEqual(script.runInThisContext(), Number(`22${serial}`));
});
