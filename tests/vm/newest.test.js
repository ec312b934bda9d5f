// SPDX-License-Identifier: MIT
// What the newest Node has beyond the seed documents. The oracle is Node 24, or 26 where that is said.
'use strict';
const assert = require('assert');
const path = require('path');
const vm = require('vm');
const { test, throws, rejects, plain, tick, noLinker, linkWith, evaluated, v8Major } = require('./harness.js');
const { SourceTextModule, SyntheticModule } = vm;
const { DONT_CONTEXTIFY, USE_MAIN_CONTEXT_DEFAULT_LOADER } = vm.constants || {};

test('N01', 'vm.constants is a frozen object of symbols', { node: 22 }, () => {
  assert.ok(Object.isFrozen(vm.constants));
  assert.strictEqual(typeof DONT_CONTEXTIFY, 'symbol');
  assert.strictEqual(typeof USE_MAIN_CONTEXT_DEFAULT_LOADER, 'symbol');
  assert.notStrictEqual(DONT_CONTEXTIFY, USE_MAIN_CONTEXT_DEFAULT_LOADER);
});

test('N02 N03', 'DONT_CONTEXTIFY makes an ordinary global, and gives it', { node: 22 }, () => {
  const global = vm.createContext(DONT_CONTEXTIFY);
  assert.strictEqual(vm.runInContext('globalThis', global), global);
  assert.strictEqual(vm.runInContext('this', global), global);
  for (const run of [
    () => vm.runInNewContext('var n02 = 1; globalThis', DONT_CONTEXTIFY),
    () => new vm.Script('var n02 = 1; globalThis').runInNewContext(DONT_CONTEXTIFY),
  ]) {
    const made = run();
    assert.strictEqual(made.n02, 1);
    assert.strictEqual(vm.runInContext('globalThis', made), made);
  }
  assert.strictEqual(typeof n02, 'undefined');
  throws(() => vm.createContext(Symbol('any other')), 'ERR_INVALID_ARG_TYPE');
});

test('N04', 'its built-ins and globals are there from outside, to read and to change', { node: 22 }, () => {
  const global = vm.createContext(DONT_CONTEXTIFY);
  assert.strictEqual(global.Array, vm.runInContext('Array', global));
  assert.notStrictEqual(global.Array, Array);
  global.given = 41;
  assert.strictEqual(vm.runInContext('given += 1', global), 42);
  assert.strictEqual(global.given, 42);
  vm.runInContext('var made = "inside"; let hidden = 1; function f() { return made }', global);
  assert.strictEqual(global.made, 'inside');
  assert.strictEqual(global.hidden, undefined);
  global.made = 'outside';
  assert.strictEqual(global.f(), 'outside');
  Object.defineProperty(global, 'fixed', { value: 1 });
  throws(() => vm.runInContext('"use strict"; fixed = 2', global), { name: 'TypeError' });
  delete global.given;
  assert.strictEqual(vm.runInContext('typeof given', global), 'undefined');
});

test('N05', 'it can be frozen, from inside and from outside', { node: 22 }, () => {
  const inside = vm.createContext(DONT_CONTEXTIFY);
  vm.runInContext('foo = 1; Object.freeze(globalThis)', inside);
  const outside = vm.createContext(DONT_CONTEXTIFY);
  vm.runInContext('foo = 1', outside);
  assert.strictEqual(Object.freeze(outside), outside);
  for (const global of [inside, outside]) {
    assert.ok(Object.isFrozen(global));
    throws(() => vm.runInContext('bar = 1; bar', global), { name: 'ReferenceError' });
    assert.strictEqual(vm.runInContext('foo = 2; foo', global), 1);
    throws(() => vm.runInContext('"use strict"; foo = 2', global), { name: 'TypeError' });
    assert.strictEqual(vm.runInContext('let own = 1; own', global), 1);
  }
});

test('N06', 'a contextified global cannot be frozen, and is not the object', { node: 22 }, () => {
  const context = vm.createContext({ x: 1 });
  throws(() => vm.runInContext('Object.freeze(globalThis)', context), { name: 'TypeError', message: /Cannot freeze/ });
  assert.notStrictEqual(vm.runInContext('globalThis', context), context);
});

test('N07', 'its own built-ins are not enumerable; createContext() gives it back', { node: 22 }, () => {
  const global = vm.createContext(DONT_CONTEXTIFY);
  const keys = () => Object.keys(global).filter((key) => key !== 'gc'); // --expose-gc defines it in every context
  assert.deepStrictEqual(keys(), []);
  assert.ok(Object.getOwnPropertyNames(global).includes('Array'));
  assert.strictEqual(vm.createContext(global), global);
  vm.runInContext('var seen = 1', global);
  assert.deepStrictEqual(keys(), ['seen']);
});

