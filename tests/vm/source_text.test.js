// SPDX-License-Identifier: MIT
// vm.SourceTextModule.
'use strict';
const assert = require('assert');
const vm = require('vm');
const { test, throws, rejects, not, plain, noLinker, linkWith, evaluated } = require('./harness.js');
const { SourceTextModule, SyntheticModule } = vm;

test('ST01', 'the constructor parses: bad code is a SyntaxError', () => {
  for (const code of ['var 5;', 'export', 'import { a b } from "x"', 'let x; let x;', 'await = 1', 'with (x) {}']) {
    throws(() => new SourceTextModule(code, { identifier: 'st01.mjs' }), { name: 'SyntaxError' });
  }
  globalThis.st01 = 'untouched';
  new SourceTextModule('globalThis.st01 = "run"');
  assert.strictEqual(globalThis.st01, 'untouched');
});

test('ST02 SY04', 'the default identifier is vm:module(i), counted by context', () => {
  const [a, b] = [vm.createContext(), vm.createContext()];
  const made = (context) => new SourceTextModule('', { context }).identifier;
  assert.strictEqual(made(a), 'vm:module(0)');
  assert.strictEqual(made(a), 'vm:module(1)');
  assert.strictEqual(made(b), 'vm:module(0)');
  assert.strictEqual(new SyntheticModule([], () => {}, { context: a }).identifier, 'vm:module(2)');
  assert.strictEqual(new SourceTextModule('', { context: a, identifier: 'mine' }).identifier, 'mine');
  assert.strictEqual(made(a), 'vm:module(3)');
});

let serial = 0;
const fresh = (code) => `${code} /* ${++serial} */`;

test('ST03 ST12', 'cached data of the same code is accepted, made as often as one likes', async () => {
  const code = fresh('export default function f() { return 42 }');
  const module = new SourceTextModule(code);
  const all = [module.createCachedData(), module.createCachedData()];
  await module.link(noLinker);
  all.push(module.createCachedData());
  for (const cachedData of all) {
    assert.ok(Buffer.isBuffer(cachedData) && cachedData.length > 64);
    for (const form of [cachedData, new Uint8Array(cachedData), new DataView(new Uint8Array(cachedData).buffer)]) {
      const second = new SourceTextModule(code, { cachedData: form });
      await second.link(noLinker);
      await second.evaluate();
      assert.strictEqual(second.namespace.default(), 42);
    }
  }
});

test('ST04', 'rejected data throws', () => {
  const want = { code: 'ERR_VM_MODULE_CACHED_DATA_REJECTED', name: 'Error' };
  throws(() => new SourceTextModule(fresh('export default 1'), { cachedData: Buffer.from('garbage '.repeat(20)) }), want);
  throws(() => new SourceTextModule(fresh('export default 2'), { cachedData: Buffer.alloc(0) }), want);
  const { cachedData } = { cachedData: new SourceTextModule(fresh('export default 3')).createCachedData() };
  throws(() => new SourceTextModule(fresh('export default "longer"'), { cachedData }), want);
  const script = new vm.Script(fresh('var x = 3')).createCachedData();
  throws(() => new SourceTextModule(fresh('var y = 4'), { cachedData: script }), want);
});

test('ST05 N31', 'the context option; the default is the context that runs', async () => {
  const context = vm.createContext({ where: 'inside' });
  globalThis.where = 'outside';
  assert.strictEqual((await evaluated('export default where', { context })).namespace.default, 'inside');
  assert.strictEqual((await evaluated('export default where')).namespace.default, 'outside');
  assert.strictEqual((await evaluated('export default globalThis')).namespace.default, globalThis);
  delete globalThis.where;
});

test('ST06', 'lineOffset and columnOffset', async () => {
  const at = async (code, options) => {
    const module = await linkWith(new SourceTextModule(code, { identifier: 'st06.mjs', ...options }), {});
    return (await rejects(module.evaluate(), {})).stack;
  };
  assert.match(await at('throw new Error("x")', {}), /at st06\.mjs:1:7/);
  assert.match(await at('throw new Error("x")', { lineOffset: 9, columnOffset: 100 }), /at st06\.mjs:10:107/);
  assert.match(await at('\nthrow new Error("x")', { lineOffset: 9, columnOffset: 100 }), /at st06\.mjs:11:7/);
});

