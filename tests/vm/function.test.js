// SPDX-License-Identifier: MIT
// vm.compileFunction.
'use strict';
const assert = require('assert');
const vm = require('vm');
const { test, throws, rejects, not, plain, evaluated } = require('./harness.js');

test('CF01 CF02', 'compiles code to a function with these parameters', () => {
  const add = vm.compileFunction('return a + b + (typeof this)', ['a', 'b']);
  assert.strictEqual(typeof add, 'function');
  assert.strictEqual(add.length, 2);
  assert.strictEqual(add('x', 'y'), 'xyobject');
  assert.strictEqual(vm.compileFunction('return arguments.length')(1, 2, 3), 3);
  assert.strictEqual(vm.compileFunction('"use strict"; return this').call(5), 5);
  assert.strictEqual(vm.compileFunction('').length, 0);
  assert.strictEqual(vm.compileFunction('')(), undefined);
  assert.strictEqual(vm.compileFunction('return console') instanceof Function, true);
  assert.strictEqual(vm.compileFunction('return typeof local')(), 'undefined');
});

test('CF03 D11', 'the default filename is empty', () => {
  const error = throws(vm.compileFunction('throw new Error("x")'), {});
  assert.match(error.stack, /at (<anonymous>|Object\.<anonymous>|\(?:?1:7).*/);
  assert.match(throws(vm.compileFunction('throw new Error("x")', [], { filename: 'cf03.js' }), {}).stack, /cf03\.js:1:7/);
});

test('CF04', 'lineOffset and columnOffset', () => {
  const stack = (options) => throws(vm.compileFunction('throw new Error("x")', [], { filename: 'cf04.js', ...options }), {}).stack;
  assert.match(stack({ lineOffset: 3 }), /cf04\.js:4:7/);
  assert.match(stack({ columnOffset: 3 }), /cf04\.js:1:10/);
});

let serial = 0;
const fresh = (value) => `return ${value} + a /* ${++serial} */`;

test('CF05 CF06 N32', 'cachedData of the same code and parameters is accepted', () => {
  const code = fresh(40);
  const producer = vm.compileFunction(code, ['a'], { produceCachedData: true });
  assert.strictEqual(producer.cachedDataProduced, true);
  assert.ok(Buffer.isBuffer(producer.cachedData) && producer.cachedData.length > 64);
  const copy = new Uint8Array(producer.cachedData);
  for (const cachedData of [producer.cachedData, copy, new DataView(copy.buffer)]) {
    const consumer = vm.compileFunction(code, ['a'], { cachedData });
    assert.strictEqual(consumer.cachedDataRejected, false);
    assert.strictEqual(consumer(2), 42);
  }
});

test('CF05', 'rejected data is no error', () => {
  for (const cachedData of [Buffer.from('garbage '.repeat(20)), Buffer.alloc(0)]) {
    const f = vm.compileFunction(fresh(40), ['a'], { cachedData });
    assert.strictEqual(f.cachedDataRejected, true);
    assert.strictEqual(f(2), 42);
  }
});

test('CF05 CF06', 'without the options there are no such properties', () => {
  const f = vm.compileFunction(fresh(1), ['a']);
  assert.strictEqual(f.cachedDataRejected, undefined);
  assert.strictEqual(f.cachedData, undefined);
  assert.notStrictEqual(f.cachedDataProduced, true);
});

test('D23 N32', 'data of other parameters is refused', { ours: 'V8 does not look at parameters' }, () => {
  const code = `return a + "/" + b /* ${++serial} */`;
  const { cachedData } = vm.compileFunction(code, ['a', 'b'], { produceCachedData: true });
  const swapped = vm.compileFunction(code, ['b', 'a'], { cachedData });
  assert.strictEqual(swapped.cachedDataRejected, true);
  assert.strictEqual(swapped(1, 2), '2/1');
});

test('CF07', 'parsingContext', () => {
  const context = vm.createContext({ inContext: 'inside' });
  vm.runInContext('var varInContext = "too"', context);
  const f = vm.compileFunction('return inContext + varInContext', [], { parsingContext: context });
  assert.strictEqual(f(), 'insidetoo');
  assert.strictEqual(f instanceof Function, false);
  assert.strictEqual(f instanceof vm.runInContext('Function', context), true);
  vm.compileFunction('made = 1', [], { parsingContext: context })();
  assert.strictEqual(context.made, 1);
  for (const bad of not('undefined')) throws(() => vm.compileFunction('', [], { parsingContext: bad }), 'ERR_INVALID_ARG_TYPE');
});

test('CF08', 'contextExtensions wrap the scope; the last is the innermost', () => {
  const compile = (code, contextExtensions, more) => vm.compileFunction(code, [], { contextExtensions, ...more });
  assert.strictEqual(compile('return a', [{ a: 5 }])(), 5);
  assert.strictEqual(compile('return a + b', [{ a: 5, b: 1 }, { a: 6 }])(), 7);
  const extension = { a: 5 };
  compile('a = 8', [extension])();
  assert.strictEqual(extension.a, 8);
  extension.a = 9;
  assert.strictEqual(compile('return a', [extension])(), 9);
  const context = vm.createContext({ a: 'global', c: 'global' });
  assert.strictEqual(compile('return a + c', [{ a: 'extension ' }], { parsingContext: context })(), 'extension global');
  assert.strictEqual(compile('return 1', [])(), 1);
});

test('CF09', 'importModuleDynamically gets the specifier, the function and the attributes', async () => {
  const calls = [];
  const answer = await evaluated('export default 42');
  const f = vm.compileFunction('return import(name, { with: { type: "json" } })', ['name'], {
    importModuleDynamically(...args) {
      calls.push(args);
      return answer;
    },
  });
  assert.strictEqual(await f('x'), answer.namespace);
  assert.strictEqual(calls[0][0], 'x');
  assert.strictEqual(calls[0][1], f);
  assert.deepStrictEqual(plain(calls[0][2]), { type: 'json' });
  await rejects(vm.compileFunction('return import("x")')(), 'ERR_VM_DYNAMIC_IMPORT_CALLBACK_MISSING');
});

test('CF10', 'return is allowed; a body cannot break out of its function', () => {
  assert.strictEqual(vm.compileFunction('return 42; throw 1')(), 42);
  for (const body of ['});\n\n(function() {\nconsole.log(1);\n})();\n\n(function() {', '}', '*/ }', '}) + (() => {', '{']) {
    throws(() => vm.compileFunction(body), { name: 'SyntaxError' });
  }
  assert.strictEqual(vm.compileFunction('return 42 // a comment at the end')(), 42);
});

test('CF11', 'arguments of the wrong type are refused', () => {
  const want = { code: 'ERR_INVALID_ARG_TYPE', name: 'TypeError' };
  for (const bad of not('string')) throws(() => vm.compileFunction(bad), want);
  for (const bad of not('undefined', 'array')) throws(() => vm.compileFunction('', bad), want);
  for (const bad of not('string')) throws(() => vm.compileFunction('', [bad]), want);
  for (const bad of [null, 1, 'text', true]) throws(() => vm.compileFunction('', [], bad), want);
  const refused = (options) => throws(() => vm.compileFunction('', [], options), want);
  for (const bad of not('undefined', 'string')) refused({ filename: bad });
  for (const bad of not('undefined', 'number')) {
    refused({ lineOffset: bad });
    refused({ columnOffset: bad });
  }
  for (const bad of not('undefined')) refused({ cachedData: bad });
  for (const bad of not('undefined', 'boolean')) refused({ produceCachedData: bad });
  for (const bad of not('undefined', 'array')) refused({ contextExtensions: bad });
  for (const bad of not('undefined', 'function', 'symbol')) refused({ importModuleDynamically: bad });
});

test('CF11', 'a contextExtension that is no object is refused', { ours: 'Node aborts' }, () => {
  for (const bad of [undefined, null, 1, 'text', true]) {
    throws(() => vm.compileFunction('', [], { contextExtensions: [{}, bad] }), { code: 'ERR_INVALID_ARG_TYPE', name: 'TypeError' });
  }
});

test('CF12 D24 P12', 'parameters that are no identifiers are a SyntaxError', { ours: 'Node crashes or throws nothing' }, () => {
  for (const bad of ['x y', '', '{a}', 'a=1', '...rest', '1', 'a,b', 'if', 'a\n', ') {', '/**/', 'a/**/']) {
    throws(() => vm.compileFunction('return 1', [bad]), { name: 'SyntaxError' });
  }
});

test('CF12', 'any identifier will do as a parameter', () => {
  for (const name of ['a', '_', '$', 'ünïcode', 'of', 'async', 'let', 'a1']) {
    assert.strictEqual(vm.compileFunction(`return ${name}`, [name])(42), 42, name);
  }
});

test('CF01', 'a syntax error is thrown with its place', () => {
  const error = throws(() => vm.compileFunction('\n  var 5;', [], { filename: 'cf01.js' }), { name: 'SyntaxError' });
  assert.match(error.stack, /cf01\.js:2/);
});