test('N08 D20', 'isContext() of such a global is true', { node: 22 }, () => {
  assert.strictEqual(vm.isContext(vm.createContext(DONT_CONTEXTIFY)), true);
  assert.strictEqual(vm.isContext(vm.runInNewContext('globalThis', DONT_CONTEXTIFY)), true);
});

test('N09', 'createContext() without an object still contextifies a new one', () => {
  const context = vm.createContext();
  assert.notStrictEqual(vm.runInContext('globalThis', context), context);
  assert.strictEqual(context.Array, undefined);
});

test('N02', 'options hold for an ordinary global, too', { node: 22 }, () => {
  const log = [];
  const global = vm.createContext(DONT_CONTEXTIFY, { codeGeneration: { strings: false }, microtaskMode: 'afterEvaluate', name: 'plain' });
  global.log = (line) => log.push(line);
  throws(() => vm.runInContext('eval("1")', global), { name: 'EvalError' });
  vm.runInContext('Promise.resolve().then(() => log("micro")); log("sync")', global);
  assert.deepStrictEqual(log, ['sync', 'micro']);
  throws(() => vm.runInContext('Promise.resolve().then(() => { while (true); })', global, { timeout: 20 }), 'ERR_SCRIPT_EXECUTION_TIMEOUT');
  const made = vm.compileFunction('return globalThis', [], { parsingContext: global });
  assert.strictEqual(made(), global);
});

const filename = path.join(__dirname, 'a-script-that-is-no-file.js');

test('N10 N11', 'USE_MAIN_CONTEXT_DEFAULT_LOADER resolves by the filename, and evaluates each file once', { node: 22 }, async () => {
  const options = { filename, importModuleDynamically: USE_MAIN_CONTEXT_DEFAULT_LOADER };
  const first = await new vm.Script('import("./data/n11.mjs")', options).runInThisContext();
  assert.strictEqual(first.default, 1);
  assert.strictEqual(await vm.runInThisContext('import("./data/n11.mjs") /* 2 */', options), first);
  assert.strictEqual(await vm.compileFunction('return import("./data/n11.mjs")', [], options)(), first);
  assert.strictEqual((await vm.runInThisContext('import("node:vm")', options)).default, vm);
  await rejects(vm.runInThisContext('import("./data/there-is-no-such-file.mjs")', options), {});
  throws(() => new SourceTextModule('', { importModuleDynamically: USE_MAIN_CONTEXT_DEFAULT_LOADER }), 'ERR_INVALID_ARG_TYPE');
});

test('N12', 'a context\'s importModuleDynamically answers import() without a referrer of its own', { node: 22 }, async () => {
  const calls = [];
  const context = vm.createContext({}, {
    importModuleDynamically(...args) {
      calls.push(args);
      return answer;
    },
  });
  const answer = await evaluated('export default 42', { context });
  const namespace = await vm.runInContext('Promise.resolve("import(\'x\')").then(eval)', context);
  assert.strictEqual(namespace.default, 42);
  assert.strictEqual(calls.length, 1);
  assert.strictEqual(calls[0][0], 'x');
  assert.strictEqual(calls[0][1], context);
  assert.deepStrictEqual(plain(calls[0][2]), {});
  // A script is a referrer, and has no callback of its own.
  await rejects(vm.runInContext('import("x")', context), 'ERR_VM_DYNAMIC_IMPORT_CALLBACK_MISSING');
  for (const bad of [null, 1, 'text', {}]) throws(() => vm.createContext({}, { importModuleDynamically: bad }), 'ERR_INVALID_ARG_TYPE');
});

test('N14', 'importModuleDynamically gets the phase as its fourth argument', { node: 24 }, async () => {
  const answer = await evaluated('export default 42');
  let phase;
  const importModuleDynamically = (specifier, referrer, attributes, given) => {
    phase = given;
    return answer;
  };
  await vm.runInThisContext('import("n14")', { importModuleDynamically });
  assert.strictEqual(phase, 'evaluation');
});

test('N15', 'attributes have a null prototype; extra.assert is extra.attributes', async () => {
  const extras = [];
  const module = new SourceTextModule('import "a" with { type: "json" }');
  await module.link((specifier, referrer, extra) => {
    extras.push(extra);
    return new SourceTextModule('');
  });
  assert.deepStrictEqual(plain(extras[0].attributes), { type: 'json' });
  assert.deepStrictEqual(plain(extras[0].assert), { type: 'json' });
});

