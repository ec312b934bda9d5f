// SPDX-License-Identifier: MIT
// vm.Script: compiling, its options, sourceMapURL.
'use strict';
const assert = require('assert');
const fs = require('fs');
const path = require('path');
const vm = require('vm');
const { test, throws, not, rejects, evaluated, plain } = require('./harness.js');

const root = path.join(__dirname, '..', '..');

test('G01', 'code runs at once, or is compiled, kept and run later, with the same result', () => {
  const kept = new vm.Script('var g01 = 20; g01 * 2 + 2');
  assert.strictEqual(vm.runInThisContext('20 * 2 + 2'), 42);
  assert.strictEqual(kept.runInThisContext(), 42);
  assert.strictEqual(kept.runInThisContext(), 42);
});

test('G06', 'the header, the manual and the README say that vm is no security mechanism', () => {
  const text = (name) => fs.readFileSync(path.join(root, name), 'utf8').replace(/\n \*/g, '').replace(/\s+/g, ' ');
  assert.match(text('shim/kv8.h'), /not: a security boundary/);
  assert.match(text('README.md'), /no(t a)? security (boundary|mechanism)/i);
  // And this is why: an object of the host leads to the host.
  const reached = vm.runInNewContext('given.constructor.constructor("return globalThis")()', { given: {} });
  assert.strictEqual(reached, globalThis);
});

test('G07', 'the module classes and measureMemory are marked experimental', () => {
  assert.match(fs.readFileSync(path.join(root, 'shim/kv8_module.h'), 'utf8'), /experimental/);
});

test('SC01', 'compiles without running; a syntax error is thrown by the constructor', () => {
  globalThis.sc01 = 0;
  const script = new vm.Script('sc01 += 1');
  assert.strictEqual(globalThis.sc01, 0);
  script.runInThisContext();
  assert.strictEqual(globalThis.sc01, 1);
  const error = throws(() => new vm.Script('var 5;', 'sc01.js'), { name: 'SyntaxError' });
  assert.ok(error instanceof SyntaxError);
  assert.match(error.stack, /sc01\.js:1/);
});

test('SC01', 'the code is the string as it is, lone surrogates and all', () => {
  const code = '"\ud800".charCodeAt(0)';
  assert.strictEqual(vm.runInThisContext(code), 0xd800);
  assert.strictEqual(vm.compileFunction(`return ${code}`)(), 0xd800);
});

test('SC02', 'a script runs many times', () => {
  const context = vm.createContext({ count: 0 });
  const script = new vm.Script('count += 1');
  for (let i = 1; i <= 10; i++) assert.strictEqual(script.runInContext(context), i);
  assert.strictEqual(context.count, 10);
});

test('SC03', 'a script is bound to a global for each run only', () => {
  const script = new vm.Script('typeof sc03 === "undefined" ? "none" : sc03');
  const a = vm.createContext({ sc03: 'a' });
  const b = vm.createContext({ sc03: 'b' });
  assert.deepStrictEqual([script.runInContext(a), script.runInContext(b), script.runInContext(a)], ['a', 'b', 'a']);
  assert.strictEqual(script.runInThisContext(), 'none');
});

test('SC04', 'filename names the script in stack traces; the default is evalmachine.<anonymous>', () => {
  const stack = (options) => throws(() => new vm.Script('throw new Error("x")', options).runInThisContext(), {}).stack;
  assert.match(stack({ filename: 'sc04.js' }), /at sc04\.js:1:7/);
  assert.match(stack(undefined), /at evalmachine\.<anonymous>:1:7/);
  assert.match(stack({}), /at evalmachine\.<anonymous>:1:7/);
  assert.match(stack({ filename: undefined }), /at evalmachine\.<anonymous>:1:7/);
});

test('SC05', 'a string as options is the filename', () => {
  const error = throws(() => new vm.Script('throw new Error("x")', 'sc05.js').runInThisContext(), {});
  assert.match(error.stack, /at sc05\.js:1:7/);
});

test('SC06', 'lineOffset shifts the lines', () => {
  const script = new vm.Script('throw new Error("x")', { filename: 'sc06.js', lineOffset: 32 });
  assert.match(throws(() => script.runInThisContext(), {}).stack, /at sc06\.js:33:7/);
  const negative = new vm.Script('\n\n\nthrow new Error("x")', { filename: 'sc06.js', lineOffset: -2 });
  assert.match(throws(() => negative.runInThisContext(), {}).stack, /at sc06\.js:2:7/);
});

test('SC07', 'columnOffset shifts the columns of the first line only', () => {
  const options = { filename: 'sc07.js', columnOffset: 123 };
  const first = new vm.Script(' throw new Error("x")', options);
  assert.match(throws(() => first.runInThisContext(), {}).stack, /at sc07\.js:1:131/);
  const second = new vm.Script('\n throw new Error("x")', options);
  assert.match(throws(() => second.runInThisContext(), {}).stack, /at sc07\.js:2:8/);
});