test('ST07 ST09', 'initializeImportMeta fills import.meta, an object without prototype, once', async () => {
  const calls = [];
  const module = new SourceTextModule('export default import.meta; export const again = import.meta; export const f = () => import.meta', {
    initializeImportMeta(meta, self) {
      calls.push([meta, self]);
      assert.strictEqual(Object.getPrototypeOf(meta), null);
      assert.deepStrictEqual(Reflect.ownKeys(meta), []);
      meta.prop = 42;
    },
  });
  await module.link(noLinker);
  assert.strictEqual(calls.length, 0);
  await module.evaluate();
  const { default: meta, again, f } = module.namespace;
  assert.strictEqual(calls.length, 1);
  assert.strictEqual(calls[0][0], meta);
  assert.strictEqual(calls[0][1], module);
  assert.strictEqual(again, meta);
  assert.strictEqual(f(), meta);
  assert.strictEqual(meta.prop, 42);
});

test('ST07', 'without the option import.meta is empty; what the callback throws is thrown', async () => {
  const { namespace } = await evaluated('export default import.meta');
  assert.strictEqual(Object.getPrototypeOf(namespace.default), null);
  assert.deepStrictEqual(Reflect.ownKeys(namespace.default), []);
  const unused = await evaluated('export default 1', { initializeImportMeta: noLinker });
  assert.strictEqual(unused.namespace.default, 1);
  const thrower = await linkWith(new SourceTextModule('import.meta', { initializeImportMeta() { throw new RangeError('mine'); } }), {});
  await rejects(thrower.evaluate(), { name: 'RangeError', message: 'mine' });
});

test('ST08 D02 EX10', 'an object of the host on import.meta leads to the host\'s realm, one of the context does not', async () => {
  const context = vm.createContext({ secret: 42 });
  const run = (initializeImportMeta) => evaluated('Object.getPrototypeOf(import.meta.prop).leaked = secret', { context, initializeImportMeta });
  await run((meta) => { meta.prop = {}; });
  assert.strictEqual(Object.prototype.leaked, 42);
  delete Object.prototype.leaked;
  await run((meta) => { meta.prop = vm.runInContext('({})', context); });
  assert.strictEqual({}.leaked, undefined);
  assert.strictEqual(vm.runInContext('({}).leaked', context), 42);
});

test('D02', 'the documents\' example as printed, without context, is a ReferenceError', async () => {
  vm.createContext({ secret: 42 });
  const module = new SourceTextModule('Object.getPrototypeOf(import.meta.prop).secret = secret;', {
    initializeImportMeta(meta) { meta.prop = {}; },
  });
  await module.link(() => {});
  await rejects(module.evaluate(), { name: 'ReferenceError', message: 'secret is not defined' });
});

test('ST10', 'importModuleDynamically gets the specifier, the module and the attributes', async () => {
  const calls = [];
  const answer = await evaluated('export default 42');
  const module = await evaluated('export default await import("x", { with: { type: "json" } }); export const f = (name) => import(name)', {
    importModuleDynamically(...args) {
      calls.push(args);
      return answer;
    },
  });
  assert.strictEqual(module.namespace.default, answer.namespace);
  assert.strictEqual((await module.namespace.f('y')).default, 42);
  assert.deepStrictEqual(calls.map(([specifier]) => specifier), ['x', 'y']);
  assert.ok(calls.every(([, referrer]) => referrer === module));
  assert.deepStrictEqual(calls.map(([, , attributes]) => plain(attributes)), [{ type: 'json' }, {}]);
});