test('N16', 'the linker may refuse attributes it does not know', async () => {
  const module = new SourceTextModule('import "a" with { strange: "x" }');
  const linker = (specifier, referrer, { attributes }) => {
    for (const key of Object.keys(attributes)) if (key !== 'type') throw new TypeError(`attribute ${key}`);
  };
  await rejects(module.link(linker), { name: 'TypeError', message: 'attribute strange' });
});

test('N23', 'moduleRequests: frozen, with attributes and phase, each request once', { node: 24 }, () => {
  const source = 'import a from "a"; import { b } from "a"; import c from "a" with { type: "json" }; export * from "b"; import("c")';
  const { moduleRequests } = new SourceTextModule(source);
  assert.deepStrictEqual(plain(moduleRequests), [
    { specifier: 'a', attributes: {}, phase: 'evaluation' },
    { specifier: 'a', attributes: { type: 'json' }, phase: 'evaluation' },
    { specifier: 'b', attributes: {}, phase: 'evaluation' },
  ]);
  assert.ok(Object.isFrozen(moduleRequests));
  for (const request of moduleRequests) {
    assert.ok(Object.isFrozen(request) && Object.isFrozen(request.attributes));
    assert.strictEqual(Object.getPrototypeOf(request.attributes), null);
  }
  assert.deepStrictEqual(plain(new SourceTextModule('').moduleRequests), []);
});

test('N24', 'dependencySpecifiers are the specifiers of moduleRequests', { node: 24 }, () => {
  const module = new SourceTextModule('import "a"; import "a" with { type: "json" }; import "b"');
  assert.deepStrictEqual([...module.dependencySpecifiers], module.moduleRequests.map(({ specifier }) => specifier));
  assert.strictEqual(new SyntheticModule([], () => {}).dependencySpecifiers, undefined);
});

test('N25', 'linkRequests() answers all requests at once, in their order', { node: 24 }, async () => {
  const a = new SourceTextModule('export default "a"');
  const b = new SyntheticModule(['default'], function () { this.setExport('default', 'b'); });
  const module = new SourceTextModule('import a from "a"; import b from "b"; export default a + b');
  assert.strictEqual(module.linkRequests([a, b]), undefined);
  a.linkRequests([]);
  assert.strictEqual(module.instantiate(), undefined);
  assert.strictEqual(module.status, 'linked');
  await module.evaluate();
  assert.strictEqual(module.namespace.default, 'ab');
});

test('N25', 'linkRequests() refuses wrong counts, what is no module, other contexts', { node: 24 }, () => {
  const a = new SourceTextModule('');
  const module = new SourceTextModule('import "a"; import "b"');
  for (const bad of [[], [a], [a, a, a]]) throws(() => module.linkRequests(bad), 'ERR_MODULE_LINK_MISMATCH');
  for (const bad of [[1, 2], [a, null], [{}, a]]) throws(() => module.linkRequests(bad), 'ERR_VM_MODULE_NOT_MODULE');
  for (const bad of [null, undefined, 1, 'text', { length: 2 }]) throws(() => module.linkRequests(bad), 'ERR_INVALID_ARG_TYPE');
  const elsewhere = new SourceTextModule('', { context: vm.createContext() });
  throws(() => module.linkRequests([a, elsewhere]), 'ERR_VM_MODULE_DIFFERENT_CONTEXT');
  module.linkRequests([a, a]);
  a.linkRequests([]);
  module.instantiate();
  throws(() => module.linkRequests([a, a]), { code: /^ERR_VM_MODULE_(STATUS|ALREADY_LINKED)$/ });
});

test('N27 OLD09', 'instantiate() is synchronous', { node: 24 }, () => {
  const module = new SourceTextModule('export { x as y } from "x"');
  const x = new SourceTextModule('export const x = 1');
  throws(() => module.instantiate(), 'ERR_VM_MODULE_LINK_FAILURE');
  module.linkRequests([x]);
  x.linkRequests([]);
  assert.strictEqual(module.instantiate(), undefined);
  assert.deepStrictEqual([module.status, x.status], ['linked', 'linked']);
});

test('OLD09', 'instantiate() again does nothing, as in 2018', { ours: 'it throws in Node 24' }, async () => {
  const module = new SourceTextModule('export default 42');
  module.linkRequests([]);
  for (let i = 0; i < 3; i++) assert.strictEqual(module.instantiate(), undefined);
  await module.evaluate();
  assert.strictEqual(module.instantiate(), undefined);
  assert.strictEqual(module.namespace.default, 42);
});

