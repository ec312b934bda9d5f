// SPDX-License-Identifier: MIT
// vm.SyntheticModule.
'use strict';
const assert = require('assert');
const vm = require('vm');
const { test, throws, rejects, not, noLinker, linkWith, evaluated } = require('./harness.js');
const { SourceTextModule, SyntheticModule } = vm;

const linked = async (...args) => {
  const module = new SyntheticModule(...args);
  await module.link(noLinker);
  return module;
};

test('SY01', 'what is no JavaScript takes part in module graphs', async () => {
  const source = '{ "a": 1 }';
  const json = new SyntheticModule(['default'], function () { this.setExport('default', JSON.parse(source)); });
  const module = await evaluated('import json from "x.json"; export default json.a', {}, { 'x.json': json });
  assert.strictEqual(module.namespace.default, 1);
});

test('SY02', 'exportNames is an array of unique strings', () => {
  for (const bad of not('array')) throws(() => new SyntheticModule(bad, () => {}), { code: 'ERR_INVALID_ARG_TYPE', name: 'TypeError' });
  for (const bad of not('string')) throws(() => new SyntheticModule(['x', bad], () => {}), 'ERR_INVALID_ARG_TYPE');
  throws(() => new SyntheticModule(['x', 'y', 'x'], () => {}), { code: 'ERR_INVALID_ARG_VALUE', name: 'TypeError', message: /exportNames\.x.*duplicated/ });
});

test('SY03', 'evaluateCallback is called once, at evaluation', async () => {
  const seen = [];
  const module = await linked(['x'], function (...args) { seen.push(args); });
  assert.deepStrictEqual(seen, []);
  await module.evaluate();
  await module.evaluate();
  assert.deepStrictEqual(seen, [[]]);
  for (const bad of not('function')) throws(() => new SyntheticModule([], bad), { code: 'ERR_INVALID_ARG_TYPE', name: 'TypeError' });
});

test('SY03', 'its this is the module', { ours: 'this is an internal object in Node' }, async () => {
  let self;
  const module = await linked(['x'], function () { self = this; });
  await module.evaluate();
  assert.strictEqual(self, module);
});

test('SY04', 'identifier and context', async () => {
  const context = vm.createContext();
  const module = new SyntheticModule([], () => {}, { identifier: 'mine', context });
  assert.strictEqual(module.identifier, 'mine');
  assert.strictEqual(module.context, context);
  assert.match(new SyntheticModule([], () => {}).identifier, /^vm:module\(\d+\)$/);
  for (const bad of not('undefined', 'string')) throws(() => new SyntheticModule([], () => {}, { identifier: bad }), 'ERR_INVALID_ARG_TYPE');
  for (const bad of not('undefined')) throws(() => new SyntheticModule([], () => {}, { context: bad }), 'ERR_INVALID_ARG_TYPE');
  for (const bad of [null, 1, 'text', true]) throws(() => new SyntheticModule([], () => {}, bad), 'ERR_INVALID_ARG_TYPE');
});

test('SY05', 'an object of the host as an export leads to the host\'s realm', async () => {
  const context = vm.createContext();
  const host = await linked(['x', 'y'], function () {
    this.setExport('x', {});
    this.setExport('y', vm.runInContext('({})', context));
  }, { context });
  const module = await evaluated('import { x, y } from "host"; export default [x, y].map((o) => o instanceof Object)', { context }, { host });
  assert.strictEqual(module.namespace.default.join(), 'false,true');
});

test('SY06', 'setExport() after link() sets an export', async () => {
  const module = await linked(['x'], () => {});
  module.setExport('x', 1);
  await module.evaluate();
  assert.strictEqual(module.namespace.x, 1);
});

test('SY07 N22', 'a synthetic module is linked from the start: setExport() needs no link()', { node: 24 }, async () => {
  const module = new SyntheticModule(['x'], () => {});
  assert.strictEqual(module.status, 'linked');
  module.setExport('x', 1);
  await module.evaluate();
  assert.strictEqual(module.namespace.x, 1);
  const second = new SyntheticModule(['x'], () => {});
  await second.link(noLinker);
  assert.strictEqual(second.status, 'linked');
});

test('SY08', 'setExport() of an unknown name is a ReferenceError, of no string a TypeError', async () => {
  const module = await linked(['x'], () => {});
  throws(() => module.setExport('y', 1), { name: 'ReferenceError' });
  for (const bad of not('string')) throws(() => module.setExport(bad, 1), { code: 'ERR_INVALID_ARG_TYPE', name: 'TypeError' });
  const thrower = await linked(['x'], function () { this.setExport('y', 1); });
  await rejects(thrower.evaluate(), { name: 'ReferenceError' });
  // Whatever the names are, none is found by its prefix or as a property of some object.
  const odd = await linked(['', 'constructor', '__proto__', 'a\0b', 'ü'], () => {});
  for (const name of ['', 'constructor', '__proto__', 'a\0b', 'ü']) odd.setExport(name, name);
  for (const name of ['toString', 'a', 'u']) throws(() => odd.setExport(name, 1), { name: 'ReferenceError' });
  await odd.evaluate();
  assert.strictEqual(odd.namespace['a\0b'], 'a\0b');
  assert.strictEqual(odd.namespace.constructor, 'constructor');
});

test('SY09', 'setExport() again is seen by importers: bindings are live', async () => {
  const live = await linked(['x'], function () { this.setExport('x', 1); });
  const module = await evaluated('import { x } from "live"; export const read = () => x', {}, { live });
  assert.strictEqual(module.namespace.read(), 1);
  live.setExport('x', 2);
  assert.strictEqual(module.namespace.read(), 2);
  assert.strictEqual(live.namespace.x, 2);
});

test('SY10', 'exports that are not set are undefined', async () => {
  const module = await linked(['x', 'y'], function () { this.setExport('y', 1); });
  await module.evaluate();
  assert.strictEqual(module.namespace.x, undefined);
  assert.deepStrictEqual(Object.keys(module.namespace), ['x', 'y']);
});

test('SY11', 'what evaluateCallback throws rejects evaluate() and makes the module errored', async () => {
  const reason = new RangeError('mine');
  const module = await linked(['x'], () => { throw reason; });
  assert.strictEqual(await rejects(module.evaluate(), { message: 'mine' }), reason);
  assert.strictEqual(module.status, 'errored');
  assert.strictEqual(module.error, reason);
  assert.strictEqual(await rejects(module.evaluate(), { message: 'mine' }), reason);
  const importer = new SourceTextModule('import "x"');
  await rejects(linkWith(importer, { x: module }), 'ERR_VM_MODULE_LINK_FAILURE');
});

test('N21', 'evaluate() runs the callback synchronously; what it returns is discarded', { node: 26 }, async () => {
  const module = await linked(['x'], async function () {
    this.setExport('x', 1);
    await 0;
    this.setExport('x', 2);
  });
  const done = module.evaluate();
  assert.strictEqual(module.status, 'evaluated');
  assert.strictEqual(module.namespace.x, 1);
  assert.strictEqual(await done, undefined);
});
