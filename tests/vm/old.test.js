// SPDX-License-Identifier: MIT
// The API of 2018, when module records came to vm, in the words of today: what was promised then and still holds.
'use strict';
const assert = require('assert');
const vm = require('vm');
const { test, throws, rejects, noLinker, linkWith, evaluated } = require('./harness.js');
const { SourceTextModule, SyntheticModule } = vm;

test('OLD01', 'what vm.Module made is vm.SourceTextModule; vm.Module is their common class', () => {
  throws(() => new vm.Module('export default 1'), { name: 'TypeError' });
  const module = new SourceTextModule('export default 1');
  assert.ok(module instanceof vm.Module);
  throws(() => SourceTextModule('export default 1'), { name: 'TypeError' });
  throws(() => new SourceTextModule('not a ; module('), { name: 'SyntaxError' });
});

test('OLD02', 'url is identifier today: in the property, in stacks, and its default', async () => {
  const module = await linkWith(new SourceTextModule('throw new Error("x")', { identifier: 'http://old.example/02.js' }), {});
  assert.strictEqual(module.identifier, 'http://old.example/02.js');
  assert.match((await rejects(module.evaluate(), {})).stack, /at http:\/\/old\.example\/02\.js:1:7/);
  const context = vm.createContext();
  assert.strictEqual(new SourceTextModule('', { context }).identifier, 'vm:module(0)');
});

test('OLD03', 'context, lineOffset and columnOffset', async () => {
  const context = vm.createContext({ secret: 42 });
  const options = { context, lineOffset: 2, columnOffset: 3, identifier: 'old03.js' };
  const module = await linkWith(new SourceTextModule('globalThis.got = secret; throw new Error("x")', options), {});
  assert.match((await rejects(module.evaluate(), {})).stack, /old03\.js:3:35/);
  assert.strictEqual(context.got, 42);
});

test('OLD04', 'create, link, evaluate: link() instantiates', async () => {
  const module = new SourceTextModule('export default 42');
  assert.strictEqual(module.status, 'unlinked');
  await module.link(noLinker);
  assert.strictEqual(module.status, 'linked');
  await module.evaluate();
  assert.strictEqual(module.status, 'evaluated');
});

test('OLD04', 'create, linkRequests, instantiate, evaluate: four steps again', { node: 24 }, async () => {
  const module = new SourceTextModule('import s from "foo"; export default s');
  const foo = new SourceTextModule('export default 42');
  module.linkRequests([foo]);
  foo.linkRequests([]);
  module.instantiate();
  await module.evaluate();
  assert.strictEqual(module.namespace.default, 42);
});

test('OLD05', 'the linker gets the specifier first today', async () => {
  const module = new SourceTextModule('import "foo"');
  await module.link((...args) => {
    assert.strictEqual(args[0], 'foo');
    assert.strictEqual(args[1], module);
    return new SourceTextModule('');
  });
});

test('OLD02 OLD06', 'url and linkingStatus are there as other names', { ours: 'Node has dropped them' }, async () => {
  const module = new SourceTextModule('import "foo"', { identifier: 'mine' });
  assert.strictEqual(module.url, 'mine');
  assert.strictEqual(module.linkingStatus, 'unlinked');
  const linked = module.link(() => new SourceTextModule(''));
  assert.strictEqual(module.linkingStatus, 'linking');
  await linked;
  assert.strictEqual(module.linkingStatus, 'linked');
  await module.evaluate();
  assert.strictEqual(module.linkingStatus, 'linked');
  const failed = new SourceTextModule('import "foo"');
  await failed.link(() => null).catch(() => {});
  assert.strictEqual(failed.linkingStatus, 'errored');
});

test('OLD06', 'what linkingStatus told is told by status', async () => {
  const module = new SourceTextModule('import "foo"');
  assert.strictEqual(module.status, 'unlinked');
  const linked = module.link(() => new SourceTextModule(''));
  assert.strictEqual(module.status, 'linking');
  await linked;
  assert.strictEqual(module.status, 'linked');
});

