// SPDX-License-Identifier: MIT
'use strict';

const assert = require('node:assert');
const strict = require('assert/strict');
console.log(strict === assert.strict, strict.equal === assert.strictEqual);
const passing = [
  () => assert(1), () => assert.ok('x'), () => assert.equal(1, '1'), () => assert.notEqual(1, 2),
  () => assert.strictEqual(NaN, NaN), () => assert.notStrictEqual(0, -0), () => assert.deepEqual({ a: 1 }, { a: '1' }),
  () => assert.deepStrictEqual([1, { a: new Map([[1, new Set([2])]]) }], [1, { a: new Map([[1, new Set([2])]]) }]),
  () => assert.deepStrictEqual(new Date(5), new Date(5)), () => assert.deepStrictEqual(/a/g, /a/g),
  () => assert.deepStrictEqual(Buffer.from('a'), Buffer.from('a')), () => assert.deepStrictEqual(new Error('a'), new Error('a')),
  () => assert.notDeepStrictEqual([1], ['1']), () => assert.throws(() => { throw new TypeError('t'); }, TypeError),
  () => assert.throws(() => { throw new TypeError('t'); }, /^TypeError: t$/),
  () => assert.throws(() => { throw new TypeError('t'); }, { name: 'TypeError', message: /t/ }),
  () => assert.throws(() => { throw new TypeError('t'); }, (error) => error.message === 't'),
  () => assert.doesNotThrow(() => {}), () => assert.ifError(null), () => assert.match('abc', /b/),
  () => assert.doesNotMatch('abc', /x/),
];
for (const check of passing) check();
const failing = [
  () => assert(0), () => assert.ok(''), () => assert.equal(1, 2), () => assert.strictEqual(1, '1'),
  () => assert.notStrictEqual(1, 1), () => assert.deepEqual([1], [2]), () => assert.deepStrictEqual({ a: 1 }, { a: '1' }),
  () => assert.deepStrictEqual([1, , 3], [1, undefined, 3]), () => assert.deepStrictEqual(Object.create(null), {}),
  () => assert.deepStrictEqual(new Map([[1, 2]]), new Map([[1, 3]])), () => assert.throws(() => {}),
  () => assert.throws(() => { throw new Error('a'); }, { message: 'b' }), () => assert.match('a', /b/), () => assert.fail('x'),
  () => assert.ifError(5), () => assert.doesNotThrow(() => { throw new Error('a'); }),
];
for (const check of failing) {
  try {
    check();
    console.log('passed', check.toString());
  } catch (error) {
    console.log(error instanceof assert.AssertionError, error.name, error.code, error instanceof Error);
  }
}
try {
  assert.strictEqual(1, 2, 'my message');
} catch (error) {
  console.log(error.message, error.actual, error.expected, error.operator, error.generatedMessage);
}
try {
  assert(false, new RangeError('own error'));
} catch (error) {
  console.log(error.name);
}
(async () => {
  await assert.rejects(Promise.reject(new Error('r')), /r/);
  await assert.rejects(async () => { throw new TypeError('x'); }, { name: 'TypeError' });
  await assert.doesNotReject(async () => 1);
  console.log(await assert.rejects(async () => 1).catch((error) => error.code));
})();