test('ST11', 'import() without the option rejects', async () => {
  const { namespace } = await evaluated('export const f = () => import("x")');
  await rejects(namespace.f(), { code: 'ERR_VM_DYNAMIC_IMPORT_CALLBACK_MISSING', name: 'TypeError' });
  const throwing = await linkWith(new SourceTextModule('await import("x")'), {});
  await rejects(throwing.evaluate(), 'ERR_VM_DYNAMIC_IMPORT_CALLBACK_MISSING');
});

test('ST13', 'createCachedData() from the evaluation on throws', async () => {
  const want = { code: 'ERR_VM_MODULE_CANNOT_CREATE_CACHED_DATA', name: 'Error' };
  const done = await evaluated('export default 1');
  throws(() => done.createCachedData(), want);
  const errored = await linkWith(new SourceTextModule('throw 1'), {});
  await errored.evaluate().catch(() => {});
  throws(() => errored.createCachedData(), want);
  const waiting = await linkWith(new SourceTextModule('await new Promise(() => {})'), {});
  waiting.evaluate();
  throws(() => waiting.createCachedData(), want);
});

test('ST14', 'the data holds no state and serves many modules', async () => {
  const code = fresh('let n = 0; export const next = () => ++n');
  const first = new SourceTextModule(code);
  const cachedData = first.createCachedData();
  await first.link(noLinker);
  await first.evaluate();
  assert.strictEqual(first.namespace.next() + first.namespace.next(), 3);
  for (const context of [undefined, vm.createContext(), vm.createContext()]) {
    const second = new SourceTextModule(code, { cachedData, context });
    await second.link(noLinker);
    await second.evaluate();
    assert.strictEqual(second.namespace.next(), 1);
  }
});

test('ST16', 'arguments of the wrong type are refused', () => {
  const refused = (options) => throws(() => new SourceTextModule('', options), { code: 'ERR_INVALID_ARG_TYPE', name: 'TypeError' });
  for (const bad of not('string')) throws(() => new SourceTextModule(bad), 'ERR_INVALID_ARG_TYPE');
  for (const bad of [null, 1, 'text', true]) refused(bad);
  for (const bad of not('undefined', 'string')) refused({ identifier: bad });
  for (const bad of not('undefined')) refused({ context: bad });
  for (const bad of not('undefined')) refused({ cachedData: bad });
  for (const bad of not('undefined', 'function')) refused({ initializeImportMeta: bad });
  for (const bad of not('undefined', 'function', 'symbol')) refused({ importModuleDynamically: bad });
  for (const key of ['lineOffset', 'columnOffset']) {
    for (const bad of not('undefined', 'number')) refused({ [key]: bad });
    for (const bad of [0.5, NaN, 2 ** 31]) throws(() => new SourceTextModule('', { [key]: bad }), 'ERR_OUT_OF_RANGE');
  }
});

test('ST01', 'modules are strict, have no this, and may await at top level', async () => {
  const { namespace } = await evaluated('export default this; export const late = await Promise.resolve(42); export const strict = (function () { return this })()');
  assert.strictEqual(namespace.default, undefined);
  assert.strictEqual(namespace.strict, undefined);
  assert.strictEqual(namespace.late, 42);
});

test('SC18 D14', 'import() of a module that is not linked is refused', async () => {
  const importing = (answer) => new vm.Script('import("x")', { importModuleDynamically: () => answer }).runInThisContext();
  await rejects(importing(new SourceTextModule('export default 1')), 'ERR_VM_MODULE_STATUS');
  const errored = await linkWith(new SourceTextModule('throw new Error("its own")'), {});
  await errored.evaluate().catch(() => {});
  await rejects(importing(errored), { message: 'its own' });
});

test('D14', 'import() of a module that is linked does not evaluate it', async () => {
  globalThis.d14 = 0;
  const linked = await linkWith(new SourceTextModule('d14 += 1; export default 42'), {});
  const importing = () => vm.runInThisContext('import("d14")', { importModuleDynamically: () => linked });
  const namespace = await importing();
  assert.strictEqual(globalThis.d14, 0);
  throws(() => namespace.default, { name: 'ReferenceError' });
  await linked.evaluate();
  assert.strictEqual(await importing(), namespace);
  assert.strictEqual(namespace.default, 42);
});
