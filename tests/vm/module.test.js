// SPDX-License-Identifier: MIT
// vm.Module: what source text and synthetic modules have in common; status, error, namespace, evaluate().
'use strict';
const assert = require('assert');
const vm = require('vm');
const { test, throws, rejects, not, tick, noLinker, linkWith, evaluated } = require('./harness.js');
const { SourceTextModule, SyntheticModule } = vm;

const statusError = (message) => ({ code: 'ERR_VM_MODULE_STATUS', name: 'Error', message });

// A module in each of its statuses.
async function inEveryStatus() {
  const modules = { unlinked: new SourceTextModule('import "x"') };
  modules.linking = new SourceTextModule('import "x"');
  modules.linking.link(() => new Promise(() => {})).catch(() => {});
  modules.linked = await linkWith(new SourceTextModule('export default 1'), {});
  modules.evaluating = await linkWith(new SourceTextModule('await new Promise(() => {})'), {});
  modules.evaluating.evaluate();
  modules.evaluated = await evaluated('export default 1');
  modules.errored = await linkWith(new SourceTextModule('throw new Error("mine")'), {});
  await modules.errored.evaluate().catch(() => {});
  return modules;
}

test('G08', 'with --experimental-vm-modules there are module classes', () => {
  for (const name of ['Module', 'SourceTextModule', 'SyntheticModule']) assert.strictEqual(typeof vm[name], 'function');
});

test('MO01 ST15', 'both classes extend vm.Module', () => {
  assert.ok(new SourceTextModule('') instanceof vm.Module);
  assert.ok(new SyntheticModule([], () => {}) instanceof vm.Module);
  assert.strictEqual(Object.getPrototypeOf(SourceTextModule), vm.Module);
  assert.strictEqual(Object.getPrototypeOf(SyntheticModule), vm.Module);
});

test('MO02', 'a module is bound to a context from its creation', async () => {
  const context = vm.createContext({ secret: 42 });
  const module = new SourceTextModule('export default secret', { context });
  assert.strictEqual(module.context, context);
  assert.strictEqual(new SourceTextModule('').context, undefined);
  await module.link(noLinker);
  await module.evaluate();
  assert.strictEqual(module.namespace.default, 42);
});

test('MO03 MO04', 'create, link, evaluate: the last two give promises', async () => {
  const module = new SourceTextModule('export default 6 * 7');
  const linked = module.link(noLinker);
  assert.strictEqual(typeof linked.then, 'function');
  assert.strictEqual(await linked, undefined);
  const done = module.evaluate();
  assert.strictEqual(typeof done.then, 'function');
  assert.strictEqual(await done, undefined);
  assert.strictEqual(module.namespace.default, 42);
});

test('MO05', 'nothing is loaded: a specifier is the linker\'s business, whatever it looks like', async () => {
  const seen = [];
  const names = ['fs', './module.test.js', 'file:///etc/passwd', 'http://localhost:1/x.js'];
  const module = new SourceTextModule(names.map((name) => `import "${name}"`).join('; '));
  await module.link((specifier) => {
    seen.push(specifier);
    return new SourceTextModule('');
  });
  await module.evaluate();
  assert.deepStrictEqual(seen, names);
});

test('MO06', 'vm.Module itself cannot be constructed', () => {
  throws(() => new vm.Module(), { name: 'TypeError', message: 'Module is not a constructor' });
});

test('MO07 MO09', 'dependencySpecifiers are those of the source, in its order', () => {
  const module = new SourceTextModule('import a from "a"; export * from "b"; import "c"; export { d } from "d"; import("e")');
  assert.deepStrictEqual([...module.dependencySpecifiers], ['a', 'b', 'c', 'd']);
  assert.deepStrictEqual([...new SourceTextModule('').dependencySpecifiers], []);
});

test('MO08 OLD15 D05', 'dependencySpecifiers is frozen', { node: 24 }, () => {
  const module = new SourceTextModule('import "a"');
  const specifiers = module.dependencySpecifiers;
  assert.ok(Object.isFrozen(specifiers));
  assert.throws(() => specifiers.push('b'), TypeError);
  assert.deepStrictEqual([...module.dependencySpecifiers], ['a']);
});

test('MO10', 'error is the very exception that the evaluation threw', async () => {
  globalThis.mo10 = new RangeError('mine');
  const module = await linkWith(new SourceTextModule('throw mo10'), {});
  const reason = await rejects(module.evaluate(), { message: 'mine' });
  assert.strictEqual(module.status, 'errored');
  assert.strictEqual(module.error, globalThis.mo10);
  assert.strictEqual(reason, globalThis.mo10);
});