test('N27 N37 P29', 'instantiate() wants every request of the graph answered, and says whose is not', { node: 24 }, () => {
  const root = new SourceTextModule('import "q"', { identifier: 'root.mjs' });
  const q = new SourceTextModule('import "root"; import "z"', { identifier: 'q.mjs' });
  const z = new SourceTextModule('export default 1', { identifier: 'z.mjs' });
  root.linkRequests([q]);
  throws(() => root.instantiate(), { code: 'ERR_VM_MODULE_LINK_FAILURE', message: /q\.mjs/ });
  assert.strictEqual(root.status, 'unlinked');
  q.linkRequests([root, z]);
  z.linkRequests([]);
  root.instantiate();
  assert.deepStrictEqual([root.status, q.status, z.status], ['linked', 'linked', 'linked']);
});

test('N27', 'instantiate() throws a SyntaxError for a missing export', { node: 24 }, () => {
  const module = new SourceTextModule('import { nothing } from "x"');
  const x = new SourceTextModule('export const something = 1');
  module.linkRequests([x]);
  x.linkRequests([]);
  throws(() => module.instantiate(), { name: 'SyntaxError', message: /nothing/ });
  assert.strictEqual(module.status, 'unlinked');
});

test('N28', 'hasTopLevelAwait() is about this module alone', { node: 24 }, async () => {
  assert.strictEqual(new SourceTextModule('await 0').hasTopLevelAwait(), true);
  assert.strictEqual(new SourceTextModule('for await (const x of []);').hasTopLevelAwait(), true);
  assert.strictEqual(new SourceTextModule('async () => { await 0 }').hasTopLevelAwait(), false);
  const module = await linkWith(new SourceTextModule('import "x"'), { x: 'await 0' });
  assert.strictEqual(module.hasTopLevelAwait(), false);
});

test('N29', 'hasAsyncGraph() is about the graph, once it is instantiated', { node: 24 }, async () => {
  throws(() => new SourceTextModule('await 0').hasAsyncGraph(), 'ERR_VM_MODULE_STATUS');
  const deep = await linkWith(new SourceTextModule('import "x"'), { x: 'import "y"', y: 'await 0' });
  assert.strictEqual(deep.hasAsyncGraph(), true);
  const none = await linkWith(new SourceTextModule('import "x"'), { x: 'export default 1' });
  assert.strictEqual(none.hasAsyncGraph(), false);
  await deep.evaluate();
  assert.strictEqual(deep.hasAsyncGraph(), true);
});

test('N30', 'import source parses from V8 13 on; before it is a SyntaxError', () => {
  const parse = () => new SourceTextModule('import source x from "y"');
  if (v8Major < 13) throws(parse, { name: 'SyntaxError' });
  else assert.strictEqual(parse().moduleRequests[0].phase, 'source');
});

test('N26 N30', 'a source-phase request and one of evaluation are answered by the same module', { v8: 13, node: 24 }, async () => {
  const make = () => new SourceTextModule('import source x from "y"; import "y"');
  const y = new SourceTextModule('');
  throws(() => make().linkRequests([y, new SourceTextModule('')]), 'ERR_MODULE_LINK_MISMATCH');
  const module = make();
  y.linkRequests([]);
  module.linkRequests([y, y]);
  throws(() => module.instantiate(), { name: 'SyntaxError' });
});

test('N39', 'import defer is a SyntaxError where V8 does not have it', () => {
  // No V8 tested here, up to 14.6, has it switched on.
  throws(() => new SourceTextModule('import defer * as x from "y"'), { name: 'SyntaxError' });
});

test('N22', 'link() of a synthetic module is optional, its linker is never called', { node: 24 }, async () => {
  const synthetic = new SyntheticModule(['x'], function () { this.setExport('x', 42); });
  const module = new SourceTextModule('import { x } from "s"; export default x');
  module.linkRequests([synthetic]);
  module.instantiate();
  await module.evaluate();
  assert.strictEqual(module.namespace.default, 42);
  const alone = new SyntheticModule([], () => {});
  await alone.link(noLinker);
  assert.strictEqual(await alone.evaluate(), undefined);
});

test('N17 N25', 'a module without imports needs no promise at all', { node: 26 }, async () => {
  const module = new SourceTextModule('export default 42');
  module.linkRequests([]);
  module.instantiate();
  const done = module.evaluate();
  assert.strictEqual(module.status, 'evaluated');
  assert.strictEqual(module.namespace.default, 42);
  await done;
  const failing = new SourceTextModule('throw new Error("at once")');
  failing.linkRequests([]);
  failing.instantiate();
  const failed = failing.evaluate();
  assert.strictEqual(failing.status, 'errored');
  await rejects(failed, { message: 'at once' });
  await tick();
});