test('SC08', 'lineOffset and columnOffset are 32-bit integers', () => {
  for (const key of ['lineOffset', 'columnOffset']) {
    for (const bad of [0.1, 2 ** 31, 2 ** 32, -(2 ** 31) - 1, NaN, Infinity]) {
      throws(() => new vm.Script('1', { [key]: bad }), { code: 'ERR_OUT_OF_RANGE', name: 'RangeError' });
    }
    for (const bad of ['bad', null, {}, true, () => {}, Symbol('s')]) {
      throws(() => new vm.Script('1', { [key]: bad }), { code: 'ERR_INVALID_ARG_TYPE', name: 'TypeError' });
    }
    for (const good of [0, 7, -7, 2 ** 31 - 1, -(2 ** 31), undefined]) {
      assert.strictEqual(new vm.Script('6 * 7', { [key]: good }).runInThisContext(), 42);
    }
  }
});

test('SC15 SC17', 'importModuleDynamically gets the specifier, the script and the attributes', async () => {
  const calls = [];
  const answer = await evaluated('export default 42');
  const script = new vm.Script('[import("first"), import("second", { with: { type: "json" } })]', {
    importModuleDynamically(...args) {
      calls.push(args);
      return answer;
    },
  });
  assert.strictEqual(calls.length, 0);
  const namespaces = await Promise.all(script.runInThisContext());
  assert.deepStrictEqual(namespaces.map((namespace) => namespace.default), [42, 42]);
  assert.deepStrictEqual(calls.map(([specifier]) => specifier), ['first', 'second']);
  assert.strictEqual(calls[0][1], script);
  assert.strictEqual(calls[1][1], script);
  assert.deepStrictEqual(calls.map(([, , attributes]) => plain(attributes)), [{}, { type: 'json' }]);
});

test('SC16', 'without importModuleDynamically import() rejects', async () => {
  for (const run of ['runInThisContext', 'runInNewContext']) {
    const promise = new vm.Script('import("x")')[run]();
    await rejects(promise, { code: 'ERR_VM_DYNAMIC_IMPORT_CALLBACK_MISSING', name: 'TypeError' });
  }
});

test('SC18 D13', 'the callback may give a vm.Module or a namespace; a then export is called', async () => {
  const answer = await evaluated('export default 42');
  const importing = (give) => new vm.Script('import("x")', { importModuleDynamically: give }).runInThisContext();
  assert.strictEqual(await importing(() => answer), answer.namespace);
  assert.strictEqual(await importing(async () => answer), answer.namespace);
  assert.strictEqual(await importing(() => answer.namespace), answer.namespace);
  const thenable = await evaluated('export function then(resolve) { resolve("thenable!") }');
  assert.strictEqual(await importing(() => thenable), 'thenable!');
  await rejects(importing(async () => thenable.namespace), 'ERR_VM_MODULE_NOT_MODULE');
  for (const bad of [undefined, null, 5, {}, 'text']) await rejects(importing(() => bad), 'ERR_VM_MODULE_NOT_MODULE');
  const reason = new Error('mine');
  await rejects(importing(() => Promise.reject(reason)), { message: 'mine' });
  await rejects(importing(() => { throw reason; }), { message: 'mine' });
});

test('SC18', 'the callback serves functions of the script long after it was run and dropped', async () => {
  const answer = await evaluated('export default "late"');
  const later = new vm.Script('() => import("x")', { importModuleDynamically: () => answer }).runInThisContext();
  for (let i = 0; i < 3; i++) {
    globalThis.gc();
    assert.strictEqual((await later()).default, 'late');
  }
});

test('SC19', 'options of the wrong type are refused', () => {
  const refused = (options) => throws(() => new vm.Script('1', options), { code: 'ERR_INVALID_ARG_TYPE', name: 'TypeError' });
  for (const bad of [null, 1, true, () => {}, Symbol('s')]) refused(bad);
  for (const bad of not('undefined', 'string')) refused({ filename: bad });
  for (const bad of not('undefined', 'boolean')) refused({ produceCachedData: bad });
  for (const bad of not('undefined')) refused({ cachedData: bad });
  for (const bad of not('undefined', 'function', 'symbol')) refused({ importModuleDynamically: bad });
});

test('SC20', 'code is converted to a string; what the conversion throws is thrown', () => {
  assert.strictEqual(new vm.Script({ toString: () => '6 * 7' }).runInThisContext(), 42);
  assert.strictEqual(new vm.Script(42).runInThisContext(), 42);
  assert.strictEqual(new vm.Script(undefined).runInThisContext(), undefined);
  throws(() => new vm.Script({ toString() { throw new RangeError('no text'); } }), { message: 'no text' });
  throws(() => new vm.Script(Symbol('s')), { name: 'TypeError' });
});

test('SM01', 'sourceMapURL is that of the magic comment', () => {
  const source = 'function f() {}\n//# sourceMappingURL=sourcemap.json';
  assert.strictEqual(new vm.Script(source).sourceMapURL, 'sourcemap.json');
});

test('SM02', 'sourceMapURL is undefined without the magic comment', () => {
  assert.strictEqual(new vm.Script('function g() {}').sourceMapURL, undefined);
  assert.strictEqual(new vm.Script('function h() {}\n// sourceMappingURL=sourcemap.json').sourceMapURL, undefined);
});

test('OLD03 OLD05', 'Script, as all classes of vm, needs new', () => {
  throws(() => vm.Script('1'), { name: 'TypeError' });
});