test('MO11', 'error in any other status throws', async () => {
  const modules = await inEveryStatus();
  for (const [status, module] of Object.entries(modules)) {
    if (status === 'errored') assert.strictEqual(module.error.message, 'mine');
    else throws(() => module.error, statusError('Module status must be errored'));
  }
});

test('MO12 MO13', 'a module may throw undefined, and is errored', async () => {
  const module = await linkWith(new SourceTextModule('throw undefined'), {});
  let reason = 'none';
  await module.evaluate().catch((error) => { reason = error; });
  assert.strictEqual(reason, undefined);
  assert.strictEqual(module.status, 'errored');
  assert.strictEqual(module.error, undefined);
});

test('MO14', 'identifier is that of the constructor', () => {
  assert.strictEqual(new SourceTextModule('', { identifier: 'mine' }).identifier, 'mine');
  assert.strictEqual(new SyntheticModule([], () => {}, { identifier: 'file:///x.js' }).identifier, 'file:///x.js');
});

test('MO15 OLD14', 'namespace is there when the module is linked, and not before', async () => {
  const modules = await inEveryStatus();
  for (const [status, module] of Object.entries(modules)) {
    if (status === 'unlinked' || status === 'linking') {
      throws(() => module.namespace, statusError('Module status must not be unlinked or linking'));
    } else {
      assert.strictEqual(typeof module.namespace, 'object', status);
      assert.strictEqual(module.namespace, module.namespace);
    }
  }
});

test('MO16', 'the namespace is the exotic object of the specification', async () => {
  const module = new SourceTextModule('export let b = 1; export const a = 2; export default 3; export function f() {}');
  await module.link(noLinker);
  const { namespace } = module;
  assert.strictEqual(Object.getPrototypeOf(namespace), null);
  assert.deepStrictEqual(Reflect.ownKeys(namespace), ['a', 'b', 'default', 'f', Symbol.toStringTag]);
  assert.strictEqual(namespace[Symbol.toStringTag], 'Module');
  assert.throws(() => namespace.a, { name: 'ReferenceError' });
  assert.throws(() => Object.keys(namespace), { name: 'ReferenceError' });
  await module.evaluate();
  assert.strictEqual(namespace.a, 2);
  assert.strictEqual(module.namespace, namespace);
  assert.strictEqual(Object.isExtensible(namespace), false);
  assert.throws(() => { namespace.a = 5; }, TypeError);
  assert.throws(() => { namespace.c = 5; }, TypeError);
  assert.strictEqual(namespace.c, undefined);
  const { writable, enumerable, configurable } = Object.getOwnPropertyDescriptor(namespace, 'a');
  assert.deepStrictEqual([writable, enumerable, configurable], [true, true, false]);
});

test('MO17 MO18 MO19 MO20 MO22 MO23', 'status goes through its words', async () => {
  const modules = await inEveryStatus();
  for (const status of ['unlinked', 'linking', 'linked', 'evaluated', 'errored']) {
    assert.strictEqual(modules[status].status, status);
  }
});

test('MO19', 'status is linking until every linker promise has settled', async () => {
  const module = new SourceTextModule('import "a"; import "b"');
  const answers = [];
  const linked = module.link((specifier) => new Promise((resolve) => answers.push(() => resolve(new SourceTextModule('', { identifier: specifier })))));
  assert.strictEqual(module.status, 'linking');
  await tick();
  answers[0]();
  await tick();
  assert.strictEqual(module.status, 'linking');
  answers[1]();
  await linked;
  assert.strictEqual(module.status, 'linked');
});

test('MO21', 'status is evaluating while it is evaluated, through itself or a parent', async () => {
  const seen = {};
  const context = vm.createContext({ look: (when) => { seen[when] = [parent.status, child.status]; } });
  const parent = new SourceTextModule('import "child"; look("parent")', { context });
  const child = new SourceTextModule('look("child")', { context });
  await linkWith(parent, { child });
  await parent.evaluate();
  assert.strictEqual(seen.child[1], 'evaluating');
  assert.strictEqual(seen.parent[0], 'evaluating');
  assert.deepStrictEqual([parent.status, child.status], ['evaluated', 'evaluated']);
});