test('OLD07', 'status has today\'s words', async () => {
  const seen = [];
  const context = vm.createContext({ look: () => seen.push(module.status) });
  const module = new SourceTextModule('look()', { context });
  seen.push(module.status);
  await module.link(noLinker);
  seen.push(module.status);
  await module.evaluate();
  seen.push(module.status);
  assert.deepStrictEqual(seen, ['unlinked', 'linked', 'evaluating', 'evaluated']);
  const errored = await linkWith(new SourceTextModule('throw 1'), {});
  await errored.evaluate().catch(() => {});
  assert.strictEqual(errored.status, 'errored');
});

test('OLD08 OLD09', 'a failed instantiation leaves a module uninstantiated: unlinked', async () => {
  const module = new SourceTextModule('import { nothing } from "x"');
  await rejects(linkWith(module, { x: '' }), { name: 'SyntaxError' });
  assert.strictEqual(module.status, 'unlinked');
});

test('OLD10', 'dependencies are instantiated with the root', async () => {
  const table = { a: 'import "b"; export default 1', b: 'export default 2' };
  const module = new SourceTextModule('import "a"');
  await linkWith(module, table);
  assert.deepStrictEqual([table.a.status, table.b.status], ['linked', 'linked']);
  await table.b.evaluate();
  assert.deepStrictEqual([module.status, table.b.status], ['linked', 'evaluated']);
});

test('OLD11 OLD18', 'evaluate() gives undefined, no { result }: V8 has no value for a module', async () => {
  const printed = [];
  const context = vm.createContext({ secret: 42, print: (value) => printed.push(value) });
  const bar = new SourceTextModule('import s from "foo"; s; print(s);', { context });
  await linkWith(bar, { foo: 'export default secret' }, { context });
  assert.strictEqual(await bar.evaluate(), undefined);
  assert.deepStrictEqual(printed, [42]);
});

test('OLD12', 'evaluate() too early, again, and while evaluating', async () => {
  await rejects(new SourceTextModule('').evaluate(), 'ERR_VM_MODULE_STATUS');
  let nested;
  globalThis.old12 = () => { nested = module.evaluate(); };
  const module = await linkWith(new SourceTextModule('old12()'), {});
  assert.strictEqual(await module.evaluate(), undefined);
  await rejects(nested, 'ERR_VM_MODULE_STATUS');
  assert.strictEqual(await module.evaluate(), undefined);
  const failing = await linkWith(new SourceTextModule('throw new Error("same")'), {});
  const first = await rejects(failing.evaluate(), { message: 'same' });
  assert.strictEqual(await rejects(failing.evaluate(), { message: 'same' }), first);
});

test('OLD14', 'namespace is there when the module is instantiated', async () => {
  const module = new SourceTextModule('export const x = 1');
  throws(() => module.namespace, 'ERR_VM_MODULE_STATUS');
  await module.link(noLinker);
  assert.deepStrictEqual(Reflect.ownKeys(module.namespace), ['x', Symbol.toStringTag]);
});

test('OLD15', 'error throws unless errored', async () => {
  const module = await evaluated('export default 1');
  throws(() => module.error, 'ERR_VM_MODULE_STATUS');
});

test('OLD16', 'link() once; same context; no errored module; recursive for what is unlinked', async () => {
  const context = vm.createContext();
  const table = { a: 'import "b"', b: '' };
  const module = await linkWith(new SourceTextModule('import "a"', { context }), table, { context });
  assert.strictEqual(table.b.status, 'linked');
  await rejects(module.link(noLinker), 'ERR_VM_MODULE_ALREADY_LINKED');
  await rejects(linkWith(new SourceTextModule('import "a"'), table), 'ERR_VM_MODULE_DIFFERENT_CONTEXT');
});

test('OLD17', 'today also other modules than source text take part', async () => {
  const synthetic = new SyntheticModule(['x'], function () { this.setExport('x', 42); });
  const module = await evaluated('export { x } from "s"', {}, { s: synthetic });
  assert.strictEqual(module.namespace.x, 42);
});