test('MO24', 'a parent of what threw is errored with the same exception', async () => {
  const child = new SourceTextModule('throw new Error("of the child")');
  const parent = await linkWith(new SourceTextModule('import "child"; globalThis.mo24 = true'), { child });
  await rejects(parent.evaluate(), { message: 'of the child' });
  assert.deepStrictEqual([parent.status, child.status], ['errored', 'errored']);
  assert.strictEqual(parent.error, child.error);
  assert.strictEqual(globalThis.mo24, undefined);
});

test('ME01', 'evaluate() is fulfilled with undefined, not with the last value', async () => {
  const module = await linkWith(new SourceTextModule('42'), {});
  assert.strictEqual(await module.evaluate(), undefined);
});

test('ME02', 'evaluate() before link() has ended is refused', async () => {
  const want = statusError('Module status must be one of linked, evaluated, or errored');
  const { unlinked, linking } = await inEveryStatus();
  await rejects(unlinked.evaluate(), want);
  await rejects(linking.evaluate(), want);
});

test('ME03 N20', 'evaluate() again after success does nothing', async () => {
  globalThis.me03 = 0;
  const module = await linkWith(new SourceTextModule('me03 += 1'), {});
  for (let i = 0; i < 3; i++) assert.strictEqual(await module.evaluate(), undefined);
  assert.strictEqual(globalThis.me03, 1);
});

test('ME04 N20', 'evaluate() again after a failure rejects with the same exception', async () => {
  globalThis.me04 = 0;
  const module = await linkWith(new SourceTextModule('me04 += 1; throw new Error("once")'), {});
  const first = await rejects(module.evaluate(), { message: 'once' });
  const second = await rejects(module.evaluate(), { message: 'once' });
  assert.strictEqual(first, second);
  assert.strictEqual(first, module.error);
  assert.strictEqual(globalThis.me04, 1);
});

test('ME05', 'evaluate() while the module is being evaluated is refused', async () => {
  let inside;
  globalThis.me05 = () => { inside = module.evaluate(); };
  const module = await linkWith(new SourceTextModule('me05()'), {});
  await module.evaluate();
  await rejects(inside, statusError('Module status must be one of linked, evaluated, or errored'));
  assert.strictEqual(module.status, 'evaluated');
});

test('ME07 ME09', 'options of evaluate() of the wrong type are refused', async () => {
  const module = await linkWith(new SourceTextModule(''), {});
  for (const bad of [null, 1, 'text', true, () => {}]) await rejects(async () => module.evaluate(bad), 'ERR_INVALID_ARG_TYPE');
  for (const bad of not('undefined', 'boolean')) {
    await rejects(async () => module.evaluate({ breakOnSigint: bad }), 'ERR_INVALID_ARG_TYPE');
  }
  await module.evaluate({ breakOnSigint: true });
});

test('ME08', 'dependencies are evaluated first, once each, in order; cycles and top-level await, too', async () => {
  globalThis.me08 = [];
  const module = await linkWith(new SourceTextModule('import "a"; import "b"; me08.push("root")'), {
    a: 'import "shared"; me08.push("a")',
    b: 'import "shared"; import "cycle"; await 0; me08.push("b")',
    shared: 'me08.push("shared")',
    cycle: 'import "b"; me08.push("cycle")',
  });
  await module.evaluate();
  assert.deepStrictEqual(globalThis.me08, ['shared', 'a', 'cycle', 'b', 'root']);
});

test('N17 N18', 'evaluate() settles synchronously unless there is a top-level await', { node: 26 }, async () => {
  const order = [];
  const sync = await linkWith(new SourceTextModule('globalThis.n18 = "sync"'), {});
  const async = await linkWith(new SourceTextModule('await 0; await 0; await 0'), {});
  async.evaluate().then(() => order.push('async'));
  sync.evaluate().then(() => order.push('sync'));
  assert.strictEqual(globalThis.n18, 'sync');
  assert.strictEqual(sync.status, 'evaluated');
  await tick();
  assert.deepStrictEqual(order, ['sync', 'async']);
});

test('N19', 'evaluate() must come after instantiate()', { node: 24 }, async () => {
  const module = new SourceTextModule('');
  await rejects(module.evaluate(), 'ERR_VM_MODULE_STATUS');
  module.linkRequests([]);
  await rejects(module.evaluate(), 'ERR_VM_MODULE_STATUS');
  module.instantiate();
  assert.strictEqual(await module.evaluate(), undefined);
});
